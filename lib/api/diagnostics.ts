// What the library says about itself, on Node's diagnostics channels; whoever wants to log or measure subscribes.
// Nothing is built for a message while nobody listens: one boolean is read per request.
//
//   node-vpp:api:request     { connection, name, fields }                  a request or dump was asked for
//   node-vpp:api:reply       { connection, name, fields, error?, durationMs }  it settled
//   node-vpp:api:event       { connection, name, fields }                  VPP sent an event
//   node-vpp:api:state       { connection, from, to, reason? }             the connection changed state
//   node-vpp:api:late-reply  { connection, total }                         a reply nobody waited for any more
//   tracing:node-vpp:api:request:*                                         the same as a TracingChannel
//
// Secrets in fields are replaced before anybody sees them.

import { channel, tracingChannel } from 'node:diagnostics_channel';
import type { Fields } from './exchange.js';
import { redact } from './redact.js';

/** The channels, for subscribers that want them without their names. */
export const channels = {
  request: channel('node-vpp:api:request'),
  reply: channel('node-vpp:api:reply'),
  event: channel('node-vpp:api:event'),
  state: channel('node-vpp:api:state'),
  lateReply: channel('node-vpp:api:late-reply'),
};

const tracing = tracingChannel<unknown, RequestContext>('node-vpp:api:request');
/** The context handed to every hook of the TracingChannel. */
export interface RequestContext {
  connection: string;
  name: string;
  fields: Readonly<Record<string, unknown>>;
  /** Present when the request failed. */
  error?: unknown;
  /** Present when it succeeded. */
  result?: unknown;
}

const { request, reply } = channels;
const { start, end, asyncStart, asyncEnd, error } = tracing;

/** True when a request has to be announced. */
export function heard(): boolean {
  return (
    request.hasSubscribers ||
    reply.hasSubscribers ||
    start.hasSubscribers ||
    end.hasSubscribers ||
    asyncStart.hasSubscribers ||
    asyncEnd.hasSubscribers ||
    error.hasSubscribers
  );
}

/** Announces a request; returns what has to be called when it settles. */
export function announce(
  connection: string,
  name: string,
  fields: Fields,
): (failure: unknown, result: unknown) => void {
  const began = performance.now();
  const context: RequestContext = { connection, name, fields: redact(fields) };
  if (request.hasSubscribers) request.publish({ connection, name, fields: context.fields });
  if (start.hasSubscribers) start.publish(context);
  if (end.hasSubscribers) end.publish(context);
  return (failure, result) => {
    if (failure !== undefined) context.error = failure;
    else context.result = typeof result === 'object' && result !== null ? redact(result as Fields) : result;
    if (failure !== undefined && error.hasSubscribers) error.publish(context);
    if (asyncStart.hasSubscribers) asyncStart.publish(context);
    if (reply.hasSubscribers) {
      const durationMs = performance.now() - began;
      const settled = { connection, name, fields: context.fields, durationMs };
      reply.publish(failure === undefined ? settled : { ...settled, error: failure });
    }
    if (asyncEnd.hasSubscribers) asyncEnd.publish(context);
  };
}
