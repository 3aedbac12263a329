// Several connections with one face.
//
//   requests  -> the connection with the fewest requests in flight or waiting; all of one requestMany to the same
//   dumps     -> the last connection, apart from requests (with one connection: that one)
//   events    -> the first connection
//   session() -> one connection for one caller: his requests are carried out in the order he makes them
//
// Across connections VPP promises no order; whoever needs one asks for a session.

import { ArgumentRangeError } from '../errors.js';
import type { Arguments, DumpFields, NewestApi, RequestOptions, Unknown, VppClient } from './client.js';
import { connect, type Connection } from './connection.js';
import type { DumpOptions, DumpStream } from './dump.js';
import type { EventOptions, EventStream } from './events.js';
import type { Fields } from './exchange.js';
import type { ManyOptions, ManyReport } from './many.js';
import type { ConnectOptions, ConnectionStats } from './options.js';
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

/** How a pool is made. */
export interface PoolOptions extends ConnectOptions {
  /** Connections, default 4. */
  size?: number;
}

/** The face of a client without its types, which the pool's own overloads have checked already. */
interface Untyped {
  request(name: string, fields?: object, options?: RequestOptions): Promise<unknown>;
  requestMany(
    name: string,
    items: Iterable<object> | AsyncIterable<object>,
    options?: ManyOptions,
  ): Promise<ManyReport>;
  dump(name: string, fields?: object, options?: DumpOptions): DumpStream<never>;
  on(name: string, options?: EventOptions): EventStream<never>;
}

/** A pool of connections to one VPP. */
export class Pool<A extends ApiTypes = NewestApi> implements VppClient<A> {
  readonly connections: readonly Connection<A>[];

  /** Use `createPool`. */
  constructor(connections: readonly Connection<A>[]) {
    this.connections = connections;
  }

  get size(): number {
    return this.connections.length;
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
  request(name: string, fields?: object, options?: RequestOptions): Promise<unknown> {
    return (this.#leastLoaded() as unknown as Untyped).request(name, fields, options);
  }

  /** As `Connection.requestMany`, over one connection: VPP carries the items out in their order. */
  requestMany<N extends RequestName<A>>(
    name: N,
    items: Iterable<FieldsOf<A, N>> | AsyncIterable<FieldsOf<A, N>>,
    options?: ManyOptions,
  ): Promise<ManyReport>;
  requestMany<N extends string>(
    name: Unknown<N, RequestName<A>>,
    items: Iterable<Fields> | AsyncIterable<Fields>,
    options?: ManyOptions,
  ): Promise<ManyReport>;
  requestMany(
    name: string,
    items: Iterable<object> | AsyncIterable<object>,
    options?: ManyOptions,
  ): Promise<ManyReport> {
    return (this.#leastLoaded() as unknown as Untyped).requestMany(name, items, options);
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
  dump(name: string, fields?: object, options?: DumpOptions): DumpStream<never> {
    return (this.connections[this.size - 1] as unknown as Untyped).dump(name, fields, options);
  }

  on<N extends EventName<A>>(name: N, options?: EventOptions): EventStream<MessageOf<A, N>>;
  on<N extends string>(name: Unknown<N, EventName<A>>, options?: EventOptions): EventStream<Record<string, unknown>>;
  on(name: string, options?: EventOptions): unknown {
    return (this.connections[0] as unknown as Untyped).on(name, options);
  }

  /** A face of the pool whose requests and dumps keep the order in which they are made. */
  session(): VppClient<A> {
    return this.#leastLoaded();
  }

  /** One entry per connection. */
  stats(): ConnectionStats[] {
    return this.connections.map((connection) => connection.stats());
  }

  /** Resolves when every connection works. */
  async ready(options: { signal?: AbortSignal } = {}): Promise<void> {
    await Promise.all(this.connections.map((connection) => connection.ready(options)));
  }

  async close(options: { timeoutMs?: number } = {}): Promise<void> {
    await Promise.all(this.connections.map((connection) => connection.close(options)));
  }

  async destroy(error?: Error): Promise<void> {
    await Promise.all(this.connections.map((connection) => connection.destroy(error)));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Dumps have the last connection to themselves, when there is more than one; one that is down is passed over. */
  #leastLoaded(): Connection<A> {
    const candidates = this.size > 1 ? this.connections.slice(0, -1) : this.connections;
    let best = candidates[0]!;
    let least = Infinity;
    for (const connection of candidates) {
      const load = connection.load;
      if (load < least) {
        best = connection;
        least = load;
      }
    }
    return best;
  }
}

/**
 * Opens `size` connections to one VPP.
 *
 * @throws VppConnectionError as `connect` does; those already open are closed.
 */
export async function createPool<A extends ApiTypes = NewestApi>(options: PoolOptions = {}): Promise<Pool<A>> {
  const { size = 4, ...rest } = options;
  if (!Number.isInteger(size) || size < 1) {
    throw new ArgumentRangeError(`createPool: size must be a whole number from 1, not ${String(size)}`);
  }
  const name = rest.name ?? 'node-vpp';
  const attempts = Array.from({ length: size }, (_, index) => connect<A>({ ...rest, name: `${name}-${index}` }));
  const settled = await Promise.allSettled(attempts);
  const failure = settled.find((result) => result.status === 'rejected');
  if (failure !== undefined) {
    const opened = settled.filter((result) => result.status === 'fulfilled');
    await Promise.all(opened.map((result) => result.value.destroy()));
    throw failure.reason;
  }
  return new Pool<A>(settled.map((result) => (result as PromiseFulfilledResult<Connection<A>>).value));
}
