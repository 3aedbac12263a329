// VLAN and QinQ sub-interfaces.
//
//   vppctl: create sub-interfaces tap0 100                       vpp.subInterfaces.create('tap0', { vlan: 100 })
//           create sub-interfaces tap0 7 dot1ad 10 inner-dot1q any exact-match
//                                     vpp.subInterfaces.create('tap0', { id: 7, dot1ad: true, vlan: 10, innerVlan: 'any' })

import { ArgumentRangeError } from '../errors.js';
import { mustAgree } from './agree.js';
import { explained, type Core } from './core.js';
import { SubFlag } from './interface-info.js';
import { applySettings, type InterfaceSettings } from './interface-settings.js';
import type { Interface } from './interface.js';
import type { InterfaceRef, Interfaces } from './interfaces.js';

/** A sub-interface: what a packet must carry to belong to it. */
export interface SubInterfaceOptions extends InterfaceSettings {
  /** The number in its name; the VLAN when left out. */
  id?: number;
  /** The (outer) VLAN, 1 … 4094; `any`; left out: packets without tags. */
  vlan?: number | 'any';
  /** The inner VLAN of packets with two tags. */
  innerVlan?: number | 'any';
  /** The outer tag is 802.1ad (QinQ, 0x88a8), not 802.1Q. */
  dot1ad?: boolean;
  /** Only packets with exactly these tags; default true, and needed for addresses and routing. */
  exactMatch?: boolean;
  /** Takes what no other sub-interface of the parent takes. */
  isDefault?: boolean;
}

function flagsOf(options: SubInterfaceOptions): number {
  const { vlan, innerVlan, dot1ad, isDefault } = options;
  const anyTag = vlan === 'any' || innerVlan === 'any';
  const { exactMatch = !anyTag && isDefault !== true } = options;
  let flags = 0;
  if (innerVlan !== undefined) flags |= SubFlag.twoTags;
  else if (vlan !== undefined) flags |= SubFlag.oneTag;
  else if (isDefault !== true) flags |= SubFlag.noTags;
  if (dot1ad === true) flags |= SubFlag.dot1ad;
  if (exactMatch) flags |= SubFlag.exactMatch;
  if (isDefault === true) flags |= SubFlag.isDefault;
  if (vlan === 'any') flags |= SubFlag.outerAny;
  if (innerVlan === 'any') flags |= SubFlag.innerAny;
  return flags;
}

function vlanNumber(vlan: number | 'any' | undefined, which: string): number {
  if (vlan === undefined || vlan === 'any') return 0;
  if (!Number.isInteger(vlan) || vlan < 1 || vlan > 4094) {
    throw new ArgumentRangeError(`${which} is 1 … 4094 or "any", not ${vlan}`);
  }
  return vlan;
}

const UNSPECIFIED = -1;

/**
 * `vpp.subInterfaces`
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { openVpp } from 'node-vpp/vpp';
 *
 * const vpp = await openVpp({ socket: process.env.VPP_SOCKET ?? '/run/vpp/api.sock' });
 * const trunk = await vpp.loopbacks.create({ up: true });
 * const vlan = await vpp.subInterfaces.create(trunk, { vlan: 100, addresses: ['10.14.0.1/24'], up: true });
 * assert.equal(vlan.name, `${trunk.name}.100`);
 * const qinq = await vpp.subInterfaces.create(trunk, { id: 7, dot1ad: true, vlan: 10, innerVlan: 'any' });
 * assert.equal(await vpp.subInterfaces.ensure(trunk, { vlan: 100 }), vlan);
 * assert.equal((await vpp.subInterfaces.list(trunk)).length, 2);
 * for (const itf of [qinq, vlan, trunk]) await itf.delete();
 * await vpp.close();
 * ```
 */
export class SubInterfaces {
  readonly #core: Core;
  readonly #interfaces: Interfaces;

  constructor(core: Core, interfaces: Interfaces) {
    this.#core = core;
    this.#interfaces = interfaces;
  }

  /** All sub-interfaces, or those of one interface. */
  async list(parent?: InterfaceRef): Promise<Interface[]> {
    const on = parent === undefined ? undefined : (await this.#interfaces.get(parent)).index;
    return (await this.#interfaces.list()).filter(
      ({ info }) => info.sub !== undefined && (on === undefined || info.sub.parentIndex === on),
    );
  }

  /**
   * Makes a sub-interface. It goes up only while the interface it is on is.
   *
   * @throws ArgumentRangeError for a VLAN outside 1 … 4094, or one without a single VLAN and an id
   * @throws VppObjectError ERR_VPP_OBJECT_REFUSED when the id or the tags are taken; ERR_VPP_OBJECT_MISSING when the parent is not there
   */
  async create(parent: InterfaceRef, options: SubInterfaceOptions): Promise<Interface> {
    const { vlan, innerVlan, dot1ad: _d, exactMatch: _e, isDefault: _i, id = idOf(options), ...settings } = options;
    const outer = vlanNumber(vlan, 'vlan');
    const inner = vlanNumber(innerVlan, 'innerVlan');
    const on = await this.#interfaces.get(parent);
    const fields = {
      sw_if_index: on.index,
      sub_id: id,
      sub_if_flags: flagsOf(options),
      outer_vlan_id: outer,
      inner_vlan_id: inner,
    };
    let index: number;
    try {
      const reply = await this.#core.request('create_subif', fields, `sub-interface ${on.name}.${id}`, 'create it');
      index = reply.sw_if_index;
    } catch (error) {
      throw explained(error, UNSPECIFIED, 'as it does when another sub-interface takes these tags');
    }
    return this.#interfaces.created(index, settings);
  }

  /** The sub-interface of this parent and id, created when there is none, with these settings. */
  async ensure(parent: InterfaceRef, options: SubInterfaceOptions): Promise<Interface> {
    const {
      vlan,
      innerVlan,
      dot1ad = false,
      exactMatch: _,
      isDefault = false,
      id = idOf(options),
      ...settings
    } = options;
    const found = (await this.list(parent)).find(({ info }) => info.sub?.id === id);
    if (found === undefined) return this.create(parent, options);
    const vlans = [vlan, innerVlan].filter((tag) => tag !== undefined);
    const exactMatch = (flagsOf(options) & SubFlag.exactMatch) !== 0;
    mustAgree(found.toString(), found.info.sub!, { vlans, dot1ad, isDefault, exactMatch });
    await applySettings(found, settings);
    return found;
  }
}

function idOf({ vlan }: SubInterfaceOptions): number {
  if (typeof vlan === 'number') return vlan;
  throw new ArgumentRangeError('a sub-interface without a single VLAN needs an id');
}
