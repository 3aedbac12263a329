// The connecting side of the control dialogue without a socket: what it says, what it refuses, and that it
// gives back what it took.

#include "handshake.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

namespace nodevpp::memif {
namespace {

using test::expect_refused;
using test::of_type;
using test::receive;
using test::received;
using test::type_of;

using ClientSide = test::HandshakeTest;

// Answers a client as a good server does, up to a number of messages.
Step lead(ClientHandshake& client, size_t messages, const Hello& hello = {}) {
  Step step;
  for (size_t i = 0; i < messages; i++) {
    if (i == 0)
      step = receive(client, emit(hello));
    else if (type_of(step.send[0].message) == 6)
      step = receive(client, emit_connect(MessageType::connected, "srv"));
    else
      step = receive(client, emit_ack());
  }
  return step;
}
// HELLO, then one answer to each of INIT, 2 regions, 2 rings and CONNECT.
constexpr size_t kAll = 7;

TEST_F(ClientSide, SaysInitRegionsRingsConnectAndIsConnectedAfterConnected) {
  InterfaceOptions options = test::client_options(3, 10);
  options.mode = Mode::ip;
  options.s2m_rings = 2;
  std::memcpy(options.secret.data(), "abc", 3);
  ClientHandshake client(options, nullptr);
  Step step = receive(client, emit(Hello{"peer"}));
  Init init = parse_init(step.send.at(0).message.data());
  EXPECT_EQ(type_of(step.send[0].message), 3);
  EXPECT_EQ(init.version, 0x0200);
  EXPECT_EQ(init.id, 3u);
  EXPECT_EQ(init.mode, 1);
  EXPECT_EQ(init.secret, options.secret);
  EXPECT_EQ(init.name, "node-vpp");
  for (uint16_t i = 0; i < 2; i++) {
    step = receive(client, emit_ack());
    ASSERT_EQ(type_of(step.send.at(0).message), 4);
    AddRegion region = parse_add_region(step.send[0].message.data());
    EXPECT_EQ(region.index, i);
    EXPECT_EQ(region.size, i == 0 ? 3 * 16512u : 3 * 1024 * 2048u);
    sys::FileFacts facts;
    ASSERT_FALSE(sys::inspect_file(step.send[0].fd, &facts));
    EXPECT_TRUE(facts.sealed_against_shrinking);
    EXPECT_EQ(facts.size, region.size);
  }
  for (uint16_t i = 0; i < 3; i++) {
    step = receive(client, emit_ack());
    ASSERT_EQ(type_of(step.send.at(0).message), 5);
    AddRing ring = parse_add_ring(step.send[0].message.data());
    EXPECT_EQ(ring.s2m, i < 2);
    EXPECT_EQ(ring.index, i < 2 ? i : 0);
    EXPECT_EQ(ring.region, 0);
    EXPECT_EQ(ring.offset, 16512u * i);
    EXPECT_EQ(ring.log2_ring_size, 10);
    EXPECT_EQ(ring.private_header_size, 0);
    EXPECT_TRUE(sys::is_eventfd(step.send[0].fd));
  }
  step = receive(client, emit_ack());
  ASSERT_EQ(type_of(step.send.at(0).message), 6);
  EXPECT_EQ(parse_connect(step.send[0].message.data()), "cli3");
  EXPECT_FALSE(step.connected);
  step = receive(client, emit_connect(MessageType::connected, "srv3"));
  EXPECT_TRUE(step.connected);
  EXPECT_TRUE(step.send.empty());
  EXPECT_EQ(client.buffers().size(), 3 * 1024u);
  Session session = client.take_session();
  EXPECT_EQ(session.peer_name, "peer");
  EXPECT_EQ(session.peer_interface_name, "srv3");
}

TEST_F(ClientSide, TakesLessWhenTheServerTakesLess) {
  InterfaceOptions options = test::client_options(0, 14);
  options.s2m_rings = 9;
  options.m2s_rings = 8;
  Hello hello;
  hello.max_s2m_ring = 3;
  hello.max_m2s_ring = 0;
  hello.max_log2_ring_size = 5;
  ClientHandshake client(options, nullptr);
  Step step = lead(client, 1 + 1 + 2 + 5 + 1, hello);
  ASSERT_TRUE(step.connected);
  Session session = client.take_session();
  EXPECT_EQ(session.s2m.size(), 4u);
  EXPECT_EQ(session.m2s.size(), 1u);
  EXPECT_EQ(session.s2m[3].log2_size, 5);
  // A peer of other constants than ours, as large as the fields allow.
  Hello generous{"", 0x0100, 0xffff, 65535, 65535, 65535, 255};
  ClientHandshake second(test::client_options(), nullptr);
  EXPECT_TRUE(lead(second, kAll, generous).connected);
}

TEST_F(ClientSide, StartsFromZeroWhateverTheServerLeftInTheRings) {
  ClientHandshake client(test::client_options(), nullptr);
  Step step = lead(client, 2);
  // The first region: scribble over head and tail through a mapping of the server's.
  std::shared_ptr<sys::Mapping> mapping;
  ASSERT_FALSE(sys::Mapping::map(step.send[0].fd, 4096, false, &mapping));
  for (int i = 0; i < 4; i++)
    step = receive(client, emit_ack());
  store<uint16_t>(mapping->data(), 6, 0xabcd);
  store<uint16_t>(mapping->data(), 64, 0xabcd);
  step = receive(client, emit_connect(MessageType::connected, ""));
  ASSERT_TRUE(step.connected);
  EXPECT_EQ(load<uint16_t>(mapping->data(), 6), 0);
  EXPECT_EQ(load<uint16_t>(mapping->data(), 64), 0);
}

TEST_F(ClientSide, RefusesAHelloItCannotWorkWith) {
  struct Case {
    Hello hello;
    Reason reason;
    const char* words;
  };
  const Case cases[] = {
      {{"", 0x0201, 0x0300}, Reason::version, "2.1 to 3.0"},
      {{"", 0x0100, 0x01ff}, Reason::version, "1.0 to 1.255"},
      {{"", 0x0300, 0x0100}, Reason::version, "we speak 2.0"},
      {{"", 0, 0}, Reason::version, "0.0 to 0.0"},
      {{"", 0x0200, 0x0200, 0}, Reason::region, "one region"},
      {{"", 0x0200, 0x0200, 255, 254, 254, 0}, Reason::ring, "one entry"},
  };
  for (const auto& refused : cases) {
    ClientHandshake client(test::client_options(), nullptr);
    expect_refused(receive(client, emit(refused.hello)), refused.reason, refused.words);
  }
}

TEST_F(ClientSide, RefusesEverythingButWhatIsExpectedNow) {
  for (size_t progress = 0; progress <= kAll; progress++) {
    for (uint16_t type : {0, 1, 2, 3, 4, 5, 6, 7, 9, 65535}) {
      bool expected = progress == 0         ? type == 2
                      : progress < kAll - 1 ? type == 1
                                            : progress == kAll - 1 && type == 7;
      if (expected) continue;
      ClientHandshake client(test::client_options(), nullptr);
      lead(client, progress);
      expect_refused(receive(client, of_type(type)), Reason::protocol, "not expected now");
      expect_refused(receive(client, emit(Hello{})), Reason::protocol, "not expected now");
    }
  }
}

TEST_F(ClientSide, TakesNoDescriptorAndNoOtherLengthFromAServer) {
  for (size_t progress = 0; progress <= kAll; progress++) {
    {
      ClientHandshake client(test::client_options(), nullptr);
      Step step = lead(client, progress);
      uint16_t type = progress == 0 ? 2 : progress < kAll - 1 ? 1 : 7;
      std::vector<sys::Fd> fds;
      fds.push_back(test::make_eventfd());
      expect_refused(receive(client, of_type(type), std::move(fds)), Reason::protocol,
                     "1 descriptors came with");
    }
    for (size_t size : {size_t{0}, size_t{127}, size_t{256}}) {
      ClientHandshake client(test::client_options(), nullptr);
      lead(client, progress);
      auto message = received(emit_ack());
      message.size = size;
      expect_refused(client.receive(message), Reason::protocol,
                     std::to_string(size) + " bytes instead of 128");
    }
    ClientHandshake client(test::client_options(), nullptr);
    lead(client, progress);
    expect_refused(receive(client, emit(Disconnect{1, "go away"})), Reason::peer_refused, "go away");
  }
}

TEST_F(ClientSide, GivesItsBuffersBackWhenItDoesNotGetThrough) {
  std::shared_ptr<PacketMemory> memory;
  ASSERT_TRUE(PacketMemory::create(2048, 128, &memory).text.empty());
  for (size_t progress = 0; progress < kAll; progress++) {
    ClientHandshake client(test::client_options(), memory);
    lead(client, progress);
    EXPECT_EQ(memory->available(), progress == 0 ? 128u : 0u);
  }
  EXPECT_EQ(memory->available(), 128u);
  ClientHandshake first(test::client_options(), memory);
  lead(first, kAll);
  // No room for a second one.
  ClientHandshake second(test::client_options(), memory);
  expect_refused(receive(second, emit(Hello{})), Reason::region, "has 0 free buffers; 128 are needed");
}

TEST_F(ClientSide, RefusesMemoryThatTheProtocolCannotAddress) {
  InterfaceOptions options = test::client_options(0, 14);
  options.buffer_size = 65535;
  options.s2m_rings = 4;
  ClientHandshake client(options, nullptr);
  expect_refused(receive(client, emit(Hello{})), Reason::region, "4 GiB");
  std::shared_ptr<PacketMemory> memory;
  for (auto [size, count] :
       {std::pair<uint32_t, uint64_t>{2048, uint64_t{1} << 53}, {0, 1}, {64, 0}, {UINT32_MAX, 8}})
    EXPECT_STREQ(reason_name(PacketMemory::create(size, count, &memory).reason), "REGION");
  EXPECT_EQ(memory, nullptr);
}

TEST_F(ClientSide, SurvivesRunningOutOfDescriptorsAtAnyPoint) {
  std::shared_ptr<PacketMemory> memory;
  ASSERT_TRUE(PacketMemory::create(2048, 128, &memory).text.empty());
  struct rlimit before {};
  ::getrlimit(RLIMIT_NOFILE, &before);
  // Highest descriptor in use: the limit is about numbers, not about how many there are.
  auto highest = static_cast<rlim_t>(test::make_eventfd().get());
  for (rlim_t room = 0; room < 4; room++) {
    for (const auto& given : {memory, std::shared_ptr<PacketMemory>{}}) {
      ClientHandshake client(test::client_options(), given);
      struct rlimit limit = {highest + room, before.rlim_max};
      ::setrlimit(RLIMIT_NOFILE, &limit);
      Step step = receive(client, emit(Hello{}));
      ::setrlimit(RLIMIT_NOFILE, &before);
      expect_refused(step, Reason::system, "");
      EXPECT_EQ(step.over->error.err, EMFILE);
    }
    EXPECT_EQ(memory->available(), 128u);
  }
}

} // namespace
} // namespace nodevpp::memif
