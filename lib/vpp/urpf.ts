// Unicast reverse path forwarding: packets from where their source is not are dropped.
//
//   vppctl: set urpf ip4 rx strict tap0      vpp.urpf.set('tap0', 'strict')

import { VppFeatureError } from '../errors.js';
import { NO_INDEX, type Core } from './core.js';
import type { InterfaceRef, Interfaces } from './interfaces.js';

const modes = ['off', 'loose', 'strict'] as const;

/** `loose`: the source is known; `strict`: and over this interface. */
export type UrpfMode = (typeof modes)[number];

/** How and where. */
export interface UrpfOptions {
  /** Default `ip4`. */
  family?: 'ip4' | 'ip6';
  /** Default `rx`. */
  direction?: 'rx' | 'tx';
  /** The table in which the source is looked up; default that of the interface. */
  table?: number;
}

/** What is set. */
export interface UrpfInfo {
  readonly interfaceIndex: number;
  readonly mode: UrpfMode;
  readonly family: 'ip4' | 'ip6';
  readonly direction: 'rx' | 'tx';
  readonly table: number;
}

/**
 * `vpp.urpf`
 *
 * @throws VppFeatureError ERR_VPP_FEATURE_MISSING, from every method, when urpf_plugin.so is not loaded
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { openVpp } from 'node-vpp/vpp';
 *
 * const vpp = await openVpp({ socket: process.env.VPP_SOCKET ?? '/run/vpp/api.sock' });
 * const wan = await vpp.loopbacks.create({ addresses: ['10.9.0.1/24'], up: true });
 * await vpp.urpf.set(wan, 'strict');
 * assert.equal(await vpp.urpf.ensure(wan, 'strict'), false);
 * assert.equal((await vpp.urpf.list())[0]?.mode, 'strict');
 * await vpp.urpf.set(wan, 'off');
 * await wan.delete();
 * await vpp.close();
 * ```
 */
export class Urpf {
  readonly #core: Core;
  readonly #interfaces: Interfaces;

  constructor(core: Core, interfaces: Interfaces) {
    this.#core = core;
    this.#interfaces = interfaces;
  }

  /** Where it is on. */
  async list(): Promise<UrpfInfo[]> {
    const rows = await this.#core.rows('urpf_interface_dump', { sw_if_index: NO_INDEX }, 'uRPF');
    return rows.map((row) => ({
      interfaceIndex: row.sw_if_index,
      mode: modes[row.mode] ?? 'off',
      family: row.af === 1 ? 'ip6' : 'ip4',
      direction: row.is_input ? 'rx' : 'tx',
      table: row.table_id,
    }));
  }

  /**
   * Sets the check of one family and direction; `off` ends it.
   *
   * @throws VppObjectError ERR_VPP_OBJECT_REFUSED with what VPP said; ERR_VPP_OBJECT_MISSING when an interface is not there
   * @throws VppFeatureError ERR_VPP_FEATURE_MISSING for a table in a VPP that cannot
   */
  async set(itf: InterfaceRef, mode: UrpfMode, options: UrpfOptions = {}): Promise<void> {
    const on = await this.#interfaces.get(itf);
    const { family = 'ip4', direction = 'rx', table } = options;
    const fields = { is_input: direction === 'rx', mode: modes.indexOf(mode), af: family === 'ip6' ? 1 : 0 };
    const doing = `set uRPF ${mode}`;
    if (this.#core.newest('urpf_update_v2', 'urpf_update') === 'urpf_update_v2') {
      await on.request('urpf_update_v2', { ...fields, table_id: table ?? NO_INDEX }, doing);
    } else if (table === undefined) await on.request('urpf_update', fields, doing);
    else {
      const messages = ['urpf_update_v2'];
      throw new VppFeatureError('this VPP has no uRPF in another table', { messages, plugin: 'urpf_plugin.so' });
    }
  }

  /** Sets it unless it is so; true when something was to do. */
  async ensure(itf: InterfaceRef, mode: UrpfMode, options: UrpfOptions = {}): Promise<boolean> {
    const on = await this.#interfaces.get(itf);
    const { family = 'ip4', direction = 'rx', table } = options;
    const held = (await this.list()).find(
      (one) => one.interfaceIndex === on.index && one.family === family && one.direction === direction,
    );
    if ((held?.mode ?? 'off') === mode && (table === undefined || held?.table === table)) return false;
    await this.set(on, mode, options);
    return true;
  }
}
