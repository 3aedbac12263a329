// From what the addon reports to errors that say what was done, what was seen and what to do.

import { MemifError, type MemifReason } from '../errors.js';
import type { NativeFailure } from '../native.js';

/** What the kernel's answers mean for a memif socket. */
const advice: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another program listens there; stop it or use another socket',
  EACCES: 'no permission: see the mode and owner of the socket file and its directory',
  ENOENT: 'there is no such file or directory; is the server running?',
  ECONNREFUSED: 'nobody listens there; is the server running?',
  EPROTOTYPE: 'the socket there is of another type: not a memif socket',
  EEXIST: 'a file that is not a socket is in the way; remove it or use another name',
  EMFILE: 'this process has too many open files: raise `ulimit -n`',
  ENFILE: 'the system has too many open files',
  EROFS: 'the file system is read-only',
  ENOTDIR: 'part of the path is not a directory',
  EAGAIN: 'the server is too busy to accept',
};

/** Makes an error of a failure. `doing` is what was being done: `connecting to /run/vpp/memif.sock`. */
export function failureToError(doing: string, failure: NativeFailure, path?: string): MemifError {
  if (failure.errno !== undefined && (failure.reason === undefined || failure.reason === 'SYSTEM')) {
    const name = failure.errnoName ?? `errno ${failure.errno}`;
    const what = failure.text === undefined || failure.text === '' ? '' : `${failure.text}: `;
    const help = advice[name];
    return new MemifError(
      'SYSTEM',
      `${doing}: ${what}${failure.syscall ?? ''} ${name} (${failure.errnoText ?? ''})${help === undefined ? '' : `: ${help}`}`,
      { errno: failure.errno, errnoName: name, syscall: failure.syscall, path },
    );
  }
  if (failure.reason === undefined) return new MemifError('ADDRESS', `${doing}: ${failure.text ?? 'failed'}`);
  const reason = failure.reason as MemifReason;
  return new MemifError(
    reason,
    `${doing}: ${failure.text === undefined || failure.text === '' ? reason : failure.text}`,
  );
}
