// Counters of interfaces, from VPP's stats segment. The segment is opened when the first counter is asked for; then a
// counter is read in place, with no word to VPP.
//
//   openVpp({ socket, statsSocket })     opened by us, closed by vpp.close()
//   openVpp({ socket, stats })           the caller's, who closes it

import { VppObjectError } from '../errors.js';
import type { InterfaceCounterValues, LiveInterface, Stats, StatsSource } from '../stats/index.js';

/** Counters of an interface by VPP's names, over all threads, as numbers: exact up to 2^53. */
export type InterfaceCounters = InterfaceCounterValues;

/** Where counters are. */
export interface CounterOptions {
  /** The stats socket of this VPP; opened when the first counter is asked for. */
  statsSocket?: string | undefined;
  /** A reader of its stats segment that is open already, `await connectStats(…)`; it stays the caller's to close. */
  stats?: StatsSource | undefined;
}

const simple = ['drops', 'punt', 'ip4', 'ip6', 'rx-no-buf', 'rx-miss', 'rx-error', 'tx-error', 'mpls'] as const;
const combined = [
  ...['rx', 'rx-unicast', 'rx-multicast', 'rx-broadcast'],
  ...['tx', 'tx-unicast', 'tx-multicast', 'tx-broadcast'],
] as ('rx' | 'rx-unicast' | 'rx-multicast' | 'rx-broadcast' | 'tx' | 'tx-unicast' | 'tx-multicast' | 'tx-broadcast')[];

/** Reads them; for `Interfaces`. */
export class CounterReader {
  readonly #options: CounterOptions;
  readonly #live = new Map<number, LiveInterface>();
  #opened: Promise<Stats> | undefined;
  #closed = false;

  constructor(options: CounterOptions) {
    this.#options = options;
  }

  /** Those of one interface; undefined when the segment has no such interface. */
  async read(index: number, object: string): Promise<InterfaceCounters | undefined> {
    const source = await this.#source(object);
    let live = this.#live.get(index);
    if (live === undefined) this.#live.set(index, (live = source.interface(index)));
    return live.read();
  }

  /** Those of all interfaces as they are at one moment, by sw_if_index. */
  async readAll(object: string): Promise<Map<number, InterfaceCounters>> {
    const source = await this.#source(object);
    const all = new Map<number, InterfaceCounters>();
    for (const one of source.interfaces({ snapshot: source.snapshot('/if/') })) {
      const entries = [
        ...simple.map((name) => [name, one.simple(name)] as const),
        ...combined.map((name) => [name, one.combined(name)] as const),
      ];
      const values: unknown = Object.fromEntries(entries);
      all.set(one.swIfIndex, values as InterfaceCounters);
    }
    return all;
  }

  async #source(object: string): Promise<StatsSource> {
    const { stats, statsSocket } = this.#options;
    const refuse = (problem: string): never => {
      throw new VppObjectError('ERR_VPP_OBJECT_REFUSED', object, `cannot read its counters: ${problem}`);
    };
    if (this.#closed) return refuse('the VPP was closed here');
    if (stats !== undefined) return stats;
    if (statsSocket === undefined) {
      return refuse('they are on the stats segment, whose socket is not known; give it: openVpp({ statsSocket })');
    }
    this.#opened ??= this.#open(statsSocket);
    return this.#opened;
  }

  async #open(socket: string): Promise<Stats> {
    try {
      const { connectStats } = await import('../stats/index.js');
      return await connectStats({ socket });
    } catch (error) {
      // The next one who asks tries again.
      this.#opened = undefined;
      throw error;
    }
  }

  /** For `Interfaces`: an index may come to belong to another interface. */
  forget(index: number): void {
    this.#live.delete(index);
  }

  /** Closes what was opened here. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#live.clear();
    const opened = this.#opened;
    this.#opened = undefined;
    await (await opened?.catch(() => undefined))?.close();
  }
}
