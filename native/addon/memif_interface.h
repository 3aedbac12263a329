#pragma once

#include "addon/environment.h"
#include "addon/memif_memory.h"
#include "memif/interface.h"

namespace nodevpp::addon {

// JavaScript's handle of an Interface, and the ArrayBuffers over its regions while it is up.
class MemifInterface final : public Napi::ObjectWrap<MemifInterface>, private memif::InterfaceObserver {
public:
  explicit MemifInterface(const Napi::CallbackInfo& info);
  ~MemifInterface() override { on_event_.Reset(); } // nobody listens any more
  static MemifInterface* from(Napi::Env env, const Napi::Value& value);
  memif::Interface& interface() { return *interface_; }

private:
  friend void init_interface(Napi::Env env, Napi::Object exports);
  void interface_up(memif::Interface& interface) override;
  void interface_down(memif::Interface& interface, const memif::Failure& failure, bool was_up) override;
  void detach_regions();

  Napi::Value connect(const Napi::CallbackInfo& info);
  Napi::Value attach(const Napi::CallbackInfo& info);
  void disconnect(const Napi::CallbackInfo& info);
  Napi::Value memory_lost(const Napi::CallbackInfo& info);
  Napi::Value export_queues(const Napi::CallbackInfo& info);
  void set_ref(const Napi::CallbackInfo& info) { poller_.set_ref(info[0].As<Napi::Boolean>().Value()); }
  void destroy(const Napi::CallbackInfo& info);

  UvPoller poller_;
  std::unique_ptr<memif::Interface> interface_;
  Napi::FunctionReference on_event_;
  Napi::ObjectReference memory_; // the JavaScript object of shared packet memory
  std::vector<Napi::Reference<Napi::Value>> buffers_;
  bool held_ = false; // a reference to ourselves keeps us alive until destroy()
};

} // namespace nodevpp::addon
