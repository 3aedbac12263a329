// What a scheduler and a transaction can be told. Defaults are in the comments.

import type { Clock } from './clock.js';
import type { Descriptor, DriftPolicy } from './descriptor.js';
import { KeyMap } from './key-map.js';
import type { RetryPolicy } from './retry.js';

/** The world on the other side, as far as a scheduler must know it. */
export interface Southbound {
  /**
   * Text that is the same exactly as long as it is the same running instance (a process id and its start time). Without it
   * values that cannot be retrieved are applied afresh by every resync.
   */
  identity?(): string | Promise<string>;
}

/** Where and how durable state is kept. */
export interface JournalOptions {
  /** A directory of its own; made with mode 0700 if it is not there. Its files have mode 0600: they hold secrets. */
  readonly path: string;
  /** Whether a commit waits for the disk; default true. */
  readonly sync?: boolean;
  /** A snapshot is taken when the log has grown by this many bytes and is larger than the last snapshot; default 64 MiB. */
  readonly snapshotBytes?: number;
  /** Old logs are kept as history up to this many bytes; default 256 MiB. */
  readonly historyBytes?: number;
  /** Give up what is behind a damaged place in the middle of a log, instead of refusing to start; default false. */
  readonly repair?: boolean;
}

/** Options of {@link Scheduler.open}. */
export interface SchedulerOptions {
  readonly descriptors?: readonly Descriptor[];
  /** By the names descriptors use; `'default'` is that of descriptors that name none. */
  readonly southbounds?: Readonly<Record<string, Southbound>>;
  /** Desired state and history survive in this directory. Default: memory only. */
  readonly journal?: string | JournalOptions;
  /** How failed operations are tried again unless a transaction says otherwise; default 3 times after 1, 2, 4 s. */
  readonly retry?: RetryPolicy | boolean;
  /**
   * How long one call of a descriptor (or a southbound's `identity`) may take, in milliseconds, unless the descriptor says
   * otherwise; default 60,000. `Infinity`: for ever, and then a call that is never answered holds everything up.
   */
  readonly callTimeoutMs?: number;
  /** How many descriptor calls may be under way at once, over all descriptors; default 64. */
  readonly concurrency?: number;
  /** How much history is kept in memory: by age (default 24 h) and rows (default 5,000,000); false: none. */
  readonly history?: false | { readonly ageMs?: number; readonly rows?: number };
  /** What to do before the first transaction: look at the southbound (default), or take it to be empty. */
  readonly startup?: 'resync' | 'none';
  /** After each transaction, retrieve what it touched and compare; see {@link TransactionOptions.verify}. Default false. */
  readonly verify?: boolean;
  readonly clock?: Clock;
  /** Gives numbers from 0 to 1, for the jitter of retries. */
  readonly random?: () => number;
}

/** A change of what is desired. A value of undefined deletes. */
export interface Change {
  readonly set?: Readonly<Record<string, unknown>> | Iterable<readonly [string, unknown]>;
  readonly delete?: Iterable<string>;
}

/** Options of every transaction. */
export interface TransactionOptions {
  /** Shown in history. */
  readonly description?: string;
  /** Higher goes first; default 0. Resyncs use 10, retries -10. */
  readonly priority?: number;
  /** Give up after this long, in the queue or under way; what is not yet started then fails with ERR_SCHEDULER_ABORTED. */
  readonly timeoutMs?: number;
  /** As `timeoutMs`, when the caller decides. */
  readonly signal?: AbortSignal;
  /** How failed operations are tried again; default that of the scheduler. */
  readonly retry?: RetryPolicy | boolean;
  /** All or nothing: when one of its values fails (or is invalid), everything it did is taken back. */
  readonly atomic?: boolean;
  /**
   * Afterwards, retrieve every value it touched and compare it with what is believed. A difference is a failure
   * (`ERR_SCHEDULER_VERIFY`), and takes an atomic transaction back. Default that of the scheduler.
   */
  readonly verify?: boolean;
  /** One call at a time. */
  readonly serial?: boolean;
}

/** Of a change on probation. */
export interface ConfirmOptions extends Omit<TransactionOptions, 'timeoutMs'> {
  /** Taken back after this long unless it is confirmed. */
  readonly timeoutMs: number;
  /** What `timeoutMs` is to other transactions: give up after this long. */
  readonly deadlineMs?: number;
}

/** A part of the southbound; what is named narrows it down. */
export interface Part {
  /** Names of descriptors; default all that can retrieve. */
  readonly descriptors?: readonly string[];
  /** Only keys with this prefix. */
  readonly prefix?: string;
  /** Only these keys. */
  readonly keys?: readonly string[];
}

/** What to look at for drift, and what to do about it. */
export interface DriftOptions extends TransactionOptions, Part {
  /** In place of what the descriptors say. */
  readonly policy?: DriftPolicy | { readonly ours?: DriftPolicy; readonly foreign?: DriftPolicy };
}

/** Something the southbound reported on its own: a value that is there, or (undefined) no longer. */
export interface Notification {
  readonly key: string;
  readonly value: unknown;
  readonly metadata?: unknown;
}

/** One difference between what was believed and what is. */
export interface Drift {
  readonly key: string;
  readonly difference: 'changed' | 'missing' | 'foreign' | 'leftover';
  readonly policy: DriftPolicy;
}

/** The keys and values of a change, in order. */
export function changeMap(change: Change): KeyMap<unknown> {
  const map = new KeyMap<unknown>();
  for (const key of change.delete ?? []) map.set(key, undefined);
  const set = change.set ?? {};
  const pairs = Symbol.iterator in set ? set : Object.entries(set);
  if ('length' in pairs && typeof pairs.length === 'number') map.reserve(pairs.length);
  for (const [key, value] of pairs) map.set(key, value);
  return map;
}
