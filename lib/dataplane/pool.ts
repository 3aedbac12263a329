// Numbers as VPP's pools hand them out: the one freed last comes first, then the next new one. Clients see it: the
// sw_if_index of a deleted interface is that of the next one made.
//
//   take 0, take 1, take 2, put 1, put 0  ->  take gives 0, then 1, then 3

/** Things under the numbers of a pool, in the order of their numbers. */
export class Pool<T> {
  readonly #items: (T | undefined)[] = [];
  readonly #free: number[] = [];
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** The number that `put` will give next. */
  get next(): number {
    return this.#free.at(-1) ?? this.#items.length;
  }

  /** Puts a thing in; its number. */
  put(item: T): number {
    const index = this.next;
    this.#free.pop();
    this.#items[index] = item;
    this.#size += 1;
    return index;
  }

  get(index: number): T | undefined {
    return this.#items[index];
  }

  /** Takes a thing out; its number is free. */
  remove(index: number): T | undefined {
    const item = this.#items[index];
    if (item === undefined) return undefined;
    this.#items[index] = undefined;
    this.#free.push(index);
    this.#size -= 1;
    return item;
  }

  /** In the order of numbers; what is put in or removed meanwhile may or may not be seen. */
  *values(): Generator<T> {
    for (const item of this.#items) if (item !== undefined) yield item;
  }
}

/** VPP's `random_u32`: the number after this one. */
export function nextRandom(seed: number): number {
  return (Math.imul(seed, 1664525) + 1013904223) >>> 0;
}

/**
 * A number nobody uses yet, found as VPP finds ids that a client leaves to it (socket, bridge domain, table): a random
 * one, then its neighbours on both sides. A finder of its own for each kind of id, since each goes on from its last.
 */
export class IdFinder {
  readonly #mask: number;
  readonly #never: number;
  #seed = 0;

  constructor(mask: number, never: number) {
    this.#mask = mask;
    this.#never = never;
  }

  find(isUsed: (id: number) => boolean): number | undefined {
    for (let round = 0; round < 1024; round++) {
      this.#seed = nextRandom(this.#seed);
      for (let step = 0; step < 1024; step++) {
        this.#seed = (this.#seed + (2 * (step % 2) - 1) * step) >>> 0;
        this.#seed = (this.#seed & this.#mask) >>> 0;
        if (this.#seed !== this.#never && !isUsed(this.#seed)) return this.#seed;
      }
    }
    return undefined;
  }
}
