// IP in IP tunnels, of all four combinations of families.
//
//   vppctl: create ipip tunnel src 10.0.0.1 dst 10.0.0.2      vpp.ipip.create({ source: '10.0.0.1', destination: '10.0.0.2' })

import { mustAgree, nameOf } from './agree.js';
import { NO_INDEX, type Core } from './core.js';
import { applySettings, type InterfaceSettings } from './interface-settings.js';
import type { Interface } from './interface.js';
import type { Interfaces } from './interfaces.js';

const modes = { 'point-to-point': 0, multipoint: 1 } as const;

/** An IP in IP tunnel. */
export interface IpipOptions extends InterfaceSettings {
  source: string;
  /** The peer; left out for multipoint. */
  destination?: string;
  mode?: keyof typeof modes;
  /** VRF table of the outer packets, default 0. */
  encapTable?: number;
  /** DSCP of the outer packets. */
  dscp?: number;
  /** What of the inner packet's header goes into the outer's and back: bits of VPP's tunnel_encap_decap_flags. */
  copyFlags?: number;
  /** The number in its name (`ipip0`); the next free one when left out. */
  instance?: number;
}

/** An IP in IP tunnel as VPP has it. */
export interface IpipInfo {
  readonly interface: Interface;
  readonly source: string;
  readonly destination: string;
  readonly mode: keyof typeof modes | number;
  readonly encapTable: number;
  readonly dscp: number;
  readonly copyFlags: number;
  readonly instance: number;
}

/**
 * `vpp.ipip`
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { openVpp } from 'node-vpp/vpp';
 *
 * const vpp = await openVpp({ socket: process.env.VPP_SOCKET ?? '/run/vpp/api.sock' });
 * const ends = { source: '10.7.0.1', destination: '10.7.0.2' };
 * const tunnel = await vpp.ipip.create({ ...ends, dscp: 10, tag: 'doc-ipip' });
 * assert.equal(await vpp.ipip.ensure(ends), tunnel);
 * assert.equal((await vpp.ipip.list())[0]?.dscp, 10);
 * await assert.rejects(vpp.ipip.ensure({ ...ends, dscp: 11 }), { code: 'ERR_VPP_OBJECT_DIFFERS' });
 * await tunnel.delete();
 * await vpp.close();
 * ```
 */
export class Ipips {
  readonly #core: Core;
  readonly #interfaces: Interfaces;

  constructor(core: Core, interfaces: Interfaces) {
    this.#core = core;
    this.#interfaces = interfaces;
    interfaces.deleteWith('IPIP tunnel device', async (itf) => {
      await itf.request('ipip_del_tunnel', {}, 'delete it');
    });
  }

  /** All IP in IP tunnels. */
  async list(): Promise<IpipInfo[]> {
    const [rows, all] = await Promise.all([
      this.#core.rows('ipip_tunnel_dump', { sw_if_index: NO_INDEX }, 'ipip tunnels'),
      this.#interfaces.list(),
    ]);
    const byIndex = new Map(all.map((itf) => [itf.index, itf]));
    return rows.flatMap(({ tunnel }) => {
      const itf = byIndex.get(tunnel.sw_if_index);
      if (itf === undefined) return [];
      return {
        interface: itf,
        source: tunnel.src,
        destination: tunnel.dst,
        mode: nameOf(modes, tunnel.mode),
        encapTable: tunnel.table_id,
        dscp: tunnel.dscp,
        copyFlags: tunnel.flags,
        instance: tunnel.instance,
      };
    });
  }

  /**
   * Makes a tunnel.
   *
   * @throws VppObjectError ERR_VPP_OBJECT_REFUSED when there is one already, or the table of the outer packets is not there
   */
  async create(options: IpipOptions): Promise<Interface> {
    const { source, destination = source.includes(':') ? '::' : '0.0.0.0', mode = 'point-to-point', ...rest } = options;
    const { encapTable = 0, dscp = 0, copyFlags = 0, instance = NO_INDEX, ...settings } = rest;
    const tunnel = {
      instance,
      src: source,
      dst: destination,
      sw_if_index: NO_INDEX,
      table_id: encapTable,
      flags: copyFlags,
      mode: modes[mode],
      dscp,
    };
    const object = `ipip tunnel ${source} -> ${destination}`;
    const reply = await this.#core.request('ipip_add_tunnel', { tunnel }, object, 'create it');
    return this.#interfaces.created(reply.sw_if_index, settings);
  }

  /** The tunnel between these addresses, created when there is none, with these settings. */
  async ensure(options: IpipOptions): Promise<Interface> {
    const { source, destination = source.includes(':') ? '::' : '0.0.0.0', mode, encapTable = 0, ...rest } = options;
    const { dscp, copyFlags, instance: _, ...settings } = rest;
    const found = (await this.list()).find(
      (held) => held.source === source && held.destination === destination && held.encapTable === encapTable,
    );
    if (found === undefined) return this.create(options);
    mustAgree(found.interface.toString(), found, { mode, dscp, copyFlags });
    await applySettings(found.interface, settings);
    return found.interface;
  }
}
