// JavaScript's handle of a Bridge between two interfaces that are up.

#include <fcntl.h>

#include "addon/memif_interface.h"
#include "memif/bridge.h"
#include "sys/doorbell.h"

namespace nodevpp::addon {

class MemifBridge final : public Napi::ObjectWrap<MemifBridge> {
public:
  explicit MemifBridge(const Napi::CallbackInfo& info);

private:
  friend void init_bridge(Napi::Env env, Napi::Object exports);
  Napi::Value stop(const Napi::CallbackInfo& info);
  Napi::Value counters(const Napi::CallbackInfo& info);
  void set_ref(const Napi::CallbackInfo& info) { poller_.set_ref(info[0].As<Napi::Boolean>().Value()); }

  UvPoller poller_;
  sys::Fd notify_;
  sys::Poller::Token watch_ = nullptr;
  Napi::FunctionReference on_violation_;
  std::unique_ptr<memif::Bridge> bridge_;
};

namespace {

// states: { rx: [{ next, buffers? }], tx: [..] }, one entry per ring, as the JavaScript queues left them.
memif::QueueState state_of(const Napi::Object& states, const char* direction, size_t index) {
  Napi::Object state =
      states.Get(direction).As<Napi::Array>().Get(static_cast<uint32_t>(index)).As<Napi::Object>();
  memif::QueueState result;
  result.next = static_cast<uint16_t>(get_number(state, "next"));
  Napi::Value buffers = state.Get("buffers");
  if (buffers.IsTypedArray()) {
    auto array = buffers.As<Napi::Uint32Array>();
    result.buffers.assign(array.Data(), array.Data() + array.ElementLength());
  }
  return result;
}

memif::BridgeSide side_of(memif::Interface& interface, const Napi::Object& states) {
  memif::BridgeSide side;
  memif::Connection& connection = *interface.connection();
  const memif::Session& session = connection.session();
  memif::Role role = interface.options().role;
  uint32_t buffer_size = connection.memory() ? connection.memory()->buffer_size() : 0;
  const auto& receive = role == memif::Role::server ? session.s2m : session.m2s;
  const auto& transmit = role == memif::Role::server ? session.m2s : session.s2m;
  for (size_t i = 0; i < receive.size(); i++) {
    side.rx.emplace_back(session, receive[i], role, true, buffer_size, interface.options().cache_line,
                         state_of(states, "rx", i));
    side.rx_events.emplace_back(::fcntl(receive[i].event.get(), F_DUPFD_CLOEXEC, 0));
  }
  for (size_t i = 0; i < transmit.size(); i++) {
    side.tx.emplace_back(session, transmit[i], role, false, buffer_size, interface.options().cache_line,
                         state_of(states, "tx", i));
    side.tx_events.emplace_back(::fcntl(transmit[i].event.get(), F_DUPFD_CLOEXEC, 0));
  }
  return side;
}

Napi::Array next_of(Napi::Env env, const std::vector<memif::Queue>& queues) {
  Napi::Array array = Napi::Array::New(env);
  for (uint32_t i = 0; i < queues.size(); i++)
    array.Set(i, queues[i].state().next);
  return array;
}

} // namespace

// new MemifBridge(a, b, statesA, statesB, spinUs, onViolation(side, kind))
MemifBridge::MemifBridge(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<MemifBridge>(info), poller_(Environment::of(info.Env())) {
  Napi::Env env = info.Env();
  auto* a = MemifInterface::from(env, info[0]);
  auto* b = MemifInterface::from(env, info[1]);
  if (a == nullptr || b == nullptr || a->interface().connection() == nullptr ||
      b->interface().connection() == nullptr) {
    Napi::Error::New(env, "both interfaces must be up").ThrowAsJavaScriptException();
    return;
  }
  if (sys::create_eventfd(&notify_)) {
    Napi::Error::New(env, "no eventfd for the bridge").ThrowAsJavaScriptException();
    return;
  }
  on_violation_ = Napi::Persistent(info[5].As<Napi::Function>());
  bridge_ = std::make_unique<memif::Bridge>(side_of(a->interface(), info[2].As<Napi::Object>()),
                                            side_of(b->interface(), info[3].As<Napi::Object>()),
                                            info[4].As<Napi::Number>().Int32Value(), notify_.get());
  watch_ = poller_.watch(notify_.get(), [this] {
    sys::drain(notify_.get());
    Napi::HandleScope scope(Env());
    static constexpr const char* kinds[] = {"NONE", "INDEX", "DESCRIPTOR", "DOORBELL"};
    call(Env(), on_violation_,
         {Napi::Number::New(Env(), bridge_->violator()),
          Napi::String::New(Env(), kinds[static_cast<size_t>(bridge_->violation())])});
  });
  if (auto error = bridge_->start()) {
    Napi::Error::New(env, std::string("the bridge cannot start: ") + std::strerror(error.err))
        .ThrowAsJavaScriptException();
    return;
  }
  Ref();
}

// stop() -> [{ rx: next[], tx: next[] }, ..]: where the JavaScript queues have to go on
Napi::Value MemifBridge::stop(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!bridge_ || watch_ == nullptr) return env.Undefined();
  bridge_->stop();
  poller_.unwatch(std::exchange(watch_, nullptr));
  Napi::Array result = Napi::Array::New(env);
  for (uint32_t i = 0; i < 2; i++) {
    Napi::Object side = Napi::Object::New(env);
    side.Set("rx", next_of(env, bridge_->side(static_cast<int>(i)).rx));
    side.Set("tx", next_of(env, bridge_->side(static_cast<int>(i)).tx));
    result.Set(i, side);
  }
  Unref();
  return result;
}

// counters() -> [{ packets, bytes, kicks, wakeups, tooLong } from a, the same from b]
Napi::Value MemifBridge::counters(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Napi::Array result = Napi::Array::New(env);
  for (uint32_t i = 0; i < 2; i++) {
    const auto& counters = bridge_->counters(static_cast<int>(i));
    Napi::Object object = Napi::Object::New(env);
    object.Set("packets", static_cast<double>(counters.packets.load()));
    object.Set("bytes", static_cast<double>(counters.bytes.load()));
    object.Set("kicks", static_cast<double>(counters.kicks.load()));
    object.Set("wakeups", static_cast<double>(counters.wakeups.load()));
    object.Set("tooLong", static_cast<double>(counters.too_long.load()));
    result.Set(i, object);
  }
  return result;
}

void init_bridge(Napi::Env env, Napi::Object exports) {
  exports.Set("MemifBridge",
              MemifBridge::DefineClass(env, "MemifBridge",
                                       {MemifBridge::InstanceMethod<&MemifBridge::stop>("stop"),
                                        MemifBridge::InstanceMethod<&MemifBridge::counters>("counters"),
                                        MemifBridge::InstanceMethod<&MemifBridge::set_ref>("setRef")}));
}

} // namespace nodevpp::addon
