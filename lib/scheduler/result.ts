// What a transaction came to: per value, and as a whole. Results are read from the transaction's record when they are
// asked for, so that a transaction of a million values does not make a million objects nobody looks at.

import { SchedulerError } from '../errors.js';
import type { TransactionRecord, TransactionStatus } from './history.js';
import { valueStates, type ValueState } from './state.js';

/** One failed operation. */
export interface Failure {
  readonly key: string;
  readonly error: SchedulerError;
  /** Whether it will be tried again. */
  readonly retrying: boolean;
}

/** What became of one value. */
export interface ValueResult {
  readonly key: string;
  readonly state: ValueState;
  readonly error: string | undefined;
}

/** The outcome of a transaction. */
export class TransactionResult {
  /** Number of the transaction; grows for ever, also over restarts. */
  readonly seq: number;
  readonly status: TransactionStatus;
  readonly startedMs: number;
  readonly endedMs: number;
  /** What failed, values of the transaction and others alike. */
  readonly failures: readonly Failure[];
  readonly #record: TransactionRecord;
  readonly #keys: () => Iterable<string>;
  readonly #stateOf: (key: string) => ValueState;
  #rows: Map<string, number> | undefined;

  constructor(
    record: TransactionRecord,
    failures: readonly Failure[],
    keys: () => Iterable<string>,
    stateOf: (key: string) => ValueState,
  ) {
    this.seq = record.seq;
    this.status = record.status;
    this.startedMs = record.startedMs;
    this.endedMs = record.endedMs ?? record.startedMs;
    this.failures = failures;
    this.#record = record;
    this.#keys = keys;
    this.#stateOf = stateOf;
  }

  /** Whether everything that was asked for was accepted and nothing of it failed. Pending values are no failure. */
  get ok(): boolean {
    return this.status === 'done';
  }

  /** What became of a value: its last row in the transaction, or its present state if nothing happened to it. */
  get(key: string): ValueResult {
    if (this.#rows === undefined) {
      this.#rows = new Map();
      for (let row = 0; row < this.#record.size; row += 1) this.#rows.set(this.#record.key(row), row);
    }
    const row = this.#rows.get(key);
    if (row === undefined) return { key, state: this.#stateOf(key), error: undefined };
    const state = valueStates[(this.#record.code(row) >> 4) & 15]!;
    return { key, state, error: this.#record.error(row) };
  }

  /** The results of the values the transaction named, in its order. */
  *values(): Generator<ValueResult> {
    for (const key of this.#keys()) yield this.get(key);
  }

  /** Throws what went wrong, if anything did. */
  throwIfFailed(): this {
    if (this.ok) return this;
    const first = this.failures[0];
    const invalid = [...this.values()].find(({ state }) => state === 'invalid');
    const text =
      first?.error.message ?? (invalid === undefined ? this.status : `${invalid.key}: ${invalid.error ?? 'invalid'}`);
    throw new SchedulerError(
      'ERR_SCHEDULER_TRANSACTION',
      `transaction ${this.seq} ended ${this.status}: ${text}${this.failures.length > 1 ? ` (and ${this.failures.length - 1} more)` : ''}`,
      { cause: first?.error },
    );
  }
}
