// When to look at a receive ring.
//
//   polling     every turn of the event loop; the peer is asked never to ring
//   interrupt   sleep on the eventfd; the peer rings for every burst
//   adaptive    after a packet look without pause for `spinUs`, the peer need not ring; then unmask and sleep
//
//               kick                         ring empty for spinUs
//   sleeping ---------> running (masked) --------------------------> unmask, look again --> late looks --> sleeping
//
// The late looks (one at the end of the turn, one a millisecond later) close a window that every known peer leaves
// open: none has a barrier between publishing its index and reading our mask.

import { native, type NativeDoorbellWatch } from '../native.js';
import { rxPackets, rxWakeups } from './counters.js';
import type { RxQueue } from './rx-queue.js';

/** How a receiver waits for packets. */
export type RxMode = 'polling' | 'interrupt' | 'adaptive';

export const rxModes: readonly RxMode[] = ['polling', 'interrupt', 'adaptive'];

/** Work for this long before other callbacks of the event loop get a turn. */
const turnUs = 200;
const lateLookMs = 1;

/** Calls back while a queue has packets. One per queue; started while somebody listens and the interface is up. */
export class Receiver {
  readonly #queue: RxQueue;
  readonly #mode: RxMode;
  readonly #spinMs: number;
  readonly #onPackets: (queue: RxQueue) => void;
  #watch: NativeDoorbellWatch | undefined;
  #immediate: NodeJS.Immediate | undefined;
  #late: NodeJS.Timeout | undefined;
  #idleSince = 0;
  #ref = true;

  constructor(queue: RxQueue, mode: RxMode, spinUs: number, onPackets: (queue: RxQueue) => void) {
    this.#queue = queue;
    this.#mode = mode;
    this.#spinMs = spinUs / 1000;
    this.#onPackets = onPackets;
  }

  get running(): boolean {
    return this.#watch !== undefined || this.#immediate !== undefined;
  }

  start(): void {
    const binding = this.#queue.binding;
    if (binding === undefined || this.running) return;
    if (this.#mode !== 'polling') {
      this.#watch = new (native().DoorbellWatch)(binding.event, () => {
        this.#queue.shared[rxWakeups]!++;
        this.#idleSince = performance.now();
        this.#turn();
      });
      this.#watch.setRef(this.#ref);
    }
    this.#queue.maskInterrupts(this.#mode === 'polling');
    this.#idleSince = performance.now();
    // What came before somebody listened was not announced to him.
    this.#again();
  }

  stop(): void {
    this.#watch?.close();
    this.#watch = undefined;
    clearImmediate(this.#immediate);
    this.#immediate = undefined;
    clearTimeout(this.#late);
    this.#late = undefined;
    this.#queue.maskInterrupts(true);
  }

  setRef(ref: boolean): void {
    this.#ref = ref;
    this.#watch?.setRef(ref);
    if (ref) this.#immediate?.ref();
    else this.#immediate?.unref();
  }

  #again(): void {
    if (this.#immediate !== undefined) return;
    this.#immediate = setImmediate(() => {
      this.#immediate = undefined;
      this.#turn();
    });
    if (!this.#ref) this.#immediate.unref();
  }

  #turn(): void {
    const queue = this.#queue;
    if (queue.size === 0) return;
    switch (this.#mode) {
      case 'polling':
        if (queue.ready()) this.#onPackets(queue);
        if (queue.size > 0) this.#again();
        return;
      case 'interrupt':
        if (queue.ready()) this.#onPackets(queue);
        // Not all was taken: go on after the others had a turn.
        if (queue.size > 0 && queue.ready()) this.#again();
        return;
      case 'adaptive':
        this.#spin();
    }
  }

  #spin(): void {
    const queue = this.#queue;
    queue.maskInterrupts(true);
    const started = performance.now();
    for (;;) {
      if (queue.ready()) {
        const taken = queue.shared[rxPackets]!;
        this.#onPackets(queue);
        if (queue.size === 0 || !this.running) return;
        this.#idleSince = performance.now();
        // Nothing can be taken at the moment, or much has been: let the event loop turn.
        if (queue.shared[rxPackets] === taken) {
          this.#again();
          return;
        }
        if ((this.#idleSince - started) * 1000 > turnUs) {
          this.#again();
          return;
        }
        continue;
      }
      let quiet = true;
      for (let i = 0; i < 32 && quiet; i++) quiet = !queue.ready();
      if (!quiet) continue;
      const now = performance.now();
      if (now - this.#idleSince > this.#spinMs) break;
      if ((now - started) * 1000 > turnUs) {
        this.#again();
        return;
      }
    }
    queue.maskInterrupts(false);
    if (queue.ready()) {
      this.#idleSince = performance.now();
      this.#again();
      return;
    }
    clearTimeout(this.#late);
    this.#late = setTimeout(() => {
      this.#late = undefined;
      if (queue.ready()) {
        this.#idleSince = performance.now();
        this.#turn();
      }
    }, lateLookMs).unref();
  }
}
