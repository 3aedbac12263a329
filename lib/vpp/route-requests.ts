// Sending routes: one, or a run of them as long as you like. A run takes its items as VPP answers (`requestMany`): a
// million routes are never a million objects, and no promise is made for each.

import type { ManyOptions, ManyReport } from '../api/index.js';
import { VppApiError, VppObjectError } from '../errors.js';
import { said, type Core } from './core.js';
import type { WirePath } from './path.js';

/** In an `ip_route`, the number for VPP's default source, API. */
const DEFAULT_SOURCE = 0;

/** Fields of one ip_route_add_del_v2. */
export interface RouteChange {
  readonly is_add: boolean;
  readonly is_multipath: boolean;
  readonly route: {
    readonly table_id: number;
    readonly prefix: string;
    readonly src: number;
    readonly paths: readonly WirePath[];
  };
}

/** How a run goes. */
export interface RunOptions {
  /** In flight at most, default 1024. */
  readonly window?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Called now and then, and at the end, with the number of routes answered. */
  readonly onProgress?: ((done: number) => void) | undefined;
}

/** What became of a run. */
export interface RunResult {
  readonly succeeded: number;
  readonly failed: number;
  /** The first thousand that VPP refused. */
  readonly failures: readonly { readonly prefix: string; readonly error: VppObjectError }[];
}

/** The message that gives a route these paths, or takes it or them away. */
export function routeChange(
  table: number,
  prefix: string,
  paths: readonly WirePath[],
  isAdd: boolean,
  isMultipath = false,
): RouteChange {
  return { is_add: isAdd, is_multipath: isMultipath, route: { table_id: table, prefix, src: DEFAULT_SOURCE, paths } };
}

/** Sends one. */
export function sendRoute(core: Core, change: RouteChange, doing: string): Promise<unknown> {
  const { prefix, table_id: table } = change.route;
  return core.request('ip_route_add_del_v2', change, `route ${prefix} in table ${table}`, doing);
}

interface Many {
  requestMany(
    name: 'ip_route_add_del_v2',
    changes: Iterable<RouteChange> | AsyncIterable<RouteChange>,
    options: ManyOptions,
  ): Promise<ManyReport>;
}

/**
 * Sends many. What VPP refuses is in the result, and the rest goes on.
 *
 * Rejects, after what is in flight has been answered, with the signal's reason, with the loss of the connection, or with
 * what `changes` threw.
 */
export async function sendRoutes(
  core: Core,
  changes: Iterable<RouteChange> | AsyncIterable<RouteChange>,
  options: RunOptions,
): Promise<RunResult> {
  const { window = 1024, signal, onProgress } = options;
  core.newest('ip_route_add_del_v2');
  const report = await (core.client as Many).requestMany('ip_route_add_del_v2', changes, {
    window,
    ...(signal === undefined ? {} : { signal }),
    ...(onProgress === undefined ? {} : { onProgress: ({ completed }) => onProgress(completed) }),
  });
  if (report.stopped !== undefined) throw report.stopped as Error;
  const { succeeded, failed } = report;
  const failures = report.failures.map(({ error }) => {
    // Anything else (fields that do not fit, no answer in time) says nothing about a route.
    if (!(error instanceof VppApiError)) throw error;
    return refusal(error);
  });
  return { succeeded, failed, failures };
}

/** Why a route was refused, in few words: of a thousand alike. */
function refusal(error: VppApiError): { prefix: string; error: VppObjectError } {
  const { prefix, table_id: table } = (error.fields as unknown as RouteChange).route;
  const object = `route ${prefix} in table ${table}`;
  const problem = `cannot change it: ${said(error)}`;
  return { prefix, error: new VppObjectError('ERR_VPP_OBJECT_REFUSED', object, problem, { cause: error }) };
}
