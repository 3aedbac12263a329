// The two queues of a connection in VPP's segment, used without the library's blocking calls.
//
// The library takes messages one by one and blocking, and a thread that blocks has to be woken for every
// burst, which costs more than VPP takes to answer. Queues that can be looked at need nobody to wake: who is
// awake anyway takes what is there, and puts in a whole batch, under one lock. Where they are is not in the
// library's interface. They are found, and nothing is believed of them that has not been seen
// (Connection::prove):
//
//   my_api_main ──> words ──┬── inbox | our client index
//                           └── header of the segment: version | VPP's pid | outbox
//   a queue:  lock | head | tail | waiting | length | 8 | the pid of who takes | 2 descriptors | elements
//
// A lock is held for as short as can be: VPP wants it for every message, and whoever has to wait for it
// sleeps. Elements are pointers to messages; the four bytes at message - 8 are its size, as in a frame of the
// socket.

#pragma once

#include <cstddef>
#include <cstdint>

#include "vppapi/library.h"

namespace nodevpp::vppapi {

class Queue {
public:
  // The queue at `address` that `pid` takes from. `length` 0: of any length.
  static bool at(const Library& library, const void* address, int length, int pid, Queue* out);
  bool known() const { return queue_ != nullptr; }
  // Messages in it, and how many it holds.
  uint32_t waiting() const {
    return static_cast<uint32_t>(__atomic_load_n(&numbers_->waiting, __ATOMIC_ACQUIRE));
  }
  uint32_t length() const { return static_cast<uint32_t>(numbers_->length); }
  // Takes up to `most` messages; how many. Nobody else may take from it meanwhile.
  uint32_t take(uint8_t** messages, uint32_t most);
  // Puts in as many as there is room for; how many. Never waits for room.
  uint32_t put(uint8_t* const* messages, uint32_t count);
  // Takes them by the library's own function, and tells whether `take` would have found the same.
  bool take_both_ways(uint8_t** messages, uint32_t count);

private:
  // What lies behind the lock; elements follow.
  struct Numbers {
    int32_t head;
    int32_t tail;
    int32_t waiting;
    int32_t length;
    int32_t element_bytes;
    int32_t pid;
    int32_t event_fds[2];
  };
  void prefetch(int32_t first, uint32_t count, bool write) const;

  const Library* library_ = nullptr;
  void* queue_ = nullptr;
  Numbers* numbers_ = nullptr;
  uint8_t** elements_ = nullptr;
};

struct Queues {
  Queue inbox;
  Queue outbox;
  uint32_t client_index = 0; // as it is written into requests

  // Those of the connection that the library has now, whose inbox is `length` long; false: not all were
  // found.
  bool find(const Library& library, int length);
  static uint32_t size_of(const uint8_t* message);
};

} // namespace nodevpp::vppapi
