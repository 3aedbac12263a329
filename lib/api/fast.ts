// The fast lane of a link: the same VPP through shared memory, for the requests that fit.
//
//   fits:    one reply of bounded size; request of at most SHM_MESSAGE_BYTES; no events switched on by it
//   others:  dumps, cursors, cli_inband, want_*, large ACLs … go by the link's socket, which has their events too
//
// Why: VPP's main thread waits for ever on a full queue, and takes what does not fit its rings from a heap of 16 MB whose end
// is the end of VPP. What is bounded can do neither. Order: see `Link.request`.

import { VppConnectionError } from '../errors.js';
import type { Counters } from './counters.js';
import type { Deadlines } from './deadlines.js';
import type { Fields } from './exchange.js';
import type { MessageCodec } from './codec/codec.js';
import { InFlight } from './requests.js';
import type { Outgoing, Resolver } from './resolve.js';
import { loadLibrary, type ClientLibrary } from './transport/library.js';
import { SHM_LIMIT, SHM_MESSAGE_BYTES, ShmTransport } from './transport/shm.js';
import type { TransportSink } from './transport/transport.js';

/** What carries the requests of a connection, and why that. */
export interface Carrier {
  readonly kind: 'socket' | 'shm' | 'other';
  /** In words: `asked for`, or why shared memory is not used. */
  readonly reason: string;
  /** Of shared memory: the library used, and its version. */
  readonly libraryPath?: string;
  readonly libraryVersion?: string;
  /**
   * Of shared memory: replies are taken from VPP's queue by the thread that waits for them. False where that queue was not
   * found in the library: a thread of the library's then hands them over, which takes longer one at a time.
   */
  readonly direct?: boolean;
}

/** How the fast lane is asked for. */
export interface FastChoice {
  /** `auto` takes the socket where shared memory cannot be used, `shm` fails. */
  readonly carrier: 'shm' | 'auto';
  readonly prefix: string;
  readonly libraryPath: string | undefined;
}

/** What it works for. */
export interface FastHost {
  readonly choice: FastChoice;
  readonly name: string;
  readonly socket: string;
  readonly resolver: Resolver;
  readonly deadlines: Deadlines;
  readonly counters: Counters;
  readonly window: number;
  readonly maxQueued: number;
  readonly vppVersion: string;
  /** VPP's pid as the socket tells. */
  readonly pid: number;
  readonly connectMs: number;
  /** How long to wait awake for a reply, µs. */
  readonly spinUs: number;
  readonly signal: AbortSignal;
  onMessage(bytes: Uint8Array, start: number, end: number): void;
  onEvent(bytes: Uint8Array, start: number, end: number, id: number): void;
  /** It does not work any more; told once. */
  onLost(error: Error | undefined): void;
}

/** See above. */
export class FastLane implements TransportSink {
  readonly library: ClientLibrary;
  readonly #host: FastHost;
  #transport!: ShmTransport;
  #inFlight!: InFlight;

  private constructor(host: FastHost, library: ClientLibrary) {
    this.#host = host;
    this.library = library;
  }

  /**
   * Opens it and makes sure that it leads to the same VPP.
   *
   * @throws VppConnectionError ERR_VPP_SHM_*
   */
  static async open(host: FastHost): Promise<FastLane> {
    const lane = new FastLane(host, loadLibrary(host.vppVersion, host.choice.libraryPath));
    const { name, socket, connectMs, spinUs, signal, choice } = host;
    lane.#transport = await ShmTransport.open(
      { libraryPath: lane.library.path, name, prefix: choice.prefix, socket, connectMs, spinUs, signal },
      lane,
    );
    lane.#inFlight = new InFlight({
      transport: lane.#transport,
      resolver: host.resolver,
      deadlines: host.deadlines,
      counters: host.counters,
      window: Math.min(host.window, SHM_LIMIT),
      maxQueued: host.maxQueued,
      // Another client's contexts begin elsewhere: a stray reply is nobody's, and not somebody else's.
      firstGeneration: Math.floor(Math.random() * 0xfffe),
      onSent: undefined,
      onEvent: (bytes, start, end, id) => host.onEvent(bytes, start, end, id),
    });
    try {
      await lane.#sameVpp();
      return lane;
    } catch (error) {
      await lane.#transport.close();
      throw error;
    }
  }

  get transport(): ShmTransport {
    return this.#transport;
  }

  get inFlight(): InFlight {
    return this.#inFlight;
  }

  /** True when every request so far has been answered. */
  get idle(): boolean {
    return this.#inFlight.inFlight === 0 && this.#inFlight.queued === 0;
  }

  /** True when a request may go this way. */
  fits({ kind, codec, reply, service }: Outgoing, fields: Fields): boolean {
    if (kind !== 'request' || service.events.length > 0 || !bounded(reply!.codec)) return false;
    // The library writes the client index itself, where it belongs in ordinary requests.
    if (codec.clientIndexOffset !== 2 || codec.fixedSize > SHM_MESSAGE_BYTES) return false;
    return !codec.variable || sizeOf(codec, fields) <= SHM_MESSAGE_BYTES;
  }

  /** Resolves when VPP has carried out everything asked for up to now. */
  async settled(): Promise<void> {
    const ping = this.#host.resolver.outgoing('control_ping');
    // Lost meanwhile: what waited for its turn then fails by itself.
    if (ping !== undefined) await this.#inFlight.request(ping, {}, 0).promise.catch(() => undefined);
  }

  /** Fails what is in flight, and leaves VPP. */
  close(error: Error): Promise<void> {
    this.#inFlight.end(error);
    return this.#transport.close();
  }

  onMessage(bytes: Uint8Array, start: number, end: number): void {
    this.#host.onMessage(bytes, start, end);
    this.#inFlight.receive(bytes, start, end);
  }

  onBatchEnd(): void {
    this.#inFlight.endBatch();
    this.#inFlight.refill();
    this.#host.deadlines.tick();
  }

  onFlushed(): void {
    this.#host.deadlines.tick();
  }

  onEnd(error: Error | undefined): void {
    this.#host.onLost(error);
  }

  /** A wrong prefix can lead to another VPP that runs beside. */
  async #sameVpp(): Promise<void> {
    const { table } = this.#host.resolver;
    const pid = await this.#inFlight.ping();
    let different = 0;
    for (const name of table.names()) {
      const crc = table.crcOf(name)!;
      if (this.#transport.indexOf(`${name}_${crc.slice(2)}`) !== table.idOf(name, crc)) different += 1;
    }
    if (pid === this.#host.pid && different === 0) return;
    throw new VppConnectionError(
      'ERR_VPP_SHM_SEGMENT',
      `the segment ${this.#transport.description} belongs to the VPP with pid ${pid ?? '?'}, the socket ${this.#host.socket} ` +
        `to the one with pid ${this.#host.pid} (${different} of ${table.size} messages differ); apiSegmentPrefix and ` +
        'socket have to be of the same VPP',
    );
  }
}

function bounded(codec: MessageCodec): boolean {
  return !codec.variable && codec.fixedSize <= SHM_MESSAGE_BYTES;
}

function sizeOf(codec: MessageCodec, fields: Fields): number {
  try {
    return codec.size(fields);
  } catch {
    return 0; // the encoder says what is wrong
  }
}
