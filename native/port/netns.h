// Network namespaces and the kernel's interfaces in them, by ioctl.

#pragma once

#include <array>
#include <functional>
#include <string>
#include <vector>

#include "sys/fd.h"

namespace nodevpp::port {

// Why a port cannot be had: a system call, and what it was asked to do.
struct Failure {
  sys::SysError error;
  std::string text; // `setting the MTU of tap0`
  explicit operator bool() const { return static_cast<bool>(error); }
};

// Runs something in a network namespace: a name under /run/netns, a path, or empty for the one we are in.
// A thread of its own enters it: ours stays where it is, whatever happens.
Failure in_namespace(const std::string& name, const std::function<Failure()>& run);

using Mac = std::array<uint8_t, 6>;

// An address with its prefix length; `family` 0 is none.
struct IpAddress {
  int family = 0; // AF_INET, AF_INET6
  std::array<uint8_t, 16> bytes{};
  unsigned length = 0;
};

// Each sets one thing of an interface in the namespace of the calling thread.
Failure set_mac(const std::string& interface, const Mac& mac);
Failure get_mac(const std::string& interface, Mac* mac);
Failure set_mtu(const std::string& interface, int mtu);
Failure get_mtu(const std::string& interface, int* mtu);
Failure set_up(const std::string& interface, bool up);
Failure add_address(const std::string& interface, const IpAddress& address);
Failure add_default_route(const std::string& interface, const IpAddress& gateway);
Failure join_bridge(const std::string& interface, const std::string& bridge);
Failure get_index(const std::string& interface, int* index);

// Follows whether an interface of the namespace it was opened in is running.
class LinkWatch {
public:
  Failure open(const std::string& interface);
  int fd() const { return socket_.get(); }
  bool running() const { return running_; }
  // Reads what the kernel has to say; true when `running` has changed.
  bool update();

private:
  sys::Fd socket_;
  int index_ = 0;
  bool running_ = false;
};

} // namespace nodevpp::port
