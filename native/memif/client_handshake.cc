// The connecting side of the dialogue: it owns all memory and all eventfds.
//
//   region 0   the rings: S2M 0.., then M2S 0.., each 2 cache lines and 16 bytes an entry
//   region 1   the packet buffers (our own, or packet memory shared with other interfaces)

#include <fcntl.h>

#include <algorithm>
#include <cerrno>

#include "memif/handshake.h"
#include "sys/doorbell.h"

namespace nodevpp::memif {
namespace {

std::string number(uint64_t value) {
  return std::to_string(value);
}

} // namespace

ClientHandshake::~ClientHandshake() {
  // A handshake that did not finish gives its buffers back; one that did has passed them on.
  if (memory_ && state_ != State::connected && !buffers_.empty())
    memory_->give(buffers_.data(), buffers_.size());
}

Step ClientHandshake::refuse(Reason reason, std::string text, sys::SysError error) {
  state_ = State::over;
  Step step;
  step.send.push_back({emit(Disconnect{0, text})});
  step.over = Failure{reason, std::move(text), error};
  return step;
}

Step ClientHandshake::receive(sys::ReceivedMessage& received) {
  if (received.size != kMessageSize || received.truncated) {
    return refuse(Reason::protocol,
                  "a control message of " + number(received.size) + " bytes instead of 128");
  }
  const uint8_t* message = received.data;
  uint16_t type = message_type(message);
  if (!received.fds.empty()) {
    return refuse(Reason::protocol,
                  number(received.fds.size()) + " descriptors came with " + message_name(type));
  }
  if (type == static_cast<uint16_t>(MessageType::disconnect)) {
    state_ = State::over;
    Step step;
    step.over = Failure{Reason::peer_refused, parse_disconnect(message).text, {}};
    return step;
  }
  switch (state_) {
  case State::awaiting_hello:
    if (type == static_cast<uint16_t>(MessageType::hello)) return hello(message);
    break;
  case State::awaiting_ack:
    if (type == static_cast<uint16_t>(MessageType::ack)) return next();
    break;
  case State::awaiting_connected:
    if (type == static_cast<uint16_t>(MessageType::connected)) {
      session_.peer_interface_name = parse_connect(message);
      // Servers may have reset head and tail while they were handling CONNECT; ours start from zero in any
      // case.
      for (const auto* rings : {&session_.s2m, &session_.m2s}) {
        for (const auto& ring : *rings) {
          uint8_t* base = session_.regions[0].mapping->data() + ring.offset;
          store<uint16_t>(base, 6, 0);
          store<uint16_t>(base, options_.cache_line, 0);
        }
      }
      state_ = State::connected;
      Step step;
      step.connected = true;
      return step;
    }
    break;
  case State::connected:
  case State::over:
    break;
  }
  return refuse(Reason::protocol, std::string(message_name(type)) + " is not expected now");
}

Step ClientHandshake::hello(const uint8_t* message) {
  Hello hello = parse_hello(message);
  if (hello.min_version > kVersion || hello.max_version < kVersion) {
    return refuse(Reason::version, "the peer speaks versions " + number(hello.min_version >> 8) + "." +
                                       number(hello.min_version & 0xff) + " to " +
                                       number(hello.max_version >> 8) + "." +
                                       number(hello.max_version & 0xff) + ", we speak 2.0");
  }
  session_.peer_name = hello.name;
  auto s2m = static_cast<uint16_t>(std::min<uint32_t>(options_.s2m_rings, hello.max_s2m_ring + 1u));
  auto m2s = static_cast<uint16_t>(std::min<uint32_t>(options_.m2s_rings, hello.max_m2s_ring + 1u));
  uint8_t log2 = std::min(options_.log2_ring_size, hello.max_log2_ring_size);
  if (log2 < 1) return refuse(Reason::ring, "the peer allows rings of one entry only");
  if (hello.max_region < 1) return refuse(Reason::region, "the peer takes one region; two are needed");
  Failure failure = allocate(s2m, m2s, log2);
  if (!failure.text.empty()) return refuse(failure.reason, failure.text, failure.error);
  Init init;
  init.id = options_.id;
  init.mode = static_cast<uint8_t>(options_.mode);
  init.secret = options_.secret;
  init.name = options_.app_name;
  state_ = State::awaiting_ack;
  return {{{emit(init)}}, {}, false};
}

Failure ClientHandshake::allocate(uint16_t s2m_rings, uint16_t m2s_rings, uint8_t log2) {
  uint64_t each = ring_bytes(log2, options_.cache_line);
  uint64_t size = each * (s2m_rings + m2s_rings);
  uint64_t slots = uint64_t{1} << log2;
  size_t buffers = static_cast<size_t>(slots) * (s2m_rings + m2s_rings);
  Region rings;
  rings.size = size;
  if (auto error = sys::create_sealed_memfd("node-vpp memif rings", size, &rings.fd)) {
    return {Reason::system, "allocating rings", error};
  }
  if (auto error = sys::Mapping::map(rings.fd.get(), size, false, &rings.mapping)) {
    return {Reason::system, "mapping rings", error};
  }
  if (!memory_) {
    Failure failure = PacketMemory::create(options_.buffer_size, buffers, &memory_);
    if (!failure.text.empty()) return failure;
  }
  if (!memory_->take(buffers, &buffers_)) {
    return {Reason::region,
            "the packet memory has " + number(memory_->available()) + " free buffers; " + number(buffers) +
                " are needed",
            {}};
  }
  Region packets;
  packets.size = memory_->mapping()->size();
  packets.mapping = memory_->mapping();
  packets.fd = sys::Fd(::fcntl(memory_->fd(), F_DUPFD_CLOEXEC, 0));
  if (!packets.fd.valid()) return {Reason::system, "duplicating the packet memory", {errno, "dup"}};

  size_t buffer = 0;
  for (uint32_t r = 0; r < s2m_rings + m2s_rings; r++) {
    RingPlace place;
    place.s2m = r < s2m_rings;
    place.index = static_cast<uint16_t>(place.s2m ? r : r - s2m_rings);
    place.region = 0;
    place.offset = static_cast<uint32_t>(each * r);
    place.log2_size = log2;
    if (auto error = sys::create_eventfd(&place.event)) return {Reason::system, "creating an eventfd", error};
    uint8_t* base = rings.mapping->data() + place.offset;
    store<uint32_t>(base, 0, kCookie);
    for (uint64_t slot = 0; slot < slots; slot++) {
      uint8_t* descriptor = base + 2 * options_.cache_line + slot * kDescriptorSize;
      store<uint16_t>(descriptor, 2, 1);
      store<uint32_t>(descriptor, 4, memory_->buffer_size());
      store<uint32_t>(descriptor, 8, buffers_[buffer++]);
    }
    (place.s2m ? session_.s2m : session_.m2s).push_back(std::move(place));
  }
  session_.regions.push_back(std::move(rings));
  session_.regions.push_back(std::move(packets));
  return {};
}

Step ClientHandshake::next() {
  Step step;
  size_t regions = session_.regions.size();
  size_t rings = session_.s2m.size() + session_.m2s.size();
  size_t at = sent_++;
  if (at < regions) {
    const Region& region = session_.regions[at];
    step.send.push_back({emit(AddRegion{static_cast<uint16_t>(at), region.size}), region.fd.get()});
  } else if (at < regions + rings) {
    size_t r = at - regions;
    const RingPlace& ring = r < session_.s2m.size() ? session_.s2m[r] : session_.m2s[r - session_.s2m.size()];
    AddRing message{ring.s2m, ring.index, ring.region, ring.offset, ring.log2_size, 0};
    step.send.push_back({emit(message), ring.event.get()});
  } else {
    step.send.push_back({emit_connect(MessageType::connect, options_.interface_name)});
    state_ = State::awaiting_connected;
  }
  return step;
}

} // namespace nodevpp::memif
