// memif on the wire: control messages and ring layout, version 2.0. Offsets are from the start of each
// message or ring.
//
//   control message   128 bytes, always: u16 type, then the fields at the offsets below, the rest zero
//   ring              0 u32 cookie | 4 u16 flags | 6 u16 head | .. | L u16 tail | .. | 2L descriptors
//                     L is the cache line both sides were built with: 64, on some arm64 builds 128
//   descriptor        0 u16 flags | 2 u16 region | 4 u32 length | 8 u32 offset | 12 u32 metadata
//
// Everything is in the byte order of the machine, nothing is aligned.

#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <string>

namespace nodevpp::memif {

constexpr uint16_t kVersion = 0x0200;
constexpr uint32_t kCookie = 0x03E31F20;
constexpr size_t kMessageSize = 128;
constexpr uint8_t kMaxLog2RingSize = 14;
constexpr uint16_t kMaxRings = 255; // per direction
constexpr uint16_t kMaxRegions = 256;
constexpr size_t kDescriptorSize = 16;
constexpr uint16_t kRingMaskInterrupt = 1;
constexpr uint16_t kDescriptorNext = 1;
constexpr size_t kSecretSize = 24;
constexpr size_t kNameSize = 32;

enum class MessageType : uint16_t {
  none = 0,
  ack = 1,
  hello = 2,
  init = 3,
  add_region = 4,
  add_ring = 5,
  connect = 6,
  connected = 7,
  disconnect = 8,
};

const char* message_name(uint16_t type);

using Message = std::array<uint8_t, kMessageSize>;

// Unaligned access to a field of a message or descriptor.
template<typename T> T load(const uint8_t* bytes, size_t offset) {
  T value;
  std::memcpy(&value, bytes + offset, sizeof value);
  return value;
}
template<typename T> void store(uint8_t* bytes, size_t offset, T value) {
  std::memcpy(bytes + offset, &value, sizeof value);
}

// Text of a fixed field: up to the first NUL, everything unprintable replaced, so that it can be shown and
// logged.
std::string load_text(const uint8_t* bytes, size_t offset, size_t size);
void store_text(uint8_t* bytes, size_t offset, size_t size, const std::string& text);

struct Hello {
  std::string name;
  uint16_t min_version = kVersion;
  uint16_t max_version = kVersion;
  uint16_t max_region = kMaxRegions - 1; // highest index
  uint16_t max_m2s_ring = kMaxRings - 1; // highest index
  uint16_t max_s2m_ring = kMaxRings - 1; // highest index
  uint8_t max_log2_ring_size = kMaxLog2RingSize;
};

struct Init {
  uint16_t version = kVersion;
  uint32_t id = 0;
  uint8_t mode = 0;
  std::array<uint8_t, kSecretSize> secret{};
  std::string name;
};

struct AddRegion {
  uint16_t index = 0;
  uint64_t size = 0;
};

struct AddRing {
  bool s2m = false;
  uint16_t index = 0;
  uint16_t region = 0;
  uint32_t offset = 0;
  uint8_t log2_ring_size = 0;
  uint16_t private_header_size = 0;
};

struct Disconnect {
  uint32_t code = 0;
  std::string text;
};

Message emit_ack();
Message emit(const Hello& hello);
Message emit(const Init& init);
Message emit(const AddRegion& region);
Message emit(const AddRing& ring);
Message emit_connect(MessageType type, const std::string& interface_name);
Message emit(const Disconnect& disconnect);

uint16_t message_type(const uint8_t* message);
Hello parse_hello(const uint8_t* message);
Init parse_init(const uint8_t* message);
AddRegion parse_add_region(const uint8_t* message);
AddRing parse_add_ring(const uint8_t* message);
std::string parse_connect(const uint8_t* message);
Disconnect parse_disconnect(const uint8_t* message);

} // namespace nodevpp::memif
