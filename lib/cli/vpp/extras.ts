// What interfaces and routing have beside addresses and routes, in the document: uRPF, proxy ARP and ND, router
// advertisements, l3 cross-connects, ABF, punt. For each section: how it is dumped, made so, and taken away.

import { isIpv6, networkPrefix, normalizeIp } from '../../net/index.js';
import type {
  AdvertisedPrefix,
  HeldPath,
  ProxyArpRange,
  PuntSocket,
  RouterAdvertisement,
  RoutePath,
  UrpfMode,
  UrpfOptions,
  Vpp,
} from '../../vpp/index.js';

type Family = 'ip4' | 'ip6';

/** Reverse path check of an interface. */
export interface UrpfEntry extends UrpfOptions {
  interface: string;
  mode: UrpfMode;
}

/** What an interface advertises. What it once sent at the beginning (`initial…`, `cease`) is not in a document. */
export interface AdvertisementEntry extends Omit<
  RouterAdvertisement,
  'cease' | 'initialCount' | 'initialIntervalSeconds'
> {
  interface: string;
  prefixes?: AdvertisedPrefix[];
}

/** A policy and where it is. */
export interface AbfEntry {
  id: number;
  acl: string | number;
  family?: Family;
  paths: RoutePath[];
  attachments?: { interface: string; priority?: number; family?: Family }[];
}

/** The sections that this file has. */
export interface Extras {
  urpf?: UrpfEntry[];
  proxyArpRanges?: ProxyArpRange[];
  proxyArpInterfaces?: { interface: string }[];
  proxyNd?: { interface: string; ip: string }[];
  routerAdvertisements?: AdvertisementEntry[];
  l3xc?: { interface: string; family?: Family; paths: RoutePath[] }[];
  abf?: AbfEntry[];
  puntSockets?: PuntSocket[];
  puntRedirects?: { rx?: string; family?: Family; paths: RoutePath[] }[];
}

type Entry<S extends keyof Extras> = NonNullable<Extras[S]>[number];

/** What VPP is set to when nobody has said anything. */
const quiet = {
  suppress: true,
  managed: false,
  other: false,
  linkLayerOption: true,
  unicast: false,
  maxIntervalSeconds: 600,
  minIntervalSeconds: 200,
  lifetimeSeconds: 1800,
};

/** What tells entries from each other. */
export const extraKeys = {
  urpf: ({ interface: on, family = 'ip4', direction = 'rx' }: UrpfEntry) => `${on} ${family} ${direction}`,
  proxyArpRanges: ({ low, high, table = 0 }: ProxyArpRange) => `${low}-${high} in ${table}`,
  proxyArpInterfaces: (one: { interface?: string }) => one.interface ?? 'undefined',
  proxyNd: (one: Entry<'proxyNd'>) => `${isIpv6(one.ip) ? normalizeIp(one.ip) : one.ip} on ${one.interface}`,
  routerAdvertisements: (one: Partial<AdvertisementEntry>) => one.interface ?? 'undefined',
  l3xc: ({ interface: on, family = 'ip4' }: Entry<'l3xc'>) => `${on} ${family}`,
  abf: ({ id }: AbfEntry) => String(id),
  puntSockets: (one: Partial<Record<'reason' | 'ipProtocol' | 'protocol' | 'port' | 'family', string | number>>) => {
    if (one.reason !== undefined) return `reason ${one.reason}`;
    const { ipProtocol, protocol = 'undefined', port = 'undefined', family = 'ip4' } = one;
    return ipProtocol === undefined ? `${protocol} ${port} ${family}` : `protocol ${ipProtocol} ${family}`;
  },
  puntRedirects: ({ rx = 'all', family = 'ip4' }: Entry<'puntRedirects'>) => `${rx} ${family}`,
};

/** Rows of a feature; none when its plugin is not loaded. */
export async function orNone<T>(list: Promise<T[]>): Promise<T[]> {
  try {
    return await list;
  } catch (error) {
    if ((error as { code?: string }).code === 'ERR_VPP_FEATURE_MISSING') return [];
    throw error;
  }
}

/** Paths with the names of their interfaces. */
export function namedPaths(paths: readonly HeldPath[], name: (index: number) => string): RoutePath[] {
  return paths
    .map((path) => ({
      ...path,
      interface: path.interface === undefined ? undefined : name(path.interface),
    }))
    .map(({ interface: on, ...path }) => (on === undefined ? path : { ...path, interface: on }));
}

/** A policy has no family of its own: its next hops have, and where it is attached. */
function familyOf(paths: readonly RoutePath[], attachments: readonly { family?: Family }[]): Family {
  if (attachments[0]?.family !== undefined) return attachments[0].family;
  return paths.some(({ via }) => via !== undefined && isIpv6(via)) ? 'ip6' : 'ip4';
}

/** What VPP has. An entry whose interface is gone, as VPP keeps some, is left out. */
export async function dumpExtras(vpp: Vpp, names: ReadonlyMap<number, string>): Promise<Required<Extras>> {
  const name = (index: number): string => names.get(index) ?? `#${index}`;
  const live = <T extends { interfaceIndex: number }>(rows: readonly T[]): T[] =>
    rows.filter(({ interfaceIndex }) => names.has(interfaceIndex));
  const urpf: UrpfEntry[] = [];
  for (const { interfaceIndex, mode, family, direction, table } of live(await orNone(vpp.urpf.list()))) {
    if (mode === 'off') continue;
    const own = (await (await vpp.interfaces.get(interfaceIndex)).table())[family];
    urpf.push({
      ...{ interface: name(interfaceIndex), mode, family, direction },
      ...(table === own ? {} : { table }),
    });
  }
  const aclTags = new Map((await orNone(vpp.acls.list())).map(({ index, tag }) => [index, tag]));
  const attached = live(await orNone(vpp.abf.attachments()));
  const redirects: Entry<'puntRedirects'>[] = [];
  for (const family of ['ip4', 'ip6'] as const) {
    for (const { rxIndex, paths } of await orNone(vpp.punt.redirects(family))) {
      if (rxIndex !== undefined && !names.has(rxIndex)) continue;
      const rx = rxIndex === undefined ? {} : { rx: name(rxIndex) };
      redirects.push({ ...rx, family, paths: namedPaths(paths, name) });
    }
  }
  return {
    urpf,
    proxyArpRanges: (await orNone(vpp.proxyArp.ranges())).map(({ table, ...range }) => ({
      ...range,
      ...(table === 0 ? {} : { table }),
    })),
    proxyArpInterfaces: (await orNone(vpp.proxyArp.interfaces()))
      .filter((index) => names.has(index))
      .map((index) => ({ interface: name(index) })),
    proxyNd: live(await orNone(vpp.proxyArp.nd())).map(({ interfaceIndex, ip }) => ({
      interface: name(interfaceIndex),
      ip,
    })),
    routerAdvertisements: live(await orNone(vpp.routerAdvertisements.list()))
      .map(({ interfaceIndex, sends, managed, other, linkLayerOption, unicast, prefixes, ...times }) => ({
        interface: name(interfaceIndex),
        ...{ suppress: !sends, managed, other, linkLayerOption, unicast },
        maxIntervalSeconds: times.maxIntervalSeconds,
        minIntervalSeconds: times.minIntervalSeconds,
        lifetimeSeconds: times.lifetimeSeconds,
        prefixes: [...prefixes],
      }))
      .filter(({ prefixes, interface: _, ...now }) => prefixes.length > 0 || !same(now, quiet)),
    l3xc: live(await orNone(vpp.l3xc.list())).map(({ interfaceIndex, family, paths }) => ({
      interface: name(interfaceIndex),
      family,
      paths: namedPaths(paths, name),
    })),
    abf: (await orNone(vpp.abf.list())).map(({ id, aclIndex, paths: held }) => {
      const paths = namedPaths(held, name);
      const tag = aclTags.get(aclIndex) ?? '';
      const attachments = attached
        .filter((one) => one.id === id)
        .map(({ interfaceIndex, priority, family }) => ({ interface: name(interfaceIndex), priority, family }));
      return { id, acl: tag === '' ? aclIndex : tag, family: familyOf(paths, attachments), paths, attachments };
    }),
    puntSockets: await orNone(vpp.punt.sockets()),
    puntRedirects: redirects,
  };
}

const same = (one: object, other: object): boolean =>
  Object.entries(other).every(([key, value]) => (one as Record<string, unknown>)[key] === value);

/** VPP's number for a lifetime without end. */
const FOREVER = 0xffffffff;

/**
 * What is held, as it is to be compared with what is wanted: the table of uRPF is the interface's unless it says another;
 * and lifetimes of prefixes were what is wanted when they are less now, for VPP counts them down while it advertises.
 */
export function comparable(
  section: string,
  held: object,
  wanted: object,
  tableOf: (name: string, family: Family) => number,
): object {
  if (section === 'urpf') {
    const { interface: on, family = 'ip4' } = held as UrpfEntry;
    return { table: tableOf(on, family), ...held };
  }
  if (section !== 'routerAdvertisements') return held;
  const want = new Map((wanted as AdvertisementEntry).prefixes?.map((one) => [networkPrefix(one.prefix), one]));
  const less = (now: number | undefined, was: number | undefined): boolean =>
    now !== undefined && was !== undefined && was !== FOREVER && now < was;
  const prefixes = (held as AdvertisementEntry).prefixes?.map((one) => {
    const was = want.get(one.prefix);
    return {
      ...one,
      ...(less(one.validSeconds, was?.validSeconds) ? { validSeconds: was?.validSeconds } : {}),
      ...(less(one.preferredSeconds, was?.preferredSeconds) ? { preferredSeconds: was?.preferredSeconds } : {}),
    };
  });
  return { ...held, prefixes };
}

async function ensureAdvertisement(vpp: Vpp, entry: AdvertisementEntry): Promise<void> {
  const { interface: on, prefixes, ...options } = entry;
  if (Object.keys(options).length > 0) await vpp.routerAdvertisements.set(on, options);
  if (prefixes === undefined) return;
  const wanted = new Set(prefixes.map(({ prefix }) => networkPrefix(prefix)));
  for (const one of prefixes) await vpp.routerAdvertisements.setPrefix(on, one);
  for (const { prefix } of (await vpp.routerAdvertisements.get(on))?.prefixes ?? []) {
    if (!wanted.has(prefix)) await vpp.routerAdvertisements.deletePrefix(on, prefix);
  }
}

async function ensureAbf(vpp: Vpp, { attachments, ...policy }: AbfEntry): Promise<void> {
  const { id, paths, family = familyOf(paths, attachments ?? []) } = policy;
  await vpp.abf.ensure({ ...policy, family });
  if (attachments === undefined) return;
  const wanted = new Set<string>();
  for (const { interface: on, priority = 0, family: of = family } of attachments) {
    wanted.add(`${(await vpp.interfaces.get(on)).index} ${of}`);
    await vpp.abf.ensureAttached(id, on, { priority, family: of });
  }
  for (const one of await vpp.abf.attachments()) {
    if (one.id === id && !wanted.has(`${one.interfaceIndex} ${one.family}`))
      await vpp.abf.detach(id, one.interfaceIndex, one);
  }
}

/** For each section: makes an entry so, and takes away one that VPP has. */
export const extraActions: {
  readonly [S in keyof Extras]-?: readonly [
    ensure: (vpp: Vpp, entry: Entry<S>) => Promise<unknown>,
    remove: (vpp: Vpp, entry: Entry<S>) => Promise<unknown>,
  ];
} = {
  urpf: [
    (vpp, { interface: on, mode, ...options }) => vpp.urpf.ensure(on, mode, options),
    // VPP switches off whatever the table is.
    (vpp, { interface: on, family, direction }) => vpp.urpf.set(on, 'off', { family, direction } as UrpfOptions),
  ],
  proxyArpRanges: [(vpp, range) => vpp.proxyArp.ensureRange(range), (vpp, range) => vpp.proxyArp.deleteRange(range)],
  proxyArpInterfaces: [
    (vpp, one) => vpp.proxyArp.setInterface(one.interface, true),
    (vpp, one) => vpp.proxyArp.setInterface(one.interface, false),
  ],
  proxyNd: [
    (vpp, one) => vpp.proxyArp.ensureNd(one.interface, one.ip),
    (vpp, one) => vpp.proxyArp.deleteNd(one.interface, one.ip),
  ],
  routerAdvertisements: [
    ensureAdvertisement,
    (vpp, one) => ensureAdvertisement(vpp, { ...quiet, interface: one.interface, prefixes: [] }),
  ],
  l3xc: [
    (vpp, { interface: on, paths, family = 'ip4' }) => vpp.l3xc.ensure(on, paths, { family }),
    (vpp, { interface: on, family = 'ip4' }) => vpp.l3xc.delete(on, { family }),
  ],
  abf: [
    ensureAbf,
    async (vpp, { id, attachments = [] }) => {
      for (const { interface: on, ...options } of attachments) await vpp.abf.detach(id, on, options);
      await vpp.abf.delete(id);
    },
  ],
  puntSockets: [
    (vpp, { path, ...what }) => vpp.punt.ensureSocket(what, path),
    (vpp, { path: _, ...what }) => vpp.punt.deregisterSocket(what),
  ],
  puntRedirects: [
    (vpp, redirect) => vpp.punt.ensureRedirect(redirect),
    (vpp, { rx, family = 'ip4' }) => vpp.punt.deleteRedirect({ ...(rx === undefined ? {} : { rx }), family }),
  ],
};

/** Whether a section is of this file. */
export const isExtra = (section: string): section is keyof Extras => Object.hasOwn(extraActions, section);
