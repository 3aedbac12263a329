// The FIB: entries of all tables in flat arrays, and for each table how they are found.
//
//   prefix ──(hash: exact, trie or hash by length: longest)──► entry ──► path list ──► buckets ──► what to do (Dpo)
//
// An entry may be said by several sources; the best (lowest number, VPP's `fib_source`) decides. The number of an entry
// is also that of its counters.

import { ArgumentRangeError } from '../../errors.js';
import type { FibSource } from './control.js';
import { Mtrie } from './mtrie.js';

/** Most entries of all tables together. */
const MAX_ENTRIES = 16_777_215;

export interface Said {
  source: FibSource;
  pathList: number;
}

/** All entries; which table one belongs to is known by the table alone. */
export class Entries {
  size = 0;
  /** First word of the address, or the whole of it. */
  word = new Uint32Array(64);
  /** IPv6: the other three. */
  rest = new Uint32Array(0);
  length = new Uint8Array(64);
  source = new Uint8Array(64);
  pathList = new Uint32Array(64);
  /** Packets and bytes. */
  counters = new Float64Array(128);
  readonly others = new Map<number, Said[]>();
  readonly #free: number[] = [];
  #next = 0;

  allocate(words: readonly number[] | Uint32Array, length: number): number {
    const entry = this.#free.pop() ?? this.#next++;
    if (entry > MAX_ENTRIES) throw new ArgumentRangeError(`FIB: more than ${MAX_ENTRIES} entries`);
    if (entry >= this.word.length) {
      const to = this.word.length * 2;
      this.word = widen(this.word, new Uint32Array(to));
      this.length = widen(this.length, new Uint8Array(to));
      this.source = widen(this.source, new Uint8Array(to));
      this.pathList = widen(this.pathList, new Uint32Array(to));
      this.counters = widen(this.counters, new Float64Array(to * 2));
    }
    this.word[entry] = words[0]!;
    if (words.length === 4) {
      if (this.rest.length < this.word.length * 3) this.rest = widen(this.rest, new Uint32Array(this.word.length * 3));
      for (let i = 1; i < 4; i++) this.rest[entry * 3 + i - 1] = words[i]!;
    }
    this.length[entry] = length;
    this.source[entry] = 0;
    this.pathList[entry] = 0;
    this.counters[entry * 2] = 0;
    this.counters[entry * 2 + 1] = 0;
    this.size++;
    return entry;
  }

  release(entry: number): void {
    this.#free.push(entry);
    this.others.delete(entry);
    this.size--;
  }

  /** What a source says of an entry from now on; returns the path list it named before. */
  say(entry: number, source: FibSource, pathList: number): number | undefined {
    const best = this.source[entry]!;
    if (best === 0 || best === source) {
      const before = best === 0 ? undefined : this.pathList[entry]!;
      this.source[entry] = source;
      this.pathList[entry] = pathList;
      return before;
    }
    const list = this.others.get(entry) ?? [];
    const known = list.find((said) => said.source === source);
    if (known !== undefined) {
      const before = known.pathList;
      known.pathList = pathList;
      return before;
    }
    if (source < best) {
      list.push({ source: best as FibSource, pathList: this.pathList[entry]! });
      this.source[entry] = source;
      this.pathList[entry] = pathList;
    } else list.push({ source, pathList });
    list.sort((a, b) => a.source - b.source);
    this.others.set(entry, list);
    return undefined;
  }

  /** Takes back what a source said: its path list, or undefined when it said nothing. Afterwards `source` may be 0. */
  unsay(entry: number, source: FibSource): number | undefined {
    const list = this.others.get(entry);
    if (this.source[entry] === source) {
      const before = this.pathList[entry]!;
      const next = list?.shift();
      this.source[entry] = next?.source ?? 0;
      this.pathList[entry] = next?.pathList ?? 0;
      if (list?.length === 0) this.others.delete(entry);
      return before;
    }
    const at = list?.findIndex((said) => said.source === source) ?? -1;
    if (at < 0) return undefined;
    const [said] = list!.splice(at, 1);
    if (list!.length === 0) this.others.delete(entry);
    return said!.pathList;
  }

  /** Whether a source says something of an entry. */
  says(entry: number, source: FibSource): number | undefined {
    if (this.source[entry] === source) return this.pathList[entry];
    return this.others.get(entry)?.find((said) => said.source === source)?.pathList;
  }
}

function widen<T extends Uint8Array | Uint32Array | Float64Array>(from: T, to: T): T {
  to.set(from);
  return to;
}

const mixWord = (hash: number, word: number): number => {
  const h = Math.imul(hash ^ word, 0x85ebca6b);
  return Math.imul(h ^ (h >>> 15), 0xc2b2ae35);
};

/** One table of one family. */
export class FibTable {
  readonly tableId: number;
  readonly index: number;
  readonly isIp6: boolean;
  readonly entries: Entries;
  /** Exact match: entry + 1, open addressing. */
  #hash = new Uint32Array(64);
  size = 0;
  /** Of how many entries each prefix length is, and the lengths in use, longest first. */
  readonly #lengths: Uint32Array;
  #inUse: number[] = [];
  trie: Mtrie | undefined;
  hashConfig = 0x9f;

  constructor(tableId: number, index: number, isIp6: boolean, entries: Entries) {
    this.tableId = tableId;
    this.index = index;
    this.isIp6 = isIp6;
    this.entries = entries;
    this.#lengths = new Uint32Array(isIp6 ? 129 : 33);
  }

  /** The entry of exactly this prefix, or -1. */
  find(words: readonly number[] | Uint32Array, length: number): number {
    const { entries } = this;
    const table = this.#hash;
    const mask = table.length - 1;
    let at = hashOf(words, length) & mask;
    for (let value = table[at]!; value !== 0; value = table[at]!) {
      const entry = value - 1;
      if (entries.length[entry] === length && entries.word[entry] === words[0] && this.#sameRest(entry, words))
        return entry;
      at = (at + 1) & mask;
    }
    return -1;
  }

  #sameRest(entry: number, words: readonly number[] | Uint32Array): boolean {
    if (!this.isIp6) return true;
    const { rest } = this.entries;
    const at = entry * 3;
    return rest[at] === words[1] && rest[at + 1] === words[2] && rest[at + 2] === words[3];
  }

  /** A new entry; there must be none yet. The first one of a table is its default. */
  add(words: readonly number[] | Uint32Array, length: number): number {
    const entry = this.entries.allocate(words, length);
    if ((this.size + 1) * 2 > this.#hash.length) this.#grow();
    this.#put(entry, words, length);
    this.size++;
    if (this.#lengths[length]!++ === 0) this.#inUse = [...this.#inUse, length].sort((a, b) => b - a);
    if (!this.isIp6) {
      if (this.trie === undefined) this.trie = new Mtrie(entry, () => this.entries.length);
      else this.trie.insert(words[0]!, length, entry);
    }
    return entry;
  }

  /** Removes an entry that nobody says anything of any more. */
  remove(entry: number): void {
    const { entries } = this;
    const words = this.wordsOf(entry);
    const length = entries.length[entry]!;
    if (this.trie !== undefined && !this.isIp6) {
      this.trie.remove(words[0]!, length, entry, this.cover(words, length));
    }
    this.#take(entry, words, length);
    this.size--;
    this.#lengths[length]!--;
    if (this.#lengths[length] === 0) this.#inUse = this.#inUse.filter((each) => each !== length);
    entries.release(entry);
  }

  wordsOf(entry: number): Uint32Array {
    const { entries } = this;
    if (!this.isIp6) return Uint32Array.of(entries.word[entry]!);
    const at = entry * 3;
    return Uint32Array.of(entries.word[entry]!, entries.rest[at]!, entries.rest[at + 1]!, entries.rest[at + 2]!);
  }

  /** The longest entry shorter than `length` that covers an address; the default one at last. */
  cover(words: readonly number[] | Uint32Array, length: number): number {
    const masked = new Uint32Array(words.length);
    for (const each of this.#inUse) {
      if (each >= length) continue;
      maskWords(words, each, masked);
      const entry = this.find(masked, each);
      if (entry >= 0) return entry;
    }
    return -1;
  }

  /** Longest match; the words are those of an address. IPv4 on the packet path asks the trie itself. */
  lookup(words: readonly number[] | Uint32Array): number {
    if (this.trie !== undefined) return this.trie.lookup(words[0]!);
    return this.cover(words, 129);
  }

  /** Longest match of an IPv6 address, without making anything. */
  lookup6(a: number, b: number, c: number, d: number): number {
    const { entries } = this;
    const lengths = this.#inUse;
    const table = this.#hash;
    const mask = table.length - 1;
    const { word, rest, length: lengthOf } = entries;
    for (const length of lengths) {
      const w0 = length >= 32 ? a : length === 0 ? 0 : (a & (-1 << (32 - length))) >>> 0;
      const w1 = length >= 64 ? b : length <= 32 ? 0 : (b & (-1 << (64 - length))) >>> 0;
      const w2 = length >= 96 ? c : length <= 64 ? 0 : (c & (-1 << (96 - length))) >>> 0;
      const w3 = length >= 128 ? d : length <= 96 ? 0 : (d & (-1 << (128 - length))) >>> 0;
      const h = mixWord(mixWord(mixWord(mixWord(length, w0), w1), w2), w3);
      let at = (h ^ (h >>> 13)) & mask;
      for (let value = table[at]!; value !== 0; value = table[at]!) {
        const entry = value - 1;
        const r = entry * 3;
        if (
          word[entry] === w0 &&
          lengthOf[entry] === length &&
          rest[r] === w1 &&
          rest[r + 1] === w2 &&
          rest[r + 2] === w3
        ) {
          return entry;
        }
        at = (at + 1) & mask;
      }
    }
    return -1;
  }

  /** All entries, shortest prefixes first. */
  *all(): Generator<number, void, void> {
    for (const value of this.#hash) if (value !== 0) yield value - 1;
  }

  /** Bytes of the tables of this table alone. */
  get bytes(): number {
    return this.#hash.byteLength + (this.trie?.bytes ?? 0);
  }

  #put(entry: number, words: readonly number[] | Uint32Array, length: number): void {
    const mask = this.#hash.length - 1;
    let at = hashOf(words, length) & mask;
    while (this.#hash[at] !== 0) at = (at + 1) & mask;
    this.#hash[at] = entry + 1;
  }

  #take(entry: number, words: Uint32Array, length: number): void {
    const table = this.#hash;
    const mask = table.length - 1;
    let hole = hashOf(words, length) & mask;
    while (table[hole] !== entry + 1) hole = (hole + 1) & mask;
    for (let at = hole; ;) {
      at = (at + 1) & mask;
      const value = table[at]!;
      if (value === 0) break;
      const home = hashOf(this.wordsOf(value - 1), this.entries.length[value - 1]!) & mask;
      if (((at - home) & mask) < ((at - hole) & mask)) continue;
      table[hole] = value;
      hole = at;
    }
    table[hole] = 0;
  }

  #grow(): void {
    const before = this.#hash;
    this.#hash = new Uint32Array(before.length * 2);
    for (const value of before) {
      if (value !== 0) this.#put(value - 1, this.wordsOf(value - 1), this.entries.length[value - 1]!);
    }
  }
}

function hashOf(words: readonly number[] | Uint32Array, length: number): number {
  let h = length;
  for (const word of words) h = mixWord(h, word);
  return h ^ (h >>> 13);
}

/** Clears the bits behind a prefix. */
export function maskWords(words: readonly number[] | Uint32Array, length: number, into: Uint32Array): Uint32Array {
  for (let i = 0; i < words.length; i++) {
    const bits = Math.min(32, Math.max(0, length - i * 32));
    into[i] = bits === 0 ? 0 : words[i]! & (-1 << (32 - bits));
  }
  return into;
}
