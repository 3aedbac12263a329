#include "vppapi/queues.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "sys/fd.h"
#include "vppapi/wire.h"

namespace nodevpp::vppapi {
namespace {

// As far as the library's own description of a connection reaches at least, in every release that has one.
constexpr size_t kWords = 40;
// A mutex and a condition variable come first in a queue, then the numbers.
constexpr size_t kQueueBytes = 160;
constexpr uint32_t kLine = 64 / sizeof(void*); // elements

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
  std::array<uint8_t, kQueueBytes> bytes{};
  if (reinterpret_cast<uintptr_t>(address) % alignof(void*) != 0) return false;
  if (!Peek().read(address, bytes.data(), bytes.size())) return false;
  for (size_t offset = 0; offset + sizeof(Numbers) <= bytes.size(); offset += sizeof(void*)) {
    Numbers numbers{};
    std::memcpy(&numbers, &bytes[offset], sizeof numbers);
    if (numbers.element_bytes != sizeof(uint8_t*) || numbers.pid != pid || numbers.length <= 0) continue;
    if (length != 0 && numbers.length != length) continue;
    auto inside = [&numbers](int32_t index) { return index >= 0 && index < numbers.length; };
    if (!inside(numbers.head) || !inside(numbers.tail)) continue;
    auto* base = const_cast<uint8_t*>(static_cast<const uint8_t*>(address)); // NOLINT
    out->library_ = &library;
    out->queue_ = base;
    out->numbers_ = reinterpret_cast<Numbers*>(base + offset);
    out->elements_ = reinterpret_cast<uint8_t**>(base + offset + sizeof(Numbers));
    return true;
  }
  return false;
}

// Brings here what will be touched under the lock.
void Queue::prefetch(int32_t first, uint32_t count, bool write) const {
  if (first < 0 || first >= numbers_->length) return;
  __builtin_prefetch(numbers_, 1);
  for (uint32_t i = 0; i < count + kLine; i += kLine) {
    const void* at = &elements_[(static_cast<uint32_t>(first) + i) % length()];
    if (write)
      __builtin_prefetch(at, 1);
    else
      __builtin_prefetch(at, 0);
  }
}

uint32_t Queue::take(uint8_t** messages, uint32_t most) {
  prefetch(__atomic_load_n(&numbers_->head, __ATOMIC_RELAXED), std::min(most, waiting()), false);
  if (library_->queue_lock(queue_) != 0) return 0;
  uint32_t there = waiting();
  uint32_t count = std::min(most, there);
  auto head = static_cast<uint32_t>(numbers_->head);
  uint32_t first = std::min(count, length() - head);
  std::memcpy(messages, elements_ + head, first * sizeof *messages);
  std::memcpy(messages + first, elements_, (count - first) * sizeof *messages);
  head += count;
  __atomic_store_n(&numbers_->head, static_cast<int32_t>(head < length() ? head : head - length()),
                   __ATOMIC_RELAXED);
  __atomic_store_n(&numbers_->waiting, static_cast<int32_t>(there - count), __ATOMIC_RELEASE);
  library_->queue_unlock(queue_);
  if (there == length()) library_->queue_signal(queue_, 0); // somebody may wait for room
  return count;
}

uint32_t Queue::put(uint8_t* const* messages, uint32_t count) {
  prefetch(__atomic_load_n(&numbers_->tail, __ATOMIC_RELAXED), count, true);
  if (library_->queue_lock(queue_) != 0) return 0;
  uint32_t there = waiting();
  count = std::min(count, length() - std::min(length(), there));
  auto tail = static_cast<uint32_t>(numbers_->tail);
  uint32_t first = std::min(count, length() - tail);
  std::memcpy(elements_ + tail, messages, first * sizeof *messages);
  std::memcpy(elements_, messages + first, (count - first) * sizeof *messages);
  tail += count;
  __atomic_store_n(&numbers_->tail, static_cast<int32_t>(tail < length() ? tail : tail - length()),
                   __ATOMIC_RELAXED);
  __atomic_store_n(&numbers_->waiting, static_cast<int32_t>(there + count), __ATOMIC_RELEASE);
  library_->queue_unlock(queue_);
  if (there == 0 && count > 0) library_->queue_signal(queue_, 1); // somebody may wait for the first
  return count;
}

bool Queue::take_both_ways(uint8_t** messages, uint32_t count) {
  if (library_->queue_lock(queue_) != 0) return false;
  bool same = waiting() == count;
  for (uint32_t i = 0; same && i < count; i++) {
    auto head = static_cast<uint32_t>(numbers_->head);
    auto tail = static_cast<uint32_t>(numbers_->tail);
    uint8_t* seen = head < length() ? elements_[head] : nullptr;
    same = (head + count - i) % length() == tail;
    library_->queue_sub_raw(queue_, reinterpret_cast<uint8_t*>(&messages[i]));
    same = same && messages[i] == seen && waiting() == count - i - 1 &&
           (head + 1) % length() == static_cast<uint32_t>(numbers_->head);
  }
  library_->queue_unlock(queue_);
  return same;
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
  return get32(message - 8);
}

} // namespace nodevpp::vppapi
