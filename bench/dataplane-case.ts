// One case of the dataplane's benchmark, in a process of its own (bench/dataplane.ts starts it, pinned to one processor).
//
//   node build/js/bench/dataplane-case.js CASE SOCKET [SECONDS]     prints one line of JSON

import { openForwarder, InterfaceCounter, INTERFACE_COUNTERS, type Forwarder } from 'node-vpp/dataplane';
import { benchMac, benchRoutes } from './support/dataplane.js';

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

const sent = (forwarder: Forwarder, index: number): number =>
  forwarder.interfaceCounters[index * INTERFACE_COUNTERS + InterfaceCounter.txPackets]!;

/** Packets a second that left, one entry a second, once there is traffic. */
async function rates(
  forwarder: Forwarder,
): Promise<{ seconds: number[]; perCpuSecond: number; vectorRate: number; dropped: number }> {
  const total = (): number => sent(forwarder, 1) + sent(forwarder, 2);
  const end = Date.now() + 30_000;
  while (total() < 1000) {
    if (Date.now() > end) throw new Error('the peer sends nothing');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const samples: number[] = [];
  const cpuBefore = process.cpuUsage();
  const before = total();
  let last = total();
  let lastAt = performance.now();
  for (let s = 0; s < seconds + 2; s++) {
    await new Promise((resolve) => setTimeout(resolve, 1000));
    const now = performance.now();
    const packets = total();
    samples.push(((packets - last) / (now - lastAt)) * 1000);
    last = packets;
    lastAt = now;
  }
  const cpu = process.cpuUsage(cpuBefore);
  const errors = forwarder.nodeCounters().flatMap((node) => node.errors.filter((error) => error.severity === 'error'));
  // The first two are warm-up.
  return {
    seconds: samples.slice(2),
    // On a machine that others use too: what a processor of our own would do.
    perCpuSecond: (total() - before) / ((cpu.user + cpu.system) / 1e6),
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
      const all = { learn: true, forward: true, flood: true, uuFlood: true, arpTerm: false, arpUnicastForward: false };
      const forwarder = await ports((each) => {
        each.addBridgeDomain(1, all, 0);
        for (const index of [1, 2]) each.setBridged(index, 1, { type: 'normal', shg: 0 });
        // The thousand hosts behind the second port; those behind the first are learnt.
        for (let host = 0; host < 1000; host++) each.setL2FibEntry({ bdId: 1, mac: benchMac(2, host), swIfIndex: 2 });
      });
      const result = await rates(forwarder);
      return { ...result, macs: [...forwarder.l2Fib(1)].length };
    }
    case 'ip4': {
      let figures = {};
      const load = (forwarder: Forwarder): void => {
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
        figures = { loadMs, rss: after.rss - before.rss, arrays: after.arrayBuffers - before.arrayBuffers };
      };
      const forwarder = await ports(load);
      return { ...(await rates(forwarder)), ...figures, routes: forwarder.routeCount(0, false) };
    }
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
