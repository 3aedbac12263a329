// A TAP: a kernel interface whose frames come and go through a descriptor, each with a virtio_net_hdr in
// front.
//
// Frames are read into memory of the caller's, one behind the other, and written from there. A table of eight
// words a packet says where they are.

#pragma once

#include <memory>

#include "port/netns.h"
#include "sys/shared_memory.h"

namespace nodevpp::port {

struct TapOptions {
  std::string name; // empty: the kernel chooses
  std::string host_namespace;
  bool has_mac = false;
  Mac mac{};
  int mtu = 0;
  IpAddress ip4;
  IpAddress ip6;
  IpAddress gateway4;
  IpAddress gateway6;
  std::string bridge;
  bool persist = false;
  bool gso = false;
};

// Words of a received packet: offset in the memory, length, flags | gso_type << 8, gso_size, csum_start,
// csum_offset, hdr_len, 0.
constexpr size_t kReceivedWords = 8;
// Words of a packet to send: head (at, length), rest (from, length), flags | gso_type << 8,
// gso_size | hdr_len << 16, csum_start | csum_offset << 16, 0.
constexpr size_t kSentWords = 8;

class Tap {
public:
  static Failure open(const TapOptions& options, std::unique_ptr<Tap>* out);

  int fd() const { return fd_.get(); }
  int link_fd() const { return link_.fd(); }
  bool link_update() { return link_.update(); }
  bool running() const { return link_.running(); }
  const std::string& name() const { return name_; }
  const Mac& mac() const { return mac_; }
  int mtu() const { return mtu_; }
  bool gso() const { return gso_; }
  // The longest frame that may come.
  size_t longest() const { return longest_; }

  // Reads up to `max` frames into the memory, `headroom` bytes in front of each, as long as the longest fits;
  // -1 when the kernel's side is gone.
  int receive(uint8_t* memory, size_t size, size_t headroom, uint32_t* table, size_t max);
  // Writes frames until one does not fit or is wrong; returns how many went.
  size_t send(const uint8_t* memory, size_t size, const uint32_t* table, size_t count);
  Failure set_mtu(int mtu);

private:
  sys::Fd fd_;
  LinkWatch link_;
  std::string name_;
  std::string namespace_;
  Mac mac_{};
  int mtu_ = 1500;
  bool gso_ = false;
  size_t longest_ = 0;
};

} // namespace nodevpp::port
