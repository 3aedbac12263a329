// The difference between a document and what a VPP has, and making it so.
//
//   +  only in the document      ~  different      -  only in the VPP (deleted with --prune)
//
// An entry of the document need not say everything: what it leaves out is not compared.

import type { Vpp } from '../../vpp/index.js';
import { covers } from './covers.js';
import { comparable, extraActions, isExtra, type Extras } from './extras.js';
import {
  comparableInterface,
  ensureInterface,
  mustBeChangeable,
  ranksOf,
  tableIn,
  type InterfaceEntry,
} from './interfaces.js';
import { ensureNat, natDifference, natPruner, type NatEntry } from './nat.js';
import { dumpDocument, keyOf, sections, type BridgeEntry, type Document } from './document.js';

/** One difference. */
export interface Change {
  readonly type: '+' | '~' | '-';
  readonly section: string;
  readonly key: string;
  /** What differs, for `~`; for `-` of `nat44`, which is one entry, what of it. */
  readonly fields: readonly string[];
  readonly entry: unknown;
}

/** What is to be done for a VPP to be as the document says. */
export function difference(wanted: Document, held: Document): Change[] {
  const changes: Change[] = [];
  const tableOf = (itf: string, family: 'ip4' | 'ip6'): number =>
    tableIn(held.interfaces?.find(({ name }) => name === itf)?.table, family);
  const asComparable = (section: string, found: object, entry: object): object =>
    section === 'interfaces'
      ? comparableInterface(found as InterfaceEntry, entry as InterfaceEntry)
      : comparable(section, found, entry, tableOf);
  for (const section of sections) {
    const want = wanted[section];
    if (want === undefined) continue;
    if (section === 'nat44') {
      const nat = want as NatEntry;
      const { differs, extra } = natDifference(nat, held.nat44);
      const isNew = held.nat44 === undefined && Object.keys(nat).length > 0;
      const entry = { section, key: section, entry: nat };
      if (isNew || differs.length > 0) changes.push({ type: isNew ? '+' : '~', ...entry, fields: differs });
      if (extra.length > 0) changes.push({ type: '-', ...entry, fields: extra });
      continue;
    }
    const have = new Map(((held[section] ?? []) as unknown[]).map((entry) => [keyOf(section, entry), entry]));
    for (const entry of want as unknown[]) {
      const key = keyOf(section, entry);
      const found = have.get(key) as Record<string, unknown> | undefined;
      const now = found && (asComparable(section, found, entry as object) as Record<string, unknown>);
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
  type Entry<S extends Exclude<keyof Document, 'nat44' | keyof Extras>> = NonNullable<Document[S]>[number];
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
  } else if (isExtra(section)) await extraActions[section][0](vpp, entry as never);
  else await ensureNat(vpp, entry as NatEntry, held.nat44);
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
  } else if (isExtra(section)) await extraActions[section][1](vpp, entry as never);
}

/** Makes a VPP as the document says; `done` is called before each change. */
export async function applyDocument(
  vpp: Vpp,
  wanted: Document,
  options: { prune?: boolean; onChange?: (change: Change) => void } = {},
): Promise<Change[]> {
  const held = await dumpDocument(vpp);
  const changes = difference(wanted, held);
  for (const { section, key, fields } of changes) if (section === 'interfaces') mustBeChangeable(key, fields);
  // An interface after those that it is made of, and before them when they are deleted.
  const inOrder = (list: Change[], entries: readonly InterfaceEntry[] | undefined): Change[] => {
    const ranks = ranksOf(entries ?? []);
    const rank = ({ section, key }: Change): number => (section === 'interfaces' ? ranks.get(key)! : 0);
    const place = ({ section }: Change): number => sections.indexOf(section as 'tables');
    return list.sort((a, b) => place(a) - place(b) || rank(a) - rank(b));
  };
  const apply = inOrder(
    changes.filter(({ type }) => type !== '-'),
    wanted.interfaces,
  );
  const prune =
    options.prune === true
      ? inOrder(
          changes.filter(({ type }) => type === '-'),
          held.interfaces,
        ).reverse()
      : [];
  const gone = new Set(prune.filter(({ section }) => section === 'interfaces').map(({ key }) => key));
  const less = prune.find(({ section }) => section === 'nat44');
  const nat = less && natPruner(vpp, less.entry as NatEntry, held.nat44 ?? {}, gone);
  for (const change of prune) {
    options.onChange?.(change);
    if (change === less) await nat?.before();
    else await remove(vpp, change);
  }
  for (const change of apply) {
    options.onChange?.(change);
    await ensure(vpp, change, held);
  }
  await nat?.after();
  return [...prune, ...apply];
}
