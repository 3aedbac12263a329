// The engine: plan a round, execute it, learn what failed operations have left behind, and plan again, until there is
// nothing more to do. One run at a time.
//
//   seeds -> plan -> execute -> all done? finished
//              ^                 failed: retrieve the failed values, block them for this run
//              +------------------------+
//
// Invariant: every round blocks at least one more value or ends the run, so a run ends.

import { SchedulerError } from '../errors.js';
import { messageOf } from './accept.js';
import { inScope, type Scope } from './ask.js';
import type { Clock } from './clock.js';
import { Execution, Outcome, Pace, type LateOutcome } from './executor.js';
import { Bit, type Graph, type Dependency, type Node } from './graph.js';
import { RowFlag, rowCode, type TransactionRecord } from './history.js';
import type { Entry } from './key-space.js';
import { CallHandle, Limits } from './limits.js';
import { learn, refresh, resolveUnknown, retrieve, type LearnEnvironment } from './learn.js';
import { addAll } from './lists.js';
import type { Metrics } from './metrics.js';
import type { Step } from './plan.js';
import { planRound, unknown } from './planner.js';
import type { Draft } from './ordering.js';
import { scrub } from './redact.js';
import { State, type OperationKind } from './state.js';
import type { Mismatch } from './verify.js';

/** Why a run starts nothing more. */
export type StopReason = 'aborted' | 'deadline' | 'failed';

/** One run of the engine: a transaction, or the revert of one. */
export class Run {
  readonly record: TransactionRecord;
  readonly flags: number;
  /** Whether an operation that fails in this run will be tried again. */
  readonly retries: boolean;
  /** Stop at the first failure of a value of the transaction. */
  readonly atomic: boolean;
  readonly serial: boolean;
  /** Everything in one plan, because a plan is what is being executed. */
  whole = false;
  readonly pace = new Pace();
  readonly signal: () => AbortSignal;
  readonly isOwn: (node: Node) => boolean;
  readonly blocked: Node[] = [];
  readonly failed: { node: Node; error: SchedulerError; retriable: boolean }[] = [];
  /** Values whose operations were not done because the run was stopped. */
  readonly left: Node[] = [];
  /** Values that had failed and are now out of the way: another try is due. */
  freed: Node[] = [];
  /** Retrievals of whole key spaces that failed. */
  readonly unread: { entry: Entry; error: SchedulerError }[] = [];
  /** Values that verification found otherwise than believed. */
  readonly mismatches: (Mismatch & { readonly error: SchedulerError })[] = [];
  stop: StopReason | undefined = undefined;

  constructor(
    record: TransactionRecord,
    options: {
      flags?: number;
      retries: boolean;
      atomic?: boolean;
      serial?: boolean;
      signal: () => AbortSignal;
      isOwn?: (node: Node) => boolean;
    },
  ) {
    this.record = record;
    this.flags = options.flags ?? 0;
    this.retries = options.retries;
    this.atomic = options.atomic ?? false;
    this.serial = options.serial ?? false;
    this.signal = options.signal;
    this.isOwn = options.isOwn ?? ((): boolean => true);
  }
}

/** How many solitary values are planned and executed together. */
const portion = 1024;

/** Whether a value is new, may be created at once, and no other has anything to do with it. */
function isSolitary(node: Node): boolean {
  return (
    node.bits === 0 &&
    node.desired !== undefined &&
    node.applied === undefined &&
    node.entry !== undefined &&
    node.deps.length === 0 &&
    node.dependants === undefined &&
    node.parent === undefined &&
    node.children === undefined
  );
}

/** Executes plans against the graph. */
export class Engine {
  readonly graph: Graph;
  readonly clock: Clock;
  readonly concurrency: number;
  readonly metrics: Metrics;
  readonly limits: Limits;
  /** Told when a call is answered after its time was over. */
  onLate: ((steps: readonly Step[], outcome: LateOutcome, seq: number) => void) | undefined;

  constructor(clock: Clock, concurrency: number, metrics: Metrics, graph: Graph) {
    this.graph = graph;
    this.clock = clock;
    this.concurrency = concurrency;
    this.metrics = metrics;
    this.limits = new Limits(clock);
  }

  /** What descriptors may use while a run is on. */
  handleOf(run: Run): CallHandle {
    return new CallHandle(run.signal, this.#metadata);
  }

  readonly #metadata = (key: string): unknown => this.graph.get(key)?.metadata;

  /** How a run learns; surprises are added to `into`. */
  learning(run: Run, into: Node[], foreign?: LearnEnvironment['foreign']): LearnEnvironment {
    return {
      graph: this.graph,
      handle: () => this.handleOf(run),
      limits: this.limits,
      foreign: foreign ?? (() => 'learn'),
      surprise: (node) => {
        node.bits |= Bit.news;
        into.push(node);
      },
    };
  }

  /** Plans and executes until what should be done is done, or cannot be. */
  async settle(run: Run, seeds: readonly Node[]): Promise<void> {
    for (const part of this.#parts(run, seeds)) await this.#settlePart(run, part);
  }

  /**
   * Very many values that are new and have nothing to do with any other are taken in portions, after everything else: what
   * is needed only while a portion is on its way is then young when it dies, and costs the garbage collector nothing.
   */
  *#parts(run: Run, seeds: readonly Node[]): Generator<readonly Node[]> {
    if (seeds.length <= portion * 2 || run.whole || this.graph.hasChoices) {
      yield seeds;
      return;
    }
    // All are asked before anything is done: what is done may change the answers.
    const all = seeds.every(isSolitary);
    const alone = all ? seeds : seeds.filter(isSolitary);
    const rest = all ? [] : seeds.filter((node) => !isSolitary(node));
    if (rest.length > 0) yield rest;
    for (let from = 0; from < alone.length; from += portion) yield alone.slice(from, from + portion);
  }

  async #settlePart(run: Run, seeds: readonly Node[]): Promise<void> {
    let pending: readonly Node[] = seeds;
    const visited: (readonly Node[])[] = [];
    for (;;) {
      if (this.graph.uncertain.size > 0) pending = await this.#lookUp(run, pending);
      const draft = planRound(this.graph, pending, run.blocked);
      visited.push(draft.touched);
      this.#bookSame(draft);
      this.#bookHeld(run, draft);
      if (draft.steps.length === 0) break;
      const again = await this.#execute(run, draft);
      if (again.length === 0) break;
      const surprises: Node[] = [];
      await this.#learnFailed(run, again, surprises);
      visited.push(surprises);
      pending = [...again, ...surprises];
      if (run.stop !== undefined) {
        visited.push(pending);
        addAll(run.left, pending);
        break;
      }
    }
    for (const nodes of visited) for (const node of nodes) this.#bookState(run, node);
  }

  /** Ends a run: what failed may be touched again by the next. */
  release(run: Run): void {
    for (const node of run.blocked) node.bits &= ~Bit.blocked;
    run.blocked.length = 0;
  }

  async #lookUp(run: Run, pending: readonly Node[]): Promise<readonly Node[]> {
    const wanted = pending.filter(unknown);
    if (wanted.length === 0) return pending;
    const surprises: Node[] = [];
    await resolveUnknown(wanted, this.learning(run, surprises), (entry, nodes, error) => {
      const shown = operationError(entry, 'retrieve', `${nodes.length} values`, [], error);
      for (const node of nodes) this.#fail(run, node, 'retrieve', shown, error);
    });
    return [...pending, ...surprises];
  }

  async #execute(run: Run, draft: Draft): Promise<Node[]> {
    const execution = new Execution(draft.steps, {
      handle: () => this.handleOf(run),
      limits: this.limits,
      pace: run.pace,
      concurrency: run.serial ? 1 : this.concurrency,
      stopped: () => run.stop !== undefined,
      done: (step, metadata) => this.#done(run, step, metadata),
      failed: (step, error) => this.#failed(run, step, error),
      late: (steps, outcome) => this.onLate?.(steps, outcome, run.record.seq),
      took: this.metrics.took,
    });
    await execution.run();
    const again = new Set<Node>(run.freed);
    run.freed = [];
    if (run.failed.length === 0 && run.stop === undefined) return [...again];
    draft.steps.forEach((step, i) => {
      const outcome = execution.outcomes[i];
      if (step.node === undefined || outcome === Outcome.done) return;
      if (outcome === Outcome.stopped && run.stop !== 'failed') this.#abandoned(run, step);
      // Others may have been raised in the belief that this one would come too.
      step.node.bits |= Bit.news;
      again.add(step.node);
    });
    return [...again];
  }

  #done(run: Run, step: Step, metadata: unknown): void {
    const { node, kind } = step;
    if (node === undefined) return;
    const before = node.applied;
    if (kind === 'delete' && (node.bits & Bit.stuck) !== 0 && node.desired !== undefined) run.freed.push(node);
    node.bits &= ~Bit.stuck;
    if (kind === 'delete') {
      this.graph.setApplied(node, undefined, undefined, []);
      if (node.desired === undefined) node.trouble = undefined;
    } else {
      const kept = kind === 'update' && metadata === undefined ? node.metadata : metadata;
      this.graph.setApplied(node, step.value, kept, node.deps);
      node.bits = (node.bits & ~Bit.foreign) | Bit.owned;
      node.trouble = undefined;
    }
    const removed = node.desired === undefined || step.recreate ? State.removed : State.pending;
    const state = kind === 'delete' ? removed : State.configured;
    const was = this.#setState(node, state, run);
    run.record.add(node.key, this.#code(run, step, state, was), before, step.value);
  }

  #code(run: Run, step: Step, state: number, was: number): number {
    const { node } = step;
    let flags = run.flags;
    if (step.recreate) flags |= RowFlag.recreate;
    if (node!.parent !== undefined)
      flags |= node!.entry === undefined ? RowFlag.derived | RowFlag.property : RowFlag.derived;
    return rowCode(step.kind as OperationKind, state, flags, was);
  }

  #failed(run: Run, step: Step, error: Error): void {
    const node = step.node!;
    const kind = step.kind as 'create' | 'update' | 'delete';
    const shown = operationError(node.entry, kind, node.key, [step.value, step.previous, node.desired], error);
    this.#fail(run, node, kind, shown, error, step);
  }

  #abandoned(run: Run, step: Step): void {
    const node = step.node!;
    const why = run.stop === 'deadline' ? 'the deadline passed' : 'the transaction was aborted';
    const error = new SchedulerError(
      'ERR_SCHEDULER_ABORTED',
      `${step.kind} of ${node.key}: not started, because ${why}; a resync or the next change of the key does it`,
      { key: node.key },
    );
    this.#fail(run, node, step.kind as 'create', error, error, step);
  }

  #fail(
    run: Run,
    node: Node,
    operation: 'create' | 'update' | 'delete' | 'retrieve' | 'none',
    shown: SchedulerError,
    original: unknown,
    step?: Step,
  ): void {
    if ((node.bits & Bit.blocked) !== 0) return;
    node.bits |= Bit.blocked | Bit.stuck;
    run.blocked.push(node);
    const judged = original instanceof Error ? original : new Error(String(original));
    const retriable = node.entry?.descriptor.retriable?.(judged) ?? true;
    node.trouble = {
      operation,
      error: shown,
      attempts: (node.trouble?.attempts ?? 0) + 1,
      retriable: retriable && run.retries,
    };
    run.failed.push({ node, error: shown, retriable });
    this.metrics.failed(node.entry, operation);
    if (run.atomic && run.isOwn(node)) run.stop ??= 'failed';
    const state = retriable && run.retries ? State.retrying : State.failed;
    const was = this.#setState(node, state, run);
    const flags = run.flags | RowFlag.failed | (node.parent === undefined ? 0 : RowFlag.derived);
    run.record.add(node.key, rowCode(operation, state, flags, was), step?.previous, step?.value, shown.message);
  }

  /** After a failure nothing is assumed: what is there is looked up, and what nobody can look up is unknown. */
  async #learnFailed(run: Run, again: readonly Node[], surprises: Node[]): Promise<void> {
    const byEntry = new Map<Entry, Node[]>();
    for (const node of again) {
      if ((node.bits & Bit.blocked) === 0 || node.entry === undefined) continue;
      const { operation, error } = node.trouble!;
      if (error instanceof SchedulerError && error.code === 'ERR_SCHEDULER_ABORTED') continue;
      const attempted = operation === 'create' ? node.desired : node.applied;
      const deps: readonly Dependency[] =
        operation === 'update' ? [...new Set([...node.appliedDeps, ...node.deps])] : node.appliedDeps;
      this.graph.setUnknown(node, attempted ?? node.applied, operation === 'create' ? node.deps : deps);
      node.bits |= Bit.owned;
      if (!node.entry.retrievable) continue;
      const same = byEntry.get(node.entry);
      if (same === undefined) byEntry.set(node.entry, [node]);
      else same.push(node);
    }
    await this.#lookAt(run, byEntry, surprises);
    for (const node of again) this.#forgive(node);
  }

  /** Learns what has become of some values. Those that cannot be retrieved stay uncertain, and say so. */
  async look(run: Run, nodes: readonly Node[], surprises: Node[]): Promise<void> {
    const byEntry = new Map<Entry, Node[]>();
    for (const node of nodes) {
      if (node.entry?.retrievable !== true) continue;
      const same = byEntry.get(node.entry);
      if (same === undefined) byEntry.set(node.entry, [node]);
      else same.push(node);
    }
    await this.#lookAt(run, byEntry, surprises);
  }

  async #lookAt(run: Run, byEntry: ReadonlyMap<Entry, Node[]>, surprises: Node[]): Promise<void> {
    const environment = this.learning(run, surprises);
    for (const [entry, nodes] of byEntry) {
      try {
        await retrieve(entry, nodes, environment);
      } catch (error) {
        // They stay uncertain, and say so; the next transaction that needs them looks first.
        this.metrics.retrieveFailures += 1;
        const values = nodes.flatMap((node) => [node.desired, node.applied]);
        const shown = operationError(entry, 'retrieve', `${nodes.length} values`, values, error);
        for (const node of nodes) {
          const flags = run.flags | RowFlag.failed;
          run.record.add(
            node.key,
            rowCode('retrieve', node.state, flags, node.state),
            undefined,
            undefined,
            shown.message,
          );
        }
      }
    }
  }

  /** An operation that reported an error may have done its work all the same. */
  #forgive(node: Node): void {
    if ((node.bits & Bit.blocked) === 0 || (node.bits & Bit.uncertain) !== 0) return;
    const there = (node.bits & Bit.exists) !== 0;
    const fine = node.desired === undefined ? !there : there && node.applied === node.desired;
    if (!fine || node.trouble?.operation === 'none') return;
    node.bits &= ~(Bit.blocked | Bit.stuck);
    node.trouble = undefined;
  }

  #bookSame(draft: Draft): void {
    for (const node of draft.same) {
      this.graph.setApplied(node, node.desired, node.metadata, node.deps);
      node.bits = (node.bits & ~Bit.foreign) | Bit.owned;
    }
  }

  #bookHeld(run: Run, draft: Draft): void {
    for (const node of draft.heldBack) {
      const error = new SchedulerError(
        'ERR_SCHEDULER_HELD',
        `${node.desired === undefined ? 'delete' : 'change'} of ${node.key}: a value that could not be removed rests on it; it follows when that is gone`,
        { key: node.key },
      );
      this.#fail(run, node, 'none', error, error);
      node.trouble!.held = true;
    }
  }

  /** Writes down the state of values that were looked at, but not acted upon. */
  book(run: Run, nodes: readonly Node[]): void {
    for (const node of nodes) {
      node.bits &= ~Bit.news;
      this.#bookState(run, node);
    }
  }

  #bookState(run: Run, node: Node): void {
    const state = this.stateOf(node);
    if (state !== node.state) {
      const was = this.#setState(node, state, run);
      const fields = state === State.invalid ? node.trouble?.fields : undefined;
      const kind = state === State.invalid ? 'validate' : 'none';
      const flags = run.flags | (node.parent === undefined ? 0 : RowFlag.derived);
      const value = state === State.removed ? undefined : (node.desired ?? node.applied);
      const error = fields?.map(({ path, reason }) => `${path === '' ? 'value' : path} ${reason}`).join('; ');
      run.record.add(node.key, rowCode(kind, state, flags, was), undefined, value, error);
    }
    if (state === State.removed || state === State.nonexistent) {
      this.metrics.states[node.state]! -= 1;
      this.metrics.states[State.nonexistent]! += 1;
      node.state = State.nonexistent;
      this.graph.dropIfGhost(node);
    }
  }

  /** Gives the state it was in before. */
  #setState(node: Node, state: number, run: Run): number {
    const was = node.state;
    this.metrics.states[node.state]! -= 1;
    this.metrics.states[state]! += 1;
    node.state = state;
    node.seq = run.record.seq;
    return was;
  }

  /** The state a node is in, from its facts. */
  stateOf(node: Node): number {
    const bits = node.bits;
    const exists = (bits & Bit.exists) !== 0;
    if ((bits & Bit.stuck) !== 0) return node.trouble?.retriable === true ? State.retrying : State.failed;
    if (node.desired !== undefined) {
      if ((bits & Bit.invalid) !== 0) return State.invalid;
      if (node.entry === undefined && (bits & Bit.derived) === 0) return State.unimplemented;
      if (exists) return State.configured;
      return (bits & Bit.lost) !== 0 && (bits & Bit.frozen) !== 0 ? State.missing : State.pending;
    }
    if (!exists) return node.state === State.nonexistent ? State.nonexistent : State.removed;
    if ((bits & Bit.foreign) !== 0) return State.obtained;
    return (bits & Bit.owned) === 0 ? State.discovered : State.configured;
  }

  /** Everything a descriptor's key space holds, learnt. A failure is booked, and its values stay what they were. */
  async refresh(run: Run, entry: Entry, environment: LearnEnvironment, scope: Scope = {}): Promise<boolean> {
    try {
      await refresh(entry, scope, environment);
      return true;
    } catch (error) {
      this.metrics.retrieveFailures += 1;
      const shown = operationError(entry, 'retrieve', 'its key space', [], error);
      run.unread.push({ entry, error: shown });
      for (const node of this.graph.nodes.values()) {
        node.bits &= ~Bit.walked;
        const never = node.desired !== undefined && node.applied === undefined && inScope(scope, node.key);
        if (node.entry === entry && never) this.graph.setUnknown(node, node.desired, node.deps);
      }
      return false;
    }
  }

  /** A value is gone with the southbound instance that held it. */
  forget(node: Node, environment: LearnEnvironment): void {
    learn(this.graph, node, undefined, undefined, undefined, environment.surprise);
  }
}

/** What people are told of an error: what was being done and what was seen, without secrets. */
export function operationError(
  entry: Entry | undefined,
  operation: OperationKind,
  what: string,
  values: readonly unknown[],
  error: unknown,
): SchedulerError {
  if (error instanceof SchedulerError && error.code === 'ERR_SCHEDULER_TIMEOUT') return error;
  const schema = entry?.descriptor.schema;
  const message = scrub(schema, values, messageOf(error));
  const code = error instanceof Error && 'code' in error ? String(error.code) : undefined;
  // The original may carry the value, and people print causes: only where nothing is secret is it passed on whole.
  let cause: unknown = error;
  if (entry?.secret === true) {
    cause = new Error(message);
    if (code !== undefined) Object.assign(cause as Error, { code });
  }
  return new SchedulerError(
    'ERR_SCHEDULER_OPERATION',
    `${operation} of ${what} by ${entry?.name ?? 'nobody'}: ${message}`,
    {
      cause,
      ...(operation === 'retrieve' ? {} : { key: what }),
    },
  );
}
