#include "port/packet.h"

#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

namespace nodevpp::port {
namespace {

// A block holds a segment of 64 KiB with its headers, or many small packets.
constexpr uint32_t kBlockSize = 1U << 17;
constexpr uint32_t kBlocks = 32;
// A block that is not full is handed over after this; the kernel's smallest.
constexpr uint32_t kRetireMs = 1;
// A frame holds a segment: 17 pages.
constexpr uint32_t kFrameSize = 17 * 4096;
constexpr uint32_t kFrames = 128;

Failure failed(const char* syscall, const std::string& text) {
  return {{errno, syscall}, text};
}

} // namespace

Failure Packet::open(const std::string& interface, const std::string& name_space,
                     std::unique_ptr<Packet>* out) {
  auto packet = std::make_unique<Packet>();
  packet->interface_ = interface;
  packet->namespace_ = name_space;
  std::string text = "opening AF_PACKET on " + interface;
  auto set_up_socket = [&]() -> Failure {
    if (auto failure = get_index(interface, &packet->index_)) return failure;
    // No protocol yet: nothing comes before the rings are there.
    packet->socket_ = sys::Fd(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!packet->socket_.valid()) return failed("socket", text);
    int fd = packet->socket_.get();
    int version = TPACKET_V3;
    int one = 1;
    if (::setsockopt(fd, SOL_PACKET, PACKET_VERSION, &version, sizeof version) < 0) {
      return failed("PACKET_VERSION", text);
    }
    if (::setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof one) < 0) {
      return failed("PACKET_VNET_HDR", text);
    }
    // What we send ourselves is not to come back.
    if (::setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof one) < 0) {
      return failed("PACKET_IGNORE_OUTGOING", text);
    }
    // A frame that is wrong is given back, and does not stop the ring.
    ::setsockopt(fd, SOL_PACKET, PACKET_LOSS, &one, sizeof one);
    tpacket_req3 rx{};
    rx.tp_block_size = kBlockSize;
    rx.tp_block_nr = kBlocks;
    rx.tp_frame_size = 2048;
    rx.tp_frame_nr = kBlockSize / 2048 * kBlocks;
    rx.tp_retire_blk_tov = kRetireMs;
    if (::setsockopt(fd, SOL_PACKET, PACKET_RX_RING, &rx, sizeof rx) < 0)
      return failed("PACKET_RX_RING", text);
    tpacket_req3 tx{};
    tx.tp_block_size = kFrameSize;
    tx.tp_block_nr = kFrames;
    tx.tp_frame_size = kFrameSize;
    tx.tp_frame_nr = kFrames;
    if (::setsockopt(fd, SOL_PACKET, PACKET_TX_RING, &tx, sizeof tx) < 0)
      return failed("PACKET_TX_RING", text);
    packet->layout_.block_size = kBlockSize;
    packet->layout_.blocks = kBlocks;
    packet->layout_.tx_offset = kBlockSize * kBlocks;
    packet->layout_.frame_size = kFrameSize;
    packet->layout_.frames = kFrames;
    packet->layout_.frame_data = TPACKET_ALIGN(sizeof(tpacket3_hdr));
    size_t size = size_t{kBlockSize} * kBlocks + size_t{kFrameSize} * kFrames;
    if (auto error = sys::Mapping::map(fd, size, false, &packet->memory_)) return {error, text};
    sockaddr_ll address{};
    address.sll_family = AF_PACKET;
    address.sll_protocol = htons(ETH_P_ALL);
    address.sll_ifindex = packet->index_;
    if (::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) < 0) return failed("bind", text);
    if (auto failure = get_mac(interface, &packet->mac_)) return failure;
    if (auto failure = get_mtu(interface, &packet->mtu_)) return failure;
    return packet->link_.open(interface);
  };
  if (auto failure = in_namespace(name_space, set_up_socket)) return failure;
  // Frames for our own MAC address, which is not the device's, must come too. As VPP does.
  if (auto failure = packet->set_promiscuous(true)) return failure;
  *out = std::move(packet);
  return {};
}

bool Packet::kick() {
  for (;;) {
    if (::send(socket_.get(), nullptr, 0, MSG_DONTWAIT) >= 0) return true;
    if (errno == EINTR) continue;
    // Frames stay in the ring, and go with the next kick.
    return errno == EAGAIN || errno == ENOBUFS;
  }
}

int Packet::take_error() {
  int error = 0;
  socklen_t length = sizeof error;
  ::getsockopt(socket_.get(), SOL_SOCKET, SO_ERROR, &error, &length);
  return error;
}

Failure Packet::set_promiscuous(bool on) {
  packet_mreq request{};
  request.mr_ifindex = index_;
  request.mr_type = PACKET_MR_PROMISC;
  int what = on ? PACKET_ADD_MEMBERSHIP : PACKET_DROP_MEMBERSHIP;
  if (::setsockopt(socket_.get(), SOL_PACKET, what, &request, sizeof request) < 0) {
    return failed("PACKET_ADD_MEMBERSHIP", "making " + interface_ + " promiscuous");
  }
  return {};
}

Failure Packet::set_mtu(int mtu) {
  auto failure = in_namespace(namespace_, [&] { return port::set_mtu(interface_, mtu); });
  if (!failure) mtu_ = mtu;
  return failure;
}

} // namespace nodevpp::port
