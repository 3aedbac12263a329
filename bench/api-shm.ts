// The binary API through shared memory: our client, a C program that uses the same library, and both over the socket, against
// the same real VPP in the same run (VPP_BIN; nothing else has a segment).
//
//   node build/js/bench/api-shm.js [quick]
//
// VPP's idle processor load is printed before and after: it tells which regime its main loop was in.

import { execFile } from 'node:child_process';
import { cpus } from 'node:os';
import { promisify } from 'node:util';
import { connect, type Connection } from 'node-vpp/api';
import { Vpp, noVpp } from '../test/support/vpp.js';
import { cPeer } from './support/c-peer.js';

const quick = process.argv.includes('quick');
const rounds = quick ? 3 : 5;
const pings = quick ? 200_000 : 1_000_000;
const routes = quick ? 100_000 : 1_000_000;
const singles = quick ? 10_000 : 50_000;
const WINDOW = 960;

const path = { sw_if_index: 0, table_id: 0, rpf_id: 0, weight: 1, preference: 0, type: 1, flags: 0, proto: 0 };
function* table(is_add: boolean, count: number) {
  for (let n = 0; n < count; n++) {
    const prefix = `${10 + (n >> 24)}.${(n >> 16) & 255}.${(n >> 8) & 255}.${n & 255}/32`;
    yield { is_add, route: { table_id: 0, prefix, paths: [path] } };
  }
}
function* nothing(count: number) {
  for (let n = 0; n < count; n++) yield {};
}

/** A whole message in hex, numbered for this VPP. */
function hexOf(vpp: Connection, name: string, fields: object): { hex: string; bytes: Buffer } {
  const codec = vpp.schema.codec(name)!;
  const bytes = Buffer.alloc(codec.size(fields));
  codec.encode(fields, bytes, 0);
  bytes.writeUInt16BE(vpp.idOf(name)!, 0);
  return { hex: bytes.toString('hex'), bytes };
}

const median = (values: number[]) => [...values].sort((a, b) => a - b)[values.length >> 1]!;
const rate = (perSecond: number) => `${(perSecond / 1000).toFixed(0)} k/s`;
const micro = ({ p50, p99 }: { p50: number; p99: number }) => `${p50.toFixed(1)} µs (p99 ${p99.toFixed(0)})`;
const rows: Record<string, string>[] = [];

function quantiles(took: Float64Array): { p50: number; p99: number } {
  took.sort();
  return { p50: took[took.length >> 1]! * 1000, p99: took[Math.floor(took.length * 0.99)]! * 1000 };
}

async function many(
  vpp: Connection,
  name: 'control_ping' | 'ip_route_add_del_v2',
  items: Iterable<never>,
  count: number,
) {
  const report = await vpp.requestMany(name, items, { window: WINDOW });
  if (report.succeeded !== count) throw new Error(`${report.failed} of ${count} failed`);
  return (count * 1000) / report.elapsedMs;
}

async function measure(vppd: Vpp): Promise<void> {
  const options = { socket: vppd.apiSocket, requestTimeoutMs: 60_000, health: false } as const;
  const shm = await connect({ ...options, ...vppd.shm });
  const socket = await connect(options);
  const [overShm, overSocket] = [cPeer('vppapi-shm'), cPeer('vppapi')];
  if (overShm === undefined || overSocket === undefined) throw new Error('the C peers could not be compiled');
  const run = promisify(execFile);
  const numbers = async (file: string, args: (string | number)[]) =>
    (await run(file, args.map(String))).stdout.trim().split(' ').map(Number);
  const c = (hex: string, window: number, count: number, offset: number) =>
    numbers(overShm, [shm.transport!.libraryPath!, vppd.prefix, vppd.apiSocket, 'send', hex, window, count, offset]);
  const cSocket = (hex: string, window: number, count: number, offset: number) =>
    numbers(overSocket, [vppd.apiSocket, 'send', hex, window, count, offset]);
  const ping = hexOf(shm, 'control_ping', {}).hex;

  const rates = { shm: [] as number[], socket: [] as number[], c: [] as number[], cSocket: [] as number[] };
  for (let round = 0; round < rounds; round++) {
    rates.c.push(pings / (await c(ping, WINDOW, pings, -1))[0]!);
    rates.shm.push(await many(shm, 'control_ping', nothing(pings) as Iterable<never>, pings));
    rates.cSocket.push(pings / (await cSocket(ping, 256, pings, -1))[0]!);
    rates.socket.push(await many(socket, 'control_ping', nothing(pings) as Iterable<never>, pings));
  }
  pushRates('control_ping, pipelined', rates, '≥ 0.5', '≥ 2.5');

  for (const is_add of [true, false]) {
    const { hex, bytes } = hexOf(shm, 'ip_route_add_del_v2', table(is_add, 1).next().value!);
    const offset = bytes.indexOf(Buffer.from([10, 0, 0, 0, 0, 0]));
    const figures = { shm: [] as number[], socket: [] as number[], c: [] as number[], cSocket: [] as number[] };
    const undo = () => many(shm, 'ip_route_add_del_v2', table(!is_add, routes) as Iterable<never>, routes);
    if (!is_add) await undo();
    for (let round = 0; round < (quick ? 2 : 3); round++) {
      figures.c.push(routes / (await c(hex, WINDOW, routes, offset))[0]!);
      await undo();
      figures.shm.push(await many(shm, 'ip_route_add_del_v2', table(is_add, routes) as Iterable<never>, routes));
      await undo();
      figures.socket.push(await many(socket, 'ip_route_add_del_v2', table(is_add, routes) as Iterable<never>, routes));
      await undo();
    }
    if (!is_add) await many(shm, 'ip_route_add_del_v2', table(false, routes) as Iterable<never>, routes);
    pushRates(`ip_route_add_del_v2, ${routes} ${is_add ? 'added' : 'deleted'}`, figures, '≥ 0.85', '≥ 1.5');
  }

  const wait = async (vpp: Connection, sync: boolean) => {
    const took = new Float64Array(singles);
    for (let n = 0; n < singles; n++) {
      const began = performance.now();
      if (sync) vpp.requestSync('control_ping');
      else await vpp.request('control_ping');
      took[n] = performance.now() - began;
    }
    return quantiles(took);
  };
  const kinds = ['sync', 'promise', 'socketSync', 'socketPromise'] as const;
  const seen = Object.fromEntries(kinds.map((kind) => [kind, [] as { p50: number; p99: number }[]])) as Record<
    (typeof kinds)[number],
    { p50: number; p99: number }[]
  >;
  const peers = { c: [] as { p50: number; p99: number }[], cSocket: [] as { p50: number; p99: number }[] };
  for (let round = 0; round < rounds; round++) {
    for (const [key, peer] of [
      ['c', c],
      ['cSocket', cSocket],
    ] as const) {
      const [, p50, p99] = await peer(ping, 1, singles, -1);
      peers[key].push({ p50: p50!, p99: p99! });
    }
    seen.sync.push(await wait(shm, true));
    seen.promise.push(await wait(shm, false));
    seen.socketSync.push(await wait(socket, true));
    seen.socketPromise.push(await wait(socket, false));
  }
  const middle = (list: { p50: number; p99: number }[]) => ({
    p50: median(list.map(({ p50 }) => p50)),
    p99: median(list.map(({ p99 }) => p99)),
  });
  for (const [row, ours, theirs] of [
    ['requestSync', 'sync', 'socketSync'],
    ['request, awaited', 'promise', 'socketPromise'],
  ] as const) {
    const [a, b] = [middle(seen[ours]), middle(seen[theirs])];
    rows.push({
      row: `${row}, one at a time, p50`,
      'shared memory': micro(a),
      C: micro(middle(peers.c)),
      'ours ÷ C': (a.p50 / middle(peers.c).p50).toFixed(2),
      socket: micro(b),
      'C, socket': micro(middle(peers.cSocket)),
      'ours ÷ socket': `${(a.p50 / middle(seen.socketPromise).p50).toFixed(2)} (${ours === 'sync' ? '≤ 0.5' : '≤ 1'})`,
    });
  }
  await shm.close();
  await socket.close();
}

function pushRates(
  row: string,
  { shm, socket, c, cSocket }: Record<'shm' | 'socket' | 'c' | 'cSocket', number[]>,
  goal: string,
  goalSocket: string,
): void {
  rows.push({
    row,
    'shared memory': rate(median(shm)),
    C: rate(median(c)),
    'ours ÷ C': `${(median(shm) / median(c)).toFixed(2)} (${goal})`,
    socket: rate(median(socket)),
    'C, socket': cSocket.length === 0 ? '' : rate(median(cSocket)),
    'ours ÷ socket': `${(median(shm) / median(socket)).toFixed(2)} (${goalSocket})`,
  });
}

if (noVpp !== false) console.log(`needs a real VPP: ${noVpp}`);
else {
  const vppd = await Vpp.start({ heap: '2G' });
  try {
    const before = await vppd.idleLoad(1000);
    await measure(vppd);
    const after = await vppd.idleLoad(1000);
    const percent = (load: number) => `${(load * 100).toFixed(0)} %`;
    console.log(`VPP without workers; ${cpus().length} × ${cpus()[0]?.model ?? '?'}; Node ${process.version}`);
    console.log(`main thread of the idle VPP: ${percent(before)} before, ${percent(after)} after`);
    console.table(rows);
  } finally {
    await vppd.stop();
  }
}
