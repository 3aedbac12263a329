// The configuration of a VPP as one document: dumped, compared, applied. What it holds is what people write by hand; a
// list member is found again by the key that `keyOf` names, and lists whose order says nothing are sorted.

import { VppTextError } from '../../errors.js';
import type {
  AclOptions,
  BondOptions,
  BridgeFlags,
  GreOptions,
  Interface,
  InterfaceSettings,
  IpipOptions,
  MemifOptions,
  MacipOptions,
  RoutePath,
  SubInterfaceOptions,
  TapOptions,
  Vpp,
  VxlanOptions,
} from '../../vpp/index.js';
import { dumpExtras, extraKeys, namedPaths, orNone, type Extras } from './extras.js';
import { dumpNat, natProblem, type NatEntry } from './nat.js';

/** An interface: of which kind, what makes it, and its settings. `name` is its tag, or VPP's name when it has none. */
export interface InterfaceEntry extends Omit<
  InterfaceSettings,
  'tag' | 'name' | 'unnumbered' | 'rxMode' | 'promiscuous'
> {
  name: string;
  kind: 'adopted' | 'loopback' | 'memif' | 'tap' | 'af_packet' | 'vlan' | 'vxlan' | 'geneve' | 'gre' | 'ipip' | 'bond';
  memif?: Pick<MemifOptions, 'socket' | 'id' | 'role' | 'mode'>;
  tap?: Pick<TapOptions, 'id' | 'hostName' | 'hostNamespace' | 'hostIp4' | 'hostIp6'>;
  host?: string;
  instance?: number;
  vlan?: SubInterfaceOptions & { parent: string };
  tunnel?: Partial<VxlanOptions & GreOptions & IpipOptions>;
  bond?: Pick<BondOptions, 'id' | 'mode' | 'loadBalance'>;
  members?: string[];
  acls?: { input?: string[]; output?: string[] };
}

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
  routes: ({ prefix, table = 0 }: { prefix: string; table?: number }) => `${prefix} in ${table}`,
  neighbors: (one: { interface: string; ip: string }) => `${one.ip} on ${one.interface}`,
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
      const problem = natProblem(entries);
      if (problem !== undefined) return refuse(problem);
      continue;
    }
    if (!Array.isArray(entries)) return refuse(`${section} is a list`);
    const seen = new Set<string>();
    for (const entry of entries as unknown[]) {
      if (typeof entry !== 'object' || entry === null) return refuse(`an entry of ${section} is an object`);
      const key = keyOf(section, entry);
      if (key.includes('undefined'))
        return refuse(`an entry of ${section} lacks what names it: ${JSON.stringify(entry)}`);
      if (seen.has(key)) return refuse(`${section} has ${key} twice`);
      seen.add(key);
    }
  }
  return value;
}

const kinds: Readonly<Record<string, InterfaceEntry['kind']>> = {
  Loopback: 'loopback',
  memif: 'memif',
  tap: 'tap',
  virtio: 'tap',
  'af-packet': 'af_packet',
  VXLAN: 'vxlan',
  GENEVE: 'geneve',
  'GRE tunnel device': 'gre',
  'IPIP tunnel device': 'ipip',
  bond: 'bond',
};

async function interfacesOf(
  vpp: Vpp,
  all: readonly Interface[],
  name: (index: number) => string,
): Promise<InterfaceEntry[]> {
  const [memifs, taps, packets, bonds] = [
    await orNone(vpp.memif.list()),
    await orNone(vpp.taps.list()),
    await orNone(vpp.afPackets.list()),
    await orNone(vpp.bonds.list()),
  ];
  const tunnels = [
    ...(await orNone(vpp.vxlan.list())),
    ...(await orNone(vpp.geneve.list())),
    ...(await orNone(vpp.gre.list())),
    ...(await orNone(vpp.ipip.list())),
  ];
  const acls = await vpp.acls
    .applied()
    .catch(() => new Map<number, { input: readonly number[]; output: readonly number[] }>());
  const aclTags = new Map((await orNone(vpp.acls.list())).map(({ index, tag }) => [index, tag]));
  const entries: InterfaceEntry[] = [];
  for (const itf of all) {
    const { info } = itf;
    if (itf.index === 0) continue;
    const kind = info.sub === undefined ? (kinds[info.deviceType] ?? 'adopted') : 'vlan';
    const entry: InterfaceEntry = { name: name(itf.index), kind, up: info.adminUp };
    if (info.mtu.l3 !== 0) entry.mtu = info.mtu.l3;
    if (kind === 'loopback') entry.mac = info.mac;
    const addresses = (await itf.addresses()).filter((prefix) => !prefix.startsWith('fe80:'));
    if (addresses.length > 0) entry.addresses = addresses;
    const { ip4, ip6 } = await itf.table();
    if (ip4 !== 0 || ip6 !== 0) entry.table = ip4 || ip6;
    const memif = memifs.find((one) => one.interface === itf);
    if (memif !== undefined)
      entry.memif = { socket: memif.socket, id: memif.id, role: memif.role as 'server', mode: memif.mode as 'ip' };
    const tap = taps.find((one) => one.interface === itf);
    if (tap !== undefined) {
      entry.tap = { id: tap.id, hostName: tap.hostName };
      if (tap.hostIp4 !== undefined) entry.tap.hostIp4 = tap.hostIp4;
      if (tap.hostIp6 !== undefined) entry.tap.hostIp6 = tap.hostIp6;
    }
    const packet = packets.find((one) => one.interface === itf);
    if (packet !== undefined) entry.host = packet.host;
    if (kind === 'loopback') {
      const instance = /^loop(\d+)$/.exec(info.name)?.[1];
      if (instance !== undefined) entry.instance = Number(instance);
    }
    if (info.sub !== undefined) {
      const [vlan, innerVlan] = info.sub.vlans;
      entry.vlan = {
        parent: name(info.sub.parentIndex),
        id: info.sub.id,
        ...(vlan === undefined ? {} : { vlan }),
        ...(innerVlan === undefined ? {} : { innerVlan }),
        ...(info.sub.dot1ad ? { dot1ad: true } : {}),
        ...(info.sub.isDefault ? { isDefault: true } : {}),
        exactMatch: info.sub.exactMatch,
      };
    }
    const tunnel = tunnels.find((one) => one.interface === itf);
    if (tunnel !== undefined) {
      const { source, destination } = tunnel;
      entry.tunnel = { source, destination };
      if ('vni' in tunnel) entry.tunnel.vni = tunnel.vni;
      if ('type' in tunnel) entry.tunnel.type = tunnel.type as 'l3';
      if (tunnel.encapTable !== 0) entry.tunnel.encapTable = tunnel.encapTable;
    }
    const bond = bonds.find((one) => one.interface === itf);
    if (bond !== undefined) {
      entry.bond = { id: bond.id, mode: bond.mode as 'lacp' };
      if (bond.mode === 'lacp' || bond.mode === 'xor') entry.bond.loadBalance = bond.loadBalance as 'l2';
      const members = (await vpp.bonds.members(itf)).map((member) => name(member.interface.index));
      if (members.length > 0) entry.members = members.sort();
    }
    if (info.tagRewrite !== undefined) entry.tagRewrite = info.tagRewrite;
    const applied = acls.get(itf.index);
    if (applied !== undefined) {
      const tags = (list: readonly number[]) => list.map((index) => aclTags.get(index) ?? String(index));
      entry.acls = { input: tags(applied.input), output: tags(applied.output) };
    }
    entries.push(entry);
  }
  return entries;
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
    interfaces: await interfacesOf(vpp, all, name),
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
