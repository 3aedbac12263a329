// The typed face that connections, pools and sessions share. `A` says which VPP: the newest bundled release unless told
// otherwise; a message that `A` does not know can still be named, with untyped fields.

import type { DumpOptions, DumpStream } from './dump.js';
import type { EventOptions, EventStream } from './events.js';
import type { Fields } from './exchange.js';
import type { Api as NewestApi } from './generated/26.06.js';
import type {
  ApiTypes,
  DetailsOf,
  DumpName,
  EventName,
  FieldsOf,
  MessageOf,
  ReplyOf,
  RequestName,
} from './schema/api-types.js';

/** For one request. */
export interface RequestOptions {
  signal?: AbortSignal;
  /** Default: the connection's `requestTimeoutMs`; 0: for ever. */
  timeoutMs?: number;
}

export type { NewestApi };

/** Fields and options; the fields may be left out when each of them has a default. */
export type Arguments<F, O> = Partial<F> extends F ? [fields?: F, options?: O] : [fields: F, options?: O];

/** Fields of a request for rows: the cursor is followed by the dump itself, and need not be given. */
export type DumpFields<F> = F extends { cursor: unknown } ? Omit<F, 'cursor'> & { cursor?: number } : F;

/** A name that `A` does not know. */
export type Unknown<N extends string, Known extends string> = N extends Known ? never : N;

/** Requests, dumps and events of a VPP. */
export interface VppClient<A extends ApiTypes = NewestApi> {
  /**
   * Sends a request and resolves with the fields of its reply.
   *
   * @throws VppApiError when VPP answers a negative retval
   * @throws VppEncodeError when the fields do not fit the message; nothing was sent
   * @throws VppMessageError when this VPP does not have the message, or has another version of it
   * @throws VppTimeoutError when no reply came in time; its `reason` tells whether VPP dropped the request or is slow
   * @throws VppConnectionError when there is no connection, or it was lost before the reply
   */
  request<N extends RequestName<A>>(
    name: N,
    ...args: Arguments<FieldsOf<A, N>, RequestOptions>
  ): Promise<ReplyOf<A, N>>;
  request<N extends string>(
    name: Unknown<N, RequestName<A>>,
    fields?: Fields,
    options?: RequestOptions,
  ): Promise<Record<string, unknown>>;

  /**
   * Asks for many rows: `for await (const row of vpp.dump(…))`. Errors as of `request`, thrown by the loop.
   */
  dump<N extends DumpName<A>>(
    name: N,
    ...args: Arguments<DumpFields<FieldsOf<A, N>>, DumpOptions>
  ): DumpStream<DetailsOf<A, N>>;
  dump<N extends string>(
    name: Unknown<N, DumpName<A>>,
    fields?: Fields,
    options?: DumpOptions,
  ): DumpStream<Record<string, unknown>>;

  /**
   * Events as an async iterator: `for await (const event of vpp.on('sw_interface_event'))`. The want_* request is sent
   * for the first listener, again after a reconnect, and taken back when the last one has gone.
   */
  on<N extends EventName<A>>(name: N, options?: EventOptions): EventStream<MessageOf<A, N>>;
  on<N extends string>(name: Unknown<N, EventName<A>>, options?: EventOptions): EventStream<Record<string, unknown>>;
}
