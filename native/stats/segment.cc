#include "stats/segment.h"

#include <sys/stat.h>

#include <cerrno>

namespace nodevpp::stats {

const char* reason_name(Reason reason) {
  switch (reason) {
  case Reason::none:
    return "NONE";
  case Reason::system:
    return "SYSTEM";
  case Reason::address:
    return "ADDRESS";
  case Reason::protocol:
    return "PROTOCOL";
  case Reason::segment:
    return "SEGMENT";
  }
  return "NONE";
}

Failure Connection::open(const std::string& address, std::unique_ptr<Connection>* out) {
  sys::UnixAddress parsed;
  std::string wrong = sys::UnixAddress::parse(address, &parsed);
  if (!wrong.empty()) return {Reason::address, wrong, {}};
  sys::Fd socket;
  if (auto error = sys::connect_seqpacket(parsed, &socket)) return {Reason::system, {}, error};
  struct ucred peer {};
  socklen_t length = sizeof peer;
  auto* connection = new Connection(std::move(socket));
  if (::getsockopt(connection->socket(), SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0) {
    connection->pid_ = peer.pid;
  }
  out->reset(connection);
  return {};
}

Connection::Status Connection::receive(Segment* out, Failure* failure) {
  sys::ReceivedMessage message;
  sys::SysError error;
  switch (sys::receive_message(socket_.get(), &message, &error)) {
  case sys::ReceiveStatus::nothing:
    return Status::pending;
  case sys::ReceiveStatus::closed:
    *failure = {Reason::protocol, "it closed the connection without handing out a descriptor", {}};
    return Status::failed;
  case sys::ReceiveStatus::failed:
    *failure = {Reason::system, {}, error};
    return Status::failed;
  case sys::ReceiveStatus::message:
    break;
  }
  if (message.fds.empty()) {
    // The kernel drops descriptors that do not fit in this process's table.
    *failure = message.truncated ? Failure{Reason::system, "receiving the descriptor", {EMFILE, "recvmsg"}}
                                 : Failure{Reason::protocol, "it sent a message without a descriptor", {}};
    return Status::failed;
  }
  *failure = map_segment(std::move(message.fds.front()), out);
  return *failure ? Status::failed : Status::segment;
}

Failure map_segment(sys::ForeignFd fd, Segment* out) {
  sys::FileFacts facts;
  if (auto error = sys::inspect_file(fd.get(), &facts)) return {Reason::system, {}, error};
  if (!facts.shared_memory) return {Reason::segment, "what it handed out is not shared memory", {}};
  if (facts.size < kLeastBytes || facts.size > kMostBytes) {
    return {Reason::segment,
            "the memory it handed out has " + std::to_string(facts.size) +
                " bytes; a stats segment has 4 KiB to 4 GiB",
            {}};
  }
  struct stat st {};
  if (::fstat(fd.get(), &st) != 0) return {Reason::system, {}, {errno, "fstat"}};
  Segment segment;
  segment.device = st.st_dev;
  segment.inode = st.st_ino;
  segment.sealed = facts.sealed_against_shrinking;
  if (auto error = sys::Mapping::map(fd.get(), facts.size, !segment.sealed, &segment.mapping,
                                     sys::Access::read_only)) {
    return {Reason::system, error.err == ENOSPC ? "too many guarded mappings in this process" : "", error};
  }
  *out = std::move(segment);
  return {};
}

} // namespace nodevpp::stats
