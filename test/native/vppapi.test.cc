// The shared-memory API connection over the stand-in library: finding the library, looking at the segment,
// the doorbell (the "VPP" of the stand-in sleeps for a minute unless it is rung for), the memory for replies.

#include <dlfcn.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <algorithm>
#include <deque>
#include <random>
#include <thread>

#include "support.h"
#include "vppapi/connection.h"

namespace nodevpp::vppapi {
namespace {

using test::Clock;

const Library* stand_in() {
  const Library* library = nullptr;
  EXPECT_EQ(Library::load({VAC_STAND_IN}, &library).text, "");
  return library;
}

template<typename Function> Function exported(const char* name) {
  void* handle = ::dlopen(VAC_STAND_IN, RTLD_NOW | RTLD_NOLOAD);
  auto found = reinterpret_cast<Function>(::dlsym(handle, name));
  ::dlclose(handle);
  return found;
}

bool eventually(const std::function<bool()>& condition, int seconds = 60) {
  auto deadline = Clock::now() + std::chrono::seconds(seconds);
  while (!condition()) {
    if (Clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

// An API server that knows clients come and go and ring: each byte wakes the stand-in's VPP.
class BellServer {
public:
  BellServer() {
    wake_ = exported<void (*)()>("stand_in_wake");
    path_ = "/tmp/node-vpp-bell-" + std::to_string(::getpid());
    ::unlink(path_.c_str());
    listener_ = sys::Fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    struct sockaddr_un address {};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path_.c_str(), sizeof address.sun_path - 1);
    EXPECT_EQ(::bind(listener_.get(), reinterpret_cast<struct sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::listen(listener_.get(), 4), 0);
    thread_ = std::thread([this] {
      for (;;) {
        sys::Fd client(::accept(listener_.get(), nullptr, nullptr));
        if (!client.valid()) return;
        serve(client.get());
      }
    });
  }
  ~BellServer() {
    ::shutdown(listener_.get(), SHUT_RDWR);
    thread_.join();
    ::unlink(path_.c_str());
  }

  const std::string& path() const { return path_; }
  std::atomic<bool> deaf{false};
  std::atomic<int> bytes{0};
  std::atomic<int> pings{0};
  std::atomic<int> left{0}; // clients that said good-bye

private:
  void serve(int fd) {
    std::vector<uint8_t> frame;
    uint8_t byte = 0;
    while (::recv(fd, &byte, 1, 0) == 1) {
      bytes++;
      if (!deaf) wake_();
      frame.push_back(byte);
      if (frame.size() < 16) continue;
      size_t size = size_t{frame[10]} << 8 | frame[11];
      if (frame.size() < 16 + size) continue;
      int id = frame[16] << 8 | frame[17];
      if (id == 15) {
        uint8_t reply[36] = {};
        reply[11] = 20;
        reply[17] = 16;
        reply[33] = 7; // client index
        EXPECT_EQ(::send(fd, reply, sizeof reply, MSG_NOSIGNAL), 36);
        bytes = 0;
      } else if (id == 23) {
        pings++;
        EXPECT_EQ(frame[21], 7) << "whole frames, with the index that was given";
        uint8_t reply[34] = {};
        reply[11] = 18;
        reply[17] = 24;
        EXPECT_EQ(::send(fd, reply, sizeof reply, MSG_NOSIGNAL), 34);
      } else if (id == 17) {
        left++;
        return;
      } else {
        ADD_FAILURE() << "message " << id;
        return;
      }
      frame.clear();
    }
  }

  void (*wake_)() = nullptr;
  std::string path_;
  sys::Fd listener_;
  std::thread thread_;
};

// The files of a segment, in words for the stand-in.
class Segment {
public:
  explicit Segment(const std::string& words) : prefix("nv-cc-" + std::to_string(::getpid())) {
    write(words);
    std::ofstream("/dev/shm/" + prefix + "-global_vm") << "stand-in\n";
  }
  ~Segment() {
    ::unlink(("/dev/shm/" + prefix + "-vpe-api").c_str());
    ::unlink(("/dev/shm/" + prefix + "-global_vm").c_str());
  }
  void write(const std::string& words) const { std::ofstream("/dev/shm/" + prefix + "-vpe-api") << words; }
  const std::string prefix;
};

Connection::Options options_of(const Segment& segment, const BellServer& server) {
  Connection::Options options;
  options.name = "test";
  options.prefix = segment.prefix;
  options.socket = server.path();
  options.ring_bytes = 1u << 17;
  options.stopped_ms = 60000; // sanitizers and valgrind stand still now and then
  return options;
}

std::shared_ptr<Connection> open(const Connection::Options& options) {
  std::shared_ptr<Connection> connection;
  Failure failure = Connection::start(*stand_in(), options, &connection);
  EXPECT_EQ(failure.text, "");
  if (connection == nullptr) return nullptr;
  EXPECT_TRUE(eventually([&] { return connection->phase() != Phase::kConnecting; }));
  EXPECT_EQ(connection->failure().text, "");
  return connection;
}

// The owner's half: sends pings with contexts in order, reads replies as JavaScript does.
class Owner {
public:
  explicit Owner(Connection& connection) : connection_(connection) {}

  void send(uint32_t count) {
    std::vector<uint8_t> bytes(count * size_t{10});
    std::vector<uint32_t> sizes(count, 10);
    for (uint32_t i = 0; i < count; i++) {
      uint32_t context = sent++;
      uint8_t* at = &bytes[i * size_t{10}];
      at[1] = 23;
      std::memcpy(at + 6, &context, 4);
    }
    EXPECT_EQ(connection_.send(bytes.data(), sizes.data(), count), count);
  }

  // Replies that are there, in order; how many.
  uint32_t read() {
    ReplyRing& ring = connection_.ring();
    uint8_t* base = ring.mapping()->data();
    std::atomic_ref<uint32_t> tail(*reinterpret_cast<uint32_t*>(base + ReplyRing::kTailOffset));
    uint32_t at = tail.load();
    uint32_t end = ring.head();
    uint32_t count = 0;
    while (at != end) {
      uint8_t* record = base + ReplyRing::kDataOffset + (at & (ring.capacity() - 1));
      uint32_t size = 0;
      std::memcpy(&size, record, 4);
      if (size == ReplyRing::kSkip) {
        at = (at | (ring.capacity() - 1)) + 1;
        continue;
      }
      EXPECT_EQ(size, 18u);
      uint32_t context = 0;
      std::memcpy(&context, record + 6, 4);
      EXPECT_EQ(context, received) << "out of order";
      received++;
      count++;
      at += (4 + size + 7) & ~7u;
    }
    tail = at;
    return count;
  }

  uint32_t sent = 0;
  uint32_t received = 0;

private:
  Connection& connection_;
};

// ---------------------------------------------------------------- the library

TEST(VppApiLibrary, MissingOrForeignOnesAreNamedWithWhatIsWrong) {
  const Library* library = nullptr;
  Failure failure = Library::load({"/nowhere/libvppapiclient.so", "libm.so.6"}, &library);
  EXPECT_EQ(failure.reason, "LIBRARY");
  EXPECT_NE(failure.text.find("/nowhere/libvppapiclient.so: cannot open"), std::string::npos) << failure.text;
  EXPECT_NE(failure.text.find("libm.so.6 lacks vac_mem_init, vac_connect"), std::string::npos);
  EXPECT_EQ(library, nullptr);
}

TEST(VppApiLibrary, IsOneForTheWholeProcess) {
  const Library* library = stand_in();
  EXPECT_NE(library->path.find("libvppapiclient.so.26.06"), std::string::npos);
  const Library* again = nullptr;
  EXPECT_EQ(Library::load({"libvppapiclient.so"}, &again).text, "")
      << "a bare name means the one that is loaded";
  EXPECT_EQ(again, library);
  Failure failure = Library::load({"/elsewhere/libvppapiclient.so"}, &again);
  EXPECT_NE(failure.text.find("which this process has loaded and cannot unload"), std::string::npos);
}

// ---------------------------------------------------------------- the segment

TEST(VppApiSegment, SaysWhichPrefixesThereAreWhenItsFilesAreMissing) {
  Segment segment("echo");
  std::vector<Range> ranges;
  EXPECT_EQ(check_segment("/dev/shm", segment.prefix, &ranges).text, "");
  Failure failure = check_segment("/dev/shm", segment.prefix + "x", &ranges);
  EXPECT_EQ(failure.reason, "SEGMENT");
  EXPECT_NE(failure.text.find(segment.prefix), std::string::npos) << failure.text;
  EXPECT_NE(check_segment("/nowhere", "", &ranges).text.find("/nowhere/global_vm is not there"),
            std::string::npos);
}

TEST(VppApiSegment, ThatMayNotBeOpenedIsToldApartWithModeAndOwner) {
  Segment segment("echo");
  std::string path = "/dev/shm/" + segment.prefix + "-vpe-api";
  ASSERT_EQ(::chmod(path.c_str(), 0600), 0);
  ASSERT_EQ(::chmod(("/dev/shm/" + segment.prefix + "-global_vm").c_str(), 0666), 0);
  pid_t child = ::fork();
  if (child == 0) {
    if (::getuid() == 0 && ::setuid(65534) != 0) ::_exit(2);
    if (::getuid() != 65534) ::_exit(3); // the owner may open it whatever its mode
    std::vector<Range> ranges;
    Failure failure = check_segment("/dev/shm", segment.prefix, &ranges);
    bool told = failure.reason == "PERMISSION" && failure.text.find("(mode 0600, uid ") != std::string::npos;
    ::_exit(told ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 3) GTEST_SKIP() << "needs root to become somebody else";
  EXPECT_EQ(status, 0);
}

TEST(VppApiSegment, IsNotMappedOverWhatThisProcessHasThere) {
  Segment segment("echo");
  void* taken = ::mmap(nullptr, 1 << 16, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(taken, MAP_FAILED);
  std::vector<uint8_t> header(4096);
  auto at = [&header](size_t offset, uint64_t value) { std::memcpy(&header[offset], &value, sizeof value); };
  at(0, (1u << 16) | 1u);
  at(112, reinterpret_cast<uint64_t>(taken));
  at(120, 1 << 16);
  auto write = [&] {
    std::ofstream file("/dev/shm/" + segment.prefix + "-global_vm", std::ios::binary);
    file.write(reinterpret_cast<char*>(header.data()), static_cast<std::streamsize>(header.size()));
  };
  write();
  std::vector<Range> ranges;
  EXPECT_EQ(check_segment("/dev/shm", segment.prefix, &ranges).reason, "ADDRESS");
  ::munmap(taken, 1 << 16);
  EXPECT_EQ(check_segment("/dev/shm", segment.prefix, &ranges).text, "");
  ASSERT_EQ(ranges.size(), 1u);
  EXPECT_EQ(ranges[0].size, 1u << 16);
  // Numbers that cannot be a place are not believed.
  at(120, ~uint64_t{0});
  write();
  EXPECT_EQ(check_segment("/dev/shm", segment.prefix, &ranges).text, "");
  EXPECT_TRUE(ranges.empty());
}

// ---------------------------------------------------------------- the memory for replies

TEST(VppApiReplyRing, GivesEveryMessageOnceAndInOrderWhateverTheirSizes) {
  std::unique_ptr<ReplyRing> ring;
  ASSERT_FALSE(ReplyRing::create(4096, &ring));
  std::atomic_ref<uint32_t> tail(
      *reinterpret_cast<uint32_t*>(ring->mapping()->data() + ReplyRing::kTailOffset));
  std::mt19937 random(20260601);
  std::deque<std::vector<uint8_t>> model;
  uint64_t passed = 0;
  for (int step = 0; step < 200000; step++) {
    if (random() % 2 == 0) {
      std::vector<uint8_t> message(1 + random() % 700);
      for (auto& byte : message)
        byte = static_cast<uint8_t>(random());
      uint32_t before = ring->head();
      if (ring->push(message.data(), static_cast<uint32_t>(message.size())))
        model.push_back(message);
      else
        EXPECT_EQ(ring->head(), before);
    } else if (!model.empty()) {
      uint8_t* base = ring->mapping()->data() + ReplyRing::kDataOffset;
      uint32_t size = 0;
      std::memcpy(&size, base + (tail & 4095), 4);
      if (size == ReplyRing::kSkip) {
        tail = (tail | 4095) + 1;
        std::memcpy(&size, base + (tail & 4095), 4);
      }
      ASSERT_EQ(size, model.front().size());
      ASSERT_EQ(std::memcmp(base + (tail & 4095) + 4, model.front().data(), size), 0);
      tail = tail + ((4 + size + 7) & ~7u);
      model.pop_front();
      passed++;
    }
  }
  EXPECT_GT(passed, 50000u);
  EXPECT_FALSE(ring->push(std::vector<uint8_t>(3000).data(), 3000)) << "more than half of it";
  // A reader that writes nonsense stops the writer, and does nothing worse.
  tail = ring->head() + 1000;
  uint8_t byte = 0;
  EXPECT_FALSE(ring->push(&byte, 1));
}

// ---------------------------------------------------------------- the connection

// With queues that can be used, with none to be found, and with some that are not what they seem to be.
class VppApiReading : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Queues, VppApiReading, testing::Values("direct", "hidden", "decoy"),
                         [](const auto& info) { return std::string(info.param); });

TEST_P(VppApiReading, RingsWheneverVppMaySleepAndNotForEveryMessage) {
  stand_in();
  BellServer server;
  Segment segment(std::string("echo\nsleep 60000\n") + GetParam());
  auto connection = open(options_of(segment, server));
  ASSERT_NE(connection, nullptr);
  EXPECT_EQ(connection->direct(), GetParam() == std::string("direct"));
  Owner owner(*connection);
  uint64_t before = connection->received();
  std::mt19937 random(4);
  auto began = Clock::now();
  constexpr uint32_t kMessages = 40000;
  while (owner.received < kMessages) {
    uint32_t in_flight = owner.sent - owner.received;
    uint32_t room = std::min<uint32_t>(900 - in_flight, kMessages - owner.sent);
    if (room > 0) owner.send(1 + random() % std::min<uint32_t>(room, 1 + random() % 300));
    uint32_t head = connection->ring().head();
    // Polling, spinning, asleep, or not at all before the next batch.
    switch (random() % 4) {
    case 0:
      connection->poll(1 + random() % 64, random() % 100);
      break;
    case 1:
    case 2:
      if (owner.read() == 0) {
        ASSERT_TRUE(connection->wait(head, random() % 2 * 50, 55000)) << "VPP sleeps at " << owner.received;
      }
      break;
    default:
      if (random() % 2 == 0) connection->rest();
    }
    owner.read();
  }
  EXPECT_LT(Clock::now() - began, std::chrono::seconds(55)) << "somebody waited for VPP to wake by itself";
  EXPECT_EQ(connection->received() - before, kMessages);
  EXPECT_LT(connection->rings(), kMessages / 2);
  EXPECT_EQ(exported<uint64_t (*)()>("stand_in_stuffed")(), 0u) << "VPP would have waited for this client";
  connection->close();
  EXPECT_TRUE(connection->wait_closed(60000));
  EXPECT_TRUE(eventually([&] { return server.left == 1; })) << "the doorbell leaves by sockclnt_delete";
}

TEST(VppApiConnection, IsPolledByItsOwnerWhoNeedsNobodyToWakeIt) {
  stand_in();
  BellServer server;
  Segment segment("echo\nkeepalive_ms 100");
  auto connection = open(options_of(segment, server));
  Owner owner(*connection);
  auto keepalives = exported<uint64_t (*)()>("stand_in_keepalives");
  auto polls = [&] { return connection->poll(1, 20); };
  auto answered = [&] {
    polls();
    owner.read();
    return owner.received == owner.sent;
  };
  owner.send(1);
  ASSERT_TRUE(eventually(answered));
  owner.send(1);
  ASSERT_TRUE(eventually(answered));
  EXPECT_TRUE(eventually(polls)) << "the library's thread has left the queue to the owner";
  for (int i = 0; i < 100; i++) {
    owner.send(1 + i);
    ASSERT_TRUE(eventually(answered)) << i;
  }
  uint64_t before = keepalives();
  EXPECT_TRUE(eventually([&] {
    polls();
    return keepalives() >= before + 5;
  })) << "whoever takes messages answers VPP";
  // An owner that stops polling without a word is not waited for.
  owner.send(900);
  EXPECT_TRUE(eventually(
      [&] { return connection->ring().head() != 0 && connection->received() == connection->sent(); }));
  EXPECT_EQ(owner.read(), 900u);
  EXPECT_EQ(connection->phase(), Phase::kOpen);
  // Nor at the end.
  owner.send(1);
  ASSERT_TRUE(eventually(answered));
  connection->close();
  EXPECT_TRUE(connection->wait_closed(60000));
  EXPECT_FALSE(connection->poll(1, 0));
}

TEST(VppApiConnection, OneAtATimeIsAnsweredOneAtATime) {
  stand_in();
  BellServer server;
  Segment segment("echo\nsleep 60000");
  auto connection = open(options_of(segment, server));
  Owner owner(*connection);
  for (uint32_t i = 0; i < 500; i++) {
    uint32_t head = connection->ring().head();
    owner.send(1);
    ASSERT_TRUE(connection->wait(head, i % 3 * 20, 50000));
    EXPECT_EQ(owner.read(), 1u);
  }
  EXPECT_GE(server.pings, 10) << "whole pings pass as well, and their replies are thrown away";
  uint32_t head = connection->ring().head();
  EXPECT_FALSE(connection->wait(head, 10, 5)) << "nothing was asked";
  connection->close();
  EXPECT_TRUE(connection->wait_closed(60000));
}

TEST(VppApiConnection, RepliesWaitInMemoryOfOurOwnWhileTheOwnerIsBusy) {
  stand_in();
  BellServer server;
  Segment segment("echo\nsleep 60000\nkeepalive_ms 100");
  auto connection = open(options_of(segment, server));
  Owner owner(*connection);
  auto keepalives = exported<uint64_t (*)()>("stand_in_keepalives");
  uint64_t before = keepalives();
  owner.send(960);
  EXPECT_TRUE(eventually([&] { return connection->received() == connection->sent(); }));
  EXPECT_TRUE(eventually([&] { return keepalives() >= before + 5; })) << "answered without the owner";
  EXPECT_EQ(connection->phase(), Phase::kOpen);
  EXPECT_EQ(owner.read(), 960u);
  connection->close();
  EXPECT_TRUE(connection->wait_closed(60000));
}

TEST(VppApiConnection, IsTheOnlyOneOfTheProcessAndCanBeFollowedByAnother) {
  stand_in();
  BellServer server;
  Segment segment("echo");
  for (int round = 0; round < 3; round++) {
    auto connection = open(options_of(segment, server));
    ASSERT_NE(connection, nullptr);
    EXPECT_EQ(connection->message_index("control_ping_51077d14"), 23);
    EXPECT_EQ(connection->message_index("control_ping_00000000"), -1);
    EXPECT_EQ(connection->message_count(), 2);
    std::shared_ptr<Connection> second;
    Failure failure = Connection::start(*stand_in(), options_of(segment, server), &second);
    EXPECT_EQ(failure.reason, "IN_USE");
    EXPECT_EQ(second, nullptr);
    Owner owner(*connection);
    owner.send(5);
    EXPECT_TRUE(eventually([&] { return connection->received() == connection->sent(); }));
    EXPECT_EQ(owner.read(), 5u);
    connection->close();
    EXPECT_TRUE(connection->wait_closed(60000));
    uint8_t byte[10] = {};
    uint32_t size = 10;
    EXPECT_EQ(connection->send(byte, &size, 1), 0u) << "after the end nothing is sent";
  }
}

TEST(VppApiConnection, ThatCannotBeMadeSaysWhatTheLibrarySaid) {
  stand_in();
  BellServer server;
  Segment segment("echo\nrefuse -2");
  std::shared_ptr<Connection> connection;
  EXPECT_EQ(Connection::start(*stand_in(), options_of(segment, server), &connection).text, "");
  EXPECT_TRUE(connection->wait_closed(60000));
  EXPECT_EQ(connection->failure().reason, "CONNECT");
  EXPECT_EQ(connection->failure().text, "vac_connect answered -2 (vl_client_connect: refused, as told)");
  EXPECT_TRUE(eventually([&] { return server.left == 1; }));
  // Without an API socket there is nobody to ring for.
  auto options = options_of(segment, server);
  options.socket = "/nowhere/api.sock";
  EXPECT_EQ(Connection::start(*stand_in(), options, &connection).text, "");
  EXPECT_TRUE(connection->wait_closed(60000));
  EXPECT_NE(connection->failure().text.find("the doorbell at /nowhere/api.sock"), std::string::npos);
}

TEST(VppApiConnection, IsGivenUpInTheBackgroundWhenTheLibraryDoesNotReturn) {
  stand_in();
  BellServer server;
  Segment segment("echo\nconnect_ms 300");
  std::shared_ptr<Connection> connection;
  EXPECT_EQ(Connection::start(*stand_in(), options_of(segment, server), &connection).text, "");
  connection->close();
  std::shared_ptr<Connection> next;
  EXPECT_EQ(Connection::start(*stand_in(), options_of(segment, server), &next).reason, "CLOSING");
  EXPECT_TRUE(connection->wait_closed(60000)) << "connected at last, and left at once";
  EXPECT_TRUE(eventually([&] { return server.left == 1; }));
}

TEST(VppApiConnection, MoreThanWasAskedForIsAnEndAndNotALoss) {
  stand_in();
  BellServer server;
  Segment segment("echo");
  auto options = options_of(segment, server);
  options.ring_bytes = 4096; // 170 replies
  auto connection = open(options);
  Owner owner(*connection);
  owner.send(300);
  EXPECT_TRUE(eventually([&] { return connection->failure().reason == "OVERFLOW"; }));
  EXPECT_EQ(connection->phase(), Phase::kOpen) << "VPP is still served until the owner closes";
  connection->close();
  EXPECT_TRUE(connection->wait_closed(60000));
}

TEST(VppApiConnection, RepliesAreNotTrustedAfterTheProcessStoodStill) {
  stand_in();
  BellServer server;
  Segment segment("echo\nsleep 60000");
  auto options = options_of(segment, server);
  options.stopped_ms = 1500;
  auto connection = open(options);
  Owner owner(*connection);
  server.deaf = true; // one request stays unanswered, as soon as this VPP has gone to sleep
  do {
    owner.send(1);
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  } while (connection->received() == connection->sent());
  ASSERT_EQ(std::system("kill -STOP $PPID; sleep 3; kill -CONT $PPID"), 0); // NOLINT(cert-env33-c)
  EXPECT_TRUE(eventually([&] { return connection->failure().reason == "STOPPED"; }));
  uint8_t byte[10] = {};
  uint32_t size = 10;
  EXPECT_EQ(connection->send(byte, &size, 1), 0u);
  connection->close();
  EXPECT_TRUE(connection->wait_closed(60000));
}

} // namespace
} // namespace nodevpp::vppapi
