// The command line in a message (cli_inband): the commands there are, one file per subject.

import { findCommand, CommandError, type Command } from './command.js';
import { fibCommands } from './fib.js';
import { interfaceCommands } from './interfaces.js';
import { layer2Commands } from './layer2.js';
import { lines } from './layout.js';
import { portCommands } from './ports.js';
import { systemCommands } from './system.js';
import type { State } from '../state.js';

const commands: readonly Command[] = [
  ...systemCommands,
  ...interfaceCommands,
  ...portCommands,
  ...layer2Commands,
  ...fibCommands,
].sort((a, b) => (a.path < b.path ? -1 : 1));

/** What a command prints, errors included, and whether it could be done. */
export function runCommand(state: State, text: string): { text: string; done: boolean } {
  const words = text.trim().split(/\s+/);
  const done = (printed: string) => ({ text: printed, done: true });
  const refused = (printed: string) => ({ text: printed, done: false });
  if (words[0] === '') return done('');
  if (words[0] === 'help' || words[0] === '?') return done(lines(commands.map(({ help }) => `  ${help}`)));
  const found = findCommand(commands, words);
  if ('candidates' in found) {
    if (found.candidates.length > 1) return refused(`${words.join(' ')}: ambiguous command\n`);
    const beginnings = commands.filter(({ path }) => path.startsWith(words[0]!));
    return refused(
      beginnings.length === 0
        ? `unknown input \`${words.join(' ')}'\n`
        : `${words[0]!}: unknown input \`${words.slice(1).join(' ')}'\n`,
    );
  }
  try {
    const printed = found.command.run(state, found.args);
    return done(typeof printed === 'string' ? printed : lines(printed));
  } catch (error) {
    if (error instanceof CommandError) return refused(`${found.command.path}: ${error.message}\n`);
    throw error;
  }
}
