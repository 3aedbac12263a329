#include "sys/foreign_fd.h"

#include <fcntl.h>
#include <pthread.h>

#include <csignal>
#include <mutex>
#include <vector>

#include "sys/doorbell.h"

namespace nodevpp::sys {
namespace {

// Outlives every thread, at the end of the process too: one that hangs in a close is never joined.
struct Closer {
  std::mutex mutex;
  std::vector<Fd> waiting;
  size_t open = 0; // waiting, or being closed
  bool running = false;
};
Closer& closer() {
  static auto* instance = new Closer();
  return *instance;
}

void* close_all(void* /*unused*/) {
  Closer& shared = closer();
  for (;;) {
    std::vector<Fd> batch;
    {
      std::lock_guard lock(shared.mutex);
      batch.swap(shared.waiting);
      shared.running = !batch.empty();
      if (batch.empty()) return nullptr;
    }
    for (Fd& fd : batch) {
      fd.reset();
      std::lock_guard lock(shared.mutex);
      shared.open--;
    }
  }
}

// Neither question asks the file system that the descriptor may belong to.
bool closes_at_once(int fd) {
  return ::fcntl(fd, F_GET_SEALS) >= 0 || is_eventfd(fd);
}

} // namespace

void close_foreign(Fd fd) {
  if (!fd.valid() || closes_at_once(fd.get())) return;
  Closer& shared = closer();
  {
    std::lock_guard lock(shared.mutex);
    shared.waiting.push_back(std::move(fd));
    shared.open++;
    if (shared.running) return;
    shared.running = true;
  }
  // Signals are for the main thread.
  sigset_t all;
  sigset_t old;
  sigfillset(&all);
  ::pthread_sigmask(SIG_BLOCK, &all, &old);
  pthread_t thread;
  bool started = ::pthread_create(&thread, nullptr, close_all, nullptr) == 0;
  ::pthread_sigmask(SIG_SETMASK, &old, nullptr);
  if (started) {
    ::pthread_detach(thread);
    return;
  }
  std::lock_guard lock(shared.mutex);
  shared.running = false; // the next one tries again
}

size_t foreign_waiting() {
  Closer& shared = closer();
  std::lock_guard lock(shared.mutex);
  return shared.open;
}

} // namespace nodevpp::sys
