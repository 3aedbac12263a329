// Sending at a rate, with the back-pressure of `Memif.send`: what the peer does not take waits, nothing is dropped.

import { once } from 'node:events';
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises';
import type { Memif } from '../../memif/index.js';

const batch = 256;
const turnMs = 2;

/**
 * Sends `next(0)`, `next(1)`, … at `rate` packets a second (Infinity: as fast as they are taken), until `total` are
 * sent or the signal fires. Gives the number of packets sent.
 */
export async function sendPaced(
  memif: Memif,
  next: (index: number) => Uint8Array,
  options: { total: number; rate: number; signal: AbortSignal },
): Promise<number> {
  const { total, rate, signal } = options;
  const start = performance.now();
  let sent = 0;
  let turned = start;
  while (sent < total && !signal.aborted) {
    const now = performance.now();
    const due = rate === Infinity ? Infinity : Math.floor(((now - start) / 1000) * rate) + 1;
    const n = Math.min(batch, total - sent, due - sent);
    if (n <= 0) {
      const wait = start + (sent / rate) * 1000 - now;
      await sleep(Math.max(1, wait), undefined, { signal }).catch(() => undefined);
      continue;
    }
    const packets = Array.from({ length: n }, (_, i) => next(sent + i));
    const taken = memif.send(packets);
    sent += n;
    if (!taken) {
      await once(memif, 'drain', { signal }).catch((error: unknown) => {
        if (!signal.aborted) throw error;
      });
    }
    if (now - turned > turnMs) {
      await turn();
      turned = now;
    }
  }
  return sent;
}

/**
 * Waits until the peer has taken everything out of the rings, as long as it goes on taking. Gives what is left: packets
 * of a client are gone when it closes.
 */
export async function settle(memif: Memif): Promise<number> {
  const left = (): number => {
    let sum = memif.statistics.waiting;
    for (const tx of memif.tx) sum += tx.size - tx.free;
    return sum;
  };
  let before = left();
  let still = 0;
  while (before > 0 && still < 20) {
    await sleep(10);
    const now = left();
    still = now < before ? 0 : still + 1;
    before = now;
  }
  return before;
}
