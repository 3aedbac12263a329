// A handle of one interface. It holds on to the sw_if_index, so that it stays true when the interface is renamed, and
// it knows when the interface is gone, so that it never acts on another one that got the same index later.
//
//   live ──deleted by us, or VPP's event says so──► gone: every call rejects with ERR_VPP_OBJECT_GONE
//        ──VPP restarted, or the index belongs to another interface now──►
//
// What it knows (`info`) is as of the last answer or event; `refresh()` asks again.

import { normalizePrefix, parsePrefix } from '../net/index.js';
import { ArgumentRangeError, VppObjectError } from '../errors.js';
import { explained, saysNoInterface, type Core, type Fields, type Request } from './core.js';
import {
  rxModes,
  tagRewriteOps,
  type InterfaceInfo,
  type Mtu,
  type QueuePlacement,
  type RxMode,
  type TagRewrite,
} from './interface-info.js';
import type { InterfaceCounters } from './interface-counters.js';
import type { InterfaceRef, Interfaces } from './interfaces.js';
import type { ReplyOf } from '../api/schema/api-types.js';
import type { NewestApi } from '../api/index.js';

const UNSPECIFIED = -1;
const UNEXPECTED_STATE = -74;

/**
 * One interface of a VPP. From `vpp.interfaces`, or from what creates it.
 *
 * @throws VppObjectError from every method: ERR_VPP_OBJECT_GONE when the interface no longer exists, and
 * ERR_VPP_OBJECT_REFUSED with what VPP said
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { openVpp } from 'node-vpp/vpp';
 *
 * const vpp = await openVpp({ socket: process.env.VPP_SOCKET ?? '/run/vpp/api.sock' });
 * const lan = await vpp.loopbacks.create({ instance: 917 });
 * await lan.setUp();
 * await lan.setMac('02:fe:00:00:09:17');
 * await lan.setMtu({ l3: 1500, ip6: 1400 });
 * await lan.setTag('doc-lan');
 * await lan.rename('inside');
 * const { adminUp, mac, mtu, tag } = await lan.refresh();
 * assert.deepEqual([adminUp, mac, mtu.l3, tag, lan.name], [true, '02:fe:00:00:09:17', 1500, 'doc-lan', 'inside']);
 * await lan.setIp4(true);
 * await lan.setIp6(true);
 * await lan.setDown();
 * assert.equal(lan.toString(), 'interface doc-lan (inside)');
 * assert.equal(lan.toJSON().tag, 'doc-lan');
 * await assert.rejects(lan.setLinkMtu(1500), { errorName: 'UNSUPPORTED' }, 'a loopback has no hardware');
 * await lan.request('sw_interface_set_promisc', { promisc_on: true }, 'listen to all');
 * assert.equal(lan.mustLive('go on'), lan);
 * await lan.delete();
 * assert.equal(lan.gone, true);
 * await assert.rejects(lan.setUp(), { code: 'ERR_VPP_OBJECT_GONE' });
 * await vpp.close();
 * ```
 */
export class Interface {
  readonly #core: Core;
  readonly #all: Interfaces;
  #info: InterfaceInfo;
  #gone: string | undefined;

  /** For `Interfaces`. */
  constructor(core: Core, all: Interfaces, info: InterfaceInfo) {
    this.#core = core;
    this.#all = all;
    this.#info = info;
  }

  /** VPP's sw_if_index: never changes. */
  get index(): number {
    return this.#info.index;
  }

  /** VPP's name, as last heard. */
  get name(): string {
    return this.#info.name;
  }

  /** The logical name, as last heard; empty when it has none. */
  get tag(): string {
    return this.#info.tag;
  }

  /** Everything that is known, as last heard. */
  get info(): InterfaceInfo {
    return this.#info;
  }

  /** True when the interface no longer exists. */
  get gone(): boolean {
    return this.#gone !== undefined;
  }

  /** `interface lan (tap0)`, for messages. */
  toString(): string {
    const { name, tag } = this.#info;
    return tag === '' || tag === name ? `interface ${name}` : `interface ${tag} (${name})`;
  }

  /** As `info`: handles print as what is known of them. */
  toJSON(): InterfaceInfo {
    return this.#info;
  }

  /** Asks VPP about it again. */
  async refresh(): Promise<InterfaceInfo> {
    this.#mustLive('refresh it');
    const rows = await this.#core.rows('sw_interface_dump', { sw_if_index: this.index }, this.toString());
    const row = rows.find(({ sw_if_index: index }) => index === this.index);
    if (row === undefined) this.#all.forget(this.index, 'VPP no longer lists it');
    else this.#all.learn(row);
    this.#mustLive('refresh it');
    return this.#info;
  }

  /** Admin state up (default) or down. */
  async setUp(up = true): Promise<void> {
    const flags = up ? 1 : 0;
    try {
      await this.request('sw_interface_set_flags', { flags }, up ? 'set it up' : 'set it down');
    } catch (error) {
      const isSub = up && this.#info.kind === 'sub-interface';
      throw isSub ? explained(error, UNSPECIFIED, 'as it does when the interface it is on is down') : error;
    }
    this.#know({ adminUp: up });
  }

  /** Admin state down. */
  setDown(): Promise<void> {
    return this.setUp(false);
  }

  /** The MAC address: `02:fe:00:00:00:01`. */
  async setMac(mac: string): Promise<void> {
    await this.request('sw_interface_set_mac_address', { mac_address: mac }, `set the MAC address ${mac}`);
    this.#know({ mac });
  }

  /** Longest packet at layer 3, bytes: one number for all protocols, or one each. */
  async setMtu(mtu: number | Mtu): Promise<void> {
    const { l3 = 0, ip4 = 0, ip6 = 0, mpls = 0 } = typeof mtu === 'number' ? { l3: mtu } : mtu;
    const numbers = [l3, ip4, ip6, mpls];
    await this.request('sw_interface_set_mtu', { mtu: numbers }, `set the MTU ${numbers.join('/')}`);
    this.#know({ mtu: { l3, ip4, ip6, mpls } });
  }

  /** Longest packet of the hardware, bytes; refused where that is fixed, as of a loopback. */
  async setLinkMtu(mtu: number): Promise<void> {
    await this.request('hw_interface_set_mtu', { mtu }, `set the MTU ${mtu} of its hardware`);
    this.#know({ linkMtu: mtu });
  }

  /**
   * Our logical name for it, kept by VPP with the interface; an empty one takes it away.
   *
   * @throws ArgumentRangeError when it is longer than 63 bytes
   */
  async setTag(tag: string): Promise<void> {
    if (Buffer.byteLength(tag) > 63) throw new ArgumentRangeError(`a tag has 63 bytes at most, not ${tag}`);
    if (this.tag !== '') {
      await this.request('sw_interface_tag_add_del', { is_add: false, tag: this.tag }, 'take its tag away');
      this.#know({ tag: '' });
    }
    if (tag === '') return;
    await this.request('sw_interface_tag_add_del', { is_add: true, tag }, `give it the tag ${tag}`);
    this.#know({ tag });
  }

  /** Another name in VPP. The handle stays valid. */
  async rename(name: string): Promise<void> {
    if (this.#info.kind === 'sub-interface') {
      // VPP takes the hardware interface of the one it is given.
      const problem = 'cannot rename it: VPP would rename the interface it is on; give it a tag';
      throw new VppObjectError('ERR_VPP_OBJECT_REFUSED', this.toString(), problem);
    }
    await this.request('sw_interface_set_interface_name', { name }, `rename it to ${name}`);
    await this.refresh();
  }

  /** Addresses with their prefix lengths: `['192.168.1.1/24', '2001:db8::1/64']`; IPv4 first. */
  async addresses(): Promise<string[]> {
    this.#mustLive('list its addresses');
    const families = await Promise.all(
      [false, true].map((isIpv6) =>
        this.#core.rows('ip_address_dump', { sw_if_index: this.index, is_ipv6: isIpv6 }, this.toString()),
      ),
    );
    return families.flatMap((rows) => rows.map(({ prefix }) => prefix));
  }

  /**
   * Adds an address: `192.168.1.1/24`.
   *
   * @throws NetError ERR_NET_PREFIX when it is no prefix
   * @throws VppObjectError ERR_VPP_OBJECT_REFUSED when it, or another interface of the table, has it
   */
  addAddress(prefix: string): Promise<void> {
    return this.#address(prefix, true);
  }

  /**
   * Deletes an address, given with its prefix length.
   *
   * @throws VppObjectError ERR_VPP_OBJECT_REFUSED when it has no such address
   */
  deleteAddress(prefix: string): Promise<void> {
    return this.#address(prefix, false);
  }

  async #address(prefix: string, isAdd: boolean): Promise<void> {
    parsePrefix(prefix);
    const doing = `${isAdd ? 'add' : 'delete'} the address ${prefix}`;
    await this.request('sw_interface_add_del_address', { is_add: isAdd, del_all: false, prefix }, doing);
  }

  /**
   * Makes its addresses exactly these: adds what is missing, deletes what is not among them. Link-local ones stay.
   *
   * @example
   * ```ts
   * import assert from 'node:assert/strict';
   * import { openVpp } from 'node-vpp/vpp';
   *
   * const vpp = await openVpp({ socket: process.env.VPP_SOCKET ?? '/run/vpp/api.sock' });
   * const lan = await vpp.loopbacks.create();
   * await lan.addAddress('10.17.0.1/24');
   * assert.deepEqual(await lan.ensureAddresses(['10.17.1.1/24']), { added: ['10.17.1.1/24'], deleted: ['10.17.0.1/24'] });
   * assert.deepEqual(await lan.addresses(), ['10.17.1.1/24']);
   * const other = await vpp.loopbacks.create({ unnumbered: lan });
   * assert.equal(await other.unnumbered(), lan);
   * await other.setUnnumbered(undefined);
   * await lan.deleteAddress('10.17.1.1/24');
   * await vpp.tables.ensure({ id: 917 });
   * await lan.setTable(917, 'ip4');
   * assert.deepEqual(await lan.table(), { ip4: 917, ip6: 0 });
   * for (const itf of [other, lan]) await itf.delete();
   * await vpp.tables.delete(917);
   * await vpp.close();
   * ```
   */
  async ensureAddresses(prefixes: readonly string[]): Promise<{ added: string[]; deleted: string[] }> {
    const wanted = new Set(prefixes.map(normalizePrefix));
    const held = new Set(await this.addresses());
    const isOurs = (prefix: string): boolean => !prefix.startsWith('fe80:');
    const deleted = [...held].filter((prefix) => !wanted.has(prefix) && isOurs(prefix));
    const added = [...wanted].filter((prefix) => !held.has(prefix));
    for (const prefix of deleted) await this.deleteAddress(prefix);
    for (const prefix of added) await this.addAddress(prefix);
    return { added, deleted };
  }

  /**
   * Borrows the address of another interface; undefined gives it back.
   *
   * @throws VppObjectError ERR_VPP_OBJECT_REFUSED when the other is in another table
   */
  async setUnnumbered(other: InterfaceRef | undefined): Promise<void> {
    if (other === undefined) {
      const [lender] = await this.#core.rows('ip_unnumbered_dump', { sw_if_index: this.index }, this.toString());
      if (lender === undefined) return;
      const fields = { unnumbered_sw_if_index: this.index, sw_if_index: lender.ip_sw_if_index, is_add: false };
      await this.#core.request('sw_interface_set_unnumbered', fields, this.toString(), 'give the address back');
      return;
    }
    this.#mustLive('borrow an address');
    const lender = await this.#all.get(other);
    // In VPP's message `sw_if_index` is the one that has the address, and this one the "unnumbered".
    const fields = { unnumbered_sw_if_index: this.index, sw_if_index: lender.index, is_add: true };
    const doing = `borrow the address of ${lender.toString()}`;
    try {
      await this.#core.request('sw_interface_set_unnumbered', fields, this.toString(), doing);
    } catch (error) {
      throw explained(error, UNEXPECTED_STATE, 'as it does when they are in different tables');
    }
  }

  /** The interface whose address it borrows; undefined when there is none, or it is gone. */
  async unnumbered(): Promise<Interface | undefined> {
    const rows = await this.#core.rows('ip_unnumbered_dump', { sw_if_index: this.index }, this.toString());
    return rows[0] === undefined ? undefined : this.#all.find(rows[0].ip_sw_if_index);
  }

  /** The VRF tables it belongs to. */
  async table(): Promise<{ ip4: number; ip6: number }> {
    const ask = (isIpv6: boolean) => this.request('sw_interface_get_table', { is_ipv6: isIpv6 }, 'find its table');
    const [four, six] = await Promise.all([ask(false), ask(true)]);
    return { ip4: four.vrf_id, ip6: six.vrf_id };
  }

  /**
   * Moves it to a VRF table, in one family or both. It must have no address of that family.
   *
   * @throws VppObjectError ERR_VPP_OBJECT_REFUSED when it has, or there is no such table
   */
  async setTable(table: number, family: 'ip4' | 'ip6' | 'both' = 'both'): Promise<void> {
    for (const isIpv6 of [false, true]) {
      if (family === (isIpv6 ? 'ip4' : 'ip6')) continue;
      const fields = { is_ipv6: isIpv6, vrf_id: table };
      await this.request('sw_interface_set_table', fields, `move it to the ${isIpv6 ? 'ip6' : 'ip4'} table ${table}`);
    }
  }

  /** Switches IPv6 on or off. */
  async setIp6(enable: boolean): Promise<void> {
    await this.request('sw_interface_ip6_enable_disable', { enable }, `${enable ? 'enable' : 'disable'} IPv6`);
  }

  /** Switches IPv4 on or off without an address (VPP 25.10 and later). */
  async setIp4(enable: boolean): Promise<void> {
    this.#core.newest('sw_interface_ip4_enable_disable');
    await this.request('sw_interface_ip4_enable_disable', { enable }, `${enable ? 'enable' : 'disable'} IPv4`);
  }

  /** Takes packets for any MAC address. */
  async setPromiscuous(on: boolean): Promise<void> {
    await this.request('sw_interface_set_promisc', { promisc_on: on }, `set promiscuous ${on ? 'on' : 'off'}`);
  }

  /**
   * How its queues are served: one, or all.
   *
   * @example
   * ```ts
   * import assert from 'node:assert/strict';
   * import { openVpp } from 'node-vpp/vpp';
   *
   * const vpp = await openVpp({ socket: process.env.VPP_SOCKET ?? '/run/vpp/api.sock' });
   * const tap = await vpp.taps.create({ hostName: 'doc-queues', up: true });
   * await tap.setRxMode('adaptive');
   * await tap.setRxPlacement(0, 'main');
   * assert.equal((await tap.rxPlacement())[0]?.worker, 'main');
   * await tap.setPromiscuous(true);
   * await tap.delete();
   * await vpp.close();
   * ```
   */
  async setRxMode(mode: RxMode, queue?: number): Promise<void> {
    const fields = { queue_id_valid: queue !== undefined, queue_id: queue ?? 0, mode: rxModes.indexOf(mode) };
    await this.request('sw_interface_set_rx_mode', fields, `set the rx mode ${mode}`);
  }

  /** Which thread serves a queue. */
  async setRxPlacement(queue: number, worker: number | 'main'): Promise<void> {
    const isMain = worker === 'main';
    const fields = { queue_id: queue, worker_id: isMain ? 0 : worker, is_main: isMain };
    await this.request('sw_interface_set_rx_placement', fields, `place queue ${queue} on ${worker}`);
  }

  /** Its receive queues, and which thread serves each. */
  async rxPlacement(): Promise<QueuePlacement[]> {
    this.#mustLive('list its queues');
    const rows = await this.#core.rows('sw_interface_rx_placement_dump', { sw_if_index: this.index }, this.toString());
    return rows.map(({ queue_id: queue, worker_id: thread, mode }) => ({
      queue,
      // VPP tells the thread, whose number 0 is the main one.
      worker: thread === 0 ? ('main' as const) : thread - 1,
      mode: rxModes[mode] ?? 'unknown',
    }));
  }

  /**
   * What happens to the VLAN tags of its packets when it is bridged or cross-connected.
   *
   * @throws ArgumentRangeError for an operation that VPP does not have
   *
   * @example
   * ```ts
   * import assert from 'node:assert/strict';
   * import { openVpp } from 'node-vpp/vpp';
   *
   * const vpp = await openVpp({ socket: process.env.VPP_SOCKET ?? '/run/vpp/api.sock' });
   * const trunk = await vpp.loopbacks.create({ up: true });
   * const vlan = await vpp.subInterfaces.create(trunk, { vlan: 10 });
   * await vlan.setTagRewrite({ op: 'pop-1' });
   * assert.equal((await vlan.refresh()).tagRewrite?.op, 'pop-1');
   * for (const itf of [vlan, trunk]) await itf.delete();
   * await vpp.close();
   * ```
   */
  async setTagRewrite(rewrite: TagRewrite): Promise<void> {
    const { op, dot1q = true, tag1 = 0, tag2 = 0 } = rewrite;
    const number = tagRewriteOps.indexOf(op);
    if (number < 0) throw new ArgumentRangeError(`a tag rewrite is one of ${tagRewriteOps.join(', ')}, not ${op}`);
    const fields = { vtr_op: number, push_dot1q: dot1q ? 1 : 0, tag1, tag2 };
    await this.request('l2_interface_vlan_tag_rewrite', fields, `set the tag rewrite ${op}`);
    this.#know({ tagRewrite: op === 'disabled' ? undefined : { op, dot1q, tag1, tag2 } });
  }

  /** Sets its counters to zero. */
  async clearCounters(): Promise<void> {
    await this.request('sw_interface_clear_stats', {}, 'clear its counters');
  }

  /**
   * Its counters (packets, bytes), read in place from the stats segment: `openVpp({ statsSocket })`.
   *
   * @throws VppObjectError ERR_VPP_OBJECT_REFUSED when the stats segment is not known
   *
   * @example
   * ```ts
   * import assert from 'node:assert/strict';
   * import { mkdtempSync, rmSync } from 'node:fs';
   * import { startDataplane } from 'node-vpp/dataplane';
   * import { openVpp } from 'node-vpp/vpp';
   *
   * const at = mkdtempSync('/tmp/doc-counters-');
   * const dataplane = await startDataplane({ apiSocket: `${at}/api.sock`, statsSocket: `${at}/stats.sock` });
   * const vpp = await openVpp({ socket: dataplane.apiSocket, statsSocket: dataplane.statsSocket });
   * const lan = await vpp.loopbacks.create({ up: true });
   * assert.deepEqual((await lan.counters()).rx, { packets: 0, bytes: 0 });
   * await lan.clearCounters();
   * await vpp.close();
   * await dataplane.close();
   * rmSync(at, { recursive: true });
   * ```
   */
  async counters(): Promise<InterfaceCounters> {
    this.#mustLive('read its counters');
    const values = await this.#all.counterReader.read(this.index, this.toString());
    if (values !== undefined) return values;
    const problem = 'the stats segment has no counters of it: is it that of another VPP?';
    throw new VppObjectError('ERR_VPP_OBJECT_MISSING', this.toString(), problem);
  }

  /** Deletes it, however it was made. What a driver brought (DPDK, AVF) cannot be deleted. */
  async delete(): Promise<void> {
    this.#mustLive('delete it');
    await this.#all.deleteInterface(this);
  }

  /**
   * Sends a request about this interface: any message with a field `sw_if_index`, for what has no method here. `doing` is
   * for the error: "interface lan (tap0): cannot `doing`: VPP says …".
   */
  async request<N extends Request>(
    name: N,
    fields: Omit<Fields<N>, 'sw_if_index'>,
    doing: string,
  ): Promise<ReplyOf<NewestApi, N>> {
    this.#mustLive(doing);
    try {
      const all = { ...fields, sw_if_index: this.index } as unknown as Fields<N>;
      return await this.#core.request(name, all, this.toString(), doing);
    } catch (error) {
      if (!saysNoInterface(error)) throw error;
      this.#all.forget(this.index, 'VPP no longer knows its index');
      throw this.#goneError(doing, error);
    }
  }

  /** Throws ERR_VPP_OBJECT_GONE when it is gone, or else gives itself. `doing` is for the error, as of `request`. */
  mustLive(doing: string): this {
    this.#mustLive(doing);
    return this;
  }

  /** For `Interfaces`. */
  update(info: InterfaceInfo): void {
    this.#info = info;
  }

  /** For `Interfaces`. */
  markGone(why: string): void {
    this.#gone ??= why;
  }

  #know(change: Partial<{ -readonly [K in keyof InterfaceInfo]: InterfaceInfo[K] }>): void {
    this.#info = { ...this.#info, ...change };
  }

  #mustLive(doing: string): void {
    if (this.#gone !== undefined) throw this.#goneError(doing);
  }

  #goneError(doing: string, cause?: unknown): VppObjectError {
    const why = this.#gone ?? 'it was deleted';
    return new VppObjectError(
      'ERR_VPP_OBJECT_GONE',
      this.toString(),
      `cannot ${doing}: the interface is gone (${why})`,
      {
        cause,
      },
    );
  }
}
