#include "addon/memif_memory.h"

namespace nodevpp::addon {

// new MemifMemory(bufferSize, buffers)
MemifMemory::MemifMemory(const Napi::CallbackInfo& info) : Napi::ObjectWrap<MemifMemory>(info) {
  auto failure =
      memif::PacketMemory::create(info[0].As<Napi::Number>().Uint32Value(),
                                  static_cast<uint64_t>(info[1].As<Napi::Number>().Int64Value()), &memory_);
  if (!failure.text.empty()) {
    Napi::Error::New(info.Env(), failure.text).ThrowAsJavaScriptException();
  }
}

MemifMemory* MemifMemory::from(Napi::Env env, const Napi::Value& value) {
  if (!value.IsObject()) return nullptr;
  Napi::Object object = value.As<Napi::Object>();
  if (!object.InstanceOf(Environment::of(env)->memory_class.Value())) return nullptr;
  return Unwrap(object);
}

Napi::Value MemifMemory::buffer(Napi::Env env) {
  if (memory_ == nullptr) return env.Undefined();
  if (buffer_.IsEmpty()) {
    Napi::Value made = to_array_buffer(env, memory_->mapping());
    if (env.IsExceptionPending()) return env.Undefined();
    buffer_ = Napi::Reference<Napi::Value>::New(made, 1);
  }
  return buffer_.Value();
}

Napi::Value MemifMemory::available(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), memory_ ? static_cast<double>(memory_->available()) : 0);
}

// give(offsets: Uint32Array): buffers that a connection held come back.
void MemifMemory::give(const Napi::CallbackInfo& info) {
  auto offsets = info[0].As<Napi::Uint32Array>();
  if (memory_) memory_->give(offsets.Data(), offsets.ElementLength());
}

void MemifMemory::close(const Napi::CallbackInfo& info) {
  if (!buffer_.IsEmpty()) {
    detach(info.Env(), buffer_.Value());
    buffer_.Reset();
  }
  memory_.reset();
}

void init_memory(Napi::Env env, Napi::Object exports) {
  Napi::Function constructor =
      MemifMemory::DefineClass(env, "MemifMemory",
                               {MemifMemory::InstanceAccessor<&MemifMemory::get_buffer>("buffer"),
                                MemifMemory::InstanceAccessor<&MemifMemory::available>("available"),
                                MemifMemory::InstanceMethod<&MemifMemory::give>("give"),
                                MemifMemory::InstanceMethod<&MemifMemory::close>("close")});
  Environment::of(env)->memory_class = Napi::Persistent(constructor);
  exports.Set("MemifMemory", constructor);
}

} // namespace nodevpp::addon
