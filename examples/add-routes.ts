// 100,000 routes (or as many as told), with progress. Usage: add-routes [SOCKET [COUNT]]
//
// Requests are simply made: the connection gathers them, keeps at most `window` in flight, and the rest waits in order.

import { connect } from 'node-vpp/api';

const [, , socket = '/run/vpp/api.sock', wanted = '100000'] = process.argv;
const count = Number(wanted);
const vpp = await connect({ socket, timeoutMs: 5000, requestTimeoutMs: 60_000 });

const path = { sw_if_index: 0, table_id: 0, rpf_id: 0, weight: 1, preference: 0, type: 1, flags: 0, proto: 0 };
let done = 0;
const progress = setInterval(() => console.log(`${done} of ${count} routes`), 250);
const began = performance.now();

const one = async (n: number) => {
  const prefix = `10.${(n >> 16) & 255}.${(n >> 8) & 255}.${n & 255}/32`;
  await vpp.request('ip_route_add_del_v2', {
    is_add: true,
    route: { table_id: 0, prefix, paths: [path] },
  });
  done += 1;
};
await Promise.all(Array.from({ length: count }, (_, n) => one(n)));

clearInterval(progress);
const seconds = (performance.now() - began) / 1000;
console.log(`${done} routes in ${seconds.toFixed(2)} s, ${Math.round(done / seconds)} per second`);
await vpp.close();
