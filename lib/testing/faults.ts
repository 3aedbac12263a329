// A port that mistreats packets on purpose, in a way that can be repeated: the same seed gives the same faults.

import type { PacketPort } from './port.js';

/** What happens to packets, each as a probability from 0 to 1. */
export interface FaultOptions {
  /** Packet lost. */
  drop?: number;
  /** Packet delivered twice. */
  duplicate?: number;
  /** One bit flipped in a random place. */
  corrupt?: number;
  /** Packet cut off at a random length. */
  truncate?: number;
  /** Packet swapped with the one behind it (in the same send or burst). */
  reorder?: number;
  /** Which way faults are made. Default `both`. */
  direction?: 'send' | 'receive' | 'both';
  /** Seed of the random numbers. Default 1. */
  seed?: number;
}

/** How often each fault was made. */
export interface FaultCounters {
  dropped: number;
  duplicated: number;
  corrupted: number;
  truncated: number;
  reordered: number;
}

/** Numbers from 0 to 1 that depend on the seed alone (xorshift32). */
function randomNumbers(seed: number): () => number {
  let state = seed | 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

/**
 * Wraps a port so that it loses, repeats, damages and reorders packets.
 *
 * @example
 * ```ts
 * import { injectFaults, loopback } from 'node-vpp/testing';
 * const pair = await loopback();
 * const bad = injectFaults(pair.client, { drop: 0.5, seed: 42 });
 * for (let i = 0; i < 100; i++) bad.send(new Uint8Array(60));
 * console.log(bad.counters.dropped, 'of 100 lost');
 * await pair.close();
 * ```
 */
export function injectFaults(port: PacketPort, options: FaultOptions): FaultyPort {
  return new FaultyPort(port, options);
}

/** A port with faults; made by `injectFaults`. */
export class FaultyPort implements PacketPort {
  readonly counters: FaultCounters = { dropped: 0, duplicated: 0, corrupted: 0, truncated: 0, reordered: 0 };
  readonly #port: PacketPort;
  readonly #options: FaultOptions;
  readonly #random: () => number;

  /** @internal */
  constructor(port: PacketPort, options: FaultOptions) {
    this.#port = port;
    this.#options = options;
    this.#random = randomNumbers(options.seed ?? 1);
  }

  send(packets: Uint8Array | readonly Uint8Array[]): boolean {
    const list = packets instanceof Uint8Array ? [packets] : packets;
    return this.#port.send(this.#options.direction === 'receive' ? list : this.#mistreat(list));
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array[], void, void> {
    for await (const packets of this.#port) {
      const left = this.#options.direction === 'send' ? packets : this.#mistreat(packets);
      if (left.length > 0) yield left;
    }
  }

  close(): Promise<void> {
    return this.#port.close();
  }

  #mistreat(packets: readonly Uint8Array[]): Uint8Array[] {
    const { drop = 0, duplicate = 0, corrupt = 0, truncate = 0, reorder = 0 } = this.#options;
    const happens = (probability: number): boolean => probability > 0 && this.#random() < probability;
    const result: Uint8Array[] = [];
    for (const packet of packets) {
      if (happens(drop)) {
        this.counters.dropped++;
        continue;
      }
      let each = packet;
      if (each.length > 0 && happens(truncate)) {
        this.counters.truncated++;
        each = each.slice(0, Math.floor(this.#random() * each.length));
      }
      if (each.length > 0 && happens(corrupt)) {
        this.counters.corrupted++;
        each = each.slice();
        const at = Math.floor(this.#random() * each.length);
        each[at]! ^= 1 << Math.floor(this.#random() * 8);
      }
      result.push(each);
      if (happens(duplicate)) {
        this.counters.duplicated++;
        result.push(each);
      }
      if (result.length > 1 && happens(reorder)) {
        this.counters.reordered++;
        const last = result.length - 1;
        [result[last - 1], result[last]] = [result[last]!, result[last - 1]!];
      }
    }
    return result;
  }
}
