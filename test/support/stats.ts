// What the chapters on stats share: the recorded image, segments with something in them, and a server in Python whose
// segment and manners are the test's.

import { type ChildProcessWithoutNullStreams, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import type { Test } from 'tap';
import type { StatsValue } from 'node-vpp/stats';
import {
  ErrorCounters,
  InterfaceCounters,
  NodeCounters,
  type StatsSegmentWriter,
  createStatsSegment,
} from 'node-vpp/stats/writer';

const root = fileURLToPath(new URL('../../../..', import.meta.url));
const fixture = (name: string): Buffer => gunzipSync(readFileSync(join(root, 'test/fixtures/stats', name)));

/** The segment of a VPP 26.06. */
export const recordedImage = (): Buffer => fixture('segment-26.06.img.gz');

/** What VPP's Python client reads in it: type and value by name. */
export const recordedEntries = (): Record<string, { type: number; value: unknown }> =>
  (
    JSON.parse(fixture('segment-26.06.json.gz').toString()) as {
      entries: Record<string, { type: number; value: unknown }>;
    }
  ).entries;

/** A value in the form of VPP's Python client: plain numbers, combined counters as pairs. */
export function plain(value: StatsValue | undefined): unknown {
  const numbers = (inner: unknown): unknown =>
    Array.isArray(inner) ? inner.map(numbers) : typeof inner === 'bigint' ? Number(inner) : inner;
  if (value === undefined) return undefined;
  switch (value.type) {
    case 'combined':
      return value.packets.map((row, thread) => row.map((n, i) => [Number(n), Number(value.bytes[thread]![i])]));
    case 'combinedColumn':
      return value.packets.map((n, thread) => [Number(n), Number(value.bytes[thread])]);
    case 'names':
      // The Python client leaves empty slots out.
      return value.value.filter((name) => name !== undefined);
    case 'histogram':
      return { leastExponent: value.leastExponent, bins: numbers(value.bins) };
    case 'ringBuffer':
    case 'corrupt':
      return undefined;
    default:
      return numbers(value.value);
  }
}

/** A folder for sockets, removed at the end. */
export function socketFolder(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'node-vpp-stats-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A segment as VPP would have it, with some interfaces that have counted. */
export function vppLike(
  options: { interfaces?: number; threads?: number; sizeBytes?: number; updateIntervalMs?: number } = {},
) {
  const { interfaces = 3, threads = 2, sizeBytes = 4 << 20, updateIntervalMs = 0 } = options;
  const segment: StatsSegmentWriter = createStatsSegment({
    sizeBytes,
    threads,
    updateIntervalMs,
    bootTime: 1_700_000_000,
  });
  const counters = new InterfaceCounters(segment);
  const nodes = new NodeCounters(segment);
  const errors = new ErrorCounters(segment);
  segment.change(() => {
    for (let i = 0; i < interfaces; i++) counters.add(i, i === 0 ? 'local0' : `bench${i}`);
  });
  for (let i = 1; i < interfaces; i++) {
    for (let thread = 0; thread < threads; thread++) {
      counters.combined.rx.thread(thread).add(i, 1000 * i + thread, 64_000 * i);
      counters.combined.tx.thread(thread).add(i, 10 * i, 640 * i);
      counters.simple.drops.thread(thread).add(i, i);
    }
  }
  const input = nodes.add('ip4-input');
  nodes.counters.vectors.thread(0).add(input, 2560);
  nodes.counters.calls.thread(0).add(input, 10);
  nodes.counters.clocks.thread(0).add(input, 100_000);
  const checksum = errors.add('ip4-input', 'bad ip4 checksum');
  const other = errors.add('ip6-input', 'bad ip4 checksum');
  errors.counters.thread(threads - 1).add(checksum, 7);
  return { segment, interfaces: counters, nodes, errors, checksum, other, input };
}

/** Files this process has open, and mappings of segments. */
export const openFiles = (): number => readdirSync('/proc/self/fd').length;
export const mappings = (): number =>
  readFileSync('/proc/self/maps', 'utf8')
    .split('\n')
    .filter((line) => line.includes('stat segment')).length;

/** Waits until a condition holds. */
export async function until(condition: () => boolean, ms = 20_000): Promise<void> {
  const deadline = performance.now() + ms;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`waited ${ms} ms in vain`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Why tests with the server in Python are skipped; false when they can run. */
export const noPython: string | false =
  spawnSync('python3', ['-c', 'import os; os.memfd_create']).status === 0 ? false : 'python3 is not installed';

/** The server of stats-server.py. */
export class RawStatsServer implements AsyncDisposable {
  readonly child: ChildProcessWithoutNullStreams;
  readonly #answers: (() => void)[] = [];

  constructor(t: Test) {
    this.child = spawn('python3', [join(root, 'test/support/stats-server.py')]);
    this.child.stderr.on('data', (chunk: Buffer) => process.stderr.write(chunk));
    createInterface(this.child.stdout).on('line', () => this.#answers.shift()?.());
    t.teardown(() => this.child.kill('SIGKILL'));
  }

  do(what: string, fields: Record<string, unknown> = {}): Promise<void> {
    this.child.stdin.write(`${JSON.stringify({ do: what, ...fields })}\n`);
    return new Promise((resolve, reject) => {
      this.#answers.push(resolve);
      this.child.once('exit', () => reject(new Error('the stats server has ended')));
    });
  }

  async kill(): Promise<void> {
    const gone = new Promise((resolve) => this.child.once('exit', resolve));
    this.child.kill('SIGKILL');
    await gone;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.child.exitCode === null && this.child.signalCode === null) await this.kill();
  }
}
