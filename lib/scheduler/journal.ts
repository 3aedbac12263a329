// The journal: what is desired, and what happened, in a directory that survives kill -9 at any byte.
//
//   lock                who has it open (process id and start time)
//   snapshot-00000007   everything as it was when log 7 began
//   log-00000007        intents, outcomes, checkpoints since
//   log-00000006 …      older logs, kept as history
//
// A transaction's intent is on disk before anything is done about it; its outcome follows with the next write. Read back, an
// intent counts when its outcome is met, or at the end of the log; that of an atomic transaction only with its outcome. Invariant: opened after any cut, it gives the state after some prefix of the
// transactions that were begun, and at least all that were answered. The files hold secrets in clear; they have mode 0600.

import { mkdir, readdir, readFile, rename, rm, open } from 'node:fs/promises';
import { join } from 'node:path';
import { JournalError } from '../errors.js';
import { isPlain, pack, unpack } from './codec.js';
import type { TransactionKind, TransactionRecord, TransactionStatus } from './history.js';
import { LogFile, scan } from './log-file.js';
import { lock } from './lock.js';
import type { JournalOptions } from './options.js';
import type { ReadonlyKeyMap } from './key-map.js';
import { Recovery, type Recovered, type StoredState } from './recovery.js';

/** Entries per frame. */
const chunk = 2000;

/** A change entry: a key alone is deleted; a third element says that the value is packed. */
export type StoredEntry = [key: string] | [key: string, value: unknown] | [key: string, packed: unknown, 1];

/** What a frame says. */
export type Frame =
  | [
      'i',
      seq: number,
      kind: TransactionKind,
      startedMs: number,
      description: string | null,
      hold: 0 | 1 | 2,
      last: 0 | 1,
      entries: StoredEntry[],
    ]
  | [
      'o',
      seq: number,
      kind: TransactionKind,
      startedMs: number,
      endedMs: number,
      status: TransactionStatus,
      description: string | null,
      last: 0 | 1,
      rows: (string | number)[],
      errors: [number, string][],
    ]
  | ['s' | 'x' | 'u', seq: number]
  | ['c', name: string]
  | ['d', name: string]
  | ['n', southbound: string, identity: string]
  | ['S', seq: number, last: 0 | 1, part: string, entries: unknown[]];

/** A value as it is stored. */
export function store(key: string, value: unknown): StoredEntry {
  if (value === undefined) return [key];
  return isPlain(value) ? [key, value] : [key, pack(value), 1];
}

/** The value that was stored. */
export function restore(entry: StoredEntry): unknown {
  return entry.length === 3 ? unpack(entry[1]) : entry[1];
}

const numbered = (prefix: string, n: number): string => `${prefix}-${String(n).padStart(8, '0')}`;

/** An open journal. */
export class Journal {
  readonly #path: string;
  readonly #options: Required<Omit<JournalOptions, 'path'>>;
  readonly #unlock: () => Promise<void>;
  #log: LogFile;
  #number: number;
  #snapshotBytes: number;
  #syncs = 0;
  snapshots = 0;

  private constructor(
    path: string,
    options: Required<Omit<JournalOptions, 'path'>>,
    unlock: () => Promise<void>,
    log: LogFile,
    number: number,
    snapshotBytes: number,
  ) {
    this.#path = path;
    this.#options = options;
    this.#unlock = unlock;
    this.#log = log;
    this.#number = number;
    this.#snapshotBytes = snapshotBytes;
  }

  /** Opens a directory and recovers what it holds. `blind` says of which keys belief must be remembered. */
  static async open(
    given: JournalOptions,
    blind: (key: string) => boolean,
    historyRows: number,
  ): Promise<{ journal: Journal; recovered: Recovered }> {
    const { path } = given;
    const options = { sync: true, snapshotBytes: 64 << 20, historyBytes: 256 << 20, repair: false, ...given };
    await mkdir(path, { recursive: true, mode: 0o700 });
    const unlock = await lock(join(path, 'lock'), path);
    try {
      const names = await readdir(path);
      const numbers = (prefix: string): number[] =>
        names
          .filter((name) => new RegExp(`^${prefix}-\\d{8}$`).test(name))
          .map((name) => Number(name.slice(prefix.length + 1)))
          .sort((a, b) => a - b);
      const logs = numbers('log');
      const snapshots = numbers('snapshot');
      const recovery = new Recovery(blind, historyRows);
      const base = snapshots.at(-1);
      let snapshotBytes = 0;
      for (const n of logs)
        if (base !== undefined && n < base)
          await readLog(join(path, numbered('log', n)), recovery, true, options.repair);
      if (base !== undefined) snapshotBytes = await readSnapshot(join(path, numbered('snapshot', base)), recovery);
      let number = base ?? 1;
      let end = 0;
      for (const n of logs) {
        if (base !== undefined && n < base) continue;
        number = n;
        end = await readLog(join(path, numbered('log', n)), recovery, false, options.repair);
      }
      const log = await LogFile.open(join(path, numbered('log', number)), end);
      await syncDirectory(path);
      const journal = new Journal(path, options, unlock, log, number, snapshotBytes);
      return { journal, recovered: recovery.finish() };
    } catch (error) {
      await unlock();
      throw error;
    }
  }

  get bytes(): number {
    return this.#log.size;
  }

  get syncs(): number {
    return this.#syncs + this.#log.syncs;
  }

  #append(frame: Frame): void {
    this.#log.append(JSON.stringify(frame));
  }

  /** What a transaction is about to desire. */
  intent(
    seq: number,
    kind: TransactionKind,
    startedMs: number,
    description: string | undefined,
    change: ReadonlyKeyMap<unknown>,
    hold: 0 | 1 | 2,
  ): void {
    let entries: StoredEntry[] = [];
    const flush = (last: 0 | 1): void => {
      this.#append(['i', seq, kind, startedMs, description ?? null, hold, last, entries]);
      entries = [];
    };
    for (const [key, value] of change) {
      if (entries.length === chunk) flush(0);
      entries.push(store(key, value));
    }
    flush(1);
  }

  /** Whether every value of a change can be stored; throws JournalError if one cannot. */
  check(change: ReadonlyKeyMap<unknown>): void {
    for (const [key, value] of change) {
      if (value === undefined || isPlain(value)) continue;
      try {
        pack(value);
      } catch (error) {
        const why = error instanceof TypeError ? error.message : 'it cannot be stored';
        throw new JournalError('ERR_SCHEDULER_JOURNAL_VALUE', `storing ${key}: ${why}; values are data`, this.#path);
      }
    }
  }

  /** An intent was not followed after all. */
  cancel(seq: number): void {
    this.#append(['x', seq]);
  }

  /** A transaction that waited for its confirmation is taken back. */
  undo(seq: number): void {
    this.#append(['u', seq]);
  }

  /** A transaction that waited for its confirmation has it (or has been taken back by another). */
  settle(seq: number): void {
    this.#append(['s', seq]);
  }

  /** What a transaction did. `keys` are those of its change, in order: rows that follow it need not repeat them. */
  outcome(record: TransactionRecord, keys: Iterable<string>): void {
    const { seq, kind, startedMs, endedMs, status, description } = record;
    let rows: (string | number)[] = [];
    let errors: [number, string][] = [];
    let count = 0;
    const order = keys[Symbol.iterator]();
    let next = order.next();
    const flush = (last: 0 | 1): void => {
      const ended = endedMs ?? startedMs;
      this.#append(['o', seq, kind, startedMs, ended, status, description ?? null, last, rows, errors]);
      rows = [];
      errors = [];
      count = 0;
    };
    for (let row = 0; row < record.size; row += 1) {
      if (count === chunk) flush(0);
      count += 1;
      if (next.done !== true && next.value === record.key(row)) next = order.next();
      else rows.push(record.key(row));
      rows.push(record.code(row));
      const error = record.error(row);
      if (error !== undefined) errors.push([row, error]);
    }
    flush(1);
  }

  checkpoint(name: string): void {
    this.#append(['c', name]);
  }

  dropCheckpoint(name: string): void {
    this.#append(['d', name]);
  }

  identity(southbound: string, identity: string): void {
    this.#append(['n', southbound, identity]);
  }

  /** Resolves when everything appended so far is durable. */
  commit(): Promise<void> {
    return this.#log.flush(this.#options.sync);
  }

  /** Whether the log has grown enough for a snapshot to be worth while. */
  get wantsSnapshot(): boolean {
    return this.#log.size > Math.max(this.#options.snapshotBytes, this.#snapshotBytes);
  }

  /** Writes everything into a new snapshot and begins a new log. Nothing may be appended meanwhile. */
  async snapshot(state: StoredState): Promise<void> {
    const number = this.#number + 1;
    const final = join(this.#path, numbered('snapshot', number));
    const file = await LogFile.open(`${final}.new`, 0);
    const write = async (part: string, entries: Iterable<unknown>): Promise<void> => {
      let some: unknown[] = [];
      for (const entry of entries) {
        some.push(entry);
        if (some.length < chunk) continue;
        file.append(JSON.stringify(['S', state.seq, 0, part, some] satisfies Frame));
        await file.flush(false);
        some = [];
      }
      if (some.length > 0) file.append(JSON.stringify(['S', state.seq, 0, part, some] satisfies Frame));
    };
    await write('desired', state.desired());
    await write('believed', state.believed());
    await write('unfinished', state.unfinished());
    for (const [name, undo] of state.checkpoints()) await write(`checkpoint ${name}`, undo);
    await write('identity', state.identities());
    for (const [seq, undo] of state.held()) await write(`held ${seq}`, undo);
    file.append(JSON.stringify(['S', state.seq, 1, 'end', []] satisfies Frame));
    const bytes = file.size;
    await file.close();
    await this.#log.close();
    this.#syncs += this.#log.syncs;
    this.#log = await LogFile.open(join(this.#path, numbered('log', number)), 0);
    await rename(`${final}.new`, final);
    await syncDirectory(this.#path);
    this.#number = number;
    this.#snapshotBytes = bytes;
    this.snapshots += 1;
    await this.#tidy();
  }

  /** Drops snapshots that are no longer needed, and the oldest history. */
  async #tidy(): Promise<void> {
    const names = await readdir(this.#path);
    let bytes = 0;
    for (const name of names.sort().reverse()) {
      const parts = /^(log|snapshot)-(\d{8})(\.new)?$/.exec(name);
      if (parts === null) continue;
      const current = Number(parts[2]) === this.#number && parts[3] === undefined;
      if (current) continue;
      if (parts[1] === 'log') {
        const handle = await open(join(this.#path, name), 'r');
        bytes += (await handle.stat()).size;
        await handle.close();
        if (bytes <= this.#options.historyBytes) continue;
      }
      await rm(join(this.#path, name));
    }
  }

  async close(): Promise<void> {
    try {
      await this.#log.close();
    } finally {
      await this.#unlock();
    }
  }

  /** Lets go without another write, as a crash would. */
  async abandon(): Promise<void> {
    await this.#log.abandon();
    await this.#unlock();
  }
}

async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function readLog(path: string, recovery: Recovery, historyOnly: boolean, repair: boolean): Promise<number> {
  const bytes = await readFile(path);
  const { end, cut } = scan(bytes, path, repair, (payload) => {
    recovery.take(JSON.parse(payload.toString('utf8')) as Frame, historyOnly);
  });
  recovery.endOfLog();
  recovery.cutBytes += cut;
  return end;
}

async function readSnapshot(path: string, recovery: Recovery): Promise<number> {
  const bytes = await readFile(path);
  const seen = { whole: false };
  scan(bytes, path, false, (payload) => {
    const frame = JSON.parse(payload.toString('utf8')) as Frame;
    recovery.take(frame, false);
    seen.whole = frame[0] === 'S' && frame[2] === 1;
  });
  if (!seen.whole) {
    throw new JournalError(
      'ERR_SCHEDULER_JOURNAL_CORRUPT',
      `reading ${path}: the snapshot is not whole, and it was when it was given its name; restore it from a copy`,
      path,
    );
  }
  return bytes.length;
}
