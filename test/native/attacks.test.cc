// A hostile or dying client, live over real sockets, against a server interface. Each attack must end with
// the connection closed for a stated reason, this process alive, not a descriptor or mapping more than
// before, the neighbour on the same listener still passing packets, and the next good client let in. (What
// changes nothing of that, such as odd but harmless descriptors, may keep its connection.)

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <csignal>

#include "echo.h"
#include "support.h"

namespace nodevpp::memif {
namespace {

using test::Echo;
using test::EpollPoller;
using test::HandmadeClient;
using test::of_type;
using test::RawPeer;
using test::Shape;
using test::Witness;

class Attack : public testing::Test {
protected:
  EpollPoller poller;
  std::string name = test::unique_name();
  Witness victim_sees;
  Witness neighbour_sees;
  Witness friend_sees;
  Echo victim_echo;
  Echo neighbour_echo;
  Echo friend_echo;
  Listener listener{poller, "victim", test::kHandshakeMs, 64};
  std::unique_ptr<Interface> victim;
  Interface neighbour{poller, neighbour_sees, test::server_options(1), test::kHandshakeMs};
  Interface friendly{poller, friend_sees, test::client_options(1), test::kHandshakeMs};
  test::Holdings before;

  void SetUp() override { open({}); }

  void open(InterfaceOptions options) {
    options.role = Role::server;
    options.interface_name = "victim";
    victim = std::make_unique<Interface>(poller, victim_sees, options, test::kHandshakeMs);
    victim_sees.on_up = [this](Interface& interface) { victim_echo.start(interface); };
    if (friendly.busy()) { // opened before, with other options
      listener.attach(*victim);
      return;
    }
    sys::ListenOutcome outcome{};
    ASSERT_FALSE(listener.listen(test::address_of(name), {}, &outcome));
    ASSERT_TRUE(listener.attach(*victim));
    ASSERT_TRUE(listener.attach(neighbour));
    ASSERT_FALSE(friendly.connect(test::address_of(name)));
    ASSERT_TRUE(poller.run_until([&] { return friend_sees.ups == 1 && neighbour_sees.ups == 1; }));
    neighbour_echo.start(neighbour);
    friend_echo.start(friendly);
    sys::drains_at_once(test::make_eventfd().get());
    before = test::holdings();
  }

  void TearDown() override {
    expect_everybody_else_goes_on();
    EXPECT_EQ(test::holdings(), before);
  }

  void expect_everybody_else_goes_on() {
    poller.settle();
    EXPECT_EQ(friend_sees.downs, 0u);
    EXPECT_EQ(neighbour_sees.downs, 0u);
    ASSERT_EQ(friend_echo.send(10), 10u);
    neighbour_echo.work();
    EXPECT_EQ(friend_echo.take(), 10u);
    // And the next one is let in.
    size_t ups = victim_sees.ups;
    {
      RawPeer peer;
      HandmadeClient client(good_);
      ASSERT_EQ(talk(peer, client), client.script.size());
      EXPECT_TRUE(poller.run_until([&] { return victim_sees.ups == ups + 1; }));
    }
    EXPECT_TRUE(poller.run_until([&] { return !victim->busy(); }));
    victim_echo.work();
    poller.settle();
    EXPECT_EQ(listener.pending(), 0u);
  }

  // Connects, hears HELLO and says the first `count` messages of the script; how many were answered with what
  // a good server answers.
  size_t talk(RawPeer& peer, HandmadeClient& client, size_t count = SIZE_MAX) {
    peer = RawPeer::to(name);
    if (peer.receive_type(poller) != 2) return 0;
    size_t n = 0;
    for (; n < client.script.size() && n < count; n++) {
      if (!peer.send(client.script[n])) return n;
      client.script[n].fd.reset();
      bool last = type_of(client.script[n].message) == 6;
      int answer = peer.receive_type(poller);
      if (answer != (last ? 7 : 1)) return n;
    }
    return n;
  }

  // What the victim, or its listener if it does not come to that, says about the last one it turned away.
  const Failure& verdict(bool known) const { return known ? victim_sees.last : listener.last_refusal(); }
  void expect_verdict(bool known, Reason reason, const std::string& words) const {
    EXPECT_STREQ(reason_name(verdict(known).reason), reason_name(reason)) << verdict(known).text;
    EXPECT_NE(verdict(known).text.find(words), std::string::npos) << verdict(known).text;
  }

  // A whole attack before CONNECTED: the script as changed, said to the end or until the server has enough.
  void refuse(Reason reason, const std::string& words, const std::function<void(HandmadeClient&)>& change,
              Shape shape = {}, bool known = true) {
    SCOPED_TRACE(words);
    RawPeer peer;
    HandmadeClient client(shape);
    change(client);
    EXPECT_LT(talk(peer, client), client.script.size());
    peer.farewell(poller);
    poller.settle();
    EXPECT_EQ(listener.pending(), 0u);
    expect_verdict(known, reason, words);
  }

  // A client that got in, about to misbehave.
  void get_in(RawPeer& peer, HandmadeClient& client) {
    size_t ups = victim_sees.ups;
    ASSERT_EQ(talk(peer, client), client.script.size());
    ASSERT_TRUE(poller.run_until([&] { return victim_sees.ups == ups + 1; }));
  }
  void expect_thrown_out(RawPeer& peer, Reason reason, const std::string& words) {
    size_t downs = victim_sees.downs;
    victim_echo.work();
    poller.settle();
    EXPECT_EQ(victim_sees.downs, downs + 1);
    expect_verdict(true, reason, words);
    EXPECT_NE(peer.farewell(poller).find(words), std::string::npos);
  }

  static uint16_t type_of(const Message& message) { return message_type(message.data()); }
  Shape good_;
};

// ---------------------------------------------------------------- twenty attacks on a server

TEST_F(Attack, Number1_SomethingElseThanInitFirst) {
  for (uint16_t type : {0, 1, 2, 4, 5, 6, 7, 9, 4660}) {
    RawPeer peer = RawPeer::to(name);
    ASSERT_EQ(peer.receive_type(poller), 2);
    sys::Fd fd = test::make_memfd(4096);
    ASSERT_TRUE(type == 4 || type == 5 ? peer.send(of_type(type), {fd.get()}) : peer.send(of_type(type)));
    EXPECT_EQ(peer.farewell(poller), std::string(message_name(type)) + " is not expected now");
    expect_verdict(false, Reason::protocol, "not expected now");
  }
  RawPeer peer = RawPeer::to(name);
  ASSERT_EQ(peer.receive_type(poller), 2);
  peer.send(emit(Disconnect{1, "no, after all"}));
  EXPECT_EQ(peer.farewell(poller), "(no DISCONNECT)");
  expect_verdict(false, Reason::peer_refused, "no, after all");
}

TEST_F(Attack, Number2_MessagesOfTheWrongLength) {
  std::vector<uint8_t> bytes(70'000, 3);
  for (size_t size :
       {size_t{1}, size_t{64}, size_t{127}, size_t{129}, size_t{255}, size_t{257}, size_t{70'000}}) {
    for (size_t after : {0, 1, 3, 6}) {
      RawPeer peer;
      HandmadeClient client;
      ASSERT_EQ(talk(peer, client, after), after);
      ASSERT_TRUE(peer.send(bytes.data(), size));
      EXPECT_EQ(peer.farewell(poller), "a control message of " + std::to_string(std::min(size, size_t{256})) +
                                           " bytes instead of 128");
      expect_verdict(after > 0, Reason::protocol, "instead of 128");
    }
  }
  // A message of no bytes looks like the end, with a descriptor it does not.
  RawPeer peer = RawPeer::to(name);
  ASSERT_EQ(peer.receive_type(poller), 2);
  sys::Fd fd = test::make_eventfd();
  ASSERT_TRUE(peer.send(bytes.data(), 0, {fd.get()}));
  EXPECT_NE(peer.farewell(poller), "(still open)");
}

TEST_F(Attack, Number3_ARegionWithAnIndexFarAhead) {
  refuse(Reason::region, "region 200: the next index is 0",
         [](auto& client) { client.script[1].message[2] = 200; });
}

TEST_F(Attack, Number4_ARingInARegionThatWasNeverAdded) {
  refuse(Reason::ring, "region 77 was not added",
         [](auto& client) { client.script[client.first_ring].message[6] = 77; });
}

TEST_F(Attack, Number5_ARingFarOutsideItsRegion) {
  refuse(Reason::ring, "does not fit in its region", [](auto& client) {
    store<uint32_t>(client.script[client.first_ring].message.data(), 8, 0xfffff000);
  });
}

TEST_F(Attack, Number6_AWrongCookie) {
  refuse(Reason::ring, "wrong cookie", [](auto& client) { client.ring(1)[0] ^= 0xff; });
}

TEST_F(Attack, Number7_ARegionLargerThanItsFile) {
  refuse(Reason::region, "the file has 4096 bytes of 1073741824", [](auto& client) {
    client.script[1] = {emit(AddRegion{0, 1 << 30}), test::make_memfd(4096)};
  });
}

TEST_F(Attack, Number8_ARegionTruncatedUnderTraffic) {
  {
    // Sealed, it cannot be done.
    RawPeer peer;
    HandmadeClient client;
    get_in(peer, client);
    for (auto& file : client.files)
      EXPECT_EQ(::ftruncate(file.get(), 0), -1);
    EXPECT_EQ(victim_sees.downs, 0u);
  }
  poller.run_until([&] { return !victim->busy(); });
  // Unsealed regions are taken on request only, and then losing them is an end with a reason too.
  InterfaceOptions options;
  options.allow_unsealed = true;
  open(options);
  for (size_t lost : {size_t{0}, size_t{1}}) {
    RawPeer peer;
    HandmadeClient client({.seals = 0});
    get_in(peer, client);
    Ring ring = client.ring_of(0);
    for (uint16_t burst = 1; burst <= 4; burst++) {
      ring.publish_head(static_cast<uint16_t>(burst * 32));
      victim_echo.work();
    }
    EXPECT_TRUE(victim->connection() != nullptr);
    ring.publish_head(5 * 32);
    client.regions.clear();
    ASSERT_EQ(::ftruncate(client.files[lost].get(), 0), 0);
    expect_thrown_out(peer, Reason::region, "truncated");
  }
  // In the middle of the handshake there is no cookie to be found any more.
  RawPeer peer;
  HandmadeClient client({.seals = 0});
  ASSERT_EQ(talk(peer, client, 5), 5u);
  ASSERT_EQ(::ftruncate(client.files[0].get(), 0), 0);
  peer.send(client.script[5]);
  EXPECT_NE(peer.farewell(poller).find("wrong cookie"), std::string::npos);
}

TEST_F(Attack, Number9_DescriptorsOutsideTheirRegion) {
  const Descriptor bad[] = {{0, 1, 64, 0xffffff00},
                            {0, 1, 64, 2 * 1024 * 2048 - 63},
                            {0, 1, 0xffffffff, 1},
                            {1, 1, 65535, 0x7fffffff}};
  for (const auto& d : bad) {
    for (uint32_t ring : {0u, 1u}) {
      RawPeer peer;
      HandmadeClient client;
      get_in(peer, client);
      // Something to send back, and where to: a good descriptor, or one that would have the server write
      // elsewhere.
      client.ring_of(0).publish_head(2);
      client.ring_of(1).publish_head(2);
      client.write_descriptor(ring, 1, d);
      expect_thrown_out(peer, Reason::descriptor, "a descriptor is wrong");
    }
  }
}

TEST_F(Attack, Number10_DescriptorsInRegionsThatAreNotThere) {
  for (uint16_t region : {uint16_t{2}, uint16_t{5000}, uint16_t{65535}}) {
    for (uint32_t ring : {0u, 1u}) {
      RawPeer peer;
      HandmadeClient client;
      get_in(peer, client);
      client.ring_of(0).publish_head(2);
      client.ring_of(1).publish_head(2);
      client.write_descriptor(ring, 0, {0, region, 64, 0});
      expect_thrown_out(peer, Reason::descriptor, "a descriptor is wrong");
    }
  }
}

TEST_F(Attack, Number11_ALengthBeyondTheBufferButInsideTheRegion) {
  RawPeer peer;
  HandmadeClient client;
  get_in(peer, client);
  uint8_t* memory = client.regions[1]->data();
  std::memset(memory, 0x5a, client.regions[1]->size());
  client.write_descriptor(0, 0, {0, 1, 60000, 0});
  std::memset(memory, 0xa5, 60000);
  client.ring_of(1).publish_head(1);
  client.ring_of(0).publish_head(1);
  victim_echo.work();
  // It is the client's own memory that was read, and its own buffer that was filled, not a byte more.
  EXPECT_EQ(victim_echo.received, 1u);
  EXPECT_NE(victim->connection(), nullptr);
  EXPECT_EQ(client.ring_of(1).tail(), 1);
  uint32_t offset = client.ring_of(1).read(0).offset;
  EXPECT_EQ(client.ring_of(1).read(0).length, 2048u);
  EXPECT_EQ(memory[offset + 2047], 0xa5);
  EXPECT_EQ(memory[offset + 2048], 0x5a);
  client.write_descriptor(0, 1, {0, 1, 65536, 0});
  client.ring_of(0).publish_head(2);
  expect_thrown_out(peer, Reason::descriptor, "a descriptor is wrong");
}

TEST_F(Attack, Number12_AnIndexThatJumps) {
  for (uint16_t jump : {1025, 30000, 65535}) {
    for (uint32_t ring : {0u, 1u}) {
      RawPeer peer;
      HandmadeClient client;
      get_in(peer, client);
      client.ring_of(ring).publish_head(jump);
      expect_thrown_out(peer, Reason::index, "an index jumped");
    }
  }
}

TEST_F(Attack, Number13_AChainThatNeverEnds) {
  RawPeer peer;
  HandmadeClient client;
  get_in(peer, client);
  for (uint32_t slot = 0; slot < 1024; slot++)
    client.write_descriptor(0, slot, {1, 1, 64, slot * 64});
  client.ring_of(0).publish_head(1023);
  victim_echo.work();
  EXPECT_NE(victim->connection(), nullptr) << "it could still end with the next one";
  client.ring_of(0).publish_head(1024);
  expect_thrown_out(peer, Reason::descriptor, "a descriptor is wrong");
}

TEST_F(Attack, Number14_TheSameRingEightTimes) {
  refuse(Reason::ring, "S2M ring 0: the next index is 1", [](auto& client) {
    for (int i = 0; i < 7; i++) {
      Message again = client.script[client.first_ring].message;
      client.script.insert(client.script.begin() + static_cast<long>(client.first_ring),
                           {again, test::make_eventfd()});
    }
  });
}

TEST_F(Attack, Number15_ARingOf2To31Entries) {
  for (uint8_t log2 : {0, 15, 31, 32, 64, 255}) {
    refuse(Reason::ring, "is not between 2^1 and 2^14",
           [&](auto& client) { client.script[client.first_ring].message[12] = log2; });
  }
}

TEST_F(Attack, Number16_TwoHundredDescriptorsThatNobodyAskedFor) {
  for (size_t after : {0, 1, 6}) {
    RawPeer peer;
    HandmadeClient client;
    ASSERT_EQ(talk(peer, client, after), after);
    sys::Fd fd = test::make_eventfd();
    size_t sent = 0;
    for (int i = 0; i < 200; i++) {
      sent += peer.send(emit_ack(), {fd.get()}) ? 1 : 0;
      if (i % 20 == 0) poller.settle();
    }
    EXPECT_GE(sent, 1u);
    EXPECT_EQ(peer.farewell(poller), "1 descriptors came with ACK");
  }
}

TEST_F(Attack, Number17_ManyDescriptorsWithOneMessage) {
  for (size_t count : {2, 21, 253}) {
    std::vector<sys::Fd> fds;
    std::vector<int> numbers;
    for (size_t i = 0; i < count; i++) {
      fds.push_back(test::make_memfd(4096));
      numbers.push_back(fds.back().get());
    }
    RawPeer peer;
    HandmadeClient client;
    ASSERT_EQ(talk(peer, client, 1), 1u);
    ASSERT_TRUE(peer.send(emit(AddRegion{0, 4096}), numbers));
    EXPECT_EQ(peer.farewell(poller), std::to_string(count) + " descriptors came with ADD_REGION");
  }
}

// Closing a descriptor can take as long as its sender likes: here a connection with unsent data that lingers.
TEST_F(Attack, Number17_ADescriptorThatTakesLongToClose) {
  sys::Fd listening(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  struct sockaddr_in address {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  ASSERT_EQ(::bind(listening.get(), reinterpret_cast<sockaddr*>(&address), length), 0);
  ASSERT_EQ(::listen(listening.get(), 1), 0);
  ASSERT_EQ(::getsockname(listening.get(), reinterpret_cast<sockaddr*>(&address), &length), 0);
  for (size_t after : {0, 1, 3}) {
    sys::Fd slow(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(::connect(slow.get(), reinterpret_cast<sockaddr*>(&address), length), 0);
    sys::Fd never_reads(::accept4(listening.get(), nullptr, nullptr, SOCK_CLOEXEC));
    std::vector<uint8_t> bytes(1 << 20);
    while (::send(slow.get(), bytes.data(), bytes.size(), MSG_DONTWAIT) > 0) {
    }
    struct linger linger = {1, 3600};
    ASSERT_EQ(::setsockopt(slow.get(), SOL_SOCKET, SO_LINGER, &linger, sizeof linger), 0);
    RawPeer peer;
    HandmadeClient client;
    ASSERT_EQ(talk(peer, client, after), after);
    ASSERT_TRUE(peer.send(after == 1 ? emit(AddRegion{0, 4096}) : of_type(5), {slow.get()}));
    ::close(slow.release());
    EXPECT_NE(peer.farewell(poller), "(still open)");
    EXPECT_EQ(sys::foreign_waiting(), 1u) << "it is being closed, and nobody waits for that";
    struct linger at_once = {1, 0};
    ::setsockopt(never_reads.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    never_reads.reset();
    EXPECT_TRUE(poller.run_until([] { return sys::foreign_waiting() == 0; }));
  }
}

TEST_F(Attack, Number18_ThreeHundredIdleConnections) {
  std::vector<RawPeer> idle;
  size_t most = 0;
  for (int i = 0; i < 300; i++) {
    idle.push_back(RawPeer::to(name));
    poller.settle();
    most = std::max(most, listener.pending());
  }
  EXPECT_EQ(most, 64u);
  EXPECT_EQ(listener.counters().refused, 300 - 64u);
  // They do not keep a serious client away, which is faster than they are many.
  {
    RawPeer peer;
    HandmadeClient client;
    EXPECT_EQ(talk(peer, client), client.script.size());
  }
  EXPECT_EQ(idle[0].farewell(poller), "too many connections without an interface");
  EXPECT_EQ(idle.size(), 300u);
  idle.clear();
  EXPECT_TRUE(poller.run_until([&] { return listener.pending() == 0; }));
}

TEST_F(Attack, Number18_HundredsThatEvenSaidWhatTheyWant) {
  std::vector<RawPeer> idle;
  for (int i = 0; i < 200; i++) {
    RawPeer peer;
    HandmadeClient client({.log2 = 2});
    ASSERT_EQ(talk(peer, client, 3), 3u);
    idle.push_back(std::move(peer));
    EXPECT_LE(listener.pending(), 64u);
  }
  RawPeer peer;
  HandmadeClient client;
  EXPECT_EQ(talk(peer, client), client.script.size());
  idle.clear();
  EXPECT_TRUE(poller.run_until([&] { return listener.pending() == 0; }));
}

TEST_F(Attack, Number19_InitAndThenSilence) {
  Witness sees;
  unsigned limit = test::short_handshake_ms();
  std::string farewell = "the handshake did not finish within " + std::to_string(limit) + " ms";
  Listener quick{poller, "quick", limit, 64};
  Interface interface { poller, sees, test::server_options(0), limit };
  std::string other = test::unique_name();
  sys::ListenOutcome outcome{};
  ASSERT_FALSE(quick.listen(test::address_of(other), {}, &outcome));
  ASSERT_TRUE(quick.attach(interface));
  std::swap(name, other);
  // All of them at once, as each lasts as long as the limit.
  std::vector<RawPeer> silent(6);
  for (size_t said = 0; said < silent.size(); said++) {
    HandmadeClient client;
    ASSERT_EQ(talk(silent[said], client, said), said);
  }
  // The id is not taken by those who only talk of it.
  RawPeer serious;
  HandmadeClient good;
  EXPECT_EQ(talk(serious, good), good.script.size());
  std::swap(name, other);
  for (RawPeer& peer : silent) {
    EXPECT_EQ(peer.farewell(poller), farewell);
    EXPECT_STREQ(reason_name(quick.last_refusal().reason), "TIMEOUT");
  }
  EXPECT_EQ(quick.pending(), 0u);
  EXPECT_EQ(quick.counters().refused, 6u);
  EXPECT_EQ(sees.refusals, 5u); // of the first nobody knows whom it wanted
  EXPECT_STREQ(reason_name(sees.last.reason), "TIMEOUT");
  EXPECT_TRUE(interface.connection() != nullptr);
  serious.close();
  EXPECT_TRUE(poller.run_until([&] { return !interface.busy(); }));
}

TEST_F(Attack, Number20_AModeThatTheInterfaceDoesNotHave) {
  for (uint8_t mode : {1, 2, 255}) {
    refuse(Reason::mode, "mode mismatch", [](auto&) {}, {.mode = mode});
  }
}

// ---------------------------------------------------------------- and some more

TEST_F(Attack, DoorbellsThatBlockOrNeverFallSilent) {
  RawPeer peer;
  HandmadeClient client;
  get_in(peer, client);
  // Blocking and full, after the handshake has set it right.
  uint64_t full = 0xfffffffffffffffe;
  ASSERT_EQ(::write(client.events[1].get(), &full, sizeof full), 8);
  ASSERT_EQ(::fcntl(client.events[1].get(), F_SETFL, 0), 0);
  client.ring_of(1).publish_head(1024);
  for (uint16_t i = 1; i <= 100; i++) {
    client.ring_of(0).publish_head(i);
    victim_echo.work();
  }
  EXPECT_EQ(victim_echo.received, 100u);
  EXPECT_EQ(client.ring_of(1).tail(), 100);
}

TEST_F(Attack, FloodsAndRepliesThatAreNeverRead) {
  RawPeer peer;
  HandmadeClient client;
  ASSERT_EQ(talk(peer, client, 1), 1u);
  // Many good ADD_REGIONs at once: the server answers each, and nobody reads the answers.
  sys::Fd fd = test::make_memfd(4096);
  for (uint16_t i = 0; i < 300; i++) {
    while (!peer.send(emit(AddRegion{i, 4096}), {fd.get()}) && errno == EAGAIN)
      poller.turn(1);
  }
  poller.settle();
  EXPECT_EQ(listener.pending(), 0u);
  EXPECT_TRUE(victim_sees.last.reason == Reason::protocol || victim_sees.last.reason == Reason::region)
      << victim_sees.last.text;
}

TEST_F(Attack, MessagesAfterConnected) {
  for (uint16_t type : {0, 1, 2, 3, 4, 5, 6, 7, 9}) {
    RawPeer peer;
    HandmadeClient client;
    get_in(peer, client);
    sys::Fd fd = test::make_memfd(4096);
    ASSERT_TRUE(type == 4 || type == 5 ? peer.send(of_type(type), {fd.get()}) : peer.send(of_type(type)));
    EXPECT_EQ(peer.farewell(poller), std::string(message_name(type)) + " is not expected now");
    expect_verdict(true, Reason::protocol, "not expected now");
    victim_echo.work();
  }
}

TEST_F(Attack, LeavingInEveryState) {
  for (bool politely : {false, true}) {
    for (size_t after = 0; after <= 6; after++) {
      RawPeer peer;
      HandmadeClient client;
      ASSERT_EQ(talk(peer, client, after), after);
      if (politely) peer.send(emit(Disconnect{0, "bye"}));
      peer.close();
      ASSERT_TRUE(poller.run_until([&] { return listener.pending() == 0 && !victim->busy(); }));
      if (after > 0)
        expect_verdict(true, politely ? Reason::peer_refused : Reason::peer_closed,
                       politely ? "bye" : "closed");
      victim_echo.work();
    }
  }
}

// ---------------------------------------------------------------- a peer that is killed

// Runs a client in another process up to some message, or under traffic; tells through the pipe when it is
// there.
pid_t start_client_process(const std::string& name, size_t messages, bool traffic, int ready) {
  pid_t pid = ::fork();
  if (pid != 0) return pid;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  RawPeer peer = RawPeer::to(name);
  HandmadeClient client;
  ::fcntl(peer.fd(), F_SETFL, 0);
  Message message{};
  if (::recv(peer.fd(), message.data(), message.size(), 0) != 128) ::_exit(1);
  for (size_t i = 0; i < messages && i < client.script.size(); i++) {
    peer.send(client.script[i]);
    if (::recv(peer.fd(), message.data(), message.size(), 0) != 128) ::_exit(2);
  }
  if (::write(ready, "x", 1) != 1) ::_exit(3);
  if (!traffic) ::pause();
  Ring s2m = client.ring_of(0);
  Ring m2s = client.ring_of(1);
  m2s.publish_head(1024);
  for (uint16_t head = 0;; head = static_cast<uint16_t>(head + 16)) {
    while (static_cast<uint16_t>(head + 16 - s2m.tail()) > 1024) {
    }
    s2m.publish_head(static_cast<uint16_t>(head + 16));
    m2s.publish_head(static_cast<uint16_t>(m2s.tail() + 1024));
  }
}

TEST_F(Attack, KillMinus9InEveryStateOfTheHandshakeAndUnderTraffic) {
  for (size_t messages = 0; messages <= 7; messages++) {
    bool traffic = messages == 7;
    SCOPED_TRACE("after " + std::to_string(messages) + " messages");
    int ends[2];
    ASSERT_EQ(::pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    sys::Fd in(ends[0]);
    sys::Fd out(ends[1]);
    size_t ups = victim_sees.ups;
    uint64_t accepted = listener.counters().accepted;
    pid_t pid = start_client_process(name, messages, traffic, out.get());
    char byte = 0;
    ASSERT_TRUE(poller.run_until([&] { return ::read(in.get(), &byte, 1) == 1; }));
    ASSERT_TRUE(poller.run_until([&] { return listener.counters().accepted > accepted; }));
    if (messages >= 6) {
      ASSERT_TRUE(poller.run_until([&] { return victim_sees.ups == ups + 1; }));
      uint64_t wanted = victim_echo.received + (traffic ? 20'000 : 0);
      ASSERT_TRUE(poller.run_until([&] {
        victim_echo.work();
        return victim_echo.received >= wanted;
      }));
    } else {
      ASSERT_EQ(listener.pending(), 1u);
    }
    ::kill(pid, SIGKILL);
    int status = 0;
    ASSERT_EQ(::waitpid(pid, &status, 0), pid);
    EXPECT_TRUE(WIFSIGNALED(status));
    ASSERT_TRUE(poller.run_until([&] {
      victim_echo.work();
      return listener.pending() == 0 && !victim->busy();
    }));
    expect_verdict(messages > 0, Reason::peer_closed, "the peer closed the connection");
    expect_everybody_else_goes_on();
  }
}

} // namespace
} // namespace nodevpp::memif
