// Writes everything that comes into a pcapng file, until so many packets are in it.
//
//   node build/js/examples/capture-pcapng.js [SOCKET FILE COUNT]   default /tmp/capture.sock capture.pcapng 100, as server
//
// When the disk is slower than the peer, the ring fills and the peer waits: nothing is lost and memory does not grow.

import { createWriteStream } from 'node:fs';
import { once } from 'node:events';
import { finished } from 'node:stream/promises';
import { openMemif } from 'node-vpp/memif';
import { trace } from 'node-vpp/testing';

const [socket = '/tmp/capture.sock', path = 'capture.pcapng', wanted = '100'] = process.argv.slice(2);
const memif = openMemif({ socket, role: 'server' });
const file = createWriteStream(path);

// Whatever passes through the traced port is written down, with direction and time in nanoseconds.
const watched = trace(memif, {
  name: 'memif0',
  pcapng: { write: (block) => file.write(block) || once(file, 'drain') },
});
for await (const _ of watched) if (watched.counters.received >= Number(wanted)) break;

watched.finish(); // the counters, as the last block
file.end();
await finished(file);
await memif.close();
console.log(`${watched.counters.received} packets in ${path}`);
