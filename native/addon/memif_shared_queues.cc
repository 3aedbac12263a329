// Queues of a connection that another thread set up: adopts the descriptors it was sent and maps the regions
// itself.

#include <fcntl.h>
#include <sys/stat.h>

#include "addon/environment.h"
#include "sys/doorbell.h"

namespace nodevpp::addon {

class SharedQueues final : public Napi::ObjectWrap<SharedQueues> {
public:
  explicit SharedQueues(const Napi::CallbackInfo& info);

private:
  friend void init_shared_queues(Napi::Env env, Napi::Object exports);
  Napi::Value regions(const Napi::CallbackInfo& info);
  Napi::Value events(const Napi::CallbackInfo& info);
  void close(const Napi::CallbackInfo& info);

  std::vector<sys::Fd> events_;
  std::vector<std::shared_ptr<sys::Mapping>> mappings_;
  std::vector<Napi::Reference<Napi::Value>> buffers_;
};

// new SharedQueues({ regions: [{ fd, size, inode }], rings: [{ event }] })
// Duplicates the descriptors: the exporter keeps its own until it hears that this has been done.
SharedQueues::SharedQueues(const Napi::CallbackInfo& info) : Napi::ObjectWrap<SharedQueues>(info) {
  Napi::Env env = info.Env();
  Napi::Object given = info[0].As<Napi::Object>();
  Napi::Array regions = given.Get("regions").As<Napi::Array>();
  Napi::Array rings = given.Get("rings").As<Napi::Array>();
  std::string wrong;
  for (uint32_t i = 0; i < regions.Length() && wrong.empty(); i++) {
    Napi::Object region = regions.Get(i).As<Napi::Object>();
    sys::Fd fd(::fcntl(static_cast<int>(get_number(region, "fd", -1)), F_DUPFD_CLOEXEC, 0));
    struct stat st {};
    // The exporter may have closed it meanwhile, and the number may be another file's by now.
    if (!fd.valid() || ::fstat(fd.get(), &st) != 0 ||
        static_cast<double>(st.st_ino) != get_number(region, "inode")) {
      wrong = "the handle was opened before, or its connection is gone";
      break;
    }
    std::shared_ptr<sys::Mapping> mapping;
    auto size = static_cast<size_t>(get_number(region, "size"));
    if (auto error = sys::Mapping::map(fd.get(), size, true, &mapping)) {
      wrong = std::string("cannot map a region: ") + std::strerror(error.err);
    } else {
      mappings_.push_back(std::move(mapping));
    }
  }
  for (uint32_t i = 0; i < rings.Length() && wrong.empty(); i++) {
    int theirs = static_cast<int>(get_number(rings.Get(i).As<Napi::Object>(), "event", -1));
    sys::Fd fd(::fcntl(theirs, F_DUPFD_CLOEXEC, 0));
    if (fd.valid() && sys::is_eventfd(fd.get()))
      events_.push_back(std::move(fd));
    else
      wrong = "the handle was opened before, or its connection is gone";
  }
  if (!wrong.empty()) Napi::Error::New(env, wrong).ThrowAsJavaScriptException();
}

// The eventfds of the rings, in the order of the handle.
Napi::Value SharedQueues::events(const Napi::CallbackInfo& info) {
  Napi::Array array = Napi::Array::New(info.Env());
  for (uint32_t i = 0; i < events_.size(); i++)
    array.Set(i, events_[i].get());
  return array;
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
