// Resyncs: what to look at, what to desire, what to seed the planner with. The same steps serve the real thing and the dry
// run, which takes them on a copy of the graph.
//
//   full         look · desire exactly the values given · remove what else is ours
//   upstream           desire exactly the values given
//   downstream   look · put back what is desired
//
// Invariant: nothing here calls the southbound but retrieve and identity.

import type { Engine, Run } from './engine.js';
import { Bit, type Node } from './graph.js';
import type { ReadonlyKeyMap } from './key-map.js';
import { KeyMap } from './key-map.js';
import { addAll } from './lists.js';
import type { Truth } from './truth.js';

/** How a resync starts: from the southbound and new values, from new values alone, or from the southbound alone. */
export type ResyncKind = 'full' | 'upstream' | 'downstream';

/** What a resync works on. */
export interface ResyncParts {
  readonly engine: Engine;
  readonly truth: Truth;
  /** Changes what is desired. */
  desire(change: ReadonlyKeyMap<unknown>, seeds: Node[]): Promise<void> | void;
}

/** Looks and desires; adds to the seeds what is to be planned for. Gives the values it has claimed as ours. */
export async function prepareResync(
  parts: ResyncParts,
  run: Run,
  kind: ResyncKind,
  given: ReadonlyKeyMap<unknown> | undefined,
  seeds: Node[],
): Promise<Node[]> {
  const { engine, truth } = parts;
  const claimed: Node[] = [];
  if (kind !== 'upstream') addAll(seeds, await truth.refreshAll(run));
  if (given !== undefined) {
    const change = new KeyMap<unknown>();
    for (const [key, value] of given) change.set(key, value);
    for (const node of engine.graph.nodes.values()) {
      if (node.parent !== undefined || change.has(node.key)) continue;
      if (node.desired !== undefined) change.set(node.key, undefined);
      // What bears our mark is ours, though nobody remembers; it goes if it is not asked for.
      const facts = node.bits & (Bit.exists | Bit.foreign | Bit.owned);
      if (kind !== 'full' || node.desired !== undefined || facts !== Bit.exists) continue;
      node.bits |= Bit.owned;
      claimed.push(node);
    }
    addAll(seeds, claimed);
    await parts.desire(change, seeds);
  }
  addAll(seeds, truth.outOfStep());
  const adopted = adoptable(seeds);
  if (adopted.size > 0) await parts.desire(adopted, seeds);
  return claimed;
}

/** Values that foreign policy adopts become desired. */
function adoptable(seeds: readonly Node[]): KeyMap<unknown> {
  const adopted = new KeyMap<unknown>();
  for (const node of seeds) {
    const foreign = (node.bits & (Bit.exists | Bit.foreign)) === (Bit.exists | Bit.foreign);
    if (foreign && node.desired === undefined && node.entry?.foreign === 'adopt' && node.parent === undefined) {
      adopted.set(node.key, node.applied);
    }
  }
  return adopted;
}
