// VXLAN tunnels.
//
//   vppctl: create vxlan tunnel src 10.0.0.1 dst 10.0.0.2 vni 13
//                                        vpp.vxlan.create({ source: '10.0.0.1', destination: '10.0.0.2', vni: 13 })

import { mustAgree } from './agree.js';
import { NO_INDEX, type Core } from './core.js';
import { applySettings, type InterfaceSettings } from './interface-settings.js';
import type { Interface } from './interface.js';
import type { InterfaceRef, Interfaces } from './interfaces.js';

/** A VXLAN tunnel. */
export interface VxlanOptions extends InterfaceSettings {
  source: string;
  /** The peer, or a multicast group. */
  destination: string;
  /** 24 bits. */
  vni: number;
  /** Where packets of a multicast group go. */
  multicastInterface?: InterfaceRef;
  /** VRF table of the outer packets, default 0. */
  encapTable?: number;
  /** UDP ports, default 4789. */
  sourcePort?: number;
  destinationPort?: number;
  /** The number in its name (`vxlan_tunnel0`); the next free one when left out. */
  instance?: number;
  /** Carries IP without Ethernet (VPP's `l3`). */
  l3?: boolean;
}

/** A VXLAN tunnel as VPP has it. */
export interface VxlanInfo {
  readonly interface: Interface;
  readonly source: string;
  readonly destination: string;
  readonly vni: number;
  readonly multicastIndex: number | undefined;
  readonly encapTable: number;
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly instance: number;
  readonly decapNextIndex: number;
}

/**
 * `vpp.vxlan`
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { openVpp } from 'node-vpp/vpp';
 *
 * const vpp = await openVpp({ socket: process.env.VPP_SOCKET ?? '/run/vpp/api.sock' });
 * const tunnel = await vpp.vxlan.create({ source: '10.3.0.1', destination: '10.3.0.2', vni: 7 });
 * assert.equal((await vpp.vxlan.list())[0]?.vni, 7);
 * const underlay = await vpp.loopbacks.create({ addresses: ['10.3.0.1/24'], up: true });
 * await vpp.vxlan.setBypass(underlay);
 * await vpp.vxlan.setBypass(underlay, false);
 * await underlay.delete();
 * await tunnel.delete();
 * await vpp.close();
 * ```
 */
export class Vxlans {
  readonly #core: Core;
  readonly #interfaces: Interfaces;

  constructor(core: Core, interfaces: Interfaces) {
    this.#core = core;
    this.#interfaces = interfaces;
    interfaces.deleteWith('VXLAN', async (itf) => {
      const found = (await this.#rows(itf.index)).find(({ index }) => index === itf.index);
      if (found !== undefined) await this.#addDel(false, { ...found, l3: false }, itf.toString(), 'delete it');
    });
  }

  /** All VXLAN tunnels. */
  async list(): Promise<VxlanInfo[]> {
    const [rows, all] = await Promise.all([this.#rows(NO_INDEX), this.#interfaces.list()]);
    const byIndex = new Map(all.map((itf) => [itf.index, itf]));
    return rows.flatMap(({ index, ...row }) => {
      const itf = byIndex.get(index);
      return itf === undefined ? [] : { interface: itf, ...row };
    });
  }

  async #rows(which: number): Promise<(Omit<VxlanInfo, 'interface'> & { index: number })[]> {
    const fields = { sw_if_index: which };
    const message = this.#core.newest('vxlan_tunnel_v2_dump', 'vxlan_tunnel_dump');
    // The older row lacks the ports, which are those of the standard then.
    const rows = await this.#core.rows(message as 'vxlan_tunnel_v2_dump', fields, 'vxlan tunnels');
    return rows.map((row: Partial<(typeof rows)[number]> & Omit<(typeof rows)[number], 'src_port' | 'dst_port'>) => ({
      index: row.sw_if_index,
      source: row.src_address,
      destination: row.dst_address,
      vni: row.vni,
      multicastIndex: row.mcast_sw_if_index === NO_INDEX ? undefined : row.mcast_sw_if_index,
      encapTable: row.encap_vrf_id,
      sourcePort: row.src_port ?? 4789,
      destinationPort: row.dst_port ?? 4789,
      instance: row.instance,
      decapNextIndex: row.decap_next_index,
    }));
  }

  /**
   * Makes a tunnel between two addresses; ports are of UDP, default 4789.
   *
   * @throws VppObjectError ERR_VPP_OBJECT_REFUSED when there is one already, or the table of the outer packets is not there
   */
  async create(options: VxlanOptions): Promise<Interface> {
    const { source, destination, vni, multicastInterface, encapTable = 0, sourcePort = 4789, ...rest } = options;
    const { destinationPort = 4789, instance = NO_INDEX, l3 = false, ...settings } = rest;
    const over = multicastInterface === undefined ? undefined : await this.#interfaces.get(multicastInterface);
    const tunnel = { source, destination, vni, multicastIndex: over?.index, encapTable, sourcePort, destinationPort };
    const object = `vxlan tunnel ${source} -> ${destination} vni ${vni}`;
    const all = { ...tunnel, instance, l3, decapNextIndex: NO_INDEX };
    return this.#interfaces.created(await this.#addDel(true, all, object, 'create it'), settings);
  }

  async #addDel(
    isAdd: boolean,
    tunnel: Omit<VxlanInfo, 'interface'> & { l3: boolean },
    object: string,
    doing: string,
  ): Promise<number> {
    const v1 = {
      is_add: isAdd,
      instance: tunnel.instance,
      src_address: tunnel.source,
      dst_address: tunnel.destination,
      mcast_sw_if_index: tunnel.multicastIndex ?? NO_INDEX,
      encap_vrf_id: tunnel.encapTable,
      decap_next_index: tunnel.decapNextIndex,
      vni: tunnel.vni,
    };
    const v2 = { ...v1, src_port: tunnel.sourcePort, dst_port: tunnel.destinationPort };
    const message = this.#core.newest('vxlan_add_del_tunnel_v3', 'vxlan_add_del_tunnel_v2', 'vxlan_add_del_tunnel');
    const reply =
      message === 'vxlan_add_del_tunnel_v3'
        ? await this.#core.request(message, { ...v2, is_l3: tunnel.l3 }, object, doing)
        : message === 'vxlan_add_del_tunnel_v2'
          ? await this.#core.request(message, v2, object, doing)
          : await this.#core.request(message, v1, object, doing);
    return reply.sw_if_index;
  }

  /** The tunnel between these addresses with this vni, created when there is none, with these settings. */
  async ensure(options: VxlanOptions): Promise<Interface> {
    const {
      source,
      destination,
      vni,
      multicastInterface: _m,
      encapTable,
      sourcePort,
      destinationPort,
      ...rest
    } = options;
    const { instance: _i, l3: _l, ...settings } = rest;
    const found = (await this.list()).find(
      (held) =>
        held.source === source &&
        held.destination === destination &&
        held.vni === vni &&
        held.encapTable === (encapTable ?? 0),
    );
    if (found === undefined) return this.create(options);
    mustAgree(found.interface.toString(), found, { sourcePort, destinationPort });
    await applySettings(found.interface, settings);
    return found.interface;
  }

  /** Takes VXLAN packets of an interface past the IP lookup (`set interface ip vxlan-bypass`). */
  async setBypass(itf: InterfaceRef, enable = true, family: 'ip4' | 'ip6' = 'ip4'): Promise<void> {
    const on = await this.#interfaces.get(itf);
    const fields = { is_ipv6: family === 'ip6', enable };
    await on.request('sw_interface_set_vxlan_bypass', fields, `switch the VXLAN bypass ${enable ? 'on' : 'off'}`);
  }
}
