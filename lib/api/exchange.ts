// One exchange with VPP: what was asked, and who waits for the answer. A context names it on the wire:
//
//   context = generation (16 bits) << 16 | slot (16 bits)
//
//   open ──reply──────────────> settled, slot free
//   open ──timeout, abort─────> settled, slot in quarantine ──late reply──> slot free
//   parked (window full) ─────> open, or settled without VPP ever seeing it
//
// Invariant: an exchange settles exactly once; a slot in quarantine is not given out, and when its turn comes again
// the generation differs.

import { VppApiError, VppProtocolError, VppTimeoutError } from '../errors.js';
import { retvalName } from './schema/retval.js';
import type { DeadlineQueue, Expiring } from './deadlines.js';
import { readU32 } from './frame.js';
import { redact } from './redact.js';
import type { Incoming, Outgoing } from './resolve.js';

/** Field values of a message. */
export type Fields = Readonly<Record<string, unknown>>;

/** Where an exchange is. */
export type Phase = 'parked' | 'open' | 'late' | 'done';

/** What an exchange may ask of the table it is in. */
export interface ExchangeHost {
  /** Over: the slot may be used again. */
  release(exchange: Exchange): void;
  /** Settled before VPP answered: the slot waits for the late reply. */
  quarantine(exchange: Exchange): void;
  /** The deadline has passed. */
  expired(exchange: Exchange): void;
  /** A message that does not fit its schema, or arrives for the wrong request. */
  countMalformed(): void;
  countLate(): void;
}

/** What all exchanges share. */
export abstract class Exchange implements Expiring {
  readonly outgoing: Outgoing | undefined;
  readonly host: ExchangeHost;
  context = 0;
  phase: Phase = 'parked';
  /** Takes room in the window. */
  counted = false;
  /** Ordinal of the sending, to know whether a later control_ping was answered. */
  sentAt = 0;
  /** The encoded message while it waits for room. */
  parked: Uint8Array | undefined;

  deadline = 0;
  queue: DeadlineQueue | undefined = undefined;
  earlier: Expiring | undefined = undefined;
  later: Expiring | undefined = undefined;

  constructor(host: ExchangeHost, outgoing: Outgoing | undefined) {
    this.host = host;
    this.outgoing = outgoing;
  }

  expire(): void {
    this.host.expired(this);
  }

  /** A message with this exchange's context arrived. */
  abstract receive(bytes: Uint8Array, start: number, end: number, incoming: Incoming): void;
  /** Ends with an error, once; later calls do nothing. */
  abstract fail(error: unknown): void;
  /** Ends without an answer, for VPP sends none. */
  abstract sent(): void;
  /** True for the message after which VPP will not use the context again. */
  abstract isLast(incoming: Incoming): boolean;
  /** What the time-out was, for the error's text; 0 without one. */
  abstract get timeoutMs(): number;

  /** The error of a time-out. */
  timeoutError(reason: 'ignored' | 'slow' | 'unsent'): VppTimeoutError {
    const messageName = this.outgoing?.name ?? 'control_ping';
    const { timeoutMs } = this;
    const texts = {
      ignored:
        'VPP answered a control_ping sent after it, so that it has dropped the request without a word (a message it ' +
        'finds too short, a client index it does not know) or answers it from elsewhere, later',
      slow: 'VPP answers nothing else either: its main thread is busy or stopped',
      unsent: 'it was still waiting for room in the window of requests in flight, and VPP has not seen it',
    };
    return new VppTimeoutError(`${messageName}: no reply within ${timeoutMs} ms; ${texts[reason]}`, {
      messageName,
      timeoutMs,
      reason,
    });
  }
}

/** The error for a negative retval. */
export function apiError(name: string, retval: number, fields: Fields): VppApiError {
  const errorName = retvalName(retval)?.name ?? 'UNKNOWN';
  return new VppApiError(`${name}: VPP answered ${retval} (${errorName})`, {
    retval,
    errorName,
    messageName: name,
    fields: redact(fields),
  });
}

/** The error for a message that its codec cannot read. */
export function malformed(incoming: Incoming, size: number, cause?: unknown): VppProtocolError {
  return new VppProtocolError(
    'ERR_VPP_REPLY_MALFORMED',
    `${incoming.name}: VPP sent ${size} bytes that do not hold such a message (at least ${incoming.minBytes} needed)` +
      (cause instanceof Error ? `: ${cause.message}` : ''),
    { cause },
  );
}

/** The error for a context on the wrong message. */
export function unexpected(asked: string, incoming: Incoming): VppProtocolError {
  return new VppProtocolError('ERR_VPP_REPLY_UNEXPECTED', `${asked}: VPP answered with ${incoming.name}`);
}

let takenResolve: (value: unknown) => void;
let takenReject: (error: unknown) => void;
/** Shared by all requests, so that a promise costs no closure of its own. */
const take = (resolve: (value: unknown) => void, reject: (error: unknown) => void) => {
  takenResolve = resolve;
  takenReject = reject;
};

/** One request, one reply. */
export class RequestExchange extends Exchange {
  declare readonly outgoing: Outgoing;
  readonly promise: Promise<unknown>;
  readonly fields: Fields;
  readonly timeoutMs: number;
  readonly #resolve: (value: unknown) => void;
  readonly #reject: (error: unknown) => void;
  #settled = false;
  /** Told once, when the exchange has settled. */
  onSettled: ((error: unknown, reply: unknown) => void) | undefined = undefined;

  constructor(host: ExchangeHost, outgoing: Outgoing, fields: Fields, timeoutMs: number) {
    super(host, outgoing);
    this.fields = fields;
    this.timeoutMs = timeoutMs;
    this.promise = new Promise(take);
    this.#resolve = takenResolve;
    this.#reject = takenReject;
  }

  succeed(reply: unknown): void {
    if (this.#settled) return;
    this.#settled = true;
    this.#resolve(reply);
    if (this.onSettled !== undefined) this.onSettled(undefined, reply);
  }

  override fail(error: unknown): void {
    if (this.#settled) return;
    this.#settled = true;
    this.#reject(error);
    if (this.onSettled !== undefined) this.onSettled(error, undefined);
  }

  override isLast(): boolean {
    return true;
  }

  override sent(): void {
    this.succeed(undefined);
  }

  override receive(bytes: Uint8Array, start: number, end: number, incoming: Incoming): void {
    const { outgoing, host } = this;
    if (this.phase === 'late') {
      host.countLate();
      host.release(this);
      return;
    }
    host.release(this);
    if (incoming !== outgoing.reply) {
      host.countMalformed();
      this.fail(unexpected(outgoing.name, incoming));
      return;
    }
    if (end - start < incoming.minBytes) {
      host.countMalformed();
      this.fail(malformed(incoming, end - start));
      return;
    }
    if (incoming.retvalOffset >= 0) {
      const retval = readU32(bytes, start + incoming.retvalOffset) | 0;
      if (retval < 0) {
        this.fail(apiError(outgoing.name, retval, this.fields));
        return;
      }
    }
    let reply: unknown;
    try {
      reply = incoming.codec.decode(bytes, start, end);
    } catch (error) {
      host.countMalformed();
      this.fail(malformed(incoming, end - start, error));
      return;
    }
    this.succeed(reply);
  }
}
