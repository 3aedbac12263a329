// The demo of the main job: a dataplane, and a client that makes a network with it over VPP's binary API.
//
//   red, 198.19.1.1   ── memif ──┐                 ┌── memif ── blue, 198.19.2.1        CNFs: worker threads
//                                │ dataplane, routes│
//   left, 198.18.3.2  ── TAP ────┘                 └── TAP ──── right, 198.18.4.2       kernel namespaces, when root
//
// The client makes memifs, TAPs, addresses and routes, and reads what the table shows: interfaces and routes over the
// API, rates from the stats segment. Red and blue send UDP flows and pings to each other through the router; left pings
// right. Nothing here is known to the dataplane but what the client has said.

import { randomUUID } from 'node:crypto';
import { rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, type Connection } from '../../api/index.js';
import { startDataplane, type Dataplane } from '../../dataplane/index.js';
import { openMemif } from '../../memif/index.js';
import { connectStats, type Stats } from '../../stats/index.js';
import { grouped, micros, packetsPerSecond } from '../format.js';
import { eachSecond } from '../memif/rates.js';
import { Reporter } from '../memif/report.js';
import { stopSignal } from '../stop.js';
import { DemoHost } from './demo-host.js';
import { Namespace, PingProcess } from './namespace.js';
import { networkLine, networkTable, type InterfaceSecond, type NetworkSecond } from './network-table.js';
import { painter, type DemoFlags } from './run.js';
import { Count } from './shared.js';
import { Screen } from './table.js';

const ALL = 0xffffffff;
const defaultRate = 50_000;
const tableLines = 24;
const ofApi = 8;

/** A CNF: on subnet 198.18.<net>.0/24, with a network of its own behind it. */
const cnfs = [
  { name: 'red', net: 1, mac: '02:fe:00:00:01:02' },
  { name: 'blue', net: 2, mac: '02:fe:00:00:02:02' },
] as const;
const namespaces = [
  { name: 'left', net: 3 },
  { name: 'right', net: 4 },
] as const;

/** What has to be ended, the last one first. */
class Ends {
  readonly #ends: (() => unknown)[] = [];

  add(end: () => unknown): void {
    this.#ends.push(end);
  }

  async all(): Promise<void> {
    for (const end of this.#ends.splice(0).reverse()) await end();
  }
}

/** Makes an interface up, with an address. */
async function bringUp(vpp: Connection, sw_if_index: number, prefix: string): Promise<void> {
  await vpp.request('sw_interface_add_del_address', { sw_if_index, is_add: true, prefix });
  await vpp.request('sw_interface_set_flags', { sw_if_index, flags: 'IF_STATUS_API_FLAG_ADMIN_UP' });
}

async function addRoute(vpp: Connection, prefix: string, sw_if_index: number, nextHop: string): Promise<void> {
  const path = { sw_if_index, table_id: 0, rpf_id: 0, weight: 1, preference: 0, type: 0, flags: 0, proto: 0 };
  const route = { table_id: 0, stats_index: 0, prefix, src: 0, paths: [{ ...path, nh: { address: nextHop } }] };
  await vpp.request('ip_route_add_del_v2', { is_add: true, route } as never);
}

/** The two CNFs: a memif each, made over the API, and a route to what is behind it. */
async function addCnfs(vpp: Connection, dataplane: Dataplane, flags: DemoFlags, ends: Ends): Promise<DemoHost[]> {
  const hosts: DemoHost[] = [];
  for (const [id, { name, net, mac }] of cnfs.entries()) {
    const { sw_if_index } = await vpp.request('memif_create_v2', {
      role: 'MEMIF_ROLE_API_MASTER',
      mode: 'MEMIF_MODE_API_ETHERNET',
      rx_queues: 1,
      tx_queues: 1,
      id,
      socket_id: 0,
      ring_size: 1024,
      buffer_size: 2048,
      hw_addr: '00:00:00:00:00:00',
    });
    await vpp.request('sw_interface_tag_add_del', { is_add: true, sw_if_index, tag: name });
    await bringUp(vpp, sw_if_index, `198.18.${net}.1/24`);
    await addRoute(vpp, `198.19.${net}.0/24`, sw_if_index, `198.18.${net}.2`);
    const memif = openMemif({
      socket: join(dataplane.runDir, 'memif.sock'),
      role: 'client',
      id,
      name,
      rxMode: flags.mode,
      retryMaxMs: 200,
      // 160 ms of packets at the default rate: what a busy machine may take to come back to a thread.
      ringSize: 8192,
    });
    const other = cnfs[1 - id]!;
    const host = new DemoHost(name, memif, {
      self: { mac, address: `198.19.${net}.1` },
      other: { mac: other.mac, address: `198.19.${other.net}.1` },
      via: { address: `198.18.${net}.2`, router: `198.18.${net}.1` },
      rate: flags.rate ?? defaultRate,
      flows: flags.flows,
      size: flags.size,
      replay: undefined,
      mirrored: false,
    });
    ends.add(() => host.end());
    hosts.push(host);
  }
  return hosts;
}

/** The two namespaces, when this process may make them; what keeps it from that otherwise. */
async function addNamespaces(vpp: Connection, ends: Ends): Promise<PingProcess | string> {
  const missing = Namespace.missing();
  if (missing !== undefined) return missing;
  const made: Namespace[] = [];
  for (const { name, net } of namespaces) {
    const namespace = Namespace.create(`node-vpp-${name}-${process.pid}`);
    ends.add(() => namespace.remove());
    made.push(namespace);
    const { sw_if_index } = await vpp.request('tap_create_v3', {
      id: ALL,
      use_random_mac: true,
      mac_address: '00:00:00:00:00:00',
      num_rx_queues: 1,
      num_tx_queues: 1,
      host_namespace_set: true,
      host_namespace: namespace.name,
      host_if_name_set: true,
      host_if_name: 'vpp0',
      host_ip4_prefix_set: true,
      host_ip4_prefix: `198.18.${net}.2/24`,
      host_ip4_gw_set: true,
      host_ip4_gw: `198.18.${net}.1`,
      tag: name,
    } as never);
    await bringUp(vpp, sw_if_index, `198.18.${net}.1/24`);
  }
  const ping = new PingProcess(made[0]!, `198.18.${namespaces[1].net}.2`);
  ends.add(() => ping.stop());
  return ping;
}

/** Reads what the table shows, over the API and from the stats segment. */
class Watcher {
  readonly #vpp: Connection;
  readonly #stats: Stats;
  readonly #before = new Map<number, readonly number[]>();

  constructor(vpp: Connection, stats: Stats) {
    this.#vpp = vpp;
    this.#stats = stats;
  }

  async read(interval: number): Promise<{ interfaces: InterfaceSecond[]; routes: NetworkSecond['routes'] }> {
    const interfaces: InterfaceSecond[] = [];
    for await (const row of this.#vpp.dump('sw_interface_dump', { sw_if_index: ALL })) {
      if (row.sw_if_index === 0) continue;
      const { sw_if_index: index } = row;
      const [address] = await this.#vpp.dump('ip_address_dump', { sw_if_index: index, is_ipv6: false }).toArray();
      const now = [
        ...this.#combined('/if/rx', index),
        ...this.#combined('/if/tx', index),
        this.#simple('/if/drops', index),
      ];
      const before = this.#before.get(index) ?? now;
      this.#before.set(index, now);
      const rate = (at: number) => (now[at]! - before[at]!) / interval;
      interfaces.push({
        name: row.interface_name,
        tag: row.tag,
        state: (row.flags & 1) === 0 ? 'down' : (row.flags & 2) === 0 ? 'no link' : 'up',
        address: address?.prefix ?? '',
        rxPackets: rate(0),
        rxBits: rate(1) * 8,
        txPackets: rate(2),
        txBits: rate(3) * 8,
        drops: now[4]!,
      });
    }
    const table = { table_id: 0, is_ip6: false, name: '' };
    const routes: { prefix: string; via: string }[] = [];
    for await (const { route } of this.#vpp.dump('ip_route_v2_dump', { src: ofApi, table })) {
      const [path] = route.paths;
      const name = interfaces[(path?.sw_if_index ?? 0) - 1]?.name ?? '';
      routes.push({ prefix: route.prefix, via: `${path?.nh.address ?? ''} ${name}` });
    }
    return { interfaces, routes };
  }

  #combined(name: string, index: number): [packets: number, bytes: number] {
    const entry = this.#stats.get(name);
    if (entry?.type !== 'combined') return [0, 0];
    return [Number(entry.packets[0]?.[index] ?? 0), Number(entry.bytes[0]?.[index] ?? 0)];
  }

  #simple(name: string, index: number): number {
    const entry = this.#stats.get(name);
    return entry?.type === 'simple' ? Number(entry.value[0]?.[index] ?? 0) : 0;
  }
}

/** Runs it until Ctrl-C, or for `seconds`. */
export async function networkDemo(flags: DemoFlags): Promise<void> {
  const stop = stopSignal();
  const reporter = new Reporter(flags);
  const ends = new Ends();
  const folder = join(tmpdir(), `node-vpp-${randomUUID().slice(0, 8)}`);
  let screen: Screen | undefined;
  try {
    ends.add(() => rmSync(folder, { recursive: true, force: true }));
    const dataplane = await startDataplane({
      apiSocket: join(folder, 'api.sock'),
      statsSocket: join(folder, 'stats.sock'),
    });
    ends.add(() => dataplane.close());
    const vpp = await connect({ socket: dataplane.apiSocket, name: 'demo' });
    ends.add(() => vpp.close());
    const stats = await connectStats({ socket: dataplane.statsSocket! });
    ends.add(() => stats.close());
    const { version } = await vpp.request('show_version');
    // The namespaces first: the dataplane shares this thread, which stands still while `ip` runs.
    const ping = await addNamespaces(vpp, ends);
    const hosts = await addCnfs(vpp, dataplane, flags, ends);
    const failed = Promise.race(hosts.map((host) => host.failed));
    failed.catch(() => undefined);
    const aborted = new Promise((resolve) => stop.addEventListener('abort', resolve, { once: true }));
    const up = hosts.map((host) => host.memif.up({ signal: stop, timeoutMs: 20_000 }));
    await Promise.race([Promise.all(up), failed]);
    await Promise.race([Promise.all(hosts.map((host) => host.up)), failed, aborted]);

    const title = `dataplane as VPP ${version}; two CNFs${typeof ping === 'string' ? '' : ', two namespaces'}`;
    const { apiSocket } = dataplane;
    if (!flags.json && Screen.fits(process.stdout, tableLines)) screen = new Screen(process.stdout);
    else reporter.say('started', `node-vpp demo: ${title}`, { apiSocket, statsSocket: dataplane.statsSocket });
    if (typeof ping === 'string' && screen === undefined) {
      reporter.say('withoutNamespaces', `without namespaces: ${ping}`, { reason: ping });
    }

    const watcher = new Watcher(vpp, stats);
    let usage = process.cpuUsage();
    const seconds: Promise<void>[] = [];
    let warm = false;
    const show = async (elapsed: number, interval: number): Promise<void> => {
      const used = process.cpuUsage(usage);
      usage = process.cpuUsage();
      const second: NetworkSecond = {
        elapsed,
        processor: (used.user + used.system) / 1e4 / interval,
        ...(await watcher.read(interval)),
        hosts: hosts.map((host) => host.read(interval, host.counters[Count.lost]!)),
        ping: typeof ping === 'string' ? undefined : ping.state(),
        withoutNamespaces: typeof ping === 'string' ? ping : undefined,
      };
      // The first second is shown, and left out of the summary: packets waited in it for code to be compiled.
      if (!warm && elapsed < (flags.seconds ?? Infinity) - 0.5) for (const host of hosts) host.latency.restart();
      warm = true;
      if (screen === undefined) reporter.say('second', networkLine(second), { ...second });
      else {
        const foot = `Ctrl-C ends it. Look inside: node-vpp api --socket ${apiSocket} cli show interface`;
        screen.draw([...networkTable(title, second, painter()), '', foot]);
      }
    };
    await watcher.read(1);
    const began = performance.now();
    // A read that fails because everything is ending is no failure.
    const ticks = eachSecond(stop, flags.seconds, (elapsed, interval) => {
      seconds.push(
        show(elapsed, interval).catch((error: unknown) => void (stop.aborted || Promise.reject(error as Error))),
      );
    });
    await Promise.race([ticks, failed]);
    await Promise.all(seconds);
    const took = (performance.now() - began) / 1000;
    await Promise.all(hosts.map((host) => host.stop()));
    screen?.end();
    if (screen !== undefined) process.stdout.write('\n');
    screen = undefined;
    summarize(reporter, hosts, typeof ping === 'string' ? undefined : ping, took);
  } finally {
    screen?.end();
    await ends.all();
  }
}

function summarize(
  reporter: Reporter,
  hosts: readonly DemoHost[],
  ping: PingProcess | undefined,
  seconds: number,
): void {
  const lines: string[] = [];
  const flows = hosts.map((host, at) => {
    const other = hosts[1 - at]!;
    const sent = host.counters[Count.flowSent]!;
    const received = other.counters[Count.flowReceived]!;
    const lost = Math.max(other.counters[Count.lost]!, sent - received);
    const damaged = other.counters[Count.damaged]!;
    if (received === 0) process.exitCode = 1;
    lines.push(
      `${`${host.role} to ${other.role}`.padEnd(18)} ${grouped(sent)} packets, ${packetsPerSecond(sent / seconds)}; ` +
        `${grouped(lost)} lost, ${grouped(damaged)} damaged`,
    );
    return { from: host.role, sent, received, lost, damaged };
  });
  const pings = hosts.map((host) => {
    const { p50, p99 } = host.latency.total;
    const [sent, answered] = [host.counters[Count.pingSent]!, host.counters[Count.pingAnswered]!];
    lines.push(
      `${`pings of ${host.role}`.padEnd(18)} ${grouped(answered)} of ${grouped(sent)} answered; ` +
        `p50 ${micros(p50)} µs, p99 ${micros(p99)} µs`,
    );
    return { from: host.role, sent, answered, p50us: p50, p99us: p99 };
  });
  const kernel = ping?.state();
  if (kernel !== undefined) {
    lines.push(
      `${'left to right'.padEnd(18)} ${grouped(kernel.answered)} pings answered, last ${micros(kernel.lastUs)} µs`,
    );
  }
  lines.push(`stopped after ${seconds.toFixed(1)} s`);
  reporter.say('summary', lines.join('\n'), { seconds, flows, pings, namespaces: kernel });
}
