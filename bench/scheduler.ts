// Bench: the scheduler alone, against a southbound that answers at once. Time and memory per case, each in a process of
// its own; p50 and p99 where a case is repeated.
//
//   nice node build/js/bench/scheduler.js               all rows
//   node build/js/bench/scheduler.js --case independent-10000

import { spawnSync } from 'node:child_process';
import { PerformanceObserver } from 'node:perf_hooks';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir, cpus } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Scheduler, type Descriptor, type SchedulerOptions } from 'node-vpp/scheduler';

interface Figures {
  /** Milliseconds by the clock, and of processor time (all threads): on a busy machine the second is the one to trust. */
  readonly ms: number;
  readonly cpuMs: number;
  /**
   * Means of a case that is repeated: a collection falls into some rounds of a small transaction and not into others, and
   * the median is that of a round without one.
   */
  readonly meanMs?: number;
  readonly meanCpuMs?: number;
  /** Milliseconds by the clock in which the garbage collector stopped everything else. */
  readonly gcMs?: number;
  readonly p50?: number;
  readonly p99?: number;
  /** Bytes held per value when it is done, and at the worst moment. */
  readonly heldPerValue?: number;
  readonly peakPerValue?: number;
  readonly note?: string;
}

interface Value {
  readonly mtu: number;
  readonly on?: string;
}

/** What is there: a pool, as VPP has, whose index is the metadata. The cheapest southbound there could be, at any size. */
function world(): Descriptor[] {
  const descriptor = (name: string, keys: string): Descriptor<Value, number> => {
    const pool: ({ key: string; value: Value } | undefined)[] = [];
    return {
      name,
      keys,
      dependencies: (_key, value) => (value.on === undefined ? [] : [value.on]),
      create: (request) => pool.push(request) - 1,
      update: (request) => {
        pool[request.metadata] = request;
        return request.metadata;
      },
      remove: ({ metadata }) => void (pool[metadata] = undefined),
      *retrieve({ keys: wanted }) {
        const all = wanted === undefined ? undefined : new Set(wanted);
        for (let index = 0; index < pool.length; index += 1) {
          const there = pool[index];
          if (there === undefined || all?.has(there.key) === false) continue;
          yield { key: there.key, value: { ...there.value }, metadata: index };
        }
      },
    };
  };
  return [descriptor('interface', 'interface/'), descriptor('route', 'route/')];
}

function collect(): void {
  (globalThis as { gc?: () => void }).gc?.();
}

function held(): number {
  collect();
  collect();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

function percentile(sorted: readonly number[], part: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))]!;
}

/** Starts a stop watch. */
function watch(): () => { ms: number; cpuMs: number } {
  const cpu = process.cpuUsage();
  const began = performance.now();
  return () => {
    const ms = performance.now() - began;
    const { user, system } = process.cpuUsage(cpu);
    return { ms, cpuMs: (user + system) / 1000 };
  };
}

function* values(count: number, from = 0): Generator<[string, Value]> {
  for (let i = from; i < from + count; i += 1) yield [`interface/port-${i}`, { mtu: 1500 + (i % 9) }];
}

/** Lets the compiler see every path before the clock runs. */
async function warm(rounds = 3): Promise<void> {
  for (let round = 0; round < rounds; round += 1) {
    const scheduler = await Scheduler.open({ descriptors: world(), startup: 'none' });
    await scheduler.commit({ set: [...values(5000)] });
    await scheduler.commit({
      set: [...values(200, 5000)].map(([key, { mtu }]) => [key, { mtu, on: 'interface/port-1' }] as const),
    });
    await scheduler.commit({ delete: [...values(100)].map(([key]) => key) });
    for (let i = 0; i < 500; i += 1) await scheduler.commit({ set: [...values(1, 100_000 + i)] });
    await scheduler.resync('downstream');
    await scheduler.close();
  }
  collect();
}

async function open(options: SchedulerOptions = {}): Promise<Scheduler> {
  return Scheduler.open({ descriptors: world(), ...options });
}

/** Repeats a case and gives the median; memory is taken from the first, which is not timed. */
async function repeat(rounds: number, once: (measure: boolean) => Promise<Figures>): Promise<Figures> {
  const memory = await once(true);
  const all: Figures[] = [];
  for (let i = 0; i < rounds; i += 1) all.push(await once(false));
  all.sort((a, b) => a.ms - b.ms);
  const median = all[Math.floor(rounds / 2)]!;
  const cpu = all.map(({ cpuMs }) => cpuMs).sort((a, b) => a - b)[Math.floor(rounds / 2)]!;
  const meanMs = all.reduce((sum, { ms }) => sum + ms, 0) / rounds;
  const meanCpuMs = all.reduce((sum, { cpuMs }) => sum + cpuMs, 0) / rounds;
  const times = { cpuMs: cpu, meanMs, meanCpuMs, p50: median.ms, p99: all[rounds - 1]!.ms };
  return { ...memory, ...median, ...pick(memory), ...times };
}

/** The memory figures, which only the first round has. */
function pick({ heldPerValue, peakPerValue }: Figures): Partial<Figures> {
  return heldPerValue === undefined ? {} : { heldPerValue, peakPerValue: peakPerValue! };
}

/** Collects, and lets the code that a collection throws away be compiled again. */
async function settled(): Promise<void> {
  collect();
  for (let round = 0; round < 8; round += 1) {
    const scheduler = await open();
    await scheduler.commit({ set: [...values(5000)] });
    await scheduler.close();
  }
}

/** Adds up the garbage collector's pauses. */
function pauses(): { stop: () => Promise<number> } {
  let ms = 0;
  const observer = new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) ms += duration;
  });
  observer.observe({ entryTypes: ['gc'] });
  return {
    stop: async () => {
      await new Promise((resolve) => void setImmediate(resolve));
      for (const { duration } of observer.takeRecords()) ms += duration;
      observer.disconnect();
      return ms;
    },
  };
}

/**
 * So many new values, `size` in each transaction. Many transactions of one size pay for all they make: what one leaves to
 * the collector the next ones have to clear away.
 */
async function many(count: number, measure: boolean, size = count): Promise<Figures> {
  const scheduler = await open();
  const sets = Array.from({ length: count / size }, (_none, i) => [...values(size, i * size)]);
  // What the round before has left is not this one's to clear away.
  const before = measure ? held() : 0;
  if (!measure) await settled();
  const gc = pauses();
  const rssBefore = process.memoryUsage().rss;
  let peak = 0;
  const timer = setInterval(() => (peak = Math.max(peak, process.memoryUsage().rss)), 50);
  if (!measure) clearInterval(timer);
  const stop = watch();
  let ok = true;
  for (const set of sets) ok &&= (await scheduler.commit({ set })).ok;
  const times = stop();
  const gcMs = await gc.stop();
  clearInterval(timer);
  peak = Math.max(peak, process.memoryUsage().rss);
  const after = measure ? held() : 0;
  if (!ok || scheduler.status('interface/port-7').state !== 'configured') throw new Error('it did not configure');
  const memory = { heldPerValue: (after - before) / count, peakPerValue: (peak - rssBefore) / count };
  return { ...times, gcMs, ...(measure ? memory : {}) };
}

async function chain(): Promise<Figures> {
  const scheduler = await open();
  const count = 10_000;
  const set: [string, Value][] = [];
  // Worst first: the last link is named before what it needs.
  for (let i = count - 1; i >= 0; i -= 1) {
    set.push([`interface/link-${i}`, { mtu: 1500, ...(i === 0 ? {} : { on: `interface/link-${i - 1}` }) }]);
  }
  const stop = watch();
  const result = await scheduler.commit({ set });
  const times = stop();
  if (!result.ok || scheduler.applied(`interface/link-${count - 1}`) === undefined)
    throw new Error('the chain is not whole');
  const undoing = performance.now();
  await scheduler.commit({ delete: ['interface/link-0'] });
  const note = `taking it down by its first link: ${(performance.now() - undoing).toFixed(0)} ms`;
  if (scheduler.applied(`interface/link-${count - 1}`) !== undefined) throw new Error('the chain still stands');
  return { ...times, note };
}

async function star(): Promise<Figures> {
  const scheduler = await open();
  const count = 100_000;
  const set: [string, Value][] = [];
  for (let i = 0; i < count; i += 1) set.push([`route/ray-${i}`, { mtu: i, on: 'interface/hub' }]);
  set.push(['interface/hub', { mtu: 9000 }]);
  const stop = watch();
  const result = await scheduler.commit({ set });
  const times = stop();
  if (!result.ok || scheduler.applied('route/ray-99999') === undefined) throw new Error('the star is not whole');
  const undoing = performance.now();
  await scheduler.commit({ delete: ['interface/hub'] });
  const note = `taking it down by its hub: ${(performance.now() - undoing).toFixed(0)} ms`;
  if (scheduler.applied('route/ray-0') !== undefined) throw new Error('the star still stands');
  return { ...times, note };
}

async function one(scheduler: Scheduler, rounds: number): Promise<Figures> {
  const times: number[] = [];
  const stop = watch();
  for (let i = 0; i < rounds; i += 1) {
    const change = { set: { [`interface/port-${(i * 7919) % 1_000_000}`]: { mtu: 2000 + i } } };
    const start = performance.now();
    const result = await scheduler.commit(change);
    times.push(performance.now() - start);
    if (!result.ok) throw new Error('a transaction failed');
  }
  const { ms, cpuMs } = stop();
  times.sort((a, b) => a - b);
  return { ms: ms / rounds, cpuMs: cpuMs / rounds, p50: percentile(times, 0.5), p99: percentile(times, 0.99) };
}

async function oneInMemory(): Promise<Figures> {
  const scheduler = await open();
  await scheduler.commit({ set: values(1_000_000) });
  collect();
  return one(scheduler, 20_000);
}

function temporary(): { path: string; remove: () => void } {
  const path = mkdtempSync(join(process.env.BENCH_DIR ?? tmpdir(), 'node-vpp-bench-'));
  return { path, remove: () => rmSync(path, { recursive: true }) };
}

async function oneJournalled(): Promise<Figures> {
  const { path, remove } = temporary();
  try {
    const scheduler = await open({ journal: { path, snapshotBytes: 2 ** 40 } });
    await scheduler.commit({ set: values(1_000_000) });
    collect();
    const alone = await one(scheduler, 1000);
    // 64 clients at once: their intents share a write and a sync.
    const began = performance.now();
    const clients = Array.from({ length: 64 }, async (_none, client) => {
      for (let i = 0; i < 50; i += 1)
        await scheduler.commit({ set: { [`interface/port-${client * 1000 + i}`]: { mtu: 3000 + i } } });
    });
    await Promise.all(clients);
    const rate = (64 * 50) / ((performance.now() - began) / 1000);
    await scheduler.destroy();
    return { ...alone, note: `64 clients at once: ${rate.toFixed(0)} transactions/s` };
  } finally {
    remove();
  }
}

async function resync(): Promise<Figures> {
  const scheduler = await open();
  await scheduler.commit({ set: values(1_000_000) });
  collect();
  const stop = watch();
  const result = await scheduler.resync('downstream');
  const times = stop();
  const [record] = scheduler.history({ seq: result.seq });
  if (!result.ok || record?.operations.length !== 0) throw new Error('the resync found something to do');
  return times;
}

async function recovery(): Promise<Figures> {
  const { path, remove } = temporary();
  try {
    const first = await open({ journal: { path, snapshotBytes: 2 ** 40 } });
    await first.commit({ set: values(1_000_000) });
    await first.destroy();
    collect();
    const before = held();
    const stop = watch();
    const second = await open({ journal: { path }, startup: 'none' });
    const times = stop();
    if (second.recovered?.values !== 1_000_000) throw new Error('it did not recover everything');
    const heldPerValue = (held() - before) / 1_000_000;
    await second.destroy();
    return { ...times, heldPerValue };
  } finally {
    remove();
  }
}

interface Row {
  readonly name: string;
  /** Values of the transaction. */
  readonly count?: number;
  readonly title: string;
  readonly target: string;
  readonly ligato: string;
  readonly run: () => Promise<Figures>;
}

function independent(count: number, rounds: number, target: string, ligato: string): Row {
  return {
    name: `independent-${count}`,
    title: `${count.toLocaleString('en')} independent values, history on`,
    count,
    target,
    ligato,
    run: () => repeat(rounds, (measure) => many(count, measure)),
  };
}

function successive(size: number): Row {
  const count = 1_000_000;
  return {
    name: `successive-${size}`,
    title: `1,000,000 values, ${size.toLocaleString('en')} in each of ${count / size} transactions`,
    count,
    target: 'linear',
    ligato: '-',
    run: () => repeat(5, (measure) => many(count, measure, size)),
  };
}

const rows: readonly Row[] = [
  independent(10_000, 60, '60 ms', '16.9 s (0.28 s bare)'),
  independent(100_000, 9, 'linear', '-'),
  independent(1_000_000, 5, '8 s, 1 kB', '-'),
  successive(10_000),
  successive(100_000),
  {
    name: 'one',
    title: 'one-value transaction, store of 1 M',
    target: 'p50 20 µs',
    ligato: '100-127 µs (44-50 µs bare)',
    run: oneInMemory,
  },
  {
    name: 'one-journalled',
    title: 'the same, journal synced',
    target: 'p50 2 ms',
    ligato: 'no journal',
    run: oneJournalled,
  },
  { name: 'chain', title: 'chain of 10,000 dependencies', target: '100 ms', ligato: '-', run: () => repeat(15, chain) },
  { name: 'star', title: 'star of 100,000 on one', target: '700 ms', ligato: '-', run: () => repeat(7, star) },
  { name: 'resync', title: 'resync of 1 M in-sync values', target: '4 s', ligato: '0.30 s for 10,000', run: resync },
  {
    name: 'recovery',
    title: 'recovery from a journal of 1 M values',
    target: '5 s',
    ligato: 'no journal',
    run: recovery,
  },
];

function time(ms: number): string {
  if (ms < 1) return `${(ms * 1000).toFixed(1)} µs`;
  return ms < 1000 ? `${ms.toFixed(1)} ms` : `${(ms / 1000).toFixed(2)} s`;
}

function report(): void {
  const cpu = cpus();
  console.log(
    `Scheduler, Node ${process.version}, ${cpu.length} × ${cpu[0]!.model.trim()}. Ligato: KVScheduler on the same kind of machine, quoted, not run here.\n`,
  );
  console.log(
    '| case | time | collector | processor time | per value | processor per value | p50 | p99 | held per value | peak per value | target | Ligato |',
  );
  console.log('|---|---|---|---|---|---|---|---|---|---|---|---|');
  const notes: string[] = [];
  const costs: [title: string, ms: number, cpuMs: number][] = [];
  for (const row of rows) {
    const flags = ['--expose-gc', '--max-old-space-size=8192'];
    const child = spawnSync(process.execPath, [...flags, fileURLToPath(import.meta.url), '--case', row.name], {
      encoding: 'utf8',
    });
    if (child.status !== 0) {
      console.log(
        `| ${row.title} | failed: ${child.stderr.split('\n').find((line) => line.includes('Error')) ?? ''} |`,
      );
      process.exitCode = 1;
      continue;
    }
    const figures = JSON.parse(child.stdout) as Figures;
    const { count } = row;
    const each = (ms: number): string => (count === undefined ? '-' : `${((ms * 1000) / count).toFixed(2)} µs`);
    if (count !== undefined) costs.push([row.title, (figures.meanMs ?? 0) / count, (figures.meanCpuMs ?? 0) / count]);
    const bytes = (n: number | undefined): string => (n === undefined ? '-' : `${n.toFixed(0)} B`);
    const of = (ms: number | undefined): string => (ms === undefined ? '-' : time(ms));
    const cells = [
      row.title,
      time(figures.ms),
      of(figures.gcMs),
      time(figures.cpuMs),
      each(figures.meanMs ?? figures.ms),
      each(figures.meanCpuMs ?? figures.cpuMs),
      of(figures.p50),
      of(figures.p99),
      bytes(figures.heldPerValue),
      bytes(figures.peakPerValue),
      row.target,
      row.ligato,
    ];
    console.log(`| ${cells.join(' | ')} |`);
    if (figures.note !== undefined) notes.push(`${row.title}: ${figures.note}`);
  }
  const [, , , first] = costs;
  for (const [title, ms, cpuMs] of costs) {
    const ratios =
      first === undefined ? '' : `; to ${first[0]}: ${(ms / first[1]).toFixed(2)}, ${(cpuMs / first[2]).toFixed(2)}`;
    notes.push(`${title}: a value ${(ms * 1000).toFixed(2)} µs, processor ${(cpuMs * 1000).toFixed(2)} µs${ratios}`);
  }
  if (notes.length > 0) console.log(`\n${notes.join('\n')}`);
}

const wanted = process.argv.indexOf('--case');
if (wanted < 0) report();
else {
  const row = rows.find(({ name }) => name === process.argv[wanted + 1]);
  if (row === undefined) throw new Error(`there is no such case; there are ${rows.map(({ name }) => name).join(', ')}`);
  await warm();
  console.log(JSON.stringify(await row.run()));
}
