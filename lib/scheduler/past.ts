// The graph as it was: put together from the rows of the history, and drawn like the one of now.
//
//   rows of a key   create configured | update configured | … | delete removed
//                            ^ at seq 8: configured, with the value of that row
//
// A key whose last row before the moment is no longer kept was in the state its next row came from. Invariant: nothing here
// is ever older than the history; asking for more is ERR_SCHEDULER_HISTORY.

import { SchedulerError } from '../errors.js';
import { Bit, Graph, type Node } from './graph.js';
import { RowFlag, rowKind, rowState, stateBefore, type History, type TransactionRecord } from './history.js';
import type { KeySpaces } from './key-space.js';
import { State, type OperationKind, type ValueState, type ValueStatus } from './state.js';
import * as views from './views.js';

/** A moment: after a transaction, or (milliseconds since 1970) after the last that had ended by then. */
export type Moment = { readonly seq: number } | { readonly timeMs: number };

/** One stretch of a value's life. */
export interface Revision {
  readonly seq: number;
  /** When the transaction that began it ended, and when the next one did; undefined: it lasts. */
  readonly sinceMs: number;
  readonly untilMs: number | undefined;
  readonly operation: OperationKind;
  readonly state: ValueState;
  /** Secrets redacted. */
  readonly value: unknown;
  readonly error: string | undefined;
}

/** The life of a value, as far as the history is kept. */
export function* timeline(history: History, key: string): Generator<Revision> {
  let open: Omit<Revision, 'untilMs'> | undefined;
  for (const { seq, startedMs, endedMs, operations } of history.query({ key })) {
    const { operation, state, value, error } = operations[operations.length - 1]!;
    const sinceMs = endedMs ?? startedMs;
    if (open !== undefined) yield { ...open, untilMs: sinceMs };
    open = { seq, sinceMs, operation, state, value, error };
  }
  if (open !== undefined) yield { ...open, untilMs: undefined };
}

interface Fact {
  state: number;
  seq: number;
  /** What was desired or is there, as the row says. */
  value: unknown;
  applied: unknown;
  derived: boolean;
  error: string | undefined;
}

/** A graph as it was at a moment. It does not change. */
export class Past {
  /** The last transaction that counts. */
  readonly seq: number;
  readonly #graph: Graph;
  readonly #engine: views.Shown;

  /** For {@link Scheduler.at}. */
  constructor(history: History, spaces: KeySpaces, now: Graph, moment: Moment) {
    const records = history.records();
    const counted = countedOf(records, moment);
    this.seq = counted > 0 ? records[counted - 1]!.seq : (records[0]?.seq ?? 0) - 1;
    this.#graph = new Graph((key) => spaces.find(key), false);
    this.#engine = { graph: this.#graph, stateOf: (node) => node.state };
    const facts = factsOf(records, counted, now);
    for (const [key, fact] of facts) this.#put(key, fact);
    for (const node of [...this.#graph.nodes.values()]) this.#derive(node);
  }

  #put(key: string, fact: Fact): void {
    if (fact.state === State.nonexistent || fact.state === State.removed) return;
    const node = this.#graph.node(key);
    node.state = fact.state;
    node.seq = fact.seq;
    if (fact.derived) node.bits |= Bit.derived;
    if (fact.error !== undefined) node.trouble = { attempts: 1, operation: 'none', error: new Error(fact.error) };
    const foreign = fact.state === State.obtained || fact.state === State.discovered;
    if (!foreign) node.desired = fact.value;
    const deps = this.#depsOf(node, fact.value);
    if (!foreign) this.#graph.setDeps(node, deps);
    if (fact.applied === undefined) return;
    this.#graph.setApplied(node, fact.applied, undefined, deps);
  }

  #depsOf(node: Node, value: unknown): Node['deps'] {
    if (value === undefined) return [];
    try {
      return this.#graph.compile(node.entry?.descriptor.dependencies?.(node.key, value));
    } catch {
      return [];
    }
  }

  #derive(node: Node): void {
    const value = node.desired ?? node.applied;
    if (value === undefined) return;
    try {
      for (const { key } of node.entry?.descriptor.derive?.(node.key, value) ?? []) {
        const child = this.#graph.get(key);
        if (child !== undefined && child !== node && child.parent === undefined) this.#graph.adopt(node, child);
      }
    } catch {
      // A value its descriptor cannot take apart: nothing was derived from it.
    }
  }

  /** Where a value was, and why. */
  status(key: string): ValueStatus {
    return views.status(this.#engine, key);
  }

  /** The status of every value with a prefix (default all), in key order. */
  *statuses(prefix = ''): Generator<ValueStatus> {
    for (const node of this.#graph.withPrefix(prefix)) {
      const status = views.statusOf(this.#engine, node);
      if (status.state !== 'nonexistent') yield status;
    }
  }

  /** Keys and values in key order: those desired (without derived ones), or those there. */
  dump(
    view: 'desired' | 'applied',
    options: { readonly prefix?: string; readonly secrets?: boolean } = {},
  ): Generator<{ key: string; value: unknown }> {
    return views.dump(this.#graph, view, options);
  }

  /** The graph as text for a drawing program, coloured by state, or as data. */
  export(format: 'dot' | 'mermaid' | 'json', options: { readonly prefix?: string } = {}): string {
    return views.exportGraph(this.#engine, format, options.prefix ?? '');
  }
}

/** How many of the records, from the oldest, had ended by the moment. */
function countedOf(records: readonly TransactionRecord[], moment: Moment): number {
  const oldest = records[0];
  let counted = 0;
  const before = (record: TransactionRecord): boolean =>
    'seq' in moment ? record.seq <= moment.seq : record.endedMs !== undefined && record.endedMs <= moment.timeMs;
  while (counted < records.length && before(records[counted]!)) counted += 1;
  // Before the oldest record the state is known only right before it, or when nothing has ever been forgotten.
  const right = 'seq' in moment && oldest !== undefined && moment.seq === oldest.seq - 1;
  if (counted > 0 || right || oldest?.seq === 0) return counted;
  const asked = 'seq' in moment ? `transaction ${moment.seq}` : new Date(moment.timeMs).toISOString();
  const reach = oldest === undefined ? 'no history is kept' : `the history begins with transaction ${oldest.seq}`;
  throw new SchedulerError('ERR_SCHEDULER_HISTORY', `looking at the graph at ${asked}: ${reach}`);
}

function factsOf(records: readonly TransactionRecord[], counted: number, now: Graph): Map<string, Fact> {
  const facts = new Map<string, Fact>();
  for (let i = 0; i < counted; i += 1) {
    const record = records[i]!;
    for (let row = 0; row < record.size; row += 1) {
      const key = record.key(row);
      const code = record.code(row);
      const fact = facts.get(key) ?? empty();
      facts.set(key, fact);
      fact.state = rowState(code);
      fact.seq = record.seq;
      fact.value = record.value(row) ?? fact.value;
      fact.error = record.error(row);
      fact.derived = ((code >> 8) & RowFlag.derived) !== 0;
      fact.applied = appliedAfter(code, record.value(row), fact.applied);
    }
  }
  // Keys nothing is kept about from before the moment: as they were before what came after, or as they still are.
  const later = new Set<string>();
  for (let i = counted; i < records.length; i += 1) {
    const record = records[i]!;
    for (let row = 0; row < record.size; row += 1) {
      const key = record.key(row);
      if (later.has(key)) continue;
      later.add(key);
      if (facts.has(key)) continue;
      const code = record.code(row);
      const state = stateBefore(code);
      const value = record.previous(row);
      const derived = ((code >> 8) & RowFlag.derived) !== 0;
      facts.set(key, { ...empty(), state, value, applied: isThere(state) ? value : undefined, derived });
    }
  }
  for (const node of now.nodes.values()) {
    if (facts.has(node.key) || node.state === State.nonexistent) continue;
    const applied = (node.bits & Bit.exists) === 0 ? undefined : node.applied;
    const { state, seq } = node;
    const derived = node.parent !== undefined;
    facts.set(node.key, { ...empty(), state, seq, value: node.desired ?? node.applied, applied, derived });
  }
  return facts;
}

function empty(): Fact {
  return { state: State.nonexistent, seq: -1, value: undefined, applied: undefined, derived: false, error: undefined };
}

function isThere(state: number): boolean {
  return state === State.configured || state === State.obtained || state === State.discovered;
}

function appliedAfter(code: number, value: unknown, before: unknown): unknown {
  const failed = ((code >> 8) & (RowFlag.failed | RowFlag.late)) !== 0;
  if (failed) return before;
  const kind = rowKind(code);
  if (kind === 'create' || kind === 'update') return value;
  if (kind === 'delete') return undefined;
  const state = rowState(code);
  if (isThere(state)) return value ?? before;
  return state === State.failed || state === State.retrying || state === State.invalid ? before : undefined;
}
