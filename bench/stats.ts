// How fast the stats of 10,000 interfaces are read, beside VPP's Python client, GoVPP and vpp_get_stats on the same
// segment: one table.
//
//   node build/js/bench/stats.js                 every case
//   … --interfaces 1000 --runs 50                another segment, more runs of each case (default 10000, 30)
//   … --vpp-bin /usr/bin                         where vpp_get_stats is (default: beside VPP_BIN)
//
// A process of its own serves the segment; each reader is a process of its own. p50 and p99 are of whole runs.

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
  readonly more?: string;
}

/** Runs `work` and gives its times, ms. The first runs, before the compiler is done, are thrown away. */
async function times(count: number, work: () => unknown): Promise<{ p50: number; p99: number }> {
  const took: number[] = [];
  let kept: unknown;
  for (let i = 0; i < count + 15; i++) {
    const began = performance.now();
    kept = work();
    took.push(performance.now() - began);
    await new Promise(setImmediate);
  }
  if (kept === undefined) throw new Error('nothing was read');
  const sorted = took.slice(-count).sort((a, b) => a - b);
  return { p50: sorted[Math.floor(count / 2)]!, p99: sorted[Math.floor(count * 0.99)]! };
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
  rows.push({ name: "one interface's 17 counters", p50: single.p50 / 10, p99: single.p99 / 10, unit: 'µs', target: 2 });
  if (count >= 1000) await add(`metrics of ${count} interfaces`, (15 * count) / 1000, () => metrics(stats));
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

async function main(): Promise<void> {
  const count = Number(options.interfaces);
  // The peers want a path.
  const socket = `/tmp/node-vpp-bench-${process.pid}.sock`;
  const server = fork(self, ['--role', 'serve', '--socket', socket, '--interfaces', String(count)], {
    stdio: 'inherit',
  });
  await once(server, 'message');
  try {
    const reader = fork(self, [
      '--role',
      'read',
      '--socket',
      socket,
      '--interfaces',
      String(count),
      '--runs',
      String(runs),
    ]);
    const [rows] = (await once(reader, 'message')) as [Row[]];
    const all = [...rows];
    for (const [who, client] of [
      ['GoVPP', govppStats()],
      ['vpp-papi', papiStats()],
    ] as const) {
      if ('missing' in client) {
        console.log(`${who}: ${client.missing}`);
        continue;
      }
      const { lines, errors } = await runClient(client.command, [socket, 'bench', String(who === 'GoVPP' ? runs : 3)]);
      if (lines.length === 0) console.log(`${who}: ${errors.slice(-200)}`);
      for (const { row, entries, p50ms, p99ms } of lines as {
        row: string;
        entries: number;
        p50ms: number;
        p99ms: number;
      }[]) {
        const single = row === 'interface';
        // GoVPP does a hundred readings each.
        const scale = !single ? 1 : who === 'GoVPP' ? 10 : 1000;
        all.push({
          name: `${who}: ${row} (${entries} entries)`,
          p50: p50ms * scale,
          p99: p99ms * scale,
          unit: single ? 'µs' : 'ms',
        });
      }
    }
    const tool = join(options['vpp-bin'], 'vpp_get_stats');
    if (existsSync(tool)) {
      const env = { ...process.env, LD_LIBRARY_PATH: join(dirname(tool), '../lib/x86_64-linux-gnu') };
      const dump = await times(
        5,
        () => spawnSync(tool, ['socket-name', socket, 'machine', 'dump', '/'], { env, maxBuffer: 1 << 30 }).status,
      );
      all.push({ name: 'vpp_get_stats machine dump / (whole process, prints)', ...dump, unit: 'ms' });
    }
    console.log(`${count} interfaces, 2 threads, ${runs} runs`);
    const width = Math.max(...all.map(({ name }) => name.length));
    for (const { name, p50, p99, unit, target } of all) {
      const line = `${name.padEnd(width)}  p50 ${p50.toFixed(2).padStart(9)} ${unit.padEnd(2)}  p99 ${p99.toFixed(2).padStart(9)} ${unit}`;
      console.log(target === undefined ? line : `${line}   target ${target} ${unit}${p50 <= target ? '' : '  MISSED'}`);
    }
  } finally {
    server.kill();
  }
}

if (options.role === 'serve') serve(options.socket, Number(options.interfaces));
else if (options.role === 'read') {
  process.send!(await ours(options.socket, Number(options.interfaces)));
  process.disconnect();
} else await main();
