// VPP as objects: what a sync of a table costs beside the bare requests and the bare dump it is made of, what a route
// takes while it is held, and how long a list of many interfaces takes. Against a real VPP (VPP_BIN).
//
//   node build/js/bench/vpp.js [routes] [shm]        default 1000000, over the socket
//
// The peer of each row runs right before it, in the same process, over the same connection, with the same bytes.

import { connect, type Connection } from 'node-vpp/api';
import { openVpp, type Route, type Vpp as Objects } from 'node-vpp/vpp';
import { Vpp, noVpp } from '../test/support/vpp.js';

const overShm = process.argv.includes('shm');
const count = Number(process.argv.slice(2).find((word) => word !== 'shm') ?? 1_000_000);
const interfaces = 10_000;
const path = { sw_if_index: 0xffffffff, table_id: 0, rpf_id: 0, weight: 1, preference: 0, type: 2, flags: 0, proto: 0 };
const paths = [{ type: 'drop' as const }];

function* routes(): Generator<Route> {
  for (let n = 0; n < count; n += 1) yield { prefix: prefixOf(n), paths };
}
const prefixOf = (n: number): string => `${30 + (n >> 16)}.${(n >> 8) & 255}.${n & 255}.0/24`;

async function timed(work: () => Promise<unknown>): Promise<{ ms: number; cpuMs: number }> {
  const cpu = process.cpuUsage();
  const began = performance.now();
  await work();
  const used = process.cpuUsage(cpu);
  return { ms: performance.now() - began, cpuMs: (used.user + used.system) / 1000 };
}

/** The requests alone, as many in flight as sync has: the fastest way to send them that there is. */
async function raw(api: Connection, isAdd: boolean): Promise<void> {
  function* changes(): Generator<object> {
    for (let n = 0; n < count; n += 1) {
      const route = { table_id: 0, prefix: prefixOf(n), paths: isAdd ? [path] : [] };
      yield { is_add: isAdd, is_multipath: false, route };
    }
  }
  const report = await api.requestMany('ip_route_add_del_v2', changes() as never, { window: 1024 });
  if (report.succeeded !== count) throw new Error(`VPP took ${report.succeeded} of ${count} routes`);
}

async function dump(api: Connection): Promise<void> {
  let rows = 0;
  const table = { src: 8, table: { table_id: 0, is_ip6: false } };
  for await (const batch of api.dump('ip_route_v2_dump', table as never, { as: 'view' }).batches(16_384))
    rows += batch.length;
  if (rows !== count) throw new Error(`the dump had ${rows} of ${count} routes`);
}

async function unchanged(vpp: Objects): Promise<void> {
  const result = await vpp.routes.sync(0, routes(), { family: 'ip4' });
  if (result.unchanged !== count) throw new Error(`sync found ${result.unchanged} of ${count} routes unchanged`);
}

const perSecond = (ms: number): string => `${Math.round(count / ms)} k/s`;

async function ofRoutes(api: Connection, vpp: Objects): Promise<void> {
  // Both once before: VPP's heap grows with the first table, and code is compiled while it runs for the first time.
  await raw(api, true);
  await raw(api, false);
  await vpp.routes.sync(0, routes(), { family: 'ip4' });
  await vpp.routes.sync(0, [], { family: 'ip4' });
  const bare = await timed(() => raw(api, true));
  console.log(
    `add, bare requests           ${perSecond(bare.ms)}   ${((bare.cpuMs / count) * 1000).toFixed(2)} µs of processor each`,
  );
  await timed(() => raw(api, false));
  let bytes = 0;
  const sync = await timed(async () => {
    const result = await vpp.routes.sync(0, routes(), { family: 'ip4' });
    if (result.added !== count) throw new Error(`sync added ${result.added} of ${count} routes`);
    bytes = result.bytesHeld;
  });
  console.log(
    `sync into an empty table     ${perSecond(sync.ms)}   ${((sync.cpuMs / count) * 1000).toFixed(2)} µs of processor each`,
  );
  console.log(
    `  ratio ${(bare.ms / sync.ms).toFixed(2)} of the bare requests (aim 0.8); ${(bytes / count).toFixed(1)} bytes a route held (aim 250)`,
  );
  const dumps: number[] = [];
  const syncs: number[] = [];
  for (let round = 0; round < 3; round += 1) {
    dumps.push((await timed(() => dump(api))).ms);
    syncs.push((await timed(() => unchanged(vpp))).ms);
  }
  const median = (list: number[]): number => [...list].sort((a, b) => a - b)[1]!;
  console.log(
    `dump alone                   ${median(dumps).toFixed(0)} ms, second sync ${median(syncs).toFixed(0)} ms (medians of 3)`,
  );
  console.log(`  ratio ${(median(syncs) / median(dumps)).toFixed(2)} (aim 1.5)`);
  const none = await timed(() => vpp.routes.sync(0, [], { family: 'ip4' }));
  console.log(`sync to nothing              ${perSecond(none.ms)}`);
}

async function ofInterfaces(api: Connection, vpp: Objects): Promise<void> {
  let made = 0;
  await Promise.all(
    Array.from({ length: 256 }, async () => {
      while (made < interfaces) {
        made += 1;
        await api.request('create_loopback', { mac_address: '00:00:00:00:00:00' });
      }
    }),
  );
  const times: number[] = [];
  for (let round = 0; round < 5; round += 1) times.push((await timed(() => vpp.interfaces.list())).ms);
  console.log(
    `interfaces.list(), ${interfaces}   first ${times[0]!.toFixed(0)} ms, median ${[...times].sort((a, b) => a - b)[2]!.toFixed(0)} ms (aim 250)`,
  );
}

if (noVpp === false) {
  const real = await Vpp.start({ heap: '4G', config: 'statseg { size 512M }' });
  try {
    const api = await connect({ socket: real.apiSocket, requestTimeoutMs: 0, ...(overShm ? real.shm : {}) });
    console.log(`over ${api.transport!.kind}`);
    const vpp = await openVpp(api);
    await ofRoutes(api, vpp);
    await ofInterfaces(api, vpp);
    await vpp.close();
    await api.close();
  } finally {
    await real.stop();
  }
} else console.log(`skipped: ${noVpp}`);
