// Takes what the southbound shows into the graph: by retrieving a whole key space, or single keys after a failure, or from
// a notification. What is found is a fact; whether something is to be done about it is for the drift policy.
//
//   found, desired, equal      in sync               found, not desired    ours: discovered    not ours: obtained
//   found, desired, different  drift 'changed'       desired, not found    drift 'missing'
//
// Invariant: after learning about a node its `exists` bit and `applied` value are what was seen; nothing is inferred from
// what was last done to it.

import { unknown as isUnknown } from './planner.js';
import { ask, type AskEnvironment, type Scope } from './ask.js';
import type { Retrieved } from './descriptor.js';
import { Bit, type Graph, type Node } from './graph.js';
import type { Entry } from './key-space.js';
import type { Selector } from './selector.js';

/** A node that is not as it was thought to be. */
export type Surprise = (node: Node) => void;

/** Records that a value is there (or, undefined, is not). Tells of every node for which that is news. */
export function learn(
  graph: Graph,
  node: Node,
  value: unknown,
  metadata: unknown,
  origin: 'ours' | 'foreign' | undefined,
  surprise: Surprise,
): void {
  const { entry } = node;
  const existed = (node.bits & Bit.exists) !== 0;
  if (value === undefined) {
    if (!existed && (node.bits & (Bit.uncertain | Bit.owned)) === 0 && node.applied === undefined) return;
    graph.setApplied(node, undefined, undefined, []);
    if (existed && node.desired !== undefined) node.bits |= Bit.lost;
    surprise(node);
    learnChildren(graph, node, undefined, surprise);
    return;
  }
  if (existed && node.desired !== undefined && node.applied === node.desired && (node.bits & Bit.uncertain) === 0) {
    if (entry === undefined || entry.equal(node.key, node.desired, value)) {
      if (metadata !== undefined && metadata !== node.metadata) graph.setMetadata(node, metadata);
      if (node.children !== undefined) learnChildren(graph, node, value, surprise);
      return;
    }
  }
  const before = node.applied;
  const uncertain = (node.bits & Bit.uncertain) !== 0;
  if (node.desired !== undefined) {
    const same = (node.bits & Bit.invalid) === 0 && (entry === undefined || entry.equal(node.key, node.desired, value));
    const deps = same ? node.deps : graph.compile(dependenciesOf(entry, node.key, value));
    const known = existed && before !== undefined && (entry?.equal(node.key, before, value) ?? true);
    graph.setApplied(node, same ? node.desired : value, metadata, deps);
    node.bits = (node.bits & ~Bit.foreign) | Bit.owned;
    if (!known || !same || uncertain) surprise(node);
  } else {
    const owned = (node.bits & Bit.owned) !== 0;
    const deps = owned ? graph.compile(dependenciesOf(entry, node.key, value)) : [];
    const known = existed && before !== undefined && (entry?.equal(node.key, before, value) ?? true);
    graph.setApplied(node, value, metadata, deps);
    node.bits &= ~Bit.foreign;
    if (!owned && origin !== 'ours') node.bits |= Bit.foreign;
    if (!known || owned || uncertain) surprise(node);
  }
  learnChildren(graph, node, value, surprise);
}

/** What a found value depends on. A value our descriptor cannot make sense of depends on nothing we know. */
function dependenciesOf(entry: Entry | undefined, key: string, value: unknown): Iterable<Selector> {
  try {
    return entry?.descriptor.dependencies?.(key, value) ?? [];
  } catch {
    return [];
  }
}

/** Derived values that nobody can retrieve are there exactly if the value found for their parent derives them. */
function learnChildren(graph: Graph, parent: Node, value: unknown, surprise: Surprise): void {
  const descriptor = parent.entry?.descriptor;
  if (descriptor?.derive === undefined && parent.children === undefined) return;
  const found = new Map<string, unknown>();
  if (value !== undefined) for (const child of derivedOf(parent, value)) found.set(child.key, child.value);
  for (const child of [...(parent.children ?? [])]) {
    if (!found.has(child.key) && child.entry?.retrievable !== true) {
      learn(graph, child, undefined, undefined, undefined, surprise);
    }
  }
  for (const [key, childValue] of found) {
    const child = graph.node(key);
    if (child.entry?.retrievable === true) continue;
    if (child.parent === undefined && child.desired === undefined) graph.adopt(parent, child);
    if (child.parent !== parent) continue;
    const bits = parent.bits & (Bit.owned | Bit.foreign);
    if (child.desired === undefined) child.bits |= bits & Bit.owned;
    const metadata = child.metadata;
    learn(graph, child, childValue, metadata, (bits & Bit.foreign) === 0 ? 'ours' : 'foreign', surprise);
  }
}

function derivedOf(node: Node, value: unknown): Iterable<{ key: string; value: unknown }> {
  if (value === node.desired && node.children !== undefined) {
    return [...node.children].filter((c) => c.desired !== undefined).map((c) => ({ key: c.key, value: c.desired }));
  }
  try {
    return node.entry?.descriptor.derive?.(node.key, value) ?? [];
  } catch {
    return [];
  }
}

/** What retrieving needs from its caller. */
export interface LearnEnvironment extends AskEnvironment {
  /** What to do with values that are not ours and that nobody asked about. */
  readonly foreign: (node: Node, value: unknown, entry: Entry) => 'learn' | 'skip';
  readonly surprise: Surprise;
}

/** Learns what has become of these nodes. */
export async function retrieve(entry: Entry, nodes: readonly Node[], environment: LearnEnvironment): Promise<void> {
  const { graph, surprise } = environment;
  const wanted = new Map(nodes.map((node) => [node.key, node]));
  await ask(entry, { keys: new Set(wanted.keys()) }, environment, (item) => {
    const node = wanted.get(item.key);
    if (wanted.delete(item.key)) learn(graph, node!, item.value, item.metadata, item.origin, surprise);
  });
  for (const node of wanted.values()) learn(graph, node, undefined, undefined, undefined, surprise);
}

/** Learns what is there in a scope of a key space, of what we know as well as of what we do not. */
export async function refresh(entry: Entry, scope: Scope, environment: LearnEnvironment): Promise<void> {
  const { graph, surprise } = environment;
  await ask(entry, scope, environment, (item) => takeFound(item, entry, environment));
  const miss = (node: Node | undefined): void => {
    if (node?.entry !== entry) return;
    if ((node.bits & Bit.walked) !== 0) node.bits &= ~Bit.walked;
    else if ((node.bits & (Bit.exists | Bit.uncertain | Bit.owned)) !== 0) {
      learn(graph, node, undefined, undefined, undefined, surprise);
    }
  };
  if (scope.keys !== undefined) for (const key of scope.keys) miss(graph.get(key));
  else if (scope.prefix !== undefined) for (const node of [...graph.withPrefix(scope.prefix)]) miss(node);
  else for (const node of graph.nodes.values()) miss(node);
}

function takeFound(item: Retrieved<unknown, unknown>, entry: Entry, environment: LearnEnvironment): void {
  const { graph } = environment;
  let node = graph.get(item.key);
  if (node === undefined || (node.desired === undefined && (node.bits & (Bit.owned | Bit.exists)) === 0)) {
    if (item.origin !== 'ours') {
      node ??= graph.node(item.key);
      if (environment.foreign(node, item.value, entry) === 'skip') {
        graph.dropIfGhost(node);
        return;
      }
    } else node ??= graph.node(item.key);
  }
  if (node.entry !== entry) return;
  node.bits |= Bit.walked;
  learn(graph, node, item.value, item.metadata, item.origin, environment.surprise);
}

/** Looks up those of the nodes whose existence is unknown. Errors are the caller's to judge, per descriptor. */
export async function resolveUnknown(
  nodes: Iterable<Node>,
  environment: LearnEnvironment,
  failed: (entry: Entry, nodes: readonly Node[], error: unknown) => void,
): Promise<void> {
  const byEntry = new Map<Entry, Node[]>();
  for (const node of nodes) {
    if (!isUnknown(node)) continue;
    const same = byEntry.get(node.entry!);
    if (same === undefined) byEntry.set(node.entry!, [node]);
    else same.push(node);
  }
  for (const [entry, unknownNodes] of byEntry) {
    try {
      await retrieve(entry, unknownNodes, environment);
    } catch (error) {
      failed(entry, unknownNodes, error);
    }
  }
}
