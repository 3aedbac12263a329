#include <sys/stat.h>
#include <sys/timerfd.h>

#include <algorithm>
#include <cerrno>

#include "memif/interface.h"

namespace nodevpp::memif {

sys::SysError Listener::listen(const sys::UnixAddress& address, const sys::ListenOptions& options,
                               sys::ListenOutcome* outcome) {
  if (socket_.valid()) return {EINVAL, "listen"};
  timer_ = sys::Fd(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  if (!timer_.valid()) return {errno, "timerfd_create"};
  if (auto error = sys::listen_seqpacket(address, options, &socket_, outcome)) {
    timer_.reset();
    return error;
  }
  address_ = address;
  struct stat st {};
  if (!address.abstract && ::lstat(address.path(), &st) == 0) inode_ = st.st_ino;
  watch_ = poller_.watch(socket_.get(), [this] { accept_clients(); });
  timer_watch_ = poller_.watch(timer_.get(), [this] {
    uint64_t times = 0;
    if (::read(timer_.get(), &times, sizeof times) < 0 || watch_ != nullptr) return;
    watch_ = poller_.watch(socket_.get(), [this] { accept_clients(); });
    if (watch_ == nullptr) pause();
  });
  if (watch_ == nullptr || timer_watch_ == nullptr) {
    sys::SysError error{errno, "epoll_ctl"};
    close();
    return error;
  }
  return {};
}

void Listener::close() {
  if (watch_ != nullptr) poller_.unwatch(std::exchange(watch_, nullptr));
  if (timer_watch_ != nullptr) poller_.unwatch(std::exchange(timer_watch_, nullptr));
  timer_.reset();
  if (socket_.valid()) {
    struct stat st {};
    // Only our own file: somebody may have put another in its place.
    if (!address_.abstract && ::lstat(address_.path(), &st) == 0 && st.st_ino == inode_)
      ::unlink(address_.path());
    socket_.reset();
  }
  while (!connections_.empty()) {
    std::shared_ptr<Connection> first = connections_.begin()->second.connection;
    first->end({Reason::closed, "the listener was closed", {}});
  }
  for (auto& entry : interfaces_)
    entry.second->listener_ = nullptr;
  interfaces_.clear();
}

bool Listener::attach(Interface& interface) {
  if (interface.listener_ != nullptr) return false;
  if (!interfaces_.emplace(interface.options().id, &interface).second) return false;
  interface.listener_ = this;
  return true;
}

void Listener::detach(Interface& interface) {
  interface.disconnect({Reason::closed, "interface deleted", {}});
  interface.listener_ = nullptr;
  auto found = interfaces_.find(interface.options().id);
  if (found == interfaces_.end() || found->second != &interface) return;
  interfaces_.erase(found);
  // Clients that were let in under its rules must not end up at another interface that takes the id later.
  std::vector<std::shared_ptr<Connection>> orphans;
  for (const auto& entry : connections_) {
    if (entry.first->id() == interface.options().id) orphans.push_back(entry.second.connection);
  }
  for (const auto& orphan : orphans)
    orphan->end({Reason::id, "interface deleted", {}});
}

Hello Listener::hello() const {
  Hello hello;
  hello.name = app_name_;
  // HELLO comes before we know which interface is meant: it promises what the most generous one here takes,
  // and the others keep that promise.
  uint16_t s2m = 1;
  uint16_t m2s = 1;
  for (const auto& entry : interfaces_) {
    s2m = std::max(s2m, entry.second->options().s2m_rings);
    m2s = std::max(m2s, entry.second->options().m2s_rings);
  }
  hello.max_s2m_ring = static_cast<uint16_t>(s2m - 1);
  hello.max_m2s_ring = static_cast<uint16_t>(m2s - 1);
  return hello;
}

void Listener::accept_clients() {
  for (int i = 0; i < 16; i++) {
    sys::Fd client(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!client.valid()) {
      // Out of descriptors or memory: the socket stays readable, and without a pause we would spin on it.
      if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) pause();
      return;
    }
    counters_.accepted++;
    if (pending_ >= max_pending_ && !make_room()) {
      Message farewell = emit(Disconnect{0, "too many connections without an interface"});
      sys::send_message(client.get(), farewell.data(), farewell.size(), -1);
      counters_.refused++;
      last_refusal_ = {Reason::busy, "too many connections without an interface", {}};
      continue;
    }
    auto connection = std::make_shared<Connection>(
        poller_, static_cast<ConnectionOwner&>(*this), std::move(client), hello(),
        [this](uint32_t id) { return find(id); }, handshake_timeout_ms_);
    connections_.emplace(connection.get(), Client{connection, counters_.accepted});
    pending_++;
    connection->start();
    if (watch_ == nullptr) return; // somebody who heard of it closed us
  }
}

void Listener::pause() {
  if (watch_ != nullptr) poller_.unwatch(std::exchange(watch_, nullptr));
  struct itimerspec when {};
  when.it_value.tv_nsec = 100'000'000;
  // It cannot fail with a valid timer and a valid time.
  (void)::timerfd_settime(timer_.get(), 0, &when, nullptr);
}

bool Listener::make_room() {
  const Client* oldest = nullptr;
  for (const auto& entry : connections_) {
    const Client& client = entry.second;
    if (client.connection->connected()) continue;
    if (oldest != nullptr) {
      bool asked = client.connection->id().has_value();
      bool oldest_asked = oldest->connection->id().has_value();
      if (asked && !oldest_asked) continue;
      if (asked == oldest_asked && client.number > oldest->number) continue;
    }
    oldest = &client;
  }
  if (oldest == nullptr) return false;
  std::shared_ptr<Connection> connection = oldest->connection;
  connection->end({Reason::busy, "too many connections without an interface", {}});
  return pending_ < max_pending_;
}

Target Listener::find(uint32_t id) {
  auto found = interfaces_.find(id);
  if (found == interfaces_.end()) return {};
  Interface& interface = *found->second;
  // The previous client may be gone without our having heard of it yet.
  if (interface.connection_ != nullptr && interface.connection_->peer_has_gone()) {
    interface.connection_->end({Reason::peer_closed, "the peer closed the connection", {}});
    // Whoever heard of that may have deleted the interface.
    found = interfaces_.find(id);
    if (found == interfaces_.end()) return {};
    return {&found->second->options(), found->second->connection_ != nullptr};
  }
  return {&interface.options(), interface.connection_ != nullptr};
}

Interface* Listener::interface_of(const Connection& connection) const {
  auto id = connection.id();
  if (!id) return nullptr;
  auto found = interfaces_.find(*id);
  return found == interfaces_.end() ? nullptr : found->second;
}

void Listener::connection_established(Connection& connection) {
  pending_--;
  Interface* interface = interface_of(connection);
  if (interface == nullptr) {
    connection.end({Reason::id, "interface deleted", {}});
    return;
  }
  // Two clients may both have passed INIT: the first to finish is the interface's peer.
  if (interface->connection_ != nullptr) {
    connection.end({Reason::busy, "already connected", {}});
    return;
  }
  interface->connection_ = &connection;
  interface->connection_established(connection);
}

void Listener::connection_ended(Connection& connection, const Failure& failure) {
  auto found = connections_.find(&connection);
  if (found == connections_.end()) return;
  std::shared_ptr<Connection> dying = std::move(found->second.connection);
  connections_.erase(found);
  Interface* interface = interface_of(connection);
  if (interface != nullptr && interface->connection_ == &connection) {
    interface->connection_ended(connection, failure);
    return;
  }
  if (!connection.connected()) pending_--;
  counters_.refused++;
  last_refusal_ = failure;
  if (interface != nullptr) interface->observer_.interface_down(*interface, failure, false);
}

} // namespace nodevpp::memif
