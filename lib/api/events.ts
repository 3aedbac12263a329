// Events of VPP: who listens, and which want_* requests keep them coming.
//
//   on('sw_interface_event')  first listener  -> want_interface_events { enable_disable: 1 }
//                             more            -> nothing to send
//                             last one leaves -> want_interface_events { enable_disable: 0 }
//   a new link                                -> every want_* with listeners is sent again
//
// Invariant: one registration per want_* and set of fields in VPP at most (a second one is refused with -31, which is
// taken as "already so"); an event is never dropped in silence: a listener that does not keep up is failed.

import { VppApiError, VppProtocolError } from '../errors.js';
import type { Schema } from './schema/schema.js';
import type { Fields } from './exchange.js';

const ALREADY_REGISTERED = -31;
const MAX_QUEUED = 65_536;

/** How to listen. */
export interface EventOptions {
  signal?: AbortSignal;
  /** The request that switches the events on, where there are several; false: none is sent. */
  want?: string | false;
  /** Fields of that request besides `pid` and the one that enables. */
  wantFields?: Fields;
  /** Events that may wait to be taken; default 65536, then the iterator fails with ERR_VPP_OVERFLOW. */
  maxQueued?: number;
}

/** What the subscriptions need from the connection. */
export interface EventPort {
  /** Schemas in order of preference. */
  schemas(): Iterable<Schema>;
  /** True when VPP has the message. */
  has(name: string): boolean;
  /** True while there is a connection. */
  connected(): boolean;
  request(name: string, fields: Fields): Promise<unknown>;
  /** A want_* that could not be sent again after a reconnect. */
  failed(error: unknown): void;
}

/** One want_* with its fields, and how many depend on it. */
interface Want {
  readonly request: string;
  readonly fields: Fields;
  readonly flag: string | undefined;
  listeners: number;
  /** The last request about it, so that enabling and disabling never overtake each other. */
  state: Promise<void>;
}

/** All subscriptions of a connection. */
export class Subscriptions {
  readonly #port: EventPort;
  readonly #wants = new Map<string, Want>();
  readonly #listeners = new Map<string, Set<(event: unknown) => void>>();
  #requestOf: Map<string, string[]> | undefined;

  constructor(port: EventPort) {
    this.#port = port;
  }

  /** True when somebody listens to this event. */
  wanted(name: string): boolean {
    return this.#listeners.has(name);
  }

  /** Events somebody listens to. */
  names(): string[] {
    return [...this.#listeners.keys()];
  }

  /** Hands an event to everybody who listens. */
  deliver(name: string, event: unknown): void {
    for (const listener of [...(this.#listeners.get(name) ?? [])]) {
      try {
        listener(event);
      } catch (error) {
        // The reader of the socket must not stop at somebody else's mistake, nor hide it.
        process.nextTick(() => {
          throw error;
        });
      }
    }
  }

  /** Adds a listener; `ready` settles when VPP has agreed to send the events (at once when it already does). */
  add(
    name: string,
    listener: (event: unknown) => void,
    options: EventOptions,
  ): { ready: Promise<void>; remove: () => void } {
    let set = this.#listeners.get(name);
    if (set === undefined) this.#listeners.set(name, (set = new Set()));
    set.add(listener);
    const want = options.want === false ? undefined : this.#want(name, options);
    let removed = false;
    const remove = () => {
      if (removed) return;
      removed = true;
      set.delete(listener);
      if (set.size === 0 && this.#listeners.get(name) === set) this.#listeners.delete(name);
      if (want !== undefined) this.#drop(want);
    };
    return { ready: want?.state ?? Promise.resolve(), remove };
  }

  /** A new link: says again everything VPP has forgotten. Settles when it has all been answered. */
  async renew(): Promise<void> {
    await Promise.all(
      [...this.#wants.values()].map(async (want) => {
        try {
          await (want.state = this.#enable(want));
        } catch (error) {
          this.#port.failed(error);
        }
      }),
    );
  }

  #want(event: string, options: EventOptions): Want | undefined {
    const request = options.want ?? this.#requestFor(event);
    if (request === undefined || request === false) return undefined;
    const fields = options.wantFields ?? {};
    const key = `${request} ${JSON.stringify(fields, (_, value: unknown) => (typeof value === 'bigint' ? `${value}n` : value))}`;
    const known = this.#wants.get(key);
    if (known !== undefined) {
      known.listeners += 1;
      return known;
    }
    const { flag, all } = this.#fill(request, fields);
    const want: Want = { request, fields: all, flag, listeners: 1, state: Promise.resolve() };
    this.#wants.set(key, want);
    if (this.#port.connected()) {
      want.state = this.#enable(want);
      want.state.catch(() => this.#wants.delete(key));
    }
    return want;
  }

  #drop(want: Want): void {
    want.listeners -= 1;
    if (want.listeners > 0) return;
    for (const [key, other] of this.#wants) if (other === want) this.#wants.delete(key);
    if (want.flag === undefined) return;
    // Nobody waits for this answer; when VPP refuses or is gone, there is nothing left that could be done about it.
    want.state = want.state.then(() => this.#say(want, false)).catch((error: unknown) => this.#port.failed(error));
  }

  async #enable(want: Want): Promise<void> {
    await want.state.catch(() => undefined);
    try {
      await this.#say(want, true);
    } catch (error) {
      if (!(error instanceof VppApiError && error.retval === ALREADY_REGISTERED)) throw error;
    }
  }

  async #say(want: Want, on: boolean): Promise<void> {
    if (!this.#port.connected()) return;
    const { flag } = want;
    const value = typeof want.fields[flag ?? ''] === 'boolean' ? on : Number(on);
    await this.#port.request(want.request, flag === undefined ? want.fields : { ...want.fields, [flag]: value });
  }

  /** Fields of a want_* request: ours, the pid, and the one that enables, under whatever name it has. */
  #fill(request: string, given: Fields): { flag: string | undefined; all: Fields } {
    for (const schema of this.#port.schemas()) {
      const def = schema.message(request);
      if (def === undefined) continue;
      const all: Record<string, unknown> = { ...given };
      let flag: string | undefined;
      for (const { name, type } of def.fields) {
        if (name === 'pid' && !('pid' in all)) all['pid'] = process.pid;
        if (name === 'enable_disable' || name === 'enable') {
          flag = name;
          all[name] = type === 'bool' ? true : 1;
        }
      }
      return { flag, all };
    }
    return { flag: undefined, all: given };
  }

  /** The want_* request that switches an event on: of several versions, the last that this VPP has. */
  #requestFor(event: string): string | undefined {
    if (this.#requestOf === undefined) {
      this.#requestOf = new Map();
      for (const schema of this.#port.schemas()) {
        for (const name of schema.messageNames()) {
          if (!name.startsWith('want_')) continue;
          for (const made of schema.service(name)?.events ?? []) {
            const requests = this.#requestOf.get(made);
            if (requests === undefined) this.#requestOf.set(made, [name]);
            else if (!requests.includes(name)) requests.push(name);
          }
        }
      }
    }
    const candidates = this.#requestOf.get(event)?.filter((name) => this.#port.has(name)) ?? [];
    return candidates.sort().at(-1);
  }
}

/** Events as an async iterator; leaving the loop, `return()` or the signal ends the subscription. */
export class EventStream<T> implements AsyncIterableIterator<T> {
  readonly name: string;
  /** Settles when VPP has agreed to send the events; rejects when it refuses. */
  readonly ready: Promise<void>;
  readonly #queue: T[] = [];
  readonly #waiting: { resolve: (result: IteratorResult<T, undefined>) => void; reject: (error: unknown) => void }[] =
    [];
  readonly #maxQueued: number;
  readonly #remove: () => void;
  readonly #signal: AbortSignal | undefined;
  readonly #aborted = () => this.#end(undefined);
  readonly #onEnded: () => void;
  #over = false;
  #error: Error | undefined;

  constructor(subscriptions: Subscriptions, name: string, options: EventOptions, onEnded: () => void) {
    this.name = name;
    this.#onEnded = onEnded;
    this.#maxQueued = options.maxQueued ?? MAX_QUEUED;
    this.#signal = options.signal;
    const { ready, remove } = subscriptions.add(name, (event) => this.#take(event as T), options);
    this.ready = ready;
    this.#remove = remove;
    ready.catch((error: unknown) => this.#end(error));
    if (this.#signal?.aborted === true) this.#end(undefined);
    else this.#signal?.addEventListener('abort', this.#aborted, { once: true });
  }

  /** True when no more events will come. */
  get ended(): boolean {
    return this.#over;
  }

  /** Events that wait to be taken. */
  get queued(): number {
    return this.#queue.length;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<T, undefined>> {
    if (this.#queue.length > 0) return Promise.resolve({ value: this.#queue.shift()!, done: false });
    if (this.#over) {
      const error = this.#error;
      this.#error = undefined;
      if (error !== undefined) return Promise.reject(error);
      return Promise.resolve({ value: undefined, done: true });
    }
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  return(): Promise<IteratorResult<T, undefined>> {
    this.#queue.length = 0;
    this.#end(undefined);
    return Promise.resolve({ value: undefined, done: true });
  }

  /** Ends the stream: what is queued can still be taken, then the error, if there is one. */
  end(error?: unknown): void {
    this.#end(error);
  }

  #take(event: T): void {
    const waiting = this.#waiting.shift();
    if (waiting !== undefined) waiting.resolve({ value: event, done: false });
    else if (this.#queue.length < this.#maxQueued) this.#queue.push(event);
    else {
      this.#end(
        new VppProtocolError(
          'ERR_VPP_OVERFLOW',
          `${this.name}: more than ${this.#maxQueued} events wait to be taken; take them faster or raise maxQueued`,
        ),
      );
    }
  }

  #end(error: unknown): void {
    if (this.#over) return;
    this.#over = true;
    this.#error = error as Error | undefined;
    this.#signal?.removeEventListener('abort', this.#aborted);
    this.#remove();
    this.#onEnded();
    for (const { resolve, reject } of this.#waiting.splice(0)) {
      if (error === undefined) resolve({ value: undefined, done: true });
      else {
        this.#error = undefined;
        reject(error);
        error = undefined;
      }
    }
  }
}
