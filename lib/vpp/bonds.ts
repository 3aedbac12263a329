// Bond interfaces and their members.
//
//   vppctl: create bond mode lacp load-balance l34      vpp.bonds.create({ mode: 'lacp', loadBalance: 'l34' })
//           bond add BondEthernet0 eth0                 vpp.bonds.addMember('BondEthernet0', 'eth0')

import { ZERO_MAC } from '../net/index.js';
import { mustAgree, nameOf } from './agree.js';
import { NO_INDEX, type Core } from './core.js';
import { applySettings, type InterfaceSettings } from './interface-settings.js';
import type { Interface } from './interface.js';
import type { InterfaceRef, Interfaces } from './interfaces.js';

const modes = { 'round-robin': 1, 'active-backup': 2, xor: 3, broadcast: 4, lacp: 5 } as const;
const balances = { l2: 0, l34: 1, l23: 2, 'round-robin': 3, broadcast: 4, 'active-backup': 5 } as const;

/** A bond. */
export interface BondOptions extends InterfaceSettings {
  /** The number in its name (`BondEthernet0`); the next free one when left out. */
  id?: number;
  mode: keyof typeof modes;
  /** What chooses the member, for xor and lacp; default `l2`. */
  loadBalance?: 'l2' | 'l23' | 'l34';
  /** Only members of the NUMA node of the thread that sends. */
  numaOnly?: boolean;
  gso?: boolean;
}

/** A member. */
export interface BondMemberOptions {
  /** LACP: does not speak first. */
  passive?: boolean;
  /** LACP: 90 s instead of 3 s. */
  longTimeout?: boolean;
  /** Of active-backup: the largest is active. */
  weight?: number;
}

/** A member as VPP has it. */
export interface BondMember {
  readonly interface: Interface;
  readonly passive: boolean;
  readonly longTimeout: boolean;
  readonly weight: number;
}

/** A bond as VPP has it. */
export interface BondInfo {
  readonly interface: Interface;
  readonly id: number;
  readonly mode: keyof typeof modes | number;
  readonly loadBalance: keyof typeof balances | number;
  readonly numaOnly: boolean;
  readonly members: number;
  readonly activeMembers: number;
}

/**
 * `vpp.bonds`
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { openVpp } from 'node-vpp/vpp';
 *
 * const vpp = await openVpp({ socket: process.env.VPP_SOCKET ?? '/run/vpp/api.sock' });
 * const bond = await vpp.bonds.create({ mode: 'lacp', loadBalance: 'l34', tag: 'doc-uplink' });
 * assert.equal(await vpp.bonds.ensure({ tag: 'doc-uplink', mode: 'lacp' }), bond);
 * assert.deepEqual((await vpp.bonds.list()).map(({ mode, members }) => [mode, members]), [['lacp', 0]]);
 * assert.deepEqual(await vpp.bonds.members(bond), []);
 * assert.deepEqual(await vpp.bonds.lacp(), []);
 * await bond.delete();
 * await vpp.close();
 * ```
 */
export class Bonds {
  readonly #core: Core;
  readonly #interfaces: Interfaces;

  constructor(core: Core, interfaces: Interfaces) {
    this.#core = core;
    this.#interfaces = interfaces;
    interfaces.deleteWith('bond', async (itf) => {
      await itf.request('bond_delete', {}, 'delete it');
    });
  }

  /** All bonds, with the numbers of their members. */
  async list(): Promise<BondInfo[]> {
    const [rows, all] = await Promise.all([this.#rows(), this.#interfaces.list()]);
    const byIndex = new Map(all.map((itf) => [itf.index, itf]));
    return rows.flatMap(({ itf: index, ...row }) => {
      const itf = byIndex.get(index);
      return itf === undefined ? [] : { interface: itf, ...row };
    });
  }

  async #rows(): Promise<(Omit<BondInfo, 'interface'> & { itf: number })[]> {
    const names = { mode: modes, loadBalance: balances };
    if (this.#core.newest('sw_bond_interface_dump', 'sw_interface_bond_dump') === 'sw_bond_interface_dump') {
      const rows = await this.#core.rows('sw_bond_interface_dump', { sw_if_index: NO_INDEX }, 'bonds');
      return rows.map((row) => ({
        itf: row.sw_if_index,
        id: row.id,
        mode: nameOf(names.mode, row.mode),
        loadBalance: nameOf(names.loadBalance, row.lb),
        numaOnly: row.numa_only,
        members: row.members,
        activeMembers: row.active_members,
      }));
    }
    const rows = await this.#core.rows('sw_interface_bond_dump', {}, 'bonds');
    return rows.map((row) => ({
      itf: row.sw_if_index,
      id: row.id,
      mode: nameOf(names.mode, row.mode),
      loadBalance: nameOf(names.loadBalance, row.lb),
      numaOnly: row.numa_only,
      members: row.slaves,
      activeMembers: row.active_slaves,
    }));
  }

  /**
   * Makes a bond without members.
   *
   * @throws VppObjectError ERR_VPP_OBJECT_REFUSED when the number is taken
   */
  async create(options: BondOptions): Promise<Interface> {
    const { id = NO_INDEX, mode, loadBalance = 'l2', numaOnly = false, gso = false, ...settings } = options;
    const { mac, ...others } = settings;
    // The other modes balance by themselves: VPP refuses to be told the algorithm that goes with them.
    const lb = mode === 'xor' || mode === 'lacp' ? balances[loadBalance] : balances.l2;
    const fields = {
      id,
      mode: modes[mode],
      lb,
      numa_only: numaOnly,
      use_custom_mac: mac !== undefined,
      mac_address: mac ?? ZERO_MAC,
    };
    const object = `bond ${options.tag ?? (id === NO_INDEX ? '' : id)}`.trim();
    const reply =
      this.#core.newest('bond_create2', 'bond_create') === 'bond_create2'
        ? await this.#core.request('bond_create2', { ...fields, enable_gso: gso }, object, 'create it')
        : await this.#core.request('bond_create', fields, object, 'create it');
    return this.#interfaces.created(reply.sw_if_index, others);
  }

  /** The bond of this number or tag, created when there is none, with these settings. */
  async ensure(options: BondOptions & ({ id: number } | { tag: string })): Promise<Interface> {
    const { id, mode, loadBalance, numaOnly, gso: _, ...settings } = options;
    const found = (await this.list()).find((bond) =>
      id === undefined ? bond.interface.tag === options.tag : bond.id === id,
    );
    if (found === undefined) return this.create(options);
    mustAgree(found.interface.toString(), found, { mode, loadBalance, numaOnly });
    await applySettings(found.interface, settings);
    return found.interface;
  }

  /**
   * The members of a bond; the weight is that of active-backup, 0 when none was set.
   *
   * @throws VppObjectError ERR_VPP_OBJECT_MISSING when there is no such interface
   */
  async members(bond: InterfaceRef): Promise<BondMember[]> {
    const on = await this.#interfaces.get(bond);
    this.#core.newest('sw_member_interface_dump');
    const rows = await this.#core.rows('sw_member_interface_dump', { sw_if_index: on.index }, on.toString());
    return Promise.all(
      rows.map(async (row) => ({
        interface: await this.#interfaces.get(row.sw_if_index),
        passive: row.is_passive,
        longTimeout: row.is_long_timeout,
        weight: row.weight,
      })),
    );
  }

  /**
   * Makes an interface a member, and sets its weight when one is given.
   *
   * @throws VppObjectError ERR_VPP_OBJECT_REFUSED with what VPP said; ERR_VPP_OBJECT_MISSING when an interface is not there
   *
   * @example
   * ```ts
   * import assert from 'node:assert/strict';
   * import { openVpp } from 'node-vpp/vpp';
   *
   * const vpp = await openVpp({ socket: process.env.VPP_SOCKET ?? '/run/vpp/api.sock' });
   * const bond = await vpp.bonds.create({ mode: 'xor', loadBalance: 'l34' });
   * const link = await vpp.loopbacks.create();
   * await vpp.bonds.addMember(bond, link);
   * await vpp.bonds.ensureMember(bond, link);
   * assert.equal((await vpp.bonds.members(bond))[0]?.interface, link);
   * await vpp.bonds.removeMember(link);
   * await bond.delete();
   * await link.delete();
   * await vpp.close();
   * ```
   */
  async addMember(bond: InterfaceRef, member: InterfaceRef, options: BondMemberOptions = {}): Promise<void> {
    const [on, itf] = [await this.#interfaces.get(bond), await this.#interfaces.get(member)];
    const { passive = false, longTimeout = false, weight } = options;
    const fields = { bond_sw_if_index: on.index, is_passive: passive, is_long_timeout: longTimeout };
    const message = this.#core.newest('bond_add_member', 'bond_enslave');
    await itf.request(message, fields, `make it a member of ${on.toString()}`);
    if (weight !== undefined) await itf.request('sw_interface_set_bond_weight', { weight }, `set the weight ${weight}`);
  }

  /** Makes it a member of the bond, unless it is one. */
  async ensureMember(bond: InterfaceRef, member: InterfaceRef, options: BondMemberOptions = {}): Promise<void> {
    const itf = await this.#interfaces.get(member);
    const found = (await this.members(bond)).find((held) => held.interface.index === itf.index);
    if (found === undefined) {
      await this.addMember(bond, itf, options);
      return;
    }
    mustAgree(`${itf.toString()} as a member`, found, { passive: options.passive, longTimeout: options.longTimeout });
    const { weight } = options;
    if (weight !== undefined && weight !== found.weight) {
      await itf.request('sw_interface_set_bond_weight', { weight }, `set the weight ${weight}`);
    }
  }

  /**
   * Takes a member out of the bond it is in.
   *
   * @throws VppObjectError ERR_VPP_OBJECT_MISSING when there is no such interface; ERR_VPP_OBJECT_REFUSED when it is in none
   */
  async removeMember(member: InterfaceRef): Promise<void> {
    const itf = await this.#interfaces.get(member);
    await itf.request(this.#core.newest('bond_detach_member', 'bond_detach_slave'), {}, 'take it out of its bond');
  }

  /** What LACP sees on each member (plugin lacp_plugin.so); the states are those of 802.1AX. */
  async lacp(): Promise<Readonly<Record<string, unknown>>[]> {
    return await this.#core.rows('sw_interface_lacp_dump', {}, 'LACP');
  }
}
