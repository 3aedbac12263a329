#include "vppapi/segment.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "sys/fd.h"

namespace nodevpp::vppapi {
namespace {

// Start of a region in VPP's svm library: u64 version, a mutex, a condition variable, two ints, u64 flags,
// u64 base, u64 size. Only believed when the version is the one that has this form.
constexpr uint64_t kRegionVersion = (1u << 16) | 1u;
constexpr size_t kBaseOffset = sizeof(uint64_t) + sizeof(pthread_mutex_t) + sizeof(pthread_cond_t) + 16;
constexpr uint64_t kPage = 4096;

std::string segments_in(const std::string& folder) {
  std::string found;
  DIR* directory = ::opendir(folder.c_str());
  if (directory == nullptr) return "none";
  while (const dirent* entry = ::readdir(directory)) {
    std::string name = entry->d_name;
    constexpr char kSuffix[] = "vpe-api";
    constexpr size_t kLength = sizeof kSuffix - 1;
    if (name.size() < kLength || name.compare(name.size() - kLength, kLength, kSuffix) != 0) continue;
    std::string prefix = name.size() == kLength ? "none" : name.substr(0, name.size() - kLength - 1);
    found += (found.empty() ? "" : ", ") + prefix;
  }
  ::closedir(directory);
  return found.empty() ? "none is there" : found;
}

Range range_of(int fd) {
  uint64_t version = 0;
  uint64_t place[2] = {};
  if (::pread(fd, &version, sizeof version, 0) != sizeof version || version != kRegionVersion) return {};
  if (::pread(fd, place, sizeof place, kBaseOffset) != sizeof place) return {};
  bool sensible = place[0] >= kPage && place[0] % kPage == 0 && place[1] != 0 && place[1] % kPage == 0 &&
                  place[0] + place[1] > place[0];
  return sensible ? Range{place[0], place[1]} : Range{};
}

// What is mapped there now; empty when nothing is.
std::string occupant(const Range& range) {
  std::FILE* maps = std::fopen("/proc/self/maps", "re");
  if (maps == nullptr) return {};
  char line[512];
  std::string found;
  while (found.empty() && std::fgets(line, sizeof line, maps) != nullptr) {
    uint64_t from = 0;
    uint64_t to = 0;
    if (std::sscanf(line, "%lx-%lx", &from, &to) != 2) continue; // NOLINT(cert-err34-c)
    if (from < range.start + range.size && to > range.start) {
      line[std::strcspn(line, "\n")] = 0;
      found = line;
    }
  }
  std::fclose(maps);
  return found;
}

} // namespace

Failure check_segment(const std::string& folder, const std::string& prefix, std::vector<Range>* ranges) {
  ranges->clear();
  for (const char* name : {"global_vm", "vpe-api"}) {
    std::string path = folder + "/" + (prefix.empty() ? "" : prefix + "-") + name;
    sys::Fd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC));
    if (!fd.valid() && errno == ENOENT) {
      path.append(" is not there; prefixes of the segments in ").append(folder);
      return {"SEGMENT", path.append(": ").append(segments_in(folder))};
    }
    if (!fd.valid()) {
      std::string text = path + ": " + std::strerror(errno);
      struct stat facts {};
      if (::stat(path.c_str(), &facts) == 0) {
        char detail[96];
        std::snprintf(detail, sizeof detail, " (mode %04o, uid %u, gid %u)", facts.st_mode & 07777u,
                      facts.st_uid, facts.st_gid);
        text += detail;
      }
      return {"PERMISSION", text};
    }
    Range range = range_of(fd.get());
    if (range.size == 0) continue;
    std::string other = occupant(range);
    if (!other.empty()) {
      path.append(" has to be mapped at a fixed address where this process has: ");
      return {"ADDRESS", path.append(other)};
    }
    ranges->push_back(range);
  }
  return {};
}

} // namespace nodevpp::vppapi
