#include "memif/bridge.h"

#include <pthread.h>
#include <sys/epoll.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "sys/doorbell.h"
#include "sys/guard.h"

namespace nodevpp::memif {
namespace {

using Clock = std::chrono::steady_clock;

void copy_packet(uint8_t* to, const uint8_t* from, uint32_t length) {
  // The length is known to the compiler for the commonest frame, which then is four vector moves.
  if (length == 64)
    std::memcpy(to, from, 64);
  else
    std::memcpy(to, from, length);
}

size_t largest_ring(const std::array<BridgeSide, 2>& sides) {
  size_t largest = 0;
  for (const auto& side : sides) {
    for (const auto& queue : side.rx)
      largest = std::max<size_t>(largest, queue.size());
    for (const auto& queue : side.tx)
      largest = std::max<size_t>(largest, queue.size());
  }
  return largest;
}

} // namespace

Bridge::Bridge(BridgeSide a, BridgeSide b, int spin_us, int notify)
    : sides_{std::move(a), std::move(b)}, spin_us_(spin_us), notify_(notify) {
  size_t largest = largest_ring(sides_);
  for (size_t side : {0, 1})
    waiting_[side].resize(sides_[side].rx.size());
  in_.resize(largest);
  out_.resize(largest);
}

sys::SysError Bridge::start() {
  if (thread_.joinable()) return {EALREADY, "start"};
  stopping_.store(false, std::memory_order_relaxed);
  epoll_ = sys::Fd(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll_.valid()) return {errno, "epoll_create1"};
  if (auto error = sys::create_eventfd(&stop_event_)) return error;
  auto add = [&](int fd) {
    struct epoll_event event {};
    event.events = EPOLLIN;
    event.data.fd = fd;
    return ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0;
  };
  if (!add(stop_event_.get())) return {errno, "epoll_ctl"};
  for (auto& side : sides_) {
    for (auto& queue : side.rx)
      queue.ring().mask_interrupts(true);
    for (auto& event : side.rx_events) {
      if (!add(event.get())) return {errno, "epoll_ctl"};
    }
  }
  // Signals are for the main thread.
  sigset_t all;
  sigset_t old;
  sigfillset(&all);
  sigdelset(&all, SIGBUS);
  sigdelset(&all, SIGSEGV);
  sigdelset(&all, SIGPROF);
  ::pthread_sigmask(SIG_BLOCK, &all, &old);
  thread_ = std::thread([this] { run(); });
  ::pthread_sigmask(SIG_SETMASK, &old, nullptr);
  ::pthread_setname_np(thread_.native_handle(), "memif-bridge");
  return {};
}

void Bridge::stop() {
  if (!thread_.joinable()) return;
  stopping_.store(true, std::memory_order_release);
  sys::kick(stop_event_.get());
  thread_.join();
}

void Bridge::accuse(int side, Violation violation) {
  violation_.store(violation, std::memory_order_release);
  violator_.store(side, std::memory_order_release);
  sys::kick(notify_);
}

void Bridge::run() {
  auto idle_since = Clock::now();
  bool idle = false;
  unsigned turn = 0;
  while (!stopping_.load(std::memory_order_relaxed) && violator_.load(std::memory_order_relaxed) < 0) {
    if (sys::guard_hits() != guard_hits_) look_for_lost_memory();
    blocked_ = false;
    bool moved = move(0);
    moved = move(1) || moved;
    if (moved) {
      idle = false;
      continue;
    }
    if (spin_us_ < 0) continue;
    // The clock is asked now and then only; a turn without packets takes some tens of nanoseconds.
    if (!idle) {
      idle = true;
      turn = 0;
      idle_since = Clock::now();
    }
    if (++turn % 64 != 0 && spin_us_ > 0) continue;
    if (Clock::now() - idle_since < std::chrono::microseconds(spin_us_)) continue;
    wait_for_packets();
    idle = false;
  }
}

bool Bridge::move(int from) {
  BridgeSide& source = sides_[static_cast<size_t>(from)];
  BridgeSide& target = sides_[static_cast<size_t>(1 - from)];
  bool moved = false;
  for (size_t i = 0; i < source.rx.size(); i++) {
    size_t t = i % target.tx.size();
    moved = move_burst(from, i, target.tx[t], target.tx_events[t].get()) || moved;
  }
  return moved;
}

// Whether all that the other side has ever posted has been free for so long that no more will come.
bool Bridge::waited_enough(int from, size_t queue, const Queue& tx, size_t room) {
  Waiting& waiting = waiting_[static_cast<size_t>(from)][queue];
  auto now = Clock::now();
  if (!waiting.yes || waiting.room != room) waiting = {true, room, now};
  return room == tx.most_free() && now - waiting.since >= kPatience;
}

bool Bridge::move_burst(int from, size_t queue, Queue& tx, int tx_event) {
  Queue& rx = sides_[static_cast<size_t>(from)].rx[queue];
  Violation violation = Violation::none;
  size_t received = rx.peek(in_.data(), kBurst, &violation);
  if (violation != Violation::none) accuse(from, violation);
  if (received == 0) return false;
  size_t room = tx.reserve(out_.data(), std::max(received, kBurst), &violation);
  if (violation != Violation::none) accuse(1 - from, violation);

  size_t taken = 0; // segments of rx that are done with
  size_t used = 0;  // segments of tx that are filled
  uint64_t packets = 0;
  uint64_t bytes = 0;
  while (taken < received) {
    if (used == room) {
      blocked_ = true;
      break;
    }
    Segment& first = in_[taken];
    if (taken + 4 < received) __builtin_prefetch(in_[taken + 4].data);
    if (!first.more && first.length <= out_[used].length) {
      copy_packet(out_[used].data, first.data, first.length);
      out_[used].length = first.length;
      used++;
      taken++;
      packets++;
      bytes += first.length;
      continue;
    }
    // A chain on either side: find where the packet ends and whether it fits in what is left.
    size_t last = taken;
    uint64_t total = first.length;
    while (in_[last].more)
      total += in_[++last].length;
    size_t end = used;
    uint64_t capacity = 0;
    while (end < room && capacity < total)
      capacity += out_[end++].length;
    if (capacity < total) {
      if (used == 0 && room < tx.size()) {
        // Longer than a burst of buffers: perhaps the whole ring can hold it.
        size_t all = tx.reserve(out_.data(), tx.size(), &violation);
        if (violation != Violation::none) accuse(1 - from, violation);
        if (all > room) {
          room = all;
          continue;
        }
      }
      // All of it is free, and still it does not fit.
      if (used == 0 && room > 0 && (room == tx.size() || waited_enough(from, queue, tx, room))) {
        counters_[static_cast<size_t>(from)].too_long.fetch_add(1, std::memory_order_relaxed);
        taken = last + 1;
        continue;
      }
      blocked_ = true;
      break;
    }
    uint32_t filled = 0;
    uint32_t room_here = out_[used].length;
    for (size_t s = taken; s <= last; s++) {
      uint32_t done = 0;
      while (done < in_[s].length) {
        if (filled == room_here) {
          out_[used].length = filled;
          out_[used].more = true;
          used++;
          filled = 0;
          room_here = out_[used].length;
        }
        uint32_t part = std::min(in_[s].length - done, room_here - filled);
        std::memcpy(out_[used].data + filled, in_[s].data + done, part);
        filled += part;
        done += part;
      }
    }
    out_[used].length = filled;
    out_[used].more = false;
    used++;
    taken = last + 1;
    packets++;
    bytes += total;
  }
  BridgeCounters& counters = counters_[static_cast<size_t>(from)];
  if (used > 0 && tx.commit(out_.data(), used)) {
    counters.kicks.fetch_add(1, std::memory_order_relaxed);
    if (!sys::kick(tx_event)) accuse(1 - from, Violation::doorbell);
  }
  if (taken > 0) waiting_[static_cast<size_t>(from)][queue].yes = false;
  rx.release(taken);
  counters.packets.fetch_add(packets, std::memory_order_relaxed);
  counters.bytes.fetch_add(bytes, std::memory_order_relaxed);
  return taken > 0;
}

void Bridge::look_for_lost_memory() {
  guard_hits_ = sys::guard_hits();
  for (int side = 0; side < 2; side++) {
    const BridgeSide& queues = sides_[static_cast<size_t>(side)];
    for (const auto* list : {&queues.rx, &queues.tx}) {
      if (std::any_of(list->begin(), list->end(), [](const Queue& queue) { return queue.memory_lost(); }))
        accuse(side, Violation::descriptor);
    }
  }
}

bool Bridge::drain_doorbells(int timeout_ms) {
  struct epoll_event events[16];
  int ready = ::epoll_wait(epoll_.get(), events, 16, timeout_ms);
  for (int i = 0; i < ready; i++) {
    if (events[i].data.fd != stop_event_.get()) sys::drain(events[i].data.fd);
  }
  if (ready > 0) counters_[0].wakeups.fetch_add(1, std::memory_order_relaxed);
  return ready > 0;
}

void Bridge::wait_for_packets() {
  auto mask_all = [&](bool masked) {
    for (auto& side : sides_) {
      for (auto& queue : side.rx)
        queue.ring().mask_interrupts(masked);
    }
  };
  // A full ring has no doorbell: come back soon by ourselves.
  if (blocked_) {
    drain_doorbells(1);
    return;
  }
  mask_all(false);
  // Packets published before the unmasking was seen come without a kick: look again, and once more a little
  // later, because peers test the mask without a barrier after they publish. One that finds the other ring
  // full may be the last for long, so then nobody sleeps.
  for (int timeout_ms : {1, -1}) {
    blocked_ = false;
    bool moved = move(0);
    moved = move(1) || moved;
    if (moved || blocked_ || violator_.load(std::memory_order_relaxed) >= 0) break;
    if (drain_doorbells(timeout_ms)) break;
  }
  mask_all(true);
}

} // namespace nodevpp::memif
