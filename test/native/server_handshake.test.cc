// The listening side of the control dialogue without a socket: messages go in, messages and verdicts come
// out. First the dialogues of the clients there are, then every way to be refused, row by row of the table in
// handshake.h. In every test the process holds afterwards exactly what it held before.

#include "handshake.h"

#include <gtest/gtest.h>

namespace nodevpp::memif {
namespace {

using test::expect_refused;
using test::HandmadeClient;
using test::of_type;
using test::receive;
using test::received;
using test::Said;
using test::Shape;
using test::type_of;

class ServerSide : public test::HandshakeTest {
protected:
  InterfaceOptions options = test::server_options();
  bool busy = false;

  ServerHandshake make() {
    Hello hello;
    hello.name = "tested";
    hello.max_s2m_ring = static_cast<uint16_t>(options.s2m_rings - 1);
    hello.max_m2s_ring = static_cast<uint16_t>(options.m2s_rings - 1);
    return {hello, [this](uint32_t id) { return id == options.id ? Target{&options, busy} : Target{}; }};
  }
};

Step feed(ServerHandshake& handshake, Said& said) {
  std::vector<sys::Fd> fds;
  if (said.fd.valid()) fds.push_back(std::move(said.fd));
  auto message = received(said.message, std::move(fds));
  return handshake.receive(message);
}

// Runs as much of a script as is let through: the last step, and how many messages were answered.
std::pair<Step, size_t> run(ServerHandshake& handshake, HandmadeClient& client, size_t count = SIZE_MAX) {
  Step step;
  size_t n = 0;
  for (; n < client.script.size() && n < count; n++) {
    step = feed(handshake, client.script[n]);
    if (step.over) break;
  }
  return {std::move(step), n};
}

// A thing that is no shared memory and no doorbell.
sys::Fd pipe_end() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) test::die("pipe");
  ::close(ends[1]);
  return sys::Fd(ends[0]);
}

// ---------------------------------------------------------------- the dialogues of real clients

TEST_F(ServerSide, SpeaksFirstAndSaysWhatItTakes) {
  auto handshake = make();
  Step step = handshake.start();
  ASSERT_EQ(step.send.size(), 1u);
  EXPECT_EQ(type_of(step.send[0].message), 2);
  EXPECT_EQ(parse_hello(step.send[0].message.data()).name, "tested");
  EXPECT_FALSE(step.over);
}

TEST_F(ServerSide, AnswersEachMessageWithOneAckAndConnectWithConnected) {
  auto handshake = make();
  HandmadeClient client;
  for (size_t i = 0; i < client.script.size(); i++) {
    Step step = feed(handshake, client.script[i]);
    ASSERT_FALSE(step.over) << step.over->text;
    ASSERT_EQ(step.send.size(), 1u);
    EXPECT_EQ(step.send[0].fd, -1);
    bool last = i + 1 == client.script.size();
    EXPECT_EQ(type_of(step.send[0].message), last ? 7 : 1);
    EXPECT_EQ(step.connected, last);
    EXPECT_EQ(parse_connect(step.send[0].message.data()), last ? "srv0" : "");
  }
  EXPECT_EQ(handshake.id(), 0u);
  Session session = handshake.take_session();
  EXPECT_EQ(session.peer_name, "handmade");
  EXPECT_EQ(session.peer_interface_name, "handmade0");
  ASSERT_EQ(session.regions.size(), 2u);
  EXPECT_EQ(session.regions[0].size, 33024u);
  EXPECT_EQ(session.regions[1].size, 4194304u);
  ASSERT_EQ(session.m2s.size(), 1u);
  EXPECT_EQ(session.m2s[0].offset, 16512u);
  // It really is the client's memory.
  client.regions[1]->data()[77] = 42;
  EXPECT_EQ(session.regions[1].mapping->data()[77], 42);
  EXPECT_FALSE(session.memory_lost());
}

struct RealClient {
  const char* name;
  Shape shape;
  bool unsealed;
};

TEST_F(ServerSide, LetsInWhatRealClientsSend) {
  constexpr uint64_t MiB = 1 << 20;
  const RealClient clients[] = {
      {"libmemif", {}, false},
      {"DPDK", {.one_region = true}, false},
      {"DPDK with zero copy", {.region_size = 128 * MiB, .seals = F_SEAL_SEAL, .preset = false}, true},
      {"VPP without zero copy", {.one_region = true}, false},
      {"VPP with zero copy and three pools",
       {.buffer_regions = 3, .region_size = 64 * MiB, .preset = false},
       false},
      {"the smallest rings", {.log2 = 1, .buffer_size = 64}, false},
      {"the largest rings", {.log2 = 14, .region_size = MiB, .preset = false}, false},
      {"many rings", {.s2m = 7, .m2s = 5, .log2 = 4}, false},
      {"a peer with long cache lines", {.cache_line = 128}, false},
  };
  for (const auto& real : clients) {
    SCOPED_TRACE(real.name);
    options.allow_unsealed = real.unsealed;
    options.s2m_rings = real.shape.s2m;
    options.m2s_rings = real.shape.m2s;
    options.cache_line = real.shape.cache_line;
    auto handshake = make();
    HandmadeClient client(real.shape);
    auto [step, answered] = run(handshake, client);
    EXPECT_FALSE(step.over) << step.over->text;
    EXPECT_TRUE(step.connected);
    Session session = handshake.take_session();
    EXPECT_EQ(session.s2m.size(), real.shape.s2m);
    EXPECT_EQ(session.m2s.size(), real.shape.m2s);
    EXPECT_EQ(session.regions.size(), real.shape.one_region ? 1u : 1u + real.shape.buffer_regions);
  }
}

TEST_F(ServerSide, TakesRingsOfBothDirectionsInAnyInterleaving) {
  options.s2m_rings = options.m2s_rings = 3;
  auto handshake = make();
  HandmadeClient client({.s2m = 3, .m2s = 3, .log2 = 4});
  std::vector<Said> rings;
  for (size_t from : {3, 0, 4, 5, 1, 2}) // of S S S M M M
    rings.push_back(std::move(client.script[client.first_ring + from]));
  std::move(rings.begin(), rings.end(), client.script.begin() + static_cast<long>(client.first_ring));
  auto [step, answered] = run(handshake, client);
  EXPECT_TRUE(step.connected);
}

TEST_F(ServerSide, TakesASecretThatIsRightAndAnyWhenItHasNone) {
  {
    auto handshake = make();
    HandmadeClient client({.secret = "whatever"});
    EXPECT_TRUE(run(handshake, client).first.connected);
  }
  options.has_secret = true;
  std::memcpy(options.secret.data(), "twenty-three characters", 23);
  auto handshake = make();
  HandmadeClient client({.secret = "twenty-three characters"});
  EXPECT_TRUE(run(handshake, client).first.connected);
}

// ---------------------------------------------------------------- what a server refuses

TEST_F(ServerSide, RefusesMessagesOfAnyOtherLengthInEveryState) {
  for (size_t size : {size_t{0}, size_t{1}, size_t{64}, size_t{127}, size_t{129}, size_t{256}}) {
    for (size_t after = 0; after <= 5; after++) {
      auto handshake = make();
      HandmadeClient client;
      ASSERT_EQ(run(handshake, client, after).second, after);
      auto message = received(emit_ack(), {});
      message.size = size;
      message.fds.emplace_back(test::make_eventfd());
      expect_refused(handshake.receive(message), Reason::protocol, std::to_string(size) + " bytes");
    }
  }
  auto handshake = make();
  auto message = received(emit(Init{}));
  message.truncated = true;
  expect_refused(handshake.receive(message), Reason::protocol, "lost descriptors");
}

TEST_F(ServerSide, RefusesEverythingButWhatIsExpectedNow) {
  // After nothing, INIT, one region, one ring, everything: what may not come next.
  const std::vector<std::vector<uint16_t>> unexpected = {
      {0, 1, 2, 4, 5, 6, 7, 9, 65535}, {0, 1, 2, 3, 7, 9}, {0, 1, 2, 3, 7, 9}, {0, 1, 2, 3, 7, 9},
      {0, 1, 2, 3, 4, 5, 6, 7, 9},
  };
  const size_t progress[] = {0, 1, 3, 4, 6};
  for (size_t state = 0; state < unexpected.size(); state++) {
    for (uint16_t type : unexpected[state]) {
      auto handshake = make();
      HandmadeClient client;
      ASSERT_EQ(run(handshake, client, progress[state]).second, progress[state]);
      std::vector<sys::Fd> fds;
      if (type == 4 || type == 5) fds.push_back(test::make_eventfd());
      expect_refused(receive(handshake, of_type(type), std::move(fds)), Reason::protocol, "not expected now");
      // Over is over: not even what was expected before is listened to.
      HandmadeClient again;
      expect_refused(feed(handshake, again.script[0]), Reason::protocol, "not expected now");
    }
  }
}

TEST_F(ServerSide, ClosesEveryDescriptorThatWasNotAskedFor) {
  const std::pair<size_t, uint16_t> cases[] = {{0, 3}, {0, 1}, {0, 8}, {1, 1}, {1, 6},
                                               {1, 8}, {5, 6}, {6, 1}, {6, 8}};
  for (auto [progress, type] : cases) {
    for (size_t count : {size_t{1}, size_t{3}, size_t{253}}) {
      auto handshake = make();
      HandmadeClient client;
      ASSERT_EQ(run(handshake, client, progress).second, progress);
      std::vector<sys::Fd> fds;
      for (size_t i = 0; i < count; i++)
        fds.push_back(test::make_eventfd());
      expect_refused(receive(handshake, of_type(type), std::move(fds)), Reason::protocol,
                     std::to_string(count) + " descriptors came with " + message_name(type));
    }
  }
  for (uint16_t type : {uint16_t{4}, uint16_t{5}}) {
    auto handshake = make();
    HandmadeClient client;
    run(handshake, client, 1);
    std::vector<sys::Fd> fds;
    fds.push_back(test::make_eventfd());
    fds.push_back(test::make_eventfd());
    expect_refused(receive(handshake, of_type(type), std::move(fds)), Reason::protocol,
                   "2 descriptors came with");
    auto other = make();
    HandmadeClient second;
    run(other, second, 1);
    expect_refused(receive(other, of_type(type)), Reason::protocol, "came without a descriptor");
  }
}

TEST_F(ServerSide, PassesOnTheWordsOfADisconnectInEveryState) {
  for (size_t progress = 0; progress <= 6; progress++) {
    auto handshake = make();
    HandmadeClient client;
    ASSERT_EQ(run(handshake, client, progress).second, progress);
    expect_refused(receive(handshake, emit(Disconnect{7, "changed my mind"})), Reason::peer_refused,
                   "changed my mind");
  }
}

TEST_F(ServerSide, RefusesAnInitThatDoesNotFit) {
  options.id = 5;
  options.has_secret = true;
  std::memcpy(options.secret.data(), "secret", 6);
  struct Case {
    std::function<void(Init&)> change;
    Reason reason;
    const char* words;
  };
  const Case cases[] = {
      {[](Init& init) { init.version = 0x0100; }, Reason::version, "incompatible version"},
      {[](Init& init) { init.version = 0x0201; }, Reason::version, "incompatible version"},
      {[](Init& init) { init.version = 0; }, Reason::version, "incompatible version"},
      {[](Init& init) { init.id = 6; }, Reason::id, "unmatched interface id"},
      {[](Init& init) { init.id = 0xffffffff; }, Reason::id, "unmatched interface id"},
      {[](Init& init) { init.mode = 1; }, Reason::mode, "mode mismatch"},
      {[](Init& init) { init.mode = 2; }, Reason::mode, "mode mismatch"},
      {[](Init& init) { init.mode = 255; }, Reason::mode, "mode mismatch"},
      {[](Init& init) { init.secret = {}; }, Reason::secret, "incorrect secret"},
      {[](Init& init) { init.secret[0] ^= 1; }, Reason::secret, "incorrect secret"},
      {[](Init& init) { init.secret[5] = 0; }, Reason::secret, "incorrect secret"},
      {[](Init& init) { init.secret[6] = 's'; }, Reason::secret, "incorrect secret"},
      {[](Init& init) { init.secret[23] = 1; }, Reason::secret, "incorrect secret"},
  };
  for (const auto& refused : cases) {
    Init init;
    init.id = 5;
    std::memcpy(init.secret.data(), "secret", 6);
    {
      auto handshake = make();
      EXPECT_FALSE(receive(handshake, emit(init)).over);
    }
    refused.change(init);
    auto handshake = make();
    expect_refused(receive(handshake, emit(init)), refused.reason, refused.words);
    // The interface that was asked for hears of it, when there is one.
    EXPECT_EQ(handshake.id().has_value(), refused.reason != Reason::version && refused.reason != Reason::id);
  }
  // Who does not know the secret does not learn whether the interface has a peer.
  busy = true;
  Init init;
  init.id = 5;
  auto stranger = make();
  expect_refused(receive(stranger, emit(init)), Reason::secret, "incorrect secret");
  std::memcpy(init.secret.data(), "secret", 6);
  auto second = make();
  expect_refused(receive(second, emit(init)), Reason::busy, "already connected");
}

// One changed message of an otherwise good dialogue.
struct Change {
  const char* name;
  Reason reason;
  const char* words;
  std::function<void(HandmadeClient&)> apply;
};

TEST_F(ServerSide, RefusesRegionsThatCannotBeTrusted) {
  auto region = [](HandmadeClient& client, auto change) {
    AddRegion message = parse_add_region(client.script[1].message.data());
    change(message);
    client.script[1].message = emit(message);
  };
  options.max_region_size = 1 << 24;
  options.max_total_size = (1 << 24) + 4096;
  const Change changes[] = {
      {"index 1 first", Reason::region, "the next index is 0",
       [&](auto& c) { region(c, [](auto& m) { m.index = 1; }); }},
      {"index 200 first", Reason::region, "the next index is 0",
       [&](auto& c) { region(c, [](auto& m) { m.index = 200; }); }},
      {"index 0 twice", Reason::region, "the next index is 1",
       [&](auto& c) { c.script[2].message = c.script[1].message; }},
      {"no bytes", Reason::region, "size 0 is not between",
       [&](auto& c) { region(c, [](auto& m) { m.size = 0; }); }},
      {"too many bytes", Reason::region, "is not between 1 and 16777216",
       [&](auto& c) { region(c, [](auto& m) { m.size = (1 << 24) + 1; }); }},
      {"all the bytes there are", Reason::region, "is not between",
       [&](auto& c) { region(c, [](auto& m) { m.size = UINT64_MAX; }); }},
      {"too many bytes together", Reason::region, "all regions together",
       [&](auto& c) {
         c.script[2] = {emit(AddRegion{1, 1 << 24}), test::make_memfd(1 << 24)};
       }},
      {"more than the file has", Reason::region, "the file has 33024 bytes of 33025",
       [&](auto& c) { region(c, [](auto& m) { m.size++; }); }},
      {"an eventfd", Reason::region, "not shared memory",
       [](auto& c) { c.script[1].fd = test::make_eventfd(); }},
      {"a pipe", Reason::region, "not shared memory", [](auto& c) { c.script[1].fd = pipe_end(); }},
      {"a device", Reason::region, "not shared memory",
       [](auto& c) { c.script[1].fd = sys::Fd(::open("/dev/zero", O_RDWR | O_CLOEXEC)); }},
      {"a folder", Reason::region, "",
       [](auto& c) { c.script[1].fd = sys::Fd(::open("/dev/shm", O_RDONLY | O_DIRECTORY | O_CLOEXEC)); }},
      {"a name without access", Reason::region, "",
       [](auto& c) { c.script[1].fd = sys::Fd(::open("/dev/zero", O_PATH | O_CLOEXEC)); }},
      {"a program on disk", Reason::region, "not shared memory",
       [](auto& c) { c.script[1].fd = sys::Fd(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC)); }},
      {"memory that can shrink", Reason::region, "not sealed",
       [](auto& c) { c.script[1].fd = test::make_memfd(33024, 0); }},
      {"memory sealed against growing only", Reason::region, "not sealed",
       [](auto& c) { c.script[1].fd = test::make_memfd(33024, F_SEAL_GROW | F_SEAL_SEAL); }},
      {"memory that cannot be written", Reason::region, "cannot be mapped",
       [](auto& c) { c.script[1].fd = test::make_memfd(33024, F_SEAL_SHRINK | F_SEAL_WRITE); }},
      {"memory opened for reading", Reason::region, "cannot be mapped",
       [](auto& c) {
         std::string path = "/proc/self/fd/" + std::to_string(c.files[0].get());
         c.script[1].fd = sys::Fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
       }},
      {"a region after a ring", Reason::region, "added after a ring",
       [](auto& c) { std::swap(c.script[2], c.script[3]); }},
  };
  for (const auto& change : changes) {
    SCOPED_TRACE(change.name);
    auto handshake = make();
    HandmadeClient client;
    change.apply(client);
    expect_refused(run(handshake, client).first, change.reason, change.words);
  }
}

TEST_F(ServerSide, RefusesThe257thRegion) {
  auto handshake = make();
  HandmadeClient client;
  Step step = feed(handshake, client.script[0]);
  for (uint16_t i = 0; i < 256; i++) {
    Said said{emit(AddRegion{i, 4096}), test::make_memfd(4096)};
    step = feed(handshake, said);
    ASSERT_FALSE(step.over) << step.over->text;
  }
  Said said{emit(AddRegion{256, 4096}), test::make_memfd(4096)};
  expect_refused(feed(handshake, said), Reason::region, "too many regions");
}

TEST_F(ServerSide, TakesUnsealedRegionsOnlyOfSharedMemoryWhenAllowed) {
  options.allow_unsealed = true;
  {
    auto handshake = make();
    HandmadeClient client({.seals = 0});
    EXPECT_TRUE(run(handshake, client).first.connected);
  }
  // A file on disk, however large and regular.
  char path[] = "/var/tmp/node-vpp-region-XXXXXX";
  sys::Fd file(::mkostemp(path, O_CLOEXEC));
  ASSERT_TRUE(file.valid());
  ::unlink(path);
  ASSERT_EQ(::ftruncate(file.get(), 1 << 20), 0);
  sys::FileFacts facts;
  EXPECT_FALSE(sys::inspect_file(file.get(), &facts));
  if (facts.shared_memory) GTEST_SKIP() << "/var/tmp is in memory here";
  auto handshake = make();
  HandmadeClient client;
  client.script[1].fd = std::move(file);
  expect_refused(run(handshake, client).first, Reason::region, "not shared memory");
}

TEST_F(ServerSide, RefusesRingsThatDoNotFitWhereTheyAreSaidToBe) {
  auto ring = [](HandmadeClient& client, size_t which, auto change) {
    Said& said = client.script[client.first_ring + which];
    AddRing message = parse_add_ring(said.message.data());
    change(message);
    said.message = emit(message);
  };
  const Change changes[] = {
      {"index 1 first", Reason::ring, "S2M ring 1: the next index is 0",
       [&](auto& c) { ring(c, 0, [](auto& m) { m.index = 1; }); }},
      {"index 65535", Reason::ring, "the next index is 0",
       [&](auto& c) { ring(c, 0, [](auto& m) { m.index = 65535; }); }},
      {"the same ring again", Reason::ring, "S2M ring 0: the next index is 1",
       [&](auto& c) { ring(c, 1, [](auto& m) { m.s2m = true; }); }},
      {"one more than is taken here", Reason::ring, "S2M ring 1: at most 1 taken here",
       [&](auto& c) { ring(c, 1, [](auto& m) { m.s2m = true, m.index = 1; }); }},
      {"one entry", Reason::ring, "size 2^0",
       [&](auto& c) { ring(c, 0, [](auto& m) { m.log2_ring_size = 0; }); }},
      {"2^15 entries", Reason::ring, "size 2^15",
       [&](auto& c) { ring(c, 0, [](auto& m) { m.log2_ring_size = 15; }); }},
      {"2^31 entries", Reason::ring, "size 2^31",
       [&](auto& c) { ring(c, 0, [](auto& m) { m.log2_ring_size = 31; }); }},
      {"2^255 entries", Reason::ring, "size 2^255",
       [&](auto& c) { ring(c, 0, [](auto& m) { m.log2_ring_size = 255; }); }},
      {"a private header", Reason::ring, "private header",
       [&](auto& c) { ring(c, 1, [](auto& m) { m.private_header_size = 1; }); }},
      {"a region that is not there", Reason::ring, "region 77 was not added",
       [&](auto& c) { ring(c, 0, [](auto& m) { m.region = 77; }); }},
      {"the region after the last", Reason::ring, "region 2 was not added",
       [&](auto& c) { ring(c, 0, [](auto& m) { m.region = 2; }); }},
      {"offset 8", Reason::ring, "not a multiple of 16",
       [&](auto& c) { ring(c, 0, [](auto& m) { m.offset = 8; }); }},
      {"the end of all offsets", Reason::ring, "does not fit",
       [&](auto& c) { ring(c, 0, [](auto& m) { m.offset = 0xfffff000; }); }},
      {"16 bytes over the end", Reason::ring, "does not fit",
       [&](auto& c) { ring(c, 1, [](auto& m) { m.offset += 16; }); }},
      {"twice as many entries as there is room for", Reason::ring, "does not fit",
       [&](auto& c) { ring(c, 1, [](auto& m) { m.log2_ring_size++; }); }},
      {"a pipe for a doorbell", Reason::ring, "not an eventfd",
       [](auto& c) { c.script[c.first_ring].fd = pipe_end(); }},
      {"memory for a doorbell", Reason::ring, "not an eventfd",
       [](auto& c) { c.script[c.first_ring + 1].fd = test::make_memfd(4096); }},
      {"a name without access for a doorbell", Reason::ring, "not an eventfd",
       [](auto& c) { c.script[c.first_ring].fd = sys::Fd(::open("/dev/zero", O_PATH | O_CLOEXEC)); }},
      {"a doorbell that never falls silent", Reason::ring, "semaphore",
       [](auto& c) { c.script[c.first_ring].fd = test::make_eventfd(EFD_SEMAPHORE); }},
      {"both rings in one place", Reason::ring, "overlaps",
       [&](auto& c) { ring(c, 1, [](auto& m) { m.offset = 0; }); }},
      {"the last descriptor of one under the other", Reason::ring, "overlaps",
       [&](auto& c) { ring(c, 1, [](auto& m) { m.offset -= 16; }); }},
      {"no ring at all", Reason::ring, "without a ring each way",
       [](auto& c) { c.script.erase(c.script.begin() + 3, c.script.begin() + 5); }},
      {"no ring back", Reason::ring, "without a ring each way",
       [](auto& c) { c.script.erase(c.script.begin() + 4); }},
      {"no ring there", Reason::ring, "without a ring each way",
       [](auto& c) { c.script.erase(c.script.begin() + 3); }},
      {"no cookie", Reason::ring, "S2M ring 0: wrong cookie",
       [](auto& c) { store<uint32_t>(c.ring(0), 0, 0); }},
      {"a wrong cookie", Reason::ring, "M2S ring 0: wrong cookie", [](auto& c) { c.ring(1)[3] ^= 1; }},
  };
  for (const auto& change : changes) {
    SCOPED_TRACE(change.name);
    auto handshake = make();
    HandmadeClient client;
    change.apply(client);
    expect_refused(run(handshake, client).first, change.reason, change.words);
  }
}

TEST_F(ServerSide, SetsADoorbellNonBlockingAndFindsItEmpty) {
  auto handshake = make();
  HandmadeClient client;
  for (auto& event : client.events) {
    ASSERT_EQ(::fcntl(event.get(), F_SETFL, 0), 0);
    uint64_t count = 0xfffffffffffffffe;
    ASSERT_EQ(::write(event.get(), &count, sizeof count), 8);
  }
  EXPECT_TRUE(run(handshake, client).first.connected);
  for (auto& event : client.events)
    EXPECT_NE(::fcntl(event.get(), F_GETFL) & O_NONBLOCK, 0);
  EXPECT_FALSE(sys::drain(client.events[0].get())) << "the one the server listens to";
}

TEST_F(ServerSide, SealedRegionsGetInWhenOthersHaveUsedUpTheGuards) {
  // Every guard there is, held by mappings of one page.
  sys::Fd file = test::make_memfd(4096);
  std::vector<std::shared_ptr<sys::Mapping>> held;
  for (std::shared_ptr<sys::Mapping> mapping; !sys::Mapping::map(file.get(), 4096, true, &mapping);)
    held.push_back(std::move(mapping));
  ASSERT_GT(held.size(), 1000u);
  {
    auto handshake = make();
    HandmadeClient client;
    EXPECT_TRUE(run(handshake, client).first.connected);
  }
  options.allow_unsealed = true;
  auto handshake = make();
  HandmadeClient client({.seals = 0});
  auto step = run(handshake, client).first;
  expect_refused(step, Reason::region, "cannot be mapped");
  EXPECT_EQ(step.over->error.err, ENOSPC);
}

// ---------------------------------------------------------------- the two together

TEST_F(ServerSide, AndOurClientUnderstandEachOther) {
  for (uint16_t line : {uint16_t{64}, uint16_t{128}}) {
    for (uint16_t rings : {uint16_t{1}, uint16_t{4}}) {
      options.s2m_rings = options.m2s_rings = rings;
      options.cache_line = line;
      InterfaceOptions other = test::client_options(0, 7);
      other.s2m_rings = other.m2s_rings = rings;
      other.cache_line = line;
      auto server = make();
      ClientHandshake client(other, nullptr);
      Step step = server.start();
      bool both = false;
      for (int i = 0; i < 100 && !step.send.empty(); i++) {
        auto at_client = received(step.send.at(0).message);
        Step reply = client.receive(at_client);
        ASSERT_FALSE(reply.over) << reply.over->text;
        both = reply.connected;
        if (reply.send.empty()) break;
        std::vector<sys::Fd> fds;
        if (reply.send[0].fd >= 0) fds.push_back(test::duplicate(reply.send[0].fd));
        auto at_server = received(reply.send[0].message, std::move(fds));
        step = server.receive(at_server);
        ASSERT_FALSE(step.over) << step.over->text;
      }
      EXPECT_TRUE(both);
      Session a = client.take_session();
      Session b = server.take_session();
      a.regions[1].mapping->data()[5] = 99;
      EXPECT_EQ(b.regions[1].mapping->data()[5], 99);
    }
  }
}

} // namespace
} // namespace nodevpp::memif
