// Time limits of calls under way. All calls with the same limit expire in the order in which they were started, so a queue
// per limit and one timer for its head are enough.
//
//   30 s   [ done, done, open(at 5), open(at 9) ]     timer: at 5
//
// Invariant: a ticket either expires or is ended, never both; with no open tickets no timer waits.

import { SchedulerError } from '../errors.js';
import type { Clock } from './clock.js';
import type { Awaitable, Call } from './descriptor.js';

/** A call under way. */
export interface Ticket {
  readonly at: number;
  open: boolean;
  readonly expire: () => void;
  readonly line: Line;
}

interface Line {
  tickets: Ticket[];
  head: number;
  cancel: (() => void) | undefined;
}

/** Watches the time of calls. */
export class Limits {
  readonly #clock: Clock;
  readonly #lines = new Map<number, Line>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Starts the time of a call; undefined where there is no limit. */
  start(limitMs: number, expire: () => void): Ticket | undefined {
    if (limitMs === Infinity) return undefined;
    let line = this.#lines.get(limitMs);
    if (line === undefined) {
      line = { tickets: [], head: 0, cancel: undefined };
      this.#lines.set(limitMs, line);
    }
    const ticket: Ticket = { at: this.#clock.now() + limitMs, open: true, expire, line };
    line.tickets.push(ticket);
    if (line.cancel === undefined) this.#arm(line, limitMs);
    return ticket;
  }

  /** The call has been answered. */
  end(ticket: Ticket | undefined): void {
    if (ticket?.open !== true) return;
    ticket.open = false;
    const { line } = ticket;
    this.#skip(line);
    if (line.tickets.length > 0) return;
    line.cancel?.();
    line.cancel = undefined;
  }

  #skip(line: Line): void {
    while (line.tickets[line.head]?.open === false) line.head += 1;
    if (line.head === line.tickets.length) {
      line.tickets = [];
      line.head = 0;
    } else if (line.head > 1024 && line.head * 2 > line.tickets.length) {
      line.tickets = line.tickets.slice(line.head);
      line.head = 0;
    }
  }

  #arm(line: Line, delayMs: number): void {
    line.cancel = this.#clock.after(delayMs, () => {
      // Whoever is started by those that expire now finds the line armed, as it will be in the end.
      const armed = (): void => undefined;
      line.cancel = armed;
      const now = this.#clock.now();
      for (;;) {
        this.#skip(line);
        const next = line.tickets[line.head];
        if (next === undefined || next.at > now) break;
        next.open = false;
        next.expire();
      }
      if (line.cancel !== armed) return;
      const head = line.tickets[line.head];
      if (head === undefined) line.cancel = undefined;
      else this.#arm(line, head.at - now);
    });
  }
}

/** What a descriptor's call is given, and what is kept of it here. Its signal is made when it is asked for. */
export class CallHandle implements Call {
  readonly #outer: () => AbortSignal;
  readonly metadata: (key: string) => unknown;
  #controller: AbortController | undefined;
  #signal: AbortSignal | undefined;
  #reason: Error | undefined;

  constructor(outer: () => AbortSignal, metadata: (key: string) => unknown) {
    this.#outer = outer;
    this.metadata = metadata;
  }

  get signal(): AbortSignal {
    if (this.#signal === undefined) {
      this.#controller = new AbortController();
      this.#signal = AbortSignal.any([this.#outer(), this.#controller.signal]);
      if (this.#reason !== undefined) this.#controller.abort(this.#reason);
    }
    return this.#signal;
  }

  /** Whether nobody has asked for the signal, so that the next call may have the same handle. */
  get fresh(): boolean {
    return this.#signal === undefined;
  }

  /** Whether an error says no more than that the call was told to stop. */
  stopped(error: unknown): boolean {
    if (this.#reason === undefined) return false;
    return error === this.#reason || (error instanceof Error && error.name === 'AbortError');
  }

  abort(reason: Error): void {
    this.#reason = reason;
    this.#controller?.abort(reason);
  }
}

/** What is said of a call that took too long. */
export function timeoutError(what: string, limitMs: number, key?: string): SchedulerError {
  return new SchedulerError(
    'ERR_SCHEDULER_TIMEOUT',
    `${what}: no answer within ${limitMs} ms; the call was told to stop, and what it came to is looked up`,
    key === undefined ? {} : { key },
  );
}

/** Waits for an answer, but not for ever. A late one is dropped. */
export function within<T>(
  limits: Limits,
  limitMs: number,
  answer: Awaitable<T>,
  what: string,
  handle?: CallHandle,
): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const ticket = limits.start(limitMs, () => {
      const error = timeoutError(what, limitMs);
      handle?.abort(error);
      reject(error);
    });
    Promise.resolve(answer).then(
      (value) => {
        limits.end(ticket);
        resolve(value);
      },
      (error: unknown) => {
        limits.end(ticket);
        reject(error instanceof Error ? error : new Error(String(error)));
      },
    );
  });
}
