// TAP and TUN interfaces: one end in VPP, the other in the kernel of VPP's host.
//
//   vppctl: create tap id 0 host-if-name vpp0 host-ip4-addr 10.0.0.2/24
//                                              vpp.taps.create({ id: 0, hostName: 'vpp0', hostIp4: '10.0.0.2/24' })

import { ZERO_MAC } from '../net/index.js';
import { mustAgree } from './agree.js';
import { NO_INDEX, type Core } from './core.js';
import { applySettings, type InterfaceSettings } from './interface-settings.js';
import type { Interface } from './interface.js';
import type { Interfaces } from './interfaces.js';

const flags = { gso: 1, checksum: 2, persist: 4, attach: 8, tun: 16, coalesce: 32, packed: 64, inOrder: 128 } as const;

/** A TAP interface. */
export interface TapOptions extends InterfaceSettings {
  /** The number in its name (`tap0`); the next free one when left out. */
  id?: number;
  /** Name of the kernel's end; default `tap` and the number. */
  hostName?: string;
  /** Network namespace of the kernel's end: a name below /run/netns, or `pid:N`. */
  hostNamespace?: string;
  /** A bridge of the kernel that its end becomes a port of. */
  hostBridge?: string;
  hostMac?: string;
  hostMtu?: number;
  /** Address of the kernel's end with prefix length, and its default gateways. */
  hostIp4?: string;
  hostIp6?: string;
  hostGateway4?: string;
  hostGateway6?: string;
  rxQueues?: number;
  txQueues?: number;
  rxRingSize?: number;
  txRingSize?: number;
  /** Layer 3: no Ethernet header. */
  tun?: boolean;
  /** Segmentation offload; checksum offload; the kernel's end outlives VPP's; use a kernel end that is there. */
  gso?: boolean;
  checksum?: boolean;
  persist?: boolean;
  attach?: boolean;
  coalesce?: boolean;
  packed?: boolean;
  inOrder?: boolean;
}

/** A TAP interface as VPP has it. */
export interface TapInfo {
  readonly interface: Interface;
  readonly id: number;
  readonly hostName: string;
  readonly hostNamespace: string;
  readonly hostBridge: string;
  readonly hostMac: string;
  readonly hostMtu: number;
  readonly hostIp4: string | undefined;
  readonly hostIp6: string | undefined;
  readonly rxRingSize: number;
  readonly txRingSize: number;
  readonly tun: boolean;
}

/**
 * `vpp.taps`
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { openVpp } from 'node-vpp/vpp';
 *
 * const vpp = await openVpp({ socket: process.env.VPP_SOCKET ?? '/run/vpp/api.sock' });
 * const tap = await vpp.taps.create({ hostName: 'doc-tap0', hostIp4: '10.15.0.2/24', addresses: ['10.15.0.1/24'], up: true });
 * assert.equal((await vpp.taps.list())[0]?.hostIp4, '10.15.0.2/24');
 * assert.equal(await vpp.taps.ensure({ hostName: 'doc-tap0' }), tap);
 * await tap.delete();
 * await vpp.close();
 * ```
 */
export class Taps {
  readonly #core: Core;
  readonly #interfaces: Interfaces;

  constructor(core: Core, interfaces: Interfaces) {
    this.#core = core;
    this.#interfaces = interfaces;
    for (const device of ['virtio', 'tap', 'tun']) interfaces.deleteWith(device, (itf) => this.#delete(itf));
  }

  /** Older VPPs call both taps and virtio devices on the PCI bus `virtio`. */
  async #delete(itf: Interface): Promise<void> {
    const rows = await this.#core.rows('sw_interface_tap_v2_dump', { sw_if_index: NO_INDEX }, itf.toString());
    const isTap = rows.some(({ sw_if_index: index }) => index === itf.index);
    await itf.request(isTap ? 'tap_delete_v2' : 'virtio_pci_delete', {}, 'delete it');
  }

  /** All taps; ring sizes in packets, MTU in bytes. */
  async list(): Promise<TapInfo[]> {
    this.#core.newest('sw_interface_tap_v2_dump');
    const [rows, all] = await Promise.all([
      this.#core.rows('sw_interface_tap_v2_dump', { sw_if_index: NO_INDEX }, 'tap interfaces'),
      this.#interfaces.list(),
    ]);
    const byIndex = new Map(all.map((itf) => [itf.index, itf]));
    return rows.flatMap((row) => {
      const itf = byIndex.get(row.sw_if_index);
      if (itf === undefined) return [];
      return {
        interface: itf,
        id: row.id,
        hostName: row.host_if_name,
        hostNamespace: row.host_namespace,
        hostBridge: row.host_bridge,
        hostMac: row.host_mac_addr,
        hostMtu: row.host_mtu_size,
        hostIp4: row.host_ip4_prefix === '0.0.0.0/0' ? undefined : row.host_ip4_prefix,
        hostIp6: row.host_ip6_prefix === '::/0' ? undefined : row.host_ip6_prefix,
        rxRingSize: row.rx_ring_sz,
        txRingSize: row.tx_ring_sz,
        tun: (row.tap_flags & flags.tun) !== 0,
      };
    });
  }

  /**
   * Makes a tap. VPP needs /dev/net/tun and /dev/vhost-net, and the right to use them.
   *
   * @throws VppObjectError ERR_VPP_OBJECT_REFUSED when it has not, or the number is taken
   * @throws VppFeatureError ERR_VPP_FEATURE_MISSING when tap_plugin.so is not loaded
   */
  async create(options: TapOptions = {}): Promise<Interface> {
    const { id = NO_INDEX, hostName, hostNamespace, hostBridge, hostMac, hostMtu, hostIp4, hostIp6, ...rest } = options;
    const {
      hostGateway4,
      hostGateway6,
      rxQueues = 1,
      txQueues = 1,
      rxRingSize = 256,
      txRingSize = 256,
      ...more
    } = rest;
    const { tun, gso, checksum, persist, attach, coalesce, packed, inOrder, ...settings } = more;
    const { mac, tag = '', ...others } = settings;
    const wanted = { tun, gso, checksum, persist, attach, coalesce, packed, inOrder };
    const mask = (Object.keys(wanted) as (keyof typeof wanted)[]).reduce(
      (sum, name) => (wanted[name] === true ? sum | flags[name] : sum),
      0,
    );
    const fields = {
      id,
      use_random_mac: mac === undefined,
      mac_address: mac ?? ZERO_MAC,
      num_rx_queues: rxQueues,
      num_tx_queues: txQueues,
      tx_ring_sz: txRingSize,
      rx_ring_sz: rxRingSize,
      host_mtu_set: hostMtu !== undefined,
      host_mtu_size: hostMtu ?? 0,
      host_mac_addr_set: hostMac !== undefined,
      host_mac_addr: hostMac ?? ZERO_MAC,
      host_ip4_prefix_set: hostIp4 !== undefined,
      host_ip4_prefix: hostIp4 ?? '0.0.0.0/0',
      host_ip6_prefix_set: hostIp6 !== undefined,
      host_ip6_prefix: hostIp6 ?? '::/0',
      host_ip4_gw_set: hostGateway4 !== undefined,
      host_ip4_gw: hostGateway4 ?? '0.0.0.0',
      host_ip6_gw_set: hostGateway6 !== undefined,
      host_ip6_gw: hostGateway6 ?? '::',
      tap_flags: mask,
      host_namespace_set: hostNamespace !== undefined,
      host_namespace: hostNamespace ?? '',
      host_if_name_set: hostName !== undefined,
      host_if_name: hostName ?? '',
      host_bridge_set: hostBridge !== undefined,
      host_bridge: hostBridge ?? '',
      tag,
    };
    const object = `tap ${tag || (hostName ?? (id === NO_INDEX ? '' : id))}`.trim();
    const message = this.#core.newest('tap_create_v3', 'tap_create_v2');
    const { num_tx_queues: _, ...older } = fields;
    const reply =
      message === 'tap_create_v3'
        ? await this.#core.request('tap_create_v3', fields, object, 'create it')
        : await this.#core.request('tap_create_v2', older, object, 'create it');
    return this.#interfaces.created(reply.sw_if_index, tag === '' ? others : { tag, ...others });
  }

  /** The tap of this kernel interface, number or tag, created when there is none, with these settings. */
  async ensure(options: TapOptions & ({ hostName: string } | { id: number } | { tag: string })): Promise<Interface> {
    const { id, hostName, hostNamespace, hostBridge, tun, ...rest } = options;
    const found = (await this.list()).find((tap) => {
      if (hostName !== undefined) return tap.hostName === hostName && tap.hostNamespace === (hostNamespace ?? '');
      return id === undefined ? tap.interface.tag === options.tag : tap.id === id;
    });
    if (found === undefined) return this.create(options);
    mustAgree(found.interface.toString(), found, { id, hostName, hostNamespace, hostBridge, tun });
    await applySettings(found.interface, rest);
    return found.interface;
  }
}
