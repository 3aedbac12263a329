// The one shared-memory API connection of a process.
//
//   owner (JavaScript) ── send ──> vac_write ──> VPP's queue            Bell: wakes a VPP that may sleep
//     │  ↑                                          │
//     │  └─ eventfd, ReplyRing <── library's thread ├── our queue in VPP's segment
//     └──── poll ──────────────── Queues <──────────┘
//
//   keeper thread:  connecting ──> open ──close()──> closing ──> closed
//
// Connecting and disconnecting block inside the library (for ten seconds and more when VPP does not play its
// part), so that a thread of ours does it.
//
// Who takes messages out of our queue: always exactly one. The library's thread does, whatever the owner
// does, because VPP's main thread waits for ever on a full queue. But a thread that sleeps has to be woken
// for every burst, so that it stays in its callback (parked) while the owner polls:
//
//   thread ── a message while the owner is awake ──> parked <──> owner at it (poll)
//     ↑                                                 │
//     └── the owner rests, or has not polled for a while ┘
//
// No more requests are in flight than our queue holds, so that nobody has to be quick.
//
// Whether VPP may sleep: `covered` is how many requests had been sent when it was rung last. It handles those
// before it finds its queue empty; whatever was sent after them is at risk only once the last of them has
// been answered:
//
//   ring  when  sent > covered  and  received >= covered        (checked by sender and receiver after
//   counting)

#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <vector>

#include "vppapi/bell.h"
#include "vppapi/queues.h"
#include "vppapi/reply_ring.h"
#include "vppapi/segment.h"

namespace nodevpp::vppapi {

using Clock = std::chrono::steady_clock;

enum class Phase : uint8_t { kConnecting, kOpen, kClosing, kClosed };

class Connection : public std::enable_shared_from_this<Connection> {
public:
  struct Options {
    std::string name;
    std::string prefix; // of the segment; empty: none
    std::string folder = "/dev/shm";
    std::string socket; // for the doorbell
    int queue_length = 1024;
    uint32_t ring_bytes = 8u << 20;
    int connect_ms = 5000;
    int stopped_ms = 6000; // replies are not trusted after this process has stood still for so long
  };

  // Takes the process's one place and begins to connect; `event_fd` rings when the phase changes or replies
  // are there. IN_USE: another connection has the place; CLOSING: it is about to leave it.
  static Failure start(const Library& library, Options options, std::shared_ptr<Connection>* out);

  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection() = default;

  Phase phase() const { return phase_.load(); }
  // Why it closed by itself, or what is wrong with it while it is open.
  Failure failure() const;
  // It will close without anybody doing anything more.
  bool leaving() const;
  int event_fd() const { return event_.get(); }
  ReplyRing& ring() { return *ring_; }

  // `count` messages, one behind the other in `bytes`; how many were handed to VPP. It waits while VPP's
  // queue is full: the caller keeps fewer in flight than it holds.
  uint32_t send(const uint8_t* bytes, const uint32_t* sizes, uint32_t count);
  // Puts what has come into the ring, waiting up to `spin_us` for `wanted` messages. While the owner calls
  // this again and again, nobody has to wake it; False: the library's thread is at it now, and wakes as
  // always.
  bool poll(uint32_t wanted, uint32_t spin_us);
  // The owner is about to sleep, or to do other things: the library's thread goes on.
  void rest();
  // The owner can poll: our queue has been found, and proven to be what it looks like.
  bool direct() const { return direct_.load(); }
  // Waits until there is something behind `head` in the ring: `spin_us` awake, then asleep. False: nothing.
  bool wait(uint32_t head, uint32_t spin_us, uint32_t timeout_ms);
  // That many requests will not be answered.
  void forget(uint64_t count) { received_.fetch_add(count); }
  // VPP's number of `name_crc`, -1 when it has none.
  int message_index(const std::string& name_crc) const;
  int message_count() const;
  uint64_t sent() const { return sent_.load(); }
  uint64_t received() const { return received_.load(); }
  uint64_t rings() const { return bell_.rings(); }

  // Begins to close; `wait_closed` tells when it is done.
  void close();
  bool wait_closed(int timeout_ms);

private:
  Connection(const Library& library, Options options) : library_(library), options_(std::move(options)) {}
  static void on_message(unsigned char* message, int size);
  void receive(const uint8_t* message, uint32_t size);
  bool put(const uint8_t* message, uint32_t size);
  uint32_t write(const uint8_t* bytes, const uint32_t* sizes, uint32_t count);
  bool stood_still();
  void park();
  void take_all();
  void stay_awake();
  bool prove();
  bool prove(const uint8_t* message, uint32_t size);
  void keep();
  Failure connect();
  void watch();
  void fail(Failure failure);
  void set_phase(Phase phase);
  void ring_if_asleep();
  void wake() const;

  const Library& library_;
  const Options options_;
  sys::Fd event_;
  std::unique_ptr<ReplyRing> ring_;
  Bell bell_;
  std::vector<int> guards_; // slots of the guarded ranges

  std::atomic<Phase> phase_{Phase::kConnecting};
  std::atomic<bool> broken_{false}; // nothing is delivered any more
  mutable std::mutex mutex_;        // phase changes, failure_, close_
  std::condition_variable changed_;
  Failure failure_;
  bool close_ = false;
  std::mutex sending_; // nobody disconnects under a sender

  enum class Reader : uint8_t { kThread, kParked, kOwner };
  Queues queues_;
  std::atomic<bool> direct_{false};
  std::atomic<Reader> reader_{Reader::kThread}; // who takes messages, and writes the ring
  std::atomic<bool> awake_{false};              // the owner polls
  std::atomic<uint32_t> polls_{0};
  Clock::time_point answered_; // all that was asked; of the owner
  std::mutex parking_;
  std::condition_variable rested_;
  std::atomic<uint32_t> proving_{0}; // how many answers to pings of the proof are still to come

  std::atomic<uint64_t> sent_{0};
  std::atomic<uint64_t> received_{0};
  std::atomic<uint64_t> covered_{0};
  std::atomic<int64_t> tick_ms_{0}; // the keeper was last seen alive
};

} // namespace nodevpp::vppapi
