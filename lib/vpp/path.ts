// Paths: where a route, a policy or a cross-connect sends packets. People write `RoutePath`, VPP has `fib_path`.
//
//   { via: '10.0.0.1', interface: lan }     to a neighbour
//   { interface: lan }                      to whoever is attached there
//   { via: '10.0.0.1' }                     recursive: as the route to 10.0.0.1 in the same, or another, table says
//   { lookup: 7 }                           look again, in table 7
//   { type: 'drop' }                        and 'local', 'receive', 'unreachable', 'prohibit'
//
// Invariant: pathKey() of what was sent and of what VPP gives back for it are equal.

import { isIpv4, isIpv6, normalizeIp } from '../net/index.js';
import { ArgumentRangeError, ArgumentTypeError, VppObjectError } from '../errors.js';
import { NO_INDEX } from './core.js';
import { Interface } from './interface.js';
import type { InterfaceRef, Interfaces } from './interfaces.js';

/** Where packets go instead of to a neighbour. */
export type PathType =
  /** To VPP's own stack, and punted when nobody there takes them (`punt` is the same). */
  | 'local'
  | 'punt'
  /** The address of an interface itself. */
  | 'receive'
  | 'drop'
  /** Dropped, with an ICMP answer. */
  | 'unreachable'
  | 'prohibit'
  /** Direct: as the address of the packet itself says, at layer 2 (`dvr`). */
  | 'dvr';

/** An MPLS label that is put on. */
export interface PathLabel {
  readonly label: number;
  readonly ttl?: number;
  readonly exp?: number;
}

/** One path. See above. */
export interface RoutePath {
  /** The next hop's address. */
  readonly via?: string | undefined;
  /** The interface; without it a next hop is looked up (recursive). */
  readonly interface?: InterfaceRef | undefined;
  /** The table in which a recursive next hop is looked up; default 0. */
  readonly table?: number | undefined;
  /** Look the destination up again in this table. */
  readonly lookup?: number | undefined;
  readonly type?: PathType | undefined;
  /** Share of the packets among paths of one preference, 1 … 255; default 1. */
  readonly weight?: number | undefined;
  /** Lower is better, 0 … 255; the others wait until it fails. Default 0. */
  readonly preference?: number | undefined;
  readonly labels?: readonly PathLabel[] | undefined;
  /** A recursive next hop must be covered by a host route, or an attached one. VPP does not tell it: not compared. */
  readonly resolveVia?: 'host' | 'attached' | undefined;
}

/** A path as VPP gives it: interfaces by sw_if_index. */
export interface HeldPath extends Omit<RoutePath, 'interface'> {
  readonly interface?: number;
  /** Fields of VPP that no `RoutePath` has, for types this layer does not make (`udp-encap`, `bier`, …). */
  readonly vppType?: number;
}

/** A path with its interface resolved. */
export type ResolvedPath = Omit<RoutePath, 'interface'> & { readonly interface?: number | undefined };

/** Fields of a fib_path to send. */
export interface WirePath {
  sw_if_index: number;
  table_id: number;
  rpf_id: number;
  weight: number;
  preference: number;
  type: number;
  flags: number;
  proto: number;
  nh: { address: string; via_label: number; obj_id: number; classify_table_index: number };
  n_labels: number;
  label_stack: { is_uniform: number; label: number; ttl: number; exp: number }[];
}

/** Path types of VPP (fib_path_type). */
export const PathTypes = {
  normal: 0,
  local: 1,
  drop: 2,
  udpEncap: 3,
  bierImp: 4,
  unreachable: 5,
  prohibit: 6,
  dvr: 8,
} as const;

const MPLS_LABEL_INVALID = 0x100000;
const typeNumbers: Readonly<Record<PathType, number>> = {
  local: PathTypes.local,
  punt: PathTypes.local,
  receive: PathTypes.local,
  drop: PathTypes.drop,
  unreachable: PathTypes.unreachable,
  prohibit: PathTypes.prohibit,
  dvr: PathTypes.dvr,
};
const typeNames: Readonly<Record<number, PathType>> = {
  1: 'local',
  2: 'drop',
  5: 'unreachable',
  6: 'prohibit',
  8: 'dvr',
};

function byte(value: number | undefined, otherwise: number, what: string): number {
  if (value === undefined) return otherwise;
  if (!Number.isInteger(value) || value < 0 || value > 255) {
    throw new ArgumentRangeError(`the ${what} of a path is 0 … 255, not ${value}`);
  }
  return value;
}

/**
 * A path as VPP wants it. `family` is that of the prefix; a next hop of the other one decides itself.
 *
 * @throws ArgumentTypeError when it says nothing, or two things at once
 */
export function wirePath(path: ResolvedPath, family: 4 | 6, object: string): WirePath {
  const { via, lookup, type, resolveVia, labels = [] } = path;
  if (via !== undefined && !isIpv4(via) && !isIpv6(via)) {
    throw new ArgumentTypeError(`${object}: the next hop "${via}" is no IP address`);
  }
  if (type !== undefined && !Object.hasOwn(typeNumbers, type)) {
    if ((type as string) === 'bier' || (type as unknown) === PathTypes.bierImp) {
      const problem = 'cannot send a path of type BIER_IMP: VPP 26.06 crashes when its object does not exist';
      throw new VppObjectError('ERR_VPP_OBJECT_UNSAFE', object, `${problem}; use the message itself`);
    }
    throw new ArgumentTypeError(`${object}: a path has no type "${type as string}"`);
  }
  if (via === undefined && path.interface === undefined && lookup === undefined && type === undefined) {
    throw new ArgumentTypeError(`${object}: a path needs via, interface, lookup or type`);
  }
  if (lookup !== undefined && (via !== undefined || path.interface !== undefined)) {
    throw new ArgumentTypeError(`${object}: a path with lookup has neither via nor interface`);
  }
  if (type === 'receive' && path.interface === undefined) {
    throw new ArgumentTypeError(`${object}: a path of type receive needs the interface whose address it is`);
  }
  const six = via === undefined ? family === 6 : isIpv6(via);
  return {
    sw_if_index: path.interface ?? NO_INDEX,
    table_id: lookup ?? path.table ?? 0,
    rpf_id: 0,
    weight: byte(path.weight, 1, 'weight') || 1,
    preference: byte(path.preference, 0, 'preference'),
    type: type === undefined ? PathTypes.normal : typeNumbers[type],
    flags: resolveVia === 'attached' ? 1 : resolveVia === 'host' ? 2 : 0,
    proto: six ? 1 : 0,
    nh: {
      address: via === undefined ? (six ? '::' : '0.0.0.0') : normalizeIp(via),
      via_label: MPLS_LABEL_INVALID,
      obj_id: 0,
      classify_table_index: 0,
    },
    n_labels: labels.length,
    label_stack: labels.map(({ label, ttl = 0, exp = 0 }) => ({ is_uniform: 0, label, ttl, exp })),
  };
}

/** What VPP sends of a path: `nh.address` is text for IPv4 and IPv6, and bytes as `0x…` otherwise. */
export interface ReceivedPath {
  readonly sw_if_index: number;
  readonly table_id: number;
  readonly weight: number;
  readonly preference: number;
  readonly type: number;
  readonly flags: number;
  readonly proto: number;
  readonly nh: { readonly address: unknown };
  readonly n_labels: number;
  readonly label_stack: readonly { readonly label: number; readonly ttl: number; readonly exp: number }[];
}

const text = (address: unknown): string => (typeof address === 'string' ? address : '');

/** A path that VPP has given, in our words. */
export function heldPath(path: ReceivedPath): HeldPath {
  const address = text(path.nh.address);
  const via = address === '0.0.0.0' || address === '::' || address.startsWith('0x') ? undefined : address;
  const index = path.sw_if_index === NO_INDEX ? undefined : path.sw_if_index;
  const normal = path.type === PathTypes.normal;
  const lookup = normal && via === undefined && index === undefined ? path.table_id : undefined;
  const recursive = normal && via !== undefined && index === undefined && path.table_id !== 0;
  const type = path.type === PathTypes.local && index !== undefined ? 'receive' : typeNames[path.type];
  return {
    ...(via === undefined || !(normal || path.type === PathTypes.dvr) ? {} : { via }),
    ...(index === undefined ? {} : { interface: index }),
    ...(recursive ? { table: path.table_id } : {}),
    ...(lookup === undefined ? {} : { lookup }),
    ...(type === undefined ? {} : { type }),
    ...(normal || type !== undefined ? {} : { vppType: path.type }),
    ...(path.weight === 1 ? {} : { weight: path.weight }),
    ...(path.preference === 0 ? {} : { preference: path.preference }),
    ...(path.n_labels === 0
      ? {}
      : { labels: path.label_stack.slice(0, path.n_labels).map(({ label, ttl, exp }) => ({ label, ttl, exp })) }),
    ...((path.flags & 1) !== 0 ? { resolveVia: 'attached' as const } : {}),
    ...((path.flags & 2) !== 0 ? { resolveVia: 'host' as const } : {}),
  };
}

/** What makes a path this one, whoever has written it down. */
export function pathKey(path: ReceivedPath, alone: boolean): string {
  const labels = path.label_stack.slice(0, path.n_labels).map(({ label }) => label);
  const normal = path.type === PathTypes.normal;
  // What VPP does not tell: the interface and address of a drop, the table of a path with an interface, how a recursive
  // next hop has to be covered.
  const index = normal || path.type === PathTypes.local || path.type === PathTypes.dvr ? path.sw_if_index : NO_INDEX;
  const table = normal && index === NO_INDEX ? path.table_id : 0;
  const address = normal ? text(path.nh.address) : '';
  const weight = alone ? 1 : path.weight;
  const { type, preference } = path;
  return `${type} ${index} ${table} ${address} ${weight} ${preference} ${labels.join(',')}`;
}

/** Interfaces of paths as sw_if_index; each name is looked up once. */
export class PathResolver {
  readonly #interfaces: Interfaces;
  readonly #known = new Map<string, number>();

  constructor(interfaces: Interfaces) {
    this.#interfaces = interfaces;
  }

  /** The path with its interface resolved, when that needs no question to VPP. */
  now(path: RoutePath): ResolvedPath | undefined {
    const ref = path.interface;
    if (ref === undefined || typeof ref === 'number') return path as ResolvedPath;
    if (ref instanceof Interface) return { ...path, interface: ref.mustLive('route over it').index };
    const index = this.#known.get(ref);
    return index === undefined ? undefined : { ...path, interface: index };
  }

  async resolve(path: RoutePath): Promise<ResolvedPath> {
    const now = this.now(path);
    if (now !== undefined) return now;
    const name = path.interface as string;
    const { index } = await this.#interfaces.get(name);
    this.#known.set(name, index);
    return { ...path, interface: index };
  }
}

/** Paths of a message (a route, a policy, …) as VPP wants them. */
export async function wirePaths(
  interfaces: Interfaces,
  paths: readonly RoutePath[],
  family: 4 | 6,
  object: string,
): Promise<WirePath[]> {
  const resolver = new PathResolver(interfaces);
  const wire: WirePath[] = [];
  for (const path of paths) wire.push(wirePath(await resolver.resolve(path), family, object));
  return wire;
}
