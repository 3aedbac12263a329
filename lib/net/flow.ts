// A hash of the flow a packet belongs to: to spread packets over workers, or as the key of a flow table.
//
//   IP with ports (TCP, UDP, SCTP)   addresses, protocol, ports
//   other IP, and every fragment     addresses, protocol     (a later fragment has no ports: all must go one way)
//   anything else                    MAC addresses, type
//
// Symmetric: both directions give the same number, because each end is hashed alone and the two are added.
// The mixing is that of MurmurHash3 (public domain), 32 bits.

import { u16, u32 } from './bytes.js';
import { Layers } from './layers.js';
import { IpProtocol } from './numbers.js';

const layers = new Layers();

function mix(hash: number, value: number): number {
  let k = Math.imul(value, 0xcc9e2d51);
  k = Math.imul((k << 15) | (k >>> 17), 0x1b873593);
  const h = hash ^ k;
  return (Math.imul((h << 13) | (h >>> 19), 5) + 0xe6546b64) | 0;
}

function finish(hash: number): number {
  let h = hash ^ (hash >>> 16);
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  // 31 bits: a number with the top bit set would be an object on the heap, one per packet.
  return (h ^ (h >>> 16)) >>> 1;
}

/** Hash of one end: its address and port. */
function end(bytes: Uint8Array, address: number, words: number, port: number): number {
  let hash = port;
  for (let i = 0; i < words; i += 1) hash = mix(hash, u32(bytes, address + i * 4));
  return hash;
}

/**
 * The flow hash of an Ethernet frame, 0 … 2^31 - 1. Never throws, makes nothing; a frame too short for Ethernet has 0.
 *
 * @param symmetric - whether both directions of a flow give the same number; default false
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { flowHash, udpFrame } from 'node-vpp/net';
 *
 * const a = { mac: '02:fe:00:00:00:01', ip: '10.0.0.1' };
 * const b = { mac: '02:fe:00:00:00:02', ip: '10.0.0.2' };
 * const there = udpFrame({
 *   sourceMac: a.mac, destinationMac: b.mac, source: a.ip, destination: b.ip, sourcePort: 1000, destinationPort: 53,
 * });
 * const back = udpFrame({
 *   sourceMac: b.mac, destinationMac: a.mac, source: b.ip, destination: a.ip, sourcePort: 53, destinationPort: 1000,
 * });
 * assert.equal(flowHash(there, 0, there.length, true), flowHash(back, 0, back.length, true));
 * assert.notEqual(flowHash(there, 0, there.length), flowHash(back, 0, back.length));
 * ```
 */
export function flowHash(bytes: Uint8Array, offset = 0, length = bytes.length - offset, symmetric = false): number {
  if (!layers.at(bytes, offset, length)) return 0;
  const { version, protocol, networkOffset, transportOffset } = layers;
  let source: number;
  let destination: number;
  let rest: number;
  if (version === 0) {
    source = mix(u16(bytes, offset + 6), u32(bytes, offset + 8));
    destination = mix(u16(bytes, offset), u32(bytes, offset + 2));
    rest = layers.etherType;
  } else {
    const hasPorts =
      layers.hasTransport &&
      !layers.isFragment &&
      layers.transportLength >= 4 &&
      (protocol === IpProtocol.TCP || protocol === IpProtocol.UDP || protocol === IpProtocol.SCTP);
    const sourcePort = hasPorts ? u16(bytes, transportOffset) : 0;
    const destinationPort = hasPorts ? u16(bytes, transportOffset + 2) : 0;
    const words = version === 4 ? 1 : 4;
    const address = networkOffset + (version === 4 ? 12 : 8);
    source = end(bytes, address, words, sourcePort);
    destination = end(bytes, address + words * 4, words, destinationPort);
    rest = protocol;
  }
  if (symmetric) return finish(mix((source + destination) | 0, rest));
  return finish(mix(mix(source, destination), rest));
}
