// memif interfaces of VPP. A socket is named by its path: the number VPP keeps it under is found, or made, and given
// back with the last interface on it when this object has made it.
//
//   vppctl: create memif socket id 1 filename /run/vpp/a.sock
//           create interface memif id 0 socket-id 1 slave       vpp.memif.create({ socket: '/run/vpp/a.sock', role: 'client' })

import { ZERO_MAC } from '../net/index.js';
import { ArgumentTypeError, VppObjectError } from '../errors.js';
import { InTurn, mustAgree, nameOf } from './agree.js';
import { NO_INDEX, type Core } from './core.js';
import { applySettings, type InterfaceSettings } from './interface-settings.js';
import type { Interface } from './interface.js';
import type { Interfaces } from './interfaces.js';

const roles = { server: 0, client: 1 } as const;
const modes = { ethernet: 0, ip: 1, 'punt-inject': 2 } as const;

/** A memif interface. */
export interface MemifOptions extends InterfaceSettings {
  /** Path of the socket, as VPP sees it; default VPP's own, socket id 0. */
  socket?: string;
  /** Several interfaces share a socket by their ids; default 0. */
  id?: number;
  /** Which side listens: `server` is VPP's "master". Default `client`. */
  role?: 'server' | 'client';
  /** What is exchanged, default `ethernet`. */
  mode?: 'ethernet' | 'ip';
  /** Up to 24 characters that the peer must know. */
  secret?: string;
  /** Packets in a ring, a power of two; default 1024. */
  ringSize?: number;
  /** Bytes of a buffer, default 2048. */
  bufferSize?: number;
  rxQueues?: number;
  txQueues?: number;
  /** A client hands out VPP's own buffers instead of copying, default true. */
  zeroCopy?: boolean;
}

/** A memif interface as VPP has it. */
export interface MemifInfo {
  readonly interface: Interface;
  readonly socket: string;
  readonly socketId: number;
  readonly id: number;
  readonly role: 'server' | 'client' | number;
  readonly mode: 'ethernet' | 'ip' | 'punt-inject' | number;
  /** Of the rings as they are; undefined until the peer is there. */
  readonly ringSize: number | undefined;
  readonly bufferSize: number | undefined;
  readonly zeroCopy: boolean;
  /** The peer is there. */
  readonly connected: boolean;
}

/**
 * `vpp.memif`
 *
 * @throws VppFeatureError ERR_VPP_FEATURE_MISSING, from every method, when memif_plugin.so is not loaded
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { openVpp } from 'node-vpp/vpp';
 *
 * const vpp = await openVpp({ socket: process.env.VPP_SOCKET ?? '/run/vpp/api.sock' });
 * const socket = '/tmp/doc-memif.sock';
 * const memif = await vpp.memif.create({ socket, id: 3, role: 'server', ringSize: 512, tag: 'doc-link', up: true });
 * assert.equal((await vpp.memif.list())[0]?.connected, false);
 * assert.ok([...(await vpp.memif.sockets()).values()].includes(socket));
 * assert.equal(await vpp.memif.ensure({ socket, id: 3, role: 'server' }), memif);
 * await memif.delete();
 * assert.ok(![...(await vpp.memif.sockets()).values()].includes(socket));
 * await vpp.close();
 * ```
 */
export class Memifs {
  readonly #core: Core;
  readonly #interfaces: Interfaces;
  readonly #turn = new InTurn();
  /** Sockets that this object has made in VPP. */
  readonly #ours = new Set<number>();

  constructor(core: Core, interfaces: Interfaces) {
    this.#core = core;
    this.#interfaces = interfaces;
    interfaces.deleteWith('memif', (itf) => this.#delete(itf));
  }

  /** Sockets by number. */
  async sockets(): Promise<Map<number, string>> {
    const rows = await this.#core.rows('memif_socket_filename_dump', {}, 'memif sockets');
    return new Map(rows.map(({ socket_id: id, socket_filename: path }) => [id, path]));
  }

  /** All memif interfaces, with the paths of their sockets; `ringSize` in packets, `bufferSize` in bytes. */
  async list(): Promise<MemifInfo[]> {
    const [sockets, rows, all] = await Promise.all([
      this.sockets(),
      this.#core.rows('memif_dump', {}, 'memif interfaces'),
      this.#interfaces.list(),
    ]);
    const byIndex = new Map(all.map((itf) => [itf.index, itf]));
    return rows.flatMap((row) => {
      const itf = byIndex.get(row.sw_if_index);
      if (itf === undefined) return [];
      return {
        interface: itf,
        socket: sockets.get(row.socket_id) ?? '',
        socketId: row.socket_id,
        id: row.id,
        role: nameOf(roles, row.role),
        mode: nameOf(modes, row.mode),
        ringSize: (row.flags & 2) === 0 ? undefined : row.ring_size,
        bufferSize: (row.flags & 2) === 0 ? undefined : row.buffer_size,
        zeroCopy: row.zero_copy,
        connected: (row.flags & 2) !== 0,
      };
    });
  }

  /**
   * Makes an interface, and its socket in VPP when it is new there.
   *
   * @throws VppObjectError ERR_VPP_OBJECT_REFUSED when the id is taken on this socket, or VPP refuses a size
   * @throws VppObjectError ERR_VPP_OBJECT_UNSAFE for the mode punt-inject, whose creation ends VPP 26.06
   */
  async create(options: MemifOptions = {}): Promise<Interface> {
    const { socket, id = 0, role = 'client', mode = 'ethernet', secret = '', ...rest } = options;
    const { ringSize = 1024, bufferSize = 2048, rxQueues = 1, txQueues = 1, zeroCopy = true, ...settings } = rest;
    const { mac = ZERO_MAC, ...others } = settings;
    const object = `memif ${socket ?? 'default socket'} id ${id}`;
    if ((mode as string) === 'punt-inject') {
      const problem =
        'cannot create it: VPP 26.06 crashes when it creates a memif of mode punt-inject; nothing was sent';
      throw new VppObjectError('ERR_VPP_OBJECT_UNSAFE', object, problem);
    }
    if (!(role in roles)) throw new ArgumentTypeError(`a memif's role is server or client, not ${role as string}`);
    if (!(mode in modes)) throw new ArgumentTypeError(`a memif's mode is ethernet or ip, not ${mode as string}`);
    const index = await this.#turn.run(async () => {
      const socketId = socket === undefined ? 0 : await this.#socketFor(socket);
      const fields = {
        role: roles[role],
        mode: modes[mode],
        rx_queues: rxQueues,
        tx_queues: txQueues,
        id,
        socket_id: socketId,
        ring_size: ringSize,
        buffer_size: bufferSize,
        no_zero_copy: !zeroCopy,
        hw_addr: mac,
        secret,
      };
      const message = this.#core.newest('memif_create_v2', 'memif_create');
      try {
        return (await this.#core.request(message as 'memif_create', fields, object, 'create it')).sw_if_index;
      } catch (error) {
        await this.#release(socketId);
        throw error;
      }
    });
    return this.#interfaces.created(index, others);
  }

  /** The interface of this socket and id, created when there is none, with these settings. */
  async ensure(options: MemifOptions & { socket: string }): Promise<Interface> {
    const {
      socket,
      id = 0,
      role,
      mode,
      secret: _,
      ringSize,
      bufferSize,
      rxQueues: _r,
      txQueues: _t,
      ...rest
    } = options;
    const { zeroCopy: _z, ...settings } = rest;
    const found = (await this.list()).find((memif) => memif.socket === socket && memif.id === id);
    if (found === undefined) return this.create(options);
    // VPP tells sizes only while the peer is there, and keeps those of a peer that offered smaller ones.
    const sizes = found.connected && found.role === 'client' ? { ringSize, bufferSize } : {};
    mustAgree(found.interface.toString(), found, { role, mode, ...sizes });
    await applySettings(found.interface, settings);
    return found.interface;
  }

  async #socketFor(path: string): Promise<number> {
    for (const [id, known] of await this.sockets()) if (known === path && id !== NO_INDEX) return id;
    const object = `memif socket ${path}`;
    if (this.#core.has('memif_socket_filename_add_del_v2')) {
      const fields = { is_add: true, socket_id: NO_INDEX, socket_filename: path };
      const reply = await this.#core.request('memif_socket_filename_add_del_v2', fields, object, 'create it');
      this.#ours.add(reply.socket_id);
      return reply.socket_id;
    }
    const taken = await this.sockets();
    let id = 1;
    while (taken.has(id)) id += 1;
    const fields = { is_add: true, socket_id: id, socket_filename: path };
    await this.#core.request('memif_socket_filename_add_del', fields, object, 'create it');
    this.#ours.add(id);
    return id;
  }

  async #delete(itf: Interface): Promise<void> {
    await this.#turn.run(async () => {
      const rows = await this.#core.rows('memif_dump', {}, itf.toString());
      const socketId = rows.find((row) => row.sw_if_index === itf.index)?.socket_id;
      await itf.request('memif_delete', {}, 'delete it');
      if (socketId !== undefined) await this.#release(socketId);
    });
  }

  /** Gives a socket back when it is ours and nobody is on it. */
  async #release(socketId: number): Promise<void> {
    if (!this.#ours.has(socketId)) return;
    const rows = await this.#core.rows('memif_dump', {}, 'memif interfaces');
    if (rows.some((row) => row.socket_id === socketId)) return;
    const message = this.#core.newest('memif_socket_filename_add_del_v2', 'memif_socket_filename_add_del');
    const fields = { is_add: false, socket_id: socketId, socket_filename: '' };
    await this.#core.request(message, fields, `memif socket ${socketId}`, 'delete it');
    this.#ours.delete(socketId);
  }
}
