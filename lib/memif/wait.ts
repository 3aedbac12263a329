// Waiting for something to become true of an interface: looked at when it comes up and when it is woken, given up when
// it is closed, at a time limit, or by a signal.

import { MemifError } from '../errors.js';
import type { Memif } from './memif.js';

/** Limits of a wait. */
export interface WaitOptions {
  signal?: AbortSignal;
  timeoutMs?: number;
}

/**
 * Resolves with what `ready` gives once that is not undefined. `what` is what was being waited for, for error texts;
 * `waker.wake` is set to a function that looks again.
 */
export function waitUntil<T>(
  memif: Memif,
  ready: () => T | undefined,
  what: string,
  options: WaitOptions,
  waker: { wake?: () => void } = {},
): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const { signal, timeoutMs } = options;
    let timer: NodeJS.Timeout | undefined;
    const finish = (settle: () => void): void => {
      memif.off('up', check);
      memif.off('close', closed);
      signal?.removeEventListener('abort', aborted);
      clearTimeout(timer);
      settle();
    };
    const check = (): void => {
      const value = ready();
      if (value !== undefined) finish(() => resolve(value));
    };
    const closed = (): void => finish(() => reject(new MemifError('CLOSED', `${what}: it was closed`)));
    const aborted = (): void => {
      const reason: unknown = signal?.reason;
      finish(() => reject(reason instanceof Error ? reason : new Error(String(reason))));
    };
    waker.wake = check;
    memif.on('up', check);
    memif.on('close', closed);
    signal?.addEventListener('abort', aborted, { once: true });
    if (timeoutMs !== undefined) {
      timer = setTimeout(() => {
        const last = memif.lastError;
        const why = last === undefined ? '' : `; last: ${last.message}`;
        finish(() => reject(new MemifError('TIMEOUT', `${what}: not within ${timeoutMs} ms${why}`, { cause: last })));
      }, timeoutMs);
    }
    if (signal?.aborted) aborted();
    else if (memif.isDone) closed();
    else check();
  });
}
