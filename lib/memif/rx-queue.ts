// A receive queue: whole packets out of one ring, in place.
//
//   peek(max)     look at what the peer has published; nothing is taken, looking again shows the same
//   release(n)    give the first n segments of the last peek back to the peer
//
// Every word the peer can write is read once, then checked, then used; what breaks the rules costs the peer its
// connection. Index arithmetic is modulo 65536; the slot is the index modulo the size.

import { ArgumentRangeError } from '../errors.js';
import { Burst } from './burst.js';
import { type RxCounters, newCounters, rxBad, rxBytes, rxPackets, rxSnapshot } from './counters.js';
import { descriptorNext, flagsIndex, maskInterrupt, maxChain, maxLog2RingSize, maxSegment } from './layout.js';
import { type NativeAddon, native } from '../native.js';
import type { RingBinding } from './ring.js';
import { Outcome, Word, transferWords } from './transfer.js';

/** Tells the owner of a queue that the peer broke a rule. `reason` is a reason of MemifError without its prefix. */
export type Accuse = (reason: 'INDEX' | 'DESCRIPTOR' | 'RING', text: string) => void;

const nothing: Uint16Array = new Uint16Array(0);
const noWords: Uint32Array = new Uint32Array(0);
const nobody = (): number => 0;

/** Packets from the peer, one ring. */
export class RxQueue {
  /** Number of this queue in its direction. */
  readonly index: number;
  /** @internal */
  readonly shared: Float64Array;
  readonly #burst = new Burst(2 ** maxLog2RingSize);
  readonly #accuse: Accuse;
  #binding: RingBinding | undefined;
  #u16 = nothing;
  #u32 = noWords;
  #server = false;
  #size = 0;
  #peerIndex = 0;
  #ownIndex = 0;
  #descriptors = 0;
  #sizes: number[] = [];
  #buffers = noWords;
  #capacity = 0;
  #next = 0;
  #own = 0;
  #held = 0;
  #inUse = false;
  #native: NativeAddon['memifReceive'] = nobody;
  #words = noWords;

  /** @internal */
  constructor(index: number, accuse: Accuse, shared: Float64Array = newCounters()) {
    this.index = index;
    this.#accuse = accuse;
    this.shared = shared;
  }

  /** Entries of the ring; 0 while the interface is down. */
  get size(): number {
    return this.#size;
  }

  /** Segments that are waiting, without looking at them. */
  get pending(): number {
    if (this.#size === 0) return 0;
    const available = (Atomics.load(this.#u16, this.#peerIndex) - this.#next) & 0xffff;
    return available;
  }

  /**
   * Whether `peek` would find something: a whole packet, or a breach of the rules. A chain whose end is not published
   * yet is pending, but not ready: whoever waited for it by looking again and again would wait on the peer's mercy.
   * @internal
   */
  ready(): boolean {
    const size = this.#size;
    if (size === 0 || this.#inUse) return false;
    const next = this.#next;
    const available = (Atomics.load(this.#u16, this.#peerIndex) - next) & 0xffff;
    if (available === 0) return false;
    if (available >= size) return true;
    const u32 = this.#u32;
    for (let n = 0; n < available; n++) {
      const word = u32[this.#descriptors + ((next + n) & (size - 1)) * 4]!;
      if ((word & descriptorNext) === 0 || n >= maxChain) return true;
    }
    return false;
  }

  get counters(): RxCounters {
    return rxSnapshot(this.shared);
  }

  /**
   * Looks at up to `max` segments that the peer has published: whole packets only, the first one even if it alone is
   * longer than `max` segments. The burst is the queue's own and is filled anew by every call.
   *
   * @example
   * ```ts
   * import { loopback } from 'node-vpp/testing';
   * const { client, server } = await loopback();
   * client.send(new Uint8Array(64));
   * await server.readable();
   * const rx = server.rx[0]!;
   * const burst = rx.peek(256);
   * for (let i = 0; i < burst.count; i++) {
   *   const bytes = burst.memory[burst.regions[i]!]!;
   *   const etherType = (bytes[burst.offsets[i]! + 12]! << 8) | bytes[burst.offsets[i]! + 13]!;
   *   if (etherType === 0x0800) console.log('an IPv4 packet');
   * }
   * rx.release(burst.count);
   * await Promise.all([client.close(), server.close()]);
   * ```
   */
  peek(max = this.#size): Burst {
    const burst = this.#burst;
    burst.count = 0;
    burst.packets = 0;
    this.#held = 0;
    const size = this.#size;
    if (size === 0 || this.#inUse) return burst;
    const next = this.#next;
    const peer = Atomics.load(this.#u16, this.#peerIndex);
    const available = (peer - next) & 0xffff;
    if (available === 0) return burst;
    if (available > size) {
      this.#accuse(
        'INDEX',
        `rx queue ${this.index}: the index jumped to ${peer}, ${available} ahead in a ring of ${size}`,
      );
      return burst;
    }
    const u32 = this.#u32;
    const mask = size - 1;
    const base = this.#descriptors;
    const offsets = burst.offsets;
    const lengths = burst.lengths;
    const regions = burst.regions;
    const more = burst.more;
    let whole = 0;
    let packets = 0;
    let n = 0;
    if (this.#server) {
      const sizes = this.#sizes;
      const regionCount = sizes.length;
      const firstRegion = u32[base + (next & mask) * 4]! >>> 16;
      let oneRegion = true;
      for (; n < available && (n < max || whole === 0); n++) {
        const at = base + ((next + n) & mask) * 4;
        const word = u32[at]!;
        const length = u32[at + 1]!;
        const offset = u32[at + 2]!;
        const region = word >>> 16;
        if (region >= regionCount || length > maxSegment || offset + length > sizes[region]!) {
          this.shared[rxBad]!++;
          this.#accuse(
            'DESCRIPTOR',
            `rx queue ${this.index}: a descriptor names ${length} bytes at ${offset} of region ${region}` +
              (region < regionCount ? `, which has ${sizes[region]!}` : `; there are ${regionCount}`),
          );
          return burst;
        }
        offsets[n] = offset;
        lengths[n] = length;
        regions[n] = region;
        if (region !== firstRegion) oneRegion = false;
        if ((word & descriptorNext) !== 0) {
          more[n] = 1;
          if (n - whole >= maxChain) return this.#endless(n - whole + 1);
        } else {
          more[n] = 0;
          whole = n + 1;
          packets++;
        }
      }
      burst.bytes = oneRegion ? burst.memory[firstRegion] : undefined;
    } else {
      const buffers = this.#buffers;
      const capacity = this.#capacity;
      for (; n < available && (n < max || whole === 0); n++) {
        const slot = (next + n) & mask;
        const at = base + slot * 4;
        const word = u32[at]!;
        const length = u32[at + 1]!;
        if (length > capacity) {
          this.shared[rxBad]!++;
          this.#accuse('DESCRIPTOR', `rx queue ${this.index}: ${length} bytes were put in a buffer of ${capacity}`);
          return burst;
        }
        offsets[n] = buffers[slot]!;
        lengths[n] = length;
        regions[n] = 1;
        if ((word & descriptorNext) !== 0) {
          more[n] = 1;
          if (n - whole >= maxChain) return this.#endless(n - whole + 1);
        } else {
          more[n] = 0;
          whole = n + 1;
          packets++;
        }
      }
      burst.bytes = burst.memory[1];
    }
    if (whole === 0 && n === size) {
      this.shared[rxBad]!++;
      this.#accuse('DESCRIPTOR', `rx queue ${this.index}: a chain fills the whole ring of ${size} without an end`);
      return burst;
    }
    burst.count = whole;
    burst.packets = packets;
    this.#held = whole;
    return burst;
  }

  #endless(pieces: number): Burst {
    this.shared[rxBad]!++;
    this.#accuse(
      'DESCRIPTOR',
      `rx queue ${this.index}: a packet in ${pieces} pieces; at most ${maxChain} are believed`,
    );
    return this.#burst;
  }

  /**
   * Gives the first `count` segments of the last peek back to the peer; the burst is void then. A release in the middle
   * of a chain is refused.
   */
  release(count: number): void {
    if (count === 0) return;
    if (this.#size === 0) return; // went down since the peek: there is nobody to give them to
    const { lengths, more } = this.#burst;
    if (!Number.isInteger(count) || count < 0 || count > this.#held || more[count - 1] === 1) {
      throw new ArgumentRangeError(
        `releasing ${count} of the ${this.#held} segments last peeked at: only whole packets, and only what was seen`,
      );
    }
    let bytes = 0;
    let packets = 0;
    for (let i = 0; i < count; i++) {
      bytes += lengths[i]!;
      packets += 1 - more[i]!;
    }
    this.#advance(count);
    this.shared[rxPackets]! += packets;
    this.shared[rxBytes]! += bytes;
  }

  /**
   * Takes up to `max` packets into memory of the caller's, `headroom` bytes in front of each, from `at` on, and gives their
   * buffers back. `columns` gets where each starts and how long it is. Returns how many.
   * @internal
   */
  receive(memory: Uint8Array, columns: Uint8Array, at: number, headroom: number, max: number): number {
    const binding = this.#binding;
    if (binding === undefined || this.#inUse) return 0;
    const words = this.#words;
    words[Word.next] = this.#next;
    words[Word.max] = max;
    words[Word.at] = at;
    words[Word.headroom] = headroom;
    const packets = this.#native(words, binding.u32, binding.memory, binding.buffers, memory, columns);
    if (packets < 0) return 0;
    this.#moved();
    return packets;
  }

  /** Bytes of the packets of the last `receive`, or that `TxQueue.relay` took. @internal */
  get movedBytes(): number {
    return this.#words[Word.bytes] ?? 0;
  }

  /** First byte behind those of the last `receive`. @internal */
  get movedEnd(): number {
    return this.#words[Word.end] ?? 0;
  }

  /** What C++ took out of the ring. */
  #moved(): void {
    const words = this.#words;
    const segments = words[Word.segments]!;
    this.#held = 0;
    this.#burst.count = 0;
    if (segments > 0) {
      this.#next = (this.#next + segments) & 0xffff;
      this.#own = (this.#own + segments) & 0xffff;
      this.shared[rxPackets]! += words[Word.packets]! + words[Word.lost]!;
      this.shared[rxBytes]! += words[Word.bytes]!;
    }
    // Looking at it again says what is wrong, and whose fault it is.
    if ((words[Word.flags]! & Outcome.broken) !== 0) this.peek(1);
  }

  /** Words for a call that takes up to `max` packets of at least `shortest` bytes, for `TxQueue.relay`. @internal */
  prepareRelay(max: number, shortest: number): Uint32Array {
    const words = this.#words;
    words[Word.next] = this.#next;
    words[Word.max] = max;
    words[Word.at] = shortest;
    return words;
  }

  /** @internal */
  relayed(): void {
    this.#moved();
  }

  #advance(count: number): void {
    if (!this.#server) {
      // Post the buffers again: all of each descriptor, because the server may have changed any of it.
      const u32 = this.#u32;
      const mask = this.#size - 1;
      const buffers = this.#buffers;
      const capacity = this.#capacity;
      const base = this.#descriptors;
      for (let i = 0; i < count; i++) {
        const slot = (this.#next + i) & mask;
        const at = base + slot * 4;
        u32[at] = 1 << 16;
        u32[at + 1] = capacity;
        u32[at + 2] = buffers[slot]!;
      }
    }
    this.#held = 0;
    this.#burst.count = 0;
    this.#next = (this.#next + count) & 0xffff;
    this.#own = (this.#own + count) & 0xffff;
    Atomics.store(this.#u16, this.#ownIndex, this.#own);
  }

  /** Asks the peer not to ring (or to ring again); the ring must be looked at again after unmasking. @internal */
  maskInterrupts(masked: boolean): void {
    if (this.#size !== 0) Atomics.store(this.#u16, flagsIndex, masked ? maskInterrupt : 0);
  }

  /** @internal */
  get binding(): RingBinding | undefined {
    return this.#binding;
  }

  /** @internal */
  bind(binding: RingBinding, next = 0, post = true): void {
    this.#binding = binding;
    this.#u16 = binding.u16;
    this.#u32 = binding.u32;
    this.#server = binding.server;
    this.#size = binding.size;
    this.#peerIndex = binding.server ? binding.head : binding.tail;
    this.#ownIndex = binding.server ? binding.tail : binding.head;
    this.#descriptors = binding.descriptors;
    this.#sizes = binding.memory.map((bytes) => bytes.length);
    this.#buffers = binding.buffers ?? noWords;
    this.#capacity = binding.bufferSize;
    this.#burst.memory = binding.memory;
    this.#words = transferWords(binding);
    this.#native = native().memifReceive;
    this.#next = next;
    this.#held = 0;
    this.#own = next;
    if (!binding.server) {
      // A receiving client owns head, which runs one ring ahead of what it has taken.
      this.#own = (next + binding.size) & 0xffff;
      if (post) {
        this.#own = next;
        this.#advance(binding.size);
        this.#next = next;
      }
    }
  }

  /** @internal */
  unbind(): void {
    this.#binding = undefined;
    this.#u16 = nothing;
    this.#u32 = noWords;
    this.#size = 0;
    this.#held = 0;
    this.#inUse = false;
    this.#burst.count = 0;
    this.#burst.packets = 0;
    this.#burst.memory = [];
    this.#burst.bytes = undefined;
  }

  /** Hands the ring to somebody else (a bridge, a worker): until it is given back nothing is seen here. @internal */
  lend(): { next: number; buffers: Uint32Array | undefined } {
    this.#inUse = true;
    this.#held = 0;
    return { next: this.#next, buffers: this.#binding?.buffers };
  }

  /** @internal */
  giveBack(next: number): void {
    this.#inUse = false;
    if (this.#binding === undefined) return;
    this.#next = next;
    this.#own = this.#server ? next : (next + this.#size) & 0xffff;
  }

  /** @internal */
  get lent(): boolean {
    return this.#inUse;
  }

  /** For `TxQueue.forward`: segments of the last peek, and the exchange of one's buffer for another. @internal */
  get held(): number {
    return this.#held;
  }

  /** @internal */
  get burst(): Burst {
    return this.#burst;
  }

  /** @internal */
  exchange(i: number, offset: number): number {
    const slot = (this.#next + i) & (this.#size - 1);
    const mine = this.#buffers[slot]!;
    this.#buffers[slot] = offset;
    return mine;
  }
}
