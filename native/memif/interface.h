// A memif interface: what it is configured to be, and the connection it has at the moment, if any.
//
// A server interface is attached to a Listener, which may serve many ids; a client interface connects by
// itself when asked to (when to ask again is the caller's business). The observer hears `up` and `down` in
// turn.

#pragma once

#include <unordered_map>

#include "memif/connection.h"

namespace nodevpp::memif {

class Interface;
class Listener;

class InterfaceObserver {
public:
  virtual void interface_up(Interface& interface) = 0;
  // `was_up`: a connection was lost; otherwise an attempt (or a client being let in) failed.
  virtual void interface_down(Interface& interface, const Failure& failure, bool was_up) = 0;

protected:
  ~InterfaceObserver() = default;
};

class Interface final : private ConnectionOwner {
public:
  Interface(sys::Poller& poller, InterfaceObserver& observer, InterfaceOptions options,
            unsigned handshake_timeout_ms);
  ~Interface();
  Interface(const Interface&) = delete;
  Interface& operator=(const Interface&) = delete;

  const InterfaceOptions& options() const { return options_; }
  // The live connection; null while down.
  Connection* connection() const { return up_ ? connection_ : nullptr; }
  bool busy() const { return connection_ != nullptr; }

  // Client: one attempt. An error means that it failed at once; otherwise the observer hears how it went.
  sys::SysError connect(const sys::UnixAddress& address);
  // Client: packet memory to use instead of making some for each connection.
  void use_memory(std::shared_ptr<PacketMemory> memory) { memory_ = std::move(memory); }

  // Ends the connection or attempt, if there is one; the observer hears it.
  void disconnect(const Failure& failure);

private:
  friend class Listener;
  void connection_established(Connection& connection) override;
  void connection_ended(Connection& connection, const Failure& failure) override;

  sys::Poller& poller_;
  InterfaceObserver& observer_;
  InterfaceOptions options_;
  unsigned handshake_timeout_ms_;
  Listener* listener_ = nullptr;     // server, while attached
  std::unique_ptr<Connection> own_;  // client
  Connection* connection_ = nullptr; // either
  std::shared_ptr<PacketMemory> memory_;
  bool up_ = false;
};

struct ListenerCounters {
  uint64_t accepted = 0;
  uint64_t refused = 0; // connections that never became an interface's
};

// A listening socket and the clients that have not yet said which interface they want.
class Listener final : private ConnectionOwner {
public:
  Listener(sys::Poller& poller, std::string app_name, unsigned handshake_timeout_ms, size_t max_pending)
      : poller_(poller), app_name_(std::move(app_name)), handshake_timeout_ms_(handshake_timeout_ms),
        max_pending_(max_pending) {}
  ~Listener() { close(); }
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  sys::SysError listen(const sys::UnixAddress& address, const sys::ListenOptions& options,
                       sys::ListenOutcome* outcome);
  // Ends every connection, closes the socket and removes its file.
  void close();

  // False when an interface with that id is attached already.
  bool attach(Interface& interface);
  void detach(Interface& interface);

  const ListenerCounters& counters() const { return counters_; }
  size_t pending() const { return pending_; }
  // Why the last client was turned away before it was an interface's.
  const Failure& last_refusal() const { return last_refusal_; }

private:
  void accept_clients();
  Target find(uint32_t id);
  Hello hello() const;
  void connection_established(Connection& connection) override;
  void connection_ended(Connection& connection, const Failure& failure) override;
  Interface* interface_of(const Connection& connection) const;

  sys::Poller& poller_;
  std::string app_name_;
  unsigned handshake_timeout_ms_;
  size_t max_pending_;
  sys::UnixAddress address_;
  sys::Fd socket_;
  uint64_t inode_ = 0;
  sys::Poller::Token watch_ = nullptr;
  std::unordered_map<uint32_t, Interface*> interfaces_;
  std::unordered_map<Connection*, std::unique_ptr<Connection>> connections_;
  size_t pending_ = 0;
  ListenerCounters counters_;
  Failure last_refusal_;
};

} // namespace nodevpp::memif
