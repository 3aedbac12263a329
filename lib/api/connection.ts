// A connection to VPP's binary API that survives VPP.
//
//   connecting ──handshake──> connected <──any message── unresponsive
//        ^                        |  └──no answer to pings──>  |
//        |                        └────────lost, dropped───────┘
//        └──────────── reconnecting (back-off) <───────────────┘        close(), destroy(), signal -> closed
//
// Each arrow is a `state` event. In-flight requests reject once when the link is lost; nothing is sent again behind
// the caller's back, because only the caller knows whether a request may be carried out twice. Message ids and
// subscriptions are renewed before `reconnected` is emitted. Invariant: at most one link at a time.

import { EventEmitter } from 'node:events';
import { ArgumentTypeError, VppConnectionError } from '../errors.js';
import type { Arguments, DumpFields, NewestApi, RequestOptions, Unknown, VppClient } from './client.js';
import { ask } from './ask.js';
import { announce, channels, heard } from './diagnostics.js';
import { DumpStream, type DumpOptions } from './dump.js';
import { EventStream, Subscriptions, type EventOptions } from './events.js';
import type { Fields } from './exchange.js';
import { findMessage } from './find.js';
import { copyOf } from './frame.js';
import { Health, type HealthOptions } from './health.js';
import { Link, type Instance } from './link.js';
import type { ConnectOptions, ConnectionState, ConnectionStats, LifeEvents } from './options.js';
import { pause, pauseBefore } from './reconnect.js';
import { newCounters } from './requests.js';
import { SchemaSources, type Outgoing } from './resolve.js';
import type {
  ApiTypes,
  DetailsOf,
  DumpName,
  EventName,
  FieldsOf,
  MessageOf,
  ReplyOf,
  RequestName,
} from './schema/api-types.js';
import { bundledReleases, loadBundled } from './schema/bundled.js';
import type { Schema } from './schema/schema.js';
import { Trace, type TraceOptions } from './trace.js';

const LEAVE_MS = 1000;
const life = new Set(['state', 'connected', 'disconnected', 'reconnected', 'retry', 'subscriptionFailed', 'close']);

/** A connection to one VPP; made by `connect`. */
export class Connection<A extends ApiTypes = NewestApi> implements VppClient<A> {
  readonly socket: string;
  readonly name: string;
  readonly #options: ConnectOptions;
  readonly #sources: SchemaSources;
  readonly #emitter = new EventEmitter();
  readonly #subscriptions: Subscriptions;
  readonly #streams = new Set<EventStream<unknown>>();
  readonly #removers = new Map<(event: never) => void, Map<string, () => void>>();
  readonly #counters = newCounters();
  readonly #end = new AbortController();
  readonly #requestTimeoutMs: number;
  #state: ConnectionState = 'connecting';
  #link: Link | undefined;
  #health: Health | undefined;
  #instance: Instance | undefined;
  #reconnects = 0;
  #bytes = { read: 0, written: 0 };
  #lastError: Error | undefined;
  #unreferenced = false;
  #trace: Trace | undefined;
  #finished: Promise<void> | undefined;
  #nextState: Promise<void> | undefined;

  /** Use `connect`. */
  constructor(options: ConnectOptions, schema: 'auto' | Schema) {
    const socket = options.socket ?? '/run/vpp/api.sock';
    this.socket = socket.startsWith('@') ? `\0${socket.slice(1)}` : socket;
    this.name = options.name ?? 'node-vpp';
    this.#options = options;
    this.#requestTimeoutMs = options.requestTimeoutMs ?? 10_000;
    this.#sources = new SchemaSources(schema);
    this.#subscriptions = new Subscriptions({
      schemas: () => this.#sources.all(),
      has: (name) => this.#link?.resolver.table.crcOf(name) !== undefined,
      connected: () => this.#link !== undefined,
      request: (name, fields) => this.#request(name, fields),
      failed: (error) => this.#emitter.emit('subscriptionFailed', error),
    });
  }

  get state(): ConnectionState {
    return this.#state;
  }

  /** VPP's pid, in VPP's own namespace; undefined before the first connection. */
  get pid(): number | undefined {
    return this.#instance?.pid;
  }

  /** The schema preferred for this VPP. */
  get schema(): Schema {
    return this.#sources.first;
  }

  /** What carries the messages now: `socket /run/vpp/api.sock`. */
  get description(): string {
    const transport = this.#link?.transport;
    return transport === undefined ? `${this.#state} ${this.socket}` : `${transport.kind} ${transport.description}`;
  }

  /** Requests in flight or waiting; Infinity while there is no connection. */
  get load(): number {
    const inFlight = this.#link?.inFlight;
    return inFlight === undefined ? Infinity : inFlight.inFlight + inFlight.queued;
  }

  /** Names of all messages this VPP has, and their CRCs. */
  messages(): Map<string, string> {
    const { table } = this.#needLink('messages').resolver;
    return new Map([...table.names()].map((name) => [name, table.crcOf(name)!]));
  }

  /** The number a message has in this VPP now; undefined when it has none. */
  idOf(name: string): number | undefined {
    const { table } = this.#needLink('idOf').resolver;
    const crc = table.crcOf(name);
    return crc === undefined ? undefined : table.idOf(name, crc);
  }

  stats(): ConnectionStats {
    const link = this.#link;
    return {
      ...this.#counters,
      state: this.#state,
      inFlight: link?.inFlight.inFlight ?? 0,
      queued: link?.inFlight.queued ?? 0,
      window: this.#options.window ?? 1024,
      quarantined: link?.inFlight.quarantined ?? 0,
      bytesRead: this.#bytes.read + (link?.transport.bytesRead ?? 0),
      bytesWritten: this.#bytes.written + (link?.transport.bytesWritten ?? 0),
      reconnects: this.#reconnects,
    };
  }

  request<N extends RequestName<A>>(
    name: N,
    ...args: Arguments<FieldsOf<A, N>, RequestOptions>
  ): Promise<ReplyOf<A, N>>;
  request<N extends string>(
    name: Unknown<N, RequestName<A>>,
    fields?: Fields,
    options?: RequestOptions,
  ): Promise<Record<string, unknown>>;
  request(name: string, fields: object = {}, options?: RequestOptions): Promise<unknown> {
    return this.#request(name, fields as Fields, options);
  }

  #request(name: string, fields: Fields, options?: RequestOptions): Promise<unknown> {
    const link = this.#link;
    if (link === undefined) return Promise.reject(this.#noLink(name));
    const outgoing = link.resolver.outgoing(name);
    if (outgoing === undefined) return this.#requestUnknown(link, name, fields, options);
    return this.#send(link, outgoing, fields, options);
  }

  dump<N extends DumpName<A>>(
    name: N,
    ...args: Arguments<DumpFields<FieldsOf<A, N>>, DumpOptions>
  ): DumpStream<DetailsOf<A, N>>;
  dump<N extends string>(
    name: Unknown<N, DumpName<A>>,
    fields?: Fields,
    options?: DumpOptions,
  ): DumpStream<Record<string, unknown>>;
  dump(name: string, given: object = {}, options: DumpOptions = {}): DumpStream<never> {
    const fields = given as Fields;
    const timeoutMs = options.timeoutMs ?? this.#requestTimeoutMs;
    const stream = new DumpStream<never>(name, fields, options, timeoutMs);
    const link = this.#link;
    if (link === undefined) stream.refuse(this.#noLink(name));
    else {
      const outgoing = link.resolver.outgoing(name);
      if (outgoing !== undefined) this.#beginDump(link, stream, outgoing, fields);
      else {
        findMessage(link, this.#sources, name).then(
          (found) => this.#beginDump(link, stream, found, fields),
          (error: unknown) => stream.refuse(error),
        );
      }
    }
    return stream;
  }

  on<K extends keyof LifeEvents>(name: K, listener: (...args: LifeEvents[K]) => void): this;
  on<N extends EventName<A>>(name: N, options?: EventOptions): EventStream<MessageOf<A, N>>;
  on<N extends EventName<A>>(name: N, listener: (event: MessageOf<A, N>) => void, options?: EventOptions): this;
  on<N extends string>(
    name: Unknown<N, EventName<A> | keyof LifeEvents>,
    options?: EventOptions,
  ): EventStream<Record<string, unknown>>;
  on<N extends string>(
    name: Unknown<N, EventName<A> | keyof LifeEvents>,
    listener: (event: Record<string, unknown>) => void,
    options?: EventOptions,
  ): this;
  on(name: string, given?: EventOptions | ((...args: never[]) => void), options: EventOptions = {}): unknown {
    if (typeof given !== 'function') {
      if (life.has(name)) throw new ArgumentTypeError(`on('${name}') needs a listener`);
      const stream = new EventStream<unknown>(this.#subscriptions, name, given ?? {}, () =>
        this.#streams.delete(stream),
      );
      if (!stream.ended) this.#streams.add(stream);
      return stream;
    }
    if (life.has(name)) {
      this.#emitter.on(name, given as (...args: unknown[]) => void);
      return this;
    }
    const { ready, remove } = this.#subscriptions.add(name, given as (event: unknown) => void, options);
    ready.catch((error: unknown) => this.#emitter.emit('subscriptionFailed', error));
    options.signal?.addEventListener('abort', remove, { once: true });
    let ofListener = this.#removers.get(given);
    if (ofListener === undefined) this.#removers.set(given, (ofListener = new Map<string, () => void>()));
    ofListener.set(name, remove);
    return this;
  }

  once<K extends keyof LifeEvents>(name: K, listener: (...args: LifeEvents[K]) => void): this {
    this.#emitter.once(name, listener as (...args: unknown[]) => void);
    return this;
  }

  off(name: string, listener: (...args: never[]) => void): this {
    if (life.has(name)) {
      this.#emitter.off(name, listener as (...args: unknown[]) => void);
      return this;
    }
    const ofListener = this.#removers.get(listener);
    ofListener?.get(name)?.();
    if (ofListener?.delete(name) === true && ofListener.size === 0) this.#removers.delete(listener);
    return this;
  }

  /** Resolves when there is a working connection; rejects when there will be none. */
  async ready(options: { signal?: AbortSignal } = {}): Promise<void> {
    const { signal } = options;
    while (this.#state !== 'connected' && this.#state !== 'unresponsive') {
      if (this.#state === 'closed' || this.#state === 'closing') throw this.#noLink('ready');
      signal?.throwIfAborted();
      // One listener for all who wait: each of them is woken by the same promise.
      this.#nextState ??= new Promise((resolve) => {
        this.#emitter.once('state', () => {
          this.#nextState = undefined;
          resolve();
        });
      });
      const changed = this.#nextState;
      if (signal === undefined) await changed;
      else {
        await new Promise<void>((resolve) => {
          const done = () => {
            signal.removeEventListener('abort', done);
            resolve();
          };
          signal.addEventListener('abort', done, { once: true });
          void changed.then(done);
        });
      }
    }
  }

  /** Records exchanges from now on, instead of what was recorded before. */
  trace(options: TraceOptions = {}): Trace {
    this.#trace?.stop();
    const trace = new Trace(options, () => {
      if (this.#trace === trace) this.#trace = undefined;
      if (this.#link !== undefined && this.#trace === undefined) this.#link.tap = undefined;
    });
    this.#trace = trace;
    if (this.#link !== undefined) trace.attach(this.#link);
    return trace;
  }

  /** An open connection keeps the process alive, unless `unref` was called. */
  ref(): this {
    this.#unreferenced = false;
    this.#link?.transport.ref();
    return this;
  }

  unref(): this {
    this.#unreferenced = true;
    this.#link?.transport.unref();
    return this;
  }

  /** Lets what is in flight finish (up to `timeoutMs`, default 10000), then leaves VPP in good order. */
  async close(options: { timeoutMs?: number } = {}): Promise<void> {
    if (this.#state === 'closed' || this.#state === 'closing') return this.#finished;
    const link = this.#link;
    this.#health?.stop();
    this.#link = undefined;
    this.#change('closing', undefined);
    this.#finished = (async () => {
      if (link !== undefined) {
        const patience = new AbortController();
        await Promise.race([link.inFlight.whenIdle(), pause(options.timeoutMs ?? 10_000, patience.signal)]);
        patience.abort();
        await link.drop(this.#closedError(), LEAVE_MS);
      }
      this.#finish(undefined);
    })();
    return this.#finished;
  }

  /** Fails everything in flight now, then leaves VPP in good order. */
  async destroy(error?: Error): Promise<void> {
    if (this.#state === 'closed' || this.#state === 'closing') return this.#finished;
    const link = this.#link;
    this.#health?.stop();
    this.#link = undefined;
    this.#change('closing', error);
    this.#finished = (async () => {
      if (link !== undefined) await link.drop(error ?? this.#closedError(), LEAVE_MS);
      this.#finish(error);
    })();
    return this.#finished;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Makes the first link. Called by `connect`. */
  async start(): Promise<void> {
    const { signal, timeoutMs } = this.#options;
    if (signal !== undefined) {
      const aborted = () => void this.destroy(signal.reason instanceof Error ? signal.reason : undefined);
      if (signal.aborted) aborted();
      else signal.addEventListener('abort', aborted, { once: true });
      this.#emitter.once('close', () => signal.removeEventListener('abort', aborted));
    }
    const tooLate =
      timeoutMs === undefined
        ? undefined
        : setTimeout(() => void this.destroy(new Error(`no connection within ${timeoutMs} ms`)), timeoutMs);
    try {
      await this.#connectLoop(this.#options.retry === false ? 1 : Infinity);
    } finally {
      clearTimeout(tooLate);
    }
    if (this.#link === undefined) {
      const last = this.#lastError;
      await this.destroy();
      if (last instanceof VppConnectionError && this.#options.retry === false) throw last;
      throw new VppConnectionError(
        'ERR_VPP_CONNECT',
        `connecting to VPP at ${this.socket}: ${this.#reason(signal, timeoutMs)}` +
          (last === undefined ? '' : `; the last attempt: ${last.message}`),
        { cause: last ?? signal?.reason },
      );
    }
  }

  #reason(signal: AbortSignal | undefined, timeoutMs: number | undefined): string {
    if (signal?.aborted === true) return 'aborted';
    if (this.#options.retry === false) return 'failed';
    return timeoutMs === undefined
      ? 'closed meanwhile'
      : `not within ${timeoutMs} ms; is VPP running, and may this user open the socket?`;
  }

  async #connectLoop(attempts: number): Promise<void> {
    for (let attempt = 0; attempt < attempts && !this.#end.signal.aborted; attempt++) {
      try {
        await this.#connectOnce();
        return;
      } catch (error) {
        this.#lastError = error as Error;
        if (this.#ended() || attempt + 1 >= attempts) return;
        const pauseMs = pauseBefore(attempt, this.#options.retry === false ? {} : (this.#options.retry ?? {}));
        this.#emitter.emit('retry', error, pauseMs);
        await pause(pauseMs, this.#end.signal);
      }
    }
  }

  #ended(): boolean {
    return this.#end.signal.aborted;
  }

  async #connectOnce(): Promise<void> {
    const options = this.#options;
    const link = await Link.open({
      socket: this.socket,
      name: this.name,
      sources: this.#sources,
      counters: this.#counters,
      window: options.window ?? 1024,
      maxQueued: options.maxQueued ?? 1_000_000,
      maxFrameBytes: options.maxFrameBytes,
      handshakeMs: options.handshakeMs ?? 5000,
      signal: this.#end.signal,
      open: options.transport,
      onEvent: (from, bytes, start, end, id) => this.#event(from, bytes, start, end, id),
    });
    if (this.#end.signal.aborted) {
      await link.drop(this.#closedError(), LEAVE_MS);
      return;
    }
    const before = this.#instance;
    const { instance } = link;
    this.#instance = instance;
    this.#link = link;
    if (this.#unreferenced) link.transport.unref();
    link.onEnded((error) => this.#lost(link, error));
    if (options.health !== false) this.#watch(link, options.health ?? {});
    this.#trace?.attach(link);
    if (before === undefined) {
      this.#change('connected', undefined);
      this.#emitter.emit('connected');
      await this.#subscriptions.renew();
      return;
    }
    this.#reconnects += 1;
    await this.#subscriptions.renew();
    if (this.#link !== link) return;
    const newInstance = before.pid !== instance.pid || before.table !== instance.table || before.file !== instance.file;
    if (newInstance) this.#sources.learned = undefined;
    this.#change('connected', undefined);
    this.#emitter.emit('connected');
    this.#emitter.emit('reconnected', { newInstance, pid: instance.pid });
  }

  #watch(link: Link, options: HealthOptions): void {
    this.#health = new Health(
      {
        received: () => this.#counters.received,
        ping: () => void link.inFlight.ping(),
        responsive: (yes) => this.#link === link && this.#change(yes ? 'connected' : 'unresponsive', undefined),
        drop: (code, what) => {
          const error = new VppConnectionError(
            code,
            `the connection to VPP (${this.socket}) was given up: ${what}; whether VPP carried out what was in flight is ` +
              'not known',
          );
          this.#lost(link, error);
          void link.drop(error, LEAVE_MS);
        },
      },
      this.socket,
      link.instance.file,
      options,
    );
  }

  #lost(link: Link, error: Error | undefined): void {
    if (this.#link !== link) return;
    this.#link = undefined;
    this.#health?.stop();
    this.#bytes.read += link.transport.bytesRead;
    this.#bytes.written += link.transport.bytesWritten;
    const reason =
      error ?? new VppConnectionError('ERR_VPP_DISCONNECTED', `VPP closed the connection (${this.socket})`);
    this.#lastError = reason;
    this.#emitter.emit('disconnected', reason);
    if (this.#end.signal.aborted || this.#state === 'closing') return;
    if (this.#options.retry === false) {
      this.#finish(reason);
      return;
    }
    this.#change('reconnecting', reason);
    void this.#connectLoop(Infinity);
  }

  #change(to: ConnectionState, reason: Error | undefined): void {
    const from = this.#state;
    if (from === to) return;
    this.#state = to;
    if (channels.state.hasSubscribers) {
      channels.state.publish({ connection: this.name, from, to, ...(reason === undefined ? {} : { reason }) });
    }
    this.#emitter.emit('state', to, from, reason);
  }

  #finish(error: Error | undefined): void {
    if (this.#state === 'closed') return;
    this.#end.abort(error ?? this.#closedError());
    for (const stream of this.#streams) stream.end(error);
    this.#streams.clear();
    this.#change('closed', error);
    this.#emitter.emit('close');
  }

  #send(link: Link, outgoing: Outgoing, fields: Fields, options: RequestOptions | undefined): Promise<unknown> {
    if (outgoing.kind === 'dump' || outgoing.kind === 'cursor') {
      return Promise.reject(new ArgumentTypeError(`${outgoing.name} answers with many rows: use dump()`));
    }
    const timeoutMs = options?.timeoutMs ?? this.#requestTimeoutMs;
    return ask(link.inFlight, this.name, outgoing, fields, timeoutMs, options?.signal);
  }

  async #requestUnknown(
    link: Link,
    name: string,
    fields: Fields,
    options: RequestOptions | undefined,
  ): Promise<unknown> {
    return this.#send(link, await findMessage(link, this.#sources, name), fields, options);
  }

  #beginDump(link: Link, stream: DumpStream<never>, outgoing: Outgoing, fields: Fields): void {
    if (outgoing.kind === 'dump' || outgoing.kind === 'cursor') {
      const settled = heard() ? announce(this.name, outgoing.name, fields) : undefined;
      stream.begin(link.inFlight, outgoing, settled && ((error) => settled(error, undefined)));
    } else {
      stream.refuse(new ArgumentTypeError(`${outgoing.name} has no rows: use request()`));
    }
  }

  #event(link: Link, bytes: Uint8Array, start: number, end: number, id: number): void {
    const message = link.resolver.table.messageAt(id)!;
    const incoming = link.resolver.incoming(id);
    if (incoming === undefined) {
      // A plugin's event that no bundled schema has: decoded once the VPP has told what it is.
      if (!this.#subscriptions.wanted(message.name)) this.#counters.unknownMessages += 1;
      else if (this.#sources.mayLearn) {
        const copy = copyOf(bytes, start, end);
        void link.learn().then(
          () => {
            if (link.resolver.incoming(id) === undefined) this.#counters.unknownMessages += 1;
            else this.#event(link, copy, 0, copy.length, id);
          },
          (error: unknown) => this.#emitter.emit('subscriptionFailed', error),
        );
      } else this.#counters.unknownMessages += 1;
      return;
    }
    const listened = this.#subscriptions.wanted(message.name);
    if (!listened) this.#counters.unheardEvents += 1;
    if (!listened && !channels.event.hasSubscribers) return;
    let event: Record<string, unknown>;
    try {
      event = incoming.codec.decode(bytes, start, end);
    } catch {
      this.#counters.malformed += 1;
      return;
    }
    if (channels.event.hasSubscribers) {
      channels.event.publish({ connection: this.name, name: message.name, fields: event });
    }
    if (listened) this.#subscriptions.deliver(message.name, event);
  }

  #needLink(what: string): Link {
    if (this.#link === undefined) throw this.#noLink(what);
    return this.#link;
  }

  #noLink(what: string): VppConnectionError {
    if (this.#state === 'closed' || this.#state === 'closing') return this.#closedError(what);
    return new VppConnectionError(
      'ERR_VPP_NOT_CONNECTED',
      `${what}: there is no connection to VPP (${this.socket}) now; it is being made anew: await ready(), or listen to ` +
        "'connected'",
      { cause: this.#lastError },
    );
  }

  #closedError(what = 'request'): VppConnectionError {
    return new VppConnectionError('ERR_VPP_CLOSED', `${what}: the connection to VPP (${this.socket}) was closed`);
  }
}

async function schemaOf(choice: string | Schema): Promise<'auto' | Schema> {
  if (typeof choice !== 'string') return choice;
  if (choice === 'auto') return 'auto';
  const release = bundledReleases.find((known) => known === choice);
  if (release !== undefined) return loadBundled(release);
  const { readApiJson } = await import('./schema/read-json.js');
  return readApiJson(choice);
}

/**
 * Connects to VPP, and stays connected.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { connect } from 'node-vpp/api';
 * await assert.rejects(connect({ socket: '/nowhere/api.sock', timeoutMs: 50 }), { code: 'ERR_VPP_CONNECT' });
 * ```
 *
 * @throws VppConnectionError ERR_VPP_CONNECT when `signal`, `timeoutMs` or `retry: false` ended the attempts.
 */
export async function connect<A extends ApiTypes = NewestApi>(options: ConnectOptions = {}): Promise<Connection<A>> {
  const connection = new Connection<A>(options, await schemaOf(options.schema ?? 'auto'));
  await connection.start();
  return connection;
}
