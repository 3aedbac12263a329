// What can be asked of a segment, wherever it comes from: a running VPP (`Stats`) or a file (`StatsImage`).

import { decode, bigWords } from './decode.js';
import type { StatsEntry } from './directory.js';
import { type InterfaceTable, type InterfaceOptions, interfacesOf } from './interfaces.js';
import { LiveCounter, LiveInterface, LiveVector } from './live.js';
import { type NodeErrorCount, nodeErrorsOf, type NodeStats, nodesOf } from './nodes.js';
import { type Pattern, type Patterns, patternList } from './patterns.js';
import type { SegmentReader } from './segment-reader.js';
import { Snapshot } from './snapshot.js';
import {
  type BufferPool,
  bufferPoolsOf,
  type MemoryHeap,
  memoryHeapsOf,
  type SystemStats,
  systemOf,
} from './system.js';
import type { StatsValue } from './values.js';

/** What helpers take: a snapshot they read from, or nothing: then they take one of what they need. */
export interface FromSnapshot {
  readonly snapshot?: Snapshot | undefined;
}

/** A segment that can be read. */
export abstract class StatsSource {
  readonly #live = () => this.reader();

  /** The segment now. @internal */
  abstract reader(): SegmentReader;

  /** Runs a reading; subclasses see its errors. @internal */
  protected reading<T>(work: (reader: SegmentReader) => T): T {
    return work(this.reader());
  }

  /** Which releases of VPP write a segment of this layout. */
  get releases(): string {
    return this.reader().layout.releases;
  }

  /** Changes of structure so far. */
  get epoch(): number {
    return this.reader().access.epoch();
  }

  /**
   * Entries, by name: those that match any of the patterns, all when there are none. A string is a regular expression that
   * is matched from the beginning of the name, as in VPP's own clients.
   *
   * @throws {StatsError} `ERR_STATS_BUSY`, `ERR_STATS_CORRUPT`, `ERR_STATS_LOST`, `ERR_STATS_DISCONNECTED`,
   *   `ERR_STATS_CLOSED`, `ERR_STATS_PATTERN`
   */
  ls(patterns?: Patterns): StatsEntry[] {
    const list = patternList(patterns);
    return this.reading((reader) => {
      const { directory, selection } = reader.select(list);
      return selection.indices.map((index) => directory.entry(index));
    });
  }

  /** What one entry holds, exact; undefined when there is none of that name. @throws {StatsError} see `ls` */
  get(name: string): StatsValue | undefined {
    return this.reading((reader) => {
      const found = reader.captureOne(name);
      return found === undefined ? undefined : decode(found.capture, found.index, bigWords);
    });
  }

  /** What the matching entries hold; entries of unknown types are left out. @throws {StatsError} see `ls` */
  dump(patterns: Patterns | undefined, options: { readonly numbers: true }): StatsValue<number>[];
  dump(patterns?: Patterns, options?: { readonly numbers?: boolean }): StatsValue[];
  dump(patterns?: Patterns, options: { readonly numbers?: boolean } = {}): StatsValue[] | StatsValue<number>[] {
    const snapshot = this.snapshot(patterns);
    return options.numbers === true ? snapshot.valuesAsNumbers() : snapshot.values();
  }

  /**
   * Copies the matching entries as they are at one moment. Deltas and rates come with snapshots that follow one another:
   * `snapshot(patterns, { since: before })`, or `subscribe`.
   *
   * @throws {StatsError} see `ls`
   */
  snapshot(patterns?: Patterns, options: { readonly since?: Snapshot | undefined } = {}): Snapshot {
    return this.take(patternList(patterns), options.since);
  }

  /** Parts of the segment make no sense. @internal */
  protected doubt(): void {
    // What does not change cannot be asked for again.
  }

  /** @internal */
  protected take(
    patterns: readonly Pattern[],
    since?: Snapshot,
    more: { readonly restarted?: boolean; readonly missed?: number } = {},
  ): Snapshot {
    const captured = this.reading((reader) => reader.capture(patterns));
    if (captured.vectors.some((vector) => vector.problem !== undefined)) this.doubt();
    return new Snapshot(captured, {
      time: Date.now(),
      monotonicMs: performance.now(),
      previous: since === undefined ? undefined : { capture: since.capture, monotonicMs: since.monotonicMs },
      ...more,
    });
  }

  /** One counter over all threads, to be read in place very often. `column` of a vector (sw_if_index, node index). */
  counter(name: string, column?: number): LiveCounter {
    return new LiveCounter(this.#live, name, column);
  }

  /** A whole vector (`/if/rx`), to be read in place as typed arrays. */
  vector(name: string): LiveVector {
    return new LiveVector(this.#live, name);
  }

  /** All counters of an interface, to be read in place very often. */
  interface(swIfIndex: number): LiveInterface {
    return new LiveInterface(this.#live, swIfIndex);
  }

  /** The interfaces and their counters, to be found by `sw_if_index`, name or tag. */
  interfaces(options: InterfaceOptions & FromSnapshot = {}): InterfaceTable {
    return interfacesOf(options.snapshot ?? this.snapshot(['/if/', '/interfaces/']), options);
  }

  /** The graph nodes and their counters; empty unless VPP has `statseg { per-node-counters on }`. */
  nodes(options: FromSnapshot = {}): NodeStats[] {
    return nodesOf(options.snapshot ?? this.snapshot(['/sys/node/', '/nodes/']));
  }

  /** Errors by node and reason, those that have been counted. */
  errors(options: FromSnapshot & { readonly zeros?: boolean } = {}): NodeErrorCount[] {
    return nodeErrorsOf(options.snapshot ?? this.snapshot(['/err/', '/node/errors$']), options.zeros ?? false);
  }

  /** Heartbeat, times, threads, vector rates. */
  system(options: FromSnapshot = {}): SystemStats {
    return systemOf(options.snapshot ?? this.snapshot('/sys/(?!node/)'));
  }

  /** Packet buffers, by pool. */
  buffers(options: FromSnapshot = {}): BufferPool[] {
    return bufferPoolsOf(options.snapshot ?? this.snapshot('/buffer-pools/'));
  }

  /** VPP's heaps. */
  memory(options: FromSnapshot = {}): MemoryHeap[] {
    return memoryHeapsOf(options.snapshot ?? this.snapshot('/mem/'));
  }
}
