// Eventfds as doorbells. The open file description is shared with the peer, who may clear O_NONBLOCK on it or
// leave the counter at its maximum, and do so between any two system calls of ours: nothing here may block
// because of that.

#pragma once

#include "sys/fd.h"

namespace nodevpp::sys {

SysError create_eventfd(Fd* out);

// Whether a descriptor received from a peer really is an eventfd.
bool is_eventfd(int fd);

// Whether one drain empties an eventfd; it is left empty. A peer could hand us a semaphore (EFD_SEMAPHORE)
// with a large count, which would wake us for ever.
bool drains_at_once(int fd);

// Makes sure that O_NONBLOCK is set.
SysError set_nonblocking(int fd);

// Adds one to the counter; a counter that is full stays so. False when the descriptor cannot be rung.
bool kick(int fd);

// Empties the counter; true when there was something in it.
bool drain(int fd);

} // namespace nodevpp::sys
