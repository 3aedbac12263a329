// A plan: the ordered operations that lead from what is there to what is desired, as data.
//
//   phase 1   deletes, dependants before what they depend on
//   phase 2   creates and updates, dependencies first
//   phase 3   deletes of what an update of phase 2 lets go
//
//   0 delete  route/b
//   1 create  interface/t
//   2 create  route/a            after 1
//
// Invariant: an operation starts only when all it comes `after` have succeeded and the phase before is over. Operations of
// one `group` (values that depend on each other) run one after the other and count for others only together.

import type { Node } from './graph.js';
import type { ResyncKind } from './resync.js';
import { deepEqual } from './equal.js';
import type { ReadonlyKeyMap } from './key-map.js';
import { redact } from './redact.js';

/** What an operation of a plan does. A `gate` does nothing: others wait for it, and it for many. */
export type PlannedKind = 'create' | 'update' | 'delete' | 'gate';

/** One operation, for people and for comparison. */
export interface PlannedOperation {
  readonly index: number;
  readonly kind: PlannedKind;
  /** For a gate, the selector it stands for. */
  readonly key: string;
  /** The value to be created or changed to; secrets redacted. */
  readonly value?: unknown;
  /** The value to be changed or deleted; secrets redacted. */
  readonly previous?: unknown;
  readonly phase: 1 | 2 | 3;
  /** Indexes of the operations it waits for, besides those of earlier phases. */
  readonly after: readonly number[];
  /** The delete or create half of a value that cannot be changed in place, or must make way for a while. */
  readonly recreate: boolean;
  /** The key of the value it is derived from. */
  readonly derivedFrom?: string;
  /** A derived value without descriptor: nothing is called for it. */
  readonly property: boolean;
  /** Number shared by values that depend on each other; 0: none. */
  readonly group: number;
}

/** An operation as the executor wants it. */
export interface Step {
  readonly node: Node | undefined;
  readonly kind: PlannedKind;
  readonly label: string;
  readonly value: unknown;
  readonly previous: unknown;
  readonly phase: 1 | 2 | 3;
  readonly recreate: boolean;
  readonly group: number;
  /** The key it is derived from; the node may be another's child, or nobody's, when the step is looked at. */
  readonly parent: string | undefined;
  after: number[] | undefined;
}

/** What a plan does not do, and why. */
export interface Waiting {
  readonly key: string;
  readonly reasons: readonly string[];
}

const shownAs = { create: '+', update: '~', delete: '-', gate: '·' } as const;

/** What a transaction would do. Made by {@link Scheduler.plan}; {@link Scheduler.apply} executes it. */
export class Plan {
  /** The steps in order, as the executor takes them. */
  readonly steps: readonly Step[];
  /** Values that stay pending. */
  readonly waiting: readonly Waiting[];
  /** The change it is a plan for; not shown. */
  readonly change: ReadonlyKeyMap<unknown> | undefined;
  /** The resync it is a plan for; undefined: a change. */
  readonly resync: ResyncKind | undefined;

  constructor(
    steps: readonly Step[],
    waiting: readonly Waiting[],
    change: ReadonlyKeyMap<unknown> | undefined,
    resync?: ResyncKind,
  ) {
    this.resync = resync;
    this.steps = steps;
    this.waiting = waiting;
    this.change = change;
    // The graph's nodes and unredacted values hang on these; a careless print must not show them.
    Object.defineProperty(this, 'steps', { enumerable: false });
    Object.defineProperty(this, 'change', { enumerable: false });
  }

  /** How many operations it has, gates not counted. */
  get size(): number {
    let size = 0;
    for (const step of this.steps) if (step.kind !== 'gate') size += 1;
    return size;
  }

  /** The operations in order; secrets redacted. */
  get operations(): PlannedOperation[] {
    return this.steps.map((step, index) => view(step, index));
  }

  /** One line per operation. */
  toString(): string {
    const lines = this.operations.map((operation) => line(operation));
    for (const { key, reasons } of this.waiting) lines.push(`    ? ${key}  pending: ${reasons.join('; ')}`);
    return lines.length === 0 ? 'nothing to do\n' : `${lines.join('\n')}\n`;
  }

  toJSON(): { operations: PlannedOperation[]; waiting: readonly Waiting[] } {
    return { operations: this.operations, waiting: this.waiting };
  }

  /** What another plan does differently: lines that start with `-` (only here) and `+` (only there). */
  diff(other: Plan): string[] {
    const mine = new Map(this.steps.map((step) => [`${step.kind} ${step.label}`, step]));
    const theirs = new Map(other.steps.map((step) => [`${step.kind} ${step.label}`, step]));
    const lines: string[] = [];
    for (const [name, step] of mine) {
      const twin = theirs.get(name);
      if (twin === undefined) lines.push(`- ${name}`);
      else if (!deepEqual(step.value, twin.value) || !deepEqual(step.previous, twin.previous)) {
        lines.push(`- ${name} (other value)`, `+ ${name} (other value)`);
      }
    }
    for (const name of theirs.keys()) if (!mine.has(name)) lines.push(`+ ${name}`);
    if (lines.length === 0) {
      const order = other.steps.findIndex((step, i) => step.label !== this.steps[i]?.label);
      if (order >= 0) lines.push(`- order: ${this.steps[order]!.label}`, `+ order: ${other.steps[order]!.label}`);
    }
    return lines;
  }
}

function view(step: Step, index: number): PlannedOperation {
  const schema = step.node?.entry?.descriptor.schema;
  return {
    index,
    kind: step.kind,
    key: step.label,
    ...(step.value === undefined ? {} : { value: redact(schema, step.value) }),
    ...(step.previous === undefined ? {} : { previous: redact(schema, step.previous) }),
    phase: step.phase,
    after: step.after ?? [],
    recreate: step.recreate,
    ...(step.parent === undefined ? {} : { derivedFrom: step.parent }),
    property: step.node !== undefined && step.node.entry === undefined,
    group: step.group,
  };
}

function line(operation: PlannedOperation): string {
  const notes = [
    operation.recreate ? 'recreate' : '',
    operation.derivedFrom === undefined ? '' : `from ${operation.derivedFrom}`,
    operation.group === 0 ? '' : `group ${operation.group}`,
    operation.after.length === 0
      ? ''
      : `after ${operation.after.slice(0, 8).join(' ')}${operation.after.length > 8 ? ' …' : ''}`,
  ].filter((note) => note !== '');
  const number = String(operation.index).padStart(4);
  return `${number} ${shownAs[operation.kind]} ${operation.kind} ${operation.key}${notes.length > 0 ? `  (${notes.join(', ')})` : ''}`;
}
