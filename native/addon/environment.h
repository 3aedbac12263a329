// What one JavaScript environment (main thread or worker) owns of the addon. Nothing here is shared with
// another.

#pragma once

#include <napi.h>
#include <uv.h>

#include <memory>
#include <unordered_set>

#include "memif/session.h"
#include "sys/poller.h"

namespace nodevpp::addon {

struct Watch;

class Environment {
public:
  explicit Environment(Napi::Env env);
  // Shared with whatever still has an open handle: objects are finalised in no particular order at the end.
  static std::shared_ptr<Environment>& of(Napi::Env env) {
    return *env.GetInstanceData<std::shared_ptr<Environment>>();
  }

  uv_loop_t* loop = nullptr;
  std::unordered_set<Watch*> watches; // open and not yet closing
  Napi::FunctionReference listener_class;
  Napi::FunctionReference memory_class;
  Napi::FunctionReference interface_class;
  Napi::FunctionReference stats_segment_class;

  void watch_closed();

private:
  static void close_watch(Watch* watch);
  static void on_cleanup(napi_async_cleanup_hook_handle handle, void* data);

  napi_async_cleanup_hook_handle hook_ = nullptr;
  size_t closing_ = 0;
  bool torn_down_ = false;

  friend class UvPoller;
};

// A poller over libuv. Each wrapped object has one of its own, so that it can be ref'ed and unref'ed as a
// whole.
class UvPoller final : public sys::Poller {
public:
  explicit UvPoller(std::shared_ptr<Environment> environment) : environment_(std::move(environment)) {}
  ~UvPoller() override;
  Token watch(int fd, Callback callback) override;
  void unwatch(Token token) override;
  void set_ref(bool ref);

private:
  std::shared_ptr<Environment> environment_;
  std::unordered_set<Watch*> own_;
  bool ref_ = true;
};

// Calls a JavaScript function from the event loop: microtasks run, an exception becomes `uncaughtException`.
void call(Napi::Env env, const Napi::FunctionReference& function, const std::vector<napi_value>& arguments);

// {code, text, errno?, syscall?}: how failures reach JavaScript, which makes errors of them.
Napi::Object to_object(Napi::Env env, const memif::Failure& failure);
Napi::Object to_object(Napi::Env env, const sys::SysError& error);

// An ArrayBuffer over a mapping, which stays mapped as long as the ArrayBuffer has it.
Napi::Value to_array_buffer(Napi::Env env, const std::shared_ptr<sys::Mapping>& mapping);
// Takes the memory away from an ArrayBuffer and all views of it.
void detach(Napi::Env env, napi_value buffer);

// The bytes under a typed array; false when a value is none.
struct Bytes {
  uint8_t* data = nullptr;
  size_t length = 0;
};
bool get_bytes(napi_env env, napi_value value, Bytes* out);

std::string get_string(const Napi::Object& object, const char* name, const std::string& otherwise = {});
double get_number(const Napi::Object& object, const char* name, double otherwise = 0);
bool get_bool(const Napi::Object& object, const char* name, bool otherwise = false);

void init_memory(Napi::Env env, Napi::Object exports);
void init_listener(Napi::Env env, Napi::Object exports);
void init_interface(Napi::Env env, Napi::Object exports);
void init_shared_queues(Napi::Env env, Napi::Object exports);
void init_bridge(Napi::Env env, Napi::Object exports);
void init_transfer(Napi::Env env, Napi::Object exports);
void init_doorbell(Napi::Env env, Napi::Object exports);
void init_packets(Napi::Env env, Napi::Object exports);
void init_ports(Napi::Env env, Napi::Object exports);
void init_stats_client(Napi::Env env, Napi::Object exports);
void init_stats_memory(Napi::Env env, Napi::Object exports);
void init_vppapi(Napi::Env env, Napi::Object exports);

} // namespace nodevpp::addon
