// The bridge between two interfaces: nothing lost, nothing reordered, whatever the buffers on either side,
// and an end with a name when somebody breaks the rules. The far ends are played by the tests, over the same
// mappings.

#include "memif/bridge.h"

#include <gtest/gtest.h>

#include <random>

#include "support.h"

namespace nodevpp::memif {
namespace {

using test::Wire;

// A bridge as the server or client of two wires, and queues for the far ends of these.
struct Bridged {
  Wire left;
  Wire right;
  Role left_role;
  Role right_role;
  sys::Fd notify = test::make_eventfd();
  std::unique_ptr<Bridge> bridge;
  Queue from_left;
  Queue to_left;
  Queue from_right;
  Queue to_right;

  static Role other(Role role) { return role == Role::server ? Role::client : Role::server; }

  Bridged(Wire a, Wire b, Role role_a = Role::server, Role role_b = Role::server, int spin_us = 50)
      : left(std::move(a)), right(std::move(b)), left_role(role_a), right_role(role_b),
        from_left(left.queue(other(role_a), true)), to_left(left.queue(other(role_a), false)),
        from_right(right.queue(other(role_b), true)), to_right(right.queue(other(role_b), false)) {
    bridge = std::make_unique<Bridge>(side(left, role_a), side(right, role_b), spin_us, notify.get());
  }

  static BridgeSide side(const Wire& wire, Role role) {
    BridgeSide side;
    side.rx.push_back(wire.queue(role, true));
    side.tx.push_back(wire.queue(role, false));
    side.rx_events.push_back(test::duplicate(wire.place(role, role == Role::server).event.get()));
    side.tx_events.push_back(test::duplicate(wire.place(role, role == Role::client).event.get()));
    return side;
  }
  bool start() { return !bridge->start(); }
};

bool wait_until(const std::function<bool()>& condition) {
  auto end = test::Clock::now() + std::chrono::milliseconds(test::kDeadlineMs);
  while (!condition()) {
    if (test::Clock::now() > end) return false;
    std::this_thread::yield();
  }
  return true;
}

using Packet = std::vector<uint8_t>;

Packet numbered(uint32_t number, size_t length) {
  Packet packet(std::max<size_t>(length, 4));
  for (size_t i = 4; i < packet.size(); i++)
    packet[i] = static_cast<uint8_t>(number + i * 5);
  store<uint32_t>(packet.data(), 0, number);
  return packet;
}

// Sends one packet in pieces of what the queue offers, or of `piece` bytes; false when there is no room for
// it.
bool send(Queue& tx, const Packet& packet, size_t piece = SIZE_MAX) {
  std::vector<Segment> out(tx.size());
  Violation violation{};
  size_t room = tx.reserve(out.data(), out.size(), &violation);
  size_t used = 0;
  for (size_t at = 0; at < packet.size(); used++) {
    if (used == room) return false;
    size_t part = std::min({packet.size() - at, size_t{out[used].length}, piece});
    std::copy_n(packet.begin() + static_cast<long>(at), part, out[used].data);
    at += part;
    out[used].length = static_cast<uint32_t>(part);
    out[used].more = at < packet.size();
  }
  if (tx.commit(out.data(), used)) sys::kick(tx.event());
  return true;
}

std::optional<Packet> receive(Queue& rx) {
  std::vector<Segment> in(rx.size());
  Violation violation{};
  size_t got = rx.peek(in.data(), 1, &violation);
  EXPECT_EQ(violation, Violation::none);
  if (got == 0) return {};
  Packet packet;
  for (size_t i = 0; i < got; i++)
    packet.insert(packet.end(), in[i].data, in[i].data + in[i].length);
  rx.release(got);
  return packet;
}

Packet receive_soon(Queue& rx) {
  std::optional<Packet> packet;
  wait_until([&] { return (packet = receive(rx)).has_value(); });
  return packet.value_or(Packet{});
}

TEST(Bridging, CarriesPacketsBothWaysBetweenAnyRoles) {
  for (Role a : {Role::server, Role::client}) {
    for (Role b : {Role::server, Role::client}) {
      Bridged both(Wire(4), Wire(5), a, b);
      ASSERT_TRUE(both.start());
      for (uint32_t i = 0; i < 200; i++) {
        ASSERT_TRUE(send(both.to_left, numbered(i, i)));
        ASSERT_TRUE(send(both.to_right, numbered(i + 1000, 64)));
        ASSERT_EQ(receive_soon(both.from_right), numbered(i, i));
        ASSERT_EQ(receive_soon(both.from_left), numbered(i + 1000, 64));
      }
      both.bridge->stop();
      EXPECT_EQ(both.bridge->counters(0).packets, 200u);
      EXPECT_EQ(both.bridge->counters(1).packets, 200u);
      EXPECT_EQ(both.bridge->counters(1).bytes, 200u * 64);
      EXPECT_EQ(both.bridge->violator(), -1);
    }
  }
}

TEST(Bridging, CutsAndJoinsPacketsToTheBuffersOfTheOtherSide) {
  std::mt19937 random(4);
  for (auto [left, right] : {std::pair<uint32_t, uint32_t>{64, 2048}, {2048, 64}, {100, 96}, {64, 64}}) {
    Bridged both(Wire(7, left), Wire(7, right));
    ASSERT_TRUE(both.start());
    size_t longest = 128 * std::min(left, right);
    for (uint32_t i = 0; i < 300; i++) {
      size_t length = random() % 3 == 0 ? random() % longest : random() % 300;
      Packet packet = numbered(i, length);
      size_t piece = random() % 2 == 0 ? SIZE_MAX : 1 + random() % left;
      if (packet.size() > piece * 128) piece = SIZE_MAX;
      ASSERT_TRUE(wait_until([&] { return send(both.to_left, packet, piece); }));
      ASSERT_EQ(receive_soon(both.from_right), packet) << length << " bytes in pieces of " << piece;
    }
    EXPECT_EQ(both.bridge->counters(0).too_long, 0u);
  }
}

TEST(Bridging, FindsRoomForOnePacketInMoreBuffersThanABurst) {
  // 65,535 bytes in one buffer, to be put into 1,024 of 64 bytes.
  Bridged both(Wire(2, 65536), Wire(11, 64));
  ASSERT_TRUE(both.start());
  Packet packet = numbered(1, 65535);
  ASSERT_TRUE(send(both.to_left, packet));
  ASSERT_EQ(receive_soon(both.from_right), packet);
  Packet small = numbered(2, 10);
  ASSERT_TRUE(send(both.to_left, small));
  ASSERT_EQ(receive_soon(both.from_right), small);
  EXPECT_EQ(both.bridge->counters(0).too_long, 0u);
}

TEST(Bridging, DropsAndCountsOnlyWhatCanNeverFit) {
  Bridged both(Wire(4, 2048), Wire(2, 64));
  ASSERT_TRUE(both.start());
  ASSERT_TRUE(send(both.to_left, numbered(1, 257)));
  ASSERT_TRUE(send(both.to_left, numbered(2, 256)));
  ASSERT_EQ(receive_soon(both.from_right), numbered(2, 256));
  both.bridge->stop(); // counters follow the packets
  EXPECT_EQ(both.bridge->counters(0).too_long, 1u);
  EXPECT_EQ(both.bridge->counters(0).packets, 1u);
}

TEST(Bridging, DropsWhatIsLongerThanAllThatTheOtherSideEverPosts) {
  // The right client has posted 3 of its 8 buffers of 64 bytes, and posts no more than that.
  Bridged both(Wire(4, 2048), Wire(3, 64));
  both.right.ring(false).publish_head(3);
  ASSERT_TRUE(both.start());
  ASSERT_TRUE(send(both.to_left, numbered(1, 193)));
  ASSERT_TRUE(send(both.to_left, numbered(2, 192)));
  ASSERT_EQ(receive_soon(both.from_right), numbered(2, 192));
  // Now it holds on to what it has got, but for one buffer: for that the next packet waits as long as it
  // takes.
  Ring ring = both.right.ring(false);
  ring.publish_head(4);
  ASSERT_TRUE(send(both.to_left, numbered(3, 128)));
  std::this_thread::sleep_for(std::chrono::milliseconds(1500));
  EXPECT_EQ(receive(both.from_right), std::nullopt);
  ring.publish_head(5);
  ASSERT_EQ(receive_soon(both.from_right), numbered(3, 128));
  both.bridge->stop();
  EXPECT_EQ(both.bridge->counters(0).too_long, 1u);
  EXPECT_EQ(both.bridge->counters(0).packets, 2u);
}

TEST(Bridging, HoldsPacketsBackWhenTheOtherRingIsFullAndLosesNone) {
  for (int spin_us : {0, 50, -1}) {
    Bridged both(Wire(4), Wire(3), Role::server, Role::server, spin_us);
    ASSERT_TRUE(both.start());
    uint32_t sent = 0;
    // 8 in the right ring, 16 in the left one, and then no more.
    ASSERT_TRUE(wait_until([&] {
      while (send(both.to_left, numbered(sent, 50)))
        sent++;
      return sent >= 24;
    }));
    std::vector<Segment> out(16);
    Violation violation{};
    ASSERT_TRUE(wait_until([&] { return both.bridge->counters(0).packets == 8; }));
    EXPECT_EQ(both.to_left.reserve(out.data(), 16, &violation), 0u);
    EXPECT_EQ(sent, 24u);
    // The other direction is not held up.
    ASSERT_TRUE(send(both.to_right, numbered(7, 70)));
    ASSERT_EQ(receive_soon(both.from_left), numbered(7, 70));
    for (uint32_t i = 0; i < sent; i++)
      ASSERT_EQ(receive_soon(both.from_right), numbered(i, 50));
    EXPECT_EQ(both.bridge->counters(0).too_long, 0u);
  }
}

TEST(Bridging, SleepsAndIsWokenByEachPacket) {
  Bridged both(Wire(4), Wire(4), Role::server, Role::server, 0);
  ASSERT_TRUE(both.start());
  Ring ring = both.left.ring(true);
  for (uint32_t i = 0; i < 50; i++) {
    // Asleep: interrupts are wanted.
    ASSERT_TRUE(wait_until([&] { return ring.wants_kick(); }));
    ASSERT_TRUE(send(both.to_left, numbered(i, 20)));
    ASSERT_EQ(receive_soon(both.from_right), numbered(i, 20));
  }
  EXPECT_GE(both.bridge->counters(0).wakeups, 1u);
}

// Whoever looks at the mask just before the bridge sleeps sends no kick: the bridge has to look by itself.
TEST(Bridging, IsNotLeftSleepingByAPeerThatMissedTheUnmasking) {
  Bridged both(Wire(4), Wire(2), Role::server, Role::server, 0);
  ASSERT_TRUE(both.start());
  std::vector<Segment> out(16);
  Violation violation{};
  uint32_t sent = 0;
  uint32_t received = 0;
  for (uint32_t round = 0; round < 60; round++) {
    // Published without a kick while the bridge is masked, or busy falling asleep; more than the right ring
    // holds.
    both.to_left.reserve(out.data(), 8, &violation);
    for (size_t i = 0; i < 8; i++) {
      store<uint32_t>(out[i].data, 0, sent++);
      out[i].length = 60;
    }
    both.left.ring(true).mask_interrupts(true);
    both.to_left.commit(out.data(), 8);
    sys::kick(both.to_left.event()); // once: nothing tells of the room that comes later
    for (; received < sent; received++) {
      Packet packet = receive_soon(both.from_right);
      ASSERT_EQ(packet.size(), 60u);
      ASSERT_EQ(load<uint32_t>(packet.data(), 0), received);
    }
  }
}

TEST(Bridging, StopsAndStartsAgainWhereItWas) {
  Bridged both(Wire(4), Wire(4));
  uint32_t received = 0;
  uint32_t sent = 0;
  for (int round = 0; round < 10; round++) {
    ASSERT_TRUE(both.start());
    EXPECT_EQ(both.bridge->start().err, EALREADY);
    for (int i = 0; i < 20; i++) {
      ASSERT_TRUE(wait_until([&] { return send(both.to_left, numbered(sent, 30)); }));
      sent++;
      if (i < 10) continue;
      ASSERT_EQ(receive_soon(both.from_right), numbered(received, 30));
      received++;
    }
    both.bridge->stop();
    both.bridge->stop();
    EXPECT_EQ(both.bridge->side(0).rx[0].state().next,
              static_cast<uint16_t>(both.bridge->counters(0).packets));
    while (auto packet = receive(both.from_right)) {
      ASSERT_EQ(*packet, numbered(received, 30));
      received++;
    }
  }
}

TEST(Bridging, EndsAndNamesWhoBrokeTheRules) {
  struct Case {
    const char* name;
    int side;
    Violation violation;
    std::function<void(Bridged&)> act;
  };
  const Case cases[] = {
      {"left head jumps", 0, Violation::index, [](Bridged& b) { b.left.ring(true).publish_head(30000); }},
      {"right head jumps", 1, Violation::index, [](Bridged& b) { b.right.ring(true).publish_head(18); }},
      {"posted buffers jump", 1, Violation::index,
       [](Bridged& b) {
         b.right.ring(false).publish_head(100);
         send(b.to_left, numbered(1, 10));
       }},
      {"a descriptor outside", 0, Violation::descriptor,
       [](Bridged& b) {
         b.left.ring(true).write(0, {0, 1, 60, 0xffffffff});
         b.left.ring(true).publish_head(1);
       }},
      {"a buffer posted outside", 1, Violation::descriptor,
       [](Bridged& b) {
         b.right.ring(false).write(0, {0, 9, 60, 0});
         send(b.to_left, numbered(1, 10));
       }},
      {"a chain that never ends", 1, Violation::descriptor,
       [](Bridged& b) {
         for (uint32_t slot = 0; slot < 16; slot++)
           b.right.ring(true).write(slot, {1, 1, 60, 0});
         b.right.ring(true).publish_head(17); // one was sent before
       }},
  };
  for (const auto& broken : cases) {
    for (int spin_us : {-1, 50}) {
      SCOPED_TRACE(broken.name);
      Bridged both(Wire(4), Wire(4), Role::server, Role::server, spin_us);
      ASSERT_TRUE(both.start());
      ASSERT_TRUE(send(both.to_right, numbered(1, 10)));
      ASSERT_EQ(receive_soon(both.from_left), numbered(1, 10));
      broken.act(both);
      sys::kick(both.to_left.event());
      sys::kick(both.to_right.event());
      ASSERT_TRUE(wait_until([&] { return sys::drain(both.notify.get()); }));
      EXPECT_EQ(both.bridge->violator(), broken.side);
      EXPECT_EQ(both.bridge->violation(), broken.violation);
      both.bridge->stop();
      // It stays ended.
      ASSERT_TRUE(both.start());
      both.bridge->stop();
    }
  }
}

TEST(Bridging, DeliversWhatCameBeforeTheRuleWasBroken) {
  Bridged both(Wire(4), Wire(4));
  ASSERT_TRUE(send(both.to_left, numbered(1, 10)));
  ASSERT_TRUE(send(both.to_left, numbered(2, 10)));
  both.left.ring(true).write(2, {0, 5000, 10, 0});
  both.left.ring(true).publish_head(3);
  ASSERT_TRUE(both.start());
  ASSERT_TRUE(wait_until([&] { return both.bridge->violator() == 0; }));
  both.bridge->stop();
  EXPECT_EQ(receive(both.from_right), numbered(1, 10));
  EXPECT_EQ(receive(both.from_right), numbered(2, 10));
  EXPECT_EQ(receive(both.from_right), std::nullopt);
}

TEST(Bridging, EndsWhenMemoryIsTakenAwayUnderIt) {
  // A region that its owner can shrink, mapped with a guard, as a server maps what it is sent.
  for (int side : {0, 1}) {
    Wire wires[2] = {Wire(4), Wire(4)};
    sys::Fd file = test::make_memfd(wires[side].server.regions[1].size, 0);
    for (Session* session : {&wires[side].server, &wires[side].client}) {
      std::shared_ptr<sys::Mapping> mapping;
      ASSERT_FALSE(sys::Mapping::map(file.get(), session->regions[1].size, true, &mapping));
      session->regions[1].mapping = mapping;
    }
    Bridged both(std::move(wires[0]), std::move(wires[1]));
    ASSERT_TRUE(both.start());
    ASSERT_TRUE(send(both.to_left, numbered(1, 10)));
    ASSERT_EQ(receive_soon(both.from_right), numbered(1, 10));
    ASSERT_TRUE(send(both.to_right, numbered(2, 10)));
    ASSERT_EQ(receive_soon(both.from_left), numbered(2, 10));
    ASSERT_EQ(::ftruncate(file.get(), 0), 0);
    // Only descriptors, so that it is the bridge that meets the hole.
    Ring ring = both.left.ring(true);
    ring.write(1, {0, 1, 60, 512});
    ring.publish_head(2);
    sys::kick(both.to_left.event());
    ASSERT_TRUE(wait_until([&] { return both.bridge->violator() >= 0; }));
    EXPECT_EQ(both.bridge->violator(), side);
    both.bridge->stop();
  }
}

TEST(Bridging, CarriesManyPacketsUnderLoadInOrder) {
  uint32_t packets = test::scaled(20'000);
  for (int spin_us : {-1, 20, 0}) {
    Bridged both(Wire(6, 128), Wire(5, 96), Role::server, Role::client, spin_us);
    ASSERT_TRUE(both.start());
    std::atomic<bool> failed{false};
    std::thread sender([&] {
      std::mt19937 random(1);
      for (uint32_t i = 0; i < packets; i++) {
        Packet packet = numbered(i, 4 + random() % 250);
        while (!send(both.to_left, packet)) {
          if (failed) return;
          std::this_thread::yield();
        }
      }
    });
    std::mt19937 random(1);
    uint32_t received = 0;
    while (received < packets && !failed) {
      // How long all of them take says something of the machine only; that no other one comes is a failure.
      Packet packet = receive_soon(both.from_right);
      if (packet != numbered(received, 4 + random() % 250))
        failed = true;
      else
        received++;
    }
    sender.join();
    EXPECT_EQ(received, packets);
    both.bridge->stop();
    EXPECT_EQ(both.bridge->counters(0).packets, packets);
    EXPECT_EQ(both.bridge->counters(0).too_long, 0u);
  }
}

} // namespace
} // namespace nodevpp::memif
