#pragma once

#include "addon/environment.h"

namespace nodevpp::addon {

// JavaScript's handle of a PacketMemory: packet buffers that client interfaces can share.
class MemifMemory final : public Napi::ObjectWrap<MemifMemory> {
public:
  explicit MemifMemory(const Napi::CallbackInfo& info);
  static MemifMemory* from(Napi::Env env, const Napi::Value& value);
  const std::shared_ptr<memif::PacketMemory>& memory() const { return memory_; }
  Napi::Value buffer(Napi::Env env);

private:
  friend void init_memory(Napi::Env env, Napi::Object exports);
  Napi::Value get_buffer(const Napi::CallbackInfo& info) { return buffer(info.Env()); }
  Napi::Value available(const Napi::CallbackInfo& info);
  void give(const Napi::CallbackInfo& info);
  void close(const Napi::CallbackInfo& info);

  std::shared_ptr<memif::PacketMemory> memory_;
  Napi::Reference<Napi::Value> buffer_;
};

} // namespace nodevpp::addon
