// The shared-memory API connection for JavaScript: a thin class over vppapi::Connection, and the library's
// loader.

#include "addon/environment.h"
#include "sys/doorbell.h"
#include "vppapi/connection.h"

namespace nodevpp::addon {
namespace {

// How long the end of an environment waits for VPP to let go.
constexpr int kEndMs = 1000;

Napi::Value to_failure(Napi::Env env, const vppapi::Failure& failure) {
  if (!failure) return env.Undefined();
  Napi::Object object = Napi::Object::New(env);
  object.Set("reason", failure.reason);
  object.Set("text", failure.text);
  return object;
}

const char* phase_name(vppapi::Phase phase) {
  switch (phase) {
  case vppapi::Phase::kConnecting:
    return "connecting";
  case vppapi::Phase::kOpen:
    return "open";
  case vppapi::Phase::kClosing:
    return "closing";
  case vppapi::Phase::kClosed:
    break;
  }
  return "closed";
}

} // namespace

class VppApi final : public Napi::ObjectWrap<VppApi> {
public:
  // new VppApi(libraryPath, options, onWake); `failure` says at once when it cannot begin.
  explicit VppApi(const Napi::CallbackInfo& info)
      : Napi::ObjectWrap<VppApi>(info), poller_(Environment::of(info.Env())),
        callback_(Napi::Persistent(info[2].As<Napi::Function>())) {
    const vppapi::Library* library = nullptr;
    failure_ = vppapi::Library::load({info[0].As<Napi::String>().Utf8Value()}, &library);
    if (failure_) return;
    Napi::Object given = info[1].As<Napi::Object>();
    vppapi::Connection::Options options;
    options.name = get_string(given, "name");
    options.prefix = get_string(given, "prefix");
    options.folder = get_string(given, "folder", options.folder);
    options.socket = get_string(given, "socket");
    options.queue_length = static_cast<int>(get_number(given, "queueLength", options.queue_length));
    options.ring_bytes = static_cast<uint32_t>(get_number(given, "ringBytes", options.ring_bytes));
    options.connect_ms = static_cast<int>(get_number(given, "connectMs", options.connect_ms));
    options.stopped_ms = static_cast<int>(get_number(given, "stoppedMs", options.stopped_ms));
    failure_ = vppapi::Connection::start(*library, std::move(options), &connection_);
    if (failure_) return;
    token_ = poller_.watch(connection_->event_fd(), [this] {
      if (!sys::drain(connection_->event_fd())) return;
      Napi::HandleScope scope(Env());
      call(Env(), callback_, {});
    });
    if (token_ == nullptr) {
      failure_ = {"CONNECT", "the wake-up descriptor cannot be watched"};
      connection_->close();
      return;
    }
    Ref();
  }

  // Also at the end of a worker that was terminated: VPP is left in good order, or at least given the time.
  ~VppApi() override {
    if (connection_ == nullptr) return;
    connection_->close();
    connection_->wait_closed(kEndMs);
  }

private:
  friend void init_vppapi(Napi::Env env, Napi::Object exports);

  Napi::Value failure(const Napi::CallbackInfo& info) {
    return to_failure(info.Env(), failure_ || connection_ == nullptr ? failure_ : connection_->failure());
  }
  Napi::Value phase(const Napi::CallbackInfo& info) {
    auto phase = connection_ == nullptr ? vppapi::Phase::kClosed : connection_->phase();
    return Napi::String::New(info.Env(), phase_name(phase));
  }
  // The memory of the ring, made once.
  Napi::Value memory(const Napi::CallbackInfo& info) {
    return to_array_buffer(info.Env(), connection_->ring().mapping());
  }
  // send(bytes: Uint8Array, sizes: Uint32Array, count) -> messages handed to VPP
  Napi::Value send(const Napi::CallbackInfo& info) {
    auto bytes = info[0].As<Napi::Uint8Array>();
    auto sizes = info[1].As<Napi::Uint32Array>();
    uint32_t count = info[2].As<Napi::Number>().Uint32Value();
    size_t total = 0;
    for (uint32_t i = 0; i < count && i < sizes.ElementLength(); i++)
      total += sizes[i];
    if (count > sizes.ElementLength() || total > bytes.ByteLength()) {
      Napi::RangeError::New(info.Env(), "more messages than bytes").ThrowAsJavaScriptException();
      return info.Env().Undefined();
    }
    return Napi::Number::New(info.Env(), connection_->send(bytes.Data(), sizes.Data(), count));
  }
  // wait(head, spinUs, timeoutMs) -> whether the ring has more
  Napi::Value wait(const Napi::CallbackInfo& info) {
    bool more =
        connection_->wait(info[0].As<Napi::Number>().Uint32Value(), info[1].As<Napi::Number>().Uint32Value(),
                          info[2].As<Napi::Number>().Uint32Value());
    return Napi::Boolean::New(info.Env(), more);
  }
  // poll(wanted, spinUs) -> whether the owner is the one who takes messages now
  Napi::Value poll(const Napi::CallbackInfo& info) {
    bool direct =
        connection_->poll(info[0].As<Napi::Number>().Uint32Value(), info[1].As<Napi::Number>().Uint32Value());
    return Napi::Boolean::New(info.Env(), direct);
  }
  void rest(const Napi::CallbackInfo&) { connection_->rest(); }
  void forget(const Napi::CallbackInfo& info) {
    connection_->forget(static_cast<uint64_t>(info[0].As<Napi::Number>().Int64Value()));
  }
  Napi::Value index_of(const Napi::CallbackInfo& info) {
    return Napi::Number::New(info.Env(), connection_->message_index(info[0].As<Napi::String>().Utf8Value()));
  }
  Napi::Value counters(const Napi::CallbackInfo& info) {
    Napi::Object object = Napi::Object::New(info.Env());
    object.Set("sent", static_cast<double>(connection_->sent()));
    object.Set("received", static_cast<double>(connection_->received()));
    object.Set("rings", static_cast<double>(connection_->rings()));
    object.Set("messages", connection_->message_count());
    object.Set("direct", connection_->direct());
    return object;
  }
  void set_ref(const Napi::CallbackInfo& info) { poller_.set_ref(info[0].As<Napi::Boolean>().Value()); }
  void close(const Napi::CallbackInfo&) {
    if (connection_ != nullptr) connection_->close();
  }
  // closeSync(timeoutMs) -> whether VPP has let go
  Napi::Value close_sync(const Napi::CallbackInfo& info) {
    if (connection_ == nullptr) return Napi::Boolean::New(info.Env(), true);
    connection_->close();
    return Napi::Boolean::New(info.Env(), connection_->wait_closed(info[0].As<Napi::Number>().Int32Value()));
  }
  // Nothing is told any more; the connection goes on closing by itself.
  void release(const Napi::CallbackInfo&) {
    if (token_ == nullptr) return;
    poller_.unwatch(std::exchange(token_, nullptr));
    callback_.Reset();
    Unref();
  }

  UvPoller poller_;
  Napi::FunctionReference callback_;
  std::shared_ptr<vppapi::Connection> connection_;
  vppapi::Failure failure_;
  sys::Poller::Token token_ = nullptr;
};

// loadVppApi(candidates) -> {path} or {failure}
static Napi::Value load_vppapi(const Napi::CallbackInfo& info) {
  auto given = info[0].As<Napi::Array>();
  std::vector<std::string> candidates;
  for (uint32_t i = 0; i < given.Length(); i++)
    candidates.push_back(given.Get(i).As<Napi::String>().Utf8Value());
  const vppapi::Library* library = nullptr;
  auto failure = vppapi::Library::load(candidates, &library);
  Napi::Object result = Napi::Object::New(info.Env());
  if (failure)
    result.Set("failure", to_failure(info.Env(), failure));
  else
    result.Set("path", library->path);
  return result;
}

void init_vppapi(Napi::Env env, Napi::Object exports) {
  exports.Set("loadVppApi", Napi::Function::New(env, load_vppapi));
  exports.Set(
      "VppApi",
      VppApi::DefineClass(
          env, "VppApi",
          {VppApi::InstanceMethod<&VppApi::failure>("failure"),
           VppApi::InstanceMethod<&VppApi::phase>("phase"), VppApi::InstanceMethod<&VppApi::memory>("memory"),
           VppApi::InstanceMethod<&VppApi::send>("send"), VppApi::InstanceMethod<&VppApi::wait>("wait"),
           VppApi::InstanceMethod<&VppApi::poll>("poll"), VppApi::InstanceMethod<&VppApi::rest>("rest"),
           VppApi::InstanceMethod<&VppApi::forget>("forget"),
           VppApi::InstanceMethod<&VppApi::index_of>("indexOf"),
           VppApi::InstanceMethod<&VppApi::counters>("counters"),
           VppApi::InstanceMethod<&VppApi::set_ref>("setRef"),
           VppApi::InstanceMethod<&VppApi::close>("close"),
           VppApi::InstanceMethod<&VppApi::close_sync>("closeSync"),
           VppApi::InstanceMethod<&VppApi::release>("release")}));
  Napi::Object layout = Napi::Object::New(env);
  layout.Set("head", vppapi::ReplyRing::kHeadOffset);
  layout.Set("tail", vppapi::ReplyRing::kTailOffset);
  layout.Set("armed", vppapi::ReplyRing::kArmedOffset);
  layout.Set("data", vppapi::ReplyRing::kDataOffset);
  exports.Set("replyRingLayout", layout);
}

} // namespace nodevpp::addon
