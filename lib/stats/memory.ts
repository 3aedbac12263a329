// The bytes of a segment as its reader sees them, with the checks that stand between a pointer in them and a read.
//
// Whatever is in a segment may be wrong: every offset, length and alignment is compared with the mapping before it is
// used, and `ERR_STATS_CORRUPT` says which was not as it should be. A counter is 64 bits that somebody else changes: it is
// loaded in one piece. `Number(u64[i])` would be that, but makes a BigInt first; as a float64 it is one load as well, whose
// two halves are then taken apart in memory of our own.

import { StatsError } from '../errors.js';
import { MAX_THREADS, VECTOR_HEADER_BYTES, requireLittleEndian } from './layout.js';

const scratch = new ArrayBuffer(8);
const scratchF64 = new Float64Array(scratch);
const scratchU32 = new Uint32Array(scratch);

/** Says that something in the segment cannot be. */
export function corrupt(what: string): StatsError {
  return new StatsError('CORRUPT', `reading the stats segment: ${what}`);
}

/** Whether an error says that the segment is garbled (or was being changed while it was read). */
export function isCorrupt(error: unknown): error is StatsError {
  return error instanceof StatsError && error.reason === 'CORRUPT';
}

/** How much may be read at once: what a sound segment holds does not overlap, and so is not larger than it. */
export class Budget {
  #left: number;

  constructor(bytes: number) {
    this.#left = bytes;
  }

  /** @throws {StatsError} `ERR_STATS_CORRUPT` when more than everything was asked for */
  take(bytes: number): void {
    if (bytes > this.#left) throw corrupt('its parts overlap: together they are larger than the segment');
    this.#left -= bytes;
  }
}

/** Reads from the memory of a segment. */
export class SegmentMemory {
  readonly buffer: ArrayBuffer;
  /** Bytes, in whole words. */
  readonly size: number;
  readonly bytes: Buffer;
  readonly u32: Uint32Array;
  readonly i32: Int32Array;
  readonly u64: BigUint64Array;
  readonly f64: Float64Array;

  constructor(buffer: ArrayBuffer) {
    requireLittleEndian();
    if (buffer.byteLength < 64) throw corrupt(`it has ${buffer.byteLength} bytes, too few for a header`);
    const words = Math.floor(buffer.byteLength / 8);
    this.buffer = buffer;
    this.size = words * 8;
    this.bytes = Buffer.from(buffer, 0, this.size);
    this.u32 = new Uint32Array(buffer, 0, words * 2);
    this.i32 = new Int32Array(buffer, 0, words * 2);
    this.u64 = new BigUint64Array(buffer, 0, words);
    this.f64 = new Float64Array(buffer, 0, words);
  }

  /** A u64 that nobody changes meanwhile, or whose change is noticed otherwise. `offset` is a multiple of 4. */
  word(offset: number): number {
    return this.u32[offset / 4]! + this.u32[offset / 4 + 1]! * 0x1_0000_0000;
  }

  /** The counter with this index in u64, as the nearest number; exact up to 2^53. One load. */
  number(index: number): number {
    scratchF64[0] = this.f64[index]!;
    const high = scratchU32[1]!;
    // What would be NaN or infinite as a float might not keep its bits.
    return (high & 0x7ff00000) === 0x7ff00000 ? Number(this.u64[index]!) : high * 0x1_0000_0000 + scratchU32[0]!;
  }

  /**
   * Checks that a vector of elements of so many bytes lies at an offset.
   *
   * @returns its length
   * @throws {StatsError} `ERR_STATS_CORRUPT`
   */
  vectorLength(offset: number, elementBytes: number, what: string): number {
    // Elements of 8 bytes and more are aligned, strings need not be; the length word always is, to 4.
    const aligned = elementBytes >= 8 ? offset % 8 === 0 : offset % 4 === 0;
    if (!(offset >= VECTOR_HEADER_BYTES && offset <= this.size) || !aligned) {
      throw corrupt(`the vector of ${what} would begin at ${offset} of ${this.size} bytes`);
    }
    const length = this.u32[(offset - VECTOR_HEADER_BYTES) / 4]!;
    if (offset + length * elementBytes > this.size) {
      throw corrupt(
        `the vector of ${what} would have ${length} elements, more than fit from ${offset} to ${this.size}`,
      );
    }
    return length;
  }

  /** As `vectorLength`, for a vector with an element of 8 bytes for each thread. */
  threadCount(offset: number, what: string): number {
    const threads = this.vectorLength(offset, 8, what);
    if (threads > MAX_THREADS) throw corrupt(`${what} would have ${threads} threads`);
    return threads;
  }

  /** Text up to its NUL within `length` bytes: ASCII as it is in VPP, UTF-8 otherwise. */
  text(offset: number, length: number): string {
    const { bytes } = this;
    let end = offset;
    let seen = 0;
    const limit = offset + length;
    while (end < limit) {
      const byte = bytes[end]!;
      if (byte === 0) break;
      seen |= byte;
      end++;
    }
    return bytes.toString(seen < 0x80 ? 'latin1' : 'utf8', offset, end);
  }
}
