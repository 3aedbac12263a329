// Once a second: what has changed since the last time.

import { setTimeout as sleep } from 'node:timers/promises';
import type { Memif, MemifStatistics } from '../../memif/index.js';
import { bitsPerSecond, packetsPerSecond } from '../format.js';

/**
 * Calls `tick` once a second with the seconds since the start and since the last call, until the signal fires or
 * `limit` seconds are over.
 */
export async function eachSecond(
  signal: AbortSignal,
  limit: number | undefined,
  tick: (elapsed: number, interval: number) => void,
): Promise<void> {
  const start = performance.now();
  let last = start;
  for (let n = 1; !signal.aborted; n++) {
    const due = start + Math.min(n, limit ?? Infinity) * 1000;
    await sleep(Math.max(0, due - performance.now()), undefined, { signal }).catch(() => undefined);
    if (signal.aborted) return;
    const now = performance.now();
    tick((now - start) / 1000, (now - last) / 1000);
    last = now;
    if (limit !== undefined && n >= limit) return;
  }
}

/** Sums over the queues of an interface. */
export interface Totals {
  rxPackets: number;
  rxBytes: number;
  wakeups: number;
  txPackets: number;
  txBytes: number;
  kicks: number;
  full: number;
}

export function totals(statistics: MemifStatistics): Totals {
  const sum: Totals = { rxPackets: 0, rxBytes: 0, wakeups: 0, txPackets: 0, txBytes: 0, kicks: 0, full: 0 };
  for (const rx of statistics.rx) {
    sum.rxPackets += rx.packets;
    sum.rxBytes += rx.bytes;
    sum.wakeups += rx.wakeups;
  }
  for (const tx of statistics.tx) {
    sum.txPackets += tx.packets;
    sum.txBytes += tx.bytes;
    sum.kicks += tx.kicks;
    sum.full += tx.full;
  }
  return sum;
}

/** Per second, what an interface does. */
export class Meter {
  readonly #memif: Memif;
  #last: Totals;

  constructor(memif: Memif) {
    this.#memif = memif;
    this.#last = totals(memif.statistics);
  }

  /** Rates since the last call, `interval` seconds ago. */
  read(interval: number): Totals {
    const now = totals(this.#memif.statistics);
    const last = this.#last;
    this.#last = now;
    const rate = (key: keyof Totals): number => (now[key] - last[key]) / interval;
    return {
      rxPackets: rate('rxPackets'),
      rxBytes: rate('rxBytes'),
      wakeups: rate('wakeups'),
      txPackets: rate('txPackets'),
      txBytes: rate('txBytes'),
      kicks: rate('kicks'),
      full: rate('full'),
    };
  }
}

/** `rx 1.20 Mpkt/s 614 Mbit/s   tx 0 pkt/s 0 bit/s`, of rates. */
export function ratesText(rates: Totals): string {
  const way = (name: string, packets: number, bytes: number): string =>
    `${name} ${packetsPerSecond(packets).padStart(11)} ${bitsPerSecond(bytes * 8).padStart(11)}`;
  return `${way('rx', rates.rxPackets, rates.rxBytes)}   ${way('tx', rates.txPackets, rates.txBytes)}`;
}
