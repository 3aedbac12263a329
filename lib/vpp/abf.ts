// ACL based forwarding: what an ACL permits takes paths of its own.
//
//   vppctl: abf policy add id 1 acl 0 via 10.0.0.9 tap1      vpp.abf.create({ id: 1, acl: 'web', via: '10.0.0.9', interface: 'tap1' })
//           abf attach ip4 policy 1 priority 10 tap0         vpp.abf.attach(1, 'tap0', { priority: 10 })

import { ArgumentTypeError, VppObjectError } from '../errors.js';
import type { AclRef, Acls } from './acls.js';
import type { Core } from './core.js';
import type { InterfaceRef, Interfaces } from './interfaces.js';
import { heldPath, wirePaths, type HeldPath, type ReceivedPath, type RoutePath } from './path.js';
import { PathSets } from './path-sets.js';

/** A policy to make. One path may be written in it. */
export interface AbfOptions extends RoutePath {
  id: number;
  /** The ACL by index or tag. */
  acl: AclRef;
  paths?: readonly RoutePath[];
  /** Default that of the next hops, else `ip4`. */
  family?: 'ip4' | 'ip6';
}

/** A policy that VPP has. */
export interface AbfInfo {
  readonly id: number;
  readonly aclIndex: number;
  readonly paths: readonly HeldPath[];
}

/** Where a policy is. */
export interface AbfAttachment {
  readonly id: number;
  readonly interfaceIndex: number;
  /** Lower ones come first. */
  readonly priority: number;
  readonly family: 'ip4' | 'ip6';
}

/**
 * `vpp.abf`
 *
 * @throws VppFeatureError ERR_VPP_FEATURE_MISSING, from every method, when abf_plugin.so is not loaded
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { openVpp } from 'node-vpp/vpp';
 *
 * const vpp = await openVpp({ socket: process.env.VPP_SOCKET ?? '/run/vpp/api.sock' });
 * const lan = await vpp.loopbacks.create({ addresses: ['10.4.0.1/24'], up: true });
 * await vpp.acls.ensure({ tag: 'doc-abf', rules: ['permit tcp any4 -> any4 port 80'] });
 * assert.equal(await vpp.abf.ensure({ id: 904, acl: 'doc-abf', via: '10.4.0.9', interface: lan }), true);
 * assert.equal((await vpp.abf.list())[0]?.id, 904);
 * assert.equal(await vpp.abf.ensureAttached(904, lan, { priority: 10 }), true);
 * assert.equal((await vpp.abf.attachments())[0]?.interfaceIndex, lan.index);
 * await vpp.abf.detach(904, lan, { priority: 10 });
 * await vpp.abf.attach(904, lan);
 * await vpp.abf.detach(904, lan);
 * await vpp.abf.delete(904);
 * await vpp.abf.create({ id: 904, acl: 'doc-abf', via: '10.4.0.9', interface: lan });
 * await vpp.abf.delete(904);
 * await vpp.acls.delete('doc-abf');
 * await lan.delete();
 * await vpp.close();
 * ```
 */
export class Abf {
  readonly #core: Core;
  readonly #interfaces: Interfaces;
  readonly #acls: Acls;

  constructor(core: Core, interfaces: Interfaces, acls: Acls) {
    this.#core = core;
    this.#interfaces = interfaces;
    this.#acls = acls;
  }

  /** All policies, in the order of VPP. */
  async list(): Promise<AbfInfo[]> {
    return (await this.#rows()).map(({ policy }) => ({
      id: policy.policy_id,
      aclIndex: policy.acl_index,
      paths: (policy.paths as unknown as ReceivedPath[]).map(heldPath),
    }));
  }

  #rows() {
    return this.#core.rows('abf_policy_dump', {}, 'ABF policies');
  }

  /**
   * Makes a policy. VPP adds the paths to one that has this number: `ensure` does not.
   *
   * @throws VppObjectError ERR_VPP_OBJECT_REFUSED with what VPP said; ERR_VPP_OBJECT_MISSING when the ACL or an interface is not there
   * @throws ArgumentTypeError when it has both paths and a path in it, or neither
   */
  async create(options: AbfOptions): Promise<void> {
    const { id, acl, paths } = await this.#wire(options);
    const policy = { policy_id: id, acl_index: acl, paths } as never;
    await this.#core.request('abf_policy_add_del', { is_add: true, policy }, `ABF policy ${id}`, 'create it');
  }

  /** The policy of this number does this; true when something was to do. */
  async ensure(options: AbfOptions): Promise<boolean> {
    const { id, acl, paths } = await this.#wire(options);
    const held = (await this.#rows()).find(({ policy }) => policy.policy_id === id)?.policy;
    if (held !== undefined) {
      const sets = new PathSets();
      const same = sets.ofReceived(held.paths) === sets.ofReceived(paths);
      if (same && held.acl_index === acl) return false;
      // VPP adds paths to a policy that is there, and cannot give it another ACL.
      const attached = (await this.attachments()).filter((one) => one.id === id);
      for (const one of attached) await this.detach(id, one.interfaceIndex, one);
      await this.delete(id);
      await this.create(options);
      for (const one of attached) await this.attach(id, one.interfaceIndex, one);
      return true;
    }
    await this.create(options);
    return true;
  }

  async #wire(options: AbfOptions): Promise<{ id: number; acl: number; paths: Awaited<ReturnType<typeof wirePaths>> }> {
    const { id, acl, paths, family = 'ip4', ...inline } = options;
    const single = Object.keys(inline).length > 0;
    if (single === (paths !== undefined)) {
      throw new ArgumentTypeError(`ABF policy ${id}: it needs paths, or one path in the policy itself`);
    }
    const index = typeof acl === 'number' ? acl : (await this.#acls.get(acl)).index;
    const version = family === 'ip6' ? 6 : 4;
    const wire = await wirePaths(this.#interfaces, paths ?? [inline], version, `ABF policy ${id}`);
    return { id, acl: index, paths: wire };
  }

  /**
   * Deletes a policy with all its paths. Detach it everywhere first: one that is attached is refused, because VPP 26.06
   * would delete it and end when attachments are listed afterwards.
   *
   * @throws VppObjectError ERR_VPP_OBJECT_REFUSED when there is none, or when it is attached to an interface
   */
  async delete(id: number): Promise<void> {
    const held = (await this.#rows()).find(({ policy }) => policy.policy_id === id)?.policy;
    const attached = (await this.attachments()).filter((one) => one.id === id);
    if (attached.length > 0) {
      const where = attached.map((one) => one.interfaceIndex).join(', ');
      const problem = `it is attached to interfaces ${where}, and VPP 26.06 ends when it is asked for it later: detach it first`;
      throw new VppObjectError('ERR_VPP_OBJECT_REFUSED', `ABF policy ${id}`, problem);
    }
    // VPP takes away the paths that are named, and the policy with the last.
    const policy = { policy_id: id, acl_index: held?.acl_index ?? 0xffffffff, paths: held?.paths ?? [] } as never;
    await this.#core.request('abf_policy_add_del', { is_add: false, policy }, `ABF policy ${id}`, 'delete it');
  }

  /** Every interface that has a policy, and which. */
  async attachments(): Promise<AbfAttachment[]> {
    const rows = await this.#core.rows('abf_itf_attach_dump', {}, 'ABF policies');
    return rows.map(({ attach }) => ({
      id: attach.policy_id,
      interfaceIndex: attach.sw_if_index,
      priority: attach.priority,
      family: attach.is_ipv6 ? 'ip6' : 'ip4',
    }));
  }

  /**
   * Puts a policy on what an interface receives; default priority 0, the first of all.
   *
   * @throws VppObjectError ERR_VPP_OBJECT_REFUSED when it is attached there; ERR_VPP_OBJECT_MISSING when there is no such
   * interface or policy
   */
  async attach(
    id: number,
    itf: InterfaceRef,
    options: { priority?: number; family?: 'ip4' | 'ip6' } = {},
  ): Promise<void> {
    await this.#mustExist(id);
    await this.#attach(id, itf, options, true);
  }

  /** Attaches it unless it is, with another priority if need be; true when something was to do. */
  async ensureAttached(
    id: number,
    itf: InterfaceRef,
    options: { priority?: number; family?: 'ip4' | 'ip6' } = {},
  ): Promise<boolean> {
    const { index } = await this.#interfaces.get(itf);
    const { priority = 0, family = 'ip4' } = options;
    const held = (await this.attachments()).find(
      (one) => one.id === id && one.interfaceIndex === index && one.family === family,
    );
    if (held?.priority === priority) return false;
    await this.#mustExist(id);
    if (held !== undefined) await this.#attach(id, itf, held, false);
    await this.#attach(id, itf, options, true);
    return true;
  }

  /** VPP 26.06 ends when a policy is attached that is not there. */
  async #mustExist(id: number): Promise<void> {
    if ((await this.#rows()).some(({ policy }) => policy.policy_id === id)) return;
    throw new VppObjectError('ERR_VPP_OBJECT_MISSING', `ABF policy ${id}`, 'VPP has no such policy: create it first');
  }

  /**
   * Takes a policy off an interface; VPP finds it by these two, whatever the priority.
   *
   * @throws VppObjectError ERR_VPP_OBJECT_REFUSED with what VPP said; ERR_VPP_OBJECT_MISSING when an interface is not there
   */
  async detach(
    id: number,
    itf: InterfaceRef,
    options: { priority?: number; family?: 'ip4' | 'ip6' } = {},
  ): Promise<void> {
    await this.#attach(id, itf, options, false);
  }

  async #attach(
    id: number,
    itf: InterfaceRef,
    { priority = 0, family = 'ip4' }: { priority?: number; family?: 'ip4' | 'ip6' },
    isAdd: boolean,
  ): Promise<void> {
    const on = await this.#interfaces.get(itf);
    const attach = { policy_id: id, sw_if_index: on.index, priority, is_ipv6: family === 'ip6' };
    const doing = isAdd ? `attach it to ${on.toString()}` : `detach it from ${on.toString()}`;
    await this.#core.request('abf_itf_attach_add_del', { is_add: isAdd, attach }, `ABF policy ${id}`, doing);
  }
}
