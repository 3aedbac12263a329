#include "vppapi/connection.h"

#include <poll.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <ctime>
#include <set>
#include <system_error>
#include <thread>

#include "sys/doorbell.h"
#include "sys/guard.h"
#include "vppapi/wire.h"

namespace nodevpp::vppapi {
namespace {

using std::chrono::milliseconds;

constexpr auto kTick = milliseconds(500);
constexpr int kLeaveMs = 1000;
// Without an answer to what was rung for: perhaps VPP dropped it without a word. Ring again.
constexpr int64_t kRepeatMs = 2;
// An owner that has not polled for so long does other things.
constexpr auto kParked = milliseconds(50);
// Requests that follow each other within this time are asked one after the other.
constexpr auto kOneAfterTheOther = std::chrono::microseconds(100);
// At most so many are taken in one go, so that the owner looks at them while they are in its cache.
constexpr uint32_t kPollMost = 256;
// So many are put into VPP's queue under one lock.
constexpr uint32_t kBatch = 64;

void pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// The library calls back without a context and has one connection, so that this is process-wide too.
std::mutex place_mutex;
std::weak_ptr<Connection>& place() {
  static auto* made = new std::weak_ptr<Connection>;
  return *made;
}
std::atomic<Connection*> current{nullptr};

// The library keeps the pointer: interned, never freed.
char* lasting(const std::string& text) {
  static auto* kept = new std::set<std::string>;
  return const_cast<char*>(kept->insert(text).first->c_str());
}

int64_t now_ms() {
  struct timespec now {};
  ::clock_gettime(CLOCK_MONOTONIC_COARSE,
                  &now); // milliseconds are enough, and this is asked for every message
  return int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1000000;
}

} // namespace

Failure Connection::start(const Library& library, Options options, std::shared_ptr<Connection>* out) {
  std::lock_guard lock(place_mutex);
  if (auto other = place().lock(); other != nullptr && other->phase() != Phase::kClosed) {
    return {other->leaving() ? "CLOSING" : "IN_USE",
            "this process has a shared-memory connection already, under the name " + other->options_.name};
  }
  std::shared_ptr<Connection> made(new Connection(library, std::move(options)));
  if (auto error = sys::create_eventfd(&made->event_)) {
    return {"CONNECT", std::string(error.syscall) + ": " + std::system_category().message(error.err)};
  }
  if (auto error = ReplyRing::create(made->options_.ring_bytes, &made->ring_)) {
    return {"CONNECT", std::string(error.syscall) + ": " + std::system_category().message(error.err)};
  }
  place() = made;
  // Detached: the end of the process must not wait for a library that does not return.
  std::thread([made] { made->keep(); }).detach();
  *out = std::move(made);
  return {};
}

bool Connection::leaving() const {
  std::lock_guard lock(mutex_);
  return close_ || failure_ || phase_ == Phase::kClosing;
}

Failure Connection::failure() const {
  std::lock_guard lock(mutex_);
  return failure_;
}

void Connection::keep() {
  tick_ms_ = now_ms();
  Failure failure = connect();
  if (failure) {
    bell_.close(kLeaveMs);
    fail(std::move(failure));
    set_phase(Phase::kClosed);
    return;
  }
  tick_ms_ = now_ms(); // connecting may have taken long
  direct_ = prove();
  set_phase(Phase::kOpen);
  watch();
  {
    // From here on nobody sends or polls.
    std::lock_guard lock(sending_);
    set_phase(Phase::kClosing);
  }
  rest();
  while (reader_ != Reader::kThread)
    std::this_thread::sleep_for(std::chrono::microseconds(100));
  library_.disconnect();
  for (int slot : guards_)
    sys::guard_remove(slot);
  current = nullptr;
  bell_.close(kLeaveMs);
  set_phase(Phase::kClosed);
}

Failure Connection::connect() {
  static std::atomic<bool> used_prefix{false};
  std::vector<Range> ranges;
  if (options_.prefix.empty() && used_prefix) {
    return {"SEGMENT",
            "the library has used a segment with a prefix in this process and cannot go back to the "
            "one without; start another process"};
  }
  if (Failure failure = check_segment(options_.folder, options_.prefix, &ranges)) return failure;
  if (Failure failure = bell_.open(options_.socket, options_.name + "-doorbell", options_.connect_ms)) {
    return failure;
  }
  take_complaints();
  std::string name = options_.name;
  char* prefix = nullptr;
  if (!options_.prefix.empty()) {
    prefix = lasting(options_.prefix);
    used_prefix = true;
  }
  current = this;
  int result = library_.connect(name.data(), prefix, on_message, options_.queue_length);
  if (result != 0) {
    current = nullptr;
    std::string complaint = take_complaints();
    return {"CONNECT", "vac_connect answered " + std::to_string(result) +
                           (complaint.empty() ? "" : " (" + complaint + ")")};
  }
  for (const Range& range : ranges) {
    int slot = sys::guard_add(reinterpret_cast<void*>(range.start), range.size); // NOLINT
    if (slot >= 0) guards_.push_back(slot);
  }
  return {};
}

// Until somebody wants to close: shows that this process is alive, and looks whether the memory still is.
void Connection::watch() {
  std::unique_lock lock(mutex_);
  while (!close_) {
    changed_.wait_for(lock, kTick);
    int64_t now = now_ms();
    bool stood_still = now - tick_ms_ > options_.stopped_ms && sent_ > received_;
    bool lost = false;
    for (int slot : guards_)
      lost = lost || sys::guard_hit(slot);
    lock.unlock();
    if (lost) fail({"MEMORY", "pages of VPP's segment are gone (is /dev/shm full?)"});
    if (stood_still)
      fail({"STOPPED", "this process stood still for " + std::to_string(now - tick_ms_) + " ms"});
    tick_ms_ = now;
    lock.lock();
  }
}

void Connection::fail(Failure failure) {
  {
    std::lock_guard lock(mutex_);
    if (!failure_) failure_ = std::move(failure);
  }
  broken_ = true;
  wake();
}

void Connection::set_phase(Phase phase) {
  {
    std::lock_guard lock(mutex_);
    phase_ = phase;
  }
  changed_.notify_all();
  wake();
}

void Connection::on_message(unsigned char* message, int size) {
  Connection* connection = current;
  if (connection != nullptr && size > 0) connection->receive(message, static_cast<uint32_t>(size));
}

// In the library's thread.
void Connection::receive(const uint8_t* message, uint32_t size) {
  if (proving_ > 0 && prove(message, size)) return;
  if (broken_ || stood_still() || !put(message, size)) return;
  received_.fetch_add(1);
  bool woken = ring_->disarm();
  if (woken) wake();
  ring_if_asleep();
  if (!direct_) return;
  // An owner that polls at all does so as soon as it is awake.
  if (woken && polls_ > 0) awake_ = true;
  if (awake_) park();
}

// VPP takes the memory of a message back that nobody fetched for ten seconds: what is in our queue after such
// a time may have become somebody else's.
bool Connection::stood_still() {
  int64_t still = now_ms() - tick_ms_;
  if (still <= options_.stopped_ms) return false;
  fail({"STOPPED", "this process stood still for " + std::to_string(still) + " ms"});
  return true;
}

bool Connection::put(const uint8_t* message, uint32_t size) {
  if (ring_->push(message, size)) return true;
  fail({"OVERFLOW", "more replies than requests: the memory for them is full"});
  return false;
}

// Leaves the queue to the owner for as long as it polls.
void Connection::park() {
  reader_ = Reader::kParked;
  {
    std::unique_lock lock(parking_);
    uint32_t polls = polls_;
    while (awake_ && !broken_ && (phase_ == Phase::kOpen || phase_ == Phase::kConnecting)) {
      bool rested = rested_.wait_for(lock, kParked, [this] { return !awake_; });
      if (!rested && polls_ == polls) awake_ = false;
      polls = polls_;
    }
  }
  Reader parked = Reader::kParked;
  while (!reader_.compare_exchange_weak(parked, Reader::kThread)) {
    parked = Reader::kParked;
    ::sched_yield();
  }
}

void Connection::rest() {
  if (!awake_.exchange(false)) return;
  std::lock_guard lock(parking_);
  rested_.notify_all();
}

bool Connection::poll(uint32_t wanted, uint32_t spin_us) {
  polls_.fetch_add(1, std::memory_order_relaxed);
  if (!direct_ || broken_ || phase_ != Phase::kOpen) return false;
  awake_ = true;
  Reader parked = Reader::kParked;
  if (!reader_.compare_exchange_strong(parked, Reader::kOwner)) {
    // It may have to run on this very processor.
    if (spin_us > 0) ::sched_yield();
    return false;
  }
  if (spin_us > 0 && queues_.inbox.waiting() < wanted) {
    auto until = Clock::now() + std::chrono::microseconds(spin_us);
    do {
      // Every look takes the line away from VPP, which is about to write it.
      for (int i = 0; i < (wanted > 1 ? 32 : 4); i++)
        pause();
    } while (queues_.inbox.waiting() < wanted && Clock::now() < until);
  }
  if (queues_.inbox.waiting() > 0 && !stood_still()) take_all();
  reader_ = Reader::kParked;
  return true;
}

// In the owner's thread, while the library's is parked.
void Connection::take_all() {
  std::array<uint8_t*, kPollMost> messages;
  uint32_t taken = queues_.inbox.take(messages.data(), messages.size());
  uint32_t count = 0;
  for (uint32_t i = 0; i < taken; i++) {
    const uint8_t* message = messages[i];
    uint32_t size = Queues::size_of(message);
    if (size == 10 && get16(message) == kKeepalive) {
      std::array<uint8_t, 10> reply{0, kKeepaliveReply}; // the library puts in the index that VPP asks for
      library_.write(reinterpret_cast<char*>(reply.data()), reply.size());
    } else if (!broken_ && put(message, size)) {
      count++;
    }
    library_.free(messages[i]);
  }
  if (count == 0) return;
  received_.fetch_add(count);
  ring_if_asleep();
  if (sent_ == received_) stay_awake();
}

// Who asks one thing after the other asks again in a moment. A VPP that falls asleep before has to be woken
// from a sleep of its processor, too, which takes longer than everything else together; a ring now spares it
// that.
void Connection::stay_awake() {
  auto now = Clock::now();
  if (now - answered_ < kOneAfterTheOther) bell_.ring();
  answered_ = now;
}

void Connection::ring_if_asleep() {
  uint64_t covered = covered_.load();
  if (sent_.load() <= covered || received_.load() < covered) return;
  covered_ = sent_.load(); // before the byte: what is counted here is in VPP's queue
  bell_.ring();
}

void Connection::wake() const {
  uint64_t one = 1;
  // Cannot fail but by a full counter, and then the reader is to wake already.
  [[maybe_unused]] ssize_t written = ::write(event_.get(), &one, sizeof one);
}

uint32_t Connection::send(const uint8_t* bytes, const uint32_t* sizes, uint32_t count) {
  std::lock_guard lock(sending_);
  if (phase_ != Phase::kOpen || broken_) return 0;
  static thread_local int64_t last_ms = 0;
  uint32_t done = 0;
  while (done < count) {
    // The first one at once, so that VPP wakes while the rest is written.
    uint32_t some = done == 0 ? 1 : count - done;
    uint32_t written = write(bytes, sizes + done, some);
    for (uint32_t i = 0; i < written; i++)
      bytes += sizes[done + i];
    done += written;
    sent_.fetch_add(written);
    ring_if_asleep();
    if (written < some) {
      fail({"WRITE", "vac_write failed: " + take_complaints()});
      break;
    }
  }
  if (int64_t now = now_ms(); now - last_ms > kRepeatMs) {
    last_ms = now;
    if (covered_.load() < sent_.load()) {
      covered_ = sent_.load();
      bell_.ring();
    }
  }
  return done;
}

// Puts them into VPP's queue, which may mean to wait for room; fewer than `count`: it cannot be done.
uint32_t Connection::write(const uint8_t* bytes, const uint32_t* sizes, uint32_t count) {
  uint32_t done = 0;
  while (done < count) {
    uint32_t put = 0;
    if (direct_ && count - done > 1) {
      std::array<uint8_t*, kBatch> messages{};
      uint32_t batch = std::min(count - done, kBatch);
      const uint8_t* next = bytes;
      for (uint32_t i = 0; i < batch; i++) {
        messages[i] = static_cast<uint8_t*>(library_.allocate(static_cast<int>(sizes[done + i])));
        if (messages[i] == nullptr) {
          batch = i;
          break;
        }
        std::memcpy(messages[i], next, sizes[done + i]);
        std::memcpy(messages[i] + 2, &queues_.client_index, sizeof queues_.client_index);
        next += sizes[done + i];
      }
      put = queues_.outbox.put(messages.data(), batch);
      for (uint32_t i = put; i < batch; i++)
        library_.free(messages[i]);
    }
    for (uint32_t i = 0; i < put; i++)
      bytes += sizes[done + i];
    done += put;
    if (put > 0 || done == count) continue;
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-const-cast): the library copies
    char* message = const_cast<char*>(reinterpret_cast<const char*>(bytes));
    if (library_.write(message, static_cast<int>(sizes[done])) != 0) break;
    bytes += sizes[done++];
  }
  return done;
}

bool Connection::wait(uint32_t head, uint32_t spin_us, uint32_t timeout_ms) {
  auto begin = Clock::now();
  auto spin_until = begin + std::chrono::microseconds(spin_us);
  auto deadline = begin + milliseconds(timeout_ms);
  auto over = [this, head] { return ring_->head() != head || broken_ || phase_ != Phase::kOpen; };
  while (!over() && Clock::now() < spin_until)
    poll(1, 5);
  if (!over()) rest();
  while (!over()) {
    auto left = std::chrono::ceil<milliseconds>(deadline - Clock::now()).count();
    if (left <= 0) return false;
    ring_->arm();
    if (over()) break;
    struct pollfd entry = {event_.get(), POLLIN, 0};
    ::poll(&entry, 1, static_cast<int>(left));
    sys::drain(event_.get());
  }
  return ring_->head() != head;
}

int Connection::message_index(const std::string& name_crc) const {
  std::string key = name_crc;
  auto index = static_cast<unsigned>(library_.get_msg_index(key.data()));
  return index > 0xffff ? -1 : static_cast<int>(index);
}

int Connection::message_count() const {
  return library_.msg_table_size();
}

void Connection::close() {
  {
    std::lock_guard lock(mutex_);
    close_ = true;
  }
  changed_.notify_all();
}

bool Connection::wait_closed(int timeout_ms) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, milliseconds(timeout_ms), [this] { return phase_ == Phase::kClosed; });
}

} // namespace nodevpp::vppapi
