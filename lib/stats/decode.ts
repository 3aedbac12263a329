// From a copy of the segment to what users see: values, as bigint or number.

import type { Capture, CapturedVector } from './capture.js';
import { slotOf, targetOf } from './capture.js';
import { errorIndexType } from './directory.js';
import { EntryType } from './layout.js';
import type { StatsNumber, StatsValue } from './values.js';

/** Reads words of a copy in one of the two forms. */
export interface WordReader<N extends StatsNumber> {
  /** One word. */
  one(capture: Capture, index: number): N;
  /** A bigint, converted. */
  of(value: bigint): N;
  readonly zero: N;
}

/** Exact. Most counters are 0: that is one value, not one each. */
export const bigWords: WordReader<bigint> = {
  one: ({ words, halves }, index) => (halves[index * 2] === 0 && halves[index * 2 + 1] === 0 ? 0n : words[index]!),
  of: (value) => value,
  zero: 0n,
};

/** As the nearest number: exact up to 2^53. */
export const numberWords: WordReader<number> = {
  one: ({ halves }, index) => {
    const high = halves[index * 2 + 1]!;
    return high === 0 ? halves[index * 2]! : halves[index * 2]! + high * 0x1_0000_0000;
  },
  of: Number,
  zero: 0,
};

/** What all entries of a copy hold, without those that `decode` does not know. */
export function decodeAll<N extends StatsNumber>(capture: Capture, reader: WordReader<N>): StatsValue<N>[] {
  const { directory, plan, vectors } = capture;
  const { names, columns, links } = directory;
  const { entries, columnSlots } = plan;
  // Of the length it will have: one that grows is copied again and again.
  const values = new Array<StatsValue<N>>(entries.length);
  let count = 0;
  // What has been made of whole vectors is taken for the symlinks to them, too: a bigint is an object.
  // Counters of nothing are most of them: a thread's row of them is the same frozen list everywhere, and so is a column.
  const rows = new Map<number, readonly N[]>();
  const made: (Whole<N> | undefined)[] = vectors.map((vector) =>
    vector.problem === undefined && vector.plan.columns === undefined
      ? wholeOf(capture, vector, reader, rows)
      : undefined,
  );
  const { zero } = reader;
  for (let i = 0; i < entries.length; i++) {
    const index = entries[i]!;
    const whole = made[columnSlots[i]!];
    const name = names[index]!;
    if (whole === undefined) {
      const value = decode(capture, index, reader, made);
      if (value !== undefined) values[count++] = value;
      continue;
    }
    const column = columns[index]!;
    const link = links[index] ?? directory.link(index);
    const first = whole.noPackets ?? pick(whole.packets, column, zero);
    values[count++] =
      whole.bytes === undefined
        ? { type: 'simpleColumn', name, index, link, value: first }
        : {
            type: 'combinedColumn',
            name,
            index,
            link,
            packets: first,
            bytes: whole.noBytes ?? pick(whole.bytes, column, zero),
          };
  }
  values.length = count;
  return values;
}

/** All counters of a vector, by thread. */
interface Whole<N extends StatsNumber> {
  readonly packets: readonly (readonly N[])[];
  readonly bytes: readonly (readonly N[])[] | undefined;
  /** What every column is when nothing was ever counted. */
  readonly noPackets: readonly N[] | undefined;
  readonly noBytes: readonly N[] | undefined;
}

function wholeOf<N extends StatsNumber>(
  capture: Capture,
  vector: CapturedVector,
  reader: WordReader<N>,
  zeros?: Map<number, readonly N[]>,
): Whole<N> {
  const packets = matrix(capture, vector, 0, reader, zeros);
  const bytes = vector.plan.words === 2 ? matrix(capture, vector, 1, reader, zeros) : undefined;
  const column = (rows: readonly (readonly N[])[] | undefined): readonly N[] | undefined =>
    rows?.every((row) => row.length === 0 || row === zeros?.get(row.length)) === true
      ? Object.freeze(rows.map(() => reader.zero))
      : undefined;
  return { packets, bytes, noPackets: column(packets), noBytes: column(bytes) };
}

/**
 * What an entry of a copy holds; undefined when its type is not known, or it points to nothing that is.
 *
 * @param made what has been made of whole vectors already, by their place in the plan
 */
export function decode<N extends StatsNumber>(
  capture: Capture,
  index: number,
  reader: WordReader<N>,
  made?: readonly (Whole<N> | undefined)[],
): StatsValue<N> | undefined {
  const { directory, plan } = capture;
  const own = directory.types[index]!;
  const name = directory.names[index]!;
  if (own === errorIndexType || own === EntryType.symlink) {
    const target = own === errorIndexType ? -1 : targetOf(directory, index);
    if (target < 0 && own !== errorIndexType) {
      return { type: 'corrupt', name, index, problem: 'it is a symlink to an entry that is not there' };
    }
    const slot = slotOf(plan, target);
    const column = directory.columns[index]!;
    if (slot >= 0 && (target < 0 || directory.types[target] !== EntryType.histogram)) {
      const vector = capture.vectors[slot]!;
      if (vector.problem !== undefined) return { type: 'corrupt', name, index, problem: vector.problem };
      const link = target < 0 ? undefined : directory.link(index);
      const packets = columnOf(capture, vector, column, 0, reader);
      if (vector.plan.words === 1) return { type: 'simpleColumn', name, index, link, value: packets };
      return {
        type: 'combinedColumn',
        name,
        index,
        link,
        packets,
        bytes: columnOf(capture, vector, column, 1, reader),
      };
    }
    return decodeWhole(capture, target, name, index, reader, made);
  }
  return decodeWhole(capture, index, name, index, reader, made);
}

/** One column by thread. A thread whose vector is shorter has counted nothing there. */
export function columnOf<N extends StatsNumber>(
  capture: Capture,
  vector: CapturedVector,
  column: number,
  part: 0 | 1,
  reader: WordReader<N>,
): N[] {
  const { starts, lengths, plan } = vector;
  const place = plan.places === undefined ? column : plan.places.get(column)!;
  const { words } = plan;
  const at = (thread: number): N =>
    place < lengths[thread]! ? reader.one(capture, starts[thread]! + place * words + part) : reader.zero;
  // Literals are made much faster than arrays of a length that is found out.
  switch (starts.length) {
    case 1:
      return [at(0)];
    case 2:
      return [at(0), at(1)];
    case 3:
      return [at(0), at(1), at(2)];
    default: {
      // Of exactly this length: an array that grows has room for 17, and there may be hundreds of thousands of these.
      const values = new Array<N>(starts.length);
      for (let thread = 0; thread < starts.length; thread++) values[thread] = at(thread);
      return values;
    }
  }
}

/** `columnOf`, from what has been made of the whole vector. */
function pick<N extends StatsNumber>(rows: readonly (readonly N[])[], column: number, zero: N): N[] {
  switch (rows.length) {
    case 1:
      return [rows[0]![column] ?? zero];
    case 2:
      return [rows[0]![column] ?? zero, rows[1]![column] ?? zero];
    case 3:
      return [rows[0]![column] ?? zero, rows[1]![column] ?? zero, rows[2]![column] ?? zero];
    default: {
      const values = new Array<N>(rows.length);
      for (let thread = 0; thread < rows.length; thread++) values[thread] = rows[thread]![column] ?? zero;
      return values;
    }
  }
}

/** Counters of a vector by thread. In `zeros` are rows of nothing, by length, and more of them are put there. */
function matrix<N extends StatsNumber>(
  capture: Capture,
  vector: CapturedVector,
  part: 0 | 1,
  reader: WordReader<N>,
  zeros?: Map<number, readonly N[]>,
): (readonly N[])[] {
  const { words } = vector.plan;
  return vector.starts.map((start, thread) => {
    const length = vector.lengths[thread]!;
    if (zeros !== undefined && isNothing(capture.halves, start + part, words, length)) {
      let row = zeros.get(length);
      if (row === undefined) zeros.set(length, (row = Object.freeze(new Array<N>(length).fill(reader.zero))));
      return row;
    }
    const row = new Array<N>(length);
    for (let i = 0; i < length; i++) row[i] = reader.one(capture, start + i * words + part);
    return row;
  });
}

/** Whether so many words, every `step`th from one on, are 0. */
function isNothing(halves: Uint32Array, from: number, step: number, count: number): boolean {
  for (let i = 0, at = from * 2; i < count; i++, at += step * 2)
    if (halves[at] !== 0 || halves[at + 1] !== 0) return false;
  return true;
}

function decodeWhole<N extends StatsNumber>(
  capture: Capture,
  target: number,
  name: string,
  index: number,
  reader: WordReader<N>,
  made?: readonly (Whole<N> | undefined)[],
): StatsValue<N> | undefined {
  const { directory, plan } = capture;
  const bad = (problem: string) => ({ type: 'corrupt', name, index, problem }) as const;
  const code = directory.types[target];
  switch (code) {
    case EntryType.scalar:
    case EntryType.gauge: {
      const value = capture.scalars.get(target);
      if (value === undefined) return undefined;
      return { type: code === EntryType.gauge ? 'gauge' : 'scalar', name, index, value: reader.of(value) };
    }
    case EntryType.simple:
    case EntryType.combined:
    case EntryType.histogram: {
      const slot = slotOf(plan, target);
      const vector = capture.vectors[slot];
      if (vector === undefined) return undefined;
      if (vector.problem !== undefined) return bad(vector.problem);
      if (code !== EntryType.histogram) {
        const { packets, bytes } = made?.[slot] ?? wholeOf(capture, vector, reader);
        if (bytes === undefined) return { type: 'simple', name, index, value: packets };
        return { type: 'combined', name, index, packets, bytes };
      }
      const first = vector.lengths.findIndex((length) => length > 0);
      const leastExponent = first < 0 ? 0 : Number(capture.words[vector.starts[first]!]!);
      const rows = made?.[slot]?.packets ?? matrix(capture, vector, 0, reader);
      const bins = rows.map((row) => row.slice(1));
      return { type: 'histogram', name, index, leastExponent, bins };
    }
    case EntryType.names: {
      const names = capture.names.get(target);
      if (names === undefined) return undefined;
      return typeof names === 'string' ? bad(names) : { type: 'names', name, index, value: names };
    }
    case EntryType.ringBuffer: {
      const ring = capture.rings.get(target);
      if (ring === undefined) return undefined;
      return typeof ring === 'string' ? bad(ring) : { type: 'ringBuffer', name, index, ...ring };
    }
    default:
      return undefined;
  }
}
