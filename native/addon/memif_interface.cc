#include "addon/memif_interface.h"

#include <sys/stat.h>

#include "addon/memif_listener.h"

namespace nodevpp::addon {
namespace {

Napi::Object ring_object(Napi::Env env, const memif::RingPlace& ring) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("s2m", ring.s2m);
  object.Set("index", ring.index);
  object.Set("region", ring.region);
  object.Set("offset", ring.offset);
  object.Set("log2Size", ring.log2_size);
  object.Set("event", ring.event.get());
  return object;
}

} // namespace

// new MemifInterface(options, onEvent): onEvent('up', session) and onEvent('down', failure, wasUp)
MemifInterface::MemifInterface(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<MemifInterface>(info), poller_(Environment::of(info.Env())) {
  Napi::Object given = info[0].As<Napi::Object>();
  memif::InterfaceOptions options;
  options.role = get_string(given, "role") == "client" ? memif::Role::client : memif::Role::server;
  options.id = static_cast<uint32_t>(get_number(given, "id"));
  options.mode = get_string(given, "mode") == "ip" ? memif::Mode::ip : memif::Mode::ethernet;
  Napi::Value secret = given.Get("secret");
  if (secret.IsTypedArray()) {
    auto bytes = secret.As<Napi::Uint8Array>();
    std::memcpy(options.secret.data(), bytes.Data(),
                std::min<size_t>(bytes.ByteLength(), memif::kSecretSize - 1));
    options.has_secret = true;
  }
  options.app_name = get_string(given, "appName", "node-vpp");
  options.interface_name = get_string(given, "interfaceName");
  options.s2m_rings = static_cast<uint16_t>(get_number(given, "s2mRings", 1));
  options.m2s_rings = static_cast<uint16_t>(get_number(given, "m2sRings", 1));
  options.log2_ring_size = static_cast<uint8_t>(get_number(given, "log2RingSize", 10));
  options.buffer_size = static_cast<uint32_t>(get_number(given, "bufferSize", 2048));
  options.cache_line = static_cast<uint16_t>(get_number(given, "cacheLine", 64));
  options.allow_unsealed = get_bool(given, "allowUnsealed");
  options.max_region_size = static_cast<uint64_t>(get_number(given, "maxRegionBytes", 4294967296.0));
  interface_ = std::make_unique<memif::Interface>(
      poller_, static_cast<memif::InterfaceObserver&>(*this), options,
      static_cast<unsigned>(get_number(given, "handshakeTimeoutMs", 5000)));
  if (auto* memory = MemifMemory::from(info.Env(), given.Get("memory"))) {
    memory_ = Napi::Persistent(given.Get("memory").As<Napi::Object>());
    interface_->use_memory(memory->memory());
  }
  on_event_ = Napi::Persistent(info[1].As<Napi::Function>());
  Ref();
  held_ = true;
}

MemifInterface* MemifInterface::from(Napi::Env env, const Napi::Value& value) {
  if (!value.IsObject()) return nullptr;
  Napi::Object object = value.As<Napi::Object>();
  if (!object.InstanceOf(Environment::of(env)->interface_class.Value())) return nullptr;
  return Unwrap(object);
}

void MemifInterface::interface_up(memif::Interface& interface) {
  if (on_event_.IsEmpty()) return;
  Napi::Env env = Env();
  Napi::HandleScope scope(env);
  memif::Connection& connection = *interface.connection();
  const memif::Session& session = connection.session();
  Napi::Object object = Napi::Object::New(env);
  object.Set("peerName", session.peer_name);
  object.Set("peerInterfaceName", session.peer_interface_name);
  ucred peer = connection.peer();
  object.Set("pid", peer.pid);
  object.Set("uid", peer.uid);
  object.Set("gid", peer.gid);
  Napi::Array regions = Napi::Array::New(env);
  for (uint32_t i = 0; i < session.regions.size(); i++) {
    Napi::Value buffer;
    if (i == 1 && !memory_.IsEmpty()) {
      buffer = MemifMemory::from(env, memory_.Value())->buffer(env);
    } else {
      buffer = to_array_buffer(env, session.regions[i].mapping);
      if (!env.IsExceptionPending()) buffers_.push_back(Napi::Reference<Napi::Value>::New(buffer, 1));
    }
    if (env.IsExceptionPending()) {
      env.GetAndClearPendingException();
      interface.disconnect(
          {memif::Reason::system, "this runtime does not allow ArrayBuffers over shared memory", {}});
      return;
    }
    regions.Set(i, buffer);
  }
  object.Set("regions", regions);
  Napi::Array rings = Napi::Array::New(env);
  uint32_t at = 0;
  for (const auto* list : {&session.s2m, &session.m2s}) {
    for (const auto& ring : *list)
      rings.Set(at++, ring_object(env, ring));
  }
  object.Set("rings", rings);
  const auto& offsets = connection.buffers();
  if (!offsets.empty()) {
    auto array = Napi::Uint32Array::New(env, offsets.size());
    if (array.IsEmpty()) return; // the environment is being terminated
    std::memcpy(array.Data(), offsets.data(), offsets.size() * sizeof(uint32_t));
    object.Set("buffers", array);
    object.Set("bufferSize", connection.memory()->buffer_size());
  }
  call(env, on_event_, {Napi::String::New(env, "up"), object});
}

void MemifInterface::interface_down(memif::Interface&, const memif::Failure& failure, bool was_up) {
  if (on_event_.IsEmpty()) return;
  Napi::Env env = Env();
  Napi::HandleScope scope(env);
  // JavaScript first lets go of its queues; then the memory is taken from whatever views are left.
  call(env, on_event_,
       {Napi::String::New(env, "down"), to_object(env, failure), Napi::Boolean::New(env, was_up)});
  if (was_up) detach_regions();
}

void MemifInterface::detach_regions() {
  auto buffers = std::move(buffers_);
  buffers_.clear();
  for (auto& buffer : buffers)
    detach(Env(), buffer.Value());
}

// connect(address) -> undefined, or { errno, syscall, .. } or { text }
Napi::Value MemifInterface::connect(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  sys::UnixAddress address;
  std::string wrong = sys::UnixAddress::parse(info[0].As<Napi::String>().Utf8Value(), &address);
  if (!wrong.empty()) {
    Napi::Object object = Napi::Object::New(env);
    object.Set("text", wrong);
    return object;
  }
  if (auto error = interface_->connect(address)) return to_object(env, error);
  return env.Undefined();
}

Napi::Value MemifInterface::attach(const Napi::CallbackInfo& info) {
  auto* listener = MemifListener::from(info.Env(), info[0]);
  return Napi::Boolean::New(info.Env(), listener != nullptr && listener->listener().attach(*interface_));
}

// disconnect(reasonNumber, text)
void MemifInterface::disconnect(const Napi::CallbackInfo& info) {
  if (!interface_) return;
  std::string name = info[0].As<Napi::String>().Utf8Value();
  auto reason = memif::Reason::closed;
  for (auto known :
       {memif::Reason::descriptor, memif::Reason::index, memif::Reason::region, memif::Reason::ring}) {
    if (name == memif::reason_name(known)) reason = known;
  }
  interface_->disconnect({reason, info[1].As<Napi::String>().Utf8Value(), {}});
}

Napi::Value MemifInterface::memory_lost(const Napi::CallbackInfo& info) {
  auto* connection = interface_ ? interface_->connection() : nullptr;
  return Napi::Boolean::New(info.Env(), connection != nullptr && connection->session().memory_lost());
}

// exportQueues([{ s2m, index }]) -> { regions: [{ fd, size, inode }], rings: [..] }: the session's own
// descriptors by their numbers, for SharedQueues in another thread to duplicate. They are good as long as the
// connection.
Napi::Value MemifInterface::export_queues(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  auto* connection = interface_ ? interface_->connection() : nullptr;
  if (connection == nullptr) return env.Undefined();
  const memif::Session& session = connection->session();
  Napi::Object result = Napi::Object::New(env);
  Napi::Array regions = Napi::Array::New(env);
  for (uint32_t i = 0; i < session.regions.size(); i++) {
    const auto& region = session.regions[i];
    struct stat st {};
    ::fstat(region.fd.get(), &st);
    Napi::Object object = Napi::Object::New(env);
    object.Set("fd", region.fd.get());
    object.Set("size", static_cast<double>(region.size));
    object.Set("inode", static_cast<double>(st.st_ino));
    regions.Set(i, object);
  }
  result.Set("regions", regions);
  Napi::Array wanted = info[0].As<Napi::Array>();
  Napi::Array rings = Napi::Array::New(env);
  for (uint32_t i = 0; i < wanted.Length(); i++) {
    Napi::Object each = wanted.Get(i).As<Napi::Object>();
    const auto& list = get_bool(each, "s2m") ? session.s2m : session.m2s;
    auto index = static_cast<size_t>(get_number(each, "index"));
    if (index >= list.size()) continue;
    rings.Set(rings.Length(), ring_object(env, list[index]));
  }
  result.Set("rings", rings);
  return result;
}

void MemifInterface::destroy(const Napi::CallbackInfo&) {
  if (interface_) interface_->disconnect({memif::Reason::closed, "interface deleted", {}});
  interface_.reset();
  on_event_.Reset();
  memory_.Reset();
  if (held_) {
    held_ = false;
    Unref();
  }
}

void init_interface(Napi::Env env, Napi::Object exports) {
  Napi::Function constructor = MemifInterface::DefineClass(
      env, "MemifInterface",
      {MemifInterface::InstanceMethod<&MemifInterface::connect>("connect"),
       MemifInterface::InstanceMethod<&MemifInterface::attach>("attach"),
       MemifInterface::InstanceMethod<&MemifInterface::disconnect>("disconnect"),
       MemifInterface::InstanceMethod<&MemifInterface::memory_lost>("memoryLost"),
       MemifInterface::InstanceMethod<&MemifInterface::export_queues>("exportQueues"),
       MemifInterface::InstanceMethod<&MemifInterface::set_ref>("setRef"),
       MemifInterface::InstanceMethod<&MemifInterface::destroy>("destroy")});
  Environment::of(env)->interface_class = Napi::Persistent(constructor);
  exports.Set("MemifInterface", constructor);
}

} // namespace nodevpp::addon
