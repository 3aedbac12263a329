#include "addon/environment.h"

#include <cerrno>
#include <cstring>

namespace nodevpp::addon {

// One watched descriptor. Freed in the close callback: libuv uses the handle until then.
struct Watch {
  uv_poll_t handle;
  sys::Poller::Callback callback;
  std::shared_ptr<Environment> environment;
};

Environment::Environment(Napi::Env env) {
  napi_get_uv_event_loop(env, &loop);
  napi_add_async_cleanup_hook(env, on_cleanup, this, &hook_);
}

void Environment::close_watch(Watch* watch) {
  watch->environment->closing_++;
  uv_poll_stop(&watch->handle);
  uv_close(reinterpret_cast<uv_handle_t*>(&watch->handle), [](uv_handle_t* handle) {
    auto* closed = static_cast<Watch*>(handle->data);
    std::shared_ptr<Environment> environment = std::move(closed->environment);
    delete closed;
    environment->watch_closed();
  });
}

// The environment goes away: open handles must be closed, and their close callbacks run, before the loop can
// end.
void Environment::on_cleanup(napi_async_cleanup_hook_handle, void* data) {
  auto* self = static_cast<Environment*>(data);
  self->torn_down_ = true;
  auto open = std::move(self->watches);
  self->watches.clear();
  for (Watch* watch : open)
    close_watch(watch);
  if (self->closing_ == 0) napi_remove_async_cleanup_hook(self->hook_);
}

void Environment::watch_closed() {
  closing_--;
  if (torn_down_ && closing_ == 0) napi_remove_async_cleanup_hook(hook_);
}

UvPoller::~UvPoller() {
  while (!own_.empty())
    unwatch(*own_.begin());
}

sys::Poller::Token UvPoller::watch(int fd, Callback callback) {
  if (environment_->torn_down_) return nullptr;
  auto* watch = new Watch{{}, std::move(callback), environment_};
  watch->handle.data = watch;
  int error = uv_poll_init(environment_->loop, &watch->handle, fd);
  if (error != 0) {
    delete watch;
    errno = -error;
    return nullptr;
  }
  environment_->watches.insert(watch);
  own_.insert(watch);
  uv_poll_start(&watch->handle, UV_READABLE | UV_DISCONNECT, [](uv_poll_t* handle, int, int) {
    auto* ready = static_cast<Watch*>(handle->data);
    // The callback may unwatch itself: its closure must outlive the call.
    auto run = ready->callback;
    run();
  });
  if (!ref_) uv_unref(reinterpret_cast<uv_handle_t*>(&watch->handle));
  return watch;
}

void UvPoller::unwatch(Token token) {
  auto* watch = static_cast<Watch*>(token);
  own_.erase(watch);
  if (environment_->watches.erase(watch) == 0) return; // closed with the environment
  Environment::close_watch(watch);
}

void UvPoller::set_ref(bool ref) {
  ref_ = ref;
  for (Watch* watch : own_) {
    auto* handle = reinterpret_cast<uv_handle_t*>(&watch->handle);
    if (ref)
      uv_ref(handle);
    else
      uv_unref(handle);
  }
}

void call(Napi::Env env, const Napi::FunctionReference& function, const std::vector<napi_value>& arguments) {
  if (function.IsEmpty()) return;
  napi_value receiver = nullptr;
  napi_get_global(env, &receiver);
  napi_value result = nullptr;
  // Without an async context of our own this is a fresh turn of the loop: ticks and microtasks run after it.
  napi_status status = napi_make_callback(env, nullptr, receiver, function.Value(), arguments.size(),
                                          arguments.data(), &result);
  if (status != napi_pending_exception) return;
  napi_value error = nullptr;
  if (napi_get_and_clear_last_exception(env, &error) == napi_ok) napi_fatal_exception(env, error);
}

Napi::Object to_object(Napi::Env env, const sys::SysError& error) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("errno", error.err);
  object.Set("syscall", error.syscall);
  object.Set("errnoName", uv_err_name(-error.err));
  object.Set("errnoText", std::strerror(error.err));
  return object;
}

Napi::Object to_object(Napi::Env env, const memif::Failure& failure) {
  Napi::Object object = failure.error ? to_object(env, failure.error) : Napi::Object::New(env);
  object.Set("reason", memif::reason_name(failure.reason));
  object.Set("text", failure.text);
  return object;
}

Napi::Value to_array_buffer(Napi::Env env, const std::shared_ptr<sys::Mapping>& mapping) {
  auto* hold = new std::shared_ptr<sys::Mapping>(mapping);
  napi_value buffer = nullptr;
  napi_status status = napi_create_external_arraybuffer(
      env, mapping->data(), mapping->size(),
      [](napi_env, void*, void* hint) { delete static_cast<std::shared_ptr<sys::Mapping>*>(hint); }, hold,
      &buffer);
  if (status != napi_ok) {
    delete hold;
    Napi::Error::New(env, "this runtime does not allow ArrayBuffers over shared memory")
        .ThrowAsJavaScriptException();
    return env.Undefined();
  }
  return Napi::Value(env, buffer);
}

void detach(Napi::Env env, napi_value buffer) {
  bool detached = false;
  if (napi_is_detached_arraybuffer(env, buffer, &detached) == napi_ok && !detached) {
    napi_detach_arraybuffer(env, buffer);
  }
}

bool get_bytes(napi_env env, napi_value value, Bytes* out) {
  void* data = nullptr;
  size_t length = 0;
  napi_typedarray_type type = napi_uint8_array;
  if (napi_get_typedarray_info(env, value, &type, &length, &data, nullptr, nullptr) != napi_ok) return false;
  size_t width = type == napi_uint32_array ? 4 : type == napi_uint16_array ? 2 : 1;
  out->data = static_cast<uint8_t*>(data);
  out->length = length * width;
  return true;
}

std::string get_string(const Napi::Object& object, const char* name, const std::string& otherwise) {
  Napi::Value value = object.Get(name);
  return value.IsString() ? value.As<Napi::String>().Utf8Value() : otherwise;
}

double get_number(const Napi::Object& object, const char* name, double otherwise) {
  Napi::Value value = object.Get(name);
  return value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : otherwise;
}

bool get_bool(const Napi::Object& object, const char* name, bool otherwise) {
  Napi::Value value = object.Get(name);
  return value.IsBoolean() ? value.As<Napi::Boolean>().Value() : otherwise;
}

} // namespace nodevpp::addon
