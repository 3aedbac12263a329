// VPP in the place of the embedded dataplane: two memifs on its main thread, which polls, on one processor; the same
// cross-connect, bridge or table of routes; its rate as its own stats segment has it.

import { existsSync } from 'node:fs';
import { type Connection, connect } from 'node-vpp/api';
import { formatMac } from 'node-vpp/net';
import { connectStats } from 'node-vpp/stats';
import { Vpp } from '../../test/support/vpp.js';
import { benchMac, benchRoutes } from './dataplane.js';

const NAMES = ['memif1/0', 'memif1/1'] as const;

/** Lines of VPP's CLI that make it what the forwarder is in a case. */
function configuration(name: string, socket: string): string[] {
  const lines = [`create memif socket id 1 filename ${socket}`];
  for (const [id, memif] of NAMES.entries()) {
    lines.push(`create interface memif socket-id 1 id ${id} hw-addr 02:fe:00:00:00:0${id} master`);
    lines.push(`set interface state ${memif} up`, `set interface rx-mode ${memif} polling`);
  }
  const [first, second] = NAMES;
  switch (name) {
    case 'xconnect':
      lines.push(`set interface l2 xconnect ${first} ${second}`, `set interface l2 xconnect ${second} ${first}`);
      break;
    case 'bridge':
      lines.push('create bridge-domain 1 learn 1 forward 1 flood 1 uu-flood 1 arp-term 0');
      for (const memif of NAMES) lines.push(`set interface l2 bridge ${memif} 1`);
      for (let host = 0; host < 1000; host++) lines.push(`l2fib add ${formatMac(benchMac(2, host))} 1 ${second}`);
      break;
    default:
      lines.push(`set interface ip address ${first} 10.0.0.1/24`, `set interface ip address ${second} 10.1.0.1/24`);
      lines.push(`set ip neighbor static ${second} 10.1.0.2 ${formatMac(benchMac(2, 0))}`);
  }
  return lines;
}

async function addRoutes(api: Connection, count: number): Promise<void> {
  const seen = new Set<string>();
  const routes: { address: Uint8Array; length: number }[] = [];
  benchRoutes(
    count,
    (route) => {
      const key = `${route.address.join('.')}/${route.length}`;
      if (seen.has(key)) return;
      seen.add(key);
      routes.push(route);
    },
    () => seen.size,
  );
  const path = {
    sw_if_index: 2,
    table_id: 0,
    rpf_id: 0xffffffff,
    weight: 1,
    preference: 0,
    type: 0,
    flags: 0,
    proto: 0,
  };
  const nh = { address: { ip4: Uint8Array.of(10, 1, 0, 2) }, via_label: 0, obj_id: 0, classify_table_index: 0 };
  const paths = [{ ...path, nh }];
  let next = 0;
  const some = async (): Promise<void> => {
    while (next < routes.length) {
      const { address, length } = routes[next++]!;
      const route = { table_id: 0, prefix: `${address.join('.')}/${length}`, paths };
      await api.request('ip_route_add_del_v2', { is_add: true, is_multipath: false, route } as never);
    }
  };
  await Promise.all(Array.from({ length: 1024 }, some));
}

/**
 * Starts VPP on processor 0 for a case, `run`s the generator beside it, and returns the packets that were sent, one entry
 * a second.
 */
export async function vppRates(
  name: string,
  socket: string,
  options: { seconds: number; routes: number },
  run: () => { stop: () => Promise<unknown> },
): Promise<number[]> {
  const vpp = await Vpp.start({
    plugins: ['memif_plugin.so'],
    heap: name === 'ip4' ? '3G' : '512M',
    config: 'cpu { main-core 0 }\nstatseg { size 512M }',
    exec: configuration(name, socket),
  });
  try {
    // The API answers before the start-up commands have run, and testpmd tries to connect only once.
    while (!existsSync(socket)) await new Promise((resolve) => setTimeout(resolve, 20));
    if (name === 'ip4') {
      const api = await connect({ socket: vpp.apiSocket, requestTimeoutMs: 0 });
      await addRoutes(api, options.routes);
      await api.close();
    }
    const generator = run();
    const stats = await connectStats({ socket: vpp.statsSocket });
    const counters = [1, 2].map((index) => ({
      tx: stats.counter('/if/tx', index),
      error: stats.counter('/if/tx-error', index),
    }));
    const sent = (): number =>
      counters.reduce((sum, { tx, error }) => sum + (tx.value() ?? 0) - (error.value() ?? 0), 0);
    try {
      const end = Date.now() + 30_000;
      while (sent() < 1000) {
        if (Date.now() > end) throw new Error('VPP forwards nothing');
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      const rates: number[] = [];
      let last = sent();
      let lastAt = performance.now();
      for (let s = 0; s < options.seconds + 2; s++) {
        await new Promise((resolve) => setTimeout(resolve, 1000));
        const now = performance.now();
        const packets = sent();
        rates.push(((packets - last) / (now - lastAt)) * 1000);
        last = packets;
        lastAt = now;
      }
      return rates.slice(2);
    } finally {
      await stats.close();
      await generator.stop();
    }
  } finally {
    await vpp.stop();
  }
}
