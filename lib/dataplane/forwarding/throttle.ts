// At most one of a kind in a time: VPP's `throttle`. Kinds are hashed into 512 bits that are cleared after each time.

export class Throttle {
  readonly #bits = new Uint8Array(512);
  readonly #timeMs: number;
  #sinceMs = -Infinity;

  constructor(timeMs: number) {
    this.#timeMs = timeMs;
  }

  /** Whether it is too soon. */
  check(kind: number, nowMs: number): boolean {
    if (nowMs - this.#sinceMs > this.#timeMs) {
      this.#sinceMs = nowMs;
      this.#bits.fill(0);
    }
    const h = Math.imul(kind ^ (kind >>> 15), 0x85ebca6b);
    const at = (h ^ (h >>> 13)) & 511;
    if (this.#bits[at] === 1) return true;
    this.#bits[at] = 1;
    return false;
  }
}
