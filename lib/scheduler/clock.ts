// Time as a parameter: the scheduler asks a clock for the time and for wake-ups, and a random source for jitter.
// `ManualClock` stands still until told to advance, so that a test of an hour of retries takes a millisecond.

/** Where the scheduler gets its time from. */
export interface Clock {
  /** Milliseconds since 1970. */
  now(): number;
  /** Calls back once after a delay; the answer cancels it. */
  after(delayMs: number, wake: () => void): () => void;
}

/** The time of this machine. Waiting for it does not keep a process alive. */
export const systemClock: Clock = {
  now: () => Date.now(),
  after(delayMs, wake) {
    // A timer of Node is limited to 2^31-1 ms; longer waits are made of several.
    const step = Math.min(delayMs, 2 ** 31 - 1);
    let cancel: (() => void) | undefined;
    const timer = setTimeout(() => {
      if (delayMs > step) cancel = systemClock.after(delayMs - step, wake);
      else wake();
    }, step);
    timer.unref();
    cancel = () => clearTimeout(timer);
    return () => cancel?.();
  },
};

/**
 * A clock for tests: time passes only in {@link ManualClock.advance}.
 *
 * @example
 * ```ts
 * import { ManualClock } from 'node-vpp/scheduler';
 * const clock = new ManualClock(1000);
 * clock.after(50, () => console.log('woken at', clock.now()));
 * clock.advance(100); // woken at 1050
 * ```
 */
export class ManualClock implements Clock {
  #now: number;
  #order = 0;
  readonly #wakes = new Map<number, { at: number; wake: () => void }>();

  constructor(startMs = 0) {
    this.#now = startMs;
  }

  now(): number {
    return this.#now;
  }

  after(delayMs: number, wake: () => void): () => void {
    const id = this.#order;
    this.#order += 1;
    this.#wakes.set(id, { at: this.#now + Math.max(0, delayMs), wake });
    return () => void this.#wakes.delete(id);
  }

  /** How many wake-ups are waiting. */
  get waiting(): number {
    return this.#wakes.size;
  }

  /** Lets time pass; wake-ups that fall due are called in order, each at its own time. */
  advance(ms: number): void {
    const end = this.#now + ms;
    for (;;) {
      let next: { id: number; at: number; wake: () => void } | undefined;
      for (const [id, { at, wake }] of this.#wakes) {
        if (at <= end && (next === undefined || at < next.at)) next = { id, at, wake };
      }
      if (next === undefined) break;
      this.#wakes.delete(next.id);
      this.#now = Math.max(this.#now, next.at);
      next.wake();
    }
    this.#now = end;
  }
}
