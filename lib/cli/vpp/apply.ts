// The difference between a document and what a VPP has, and making it so.
//
//   +  only in the document      ~  different      -  only in the VPP (deleted with --prune)
//
// An entry of the document need not say everything: what it leaves out is not compared.

import { ArgumentTypeError } from '../../errors.js';
import type {
  BondOptions,
  GreOptions,
  Interface,
  InterfaceSettings,
  IpipOptions,
  Vpp,
  VxlanOptions,
} from '../../vpp/index.js';
import { dumpDocument, keyOf, sections, type BridgeEntry, type Document, type InterfaceEntry } from './document.js';

/** One difference. */
export interface Change {
  readonly type: '+' | '~' | '-';
  readonly section: string;
  readonly key: string;
  /** What differs, for `~`. */
  readonly fields: readonly string[];
  readonly entry: unknown;
}

/** Whether what is held has everything that is wanted. */
function covers(held: unknown, wanted: unknown): boolean {
  if (Array.isArray(wanted)) {
    return Array.isArray(held) && held.length === wanted.length && wanted.every((one, at) => covers(held[at], one));
  }
  if (typeof wanted === 'object' && wanted !== null) {
    if (typeof held !== 'object' || held === null) return Object.keys(wanted).length === 0;
    return Object.entries(wanted).every(([key, value]) => covers((held as Record<string, unknown>)[key], value));
  }
  // What VPP does not tell because it is the default.
  if (held === undefined) return wanted === undefined || wanted === false || wanted === 0 || wanted === '';
  if (typeof held === 'string' && typeof wanted === 'string') return held.toLowerCase() === wanted.toLowerCase();
  return held === wanted;
}

/** What is to be done for a VPP to be as the document says. */
export function difference(wanted: Document, held: Document): Change[] {
  const changes: Change[] = [];
  for (const section of sections) {
    const want = wanted[section];
    if (want === undefined) continue;
    if (!Array.isArray(want)) {
      const now = held[section] as Record<string, unknown> | undefined;
      const fields = Object.entries(want)
        .filter(([name, value]) => !covers(now?.[name], value))
        .map(([name]) => name);
      if (fields.length > 0)
        changes.push({ type: now === undefined ? '+' : '~', section, key: section, fields, entry: want });
      continue;
    }
    const have = new Map(((held[section] ?? []) as unknown[]).map((entry) => [keyOf(section, entry), entry]));
    for (const entry of want as unknown[]) {
      const key = keyOf(section, entry);
      const now = have.get(key) as Record<string, unknown> | undefined;
      have.delete(key);
      if (now === undefined) changes.push({ type: '+', section, key, fields: [], entry });
      else {
        const fields = Object.entries(entry as object)
          .filter(([name, value]) => !covers(now[name], value))
          .map(([name]) => name);
        if (fields.length > 0) changes.push({ type: '~', section, key, fields, entry });
      }
    }
    for (const [key, entry] of have) changes.push({ type: '-', section, key, fields: [], entry });
  }
  return changes;
}

function settingsOf(entry: InterfaceEntry): InterfaceSettings {
  const { up, mac, mtu, addresses, table, tagRewrite } = entry;
  return {
    ...(up === undefined ? {} : { up }),
    ...(mac === undefined ? {} : { mac }),
    ...(mtu === undefined ? {} : { mtu }),
    ...(addresses === undefined ? {} : { addresses }),
    ...(table === undefined ? {} : { table }),
    ...(tagRewrite === undefined ? {} : { tagRewrite }),
  };
}

async function ensureInterface(vpp: Vpp, entry: InterfaceEntry): Promise<void> {
  const settings = settingsOf(entry);
  const found = await vpp.interfaces.find(entry.name);
  let itf: Interface;
  if (found !== undefined) itf = await vpp.interfaces.adopt(found, settings);
  else {
    const all = { ...settings, tag: entry.name };
    const need = <T>(value: T | undefined, what: string): T => {
      if (value === undefined) throw new ArgumentTypeError(`interface ${entry.name}: a ${entry.kind} needs ${what}`);
      return value;
    };
    switch (entry.kind) {
      case 'loopback':
        itf = await vpp.loopbacks.create({
          ...all,
          ...(entry.instance === undefined ? {} : { instance: entry.instance }),
        });
        break;
      case 'memif':
        itf = await vpp.memif.create({ ...all, ...need(entry.memif, 'memif') });
        break;
      case 'tap':
        itf = await vpp.taps.create({ ...all, ...need(entry.tap, 'tap') });
        break;
      case 'af_packet':
        itf = await vpp.afPackets.create({ ...all, host: need(entry.host, 'host') });
        break;
      case 'vlan': {
        const { parent, ...vlan } = need(entry.vlan, 'vlan');
        itf = await vpp.subInterfaces.create(parent, { ...all, ...vlan });
        break;
      }
      case 'vxlan':
        itf = await vpp.vxlan.create({ ...all, ...(need(entry.tunnel, 'tunnel') as VxlanOptions) });
        break;
      case 'geneve':
        itf = await vpp.geneve.create({ ...all, ...(need(entry.tunnel, 'tunnel') as VxlanOptions) });
        break;
      case 'gre':
        itf = await vpp.gre.create({ ...all, ...(need(entry.tunnel, 'tunnel') as GreOptions) });
        break;
      case 'ipip':
        itf = await vpp.ipip.create({ ...all, ...(need(entry.tunnel, 'tunnel') as IpipOptions) });
        break;
      case 'bond':
        itf = await vpp.bonds.create({ ...all, ...(need(entry.bond, 'bond') as BondOptions) });
        break;
      case 'adopted':
        itf = await vpp.interfaces.adopt(entry.name, settings);
    }
  }
  for (const member of entry.members ?? []) await vpp.bonds.ensureMember(itf, member);
  if (entry.acls !== undefined) await vpp.acls.apply(itf, entry.acls);
}

async function ensureBridge(vpp: Vpp, { members, ...bridge }: BridgeEntry): Promise<void> {
  const id = await vpp.bridges.ensure(bridge);
  if (members === undefined) return;
  for (const { interface: itf, ...options } of members) await vpp.bridges.ensureMember(id, itf, options);
  const wanted = new Set<number>();
  for (const { interface: itf } of members) wanted.add((await vpp.interfaces.get(itf)).index);
  for (const { interfaceIndex } of (await vpp.bridges.get(id)).members) {
    if (!wanted.has(interfaceIndex)) await vpp.bridges.removeMember(id, interfaceIndex);
  }
}

type Nat = NonNullable<Document['nat44']>;

async function ensureNat(vpp: Vpp, nat: Nat, held: Nat): Promise<void> {
  await vpp.nat44.ensureEnabled();
  for (const itf of nat.inside ?? []) await vpp.nat44.setInside(itf);
  for (const itf of nat.outside ?? []) await vpp.nat44.setOutside(itf);
  for (const itf of nat.interfacePools ?? []) await vpp.nat44.addInterfacePool(itf);
  for (const pool of nat.pools ?? []) await vpp.nat44.ensurePool(pool);
  for (const mapping of nat.mappings ?? []) await vpp.nat44.ensureMapping(mapping);
  for (const balancer of nat.balancers ?? []) {
    const now = held.balancers?.find((one) => covers(one.external, balancer.external) && one.port === balancer.port);
    if (now !== undefined && covers(now, balancer)) continue;
    if (now !== undefined) await vpp.nat44.deleteBalancer(now);
    await vpp.nat44.addBalancer(balancer);
  }
  for (const identity of nat.identities ?? []) {
    if (held.identities?.some((one) => covers(one, identity)) !== true) await vpp.nat44.addIdentity(identity);
  }
}

/** Deletes what NAT44 has and the document does not name, in the lists that it has. */
async function pruneNat(vpp: Vpp, wanted: Nat, held: Nat): Promise<void> {
  const extra = <T>(want: readonly T[] | undefined, have: readonly T[] | undefined): T[] =>
    want === undefined ? [] : (have ?? []).filter((one) => !want.some((other) => covers(one, other)));
  for (const one of extra(wanted.mappings, held.mappings)) await vpp.nat44.deleteMapping(one);
  for (const one of extra(wanted.balancers, held.balancers)) await vpp.nat44.deleteBalancer(one);
  for (const one of extra(wanted.identities, held.identities)) await vpp.nat44.deleteIdentity(one);
  for (const one of extra(wanted.pools, held.pools)) await vpp.nat44.deletePool(one);
  for (const one of extra(wanted.interfacePools, held.interfacePools)) await vpp.nat44.deleteInterfacePool(one);
  for (const one of extra(wanted.inside, held.inside)) await vpp.nat44.setInside(one, false);
  for (const one of extra(wanted.outside, held.outside)) await vpp.nat44.setOutside(one, false);
}

async function ensureMacip(vpp: Vpp, entry: NonNullable<Document['macips']>[number]): Promise<void> {
  const index = await vpp.macip.ensure(entry);
  if (entry.interfaces === undefined) return;
  const wanted = new Set<number>();
  for (const on of entry.interfaces) wanted.add((await vpp.interfaces.get(on)).index);
  for (const [on, acl] of await vpp.macip.applied()) {
    if (acl === index && !wanted.has(on)) await vpp.macip.apply(on, undefined);
  }
  for (const on of wanted) await vpp.macip.apply(on, index);
}

async function ensure(vpp: Vpp, { section, entry }: Change, held: Document): Promise<void> {
  type Entry<S extends Exclude<keyof Document, 'nat44'>> = NonNullable<Document[S]>[number];
  if (section === 'tables') await vpp.tables.ensure(entry as Entry<'tables'>);
  else if (section === 'acls') await vpp.acls.ensure(entry as Entry<'acls'>);
  else if (section === 'interfaces') await ensureInterface(vpp, entry as InterfaceEntry);
  else if (section === 'bridges') await ensureBridge(vpp, entry as BridgeEntry);
  else if (section === 'crossConnects')
    await vpp.crossConnects.set((entry as Entry<'crossConnects'>).rx, (entry as Entry<'crossConnects'>).tx);
  else if (section === 'routes') await vpp.routes.ensure(entry as Entry<'routes'>);
  else if (section === 'neighbors') await vpp.neighbors.ensure(entry as Entry<'neighbors'>);
  else if (section === 'macips') await ensureMacip(vpp, entry as Entry<'macips'>);
  else if (section === 'spans') {
    const { from, to, direction = 'both', l2 = false } = entry as Entry<'spans'>;
    await vpp.spans.ensure(from, to, direction, { l2 });
  } else await ensureNat(vpp, entry as Nat, held.nat44 ?? {});
}

async function remove(vpp: Vpp, { section, key, entry }: Change): Promise<void> {
  const held = entry as { id: number; family: 'ip4'; table?: number; kind?: string } & Record<
    'prefix' | 'ip' | 'interface' | 'rx' | 'tx',
    string
  >;
  const { id, family, table = 0, prefix, ip, interface: on, rx, tx, kind } = held;
  if (section === 'tables') await vpp.tables.delete(id, { family });
  else if (section === 'acls') await vpp.acls.delete(key, { detach: true });
  else if (section === 'interfaces') {
    if (kind !== 'adopted') await (await vpp.interfaces.get(key)).delete();
  } else if (section === 'bridges') await vpp.bridges.delete(id);
  else if (section === 'crossConnects') await vpp.crossConnects.disconnect(rx, tx);
  else if (section === 'routes') await vpp.routes.delete(prefix, { table });
  else if (section === 'neighbors') await vpp.neighbors.delete(on, ip);
  else if (section === 'macips') {
    for (const one of (entry as { interfaces?: string[] }).interfaces ?? []) await vpp.macip.apply(one, undefined);
    await vpp.macip.delete(key);
  } else if (section === 'spans') {
    const { from, to, l2 = false } = entry as { from: string; to: string; l2?: boolean };
    await vpp.spans.set(from, to, 'off', { l2 });
  }
}

/** Makes a VPP as the document says; `done` is called before each change. */
export async function applyDocument(
  vpp: Vpp,
  wanted: Document,
  options: { prune?: boolean; onChange?: (change: Change) => void } = {},
): Promise<Change[]> {
  const held = await dumpDocument(vpp);
  const changes = difference(wanted, held);
  const apply = changes.filter(({ type }) => type !== '-');
  const prune = options.prune === true ? changes.filter(({ type }) => type === '-').reverse() : [];
  // Sub-interfaces before what they are on.
  prune.sort(
    (a, b) =>
      Number(isVlan(b)) - Number(isVlan(a)) ||
      sections.indexOf(b.section as 'tables') - sections.indexOf(a.section as 'tables'),
  );
  for (const change of prune) {
    options.onChange?.(change);
    await remove(vpp, change);
  }
  for (const change of apply) {
    options.onChange?.(change);
    if (change.section === 'nat44' && options.prune === true)
      await pruneNat(vpp, change.entry as Nat, held.nat44 ?? {});
    await ensure(vpp, change, held);
  }
  return [...prune, ...apply];
}

const isVlan = ({ section, entry }: Change): boolean =>
  section === 'interfaces' && (entry as InterfaceEntry).kind === 'vlan';
