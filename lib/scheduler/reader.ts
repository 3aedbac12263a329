// What can be read of a scheduler at any time: status, dumps, history, watching, drawings, figures. Nothing here changes
// anything, and every value passes through redaction.

import { EventEmitter } from 'node:events';
import { SchedulerError } from '../errors.js';
import type { Core } from './core.js';
import type { HistoryQuery, RecordedOperation, RecordedTransaction } from './history.js';
import type { SchedulerMetrics } from './metrics.js';
import type { ValueStatus } from './state.js';
import { Past, timeline, type Moment, type Revision } from './past.js';
import * as views from './views.js';
import { watchOperations, watchTransactions, type WatchOptions } from './watch.js';

/** Events of a {@link Scheduler}. */
export interface SchedulerEvents {
  /** A transaction has ended. */
  transaction: [RecordedTransaction];
  /** Something failed that no caller waits for: a retry, a periodic drift check, a snapshot. */
  fault: [Error];
}

/** The reading half of a {@link Scheduler}. */
export class Reader extends EventEmitter<SchedulerEvents> {
  readonly #core: Core;

  /** For {@link Scheduler}. */
  protected constructor(core: Core) {
    super();
    this.#core = core;
  }

  /** Where a value is, and why. */
  status(key: string): ValueStatus {
    return views.status(this.#core.engine, key);
  }

  /** The status of every value with a prefix (default all), in key order. */
  *statuses(prefix = ''): Generator<ValueStatus> {
    for (const node of this.#core.engine.graph.withPrefix(prefix)) {
      const status = views.statusOf(this.#core.engine, node);
      if (status.state !== 'nonexistent') yield status;
    }
  }

  /** The value desired of a key (secrets redacted unless asked for), or undefined. */
  desired(key: string, options: { readonly secrets?: boolean } = {}): unknown {
    return views.shown(this.#core.engine.graph.get(key), 'desired', options.secrets === true);
  }

  /** The value that is there as far as is known, or undefined. */
  applied(key: string, options: { readonly secrets?: boolean } = {}): unknown {
    return views.shown(this.#core.engine.graph.get(key), 'applied', options.secrets === true);
  }

  /** Keys and values in key order: those desired (without derived ones), or those there. */
  dump(
    view: 'desired' | 'applied',
    options: { readonly prefix?: string; readonly secrets?: boolean } = {},
  ): Generator<{ key: string; value: unknown }> {
    return views.dump(this.#core.engine.graph, view, options);
  }

  /** What a value got from the southbound when it was created. */
  metadata(key: string): unknown {
    return this.#core.engine.graph.get(key)?.metadata;
  }

  /** The keys of a descriptor that one of its metadata indexes has under a term. */
  lookup(descriptor: string, index: string, term: string | number): string[] {
    const entry = this.#core.spaces.byName(descriptor);
    const terms = entry?.indexes.get(index);
    if (terms === undefined) {
      throw new SchedulerError(
        'ERR_SCHEDULER_ARGUMENT',
        `looking up ${descriptor}.${index}: there is no such metadata index`,
      );
    }
    return [...(terms.get(term) ?? [])];
  }

  /** Why a value is where it is: a text for people, from its state down to the first causes. */
  explain(key: string): string {
    return views.explain(this.#core.engine, this.#core.history, key);
  }

  /** The graph as text for a drawing program, coloured by state, or as data. */
  export(format: 'dot' | 'mermaid' | 'json', options: { readonly prefix?: string } = {}): string {
    return views.exportGraph(this.#core.engine, format, options.prefix ?? '');
  }

  /** What happened, oldest first; secrets redacted. */
  history(query: HistoryQuery = {}): Generator<RecordedTransaction> {
    return this.#core.history.query(query);
  }

  /** The life of a value, as far as the history is kept: its states and values, each with when it began and ended. */
  timeline(key: string): Generator<Revision> {
    return timeline(this.#core.history, key);
  }

  /**
   * The graph as it was after a transaction, or at a time.
   *
   * @throws SchedulerError ERR_SCHEDULER_HISTORY when the history does not reach back so far.
   */
  at(moment: Moment): Past {
    const { history, spaces, engine } = this.#core;
    return new Past(history, spaces, engine.graph, moment);
  }

  /** Events as they come: every operation and every change of state. None is lost, however slowly they are taken. */
  watch(options: WatchOptions = {}): AsyncGenerator<RecordedOperation, void> {
    return watchOperations(this.#core.history, options);
  }

  /** Transactions as they end. */
  watchTransactions(options: WatchOptions = {}): AsyncGenerator<RecordedTransaction, void> {
    return watchTransactions(this.#core.history, options);
  }

  /** The token of now: a watch after it sees everything that comes. */
  get token(): string {
    return `${this.#core.history.last.seq}.${Math.max(0, this.#core.history.last.size - 1)}`;
  }

  /** The number the next transaction will get. */
  get seq(): number {
    return this.#core.nextSeq;
  }

  metrics(): SchedulerMetrics {
    const journal = this.#core.journal;
    return this.#core.metrics.snapshot({
      queueLength: this.#core.queued(),
      historyRows: this.#core.history.rows,
      journal: journal && { bytes: journal.bytes, syncs: journal.syncs, snapshots: journal.snapshots },
    });
  }
}
