// Queues of a connection that another thread set up: duplicates its descriptors and maps the regions itself.

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>

#include "addon/environment.h"
#include "sys/doorbell.h"

namespace nodevpp::addon {

class SharedQueues final : public Napi::ObjectWrap<SharedQueues> {
public:
  explicit SharedQueues(const Napi::CallbackInfo& info);

private:
  friend void init_shared_queues(Napi::Env env, Napi::Object exports);
  std::string open(const Napi::Object& handle);
  Napi::Value regions(const Napi::CallbackInfo& info);
  Napi::Value events(const Napi::CallbackInfo& info);
  void close(const Napi::CallbackInfo& info);

  std::vector<sys::Fd> events_;
  std::vector<std::shared_ptr<sys::Mapping>> mappings_;
  std::vector<Napi::Reference<Napi::Value>> buffers_;
};

// new SharedQueues({ regions: [{ fd, size, inode }], rings: [{ event }] })
SharedQueues::SharedQueues(const Napi::CallbackInfo& info) : Napi::ObjectWrap<SharedQueues>(info) {
  std::string wrong = open(info[0].As<Napi::Object>());
  if (!wrong.empty()) Napi::Error::New(info.Env(), wrong).ThrowAsJavaScriptException();
}

// The descriptors are the other thread's, which closes them when the connection ends. So each is duplicated
// first and looked at afterwards: a number that belongs to something else by now shows itself by its inode.
std::string SharedQueues::open(const Napi::Object& handle) {
  const std::string gone = "the connection of these queues is gone";
  Napi::Array regions = handle.Get("regions").As<Napi::Array>();
  Napi::Array rings = handle.Get("rings").As<Napi::Array>();
  for (uint32_t i = 0; i < regions.Length(); i++) {
    Napi::Object region = regions.Get(i).As<Napi::Object>();
    sys::Fd fd(::fcntl(static_cast<int>(get_number(region, "fd", -1)), F_DUPFD_CLOEXEC, 0));
    struct stat st {};
    if (!fd.valid() || ::fstat(fd.get(), &st) != 0 ||
        static_cast<double>(st.st_ino) != get_number(region, "inode")) {
      return fd.valid() || errno == EBADF ? gone
                                          : std::string("duplicating a region: ") + std::strerror(errno);
    }
    std::shared_ptr<sys::Mapping> mapping;
    if (auto error =
            sys::Mapping::map(fd.get(), static_cast<size_t>(get_number(region, "size")), true, &mapping))
      return std::string("mapping a region: ") + std::strerror(error.err);
    mappings_.push_back(std::move(mapping));
  }
  for (uint32_t i = 0; i < rings.Length(); i++) {
    int event = static_cast<int>(get_number(rings.Get(i).As<Napi::Object>(), "event", -1));
    sys::Fd fd(::fcntl(event, F_DUPFD_CLOEXEC, 0));
    if (!fd.valid() && errno != EBADF) return std::string("duplicating an eventfd: ") + std::strerror(errno);
    if (!fd.valid() || !sys::is_eventfd(fd.get())) return gone;
    events_.push_back(std::move(fd));
  }
  return {};
}

Napi::Value SharedQueues::regions(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (buffers_.empty()) {
    for (const auto& mapping : mappings_) {
      Napi::Value buffer = to_array_buffer(env, mapping);
      if (env.IsExceptionPending()) return env.Undefined();
      buffers_.push_back(Napi::Reference<Napi::Value>::New(buffer, 1));
    }
  }
  Napi::Array array = Napi::Array::New(env);
  for (uint32_t i = 0; i < buffers_.size(); i++)
    array.Set(i, buffers_[i].Value());
  return array;
}

// The eventfd of each ring, by its number here.
Napi::Value SharedQueues::events(const Napi::CallbackInfo& info) {
  Napi::Array array = Napi::Array::New(info.Env());
  for (uint32_t i = 0; i < events_.size(); i++)
    array.Set(i, events_[i].get());
  return array;
}

void SharedQueues::close(const Napi::CallbackInfo& info) {
  auto buffers = std::move(buffers_);
  buffers_.clear();
  for (auto& buffer : buffers)
    detach(info.Env(), buffer.Value());
  mappings_.clear();
  events_.clear();
}

void init_shared_queues(Napi::Env env, Napi::Object exports) {
  exports.Set("SharedQueues",
              SharedQueues::DefineClass(env, "SharedQueues",
                                        {SharedQueues::InstanceAccessor<&SharedQueues::regions>("regions"),
                                         SharedQueues::InstanceAccessor<&SharedQueues::events>("events"),
                                         SharedQueues::InstanceMethod<&SharedQueues::close>("close")}));
}

} // namespace nodevpp::addon
