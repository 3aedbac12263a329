// Routes: the paths of the API turned into the forwarder's and back, with VPP's checks and VPP's order of dumps.
//
//   type      sw_if_index   next hop      path
//   normal    given         given         a neighbour on the interface
//   normal    given         zero          attached: whoever is asked for
//   normal    ~0            given         recursive: the next hop is looked up in table_id
//   normal    ~0            zero          looked up again in table_id
//   local, drop, icmp unreach, icmp prohibit

import { FibSource, NO_INTERFACE, type Path, type RouteEntry, type RoutePath } from './forwarding/control.js';
import { prefixOf } from './addresses.js';
import type { Asked } from './handlers.js';
import { parsePrefix, type Prefix } from '../net/index.js';
import { hashIpv4, hashIpv6, inHashOrder } from './order.js';
import { Refused } from './retvals.js';
import type { State } from './state.js';
import type { Table } from './tables.js';

/** `fib_path_type`. */
const Type = { normal: 0, local: 1, drop: 2, unreach: 5, prohibit: 6 } as const;
const TYPE_OF: Readonly<Record<RoutePath['kind'], number>> = {
  drop: Type.drop,
  local: Type.local,
  unreach: Type.unreach,
  prohibit: Type.prohibit,
  via: Type.normal,
  recursive: Type.normal,
  table: Type.normal,
  glean: Type.normal,
};
/** Tables with more entries are dumped as they come: ordering would cost more than it is worth. */
const ORDERED_ENTRIES = 20_000;
const ZERO = ['0.0.0.0', '::'] as const;
const NO_STATS = 0xffffffff;

type ApiPath = Asked<'ip_route_add_del_v2'>['route']['paths'][number];
interface AddDel {
  is_add: boolean;
  is_multipath: boolean;
  route: { table_id: number; prefix: string; src?: number; paths: ApiPath[] };
}

/** All routes. */
export class Routes {
  readonly #state: State;
  /** What clients said of prefixes with several paths; the forwarder shows only the best source's. */
  readonly #multipath = new Map<string, Path[]>();
  /** Prefixes that clients wrote with host bits: VPP shows them so. */
  readonly #written = new Map<string, string>();

  constructor(state: State) {
    this.#state = state;
    const { handlers } = state;
    const none = { retval: 0, stats_index: NO_STATS };
    handlers.on('ip_route_add_del', (asked) => ({ retval: 0, stats_index: this.#addDel(asked) }), none);
    handlers.on('ip_route_add_del_v2', (asked) => ({ retval: 0, stats_index: this.#addDel(asked) }), none);
    handlers.rows('ip_route_dump', ({ table }) => this.#rows(table.table_id, table.is_ip6, 0, false));
    handlers.rows('ip_route_v2_dump', ({ table, src }) => this.#rows(table.table_id, table.is_ip6, src, true));
    const lookup = ({ table_id, exact, prefix }: { table_id: number; exact: number; prefix: string }) => {
      const parsed = prefixOf(prefix);
      const table = state.tables.must(table_id, parsed.version === 6);
      const entry = state.forwarder.route(table.id, networkOf(parsed), exact !== 0);
      if (entry === undefined) throw new Refused('NO_SUCH_ENTRY');
      return entry;
    };
    const refused = { retval: 0, route: { prefix: '0.0.0.0/0' } };
    handlers.on('ip_route_lookup', (asked) => ({ retval: 0, route: this.#row(lookup(asked), false) }), refused);
    handlers.on('ip_route_lookup_v2', (asked) => ({ retval: 0, route: this.#row(lookup(asked), true) }), refused);
  }

  /** In VPP's order, as far as the table is not large. */
  entries(table: Table): Iterable<RouteEntry> {
    const { forwarder } = this.#state;
    const all = forwarder.routes(table.id, table.isIp6);
    return forwarder.routeCount(table.id, table.isIp6) > ORDERED_ENTRIES ? all : ordered([...all], table.isIp6);
  }

  /** Removes what clients have put in. */
  flush(table: Table): void {
    this.#state.forwarder.flushTable(table.id, table.isIp6, FibSource.api);
    this.#state.forwarder.flushTable(table.id, table.isIp6, FibSource.cli);
    for (const kept of [this.#multipath, this.#written]) {
      for (const key of kept.keys()) {
        const [id, prefix = ''] = key.split(' ');
        if (Number(id) === table.id && prefix.includes(':') === table.isIp6) kept.delete(key);
      }
    }
  }

  #addDel({ is_add, is_multipath, route }: AddDel): number {
    const { forwarder, tables } = this.#state;
    const prefix = prefixOf(route.prefix);
    const table = tables.must(route.table_id, prefix.version === 6);
    const paths = route.paths.map((path) => this.#path(path));
    if ((is_add || is_multipath) && paths.length === 0) throw new Refused('NO_PATHS_IN_ROUTE');
    const source = route.src === FibSource.cli ? FibSource.cli : FibSource.api;
    const text = networkOf(prefix);
    const key = `${table.id} ${text} ${source}`;
    if (!is_add && !is_multipath) {
      this.#multipath.delete(key);
      this.#written.delete(`${table.id} ${text}`);
      forwarder.removeRoute(table.id, text, source);
      return NO_STATS;
    }
    if (is_add && text !== route.prefix) this.#remember(table, text, prefix.toString());
    if (is_add && !is_multipath && paths.length === 1) {
      // The common case, a million times over: nothing to merge, nothing to remember.
      if (this.#multipath.size > 0) this.#multipath.delete(key);
      return forwarder.setRoute(table.id, text, paths, source);
    }
    const known = is_multipath ? (this.#multipath.get(key) ?? this.#known(table, text, source)) : [];
    const others = known.filter((path) => !paths.some((given) => samePath(path, given)));
    // As in VPP, a path that is there already stays as it is, its weight too.
    const fresh = paths.filter((given) => !known.some((path) => samePath(path, given)));
    const merged = is_add ? [...known, ...fresh].sort(comparePaths) : others;
    if (merged.length === 0) {
      this.#multipath.delete(key);
      forwarder.removeRoute(table.id, text, source);
      return NO_STATS;
    }
    if (!is_add && merged.length === known.length) return NO_STATS;
    this.#multipath.set(key, merged);
    const statsIndex = forwarder.setRoute(table.id, text, merged, source);
    return is_add ? statsIndex : NO_STATS;
  }

  #remember(table: Table, network: string, written: string): void {
    if (this.#state.forwarder.route(table.id, network, true) === undefined) {
      this.#written.set(`${table.id} ${network}`, written);
    }
  }

  /** The one path that a source gave, where it is the one that shows. */
  #known(table: Table, prefix: string, source: FibSource): Path[] {
    const entry = this.#state.forwarder.route(table.id, prefix, true);
    if (entry?.source !== source) return [];
    return entry.paths.map((path) => fromShown(path));
  }

  #path(path: ApiPath): Path {
    const { interfaces, tables } = this.#state;
    const { type, sw_if_index, weight, preference, proto, table_id, rpf_id, n_labels } = path;
    // MPLS, BIER, Ethernet and what needs them; a number that is no protocol is an error in VPP, too.
    if (proto > 1 || n_labels > 0) throw new Refused(proto > 4 ? 'UNSPECIFIED' : 'UNIMPLEMENTED');
    const shared = { weight: weight === 0 ? 1 : weight, preference };
    switch (type) {
      case Type.drop:
        return { ...shared, kind: 'drop' };
      case Type.unreach:
        return { ...shared, kind: 'unreach' };
      case Type.prohibit:
        return { ...shared, kind: 'prohibit' };
      case Type.local:
        if (sw_if_index === NO_INTERFACE) return { ...shared, kind: 'local' };
        interfaces.must(sw_if_index);
        return { ...shared, kind: 'local', swIfIndex: sw_if_index };
      case Type.normal:
        break;
      default:
        throw new Refused('UNIMPLEMENTED');
    }
    const nextHop = path.nh.address;
    const isZero = nextHop === ZERO[proto === 1 ? 1 : 0];
    if (sw_if_index === NO_INTERFACE) {
      if (rpf_id !== 0 && rpf_id !== NO_INTERFACE) throw new Refused('UNIMPLEMENTED');
      tables.must(table_id, proto === 1);
      if (isZero) return { ...shared, kind: 'table', tableId: table_id };
      return { ...shared, kind: 'recursive', nextHop, tableId: table_id };
    }
    if (interfaces.get(sw_if_index) === undefined) throw new Refused('NO_MATCHING_INTERFACE');
    return isZero
      ? { ...shared, kind: 'via', swIfIndex: sw_if_index }
      : { ...shared, kind: 'via', swIfIndex: sw_if_index, nextHop };
  }

  *#rows(tableId: number, isIp6: boolean, src: number, withSource: boolean) {
    const table = this.#state.tables.get(tableId, isIp6);
    if (table === undefined) return;
    for (const entry of this.entries(table)) {
      if (src === 0 || entry.source === src) yield { route: this.#row(entry, withSource) };
    }
  }

  /** An entry as VPP shows it: that of a connected IPv4 subnet by the address that made it, `10.0.0.1/24`. */
  #row(entry: RouteEntry, withSource: boolean) {
    const [path] = entry.paths;
    if (entry.isIp6 || entry.source !== FibSource.interface || path?.kind !== 'glean') {
      const written = this.#written.size === 0 ? undefined : this.#written.get(`${entry.tableId} ${entry.prefix}`);
      return row(written === undefined ? entry : { ...entry, prefix: written }, withSource);
    }
    const { interfaces, addresses } = this.#state;
    const one = interfaces.get(path.swIfIndex);
    const text = one === undefined ? undefined : addresses.makerOf(one, entry.prefix);
    return row(text === undefined ? entry : { ...entry, prefix: text }, withSource);
  }
}

/** `10.0.0.0/8`, host bits cleared. */
function networkOf(prefix: Prefix): string {
  return `${prefix.network}/${prefix.length}`;
}

/** What `rowPaths` made of paths that many entries share. */
const sharedPaths = new WeakMap<readonly RoutePath[], ReturnType<typeof rowPaths>>();

function row(entry: RouteEntry, withSource: boolean) {
  const { tableId, prefix, source, statsIndex } = entry;
  let paths = source === FibSource.api ? sharedPaths.get(entry.paths) : undefined;
  if (paths === undefined) {
    paths = rowPaths(entry);
    if (source === FibSource.api) sharedPaths.set(entry.paths, paths);
  }
  return { table_id: tableId, stats_index: statsIndex, prefix, ...(withSource && { src: source }), paths };
}

function rowPaths(entry: RouteEntry) {
  const { isIp6, prefix, source } = entry;
  return entry.paths.map((path) => ({
    sw_if_index: path.swIfIndex,
    table_id: path.kind === 'recursive' || path.kind === 'table' ? (path.tableId ?? 0) : 0,
    weight: path.weight,
    preference: path.preference,
    // Link-local addresses are looked up in a table of the interface, which VPP shows as a normal path.
    type: isIp6 && prefix === 'fe80::/10' && source === FibSource.special ? Type.normal : TYPE_OF[path.kind],
    proto: isIp6 ? 1 : 0,
    nh: { address: path.nextHop ?? (isOwnNextHop(entry, path) ? addressOf(prefix) : ZERO[isIp6 ? 1 : 0]) },
  }));
}

/** A next hop of other routes on an attached subnet: the forwarder asks for it as for any address there. */
function isOwnNextHop({ source }: RouteEntry, { kind }: RoutePath): boolean {
  return source === FibSource.recursiveResolution && kind === 'glean';
}

function addressOf(prefix: string): string {
  return prefix.slice(0, prefix.indexOf('/'));
}

/** Where a path leads, without its weight and preference: VPP knows a path again by that. */
function destination(path: Path): string {
  switch (path.kind) {
    case 'via':
      return `${path.swIfIndex} ${String(path.nextHop ?? '')}`;
    case 'recursive':
      return `r ${path.tableId ?? 0} ${String(path.nextHop)}`;
    case 'table':
      return `t ${path.tableId}`;
    case 'local':
      return `l ${path.swIfIndex ?? ''}`;
    default:
      return path.kind;
  }
}

function samePath(a: Path, b: Path): boolean {
  return destination(a) === destination(b);
}

/** VPP keeps paths in order: preference, kind, next hop, interface. */
function comparePaths(a: Path, b: Path): number {
  const preference = (a.preference ?? 0) - (b.preference ?? 0);
  if (preference !== 0) return preference;
  if (a.kind === 'via' && b.kind === 'via') {
    return compareText(pad(a.nextHop), pad(b.nextHop)) || a.swIfIndex - b.swIfIndex;
  }
  return compareText(a.kind, b.kind) || compareText(destination(a), destination(b));
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** An address as text that compares as its bytes do. */
function pad(address: string | Uint8Array | undefined): string {
  if (address === undefined) return '';
  if (typeof address !== 'string') return Buffer.from(address).toString('hex');
  return Buffer.from(parsePrefix(`${address}/${address.includes(':') ? 128 : 32}`).addressBytes()).toString('hex');
}

function fromShown({ kind, weight, preference, swIfIndex, nextHop, tableId }: RoutePath): Path {
  const shared = { weight, preference };
  switch (kind) {
    case 'via':
    case 'glean':
      return nextHop === undefined
        ? { ...shared, kind: 'via', swIfIndex }
        : { ...shared, kind: 'via', swIfIndex, nextHop };
    case 'recursive':
      return { ...shared, kind, nextHop: nextHop!, tableId: tableId ?? 0 };
    case 'table':
      return { ...shared, kind, tableId: tableId ?? 0 };
    case 'local':
      return swIfIndex === NO_INTERFACE ? { ...shared, kind } : { ...shared, kind, swIfIndex };
    default:
      return { ...shared, kind };
  }
}

/** IPv4: by length, then as the table of the length is walked. IPv6: as its one table is walked. */
function ordered(entries: RouteEntry[], isIp6: boolean): RouteEntry[] {
  const parsed = entries.map((entry) => ({ entry, prefix: parsePrefix(entry.prefix) }));
  if (isIp6) {
    return inHashOrder(parsed, ({ prefix }) => hashIpv6(prefix.networkBytes(), prefix.length)).map(
      ({ entry }) => entry,
    );
  }
  const byLength = Array.from({ length: 33 }, (): typeof parsed => []);
  for (const one of parsed) byLength[one.prefix.length]!.push(one);
  return byLength.flatMap((same) =>
    inHashOrder(same, ({ prefix }) => hashIpv4(prefix.networkBytes())).map(({ entry }) => entry),
  );
}
