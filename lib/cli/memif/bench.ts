// `node-vpp memif bench`: what an interface does against whatever peer there is.
//
//   send         frames written in place, as many as the peer takes
//   receive      every frame looked at in place, as many as the peer sends
//   round-trip   pings, `window` of them on the way at a time; any peer that answers them or sends frames back
//
// The first second is warm-up and is not counted. Send and receive poll their ring without pause: one processor is full.

import { setImmediate as turn } from 'node:timers/promises';
import type { Memif } from '../../memif/index.js';
import { MemifError } from '../../errors.js';
import { BROADCAST_MAC } from '../../net/index.js';
import { bitsPerSecond, grouped, micros, packetsPerSecond } from '../format.js';
import { count as countTime, newHistogram, percentiles } from '../latency.js';
import { stopSignal } from '../stop.js';
import { Endpoint } from './endpoint.js';
import { Host } from './host.js';
import { type InterfaceFlags, openFrom } from './open.js';
import { type Shape, forMode, numberAt, ping, putNumber, readNumber, udpFlows } from './packets.js';
import { Meter, eachSecond, ratesText } from './rates.js';
import { Reporter, reportState } from './report.js';
import { type AddressFlags, destinationMacOf } from './send.js';

export type BenchCase = 'send' | 'receive' | 'round-trip';

export interface BenchFlags extends InterfaceFlags, AddressFlags {
  size: number;
  seconds: number;
  window: number;
  wait: number;
}

const burstSize = 64;
const turnMs = 5;
const tag = 0x6e76; // "nv"

const median = (values: readonly number[]): number => {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? 0;
};

export async function bench(what: BenchCase, socket: string, flags: BenchFlags): Promise<void> {
  const stop = stopSignal();
  const reporter = new Reporter(flags);
  const memif = openFrom(socket, flags);
  try {
    if (!flags.json) reportState(memif, reporter);
    await memif.up({ signal: stop, timeoutMs: flags.wait * 1000 });
    const lost = new Promise<never>((_, reject) => memif.once('down', reject));
    lost.catch(() => undefined);
    const work = what === 'round-trip' ? roundTrips(memif, flags, stop) : poll(memif, what, flags, stop);
    const rates: { rx: number; tx: number; rxBits: number; txBits: number }[] = [];
    const meter = new Meter(memif);
    let warm = 0;
    const seconds = eachSecond(stop, flags.seconds + 1, (_elapsed, interval) => {
      const { rxPackets, rxBytes, txPackets, txBytes, ...others } = meter.read(interval);
      if (warm++ === 0) return;
      rates.push({ rx: rxPackets, tx: txPackets, rxBits: rxBytes * 8, txBits: txBytes * 8 });
      if (!reporter.json) reporter.sayNow('second', ratesText({ rxPackets, rxBytes, txPackets, txBytes, ...others }));
    });
    await Promise.race([seconds, lost]);
    await work.stop();
    if (rates.length === 0) stop.throwIfAborted();
    const rx = median(rates.map((rate) => rate.rx));
    const tx = median(rates.map((rate) => rate.tx));
    const result = {
      case: what,
      size: flags.size,
      seconds: rates.length,
      rxPacketsPerSecond: rx,
      txPacketsPerSecond: tx,
      rxBitsPerSecond: median(rates.map((rate) => rate.rxBits)),
      txBitsPerSecond: median(rates.map((rate) => rate.txBits)),
      ...work.result(),
    };
    const { p50us, p99us, lost: missing } = work.result();
    const text =
      what === 'round-trip'
        ? `${packetsPerSecond(rx)} there and back, p50 ${micros(p50us ?? NaN)} µs, p99 ${micros(p99us ?? NaN)} µs, ` +
          `${grouped(missing ?? 0)} lost`
        : what === 'send'
          ? `sent ${packetsPerSecond(tx)}, ${bitsPerSecond(result.txBitsPerSecond)} (median second)`
          : `received ${packetsPerSecond(rx)}, ${bitsPerSecond(result.rxBitsPerSecond)} (median second)`;
    reporter.say('result', text, result);
  } finally {
    await memif.destroy();
  }
}

interface Work {
  stop(): Promise<void>;
  result(): { p50us?: number | null; p99us?: number | null; lost?: number; checksum?: number };
}

/** Fills or empties the ring without pause. */
function poll(memif: Memif, what: 'send' | 'receive', flags: BenchFlags, signal: AbortSignal): Work {
  const shape: Shape = { ...flags, destinationMac: flags.destinationMac ?? BROADCAST_MAC, numbered: true };
  const frame = forMode(udpFlows(shape, 1, 5000, 9)[0]!, flags.mode);
  const at = numberAt(flags.source, flags.mode);
  let number = 0;
  let checksum = 0;
  let stopped = false;
  const goesOn = (): boolean => !stopped && !signal.aborted;

  const fill = (): void => {
    for (const tx of memif.tx) {
      const burst = tx.reserve(burstSize, frame.length);
      const { count, offsets, regions, memory, more } = burst;
      if (count === 0) continue;
      if (more[0] === 1) {
        throw new MemifError(
          'PACKET_TOO_LONG',
          `sending frames of ${frame.length} bytes in one piece: the peer's buffers are smaller; give a smaller --size`,
        );
      }
      for (let i = 0; i < count; i++) {
        const bytes = memory[regions[i]!]!;
        const offset = offsets[i]!;
        bytes.set(frame, offset);
        putNumber(bytes, offset + at, (number = (number + 1) | 0));
      }
      tx.commit(count);
    }
  };
  const empty = (): void => {
    for (const rx of memif.rx) {
      const burst = rx.peek(burstSize);
      const { count, offsets, regions, memory } = burst;
      for (let i = 0; i < count; i++) checksum = (checksum + memory[regions[i]!]![offsets[i]! + 12]!) | 0;
      rx.release(count);
    }
  };
  const running = (async () => {
    while (goesOn() && memif.isUp) {
      const end = performance.now() + turnMs;
      do {
        for (let i = 0; i < 50; i++) {
          if (what === 'send') fill();
          empty();
        }
      } while (performance.now() < end);
      await turn();
    }
  })();
  // Seen when the bench ends; until then nobody waits for it.
  running.catch(() => undefined);
  return {
    stop: async () => {
      stopped = true;
      await running;
    },
    result: () => (what === 'receive' ? { checksum } : {}),
  };
}

/** Keeps pings on the way; counts the time of each that comes back. */
function roundTrips(memif: Memif, flags: BenchFlags, signal: AbortSignal): Work {
  const times = newHistogram();
  const slots = 0x10000;
  const sentAt = new Float64Array(slots);
  const at = numberAt(flags.source, flags.mode);
  let frame: Uint8Array | undefined;
  let number = 0;
  let lost = 0;
  let lastSeen = 0;
  let stopped = false;
  const goesOn = (): boolean => !stopped && !signal.aborted;

  const sendOne = (): void => {
    const burst = memif.tx[0]!.reserve(1, frame!.length);
    if (burst.count !== 1) return;
    const bytes = burst.memory[burst.regions[0]!]!;
    bytes.set(frame!, burst.offsets[0]);
    number = (number + 1) >>> 0;
    putNumber(bytes, burst.offsets[0]! + at, number);
    sentAt[number % slots] = performance.now();
    memif.tx[0]!.commit(1);
  };
  const look = (): void => {
    for (const rx of memif.rx) {
      const burst = rx.peek(burstSize);
      const now = performance.now();
      let back = 0;
      for (let i = 0; i < burst.count; i++) {
        const bytes = burst.memory[burst.regions[i]!]!;
        const offset = burst.offsets[i]! + at;
        if (burst.lengths[i] !== frame!.length || ((bytes[offset - 4]! << 8) | bytes[offset - 3]!) !== tag) continue;
        const seen = readNumber(bytes, offset);
        const start = seen < 0 ? 0 : sentAt[seen % slots]!;
        if (start === 0) continue;
        sentAt[seen % slots] = 0;
        countTime(times, (now - start) * 1e6);
        lastSeen = now;
        back++;
      }
      rx.release(burst.count);
      for (let i = 0; i < back && !stopped; i++) sendOne();
    }
  };
  const running = (async () => {
    const host = new Host({ mac: flags.sourceMac, addresses: [flags.source], mode: flags.mode });
    const endpoint = new Endpoint(memif, host);
    // A peer that sends everything back answers no ARP; the frames then go to an address of nobody.
    const found = await destinationMacOf(endpoint, flags, signal);
    const shape: Shape = { ...flags, destinationMac: found ?? '02:fe:00:00:00:02', numbered: true };
    frame = forMode(ping(shape, tag, 0), flags.mode);
    memif.listen(look);
    while (goesOn()) {
      if (performance.now() - lastSeen > 200) {
        // All that were on the way are lost, or it is the beginning.
        for (let i = 0; i < slots; i++) {
          if (sentAt[i] !== 0) lost++;
          sentAt[i] = 0;
        }
        for (let i = 0; i < flags.window; i++) sendOne();
        lastSeen = performance.now();
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  })();
  running.catch(() => undefined);
  return {
    stop: async () => {
      stopped = true;
      await running;
    },
    result: () => {
      const { samples, p50, p99 } = percentiles(times);
      return { p50us: samples === 0 ? null : p50, p99us: samples === 0 ? null : p99, lost };
    },
  };
}
