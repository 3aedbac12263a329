// An API server on a unix socket that a client cannot tell from VPP's: the front of the embedded dataplane, and the
// test double for everything that talks to VPP.
//
//   const server = new ApiServer({ path, schema: loadBundled('26.06') });
//   server.handle('show_version', () => ({ version: '26.06-release' }));          one reply
//   server.handle('sw_interface_dump', () => interfaces.values());                rows
//   await server.listen();
//   server.event('sw_interface_event', { sw_if_index: 1, flags: 0 });             to those who want it
//
// What has no handler is answered UNIMPLEMENTED (-9), or with no rows. Invariant: what is in the table is what the
// clients that connected under this table were told; a restart ends them.

import { EventEmitter } from 'node:events';
import { chmodSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { ArgumentTypeError } from '../../errors.js';
import { writeApiJson, type Schema } from '../../api/schema/index.js';
import { ServerClient, type Answer, type Fields } from './client.js';
import { FaultScript, type Fault, type FaultAction } from './faults.js';
import { ServerTable, type TableOptions } from './table.js';
import { wantsOf } from './wants.js';

/** Answers a request. Throwing counts as retval -1 and is reported by the `failure` event. */
export type Handler = (fields: Fields, client: ServerClient) => Answer | Promise<Answer>;

/** What a server is made of. */
export interface ApiServerOptions extends TableOptions {
  /** Path of the socket; a file in its place is replaced. */
  path: string;
  schema: Schema;
  /** What control_ping answers, default this process. */
  pid?: number;
  /** Permissions of the socket, default 0o660. */
  mode?: number;
  /** Rows of one page of a cursor reply, default 64. */
  pageRows?: number;
}

/** How a restart differs from the time before. */
export interface RestartOptions extends TableOptions {
  /** Default: another one than before. */
  pid?: number;
  /** Time without a server, ms; default 0. */
  downMs?: number;
  schema?: Schema;
}

/** What a VPP says about itself: everything but its client module, which every client has to know. */
function ownSchema(schema: Schema): string {
  const modules = [...schema.modules()].map(({ name }) => name).filter((name) => name !== 'memclnt');
  return writeApiJson(schema, modules);
}

interface ServerEvents {
  client: [client: ServerClient];
  gone: [client: ServerClient];
  request: [name: string, fields: Fields, client: ServerClient];
  failure: [error: unknown];
}

/** See above. */
export class ApiServer extends EventEmitter<ServerEvents> {
  readonly path: string;
  readonly #mode: number;
  readonly #handlers = new Map<string, Handler>();
  readonly #faults = new FaultScript();
  readonly #clients = new Set<ServerClient>();
  /** Every open connection, also those whose client has said sockclnt_delete. */
  readonly #sockets = new Set<Socket>();
  readonly #wantsOf = new Map<string, string[]>();
  #options: ApiServerOptions;
  #table: ServerTable;
  #pid: number;
  #listener: Server | undefined;
  #nextIndex = 0;
  #stalled = false;
  #scripted = false;
  #json: string | undefined;
  /** Rows of one page of a cursor reply. */
  pageRows: number;

  constructor(options: ApiServerOptions) {
    super();
    this.path = options.path;
    this.#mode = options.mode ?? 0o660;
    this.#options = options;
    this.#pid = options.pid ?? process.pid;
    this.pageRows = options.pageRows ?? 64;
    this.#table = new ServerTable(options.schema, options);
    this.handle('control_ping', () => ({ retval: 0, vpe_pid: this.#pid }));
    this.handle('get_api_json', () => ({ retval: 0, json: (this.#json ??= ownSchema(this.schema)) }));
    this.handle('get_f64_endian_value', ({ f64_one: value }) =>
      value === 1 ? { retval: 0, f64_one_result: 2 } : { retval: -159, f64_one_result: 1 },
    );
  }

  get schema(): Schema {
    return this.#options.schema;
  }

  get table(): ServerTable {
    return this.#table;
  }

  get pid(): number {
    return this.#pid;
  }

  /** Clients that have said sockclnt_create, or may yet. */
  get clients(): readonly ServerClient[] {
    return [...this.#clients];
  }

  /** True while nothing is read or answered. */
  get stalled(): boolean {
    return this.#stalled;
  }

  /** True when faults are scripted. */
  get scripted(): boolean {
    return this.#scripted || this.listenerCount('request') > 0;
  }

  /** Answers a request from now on. */
  handle(name: string, handler: Handler): this {
    if (this.schema.service(name) === undefined) {
      throw new ArgumentTypeError(`handle: ${name} is not a request of VPP ${this.schema.release}`);
    }
    this.#handlers.set(name, handler);
    return this;
  }

  handler(name: string): Handler | undefined {
    return this.#handlers.get(name);
  }

  /** Adds faults; see faults.ts. */
  script(...faults: Fault[]): this {
    this.#faults.add(faults);
    this.#scripted = true;
    return this;
  }

  /** Forgets all scripted faults. */
  clearScript(): void {
    this.#faults.clear();
    this.#scripted = false;
  }

  /** Starts to listen. */
  listen(): Promise<void> {
    return new Promise((resolve, reject) => {
      rmSync(this.path, { force: true });
      const listener = createServer((socket) => {
        const client = new ServerClient(this, socket, (0x80000000 | ++this.#nextIndex) >>> 0);
        this.#clients.add(client);
        this.#sockets.add(socket);
        socket.once('close', () => this.#sockets.delete(socket));
        if (this.#stalled) client.pause();
      });
      listener.once('error', reject);
      listener.listen(this.path, () => {
        chmodSync(this.path, this.#mode);
        this.#listener = listener;
        resolve();
      });
    });
  }

  /** Sends an event to every client that asked for it; the number of them. */
  event(name: string, fields: Fields): number {
    const id = this.#table.idOf(name);
    const codec = id === undefined ? undefined : this.#table.codecAt(id);
    if (id === undefined || codec === undefined) {
      throw new ArgumentTypeError(`event: ${name} is not a message of this server`);
    }
    let wants = this.#wantsOf.get(name);
    if (wants === undefined) this.#wantsOf.set(name, (wants = wantsOf(this.schema, name)));
    let sent = 0;
    for (const client of this.#clients) if (client.event(codec, id, wants, fields)) sent += 1;
    return sent;
  }

  /** Reads and answers nothing until `resume`; connections stay open, and new ones are accepted by the kernel. */
  stall(): void {
    this.#stalled = true;
    for (const client of this.#clients) client.pause();
  }

  resume(): void {
    this.#stalled = false;
    for (const client of this.#clients) {
      client.resume();
      client.continue();
    }
  }

  /** Stops as a killed VPP does: every client gets the end of the file, nobody a word. */
  async kill(): Promise<void> {
    for (const client of [...this.#clients]) client.kill();
    for (const socket of this.#sockets) socket.destroy();
    await this.#stopListening();
  }

  /** Killed and started again, with another pid and table. */
  async restart(options: RestartOptions = {}): Promise<void> {
    await this.kill();
    const { downMs = 0, pid = this.#pid + 1, ...rest } = options;
    this.#options = { ...this.#options, ...rest };
    this.#table = new ServerTable(this.#options.schema, this.#options);
    this.#pid = pid;
    this.#stalled = false;
    this.#json = undefined;
    this.#wantsOf.clear();
    if (downMs > 0) await new Promise((resolve) => setTimeout(resolve, downMs));
    await this.listen();
  }

  /** Ends all clients and removes the socket. */
  async close(): Promise<void> {
    await this.kill();
    rmSync(this.path, { force: true });
  }

  /** For clients. */
  fault(name: string): FaultAction | undefined {
    return this.#scripted ? this.#faults.take(name) : undefined;
  }

  /** For clients. */
  saw(name: string, fields: Fields, client: ServerClient): void {
    this.emit('request', name, fields, client);
  }

  /** For clients. */
  entered(client: ServerClient): void {
    this.emit('client', client);
  }

  /** For clients. */
  left(client: ServerClient): void {
    if (this.#clients.delete(client)) this.emit('gone', client);
  }

  /** For clients: a handler threw, or answered what cannot be encoded. */
  failed(error: unknown): void {
    if (this.listenerCount('failure') > 0) {
      this.emit('failure', error);
      return;
    }
    process.nextTick(() => {
      throw error;
    });
  }

  #stopListening(): Promise<void> {
    const listener = this.#listener;
    this.#listener = undefined;
    return new Promise((resolve) => (listener === undefined ? resolve() : listener.close(() => resolve())));
  }
}
