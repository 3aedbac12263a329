#include "sys/doorbell.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/uio.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace nodevpp::sys {

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

bool kick(int fd) {
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
