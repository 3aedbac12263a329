// All keys with a given prefix, without a tree of objects per key: one sorted array, plus an unsorted tail of recent keys
// that is merged in when it is asked. Keys that left are skipped by asking the graph whether it still has them.
//
//   sorted  [ a/1 a/2 b/1 … ]   tail [ c/9 a/0 ]   ->  withPrefix('a/')  a/0 a/1 a/2
//
// Invariant: every key added and not removed since is in `sorted` or in `tail`; it may be in both, never twice in an answer.

/** Finds keys by prefix. */
export class KeyIndex {
  #sorted: string[] = [];
  #tail: string[] = [];
  readonly #has: (key: string) => boolean;

  /** `has` says whether a key is (still) there. */
  constructor(has: (key: string) => boolean, keys: Iterable<string>) {
    this.#has = has;
    this.#tail = [...keys];
  }

  add(key: string): void {
    this.#tail.push(key);
  }

  /** Every present key that starts with the prefix, in code-unit order. */
  *withPrefix(prefix: string): Generator<string> {
    this.#merge();
    const sorted = this.#sorted;
    let low = 0;
    let high = sorted.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (sorted[middle]! < prefix) low = middle + 1;
      else high = middle;
    }
    for (; low < sorted.length; low += 1) {
      const key = sorted[low]!;
      if (!key.startsWith(prefix)) return;
      if (this.#has(key)) yield key;
    }
  }

  #merge(): void {
    if (this.#tail.length === 0) return;
    const tail = this.#tail.sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
    this.#tail = [];
    const old = this.#sorted;
    const merged: string[] = [];
    let i = 0;
    let j = 0;
    while (i < old.length || j < tail.length) {
      const fromOld = j >= tail.length || (i < old.length && old[i]! <= tail[j]!);
      const key = fromOld ? old[i++]! : tail[j++]!;
      if (merged[merged.length - 1] !== key && this.#has(key)) merged.push(key);
    }
    this.#sorted = merged;
  }
}
