#pragma once

#include "addon/environment.h"
#include "memif/interface.h"

namespace nodevpp::addon {

// JavaScript's handle of a Listener.
class MemifListener final : public Napi::ObjectWrap<MemifListener> {
public:
  explicit MemifListener(const Napi::CallbackInfo& info);
  static MemifListener* from(Napi::Env env, const Napi::Value& value);
  memif::Listener& listener() { return *listener_; }

private:
  friend void init_listener(Napi::Env env, Napi::Object exports);
  Napi::Value listen(const Napi::CallbackInfo& info);
  Napi::Value counters(const Napi::CallbackInfo& info);
  void close(const Napi::CallbackInfo& info);
  void set_ref(const Napi::CallbackInfo& info) { poller_.set_ref(info[0].As<Napi::Boolean>().Value()); }

  UvPoller poller_;
  std::unique_ptr<memif::Listener> listener_;
};

} // namespace nodevpp::addon
