// A map from keys to whatever, made for millions of them: an open-addressing table of numbers beside one column, so that
// growing it moves no objects and the garbage collector has nothing to look at.
//
//   slots    [ . 3 . . 0 1 . . 2 . ]                       position -> entry
//   entries  [ a/1 …   a/2 …   b/7 …   a/9 … ]             key and value, in the order of their coming
//
// The last two characters of a key are added to the hash of the rest, so that neighbours (a/17, a/18) are neighbours in the
// table too and a run through them runs through memory. Invariant: an entry is in the table exactly if its key is not
// undefined.

import { randomBytes } from 'node:crypto';
import { Column } from './column.js';

/** What {@link KeyMap} and Map can both do for a reader. */
export type ReadonlyKeyMap<V> = Pick<ReadonlyMap<string, V>, 'get' | 'has' | 'size' | 'keys' | 'values' | 'forEach'> &
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
  /** Key and value of entry i are at 2 i and 2 i + 1. */
  #entries = new Column<unknown>();
  #count = 0;
  #holes = 0;

  get size(): number {
    return this.#count - this.#holes;
  }

  /** Makes room for so many more at once, instead of by doubling, where most of what there will be is new. */
  reserve(more: number): void {
    const wanted = this.#count + more;
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
      if (this.#hashes[entry] === hash && this.#entries.at(entry * 2) === key) return at;
    }
  }

  get(key: string): V | undefined {
    const at = this.#find(key, hashOf(key));
    return at < 0 ? undefined : (this.#entries.at(this.#slots[at]! * 2 + 1) as V);
  }

  has(key: string): boolean {
    return this.#find(key, hashOf(key)) >= 0;
  }

  set(key: string, value: V): this {
    const hash = hashOf(key);
    const at = this.#find(key, hash);
    if (at >= 0) this.#entries.set(this.#slots[at]! * 2 + 1, value);
    else this.#add(key, value, hash, at);
    return this;
  }

  /** The value of a key, made if there is none. */
  ensure(key: string, make: (key: string) => V): V {
    const hash = hashOf(key);
    const at = this.#find(key, hash);
    if (at >= 0) return this.#entries.at(this.#slots[at]! * 2 + 1) as V;
    const value = make(key);
    this.#add(key, value, hash, at);
    return value;
  }

  #add(key: string, value: V, hash: number, missing: number): void {
    let at = missing;
    if (this.#count === this.#hashes.length) {
      this.#grow();
      at = this.#find(key, hash);
    }
    const entry = this.#count;
    this.#entries.push(key);
    this.#entries.push(value);
    this.#hashes[entry] = hash;
    this.#slots[~at] = entry;
    this.#count += 1;
  }

  delete(key: string): boolean {
    const slots = this.#slots;
    const mask = slots.length - 1;
    let hole = this.#find(key, hashOf(key));
    if (hole < 0) return false;
    const entry = slots[hole]!;
    this.#entries.set(entry * 2, undefined);
    this.#entries.set(entry * 2 + 1, undefined);
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

  /** Makes room: by closing holes if there are many, else by doubling. Iterations under way go on over the old entries. */
  #grow(): void {
    const entries = this.#entries;
    const hashes = this.#hashes;
    if (this.#holes * 4 > this.#count) {
      this.#entries = new Column();
      let kept = 0;
      for (let entry = 0; entry < this.#count; entry += 1) {
        const key = entries.at(entry * 2);
        if (key === undefined) continue;
        this.#entries.push(key);
        this.#entries.push(entries.at(entry * 2 + 1));
        hashes[kept] = hashes[entry]!;
        kept += 1;
      }
      this.#count = kept;
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
    for (let entry = 0; entry < this.#count; entry += 1) {
      if (this.#holes > 0 && this.#entries.at(entry * 2) === undefined) continue;
      let at = this.#hashes[entry]! & mask;
      while (slots[at]! >= 0) at = (at + 1) & mask;
      slots[at] = entry;
    }
  }

  /** As iterating, without making a pair of each entry. */
  forEach(visit: (value: V, key: string, map: Map<string, V>) => void): void {
    const entries = this.#entries;
    for (let at = 0; at < entries.length; at += 2) {
      const key = entries.at(at);
      if (key !== undefined) visit(entries.at(at + 1) as V, key as string, this as never);
    }
  }

  *keys(): Generator<string, undefined> {
    const entries = this.#entries;
    for (let at = 0; at < entries.length; at += 2) {
      const key = entries.at(at);
      if (key !== undefined) yield key as string;
    }
    return undefined;
  }

  *values(): Generator<V, undefined> {
    const entries = this.#entries;
    for (let at = 0; at < entries.length; at += 2) {
      if (entries.at(at) !== undefined) yield entries.at(at + 1) as V;
    }
    return undefined;
  }

  *[Symbol.iterator](): Generator<[string, V], undefined> {
    const entries = this.#entries;
    for (let at = 0; at < entries.length; at += 2) {
      const key = entries.at(at);
      if (key !== undefined) yield [key as string, entries.at(at + 1) as V];
    }
    return undefined;
  }
}
