// When to try again: a policy, and the delay it gives for an attempt.
//
//   { count: 3, delayMs: 1000, factor: 2 }      1 s, 2 s, 4 s, then the value is failed until someone asks again

/** How failed operations are tried again. */
export interface RetryPolicy {
  /** How many further tries; `Infinity`: until it works. Default 3. */
  readonly count?: number;
  /** Delay before the first, in milliseconds. Default 1,000. */
  readonly delayMs?: number;
  /** What each delay is multiplied by for the next. Default 2. */
  readonly factor?: number;
  /** No delay is longer. Default 60,000. */
  readonly maxDelayMs?: number;
  /** Part of each delay that is random, 0 to 1. Default 0. */
  readonly jitter?: number;
}

/** A policy with its defaults filled in. */
export type FullRetryPolicy = Required<RetryPolicy>;

/** Fills in the defaults; false: never. */
export function retryPolicy(policy: RetryPolicy | boolean | undefined): FullRetryPolicy | undefined {
  if (policy === false) return undefined;
  const given = typeof policy === 'object' ? policy : {};
  return { count: 3, delayMs: 1000, factor: 2, maxDelayMs: 60_000, jitter: 0, ...given };
}

/** The delay before try number `attempt` (1 is the first retry), or undefined if there is to be none. */
export function retryDelay(policy: FullRetryPolicy, attempt: number, random: () => number): number | undefined {
  if (attempt > policy.count) return undefined;
  const full = Math.min(policy.delayMs * policy.factor ** (attempt - 1), policy.maxDelayMs);
  return full * (1 - policy.jitter * random());
}
