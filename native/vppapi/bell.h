// The doorbell: an API socket connection of our own beside the shared memory.
//
// A message in VPP's shared-memory queue does not wake a sleeping main loop (it looks there when its sleep of
// up to 10 ms ends); a readable socket does at once. So bytes of an ordinary control_ping frame are sent, ONE
// per ring: VPP wakes for it, finds a frame not yet complete, and goes on. Every 26th byte completes a ping,
// whose reply is read and thrown away before a later ring.
//
//   frame of 26 bytes: header of 16 (length at 8) | u16 23 | u32 client_index | u32 context
//
// Left by sockclnt_delete, end of file, close, as every API socket: see lib/api/close.ts.

#pragma once

#include <array>
#include <cstdint>
#include <mutex>
#include <string>

#include "sys/fd.h"
#include "vppapi/library.h"

namespace nodevpp::vppapi {

class Bell {
public:
  // Connects and shakes hands; blocks up to `timeout_ms`.
  Failure open(const std::string& path, const std::string& name, int timeout_ms);
  // Wakes VPP. False when nobody is there any more. Never blocks; from any thread.
  bool ring();
  // Leaves in good order; blocks up to `timeout_ms`.
  void close(int timeout_ms);
  uint64_t rings() const { return rings_; }

private:
  std::mutex mutex_;
  sys::Fd fd_;
  std::array<uint8_t, 26> frame_{};
  uint32_t client_index_ = 0;
  size_t next_ = 0;
  uint64_t rings_ = 0;
};

} // namespace nodevpp::vppapi
