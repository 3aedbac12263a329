// The paths of a route as VPP sends them, told apart by their bytes, so that those of a million routes are decoded as
// often as there are different ones.
//
//   fib_path  sw_if_index 4 │ … │ n_labels 1 │ label_stack 16 × 7      167 bytes, what counts of them is up to the last label
//             0               54           55
//
//   slots     hash(bytes that count) ─► number of the entry + 1, 0: free, linear probing
//   entries   their bytes, and the number that was given for them

/** Bytes of a fib_path on the wire. */
export const PATH_BYTES = 167;

const LABELS = 55;
const LABEL_BYTES = 7;
const MAX_LABELS = 16;

interface Entry {
  readonly view: DataView;
  readonly count: number;
  readonly value: number;
}

/** See above. */
export class PathBytes {
  #slots = new Uint32Array(64);
  readonly #entries: Entry[] = [];

  /** What was added for these paths, `count` of them from `start`; -1 when nothing was. */
  find(view: DataView, start: number, count: number): number {
    const slots = this.#slots;
    const mask = slots.length - 1;
    let slot = hashOf(view, start, count) & mask;
    for (let at = slots[slot]!; at !== 0; slot = (slot + 1) & mask, at = slots[slot]!) {
      const entry = this.#entries[at - 1]!;
      if (entry.count === count && samePaths(entry.view, view, start, count)) return entry.value;
    }
    return -1;
  }

  /** Adds paths that are not there yet, with their number, which it gives back. */
  add(view: DataView, start: number, count: number, value: number): number {
    const bytes = new Uint8Array(view.buffer, view.byteOffset + start, count * PATH_BYTES).slice();
    this.#entries.push({ view: new DataView(bytes.buffer), count, value });
    if (this.#entries.length * 2 > this.#slots.length) {
      this.#slots = new Uint32Array(this.#slots.length * 2);
      for (let at = 0; at < this.#entries.length; at += 1) this.#place(at);
    } else this.#place(this.#entries.length - 1);
    return value;
  }

  #place(at: number): void {
    const { view, count } = this.#entries[at]!;
    const mask = this.#slots.length - 1;
    let slot = hashOf(view, 0, count) & mask;
    while (this.#slots[slot] !== 0) slot = (slot + 1) & mask;
    this.#slots[slot] = at + 1;
  }
}

/** Bytes of a path that count: behind its last label VPP may leave what it likes. */
function size(view: DataView, path: number): number {
  return LABELS + Math.min(view.getUint8(path + LABELS - 1), MAX_LABELS) * LABEL_BYTES;
}

/** By words, the last of which may overlap the one before. */
function hashOf(view: DataView, start: number, count: number): number {
  let h = count;
  for (let path = start; path < start + count * PATH_BYTES; path += PATH_BYTES) {
    const last = path + size(view, path) - 4;
    for (let at = path; at < last; at += 4) {
      h = Math.imul(h ^ view.getInt32(at, true), 0x9e3779b1);
      h ^= h >>> 15;
    }
    h = Math.imul(h ^ view.getInt32(last, true), 0x85ebca6b);
    h ^= h >>> 13;
  }
  return h >>> 0;
}

function samePaths(known: DataView, view: DataView, start: number, count: number): boolean {
  for (let path = 0; path < count * PATH_BYTES; path += PATH_BYTES) {
    const last = path + size(known, path) - 4;
    for (let at = path; at < last; at += 4) {
      if (known.getInt32(at, true) !== view.getInt32(start + at, true)) return false;
    }
    if (known.getInt32(last, true) !== view.getInt32(start + last, true)) return false;
  }
  return true;
}
