// Takes a change into the graph: what is desired, what follows from it (derived values), what it needs (edges), and whether
// it is valid. Nothing is planned or done here.
//
//   set 'interface/a'  ->  Node.desired, deps, and one child node per derived value, recursively
//
// Invariant: every node whose desired value changed is among the seeds; with an Undo, everything can be put back exactly.

import { SchedulerError } from '../errors.js';
import type { InvalidField, KeyValue } from './descriptor.js';
import { Bit, type Graph, type Node, type Trouble } from './graph.js';
import { checkSchema } from './schema.js';

interface Before {
  readonly bits: number;
  readonly trouble: Trouble | undefined;
  readonly seq: number;
}

/** Remembers what a change overwrote. */
export class Undo {
  readonly bases: { node: Node; desired: unknown }[] = [];
  readonly touched = new Map<Node, Before>();

  note(node: Node): void {
    if (!this.touched.has(node)) {
      this.touched.set(node, { bits: node.bits, trouble: node.trouble, seq: node.seq });
    }
  }
}

const forgiven = ~(Bit.stuck | Bit.invalid | Bit.frozen | Bit.lost);

/**
 * Desires a value for a base key, or (undefined) none; gives what was desired before. Throws only when the key is not the
 * caller's to set.
 */
export function accept(graph: Graph, key: string, value: unknown, seeds: Node[], undo?: Undo): unknown {
  const node = graph.node(key);
  const parent = node.parent;
  if (parent !== undefined && node.desired !== undefined) {
    throw new SchedulerError(
      'ERR_SCHEDULER_KEY_DERIVED',
      `changing ${key}: it is derived from ${parent.key}; change that instead`,
      { key },
    );
  }
  const before = node.desired;
  undo?.bases.push({ node, desired: before });
  setDesired(graph, node, value, seeds, undo);
  return before;
}

/** Puts back what a change overwrote. */
export function revert(graph: Graph, undo: Undo): void {
  const seeds: Node[] = [];
  for (const { node, desired } of undo.bases.reverse()) {
    // The node may have been forgotten as a ghost meanwhile; its key says which one it is now.
    setDesired(graph, graph.node(node.key), desired, seeds, undefined);
  }
  for (const [node, before] of undo.touched) {
    node.bits = before.bits;
    node.trouble = before.trouble;
    node.seq = before.seq;
  }
  for (const node of seeds) graph.dropIfGhost(node);
}

function setDesired(graph: Graph, node: Node, value: unknown, seeds: Node[], undo: Undo | undefined): void {
  undo?.note(node);
  node.desired = value;
  node.bits &= forgiven;
  node.trouble = undefined;
  seeds.push(node);
  const descriptor = node.entry?.descriptor;
  if (descriptor === undefined || value === undefined) {
    graph.setDeps(node, []);
    if (node.children !== undefined) deriveAgain(graph, node, [], seeds, undo);
    return;
  }
  const fields = validate(node, value);
  if (fields.length > 0) {
    invalidate(node, fields);
    return;
  }
  try {
    graph.setDeps(node, graph.compile(descriptor.dependencies?.(node.key, value)));
    if (descriptor.derive !== undefined || node.children !== undefined) {
      deriveAgain(graph, node, descriptor.derive?.(node.key, value) ?? [], seeds, undo);
    }
  } catch (error) {
    if (error instanceof SchedulerError && error.code === 'ERR_SCHEDULER_KEY_DERIVED') {
      invalidate(node, [{ path: '', reason: error.message }]);
      return;
    }
    invalidate(node, [{ path: '', reason: `its descriptor cannot tell what it needs: ${messageOf(error)}` }]);
  }
}

/** The message of whatever was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** What is wrong with a value: its structure first, then what its descriptor says. */
export function validate(node: Node, value: unknown): readonly InvalidField[] {
  const descriptor = node.entry!.descriptor;
  const fields = descriptor.schema === undefined ? none : checkSchema(descriptor.schema, value);
  if (fields.length > 0 || descriptor.validate === undefined) return fields;
  try {
    return [...descriptor.validate(node.key, value)];
  } catch (error) {
    return [{ path: '', reason: `its descriptor's validate failed: ${messageOf(error)}` }];
  }
}

const none: readonly InvalidField[] = [];

function invalidate(node: Node, fields: readonly InvalidField[]): void {
  node.bits |= Bit.invalid;
  node.trouble = { fields, attempts: 0, operation: 'none' };
}

function deriveAgain(
  graph: Graph,
  parent: Node,
  derived: Iterable<KeyValue>,
  seeds: Node[],
  undo: Undo | undefined,
): void {
  const wanted = new Map<string, unknown>();
  for (const { key, value } of derived) wanted.set(key, value);
  for (const key of wanted.keys()) {
    const other = graph.get(key);
    if (other?.desired === undefined || other.parent === parent) continue;
    const owner = other.parent === undefined ? 'a value of its own' : `derived from ${other.parent.key}`;
    throw new SchedulerError('ERR_SCHEDULER_KEY_DERIVED', `it derives ${key}, which is already ${owner}`, { key });
  }
  if (parent.children !== undefined) {
    for (const child of [...parent.children]) {
      if (wanted.has(child.key)) continue;
      // Also when it was not desired any more: its parent's change may decide anew.
      if (child.desired !== undefined) setDesired(graph, child, undefined, seeds, undo);
      else seeds.push(child);
    }
  }
  for (const [key, value] of wanted) {
    const child = graph.node(key);
    if (child.parent !== parent) {
      undo?.note(child);
      if (child.parent !== undefined) graph.disown(child.parent, child);
      graph.adopt(parent, child);
    }
    setDesired(graph, child, value, seeds, undo);
  }
}
