// What the memif chapters share: interfaces that are closed at the end of a test, packets that can be told apart, and
// looks at what a process holds. Time limits are there to end what has failed: a busy machine must not reach them.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, readdirSync, readlinkSync } from 'node:fs';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Test } from 'tap';
import type { MemifError } from 'node-vpp';
import { type Memif, type MemifOptions, openMemif } from 'node-vpp/memif';

export const root = fileURLToPath(new URL('../../../..', import.meta.url));

let sockets = 0;

/** An abstract address that nobody else uses. */
export const freshSocket = (): string => `@node-vpp-test-${process.pid}-${sockets++}`;

/** A folder that is removed at the end of the test. */
export function temporaryFolder(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'node-vpp-memif-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Opens an interface that is destroyed at the end of the test. */
export function open(t: Test, options: MemifOptions): Memif {
  const memif = openMemif(options);
  t.teardown(() => memif.destroy());
  return memif;
}

/** A server and a client that are up; both are destroyed at the end of the test. */
export async function pair(
  t: Test,
  options: Partial<MemifOptions> = {},
  ofServer: Partial<MemifOptions> = {},
  ofClient: Partial<MemifOptions> = {},
): Promise<{ server: Memif; client: Memif }> {
  const socket = options.socket ?? freshSocket();
  const server = open(t, { ...options, ...ofServer, socket, role: 'server' });
  const client = open(t, { retryMinMs: 5, ...options, ...ofClient, socket, role: 'client' });
  await Promise.all([server.up({ timeoutMs: 30_000 }), client.up({ timeoutMs: 30_000 })]);
  return { server, client };
}

/** A packet whose bytes depend on its number and its length: byte i is (number * 31 + i * 7) & 255. */
export function packet(number: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = (number * 31 + i * 7) & 255;
  return bytes;
}

/** Takes packets off an interface until there are `count`; rejects after `timeoutMs`. */
export async function take(memif: Memif, count: number, timeoutMs = 30_000): Promise<Uint8Array[]> {
  const taken: Uint8Array[] = [];
  const collect = async (): Promise<Uint8Array[]> => {
    for await (const packets of memif) {
      taken.push(...packets);
      if (taken.length >= count) return taken;
    }
    throw new Error(`closed after ${taken.length} of ${count} packets`);
  };
  return within(collect(), timeoutMs, () => `${taken.length} of ${count} packets came`);
}

/** What a promise resolves to, or an error after so many milliseconds. */
export async function within<T>(promise: Promise<T>, timeoutMs: number, what: () => string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what()}, within ${timeoutMs} ms`)), timeoutMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** The next `down` or `refused` of an interface. */
export function lost(memif: Memif, timeoutMs = 30_000): Promise<MemifError> {
  const reason = new Promise<MemifError>((resolve) => {
    const hear = (error: MemifError): void => {
      memif.off('down', hear);
      memif.off('refused', hear);
      resolve(error);
    };
    memif.on('down', hear);
    memif.on('refused', hear);
  });
  return within(reason, timeoutMs, () => `memif ${memif.id} is neither down nor refused`);
}

export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Resolves when a condition holds; rejects after `timeoutMs`. */
export async function until(what: string, condition: () => boolean, timeoutMs = 30_000): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`${what}: not within ${timeoutMs} ms`);
    await sleep(1);
  }
}

/**
 * Milliseconds of processor time that this process spends while its loop has nothing to do, per 200 ms: the least of
 * some such times, because the compiler and the garbage collector have work of their own now and then.
 */
export async function idleCost(): Promise<number> {
  let least = Infinity;
  for (let i = 0; i < 10 && least > 10; i++) {
    const before = process.cpuUsage();
    await sleep(200);
    const used = process.cpuUsage(before);
    least = Math.min(least, (used.user + used.system) / 1000);
  }
  return least;
}

/** The delays given to `setTimeout` from now to the end of the test: pauses can be told exactly, on any machine. */
export function delaysOfTimers(t: Test): number[] {
  const delays: number[] = [];
  const real = globalThis.setTimeout;
  globalThis.setTimeout = Object.assign((...args: Parameters<typeof real>) => {
    if (args[1] !== undefined) delays.push(args[1]);
    return real(...args);
  }, real);
  t.teardown(() => (globalThis.setTimeout = real));
  return delays;
}

/** Descriptors and memif mappings that this process holds. */
export function holdings(): { fds: number; maps: number } {
  // Files of modules do not count: Node leaves some open when a worker is terminated while it loads them.
  const fds = descriptors().filter((target) => !/\.(js|mjs|cjs|json|node)$/.test(target)).length;
  const maps = readFileSync('/proc/self/maps', 'utf8').split('\n').filter(isMemifMapping).length;
  return { fds, maps };
}

const isMemifMapping = (line: string): boolean => /memfd:(node-vpp memif|raw)/.test(line);

/** What each descriptor of this process is. */
export function descriptors(): string[] {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/self/fd/${fd}`)];
    } catch {
      return []; // the folder's own
    }
  });
}

/** How a program that ran to its end ended, and what it printed. */
export interface Ending {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs JavaScript (a module) in a process of its own, which can import the package by name. */
export async function runModule(
  source: string,
  options: { args?: string[]; timeoutMs?: number; env?: NodeJS.ProcessEnv } = {},
): Promise<Ending> {
  const child = spawn(process.execPath, [...(options.args ?? []), '--input-type=module', '-e', source], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...options.env, NODE_OPTIONS: '' },
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  const timer = setTimeout(() => child.kill('SIGKILL'), options.timeoutMs ?? 60_000);
  const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
  clearTimeout(timer);
  return { code, signal, stdout, stderr };
}
