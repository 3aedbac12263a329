// What the parts of a scheduler share: the graph and what works on it, the numbers, the timers, the way to the fault event.
//
//   Scheduler (what callers see) -> Worker (one job after the other) -> Runner (carries a transaction out) -> Engine
//        all of them hold one Core
//
// Invariant: one transaction at a time touches the graph; between two of them it is consistent and may be read.

import { messageOf } from './accept.js';
import { Checkpoints } from './checkpoints.js';
import { systemClock, type Clock } from './clock.js';
import { Engine } from './engine.js';
import { SchedulerError } from '../errors.js';
import { Graph } from './graph.js';
import { History, type TransactionRecord } from './history.js';
import type { Journal } from './journal.js';
import { KeySpaces } from './key-space.js';
import { Metrics } from './metrics.js';
import type { SchedulerOptions } from './options.js';
import { retryPolicy, type FullRetryPolicy } from './retry.js';
import { Truth } from './truth.js';

/** What was thrown, as an error. */
export function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(messageOf(error));
}

/** Why nothing more is taken. */
export function closedError(): SchedulerError {
  return new SchedulerError('ERR_SCHEDULER_CLOSED', 'the scheduler is closed; open another one');
}

/** The shared parts. */
export class Core {
  readonly spaces: KeySpaces;
  readonly metrics = new Metrics();
  readonly engine: Engine;
  readonly truth: Truth;
  readonly history: History;
  readonly checkpoints = new Checkpoints();
  readonly clock: Clock;
  readonly random: () => number;
  readonly retry: FullRetryPolicy | undefined;
  readonly historyRows: number;
  /** Whether every transaction is verified. */
  readonly verify: boolean;
  journal: Journal | undefined;
  /** The number the next transaction will get. */
  nextSeq = 0;
  closing: 'open' | 'draining' | 'closed' = 'open';
  /** What queued transactions are refused with once the scheduler is destroyed. */
  destroyedBy: Error | undefined;
  /** Told of errors that no caller waits for. */
  onFault: ((error: Error) => void) | undefined;
  /** Told of every transaction that has ended. */
  onTransaction: ((record: TransactionRecord) => void) | undefined;
  /** How many jobs wait. */
  queued: () => number = () => 0;
  readonly #timers = new Set<() => void>();

  constructor(options: SchedulerOptions) {
    const limitMs = options.callTimeoutMs ?? 60_000;
    if (!(limitMs > 0)) {
      throw new SchedulerError('ERR_SCHEDULER_ARGUMENT', 'opening a scheduler: callTimeoutMs must be more than 0');
    }
    this.spaces = new KeySpaces(limitMs);
    this.clock = options.clock ?? systemClock;
    this.verify = options.verify ?? false;
    this.random = options.random ?? Math.random;
    this.retry = retryPolicy(options.retry);
    const graph = new Graph((key) => this.spaces.find(key));
    this.engine = new Engine(this.clock, options.concurrency ?? 64, this.metrics, graph);
    this.truth = new Truth(this.engine, this.spaces, options.southbounds ?? {}, limitMs);
    const keep = options.history === false ? { rows: 0 } : (options.history ?? {});
    this.historyRows = keep.rows ?? 5_000_000;
    const ageMs = ('ageMs' in keep ? keep.ageMs : undefined) ?? 24 * 3600_000;
    this.history = new History((key) => this.spaces.find(key), { ageMs, rows: this.historyRows });
    for (const descriptor of options.descriptors ?? []) this.spaces.add(descriptor);
    this.spaces.retrieveOrder();
  }

  /** An engine and a truth over a copy of the graph, to try something on. */
  fork(): { readonly engine: Engine; readonly truth: Truth } {
    const { graph, concurrency } = this.engine;
    const engine = new Engine(this.clock, concurrency, new Metrics(), graph.fork());
    return { engine, truth: this.truth.fork(engine) };
  }

  /** Takes the next transaction number. */
  takeSeq(): number {
    const seq = this.nextSeq;
    this.nextSeq += 1;
    return seq;
  }

  /** Wakes somebody later, unless the scheduler is closed before; the answer cancels. */
  timer(delayMs: number, wake: () => void): () => void {
    const cancel = this.clock.after(delayMs, () => {
      this.#timers.delete(cancel);
      wake();
    });
    this.#timers.add(cancel);
    return () => {
      this.#timers.delete(cancel);
      cancel();
    };
  }

  stopTimers(): void {
    for (const cancel of this.#timers) cancel();
    this.#timers.clear();
  }

  readonly fault = (error: unknown): void => this.onFault?.(asError(error));
}
