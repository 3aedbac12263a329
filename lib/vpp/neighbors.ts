// Neighbours: which MAC address an IP address on an interface has (ARP and IPv6 ND).
//
//   vppctl: set ip neighbor tap0 192.168.1.2 02:fe:00:00:00:02 static      vpp.neighbors.add({ … })
//           show ip neighbor                                               vpp.neighbors.list()

import { isIpv6, normalizeIp, normalizeMac } from '../net/index.js';
import { NO_INDEX, type Core } from './core.js';
import type { InterfaceRef, Interfaces } from './interfaces.js';

/** A neighbour to make. */
export interface NeighborOptions {
  interface: InterfaceRef;
  ip: string;
  mac: string;
  /** Never forgotten; default true. */
  isStatic?: boolean;
  /** No route of its own; default false. */
  noFibEntry?: boolean;
}

/** A neighbour that VPP has. */
export interface NeighborInfo {
  readonly interfaceIndex: number;
  readonly ip: string;
  readonly mac: string;
  readonly isStatic: boolean;
  readonly noFibEntry: boolean;
  /** Seconds since it was last heard; undefined for static ones of which VPP tells no age. */
  readonly ageSeconds: number;
}

/** How VPP keeps neighbours of a family. */
export interface NeighborConfig {
  /** At most so many; 0: no limit. */
  readonly maxNumber: number;
  /** Asked again after so many seconds; 0: never. */
  readonly maxAgeSeconds: number;
  /** The oldest makes room when there are too many. */
  readonly recycle: boolean;
}

/**
 * `vpp.neighbors`
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { openVpp } from 'node-vpp/vpp';
 *
 * const vpp = await openVpp({ socket: process.env.VPP_SOCKET ?? '/run/vpp/api.sock' });
 * const lan = await vpp.loopbacks.create({ addresses: ['10.2.0.1/24'], up: true });
 * await vpp.neighbors.ensure({ interface: lan, ip: '10.2.0.9', mac: '02:fe:00:00:00:09' });
 * assert.equal((await vpp.neighbors.list({ interface: lan }))[0]?.ip, '10.2.0.9');
 * await vpp.neighbors.delete(lan, '10.2.0.9');
 * await vpp.neighbors.flush('ip4', lan);
 * const config = await vpp.neighbors.config('ip4');
 * await vpp.neighbors.setConfig('ip4', { ...config, recycle: true });
 * await vpp.neighbors.setConfig('ip4', config);
 * await lan.delete();
 * await vpp.close();
 * ```
 */
export class Neighbors {
  readonly #core: Core;
  readonly #interfaces: Interfaces;

  constructor(core: Core, interfaces: Interfaces) {
    this.#core = core;
    this.#interfaces = interfaces;
  }

  /** Those of one interface, or all; of one family, or both. */
  async list(filter: { interface?: InterfaceRef; family?: 'ip4' | 'ip6' } = {}): Promise<NeighborInfo[]> {
    const on = filter.interface === undefined ? NO_INDEX : (await this.#interfaces.get(filter.interface)).index;
    const all: NeighborInfo[] = [];
    for (const af of [0, 1]) {
      if (filter.family !== undefined && filter.family !== (af === 1 ? 'ip6' : 'ip4')) continue;
      for (const { age, neighbor } of await this.#core.rows('ip_neighbor_dump', { sw_if_index: on, af }, 'neighbors')) {
        const flags: number = neighbor.flags;
        all.push({
          interfaceIndex: neighbor.sw_if_index,
          ip: neighbor.ip_address,
          mac: neighbor.mac_address,
          isStatic: (flags & 1) !== 0,
          noFibEntry: (flags & 2) !== 0,
          ageSeconds: age,
        });
      }
    }
    return all;
  }

  /**
   * Adds one, static unless `isStatic` is false; VPP keeps the flags of one that is there: `ensure` changes them.
   *
   * @throws VppObjectError ERR_VPP_OBJECT_REFUSED with what VPP said; ERR_VPP_OBJECT_MISSING when an interface is not there
   */
  async add(neighbor: NeighborOptions): Promise<void> {
    await this.#addDel(true, neighbor);
  }

  /** Makes it so; false when it was so already. */
  async ensure(neighbor: NeighborOptions): Promise<boolean> {
    const ip = normalizeIp(neighbor.ip);
    const family = isIpv6(ip) ? 'ip6' : 'ip4';
    const held = (await this.list({ interface: neighbor.interface, family })).find((one) => one.ip === ip);
    const { mac, isStatic = true, noFibEntry = false } = neighbor;
    if (held?.mac === normalizeMac(mac) && held.isStatic === isStatic && held.noFibEntry === noFibEntry) return false;
    // VPP keeps the flags of a neighbour that is there.
    if (held !== undefined) await this.delete(neighbor.interface, ip);
    await this.#addDel(true, neighbor);
    return true;
  }

  /**
   * Deletes one, whatever its MAC address.
   *
   * @throws VppObjectError ERR_VPP_OBJECT_REFUSED with what VPP said; ERR_VPP_OBJECT_MISSING when an interface is not there
   */
  async delete(itf: InterfaceRef, ip: string): Promise<void> {
    await this.#addDel(false, { interface: itf, ip, mac: '00:00:00:00:00:00' });
  }

  async #addDel(isAdd: boolean, options: NeighborOptions): Promise<void> {
    const { ip, mac, isStatic = true, noFibEntry = false } = options;
    const on = await this.#interfaces.get(options.interface);
    const neighbor = {
      sw_if_index: on.index,
      flags: (isStatic ? 1 : 0) | (noFibEntry ? 2 : 0),
      mac_address: mac,
      ip_address: ip,
    };
    const object = `neighbor ${ip} on ${on.toString()}`;
    await this.#core.request(
      'ip_neighbor_add_del',
      { is_add: isAdd, neighbor },
      object,
      isAdd ? 'add it' : 'delete it',
    );
  }

  /** Forgets those that were learnt, on one interface or all. */
  async flush(family: 'ip4' | 'ip6', itf?: InterfaceRef): Promise<void> {
    const index = itf === undefined ? NO_INDEX : (await this.#interfaces.get(itf)).index;
    const fields = { af: family === 'ip6' ? 1 : 0, sw_if_index: index };
    await this.#core.request('ip_neighbor_flush', fields, `${family} neighbors`, 'flush them');
  }

  /** How many neighbours of a family VPP learns, and for how many seconds it keeps them (0: for ever). */
  async config(family: 'ip4' | 'ip6'): Promise<NeighborConfig> {
    const fields = { af: family === 'ip6' ? 1 : 0 };
    const reply = await this.#core.request(
      'ip_neighbor_config_get',
      fields,
      `${family} neighbors`,
      'get their settings',
    );
    return { maxNumber: reply.max_number, maxAgeSeconds: reply.max_age, recycle: reply.recycle };
  }

  /**
   * Changes what `config` gives, all three together.
   *
   * @throws VppObjectError ERR_VPP_OBJECT_REFUSED with what VPP said
   */
  async setConfig(family: 'ip4' | 'ip6', config: NeighborConfig): Promise<void> {
    const { maxNumber, maxAgeSeconds, recycle } = config;
    const fields = { af: family === 'ip6' ? 1 : 0, max_number: maxNumber, max_age: maxAgeSeconds, recycle };
    await this.#core.request('ip_neighbor_config', fields, `${family} neighbors`, 'change their settings');
  }
}
