// Path lists: what the paths of an entry come to, as buckets that a flow hash chooses from.
//
//   paths (weights, preferences) ──resolve──► things to do, with weights ──normalise──► 2^n buckets
//
// Equal lists are one. A list is worked out anew when an interface it uses comes or goes, or when the entry that a
// recursive next hop leads to changes.

import type { Path, RoutePath } from './control.js';
import { NO_INTERFACE } from './control.js';
import type { Adjacencies } from './adjacency.js';
import type { FibTable } from './fib.js';
import type { Interfaces } from './interfaces.js';

/** What is to be done with a packet; in a bucket it stands above the number of what it is done with. */
export const Dpo = {
  drop: 0,
  local: 1,
  /** Ask for the destination on interface n. */
  glean: 2,
  adjacency: 3,
  /** Look it up again, in FIB n. */
  lookup: 4,
  unreach: 5,
  prohibit: 6,
} as const;

export const dpo = (kind: number, index: number): number => ((kind << 24) | index) >>> 0;
export const dpoKind = (value: number): number => value >>> 24;
export const dpoIndex = (value: number): number => value & 0xff_ffff;

/** A path as it is kept: addresses as bytes. */
export interface KeptPath {
  kind: Path['kind'] | 'glean';
  weight: number;
  preference: number;
  swIfIndex: number;
  nextHop: Uint8Array | undefined;
  /** Index of a FIB, for recursive and table paths. */
  fib: number;
}

export interface PathList {
  readonly index: number;
  readonly key: string;
  readonly isIp6: boolean;
  readonly paths: readonly KeptPath[];
  /** Adjacencies it holds. */
  readonly adjacencies: number[];
  /** As the control plane shows them: the same for all entries, unless a table has a say in it. */
  shown: readonly RoutePath[] | undefined;
  uses: number;
}

/** Most buckets: VPP's `LB_MAX_BUCKETS` is 8192. */
const MAX_BUCKETS = 4096;
/** How far a recursive path is followed. */
const MAX_DEPTH = 8;

interface Choice {
  value: number;
  weight: number;
}

export class PathLists {
  readonly lists: (PathList | undefined)[] = [];
  /** Where the buckets of a list start, and how many there are less one. */
  base = new Uint32Array(64);
  mask = new Uint16Array(64);
  buckets = new Uint32Array(256);
  #bucketsAt = 0;
  readonly #freeBuckets = new Map<number, number[]>();
  readonly #byKey = new Map<string, number>();
  #last: PathList | undefined;
  readonly #free: number[] = [];
  /** Lists with recursive paths. */
  readonly recursive = new Set<PathList>();
  readonly #adjacencies: Adjacencies;
  readonly #interfaces: Interfaces;
  readonly #tables: readonly (FibTable | undefined)[];

  constructor(adjacencies: Adjacencies, interfaces: Interfaces, tables: readonly (FibTable | undefined)[]) {
    this.#adjacencies = adjacencies;
    this.#interfaces = interfaces;
    this.#tables = tables;
  }

  /** The list of these paths; each acquire wants a release. */
  acquire(paths: readonly KeptPath[], isIp6: boolean): number {
    // Routes come in thousands that lead the same way.
    const last = this.#last;
    if (last !== undefined && last.uses > 0 && last.isIp6 === isIp6 && samePaths(last.paths, paths)) {
      last.uses++;
      return last.index;
    }
    let key = isIp6 ? '6' : '4';
    for (const path of paths) {
      key += `|${path.kind},${path.weight},${path.preference},${path.swIfIndex},${path.fib},${path.nextHop === undefined ? '' : path.nextHop.join('.')}`;
    }
    const known = this.#byKey.get(key);
    if (known !== undefined) {
      const list = this.lists[known]!;
      this.#last = list;
      list.uses++;
      return known;
    }
    const index = this.#free.pop() ?? this.lists.length;
    if (index >= this.base.length) {
      const base = new Uint32Array(this.base.length * 2);
      base.set(this.base);
      this.base = base;
      const mask = new Uint16Array(this.mask.length * 2);
      mask.set(this.mask);
      this.mask = mask;
    }
    const list: PathList = { index, key, isIp6, paths, adjacencies: [], shown: undefined, uses: 1 };
    for (const path of paths) {
      if (path.kind === 'via' && path.nextHop !== undefined) {
        list.adjacencies.push(this.#adjacencies.acquire(path.swIfIndex, path.nextHop));
      }
    }
    this.lists[index] = list;
    this.#last = list;
    this.#byKey.set(key, index);
    if (paths.some((path) => path.kind === 'recursive')) this.recursive.add(list);
    this.#setBuckets(index, [dpo(Dpo.drop, 0)], true);
    this.resolve(list);
    return index;
  }

  release(index: number): void {
    const list = this.lists[index]!;
    if (--list.uses > 0) return;
    this.recursive.delete(list);
    for (const adjacency of list.adjacencies) this.#adjacencies.release(adjacency);
    this.#byKey.delete(list.key);
    this.#giveBuckets(index);
    this.lists[index] = undefined;
    this.#free.push(index);
  }

  /** Works the buckets of a list out. */
  resolve(list: PathList): void {
    this.#setBuckets(list.index, spread(this.#choices(list, 0)), false);
  }

  /** All lists that use an interface. */
  resolveInterface(swIfIndex: number): void {
    for (const list of this.lists) {
      if (list?.paths.some((path) => path.swIfIndex === swIfIndex) === true) this.resolve(list);
    }
    if (this.recursive.size > 0) for (const list of this.recursive) this.resolve(list);
  }

  #choices(list: PathList, depth: number): Choice[] {
    let best: Choice[] = [];
    let preference = Infinity;
    let held = 0;
    for (const path of list.paths) {
      const adjacency = path.kind === 'via' && path.nextHop !== undefined ? list.adjacencies[held++]! : -1;
      const found = this.#follow(path, adjacency, depth);
      if (found.length === 0 || path.preference > preference) continue;
      if (path.preference < preference) {
        preference = path.preference;
        best = [];
      }
      const total = found.reduce((sum, each) => sum + each.weight, 0);
      for (const each of found) best.push({ value: each.value, weight: (path.weight * each.weight) / total });
    }
    return best;
  }

  #follow(path: KeptPath, adjacency: number, depth: number): Choice[] {
    const one = (kind: number, index = 0): Choice[] => [{ value: dpo(kind, index), weight: 1 }];
    switch (path.kind) {
      case 'drop':
        return one(Dpo.drop);
      case 'local':
        return one(Dpo.local, path.swIfIndex === NO_INTERFACE ? 0xff_ffff : path.swIfIndex);
      case 'unreach':
        return one(Dpo.unreach);
      case 'prohibit':
        return one(Dpo.prohibit);
      case 'table':
        return this.#tables[path.fib] === undefined ? [] : one(Dpo.lookup, path.fib);
      case 'glean':
        return this.#interfaces.up[path.swIfIndex] === 1 ? one(Dpo.glean, path.swIfIndex) : [];
      case 'via':
        if (this.#interfaces.up[path.swIfIndex] !== 1) return [];
        return adjacency < 0 ? one(Dpo.glean, path.swIfIndex) : one(Dpo.adjacency, adjacency);
      case 'recursive': {
        const table = this.#tables[path.fib];
        const nextHop = path.nextHop!;
        if (table === undefined || depth >= MAX_DEPTH) return [];
        const entry = table.lookup(wordsOf(nextHop));
        const via = entry < 0 ? undefined : this.lists[table.entries.pathList[entry]!];
        if (via === undefined) return [];
        // What comes out of a recursion must lead somewhere; a connected prefix leads to the next hop itself.
        return this.#choices(via, depth + 1).flatMap((choice) => {
          const kind = dpoKind(choice.value);
          if (kind === Dpo.drop || kind === Dpo.local) return [];
          if (kind !== Dpo.glean) return [choice];
          const neighbour = this.#adjacencies.find(dpoIndex(choice.value), nextHop);
          return neighbour < 0 ? [choice] : [{ value: dpo(Dpo.adjacency, neighbour), weight: choice.weight }];
        });
      }
    }
  }

  #setBuckets(index: number, values: readonly number[], first: boolean): void {
    const count = this.mask[index]! + 1;
    if (first || count !== values.length) {
      if (!first) this.#giveBuckets(index);
      this.base[index] = this.#freeBuckets.get(values.length)?.pop() ?? this.#newBuckets(values.length);
      this.mask[index] = values.length - 1;
    }
    this.buckets.set(values, this.base[index]);
  }

  #newBuckets(count: number): number {
    const at = this.#bucketsAt;
    this.#bucketsAt += count;
    if (this.#bucketsAt > this.buckets.length) {
      const more = new Uint32Array(Math.max(this.#bucketsAt, this.buckets.length * 2));
      more.set(this.buckets);
      this.buckets = more;
    }
    return at;
  }

  #giveBuckets(index: number): void {
    const count = this.mask[index]! + 1;
    const free = this.#freeBuckets.get(count);
    if (free === undefined) this.#freeBuckets.set(count, [this.base[index]!]);
    else free.push(this.base[index]!);
  }
}

/** Buckets, a power of two, shared out by weight to within a hundredth, as `ip_multipath_normalize_next_hops` does. */
export function spread(choices: readonly Choice[]): number[] {
  if (choices.length === 0) return [dpo(Dpo.drop, 0)];
  if (choices.length === 1) return [choices[0]!.value];
  const sorted = [...choices].sort((a, b) => b.weight - a.weight);
  const sum = sorted.reduce((total, choice) => total + choice.weight, 0);
  for (let buckets = 2 ** Math.ceil(Math.log2(sorted.length)); ; buckets *= 2) {
    let left = buckets;
    let error = 0;
    const shares = sorted.map((choice) => {
      const wanted = (choice.weight * buckets) / sum;
      const share = Math.min(left, Math.round(wanted));
      left -= share;
      error += share === 0 ? buckets : Math.abs(wanted - share);
      return share;
    });
    shares[0]! += left;
    if (error > 0.01 * buckets && buckets < MAX_BUCKETS) continue;
    return sorted.flatMap((choice, i) => new Array<number>(shares[i]!).fill(choice.value));
  }
}

/** An address as 32-bit words. */
export function wordsOf(address: Uint8Array): Uint32Array {
  const words = new Uint32Array(address.length / 4);
  for (let i = 0; i < words.length; i++) {
    words[i] = (address[i * 4]! << 24) | (address[i * 4 + 1]! << 16) | (address[i * 4 + 2]! << 8) | address[i * 4 + 3]!;
  }
  return words;
}

/** An address of words as bytes. */
export function bytesOf(words: Uint32Array | readonly number[]): Uint8Array {
  const bytes = new Uint8Array(words.length * 4);
  for (let i = 0; i < bytes.length; i++) bytes[i] = words[i >> 2]! >>> (24 - (i & 3) * 8);
  return bytes;
}

export type { RoutePath };

function samePaths(some: readonly KeptPath[], others: readonly KeptPath[]): boolean {
  return (
    some.length === others.length &&
    some.every((a, i) => {
      const b = others[i]!;
      return (
        a.kind === b.kind &&
        a.swIfIndex === b.swIfIndex &&
        a.weight === b.weight &&
        a.preference === b.preference &&
        a.fib === b.fib &&
        sameHop(a.nextHop, b.nextHop)
      );
    })
  );
}

function sameHop(a: Uint8Array | undefined, b: Uint8Array | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
