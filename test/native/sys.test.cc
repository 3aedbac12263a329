// What everything else stands on: addresses, messages with descriptors, doorbells, shared memory, and the
// guard that lets a process live when memory is taken away from under it.

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <csignal>
#include <thread>

#include "support.h"
#include "sys/guard.h"

namespace nodevpp::sys {
namespace {

using test::RawPeer;

// ---------------------------------------------------------------- addresses

TEST(Addresses, ArePathsOrAbstractNamesInBothWaysOfWritingThem) {
  UnixAddress address;
  EXPECT_EQ(UnixAddress::parse("/run/vpp/memif.sock", &address), "");
  EXPECT_FALSE(address.abstract);
  EXPECT_STREQ(address.path(), "/run/vpp/memif.sock");
  EXPECT_EQ(address.length, 2 + 19 + 1);
  EXPECT_EQ(address.text, "/run/vpp/memif.sock");
  for (const char* text : {"@vpp", "abstract:vpp"}) {
    EXPECT_EQ(UnixAddress::parse(text, &address), "");
    EXPECT_TRUE(address.abstract);
    // NUL, the name, and no NUL behind it: the length is part of the name.
    EXPECT_EQ(address.length, 2 + 1 + 3);
    EXPECT_EQ(std::memcmp(address.address.sun_path, "\0vpp", 4), 0);
    EXPECT_EQ(address.text, text);
  }
  EXPECT_EQ(UnixAddress::parse("abstract", &address), "");
  EXPECT_FALSE(address.abstract);
  EXPECT_EQ(UnixAddress::parse("@@", &address), "");
  EXPECT_EQ(address.length, 2 + 2);
}

TEST(Addresses, HoldUpTo107Bytes) {
  UnixAddress address;
  for (const std::string& prefix : {std::string(), std::string("@"), std::string("abstract:")}) {
    EXPECT_EQ(UnixAddress::parse(prefix + std::string(107, 'x'), &address), "");
    EXPECT_EQ(address.length, 110);
    EXPECT_EQ(UnixAddress::parse(prefix + std::string(108, 'x'), &address),
              "the name has 108 bytes; a unix socket address holds 107");
    EXPECT_EQ(UnixAddress::parse(prefix, &address), "the name is empty");
  }
  EXPECT_EQ(UnixAddress::parse(std::string("a\0b", 3), &address), "the name contains a NUL byte");
  EXPECT_EQ(UnixAddress::parse(std::string("@a\0", 3), &address), "the name contains a NUL byte");
}

TEST(Addresses, OfFullLengthCanBeListenedOn) {
  ListenOutcome outcome{};
  std::string abstract = test::unique_name();
  abstract.append(108 - abstract.size(), 'x');
  std::string folder = "/tmp/node-vpp-test-" + std::to_string(::getpid()) + "-";
  std::string path = folder + std::string(107 - folder.size(), 'x');
  for (const auto& text : {abstract, path}) {
    Fd listening;
    Fd connected;
    ASSERT_FALSE(listen_seqpacket(test::address_of(text), {}, &listening, &outcome)) << text;
    EXPECT_FALSE(connect_seqpacket(test::address_of(text), &connected));
  }
  EXPECT_EQ(::unlink(path.c_str()), 0);
}

TEST(Addresses, ThatAreAbstractAreTakenWhileSomebodyListens) {
  std::string name = test::unique_name();
  Fd first;
  Fd second;
  ListenOutcome outcome{};
  ASSERT_FALSE(listen_seqpacket(test::address_of(name), {}, &first, &outcome));
  EXPECT_EQ(listen_seqpacket(test::address_of("abstract:" + name.substr(1)), {}, &second, &outcome).err,
            EADDRINUSE);
  first.reset();
  EXPECT_FALSE(listen_seqpacket(test::address_of(name), {}, &second, &outcome));
}

// ---------------------------------------------------------------- messages

struct Pair {
  RawPeer a;
  RawPeer b;
  Pair() {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0)
      test::die("socketpair");
    a = RawPeer(Fd(ends[0]));
    b = RawPeer(Fd(ends[1]));
  }
};

TEST(SocketMessages, CarryBytesAndOneDescriptor) {
  Pair pair;
  Fd event = test::make_eventfd();
  ASSERT_FALSE(send_message(pair.a.fd(), "hello", 5, event.get()));
  ReceivedMessage message;
  SysError error;
  ASSERT_EQ(receive_message(pair.b.fd(), &message, &error), ReceiveStatus::message);
  EXPECT_EQ(message.size, 5u);
  EXPECT_FALSE(message.truncated);
  ASSERT_EQ(message.fds.size(), 1u);
  // It is the same eventfd, and will not be inherited.
  EXPECT_TRUE(kick(message.fds[0].get()));
  EXPECT_TRUE(drain(event.get()));
  EXPECT_NE(::fcntl(message.fds[0].get(), F_GETFD) & FD_CLOEXEC, 0);
  EXPECT_EQ(receive_message(pair.b.fd(), &message, &error), ReceiveStatus::nothing);
}

TEST(SocketMessages, SayWhenTheyAreCutAndKeepEveryDescriptor) {
  Pair pair;
  std::vector<uint8_t> bytes(1000);
  std::vector<int> numbers(253, test::make_eventfd().release());
  size_t before = test::count_fds();
  SysError error;
  for (size_t size : {size_t{1}, size_t{128}, size_t{256}, size_t{257}, size_t{1000}}) {
    ASSERT_TRUE(pair.a.send(bytes.data(), size, numbers));
    ReceivedMessage message;
    ASSERT_EQ(receive_message(pair.b.fd(), &message, &error), ReceiveStatus::message);
    EXPECT_EQ(message.size, std::min<size_t>(size, 256));
    EXPECT_EQ(message.truncated, size > 256);
    EXPECT_EQ(message.fds.size(), 253u);
  }
  EXPECT_EQ(test::count_fds(), before);
  ::close(numbers[0]);
}

TEST(SocketMessages, SayWhenThereWasNoRoomForADescriptorInThisProcess) {
  Pair pair;
  Fd event = test::make_eventfd();
  ASSERT_TRUE(pair.a.send("x", 1, {event.get(), event.get()}));
  struct rlimit limit {};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  struct rlimit low = {static_cast<rlim_t>(event.get()) + 2, limit.rlim_max};
  size_t before = test::count_fds();
  ::setrlimit(RLIMIT_NOFILE, &low);
  ReceivedMessage message;
  SysError error;
  EXPECT_EQ(receive_message(pair.b.fd(), &message, &error), ReceiveStatus::message);
  ::setrlimit(RLIMIT_NOFILE, &limit);
  EXPECT_TRUE(message.truncated);
  EXPECT_EQ(message.fds.size(), 1u);
  message.fds.clear();
  EXPECT_EQ(test::count_fds(), before);
}

TEST(SocketMessages, EndAndFailAsTheyShould) {
  Pair pair;
  EXPECT_FALSE(peer_has_gone(pair.a.fd()));
  ReceivedMessage message;
  SysError error;
  pair.a.send("last", 4);
  pair.a.close();
  EXPECT_TRUE(peer_has_gone(pair.b.fd()));
  ASSERT_EQ(receive_message(pair.b.fd(), &message, &error), ReceiveStatus::message);
  EXPECT_EQ(receive_message(pair.b.fd(), &message, &error), ReceiveStatus::closed);
  EXPECT_EQ(send_message(pair.b.fd(), "x", 1, -1).err, EPIPE);
  EXPECT_EQ(receive_message(-1, &message, &error), ReceiveStatus::failed);
  EXPECT_EQ(error.err, EBADF);
  Pair full;
  std::vector<uint8_t> bytes(128);
  SysError last;
  for (int i = 0; i < 10'000 && !last; i++)
    last = send_message(full.a.fd(), bytes.data(), bytes.size(), -1);
  EXPECT_EQ(last.err, EAGAIN);
}

// ---------------------------------------------------------------- doorbells

TEST(Doorbells, CountKicksUntilTheyAreDrained) {
  Fd event;
  ASSERT_FALSE(create_eventfd(&event));
  EXPECT_FALSE(drain(event.get()));
  for (int i = 0; i < 1000; i++)
    ASSERT_TRUE(kick(event.get()));
  uint64_t count = 0;
  ASSERT_EQ(::read(event.get(), &count, sizeof count), 8);
  EXPECT_EQ(count, 1000u);
  EXPECT_TRUE(kick(event.get()));
  EXPECT_TRUE(drain(event.get()));
  EXPECT_FALSE(drain(event.get()));
}

TEST(Doorbells, AreTakenForNothingElse) {
  Fd event = test::make_eventfd();
  EXPECT_TRUE(is_eventfd(event.get()));
  Fd memory = test::make_memfd(4096);
  EXPECT_FALSE(is_eventfd(memory.get()));
  EXPECT_FALSE(is_eventfd(-1));
  EXPECT_FALSE(is_eventfd(1 << 20));
  Fd epoll(::epoll_create1(EPOLL_CLOEXEC));
  EXPECT_FALSE(is_eventfd(epoll.get()));
  EXPECT_FALSE(kick(-1));
  EXPECT_FALSE(drain(-1));
}

TEST(Doorbells, ThatAreSemaphoresAreTold) {
  EXPECT_TRUE(drains_at_once(test::make_eventfd().get()));
  Fd semaphore = test::make_eventfd(EFD_SEMAPHORE);
  EXPECT_FALSE(drains_at_once(semaphore.get()));
  uint64_t many = 1 << 30;
  ASSERT_EQ(::write(semaphore.get(), &many, sizeof many), 8);
  EXPECT_FALSE(drains_at_once(semaphore.get()));
  Fd full = test::make_eventfd();
  many = 0xfffffffffffffffe;
  ASSERT_EQ(::write(full.get(), &many, sizeof many), 8);
  EXPECT_TRUE(drains_at_once(full.get()));
}

TEST(Doorbells, ThatAPeerFilledAndMadeBlockingDoNotBlock) {
  Fd event(::eventfd(0, EFD_CLOEXEC));
  EXPECT_FALSE(drain(event.get()));
  uint64_t many = 0xfffffffffffffffe;
  ASSERT_EQ(::write(event.get(), &many, sizeof many), 8);
  for (int i = 0; i < 10; i++)
    kick(event.get());
  EXPECT_TRUE(drain(event.get()));
  EXPECT_FALSE(drain(event.get()));
}

// A peer in another thread that changes the flags all the time over a full counter. Looking at the flags
// before writing is not enough: in between they change.
TEST(Doorbells, DoNotBlockWhenAPeerMakesThemBlockingJustBeforeTheyAreRung) {
  Fd event = test::make_eventfd();
  uint64_t many = 0xfffffffffffffffe;
  ASSERT_EQ(::write(event.get(), &many, sizeof many), 8);
  std::atomic<bool> stop{false};
  std::thread peer([&] {
    while (!stop) {
      ::fcntl(event.get(), F_SETFL, 0);
      ::fcntl(event.get(), F_SETFL, O_NONBLOCK);
    }
  });
  std::atomic<size_t> kicks{0};
  std::atomic<bool> enough{false};
  std::thread ringer([&] {
    while (!enough) {
      kick(event.get());
      kicks++;
    }
  });
  auto end = test::Clock::now() + std::chrono::milliseconds(400);
  size_t seen = 0;
  bool stuck = false;
  while (test::Clock::now() < end) {
    seen = kicks;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  enough = true;
  // One that is stuck is let go by emptying the counter, again and again until it has seen that it is enough.
  auto patience = test::Clock::now() + std::chrono::milliseconds(test::kDeadlineMs);
  while (kicks == seen && !stuck)
    stuck = test::Clock::now() > patience;
  stop = true;
  peer.join();
  ::fcntl(event.get(), F_SETFL, O_NONBLOCK);
  uint64_t count = 0;
  EXPECT_GE(::read(event.get(), &count, sizeof count), -1);
  ringer.join();
  EXPECT_FALSE(stuck) << "after " << seen << " kicks";
}

TEST(Doorbells, CanBeRungFromManyThreadsAndAfterAFork) {
  Fd event = test::make_eventfd();
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; t++) {
    threads.emplace_back([&] {
      for (int i = 0; i < 1000; i++)
        kick(event.get());
    });
  }
  for (auto& thread : threads)
    thread.join();
  uint64_t count = 0;
  ASSERT_EQ(::read(event.get(), &count, sizeof count), 8);
  EXPECT_EQ(count, 8000u);
  EXPECT_TRUE(kick(event.get()));
  pid_t pid = ::fork();
  if (pid == 0) ::_exit(kick(event.get()) && kick(event.get()) ? 0 : 1);
  int status = -1;
  ASSERT_EQ(::waitpid(pid, &status, 0), pid);
  EXPECT_EQ(status, 0);
  ASSERT_EQ(::read(event.get(), &count, sizeof count), 8);
  EXPECT_EQ(count, 3u);
}

// ---------------------------------------------------------------- shared memory

TEST(SharedMemory, OfOursCannotShrinkOrGrow) {
  Fd fd;
  ASSERT_FALSE(create_sealed_memfd("node-vpp test", 10'000, &fd));
  EXPECT_EQ(::ftruncate(fd.get(), 0), -1);
  EXPECT_EQ(::ftruncate(fd.get(), 20'000), -1);
  EXPECT_EQ(::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_WRITE), -1);
  FileFacts facts;
  ASSERT_FALSE(inspect_file(fd.get(), &facts));
  EXPECT_TRUE(facts.shared_memory);
  EXPECT_TRUE(facts.sealed_against_shrinking);
  EXPECT_EQ(facts.size, 10'000u);
}

TEST(SharedMemory, IsToldFromEverythingElse) {
  FileFacts facts;
  ASSERT_FALSE(inspect_file(test::make_memfd(5, 0).get(), &facts));
  EXPECT_TRUE(facts.shared_memory);
  EXPECT_FALSE(facts.sealed_against_shrinking);
  EXPECT_EQ(facts.size, 5u);
  ASSERT_FALSE(inspect_file(test::make_eventfd().get(), &facts));
  EXPECT_FALSE(facts.shared_memory);
  EXPECT_EQ(facts.size, 0u);
  EXPECT_EQ(inspect_file(-1, &facts).err, EBADF);
}

TEST(SharedMemory, IsUnmappedWithItsLastOwner) {
  Fd fd = test::make_memfd(1 << 20);
  size_t before = test::count_mappings("memfd:");
  std::shared_ptr<Mapping> mapping;
  ASSERT_FALSE(Mapping::map(fd.get(), 1 << 20, true, &mapping));
  auto second = mapping;
  mapping.reset();
  EXPECT_EQ(test::count_mappings("memfd:"), before + 1);
  second->data()[(1 << 20) - 1] = 1;
  second.reset();
  EXPECT_EQ(test::count_mappings("memfd:"), before);
  EXPECT_EQ(Mapping::map(fd.get(), 0, true, &mapping).err, EINVAL);
  EXPECT_EQ(Mapping::map(-1, 4096, true, &mapping).err, EBADF);
}

TEST(SharedMemory, OfHugePagesIsUnmappedWhole) {
  Fd fd(::memfd_create("node-vpp test", MFD_CLOEXEC | MFD_HUGETLB));
  if (!fd.valid() || ::ftruncate(fd.get(), 2 << 20) != 0) GTEST_SKIP() << "this kernel has no huge pages";
  size_t before = test::count_mappings("memfd:");
  std::shared_ptr<Mapping> mapping;
  if (Mapping::map(fd.get(), 33024, true, &mapping)) GTEST_SKIP() << "no huge page is free";
  mapping->data()[33023] = 1;
  mapping.reset();
  EXPECT_EQ(test::count_mappings("memfd:"), before);
}

// ---------------------------------------------------------------- the guard

TEST(Guard, PutsZerosWhereAFileWasTruncatedAndRemembersIt) {
  Fd fd = test::make_memfd(3 * 4096, 0);
  std::shared_ptr<Mapping> mapping;
  ASSERT_FALSE(Mapping::map(fd.get(), 3 * 4096, true, &mapping));
  std::memset(mapping->data(), 7, mapping->size());
  unsigned hits = guard_hits();
  ASSERT_EQ(::ftruncate(fd.get(), 4096), 0);
  EXPECT_EQ(mapping->data()[0], 7) << "the first page is still there";
  EXPECT_FALSE(mapping->lost());
  EXPECT_EQ(const_cast<volatile uint8_t*>(mapping->data())[2 * 4096 + 5], 0);
  EXPECT_TRUE(mapping->lost());
  EXPECT_EQ(guard_hits(), hits + 1);
  // Nothing of it is the peer's any more, and all of it can be used.
  const_cast<volatile uint8_t*>(mapping->data())[0] = 1;
  const_cast<volatile uint8_t*>(mapping->data())[3 * 4096 - 1] = 1;
  EXPECT_EQ(guard_hits(), hits + 1);
}

TEST(Guard, WorksForStoresAndInEveryThread) {
  for (int t = 0; t < 4; t++) {
    std::thread([] {
      Fd fd = test::make_memfd(8192, 0);
      std::shared_ptr<Mapping> mapping;
      ASSERT_FALSE(Mapping::map(fd.get(), 8192, true, &mapping));
      ASSERT_EQ(::ftruncate(fd.get(), 0), 0);
      const_cast<volatile uint8_t*>(mapping->data())[4100] = 1;
      EXPECT_TRUE(mapping->lost());
    }).join();
  }
}

TEST(Guard, HasRoomForFourThousandMappingsAndUsesItAgain) {
  Fd fd = test::make_memfd(4096);
  size_t first = 0;
  for (int round = 0; round < 3; round++) {
    std::vector<std::shared_ptr<Mapping>> held;
    for (std::shared_ptr<Mapping> mapping; !Mapping::map(fd.get(), 4096, true, &mapping);)
      held.push_back(std::move(mapping));
    if (round == 0) first = held.size();
    EXPECT_EQ(held.size(), first);
    EXPECT_FALSE(held.back()->lost());
  }
  EXPECT_EQ(first, 4096u);
}

int exit_status(void (*body)()) {
  pid_t pid = ::fork();
  if (pid == 0) {
    struct rlimit none = {0, 0};
    ::setrlimit(RLIMIT_CORE, &none);
    body();
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(pid, &status, 0);
  return status;
}

void touch_unguarded_hole() {
  Fd fd = test::make_memfd(4096, 0);
  std::shared_ptr<Mapping> guarded;
  std::shared_ptr<Mapping> bare;
  if (Mapping::map(fd.get(), 4096, true, &guarded) || Mapping::map(fd.get(), 4096, false, &bare)) ::_exit(1);
  if (::ftruncate(fd.get(), 0) != 0) ::_exit(1);
  const_cast<volatile uint8_t*>(bare->data())[0] = 1;
}

TEST(Guard, LeavesEveryOtherFaultToWhoeverHadItBefore) {
  if (test::instrumented()) GTEST_SKIP() << "the tool has a handler of its own";
  int status = exit_status([] {
    ::signal(SIGBUS, SIG_DFL);
    touch_unguarded_hole();
  });
  EXPECT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(WTERMSIG(status), SIGBUS);
}

} // namespace
} // namespace nodevpp::sys
