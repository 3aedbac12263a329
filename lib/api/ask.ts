// One request with what may be around it: a signal, and listeners on the diagnostics channels. Neither costs anything
// where there is none.

import { announce, heard } from './diagnostics.js';
import type { Fields } from './exchange.js';
import type { InFlight } from './requests.js';
import type { Outgoing } from './resolve.js';

/** Sends a request on a link; `connection` is the name it is announced under. */
export function ask(
  inFlight: InFlight,
  connection: string,
  outgoing: Outgoing,
  fields: Fields,
  timeoutMs: number,
  signal: AbortSignal | undefined,
): Promise<unknown> {
  if (signal === undefined && !heard()) return inFlight.request(outgoing, fields, timeoutMs).promise;
  if (signal?.aborted === true) return Promise.reject(signal.reason as Error);
  const settled = heard() ? announce(connection, outgoing.name, fields) : undefined;
  const exchange = inFlight.request(outgoing, fields, timeoutMs);
  const aborted = () => {
    exchange.fail(signal!.reason);
    inFlight.abandon(exchange);
  };
  signal?.addEventListener('abort', aborted, { once: true });
  const { promise } = exchange;
  const done = (error: unknown, reply: unknown) => {
    signal?.removeEventListener('abort', aborted);
    settled?.(error, reply);
  };
  promise.then(
    (reply) => {
      done(undefined, reply);
    },
    (error: unknown) => {
      done(error, undefined);
    },
  );
  return promise;
}
