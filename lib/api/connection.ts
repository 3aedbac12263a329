// A connection to VPP's binary API that survives VPP: requests, dumps and events of one VPP, over whatever link there
// is now (life.ts). Invariant: what is asked while there is no link is refused at once, never kept for later.

import { EventEmitter } from 'node:events';
import { ArgumentTypeError } from '../errors.js';
import type { Arguments, DumpFields, NewestApi, RequestOptions, Unknown, VppClient } from './client.js';
import { ask } from './ask.js';
import { newCounters } from './counters.js';
import { announce, channels, heard } from './diagnostics.js';
import { DumpStream, type DumpOptions } from './dump.js';
import { EventStream, Subscriptions, type EventOptions } from './events.js';
import type { Fields } from './exchange.js';
import { findMessage } from './find.js';
import { copyOf } from './frame.js';
import { Life } from './life.js';
import type { Link } from './link.js';
import type { ConnectOptions, ConnectionState, ConnectionStats, LifeEvents } from './options.js';
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

const lifeEvents = new Set([
  'state',
  'connected',
  'disconnected',
  'reconnected',
  'retry',
  'subscriptionFailed',
  'close',
]);

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
  readonly #requestTimeoutMs: number;
  readonly #life: Life;
  #trace: Trace | undefined;

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
      has: (name) => this.#life.link?.resolver.table.crcOf(name) !== undefined,
      connected: () => this.#life.link !== undefined,
      request: (name, fields) => this.#request(name, fields),
      failed: (error) => this.#emitter.emit('subscriptionFailed', error),
    });
    this.#life = new Life({
      socket: this.socket,
      name: this.name,
      options,
      sources: this.#sources,
      counters: this.#counters,
      emitter: this.#emitter,
      onEvent: (link, bytes, start, end, id) => this.#event(link, bytes, start, end, id),
      linked: (link) => this.#trace?.attach(link),
      renew: () => this.#subscriptions.renew(),
      over: (error) => {
        for (const stream of this.#streams) stream.end(error);
        this.#streams.clear();
      },
    });
  }

  get state(): ConnectionState {
    return this.#life.state;
  }

  /** VPP's pid, in VPP's own namespace; undefined before the first connection. */
  get pid(): number | undefined {
    return this.#life.instance?.pid;
  }

  /** The schema preferred for this VPP. */
  get schema(): Schema {
    return this.#sources.first;
  }

  /** What carries the messages now: `socket /run/vpp/api.sock`. */
  get description(): string {
    const transport = this.#life.link?.transport;
    return transport === undefined
      ? `${this.#life.state} ${this.socket}`
      : `${transport.kind} ${transport.description}`;
  }

  /** Requests in flight or waiting; Infinity while there is no connection. */
  get load(): number {
    const inFlight = this.#life.link?.inFlight;
    return inFlight === undefined ? Infinity : inFlight.inFlight + inFlight.queued;
  }

  /** Names of all messages this VPP has, and their CRCs. */
  messages(): Map<string, string> {
    const { table } = this.#life.needLink('messages').resolver;
    return new Map([...table.names()].map((name) => [name, table.crcOf(name)!]));
  }

  /** The number a message has in this VPP now; undefined when it has none. */
  idOf(name: string): number | undefined {
    const { table } = this.#life.needLink('idOf').resolver;
    const crc = table.crcOf(name);
    return crc === undefined ? undefined : table.idOf(name, crc);
  }

  stats(): ConnectionStats {
    const { link, bytes } = this.#life;
    return {
      ...this.#counters,
      state: this.#life.state,
      inFlight: link?.inFlight.inFlight ?? 0,
      queued: link?.inFlight.queued ?? 0,
      window: this.#options.window ?? 1024,
      quarantined: link?.inFlight.quarantined ?? 0,
      bytesRead: bytes.read,
      bytesWritten: bytes.written,
      reconnects: this.#life.reconnects,
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
    const link = this.#life.link;
    if (link === undefined) return Promise.reject(this.#life.noLink(name));
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
    const link = this.#life.link;
    if (link === undefined) stream.refuse(this.#life.noLink(name));
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
      if (lifeEvents.has(name)) throw new ArgumentTypeError(`on('${name}') needs a listener`);
      const stream = new EventStream<unknown>(this.#subscriptions, name, given ?? {}, () =>
        this.#streams.delete(stream),
      );
      if (!stream.ended) this.#streams.add(stream);
      return stream;
    }
    if (lifeEvents.has(name)) {
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
    if (lifeEvents.has(name)) {
      this.#emitter.off(name, listener as (...args: unknown[]) => void);
      return this;
    }
    const ofListener = this.#removers.get(listener);
    ofListener?.get(name)?.();
    if (ofListener?.delete(name) === true && ofListener.size === 0) this.#removers.delete(listener);
    return this;
  }

  /** Resolves when there is a working connection; rejects when there will be none. */
  ready(options: { signal?: AbortSignal } = {}): Promise<void> {
    return this.#life.ready(options);
  }

  /** Records exchanges from now on, instead of what was recorded before. */
  trace(options: TraceOptions = {}): Trace {
    this.#trace?.stop();
    const trace = new Trace(options, () => {
      if (this.#trace === trace) this.#trace = undefined;
      if (this.#life.link !== undefined && this.#trace === undefined) this.#life.link.tap = undefined;
    });
    this.#trace = trace;
    if (this.#life.link !== undefined) trace.attach(this.#life.link);
    return trace;
  }

  /** An open connection keeps the process alive, unless `unref` was called. */
  ref(): this {
    this.#life.ref();
    return this;
  }

  unref(): this {
    this.#life.unref();
    return this;
  }

  /** Lets what is in flight finish (up to `timeoutMs`, default 10000), then leaves VPP in good order. */
  close(options: { timeoutMs?: number } = {}): Promise<void> {
    return this.#life.close(options);
  }

  /** Fails everything in flight now, then leaves VPP in good order. */
  destroy(error?: Error): Promise<void> {
    return this.#life.destroy(error);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Makes the first link. Called by `connect`. */
  start(): Promise<void> {
    return this.#life.start();
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
