// The bytes of a segment that is written: its header, its directory, and the lock around every change of structure.
//
//   change(work):   in_progress 0 ─▶ 1   work   epoch + 1   in_progress 1 ─▶ 0
//                   (nested: only the outermost does this)
//
// Readers take what they have read only if no change was in progress and the epoch is the same before and after. So all
// that moves memory, adds or removes is done inside `change`; values of counters are not, they need no lock.

import { ArgumentTypeError, StatsError } from '../../errors.js';
import {
  ENTRY,
  ENTRY_BYTES,
  EntryType,
  HEADER,
  HEADER_BYTES,
  NAME_BYTES,
  SEGMENT_VERSION,
  requireLittleEndian,
} from '../layout.js';
import { SegmentHeap, type Vector } from './heap.js';

/**
 * What pointers in the segment count from: the address at which VPP would have it mapped. Any will do, and this one is
 * none that a reader could take for an offset.
 */
const BASE = 0x1_0000_0000;

/** Header, directory and memory of a segment. @internal */
export class SegmentBytes {
  readonly buffer: ArrayBuffer;
  readonly u32: Uint32Array;
  readonly u64: BigUint64Array;
  readonly bytes: Uint8Array;
  readonly heap: SegmentHeap;
  readonly #indexByName = new Map<string, number>();
  readonly #names: (string | undefined)[] = [];
  readonly #freeEntries: number[] = [];
  #directory: Vector;
  #length = 0;
  #depth = 0;

  constructor(buffer: ArrayBuffer) {
    requireLittleEndian();
    this.buffer = buffer;
    this.u32 = new Uint32Array(buffer);
    this.u64 = new BigUint64Array(buffer);
    this.bytes = new Uint8Array(buffer);
    this.heap = new SegmentHeap(buffer, HEADER_BYTES + 8);
    this.#directory = this.heap.vector(0, 64, ENTRY_BYTES);
    this.u64[HEADER.base / 8] = BigInt(BASE);
    this.u64[HEADER.directory / 8] = BigInt(BASE + this.#directory.offset);
    this.u64[HEADER.epoch / 8] = 1n;
    // Last: who finds the version finds all of it.
    Atomics.store(this.u64, HEADER.version / 8, BigInt(SEGMENT_VERSION));
  }

  /** Structural changes so far, 1 at the beginning. */
  get epoch(): bigint {
    return this.u64[HEADER.epoch / 8]!;
  }

  /** Names of the entries that are there, by index. */
  get names(): readonly (string | undefined)[] {
    return this.#names;
  }

  indexOf(name: string): number | undefined {
    return this.#indexByName.get(name);
  }

  /** Runs `work` as one change of the structure: readers see all of it or nothing. */
  change<T>(work: () => T): T {
    if (this.#depth++ === 0) Atomics.store(this.u64, HEADER.inProgress / 8, 1n);
    try {
      return work();
    } finally {
      if (--this.#depth === 0) {
        Atomics.add(this.u64, HEADER.epoch / 8, 1n);
        Atomics.store(this.u64, HEADER.inProgress / 8, 0n);
      }
    }
  }

  /** Where the value, pointer or indices of an entry are, in u64. It moves when the directory grows. */
  valueWord(index: number): number {
    return (this.#directory.offset + index * ENTRY_BYTES + ENTRY.value) / 8;
  }

  /** Adds an entry, inside `change`. */
  add(name: string, type: number, value: bigint): number {
    const encoded = this.#encodeName(name);
    const index = this.#freeEntries.at(-1) ?? this.#length;
    if (index === this.#length) this.#growDirectory(index + 1);
    else this.#freeEntries.pop();
    const at = this.#directory.offset + index * ENTRY_BYTES;
    this.bytes.fill(0, at + ENTRY.name, at + ENTRY_BYTES);
    this.bytes.set(encoded, at + ENTRY.name);
    this.u64[(at + ENTRY.value) / 8] = value;
    this.u32[(at + ENTRY.type) / 4] = type;
    this.#names[index] = name;
    this.#indexByName.set(name, index);
    return index;
  }

  /** Empties an entry, inside `change`. */
  remove(index: number): void {
    const name = this.#names[index];
    if (name === undefined) return;
    const at = this.#directory.offset + index * ENTRY_BYTES;
    this.u32[(at + ENTRY.type) / 4] = EntryType.empty;
    this.bytes.fill(0, at + ENTRY.value, at + ENTRY_BYTES);
    // VPP chains free entries through their value, and ends the chain so.
    this.u64[(at + ENTRY.value) / 8] = BigInt(this.#freeEntries.at(-1) ?? 0xffffffff);
    this.#names[index] = undefined;
    this.#indexByName.delete(name);
    this.#freeEntries.push(index);
  }

  /** Changes the name of an entry, inside `change`. */
  rename(index: number, name: string): void {
    const before = this.#names[index];
    if (before === undefined || before === name) return;
    const encoded = this.#encodeName(name);
    const at = this.#directory.offset + index * ENTRY_BYTES + ENTRY.name;
    this.bytes.fill(0, at, at + NAME_BYTES);
    this.bytes.set(encoded, at);
    this.#indexByName.delete(before);
    this.#indexByName.set(name, index);
    this.#names[index] = name;
  }

  /** The pointer that stands for an offset. */
  pointer(offset: number): bigint {
    return BigInt(BASE + offset);
  }

  #growDirectory(length: number): void {
    const needed = length * ENTRY_BYTES;
    if (needed > this.#directory.capacityBytes) {
      const before = this.#directory;
      const grown = this.heap.vector(this.#length, Math.ceil(length * 1.5), ENTRY_BYTES);
      this.bytes.copyWithin(grown.offset, before.offset, before.offset + this.#length * ENTRY_BYTES);
      this.#directory = grown;
      this.u64[HEADER.directory / 8] = this.pointer(grown.offset);
      this.heap.freeVector(before);
    }
    this.#length = length;
    this.heap.setLength(this.#directory, length);
  }

  #encodeName(name: string): Uint8Array {
    if (typeof name !== 'string') throw new ArgumentTypeError('the name of a stats entry has to be a string');
    const encoded = new TextEncoder().encode(name);
    if (encoded.length === 0 || encoded.length >= NAME_BYTES || encoded.includes(0)) {
      throw new StatsError(
        'NAME',
        `adding the stats entry ${JSON.stringify(name)}: a name has 1 to ${NAME_BYTES - 1} bytes, none of them NUL; ` +
          `this one has ${encoded.length}`,
      );
    }
    if (this.#indexByName.has(name)) {
      throw new StatsError('NAME', `adding the stats entry ${name}: there is one of that name already`);
    }
    return encoded;
  }
}
