// `node-vpp stats watch`: rates of counters and values of gauges, a block of lines per reading.

import type { Stats } from '../../stats/index.js';
import { printable, scaled } from '../format.js';
import { stopSignal } from '../stop.js';
import { type SourceFlags, jsonOf, withStats } from './open.js';

export interface WatchFlags extends SourceFlags {
  interval: number;
  count?: number;
  zeros?: boolean;
}

/** Prints what changes. */
export async function watch(patterns: readonly string[], flags: WatchFlags): Promise<void> {
  const signal = stopSignal();
  await withStats({ ...flags }, async (source) => {
    const stats = source as Stats;
    // An image does not change: there is nothing to wait for.
    const updates =
      'subscribe' in source ? stats.subscribe(patterns, { intervalMs: flags.interval * 1000, signal }) : [];
    if ('events' in source) {
      stats.events.on('disconnected', ({ message }) => console.error(`node-vpp: ${message}`));
      stats.events.on('connected', ({ pid }) =>
        console.error(`node-vpp: connected again${pid > 0 ? ` (process ${pid})` : ''}`),
      );
    }
    // The first reading has nothing to be compared with.
    let left = (flags.count ?? Infinity) + 1;
    try {
      for await (const snapshot of updates) {
        if (snapshot.intervalMs === undefined) {
          if (left <= 1) break;
          if (left === (flags.count ?? Infinity) + 1) left--;
          continue;
        }
        const time = new Date(snapshot.time).toISOString();
        const lines: string[] = [];
        for (const name of snapshot.names()) {
          const reading = snapshot.reading(name);
          if (reading?.delta === undefined) continue;
          const still =
            reading.type === 'simple'
              ? reading.delta === 0n
              : reading.delta.packets === 0n && reading.delta.bytes === 0n;
          if (still && flags.zeros !== true) continue;
          if (flags.json === true) {
            const { type, total, delta, rate, cleared } = reading;
            lines.push(jsonOf({ time, name, type, total, delta, rate, ...(cleared ? { cleared } : {}) }));
          } else if (reading.type === 'combined') {
            const { packets, bytes } = reading.rate ?? { packets: 0, bytes: 0 };
            lines.push(`${scaled(packets).padStart(9)}pkt/s ${scaled(bytes * 8).padStart(9)}bit/s  ${printable(name)}`);
          } else if (reading.rate === undefined) {
            const change = reading.delta > 0n ? `+${reading.delta}` : `${reading.delta}`;
            lines.push(`${String(reading.total).padStart(14)} ${change.padStart(14)}  ${printable(name)}`);
          } else lines.push(`${scaled(reading.rate).padStart(12)}/s ${' '.repeat(14)}  ${printable(name)}`);
        }
        if (flags.json !== true) lines.unshift(time);
        if (lines.length > 0) process.stdout.write(`${lines.join('\n')}\n`);
        if (--left <= 0) break;
      }
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  });
}
