// Owners of kernel objects. A file descriptor has one owner at a time; moving it moves the duty to close it.

#pragma once

#include <unistd.h>

#include <cstdint>
#include <string>
#include <utility>

namespace nodevpp::sys {

class Fd {
public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) {
      reset();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  ~Fd() { reset(); }

  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  int release() { return std::exchange(fd_, -1); }
  void reset() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }

private:
  int fd_ = -1;
};

// What a system call said when it failed; `err` 0 is success.
struct SysError {
  int err = 0;
  const char* syscall = "";
  explicit operator bool() const { return err != 0; }
};

} // namespace nodevpp::sys
