// What the tests of shared memory run against: the stand-in library over an API server in a process of its own, or a real
// VPP with its own library. Both look the same from here. A process loads one library only, so that every client of them is
// a process too: test/support/shm-client.ts.

import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { connect, type Connection } from 'node-vpp/api';
import { Vpp, clientLibrary } from './vpp.js';

const root = fileURLToPath(new URL('../../../..', import.meta.url));
const here = dirname(fileURLToPath(import.meta.url));

/** Something that speaks VPP's API over a socket and shared memory. */
export interface ShmTarget {
  readonly kind: 'stand-in' | 'VPP';
  readonly socket: string;
  readonly prefix: string;
  readonly library: string;
  /** Names of its clients. */
  clients(): Promise<string[]>;
  /** Sends one sw_interface_event to whoever wants them. */
  event(): Promise<void>;
  kill(): Promise<void>;
  start(): Promise<void>;
  signal(name: NodeJS.Signals): void;
  /** Share of a processor it uses while idle; undefined where that says nothing. */
  idleLoad(): Promise<number | undefined>;
  stop(): Promise<void>;
}

/** The stand-in library, compiled when its source is newer; undefined without a compiler. */
export function standInLibrary(version = '26.06'): string | undefined {
  const folder = join(root, '.cache', 'vac');
  const source = join(root, 'test/support/vac/stand-in.cc');
  const library = join(folder, `libvppapiclient.so.${version}`);
  mkdirSync(folder, { recursive: true });
  if (existsSync(library) && statSync(library).mtimeMs > statSync(source).mtimeMs) return library;
  const made = spawnSync('g++', ['-std=c++20', '-O1', '-shared', '-fPIC', '-o', library, source, '-lpthread'], {
    stdio: 'inherit',
  });
  return made.status === 0 ? library : undefined;
}

/** Files that the stand-in takes for VPP's segment. */
export function standInSegment(prefix: string, words: string): () => void {
  const files = ['global_vm', 'vpe-api'].map((name) => `/dev/shm/${prefix}-${name}`);
  for (const file of files) writeFileSync(file, `${words}\n`);
  return () => {
    for (const file of files) rmSync(file, { force: true });
  };
}

let made = 0;

class StandInTarget implements ShmTarget {
  readonly kind = 'stand-in';
  readonly #folder = mkdtempSync(join(tmpdir(), 'nv-'));
  readonly socket = join(this.#folder, 'api.sock');
  readonly prefix = `nv${process.pid}-${made++}`;
  readonly #removeSegment: () => void;
  readonly library: string;
  #child: ChildProcess | undefined;
  #pid = 1000 + made * 100;

  constructor(library: string, words: string) {
    this.library = library;
    this.#removeSegment = standInSegment(this.prefix, `socket ${this.socket}\n${words}`);
  }

  async start(): Promise<void> {
    rmSync(this.socket, { force: true });
    this.#child = spawn(process.execPath, [join(here, 'shm-server.js'), this.socket, String(this.#pid++)], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    await new Promise((resolve) => this.#child!.once('message', resolve));
  }

  #ask(question: string): Promise<unknown> {
    return new Promise((resolve) => {
      this.#child!.once('message', resolve);
      this.#child!.send(question);
    });
  }

  async clients(): Promise<string[]> {
    return (await this.#ask('clients')) as string[];
  }

  async event(): Promise<void> {
    await this.#ask('event');
  }

  async kill(): Promise<void> {
    const gone = new Promise((resolve) => this.#child!.once('exit', resolve));
    this.#child!.kill('SIGKILL');
    await gone;
  }

  signal(name: NodeJS.Signals): void {
    this.#child!.kill(name);
  }

  idleLoad(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  async stop(): Promise<void> {
    await this.kill();
    this.#removeSegment();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

class VppTarget implements ShmTarget {
  readonly kind = 'VPP';
  readonly library = clientLibrary()!;
  readonly #vpp: Vpp;
  #flag = 0;

  constructor(vpp: Vpp) {
    this.#vpp = vpp;
  }

  get socket(): string {
    return this.#vpp.apiSocket;
  }

  get prefix(): string {
    return this.#vpp.prefix;
  }

  async #with<T>(work: (vpp: Connection) => Promise<T>): Promise<T> {
    const vpp = await connect({ socket: this.socket, name: 'onlooker' });
    try {
      return await work(vpp);
    } finally {
      await vpp.close();
    }
  }

  clients(): Promise<string[]> {
    return this.#with(async (vpp) => {
      const { reply } = await vpp.request('cli_inband', { cmd: 'show api clients' });
      const names = reply.split('\n').flatMap((line) => /^\s*(\S+)\s+\d+(\s|$)/.exec(line)?.[1] ?? []);
      return names.filter((name) => name !== 'onlooker');
    });
  }

  event(): Promise<void> {
    this.#flag ^= 1;
    return this.#with(async (vpp) => {
      await vpp.request('sw_interface_set_flags', { sw_if_index: 0, flags: this.#flag });
    });
  }

  kill(): Promise<void> {
    return this.#vpp.kill('SIGKILL');
  }

  start(): Promise<void> {
    return this.#vpp.start();
  }

  signal(name: NodeJS.Signals): void {
    process.kill(this.#vpp.pid, name);
  }

  idleLoad(): Promise<number> {
    return this.#vpp.idleLoad(500);
  }

  stop(): Promise<void> {
    return this.#vpp.stop();
  }
}

/** A target that runs. */
export async function shmTarget(kind: ShmTarget['kind'], words = ''): Promise<ShmTarget> {
  if (kind === 'VPP') return new VppTarget(await Vpp.start());
  const target = new StandInTarget(standInLibrary()!, words);
  await target.start();
  return target;
}

/** A client process: what it says line by line as JSON, and how it ended. */
export class ShmClient {
  readonly child: ChildProcess;
  readonly ended: Promise<number | NodeJS.Signals>;
  readonly #lines: Record<string, unknown>[] = [];
  #woken: (() => void) | undefined;
  #over = false;
  errors = '';

  constructor(target: Pick<ShmTarget, 'socket' | 'prefix' | 'library'>, action: string, options: object = {}) {
    const { socket, prefix, library } = target;
    const argument = JSON.stringify({ socket, prefix, library, ...options });
    this.child = spawn(process.execPath, ['--expose-gc', join(here, 'shm-client.js'), action, argument], {
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    this.child.stderr!.on('data', (chunk: Buffer) => (this.errors += chunk.toString()));
    const lines = createInterface({ input: this.child.stdout! });
    lines.on('line', (line) => {
      this.#lines.push(JSON.parse(line) as Record<string, unknown>);
      this.#woken?.();
    });
    this.ended = new Promise((resolve) => {
      this.child.once('close', (code, signal) => {
        this.#over = true;
        this.#woken?.();
        resolve(signal ?? code ?? -1);
      });
    });
  }

  /** The next thing it says; fails when it ends before. */
  async says(): Promise<Record<string, unknown>> {
    while (this.#lines.length === 0) {
      if (this.#over) throw new Error(`the client ended: ${this.errors}`);
      await new Promise<void>((resolve) => (this.#woken = resolve));
    }
    return this.#lines.shift()!;
  }

  kill(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }
}
