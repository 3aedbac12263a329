// show ip fib, show ip6 fib, show ip table, show ip neighbors (and ip6).

import type { Neighbour, RouteEntry, RoutePath } from '../forwarding/control.js';
import { compareIp, comparePrefix, isIpv4, isIpv6, isPrefix } from '../../net/index.js';
import type { State } from '../state.js';
import type { Table } from '../tables.js';
import { CommandError, is, numberOf, type Command } from './command.js';
import { centre, right } from './layout.js';

const FLOW_HASH = 'src dst sport dport proto flowlabel ';

function pathText(state: State, entry: RouteEntry, path: RoutePath): string {
  const family = entry.isIp6 ? 'ip6' : 'ip4';
  const name = (index: number) => state.interfaces.get(index)?.name ?? 'DELETED';
  const mtu = state.interfaces.get(path.swIfIndex)?.mtu[0] ?? 0;
  switch (path.kind) {
    case 'drop':
      return `[@0]: dpo-drop ${family}`;
    case 'local':
      return `[@12]: dpo-receive: ${path.nextHop ?? entry.prefix.replace(/\/\d+$/, '')} on ${name(path.swIfIndex)}`;
    case 'unreach':
      return `[@14]: dpo-icmp: [proto:${family} type:unreach]`;
    case 'prohibit':
      return `[@14]: dpo-icmp: [proto:${family} type:prohibit]`;
    case 'glean':
      return `[@4]: ipv${entry.isIp6 ? 6 : 4}-glean: [src:${entry.prefix}] ${name(path.swIfIndex)}: mtu:${mtu}`;
    case 'via': {
      const known = [...state.forwarder.neighbours(entry.isIp6, path.swIfIndex)].find(({ ip }) => ip === path.nextHop);
      const via = `via ${path.nextHop ?? '0.0.0.0'} ${name(path.swIfIndex)}`;
      return known === undefined
        ? `[@3]: arp-ipv${entry.isIp6 ? 6 : 4}: ${via}`
        : `[@5]: ipv${entry.isIp6 ? 6 : 4} ${via}: mtu:${mtu} ${known.mac.replaceAll(':', '')}`;
    }
    case 'recursive':
      return `[@10]: dpo-load-balance: via ${path.nextHop ?? ''} in ${entry.isIp6 ? 'ipv6' : 'ipv4'}-VRF:${path.tableId ?? 0}`;
    case 'table':
      return `[@11]: dst-address,unicast lookup in ${entry.isIp6 ? 'ipv6' : 'ipv4'}-VRF:${path.tableId ?? 0}`;
  }
}

function* entryLines(state: State, entry: RouteEntry): Generator<string> {
  const family = entry.isIp6 ? 'ip6' : 'ip4';
  const { routeCounters } = state.forwarder;
  const packets = routeCounters[entry.statsIndex * 2] ?? 0;
  const bytes = routeCounters[entry.statsIndex * 2 + 1] ?? 0;
  yield entry.prefix;
  yield `  unicast-${family}-chain`;
  const { paths, statsIndex } = entry;
  const buckets = bucketsOf(paths);
  yield (
    `  [@0]: dpo-load-balance: [proto:${family} index:${statsIndex} buckets:${buckets.length} ` +
    `to:[${packets}:${bytes}]]`
  );
  for (const [at, path] of buckets.entries()) yield `    [${at}] ${pathText(state, entry, path)}`;
}

/** A load-balance has as many buckets as the weights of its paths ask for, a power of two at least. */
function bucketsOf(paths: readonly RoutePath[]): RoutePath[] {
  if (paths.length === 1) return [...paths];
  const sum = paths.reduce((total, { weight }) => total + weight, 0);
  let buckets = 1;
  while (buckets < sum && buckets < 64) buckets *= 2;
  const filled: RoutePath[] = [];
  for (const path of paths) {
    for (let n = Math.max(1, Math.round((path.weight * buckets) / sum)); n > 0; n--) filled.push(path);
  }
  return filled;
}

function* showFib(state: State, args: readonly string[], isIp6: boolean): Generator<string> {
  let only: number | undefined;
  let summary = false;
  let wanted: string | undefined;
  for (let at = 0; at < args.length; at++) {
    const word = args[at]!;
    if (word === 'table' || word === 'index') only = numberOf(args[++at]);
    else if (is(word, 'summary', 3) || is(word, 'brief', 3)) summary = true;
    else if (isPrefix(word)) wanted = word;
    else if (isIp6 ? isIpv6(word) : isIpv4(word)) wanted = `${word}/${isIp6 ? 128 : 32}`;
    else if (!is(word, 'detail', 3)) throw new CommandError(`unknown input \`${word}'`);
  }
  for (const table of state.tables.values(isIp6)) {
    if (only !== undefined && table.id !== only) continue;
    yield `${table.name}, fib_index:${table.id}, flow hash:[${FLOW_HASH}] epoch:0 flags:none locks:[${locks(table)}]`;
    if (wanted !== undefined) {
      const entry = state.forwarder.route(table.id, wanted);
      if (entry !== undefined) yield* entryLines(state, entry);
      continue;
    }
    if (summary) {
      yield* summaryOf(state.routes.entries(table));
      continue;
    }
    const entries = [...state.routes.entries(table)].sort((a, b) => comparePrefix(a.prefix, b.prefix));
    for (const entry of entries) yield* entryLines(state, entry);
  }
}

function* summaryOf(entries: Iterable<RouteEntry>): Generator<string> {
  const counts = new Map<number, number>();
  for (const { prefix } of entries) {
    const length = Number(prefix.slice(prefix.indexOf('/') + 1));
    counts.set(length, (counts.get(length) ?? 0) + 1);
  }
  yield centre('Prefix length', 20) + centre('Count', 16);
  for (const [length, count] of [...counts].sort(([a], [b]) => a - b)) yield right(length, 20) + right(count, 16);
}

function locks(table: Table): string {
  const held = table.id === 0 ? 'default-route:1, ' : table.held ? 'API:1, ' : '';
  return table.bound.size > 0 && table.id !== 0 ? `interface:${table.bound.size}, ${held}` : held;
}

function* showTables(state: State, isIp6: boolean): Generator<string> {
  for (const { id, name } of state.tables.values(isIp6)) yield `[${id}] table_id:${id} ${name}`;
}

/** `12.3456`: seconds as VPP prints a time, to four places. */
function age({ ageS }: Neighbour): string {
  return ageS.toFixed(4).replace(/^0/, '');
}

function* showNeighbours(state: State, args: readonly string[], families: readonly boolean[]): Generator<string> {
  const of = args[0] === undefined ? undefined : state.interfaces.named(args[0])?.swIfIndex;
  const found = families.flatMap((isIp6) => [...state.forwarder.neighbours(isIp6, of)]);
  if (found.length === 0) return;
  yield centre('Age', 12) + centre('IP', 40) + centre('Flags', 6) + centre('Ethernet', 20) + centre('Interface', 24);
  found.sort((a, b) => a.swIfIndex - b.swIfIndex || compareIp(a.ip, b.ip));
  for (const one of found) {
    const flags = `${one.static ? 'S' : 'D'}${one.noFibEntry ? 'N' : ''}`;
    const name = state.interfaces.get(one.swIfIndex)?.name ?? 'DELETED';
    yield centre(age(one), 12) + centre(one.ip, 40) + centre(flags, 6) + centre(one.mac, 20) + name;
  }
}

/** See the head of the file. */
export const fibCommands: readonly Command[] = [
  {
    path: 'show ip fib',
    help: 'show ip fib [table <id>] [summary] [<address>[/<length>]]',
    run: (state, args) => showFib(state, args, false),
  },
  {
    path: 'show ip6 fib',
    help: 'show ip6 fib [table <id>] [summary] [<address>[/<length>]]',
    run: (state, args) => showFib(state, args, true),
  },
  { path: 'show ip table', help: 'show ip table', run: (state) => showTables(state, false) },
  { path: 'show ip6 table', help: 'show ip6 table', run: (state) => showTables(state, true) },
  {
    path: 'show ip neighbors',
    help: 'show ip neighbors [<interface>]',
    run: (state, args) => showNeighbours(state, args, [false, true]),
  },
  {
    path: 'show ip4 neighbors',
    help: 'show ip4 neighbors [<interface>]',
    run: (state, args) => showNeighbours(state, args, [false]),
  },
  {
    path: 'show ip6 neighbors',
    help: 'show ip6 neighbors [<interface>]',
    run: (state, args) => showNeighbours(state, args, [true]),
  },
];
