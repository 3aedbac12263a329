// Ports on the kernel: TAP and AF_PACKET, in a network namespace of the test's own. Needs root; skipped where
// that cannot be had.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <atomic>
#include <cstring>

#include "port/packet.h"
#include "port/tap.h"

namespace nodevpp::port {
namespace {

class Ports : public testing::Test {
protected:
  void SetUp() override {
    if (::unshare(CLONE_NEWNET) != 0) GTEST_SKIP() << "no network namespace can be made here";
    sys::Fd tun(::open("/dev/net/tun", O_RDWR));
    if (!tun.valid()) GTEST_SKIP() << "there is no /dev/net/tun";
  }

  static std::unique_ptr<Tap> open_tap(const std::string& name, bool gso = false) {
    TapOptions options;
    options.name = name;
    options.gso = gso;
    options.has_mac = true;
    options.mac = {0x0a, 0, 0, 0, 0, 1};
    std::unique_ptr<Tap> tap;
    auto failure = Tap::open(options, &tap);
    EXPECT_FALSE(failure) << failure.text << ": " << failure.error.syscall << " " << failure.error.err;
    return tap;
  }

  static bool wait_readable(int fd) {
    pollfd poller{fd, POLLIN, 0};
    return ::poll(&poller, 1, 5000) == 1;
  }

  // An Ethernet frame of a type that no kernel stack answers.
  static std::vector<uint8_t> frame(uint8_t number, size_t length = 100) {
    std::vector<uint8_t> bytes(length, number);
    const uint8_t header[14] = {0x0a, 0, 0, 0, 0, 1, 0x02, 0, 0, 0, 0, 2, 0x88, 0xb5};
    std::memcpy(bytes.data(), header, sizeof header);
    return bytes;
  }

  static size_t send(Tap& tap, const std::vector<uint8_t>& bytes) {
    // Split: the first 20 bytes are the head.
    uint32_t row[kSentWords] = {0, 20, 20, static_cast<uint32_t>(bytes.size() - 20), 0, 0, 0, 0};
    return tap.send(bytes.data(), bytes.size(), row, 1);
  }

  // The next frame of our type; others (the kernel's own chatter) are passed over.
  static std::vector<uint8_t> receive(Tap& tap) {
    for (int tries = 0; tries < 50; tries++) {
      if (!wait_readable(tap.fd())) break;
      uint32_t table[kReceivedWords];
      std::vector<uint8_t> memory(tap.longest() + 18);
      if (tap.receive(memory.data(), memory.size(), 18, table, 1) != 1) continue;
      EXPECT_EQ(table[0], 18U);
      const uint8_t* bytes = memory.data() + table[0];
      if (table[1] > 14 && bytes[12] == 0x88) return {bytes, bytes + table[1]};
    }
    return {};
  }

  // Walks the receive ring until a frame of our type comes.
  static std::vector<uint8_t> receive(Packet& packet, uint32_t* block) {
    for (int tries = 0; tries < 100; tries++) {
      auto* base = packet.memory()->data() + size_t{*block} * packet.layout().block_size;
      auto* desc = reinterpret_cast<tpacket_block_desc*>(base);
      if ((std::atomic_ref<uint32_t>(desc->hdr.bh1.block_status).load() & TP_STATUS_USER) == 0) {
        if (!wait_readable(packet.fd())) return {};
        continue;
      }
      std::vector<uint8_t> found;
      uint8_t* at = base + desc->hdr.bh1.offset_to_first_pkt;
      for (uint32_t n = 0; n < desc->hdr.bh1.num_pkts; n++) {
        auto* header = reinterpret_cast<tpacket3_hdr*>(at);
        const uint8_t* bytes = at + header->tp_mac;
        if (found.empty() && bytes[12] == 0x88) found.assign(bytes, bytes + header->tp_snaplen);
        at += header->tp_next_offset;
      }
      std::atomic_ref<uint32_t>(desc->hdr.bh1.block_status).store(TP_STATUS_KERNEL);
      *block = (*block + 1) % packet.layout().blocks;
      if (!found.empty()) return found;
    }
    return {};
  }
};

TEST_F(Ports, ATapIsMadeAsItIsAskedFor) {
  TapOptions options;
  options.name = "tapx";
  options.has_mac = true;
  options.mac = {0x0a, 0, 0, 0, 0, 7};
  options.mtu = 1400;
  options.ip4 = {AF_INET, {10, 0, 0, 2}, 24};
  options.ip6 = {AF_INET6, {0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2}, 64};
  options.gateway4 = {AF_INET, {10, 0, 0, 1}, 32};
  options.gateway6 = {AF_INET6, {0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, 128};
  std::unique_ptr<Tap> tap;
  auto failure = Tap::open(options, &tap);
  ASSERT_FALSE(failure) << failure.text << " " << failure.error.err;
  EXPECT_EQ(tap->name(), "tapx");
  EXPECT_EQ(tap->mac(), options.mac);
  EXPECT_EQ(tap->mtu(), 1400);
  EXPECT_FALSE(tap->gso());
  EXPECT_FALSE(tap->set_mtu(1300));
  int mtu = 0;
  EXPECT_FALSE(get_mtu("tapx", &mtu));
  EXPECT_EQ(mtu, 1300);
  sys::Fd socket(::socket(AF_INET, SOCK_DGRAM, 0));
  ifreq ifr{};
  std::strcpy(ifr.ifr_name, "tapx");
  ASSERT_EQ(::ioctl(socket.get(), SIOCGIFADDR, &ifr), 0);
  EXPECT_EQ(std::memcmp(ifr.ifr_addr.sa_data + 2, options.ip4.bytes.data(), 4), 0);
  tap.reset();
  int index = 0;
  EXPECT_EQ(get_index("tapx", &index).error.err, ENODEV) << "it goes with its last owner";
}

TEST_F(Ports, WithoutANameTheKernelChoosesOne) {
  std::unique_ptr<Tap> tap;
  ASSERT_FALSE(Tap::open({}, &tap));
  EXPECT_EQ(tap->name(), "tap0");
}

TEST_F(Ports, WhatCannotBeSaysWhatWasBeingDone) {
  std::unique_ptr<Tap> tap;
  TapOptions options;
  options.host_namespace = "there-is-none";
  auto failure = Tap::open(options, &tap);
  EXPECT_EQ(failure.error.err, ENOENT);
  EXPECT_EQ(failure.text, "opening the network namespace /run/netns/there-is-none");
  options.host_namespace.clear();
  options.bridge = "nobridge";
  EXPECT_TRUE(Tap::open(options, &tap));
  options.bridge.clear();
  options.mtu = 10;
  failure = Tap::open(options, &tap);
  EXPECT_STREQ(failure.error.syscall, "SIOCSIFMTU");
  EXPECT_EQ(tap, nullptr);
  std::unique_ptr<Packet> packet;
  failure = Packet::open("nowhere", "", &packet);
  EXPECT_EQ(failure.error.err, ENODEV);
  EXPECT_EQ(packet, nullptr);
}

TEST_F(Ports, ATapOfferedSegmentsTakesThem) {
  auto tap = open_tap("tapg", true);
  ASSERT_NE(tap, nullptr);
  EXPECT_TRUE(tap->gso());
  EXPECT_GE(tap->longest(), size_t{65536} + 14);
}

TEST_F(Ports, FramesGoFromTapToPacketSocketAndBack) {
  auto tap = open_tap("tapa");
  ASSERT_NE(tap, nullptr);
  std::unique_ptr<Packet> packet;
  auto failure = Packet::open("tapa", "", &packet);
  ASSERT_FALSE(failure) << failure.text << " " << failure.error.syscall << " " << failure.error.err;
  EXPECT_EQ(packet->mac(), tap->mac());
  uint32_t block = 0;
  for (uint8_t number = 1; number <= 3; number++) {
    auto bytes = frame(number);
    ASSERT_EQ(send(*tap, bytes), 1u);
    EXPECT_EQ(receive(*packet, &block), bytes);
  }
  // The other way, by the transmit ring.
  const auto& layout = packet->layout();
  for (uint8_t number = 4; number <= 6; number++) {
    auto bytes = frame(number, 1000);
    uint8_t* at = packet->memory()->data() + layout.tx_offset + size_t{layout.frame_size} * (number - 4U);
    auto* header = reinterpret_cast<tpacket3_hdr*>(at);
    std::memset(at + layout.frame_data, 0, 10);
    std::memcpy(at + layout.frame_data + 10, bytes.data(), bytes.size());
    header->tp_next_offset = 0;
    header->tp_snaplen = header->tp_len = static_cast<uint32_t>(bytes.size() + 10);
    std::atomic_ref<uint32_t>(header->tp_status).store(TP_STATUS_SEND_REQUEST);
    EXPECT_TRUE(packet->kick());
    EXPECT_EQ(receive(*tap), bytes);
  }
}

TEST_F(Ports, SendingStopsBeforeWhatLiesOutside) {
  auto tap = open_tap("tapb");
  ASSERT_NE(tap, nullptr);
  auto bytes = frame(1);
  auto size = static_cast<uint32_t>(bytes.size());
  uint32_t rows[3 * kSentWords] = {
      0, 0, 0, size, 0, 0, 0, 0, // good
      0, 0, 1, size, 0, 0, 0, 0, // one byte too many
      0, 0, 0, size, 0, 0, 0, 0,
  };
  EXPECT_EQ(tap->send(bytes.data(), size, rows, 3), 1u);
  rows[kSentWords] = 0xffffffff;
  rows[kSentWords + 1] = 2;
  rows[kSentWords + 2] = 0;
  EXPECT_EQ(tap->send(bytes.data(), size, rows, 3), 1u);
}

TEST_F(Ports, AFrameThatTheKernelRefusesIsLostAlone) {
  auto tap = open_tap("tapc");
  ASSERT_NE(tap, nullptr);
  auto bytes = frame(1);
  uint32_t rows[2 * kSentWords] = {
      0, 0, 0, 100, 1, 0, 5000, 0, // a checksum that starts behind the frame
      0, 0, 0, 100, 0, 0, 0,    0,
  };
  EXPECT_EQ(tap->send(bytes.data(), 100, rows, 2), 2u);
}

TEST_F(Ports, TheLinkIsFollowed) {
  auto tap = open_tap("tapd");
  ASSERT_NE(tap, nullptr);
  EXPECT_TRUE(tap->running());
  ASSERT_FALSE(set_up("tapd", false));
  ASSERT_TRUE(wait_readable(tap->link_fd()));
  EXPECT_TRUE(tap->link_update());
  EXPECT_FALSE(tap->running());
  auto bytes = frame(1);
  EXPECT_EQ(send(*tap, bytes), 0u) << "nothing goes to an interface that is down";
  ASSERT_FALSE(set_up("tapd", true));
  ASSERT_TRUE(wait_readable(tap->link_fd()));
  EXPECT_TRUE(tap->link_update());
  EXPECT_TRUE(tap->running());
}

TEST_F(Ports, ADescriptorIsNotLeftBehindByAnyOfThem) {
  auto count = [] {
    size_t open = 0;
    for (int fd = 0; fd < 1024; fd++)
      if (::fcntl(fd, F_GETFD) >= 0) open++;
    return open;
  };
  { auto warm = open_tap("tape"); }
  size_t before = count();
  for (int i = 0; i < 5; i++) {
    auto tap = open_tap("tape");
    ASSERT_NE(tap, nullptr);
    std::unique_ptr<Packet> packet;
    ASSERT_FALSE(Packet::open("tape", "", &packet));
    TapOptions options;
    options.bridge = "nobridge";
    std::unique_ptr<Tap> none;
    EXPECT_TRUE(Tap::open(options, &none));
  }
  EXPECT_EQ(count(), before);
}

} // namespace
} // namespace nodevpp::port
