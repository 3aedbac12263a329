// What any interface may be given, whatever its kind: as part of `create…`, and as what `ensure…` makes true.

import { isIpv6 } from '../net/index.js';
import { VppObjectError } from '../errors.js';
import type { Interface } from './interface.js';
import type { Mtu, RxMode, TagRewrite } from './interface-info.js';
import type { InterfaceRef } from './interfaces.js';

/** Settings of an interface. What is left out stays as it is. */
export interface InterfaceSettings {
  /** Our logical name; by it `ensure…` and `vpp.interfaces.get(tag)` find the interface again. */
  tag?: string;
  /** VPP's name for it, instead of the one VPP makes. */
  name?: string;
  up?: boolean;
  mac?: string;
  mtu?: number | Mtu;
  /** Exactly these addresses: others are deleted. */
  addresses?: readonly string[];
  /** VRF table, for the families it has addresses of, and both when it has none; or a table for each family. */
  table?: number | { readonly ip4?: number; readonly ip6?: number };
  /** Borrow the address of this interface. */
  unnumbered?: InterfaceRef;
  rxMode?: RxMode;
  promiscuous?: boolean;
  tagRewrite?: TagRewrite;
}

const isIp6Prefix = (prefix: string): boolean => isIpv6(prefix.split('/')[0]);

/** The families that addresses are of. */
function familiesOf(addresses: readonly string[] | undefined): ('ip4' | 'ip6')[] {
  if (addresses === undefined || addresses.length === 0) return ['ip4', 'ip6'];
  const families: ('ip4' | 'ip6')[] = [];
  if (addresses.some((prefix) => !isIp6Prefix(prefix))) families.push('ip4');
  if (addresses.some(isIp6Prefix)) families.push('ip6');
  return families;
}

const ADDRESS_FOUND = -114;

/** VPP refuses to move an interface that has addresses of the family, its own or another's. */
async function moveTo(itf: Interface, { table: wanted, addresses, unnumbered }: InterfaceSettings): Promise<void> {
  const now = await itf.table();
  for (const family of typeof wanted === 'object' ? (['ip4', 'ip6'] as const) : familiesOf(addresses)) {
    const table = typeof wanted === 'object' ? wanted[family] : wanted;
    if (table === undefined || now[family] === table) continue;
    for (const prefix of await itf.addresses()) {
      if (isIp6Prefix(prefix) === (family === 'ip6') && !prefix.startsWith('fe80:')) await itf.deleteAddress(prefix);
    }
    try {
      await itf.setTable(table, family);
    } catch (error) {
      const lender = error instanceof VppObjectError && error.retval === ADDRESS_FOUND && (await itf.unnumbered());
      if (!(lender instanceof Object)) throw error;
      if (unnumbered === undefined) {
        const problem = `cannot move it to table ${table}: it borrows the address of ${lender.toString()}, whose table it has to be in`;
        throw new VppObjectError('ERR_VPP_OBJECT_REFUSED', itf.toString(), problem, { cause: error });
      }
      await itf.setUnnumbered(undefined);
      await itf.setTable(table, family);
    }
  }
}

function sameMtu(itf: Interface, mtu: number | Mtu): boolean {
  const { l3 = 0, ip4 = 0, ip6 = 0, mpls = 0 } = typeof mtu === 'number' ? { l3: mtu } : mtu;
  const now = itf.info.mtu;
  return now.l3 === l3 && now.ip4 === ip4 && now.ip6 === ip6 && now.mpls === mpls;
}

function sameRewrite(itf: Interface, wanted: TagRewrite): boolean {
  const now = itf.info.tagRewrite ?? { op: 'disabled' };
  if (now.op !== wanted.op) return false;
  const tags = /^push|^translate/.test(wanted.op);
  return (
    !tags ||
    ((now.dot1q ?? true) === (wanted.dot1q ?? true) &&
      (now.tag1 ?? 0) === (wanted.tag1 ?? 0) &&
      (!wanted.op.endsWith('2') || (now.tag2 ?? 0) === (wanted.tag2 ?? 0)))
  );
}

/** Makes the settings true, sending only what is not so yet. What is up goes up last, and down first. */
export async function applySettings(itf: Interface, settings: InterfaceSettings): Promise<void> {
  const { info } = itf;
  if (settings.up === false && info.adminUp) await itf.setDown();
  if (settings.tag !== undefined && info.tag !== settings.tag) await itf.setTag(settings.tag);
  if (settings.name !== undefined && info.name !== settings.name) await itf.rename(settings.name);
  if (settings.mac !== undefined && info.mac !== settings.mac.toLowerCase()) await itf.setMac(settings.mac);
  if (settings.mtu !== undefined && !sameMtu(itf, settings.mtu)) await itf.setMtu(settings.mtu);
  if (settings.tagRewrite !== undefined && !sameRewrite(itf, settings.tagRewrite)) {
    await itf.setTagRewrite(settings.tagRewrite);
  }
  if (settings.table !== undefined) await moveTo(itf, settings);
  if (settings.addresses !== undefined) await itf.ensureAddresses(settings.addresses);
  if (settings.unnumbered !== undefined) await itf.setUnnumbered(settings.unnumbered);
  if (settings.promiscuous !== undefined) await itf.setPromiscuous(settings.promiscuous);
  if (settings.up === true && !info.adminUp) await itf.setUp();
  // Queues are there when the interface is up; before, VPP refuses.
  if (settings.rxMode !== undefined) await itf.setRxMode(settings.rxMode);
}
