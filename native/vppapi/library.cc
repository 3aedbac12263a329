#include "vppapi/library.h"

#include <dlfcn.h>

#include <climits>
#include <cstdlib>
#include <mutex>

namespace nodevpp::vppapi {
namespace {

// For the library's private allocations (the message table, mostly); reserved, not used, memory.
constexpr size_t kHeapSize = size_t{64} << 20;
constexpr size_t kMaxComplaints = 2000;

// Process-wide like the library itself, and never destroyed: the library's threads may outlive main().
struct State {
  std::mutex mutex;
  Library library;
  bool loaded = false;
  std::mutex complaints_mutex;
  std::string complaints;
};

State& state() {
  static auto* made = new State;
  return *made;
}

void on_complaint(void*, unsigned char* text, int size) {
  State& all = state();
  std::lock_guard lock(all.complaints_mutex);
  if (size > 0 && all.complaints.size() < kMaxComplaints) {
    all.complaints.append(reinterpret_cast<char*>(text), static_cast<size_t>(size));
  }
}

std::string real_path(const std::string& path) {
  char resolved[PATH_MAX];
  return ::realpath(path.c_str(), resolved) != nullptr ? resolved : path;
}

template<typename Function> bool find(void* handle, const char* name, Function* out, std::string* missing) {
  *out = reinterpret_cast<Function>(::dlsym(handle, name));
  if (*out != nullptr) return true;
  *missing += missing->empty() ? name : std::string(", ") + name;
  return false;
}

// The library keeps pointers to functions of ours, and our keeper may still be leaving them: Node unloads an
// addon with the last worker that used it, and must not do so from here on.
void pin_ourselves() {
  Dl_info info{};
  if (::dladdr(reinterpret_cast<void*>(&on_complaint), &info) == 0 || info.dli_fname == nullptr) return;
  ::dlopen(info.dli_fname, RTLD_NOW | RTLD_NOLOAD | RTLD_NODELETE);
}

} // namespace

Failure Library::load(const std::vector<std::string>& candidates, const Library** out) {
  State& all = state();
  std::lock_guard lock(all.mutex);
  std::string seen;
  auto note = [&seen](const std::string& text) { seen += (seen.empty() ? "" : "; ") + text; };
  for (const std::string& candidate : candidates) {
    if (all.loaded) {
      // A bare name means whatever there is; a path means that file.
      if (candidate.find('/') == std::string::npos || real_path(candidate) == all.library.path) {
        *out = &all.library;
        return {};
      }
      note(candidate + " is not " + all.library.path + ", which this process has loaded and cannot unload");
      continue;
    }
    void* handle = ::dlopen(candidate.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle == nullptr) {
      const char* text = ::dlerror();
      note(text != nullptr ? text : candidate + " cannot be loaded");
      continue;
    }
    Library library;
    std::string missing;
    find(handle, "vac_mem_init", &library.mem_init, &missing);
    find(handle, "vac_connect", &library.connect, &missing);
    find(handle, "vac_disconnect", &library.disconnect, &missing);
    find(handle, "vac_write", &library.write, &missing);
    find(handle, "vac_get_msg_index", &library.get_msg_index, &missing);
    find(handle, "vac_msg_table_size", &library.msg_table_size, &missing);
    find(handle, "vac_set_error_handler", &library.set_error_handler, &missing);
    if (!missing.empty()) {
      std::string text = candidate;
      note(text.append(" lacks ").append(missing));
      ::dlclose(handle); // nothing of it has run yet
      continue;
    }
    std::string optional;
    find(handle, "vl_msg_api_alloc", &library.allocate, &optional);
    find(handle, "vac_free", &library.free, &optional);
    find(handle, "svm_queue_lock", &library.queue_lock, &optional);
    find(handle, "svm_queue_unlock", &library.queue_unlock, &optional);
    find(handle, "svm_queue_sub_raw", &library.queue_sub_raw, &optional);
    find(handle, "svm_queue_send_signal", &library.queue_signal, &optional);
    library.can_look = optional.empty();
    library.handle_ = handle;
    Dl_info info{};
    bool known = ::dladdr(reinterpret_cast<void*>(library.connect), &info) != 0 && info.dli_fname != nullptr;
    library.path = known ? real_path(info.dli_fname) : candidate;
    pin_ourselves();
    library.mem_init(kHeapSize);
    library.set_error_handler(on_complaint);
    all.library = library;
    all.loaded = true;
    *out = &all.library;
    return {};
  }
  return {"LIBRARY", seen};
}

void* const* Library::api_main() const {
  return static_cast<void* const*>(::dlsym(handle_, "my_api_main"));
}

std::string take_complaints() {
  State& all = state();
  std::lock_guard lock(all.complaints_mutex);
  std::string taken = std::move(all.complaints);
  all.complaints.clear();
  while (!taken.empty() && taken.back() == '\n')
    taken.pop_back();
  return taken;
}

} // namespace nodevpp::vppapi
