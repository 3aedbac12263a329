// The difference between what a table should hold and what it holds, and sending it.
//
//   desired ─► FamilyRoutes (some tens of bytes a route) ◄─ looked up ─ rows of ip_route_v2_dump, source API
//                 │ marks: seen and the same │ seen and different │ not seen
//                 ▼
//   runs of requests:  replace what differs │ add what was not seen │ delete what nobody wants

import { NodeVppError, VppObjectError } from '../errors.js';
import type { Core } from './core.js';
import type { Interfaces } from './interfaces.js';
import { PathSets } from './path-sets.js';
import { PathResolver, type ResolvedPath, type RoutePath } from './path.js';
import { routeBatches } from './route-rows.js';
import { FamilyRoutes, scanPrefixInto } from './route-set.js';
import { routeChange, sendRoutes, type RouteChange } from './route-requests.js';
import { pathsIn, type Route } from './routes.js';

/** Where a sync is. */
export interface SyncProgress {
  readonly phase: 'reading' | 'comparing' | 'sending';
  /** Routes read, compared or sent in this phase. */
  readonly done: number;
  /** Of so many, when that is known. */
  readonly total: number | undefined;
}

/** How to sync. */
export interface SyncOptions {
  /** Only this family; default both. */
  readonly family?: 'ip4' | 'ip6';
  /** In flight at most, default 1024. */
  readonly window?: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: SyncProgress) => void;
  /** Routes that are not desired and are to stay, such as those of another program that uses the API. */
  readonly keep?: (prefix: string) => boolean;
  /** Compare only: nothing is sent. */
  readonly dryRun?: boolean;
}

/** What a sync did, or with `dryRun` would do. */
export interface SyncResult {
  readonly added: number;
  readonly replaced: number;
  readonly deleted: number;
  readonly unchanged: number;
  /** Routes that VPP refused. */
  readonly failed: number;
  /** The first hundred of them. */
  readonly failures: readonly { readonly prefix: string; readonly error: Error }[];
  /** Bytes the desired routes took while they were held. */
  readonly bytesHeld: number;
}

/**
 * Some routes of a sync were refused: `result` says how it went.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { openVpp, VppSyncError } from 'node-vpp/vpp';
 *
 * const vpp = await openVpp({ socket: process.env.VPP_SOCKET ?? '/run/vpp/api.sock' });
 * await vpp.tables.ensure({ id: 903 });
 * const good = { prefix: '10.94.0.0/16', type: 'drop' } as const;
 * const bad = { prefix: '10.95.0.0/16', interface: 54321 };
 * const error: unknown = await vpp.routes.sync(903, [good, bad]).catch((reason: unknown) => reason);
 * assert.ok(error instanceof VppSyncError);
 * assert.deepEqual([error.result.added, error.result.failed], [1, 1]);
 * assert.equal(error.result.failures[0]?.prefix, '10.95.0.0/16');
 * await vpp.routes.sync(903, []);
 * await vpp.tables.delete(903);
 * await vpp.close();
 * ```
 */
export class VppSyncError extends VppObjectError {
  /** How many were added, replaced, deleted and refused, and the first of those. */
  readonly result: SyncResult;

  constructor(object: string, problem: string, result: SyncResult, options: ErrorOptions) {
    super('ERR_VPP_OBJECT_REFUSED', object, problem, options);
    this.result = result;
  }
}

const SAME = 1;
const DIFFERENT = 2;
const MAX_FAILURES = 100;
const scratch = new Uint8Array(16);

/** What is done with a route. In this order: a packet never finds less than both tables have in common. */
const kinds = ['replaced', 'added', 'deleted'] as const;
type Kind = (typeof kinds)[number];

/** One family of a table. */
class Family {
  readonly desired: FamilyRoutes;
  readonly unwanted: FamilyRoutes;
  same = 0;
  different = 0;

  constructor(family: 4 | 6) {
    this.desired = new FamilyRoutes(family);
    this.unwanted = new FamilyRoutes(family, 16);
  }

  get missing(): number {
    return this.desired.size - this.same - this.different;
  }

  /** A route that VPP holds. */
  held(bytes: Uint8Array, offset: number, length: number, pathSet: number): void {
    const { desired } = this;
    const at = desired.find(bytes, offset, length);
    if (at < 0) {
      this.unwanted.set(bytes, offset, length, pathSet);
      return;
    }
    if (desired.mark(at) !== 0) return; // a table has a route once
    const same = desired.pathSet(at) === pathSet;
    desired.setMark(at, same ? SAME : DIFFERENT);
    if (same) this.same += 1;
    else this.different += 1;
  }

  /** How many routes there are of a kind, those to keep among them. */
  count(kind: Kind): number {
    if (kind === 'deleted') return this.unwanted.size;
    return kind === 'replaced' ? this.different : this.missing;
  }

  /** The messages for a kind, in the order in which the routes were desired. */
  *changes(kind: Kind, table: number, sets: PathSets, keep: SyncOptions['keep']): Generator<RouteChange> {
    if (kind === 'deleted') {
      const { unwanted } = this;
      for (let at = 0; at < unwanted.end; at += 1) {
        const prefix = unwanted.prefix(at);
        if (keep?.(prefix) !== true) yield routeChange(table, prefix, [], false);
      }
      return;
    }
    const { desired } = this;
    const wanted = kind === 'replaced' ? DIFFERENT : 0;
    for (let at = 0; at < desired.end; at += 1) {
      if (desired.mark(at) !== wanted) continue;
      yield routeChange(table, desired.prefix(at), sets.wire(desired.pathSet(at)), true);
    }
  }
}

/** Takes in what is desired. */
class Intake {
  readonly #sets: PathSets;
  readonly #resolver: PathResolver;
  readonly #families: Readonly<Partial<Record<4 | 6, Family>>>;
  readonly #table: number;
  count = 0;

  constructor(sets: PathSets, resolver: PathResolver, families: Partial<Record<4 | 6, Family>>, table: number) {
    this.#sets = sets;
    this.#resolver = resolver;
    this.#families = families;
    this.#table = table;
  }

  /** Takes one route; a promise only when an interface has to be asked for by name. */
  take(route: Route): undefined | Promise<void> {
    const scanned = scanPrefixInto(route.prefix, scratch);
    const version = (scanned >> 8) as 4 | 6;
    const length = scanned & 0xff;
    const family = this.#families[version];
    if (family === undefined) {
      const problem = `it is not of the family that is to be synced`;
      throw new VppObjectError('ERR_VPP_OBJECT_REFUSED', `route ${route.prefix}`, problem);
    }
    this.count += 1;
    // The array of paths stands for itself when it is the same for many routes.
    const known = route.paths === undefined ? -1 : this.#sets.known(route.paths, version);
    if (known >= 0) {
      family.desired.set(scratch, 0, length, known);
      return undefined;
    }
    const paths = pathsIn(route);
    const object = `route ${route.prefix} in table ${this.#table}`;
    const resolved = this.#resolved(paths);
    if (resolved !== undefined) {
      family.desired.set(scratch, 0, length, this.#sets.ofPaths(resolved, version, object, route.paths));
      return undefined;
    }
    const network = scratch.slice();
    return (async () => {
      const found: ResolvedPath[] = [];
      for (const path of paths) found.push(await this.#resolver.resolve(path));
      family.desired.set(network, 0, length, this.#sets.ofPaths(found, version, object, route.paths));
    })();
  }

  #resolved(paths: readonly RoutePath[]): ResolvedPath[] | undefined {
    const resolved: ResolvedPath[] = [];
    for (const path of paths) {
      const now = this.#resolver.now(path);
      if (now === undefined) return undefined;
      resolved.push(now);
    }
    return resolved;
  }
}

const PROGRESS_EVERY = 16_384;

async function takeAll(
  intake: Intake,
  desired: Iterable<Route> | AsyncIterable<Route>,
  signal: AbortSignal | undefined,
  onProgress: ((done: number) => void) | undefined,
): Promise<void> {
  const told = (): void => {
    signal?.throwIfAborted();
    onProgress?.(intake.count);
  };
  if (Symbol.asyncIterator in desired) {
    for await (const route of desired) {
      await intake.take(route);
      if (intake.count % PROGRESS_EVERY === 0) told();
    }
  } else {
    for (const route of desired) {
      const later = intake.take(route);
      if (later !== undefined) await later;
      if (intake.count % PROGRESS_EVERY === 0) {
        told();
        // Others have a turn while a million routes are taken in.
        await new Promise((resolve) => setImmediate(resolve));
      }
    }
  }
  told();
}

/** See `Routes.sync`. */
export async function syncRoutes(
  core: Core,
  interfaces: Interfaces,
  table: number,
  desired: Iterable<Route> | AsyncIterable<Route>,
  options: SyncOptions,
): Promise<SyncResult> {
  const { family, window, signal, onProgress, keep, dryRun = false } = options;
  signal?.throwIfAborted();
  const sets = new PathSets();
  const versions = ([4, 6] as const).filter((version) => family === undefined || family === `ip${version}`);
  const families = Object.fromEntries(versions.map((version) => [version, new Family(version)])) as Partial<
    Record<4 | 6, Family>
  >;
  const all = Object.values(families);
  const intake = new Intake(sets, new PathResolver(interfaces), families, table);
  // VPP gathers and sends what it holds while the desired routes are taken in; the rows wait as bytes.
  const api = await sourceApi(core);
  const stop = new AbortController();
  const either = signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal]);
  const dumps = versions.map((version) => ({
    version,
    batches: routeBatches(core, { table, family: version, source: api, signal: either }, sets),
  }));
  try {
    await takeAll(intake, desired, signal, (done) => onProgress?.({ phase: 'reading', done, total: undefined }));
  } catch (error) {
    stop.abort();
    throw error;
  }

  for (const version of versions) {
    if (families[version]!.desired.size === 0) continue;
    if (await hasTable(core, table, version)) continue;
    stop.abort();
    const problem = `VPP has no ip${version} table ${table}; vpp.tables.ensure({ id: ${table} }) makes it`;
    throw new VppObjectError('ERR_VPP_OBJECT_MISSING', `table ${table}`, problem);
  }

  let compared = 0;
  for (const { version, batches } of dumps) {
    const part = families[version]!;
    for await (const read of batches) {
      read((bytes, offset, length, pathSet) => {
        part.held(bytes, offset, length, pathSet);
        compared += 1;
      });
      onProgress?.({ phase: 'comparing', done: compared, total: undefined });
    }
  }

  const sum = (of: (part: Family) => number): number => all.reduce((total, part) => total + of(part), 0);
  const counts = { added: 0, replaced: 0, deleted: 0 };
  const failures: { prefix: string; error: Error }[] = [];
  let failed = 0;
  let done = 0;
  const total = sum((part) => part.different + part.missing + part.unwanted.size);
  const tell = (answered: number): void => onProgress?.({ phase: 'sending', done: answered, total });
  for (const kind of kinds) {
    for (const part of all) {
      if (part.count(kind) === 0) continue;
      const changes = part.changes(kind, table, sets, keep);
      if (dryRun) {
        for (const _ of changes) counts[kind] += 1;
        continue;
      }
      const before = done;
      const run = await sendRoutes(core, changes, {
        window,
        signal,
        onProgress: (answered) => tell(before + answered),
      });
      counts[kind] += run.succeeded;
      failed += run.failed;
      done += run.succeeded + run.failed;
      failures.push(...run.failures.slice(0, MAX_FAILURES - failures.length));
    }
  }
  if (total === 0 && !dryRun) tell(0);
  const unchanged = sum((part) => part.same);
  const result: SyncResult = {
    ...counts,
    unchanged,
    failed,
    failures,
    bytesHeld: sum((part) => part.desired.bytesHeld),
  };
  if (failed === 0) return result;
  const problem = `VPP refused ${failed} of ${total} changes; the first: ${failures[0]!.error.message}`;
  throw new VppSyncError(`table ${table}`, problem, result, { cause: failures[0]!.error });
}

/** Asked before a million routes are refused one by one. */
async function hasTable(core: Core, id: number, version: 4 | 6): Promise<boolean> {
  if (id === 0) return true;
  const rows = await core.rows('ip_table_dump', {}, 'tables');
  return rows.some(({ table }) => table.table_id === id && table.is_ip6 === (version === 6));
}

/** VPP's number for the source API. */
async function sourceApi(core: Core): Promise<number> {
  const rows = await core.rows('fib_source_dump', {}, 'route sources');
  const api = rows.find(({ src }) => src.name === 'API');
  if (api === undefined) throw new NodeVppError('ERR_VPP_OBJECT_MISSING', 'VPP does not list a route source API');
  return api.src.id;
}
