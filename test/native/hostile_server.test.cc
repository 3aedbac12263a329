// The mirror images of attacks.test.cc: a hostile or dying server against a client interface. The client must
// end the connection for a stated reason and lose nothing; a neighbour in the same process goes on passing
// packets.

#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <csignal>

#include "echo.h"
#include "support.h"

namespace nodevpp::memif {
namespace {

using test::Echo;
using test::EpollPoller;
using test::of_type;
using test::RawPeer;
using test::Witness;

class HostileServer : public testing::Test {
protected:
  EpollPoller poller;
  std::string name = test::unique_name();
  sys::Fd socket;
  Witness sees;
  Echo echo;
  std::unique_ptr<Interface> client;
  test::Holdings before;

  // A neighbour in the same process, connected to a good server.
  std::string good_name = test::unique_name();
  Witness good_sees;
  Listener listener{poller, "good", test::kHandshakeMs, 64};
  Interface good_server{poller, good_sees, test::server_options(), test::kHandshakeMs};
  Interface good_client{poller, good_sees, test::client_options(), test::kHandshakeMs};
  Echo server_echo;
  Echo client_echo;

  void SetUp() override {
    sys::ListenOutcome outcome{};
    ASSERT_FALSE(sys::listen_seqpacket(test::address_of(name), {}, &socket, &outcome));
    ASSERT_FALSE(listener.listen(test::address_of(good_name), {}, &outcome));
    ASSERT_TRUE(listener.attach(good_server));
    ASSERT_FALSE(good_client.connect(test::address_of(good_name)));
    ASSERT_TRUE(poller.run_until([&] { return good_sees.ups == 2; }));
    server_echo.start(good_server);
    client_echo.start(good_client);
    client = std::make_unique<Interface>(poller, sees, test::client_options(9), test::kHandshakeMs);
    sees.on_up = [this](Interface& interface) { echo.start(interface); };
    sys::drains_at_once(test::make_eventfd().get());
    before = test::holdings();
  }
  void TearDown() override {
    poller.settle();
    EXPECT_FALSE(client->busy());
    EXPECT_EQ(good_sees.downs, 0u);
    EXPECT_EQ(client_echo.send(5), 5u);
    server_echo.work();
    EXPECT_EQ(client_echo.take(), 5u);
    echo.work();
    EXPECT_EQ(test::holdings(), before);
  }

  // The server's end of a new connection of the client.
  RawPeer accept() {
    if (auto error = client->connect(test::address_of(name))) test::die(error.syscall);
    sys::Fd fd(::accept4(socket.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!fd.valid()) test::die("accept");
    return RawPeer(std::move(fd));
  }
  // Behaves up to some message of the client's: HELLO, then ACKs, then CONNECTED. Keeps what it is given.
  struct Given {
    std::vector<sys::Fd> fds;
    std::vector<std::shared_ptr<sys::Mapping>> regions;
    Ring s2m;
    Ring m2s;
  };
  void behave(RawPeer& peer, size_t messages, Given* given = nullptr) {
    if (messages > 0) peer.send(emit(Hello{"hostile"}));
    for (size_t i = 1; i < messages; i++) {
      auto message = peer.receive(poller);
      ASSERT_TRUE(message);
      uint16_t type = message_type(message->data);
      if (given != nullptr && type == 4) {
        given->regions.emplace_back();
        ASSERT_FALSE(sys::Mapping::map(message->fds[0].get(), parse_add_region(message->data).size, false,
                                       &given->regions.back()));
      }
      if (given != nullptr && type == 5) {
        AddRing ring = parse_add_ring(message->data);
        (ring.s2m ? given->s2m : given->m2s) =
            Ring(given->regions[0]->data() + ring.offset, ring.log2_ring_size, 64);
      }
      for (auto& fd : message->fds) {
        if (given != nullptr) given->fds.push_back(fd.trust());
      }
      ASSERT_TRUE(peer.send(type == 6 ? emit_connect(MessageType::connected, "evil0") : emit_ack()));
    }
    if (messages < 7) return;
    ASSERT_TRUE(poller.run_until([&] { return client->connection() != nullptr; }));
  }
  void expect_down(RawPeer& peer, Reason reason, const std::string& words) {
    ASSERT_TRUE(poller.run_until([&] { return !client->busy(); }));
    EXPECT_STREQ(reason_name(sees.last.reason), reason_name(reason)) << sees.last.text;
    EXPECT_NE(sees.last.text.find(words), std::string::npos) << sees.last.text;
    if (peer.fd() < 0) return;
    EXPECT_NE(peer.farewell(poller), "(still open)");
  }
};

TEST_F(HostileServer, SaysAHelloThatCannotBe) {
  const Hello bad[] = {{"", 0x0201, 0x0300},
                       {"", 0x0100, 0x01ff},
                       {"", 0x0300, 0x0100},
                       {"", 0x0200, 0x0200, 0},
                       {"", 0x0200, 0x0200, 255, 255, 255, 0}};
  for (const auto& hello : bad) {
    RawPeer peer = accept();
    peer.send(emit(hello));
    expect_down(peer,
                hello.max_log2_ring_size == 0 ? Reason::ring
                : hello.max_region == 0       ? Reason::region
                                              : Reason::version,
                "");
  }
}

TEST_F(HostileServer, SaysSomethingElseThanIsItsTurnInEveryState) {
  for (size_t after = 0; after <= 7; after++) {
    for (uint16_t type : {0, 1, 2, 3, 4, 5, 6, 7, 9, 255}) {
      bool expected = after == 0 ? type == 2 : after < 6 ? type == 1 : after == 6 && type == 7;
      if (expected) continue;
      SCOPED_TRACE(std::string(message_name(type)) + " after " + std::to_string(after));
      RawPeer peer = accept();
      behave(peer, after);
      ASSERT_TRUE(peer.send(of_type(type)));
      expect_down(peer, Reason::protocol, "not expected now");
      echo.work();
    }
  }
}

TEST_F(HostileServer, SendsDescriptorsAndOddLengths) {
  std::vector<uint8_t> bytes(70'000, 1);
  for (size_t after = 0; after <= 7; after++) {
    for (size_t count : {1, 21, 253}) {
      std::vector<sys::Fd> fds;
      std::vector<int> numbers;
      for (size_t i = 0; i < count; i++) {
        fds.push_back(test::make_eventfd());
        numbers.push_back(fds.back().get());
      }
      RawPeer peer = accept();
      behave(peer, after);
      ASSERT_TRUE(peer.send(after == 0 ? emit(Hello{}) : emit_ack(), numbers));
      expect_down(peer, Reason::protocol, std::to_string(count) + " descriptors came with");
      echo.work();
    }
    for (size_t size : {1, 64, 129, 300, 70'000}) {
      RawPeer peer = accept();
      behave(peer, after);
      ASSERT_TRUE(peer.send(bytes.data(), size));
      expect_down(peer, Reason::protocol, "instead of 128");
      echo.work();
    }
  }
}

TEST_F(HostileServer, LeavesOrRefusesInEveryState) {
  for (bool politely : {false, true}) {
    for (size_t after = 0; after <= 7; after++) {
      RawPeer peer = accept();
      behave(peer, after);
      if (politely) peer.send(emit(Disconnect{0, "not you"}));
      peer.close();
      expect_down(peer, politely ? Reason::peer_refused : Reason::peer_closed,
                  politely ? "not you" : "closed");
      echo.work();
    }
  }
}

TEST_F(HostileServer, SaysNothing) {
  unsigned limit = test::short_handshake_ms();
  // All of them at once, as each lasts as long as the limit.
  std::vector<std::unique_ptr<Interface>> clients;
  std::vector<RawPeer> peers;
  for (size_t after = 0; after <= 6; after++) {
    if (after > 0) clients.push_back(std::move(client));
    client = std::make_unique<Interface>(poller, sees, test::client_options(9), limit);
    peers.push_back(accept());
    behave(peers.back(), after);
  }
  std::vector<std::string> reasons;
  sees.on_down = [&](Interface&) { reasons.emplace_back(reason_name(sees.last.reason)); };
  for (RawPeer& peer : peers)
    expect_down(peer, Reason::timeout, "did not finish within " + std::to_string(limit) + " ms");
  EXPECT_EQ(reasons, std::vector<std::string>(7, "TIMEOUT"));
  sees.on_down = nullptr;
}

TEST_F(HostileServer, RewritesTheRings) {
  struct Case {
    const char* name;
    std::optional<Reason> reason; // none: nothing of it matters
    std::function<void(Given&)> act;
  };
  const Case cases[] = {
      {"M2S tail jumps", Reason::index, [](Given& g) { g.m2s.publish_tail(65); }},
      {"M2S tail goes back", Reason::index, [](Given& g) { g.m2s.publish_tail(65535); }},
      {"S2M tail overtakes head", Reason::index,
       [](Given& g) { g.m2s.publish_tail(1), g.s2m.publish_tail(1); }},
      {"a length beyond the capacity", Reason::descriptor,
       [](Given& g) {
         g.m2s.write(0, {0, 1, 2049, 0}), g.m2s.publish_tail(1);
       }},
      {"a length beyond everything", Reason::descriptor,
       [](Given& g) {
         g.m2s.write(0, {0, 1, 0xffffffff, 0}), g.m2s.publish_tail(1);
       }},
      {"a chain that never ends", Reason::descriptor,
       [](Given& g) {
         for (uint32_t slot = 0; slot < 64; slot++)
           g.m2s.write(slot, {1, 1, 64, 0});
         g.m2s.publish_tail(64);
       }},
      {"other offsets and regions",
       {},
       [](Given& g) {
         g.m2s.write(0, {0, test::kHandshakeMs, 64, 0xffffffff}), g.m2s.publish_tail(1);
       }},
      {"other cookies",
       {},
       [](Given& g) {
         store<uint32_t>(g.regions[0]->data(), 0, 0);
         g.m2s.publish_tail(1);
       }},
      {"everything", Reason::index,
       [](Given& g) {
         std::memset(g.regions[0]->data(), 0xff, g.regions[0]->size());
         g.m2s.publish_tail(0x8000);
       }},
      {"head, which is the client's",
       {},
       [](Given& g) { g.m2s.publish_head(7), g.s2m.publish_head(30000), g.m2s.publish_tail(1); }},
  };
  for (const auto& attack : cases) {
    SCOPED_TRACE(attack.name);
    RawPeer peer = accept();
    Given given;
    behave(peer, 7, &given);
    ASSERT_NE(client->connection(), nullptr);
    uint64_t received = echo.received;
    attack.act(given);
    echo.work();
    if (attack.reason) {
      expect_down(peer, *attack.reason,
                  attack.reason == Reason::index ? "an index jumped" : "a descriptor is wrong");
    } else {
      EXPECT_EQ(echo.received, received + 1);
      EXPECT_NE(client->connection(), nullptr);
      peer.close();
      expect_down(peer, Reason::peer_closed, "closed");
    }
    // What the client owns cannot be taken from it.
    for (size_t i = 0; i < 2; i++)
      EXPECT_EQ(::ftruncate(given.fds[i].get(), 0), -1);
    echo.work();
  }
}

TEST_F(HostileServer, MakesDoorbellsBlockAndFillsThem) {
  RawPeer peer = accept();
  Given given;
  behave(peer, 7, &given);
  for (size_t i = 2; i < 4; i++) {
    uint64_t full = 0xfffffffffffffffe;
    ASSERT_EQ(::write(given.fds[i].get(), &full, sizeof full), 8);
    ASSERT_EQ(::fcntl(given.fds[i].get(), F_SETFL, 0), 0);
  }
  for (uint16_t i = 1; i <= 60; i++) {
    given.m2s.publish_tail(i);
    echo.work();
  }
  EXPECT_EQ(given.s2m.head(), 60);
  EXPECT_TRUE(sys::drain(echo.queues().rx[0].event()));
  EXPECT_FALSE(sys::drain(echo.queues().rx[0].event()));
  peer.close();
  expect_down(peer, Reason::peer_closed, "closed");
}

TEST_F(HostileServer, IsKilledInEveryStateAndUnderTraffic) {
  for (size_t messages = 0; messages <= 8; messages++) {
    bool traffic = messages == 8;
    SCOPED_TRACE("after " + std::to_string(messages) + " messages");
    int ends[2];
    ASSERT_EQ(::pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    sys::Fd in(ends[0]);
    sys::Fd out(ends[1]);
    pid_t pid = ::fork();
    if (pid == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      // The child accepts, behaves for a while, and waits for its end.
      sys::Fd fd;
      ::fcntl(socket.get(), F_SETFL, 0);
      fd = sys::Fd(::accept4(socket.get(), nullptr, nullptr, SOCK_CLOEXEC));
      RawPeer peer(std::move(fd));
      Given given;
      if (messages > 0) peer.send(emit(Hello{}));
      for (size_t i = 1; i < messages && i < 7; i++) {
        sys::ReceivedMessage message;
        sys::SysError error;
        struct pollfd entry = {peer.fd(), POLLIN, 0};
        ::poll(&entry, 1, -1);
        if (sys::receive_message(peer.fd(), &message, &error) != sys::ReceiveStatus::message) ::_exit(1);
        if (message_type(message.data) == 4) {
          given.regions.emplace_back();
          if (sys::Mapping::map(message.fds[0].get(), parse_add_region(message.data).size, false,
                                &given.regions.back()))
            ::_exit(2);
        }
        if (message_type(message.data) == 5) {
          AddRing ring = parse_add_ring(message.data);
          (ring.s2m ? given.s2m : given.m2s) =
              Ring(given.regions[0]->data() + ring.offset, ring.log2_ring_size, 64);
        }
        peer.send(message_type(message.data) == 6 ? emit_connect(MessageType::connected, "") : emit_ack());
      }
      if (::write(out.get(), "x", 1) != 1) ::_exit(3);
      if (!traffic) ::pause();
      for (uint16_t tail = 0;;) {
        uint16_t head = given.m2s.head();
        while (tail != head)
          given.m2s.write(given.m2s.slot(tail++), {0, 1, 60, 0});
        given.m2s.publish_tail(tail);
        given.s2m.publish_tail(given.s2m.head());
      }
    }
    ASSERT_FALSE(client->connect(test::address_of(name)));
    char byte = 0;
    ASSERT_TRUE(poller.run_until([&] { return ::read(in.get(), &byte, 1) == 1; }));
    if (messages >= 7) {
      ASSERT_TRUE(poller.run_until([&] { return client->connection() != nullptr; }));
      uint64_t wanted = echo.received + (traffic ? 20'000 : 0);
      ASSERT_TRUE(poller.run_until([&] {
        echo.work();
        return echo.received >= wanted;
      }));
    }
    ::kill(pid, SIGKILL);
    int status = 0;
    ASSERT_EQ(::waitpid(pid, &status, 0), pid);
    EXPECT_TRUE(WIFSIGNALED(status));
    RawPeer nobody;
    expect_down(nobody, Reason::peer_closed, "the peer closed the connection");
    echo.work();
  }
}

} // namespace
} // namespace nodevpp::memif
