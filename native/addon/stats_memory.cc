// Memory for a stats segment that this process writes: a sealed memfd, mapped for writing, handed out on a
// stats socket.

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>

#include "addon/environment.h"
#include "stats/server.h"

namespace nodevpp::addon {

class StatsMemory final : public Napi::ObjectWrap<StatsMemory> {
public:
  // new StatsMemory(sizeBytes), or new StatsMemory({ fd, size, inode }) with what another thread exported. A
  // failure is in `failure` afterwards.
  explicit StatsMemory(const Napi::CallbackInfo& info)
      : Napi::ObjectWrap<StatsMemory>(info), poller_(Environment::of(info.Env())) {
    size_t size = 0;
    if (info[0].IsObject()) {
      Napi::Object handle = info[0].As<Napi::Object>();
      size = static_cast<size_t>(get_number(handle, "size"));
      fd_ = sys::Fd(::fcntl(static_cast<int>(get_number(handle, "fd", -1)), F_DUPFD_CLOEXEC, 0));
      struct stat st {};
      if (!fd_.valid() || ::fstat(fd_.get(), &st) != 0) {
        error_ = {errno, "fcntl"};
        return;
      }
      // The number may belong to another file by now.
      if (static_cast<double>(st.st_ino) != get_number(handle, "inode") ||
          static_cast<size_t>(st.st_size) != size) {
        error_ = {EBADF, "fstat"};
        return;
      }
    } else {
      size = static_cast<size_t>(info[0].As<Napi::Number>().Int64Value());
      error_ = sys::create_sealed_memfd("stat segment", size, &fd_);
      if (error_) return;
    }
    error_ = sys::Mapping::map(fd_.get(), size, false, &mapping_);
  }

private:
  friend void init_stats_memory(Napi::Env env, Napi::Object exports);

  Napi::Value get_failure(const Napi::CallbackInfo& info) {
    return error_ ? to_object(info.Env(), error_) : info.Env().Undefined();
  }
  Napi::Value get_buffer(const Napi::CallbackInfo& info) {
    Napi::Env env = info.Env();
    if (!mapping_) return env.Undefined();
    if (buffer_.IsEmpty()) {
      Napi::Value made = to_array_buffer(env, mapping_);
      if (env.IsExceptionPending()) return env.Undefined();
      buffer_ = Napi::Reference<Napi::Value>::New(made, 1);
    }
    return buffer_.Value();
  }
  // What another thread of this process opens it with, while it is open here.
  Napi::Value export_handle(const Napi::CallbackInfo& info) {
    Napi::Object handle = Napi::Object::New(info.Env());
    struct stat st {};
    if (!fd_.valid() || ::fstat(fd_.get(), &st) != 0) return info.Env().Undefined();
    handle.Set("fd", fd_.get());
    handle.Set("size", static_cast<double>(st.st_size));
    handle.Set("inode", static_cast<double>(st.st_ino));
    return handle;
  }
  // listen(address, { mode, uid, gid }) -> undefined, or { errno, syscall, .. } or { text }
  Napi::Value listen(const Napi::CallbackInfo& info) {
    Napi::Env env = info.Env();
    sys::UnixAddress address;
    std::string wrong = sys::UnixAddress::parse(info[0].As<Napi::String>().Utf8Value(), &address);
    if (!wrong.empty()) {
      Napi::Object object = Napi::Object::New(env);
      object.Set("reason", "ADDRESS");
      object.Set("text", wrong);
      return object;
    }
    Napi::Object given = info[1].As<Napi::Object>();
    sys::ListenOptions options;
    options.mode = static_cast<int>(get_number(given, "mode", -1));
    options.uid = static_cast<int>(get_number(given, "uid", -1));
    options.gid = static_cast<int>(get_number(given, "gid", -1));
    auto server = std::make_unique<stats::Server>(poller_, fd_.get());
    if (auto error = server->listen(address, options)) return to_object(env, error);
    server_ = std::move(server);
    Ref();
    return env.Undefined();
  }
  Napi::Value get_served(const Napi::CallbackInfo& info) {
    return Napi::Number::New(info.Env(), server_ ? static_cast<double>(server_->served()) : 0);
  }
  void set_ref(const Napi::CallbackInfo& info) { poller_.set_ref(info[0].As<Napi::Boolean>().Value()); }
  void unlisten() {
    if (!server_) return;
    server_.reset();
    Unref();
  }
  void close(const Napi::CallbackInfo& info) {
    unlisten();
    if (!buffer_.IsEmpty()) {
      detach(info.Env(), buffer_.Value());
      buffer_.Reset();
    }
    mapping_.reset();
    fd_.reset();
  }

  UvPoller poller_;
  sys::Fd fd_;
  std::shared_ptr<sys::Mapping> mapping_;
  std::unique_ptr<stats::Server> server_;
  sys::SysError error_;
  Napi::Reference<Napi::Value> buffer_;
};

void init_stats_memory(Napi::Env env, Napi::Object exports) {
  exports.Set("StatsMemory", StatsMemory::DefineClass(
                                 env, "StatsMemory",
                                 {StatsMemory::InstanceAccessor<&StatsMemory::get_failure>("failure"),
                                  StatsMemory::InstanceAccessor<&StatsMemory::get_buffer>("buffer"),
                                  StatsMemory::InstanceAccessor<&StatsMemory::get_served>("served"),
                                  StatsMemory::InstanceMethod<&StatsMemory::export_handle>("exportHandle"),
                                  StatsMemory::InstanceMethod<&StatsMemory::listen>("listen"),
                                  StatsMemory::InstanceMethod<&StatsMemory::set_ref>("setRef"),
                                  StatsMemory::InstanceMethod<&StatsMemory::close>("close")}));
}

} // namespace nodevpp::addon
