#include "port/netns.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <net/route.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <thread>

namespace nodevpp::port {
namespace {

Failure failed(const char* syscall, const std::string& text) {
  return {{errno, syscall}, text};
}

// An interface request on a socket of its own.
struct Request {
  explicit Request(const std::string& interface) : socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    std::strncpy(ifr.ifr_name, interface.c_str(), IFNAMSIZ - 1);
  }
  Failure run(unsigned long what, const char* name, const std::string& text) {
    if (!socket.valid()) return failed("socket", text);
    if (::ioctl(socket.get(), what, &ifr) < 0) return failed(name, text);
    return {};
  }
  sys::Fd socket;
  ifreq ifr{};
};

} // namespace

Failure in_namespace(const std::string& name, const std::function<Failure()>& run) {
  if (name.empty()) return run();
  std::string path = name.find('/') == std::string::npos ? "/run/netns/" + name : name;
  sys::Fd ns(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!ns.valid()) return failed("open", "opening the network namespace " + path);
  Failure result;
  std::thread thread([&] {
    if (::setns(ns.get(), CLONE_NEWNET) < 0)
      result = failed("setns", "entering the network namespace " + path);
    else
      result = run();
  });
  thread.join();
  return result;
}

Failure set_mac(const std::string& interface, const Mac& mac) {
  Request request(interface);
  request.ifr.ifr_hwaddr.sa_family = ARPHRD_ETHER;
  std::memcpy(request.ifr.ifr_hwaddr.sa_data, mac.data(), mac.size());
  return request.run(SIOCSIFHWADDR, "SIOCSIFHWADDR", "setting the MAC address of " + interface);
}

Failure get_mac(const std::string& interface, Mac* mac) {
  Request request(interface);
  auto failure = request.run(SIOCGIFHWADDR, "SIOCGIFHWADDR", "reading the MAC address of " + interface);
  if (!failure) std::memcpy(mac->data(), request.ifr.ifr_hwaddr.sa_data, mac->size());
  return failure;
}

Failure set_mtu(const std::string& interface, int mtu) {
  Request request(interface);
  request.ifr.ifr_mtu = mtu;
  return request.run(SIOCSIFMTU, "SIOCSIFMTU",
                     "setting the MTU of " + interface + " to " + std::to_string(mtu));
}

Failure get_mtu(const std::string& interface, int* mtu) {
  Request request(interface);
  auto failure = request.run(SIOCGIFMTU, "SIOCGIFMTU", "reading the MTU of " + interface);
  if (!failure) *mtu = request.ifr.ifr_mtu;
  return failure;
}

Failure set_up(const std::string& interface, bool up) {
  Request request(interface);
  std::string text = "bringing " + interface + (up ? " up" : " down");
  if (auto failure = request.run(SIOCGIFFLAGS, "SIOCGIFFLAGS", text)) return failure;
  auto flags = static_cast<unsigned>(static_cast<unsigned short>(request.ifr.ifr_flags));
  flags = up ? flags | IFF_UP : flags & ~static_cast<unsigned>(IFF_UP);
  request.ifr.ifr_flags = static_cast<short>(flags);
  return request.run(SIOCSIFFLAGS, "SIOCSIFFLAGS", text);
}

Failure get_index(const std::string& interface, int* index) {
  Request request(interface);
  auto failure = request.run(SIOCGIFINDEX, "SIOCGIFINDEX", "looking for the interface " + interface);
  if (!failure) *index = request.ifr.ifr_ifindex;
  return failure;
}

Failure add_address(const std::string& interface, const IpAddress& address) {
  std::string text = "giving " + interface + " an address";
  if (address.family == AF_INET) {
    Request request(interface);
    sockaddr_in in{};
    in.sin_family = AF_INET;
    std::memcpy(&in.sin_addr, address.bytes.data(), 4);
    std::memcpy(&request.ifr.ifr_addr, &in, sizeof in);
    if (auto failure = request.run(SIOCSIFADDR, "SIOCSIFADDR", text)) return failure;
    in.sin_addr.s_addr = address.length == 0 ? 0 : htonl(~uint32_t{0} << (32 - address.length));
    std::memcpy(&request.ifr.ifr_netmask, &in, sizeof in);
    return request.run(SIOCSIFNETMASK, "SIOCSIFNETMASK", text);
  }
  int index = 0;
  if (auto failure = get_index(interface, &index)) return failure;
  sys::Fd socket(::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket.valid()) return failed("socket", text);
  // struct in6_ifreq and, below, struct in6_rtmsg: the headers that have them clash with those of the C
  // library.
  struct {
    uint8_t address[16];
    uint32_t prefix_length;
    int ifindex;
  } request{};
  std::memcpy(request.address, address.bytes.data(), 16);
  request.prefix_length = address.length;
  request.ifindex = index;
  if (::ioctl(socket.get(), SIOCSIFADDR, &request) < 0 && errno != EEXIST) return failed("SIOCSIFADDR", text);
  return {};
}

Failure add_default_route(const std::string& interface, const IpAddress& gateway) {
  std::string text = "adding the default route of " + interface;
  if (gateway.family == AF_INET) {
    sys::Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (!socket.valid()) return failed("socket", text);
    rtentry route{};
    sockaddr_in in{};
    in.sin_family = AF_INET;
    std::memcpy(&route.rt_dst, &in, sizeof in);
    std::memcpy(&route.rt_genmask, &in, sizeof in);
    std::memcpy(&in.sin_addr, gateway.bytes.data(), 4);
    std::memcpy(&route.rt_gateway, &in, sizeof in);
    route.rt_flags = RTF_UP | RTF_GATEWAY;
    std::string name = interface;
    route.rt_dev = name.data();
    if (::ioctl(socket.get(), SIOCADDRT, &route) < 0) return failed("SIOCADDRT", text);
    return {};
  }
  int index = 0;
  if (auto failure = get_index(interface, &index)) return failure;
  sys::Fd socket(::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket.valid()) return failed("socket", text);
  struct {
    uint8_t dst[16];
    uint8_t src[16];
    uint8_t gateway[16];
    uint32_t type;
    uint16_t dst_len;
    uint16_t src_len;
    uint32_t metric;
    unsigned long info;
    uint32_t flags;
    int ifindex;
    uint8_t rest[sizeof(rtentry)]; // valgrind takes every SIOCADDRT for one of IPv4
  } route{};
  std::memcpy(route.gateway, gateway.bytes.data(), 16);
  route.metric = 1;
  route.flags = RTF_UP | RTF_GATEWAY;
  route.ifindex = index;
  if (::ioctl(socket.get(), SIOCADDRT, &route) < 0) return failed("SIOCADDRT", text);
  return {};
}

Failure join_bridge(const std::string& interface, const std::string& bridge) {
  int index = 0;
  if (auto failure = get_index(interface, &index)) return failure;
  Request request(bridge);
  request.ifr.ifr_ifindex = index;
  return request.run(SIOCBRADDIF, "SIOCBRADDIF", "adding " + interface + " to the bridge " + bridge);
}

Failure LinkWatch::open(const std::string& interface) {
  std::string text = "watching the link of " + interface;
  if (auto failure = get_index(interface, &index_)) return failure;
  socket_ = sys::Fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE));
  if (!socket_.valid()) return failed("socket", text);
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = RTMGRP_LINK;
  if (::bind(socket_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) < 0) {
    return failed("bind", text);
  }
  Request request(interface);
  if (auto failure = request.run(SIOCGIFFLAGS, "SIOCGIFFLAGS", text)) return failure;
  unsigned flags = static_cast<unsigned short>(request.ifr.ifr_flags);
  running_ = (flags & IFF_UP) != 0 && (flags & IFF_RUNNING) != 0;
  return {};
}

bool LinkWatch::update() {
  bool before = running_;
  alignas(nlmsghdr) char buffer[16384];
  for (;;) {
    ssize_t got = ::recv(socket_.get(), buffer, sizeof buffer, 0);
    if (got < 0 && errno == ENOBUFS) continue;
    if (got <= 0) break;
    auto left = static_cast<unsigned>(got);
    for (auto* header = reinterpret_cast<nlmsghdr*>(buffer); NLMSG_OK(header, left);
         header = NLMSG_NEXT(header, left)) {
      if (header->nlmsg_len < NLMSG_LENGTH(sizeof(ifinfomsg))) continue;
      const auto* info = static_cast<ifinfomsg*>(NLMSG_DATA(header));
      if (info->ifi_index != index_) continue;
      if (header->nlmsg_type == RTM_NEWLINK)
        running_ = (info->ifi_flags & IFF_UP) != 0 && (info->ifi_flags & IFF_RUNNING) != 0;
      else if (header->nlmsg_type == RTM_DELLINK)
        running_ = false;
    }
  }
  return running_ != before;
}

} // namespace nodevpp::port
