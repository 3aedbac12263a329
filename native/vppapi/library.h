// VPP's own client library, found at run time.
//
// libvppapiclient.so comes with the VPP that is installed, and knows how that VPP lays out its shared memory;
// nothing of that layout is in this repository. It keeps one connection in static variables and, once
// connected, it has registered exit handlers, started threads and mapped memory at fixed addresses: it must
// never be unloaded, and there is one of it in a process, whatever environment asks.

#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace nodevpp::vppapi {

// Why something failed: the last part of the error code (`LIBRARY` of ERR_VPP_SHM_LIBRARY), and what was
// seen.
struct Failure {
  std::string reason;
  std::string text;
  explicit operator bool() const { return !reason.empty(); }
};

struct Library {
  using Callback = void (*)(unsigned char* message, int size);
  using ErrorHandler = void (*)(void* context, unsigned char* text, int size);

  std::string path; // as the dynamic linker found it, links resolved
  void (*mem_init)(size_t size) = nullptr;
  int (*connect)(char* name, char* prefix, Callback callback, int queue_length) = nullptr;
  int (*disconnect)() = nullptr;
  int (*write)(char* message, int size) = nullptr;
  int (*get_msg_index)(char* name_crc) = nullptr;
  int (*msg_table_size)() = nullptr;
  void (*set_error_handler)(ErrorHandler handler) = nullptr;
  // What using the queues takes (see Queues); a library without these does everything else.
  void* (*allocate)(int size) = nullptr;
  void (*free)(void* message) = nullptr;
  int (*queue_lock)(void* queue) = nullptr;
  void (*queue_unlock)(void* queue) = nullptr;
  int (*queue_sub_raw)(void* queue, uint8_t* element) = nullptr;
  void (*queue_signal)(void* queue, uint8_t is_producer) = nullptr;
  bool can_look = false; // has all of these
  // What the calling thread has in `my_api_main`; nullptr where there is no such thing.
  void* const* api_main() const;

  // The first of these that loads. Once one has, it is the library of the process; another path is refused.
  static Failure load(const std::vector<std::string>& candidates, const Library** out);

private:
  void* handle_ = nullptr;
};

// What the library complained of since the last call: it prints on stderr unless somebody listens.
std::string take_complaints();

} // namespace nodevpp::vppapi
