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
  bool regular = false;
  uint64_t size = 0;
  bool sealed_against_shrinking = false;
};
SysError inspect_file(int fd, FileFacts* out);

// One mapping of a file, shared with other processes. Unmapped when the last owner lets go. When the file
// behind it is truncated, touching the lost pages does not kill the process: see guard.h.
class Mapping {
public:
  // `guarded`: survive truncation of the file by whoever else holds it.
  static SysError map(int fd, size_t size, bool guarded, std::shared_ptr<Mapping>* out);
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping();

  uint8_t* data() const { return data_; }
  size_t size() const { return size_; }
  // True once a page of it was found missing (the file was truncated); its contents are zeros since then.
  bool lost() const;

private:
  Mapping(uint8_t* data, size_t size, int guard) : data_(data), size_(size), guard_(guard) {}
  uint8_t* data_;
  size_t size_;
  int guard_;
};

} // namespace nodevpp::sys
