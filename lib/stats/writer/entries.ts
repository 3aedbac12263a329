// Entries of a segment that hold one value or names: scalars, gauges, names, symlinks.

import { ArgumentRangeError, StatsError } from '../../errors.js';
import { EntryType } from '../layout.js';
import type { Vector } from './heap.js';
import type { SegmentBytes } from './segment.js';

/** What every entry of a writer has. */
export abstract class WriterEntry {
  /** Its place in the directory. */
  readonly index: number;
  /** @internal */
  protected readonly segment: SegmentBytes;
  #removed = false;

  /** @internal */
  constructor(segment: SegmentBytes, name: string, type: number, value = 0n) {
    this.segment = segment;
    this.index = segment.change(() => segment.add(name, type, value));
  }

  get name(): string {
    return this.#removed ? '' : this.segment.names[this.index]!;
  }
  /** Whether `remove` has been called. */
  get removed(): boolean {
    return this.#removed;
  }

  /** Gives it another name. @throws {StatsError} `ERR_STATS_NAME` when that is taken or none */
  rename(name: string): void {
    this.assertThere();
    this.segment.change(() => this.segment.rename(this.index, name));
  }

  /** Takes it out of the directory and frees its memory. Symlinks to it are the caller's to remove before. */
  remove(): void {
    if (this.#removed) return;
    this.segment.change(() => {
      this.free();
      this.segment.remove(this.index);
    });
    this.#removed = true;
  }

  /** @internal */
  protected assertThere(): void {
    if (this.#removed) throw new StatsError('MISSING', 'using a stats entry that was removed from its segment');
  }
  /** Frees what the value points to, inside a change. @internal */
  protected free(): void {
    // A value in the entry itself.
  }
}

/** One number: a timestamp (`scalar`) or a gauge. */
export class Scalar extends WriterEntry {
  get value(): bigint {
    this.assertThere();
    return this.segment.u64[this.segment.valueWord(this.index)]!;
  }
  set value(value: bigint | number) {
    this.assertThere();
    if (typeof value === 'number' && !Number.isInteger(value)) {
      throw new ArgumentRangeError(`a value of a stats entry is a whole number, not ${value}`);
    }
    this.segment.u64[this.segment.valueWord(this.index)] = BigInt(value);
  }
}

/** A column of a simple or combined entry under a name of its own. */
export class Symlink extends WriterEntry {}

/** Names by index: slots may be empty. */
export class Names extends WriterEntry {
  #outer: Vector;
  readonly #slots: { text: string; vector: Vector }[] = [];
  #length = 0;

  /** @internal */
  constructor(segment: SegmentBytes, name: string) {
    super(segment, name, EntryType.names);
    this.#outer = segment.heap.vector(0, 16, 8);
    segment.change(() => (segment.u64[segment.valueWord(this.index)] = segment.pointer(this.#outer.offset)));
  }

  get length(): number {
    return this.#length;
  }
  get(index: number): string | undefined {
    return this.#slots[index]?.text;
  }

  /** Puts a name into a slot; `undefined` empties it. The vector grows as needed. */
  set(index: number, text: string | undefined): void {
    this.assertThere();
    const { heap, u64, bytes } = this.segment;
    if (!Number.isInteger(index) || index < 0 || index > 2 ** 24) {
      throw new ArgumentRangeError(`the index of a name is a whole number from 0 to 16777216, not ${index}`);
    }
    const encoded = text === undefined ? undefined : new TextEncoder().encode(text);
    if (encoded?.includes(0)) throw new StatsError('NAME', `a name in ${this.name} contains a NUL`);
    this.segment.change(() => {
      const vector = encoded === undefined ? undefined : heap.vector(encoded.length + 1, encoded.length + 1, 1);
      if (vector !== undefined) bytes.set(encoded!, vector.offset);
      this.#grow(index + 1);
      u64[this.#outer.offset / 8 + index] = vector === undefined ? 0n : this.segment.pointer(vector.offset);
      const before = this.#slots[index];
      if (before !== undefined) heap.freeVector(before.vector);
      if (vector === undefined) Reflect.deleteProperty(this.#slots, index);
      else this.#slots[index] = { text: text!, vector };
    });
  }

  #grow(length: number): void {
    if (length <= this.#length) return;
    const { heap, u64, bytes } = this.segment;
    if (length * 8 > this.#outer.capacityBytes) {
      const before = this.#outer;
      this.#outer = heap.vector(this.#length, length * 2, 8);
      bytes.copyWithin(this.#outer.offset, before.offset, before.offset + this.#length * 8);
      u64[this.segment.valueWord(this.index)] = this.segment.pointer(this.#outer.offset);
      heap.freeVector(before);
    }
    this.#length = length;
    heap.setLength(this.#outer, length);
  }

  /** @internal */
  protected override free(): void {
    for (const slot of this.#slots)
      if ((slot as typeof slot | undefined) !== undefined) this.segment.heap.freeVector(slot.vector);
    this.segment.heap.freeVector(this.#outer);
  }
}
