// Where things are in a segment that is written here: blocks of cache lines, and VPP's vectors in them.
//
//   0       64                          top                 size
//   | header | block | block | (free) …  |  never used      |
//
//   block: |… 56 bytes …| vector header 8 | data, on a cache line …|
//
// What is free is known to the writer alone, by size: a freed block is used again for one of its size. Sizes are rounded
// up so that there are few of them (four between each two powers of two). The last block goes back to what was never
// used. A block is zeroed when it is given out.

import { StatsError } from '../../errors.js';
import { VECTOR_HEADER_BYTES } from '../layout.js';

const LINE = 64;

/** A vector in the segment. */
export interface Vector {
  /** Offset of its first element; its length is 8 bytes before. */
  readonly offset: number;
  /** Bytes of data that fit. */
  readonly capacityBytes: number;
}

/** Hands out the memory of a segment. */
export class SegmentHeap {
  readonly #bytes: Uint8Array;
  readonly #u32: Uint32Array;
  readonly #sizes = new Map<number, number>();
  readonly #free = new Map<number, number[]>();
  readonly #from: number;
  #top: number;
  #used = 0;

  /** Uses `buffer` from byte `from` on. */
  constructor(buffer: ArrayBuffer, from: number) {
    this.#bytes = new Uint8Array(buffer);
    this.#u32 = new Uint32Array(buffer);
    this.#from = Math.ceil(from / LINE) * LINE;
    this.#top = this.#from;
  }

  get totalBytes(): number {
    return this.#bytes.length - this.#from;
  }
  get usedBytes(): number {
    return this.#used;
  }

  /** Zeroed memory on a cache line. */
  allocate(bytes: number): number {
    const size = roundUp(bytes);
    let offset = this.#free.get(size)?.pop();
    if (offset === undefined) {
      offset = this.#top;
      // A reader checks the end of a vector against the segment's and some of them want it to lie below that.
      if (offset + size >= this.#bytes.length) {
        throw new StatsError(
          'SPACE',
          `the stats segment is full: ${bytes} bytes are needed, ${this.#bytes.length - this.#top} of ` +
            `${this.#bytes.length} were never used; create it with a greater sizeBytes`,
        );
      }
      this.#top += size;
    }
    // Memory above the top was never written, or was given back and may hold what was there.
    this.#bytes.fill(0, offset, offset + size);
    this.#sizes.set(offset, size);
    this.#used += size;
    return offset;
  }

  free(offset: number): void {
    const size = this.#sizes.get(offset);
    if (size === undefined) return;
    this.#sizes.delete(offset);
    this.#used -= size;
    if (offset + size === this.#top) {
      this.#top = offset;
      return;
    }
    const list = this.#free.get(size);
    if (list === undefined) this.#free.set(size, [offset]);
    else list.push(offset);
  }

  /** A vector of `length` elements, with room for `capacity` of them. */
  vector(length: number, capacity: number, elementBytes: number): Vector {
    const block = this.allocate(LINE + Math.max(capacity, 1) * elementBytes);
    const offset = block + LINE;
    const header = (offset - VECTOR_HEADER_BYTES) / 4;
    // As VPP writes it: bytes of the header divided by 8, log2 of the alignment and "of the default heap".
    this.#u32[header + 1] = (LINE / 8) | (0x86 << 8);
    this.#u32[header] = length;
    return { offset, capacityBytes: this.#sizes.get(block)! - LINE };
  }

  freeVector(vector: Vector): void {
    this.free(vector.offset - LINE);
  }

  setLength(vector: Vector, length: number): void {
    this.#u32[(vector.offset - VECTOR_HEADER_BYTES) / 4] = length;
  }
}

/** Sizes that blocks have: whole cache lines, above 512 bytes four sizes between each two powers of two. */
function roundUp(bytes: number): number {
  const lines = Math.ceil(Math.max(bytes, 1) / LINE);
  if (lines <= 8) return lines * LINE;
  const step = 2 ** (Math.floor(Math.log2(lines - 1)) - 2);
  return Math.ceil(lines / step) * step * LINE;
}
