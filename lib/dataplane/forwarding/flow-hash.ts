// The flow hash that chooses a bucket: VPP's `ip4_compute_flow_hash` and `ip6_compute_flow_hash`, the latter folded to
// 32 bits before it is mixed. Bits of the configuration are those of `ip_set_flow_hash`.

import type { FlowHashConfig } from './control.js';

const BITS: Readonly<Record<keyof FlowHashConfig, number>> = {
  sourceIp: 1,
  destinationIp: 2,
  sourcePort: 4,
  destinationPort: 8,
  protocol: 16,
  reverse: 32,
  symmetric: 64,
};

export function hashBits(config: FlowHashConfig): number {
  let bits = 0;
  for (const [name, bit] of Object.entries(BITS)) if (config[name as keyof FlowHashConfig] === true) bits |= bit;
  return bits;
}

const rotate = (value: number, by: number): number => (value << by) | (value >>> (32 - by));

/** Words in host order of x86, as VPP sees them: little endian. */
const le32 = (bytes: Uint8Array, at: number): number =>
  bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
const le16 = (bytes: Uint8Array, at: number): number => bytes[at]! | (bytes[at + 1]! << 8);

function mix(
  source: number,
  destination: number,
  sport: number,
  dport: number,
  protocol: number,
  config: number,
): number {
  let t1 = (config & 1) !== 0 ? source : 0;
  let t2 = (config & 2) !== 0 ? destination : 0;
  let a = (config & 32) !== 0 ? t2 : t1;
  let b = (config & 32) !== 0 ? t1 : t2;
  t1 = (config & 4) !== 0 ? sport : 0;
  t2 = (config & 8) !== 0 ? dport : 0;
  if ((config & 64) !== 0) {
    if (b >>> 0 < a >>> 0) [a, b] = [b, a];
    if (t2 < t1) [t1, t2] = [t2, t1];
  }
  b ^= (config & 16) !== 0 ? protocol : 0;
  let c = (config & 32) !== 0 ? (t1 << 16) | t2 : (t2 << 16) | t1;
  // hash_v3_mix32
  a = (a - c) | 0;
  a ^= rotate(c, 4);
  c = (c + b) | 0;
  b = (b - a) | 0;
  b ^= rotate(a, 6);
  a = (a + c) | 0;
  c = (c - b) | 0;
  c ^= rotate(b, 8);
  b = (b + a) | 0;
  a = (a - c) | 0;
  a ^= rotate(c, 16);
  c = (c + b) | 0;
  b = (b - a) | 0;
  b ^= rotate(a, 19);
  a = (a + c) | 0;
  c = (c - b) | 0;
  c ^= rotate(b, 4);
  b = (b + a) | 0;
  // hash_v3_finalize32
  c ^= b;
  c = (c - rotate(b, 14)) | 0;
  a ^= c;
  a = (a - rotate(c, 11)) | 0;
  b ^= a;
  b = (b - rotate(a, 25)) | 0;
  c ^= b;
  c = (c - rotate(b, 16)) | 0;
  a ^= c;
  a = (a - rotate(c, 4)) | 0;
  b ^= a;
  b = (b - rotate(a, 14)) | 0;
  c ^= b;
  c = (c - rotate(b, 24)) | 0;
  return c >>> 1;
}

/** Of the IPv4 packet at `at`. */
export function hash4(bytes: Uint8Array, at: number, config: number): number {
  const protocol = bytes[at + 9]!;
  const ports = protocol === 6 || protocol === 17;
  // As VPP: the ports are taken where they are without options.
  return mix(
    le32(bytes, at + 12),
    le32(bytes, at + 16),
    ports ? le16(bytes, at + 20) : 0,
    ports ? le16(bytes, at + 22) : 0,
    protocol,
    config,
  );
}

/** Of the IPv6 packet at `at`. */
export function hash6(bytes: Uint8Array, at: number, config: number): number {
  const protocol = bytes[at + 6]!;
  const ports = protocol === 6 || protocol === 17;
  let source = 0;
  let destination = 0;
  for (let i = 0; i < 16; i += 4) {
    source ^= le32(bytes, at + 8 + i);
    destination ^= le32(bytes, at + 24 + i);
  }
  const flow = (config & 128) !== 0 ? le32(bytes, at) & 0xffff0f00 : 0;
  return mix(
    source,
    destination ^ flow,
    ports ? le16(bytes, at + 40) : 0,
    ports ? le16(bytes, at + 42) : 0,
    protocol,
    config,
  );
}
