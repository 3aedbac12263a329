// GRE tunnels.
//
//   vppctl: create gre tunnel src 10.0.0.1 dst 10.0.0.2 [teb]
//                                        vpp.gre.create({ source: '10.0.0.1', destination: '10.0.0.2', type: 'teb' })

import { mustAgree, nameOf } from './agree.js';
import { NO_INDEX, type Core } from './core.js';
import { applySettings, type InterfaceSettings } from './interface-settings.js';
import type { Interface } from './interface.js';
import type { Interfaces } from './interfaces.js';
import { VppFeatureError } from '../errors.js';

const types = { l3: 0, teb: 1, erspan: 2 } as const;
const modes = { 'point-to-point': 0, multipoint: 1 } as const;

/** A GRE tunnel. */
export interface GreOptions extends InterfaceSettings {
  source: string;
  /** The peer; left out for multipoint. */
  destination?: string;
  /** IP (`l3`, default), Ethernet (`teb`) or ERSPAN. */
  type?: keyof typeof types;
  mode?: keyof typeof modes;
  /** VRF table of the outer packets, default 0. */
  encapTable?: number;
  /** ERSPAN's session, 10 bits. */
  sessionId?: number;
  /** GRE key (VPP 25.10 and later); 0: none. */
  key?: number;
  /** The number in its name (`gre0`); the next free one when left out. */
  instance?: number;
}

/** A GRE tunnel as VPP has it. */
export interface GreInfo {
  readonly interface: Interface;
  readonly source: string;
  readonly destination: string;
  readonly type: keyof typeof types | number;
  readonly mode: keyof typeof modes | number;
  readonly encapTable: number;
  readonly sessionId: number;
  readonly key: number;
  readonly instance: number;
}

type Tunnel = Omit<GreInfo, 'interface' | 'type' | 'mode'> & { type: number; mode: number };

/**
 * `vpp.gre`
 *
 * @throws VppFeatureError ERR_VPP_FEATURE_MISSING, from every method, when gre_plugin.so is not loaded
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { openVpp } from 'node-vpp/vpp';
 *
 * const vpp = await openVpp({ socket: process.env.VPP_SOCKET ?? '/run/vpp/api.sock' });
 * const ends = { source: '10.6.0.1', destination: '10.6.0.2', type: 'teb' } as const;
 * const tunnel = await vpp.gre.create({ ...ends, tag: 'doc-gre' });
 * assert.equal(await vpp.gre.ensure(ends), tunnel);
 * assert.equal((await vpp.gre.list())[0]?.type, 'teb');
 * await tunnel.delete();
 * await vpp.close();
 * ```
 */
export class Gres {
  readonly #core: Core;
  readonly #interfaces: Interfaces;

  constructor(core: Core, interfaces: Interfaces) {
    this.#core = core;
    this.#interfaces = interfaces;
    interfaces.deleteWith('GRE tunnel device', async (itf) => {
      const found = (await this.#rows(itf.index)).find(({ index }) => index === itf.index);
      if (found !== undefined) await this.#addDel(false, found, itf.toString(), 'delete it');
    });
  }

  /** All GRE tunnels; the key is 0 where this VPP has none. */
  async list(): Promise<GreInfo[]> {
    const [rows, all] = await Promise.all([this.#rows(NO_INDEX), this.#interfaces.list()]);
    const byIndex = new Map(all.map((itf) => [itf.index, itf]));
    return rows.flatMap(({ index, type, mode, ...row }) => {
      const itf = byIndex.get(index);
      return itf === undefined ? [] : { interface: itf, type: nameOf(types, type), mode: nameOf(modes, mode), ...row };
    });
  }

  async #rows(which: number): Promise<(Tunnel & { index: number })[]> {
    const fields = { sw_if_index: which };
    const message = this.#core.newest('gre_tunnel_v2_dump', 'gre_tunnel_dump_v2', 'gre_tunnel_dump');
    const rows = await this.#core.rows(message, fields, 'gre tunnels');
    return rows.map(({ tunnel }) => ({
      index: tunnel.sw_if_index,
      source: tunnel.src,
      destination: tunnel.dst,
      type: tunnel.type,
      mode: tunnel.mode,
      encapTable: tunnel.outer_table_id,
      sessionId: tunnel.session_id,
      key: 'key' in tunnel ? tunnel.key : 0,
      instance: tunnel.instance,
    }));
  }

  /**
   * Makes a tunnel.
   *
   * @throws VppObjectError ERR_VPP_OBJECT_REFUSED when there is one already, or the table of the outer packets is not there
   * @throws VppFeatureError ERR_VPP_FEATURE_MISSING for a key in a VPP before 25.10
   */
  async create(options: GreOptions): Promise<Interface> {
    const { source, destination = source.includes(':') ? '::' : '0.0.0.0', type = 'l3', ...rest } = options;
    const { mode = 'point-to-point', encapTable = 0, sessionId = 0, key = 0, instance = NO_INDEX, ...settings } = rest;
    const tunnel = { source, destination, encapTable, sessionId, key, instance, type: types[type], mode: modes[mode] };
    const object = `gre tunnel ${source} -> ${destination}`;
    return this.#interfaces.created(await this.#addDel(true, tunnel, object, 'create it'), settings);
  }

  async #addDel(isAdd: boolean, tunnel: Tunnel, object: string, doing: string): Promise<number> {
    const v1 = {
      type: tunnel.type,
      mode: tunnel.mode,
      flags: 0,
      session_id: tunnel.sessionId,
      instance: tunnel.instance,
      outer_table_id: tunnel.encapTable,
      sw_if_index: NO_INDEX,
      src: tunnel.source,
      dst: tunnel.destination,
    };
    if (this.#core.newest('gre_tunnel_add_del_v2', 'gre_tunnel_add_del') === 'gre_tunnel_add_del_v2') {
      const fields = { is_add: isAdd, tunnel: { ...v1, key: tunnel.key } };
      return (await this.#core.request('gre_tunnel_add_del_v2', fields, object, doing)).sw_if_index;
    }
    if (tunnel.key !== 0) {
      const messages = ['gre_tunnel_add_del_v2'];
      throw new VppFeatureError(`${object}: this VPP has no GRE keys; they are in VPP 25.10 and later`, {
        messages,
        plugin: 'gre_plugin.so',
      });
    }
    const fields = { is_add: isAdd, tunnel: v1 };
    return (await this.#core.request('gre_tunnel_add_del', fields, object, doing)).sw_if_index;
  }

  /** The tunnel between these addresses (and of this key), created when there is none, with these settings. */
  async ensure(options: GreOptions): Promise<Interface> {
    const { source, destination = source.includes(':') ? '::' : '0.0.0.0', type = 'l3', mode, ...rest } = options;
    const { encapTable = 0, sessionId, key = 0, instance: _, ...settings } = rest;
    const found = (await this.list()).find(
      (held) =>
        held.source === source &&
        held.destination === destination &&
        held.key === key &&
        held.type === type &&
        held.encapTable === encapTable,
    );
    if (found === undefined) return this.create(options);
    mustAgree(found.interface.toString(), found, { mode, sessionId });
    await applySettings(found.interface, settings);
    return found.interface;
  }
}
