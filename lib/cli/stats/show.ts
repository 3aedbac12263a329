// `node-vpp stats ls` and `get`: one line per entry or value.

import type { StatsValue } from '../../stats/index.js';
import { printable } from '../format.js';
import { type SourceFlags, jsonOf, withStats } from './open.js';

export interface GetFlags extends SourceFlags {
  zeros?: boolean;
  perThread?: boolean;
}

/** Lists entries. */
export async function ls(patterns: readonly string[], flags: SourceFlags): Promise<void> {
  await withStats(flags, (stats) => {
    const lines = stats.ls(patterns).map((entry) => {
      if (flags.json === true) return jsonOf(entry);
      const link = entry.link === undefined ? '' : ` -> ${printable(entry.link.name)}[${entry.link.column}]`;
      return `${entry.type.padEnd(10)} ${printable(entry.name)}${link}`;
    });
    print(lines);
  });
}

/** Prints values. */
export async function get(patterns: readonly string[], flags: GetFlags): Promise<void> {
  await withStats(flags, (stats) => {
    const values = stats.dump(patterns);
    if (flags.json === true) print(values.map(jsonOf));
    else print(values.flatMap((value) => linesOf(value, flags)));
  });
}

function print(lines: readonly string[]): void {
  if (lines.length > 0) process.stdout.write(`${lines.join('\n')}\n`);
}

const sum = (values: readonly bigint[]): bigint => values.reduce((total, value) => total + value, 0n);

/** The lines of one entry. */
function linesOf(value: StatsValue, flags: GetFlags): string[] {
  const name = printable(value.name);
  const shown = (number: bigint) => flags.zeros === true || number !== 0n;
  /** Columns of a matrix [thread][index], as [label, values by thread]. */
  const columns = (matrix: readonly (readonly bigint[])[]) => {
    const length = Math.max(0, ...matrix.map((row) => row.length));
    return Array.from({ length }, (_, i) => matrix.map((row) => row[i] ?? 0n));
  };
  const simple = (label: string, byThread: readonly bigint[]): string[] => {
    if (flags.perThread === true) {
      return byThread.flatMap((number, thread) => (shown(number) ? [`${number}\t${label}\tthread ${thread}`] : []));
    }
    const total = sum(byThread);
    return shown(total) ? [`${total}\t${label}`] : [];
  };
  const pair = (label: string, packets: readonly bigint[], bytes: readonly bigint[]): string[] => {
    const line = (p: bigint, b: bigint, more: string) =>
      shown(p) || shown(b) ? [`${p} packets, ${b} bytes\t${label}${more}`] : [];
    if (flags.perThread !== true) return line(sum(packets), sum(bytes), '');
    return packets.flatMap((number, thread) => line(number, bytes[thread]!, `\tthread ${thread}`));
  };
  switch (value.type) {
    case 'scalar':
    case 'gauge':
      return shown(value.value) ? [`${value.value}\t${name}`] : [];
    case 'simpleColumn':
      return simple(name, value.value);
    case 'combinedColumn':
      return pair(name, value.packets, value.bytes);
    case 'simple':
      return columns(value.value).flatMap((byThread, i) => simple(`${name}[${i}]`, byThread));
    case 'combined': {
      const bytes = columns(value.bytes);
      return columns(value.packets).flatMap((byThread, i) => pair(`${name}[${i}]`, byThread, bytes[i]!));
    }
    case 'names':
      return value.value.flatMap((text, i) => (text === undefined ? [] : [`${printable(text)}\t${name}[${i}]`]));
    case 'histogram':
      return columns(value.bins).flatMap((byThread, i) =>
        simple(`${name} from ${i === 0 ? 0 : 2 ** (value.leastExponent + i)}`, byThread),
      );
    case 'ringBuffer':
      return value.threads.flatMap(({ sequence, records }, thread) => [
        `${sequence} records of ${value.entrySize} bytes\t${name}\tthread ${thread}`,
        ...records.slice(-8).map((record) => `\t${Buffer.from(record).toString('hex')}`),
      ]);
    case 'corrupt':
      return [`?\t${name}\t${value.problem}`];
  }
}
