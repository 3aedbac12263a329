// Verification: after a transaction, what the descriptors hold of the values it touched is retrieved and compared with what
// the scheduler believes. A difference is a fault of a descriptor (or somebody was quicker): it is reported, the truth is
// learnt and left as it is until the next resync or change.

import { SchedulerError } from '../errors.js';
import { ask } from './ask.js';
import type { Retrieved } from './descriptor.js';
import type { Engine, Run } from './engine.js';
import { operationError } from './engine.js';
import { Bit, type Node } from './graph.js';
import { RowFlag, rowCode } from './history.js';
import type { Entry, KeySpaces } from './key-space.js';
import { learn } from './learn.js';

/** One value that is not as the scheduler believes. */
export interface Mismatch {
  readonly key: string;
  /** `missing`: it should be there; `unexpected`: it should not; `different`: it has another value. */
  readonly difference: 'missing' | 'unexpected' | 'different';
}

const texts = {
  missing: 'it was applied, but retrieve does not find it',
  unexpected: 'it was removed, but retrieve still finds it',
  different: 'retrieve gives another value than was applied',
} as const;

/** Compares everything a run has touched; gives what must be planned for because it is otherwise than believed. */
export async function verify(engine: Engine, spaces: KeySpaces, run: Run): Promise<Node[]> {
  const byEntry = new Map<Entry, Set<string>>();
  for (const key of run.record.keys()) {
    const entry = spaces.find(key);
    if (entry?.retrievable !== true) continue;
    const same = byEntry.get(entry);
    if (same === undefined) byEntry.set(entry, new Set([key]));
    else same.add(key);
  }
  const seeds: Node[] = [];
  const environment = engine.learning(run, seeds);
  for (const [entry, keys] of byEntry) {
    const found = new Map<string, Retrieved<unknown, unknown>>();
    try {
      await ask(entry, { keys }, environment, (item) => void found.set(item.key, item));
    } catch (error) {
      run.unread.push({ entry, error: operationError(entry, 'retrieve', 'its values to verify them', [], error) });
      continue;
    }
    for (const key of keys) {
      const item = found.get(key);
      const difference = compare(engine.graph.get(key), entry, item);
      if (difference !== undefined) mismatch(engine, run, key, entry, difference, item, seeds);
    }
  }
  return seeds;
}

function compare(
  node: Node | undefined,
  entry: Entry,
  item: Retrieved<unknown, unknown> | undefined,
): Mismatch['difference'] | undefined {
  const bits = node?.bits ?? 0;
  // What failed has been looked up already, and what is not ours may change as it likes.
  if ((bits & (Bit.uncertain | Bit.stuck | Bit.foreign)) !== 0) return undefined;
  const exists = (bits & Bit.exists) !== 0;
  if (item === undefined) return exists ? 'missing' : undefined;
  if (!exists) return item.origin === 'foreign' ? undefined : 'unexpected';
  return entry.equal(item.key, node!.applied, item.value) ? undefined : 'different';
}

function mismatch(
  engine: Engine,
  run: Run,
  key: string,
  entry: Entry,
  difference: Mismatch['difference'],
  item: Retrieved<unknown, unknown> | undefined,
  seeds: Node[],
): void {
  const { graph } = engine;
  const error = new SchedulerError('ERR_SCHEDULER_VERIFY', `verifying ${key} of ${entry.name}: ${texts[difference]}`, {
    key,
  });
  const node = graph.node(key);
  node.bits |= Bit.owned;
  const before = node.applied;
  learn(graph, node, item?.value, item?.metadata, item?.origin, (surprise) => {
    surprise.bits |= Bit.news;
    seeds.push(surprise);
  });
  node.bits |= Bit.frozen;
  node.trouble = { attempts: 1, operation: 'retrieve', error };
  if (difference !== 'unexpected') node.trouble.drift = difference === 'missing' ? 'missing' : 'changed';
  run.mismatches.push({ key, difference, error });
  const code = rowCode('retrieve', node.state, run.flags | RowFlag.failed, node.state);
  run.record.add(key, code, before, item?.value, error.message);
}
