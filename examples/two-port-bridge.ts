// A cable between two memif sockets: whoever connects to one side talks to whoever connects to the other. The packets
// are moved by a native thread; JavaScript only counts.
//
//   node build/js/examples/two-port-bridge.js [LEFT RIGHT]        default /tmp/left.sock and /tmp/right.sock

import { bridge, openMemif } from 'node-vpp/memif';

const [left = '/tmp/left.sock', right = '/tmp/right.sock'] = process.argv.slice(2);
const ports = [left, right].map((socket) => openMemif({ socket, role: 'server' }));
for (const port of ports) {
  port.on('up', (peer) => console.log(`${port.socket}: up, ${peer.name}`));
  port.on('down', () => console.log(`${port.socket}: down`));
}

// Begins when both sides are up, waits while one is down, and goes on by itself.
const wire = bridge(ports[0]!, ports[1]!);

process.once('SIGINT', () => {
  const { fromA, fromB } = wire.statistics;
  console.log(`${left} to ${right}: ${fromA.packets} packets, back: ${fromB.packets}`);
  wire.close();
  for (const port of ports) void port.close();
});
