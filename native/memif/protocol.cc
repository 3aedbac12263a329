#include "memif/protocol.h"

#include <algorithm>
#include <iterator>

namespace nodevpp::memif {
namespace {

Message message(MessageType type) {
  Message result{};
  store<uint16_t>(result.data(), 0, static_cast<uint16_t>(type));
  return result;
}

} // namespace

const char* message_name(uint16_t type) {
  static constexpr const char* names[] = {"NONE",     "ACK",     "HELLO",     "INIT",      "ADD_REGION",
                                          "ADD_RING", "CONNECT", "CONNECTED", "DISCONNECT"};
  return type < std::size(names) ? names[type] : "an unknown message";
}

std::string load_text(const uint8_t* bytes, size_t offset, size_t size) {
  std::string text;
  for (size_t i = 0; i < size && bytes[offset + i] != 0; i++) {
    uint8_t c = bytes[offset + i];
    text.push_back(c >= 0x20 && c < 0x7f ? static_cast<char>(c) : '?');
  }
  return text;
}

void store_text(uint8_t* bytes, size_t offset, size_t size, const std::string& text) {
  // The last byte stays NUL: peers treat the field as a C string.
  std::memcpy(bytes + offset, text.data(), std::min(text.size(), size - 1));
}

Message emit_ack() {
  return message(MessageType::ack);
}

Message emit(const Hello& hello) {
  Message m = message(MessageType::hello);
  store_text(m.data(), 2, kNameSize, hello.name);
  store<uint16_t>(m.data(), 34, hello.min_version);
  store<uint16_t>(m.data(), 36, hello.max_version);
  store<uint16_t>(m.data(), 38, hello.max_region);
  store<uint16_t>(m.data(), 40, hello.max_m2s_ring);
  store<uint16_t>(m.data(), 42, hello.max_s2m_ring);
  store<uint8_t>(m.data(), 44, hello.max_log2_ring_size);
  return m;
}

Message emit(const Init& init) {
  Message m = message(MessageType::init);
  store<uint16_t>(m.data(), 2, init.version);
  store<uint32_t>(m.data(), 4, init.id);
  store<uint8_t>(m.data(), 8, init.mode);
  std::memcpy(m.data() + 9, init.secret.data(), kSecretSize);
  store_text(m.data(), 33, kNameSize, init.name);
  return m;
}

Message emit(const AddRegion& region) {
  Message m = message(MessageType::add_region);
  store<uint16_t>(m.data(), 2, region.index);
  store<uint64_t>(m.data(), 4, region.size);
  return m;
}

Message emit(const AddRing& ring) {
  Message m = message(MessageType::add_ring);
  store<uint16_t>(m.data(), 2, ring.s2m ? 1 : 0);
  store<uint16_t>(m.data(), 4, ring.index);
  store<uint16_t>(m.data(), 6, ring.region);
  store<uint32_t>(m.data(), 8, ring.offset);
  store<uint8_t>(m.data(), 12, ring.log2_ring_size);
  store<uint16_t>(m.data(), 13, ring.private_header_size);
  return m;
}

Message emit_connect(MessageType type, const std::string& interface_name) {
  Message m = message(type);
  store_text(m.data(), 2, kNameSize, interface_name);
  return m;
}

Message emit(const Disconnect& disconnect) {
  Message m = message(MessageType::disconnect);
  store<uint32_t>(m.data(), 2, disconnect.code);
  store_text(m.data(), 6, 96, disconnect.text);
  return m;
}

uint16_t message_type(const uint8_t* m) {
  return load<uint16_t>(m, 0);
}

Hello parse_hello(const uint8_t* m) {
  return {load_text(m, 2, kNameSize), load<uint16_t>(m, 34), load<uint16_t>(m, 36), load<uint16_t>(m, 38),
          load<uint16_t>(m, 40),      load<uint16_t>(m, 42), load<uint8_t>(m, 44)};
}

Init parse_init(const uint8_t* m) {
  Init init;
  init.version = load<uint16_t>(m, 2);
  init.id = load<uint32_t>(m, 4);
  init.mode = load<uint8_t>(m, 8);
  std::memcpy(init.secret.data(), m + 9, kSecretSize);
  init.name = load_text(m, 33, kNameSize);
  return init;
}

AddRegion parse_add_region(const uint8_t* m) {
  return {load<uint16_t>(m, 2), load<uint64_t>(m, 4)};
}

AddRing parse_add_ring(const uint8_t* m) {
  return {(load<uint16_t>(m, 2) & 1) != 0,
          load<uint16_t>(m, 4),
          load<uint16_t>(m, 6),
          load<uint32_t>(m, 8),
          load<uint8_t>(m, 12),
          load<uint16_t>(m, 13)};
}

std::string parse_connect(const uint8_t* m) {
  return load_text(m, 2, kNameSize);
}

Disconnect parse_disconnect(const uint8_t* m) {
  return {load<uint32_t>(m, 2), load_text(m, 6, 96)};
}

} // namespace nodevpp::memif
