// Eventfds as doorbells. The open file description is shared with the peer, who may clear O_NONBLOCK on it or
// leave the counter at its maximum: nothing here may block because of that.

#pragma once

#include "sys/fd.h"

namespace nodevpp::sys {

SysError create_eventfd(Fd* out);

// Whether a descriptor received from a peer really is an eventfd.
bool is_eventfd(int fd);

// Makes sure that O_NONBLOCK is set.
SysError set_nonblocking(int fd);

// Adds one to the counter. Returns false when the peer has made the descriptor blocking or unusable.
bool kick(int fd);

// Empties the counter; true when there was something in it.
bool drain(int fd);

} // namespace nodevpp::sys
