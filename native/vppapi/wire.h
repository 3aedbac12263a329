// Numbers of messages, which are in network byte order.

#pragma once

#include <cstdint>

namespace nodevpp::vppapi {

inline void put16(uint8_t* at, uint16_t value) {
  at[0] = static_cast<uint8_t>(value >> 8);
  at[1] = static_cast<uint8_t>(value);
}
inline void put32(uint8_t* at, uint32_t value) {
  put16(at, static_cast<uint16_t>(value >> 16));
  put16(at + 2, static_cast<uint16_t>(value));
}
inline uint16_t get16(const uint8_t* at) {
  return static_cast<uint16_t>(at[0] << 8 | at[1]);
}
inline uint32_t get32(const uint8_t* at) {
  return uint32_t{get16(at)} << 16 | get16(at + 2);
}

// Numbers of messages that no release has changed: the first of VPP's table.
constexpr uint16_t kCreate = 15;
constexpr uint16_t kDelete = 17;
constexpr uint16_t kKeepalive = 21;
constexpr uint16_t kKeepaliveReply = 22;
constexpr uint16_t kPing = 23;
constexpr uint16_t kPingReply = 24;

} // namespace nodevpp::vppapi
