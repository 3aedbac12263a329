// A copy of counters, taken in one go, and decoded later and only as far as it is asked for.
//
//   plan (per directory and selection)      which vectors are copied whole, of which only some columns
//   capture (per poll)                      resolve: pointers ─▶ places, checked · copy: words ─▶ one array of our own
//   value(index)                            the object that a user sees, from the copy
//
// Copying is a word at a time, so that no counter is torn; it is what has to be done between two looks at the epoch, and
// takes microseconds where making objects takes milliseconds. The vectors of a sound segment do not overlap, so that all
// that is copied fits in the size of the segment: more is a garbled one that would make us copy without end.

import type { Directory, Selection } from './directory.js';
import { errorIndexType, unknownType } from './directory.js';
import type { SegmentLayout } from './header.js';
import { EntryType } from './layout.js';
import { Budget, type SegmentMemory, isCorrupt } from './memory.js';
import { readRing, type RingCopy } from './ring.js';

/** Beyond so many columns of a vector, all of it is copied. */
const manyColumns = 64;

/** A vector of counters that a selection needs. */
export interface PlannedVector {
  /** Of the entry; -1 is the error vector of old releases. */
  readonly index: number;
  /** Words of each counter. */
  readonly words: 1 | 2;
  /** Columns to copy; undefined: all. */
  readonly columns: Uint32Array | undefined;
  /** Place of a column in the copy. */
  readonly places: ReadonlyMap<number, number> | undefined;
}

/** What a selection needs to have copied. */
export interface Plan {
  readonly entries: readonly number[];
  readonly vectors: readonly PlannedVector[];
  /** See `slotOf`. */
  readonly slots: Int32Array;
  /** By place in `entries`: of a symlink to a column of a vector, that vector's place in `vectors`; else -1. */
  readonly columnSlots: Int32Array;
  /** Entries, and targets of symlinks, that are one value. */
  readonly scalars: readonly number[];
  readonly names: readonly number[];
  readonly rings: readonly number[];
}

/** Makes a plan, or finds the one that was made. */
export function planOf(directory: Directory, selection: Selection): Plan {
  selection.plan ??= makePlan(directory, selection.indices);
  return selection.plan as Plan;
}

/** The place in `vectors` of an entry that has counters, or of the target of a symlink; -1 when it is not there. */
export const slotOf = (plan: Plan, index: number): number => plan.slots[index + 1] ?? -1;

/** What of an entry is needed: the entry itself, or of a symlink its target. -1 when that is not there. */
export function targetOf(directory: Directory, index: number): number {
  if (directory.types[index] !== EntryType.symlink) return index;
  const target = directory.targets[index]!;
  return target < directory.length &&
    isReadable(directory.types[target]!) &&
    directory.types[target] !== EntryType.symlink
    ? target
    : -1;
}

const isReadable = (code: number): boolean =>
  code !== unknownType && code !== EntryType.empty && code !== EntryType.illegal;
const isVector = (code: number): boolean =>
  code === EntryType.simple || code === EntryType.combined || code === EntryType.histogram;

function makePlan(directory: Directory, indices: readonly number[]): Plan {
  const entries: number[] = [];
  const scalars = new Set<number>();
  const names = new Set<number>();
  const rings = new Set<number>();
  const wanted = new Map<number, Set<number> | 'all'>();
  for (const index of indices) {
    const own = directory.types[index]!;
    if (!isReadable(own)) continue;
    entries.push(index);
    const linked = own === EntryType.symlink;
    const target = own === errorIndexType ? -1 : targetOf(directory, index);
    const code = target >= 0 ? directory.types[target]! : own;
    if (own === errorIndexType || (isVector(code) && target >= 0)) {
      const columns = wanted.get(target);
      if (!linked && own !== errorIndexType) wanted.set(target, 'all');
      else if (columns === undefined) wanted.set(target, new Set([directory.columns[index]!]));
      else if (columns !== 'all') {
        columns.add(directory.columns[index]!);
        if (columns.size > manyColumns) wanted.set(target, 'all');
      }
    } else if (target < 0) continue;
    else if (code === EntryType.scalar || code === EntryType.gauge) scalars.add(target);
    else if (code === EntryType.names) names.add(target);
    else if (code === EntryType.ringBuffer) rings.add(target);
  }
  const vectors: PlannedVector[] = [];
  let last = -1;
  for (const index of wanted.keys()) last = Math.max(last, index);
  const slots = new Int32Array(last + 2).fill(-1);
  for (const [index, columns] of wanted) {
    slots[index + 1] = vectors.length;
    // Of a histogram all bins belong together.
    const all = columns === 'all' || (index >= 0 && directory.types[index] === EntryType.histogram);
    const list = all ? undefined : Uint32Array.from(columns);
    vectors.push({
      index,
      words: index >= 0 && directory.types[index] === EntryType.combined ? 2 : 1,
      columns: list,
      places: list === undefined ? undefined : new Map(Array.from(list, (column, place) => [column, place])),
    });
  }
  const columnSlots = Int32Array.from(entries, (index) => {
    if (directory.types[index] !== EntryType.symlink) return -1;
    const target = targetOf(directory, index);
    return target < 0 || directory.types[target] === EntryType.histogram ? -1 : (slots[target + 1] ?? -1);
  });
  return { entries, vectors, slots, columnSlots, scalars: [...scalars], names: [...names], rings: [...rings] };
}

/** Where the counters of an entry are in the segment, by thread. */
export interface Place {
  /** Offsets of the vectors. */
  readonly offsets: readonly number[];
  readonly lengths: readonly number[];
}

const nowhere: Place = { offsets: [], lengths: [] };

/** Finds the counters of an entry. @throws {StatsError} `ERR_STATS_CORRUPT` */
export function placeOf(
  memory: SegmentMemory,
  layout: SegmentLayout,
  directory: Directory,
  index: number,
  words: number,
): Place {
  const at = index < 0 ? layout.errors! : directory.offset + index * layout.entryBytes + layout.entryPointer;
  const pointer = memory.word(at);
  // Added, and nothing counted yet.
  if (pointer === 0) return nowhere;
  const what = index < 0 ? 'errors' : directory.names[index]!;
  const outer = pointer - layout.base;
  const threads = memory.threadCount(outer, what);
  const offsets: number[] = [];
  const lengths: number[] = [];
  for (let thread = 0; thread < threads; thread++) {
    const inner = memory.word(outer + thread * 8);
    if (inner === 0) {
      offsets.push(0);
      lengths.push(0);
      continue;
    }
    const offset = inner - layout.base;
    lengths.push(memory.vectorLength(offset, words * 8, `${what}, thread ${thread}`));
    offsets.push(offset);
  }
  return { offsets, lengths };
}

/** One vector in a copy. */
export interface CapturedVector {
  readonly plan: PlannedVector;
  /** By thread: index of its first word in `words`, and how many counters follow. */
  readonly starts: readonly number[];
  readonly lengths: readonly number[];
  /** Why it could not be copied. */
  readonly problem: string | undefined;
}

/** A copy of what a selection needs, and when it was made. */
export interface Capture {
  readonly directory: Directory;
  readonly plan: Plan;
  readonly words: BigUint64Array;
  /** The same words as pairs of 32 bits. */
  readonly halves: Uint32Array;
  readonly vectors: readonly CapturedVector[];
  /** By index of the entry. */
  readonly scalars: ReadonlyMap<number, bigint>;
  readonly names: ReadonlyMap<number, readonly (string | undefined)[] | string>;
  readonly rings: ReadonlyMap<number, RingCopy | string>;
  readonly heartbeat: bigint | undefined;
  readonly bootTime: bigint | undefined;
  readonly lastClear: bigint | undefined;
}

/** Copies, within `Access.read`. */
export function capture(memory: SegmentMemory, layout: SegmentLayout, directory: Directory, plan: Plan): Capture {
  const budget = new Budget(memory.size);
  let total = 0;
  const places: Place[] = [];
  const problems: (string | undefined)[] = [];
  for (const vector of plan.vectors) {
    let place = nowhere;
    let problem: string | undefined;
    try {
      place = placeOf(memory, layout, directory, vector.index, vector.words);
      let size = 0;
      for (const length of place.lengths) size += vector.words * (vector.columns?.length ?? length);
      budget.take((size + place.lengths.length) * 8);
      total += size;
    } catch (error) {
      if (!isCorrupt(error)) throw error;
      place = nowhere;
      problem = error.message;
    }
    places.push(place);
    problems.push(problem);
  }
  const words = new BigUint64Array(total);
  let at = 0;
  const vectors = plan.vectors.map((vector, slot): CapturedVector => {
    const { offsets, lengths } = places[slot]!;
    const starts: number[] = [];
    const copied: number[] = [];
    for (let thread = 0; thread < offsets.length; thread++) {
      starts.push(at);
      const from = offsets[thread]! / 8;
      const length = lengths[thread]!;
      if (vector.columns === undefined) {
        copyWords(memory.u64, from, words, at, length * vector.words);
        at += length * vector.words;
        copied.push(length);
      } else {
        for (const column of vector.columns) {
          if (column < length) copyWords(memory.u64, from + column * vector.words, words, at, vector.words);
          at += vector.words;
        }
        copied.push(vector.columns.length);
      }
    }
    return { plan: vector, starts, lengths: copied, problem: problems[slot] };
  });
  const scalars = new Map<number, bigint>();
  const valueOf = (index: number) => memory.u64[(directory.offset + index * layout.entryBytes + 8) / 8]!;
  for (const index of plan.scalars) scalars.set(index, valueOf(index));
  const fixed = (index: number, name: string) => (directory.names[index] === name ? valueOf(index) : undefined);
  return {
    directory,
    plan,
    words,
    halves: new Uint32Array(words.buffer),
    vectors,
    scalars,
    names: new Map(
      plan.names.map((index) => [index, attempt(() => readNames(memory, layout, directory, index, budget))]),
    ),
    rings: new Map(
      plan.rings.map((index) => [index, attempt(() => readRing(memory, layout, directory, index, budget))]),
    ),
    heartbeat: fixed(0, '/sys/heartbeat') ?? namedScalar(directory, '/sys/heartbeat', valueOf),
    bootTime: fixed(2, '/sys/boottime'),
    lastClear: fixed(1, '/sys/last_stats_clear') ?? namedScalar(directory, '/sys/last_stats_clear', valueOf),
  };
}

/** Fixed entries have a fixed place since they exist; before, they are among the first. */
function namedScalar(directory: Directory, name: string, valueOf: (index: number) => bigint): bigint | undefined {
  for (let index = 0; index < Math.min(directory.length, 32); index++) {
    if (directory.names[index] === name && directory.types[index] === EntryType.scalar) return valueOf(index);
  }
  return undefined;
}

/** A word at a time: whatever is copied otherwise may be torn. */
function copyWords(from: BigUint64Array, fromIndex: number, to: BigUint64Array, toIndex: number, count: number): void {
  for (let i = 0; i < count; i++) to[toIndex + i] = from[fromIndex + i]!;
}

function attempt<T>(work: () => T): T | string {
  try {
    return work();
  } catch (error) {
    if (isCorrupt(error)) return error.message;
    throw error;
  }
}

const namesOfDirectory = new WeakMap<Directory, Map<number, readonly (string | undefined)[]>>();

/** A vector of names. Kept: each change of a name makes a new epoch, and so a new directory. */
export function readNames(
  memory: SegmentMemory,
  layout: SegmentLayout,
  directory: Directory,
  index: number,
  budget: Budget,
): readonly (string | undefined)[] {
  let kept = namesOfDirectory.get(directory);
  if (kept === undefined) namesOfDirectory.set(directory, (kept = new Map<number, readonly (string | undefined)[]>()));
  const known = kept.get(index);
  if (known !== undefined) return known;
  const what = directory.names[index]!;
  const pointer = memory.word(directory.offset + index * layout.entryBytes + layout.entryPointer);
  if (pointer === 0) return [];
  const outer = pointer - layout.base;
  const length = memory.vectorLength(outer, 8, what);
  budget.take(length * 8);
  const names: (string | undefined)[] = [];
  for (let i = 0; i < length; i++) {
    const inner = memory.word(outer + i * 8);
    if (inner === 0) {
      names.push(undefined);
      continue;
    }
    const offset = inner - layout.base;
    const bytes = memory.vectorLength(offset, 1, `${what}[${i}]`);
    budget.take(bytes);
    names.push(memory.text(offset, bytes));
  }
  kept.set(index, names);
  return names;
}
