// Where a request goes: on the fast lane (shared memory) when there is one and it fits, else on the socket.
//
// VPP promises order within a client, and a link with a fast lane is two of them. So that requests are carried out in the
// order of asking all the same, one that has to go by the socket waits until those before it have been answered, and as
// long as it is open all others follow it there. A dump waits for the requests before it, and holds up none after it.
//
//   r r r D r r S r r        r: fits, D: dump, S: request that does not fit
//   fast:   r r r p    r r p         p: a control_ping that tells when those before are done
//   socket:         D         S r r  (until S is answered)

import { VppConnectionError } from '../errors.js';
import { ask } from './ask.js';
import type { Fields } from './exchange.js';
import type { FastLane } from './fast.js';
import type { InFlight } from './requests.js';
import type { Outgoing, Resolver } from './resolve.js';
import { requestNow, type SyncOptions } from './sync.js';
import type { Transport } from './transport/transport.js';

/** See above. */
export class Lanes {
  fast: FastLane | undefined;
  readonly #resolver: Resolver;
  readonly #inFlight: InFlight;
  readonly #transport: Transport;
  /** Requests on the socket that have not been answered, while there is a fast lane. */
  #slow = 0;
  /** When those on the socket may go that wait for the fast lane. */
  #turn: Promise<void> | undefined;

  constructor(resolver: Resolver, inFlight: InFlight, transport: Transport) {
    this.#resolver = resolver;
    this.#inFlight = inFlight;
    this.#transport = transport;
  }

  /** Where a request can go now; undefined when it has to wait for its turn. */
  laneFor(outgoing: Outgoing, fields: Fields): InFlight | undefined {
    if (this.fast === undefined) return this.#inFlight;
    return this.#slow === 0 && this.fast.fits(outgoing, fields) ? this.fast.inFlight : undefined;
  }

  /** Sends a request; `connection` is the name it is announced under. */
  request(
    connection: string,
    outgoing: Outgoing,
    fields: Fields,
    timeoutMs: number,
    signal: AbortSignal | undefined,
  ): Promise<unknown> {
    const lane = this.laneFor(outgoing, fields);
    if (lane !== undefined) return ask(lane, connection, outgoing, fields, timeoutMs, signal);
    this.#slow += 1;
    const send = () => ask(this.#inFlight, connection, outgoing, fields, timeoutMs, signal);
    const turn = this.#afterFast();
    const answer = turn === undefined ? send() : turn.then(send);
    const answered = () => {
      this.#slow -= 1;
    };
    answer.then(answered, answered);
    return answer;
  }

  /** The same, and blocks until the reply is there. */
  requestSync(outgoing: Outgoing, fields: Fields, options: SyncOptions): unknown {
    const { fast } = this;
    if (fast === undefined) return requestNow(this.#inFlight, this.#transport, outgoing, fields, options);
    if (this.#slow === 0 && fast.fits(outgoing, fields)) {
      return requestNow(fast.inFlight, fast.transport, outgoing, fields, options);
    }
    if (this.#turn !== undefined) {
      throw new VppConnectionError(
        'ERR_VPP_SYNC',
        `requestSync: ${outgoing.name} has to wait for requests before it that wait themselves; await them first`,
      );
    }
    const ping = this.#resolver.outgoing('control_ping');
    if (!fast.idle && ping !== undefined) requestNow(fast.inFlight, fast.transport, ping, {}, options);
    return requestNow(this.#inFlight, this.#transport, outgoing, fields, options);
  }

  /** Begins a dump on the socket, once VPP has carried out every request before it. */
  inTurn(begin: (inFlight: InFlight) => void): void {
    const turn = this.#afterFast();
    if (turn === undefined) begin(this.#inFlight);
    else void turn.then(() => begin(this.#inFlight));
  }

  /** Resolves when nothing is in flight or waiting. */
  async whenIdle(): Promise<void> {
    await Promise.all([this.#turn, this.fast?.inFlight.whenIdle()]);
    await this.#inFlight.whenIdle();
  }

  #afterFast(): Promise<void> | undefined {
    if (this.#turn !== undefined) return this.#turn;
    if (this.fast === undefined || this.fast.idle) return undefined;
    const turn = this.fast.settled();
    this.#turn = turn;
    // Later than everything that has asked for this turn by then.
    void turn.then(() => setImmediate(() => (this.#turn = undefined)));
    return turn;
  }
}
