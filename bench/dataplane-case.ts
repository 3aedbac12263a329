// One case of the dataplane's benchmark, in a process of its own (bench/dataplane.ts starts it, pinned to one processor).
//
//   node build/js/bench/dataplane-case.js CASE SOCKET [SECONDS]     prints one line of JSON

import { execFileSync, spawn } from 'node:child_process';
import { openForwarder, InterfaceCounter, INTERFACE_COUNTERS, type Forwarder } from 'node-vpp/dataplane';
import { openMemif } from 'node-vpp/memif';
import { benchMac, benchRoutes, bridgeFrames, routeFrames } from './support/dataplane.js';

const [name = '', socket = '', secondsText = '5', count = '1000000'] = process.argv.slice(2);
const seconds = Number(secondsText);

/** Two memif ports that poll. They stay down until both peers are there: what comes before would be lost. */
async function ports(
  set: (forwarder: Forwarder) => void,
  rxMode: 'polling' | 'interrupt' = 'polling',
): Promise<Forwarder> {
  const forwarder = openForwarder({ burst: Number(process.env.BURST ?? 256) });
  for (const id of [0, 1]) {
    forwarder.addInterface({
      kind: 'memif',
      swIfIndex: id + 1,
      name: `memif0/${id}`,
      mac: `02:fe:00:00:00:0${id}`,
      role: 'server',
      socket,
      id,
      rxMode,
    });
  }
  set(forwarder);
  while (!forwarder.status(1).link || !forwarder.status(2).link)
    await new Promise((resolve) => setTimeout(resolve, 20));
  for (const index of [1, 2]) forwarder.setAdmin(index, true);
  return forwarder;
}

function connect(forwarder: Forwarder): void {
  forwarder.setCrossConnect(1, 2);
  forwarder.setCrossConnect(2, 1);
}

/** One bridge domain; the thousand hosts behind the second port are known, those behind the first are learnt. */
function bridge(forwarder: Forwarder): void {
  const all = { learn: true, forward: true, flood: true, uuFlood: true, arpTerm: false, arpUnicastForward: false };
  forwarder.addBridgeDomain(1, all, 0);
  for (const index of [1, 2]) forwarder.setBridged(index, 1, { type: 'normal', shg: 0 });
  for (let host = 0; host < 1000; host++) forwarder.setL2FibEntry({ bdId: 1, mac: benchMac(2, host), swIfIndex: 2 });
}

/** A router with a full table; what the table costs. */
function routes(forwarder: Forwarder): { loadMs: number; rss: number; arrays: number } {
  forwarder.addAddress(1, '10.0.0.1/24');
  forwarder.addAddress(2, '10.1.0.1/24');
  forwarder.setNeighbour({ swIfIndex: 2, ip: '10.1.0.2', mac: benchMac(2, 0), static: true });
  const before = process.memoryUsage();
  const started = performance.now();
  benchRoutes(
    Number(count),
    (prefix) => forwarder.setRoute(0, prefix, [{ kind: 'via', swIfIndex: 2, nextHop: '10.1.0.2' }]),
    () => forwarder.routeCount(0, false),
  );
  const loadMs = performance.now() - started;
  (globalThis as { gc?: () => void }).gc?.();
  const after = process.memoryUsage();
  return { loadMs, rss: after.rss - before.rss, arrays: after.arrayBuffers - before.arrayBuffers };
}

/** iperf3 between two namespaces: routed by the forwarder through TAPs, then by the kernel through veths. */
async function tap(): Promise<{ ours: number; kernel: number }> {
  const sh = (command: string): string =>
    execFileSync('sh', ['-c', command], { stdio: ['ignore', 'pipe', 'pipe'] }).toString();
  const [one, two, middle] = ['a', 'b', 'm'].map((letter) => `nvb${process.pid}${letter}`) as [string, string, string];
  const measure = async (): Promise<number> => {
    const server = spawn('ip', ['netns', 'exec', two, 'iperf3', '-s', '-1'], { stdio: 'ignore' });
    await new Promise((resolve) => setTimeout(resolve, 1000));
    const client = spawn('ip', ['netns', 'exec', one, 'iperf3', '-J', '-t', String(seconds), '-c', '10.2.0.2']);
    let output = '';
    client.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString();
    });
    await new Promise((resolve) => client.once('close', resolve));
    server.kill();
    const { end } = JSON.parse(output) as { end: { sum_received: { bits_per_second: number } } };
    return end.sum_received.bits_per_second;
  };
  sh(`ip netns add ${one} && ip netns add ${two} && ip netns add ${middle}`);
  try {
    const forwarder = openForwarder();
    for (const [i, name] of [one, two].entries()) {
      const index = i + 1;
      forwarder.addInterface({
        kind: 'tap',
        swIfIndex: index,
        name: `tap${index}`,
        mac: `02:fe:00:00:00:0${index}`,
        hostName: 'tap0',
        hostNamespace: name,
        hostIp4: `10.${index}.0.2/24`,
        hostIp4Gateway: `10.${index}.0.1`,
        gso: true,
      });
      forwarder.setAdmin(index, true);
      forwarder.addAddress(index, `10.${index}.0.1/24`);
    }
    const ours = await measure();
    await forwarder.close();
    for (const [i, name] of [one, two].entries()) {
      sh(
        `ip -n ${name} link add eth0 type veth peer name v${i} netns ${middle} && ip -n ${name} addr add 10.${i + 1}.0.2/24 dev eth0 && ` +
          `ip -n ${name} link set eth0 up && ip -n ${middle} addr add 10.${i + 1}.0.1/24 dev v${i} && ip -n ${middle} link set v${i} up && ` +
          `ip -n ${name} route add default via 10.${i + 1}.0.1`,
      );
    }
    sh(`ip netns exec ${middle} sh -c 'echo 1 > /proc/sys/net/ipv4/ip_forward'`);
    return { ours, kernel: await measure() };
  } finally {
    for (const name of [one, two, middle]) sh(`ip netns del ${name}`);
  }
}

/** Nanoseconds a packet of each burst of at least so many packets, from now on. */
function timeBursts(forwarder: Forwarder, least: number): { list: number[] } {
  const { plane } = forwarder as unknown as { plane: { dispatch: (port: unknown) => number } };
  const dispatch = plane.dispatch.bind(plane);
  const times: { list: number[] } = { list: [] };
  plane.dispatch = (port): number => {
    const started = performance.now();
    const taken = dispatch(port);
    if (taken >= least) times.list.push(((performance.now() - started) * 1e6) / taken);
    return taken;
  };
  return times;
}

/**
 * Full bursts through the forwarder, without anybody else: from the look into the receive ring to the wake-up of the peer.
 * The time of each, in nanoseconds per packet.
 */
async function bursts(set: (forwarder: Forwarder) => void, frames: readonly Uint8Array[]): Promise<unknown> {
  const size = 256;
  const peers = [0, 1].map((id) => openMemif({ socket, role: 'client', id, retryMinMs: 5 }));
  const forwarder = await ports(set);
  await Promise.all(peers.map((peer) => peer.up()));
  const times = timeBursts(forwarder, size);
  const tx = peers[0]!.tx[0]!;
  const rx = peers[1]!.rx[0]!;
  let at = 0;
  let received = 0;
  const rounds = seconds * 4000;
  for (let round = 0; round < rounds; round++) {
    const burst = tx.reserve(size, 64);
    for (let i = 0; i < burst.count; i++) {
      burst.memory[burst.regions[i]!]!.set(frames[at++ % frames.length]!, burst.offsets[i]);
      burst.lengths[i] = 64;
    }
    tx.commit(burst.count);
    while (tx.free < tx.size) await new Promise((resolve) => setImmediate(resolve));
    const got = rx.peek();
    received += got.packets;
    rx.release(got.count);
  }
  // The first half is warm-up.
  const sorted = times.list.slice(times.list.length >> 1).sort((a, b) => a - b);
  const quantile = (q: number): number => sorted[Math.floor(sorted.length * q)]!;
  return { p5: quantile(0.05), p50: quantile(0.5), p99: quantile(0.99), bursts: sorted.length, received };
}

/** Packets that left: without those that found the other ring full. */
function sent({ interfaceCounters }: Forwarder, index: number): number {
  const row = index * INTERFACE_COUNTERS;
  return interfaceCounters[row + InterfaceCounter.txPackets]! - interfaceCounters[row + InterfaceCounter.txError]!;
}

/** Packets a second that left, one entry a second, once there is traffic. */
async function rates(
  forwarder: Forwarder,
): Promise<{ seconds: number[]; perBusySecond: number; vectorRate: number; dropped: number }> {
  const total = (): number => sent(forwarder, 1) + sent(forwarder, 2);
  const end = Date.now() + 30_000;
  while (total() < 1000) {
    if (Date.now() > end) throw new Error('the peer sends nothing');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const samples: number[] = [];
  const times = timeBursts(forwarder, 128);
  let last = total();
  let lastAt = performance.now();
  for (let s = 0; s < seconds + 2; s++) {
    await new Promise((resolve) => setTimeout(resolve, 1000));
    const now = performance.now();
    const packets = total();
    samples.push(((packets - last) / (now - lastAt)) * 1000);
    last = packets;
    lastAt = now;
    if (s === 1) times.list = [];
  }
  const sorted = times.list.sort((a, b) => a - b);
  const errors = forwarder.nodeCounters().flatMap((node) => node.errors.filter((error) => error.severity === 'error'));
  // The first two are warm-up.
  return {
    seconds: samples.slice(2),
    // While there is something to do, by the median burst: what the forwarder could do if the generator could.
    perBusySecond: 1e9 / sorted[sorted.length >> 1]!,
    vectorRate: forwarder.load().vectorRate,
    dropped: errors.reduce((sum, error) => sum + error.count, 0),
  };
}

async function main(): Promise<unknown> {
  switch (name) {
    case 'xconnect': {
      return rates(await ports(connect));
    }
    case 'bridge': {
      const forwarder = await ports(bridge);
      const result = await rates(forwarder);
      return { ...result, macs: [...forwarder.l2Fib(1)].length };
    }
    case 'ip4': {
      let figures = {};
      const forwarder = await ports((each) => {
        figures = routes(each);
      });
      return { ...(await rates(forwarder)), ...figures, routes: forwarder.routeCount(0, false) };
    }
    case 'burst-xconnect':
      return bursts(connect, bridgeFrames());
    case 'burst-bridge':
      return bursts(bridge, bridgeFrames());
    case 'burst-ip4':
      return bursts((forwarder) => void routes(forwarder), routeFrames(Number(count)));
    case 'tap':
      return tap();
    case 'idle': {
      await ports(connect, 'interrupt');
      await new Promise((resolve) => setTimeout(resolve, 2000));
      const before = process.cpuUsage();
      const start = performance.now();
      await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
      const used = process.cpuUsage(before);
      return { percent: (used.user + used.system) / 10 / (performance.now() - start) };
    }
    default:
      throw new Error(`there is no case ${name}`);
  }
}

process.stdout.write(`${JSON.stringify(await main())}\n`, () => process.exit());
