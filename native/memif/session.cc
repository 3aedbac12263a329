#include "memif/session.h"

#include <algorithm>
#include <cstring>

namespace nodevpp::memif {

const char* reason_name(Reason reason) {
  switch (reason) {
  case Reason::closed:
    return "CLOSED";
  case Reason::peer_closed:
    return "PEER_CLOSED";
  case Reason::peer_refused:
    return "PEER_REFUSED";
  case Reason::protocol:
    return "PROTOCOL";
  case Reason::version:
    return "VERSION";
  case Reason::id:
    return "ID";
  case Reason::busy:
    return "BUSY";
  case Reason::mode:
    return "MODE";
  case Reason::secret:
    return "SECRET";
  case Reason::region:
    return "REGION";
  case Reason::ring:
    return "RING";
  case Reason::descriptor:
    return "DESCRIPTOR";
  case Reason::index:
    return "INDEX";
  case Reason::timeout:
    return "TIMEOUT";
  case Reason::system:
    return "SYSTEM";
  }
  return "SYSTEM";
}

bool Session::memory_lost() const {
  // Where nobody has touched what is missing, or another thread has through a mapping of its own, the file
  // tells it.
  return std::any_of(regions.begin(), regions.end(), [](const Region& r) {
    return (r.mapping && r.mapping->lost()) || sys::has_shrunk(r.fd.get(), r.size);
  });
}

Failure PacketMemory::create(uint32_t buffer_size, uint64_t buffers, std::shared_ptr<PacketMemory>* out) {
  auto memory = std::make_shared<PacketMemory>();
  memory->buffer_size_ = buffer_size;
  memory->stride_ = (buffer_size + 63u) & ~63u;
  memory->buffers_ = buffers;
  constexpr uint64_t kReach = 1ull << 32;
  if (buffers == 0 || memory->stride_ == 0 || buffers > kReach / memory->stride_) {
    return {Reason::region,
            std::to_string(buffers) + " buffers of " + std::to_string(buffer_size) +
                " bytes: none at all, or more than the 4 GiB that the protocol's offsets reach",
            {}};
  }
  uint64_t size = buffers * memory->stride_;
  if (auto error = sys::create_sealed_memfd("node-vpp memif packets", size, &memory->fd_)) {
    return {Reason::system, "allocating packet memory", error};
  }
  // Nobody can shrink it, so it needs no guard.
  if (auto error = sys::Mapping::map(memory->fd_.get(), size, false, &memory->mapping_)) {
    return {Reason::system, "mapping packet memory", error};
  }
  memory->free_.reserve(buffers);
  for (uint64_t i = buffers; i-- > 0;)
    memory->free_.push_back(static_cast<uint32_t>(i * memory->stride_));
  *out = std::move(memory);
  return {};
}

bool PacketMemory::take(size_t count, std::vector<uint32_t>* offsets) {
  if (free_.size() < count) return false;
  // From the end, which holds the lowest offsets first: neighbours in a ring are neighbours in memory.
  for (size_t i = 0; i < count; i++) {
    offsets->push_back(free_.back());
    free_.pop_back();
  }
  return true;
}

void PacketMemory::give(const uint32_t* offsets, size_t count) {
  for (size_t i = count; i-- > 0;)
    free_.push_back(offsets[i]);
}

} // namespace nodevpp::memif
