// MACIP ACLs: which MAC and IP addresses may send into an interface.
//
//   ACTION MAC[/MASK] PREFIX      permit 02:fe:00:00:00:01 10.0.0.1      deny any any
//                                 permit 02:fe:00:00:00:00/ff:ff:ff:ff:ff:00 10.0.0.0/24
//
//   vppctl: (none)      vpp.macip.create({ tag: 'tenants', rules: […] }); vpp.macip.apply('tap0', 'tenants')

import { isIpv4, isIpv6, isMac, isPrefix, networkPrefix, normalizeIp, normalizeMac, ZERO_MAC } from '../net/index.js';
import { VppObjectError, VppTextError } from '../errors.js';
import { NO_INDEX, type Core } from './core.js';
import type { InterfaceRef, Interfaces } from './interfaces.js';

/** A rule. */
export interface MacipRule {
  readonly action: 'permit' | 'deny';
  readonly mac: string;
  /** Bits of the MAC address that count. */
  readonly mask: string;
  /** The source of the packet. */
  readonly prefix: string;
}

/** A MACIP ACL to make. */
export interface MacipOptions {
  tag: string;
  rules: readonly (string | MacipRule)[];
}

/** A MACIP ACL that VPP has. */
export interface MacipInfo {
  readonly index: number;
  readonly tag: string;
  readonly rules: readonly MacipRule[];
  readonly text: readonly string[];
}

const ALL_BITS = 'ff:ff:ff:ff:ff:ff';

/**
 * Reads a rule; two where `any` is of both families.
 *
 * @throws VppTextError `ERR_VPP_RULE`
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { formatMacipRule, parseMacipRule } from 'node-vpp/vpp';
 *
 * const [rule] = parseMacipRule('permit 02:fe:00:00:00:01 10.0.0.1');
 * assert.equal(rule?.prefix, '10.0.0.1/32');
 * assert.equal(formatMacipRule(rule), 'permit 02:fe:00:00:00:01 10.0.0.1');
 * ```
 */
export function parseMacipRule(text: string): MacipRule[] {
  const refuse = (problem: string): never => {
    const example = '"permit 02:fe:00:00:00:01 10.0.0.0/24"';
    throw new VppTextError(
      'ERR_VPP_RULE',
      `the rule "${text}" cannot be read: ${problem}; write, for example, ${example}`,
    );
  };
  const [action = '', mac = '', ip = '', ...more] = text.trim().split(/\s+/);
  if (action !== 'permit' && action !== 'deny') return refuse(`"${action}" is no action (permit, deny)`);
  if (more.length > 0) return refuse(`"${more.join(' ')}" is too much`);
  const [address = '', mask = ALL_BITS] = mac === 'any' ? [ZERO_MAC, ZERO_MAC] : mac.split('/');
  if (!isMac(address) || !isMac(mask)) return refuse(`"${mac}" is no MAC address, with or without a mask, and not any`);
  const rule = { action, mac: normalizeMac(address), mask: normalizeMac(mask) } as const;
  if (ip === 'any') return ['0.0.0.0/0', '::/0'].map((prefix) => ({ ...rule, prefix }));
  if (ip === 'any4') return [{ ...rule, prefix: '0.0.0.0/0' }];
  if (ip === 'any6') return [{ ...rule, prefix: '::/0' }];
  if (isPrefix(ip)) return [{ ...rule, prefix: networkPrefix(ip) }];
  if (isIpv4(ip)) return [{ ...rule, prefix: `${normalizeIp(ip)}/32` }];
  if (isIpv6(ip)) return [{ ...rule, prefix: `${normalizeIp(ip)}/128` }];
  return refuse(`"${ip}" is no address or prefix, and not any`);
}

const parse = (rules: readonly (string | MacipRule)[]): MacipRule[] =>
  rules.flatMap((rule) => (typeof rule === 'string' ? parseMacipRule(rule) : [rule]));

/** Writes a rule. */
export function formatMacipRule({ action, mac, mask, prefix }: MacipRule): string {
  const who = mask === ZERO_MAC ? 'any' : mask === ALL_BITS ? mac : `${mac}/${mask}`;
  const host = prefix.includes(':') ? '/128' : '/32';
  const address = prefix.endsWith(host) ? prefix.slice(0, -host.length) : prefix;
  return `${action} ${who} ${prefix === '0.0.0.0/0' ? 'any4' : prefix === '::/0' ? 'any6' : address}`;
}

/**
 * `vpp.macip`
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { openVpp } from 'node-vpp/vpp';
 *
 * const vpp = await openVpp({ socket: process.env.VPP_SOCKET ?? '/run/vpp/api.sock' });
 * await vpp.macip.ensure({ tag: 'doc-hosts', rules: ['permit 02:fe:00:00:00:01 10.0.0.1'] });
 * assert.equal((await vpp.macip.get('doc-hosts')).rules.length, 1);
 * const lan = await vpp.loopbacks.create();
 * assert.equal(await vpp.macip.apply(lan, 'doc-hosts'), true);
 * assert.equal((await vpp.macip.applied()).get(lan.index), await vpp.macip.of(lan));
 * await vpp.macip.apply(lan, undefined);
 * await lan.delete();
 * await vpp.macip.delete('doc-hosts');
 * await vpp.close();
 * ```
 */
export class Macips {
  readonly #core: Core;
  readonly #interfaces: Interfaces;

  constructor(core: Core, interfaces: Interfaces) {
    this.#core = core;
    this.#interfaces = interfaces;
  }

  /** All MACIP ACLs, their rules as objects and in text. */
  async list(): Promise<MacipInfo[]> {
    const rows = await this.#core.rows('macip_acl_dump', { acl_index: NO_INDEX }, 'MACIP ACLs');
    return rows.map((row) => {
      const rules = row.r.map((rule) => ({
        action: rule.is_permit === 0 ? ('deny' as const) : ('permit' as const),
        mac: rule.src_mac,
        mask: rule.src_mac_mask,
        prefix: rule.src_prefix,
      }));
      return { index: row.acl_index, tag: row.tag, rules, text: rules.map(formatMacipRule) };
    });
  }

  /**
   * One by index or tag.
   *
   * @throws VppObjectError ERR_VPP_OBJECT_MISSING, or ERR_VPP_OBJECT_AMBIGUOUS when several have the tag
   */
  async get(ref: number | string): Promise<MacipInfo> {
    const found = (await this.list()).filter(({ index, tag }) =>
      typeof ref === 'number' ? index === ref : tag === ref,
    );
    if (found.length === 1) return found[0]!;
    const code = found.length === 0 ? 'ERR_VPP_OBJECT_MISSING' : 'ERR_VPP_OBJECT_AMBIGUOUS';
    throw new VppObjectError(code, `MACIP ACL ${ref}`, `VPP has ${found.length || 'no'} such ACL`);
  }

  /** Makes one; its index. VPP takes a tag that another one has: `ensure` looks. */
  async create(options: MacipOptions): Promise<number> {
    return this.#put(NO_INDEX, options.tag, parse(options.rules), 'create it');
  }

  /** The one of this tag, with these rules; its index. */
  async ensure(options: MacipOptions): Promise<number> {
    const rules = parse(options.rules);
    const held = (await this.list()).find(({ tag }) => tag === options.tag);
    if (held === undefined) return this.#put(NO_INDEX, options.tag, rules, 'create it');
    const same = rules.map(formatMacipRule).join('\n') === held.text.join('\n');
    if (!same) await this.#put(held.index, held.tag, rules, 'replace its rules');
    return held.index;
  }

  async #put(index: number, tag: string, rules: readonly MacipRule[], doing: string): Promise<number> {
    const r = rules.map(({ action, mac, mask, prefix }) => ({
      is_permit: action === 'permit' ? 1 : 0,
      src_mac: mac,
      src_mac_mask: mask,
      src_prefix: prefix,
    }));
    const fields = { acl_index: index, tag, r };
    return (await this.#core.request('macip_acl_add_replace', fields, `MACIP ACL ${tag}`, doing)).acl_index;
  }

  /**
   * Deletes one, and takes it off the interfaces it is on.
   *
   * @throws VppObjectError ERR_VPP_OBJECT_MISSING when there is none of this tag
   */
  async delete(ref: number | string): Promise<void> {
    const index = typeof ref === 'number' ? ref : (await this.get(ref)).index;
    await this.#core.request('macip_acl_del', { acl_index: index }, `MACIP ACL ${ref}`, 'delete it');
  }

  /** Puts one on an interface, in place of the one that is there; undefined takes it off. */
  async apply(itf: InterfaceRef, ref: number | string | undefined): Promise<boolean> {
    const on = await this.#interfaces.get(itf);
    const index = ref === undefined || typeof ref === 'number' ? ref : (await this.get(ref)).index;
    const held = await this.of(on);
    if (held === index) return false;
    if (index === undefined) {
      await on.request('macip_acl_interface_add_del', { is_add: false, acl_index: held! }, 'take its MACIP ACL off');
    } else
      await on.request('macip_acl_interface_add_del', { is_add: true, acl_index: index }, `give it MACIP ACL ${ref!}`);
    return true;
  }

  /** The one that is on an interface. */
  async of(itf: InterfaceRef): Promise<number | undefined> {
    const on = await this.#interfaces.get(itf);
    return (await this.applied()).get(on.index);
  }

  /** Every interface that has one. */
  async applied(): Promise<Map<number, number>> {
    const rows = await this.#core.rows('macip_acl_interface_list_dump', { sw_if_index: NO_INDEX }, 'MACIP ACLs');
    return new Map(rows.flatMap(({ sw_if_index: on, acls }) => (acls.length === 0 ? [] : [[on, acls[0]!] as const])));
  }
}
