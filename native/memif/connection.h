// One control channel: a socket, the handshake that runs over it, and the time limit for that.
//
//   opened -> handshaking -> connected -> ended
//                  \--------------------^   (failure, time limit, end of file)
//
// `ended` is reported exactly once, as the last thing the connection does: the owner may delete it in the
// callback.

#pragma once

#include <variant>

#include "memif/handshake.h"
#include "sys/poller.h"

namespace nodevpp::memif {

class Connection;

class ConnectionOwner {
public:
  virtual void connection_established(Connection& connection) = 0;
  virtual void connection_ended(Connection& connection, const Failure& failure) = 0;

protected:
  ~ConnectionOwner() = default;
};

class Connection {
public:
  // Server side: speaks first. `find` lets a client in to an interface (see ServerHandshake).
  Connection(sys::Poller& poller, ConnectionOwner& owner, sys::Fd socket, const Hello& hello,
             std::function<Target(uint32_t)> find, unsigned timeout_ms);
  // Client side: waits for the server's HELLO.
  Connection(sys::Poller& poller, ConnectionOwner& owner, sys::Fd socket, const InterfaceOptions& options,
             std::shared_ptr<PacketMemory> memory, unsigned timeout_ms);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Begins: to be called once, after the owner has stored the connection.
  void start();

  // Ends it for a reason of ours; the peer is told in a DISCONNECT.
  void end(const Failure& failure);

  bool connected() const { return connected_; }
  Session& session() { return session_; }
  // The id a client asked for (server side, once INIT has come).
  std::optional<uint32_t> id() const;
  // The packet memory and buffers of a connected client.
  std::shared_ptr<PacketMemory> memory() const;
  const std::vector<uint32_t>& buffers() const;
  // Whether the peer has closed its end, seen without waiting for the event loop.
  bool peer_has_gone() const { return sys::peer_has_gone(socket_.get()); }
  // Credentials of the peer process, as the kernel gives them.
  ucred peer() const;

  // Kept in step with JavaScript: whether the poller entry counts for keeping the loop alive.
  sys::Poller::Token watch_token() const { return watch_; }

private:
  void on_readable();
  // Sends what a step asks for; false when the connection is over (and *this may be gone).
  bool carry_out(Step step);
  void finish(const Failure& failure);

  sys::Poller& poller_;
  ConnectionOwner& owner_;
  sys::Fd socket_;
  sys::Fd timer_;
  sys::Poller::Token watch_ = nullptr;
  sys::Poller::Token timer_watch_ = nullptr;
  std::variant<ServerHandshake, ClientHandshake> handshake_;
  unsigned timeout_ms_;
  Session session_;
  bool connected_ = false;
  bool over_ = false;
};

} // namespace nodevpp::memif
