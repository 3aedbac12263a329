// Runs the demo: opens the interfaces, gives their queues to the hosts in worker threads, shows what they do, and stops
// in order.
//
//   open --> share queues with workers --> up --> a table every second --> hosts stop sending, empty the rings
//        --> summary --> close
//
// The numbers are those of the interfaces' own counters and of what the receiving host found in the packets.

import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { type MemifRole, type RxMode, openMemif } from '../../memif/index.js';
import { grouped, micros, packetsPerSecond } from '../format.js';
import { Host } from '../memif/host.js';
import { readReplay } from '../memif/packets.js';
import { eachSecond } from '../memif/rates.js';
import { Reporter } from '../memif/report.js';
import { stopSignal } from '../stop.js';
import { DemoHost } from './demo-host.js';
import { Count, type HostAddress } from './shared.js';
import { Screen, type Second, line, table } from './table.js';
import { Testpmd, type TestpmdMode } from './testpmd.js';

export interface DemoFlags {
  seconds?: number;
  rate?: number;
  mode: RxMode;
  size: number;
  flows: number;
  pcap?: string;
  memif?: boolean;
  peer?: 'testpmd';
  forward: TestpmdMode;
  json?: boolean;
}

/** Of the range for benchmarks (RFC 2544), which is in nobody's capture. */
const addresses: Record<MemifRole, HostAddress> = {
  client: { mac: '02:fe:00:00:00:01', address: '198.18.0.1' },
  server: { mac: '02:fe:00:00:00:02', address: '198.18.0.2' },
};
const tableLines = 17;
const defaultRate = 250_000;

/** The frames that neither host would take for one of the other's own. */
function foreign(frames: readonly Uint8Array[]): Uint8Array[] {
  const hosts = Object.values(addresses).map(({ mac, address }) => new Host({ mac, addresses: [address] }));
  return frames.filter((frame) => hosts.every((host) => host.look(frame, 0, frame.length) === 'none'));
}

/** Frames in memory that both workers see, instead of a copy for each. */
function shareFrames(frames: readonly Uint8Array[]): Uint8Array[] {
  const all = new Uint8Array(new SharedArrayBuffer(frames.reduce((sum, frame) => sum + frame.length, 0)));
  let at = 0;
  return frames.map((frame) => {
    all.set(frame, at);
    at += frame.length;
    return all.subarray(at - frame.length, at);
  });
}

export async function demo(flags: DemoFlags): Promise<void> {
  const stop = stopSignal();
  const reporter = new Reporter(flags);
  const testpmdWanted = flags.peer === 'testpmd';
  const replay =
    flags.pcap === undefined
      ? undefined
      : await readReplay(flags.pcap, 'ethernet', {
          sourceMac: addresses.client.mac,
          destinationMac: addresses.server.mac,
        });
  const frames = replay === undefined ? undefined : shareFrames(foreign(replay.packets));
  const longest = Math.max(
    128,
    ...(frames === undefined ? [flags.size] : [frames.reduce((n, f) => Math.max(n, f.length), 0)]),
  );
  const bufferSize = Math.min(65535, Math.max(2048, Math.ceil(longest / 64) * 64));
  const traffic = {
    rate: flags.rate ?? defaultRate,
    flows: flags.flows,
    size: flags.size,
    replay: frames,
    mirrored: testpmdWanted && flags.forward === 'macswap',
  };

  const folder = testpmdWanted ? mkdtempSync(join(tmpdir(), 'node-vpp-demo-')) : undefined;
  const socket = folder === undefined ? `@node-vpp-demo-${randomUUID()}` : join(folder, 'memif.sock');
  let testpmd: Testpmd | undefined;
  const hosts: DemoHost[] = [];
  let screen: Screen | undefined;
  try {
    if (testpmdWanted) {
      const processor = Math.max(1, availableParallelism()) - 1;
      testpmd = new Testpmd({ socket, mode: flags.forward, processor, longest });
      reporter.say('starting', 'starting dpdk-testpmd, which takes some seconds', { peer: 'testpmd' });
    }
    for (const role of testpmdWanted ? (['client'] as const) : (['client', 'server'] as const)) {
      const memif = openMemif({
        socket,
        role,
        rxMode: flags.mode,
        ...(role === 'client' ? { bufferSize, retryMaxMs: 200 } : {}),
      });
      const other = role === 'client' ? 'server' : 'client';
      hosts.push(new DemoHost(role, memif, { self: addresses[role], other: addresses[other], ...traffic }));
    }
    const failed = Promise.race([
      ...hosts.map((host) => host.failed),
      ...(testpmd === undefined ? [] : [testpmd.ended]),
    ]);
    failed.catch(() => undefined);
    await Promise.race([Promise.all(hosts.map((host) => host.memif.up({ signal: stop, timeoutMs: 20_000 }))), failed]);
    const aborted = new Promise((resolve) => {
      stop.addEventListener('abort', resolve, { once: true });
    });
    await Promise.race([Promise.all(hosts.map((host) => host.up)), failed, aborted]);

    const what = replay === undefined ? `${flags.size}-byte frames` : `${grouped(frames!.length)} replayed frames`;
    const who = testpmdWanted ? `with dpdk-testpmd (${flags.forward})` : 'two worker threads';
    const title = `${who}, one memif, ${what}, ${flags.mode}`;
    if (!flags.json && Screen.fits(process.stdout, tableLines)) screen = new Screen(process.stdout);
    else reporter.say('started', `node-vpp demo: ${title}`, { socket, ...flags });
    const leftOut = replay === undefined ? 0 : replay.skipped + replay.packets.length - frames!.length;
    if (leftOut > 0 && screen === undefined) {
      reporter.say('leftOut', `${grouped(leftOut)} packets of the capture are left out`, { packets: leftOut });
    }

    const history: number[] = [];
    const sentBefore = hosts.map(() => 0);
    let usage = process.cpuUsage();
    const start = performance.now();
    const show = (elapsed: number, interval: number): void => {
      const used = process.cpuUsage(usage);
      usage = process.cpuUsage();
      const second: Second = {
        elapsed,
        processor: (used.user + used.system) / 1e4 / interval,
        hosts: hosts.map((host, i) => host.read(interval, lostBy(hosts, i, replay !== undefined, sentBefore))),
      };
      hosts.forEach((host, i) => (sentBefore[i] = host.counters[Count.flowSent]!));
      history.push(second.hosts.reduce((sum, host) => sum + host.rxPackets, 0));
      if (history.length > 60) history.shift();
      if (screen !== undefined) screen.draw([...table(title, second, history, painter()), '', 'Ctrl-C ends it.']);
      else reporter.say('second', line(second), { ...second });
    };
    await Promise.race([eachSecond(stop, flags.seconds, show), failed]);
    const seconds = (performance.now() - start) / 1000;
    await Promise.all(hosts.map((host) => host.stop()));
    screen?.end();
    if (screen !== undefined) process.stdout.write('\n');
    screen = undefined;
    summarize(reporter, hosts, replay !== undefined, seconds, testpmdWanted);
  } finally {
    screen?.end();
    // The client first: a testpmd that serves a client must not lose it in the middle of a burst.
    await Promise.all(hosts.map((host) => host.end()));
    await testpmd?.stop();
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * Packets for a host that did not arrive: gaps in the numbers of generated ones; of replayed ones what was sent more than
 * a second ago and is not here.
 */
function lostBy(hosts: readonly DemoHost[], index: number, replayed: boolean, sentBefore: readonly number[]): number {
  const { counters } = hosts[index]!;
  if (!replayed) return counters[Count.lost]!;
  return hosts.length < 2 ? 0 : Math.max(0, sentBefore[1 - index]! - counters[Count.flowReceived]!);
}

export const painter = (): { bold: (text: string) => string; dim: (text: string) => string } => {
  const colors = process.stdout.hasColors() && process.env['NO_COLOR'] === undefined;
  const paint = (code: number) => (text: string) => (colors ? `\x1b[${code}m${text}\x1b[22m` : text);
  return { bold: paint(1), dim: paint(2) };
};

function summarize(
  reporter: Reporter,
  hosts: readonly DemoHost[],
  replayed: boolean,
  seconds: number,
  withTestpmd: boolean,
): void {
  const lines: string[] = [];
  const flows: Record<string, unknown>[] = [];
  let bad = 0;
  const name = (role: string): string => (withTestpmd && role === 'server' ? 'testpmd' : role);
  for (const [i, host] of hosts.entries()) {
    const other = host.role === 'client' ? 'server' : 'client';
    const peer = hosts[1 - i];
    const sent = host.counters[Count.flowSent]!;
    const rate = packetsPerSecond(sent / seconds);
    const head = `${name(host.role)} to ${name(other)}`.padEnd(18);
    if (peer === undefined) {
      const back = host.counters[Count.flowReceived]!;
      lines.push(`${head} ${grouped(sent)} packets, ${rate}; ${grouped(back)} came back`);
      flows.push({
        from: host.role,
        sent,
        received: back,
        lost: host.counters[Count.lost],
        damaged: host.counters[Count.damaged],
      });
      continue;
    }
    const received = peer.counters[Count.flowReceived]!;
    const lost = replayed ? sent - received : Math.max(peer.counters[Count.lost]!, sent - received);
    const damaged = peer.counters[Count.damaged]!;
    bad += lost + damaged + (received === 0 ? 1 : 0);
    lines.push(`${head} ${grouped(sent)} packets, ${rate}; ${grouped(lost)} lost, ${grouped(damaged)} damaged`);
    flows.push({ from: host.role, sent, received, lost, damaged });
  }
  const pings = hosts.map((host) => {
    const { p50, p99 } = host.latency.total;
    const sent = host.counters[Count.pingSent]!;
    const answered = host.counters[Count.pingAnswered]!;
    lines.push(
      `${`pings of ${host.role}`.padEnd(18)} ${grouped(answered)} of ${grouped(sent)} answered; ` +
        `p50 ${micros(p50)} µs, p99 ${micros(p99)} µs`,
    );
    return { from: host.role, sent, answered, p50us: p50, p99us: p99 };
  });
  lines.push(`stopped after ${seconds.toFixed(1)} s`);
  reporter.say('summary', lines.join('\n'), { seconds, flows, pings });
  if (bad > 0) process.exitCode = 1;
}
