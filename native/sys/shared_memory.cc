#include "sys/shared_memory.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <cerrno>

#include "sys/guard.h"

namespace nodevpp::sys {

SysError create_sealed_memfd(const char* name, size_t size, Fd* out) {
  Fd fd(::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd.valid()) return {errno, "memfd_create"};
  if (::ftruncate(fd.get(), static_cast<off_t>(size)) != 0) return {errno, "ftruncate"};
  if (::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) return {errno, "fcntl"};
  *out = std::move(fd);
  return {};
}

SysError inspect_file(int fd, FileFacts* out) {
  *out = {};
  int seals = ::fcntl(fd, F_GET_SEALS);
  if (seals < 0) return errno == EINVAL ? SysError{} : SysError{errno, "fcntl"}; // EINVAL: not in memory
  struct stat st {};
  if (::fstat(fd, &st) != 0) return {errno, "fstat"};
  out->shared_memory = S_ISREG(st.st_mode);
  out->size = st.st_size > 0 ? static_cast<uint64_t>(st.st_size) : 0;
  out->sealed_against_shrinking = (seals & F_SEAL_SHRINK) != 0;
  return {};
}

bool has_shrunk(int fd, uint64_t size) {
  struct stat st {};
  return ::fstat(fd, &st) == 0 && static_cast<uint64_t>(st.st_size) < size;
}

SysError Mapping::map(int fd, size_t size, bool guarded, std::shared_ptr<Mapping>* out, Access access) {
  // Huge pages can only be unmapped whole.
  size_t mapped = size;
  struct statfs fs {};
  if (::fstatfs(fd, &fs) == 0 && fs.f_type == HUGETLBFS_MAGIC && fs.f_bsize > 0) {
    auto page = static_cast<size_t>(fs.f_bsize);
    mapped = (size + page - 1) / page * page;
  }
  int protection = access == Access::read_write ? PROT_READ | PROT_WRITE : PROT_READ;
  void* data = ::mmap(nullptr, mapped, protection, MAP_SHARED, fd, 0);
  if (data == MAP_FAILED) return {errno, "mmap"};
  int guard = -1;
  if (guarded) {
    guard = guard_add(data, mapped);
    if (guard < 0) {
      ::munmap(data, mapped);
      return {ENOSPC, "guard"};
    }
  }
  out->reset(new Mapping(static_cast<uint8_t*>(data), size, mapped, guard));
  return {};
}

Mapping::~Mapping() {
  if (guard_ >= 0) guard_remove(guard_);
  ::munmap(data_, mapped_);
}

bool Mapping::lost() const {
  return guard_ >= 0 && guard_hit(guard_);
}

} // namespace nodevpp::sys
