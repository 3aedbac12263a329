// Survive SIGBUS on guarded mappings.
//
// A peer that may shrink a file we have mapped can make any load or store of ours fault. For mappings
// registered here the signal handler puts anonymous zero pages over the whole mapping, remembers the hit, and
// lets the access go on; every other SIGBUS goes to the handler that was there before.
//
// Signal handlers have no context, so this table is the one static object of the addon: process-wide,
// lock-free, of fixed size, shared by all environments.

#pragma once

#include <cstddef>

namespace nodevpp::sys {

// Registers a mapping; returns its slot, or -1 when the table is full. Installs the handler on first use.
int guard_add(void* start, size_t size);
void guard_remove(int slot);
bool guard_hit(int slot);
// How many hits there have been in this process: lets a caller notice cheaply that it should look.
unsigned guard_hits();

} // namespace nodevpp::sys
