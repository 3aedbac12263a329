// Eventfds for JavaScript: ring one, or be called once per wake-up.

#include "sys/doorbell.h"
#include "addon/environment.h"

namespace nodevpp::addon {

// Watches an eventfd that somebody else owns: empties it, then calls back, once per wake-up.
class DoorbellWatch final : public Napi::ObjectWrap<DoorbellWatch> {
public:
  // new DoorbellWatch(fd, callback)
  explicit DoorbellWatch(const Napi::CallbackInfo& info)
      : Napi::ObjectWrap<DoorbellWatch>(info), poller_(Environment::of(info.Env())),
        fd_(info[0].As<Napi::Number>().Int32Value()),
        callback_(Napi::Persistent(info[1].As<Napi::Function>())) {
    token_ = poller_.watch(fd_, [this] {
      // First the counter, then the ring: a packet published in between rings again.
      if (!sys::drain(fd_)) return;
      Napi::HandleScope scope(Env());
      call(Env(), callback_, {});
    });
    if (token_ == nullptr) {
      Napi::Error::New(info.Env(), "the eventfd cannot be watched").ThrowAsJavaScriptException();
      return;
    }
    Ref();
  }

private:
  friend void init_doorbell(Napi::Env env, Napi::Object exports);
  void set_ref(const Napi::CallbackInfo& info) { poller_.set_ref(info[0].As<Napi::Boolean>().Value()); }
  void close(const Napi::CallbackInfo&) {
    if (token_ == nullptr) return;
    poller_.unwatch(std::exchange(token_, nullptr));
    callback_.Reset();
    Unref();
  }

  UvPoller poller_;
  int fd_;
  Napi::FunctionReference callback_;
  sys::Poller::Token token_ = nullptr;
};

void init_doorbell(Napi::Env env, Napi::Object exports) {
  exports.Set("DoorbellWatch",
              DoorbellWatch::DefineClass(env, "DoorbellWatch",
                                         {DoorbellWatch::InstanceMethod<&DoorbellWatch::set_ref>("setRef"),
                                          DoorbellWatch::InstanceMethod<&DoorbellWatch::close>("close")}));
  // kick(fd) -> false when the peer has made the eventfd unusable
  exports.Set("kick", Napi::Function::New(env, [](const Napi::CallbackInfo& info) -> Napi::Value {
                return Napi::Boolean::New(info.Env(), sys::kick(info[0].As<Napi::Number>().Int32Value()));
              }));
}

} // namespace nodevpp::addon
