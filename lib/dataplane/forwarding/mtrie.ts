// Longest prefix match of IPv4 in one to three reads: a trie of 16, 8 and 8 bits in one flat array, as VPP's.
//
//   root[65536]  ──►  ply of 256  ──►  ply of 256
//   slot         leaf: entry << 1 | 1        or        number of a ply << 1
//
// A leaf holds the number of a FIB entry. A prefix that ends inside a level fills all slots that it covers, unless a
// longer one is there already. A ply counts the prefixes that need it, and folds back into its slot with the last one.

const ROOT = 65_536;
const PLY = 256;

export class Mtrie {
  /** Root first, then the plies. */
  #slots: Uint32Array;
  #plies = 0;
  /** Prefixes that end in a ply or below it. */
  #uses = new Uint32Array(64);
  #free: number[] = [];
  /** Prefix length of each entry; belongs to the FIB. */
  readonly #lengthOf: () => Uint8Array;

  constructor(entry: number, lengthOf: () => Uint8Array) {
    this.#lengthOf = lengthOf;
    this.#slots = new Uint32Array(ROOT + 64 * PLY);
    this.#slots.fill((entry << 1) | 1, 0, ROOT);
  }

  /** Bytes of all levels. */
  get bytes(): number {
    return this.#slots.byteLength + this.#uses.byteLength;
  }

  get slots(): Uint32Array {
    return this.#slots;
  }

  lookup(address: number): number {
    const slots = this.#slots;
    let slot = slots[address >>> 16]!;
    if ((slot & 1) === 0) {
      slot = slots[ROOT + (slot >>> 1) * PLY + ((address >>> 8) & 255)]!;
      if ((slot & 1) === 0) slot = slots[ROOT + (slot >>> 1) * PLY + (address & 255)]!;
    }
    return slot >>> 1;
  }

  insert(address: number, length: number, entry: number): void {
    const leaf = ((entry << 1) | 1) >>> 0;
    if (length <= 16) {
      const first = address >>> 16;
      this.#fill(first, first + 2 ** (16 - length), leaf, length);
      return;
    }
    const first = this.#ply(address >>> 16);
    this.#uses[first]!++;
    const base = ROOT + first * PLY;
    const byte = (address >>> 8) & 255;
    if (length <= 24) {
      this.#fill(base + byte, base + byte + 2 ** (24 - length), leaf, length);
      return;
    }
    const second = this.#ply(base + byte);
    this.#uses[second]!++;
    const low = ROOT + second * PLY + (address & 255);
    this.#fill(low, low + 2 ** (32 - length), leaf, length);
  }

  /** Puts `cover`, the entry of the next shorter prefix, where `entry` was. */
  remove(address: number, length: number, entry: number, cover: number): void {
    const old = ((entry << 1) | 1) >>> 0;
    const leaf = ((cover << 1) | 1) >>> 0;
    if (length <= 16) {
      const first = address >>> 16;
      this.#replace(first, first + 2 ** (16 - length), old, leaf);
      return;
    }
    const at = address >>> 16;
    const first = this.#slots[at]! >>> 1;
    const base = ROOT + first * PLY;
    const byte = base + ((address >>> 8) & 255);
    if (length <= 24) this.#replace(byte, byte + 2 ** (24 - length), old, leaf);
    else {
      const second = this.#slots[byte]! >>> 1;
      const low = ROOT + second * PLY + (address & 255);
      this.#replace(low, low + 2 ** (32 - length), old, leaf);
      this.#unuse(second, byte);
    }
    this.#unuse(first, at);
  }

  /** The ply behind a slot; made when there is a leaf. */
  #ply(slot: number): number {
    const value = this.#slots[slot]!;
    if ((value & 1) === 0) return value >>> 1;
    const ply = this.#free.pop() ?? this.#plies++;
    if (ROOT + (ply + 1) * PLY > this.#slots.length) {
      // By little once it is large: plies of a million routes are some 100 MB, and both copies are there for a moment.
      const factor = ply < 16_384 ? 2 : 1.125;
      const more = new Uint32Array(ROOT + Math.ceil((ply + 1) * factor) * PLY);
      more.set(this.#slots);
      this.#slots = more;
    }
    if (ply >= this.#uses.length) {
      const more = new Uint32Array(this.#uses.length * 2);
      more.set(this.#uses);
      this.#uses = more;
    }
    const at = ROOT + ply * PLY;
    this.#slots.fill(value, at, at + PLY);
    this.#uses[ply] = 0;
    this.#slots[slot] = ply << 1;
    return ply;
  }

  #unuse(ply: number, slot: number): void {
    this.#uses[ply]!--;
    if (this.#uses[ply] !== 0) return;
    // Nothing ends here any more: all slots are one leaf.
    this.#slots[slot] = this.#slots[ROOT + ply * PLY]!;
    this.#free.push(ply);
  }

  #fill(from: number, to: number, leaf: number, length: number): void {
    const slots = this.#slots;
    const lengths = this.#lengthOf();
    for (let at = from; at < to; at++) {
      const value = slots[at]!;
      if ((value & 1) === 1) {
        if (lengths[value >>> 1]! <= length) slots[at] = leaf;
      } else {
        const ply = ROOT + (value >>> 1) * PLY;
        this.#fill(ply, ply + PLY, leaf, length);
      }
    }
  }

  #replace(from: number, to: number, old: number, leaf: number): void {
    const slots = this.#slots;
    for (let at = from; at < to; at++) {
      const value = slots[at]!;
      if (value === old) slots[at] = leaf;
      else if ((value & 1) === 0) {
        const ply = ROOT + (value >>> 1) * PLY;
        this.#replace(ply, ply + PLY, old, leaf);
      }
    }
  }
}
