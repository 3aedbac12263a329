// Bridge domains, their members and MAC tables, ARP termination; cross-connects and mirroring are files of their own.
//
//   vppctl: create bridge-domain 7 learn 1 forward 1 …        vpp.bridges.create({ id: 7, tag: 'lan' })
//           set interface l2 bridge tap0 7 1                  vpp.bridges.addMember(7, 'tap0', { splitHorizonGroup: 1 })
//           set interface l2 bridge loop0 7 bvi               vpp.bridges.addMember(7, 'loop0', { bvi: true })
//           l2fib add 02:fe:00:00:00:02 7 tap0 static         vpp.bridges.addMac(7, { mac: '02:…', interface: 'tap0' })
//           show bridge-domain 7 detail                       vpp.bridges.get(7)

import { normalizeIp, normalizeMac } from '../net/index.js';
import { ArgumentTypeError, VppObjectError } from '../errors.js';
import { explained, NO_INDEX, type Core, type RowOf } from './core.js';
import type { InterfaceRef, Interfaces } from './interfaces.js';

/** What a bridge domain does. */
export interface BridgeFlags {
  /** Copies of broadcast and multicast to all members; default true. */
  flood?: boolean;
  /** Copies of packets to unknown MAC addresses; default true. */
  unknownUnicastFlood?: boolean;
  /** Default true. */
  forward?: boolean;
  /** Default true. */
  learn?: boolean;
  /** Answers ARP and ND itself from its table; default false. */
  arpTermination?: boolean;
  /** What ARP termination does not know is flooded as unknown unicast; default false. */
  arpUnicastForward?: boolean;
}

/** A bridge domain to make. */
export interface BridgeOptions extends BridgeFlags {
  /** 1 … 16777215; the next free one when left out. */
  id?: number;
  /** Our name for it. */
  tag?: string;
  /** Learnt MAC addresses are forgotten after so many minutes, 1 … 255; 0: never. */
  macAgeMinutes?: number;
}

/** A member of a bridge domain. */
export interface BridgeMember {
  readonly interfaceIndex: number;
  /** Members of one group other than 0 do not talk to each other. */
  readonly splitHorizonGroup: number;
  /** The routed side. */
  readonly bvi: boolean;
  /** Where packets to unknown MAC addresses go instead of to all. */
  readonly unknownUnicastForward: boolean;
}

/** A bridge domain that VPP has. */
export interface BridgeInfo extends Required<BridgeFlags> {
  readonly id: number;
  readonly tag: string;
  readonly macAgeMinutes: number;
  readonly members: readonly BridgeMember[];
}

/** How an interface becomes a member. */
export interface MemberOptions {
  splitHorizonGroup?: number;
  bvi?: boolean;
  unknownUnicastForward?: boolean;
}

/** A MAC address of a bridge domain. */
export interface MacEntry {
  mac: string;
  /** Left out together with `drop`. */
  interface?: InterfaceRef;
  /** Is not forgotten and not learnt elsewhere; default true. */
  isStatic?: boolean;
  /** Packets to and from it are dropped. */
  drop?: boolean;
}

/** A MAC address that VPP has in a bridge domain. */
export interface MacInfo {
  readonly bridge: number;
  readonly mac: string;
  readonly interfaceIndex: number | undefined;
  readonly isStatic: boolean;
  readonly drop: boolean;
  readonly bvi: boolean;
}

/** A bridge domain by its number or tag. */
export type BridgeRef = number | string;

/** Of a MAC address, INVALID_SW_IF_INDEX. */
const NO_MEMBER = -2;
const flagBits: Readonly<Record<keyof BridgeFlags, number>> = {
  learn: 1,
  forward: 2,
  flood: 4,
  unknownUnicastFlood: 8,
  arpTermination: 16,
  arpUnicastForward: 32,
};

const defaults: Required<BridgeFlags> = {
  flood: true,
  unknownUnicastFlood: true,
  forward: true,
  learn: true,
  arpTermination: false,
  arpUnicastForward: false,
};

function bridgeInfo(row: RowOf<'bridge_domain_dump'>): BridgeInfo {
  return {
    id: row.bd_id,
    tag: row.bd_tag,
    flood: row.flood,
    unknownUnicastFlood: row.uu_flood,
    forward: row.forward,
    learn: row.learn,
    arpTermination: row.arp_term,
    arpUnicastForward: row.arp_ufwd,
    macAgeMinutes: row.mac_age,
    members: row.sw_if_details.map(({ sw_if_index: index, shg }) => ({
      interfaceIndex: index,
      splitHorizonGroup: shg,
      bvi: index === row.bvi_sw_if_index,
      unknownUnicastForward: index === row.uu_fwd_sw_if_index,
    })),
  };
}

/**
 * `vpp.bridges`
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { openVpp } from 'node-vpp/vpp';
 *
 * const vpp = await openVpp({ socket: process.env.VPP_SOCKET ?? '/run/vpp/api.sock' });
 * const id = await vpp.bridges.create({ tag: 'doc-office' });
 * assert.equal((await vpp.bridges.get('doc-office')).id, id);
 * await vpp.bridges.setFlags(id, { arpTermination: true, learn: false });
 * await vpp.bridges.setMacAge(id, 5);
 * await vpp.bridges.setLearnLimit(id, 1000);
 * const lan = await vpp.loopbacks.create();
 * await vpp.bridges.addMember(id, lan);
 * assert.equal(await vpp.bridges.ensureMember(id, lan), false);
 * const mac = '02:fe:00:00:00:18';
 * await vpp.bridges.addMac(id, { mac, interface: lan });
 * assert.equal(await vpp.bridges.ensureMac(id, { mac, interface: lan }), false);
 * assert.ok((await vpp.bridges.macs(id)).some((one) => one.mac === mac && one.isStatic));
 * await vpp.bridges.deleteMac(id, mac);
 * await vpp.bridges.flushMacs(id);
 * await vpp.bridges.addArpEntry(id, '10.18.0.9', mac);
 * await vpp.bridges.ensureArpEntries(id, [{ ip: '10.18.0.9', mac }]);
 * assert.deepEqual(await vpp.bridges.arpEntries(id), [{ ip: '10.18.0.9', mac }]);
 * await vpp.bridges.deleteArpEntry(id, '10.18.0.9', mac);
 * await vpp.bridges.removeMember(id, lan);
 * await lan.delete();
 * await vpp.bridges.delete(id);
 * await vpp.close();
 * ```
 */
export class Bridges {
  readonly #core: Core;
  readonly #interfaces: Interfaces;

  constructor(core: Core, interfaces: Interfaces) {
    this.#core = core;
    this.#interfaces = interfaces;
  }

  /** All bridge domains; not number 0, in which interfaces are that are in none. */
  async list(): Promise<BridgeInfo[]> {
    const fields = { bd_id: NO_INDEX, sw_if_index: NO_INDEX };
    const rows = await this.#core.rows('bridge_domain_dump', fields, 'bridge domains');
    return rows.filter(({ bd_id: id }) => id !== 0).map(bridgeInfo);
  }

  /** @throws VppObjectError ERR_VPP_OBJECT_MISSING, or ERR_VPP_OBJECT_AMBIGUOUS when several have the tag */
  async get(ref: BridgeRef): Promise<BridgeInfo> {
    const found = await this.find(ref);
    if (found !== undefined) return found;
    const what = typeof ref === 'number' ? `number ${ref}` : `the tag "${ref}"`;
    throw new VppObjectError('ERR_VPP_OBJECT_MISSING', `bridge domain ${ref}`, `VPP has no bridge domain of ${what}`);
  }

  /**
   * As `get`; undefined when there is none.
   *
   * @throws VppObjectError ERR_VPP_OBJECT_AMBIGUOUS when several have the tag
   */
  async find(ref: BridgeRef): Promise<BridgeInfo | undefined> {
    const found = (await this.list()).filter(({ id, tag }) => (typeof ref === 'number' ? id === ref : tag === ref));
    if (found.length > 1) {
      const problem = `${found.length} bridge domains have this tag: ${found.map(({ id }) => id).join(', ')}`;
      throw new VppObjectError('ERR_VPP_OBJECT_AMBIGUOUS', `bridge domain ${ref}`, problem);
    }
    return found[0];
  }

  /** Makes a bridge domain; its number. */
  async create(options: BridgeOptions = {}): Promise<number> {
    const { id = NO_INDEX, tag = '', macAgeMinutes = 0, ...flags } = options;
    const all = { ...defaults, ...flags };
    const fields = {
      bd_id: id,
      flood: all.flood,
      uu_flood: all.unknownUnicastFlood,
      forward: all.forward,
      learn: all.learn,
      arp_term: all.arpTermination,
      arp_ufwd: all.arpUnicastForward,
      mac_age: macAgeMinutes,
      bd_tag: tag,
      is_add: true,
    };
    const object = `bridge domain ${tag || (id === NO_INDEX ? '' : id)}`.trim();
    if (this.#core.newest('bridge_domain_add_del_v2', 'bridge_domain_add_del') === 'bridge_domain_add_del_v2') {
      return (await this.#core.request('bridge_domain_add_del_v2', fields, object, 'create it')).bd_id;
    }
    // The older message has no way to ask for a free number.
    const taken = new Set((await this.list()).map((bridge) => bridge.id));
    let free = id === NO_INDEX ? 1 : id;
    while (id === NO_INDEX && taken.has(free)) free += 1;
    await this.#core.request('bridge_domain_add_del', { ...fields, bd_id: free }, object, 'create it');
    return free;
  }

  /** Makes a bridge domain of this number or tag what is asked for, and creates it when there is none; its number. */
  async ensure(options: BridgeOptions & ({ id: number } | { tag: string })): Promise<number> {
    const { id, tag } = options;
    if (id === undefined && tag === undefined)
      throw new ArgumentTypeError('ensure: a bridge domain needs an id or a tag');
    const held = await this.find(id ?? tag!);
    if (held === undefined) return this.create(options);
    if (tag !== undefined && held.tag !== tag) {
      const problem = `it exists with the tag "${held.tag}", not "${tag}"; that cannot be changed, delete it first`;
      throw new VppObjectError('ERR_VPP_OBJECT_DIFFERS', `bridge domain ${held.id}`, problem);
    }
    const { macAgeMinutes, id: _, tag: _tag, ...flags } = options;
    const change = Object.fromEntries(
      Object.entries(flags).filter(([name, value]) => held[name as keyof BridgeFlags] !== value),
    ) as BridgeFlags;
    if (Object.keys(change).length > 0) await this.setFlags(held.id, change);
    if (macAgeMinutes !== undefined && macAgeMinutes !== held.macAgeMinutes)
      await this.setMacAge(held.id, macAgeMinutes);
    return held.id;
  }

  /** Changes what it does; what is not named stays. */
  async setFlags(ref: BridgeRef, flags: BridgeFlags): Promise<void> {
    const id = await this.#id(ref);
    for (const isSet of [true, false]) {
      let bits = 0;
      for (const [name, on] of Object.entries(flags) as [keyof BridgeFlags, boolean | undefined][]) {
        if (!(name in flagBits)) throw new ArgumentTypeError(`a bridge domain has no flag "${name}"`);
        if (on === isSet) bits |= flagBits[name];
      }
      if (bits === 0) continue;
      const fields = { bd_id: id, is_set: isSet, flags: bits };
      await this.#core.request('bridge_flags', fields, `bridge domain ${ref}`, 'change its flags');
    }
  }

  /** After so many minutes without a packet a learnt MAC address is forgotten, 0 … 255; 0: never. */
  async setMacAge(ref: BridgeRef, minutes: number): Promise<void> {
    const fields = { bd_id: await this.#id(ref), mac_age: minutes };
    await this.#core.request('bridge_domain_set_mac_age', fields, `bridge domain ${ref}`, 'set its MAC age');
  }

  /** At most so many learnt MAC addresses. */
  async setLearnLimit(ref: BridgeRef, limit: number): Promise<void> {
    const fields = { bd_id: await this.#id(ref), learn_limit: limit };
    await this.#core.request('bridge_domain_set_learn_limit', fields, `bridge domain ${ref}`, 'set its learn limit');
  }

  /** Deletes a bridge domain. Its members are taken out first: VPP refuses while there are any. */
  async delete(ref: BridgeRef): Promise<void> {
    const held = await this.get(ref);
    for (const { interfaceIndex } of held.members) await this.#setMember(held.id, interfaceIndex, {}, false);
    const message = this.#core.newest('bridge_domain_add_del_v2', 'bridge_domain_add_del');
    const fields = {
      bd_id: held.id,
      flood: false,
      uu_flood: false,
      forward: false,
      learn: false,
      arp_term: false,
      arp_ufwd: false,
      mac_age: 0,
      bd_tag: '',
      is_add: false,
    };
    await this.#core.request(message, fields, `bridge domain ${ref}`, 'delete it');
  }

  /** Makes an interface a member; it leaves the bridge domain it was in. */
  async addMember(ref: BridgeRef, itf: InterfaceRef, options: MemberOptions = {}): Promise<void> {
    await this.#setMember(await this.#id(ref), itf, options, true);
  }

  /** Makes an interface a member like this; false when it was so already. */
  async ensureMember(ref: BridgeRef, itf: InterfaceRef, options: MemberOptions = {}): Promise<boolean> {
    const bridge = await this.get(ref);
    const { index } = await this.#interfaces.get(itf);
    const held = bridge.members.find(({ interfaceIndex }) => interfaceIndex === index);
    const same =
      held?.splitHorizonGroup === (options.splitHorizonGroup ?? 0) &&
      held.bvi === (options.bvi ?? false) &&
      held.unknownUnicastForward === (options.unknownUnicastForward ?? false);
    if (same) return false;
    await this.#setMember(bridge.id, itf, options, true);
    return true;
  }

  /**
   * Takes an interface out: it is routed again.
   *
   * @throws VppObjectError ERR_VPP_OBJECT_REFUSED with what VPP said; ERR_VPP_OBJECT_MISSING when an interface is not there
   */
  async removeMember(ref: BridgeRef, itf: InterfaceRef): Promise<void> {
    await this.#setMember(await this.#id(ref), itf, {}, false);
  }

  async #setMember(id: number, itf: InterfaceRef, options: MemberOptions, enable: boolean): Promise<void> {
    const { splitHorizonGroup = 0, bvi = false, unknownUnicastForward = false } = options;
    const on = await this.#interfaces.get(itf);
    const fields = {
      rx_sw_if_index: on.index,
      bd_id: id,
      port_type: bvi ? 1 : unknownUnicastForward ? 2 : 0,
      shg: splitHorizonGroup,
      enable,
    };
    const doing = enable ? `make ${on.toString()} a member` : `take ${on.toString()} out`;
    await this.#core.request('sw_interface_set_l2_bridge', fields, `bridge domain ${id}`, doing);
  }

  /** MAC addresses, learnt and given, of one bridge domain or all. */
  async macs(ref?: BridgeRef): Promise<MacInfo[]> {
    const id = ref === undefined ? NO_INDEX : await this.#id(ref);
    const rows = await this.#core.rows('l2_fib_table_dump', { bd_id: id }, 'MAC addresses');
    return rows.map((row) => ({
      bridge: row.bd_id,
      mac: row.mac,
      interfaceIndex: row.sw_if_index === NO_INDEX ? undefined : row.sw_if_index,
      isStatic: row.static_mac,
      drop: row.filter_mac,
      bvi: row.bvi_mac,
    }));
  }

  /**
   * Makes a MAC address lead to an interface, or its packets be dropped.
   *
   * @throws ArgumentTypeError when it has neither
   * @throws VppObjectError ERR_VPP_OBJECT_REFUSED with what VPP said; ERR_VPP_OBJECT_MISSING when an interface is not there
   */
  async addMac(ref: BridgeRef, entry: MacEntry): Promise<void> {
    await this.#mac(ref, entry, true);
  }

  /** Makes a MAC address lead there; false when it did already. */
  async ensureMac(ref: BridgeRef, entry: MacEntry): Promise<boolean> {
    const { drop = false, isStatic = true } = entry;
    const index = entry.interface === undefined ? undefined : (await this.#interfaces.get(entry.interface)).index;
    const held = (await this.macs(ref)).find(({ mac }) => mac === normalizeMac(entry.mac));
    const same = held?.drop === drop && held.isStatic === (isStatic || drop) && (drop || held.interfaceIndex === index);
    if (same) return false;
    await this.#mac(ref, entry, true);
    return true;
  }

  /**
   * Forgets a MAC address, wherever it leads.
   *
   * @throws VppObjectError ERR_VPP_OBJECT_REFUSED with what VPP said
   */
  async deleteMac(ref: BridgeRef, mac: string): Promise<void> {
    await this.#mac(ref, { mac, drop: true }, false);
  }

  async #mac(ref: BridgeRef, entry: MacEntry, isAdd: boolean): Promise<void> {
    const { mac, drop = false, isStatic = true } = entry;
    if (isAdd && !drop && entry.interface === undefined) {
      throw new ArgumentTypeError(`MAC address ${mac}: it needs an interface, or drop`);
    }
    const on = entry.interface === undefined ? undefined : await this.#interfaces.get(entry.interface);
    const id = await this.#id(ref);
    const fields = {
      mac,
      bd_id: id,
      // To delete, 0 stands for wherever it leads.
      sw_if_index: isAdd ? (on?.index ?? NO_INDEX) : 0,
      is_add: isAdd,
      static_mac: isStatic || drop,
      filter_mac: drop,
      bvi_mac: false,
    };
    const object = `MAC address ${mac} in bridge domain ${ref}`;
    try {
      await this.#core.request('l2fib_add_del', fields, object, isAdd ? 'add it' : 'delete it');
    } catch (error) {
      throw on === undefined ? error : explained(error, NO_MEMBER, `as it does when ${on.toString()} is no member`);
    }
  }

  /** Forgets what was learnt: in one bridge domain, or all. */
  async flushMacs(ref?: BridgeRef): Promise<void> {
    if (ref === undefined) await this.#core.request('l2fib_flush_all', {}, 'bridge domains', 'flush MAC addresses');
    else {
      const fields = { bd_id: await this.#id(ref) };
      await this.#core.request('l2fib_flush_bd', fields, `bridge domain ${ref}`, 'flush its MAC addresses');
    }
  }

  /** What ARP termination answers. */
  async arpEntries(ref: BridgeRef): Promise<{ ip: string; mac: string }[]> {
    const fields = { bd_id: await this.#id(ref) };
    const rows = await this.#core.rows('bd_ip_mac_dump', fields, `bridge domain ${ref}`);
    return rows.map(({ entry }) => ({ ip: entry.ip, mac: entry.mac }));
  }

  /**
   * Answers ARP (or ND) for an address; the bridge domain needs `arpTermination`.
   *
   * @throws VppObjectError ERR_VPP_OBJECT_REFUSED with what VPP said
   */
  async addArpEntry(ref: BridgeRef, ip: string, mac: string): Promise<void> {
    await this.#arp(ref, ip, mac, true);
  }

  /** Makes its answers exactly these. */
  async ensureArpEntries(ref: BridgeRef, entries: readonly { ip: string; mac: string }[]): Promise<void> {
    const wanted = new Map(entries.map(({ ip, mac }) => [normalizeIp(ip), normalizeMac(mac)]));
    for (const { ip, mac } of await this.arpEntries(ref)) {
      if (wanted.get(ip) === mac) wanted.delete(ip);
      else await this.#arp(ref, ip, mac, false);
    }
    for (const [ip, mac] of wanted) await this.#arp(ref, ip, mac, true);
  }

  /**
   * Stops answering for an address.
   *
   * @throws VppObjectError ERR_VPP_OBJECT_REFUSED with what VPP said
   */
  async deleteArpEntry(ref: BridgeRef, ip: string, mac: string): Promise<void> {
    await this.#arp(ref, ip, mac, false);
  }

  async #arp(ref: BridgeRef, ip: string, mac: string, isAdd: boolean): Promise<void> {
    const entry = { bd_id: await this.#id(ref), ip, mac };
    const doing = `${isAdd ? 'add' : 'delete'} the ARP entry ${ip} ${mac}`;
    await this.#core.request('bd_ip_mac_add_del', { is_add: isAdd, entry }, `bridge domain ${ref}`, doing);
  }

  async #id(ref: BridgeRef): Promise<number> {
    return typeof ref === 'number' ? ref : (await this.get(ref)).id;
  }
}
