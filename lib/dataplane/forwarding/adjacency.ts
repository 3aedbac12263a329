// Adjacencies: what is written in front of a packet for a neighbour, and where it goes out.
//
//   incomplete   the MAC is not known: ip4-arp or ip6-discover-neighbor asks for it
//   complete     the rewrite (Ethernet header, tags included) is ready
//
// One per interface and next hop, as long as a neighbour or a route uses it.

import { NO_INTERFACE } from './control.js';
import type { Interfaces } from './interfaces.js';
import { Flag, type Vector } from './vector.js';

/** Bytes kept for a rewrite, which stands at their end: 14 and two tags. */
export const REWRITE = 24;

export class Adjacencies {
  size = 0;
  interface = new Uint32Array(64);
  complete = new Uint8Array(64);
  isIp6 = new Uint8Array(64);
  rewriteLength = new Uint8Array(64);
  rewrites = new Uint8Array(64 * REWRITE);
  /** The same. */
  view = new DataView(this.rewrites.buffer);
  /** The next hop's bytes. */
  readonly address: (Uint8Array | undefined)[] = [];
  readonly #mac: (Uint8Array | undefined)[] = [];
  readonly #uses: number[] = [];
  readonly #byKey = new Map<string, number>();
  readonly #free: number[] = [];
  readonly #interfaces: Interfaces;

  constructor(interfaces: Interfaces) {
    this.#interfaces = interfaces;
  }

  find(swIfIndex: number, address: Uint8Array): number {
    return this.#byKey.get(neighbourKey(swIfIndex, address)) ?? -1;
  }

  /** The adjacency, made when it is not there; each acquire wants a release. */
  acquire(swIfIndex: number, address: Uint8Array): number {
    const key = neighbourKey(swIfIndex, address);
    const known = this.#byKey.get(key);
    if (known !== undefined) {
      this.#uses[known]!++;
      return known;
    }
    const index = this.#free.pop() ?? this.size++;
    if (index >= this.complete.length) this.#grow();
    this.interface[index] = swIfIndex;
    this.complete[index] = 0;
    this.isIp6[index] = address.length === 16 ? 1 : 0;
    this.address[index] = address;
    this.#mac[index] = undefined;
    this.#uses[index] = 1;
    this.#byKey.set(key, index);
    return index;
  }

  release(index: number): void {
    if (--this.#uses[index]! > 0) return;
    this.#byKey.delete(neighbourKey(this.interface[index]!, this.address[index]!));
    this.interface[index] = NO_INTERFACE;
    this.complete[index] = 0;
    this.address[index] = undefined;
    this.#free.push(index);
  }

  /** Sets the neighbour's MAC, or takes it away. */
  setMac(index: number, mac: Uint8Array | undefined): void {
    this.#mac[index] = mac;
    this.#write(index);
  }

  /** After the interface's own MAC or tags have changed. */
  rewriteAll(swIfIndex: number): void {
    for (let index = 0; index < this.size; index++) if (this.interface[index] === swIfIndex) this.#write(index);
  }

  #write(index: number): void {
    const mac = this.#mac[index];
    if (mac === undefined) {
      this.complete[index] = 0;
      return;
    }
    const swIfIndex = this.interface[index]!;
    const interfaces = this.#interfaces;
    const state = interfaces.state[swIfIndex];
    if (state === undefined) return;
    const hardware = interfaces.state[interfaces.hardware[swIfIndex]!];
    if (hardware?.port?.ip === true) this.rewriteLength[index] = 0;
    else {
      const header = new Uint8Array(REWRITE);
      const type = this.isIp6[index] === 1 ? 0x86dd : 0x0800;
      const length = writeEthernet(interfaces, swIfIndex, mac, type, header, 0);
      this.rewriteLength[index] = length;
      this.rewrites.set(header.subarray(0, length), (index + 1) * REWRITE - length);
    }
    this.complete[index] = 1;
  }

  #grow(): void {
    const to = this.complete.length * 2;
    const widen = <T extends Uint8Array | Uint32Array>(from: T, made: T): T => {
      made.set(from);
      return made;
    };
    this.interface = widen(this.interface, new Uint32Array(to));
    this.complete = widen(this.complete, new Uint8Array(to));
    this.isIp6 = widen(this.isIp6, new Uint8Array(to));
    this.rewriteLength = widen(this.rewriteLength, new Uint8Array(to));
    this.rewrites = widen(this.rewrites, new Uint8Array(to * REWRITE));
    this.view = new DataView(this.rewrites.buffer);
  }
}

/** Writes an adjacency's rewrite in front of a packet's network header, in place: the frame must be the packet's own. */
export function putRewrite(vector: Vector, adjacencies: Adjacencies, p: number, index: number): void {
  const { view, offset, length } = vector;
  const at = vector.l3[p]!;
  const ethernet = adjacencies.rewriteLength[index]!;
  const before = at - offset[p]!;
  offset[p] = at - ethernet;
  length[p] = length[p]! + ethernet - before;
  if ((vector.flags[p]! & Flag.offload) !== 0) vector.csumStart[p] = vector.csumStart[p]! + ethernet - before;
  if (ethernet === 0) return;
  const rewrites = adjacencies.view;
  const end = (index + 1) * REWRITE;
  view.setInt32(at - 4, rewrites.getInt32(end - 4));
  view.setInt32(at - 8, rewrites.getInt32(end - 8));
  view.setInt32(at - 12, rewrites.getInt32(end - 12));
  view.setInt16(at - 14, rewrites.getInt16(end - 14));
  if (ethernet === 14) return;
  // Tags: 4 bytes each.
  view.setInt32(at - 18, rewrites.getInt32(end - 18));
  if (ethernet > 18) view.setInt32(at - 22, rewrites.getInt32(end - 22));
}

/** One string per interface and address. */
export function neighbourKey(swIfIndex: number, address: Uint8Array): string {
  let key = `${swIfIndex}/`;
  for (const byte of address) key += String.fromCharCode(byte);
  return key;
}

/** Writes an Ethernet header, with the tags of a sub-interface; returns its length. */
export function writeEthernet(
  interfaces: Interfaces,
  swIfIndex: number,
  to: Uint8Array,
  etherType: number,
  bytes: Uint8Array,
  at: number,
): number {
  const high = interfaces.macHigh[swIfIndex]!;
  const low = interfaces.macLow[swIfIndex]!;
  for (let i = 0; i < 6; i++) bytes[at + i] = to[i]!;
  bytes[at + 6] = high >>> 8;
  bytes[at + 7] = high;
  bytes[at + 8] = low >>> 24;
  bytes[at + 9] = low >>> 16;
  bytes[at + 10] = low >>> 8;
  bytes[at + 11] = low;
  const { ownTags } = interfaces.get(swIfIndex);
  let end = at + 12;
  for (const byte of ownTags) bytes[end++] = byte;
  bytes[end] = etherType >>> 8;
  bytes[end + 1] = etherType;
  return end + 2 - at;
}
