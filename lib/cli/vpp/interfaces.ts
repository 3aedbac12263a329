// Interfaces in the document: how they are dumped and made. What an entry does not say is VPP's default, and what VPP does
// not tell (secrets, ring sizes of a memif that is not connected, queues) is not in a dump.

import { isIpv6, ZERO_MAC } from '../../net/index.js';
import { ArgumentTypeError, VppObjectError } from '../../errors.js';
import type {
  AfPacketOptions,
  BondMemberOptions,
  BondOptions,
  GeneveOptions,
  GreOptions,
  Interface,
  InterfaceSettings,
  IpipOptions,
  MemifOptions,
  SubInterfaceOptions,
  TapOptions,
  Vpp,
  VxlanOptions,
} from '../../vpp/index.js';
import { orNone } from './extras.js';

const VXLAN_PORT = 4789;

type Tunnel = Partial<VxlanOptions & GeneveOptions & GreOptions & IpipOptions>;
type Own<T extends InterfaceSettings> = Omit<T, keyof InterfaceSettings>;

/** An interface: of which kind, what makes it, and its settings. `name` is its tag, or VPP's name when it has none. */
export interface InterfaceEntry extends Omit<
  InterfaceSettings,
  'tag' | 'name' | 'unnumbered' | 'rxMode' | 'promiscuous'
> {
  name: string;
  kind:
    | 'adopted'
    | 'loopback'
    | 'bvi'
    | 'memif'
    | 'tap'
    | 'af_packet'
    | 'vlan'
    | 'vxlan'
    | 'geneve'
    | 'gre'
    | 'ipip'
    | 'bond';
  memif?: Own<MemifOptions>;
  tap?: Own<TapOptions>;
  host?: string;
  instance?: number;
  vlan?: Own<SubInterfaceOptions> & { parent: string };
  tunnel?: Own<Tunnel>;
  bond?: Own<BondOptions>;
  members?: (string | (BondMemberOptions & { interface: string }))[];
  /** The interface whose address it borrows; empty: of none. */
  unnumbered?: string;
  acls?: { input?: string[]; output?: string[] };
}

const kinds: Readonly<Record<string, InterfaceEntry['kind']>> = {
  Loopback: 'loopback',
  BVI: 'bvi',
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

/** The table of a family, of the two ways to write it. */
export function tableIn(table: InterfaceSettings['table'], family: 'ip4' | 'ip6'): number {
  return (typeof table === 'object' ? table[family] : table) ?? 0;
}

/** The names of the other interfaces that one is made of, or leans on. */
function namesIn({ vlan, members = [], unnumbered, tunnel }: InterfaceEntry): string[] {
  const all = [vlan?.parent, unnumbered, tunnel?.multicastInterface, ...members.map(memberName)];
  return all.filter((one): one is string => typeof one === 'string');
}

const memberName = (member: string | { interface: string }): string =>
  typeof member === 'string' ? member : member.interface;

/** For each interface by name, how many stand below it at most; one of a circle counts as if the circle were open. */
export function ranksOf(entries: readonly InterfaceEntry[]): Map<string, number> {
  const byName = new Map(entries.map((entry) => [entry.name, entry]));
  const ranks = new Map<string, number>();
  const rank = (name: string): number => {
    const entry = byName.get(name);
    if (entry === undefined) return -1;
    const known = ranks.get(name);
    if (known !== undefined) return known;
    ranks.set(name, 0);
    const found = 1 + Math.max(-1, ...namesIn(entry).map(rank));
    ranks.set(name, found);
    return found;
  };
  for (const { name } of entries) rank(name);
  return ranks;
}

/** What of these values is not as when nobody has said anything. */
const unusual = (values: object, usual: object): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(values).filter(
      ([key, value]) => value !== undefined && value !== (usual as Record<string, unknown>)[key],
    ),
  );

/** How the tables of an interface are written: one number where that says it all. */
function tableOf(tables: { ip4: number; ip6: number }, addresses: readonly string[]): InterfaceSettings['table'] {
  const families = (['ip4', 'ip6'] as const).filter(
    (family) => addresses.length === 0 || addresses.some((one) => isIpv6(one.split('/')[0]) === (family === 'ip6')),
  );
  const [table = 0] = families.map((family) => tables[family]);
  const said = { ip4: families.includes('ip4') ? table : 0, ip6: families.includes('ip6') ? table : 0 };
  return said.ip4 === tables.ip4 && said.ip6 === tables.ip6 ? table : tables;
}

/** All interfaces of a VPP but local0. */
export async function dumpInterfaces(
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
  const tunnels = new Map<Interface, Own<Tunnel>>();
  const overlays = [...(await orNone(vpp.vxlan.list())), ...(await orNone(vpp.geneve.list()))];
  const usual = { encapTable: 0, sessionId: 0, key: 0, dscp: 0, copyFlags: 0, mode: 'point-to-point' };
  for (const { interface: itf, source, destination, vni, multicastIndex, ...rest } of overlays) {
    const { encapTable, instance, sourcePort, destinationPort }: Own<Tunnel> = rest;
    const said = { encapTable, instance, sourcePort, destinationPort };
    tunnels.set(itf, {
      ...{ source, destination, vni },
      ...(multicastIndex === undefined ? {} : { multicastInterface: name(multicastIndex) }),
      ...unusual(said, { ...usual, sourcePort: VXLAN_PORT, destinationPort: VXLAN_PORT }),
    });
  }
  for (const tunnel of [...(await orNone(vpp.gre.list())), ...(await orNone(vpp.ipip.list()))]) {
    const { interface: itf, source, destination, ...rest } = tunnel;
    const end = rest.mode === 'point-to-point' ? { destination } : {};
    tunnels.set(itf, { source, ...end, ...unusual(rest, usual) });
  }
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
    const { l3, ...mtus } = info.mtu;
    const others = unusual(mtus, { ip4: 0, ip6: 0, mpls: 0 });
    if (Object.keys(others).length > 0) entry.mtu = { l3, ...others };
    else if (l3 !== 0) entry.mtu = l3;
    if (['loopback', 'bvi', 'memif', 'tap'].includes(kind) && info.mac !== ZERO_MAC) entry.mac = info.mac;
    const lender = (await orNone(itf.unnumbered().then((one) => [one])))[0];
    // The address of another one is among those that VPP tells.
    const addresses =
      lender === undefined ? (await itf.addresses()).filter((prefix) => !prefix.startsWith('fe80:')) : [];
    if (lender !== undefined) entry.unnumbered = name(lender.index);
    if (addresses.length > 0) entry.addresses = addresses;
    const table = tableOf(await itf.table(), addresses);
    if (table !== undefined && table !== 0) entry.table = table;
    const memif = memifs.find((one) => one.interface === itf);
    if (memif !== undefined) {
      const { socket, id, role, mode } = memif;
      entry.memif = { socket, id, role: role as 'server', mode: mode as 'ip' };
    }
    const tap = taps.find((one) => one.interface === itf);
    if (tap !== undefined) {
      const { interface: _, id, hostName, hostMac: _mac, ...rest } = tap;
      const usually = { hostNamespace: '', hostBridge: '', hostMtu: 0, rxRingSize: 256, txRingSize: 256, tun: false };
      entry.tap = { id, hostName, ...unusual(rest, usually) };
    }
    const packet = packets.find((one) => one.interface === itf);
    if (packet !== undefined) entry.host = packet.host;
    if (kind === 'loopback' || kind === 'bvi') {
      const instance = /^(?:loop|bvi)(\d+)$/.exec(info.name)?.[1];
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
    const tunnel = tunnels.get(itf);
    if (tunnel !== undefined) entry.tunnel = tunnel;
    const bond = bonds.find((one) => one.interface === itf);
    if (bond !== undefined) {
      entry.bond = { id: bond.id, mode: bond.mode as 'lacp', ...(bond.numaOnly ? { numaOnly: true } : {}) };
      if (bond.mode === 'lacp' || bond.mode === 'xor') entry.bond.loadBalance = bond.loadBalance as 'l2';
      const members = (await vpp.bonds.members(itf)).map(({ interface: member, ...options }) => {
        const said = unusual(options, { passive: false, longTimeout: false, weight: 0 });
        return Object.keys(said).length === 0 ? name(member.index) : { interface: name(member.index), ...said };
      });
      if (members.length > 0) entry.members = members.sort((a, b) => memberName(a).localeCompare(memberName(b)));
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

async function create(vpp: Vpp, entry: InterfaceEntry, settings: InterfaceSettings): Promise<Interface> {
  const all = { ...settings, tag: entry.name };
  const need = <T>(value: T | undefined, what: string): T => {
    if (value === undefined) throw new ArgumentTypeError(`interface ${entry.name}: a ${entry.kind} needs ${what}`);
    return value;
  };
  switch (entry.kind) {
    case 'loopback':
      return vpp.loopbacks.create({ ...all, ...(entry.instance === undefined ? {} : { instance: entry.instance }) });
    case 'bvi':
      return vpp.loopbacks.createBvi({ ...all, ...(entry.instance === undefined ? {} : { instance: entry.instance }) });
    case 'memif':
      return vpp.memif.create({ ...all, ...need(entry.memif, 'memif') });
    case 'tap':
      return vpp.taps.create({ ...all, ...need(entry.tap, 'tap') });
    case 'af_packet':
      return vpp.afPackets.create({ ...all, host: need(entry.host, 'host') } satisfies AfPacketOptions);
    case 'vlan': {
      const { parent, ...vlan } = need(entry.vlan, 'vlan');
      return vpp.subInterfaces.create(parent, { ...all, ...vlan });
    }
    case 'vxlan':
      return vpp.vxlan.create({ ...all, ...(need(entry.tunnel, 'tunnel') as VxlanOptions) });
    case 'geneve':
      return vpp.geneve.create({ ...all, ...(need(entry.tunnel, 'tunnel') as GeneveOptions) });
    case 'gre':
      return vpp.gre.create({ ...all, ...(need(entry.tunnel, 'tunnel') as GreOptions) });
    case 'ipip':
      return vpp.ipip.create({ ...all, ...(need(entry.tunnel, 'tunnel') as IpipOptions) });
    case 'bond':
      return vpp.bonds.create({ ...all, ...need(entry.bond, 'bond') });
    case 'adopted':
      return vpp.interfaces.adopt(entry.name, settings);
    default:
      throw new ArgumentTypeError(
        `interface ${entry.name}: there is no kind "${String(entry.kind)}" (adopted, ${[...new Set(Object.values(kinds))].join(', ')}, vlan)`,
      );
  }
}

/** What makes an interface, and cannot be changed. */
const making = ['kind', 'memif', 'tap', 'host', 'instance', 'vlan', 'tunnel', 'bond'] as const;

/** Of that, what VPP does not tell. */
const untold: Readonly<Record<string, readonly string[]>> = {
  memif: ['secret', 'ringSize', 'bufferSize', 'rxQueues', 'txQueues', 'zeroCopy'],
  tap: [
    ...['hostMac', 'hostGateway4', 'hostGateway6', 'rxQueues', 'txQueues', 'gso', 'checksum', 'persist', 'attach'],
    ...['coalesce', 'packed', 'inOrder'],
  ],
  tunnel: ['l3'],
  bond: ['gso'],
};

/** An interface as it is to be compared with what is wanted: what VPP does not tell is taken to be so. */
export function comparableInterface(held: InterfaceEntry, wanted: InterfaceEntry): InterfaceEntry {
  // The number is in the name, as long as that is VPP's.
  const all: Record<string, unknown> = { instance: wanted.instance, ...held };
  for (const [part, names] of Object.entries(untold)) {
    const [now, then] = [held, wanted].map((entry) => (entry as unknown as Record<string, object | undefined>)[part]);
    if (now === undefined || then === undefined) continue;
    all[part] = { ...Object.fromEntries(Object.entries(then).filter(([name]) => names.includes(name))), ...now };
  }
  return all as unknown as InterfaceEntry;
}

/**
 * Looks whether an interface can be made as its entry says by changing it.
 *
 * @throws VppObjectError ERR_VPP_OBJECT_DIFFERS
 */
export function mustBeChangeable(name: string, differing: readonly string[]): void {
  const fixed = making.filter((part) => differing.includes(part));
  if (fixed.length === 0) return;
  const problem = `its ${fixed.join(' and ')} cannot be changed; delete it (node-vpp del interface ${name}) and apply again`;
  throw new VppObjectError('ERR_VPP_OBJECT_DIFFERS', `interface ${name}`, problem);
}

/** Makes an interface as its entry says. */
export async function ensureInterface(vpp: Vpp, entry: InterfaceEntry): Promise<void> {
  const { up, mac, mtu, addresses, table, tagRewrite } = entry;
  const unnumbered = entry.unnumbered === '' ? undefined : entry.unnumbered;
  const settings = Object.fromEntries(
    Object.entries({ up, mac, mtu, addresses, table, tagRewrite, unnumbered }).filter(
      ([, value]) => value !== undefined,
    ),
  ) as InterfaceSettings;
  const found = await vpp.interfaces.find(entry.name);
  if (entry.unnumbered === '') await found?.setUnnumbered(undefined);
  const itf = found === undefined ? await create(vpp, entry, settings) : await vpp.interfaces.adopt(found, settings);
  for (const member of entry.members ?? []) {
    const { interface: on, ...options } = typeof member === 'string' ? { interface: member } : member;
    await vpp.bonds.ensureMember(itf, on, options);
  }
  if (entry.acls !== undefined) await vpp.acls.apply(itf, entry.acls);
}
