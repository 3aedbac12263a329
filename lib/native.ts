// The one typed declaration of the addon, and the only place that loads the `.node` file.
//
//   prebuilds/<platform>-<arch>/node-vpp.node    shipped in the package, or made there by `npx node-vpp build`
//   build/Release/node-vpp.node                  compiled by `npm install` in a checkout
//
// The first that fits wins. A binary is looked at before it is loaded, because the dynamic linker answers a wrong
// architecture with "No such file" and a truncated file with SIGBUS. When none fits, one error names every file that
// was tried, what was seen there, and the command that mends it. Nothing is loaded before `native()` is first called.

import { closeSync, existsSync, fstatSync, openSync, readFileSync, readSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { NativeError } from './errors.js';

/** What the addon exports. */
export interface NativeAddon {
  /** The version of the package whose sources it was compiled from. */
  readonly version: string;
  /** Numbers that both sides of the boundary believe; a test compares them with `lib/memif/layout.ts`. */
  readonly memifLayout: Readonly<Record<string, number>>;
  readonly MemifListener: new (options: NativeListenerOptions) => NativeListener;
  readonly MemifInterface: new (options: NativeInterfaceOptions, onEvent: NativeInterfaceEvents) => NativeInterface;
  /** Packet memory of `buffers` buffers of `bufferSize` bytes each. Throws when it cannot be allocated. */
  readonly MemifMemory: new (bufferSize: number, buffers: number) => NativeMemory;
  /** Duplicates the descriptors that another thread exported. Throws when their connection is gone. */
  readonly SharedQueues: new (handle: NativeQueueExport) => NativeSharedQueues;
  readonly MemifBridge: new (
    a: NativeInterface,
    b: NativeInterface,
    statesOfA: NativeQueueStates,
    statesOfB: NativeQueueStates,
    spinUs: number,
    onViolation: (side: number, kind: string) => void,
  ) => NativeBridge;
  /**
   * Takes packets out of a receive ring into `memory`, gives their buffers back, and says in `columns` where they are.
   * `words` are those of `lib/memif/transfer.ts`, `columns` those of `lib/dataplane/forwarding/vector.ts`; `buffers` is
   * undefined for a server. Returns the number of packets; -1 when the memory of the interface is gone.
   */
  readonly memifReceive: (
    this: void,
    words: Uint32Array,
    ring: Uint32Array,
    regions: readonly Uint8Array[],
    buffers: Uint32Array | undefined,
    memory: Uint8Array,
    columns: Uint8Array,
  ) => number;
  /** Puts packets of `memory` into a transmit ring; the slots are entries of the columns. Returns how many went, or -1. */
  readonly memifTransmit: (
    this: void,
    words: Uint32Array,
    ring: Uint32Array,
    regions: readonly Uint8Array[],
    buffers: Uint32Array | undefined,
    memory: Uint8Array,
    columns: Uint8Array,
    slots: Uint16Array,
  ) => number;
  /** Moves packets from a receive ring to a transmit ring. Returns how many were taken out of the first, or -1. */
  readonly memifRelay: (
    this: void,
    words: Uint32Array,
    ring: Uint32Array,
    regions: readonly Uint8Array[],
    buffers: Uint32Array | undefined,
    toWords: Uint32Array,
    toRing: Uint32Array,
    toRegions: readonly Uint8Array[],
    toBuffers: Uint32Array | undefined,
  ) => number;
  /** Calls back once per wake-up of an eventfd that somebody else owns, having emptied it. */
  readonly DoorbellWatch: new (fd: number, callback: () => void) => NativeDoorbellWatch;
  /** A TAP interface of the kernel. Throws with `errno`, `syscall`. */
  readonly TapPort: new (
    options: NativeTapOptions,
    onReadable: () => void,
    onLink: (up: boolean) => void,
  ) => NativeTapPort;
  /** AF_PACKET on an interface of the kernel. Throws with `errno`, `syscall`. */
  readonly PacketPort: new (
    options: { name: string; namespace?: string },
    onReadable: () => void,
    onLink: (up: boolean) => void,
  ) => NativePacketPort;
  /**
   * Asks the server of a stats socket for its segment; calls back once, unless `failure` is set afterwards (then
   * connecting itself failed) or it is closed before.
   */
  readonly StatsClient: new (
    address: string,
    callback: (segment: NativeStatsSegment | undefined, failure?: NativeFailure) => void,
  ) => NativeStatsClient;
  /** Shared memory for a stats segment: new of so many bytes, or what another thread exported. */
  readonly StatsMemory: new (sizeBytesOrHandle: number | NativeStatsHandle) => NativeStatsMemory;
  /** Rings an eventfd; false when the peer has made it unusable. */
  readonly kick: (this: void, fd: number) => boolean;
  /**
   * Copies segments `first` to `first + count` of `source` into `target`, one behind the other from `at`; returns where
   * they end. Stops before a segment that does not fit; -1 when one lies outside the source.
   */
  gather(
    source: Uint8Array,
    offsets: Uint32Array,
    lengths: Uint32Array,
    first: number,
    count: number,
    target: Uint8Array,
    at: number,
  ): number;
  /** Loads VPP's client library, once for the process: the first candidate that can be. */
  readonly loadVppApi: (
    this: void,
    candidates: readonly string[],
  ) => { readonly path?: string; readonly failure?: NativeVppApiFailure };
  /** Begins to connect; `onWake` is called when the phase has changed or replies are there. */
  readonly VppApi: new (libraryPath: string, options: NativeVppApiOptions, onWake: () => void) => NativeVppApi;
  /** Where the words and the data of the memory for replies are, in bytes. */
  readonly replyRingLayout: {
    readonly head: number;
    readonly tail: number;
    readonly armed: number;
    readonly data: number;
  };
  /**
   * Copies packets to where they are sent from: for each, bytes of `head` and then bytes of `rest`. `table` has five words
   * a packet: where its head starts and how long it is, where its rest starts and how long that is, where it goes in
   * `target`. Returns how many were copied: all, or those before the first that lies outside.
   */
  emit(head: Uint8Array, rest: Uint8Array, target: Uint8Array, table: Uint32Array, count: number): number;
}

/** Why there is no shared-memory connection: the end of an error code, and what was seen. */
export interface NativeVppApiFailure {
  readonly reason: string;
  readonly text: string;
}

export interface NativeVppApiOptions {
  readonly name: string;
  readonly prefix: string;
  readonly socket: string;
  readonly queueLength: number;
  readonly ringBytes: number;
  readonly connectMs: number;
}

export interface NativeVppApi {
  failure(): NativeVppApiFailure | undefined;
  phase(): 'connecting' | 'open' | 'closing' | 'closed';
  memory(): ArrayBuffer;
  send(bytes: Uint8Array, sizes: Uint32Array, count: number): number;
  wait(head: number, spinUs: number, timeoutMs: number): boolean;
  /** Puts what has come into the ring, waiting up to `spinUs` for `wanted` messages; false: the library's thread does it. */
  poll(wanted: number, spinUs: number): boolean;
  /** Nobody polls for now. */
  rest(): void;
  forget(count: number): void;
  indexOf(nameCrc: string): number;
  counters(): {
    readonly sent: number;
    readonly received: number;
    readonly rings: number;
    readonly messages: number;
    /** Our queue can be polled. */
    readonly direct: boolean;
  };
  setRef(ref: boolean): void;
  close(): void;
  closeSync(timeoutMs: number): boolean;
  release(): void;
}

/** Why something native failed: a reason of the protocol, or a system call with its errno. */
export interface NativeFailure {
  readonly reason?: string;
  readonly text?: string;
  readonly errno?: number;
  readonly errnoName?: string;
  readonly errnoText?: string;
  readonly syscall?: string;
}

export interface NativeListenerOptions {
  readonly appName: string;
  readonly handshakeTimeoutMs: number;
  readonly maxPending: number;
}

export interface NativeListener {
  listen(address: string, options: { mode?: number; uid?: number; gid?: number }): NativeFailure | undefined;
  counters(): { accepted: number; refused: number; pending: number; lastRefusal: string };
  setRef(ref: boolean): void;
  close(): void;
}

export interface NativeInterfaceOptions {
  readonly role: 'server' | 'client';
  readonly id: number;
  readonly mode: 'ethernet' | 'ip';
  readonly secret?: Uint8Array;
  readonly appName: string;
  readonly interfaceName: string;
  readonly s2mRings: number;
  readonly m2sRings: number;
  readonly log2RingSize: number;
  readonly bufferSize: number;
  readonly cacheLine: number;
  readonly allowUnsealed: boolean;
  readonly maxRegionBytes: number;
  readonly handshakeTimeoutMs: number;
  readonly memory?: NativeMemory;
}

/** `('up', session)` or `('down', failure, wasUp)`. */
export type NativeInterfaceEvents = (event: string, detail: NativeSession & NativeFailure, wasUp?: boolean) => void;

export interface NativeRing {
  readonly s2m: boolean;
  readonly index: number;
  readonly region: number;
  readonly offset: number;
  readonly log2Size: number;
  readonly event: number;
}

export interface NativeSession {
  readonly peerName: string;
  readonly peerInterfaceName: string;
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
  readonly regions: readonly ArrayBuffer[];
  readonly rings: readonly NativeRing[];
  /** Client only: where the buffer of each slot is in region 1; all S2M slots, then all M2S slots. */
  readonly buffers?: Uint32Array;
  readonly bufferSize?: number;
}

export interface NativeQueueExport {
  readonly regions: readonly { readonly fd: number; readonly size: number; readonly inode: number }[];
  readonly rings: readonly NativeRing[];
}

export interface NativeInterface {
  connect(address: string): NativeFailure | undefined;
  attach(listener: NativeListener): boolean;
  disconnect(reason: string, text: string): void;
  memoryLost(): boolean;
  exportQueues(queues: readonly { s2m: boolean; index: number }[]): NativeQueueExport | undefined;
  setRef(ref: boolean): void;
  destroy(): void;
}

export interface NativeMemory {
  readonly buffer: ArrayBuffer;
  readonly available: number;
  give(offsets: Uint32Array): void;
  close(): void;
}

export interface NativeSharedQueues {
  readonly regions: readonly ArrayBuffer[];
  /** The eventfd of each ring, in the order of the handle. */
  readonly events: readonly number[];
  close(): void;
}

export interface NativeStatsClient {
  readonly failure: NativeFailure | undefined;
  setRef(ref: boolean): void;
  close(): void;
}

/** A segment mapped read-only. */
export interface NativeStatsSegment {
  /** Writing to it ends the process. Detached by `close`. */
  readonly buffer: ArrayBuffer;
  /** Device and inode: the same for every mapping of the same segment, and for no other. */
  readonly identity: string;
  readonly sealed: boolean;
  /** The process that listens on the socket; 0 when it cannot be seen from here. */
  readonly pid: number;
  /** Whether the file was truncated under the mapping, which reads as zeros since then. */
  lost(): boolean;
  close(): void;
}

/** How another thread of this process opens the memory of a segment. */
export interface NativeStatsHandle {
  readonly fd: number;
  readonly size: number;
  readonly inode: number;
}

export interface NativeStatsMemory {
  readonly failure: NativeFailure | undefined;
  readonly buffer: ArrayBuffer;
  /** Clients that were handed the descriptor. */
  readonly served: number;
  exportHandle(): NativeStatsHandle | undefined;
  listen(address: string, options: { mode?: number; uid?: number; gid?: number }): NativeFailure | undefined;
  setRef(ref: boolean): void;
  close(): void;
}

export interface NativeDoorbellWatch {
  setRef(ref: boolean): void;
  close(): void;
}

/** An address for the kernel's side of a TAP. */
export interface NativeIpAddress {
  readonly bytes: Uint8Array;
  readonly length: number;
}

export interface NativeTapOptions {
  readonly name?: string;
  readonly namespace?: string;
  readonly mac?: Uint8Array;
  readonly mtu?: number;
  readonly ip4?: NativeIpAddress;
  readonly ip6?: NativeIpAddress;
  readonly gateway4?: NativeIpAddress;
  readonly gateway6?: NativeIpAddress;
  readonly bridge?: string;
  readonly persist?: boolean;
  readonly gso?: boolean;
}

interface NativeKernelPort {
  readonly running: boolean;
  readonly mtu: number;
  /** The kernel's side's. */
  readonly mac: Uint8Array;
  /** Calls `onReadable` in every turn of the event loop in which there is something. */
  watch(on: boolean): void;
  setRef(ref: boolean): void;
  setMtu(mtu: number): void;
  close(): void;
}

export interface NativeTapPort extends NativeKernelPort {
  readonly name: string;
  readonly gso: boolean;
  /**
   * Reads up to `max` frames into `memory`, `headroom` bytes in front of each. Eight words a packet: see
   * `native/port/tap.h`. -1 when the kernel's side is gone.
   */
  receive(memory: Uint8Array, headroom: number, table: Uint32Array, max: number): number;
  send(memory: Uint8Array, table: Uint32Array, count: number): number;
}

export interface NativePacketPort extends NativeKernelPort {
  /** Both rings. Detached by `close`. */
  readonly memory: ArrayBuffer;
  readonly layout: {
    readonly blockSize: number;
    readonly blocks: number;
    readonly txOffset: number;
    readonly frameSize: number;
    readonly frames: number;
    readonly frameData: number;
  };
  kick(): boolean;
  takeError(): number;
  setPromiscuous(on: boolean): void;
}

/** Where the queues of one side stand: the first slot not yet taken, and a client's buffer in each slot. */
export interface NativeQueueStates {
  readonly rx: readonly { readonly next: number; readonly buffers?: Uint32Array | undefined }[];
  readonly tx: readonly { readonly next: number; readonly buffers?: Uint32Array | undefined }[];
}

export interface NativeBridgeCounters {
  readonly packets: number;
  readonly bytes: number;
  readonly kicks: number;
  readonly wakeups: number;
  readonly tooLong: number;
}

export interface NativeBridge {
  stop(): readonly { readonly rx: readonly number[]; readonly tx: readonly number[] }[] | undefined;
  counters(): readonly NativeBridgeCounters[];
  setRef(ref: boolean): void;
}

const packageRoot = fileURLToPath(new URL('..', import.meta.url));
const require = createRequire(import.meta.url);

let loaded: NativeAddon | undefined;
let failure: unknown;

/**
 * The addon, loaded at the first call. Every worker thread loads its own instance.
 *
 * @throws {NativeError} `ERR_VPP_NATIVE_MISSING` when there is no binary, `ERR_VPP_NATIVE_INCOMPATIBLE` when none of
 *   those found fits; the same error at every call.
 */
export function native(): NativeAddon {
  if (loaded !== undefined) return loaded;
  if (failure !== undefined) throw failure as NativeError;
  try {
    loaded = loadAddon(packageRoot);
    return loaded;
  } catch (error) {
    failure = error;
    throw error;
  }
}

/** Where the addon of a package folder is looked for, in order. */
export function addonPaths(root: string): readonly string[] {
  return [
    join(root, 'prebuilds', `${process.platform}-${process.arch}`, 'node-vpp.node'),
    join(root, 'build', 'Release', 'node-vpp.node'),
  ];
}

/** Loads the addon of the package in `root`; `native()` does this for the package it belongs to. */
export function loadAddon(root: string): NativeAddon {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
  const seen: string[] = [];
  const causes: unknown[] = [];
  let found = false;
  for (const path of addonPaths(root)) {
    if (!existsSync(path)) {
      seen.push(`${path} is not there`);
      continue;
    }
    found = true;
    try {
      const unfit = lookAtBinary(path);
      if (unfit !== undefined) {
        seen.push(`${path} ${unfit}`);
        continue;
      }
      const addon = require(path) as Partial<NativeAddon>;
      if (addon.version === version) return addon as NativeAddon;
      seen.push(`${path} is of version ${String(addon.version)}`);
    } catch (error) {
      causes.push(error);
      // The dynamic linker puts the path in front of what it has to say.
      const text = error instanceof Error ? error.message : String(error);
      seen.push(`${path} cannot be loaded: ${text.replaceAll(`${path}: `, '').trim()}`);
    }
  }
  const command = existsSync(join(root, 'binding.gyp')) ? 'npm run build' : 'npx node-vpp build';
  throw new NativeError(
    found ? 'ERR_VPP_NATIVE_INCOMPATIBLE' : 'ERR_VPP_NATIVE_MISSING',
    `loading the native addon of node-vpp ${version} (Node ${process.versions.node}, ${process.platform}-${process.arch}): ` +
      `${seen.join('; ')}. To compile it run: ${command}`,
    causes.length === 0 ? {} : { cause: causes.length === 1 ? causes[0] : new AggregateError(causes) },
  );
}

const elfMachines: Readonly<Record<number, string>> = { 3: 'ia32', 40: 'arm', 62: 'x64', 183: 'arm64', 243: 'riscv64' };

/** Why a file cannot be an addon for this Node, read from its ELF header; undefined when nothing speaks against it. */
function lookAtBinary(path: string): string | undefined {
  const header = Buffer.alloc(64);
  const fd = openSync(path, 'r');
  try {
    const size = fstatSync(fd).size;
    if (size === 0) return 'is empty';
    if (readSync(fd, header, 0, 64, 0) < 64 || header.readUInt32BE(0) !== 0x7f454c46) return 'is not an ELF binary';
    // 64-bit, little-endian: the layout the offsets below belong to, and that of both supported architectures.
    if (header[4] !== 2 || header[5] !== 1) return `is not a 64-bit little-endian binary; this Node is ${process.arch}`;
    const machine = elfMachines[header.readUInt16LE(18)] ?? `ELF machine ${header.readUInt16LE(18)}`;
    if (machine !== process.arch) return `is compiled for ${machine}; this Node is ${process.arch}`;
    // The section headers come last: e_shoff + e_shentsize * e_shnum.
    const end = header.readBigUInt64LE(40) + BigInt(header.readUInt16LE(58) * header.readUInt16LE(60));
    if (end > BigInt(size)) return `is cut off: ${size} of ${end} bytes`;
    return undefined;
  } finally {
    closeSync(fd);
  }
}
