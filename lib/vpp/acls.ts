// ACLs by name, and the interfaces they are on. VPP knows an ACL by its index; its tag is our name for it.
//
//   vppctl: set acl-plugin acl permit src 10.0.0.0/8 …       vpp.acls.create({ tag: 'web', rules: ['permit tcp 10.0.0.0/8 -> any port 80'] })
//           set acl-plugin interface tap0 input acl 0        vpp.acls.apply('tap0', { input: ['web'] })
//           show acl-plugin acl                              vpp.acls.list()

import { VppObjectError } from '../errors.js';
import { NO_INDEX, type Core } from './core.js';
import { formatAclRules, heldAclRule, parseAclRules, wireAclRule, type AclRule } from './acl-rules.js';
import type { InterfaceRef, Interfaces } from './interfaces.js';

/** An ACL to make. */
export interface AclOptions {
  /** Our name for it, up to 63 bytes. */
  tag: string;
  /** In order; the first that fits decides, and what none fits is denied. Text, or objects. */
  rules: readonly (string | AclRule)[];
}

/** An ACL that VPP has. */
export interface AclInfo {
  readonly index: number;
  readonly tag: string;
  readonly rules: readonly AclRule[];
  /** The rules in text. */
  readonly text: readonly string[];
}

/** An ACL by its index or tag. */
export type AclRef = number | string;

/** Which ACLs are on an interface, in order. */
export interface AclsOfInterface<T = AclRef> {
  readonly input: readonly T[];
  readonly output: readonly T[];
}

/**
 * `vpp.acls`
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { openVpp } from 'node-vpp/vpp';
 *
 * const vpp = await openVpp({ socket: process.env.VPP_SOCKET ?? '/run/vpp/api.sock' });
 * await vpp.acls.ensure({ tag: 'doc-web', rules: ['permit tcp 10.0.0.0/8 -> any port 80-443'] });
 * assert.equal((await vpp.acls.get('doc-web')).text.length, 1);
 * await vpp.acls.replace('doc-web', ['deny tcp any4 -> any4 port 22', 'permit any any -> any']);
 * const wan = await vpp.loopbacks.create();
 * assert.equal(await vpp.acls.apply(wan, { input: ['doc-web'] }), true);
 * assert.equal((await vpp.acls.of(wan)).input.length, 1);
 * assert.equal((await vpp.acls.applied()).size, 1);
 * await vpp.acls.apply(wan, {});
 * await wan.delete();
 * await vpp.acls.delete('doc-web');
 * await vpp.close();
 * ```
 */
export class Acls {
  readonly #core: Core;
  readonly #interfaces: Interfaces;

  constructor(core: Core, interfaces: Interfaces) {
    this.#core = core;
    this.#interfaces = interfaces;
  }

  /** All ACLs, their rules as objects and in text. */
  async list(): Promise<AclInfo[]> {
    const rows = await this.#core.rows('acl_dump', { acl_index: NO_INDEX }, 'ACLs');
    return rows.map((row) => {
      const rules = row.r.map(heldAclRule);
      return { index: row.acl_index, tag: row.tag, rules, text: formatAclRules(rules) };
    });
  }

  /** @throws VppObjectError ERR_VPP_OBJECT_MISSING, or ERR_VPP_OBJECT_AMBIGUOUS when several have the tag */
  async get(ref: AclRef): Promise<AclInfo> {
    const found = await this.find(ref);
    if (found !== undefined) return found;
    throw new VppObjectError('ERR_VPP_OBJECT_MISSING', `ACL ${ref}`, 'VPP has no such ACL');
  }

  /**
   * As `get`; undefined when there is none.
   *
   * @throws VppObjectError ERR_VPP_OBJECT_AMBIGUOUS when several have the tag
   */
  async find(ref: AclRef): Promise<AclInfo | undefined> {
    const found = (await this.list()).filter(({ index, tag }) =>
      typeof ref === 'number' ? index === ref : tag === ref,
    );
    if (found.length > 1) {
      const problem = `${found.length} ACLs have this tag: ${found.map(({ index }) => index).join(', ')}; give the number`;
      throw new VppObjectError('ERR_VPP_OBJECT_AMBIGUOUS', `ACL ${ref}`, problem);
    }
    return found[0];
  }

  /** Makes an ACL; its index. VPP takes a tag that another one has: `ensure` looks. */
  async create(options: AclOptions): Promise<number> {
    return this.#put(NO_INDEX, options.tag, parseAclRules(options.rules), 'create it');
  }

  /** Other rules for an ACL, at once, wherever it is applied. */
  async replace(ref: AclRef, rules: readonly (string | AclRule)[]): Promise<void> {
    const parsed = parseAclRules(rules);
    const { index, tag } = await this.get(ref);
    await this.#put(index, tag, parsed, 'replace its rules');
  }

  /** The ACL of this tag, with these rules; its index. */
  async ensure(options: AclOptions): Promise<number> {
    const rules = parseAclRules(options.rules);
    const held = await this.find(options.tag);
    if (held === undefined) return this.#put(NO_INDEX, options.tag, rules, 'create it');
    const wire = (list: readonly AclRule[]): string => JSON.stringify(list.map((rule) => wireAclRule(rule)));
    if (wire(held.rules) !== wire(rules)) await this.#put(held.index, held.tag, rules, 'replace its rules');
    return held.index;
  }

  async #put(index: number, tag: string, rules: readonly AclRule[], doing: string): Promise<number> {
    const fields = { acl_index: index, tag, r: rules.map(wireAclRule) };
    return (await this.#core.request('acl_add_replace', fields, `ACL ${tag || index}`, doing)).acl_index;
  }

  /** Deletes an ACL. VPP refuses while it is on an interface; with `detach` it is taken off first. */
  async delete(ref: AclRef, options: { detach?: boolean } = {}): Promise<void> {
    const index = typeof ref === 'number' ? ref : (await this.get(ref)).index;
    if (options.detach === true) {
      for (const [itf, { input, output }] of await this.#applied(NO_INDEX)) {
        if (!input.includes(index) && !output.includes(index)) continue;
        const without = (list: readonly number[]): number[] => list.filter((acl) => acl !== index);
        await this.apply(itf, { input: without(input), output: without(output) });
      }
    }
    await this.#core.request('acl_del', { acl_index: index }, `ACL ${ref}`, 'delete it');
  }

  /** Makes the ACLs of an interface exactly these, in this order; nothing when they are so already. */
  async apply(itf: InterfaceRef, acls: Partial<AclsOfInterface>): Promise<boolean> {
    const on = await this.#interfaces.get(itf);
    const { input = [], output = [] } = acls;
    const byTag = [...input, ...output].some((ref) => typeof ref === 'string') ? await this.list() : [];
    const numbers = [...input, ...output].map((ref) => {
      if (typeof ref === 'number') return ref;
      const found = byTag.filter(({ tag }) => tag === ref);
      if (found.length === 1) return found[0]!.index;
      const code = found.length === 0 ? 'ERR_VPP_OBJECT_MISSING' : 'ERR_VPP_OBJECT_AMBIGUOUS';
      throw new VppObjectError(
        code,
        `ACL ${ref}`,
        `VPP has ${found.length || 'no'} ACL${found.length > 1 ? 's' : ''} of this tag`,
      );
    });
    const now = (await this.#applied(on.index)).get(on.index);
    const held = now === undefined ? [] : [...now.input, ...now.output];
    if (now?.input.length === input.length && held.join() === numbers.join()) return false;
    if (now === undefined && numbers.length === 0) return false;
    const fields = { n_input: input.length, acls: numbers };
    await on.request('acl_interface_set_acl_list', fields, `set its ACLs to ${numbers.join(', ') || 'none'}`);
    return true;
  }

  /** The ACLs on an interface, by index. */
  async of(itf: InterfaceRef): Promise<AclsOfInterface<number>> {
    const on = await this.#interfaces.get(itf);
    return (await this.#applied(on.index)).get(on.index) ?? { input: [], output: [] };
  }

  /** Every interface that has ACLs. */
  async applied(): Promise<Map<number, AclsOfInterface<number>>> {
    return this.#applied(NO_INDEX);
  }

  async #applied(index: number): Promise<Map<number, AclsOfInterface<number>>> {
    const rows = await this.#core.rows('acl_interface_list_dump', { sw_if_index: index }, 'ACLs of interfaces');
    return new Map(
      rows
        .filter(({ acls }) => acls.length > 0)
        .map(({ sw_if_index: on, acls, n_input: inputs }) => [
          on,
          { input: acls.slice(0, inputs), output: acls.slice(inputs) },
        ]),
    );
  }
}
