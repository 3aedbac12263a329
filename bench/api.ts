// The binary API: our client, the raw C loop, GoVPP and vpp-papi, with the same requests against the same server: a real
// VPP when VPP_BIN names one, else the embedded server in a process of its own.
//
//   node build/js/bench/api.js [quick]
//
// VPP's idle processor load is printed before and after: it tells which regime its main loop was in (VPP's latency is
// another when it spins). Each row of ours runs in this process after a warm-up; the C loop runs right before it.

import { execFileSync, spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { connect, loadBundled, type Connection } from 'node-vpp/api';
import { writeApiJson } from 'node-vpp/api/schema';
import { ApiServer } from 'node-vpp/dataplane';
import { govpp, papi, runClient } from '../test/support/clients.js';
import { Vpp, noVpp } from '../test/support/vpp.js';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const quick = process.argv.includes('quick');
const pings = quick ? 20_000 : 100_000;
const routes = quick ? 50_000 : 200_000;
const rounds = quick ? 2 : 5;
const heapRequests = quick ? 1_000_000 : 10_000_000;

const path = { sw_if_index: 0, table_id: 0, rpf_id: 0, weight: 1, preference: 0, type: 1, flags: 0, proto: 0 };
const prefixOf = (n: number) => `10.${(n >> 16) & 255}.${(n >> 8) & 255}.${n & 255}/32`;
const routeOf = (n: number, is_add: boolean) => ({
  is_add,
  route: { table_id: 0, prefix: prefixOf(n), paths: [path] },
});
const everyRoute = { src: 0, table: { table_id: 0, is_ip6: false } };

interface Target {
  readonly socket: string;
  idleLoad(): Promise<number | undefined>;
  stop(): Promise<void>;
}

async function realVpp(): Promise<Target> {
  const vpp = await Vpp.start({ heap: '1G' });
  return { socket: vpp.apiSocket, idleLoad: () => vpp.idleLoad(1000), stop: () => vpp.stop() };
}

/** The embedded server, in a process of its own: this file again, with `serve PATH`. */
async function embedded(): Promise<Target> {
  const folder = mkdtempSync(join(tmpdir(), 'nv-'));
  const socket = join(folder, 'api.sock');
  const child: ChildProcess = spawn(process.execPath, [fileURLToPath(import.meta.url), 'serve', socket], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await new Promise((resolve) => child.stdout!.once('data', resolve));
  return {
    socket,
    idleLoad: () => Promise.resolve(undefined),
    stop: async () => {
      const gone = new Promise((resolve) => child.once('exit', resolve));
      child.kill();
      await gone;
      rmSync(folder, { recursive: true });
    },
  };
}

async function serve(socket: string): Promise<void> {
  const server = new ApiServer({ path: socket, schema: loadBundled('26.06') });
  const table = new Map<string, object>();
  server.handle('show_version', () => ({ version: '26.06' }));
  server.handle('ip_route_add_del_v2', ({ is_add, route }) => {
    const { prefix } = route as { prefix: string };
    if (is_add === true) table.set(prefix, { route });
    else table.delete(prefix);
    return { retval: 0 };
  });
  server.handle('ip_route_v2_dump', () => table.values() as Iterable<Record<string, unknown>>);
  await server.listen();
  console.log('listening');
}

/** The C loop, compiled next to the other caches; undefined without gcc. */
function compileLoop(): string | undefined {
  const binary = join(root, '.cache/clients/vppapi');
  mkdirSync(join(root, '.cache/clients'), { recursive: true });
  const made = spawnSync('gcc', ['-O2', '-o', binary, join(root, 'bench/peers/vppapi.c')], { stdio: 'inherit' });
  return made.status === 0 && existsSync(binary) ? binary : undefined;
}

/** A whole message in hex, numbered for this VPP. */
function hexOf(vpp: Connection, name: string, fields: object): { hex: string; bytes: Uint8Array } {
  const codec = vpp.schema.codec(name)!;
  const bytes = new Uint8Array(codec.size(fields));
  codec.encode(fields, bytes, 0);
  const id = vpp.idOf(name)!;
  bytes[0] = id >> 8;
  bytes[1] = id & 255;
  return { hex: Buffer.from(bytes).toString('hex'), bytes };
}

const median = (values: number[]) => [...values].sort((a, b) => a - b)[values.length >> 1]!;
const rate = (perSecond: number) => `${(perSecond / 1000).toFixed(1)} k/s`;

interface Row {
  readonly row: string;
  readonly ours: string;
  readonly c: string;
  readonly ratio: string;
  readonly govpp: string;
  readonly papi: string;
}
const table: Row[] = [];
const peers: { govpp: Record<string, Record<string, unknown>>; papi: Record<string, Record<string, unknown>> } = {
  govpp: {},
  papi: {},
};

/** `count` requests with at most `window` unanswered; requests per second. */
async function pipelined(count: number, window: number, one: (n: number) => Promise<unknown>): Promise<number> {
  let next = 0;
  const worker = async () => {
    while (next < count) await one(next++);
  };
  const began = performance.now();
  await Promise.all(Array.from({ length: window }, worker));
  return (count * 1000) / (performance.now() - began);
}

async function oneAtATime(vpp: Connection, count: number): Promise<{ p50: number; p99: number; perSecond: number }> {
  const took = new Float64Array(count);
  const began = performance.now();
  for (let n = 0; n < count; n++) {
    const sent = performance.now();
    await vpp.request('control_ping');
    took[n] = performance.now() - sent;
  }
  const perSecond = (count * 1000) / (performance.now() - began);
  took.sort();
  return { p50: took[count >> 1]! * 1000, p99: took[Math.floor(count * 0.99)]! * 1000, perSecond };
}

async function measure(target: Target): Promise<void> {
  const { socket } = target;
  const vpp = await connect({ socket, window: 1024, requestTimeoutMs: 60_000, health: false });
  const loop = compileLoop();
  const c = (...args: (string | number)[]): number[] | undefined =>
    loop === undefined
      ? undefined
      : execFileSync(loop, [socket, ...args.map(String)], { encoding: 'utf8' })
          .trim()
          .split(' ')
          .map(Number);
  const ping = hexOf(vpp, 'control_ping', {}).hex;

  await oneAtATime(vpp, 20_000);
  const single: { ours: number[]; c: number[] } = { ours: [], c: [] };
  let p99 = 0;
  for (let round = 0; round < rounds; round++) {
    const raw = c('send', ping, 1, pings, -1);
    if (raw !== undefined) single.c.push(raw[1]!);
    const our = await oneAtATime(vpp, pings);
    single.ours.push(our.p50);
    p99 = our.p99;
  }
  const [p50, p50c] = [median(single.ours), median(single.c)];
  table.push({
    row: 'control_ping, one at a time, p50',
    ours: `${p50.toFixed(1)} µs (p99 ${p99.toFixed(1)})`,
    c: loop === undefined ? '–' : `${p50c.toFixed(1)} µs`,
    ratio: loop === undefined ? '–' : `${(p50 / p50c).toFixed(2)} × (≤ 1.3)`,
    govpp: fact('govpp', 'ping', ({ p50us }) => `${(p50us as number).toFixed(1)} µs`),
    papi: fact('papi', 'ping', ({ p50us }) => `${(p50us as number).toFixed(1)} µs`),
  });

  await paired(
    'control_ping, window 256',
    pings * 4,
    '≥ 0.85',
    'ping pipelined',
    () => c('send', ping, 256, pings * 4, -1),
    () => pipelined(pings * 4, 256, () => vpp.request('control_ping')),
  );

  const add = hexOf(vpp, 'ip_route_add_del_v2', routeOf(0, true));
  const remove = hexOf(vpp, 'ip_route_add_del_v2', routeOf(0, false));
  const offset = Buffer.from(add.bytes).indexOf(Buffer.from([10, 0, 0, 0, 0, 0]));
  const change = (is_add: boolean) =>
    pipelined(routes, 256, (n) => vpp.request('ip_route_add_del_v2', routeOf(n, is_add)));
  const figures: Record<'add' | 'del', { ours: number[]; c: number[] }> = {
    add: { ours: [], c: [] },
    del: { ours: [], c: [] },
  };
  for (let round = 0; round < rounds; round++) {
    for (const [kind, message] of [
      ['add', add],
      ['del', remove],
    ] as const) {
      const raw = c('send', message.hex, 256, routes, offset);
      if (raw !== undefined) figures[kind].c.push(routes / raw[0]!);
    }
    figures.add.ours.push(await change(true));
    figures.del.ours.push(await change(false));
  }
  for (const kind of ['add', 'del'] as const) {
    pushRate(`ip_route_add_del_v2, window 256, ${kind}`, figures[kind].ours, figures[kind].c, '≥ 0.85', '–', '–');
  }

  await change(true);
  const dump = hexOf(vpp, 'ip_route_v2_dump', everyRoute).hex;
  const dumps: { view: number[]; object: number[]; c: number[] } = { view: [], object: [], c: [] };
  for (let round = 0; round < rounds * 2; round++) {
    const raw = c('dump', dump, ping);
    if (raw !== undefined) dumps.c.push(raw[1]! / raw[0]!);
    for (const as of ['view', 'object'] as const) {
      let rows = 0;
      let sum = 0;
      const began = performance.now();
      for await (const batch of vpp.dump('ip_route_v2_dump', everyRoute, { as }).batches()) {
        for (const row of batch) sum += row.route.table_id;
        rows += batch.length;
      }
      dumps[as].push((rows * 1000) / (performance.now() - began));
      if (rows < routes || sum !== 0) throw new Error(`${rows} rows, expected ${routes}`);
    }
  }
  const perDump = (fields: Record<string, unknown>) => rate((fields.rows as number) / (fields.seconds as number));
  await runPeers(target);
  for (const [as, goal] of [
    ['view', '≥ 0.8'],
    ['object', '≥ 0.5'],
  ] as const) {
    const [g, p] = [fact('govpp', 'dump', perDump), fact('papi', 'dump', perDump)];
    pushRate(`ip_route_v2_dump, ${routes} rows as ${as}s`, dumps[as], dumps.c, goal, g, p);
  }
  patchPeers();
  await change(false);

  if (globalThis.gc === undefined) throw new Error('run with --expose-gc');
  const heap = () => {
    globalThis.gc!();
    globalThis.gc!();
    return process.memoryUsage().heapUsed;
  };
  await pipelined(200_000, 256, () => vpp.request('control_ping'));
  const before = heap();
  await pipelined(heapRequests, 256, () => vpp.request('control_ping'));
  const grown = heap() - before;
  only(`heap growth over ${heapRequests / 1e6} M requests`, `${(grown / 1024).toFixed(0)} KiB`);
  await vpp.close();

  const script = (body: string) =>
    Array.from({ length: 9 }, () =>
      Number(execFileSync(process.execPath, ['--input-type=module', '-e', body], { encoding: 'utf8', cwd: root })),
    );
  const cold = script(
    `const began = performance.now(); const { connect } = await import('node-vpp/api');
     const vpp = await connect({ socket: ${JSON.stringify(socket)} }); await vpp.request('show_version');
     console.log(performance.now() - began); await vpp.close();`,
  );
  only('connect to first reply, cold, import included (≤ 40 ms)', `${median(cold).toFixed(1)} ms`);
  const load = script(
    `const began = performance.now(); await import('node-vpp/api'); console.log(performance.now() - began);`,
  );
  const rss = script(`const began = process.memoryUsage.rss(); await import('node-vpp/api');
     console.log((process.memoryUsage.rss() - began) / 1048576);`);
  only('import of node-vpp/api (≤ 30 ms, ≤ 15 MB)', `${median(load).toFixed(1)} ms, ${median(rss).toFixed(1)} MB RSS`);
}

function only(row: string, ours: string): void {
  table.push({ row, ours, c: '', ratio: '', govpp: '', papi: '' });
}

function pushRate(row: string, ours: number[], c: number[], goal: string, go: string, python: string): void {
  const [a, b] = [median(ours), c.length === 0 ? undefined : median(c)];
  table.push({
    row,
    ours: rate(a),
    c: b === undefined ? '–' : rate(b),
    ratio: b === undefined ? '–' : `${(a / b).toFixed(2)} × (${goal})`,
    govpp: go,
    papi: python,
  });
}

async function paired(
  row: string,
  count: number,
  goal: string,
  peer: string,
  raw: () => number[] | undefined,
  ours: () => Promise<number>,
): Promise<void> {
  const [a, b]: [number[], number[]] = [[], []];
  for (let round = 0; round < rounds; round++) {
    const seconds = raw()?.[0];
    if (seconds !== undefined) b.push(count / seconds);
    a.push(await ours());
  }
  pushRate(row, a, b, goal, peer, peer);
}

function fact(peer: 'govpp' | 'papi', row: string, show: (fields: Record<string, unknown>) => string): string {
  const fields = peers[peer][row];
  return fields === undefined ? row : show(fields);
}

/** The peers run once the routes are in; rows made before are completed here. */
function patchPeers(): void {
  const show: Record<string, (fields: Record<string, unknown>) => string> = {
    ping: ({ p50us }) => `${(p50us as number).toFixed(1)} µs`,
    'ping pipelined': ({ perSecond }) => rate(perSecond as number),
  };
  for (const [index, row] of table.entries()) {
    const fill = (peer: 'govpp' | 'papi') => {
      const key = row[peer];
      const format = show[key];
      if (format === undefined) return key;
      const fields = peers[peer][key];
      return fields === undefined ? 'not here' : format(fields);
    };
    table[index] = { ...row, govpp: fill('govpp'), papi: fill('papi') };
  }
}

async function runPeers({ socket }: Target): Promise<void> {
  const go = govpp();
  const python = papi();
  if ('command' in go) {
    const { lines, errors } = await runClient(go.command, [socket, 'bench', String(pings), '256']);
    if (lines.length === 0) console.log(`govpp: ${errors}`);
    for (const line of lines) peers.govpp[String(line.row)] = line;
  } else console.log(`GoVPP is not here: ${go.missing}`);
  if ('command' in python) {
    const folder = mkdtempSync(join(tmpdir(), 'nv-'));
    for (const document of JSON.parse(writeApiJson(loadBundled('26.06'))) as { module: string }[]) {
      writeFileSync(join(folder, `${document.module}.api.json`), JSON.stringify(document));
    }
    const { lines, errors } = await runClient(python.command, [
      socket,
      'bench',
      String(Math.min(pings, 20_000)),
      folder,
    ]);
    rmSync(folder, { recursive: true });
    if (lines.length === 0) console.log(`vpp-papi: ${errors}`);
    for (const line of lines) peers.papi[String(line.row)] = line;
  } else console.log(`vpp-papi is not here: ${python.missing}`);
}

if (process.argv[2] === 'serve') await serve(process.argv[3]!);
else if (globalThis.gc === undefined) {
  // Needed for one row; node takes the flag at its start only.
  const args = ['--expose-gc', fileURLToPath(import.meta.url), ...process.argv.slice(2)];
  process.exitCode = spawnSync(process.execPath, args, { stdio: 'inherit' }).status ?? 1;
} else {
  const target = noVpp === false ? await realVpp() : await embedded();
  try {
    const before = await target.idleLoad();
    await measure(target);
    const after = await target.idleLoad();
    const percent = (load: number | undefined) => (load === undefined ? '–' : `${(load * 100).toFixed(0)} %`);
    console.log(
      `server: ${noVpp === false ? 'VPP, no workers' : 'the embedded server'}; ${cpus().length} × ${cpus()[0]?.model ?? '?'}`,
    );
    console.log(
      `main thread of the idle VPP: ${percent(before)} before, ${percent(after)} after; Node ${process.version}`,
    );
    console.log('\n| row | node-vpp | raw C | ratio | GoVPP | vpp-papi |\n|---|---|---|---|---|---|');
    for (const r of table) console.log(`| ${r.row} | ${r.ours} | ${r.c} | ${r.ratio} | ${r.govpp} | ${r.papi} |`);
  } finally {
    await target.stop();
  }
}
