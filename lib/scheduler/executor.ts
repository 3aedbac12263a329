// The executor: takes steps that are already in order and carries them out, as many at once as is allowed. It decides
// nothing.
//
//   phase 1 |  lane route: [7 8 9]   lane interface: [3]     one lane per descriptor, each with its limit
//   phase 2 |  …                                             a phase begins when the one before is over
//
// A step is ready when all it comes after have succeeded; if one of them failed it is skipped. Invariant: every step is
// settled exactly once: done, failed, skipped or stopped.

import { performance } from 'node:perf_hooks';
import { DescriptorError } from '../errors.js';
import type { BatchOutcome, Call } from './descriptor.js';
import type { Entry } from './key-space.js';
import { timeoutError, type CallHandle, type Limits } from './limits.js';
import type { Step } from './plan.js';

/** How a step ended. */
export const Outcome = { open: 0, done: 1, failed: 2, skipped: 3, stopped: 4 } as const;

/** What the executor needs from its caller. */
export interface ExecutionEnvironment {
  /** Makes what a call is given. */
  handle(): CallHandle;
  readonly limits: Limits;
  readonly pace: Pace;
  /** How many calls at once, over all descriptors. */
  readonly concurrency: number;
  /** Asked before each call; true: start nothing more. */
  stopped(): boolean;
  /** Told as soon as a step has succeeded, before anything that waits for it starts. */
  done(step: Step, metadata: unknown): void;
  failed(step: Step, error: Error): void;
  /** Told when a call that had run out of time, and was counted as failed, is answered after all. */
  late(steps: readonly Step[], outcome: LateOutcome): void;
  /** Told the time a call took, if it wants to know. */
  readonly took?: ((entry: Entry, kind: Step['kind'], count: number, ms: number) => void) | undefined;
}

/** What came of a call after its time was over: what it answered, or the error. */
export type LateOutcome = { readonly answer: unknown } | { readonly error: Error };

interface Lane {
  readonly entry: Entry;
  queue: number[];
  head: number;
  running: number;
}

/** Calls answered at once before other work of the process gets a turn. */
const turn = 4096;

/** How long a run, of one execution after the other, has kept the process to itself. */
export class Pace {
  #calls = 0;

  /** Whether others are due. */
  get over(): boolean {
    return this.#calls >= turn;
  }

  spend(calls: number): void {
    this.#calls += calls;
  }

  /** Others have had a turn. */
  begin(): void {
    this.#calls = 0;
  }
}

/** Carries out a list of steps. */
export class Execution {
  /** By step: one of `Outcome`. */
  readonly outcomes: Uint8Array;
  readonly #steps: readonly Step[];
  readonly #environment: ExecutionEnvironment;
  readonly #pace: Pace;
  readonly #waitsFor: Int32Array;
  readonly #firstEdge: Int32Array | undefined;
  readonly #edges: Int32Array | undefined;
  readonly #lanes = new Map<Entry, Lane>();
  #free: number[] = [];
  #running = 0;
  #phase = 1;
  #openInPhase = 0;
  #finish: (() => void) | undefined;
  /** For the next call; calls that were answered at once and did not ask for the signal have left it as it was. */
  #handle: CallHandle | undefined;

  constructor(steps: readonly Step[], environment: ExecutionEnvironment) {
    this.#steps = steps;
    this.#environment = environment;
    this.#pace = environment.pace;
    this.outcomes = new Uint8Array(steps.length);
    this.#waitsFor = new Int32Array(steps.length);
    let edges = 0;
    for (let i = 0; i < steps.length; i += 1) {
      const count = steps[i]!.after?.length ?? 0;
      this.#waitsFor[i] = count;
      edges += count;
    }
    if (edges === 0) return;
    // Successors in one array: those of step i are at firstEdge[i] .. firstEdge[i + 1].
    const first = new Int32Array(steps.length + 1);
    for (const { after } of steps) if (after !== undefined) for (const before of after) first[before + 1]! += 1;
    for (let i = 0; i < steps.length; i += 1) first[i + 1]! += first[i]!;
    const at = first.slice();
    const targets = new Int32Array(edges);
    steps.forEach(({ after }, i) => {
      if (after !== undefined) for (const before of after) targets[at[before]!++] = i;
    });
    this.#firstEdge = first;
    this.#edges = targets;
  }

  /** Runs until every step is settled. */
  async run(): Promise<void> {
    for (const phase of [1, 2, 3]) {
      this.#phase = phase;
      this.#openInPhase = 0;
      for (let i = 0; i < this.#steps.length; i += 1) {
        if (this.#steps[i]!.phase !== phase || this.outcomes[i] !== Outcome.open) continue;
        this.#openInPhase += 1;
        if (this.#waitsFor[i] === 0) this.#enqueue(i);
      }
      while (this.#openInPhase > 0) {
        this.#pump();
        if (this.#openInPhase === 0) break;
        if (this.#running > 0) await new Promise<void>((resolve) => (this.#finish = resolve));
        else if (this.#pace.over) await new Promise<void>((resolve) => void setImmediate(resolve));
        this.#pace.begin();
      }
    }
  }

  #enqueue(i: number): void {
    const entry = this.#steps[i]!.node?.entry;
    if (entry === undefined) {
      this.#free.push(i);
      return;
    }
    let lane = this.#lanes.get(entry);
    if (lane === undefined) {
      lane = { entry, queue: [], head: 0, running: 0 };
      this.#lanes.set(entry, lane);
    }
    lane.queue.push(i);
  }

  #pump(): void {
    for (let progress = true; progress;) {
      progress = false;
      while (this.#free.length > 0) {
        const free = this.#free;
        this.#free = [];
        for (const i of free) {
          if (this.#environment.stopped()) this.#settle(i, Outcome.stopped);
          else this.#done(i, undefined);
        }
        progress = true;
      }
      for (const lane of this.#lanes.values()) {
        while (lane.head < lane.queue.length) {
          if (this.#environment.stopped()) {
            this.#settle(lane.queue[lane.head++]!, Outcome.stopped);
          } else {
            if (this.#pace.over) return;
            if (lane.running >= lane.entry.concurrency || this.#running >= this.#environment.concurrency) break;
            this.#start(lane);
          }
          progress = true;
        }
        if (lane.head > 0 && lane.head === lane.queue.length) {
          lane.queue = [];
          lane.head = 0;
        }
      }
    }
  }

  #start(lane: Lane): void {
    const first = lane.queue[lane.head]!;
    const { kind } = this.#steps[first]!;
    if (lane.entry.batches[kind]) {
      const indexes: number[] = [];
      while (lane.head < lane.queue.length && indexes.length < lane.entry.batchSize) {
        const i = lane.queue[lane.head]!;
        if (this.#steps[i]!.kind !== kind) break;
        indexes.push(i);
        lane.head += 1;
      }
      this.#pace.spend(indexes.length);
      this.#settleBatch(lane, kind, indexes);
      return;
    }
    lane.head += 1;
    this.#pace.spend(1);
    const step = this.#steps[first]!;
    const began = this.#began();
    const handle = this.#takeHandle();
    let answer: unknown;
    try {
      answer = call(step, lane.entry, handle);
    } catch (error) {
      this.#took(lane, kind, 1, began);
      this.#failed(first, asError(error));
      return;
    }
    if (isPromise(answer)) {
      this.#awaitOne(lane, first, answer, handle, began);
      return;
    }
    this.#took(lane, kind, 1, began);
    this.#done(first, answer);
  }

  #awaitOne(lane: Lane, i: number, answer: Promise<unknown>, handle: CallHandle, began: number): void {
    this.#await(lane, [this.#steps[i]!], answer, handle, began, {
      answered: (metadata) => this.#done(i, metadata),
      failed: (error) => this.#failed(i, error),
    });
  }

  #takeHandle(): CallHandle {
    if (this.#handle?.fresh !== true) this.#handle = this.#environment.handle();
    return this.#handle;
  }

  /** Waits for the answer of a call, but no longer than its descriptor's limit; what comes later is only told. */
  #await(
    lane: Lane,
    steps: readonly Step[],
    answer: Promise<unknown>,
    handle: CallHandle,
    began: number,
    settle: { answered(answer: unknown): void; failed(error: Error): void },
  ): void {
    const { limits } = this.#environment;
    const { entry } = lane;
    const { kind } = steps[0]!;
    const count = steps.length;
    let expired = false;
    this.#handle = undefined;
    this.#begin(lane);
    const end = (how: () => void): void => {
      this.#took(lane, kind, count, began);
      how();
      this.#end(lane);
    };
    const ticket = limits.start(entry.limitMs, () => {
      expired = true;
      const what = count === 1 ? steps[0]!.label : `${count} values`;
      const key = count === 1 ? steps[0]!.label : undefined;
      const error = timeoutError(`${kind} of ${what} by ${entry.name}`, entry.limitMs, key);
      handle.abort(error);
      end(() => settle.failed(error));
    });
    answer.then(
      (value) => {
        limits.end(ticket);
        if (expired) this.#environment.late(steps, { answer: value });
        else end(() => settle.answered(value));
      },
      (error: unknown) => {
        limits.end(ticket);
        // A call that gives up when it is told to has nothing to say that is not known.
        if (expired && handle.stopped(error)) return;
        if (expired) this.#environment.late(steps, { error: asError(error) });
        else end(() => settle.failed(asError(error)));
      },
    );
  }

  #settleBatch(lane: Lane, kind: Step['kind'], indexes: readonly number[]): void {
    const began = this.#began();
    const settle = (answer: unknown): void => {
      const outcomes: readonly unknown[] | undefined = Array.isArray(answer) ? answer : undefined;
      if (outcomes?.length !== indexes.length || !outcomes.every(isOutcome)) {
        const given = outcomes === undefined ? 'no list' : `${outcomes.length} outcomes`;
        fail(
          new DescriptorError(
            'ERR_SCHEDULER_DESCRIPTOR_BATCH',
            `${kind} of ${indexes.length} values by ${lane.entry.name}: it gave ${given}; one { metadata } or { error } per value is due`,
          ),
        );
        return;
      }
      indexes.forEach((index, i) => {
        const outcome = outcomes[i] as BatchOutcome<unknown>;
        if ('error' in outcome) this.#failed(index, asError(outcome.error));
        else this.#done(index, outcome.metadata);
      });
    };
    const fail = (error: Error): void => {
      for (const index of indexes) this.#failed(index, error);
    };
    const steps = indexes.map((i) => this.#steps[i]!);
    const handle = this.#takeHandle();
    let answer: unknown;
    try {
      answer = callBatch(steps, lane.entry, handle);
    } catch (error) {
      fail(asError(error));
      return;
    }
    if (isPromise(answer)) {
      this.#await(lane, steps, answer, handle, began, {
        answered: settle,
        failed: fail,
      });
      return;
    }
    this.#took(lane, kind, indexes.length, began);
    settle(answer);
  }

  #began(): number {
    return this.#environment.took === undefined ? 0 : performance.now();
  }

  #took(lane: Lane, kind: Step['kind'], count: number, began: number): void {
    this.#environment.took?.(lane.entry, kind, count, performance.now() - began);
  }

  #begin(lane: Lane): void {
    lane.running += 1;
    this.#running += 1;
  }

  #end(lane: Lane): void {
    lane.running -= 1;
    this.#running -= 1;
    const finish = this.#finish;
    this.#finish = undefined;
    finish?.();
  }

  #done(i: number, metadata: unknown): void {
    this.#environment.done(this.#steps[i]!, metadata);
    this.#settle(i, Outcome.done);
  }

  #failed(i: number, error: Error): void {
    this.#environment.failed(this.#steps[i]!, error);
    this.#settle(i, Outcome.failed);
  }

  #settle(settled: number, how: number): void {
    let stack: { i: number; how: number }[] | undefined;
    let i = settled;
    let outcome = how;
    for (;;) {
      if (this.outcomes[i] === Outcome.open) {
        this.outcomes[i] = outcome;
        if (this.#steps[i]!.phase === this.#phase) this.#openInPhase -= 1;
        if (this.#edges !== undefined) {
          const end = this.#firstEdge![i + 1]!;
          for (let e = this.#firstEdge![i]!; e < end; e += 1) {
            const next = this.#edges[e]!;
            if (outcome !== Outcome.done) {
              (stack ??= []).push({ i: next, how: outcome === Outcome.stopped ? Outcome.stopped : Outcome.skipped });
            } else if ((this.#waitsFor[next]! -= 1) === 0 && this.#steps[next]!.phase === this.#phase) {
              this.#enqueue(next);
            }
          }
        }
      }
      const next = stack?.pop();
      if (next === undefined) return;
      i = next.i;
      outcome = next.how;
    }
  }
}

function call(step: Step, entry: Entry, context: Call): unknown {
  const { descriptor } = entry;
  const node = step.node!;
  switch (step.kind) {
    case 'create':
      return descriptor.create?.({ key: node.key, value: step.value }, context);
    case 'update':
      return descriptor.update!(
        { key: node.key, previous: step.previous, value: step.value, metadata: node.metadata },
        context,
      );
    case 'delete':
      return descriptor.remove?.({ key: node.key, value: step.previous, metadata: node.metadata }, context);
    case 'gate':
      return undefined;
  }
}

function callBatch(steps: readonly Step[], entry: Entry, context: Call): unknown {
  const { descriptor } = entry;
  switch (steps[0]!.kind) {
    case 'create':
      return descriptor.createBatch!(
        steps.map(({ node, value }) => ({ key: node!.key, value })),
        context,
      );
    case 'update':
      return descriptor.updateBatch!(
        steps.map(({ node, value, previous }) => ({ key: node!.key, previous, value, metadata: node!.metadata })),
        context,
      );
    case 'delete':
      return descriptor.removeBatch!(
        steps.map(({ node, previous }) => ({ key: node!.key, value: previous, metadata: node!.metadata })),
        context,
      );
    case 'gate':
      return [];
  }
}

function isOutcome(outcome: unknown): boolean {
  return typeof outcome === 'object' && outcome !== null;
}

function isPromise(answer: unknown): answer is Promise<unknown> {
  return typeof answer === 'object' && answer !== null && typeof (answer as { then?: unknown }).then === 'function';
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
