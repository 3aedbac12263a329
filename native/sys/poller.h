// Readiness of file descriptors, as the control channel needs it: the addon gives one over libuv, the C++
// tests one over epoll. All callbacks come on the thread that owns the poller.

#pragma once

#include <functional>

namespace nodevpp::sys {

class Poller {
public:
  using Token = void*;
  using Callback = std::function<void()>;

  virtual ~Poller() = default;
  // Calls back while `fd` is readable or hung up. nullptr when the descriptor cannot be watched.
  virtual Token watch(int fd, Callback callback) = 0;
  // After this the callback is not called again; allowed inside a callback, also its own.
  virtual void unwatch(Token token) = 0;
};

} // namespace nodevpp::sys
