// GENEVE tunnels.
//
//   vppctl: create geneve tunnel local 10.0.0.1 remote 10.0.0.2 vni 13
//                                        vpp.geneve.create({ source: '10.0.0.1', destination: '10.0.0.2', vni: 13 })

import { NO_INDEX, type Core } from './core.js';
import { applySettings, type InterfaceSettings } from './interface-settings.js';
import type { Interface } from './interface.js';
import type { InterfaceRef, Interfaces } from './interfaces.js';

/** A GENEVE tunnel. */
export interface GeneveOptions extends InterfaceSettings {
  source: string;
  /** The peer, or a multicast group. */
  destination: string;
  /** 24 bits. */
  vni: number;
  multicastInterface?: InterfaceRef;
  /** VRF table of the outer packets, default 0. */
  encapTable?: number;
  /** Carries IP without Ethernet. */
  l3?: boolean;
}

/** A GENEVE tunnel as VPP has it. */
export interface GeneveInfo {
  readonly interface: Interface;
  readonly source: string;
  readonly destination: string;
  readonly vni: number;
  readonly multicastIndex: number | undefined;
  readonly encapTable: number;
}

/**
 * `vpp.geneve`
 *
 * @throws VppFeatureError ERR_VPP_FEATURE_MISSING, from every method, when geneve_plugin.so is not loaded
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { openVpp } from 'node-vpp/vpp';
 *
 * const vpp = await openVpp({ socket: process.env.VPP_SOCKET ?? '/run/vpp/api.sock' });
 * const ends = { source: '10.5.0.1', destination: '10.5.0.2', vni: 905 };
 * const tunnel = await vpp.geneve.create({ ...ends, tag: 'doc-geneve' });
 * assert.equal(await vpp.geneve.ensure(ends), tunnel);
 * assert.equal((await vpp.geneve.list())[0]?.vni, 905);
 * await tunnel.delete();
 * await vpp.close();
 * ```
 */
export class Geneves {
  readonly #core: Core;
  readonly #interfaces: Interfaces;

  constructor(core: Core, interfaces: Interfaces) {
    this.#core = core;
    this.#interfaces = interfaces;
    interfaces.deleteWith('GENEVE', async (itf) => {
      const found = (await this.#rows(itf.index)).find(({ index }) => index === itf.index);
      if (found !== undefined) await this.#addDel(false, { ...found, l3: false }, itf.toString(), 'delete it');
    });
  }

  /** All GENEVE tunnels. */
  async list(): Promise<GeneveInfo[]> {
    const [rows, all] = await Promise.all([this.#rows(NO_INDEX), this.#interfaces.list()]);
    const byIndex = new Map(all.map((itf) => [itf.index, itf]));
    return rows.flatMap(({ index, ...row }) => {
      const itf = byIndex.get(index);
      return itf === undefined ? [] : { interface: itf, ...row };
    });
  }

  async #rows(which: number): Promise<(Omit<GeneveInfo, 'interface'> & { index: number })[]> {
    const rows = await this.#core.rows('geneve_tunnel_dump', { sw_if_index: which }, 'geneve tunnels');
    return rows.map((row) => ({
      index: row.sw_if_index,
      source: row.src_address,
      destination: row.dst_address,
      vni: row.vni,
      multicastIndex: row.mcast_sw_if_index === NO_INDEX ? undefined : row.mcast_sw_if_index,
      encapTable: row.encap_vrf_id,
    }));
  }

  /**
   * Makes a tunnel between two addresses.
   *
   * @throws VppObjectError ERR_VPP_OBJECT_REFUSED when there is one already, or the table of the outer packets is not there
   */
  async create(options: GeneveOptions): Promise<Interface> {
    const { source, destination, vni, multicastInterface, encapTable = 0, l3 = false, ...settings } = options;
    const over = multicastInterface === undefined ? undefined : await this.#interfaces.get(multicastInterface);
    const tunnel = { source, destination, vni, multicastIndex: over?.index, encapTable, l3 };
    const object = `geneve tunnel ${source} -> ${destination} vni ${vni}`;
    return this.#interfaces.created(await this.#addDel(true, tunnel, object, 'create it'), settings);
  }

  async #addDel(
    isAdd: boolean,
    tunnel: Omit<GeneveInfo, 'interface'> & { l3: boolean },
    object: string,
    doing: string,
  ): Promise<number> {
    const fields = {
      is_add: isAdd,
      local_address: tunnel.source,
      remote_address: tunnel.destination,
      mcast_sw_if_index: tunnel.multicastIndex ?? NO_INDEX,
      encap_vrf_id: tunnel.encapTable,
      decap_next_index: NO_INDEX,
      vni: tunnel.vni,
      l3_mode: tunnel.l3,
    };
    return (await this.#core.request('geneve_add_del_tunnel2', fields, object, doing)).sw_if_index;
  }

  /** The tunnel between these addresses with this vni, created when there is none, with these settings. */
  async ensure(options: GeneveOptions): Promise<Interface> {
    const { source, destination, vni, multicastInterface: _m, encapTable = 0, l3: _l, ...settings } = options;
    const found = (await this.list()).find(
      (held) =>
        held.source === source &&
        held.destination === destination &&
        held.vni === vni &&
        held.encapTable === encapTable,
    );
    if (found === undefined) return this.create(options);
    await applySettings(found.interface, settings);
    return found.interface;
  }
}
