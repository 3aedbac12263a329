// Seqpacket sockets: addresses, listening with care for stale files, and messages that carry descriptors.

#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include <string>
#include <vector>

#include "sys/fd.h"
#include "sys/foreign_fd.h"

namespace nodevpp::sys {

// A unix address: a file path, or an abstract name written `@name` or `abstract:name` (VPP's form).
struct UnixAddress {
  sockaddr_un address{};
  socklen_t length = 0;
  bool abstract = false;
  std::string text; // as the user wrote it

  // Empty string when fine, else what is wrong with it.
  static std::string parse(const std::string& text, UnixAddress* out);
  const char* path() const { return address.sun_path; }
};

struct ListenOptions {
  int backlog = 64;
  int mode = -1; // permission bits of the socket file, -1: the process's umask decides
  int uid = -1;
  int gid = -1;
};

// What happened to a file that was in the way.
enum class ListenOutcome { fresh, replaced_stale };

// Binds and listens. A socket file that nobody listens on is replaced; a live listener is EADDRINUSE. Of
// several processes that find the same stale file one gets it.
SysError listen_seqpacket(const UnixAddress& address, const ListenOptions& options, Fd* out,
                          ListenOutcome* outcome);

// Non-blocking connect; for unix sockets it succeeds or fails at once.
SysError connect_seqpacket(const UnixAddress& address, Fd* out);

struct ReceivedMessage {
  uint8_t data[256];
  size_t size = 0;            // bytes received, at most sizeof data
  bool truncated = false;     // longer than data, or descriptors were lost
  std::vector<ForeignFd> fds; // every descriptor that came along, to keep or to close
};

enum class ReceiveStatus { message, nothing, closed, failed };

// Takes one message with all its descriptors.
ReceiveStatus receive_message(int socket, ReceivedMessage* out, SysError* error);

// Sends one message, with one descriptor when `fd` >= 0. EAGAIN when the peer does not read.
SysError send_message(int socket, const void* data, size_t size, int fd);

// Whether the peer of a connected socket has gone (nothing is consumed).
bool peer_has_gone(int socket);

} // namespace nodevpp::sys
