// One request, many times: routes, ACLs, neighbours by the hundred thousand, over any transport.
//
//   iterable ──taken only while fewer than `window` are open──> encode, send ──> reply ──> counted, the next one taken
//
// What VPP refuses is reported and does not stop the others; the loss of the connection, the signal and `maxFailures` do.
// `resumeIndex` is where to go on then: everything before it has an answer. Invariant: an item is sent once, in order; no
// more than `window` items are held at a time, so that an iterable may be larger than memory. No promise per item.

import { VppApiError, VppConnectionError, type NodeVppError } from '../errors.js';
import { Exchange, apiError, malformed, unexpected, type ExchangeHost, type Fields } from './exchange.js';
import { readU32 } from './frame.js';
import type { InFlight } from './requests.js';
import type { Incoming, Outgoing } from './resolve.js';

const KEPT_FAILURES = 1000;
const PROGRESS_MS = 100;

/** How far it is. */
export interface ManyProgress {
  /** Items that have an answer, refused ones included. */
  readonly completed: number;
  /** Items that VPP refused, that could not be encoded, or that were not answered in time. */
  readonly failed: number;
  /** Items sent and not answered yet. */
  readonly open: number;
  readonly elapsedMs: number;
}

/** How to send them. */
export interface ManyOptions {
  /** Items open at most; default: the connection's window. */
  window?: number;
  /** Told now and then (`progressMs`, default 100), and at the end. */
  onProgress?: (progress: ManyProgress) => void;
  progressMs?: number;
  /** Ends it: nothing more is taken or sent, what is open is waited for. */
  signal?: AbortSignal;
  /** For each item; default: the connection's. */
  timeoutMs?: number;
  /** Items at the start of the iterable that are passed over: the `resumeIndex` of an earlier run; default 0. */
  startIndex?: number;
  /** So many failures end it; default: none do. */
  maxFailures?: number;
  /** Gets every reply; without it replies are looked at only for their retval. */
  onReply?: (reply: Record<string, unknown>, index: number) => void;
}

/** One item that did not succeed. */
export interface ManyFailure {
  /** Its place in the iterable. */
  readonly index: number;
  /** VppApiError (refused by VPP), VppEncodeError (never sent), VppTimeoutError, VppProtocolError. */
  readonly error: NodeVppError;
}

/** What became of them. */
export interface ManyReport {
  /** Items that VPP accepted. */
  readonly succeeded: number;
  /** Items that failed, each with an answer of its own. */
  readonly failed: number;
  /** The first 1000 failures. */
  readonly failures: readonly ManyFailure[];
  /** Everything before it has an answer: give it as `startIndex` to go on. */
  readonly resumeIndex: number;
  /** Items at or behind `resumeIndex` of which it is not known whether VPP carried them out. */
  readonly unknown: number;
  /** Why it ended early: the loss of the connection, the signal's reason, or the failure that was one too many. */
  readonly stopped: unknown;
  readonly elapsedMs: number;
}

/** Where an item goes: to the exchanges of a connection, or by a promise when it has to wait for its turn. */
export interface ManyPort {
  lane(outgoing: Outgoing, fields: Fields): InFlight | undefined;
  request(outgoing: Outgoing, fields: Fields, timeoutMs: number): Promise<unknown>;
}

/** One item under way. */
class ManyExchange extends Exchange {
  declare readonly outgoing: Outgoing;
  readonly timeoutMs: number;
  readonly #run: ManyRun;
  readonly #index: number;
  readonly #fields: Fields;
  #settled = false;

  constructor(host: ExchangeHost, outgoing: Outgoing, run: ManyRun, index: number, fields: Fields, timeoutMs: number) {
    super(host, outgoing);
    this.#run = run;
    this.#index = index;
    this.#fields = fields;
    this.timeoutMs = timeoutMs;
  }

  override isLast(): boolean {
    return true;
  }

  override sent(): void {
    this.#settle(undefined, undefined);
  }

  override fail(error: unknown): void {
    this.#settle(error, undefined);
  }

  override receive(bytes: Uint8Array, start: number, end: number, incoming: Incoming): void {
    const { host, outgoing } = this;
    const late = this.phase === 'late';
    host.release(this);
    if (late) host.countLate();
    else if (incoming !== outgoing.reply || end - start < incoming.minBytes) {
      host.countMalformed();
      this.fail(incoming === outgoing.reply ? malformed(incoming, end - start) : unexpected(outgoing.name, incoming));
    } else {
      const retval = incoming.retvalOffset < 0 ? 0 : readU32(bytes, start + incoming.retvalOffset) | 0;
      if (retval < 0) this.fail(apiError(outgoing.name, retval, this.#fields));
      else if (this.#run.wantsReplies) this.#decode(bytes, start, end, incoming);
      else this.#settle(undefined, undefined);
    }
  }

  #decode(bytes: Uint8Array, start: number, end: number, incoming: Incoming): void {
    let reply: Record<string, unknown>;
    try {
      reply = incoming.codec.decode(bytes, start, end);
    } catch (error) {
      this.host.countMalformed();
      this.fail(malformed(incoming, end - start, error));
      return;
    }
    this.#settle(undefined, reply);
  }

  #settle(error: unknown, reply: Record<string, unknown> | undefined): void {
    if (this.#settled) return;
    this.#settled = true;
    this.#run.settled(this.#index, error, reply);
  }
}

/** See above. */
export class ManyRun {
  readonly report: Promise<ManyReport>;
  readonly #port: ManyPort;
  readonly #outgoing: Outgoing;
  readonly #options: ManyOptions;
  #window: number;
  #lowWater: number;
  readonly #timeoutMs: number;
  readonly #iterator: Iterator<Fields> | AsyncIterator<Fields>;
  readonly #began = performance.now();
  readonly #failures: ManyFailure[] = [];
  readonly #done: (report: ManyReport) => void;
  readonly #broken: (error: unknown) => void;
  readonly #aborted = () => this.#stop(this.#options.signal!.reason);
  /** Answered out of order, at or behind `#lowest`. */
  readonly #ahead = new Set<number>();
  #lowest: number;
  #next = 0;
  #open = 0;
  #unknown = 0;
  #succeeded = 0;
  #failed = 0;
  #exhausted = false;
  #stopped: unknown;
  #userError: { error: unknown } | undefined;
  #taking = false;
  #over = false;
  #told = 0;

  constructor(
    port: ManyPort,
    outgoing: Outgoing,
    items: Iterable<Fields> | AsyncIterable<Fields>,
    defaults: { window: number; timeoutMs: number },
    options: ManyOptions,
  ) {
    this.#port = port;
    this.#outgoing = outgoing;
    this.#options = options;
    this.#window = Math.max(1, options.window ?? defaults.window);
    this.#lowWater = this.#window - Math.ceil(this.#window / 4);
    this.#timeoutMs = options.timeoutMs ?? defaults.timeoutMs;
    this.#lowest = options.startIndex ?? 0;
    this.#iterator = Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : items[Symbol.iterator]();
    let done!: (report: ManyReport) => void;
    let broken!: (error: unknown) => void;
    this.report = new Promise((resolve, reject) => ([done, broken] = [resolve, reject]));
    this.#done = done;
    this.#broken = broken;
    const { signal } = options;
    if (signal?.aborted === true) this.#stop(signal.reason);
    else signal?.addEventListener('abort', this.#aborted, { once: true });
    this.#take();
  }

  get wantsReplies(): boolean {
    return this.#options.onReply !== undefined;
  }

  /** An item has its answer. */
  settled(index: number, error: unknown, reply: Record<string, unknown> | undefined): void {
    this.#open -= 1;
    if (error instanceof VppConnectionError) {
      this.#unknown += 1;
      this.#stop(error);
    } else {
      if (error === undefined) this.#succeeded += 1;
      else this.#fail(index, error as NodeVppError);
      if (index === this.#lowest) {
        this.#lowest += 1;
        while (this.#ahead.size > 0 && this.#ahead.delete(this.#lowest)) this.#lowest += 1;
      } else this.#ahead.add(index);
      if (reply !== undefined) this.#call(() => this.#options.onReply!(reply, index));
    }
    if (this.#options.onProgress !== undefined && (this.#succeeded & 63) === 0) this.#tell();
    this.#take();
  }

  #fail(index: number, error: NodeVppError): void {
    this.#failed += 1;
    if (this.#failures.length < KEPT_FAILURES) this.#failures.push({ index, error });
    if (this.#failed >= (this.#options.maxFailures ?? Infinity)) this.#stop(error);
  }

  #stop(reason: unknown): void {
    this.#stopped ??= reason ?? new Error('stopped');
    this.#take();
  }

  /** Takes items while there is room for them. */
  #take(): void {
    // Called by what it calls: the loop that is running goes on with what has changed.
    if (this.#taking || this.#over) return;
    this.#taking = true;
    try {
      // In strides: one item for every reply would keep VPP and this thread waking each other for one message each.
      if (this.#open > this.#lowWater && this.#stopped === undefined) {
        this.#taking = false;
        return;
      }
      while (!this.#exhausted && this.#stopped === undefined && this.#open < this.#window) {
        const result = this.#iterator.next();
        if (result instanceof Promise || 'then' in result) {
          void this.#takeLater(result as Promise<IteratorResult<Fields>>);
          return;
        }
        this.#begin(result);
      }
    } catch (error) {
      this.#giveUp(error);
    }
    this.#taking = false;
    this.#finishIfDone();
  }

  async #takeLater(promise: Promise<IteratorResult<Fields>>): Promise<void> {
    try {
      this.#begin(await promise);
    } catch (error) {
      this.#giveUp(error);
    }
    this.#taking = false;
    this.#take();
  }

  #begin(result: IteratorResult<Fields>): void {
    if (result.done === true) {
      this.#exhausted = true;
      return;
    }
    const index = this.#next++;
    if (index < (this.#options.startIndex ?? 0)) return;
    if (this.#stopped !== undefined) return; // taken while it was stopped, and not sent
    this.#open += 1;
    const fields = result.value;
    const lane = this.#port.lane(this.#outgoing, fields);
    if (lane !== undefined) {
      // More than the lane takes at a time would be encoded now, and copied later.
      if (lane.window < this.#window) {
        this.#window = lane.window;
        this.#lowWater = this.#window - Math.ceil(this.#window / 4);
      }
      lane.start(new ManyExchange(lane, this.#outgoing, this, index, fields, this.#timeoutMs), fields);
      return;
    }
    this.#port.request(this.#outgoing, fields, this.#timeoutMs).then(
      (reply) => this.settled(index, undefined, this.wantsReplies ? (reply as Record<string, unknown>) : undefined),
      (error: unknown) => this.settled(index, error, undefined),
    );
  }

  /** The iterable or a listener threw: its error is the caller's own. */
  #giveUp(error: unknown): void {
    this.#userError ??= { error };
    this.#stopped ??= error;
  }

  #call(listener: () => void): void {
    try {
      listener();
    } catch (error) {
      this.#giveUp(error);
    }
  }

  #tell(): void {
    const now = performance.now();
    if (now - this.#told < (this.#options.progressMs ?? PROGRESS_MS) && !this.#over) return;
    this.#told = now;
    this.#call(() =>
      this.#options.onProgress!({
        completed: this.#succeeded + this.#failed,
        failed: this.#failed,
        open: this.#open,
        elapsedMs: now - this.#began,
      }),
    );
  }

  #finishIfDone(): void {
    if (this.#over || this.#open > 0 || (!this.#exhausted && this.#stopped === undefined)) return;
    this.#over = true;
    this.#options.signal?.removeEventListener('abort', this.#aborted);
    if (!this.#exhausted) void Promise.resolve(this.#iterator.return?.()).catch(() => undefined);
    if (this.#options.onProgress !== undefined) this.#tell();
    if (this.#userError !== undefined) {
      this.#broken(this.#userError.error);
      return;
    }
    this.#done({
      succeeded: this.#succeeded,
      failed: this.#failed,
      failures: this.#failures,
      resumeIndex: this.#lowest,
      unknown: this.#unknown,
      stopped: this.#stopped,
      elapsedMs: performance.now() - this.#began,
    });
  }
}

/** True for the refusal of VPP with one of these retvals: for callers to whom "exists already" is success. */
export function refusedWith(failure: ManyFailure, ...retvals: number[]): boolean {
  return failure.error instanceof VppApiError && retvals.includes(failure.error.retval);
}
