// Packets on their way through the graph: flat arrays, one slot a packet, used again for every burst.
//
//   slot p        bytes  memory[region[p]][offset[p] .. offset[p] + length[p]]     the frame as it came in, never written
//                 l3[p]  where its network header starts
//                 head   scratch[headAt[p] .. headAt[p] + headLength[p]]           what goes out in front of the rest
//   on the wire   head, then the frame from skip[p] on
//
// A received frame lies in memory that its sender can see, and several slots may stand for one frame (a flood). So
// nobody writes into it: what changes (a rewrite, a TTL, a tag) is written into scratch, as the head that replaces the
// first bytes. The copy into the transmit ring puts both together: one copy per packet, whatever happened to it.
//
// Region 0 is the scratch memory itself: packets made here, and those that had to be put together.

import { NO_INTERFACE } from './control.js';

/** Slots. A burst takes up to 256; the rest is for floods, fragments and answers. */
export const SLOTS = 4096;
/** Scratch memory of one burst. */
const SCRATCH_BYTES = 16 * 1024 * 1024;

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
} as const;

/** The slots of one burst, and the memory they point into. */
export class Vector {
  /** Slots in use. */
  count = 0;
  /** Region 0 is scratch; the others belong to the port of the burst. */
  memory: readonly Uint8Array[];
  readonly scratch = new Uint8Array(SCRATCH_BYTES);
  /** First free byte of scratch. */
  scratchAt = 0;

  readonly region = new Uint16Array(SLOTS);
  readonly offset = new Uint32Array(SLOTS);
  readonly length = new Uint32Array(SLOTS);
  readonly l3 = new Uint32Array(SLOTS);
  readonly etherType = new Uint16Array(SLOTS);
  readonly headAt = new Uint32Array(SLOTS);
  readonly headLength = new Uint16Array(SLOTS);
  /** Bytes of the frame that the head stands for, counted from `offset`. */
  readonly skip = new Uint16Array(SLOTS);
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

  constructor() {
    this.memory = [this.scratch];
  }

  /** Forgets everything. */
  reset(memory: readonly Uint8Array[]): void {
    this.count = 0;
    this.scratchAt = 0;
    this.memory = memory;
  }

  /** A new slot over bytes that are there already; -1 when there is none left. */
  add(region: number, offset: number, length: number, rx: number): number {
    const p = this.count;
    if (p >= SLOTS) return -1;
    this.count = p + 1;
    this.region[p] = region;
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
    const q = this.add(this.region[p]!, this.offset[p]!, this.length[p]!, this.rx[p]!);
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
    this.flags[q] = this.flags[p]! & ~Flag.traced;
    this.hops[q] = this.hops[p]!;
    this.gsoType[q] = this.gsoType[p]!;
    this.gsoSize[q] = this.gsoSize[p]!;
    this.csumStart[q] = this.csumStart[p]!;
    this.csumOffset[q] = this.csumOffset[p]!;
    return q;
  }

  /** Room in scratch; -1 when there is none. Starts at a multiple of 4. */
  allocate(bytes: number): number {
    const at = (this.scratchAt + 3) & ~3;
    if (at + bytes > SCRATCH_BYTES) return -1;
    this.scratchAt = at + bytes;
    return at;
  }

  /** Bytes on the wire. */
  wireLength(p: number): number {
    return this.headLength[p]! + this.length[p]! - this.skip[p]!;
  }

  /**
   * Puts head and rest together in scratch, with `before` and `after` free bytes around, so that the slot is one plain
   * frame again; false when there is no room.
   */
  flatten(p: number, before = 0): boolean {
    const headLength = this.headLength[p]!;
    const skip = this.skip[p]!;
    const rest = this.length[p]! - skip;
    const room = this.allocate(before + headLength + rest);
    if (room < 0) return false;
    const { scratch } = this;
    const at = room + before;
    const headAt = this.headAt[p]!;
    if (headLength > 0) scratch.copyWithin(at, headAt, headAt + headLength);
    const from = this.offset[p]! + skip;
    if (this.region[p] === 0) scratch.copyWithin(at + headLength, from, from + rest);
    else scratch.set(this.memory[this.region[p]!]!.subarray(from, from + rest), at + headLength);
    const shift = headLength - skip;
    this.l3[p] = this.l3[p]! - this.offset[p]! + at + shift;
    if ((this.flags[p]! & Flag.offload) !== 0) this.csumStart[p] = this.csumStart[p]! + shift;
    this.region[p] = 0;
    this.offset[p] = at;
    this.length[p] = headLength + rest;
    this.headLength[p] = 0;
    this.skip[p] = 0;
    return true;
  }
}
