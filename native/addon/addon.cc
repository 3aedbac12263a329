// Entry point of the addon: one record per environment, then one init per wrapped class.

#include "addon/environment.h"
#include "memif/protocol.h"

#ifndef NODE_VPP_VERSION
#define NODE_VPP_VERSION "0.1.0"
#endif

namespace nodevpp::addon {

// Facts known to both sides of the boundary; a test compares them with what lib/memif believes.
static Napi::Object layout(Napi::Env env) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("cookie", memif::kCookie);
  object.Set("version", memif::kVersion);
  object.Set("messageSize", memif::kMessageSize);
  object.Set("descriptorSize", memif::kDescriptorSize);
  object.Set("maxLog2RingSize", memif::kMaxLog2RingSize);
  object.Set("maxRings", memif::kMaxRings);
  object.Set("maxRegions", memif::kMaxRegions);
  object.Set("maskInterrupt", memif::kRingMaskInterrupt);
  object.Set("descriptorNext", memif::kDescriptorNext);
  return object;
}

static Napi::Object init(Napi::Env env, Napi::Object exports) {
  env.SetInstanceData(new std::shared_ptr<Environment>(std::make_shared<Environment>(env)));
  exports.Set("version", NODE_VPP_VERSION);
  exports.Set("memifLayout", layout(env));
  init_memory(env, exports);
  init_listener(env, exports);
  init_interface(env, exports);
  init_shared_queues(env, exports);
  init_bridge(env, exports);
  init_transfer(env, exports);
  init_doorbell(env, exports);
  init_packets(env, exports);
  init_ports(env, exports);
  init_stats_client(env, exports);
  init_stats_memory(env, exports);
  init_vppapi(env, exports);
  return exports;
}

} // namespace nodevpp::addon

static Napi::Object Init(Napi::Env env, Napi::Object exports) {
  return nodevpp::addon::init(env, exports);
}

NODE_API_MODULE(node_vpp, Init)
