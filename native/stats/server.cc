#include "stats/server.h"

#include <sys/stat.h>
#include <sys/timerfd.h>

#include <cerrno>

namespace nodevpp::stats {

sys::SysError Server::listen(const sys::UnixAddress& address, const sys::ListenOptions& options) {
  if (socket_.valid()) return {EINVAL, "listen"};
  timer_ = sys::Fd(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  if (!timer_.valid()) return {errno, "timerfd_create"};
  auto outcome = sys::ListenOutcome::fresh;
  if (auto error = sys::listen_seqpacket(address, options, &socket_, &outcome)) {
    timer_.reset();
    return error;
  }
  address_ = address;
  struct stat st {};
  if (!address.abstract && ::lstat(address.path(), &st) == 0) inode_ = st.st_ino;
  timer_watch_ = poller_.watch(timer_.get(), [this] {
    uint64_t times = 0;
    if (::read(timer_.get(), &times, sizeof times) < 0 || watch_ != nullptr) return;
    if (!watch_socket()) pause();
  });
  if (timer_watch_ == nullptr || !watch_socket()) {
    sys::SysError error{errno, "epoll_ctl"};
    close();
    return error;
  }
  return {};
}

void Server::close() {
  if (watch_ != nullptr) poller_.unwatch(std::exchange(watch_, nullptr));
  if (timer_watch_ != nullptr) poller_.unwatch(std::exchange(timer_watch_, nullptr));
  timer_.reset();
  if (!socket_.valid()) return;
  struct stat st {};
  // Only our own file: somebody may have put another in its place.
  if (!address_.abstract && ::lstat(address_.path(), &st) == 0 && st.st_ino == inode_) {
    ::unlink(address_.path());
  }
  socket_.reset();
}

bool Server::watch_socket() {
  watch_ = poller_.watch(socket_.get(), [this] { accept_clients(); });
  return watch_ != nullptr;
}

void Server::accept_clients() {
  for (int i = 0; i < 16; i++) {
    sys::Fd client(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!client.valid()) {
      // Out of descriptors or memory: the socket stays readable, and without a pause we would spin on it.
      if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) pause();
      return;
    }
    // The message is queued at once or the client is gone; either way nothing is left to do for it.
    if (!sys::send_message(client.get(), "", 0, fd_)) served_++;
  }
}

void Server::pause() {
  if (watch_ != nullptr) poller_.unwatch(std::exchange(watch_, nullptr));
  struct itimerspec when {};
  when.it_value.tv_nsec = 100'000'000;
  // It cannot fail with a valid timer and a valid time.
  (void)::timerfd_settime(timer_.get(), 0, &when, nullptr);
}

} // namespace nodevpp::stats
