#include "vppapi/queues.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "sys/fd.h"

namespace nodevpp::vppapi {
namespace {

// As far as the library's own description of a connection reaches at least, in every release that has one.
constexpr size_t kWords = 40;
// A mutex and a condition variable come first in a queue, then the numbers.
constexpr size_t kQueueBytes = 160;
constexpr int32_t kElementBytes = 8;

// Reads what may not be there: the kernel says so, where a load would be the end.
class Peek {
public:
  Peek() {
    int fds[2];
    if (::pipe2(fds, O_CLOEXEC | O_NONBLOCK) != 0) return;
    in_ = sys::Fd(fds[0]);
    out_ = sys::Fd(fds[1]);
  }
  bool read(const void* from, void* to, size_t size) {
    if (from == nullptr) return false;
    // Not write(): tools that watch it take what is asked here for a mistake.
    if (!out_.valid() || ::syscall(SYS_write, out_.get(), from, size) != static_cast<long>(size))
      return false;
    return ::read(in_.get(), to, size) == static_cast<ssize_t>(size);
  }

private:
  sys::Fd in_;
  sys::Fd out_;
};

// The beginning of VPP's header of the segment.
struct Header {
  int32_t version;
  int32_t pid;
  const void* outbox;
};

} // namespace

bool Queue::at(const Library& library, const void* address, int length, int pid, Queue* out) {
  std::array<int32_t, kQueueBytes / sizeof(int32_t)> numbers{};
  if (reinterpret_cast<uintptr_t>(address) % alignof(void*) != 0) return false;
  if (!Peek().read(address, numbers.data(), sizeof numbers)) return false;
  for (size_t i = 1; i + 2 < numbers.size(); i++) {
    if (numbers[i + 1] != kElementBytes || numbers[i] <= 0 || numbers[i + 2] != pid) continue;
    if (length != 0 && numbers[i] != length) continue;
    if (numbers[i - 1] < 0 || numbers[i - 1] > numbers[i]) continue;
    out->library_ = &library;
    out->queue_ = const_cast<void*>(address); // NOLINT(cppcoreguidelines-pro-type-const-cast)
    out->waiting_ = static_cast<const int32_t*>(address) + i - 1;
    return true;
  }
  return false;
}

uint32_t Queue::take(uint8_t** messages, uint32_t most) {
  if (library_->queue_lock(queue_) != 0) return 0;
  uint32_t count = std::min(most, waiting());
  for (uint32_t i = 0; i < count; i++)
    library_->queue_sub_raw(queue_, reinterpret_cast<uint8_t*>(&messages[i]));
  library_->queue_unlock(queue_);
  return count;
}

uint32_t Queue::put(uint8_t* const* messages, uint32_t count) {
  if (library_->queue_lock(queue_) != 0) return 0;
  uint32_t room = length() - std::min(length(), waiting());
  count = std::min(count, room);
  for (uint32_t i = 0; i < count; i++) {
    uint8_t* message = messages[i];
    library_->queue_add_raw(queue_, reinterpret_cast<uint8_t*>(&message));
  }
  library_->queue_unlock(queue_);
  return count;
}

bool Queues::find(const Library& library, int length) {
  *this = {};
  if (!library.can_look) return false;
  void* const* main = library.api_main();
  Peek peek;
  std::array<const uint8_t*, kWords> words{};
  if (main == nullptr || !peek.read(*main, words.data(), sizeof words)) return false;
  for (size_t i = 0; i + 1 < words.size(); i++) {
    Header header{};
    if (!inbox.known() && Queue::at(library, words[i], length, ::getpid(), &inbox)) {
      client_index = static_cast<uint32_t>(reinterpret_cast<uintptr_t>(words[i + 1]));
    } else if (!outbox.known() && peek.read(words[i], &header, sizeof header) && header.pid > 0) {
      Queue::at(library, header.outbox, 0, header.pid, &outbox);
    }
  }
  return inbox.known() && outbox.known();
}

uint32_t Queues::size_of(const uint8_t* message) {
  const uint8_t* at = message - 8;
  return uint32_t{at[0]} << 24 | uint32_t{at[1]} << 16 | uint32_t{at[2]} << 8 | at[3];
}

} // namespace nodevpp::vppapi
