// One physical connection: a transport, the table VPP gave it, and what is in flight on it. A connection that survives
// VPP goes through many links; a link lives once.
//
//   open: transport -> sockclnt_create -> table -> control_ping (pid), get_f64_endian_value -> ready
//   ready -> leave: sockclnt_delete -> end of file    |    lost: end of file, reset, framing lost, dropped
//
// Invariant: `ended` settles exactly once, after every exchange of the link has settled.

import { endianness } from 'node:os';
import { VppApiError, VppConnectionError, VppProtocolError } from '../errors.js';
import { closeOnExit, forgetOnExit } from './close.js';
import type { Schema } from './schema/schema.js';
import type { Counters } from './counters.js';
import { Deadlines } from './deadlines.js';
import type { Carrier, FastChoice, FastLane } from './fast.js';
import { copyOf, readU16, readU32, writeU16, writeU32 } from './frame.js';
import { socketIdentity } from './health.js';
import { Lanes } from './lanes.js';
import { InFlight } from './requests.js';
import { Resolver, type SchemaSources } from './resolve.js';
import { Spin } from './spin.js';
import { MessageTable, encodeCreate, encodeDelete, ids } from './table.js';
import { SocketTransport } from './transport/socket.js';
import type { Transport, TransportSink } from './transport/transport.js';

/** Makes a transport that delivers to the sink. */
export type OpenTransport = (sink: TransportSink, signal: AbortSignal) => Promise<Transport>;

/** What a link is opened with. */
export interface LinkOptions {
  socket: string;
  name: string;
  sources: SchemaSources;
  counters: Counters;
  window: number;
  maxQueued: number;
  maxFrameBytes: number | undefined;
  /** For the connection itself and the handshake, ms. */
  handshakeMs: number;
  signal: AbortSignal;
  open: OpenTransport | undefined;
  /** Shared memory beside the socket. */
  fast: FastChoice | undefined;
  /** How long to wait awake for a reply, µs. */
  spinUs: number;
  onEvent: (link: Link, bytes: Uint8Array, start: number, end: number, id: number) => void;
}

/** Who is on the other side. */
export interface Instance {
  /** VPP's own pid, in its own namespace. */
  readonly pid: number;
  /** The entries of the message table. */
  readonly table: string;
  /** The file of the socket when the link was made. */
  readonly file: string | undefined;
}

const LEAVE_MS = 1000;
const CREATE_CONTEXT = 0xffff0000;
const LEARN_BYTES = 10;
/** API_ENDIAN_FAILED: VPP did not find the 1.0 we sent. */
const ENDIAN_FAILED = -159;

/** See above. */
export class Link implements TransportSink {
  readonly #options: LinkOptions;
  readonly #deadlines = new Deadlines();
  readonly #endListeners: ((error: Error | undefined) => void)[] = [];
  #transport: Transport | undefined;
  #table: MessageTable | undefined;
  #resolver: Resolver | undefined;
  #inFlight: InFlight | undefined;
  #spin: Spin | undefined;
  #raw: { replyId: number; context: number; take: (message: Uint8Array | Error) => void } | undefined;
  #learning: Promise<void> | undefined;
  #own: Promise<Schema | undefined> | undefined;
  #leaving = false;
  #dead: Error | undefined;
  #over = false;
  #lost: Error | undefined;
  #tap: ((sent: boolean, bytes: Uint8Array, start: number, end: number) => void) | undefined;
  #fast: FastLane | undefined;
  #lanes: Lanes | undefined;
  carrier: Carrier = { kind: 'socket', reason: 'shared memory was not asked for' };
  instance!: Instance;

  private constructor(options: LinkOptions) {
    this.#options = options;
  }

  /** Connects and shakes hands. */
  static async open(options: LinkOptions): Promise<Link> {
    const link = new Link(options);
    const hurry = new AbortController();
    const tooLate = setTimeout(
      () => hurry.abort(new Error(`no answer to the handshake within ${options.handshakeMs} ms`)),
      options.handshakeMs,
    );
    const signal = AbortSignal.any([options.signal, hurry.signal]);
    try {
      await link.#open(signal);
      return link;
    } catch (error) {
      // Leaving takes a moment, and matters to VPP as much as at the end of a long life.
      if (link.#inFlight === undefined || link.#over) link.#transport?.destroy();
      else void link.drop(error as Error, LEAVE_MS);
      throw error;
    } finally {
      clearTimeout(tooLate);
    }
  }

  get transport(): Transport {
    return this.#transport!;
  }

  get inFlight(): InFlight {
    return this.#inFlight!;
  }

  get resolver(): Resolver {
    return this.#resolver!;
  }

  /** Where requests and dumps go. */
  get lanes(): Lanes {
    return this.#lanes!;
  }

  /** All that is in flight, whatever carries it. */
  get load(): { inFlight: number; queued: number; quarantined: number } {
    const { inFlight, queued, quarantined } = this.inFlight;
    const fast = this.#fast?.inFlight;
    if (fast === undefined) return { inFlight, queued, quarantined };
    return {
      inFlight: inFlight + fast.inFlight,
      queued: queued + fast.queued,
      quarantined: quarantined + fast.quarantined,
    };
  }

  get bytes(): { read: number; written: number } {
    const fast = this.#fast?.transport;
    return {
      read: this.transport.bytesRead + (fast?.bytesRead ?? 0),
      written: this.transport.bytesWritten + (fast?.bytesWritten ?? 0),
    };
  }

  setRef(yes: boolean): void {
    for (const transport of [this.transport, this.#fast?.transport]) {
      if (yes) transport?.ref();
      else transport?.unref();
    }
  }

  /** Resolves when nothing is in flight or waiting for room. */
  async whenIdle(): Promise<void> {
    await this.#lanes!.whenIdle();
  }

  /** Told once, when the link is gone; undefined when it was left in good order. */
  onEnded(listener: (error: Error | undefined) => void): void {
    if (this.#over) listener(this.#lost);
    else this.#endListeners.push(listener);
  }

  /** Sees every message, both ways; undefined again costs nothing. */
  set tap(tap: ((sent: boolean, bytes: Uint8Array, start: number, end: number) => void) | undefined) {
    this.#tap = tap;
    const onSent =
      tap === undefined
        ? undefined
        : (bytes: Uint8Array, start: number, end: number) => {
            tap(true, bytes, start, end);
          };
    this.inFlight.onSent = onSent;
    if (this.#fast !== undefined) this.#fast.inFlight.onSent = onSent;
  }

  /** Asks the VPP for its own schema, once; without effect where it has none to give (before 24.06). */
  learn(): Promise<void> {
    this.#learning ??= this.#learn();
    return this.#learning;
  }

  /** The link is no good any more: in-flight exchanges fail with `error`, and VPP is left as orderly as it allows. */
  drop(error: Error, waitMs: number): Promise<void> {
    this.#dead ??= error;
    this.inFlight.end(error);
    this.#fast?.inFlight.end(error);
    return this.leave(waitMs);
  }

  /** sockclnt_delete, then wait for VPP to close; after `waitMs` the socket is closed regardless. */
  async leave(waitMs: number): Promise<void> {
    // First where VPP keeps pointers into what we have mapped.
    await this.#fast?.close(this.#dead ?? new VppConnectionError('ERR_VPP_CLOSED', 'the connection was closed'));
    if (this.#over) return;
    await new Promise<void>((resolve) => {
      const patience = setTimeout(() => this.#transport!.destroy(), waitMs);
      this.onEnded(() => {
        clearTimeout(patience);
        resolve();
      });
      if (this.#leaving) return;
      this.#leaving = true;
      this.#sendRaw(encodeDelete(this.#table!.clientIndex, CREATE_CONTEXT));
      this.#transport!.flush();
    });
  }

  /** The same, at the exit of the process. */
  closeSync(waitMs: number): void {
    const message = encodeDelete(this.#table!.clientIndex, CREATE_CONTEXT);
    this.#fast?.transport.closeSync(message, waitMs);
    if (!this.#over) this.#transport!.closeSync(message, waitMs);
  }

  onMessage(bytes: Uint8Array, start: number, end: number): void {
    const inFlight = this.#inFlight;
    if (this.#tap !== undefined) this.#tap(false, bytes, start, end);
    if (inFlight === undefined || this.#raw !== undefined) {
      if (this.#early(bytes, start, end)) return;
    }
    if (inFlight !== undefined) inFlight.receive(bytes, start, end);
  }

  onBatchEnd(): void {
    this.#inFlight?.endBatch();
    this.#deadlines.tick();
  }

  onFlushed(): void {
    this.#deadlines.tick();
    this.#spin?.start();
  }

  onEnd(error: Error | undefined): void {
    this.#over = true;
    forgetOnExit(this);
    const { socket } = this.#options;
    const lost =
      this.#dead ??
      (error instanceof VppProtocolError
        ? error
        : new VppConnectionError(
            this.#leaving ? 'ERR_VPP_CLOSED' : 'ERR_VPP_DISCONNECTED',
            this.#leaving
              ? `the connection to ${socket} was closed`
              : `the connection to VPP (${socket}) was lost: ${error?.message ?? 'VPP closed it'}; whether VPP carried ` +
                  'out what was in flight is not known',
            { cause: error },
          ));
    this.#deadlines.stop();
    this.#spin = undefined;
    this.#inFlight?.endBatch();
    this.#inFlight?.end(lost);
    void this.#fast?.close(lost);
    this.#raw?.take(lost);
    this.#lost = this.#leaving ? this.#dead : lost;
    for (const listener of this.#endListeners.splice(0)) listener(this.#lost);
  }

  async #open(signal: AbortSignal): Promise<void> {
    const { socket, name, open, maxFrameBytes } = this.#options;
    const file = socketIdentity(socket);
    const frames = maxFrameBytes === undefined ? {} : { maxFrameBytes };
    this.#transport = await (open === undefined
      ? SocketTransport.open({ path: socket, signal, ...frames }, this)
      : open(this, signal));
    const reply = await this.#exchangeRaw(encodeCreate(name, CREATE_CONTEXT), ids.sockclntCreateReply, signal);
    this.#table = new MessageTable(reply, 0, reply.length);
    this.#options.sources.rank(this.#table);
    this.#resolver = new Resolver(this.#table, this.#options.sources);
    this.#inFlight = new InFlight({
      transport: this.#transport,
      resolver: this.#resolver,
      deadlines: this.#deadlines,
      counters: this.#options.counters,
      window: this.#options.window,
      maxQueued: this.#options.maxQueued,
      onSent: undefined,
      onEvent: (bytes, start, end, id) => this.#options.onEvent(this, bytes, start, end, id),
    });
    this.#lanes = new Lanes(this.#resolver, this.#inFlight, this.#transport);
    closeOnExit(this);
    const { spinUs } = this.#options;
    const inFlight = this.#inFlight;
    if (spinUs > 0) this.#spin = new Spin(spinUs, () => inFlight.inFlight);
    const pid = await this.#greet(signal);
    // The end may have come between the two answers.
    if (this.#over) throw this.#lost ?? new VppConnectionError('ERR_VPP_CONNECT', 'VPP closed the new connection');
    this.instance = { pid, table: this.#table.entries, file };
    if (open !== undefined) this.carrier = { kind: 'other', reason: 'a transport was given' };
    else if (this.#options.fast !== undefined) await this.#openFast(this.#options.fast, signal);
    const lost = this.#lostNow();
    if (lost !== undefined) throw lost;
  }

  async #openFast(choice: FastChoice, signal: AbortSignal): Promise<void> {
    const { name, socket, counters, window, maxQueued, handshakeMs, onEvent } = this.#options;
    try {
      const asked = this.#resolver!.outgoing('show_version');
      const version = asked === undefined ? undefined : await this.#inFlight!.request(asked, {}, handshakeMs).promise;
      // Loaded when it is wanted: it brings the addon with it.
      const { FastLane: Lane } = await import('./fast.js');
      const fast = await Lane.open({
        choice,
        name,
        socket,
        resolver: this.#resolver!,
        deadlines: this.#deadlines,
        counters,
        window,
        maxQueued,
        vppVersion: (version as { version: string } | undefined)?.version ?? '',
        pid: this.instance.pid,
        connectMs: handshakeMs,
        spinUs: this.#options.spinUs,
        signal,
        onMessage: (bytes, start, end) => this.#tap?.(false, bytes, start, end),
        onEvent: (bytes, start, end, id) => onEvent(this, bytes, start, end, id),
        onLost: (error) => this.#lostFast(error),
      });
      this.#fast = fast;
      this.#lanes!.fast = fast;
      this.carrier = {
        kind: 'shm',
        reason: choice.carrier === 'shm' ? 'asked for' : 'the library is there and the segment can be opened',
        libraryPath: fast.library.path,
        ...(fast.library.version === undefined ? {} : { libraryVersion: fast.library.version }),
        direct: fast.transport.direct,
      };
    } catch (error) {
      if (choice.carrier === 'shm' || this.#over || signal.aborted) throw error;
      this.carrier = { kind: 'socket', reason: (error as Error).message };
    }
  }

  /** Without the fast lane the link is no good: nobody knows what became of the requests on it. */
  #lostFast(cause: Error | undefined): void {
    if (this.#over || this.#dead !== undefined) return;
    const { socket } = this.#options;
    const error =
      cause instanceof VppProtocolError
        ? cause
        : new VppConnectionError(
            'ERR_VPP_DISCONNECTED',
            `the connection to VPP (${socket}) was given up: ${cause?.message ?? 'shared memory was closed'}; whether VPP ` +
              'carried out what was in flight is not known',
            { cause },
          );
    void this.drop(error, LEAVE_MS);
  }

  #lostNow(): Error | undefined {
    return this.#over || this.#dead !== undefined
      ? (this.#dead ?? this.#lost ?? new VppConnectionError('ERR_VPP_CONNECT', 'VPP closed the new connection'))
      : undefined;
  }

  /** VPP's pid, and whether it keeps doubles as we do: both questions in one write. */
  async #greet(signal: AbortSignal): Promise<number> {
    const probe = this.#resolver!.outgoing('get_f64_endian_value');
    const asked = this.#inFlight!.ping();
    // 1.0 as this machine writes it; a VPP of the other order refuses it.
    const order =
      probe === undefined
        ? undefined
        : this.#inFlight!.request(probe, { f64_one: 1 }, 0).promise.catch((error: unknown) => error);
    const aborted = new Promise<never>((_, reject) => {
      const give = () => reject(signal.reason instanceof Error ? signal.reason : new Error('aborted'));
      if (signal.aborted) give();
      else signal.addEventListener('abort', give, { once: true });
    });
    aborted.catch(() => undefined);
    const pid = await Promise.race([asked, aborted]);
    if (pid === undefined)
      throw this.#dead ?? new VppConnectionError('ERR_VPP_CONNECT', 'VPP closed the new connection');
    const answer: unknown = await Promise.race([order, aborted]);
    if (answer instanceof VppApiError && answer.retval === ENDIAN_FAILED) {
      this.#resolver!.useF64(endianness() === 'LE' ? 'big' : 'little');
    }
    return pid;
  }

  async #learn(): Promise<void> {
    if (!this.#options.sources.mayLearn) return;
    const schema = await this.ownSchema();
    if (schema !== undefined) this.#resolver!.learn(schema);
  }

  /** What this VPP says about its messages; undefined where it cannot say. */
  ownSchema(): Promise<Schema | undefined> {
    this.#own ??= this.#askSchema();
    return this.#own;
  }

  async #askSchema(): Promise<Schema | undefined> {
    if (this.#table!.crcOf('get_api_json') === undefined) return undefined;
    const request = new Uint8Array(LEARN_BYTES);
    writeU16(request, 0, ids.getApiJson);
    writeU32(request, 2, this.#table!.clientIndex);
    writeU32(request, 6, CREATE_CONTEXT + 1);
    const reply = await this.#exchangeRaw(request, ids.getApiJsonReply, this.#options.signal);
    // u16 id, u32 context, i32 retval, u32 length, text; an extra NUL follows the text.
    const length = reply.length >= 14 ? readU32(reply, 10) : 0;
    if (reply.length < 14 || (readU32(reply, 6) | 0) < 0 || length > reply.length - 14) return undefined;
    const text = new TextDecoder().decode(reply.subarray(14, 14 + length)).replace(/\0+$/, '');
    const { schemaFromJson } = await import('./schema/read-json.js');
    return schemaFromJson(text);
  }

  /** One message and its answer outside the table of exchanges: while there is no table yet, or no codec. */
  #exchangeRaw(message: Uint8Array, replyId: number, signal: AbortSignal): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      const aborted = () => take(signal.reason instanceof Error ? signal.reason : new Error('aborted'));
      const take = (answer: Uint8Array | Error) => {
        this.#raw = undefined;
        signal.removeEventListener('abort', aborted);
        if (answer instanceof Error) reject(answer);
        else resolve(answer);
      };
      if (signal.aborted) {
        aborted();
        return;
      }
      signal.addEventListener('abort', aborted, { once: true });
      const contextAt = replyId === ids.sockclntCreateReply ? 2 : 6;
      this.#raw = { replyId, context: readU32(message, contextAt), take };
      this.#sendRaw(message);
    });
  }

  #sendRaw(message: Uint8Array): void {
    const transport = this.#transport!;
    const at = transport.reserve(message.length);
    transport.buffer.set(message, at);
    transport.commit(message.length);
    this.#tap?.(true, message, 0, message.length);
  }

  /** True when the message was the answer `#exchangeRaw` waits for. */
  #early(bytes: Uint8Array, start: number, end: number): boolean {
    const raw = this.#raw;
    if (raw === undefined || end - start < 10 || readU16(bytes, start) !== raw.replyId) return false;
    // The reply to sockclnt_create has the client index before the context, that of get_api_json has not.
    const contextAt = raw.replyId === ids.sockclntCreateReply ? 6 : 2;
    if (readU32(bytes, start + contextAt) !== raw.context) return false;
    raw.take(copyOf(bytes, start, end));
    return true;
  }
}
