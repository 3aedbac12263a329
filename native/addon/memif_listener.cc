#include "addon/memif_listener.h"

namespace nodevpp::addon {

// new MemifListener({ appName, handshakeTimeoutMs, maxPending })
MemifListener::MemifListener(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<MemifListener>(info), poller_(Environment::of(info.Env())) {
  Napi::Object options = info[0].As<Napi::Object>();
  listener_ = std::make_unique<memif::Listener>(
      poller_, get_string(options, "appName", "node-vpp"),
      static_cast<unsigned>(get_number(options, "handshakeTimeoutMs", 5000)),
      static_cast<size_t>(get_number(options, "maxPending", 64)));
}

MemifListener* MemifListener::from(Napi::Env env, const Napi::Value& value) {
  if (!value.IsObject()) return nullptr;
  Napi::Object object = value.As<Napi::Object>();
  if (!object.InstanceOf(Environment::of(env)->listener_class.Value())) return nullptr;
  return Unwrap(object);
}

// listen(address, { mode, uid, gid }) -> undefined, or { errno, syscall, .. } or { text }
Napi::Value MemifListener::listen(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  sys::UnixAddress address;
  std::string wrong = sys::UnixAddress::parse(info[0].As<Napi::String>().Utf8Value(), &address);
  if (!wrong.empty()) {
    Napi::Object object = Napi::Object::New(env);
    object.Set("text", wrong);
    return object;
  }
  Napi::Object given = info[1].As<Napi::Object>();
  sys::ListenOptions options;
  options.mode = static_cast<int>(get_number(given, "mode", -1));
  options.uid = static_cast<int>(get_number(given, "uid", -1));
  options.gid = static_cast<int>(get_number(given, "gid", -1));
  auto outcome = sys::ListenOutcome::fresh;
  if (auto error = listener_->listen(address, options, &outcome)) return to_object(env, error);
  return env.Undefined();
}

Napi::Value MemifListener::counters(const Napi::CallbackInfo& info) {
  Napi::Object object = Napi::Object::New(info.Env());
  const auto& counters = listener_->counters();
  object.Set("accepted", static_cast<double>(counters.accepted));
  object.Set("refused", static_cast<double>(counters.refused));
  object.Set("pending", static_cast<double>(listener_->pending()));
  object.Set("lastRefusal", listener_->last_refusal().text);
  return object;
}

void MemifListener::close(const Napi::CallbackInfo&) {
  listener_->close();
}

void init_listener(Napi::Env env, Napi::Object exports) {
  Napi::Function constructor =
      MemifListener::DefineClass(env, "MemifListener",
                                 {MemifListener::InstanceMethod<&MemifListener::listen>("listen"),
                                  MemifListener::InstanceMethod<&MemifListener::counters>("counters"),
                                  MemifListener::InstanceMethod<&MemifListener::set_ref>("setRef"),
                                  MemifListener::InstanceMethod<&MemifListener::close>("close")});
  Environment::of(env)->listener_class = Napi::Persistent(constructor);
  exports.Set("MemifListener", constructor);
}

} // namespace nodevpp::addon
