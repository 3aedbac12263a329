#include "memif/connection.h"

#include <sys/timerfd.h>

#include <cerrno>
#include <cstring>

namespace nodevpp::memif {

Connection::Connection(sys::Poller& poller, ConnectionOwner& owner, sys::Fd socket, const Hello& hello,
                       std::function<Target(uint32_t)> find, unsigned timeout_ms)
    : poller_(poller), owner_(owner), socket_(std::move(socket)),
      handshake_(std::in_place_type<ServerHandshake>, hello, std::move(find)), timeout_ms_(timeout_ms) {}

Connection::Connection(sys::Poller& poller, ConnectionOwner& owner, sys::Fd socket,
                       const InterfaceOptions& options, std::shared_ptr<PacketMemory> memory,
                       unsigned timeout_ms)
    : poller_(poller), owner_(owner), socket_(std::move(socket)),
      handshake_(std::in_place_type<ClientHandshake>, options, std::move(memory)), timeout_ms_(timeout_ms) {}

Connection::~Connection() {
  if (watch_ != nullptr) poller_.unwatch(watch_);
  if (timer_watch_ != nullptr) poller_.unwatch(timer_watch_);
}

void Connection::start() {
  watch_ = poller_.watch(socket_.get(), [this] { on_readable(); });
  if (watch_ == nullptr) {
    finish({Reason::system, "watching the control channel", {errno, "epoll_ctl"}});
    return;
  }
  if (timeout_ms_ > 0) {
    timer_ = sys::Fd(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
    struct itimerspec when {};
    when.it_value.tv_sec = timeout_ms_ / 1000;
    when.it_value.tv_nsec = static_cast<long>(timeout_ms_ % 1000) * 1000000;
    if (!timer_.valid() || ::timerfd_settime(timer_.get(), 0, &when, nullptr) != 0) {
      finish({Reason::system, "setting the time limit of the handshake", {errno, "timerfd_create"}});
      return;
    }
    timer_watch_ = poller_.watch(timer_.get(), [this] {
      end({Reason::timeout,
           "the handshake did not finish within " + std::to_string(timeout_ms_) + " ms",
           {}});
    });
  }
  if (auto* server = std::get_if<ServerHandshake>(&handshake_)) carry_out(server->start());
}

void Connection::on_readable() {
  // A bounded number per wake-up: a peer that floods one interface must not starve the others.
  for (int i = 0; i < 32; i++) {
    sys::ReceivedMessage received;
    sys::SysError error;
    switch (sys::receive_message(socket_.get(), &received, &error)) {
    case sys::ReceiveStatus::nothing:
      return;
    case sys::ReceiveStatus::closed:
      finish({Reason::peer_closed,
              connected_ ? "the peer closed the connection"
                         : "the peer closed the connection during the handshake",
              {}});
      return;
    case sys::ReceiveStatus::failed:
      finish({Reason::system, "receiving from the control channel", error});
      return;
    case sys::ReceiveStatus::message:
      break;
    }
    Step step = std::visit([&](auto& handshake) { return handshake.receive(received); }, handshake_);
    if (!carry_out(std::move(step))) return;
  }
}

bool Connection::carry_out(Step step) {
  for (const Outgoing& outgoing : step.send) {
    auto error =
        sys::send_message(socket_.get(), outgoing.message.data(), outgoing.message.size(), outgoing.fd);
    if (!error) continue;
    if (step.over) break; // it was the farewell
    if (error.err == EPIPE || error.err == ECONNRESET) {
      finish({Reason::peer_closed, "the peer closed the connection during the handshake", {}});
    } else if (error.err == EAGAIN) {
      finish({Reason::protocol, "the peer sends control messages but does not read ours", {}});
    } else {
      finish({Reason::system, "sending on the control channel", error});
    }
    return false;
  }
  if (step.over) {
    finish(*step.over);
    return false;
  }
  if (step.connected) {
    connected_ = true;
    if (timer_watch_ != nullptr) poller_.unwatch(std::exchange(timer_watch_, nullptr));
    timer_.reset();
    session_ = std::visit([](auto& handshake) { return handshake.take_session(); }, handshake_);
    owner_.connection_established(*this);
    return !over_;
  }
  return true;
}

void Connection::end(const Failure& failure) {
  if (over_) return;
  Message farewell = emit(Disconnect{0, failure.text});
  sys::send_message(socket_.get(), farewell.data(), farewell.size(), -1);
  finish(failure);
}

void Connection::finish(const Failure& failure) {
  if (over_) return;
  over_ = true;
  if (watch_ != nullptr) poller_.unwatch(std::exchange(watch_, nullptr));
  if (timer_watch_ != nullptr) poller_.unwatch(std::exchange(timer_watch_, nullptr));
  socket_.reset();
  Failure copy = failure; // the owner may delete us, and with us what `failure` refers to
  owner_.connection_ended(*this, copy);
}

std::optional<uint32_t> Connection::id() const {
  const auto* server = std::get_if<ServerHandshake>(&handshake_);
  return server != nullptr ? server->id() : std::nullopt;
}

std::shared_ptr<PacketMemory> Connection::memory() const {
  const auto* client = std::get_if<ClientHandshake>(&handshake_);
  return client != nullptr ? client->memory() : nullptr;
}

const std::vector<uint32_t>& Connection::buffers() const {
  static const std::vector<uint32_t> none;
  const auto* client = std::get_if<ClientHandshake>(&handshake_);
  return client != nullptr ? client->buffers() : none;
}

ucred Connection::peer() const {
  ucred credentials{};
  socklen_t length = sizeof credentials;
  if (::getsockopt(socket_.get(), SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0) credentials.pid = 0;
  return credentials;
}

} // namespace nodevpp::memif
