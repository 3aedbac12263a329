// The files of VPP's API segment, looked at before the library does: it would wait 100 s for a missing one,
// create one that should be VPP's, crash on one it may not open, and map over whatever is at their addresses.
//
//   /dev/shm/[prefix-]global_vm    the root region, 64 MB
//   /dev/shm/[prefix-]vpe-api      queues, rings and messages, 16 MB

#pragma once

#include <cstdint>
#include <vector>

#include "vppapi/library.h"

namespace nodevpp::vppapi {

// Where a file of the segment says it has to be mapped.
struct Range {
  uint64_t start = 0;
  uint64_t size = 0;
};

// Whether both files are there, may be opened, and their addresses are free in this process. `ranges` gets
// the addresses of those that name them.
Failure check_segment(const std::string& folder, const std::string& prefix, std::vector<Range>* ranges);

} // namespace nodevpp::vppapi
