// What an interface can be told, with defaults and limits. Everything is checked before anything is opened.

import { ArgumentRangeError, ArgumentTypeError } from '../errors.js';
import { maxLog2RingSize, maxRings } from './layout.js';
import { PacketMemory } from './packet-memory.js';
import { type RxMode, rxModes } from './receiver.js';

/** `server` listens; `client` connects and owns all shared memory. */
export type MemifRole = 'server' | 'client';
/** What a packet starts with: an Ethernet header, or an IP header. */
export type MemifMode = 'ethernet' | 'ip';

/** How an interface is opened. Only `socket` and `role` have no default. */
export interface MemifOptions {
  /** Path of the socket file, or an abstract name: `@name`, or `abstract:name` as VPP writes it. At most 107 bytes. */
  socket: string;
  role: MemifRole;
  /** Interface id on that socket; one socket carries many. Default 0. */
  id?: number;
  /** Default `ethernet`. Both sides must agree. */
  mode?: MemifMode;
  /** At most 23 bytes. A server with one refuses clients that do not know it. Travels in the clear. */
  secret?: string | Uint8Array;
  /** Our interface name shown to the peer, at most 31 bytes. Default `memif<id>`. */
  name?: string;
  /** Our application name shown to the peer, at most 31 bytes. Default `node-vpp`. */
  appName?: string;
  /**
   * Queues each way, as seen from here. A client offers so many (default 1 and 1); a server takes at most so many
   * (default 255 and 255), or as many as another interface on the same socket takes: a client is told before it says
   * which of them it wants.
   */
  queues?: { rx?: number; tx?: number };
  /** Entries of each ring, a power of two from 2 to 16384. Default 1024. The client decides. */
  ringSize?: number;
  /** Bytes of each packet buffer, 64 to 65535. Default 2048. Longer packets travel as chains. The client decides. */
  bufferSize?: number;
  /** Client: packet memory to use instead of memory of its own, so that interfaces can hand buffers to each other. */
  memory?: PacketMemory;
  /** How to wait for packets. Default `interrupt`. */
  rxMode?: RxMode;
  /** Adaptive: how long to look at an empty ring before sleeping, in microseconds. Default 50. */
  spinUs?: number;
  /** Cache line of both builds, 64 or 128. Default 64; some arm64 builds of VPP and libmemif use 128. */
  cacheLine?: 64 | 128;
  /** Server: accept regions that their owner can shrink (DPDK in zero-copy mode has such). Default false. */
  allowUnsealed?: boolean;
  /** Server: the largest region that is accepted. Default 4 GiB. */
  maxRegionBytes?: number;
  /** Time limit of a handshake. Default 5000. */
  handshakeTimeoutMs?: number;
  /** Client: wait before the second attempt, doubled after each. Default 100. */
  retryMinMs?: number;
  /** Client: longest wait between attempts. Default 3000. */
  retryMaxMs?: number;
  /** Server: permission bits, owner and group of the socket file. Default: the process's. */
  fileMode?: number;
  uid?: number;
  gid?: number;
  /** `send` says no more than this many packets are waiting in JavaScript before it returns false. Default 1024. */
  highWaterMark?: number;
  /** Destroys the interface when aborted. */
  signal?: AbortSignal;
}

/** Options with every default filled in. */
export interface ResolvedOptions {
  readonly socket: string;
  readonly role: MemifRole;
  readonly id: number;
  readonly mode: MemifMode;
  readonly secret: Uint8Array | undefined;
  readonly name: string;
  readonly appName: string;
  readonly rxQueues: number;
  readonly txQueues: number;
  readonly ringSize: number;
  readonly bufferSize: number;
  readonly memory: PacketMemory | undefined;
  readonly rxMode: RxMode;
  readonly spinUs: number;
  readonly cacheLine: number;
  readonly allowUnsealed: boolean;
  readonly maxRegionBytes: number;
  readonly handshakeTimeoutMs: number;
  readonly retryMinMs: number;
  readonly retryMaxMs: number;
  readonly fileMode: number | undefined;
  readonly uid: number | undefined;
  readonly gid: number | undefined;
  readonly highWaterMark: number;
  readonly signal: AbortSignal | undefined;
}

function integer(name: string, value: unknown, otherwise: number, min: number, max: number): number {
  if (value === undefined) return otherwise;
  if (typeof value !== 'number')
    throw new ArgumentTypeError(`memif option ${name}: a number is needed, not ${typeof value}`);
  if (!Number.isInteger(value) || value < min || value > max) {
    throw new ArgumentRangeError(`memif option ${name}: ${value} is not a whole number from ${min} to ${max}`);
  }
  return value;
}

function optionalInteger(name: string, value: unknown, max: number): number | undefined {
  return value === undefined ? undefined : integer(name, value, 0, 0, max);
}

function boolean(name: string, value: unknown, otherwise: boolean): boolean {
  if (value === undefined) return otherwise;
  if (typeof value !== 'boolean')
    throw new ArgumentTypeError(`memif option ${name}: true or false is needed, not ${typeof value}`);
  return value;
}

function instance<T>(name: string, value: unknown, what: string, is: new (...args: never[]) => T): T | undefined {
  if (value === undefined || value instanceof is) return value;
  throw new ArgumentTypeError(`memif option ${name}: ${what} is needed, not ${typeof value}`);
}

function oneOf<T extends string>(name: string, value: unknown, otherwise: T | undefined, allowed: readonly T[]): T {
  if (value === undefined && otherwise !== undefined) return otherwise;
  const found = allowed.find((each) => each === value);
  if (found === undefined) {
    throw new ArgumentTypeError(
      `memif option ${name}: ${typeof value === 'string' ? `'${value}'` : typeof value} is not one of ${allowed.join(', ')}`,
    );
  }
  return found;
}

function text(name: string, value: unknown, otherwise: string | undefined, maxBytes: number): string {
  if (value === undefined && otherwise !== undefined) return otherwise;
  if (typeof value !== 'string')
    throw new ArgumentTypeError(`memif option ${name}: text is needed, not ${typeof value}`);
  const bytes = Buffer.byteLength(value);
  if (bytes > maxBytes) throw new ArgumentRangeError(`memif option ${name}: ${bytes} bytes are more than ${maxBytes}`);
  return value;
}

function secretBytes(value: unknown): Uint8Array | undefined {
  if (value === undefined) return undefined;
  const bytes = typeof value === 'string' ? Buffer.from(value) : value;
  if (!(bytes instanceof Uint8Array)) throw new ArgumentTypeError('memif option secret: text or bytes are needed');
  // Its text is not shown: the secret must not reach a log.
  if (bytes.length === 0 || bytes.length > 23) {
    throw new ArgumentRangeError(`memif option secret: ${bytes.length} bytes; 1 to 23 fit in the protocol's field`);
  }
  if (bytes.includes(0)) throw new ArgumentRangeError('memif option secret: a NUL byte would end it early');
  return Uint8Array.from(bytes);
}

/** Checks options and fills in defaults. */
export function resolveOptions(options: MemifOptions): ResolvedOptions {
  // eslint-disable-next-line @typescript-eslint/no-unnecessary-condition -- callers may be plain JavaScript
  if (typeof options !== 'object' || options === null)
    throw new ArgumentTypeError('memif options: an object is needed');
  const role = oneOf<MemifRole>('role', options.role, undefined, ['server', 'client']);
  const queueDefault = role === 'server' ? maxRings : 1;
  const id = integer('id', options.id, 0, 0, 0xffffffff);
  const memory = instance('memory', options.memory, 'a PacketMemory', PacketMemory);
  const queues: unknown = options.queues ?? {};
  if (typeof queues !== 'object' || queues === null)
    throw new ArgumentTypeError(`memif option queues: { rx, tx } is needed, not ${typeof queues}`);
  const ringSize = integer('ringSize', options.ringSize, 1024, 2, 2 ** maxLog2RingSize);
  if (!Number.isInteger(Math.log2(ringSize))) {
    throw new ArgumentRangeError(`memif option ringSize: ${ringSize} is not a power of two`);
  }
  const bufferSize = integer('bufferSize', options.bufferSize, memory?.bufferSize ?? 2048, 64, 65535);
  const rxQueues = integer('queues.rx', options.queues?.rx, queueDefault, 1, maxRings);
  const txQueues = integer('queues.tx', options.queues?.tx, queueDefault, 1, maxRings);
  if (role === 'client') {
    const bytes = (rxQueues + txQueues) * ringSize * Math.ceil(bufferSize / 64) * 64;
    if (memory === undefined && bytes > 2 ** 32) {
      throw new ArgumentRangeError(
        `memif: ${rxQueues + txQueues} rings of ${ringSize} buffers of ${bufferSize} bytes need ${bytes} bytes; ` +
          'the protocol reaches 4 GiB: use fewer queues, smaller rings or smaller buffers',
      );
    }
    if (memory !== undefined && bufferSize !== memory.bufferSize) {
      throw new ArgumentRangeError(
        `memif option bufferSize: ${bufferSize} is not the buffer size of the given memory, ${memory.bufferSize}`,
      );
    }
  } else if (memory !== undefined) {
    throw new ArgumentTypeError('memif option memory: only a client owns packet memory');
  }
  const cacheLine = integer('cacheLine', options.cacheLine, 64, 64, 128);
  if (cacheLine !== 64 && cacheLine !== 128) {
    throw new ArgumentRangeError(`memif option cacheLine: ${cacheLine} is neither 64 nor 128`);
  }
  const retryMinMs = integer('retryMinMs', options.retryMinMs, 100, 1, 3_600_000);
  return {
    socket: text('socket', options.socket, undefined, 200),
    role,
    id,
    mode: oneOf<MemifMode>('mode', options.mode, 'ethernet', ['ethernet', 'ip']),
    secret: secretBytes(options.secret),
    name: text('name', options.name, `memif${id}`, 31),
    appName: text('appName', options.appName, 'node-vpp', 31),
    rxQueues,
    txQueues,
    ringSize,
    bufferSize,
    memory,
    rxMode: oneOf<RxMode>('rxMode', options.rxMode, 'interrupt', rxModes),
    spinUs: integer('spinUs', options.spinUs, 50, 0, 1_000_000),
    cacheLine,
    allowUnsealed: boolean('allowUnsealed', options.allowUnsealed, false),
    maxRegionBytes: integer('maxRegionBytes', options.maxRegionBytes, 2 ** 32, 1, 2 ** 40),
    handshakeTimeoutMs: integer('handshakeTimeoutMs', options.handshakeTimeoutMs, 5000, 1, 3_600_000),
    retryMinMs,
    retryMaxMs: integer('retryMaxMs', options.retryMaxMs, Math.max(3000, retryMinMs), retryMinMs, 3_600_000),
    fileMode: optionalInteger('fileMode', options.fileMode, 0o7777),
    uid: optionalInteger('uid', options.uid, 0x7fffffff),
    gid: optionalInteger('gid', options.gid, 0x7fffffff),
    highWaterMark: integer('highWaterMark', options.highWaterMark, 1024, 1, 2 ** 30),
    signal: instance('signal', options.signal, 'an AbortSignal', AbortSignal),
  };
}
