// Trying again, with pauses that grow: min, 2 min, 4 min … max, each shortened by chance so that many clients of a
// restarted VPP do not come at once. Time and chance are parameters.

/** How often a connection is tried. */
export interface RetryOptions {
  /** First pause, ms; default 50. */
  minMs?: number;
  /** Longest pause, ms; default 1000. */
  maxMs?: number;
  /** 0 to 1, how much of each pause is left to chance; default 0.25. */
  jitter?: number;
  /** Chance, 0 to below 1. */
  random?: () => number;
}

/** The pause before attempt `attempt` (0 is the first retry), ms. */
export function pauseBefore(attempt: number, options: RetryOptions): number {
  const { minMs = 50, maxMs = 1000, jitter = 0.25, random = Math.random } = options;
  const full = Math.min(maxMs, minMs * 2 ** Math.min(attempt, 30));
  return full * (1 - jitter * random());
}

/** Resolves after `ms`, or as soon as the signal aborts. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener('abort', done, { once: true });
  });
}
