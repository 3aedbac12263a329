// Handing out and receiving a stats segment: both sides against each other and against peers that misbehave.

#include "stats/segment.h"
#include "stats/server.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cstring>
#include <filesystem>

#include "support.h"

using namespace nodevpp;

namespace {

std::string socket_name(const char* what) {
  return "@node-vpp-stats-test-" + std::to_string(::getpid()) + "-" + what;
}

sys::UnixAddress address_of(const std::string& name) {
  sys::UnixAddress address;
  EXPECT_EQ(sys::UnixAddress::parse(name, &address), "");
  return address;
}

// A segment of one page whose first word is `word`.
sys::Fd memory(uint64_t word, size_t size = 4096, bool sealed = true) {
  sys::Fd fd;
  if (sealed) {
    EXPECT_FALSE(sys::create_sealed_memfd("stat segment", size, &fd));
  } else {
    fd = sys::Fd(::memfd_create("stat segment", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    EXPECT_EQ(::ftruncate(fd.get(), static_cast<off_t>(size)), 0);
  }
  EXPECT_EQ(::pwrite(fd.get(), &word, sizeof word, 0), static_cast<ssize_t>(sizeof word));
  return fd;
}

// Waits for the answer of a server that runs on `poller`.
stats::Connection::Status receive(test::EpollPoller& poller, stats::Connection& connection,
                                  stats::Segment* segment, stats::Failure* failure) {
  for (int i = 0; i < 400; i++) {
    poller.turn(5);
    auto status = connection.receive(segment, failure);
    if (status != stats::Connection::Status::pending) return status;
  }
  return stats::Connection::Status::pending;
}

int open_files() {
  int count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd"))
    count++;
  return count;
}

} // namespace

TEST(StatsSegments, AreHandedOutAndMappedReadOnly) {
  test::EpollPoller poller;
  sys::Fd fd = memory(0x1234);
  stats::Server server(poller, fd.get());
  std::string name = socket_name("serve");
  ASSERT_FALSE(server.listen(address_of(name), {}));
  std::string identity;
  for (int i = 0; i < 3; i++) {
    std::unique_ptr<stats::Connection> connection;
    ASSERT_FALSE(stats::Connection::open(name, &connection));
    EXPECT_EQ(connection->pid(), ::getpid());
    stats::Segment segment;
    stats::Failure failure;
    ASSERT_EQ(receive(poller, *connection, &segment, &failure), stats::Connection::Status::segment)
        << failure.text;
    EXPECT_TRUE(segment.sealed);
    EXPECT_EQ(segment.mapping->size(), 4096U);
    uint64_t word = 0;
    std::memcpy(&word, segment.mapping->data(), sizeof word);
    EXPECT_EQ(word, 0x1234U);
    EXPECT_EQ(::mprotect(segment.mapping->data(), 4096, PROT_READ), 0);
    std::string now = std::to_string(segment.device) + ":" + std::to_string(segment.inode);
    if (!identity.empty()) {
      EXPECT_EQ(now, identity);
    }
    identity = now;
  }
  EXPECT_EQ(server.served(), 3U);
}

TEST(StatsSegments, SurviveBeingTruncatedWhenTheyAreNotSealed) {
  sys::Fd fd = memory(7, 1 << 20, false);
  stats::Segment segment;
  ASSERT_FALSE(stats::map_segment(sys::ForeignFd(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 0)), &segment));
  EXPECT_FALSE(segment.sealed);
  EXPECT_FALSE(segment.mapping->lost());
  ASSERT_EQ(::ftruncate(fd.get(), 4096), 0);
  volatile const uint8_t* data = segment.mapping->data();
  EXPECT_EQ(data[0], 7);
  EXPECT_EQ(data[500'000], 0);
  EXPECT_TRUE(segment.mapping->lost());
  EXPECT_EQ(data[0], 0) << "all of it reads as zeros";
}

TEST(StatsSegments, OfImpossibleKindsAreRefused) {
  auto refused = [](sys::Fd fd) {
    stats::Segment segment;
    return stats::map_segment(sys::ForeignFd(std::move(fd)), &segment).reason;
  };
  EXPECT_EQ(refused(memory(0, 100, false)), stats::Reason::segment);
  sys::Fd huge(::memfd_create("huge", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  ASSERT_EQ(::ftruncate(huge.get(), (off_t{1} << 32) + 4096), 0);
  EXPECT_EQ(refused(std::move(huge)), stats::Reason::segment);
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  sys::Fd other(ends[1]);
  EXPECT_EQ(refused(sys::Fd(ends[0])), stats::Reason::segment);
  EXPECT_EQ(refused(sys::Fd(::open("/dev/null", O_RDONLY | O_CLOEXEC))), stats::Reason::segment);
}

TEST(StatsConnections, SayWhyThereIsNone) {
  std::unique_ptr<stats::Connection> connection;
  EXPECT_EQ(stats::Connection::open("", &connection).reason, stats::Reason::address);
  auto failure = stats::Connection::open("/nonexistent/stats.sock", &connection);
  EXPECT_EQ(failure.reason, stats::Reason::system);
  EXPECT_EQ(failure.error.err, ENOENT);
  EXPECT_STREQ(stats::reason_name(failure.reason), "SYSTEM");
}

TEST(StatsConnections, EndWithServersThatHandOutNothing) {
  std::string name = socket_name("nothing");
  sys::Fd listener;
  auto outcome = sys::ListenOutcome::fresh;
  ASSERT_FALSE(sys::listen_seqpacket(address_of(name), {}, &listener, &outcome));
  for (bool speaks : {false, true}) {
    std::unique_ptr<stats::Connection> connection;
    ASSERT_FALSE(stats::Connection::open(name, &connection));
    stats::Segment segment;
    stats::Failure failure;
    EXPECT_EQ(connection->receive(&segment, &failure), stats::Connection::Status::pending);
    {
      sys::Fd client(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (speaks) {
        ASSERT_FALSE(sys::send_message(client.get(), "x", 1, -1));
      }
    }
    EXPECT_EQ(connection->receive(&segment, &failure), stats::Connection::Status::failed);
    EXPECT_EQ(failure.reason, stats::Reason::protocol);
  }
}

TEST(StatsServers, LeaveNothingBehindAndTakeOnlyTheirOwnFile) {
  std::string path = "/tmp/node-vpp-stats-test-" + std::to_string(::getpid());
  sys::Fd fd = memory(1);
  int before = open_files();
  {
    test::EpollPoller poller;
    stats::Server server(poller, fd.get());
    ASSERT_FALSE(server.listen(address_of(path), {64, 0600, -1, -1}));
    struct stat st {};
    ASSERT_EQ(::stat(path.c_str(), &st), 0);
    EXPECT_EQ(st.st_mode & 0777, 0600U);
    EXPECT_EQ(server.listen(address_of(path), {}).err, EINVAL);
    stats::Server second(poller, fd.get());
    EXPECT_EQ(second.listen(address_of(path), {}).err, EADDRINUSE);
    server.close();
    EXPECT_NE(::stat(path.c_str(), &st), 0);
    ASSERT_FALSE(server.listen(address_of(path), {}));
    ASSERT_EQ(::unlink(path.c_str()), 0);
    sys::Fd foreign(::open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    server.close();
    EXPECT_EQ(::stat(path.c_str(), &st), 0) << "the file of somebody else stays";
  }
  ::unlink(path.c_str());
  EXPECT_EQ(open_files(), before);
}
