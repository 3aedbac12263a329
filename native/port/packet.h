// AF_PACKET on an interface of the kernel, both rings in one mapping (TPACKET_V3, packet(7),
// Documentation/networking/packet_mmap.rst). The rings are walked by whoever has the mapping; here they are
// made, and the kernel is told that frames wait.
//
//   mapping   receive: blocks of packets of any length   |   transmit: frames of one size
//
// Every packet has a virtio_net_hdr in front: a veth hands over segments and unfinished checksums.

#pragma once

#include <memory>

#include "port/netns.h"
#include "sys/shared_memory.h"

namespace nodevpp::port {

struct PacketLayout {
  uint32_t block_size = 0;
  uint32_t blocks = 0;
  uint32_t tx_offset = 0; // of the transmit ring in the mapping
  uint32_t frame_size = 0;
  uint32_t frames = 0;
  uint32_t frame_data = 0; // where the virtio_net_hdr of a transmit frame starts
};

class Packet {
public:
  static Failure open(const std::string& interface, const std::string& name_space,
                      std::unique_ptr<Packet>* out);

  int fd() const { return socket_.get(); }
  int link_fd() const { return link_.fd(); }
  bool link_update() { return link_.update(); }
  bool running() const { return link_.running(); }
  const Mac& mac() const { return mac_; }
  int mtu() const { return mtu_; }
  const PacketLayout& layout() const { return layout_; }
  const std::shared_ptr<sys::Mapping>& memory() const { return memory_; }

  // Tells the kernel that transmit frames are filled. False when the interface is gone or down.
  bool kick();
  // Takes an error off the socket, which would wake us for ever.
  int take_error();
  Failure set_promiscuous(bool on);
  Failure set_mtu(int mtu);

private:
  sys::Fd socket_;
  LinkWatch link_;
  std::string interface_;
  std::string namespace_;
  int index_ = 0;
  Mac mac_{};
  int mtu_ = 1500;
  PacketLayout layout_;
  std::shared_ptr<sys::Mapping> memory_;
};

} // namespace nodevpp::port
