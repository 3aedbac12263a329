// The scheduler: desired state in, a queue of transactions, one engine that carries them out.
//
//   commit / resync / notify / checkDrift -> queue -> [ journal ] -> accept -> plan, execute, learn, again -> answer
//                                                                                    |
//                                                    history <- rows <---------------+--> watchers, metrics
//
// Invariant: one transaction at a time touches the graph; between two of them it is consistent and may be read.

import { EventEmitter } from 'node:events';
import { channel } from 'node:diagnostics_channel';
import { SchedulerError } from '../errors.js';
import { accept, messageOf, revert, Undo } from './accept.js';
import { Checkpoints } from './checkpoints.js';
import { systemClock, type Clock } from './clock.js';
import type { Descriptor } from './descriptor.js';
import { Engine, Run } from './engine.js';
import { Bit, type Node } from './graph.js';
import { History, RowFlag, TransactionRecord, type HistoryQuery, type RecordedTransaction } from './history.js';
import type { TransactionKind, RecordedOperation } from './history.js';
import type { Journal } from './journal.js';
import type { Entry } from './key-space.js';
import { KeySpaces } from './key-space.js';
import { Metrics, type SchedulerMetrics } from './metrics.js';
import { changeMap, type Change, type Drift, type DriftOptions, type Notification } from './options.js';
import type { SchedulerOptions, TransactionOptions } from './options.js';
import { Plan } from './plan.js';
import { openDurable, restoreState, storedState } from './durable.js';
import { planRound } from './planner.js';
import { Queue, type Job } from './queue.js';
import { TransactionResult } from './result.js';
import { retryDelay, retryPolicy, type FullRetryPolicy } from './retry.js';
import { valueStates, type ValueStatus } from './state.js';
import { Transaction, type Work } from './transaction.js';
import { Truth, type Findings } from './truth.js';
import * as views from './views.js';
import { watchOperations, watchTransactions, type WatchOptions } from './watch.js';

/** How a resync starts: from the southbound and new values, from new values alone, or from the southbound alone. */
export type ResyncKind = 'full' | 'upstream' | 'downstream';

/** A committed change that is taken back unless it is confirmed. */
export interface Unconfirmed {
  readonly result: TransactionResult;
  /** Keeps it. Throws ERR_SCHEDULER_CONFIRM when it is too late. */
  confirm(): Promise<void>;
  /** Takes it back now. */
  rollback(): Promise<TransactionResult>;
  /** Resolves when it is confirmed or taken back. */
  readonly settled: Promise<'confirmed' | 'rolled back'>;
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(messageOf(error));
}

type Body = (run: Run, seeds: Node[], transaction: Transaction) => Promise<void> | void;

const finished = channel('node-vpp:scheduler:transaction');

/** Events of a {@link Scheduler}. */
export interface SchedulerEvents {
  /** A transaction has ended. */
  transaction: [RecordedTransaction];
  /** Something failed that no caller waits for: a retry, a periodic drift check, a snapshot. */
  fault: [Error];
}

/**
 * Keeps a southbound as it is desired to be.
 *
 * @example
 * ```ts
 * import { Scheduler, mockSouthbound } from 'node-vpp/scheduler';
 * const world = mockSouthbound();
 * const scheduler = await Scheduler.open({
 *   descriptors: [
 *     world.descriptor({ name: 'interface', keys: 'interface/' }),
 *     world.descriptor({ name: 'route', keys: 'route/', dependencies: () => ['interface/tap0'] }),
 *   ],
 * });
 * const result = await scheduler.commit({ set: { 'route/default': {}, 'interface/tap0': { mtu: 1500 } } });
 * console.log(result.status, world.calls.map(({ kind, key }) => `${kind} ${key}`));
 * // done [ 'create interface/tap0', 'create route/default' ]
 * await scheduler.close();
 * ```
 */
export class Scheduler extends EventEmitter<SchedulerEvents> {
  readonly #spaces = new KeySpaces();
  readonly #metrics = new Metrics();
  readonly #engine: Engine;
  readonly #truth: Truth;
  readonly #history: History;
  readonly #checkpoints = new Checkpoints();
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #retry: FullRetryPolicy | undefined;
  readonly #queue = new Queue();
  readonly #timers = new Set<() => void>();
  readonly #historyRows: number;
  #journal: Journal | undefined;
  #nextSeq = 0;
  #working: Promise<void> | undefined;
  #closing: 'open' | 'draining' | 'closed' = 'open';
  #notifications:
    { readonly byKey: Map<string, Notification>; readonly result: Promise<TransactionResult> } | undefined;
  /** What opening recovered from the journal; undefined without one. */
  recovered: { readonly values: number; readonly undone: readonly number[]; readonly cutBytes: number } | undefined;

  private constructor(options: SchedulerOptions) {
    super();
    this.#clock = options.clock ?? systemClock;
    this.#random = options.random ?? Math.random;
    this.#retry = retryPolicy(options.retry);
    this.#engine = new Engine(this.#spaces, this.#clock, options.concurrency ?? 64, this.#metrics);
    this.#truth = new Truth(this.#engine, this.#spaces, options.southbounds ?? {});
    const keep = options.history === false ? { rows: 0 } : (options.history ?? {});
    this.#historyRows = keep.rows ?? 5_000_000;
    const ageMs = ('ageMs' in keep ? keep.ageMs : undefined) ?? 24 * 3600_000;
    this.#history = new History((key) => this.#spaces.find(key), { ageMs, rows: this.#historyRows });
    for (const descriptor of options.descriptors ?? []) this.#spaces.add(descriptor);
    this.#spaces.retrieveOrder();
  }

  /**
   * Opens a scheduler: recovers what its journal holds, then looks at the southbound and makes it as desired.
   *
   * @throws DescriptorError when two descriptors clash, JournalError when the journal cannot be read.
   */
  static async open(options: SchedulerOptions = {}): Promise<Scheduler> {
    const scheduler = new Scheduler(options);
    try {
      if (options.journal !== undefined) await scheduler.#recover(options);
      if (options.startup !== 'none') await scheduler.resync('downstream', undefined, { description: 'start' });
      for (const entry of scheduler.#spaces.entries()) scheduler.#watchDrift(entry);
    } catch (error) {
      await scheduler.destroy(error instanceof Error ? error : undefined);
      throw error;
    }
    return scheduler;
  }

  async #recover(options: SchedulerOptions): Promise<void> {
    const { journal, recovered } = await openDurable(options.journal!, this.#spaces, this.#historyRows);
    this.#journal = journal;
    this.#nextSeq = recovered.seq + 1;
    restoreState(recovered, this.#engine.graph, this.#truth, this.#checkpoints, this.#history);
    for (const seq of recovered.undone) journal.undo(seq);
    await journal.commit();
    this.#truth.onIdentity = (southbound, identity) => journal.identity(southbound, identity);
    const { undone, cutBytes } = recovered;
    this.recovered = { values: recovered.desired.size, undone, cutBytes };
  }

  /** Adds a descriptor; values that were waiting for it are tried at once. */
  async register(descriptor: Descriptor): Promise<TransactionResult> {
    const entry = this.#spaces.add(descriptor);
    this.#spaces.retrieveOrder();
    this.#watchDrift(entry);
    return this.#transact(
      { kind: 'retry', options: { description: `descriptor ${entry.name}`, priority: 10 } },
      async (run, seeds) => {
        const { graph } = this.#engine;
        for (const node of [...graph.withPrefix(views.prefixOfEntry(entry))]) {
          if (this.#spaces.find(node.key) !== entry) continue;
          node.entry = entry;
          if (node.desired !== undefined && node.parent === undefined) accept(graph, node.key, node.desired, seeds);
          else if (node.parent?.desired !== undefined)
            accept(graph, views.root(node).key, views.root(node).desired, seeds);
        }
        if (entry.retrievable) await this.#engine.refresh(run, entry, this.#engine.learning(run, seeds));
      },
    );
  }

  // Transactions.

  /**
   * Changes what is desired, and makes it so. Resolves with what became of every value; values with unmet dependencies are
   * pending, which is no failure.
   *
   * @throws SchedulerError when it could not begin: aborted, past its deadline, a key that is derived, scheduler closed.
   */
  commit(change: Change, options: TransactionOptions = {}): Promise<TransactionResult> {
    return this.#commitMap(changeMap(change), options, 'change');
  }

  #commitMap(
    change: ReadonlyMap<string, unknown>,
    options: TransactionOptions,
    kind: TransactionKind,
    confirm = false,
  ): Promise<TransactionResult> {
    return this.#transact({ kind, options, change, confirm });
  }

  /**
   * Brings desired and real state together. `full`: look, desire exactly the values given (and what foreign values policy
   * adopts), remove what else is ours. `upstream`: the same without looking. `downstream`: look, and put back what is
   * desired already.
   */
  resync(kind: ResyncKind, values?: Change['set'], options: TransactionOptions = {}): Promise<TransactionResult> {
    if (kind === 'downstream' && values !== undefined) {
      throw new SchedulerError('ERR_SCHEDULER_ARGUMENT', 'resync downstream: it takes no values; use full or upstream');
    }
    if (options.atomic === true) {
      throw new SchedulerError(
        'ERR_SCHEDULER_ARGUMENT',
        `resync ${kind}: it cannot be atomic, the past is what it mends`,
      );
    }
    const given = kind === 'downstream' ? undefined : changeMap({ set: values ?? {} });
    return this.#transact(
      { kind: `${kind}-resync`, options: { priority: 10, ...options } },
      async (run, seeds, transaction) => {
        if (kind !== 'upstream') seeds.push(...(await this.#truth.refreshAll(run)));
        const { graph } = this.#engine;
        if (given !== undefined) {
          for (const node of graph.nodes.values()) {
            if (node.desired !== undefined && node.parent === undefined && !given.has(node.key))
              given.set(node.key, undefined);
            const discovered =
              node.desired === undefined && (node.bits & (Bit.exists | Bit.foreign | Bit.owned)) === Bit.exists;
            if (kind === 'full' && discovered && node.parent === undefined && !given.has(node.key)) {
              node.bits |= Bit.owned;
              seeds.push(node);
            }
          }
          await this.#desireLate(transaction, given, seeds);
        }
        seeds.push(...this.#truth.outOfStep());
        await this.#adoptForeign(transaction, seeds);
      },
    );
  }

  /** Values that foreign policy adopts become desired. */
  async #adoptForeign(transaction: Transaction, seeds: readonly Node[]): Promise<void> {
    const adopted = new Map<string, unknown>();
    for (const node of seeds) {
      const foreign = (node.bits & (Bit.exists | Bit.foreign)) === (Bit.exists | Bit.foreign);
      if (foreign && node.desired === undefined && node.entry?.foreign === 'adopt' && node.parent === undefined) {
        adopted.set(node.key, node.applied);
      }
    }
    if (adopted.size > 0) await this.#desireLate(transaction, adopted, seeds as Node[]);
  }

  /** Desires values that were not known when the transaction was queued. */
  async #desireLate(transaction: Transaction, change: ReadonlyMap<string, unknown>, seeds: Node[]): Promise<void> {
    if (this.#journal !== undefined) {
      this.#journal.check(change);
      const { seq, work, record } = transaction;
      this.#journal.intent(seq, work.kind, record!.startedMs, work.options.description, change, 0);
      await this.#journal.commit();
    }
    this.#desire(transaction, change, seeds);
  }

  /** What a change would do. Nothing is called but retrieve and pure functions, and nothing is kept. */
  plan(change: Change): Promise<Plan> {
    const map = changeMap(change);
    return this.#alone(() => {
      const { graph } = this.#engine;
      const undo = new Undo();
      const seeds: Node[] = [];
      try {
        for (const [key, value] of map) accept(graph, key, value, seeds, undo);
        const draft = planRound(graph, seeds, []);
        return new Plan(draft.steps, views.waiting(this.#engine, draft.touched), map);
      } finally {
        revert(graph, undo);
      }
    });
  }

  /**
   * Executes a plan exactly.
   *
   * @throws SchedulerError ERR_SCHEDULER_PLAN when something has changed since so that another plan is due; the text tells
   *   the differences.
   */
  async apply(plan: Plan, options: TransactionOptions = {}): Promise<TransactionResult> {
    if (!(plan instanceof Plan)) {
      throw new SchedulerError(
        'ERR_SCHEDULER_ARGUMENT',
        'applying a plan: this is not one that plan() gave; a printed plan has no secrets and cannot be applied',
      );
    }
    return this.#transact({ kind: 'change', options, change: plan.change }, undefined, (seeds) => {
      const draft = planRound(this.#engine.graph, seeds, []);
      const now = new Plan(draft.steps, [], plan.change);
      const differences = plan.diff(now);
      if (differences.length === 0) return undefined;
      return new SchedulerError(
        'ERR_SCHEDULER_PLAN',
        `applying a plan: it no longer holds, plan again (${differences.slice(0, 5).join('; ')}${differences.length > 5 ? '; …' : ''})`,
      );
    });
  }

  /** Commits a change that is taken back after `timeoutMs` unless it is confirmed; also by a restart before that. */
  async commitConfirm(
    change: Change,
    options: TransactionOptions & { readonly confirmMs: number },
  ): Promise<Unconfirmed> {
    const { confirmMs, ...rest } = options;
    const result = await this.#commitMap(changeMap(change), rest, 'change', true);
    const seq = result.seq;
    let settle!: (how: 'confirmed' | 'rolled back') => void;
    const settled = new Promise<'confirmed' | 'rolled back'>((resolve) => (settle = resolve));
    let open = true;
    const late = (): SchedulerError =>
      new SchedulerError(
        'ERR_SCHEDULER_CONFIRM',
        `confirming transaction ${seq}: it has been confirmed or taken back already`,
      );
    const undo = this.#checkpoints.unconfirmed.get(seq) ?? new Map<string, unknown>();
    const rollback = async (): Promise<TransactionResult> => {
      if (!open) throw late();
      open = false;
      cancel();
      const back = await this.#commitMap(
        undo,
        { description: `rollback of transaction ${seq}`, priority: 10 },
        'rollback',
      );
      await this.#settleHeld(seq);
      settle('rolled back');
      return back;
    };
    const cancel = this.#timer(confirmMs, () => void rollback().catch((error: unknown) => this.#fault(error)));
    if (result.status === 'reverted' || undo.size === 0) {
      open = false;
      cancel();
      await this.#settleHeld(seq);
      settle('rolled back');
    }
    return {
      result,
      settled,
      rollback,
      confirm: async () => {
        if (!open) throw late();
        open = false;
        cancel();
        await this.#settleHeld(seq);
        settle('confirmed');
      },
    };
  }

  async #settleHeld(seq: number): Promise<void> {
    this.#checkpoints.unconfirmed.delete(seq);
    if (this.#journal === undefined) return;
    await this.#alone(() => this.#journal!.settle(seq));
    await this.#journal.commit();
  }

  /** Remembers the desired state under a name; a second of the same name replaces the first. */
  async checkpoint(name: string): Promise<void> {
    await this.#alone(() => {
      this.#checkpoints.create(name);
      this.#journal?.checkpoint(name);
    });
    await this.#journal?.commit();
  }

  /** The names of the checkpoints, oldest first. */
  checkpoints(): string[] {
    return this.#checkpoints.names();
  }

  async dropCheckpoint(name: string): Promise<void> {
    await this.#alone(() => {
      if (this.#checkpoints.drop(name)) this.#journal?.dropCheckpoint(name);
    });
    await this.#journal?.commit();
  }

  /** Desires again what was desired at a checkpoint. The checkpoint stays. */
  async rollback(name: string, options: TransactionOptions = {}): Promise<TransactionResult> {
    const change = await this.#alone(() => this.#checkpoints.changeBackTo(name));
    return this.#commitMap(change, { description: `rollback to ${name}`, ...options }, 'rollback');
  }

  /**
   * Takes in what the southbound reports by itself. Reports that wait in the queue are merged by key: the last one counts,
   * and none is dropped.
   */
  notify(notifications: Iterable<Notification>): Promise<TransactionResult> {
    if (this.#notifications === undefined) {
      const byKey = new Map<string, Notification>();
      const result = this.#transact({ kind: 'notification', options: {} }, async (run, seeds, transaction) => {
        this.#notifications = undefined;
        const findings = this.#truth.notified(run, byKey.values());
        await this.#follow(transaction, findings, seeds);
      });
      this.#notifications = { byKey, result };
    }
    for (const notification of notifications) this.#notifications.byKey.set(notification.key, notification);
    return this.#notifications.result;
  }

  /** Looks for differences between the southbound and what is believed of it, and treats them as the policy says. */
  async checkDrift(
    options: DriftOptions = {},
  ): Promise<{ readonly drifts: readonly Drift[]; readonly result: TransactionResult }> {
    let drifts: readonly Drift[] = [];
    const result = await this.#transact({ kind: 'drift', options }, async (run, seeds, transaction) => {
      const findings = await this.#truth.findDrift(run, options);
      drifts = findings.drifts;
      await this.#follow(transaction, findings, seeds);
    });
    return { drifts, result };
  }

  async #follow(transaction: Transaction, findings: Findings, seeds: Node[]): Promise<void> {
    seeds.push(...findings.seeds);
    if (findings.adopted.size > 0) await this.#desireLate(transaction, findings.adopted, seeds);
  }

  #watchDrift(entry: Entry): void {
    const everyMs = entry.descriptor.drift?.everyMs;
    if (everyMs === undefined || !entry.retrievable) return;
    const again = (): void => {
      this.#timer(everyMs, () => {
        if (this.#closing !== 'open') return;
        const check = this.checkDrift({ descriptors: [entry.name], description: 'periodic', priority: -5 });
        void check.catch((error: unknown) => this.#fault(error)).then(again);
      });
    };
    again();
  }

  // The queue and its worker.

  #transact(
    asked: {
      kind: TransactionKind;
      options: TransactionOptions;
      change?: ReadonlyMap<string, unknown>;
      confirm?: boolean;
      attempt?: number;
      retry?: FullRetryPolicy;
    },
    body?: Body,
    veto?: (seeds: readonly Node[]) => Error | undefined,
  ): Promise<TransactionResult> {
    if (this.#closing !== 'open') return Promise.reject(this.#closedError());
    const { kind, options, change } = asked;
    if (change !== undefined && this.#journal !== undefined) {
      try {
        this.#journal.check(change);
      } catch (error) {
        return Promise.reject(asError(error));
      }
    }
    const retry = asked.retry ?? (options.retry === undefined ? this.#retry : retryPolicy(options.retry));
    const work: Work = { kind, options, retry, attempt: asked.attempt ?? 0, change, confirm: asked.confirm ?? false };
    const transaction = new Transaction(work, this.#clock);
    const queuedMs = this.#clock.now();
    const job: Job = {
      priority: options.priority ?? 0,
      queuedMs,
      ...(change === undefined || this.#journal === undefined ? {} : { prepare: () => this.#intend(transaction) }),
      run: () => {
        this.#metrics.waited(this.#clock.now() - queuedMs);
        return this.#perform(transaction, body, veto);
      },
    };
    transaction.onGivenUp = () => {
      if (this.#queue.remove(job)) transaction.refuse(transaction.givenUp()!);
    };
    const stopped = transaction.givenUp();
    if (stopped !== undefined) transaction.refuse(stopped);
    else this.#enqueue(job);
    return transaction.result;
  }

  /** Runs something between two transactions. */
  #alone<T>(what: () => T): Promise<T> {
    if (this.#closing !== 'open') return Promise.reject(this.#closedError());
    return new Promise<T>((resolve, reject) => {
      this.#enqueue({
        priority: 0,
        queuedMs: this.#clock.now(),
        run: () => {
          try {
            resolve(what());
          } catch (error) {
            reject(asError(error));
          }
        },
      });
    });
  }

  #enqueue(job: Job): void {
    this.#queue.push(job);
    this.#working ??= this.#work();
  }

  async #work(): Promise<void> {
    // Everything that is queued in the same turn is there when the first is taken: priorities hold, and intents share a sync.
    await Promise.resolve();
    for (let job = this.#queue.shift(); job !== undefined; job = this.#queue.shift()) {
      if (job.prepare === undefined || this.#journal === undefined) {
        await job.run();
      } else {
        const group = [job];
        for (
          let next = this.#queue.peek();
          group.length < 64 && next?.prepare !== undefined;
          next = this.#queue.peek()
        ) {
          group.push(this.#queue.shift()!);
        }
        await this.#runGroup(group);
      }
      if (this.#journal?.wantsSnapshot === true) await this.#snapshot();
    }
    this.#working = undefined;
  }

  async #runGroup(group: readonly Job[]): Promise<void> {
    let failure: unknown;
    try {
      for (const job of group) job.prepare!();
      await this.#journal!.commit();
    } catch (error) {
      failure = error;
    }
    this.#journalFailure = failure as Error | undefined;
    for (const job of group) await job.run();
  }

  #journalFailure: Error | undefined;
  #destroyedBy: Error | undefined;

  #intend(transaction: Transaction): void {
    const { kind, options, change, confirm } = transaction.work;
    transaction.seq = this.#nextSeq;
    this.#nextSeq += 1;
    const hold = confirm ? 2 : options.atomic === true ? 1 : 0;
    this.#journal!.intent(transaction.seq, kind, this.#clock.now(), options.description, change!, hold);
  }

  /** An intent that has been journalled, but will not be followed. */
  #unintend(transaction: Transaction): void {
    if (this.#journal === undefined || transaction.work.change === undefined || transaction.seq < 0) return;
    if (this.#journalFailure !== undefined || this.#closing === 'closed') return;
    this.#journal.cancel(transaction.seq);
  }

  async #perform(
    transaction: Transaction,
    body: Body | undefined,
    veto: ((seeds: readonly Node[]) => Error | undefined) | undefined,
  ): Promise<void> {
    transaction.onGivenUp = undefined;
    const { work } = transaction;
    const refusal = this.#destroyedBy ?? this.#journalFailure ?? transaction.givenUp();
    if (refusal !== undefined) {
      this.#unintend(transaction);
      transaction.refuse(refusal);
      return;
    }
    if (transaction.seq < 0) {
      transaction.seq = this.#nextSeq;
      this.#nextSeq += 1;
    }
    const began = performance.now();
    const { graph } = this.#engine;
    const { change, options } = work;
    const record = new TransactionRecord(transaction.seq, work.kind, this.#clock.now(), options.description);
    transaction.record = record;
    const run = new Run(record, {
      flags: work.kind === 'retry' ? RowFlag.retry : 0,
      retries: this.#mayRetry(work) && options.atomic !== true,
      atomic: options.atomic === true,
      serial: options.serial === true,
      signal: transaction.signal,
      isOwn: change === undefined ? () => true : (node) => change.has(views.root(node).key),
    });
    const seeds: Node[] = [];
    try {
      if (change !== undefined) this.#desire(transaction, change, seeds);
      const no = veto?.(seeds);
      if (no !== undefined) {
        this.#takeBack(transaction);
        throw no;
      }
    } catch (error) {
      this.#unintend(transaction);
      transaction.refuse(asError(error));
      return;
    }
    this.#history.begin(record);
    transaction.begin(run);
    try {
      if (body !== undefined) await body(run, seeds, transaction);
      if (options.atomic === true) await this.#settleAtomic(run, transaction, seeds);
      else {
        await this.#engine.settle(run, seeds);
        this.#engine.release(run);
        record.status = this.#statusOf(run, change);
      }
    } catch (error) {
      this.#engine.release(run);
      record.status = 'failed';
      await this.#finish(transaction, began);
      transaction.refuse(asError(error));
      return;
    }
    const failures = run.failed
      .filter(({ node }) => record.status === 'reverted' || (node.bits & Bit.stuck) !== 0)
      .map(({ node, error }) => ({ key: node.key, error, retrying: node.trouble?.retriable === true }));
    for (const { entry, error } of run.unread)
      failures.push({ key: views.prefixOfEntry(entry), error, retrying: this.#mayRetry(work) });
    if (record.status !== 'reverted') this.#planRetry(run, work);
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
        () => change?.keys() ?? new Set(record.keys),
        (key) => valueStates[graph.get(key)?.state ?? 0]!,
      ),
    );
  }

  #statusOf(run: Run, change: ReadonlyMap<string, unknown> | undefined): TransactionRecord['status'] {
    if (run.stop === 'aborted' || run.stop === 'deadline') return 'aborted';
    if (run.unread.length > 0) return 'failed';
    if (run.failed.some(({ node }) => (node.bits & Bit.stuck) !== 0 && run.isOwn(node))) return 'failed';
    if (change !== undefined && this.#metrics.states[8]! > 0) {
      for (const key of change.keys()) if (this.#invalidBelow(this.#engine.graph.get(key))) return 'failed';
    }
    return 'done';
  }

  #invalidBelow(node: Node | undefined): boolean {
    if (node === undefined) return false;
    if ((node.bits & Bit.invalid) !== 0) return true;
    for (const child of node.children ?? []) if (this.#invalidBelow(child)) return true;
    return false;
  }

  /** All or nothing. */
  async #settleAtomic(run: Run, transaction: Transaction, seeds: Node[]): Promise<void> {
    const { record } = run;
    const { change } = transaction.work;
    const invalid = [...(change?.keys() ?? [])].some((key) => this.#invalidBelow(this.#engine.graph.get(key)));
    if (!invalid) await this.#engine.settle(run, seeds);
    this.#engine.release(run);
    const unfit = invalid || run.stop !== undefined || this.#statusOf(run, change) !== 'done';
    if (!unfit) {
      record.status = 'done';
      return;
    }
    if (invalid) {
      for (const key of change!.keys()) views.noteInvalid(this.#engine.graph.get(key), record);
    }
    const back: Node[] = [];
    for (const { node } of run.failed) {
      node.bits &= ~Bit.stuck;
      back.push(node);
    }
    // Also what had to make way for the change, and has not been changed itself.
    for (const key of new Set(record.keys)) {
      const node = this.#engine.graph.get(key);
      if (node !== undefined) back.push(node);
    }
    this.#takeBack(transaction, back);
    const undoing = new Run(record, {
      flags: RowFlag.revert,
      retries: this.#mayRetry(transaction.work),
      signal: () => new AbortController().signal,
      serial: run.serial,
    });
    await this.#engine.settle(undoing, back);
    this.#engine.release(undoing);
    record.status = 'reverted';
    this.#planRetry(undoing, transaction.work);
  }

  #desire(transaction: Transaction, change: ReadonlyMap<string, unknown>, seeds: Node[]): void {
    const { graph } = this.#engine;
    const remembering = this.#checkpoints.remembers || transaction.work.confirm;
    try {
      for (const [key, value] of change) {
        const before = accept(graph, key, value, seeds);
        transaction.changed.push(key);
        transaction.previous.push(before);
        if (remembering) this.#checkpoints.changed(transaction.seq, key, before, transaction.work.confirm);
      }
    } catch (error) {
      this.#takeBack(transaction);
      throw error;
    }
  }

  /** Desires again what a transaction's change replaced. */
  #takeBack(transaction: Transaction, seeds: Node[] = []): void {
    // Backwards, so that a key changed twice ends as it began.
    for (let i = transaction.changed.length - 1; i >= 0; i -= 1) {
      accept(this.#engine.graph, transaction.changed[i]!, transaction.previous[i], seeds);
    }
    this.#checkpoints.unconfirmed.delete(transaction.seq);
    for (const node of seeds) this.#engine.graph.dropIfGhost(node);
  }

  async #finish(transaction: Transaction, began: number): Promise<void> {
    const record = transaction.record!;
    record.endedMs = this.#clock.now();
    this.#history.end(record, record.endedMs);
    const ms = performance.now() - began;
    this.#metrics.transaction(record.kind, ms, record.status !== 'done');
    if (this.#journal !== undefined) await this.#journalOutcome(transaction, this.#journal);
    if (this.listenerCount('transaction') > 0) this.emit('transaction', this.#history.view(record));
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
        this.#fault(error);
      }
    })();
  }

  async #snapshot(): Promise<void> {
    try {
      await this.#journal!.snapshot(storedState(this.#nextSeq - 1, this.#engine.graph, this.#truth, this.#checkpoints));
    } catch (error) {
      this.#fault(error);
    }
  }

  // Retries.

  #mayRetry(work: Work): boolean {
    return work.retry !== undefined && work.attempt < work.retry.count;
  }

  #planRetry(run: Run, work: Work): void {
    const again = run.failed.filter(({ node, retriable }) => retriable && (node.bits & Bit.stuck) !== 0);
    if ((again.length === 0 && run.unread.length === 0) || !this.#mayRetry(work) || this.#closing !== 'open') return;
    const delay = retryDelay(work.retry!, work.attempt + 1, this.#random)!;
    const at = this.#clock.now() + delay;
    const due = again.map(({ node }) => ({ node, seq: node.seq }));
    for (const { node } of due) if (node.trouble !== undefined) node.trouble.nextTryMs = at;
    this.#metrics.retriesScheduled += due.length;
    const unread = run.unread.length > 0;
    this.#timer(delay, () => void this.#retryNow(due, unread, work).catch((error: unknown) => this.#fault(error)));
  }

  async #retryNow(due: readonly { node: Node; seq: number }[], unread: boolean, work: Work): Promise<void> {
    if (this.#closing !== 'open') return;
    // Whoever has been touched since is somebody else's business.
    const still = (): Node[] =>
      due.filter(({ node, seq }) => node.seq === seq && (node.bits & Bit.stuck) !== 0).map(({ node }) => node);
    if (still().length === 0 && !unread) return;
    const { description, serial } = work.options;
    const options = {
      priority: -10,
      ...(description === undefined ? {} : { description }),
      ...(serial === undefined ? {} : { serial }),
    };
    const attempt = work.attempt + 1;
    await this.#transact(
      { kind: 'retry', options, attempt, ...(work.retry === undefined ? {} : { retry: work.retry }) },
      async (run, seeds) => {
        if (unread) {
          seeds.push(...(await this.#truth.refreshAll(run)), ...this.#truth.outOfStep());
        }
        for (const node of still()) {
          node.bits &= ~Bit.stuck;
          seeds.push(node);
        }
      },
    );
  }

  #timer(delayMs: number, wake: () => void): () => void {
    const cancel = this.#clock.after(delayMs, () => {
      this.#timers.delete(cancel);
      wake();
    });
    this.#timers.add(cancel);
    return () => {
      this.#timers.delete(cancel);
      cancel();
    };
  }

  #fault(error: unknown): void {
    const shown = error instanceof Error ? error : new Error(messageOf(error));
    if (this.listenerCount('fault') > 0) this.emit('fault', shown);
  }

  // Reading.

  /** Where a value is, and why. */
  status(key: string): ValueStatus {
    return views.status(this.#engine, key);
  }

  /** The status of every value with a prefix (default all), in key order. */
  *statuses(prefix = ''): Generator<ValueStatus> {
    for (const node of this.#engine.graph.withPrefix(prefix)) {
      const status = views.statusOf(this.#engine, node);
      if (status.state !== 'nonexistent') yield status;
    }
  }

  /** The value desired of a key (secrets redacted unless asked for), or undefined. */
  desired(key: string, options: { readonly secrets?: boolean } = {}): unknown {
    return views.shown(this.#engine.graph.get(key), 'desired', options.secrets === true);
  }

  /** The value that is there as far as is known, or undefined. */
  applied(key: string, options: { readonly secrets?: boolean } = {}): unknown {
    return views.shown(this.#engine.graph.get(key), 'applied', options.secrets === true);
  }

  /** Keys and values in key order: those desired (without derived ones), or those there. */
  dump(
    view: 'desired' | 'applied',
    options: { readonly prefix?: string; readonly secrets?: boolean } = {},
  ): Generator<{ key: string; value: unknown }> {
    return views.dump(this.#engine.graph, view, options);
  }

  /** What a value got from the southbound when it was created. */
  metadata(key: string): unknown {
    return this.#engine.graph.get(key)?.metadata;
  }

  /** The keys of a descriptor that one of its metadata indexes has under a term. */
  lookup(descriptor: string, index: string, term: string | number): string[] {
    const entry = this.#spaces.byName(descriptor);
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
    return views.explain(this.#engine, this.#history, key);
  }

  /** The graph as text for a drawing program, coloured by state, or as data. */
  export(format: 'dot' | 'mermaid' | 'json', options: { readonly prefix?: string } = {}): string {
    return views.exportGraph(this.#engine, format, options.prefix ?? '');
  }

  /** What happened, oldest first; secrets redacted. */
  history(query: HistoryQuery = {}): Generator<RecordedTransaction> {
    return this.#history.query(query);
  }

  /** Events as they come: every operation and every change of state. None is lost, however slowly they are taken. */
  watch(options: WatchOptions = {}): AsyncGenerator<RecordedOperation, void> {
    return watchOperations(this.#history, options);
  }

  /** Transactions as they end. */
  watchTransactions(options: WatchOptions = {}): AsyncGenerator<RecordedTransaction, void> {
    return watchTransactions(this.#history, options);
  }

  /** The token of now: a watch after it sees everything that comes. */
  get token(): string {
    return `${this.#history.last.seq}.${Math.max(0, this.#history.last.size - 1)}`;
  }

  /** The number the next transaction will get. */
  get seq(): number {
    return this.#nextSeq;
  }

  metrics(): SchedulerMetrics {
    const journal = this.#journal;
    return this.#metrics.snapshot({
      queueLength: this.#queue.length,
      historyRows: this.#history.rows,
      journal: journal && { bytes: journal.bytes, syncs: journal.syncs, snapshots: journal.snapshots },
    });
  }

  // The end.

  #closedError(): SchedulerError {
    return new SchedulerError('ERR_SCHEDULER_CLOSED', 'the scheduler is closed; open another one');
  }

  /** Resolves when nothing is queued or under way. Retries that wait for their time are not waited for. */
  async idle(): Promise<void> {
    while (this.#working !== undefined) await this.#working;
  }

  #stopTimers(): void {
    for (const cancel of this.#timers) cancel();
    this.#timers.clear();
  }

  /** Finishes what is queued, then closes the journal. Nothing is removed from the southbound. */
  async close(): Promise<void> {
    if (this.#closing !== 'open') return;
    this.#closing = 'draining';
    this.#stopTimers();
    await this.idle();
    await this.#lazy;
    this.#closing = 'closed';
    await this.#journal?.close();
  }

  /** Refuses what is queued, waits for what is under way, and lets go. */
  async destroy(error: Error = this.#closedError()): Promise<void> {
    if (this.#closing === 'closed') return;
    this.#closing = 'closed';
    this.#stopTimers();
    this.#destroyedBy = error;
    await this.idle();
    await this.#lazy;
    await this.#journal?.abandon();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
