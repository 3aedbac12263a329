// A descriptor that came from somebody else. Closing one can take as long as its sender likes: a file of his
// own FUSE file system is flushed by him, a socket of his may linger. Only what this kernel makes by itself,
// shared memory and eventfds, is closed here and now; the rest by a thread that exists while there is
// something to close.

#pragma once

#include "sys/fd.h"

namespace nodevpp::sys {

// Closes it, at once or elsewhere.
void close_foreign(Fd fd);
// How many are waiting to be closed elsewhere.
size_t foreign_waiting();

class ForeignFd {
public:
  ForeignFd() = default;
  explicit ForeignFd(int fd) : fd_(fd) {}
  explicit ForeignFd(Fd fd) : fd_(std::move(fd)) {}
  ForeignFd(ForeignFd&&) noexcept = default;
  ForeignFd& operator=(ForeignFd&& other) noexcept {
    if (this != &other) {
      close_foreign(std::move(fd_));
      fd_ = std::move(other.fd_);
    }
    return *this;
  }
  ForeignFd(const ForeignFd&) = delete;
  ForeignFd& operator=(const ForeignFd&) = delete;
  ~ForeignFd() { close_foreign(std::move(fd_)); }

  int get() const { return fd_.get(); }
  bool valid() const { return fd_.valid(); }
  // Once it is known to be what was wanted.
  Fd trust() { return std::move(fd_); }

private:
  Fd fd_;
};

} // namespace nodevpp::sys
