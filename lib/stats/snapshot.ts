// A moment of the segment, and what has changed since the one before.
//
// A snapshot is a copy of the counters; objects are made of it when they are asked for. One that came from `subscribe`
// also has the copy before, and so deltas and rates: by worker thread and summed.
//
//   counter      32-bit-free u64 that goes up; lower than before: it was cleared, and counts from 0
//   gauge        goes up and down; its delta may be negative
//   a series     is the same entry name on the same column: an interface that was made anew begins a new one

import type { Capture, CapturedVector } from './capture.js';
import { slotOf, targetOf } from './capture.js';
import { bigWords, columnOf, decode, decodeAll, numberWords } from './decode.js';
import { errorIndexType } from './directory.js';
import { isGauge } from './gauges.js';
import { EntryType } from './layout.js';
import type { StatsNumber, StatsValue } from './values.js';

/** Packets and bytes of a combined counter. */
export interface PacketsBytes<N extends StatsNumber = bigint> {
  readonly packets: N;
  readonly bytes: N;
}

/** One counter or gauge at the time of a snapshot. */
export interface Reading<T, R> {
  /** Over all threads. */
  readonly total: T;
  readonly perThread: readonly T[];
  /** Since the snapshot before; undefined when there is none, or the counter was not in it. */
  readonly delta: T | undefined;
  readonly deltaPerThread: readonly T[] | undefined;
  /** Of a second; undefined as `delta` is, and for gauges. */
  readonly rate: R | undefined;
  readonly ratePerThread: readonly R[] | undefined;
  /** Whether the counter was cleared since the snapshot before: what was counted until then is not in the delta. */
  readonly cleared: boolean;
}
export type SimpleReading = { readonly type: 'simple' } & Reading<bigint, number>;
export type CombinedReading = { readonly type: 'combined' } & Reading<PacketsBytes, PacketsBytes<number>>;

/** When a snapshot was made and what it follows. */
export interface SnapshotContext {
  /** Wall clock, ms since 1970. */
  readonly time: number;
  /** Monotonic clock, ms. */
  readonly monotonicMs: number;
  /** The copy that deltas are taken from. */
  readonly previous?: { readonly capture: Capture; readonly monotonicMs: number } | undefined;
  /** Whether the segment is another than that of the snapshot before. */
  readonly restarted?: boolean;
  /** Intervals of a subscription that passed without a snapshot. */
  readonly missed?: number;
}

/** The segment at one moment. */
export class Snapshot {
  /** When it was made, ms since 1970. */
  readonly time: number;
  /** Time since the snapshot before, ms; undefined when there is none. */
  readonly intervalMs: number | undefined;
  /** Whether VPP was restarted since the snapshot before. There are no deltas then. */
  readonly restarted: boolean;
  /**
   * Intervals of a subscription that passed without a snapshot since the one before: the consumer was busy, or VPP was
   * away or busy.
   */
  readonly missed: number;
  /** Changes of structure so far. */
  readonly epoch: number;
  /** @internal */
  readonly capture: Capture;
  /** @internal */
  readonly monotonicMs: number;
  readonly #previous: Capture | undefined;

  /** @internal */
  constructor(capture: Capture, context: SnapshotContext) {
    this.capture = capture;
    this.time = context.time;
    this.monotonicMs = context.monotonicMs;
    this.restarted = context.restarted ?? false;
    this.missed = context.missed ?? 0;
    this.epoch = capture.directory.epoch;
    this.#previous = context.previous?.capture;
    this.intervalMs = context.previous === undefined ? undefined : context.monotonicMs - context.previous.monotonicMs;
  }

  /** Updates of VPP's collectors so far: it stands still when VPP does. */
  get heartbeat(): bigint | undefined {
    return this.capture.heartbeat;
  }
  /** When VPP was started, seconds since 1970; VPP 23.02 and later. */
  get bootTime(): bigint | undefined {
    return this.capture.bootTime;
  }
  /** When counters were last cleared, seconds; 0: never. */
  get lastStatsClear(): bigint | undefined {
    return this.capture.lastClear;
  }

  /** Names of all entries in it. */
  *names(): Generator<string> {
    for (const index of this.capture.plan.entries) yield this.capture.directory.names[index]!;
  }

  has(name: string): boolean {
    return this.#indexOf(name) !== undefined;
  }

  /** What an entry held; undefined when it is not in the snapshot. */
  get(name: string): StatsValue | undefined {
    const index = this.#indexOf(name);
    return index === undefined ? undefined : decode(this.capture, index, bigWords);
  }

  /** As `get`, with numbers: exact up to 2^53. */
  getNumbers(name: string): StatsValue<number> | undefined {
    const index = this.#indexOf(name);
    return index === undefined ? undefined : decode(this.capture, index, numberWords);
  }

  /** All values. Entries of types that are not known are left out. */
  values(): StatsValue[] {
    return decodeAll(this.capture, bigWords);
  }

  /** As `values`, with numbers: exact up to 2^53. */
  valuesAsNumbers(): StatsValue<number>[] {
    return decodeAll(this.capture, numberWords);
  }

  /**
   * A counter or gauge with its delta and rate: a symlink (`/interfaces/eth0/rx`, `/err/…`, `/nodes/…`), a scalar, or one
   * column of a vector (`/if/rx`, column = sw_if_index). Undefined when it is not in the snapshot.
   */
  reading(name: string, column?: number): SimpleReading | CombinedReading | undefined {
    const series = this.#series(this.capture, name, column);
    if (series === undefined) return undefined;
    const gauge = isGauge(series.base, series.gaugeType);
    let before = this.#previous === undefined ? undefined : this.#series(this.#previous, name, column);
    // The same name on another column is another counter.
    if (before?.column !== series.column || before.base !== series.base) before = undefined;
    const seconds = (this.intervalMs ?? 0) / 1000;
    const part = (which: 0 | 1) => difference(series.read(which), before?.read(which), gauge, seconds);
    const first = part(0);
    if (!series.combined) return { type: 'simple', ...first };
    return { type: 'combined', ...pair(first, part(1)) };
  }

  /**
   * The counters of a vector (`/if/rx`, `/node/errors`) as typed arrays of the copy. Undefined when the snapshot does not
   * have all of it.
   */
  vector(name: string): CopiedVector | undefined {
    const index = this.#indexOf(name);
    const vector = index === undefined ? undefined : this.capture.vectors[slotOf(this.capture.plan, index)];
    if (vector === undefined || vector.problem !== undefined || vector.plan.columns !== undefined) return undefined;
    return new CopiedVector(name, this.capture, vector);
  }

  #indexOf(name: string): number | undefined {
    const { directory, plan } = this.capture;
    const index = directory.indexOf(name);
    if (index === undefined) return undefined;
    this.#selected ??= plan.entries.length === directory.length ? undefined : new Set(plan.entries);
    return this.#selected === undefined || this.#selected.has(index) ? index : undefined;
  }
  #selected: Set<number> | undefined;

  /** Where the values of a counter are in a copy. */
  #series(capture: Capture, name: string, column: number | undefined) {
    const { directory, plan } = capture;
    const index = directory.indexOf(name);
    if (index === undefined) return undefined;
    const own = directory.types[index]!;
    const linked = own === EntryType.symlink || own === errorIndexType;
    const target = own === errorIndexType ? -1 : targetOf(directory, index);
    const base = target < 0 ? '' : directory.names[target]!;
    const code = target < 0 ? own : directory.types[target]!;
    if (code === EntryType.scalar || code === EntryType.gauge) {
      const value = capture.scalars.get(target);
      if (value === undefined) return undefined;
      return { base, column: 0, combined: false, gaugeType: true, read: () => [value] };
    }
    if (code === EntryType.histogram) return undefined;
    const vector: CapturedVector | undefined = capture.vectors[slotOf(plan, target)];
    const at = linked ? directory.columns[index]! : column;
    if (vector === undefined || vector.problem !== undefined || at === undefined) return undefined;
    if (vector.plan.places?.has(at) === false) return undefined;
    return {
      base,
      column: at,
      combined: vector.plan.words === 2,
      gaugeType: false,
      read: (part: 0 | 1) => columnOf(capture, vector, at, part, bigWords),
    };
  }
}

/** A vector of counters in a snapshot, without an object per counter. */
export class CopiedVector {
  readonly name: string;
  readonly type: 'simple' | 'combined';
  readonly #capture: Capture;
  readonly #vector: CapturedVector;

  /** @internal */
  constructor(name: string, capture: Capture, vector: CapturedVector) {
    this.name = name;
    this.type = vector.plan.words === 2 ? 'combined' : 'simple';
    this.#capture = capture;
    this.#vector = vector;
  }

  get threads(): number {
    return this.#vector.starts.length;
  }
  /** Counters of the thread that has most. */
  get length(): number {
    return Math.max(0, ...this.#vector.lengths);
  }

  /** The counters of a thread: one word each, or packets and bytes in turn. A copy: it does not change any more. */
  thread(thread: number): BigUint64Array {
    const start = this.#vector.starts[thread] ?? 0;
    return this.#capture.words.subarray(start, start + (this.#vector.lengths[thread] ?? 0) * this.#vector.plan.words);
  }

  /** A counter of one thread, as the nearest number; 0 where a thread has none. `part` 1 are the bytes. */
  number(thread: number, column: number, part: 0 | 1 = 0): number {
    if (!(column < (this.#vector.lengths[thread] ?? 0))) return 0;
    return numberWords.one(this.#capture, this.#vector.starts[thread]! + column * this.#vector.plan.words + part);
  }

  /** A counter over all threads, as the nearest number. `part` 1 are the bytes. */
  sum(column: number, part: 0 | 1 = 0): number {
    const { starts, lengths, plan } = this.#vector;
    const at = column * plan.words + part;
    let total = 0;
    for (let thread = 0; thread < starts.length; thread++) {
      if (column < lengths[thread]!) total += numberWords.one(this.#capture, starts[thread]! + at);
    }
    return total;
  }
}

/** One half of a reading. */
function difference(
  now: bigint[],
  before: bigint[] | undefined,
  gauge: boolean,
  seconds: number,
): Reading<bigint, number> {
  const total = sum(now);
  if (before === undefined) {
    return { total, perThread: now, ...nothing };
  }
  let cleared = false;
  const deltaPerThread = now.map((value, thread) => {
    const delta = value - (before[thread] ?? 0n);
    if (gauge || delta >= 0n) return delta;
    cleared = true;
    return value;
  });
  const delta = sum(deltaPerThread);
  const perSecond = (value: bigint) => Number(value) / seconds;
  const known = !gauge && seconds > 0;
  return {
    total,
    perThread: now,
    delta,
    deltaPerThread,
    rate: known ? perSecond(delta) : undefined,
    ratePerThread: known ? deltaPerThread.map(perSecond) : undefined,
    cleared,
  };
}

const nothing = {
  delta: undefined,
  deltaPerThread: undefined,
  rate: undefined,
  ratePerThread: undefined,
  cleared: false,
} as const;

function pair(
  packets: Reading<bigint, number>,
  bytes: Reading<bigint, number>,
): Reading<PacketsBytes, PacketsBytes<number>> {
  const both = <T>(a: T, b: T) => ({ packets: a, bytes: b });
  const maybe = <T>(a: T | undefined, b: T | undefined) =>
    a === undefined || b === undefined ? undefined : both(a, b);
  const each = <T>(a: readonly T[] | undefined, b: readonly T[] | undefined) =>
    a === undefined || b === undefined ? undefined : a.map((value, thread) => both(value, b[thread]!));
  return {
    total: both(packets.total, bytes.total),
    perThread: each(packets.perThread, bytes.perThread)!,
    delta: maybe(packets.delta, bytes.delta),
    deltaPerThread: each(packets.deltaPerThread, bytes.deltaPerThread),
    rate: maybe(packets.rate, bytes.rate),
    ratePerThread: each(packets.ratePerThread, bytes.ratePerThread),
    cleared: packets.cleared || bytes.cleared,
  };
}

function sum(values: readonly bigint[]): bigint {
  let total = 0n;
  for (const value of values) total += value;
  return total;
}
