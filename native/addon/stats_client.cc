// Receives a stats segment and hands it to JavaScript as an ArrayBuffer that is mapped read-only.

#include "addon/environment.h"
#include "stats/segment.h"

namespace nodevpp::addon {
namespace {

Napi::Object to_object(Napi::Env env, const stats::Failure& failure) {
  Napi::Object object = failure.error ? addon::to_object(env, failure.error) : Napi::Object::New(env);
  object.Set("reason", stats::reason_name(failure.reason));
  object.Set("text", failure.text);
  return object;
}

} // namespace

// One mapping of one segment. One ArrayBuffer over it, detached before the memory goes.
class StatsSegment final : public Napi::ObjectWrap<StatsSegment> {
public:
  explicit StatsSegment(const Napi::CallbackInfo& info) : Napi::ObjectWrap<StatsSegment>(info) {}

  static Napi::Object make(Napi::Env env, stats::Segment segment, int pid) {
    Napi::Object object = Environment::of(env)->stats_segment_class.New({});
    StatsSegment* self = Unwrap(object);
    self->segment_ = std::move(segment);
    self->pid_ = pid;
    return object;
  }

private:
  friend void init_stats_client(Napi::Env env, Napi::Object exports);

  Napi::Value get_buffer(const Napi::CallbackInfo& info) {
    Napi::Env env = info.Env();
    if (!segment_.mapping) return env.Undefined();
    if (buffer_.IsEmpty()) {
      Napi::Value made = to_array_buffer(env, segment_.mapping);
      if (env.IsExceptionPending()) return env.Undefined();
      buffer_ = Napi::Reference<Napi::Value>::New(made, 1);
    }
    return buffer_.Value();
  }
  // Tells one segment from another.
  Napi::Value get_identity(const Napi::CallbackInfo& info) {
    return Napi::String::New(info.Env(),
                             std::to_string(segment_.device) + ":" + std::to_string(segment_.inode));
  }
  Napi::Value get_sealed(const Napi::CallbackInfo& info) {
    return Napi::Boolean::New(info.Env(), segment_.sealed);
  }
  Napi::Value get_pid(const Napi::CallbackInfo& info) { return Napi::Number::New(info.Env(), pid_); }
  Napi::Value lost(const Napi::CallbackInfo& info) {
    return Napi::Boolean::New(info.Env(), segment_.mapping != nullptr && segment_.mapping->lost());
  }
  void close(const Napi::CallbackInfo& info) {
    if (!buffer_.IsEmpty()) {
      detach(info.Env(), buffer_.Value());
      buffer_.Reset();
    }
    segment_.mapping.reset();
  }

  stats::Segment segment_;
  int pid_ = 0;
  Napi::Reference<Napi::Value> buffer_;
};

// One attempt to get the segment of a socket: calls back once, unless it is closed before.
class StatsClient final : public Napi::ObjectWrap<StatsClient> {
public:
  // new StatsClient(address, callback(segment | undefined, failure | undefined)); `failure` is set when
  // connecting itself failed, and then there is no callback.
  explicit StatsClient(const Napi::CallbackInfo& info)
      : Napi::ObjectWrap<StatsClient>(info), poller_(Environment::of(info.Env())) {
    failure_ = stats::Connection::open(info[0].As<Napi::String>().Utf8Value(), &connection_);
    if (failure_) return;
    callback_ = Napi::Persistent(info[1].As<Napi::Function>());
    token_ = poller_.watch(connection_->socket(), [this] { readable(); });
    if (token_ == nullptr) {
      failure_ = {stats::Reason::system, {}, {errno, "epoll_ctl"}};
      finish();
      return;
    }
    Ref();
  }

private:
  friend void init_stats_client(Napi::Env env, Napi::Object exports);

  void readable() {
    stats::Segment segment;
    stats::Failure failure;
    auto status = connection_->receive(&segment, &failure);
    if (status == stats::Connection::Status::pending) return;
    Napi::Env env = Env();
    Napi::HandleScope scope(env);
    int pid = connection_->pid();
    auto callback = std::move(callback_);
    poller_.unwatch(std::exchange(token_, nullptr));
    connection_.reset();
    if (status == stats::Connection::Status::segment) {
      call(env, callback, {StatsSegment::make(env, std::move(segment), pid)});
    } else {
      call(env, callback, {env.Undefined(), to_object(env, failure)});
    }
    Unref();
  }
  void finish() {
    if (token_ != nullptr) {
      poller_.unwatch(std::exchange(token_, nullptr));
      Unref();
    }
    connection_.reset();
    callback_.Reset();
  }
  Napi::Value get_failure(const Napi::CallbackInfo& info) {
    return failure_ ? to_object(info.Env(), failure_) : info.Env().Undefined();
  }
  void set_ref(const Napi::CallbackInfo& info) { poller_.set_ref(info[0].As<Napi::Boolean>().Value()); }
  void close(const Napi::CallbackInfo&) { finish(); }

  UvPoller poller_;
  std::unique_ptr<stats::Connection> connection_;
  stats::Failure failure_;
  Napi::FunctionReference callback_;
  sys::Poller::Token token_ = nullptr;
};

void init_stats_client(Napi::Env env, Napi::Object exports) {
  Napi::Function segment =
      StatsSegment::DefineClass(env, "StatsSegment",
                                {StatsSegment::InstanceAccessor<&StatsSegment::get_buffer>("buffer"),
                                 StatsSegment::InstanceAccessor<&StatsSegment::get_identity>("identity"),
                                 StatsSegment::InstanceAccessor<&StatsSegment::get_sealed>("sealed"),
                                 StatsSegment::InstanceAccessor<&StatsSegment::get_pid>("pid"),
                                 StatsSegment::InstanceMethod<&StatsSegment::lost>("lost"),
                                 StatsSegment::InstanceMethod<&StatsSegment::close>("close")});
  Environment::of(env)->stats_segment_class = Napi::Persistent(segment);
  exports.Set("StatsClient",
              StatsClient::DefineClass(env, "StatsClient",
                                       {StatsClient::InstanceAccessor<&StatsClient::get_failure>("failure"),
                                        StatsClient::InstanceMethod<&StatsClient::set_ref>("setRef"),
                                        StatsClient::InstanceMethod<&StatsClient::close>("close")}));
}

} // namespace nodevpp::addon
