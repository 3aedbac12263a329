// Whole bursts in one go, for a dataplane: packets out of a receive ring into memory of our own, packets of
// that memory into a transmit ring, and packets from ring to ring. Each is copied once, and what the peer
// wrote about it (where it is, how long it is) is read once; what comes from memory that several processors
// write is asked for long before it is needed.
//
// Packets in our memory are columns of numbers, one entry a packet (lib/dataplane/forwarding/vector.ts):
//
//   bytes   head [head_at .. head_at + head_length]  then  [offset + skip .. offset + length]

#pragma once

#include "memif/ring.h"

namespace nodevpp::memif {

struct Span {
  uint8_t* data = nullptr;
  size_t size = 0;
};

// A ring for the length of one call, as its user left it.
struct RingUse {
  Ring ring;
  bool server = false;
  uint16_t next = 0;                 // first slot not yet taken
  uint32_t buffer_size = 0;          // client: of each buffer
  const uint32_t* buffers = nullptr; // client: where the buffer of each slot is, in region 1
  const Span* regions = nullptr;
  size_t region_count = 0;
};

struct Columns {
  uint32_t* offset = nullptr;
  uint32_t* length = nullptr;
  const uint32_t* head_at = nullptr;
  const uint16_t* head_length = nullptr;
  const uint16_t* skip = nullptr;
  size_t slots = 0;
};

struct Moved {
  uint32_t segments = 0; // slots of the ring that were used up
  uint32_t packets = 0;
  uint64_t bytes = 0;
  uint32_t lost = 0;   // receiving: packets longer than any may be
  size_t end = 0;      // receiving: first free byte of the memory
  bool full = false;   // sending: not all found room
  bool broken = false; // the peer broke the rules; nothing was taken
  bool kick = false;   // sending: the peer wants to be woken
};

// Longest packet; segments of TCP that the kernel cuts later are this long.
constexpr uint32_t kMaxPacket = 65536;
// Most pieces of one packet that are believed; as in lib/memif/layout.ts.
constexpr size_t kMaxChain = 1024;
// Most slots that one call looks at.
constexpr size_t kMaxBurst = 1024;

// Copies up to `max` packets to `memory` from `at` on, `headroom` bytes in front of each, into the slots from
// `first` on, and gives their buffers back.
Moved receive(const RingUse& use, size_t max, Span memory, size_t at, size_t headroom, const Columns& columns,
              size_t first);
// Sends the packets of `count` slots, in order, until the ring is full.
Moved transmit(const RingUse& use, Span memory, const Columns& columns, const uint16_t* slots, size_t count);
// Moves up to `max` packets from ring to ring; what finds no room is lost. Ends before a packet of less than
// `shortest` bytes. `to` is what was sent.
Moved relay(const RingUse& from, const RingUse& to, size_t max, uint32_t shortest, Moved* sent);

} // namespace nodevpp::memif
