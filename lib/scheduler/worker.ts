// The worker: takes jobs off the queue one after the other. With a journal, the intents of those that wait together are
// written first, with one sync.
//
//   transact -> queue -> [ intents of up to 64 -> one sync ] -> runner, runner, runner … -> [ snapshot ]
//
// Invariant: a transaction's intent is durable before anything is done about it.

import { asError, closedError, type Core } from './core.js';
import type { TransactionKind } from './history.js';
import type { TransactionOptions } from './options.js';
import { storedState } from './durable.js';
import { Queue, type Job } from './queue.js';
import type { TransactionResult } from './result.js';
import { retryPolicy, type FullRetryPolicy } from './retry.js';
import type { Body, Runner, Veto } from './runner.js';
import type { ReadonlyKeyMap } from './key-map.js';
import { Transaction, type Work } from './transaction.js';

/** What is asked of a transaction. */
export interface Asked {
  readonly kind: TransactionKind;
  readonly options: TransactionOptions;
  readonly change?: ReadonlyKeyMap<unknown>;
  readonly confirm?: boolean;
  readonly attempt?: number;
  readonly retry?: FullRetryPolicy;
}

/** Does one job after the other. */
export class Worker {
  readonly #core: Core;
  readonly #runner: Runner;
  readonly #queue = new Queue();
  #working: Promise<void> | undefined;

  constructor(core: Core, runner: Runner) {
    this.#core = core;
    this.#runner = runner;
  }

  get length(): number {
    return this.#queue.length;
  }

  /** Queues a transaction; resolves with what it came to. */
  transact(asked: Asked, body?: Body, veto?: Veto): Promise<TransactionResult> {
    const { clock, journal, metrics } = this.#core;
    if (this.#core.closing !== 'open') return Promise.reject(closedError());
    const { kind, options, change } = asked;
    if (change !== undefined && journal !== undefined) {
      try {
        journal.check(change);
      } catch (error) {
        return Promise.reject(asError(error));
      }
    }
    const retry = asked.retry ?? (options.retry === undefined ? this.#core.retry : retryPolicy(options.retry));
    const work: Work = { kind, options, retry, attempt: asked.attempt ?? 0, change, confirm: asked.confirm ?? false };
    const transaction = new Transaction(work, clock);
    const queuedMs = clock.now();
    const job: Job = {
      priority: options.priority ?? 0,
      queuedMs,
      ...(change === undefined || journal === undefined ? {} : { prepare: () => this.#runner.intend(transaction) }),
      run: () => {
        metrics.waited(clock.now() - queuedMs);
        return this.#runner.perform(transaction, body, veto);
      },
    };
    transaction.onGivenUp = () => {
      if (this.#queue.remove(job)) transaction.refuse(transaction.givenUp()!);
    };
    const stopped = transaction.givenUp();
    if (stopped !== undefined) transaction.refuse(stopped);
    else this.#enqueue(job);
    return transaction.result;
  }

  /** Runs something between two transactions. */
  alone<T>(what: () => T | Promise<T>): Promise<T> {
    if (this.#core.closing !== 'open') return Promise.reject(closedError());
    return new Promise<T>((resolve, reject) => {
      this.#enqueue({
        priority: 0,
        queuedMs: this.#core.clock.now(),
        run: async () => {
          try {
            resolve(await what());
          } catch (error) {
            reject(asError(error));
          }
        },
      });
    });
  }

  /** Resolves when nothing is queued or under way. */
  async idle(): Promise<void> {
    while (this.#working !== undefined) await this.#working;
  }

  #enqueue(job: Job): void {
    this.#queue.push(job);
    this.#working ??= this.#work();
  }

  async #work(): Promise<void> {
    const core = this.#core;
    // Everything that is queued in the same turn is there when the first is taken: priorities hold, and intents share a sync.
    await Promise.resolve();
    for (let job = this.#queue.shift(); job !== undefined; job = this.#queue.shift()) {
      if (job.prepare === undefined || core.journal === undefined) {
        await job.run();
      } else {
        const group = [job];
        for (
          let next = this.#queue.peek();
          group.length < 64 && next?.prepare !== undefined;
          next = this.#queue.peek()
        ) {
          group.push(this.#queue.shift()!);
        }
        await this.#runGroup(group);
      }
      if (core.journal?.wantsSnapshot === true) await this.#snapshot();
    }
    this.#working = undefined;
  }

  async #runGroup(group: readonly Job[]): Promise<void> {
    let failure: unknown;
    try {
      for (const job of group) job.prepare!();
      await this.#core.journal!.commit();
    } catch (error) {
      failure = error;
    }
    this.#runner.journalFailure = failure as Error | undefined;
    for (const job of group) await job.run();
  }

  async #snapshot(): Promise<void> {
    const { nextSeq, engine, truth, checkpoints, journal, fault } = this.#core;
    try {
      await journal!.snapshot(storedState(nextSeq - 1, engine.graph, truth, checkpoints));
    } catch (error) {
      fault(error);
    }
  }
}
