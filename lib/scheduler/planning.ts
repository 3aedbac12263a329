// Dry runs and their execution: a plan is made of what the graph would be, and carried out only if it is still what would
// come out.
//
//   plan(change)     accept into the graph, plan, put the graph back
//   plan(resync)     copy the graph, look at the southbound for real, plan on the copy, forget it
//   apply(plan)      do the same again on the graph itself; another plan: ERR_SCHEDULER_PLAN, nothing is done

import { SchedulerError } from '../errors.js';
import { accept, revert, Undo } from './accept.js';
import type { Core } from './core.js';
import { Run } from './engine.js';
import { Bit, type Node } from './graph.js';
import { TransactionRecord } from './history.js';
import type { KeyMap, ReadonlyKeyMap } from './key-map.js';
import { changeMap, type Change, type TransactionOptions } from './options.js';
import { Plan } from './plan.js';
import { planRound } from './planner.js';
import type { TransactionResult } from './result.js';
import { prepareResync, type ResyncKind } from './resync.js';
import type { Runner } from './runner.js';
import * as views from './views.js';
import type { Worker } from './worker.js';

/** A resync to be planned: its kind and, unless it is `downstream`, the values to be desired from then on. */
export interface ResyncRequest {
  readonly resync: ResyncKind;
  readonly set?: Change['set'];
}

/** The values a resync is given. Throws what is wrong with the request. */
export function resyncValues(
  kind: ResyncKind,
  values: Change['set'],
  options: TransactionOptions,
): KeyMap<unknown> | undefined {
  if (kind === 'downstream' && values !== undefined) {
    throw new SchedulerError('ERR_SCHEDULER_ARGUMENT', 'resync downstream: it takes no values; use full or upstream');
  }
  if (options.atomic === true) {
    throw new SchedulerError(
      'ERR_SCHEDULER_ARGUMENT',
      `resync ${kind}: it cannot be atomic, the past is what it mends`,
    );
  }
  return kind === 'downstream' ? undefined : changeMap({ set: values ?? {} });
}

/** Makes plans and executes them. */
export class Planning {
  readonly #core: Core;
  readonly #worker: Worker;
  readonly #runner: Runner;

  constructor(core: Core, worker: Worker, runner: Runner) {
    this.#core = core;
    this.#worker = worker;
    this.#runner = runner;
  }

  /** What a change would do. */
  change(change: Change): Promise<Plan> {
    const map = changeMap(change);
    return this.#worker.alone(() => {
      const { graph } = this.#core.engine;
      const undo = new Undo();
      const seeds: Node[] = [];
      try {
        for (const [key, value] of map) accept(graph, key, value, seeds, undo);
        const draft = planRound(graph, seeds, []);
        return new Plan(draft.steps, views.waiting(this.#core.engine, draft.touched), map);
      } finally {
        revert(graph, undo);
      }
    });
  }

  /** What a resync would do, had it been asked for now. */
  resync(request: ResyncRequest): Promise<Plan> {
    const kind = request.resync;
    const given = resyncValues(kind, request.set, {});
    return this.#worker.alone(async () => {
      const { engine, truth } = this.#core.fork();
      const { graph } = engine;
      const signal = new AbortController().signal;
      const record = new TransactionRecord(this.#core.nextSeq, `${kind}-resync`, this.#core.clock.now());
      const run = new Run(record, { retries: false, signal: () => signal });
      const seeds: Node[] = [];
      const desire = (change: ReadonlyKeyMap<unknown>): void => {
        for (const [key, value] of change) accept(graph, key, value, seeds);
      };
      await prepareResync({ engine, truth, desire }, run, kind, given, seeds);
      if (run.unread.length > 0) throw run.unread[0]!.error;
      const draft = planRound(graph, seeds, []);
      return new Plan(draft.steps, views.waiting(engine, draft.touched), given, kind);
    });
  }

  /** Executes a plan exactly, or throws ERR_SCHEDULER_PLAN. */
  apply(plan: Plan, options: TransactionOptions): Promise<TransactionResult> {
    const { change, resync } = plan;
    if (resync !== undefined) return this.#applyResync(plan, resync, options);
    return this.#worker.transact({ kind: 'change', options, change: change! }, undefined, (seeds) =>
      this.#difference(plan, seeds),
    );
  }

  #applyResync(plan: Plan, kind: ResyncKind, options: TransactionOptions): Promise<TransactionResult> {
    const { engine, truth } = this.#core;
    resyncValues(kind, undefined, options);
    return this.#worker.transact(
      { kind: `${kind}-resync`, options: { priority: 10, ...options } },
      async (run, seeds, transaction) => {
        run.whole = true;
        // Nothing is written down before it is known that the plan holds.
        const changes: ReadonlyKeyMap<unknown>[] = [];
        const desire = (change: ReadonlyKeyMap<unknown>): void => {
          changes.push(change);
          this.#runner.desire(transaction, change, seeds);
        };
        const claimed = await prepareResync({ engine, truth, desire }, run, kind, plan.change, seeds);
        const why = run.unread[0]?.error ?? this.#difference(plan, seeds);
        if (why === undefined) {
          for (const change of changes) await this.#runner.intendLate(transaction, change);
          return;
        }
        for (const node of claimed) node.bits &= ~Bit.owned;
        this.#runner.takeBack(transaction, seeds);
        // What has been seen is true all the same.
        engine.book(run, [...new Set(seeds)]);
        throw why;
      },
    );
  }

  /** Why a plan is not what would be done now. */
  #difference(plan: Plan, seeds: readonly Node[]): SchedulerError | undefined {
    const draft = planRound(this.#core.engine.graph, seeds, []);
    const differences = plan.diff(new Plan(draft.steps, [], plan.change));
    if (differences.length === 0) return undefined;
    const shown = `${differences.slice(0, 5).join('; ')}${differences.length > 5 ? '; …' : ''}`;
    return new SchedulerError(
      'ERR_SCHEDULER_PLAN',
      `applying a plan: it no longer holds, plan again (${shown}; + would be done, - was planned)`,
    );
  }
}
