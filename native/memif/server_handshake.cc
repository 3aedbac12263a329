// The listening side of the dialogue. Every fact a client states is checked here, before any of it is used.

#include <algorithm>
#include <cerrno>

#include "memif/handshake.h"
#include "sys/doorbell.h"

namespace nodevpp::memif {
namespace {

// All bytes are looked at, whatever the first difference is.
bool same_secret(const std::array<uint8_t, kSecretSize>& a, const std::array<uint8_t, kSecretSize>& b) {
  volatile uint8_t difference = 0;
  for (size_t i = 0; i < kSecretSize; i++)
    difference = difference | static_cast<uint8_t>(a[i] ^ b[i]);
  return difference == 0;
}

std::string number(uint64_t value) {
  return std::to_string(value);
}

} // namespace

Step ServerHandshake::start() {
  Step step;
  step.send.push_back({emit(hello_)});
  return step;
}

Step ServerHandshake::refuse(Reason reason, std::string text, sys::SysError error) {
  state_ = State::over;
  Step step;
  step.send.push_back({emit(Disconnect{0, text})});
  step.over = Failure{reason, std::move(text), error};
  return step;
}

Step ServerHandshake::receive(sys::ReceivedMessage& received) {
  if (received.size != kMessageSize || received.truncated) {
    return refuse(Reason::protocol,
                  received.truncated && received.size == kMessageSize
                      ? "a control message lost descriptors: too many, or none left in this process"
                      : "a control message of " + number(received.size) + " bytes instead of 128");
  }
  const uint8_t* message = received.data;
  uint16_t type = message_type(message);
  bool wants_fd = type == static_cast<uint16_t>(MessageType::add_region) ||
                  type == static_cast<uint16_t>(MessageType::add_ring);
  if (received.fds.size() > (wants_fd ? 1u : 0u)) {
    return refuse(Reason::protocol,
                  number(received.fds.size()) + " descriptors came with " + message_name(type));
  }
  if (type == static_cast<uint16_t>(MessageType::disconnect)) {
    state_ = State::over;
    Step step;
    step.over = Failure{Reason::peer_refused, parse_disconnect(message).text, {}};
    return step;
  }
  sys::ForeignFd fd = received.fds.empty() ? sys::ForeignFd() : std::move(received.fds[0]);
  switch (state_) {
  case State::awaiting_init:
    if (type == static_cast<uint16_t>(MessageType::init)) return init(message);
    break;
  case State::building:
    if (wants_fd && !fd.valid()) {
      return refuse(Reason::protocol, std::string(message_name(type)) + " came without a descriptor");
    }
    if (type == static_cast<uint16_t>(MessageType::add_region)) {
      return add_region(parse_add_region(message), std::move(fd));
    }
    if (type == static_cast<uint16_t>(MessageType::add_ring))
      return add_ring(parse_add_ring(message), std::move(fd));
    if (type == static_cast<uint16_t>(MessageType::connect)) return connect(message);
    break;
  case State::connected:
  case State::over:
    break;
  }
  return refuse(Reason::protocol, std::string(message_name(type)) + " is not expected now");
}

Step ServerHandshake::init(const uint8_t* message) {
  Init init = parse_init(message);
  if (init.version != kVersion) return refuse(Reason::version, "incompatible version");
  Target target = find_(init.id);
  if (target.options == nullptr) return refuse(Reason::id, "unmatched interface id");
  id_ = init.id; // also of a client that is turned away: its interface hears of that
  if (target.options->mode != static_cast<Mode>(init.mode)) return refuse(Reason::mode, "mode mismatch");
  if (target.options->has_secret && !same_secret(init.secret, target.options->secret)) {
    return refuse(Reason::secret, "incorrect secret");
  }
  if (target.busy) return refuse(Reason::busy, "already connected");
  options_ = *target.options;
  session_.peer_name = init.name;
  state_ = State::building;
  return {{{emit_ack()}}, {}, false};
}

Step ServerHandshake::add_region(const AddRegion& wanted, sys::ForeignFd fd) {
  auto what = "region " + number(wanted.index) + ": ";
  if (!session_.s2m.empty() || !session_.m2s.empty())
    return refuse(Reason::region, what + "added after a ring");
  if (wanted.index != session_.regions.size()) {
    return refuse(Reason::region, what + "the next index is " + number(session_.regions.size()));
  }
  if (wanted.index >= kMaxRegions) return refuse(Reason::region, what + "too many regions");
  if (wanted.size == 0 || wanted.size > options_.max_region_size) {
    return refuse(Reason::region, what + "size " + number(wanted.size) + " is not between 1 and " +
                                      number(options_.max_region_size));
  }
  if (wanted.size > options_.max_total_size - std::min(total_size_, options_.max_total_size)) {
    return refuse(Reason::region,
                  what + "all regions together exceed " + number(options_.max_total_size) + " bytes");
  }
  sys::FileFacts facts;
  if (auto error = sys::inspect_file(fd.get(), &facts))
    return refuse(Reason::region, what + "unusable", error);
  if (!facts.shared_memory) return refuse(Reason::region, what + "the descriptor is not shared memory");
  if (facts.size < wanted.size) {
    return refuse(Reason::region,
                  what + "the file has " + number(facts.size) + " bytes of " + number(wanted.size));
  }
  if (!facts.sealed_against_shrinking && !options_.allow_unsealed) {
    return refuse(Reason::region, what + "not sealed against shrinking");
  }
  Region region;
  region.size = wanted.size;
  auto error = sys::Mapping::map(fd.get(), wanted.size, true, &region.mapping);
  // A sealed region hardly needs its guard: that others have used up the table must not keep it out.
  if (error.err == ENOSPC && facts.sealed_against_shrinking) {
    error = sys::Mapping::map(fd.get(), wanted.size, false, &region.mapping);
  }
  if (error) {
    return refuse(Reason::region, what + "cannot be mapped", error);
  }
  region.fd = fd.trust();
  total_size_ += wanted.size;
  session_.regions.push_back(std::move(region));
  return {{{emit_ack()}}, {}, false};
}

Step ServerHandshake::add_ring(const AddRing& wanted, sys::ForeignFd fd) {
  auto& rings = wanted.s2m ? session_.s2m : session_.m2s;
  // HELLO came before we knew which interface it would be: its promise holds, also where this one asks for
  // fewer rings.
  uint32_t promised = (wanted.s2m ? hello_.max_s2m_ring : hello_.max_m2s_ring) + 1u;
  uint32_t most = std::max<uint32_t>(promised, wanted.s2m ? options_.s2m_rings : options_.m2s_rings);
  auto what = std::string(wanted.s2m ? "S2M" : "M2S") + " ring " + number(wanted.index) + ": ";
  if (wanted.index != rings.size())
    return refuse(Reason::ring, what + "the next index is " + number(rings.size()));
  if (wanted.index >= most) return refuse(Reason::ring, what + "at most " + number(most) + " taken here");
  if (wanted.log2_ring_size < 1 || wanted.log2_ring_size > hello_.max_log2_ring_size) {
    return refuse(Reason::ring, what + "size 2^" + number(wanted.log2_ring_size) +
                                    " is not between 2^1 and 2^" + number(hello_.max_log2_ring_size));
  }
  if (wanted.private_header_size != 0) return refuse(Reason::ring, what + "private header not supported");
  if (wanted.region >= session_.regions.size()) {
    return refuse(Reason::ring, what + "region " + number(wanted.region) + " was not added");
  }
  uint64_t size = session_.regions[wanted.region].size;
  uint64_t bytes = ring_bytes(wanted.log2_ring_size, options_.cache_line);
  if (wanted.offset % 16 != 0) return refuse(Reason::ring, what + "offset is not a multiple of 16");
  if (uint64_t{wanted.offset} + bytes > size)
    return refuse(Reason::ring, what + "does not fit in its region");
  if (!sys::is_eventfd(fd.get())) return refuse(Reason::ring, what + "the descriptor is not an eventfd");
  if (auto error = sys::set_nonblocking(fd.get()))
    return refuse(Reason::ring, what + "unusable eventfd", error);
  // The one we listen to; what rings the other is the client's own business.
  if (wanted.s2m && !sys::drains_at_once(fd.get()))
    return refuse(Reason::ring, what + "the eventfd is a semaphore");
  RingPlace place;
  place.s2m = wanted.s2m;
  place.index = wanted.index;
  place.region = wanted.region;
  place.offset = wanted.offset;
  place.log2_size = wanted.log2_ring_size;
  place.event = fd.trust();
  rings.push_back(std::move(place));
  return {{{emit_ack()}}, {}, false};
}

std::optional<std::string> ServerHandshake::overlap() const {
  std::vector<const RingPlace*> all;
  for (const auto* rings : {&session_.s2m, &session_.m2s}) {
    for (const auto& ring : *rings)
      all.push_back(&ring);
  }
  std::sort(all.begin(), all.end(), [](const RingPlace* a, const RingPlace* b) {
    return a->region != b->region ? a->region < b->region : a->offset < b->offset;
  });
  for (size_t i = 1; i < all.size(); i++) {
    const RingPlace& before = *all[i - 1];
    if (before.region != all[i]->region) continue;
    if (before.offset + ring_bytes(before.log2_size, options_.cache_line) > all[i]->offset) {
      return std::string(all[i]->s2m ? "S2M" : "M2S") + " ring " + number(all[i]->index) +
             ": overlaps another ring";
    }
  }
  return {};
}

Step ServerHandshake::connect(const uint8_t* message) {
  if (session_.s2m.empty() || session_.m2s.empty())
    return refuse(Reason::ring, "CONNECT without a ring each way");
  if (auto text = overlap()) return refuse(Reason::ring, *text);
  for (const auto* rings : {&session_.s2m, &session_.m2s}) {
    for (const auto& ring : *rings) {
      const uint8_t* base = session_.regions[ring.region].mapping->data() + ring.offset;
      if (load<uint32_t>(base, 0) != kCookie) {
        return refuse(Reason::ring, std::string(ring.s2m ? "S2M" : "M2S") + " ring " + number(ring.index) +
                                        ": wrong cookie");
      }
    }
  }
  session_.peer_interface_name = parse_connect(message);
  state_ = State::connected;
  Step step;
  step.send.push_back({emit_connect(MessageType::connected, options_.interface_name)});
  step.connected = true;
  return step;
}

} // namespace nodevpp::memif
