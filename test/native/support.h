// What the C++ tests and fuzzers share: an event loop, counts of what a process holds, hand-made clients and
// raw peers that say whatever a test wants them to, and pairs of queues over memory that needs no handshake.
//
// No GoogleTest in here: the fuzzers use it too. Nothing sleeps for luck; everything waits for a condition,
// with a deadline that only a failure reaches.

#pragma once

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "memif/handshake.h"
#include "memif/interface.h"
#include "memif/queue.h"
#include "sys/doorbell.h"
#include "sys/poller.h"
#include "sys/seqpacket.h"
#include "sys/shared_memory.h"

namespace nodevpp::test {

using Clock = std::chrono::steady_clock;

// Only a failure reaches these, or no test of what a limit does: long enough for valgrind on a busy machine.
constexpr int kDeadlineMs = 60'000;
constexpr unsigned kHandshakeMs = 60'000;

[[noreturn]] inline void die(const char* what) {
  std::perror(what);
  std::abort();
}

// True under valgrind or a sanitizer, where memory figures say nothing and everything takes longer.
inline bool instrumented() {
  const char* variant = std::getenv("NODE_VPP_TEST_VARIANT");
  return variant != nullptr && std::strcmp(variant, "plain") != 0;
}

// A time limit that a test waits for, though what it does before has to end in time.
inline unsigned short_handshake_ms() {
  return instrumented() ? 3000 : 1000;
}

// How often to do something that is the better the more often it is done: as often as said, or less where
// everything takes longer. Valgrind runs one thread at a time, some fifty times slower.
inline uint32_t scaled(uint32_t times) {
  const char* variant = std::getenv("NODE_VPP_TEST_VARIANT");
  if (variant != nullptr && std::strcmp(variant, "valgrind") == 0) return times / 50;
  return instrumented() ? times / 10 : times;
}

// A poller over epoll, level-triggered like libuv's.
class EpollPoller final : public sys::Poller {
public:
  EpollPoller() : epoll_(::epoll_create1(EPOLL_CLOEXEC)) {}
  ~EpollPoller() override {
    for (Watch* watch : all_)
      delete watch;
  }

  Token watch(int fd, Callback callback) override {
    if (fail_next_ > 0 && --fail_next_ == 0) {
      errno = ENOSPC; // as epoll_ctl says when the user has too many watches
      return nullptr;
    }
    auto* watch = new Watch{fd, std::move(callback), true};
    struct epoll_event event {};
    event.events = EPOLLIN | EPOLLRDHUP;
    event.data.ptr = watch;
    if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
      delete watch;
      return nullptr;
    }
    all_.push_back(watch);
    return watch;
  }

  void unwatch(Token token) override {
    auto* watch = static_cast<Watch*>(token);
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, watch->fd, nullptr);
    watch->alive = false; // freed after the turn: its callback may be running
  }

  // Waits once, at most this long, and calls back; how many callbacks ran.
  size_t turn(int timeout_ms) {
    struct epoll_event events[32];
    int ready = ::epoll_wait(epoll_.get(), events, 32, timeout_ms);
    size_t ran = 0;
    for (int i = 0; i < ready; i++) {
      auto* watch = static_cast<Watch*>(events[i].data.ptr);
      if (!watch->alive) continue;
      ran++;
      watch->callback();
    }
    std::erase_if(all_, [](Watch* watch) {
      if (watch->alive) return false;
      delete watch;
      return true;
    });
    turns_ += ready > 0 ? 1 : 0;
    return ran;
  }

  // Turns until the condition holds; false when the deadline came first.
  bool run_until(const std::function<bool()>& condition, int deadline_ms = kDeadlineMs) {
    auto end = Clock::now() + std::chrono::milliseconds(deadline_ms);
    while (!condition()) {
      if (Clock::now() >= end) return false;
      turn(1);
    }
    return true;
  }
  // Turns until nothing is ready any more.
  void settle() {
    while (turn(0) > 0) {
    }
  }

  size_t turns() const { return turns_; }                   // that found something ready
  size_t watching() const { return all_.size(); }           // watches that are open
  void fail_watch(unsigned number) { fail_next_ = number; } // the number-th watch from now cannot be had

private:
  struct Watch {
    int fd;
    Callback callback;
    bool alive;
  };
  sys::Fd epoll_;
  std::vector<Watch*> all_;
  size_t turns_ = 0;
  unsigned fail_next_ = 0;
};

// What this process holds: descriptors, and mappings of shared memory (others come and go with malloc).
struct Holdings {
  size_t fds = 0;
  size_t mappings = 0;
  bool operator==(const Holdings&) const = default;
};

inline size_t count_fds() {
  DIR* folder = ::opendir("/proc/self/fd");
  if (folder == nullptr) die("/proc/self/fd");
  size_t count = 0;
  while (const dirent* entry = ::readdir(folder))
    count += entry->d_name[0] != '.' ? 1 : 0;
  ::closedir(folder);
  return count - 1; // the folder itself
}

inline size_t count_mappings(const char* containing) {
  std::ifstream maps("/proc/self/maps");
  size_t count = 0;
  for (std::string line; std::getline(maps, line);)
    count += line.find(containing) != std::string::npos ? 1 : 0;
  return count;
}

inline Holdings holdings() {
  // What is closed by another thread does not count; it will have been soon.
  for (auto end = Clock::now() + std::chrono::milliseconds(kDeadlineMs);
       sys::foreign_waiting() > 0 && Clock::now() < end;)
    std::this_thread::yield();
  return {count_fds(), count_mappings("memfd:")};
}

inline std::ostream& operator<<(std::ostream& out, const Holdings& held) {
  return out << held.fds << " descriptors, " << held.mappings << " mappings";
}

inline size_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  size_t total = 0;
  size_t resident = 0;
  statm >> total >> resident;
  return resident * static_cast<size_t>(::sysconf(_SC_PAGESIZE));
}

inline std::string unique_name() {
  static unsigned counter = 0;
  return "@node-vpp-test-" + std::to_string(::getpid()) + "-" + std::to_string(counter++);
}

inline sys::UnixAddress address_of(const std::string& text) {
  sys::UnixAddress address;
  if (!sys::UnixAddress::parse(text, &address).empty()) die(text.c_str());
  return address;
}

inline sys::Fd make_memfd(uint64_t size, int seals = F_SEAL_SHRINK) {
  sys::Fd fd(::memfd_create("node-vpp test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd.valid() || ::ftruncate(fd.get(), static_cast<off_t>(size)) != 0) die("memfd");
  if (seals != 0 && ::fcntl(fd.get(), F_ADD_SEALS, seals) != 0) die("seals");
  return fd;
}

inline sys::Fd make_eventfd(int flags = 0) {
  return sys::Fd(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC | flags));
}

inline sys::Fd duplicate(int fd) {
  return sys::Fd(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
}

// A control message as it would have been received, with descriptors of its own.
inline sys::ReceivedMessage received(const memif::Message& message, std::vector<sys::Fd> fds = {}) {
  sys::ReceivedMessage result;
  std::memcpy(result.data, message.data(), message.size());
  result.size = message.size();
  for (sys::Fd& fd : fds)
    result.fds.emplace_back(std::move(fd));
  return result;
}

inline uint16_t type_of(const memif::Message& message) {
  return memif::message_type(message.data());
}

inline memif::Message of_type(uint16_t type) {
  memif::Message message{};
  memif::store<uint16_t>(message.data(), 0, type);
  return message;
}

// How a hand-made client lays out its memory, in the ways of the clients there are.
struct Shape {
  uint32_t id = 0;
  uint8_t mode = 0;
  std::string secret = {};
  uint16_t s2m = 1;
  uint16_t m2s = 1;
  uint8_t log2 = 10;
  uint32_t buffer_size = 2048;
  uint16_t cache_line = 64;
  bool one_region = false;     // rings and buffers together: DPDK and VPP without zero copy
  uint16_t buffer_regions = 1; // VPP with zero copy: one for each pool
  uint64_t region_size = 0;    // of buffer regions, 0: as much as the rings need
  int seals = F_SEAL_SHRINK;
  bool preset = true; // descriptors point at buffers before they are posted, as libmemif's do
};

struct Said {
  memif::Message message;
  sys::Fd fd;
};

// A client without its dialogue: memory, descriptors, and the messages it would send, for a test to change.
class HandmadeClient {
public:
  explicit HandmadeClient(Shape shape = {}) : shape_(shape) {
    memif::Init init;
    init.id = shape.id;
    init.mode = shape.mode;
    std::memcpy(init.secret.data(), shape.secret.data(), std::min<size_t>(shape.secret.size(), 23));
    init.name = "handmade";
    script.push_back({memif::emit(init), {}});

    uint64_t ring = memif::ring_bytes(shape.log2, shape.cache_line);
    uint64_t rings = ring * (shape.s2m + shape.m2s);
    uint64_t slots = uint64_t{1} << shape.log2;
    uint64_t buffers = slots * (shape.s2m + shape.m2s) * shape.buffer_size;
    add_region(shape.one_region ? rings + buffers : rings);
    if (!shape.one_region) {
      for (uint16_t i = 0; i < shape.buffer_regions; i++)
        add_region(shape.region_size != 0 ? shape.region_size : buffers);
    }
    first_ring = script.size();
    for (uint32_t r = 0; r < uint32_t{shape.s2m} + shape.m2s; r++) {
      memif::AddRing message;
      message.s2m = r < shape.s2m;
      message.index = static_cast<uint16_t>(message.s2m ? r : r - shape.s2m);
      message.offset = static_cast<uint32_t>(ring * r);
      message.log2_ring_size = shape.log2;
      events.push_back(make_eventfd());
      script.push_back({memif::emit(message), duplicate(events.back().get())});
      uint8_t* base = regions[0]->data() + message.offset;
      memif::store<uint32_t>(base, 0, memif::kCookie);
      for (uint64_t slot = 0; shape.preset && slot < slots; slot++) {
        uint16_t region = shape.one_region ? 0 : 1;
        uint64_t offset = (r * slots + slot) * shape.buffer_size + (shape.one_region ? rings : 0);
        write_descriptor(r, static_cast<uint32_t>(slot),
                         {0, region, shape.buffer_size, static_cast<uint32_t>(offset)});
      }
    }
    script.push_back({memif::emit_connect(memif::MessageType::connect, "handmade0"), {}});
  }

  void add_region(uint64_t size) {
    auto index = static_cast<uint16_t>(regions.size());
    files.push_back(make_memfd(size, shape_.seals));
    std::shared_ptr<sys::Mapping> mapping;
    if (sys::Mapping::map(files.back().get(), size, false, &mapping)) die("mmap");
    regions.push_back(std::move(mapping));
    script.push_back({memif::emit(memif::AddRegion{index, size}), duplicate(files.back().get())});
  }

  // The rings in the order they are announced: S2M first.
  uint8_t* ring(uint32_t number) const {
    return regions[0]->data() + number * memif::ring_bytes(shape_.log2, shape_.cache_line);
  }
  memif::Ring ring_of(uint32_t number) const { return {ring(number), shape_.log2, shape_.cache_line}; }
  void write_descriptor(uint32_t number, uint32_t slot, const memif::Descriptor& d) const {
    ring_of(number).write(slot, d);
  }

  std::vector<Said> script;
  size_t first_ring = 0; // where in the script
  std::vector<sys::Fd> files;
  std::vector<std::shared_ptr<sys::Mapping>> regions;
  std::vector<sys::Fd> events;

private:
  Shape shape_;
};

// One end of a control channel that obeys nothing.
class RawPeer {
public:
  RawPeer() = default;
  explicit RawPeer(sys::Fd socket) : socket_(std::move(socket)) {}
  static RawPeer to(const std::string& address) {
    RawPeer peer;
    if (sys::connect_seqpacket(address_of(address), &peer.socket_)) die("connect");
    return peer;
  }

  int fd() const { return socket_.get(); }
  void close() { socket_.reset(); }

  // Any bytes with any number of descriptors; false when the kernel refused it.
  bool send(const void* data, size_t size, const std::vector<int>& fds = {}) const {
    std::vector<uint8_t> control(CMSG_SPACE(fds.size() * sizeof(int)));
    struct iovec vector = {const_cast<void*>(data), size};
    struct msghdr header {};
    header.msg_iov = &vector;
    header.msg_iovlen = 1;
    if (!fds.empty()) {
      header.msg_control = control.data();
      header.msg_controllen = control.size();
      cmsghdr* part = CMSG_FIRSTHDR(&header);
      part->cmsg_level = SOL_SOCKET;
      part->cmsg_type = SCM_RIGHTS;
      part->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
      std::memcpy(CMSG_DATA(part), fds.data(), fds.size() * sizeof(int));
    }
    return ::sendmsg(socket_.get(), &header, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0;
  }
  bool send(const memif::Message& message, const std::vector<int>& fds = {}) const {
    return send(message.data(), message.size(), fds);
  }
  bool send(const Said& said) const {
    return send(said.message, said.fd.valid() ? std::vector<int>{said.fd.get()} : std::vector<int>{});
  }

  // The next message, while the other side's loop turns. Nothing at the end of the connection.
  std::optional<sys::ReceivedMessage> receive(EpollPoller& poller) {
    std::optional<sys::ReceivedMessage> result;
    bool ended = false;
    poller.run_until([&] {
      sys::ReceivedMessage message;
      sys::SysError error;
      switch (sys::receive_message(socket_.get(), &message, &error)) {
      case sys::ReceiveStatus::message:
        result = std::move(message);
        return true;
      case sys::ReceiveStatus::nothing:
        return false;
      default:
        ended = true;
        return true;
      }
    });
    ended_ = ended_ || ended;
    return result;
  }
  // The type of the next message, or -1 at the end.
  int receive_type(EpollPoller& poller) {
    auto message = receive(poller);
    return message ? memif::message_type(message->data) : -1;
  }
  // Reads to the end of the connection and returns the words of the DISCONNECT that came before it.
  std::string farewell(EpollPoller& poller) {
    std::string text = "(no DISCONNECT)";
    while (auto message = receive(poller)) {
      if (memif::message_type(message->data) == static_cast<uint16_t>(memif::MessageType::disconnect))
        text = memif::parse_disconnect(message->data).text;
    }
    return ended_ ? text : "(still open)";
  }

private:
  sys::Fd socket_;
  bool ended_ = false;
};

// Remembers what an interface reported.
class Witness final : public memif::InterfaceObserver {
public:
  void interface_up(memif::Interface& interface) override {
    ups++;
    if (on_up) on_up(interface);
  }
  void interface_down(memif::Interface& interface, const memif::Failure& failure, bool was_up) override {
    (was_up ? downs : refusals)++;
    last = failure;
    if (on_down) on_down(interface);
  }

  size_t ups = 0;
  size_t downs = 0;
  size_t refusals = 0;
  memif::Failure last;
  std::function<void(memif::Interface&)> on_up;
  std::function<void(memif::Interface&)> on_down;
};

inline memif::InterfaceOptions server_options(uint32_t id = 0) {
  memif::InterfaceOptions options;
  options.role = memif::Role::server;
  options.id = id;
  options.interface_name = "srv" + std::to_string(id);
  return options;
}

inline memif::InterfaceOptions client_options(uint32_t id = 0, uint8_t log2 = 6) {
  memif::InterfaceOptions options;
  options.role = memif::Role::client;
  options.id = id;
  options.interface_name = "cli" + std::to_string(id);
  options.log2_ring_size = log2;
  return options;
}

// The queues of a live connection, in the order of its rings.
struct Queues {
  std::vector<memif::Queue> rx;
  std::vector<memif::Queue> tx;
};

inline Queues queues_of(const memif::Session& session, const memif::InterfaceOptions& options,
                        const std::vector<uint32_t>& buffers, uint32_t buffer_size) {
  Queues queues;
  bool server = options.role == memif::Role::server;
  size_t at = 0;
  for (const auto* rings : {&session.s2m, &session.m2s}) {
    for (const auto& place : *rings) {
      bool receiving = place.s2m == server;
      memif::QueueState state;
      size_t slots = size_t{1} << place.log2_size;
      if (!server)
        state.buffers.assign(buffers.begin() + static_cast<long>(at),
                             buffers.begin() + static_cast<long>(at + slots));
      at += slots;
      auto& list = receiving ? queues.rx : queues.tx;
      list.emplace_back(session, place, options.role, receiving, buffer_size, options.cache_line,
                        std::move(state));
      if (!server && receiving) list.back().post_buffers();
    }
  }
  return queues;
}

inline Queues queues_of(memif::Interface& interface) {
  memif::Connection& connection = *interface.connection();
  uint32_t buffer_size = connection.memory() ? connection.memory()->buffer_size() : 0;
  return queues_of(connection.session(), interface.options(), connection.buffers(), buffer_size);
}

// Both ends of one ring in each direction, over the same mapping, so that the thread sanitizer sees that it
// is the same memory.
struct Wire {
  memif::Session client;
  memif::Session server;
  std::vector<uint32_t> buffers;
  uint32_t buffer_size = 0;
  uint16_t cache_line = 64;

  explicit Wire(uint8_t log2 = 4, uint32_t size = 256, uint16_t line = 64, uint16_t start = 0)
      : buffer_size(size), cache_line(line) {
    uint64_t ring = memif::ring_bytes(log2, line);
    uint64_t slots = uint64_t{1} << log2;
    add_region(ring * 2);
    add_region(slots * 2 * size);
    for (uint32_t r = 0; r < 2; r++) {
      memif::RingPlace place;
      place.s2m = r == 0;
      place.offset = static_cast<uint32_t>(ring * r);
      place.log2_size = log2;
      place.event = make_eventfd();
      memif::RingPlace other = {place.s2m, 0, 0, place.offset, log2, duplicate(place.event.get())};
      (place.s2m ? server.s2m : server.m2s).push_back(std::move(other));
      (place.s2m ? client.s2m : client.m2s).push_back(std::move(place));
    }
    for (uint64_t i = 0; i < slots * 2; i++)
      buffers.push_back(static_cast<uint32_t>(i * size));
    rewind(start);
  }

  // Everything as it was in the beginning.
  void rewind(uint16_t start) {
    for (const auto& region : client.regions)
      std::memset(region.mapping->data(), 0, region.mapping->size());
    for (bool s2m : {true, false}) {
      uint8_t* base = client.regions[0].mapping->data() + place(memif::Role::client, s2m).offset;
      memif::store<uint32_t>(base, 0, memif::kCookie);
      memif::store<uint16_t>(base, 6, start);
      memif::store<uint16_t>(base, cache_line, start);
    }
    start_ = start;
  }

  const memif::RingPlace& place(memif::Role role, bool s2m) const {
    const memif::Session& session = role == memif::Role::client ? client : server;
    return s2m ? session.s2m[0] : session.m2s[0];
  }
  memif::Queue queue(memif::Role role, bool receiving) const {
    bool s2m = receiving == (role == memif::Role::server);
    const memif::RingPlace& where = place(role, s2m);
    size_t slots = size_t{1} << where.log2_size;
    memif::QueueState state;
    state.next = start_;
    if (role == memif::Role::client) {
      auto from = buffers.begin() + static_cast<long>(s2m ? 0 : slots);
      state.buffers.assign(from, from + static_cast<long>(slots));
    }
    memif::Queue made(role == memif::Role::client ? client : server, where, role, receiving, buffer_size,
                      cache_line, std::move(state));
    if (role == memif::Role::client && receiving) made.post_buffers();
    return made;
  }
  memif::Ring ring(bool s2m) const {
    const memif::RingPlace& where = place(memif::Role::client, s2m);
    return {client.regions[0].mapping->data() + where.offset, where.log2_size, cache_line};
  }

private:
  void add_region(uint64_t size) {
    memif::Region region;
    region.size = size;
    region.fd = make_memfd(size);
    if (sys::Mapping::map(region.fd.get(), size, false, &region.mapping)) die("mmap");
    server.regions.push_back({duplicate(region.fd.get()), size, region.mapping});
    client.regions.push_back(std::move(region));
  }
  uint16_t start_ = 0;
};

} // namespace nodevpp::test
