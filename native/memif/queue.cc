#include "memif/queue.h"

#include <algorithm>

namespace nodevpp::memif {

Queue::Queue(const Session& session, const RingPlace& place, Role role, bool receiving, uint32_t buffer_size,
             uint16_t cache_line, QueueState state)
    : ring_(session.regions[place.region].mapping->data() + place.offset, place.log2_size, cache_line),
      server_(role == Role::server), receiving_(receiving), buffer_size_(buffer_size),
      event_(place.event.get()), state_(std::move(state)) {
  for (const Region& region : session.regions)
    regions_.push_back(region.mapping);
  own_ = state_.next;
  // A receiving client owns head, which runs one ring ahead of what it has taken.
  if (!server_ && receiving_) own_ = static_cast<uint16_t>(state_.next + ring_.size());
}

void Queue::post_buffers() {
  for (uint32_t slot = 0; slot < ring_.size(); slot++) {
    ring_.write(slot, {0, 1, buffer_size_, state_.buffers[slot]});
  }
  own_ = static_cast<uint16_t>(state_.next + ring_.size());
  ring_.publish_head(own_);
}

bool Queue::locate(const Descriptor& d, Segment* out) const {
  if (d.region >= regions_.size()) return false;
  const sys::Mapping& region = *regions_[d.region];
  if (uint64_t{d.offset} + d.length > region.size()) return false;
  out->data = region.data() + d.offset;
  out->length = d.length;
  out->region = d.region;
  out->offset = d.offset;
  return true;
}

size_t Queue::peek(Segment* out, size_t max, Violation* violation) {
  *violation = Violation::none;
  auto available = static_cast<uint16_t>(peer_index() - state_.next);
  if (available > ring_.size()) {
    *violation = Violation::index;
    return 0;
  }
  size_t whole = 0; // segments of complete packets
  size_t n = 0;
  for (; n < available && (n < max || whole == 0); n++) {
    uint32_t slot = ring_.slot(static_cast<uint16_t>(state_.next + n));
    Descriptor d = ring_.read(slot);
    if (!server_) {
      // Our own buffers: where they are is ours to know, only the length is the server's word.
      d.region = 1;
      d.offset = state_.buffers[slot];
      if (d.length > buffer_size_) {
        *violation = Violation::descriptor;
        return whole;
      }
    }
    if (d.length > kMaxSegment || !locate(d, &out[n])) {
      *violation = Violation::descriptor;
      return whole;
    }
    out[n].more = (d.flags & kDescriptorNext) != 0;
    if (!out[n].more) whole = n + 1;
  }
  // A full ring without an end of packet is a chain that can never be completed.
  if (whole == 0 && n == ring_.size()) *violation = Violation::descriptor;
  return whole;
}

bool Queue::memory_lost() const {
  return std::any_of(regions_.begin(), regions_.end(), [](const auto& region) { return region->lost(); });
}

void Queue::release(size_t count) {
  if (count == 0) return;
  if (!server_) {
    for (size_t i = 0; i < count; i++) {
      uint32_t slot = ring_.slot(static_cast<uint16_t>(state_.next + i));
      ring_.write(slot, {0, 1, buffer_size_, state_.buffers[slot]});
    }
  }
  state_.next = static_cast<uint16_t>(state_.next + count);
  own_ = static_cast<uint16_t>(own_ + count);
  if (server_)
    ring_.publish_tail(own_);
  else
    ring_.publish_head(own_);
}

size_t Queue::reserve(Segment* out, size_t max, Violation* violation) {
  *violation = Violation::none;
  // Server: buffers the client has posted. Client: slots the server has given back.
  auto used = static_cast<uint16_t>(server_ ? ring_.head() - state_.next : state_.next - ring_.tail());
  if (used > ring_.size()) {
    *violation = Violation::index;
    return 0;
  }
  size_t free = server_ ? used : ring_.size() - used;
  most_free_ = std::max(most_free_, free);
  size_t count = std::min(free, max);
  for (size_t i = 0; i < count; i++) {
    uint32_t slot = ring_.slot(static_cast<uint16_t>(state_.next + i));
    Descriptor d = server_ ? ring_.read(slot) : Descriptor{0, 1, buffer_size_, state_.buffers[slot]};
    if (!locate(d, &out[i])) {
      *violation = Violation::descriptor;
      return i;
    }
    out[i].more = false;
  }
  return count;
}

bool Queue::commit(const Segment* segments, size_t count) {
  if (count == 0) return false;
  for (size_t i = 0; i < count; i++) {
    uint32_t slot = ring_.slot(static_cast<uint16_t>(state_.next + i));
    const Segment& segment = segments[i];
    uint16_t flags = segment.more ? kDescriptorNext : 0;
    ring_.write(slot, {flags, segment.region, segment.length, segment.offset});
  }
  state_.next = static_cast<uint16_t>(state_.next + count);
  own_ = static_cast<uint16_t>(own_ + count);
  if (server_)
    ring_.publish_tail(own_);
  else
    ring_.publish_head(own_);
  return ring_.wants_kick();
}

} // namespace nodevpp::memif
