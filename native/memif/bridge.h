// A bridge: a thread that moves packets between two connections, both ways, without JavaScript.
//
// Each receive queue of one side feeds a transmit queue of the other (queue i to i modulo their number). A
// packet that finds the other ring full stays where it is: nothing is dropped, the sender sees its own ring
// fill up. A packet that can never fit is dropped and counted: one longer than the whole ring, or, where the
// other side never posts buffers in all of its slots, longer than all it has ever posted. The latter takes a
// second to be believed.
//
//   spinning --(no packet for spin_us)--> unmask, look again --> waiting on the eventfds --(kick)--> spinning
//                                                 \--(a packet waits for room)--> looking every millisecond

#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <thread>

#include "memif/queue.h"

namespace nodevpp::memif {

struct BridgeSide {
  std::vector<Queue> rx;
  std::vector<Queue> tx;
  std::vector<sys::Fd> rx_events; // our own duplicates
  std::vector<sys::Fd> tx_events;
};

struct BridgeCounters {
  std::atomic<uint64_t> packets{0};
  std::atomic<uint64_t> bytes{0};
  std::atomic<uint64_t> kicks{0};
  std::atomic<uint64_t> wakeups{0};
  std::atomic<uint64_t> too_long{0};
};

class Bridge {
public:
  // `spin_us` < 0: never wait. The bridge writes to `notify` when a peer has broken the rules; see
  // violation().
  Bridge(BridgeSide a, BridgeSide b, int spin_us, int notify);
  ~Bridge() { stop(); }
  Bridge(const Bridge&) = delete;
  Bridge& operator=(const Bridge&) = delete;

  // May be started again after it was stopped, unless somebody broke the rules.
  sys::SysError start();
  // Ends the thread and waits for it; the sides can then be looked at.
  void stop();

  const BridgeSide& side(int which) const { return sides_[static_cast<size_t>(which)]; }
  const BridgeCounters& counters(int from) const { return counters_[static_cast<size_t>(from)]; }
  // Which side broke the rules, and how; -1 while neither did. The thread has ended by then.
  int violator() const { return violator_.load(std::memory_order_acquire); }
  Violation violation() const { return violation_.load(std::memory_order_acquire); }

private:
  void run();
  bool move(int from);
  bool move_burst(int from, size_t queue, Queue& tx, int tx_event);
  bool waited_enough(int from, size_t queue, const Queue& tx, size_t room);
  void wait_for_packets();
  bool drain_doorbells(int timeout_ms);
  void look_for_lost_memory();
  void accuse(int side, Violation violation);

  // Of a receive queue: since when its first packet has been too long for the room there is.
  struct Waiting {
    bool yes = false;
    size_t room = 0;
    std::chrono::steady_clock::time_point since;
  };

  static constexpr size_t kBurst = 256;
  static constexpr auto kPatience = std::chrono::seconds(1);
  std::array<BridgeSide, 2> sides_;
  std::array<BridgeCounters, 2> counters_;
  int spin_us_;
  int notify_;
  sys::Fd epoll_;
  sys::Fd stop_event_;
  std::thread thread_;
  std::atomic<bool> stopping_{false};
  std::atomic<int> violator_{-1};
  std::atomic<Violation> violation_{Violation::none};
  std::array<std::vector<Waiting>, 2> waiting_;
  std::vector<Segment> in_;
  std::vector<Segment> out_;
  unsigned guard_hits_ = 0; // of the process, when we last looked
  bool blocked_ = false;    // a packet was left behind because the other ring was full
};

} // namespace nodevpp::memif
