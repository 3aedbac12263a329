// The planner: the graph as it is and the values that changed in, a list of operations out. It calls no descriptor that
// touches the world, and leaves the graph as it found it.

import { Existence } from './existence.js';
import { Bit, dependencyText, type Graph, type Node } from './graph.js';
import { met, pinned, Picture } from './existence.js';
import { Ordering, type Draft } from './ordering.js';

/** Plans one round: what to do about the seeds while the blocked nodes are left alone. */
export function planRound(graph: Graph, seeds: readonly Node[], blocked: readonly Node[]): Draft {
  const existence = new Existence(graph);
  existence.run(seeds, blocked);
  const ordering = new Ordering(graph, existence);
  try {
    return ordering.run();
  } finally {
    ordering.cleanUp();
  }
}

/** The dependencies of a value that are not met now, as text. */
export function unmetOf(node: Node): string[] {
  return node.deps.filter((dep) => !met(dep, node, Picture.stay)).map(dependencyText);
}

/** Whether a value's existence is unknown and must be looked up before anything is done with it. */
export function unknown(node: Node): boolean {
  return (node.bits & Bit.blocked) === 0 && pinned(node);
}
