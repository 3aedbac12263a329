// How a long-running subcommand learns that it should end: Ctrl-C, SIGTERM, or a reader of its output that went away.
//
//   first signal, closed pipe    the AbortSignal fires; the command closes what it opened and returns
//   second signal                the process ends at once, with 128 + the signal's number
//
// A command that never asks for the signal keeps the usual behaviour: the first Ctrl-C ends the process.

import { constants } from 'node:os';

let controller: AbortController | undefined;

/** Fires once, when the user (or the end of a pipe) asks the command to stop. `reason` is an `AbortError`. */
export function stopSignal(): AbortSignal {
  if (controller === undefined) {
    controller = new AbortController();
    for (const name of ['SIGINT', 'SIGTERM'] as const) {
      process.on(name, () => {
        if (!requestStop()) process.exit(128 + constants.signals[name]);
      });
    }
  }
  return controller.signal;
}

/** Fires the signal. False when no command listens, or it has been fired before. */
export function requestStop(): boolean {
  if (controller === undefined || controller.signal.aborted) return false;
  controller.abort();
  return true;
}

/**
 * Ends quietly, as other Unix tools do, when the reader of a pipe (`| head`) has gone; a full disk behind standard
 * output is said in one line.
 */
export function handleClosedPipes(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') {
      console.error(`node-vpp: writing to standard output: ${error.message}`);
      process.exit(1);
    }
    // Later writes fail the same way and end here again: only the first one stops the command.
    if (controller === undefined) process.exit(128 + constants.signals.SIGPIPE);
    requestStop();
  });
  // Nobody is left to be told.
  process.stderr.on('error', () => process.exit(1));
}
