// When a client tries again: at once after a connection that was good, otherwise after a pause that doubles.
//
//   refused ---> pause min, 2 min, 4 min .. max ---> attempt
//   down -------> at once; but after a pause, as if refused, when the connection broke as soon as it was there

/** The pauses between a client's attempts to connect. */
export class Retry {
  readonly #minMs: number;
  readonly #maxMs: number;
  readonly #attempt: () => void;
  #timer: NodeJS.Timeout | undefined;
  #ms = 0;
  #upSince = 0;
  #ref = true;

  constructor(minMs: number, maxMs: number, attempt: () => void) {
    this.#minMs = minMs;
    this.#maxMs = maxMs;
    this.#attempt = attempt;
  }

  /** An attempt has failed. */
  refused(): void {
    this.#ms = this.#ms === 0 ? this.#minMs : Math.min(this.#ms * 2, this.#maxMs);
    this.#after(this.#ms);
  }

  /** An attempt has succeeded. */
  up(): void {
    this.#upSince = performance.now();
  }

  /** The connection has ended. One that broke at once counts as refused, or a server that sends us away would keep both busy. */
  down(): void {
    if (performance.now() - this.#upSince < this.#minMs) {
      this.refused();
      return;
    }
    this.#ms = 0;
    this.#after(0);
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  /** Whether a pause keeps the event loop alive. */
  setRef(ref: boolean): void {
    this.#ref = ref;
    if (ref) this.#timer?.ref();
    else this.#timer?.unref();
  }

  #after(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(this.#attempt, ms);
    if (!this.#ref) this.#timer.unref();
  }
}
