// What an entry holds, by type. `value`, `packets`, `bytes` and `bins` are by thread first: `value[thread][index]`, of a
// symlink, which is one column, `value[thread]`.

/** Values are exact (`bigint`), or numbers where that was asked for: exact up to 2^53, then the nearest. */
export type StatsNumber = bigint | number;

interface Named {
  readonly name: string;
  /** Its place in the directory at the time. */
  readonly index: number;
}
interface Linked extends Named {
  /** The entry this is a column of; undefined for the error counters of VPP up to 22.02, which have none. */
  readonly link: { readonly name: string; readonly column: number } | undefined;
}

/** A timestamp in whole seconds (`scalar`) or a number that goes up and down; before 26.02 gauges were `scalar` too. */
export interface ScalarValue<N extends StatsNumber = bigint> extends Named {
  readonly type: 'scalar' | 'gauge';
  readonly value: N;
}
export interface SimpleValue<N extends StatsNumber = bigint> extends Named {
  readonly type: 'simple';
  readonly value: readonly (readonly N[])[];
}
export interface CombinedValue<N extends StatsNumber = bigint> extends Named {
  readonly type: 'combined';
  readonly packets: readonly (readonly N[])[];
  readonly bytes: readonly (readonly N[])[];
}
export interface SimpleColumnValue<N extends StatsNumber = bigint> extends Linked {
  readonly type: 'simpleColumn';
  readonly value: readonly N[];
}
export interface CombinedColumnValue<N extends StatsNumber = bigint> extends Linked {
  readonly type: 'combinedColumn';
  readonly packets: readonly N[];
  readonly bytes: readonly N[];
}
export interface NamesValue extends Named {
  readonly type: 'names';
  /** By index; empty slots are undefined. */
  readonly value: readonly (string | undefined)[];
}
export interface HistogramValue<N extends StatsNumber = bigint> extends Named {
  readonly type: 'histogram';
  /** Bin `i` counts values from 2^(leastExponent + i) to below twice that; the first all below, the last all above. */
  readonly leastExponent: number;
  readonly bins: readonly (readonly N[])[];
}
/** One thread of a ring buffer. */
export interface RingThread {
  /** Records ever written. */
  readonly sequence: bigint;
  /** Sequence number of the first of `records`, the first record ever being 0. */
  readonly first: bigint;
  /** From the oldest that cannot be overwritten under way to the newest. */
  readonly records: readonly Uint8Array[];
  readonly schemaVersion: number;
  /** What a record holds, in a form of its writer. */
  readonly schema: Uint8Array | undefined;
}
export interface RingBufferValue extends Named {
  readonly type: 'ringBuffer';
  /** Bytes of a record. */
  readonly entrySize: number;
  readonly ringSize: number;
  readonly threads: readonly RingThread[];
}
/** An entry whose pointers lead out of the segment; the others can be read nevertheless. */
export interface CorruptValue extends Named {
  readonly type: 'corrupt';
  readonly problem: string;
}

/** What an entry holds. */
export type StatsValue<N extends StatsNumber = bigint> =
  | ScalarValue<N>
  | SimpleValue<N>
  | CombinedValue<N>
  | SimpleColumnValue<N>
  | CombinedColumnValue<N>
  | NamesValue
  | HistogramValue<N>
  | RingBufferValue
  | CorruptValue;
