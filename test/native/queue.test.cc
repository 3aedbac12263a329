// The data path: a queue against a plain array of packets, in both roles and both directions, and what a
// queue says to rings that lie.

#include "memif/queue.h"

#include <gtest/gtest.h>

#include <deque>
#include <random>
#include <thread>

#include "support.h"

namespace nodevpp::memif {
namespace {

using test::Wire;

constexpr uint32_t kSize = 16; // of the rings of most tests

struct Ends {
  Queue tx;
  Queue rx;
};

// The two ends of one direction: data flows from the client (S2M) or from the server (M2S).
Ends ends_of(const Wire& wire, Role sender) {
  // The receiver first: a client's posts its buffers.
  Queue rx = wire.queue(sender == Role::client ? Role::server : Role::client, true);
  return {wire.queue(sender, false), std::move(rx)};
}

// A packet of `pieces` pieces whose bytes follow from its number.
std::vector<uint8_t> contents(uint64_t number, size_t piece, size_t length) {
  std::vector<uint8_t> bytes(length);
  for (size_t i = 0; i < length; i++)
    bytes[i] = static_cast<uint8_t>(number * 31 + piece * 7 + i);
  return bytes;
}

// ---------------------------------------------------------------- literal values first

TEST(S2mQueue, MovesHeadWhenTheClientPublishesAndTailWhenTheServerIsDone) {
  Wire wire(4);
  auto [tx, rx] = ends_of(wire, Role::client);
  Ring ring = wire.ring(true);
  Segment out[kSize];
  Segment in[kSize];
  Violation violation{};
  ASSERT_EQ(tx.reserve(out, 3, &violation), 3u);
  EXPECT_EQ(out[2].length, 256u);
  EXPECT_EQ(out[2].offset, 2 * 256u);
  EXPECT_EQ(rx.peek(in, kSize, &violation), 0u);
  std::memcpy(out[0].data, "abc", 3);
  out[0].length = 3;
  out[1].length = 0;
  EXPECT_TRUE(tx.commit(out, 2));
  EXPECT_EQ(ring.head(), 2);
  EXPECT_EQ(ring.tail(), 0);
  ASSERT_EQ(rx.peek(in, kSize, &violation), 2u);
  EXPECT_EQ(in[0].length, 3u);
  EXPECT_EQ(std::memcmp(in[0].data, "abc", 3), 0);
  EXPECT_EQ(in[0].region, 1);
  EXPECT_EQ(in[1].length, 0u);
  EXPECT_FALSE(in[1].more);
  EXPECT_EQ(ring.tail(), 0) << "peek takes nothing";
  ASSERT_EQ(rx.peek(in, 1, &violation), 1u);
  rx.release(1);
  EXPECT_EQ(ring.tail(), 1);
  ASSERT_EQ(rx.peek(in, kSize, &violation), 1u);
  rx.release(1);
  EXPECT_EQ(ring.head(), 2);
  EXPECT_EQ(ring.tail(), 2);
}

TEST(M2sQueue, MovesHeadWhenTheClientPostsBuffersAndTailWhenTheServerHasFilledThem) {
  Wire wire(4);
  Queue tx = wire.queue(Role::server, false);
  Segment out[kSize];
  Segment in[kSize];
  Violation violation{};
  EXPECT_EQ(tx.reserve(out, kSize, &violation), 0u) << "nothing is posted before the client does it";
  EXPECT_EQ(violation, Violation::none);
  Queue rx = wire.queue(Role::client, true);
  Ring ring = wire.ring(false);
  EXPECT_EQ(ring.head(), 16);
  EXPECT_EQ(ring.read(15).offset, 31 * 256u);
  ASSERT_EQ(tx.reserve(out, kSize, &violation), 16u);
  out[0].length = 5;
  out[0].more = true;
  out[1].length = 6;
  EXPECT_TRUE(tx.commit(out, 2));
  EXPECT_EQ(ring.tail(), 2);
  EXPECT_EQ(ring.read(0).flags, 1);
  EXPECT_EQ(ring.read(0).length, 5u);
  EXPECT_EQ(ring.read(1).flags, 0);
  ASSERT_EQ(rx.peek(in, kSize, &violation), 2u);
  EXPECT_TRUE(in[0].more);
  EXPECT_EQ(in[0].offset, 16 * 256u);
  rx.release(2);
  EXPECT_EQ(ring.head(), 18);
  EXPECT_EQ(ring.read(0).length, 256u) << "reposted with its capacity";
  EXPECT_EQ(ring.read(0).flags, 0);
}

TEST(Queues, WakeOnlyAReceiverThatWantsIt) {
  Wire wire;
  for (Role sender : {Role::client, Role::server}) {
    auto [tx, rx] = ends_of(wire, sender);
    Segment out[kSize];
    Violation violation{};
    for (bool masked : {true, false, true}) {
      rx.ring().mask_interrupts(masked);
      ASSERT_EQ(tx.reserve(out, 1, &violation), 1u);
      EXPECT_EQ(tx.commit(out, 1), !masked);
      EXPECT_FALSE(tx.commit(out, 0)) << "nothing to tell";
    }
  }
}

// ---------------------------------------------------------------- against an array

struct Model {
  std::deque<std::vector<std::vector<uint8_t>>> packets; // each a list of pieces
  size_t slots = 0;                                      // in use
};

void run_model(uint64_t seed, Role sender, uint8_t log2, uint16_t line, uint16_t start) {
  SCOPED_TRACE("seed " + std::to_string(seed) + (sender == Role::client ? ", S2M" : ", M2S") + ", 2^" +
               std::to_string(log2) + " entries, starting at " + std::to_string(start));
  std::mt19937_64 random(seed);
  Wire wire(log2, 64, line, start);
  auto [tx, rx] = ends_of(wire, sender);
  size_t size = size_t{1} << log2;
  std::vector<Segment> out(size);
  std::vector<Segment> in(size);
  Model model;
  uint64_t sent = 0;
  Violation violation{};
  for (int step = 0; step < 4000; step++) {
    if (random() % 2 == 0) {
      size_t wanted = random() % (size + 3);
      size_t got = tx.reserve(out.data(), wanted, &violation);
      ASSERT_EQ(violation, Violation::none);
      ASSERT_EQ(got, std::min(wanted, size - model.slots));
      // Publish some of it, as packets of one to four pieces; only whole ones.
      size_t use = got == 0 ? 0 : random() % (got + 1);
      size_t at = 0;
      while (at < use) {
        size_t pieces = std::min<size_t>(1 + (random() % 3 == 0 ? random() % 4 : 0), use - at);
        std::vector<std::vector<uint8_t>> packet;
        for (size_t i = 0; i < pieces; i++, at++) {
          ASSERT_EQ(out[at].length, 64u);
          packet.push_back(contents(sent, i, random() % 65));
          std::copy(packet.back().begin(), packet.back().end(), out[at].data);
          out[at].length = static_cast<uint32_t>(packet.back().size());
          out[at].more = i + 1 < pieces;
        }
        sent++;
        model.packets.push_back(std::move(packet));
      }
      tx.commit(out.data(), use);
      model.slots += use;
    } else {
      size_t most = 1 + random() % size;
      size_t got = rx.peek(in.data(), most, &violation);
      ASSERT_EQ(violation, Violation::none);
      // Whole packets only: as many as fit, but at least one.
      size_t expected = 0;
      for (const auto& packet : model.packets) {
        if (expected + packet.size() > most && expected > 0) break;
        expected += packet.size();
        if (expected >= most) break;
      }
      ASSERT_EQ(got, expected);
      size_t at = 0;
      size_t give_back = 0;
      size_t packets = random() % 4 == 0 ? 0 : SIZE_MAX;
      for (size_t p = 0; at < got; p++) {
        for (size_t i = 0; i < model.packets[p].size(); i++, at++) {
          const auto& piece = model.packets[p][i];
          ASSERT_EQ(in[at].length, piece.size());
          ASSERT_TRUE(std::equal(piece.begin(), piece.end(), in[at].data));
          ASSERT_EQ(in[at].more, i + 1 < model.packets[p].size());
        }
        if (p < packets) give_back = at;
      }
      rx.release(give_back);
      model.slots -= give_back;
      for (size_t gone = 0; gone < give_back;) {
        gone += model.packets.front().size();
        model.packets.pop_front();
      }
    }
  }
  EXPECT_GT(sent, 500u);
}

TEST(Queues, BehaveLikeAnArrayOfPackets) {
  std::random_device entropy;
  for (Role sender : {Role::client, Role::server}) {
    for (uint8_t log2 : {uint8_t{1}, uint8_t{3}, uint8_t{6}}) {
      run_model(log2 * 1000u + static_cast<unsigned>(sender), sender, log2, 64, 0);
      run_model(entropy(), sender, log2, 128, 0);
      // Near the wrap of the 16-bit indices.
      run_model(entropy(), sender, log2, 64, 65530);
    }
  }
}

TEST(Queues, GoRoundTheIndicesManyTimes) {
  for (Role sender : {Role::client, Role::server}) {
    Wire wire(3, 64);
    auto [tx, rx] = ends_of(wire, sender);
    Segment out[8];
    Segment in[8];
    Violation violation{};
    for (uint32_t i = 0; i < 200'000; i++) {
      ASSERT_EQ(tx.reserve(out, 1, &violation), 1u);
      store<uint32_t>(out[0].data, 0, i);
      out[0].length = 4;
      tx.commit(out, 1);
      ASSERT_EQ(rx.peek(in, 8, &violation), 1u);
      ASSERT_EQ(load<uint32_t>(in[0].data, 0), i);
      rx.release(1);
    }
  }
}

TEST(Queues, AreFullAtTheSizeOfTheRingAndEmptyWhenAllIsTaken) {
  for (Role sender : {Role::client, Role::server}) {
    for (uint16_t start : {uint16_t{0}, uint16_t{65528}}) {
      Wire wire(4, 64, 64, start);
      auto [tx, rx] = ends_of(wire, sender);
      Segment out[kSize];
      Segment in[kSize];
      Violation violation{};
      for (int round = 0; round < 10; round++) {
        ASSERT_EQ(tx.reserve(out, 100, &violation), 16u);
        tx.commit(out, 16);
        ASSERT_EQ(tx.reserve(out, 1, &violation), 0u);
        ASSERT_EQ(violation, Violation::none);
        ASSERT_EQ(rx.peek(in, 100, &violation), 16u);
        rx.release(16);
        ASSERT_EQ(rx.peek(in, 100, &violation), 0u);
        ASSERT_EQ(violation, Violation::none);
      }
    }
  }
}

TEST(Queues, HandOutAPacketOnlyWhenItsLastPieceIsThere) {
  for (Role sender : {Role::client, Role::server}) {
    Wire wire(4, 64);
    auto [tx, rx] = ends_of(wire, sender);
    Segment out[kSize];
    Segment in[kSize];
    Violation violation{};
    ASSERT_EQ(tx.reserve(out, 16, &violation), 16u);
    for (auto& segment : out)
      segment.more = true;
    out[0].more = false;
    tx.commit(out, 5);
    EXPECT_EQ(rx.peek(in, 16, &violation), 1u) << "one packet, and the beginning of another";
    rx.release(1);
    EXPECT_EQ(rx.peek(in, 16, &violation), 0u);
    EXPECT_EQ(violation, Violation::none);
    out[7].more = false;
    tx.commit(out + 5, 3);
    EXPECT_EQ(rx.peek(in, 1, &violation), 7u) << "longer than was asked for, but whole";
    EXPECT_FALSE(in[6].more);
    // A packet as long as the ring, which is the longest there can be.
    rx.release(7);
    ASSERT_EQ(tx.reserve(out, 16, &violation), 16u);
    for (auto& segment : out)
      segment.more = true;
    out[15].more = false;
    tx.commit(out, 16);
    EXPECT_EQ(rx.peek(in, 1, &violation), 16u);
    EXPECT_EQ(violation, Violation::none);
  }
}

// ---------------------------------------------------------------- rings that lie

TEST(Queues, ReportAnIndexThatJumped) {
  for (uint16_t jump : {uint16_t{17}, uint16_t{30000}, uint16_t{32768}, uint16_t{65535}}) {
    Segment segments[kSize];
    Violation violation{};
    {
      Wire wire;
      Queue rx = wire.queue(Role::server, true);
      wire.ring(true).publish_head(jump);
      EXPECT_EQ(rx.peek(segments, kSize, &violation), 0u);
      EXPECT_EQ(violation, Violation::index) << "S2M head, seen by the server, " << jump;
    }
    {
      Wire wire;
      Queue tx = wire.queue(Role::server, false);
      wire.ring(false).publish_head(jump);
      EXPECT_EQ(tx.reserve(segments, kSize, &violation), 0u);
      EXPECT_EQ(violation, Violation::index) << "M2S head, seen by the server, " << jump;
    }
    {
      Wire wire;
      Queue rx = wire.queue(Role::client, true);
      wire.ring(false).publish_tail(jump);
      EXPECT_EQ(rx.peek(segments, kSize, &violation), 0u);
      EXPECT_EQ(violation, Violation::index) << "M2S tail, seen by the client, " << jump;
    }
    {
      Wire wire;
      Queue tx = wire.queue(Role::client, false);
      wire.ring(true).publish_tail(static_cast<uint16_t>(-jump));
      EXPECT_EQ(tx.reserve(segments, kSize, &violation), 0u);
      EXPECT_EQ(violation, Violation::index) << "S2M tail, seen by the client, " << jump;
    }
  }
}

TEST(ServerQueues, ReportADescriptorThatPointsElsewhere) {
  uint32_t region_size = 2 * 16 * 256;
  const Descriptor bad[] = {
      {0, 2, 64, 0},                        // regions 0 and 1 exist
      {0, 5000, 64, 0},                     //
      {0, 65535, 64, 0},                    //
      {0, 1, 64, region_size - 63},         // one byte over the end
      {0, 1, 0, region_size + 1},           // no bytes, but outside
      {0, 1, 64, 0xffffffff},               // a sum that overflows 32 bits
      {0, 1, 0xffffffff, 1},                //
      {0, 1, 0xffffffff, 0xffffffff},       //
      {1, 1, region_size + 1, 0},           // in the middle of a chain
      {0, 0, 64, 2 * (128 + 16 * 16) - 63}, // region 0 counts too
  };
  Segment segments[kSize];
  Violation violation{};
  for (const Descriptor& d : bad) {
    Wire wire;
    Queue rx = wire.queue(Role::server, true);
    Ring s2m = wire.ring(true);
    s2m.write(0, {0, 1, 64, 0});
    s2m.write(1, d);
    s2m.write(2, {0, 1, 64, 0});
    s2m.publish_head(3);
    EXPECT_EQ(rx.peek(segments, kSize, &violation), 1u) << "what came before is good";
    EXPECT_EQ(violation, Violation::descriptor);
    Queue tx = wire.queue(Role::server, false);
    Ring m2s = wire.ring(false);
    m2s.write(0, {0, 1, 64, 0});
    m2s.write(1, d);
    m2s.publish_head(3);
    EXPECT_EQ(tx.reserve(segments, kSize, &violation), 1u);
    EXPECT_EQ(violation, Violation::descriptor);
  }
}

TEST(ServerQueues, BelieveNoPieceLongerThan65535) {
  Wire wire(2, 65536);
  Queue rx = wire.queue(Role::server, true);
  Segment segments[4];
  Violation violation{};
  wire.ring(true).write(0, {0, 1, 65535, 0});
  wire.ring(true).write(1, {0, 1, 65536, 0});
  wire.ring(true).publish_head(2);
  EXPECT_EQ(rx.peek(segments, 4, &violation), 1u);
  EXPECT_EQ(violation, Violation::descriptor);
}

TEST(ServerQueues, TakeADescriptorUpToTheLastByteOfItsRegion) {
  Wire wire;
  Queue rx = wire.queue(Role::server, true);
  Segment segments[kSize];
  Violation violation{};
  uint32_t size = 2 * 16 * 256;
  wire.ring(true).write(0, {0, 1, 256, size - 256});
  wire.ring(true).write(1, {0, 1, 0, size});
  wire.ring(true).publish_head(2);
  EXPECT_EQ(rx.peek(segments, kSize, &violation), 2u);
  EXPECT_EQ(violation, Violation::none);
}

TEST(Queues, ReportAChainThatNeverEnds) {
  for (Role sender : {Role::client, Role::server}) {
    Wire wire;
    auto [tx, rx] = ends_of(wire, sender);
    Segment out[kSize];
    Violation violation{};
    ASSERT_EQ(tx.reserve(out, kSize, &violation), kSize);
    for (auto& segment : out)
      segment.more = true;
    tx.commit(out, kSize);
    EXPECT_EQ(rx.peek(out, kSize, &violation), 0u);
    EXPECT_EQ(violation, Violation::descriptor);
  }
}

TEST(ClientQueues, KnowWhereTheirBuffersAreWhateverTheServerWroteOverThem) {
  Wire wire;
  auto [tx, rx] = ends_of(wire, Role::server);
  Ring ring = wire.ring(false);
  Segment segments[kSize];
  Violation violation{};
  ring.write(0, {0, 5000, 17, 0xffffffff});
  ring.write(1, {0, 0, 256, 0});
  ring.publish_tail(2);
  ASSERT_EQ(rx.peek(segments, kSize, &violation), 2u);
  EXPECT_EQ(violation, Violation::none);
  EXPECT_EQ(segments[0].region, 1);
  EXPECT_EQ(segments[0].offset, 16 * 256u);
  EXPECT_EQ(segments[0].length, 17u);
  EXPECT_EQ(segments[1].offset, 17 * 256u);
  rx.release(2);
  EXPECT_EQ(ring.read(0).region, 1);
  EXPECT_EQ(ring.read(0).offset, 16 * 256u);
  // Longer than the buffer is where belief ends.
  ring.write(2, {0, 1, 257, 18 * 256});
  ring.publish_tail(3);
  EXPECT_EQ(rx.peek(segments, kSize, &violation), 0u);
  EXPECT_EQ(violation, Violation::descriptor);
  // And to send, nothing in the ring is read at all.
  Queue out = wire.queue(Role::client, false);
  for (uint32_t slot = 0; slot < kSize; slot++)
    wire.ring(true).write(slot, {1, 5000, 0xffffffff, 0xffffffff});
  ASSERT_EQ(out.reserve(segments, kSize, &violation), kSize);
  EXPECT_EQ(segments[3].offset, 3 * 256u);
  EXPECT_EQ(segments[3].length, 256u);
}

TEST(ServerQueues, WriteWhereTheClientPostedAndNowhereElse) {
  Wire wire;
  Queue tx = wire.queue(Role::server, false);
  Ring ring = wire.ring(false);
  // With headroom, in any order, of any capacity.
  ring.write(0, {0, 1, 100, 514});
  ring.write(1, {1, 1, 0, 0});
  ring.write(2, {0xffff, 1, 256, 0});
  ring.publish_head(3);
  Segment segments[kSize];
  Violation violation{};
  ASSERT_EQ(tx.reserve(segments, kSize, &violation), 3u);
  EXPECT_EQ(segments[0].offset, 514u);
  EXPECT_EQ(segments[0].length, 100u);
  EXPECT_EQ(segments[1].length, 0u);
  segments[0].length = 60;
  // The client changes its mind after the server has looked.
  ring.write(0, {0, 0, 4, 4});
  tx.commit(segments, 3);
  EXPECT_EQ(ring.read(0).offset, 514u);
  EXPECT_EQ(ring.read(0).region, 1);
  EXPECT_EQ(ring.read(0).length, 60u);
  EXPECT_EQ(ring.read(2).flags, 0) << "old flags do not shine through";
}

TEST(Queues, KeepTheirMemoryWhenTheSessionIsGone) {
  auto wire = std::make_unique<Wire>();
  Queue rx = wire->queue(Role::server, true);
  Queue tx = wire->queue(Role::client, false);
  wire.reset();
  Segment segments[kSize];
  Violation violation{};
  ASSERT_EQ(tx.reserve(segments, 1, &violation), 1u);
  tx.commit(segments, 1);
  EXPECT_EQ(rx.peek(segments, kSize, &violation), 1u);
  EXPECT_FALSE(rx.memory_lost());
}

// ---------------------------------------------------------------- two threads

uint32_t checksum(const uint8_t* data, size_t length) {
  uint32_t sum = 1;
  for (size_t i = 0; i < length; i++)
    sum = sum * 31 + data[i];
  return sum;
}

// Sends packets of a number, a checksum and bytes; receives and verifies them in order; the sleeping side is
// woken through the eventfd when `interrupts`.
void race(Role sender, bool interrupts, uint32_t packets) {
  Wire wire(5, 128);
  auto ends = ends_of(wire, sender);
  Queue& tx = ends.tx;
  Queue& rx = ends.rx;
  rx.ring().mask_interrupts(!interrupts);
  int event = tx.event();
  std::atomic<bool> failed{false};
  std::thread producer([&] {
    std::mt19937 random(7);
    std::vector<Segment> out(32);
    Violation violation{};
    for (uint32_t next = 0; next < packets && !failed;) {
      size_t got = tx.reserve(out.data(), 1 + random() % 32, &violation);
      if (violation != Violation::none) failed = true;
      size_t n = 0;
      for (; n < got && next < packets; n++, next++) {
        uint32_t length = 8 + random() % 121;
        for (uint32_t i = 8; i < length; i++)
          out[n].data[i] = static_cast<uint8_t>(next + i);
        store<uint32_t>(out[n].data, 0, next);
        store<uint32_t>(out[n].data, 4, checksum(out[n].data + 8, length - 8));
        out[n].length = length;
      }
      if (n == 0) std::this_thread::yield();
      if (tx.commit(out.data(), n) && !sys::kick(event)) failed = true;
    }
  });
  std::vector<Segment> in(32);
  Violation violation{};
  uint32_t expected = 0;
  while (expected < packets && !failed) {
    size_t got = rx.peek(in.data(), 32, &violation);
    if (violation != Violation::none) break;
    if (got == 0 && interrupts) {
      // No time limit would mend a wake-up that was lost: it is a failure.
      struct pollfd entry = {rx.event(), POLLIN, 0};
      if (::poll(&entry, 1, test::kDeadlineMs) != 1) break;
      sys::drain(rx.event());
      continue;
    }
    if (got == 0) std::this_thread::yield();
    bool good = true;
    for (size_t i = 0; i < got; i++, expected++) {
      good = good && load<uint32_t>(in[i].data, 0) == expected;
      good = good && load<uint32_t>(in[i].data, 4) == checksum(in[i].data + 8, in[i].length - 8);
    }
    if (!good) break;
    rx.release(got);
  }
  if (expected < packets) failed = true;
  producer.join();
  EXPECT_EQ(expected, packets);
  EXPECT_EQ(violation, Violation::none);
}

TEST(Queues, PassPacketsBetweenTwoThreadsInOrderAndWhole) {
  uint32_t packets = test::scaled(400'000);
  for (Role sender : {Role::client, Role::server}) {
    race(sender, false, packets);
    race(sender, true, packets);
  }
}

// The receiver masks while it is busy and unmasks before it waits: a packet published in between must not be
// left lying. The sender waits for each packet to be taken, so one lost wake-up stops everything.
TEST(Queues, LoseNoWakeUpBetweenUnmaskingAndWaiting) {
  Wire wire(2, 64);
  for (Role sender : {Role::client, Role::server}) {
    auto ends = ends_of(wire, sender);
    uint32_t packets = test::scaled(50'000);
    std::atomic<uint32_t> taken{0};
    std::atomic<bool> stop{false};
    std::thread receiver([&] {
      Segment in[4];
      Violation violation{};
      while (!stop) {
        ends.rx.ring().mask_interrupts(true);
        for (size_t got; (got = ends.rx.peek(in, 4, &violation)) > 0;) {
          ends.rx.release(got);
          taken += static_cast<uint32_t>(got);
        }
        ends.rx.ring().mask_interrupts(false);
        if (ends.rx.peek(in, 4, &violation) > 0) continue;
        struct pollfd entry = {ends.rx.event(), POLLIN, 0};
        ::poll(&entry, 1, -1);
        sys::drain(ends.rx.event());
      }
    });
    Segment out[4];
    Violation violation{};
    uint32_t sent = 0;
    bool lost = false;
    while (sent < packets && !lost) {
      if (ends.tx.reserve(out, 1, &violation) != 1) break;
      out[0].length = 1;
      if (ends.tx.commit(out, 1)) sys::kick(ends.tx.event());
      sent++;
      auto end = test::Clock::now() + std::chrono::milliseconds(test::kDeadlineMs);
      while (taken != sent && !lost) {
        std::this_thread::yield();
        lost = test::Clock::now() > end;
      }
    }
    stop = true;
    sys::kick(ends.tx.event());
    receiver.join();
    EXPECT_FALSE(lost) << "packet " << sent;
    EXPECT_EQ(sent, packets);
  }
}

} // namespace
} // namespace nodevpp::memif
