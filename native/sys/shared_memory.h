// Shared memory: memfds that cannot shrink under a reader, and mappings that unmap themselves.

#pragma once

#include <cstddef>
#include <memory>

#include "sys/fd.h"

namespace nodevpp::sys {

// A memfd of exactly `size` bytes, sealed against shrinking and growing, and against further seals.
SysError create_sealed_memfd(const char* name, size_t size, Fd* out);

// What the kernel says about a descriptor that somebody else sent us.
struct FileFacts {
  bool shared_memory = false; // a file in memory: memfd, tmpfs, hugetlbfs
  uint64_t size = 0;
  bool sealed_against_shrinking = false;
};
// Asks the kernel only. Files of other kinds are not asked for their size: where they are (FUSE, a network)
// the answer, and every page, may be long in coming.
SysError inspect_file(int fd, FileFacts* out);

// Whether a file of shared memory has become smaller than it was.
bool has_shrunk(int fd, uint64_t size);

enum class Access { read_only, read_write };

// One mapping of a file, shared with other processes. Unmapped when the last owner lets go. When the file
// behind it is truncated, touching the lost pages does not kill the process: see guard.h.
class Mapping {
public:
  // `guarded`: survive truncation of the file by whoever else holds it. ENOSPC when the table of guarded
  // mappings is full.
  static SysError map(int fd, size_t size, bool guarded, std::shared_ptr<Mapping>* out,
                      Access access = Access::read_write);
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping();

  uint8_t* data() const { return data_; }
  size_t size() const { return size_; }
  // True once a page of it was found missing (the file was truncated); its contents are zeros since then.
  bool lost() const;

private:
  Mapping(uint8_t* data, size_t size, size_t mapped, int guard)
      : data_(data), size_(size), mapped_(mapped), guard_(guard) {}
  uint8_t* data_;
  size_t size_;
  size_t mapped_; // what munmap wants to hear: whole pages, which may be huge ones
  int guard_;
};

} // namespace nodevpp::sys
