// One connection, used from several threads. The owner keeps it (a process has one shared-memory connection, and VPP sees one
// client); a worker has the end of a channel to it. What crosses are plain fields, by structured clone.
//
//   worker: request(name, fields) ── { do: 'request', id, … } ──> owner: vpp.request(…) ──> { id, value } or { id, error }
//           dump, on              ── { do: 'dump' | 'on' }, then { do: 'next' } per batch, { do: 'return' }
//
// Invariant: when either end closes, requests of the worker reject, its dumps and events end, and nothing is left in the owner.

import { MessageChannel, type MessagePort } from 'node:worker_threads';
import * as errors from '../errors.js';
import { VppConnectionError } from '../errors.js';
import type { NewestApi, RequestOptions, VppClient } from './client.js';
import type { Fields } from './exchange.js';
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

type Question =
  | { do: 'request'; id: number; name: string; fields: Fields; timeoutMs: number | undefined }
  | { do: 'dump' | 'on'; id: number; name: string; fields: Fields; timeoutMs: number | undefined }
  | { do: 'next' | 'return' | 'abort'; id: number };

/** How an error crosses: its class by name, and its own properties. */
interface ErrorImage {
  readonly className: string;
  readonly message: string;
  readonly own: Readonly<Record<string, unknown>>;
}

interface Answer {
  readonly id: number;
  readonly value?: unknown;
  readonly done?: boolean;
  readonly error?: ErrorImage;
}

function imageOf(error: unknown): ErrorImage {
  if (!(error instanceof Error)) return { className: 'Error', message: String(error), own: {} };
  const own: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(error)) {
    if (key !== 'cause' && typeof value !== 'function') own[key] = value;
  }
  return { className: error.constructor.name, message: error.message, own };
}

function errorOf({ className, message, own }: ErrorImage): Error {
  const known = (errors as unknown as Record<string, { prototype: object } | undefined>)[className];
  const error = new Error(message);
  if (known !== undefined) Object.setPrototypeOf(error, known.prototype);
  return Object.assign(error, own);
}

/** The owner's face without its types. */
interface Untyped {
  request(name: string, fields: Fields, options: RequestOptions): Promise<unknown>;
  dump(
    name: string,
    fields: Fields,
    options: { timeoutMs?: number },
  ): { batches(limit?: number): AsyncGenerator<unknown[]> };
  on(name: string): AsyncIterableIterator<unknown>;
}

/**
 * Opens an end of the connection for one worker: hand the port over in `transferList`, and give it to `openShared` there.
 *
 * @example
 * ```ts no-run
 * const port = shareConnection(vpp);
 * new Worker(file, { workerData: port, transferList: [port] });
 * // in the worker: const vpp = openShared(workerData); await vpp.request('show_version');
 * ```
 */
export function shareConnection(connection: VppClient<never>): MessagePort {
  const { port1, port2 } = new MessageChannel();
  const vpp = connection as unknown as Untyped;
  const requests = new Map<number, AbortController>();
  const streams = new Map<number, AsyncIterator<unknown[]>>();
  const answer = (message: Answer) => port1.postMessage(message);
  const fail = (id: number, error: unknown) => answer({ id, error: imageOf(error) });
  const take = async (id: number) => {
    const stream = streams.get(id);
    try {
      const result: IteratorResult<unknown, unknown> = (await stream?.next()) ?? { value: undefined, done: true };
      const { value, done } = result;
      if (done === true) streams.delete(id);
      answer({ id, value, done: done === true });
    } catch (error) {
      streams.delete(id);
      fail(id, error);
    }
  };
  port1.on('message', (question: Question) => {
    const { id } = question;
    if (question.do === 'request') {
      const abort = new AbortController();
      requests.set(id, abort);
      const { timeoutMs } = question;
      const options = { signal: abort.signal, ...(timeoutMs === undefined ? {} : { timeoutMs }) };
      vpp
        .request(question.name, question.fields, options)
        .then(
          (value) => answer({ id, value }),
          (error: unknown) => fail(id, error),
        )
        .finally(() => requests.delete(id));
    } else if (question.do === 'dump') {
      const { timeoutMs } = question;
      streams.set(id, vpp.dump(question.name, question.fields, timeoutMs === undefined ? {} : { timeoutMs }).batches());
    } else if (question.do === 'on') {
      streams.set(id, oneByOne(vpp.on(question.name)));
    } else if (question.do === 'next') void take(id);
    else if (question.do === 'abort') requests.get(id)?.abort();
    else {
      void streams.get(id)?.return?.();
      streams.delete(id);
    }
  });
  port1.once('close', () => {
    for (const abort of requests.values()) abort.abort();
    for (const stream of streams.values()) void stream.return?.();
  });
  port1.unref();
  return port2;
}

function oneByOne(events: AsyncIterator<unknown>): AsyncIterator<unknown[]> {
  return {
    next: async () => {
      const result: IteratorResult<unknown, unknown> = await events.next();
      const { value, done } = result;
      return done === true ? { value: undefined, done: true } : { value: [value], done: false };
    },
    return: async () => {
      await events.return?.();
      return { value: undefined, done: true };
    },
  };
}

/** A connection that belongs to another thread; made by `openShared`. */
export class SharedClient<A extends ApiTypes = NewestApi> {
  readonly #port: MessagePort;
  readonly #open = new Map<number, { resolve: (answer: Answer) => void; reject: (error: Error) => void }>();
  #next = 0;
  #closed = false;

  constructor(port: MessagePort) {
    this.#port = port;
    port.on('message', (answer: Answer) => {
      const waiting = this.#open.get(answer.id);
      this.#open.delete(answer.id);
      if (this.#open.size === 0) port.unref();
      if (answer.error === undefined) waiting?.resolve(answer);
      else waiting?.reject(errorOf(answer.error));
    });
    port.once('close', () => this.#end());
    port.unref();
  }

  /** As `request` of the connection. */
  async request<N extends RequestName<A>>(
    name: N,
    fields?: FieldsOf<A, N>,
    options: RequestOptions = {},
  ): Promise<ReplyOf<A, N>> {
    const { signal, timeoutMs } = options;
    signal?.throwIfAborted();
    const id = this.#next++;
    const abort = () => this.#port.postMessage({ do: 'abort', id });
    signal?.addEventListener('abort', abort, { once: true });
    try {
      const { value } = await this.#ask({ do: 'request', id, name, fields: fields ?? {}, timeoutMs });
      return value as ReplyOf<A, N>;
    } finally {
      signal?.removeEventListener('abort', abort);
    }
  }

  /** Rows of a dump, as `for await (const row of …)`. */
  dump<N extends DumpName<A>>(
    name: N,
    fields?: Partial<FieldsOf<A, N>>,
    options: { timeoutMs?: number } = {},
  ): AsyncGenerator<DetailsOf<A, N>, void, undefined> {
    const { timeoutMs } = options;
    return this.#rows({ do: 'dump', id: this.#next++, name, fields: fields ?? {}, timeoutMs });
  }

  /** Events, until the loop is left. */
  on<N extends EventName<A>>(name: N): AsyncGenerator<MessageOf<A, N>, void, undefined> {
    return this.#rows({ do: 'on', id: this.#next++, name, fields: {}, timeoutMs: undefined });
  }

  /** Lets the connection go; it stays open in its own thread. */
  close(): void {
    this.#port.close();
    this.#end();
  }

  async *#rows<T>(question: Question): AsyncGenerator<T, void, undefined> {
    const { id } = question;
    this.#post(question);
    let ended = false;
    try {
      for (;;) {
        const { value, done } = await this.#ask({ do: 'next', id });
        if (done === true) {
          ended = true;
          return;
        }
        yield* value as T[];
      }
    } finally {
      if (!ended && !this.#closed) this.#post({ do: 'return', id });
    }
  }

  #ask(question: Question): Promise<Answer> {
    return new Promise((resolve, reject) => {
      if (this.#closed) {
        reject(closed());
        return;
      }
      this.#open.set(question.id, { resolve, reject });
      this.#port.ref();
      this.#post(question);
    });
  }

  #post(question: Question): void {
    this.#port.postMessage(question);
  }

  #end(): void {
    this.#closed = true;
    for (const { reject } of this.#open.values()) reject(closed());
    this.#open.clear();
  }
}

function closed(): VppConnectionError {
  return new VppConnectionError(
    'ERR_VPP_CLOSED',
    'the connection of another thread was closed, or its thread has ended',
  );
}

/** The worker's end of a connection that another thread has shared. */
export function openShared<A extends ApiTypes = NewestApi>(port: MessagePort): SharedClient<A> {
  return new SharedClient<A>(port);
}
