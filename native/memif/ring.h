// A ring in shared memory, seen by one of its two users. All memory ordering of the data path is in this
// file.
//
//   what            who writes   how we touch it                     why
//   peer's index    peer         load, acquire                       the descriptors it covers come after it
//   own index       us           store, release; kept in a local     our descriptors come before it; memory
//   may lie descriptors     both         plain, copied out once              the index orders them; the peer
//   may rewrite them flags           receiver     relaxed, behind a full fence        unmask -> look again;
//   publish -> look at the mask
//
// head is written by the client only and tail by the server only, on both kinds of ring; what a move means
// differs:
//
//            head moves when the client has    tail moves when the server has
//   S2M      published packets                 consumed packets
//   M2S      posted empty buffers              filled them

#pragma once

#include <atomic>

#include "memif/protocol.h"

namespace nodevpp::memif {

struct Descriptor {
  uint16_t flags = 0;
  uint16_t region = 0;
  uint32_t length = 0;
  uint32_t offset = 0;
};

class Ring {
public:
  Ring() = default;
  Ring(uint8_t* base, uint8_t log2_size, uint16_t cache_line)
      : base_(base), descriptors_(base + 2 * cache_line), cache_line_(cache_line), size_(1u << log2_size) {}

  uint32_t size() const { return size_; }
  uint32_t slot(uint16_t index) const { return index & (size_ - 1); }

  uint16_t head() const { return word(6).load(std::memory_order_acquire); }
  uint16_t tail() const { return word(cache_line_).load(std::memory_order_acquire); }
  void publish_head(uint16_t value) { word(6).store(value, std::memory_order_release); }
  void publish_tail(uint16_t value) { word(cache_line_).store(value, std::memory_order_release); }

  // Every field is loaded exactly once; what is returned can no longer change under us.
  Descriptor read(uint32_t slot) const {
    uint32_t words[3];
    const uint8_t* at = descriptors_ + size_t{slot} * kDescriptorSize;
    for (size_t i = 0; i < 3; i++) {
      words[i] = std::atomic_ref<uint32_t>(*reinterpret_cast<uint32_t*>(const_cast<uint8_t*>(at + i * 4)))
                     .load(std::memory_order_relaxed);
    }
    return {static_cast<uint16_t>(words[0]), static_cast<uint16_t>(words[0] >> 16), words[1], words[2]};
  }
  void write(uint32_t slot, const Descriptor& d) {
    uint8_t* at = descriptors_ + size_t{slot} * kDescriptorSize;
    store<uint32_t>(at, 0, d.flags | static_cast<uint32_t>(d.region) << 16);
    store<uint32_t>(at, 4, d.length);
    store<uint32_t>(at, 8, d.offset);
  }

  // The receiver's wish not to be woken. After unmasking look at the ring once more.
  void mask_interrupts(bool masked) {
    word(4).store(masked ? kRingMaskInterrupt : 0, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_seq_cst);
  }
  // To be asked after an index has been published.
  bool wants_kick() const {
    std::atomic_thread_fence(std::memory_order_seq_cst);
    return (word(4).load(std::memory_order_relaxed) & kRingMaskInterrupt) == 0;
  }

private:
  std::atomic_ref<uint16_t> word(size_t offset) const {
    return std::atomic_ref<uint16_t>(*reinterpret_cast<uint16_t*>(base_ + offset));
  }

  uint8_t* base_ = nullptr;
  uint8_t* descriptors_ = nullptr;
  uint16_t cache_line_ = 64;
  uint32_t size_ = 0;
};

} // namespace nodevpp::memif
