// Counters read in place, for who reads a few of them very often: no copy, no object per counter, no call into C++.
//
//   resolve (once per epoch)     name ─▶ entry ─▶ pointers, checked ─▶ indices of words
//   read                         the words, and then: is the epoch still the same? else resolve and read again
//
// They follow the segment through changes of structure and restarts of VPP. A counter that is gone is `undefined`.

import { ArgumentRangeError, StatsError } from '../errors.js';
import { placeOf, targetOf } from './capture.js';
import { errorIndexType } from './directory.js';
import {
  COMBINED_INTERFACE_COUNTERS,
  type CombinedInterfaceCounter,
  EntryType,
  SIMPLE_INTERFACE_COUNTERS,
  type SimpleInterfaceCounter,
} from './layout.js';
import type { SegmentReader } from './segment-reader.js';
import type { PacketsBytes } from './snapshot.js';

/** Gives the segment at the time; throws while there is none. @internal */
export type ReaderSource = () => SegmentReader;

const tries = 1000;

/** What is resolved again when the structure has changed. */
abstract class Live {
  readonly #source: ReaderSource;
  /** @internal */
  protected reader: SegmentReader | undefined;
  #epoch = -1;

  /** @internal */
  constructor(source: ReaderSource) {
    this.#source = source;
  }

  /** Finds where the words are, within a reading. @internal */
  protected abstract resolve(reader: SegmentReader): void;

  /** Reads until the structure was the same before and after. @internal */
  protected consistent<T>(work: (reader: SegmentReader) => T): T {
    for (let attempt = 0; attempt < tries; attempt++) {
      const reader = this.#source();
      if (reader !== this.reader || !reader.access.stable(this.#epoch)) this.refresh(reader);
      const result = work(reader);
      if (reader.access.stable(this.#epoch)) return result;
    }
    throw new StatsError(
      'BUSY',
      `the structure of the stats segment changed during each of ${tries} readings; try again`,
    );
  }

  /** Resolves again whatever the epoch is. @internal */
  protected refresh(reader: SegmentReader): void {
    reader.access.read(() => {
      this.resolve(reader);
      this.#epoch = reader.access.current;
    });
    this.reader = reader;
  }
}

/** A vector of counters, in place. */
export class LiveVector extends Live {
  readonly name: string;
  #words: 1 | 2 = 1;
  #arrays: BigUint64Array[] | undefined;

  /** @internal */
  constructor(source: ReaderSource, name: string) {
    super(source);
    this.name = name;
  }

  /** @internal */
  protected override resolve(reader: SegmentReader): void {
    const { memory, layout } = reader;
    const directory = reader.directory();
    const index = directory.indexOf(this.name);
    const code = index === undefined ? undefined : directory.types[index];
    if (
      index === undefined ||
      (code !== EntryType.simple && code !== EntryType.combined && code !== EntryType.histogram)
    ) {
      this.#arrays = undefined;
      return;
    }
    this.#words = code === EntryType.combined ? 2 : 1;
    const { offsets, lengths } = placeOf(memory, layout, directory, index, this.#words);
    this.#arrays = offsets.map((offset, thread) =>
      memory.u64.subarray(offset / 8, offset / 8 + lengths[thread]! * this.#words),
    );
  }

  /** 1: one word a counter; 2: packets and bytes. */
  get words(): 1 | 2 {
    return this.consistent(() => this.#words);
  }
  /** Whether there is such an entry now. */
  get there(): boolean {
    return this.consistent(() => this.#arrays !== undefined);
  }

  /**
   * Reads the counters of all threads in place. `work` gets one array per thread: a word a counter, or packets and bytes
   * in turn. It may be run again, when the structure changed meanwhile; the arrays must not be used after it. They are
   * mapped read-only: writing to them ends the process.
   *
   * @returns undefined when there is no such entry
   */
  read<T>(work: (threads: readonly BigUint64Array[]) => T): T | undefined {
    return this.consistent(() => (this.#arrays === undefined ? undefined : work(this.#arrays)));
  }
}

/** Words of one column, by thread. */
function columnWords(
  reader: SegmentReader,
  name: string,
  column: number | undefined,
): { words: number[]; combined: boolean } | undefined {
  const { memory, layout } = reader;
  const directory = reader.directory();
  const index = directory.indexOf(name);
  if (index === undefined) return undefined;
  const own = directory.types[index]!;
  if (own === EntryType.scalar || own === EntryType.gauge) {
    return { words: [(directory.offset + index * layout.entryBytes + 8) / 8], combined: false };
  }
  const linked = own === EntryType.symlink || own === errorIndexType;
  const target = own === errorIndexType ? -1 : targetOf(directory, index);
  const code = target < 0 ? own : directory.types[target]!;
  if (code !== errorIndexType && code !== EntryType.simple && code !== EntryType.combined) return undefined;
  const at = linked ? directory.columns[index]! : column;
  if (at === undefined) return undefined;
  const combined = code === EntryType.combined;
  const { offsets, lengths } = placeOf(memory, layout, directory, target, combined ? 2 : 1);
  const words: number[] = [];
  offsets.forEach((offset, thread) => {
    if (at < lengths[thread]!) words.push(offset / 8 + at * (combined ? 2 : 1));
  });
  return { words, combined };
}

/** One counter over all threads, in place. */
export class LiveCounter extends Live {
  readonly name: string;
  readonly column: number | undefined;
  #words: readonly number[] | undefined;
  #combined = false;

  /** @internal */
  constructor(source: ReaderSource, name: string, column: number | undefined) {
    super(source);
    if (column !== undefined && !(Number.isInteger(column) && column >= 0)) {
      throw new ArgumentRangeError(`a column of a stats entry is a whole number from 0, not ${column}`);
    }
    this.name = name;
    this.column = column;
  }

  /** @internal */
  protected override resolve(reader: SegmentReader): void {
    const found = columnWords(reader, this.name, this.column);
    this.#words = found?.words;
    this.#combined = found?.combined ?? false;
  }

  /** The value, or the packets of a combined counter, over all threads: the nearest number. Undefined when it is gone. */
  value(): number | undefined {
    return this.consistent((reader) => this.#sum(reader, 0));
  }

  /** Packets and bytes over all threads; undefined when it is gone or not combined. */
  pair(): PacketsBytes<number> | undefined {
    return this.consistent((reader) => {
      if (!this.#combined) return undefined;
      const packets = this.#sum(reader, 0);
      return packets === undefined ? undefined : { packets, bytes: this.#sum(reader, 1)! };
    });
  }

  /** As `value`, exact. */
  exact(): bigint | undefined {
    return this.consistent(({ memory }) => {
      let total = 0n;
      for (const word of this.#words ?? []) total += memory.u64[word]!;
      return this.#words === undefined ? undefined : total;
    });
  }

  #sum({ memory }: SegmentReader, part: 0 | 1): number | undefined {
    if (this.#words === undefined) return undefined;
    let total = 0;
    for (const word of this.#words) total += memory.number(word + part);
    return total;
  }
}

/** All counters of an interface, over all threads. */
export type InterfaceCounterValues = Readonly<Record<SimpleInterfaceCounter, number>> &
  Readonly<Record<CombinedInterfaceCounter, PacketsBytes<number>>>;

/** The counters of one interface, in place. */
export class LiveInterface extends Live {
  readonly swIfIndex: number;
  #simple: readonly (readonly number[])[] = [];
  #combined: readonly (readonly number[])[] = [];
  #there = false;

  /** @internal */
  constructor(source: ReaderSource, swIfIndex: number) {
    super(source);
    this.swIfIndex = swIfIndex;
  }

  /** @internal */
  protected override resolve(reader: SegmentReader): void {
    const wordsOf = (counter: string) => columnWords(reader, `/if/${counter}`, this.swIfIndex)?.words ?? [];
    this.#simple = SIMPLE_INTERFACE_COUNTERS.map(wordsOf);
    this.#combined = COMBINED_INTERFACE_COUNTERS.map(wordsOf);
    this.#there = this.#simple.some((words) => words.length > 0);
  }

  /** All of them at once, as the nearest numbers; undefined when there is no such interface. */
  read(): InterfaceCounterValues | undefined {
    return this.consistent(({ memory }) => {
      if (!this.#there) return undefined;
      const simple = this.#simple;
      const combined = this.#combined;
      const sum = (words: readonly number[], part: 0 | 1) => {
        let total = 0;
        for (const word of words) total += memory.number(word + part);
        return total;
      };
      const pair = (words: readonly number[]) => ({ packets: sum(words, 0), bytes: sum(words, 1) });
      return {
        drops: sum(simple[0]!, 0),
        punt: sum(simple[1]!, 0),
        ip4: sum(simple[2]!, 0),
        ip6: sum(simple[3]!, 0),
        'rx-no-buf': sum(simple[4]!, 0),
        'rx-miss': sum(simple[5]!, 0),
        'rx-error': sum(simple[6]!, 0),
        'tx-error': sum(simple[7]!, 0),
        mpls: sum(simple[8]!, 0),
        rx: pair(combined[0]!),
        'rx-unicast': pair(combined[1]!),
        'rx-multicast': pair(combined[2]!),
        'rx-broadcast': pair(combined[3]!),
        tx: pair(combined[4]!),
        'tx-unicast': pair(combined[5]!),
        'tx-multicast': pair(combined[6]!),
        'tx-broadcast': pair(combined[7]!),
      };
    });
  }
}
