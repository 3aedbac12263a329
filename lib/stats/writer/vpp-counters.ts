// The counters of interfaces, nodes and errors under the names that VPP gives them.
//
//   /if/names, /if/drops, /if/rx …             by sw_if_index         /interfaces/<name>/<counter>   a column each
//   /sys/node/names, /sys/node/clocks …        by node index          /nodes/<node>/<counter>
//   /node/errors                               by error index         /err/<node>/<reason>

import {
  COMBINED_INTERFACE_COUNTERS,
  type CombinedInterfaceCounter,
  entryNamePart,
  NODE_COUNTERS,
  type NodeCounter,
  SIMPLE_INTERFACE_COUNTERS,
  type SimpleInterfaceCounter,
} from '../layout.js';
import type { CombinedCounters, SimpleCounters } from './counters.js';
import type { Names, Symlink } from './entries.js';
import type { StatsSegmentWriter } from './writer.js';

/**
 * Interfaces in a segment that is written here.
 *
 * @example
 * ```ts
 * import { createStatsSegment, InterfaceCounters } from 'node-vpp/stats/writer';
 * const segment = createStatsSegment({ sizeBytes: 1 << 20 });
 * const interfaces = new InterfaceCounters(segment);
 * interfaces.add(1, 'memif1/0');
 * interfaces.combined.rx.thread(0).add(1, 256, 16384); // a burst
 * interfaces.simple.drops.thread(0).add(1);
 * segment.close();
 * ```
 */
export class InterfaceCounters {
  readonly names: Names;
  readonly simple: Readonly<Record<SimpleInterfaceCounter, SimpleCounters>>;
  readonly combined: Readonly<Record<CombinedInterfaceCounter, CombinedCounters>>;
  readonly #segment: StatsSegmentWriter;
  readonly #symlinks = new Map<number, Symlink[]>();

  constructor(segment: StatsSegmentWriter) {
    this.#segment = segment;
    [this.simple, this.combined, this.names] = segment.change(() => [
      recordOf(SIMPLE_INTERFACE_COUNTERS, (name) => segment.addSimple(`/if/${name}`)),
      recordOf(COMBINED_INTERFACE_COUNTERS, (name) => segment.addCombined(`/if/${name}`)),
      segment.addNames('/if/names'),
    ]);
  }

  /** Adds an interface, its counters at 0. @throws {StatsError} see `addSimple` of the writer */
  add(swIfIndex: number, name: string): void {
    const all = [...Object.entries(this.simple), ...Object.entries(this.combined)];
    this.#segment.change(() => {
      for (const [, counters] of all) {
        counters.ensure(swIfIndex + 1);
        counters.clear(swIfIndex);
      }
      this.names.set(swIfIndex, name);
      const prefix = `/interfaces/${entryNamePart(name)}`;
      this.#symlinks.set(
        swIfIndex,
        all.map(([counter, counters]) => this.#segment.addSymlink(`${prefix}/${counter}`, counters, swIfIndex)),
      );
    });
  }

  /** Removes an interface; its name becomes `deleted`, as in VPP. */
  remove(swIfIndex: number): void {
    const symlinks = this.#symlinks.get(swIfIndex);
    if (symlinks === undefined) return;
    this.#segment.change(() => {
      this.names.set(swIfIndex, 'deleted');
      for (const symlink of symlinks) symlink.remove();
    });
    this.#symlinks.delete(swIfIndex);
  }
}

/** Graph nodes in a segment that is written here. */
export class NodeCounters {
  readonly names: Names;
  readonly counters: Readonly<Record<NodeCounter, SimpleCounters>>;
  readonly #segment: StatsSegmentWriter;

  constructor(segment: StatsSegmentWriter) {
    this.#segment = segment;
    [this.names, this.counters] = segment.change(() => [
      segment.addNames('/sys/node/names'),
      recordOf(NODE_COUNTERS, (name) => segment.addSimple(`/sys/node/${name}`)),
    ]);
  }

  /** Adds a node; its index is where it counts. */
  add(name: string): number {
    const index = this.names.length;
    this.#segment.change(() => {
      this.names.set(index, name);
      for (const [counter, counters] of Object.entries(this.counters)) {
        counters.ensure(index + 1);
        this.#segment.addSymlink(`/nodes/${entryNamePart(name)}/${counter}`, counters, index);
      }
    });
    return index;
  }
}

/** Errors of nodes in a segment that is written here. */
export class ErrorCounters {
  readonly counters: SimpleCounters;
  readonly #segment: StatsSegmentWriter;

  constructor(segment: StatsSegmentWriter) {
    this.#segment = segment;
    this.counters = segment.addSimple('/node/errors');
  }

  /** Adds a reason of a node; its index is where it counts: `counters.thread(0).add(index)`. */
  add(node: string, reason: string): number {
    const index = this.counters.length;
    this.#segment.change(() => {
      this.counters.ensure(index + 1);
      this.#segment.addSymlink(`/err/${entryNamePart(node)}/${reason}`, this.counters, index);
    });
    return index;
  }
}

function recordOf<K extends string, T>(keys: readonly K[], make: (key: K) => T): Record<K, T> {
  return Object.fromEntries(keys.map((key) => [key, make(key)])) as Record<K, T>;
}
