// Listeners and interfaces: who is let in, socket files, and what may happen inside a callback. (The observer
// may do anything in there, also take away what is calling it.)

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "support.h"

namespace nodevpp::memif {
namespace {

using test::EpollPoller;
using test::HandmadeClient;
using test::RawPeer;
using test::Witness;

class Listening : public testing::Test {
protected:
  EpollPoller poller;
  std::string name = test::unique_name();
  Witness sees;
  Witness client_sees;
  std::unique_ptr<Listener> listener = std::make_unique<Listener>(poller, "tested", test::kHandshakeMs, 64);
  std::unique_ptr<Interface> server =
      std::make_unique<Interface>(poller, sees, test::server_options(), test::kHandshakeMs);
  test::Holdings before;

  void SetUp() override {
    sys::drains_at_once(test::make_eventfd().get());
    before = test::holdings();
    sys::ListenOutcome outcome{};
    ASSERT_FALSE(listener->listen(test::address_of(name), {}, &outcome));
    ASSERT_TRUE(listener->attach(*server));
  }
  void TearDown() override {
    server.reset();
    listener.reset();
    poller.settle();
    EXPECT_EQ(test::holdings(), before);
    EXPECT_EQ(poller.watching(), 0u);
  }

  // HELLO and the first `count` messages of the script, each answered.
  void talk(RawPeer& peer, HandmadeClient& client, size_t count) {
    peer = RawPeer::to(name);
    ASSERT_EQ(peer.receive_type(poller), 2);
    for (size_t i = 0; i < count; i++) {
      ASSERT_TRUE(peer.send(client.script[i]));
      ASSERT_EQ(peer.receive_type(poller), i == 5 ? 7 : 1);
    }
  }
};

// ---------------------------------------------------------------- who is let in

TEST_F(Listening, ServesManyIdsAndTellsStrangersThatThereIsNone) {
  std::vector<std::unique_ptr<Interface>> servers;
  std::vector<std::unique_ptr<Interface>> clients;
  for (uint32_t id = 1; id < 20; id++) {
    servers.push_back(
        std::make_unique<Interface>(poller, sees, test::server_options(id * 1000), test::kHandshakeMs));
    ASSERT_TRUE(listener->attach(*servers.back()));
    clients.push_back(std::make_unique<Interface>(poller, client_sees, test::client_options(id * 1000, 2),
                                                  test::kHandshakeMs));
    ASSERT_FALSE(clients.back()->connect(test::address_of(name)));
  }
  EXPECT_TRUE(poller.run_until([&] { return sees.ups == 19 && client_sees.ups == 19; }));
  EXPECT_EQ(clients[4]->connection()->session().peer_interface_name, "srv5000");
  EXPECT_EQ(servers[4]->connection()->peer().pid, ::getpid());
  Interface stranger(poller, client_sees, test::client_options(77), test::kHandshakeMs);
  ASSERT_FALSE(stranger.connect(test::address_of(name)));
  EXPECT_TRUE(poller.run_until([&] { return client_sees.refusals == 1; }));
  EXPECT_STREQ(reason_name(client_sees.last.reason), "PEER_REFUSED");
  EXPECT_EQ(client_sees.last.text, "unmatched interface id");
}

TEST_F(Listening, PromisesInHelloWhatItsMostGenerousInterfaceTakes) {
  auto hello = [&] {
    RawPeer peer = RawPeer::to(name);
    auto message = peer.receive(poller);
    return parse_hello(message->data);
  };
  EXPECT_EQ(hello().name, "tested");
  EXPECT_EQ(hello().max_s2m_ring, 0);
  InterfaceOptions options = test::server_options(1);
  options.s2m_rings = 8;
  options.m2s_rings = 3;
  Interface generous(poller, sees, options, test::kHandshakeMs);
  ASSERT_TRUE(listener->attach(generous));
  EXPECT_EQ(hello().max_s2m_ring, 7);
  EXPECT_EQ(hello().max_m2s_ring, 2);
  // And the other one keeps what was promised before anybody knew which one is meant.
  InterfaceOptions many = test::client_options();
  many.s2m_rings = 9;
  many.m2s_rings = 9;
  Interface client(poller, client_sees, many, test::kHandshakeMs);
  ASSERT_FALSE(client.connect(test::address_of(name)));
  ASSERT_TRUE(poller.run_until([&] { return client_sees.ups == 1; })) << client_sees.last.text;
  EXPECT_EQ(server->connection()->session().s2m.size(), 8u);
  EXPECT_EQ(server->connection()->session().m2s.size(), 3u);
}

TEST_F(Listening, LetsTheNextOneInAsSoonAsTheOneBeforeHasGone) {
  RawPeer first;
  HandmadeClient one;
  talk(first, one, 6);
  ASSERT_EQ(sees.ups, 1u);
  RawPeer second = RawPeer::to(name);
  ASSERT_EQ(second.receive_type(poller), 2);
  HandmadeClient two;
  second.send(two.script[0]);
  EXPECT_EQ(second.farewell(poller), "already connected");
  // Gone, but the loop has not looked yet: the INIT of the next is read first.
  RawPeer third = RawPeer::to(name);
  ASSERT_EQ(third.receive_type(poller), 2);
  third.send(two.script[0]);
  first.close();
  EXPECT_EQ(third.receive_type(poller), 1);
  EXPECT_EQ(sees.downs, 1u);
}

TEST_F(Listening, GivesTheInterfaceToTheFirstOfTwoWhoFinishes) {
  RawPeer first;
  RawPeer second;
  HandmadeClient one;
  HandmadeClient two;
  talk(first, one, 5);
  talk(second, two, 6);
  EXPECT_EQ(sees.ups, 1u);
  ASSERT_TRUE(first.send(one.script[5]));
  EXPECT_EQ(first.farewell(poller), "already connected");
  EXPECT_NE(server->connection(), nullptr);
  EXPECT_EQ(listener->pending(), 0u);
}

TEST_F(Listening, AttachesAnIdOnceAndAnInterfaceToOneListener) {
  Interface same(poller, sees, test::server_options(), test::kHandshakeMs);
  EXPECT_FALSE(listener->attach(same));
  Listener other(poller, "other", test::kHandshakeMs, 64);
  EXPECT_FALSE(other.attach(*server));
  EXPECT_FALSE(listener->attach(*server));
  listener->detach(*server);
  EXPECT_TRUE(other.attach(*server));
  EXPECT_TRUE(listener->attach(same));
}

TEST_F(Listening, SendsAwayWhoWasLetInUnderTheRulesOfAnInterfaceThatIsGone) {
  RawPeer peer;
  HandmadeClient client;
  talk(peer, client, 4);
  // Another takes its id, with a secret that the waiting client was never asked for.
  server.reset();
  InterfaceOptions options = test::server_options();
  options.has_secret = true;
  server = std::make_unique<Interface>(poller, sees, options, test::kHandshakeMs);
  ASSERT_TRUE(listener->attach(*server));
  EXPECT_EQ(peer.farewell(poller), "interface deleted");
  EXPECT_EQ(listener->pending(), 0u);
}

TEST_F(Listening, ListensOnceAndCanListenAgainAfterClosing) {
  sys::ListenOutcome outcome{};
  EXPECT_EQ(listener->listen(test::address_of(test::unique_name()), {}, &outcome).err, EINVAL);
  listener->close();
  listener->close();
  EXPECT_FALSE(listener->listen(test::address_of(name), {}, &outcome));
  EXPECT_TRUE(listener->attach(*server));
  RawPeer peer;
  HandmadeClient client;
  talk(peer, client, 6);
}

// ---------------------------------------------------------------- inside callbacks

TEST_F(Listening, MayBeToldToDisconnectWhileItReportsUp) {
  sees.on_up = [](Interface& interface) { interface.disconnect({Reason::closed, "second thoughts", {}}); };
  RawPeer peer;
  HandmadeClient client;
  talk(peer, client, 6);
  EXPECT_EQ(peer.farewell(poller), "second thoughts");
  EXPECT_EQ(sees.downs, 1u);
  // The same on a client.
  sees.on_up = nullptr;
  client_sees.on_up = [](Interface& interface) {
    interface.disconnect({Reason::closed, "not this one", {}});
  };
  Interface connecting(poller, client_sees, test::client_options(), test::kHandshakeMs);
  ASSERT_FALSE(connecting.connect(test::address_of(name)));
  ASSERT_TRUE(poller.run_until([&] { return client_sees.downs == 1 && sees.downs == 2; }));
  EXPECT_EQ(sees.last.text, "not this one");
}

TEST_F(Listening, MayLoseAnInterfaceWhileThatReportsUpOrDown) {
  for (bool up : {true, false}) {
    sees.on_up = sees.on_down = nullptr;
    (up ? sees.on_up : sees.on_down) = [this](Interface&) {
      auto gone = std::move(server);
      sees.on_down = nullptr;
    };
    RawPeer peer;
    HandmadeClient client;
    talk(peer, client, 6);
    if (!up) peer.close();
    EXPECT_TRUE(poller.run_until([&] { return server == nullptr; }));
    poller.settle();
    server = std::make_unique<Interface>(poller, sees, test::server_options(), test::kHandshakeMs);
    ASSERT_TRUE(listener->attach(*server));
  }
  for (bool up : {true, false}) {
    auto connecting =
        std::make_unique<Interface>(poller, client_sees, test::client_options(), test::kHandshakeMs);
    client_sees.on_up = client_sees.on_down = nullptr;
    (up ? client_sees.on_up : client_sees.on_down) = [&](Interface&) { auto gone = std::move(connecting); };
    ASSERT_FALSE(connecting->connect(test::address_of(name)));
    if (!up) {
      ASSERT_TRUE(poller.run_until([&] { return server->connection() != nullptr; }));
      server->disconnect({Reason::closed, "enough", {}});
    }
    EXPECT_TRUE(poller.run_until([&] { return connecting == nullptr && !server->busy(); }));
  }
}

TEST_F(Listening, MayBeClosedWhileItAsksWhetherTheOneBeforeHasGone) {
  for (int what = 0; what < 3; what++) {
    SCOPED_TRACE(what);
    RawPeer first;
    HandmadeClient one;
    HandmadeClient two;
    talk(first, one, 6);
    // The INIT of the next client makes the listener notice that the first has gone, and whoever hears of it
    // acts.
    sees.on_down = [&](Interface&) {
      if (what == 0)
        listener->close();
      else if (what == 1)
        auto gone = std::move(server);
      else
        listener->detach(*server);
    };
    RawPeer second = RawPeer::to(name);
    ASSERT_EQ(second.receive_type(poller), 2);
    second.send(two.script[0]);
    first.close();
    EXPECT_EQ(second.farewell(poller), what == 0 ? "the listener was closed" : "unmatched interface id");
    sees.on_down = nullptr;
    if (what == 0) {
      sys::ListenOutcome outcome{};
      ASSERT_FALSE(listener->listen(test::address_of(name), {}, &outcome));
    }
    server = std::make_unique<Interface>(poller, sees, test::server_options(), test::kHandshakeMs);
    ASSERT_TRUE(listener->attach(*server));
  }
}

TEST_F(Listening, MayBeClosedByWhoeverHearsThatItCloses) {
  RawPeer first;
  RawPeer second;
  HandmadeClient one;
  HandmadeClient two;
  talk(second, two, 3);
  talk(first, one, 6);
  sees.on_down = [&](Interface&) { listener->close(); };
  listener->close();
  EXPECT_EQ(first.farewell(poller), "the listener was closed");
  EXPECT_EQ(second.farewell(poller), "the listener was closed");
}

TEST_F(Listening, TellsAClientWhatThePeerSaidBeforeItWent) {
  // A server that says yes and then no, and is gone before we have answered the yes.
  sys::Fd socket;
  sys::ListenOutcome outcome{};
  std::string other = test::unique_name();
  ASSERT_FALSE(sys::listen_seqpacket(test::address_of(other), {}, &socket, &outcome));
  Interface connecting(poller, client_sees, test::client_options(), test::kHandshakeMs);
  ASSERT_FALSE(connecting.connect(test::address_of(other)));
  RawPeer peer(sys::Fd(::accept4(socket.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)));
  peer.send(emit(Hello{}));
  peer.send(emit_ack());
  peer.send(emit(Disconnect{0, "on reflection, no"}));
  peer.close();
  EXPECT_TRUE(poller.run_until([&] { return client_sees.refusals == 1; }));
  EXPECT_EQ(client_sees.last.text, "on reflection, no");
}

// ---------------------------------------------------------------- out of things

TEST_F(Listening, RestsWhenThereAreNoDescriptorsForANewClientAndGoesOnWhenThereAre) {
  struct rlimit limit {};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  RawPeer peer = RawPeer::to(name);
  struct rlimit low = {static_cast<rlim_t>(peer.fd()) + 1, limit.rlim_max};
  ::setrlimit(RLIMIT_NOFILE, &low);
  // Each time it looks and rests is two turns, and a rest takes 100 ms.
  size_t turns = poller.turns();
  auto begin = test::Clock::now();
  bool looked_again = poller.run_until([&] { return poller.turns() - turns >= 8; });
  auto took = test::Clock::now() - begin;
  ::setrlimit(RLIMIT_NOFILE, &limit);
  EXPECT_TRUE(looked_again);
  EXPECT_GE(took, std::chrono::milliseconds(300)) << "it was spinning";
  EXPECT_EQ(listener->counters().accepted, 0u);
  EXPECT_EQ(peer.receive_type(poller), 2);
}

TEST_F(Listening, TurnsAClientAwayWhenItCannotBeWatched) {
  for (unsigned which : {1u, 2u}) { // the socket, or the time limit
    RawPeer peer = RawPeer::to(name);
    poller.fail_watch(which);
    EXPECT_EQ(peer.receive_type(poller), -1);
    EXPECT_STREQ(reason_name(listener->last_refusal().reason), "SYSTEM");
    EXPECT_EQ(listener->pending(), 0u);
    Interface connecting(poller, client_sees, test::client_options(), test::kHandshakeMs);
    client_sees.refusals = 0;
    poller.fail_watch(which);
    EXPECT_FALSE(connecting.connect(test::address_of(name)));
    EXPECT_EQ(client_sees.refusals, 1u);
    EXPECT_EQ(client_sees.last.error.err, ENOSPC);
    poller.settle();
  }
  Listener other(poller, "other", test::kHandshakeMs, 64);
  sys::ListenOutcome outcome{};
  for (unsigned which : {1u, 2u}) {
    poller.fail_watch(which);
    EXPECT_EQ(other.listen(test::address_of(test::unique_name()), {}, &outcome).err, ENOSPC);
  }
  EXPECT_FALSE(other.listen(test::address_of(test::unique_name()), {}, &outcome));
}

TEST_F(Listening, SaysWhyAClientCannotConnect) {
  Interface connecting(poller, client_sees, test::client_options(), test::kHandshakeMs);
  EXPECT_EQ(connecting.connect(test::address_of(test::unique_name())).err, ECONNREFUSED);
  EXPECT_EQ(connecting.connect(test::address_of("/nowhere/memif.sock")).err, ENOENT);
  ASSERT_FALSE(connecting.connect(test::address_of(name)));
  EXPECT_EQ(connecting.connect(test::address_of(name)).err, EISCONN);
}

// ---------------------------------------------------------------- socket files

class SocketFile : public testing::Test {
protected:
  EpollPoller poller;
  std::string folder;
  std::string path;
  sys::ListenOutcome outcome{};

  void SetUp() override {
    char made[] = "/tmp/node-vpp-test-XXXXXX";
    ASSERT_NE(::mkdtemp(made), nullptr);
    folder = made;
    path = folder + "/memif.sock";
  }
  void TearDown() override {
    ::unlink(path.c_str());
    EXPECT_EQ(::rmdir(folder.c_str()), 0) << "something was left in " << folder;
  }
  bool exists() const {
    struct stat st {};
    return ::lstat(path.c_str(), &st) == 0;
  }
  void make_stale(int type) const {
    sys::Fd fd(::socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
    auto address = test::address_of(path);
    ASSERT_EQ(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address.address), address.length), 0);
    ASSERT_EQ(type == SOCK_DGRAM ? 0 : ::listen(fd.get(), 1), 0);
  }
};

TEST_F(SocketFile, GoesAwayWithUs) {
  {
    Listener listener(poller, "tested", test::kHandshakeMs, 64);
    ASSERT_FALSE(listener.listen(test::address_of(path), {}, &outcome));
    EXPECT_EQ(outcome, sys::ListenOutcome::fresh);
    EXPECT_TRUE(exists());
  }
  EXPECT_FALSE(exists());
}

TEST_F(SocketFile, IsReplacedWhenNobodyListensOnIt) {
  for (int type : {SOCK_SEQPACKET, SOCK_STREAM, SOCK_DGRAM}) {
    make_stale(type);
    ASSERT_TRUE(exists());
    Listener listener(poller, "tested", test::kHandshakeMs, 64);
    ASSERT_FALSE(listener.listen(test::address_of(path), {}, &outcome)) << type;
    EXPECT_EQ(outcome, sys::ListenOutcome::replaced_stale);
    RawPeer peer = RawPeer::to(path);
    EXPECT_EQ(peer.receive_type(poller), 2);
  }
}

TEST_F(SocketFile, IsLeftAloneWhenSomebodyListensOnIt) {
  for (int type : {SOCK_SEQPACKET, SOCK_STREAM, SOCK_DGRAM}) {
    sys::Fd live(::socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
    auto address = test::address_of(path);
    ASSERT_EQ(::bind(live.get(), reinterpret_cast<sockaddr*>(&address.address), address.length), 0);
    ASSERT_EQ(type == SOCK_DGRAM ? 0 : ::listen(live.get(), 1), 0);
    Listener listener(poller, "tested", test::kHandshakeMs, 64);
    EXPECT_EQ(listener.listen(test::address_of(path), {}, &outcome).err, EADDRINUSE) << type;
    EXPECT_TRUE(exists());
    ::unlink(path.c_str());
  }
  // Its queue being full does not make it dead.
  sys::Fd busy;
  ASSERT_FALSE(sys::listen_seqpacket(test::address_of(path), {.backlog = 1}, &busy, &outcome));
  std::vector<sys::Fd> waiting(4);
  for (auto& fd : waiting)
    sys::connect_seqpacket(test::address_of(path), &fd);
  Listener listener(poller, "tested", test::kHandshakeMs, 64);
  EXPECT_EQ(listener.listen(test::address_of(path), {}, &outcome).err, EADDRINUSE);
}

// Each of many processes finds a stale file at the same moment: exactly one may take it, and keeps it.
TEST_F(SocketFile, OfADeadListenerGoesToOneProcessOnly) {
  for (int round = 0; round < 10; round++) {
    make_stale(SOCK_SEQPACKET);
    int go[2];
    int done[2];
    ASSERT_EQ(::pipe2(go, O_CLOEXEC), 0);
    ASSERT_EQ(::pipe2(done, O_CLOEXEC), 0);
    std::vector<pid_t> children;
    for (int i = 0; i < 6; i++) {
      pid_t pid = ::fork();
      if (pid == 0) {
        char byte = 0;
        ::close(go[1]);
        ::close(done[1]);
        if (::read(go[0], &byte, 1) != 0) ::_exit(3);
        sys::Fd fd;
        sys::ListenOutcome how{};
        auto error = sys::listen_seqpacket(test::address_of(path), {}, &fd, &how);
        if (error) ::_exit(error.err == EADDRINUSE ? 1 : 2);
        // Held until all have tried.
        if (::read(done[0], &byte, 1) != 0) ::_exit(3);
        ::_exit(0);
      }
      children.push_back(pid);
    }
    ::close(go[1]);
    // Those who lost end at once; the one who won waits for us.
    for (int i = 0; i < 5; i++) {
      int status = -1;
      pid_t pid = ::waitpid(-1, &status, 0);
      std::erase(children, pid);
      ASSERT_TRUE(WIFEXITED(status));
      ASSERT_EQ(WEXITSTATUS(status), 1);
    }
    sys::Fd client;
    EXPECT_FALSE(sys::connect_seqpacket(test::address_of(path), &client));
    ::close(done[1]);
    int status = -1;
    ASSERT_EQ(::waitpid(children[0], &status, 0), children[0]);
    EXPECT_EQ(status, 0);
    ::close(go[0]);
    ::close(done[0]);
    ::unlink(path.c_str());
  }
}

TEST_F(SocketFile, IsNeverAFileOfAnotherKind) {
  ASSERT_GE(sys::Fd(::open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600)).get(), 0);
  Listener listener(poller, "tested", test::kHandshakeMs, 64);
  EXPECT_EQ(listener.listen(test::address_of(path), {}, &outcome).err, EEXIST);
  EXPECT_TRUE(exists());
  ::unlink(path.c_str());
  // Nor what a link points to.
  ASSERT_EQ(::symlink("/dev/null", path.c_str()), 0);
  EXPECT_EQ(listener.listen(test::address_of(path), {}, &outcome).err, EEXIST);
  EXPECT_TRUE(exists());
}

TEST_F(SocketFile, OfSomebodyElseIsNotRemoved) {
  Listener first(poller, "tested", test::kHandshakeMs, 64);
  ASSERT_FALSE(first.listen(test::address_of(path), {}, &outcome));
  ::unlink(path.c_str());
  Listener second(poller, "tested", test::kHandshakeMs, 64);
  ASSERT_FALSE(second.listen(test::address_of(path), {}, &outcome));
  first.close();
  EXPECT_TRUE(exists());
  RawPeer peer = RawPeer::to(path);
  EXPECT_EQ(peer.receive_type(poller), 2);
}

TEST_F(SocketFile, HasTheModeAndOwnerThatWereGiven) {
  mode_t umask_before = ::umask(0077);
  Listener listener(poller, "tested", test::kHandshakeMs, 64);
  sys::ListenOptions options;
  options.mode = 0666;
  if (::geteuid() == 0) options.uid = options.gid = 12345;
  ASSERT_FALSE(listener.listen(test::address_of(path), options, &outcome));
  ::umask(umask_before);
  struct stat st {};
  ASSERT_EQ(::stat(path.c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0666u);
  if (::geteuid() == 0) {
    EXPECT_EQ(st.st_uid, 12345u);
    EXPECT_EQ(st.st_gid, 12345u);
  }
  listener.close();
  EXPECT_FALSE(exists());
  // Without wishes the umask decides.
  umask_before = ::umask(0027);
  ASSERT_FALSE(listener.listen(test::address_of(path), {}, &outcome));
  ::umask(umask_before);
  ASSERT_EQ(::stat(path.c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0750u);
}

TEST_F(SocketFile, IsNotLeftBehindWhenListeningFails) {
  Listener listener(poller, "tested", test::kHandshakeMs, 64);
  poller.fail_watch(1);
  EXPECT_EQ(listener.listen(test::address_of(path), {}, &outcome).err, ENOSPC);
  EXPECT_FALSE(exists());
}

} // namespace
} // namespace nodevpp::memif
