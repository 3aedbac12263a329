// Reads a journal's frames back into state: what is desired, what was left unfinished, what happened.
//
//   intent    remembered                                 outcome   the intent counts now; history
//   cancel    forgotten                                  settle    a confirmed transaction is no longer undone
//   end       intents without outcome count, except those of atomic transactions; unconfirmed ones are undone
//
// Outcomes come in the order of execution, so counting intents then gives the same state. Invariant: an intent counts as a
// whole or not at all: only if the last of its frames has been read.

import { TransactionRecord } from './history.js';
import { restore, type Frame, type StoredEntry } from './journal.js';

/** What a journal holds. */
export interface Recovered {
  /** The highest transaction number used. */
  readonly seq: number;
  readonly desired: Map<string, unknown>;
  /** Keys, of those nobody can retrieve, that were applied as desired. */
  readonly believed: Set<string>;
  /** Values that were being replaced or deleted, with what they were: they, or what was derived from them, may be there. */
  readonly unfinished: Map<string, unknown>;
  readonly checkpoints: Map<string, Map<string, unknown>>;
  readonly identities: Map<string, string>;
  readonly history: TransactionRecord[];
  /** Held transactions that were undone, because they were never settled. */
  readonly undone: readonly number[];
  /** Bytes cut off the end of the log: writes that were under way. */
  readonly cutBytes: number;
}

/** The state of a scheduler, as a snapshot stores it. */
export interface StoredState {
  readonly seq: number;
  desired(): Iterable<StoredEntry>;
  believed(): Iterable<string>;
  unfinished(): Iterable<StoredEntry>;
  checkpoints(): Iterable<[string, Iterable<StoredEntry>]>;
  identities(): Iterable<[string, string]>;
  held(): Iterable<[number, Iterable<StoredEntry>]>;
}

interface Intent {
  readonly entries: StoredEntry[];
  readonly hold: 0 | 1 | 2;
}

/** Collects what frames say. */
export class Recovery {
  readonly #blind: (key: string) => boolean;
  readonly #historyRows: number;
  #seq = -1;
  readonly #desired = new Map<string, unknown>();
  readonly #believed = new Set<string>();
  readonly #unfinished = new Map<string, unknown>();
  readonly #checkpoints = new Map<string, Map<string, unknown>>();
  readonly #identities = new Map<string, string>();
  readonly #history: TransactionRecord[] = [];
  #rows = 0;
  /** Intents whose outcome has not been read: their values, for the rows. */
  readonly #intents = new Map<number, Intent>();
  readonly #held = new Map<number, Map<string, unknown>>();
  #open: StoredEntry[] | undefined;
  #record: { record: TransactionRecord; keys: Iterator<StoredEntry>; next: IteratorResult<StoredEntry> } | undefined;
  cutBytes = 0;

  constructor(blind: (key: string) => boolean, historyRows: number) {
    this.#blind = blind;
    this.#historyRows = historyRows;
  }

  take(frame: Frame, historyOnly: boolean): void {
    switch (frame[0]) {
      case 'i':
        this.#intent(frame);
        break;
      case 'o':
        this.#outcome(frame, historyOnly);
        break;
      case 's':
        this.#held.delete(frame[1]);
        break;
      case 'x':
        this.#intents.delete(frame[1]);
        break;
      case 'u':
        if (!historyOnly) this.#undo(frame[1]);
        break;
      case 'c':
        if (!historyOnly) this.#checkpoints.set(frame[1], new Map());
        break;
      case 'd':
        if (!historyOnly) this.#checkpoints.delete(frame[1]);
        break;
      case 'n':
        if (!historyOnly) this.#identities.set(frame[1], frame[2]);
        break;
      case 'S':
        this.#seq = Math.max(this.#seq, frame[1]);
        this.#snapshot(frame[3], frame[4]);
        break;
    }
  }

  /** What an unfinished write began does not count. */
  endOfLog(): void {
    this.#open = undefined;
    this.#record = undefined;
  }

  #snapshot(part: string, entries: unknown[]): void {
    const [name, rest] = /^(\w+)(?: (.*))?$/s.exec(part)!.slice(1) as [string, string | undefined];
    const into = (map: Map<string, unknown>): void => {
      for (const entry of entries as StoredEntry[]) map.set(entry[0], restore(entry));
    };
    const inner = <K>(maps: Map<K, Map<string, unknown>>, key: K): Map<string, unknown> => {
      const map = maps.get(key) ?? new Map<string, unknown>();
      maps.set(key, map);
      return map;
    };
    if (name === 'desired') into(this.#desired);
    else if (name === 'unfinished') into(this.#unfinished);
    else if (name === 'believed') for (const key of entries as string[]) this.#believed.add(key);
    else if (name === 'identity') for (const [key, id] of entries as [string, string][]) this.#identities.set(key, id);
    else if (name === 'checkpoint') into(inner(this.#checkpoints, rest!));
    else if (name === 'held') into(inner(this.#held, Number(rest)));
  }

  #intent(frame: Extract<Frame, ['i', ...unknown[]]>): void {
    const [, seq, , , , hold, last, entries] = frame;
    this.#seq = Math.max(this.#seq, seq);
    this.#open ??= [];
    for (const entry of entries) this.#open.push(entry);
    if (last === 0) return;
    const all = this.#open;
    this.#open = undefined;
    // A transaction that adopts what it finds has a second intent.
    const first = this.#intents.get(seq);
    this.#intents.set(
      seq,
      first === undefined ? { entries: all, hold } : { entries: [...first.entries, ...all], hold },
    );
  }

  #desire(seq: number, { entries, hold }: Intent): void {
    const undo = hold === 2 ? new Map<string, unknown>() : undefined;
    const saved = [...this.#checkpoints.values()];
    for (const entry of entries) {
      const key = entry[0];
      const before = this.#desired.get(key);
      for (const checkpoint of saved) if (!checkpoint.has(key)) checkpoint.set(key, before);
      // A later change of a key is not undone with an earlier one.
      for (const other of this.#held.values()) other.delete(key);
      if (undo?.has(key) === false) undo.set(key, before);
      if (before !== undefined && !this.#unfinished.has(key)) this.#unfinished.set(key, before);
      if (entry.length === 1) this.#desired.delete(key);
      else this.#desired.set(key, restore(entry));
      this.#believed.delete(key);
    }
    if (undo !== undefined) this.#held.set(seq, undo);
  }

  /** It may have been under way: what it was making may be there. */
  #abandon(seq: number, intent: Intent): void {
    this.#intents.delete(seq);
    for (const entry of intent.entries) {
      if (entry.length > 1 && !this.#unfinished.has(entry[0])) this.#unfinished.set(entry[0], restore(entry));
    }
  }

  #undo(seq: number): void {
    const begun = this.#intents.get(seq);
    if (begun !== undefined) this.#abandon(seq, begun);
    const undo = this.#held.get(seq);
    if (undo === undefined) return;
    this.#held.delete(seq);
    for (const [key, before] of undo) {
      for (const checkpoint of this.#checkpoints.values()) {
        if (!checkpoint.has(key)) checkpoint.set(key, this.#desired.get(key));
      }
      if (this.#desired.has(key) && !this.#unfinished.has(key)) this.#unfinished.set(key, this.#desired.get(key));
      if (before === undefined) this.#desired.delete(key);
      else this.#desired.set(key, before);
      this.#believed.delete(key);
    }
  }

  #outcome(frame: Extract<Frame, ['o', ...unknown[]]>, historyOnly: boolean): void {
    const [, seq, kind, startedMs, endedMs, status, description, last, rows, errors] = frame;
    this.#seq = Math.max(this.#seq, seq);
    if (this.#record === undefined) {
      const record = new TransactionRecord(seq, kind, startedMs, description ?? undefined);
      const intent = this.#intents.get(seq);
      if (intent !== undefined && !historyOnly && status !== 'reverted') this.#desire(seq, intent);
      const keys = (intent?.entries ?? [])[Symbol.iterator]();
      this.#record = { record, keys, next: keys.next() };
    }
    const open = this.#record;
    const { record } = open;
    const failures = new Map(errors);
    for (let i = 0; i < rows.length; i += 1) {
      let key: string;
      let value: unknown;
      const item = rows[i]!;
      if (typeof item === 'string') {
        key = item;
        i += 1;
      } else {
        // The writer left the key out because it is the next of the change; an intent that is gone leaves it unknown.
        const entry: StoredEntry = open.next.done === true ? ['(unknown)'] : open.next.value;
        if (open.next.done !== true) open.next = open.keys.next();
        key = entry[0];
        value = this.#historyRows > 0 ? restore(entry) : undefined;
      }
      const code = rows[i] as number;
      if (!historyOnly) this.#finished(key, code);
      if (this.#historyRows > 0) record.add(key, code, undefined, value, failures.get(record.size));
    }
    if (last === 0) return;
    record.endedMs = endedMs;
    record.status = status;
    this.#record = undefined;
    this.#intents.delete(seq);
    if (this.#historyRows === 0) return;
    this.#history.push(record);
    this.#rows += record.size;
    while (this.#rows > this.#historyRows && this.#history.length > 1) this.#rows -= this.#history.shift()!.size;
  }

  #finished(key: string, code: number): void {
    const operation = code & 15;
    const failed = ((code >> 8) & 32) !== 0;
    if (operation < 1 || operation > 3 || failed) return;
    this.#unfinished.delete(key);
    if (operation === 3 || !this.#blind(key)) this.#believed.delete(key);
    else this.#believed.add(key);
  }

  finish(): Recovered {
    const undone: number[] = [];
    for (const [seq, intent] of this.#intents) {
      if (intent.hold === 0) {
        this.#desire(seq, intent);
        continue;
      }
      undone.push(seq);
      this.#abandon(seq, intent);
    }
    for (const seq of [...this.#held.keys()].reverse()) {
      this.#undo(seq);
      undone.push(seq);
    }
    return {
      seq: this.#seq,
      desired: this.#desired,
      believed: this.#believed,
      unfinished: this.#unfinished,
      checkpoints: this.#checkpoints,
      identities: this.#identities,
      history: this.#history,
      undone,
      cutBytes: this.cutBytes,
    };
  }
}
