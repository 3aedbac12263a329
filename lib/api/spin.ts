// Waiting awake. A thread that sleeps until a reply arrives has to be woken, which takes longer than VPP takes for most
// replies. So for some microseconds after a request has left, the event loop turns without sleeping:
//
//   flush -> turn, turn, turn … -> reply (the next request goes on with it), or the time is over and the loop sleeps
//
// Only while few requests are in flight: many keep the loop awake by themselves. Invariant: nothing in flight, no turn.

import { availableParallelism } from 'node:os';

/** Requests in flight up to which waiting awake pays. */
const FEW = 4;

/** How long to stay awake unless told otherwise: on one processor VPP could not answer meanwhile. */
export function defaultSpinUs(): number {
  return availableParallelism() > 1 ? 100 : 0;
}

/** Keeps the event loop awake for replies that are about to come. */
export class Spin {
  readonly #budgetMs: number;
  readonly #inFlight: () => number;
  readonly #turn = () => {
    if (this.#few() && performance.now() < this.#until) setImmediate(this.#turn);
    else this.#turning = false;
  };
  #until = 0;
  #turning = false;

  constructor(budgetUs: number, inFlight: () => number) {
    this.#budgetMs = budgetUs / 1000;
    this.#inFlight = inFlight;
  }

  /** Requests have just left. */
  start(): void {
    if (!this.#few()) return;
    this.#until = performance.now() + this.#budgetMs;
    if (this.#turning) return;
    this.#turning = true;
    setImmediate(this.#turn);
  }

  #few(): boolean {
    const inFlight = this.#inFlight();
    return inFlight > 0 && inFlight <= FEW;
  }
}
