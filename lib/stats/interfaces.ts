// Interfaces: `/if/names` says who there is, `/if/<counter>` has the counters by sw_if_index. A name that VPP has freed is
// `deleted` there. A user often knows an interface by another name: its tag, which `tags` looks up.

import type { CombinedInterfaceCounter, SimpleInterfaceCounter } from './layout.js';
import { COMBINED_INTERFACE_COUNTERS, SIMPLE_INTERFACE_COUNTERS, entryNamePart } from './layout.js';
import type { CombinedReading, CopiedVector, PacketsBytes, SimpleReading, Snapshot } from './snapshot.js';

/** How the user's own names are found. */
export interface InterfaceOptions {
  /** The user's own name of an interface, `undefined` when it has none. */
  readonly tags?: ((swIfIndex: number, name: string) => string | undefined) | ReadonlyMap<number, string> | undefined;
}

/** An interface in a snapshot. Counters are over all threads, as numbers: exact up to 2^53. */
export class InterfaceStats {
  readonly swIfIndex: number;
  /** VPP's name. */
  readonly name: string;
  /** The user's name. */
  readonly tag: string | undefined;
  readonly #snapshot: Snapshot;
  readonly #vectors: Vectors;

  /** @internal */
  constructor(swIfIndex: number, name: string, tag: string | undefined, snapshot: Snapshot, vectors: Vectors) {
    this.swIfIndex = swIfIndex;
    this.name = name;
    this.tag = tag;
    this.#snapshot = snapshot;
    this.#vectors = vectors;
  }

  get rx(): PacketsBytes<number> {
    return this.combined('rx');
  }
  get tx(): PacketsBytes<number> {
    return this.combined('tx');
  }
  get drops(): number {
    return this.simple('drops');
  }

  /** A counter of one number. */
  simple(counter: SimpleInterfaceCounter): number {
    return this.#vectors.get(counter)?.sum(this.swIfIndex) ?? 0;
  }
  /** A counter of packets and bytes. */
  combined(counter: CombinedInterfaceCounter): PacketsBytes<number> {
    const vector = this.#vectors.get(counter);
    return { packets: vector?.sum(this.swIfIndex, 0) ?? 0, bytes: vector?.sum(this.swIfIndex, 1) ?? 0 };
  }
  /** A counter exact, by thread, with delta and rate. */
  reading(counter: CombinedInterfaceCounter): CombinedReading | undefined;
  reading(counter: SimpleInterfaceCounter): SimpleReading | undefined;
  reading(counter: CombinedInterfaceCounter | SimpleInterfaceCounter): CombinedReading | SimpleReading | undefined {
    // By its symlink: a new interface in the place of an old one is another series.
    const symlink = `/interfaces/${entryNamePart(this.name)}/${counter}`;
    return this.#snapshot.reading(symlink) ?? this.#snapshot.reading(`/if/${counter}`, this.swIfIndex);
  }
}

type Vectors = ReadonlyMap<string, CopiedVector>;

/** The interfaces of a snapshot. */
export class InterfaceTable implements Iterable<InterfaceStats> {
  readonly #all: readonly InterfaceStats[];
  #names: Map<string, InterfaceStats> | undefined;
  #tags: Map<string, InterfaceStats> | undefined;
  #indices: Map<number, InterfaceStats> | undefined;

  /** @internal */
  constructor(all: readonly InterfaceStats[]) {
    this.#all = all;
  }

  get size(): number {
    return this.#all.length;
  }
  [Symbol.iterator](): Iterator<InterfaceStats> {
    return this.#all[Symbol.iterator]();
  }
  bySwIfIndex(swIfIndex: number): InterfaceStats | undefined {
    this.#indices ??= new Map(this.#all.map((each) => [each.swIfIndex, each]));
    return this.#indices.get(swIfIndex);
  }
  /** By VPP's name. */
  byName(name: string): InterfaceStats | undefined {
    this.#names ??= new Map(this.#all.map((each) => [each.name, each]));
    return this.#names.get(name);
  }
  /** By the user's own name. */
  byTag(tag: string): InterfaceStats | undefined {
    this.#tags ??= new Map(this.#all.flatMap((each) => (each.tag === undefined ? [] : [[each.tag, each] as const])));
    return this.#tags.get(tag);
  }
}

/** Finds the interfaces of a snapshot. */
export function interfacesOf(snapshot: Snapshot, options: InterfaceOptions = {}): InterfaceTable {
  const { tags } = options;
  const tagOf = typeof tags === 'function' ? tags : (swIfIndex: number): string | undefined => tags?.get(swIfIndex);
  const vectors = new Map<string, CopiedVector>();
  for (const counter of [...SIMPLE_INTERFACE_COUNTERS, ...COMBINED_INTERFACE_COUNTERS]) {
    const vector = snapshot.vector(`/if/${counter}`);
    if (vector !== undefined) vectors.set(counter, vector);
  }
  const names = snapshot.get('/if/names');
  const all: InterfaceStats[] = [];
  if (names?.type === 'names') {
    names.value.forEach((name, swIfIndex) => {
      if (name === undefined || name === '') return;
      if (name === 'deleted' && !snapshot.has('/interfaces/deleted/drops')) return;
      all.push(new InterfaceStats(swIfIndex, name, tagOf(swIfIndex, name), snapshot, vectors));
    });
  }
  return new InterfaceTable(all);
}
