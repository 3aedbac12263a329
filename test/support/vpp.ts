// A real VPP for tests: started from the binary that VPP_BIN names, in a temporary folder of its own (run-time files,
// API socket, stats segment, CLI socket), without hugepages and without eating a core, and stopped with everything it left.

import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

/** Why tests against a real VPP are skipped here; false when they can run. */
export const noVpp: string | false =
  process.env.VPP_BIN === undefined
    ? 'VPP_BIN does not name a vpp binary'
    : existsSync(process.env.VPP_BIN)
      ? false
      : `VPP_BIN names ${process.env.VPP_BIN}, which does not exist`;

/** Where the libraries of that VPP may be. */
function libraryFolders(): string[] {
  const root = dirname(dirname(process.env.VPP_BIN!));
  return ['lib/x86_64-linux-gnu', 'lib/aarch64-linux-gnu', 'lib'].map((folder) => join(root, folder));
}

/** The client library that came with VPP_BIN, with its version; undefined: where the loader finds it. */
export function clientLibrary(): string | undefined {
  for (const folder of libraryFolders()) {
    const files = existsSync(folder) ? readdirSync(folder) : [];
    const file = files.find((name) => /^libvppapiclient\.so\.\d/.test(name));
    if (file !== undefined) return join(folder, file);
  }
  return undefined;
}

/** What a VPP is started with. */
export interface VppOptions {
  /** Plugins by file name (`memif_plugin.so`); all others are off. */
  plugins?: string[];
  /** A pause in every turn of the main loop; 0 (default): VPP sleeps only when idle. */
  pollSleepUsec?: number;
  /** Lines of an exec file. */
  exec?: string[];
  /** More sections of the start-up configuration. */
  config?: string;
  heap?: string;
}

/** A running VPP. */
export class Vpp {
  readonly folder: string;
  readonly apiSocket: string;
  readonly statsSocket: string;
  readonly cliSocket: string;
  readonly prefix: string;
  readonly #options: VppOptions;
  #child: ChildProcess | undefined;

  private constructor(options: VppOptions) {
    this.folder = mkdtempSync(join(tmpdir(), 'node-vpp-'));
    this.apiSocket = join(this.folder, 'api.sock');
    this.statsSocket = join(this.folder, 'stats.sock');
    this.cliSocket = join(this.folder, 'cli.sock');
    this.prefix = `nv${process.pid}-${Math.floor(Math.random() * 1e6)}`;
    this.#options = options;
  }

  /** Starts a VPP and waits until its API socket answers. */
  static async start(options: VppOptions = {}): Promise<Vpp> {
    const vpp = new Vpp(options);
    await vpp.start();
    return vpp;
  }

  /** How to connect through its shared memory. */
  get shm(): { readonly transport: 'shm'; readonly apiSegmentPrefix: string; readonly libraryPath?: string } {
    const libraryPath = clientLibrary();
    const transport = { transport: 'shm', apiSegmentPrefix: this.prefix } as const;
    return libraryPath === undefined ? transport : { ...transport, libraryPath };
  }

  get pid(): number {
    return this.#child!.pid!;
  }

  get running(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Starts it, also after `kill`. */
  async start(): Promise<void> {
    const binary = process.env.VPP_BIN!;
    const { plugins = [], pollSleepUsec = 0, exec = [], config = '', heap = '512M' } = this.#options;
    const pluginPath = libraryFolders()
      .map((folder) => join(folder, 'vpp_plugins'))
      .find((path) => existsSync(path));
    const run = join(this.folder, 'run');
    mkdirSync(run, { recursive: true });
    const execFile = join(this.folder, 'exec');
    writeFileSync(execFile, `${exec.join('\n')}\n`);
    const on = plugins.map((name) => `plugin ${name} { enable }`).join(' ');
    const sections = [
      `unix { nodaemon nosyslog log ${join(this.folder, 'vpp.log')} runtime-dir ${run} cli-listen ${this.cliSocket}` +
        `${pollSleepUsec > 0 ? ` poll-sleep-usec ${pollSleepUsec}` : ''} exec ${execFile} }`,
      `socksvr { socket-name ${this.apiSocket} }`,
      `api-segment { prefix ${this.prefix} }`,
      `statseg { socket-name ${this.statsSocket} size 64M }`,
      `memory { main-heap-size ${heap} }`,
      'buffers { page-size default buffers-per-numa 4096 }',
      `plugins { ${pluginPath === undefined ? '' : `path ${pluginPath} `}plugin default { disable } ${on} }`,
      config,
    ];
    const configFile = join(this.folder, 'startup.conf');
    writeFileSync(configFile, sections.join('\n'));
    rmSync(this.apiSocket, { force: true });
    const child = spawn(binary, ['-c', configFile], {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, LD_LIBRARY_PATH: libraryFolders().join(':') },
    });
    let errors = '';
    child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()));
    this.#child = child;
    const deadline = Date.now() + 30_000;
    while (!(await answers(this.apiSocket))) {
      if (!this.running)
        throw new Error(`vpp ended with ${child.exitCode ?? child.signalCode}: ${errors.slice(-2000)}`);
      if (Date.now() > deadline) throw new Error(`vpp does not answer on ${this.apiSocket}: ${errors.slice(-2000)}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** Ends it with a signal, default SIGKILL, and waits until it is gone. */
  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const child = this.#child;
    if (child === undefined || !this.running) return;
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill(signal);
    await gone;
  }

  /** Ends it and removes what it left. */
  async stop(): Promise<void> {
    await this.kill('SIGTERM');
    rmSync(this.folder, { recursive: true, force: true });
    for (const name of ['global_vm', 'vpe-api']) rmSync(`/dev/shm/${this.prefix}-${name}`, { force: true });
  }

  /** Processor time used so far, ms; two readings tell whether the main thread sleeps or spins. */
  cpuMs(): number {
    const stat = readFileSync(`/proc/${this.pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const ticks = Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));
    return ((Number(fields[11]) + Number(fields[12])) * 1000) / ticks;
  }

  /** Share of a processor it uses while nothing is asked of it, 0 to 1. */
  async idleLoad(ms = 500): Promise<number> {
    const before = this.cpuMs();
    const began = performance.now();
    await new Promise((resolve) => setTimeout(resolve, ms));
    return (this.cpuMs() - before) / (performance.now() - began);
  }
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
