// A memif as a port: bursts come out of a ring into the vector's memory, and from there into another ring, by one call into
// C++ each; what nobody looks at goes from ring to ring at once.

import type { MemifOptions } from '../../memif/index.js';
import { type Memif, type PacketMemory, type RxQueue, type TxQueue, openMemif } from '../../memif/index.js';
import type { InterfaceStatus, MemifInterface, PortRxMode } from './control.js';
import type { Port, PortEvents } from './port.js';
import type { Vector } from './vector.js';
import { HEADROOM } from './vector.js';

/** Bursts of one wake-up. */
const BURSTS = 4;

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
  #current: RxQueue | undefined;
  #mode: PortRxMode;
  #nextTx = 0;
  readonly #moved = { taken: 0, bytes: 0, sent: 0 };

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
    // A turn of the event loop costs as much as some tens of packets: a few bursts, then the others.
    for (let burst = 0; burst < BURSTS; burst++) {
      this.#current = rx;
      const taken = this.#events.received(this);
      this.#current = undefined;
      if (taken === 0 || !rx.ready()) return;
    }
  }

  take(vector: Vector, max: number): number {
    const rx = this.#current;
    if (rx === undefined) return 0;
    vector.reset();
    const headroom = this.ip ? 32 : HEADROOM;
    const count = rx.receive(vector.input, vector.columns, 0, headroom, max);
    vector.free = rx.movedEnd;
    vector.received(count, this.swIfIndex);
    return count;
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
    return this.#txQueue()?.transmit(vector.bytes, vector.columns, slots, count) ?? 0;
  }

  relay(to: Port, max: number, shortest: number): { taken: number; bytes: number; sent: number } | undefined {
    const rx = this.#current;
    const moved = this.#moved;
    if (rx === undefined || !(to instanceof MemifPort)) return undefined;
    const tx = to.#txQueue();
    if (tx === undefined) return undefined;
    if (this.#memory !== undefined && to.#memory === this.#memory) return this.#exchange(rx, tx, max, shortest);
    moved.taken = tx.relay(rx, max, shortest);
    moved.bytes = rx.movedBytes;
    moved.sent = tx.movedPackets;
    return moved;
  }

  /** Both have the same memory: buffers change hands. */
  #exchange(rx: RxQueue, tx: TxQueue, max: number, shortest: number): { taken: number; bytes: number; sent: number } {
    const moved = this.#moved;
    moved.taken = moved.bytes = moved.sent = 0;
    const burst = rx.peek(max);
    const { count, packets, lengths, more } = burst;
    for (let i = 0; i < count; i++) {
      if (lengths[i]! < shortest && more[i] === 0 && (i === 0 || more[i - 1] === 0)) return moved;
      moved.bytes += lengths[i]!;
    }
    if (count === 0) return moved;
    const went = tx.forward(rx, burst, count);
    moved.taken = packets;
    moved.sent = packets;
    // `forward` releases what it has sent; what is left goes back here.
    if (went < count) {
      const left = rx.peek(count - went);
      moved.sent -= left.packets;
      rx.release(left.count);
    }
    return moved;
  }

  flush(): void {
    // `commit` has woken the peer.
  }

  async close(): Promise<void> {
    this.#current = undefined;
    await this.memif.close({ timeoutMs: 0 });
  }
}
