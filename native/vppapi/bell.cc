#include "vppapi/bell.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <vector>

#include "vppapi/wire.h"

namespace nodevpp::vppapi {
namespace {

constexpr size_t kHeader = 16;
constexpr size_t kMaxReply = size_t{16} << 20;

using Clock = std::chrono::steady_clock;

// True when the descriptor is ready before the deadline.
bool ready(int fd, short events, Clock::time_point deadline) {
  for (;;) {
    auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0) return false;
    struct pollfd entry = {fd, events, 0};
    int count = ::poll(&entry, 1, static_cast<int>(left));
    if (count > 0) return true;
    if (count < 0 && errno != EINTR) return false;
  }
}

bool write_all(int fd, const uint8_t* data, size_t size, Clock::time_point deadline) {
  while (size > 0) {
    ssize_t sent = ::send(fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent > 0) {
      data += sent;
      size -= static_cast<size_t>(sent);
    } else if (errno != EAGAIN || !ready(fd, POLLOUT, deadline)) {
      return false;
    }
  }
  return true;
}

bool read_all(int fd, uint8_t* data, size_t size, Clock::time_point deadline) {
  while (size > 0) {
    ssize_t got = ::recv(fd, data, size, MSG_DONTWAIT);
    if (got > 0) {
      data += got;
      size -= static_cast<size_t>(got);
    } else if (got == 0 || errno != EAGAIN || !ready(fd, POLLIN, deadline)) {
      return false;
    }
  }
  return true;
}

} // namespace

Failure Bell::open(const std::string& path, const std::string& name, int timeout_ms) {
  auto deadline = Clock::now() + std::chrono::milliseconds(timeout_ms);
  struct sockaddr_un address {};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) {
    return {"CONNECT", "the path of the API socket is too long for a doorbell"};
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  auto length = static_cast<socklen_t>(offsetof(struct sockaddr_un, sun_path) + path.size() +
                                       (path.front() == '\0' ? 0 : 1));
  sys::Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  auto failed = [&path](const std::string& text) {
    return Failure{"CONNECT", "the doorbell at " + path + ": " + text};
  };
  if (!fd.valid()) return failed(std::strerror(errno));
  struct timeval patience = {timeout_ms / 1000, timeout_ms % 1000 * 1000};
  ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience); // also limits connect
  if (::connect(fd.get(), reinterpret_cast<struct sockaddr*>(&address), length) != 0) {
    return failed(std::strerror(errno));
  }
  std::array<uint8_t, kHeader + 70> create{};
  put32(&create[8], 70);
  put16(&create[16], kCreate);
  std::memcpy(&create[22], name.data(), name.size() < 63 ? name.size() : 63);
  std::array<uint8_t, kHeader> header{};
  if (!write_all(fd.get(), create.data(), create.size(), deadline) ||
      !read_all(fd.get(), header.data(), header.size(), deadline)) {
    return failed("no answer to sockclnt_create");
  }
  uint32_t size = get32(&header[8]);
  if (size < 20 || size > kMaxReply) return failed("what answers is not VPP's API");
  std::vector<uint8_t> reply(size);
  if (!read_all(fd.get(), reply.data(), size, deadline)) return failed("half an answer to sockclnt_create");
  if (get32(&reply[10]) != 0) return failed("sockclnt_create was refused");
  client_index_ = get32(&reply[14]);
  put32(&frame_[8], 10);
  put16(&frame_[16], kPing);
  put32(&frame_[18], client_index_);
  std::lock_guard lock(mutex_);
  fd_ = std::move(fd);
  return {};
}

bool Bell::ring() {
  std::lock_guard lock(mutex_);
  if (!fd_.valid()) return false;
  if (next_ == 0) {
    uint8_t unwanted[512];
    while (::recv(fd_.get(), unwanted, sizeof unwanted, MSG_DONTWAIT) == sizeof unwanted) {
    }
  }
  ssize_t sent = ::send(fd_.get(), &frame_[next_], 1, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent == 1) {
    next_ = (next_ + 1) % frame_.size();
    rings_++;
    return true;
  }
  // Bytes that VPP has not read yet are in the way: it has been rung for.
  return errno == EAGAIN || errno == EINTR;
}

void Bell::close(int timeout_ms) {
  std::lock_guard lock(mutex_);
  if (!fd_.valid()) return;
  auto deadline = Clock::now() + std::chrono::milliseconds(timeout_ms);
  std::array<uint8_t, kHeader + 14> remove{};
  put32(&remove[8], 14);
  put16(&remove[16], kDelete);
  put32(&remove[18], client_index_);
  put32(&remove[26], client_index_);
  bool told = next_ == 0 || write_all(fd_.get(), &frame_[next_], frame_.size() - next_, deadline);
  if (told && write_all(fd_.get(), remove.data(), remove.size(), deadline)) {
    uint8_t unwanted[512];
    for (;;) {
      ssize_t got = ::recv(fd_.get(), unwanted, sizeof unwanted, MSG_DONTWAIT);
      if (got > 0) continue;
      if (got == 0 || errno != EAGAIN || !ready(fd_.get(), POLLIN, deadline)) break;
    }
  }
  fd_.reset();
}

} // namespace nodevpp::vppapi
