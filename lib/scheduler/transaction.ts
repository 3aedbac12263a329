// A transaction on its way: what was asked, what it may do, whom to answer. The scheduler's queue holds these.
//
//   queued -> (journalled) -> running -> answered
//     |                          |
//     +-- aborted, too late      +-- aborted: nothing more is started, what is under way is awaited
//
// Invariant: it is answered exactly once.

import { SchedulerError } from '../errors.js';
import type { Clock } from './clock.js';
import type { Run } from './engine.js';
import type { TransactionKind, TransactionRecord } from './history.js';
import type { TransactionOptions } from './options.js';
import type { TransactionResult } from './result.js';
import type { ReadonlyKeyMap } from './key-map.js';
import type { FullRetryPolicy } from './retry.js';

/** What a transaction does once it is its turn; fills in the rest of the work order. */
export interface Work {
  readonly kind: TransactionKind;
  readonly options: TransactionOptions;
  readonly retry: FullRetryPolicy | undefined;
  /** Which retry it is; 0: none. */
  readonly attempt: number;
  /** Desired values that change; known before it runs. */
  readonly change: ReadonlyKeyMap<unknown> | undefined;
  /** It is taken back unless it is confirmed. */
  readonly confirm: boolean;
}

/** A queued or running transaction. */
export class Transaction {
  readonly work: Work;
  readonly result: Promise<TransactionResult>;
  seq = -1;
  record: TransactionRecord | undefined;
  /** What it has changed so far: so many keys of these, in order, and what was desired of them before. */
  readonly changes: ReadonlyKeyMap<unknown>[] = [];
  changed = 0;
  /** As far as the last key of which something was desired. */
  readonly #previous: unknown[] = [];
  #resolve!: (result: TransactionResult) => void;
  #reject!: (error: Error) => void;
  #controller: AbortController | undefined;
  #run: Run | undefined;
  #stopped: 'aborted' | 'deadline' | undefined;
  #cancelTimer: (() => void) | undefined;
  readonly #onAbort = (): void => this.#stop('aborted');
  /** Called when it is given up before it has begun. */
  onGivenUp: (() => void) | undefined;

  constructor(work: Work, clock: Clock) {
    this.work = work;
    this.result = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    const { signal, timeoutMs } = work.options;
    if (timeoutMs !== undefined) this.#cancelTimer = clock.after(timeoutMs, () => this.#stop('deadline'));
    if (signal === undefined) return;
    if (signal.aborted) this.#stopped = 'aborted';
    else signal.addEventListener('abort', this.#onAbort, { once: true });
  }

  #stop(why: 'aborted' | 'deadline'): void {
    this.#stopped ??= why;
    if (this.#run !== undefined) {
      this.#run.stop ??= why;
      this.#controller?.abort(this.givenUp());
    } else this.onGivenUp?.();
  }

  /** Stops it: nothing more is started. */
  abort(): void {
    this.#stop('aborted');
  }

  /** Why it should not begin, if it should not. */
  givenUp(): SchedulerError | undefined {
    if (this.#stopped === undefined) return undefined;
    const what = this.work.options.description ?? this.work.kind;
    return this.#stopped === 'deadline'
      ? new SchedulerError('ERR_SCHEDULER_DEADLINE', `transaction (${what}): its deadline passed before it was done`)
      : new SchedulerError('ERR_SCHEDULER_ABORTED', `transaction (${what}): its caller aborted it`);
  }

  /** The signal descriptors get; made when one asks. */
  readonly signal = (): AbortSignal => {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#stopped !== undefined) this.#controller.abort(this.givenUp());
    }
    return this.#controller.signal;
  };

  /** The next key of its changes has been changed. */
  note(previous: unknown): void {
    if (previous !== undefined) {
      while (this.#previous.length < this.changed) this.#previous.push(undefined);
      this.#previous.push(previous);
    }
    this.changed += 1;
  }

  /** The keys it has changed and what was desired of them before, the last first: a key changed twice ends as it began. */
  *undone(): Generator<readonly [string, unknown]> {
    const keys = this.changes.flatMap((change) => [...change.keys()]);
    for (let i = this.changed - 1; i >= 0; i -= 1) yield [keys[i]!, this.#previous[i]];
  }

  /** It begins: from now on, stopping it stops the run. */
  begin(run: Run): void {
    this.#run = run;
    if (this.#stopped !== undefined) run.stop ??= this.#stopped;
  }

  answer(result: TransactionResult): void {
    this.#release();
    this.#resolve(result);
  }

  refuse(error: Error): void {
    this.#release();
    this.#reject(error);
  }

  #release(): void {
    this.#cancelTimer?.();
    this.work.options.signal?.removeEventListener('abort', this.#onAbort);
  }
}
