#!/usr/bin/env node
// The `node-vpp` command. Each subcommand is a file of its own that exports `register(program)`; only the one that is
// asked for is loaded, so that start-up stays quick.
//
//   an error with a code       one line `node-vpp: text`, exit code 1; with --debug the stack and its causes
//   any other error            a mistake in node-vpp: always with the stack
//   Ctrl-C, a closed pipe      lib/cli/stop.ts

import type { Command } from 'commander';
import { readFileSync } from 'node:fs';
import { inspect } from 'node:util';
import { DependencyError } from '../errors.js';
import { handleClosedPipes } from './stop.js';

/** What a subcommand's file exports: adds itself to the program. */
interface Subcommand {
  register(program: Command): void;
}

/** Every subcommand, in the order of `--help`. */
const subcommands: Readonly<Record<string, () => Promise<Subcommand>>> = {
  add: () => import('./edit.js'),
  api: () => import('./api.js'),
  build: () => import('./build.js'),
  config: () => import('./config.js'),
  dataplane: () => import('./dataplane.js'),
  del: () => import('./edit.js'),
  demo: () => import('./demo.js'),
  memif: () => import('./memif.js'),
  schema: () => import('./schema.js'),
  set: () => import('./edit.js'),
  show: () => import('./show.js'),
  stats: () => import('./stats.js'),
};

async function main(args: readonly string[]): Promise<void> {
  const { Command, CommanderError } = await import('commander').catch((cause: unknown) => {
    throw new DependencyError('the node-vpp command', 'commander', { cause });
  });
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
  const program = new Command('node-vpp')
    .description('FD.io VPP for Node.js: packet rings, binary API, stats, configuration')
    .version(version)
    .option('--debug', 'print the stack and the causes of an error')
    .exitOverride()
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, 'node-vpp: ')) });

  const name = args.find((arg) => !arg.startsWith('-'));
  const known = name === undefined ? undefined : Object.entries(subcommands).find(([key]) => key === name);
  const loaded = new Set<Subcommand>();
  for (const [, load] of known === undefined ? Object.entries(subcommands) : [known]) {
    const subcommand = await load();
    // One file may have several subcommands.
    if (!loaded.has(subcommand)) subcommand.register(program);
    loaded.add(subcommand);
  }
  try {
    if (args.length === 0) program.help();
    await program.parseAsync(args, { from: 'user' });
  } catch (error) {
    // Help, version and usage errors: commander has printed them already.
    if (!(error instanceof CommanderError)) throw error;
    process.exitCode = error.exitCode;
  }
}

function report(error: unknown, debug: boolean): void {
  const { code, message, name }: NodeJS.ErrnoException = error instanceof Error ? error : new Error(String(error));
  if (name === 'AbortError') {
    process.exitCode = 130;
    return;
  }
  process.exitCode = 1;
  const brief = typeof code === 'string' && !debug;
  console.error(`node-vpp: ${brief ? message.replace(/\s*\n\s*/g, ' ') : inspect(error)}`);
}

handleClosedPipes();
const args = process.argv.slice(2);
main(args).catch((error: unknown) => {
  report(error, args.includes('--debug'));
});
