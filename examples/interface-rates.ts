// Prints what every interface receives, sends and drops, once a second.
//
//   node build/js/examples/interface-rates.js [SOCKET] [SECONDS]

import { connectStats } from 'node-vpp/stats';

const [socket = '/run/vpp/stats.sock', seconds = '1'] = process.argv.slice(2);
const stats = await connectStats({ socket, waitMs: 10_000 });
const stop = new AbortController();
process.once('SIGINT', () => stop.abort());

try {
  for await (const snapshot of stats.subscribe(['/if/', '/interfaces/'], {
    intervalMs: Number(seconds) * 1000,
    signal: stop.signal,
  })) {
    // The first snapshot, and the first after a restart of VPP, has nothing to be compared with.
    if (snapshot.intervalMs === undefined) continue;
    for (const each of stats.interfaces({ snapshot })) {
      const [rx, tx, drops] = [each.reading('rx')?.rate, each.reading('tx')?.rate, each.reading('drops')?.rate ?? 0];
      if (rx === undefined || tx === undefined || rx.packets + tx.packets + drops === 0) continue;
      const rate = ({ packets, bytes }: { packets: number; bytes: number }): string =>
        `${packets.toFixed(0)} pkt/s ${((bytes * 8) / 1e6).toFixed(2)} Mbit/s`;
      console.log(`${each.name}: rx ${rate(rx)}, tx ${rate(tx)}, drops ${drops.toFixed(0)}/s`);
    }
  }
} catch (error) {
  if (!stop.signal.aborted) throw error;
}
await stats.close();
