// The configuration of a VPP as one document: dumped, compared, applied. What it holds is what people write by hand; a
// list member is found again by the key that `keyOf` names, and lists whose order says nothing are sorted.

import { networkPrefix, normalizeIp } from '../../net/index.js';
import { VppTextError } from '../../errors.js';
import type { AclOptions, BridgeFlags, MacipOptions, RoutePath, Vpp } from '../../vpp/index.js';
import { dumpExtras, extraKeys, namedPaths, orNone, type Extras } from './extras.js';
import { fieldProblem } from './fields.js';
import { dumpInterfaces, type InterfaceEntry } from './interfaces.js';
import { dumpNat, natProblem, type NatEntry } from './nat.js';

/** A bridge domain. */
export interface BridgeEntry extends BridgeFlags {
  id: number;
  tag?: string;
  macAgeMinutes?: number;
  members?: { interface: string; splitHorizonGroup?: number; bvi?: boolean }[];
}

/** The document. A section that is left out is not looked at. */
export interface Document extends Extras {
  tables?: { id: number; family: 'ip4' | 'ip6'; name?: string }[];
  interfaces?: InterfaceEntry[];
  bridges?: BridgeEntry[];
  crossConnects?: { rx: string; tx: string }[];
  routes?: { prefix: string; table?: number; paths: RoutePath[] }[];
  neighbors?: { interface: string; ip: string; mac: string }[];
  acls?: AclOptions[];
  macips?: (MacipOptions & { interfaces?: string[] })[];
  spans?: { from: string; to: string; direction?: 'rx' | 'tx' | 'both'; l2?: boolean }[];
  nat44?: NatEntry;
}

/** The order in which sections are applied; deleting goes the other way. */
export const sections = [
  'tables',
  'acls',
  'interfaces',
  'macips',
  'bridges',
  'crossConnects',
  'spans',
  'urpf',
  'routes',
  'neighbors',
  'proxyArpRanges',
  'proxyArpInterfaces',
  'proxyNd',
  'routerAdvertisements',
  'l3xc',
  'abf',
  'puntSockets',
  'puntRedirects',
  'nat44',
] as const;

const keys: Readonly<Record<string, (entry: never) => string>> = {
  tables: ({ id, family }: { id: number; family: string }) => `${family} ${id}`,
  interfaces: ({ name }: Partial<InterfaceEntry>) => name ?? 'undefined',
  bridges: ({ id }: BridgeEntry) => String(id),
  crossConnects: ({ rx }: { rx: string }) => rx,
  routes: ({ prefix, table = 0 }: { prefix?: string; table?: number }) =>
    `${prefix === undefined ? 'undefined' : networkPrefix(prefix)} in ${table}`,
  neighbors: (one: { interface: string; ip?: string }) =>
    `${one.ip === undefined ? 'undefined' : normalizeIp(one.ip)} on ${one.interface}`,
  acls: ({ tag }: Partial<AclOptions>) => tag ?? 'undefined',
  macips: ({ tag }: Partial<MacipOptions>) => tag ?? 'undefined',
  spans: (one: { from: string; to: string; l2?: boolean }) => `${one.from} -> ${one.to}${one.l2 === true ? ' l2' : ''}`,
  ...extraKeys,
};

/** What tells an entry from the others of its section. */
export function keyOf(section: string, entry: unknown): string {
  return keys[section]?.(entry as never) ?? section;
}

/** Checks that something read from a file can be a document. */
export function asDocument(value: unknown, file: string): Document {
  const refuse = (problem: string): never => {
    throw new VppTextError('ERR_VPP_CONFIG', `${file}: ${problem}`);
  };
  if (value === null || value === undefined) return {};
  if (typeof value !== 'object' || Array.isArray(value))
    return refuse(`a document has sections (${sections.join(', ')})`);
  for (const [section, entries] of Object.entries(value)) {
    if (!sections.includes(section as 'tables')) return refuse(`"${section}" is no section (${sections.join(', ')})`);
    if (section === 'nat44') {
      const problem = natProblem(entries) ?? fieldProblem(section, entries);
      if (problem !== undefined) return refuse(problem);
      continue;
    }
    if (!Array.isArray(entries)) return refuse(`${section} is a list`);
    const seen = new Set<string>();
    for (const entry of entries as unknown[]) {
      if (typeof entry !== 'object' || entry === null) return refuse(`an entry of ${section} is an object`);
      const problem = fieldProblem(section, entry);
      if (problem !== undefined) return refuse(problem);
      let key: string;
      try {
        key = keyOf(section, entry);
      } catch (error) {
        return refuse(`${section}: ${(error as Error).message}`);
      }
      if (key.includes('undefined'))
        return refuse(`an entry of ${section} lacks what names it: ${JSON.stringify(entry)}`);
      if (seen.has(key)) return refuse(`${section} has ${key} twice`);
      seen.add(key);
    }
  }
  return value;
}

async function macipsOf(vpp: Vpp, name: (index: number) => string): Promise<NonNullable<Document['macips']>> {
  const all = await orNone(vpp.macip.list());
  if (all.length === 0) return [];
  const applied = [...(await vpp.macip.applied())];
  return all.map(({ index, tag, text }) => ({
    tag,
    rules: text,
    interfaces: applied
      .filter(([, acl]) => acl === index)
      .map(([on]) => name(on))
      .sort(),
  }));
}

/** What a VPP has, as a document. */
export async function dumpDocument(vpp: Vpp): Promise<Document> {
  const all = await vpp.interfaces.list();
  const names = new Map(all.map((itf) => [itf.index, itf.tag || itf.name]));
  const name = (index: number): string => names.get(index) ?? `#${index}`;
  const document: Document = {
    tables: (await vpp.tables.list())
      .filter(({ id }) => id !== 0)
      .map(({ id, family, name: label }) => ({ id, family, name: label })),
    acls: (await orNone(vpp.acls.list())).map(({ tag, text }) => ({ tag, rules: text })),
    interfaces: await dumpInterfaces(vpp, all, name),
    bridges: (await vpp.bridges.list()).map(({ members, tag, macAgeMinutes, ...bridge }) => ({
      ...bridge,
      ...(tag === '' ? {} : { tag }),
      ...(macAgeMinutes === 0 ? {} : { macAgeMinutes }),
      members: members
        .map((one) => ({
          interface: name(one.interfaceIndex),
          ...(one.splitHorizonGroup === 0 ? {} : { splitHorizonGroup: one.splitHorizonGroup }),
          ...(one.bvi ? { bvi: true } : {}),
        }))
        .sort((a, b) => a.interface.localeCompare(b.interface)),
    })),
    crossConnects: (await vpp.crossConnects.list()).map(({ rxIndex, txIndex }) => ({
      rx: name(rxIndex),
      tx: name(txIndex),
    })),
    macips: await macipsOf(vpp, name),
    spans: (await vpp.spans.list()).map(({ fromIndex, toIndex, direction, l2 }) => ({
      from: name(fromIndex),
      to: name(toIndex),
      direction: direction as 'both',
      ...(l2 ? { l2 } : {}),
    })),
    routes: [],
    ...(await dumpExtras(vpp, names)),
    neighbors: (await vpp.neighbors.list())
      .filter(({ isStatic }) => isStatic)
      .map(({ interfaceIndex, ip, mac }) => ({ interface: name(interfaceIndex), ip, mac })),
  };
  for (const table of new Set([0, ...document.tables!.map(({ id }) => id)])) {
    for await (const route of vpp.routes.list({ table, source: 'API' })) {
      const paths = namedPaths(route.paths, name);
      document.routes!.push({ prefix: route.prefix, ...(table === 0 ? {} : { table }), paths });
    }
  }
  const nat44 = await dumpNat(vpp, name);
  if (nat44 !== undefined) document.nat44 = nat44;
  return document;
}
