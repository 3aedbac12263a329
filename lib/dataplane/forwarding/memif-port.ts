// A memif as a port: bursts are looked at where the peer put them, and copied once, into the ring they leave by.

import type { MemifOptions } from '../../memif/index.js';
import { type Memif, type PacketMemory, type RxQueue, type TxQueue, openMemif } from '../../memif/index.js';
import { native } from '../../native.js';
import type { InterfaceStatus, MemifInterface, PortRxMode } from './control.js';
import type { Port, PortEvents } from './port.js';
import type { Vector } from './vector.js';
import { SLOTS } from './vector.js';

/** Words of one packet in the table that `emit` reads: head (at, length), rest (from, length), target. */
const WORDS = 5;

/** Packets of a chain are put together when they are at most this long. */
const LONGEST = 65_536;

export class MemifPort implements Port {
  readonly swIfIndex: number;
  readonly inputNode = 'memif-input';
  readonly offload = false;
  readonly ip: boolean;
  readonly memif: Memif;
  readonly #events: PortEvents;
  readonly #options: MemifOptions;
  readonly #memory: PacketMemory | undefined;
  #started = false;
  #regions: Uint8Array[] = [];
  #regionsOf: readonly Uint8Array[] | undefined;
  #current: RxQueue | undefined;
  #held = 0;
  #mode: PortRxMode;
  #nextTx = 0;
  readonly #table = new Uint32Array(SLOTS * WORDS);

  constructor(spec: MemifInterface, memory: PacketMemory | undefined, events: PortEvents) {
    this.swIfIndex = spec.swIfIndex;
    this.ip = spec.mode === 'ip';
    this.#events = events;
    this.#memory = spec.zeroCopy === true && spec.role === 'client' ? memory : undefined;
    this.#mode = spec.rxMode ?? 'interrupt';
    this.#options = {
      socket: spec.socket,
      role: spec.role,
      id: spec.id,
      mode: spec.mode ?? 'ethernet',
      name: spec.name.slice(0, 31),
      queues: {
        ...(spec.rxQueues === undefined ? {} : { rx: spec.rxQueues }),
        ...(spec.txQueues === undefined ? {} : { tx: spec.txQueues }),
      },
      rxMode: this.#mode,
      // VPP's own clients, and those of DPDK in zero-copy mode, bring memory that could shrink; guarded against.
      allowUnsealed: true,
      ...(spec.secret === undefined ? {} : { secret: spec.secret }),
      ...(spec.ringSize === undefined ? {} : { ringSize: spec.ringSize }),
      ...(spec.bufferSize === undefined ? {} : { bufferSize: spec.bufferSize }),
      ...(this.#memory === undefined ? {} : { memory: this.#memory }),
    };
    this.memif = openMemif(this.#options);
    this.memif.on('up', () => {
      if (this.#started) this.memif.listen((rx) => this.#received(rx));
      events.link(this, true);
    });
    this.memif.on('down', () => {
      this.#current = undefined;
      this.#regionsOf = undefined;
      events.link(this, false);
    });
    this.memif.on('error', (error: Error) => events.failed(this, error));
  }

  get linkUp(): boolean {
    return this.memif.isUp;
  }

  get status(): Partial<InterfaceStatus> {
    const { peer } = this.memif;
    if (peer === undefined) return {};
    const ring = this.memif.rx[0] ?? this.memif.tx[0];
    return {
      peer: { name: peer.name, interfaceName: peer.interfaceName, pid: peer.pid },
      rings: {
        rx: this.memif.rx.filter((queue) => queue.size > 0).length,
        tx: this.memif.tx.filter((queue) => queue.size > 0).length,
        ringSize: ring?.size ?? 0,
        bufferSize: this.#options.bufferSize ?? 2048,
      },
    };
  }

  start(): void {
    this.#started = true;
    this.memif.listen((rx) => this.#received(rx));
  }

  stop(): void {
    this.#started = false;
    this.memif.listen(undefined);
  }

  setRxMode(mode: PortRxMode): void {
    this.#mode = mode;
    this.memif.setRxMode(mode);
  }

  setRef(ref: boolean): void {
    if (ref) this.memif.ref();
    else this.memif.unref();
  }

  #received(rx: RxQueue): void {
    this.#current = rx;
    this.#events.received(this);
    this.#current = undefined;
  }

  take(vector: Vector, max: number): number {
    const rx = this.#current;
    if (rx === undefined) return 0;
    const burst = rx.peek(max);
    const { count, memory } = burst;
    if (count === 0) return 0;
    if (this.#regionsOf !== memory) {
      this.#regionsOf = memory;
      this.#regions = [vector.scratch, ...memory];
    }
    vector.reset(this.#regions);
    this.#held = count;
    const { offsets, lengths, regions } = burst;
    const port = this.swIfIndex;
    if (burst.packets === count) {
      // What `Vector.add` does, for all of them at once.
      vector.offset.set(offsets.subarray(0, count));
      vector.length.set(lengths.subarray(0, count));
      const { region } = vector;
      if (burst.bytes !== undefined) region.fill(regions[0]! + 1, 0, count);
      else for (let i = 0; i < count; i++) region[i] = regions[i]! + 1;
      vector.rx.fill(port, 0, count);
      vector.headLength.fill(0, 0, count);
      vector.skip.fill(0, 0, count);
      vector.shg.fill(0, 0, count);
      vector.flags.fill(0, 0, count);
      vector.hops.fill(0, 0, count);
      vector.error.fill(0, 0, count);
      vector.gsoType.fill(0, 0, count);
      vector.count = count;
      return count;
    }
    const { more } = burst;
    for (let i = 0; i < count; i++) {
      if (more[i] === 0) {
        vector.add(regions[i]! + 1, offsets[i]!, lengths[i]!, port);
        continue;
      }
      let length = lengths[i]!;
      let last = i;
      while (more[last] === 1) length += lengths[++last]!;
      const at = length > LONGEST ? -1 : vector.allocate(length);
      if (at >= 0) {
        let to = at;
        for (let s = i; s <= last; s++) {
          vector.scratch.set(burst.segment(s), to);
          to += lengths[s]!;
        }
        vector.add(0, at, length, port);
      }
      i = last;
    }
    return vector.count;
  }

  done(): void {
    if (this.#held > 0) this.#current?.release(this.#held);
    this.#held = 0;
  }

  /** One queue a burst, in turn; those that the peer did not offer this time have no entries. */
  #txQueue(): TxQueue | undefined {
    const { memif } = this;
    for (let tries = memif.tx.length; tries > 0; tries--) {
      const tx = memif.tx[memif.tx.length === 1 ? 0 : this.#nextTx++ % memif.tx.length];
      if (tx !== undefined && tx.size > 0 && !tx.lent) return tx;
    }
    return undefined;
  }

  send(vector: Vector, slots: Uint16Array, count: number): number {
    const tx = this.#txQueue();
    if (tx === undefined) return 0;

    const { headAt, headLength, skip, region, offset, length } = vector;
    let longest = 0;
    for (let i = 0; i < count; i++) {
      const p = slots[i]!;
      const bytes = headLength[p]! + length[p]! - skip[p]!;
      if (bytes > longest) longest = bytes;
    }
    const burst = tx.reserve(count, longest);
    if (burst.packets !== burst.count) return this.#sendLong(vector, slots, count, tx);
    const n = burst.count;
    const { offsets, lengths, regions, memory } = burst;
    const table = this.#table;
    let from = 0;
    while (from < n) {
      // Packets between the same two regions go in one call.
      const source = region[slots[from]!]!;
      const target = regions[from]!;
      let i = from;
      let w = 0;
      for (; i < n; i++) {
        const p = slots[i]!;
        if (region[p] !== source || regions[i] !== target) break;
        const head = headLength[p]!;
        const rest = length[p]! - skip[p]!;
        table[w] = headAt[p]!;
        table[w + 1] = head;
        table[w + 2] = offset[p]! + skip[p]!;
        table[w + 3] = rest;
        table[w + 4] = offsets[i]!;
        w += WORDS;
        lengths[i] = head + rest;
      }
      native().emit(vector.scratch, vector.memory[source]!, memory[target]!, table, i - from);
      from = i;
    }
    if (n > 0) tx.commit(n);
    return n;
  }

  /** Packets that need several buffers, one by one. */
  #sendLong(vector: Vector, slots: Uint16Array, count: number, tx: TxQueue): number {
    for (let i = 0; i < count; i++) {
      const p = slots[i]!;
      if (vector.headLength[p]! > 0 && !vector.flatten(p)) return i;
      const length = vector.length[p]!;
      const burst = tx.reserve(1, length);
      if (burst.packets === 0) return i;
      const source = vector.memory[vector.region[p]!]!;
      let at = vector.offset[p]!;
      for (let s = 0; s < burst.count; s++) {
        const part = burst.lengths[s]!;
        burst.memory[burst.regions[s]!]!.set(source.subarray(at, at + part), burst.offsets[s]);
        at += part;
      }
      tx.commit(burst.count);
    }
    return count;
  }

  exchange(to: Port): number | undefined {
    const rx = this.#current;
    if (this.#memory === undefined || rx === undefined || !(to instanceof MemifPort) || to.#memory !== this.#memory) {
      return undefined;
    }
    const tx = to.#txQueue();
    const count = this.#held;
    // `forward` releases what it has sent; what is left goes back here.
    const sent = tx === undefined ? 0 : tx.forward(rx, rx.burst, count);
    this.#held = sent < count ? rx.peek(count - sent).count : 0;
    return sent;
  }

  flush(): void {
    // `commit` has woken the peer.
  }

  async close(): Promise<void> {
    this.#current = undefined;
    await this.memif.close({ timeoutMs: 0 });
  }
}
