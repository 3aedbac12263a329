// Bursts between rings and our own memory: against a list of packets, in both roles, and what comes of rings
// that lie.

#include "memif/transfer.h"

#include <gtest/gtest.h>

#include <deque>
#include <random>

#include "memif/queue.h"
#include "support.h"

namespace nodevpp::memif {
namespace {

using test::Wire;

constexpr size_t kSlots = 512;
using Packet = std::vector<uint8_t>;

// One end of a ring, as a queue of JavaScript keeps it.
class End {
public:
  End(const Wire& wire, Role role, bool receiving)
      : role_(role), receiving_(receiving), s2m_(receiving == (role == Role::server)) {
    for (const auto& region : wire.client.regions)
      regions_.push_back({region.mapping->data(), region.mapping->size()});
    use.ring = wire.ring(s2m_);
    use.server = role == Role::server;
    use.buffer_size = wire.buffer_size;
    use.regions = regions_.data();
    use.region_count = regions_.size();
    // Where the ring starts; a receiving client posts its buffers.
    Queue queue = wire.queue(role, receiving);
    use.next = queue.state().next;
    buffers_ = queue.state().buffers;
    use.buffers = buffers_.data();
  }
  void moved(const Moved& moved) { use.next = static_cast<uint16_t>(use.next + moved.segments); }

  RingUse use;

private:
  Role role_;
  bool receiving_;
  bool s2m_;
  std::vector<Span> regions_;
  std::vector<uint32_t> buffers_;
};

// Memory and columns of a vector.
struct Vector {
  std::vector<uint8_t> bytes = std::vector<uint8_t>(size_t{1} << 20);
  std::vector<uint32_t> offset = std::vector<uint32_t>(kSlots);
  std::vector<uint32_t> length = std::vector<uint32_t>(kSlots);
  std::vector<uint32_t> head_at = std::vector<uint32_t>(kSlots);
  std::vector<uint16_t> head_length = std::vector<uint16_t>(kSlots);
  std::vector<uint16_t> skip = std::vector<uint16_t>(kSlots);

  Span memory() { return {bytes.data(), bytes.size()}; }
  Columns columns() {
    return {offset.data(), length.data(), head_at.data(), head_length.data(), skip.data(), kSlots};
  }
  Packet packet(size_t slot) const {
    auto at = bytes.begin() + static_cast<long>(offset[slot]);
    return {at, at + static_cast<long>(length[slot])};
  }
};

Packet random_packet(std::mt19937_64& random, size_t longest) {
  Packet packet(random() % 4 == 0 ? random() % (longest + 1) : 64);
  for (auto& byte : packet)
    byte = static_cast<uint8_t>(random());
  return packet;
}

// Puts a packet into a slot: as it is, or as a head in front of what is left of another frame.
void put(Vector& vector, size_t slot, const Packet& packet, std::mt19937_64& random, uint32_t* free) {
  size_t head = random() % 3 == 0 ? random() % (packet.size() + 1) : 0;
  auto at = *free;
  vector.head_at[slot] = at;
  vector.head_length[slot] = static_cast<uint16_t>(head);
  std::copy(packet.begin(), packet.begin() + static_cast<long>(head), vector.bytes.begin() + at);
  at += static_cast<uint32_t>(head);
  auto skip = static_cast<uint16_t>(random() % 30);
  vector.offset[slot] = at;
  vector.skip[slot] = skip;
  vector.length[slot] = static_cast<uint32_t>(packet.size() - head + skip);
  std::copy(packet.begin() + static_cast<long>(head), packet.end(), vector.bytes.begin() + at + skip);
  *free = at + vector.length[slot];
}

// ---------------------------------------------------------------- literal values first

TEST(Transfer, AFrameComesToItsPlaceAndItsBufferGoesBack) {
  Wire wire(4);
  End tx(wire, Role::client, false);
  End rx(wire, Role::server, true);
  Ring ring = wire.ring(true);
  Vector out;
  Vector in;
  std::memcpy(out.bytes.data() + 100, "HEAD", 4);
  std::memcpy(out.bytes.data() + 200, "xxrest", 6);
  out.head_at[7] = 100;
  out.head_length[7] = 4;
  out.offset[7] = 200;
  out.length[7] = 6;
  out.skip[7] = 2;
  uint16_t slots[] = {7, 7};
  Moved sent = transmit(tx.use, out.memory(), out.columns(), slots, 2);
  EXPECT_EQ(sent.packets, 2u);
  EXPECT_EQ(sent.segments, 2u);
  EXPECT_EQ(sent.bytes, 16u);
  EXPECT_TRUE(sent.kick);
  EXPECT_FALSE(sent.full);
  EXPECT_EQ(ring.head(), 2);
  EXPECT_EQ(ring.read(0).length, 8u);
  Moved received = receive(rx.use, 10, in.memory(), 5, 18, in.columns(), 0);
  EXPECT_EQ(received.packets, 2u);
  EXPECT_EQ(received.bytes, 16u);
  EXPECT_EQ(ring.tail(), 2);
  EXPECT_EQ(in.offset[0], 32u + 18);
  EXPECT_EQ(in.offset[1], 64u + 18);
  EXPECT_EQ(received.end, 64u + 18 + 8);
  EXPECT_EQ(in.packet(0), (Packet{'H', 'E', 'A', 'D', 'r', 'e', 's', 't'}));
  EXPECT_EQ(in.packet(1), in.packet(0));
}

TEST(Transfer, SendingStopsWhereTheRingIsFull) {
  Wire wire(4);
  End tx(wire, Role::server, false);
  End rx(wire, Role::client, true);
  Vector out;
  for (auto& length : out.length)
    length = 64;
  std::vector<uint16_t> slots(20, 0);
  Moved sent = transmit(tx.use, out.memory(), out.columns(), slots.data(), slots.size());
  EXPECT_EQ(sent.packets, 16u);
  EXPECT_TRUE(sent.full);
  // A packet that needs more buffers than there are stays whole.
  tx.moved(sent);
  Vector in;
  rx.moved(receive(rx.use, 2, in.memory(), 0, 0, in.columns(), 0));
  out.length[0] = 3 * 256;
  sent = transmit(tx.use, out.memory(), out.columns(), slots.data(), 1);
  EXPECT_EQ(sent.packets, 0u);
  EXPECT_TRUE(sent.full);
  out.length[0] = 2 * 256;
  sent = transmit(tx.use, out.memory(), out.columns(), slots.data(), 1);
  EXPECT_EQ(sent.packets, 1u);
  EXPECT_EQ(sent.segments, 2u);
}

TEST(Transfer, WhatDoesNotFitIntoTheMemoryStaysInTheRing) {
  Wire wire(4);
  End tx(wire, Role::client, false);
  End rx(wire, Role::server, true);
  Vector out;
  for (auto& length : out.length)
    length = 200;
  std::vector<uint16_t> slots(3, 0);
  transmit(tx.use, out.memory(), out.columns(), slots.data(), 3);
  Vector in;
  Moved received = receive(rx.use, 10, {in.bytes.data(), 450}, 0, 0, in.columns(), 0);
  EXPECT_EQ(received.packets, 2u);
  EXPECT_EQ(wire.ring(true).tail(), 2);
}

// ---------------------------------------------------------------- against a list

void run_model(uint64_t seed, Role sender, uint16_t start) {
  SCOPED_TRACE("seed " + std::to_string(seed) + (sender == Role::client ? ", S2M" : ", M2S"));
  std::mt19937_64 random(seed);
  Wire wire(5, 128, 64, start);
  Role receiver = sender == Role::client ? Role::server : Role::client;
  End rx(wire, receiver, true);
  End tx(wire, sender, false);
  Vector out;
  Vector in;
  std::deque<Packet> model;
  size_t moved = 0;
  for (int step = 0; step < 3000; step++) {
    if (random() % 2 == 0) {
      std::vector<Packet> packets(random() % 12);
      std::vector<uint16_t> slots;
      uint32_t free = 0;
      for (auto& packet : packets) {
        packet = random_packet(random, 600);
        auto slot = static_cast<uint16_t>(slots.size() * 3 + 1);
        put(out, slot, packet, random, &free);
        slots.push_back(slot);
      }
      Moved sent = transmit(tx.use, out.memory(), out.columns(), slots.data(), slots.size());
      ASSERT_FALSE(sent.broken);
      ASSERT_EQ(sent.full, sent.packets < packets.size());
      tx.moved(sent);
      for (size_t i = 0; i < sent.packets; i++)
        model.push_back(packets[i]);
    } else {
      size_t most = 1 + random() % 20;
      Moved received = receive(rx.use, most, in.memory(), random() % 100, 18, in.columns(), 0);
      ASSERT_FALSE(received.broken);
      ASSERT_LE(received.packets, most);
      ASSERT_EQ(received.packets == 0, model.empty());
      rx.moved(received);
      moved += received.packets;
      for (size_t i = 0; i < received.packets; i++) {
        ASSERT_EQ(in.packet(i), model.front());
        model.pop_front();
      }
    }
  }
  EXPECT_GT(moved, 2000u);
}

TEST(Transfer, BehavesLikeAListOfPackets) {
  std::random_device entropy;
  for (Role sender : {Role::client, Role::server}) {
    for (uint64_t seed : {uint64_t{1}, uint64_t{entropy()}}) {
      run_model(seed, sender, 0);
      run_model(seed, sender, 65530);
    }
  }
}

TEST(Transfer, RelayMovesWhatFitsAndStopsBeforeWhatIsTooShort) {
  for (Role role : {Role::client, Role::server}) {
    std::mt19937_64 random(7);
    Wire first(5, 128);
    Wire second(5, 256);
    Role other = role == Role::client ? Role::server : Role::client;
    End middle_rx(first, role, true);
    End outer_tx(first, other, false);
    End outer_rx(second, other, true);
    End middle_tx(second, role, false);
    Vector out;
    Vector in;
    size_t relayed = 0;
    for (int step = 0; step < 500; step++) {
      std::vector<Packet> packets(1 + random() % 5);
      std::vector<uint16_t> slots;
      uint32_t free = 0;
      for (auto& packet : packets) {
        packet = random_packet(random, 300);
        put(out, slots.size(), packet, random, &free);
        slots.push_back(static_cast<uint16_t>(slots.size()));
      }
      Moved put_in = transmit(outer_tx.use, out.memory(), out.columns(), slots.data(), slots.size());
      ASSERT_EQ(put_in.packets, packets.size());
      outer_tx.moved(put_in);
      size_t done = 0;
      while (done < packets.size()) {
        Moved sent;
        Moved moved = relay(middle_rx.use, middle_tx.use, 100, 14, &sent);
        ASSERT_EQ(sent.packets, moved.packets);
        middle_rx.moved(moved);
        middle_tx.moved(sent);
        Moved received = receive(outer_rx.use, 100, in.memory(), 0, 0, in.columns(), 0);
        outer_rx.moved(received);
        ASSERT_EQ(received.packets, moved.packets);
        for (size_t i = 0; i < received.packets; i++)
          ASSERT_EQ(in.packet(i), packets[done + i]);
        done += moved.packets;
        relayed += moved.packets;
        if (done == packets.size()) break;
        ASSERT_LT(packets[done].size(), 14u) << "stopped for no reason";
        middle_rx.moved(receive(middle_rx.use, 1, in.memory(), 0, 0, in.columns(), 0));
        done++;
      }
    }
    EXPECT_GT(relayed, 1000u);
  }
}

TEST(Transfer, RelayLosesWhatFindsNoRoom) {
  Wire first(5);
  Wire second(2);
  End outer_tx(first, Role::client, false);
  End middle_rx(first, Role::server, true);
  End outer_rx(second, Role::client, true);
  End middle_tx(second, Role::server, false);
  Vector out;
  for (auto& length : out.length)
    length = 64;
  std::vector<uint16_t> slots(10, 0);
  transmit(outer_tx.use, out.memory(), out.columns(), slots.data(), slots.size());
  Moved sent;
  Moved moved = relay(middle_rx.use, middle_tx.use, 100, 14, &sent);
  EXPECT_EQ(moved.packets, 10u);
  EXPECT_EQ(sent.packets, 4u);
  EXPECT_TRUE(sent.full);
  EXPECT_EQ(first.ring(true).tail(), 10);
}

// ---------------------------------------------------------------- rings that lie

TEST(Transfer, ARingThatLiesIsBrokenAndNothingIsTaken) {
  struct Lie {
    const char* what;
    Descriptor descriptor;
    uint16_t head;
  };
  const Lie lies[] = {
      {"an index that jumps", {0, 1, 64, 0}, 40},
      {"a region there is not", {0, 9, 64, 0}, 1},
      {"bytes behind the end", {0, 1, 64, 0xffffffc0}, 1},
      {"a length behind the end", {0, 1, 0xffffffff, 0}, 1},
      {"a piece longer than any", {0, 1, 70000, 0}, 1},
      {"a chain that fills the ring", {kDescriptorNext, 1, 64, 0}, 16},
  };
  for (const Lie& lie : lies) {
    SCOPED_TRACE(lie.what);
    Wire wire(4, 8192);
    End rx(wire, Role::server, true);
    Ring ring = wire.ring(true);
    for (uint32_t slot = 0; slot < 16; slot++)
      ring.write(slot, lie.descriptor);
    ring.publish_head(lie.head);
    Vector in;
    Moved moved = receive(rx.use, 100, in.memory(), 0, 0, in.columns(), 0);
    EXPECT_TRUE(moved.broken);
    EXPECT_EQ(moved.packets, 0u);
    EXPECT_EQ(moved.segments, 0u);
    EXPECT_EQ(ring.tail(), 0);
    Moved sent;
    Wire other(4);
    End tx(other, Role::client, false);
    EXPECT_TRUE(relay(rx.use, tx.use, 100, 14, &sent).broken);
    EXPECT_EQ(sent.packets, 0u);
  }
}

TEST(Transfer, BuffersThatAreNotThereAreNotWrittenTo) {
  for (Descriptor lie :
       {Descriptor{0, 7, 256, 0}, Descriptor{0, 1, 256, 0xffffff00}, Descriptor{0, 1, 0xfffffff0, 64}}) {
    Wire wire(4);
    End tx(wire, Role::server, false);
    Ring ring = wire.ring(false);
    for (uint32_t slot = 0; slot < 16; slot++)
      ring.write(slot, lie);
    ring.publish_head(16);
    Vector out;
    out.length[0] = 64;
    uint16_t slots[] = {0};
    Moved sent = transmit(tx.use, out.memory(), out.columns(), slots, 1);
    EXPECT_TRUE(sent.broken);
    EXPECT_EQ(sent.packets, 0u);
    EXPECT_EQ(ring.tail(), 0);
  }
}

TEST(Transfer, BuffersWithoutRoomAreLeftOut) {
  Wire wire(4);
  End tx(wire, Role::server, false);
  Ring ring = wire.ring(false);
  for (uint32_t slot = 0; slot < 16; slot++)
    ring.write(slot, {0, 1, slot % 2 == 0 ? 0U : 50U, slot * 256});
  ring.publish_head(16);
  Vector out;
  out.length[0] = 120;
  uint16_t slots[] = {0};
  Moved sent = transmit(tx.use, out.memory(), out.columns(), slots, 1);
  EXPECT_EQ(sent.packets, 1u);
  uint32_t total = 0;
  for (uint32_t slot = 0; slot < sent.segments; slot++)
    total += ring.read(slot).length;
  EXPECT_EQ(total, 120u);
}

TEST(Transfer, ColumnsThatLeadOutsideSendNothing) {
  Wire wire(4);
  End tx(wire, Role::client, false);
  Vector out;
  out.offset[0] = static_cast<uint32_t>(out.bytes.size()) - 10;
  out.length[0] = 11;
  out.skip[1] = 5;
  out.length[1] = 4;
  out.head_at[2] = 0xffffffff;
  out.head_length[2] = 2;
  for (uint16_t slot : {uint16_t{0}, uint16_t{1}, uint16_t{2}, uint16_t{kSlots}}) {
    EXPECT_EQ(transmit(tx.use, out.memory(), out.columns(), &slot, 1).packets, 0u);
  }
}

} // namespace
} // namespace nodevpp::memif
