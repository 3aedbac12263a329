// Entries with counters: a vector of values for each thread, and how a thread counts in them.
//
//   entry ─▶ | thread 0 | thread 1 | …          one pointer each
//                 └▶ | 0 | 1 | 2 | … length     u64 (simple), or u64 packets, u64 bytes (combined)
//
// `thread(t)` is made once and kept: adding to a counter is an addition in a typed array, without BigInt, call into C++ or
// lock. When the vectors grow they move, and the objects that `thread` gave follow. A counter is 64 bits and a reader
// loads all of them at once: adding writes the lower half alone, or, when that overflows, both halves in one store.

import { ArgumentRangeError } from '../../errors.js';
import { EntryType, MAX_THREADS } from '../layout.js';
import { WriterEntry } from './entries.js';
import type { Vector } from './heap.js';
import type { SegmentBytes } from './segment.js';

/** How many counters there are at first. */
export interface CounterOptions {
  /** Counters of each thread; default 0. */
  length?: number;
  /** Threads, the main thread included; default the writer's. */
  threads?: number;
}

/** The counters of one thread in an entry. */
abstract class ThreadCounters {
  /** @internal */
  protected readonly u32: Uint32Array;
  /** @internal */
  protected readonly u64: BigUint64Array;
  /** Index of the first counter in u64. @internal */
  protected at = 0;
  #length = 0;

  /** @internal */
  constructor(segment: SegmentBytes) {
    this.u32 = segment.u32;
    this.u64 = segment.u64;
  }

  /** Counters there are. */
  get length(): number {
    return this.#length;
  }

  /** @internal */
  moved(offset: number, length: number): void {
    this.at = offset / 8;
    this.#length = length;
  }

  /** Adds to the u64 with this index. @internal */
  protected addTo(word: number, n: number): void {
    const low = this.u32[word * 2]! + n;
    if (low <= 0xffffffff) this.u32[word * 2] = low;
    else this.u64[word] = this.u64[word]! + BigInt(n);
  }

  /** @internal */
  protected check(index: number): void {
    if (!(index >= 0 && index < this.#length)) {
      throw new ArgumentRangeError(`counter ${index} is not there: the vector has ${this.#length}; see ensure()`);
    }
  }
}

/** Simple counters of one thread. */
export class SimpleThread extends ThreadCounters {
  /** Adds `n`, a whole number of 0 to 2^53 (default 1), to a counter. */
  add(index: number, n = 1): void {
    this.check(index);
    this.addTo(this.at + index, n);
  }
  /** Sets a counter: for those that are gauges in truth. */
  set(index: number, value: bigint | number): void {
    this.check(index);
    this.u64[this.at + index] = BigInt(value);
  }
  get(index: number): bigint {
    this.check(index);
    return this.u64[this.at + index]!;
  }
}

/** Combined counters of one thread: packets and bytes. */
export class CombinedThread extends ThreadCounters {
  /** Adds to both halves of a counter. */
  add(index: number, packets: number, bytes: number): void {
    this.check(index);
    const word = this.at + index * 2;
    this.addTo(word, packets);
    this.addTo(word + 1, bytes);
  }
  set(index: number, packets: bigint | number, bytes: bigint | number): void {
    this.check(index);
    this.u64[this.at + index * 2] = BigInt(packets);
    this.u64[this.at + index * 2 + 1] = BigInt(bytes);
  }
  get(index: number): { packets: bigint; bytes: bigint } {
    this.check(index);
    return { packets: this.u64[this.at + index * 2]!, bytes: this.u64[this.at + index * 2 + 1]! };
  }
}

/** An entry of counters, per thread and index. */
export abstract class Counters<T extends ThreadCounters> extends WriterEntry {
  readonly #elementBytes: number;
  readonly #threads: T[] = [];
  #outer: Vector;
  #vectors: Vector[] = [];
  #length = 0;

  /** @internal */
  constructor(
    segment: SegmentBytes,
    name: string,
    { type, elementBytes, threads, length }: { type: number; elementBytes: number; threads: number; length: number },
    makeThread: () => T,
  ) {
    if (!Number.isInteger(threads) || threads < 1 || threads > MAX_THREADS) {
      throw new ArgumentRangeError(`${name}: threads are a whole number from 1 to ${MAX_THREADS}, not ${threads}`);
    }
    super(segment, name, type);
    this.#elementBytes = elementBytes;
    try {
      for (let thread = 0; thread < threads; thread++) {
        this.#vectors.push(segment.heap.vector(0, Math.max(length, 1), elementBytes));
        this.#threads.push(makeThread());
      }
      this.#outer = segment.heap.vector(threads, threads, 8);
      segment.change(() => {
        this.#publish();
        segment.u64[segment.valueWord(this.index)] = segment.pointer(this.#outer.offset);
        this.#setLength(length);
      });
    } catch (error) {
      // Half an entry would be worse than none.
      for (const vector of this.#vectors) segment.heap.freeVector(vector);
      segment.change(() => segment.remove(this.index));
      throw error;
    }
  }

  /** Counters of each thread. */
  get length(): number {
    return this.#length;
  }
  get threads(): number {
    return this.#threads.length;
  }

  /** The counters of a thread; keep it, it follows when the vectors grow. */
  thread(index: number): T {
    const thread = this.#threads[index];
    if (thread === undefined) {
      throw new ArgumentRangeError(`${this.name} has ${this.#threads.length} threads, so there is no thread ${index}`);
    }
    return thread;
  }

  /** Makes the vectors at least `length` long. Values stay, new ones are 0. */
  ensure(length: number): void {
    this.assertThere();
    if (length <= this.#length) return;
    if (!Number.isInteger(length)) throw new ArgumentRangeError(`${this.name}: ${length} is not a number of counters`);
    const { segment } = this;
    const { heap, bytes } = segment;
    segment.change(() => {
      if (length * this.#elementBytes > this.#vectors[0]!.capacityBytes) {
        const grown: Vector[] = [];
        try {
          for (const before of this.#vectors) {
            const vector = heap.vector(this.#length, length * 2, this.#elementBytes);
            grown.push(vector);
            bytes.copyWithin(vector.offset, before.offset, before.offset + this.#length * this.#elementBytes);
          }
        } catch (error) {
          for (const vector of grown) heap.freeVector(vector);
          throw error;
        }
        const before = this.#vectors;
        this.#vectors = grown;
        this.#publish();
        for (const vector of before) heap.freeVector(vector);
      }
      this.#setLength(length);
    });
  }

  /** Sets all counters of all threads with an index to 0. */
  clear(index: number): void {
    const words = this.#elementBytes / 8;
    for (const vector of this.#vectors) {
      if (index < this.#length)
        this.segment.u64.fill(0n, vector.offset / 8 + index * words, vector.offset / 8 + (index + 1) * words);
    }
  }

  /** Where the counters of a thread are in the segment: offset and number of words. @internal */
  place(thread: number): { offset: number; length: number } {
    return { offset: this.#vectors[thread]!.offset, length: this.#length };
  }

  #publish(): void {
    const { segment } = this;
    this.#vectors.forEach((vector, thread) => {
      segment.u64[this.#outer.offset / 8 + thread] = segment.pointer(vector.offset);
    });
  }

  #setLength(length: number): void {
    this.#length = length;
    this.#vectors.forEach((vector, thread) => {
      this.segment.heap.setLength(vector, length);
      this.#threads[thread]!.moved(vector.offset, length);
    });
  }

  /** @internal */
  protected override free(): void {
    for (const vector of this.#vectors) this.segment.heap.freeVector(vector);
    this.segment.heap.freeVector(this.#outer);
    for (const thread of this.#threads) thread.moved(0, 0);
  }
}

/** Counters of one number each. */
export class SimpleCounters extends Counters<SimpleThread> {
  /** @internal */
  constructor(segment: SegmentBytes, name: string, { threads = 1, length = 0 }: CounterOptions) {
    super(segment, name, { type: EntryType.simple, elementBytes: 8, threads, length }, () => new SimpleThread(segment));
  }
}

/** Counters of packets and bytes. */
export class CombinedCounters extends Counters<CombinedThread> {
  /** @internal */
  constructor(segment: SegmentBytes, name: string, { threads = 1, length = 0 }: CounterOptions) {
    const layout = { type: EntryType.combined, elementBytes: 16, threads, length };
    super(segment, name, layout, () => new CombinedThread(segment));
  }
}

/** One thread of a histogram. */
export class HistogramThread extends SimpleThread {
  /**
   * Counts a value: in bin `i` when it is below 2^(leastExponent + i + 1), the last bin taking all that are greater.
   */
  observe(value: number): void {
    const exponent = value < 1 ? 0 : Math.floor(Math.log2(value));
    const bin = exponent - Number(this.u64[this.at]!);
    this.addTo(this.at + 1 + Math.min(Math.max(bin, 0), this.length - 2), 1);
  }
}

/** How values are sorted into bins. */
export interface HistogramOptions {
  /** Bin 0 takes values below 2^(leastExponent + 1); default 0. */
  leastExponent?: number;
  /** Bins of each thread; default 16. */
  bins?: number;
  threads?: number;
}

/** A log2 histogram: of each thread first the least exponent, then the bins. */
export class Histogram extends Counters<HistogramThread> {
  /** @internal */
  constructor(segment: SegmentBytes, name: string, options: HistogramOptions) {
    const { leastExponent = 0, bins = 16, threads = 1 } = options;
    if (!Number.isInteger(bins) || bins < 1 || bins > 64)
      throw new ArgumentRangeError(`${name}: a histogram has 1 to 64 bins`);
    if (!Number.isInteger(leastExponent) || leastExponent < 0 || leastExponent > 63) {
      throw new ArgumentRangeError(`${name}: the least exponent of a histogram is 0 to 63`);
    }
    const layout = { type: EntryType.histogram, elementBytes: 8, threads, length: bins + 1 };
    super(segment, name, layout, () => new HistogramThread(segment));
    for (let thread = 0; thread < threads; thread++) this.thread(thread).set(0, leastExponent);
  }
}
