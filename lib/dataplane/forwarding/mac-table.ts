// The L2 FIB: where each MAC address of each bridge domain is, in one open hash. An entry is four words, so that a packet
// reads one line of the cache:
//
//   0   bridge domain's index << 16 | first two bytes of the MAC
//   1   the other four
//   2   flags << 16 | sw_if_index; 0 when there is no entry
//   3   second in which a packet last came from there
//
// Linear probing; a deletion moves what follows back, so that there are no tombstones. The table doubles when it is half
// full (a small one when a quarter), up to `MAX_LEARNT` learnt addresses: what comes after those is flooded, and not learnt.

export const MacFlag = { used: 1, static: 2, filter: 4, bvi: 8, ageNot: 16 } as const;

/** Learnt addresses, of all bridge domains together. */
export const MAX_LEARNT = 1_048_576;

/** Stands for no interface in an entry. */
export const NOWHERE = 0xffff;

const WORDS = 4;
/** First size, in entries. */
const ENTRIES = 1024;
const DOMAINS = 65_536;
/** Tables of fewer entries are kept emptier: most addresses are found where they are looked for first. */
const ROOMY = 262_144;

/** Whether an entry shall go. */
export type MacFilter = (domain: number, swIfIndex: number, flags: number, seen: number) => boolean;

export class MacTable {
  #mask = ENTRIES - 1;
  words = new Uint32Array(ENTRIES * WORDS);
  #count = 0;
  learnt = 0;
  /** The same, by index of the bridge domain. */
  readonly learntIn = new Uint32Array(DOMAINS);

  get size(): number {
    return this.#count;
  }

  /** Where an entry starts in `words`, or -1. `high` is the domain's index << 16 | the first two bytes of the MAC. */
  find(high: number, low: number): number {
    const mask = this.#mask;
    const { words } = this;
    for (let slot = hash(high, low) & mask; ; slot = (slot + 1) & mask) {
      const at = slot * WORDS;
      if (words[at + 2] === 0) return -1;
      if (words[at + 1] === low && words[at] === high) return at;
    }
  }

  interfaceAt(at: number): number {
    return this.words[at + 2]! & 0xffff;
  }

  flagsAt(at: number): number {
    return this.words[at + 2]! >>> 16;
  }

  /** Sets an entry; others may lie somewhere else after any change. */
  set(high: number, low: number, swIfIndex: number, flags: number, seen: number): void {
    let at = this.find(high, low);
    if (at < 0) {
      if ((this.#count + 1) * (this.#mask < ROOMY ? 4 : 2) > this.#mask) this.#grow();
      at = this.#free(high, low);
      this.words[at] = high;
      this.words[at + 1] = low;
      this.#count++;
    } else this.#learns(at, -1);
    this.words[at + 2] = ((flags | MacFlag.used) << 16) | (swIfIndex & 0xffff);
    this.words[at + 3] = seen;
    this.#learns(at, 1);
  }

  /** Counts an entry that was learnt. */
  #learns(at: number, by: number): void {
    if ((this.flagsAt(at) & MacFlag.ageNot) !== 0) return;
    this.learnt += by;
    this.learntIn[this.words[at]! >>> 16]! += by;
  }

  #free(high: number, low: number): number {
    const mask = this.#mask;
    let slot = hash(high, low) & mask;
    while (this.words[slot * WORDS + 2] !== 0) slot = (slot + 1) & mask;
    return slot * WORDS;
  }

  remove(high: number, low: number): boolean {
    const at = this.find(high, low);
    if (at < 0) return false;
    this.#removeAt(at);
    return true;
  }

  #removeAt(start: number): void {
    const mask = this.#mask;
    const { words } = this;
    this.#learns(start, -1);
    this.#count--;
    let hole = start / WORDS;
    for (let slot = hole; ;) {
      slot = (slot + 1) & mask;
      const at = slot * WORDS;
      if (words[at + 2] === 0) break;
      const home = hash(words[at]!, words[at + 1]!) & mask;
      // May it stay where it is? Only when its home lies behind the hole.
      if (((slot - home) & mask) < ((slot - hole) & mask)) continue;
      words.copyWithin(hole * WORDS, at, at + WORDS);
      hole = slot;
    }
    words[hole * WORDS + 2] = 0;
  }

  /** Removes all entries for which `which` says so; returns how many. */
  removeWhere(which: MacFilter, removed?: (high: number, low: number, swIfIndex: number) => void): number {
    // Collected first: a removal moves others.
    const keys: number[] = [];
    for (const at of this.all()) {
      const { words } = this;
      if (which(words[at]! >>> 16, this.interfaceAt(at), this.flagsAt(at), words[at + 3]!))
        keys.push(words[at]!, words[at + 1]!);
    }
    for (let i = 0; i < keys.length; i += 2) {
      const at = this.find(keys[i]!, keys[i + 1]!);
      const swIfIndex = this.interfaceAt(at);
      this.#removeAt(at);
      removed?.(keys[i]!, keys[i + 1]!, swIfIndex);
    }
    return keys.length / 2;
  }

  /** Where each entry starts. */
  *all(): Generator<number, void, void> {
    for (let at = 0; at < this.words.length; at += WORDS) if (this.words[at + 2] !== 0) yield at;
  }

  #grow(): void {
    const before = this.words;
    this.#mask = (this.#mask + 1) * 2 - 1;
    this.words = new Uint32Array(before.length * 2);
    for (let from = 0; from < before.length; from += WORDS) {
      if (before[from + 2] === 0) continue;
      this.words.set(before.subarray(from, from + WORDS), this.#free(before[from]!, before[from + 1]!));
    }
  }
}

/** Of MurmurHash3's finishing; whoever picks MAC addresses does not know in which order they come here. */
export function hash(high: number, low: number): number {
  let h = Math.imul(low, 0xcc9e2d51) ^ Math.imul(high, 0x1b873593);
  h ^= h >>> 15;
  h = Math.imul(h, 0x85ebca6b);
  return (h ^ (h >>> 13)) >>> 0;
}
