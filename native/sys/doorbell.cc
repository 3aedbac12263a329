#include "sys/doorbell.h"

#include <fcntl.h>
#include <linux/aio_abi.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>

namespace nodevpp::sys {
namespace {

// A way to add to an eventfd that cannot block whatever its flags and its count are: the kernel itself rings
// it when an asynchronous operation ends. write(2) has no such form (RWF_NOWAIT is not supported by
// eventfds), and looking at the flags first leaves a gap in which the peer can change them.
//
// The operation is a read of no bytes from the eventfd, which ends at once. One context a thread, made on
// first use.
class Ringer {
public:
  Ringer() = default;
  Ringer(const Ringer&) = delete;
  Ringer& operator=(const Ringer&) = delete;
  ~Ringer() {
    if (usable_) ::syscall(SYS_io_destroy, context_);
  }

  // 1 rung, 0 the descriptor cannot be rung, -1 this kernel or sandbox has no such operations.
  int ring(int fd) {
    if (!tried_) open();
    if (!usable_) return -1;
    struct iocb operation {};
    operation.aio_fildes = static_cast<uint32_t>(fd);
    operation.aio_lio_opcode = IOCB_CMD_PREAD;
    operation.aio_buf = reinterpret_cast<uintptr_t>(&operation);
    operation.aio_nbytes = 0;
    operation.aio_flags = IOCB_FLAG_RESFD;
    operation.aio_resfd = static_cast<uint32_t>(fd);
    struct iocb* list = &operation;
    if (::syscall(SYS_io_submit, context_, 1L, &list) != 1) return errno == EBADF ? 0 : -1;
    // Nobody wants the result: forget what has ended.
    std::atomic_ref<unsigned> head(completions_->head);
    head.store(std::atomic_ref<unsigned>(completions_->tail).load(std::memory_order_acquire),
               std::memory_order_release);
    return 1;
  }

private:
  // Where the kernel lists what has ended, mapped at the address that is the context's name.
  struct Completions {
    unsigned id, size, head, tail, magic, compatible, incompatible, header_bytes;
  };
  static constexpr unsigned kMagic = 0xa10a10a1;

  void open() {
    tried_ = true;
    if (::syscall(SYS_io_setup, 1L, &context_) != 0) return;
    completions_ = reinterpret_cast<Completions*>(context_); // NOLINT(performance-no-int-to-ptr)
    usable_ = completions_->magic == kMagic && completions_->incompatible == 0;
    if (!usable_) ::syscall(SYS_io_destroy, context_);
  }

  bool tried_ = false;
  bool usable_ = false;
  aio_context_t context_ = 0;
  Completions* completions_ = nullptr;
};

thread_local Ringer ringer;

} // namespace

SysError create_eventfd(Fd* out) {
  Fd fd(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  if (!fd.valid()) return {errno, "eventfd"};
  *out = std::move(fd);
  return {};
}

bool is_eventfd(int fd) {
  char link[32];
  char target[32];
  std::snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = ::readlink(link, target, sizeof target);
  constexpr char expected[] = "anon_inode:[eventfd]";
  return length == static_cast<ssize_t>(sizeof expected - 1) &&
         std::memcmp(target, expected, sizeof expected - 1) == 0;
}

SysError set_nonblocking(int fd) {
  int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0) return {errno, "fcntl"};
  if ((flags & O_NONBLOCK) == 0 && ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0) return {errno, "fcntl"};
  return {};
}

bool drains_at_once(int fd) {
  drain(fd);
  if (!kick(fd) || !kick(fd) || !drain(fd)) return false;
  return !drain(fd);
}

bool kick(int fd) {
  int rung = ringer.ring(fd);
  if (rung >= 0) return rung == 1;
  // The next best: not perfectly safe from a peer that changes the flags all the time.
  int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0 || (flags & O_NONBLOCK) == 0) return false;
  uint64_t one = 1;
  if (::write(fd, &one, sizeof one) == static_cast<ssize_t>(sizeof one)) return true;
  return errno == EAGAIN; // the counter is full: the peer has been told often enough
}

bool drain(int fd) {
  uint64_t count = 0;
  struct iovec vector = {&count, sizeof count};
  ssize_t got = ::preadv2(fd, &vector, 1, -1, RWF_NOWAIT);
  if (got < 0 && (errno == EOPNOTSUPP || errno == ENOSYS)) {
    if (set_nonblocking(fd)) return false;
    got = ::read(fd, &count, sizeof count);
  }
  return got == static_cast<ssize_t>(sizeof count);
}

} // namespace nodevpp::sys
