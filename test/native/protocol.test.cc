// Control messages as literal bytes, both ways. Offsets and values are those of memif 2.0.

#include "memif/protocol.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <initializer_list>
#include <utility>

#include "memif/ring.h"

namespace nodevpp::memif {
namespace {

struct Bytes {
  size_t offset;
  std::vector<uint8_t> bytes;
};

// A message that is zero but for what is named.
Message literal(std::initializer_list<Bytes> parts) {
  Message message{};
  for (const auto& part : parts)
    std::memcpy(message.data() + part.offset, part.bytes.data(), part.bytes.size());
  return message;
}

std::vector<uint8_t> text(const char* words) {
  return {words, words + std::strlen(words)};
}

TEST(Messages, HaveExactly128BytesAndCarryTheirTypeInTheFirstTwo) {
  EXPECT_EQ(sizeof(Message), 128u);
  EXPECT_EQ(emit_ack(), literal({{0, {1, 0}}}));
  const char* names[] = {"NONE",     "ACK",     "HELLO",     "INIT",      "ADD_REGION",
                         "ADD_RING", "CONNECT", "CONNECTED", "DISCONNECT"};
  for (uint16_t type = 0; type < 9; type++)
    EXPECT_STREQ(message_name(type), names[type]);
  EXPECT_STREQ(message_name(9), "an unknown message");
  EXPECT_STREQ(message_name(65535), "an unknown message");
}

TEST(Messages, HelloNamesTheServerAndWhatItTakes) {
  Message bytes = literal({{0, {2, 0}},
                           {2, text("VPP 26.06")},
                           {34, {0x00, 0x02}},
                           {36, {0x01, 0x03}},
                           {38, {0x00, 0x01}},
                           {40, {0xff, 0x00}},
                           {42, {0x34, 0x12}},
                           {44, {14}}});
  Hello hello{"VPP 26.06", 0x0200, 0x0301, 256, 255, 0x1234, 14};
  EXPECT_EQ(emit(hello), bytes);
  Hello parsed = parse_hello(bytes.data());
  EXPECT_EQ(parsed.name, "VPP 26.06");
  EXPECT_EQ(parsed.min_version, 0x0200);
  EXPECT_EQ(parsed.max_version, 0x0301);
  EXPECT_EQ(parsed.max_region, 256);
  EXPECT_EQ(parsed.max_m2s_ring, 255);
  EXPECT_EQ(parsed.max_s2m_ring, 0x1234);
  EXPECT_EQ(parsed.max_log2_ring_size, 14);
}

TEST(Messages, InitNamesTheInterfaceModeAndSecret) {
  Message bytes = literal({{0, {3, 0}},
                           {2, {0x00, 0x02}},
                           {4, {0x78, 0x56, 0x34, 0x12}},
                           {8, {1}},
                           {9, text("abcdefghijklmnopqrstuvw")},
                           {33, text("client")}});
  Init init;
  init.id = 0x12345678;
  init.mode = 1;
  std::memcpy(init.secret.data(), "abcdefghijklmnopqrstuvw", 23);
  init.name = "client";
  EXPECT_EQ(emit(init), bytes);
  Init parsed = parse_init(bytes.data());
  EXPECT_EQ(parsed.version, 0x0200);
  EXPECT_EQ(parsed.id, 0x12345678u);
  EXPECT_EQ(parsed.mode, 1);
  EXPECT_EQ(parsed.secret, init.secret);
  EXPECT_EQ(parsed.name, "client");
}

TEST(Messages, AddRegionHasItsSizeAtOffset4Unaligned) {
  Message bytes = literal({{0, {4, 0}}, {2, {0x02, 0x01}}, {4, {8, 7, 6, 5, 4, 3, 2, 1}}});
  EXPECT_EQ(emit(AddRegion{0x0102, 0x0102030405060708}), bytes);
  EXPECT_EQ(parse_add_region(bytes.data()).index, 0x0102);
  EXPECT_EQ(parse_add_region(bytes.data()).size, 0x0102030405060708u);
}

TEST(Messages, AddRingSaysItsDirectionInBit0OfFlags) {
  Message bytes = literal({{0, {5, 0}},
                           {2, {1, 0}},
                           {4, {0x02, 0x01}},
                           {6, {0x04, 0x03}},
                           {8, {0x80, 0x40, 0x00, 0x00}},
                           {12, {10}},
                           {13, {0x06, 0x05}}});
  EXPECT_EQ(emit(AddRing{true, 0x0102, 0x0304, 16512, 10, 0x0506}), bytes);
  AddRing ring = parse_add_ring(bytes.data());
  EXPECT_TRUE(ring.s2m);
  EXPECT_EQ(ring.index, 0x0102);
  EXPECT_EQ(ring.region, 0x0304);
  EXPECT_EQ(ring.offset, 16512u);
  EXPECT_EQ(ring.log2_ring_size, 10);
  EXPECT_EQ(ring.private_header_size, 0x0506);
  bytes[2] = 0xfe; // other flags do not make it S2M
  EXPECT_FALSE(parse_add_ring(bytes.data()).s2m);
  EXPECT_EQ(emit(AddRing{})[2], 0);
}

TEST(Messages, ConnectAndConnectedCarryTheInterfaceName) {
  Message connect = literal({{0, {6, 0}}, {2, text("memif1/0")}});
  Message connected = literal({{0, {7, 0}}, {2, text("memif1/0")}});
  EXPECT_EQ(emit_connect(MessageType::connect, "memif1/0"), connect);
  EXPECT_EQ(emit_connect(MessageType::connected, "memif1/0"), connected);
  EXPECT_EQ(parse_connect(connect.data()), "memif1/0");
}

TEST(Messages, DisconnectCarriesACodeAndWords) {
  Message bytes = literal({{0, {8, 0}}, {2, {4, 3, 2, 1}}, {6, text("incorrect secret")}});
  EXPECT_EQ(emit(Disconnect{0x01020304, "incorrect secret"}), bytes);
  EXPECT_EQ(parse_disconnect(bytes.data()).code, 0x01020304u);
  EXPECT_EQ(parse_disconnect(bytes.data()).text, "incorrect secret");
}

TEST(Messages, TextIsCutToLeaveANulAndReadOnlyAsFarAsItsField) {
  Message hello = emit(Hello{std::string(200, 'x')});
  EXPECT_EQ(hello[32], 'x');
  EXPECT_EQ(hello[33], 0);
  EXPECT_EQ(load<uint16_t>(hello.data(), 34), kVersion);
  // A peer that fills the field to its end, and one that sends what a terminal would obey.
  std::memset(hello.data() + 2, 'y', 32);
  EXPECT_EQ(parse_hello(hello.data()).name, std::string(32, 'y'));
  std::memcpy(hello.data() + 2, "a\x1b[2J\n\xff\x7f", 9);
  EXPECT_EQ(parse_hello(hello.data()).name, "a?[2J???");
  Message words = emit(Disconnect{0, std::string(300, 'z')});
  EXPECT_EQ(words[100], 'z');
  EXPECT_EQ(words[101], 0);
  std::memset(words.data() + 6, 'z', 122);
  EXPECT_EQ(parse_disconnect(words.data()).text, std::string(96, 'z'));
}

TEST(Ring, HasItsFieldsAtTheOffsetsOfTheProtocol) {
  for (uint16_t line : {uint16_t{64}, uint16_t{128}}) {
    std::vector<uint64_t> words(1024);
    auto* bytes = reinterpret_cast<uint8_t*>(words.data());
    Ring ring(bytes, 4, line);
    ring.mask_interrupts(true);
    ring.publish_head(0x1122);
    ring.publish_tail(0x3344);
    ring.write(15, {1, 0x0203, 0x04050607, 0x08090a0b});
    EXPECT_EQ(load<uint16_t>(bytes, 4), 1);
    EXPECT_EQ(load<uint16_t>(bytes, 6), 0x1122);
    EXPECT_EQ(load<uint16_t>(bytes, line), 0x3344);
    const uint8_t expected[12] = {1, 0, 3, 2, 7, 6, 5, 4, 0x0b, 0x0a, 9, 8};
    EXPECT_EQ(std::memcmp(bytes + 2 * line + 15 * 16, expected, sizeof expected), 0);
    Descriptor d = ring.read(15);
    EXPECT_EQ(d.flags, 1);
    EXPECT_EQ(d.region, 0x0203);
    EXPECT_EQ(d.length, 0x04050607u);
    EXPECT_EQ(d.offset, 0x08090a0bu);
    EXPECT_FALSE(ring.wants_kick());
    ring.mask_interrupts(false);
    EXPECT_TRUE(ring.wants_kick());
    EXPECT_EQ(ring.slot(0xffff), 15u);
    EXPECT_EQ(ring.slot(16), 0u);
  }
}

} // namespace
} // namespace nodevpp::memif
