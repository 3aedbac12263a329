// The stats segment as its readers get it: connect to the stats socket, receive one descriptor of shared
// memory, map it read-only. VPP sends the descriptor as soon as it accepts, with an empty message or one
// byte, and closes.
//
//   open()      connected, nothing received yet; the socket becomes readable when VPP has accepted
//   receive()   pending | segment | failed
//
// What is in the mapping is for its reader to check. VPP seals a segment of normal pages against shrinking;
// one of huge pages, or of another writer, can be truncated under us: such mappings are guarded
// (sys/guard.h), and lost() tells.

#pragma once

#include <memory>
#include <string>

#include "sys/fd.h"
#include "sys/foreign_fd.h"
#include "sys/seqpacket.h"
#include "sys/shared_memory.h"

namespace nodevpp::stats {

// A stats segment is 32 MB unless configured otherwise; one page is the least that holds a header. The most
// is what offsets of 32-bit readers reach.
constexpr uint64_t kLeastBytes = 4096;
constexpr uint64_t kMostBytes = uint64_t{1} << 32;

enum class Reason {
  none,
  system,   // a system call failed, see error
  address,  // the socket's name is none
  protocol, // what listens there does not hand out a descriptor
  segment,  // what it hands out is no segment: not shared memory, or of a size that cannot be
};
const char* reason_name(Reason reason);

struct Failure {
  Reason reason = Reason::none;
  std::string text;
  sys::SysError error;
  explicit operator bool() const { return reason != Reason::none; }
};

struct Segment {
  std::shared_ptr<sys::Mapping> mapping;
  // Of the file: two connections that give the same numbers have given the same segment.
  uint64_t device = 0;
  uint64_t inode = 0;
  bool sealed = false;
};

class Connection {
public:
  static Failure open(const std::string& address, std::unique_ptr<Connection>* out);
  int socket() const { return socket_.get(); }
  // The process that listens, as the kernel knows it; 0 when it lives in a namespace we cannot see.
  int pid() const { return pid_; }

  enum class Status { pending, segment, failed };
  Status receive(Segment* out, Failure* failure);

private:
  explicit Connection(sys::Fd socket) : socket_(std::move(socket)) {}
  sys::Fd socket_;
  int pid_ = 0;
};

// Maps a descriptor that came from somebody else.
Failure map_segment(sys::ForeignFd fd, Segment* out);

} // namespace nodevpp::stats
