// Makes a table hold exactly the routes of a file, with progress. A line is `PREFIX NEXT-HOP [INTERFACE]`, or
// `PREFIX drop`. Usage: sync-table FILE [SOCKET [TABLE]]
//
// The file is read as a stream and routes are kept in typed arrays, so that a million lines are no matter.

import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { openVpp, type Route, type RoutePath } from 'node-vpp/vpp';

const [, , file = 'table.txt', socket = '/run/vpp/api.sock', table = '0'] = process.argv;

async function* routes(): AsyncGenerator<Route> {
  const known = new Map<string, RoutePath[]>();
  for await (const line of createInterface({ input: createReadStream(file), crlfDelay: Infinity })) {
    const [prefix, ...rest] = line.split(/\s+/);
    if (prefix === undefined || prefix === '' || prefix.startsWith('#')) continue;
    // One array for all routes with the same next hop: it is looked at once.
    const key = rest.join(' ');
    let paths = known.get(key);
    if (paths === undefined) {
      const [via, itf] = rest;
      paths = via === 'drop' ? [{ type: 'drop' }] : [itf === undefined ? { via } : { via, interface: itf }];
      known.set(key, paths);
    }
    yield { prefix, paths };
  }
}

const vpp = await openVpp({ socket, timeoutMs: 5000, requestTimeoutMs: 0 });
const began = performance.now();
let told = 0;
const result = await vpp.routes.sync(Number(table), routes(), {
  onProgress: ({ phase, done, total }) => {
    const last = done === total;
    if (performance.now() - told < 500 && !last) return;
    told = performance.now();
    console.log(`${phase} ${done}${total === undefined ? '' : ` of ${total}`}`);
  },
});
const { added, replaced, deleted, unchanged } = result;
const seconds = ((performance.now() - began) / 1000).toFixed(2);
console.log(`added ${added}, replaced ${replaced}, deleted ${deleted}, unchanged ${unchanged} in ${seconds} s`);
await vpp.close();
