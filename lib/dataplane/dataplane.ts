// The embedded dataplane: an API server with state behind it, and a forwarder that moves packets. One call makes it,
// one ends it:
//
//   const dataplane = await startDataplane({ apiSocket: '/run/vpp/api.sock', statsSocket: '/run/vpp/stats.sock' });
//   …
//   await dataplane.close();
//
// Invariant: when `close` or `destroy` has resolved, nothing of it is left: no socket, port, thread, timer or mapping.

import { EventEmitter } from 'node:events';
import { mkdirSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { loadBundled } from '../api/index.js';
import { ApiServer } from './api/server.js';
import { runCommand } from './cli/index.js';
import type { Forwarder } from './forwarding/control.js';
import { openForwarder } from './forwarding/index.js';
import { settle, type DataplaneOptions } from './options.js';
import { State } from './state.js';
import { DataplaneStats } from './stats.js';

interface DataplaneEvents {
  /** Something went wrong that no client was told: a port failed, a handler had a mistake. */
  problem: [error: Error, interfaceName: string];
  close: [];
}

/** A running dataplane; made by {@link startDataplane}. */
export class Dataplane extends EventEmitter<DataplaneEvents> {
  /** Path of its API socket. */
  readonly apiSocket: string;
  /** Path of the socket of its stats segment, if it has one. */
  readonly statsSocket: string | undefined;
  /** Folder of sockets given by name only. */
  readonly runDir: string;
  readonly #server: ApiServer;
  readonly #state: State;
  readonly #forwarder: Forwarder;
  readonly #stats: DataplaneStats | undefined;
  readonly #ownFolder: string | undefined;
  #closing: Promise<void> | undefined;

  /** @internal */
  constructor(parts: {
    server: ApiServer;
    state: State;
    forwarder: Forwarder;
    stats: DataplaneStats | undefined;
    ownFolder: string | undefined;
  }) {
    super();
    this.#server = parts.server;
    this.#state = parts.state;
    this.#forwarder = parts.forwarder;
    this.#ownFolder = parts.ownFolder;
    this.apiSocket = parts.server.path;
    this.#stats = parts.stats;
    this.statsSocket = parts.stats?.socket;
    this.runDir = parts.state.identity.runDir;
    const tell = (error: Error, name: string) => {
      if (this.listenerCount('problem') > 0) this.emit('problem', error, name);
      else process.emitWarning(error);
    };
    parts.state.onProblem = tell;
    parts.server.on('failure', (error) => tell(error instanceof Error ? error : new Error(String(error)), ''));
  }

  /** The API server: faults for tests, events, clients. */
  get server(): ApiServer {
    return this.#server;
  }

  /** What moves the packets: counters, traces, captures. Interfaces and routes are the API's to change. */
  get forwarder(): Forwarder {
    return this.#forwarder;
  }

  /** Clients that are connected. */
  get clients(): readonly string[] {
    return this.#server.clients.map(({ name }) => name);
  }

  /** Runs a command of VPP's command line (`show interface`); what it prints. */
  command(text: string): string {
    return runCommand(this.#state, text).text;
  }

  /** Stops serving and forwarding. */
  close(): Promise<void> {
    return (this.#closing ??= this.#end());
  }

  /** The same: a dataplane has nothing to finish. */
  destroy(): Promise<void> {
    return this.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #end(): Promise<void> {
    await this.#server.close();
    this.#stats?.close();
    await this.#forwarder.close();
    if (this.#ownFolder !== undefined) rmSync(this.#ownFolder, { recursive: true, force: true });
    this.emit('close');
  }
}

/**
 * Starts a dataplane: a switch and router in this process, on the API socket of which clients find a VPP. It serves
 * when the promise resolves.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { connect } from 'node-vpp/api';
 * import { startDataplane } from 'node-vpp/dataplane';
 *
 * const dataplane = await startDataplane();
 * const vpp = await connect({ socket: dataplane.apiSocket });
 * const { sw_if_index } = await vpp.request('create_loopback', { mac_address: '02:fe:00:00:00:01' });
 * assert.equal(sw_if_index, 1);
 * assert.match(dataplane.command('show interface'), /loop0 +1 +down/);
 * await vpp.close();
 * await dataplane.close();
 * ```
 */
export async function startDataplane(options: DataplaneOptions = {}): Promise<Dataplane> {
  const { apiSocket, statsSocket, runDir, ownFolder } = settle(options);
  const { release = '26.06' } = options;
  const schema = typeof release === 'string' ? loadBundled(release) : release;
  for (const folder of [dirname(apiSocket), runDir]) mkdirSync(folder, { recursive: true });
  const server = new ApiServer({
    path: apiSocket,
    schema,
    ...(options.mode === undefined ? {} : { mode: options.mode }),
  });
  const forwarder = options.forwarder ?? openForwarder(options);
  let stats: DataplaneStats | undefined;
  try {
    const state = new State(server, forwarder, {
      runDir,
      version: options.version ?? `${schema.release}-release`,
      pid: server.pid,
      now: options.now ?? (() => performance.now()),
    });
    if (statsSocket !== undefined) state.stats = stats = new DataplaneStats(state, statsSocket);
    const dataplane = new Dataplane({ server, state, forwarder, stats, ownFolder });
    await server.listen();
    return dataplane;
  } catch (error) {
    stats?.close();
    await forwarder.close();
    if (ownFolder !== undefined) rmSync(ownFolder, { recursive: true, force: true });
    throw error;
  }
}
