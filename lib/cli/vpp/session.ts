// What `show`, `set`, `add`, `del` and `config` share: connecting, tables for people, lines for machines.

import type { Command } from 'commander';
import type { Vpp } from '../../vpp/index.js';
import { jsonOf } from '../api.js';
import { printable } from '../format.js';

/** Options of each of them. */
export interface Common {
  socket: string;
  timeout: string;
  json?: boolean;
}

/** Adds the options that each of them has. */
export function withCommon(command: Command): Command {
  return command
    .option('-s, --socket <path>', 'socket of VPP', '/run/vpp/api.sock')
    .option('--timeout <seconds>', 'for the connection and for each request', '5')
    .option('--json', 'for machines: one JSON value a line');
}

/** Connects, does something, and leaves VPP in good order whatever happens. */
export async function withVpp<T>(command: Command, work: (vpp: Vpp, options: Common) => Promise<T>): Promise<T> {
  const options = command.optsWithGlobals<Common>();
  const timeoutMs = Number(options.timeout) * 1000;
  const { openVpp } = await import('../../vpp/index.js');
  const { socket } = options;
  const vpp = await openVpp({ socket, name: 'node-vpp-cli', timeoutMs, requestTimeoutMs: timeoutMs });
  try {
    return await work(vpp, options);
  } finally {
    await vpp.close();
  }
}

export type Row = Record<string, unknown>;

const text = (value: unknown): string => {
  if (value === undefined || value === null || value === '') return '-';
  if (typeof value === 'string') return printable(value);
  if (Array.isArray(value)) return value.length === 0 ? '-' : value.map(text).join(', ');
  if (typeof value === 'object') return printable(jsonOf(value));
  return typeof value === 'number' || typeof value === 'boolean' || typeof value === 'bigint' ? String(value) : '-';
};

/** Prints rows: columns for people, or a JSON object a line. */
export function printRows(rows: readonly Row[], json: boolean | undefined): void {
  if (json === true) {
    for (const row of rows) console.log(jsonOf(row));
    return;
  }
  if (rows.length === 0) {
    console.log('none');
    return;
  }
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  const cells = [columns, ...rows.map((row) => columns.map((column) => text(row[column])))];
  const widths = columns.map((_, at) => Math.max(...cells.map((line) => line[at]!.length)));
  for (const line of cells)
    console.log(
      line
        .map((cell, at) => cell.padEnd(widths[at]!))
        .join('  ')
        .trimEnd(),
    );
}
