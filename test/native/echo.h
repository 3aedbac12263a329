// The program behind an interface in tests of attacks: it does with its rings what programs do.

#pragma once

#include <cstring>

#include "support.h"

namespace nodevpp::test {

using memif::Interface;
using memif::Queue;
using memif::Reason;
using memif::Segment;
using memif::Violation;

// Receives, and sends back what fits. When a ring breaks the rules it ends the connection, as programs do.
class Echo {
public:
  void start(Interface& interface) {
    interface_ = &interface;
    queues_ = queues_of(interface);
    in_.resize(1 << 14);
    out_.resize(1 << 14);
  }
  void work() {
    if (interface_ == nullptr || interface_->connection() == nullptr) {
      queues_ = {};
      return;
    }
    for (size_t i = 0; i < queues_.rx.size(); i++) {
      Violation violation{};
      size_t got = queues_.rx[i].peek(in_.data(), in_.size(), &violation);
      if (!check(violation)) return;
      Queue& tx = queues_.tx[i % queues_.tx.size()];
      size_t room = tx.reserve(out_.data(), got, &violation);
      if (!check(violation)) return;
      for (size_t n = 0; n < got; n++) {
        received++;
        for (uint32_t b = 0; b < in_[n].length; b += 64)
          sum += in_[n].data[b];
        if (n >= room) continue;
        uint32_t length = std::min(in_[n].length, out_[n].length);
        std::memcpy(out_[n].data, in_[n].data, length);
        out_[n].length = length;
      }
      if (tx.commit(out_.data(), std::min(got, room))) sys::kick(tx.event());
      queues_.rx[i].release(got);
      if (!check(violation)) return; // lost while we were reading
    }
  }
  // Sends packets of its own; how many.
  size_t send(size_t count) {
    Violation violation{};
    size_t room = queues_.tx[0].reserve(out_.data(), count, &violation);
    for (size_t n = 0; n < room; n++)
      out_[n].length = 60;
    queues_.tx[0].commit(out_.data(), room);
    return room;
  }
  // Takes packets without sending them back.
  size_t take() {
    Violation violation{};
    size_t got = queues_.rx[0].peek(in_.data(), in_.size(), &violation);
    queues_.rx[0].release(got);
    return got;
  }
  Queues& queues() { return queues_; }

  uint64_t received = 0;
  uint64_t sum = 0;

private:
  bool check(Violation violation) {
    bool lost = interface_->connection()->session().memory_lost();
    if (!lost && violation == Violation::none) return true;
    queues_ = {};
    if (lost)
      interface_->disconnect({Reason::region, "a region was truncated under us", {}});
    else if (violation == Violation::index)
      interface_->disconnect({Reason::index, "an index jumped", {}});
    else
      interface_->disconnect({Reason::descriptor, "a descriptor is wrong", {}});
    return false;
  }
  Interface* interface_ = nullptr;
  Queues queues_;
  std::vector<Segment> in_;
  std::vector<Segment> out_;
};

} // namespace nodevpp::test
