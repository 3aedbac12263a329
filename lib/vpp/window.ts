// Many requests with a bounded number in flight, and one place that does so. Items are taken from the iterable only when
// there is room: a million routes are never a million promises.
//
// Not the connection's `requestMany`: a pool has none, and it reports a failure by the item's place in the iterable, where
// the callers here need the item itself (a prefix made on the way, that nobody keeps) and decide at the first failure
// whether the rest goes on.

/** How many requests go. */
export interface WindowOptions<T> {
  /** Requests in flight at most, default 1024. */
  window?: number | undefined;
  signal?: AbortSignal | undefined;
  /** Called now and then, and at the end, with the number of requests answered. */
  onProgress?: ((done: number) => void) | undefined;
  /** A request that failed; when it throws, no more are sent. */
  onFailure: (item: T, error: unknown) => void;
}

const PROGRESS_EVERY = 8192;

/**
 * Sends every item, and resolves when all are answered.
 *
 * Rejects with the signal's reason, or with what `onFailure` or the iterable threw, after what is in flight is answered.
 */
export function sendAll<T>(
  items: Iterable<T>,
  send: (item: T) => Promise<unknown>,
  options: WindowOptions<T>,
): Promise<number> {
  const { window = 1024, signal, onProgress, onFailure } = options;
  const iterator = items[Symbol.iterator]();
  const low = window >> 1;
  let inFlight = 0;
  let done = 0;
  let exhausted = false;
  let stopped: { error: unknown } | undefined;
  return new Promise((resolve, reject) => {
    const settle = (): void => {
      if (inFlight > 0) return;
      if (stopped !== undefined) {
        if (!exhausted) iterator.return?.();
        // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- what was thrown is passed on
        reject(stopped.error);
        return;
      }
      onProgress?.(done);
      resolve(done);
    };
    const after = (): void => {
      inFlight -= 1;
      done += 1;
      if (onProgress !== undefined && done % PROGRESS_EVERY === 0) {
        try {
          onProgress(done);
        } catch (error) {
          stopped ??= { error };
        }
      }
      if (exhausted || stopped !== undefined) settle();
      else if (inFlight <= low) fill();
    };
    const fill = (): void => {
      try {
        while (inFlight < window && !exhausted && stopped === undefined) {
          signal?.throwIfAborted();
          const next = iterator.next();
          if (next.done === true) {
            exhausted = true;
            break;
          }
          inFlight += 1;
          const item = next.value;
          send(item).then(after, (error: unknown) => {
            try {
              onFailure(item, error);
            } catch (thrown) {
              stopped ??= { error: thrown };
            }
            after();
          });
        }
      } catch (error) {
        stopped ??= { error };
      }
      if (exhausted || stopped !== undefined) settle();
    };
    fill();
  });
}
