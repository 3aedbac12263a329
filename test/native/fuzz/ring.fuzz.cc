// Rings whose contents change between any two operations: the input is a list of operations of a queue, of
// one role and direction, and of writes of its peer to anything in shared memory. All memory that is handed
// out must lie inside the regions, packets must be whole, and what a queue remembers must not depend on what
// the ring says.
//
//   input   settings | operation*
//   operation   peek n | release n | reserve n | commit n | bridge | poke a word | poke an index | poke a
//   descriptor
//
// Whatever is handed out is read or written to its last byte, so that the address sanitizer sees it.

#include <cstdlib>
#include <tuple>

#include "../support.h"
#include "memif/bridge.h"

namespace nodevpp::memif {
namespace {

void check(bool good) {
  if (!good) std::abort();
}

class Input {
public:
  Input(const uint8_t* data, size_t size) : data_(data), left_(size) {}
  bool empty() const { return left_ == 0; }
  template<typename T> T value() {
    T result{};
    size_t count = std::min(left_, sizeof result);
    std::memcpy(&result, data_, count);
    data_ += count;
    left_ -= count;
    return result;
  }

private:
  const uint8_t* data_;
  size_t left_;
};

// Looks at what was handed out, and at whether it is where it is said to be. (Regions end at a page, so
// reading past the end of a small one would go unseen otherwise.)
void touch(const Session& session, const Segment& segment, bool write) {
  bool inside = false;
  for (const auto& region : session.regions) {
    const uint8_t* start = region.mapping->data();
    inside =
        inside || (segment.data >= start && segment.data + segment.length <= start + region.mapping->size());
  }
  check(inside);
  check(segment.region < session.regions.size());
  check(session.regions[segment.region].mapping->data() + segment.offset == segment.data);
  if (segment.length == 0) return;
  volatile uint8_t* first = segment.data;
  volatile uint8_t* last = segment.data + segment.length - 1;
  uint8_t a = *first;
  uint8_t b = *last;
  if (!write) return;
  *first = a;
  *last = b;
}

// A wire as new. They are made once: most of the time would go into making them.
test::Wire& prepared(uint8_t log2, uint32_t buffer_size, uint16_t cache_line, uint16_t start) {
  static std::map<std::tuple<uint8_t, uint32_t, uint16_t>, test::Wire> wires;
  auto [found, made] = wires.try_emplace({log2, buffer_size, cache_line}, log2, buffer_size, cache_line);
  found->second.rewind(start);
  return found->second;
}

void run(Input& input) {
  auto settings = input.value<uint8_t>();
  auto log2 = static_cast<uint8_t>(1 + (settings & 3));
  Role role = (settings & 4) != 0 ? Role::server : Role::client;
  auto start = static_cast<uint16_t>((settings & 8) != 0 ? 65533 : 0);
  test::Wire& wire = prepared(log2, 64, (settings & 16) != 0 ? 128 : 64, start);
  test::Wire& target = prepared(2, (settings & 32) != 0 ? 32 : 256, 64, 0);
  Queue rx = wire.queue(role, true);
  Queue tx = wire.queue(role, false);
  Queue far = target.queue(Role::client, true);
  Queue near = target.queue(Role::server, false);
  const Session& session = role == Role::server ? wire.server : wire.client;
  size_t size = rx.size();
  std::vector<Segment> in(size);
  std::vector<Segment> out(size);
  size_t peeked = 0;
  size_t reserved = 0;
  uint16_t rx_next = start;
  uint16_t tx_next = start;
  uint8_t* shared = wire.client.regions[0].mapping->data();
  size_t shared_size = wire.client.regions[0].mapping->size();
  for (int operations = 0; !input.empty() && operations < 400; operations++) {
    auto operation = input.value<uint8_t>();
    Violation violation{};
    switch (operation & 7) {
    case 0: {
      size_t most = operation >> 3;
      peeked = rx.peek(in.data(), most, &violation);
      check(peeked <= size);
      check(peeked == 0 || !in[peeked - 1].more);
      for (size_t i = 0; i < peeked; i++)
        touch(session, in[i], false);
      break;
    }
    case 1:
      rx.release(std::min<size_t>(operation >> 3, peeked));
      rx_next = static_cast<uint16_t>(rx_next + std::min<size_t>(operation >> 3, peeked));
      peeked = 0;
      break;
    case 2:
      reserved = tx.reserve(out.data(), operation >> 3, &violation);
      check(reserved <= std::min<size_t>(size, operation >> 3));
      for (size_t i = 0; i < reserved; i++)
        touch(session, out[i], true);
      break;
    case 3: {
      size_t count = std::min<size_t>(operation >> 3, reserved);
      tx.commit(out.data(), count);
      tx_next = static_cast<uint16_t>(tx_next + count);
      reserved = 0;
      break;
    }
    case 4: { // one index of one ring, which the peer may write or not
      auto value = input.value<uint16_t>();
      Ring ring = wire.ring((operation & 8) != 0);
      if ((operation & 16) != 0)
        ring.publish_head(value);
      else
        ring.publish_tail(value);
      break;
    }
    case 5: { // one descriptor, mostly near to what is possible
      auto slot = static_cast<uint32_t>((operation >> 4) & (size - 1));
      Ring ring = wire.ring((operation & 8) != 0);
      auto raw = input.value<uint8_t>();
      Descriptor d{static_cast<uint16_t>(raw & 1), static_cast<uint16_t>((raw >> 1) & 3), 0, 0};
      if ((raw & 8) != 0)
        d.length = input.value<uint32_t>();
      else
        d.length = input.value<uint8_t>();
      if ((raw & 16) != 0)
        d.offset = input.value<uint32_t>();
      else
        d.offset = input.value<uint16_t>();
      ring.write(slot, d);
      break;
    }
    case 6: { // anything anywhere
      auto where = input.value<uint16_t>() % (shared_size - 4);
      store<uint32_t>(shared, where, input.value<uint32_t>());
      break;
    }
    default: { // a burst as a bridge moves it, into another wire
      peeked = rx.peek(in.data(), size, &violation);
      std::vector<Segment> to(near.size());
      size_t room = near.reserve(to.data(), to.size(), &violation);
      size_t used = 0;
      for (size_t i = 0; i < peeked && used < room; i++) {
        uint32_t length = std::min(in[i].length, to[used].length);
        std::memcpy(to[used].data, in[i].data, length);
        to[used].length = length;
        to[used++].more = false;
      }
      near.commit(to.data(), used);
      std::vector<Segment> got(far.size());
      // The target's peer behaves: what happens to the source cannot break it.
      check(far.peek(got.data(), got.size(), &violation) == used && violation == Violation::none);
      far.release(used);
      peeked = 0;
    }
    }
    check(rx.state().next == rx_next && tx.state().next == tx_next);
  }
}

// The bridge itself, over rings as the input left them. It spins; it is let go as soon as it has looked at
// them, or has found somebody guilty.
void run_bridge(Input& input) {
  test::Wire wires[2] = {test::Wire(2, 64), test::Wire(3, 96)};
  sys::Fd notify = test::make_eventfd();
  auto side_of = [](const test::Wire& wire) {
    BridgeSide side;
    side.rx.push_back(wire.queue(Role::server, true));
    side.tx.push_back(wire.queue(Role::server, false));
    side.rx_events.push_back(test::duplicate(wire.place(Role::server, true).event.get()));
    side.tx_events.push_back(test::duplicate(wire.place(Role::server, false).event.get()));
    return side;
  };
  Bridge bridge(side_of(wires[0]), side_of(wires[1]), -1, notify.get());
  auto poke = [&] {
    auto which = input.value<uint8_t>();
    uint8_t* shared = wires[which & 1].client.regions[0].mapping->data();
    Ring ring = wires[which & 1].ring((which & 2) != 0);
    switch ((which >> 2) & 3) {
    case 0:
      ring.publish_head(input.value<uint8_t>());
      break;
    case 1: {
      auto raw = input.value<uint8_t>();
      ring.write((which >> 4) & (ring.size() - 1),
                 {static_cast<uint16_t>(raw & 1), static_cast<uint16_t>(1 - ((raw >> 7) & 1)),
                  input.value<uint8_t>(), static_cast<uint32_t>(raw >> 1)});
      break;
    }
    case 2:
      store<uint32_t>(shared, input.value<uint8_t>() * 2, input.value<uint32_t>());
      break;
    default:
      ring.publish_head(static_cast<uint16_t>(ring.tail() + ring.size()));
    }
  };
  for (int i = 0; i < 24 && !input.empty(); i++)
    poke();
  check(!bridge.start());
  for (int i = 0; i < 50 && !input.empty() && bridge.violator() < 0; i++)
    poke();
  bridge.stop();
  for (int side = 0; side < 2; side++)
    check(bridge.counters(side).packets <= bridge.counters(side).bytes + 65536);
}

} // namespace
} // namespace nodevpp::memif

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  nodevpp::memif::Input input(data, size);
  // A thread for each input is slow: one kind of input in sixteen.
  if (size > 8 && data[0] % 16 == 15)
    nodevpp::memif::run_bridge(input);
  else
    nodevpp::memif::run(input);
  return 0;
}
