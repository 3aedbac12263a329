// The other side of the stats socket: hands the descriptor of a segment to whoever connects, as VPP does: one
// empty message that carries it, then the end of the connection. Clients send nothing and are not waited for.

#pragma once

#include "sys/poller.h"
#include "sys/seqpacket.h"

namespace nodevpp::stats {

class Server {
public:
  // `fd` is what is handed out; it stays the caller's and must outlive the server.
  Server(sys::Poller& poller, int fd) : poller_(poller), fd_(fd) {}
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server() { close(); }

  sys::SysError listen(const sys::UnixAddress& address, const sys::ListenOptions& options);
  // Removes the socket file when it is still ours.
  void close();
  bool listening() const { return socket_.valid(); }
  uint64_t served() const { return served_; }

private:
  void accept_clients();
  void pause();
  bool watch_socket();

  sys::Poller& poller_;
  int fd_;
  sys::Fd socket_;
  sys::Fd timer_;
  sys::UnixAddress address_;
  uint64_t inode_ = 0;
  uint64_t served_ = 0;
  sys::Poller::Token watch_ = nullptr;
  sys::Poller::Token timer_watch_ = nullptr;
};

} // namespace nodevpp::stats
