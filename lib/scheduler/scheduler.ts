// The scheduler: desired state in, a queue of transactions, one engine that carries them out.
//
//   commit / resync / notify / checkDrift -> worker -> [ journal ] -> accept -> plan, execute, learn, again -> answer
//                                                                                     |
//                                                     history <- rows <---------------+--> watchers, metrics
//
// This is what callers see; reader.ts is its reading half, worker.ts the queue, runner.ts the doing.

import { SchedulerError } from '../errors.js';
import { accept } from './accept.js';
import { Confirmations, type Unconfirmed } from './confirm.js';
import { Core, closedError } from './core.js';
import type { Descriptor } from './descriptor.js';
import { openDurable, restoreState } from './durable.js';
import type { Node } from './graph.js';
import { LateAnswers } from './late.js';
import type { TransactionKind } from './history.js';
import type { Entry } from './key-space.js';
import { changeMap, type Change, type Drift, type DriftOptions, type Notification, type Part } from './options.js';
import type { ConfirmOptions, SchedulerOptions, TransactionOptions } from './options.js';
import { Plan } from './plan.js';
import { Planning, resyncValues, type ResyncRequest } from './planning.js';
import { addAll } from './lists.js';
import { look, type SouthboundDump } from './look.js';
import { Reader } from './reader.js';
import type { TransactionResult } from './result.js';
import { prepareResync, type ResyncKind } from './resync.js';
import { Retries } from './retries.js';
import { Runner } from './runner.js';
import type { Transaction } from './transaction.js';
import type { Findings } from './truth.js';
import * as views from './views.js';
import type { ReadonlyKeyMap } from './key-map.js';
import { Worker } from './worker.js';

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
export class Scheduler extends Reader {
  readonly #core: Core;
  readonly #runner: Runner;
  readonly #worker: Worker;
  readonly #confirmations: Confirmations;
  readonly #planning: Planning;
  #notifications:
    { readonly byKey: Map<string, Notification>; readonly result: Promise<TransactionResult> } | undefined;
  /** What opening recovered from the journal; undefined without one. */
  recovered: { readonly values: number; readonly undone: readonly number[]; readonly cutBytes: number } | undefined;

  private constructor(options: SchedulerOptions) {
    const core = new Core(options);
    super(core);
    this.#core = core;
    core.onFault = (error) => {
      if (this.listenerCount('fault') > 0) this.emit('fault', error);
    };
    core.onTransaction = (record) => {
      if (this.listenerCount('transaction') > 0) this.emit('transaction', core.history.view(record));
    };
    const retries = new Retries(core);
    this.#runner = new Runner(core, retries);
    const worker = new Worker(core, this.#runner);
    this.#worker = worker;
    core.queued = () => worker.length;
    retries.transact = (asked, body) => worker.transact(asked, body);
    this.#confirmations = new Confirmations(core, worker);
    this.#planning = new Planning(core, worker, this.#runner);
    new LateAnswers(core, worker);
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
      for (const entry of scheduler.#core.spaces.entries()) scheduler.#watchDrift(entry);
    } catch (error) {
      await scheduler.destroy(error instanceof Error ? error : undefined);
      throw error;
    }
    return scheduler;
  }

  async #recover(options: SchedulerOptions): Promise<void> {
    const core = this.#core;
    const { journal, recovered } = await openDurable(options.journal!, core.spaces, core.historyRows);
    core.journal = journal;
    core.nextSeq = recovered.seq + 1;
    restoreState(recovered, core.engine.graph, core.truth, core.checkpoints, core.history);
    for (const seq of recovered.undone) journal.undo(seq);
    await journal.commit();
    core.truth.onIdentity = (southbound, identity) => journal.identity(southbound, identity);
    const { undone, cutBytes } = recovered;
    this.recovered = { values: recovered.desired.size, undone, cutBytes };
  }

  /** Adds a descriptor; values that were waiting for it are tried at once. */
  async register(descriptor: Descriptor): Promise<TransactionResult> {
    const entry = this.#core.spaces.add(descriptor);
    this.#core.spaces.retrieveOrder();
    this.#watchDrift(entry);
    return this.#worker.transact(
      { kind: 'retry', options: { description: `descriptor ${entry.name}`, priority: 10 } },
      async (run, seeds) => {
        const { graph } = this.#core.engine;
        for (const node of [...graph.withPrefix(views.prefixOfEntry(entry))]) {
          if (this.#core.spaces.find(node.key) !== entry) continue;
          node.entry = entry;
          if (node.desired !== undefined && node.parent === undefined) accept(graph, node.key, node.desired, seeds);
          else if (node.parent?.desired !== undefined)
            accept(graph, views.root(node).key, views.root(node).desired, seeds);
        }
        if (entry.retrievable) await this.#core.engine.refresh(run, entry, this.#core.engine.learning(run, seeds));
      },
    );
  }

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
    change: ReadonlyKeyMap<unknown>,
    options: TransactionOptions,
    kind: TransactionKind,
    confirm = false,
  ): Promise<TransactionResult> {
    return this.#worker.transact({ kind, options, change, confirm });
  }

  /**
   * Brings desired and real state together. `full`: look, desire exactly the values given (and what foreign values policy
   * adopts), remove what else is ours. `upstream`: the same without looking. `downstream`: look, and put back what is
   * desired already.
   */
  resync(kind: ResyncKind, values?: Change['set'], options: TransactionOptions = {}): Promise<TransactionResult> {
    const given = resyncValues(kind, values, options);
    return this.#worker.transact(
      { kind: `${kind}-resync`, options: { priority: 10, ...options } },
      async (run, seeds, transaction) => {
        const { engine, truth } = this.#core;
        const desire = (change: ReadonlyKeyMap<unknown>): Promise<void> =>
          this.#runner.desireLate(transaction, change, seeds);
        await prepareResync({ engine, truth, desire }, run, kind, given, seeds);
      },
    );
  }

  /**
   * What a change or a resync would do. Nothing is called but retrieve, identity and pure functions, and nothing is kept:
   * not even what is seen of the southbound.
   *
   * @throws SchedulerError ERR_SCHEDULER_OPERATION when a resync is planned and a key space cannot be retrieved.
   */
  plan(what: Change | ResyncRequest): Promise<Plan> {
    return 'resync' in what ? this.#planning.resync(what) : this.#planning.change(what);
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
    return this.#planning.apply(plan, options);
  }

  /** Commits a change that is taken back after `timeoutMs` unless it is confirmed; also by a restart before that. */
  commitConfirm(change: Change, options: ConfirmOptions): Promise<Unconfirmed> {
    return this.#confirmations.commit(change, options);
  }

  /** Remembers the desired state under a name; a second of the same name replaces the first. */
  async checkpoint(name: string): Promise<void> {
    await this.#worker.alone(() => {
      this.#core.checkpoints.create(name);
      this.#core.journal?.checkpoint(name);
    });
    await this.#core.journal?.commit();
  }

  /** The names of the checkpoints, oldest first. */
  checkpoints(): string[] {
    return this.#core.checkpoints.names();
  }

  async dropCheckpoint(name: string): Promise<void> {
    await this.#worker.alone(() => {
      if (this.#core.checkpoints.drop(name)) this.#core.journal?.dropCheckpoint(name);
    });
    await this.#core.journal?.commit();
  }

  /** Desires again what was desired at a checkpoint. The checkpoint stays. */
  async rollback(name: string, options: TransactionOptions = {}): Promise<TransactionResult> {
    const change = await this.#worker.alone(() => this.#core.checkpoints.changeBackTo(name));
    return this.#commitMap(change, { description: `rollback to ${name}`, ...options }, 'rollback');
  }

  /**
   * Takes in what the southbound reports by itself. Reports that wait in the queue are merged by key: the last one counts,
   * and none is dropped.
   */
  notify(notifications: Iterable<Notification>): Promise<TransactionResult> {
    if (this.#notifications === undefined) {
      const byKey = new Map<string, Notification>();
      const result = this.#worker.transact({ kind: 'notification', options: {} }, async (run, seeds, transaction) => {
        this.#notifications = undefined;
        const findings = this.#core.truth.notified(run, byKey.values());
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
    const result = await this.#worker.transact({ kind: 'drift', options }, async (run, seeds, transaction) => {
      const findings = await this.#core.truth.findDrift(run, options);
      drifts = findings.drifts;
      await this.#follow(transaction, findings, seeds);
    });
    return { drifts, result };
  }

  /**
   * What is in the southbound now, asked of the descriptors: of everything, or of a part. Nothing is changed, not even what
   * is believed; it waits its turn in the queue.
   */
  retrieve(part: Part & { readonly secrets?: boolean } = {}): Promise<SouthboundDump> {
    return this.#worker.alone(() => look(this.#core, part, part.secrets === true));
  }

  async #follow(transaction: Transaction, findings: Findings, seeds: Node[]): Promise<void> {
    addAll(seeds, findings.seeds);
    if (findings.adopted.size > 0) await this.#runner.desireLate(transaction, findings.adopted, seeds);
  }

  #watchDrift(entry: Entry): void {
    const everyMs = entry.descriptor.drift?.everyMs;
    if (everyMs === undefined || !entry.retrievable) return;
    const again = (): void => {
      this.#core.timer(everyMs, () => {
        if (this.#core.closing !== 'open') return;
        const check = this.checkDrift({ descriptors: [entry.name], description: 'periodic', priority: -5 });
        void check.catch((error: unknown) => this.#core.fault(error)).then(again);
      });
    };
    again();
  }

  // The end.

  /** Resolves when nothing is queued or under way. Retries that wait for their time are not waited for. */
  idle(): Promise<void> {
    return this.#worker.idle();
  }

  /** Finishes what is queued, then closes the journal. Nothing is removed from the southbound. */
  async close(): Promise<void> {
    const core = this.#core;
    if (core.closing !== 'open') return;
    core.closing = 'draining';
    core.stopTimers();
    await this.idle();
    await this.#runner.written;
    core.closing = 'closed';
    await core.journal?.close();
  }

  /** Refuses what is queued, aborts what is under way, waits for its calls (no longer than they may take), and lets go. */
  async destroy(error: Error = closedError()): Promise<void> {
    const core = this.#core;
    if (core.closing === 'closed') return;
    core.closing = 'closed';
    core.stopTimers();
    core.destroyedBy = error;
    this.#runner.abort();
    await this.idle();
    await this.#runner.written;
    await core.journal?.abandon();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
