#include "sys/seqpacket.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstddef>
#include <cstring>

namespace nodevpp::sys {
namespace {

// The kernel lets at most 253 descriptors travel with one message (SCM_MAX_FD).
constexpr size_t kMaxFds = 253;
constexpr size_t kControlBytes = CMSG_SPACE(kMaxFds * sizeof(int)) + CMSG_SPACE(sizeof(struct ucred));

// Whether somebody listens on a socket file: a connect is refused when its owner is gone.
bool somebody_listens(const UnixAddress& address) {
  for (int type : {SOCK_SEQPACKET, SOCK_STREAM, SOCK_DGRAM}) {
    Fd probe(::socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!probe.valid()) return true; // cannot tell: never take a file away from somebody
    if (::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address.address), address.length) == 0)
      return true;
    if (errno == EPROTOTYPE) continue; // alive or dead, but of another type
    return errno != ECONNREFUSED && errno != ENOENT;
  }
  return true;
}

// Keeps others who listen in the same folder out until this one has bound and listens: between the two, and
// between a look at a stale file and its removal, its socket looks like one that nobody listens on. The lock
// is on the folder itself, so nothing is left behind. Who holds it for long is not one of us, and is not
// waited for.
Fd lock_folder_of(const UnixAddress& address) {
  std::string path = address.path();
  size_t slash = path.rfind('/');
  std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  Fd lock(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  for (int i = 0; lock.valid() && i < 500; i++) {
    if (::flock(lock.get(), LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) break;
    ::usleep(1000);
  }
  return lock;
}

} // namespace

std::string UnixAddress::parse(const std::string& text, UnixAddress* out) {
  constexpr char kVppPrefix[] = "abstract:";
  UnixAddress result;
  result.text = text;
  result.address.sun_family = AF_UNIX;
  std::string name = text;
  if (text.rfind(kVppPrefix, 0) == 0) {
    result.abstract = true;
    name = text.substr(sizeof kVppPrefix - 1);
  } else if (text.rfind('@', 0) == 0) {
    result.abstract = true;
    name = text.substr(1);
  }
  if (name.empty()) return "the name is empty";
  if (name.find('\0') != std::string::npos) return "the name contains a NUL byte";
  // A path needs its NUL; an abstract name has one in front and none behind. Both leave 107 bytes.
  if (name.size() > sizeof result.address.sun_path - 1) {
    return "the name has " + std::to_string(name.size()) + " bytes; a unix socket address holds 107";
  }
  size_t lead = result.abstract ? 1 : 0;
  std::memcpy(result.address.sun_path + lead, name.data(), name.size());
  result.length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size() + 1);
  *out = result;
  return {};
}

SysError listen_seqpacket(const UnixAddress& address, const ListenOptions& options, Fd* out,
                          ListenOutcome* outcome) {
  Fd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return {errno, "socket"};
  // The mode must hold from the first instant: fchmod before bind gives the file its permissions.
  if (!address.abstract && options.mode >= 0 && ::fchmod(fd.get(), static_cast<mode_t>(options.mode)) != 0) {
    return {errno, "fchmod"};
  }
  *outcome = ListenOutcome::fresh;
  Fd lock = address.abstract ? Fd() : lock_folder_of(address);
  const auto* bound = reinterpret_cast<const sockaddr*>(&address.address);
  if (::bind(fd.get(), bound, address.length) != 0) {
    if (errno != EADDRINUSE || address.abstract) return {errno, "bind"};
    struct stat st {};
    if (::lstat(address.path(), &st) != 0) return {errno, "lstat"};
    if (!S_ISSOCK(st.st_mode)) return {EEXIST, "bind"}; // a file of another kind is not ours to remove
    if (somebody_listens(address)) return {EADDRINUSE, "bind"};
    if (::unlink(address.path()) != 0 && errno != ENOENT) return {errno, "unlink"};
    if (::bind(fd.get(), bound, address.length) != 0) return {errno, "bind"};
    *outcome = ListenOutcome::replaced_stale;
  }
  auto fail = [&](SysError error) {
    if (!address.abstract) ::unlink(address.path());
    return error;
  };
  if (!address.abstract) {
    // umask has thinned the mode at bind; the owner can only be set on the file.
    if (options.mode >= 0 && ::chmod(address.path(), static_cast<mode_t>(options.mode)) != 0)
      return fail({errno, "chmod"});
    if ((options.uid >= 0 || options.gid >= 0) &&
        ::lchown(address.path(), static_cast<uid_t>(options.uid), static_cast<gid_t>(options.gid)) != 0) {
      return fail({errno, "chown"});
    }
  }
  if (::listen(fd.get(), options.backlog) != 0) return fail({errno, "listen"});
  *out = std::move(fd);
  return {};
}

SysError connect_seqpacket(const UnixAddress& address, Fd* out) {
  Fd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return {errno, "socket"};
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address.address), address.length) != 0) {
    return {errno, "connect"};
  }
  *out = std::move(fd);
  return {};
}

ReceiveStatus receive_message(int socket, ReceivedMessage* out, SysError* error) {
  alignas(cmsghdr) uint8_t control[kControlBytes];
  struct iovec vector = {out->data, sizeof out->data};
  struct msghdr header {};
  header.msg_iov = &vector;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof control;
  ssize_t got = 0;
  do {
    got = ::recvmsg(socket, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  } while (got < 0 && errno == EINTR);
  if (got < 0) {
    if (errno == EAGAIN || errno == EWOULDBLOCK) return ReceiveStatus::nothing;
    *error = {errno, "recvmsg"};
    return errno == ECONNRESET ? ReceiveStatus::closed : ReceiveStatus::failed;
  }
  out->fds.clear();
  for (cmsghdr* part = CMSG_FIRSTHDR(&header); part != nullptr; part = CMSG_NXTHDR(&header, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; i++) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof fd);
      out->fds.emplace_back(fd);
    }
  }
  // A seqpacket message of no bytes looks like the end; only its absence of descriptors tells nothing more.
  if (got == 0 && out->fds.empty()) return ReceiveStatus::closed;
  out->size = static_cast<size_t>(got);
  out->truncated = (header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0;
  return ReceiveStatus::message;
}

SysError send_message(int socket, const void* data, size_t size, int fd) {
  alignas(cmsghdr) uint8_t control[CMSG_SPACE(sizeof(int))] = {};
  struct iovec vector = {const_cast<void*>(data), size};
  struct msghdr header {};
  header.msg_iov = &vector;
  header.msg_iovlen = 1;
  if (fd >= 0) {
    header.msg_control = control;
    header.msg_controllen = sizeof control;
    cmsghdr* part = CMSG_FIRSTHDR(&header);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(part), &fd, sizeof fd);
  }
  ssize_t sent = 0;
  do {
    sent = ::sendmsg(socket, &header, MSG_DONTWAIT | MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  if (sent < 0) return {errno, "sendmsg"};
  return {};
}

bool peer_has_gone(int socket) {
  struct pollfd entry = {socket, POLLRDHUP, 0};
  return ::poll(&entry, 1, 0) > 0 && (entry.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

} // namespace nodevpp::sys
