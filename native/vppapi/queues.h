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
//   a queue:  … | head | tail | waiting | length | 8 | the pid of who takes | …
//
// Elements are pointers to messages; the four bytes at message - 8 are its size, as in a frame of the socket.

#pragma once

#include <cstdint>

#include "vppapi/library.h"

namespace nodevpp::vppapi {

class Queue {
public:
  // The queue at `address` that `pid` takes from; `pid` 0: whoever that is. `length` 0: of any length.
  static bool at(const Library& library, const void* address, int length, int pid, Queue* out);
  bool known() const { return queue_ != nullptr; }
  // Messages in it, and how many it holds.
  uint32_t waiting() const { return static_cast<uint32_t>(__atomic_load_n(waiting_, __ATOMIC_ACQUIRE)); }
  uint32_t length() const { return static_cast<uint32_t>(waiting_[1]); }
  int pid() const { return waiting_[3]; }
  // Takes up to `most` messages; how many. Nobody else may take from it meanwhile.
  uint32_t take(uint8_t** messages, uint32_t most);
  // Puts in as many as there is room for; how many. Never waits for room.
  uint32_t put(uint8_t* const* messages, uint32_t count);

private:
  const Library* library_ = nullptr;
  void* queue_ = nullptr;
  const int32_t* waiting_ = nullptr;
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
