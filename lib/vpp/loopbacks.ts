// Loopback interfaces; one that is the BVI of a bridge domain is made one by `vpp.bridges.addMember(…, { bvi: true })`.
//
//   vppctl: create loopback interface [mac …] [instance N]      vpp.loopbacks.create({ instance: 7 })
//           delete loopback interface intfc loop7               (await vpp.interfaces.get('loop7')).delete()

import { ZERO_MAC } from '../net/index.js';
import { explained, NO_INDEX, type Core } from './core.js';
import type { InterfaceSettings } from './interface-settings.js';
import { applySettings } from './interface-settings.js';
import type { Interface } from './interface.js';
import type { Interfaces } from './interfaces.js';

/** A loopback. */
export interface LoopbackOptions extends InterfaceSettings {
  /** The number in its name (`loop7`); the next free one when left out. */
  instance?: number;
}

/** INVALID_REGISTRATION */
const TAKEN = -31;

/**
 * `vpp.loopbacks`
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { openVpp } from 'node-vpp/vpp';
 *
 * const vpp = await openVpp({ socket: process.env.VPP_SOCKET ?? '/run/vpp/api.sock' });
 * const lan = await vpp.loopbacks.create({ addresses: ['10.1.0.1/24'], up: true });
 * assert.deepEqual(await lan.addresses(), ['10.1.0.1/24']);
 * const bvi = await vpp.loopbacks.createBvi({ tag: 'doc-bvi' });
 * await bvi.delete();
 * await lan.delete();
 * await vpp.close();
 * ```
 */
export class Loopbacks {
  readonly #core: Core;
  readonly #interfaces: Interfaces;

  constructor(core: Core, interfaces: Interfaces) {
    this.#core = core;
    this.#interfaces = interfaces;
    interfaces.deleteWith('Loopback', async (itf) => {
      await itf.request('delete_loopback', {}, 'delete it');
    });
    interfaces.deleteWith('BVI', async (itf) => {
      await itf.request('bvi_delete', {}, 'delete it');
    });
  }

  /** All loopbacks. */
  async list(): Promise<Interface[]> {
    return (await this.#interfaces.list()).filter((itf) => isLoopback(itf));
  }

  /**
   * Makes a loopback.
   *
   * @throws VppObjectError ERR_VPP_OBJECT_REFUSED when the instance is taken, or VPP refuses a setting: then none is left
   */
  async create(options: LoopbackOptions = {}): Promise<Interface> {
    const { instance, ...settings } = options;
    const { mac = ZERO_MAC, ...rest } = settings;
    const object = `loopback ${settings.tag ?? instance ?? ''}`.trim();
    const fields = { mac_address: mac, is_specified: instance !== undefined, user_instance: instance ?? 0 };
    try {
      const reply = await this.#core.request('create_loopback_instance', fields, object, 'create it');
      return await this.#interfaces.created(reply.sw_if_index, rest);
    } catch (error) {
      throw explained(error, TAKEN, 'as it does when there is one of this instance');
    }
  }

  /** An interface of VPP's own kind for the routed side of a bridge domain: `bvi0`. A loopback serves as well. */
  async createBvi(options: LoopbackOptions = {}): Promise<Interface> {
    const { instance = NO_INDEX, mac = ZERO_MAC, ...settings } = options;
    const fields = { mac, user_instance: instance };
    const reply = await this.#core.request('bvi_create', fields, `bvi ${settings.tag ?? ''}`.trim(), 'create it');
    return this.#interfaces.created(reply.sw_if_index, settings);
  }

  /** The loopback of this instance or tag, created when there is none, with these settings. */
  async ensure(options: LoopbackOptions & ({ instance: number } | { tag: string })): Promise<Interface> {
    const { instance, ...settings } = options;
    const all = await this.list();
    const found = all.find((itf) =>
      instance === undefined ? itf.tag === settings.tag : itf.name === `loop${instance}`,
    );
    if (found === undefined) return this.create(options);
    await applySettings(found, settings);
    return found;
  }
}

/** Whether it is a loopback itself, and no sub-interface of one. */
function isLoopback(itf: Interface): boolean {
  return itf.info.deviceType === 'Loopback' && itf.info.kind === 'hardware';
}
