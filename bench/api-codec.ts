// How fast messages of the binary API are encoded and decoded, and what it costs to have their schemas and types.
//
//   node build/js/bench/api-codec.js             every case, each in its own process
//   node build/js/bench/api-codec.js decode      the cases whose name contains "decode"
//   node build/js/bench/api-codec.js start       loading the module, a schema, a codec; types in tsc
//
// A case works on 256 different messages in turn. Encoded bytes are summed, decoded objects kept in a ring of 256, and
// both shown to mitata's do_not_optimize. "garbage" is how much the heap grew per message, in a process of its own whose
// young generation is so large that it is not collected meanwhile. The peer of a row is the closures that do the same
// where code generation is not allowed.

import Benchmark from 'benchmark';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { do_not_optimize, measure } from 'mitata';
import { loadBundled, type MessageCodec } from 'node-vpp/api';

const BATCH = 256;
const root = fileURLToPath(new URL('../../..', import.meta.url));

type Fields = Record<string, unknown>;

/** What is measured, with the rate it is meant to reach per second. */
const messages: readonly { name: string; target: number; fields: (i: number) => Fields }[] = [
  {
    name: 'ip_route_add_del_v2',
    target: 1.5e6,
    fields: (i) => ({
      is_add: true,
      is_multipath: false,
      route: {
        table_id: 0,
        prefix: `10.${i}.2.0/24`,
        paths: [{ sw_if_index: i, weight: 1, proto: 0, nh: { address: `192.168.1.${i}` } }],
      },
    }),
  },
  {
    name: 'sw_interface_details',
    target: 1e6,
    fields: (i) => ({
      sw_if_index: i,
      sup_sw_if_index: i,
      l2_address: `02:fe:00:00:00:${i.toString(16).padStart(2, '0')}`,
      flags: 3,
      type: 0,
      link_duplex: 2,
      link_speed: 10_000_000,
      link_mtu: 9000,
      mtu: [9000, 0, 0, 0],
      b_dmac: '00:00:00:00:00:00',
      b_smac: '00:00:00:00:00:00',
      interface_name: `GigabitEthernet0/${i}/0`,
      interface_dev_type: 'dpdk',
      tag: i % 2 === 0 ? '' : 'uplink',
    }),
  },
  { name: 'control_ping', target: 5e6, fields: () => ({}) },
];

interface Case {
  name: string;
  target?: number;
  peer?: string;
  prepare: () => () => number;
}

function caseOf(
  what: 'encode' | 'decode' | 'row, 3 fields',
  message: (typeof messages)[number],
  backend: 'generated' | 'closures',
): Case {
  const name = `${what} ${message.name}`;
  return {
    name: backend === 'generated' ? name : `${name}, closures`,
    ...(backend === 'generated' && what !== 'row, 3 fields'
      ? { target: message.target, peer: `${name}, closures` }
      : {}),
    prepare: () => {
      const codec = loadBundled('26.06').codec(message.name, { backend })!;
      const inputs = Array.from({ length: BATCH }, (_, i) => message.fields(i));
      const size = Math.max(...inputs.map((fields) => codec.size(fields)));
      const bytes = new Uint8Array(BATCH * size);
      if (what === 'encode') {
        return () => {
          let sum = 0;
          for (let i = 0; i < BATCH; i++) sum += codec.encode(inputs[i]!, bytes, i * size);
          return sum;
        };
      }
      const ends = inputs.map((fields, i) => codec.encode(fields, bytes, i * size));
      if (what === 'decode') {
        const kept: unknown[] = new Array(BATCH).fill(undefined);
        return () => {
          for (let i = 0; i < BATCH; i++) kept[i] = codec.decode(bytes, i * size, ends[i]!);
          do_not_optimize(kept);
          return kept.length;
        };
      }
      return rowReader(codec, bytes, size, ends);
    },
  };
}

/** Reads three fields of each row, as a program does that looks for something in a dump. */
function rowReader(codec: MessageCodec, bytes: Uint8Array, size: number, ends: readonly number[]): () => number {
  return () => {
    let sum = 0;
    for (let i = 0; i < BATCH; i++) {
      const row = codec.view(bytes, i * size, ends[i]!);
      sum += Number(row.sw_if_index) + Number(row.flags) + String(row.interface_name).length;
    }
    return sum;
  };
}

const cases: Case[] = [
  ...messages.flatMap((message) =>
    (['closures', 'generated'] as const).flatMap((backend) => [
      caseOf('encode', message, backend),
      caseOf('decode', message, backend),
    ]),
  ),
  caseOf('row, 3 fields', messages[1]!, 'generated'),
];

interface Figures {
  rate: number;
  margin: number;
  p50Ns: number;
  p99Ns: number;
}

/** Bytes of heap that one message leaves behind, in a child whose heap is not collected meanwhile. */
function measureGarbage(wanted: Case): number {
  const run = wanted.prepare();
  let sink = 0;
  for (let i = 0; i < 400; i++) sink += run();
  globalThis.gc!();
  const rounds = 1000;
  const before = process.memoryUsage().heapUsed;
  for (let i = 0; i < rounds; i++) sink += run();
  const grown = process.memoryUsage().heapUsed - before;
  do_not_optimize(sink);
  return grown / (rounds * BATCH);
}

/** What the child does: one case. */
async function measureCase(wanted: Case): Promise<Figures> {
  const run = wanted.prepare();
  let sink = 0;
  const consumed = (): void => {
    sink += run();
    do_not_optimize(sink);
  };
  const spread = await measure(consumed, { min_cpu_time: 200e6 });
  const bench = await new Promise<Benchmark>((resolve, reject) => {
    new Benchmark(wanted.name, consumed, { maxTime: 1, async: true })
      .on('complete', (event: Benchmark.Event) => resolve(event.currentTarget as unknown as Benchmark))
      .on('error', (event: Benchmark.Event) =>
        reject(new Error(String((event.currentTarget as unknown as { error: unknown }).error))),
      )
      .run();
  });
  if (sink === 0) throw new Error(`${wanted.name}: nothing was computed`);
  return {
    rate: bench.hz * BATCH,
    margin: bench.stats.rme,
    p50Ns: spread.p50 / BATCH,
    p99Ns: spread.p99 / BATCH,
  };
}

/** Runs one case in a process of its own. */
function child(flags: readonly string[], what: string, { name }: Case): string {
  const index = cases.findIndex((each) => each.name === name);
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [...flags, fileURLToPath(import.meta.url), what, String(index)],
    {
      encoding: 'utf8',
    },
  );
  if (status !== 0) throw new Error(`the case "${name}" ended with ${status}: ${stderr}`);
  return stdout;
}

function table(words: readonly string[]): void {
  const chosen = cases.filter(({ name }) => words.every((word) => name.includes(word)));
  const rates = new Map<string, number>();
  console.log(
    `${'case'.padEnd(38)} ${'rate'.padStart(11)} ${'±'.padStart(5)} ${'p50'.padStart(9)} ${'p99'.padStart(9)} ${'garbage'.padStart(9)}  ${'target'.padStart(8)}  ratio to closures`,
  );
  for (const each of chosen) {
    const { rate, margin, p50Ns, p99Ns } = JSON.parse(child([], '--case', each)) as Figures;
    // Room for all the garbage of a run, so that the heap only grows.
    const garbage = Number(
      child(['--expose-gc', '--min-semi-space-size=512', '--max-semi-space-size=512'], '--garbage', each),
    );
    rates.set(each.name, rate);
    const peer = each.peer === undefined ? undefined : rates.get(each.peer);
    const mega = (value: number): string => `${(value / 1e6).toFixed(value < 1e7 ? 2 : 1)} M/s`;
    console.log(
      `${each.name.padEnd(38)} ${mega(rate).padStart(11)} ${`${margin.toFixed(0)} %`.padStart(5)} ${`${p50Ns.toFixed(0)} ns`.padStart(9)} ${`${p99Ns.toFixed(0)} ns`.padStart(9)} ` +
        `${`${Math.max(0, garbage).toFixed(1)} B`.padStart(9)}  ${(each.target === undefined ? '' : mega(each.target)).padStart(8)}  ${peer === undefined ? '' : `${(rate / peer).toFixed(1)}x`}`,
    );
  }
}

const median = (values: number[]): number => values.sort((a, b) => a - b)[Math.floor(values.length / 2)]!;

/** Runs a program 9 times in new processes; it prints numbers, whose best and median are returned. */
function cold(file: string, program: string): { best: number; mid: number }[] {
  writeFileSync(file, program);
  const runs = Array.from({ length: 9 }, () =>
    execFileSync(process.execPath, [file], { encoding: 'utf8' }).split(' ').map(Number),
  );
  return runs[0]!.map((_, column) => {
    const values = runs.map((run) => run[column]!);
    return { best: Math.min(...values), mid: median(values) };
  });
}

function start(): void {
  const folder = join(root, 'build/bench-types');
  mkdirSync(folder, { recursive: true });
  const [importMs, importMb, schemaMs, codecMs, requestMs] = cold(
    join(folder, 'start.mjs'),
    `
    const rss = () => process.memoryUsage().rss / 2 ** 20;
    const rss0 = rss(), t0 = performance.now();
    const { loadBundled } = await import('node-vpp/api');
    const t1 = performance.now(), rss1 = rss();
    const schema = loadBundled('26.06');
    const t2 = performance.now();
    const codec = schema.codec('ip_route_add_del_v2');
    const t3 = performance.now();
    const fields = { route: { prefix: '10.0.0.0/8', paths: [{ nh: { address: '10.0.0.1' } }] } };
    const bytes = new Uint8Array(codec.size(fields));
    codec.encode(fields, bytes, 0);
    codec.decode(bytes, 0, bytes.length);
    const t4 = performance.now();
    process.stdout.write([t1 - t0, rss1 - rss0, t2 - t1, t3 - t2, t4 - t3].join(' '));`,
  );
  const ms = (figure: { best: number; mid: number } | undefined): string =>
    `${figure!.best.toFixed(1)} ms (median ${figure!.mid.toFixed(1)})`;
  console.log(`import node-vpp/api            ${ms(importMs)}, ${importMb!.mid.toFixed(1)} MB    target 30 ms, 15 MB`);
  console.log(`load the schema of a release   ${ms(schemaMs)}`);
  console.log(`plan a codec                   ${ms(codecMs)}`);
  console.log(`compile, encode, decode once   ${ms(requestMs)}`);

  const programs = {
    'no message types': `export const ready: boolean = process.pid > 0;`,
    'three requests of 26.06': `
      import type { FieldsOf, NewestApi, ReplyOf } from 'node-vpp/api';
      export const up: FieldsOf<NewestApi, 'sw_interface_set_flags'> = { sw_if_index: 1, flags: 'IF_STATUS_API_FLAG_ADMIN_UP' };
      export const add: FieldsOf<NewestApi, 'ip_route_add_del_v2'> = { route: { prefix: '10.0.0.0/8', paths: [{ nh: { address: '10.0.0.1' } }] } };
      export const version = (reply: ReplyOf<NewestApi, 'show_version'>): string => reply.version;`,
  };
  for (const [name, text] of Object.entries(programs)) {
    const file = join(folder, 'program.ts');
    writeFileSync(file, text);
    const options = [
      '--ignoreConfig',
      '--noEmit',
      '--strict',
      '--skipLibCheck',
      '--target',
      'es2022',
      '--module',
      'nodenext',
      '--types',
      'node',
    ];
    const runs = Array.from({ length: 3 }, () => {
      const printed = execFileSync(
        process.execPath,
        [join(root, 'node_modules/typescript/bin/tsc'), ...options, '--extendedDiagnostics', file],
        {
          encoding: 'utf8',
        },
      );
      const figure = (label: string): number => Number(new RegExp(`${label}:\\s+([\\d.]+)`).exec(printed)![1]);
      return [figure('Total time'), figure('Check time'), figure('Memory used') / 1024];
    });
    const [total, check, memory] = runs[0]!.map((_, column) => median(runs.map((run) => run[column]!)));
    console.log(
      `tsc, ${name.padEnd(24)}  ${total!.toFixed(2)} s, of it checking ${check!.toFixed(2)} s; ${memory!.toFixed(0)} MB`,
    );
  }
  rmSync(folder, { recursive: true });
}

const [flag, ...rest] = process.argv.slice(2);
if (flag === '--case') {
  process.stdout.write(JSON.stringify(await measureCase(cases[Number(rest[0])]!)));
} else if (flag === '--garbage') {
  process.stdout.write(JSON.stringify(measureGarbage(cases[Number(rest[0])]!)));
} else {
  if (flag !== 'start') table(process.argv.slice(2));
  if (flag === undefined || flag === 'start') start();
}
