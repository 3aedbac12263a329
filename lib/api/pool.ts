// Several connections with one face.
//
//   requests  -> the connection with the fewest requests in flight or waiting
//   dumps     -> the last connection, apart from requests (with one connection: that one)
//   events    -> the first connection
//   session() -> one connection for one caller: his requests are carried out in the order he makes them
//
// Across connections VPP promises no order; whoever needs one asks for a session.

import type { Connection, ConnectOptions, ConnectionStats, RequestOptions } from './connection.js';
import { connect } from './connection.js';
import type { DumpOptions, DumpStream } from './dump.js';
import type { EventOptions, EventStream } from './events.js';
import type { Fields } from './exchange.js';
import { ArgumentRangeError } from '../errors.js';

/** What connections, pools and sessions have in common. */
export interface VppClient {
  request(name: string, fields?: Fields, options?: RequestOptions): Promise<unknown>;
  dump(name: string, fields?: Fields, options?: DumpOptions): DumpStream<unknown>;
  on(name: string, options?: EventOptions): EventStream<Record<string, unknown>>;
}

/** How a pool is made. */
export interface PoolOptions extends ConnectOptions {
  /** Connections, default 4. */
  size?: number;
}

/** A pool of connections to one VPP. */
export class Pool implements VppClient {
  readonly connections: readonly Connection[];

  /** Use `createPool`. */
  constructor(connections: readonly Connection[]) {
    this.connections = connections;
  }

  get size(): number {
    return this.connections.length;
  }

  request(name: string, fields?: Fields, options?: RequestOptions): Promise<unknown> {
    return this.#leastLoaded().request(name, fields, options);
  }

  dump(name: string, fields?: Fields, options?: DumpOptions): DumpStream<unknown> {
    return this.connections[this.size - 1]!.dump(name, fields, options);
  }

  on(name: string, options?: EventOptions): EventStream<Record<string, unknown>> {
    return this.connections[0]!.on(name, options);
  }

  /** A face of the pool whose requests and dumps keep the order in which they are made. */
  session(): VppClient {
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
  #leastLoaded(): Connection {
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
export async function createPool(options: PoolOptions = {}): Promise<Pool> {
  const { size = 4, ...rest } = options;
  if (!Number.isInteger(size) || size < 1) {
    throw new ArgumentRangeError(`createPool: size must be a whole number from 1, not ${String(size)}`);
  }
  const name = rest.name ?? 'node-vpp';
  const attempts = Array.from({ length: size }, (_, index) => connect({ ...rest, name: `${name}-${index}` }));
  const settled = await Promise.allSettled(attempts);
  const failure = settled.find((result) => result.status === 'rejected');
  if (failure !== undefined) {
    await Promise.all(settled.map((result) => (result.status === 'fulfilled' ? result.value.destroy() : undefined)));
    throw failure.reason;
  }
  return new Pool(settled.map((result) => (result as PromiseFulfilledResult<Connection>).value));
}
