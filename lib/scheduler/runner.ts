// The runner: carries out one transaction, from what it changes to the answer its caller gets.
//
//   desire -> [ body: look at the southbound … ] -> settle -> record, journal the outcome -> answer
//                                                      |
//                              atomic and something failed: desire what was before, settle again
//
// Invariant: a transaction is answered or refused exactly once, and its outcome is journalled before.

import { channel } from 'node:diagnostics_channel';
import { performance } from 'node:perf_hooks';
import { accept } from './accept.js';
import { asError, type Core } from './core.js';
import { Run } from './engine.js';
import { Bit, type Node } from './graph.js';
import { RowFlag, TransactionRecord } from './history.js';
import type { Journal } from './journal.js';
import { addAll } from './lists.js';
import { TransactionResult } from './result.js';
import { mayRetry, type Retries } from './retries.js';
import { valueStates } from './state.js';
import { verify } from './verify.js';
import type { Transaction } from './transaction.js';
import type { ReadonlyKeyMap } from './key-map.js';
import * as views from './views.js';

/** What a transaction does besides changing what is desired; it adds to the seeds. */
export type Body = (run: Run, seeds: Node[], transaction: Transaction) => Promise<void> | void;

/** Asked once the change is in the graph and nothing is done yet; an error refuses the transaction. */
export type Veto = (seeds: readonly Node[]) => Error | undefined;

const finished = channel('node-vpp:scheduler:transaction');

/** Carries transactions out, one at a time. */
export class Runner {
  readonly #core: Core;
  readonly #retries: Retries;
  /** Why the journal takes nothing more. */
  journalFailure: Error | undefined;
  /** The transaction under way. */
  #current: Transaction | undefined;

  constructor(core: Core, retries: Retries) {
    this.#core = core;
    this.#retries = retries;
  }

  /** Journals what a transaction is about to desire. */
  intend(transaction: Transaction): void {
    const { kind, options, change, confirm } = transaction.work;
    transaction.seq = this.#core.takeSeq();
    const hold = confirm ? 2 : options.atomic === true ? 1 : 0;
    this.#core.journal!.intent(transaction.seq, kind, this.#core.clock.now(), options.description, change!, hold);
  }

  /** An intent that has been journalled, but will not be followed. */
  #unintend(transaction: Transaction): void {
    if (this.#core.journal === undefined || transaction.work.change === undefined || transaction.seq < 0) return;
    if (this.journalFailure !== undefined || this.#core.closing === 'closed') return;
    this.#core.journal.cancel(transaction.seq);
  }

  /** Stops what is under way. */
  abort(): void {
    this.#current?.abort();
  }

  /** Carries a transaction out, and answers it. */
  async perform(transaction: Transaction, body: Body | undefined, veto: Veto | undefined): Promise<void> {
    this.#current = transaction;
    await this.#perform(transaction, body, veto);
    this.#current = undefined;
  }

  async #perform(transaction: Transaction, body: Body | undefined, veto: Veto | undefined): Promise<void> {
    transaction.onGivenUp = undefined;
    const { work } = transaction;
    const refusal = this.#core.destroyedBy ?? this.journalFailure ?? transaction.givenUp();
    if (refusal !== undefined) {
      this.#unintend(transaction);
      transaction.refuse(refusal);
      return;
    }
    if (transaction.seq < 0) {
      transaction.seq = this.#core.takeSeq();
    }
    const began = performance.now();
    const { graph } = this.#core.engine;
    const { change, options } = work;
    const record = new TransactionRecord(transaction.seq, work.kind, this.#core.clock.now(), options.description);
    transaction.record = record;
    const run = new Run(record, {
      flags: work.kind === 'retry' ? RowFlag.retry : 0,
      retries: mayRetry(work) && options.atomic !== true,
      atomic: options.atomic === true,
      serial: options.serial === true,
      signal: transaction.signal,
      isOwn: change === undefined ? () => true : (node) => change.has(views.root(node).key),
    });
    run.whole = veto !== undefined;
    const seeds: Node[] = [];
    try {
      if (change !== undefined) this.desire(transaction, change, seeds);
      const no = veto?.(seeds);
      if (no !== undefined) {
        this.takeBack(transaction);
        throw no;
      }
    } catch (error) {
      this.#unintend(transaction);
      transaction.refuse(asError(error));
      return;
    }
    this.#core.history.begin(record);
    transaction.begin(run);
    try {
      if (body !== undefined) await body(run, seeds, transaction);
      if (options.atomic === true) await this.#settleAtomic(run, transaction, seeds);
      else {
        await this.#core.engine.settle(run, seeds);
        await this.#verify(run, transaction);
        this.#core.engine.release(run);
        record.status = this.#statusOf(run, change);
      }
    } catch (error) {
      this.#core.engine.release(run);
      record.status = 'failed';
      await this.#finish(transaction, began);
      transaction.refuse(asError(error));
      return;
    }
    const failures = run.failed
      .filter(({ node }) => record.status === 'reverted' || (node.bits & Bit.stuck) !== 0)
      .map(({ node, error }) => ({ key: node.key, error, retrying: node.trouble?.retriable === true }));
    for (const { entry, error } of run.unread)
      failures.push({ key: views.prefixOfEntry(entry), error, retrying: mayRetry(work) });
    for (const { key, error } of run.mismatches) failures.push({ key, error, retrying: false });
    if (record.status !== 'reverted') this.#retries.plan(run, work);
    try {
      await this.#finish(transaction, began);
    } catch (error) {
      transaction.refuse(asError(error));
      return;
    }
    transaction.answer(
      new TransactionResult(
        record,
        failures,
        () => change?.keys() ?? new Set(record.keys()),
        (key) => valueStates[graph.get(key)?.state ?? 0]!,
      ),
    );
  }

  #statusOf(run: Run, change: ReadonlyKeyMap<unknown> | undefined): TransactionRecord['status'] {
    if (run.stop === 'aborted' || run.stop === 'deadline') return 'aborted';
    if (run.unread.length > 0 || run.mismatches.length > 0) return 'failed';
    if (run.failed.some(({ node }) => (node.bits & Bit.stuck) !== 0 && run.isOwn(node))) return 'failed';
    if (change !== undefined && this.#core.metrics.states[8]! > 0) {
      for (const key of change.keys()) if (this.#invalidBelow(this.#core.engine.graph.get(key))) return 'failed';
    }
    return 'done';
  }

  #invalidBelow(node: Node | undefined): boolean {
    if (node === undefined) return false;
    if ((node.bits & Bit.invalid) !== 0) return true;
    for (const child of node.children ?? []) if (this.#invalidBelow(child)) return true;
    return false;
  }

  /** In verify mode: compares what is there with what is believed. */
  async #verify(run: Run, transaction: Transaction): Promise<void> {
    const { engine, spaces, verify: always } = this.#core;
    if (!(transaction.work.options.verify ?? always) || run.stop !== undefined) return;
    const otherwise = await verify(engine, spaces, run);
    if (otherwise.length > 0) await engine.settle(run, otherwise);
  }

  /** All or nothing. */
  async #settleAtomic(run: Run, transaction: Transaction, seeds: Node[]): Promise<void> {
    const { record } = run;
    const { change } = transaction.work;
    const invalid = [...(change?.keys() ?? [])].some((key) => this.#invalidBelow(this.#core.engine.graph.get(key)));
    if (!invalid) {
      await this.#core.engine.settle(run, seeds);
      await this.#verify(run, transaction);
    }
    this.#core.engine.release(run);
    const unfit = invalid || run.stop !== undefined || this.#statusOf(run, change) !== 'done';
    if (!unfit) {
      record.status = 'done';
      return;
    }
    if (invalid) {
      for (const key of change!.keys()) views.noteInvalid(this.#core.engine.graph.get(key), record);
    }
    const back: Node[] = [];
    for (const { node } of run.failed) {
      node.bits &= ~Bit.stuck;
      back.push(node);
    }
    // What was not begun may be due all the same: something else that carries it has been made.
    addAll(back, run.left);
    // Also what had to make way for the change, and has not been changed itself.
    for (const key of new Set(record.keys())) {
      const node = this.#core.engine.graph.get(key);
      if (node !== undefined) back.push(node);
    }
    this.takeBack(transaction, back);
    const undoing = new Run(record, {
      flags: RowFlag.revert,
      retries: mayRetry(transaction.work),
      signal: () => new AbortController().signal,
      serial: run.serial,
    });
    await this.#core.engine.settle(undoing, back);
    this.#core.engine.release(undoing);
    record.status = 'reverted';
    this.#retries.plan(undoing, transaction.work);
  }

  /** Changes what is desired. */
  desire(transaction: Transaction, change: ReadonlyKeyMap<unknown>, seeds: Node[]): void {
    const { graph } = this.#core.engine;
    const remembering = this.#core.checkpoints.remembers || transaction.work.confirm;
    graph.nodes.reserve(change.size);
    transaction.changes.push(change);
    try {
      change.forEach((value, key) => {
        const before = accept(graph, key, value, seeds);
        transaction.note(before);
        if (remembering) this.#core.checkpoints.changed(transaction.seq, key, before, transaction.work.confirm);
      });
    } catch (error) {
      this.takeBack(transaction);
      throw error;
    }
  }

  /** Desires values that were not known when the transaction was queued. */
  async desireLate(transaction: Transaction, change: ReadonlyKeyMap<unknown>, seeds: Node[]): Promise<void> {
    await this.intendLate(transaction, change);
    this.desire(transaction, change, seeds);
  }

  /** Journals a change that was not known when the transaction was queued. */
  async intendLate(transaction: Transaction, change: ReadonlyKeyMap<unknown>): Promise<void> {
    const { journal } = this.#core;
    if (journal === undefined) return;
    journal.check(change);
    const { seq, work, record } = transaction;
    journal.intent(seq, work.kind, record!.startedMs, work.options.description, change, 0);
    await journal.commit();
  }

  /** Desires again what a transaction's change replaced. */
  takeBack(transaction: Transaction, seeds: Node[] = []): void {
    for (const [key, before] of transaction.undone()) accept(this.#core.engine.graph, key, before, seeds);
    this.#core.checkpoints.unconfirmed.delete(transaction.seq);
    for (const node of seeds) this.#core.engine.graph.dropIfGhost(node);
  }

  async #finish(transaction: Transaction, began: number): Promise<void> {
    const record = transaction.record!;
    record.endedMs = this.#core.clock.now();
    this.#core.history.end(record, record.endedMs);
    const ms = performance.now() - began;
    this.#core.metrics.transaction(record.kind, ms, record.status !== 'done');
    if (this.#core.journal !== undefined) await this.#journalOutcome(transaction, this.#core.journal);
    this.#core.onTransaction?.(record);
    if (finished.hasSubscribers) {
      finished.publish({ seq: record.seq, kind: record.kind, status: record.status, rows: record.size, ms });
    }
  }

  async #journalOutcome(transaction: Transaction, journal: Journal): Promise<void> {
    const { work, record } = transaction;
    journal.outcome(record!, work.change?.keys() ?? []);
    // Desired state is safe already. The outcome follows with the next write, except where it decides.
    if (work.options.atomic === true || work.confirm) await journal.commit();
    else this.#lazily(journal);
  }

  #lazy: Promise<void> | undefined;

  #lazily(journal: Journal): void {
    this.#lazy ??= (async () => {
      await new Promise<void>((resolve) => void setImmediate(resolve));
      this.#lazy = undefined;
      try {
        await journal.commit();
      } catch (error) {
        this.#core.fault(error);
      }
    })();
  }

  /** Resolves when the outcomes that were to follow by themselves are written. */
  get written(): Promise<void> | undefined {
    return this.#lazy;
  }
}
