// A long run of the forwarding plane: traffic of all kinds, good and bad, while interfaces, routes, neighbours, ACLs and
// bridge domains come and go, and memif peers die. Watches memory, descriptors and counters; ends with 1 when they grow.
//
//   node tools/soak-dataplane.mjs [--seconds 600]        after `npm run build`; prints a line every 10 s

import { readdirSync } from 'node:fs';
import { openForwarder } from '../dist/dataplane/index.js';
import { openMemif } from '../dist/memif/index.js';
import { icmpEchoFrame, tcpFrame, udpFrame } from '../dist/net/index.js';

const at = process.argv.indexOf('--seconds');
const seconds = at > 0 ? Number(process.argv[at + 1]) : 600;
const socket = `@node-vpp-soak-${process.pid}`;
const PORTS = 4;

let state = 12_345;
const random = (below) => {
  state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
  return Math.floor((state / 2 ** 32) * below);
};

const forwarder = openForwarder({ ageingMs: 200 });
let events = 0;
forwarder.setEvents({ linkChanged: () => events++, macEvent: () => events++, neighbourEvent: () => events++ });
const peers = [];
const macOf = (port) => `02:fe:00:00:00:0${port}`;
for (let port = 0; port < PORTS; port++) {
  forwarder.addInterface({
    kind: 'memif',
    swIfIndex: port + 1,
    name: `memif0/${port}`,
    mac: macOf(port),
    role: 'server',
    socket,
    id: port,
  });
  forwarder.setAdmin(port + 1, true);
}
const connect = async (port) => {
  peers[port] = openMemif({ socket, role: 'client', id: port, retryMinMs: 5 });
  peers[port].listen((rx) => rx.release(rx.peek().count));
  await peers[port].up({ timeoutMs: 10_000 });
};
for (let port = 0; port < PORTS; port++) await connect(port);

const route = (port) => {
  forwarder.addAddress(port + 1, `10.${port}.0.1/16`);
  forwarder.addAddress(port + 1, `2001:db8:${port}::1/64`);
};
for (const port of [0, 1]) route(port);
const all = { learn: true, forward: true, flood: true, uuFlood: true, arpTerm: true, arpUnicastForward: false };
forwarder.addBridgeDomain(1, all, 1);
for (const port of [2, 3]) forwarder.setBridged(port + 1, 1, { type: 'normal', shg: 0 });
forwarder.setNeighbourLimits(false, { ageS: 2, max: 2000, recycle: true });
forwarder.setAclSessionLimits({ max: 5000, udpIdleS: 2, tcpIdleS: 2, tcpTransientS: 1 });
const any = {
  source: '0.0.0.0/0',
  destination: '0.0.0.0/0',
  sourceFirst: 0,
  sourceLast: 65535,
  destinationFirst: 0,
  destinationLast: 65535,
  tcpFlagsMask: 0,
  tcpFlagsValue: 0,
};
forwarder.setAcl(1, [
  { ...any, action: 2, protocol: 6 },
  { ...any, action: 1, protocol: 0 },
]);
forwarder.setAclLists(1, [1], []);

const noise = () => {
  const bytes = new Uint8Array(random(200));
  for (let i = 0; i < bytes.length; i++) bytes[i] = random(256);
  return bytes;
};
const good = (port) => {
  const common = {
    sourceMac: `0a:00:00:00:0${port}:${random(256).toString(16).padStart(2, '0')}`,
    destinationMac: port < 2 ? macOf(port) : `0a:00:00:00:0${random(4)}:${random(256).toString(16).padStart(2, '0')}`,
    source: `10.${port}.${random(256)}.${random(254) + 1}`,
    destination: `10.${random(4)}.${random(8)}.${random(254) + 1}`,
    sourcePort: random(65_536),
    destinationPort: random(65_536),
  };
  switch (random(3)) {
    case 0:
      return udpFrame({ ...common, payload: new Uint8Array(random(1400)) });
    case 1:
      return tcpFrame({ ...common, flags: 2 });
    default:
      return icmpEchoFrame({ ...common, identifier: 1, sequence: random(65_536) });
  }
};
const arp = (port) => {
  const frame = new Uint8Array(42);
  frame.set([255, 255, 255, 255, 255, 255, 0x0a, 0, 0, 0, port, random(256), 8, 6, 0, 1, 8, 0, 6, 4, 0, 1 + random(2)]);
  frame.set(frame.subarray(6, 12), 22);
  frame.set([10, port, random(256), random(256)], 28);
  frame.set([10, port, 0, 1], 38);
  return frame;
};
const spoilt = (port) => {
  const frame = good(port);
  for (let i = 0; i < 3; i++) frame[random(frame.length)] = random(256);
  return frame.subarray(0, random(frame.length + 1));
};

let sent = 0;
let deaths = 0;
let changes = 0;
const started = Date.now();
const fds = () => readdirSync('/proc/self/fd').length;
let base;
let failed = false;
let nextReport = 10;
while ((Date.now() - started) / 1000 < seconds) {
  for (let port = 0; port < PORTS; port++) {
    const peer = peers[port];
    if (!peer.isUp) continue;
    const frames = Array.from({ length: 64 }, () => [good, good, good, arp, spoilt, noise][random(6)](port)).filter(
      (frame) => frame.length > 0,
    );
    sent += frames.length;
    peer.send(frames);
  }
  if (random(200) === 0) {
    // A peer that dies with packets under way.
    const port = random(PORTS);
    deaths++;
    await peers[port].destroy();
    await connect(port);
  }
  if (random(20) === 0) {
    changes++;
    const prefix = `${20 + random(100)}.${random(256)}.0.0/${8 + random(17)}`;
    switch (random(8)) {
      case 0:
        forwarder.setRoute(0, prefix, [
          { kind: 'via', swIfIndex: 1 + random(2), nextHop: `10.${random(2)}.0.${2 + random(200)}` },
        ]);
        break;
      case 1:
        forwarder.flushTable(0, false);
        break;
      case 2:
        forwarder.setRoute(0, prefix, [
          { kind: 'recursive', nextHop: '10.0.0.9', weight: 1 + random(5) },
          { kind: 'via', swIfIndex: 2, nextHop: '10.1.0.9' },
        ]);
        break;
      case 3:
        forwarder.setAdmin(1 + random(PORTS), false);
        for (let port = 0; port < PORTS; port++) forwarder.setAdmin(port + 1, true);
        break;
      case 4:
        forwarder.flushL2Fib();
        break;
      case 5:
        forwarder.setMtu(2, { l3: 600 + random(900) });
        break;
      case 6:
        forwarder.removeAddress(1, '10.0.0.1/16');
        forwarder.addAddress(1, '10.0.0.1/16');
        break;
      default:
        forwarder.addInterface({ kind: 'loopback', swIfIndex: 50, name: 'loop50', mac: '02:fe:00:00:00:50' });
        forwarder.setAdmin(50, true);
        forwarder.addAddress(50, '10.50.0.1/24');
        forwarder.removeInterface(50);
    }
  }
  await new Promise((resolve) => setImmediate(resolve));
  const elapsed = (Date.now() - started) / 1000;
  if (elapsed >= nextReport) {
    nextReport += 10;
    globalThis.gc?.();
    const { rss } = process.memoryUsage();
    const now = {
      rss,
      fds: fds(),
      neighbours: [...forwarder.neighbours(false)].length,
      macs: [...forwarder.l2Fib(1)].length,
    };
    // Caches fill in the first half minute.
    if (base === undefined && elapsed > 30) base = now;
    if (base !== undefined && (now.rss > base.rss * 1.5 + 64 * 2 ** 20 || now.fds > base.fds + 8)) failed = true;
    const { packets } = forwarder.load();
    console.log(
      `${elapsed.toFixed(0)} s: sent ${sent}, taken ${packets}, deaths ${deaths}, changes ${changes}, events ${events}, ` +
        `${(rss / 2 ** 20).toFixed(0)} MB, ${now.fds} fds, ${now.neighbours} neighbours, ${now.macs} MACs, ` +
        `${forwarder.routeCount(0, false)} routes, ${forwarder.aclSessions().active} sessions${failed ? '  GROWS' : ''}`,
    );
  }
}
await forwarder.close();
await Promise.all(peers.map((peer) => peer.destroy()));
console.log(failed ? 'FAILED: memory or descriptors grew' : 'ok');
process.exitCode = failed ? 1 : 0;
