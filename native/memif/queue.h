// The data path in C++: a queue is one ring used in one direction. What the peer writes is checked as it is
// read.
//
//   receiving   peek(..)    copy out descriptors that the peer has published, whole packets only, without
//   taking them
//               release(n)  give the first n back
//   sending     reserve(..) buffers to fill, without taking them
//               commit(n)   publish the first n
//
// The JavaScript queues (lib/memif) do the same over the same memory; this one serves bridges and tests. A
// queue has one user at a time.

#pragma once

#include <vector>

#include "memif/ring.h"
#include "memif/session.h"

namespace nodevpp::memif {

struct Segment {
  uint8_t* data = nullptr;
  uint32_t length = 0; // receiving: bytes of data; sending: capacity, then what commit shall publish
  bool more = false;   // the packet goes on in the next segment
  uint16_t region = 0; // where `data` is, as the ring says it
  uint32_t offset = 0;
};

enum class Violation : uint8_t { none, index, descriptor, doorbell };

struct QueueState {
  uint16_t next = 0;             // first slot not yet taken
  std::vector<uint32_t> buffers; // client: offset of the buffer in each slot (region 1)
};

class Queue {
public:
  // `receiving`: data flows towards us in this ring.
  Queue(const Session& session, const RingPlace& place, Role role, bool receiving, uint32_t buffer_size,
        uint16_t cache_line, QueueState state);

  // Client, once, before the first peek on an M2S ring: hands all buffers to the server.
  void post_buffers();

  uint32_t size() const { return ring_.size(); }
  // `out` has room for size() segments: one packet that is longer than `max` comes whole.
  size_t peek(Segment* out, size_t max, Violation* violation);
  void release(size_t count);
  // Buffers for up to `max` slots.
  size_t reserve(Segment* out, size_t max, Violation* violation);
  // True when the peer wants to be woken.
  bool commit(const Segment* segments, size_t count);

  Ring& ring() { return ring_; }
  int event() const { return event_; }
  // The most buffers that were free for sending at any time.
  size_t most_free() const { return most_free_; }
  // Whether some of the memory was taken away under us: what the ring says since then means nothing.
  bool memory_lost() const;
  const QueueState& state() const { return state_; }

private:
  uint16_t peer_index() const { return server_ ? ring_.head() : ring_.tail(); }
  bool locate(const Descriptor& d, Segment* out) const;

  Ring ring_;
  bool server_;
  bool receiving_;
  uint32_t buffer_size_;
  int event_;
  QueueState state_;
  size_t most_free_ = 0;
  uint16_t own_ = 0; // the index we publish: receiving client: head; receiving server: tail; ...
  std::vector<std::shared_ptr<sys::Mapping>>
      regions_; // alive as long as the queue, whatever becomes of the session
};

// Longest piece of a packet that is believed: buffer sizes are 16 bits wide everywhere.
constexpr uint32_t kMaxSegment = 65535;

} // namespace nodevpp::memif
