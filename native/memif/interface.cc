#include "memif/interface.h"

namespace nodevpp::memif {

Interface::Interface(sys::Poller& poller, InterfaceObserver& observer, InterfaceOptions options,
                     unsigned handshake_timeout_ms)
    : poller_(poller), observer_(observer), options_(std::move(options)),
      handshake_timeout_ms_(handshake_timeout_ms) {}

Interface::~Interface() {
  if (listener_ != nullptr) listener_->detach(*this);
}

sys::SysError Interface::connect(const sys::UnixAddress& address) {
  if (connection_ != nullptr) return {EISCONN, "connect"};
  sys::Fd socket;
  if (auto error = sys::connect_seqpacket(address, &socket)) return error;
  own_ = std::make_unique<Connection>(poller_, static_cast<ConnectionOwner&>(*this), std::move(socket),
                                      options_, memory_, handshake_timeout_ms_);
  connection_ = own_.get();
  connection_->start();
  return {};
}

void Interface::disconnect(const Failure& failure) {
  if (connection_ != nullptr) connection_->end(failure);
}

void Interface::connection_established(Connection&) {
  up_ = true;
  observer_.interface_up(*this);
}

void Interface::connection_ended(Connection& connection, const Failure& failure) {
  if (connection_ != &connection) return;
  bool was_up = std::exchange(up_, false);
  connection_ = nullptr;
  // Kept alive until the observer has taken leave of its queues.
  std::unique_ptr<Connection> dying = std::move(own_);
  observer_.interface_down(*this, failure, was_up);
}

} // namespace nodevpp::memif
