// Replies on their way from the library's thread to JavaScript: one writer, one reader, memory of our own.
//
//        head (writer) ──────────────┐                     record: u32 size | bytes | padding to 8
//   [ free | record record record | free      ]            size 0xffffffff: go on at the start
//            └── tail (reader)
//
// head and tail count bytes and never wrap before 2^32; the capacity is a power of two. `armed`: the reader
// has found nothing and sleeps, ring the eventfd once. Invariant: the writer never waits for the reader.

#pragma once

#include <atomic>
#include <cstdint>
#include <cstring>
#include <memory>

#include "sys/shared_memory.h"

namespace nodevpp::vppapi {

class ReplyRing {
public:
  static constexpr size_t kHeadOffset = 0;
  static constexpr size_t kTailOffset = 64;
  static constexpr size_t kArmedOffset = 128;
  static constexpr size_t kDataOffset = 192;
  static constexpr uint32_t kSkip = 0xffffffff;

  static sys::SysError create(uint32_t capacity, std::unique_ptr<ReplyRing>* out) {
    sys::Fd fd;
    std::shared_ptr<sys::Mapping> mapping;
    if (auto error = sys::create_sealed_memfd("node-vpp-api", kDataOffset + capacity, &fd)) return error;
    if (auto error = sys::Mapping::map(fd.get(), kDataOffset + capacity, false, &mapping)) return error;
    out->reset(new ReplyRing(std::move(mapping), capacity));
    return {};
  }

  // False when there is no room; nothing was written then.
  bool push(const uint8_t* bytes, uint32_t size) {
    uint32_t head = word(kHeadOffset).load(std::memory_order_relaxed);
    uint32_t needed = (sizeof(uint32_t) + size + 7) & ~7u;
    uint32_t at = head & (capacity_ - 1);
    uint32_t skipped = at + needed > capacity_ ? capacity_ - at : 0;
    uint32_t used = head - word(kTailOffset).load(std::memory_order_acquire);
    if (size > capacity_ / 2 || used > capacity_ || needed + skipped > capacity_ - used) return false;
    if (skipped > 0) {
      std::memcpy(data() + at, &kSkip, sizeof kSkip);
      at = 0;
    }
    std::memcpy(data() + at, &size, sizeof size);
    std::memcpy(data() + at + sizeof size, bytes, size);
    word(kHeadOffset).store(head + skipped + needed, std::memory_order_seq_cst);
    return true;
  }

  uint32_t head() const { return word(kHeadOffset).load(std::memory_order_seq_cst); }
  // The reader wants to be woken. Look at `head` again afterwards.
  void arm() { word(kArmedOffset).store(1, std::memory_order_seq_cst); }
  // True when the reader has to be woken, once. A plain look first: most of the time it is awake.
  bool disarm() {
    return word(kArmedOffset).load(std::memory_order_seq_cst) != 0 &&
           word(kArmedOffset).exchange(0, std::memory_order_seq_cst) != 0;
  }
  const std::shared_ptr<sys::Mapping>& mapping() const { return mapping_; }
  uint32_t capacity() const { return capacity_; }

private:
  ReplyRing(std::shared_ptr<sys::Mapping> mapping, uint32_t capacity)
      : mapping_(std::move(mapping)), capacity_(capacity) {}
  std::atomic_ref<uint32_t> word(size_t offset) const {
    return std::atomic_ref<uint32_t>(*reinterpret_cast<uint32_t*>(mapping_->data() + offset));
  }
  uint8_t* data() const { return mapping_->data() + kDataOffset; }

  std::shared_ptr<sys::Mapping> mapping_;
  uint32_t capacity_;
};

} // namespace nodevpp::vppapi
