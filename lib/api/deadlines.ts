// Deadlines of many requests with one timer per distinct duration: whoever asks with the same timeoutMs expires in the
// order he asked, so that each duration is a queue and only its head needs a timer.
//
//   1000 ms: a -> b -> c      (timer for a)
//    250 ms: d -> e           (timer for d)
//
// Adding and removing costs a few pointer writes. Invariant: an entry is in at most one queue.

/** Anything that can expire. */
export interface Expiring {
  deadline: number;
  queue: DeadlineQueue | undefined;
  earlier: Expiring | undefined;
  later: Expiring | undefined;
  /** Called when the deadline has passed; the entry is out of its queue by then. */
  expire(): void;
}

/** The queue of one duration. */
export class DeadlineQueue {
  readonly #owner: Deadlines;
  readonly #durationMs: number;
  #first: Expiring | undefined;
  #last: Expiring | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(owner: Deadlines, durationMs: number) {
    this.#owner = owner;
    this.#durationMs = durationMs;
  }

  get durationMs(): number {
    return this.#durationMs;
  }

  add(entry: Expiring, now: number): void {
    entry.deadline = now + this.#durationMs;
    entry.queue = this;
    entry.later = undefined;
    entry.earlier = this.#last;
    if (this.#last === undefined) this.#first = entry;
    else this.#last.later = entry;
    this.#last = entry;
    if (this.#timer === undefined) this.#arm(this.#durationMs);
  }

  remove(entry: Expiring): void {
    const { earlier, later } = entry;
    if (earlier === undefined) this.#first = later;
    else earlier.later = later;
    if (later === undefined) this.#last = earlier;
    else later.earlier = earlier;
    entry.queue = entry.earlier = entry.later = undefined;
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #arm(delayMs: number): void {
    if (this.#timer !== undefined) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      const now = performance.now();
      for (let entry = this.#first; entry !== undefined && entry.deadline <= now; entry = this.#first) {
        this.remove(entry);
        entry.expire();
      }
      const first = this.#first;
      if (first === undefined) this.#owner.forget(this);
      else this.#arm(Math.max(1, Math.ceil(first.deadline - now)));
    }, delayMs);
    this.#timer.unref();
  }
}

/** All deadlines of one connection. */
export class Deadlines {
  readonly #queues = new Map<number, DeadlineQueue>();
  #now = 0;

  /** Time of this tick in ms, read from the clock once per tick. */
  now(): number {
    if (this.#now === 0) this.#now = performance.now();
    return this.#now;
  }

  /** A new tick begins. */
  tick(): void {
    this.#now = 0;
  }

  add(entry: Expiring, durationMs: number): void {
    let queue = this.#queues.get(durationMs);
    if (queue === undefined) this.#queues.set(durationMs, (queue = new DeadlineQueue(this, durationMs)));
    queue.add(entry, this.now());
  }

  forget(queue: DeadlineQueue): void {
    this.#queues.delete(queue.durationMs);
  }

  stop(): void {
    for (const queue of this.#queues.values()) queue.stop();
    this.#queues.clear();
  }
}
