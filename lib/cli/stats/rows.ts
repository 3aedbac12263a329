// What `top` shows: rows of interfaces, nodes or errors, made of two snapshots that follow one another, and sorted and
// filtered. No terminal here.

import type { Snapshot } from '../../stats/index.js';
import { interfacesOf, nodeErrorsOf, nodesOf } from '../../stats/index.js';

export const views = ['interfaces', 'nodes', 'errors'] as const;
export type View = (typeof views)[number];

/** A row: its name, and a number for each column of the view. */
export interface Row {
  readonly name: string;
  readonly [column: string]: string | number;
}

/** A column of a view. */
export interface Column {
  readonly key: string;
  readonly heading: string;
  /** `bits` are scaled, `count` too, `decimal` has two places. */
  readonly form: 'count' | 'bits' | 'decimal';
}

/** The columns of each view, after the name. */
export const columns: Readonly<Record<View, readonly Column[]>> = {
  interfaces: [
    { key: 'rxPackets', heading: 'rx pkt/s', form: 'count' },
    { key: 'rxBits', heading: 'rx bit/s', form: 'bits' },
    { key: 'txPackets', heading: 'tx pkt/s', form: 'count' },
    { key: 'txBits', heading: 'tx bit/s', form: 'bits' },
    { key: 'drops', heading: 'drops/s', form: 'count' },
  ],
  nodes: [
    { key: 'clocks', heading: 'clocks/s', form: 'count' },
    { key: 'vectors', heading: 'vectors/s', form: 'count' },
    { key: 'calls', heading: 'calls/s', form: 'count' },
    { key: 'vectorsPerCall', heading: 'vec/call', form: 'decimal' },
    { key: 'clocksPerVector', heading: 'clk/vec', form: 'count' },
  ],
  errors: [
    { key: 'rate', heading: 'errors/s', form: 'count' },
    { key: 'count', heading: 'errors', form: 'count' },
  ],
};

/** What a view shows: the rest of the segment need not be copied. */
export const patternsOf: Readonly<Record<View, readonly string[]>> = {
  interfaces: ['/if/', '/sys/(?!node/)'],
  nodes: ['/sys/node/', '/sys/(?!node/)'],
  errors: ['/err/', '/node/errors$', '/sys/(?!node/)'],
};

/** A counter that went back was cleared. */
const since = (now: number, before: number): number => (now >= before ? now - before : now);

/** The rows of a view. Without a snapshot before, rates are 0. */
export function rowsOf(view: View, now: Snapshot, before: Snapshot | undefined): Row[] {
  const seconds = before === undefined ? 0 : (now.monotonicMs - before.monotonicMs) / 1000;
  const rate = (value: number, past: number | undefined): number =>
    past === undefined || seconds <= 0 ? 0 : since(value, past) / seconds;
  if (view === 'interfaces') {
    const past = before === undefined ? undefined : interfacesOf(before);
    return [...interfacesOf(now)].map((each) => {
      const found = past?.bySwIfIndex(each.swIfIndex);
      // Another interface with the same index counts from 0.
      const same = found?.name === each.name ? found : undefined;
      return {
        name: each.name,
        swIfIndex: each.swIfIndex,
        rxPackets: rate(each.rx.packets, same?.rx.packets),
        rxBits: rate(each.rx.bytes, same?.rx.bytes) * 8,
        txPackets: rate(each.tx.packets, same?.tx.packets),
        txBits: rate(each.tx.bytes, same?.tx.bytes) * 8,
        drops: rate(each.drops, same?.drops),
      };
    });
  }
  if (view === 'nodes') {
    const past = new Map((before === undefined ? [] : nodesOf(before)).map((node) => [node.name, node]));
    return nodesOf(now).map((node) => {
      const same = past.get(node.name);
      const vectors = rate(node.vectors, same?.vectors);
      const calls = rate(node.calls, same?.calls);
      const clocks = rate(node.clocks, same?.clocks);
      return {
        name: node.name,
        clocks,
        vectors,
        calls,
        vectorsPerCall: calls > 0 ? vectors / calls : 0,
        clocksPerVector: vectors > 0 ? clocks / vectors : calls > 0 ? clocks / calls : 0,
      };
    });
  }
  const key = (error: { node: string; reason: string }) => `${error.node}\0${error.reason}`;
  const past = new Map(
    (before === undefined ? [] : nodeErrorsOf(before, true)).map((error) => [key(error), error.count]),
  );
  return nodeErrorsOf(now, true).map((error) => ({
    name: `${error.node} ${error.reason}`,
    rate: rate(error.count, past.get(key(error))),
    count: error.count,
  }));
}

/** How rows are ordered and which are shown. */
export interface Arrangement {
  readonly sort: string;
  readonly reverse: boolean;
  readonly filter: string;
  readonly zeros: boolean;
}

/** Sorts by a column, the greatest first (names from a to z), and leaves out what is not wanted. */
export function arrange(rows: readonly Row[], { sort, reverse, filter, zeros }: Arrangement): Row[] {
  const wanted = filter.toLowerCase();
  const kept = rows.filter(
    (row) =>
      (wanted === '' || row.name.toLowerCase().includes(wanted)) &&
      (zeros ||
        Object.entries(row).some(([key, value]) => key !== 'swIfIndex' && typeof value === 'number' && value > 0)),
  );
  const direction = reverse ? -1 : 1;
  const byName = (a: Row, b: Row) => a.name.localeCompare(b.name, 'en', { numeric: true });
  kept.sort((a, b) => {
    const [x, y] = [a[sort], b[sort]];
    if (typeof x !== 'number' || typeof y !== 'number') return direction * byName(a, b);
    return direction * (y - x) || byName(a, b);
  });
  return kept;
}

/** The column that a heading or key means; undefined when none. */
export function columnOf(view: View, text: string): string | undefined {
  if (text === 'name') return 'name';
  return columns[view].find(({ key, heading }) => key === text || heading === text)?.key;
}
