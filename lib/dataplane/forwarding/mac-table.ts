// The L2 FIB: where each MAC address of each bridge domain is, in one open hash of flat arrays.
//
//   key      48 bits of MAC, 16 of the bridge domain's index, as two words
//   value    sw_if_index, flags, and the second in which a packet last came from there
//
// Linear probing; a deletion moves what follows back, so that there are no tombstones. The table doubles when it is half
// full, up to `MAX_ENTRIES` learnt addresses: what comes after those is flooded, and not learnt.

export const MacFlag = { used: 1, static: 2, filter: 4, bvi: 8, ageNot: 16 } as const;

/** Learnt addresses, of all bridge domains together. */
export const MAX_LEARNT = 1_048_576;

export class MacTable {
  #mask = 1023;
  high = new Uint32Array(1024);
  low = new Uint32Array(1024);
  interface = new Uint32Array(1024);
  flags = new Uint8Array(1024);
  /** Second of the last packet. */
  seen = new Uint32Array(1024);
  #count = 0;
  learnt = 0;

  get size(): number {
    return this.#count;
  }

  get capacity(): number {
    return this.#mask + 1;
  }

  /** Slot of an address, or -1. `high` is the domain's index << 16 | the first two bytes of the MAC. */
  find(high: number, low: number): number {
    const mask = this.#mask;
    const { flags } = this;
    let at = hash(high, low) & mask;
    while (flags[at] !== 0) {
      if (this.low[at] === low && this.high[at] === high) return at;
      at = (at + 1) & mask;
    }
    return -1;
  }

  /** Sets an entry; the slot may be another after any change. */
  set(high: number, low: number, swIfIndex: number, flags: number, seen: number): void {
    let at = this.find(high, low);
    if (at < 0) {
      if ((this.#count + 1) * 2 > this.#mask) this.#grow();
      at = hash(high, low) & this.#mask;
      while (this.flags[at] !== 0) at = (at + 1) & this.#mask;
      this.high[at] = high;
      this.low[at] = low;
      this.#count++;
    } else if ((this.flags[at]! & MacFlag.ageNot) === 0) this.learnt--;
    this.interface[at] = swIfIndex;
    this.flags[at] = flags | MacFlag.used;
    this.seen[at] = seen;
    if ((flags & MacFlag.ageNot) === 0) this.learnt++;
  }

  remove(high: number, low: number): boolean {
    const at = this.find(high, low);
    if (at < 0) return false;
    this.#removeAt(at);
    return true;
  }

  #removeAt(start: number): void {
    const mask = this.#mask;
    const { flags, high, low } = this;
    if ((flags[start]! & MacFlag.ageNot) === 0) this.learnt--;
    this.#count--;
    let hole = start;
    let at = start;
    for (;;) {
      at = (at + 1) & mask;
      if (flags[at] === 0) break;
      const home = hash(high[at]!, low[at]!) & mask;
      // May it stay where it is? Only when its home lies behind the hole.
      if (((at - home) & mask) < ((at - hole) & mask)) continue;
      high[hole] = high[at]!;
      low[hole] = low[at]!;
      flags[hole] = flags[at]!;
      this.interface[hole] = this.interface[at]!;
      this.seen[hole] = this.seen[at]!;
      hole = at;
    }
    flags[hole] = 0;
  }

  /** Removes all entries for which `which` says so; returns how many. It sees slots. */
  removeWhere(
    which: (slot: number) => boolean,
    removed?: (high: number, low: number, swIfIndex: number) => void,
  ): number {
    // Collected first: a removal moves others.
    const keys: number[] = [];
    for (let at = 0; at <= this.#mask; at++)
      if (this.flags[at] !== 0 && which(at)) keys.push(this.high[at]!, this.low[at]!);
    for (let i = 0; i < keys.length; i += 2) {
      const at = this.find(keys[i]!, keys[i + 1]!);
      const swIfIndex = this.interface[at]!;
      this.#removeAt(at);
      removed?.(keys[i]!, keys[i + 1]!, swIfIndex);
    }
    return keys.length / 2;
  }

  #grow(): void {
    const { high, low, flags, seen } = this;
    const interfaces = this.interface;
    const size = (this.#mask + 1) * 2;
    this.#mask = size - 1;
    this.high = new Uint32Array(size);
    this.low = new Uint32Array(size);
    this.interface = new Uint32Array(size);
    this.flags = new Uint8Array(size);
    this.seen = new Uint32Array(size);
    for (let from = 0; from < flags.length; from++) {
      if (flags[from] === 0) continue;
      let at = hash(high[from]!, low[from]!) & this.#mask;
      while (this.flags[at] !== 0) at = (at + 1) & this.#mask;
      this.high[at] = high[from]!;
      this.low[at] = low[from]!;
      this.interface[at] = interfaces[from]!;
      this.flags[at] = flags[from]!;
      this.seen[at] = seen[from]!;
    }
  }
}

/** Of MurmurHash3's finishing; whoever picks MAC addresses does not know in which order they come here. */
function hash(high: number, low: number): number {
  let h = Math.imul(low, 0xcc9e2d51) ^ Math.imul(high, 0x1b873593);
  h ^= h >>> 15;
  h = Math.imul(h, 0x85ebca6b);
  return (h ^ (h >>> 13)) >>> 0;
}
