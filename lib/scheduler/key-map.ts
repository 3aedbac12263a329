// A map from keys to whatever, made for millions of them: an open-addressing table of numbers beside two plain arrays, so
// that growing it moves no objects and the garbage collector has nothing to look at.
//
//   slots    [ . 3 . . 0 1 . . 2 . ]        position -> entry
//   entries  keys  [ a/1  a/2  b/7  a/9 ]    in the order of their coming
//            values[ …    …    …    …   ]
//
// The last two characters of a key are added to the hash of the rest, so that neighbours (a/17, a/18) are neighbours in the
// table too and a run through them runs through memory. Invariant: an entry is in the table exactly if its key is not
// undefined.

import { randomBytes } from 'node:crypto';

/** What {@link KeyMap} and Map can both do for a reader. */
export type ReadonlyKeyMap<V> = Pick<ReadonlyMap<string, V>, 'get' | 'has' | 'size' | 'keys' | 'values'> &
  Iterable<readonly [string, V]>;

/** Keys that nobody outside can choose so that they collide. */
const seed = randomBytes(4).readInt32LE();

function hashOf(key: string): number {
  const end = key.length - 2;
  let hash = seed;
  for (let i = 0; i < end; i += 1) hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
  hash ^= hash >>> 13;
  if (end < 0) return (hash + (key.length === 0 ? 0 : key.charCodeAt(0))) | 0;
  return (hash + key.charCodeAt(end) * 16 + key.charCodeAt(end + 1)) | 0;
}

/** An insertion-ordered map with text keys. */
export class KeyMap<V> {
  #slots = new Int32Array(16).fill(-1);
  #hashes = new Int32Array(8);
  #keys: (string | undefined)[] = [];
  #values: (V | undefined)[] = [];
  #holes = 0;

  get size(): number {
    return this.#keys.length - this.#holes;
  }

  /** Makes room for so many more at once, instead of by doubling, where most of what there will be is new. */
  reserve(more: number): void {
    const wanted = this.#keys.length + more;
    if (more < this.size || this.#holes > 0 || wanted <= this.#hashes.length) return;
    // A power of two, for the mask; and as with doubling, half of the table stays free.
    this.#resize(2 ** Math.ceil(Math.log2(wanted)));
  }

  #find(key: string, hash: number): number {
    const slots = this.#slots;
    const mask = slots.length - 1;
    for (let at = hash & mask; ; at = (at + 1) & mask) {
      const entry = slots[at]!;
      if (entry < 0) return ~at;
      if (this.#hashes[entry] === hash && this.#keys[entry] === key) return at;
    }
  }

  get(key: string): V | undefined {
    const at = this.#find(key, hashOf(key));
    return at < 0 ? undefined : this.#values[this.#slots[at]!];
  }

  has(key: string): boolean {
    return this.#find(key, hashOf(key)) >= 0;
  }

  set(key: string, value: V): this {
    const hash = hashOf(key);
    const at = this.#find(key, hash);
    if (at >= 0) {
      this.#values[this.#slots[at]!] = value;
      return this;
    }
    this.#add(key, value, hash, at);
    return this;
  }

  /** The value of a key, made if there is none. */
  ensure(key: string, make: (key: string) => V): V {
    const hash = hashOf(key);
    const at = this.#find(key, hash);
    if (at >= 0) return this.#values[this.#slots[at]!] as V;
    const value = make(key);
    this.#add(key, value, hash, at);
    return value;
  }

  #add(key: string, value: V, hash: number, missing: number): void {
    let at = missing;
    if (this.#keys.length === this.#hashes.length) {
      this.#grow();
      at = this.#find(key, hash);
    }
    const entry = this.#keys.length;
    this.#keys.push(key);
    this.#values.push(value);
    this.#hashes[entry] = hash;
    this.#slots[~at] = entry;
  }

  delete(key: string): boolean {
    const slots = this.#slots;
    const mask = slots.length - 1;
    let hole = this.#find(key, hashOf(key));
    if (hole < 0) return false;
    const entry = slots[hole]!;
    this.#keys[entry] = undefined;
    this.#values[entry] = undefined;
    this.#holes += 1;
    // What stands behind the hole and would no longer be found moves up.
    for (let at = (hole + 1) & mask; slots[at]! >= 0; at = (at + 1) & mask) {
      const home = this.#hashes[slots[at]!]! & mask;
      if (((at - home) & mask) < ((at - hole) & mask)) continue;
      slots[hole] = slots[at]!;
      hole = at;
    }
    slots[hole] = -1;
    return true;
  }

  /** Makes room: by closing holes if there are many, else by doubling. Iterations under way go on over the old arrays. */
  #grow(): void {
    const keys = this.#keys;
    const values = this.#values;
    const hashes = this.#hashes;
    if (this.#holes * 4 > keys.length) {
      this.#keys = [];
      this.#values = [];
      let kept = 0;
      for (let entry = 0; entry < keys.length; entry += 1) {
        if (keys[entry] === undefined) continue;
        this.#keys.push(keys[entry]);
        this.#values.push(values[entry]);
        hashes[kept] = hashes[entry]!;
        kept += 1;
      }
      this.#holes = 0;
      this.#slots.fill(-1);
      this.#rehash();
    } else this.#resize(hashes.length * 2);
  }

  #resize(capacity: number): void {
    const hashes = this.#hashes;
    this.#hashes = new Int32Array(capacity);
    this.#hashes.set(hashes);
    this.#slots = new Int32Array(capacity * 2).fill(-1);
    this.#rehash();
  }

  #rehash(): void {
    const slots = this.#slots;
    const mask = slots.length - 1;
    for (let entry = 0; entry < this.#keys.length; entry += 1) {
      if (this.#keys[entry] === undefined) continue;
      let at = this.#hashes[entry]! & mask;
      while (slots[at]! >= 0) at = (at + 1) & mask;
      slots[at] = entry;
    }
  }

  *keys(): Generator<string, undefined> {
    for (const key of this.#keys) if (key !== undefined) yield key;
    return undefined;
  }

  *values(): Generator<V, undefined> {
    const keys = this.#keys;
    const values = this.#values;
    for (let entry = 0; entry < keys.length; entry += 1) if (keys[entry] !== undefined) yield values[entry] as V;
    return undefined;
  }

  *[Symbol.iterator](): Generator<[string, V], undefined> {
    const keys = this.#keys;
    const values = this.#values;
    for (let entry = 0; entry < keys.length; entry += 1) {
      const key = keys[entry];
      if (key !== undefined) yield [key, values[entry] as V];
    }
    return undefined;
  }
}
