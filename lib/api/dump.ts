// A dump: rows that arrive as messages, and an end. Two kinds of end:
//
//   x_dump:  request, control_ping -> x_details … x_details, control_ping_reply            (same context)
//   x_get:   request(cursor 0) -> x_details …, x_get_reply(retval -165, cursor c)
//            request(cursor c) -> x_details …, x_get_reply(retval 0)
//
// Rows are kept as the bytes they came in, many to a block, and decoded when they are taken: a slow consumer costs
// memory of the size of the wire format, and neither VPP nor another request waits for him. The next page of a cursor
// is only asked for when few rows are left. Invariant: a row is delivered once, in the order of arrival.

import { VppApiError, VppProtocolError } from '../errors.js';
import { Exchange, apiError, malformed, type Fields } from './exchange.js';
import { readU32 } from './frame.js';
import type { InFlight } from './requests.js';
import { RowStore } from './rows.js';
import type { Incoming, Outgoing } from './resolve.js';
import { ids } from './table.js';

/** Rows left at which the next page of a cursor is asked for. */
const LOW_WATER = 1024;
const EAGAIN = -165;
const NO_SUCH_ENTRY = -6;
const INVALID_VALUE = -7;

/** How rows are handed out. */
export interface DumpOptions {
  /** Give up when nothing has arrived for so long; default: the connection's. 0: never. */
  timeoutMs?: number;
  signal?: AbortSignal;
  /**
   * `object`: plain objects; `view`: rows that decode a field when it is read, for large dumps of which few fields are
   * wanted. A view keeps the block of memory it came in (256 KiB) alive.
   */
  as?: 'object' | 'view';
  /** Rows that may wait to be taken, in bytes; default 512 MiB, then ERR_VPP_OVERFLOW. */
  maxBufferedBytes?: number;
}

/** The exchange below a dump. */
class DumpExchange extends Exchange {
  declare readonly outgoing: Outgoing;
  readonly stream: DumpStream<unknown>;
  readonly timeoutMs: number;

  constructor(host: InFlight, outgoing: Outgoing, stream: DumpStream<unknown>, timeoutMs: number) {
    super(host, outgoing);
    this.stream = stream;
    this.timeoutMs = timeoutMs;
  }

  override isLast(incoming: Incoming): boolean {
    return this.outgoing.kind === 'dump' ? incoming.id === ids.controlPingReply : incoming === this.outgoing.reply;
  }

  override fail(error: unknown): void {
    this.stream[failed](error);
  }

  override sent(): void {
    this.fail(new VppProtocolError('ERR_VPP_REPLY_UNEXPECTED', `${this.outgoing.name} has no rows`));
  }

  override receive(bytes: Uint8Array, start: number, end: number, incoming: Incoming): void {
    const { host, outgoing } = this;
    if (this.phase === 'late') {
      host.countLate();
      if (this.isLast(incoming)) host.release(this);
      return;
    }
    if (end - start < incoming.minBytes) {
      host.countMalformed();
      if (this.isLast(incoming)) host.release(this);
      else host.quarantine(this);
      this.fail(malformed(incoming, end - start));
    } else if (incoming === outgoing.details) {
      this.stream[row](bytes, start, end);
    } else if (this.isLast(incoming)) {
      this.stream[page](bytes, start, end, incoming);
    } else {
      // A few dumps answer with a reply of their own before the ping's: kept, and not the end.
      this.stream[extra](bytes, start, end, incoming);
    }
  }
}

const row = Symbol('row');
const page = Symbol('page');
const extra = Symbol('extra');
const failed = Symbol('failed');

/** Rows of a dump, one at a time (`for await`) or in batches; leaving the loop early stops it. */
export class DumpStream<T> implements AsyncIterableIterator<T> {
  readonly name: string;
  readonly #options: DumpOptions;
  readonly #store = new RowStore();
  readonly #fields: Fields;
  readonly #timeoutMs: number;
  #host: InFlight | undefined;
  #exchange: DumpExchange | undefined;
  #read!: (bytes: Uint8Array, start: number, end: number) => T;
  #waiting: {
    resolve: (result: IteratorResult<never>) => void;
    reject: (error: unknown) => void;
    again: () => unknown;
  }[] = [];
  #over = false;
  #error: Error | undefined;
  #nextCursor: number | undefined;
  #pages = 0;
  #received = 0;
  #reply: Record<string, unknown> | undefined;
  #touched = false;
  #abort: (() => void) | undefined;
  #settled: ((error: unknown) => void) | undefined;

  constructor(name: string, fields: Fields, options: DumpOptions, timeoutMs: number) {
    this.name = name;
    this.#fields = fields;
    this.#options = options;
    this.#timeoutMs = timeoutMs;
    const { signal } = options;
    if (signal === undefined) return;
    this.#abort = () => this.#stop(signal.reason);
    if (signal.aborted) this.#stop(signal.reason);
    else signal.addEventListener('abort', this.#abort, { once: true });
  }

  /** Rows received so far. */
  get received(): number {
    return this.#received;
  }

  /** Rows received and not yet taken. */
  get buffered(): number {
    return this.#store.rows;
  }

  /** The last message that was no row: the reply with the cursor, or what some dumps send beside. */
  get reply(): Readonly<Record<string, unknown>> | undefined {
    return this.#reply;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<T, undefined>> {
    if (this.#store.rows > 0) {
      try {
        const value = this.#store.one(this.#read);
        if (this.#nextCursor !== undefined) this.#continue();
        return Promise.resolve({ value, done: false });
      } catch (error) {
        return this.#refuse(error);
      }
    }
    return this.#wait(() => this.next());
  }

  /** All rows that have arrived, at least one, up to `limit`; done when there are no more. */
  nextBatch(limit = 4096): Promise<IteratorResult<T[], undefined>> {
    if (this.#store.rows > 0) {
      const value: T[] = [];
      try {
        this.#store.take(limit, this.#read, value);
      } catch (error) {
        return this.#refuse(error);
      }
      if (this.#nextCursor !== undefined) this.#continue();
      return Promise.resolve({ value, done: false });
    }
    return this.#wait(() => this.nextBatch(limit));
  }

  /** The same rows in batches: less work per row when there are many. */
  async *batches(limit = 4096): AsyncGenerator<T[], void, undefined> {
    try {
      for (let batch = await this.nextBatch(limit); batch.done !== true; batch = await this.nextBatch(limit)) {
        yield batch.value;
      }
    } finally {
      await this.return();
    }
  }

  /** All rows. */
  async toArray(): Promise<T[]> {
    const rows: T[] = [];
    for (let batch = await this.nextBatch(1 << 20); batch.done !== true; batch = await this.nextBatch(1 << 20)) {
      for (const value of batch.value) rows.push(value);
    }
    return rows;
  }

  /** Stops: rows still to come are dropped as they arrive. */
  return(): Promise<IteratorResult<T, undefined>> {
    this.#stop(undefined);
    return Promise.resolve({ value: undefined, done: true });
  }

  /** Sends the request. Called once, when the message is known to this VPP. */
  begin(host: InFlight, outgoing: Outgoing, onSettled?: (error: unknown) => void): void {
    if (this.#over) {
      onSettled?.(this.#error);
      return;
    }
    this.#host = host;
    this.#settled = onSettled;
    const { codec } = outgoing.details!;
    this.#read =
      this.#options.as === 'view'
        ? (bytes, start, end) => codec.view(bytes, start, end) as T
        : (bytes, start, end) => codec.decode(bytes, start, end) as T;
    this.#exchange = new DumpExchange(host, outgoing, this, this.#timeoutMs);
    const first = outgoing.kind === 'cursor' ? { cursor: 0, ...this.#fields } : this.#fields;
    host.start(this.#exchange, first);
  }

  /** The rows of this batch of messages are complete. */
  settleBatch(): void {
    this.#touched = false;
    this.#store.settle();
    const limit = this.#options.maxBufferedBytes ?? 512 * 1024 * 1024;
    if (this.#store.bytes > limit) {
      this.#host!.abandon(this.#exchange!);
      this[failed](
        new VppProtocolError(
          'ERR_VPP_OVERFLOW',
          `${this.name}: more than ${limit} bytes of rows wait to be taken; take them faster or raise maxBufferedBytes`,
        ),
      );
      return;
    }
    if (this.#exchange!.phase === 'open' && this.#nextCursor === undefined) this.#host!.refresh(this.#exchange!);
    this.#wake();
  }

  /** Fails the dump before it began. */
  refuse(error: unknown): void {
    this[failed](error);
  }

  [row](bytes: Uint8Array, start: number, end: number): void {
    this.#received += 1;
    this.#store.note(bytes, start, end);
    if (this.#touched) return;
    this.#touched = true;
    this.#host!.touched.push(this);
  }

  [page](bytes: Uint8Array, start: number, end: number, incoming: Incoming): void {
    const host = this.#host!;
    const exchange = this.#exchange!;
    this.#pages += 1;
    if (exchange.outgoing.kind === 'dump') {
      host.release(exchange);
      this.#finish(undefined);
      return;
    }
    const retval = incoming.retvalOffset < 0 ? 0 : readU32(bytes, start + incoming.retvalOffset) | 0;
    let reply: Record<string, unknown>;
    try {
      reply = incoming.codec.decode(bytes, start, end);
    } catch (error) {
      host.countMalformed();
      host.release(exchange);
      this.#finish(malformed(incoming, end - start, error));
      return;
    }
    this.#reply = reply;
    const cursor = reply['cursor'];
    // The cursor means something only together with -165: in other replies VPP leaves whatever was in memory there.
    if (retval === EAGAIN && typeof cursor === 'number') {
      host.relax(exchange);
      this.#nextCursor = cursor;
      this.#store.settle();
      if (this.#store.rows < LOW_WATER) this.#continue();
      return;
    }
    host.release(exchange);
    // Nothing to walk over: some handlers answer the first page with INVALID_VALUE and a cursor of ones (an empty
    // vector), or with NO_SUCH_ENTRY. There just are no rows.
    const none = retval === NO_SUCH_ENTRY || (retval === INVALID_VALUE && cursor === 0xffffffff);
    const empty = none && this.#pages === 1 && this.#received === 0;
    this.#finish(retval < 0 && !empty ? apiError(this.name, retval, this.#fields) : undefined);
  }

  [extra](bytes: Uint8Array, start: number, end: number, incoming: Incoming): void {
    try {
      this.#reply = incoming.codec.decode(bytes, start, end);
    } catch (error) {
      this.#host!.countMalformed();
      this.#host!.abandon(this.#exchange!);
      this[failed](malformed(incoming, end - start, error));
    }
  }

  [failed](error: unknown): void {
    if (this.#over) return;
    if (!(error instanceof VppApiError)) this.#store.settle();
    this.#finish(error);
  }

  #continue(): void {
    if (this.#store.rows >= LOW_WATER || this.#nextCursor === undefined || this.#over) return;
    const cursor = this.#nextCursor;
    this.#nextCursor = undefined;
    try {
      this.#host!.again(this.#exchange!, { ...this.#fields, cursor });
    } catch (error) {
      this.#host!.release(this.#exchange!);
      this.#finish(error);
    }
  }

  #stop(reason: unknown): void {
    if (this.#exchange !== undefined && !this.#over) {
      if (this.#nextCursor !== undefined) this.#host!.release(this.#exchange);
      else this.#host!.abandon(this.#exchange);
    }
    this.#store.clear();
    this.#finish(reason);
  }

  #finish(error: unknown): void {
    if (this.#over) return;
    this.#over = true;
    this.#error = error as Error | undefined;
    this.#store.settle();
    if (this.#abort !== undefined) this.#options.signal!.removeEventListener('abort', this.#abort);
    this.#settled?.(error);
    this.#wake();
  }

  /** A row that its codec cannot read ends the dump. */
  #refuse(cause: unknown): Promise<never> {
    this.#host!.countMalformed();
    this.#store.clear();
    const { details } = this.#exchange!.outgoing;
    const error = malformed(details!, 0, cause);
    if (!this.#over) this.#host!.abandon(this.#exchange!);
    this.#finish(undefined);
    this.#error = undefined;
    return Promise.reject(error);
  }

  #wait<R>(again: () => Promise<IteratorResult<R, undefined>>): Promise<IteratorResult<R, undefined>> {
    if (this.#over) {
      const error = this.#error;
      this.#error = undefined;
      if (error !== undefined) return Promise.reject(error);
      return Promise.resolve({ value: undefined, done: true });
    }
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve: resolve as (result: unknown) => void, reject, again });
    });
  }

  #wake(): void {
    while (this.#waiting.length > 0 && (this.#over || this.#store.rows > 0)) {
      const { resolve, reject, again } = this.#waiting.shift()!;
      (again() as Promise<IteratorResult<never>>).then(resolve, reject);
    }
  }
}
