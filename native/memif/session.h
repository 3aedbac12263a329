// What a finished handshake leaves behind: regions, rings and names. Both sides hold one; the client's is
// made of its own memory, the server's of descriptors it was sent and has checked.

#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "memif/protocol.h"
#include "sys/fd.h"
#include "sys/shared_memory.h"

namespace nodevpp::memif {

enum class Role : uint8_t { server, client };
enum class Mode : uint8_t { ethernet = 0, ip = 1 };

// Why a connection ended or was refused. The names are part of the JavaScript interface (`ERR_MEMIF_` +
// name).
enum class Reason : uint8_t {
  closed,       // we closed it
  peer_closed,  // end of file on the control channel
  peer_refused, // the peer sent DISCONNECT
  protocol,     // a control message that is not allowed, or malformed
  version,
  id,   // no such interface here
  busy, // the interface has a peer already
  mode,
  secret,
  region,     // region refused: size, type of file, seals
  ring,       // ring refused: geometry, cookie, eventfd
  descriptor, // a descriptor points outside its region, or a chain never ends
  index,      // head or tail jumped
  timeout,    // the handshake took too long
  system,     // a system call of ours failed
};

const char* reason_name(Reason reason);

struct Failure {
  Reason reason = Reason::closed;
  std::string text;
  sys::SysError error{};
};

struct InterfaceOptions {
  Role role = Role::server;
  uint32_t id = 0;
  Mode mode = Mode::ethernet;
  std::array<uint8_t, kSecretSize> secret{};
  bool has_secret = false;
  std::string app_name = "node-vpp";
  std::string interface_name;
  uint16_t s2m_rings = 1; // client: how many it offers; server: how many it takes at most
  uint16_t m2s_rings = 1;
  uint8_t log2_ring_size = 10; // client
  uint32_t buffer_size = 2048; // client
  uint16_t cache_line = 64;
  bool allow_unsealed = false; // server: take regions that their owner can shrink
  uint64_t max_region_size = 1ull << 32;
  uint64_t max_total_size = 1ull << 36;
};

struct Region {
  sys::Fd fd;
  uint64_t size = 0;
  std::shared_ptr<sys::Mapping> mapping;
};

struct RingPlace {
  bool s2m = false;
  uint16_t index = 0;
  uint16_t region = 0;
  uint32_t offset = 0;
  uint8_t log2_size = 0;
  sys::Fd event;
};

struct Session {
  std::vector<Region> regions;
  std::vector<RingPlace> s2m;
  std::vector<RingPlace> m2s;
  std::string peer_name;           // the application, from HELLO or INIT
  std::string peer_interface_name; // from CONNECT or CONNECTED

  bool memory_lost() const;
};

// Bytes of one ring of 2^log2 entries.
constexpr uint64_t ring_bytes(uint8_t log2, uint16_t cache_line) {
  return 2ull * cache_line + (kDescriptorSize << log2);
}

// The packet memory of a client: one sealed region cut into buffers of equal stride. Interfaces that share
// one can hand buffers to each other by swapping descriptors.
class PacketMemory {
public:
  static Failure create(uint32_t buffer_size, uint64_t buffers, std::shared_ptr<PacketMemory>* out);

  uint32_t buffer_size() const { return buffer_size_; }
  uint32_t stride() const { return stride_; }
  uint64_t buffers() const { return buffers_; }
  int fd() const { return fd_.get(); }
  const std::shared_ptr<sys::Mapping>& mapping() const { return mapping_; }

  // Takes `count` buffers and appends their offsets; false when there are not so many left.
  bool take(size_t count, std::vector<uint32_t>* offsets);
  void give(const uint32_t* offsets, size_t count);
  size_t available() const { return free_.size(); }

private:
  sys::Fd fd_;
  std::shared_ptr<sys::Mapping> mapping_;
  uint32_t buffer_size_ = 0;
  uint32_t stride_ = 0;
  uint64_t buffers_ = 0;
  std::vector<uint32_t> free_;
};

} // namespace nodevpp::memif
