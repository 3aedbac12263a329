// The embedded dataplane at work: packets between two memifs through the graph in TypeScript, one processor, with
// dpdk-testpmd as generator and sink on the other; and between two kernel namespaces by TAP.
//
//   node build/js/bench/dataplane.js [--seconds N] [CASE...]      one table
//
// The reference of the memif rows is testpmd itself in our place (mode io), run just before, on the same processor with
// the same packets; and, where VPP_BIN names one, VPP with the same memifs, its main thread polling on that processor. The
// generator is also the sink, on the other processor. On a shared machine quote the ratio: who has to share a processor with
// others starves, and starves whoever waits for him.

import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bridgeFrames, routeFrames, writeFrames } from './support/dataplane.js';
import { Testpmd, haveTestpmd, steady } from './support/testpmd.js';
import { vppRates } from './support/vpp-forwarding.js';
import { noVpp } from '../test/support/vpp.js';

const args = process.argv.slice(2);
const secondsAt = args.indexOf('--seconds');
const seconds = secondsAt >= 0 ? Number(args[secondsAt + 1]) : 5;
const routesAt = args.indexOf('--routes');
const routes = routesAt >= 0 ? Number(args[routesAt + 1]) : 1_000_000;
const wanted = args.filter((arg) => /^[a-z]/.test(arg));
const caseScript = fileURLToPath(new URL('./dataplane-case.js', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'node-vpp-bench-'));
let sockets = 0;
const newSocket = (): string => join(folder, `m${++sockets}.sock`);
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1] ?? 0;

interface Row {
  name: string;
  ours: string;
  reference: string;
  vpp?: string;
  ratio: string;
  target: string;
  met: boolean;
}

interface CaseResult {
  seconds: number[];
  perBusySecond: number;
  vectorRate: number;
  dropped: number;
  [more: string]: unknown;
}

function runCase<T>(name: string, socket: string, more: readonly string[] = [], cpu = '0'): Promise<T> {
  return new Promise((resolve, reject) => {
    const command = [process.execPath, '--expose-gc', caseScript, name, socket, String(seconds), ...more];
    const child = spawn('taskset', ['-c', cpu, ...command], { stdio: ['ignore', 'pipe', 'inherit'] });
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

const client = (socket: string, id: number): string => `role=client,id=${id},socket=${socket},socket-abstract=no`;
const server = (socket: string, id: number): string => `role=server,id=${id},socket=${socket},socket-abstract=no`;

/** The outer side: packets that go round and round, or a capture that is replayed into the first port. */
function generator(socket: string, capture: string | undefined): Testpmd {
  const devices = [client(socket, 0), client(socket, 1)];
  const common = { cpu: 1, devices, mode: 'io', mbufs: 40_000 };
  if (capture === undefined) return new Testpmd({ ...common, more: ['--tx-first', '--burst=256', '--nb-cores=1'] });
  return new Testpmd({
    ...common,
    before: [`net_pcap0,rx_pcap=${capture},infinite_rx=1`],
    behind: ['net_null0,no-rx=1'],
    more: ['--burst=128', '--nb-cores=1'],
  });
}

async function reference(capture: string | undefined): Promise<number> {
  const socket = newSocket();
  const middle = new Testpmd({
    cpu: 0,
    devices: [server(socket, 0), server(socket, 1)],
    mode: 'io',
    more: ['--burst=256', '--nb-cores=1'],
  });
  await sleep(2000);
  const outer = generator(socket, capture);
  await sleep((seconds + 5) * 1000);
  // Each packet is received once by the middle.
  const rate = steady(middle.seconds.rx);
  await outer.stop();
  await middle.stop();
  return rate;
}

async function memifRow(
  name: string,
  label: string,
  target: number,
  capture?: string,
): Promise<Row & { result: CaseResult }> {
  const before = await reference(capture);
  const socket = newSocket();
  const running = runCase<CaseResult>(name, socket, [String(routes)]);
  await sleep(name === 'ip4' ? 5000 : 1200);
  const outer = generator(socket, capture);
  let result: CaseResult;
  try {
    result = await running;
  } finally {
    await outer.stop();
  }
  const rate = median(result.seconds);
  let theirs = 0;
  if (noVpp === false) {
    const other = newSocket();
    theirs = median(await vppRates(name, other, { seconds, routes }, () => generator(other, capture)));
  }
  return {
    name: label,
    ours: `${(rate / 1e6).toFixed(2)} Mpps (${(result.perBusySecond / 1e6).toFixed(2)} while busy), ${result.vectorRate.toFixed(0)} a burst`,
    reference: `${(before / 1e6).toFixed(2)} Mpps`,
    ...(theirs > 0 ? { vpp: `${(theirs / 1e6).toFixed(2)} Mpps` } : {}),
    ratio: (rate / before).toFixed(2) + (theirs > 0 ? `, ${(rate / theirs).toFixed(2)}` : ''),
    target: `>= ${target} Mpps`,
    met: rate >= target * 1e6,
    result,
  };
}

/** The forwarder by itself: how long its bursts take, whatever the rest of the machine does. */
async function burstRow(name: string, label: string, target: number): Promise<Row> {
  const { p5, p50, p99 } = await runCase<{ p5: number; p50: number; p99: number }>(`burst-${name}`, newSocket(), [
    String(routes),
  ]);
  const mpps = (ns: number): string => (1000 / ns).toFixed(2);
  return {
    name: `bursts of 256: ${label}`,
    ours: `p50 ${mpps(p50)} Mpps (${p50.toFixed(0)} ns), p5 ${mpps(p5)}, p99 ${mpps(p99)}`,
    reference: '',
    ratio: '',
    target: `>= ${target} Mpps`,
    met: p50 <= 1000 / target,
  };
}

const cases: Record<string, () => Promise<Row[]>> = {
  async bursts() {
    return [
      await burstRow('xconnect', 'L2 cross-connect', 10),
      await burstRow('bridge', 'bridge, 1,000 hosts a side', 6),
      await burstRow('ip4', `IPv4 over ${routes.toLocaleString('en')} routes`, 4),
    ];
  },
  async xconnect() {
    return [await memifRow('xconnect', 'L2 cross-connect, both ways', 10)];
  },
  async bridge() {
    const capture = join(folder, 'bridge.pcap');
    writeFrames(capture, bridgeFrames());
    return [await memifRow('bridge', 'bridge, 1,000 hosts a side', 6, capture)];
  },
  async ip4() {
    const capture = join(folder, 'ip4.pcap');
    writeFrames(capture, routeFrames(routes));
    const row = await memifRow('ip4', `IPv4 over ${routes.toLocaleString('en')} routes`, 4, capture);
    const { rss, arrays, loadMs } = row.result as unknown as { rss: number; arrays: number; loadMs: number };
    const megabytes = (rss / 2 ** 20).toFixed(0);
    return [
      row,
      {
        name: `${routes.toLocaleString('en')} routes in memory`,
        ours: `${megabytes} MB (arrays ${(arrays / 2 ** 20).toFixed(0)} MB), loaded in ${(loadMs / 1000).toFixed(1)} s`,
        reference: '',
        ratio: '',
        target: '<= 200 MB',
        met: rss <= 200 * 2 ** 20,
      },
    ];
  },
  async tap() {
    if (process.getuid?.() !== 0 || spawnSync('iperf3', ['-v']).error !== undefined) {
      console.log('the TAP row needs root and iperf3');
      return [];
    }
    const { ours, kernel } = await runCase<{ ours: number; kernel: number }>('tap', newSocket(), [], '0-1');
    return [
      {
        name: 'TCP between two namespaces, routed; the kernel instead',
        ours: `${(ours / 1e9).toFixed(2)} Gb/s`,
        reference: `${(kernel / 1e9).toFixed(2)} Gb/s`,
        ratio: (ours / kernel).toFixed(2),
        target: '>= 3 Gb/s',
        met: ours >= 3e9,
      },
    ];
  },
  async idle() {
    const socket = newSocket();
    const running = runCase<{ percent: number }>('idle', socket);
    await sleep(700);
    const outer = new Testpmd({ cpu: 1, devices: [client(socket, 0), client(socket, 1)], mode: 'rxonly' });
    const { percent } = await running;
    await outer.stop();
    return [
      {
        name: 'idle, interrupt mode',
        ours: `${percent.toFixed(2)} % CPU`,
        reference: '',
        ratio: '',
        target: '0 % CPU',
        met: percent < 0.5,
      },
    ];
  },
};

const rows: Row[] = [];
if (!haveTestpmd())
  console.log('dpdk-testpmd is not installed (Debian: dpdk-dev, librte-net-memif23): nothing to compare with');
else {
  for (const [name, run] of Object.entries(cases)) {
    if (wanted.length > 0 && !wanted.includes(name)) continue;
    rows.push(...(await run()));
  }
}
const columns = ['row', 'node-vpp', 'testpmd io', 'VPP', 'ratio', 'target'];
const cells = rows.map((row) => [
  row.name,
  row.ours,
  row.reference,
  row.vpp ?? '',
  row.ratio,
  `${row.target}${row.met ? '' : '  MISSED'}`,
]);
const widths = columns.map((column, i) => Math.max(column.length, ...cells.map((line) => line[i]!.length)));
for (const line of [columns, ...cells]) {
  console.log(
    line
      .map((cell, i) => cell.padEnd(widths[i]!))
      .join('  ')
      .trimEnd(),
  );
}
rmSync(folder, { recursive: true, force: true });
