// Bulk copies: one call per burst.

#include <cstring>

#include "addon/environment.h"

namespace nodevpp::addon {
namespace {

// gather(source: Uint8Array, offsets: Uint32Array, lengths: Uint32Array, first, count, target: Uint8Array,
// at) -> end Copies segments out of a region one behind the other. Stops before a segment that does not fit
// in the target; -1 when one lies outside the source.
napi_value gather(napi_env env, napi_callback_info info) {
  size_t argc = 7;
  napi_value argv[7];
  napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr);
  Bytes source;
  Bytes offsets;
  Bytes lengths;
  Bytes target;
  uint32_t first = 0;
  uint32_t count = 0;
  uint32_t at = 0;
  napi_value result = nullptr;
  if (!get_bytes(env, argv[0], &source) || !get_bytes(env, argv[1], &offsets) ||
      !get_bytes(env, argv[2], &lengths) || napi_get_value_uint32(env, argv[3], &first) != napi_ok ||
      napi_get_value_uint32(env, argv[4], &count) != napi_ok || !get_bytes(env, argv[5], &target) ||
      napi_get_value_uint32(env, argv[6], &at) != napi_ok || (size_t{first} + count) * 4 > offsets.length ||
      (size_t{first} + count) * 4 > lengths.length || at > target.length) {
    napi_create_double(env, -1, &result);
    return result;
  }
  const auto* offset = reinterpret_cast<const uint32_t*>(offsets.data) + first;
  const auto* length = reinterpret_cast<const uint32_t*>(lengths.data) + first;
  size_t end = at;
  bool outside = false;
  for (uint32_t i = 0; i < count; i++) {
    if (i + 4 < count && offset[i + 4] < source.length) __builtin_prefetch(source.data + offset[i + 4]);
    if (uint64_t{offset[i]} + length[i] > source.length) {
      outside = true;
      break;
    }
    if (end + length[i] > target.length) break;
    if (length[i] == 64)
      std::memcpy(target.data + end, source.data + offset[i], 64);
    else
      std::memcpy(target.data + end, source.data + offset[i], length[i]);
    end += length[i];
  }
  napi_create_double(env, outside ? -1 : static_cast<double>(end), &result);
  return result;
}

// emit(head: Uint8Array, rest: Uint8Array, target: Uint8Array, table: Uint32Array, count) -> copied
// Each packet is a head and a rest, put one behind the other; five words of the table say from where and to
// where.
napi_value emit(napi_env env, napi_callback_info info) {
  constexpr size_t kWords = 5;
  size_t argc = 5;
  napi_value argv[5];
  napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr);
  Bytes head;
  Bytes rest;
  Bytes target;
  Bytes table;
  uint32_t count = 0;
  napi_value result = nullptr;
  if (!get_bytes(env, argv[0], &head) || !get_bytes(env, argv[1], &rest) ||
      !get_bytes(env, argv[2], &target) || !get_bytes(env, argv[3], &table) ||
      napi_get_value_uint32(env, argv[4], &count) != napi_ok || size_t{count} * kWords * 4 > table.length) {
    napi_create_double(env, -1, &result);
    return result;
  }
  const auto* row = reinterpret_cast<const uint32_t*>(table.data);
  uint32_t i = 0;
  for (; i < count; i++, row += kWords) {
    if (i + 4 < count && row[4 * kWords + 2] < rest.length)
      __builtin_prefetch(rest.data + row[4 * kWords + 2]);
    uint64_t length = uint64_t{row[1]} + row[3];
    if (uint64_t{row[0]} + row[1] > head.length || uint64_t{row[2]} + row[3] > rest.length ||
        uint64_t{row[4]} + length > target.length) {
      break;
    }
    uint8_t* to = target.data + row[4];
    if (row[1] > 0) std::memmove(to, head.data + row[0], row[1]);
    // The compiler makes four moves of it.
    if (row[3] == 64)
      std::memmove(to + row[1], rest.data + row[2], 64);
    else
      std::memmove(to + row[1], rest.data + row[2], row[3]);
  }
  napi_create_uint32(env, i, &result);
  return result;
}

} // namespace

void init_packets(Napi::Env env, Napi::Object exports) {
  napi_value function = nullptr;
  napi_create_function(env, "gather", NAPI_AUTO_LENGTH, gather, nullptr, &function);
  exports.Set("gather", Napi::Value(env, function));
  napi_create_function(env, "emit", NAPI_AUTO_LENGTH, emit, nullptr, &function);
  exports.Set("emit", Napi::Value(env, function));
}

} // namespace nodevpp::addon
