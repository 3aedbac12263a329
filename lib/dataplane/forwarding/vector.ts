// Packets on their way through the graph: flat arrays, one slot a packet, used again for every burst.
//
//   slot p        bytes[offset[p] .. offset[p] + length[p]]     the frame
//                 l3[p]  where its network header starts
//                 head   bytes[headAt[p] .. headAt[p] + headLength[p]]     what goes out in front of the rest, if any
//   on the wire   head, then the frame from skip[p] on
//
// All frames lie in one memory of our own: a port copies them there when they come in, and out of it when they leave. What
// a peer does to the memory it shares with us meanwhile is its own affair. In front of each frame some bytes are free, so
// that a node may write a longer header over a shorter one, in place.
//
// Several slots may stand for one frame (a flood). Then nobody writes into it: what changes is written somewhere else, as
// the head that replaces the first bytes.

import { NO_INTERFACE } from './control.js';

/** Slots. A burst takes up to 256; the rest is for floods, fragments and answers. */
export const SLOTS = 4096;
/** Memory of one burst. */
const BYTES = 16 * 1024 * 1024;
/** What ports may fill of it: the rest is for what nodes make. */
const INPUT_BYTES = BYTES / 2;
/** Free bytes in front of a received frame: a header with two tags fits over one without. */
export const HEADROOM = 18;

/** Bits of `flags`. */
export const Flag = {
  /** Made here: its TTL is not counted down. */
  local: 1,
  /** Comes from a BVI: bridged, with split horizon off. */
  fromBvi: 2,
  /** Its L4 checksum is only begun (`csumStart`, `csumOffset`), or it is a segment of `gsoSize` pieces. */
  offload: 4,
  traced: 8,
  /** A FIB entry said what to do; ACLs of the input have been asked. */
  punted: 16,
  /** Other slots stand for the same frame: nobody may write into it. */
  shared: 32,
} as const;

/** The slots of one burst, and the memory they point into. */
export class Vector {
  /** Slots in use. */
  count = 0;
  readonly bytes = new Uint8Array(BYTES);
  /** The part of it that ports may fill. */
  readonly input = this.bytes.subarray(0, INPUT_BYTES);
  /** The same, for values of 2 and 4 bytes. */
  readonly view = new DataView(this.bytes.buffer);
  /** First free byte. */
  free = 0;

  /** What C++ reads and writes too: the next five, one behind the other (native/addon/memif_transfer.cc). */
  readonly columns = new Uint8Array(SLOTS * 16);
  readonly offset = new Uint32Array(this.columns.buffer, 0, SLOTS);
  readonly length = new Uint32Array(this.columns.buffer, SLOTS * 4, SLOTS);
  readonly headAt = new Uint32Array(this.columns.buffer, SLOTS * 8, SLOTS);
  readonly headLength = new Uint16Array(this.columns.buffer, SLOTS * 12, SLOTS);
  /** Bytes of the frame that the head stands for, counted from `offset`. */
  readonly skip = new Uint16Array(this.columns.buffer, SLOTS * 14, SLOTS);

  readonly l3 = new Uint32Array(SLOTS);
  readonly etherType = new Uint16Array(SLOTS);
  readonly rx = new Uint32Array(SLOTS);
  readonly tx = new Uint32Array(SLOTS);
  /** Bridge domain, or FIB, by index. */
  readonly domain = new Uint32Array(SLOTS);
  readonly adjacency = new Uint32Array(SLOTS);
  readonly hash = new Uint32Array(SLOTS);
  readonly shg = new Uint8Array(SLOTS);
  readonly flags = new Uint8Array(SLOTS);
  /** Nodes of which each may happen again (lookup, bridge) that it went through: ends loops. */
  readonly hops = new Uint8Array(SLOTS);
  /** Type, code and data of the ICMP error that shall be sent for it. */
  readonly icmp = new Uint16Array(SLOTS);
  readonly icmpData = new Uint32Array(SLOTS);
  readonly error = new Uint16Array(SLOTS);

  // As in virtio_net_hdr: type, size of a piece, where the checksum starts (from the frame's start) and where it goes.
  readonly gsoType = new Uint8Array(SLOTS);
  readonly gsoSize = new Uint16Array(SLOTS);
  readonly csumStart = new Uint16Array(SLOTS);
  readonly csumOffset = new Uint16Array(SLOTS);

  /** Forgets everything. */
  reset(): void {
    this.count = 0;
    this.free = 0;
  }

  /** Makes slots of the first `count` frames, whose offsets and lengths are there already: what `add` does, for all. */
  received(count: number, rx: number): void {
    this.count = count;
    this.rx.fill(rx, 0, count);
    this.headLength.fill(0, 0, count);
    this.skip.fill(0, 0, count);
    this.shg.fill(0, 0, count);
    this.flags.fill(0, 0, count);
    this.hops.fill(0, 0, count);
    this.error.fill(0, 0, count);
    this.hash.fill(0, 0, count);
    this.gsoType.fill(0, 0, count);
  }

  /** A new slot over bytes that are there already; -1 when there is none left. */
  add(offset: number, length: number, rx: number): number {
    const p = this.count;
    if (p >= SLOTS) return -1;
    this.count = p + 1;
    this.offset[p] = offset;
    this.length[p] = length;
    this.l3[p] = offset;
    this.etherType[p] = 0;
    this.headLength[p] = 0;
    this.skip[p] = 0;
    this.rx[p] = rx;
    this.tx[p] = NO_INTERFACE;
    this.shg[p] = 0;
    this.flags[p] = 0;
    this.hops[p] = 0;
    this.error[p] = 0;
    this.hash[p] = 0;
    this.gsoType[p] = 0;
    return p;
  }

  /** Another slot for the same packet; -1 when there is none left. */
  clone(p: number): number {
    const q = this.add(this.offset[p]!, this.length[p]!, this.rx[p]!);
    if (q < 0) return q;
    this.l3[q] = this.l3[p]!;
    this.etherType[q] = this.etherType[p]!;
    this.headAt[q] = this.headAt[p]!;
    this.headLength[q] = this.headLength[p]!;
    this.skip[q] = this.skip[p]!;
    this.tx[q] = this.tx[p]!;
    this.domain[q] = this.domain[p]!;
    this.adjacency[q] = this.adjacency[p]!;
    this.hash[q] = this.hash[p]!;
    this.shg[q] = this.shg[p]!;
    this.flags[p] = this.flags[p]! | Flag.shared;
    this.flags[q] = this.flags[p] & ~Flag.traced;
    this.hops[q] = this.hops[p]!;
    this.gsoType[q] = this.gsoType[p]!;
    this.gsoSize[q] = this.gsoSize[p]!;
    this.csumStart[q] = this.csumStart[p]!;
    this.csumOffset[q] = this.csumOffset[p]!;
    return q;
  }

  /** Room for a frame or a head; -1 when there is none. Starts at a multiple of 4. */
  allocate(length: number): number {
    const at = (this.free + 3) & ~3;
    if (at + length > BYTES) return -1;
    this.free = at + length;
    return at;
  }

  /** Bytes on the wire. */
  wireLength(p: number): number {
    return this.headLength[p]! + this.length[p]! - this.skip[p]!;
  }

  /**
   * Puts head and rest together, with `before` free bytes in front, so that the slot is one plain frame again that nobody
   * else stands for; false when there is no room.
   */
  flatten(p: number, before = 32): boolean {
    const headLength = this.headLength[p]!;
    const skip = this.skip[p]!;
    const rest = this.length[p]! - skip;
    const room = this.allocate(before + headLength + rest);
    if (room < 0) return false;
    const { bytes } = this;
    const at = room + before;
    const headAt = this.headAt[p]!;
    if (headLength > 0) bytes.copyWithin(at, headAt, headAt + headLength);
    const from = this.offset[p]! + skip;
    bytes.copyWithin(at + headLength, from, from + rest);
    const shift = headLength - skip;
    this.l3[p] = this.l3[p]! - this.offset[p]! + at + shift;
    if ((this.flags[p]! & Flag.offload) !== 0) this.csumStart[p] = this.csumStart[p]! + shift;
    this.flags[p] = this.flags[p]! & ~Flag.shared;
    this.offset[p] = at;
    this.length[p] = headLength + rest;
    this.headLength[p] = 0;
    this.skip[p] = 0;
    return true;
  }
}
