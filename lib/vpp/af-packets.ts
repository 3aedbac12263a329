// Interfaces of the kernel that VPP sends and receives on with AF_PACKET.
//
//   vppctl: create host-interface name eth0      vpp.afPackets.create({ host: 'eth0' })

import { ZERO_MAC } from '../net/index.js';
import type { Core } from './core.js';
import { applySettings, type InterfaceSettings } from './interface-settings.js';
import type { Interface } from './interface.js';
import type { Interfaces } from './interfaces.js';

/** An AF_PACKET interface. */
export interface AfPacketOptions extends InterfaceSettings {
  /** The kernel's interface, which must exist. */
  host: string;
  /** `ip`: layer 3, for a kernel interface without Ethernet. Default `ethernet`. */
  mode?: 'ethernet' | 'ip';
  rxQueues?: number;
  txQueues?: number;
  rxFrameSize?: number;
  txFrameSize?: number;
  rxFramesPerBlock?: number;
  txFramesPerBlock?: number;
  /** Past the kernel's queueing; with checksum and segmentation offload. */
  qdiscBypass?: boolean;
  offload?: boolean;
}

/** An AF_PACKET interface as VPP has it. */
export interface AfPacketInfo {
  readonly interface: Interface;
  readonly host: string;
}

/**
 * `vpp.afPackets`
 *
 * @throws VppFeatureError ERR_VPP_FEATURE_MISSING, from every method, when af_packet_plugin.so is not loaded
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { openVpp } from 'node-vpp/vpp';
 *
 * const vpp = await openVpp({ socket: process.env.VPP_SOCKET ?? '/run/vpp/api.sock' });
 * const lo = await vpp.afPackets.create({ host: 'lo', tag: 'doc-host' });
 * assert.equal((await vpp.afPackets.list())[0]?.host, 'lo');
 * assert.equal(await vpp.afPackets.ensure({ host: 'lo' }), lo);
 * await lo.delete();
 * await vpp.close();
 * ```
 */
export class AfPackets {
  readonly #core: Core;
  readonly #interfaces: Interfaces;

  constructor(core: Core, interfaces: Interfaces) {
    this.#core = core;
    this.#interfaces = interfaces;
    interfaces.deleteWith('af-packet', async (itf) => {
      const rows = await core.rows('af_packet_dump', {}, itf.toString());
      const host = rows.find(({ sw_if_index: index }) => index === itf.index)?.host_if_name;
      if (host === undefined) return;
      await core.request('af_packet_delete', { host_if_name: host }, itf.toString(), 'delete it');
    });
  }

  /** All AF_PACKET interfaces, with the names of the kernel. */
  async list(): Promise<AfPacketInfo[]> {
    const [rows, all] = await Promise.all([
      this.#core.rows('af_packet_dump', {}, 'af_packet interfaces'),
      this.#interfaces.list(),
    ]);
    const byIndex = new Map(all.map((itf) => [itf.index, itf]));
    return rows.flatMap(({ sw_if_index: index, host_if_name: host }) => {
      const itf = byIndex.get(index);
      return itf === undefined ? [] : { interface: itf, host };
    });
  }

  /**
   * Makes one on an interface of the kernel of VPP's host.
   *
   * @throws VppObjectError ERR_VPP_OBJECT_REFUSED when the kernel has no such interface, VPP may not open it, or it has one
   */
  async create(options: AfPacketOptions): Promise<Interface> {
    const { host, mode = 'ethernet', rxQueues = 1, txQueues = 1, rxFrameSize = 0, txFrameSize = 0, ...rest } = options;
    const { rxFramesPerBlock = 0, txFramesPerBlock = 0, qdiscBypass = false, offload = false, ...settings } = rest;
    const { mac, ...others } = settings;
    const fields = {
      hw_addr: mac ?? ZERO_MAC,
      use_random_hw_addr: mac === undefined,
      host_if_name: host,
      rx_frame_size: rxFrameSize,
      tx_frame_size: txFrameSize,
      rx_frames_per_block: rxFramesPerBlock,
      tx_frames_per_block: txFramesPerBlock,
      flags: (qdiscBypass ? 1 : 0) | (offload ? 2 : 0),
      num_rx_queues: rxQueues,
    };
    const object = `af_packet ${host}`;
    const message = this.#core.newest('af_packet_create_v3', 'af_packet_create_v2');
    const v3 = { ...fields, mode: mode === 'ethernet' ? 1 : 2, num_tx_queues: txQueues };
    const reply =
      message === 'af_packet_create_v3'
        ? await this.#core.request('af_packet_create_v3', v3, object, 'create it')
        : await this.#core.request('af_packet_create_v2', fields, object, 'create it');
    return this.#interfaces.created(reply.sw_if_index, others);
  }

  /** The interface on this kernel interface, created when there is none, with these settings. */
  async ensure(options: AfPacketOptions): Promise<Interface> {
    const found = (await this.list()).find(({ host }) => host === options.host);
    if (found === undefined) return this.create(options);
    await applySettings(found.interface, options);
    return found.interface;
  }
}
