// How fast the stats of 10,000 interfaces are read, beside VPP's Python client, GoVPP and vpp_get_stats on the same
// segment: one table.
//
//   node build/js/bench/stats.js                 every case
//   … --interfaces 1000 --runs 50                another segment, more runs of each case (default 10000, 30)
//   … --ours                                     without the peers
//   … --vpp-bin /usr/bin                         where vpp_get_stats is (default: beside VPP_BIN)
//
// A process of its own serves the segment; each reader is a process of its own. p50 and p99 are of whole runs. Peers that
// take long run fewer times: each row of theirs ends after some seconds, and each peer after a minute and a half.

import { fork, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type Snapshot, connectStats, metrics } from 'node-vpp/stats';
import { InterfaceCounters, createStatsSegment } from 'node-vpp/stats/writer';
import { govppStats, papiStats, runClient } from '../test/support/clients.js';

const { values: options } = parseArgs({
  options: {
    interfaces: { type: 'string', default: '10000' },
    runs: { type: 'string', default: '30' },
    socket: { type: 'string', default: `@node-vpp-bench-${process.pid}` },
    role: { type: 'string', default: 'main' },
    ours: { type: 'boolean', default: false },
    'vpp-bin': {
      type: 'string',
      default: process.env.VPP_BIN === undefined ? '/usr/bin' : dirname(process.env.VPP_BIN),
    },
  },
});
const runs = Number(options.runs);
const self = fileURLToPath(import.meta.url);

/** Serves a segment of so many interfaces until it is killed. */
function serve(socket: string, count: number): void {
  const segment = createStatsSegment({ sizeBytes: Math.max(8 << 20, count * 12_000), threads: 2, updateIntervalMs: 0 });
  const interfaces = new InterfaceCounters(segment);
  segment.change(() => {
    for (let i = 0; i < count; i++) interfaces.add(i, `bench${i}`);
  });
  for (let i = 0; i < count; i++) {
    for (const counters of Object.values(interfaces.simple)) counters.thread(0).add(i, i);
    for (const counters of Object.values(interfaces.combined)) counters.thread(1).add(i, i * 3, i * 100);
  }
  segment.listen(socket);
  process.send!('ready');
}

interface Row {
  readonly name: string;
  readonly p50: number;
  readonly p99: number;
  readonly unit: string;
  readonly target?: number;
  /** Processor time of a run with all threads, ms. */
  readonly cpuMs?: number;
  readonly runs?: number;
}

/** Runs `work` and gives its times, ms. The first runs, before the compiler is done, are thrown away. */
async function times(count: number, work: () => unknown): Promise<{ p50: number; p99: number; cpuMs: number }> {
  const took: number[] = [];
  let kept: unknown;
  let used = process.cpuUsage();
  for (let i = -15; i < count; i++) {
    if (i === 0) used = process.cpuUsage();
    const began = performance.now();
    kept = work();
    took.push(performance.now() - began);
    await new Promise(setImmediate);
  }
  const { user, system } = process.cpuUsage(used);
  if (kept === undefined) throw new Error('nothing was read');
  return { ...quantiles(took.slice(-count)), cpuMs: (user + system) / 1000 / count };
}

function quantiles(took: number[]): { p50: number; p99: number } {
  const sorted = took.sort((a, b) => a - b);
  return { p50: sorted[Math.floor(sorted.length / 2)]!, p99: sorted[Math.floor(sorted.length * 0.99)]! };
}

async function ours(socket: string, count: number): Promise<Row[]> {
  const stats = await connectStats({ socket });
  const rows: Row[] = [];
  const scale = count / 10_000;
  const add = async (name: string, target: number | undefined, work: () => unknown) => {
    rows.push({ name, ...(await times(runs, work)), unit: 'ms', ...(target === undefined ? {} : { target }) });
  };
  await add('dump, objects with bigint', 60 * scale, () => stats.dump());
  await add('dump, objects with numbers', 60 * scale, () => stats.dump([], { numbers: true }));
  await add('dump of /if/, numbers', undefined, () => stats.dump('/if/', { numbers: true }));
  const vectors = stats
    .ls('/if/')
    .filter(({ type }) => type === 'simple' || type === 'combined')
    .map(({ name }) => stats.vector(name));
  await add('all counters, as views in place', 6 * scale, () => {
    let words = 0;
    let sum = 0n;
    for (const vector of vectors) {
      vector.read((threads) => {
        for (const thread of threads) {
          words += thread.length;
          sum ^= thread[thread.length - 1]!;
        }
      });
    }
    return [words, sum];
  });
  const names = vectors.map(({ name }) => name);
  await add('all counters, copied and each one read', 6 * scale, () => {
    const snapshot = stats.snapshot(names);
    let sum = 0;
    for (const name of names) {
      const vector = snapshot.vector(name)!;
      const { length } = vector;
      for (let i = 0; i < length; i++) sum += vector.sum(i);
      if (vector.type === 'combined') for (let i = 0; i < length; i++) sum += vector.sum(i, 1);
    }
    return sum;
  });
  const one = stats.interface(7);
  const single = await times(runs, () => {
    let sum = 0;
    for (let i = 0; i < 10_000; i++) sum += one.read()!.rx.packets;
    return sum;
  });
  rows.push({
    name: "one interface's 17 counters",
    p50: single.p50 / 10,
    p99: single.p99 / 10,
    unit: 'µs',
    target: 2,
    cpuMs: single.cpuMs / 10_000,
  });
  const used = process.cpuUsage();
  const began = performance.now();
  let polls = 0;
  let last: Snapshot | undefined;
  for await (const snapshot of stats.subscribe(['/if/', '/interfaces/'], { intervalMs: 100 })) {
    last = snapshot;
    snapshot.reading('/interfaces/bench7/rx');
    if (++polls === 50) break;
  }
  const { user, system } = process.cpuUsage(used);
  const load = ((user + system) / 1000 / (performance.now() - began)) * 100;
  if (last === undefined) throw new Error('nothing was read');
  rows.push({ name: 'polling at 10 Hz, share of a core', p50: load, p99: load, unit: '%', target: 5 });
  await stats.close();
  return rows;
}

/** What is asked of a segment of 1,000 interfaces: a scrape, and whether anything grows. */
async function oursOfThousand(socket: string): Promise<Row[]> {
  const stats = await connectStats({ socket });
  const scrape = await times(runs, () => metrics(stats));
  const memory = () => {
    for (let i = 0; i < 3; i++) gc!();
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    return (heapUsed + arrayBuffers) / 1024;
  };
  let last: Snapshot | undefined;
  const poll = async (polls: number) => {
    for (let i = 0; i < polls; i++) {
      last = stats.snapshot(['/if/', '/interfaces/'], { since: last });
      if (last.reading('/interfaces/bench7/rx') === undefined) throw new Error('nothing was read');
      if (i % 100 === 0) await new Promise(setImmediate);
    }
  };
  await poll(1000);
  const before = memory();
  await poll(10_000);
  const grown = memory() - before;
  await stats.close();
  return [
    { name: 'metrics of 1000 interfaces', ...scrape, unit: 'ms', target: 15 },
    { name: 'growth over 10,000 polls of 1000 interfaces', p50: grown, p99: grown, unit: 'KB', target: 256 },
  ];
}

/** Serves a segment to `use`, in a process of its own. */
async function withSegment<T>(count: number, use: (socket: string) => Promise<T>): Promise<T> {
  // The peers want a path.
  const socket = `/tmp/node-vpp-bench-${process.pid}.sock`;
  const server = fork(self, ['--role', 'serve', '--socket', socket, '--interfaces', String(count)]);
  await once(server, 'message');
  try {
    return await use(socket);
  } finally {
    server.kill();
    await once(server, 'exit');
  }
}

async function readBy(role: string, socket: string, count: number): Promise<Row[]> {
  const args = ['--role', role, '--socket', socket, '--interfaces', String(count), '--runs', String(runs)];
  const reader = fork(self, args, { execArgv: ['--expose-gc'] });
  const [rows] = (await once(reader, 'message')) as [Row[]];
  return rows;
}

async function clients(socket: string): Promise<Row[]> {
  const rows: Row[] = [];
  for (const [who, client] of [
    ['GoVPP', govppStats()],
    ['vpp-papi', papiStats()],
  ] as const) {
    if ('missing' in client) {
      console.log(`${who}: ${client.missing}`);
      continue;
    }
    const { lines, errors, code } = await runClient(
      client.command,
      [socket, 'bench', String(runs), '5'],
      undefined,
      90_000,
    );
    if (code !== 0) console.log(`${who} was ended after 90 s, or failed: ${errors.slice(-200)}`);
    for (const line of lines as { row: string; entries: number; runs: number; p50ms: number; p99ms: number }[]) {
      const single = line.row === 'interface';
      // GoVPP does a hundred readings each.
      const scale = !single ? 1 : who === 'GoVPP' ? 10 : 1000;
      rows.push({
        name: `${who}: ${line.row} (${line.entries} entries)`,
        p50: line.p50ms * scale,
        p99: line.p99ms * scale,
        unit: single ? 'µs' : 'ms',
        runs: line.runs,
      });
    }
  }
  return rows;
}

/** VPP's C tool: a whole process, which prints. */
function vppGetStats(socket: string): Row[] {
  const tool = join(options['vpp-bin'], 'vpp_get_stats');
  if (!existsSync(tool)) {
    console.log(`vpp_get_stats: not in ${options['vpp-bin']}`);
    return [];
  }
  const env = { ...process.env, LD_LIBRARY_PATH: join(dirname(tool), '../lib/x86_64-linux-gnu') };
  return ['/if/', '/'].flatMap((pattern) => {
    const took: number[] = [];
    const end = performance.now() + 5000;
    while (took.length === 0 || (took.length < runs && performance.now() < end)) {
      const began = performance.now();
      const { status } = spawnSync(tool, ['socket-name', socket, 'machine', 'dump', pattern], {
        env,
        stdio: 'ignore',
        timeout: 30_000,
        killSignal: 'SIGKILL',
      });
      if (status !== 0) {
        console.log(`vpp_get_stats dump ${pattern}: not done after 30 s, or failed`);
        return [];
      }
      took.push(performance.now() - began);
    }
    const name = `vpp_get_stats machine dump ${pattern} (a process)`;
    return [{ name, ...quantiles(took), unit: 'ms', runs: took.length }];
  });
}

function print(rows: readonly Row[]): void {
  const width = Math.max(...rows.map(({ name }) => name.length));
  for (const { name, p50, p99, unit, target, cpuMs, runs: ran } of rows) {
    const digits = p50 < 10 ? 2 : 1;
    let line = `${name.padEnd(width)}  p50 ${p50.toFixed(digits).padStart(9)} ${unit.padEnd(2)}  p99 ${p99.toFixed(digits).padStart(9)} ${unit.padEnd(2)}`;
    if (cpuMs !== undefined) {
      line += unit === 'µs' ? `  processor ${(cpuMs * 1000).toFixed(2)} µs` : `  processor ${cpuMs.toFixed(2)} ms`;
    }
    if (ran !== undefined) line += `  ${ran} run${ran === 1 ? '' : 's'}`;
    if (target !== undefined) line += `  target ${target} ${unit}${p50 <= target ? '' : '  MISSED'}`;
    console.log(line);
  }
}

async function main(): Promise<void> {
  const count = Number(options.interfaces);
  console.log(`${count} interfaces, 2 threads, ${runs} runs`);
  await withSegment(count, async (socket) => {
    print(await readBy('read', socket, count));
    if (!options.ours) print([...(await clients(socket)), ...vppGetStats(socket)]);
  });
  await withSegment(1000, async (socket) => print(await readBy('thousand', socket, 1000)));
}

if (options.role === 'serve') serve(options.socket, Number(options.interfaces));
else if (options.role === 'main') await main();
else {
  const work =
    options.role === 'thousand' ? oursOfThousand(options.socket) : ours(options.socket, Number(options.interfaces));
  process.send!(await work);
  process.disconnect();
}
