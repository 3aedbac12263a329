// Tables and what is in them: routes of the control plane, and those that follow from addresses and neighbours.
//
//   address 10.0.0.1/24 on 1     10.0.0.1/32 local   10.0.0.0/24 glean 1   10.0.0.0/32, 10.0.0.255/32 drop
//   neighbour 10.0.0.2 on 1      10.0.0.2/32 via 10.0.0.2 on 1
//   a new IPv4 table             0.0.0.0/0, 0.0.0.0/32, 224.0.0.0/4, 240.0.0.0/4, 255.255.255.255/32 drop

import { ArgumentRangeError } from '../../errors.js';
import { formatIp } from '../../net/index.js';
import { Adjacencies } from './adjacency.js';
import type { Path, RouteEntry, RoutePath } from './control.js';
import { FibSource, NO_INTERFACE } from './control.js';
import { Entries, FibTable, maskWords } from './fib.js';
import type { Interfaces } from './interfaces.js';
import type { KeptPath, PathList } from './paths.js';
import { Dpo, PathLists, bytesOf, dpoIndex, dpoKind, wordsOf } from './paths.js';
import { addressBytes, covers, isLinkLocal } from './values.js';

const kept = (path: Partial<KeptPath> & { kind: KeptPath['kind'] }): KeptPath => ({
  weight: 1,
  preference: 0,
  swIfIndex: NO_INTERFACE,
  nextHop: undefined,
  fib: 0,
  ...path,
});
const dropPath = [kept({ kind: 'drop' })];

export class Routing {
  readonly entries = new Entries();
  /** By FIB index, both families. */
  readonly tables: (FibTable | undefined)[] = [];
  readonly adjacencies: Adjacencies;
  readonly paths: PathLists;
  readonly #interfaces: Interfaces;
  readonly #byId4 = new Map<number, FibTable>();
  readonly #byId6 = new Map<number, FibTable>();

  constructor(interfaces: Interfaces) {
    this.#interfaces = interfaces;
    this.adjacencies = new Adjacencies(interfaces);
    this.paths = new PathLists(this.adjacencies, interfaces, this.tables);
    interfaces.defaultFib4 = this.addTable(0, false).index;
    interfaces.defaultFib6 = this.addTable(0, true).index;
  }

  table(tableId: number, isIp6: boolean): FibTable {
    const found = (isIp6 ? this.#byId6 : this.#byId4).get(tableId);
    if (found === undefined) throw new ArgumentRangeError(`FIB: there is no IPv${isIp6 ? 6 : 4} table ${tableId}`);
    return found;
  }

  hasTable(tableId: number, isIp6: boolean): boolean {
    return (isIp6 ? this.#byId6 : this.#byId4).has(tableId);
  }

  addTable(tableId: number, isIp6: boolean): FibTable {
    const byId = isIp6 ? this.#byId6 : this.#byId4;
    if (byId.has(tableId)) throw new ArgumentRangeError(`FIB: IPv${isIp6 ? 6 : 4} table ${tableId} is there already`);
    let index = this.tables.findIndex((each) => each === undefined);
    if (index < 0) index = this.tables.length;
    const table = new FibTable(tableId, index, isIp6, this.entries);
    this.tables[index] = table;
    byId.set(tableId, table);
    const words = (first: number): number[] => (isIp6 ? [first, 0, 0, 0] : [first]);
    this.#set(table, words(0), 0, dropPath, FibSource.defaultRoute);
    if (isIp6) this.#set(table, words(0xfe800000), 10, [kept({ kind: 'glean' })], FibSource.special);
    else {
      this.#set(table, words(0), 32, dropPath, FibSource.defaultRoute);
      this.#set(table, words(0xf0000000), 4, dropPath, FibSource.special);
      this.#set(table, words(0xe0000000), 4, dropPath, FibSource.special);
      this.#set(table, words(0xffffffff), 32, dropPath, FibSource.defaultRoute);
    }
    return table;
  }

  removeTable(table: FibTable): void {
    for (const entry of [...table.all()]) {
      for (const source of this.#sourcesOf(entry)) {
        const list = this.entries.unsay(entry, source);
        if (list !== undefined) this.paths.release(list);
      }
      this.entries.release(entry);
    }
    this.tables[table.index] = undefined;
    (table.isIp6 ? this.#byId6 : this.#byId4).delete(table.tableId);
    for (const list of this.paths.recursive) this.paths.resolve(list);
  }

  /** Sets what a source says of a prefix; returns the entry. */
  set(
    table: FibTable,
    prefix: { bytes: Uint8Array; length: number },
    paths: readonly Path[],
    source: FibSource,
  ): number {
    return this.#set(
      table,
      maskWords(wordsOf(prefix.bytes), prefix.length, new Uint32Array(prefix.bytes.length / 4)),
      prefix.length,
      paths.length === 0 ? dropPath : paths.map((path) => this.#keep(path, table)),
      source,
    );
  }

  #keep(path: Path, table: FibTable): KeptPath {
    const { weight = 1, preference = 0 } = path;
    const common = { weight: Math.max(1, weight), preference };
    switch (path.kind) {
      case 'drop':
      case 'unreach':
      case 'prohibit':
        return kept({ kind: path.kind, ...common });
      case 'local':
        return kept({ kind: 'local', swIfIndex: path.swIfIndex ?? NO_INTERFACE, ...common });
      case 'via':
        this.#interfaces.get(path.swIfIndex);
        return kept({
          kind: 'via',
          swIfIndex: path.swIfIndex,
          nextHop: path.nextHop === undefined ? undefined : addressBytes(path.nextHop),
          ...common,
        });
      case 'recursive': {
        const nextHop = addressBytes(path.nextHop);
        const fib = this.table(path.tableId ?? table.tableId, nextHop.length === 16).index;
        return kept({ kind: 'recursive', nextHop, fib, ...common });
      }
      case 'table':
        return kept({ kind: 'table', fib: this.table(path.tableId, table.isIp6).index, ...common });
    }
  }

  #set(
    table: FibTable,
    words: Uint32Array | readonly number[],
    length: number,
    paths: readonly KeptPath[],
    source: FibSource,
  ): number {
    const list = this.paths.acquire(paths, table.isIp6);
    let entry = table.find(words, length);
    if (entry < 0) entry = table.add(words, length);
    const before = this.entries.say(entry, source, list);
    if (before !== undefined) this.paths.release(before);
    this.#changed(table, words, length);
    return entry;
  }

  /** Takes back what a source said; false when it said nothing. */
  unset(table: FibTable, prefix: { bytes: Uint8Array; length: number }, source: FibSource): boolean {
    const words = maskWords(wordsOf(prefix.bytes), prefix.length, new Uint32Array(prefix.bytes.length / 4));
    const entry = table.find(words, prefix.length);
    if (entry < 0) return false;
    return this.#unset(table, entry, source);
  }

  #unset(table: FibTable, entry: number, source: FibSource): boolean {
    const before = this.entries.unsay(entry, source);
    if (before === undefined) return false;
    const words = table.wordsOf(entry);
    const length = this.entries.length[entry]!;
    if (this.entries.source[entry] === 0) table.remove(entry);
    this.paths.release(before);
    this.#changed(table, words, length);
    return true;
  }

  flush(table: FibTable, source: FibSource): void {
    for (const entry of [...table.all()]) this.#unset(table, entry, source);
  }

  /** Recursive paths whose next hop lies in a prefix that has changed. */
  #changed(table: FibTable, words: Uint32Array | readonly number[], length: number): void {
    if (this.paths.recursive.size === 0) return;
    const prefix = bytesOf(words);
    for (const list of this.paths.recursive) {
      const touched = list.paths.some(
        (path) => path.kind === 'recursive' && path.fib === table.index && covers(prefix, length, path.nextHop!),
      );
      if (touched) this.paths.resolve(list);
    }
  }

  /** The routes of an address: on and off. */
  address(swIfIndex: number, bytes: Uint8Array, length: number, on: boolean): void {
    const table = this.tableOf(swIfIndex, bytes.length === 16);
    const source = FibSource.interface;
    const bits = bytes.length * 8;
    const routes: [Uint8Array, number, KeptPath][] = [
      [bytes, bits, kept({ kind: 'local', swIfIndex, nextHop: bytes })],
    ];
    if (length < bits) {
      routes.push([bytes, length, kept({ kind: 'glean', swIfIndex })]);
      if (bits === 32 && length <= 30) {
        const words = wordsOf(bytes);
        const host = length === 0 ? 0xffffffff : 2 ** (32 - length) - 1;
        routes.push([bytesOf([(words[0]! & ~host) >>> 0]), 32, kept({ kind: 'drop' })]);
        routes.push([bytesOf([(words[0]! | host) >>> 0]), 32, kept({ kind: 'drop' })]);
      } else if (bits === 32 && length === 31) {
        // The one other host of the subnet.
        const peer = bytesOf([(wordsOf(bytes)[0]! ^ 1) >>> 0]);
        routes.push([peer, 32, kept({ kind: 'via', swIfIndex, nextHop: peer })]);
      }
    }
    for (const [address, prefixLength, path] of routes) {
      const words = maskWords(wordsOf(address), prefixLength, new Uint32Array(address.length / 4));
      const entry = table.find(words, prefixLength);
      if (on) {
        // The address itself may be the first or last of its prefix.
        if (path.kind === 'drop' && entry >= 0 && this.entries.says(entry, source) !== undefined) continue;
        this.#set(table, words, prefixLength, [path], source);
      } else if (entry >= 0) this.#unset(table, entry, source);
    }
  }

  tableOf(swIfIndex: number, isIp6: boolean): FibTable {
    const index = (isIp6 ? this.#interfaces.fib6 : this.#interfaces.fib4)[swIfIndex]!;
    const table = this.tables[index];
    if (table === undefined) throw new ArgumentRangeError(`FIB: the table of interface ${swIfIndex} is gone`);
    return table;
  }

  /** The route to a neighbour, when its prefix is connected on that interface. */
  neighbour(swIfIndex: number, address: Uint8Array, on: boolean): void {
    if (isLinkLocal(address)) return;
    const table = this.tableOf(swIfIndex, address.length === 16);
    const length = address.length * 8;
    if (!on) {
      this.unset(table, { bytes: address, length }, FibSource.adjacency);
      return;
    }
    if (!this.isConnected(table, address, swIfIndex)) return;
    this.#set(
      table,
      wordsOf(address),
      length,
      [kept({ kind: 'via', swIfIndex, nextHop: address })],
      FibSource.adjacency,
    );
  }

  /** Whether an address lies in a prefix that is connected on an interface. */
  isConnected(table: FibTable, address: Uint8Array, swIfIndex: number): boolean {
    const words = wordsOf(address);
    for (let length = words.length * 32 + 1; ;) {
      const entry = table.cover(words, length);
      if (entry < 0) return false;
      const said = this.entries.says(entry, FibSource.interface);
      const path = said === undefined ? undefined : this.paths.lists[said]?.paths[0];
      if (path?.kind === 'glean') return path.swIfIndex === swIfIndex || this.#borrows(swIfIndex, path.swIfIndex);
      length = this.entries.length[entry]!;
      if (length === 0) return false;
    }
  }

  #borrows(swIfIndex: number, from: number): boolean {
    return this.#interfaces.unnumbered[swIfIndex] === from;
  }

  /** The interface that has an address of ours, in a table; `NO_INTERFACE` when nobody has. */
  ownerOf(table: FibTable, words: Uint32Array | readonly number[]): number {
    const entry = table.find(words, words.length * 32);
    const said = entry < 0 ? undefined : this.entries.says(entry, FibSource.interface);
    const path = said === undefined ? undefined : this.paths.lists[said]?.paths[0];
    return path?.kind === 'local' ? path.swIfIndex : NO_INTERFACE;
  }

  /** The address of ours that packets from an interface to `to` carry; undefined when it has none. */
  sourceAddress(swIfIndex: number, to: Uint8Array): Uint8Array | undefined {
    const borrowed = this.#interfaces.unnumbered[swIfIndex]!;
    const state = this.#interfaces.state[borrowed === NO_INTERFACE ? swIfIndex : borrowed];
    if (state === undefined) return undefined;
    if (to.length === 4) {
      const addresses = state.addresses4;
      const best = addresses.find((each) => covers(bytesOf([each.address]), each.length, to)) ?? addresses[0];
      return best === undefined ? undefined : bytesOf([best.address]);
    }
    if (isLinkLocal(to)) return this.#interfaces.state[swIfIndex]?.linkLocal;
    const best = state.addresses6.find((each) => covers(each.address, each.length, to)) ?? state.addresses6[0];
    return best?.address ?? this.#interfaces.state[swIfIndex]?.linkLocal;
  }

  #sourcesOf(entry: number): FibSource[] {
    const best = this.entries.source[entry]! as FibSource | 0;
    return best === 0 ? [] : [best, ...(this.entries.others.get(entry) ?? []).map((said) => said.source)];
  }

  /** An entry as the control plane shows it. */
  show(table: FibTable, entry: number): RouteEntry {
    const { entries } = this;
    const list = this.paths.lists[entries.pathList[entry]!]!;
    return {
      tableId: table.tableId,
      isIp6: table.isIp6,
      prefix: `${formatIp(bytesOf(table.wordsOf(entry)))}/${entries.length[entry]!}`,
      source: entries.source[entry]! as FibSource,
      paths: list.shown ?? this.#showPaths(list),
      statsIndex: entry,
    };
  }

  #showPaths(list: PathList): readonly RoutePath[] {
    const paths = list.paths.map((path) => this.#showPath(path));
    if (!list.paths.some((path) => path.kind === 'table' || path.kind === 'recursive')) list.shown = paths;
    return paths;
  }

  #showPath(path: KeptPath): RoutePath {
    return {
      kind: path.kind,
      weight: path.weight,
      preference: path.preference,
      swIfIndex: path.swIfIndex,
      nextHop: path.nextHop === undefined ? undefined : formatIp(path.nextHop),
      tableId: path.kind === 'table' || path.kind === 'recursive' ? this.tables[path.fib]?.tableId : undefined,
    };
  }

  *routes(table: FibTable): Generator<RouteEntry, void, void> {
    for (const entry of table.all()) yield this.show(table, entry);
    // VPP has an entry for each recursive next hop, which does as its cover does.
    const shownHops = new Set<string>();
    for (const list of this.paths.recursive) {
      for (const path of list.paths) {
        if (path.kind !== 'recursive' || path.fib !== table.index) continue;
        const words = wordsOf(path.nextHop!);
        if (table.find(words, words.length * 32) >= 0) continue;
        const cover = table.cover(words, words.length * 32 + 1);
        if (cover < 0) continue;
        const shown = this.show(table, cover);
        const prefix = `${formatIp(path.nextHop!)}/${words.length * 32}`;
        if (shownHops.has(prefix)) continue;
        shownHops.add(prefix);
        yield {
          ...shown,
          prefix,
          source: FibSource.recursiveResolution,
        };
      }
    }
  }

  /** What a packet to an address would meet first: for checks of sources. */
  firstOf(table: FibTable, words: Uint32Array | readonly number[]): { kind: number; index: number } {
    const entry = table.lookup(words);
    const value = entry < 0 ? 0 : this.paths.buckets[this.paths.base[this.entries.pathList[entry]!]!]!;
    return { kind: entry < 0 ? Dpo.drop : dpoKind(value), index: dpoIndex(value) };
  }
}
