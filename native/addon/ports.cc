// Ports on the kernel for JavaScript: TAP and AF_PACKET.

#include <arpa/inet.h>

#include <cstring>

#include "addon/environment.h"
#include "port/packet.h"
#include "port/tap.h"

namespace nodevpp::addon {
namespace {

// An Error that carries errno, syscall and what was being done.
void throw_failure(Napi::Env env, const port::Failure& failure) {
  Napi::Error error = Napi::Error::New(env, failure.text);
  Napi::Object details = to_object(env, failure.error);
  for (const char* name : {"errno", "syscall", "errnoName", "errnoText"})
    error.Value().Set(name, details.Get(name));
  error.ThrowAsJavaScriptException();
}

// { bytes, length } or undefined
port::IpAddress get_address(const Napi::Object& object, const char* name) {
  port::IpAddress address;
  Napi::Value value = object.Get(name);
  if (!value.IsObject()) return address;
  Bytes bytes;
  Napi::Object given = value.As<Napi::Object>();
  if (!get_bytes(object.Env(), given.Get("bytes"), &bytes) || (bytes.length != 4 && bytes.length != 16)) {
    return address;
  }
  address.family = bytes.length == 4 ? AF_INET : AF_INET6;
  std::memcpy(address.bytes.data(), bytes.data, bytes.length);
  address.length = static_cast<unsigned>(get_number(given, "length", static_cast<double>(bytes.length * 8)));
  return address;
}

Napi::Value to_bytes(Napi::Env env, const port::Mac& mac) {
  auto array = Napi::Uint8Array::New(env, mac.size());
  std::memcpy(array.Data(), mac.data(), mac.size());
  return array;
}

// What both kinds do alike: watch the descriptor while asked to, and follow the link.
template<class Derived, class Port> class KernelPort : public Napi::ObjectWrap<Derived> {
public:
  explicit KernelPort(const Napi::CallbackInfo& info)
      : Napi::ObjectWrap<Derived>(info), poller_(Environment::of(info.Env())),
        on_readable_(Napi::Persistent(info[1].As<Napi::Function>())),
        on_link_(Napi::Persistent(info[2].As<Napi::Function>())) {}

protected:
  bool begin() {
    link_token_ = poller_.watch(port_->link_fd(), [this] {
      if (!port_->link_update()) return;
      Napi::HandleScope scope(this->Env());
      call(this->Env(), on_link_, {Napi::Boolean::New(this->Env(), port_->running())});
    });
    if (link_token_ == nullptr) {
      Napi::Error::New(this->Env(), "the link cannot be watched").ThrowAsJavaScriptException();
      return false;
    }
    this->Ref();
    return true;
  }

  // watch(on): calls back in every turn of the loop in which there is something to read.
  void watch(const Napi::CallbackInfo& info) {
    bool on = info[0].As<Napi::Boolean>().Value();
    if (!port_ || on == (token_ != nullptr)) return;
    if (!on) {
      poller_.unwatch(std::exchange(token_, nullptr));
      return;
    }
    token_ = poller_.watch(port_->fd(), [this] {
      Napi::HandleScope scope(this->Env());
      call(this->Env(), on_readable_, {});
    });
  }

  void set_ref(const Napi::CallbackInfo& info) { poller_.set_ref(info[0].As<Napi::Boolean>().Value()); }

  // setMtu(mtu): throws when the kernel refuses.
  void set_mtu(const Napi::CallbackInfo& info) {
    if (!port_) return;
    if (auto failure = port_->set_mtu(info[0].As<Napi::Number>().Int32Value()))
      throw_failure(info.Env(), failure);
  }

  Napi::Value running(const Napi::CallbackInfo& info) {
    return Napi::Boolean::New(info.Env(), port_ && port_->running());
  }
  Napi::Value mtu(const Napi::CallbackInfo& info) {
    return Napi::Number::New(info.Env(), port_ ? port_->mtu() : 0);
  }
  Napi::Value mac(const Napi::CallbackInfo& info) {
    return port_ ? to_bytes(info.Env(), port_->mac()) : info.Env().Undefined();
  }

  Napi::Value memory(const Napi::CallbackInfo& info) {
    if (!port_) return info.Env().Undefined();
    if (memory_.IsEmpty()) {
      Napi::Value made = to_array_buffer(info.Env(), port_->memory());
      if (info.Env().IsExceptionPending()) return info.Env().Undefined();
      memory_ = Napi::Reference<Napi::Value>::New(made, 1);
    }
    return memory_.Value();
  }

  void close(const Napi::CallbackInfo& info) {
    if (!port_) return;
    if (token_ != nullptr) poller_.unwatch(std::exchange(token_, nullptr));
    if (link_token_ != nullptr) poller_.unwatch(std::exchange(link_token_, nullptr));
    if (!memory_.IsEmpty()) {
      detach(info.Env(), memory_.Value());
      memory_.Reset();
    }
    port_.reset();
    on_readable_.Reset();
    on_link_.Reset();
    this->Unref();
  }

  UvPoller poller_;
  std::unique_ptr<Port> port_;
  Napi::FunctionReference on_readable_;
  Napi::FunctionReference on_link_;
  Napi::Reference<Napi::Value> memory_;
  sys::Poller::Token token_ = nullptr;
  sys::Poller::Token link_token_ = nullptr;
};

class TapPort final : public KernelPort<TapPort, port::Tap> {
public:
  // new TapPort(options, onReadable, onLink)
  explicit TapPort(const Napi::CallbackInfo& info) : KernelPort(info) {
    Napi::Object given = info[0].As<Napi::Object>();
    port::TapOptions options;
    options.name = get_string(given, "name");
    options.host_namespace = get_string(given, "namespace");
    options.bridge = get_string(given, "bridge");
    options.mtu = static_cast<int>(get_number(given, "mtu"));
    options.persist = get_bool(given, "persist");
    options.gso = get_bool(given, "gso");
    options.ip4 = get_address(given, "ip4");
    options.ip6 = get_address(given, "ip6");
    options.gateway4 = get_address(given, "gateway4");
    options.gateway6 = get_address(given, "gateway6");
    Bytes mac;
    if (get_bytes(info.Env(), given.Get("mac"), &mac) && mac.length == options.mac.size()) {
      options.has_mac = true;
      std::memcpy(options.mac.data(), mac.data, mac.length);
    }
    if (auto failure = port::Tap::open(options, &port_)) {
      throw_failure(info.Env(), failure);
      return;
    }
    begin();
  }

  static Napi::Function define(Napi::Env env) {
    return DefineClass(
        env, "TapPort",
        {InstanceAccessor("running", &TapPort::running, nullptr),
         InstanceAccessor("mtu", &TapPort::mtu, nullptr), InstanceAccessor("mac", &TapPort::mac, nullptr),
         InstanceAccessor("name", &TapPort::name, nullptr), InstanceAccessor("gso", &TapPort::gso, nullptr),
         InstanceMethod("receive", &TapPort::receive), InstanceMethod("send", &TapPort::send),
         InstanceMethod("watch", &TapPort::watch), InstanceMethod("setRef", &TapPort::set_ref),
         InstanceMethod("setMtu", &TapPort::set_mtu), InstanceMethod("close", &TapPort::close)});
  }

private:
  Napi::Value name(const Napi::CallbackInfo& info) {
    return Napi::String::New(info.Env(), port_ ? port_->name() : "");
  }
  Napi::Value gso(const Napi::CallbackInfo& info) {
    return Napi::Boolean::New(info.Env(), port_ && port_->gso());
  }
  // receive(memory: Uint8Array, headroom, table: Uint32Array, max) -> packets, -1 when the kernel's side is
  // gone
  Napi::Value receive(const Napi::CallbackInfo& info) {
    Bytes memory;
    Bytes table;
    if (!port_ || !get_bytes(info.Env(), info[0], &memory) || !get_bytes(info.Env(), info[2], &table))
      return Napi::Number::New(info.Env(), -1);
    size_t headroom = info[1].As<Napi::Number>().Uint32Value();
    size_t max = info[3].As<Napi::Number>().Uint32Value();
    size_t room = table.length / 4 / port::kReceivedWords;
    int count = port_->receive(memory.data, memory.length, headroom, reinterpret_cast<uint32_t*>(table.data),
                               max < room ? max : room);
    return Napi::Number::New(info.Env(), count);
  }

  // send(memory: Uint8Array, table: Uint32Array, count) -> sent
  Napi::Value send(const Napi::CallbackInfo& info) {
    Napi::Env env = info.Env();
    Bytes memory;
    Bytes table;
    if (!port_ || !get_bytes(env, info[0], &memory) || !get_bytes(env, info[1], &table))
      return Napi::Number::New(env, 0);
    size_t count = info[2].As<Napi::Number>().Uint32Value();
    if (count > table.length / 4 / port::kSentWords) count = table.length / 4 / port::kSentWords;
    size_t sent =
        port_->send(memory.data, memory.length, reinterpret_cast<const uint32_t*>(table.data), count);
    return Napi::Number::New(env, static_cast<double>(sent));
  }
};

class PacketPort final : public KernelPort<PacketPort, port::Packet> {
public:
  // new PacketPort({ name, namespace }, onReadable, onLink)
  explicit PacketPort(const Napi::CallbackInfo& info) : KernelPort(info) {
    Napi::Object given = info[0].As<Napi::Object>();
    if (auto failure =
            port::Packet::open(get_string(given, "name"), get_string(given, "namespace"), &port_)) {
      throw_failure(info.Env(), failure);
      return;
    }
    begin();
  }

  static Napi::Function define(Napi::Env env) {
    return DefineClass(
        env, "PacketPort",
        {InstanceAccessor("memory", &PacketPort::memory, nullptr),
         InstanceAccessor("running", &PacketPort::running, nullptr),
         InstanceAccessor("mtu", &PacketPort::mtu, nullptr),
         InstanceAccessor("mac", &PacketPort::mac, nullptr),
         InstanceAccessor("layout", &PacketPort::layout, nullptr), InstanceMethod("kick", &PacketPort::kick),
         InstanceMethod("takeError", &PacketPort::take_error),
         InstanceMethod("setPromiscuous", &PacketPort::set_promiscuous),
         InstanceMethod("watch", &PacketPort::watch), InstanceMethod("setRef", &PacketPort::set_ref),
         InstanceMethod("setMtu", &PacketPort::set_mtu), InstanceMethod("close", &PacketPort::close)});
  }

private:
  Napi::Value layout(const Napi::CallbackInfo& info) {
    Napi::Object object = Napi::Object::New(info.Env());
    if (!port_) return object;
    const auto& layout = port_->layout();
    object.Set("blockSize", layout.block_size);
    object.Set("blocks", layout.blocks);
    object.Set("txOffset", layout.tx_offset);
    object.Set("frameSize", layout.frame_size);
    object.Set("frames", layout.frames);
    object.Set("frameData", layout.frame_data);
    return object;
  }
  Napi::Value kick(const Napi::CallbackInfo& info) {
    return Napi::Boolean::New(info.Env(), port_ && port_->kick());
  }
  Napi::Value take_error(const Napi::CallbackInfo& info) {
    return Napi::Number::New(info.Env(), port_ ? port_->take_error() : 0);
  }
  void set_promiscuous(const Napi::CallbackInfo& info) {
    if (!port_) return;
    if (auto failure = port_->set_promiscuous(info[0].As<Napi::Boolean>().Value())) {
      throw_failure(info.Env(), failure);
    }
  }
};

} // namespace

void init_ports(Napi::Env env, Napi::Object exports) {
  exports.Set("TapPort", TapPort::define(env));
  exports.Set("PacketPort", PacketPort::define(env));
}

} // namespace nodevpp::addon
