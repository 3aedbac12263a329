// What the scheduler counts, for a telemetry page or a test. Plain numbers; times in milliseconds.

import type { Entry } from './key-space.js';
import type { Step } from './plan.js';
import { valueStates, type ValueState } from './state.js';

/** Upper bounds of the buckets of transaction durations, in milliseconds; the last bucket is everything above. */
export const durationBucketsMs = [0.1, 0.5, 1, 5, 10, 50, 100, 500, 1000, 5000, 10_000] as const;

/** Calls of one kind to one descriptor. */
export interface CallMetrics {
  calls: number;
  values: number;
  failures: number;
  totalMs: number;
}

/** A snapshot of the counters. */
export interface SchedulerMetrics {
  readonly transactions: Readonly<Record<string, number>>;
  readonly transactionsFailed: number;
  readonly transactionMs: { readonly count: number; readonly sum: number; readonly buckets: readonly number[] };
  readonly queueLength: number;
  readonly queueWaitMs: { readonly count: number; readonly sum: number };
  readonly retriesScheduled: number;
  readonly retrieveFailures: number;
  readonly driftFound: number;
  /** Values of calls that were answered after their time was over. */
  readonly lateAnswers: number;
  readonly values: Readonly<Record<ValueState, number>>;
  readonly calls: Readonly<Record<string, Readonly<Record<string, Readonly<CallMetrics>>>>>;
  readonly journal: { readonly bytes: number; readonly syncs: number; readonly snapshots: number } | undefined;
  /** Events not yet taken by the slowest watcher. */
  readonly historyRows: number;
}

/** The counters themselves. */
export class Metrics {
  readonly transactions: Record<string, number> = {};
  transactionsFailed = 0;
  readonly #buckets = new Array<number>(durationBucketsMs.length + 1).fill(0);
  #transactionCount = 0;
  #transactionMs = 0;
  #waitCount = 0;
  #waitMs = 0;
  retriesScheduled = 0;
  retrieveFailures = 0;
  driftFound = 0;
  lateAnswers = 0;
  readonly states = new Array<number>(valueStates.length).fill(0);
  readonly #calls = new Map<Entry, Record<string, CallMetrics>>();

  /** Told of every call the executor makes. */
  readonly took = (entry: Entry, kind: Step['kind'], count: number, ms: number): void => {
    let kinds = this.#calls.get(entry);
    if (kinds === undefined) {
      kinds = {};
      this.#calls.set(entry, kinds);
    }
    const counted = (kinds[kind] ??= { calls: 0, values: 0, failures: 0, totalMs: 0 });
    counted.calls += 1;
    counted.values += count;
    counted.totalMs += ms;
  };

  failed(entry: Entry | undefined, kind: string): void {
    const counted = entry === undefined ? undefined : this.#calls.get(entry)?.[kind];
    if (counted !== undefined) counted.failures += 1;
  }

  waited(ms: number): void {
    this.#waitCount += 1;
    this.#waitMs += ms;
  }

  transaction(kind: string, ms: number, failed: boolean): void {
    this.transactions[kind] = (this.transactions[kind] ?? 0) + 1;
    if (failed) this.transactionsFailed += 1;
    this.#transactionCount += 1;
    this.#transactionMs += ms;
    const bucket = durationBucketsMs.findIndex((bound) => ms <= bound);
    this.#buckets[bucket < 0 ? durationBucketsMs.length : bucket]! += 1;
  }

  snapshot(rest: Pick<SchedulerMetrics, 'queueLength' | 'journal' | 'historyRows'>): SchedulerMetrics {
    const values = Object.fromEntries(valueStates.map((state, i) => [state, i === 0 ? 0 : this.states[i]!]));
    return {
      transactions: { ...this.transactions },
      transactionsFailed: this.transactionsFailed,
      transactionMs: { count: this.#transactionCount, sum: this.#transactionMs, buckets: [...this.#buckets] },
      queueWaitMs: { count: this.#waitCount, sum: this.#waitMs },
      retriesScheduled: this.retriesScheduled,
      retrieveFailures: this.retrieveFailures,
      driftFound: this.driftFound,
      lateAnswers: this.lateAnswers,
      values: values as Record<ValueState, number>,
      calls: Object.fromEntries([...this.#calls].map(([entry, kinds]) => [entry.name, structuredClone(kinds)])),
      ...rest,
    };
  }
}
