// A transmit queue: buffers of one ring to fill in place.
//
//   reserve(n, length)   buffers for up to n packets of up to `length` bytes; nothing is taken
//   commit(count)        publish the first `count` segments of the last reserve, and wake the peer if it sleeps
//
// A client sends from buffers of its own; a server fills the buffers that the client has posted, whose place and size
// are the client's word and are checked before use.

import { ArgumentRangeError } from '../errors.js';
import { type NativeAddon, native } from '../native.js';
import { Burst } from './burst.js';
import { type TxCounters, newCounters, txBad, txBytes, txFull, txKicks, txPackets, txSnapshot } from './counters.js';
import { descriptorNext, flagsIndex, maskInterrupt, maxChain, maxLog2RingSize, maxSegment } from './layout.js';
import type { RingBinding } from './ring.js';
import type { Accuse, RxQueue } from './rx-queue.js';
import { Outcome, Word, transferWords } from './transfer.js';

const nothing: Uint16Array = new Uint16Array(0);
const noWords: Uint32Array = new Uint32Array(0);
const nobody = (): number => 0;

/** Packets to the peer, one ring. */
export class TxQueue {
  /** Number of this queue in its direction. */
  readonly index: number;
  /** @internal */
  readonly shared: Float64Array;
  readonly #burst = new Burst(2 ** maxLog2RingSize);
  /** Server: what each reserved buffer can hold. */
  readonly #capacities = new Uint32Array(2 ** maxLog2RingSize);
  readonly #accuse: Accuse;
  #kick: (fd: number) => boolean = () => true;
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
  #event = -1;
  #next = 0;
  #held = 0;
  #inUse = false;
  #transmit: NativeAddon['memifTransmit'] = nobody;
  #relay: NativeAddon['memifRelay'] = nobody;
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

  /** Buffers that are free now. */
  get free(): number {
    if (this.#size === 0 || this.#inUse) return 0;
    return this.#freeSlots();
  }

  get counters(): TxCounters {
    return txSnapshot(this.shared);
  }

  #freeSlots(): number {
    const peer = Atomics.load(this.#u16, this.#peerIndex);
    // Server: buffers posted and not yet filled. Client: slots that the server has not given back yet.
    const distance = (this.#server ? peer - this.#next : this.#next - peer) & 0xffff;
    if (distance > this.#size) {
      this.#accuse('INDEX', `tx queue ${this.index}: the index jumped to ${peer} in a ring of ${this.#size}`);
      return 0;
    }
    return this.#server ? distance : this.#size - distance;
  }

  /**
   * Offers buffers for up to `packets` packets of up to `length` bytes each: `burst.count` segments, none when the ring
   * is full. `burst.lengths` is preset to share out `length`; set it lower where less was written. A packet that needs
   * several buffers has them in a row, `more` set on all but its last. Reserving again offers the same buffers.
   */
  reserve(packets: number, length: number): Burst {
    if (!Number.isInteger(packets) || packets < 0 || !Number.isInteger(length) || length < 0) {
      throw new ArgumentRangeError(`reserving ${packets} packets of ${length} bytes: two whole numbers are needed`);
    }
    const burst = this.#burst;
    burst.count = 0;
    burst.packets = 0;
    this.#held = 0;
    const size = this.#size;
    if (size === 0 || this.#inUse) return burst;
    const free = this.#freeSlots();
    const mask = size - 1;
    const next = this.#next;
    const { offsets, lengths, regions, more } = burst;
    let n = 0;
    let done = 0;
    if (length > maxChain * maxSegment) return burst;
    if (!this.#server) {
      const buffers = this.#buffers;
      const capacity = this.#capacity;
      if (length <= capacity) {
        n = done = packets < free ? packets : free;
        for (let i = 0; i < n; i++) {
          offsets[i] = buffers[(next + i) & mask]!;
          lengths[i] = length;
          regions[i] = 1;
          more[i] = 0;
        }
      } else {
        const each = Math.ceil(length / capacity);
        if (each > maxChain) return burst;
        for (; done < packets && n + each <= free; done++) {
          let left = length;
          for (let s = 0; s < each; s++, n++) {
            offsets[n] = buffers[(next + n) & mask]!;
            lengths[n] = left < capacity ? left : capacity;
            regions[n] = 1;
            more[n] = s < each - 1 ? 1 : 0;
            left -= capacity;
          }
        }
      }
      burst.bytes = burst.memory[1];
    } else {
      const u32 = this.#u32;
      const base = this.#descriptors;
      const sizes = this.#sizes;
      const capacities = this.#capacities;
      const firstRegion = free > 0 ? u32[base + (next & mask) * 4]! >>> 16 : 0;
      let oneRegion = true;
      // `n` counts the segments of whole packets, `at` those looked at.
      let left = length;
      for (let at = 0; done < packets && at < free; at++) {
        const word = base + ((next + at) & mask) * 4;
        const region = u32[word]! >>> 16;
        const capacity = u32[word + 1]!;
        const offset = u32[word + 2]!;
        if (region >= sizes.length || offset + capacity > sizes[region]!) {
          this.shared[txBad]!++;
          this.#accuse(
            'DESCRIPTOR',
            `tx queue ${this.index}: a buffer was posted of ${capacity} bytes at ${offset} of region ${region}` +
              (region < sizes.length ? `, which has ${sizes[region]!}` : `; there are ${sizes.length}`),
          );
          return burst;
        }
        offsets[at] = offset;
        regions[at] = region;
        capacities[at] = capacity;
        if (region !== firstRegion) oneRegion = false;
        if (capacity >= left) {
          lengths[at] = left;
          more[at] = 0;
          left = length;
          done++;
          n = at + 1;
        } else {
          lengths[at] = capacity;
          more[at] = 1;
          left -= capacity;
        }
      }
      burst.bytes = oneRegion ? burst.memory[firstRegion] : undefined;
    }
    if (done < packets) this.shared[txFull]!++;
    burst.count = n;
    burst.packets = done;
    this.#held = n;
    return burst;
  }

  /**
   * Publishes the first `count` segments of the last reserve (all of them by default) with the lengths that stand in
   * the burst, and wakes the peer if it asked for that. The burst is void then.
   */
  commit(count: number = this.#held): void {
    if (count === 0) return;
    if (this.#size === 0) return; // went down since the reserve
    const { offsets, lengths, regions, more } = this.#burst;
    if (!Number.isInteger(count) || count < 0 || count > this.#held || more[count - 1] === 1) {
      throw new ArgumentRangeError(
        `committing ${count} of the ${this.#held} segments last reserved: only whole packets, and only what was reserved`,
      );
    }
    const u32 = this.#u32;
    const mask = this.#size - 1;
    const next = this.#next;
    const base = this.#descriptors;
    const server = this.#server;
    const capacities = this.#capacities;
    const capacity = this.#capacity;
    let bytes = 0;
    let packets = 0;
    for (let i = 0; i < count; i++) {
      const length = lengths[i]!;
      if (length > (server ? capacities[i]! : capacity)) {
        throw new ArgumentRangeError(
          `committing ${length} bytes in a buffer of ${server ? capacities[i]! : capacity} (segment ${i})`,
        );
      }
      const at = base + ((next + i) & mask) * 4;
      const chained = more[i]!;
      u32[at] = (regions[i]! << 16) | (chained === 1 ? descriptorNext : 0);
      u32[at + 1] = length;
      u32[at + 2] = offsets[i]!;
      bytes += length;
      packets += 1 - chained;
    }
    this.#publish(count, packets, bytes);
  }

  #publish(count: number, packets: number, bytes: number): void {
    this.#held = 0;
    this.#burst.count = 0;
    this.#next = (this.#next + count) & 0xffff;
    this.shared[txPackets]! += packets;
    this.shared[txBytes]! += bytes;
    // Both are sequentially consistent: the index is visible before the flag is read.
    Atomics.store(this.#u16, this.#ownIndex, this.#next);
    if ((Atomics.load(this.#u16, flagsIndex) & maskInterrupt) === 0) this.#wake();
  }

  #wake(): void {
    this.shared[txKicks]!++;
    if (!this.#kick(this.#event)) this.#accuse('RING', `tx queue ${this.index}: its eventfd was made unusable`);
  }

  /**
   * Sends packets out of memory of the caller's: for each of the first `count` slots a head and the rest behind it, as
   * `columns` says. In order, until the ring is full; returns how many went.
   * @internal
   */
  transmit(memory: Uint8Array, columns: Uint8Array, slots: Uint16Array, count: number): number {
    const binding = this.#binding;
    if (binding === undefined || this.#inUse) return 0;
    const words = this.#words;
    words[Word.next] = this.#next;
    words[Word.max] = count;
    const sent = this.#transmit(words, binding.u32, binding.memory, binding.buffers, memory, columns, slots);
    if (sent < 0) return 0;
    this.#moved();
    return sent;
  }

  /**
   * Moves up to `max` packets out of another ring into this one, and stops before one of less than `shortest` bytes. What
   * finds no room is lost. Returns how many were taken; `movedPackets` is how many were sent.
   * @internal
   */
  relay(rx: RxQueue, max: number, shortest: number): number {
    const from = rx.binding;
    const to = this.#binding;
    if (from === undefined || to === undefined || this.#inUse || rx.lent) return 0;
    const taking = rx.prepareRelay(max, shortest);
    const words = this.#words;
    words[Word.next] = this.#next;
    words[Word.segments] = words[Word.packets] = words[Word.bytes] = words[Word.flags] = 0;
    const taken = this.#relay(
      ...([taking, from.u32, from.memory, from.buffers] as const),
      ...([words, to.u32, to.memory, to.buffers] as const),
    );
    if (taken < 0) return 0;
    this.#moved();
    rx.relayed();
    return taken;
  }

  /** Packets that the last `transmit` or `relay` sent. @internal */
  get movedPackets(): number {
    return this.#words[Word.packets] ?? 0;
  }

  /** What C++ put into the ring. */
  #moved(): void {
    const words = this.#words;
    const flags = words[Word.flags]!;
    const segments = words[Word.segments]!;
    this.#held = 0;
    this.#burst.count = 0;
    if (segments > 0) {
      this.#next = (this.#next + segments) & 0xffff;
      this.shared[txPackets]! += words[Word.packets]!;
      this.shared[txBytes]! += words[Word.bytes]!;
    }
    if ((flags & Outcome.full) !== 0) this.shared[txFull]!++;
    if ((flags & Outcome.kick) !== 0) this.#wake();
    // Looking at it again says what is wrong, and whose fault it is.
    if ((flags & Outcome.broken) !== 0) this.reserve(this.#size, 0);
  }

  /**
   * Sends the first `count` segments of the last `rx.peek()` without copying: the buffers change places, this ring
   * gets the filled ones, the other gets the free ones. Both interfaces must be clients on the same packet memory.
   * Returns how many segments went (whole packets; fewer than asked when this ring is full); they are released on `rx`.
   */
  forward(rx: RxQueue, burst: Burst, count: number): number {
    if (burst !== rx.burst || !Number.isInteger(count) || count < 0 || count > rx.held) {
      if (rx.size === 0) return 0; // went down since the peek
      throw new ArgumentRangeError(
        `forwarding ${count} segments: only those of the last peek of that queue, which are ${rx.held}`,
      );
    }
    const from = rx.binding;
    const to = this.#binding;
    if (from === undefined || to === undefined || this.#inUse) return 0;
    if (from.server || to.server || from.memory[1]!.buffer !== to.memory[1]!.buffer) {
      throw new ArgumentRangeError(
        'forwarding by descriptor swap needs two client interfaces with the same `memory`; copy the packets instead',
      );
    }
    const free = this.#freeSlots();
    let n = count < free ? count : free;
    while (n > 0 && burst.more[n - 1] === 1) n--;
    if (n === 0) {
      if (count > 0) this.shared[txFull]!++;
      return 0;
    }
    const u32 = this.#u32;
    const mask = this.#size - 1;
    const buffers = this.#buffers;
    let bytes = 0;
    let packets = 0;
    for (let i = 0; i < n; i++) {
      const slot = (this.#next + i) & mask;
      const at = this.#descriptors + slot * 4;
      const length = burst.lengths[i]!;
      const filled = rx.exchange(i, buffers[slot]!);
      buffers[slot] = filled;
      u32[at] = (1 << 16) | (burst.more[i] === 1 ? descriptorNext : 0);
      u32[at + 1] = length;
      u32[at + 2] = filled;
      bytes += length;
      packets += 1 - burst.more[i]!;
    }
    this.#publish(n, packets, bytes);
    rx.release(n);
    return n;
  }

  /** @internal */
  get binding(): RingBinding | undefined {
    return this.#binding;
  }

  /** @internal */
  bind(binding: RingBinding, next = 0): void {
    this.#kick = native().kick;
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
    this.#event = binding.event;
    this.#words = transferWords(binding);
    this.#transmit = native().memifTransmit;
    this.#relay = native().memifRelay;
    this.#burst.memory = binding.memory;
    this.#next = next;
    this.#held = 0;
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

  /** @internal */
  lend(): { next: number; buffers: Uint32Array | undefined } {
    this.#inUse = true;
    this.#held = 0;
    return { next: this.#next, buffers: this.#binding?.buffers };
  }

  /** @internal */
  giveBack(next: number): void {
    this.#inUse = false;
    this.#next = next;
  }

  /** @internal */
  get lent(): boolean {
    return this.#inUse;
  }
}
