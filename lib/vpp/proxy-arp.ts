// Proxy ARP and ND: VPP answers for others.
//
//   vppctl: set ip arp proxy start 10.0.0.2 end 10.0.0.9        vpp.proxyArp.addRange({ low: '10.0.0.2', high: '10.0.0.9' })
//           set interface proxy-arp tap0 enable                 vpp.proxyArp.setInterface('tap0', true)
//           set ip6 nd proxy tap0 2001:db8::5                   vpp.proxyArp.addNd('tap0', '2001:db8::5')

import { normalizeIp } from '../net/index.js';
import type { Core } from './core.js';
import type { InterfaceRef, Interfaces } from './interfaces.js';

/** Addresses that are answered for. */
export interface ProxyArpRange {
  readonly low: string;
  readonly high: string;
  /** Default 0. */
  readonly table?: number;
}

/**
 * `vpp.proxyArp`
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { openVpp } from 'node-vpp/vpp';
 *
 * const vpp = await openVpp({ socket: process.env.VPP_SOCKET ?? '/run/vpp/api.sock' });
 * const lan = await vpp.loopbacks.create({ addresses: ['10.11.0.1/24', '2001:db8:11::1/64'], up: true });
 * const range = { low: '10.11.0.100', high: '10.11.0.110' };
 * await vpp.proxyArp.addRange(range);
 * assert.equal(await vpp.proxyArp.ensureRange(range), false);
 * assert.deepEqual(await vpp.proxyArp.ranges(), [{ ...range, table: 0 }]);
 * await vpp.proxyArp.setInterface(lan, true);
 * assert.deepEqual(await vpp.proxyArp.interfaces(), [lan.index]);
 * await vpp.proxyArp.setInterface(lan, false);
 * await vpp.proxyArp.deleteRange(range);
 * await vpp.proxyArp.addNd(lan, '2001:db8:11::99');
 * assert.equal(await vpp.proxyArp.ensureNd(lan, '2001:db8:11::99'), false);
 * assert.deepEqual(await vpp.proxyArp.nd(), [{ interfaceIndex: lan.index, ip: '2001:db8:11::99' }]);
 * await vpp.proxyArp.deleteNd(lan, '2001:db8:11::99');
 * await lan.delete();
 * await vpp.close();
 * ```
 */
export class ProxyArp {
  readonly #core: Core;
  readonly #interfaces: Interfaces;

  constructor(core: Core, interfaces: Interfaces) {
    this.#core = core;
    this.#interfaces = interfaces;
  }

  /** All ranges of IPv4 addresses that are answered for. */
  async ranges(): Promise<Required<ProxyArpRange>[]> {
    const rows = await this.#core.rows('proxy_arp_dump', {}, 'proxy ARP');
    return rows.map(({ proxy }) => ({ low: proxy.low, high: proxy.hi, table: proxy.table_id }));
  }

  /**
   * Answers ARP for the addresses from `low` to `high`, both included, where `setInterface` has switched it on.
   *
   * @throws VppObjectError ERR_VPP_OBJECT_REFUSED with what VPP said
   */
  async addRange(range: ProxyArpRange): Promise<void> {
    await this.#range(range, true);
  }

  /** Adds exactly this range unless it is there; true when something was to do. */
  async ensureRange(range: ProxyArpRange): Promise<boolean> {
    const { low, high, table = 0 } = range;
    if ((await this.ranges()).some((held) => held.low === low && held.high === high && held.table === table))
      return false;
    await this.#range(range, true);
    return true;
  }

  /**
   * Deletes a range, which has to be exactly one that was added.
   *
   * @throws VppObjectError ERR_VPP_OBJECT_REFUSED when there is none
   */
  async deleteRange(range: ProxyArpRange): Promise<void> {
    await this.#range(range, false);
  }

  async #range({ low, high, table = 0 }: ProxyArpRange, isAdd: boolean): Promise<void> {
    const fields = { is_add: isAdd, proxy: { table_id: table, low, hi: high } };
    await this.#core.request('proxy_arp_add_del', fields, `proxy ARP ${low}-${high}`, isAdd ? 'add it' : 'delete it');
  }

  /** sw_if_index of the interfaces that answer. */
  async interfaces(): Promise<number[]> {
    const rows = await this.#core.rows('proxy_arp_intfc_dump', {}, 'proxy ARP');
    return rows.map(({ sw_if_index: index }) => index);
  }

  /**
   * Whether this interface answers for the ranges of its table.
   *
   * @throws VppObjectError ERR_VPP_OBJECT_MISSING when there is no such interface
   */
  async setInterface(itf: InterfaceRef, enable: boolean): Promise<void> {
    const on = await this.#interfaces.get(itf);
    await on.request('proxy_arp_intfc_enable_disable', { enable }, `switch proxy ARP ${enable ? 'on' : 'off'}`);
  }

  /** IPv6 addresses that are answered for, by interface. */
  async nd(): Promise<{ interfaceIndex: number; ip: string }[]> {
    // VPP (26.06, and earlier) answers ip6nd_proxy_dump with rows that have the number of another message. Each address
    // has a route of a source of its own, too.
    const sources = await this.#core.rows('fib_source_dump', {}, 'route sources');
    const source = sources.find(({ src }) => /proxy-nd/i.test(src.name))?.src.id;
    if (source === undefined) return [];
    const all: { interfaceIndex: number; ip: string }[] = [];
    for (const { table } of await this.#core.rows('ip_table_dump', {}, 'tables')) {
      if (!table.is_ip6) continue;
      for (const { route } of await this.#core.rows('ip_route_v2_dump', { src: source, table }, 'proxy ND')) {
        const index = route.paths[0]?.sw_if_index;
        if (index !== undefined) all.push({ interfaceIndex: index, ip: route.prefix.replace('/128', '') });
      }
    }
    return all;
  }

  /**
   * Answers neighbour solicitations for an IPv6 address on this interface.
   *
   * @throws VppObjectError ERR_VPP_OBJECT_REFUSED with what VPP said; ERR_VPP_OBJECT_MISSING when an interface is not there
   */
  async addNd(itf: InterfaceRef, ip: string): Promise<void> {
    await this.#nd(itf, ip, true);
  }

  /** Adds it unless it is there; true when something was to do. */
  async ensureNd(itf: InterfaceRef, ip: string): Promise<boolean> {
    const { index } = await this.#interfaces.get(itf);
    const wanted = normalizeIp(ip);
    if ((await this.nd()).some((held) => held.interfaceIndex === index && held.ip === wanted)) return false;
    await this.#nd(itf, ip, true);
    return true;
  }

  /**
   * Stops answering for an IPv6 address.
   *
   * @throws VppObjectError ERR_VPP_OBJECT_REFUSED with what VPP said; ERR_VPP_OBJECT_MISSING when an interface is not there
   */
  async deleteNd(itf: InterfaceRef, ip: string): Promise<void> {
    await this.#nd(itf, ip, false);
  }

  async #nd(itf: InterfaceRef, ip: string, isAdd: boolean): Promise<void> {
    const on = await this.#interfaces.get(itf);
    await on.request('ip6nd_proxy_add_del', { is_add: isAdd, ip }, `${isAdd ? 'add' : 'delete'} the proxy ND ${ip}`);
  }
}
