// The embedded dataplane's control plane beside a real VPP's (VPP_BIN), through the same client: how soon it serves, how
// many routes a second go in over the API, how fast a dump gives them back. Each server runs in a process of its own.

import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node-vpp/api';
import { Vpp, noVpp } from '../test/support/vpp.js';

const ROUTES = 100_000;
const STARTS = 9;

interface Server {
  readonly socket: string;
  /** Until a first control_ping was answered, ms. */
  readonly servingMs: number;
  readonly stop: () => Promise<unknown>;
}

async function ours(): Promise<Server> {
  const folder = mkdtempSync(join(tmpdir(), 'nv-'));
  const socket = join(folder, 'api.sock');
  const child = spawn(process.execPath, ['dist/cli/main.js', 'dataplane', '--api-socket', socket, '--json'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const said = await new Promise<string>((resolve) => {
    child.stdout.once('data', (chunk: Buffer) => resolve(chunk.toString()));
  });
  const { startMs } = JSON.parse(said) as { startMs: number };
  return {
    socket,
    servingMs: startMs,
    stop: async () => {
      const gone = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGTERM');
      await gone;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function theirs(): Promise<Server> {
  const began = performance.now();
  const vpp = await Vpp.start();
  return { socket: vpp.apiSocket, servingMs: performance.now() - began, stop: () => vpp.stop() };
}

async function routes({ socket }: Server): Promise<{ add: number; dump: number; remove: number }> {
  const vpp = await connect({ socket, requestTimeoutMs: 120_000 });
  const route = (n: number) => ({
    table_id: 0,
    prefix: `100.${n >> 16}.${(n >> 8) & 255}.${n & 255}/32`,
    paths: [{ sw_if_index: 0xffffffff, type: 2, weight: 1, table_id: 0, rpf_id: 0, preference: 0, flags: 0, proto: 0 }],
  });
  const all = async (is_add: boolean) => {
    const began = performance.now();
    await Promise.all(
      Array.from({ length: ROUTES }, (_, n) =>
        vpp.request('ip_route_add_del_v2', { is_add, route: route(n) } as never),
      ),
    );
    return ROUTES / ((performance.now() - began) / 1000);
  };
  const add = await all(true);
  const began = performance.now();
  let rows = 0;
  const table = { table_id: 0, is_ip6: false, name: '' };
  for await (const _ of vpp.dump('ip_route_v2_dump', { src: 0, table }, { as: 'view' })) rows += 1;
  const dump = rows / ((performance.now() - began) / 1000);
  const remove = await all(false);
  await vpp.close();
  return { add, dump, remove };
}

const median = (values: number[]): number => values.sort((a, b) => a - b)[values.length >> 1]!;
const k = (value: number): string => `${(value / 1000).toFixed(1)} k/s`;

const starts: number[] = [];
for (let n = 0; n < STARTS; n++) {
  const server = await ours();
  starts.push(server.servingMs);
  await server.stop();
}
console.log(
  `start to serving, startDataplane in a new process: median ${median(starts)} ms, best ${Math.min(...starts)} ms`,
);
const table: [string, Awaited<ReturnType<typeof routes>>][] = [];
for (const [name, start] of [
  ['embedded dataplane', ours],
  ['VPP', theirs],
] as const) {
  if (start === theirs && noVpp !== false) {
    console.log(`VPP: ${noVpp}`);
    continue;
  }
  const server = await start();
  table.push([name, await routes(server)]);
  await server.stop();
}
console.log('\n| routes over the API | added | dumped | removed |\n|---|---|---|---|');
for (const [name, { add, dump, remove }] of table) console.log(`| ${name} | ${k(add)} | ${k(dump)} | ${k(remove)} |`);
const [a, b] = table;
if (a !== undefined && b !== undefined) {
  const ratio = (key: 'add' | 'dump' | 'remove') => (a[1][key] / b[1][key]).toFixed(2);
  console.log(`| ratio | ${ratio('add')} | ${ratio('dump')} | ${ratio('remove')} |`);
}
