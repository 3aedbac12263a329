// Graph nodes and their errors. Both are symlinks into vectors: `/nodes/<node>/<counter>` by node index, and
// `/err/<node>/<reason>` by error index. A reason alone names no error: many nodes have the same ones.

import { NODE_COUNTERS, type NodeCounter } from './layout.js';
import type { SimpleReading, Snapshot } from './snapshot.js';

/** A graph node. Counters are over all threads, as numbers: exact up to 2^53. */
export interface NodeStats {
  /** As VPP has it in `/sys/node/names`. */
  readonly name: string;
  readonly index: number;
  readonly clocks: number;
  readonly vectors: number;
  readonly calls: number;
  readonly suspends: number;
  /** Packets of a call, on average. */
  readonly vectorsPerCall: number;
  /** Processor clocks of a packet, on average; of a call where there are no packets. */
  readonly clocksPerVector: number;
}

/** The nodes of a snapshot. */
export function nodesOf(snapshot: Snapshot): NodeStats[] {
  const names = snapshot.get('/sys/node/names');
  if (names?.type !== 'names') return [];
  const columns = Object.fromEntries(
    NODE_COUNTERS.map((counter) => [counter, snapshot.vector(`/sys/node/${counter}`)]),
  ) as Record<NodeCounter, ReturnType<Snapshot['vector']>>;
  return names.value.flatMap((name, index) => {
    if (name === undefined || name === '') return [];
    const of = (counter: NodeCounter) => columns[counter]?.sum(index) ?? 0;
    const [clocks, vectors, calls, suspends] = [of('clocks'), of('vectors'), of('calls'), of('suspends')];
    return [
      {
        name,
        index,
        clocks,
        vectors,
        calls,
        suspends,
        vectorsPerCall: calls === 0 ? 0 : vectors / calls,
        clocksPerVector: vectors > 0 ? clocks / vectors : calls > 0 ? clocks / calls : 0,
      },
    ];
  });
}

/** One error of one node. */
export interface NodeErrorCount {
  /** As in the name of the entry: `/` is `_`. */
  readonly node: string;
  readonly reason: string;
  /** Over all threads. */
  readonly count: number;
  /** Exact, by thread, with delta and rate. */
  reading(): SimpleReading | undefined;
}

/** The node and the reason in the name of an entry `/err/<node>/<reason>`. */
export function errorNameParts(entry: string): { node: string; reason: string } | undefined {
  const [, node, reason] = /^\/err\/([^/]*)\/(.*)$/s.exec(entry) ?? [];
  return node === undefined || reason === undefined ? undefined : { node, reason };
}

/** The errors of a snapshot. */
export function nodeErrorsOf(snapshot: Snapshot, zeros: boolean): NodeErrorCount[] {
  const errors: NodeErrorCount[] = [];
  const { capture } = snapshot;
  for (const index of capture.plan.entries) {
    const entry = capture.directory.names[index]!;
    if (!entry.startsWith('/err/')) continue;
    const parts = errorNameParts(entry);
    if (parts === undefined) continue;
    const value = snapshot.getNumbers(entry);
    if (value?.type !== 'simpleColumn') continue;
    const count = value.value.reduce((sum, each) => sum + each, 0);
    if (count === 0 && !zeros) continue;
    const reading = () => snapshot.reading(entry) as SimpleReading | undefined;
    errors.push({ ...parts, count, reading });
  }
  return errors;
}
