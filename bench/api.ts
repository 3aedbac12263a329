// The binary API: our client, the raw C loop, GoVPP and vpp-papi, with the same requests against the same server: a real
// VPP when VPP_BIN names one, else the embedded server in a process of its own.
//
//   node build/js/bench/api.js                 every row
//   node build/js/bench/api.js quick ping      short, and only rows whose name contains "ping"
//
// A row is measured in rounds. In each round every client has a short turn, in an order that rotates, and a ratio is
// taken within the round; medians are printed. So a machine that changes its speed meanwhile changes a ratio little. In
// brackets: processor time of the client per request, all its threads.
// VPP's idle processor load is printed before and after: it tells which regime its main loop was in.

import { execFileSync, spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { connect, loadBundled, type ConnectOptions, type Connection } from 'node-vpp/api';
import { writeApiJson } from 'node-vpp/api/schema';
import { ApiServer } from 'node-vpp/dataplane';
import { cPeer } from './support/c-peer.js';
import { govpp, papi } from '../test/support/clients.js';
import { Vpp, noVpp } from '../test/support/vpp.js';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const quick = process.argv.includes('quick');
const words = process.argv.slice(2).filter((word) => word !== 'quick');
const rounds = quick ? 3 : 7;
const pings = quick ? 5_000 : 20_000;
const burst = quick ? 20_000 : 100_000;
const routes = quick ? 20_000 : 200_000;
const heapRequests = quick ? 1_000_000 : 10_000_000;
/** vpp-papi is slower by so much that it gets fewer requests, and one dump only. */
const papiShare = 20;
const WINDOW = 256;

const path = { sw_if_index: 0, table_id: 0, rpf_id: 0, weight: 1, preference: 0, type: 1, flags: 0, proto: 0 };
const prefixOf = (n: number) => `10.${(n >> 16) & 255}.${(n >> 8) & 255}.${n & 255}/32`;
const routeOf = (n: number, is_add: boolean) => ({
  is_add,
  route: { table_id: 0, prefix: prefixOf(n), paths: [path] },
});
const everyRoute = { src: 0, table: { table_id: 0, is_ip6: false } };

// ---- the server --------------------------------------------------------------------------------------------------------

interface Target {
  readonly socket: string;
  /** How to connect to it through shared memory; undefined where there is none. */
  readonly shm?: ConnectOptions;
  idleLoad(): Promise<number | undefined>;
  stop(): Promise<void>;
}

async function realVpp(): Promise<Target> {
  const vpp = await Vpp.start({ heap: '1G' });
  return {
    socket: vpp.apiSocket,
    shm: vpp.shm,
    idleLoad: () => vpp.idleLoad(1000),
    stop: () => vpp.stop(),
  };
}

/** The embedded server, in a process of its own: this file again, with `serve PATH`. */
async function embedded(): Promise<Target> {
  const folder = mkdtempSync(join(tmpdir(), 'nv-'));
  const socket = join(folder, 'api.sock');
  const child = spawn(process.execPath, [fileURLToPath(import.meta.url), 'serve', socket], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await new Promise((resolve) => child.stdout.once('data', resolve));
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

// ---- the peers ---------------------------------------------------------------------------------------------------------

/** What one turn of one client gave: requests or rows per second, how many, and the median of one at a time in µs. */
interface Turn {
  readonly perSecond: number;
  readonly count?: number;
  readonly p50us?: number;
}

const ticks = Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));

/** A client that does rows: GoVPP or vpp-papi in a process of its own, told what to do line by line. */
class Peer {
  readonly #child: ChildProcess;
  readonly #waiting: ((turn: Turn | undefined) => void)[] = [];
  #errors = '';

  constructor(command: readonly string[], args: readonly string[]) {
    const child = spawn(command[0]!, [...command.slice(1), ...args], { stdio: ['pipe', 'pipe', 'pipe'] });
    this.#child = child;
    createInterface({ input: child.stdout }).on('line', (line) => {
      if (line.startsWith('{') && !line.includes('"step"')) this.#waiting.shift()?.(JSON.parse(line) as Turn);
    });
    child.stderr.on('data', (chunk: Buffer) => (this.#errors += chunk.toString()));
    child.once('exit', () => {
      if (this.#waiting.length > 0) console.log(`a peer ended early: ${this.#errors.trim().slice(-500)}`);
      for (const tell of this.#waiting.splice(0)) tell(undefined);
    });
  }

  turn(row: string, count: number): Promise<Turn | undefined> {
    if (this.#child.exitCode !== null) return Promise.resolve(undefined);
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      this.#child.stdin!.write(`${row} ${count} ${WINDOW}\n`);
    });
  }

  /** Processor time used so far, ms, all threads. */
  cpuMs(): number {
    const stat = readFileSync(`/proc/${this.#child.pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return ((Number(fields[11]) + Number(fields[12])) * 1000) / ticks;
  }

  async end(): Promise<void> {
    if (this.#child.exitCode !== null) return;
    const gone = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.stdin!.end();
    await gone;
  }
}

interface Peers {
  readonly c: ((...args: (string | number)[]) => number[]) | undefined;
  readonly govpp: Peer | undefined;
  readonly papi: Peer | undefined;
  stop(): Promise<void>;
}

function startPeers(socket: string): Peers {
  const loop = cPeer('vppapi');
  const [go, python] = [govpp(), papi()];
  if ('missing' in go) console.log(`GoVPP is not here: ${go.missing}`);
  if ('missing' in python) console.log(`vpp-papi is not here: ${python.missing}`);
  const folder = mkdtempSync(join(tmpdir(), 'nv-'));
  for (const document of JSON.parse(writeApiJson(loadBundled('26.06'))) as { module: string }[]) {
    writeFileSync(join(folder, `${document.module}.api.json`), JSON.stringify(document));
  }
  const goPeer = 'command' in go ? new Peer(go.command, [socket, 'bench']) : undefined;
  const papiPeer = 'command' in python ? new Peer(python.command, [socket, 'bench', folder]) : undefined;
  return {
    c:
      loop === undefined
        ? undefined
        : (...args) =>
            execFileSync(loop, [socket, ...args.map(String)], { encoding: 'utf8' })
              .trim()
              .split(' ')
              .map(Number),
    govpp: goPeer,
    papi: papiPeer,
    stop: async () => {
      await Promise.all([goPeer?.end(), papiPeer?.end()]);
      rmSync(folder, { recursive: true });
    },
  };
}

// ---- rows --------------------------------------------------------------------------------------------------------------

const median = (values: readonly number[]) => [...values].sort((a, b) => a - b)[values.length >> 1]!;
const wanted = (row: string) => words.length === 0 || words.some((word) => row.includes(word));

/** Clients of a row in the order of the table's columns; the first is ours. */
const columns = ['node-vpp', 'raw C', 'GoVPP', 'vpp-papi'] as const;
type Client = (typeof columns)[number];

interface Row {
  readonly name: string;
  /** What the ratios are to be. */
  readonly goal: string;
  /** Compared is the time of one request instead of the rate. */
  readonly latency?: boolean;
  /** Before each turn, without being measured. */
  readonly prepare?: () => Promise<unknown>;
  readonly peers: Peers;
  readonly turns: Partial<Record<Client, (() => Promise<Turn | undefined>) | undefined>>;
  /** Rounds in which vpp-papi takes part. */
  readonly papiRounds?: number;
}

const lines: string[] = [];

async function measure(row: Row): Promise<void> {
  const { latency = false } = row;
  const used = (client: Client) => {
    const { user, system } = process.cpuUsage();
    if (client === 'node-vpp') return (user + system) / 1000;
    return row.peers[client === 'GoVPP' ? 'govpp' : 'papi']?.cpuMs() ?? 0;
  };
  const cpu = new Map<Client, { ms: number; count: number }>();
  const figures = new Map<Client, number[]>();
  const ratios = new Map<Client, number[]>();
  for (let round = 0; round < rounds; round++) {
    const clients = columns.filter((client) => {
      if (client === 'vpp-papi' && round >= (row.papiRounds ?? rounds)) return false;
      return row.turns[client] !== undefined;
    });
    const ofRound = new Map<Client, number>();
    for (let at = 0; at < clients.length; at++) {
      const client = clients[(at + round) % clients.length]!;
      await row.prepare?.();
      const before = used(client);
      const turn = await row.turns[client]!();
      if (turn === undefined) continue;
      if (client !== 'raw C') {
        const sum = cpu.get(client) ?? { ms: 0, count: 0 };
        cpu.set(client, { ms: sum.ms + used(client) - before, count: sum.count + (turn.count ?? 0) });
      }
      const figure = latency ? turn.p50us! : turn.perSecond;
      ofRound.set(client, figure);
      figures.set(client, [...(figures.get(client) ?? []), figure]);
    }
    const ours = ofRound.get('node-vpp')!;
    for (const [client, figure] of ofRound) ratios.set(client, [...(ratios.get(client) ?? []), ours / figure]);
  }
  const show = (client: Client) => {
    const values = figures.get(client);
    if (values === undefined) return '–';
    const { ms, count } = cpu.get(client) ?? { ms: 0, count: 0 };
    const time = count === 0 ? '' : ` (${((ms * 1000) / count).toFixed(2)} µs)`;
    const figure = latency ? `${median(values).toFixed(1)} µs` : `${(median(values) / 1000).toFixed(1)} k/s${time}`;
    if (client === 'node-vpp') return figure;
    const ratio = latency ? 1 / median(ratios.get(client)!) : median(ratios.get(client)!);
    return `${figure}, ${client === 'raw C' && latency ? (1 / ratio).toFixed(2) : ratio.toFixed(2)} ×`;
  };
  lines.push(`| ${row.name} | ${columns.map(show).join(' | ')} | ${row.goal} |`);
  console.log(lines.at(-1));
}

function only(row: string, ours: string, goal: string): void {
  lines.push(`| ${row} | ${ours} | | | | ${goal} |`);
  console.log(lines.at(-1));
}

/** `count` requests with at most `window` unanswered. */
async function pipelined(count: number, window: number, one: (n: number) => Promise<unknown>): Promise<Turn> {
  let next = 0;
  const worker = async () => {
    while (next < count) await one(next++);
  };
  const began = performance.now();
  await Promise.all(Array.from({ length: window }, worker));
  return { perSecond: (count * 1000) / (performance.now() - began), count };
}

async function oneAtATime(vpp: Connection, count: number): Promise<Turn> {
  const took = new Float64Array(count);
  const began = performance.now();
  for (let n = 0; n < count; n++) {
    const sent = performance.now();
    await vpp.request('control_ping');
    took[n] = performance.now() - sent;
  }
  const perSecond = (count * 1000) / (performance.now() - began);
  took.sort();
  return { perSecond, p50us: took[count >> 1]! * 1000 };
}

async function dumpRoutes(vpp: Connection, as: 'view' | 'object'): Promise<Turn> {
  let rows = 0;
  let sum = 0;
  const began = performance.now();
  for await (const batch of vpp.dump('ip_route_v2_dump', everyRoute, { as }).batches()) {
    for (const row of batch) sum += row.route.table_id;
    rows += batch.length;
  }
  const perSecond = (rows * 1000) / (performance.now() - began);
  if (rows < routes || sum !== 0) throw new Error(`${rows} rows, expected ${routes}`);
  return { perSecond, count: rows };
}

/** A whole message, numbered for this VPP. */
function messageOf(vpp: Connection, name: string, fields: object): { hex: string; bytes: Uint8Array } {
  const codec = vpp.schema.codec(name)!;
  const bytes = new Uint8Array(codec.size(fields));
  codec.encode(fields, bytes, 0);
  const id = vpp.idOf(name)!;
  bytes[0] = id >> 8;
  bytes[1] = id & 255;
  return { hex: Buffer.from(bytes).toString('hex'), bytes };
}

async function measureRequests({ socket, shm }: Target): Promise<void> {
  const options = { socket, window: 1024, requestTimeoutMs: 60_000, health: false } as const;
  const vpp = await connect(options);
  const ways: [name: string, by: Connection][] = [['', vpp]];
  if (shm !== undefined) ways.push([', shared memory', await connect({ ...options, ...shm })]);
  const peers = startPeers(socket);
  const { c } = peers;
  const turnOf = (peer: 'govpp' | 'papi', row: string, count: number) => {
    const client = peers[peer];
    return client && (() => client.turn(row, peer === 'papi' ? Math.ceil(count / papiShare) : count));
  };
  const ping = messageOf(vpp, 'control_ping', {}).hex;
  const send = (hex: string, window: number, count: number, offset: number) =>
    c &&
    (() => {
      const [seconds, p50us] = c('send', hex, window, count, offset);
      return Promise.resolve({ perSecond: count / seconds!, p50us: p50us! });
    });
  const change = (is_add: boolean, count = routes, by = vpp) =>
    pipelined(count, WINDOW, (n) => by.request('ip_route_add_del_v2', routeOf(n, is_add)));
  try {
    if (wanted('ping one at a time')) {
      await oneAtATime(vpp, pings);
      await measure({
        peers,
        name: 'control_ping, one at a time, p50',
        goal: '≤ 1.3 × raw C, ahead of both',
        latency: true,
        turns: {
          'node-vpp': () => oneAtATime(vpp, pings),
          'raw C': send(ping, 1, pings, -1),
          GoVPP: turnOf('govpp', 'ping', pings),
          'vpp-papi': turnOf('papi', 'ping', pings),
        },
      });
    }
    for (const [way, by] of wanted('ping pipelined') ? ways : []) {
      await pipelined(burst, WINDOW, () => by.request('control_ping'));
      await measure({
        peers,
        name: `control_ping, window 256${way}`,
        goal: '≥ 0.85 × raw C, 2 × GoVPP, 10 × vpp-papi',
        turns: {
          'node-vpp': () => pipelined(burst, WINDOW, () => by.request('control_ping')),
          'raw C': send(ping, WINDOW, burst, -1),
          GoVPP: turnOf('govpp', 'pipelined', burst),
          'vpp-papi': turnOf('papi', 'pipelined', burst),
        },
      });
    }
    if (wanted('routes')) {
      const count = burst;
      await change(true, count);
      const kinds = ['add', 'del'] as const;
      for (const [[way, by], kind] of kinds.flatMap((kind) => ways.map((way) => [way, kind] as const))) {
        const { hex, bytes } = messageOf(vpp, 'ip_route_add_del_v2', routeOf(0, kind === 'add'));
        const offset = Buffer.from(bytes).indexOf(Buffer.from([10, 0, 0, 0, 0, 0]));
        await measure({
          peers,
          name: `ip_route_add_del_v2, window 256, ${kind}${way}`,
          goal: '≥ 0.85 × raw C, 2 × GoVPP, 10 × vpp-papi',
          // Each turn adds to an empty table, or empties a full one.
          prepare: () => change(kind === 'del', count),
          turns: {
            'node-vpp': () => change(kind === 'add', count, by),
            'raw C': send(hex, WINDOW, count, offset),
            GoVPP: turnOf('govpp', kind, count),
            'vpp-papi': turnOf('papi', kind, count),
          },
        });
      }
      await change(false, count);
    }
    if (wanted('dump')) {
      await change(true);
      const dump = messageOf(vpp, 'ip_route_v2_dump', everyRoute).hex;
      const raw =
        c &&
        (() => {
          const [seconds, rows] = c('dump', dump, ping);
          return Promise.resolve({ perSecond: rows! / seconds! });
        });
      for (const as of ['view', 'object'] as const) {
        await dumpRoutes(vpp, as);
        await measure({
          peers,
          name: `ip_route_v2_dump, ${routes} rows as ${as}s`,
          goal: `≥ ${as === 'view' ? 0.8 : 0.5} × raw C, 2 × GoVPP, 10 × vpp-papi`,
          papiRounds: as === 'view' ? 1 : 0,
          turns: {
            'node-vpp': () => dumpRoutes(vpp, as),
            'raw C': raw,
            GoVPP: turnOf('govpp', 'dump', 0),
            'vpp-papi': turnOf('papi', 'dump', 0),
          },
        });
      }
      await change(false);
    }
    if (wanted('heap')) await measureHeap(vpp);
  } finally {
    await peers.stop();
    for (const [, by] of ways) await by.close();
  }
}

async function measureHeap(vpp: Connection): Promise<void> {
  const heap = () => {
    globalThis.gc!();
    globalThis.gc!();
    return process.memoryUsage().heapUsed;
  };
  await pipelined(200_000, WINDOW, () => vpp.request('control_ping'));
  const before = heap();
  await pipelined(heapRequests, WINDOW, () => vpp.request('control_ping'));
  only(`heap growth over ${heapRequests / 1e6} M requests`, `${((heap() - before) / 1024).toFixed(0)} KiB`, 'none');
}

/** Prints numbers of a program that is run 9 times, each in a new process. */
function cold(program: string): number[] {
  const runs = Array.from({ length: 9 }, () =>
    execFileSync(process.execPath, ['--input-type=module', '-e', program], { encoding: 'utf8', cwd: root })
      .trim()
      .split(' ')
      .map(Number),
  );
  return runs[0]!.map((_, column) => median(runs.map((run) => run[column]!)));
}

function measureStart(socket: string): void {
  const used = 'const used = () => { const { user, system } = process.cpuUsage(); return (user + system) / 1000; };';
  const [first, firstCpu] = cold(
    `${used} const began = performance.now(), cpu = used(); const { connect } = await import('node-vpp/api');
     const vpp = await connect({ socket: ${JSON.stringify(socket)} }); await vpp.request('show_version');
     console.log(performance.now() - began, used() - cpu); await vpp.close();`,
  );
  only(
    'connect to first reply, cold, import included',
    `${first!.toFixed(1)} ms (${firstCpu!.toFixed(1)} ms of processor time)`,
    '≤ 40 ms',
  );
  const [load, loadCpu, rss] = cold(
    `${used} const began = performance.now(), cpu = used(), rss = process.memoryUsage.rss(); await import('node-vpp/api');
     console.log(performance.now() - began, used() - cpu, (process.memoryUsage.rss() - rss) / 1048576);`,
  );
  only(
    'import of node-vpp/api',
    `${load!.toFixed(1)} ms (${loadCpu!.toFixed(1)} ms of processor time), ${rss!.toFixed(1)} MB RSS`,
    '≤ 30 ms, ≤ 15 MB',
  );
}

if (process.argv[2] === 'serve') await serve(process.argv[3]!);
else if (globalThis.gc === undefined) {
  // Needed for one row; node takes the flag at its start only.
  const args = ['--expose-gc', fileURLToPath(import.meta.url), ...process.argv.slice(2)];
  process.exitCode = spawnSync(process.execPath, args, { stdio: 'inherit' }).status ?? 1;
} else {
  const real = noVpp === false;
  const target = real ? await realVpp() : await embedded();
  try {
    const before = await target.idleLoad();
    console.log(`server: ${real ? 'VPP, no workers' : 'the embedded server'}; ${cpus().length} × ${cpus()[0]!.model}`);
    await measureRequests(target);
    if (wanted('start')) measureStart(target.socket);
    const after = await target.idleLoad();
    const percent = (load: number | undefined) => (load === undefined ? '–' : `${(load * 100).toFixed(0)} %`);
    console.log(
      `main thread of the idle VPP: ${percent(before)} before, ${percent(after)} after; Node ${process.version}\n`,
    );
    console.log('| row | node-vpp | raw C | GoVPP | vpp-papi | target |\n|---|---|---|---|---|---|');
    for (const line of lines) console.log(line);
  } finally {
    await target.stop();
  }
}
