// memif at the rate of a C peer: Node against dpdk-testpmd, and testpmd against testpmd as the measure of the machine.
//
//   node build/js/bench/memif.js [--seconds N] [--rounds N] [CASE...]      one table
//
// Each process polls on one processor of its own. A row and its reference take turns for some short rounds, now the one
// first, now the other, and the ratio is the median of the ratios of neighbours: a shared host changes its speed from one
// minute to the next. Rates are medians of the rounds, each the median of one-second samples after warm-up.

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gomemif } from '../test/support/clients.js';
import { Testpmd, haveTestpmd, steady } from './support/testpmd.js';

const args = process.argv.slice(2);
const secondsAt = args.indexOf('--seconds');
const seconds = secondsAt >= 0 ? Number(args[secondsAt + 1]) : 3;
const roundsAt = args.indexOf('--rounds');
const rounds = roundsAt >= 0 ? Number(args[roundsAt + 1]) : 3;
const wanted = args.filter((arg) => /^[a-z]/.test(arg));
const caseScript = fileURLToPath(new URL('./memif-case.js', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'node-vpp-bench-'));
let sockets = 0;
const newSocket = (): string => join(folder, `m${++sockets}.sock`);

interface Row {
  name: string;
  ours: string;
  reference: string;
  ratio: number | undefined;
  spread?: string;
  target: string;
  met: boolean;
}

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1] ?? 0;
const mpps = (rate: number): string => `${(rate / 1e6).toFixed(2)} Mpps`;

/** Starts a case pinned to processor 0 (two-workers: to none) and gives its result. */
function runCase<T>(name: string, socket: string, pinned = true): Promise<T> {
  const command = [process.execPath, caseScript, name, socket, String(seconds)];
  const [program, ...rest] = pinned ? ['taskset', '-c', '0', ...command] : command;
  return new Promise((resolve, reject) => {
    const child = spawn(program!, rest, { stdio: ['ignore', 'pipe', 'inherit'] });
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString();
    });
    child.once('error', reject);
    child.once('exit', (code) => {
      if (code === 0) resolve(JSON.parse(output) as T);
      else reject(new Error(`the case ${name} ended with ${code}`));
    });
  });
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const server = (socket: string, id = 0): string => `role=server,id=${id},socket=${socket},socket-abstract=no`;
const client = (socket: string, id = 0): string => `role=client,id=${id},socket=${socket},socket-abstract=no`;

/** testpmd to testpmd, one way, client to server. */
async function referenceOneWay(more: readonly string[] = []): Promise<number> {
  const socket = newSocket();
  const sink = new Testpmd({ cpu: 0, devices: [server(socket)], mode: 'rxonly' });
  await sleep(1500);
  const source = new Testpmd({ cpu: 1, devices: [client(socket)], mode: 'txonly', more });
  await sleep((seconds + 6) * 1000);
  const rate = steady(sink.seconds.rx);
  await source.stop();
  await sink.stop();
  return rate;
}

const circulation = { mode: 'io', more: ['--tx-first', '--burst=256', '--nb-cores=1'] };

/** testpmd to testpmd with something in the middle: two ports that send on what they get. */
async function circulating(middle: (socket: string) => Promise<() => Promise<void>>): Promise<number> {
  const socket = newSocket();
  const stop = await middle(socket);
  const outer = new Testpmd({ cpu: 1, devices: [client(socket, 0), client(socket, 1)], ...circulation });
  await sleep((seconds + 6) * 1000);
  const rate = steady(outer.seconds.rx);
  await outer.stop();
  await stop();
  return rate;
}

async function withSource(name: string, more: readonly string[] = []): Promise<number> {
  const socket = newSocket();
  const running = runCase<{ seconds: number[] }>(name, socket);
  await sleep(600);
  const source = new Testpmd({ cpu: 1, devices: [client(socket)], mode: 'txonly', more });
  try {
    return median((await running).seconds);
  } finally {
    await source.stop();
  }
}

async function withSink(name: string): Promise<number> {
  const socket = newSocket();
  const sink = new Testpmd({ cpu: 1, devices: [server(socket)], mode: 'rxonly' });
  try {
    await sleep(2500);
    return median((await runCase<{ seconds: number[] }>(name, socket)).seconds);
  } finally {
    await sink.stop();
  }
}

async function withEcho(name: string): Promise<{ p50: number; p99: number; samples: number }> {
  const socket = newSocket();
  const echo = new Testpmd({
    cpu: 1,
    devices: [server(socket)],
    mode: 'macswap',
    more: ['--port-topology=loop', '--burst=1'],
  });
  try {
    await sleep(2500);
    return await runCase(name, socket);
  } finally {
    await echo.stop();
  }
}

/** Runs a row and its reference in turns; every second round the other way round. */
async function compare(
  name: string,
  ours: () => Promise<number>,
  reference: () => Promise<number>,
  target: number | undefined,
): Promise<Row> {
  const rates: [number, number][] = [];
  for (let round = 0; round < rounds; round++) {
    if (round % 2 === 0) {
      const theirs = await reference();
      rates.push([await ours(), theirs]);
    } else rates.push([await ours(), await reference()]);
  }
  const ratios = rates.map(([mine, theirs]) => mine / theirs).sort((a, b) => a - b);
  const ratio = median(ratios);
  return {
    name,
    ours: mpps(median(rates.map(([mine]) => mine))),
    reference: mpps(median(rates.map(([, theirs]) => theirs))),
    ratio,
    spread: ratios.length > 1 ? `${ratios[0]!.toFixed(2)}-${ratios.at(-1)!.toFixed(2)}` : '',
    target: target === undefined ? '' : `>= ${target} x`,
    met: target === undefined || ratio >= target,
  };
}

/** gomemif, one way; the other end counts: gomemif too, or Node. */
async function gomemifOneWay(command: readonly string[], node: boolean): Promise<number> {
  const socket = newSocket();
  const start = (work: string, cpu: number, more: readonly string[] = []): [ChildProcess, number[]] => {
    const all = ['taskset', '-c', String(cpu), ...command, '-socket', socket, '-work', work, ...more];
    const child = spawn(all[0]!, all.slice(1), { stdio: ['pipe', 'pipe', 'inherit'] });
    const rates: number[] = [];
    child.stdout.on('data', (chunk: Buffer) => {
      for (const match of chunk.toString().matchAll(/^pps (\d+)$/gm)) rates.push(Number(match[1]));
    });
    return [child, rates];
  };
  const stop = async (child: ChildProcess): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await gone;
  };
  if (node) {
    const running = runCase<{ seconds: number[] }>('rx-inspect', socket);
    await sleep(600);
    const [source] = start('flood', 1);
    try {
      return median((await running).seconds);
    } finally {
      await stop(source);
    }
  }
  const [sink, rates] = start('count', 0, ['-server']);
  await sleep(500);
  const [source] = start('flood', 1);
  await sleep((seconds + 2) * 1000);
  await stop(source);
  await stop(sink);
  return median(rates.slice(1));
}

const cases: Record<string, () => Promise<Row[]>> = {
  async rx() {
    const inspect = () => withSource('rx-inspect');
    return [await compare('testpmd -> Node, every header inspected', inspect, referenceOneWay, 0.95)];
  },
  async copy() {
    const copy = () => withSource('rx-copy');
    return [await compare('testpmd -> Node, each packet copied out', copy, referenceOneWay, 0.75)];
  },
  async tx() {
    const write = () => withSink('tx-write');
    return [await compare('Node -> testpmd, each packet written', write, referenceOneWay, 0.85)];
  },
  async workers() {
    const workers = async (): Promise<number> =>
      median((await runCase<{ seconds: number[] }>('two-workers', newSocket(), false)).seconds);
    const name = 'Node client <-> Node server, two workers, sum of both ways';
    return [await compare(name, workers, referenceOneWay, 0.7)];
  },
  async bridge() {
    const reference = (): Promise<number> =>
      circulating(async (socket) => {
        const middle = new Testpmd({
          cpu: 0,
          devices: [server(socket, 0), server(socket, 1)],
          mode: 'io',
          more: ['--burst=256', '--nb-cores=1'],
        });
        await sleep(2000);
        return () => middle.stop();
      });
    const ours = async (): Promise<number> => {
      const socket = newSocket();
      const running = runCase<{ seconds: number[] }>('bridge', socket);
      await sleep(600);
      const outer = new Testpmd({ cpu: 1, devices: [client(socket, 0), client(socket, 1)], ...circulation });
      const rate = median((await running).seconds);
      await outer.stop();
      return rate;
    };
    return [await compare('L2 cross-connect in native bridge(), testpmd at both ends', ours, reference, 0.8)];
  },
  async gomemif() {
    const built = gomemif();
    if ('missing' in built) {
      console.log(`gomemif is left out: ${built.missing}`);
      return [];
    }
    const ours = () => gomemifOneWay(built.command, true);
    const reference = () => gomemifOneWay(built.command, false);
    return [await compare('gomemif -> Node, every header inspected (reference: gomemif)', ours, reference, undefined)];
  },
  async jumbo() {
    const more = ['--txpkts=1514'];
    const reference = () => referenceOneWay(more);
    const receive = () => withSource('rx-copy', more);
    return [await compare('1514 B testpmd -> Node, copied out', receive, reference, 0.85)];
  },
  async 'jumbo-tx'() {
    const reference = () => referenceOneWay(['--txpkts=1514']);
    const send = () => withSink('tx-write-1514');
    return [await compare('1514 B Node -> testpmd, written', send, reference, 0.85)];
  },
  async latency() {
    const rows: Row[] = [];
    for (const [mode, limit] of [
      ['interrupt', 25],
      ['adaptive', 8],
    ] as const) {
      const { p50, p99, samples } = await withEcho(`rtt-${mode}`);
      rows.push({
        name: `there and back, Node <-> testpmd, ${mode}`,
        ours: `p50 ${p50.toFixed(1)} us, p99 ${p99.toFixed(1)} us`,
        reference: `${samples} trips`,
        ratio: undefined,
        target: `p50 <= ${limit} us`,
        met: p50 <= limit,
      });
    }
    return rows;
  },
  async idle() {
    const socket = newSocket();
    const running = runCase<{ percent: number }>('idle', socket);
    await sleep(600);
    const peer = new Testpmd({ cpu: 1, devices: [client(socket)], mode: 'rxonly' });
    const { percent } = await running;
    await peer.stop();
    return [
      {
        name: 'idle interface, interrupt mode',
        ours: `${percent.toFixed(2)} % CPU`,
        reference: '',
        ratio: undefined,
        target: '0 % CPU',
        met: percent < 0.5,
      },
    ];
  },
};

if (!haveTestpmd()) {
  console.log('dpdk-testpmd is not installed (Debian: dpdk-dev and librte-net-memif23): nothing to compare with');
} else {
  const rows: Row[] = [];
  for (const [name, run] of Object.entries(cases)) {
    if (wanted.length > 0 && !wanted.includes(name)) continue;
    rows.push(...(await run()));
  }
  const columns = ['row', 'Node', 'reference', 'ratio', 'least-most', 'target'];
  const cells = rows.map((row) => [
    row.name,
    row.ours,
    row.reference,
    row.ratio === undefined ? '' : row.ratio.toFixed(2),
    row.spread ?? '',
    `${row.target}${row.met ? '' : '  MISSED'}`,
  ]);
  const widths = columns.map((column, i) => Math.max(column.length, ...cells.map((line) => line[i]!.length)));
  for (const line of [columns, ...cells])
    console.log(
      line
        .map((cell, i) => cell.padEnd(widths[i]!))
        .join('  ')
        .trimEnd(),
    );
}
rmSync(folder, { recursive: true, force: true });
