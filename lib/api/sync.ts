// A request that blocks the thread: for callers who want the reply in microseconds, and have nothing else to do meanwhile.
//
//   encode -> send -> wait (awake for spinUs, then asleep) -> deliver what has come, other replies too -> until it is ours
//
// Promises of other requests whose replies come meanwhile settle as always; their continuations run afterwards.

import { VppConnectionError } from '../errors.js';
import { RequestExchange, type Fields } from './exchange.js';
import type { InFlight } from './requests.js';
import type { Outgoing } from './resolve.js';
import type { Transport } from './transport/transport.js';

/** How to wait. */
export interface SyncOptions {
  /** Default: the connection's `requestTimeoutMs`; 0: for ever. */
  timeoutMs?: number;
  /** How long to wait awake before the thread goes to sleep, in microseconds; default 100. */
  spinUs?: number;
}

/** Sends a request and returns the fields of its reply. */
export function requestNow(
  inFlight: InFlight,
  transport: Transport,
  outgoing: Outgoing,
  fields: Fields,
  { timeoutMs = 0, spinUs = 100 }: SyncOptions,
): unknown {
  if (transport.pump === undefined) {
    throw new VppConnectionError(
      'ERR_VPP_SYNC',
      `requestSync: the transport ${transport.kind} cannot wait; use request()`,
    );
  }
  const exchange = new RequestExchange(inFlight, outgoing, fields, timeoutMs);
  let outcome: { error: unknown; reply: unknown } | undefined;
  exchange.onSettled = (error, reply) => (outcome = { error, reply });
  exchange.promise.catch(() => undefined);
  inFlight.start(exchange, fields);
  const deadline = timeoutMs > 0 ? performance.now() + timeoutMs : Infinity;
  try {
    for (;;) {
      const settled = outcome;
      if (settled !== undefined) {
        if (settled.error !== undefined) throw settled.error as Error;
        return settled.reply;
      }
      const left = timeoutMs > 0 ? Math.ceil(deadline - performance.now()) : 0x7fffffff;
      if (left <= 0) throw exchange.timeoutError('slow');
      transport.pump(Math.min(left, 1000), spinUs);
    }
  } finally {
    if (outcome === undefined) {
      exchange.fail(new Error('not waited for'));
      inFlight.abandon(exchange);
    }
  }
}
