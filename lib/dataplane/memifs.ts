// memif interfaces and the sockets they meet at.
//
//   socket id ─► path ─┬─ id 0: memif<socket>/0
//                      └─ id 1: memif<socket>/1       all of one role: the socket listens or connects
//
// Invariant: a socket with interfaces is not removed.

import { isAbsolute, join } from 'node:path';
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { ArgumentRangeError } from '../errors.js';
import { refusing, within } from './failures.js';
import { OK, type Asked } from './handlers.js';
import { statusFlags, type Interface, type NewInterface, type PortSpec } from './interfaces.js';
import { IdFinder, nextRandom, Pool } from './pool.js';
import { Refused } from './retvals.js';
import type { State } from './state.js';

const ANY = 0xffffffff;
const NO_MAC = '00:00:00:00:00:00';
const SERVER = 0;
const ETHERNET = 0;
const IP = 1;
const DEFAULT_RING = 1024;
const DEFAULT_BUFFER = 2048;

interface Socket {
  readonly id: number;
  readonly path: string;
  readonly users: Map<number, MemifInterface>;
}

/** A memif, with what its dump tells. */
export interface MemifInterface {
  readonly shown: Interface;
  readonly id: number;
  readonly socket: Socket;
  readonly isServer: boolean;
  readonly mode: number;
  readonly zeroCopy: boolean;
}

type Create = Asked<'memif_create'> & { use_dma?: boolean };

/** All memifs. */
export class Memifs {
  readonly #state: State;
  readonly #sockets = new Pool<Socket>();
  readonly #memifs = new Pool<MemifInterface>();
  readonly #socketIds = new IdFinder(0xffffffff, ANY);
  #seed: number;

  constructor(state: State) {
    this.#state = state;
    this.#seed = Math.floor(state.identity.now() * 1000) >>> 0;
    this.#sockets.put({ id: 0, path: join(state.identity.runDir, 'memif.sock'), users: new Map() });
    const { handlers } = state;

    handlers.on('memif_socket_filename_add_del', ({ is_add, socket_id, socket_filename }) => {
      if (socket_id === 0 || socket_id === ANY) throw new Refused('INVALID_ARGUMENT');
      this.#setSocket(is_add, socket_id, socket_filename);
      return OK;
    });
    handlers.on('memif_socket_filename_add_del_v2', ({ is_add, socket_id, socket_filename }) => {
      let id = socket_id;
      try {
        if (id === 0) throw new Refused('INVALID_ARGUMENT');
        if (is_add && id === ANY) id = this.#socketIds.find((used) => this.#socket(used) !== undefined) ?? ANY;
        this.#setSocket(is_add, id, socket_filename);
      } catch (error) {
        if (error instanceof Refused) return { retval: error.retval, socket_id: id };
        throw error;
      }
      return { retval: 0, socket_id: id };
    });
    handlers.rows('memif_socket_filename_dump', function* (this: void) {
      for (const { id, path } of sockets.values()) yield { socket_id: id, socket_filename: path };
    });
    const sockets = this.#sockets;

    const none = { retval: 0, sw_if_index: 0 };
    handlers.on('memif_create', (asked) => ({ retval: 0, sw_if_index: this.#create(asked).swIfIndex }), none);
    handlers.on('memif_create_v2', (asked) => ({ retval: 0, sw_if_index: this.#create(asked).swIfIndex }), none);
    handlers.on('memif_delete', ({ sw_if_index }) => {
      this.#delete(sw_if_index);
      return OK;
    });
    handlers.rows('memif_dump', () => this.#details());
  }

  /** In the order of `memif_dump`. */
  values(): Generator<MemifInterface> {
    return this.#memifs.values();
  }

  sockets(): Generator<Socket> {
    return this.#sockets.values();
  }

  #socket(id: number): Socket | undefined {
    for (const socket of this.#sockets.values()) if (socket.id === id) return socket;
    return undefined;
  }

  #setSocket(isAdd: boolean, id: number, filename: string): void {
    if (id === ANY) throw new Refused('INVALID_ARGUMENT');
    const found = this.#socket(id);
    if (!isAdd) {
      if (found === undefined || id === 0) throw new Refused('INVALID_ARGUMENT');
      if (found.users.size > 0) throw new Refused('UNEXPECTED_INTF_STATE');
      for (let index = 0; ; index++) {
        if (this.#sockets.get(index) !== found) continue;
        this.#sockets.remove(index);
        return;
      }
    }
    if (filename === '') throw new Refused('INVALID_ARGUMENT');
    let path = filename;
    if (!isAbsolute(filename) && !/^(@|abstract:)/.test(filename)) {
      path = join(this.#state.identity.runDir, filename);
      try {
        mkdirSync(dirname(path), { recursive: true });
      } catch (cause) {
        throw new Refused('SYSCALL_ERROR_1', { cause });
      }
    }
    if (found !== undefined) {
      if (found.path === path) return;
      throw new Refused('ENTRY_ALREADY_EXISTS');
    }
    this.#sockets.put({ id, path, users: new Map() });
  }

  #create(asked: Create): Interface {
    const ringSize = asked.ring_size === 0 ? DEFAULT_RING : asked.ring_size;
    if ((ringSize & (ringSize - 1)) !== 0) throw new Refused('INVALID_ARGUMENT');
    const socket = this.#socket(asked.socket_id);
    if (socket === undefined) throw new Refused('INVALID_ARGUMENT');
    const isServer = asked.role === SERVER;
    for (const other of socket.users.values()) {
      if (other.isServer !== isServer || other.id === asked.id) throw new Refused('SUBIF_ALREADY_EXISTS');
    }
    // The inject mode of the protocol is not to be had in VPP either.
    if (asked.mode !== ETHERNET && asked.mode !== IP) throw new Refused('SYSCALL_ERROR_2');
    const ethernet = asked.mode === ETHERNET;
    const name = `memif${socket.id}/${asked.id}`;
    const mac = asked.hw_addr === NO_MAC ? this.#randomMac() : asked.hw_addr;
    const queues = isServer ? {} : { rxQueues: asked.rx_queues || 1, txQueues: asked.tx_queues || 1 };
    const bufferSize = asked.buffer_size === 0 ? DEFAULT_BUFFER : asked.buffer_size;
    const { interfaces } = this.#state;
    const what: NewInterface = {
      kind: 'memif',
      devType: 'memif',
      name,
      ethernet,
      mac: ethernet ? mac : '',
      ...(ethernet ? {} : { linkMtu: 0, mtu: [0, 0, 0, 0] }),
    };
    const port: PortSpec = {
      kind: 'memif',
      name,
      mac,
      role: isServer ? 'server' : 'client',
      socket: socket.path.replace(/^abstract:/, '@'),
      id: asked.id,
      mode: ethernet ? 'ethernet' : 'ip',
      ...(asked.secret === '' ? {} : { secret: asked.secret }),
      ringSize,
      bufferSize,
      ...queues,
      rxMode: interfaces.portRxMode,
    };
    const zeroCopy = !isServer && !asked.no_zero_copy;
    const shown = refusing(
      () => {
        try {
          return interfaces.add(what, { ...port, zeroCopy });
        } catch (error) {
          // The memory that clients share has buffers of one size: one that asks for another has memory of its own.
          if (!(error instanceof ArgumentRangeError)) throw error;
        }
        return within('INVALID_ARGUMENT', () => interfaces.add(what, port));
      },
      () => 'SYSCALL_ERROR_4',
    );
    const made = { shown, id: asked.id, socket, isServer, mode: asked.mode, zeroCopy };
    this.#memifs.put(made);
    socket.users.set(asked.id, made);
    return shown;
  }

  #randomMac(): string {
    this.#seed = nextRandom(this.#seed);
    const tail = this.#seed.toString(16).padStart(8, '0');
    return `02:fe:${tail.slice(6)}:${tail.slice(4, 6)}:${tail.slice(2, 4)}:${tail.slice(0, 2)}`;
  }

  #delete(swIfIndex: number): void {
    for (let index = 0, left = this.#memifs.size; left > 0; index++) {
      const memif = this.#memifs.get(index);
      if (memif === undefined) continue;
      left -= 1;
      if (memif.shown.swIfIndex !== swIfIndex) continue;
      this.#memifs.remove(index);
      memif.socket.users.delete(memif.id);
      this.#state.interfaces.remove(memif.shown);
      return;
    }
    throw new Refused('INVALID_SW_IF_INDEX');
  }

  *#details() {
    for (const { shown, id, socket, isServer, mode, zeroCopy } of this.#memifs.values()) {
      const { rings } = this.#state.forwarder.status(shown.swIfIndex);
      yield {
        sw_if_index: shown.swIfIndex,
        hw_addr: shown.mac === '' ? NO_MAC : shown.mac,
        id,
        role: isServer ? (0 as const) : (1 as const),
        mode,
        zero_copy: zeroCopy,
        socket_id: socket.id,
        // As VPP: 1 << 0 until a peer has connected.
        ring_size: rings?.ringSize ?? 1,
        buffer_size: rings?.bufferSize ?? 0,
        flags: statusFlags(shown),
        if_name: shown.name,
      };
    }
  }
}
