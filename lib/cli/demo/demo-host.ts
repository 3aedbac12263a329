// A host of a demo: a worker thread on its end of a memif, and what the main thread knows of it.

import { Worker } from 'node:worker_threads';
import { type Memif, share } from '../../memif/index.js';
import { macFromNumber } from '../../net/index.js';
import { LatencyReader } from '../latency.js';
import { Meter, totals } from '../memif/rates.js';
import { Count, type HostOrders, newHostMemory } from './shared.js';
import type { HostSecond } from './table.js';

const drainMs = 3000;

/** A host in its worker, and what the main thread knows of it. */
export class DemoHost {
  /** What it is called. */
  readonly role: string;
  readonly address: string;
  readonly memif: Memif;
  readonly counters: Float64Array;
  readonly latency: LatencyReader;
  /** Rejects when the worker fails. */
  readonly failed: Promise<never>;
  readonly #worker: Worker;
  readonly #meter: Meter;
  /** Resolves when the worker listens to its queues. */
  readonly up: Promise<unknown>;
  readonly #done: Promise<unknown>;

  constructor(role: string, memif: Memif, traffic: Omit<HostOrders, 'port' | 'counters' | 'histogram'>) {
    const { counters, histogram } = newHostMemory();
    this.role = role;
    this.address = traffic.self.address;
    this.memif = memif;
    this.counters = counters;
    this.latency = new LatencyReader(histogram);
    this.#meter = new Meter(memif);
    const port = share(memif, { rx: [0], tx: [0] });
    const orders: HostOrders = { port, counters, histogram, ...traffic };
    this.#worker = new Worker(new URL('./host.js', import.meta.url), { workerData: orders, transferList: [port] });
    const said = (what: string): Promise<void> =>
      new Promise((resolve) => {
        this.#worker.on('message', (message) => {
          if (message === what) resolve();
        });
      });
    this.up = said('up');
    this.#done = said('done');
    this.failed = new Promise((_, reject) => {
      this.#worker.once('error', reject);
      memif.on('down', reject);
    });
    this.failed.catch(() => undefined);
  }

  /** What it did in the last `interval` seconds. `lost` is what the other host's packets tell. */
  read(interval: number, lost: number): HostSecond {
    const { counters } = this;
    const rates = this.#meter.read(interval);
    return {
      role: this.role,
      address: this.address,
      neighbor:
        counters[Count.resolved] === 0
          ? ''
          : `${macFromNumber(counters[Count.neighborMac]!)}, ${counters[Count.resolved] === 1 ? 'by ARP' : 'assumed'}`,
      txPackets: rates.txPackets,
      txBits: rates.txBytes * 8,
      rxPackets: rates.rxPackets,
      rxBits: rates.rxBytes * 8,
      received: totals(this.memif.statistics).rxPackets,
      lost,
      damaged: counters[Count.damaged]!,
      full: rates.full,
      kicks: rates.kicks,
      wakeups: rates.wakeups,
      pingSent: counters[Count.pingSent]!,
      pingAnswered: counters[Count.pingAnswered]!,
      latency: this.latency.recent(),
    };
  }

  /** Ends its traffic; resolves when the rings are empty, or after a time. */
  async stop(): Promise<void> {
    this.#worker.postMessage('stop');
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise((resolve) => (timer = setTimeout(resolve, drainMs)));
    await Promise.race([this.#done, this.failed, late]);
    clearTimeout(timer);
  }

  async end(): Promise<void> {
    await this.memif.destroy();
    await this.#worker.terminate();
  }
}
