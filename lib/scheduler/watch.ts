// Watching: events as an async iterator that goes on where a token says. Watchers walk the chain of history records at
// their own pace; a slow one keeps the records it has not seen alive, so it loses nothing and holds nobody up.
//
//   record 7 -> record 8 -> record 9          token '8.1' = after row 1 of record 8
//                  ^ watcher A    ^ watcher B
//
// Invariant: a watcher sees every row after its token, once, in order, or gets ERR_SCHEDULER_TOKEN at once.

import { SchedulerError } from '../errors.js';
import type { History, RecordedOperation, RecordedTransaction, TransactionRecord } from './history.js';

/** What to watch and from where. */
export interface WatchOptions {
  /** Only keys with this prefix. */
  readonly prefix?: string;
  /** Go on after the event that bore this token; default: from now. `'start'`: all that is still kept. */
  readonly after?: string;
  readonly signal?: AbortSignal;
}

interface Place {
  record: TransactionRecord;
  row: number;
}

function startOf(history: History, after: string | undefined): Place {
  if (after === undefined) return { record: history.last, row: history.last.size };
  if (after === 'start') {
    const oldest = history.oldest();
    return oldest === undefined ? { record: history.last, row: history.last.size } : { record: oldest, row: 0 };
  }
  const parts = /^(-?\d+)\.(\d+)$/.exec(after);
  if (parts === null) {
    throw new SchedulerError(
      'ERR_SCHEDULER_TOKEN',
      `watching after ${JSON.stringify(after)}: that is not a token of an event`,
    );
  }
  const place = history.after(Number(parts[1]), Number(parts[2]));
  if (place === undefined) {
    throw new SchedulerError(
      'ERR_SCHEDULER_TOKEN',
      `watching after ${after}: events that followed it are no longer kept; list the status, then watch from now`,
    );
  }
  return place;
}

async function news(history: History, signal: AbortSignal | undefined): Promise<void> {
  await new Promise<void>((resolve) => {
    const done = (): void => {
      signal?.removeEventListener('abort', done);
      cancel();
      resolve();
    };
    const cancel = history.onNews(done);
    signal?.addEventListener('abort', done, { once: true });
    if (signal?.aborted === true) done();
  });
}

/** A generator whose return() also ends a next() that is waiting for news. */
function cancellable<T>(
  given: AbortSignal | undefined,
  make: (signal: AbortSignal) => AsyncGenerator<T, void>,
): AsyncGenerator<T, void> {
  const controller = new AbortController();
  const signal = given === undefined ? controller.signal : AbortSignal.any([given, controller.signal]);
  const inner = make(signal);
  const end = (): void => controller.abort();
  return {
    next: () => inner.next(),
    return: (value) => {
      end();
      return inner.return(value);
    },
    throw: (error) => {
      end();
      return inner.throw(error);
    },
    [Symbol.asyncIterator]() {
      return this;
    },
    async [Symbol.asyncDispose]() {
      end();
      await inner.return();
    },
  };
}

/** Every event after a place, as they come. A token is checked when this is called, not at the first event. */
export function watchOperations(history: History, options: WatchOptions): AsyncGenerator<RecordedOperation, void> {
  const place = startOf(history, options.after);
  return cancellable(options.signal, (signal) => operations(history, { ...options, signal }, place));
}

async function* operations(
  history: History,
  options: WatchOptions,
  place: Place,
): AsyncGenerator<RecordedOperation, void> {
  const { prefix, signal } = options;
  let { record, row } = place;
  while (signal?.aborted !== true) {
    if (row < record.size) {
      const at = row;
      row += 1;
      if (prefix === undefined || record.key(at).startsWith(prefix)) yield history.row(record, at);
    } else if (record.next !== undefined) {
      record = record.next;
      row = 0;
    } else {
      await news(history, signal);
    }
  }
}

/** Every transaction that ends after a place. */
export function watchTransactions(history: History, options: WatchOptions): AsyncGenerator<RecordedTransaction, void> {
  const { record } = startOf(history, options.after);
  const including = options.after === 'start';
  return cancellable(options.signal, (signal) => transactions(history, { ...options, signal }, record, including));
}

async function* transactions(
  history: History,
  options: WatchOptions,
  from: TransactionRecord,
  including: boolean,
): AsyncGenerator<RecordedTransaction, void> {
  let record = from;
  let pending = including || record.endedMs === undefined;
  while (options.signal?.aborted !== true) {
    if (pending && record.endedMs !== undefined) {
      pending = false;
      yield history.view(record);
    } else if (!pending && record.next !== undefined) {
      record = record.next;
      pending = true;
    } else {
      await news(history, options.signal);
    }
  }
}
