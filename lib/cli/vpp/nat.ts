// NAT44 in the document: dumped, compared, applied. It is one entry with lists, of which a list that is left out is not
// looked at. Members of a list have no order; one is found again by its end: the interface, or the outside address with
// port and protocol. Pools are compared by address, so that one range or two neighbouring ones are the same.
//
// What is new is added before what is gone is deleted, so that translation goes on, except where VPP has room for one only:
// then the one gives way to the other, for the file says what is to be there, with `--prune` or without.

import { ipv4FromNumber, ipv4ToNumber } from '../../net/index.js';
import type { Nat44Balancer, Nat44Identity, Nat44Mapping, Nat44Pool, Nat44Timeouts, Vpp } from '../../vpp/index.js';
import { covers } from './covers.js';

/** NAT44. */
export interface NatEntry {
  inside?: string[];
  outside?: string[];
  /** Translated after routing (`output-feature`). */
  output?: string[];
  interfacePools?: string[];
  pools?: Nat44Pool[];
  mappings?: Nat44Mapping[];
  balancers?: Nat44Balancer[];
  identities?: Nat44Identity[];
  timeouts?: Partial<Nat44Timeouts>;
  forwarding?: boolean;
}

const sides = ['inside', 'outside', 'output'] as const;
const ends = ['mappings', 'balancers', 'identities'] as const;
/** The lists, in the order in which they lose members. */
const lists = [...ends, 'pools', 'interfacePools', ...sides] as const;
type List = (typeof lists)[number];

/** What is wrong with something read from a file; undefined when it can be NAT44. */
export function natProblem(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return 'nat44 is an object with lists';
  for (const [name, member] of Object.entries(value)) {
    if (name === 'timeouts') {
      if (typeof member !== 'object' || member === null || Array.isArray(member)) return 'nat44.timeouts is an object';
    } else if (name === 'forwarding') {
      if (typeof member !== 'boolean') return 'nat44.forwarding is true or false';
    } else if (!lists.includes(name as List)) {
      return `"${name}" is nothing of nat44 (${[...lists, 'timeouts', 'forwarding'].join(', ')})`;
    } else if (!Array.isArray(member)) return `nat44.${name} is a list`;
  }
  for (const pool of (value as NatEntry).pools ?? []) {
    try {
      addressesOf([pool]);
    } catch (error) {
      return `nat44.pools: ${JSON.stringify(pool)}: ${(error as Error).message}`;
    }
  }
  return undefined;
}

/** VPP's number for a pool of every table. */
const ALL_TABLES = 0xffffffff;

interface PoolAddress {
  readonly address: string;
  readonly table: number;
  readonly twice: boolean;
}

/** Each address of pools. */
function addressesOf(pools: readonly Nat44Pool[]): PoolAddress[] {
  return pools.flatMap(({ first, last = first, table = ALL_TABLES, twice = false }) => {
    const from = ipv4ToNumber(first);
    const count = Math.max(0, ipv4ToNumber(last) - from + 1);
    return Array.from({ length: count }, (_, at) => ({ address: ipv4FromNumber(from + at), table, twice }));
  });
}

/** The same as ranges. */
function rangesOf(addresses: readonly PoolAddress[]): Nat44Pool[] {
  const ranges: { first: string; last: string; table: number; twice: boolean }[] = [];
  for (const { address, table, twice } of addresses) {
    const range = ranges.at(-1);
    const next = range !== undefined && ipv4ToNumber(range.last) + 1 === ipv4ToNumber(address);
    if (next && range.table === table && range.twice === twice) range.last = address;
    else ranges.push({ first: address, last: address, table, twice });
  }
  return ranges.map(({ first, last, table, twice }) => ({
    ...{ first, last },
    ...(table === ALL_TABLES ? {} : { table }),
    ...(twice ? { twice } : {}),
  }));
}

const poolKey = ({ address, table, twice }: PoolAddress): string => `${address} ${table} ${twice}`;

/** What VPP has; undefined when NAT44 is off or its plugin is not there. */
export async function dumpNat(vpp: Vpp, name: (index: number) => string): Promise<NatEntry | undefined> {
  const config = await vpp.nat44.config().catch(() => undefined);
  if (config?.enabled !== true) return undefined;
  const on = await vpp.nat44.interfaces();
  const side = (which: (typeof sides)[number]): string[] =>
    on
      .filter((one) => one[which])
      .map(({ interfaceIndex }) => name(interfaceIndex))
      .sort();
  const interfacePools = await vpp.nat44.interfacePools();
  const mappings = await vpp.nat44.mappings();
  const identities = await vpp.nat44.identities();
  // What names an interface VPP holds once more, with the address that the interface has now.
  const addresses = new Map<number, string[]>();
  for (const index of [
    ...interfacePools.map(({ interfaceIndex }) => interfaceIndex),
    ...mappings.map(({ externalInterface }) => externalInterface as number | undefined),
    ...identities.map((one) => one.interface as number | undefined),
  ]) {
    if (index === undefined || addresses.has(index)) continue;
    const itf = await vpp.interfaces.find(index);
    addresses.set(index, itf === undefined ? [] : (await itf.addresses()).map((prefix) => prefix.split('/')[0]!));
  }
  const borrowed = new Set(interfacePools.flatMap(({ interfaceIndex }) => addresses.get(interfaceIndex)!));
  const resolved = <T extends object>(all: readonly T[], at: keyof T, to: keyof T): T[] =>
    all.filter(
      (one) =>
        one[at] === undefined ||
        !all.some((other) => {
          const over = other[to] as number | undefined;
          const same = { ...other, [at]: one[at], [to]: undefined };
          return over !== undefined && addresses.get(over)!.includes(one[at] as string) && covers(one, same);
        }),
    );
  return {
    inside: side('inside'),
    outside: side('outside'),
    output: side('output'),
    interfacePools: interfacePools.map(({ interfaceIndex }) => name(interfaceIndex)),
    pools: rangesOf(addressesOf(await vpp.nat44.pools()).filter(({ address }) => !borrowed.has(address))),
    mappings: resolved(mappings, 'external', 'externalInterface').map(({ table, externalInterface, ...one }) => ({
      ...one,
      ...(table === 0 ? {} : { table }),
      ...(externalInterface === undefined ? {} : { externalInterface: name(externalInterface as number) }),
    })),
    balancers: await vpp.nat44.balancers(),
    identities: resolved(identities, 'address', 'interface').map(({ table, interface: over, ...one }) => ({
      ...one,
      ...(table === 0 ? {} : { table }),
      ...(over === undefined ? {} : { interface: name(over as number) }),
    })),
    timeouts: config.timeouts,
    forwarding: config.forwarding,
  };
}

const textOf = (value: unknown): string => (typeof value === 'string' || typeof value === 'number' ? `${value}` : '');

/** What tells a member of a list from the others: its interface, or its outside end. */
function endOf(one: unknown): string {
  if (typeof one !== 'object' || one === null) return textOf(one);
  const {
    external,
    externalInterface,
    externalPort,
    address,
    interface: over,
    port,
    protocol,
  } = one as Record<string, unknown>;
  const at = textOf(external ?? externalInterface ?? address ?? over);
  return `${at}:${textOf(externalPort ?? port ?? 0)} ${textOf(protocol ?? 'all')}`;
}

/** The inside end of a mapping. */
function localOf(one: unknown): string {
  const { local, localPort = 0, protocol, table = 0 } = one as Nat44Mapping;
  return `${local}:${localPort} ${protocol ?? 'all'} ${table}`;
}

/** An identity may be there in each table. */
const keyOf = (list: List, one: unknown): string =>
  list === 'identities' ? `${endOf(one)} ${(one as Nat44Identity).table ?? 0}` : endOf(one);

type Members = Partial<Record<Exclude<List, 'pools'>, unknown[]>> & { pools?: PoolAddress[] };

/** Members of lists: those that VPP lacks or has otherwise, those in their way, and those that it has beside them. */
interface Difference {
  readonly missing: Members;
  readonly inTheWay: Members;
  readonly extra: Members;
}

function membersOf(wanted: NatEntry, held: NatEntry): Difference {
  const missing: Members = {};
  const extra: Members = {};
  for (const list of lists) {
    if (wanted[list] === undefined) continue;
    if (list === 'pools') {
      const want = addressesOf(wanted.pools ?? []);
      const have = addressesOf(held.pools ?? []);
      const wantKeys = new Set(want.map(poolKey));
      const haveKeys = new Set(have.map(poolKey));
      missing.pools = want.filter((one) => !haveKeys.has(poolKey(one)));
      extra.pools = have.filter((one) => !wantKeys.has(poolKey(one)));
      continue;
    }
    const want: readonly unknown[] = wanted[list];
    const have = new Map((held[list] ?? []).map((one: unknown) => [keyOf(list, one), one]));
    missing[list] = want.filter((one) => {
      const now = have.get(keyOf(list, one));
      return now === undefined || !covers(now, one);
    });
    for (const one of want) have.delete(keyOf(list, one));
    extra[list] = [...have.values()];
  }
  const inTheWay = inTheWayOf(missing, wanted, held);
  for (const list of lists) {
    const gone = new Set<unknown>(inTheWay[list]);
    if (extra[list] !== undefined)
      (extra as Record<List, unknown[]>)[list] = extra[list].filter((one) => !gone.has(one));
  }
  return { missing, inTheWay, extra };
}

/** What VPP has where something that is missing is to be. */
function inTheWayOf(missing: Members, wanted: NatEntry, held: NatEntry): Members {
  const newEnds = new Set(ends.flatMap((list) => (missing[list] ?? []).map(endOf)));
  // VPP leads an inside end to one outside: a mapping that moves to another is changed.
  const newLocals = new Set((missing.mappings ?? []).map(localOf));
  const found: Members = {};
  for (const list of ends) {
    const stays = (one: unknown): boolean => ((wanted[list] ?? []) as unknown[]).some((other) => covers(one, other));
    found[list] = ((held[list] ?? []) as unknown[]).filter((one) => {
      const end = endOf(one);
      if (list === 'mappings' && newLocals.has(localOf(one))) return !stays(one);
      if (!newEnds.has(end) || stays(one)) return false;
      // The same address may be left as it is in several tables.
      const identities = (missing.identities ?? []).filter((other) => endOf(other) === end);
      const others = [...(missing.mappings ?? []), ...(missing.balancers ?? [])].some((other) => endOf(other) === end);
      return list !== 'identities' || others || identities.some((other) => keyOf(list, other) === keyOf(list, one));
    });
  }
  const newPools = new Set((missing.pools ?? []).map(({ address, twice }) => `${address} ${twice}`));
  const stays = new Set(addressesOf(wanted.pools ?? []).map(poolKey));
  found.pools = addressesOf(held.pools ?? []).filter(
    (one) => newPools.has(`${one.address} ${one.twice}`) && !stays.has(poolKey(one)),
  );
  // An interface is translated after routing, or before it.
  const newOutput = new Set(missing.output);
  const newInput = new Set([...(missing.inside ?? []), ...(missing.outside ?? [])]);
  for (const side of sides)
    found[side] = (held[side] ?? []).filter((one) => (side === 'output' ? newInput : newOutput).has(one));
  return found;
}

/** Names of what is to be added or changed, and what VPP has beside it in words: `pools 203.0.113.4-203.0.113.9`. */
export function natDifference(wanted: NatEntry, held: NatEntry | undefined): { differs: string[]; extra: string[] } {
  const { missing, extra } = membersOf(wanted, held ?? {});
  const differs: string[] = lists.filter((list) => (missing[list]?.length ?? 0) > 0);
  for (const name of ['timeouts', 'forwarding'] as const) {
    if (wanted[name] !== undefined && !covers(held?.[name], wanted[name])) differs.push(name);
  }
  const words = lists.flatMap((list) =>
    list === 'pools'
      ? rangesOf(extra.pools ?? []).map(
          ({ first, last = first }) => `pools ${first}${first === last ? '' : `-${last}`}`,
        )
      : (extra[list] ?? []).map((one) => `${list} ${endOf(one)}`),
  );
  return { differs, extra: words };
}

/** Adds and changes; deletes nothing but what is in the way of that. */
export async function ensureNat(vpp: Vpp, nat: NatEntry, held: NatEntry = {}): Promise<void> {
  const { nat44 } = vpp;
  await nat44.ensureEnabled();
  const { missing, inTheWay } = membersOf(nat, held);
  await remove(vpp, inTheWay);
  for (const itf of nat.inside ?? []) await nat44.setInside(itf);
  for (const itf of nat.outside ?? []) await nat44.setOutside(itf);
  for (const itf of nat.output ?? []) await nat44.setOutput(itf);
  for (const itf of nat.interfacePools ?? []) await nat44.addInterfacePool(itf);
  for (const pool of nat.pools ?? []) await nat44.ensurePool(pool);
  for (const mapping of missing.mappings ?? []) await nat44.addMapping(mapping as Nat44Mapping);
  for (const balancer of missing.balancers ?? []) await nat44.addBalancer(balancer as Nat44Balancer);
  for (const identity of missing.identities ?? []) await nat44.addIdentity(identity as Nat44Identity);
  if (nat.timeouts !== undefined && !covers(held.timeouts, nat.timeouts)) await nat44.setTimeouts(nat.timeouts);
  if (nat.forwarding !== undefined && nat.forwarding !== (held.forwarding ?? false))
    await nat44.setForwarding(nat.forwarding);
}

async function remove(vpp: Vpp, { pools, ...members }: Members): Promise<void> {
  const { nat44 } = vpp;
  for (const one of members.mappings ?? []) await nat44.deleteMapping(one as Nat44Mapping);
  for (const one of members.balancers ?? []) await nat44.deleteBalancer(one as Nat44Balancer);
  for (const one of members.identities ?? []) await nat44.deleteIdentity(one as Nat44Identity);
  for (const one of rangesOf(pools ?? [])) await nat44.deletePool(one);
  for (const one of members.interfacePools ?? []) await nat44.deleteInterfacePool(one as string);
  for (const one of members.inside ?? []) await nat44.setInside(one as string, false);
  for (const one of members.outside ?? []) await nat44.setOutside(one as string, false);
  for (const one of members.output ?? []) await nat44.setOutput(one as string, false);
}

/**
 * Deletes what VPP has beside the document. To be called twice: before what is new is added for what is on an interface
 * that will be `gone`; and afterwards for the rest.
 */
export function natPruner(
  vpp: Vpp,
  wanted: NatEntry,
  held: NatEntry,
  gone: ReadonlySet<string>,
): { before(): Promise<void>; after(): Promise<void> } {
  const { extra } = membersOf(wanted, held);
  const goes = (one: unknown): boolean => {
    if (typeof one === 'string') return gone.has(one);
    const { externalInterface, interface: over } = one as { externalInterface?: string; interface?: string };
    return gone.has(externalInterface ?? over ?? '');
  };
  const pick = (now: boolean): Members =>
    Object.fromEntries(lists.map((list) => [list, (extra[list] ?? []).filter((one) => goes(one) === now)]));
  return { before: () => remove(vpp, pick(true)), after: () => remove(vpp, pick(false)) };
}
