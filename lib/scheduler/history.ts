// History: one record per transaction, one row per thing that happened to a value, kept in columns so that a transaction of
// a million values costs a few references each. The rows are also the events that watchers see.
//
//   seq 7 'change'   keys    codes (kind, state, flags)     previous   values    errors
//                    if/a    create configured              -          {…}       -
//                    rt/b    none   pending                 -          {…}       -
//
// Invariant: rows are only appended, so (seq, row) names an event for ever: it is the resume token of a watcher.

import { Column } from './column.js';
import type { Entry } from './key-space.js';
import { redact } from './redact.js';
import { valueStates, type OperationKind, type ValueState } from './state.js';

/** What started a transaction. */
export type TransactionKind =
  | 'change'
  | 'full-resync'
  | 'upstream-resync'
  | 'downstream-resync'
  | 'notification'
  | 'retry'
  | 'drift'
  | 'rollback'
  | 'late';

/** How a transaction ended. */
export type TransactionStatus = 'running' | 'done' | 'failed' | 'reverted' | 'aborted' | 'interrupted';

/** Flags of a row. */
export const RowFlag = { recreate: 1, revert: 2, retry: 4, derived: 8, property: 16, failed: 32, late: 64 } as const;

const kinds: readonly OperationKind[] = ['none', 'create', 'update', 'delete', 'validate', 'retrieve'];

/** One thing that happened to one value; secrets redacted. */
export interface RecordedOperation {
  readonly seq: number;
  readonly row: number;
  /** Pass it to {@link Scheduler.watch} to go on after this event. */
  readonly token: string;
  readonly key: string;
  /** `none`: only the state changed. */
  readonly operation: OperationKind;
  readonly state: ValueState;
  readonly previous: unknown;
  readonly value: unknown;
  readonly error: string | undefined;
  readonly recreate: boolean;
  readonly revert: boolean;
  readonly retry: boolean;
  readonly derived: boolean;
  readonly property: boolean;
  /** The answer of a call whose time was over; it has been looked up what it came to. */
  readonly late: boolean;
}

/** Packs a row's kind, state, flags and the state before into one number. */
export function rowCode(kind: OperationKind, state: number, flags: number, before: number): number {
  return kinds.indexOf(kind) | (state << 4) | (flags << 8) | (before << 16);
}

/** What was done to a row's value. */
export function rowKind(code: number): OperationKind {
  return kinds[code & 15]!;
}

/** The state a row's value was in then. */
export function rowState(code: number): number {
  return (code >> 4) & 15;
}

/** The state a row's value was in before. */
export function stateBefore(code: number): number {
  return (code >> 16) & 15;
}

/** What one transaction did. */
export class TransactionRecord {
  readonly seq: number;
  readonly kind: TransactionKind;
  readonly description: string | undefined;
  startedMs: number;
  endedMs: number | undefined = undefined;
  status: TransactionStatus = 'running';
  /** Key, code and value of row i are at 3 i, 3 i + 1 and 3 i + 2. */
  readonly #rows = new Column<unknown>();
  /** As far as the last row that has one. */
  #previous: Column<unknown> | undefined = undefined;
  #errors: Map<number, string> | undefined = undefined;
  /** The record that follows; how watchers move on. */
  next: TransactionRecord | undefined = undefined;

  constructor(seq: number, kind: TransactionKind, startedMs: number, description?: string) {
    this.seq = seq;
    this.kind = kind;
    this.startedMs = startedMs;
    this.description = description;
  }

  /** Appends a row. */
  add(key: string, code: number, previous: unknown, value: unknown, error?: string): void {
    const row = this.size;
    if (error !== undefined) (this.#errors ??= new Map<number, string>()).set(row, error);
    if (previous !== undefined) {
      const column = (this.#previous ??= new Column());
      while (column.length < row) column.push(undefined);
      column.push(previous);
    }
    this.#rows.push(key);
    this.#rows.push(code);
    this.#rows.push(value);
  }

  /** How many rows it has. */
  get size(): number {
    return this.#rows.length / 3;
  }

  key(row: number): string {
    return this.#rows.at(row * 3) as string;
  }

  code(row: number): number {
    return this.#rows.at(row * 3 + 1) as number;
  }

  value(row: number): unknown {
    return this.#rows.at(row * 3 + 2);
  }

  /** What was there before, not redacted. */
  previous(row: number): unknown {
    const column = this.#previous;
    return column === undefined || row >= column.length ? undefined : column.at(row);
  }

  error(row: number): string | undefined {
    return this.#errors?.get(row);
  }

  /** The key of every row; one with several rows comes several times. */
  *keys(): Generator<string, undefined> {
    for (let row = 0; row < this.size; row += 1) yield this.key(row);
    return undefined;
  }
}

/** A transaction for people; secrets redacted. */
export interface RecordedTransaction {
  readonly seq: number;
  readonly kind: TransactionKind;
  readonly description: string | undefined;
  readonly startedMs: number;
  readonly endedMs: number | undefined;
  readonly status: TransactionStatus;
  readonly operations: readonly RecordedOperation[];
}

/** Which part of the history. */
export interface HistoryQuery {
  readonly key?: string;
  readonly seq?: number;
  /** Started at or after, in milliseconds since 1970. */
  readonly sinceMs?: number;
  /** Started at or before. */
  readonly untilMs?: number;
}

/** Keeps the records. */
export class History {
  readonly #records: TransactionRecord[] = [];
  readonly #entryOf: (key: string) => Entry | undefined;
  readonly #keep: { readonly ageMs: number; readonly rows: number };
  #rows = 0;
  /** The newest record; watchers wait at its end. */
  last: TransactionRecord;
  readonly #wakes = new Set<() => void>();

  constructor(entryOf: (key: string) => Entry | undefined, keep: { ageMs: number; rows: number }) {
    this.#entryOf = entryOf;
    this.#keep = keep;
    this.last = new TransactionRecord(-1, 'change', 0);
  }

  get size(): number {
    return this.#records.length;
  }

  /** Every record kept, oldest first. */
  records(): readonly TransactionRecord[] {
    return this.#records;
  }

  get rows(): number {
    return this.#rows;
  }

  /** Starts a record; it becomes the newest. */
  begin(record: TransactionRecord): void {
    this.last.next = record;
    this.last = record;
    if (this.#keep.rows > 0) this.#records.push(record);
  }

  /** Ends a record: watchers are told, and what is too old is let go. */
  end(record: TransactionRecord, nowMs: number): void {
    this.#rows += this.#keep.rows > 0 ? record.size : 0;
    this.trim(nowMs);
    if (this.#wakes.size === 0) return;
    const wakes = [...this.#wakes];
    this.#wakes.clear();
    for (const wake of wakes) wake();
  }

  trim(nowMs: number): void {
    let drop = 0;
    while (drop < this.#records.length - 1) {
      const oldest = this.#records[drop]!;
      if (this.#rows <= this.#keep.rows && oldest.startedMs >= nowMs - this.#keep.ageMs) break;
      this.#rows -= oldest.size;
      drop += 1;
    }
    if (drop > 0) this.#records.splice(0, drop);
  }

  /** Calls back once, when the newest record grows or another one comes. The answer cancels. */
  onNews(wake: () => void): () => void {
    this.#wakes.add(wake);
    return () => void this.#wakes.delete(wake);
  }

  /** Where to go on after an event, or undefined if what follows it is no longer kept. */
  after(seq: number, row: number): { record: TransactionRecord; row: number } | undefined {
    const oldest = this.#records[0];
    if (oldest === undefined || seq > this.last.seq) {
      return seq >= this.last.seq ? { record: this.last, row: this.last.size } : undefined;
    }
    if (seq < oldest.seq - 1) return undefined;
    const at = this.#indexFrom(seq);
    const record = this.#records[at]!;
    return { record, row: record.seq === seq ? row + 1 : 0 };
  }

  /** The oldest event kept. */
  oldest(): TransactionRecord | undefined {
    return this.#records[0];
  }

  #indexFrom(seq: number): number {
    let low = 0;
    let high = this.#records.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#records[middle]!.seq < seq) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** The records a query asks for, oldest first. With a key: only its rows, and only records that have any. */
  *query(query: HistoryQuery = {}): Generator<RecordedTransaction> {
    const from = query.seq === undefined ? 0 : this.#indexFrom(query.seq);
    for (let i = from; i < this.#records.length; i += 1) {
      const record = this.#records[i]!;
      if (query.seq !== undefined && record.seq !== query.seq) return;
      if (query.sinceMs !== undefined && record.startedMs < query.sinceMs) continue;
      if (query.untilMs !== undefined && record.startedMs > query.untilMs) continue;
      const view = this.view(record, query.key);
      if (query.key === undefined || view.operations.length > 0) yield view;
    }
  }

  view(record: TransactionRecord, key?: string): RecordedTransaction {
    const operations: RecordedOperation[] = [];
    for (let row = 0; row < record.size; row += 1) {
      if (key === undefined || record.key(row) === key) operations.push(this.row(record, row));
    }
    const { seq, kind, description, startedMs, endedMs, status } = record;
    return { seq, kind, description, startedMs, endedMs, status, operations };
  }

  row(record: TransactionRecord, row: number): RecordedOperation {
    const key = record.key(row);
    const code = record.code(row);
    const schema = this.#entryOf(key)?.descriptor.schema;
    const flags = (code >> 8) & 255;
    return {
      seq: record.seq,
      row,
      token: `${record.seq}.${row}`,
      key,
      operation: rowKind(code),
      state: valueStates[rowState(code)]!,
      previous: redact(schema, record.previous(row)),
      value: redact(schema, record.value(row)),
      error: record.error(row),
      recreate: (flags & RowFlag.recreate) !== 0,
      revert: (flags & RowFlag.revert) !== 0,
      retry: (flags & RowFlag.retry) !== 0,
      derived: (flags & RowFlag.derived) !== 0,
      property: (flags & RowFlag.property) !== 0,
      late: (flags & RowFlag.late) !== 0,
    };
  }
}
