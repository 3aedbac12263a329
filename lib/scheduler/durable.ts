// Between the journal and the graph: what was recovered becomes nodes, and nodes become what a snapshot stores.

import type { Checkpoints } from './checkpoints.js';
import { accept } from './accept.js';
import { Bit, type Graph, type Node } from './graph.js';
import type { History } from './history.js';
import { Journal, store } from './journal.js';
import type { KeySpaces } from './key-space.js';
import type { JournalOptions } from './options.js';
import type { Recovered, StoredState } from './recovery.js';
import type { Truth } from './truth.js';

/** Opens a journal for a set of descriptors. */
export function openDurable(
  options: string | JournalOptions,
  spaces: KeySpaces,
  historyRows: number,
): Promise<{ journal: Journal; recovered: Recovered }> {
  const given = typeof options === 'string' ? { path: options } : options;
  const blind = (key: string): boolean => spaces.find(key)?.retrievable === false;
  return Journal.open(given, blind, historyRows);
}

/** Makes an empty graph what a journal says. Nothing is known yet of what is there. */
export function restoreState(
  recovered: Recovered,
  graph: Graph,
  truth: Truth,
  checkpoints: Checkpoints,
  history: History,
): void {
  const seeds: Node[] = [];
  for (const [key, value] of recovered.desired) {
    accept(graph, key, value, seeds);
    seeds.length = 0;
  }
  for (const key of recovered.believed) {
    const node = graph.get(key);
    if (node !== undefined) node.bits |= Bit.believed;
  }
  for (const [key, value] of recovered.unfinished) own(graph, key, value);
  for (const [name, undo] of recovered.checkpoints) checkpoints.named.set(name, undo);
  for (const [southbound, identity] of recovered.identities) truth.identities.set(southbound, identity);
  for (const record of recovered.history) {
    history.begin(record);
    history.end(record, -Infinity);
  }
}

/** What we were replacing or deleting may still be there, and so may what was derived from it; it is ours to remove. */
function own(graph: Graph, key: string, value: unknown): void {
  const node = graph.node(key);
  node.bits |= Bit.owned;
  if (node.entry?.retrievable === false && node.desired === undefined) {
    graph.setUnknown(node, value, []);
  }
  let derived: Iterable<{ key: string; value: unknown }> = [];
  try {
    derived = node.entry?.descriptor.derive?.(key, value) ?? [];
  } catch {
    // A value its descriptor could not take apart was never valid, and nothing was derived from it.
  }
  for (const child of derived) {
    own(graph, child.key, child.value);
    const childNode = graph.node(child.key);
    if (childNode.parent === undefined && childNode.desired === undefined) graph.adopt(node, childNode);
  }
}

/** What a snapshot stores of a graph. */
export function storedState(seq: number, graph: Graph, truth: Truth, checkpoints: Checkpoints): StoredState {
  const entries = function* (map: ReadonlyMap<string, unknown>): Generator<ReturnType<typeof store>> {
    for (const [key, value] of map) yield store(key, value);
  };
  return {
    seq,
    *desired() {
      for (const node of graph.nodes.values()) {
        if (node.desired !== undefined && node.parent === undefined) yield store(node.key, node.desired);
      }
    },
    *believed() {
      for (const node of graph.nodes.values()) {
        const inSync = node.applied !== undefined && node.applied === node.desired && (node.bits & Bit.uncertain) === 0;
        if (inSync && node.entry?.retrievable === false) yield node.key;
      }
    },
    *unfinished() {
      for (const node of graph.nodes.values()) {
        const { applied } = node;
        if ((node.bits & Bit.owned) === 0 || applied === undefined || applied === node.desired) continue;
        yield store(node.key, applied);
      }
    },
    *checkpoints() {
      for (const [name, undo] of checkpoints.named) yield [name, entries(undo)];
    },
    identities: () => truth.identities,
    *held() {
      for (const [held, undo] of checkpoints.unconfirmed) yield [held, entries(undo)];
    },
  };
}
