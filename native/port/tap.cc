#include "port/tap.h"

#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sys/ioctl.h>
#include <sys/uio.h>

#include <cerrno>
#include <cstring>

namespace nodevpp::port {
namespace {

// The longest frame: 64 KiB of IP behind Ethernet and two tags, which only segments have; else that of a
// jumbo.
constexpr size_t kLongestSegment = 65536 + 128;
constexpr size_t kLongestFrame = 16384;
constexpr int kJumbo = 9216;
// Segments of one call: a megabyte or two, as much as a cache holds.
constexpr size_t kSegments = 32;
// Where frames start: the network header behind an Ethernet header then lies at a multiple of 32.
constexpr size_t kAlignment = 32;

// struct virtio_net_hdr; linux/virtio_net.h cannot be included from C++ (a field is called class).
struct VirtioHeader {
  uint8_t flags = 0;
  uint8_t gso_type = 0;
  uint16_t hdr_len = 0;
  uint16_t gso_size = 0;
  uint16_t csum_start = 0;
  uint16_t csum_offset = 0;
};
static_assert(sizeof(VirtioHeader) == 10);

Failure failed(const char* syscall, const std::string& text) {
  return {{errno, syscall}, text};
}

} // namespace

Failure Tap::open(const TapOptions& options, std::unique_ptr<Tap>* out) {
  auto tap = std::make_unique<Tap>();
  tap->namespace_ = options.host_namespace;
  auto set_up_host = [&]() -> Failure {
    std::string text = "creating the TAP interface " + (options.name.empty() ? "tap%d" : options.name);
    tap->fd_ = sys::Fd(::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC));
    if (!tap->fd_.valid()) return failed("open", text + " through /dev/net/tun");
    ifreq ifr{};
    ifr.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
    std::strncpy(ifr.ifr_name, options.name.empty() ? "tap%d" : options.name.c_str(), IFNAMSIZ - 1);
    if (::ioctl(tap->fd_.get(), TUNSETIFF, &ifr) < 0) return failed("TUNSETIFF", text);
    tap->name_ = ifr.ifr_name;
    int header = sizeof(VirtioHeader);
    if (::ioctl(tap->fd_.get(), TUNSETVNETHDRSZ, &header) < 0) return failed("TUNSETVNETHDRSZ", text);
    if (options.gso) {
      tap->gso_ =
          ::ioctl(tap->fd_.get(), TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN) == 0;
    }
    if (!tap->gso_) ::ioctl(tap->fd_.get(), TUNSETOFFLOAD, 0);
    if (options.persist && ::ioctl(tap->fd_.get(), TUNSETPERSIST, 1) < 0)
      return failed("TUNSETPERSIST", text);
    if (options.has_mac) {
      if (auto failure = port::set_mac(tap->name_, options.mac)) return failure;
    }
    if (options.mtu > 0) {
      if (auto failure = port::set_mtu(tap->name_, options.mtu)) return failure;
    }
    if (!options.bridge.empty()) {
      if (auto failure = join_bridge(tap->name_, options.bridge)) return failure;
    }
    if (auto failure = set_up(tap->name_, true)) return failure;
    for (const auto* address : {&options.ip4, &options.ip6}) {
      if (address->family == 0) continue;
      if (auto failure = add_address(tap->name_, *address)) return failure;
    }
    for (const auto* gateway : {&options.gateway4, &options.gateway6}) {
      if (gateway->family == 0) continue;
      if (auto failure = add_default_route(tap->name_, *gateway)) return failure;
    }
    if (auto failure = get_mac(tap->name_, &tap->mac_)) return failure;
    if (auto failure = get_mtu(tap->name_, &tap->mtu_)) return failure;
    return tap->link_.open(tap->name_);
  };
  if (auto failure = in_namespace(options.host_namespace, set_up_host)) return failure;
  tap->longest_ = tap->gso_ || tap->mtu_ > kJumbo ? kLongestSegment : kLongestFrame;
  *out = std::move(tap);
  return {};
}

int Tap::receive(uint8_t* memory, size_t size, size_t headroom, uint32_t* table, size_t max) {
  size_t count = 0;
  size_t end = 0;
  if (gso_ && max > kSegments) max = kSegments;
  while (count < max) {
    VirtioHeader header;
    size_t offset = ((end + kAlignment - 1) & ~(kAlignment - 1)) + headroom;
    if (offset + longest_ > size) break;
    iovec parts[2] = {{&header, sizeof header}, {memory + offset, longest_}};
    ssize_t got = ::readv(fd_.get(), parts, 2);
    if (got < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN) break;
      // The kernel's interface was deleted.
      return count > 0 ? static_cast<int>(count) : -1;
    }
    if (static_cast<size_t>(got) <= sizeof header) continue;
    size_t length = static_cast<size_t>(got) - sizeof header;
    if (length > longest_) continue;
    end = offset + length;
    uint32_t* row = table + count * kReceivedWords;
    row[0] = static_cast<uint32_t>(offset);
    row[1] = static_cast<uint32_t>(length);
    row[2] = header.flags | uint32_t{header.gso_type} << 8;
    row[3] = header.gso_size;
    row[4] = header.csum_start;
    row[5] = header.csum_offset;
    row[6] = header.hdr_len;
    row[7] = 0;
    count++;
  }
  return static_cast<int>(count);
}

size_t Tap::send(const uint8_t* memory, size_t size, const uint32_t* table, size_t count) {
  for (size_t i = 0; i < count; i++) {
    const uint32_t* row = table + i * kSentWords;
    if (uint64_t{row[0]} + row[1] > size || uint64_t{row[2]} + row[3] > size) return i;
    VirtioHeader header;
    header.flags = static_cast<uint8_t>(row[4]);
    header.gso_type = static_cast<uint8_t>(row[4] >> 8);
    header.gso_size = static_cast<uint16_t>(row[5]);
    header.hdr_len = static_cast<uint16_t>(row[5] >> 16);
    header.csum_start = static_cast<uint16_t>(row[6]);
    header.csum_offset = static_cast<uint16_t>(row[6] >> 16);
    // The kernel only reads; iovec has no const.
    iovec parts[3] = {{&header, sizeof header},
                      {const_cast<uint8_t*>(memory) + row[0], row[1]},
                      {const_cast<uint8_t*>(memory) + row[2], row[3]}};
    ssize_t wrote = 0;
    do
      wrote = ::writev(fd_.get(), parts, 3);
    while (wrote < 0 && errno == EINTR);
    // A frame the kernel does not like is lost alone; a full queue, or an interface that is down, ends it.
    if (wrote < 0 && errno != EINVAL) return i;
  }
  return count;
}

Failure Tap::set_mtu(int mtu) {
  auto failure = in_namespace(namespace_, [&] { return port::set_mtu(name_, mtu); });
  if (!failure) mtu_ = mtu;
  return failure;
}

} // namespace nodevpp::port
