// Typed registration of what answers a request. A handler gets the decoded fields and gives the fields of the reply;
// what it throws as `Refused` is the reply's retval, beside the fields that VPP sets even then.
//
//   on('create_loopback', ({ mac_address }) => ({ sw_if_index: … }), { sw_if_index: NO_INTERFACE })
//   rows('sw_interface_dump', ({ sw_if_index }) => interfaces…)

import type { DumpName, EventName, MessageOf, NewestApi, RequestName } from '../api/index.js';
import type { ApiServer } from './api/server.js';
import type { Answer, Fields, ServerClient } from './api/client.js';
import { Refused } from './retvals.js';

type Api = NewestApi;

/** The fields of a request, as received. */
export type Asked<N extends keyof Api['decoded']> = MessageOf<Api, N>;
/** The fields of a reply, as given; those left out are zero. */
export type Reply<N extends RequestName<Api>> = Api['requests'][N] extends keyof Api['encoded']
  ? Partial<Api['encoded'][Api['requests'][N]]>
  : never;
/** The fields of a row, as given; those left out are zero. */
export type Row<N extends DumpName<Api>> = Api['dumps'][N] extends keyof Api['encoded']
  ? Partial<Api['encoded'][Api['dumps'][N]]>
  : never;
/** The fields of an event; the pid is that of the client who wants it. */
export type Told<N extends EventName<Api>> = N extends keyof Api['encoded'] ? Partial<Api['encoded'][N]> : never;

/** Nothing but `retval: 0`. */
export const OK = Object.freeze({ retval: 0 });

/** The face of the API server that features register with. */
export class Handlers {
  readonly #server: ApiServer;

  constructor(server: ApiServer) {
    this.#server = server;
  }

  /** Answers a request. `refused`: fields of the reply when it is refused. */
  on<N extends RequestName<Api> & keyof Api['decoded']>(
    name: N,
    handler: (fields: Asked<N>, client: ServerClient) => Reply<N> | Promise<Reply<N>> | undefined,
    refused: Reply<N> = OK as unknown as Reply<N>,
  ): this {
    const refusal = (error: unknown): Fields => {
      if (error instanceof Refused) return { ...(refused as Fields), retval: error.retval };
      throw error;
    };
    this.#server.handle(name, (fields, client): Answer | Promise<Answer> => {
      try {
        const answer = handler(fields as Asked<N>, client);
        return answer instanceof Promise
          ? answer.then((value) => value as Fields, refusal)
          : ((answer ?? OK) as Fields);
      } catch (error) {
        return refusal(error);
      }
    });
    return this;
  }

  /** Answers a dump. Being refused gives no rows. */
  rows<N extends DumpName<Api> & keyof Api['decoded']>(
    name: N,
    handler: (fields: Asked<N>, client: ServerClient) => Iterable<Row<N>>,
  ): this {
    this.#server.handle(name, (fields, client): Answer => {
      try {
        return untilRefused(handler(fields as Asked<N>, client) as Iterable<Fields>);
      } catch (error) {
        if (error instanceof Refused) return [];
        throw error;
      }
    });
    return this;
  }

  /** Sends an event to those who want it. */
  event<N extends EventName<Api>>(name: N, fields: Told<N>): void {
    this.#server.event(name, fields);
  }
}

/** Rows as they come; being refused on the way ends them. */
function* untilRefused(rows: Iterable<Fields>): Generator<Fields> {
  try {
    yield* rows;
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
  }
}
