// Queues of a connection that another thread set up: adopts the descriptors it was sent and maps the regions
// itself.

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
  void close(const Napi::CallbackInfo& info);

  std::vector<sys::Fd> fds_;
  std::vector<std::shared_ptr<sys::Mapping>> mappings_;
  std::vector<Napi::Reference<Napi::Value>> buffers_;
};

// new SharedQueues({ regions: [{ fd, size, inode }], rings: [{ event }] })
SharedQueues::SharedQueues(const Napi::CallbackInfo& info) : Napi::ObjectWrap<SharedQueues>(info) {
  Napi::Env env = info.Env();
  Napi::Object given = info[0].As<Napi::Object>();
  Napi::Array regions = given.Get("regions").As<Napi::Array>();
  Napi::Array rings = given.Get("rings").As<Napi::Array>();
  std::string wrong;
  for (uint32_t i = 0; i < regions.Length() && wrong.empty(); i++) {
    Napi::Object region = regions.Get(i).As<Napi::Object>();
    int fd = static_cast<int>(get_number(region, "fd", -1));
    auto size = static_cast<size_t>(get_number(region, "size"));
    struct stat st {};
    // A handle that was used before names a descriptor that may be somebody else's by now: it is not touched.
    if (::fstat(fd, &st) != 0 || static_cast<double>(st.st_ino) != get_number(region, "inode")) {
      wrong = "the handle was opened before, or its connection is gone";
      break;
    }
    fds_.emplace_back(fd);
    std::shared_ptr<sys::Mapping> mapping;
    if (auto error = sys::Mapping::map(fd, size, true, &mapping)) {
      wrong = std::string("cannot map a region: ") + std::strerror(error.err);
    } else {
      mappings_.push_back(std::move(mapping));
    }
  }
  for (uint32_t i = 0; i < rings.Length() && wrong.empty(); i++) {
    int fd = static_cast<int>(get_number(rings.Get(i).As<Napi::Object>(), "event", -1));
    if (sys::is_eventfd(fd))
      fds_.emplace_back(fd);
    else
      wrong = "the handle was opened before, or its connection is gone";
  }
  if (!wrong.empty()) Napi::Error::New(env, wrong).ThrowAsJavaScriptException();
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
  fds_.clear();
}

void init_shared_queues(Napi::Env env, Napi::Object exports) {
  exports.Set("SharedQueues",
              SharedQueues::DefineClass(env, "SharedQueues",
                                        {SharedQueues::InstanceAccessor<&SharedQueues::regions>("regions"),
                                         SharedQueues::InstanceMethod<&SharedQueues::close>("close")}));
}

} // namespace nodevpp::addon
