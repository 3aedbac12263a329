// A bridge between two interfaces, run by a native thread: packets of one side go out on the other, both ways, and
// JavaScript sees none of them. While it runs the queues of both interfaces are its own.
//
//   both up -> running -> one goes down -> waiting -> both up again -> running ...
//
// A packet that finds the other side's ring full stays in its own ring: the bridge never drops, the sender's ring
// fills. (A packet that can never fit in the other ring, or in all that its owner ever posts, is dropped and
// counted as `tooLong`.)

import { EventEmitter } from 'node:events';
import { ArgumentTypeError, MemifError } from '../errors.js';
import { native, type NativeBridge, type NativeBridgeCounters } from '../native.js';
import type { Memif } from './memif.js';

/** What a bridge has moved, by direction. */
export interface BridgeStatistics {
  readonly fromA: NativeBridgeCounters;
  readonly fromB: NativeBridgeCounters;
}

const none: NativeBridgeCounters = { packets: 0, bytes: 0, kicks: 0, wakeups: 0, tooLong: 0 };

const sum = (a: NativeBridgeCounters, b: NativeBridgeCounters): NativeBridgeCounters => ({
  packets: a.packets + b.packets,
  bytes: a.bytes + b.bytes,
  kicks: a.kicks + b.kicks,
  wakeups: a.wakeups + b.wakeups,
  tooLong: a.tooLong + b.tooLong,
});

/**
 * Connects two interfaces at layer 2. `rxMode` is how the thread waits: `adaptive` (default) looks for `spinUs` and
 * then sleeps, `interrupt` sleeps at once, `polling` never does.
 *
 * @example
 * ```ts
 * import { bridge, openMemif } from 'node-vpp/memif';
 * const a = openMemif({ socket: '@doc-bridge', role: 'server', id: 1 });
 * const b = openMemif({ socket: '@doc-bridge', role: 'server', id: 2 });
 * const left = openMemif({ socket: '@doc-bridge', role: 'client', id: 1 });
 * const right = openMemif({ socket: '@doc-bridge', role: 'client', id: 2 });
 * const wire = bridge(a, b);
 * await Promise.all([left.up(), right.up()]);
 * left.send(new Uint8Array(64));
 * await right.readable();
 * console.log(wire.statistics.fromA.packets);
 * wire.close();
 * await Promise.all([left, right, a, b].map((each) => each.close()));
 * ```
 */
export function bridge(
  a: Memif,
  b: Memif,
  options: { rxMode?: 'adaptive' | 'interrupt' | 'polling'; spinUs?: number } = {},
): MemifBridge {
  if (a === b) throw new ArgumentTypeError('memif bridge: two different interfaces are needed');
  for (const side of [a, b]) {
    if (side.isClosed) throw new MemifError('CLOSED', `bridging memif ${side.id} on ${side.socket}: it is closed`);
    if ([...side.rx, ...side.tx].some((queue) => queue.lent)) {
      throw new MemifError('IN_USE', `bridging memif ${side.id} on ${side.socket}: a bridge or worker uses its queues`);
    }
  }
  const mode = options.rxMode ?? 'adaptive';
  const spinUs = mode === 'polling' ? -1 : mode === 'interrupt' ? 0 : (options.spinUs ?? 50);
  return new MemifBridge(a, b, spinUs);
}

/** A running bridge; made by `bridge`. Emits `close`. */
export class MemifBridge extends EventEmitter<{ close: [] }> implements Disposable {
  readonly a: Memif;
  readonly b: Memif;
  readonly #spinUs: number;
  #native: NativeBridge | undefined;
  #past: [NativeBridgeCounters, NativeBridgeCounters] = [none, none];
  #closed = false;

  /** @internal */
  constructor(a: Memif, b: Memif, spinUs: number) {
    super();
    this.a = a;
    this.b = b;
    this.#spinUs = spinUs;
    for (const side of [a, b]) {
      // In front of other listeners: nobody sees the interface up with its queues still to be had.
      side.prependListener('up', this.#onUp);
      side.prependListener('leaving', this.#onLeaving);
      side.prependListener('close', this.#onClose);
    }
    this.#start();
  }

  /** Whether packets are being moved: both sides are up. */
  get running(): boolean {
    return this.#native !== undefined;
  }

  get statistics(): BridgeStatistics {
    const now = this.#native?.counters() ?? [none, none];
    return { fromA: sum(this.#past[0], now[0]!), fromB: sum(this.#past[1], now[1]!) };
  }

  /** Ends the bridge; both interfaces stay open and get their queues back. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const side of [this.a, this.b]) {
      side.off('up', this.#onUp);
      side.off('leaving', this.#onLeaving);
      side.off('close', this.#onClose);
    }
    this.#stop();
    this.emit('close');
  }

  [Symbol.dispose](): void {
    this.close();
  }

  readonly #onUp = (): void => this.#start();
  readonly #onLeaving = (): void => this.#stop();
  readonly #onClose = (): void => this.close();

  #start(): void {
    if (this.#native !== undefined || this.#closed || !this.a.isUp || !this.b.isUp) return;
    const lend = (side: Memif) => ({
      rx: side.rx.filter((queue) => queue.size > 0).map((queue) => queue.lend()),
      tx: side.tx.filter((queue) => queue.size > 0).map((queue) => queue.lend()),
    });
    const states = [lend(this.a), lend(this.b)] as const;
    this.a.lendingChanged();
    this.b.lendingChanged();
    this.#native = new (native().MemifBridge)(
      this.a.native,
      this.b.native,
      states[0],
      states[1],
      this.#spinUs,
      (side, kind) => {
        const guilty = side === 0 ? this.a : this.b;
        guilty.accuse(
          kind === 'DOORBELL' ? 'RING' : kind,
          kind === 'INDEX'
            ? 'an index jumped'
            : kind === 'DOORBELL'
              ? 'an eventfd was made unusable'
              : 'a descriptor is wrong',
        );
      },
    );
  }

  #stop(): void {
    const bridging = this.#native;
    if (bridging === undefined) return;
    this.#native = undefined;
    const states = bridging.stop();
    const counters = bridging.counters();
    this.#past = [sum(this.#past[0], counters[0]!), sum(this.#past[1], counters[1]!)];
    for (const [which, side] of [this.a, this.b].entries()) {
      const state = states?.[which];
      side.rx.filter((queue) => queue.lent).forEach((queue, i) => queue.giveBack(state?.rx[i] ?? 0));
      side.tx.filter((queue) => queue.lent).forEach((queue, i) => queue.giveBack(state?.tx[i] ?? 0));
      side.lendingChanged();
    }
  }
}
