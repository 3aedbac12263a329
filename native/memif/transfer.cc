#include "memif/transfer.h"

#include <algorithm>
#include <cstring>

#include "memif/queue.h"

namespace nodevpp::memif {
namespace {

// Left as it is found: thousands of them are on the stack of each call, and few are used.
struct Piece {
  uint8_t* data;
  uint32_t length;
  uint32_t offset;
  uint16_t region;
  bool more;
};

// Where packets start in our memory: the network header behind an Ethernet header then lies at a multiple
// of 32.
constexpr size_t kAlignment = 32;

inline void copy(uint8_t* to, const uint8_t* from, size_t length) {
  // The length is known to the compiler for the commonest frame, which then is four vector moves.
  if (length == 64)
    std::memcpy(to, from, 64);
  else
    std::memcpy(to, from, length);
}

inline bool locate(const RingUse& use, const Descriptor& d, Piece* out) {
  if (d.region >= use.region_count) return false;
  const Span& region = use.regions[d.region];
  if (uint64_t{d.offset} + d.length > region.size) return false;
  out->data = region.data + d.offset;
  out->length = d.length;
  out->region = d.region;
  out->offset = d.offset;
  return true;
}

// What has come: the pieces of up to `max` whole packets, of at least one if there is any. Returns their
// number.
size_t look(const RingUse& use, Piece* pieces, size_t max, bool* broken) {
  const Ring& ring = use.ring;
  auto available = static_cast<uint16_t>((use.server ? ring.head() : ring.tail()) - use.next);
  if (available > ring.size()) {
    *broken = true;
    return 0;
  }
  size_t whole = 0;
  size_t n = 0;
  for (; n < available && (n < max || whole == 0); n++) {
    uint32_t slot = ring.slot(static_cast<uint16_t>(use.next + n));
    Descriptor d = ring.read(slot);
    if (!use.server) {
      // Our own buffers: where they are is ours to know, only the length is the server's word.
      d.region = 1;
      d.offset = use.buffers[slot];
      if (d.length > use.buffer_size) *broken = true;
    }
    if (d.length > kMaxSegment || !locate(use, d, &pieces[n])) *broken = true;
    if (*broken) return 0;
    __builtin_prefetch(pieces[n].data);
    pieces[n].more = (d.flags & kDescriptorNext) != 0;
    if (!pieces[n].more) {
      whole = n + 1;
    } else if (n - whole >= kMaxChain) {
      *broken = true;
      return 0;
    }
  }
  // A full ring without an end of packet is a chain that can never be completed.
  if (whole == 0 && n == ring.size()) *broken = true;
  return whole;
}

// Gives `count` slots back.
void release(const RingUse& use, size_t count) {
  if (count == 0) return;
  Ring ring = use.ring;
  if (!use.server) {
    for (size_t i = 0; i < count; i++) {
      uint32_t slot = ring.slot(static_cast<uint16_t>(use.next + i));
      ring.write(slot, {0, 1, use.buffer_size, use.buffers[slot]});
    }
    ring.publish_head(static_cast<uint16_t>(use.next + count + ring.size()));
  } else {
    ring.publish_tail(static_cast<uint16_t>(use.next + count));
  }
}

// The buffers of a ring to send by, looked at as they are needed.
class Room {
public:
  explicit Room(const RingUse& use) : use_(use) {
    const Ring& ring = use.ring;
    // Server: buffers the client has posted. Client: slots the server has given back.
    auto used = static_cast<uint16_t>(use.server ? ring.head() - use.next : use.next - ring.tail());
    if (used > ring.size())
      broken_ = true;
    else
      free_ = use.server ? used : ring.size() - used;
  }

  // Whether the buffer `n` slots behind the first is there; reads some more in advance.
  bool has(size_t n) { return n < seen_ || look(n); }
  Piece& operator[](size_t n) { return pieces_[n]; }
  bool broken() const { return broken_; }
  // Slots that one packet could have at most, if all before it were gone.
  size_t free() const { return free_; }

  bool commit(size_t count) {
    if (count == 0) return false;
    Ring ring = use_.ring;
    for (size_t i = 0; i < count; i++) {
      uint32_t slot = ring.slot(static_cast<uint16_t>(use_.next + i));
      const Piece& piece = pieces_[i];
      uint16_t flags = piece.more ? kDescriptorNext : 0;
      ring.write(slot, {flags, piece.region, piece.length, piece.offset});
    }
    auto next = static_cast<uint16_t>(use_.next + count);
    if (use_.server)
      ring.publish_tail(next);
    else
      ring.publish_head(next);
    return ring.wants_kick();
  }

private:
  bool look(size_t n) {
    if (n >= free_ || n >= kMost || broken_) return false;
    size_t to = std::min({n + kAhead, free_, kMost});
    for (; seen_ < to; seen_++) {
      uint32_t slot = use_.ring.slot(static_cast<uint16_t>(use_.next + seen_));
      Descriptor d =
          use_.server ? use_.ring.read(slot) : Descriptor{0, 1, use_.buffer_size, use_.buffers[slot]};
      if (!locate(use_, d, &pieces_[seen_])) {
        broken_ = true;
        return n < seen_;
      }
      __builtin_prefetch(pieces_[seen_].data, 1);
    }
    return true;
  }

  static constexpr size_t kAhead = 64;
  static constexpr size_t kMost = 4096;
  const RingUse& use_;
  size_t free_ = 0;
  size_t seen_ = 0;
  bool broken_ = false;
  Piece pieces_[kMost];
};

// One packet on its way into the buffers of a ring, which may be shorter than it.
class Writer {
public:
  Writer(Room& room, size_t at) : room_(room), at_(at), last_(at) {}

  // Whether there is room for so many bytes.
  bool fits(size_t length) {
    size_t capacity = 0;
    for (last_ = at_; room_.has(last_); last_++) {
      capacity += room_[last_].length;
      if (capacity >= length) return true;
    }
    return false;
  }
  void add(const uint8_t* from, size_t length) {
    while (length > 0) {
      Piece& piece = room_[at_];
      if (filled_ == piece.length) {
        piece.more = true;
        at_++;
        filled_ = 0;
        continue;
      }
      size_t part = std::min<size_t>(length, piece.length - filled_);
      std::memcpy(piece.data + filled_, from, part);
      filled_ += static_cast<uint32_t>(part);
      from += part;
      length -= part;
    }
  }
  // The slot behind the packet.
  size_t end() {
    room_[at_].length = filled_;
    room_[at_].more = false;
    return at_ + 1;
  }

private:
  Room& room_;
  size_t at_;
  size_t last_;
  uint32_t filled_ = 0;
};

} // namespace

Moved receive(const RingUse& use, size_t max, Span memory, size_t at, size_t headroom, const Columns& columns,
              size_t first) {
  Moved moved;
  moved.end = at;
  Piece pieces[kMaxBurst + kMaxChain + 1];
  size_t count = look(use, pieces, std::min(max, kMaxBurst), &moved.broken);
  if (moved.broken) return moved;
  size_t slot = first;
  size_t i = 0;
  while (i < count && slot < columns.slots) {
    uint64_t length = pieces[i].length;
    size_t last = i;
    while (pieces[last].more)
      length += pieces[++last].length;
    if (length > kMaxPacket) {
      moved.lost++;
      i = last + 1;
      continue;
    }
    size_t to = ((moved.end + kAlignment - 1) & ~(kAlignment - 1)) + headroom;
    if (to + length > memory.size) break;
    columns.offset[slot] = static_cast<uint32_t>(to);
    columns.length[slot] = static_cast<uint32_t>(length);
    slot++;
    moved.bytes += length;
    for (; i <= last; i++) {
      copy(memory.data + to, pieces[i].data, pieces[i].length);
      to += pieces[i].length;
    }
    moved.end = to;
  }
  moved.packets = static_cast<uint32_t>(slot - first);
  moved.segments = static_cast<uint32_t>(i);
  release(use, i);
  return moved;
}

Moved transmit(const RingUse& use, Span memory, const Columns& columns, const uint16_t* slots, size_t count) {
  Moved moved;
  Room room(use);
  size_t used = 0;
  for (size_t i = 0; i < count; i++) {
    uint16_t p = slots[i];
    if (p >= columns.slots) break;
    uint32_t head_at = columns.head_at[p];
    uint32_t head = columns.head_length[p];
    uint32_t from = columns.offset[p] + columns.skip[p];
    uint32_t rest = columns.length[p] - columns.skip[p];
    if (columns.skip[p] > columns.length[p] || uint64_t{head_at} + head > memory.size ||
        uint64_t{from} + rest > memory.size) {
      break;
    }
    size_t length = size_t{head} + rest;
    if (!room.has(used)) {
      moved.full = true;
      break;
    }
    Piece& piece = room[used];
    if (length <= piece.length) {
      if (head > 0) std::memcpy(piece.data, memory.data + head_at, head);
      copy(piece.data + head, memory.data + from, rest);
      piece.length = static_cast<uint32_t>(length);
      piece.more = false;
      used++;
    } else {
      Writer writer(room, used);
      if (!writer.fits(length)) {
        moved.full = true;
        break;
      }
      writer.add(memory.data + head_at, head);
      writer.add(memory.data + from, rest);
      used = writer.end();
    }
    moved.packets++;
    moved.bytes += length;
  }
  moved.broken = room.broken();
  moved.segments = static_cast<uint32_t>(used);
  moved.kick = room.commit(used);
  return moved;
}

Moved relay(const RingUse& from, const RingUse& to, size_t max, uint32_t shortest, Moved* sent) {
  Moved moved;
  Piece pieces[kMaxBurst + kMaxChain + 1];
  size_t count = look(from, pieces, std::min(max, kMaxBurst), &moved.broken);
  if (moved.broken || count == 0) return moved;
  Room room(to);
  size_t used = 0;
  size_t i = 0;
  while (i < count) {
    uint64_t length = pieces[i].length;
    size_t last = i;
    while (pieces[last].more)
      length += pieces[++last].length;
    if (length < shortest) break;
    moved.packets++;
    moved.bytes += length;
    bool here = room.has(used);
    if (here && last == i && length <= room[used].length) {
      Piece& piece = room[used];
      copy(piece.data, pieces[i].data, length);
      piece.length = static_cast<uint32_t>(length);
      piece.more = false;
      used++;
      sent->packets++;
      sent->bytes += length;
    } else if (here) {
      Writer writer(room, used);
      if (writer.fits(length)) {
        for (size_t s = i; s <= last; s++)
          writer.add(pieces[s].data, pieces[s].length);
        used = writer.end();
        sent->packets++;
        sent->bytes += length;
      } else {
        sent->full = true;
      }
    } else {
      sent->full = true;
    }
    i = last + 1;
  }
  sent->broken = room.broken();
  sent->segments = static_cast<uint32_t>(used);
  sent->kick = room.commit(used);
  moved.segments = static_cast<uint32_t>(i);
  release(from, i);
  return moved;
}

} // namespace nodevpp::memif
