// From what the addon reports to errors that say what was done, what was seen and what to do.

import { StatsError, type StatsReason } from '../errors.js';
import type { NativeFailure } from '../native.js';

/** What the kernel's answers mean for a stats socket. */
const advice: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another program listens there; stop it or use another socket',
  EACCES: 'no permission: VPP gives its stats socket to its own group; see the mode and owner of the file',
  ENOENT: 'there is no such file or directory; is VPP running, and is this its statseg socket-name?',
  ECONNREFUSED: 'nobody listens there; VPP has ended and left its socket file',
  EPROTOTYPE: 'the socket there is of another type: not the stats socket',
  EEXIST: 'a file that is not a socket is in the way; remove it or use another name',
  EMFILE: 'this process has too many open files: raise `ulimit -n`',
  ENFILE: 'the system has too many open files',
  EAGAIN: 'VPP is too busy to accept',
  ENOMEM: 'there is not enough memory for a segment of that size',
  ENOTDIR: 'part of the path is not a directory',
};

/** Makes an error of a failure. `doing` is what was being done: `connecting to /run/vpp/stats.sock`. */
export function failureToError(doing: string, failure: NativeFailure, path?: string): StatsError {
  const text = failure.text ?? '';
  if (failure.errno === undefined) {
    const reason = (failure.reason ?? 'ADDRESS') as StatsReason;
    return new StatsError(reason, `${doing}: ${text === '' ? 'failed' : text}`, { path });
  }
  const name = failure.errnoName ?? `errno ${failure.errno}`;
  const help = advice[name];
  return new StatsError(
    'SYSTEM',
    `${doing}: ${text === '' ? '' : `${text}: `}${failure.syscall ?? ''} ${name} (${failure.errnoText ?? ''})` +
      (help === undefined ? '' : `: ${help}`),
    { errno: failure.errno, errnoName: name, syscall: failure.syscall, path },
  );
}
