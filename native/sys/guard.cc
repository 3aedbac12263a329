#include "sys/guard.h"

#include <sys/mman.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <mutex>

namespace nodevpp::sys {
namespace {

constexpr int kSlots = 4096;

struct Slot {
  std::atomic<bool> used{false};
  std::atomic<uintptr_t> start{0};
  std::atomic<size_t> size{0};
  std::atomic<bool> hit{false};
};

Slot slots[kSlots];
std::atomic<unsigned> hits{0};
std::atomic<int> highest{0};
struct sigaction previous {};
std::once_flag installed;

void on_sigbus(int signal, siginfo_t* info, void* context) {
  int saved = errno;
  auto address = reinterpret_cast<uintptr_t>(info->si_addr);
  int top = highest.load(std::memory_order_acquire);
  for (int i = 0; i < top; i++) {
    uintptr_t start = slots[i].start.load(std::memory_order_acquire);
    size_t size = slots[i].size.load(std::memory_order_acquire);
    if (start == 0 || address < start || address - start >= size) continue;
    // The slot may be changing hands: the size belongs to the start only when that is still the same.
    if (slots[i].start.load(std::memory_order_acquire) != start) continue;
    // mmap is not on POSIX's list of async-signal-safe functions, but on Linux it is a bare system call.
    void* mapped = ::mmap(reinterpret_cast<void*>(start), size, PROT_READ | PROT_WRITE,
                          MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapped == MAP_FAILED) break;
    slots[i].hit.store(true, std::memory_order_release);
    hits.fetch_add(1, std::memory_order_release);
    errno = saved;
    return;
  }
  errno = saved;
  if ((previous.sa_flags & SA_SIGINFO) != 0 && previous.sa_sigaction != nullptr) {
    previous.sa_sigaction(signal, info, context);
  } else if (previous.sa_handler == SIG_DFL || previous.sa_handler == SIG_IGN) {
    ::signal(SIGBUS, SIG_DFL); // the access is repeated and ends the process as it would have without us
  } else {
    previous.sa_handler(signal);
  }
}

void install() {
  struct sigaction action {};
  action.sa_sigaction = on_sigbus;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
  sigemptyset(&action.sa_mask);
  ::sigaction(SIGBUS, &action, &previous);
}

} // namespace

int guard_add(void* start, size_t size) {
  std::call_once(installed, install);
  for (int i = 0; i < kSlots; i++) {
    bool expected = false;
    if (!slots[i].used.compare_exchange_strong(expected, true)) continue;
    slots[i].hit.store(false);
    slots[i].size.store(size, std::memory_order_release);
    slots[i].start.store(reinterpret_cast<uintptr_t>(start), std::memory_order_release);
    int top = highest.load();
    while (top < i + 1 && !highest.compare_exchange_weak(top, i + 1)) {
    }
    return i;
  }
  return -1;
}

void guard_remove(int slot) {
  slots[slot].start.store(0, std::memory_order_release);
  slots[slot].size.store(0, std::memory_order_release);
  slots[slot].used.store(false, std::memory_order_release);
}

bool guard_hit(int slot) {
  return slots[slot].hit.load(std::memory_order_acquire);
}

unsigned guard_hits() {
  return hits.load(std::memory_order_acquire);
}

} // namespace nodevpp::sys
