// Routes: one, many, or a whole table.
//
//   vppctl: ip route add 10.0.0.0/8 via 192.168.1.1 tap0     vpp.routes.add({ prefix: '10.0.0.0/8', via: '192.168.1.1', interface: 'tap0' })
//           ip route add 10.0.0.0/8 table 7 drop             vpp.routes.add({ prefix: '10.0.0.0/8', table: 7, type: 'drop' })
//           ip route del 10.0.0.0/8                          vpp.routes.delete('10.0.0.0/8')
//           show ip fib 10.1.2.3                             vpp.routes.lookup('10.1.2.3')
//
// What this layer adds, changes and deletes are routes of the source API. A route that VPP makes itself (for the address
// of an interface, a neighbour, …) is of another source, has another rank, and is left alone.

import { isIpv4, isIpv6, networkPrefix, parsePrefix } from '../net/index.js';
import { ArgumentTypeError, VppObjectError } from '../errors.js';
import type { Core } from './core.js';
import type { Interfaces } from './interfaces.js';
import { PathSets } from './path-sets.js';
import {
  PathResolver,
  heldPath,
  wirePath,
  type HeldPath,
  type ReceivedPath,
  type RoutePath,
  type WirePath,
} from './path.js';
import { routeChange, sendRoute, sendRoutes, type RouteChange } from './route-requests.js';
import { routeBatches } from './route-rows.js';
import { FamilyRoutes } from './route-set.js';
import { syncRoutes, type SyncOptions, type SyncResult } from './route-sync.js';

/** A route: where to, and by which paths. One path may be written in the route itself. */
export interface Route extends RoutePath {
  /** `10.0.0.0/8`; host bits are cleared. */
  readonly prefix: string;
  /** Several paths: equal cost, or as their weights and preferences say. */
  readonly paths?: readonly RoutePath[] | undefined;
}

/** A route and the table it is in. */
export interface TableRoute extends Omit<Route, 'table'> {
  /** The table the route is in, default 0. */
  readonly table?: number | undefined;
}

/** A route that VPP has. */
export interface HeldRoute {
  readonly prefix: string;
  readonly table: number;
  readonly paths: readonly HeldPath[];
  /** Who made it: VPP's number of the source, see `vpp.routes.sources()`. */
  readonly source: number;
  /** Its place in the counters of the stats segment (`/net/route/to`). */
  readonly statsIndex: number;
}

/** Which routes to list. */
export interface RouteFilter {
  /** Default 0. */
  readonly table?: number;
  /** Default both. */
  readonly family?: 'ip4' | 'ip6';
  /** Only routes of this source (`API`, `interface`, …), default all. */
  readonly source?: string;
  readonly signal?: AbortSignal;
}

/** For many requests. */
export interface BulkOptions {
  /** Default 0. */
  readonly table?: number;
  /** In flight at most, default 1024. */
  readonly window?: number;
  readonly signal?: AbortSignal;
  /** Called now and then with the number of routes done so far. */
  readonly onProgress?: (done: number) => void;
}

const NO_SUCH_ENTRY = -6;

/** The paths of a route, however they are written. */
export function pathsIn(route: Route): readonly RoutePath[] {
  const { prefix, paths, ...inline } = route;
  const alone = Object.keys(inline).length > 0;
  if (paths === undefined) return [inline];
  if (alone) throw new ArgumentTypeError(`route ${prefix}: paths, or one path in the route itself, not both`);
  if (paths.length === 0 || paths.length > 255) throw new ArgumentTypeError(`route ${prefix}: it needs 1 … 255 paths`);
  return paths;
}

/**
 * `vpp.routes`
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { openVpp } from 'node-vpp/vpp';
 *
 * const vpp = await openVpp({ socket: process.env.VPP_SOCKET ?? '/run/vpp/api.sock' });
 * await vpp.routes.add({ prefix: '10.90.0.0/16', type: 'drop' });
 * assert.equal((await vpp.routes.get('10.90.0.0/16'))?.paths[0]?.type, 'drop');
 * assert.equal((await vpp.routes.lookup('10.90.1.2'))?.prefix, '10.90.0.0/16');
 * assert.ok((await vpp.routes.sources()).has('API'));
 * await vpp.routes.delete('10.90.0.0/16');
 * const wan = await vpp.loopbacks.create({ addresses: ['10.91.0.1/24'], up: true });
 * const way = (host: number) => ({ prefix: '10.92.0.0/16', via: `10.91.0.${host}`, interface: wan });
 * await vpp.routes.addPaths(way(2));
 * await vpp.routes.addPaths(way(3));
 * await vpp.routes.deletePaths(way(2));
 * assert.equal((await vpp.routes.get('10.92.0.0/16'))?.paths[0]?.via, '10.91.0.3');
 * await vpp.routes.delete('10.92.0.0/16');
 * await wan.delete();
 * await vpp.tables.ensure({ id: 902 });
 * const many = [1, 2, 3].map((n) => ({ prefix: `10.93.${n}.0/24`, type: 'drop' }) as const);
 * assert.equal(await vpp.routes.addMany(many, { table: 902 }), 3);
 * assert.equal(await vpp.routes.deleteMany(['10.93.3.0/24'], { table: 902 }), 1);
 * const { added, unchanged } = await vpp.routes.sync(902, many);
 * assert.deepEqual([added, unchanged], [1, 2]);
 * await vpp.routes.sync(902, []);
 * await vpp.tables.delete(902);
 * await vpp.close();
 * ```
 */
export class Routes {
  readonly #core: Core;
  readonly #interfaces: Interfaces;

  constructor(core: Core, interfaces: Interfaces) {
    this.#core = core;
    this.#interfaces = interfaces;
  }

  /** Who can make routes: VPP's sources, name to number. */
  async sources(): Promise<Map<string, number>> {
    const rows = await this.#core.rows('fib_source_dump', {}, 'route sources');
    return new Map(rows.map(({ src }) => [src.name, src.id]));
  }

  /** Adds a route, or gives it these paths instead of those it has. */
  async add(route: TableRoute): Promise<void> {
    const { table = 0, ...rest } = route;
    const { prefix, wire } = await this.#wire(rest, table);
    await sendRoute(this.#core, routeChange(table, prefix, wire, true), 'add it');
  }

  /** Adds paths to a route; makes it when it is not there. */
  async addPaths(route: TableRoute): Promise<void> {
    const { table = 0, ...rest } = route;
    const { prefix, wire } = await this.#wire(rest, table);
    await sendRoute(this.#core, routeChange(table, prefix, wire, true, true), 'add paths to it');
  }

  /** Takes paths away from a route; the last one takes the route along. */
  async deletePaths(route: TableRoute): Promise<void> {
    const { table = 0, ...rest } = route;
    const { prefix, wire } = await this.#wire(rest, table);
    await sendRoute(this.#core, routeChange(table, prefix, wire, false, true), 'take paths from it');
  }

  /** Deletes a route with all its paths. VPP does not say whether there was one. */
  async delete(prefix: string, options: { table?: number } = {}): Promise<void> {
    const { table = 0 } = options;
    await sendRoute(this.#core, routeChange(table, networkPrefix(prefix), [], false), 'delete it');
  }

  /** Makes the route have exactly these paths; false when it had them already. */
  async ensure(route: TableRoute): Promise<boolean> {
    const { table = 0, ...rest } = route;
    const { prefix, wire } = await this.#wire(rest, table);
    const held = await this.#lookup(prefix, table, true);
    if (held !== undefined) {
      const sets = new PathSets();
      const api = (await this.sources()).get('API');
      if (held.src === api && sets.ofReceived(wire) === sets.ofReceived(held.paths)) return false;
    }
    await sendRoute(this.#core, routeChange(table, prefix, wire, true), 'add it');
    return true;
  }

  /** The route to an address (the longest prefix that holds it), or to a whole prefix; undefined when there is none. */
  async lookup(address: string, options: { table?: number } = {}): Promise<HeldRoute | undefined> {
    const { table = 0 } = options;
    const host = isIpv4(address) ? `${address}/32` : isIpv6(address) ? `${address}/128` : address;
    return this.#find(networkPrefix(host), table, false);
  }

  /** The route of exactly this prefix; undefined when there is none. */
  async get(prefix: string, options: { table?: number } = {}): Promise<HeldRoute | undefined> {
    return this.#find(networkPrefix(prefix), options.table ?? 0, true);
  }

  async #find(prefix: string, table: number, exact: boolean): Promise<HeldRoute | undefined> {
    const found = await this.#lookup(prefix, table, exact);
    if (found === undefined) return undefined;
    return {
      prefix: found.prefix,
      table: found.table_id,
      paths: found.paths.map(heldPath),
      source: found.src,
      statsIndex: found.stats_index,
    };
  }

  async #lookup(prefix: string, table: number, exact: boolean) {
    const object = `route ${prefix} in table ${table}`;
    const fields = { table_id: table, exact: exact ? 1 : 0, prefix };
    try {
      const { route } = await this.#core.request('ip_route_lookup_v2', fields, object, 'look it up');
      return { ...route, paths: route.paths as unknown as ReceivedPath[] };
    } catch (error) {
      if (error instanceof VppObjectError && error.retval === NO_SUCH_ENTRY) return undefined;
      throw error;
    }
  }

  /** Routes of a table, as they come; for millions. `for await (const route of vpp.routes.list())` */
  async *list(filter: RouteFilter = {}): AsyncGenerator<HeldRoute, void, undefined> {
    const { table = 0, family, source, signal } = filter;
    let number = 0;
    if (source !== undefined) {
      const sources = await this.sources();
      const found = sources.get(source);
      if (found === undefined) {
        const problem = `VPP has no such source; it has ${[...sources.keys()].join(', ')}`;
        throw new VppObjectError('ERR_VPP_OBJECT_MISSING', `route source ${source}`, problem);
      }
      number = found;
    }
    for (const version of [4, 6] as const) {
      if (family !== undefined && family !== `ip${version}`) continue;
      yield* this.#listFamily(table, version, number, signal);
    }
  }

  async *#listFamily(
    table: number,
    family: 4 | 6,
    source: number,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<HeldRoute, void, undefined> {
    const sets = new PathSets();
    const scratch = new FamilyRoutes(family, 1);
    const query = { table, family, source, signal };
    for await (const read of routeBatches(this.#core, query, sets)) {
      const batch: HeldRoute[] = [];
      read((bytes, offset, length, pathSet, from, statsIndex) => {
        const prefix = scratch.prefix(scratch.set(bytes, offset, length, pathSet));
        scratch.clear();
        batch.push({ prefix, table, paths: sets.held(pathSet), source: from, statsIndex });
      });
      yield* batch;
    }
  }

  /** Adds many routes, pipelined; the number added. Rejects when any failed, after all have been tried. */
  async addMany(routes: Iterable<Route>, options: BulkOptions = {}): Promise<number> {
    const { table = 0 } = options;
    const resolver = new PathResolver(this.#interfaces);
    const unsent: VppObjectError[] = [];
    const changes = async function* (): AsyncGenerator<RouteChange> {
      for (const route of routes) {
        try {
          const { prefix, wire } = await wireRoute(resolver, route, table);
          yield routeChange(table, prefix, wire, true);
        } catch (error) {
          if (!(error instanceof VppObjectError)) throw error;
          unsent.push(error);
        }
      }
    };
    return this.#bulk(changes(), options, 'add', unsent);
  }

  /** Deletes many routes, pipelined; the number VPP was told to delete, for it does not say whether they were there. */
  async deleteMany(prefixes: Iterable<string>, options: BulkOptions = {}): Promise<number> {
    const { table = 0 } = options;
    const changes = function* (): Generator<RouteChange> {
      for (const prefix of prefixes) yield routeChange(table, networkPrefix(prefix), [], false);
    };
    return this.#bulk(changes(), options, 'delete', []);
  }

  /** `unsent`: what failed before it was sent; looked at afterwards. */
  async #bulk(
    changes: Iterable<RouteChange> | AsyncIterable<RouteChange>,
    options: BulkOptions,
    verb: string,
    unsent: readonly VppObjectError[],
  ): Promise<number> {
    const { succeeded, failed, failures } = await sendRoutes(this.#core, changes, options);
    const bad = failed + unsent.length;
    if (bad === 0) return succeeded;
    const first = unsent[0] ?? failures[0]!.error;
    const problem = `cannot ${verb} ${bad} of them; the first: ${first.message}`;
    throw new VppObjectError('ERR_VPP_OBJECT_REFUSED', `${succeeded + bad} routes`, problem, { cause: first });
  }

  /**
   * Makes a table hold exactly these routes, of the source API, in both families (or the one of `options.family`): asks
   * VPP what it holds, and sends the difference as one pipelined run.
   *
   * `desired` may be a million routes: they are kept in some tens of bytes each, and may be made one by one by a
   * generator. Routes that differ are replaced, then missing ones are added, then the others deleted.
   *
   * @throws VppSyncError ERR_VPP_OBJECT_REFUSED when VPP refused routes, after everything was tried; its `cause` is
   *   the first refusal and `result` says the rest
   * @throws VppObjectError ERR_VPP_OBJECT_MISSING when there is no such table; nothing was sent
   */
  sync(table: number, desired: Iterable<Route> | AsyncIterable<Route>, options: SyncOptions = {}): Promise<SyncResult> {
    return syncRoutes(this.#core, this.#interfaces, table, desired, options);
  }

  #wire(route: Route, table: number): Promise<{ prefix: string; wire: WirePath[] }> {
    return wireRoute(new PathResolver(this.#interfaces), route, table);
  }
}

/** A route as VPP wants it. */
async function wireRoute(
  resolver: PathResolver,
  route: Route,
  table: number,
): Promise<{ prefix: string; wire: WirePath[] }> {
  const prefix = networkPrefix(route.prefix);
  const object = `route ${prefix} in table ${table}`;
  const family = parsePrefix(prefix).version;
  const wire: WirePath[] = [];
  for (const path of pathsIn(route)) {
    wire.push(wirePath(resolver.now(path) ?? (await resolver.resolve(path)), family, object));
  }
  return { prefix, wire };
}
