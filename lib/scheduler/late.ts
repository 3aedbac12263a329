// Late answers: a call that had run out of time, and was counted as failed, is answered after all. That is written into the
// history, and what it has done meanwhile is looked up like anything else that happens in the southbound; the answer itself
// is not applied, for others may have acted on the value since.
//
//   create a --(60 s)--> failed, retrieved: not there … retried … --(answer: done)--> recorded, retrieved: there
//
// Where nobody can look, the answer counts if nobody has touched the value since; else the value is brought back to a known
// state like after any other failure: removed, and made anew.

import type { Core } from './core.js';
import type { LateOutcome } from './executor.js';
import { Bit, type Node } from './graph.js';
import { RowFlag, rowCode } from './history.js';
import type { Step } from './plan.js';
import { scrub } from './redact.js';
import type { OperationKind } from './state.js';
import type { Worker } from './worker.js';
import { messageOf } from './accept.js';

/** Takes in late answers. */
export class LateAnswers {
  readonly #core: Core;
  readonly #worker: Worker;

  constructor(core: Core, worker: Worker) {
    this.#core = core;
    this.#worker = worker;
    core.engine.onLate = (steps, outcome, seq) => this.#take(steps, outcome, seq);
  }

  #take(steps: readonly Step[], outcome: LateOutcome, seq: number): void {
    const { engine, closing, fault, metrics } = this.#core;
    metrics.lateAnswers += steps.length;
    if (closing !== 'open') return;
    const { kind } = steps[0]!;
    const what = steps.length === 1 ? steps[0]!.label : `${steps.length} values`;
    const options = { description: `late answer: ${kind} of ${what} by transaction ${seq}`, priority: 10 };
    const queued = this.#worker.transact({ kind: 'late', options }, async (run, seeds) => {
      const nodes: Node[] = [];
      for (const [i, step] of steps.entries()) {
        // It may have been forgotten meanwhile; what a late create has made must be known all the same.
        const node = engine.graph.node(step.label);
        const error = failureOf(outcome, i);
        const schema = node.entry?.descriptor.schema;
        const text = error === undefined ? 'it was done' : scrub(schema, [step.value, step.previous], messageOf(error));
        const code = rowCode(kind as OperationKind, node.state, RowFlag.late, node.state);
        run.record.add(step.label, code, step.previous, step.value, `answered late: ${text}`);
        if (node.entry?.retrievable === true) nodes.push(node);
        else this.#judge(node, step, outcome, i, seq, seeds);
      }
      // What it made is ours.
      for (const node of nodes) node.bits |= Bit.owned;
      await engine.look(run, nodes, seeds);
      for (const node of nodes) {
        if (node.desired === undefined ? (node.bits & Bit.exists) === 0 : node.applied === node.desired) {
          node.bits &= ~Bit.stuck;
          node.trouble = undefined;
        }
        seeds.push(node);
      }
    });
    queued.catch(fault);
  }

  /** Nobody can look. If nobody has touched it since, it is as the answer says; else it may be anything. */
  #judge(node: Node, step: Step, outcome: LateOutcome, i: number, seq: number, seeds: Node[]): void {
    const { graph } = this.#core.engine;
    const value = step.kind === 'delete' ? undefined : step.value;
    const untouched = node.seq === seq && (node.bits & Bit.uncertain) !== 0 && node.desired === value;
    const failed = failureOf(outcome, i) !== undefined;
    // It was counted as failed, and has failed: nothing new.
    if (untouched && failed) return;
    if (untouched) {
      graph.setApplied(node, value, metadataOf(outcome, i), value === undefined ? [] : node.deps);
      node.bits = value === undefined ? node.bits : (node.bits & ~Bit.foreign) | Bit.owned;
    } else {
      const deps = node.applied === undefined ? node.deps : node.appliedDeps;
      graph.setUnknown(node, node.applied ?? step.value ?? step.previous, deps);
      node.bits |= Bit.owned;
    }
    node.bits = (node.bits & ~Bit.stuck) | Bit.news;
    node.trouble = undefined;
    seeds.push(node);
  }
}

function failureOf(outcome: LateOutcome, i: number): Error | undefined {
  if ('error' in outcome) return outcome.error;
  const { answer } = outcome;
  const one: unknown = Array.isArray(answer) ? answer[i] : undefined;
  return typeof one === 'object' && one !== null && 'error' in one && one.error instanceof Error
    ? one.error
    : undefined;
}

function metadataOf(outcome: LateOutcome, i: number): unknown {
  if ('error' in outcome) return undefined;
  const { answer } = outcome;
  if (!Array.isArray(answer)) return answer;
  return (answer[i] as { metadata?: unknown } | undefined)?.metadata;
}
