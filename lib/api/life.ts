// The life of a connection: one link after the other, each kept while it is any good.
//
//   connecting ──handshake──> connected <──any message── unresponsive
//        ^                        |  └──no answer to pings──>  |
//        |                        └────────lost, dropped───────┘
//        └──────────── reconnecting (back-off) <───────────────┘        close(), destroy(), signal -> closed
//
// Each arrow is a `state` event. In-flight requests reject once when the link is lost; nothing is sent again behind
// the caller's back, because only the caller knows whether a request may be carried out twice. Message ids and
// subscriptions are renewed before `reconnected` is emitted. Invariant: at most one link at a time.

import type { EventEmitter } from 'node:events';
import { VppConnectionError } from '../errors.js';
import type { Counters } from './counters.js';
import { channels } from './diagnostics.js';
import { Health, type HealthOptions } from './health.js';
import { Link, type Instance, type LinkOptions } from './link.js';
import type { ConnectOptions, ConnectionState } from './options.js';
import { pause, pauseBefore } from './reconnect.js';
import type { SchemaSources } from './resolve.js';
import { defaultSpinUs } from './spin.js';

const LEAVE_MS = 1000;

/** What a life works for. */
export interface LifePort {
  /** Path of the socket; a leading NUL means the abstract namespace. */
  readonly socket: string;
  readonly name: string;
  readonly options: ConnectOptions;
  readonly sources: SchemaSources;
  readonly counters: Counters;
  /** Where `state`, `connected` and the others are told. */
  readonly emitter: EventEmitter;
  readonly onEvent: LinkOptions['onEvent'];
  /** A new link works, and nobody knows yet. */
  linked(link: Link): void;
  /** Asks for the events again that were asked for before. */
  renew(): Promise<void>;
  /** There will be no link any more. */
  over(error: Error | undefined): void;
}

/** See above. */
export class Life {
  readonly #port: LifePort;
  readonly #end = new AbortController();
  #state: ConnectionState = 'connecting';
  #link: Link | undefined;
  #health: Health | undefined;
  #instance: Instance | undefined;
  #reconnects = 0;
  #bytes = { read: 0, written: 0 };
  #lastError: Error | undefined;
  #unreferenced = false;
  #finished: Promise<void> | undefined;
  #nextState: Promise<void> | undefined;

  constructor(port: LifePort) {
    this.#port = port;
  }

  get state(): ConnectionState {
    return this.#state;
  }

  /** What there is to send on now. */
  get link(): Link | undefined {
    return this.#link;
  }

  /** The VPP of the last link. */
  get instance(): Instance | undefined {
    return this.#instance;
  }

  /** Links made after the first. */
  get reconnects(): number {
    return this.#reconnects;
  }

  /** Bytes of all links. */
  get bytes(): { read: number; written: number } {
    const { read, written } = this.#bytes;
    const transport = this.#link?.transport;
    return { read: read + (transport?.bytesRead ?? 0), written: written + (transport?.bytesWritten ?? 0) };
  }

  /** Resolves when there is a working connection; rejects when there will be none. */
  async ready(options: { signal?: AbortSignal } = {}): Promise<void> {
    const { signal } = options;
    while (this.#state !== 'connected' && this.#state !== 'unresponsive') {
      if (this.#state === 'closed' || this.#state === 'closing') throw this.noLink('ready');
      signal?.throwIfAborted();
      // One listener for all who wait: each of them is woken by the same promise.
      this.#nextState ??= new Promise((resolve) => {
        this.#port.emitter.once('state', () => {
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

  ref(): void {
    this.#unreferenced = false;
    this.#link?.transport.ref();
  }

  unref(): void {
    this.#unreferenced = true;
    this.#link?.transport.unref();
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

  /** Makes the first link. */
  async start(): Promise<void> {
    const { signal, timeoutMs } = this.#port.options;
    if (signal !== undefined) {
      const aborted = () => void this.destroy(signal.reason instanceof Error ? signal.reason : undefined);
      if (signal.aborted) aborted();
      else signal.addEventListener('abort', aborted, { once: true });
      this.#port.emitter.once('close', () => signal.removeEventListener('abort', aborted));
    }
    const tooLate =
      timeoutMs === undefined
        ? undefined
        : setTimeout(() => void this.destroy(new Error(`no connection within ${timeoutMs} ms`)), timeoutMs);
    try {
      await this.#connectLoop(this.#port.options.retry === false ? 1 : Infinity);
    } finally {
      clearTimeout(tooLate);
    }
    if (this.#link === undefined) {
      const last = this.#lastError;
      await this.destroy();
      if (last instanceof VppConnectionError && this.#port.options.retry === false) throw last;
      throw new VppConnectionError(
        'ERR_VPP_CONNECT',
        `connecting to VPP at ${this.#port.socket}: ${this.#reason(signal, timeoutMs)}` +
          (last === undefined ? '' : `; the last attempt: ${last.message}`),
        { cause: last ?? signal?.reason },
      );
    }
  }

  #reason(signal: AbortSignal | undefined, timeoutMs: number | undefined): string {
    if (signal?.aborted === true) return 'aborted';
    if (this.#port.options.retry === false) return 'failed';
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
        const pauseMs = pauseBefore(
          attempt,
          this.#port.options.retry === false ? {} : (this.#port.options.retry ?? {}),
        );
        this.#port.emitter.emit('retry', error, pauseMs);
        await pause(pauseMs, this.#end.signal);
      }
    }
  }

  #ended(): boolean {
    return this.#end.signal.aborted;
  }

  async #connectOnce(): Promise<void> {
    const options = this.#port.options;
    const link = await Link.open({
      socket: this.#port.socket,
      name: this.#port.name,
      sources: this.#port.sources,
      counters: this.#port.counters,
      window: options.window ?? 1024,
      maxQueued: options.maxQueued ?? 1_000_000,
      maxFrameBytes: options.maxFrameBytes,
      handshakeMs: options.handshakeMs ?? 5000,
      signal: this.#end.signal,
      open: options.transport,
      spinUs: options.spinUs ?? defaultSpinUs(),
      onEvent: this.#port.onEvent,
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
    this.#port.linked(link);
    if (before === undefined) {
      this.#change('connected', undefined);
      this.#port.emitter.emit('connected');
      await this.#port.renew();
      return;
    }
    this.#reconnects += 1;
    await this.#port.renew();
    if (this.#link !== link) return;
    const newInstance = before.pid !== instance.pid || before.table !== instance.table || before.file !== instance.file;
    if (newInstance) this.#port.sources.learned = undefined;
    this.#change('connected', undefined);
    this.#port.emitter.emit('connected');
    this.#port.emitter.emit('reconnected', { newInstance, pid: instance.pid });
  }

  #watch(link: Link, options: HealthOptions): void {
    this.#health = new Health(
      {
        received: () => this.#port.counters.received,
        ping: () => void link.inFlight.ping(),
        responsive: (yes) => this.#link === link && this.#change(yes ? 'connected' : 'unresponsive', undefined),
        drop: (code, what) => {
          const error = new VppConnectionError(
            code,
            `the connection to VPP (${this.#port.socket}) was given up: ${what}; whether VPP carried out what was in flight is ` +
              'not known',
          );
          this.#lost(link, error);
          void link.drop(error, LEAVE_MS);
        },
      },
      this.#port.socket,
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
      error ?? new VppConnectionError('ERR_VPP_DISCONNECTED', `VPP closed the connection (${this.#port.socket})`);
    this.#lastError = reason;
    this.#port.emitter.emit('disconnected', reason);
    if (this.#end.signal.aborted || this.#state === 'closing') return;
    if (this.#port.options.retry === false) {
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
      channels.state.publish({ connection: this.#port.name, from, to, ...(reason === undefined ? {} : { reason }) });
    }
    this.#port.emitter.emit('state', to, from, reason);
  }

  #finish(error: Error | undefined): void {
    if (this.#state === 'closed') return;
    this.#end.abort(error ?? this.#closedError());
    this.#port.over(error);
    this.#change('closed', error);
    this.#port.emitter.emit('close');
  }

  /** The link, or the error that there is none. */
  needLink(what: string): Link {
    if (this.#link === undefined) throw this.noLink(what);
    return this.#link;
  }

  /** Why there is no link now. */
  noLink(what: string): VppConnectionError {
    if (this.#state === 'closed' || this.#state === 'closing') return this.#closedError(what);
    return new VppConnectionError(
      'ERR_VPP_NOT_CONNECTED',
      `${what}: there is no connection to VPP (${this.#port.socket}) now; it is being made anew: await ready(), or listen to ` +
        "'connected'",
      { cause: this.#lastError },
    );
  }

  #closedError(what = 'request'): VppConnectionError {
    return new VppConnectionError('ERR_VPP_CLOSED', `${what}: the connection to VPP (${this.#port.socket}) was closed`);
  }
}
