// The control channel under a peer that says anything: the input is a list of messages with descriptors of
// various kinds, spoken to a server's handshake, or, when its first byte is odd, to a client's. Nothing may
// crash, no descriptor stay open, and no more than one answer go out for one message.
//
//   input    role | message*
//   message  kind | what of it | bytes to overlay       kind: a good message of the dialogue, or raw bytes
//
// Most random messages end the dialogue at once, so an input can ask for the good next message and change
// some bytes of it: that is how the fuzzer gets deep.

#include <cstdlib>

#include "../support.h"

namespace nodevpp::memif {
namespace {

class Input {
public:
  Input(const uint8_t* data, size_t size) : data_(data), left_(size) {}
  bool empty() const { return left_ == 0; }
  uint8_t byte() {
    if (left_ == 0) return 0;
    left_--;
    return *data_++;
  }
  void bytes(uint8_t* to, size_t count) {
    for (size_t i = 0; i < count; i++)
      to[i] = byte();
  }

private:
  const uint8_t* data_;
  size_t left_;
};

void check(bool good) {
  if (!good) std::abort();
}

// What may come along with a message.
sys::Fd make_fd(uint8_t kind) {
  switch (kind % 10) {
  case 0:
  case 1:
    return test::make_eventfd();
  case 2:
    return test::make_eventfd(EFD_SEMAPHORE);
  case 3:
    return test::make_memfd(33024);
  case 4:
    return test::make_memfd(4096);
  case 5:
    return test::make_memfd(0);
  case 6:
    return test::make_memfd(1 << 20, 0);
  case 7:
    return sys::Fd(::open("/dev/null", O_RDWR | O_CLOEXEC));
  case 8:
    return sys::Fd(::open("/dev/zero", O_PATH | O_CLOEXEC));
  default:
    return sys::Fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  }
}

// One message of the input: taken from `good`, or zeros, then changed.
sys::ReceivedMessage read_message(Input& input, const Message& good, const sys::Fd& good_fd) {
  uint8_t kind = input.byte();
  sys::ReceivedMessage message;
  message.size = kMessageSize;
  std::memset(message.data, 0, sizeof message.data);
  if ((kind & 1) == 0) std::memcpy(message.data, good.data(), good.size());
  // Overlays: an offset and up to 8 bytes.
  for (uint8_t overlays = (kind >> 1) & 3; overlays > 0; overlays--) {
    uint8_t where = input.byte();
    uint8_t count = input.byte() % 9;
    if (where + count <= kMessageSize) input.bytes(message.data + where, count);
  }
  if ((kind & 8) != 0) message.size = input.byte() + (kind & 1);
  message.truncated = (kind & 0x30) == 0x30;
  uint8_t fds = (kind & 0x40) != 0 ? input.byte() % 4 : 4;
  if (fds == 4 && good_fd.valid()) message.fds.emplace_back(test::duplicate(good_fd.get()));
  for (uint8_t i = 0; fds < 4 && i < fds; i++)
    message.fds.emplace_back(make_fd(input.byte()));
  return message;
}

void check_step(const Step& step) {
  check(step.send.size() <= 1);
  check(!(step.over && step.connected));
  if (step.over) check(step.over->reason == Reason::peer_refused || !step.over->text.empty());
}

// What a finished handshake promises, whatever was said before.
void check_session(const Session& session) {
  check(!session.s2m.empty() && !session.m2s.empty());
  for (const auto* rings : {&session.s2m, &session.m2s}) {
    for (const auto& ring : *rings) {
      check(ring.region < session.regions.size());
      const Region& region = session.regions[ring.region];
      check(ring.offset + ring_bytes(ring.log2_size, 64) <= region.mapping->size());
      check(ring.log2_size >= 1 && ring.log2_size <= kMaxLog2RingSize);
      check(load<uint32_t>(region.mapping->data() + ring.offset, 0) == kCookie);
      // It can be used from end to end.
      for (size_t at : {size_t{0}, region.mapping->size() - 1}) {
        volatile uint8_t* byte = region.mapping->data() + at;
        *byte = *byte;
      }
      check((::fcntl(ring.event.get(), F_GETFL) & O_NONBLOCK) != 0);
    }
  }
}

void run_server(Input& input) {
  InterfaceOptions options = test::server_options();
  uint8_t settings = input.byte();
  options.s2m_rings = 1 + (settings & 3);
  options.m2s_rings = 1 + ((settings >> 2) & 3);
  options.allow_unsealed = (settings & 16) != 0;
  options.has_secret = (settings & 32) != 0;
  options.max_region_size = 1 << 22;
  options.max_total_size = 3 << 20;
  ServerHandshake handshake(Hello{"fuzzed"}, [&](uint32_t id) {
    return id <= 1 ? Target{&options, id == 1} : Target{};
  });
  check_step(handshake.start());
  test::HandmadeClient client(
      {.s2m = options.s2m_rings, .m2s = options.m2s_rings, .log2 = 3, .buffer_size = 64});
  static const sys::Fd none;
  for (size_t next = 0; !input.empty();) {
    const test::Said& said = client.script[std::min(next, client.script.size() - 1)];
    auto message = read_message(input, said.message, said.fd.valid() ? said.fd : none);
    Step step = handshake.receive(message);
    check_step(step);
    if (step.over) {
      // Nothing brings it back.
      auto again = test::received(client.script[0].message);
      check(handshake.receive(again).over.has_value());
      return;
    }
    if (step.connected) check_session(handshake.take_session());
    next++;
  }
}

void run_client(Input& input) {
  InterfaceOptions options = test::client_options(0, 2);
  uint8_t settings = input.byte();
  options.s2m_rings = 1 + (settings & 1);
  options.m2s_rings = 1 + ((settings >> 1) & 1);
  options.buffer_size = 64;
  ClientHandshake handshake(options, nullptr);
  static const sys::Fd none;
  size_t rings = options.s2m_rings + options.m2s_rings;
  for (size_t next = 0; !input.empty(); next++) {
    Message good = next == 0          ? emit(Hello{})
                   : next < 4 + rings ? emit_ack()
                                      : emit_connect(MessageType::connected, "x");
    auto message = read_message(input, good, none);
    Step step = handshake.receive(message);
    check_step(step);
    for (const auto& outgoing : step.send)
      check(outgoing.fd < 0 || ::fcntl(outgoing.fd, F_GETFD) >= 0);
    if (step.over) return;
    if (step.connected) {
      Session session = handshake.take_session();
      check_session(session);
      return;
    }
  }
}

} // namespace
} // namespace nodevpp::memif

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const bool warm = nodevpp::sys::drains_at_once(nodevpp::test::make_eventfd().get());
  // The lowest free descriptor is the same afterwards, unless one was left open.
  int before = nodevpp::test::make_eventfd().get();
  {
    nodevpp::memif::Input input(data, size);
    if ((input.byte() & 1) != 0)
      nodevpp::memif::run_client(input);
    else
      nodevpp::memif::run_server(input);
  }
  while (nodevpp::sys::foreign_waiting() > 0) // another thread closes what may take long
    std::this_thread::yield();
  int after = nodevpp::test::make_eventfd().get();
  nodevpp::memif::check(warm && before == after);
  return 0;
}
