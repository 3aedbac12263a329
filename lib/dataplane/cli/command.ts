// The command line of VPP as far as programs use it: which command a line means, and what is left of the line for it.
// As in VPP, words may be cut off as long as only one command fits (`sh int`), and errors are part of what is printed.

import type { State } from '../state.js';

/** A command: its words, and what it prints for the words behind them. */
export interface Command {
  readonly path: string;
  readonly help: string;
  run(state: State, args: readonly string[]): string | Iterable<string>;
}

/** What a command says when it cannot do what the line asks; printed as `<command>: <text>`. */
export class CommandError extends Error {}

/** The command a line means: the longest whose words fit. Undefined: none; several: the line is too short to tell. */
export function findCommand(
  commands: readonly Command[],
  words: readonly string[],
): { command: Command; args: readonly string[] } | { candidates: readonly Command[] } {
  let best: Command[] = [];
  let used = 0;
  for (const command of commands) {
    const path = command.path.split(' ');
    if (path.length > words.length || !path.every((word, at) => word.startsWith(words[at]!))) continue;
    if (path.length < used) continue;
    if (path.length > used) best = [];
    used = path.length;
    best.push(command);
  }
  // `show interface` against `show interfaces-of`: a word given whole is that word.
  const whole = best.filter((command) => command.path.split(' ').every((word, at) => word === words[at]));
  const chosen = whole.length === 1 ? whole : best;
  return chosen.length === 1 ? { command: chosen[0]!, args: words.slice(used) } : { candidates: chosen };
}

/** Whether an argument is a word, or the beginning of it with at least `least` letters. */
export function is(argument: string | undefined, word: string, least = 2): boolean {
  return argument !== undefined && argument.length >= least && word.startsWith(argument);
}

/** A whole number, or an error that says what was there instead. */
export function numberOf(argument: string | undefined): number {
  const value = Number(argument);
  if (argument === undefined || !Number.isInteger(value)) throw new CommandError(`unknown input \`${argument ?? ''}'`);
  return value;
}
