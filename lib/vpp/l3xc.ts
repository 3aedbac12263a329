// Layer 3 cross-connects: all that an interface receives takes these paths, whatever its destination.
//
//   vppctl: l3xc add tap0 via 10.0.0.9 tap1      vpp.l3xc.set('tap0', { via: '10.0.0.9', interface: 'tap1' })

import { NO_INDEX, type Core } from './core.js';
import type { InterfaceRef, Interfaces } from './interfaces.js';
import { heldPath, wirePaths, type HeldPath, type ReceivedPath, type RoutePath } from './path.js';
import { PathSets } from './path-sets.js';

/** A cross-connect that VPP has. */
export interface L3xcInfo {
  readonly interfaceIndex: number;
  readonly family: 'ip4' | 'ip6';
  readonly paths: readonly HeldPath[];
}

/**
 * `vpp.l3xc`
 *
 * @throws VppFeatureError ERR_VPP_FEATURE_MISSING, from every method, when l3xc_plugin.so is not loaded
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { openVpp } from 'node-vpp/vpp';
 *
 * const vpp = await openVpp({ socket: process.env.VPP_SOCKET ?? '/run/vpp/api.sock' });
 * const [lan, wan] = [await vpp.loopbacks.create(), await vpp.loopbacks.create({ addresses: ['10.8.0.1/24'], up: true })];
 * await vpp.l3xc.set(lan, { via: '10.8.0.9', interface: wan });
 * assert.equal(await vpp.l3xc.ensure(lan, { via: '10.8.0.9', interface: wan }), false);
 * assert.equal((await vpp.l3xc.list())[0]?.interfaceIndex, lan.index);
 * await vpp.l3xc.delete(lan);
 * for (const itf of [lan, wan]) await itf.delete();
 * await vpp.close();
 * ```
 */
export class L3xc {
  readonly #core: Core;
  readonly #interfaces: Interfaces;

  constructor(core: Core, interfaces: Interfaces) {
    this.#core = core;
    this.#interfaces = interfaces;
  }

  /** All cross-connects, one for each interface and family. */
  async list(): Promise<L3xcInfo[]> {
    const rows = await this.#core.rows('l3xc_dump', { sw_if_index: NO_INDEX }, 'l3 cross-connects');
    return rows.map(({ l3xc }) => ({
      interfaceIndex: l3xc.sw_if_index,
      family: l3xc.is_ip6 ? 'ip6' : 'ip4',
      paths: (l3xc.paths as unknown as ReceivedPath[]).map(heldPath),
    }));
  }

  /** Sets it, in place of what is there. */
  async set(
    itf: InterfaceRef,
    paths: RoutePath | readonly RoutePath[],
    options: { family?: 'ip4' | 'ip6' } = {},
  ): Promise<void> {
    const { on, wire, isIp6 } = await this.#wire(itf, paths, options.family);
    const l3xc = { sw_if_index: on.index, is_ip6: isIp6, paths: wire } as never;
    await this.#core.request('l3xc_update', { l3xc }, on.toString(), 'set its l3 cross-connect');
  }

  /** Sets it unless it is so; true when something was to do. */
  async ensure(
    itf: InterfaceRef,
    paths: RoutePath | readonly RoutePath[],
    options: { family?: 'ip4' | 'ip6' } = {},
  ): Promise<boolean> {
    const { on, wire, isIp6 } = await this.#wire(itf, paths, options.family);
    const rows = await this.#core.rows('l3xc_dump', { sw_if_index: NO_INDEX }, 'l3 cross-connects');
    const held = rows.find(({ l3xc }) => l3xc.sw_if_index === on.index && l3xc.is_ip6 === isIp6)?.l3xc;
    const sets = new PathSets();
    if (held !== undefined && sets.ofReceived(held.paths) === sets.ofReceived(wire)) return false;
    await this.set(on, paths, options);
    return true;
  }

  async #wire(itf: InterfaceRef, paths: RoutePath | readonly RoutePath[], family: 'ip4' | 'ip6' = 'ip4') {
    const on = await this.#interfaces.get(itf);
    const list = Array.isArray(paths) ? (paths as readonly RoutePath[]) : [paths as RoutePath];
    const wire = await wirePaths(this.#interfaces, list, family === 'ip6' ? 6 : 4, `l3 cross-connect of ${on.name}`);
    return { on, wire, isIp6: family === 'ip6' };
  }

  /**
   * Ends it: packets are routed again. Default family `ip4`.
   *
   * @throws VppObjectError ERR_VPP_OBJECT_REFUSED when there is none
   */
  async delete(itf: InterfaceRef, options: { family?: 'ip4' | 'ip6' } = {}): Promise<void> {
    const on = await this.#interfaces.get(itf);
    await on.request('l3xc_del', { is_ip6: options.family === 'ip6' }, 'delete its l3 cross-connect');
  }
}
