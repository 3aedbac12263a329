// Bursts between rings and the memory of a dataplane for JavaScript: one call each, without objects.
//
// A queue of JavaScript (lib/memif) keeps where it is; it puts that, and what it wants, into a few words, and
// finds there what became of it. The same numbers are in lib/memif/transfer.ts.

#include "addon/environment.h"
#include "memif/transfer.h"

namespace nodevpp::addon {
namespace {

enum Word : uint8_t {
  kServer,
  kLog2Size,
  kCacheLine,
  kNext,
  kBufferSize,
  kMax,      // receive, relay: packets wanted; transmit: slots
  kAt,       // receive: first free byte; relay: the shortest packet
  kHeadroom, // receive
  kSegments, // from here on: the answer
  kPackets,
  kBytes,
  kLost,
  kEnd,
  kFlags,
  kWords = 16,
};
enum Flag : uint8_t { kFull = 1, kBroken = 2, kKick = 4 };

// Of lib/dataplane/forwarding/vector.ts.
constexpr size_t kSlots = 4096;
constexpr size_t kColumnBytes = kSlots * (3 * sizeof(uint32_t) + 2 * sizeof(uint16_t));

constexpr size_t kMaxRegions = 256;

// Reads the four arguments that say what a ring is: words, ring, regions, buffers. False when they are not
// what they should be, which they are not after the interface went down.
struct Use {
  memif::RingUse ring;
  uint32_t* words = nullptr;
  memif::Span regions[kMaxRegions];

  bool read(napi_env env, const napi_value* arguments) {
    Bytes state;
    Bytes ring_bytes;
    uint32_t count = 0;
    if (!get_bytes(env, arguments[0], &state) || state.length < kWords * sizeof(uint32_t) ||
        !get_bytes(env, arguments[1], &ring_bytes) ||
        napi_get_array_length(env, arguments[2], &count) != napi_ok || count > kMaxRegions) {
      return false;
    }
    words = reinterpret_cast<uint32_t*>(state.data);
    auto log2_size = static_cast<uint8_t>(words[kLog2Size]);
    auto cache_line = static_cast<uint16_t>(words[kCacheLine]);
    if (log2_size > memif::kMaxLog2RingSize ||
        2 * size_t{cache_line} + (memif::kDescriptorSize << log2_size) > ring_bytes.length) {
      return false;
    }
    for (uint32_t i = 0; i < count; i++) {
      napi_value region = nullptr;
      Bytes bytes;
      if (napi_get_element(env, arguments[2], i, &region) != napi_ok || !get_bytes(env, region, &bytes))
        return false;
      regions[i] = {bytes.data, bytes.length};
    }
    ring.ring = memif::Ring(ring_bytes.data, log2_size, cache_line);
    ring.server = words[kServer] == 1;
    ring.next = static_cast<uint16_t>(words[kNext]);
    ring.buffer_size = words[kBufferSize];
    ring.regions = regions;
    ring.region_count = count;
    if (ring.server) return true;
    Bytes buffers;
    if (!get_bytes(env, arguments[3], &buffers) || buffers.length < (sizeof(uint32_t) << log2_size))
      return false;
    ring.buffers = reinterpret_cast<const uint32_t*>(buffers.data);
    return true;
  }

  void answer(const memif::Moved& moved) const {
    words[kSegments] = moved.segments;
    words[kPackets] = moved.packets;
    words[kBytes] = static_cast<uint32_t>(moved.bytes);
    words[kLost] = moved.lost;
    words[kEnd] = static_cast<uint32_t>(moved.end);
    words[kFlags] =
        uint32_t{moved.full} * kFull + uint32_t{moved.broken} * kBroken + uint32_t{moved.kick} * kKick;
  }
};

bool read_columns(napi_env env, napi_value value, memif::Columns* columns) {
  Bytes bytes;
  if (!get_bytes(env, value, &bytes) || bytes.length < kColumnBytes) return false;
  auto* words = reinterpret_cast<uint32_t*>(bytes.data);
  columns->offset = words;
  columns->length = words + kSlots;
  columns->head_at = words + 2 * kSlots;
  columns->head_length = reinterpret_cast<const uint16_t*>(words + 3 * kSlots);
  columns->skip = columns->head_length + kSlots;
  columns->slots = kSlots;
  return true;
}

napi_value number(napi_env env, int32_t value) {
  napi_value result = nullptr;
  napi_create_int32(env, value, &result);
  return result;
}

// receive(words, ring, regions, buffers, memory, columns) -> packets, in slots from 0 on; -1 when it cannot
// be
napi_value receive(napi_env env, napi_callback_info info) {
  size_t argc = 6;
  napi_value argv[6];
  napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr);
  Use use;
  Bytes memory;
  memif::Columns columns;
  if (!use.read(env, argv) || !get_bytes(env, argv[4], &memory) || !read_columns(env, argv[5], &columns))
    return number(env, -1);
  memif::Moved moved = memif::receive(use.ring, use.words[kMax], {memory.data, memory.length}, use.words[kAt],
                                      use.words[kHeadroom], columns, 0);
  use.answer(moved);
  return number(env, static_cast<int32_t>(moved.packets));
}

// transmit(words, ring, regions, buffers, memory, columns, slots) -> packets sent; -1 when it cannot be
napi_value transmit(napi_env env, napi_callback_info info) {
  size_t argc = 7;
  napi_value argv[7];
  napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr);
  Use use;
  Bytes memory;
  Bytes slots;
  memif::Columns columns;
  if (!use.read(env, argv) || !get_bytes(env, argv[4], &memory) || !read_columns(env, argv[5], &columns) ||
      !get_bytes(env, argv[6], &slots) || size_t{use.words[kMax]} * sizeof(uint16_t) > slots.length) {
    return number(env, -1);
  }
  memif::Moved moved = memif::transmit(use.ring, {memory.data, memory.length}, columns,
                                       reinterpret_cast<const uint16_t*>(slots.data), use.words[kMax]);
  use.answer(moved);
  return number(env, static_cast<int32_t>(moved.packets));
}

// relay(words, ring, regions, buffers, and the same of the ring to send by) -> packets taken; -1 when it
// cannot be
napi_value relay(napi_env env, napi_callback_info info) {
  size_t argc = 8;
  napi_value argv[8];
  napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr);
  Use from;
  Use to;
  if (!from.read(env, argv) || !to.read(env, argv + 4)) return number(env, -1);
  memif::Moved sent;
  memif::Moved moved = memif::relay(from.ring, to.ring, from.words[kMax], from.words[kAt], &sent);
  from.answer(moved);
  to.answer(sent);
  return number(env, static_cast<int32_t>(moved.packets));
}

} // namespace

void init_transfer(Napi::Env env, Napi::Object exports) {
  auto add = [&](const char* name, napi_callback callback) {
    napi_value function = nullptr;
    napi_create_function(env, name, NAPI_AUTO_LENGTH, callback, nullptr, &function);
    exports.Set(name, Napi::Value(env, function));
  };
  add("memifReceive", receive);
  add("memifTransmit", transmit);
  add("memifRelay", relay);
}

} // namespace nodevpp::addon
