// The stats of a running VPP: connects to its stats socket, reads its segment in place, follows it through restarts.

import { EventEmitter } from 'node:events';
import { ArgumentRangeError, StatsError } from '../errors.js';
import type { AccessOptions } from './access.js';
import { Link } from './link.js';
import { type Patterns, patternList } from './patterns.js';
import type { SegmentReader } from './segment-reader.js';
import { SegmentReader as Reader } from './segment-reader.js';
import type { Snapshot } from './snapshot.js';
import { StatsSource } from './source.js';

/** How to connect. */
export interface StatsOptions extends AccessOptions {
  /** The stats socket: a path, or an abstract name as `@name`; default `/run/vpp/stats.sock`. */
  socket?: string;
  /** How long one attempt may take, ms; default 5000. */
  timeoutMs?: number;
  /** Keep trying for so long before giving up, ms; default 0: the first failure is final. */
  waitMs?: number;
  /** Pauses between attempts when VPP has gone, ms; default 50 doubling to 1000. */
  retryMinMs?: number;
  retryMaxMs?: number;
  /** How often reads look whether VPP is still there, ms; default 100. */
  checkMs?: number;
  /** A heartbeat that stands still for so long is asked after, ms; default 30000, three of VPP's intervals. */
  staleMs?: number;
  signal?: AbortSignal;
}

/** What `Stats` emits. */
export interface StatsEvents {
  /** There is a segment; `restarted`: it is another than the last one. */
  connected: [info: { readonly restarted: boolean; readonly pid: number }];
  /** The segment is gone; it is being looked for. */
  disconnected: [reason: StatsError];
  close: [];
}

/** How to subscribe. */
export interface SubscribeOptions {
  /** Time between snapshots, ms; default 1000, at least 1. */
  intervalMs?: number;
  signal?: AbortSignal;
}

/**
 * Connects to a VPP's stats.
 *
 * @throws {StatsError} `ERR_STATS_SYSTEM` (no socket, no permission), `ERR_STATS_TIMEOUT`, `ERR_STATS_PROTOCOL`,
 *   `ERR_STATS_SEGMENT`, `ERR_STATS_VERSION` (it is none of VPP's)
 *
 * @example
 * ```ts
 * import { connectStats } from 'node-vpp/stats';
 * import { createStatsSegment, InterfaceCounters } from 'node-vpp/stats/writer';
 * import assert from 'node:assert/strict';
 *
 * const vpp = createStatsSegment({ sizeBytes: 1 << 20 }); // stands in for a VPP
 * const counters = new InterfaceCounters(vpp);
 * counters.add(1, 'memif0/0');
 * vpp.listen('@doc-stats');
 *
 * const stats = await connectStats({ socket: '@doc-stats' });
 * counters.combined.rx.thread(0).add(1, 256, 16384);
 * assert.equal(stats.interfaces().byName('memif0/0')?.rx.packets, 256);
 * await stats.close();
 * vpp.close();
 * ```
 */
export async function connectStats(options: StatsOptions = {}): Promise<Stats> {
  const stats = new Stats(options);
  await stats.opened;
  return stats;
}

/** The stats of a VPP; made by `connectStats`. */
export class Stats extends StatsSource implements AsyncDisposable {
  readonly socket: string;
  /** What happens to the connection. */
  readonly events = new EventEmitter<StatsEvents>();
  /** @internal */
  readonly opened: Promise<void>;
  readonly #link: Link;
  readonly #abort = new AbortController();
  #closed = false;

  /** @internal */
  constructor(options: StatsOptions) {
    super();
    const number = (name: keyof StatsOptions, value: number, least: number): number => {
      if (typeof value === 'number' && value >= least) return value;
      throw new ArgumentRangeError(`${name} of stats is a number of at least ${least}, not ${String(value)}`);
    };
    this.socket = options.socket ?? '/run/vpp/stats.sock';
    this.#link = new Link({
      ...(options.attempts === undefined ? {} : { attempts: number('attempts', options.attempts, 1) }),
      ...(options.now === undefined ? {} : { now: options.now }),
      busyMs: number('busyMs', options.busyMs ?? 50, 0),
      socket: this.socket,
      timeoutMs: number('timeoutMs', options.timeoutMs ?? 5000, 1),
      retryMinMs: number('retryMinMs', options.retryMinMs ?? 50, 1),
      retryMaxMs: number('retryMaxMs', options.retryMaxMs ?? 1000, 1),
      checkMs: number('checkMs', options.checkMs ?? 100, 0),
      staleMs: number('staleMs', options.staleMs ?? 30_000, 1),
    });
    this.#link.on('connected', (info) => this.events.emit('connected', info));
    this.#link.on('disconnected', (reason) => this.events.emit('disconnected', reason));
    this.opened = this.#open(number('waitMs', options.waitMs ?? 0, 0), options.signal);
  }

  async #open(waitMs: number, signal: AbortSignal | undefined): Promise<void> {
    const until = performance.now() + waitMs;
    const { retryMinMs, retryMaxMs } = this.#link.options;
    let pause = retryMinMs;
    try {
      signal?.throwIfAborted();
      for (;;) {
        try {
          await this.#link.open();
          signal?.throwIfAborted();
          return;
        } catch (error) {
          signal?.throwIfAborted();
          if (performance.now() + pause > until) throw error;
        }
        await sleep(pause, signal);
        pause = Math.min(pause * 2, retryMaxMs);
      }
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  /** @internal */
  override reader(): SegmentReader {
    return this.#link.reader();
  }

  /** @internal */
  protected override reading<T>(work: (reader: SegmentReader) => T): T {
    const reader = this.#link.reader();
    try {
      return work(reader);
    } catch (error) {
      if (error instanceof StatsError && error.reason === 'LOST') this.#link.lose(error);
      if (error instanceof StatsError && error.reason === 'CORRUPT') this.#link.suspect();
      throw error;
    }
  }

  /** @internal */
  protected override doubt(): void {
    this.#link.suspect();
  }

  /** Whether there is a segment to read. */
  get connected(): boolean {
    return this.#link.connected;
  }
  /** VPP's process; 0 when it cannot be seen from here (another PID namespace), or while there is none. */
  get pid(): number {
    return this.#link.pid;
  }
  /** Whether the segment is sealed against truncation. One that is not (huge pages) is guarded: see SECURITY.md. */
  get sealed(): boolean {
    return this.#link.sealed;
  }

  /** Resolves when there is a segment to read: at once, or when VPP is back. */
  async ready(options: { readonly timeoutMs?: number; readonly signal?: AbortSignal } = {}): Promise<void> {
    const { timeoutMs, signal } = options;
    signal?.throwIfAborted();
    try {
      this.#link.reader();
      return;
    } catch (error) {
      if (!(error instanceof StatsError) || error.reason !== 'DISCONNECTED') throw error;
    }
    await new Promise<void>((resolve, reject) => {
      const closed = this.#abort.signal;
      // Without a handle of its own a program that only waits would end.
      const keep = setInterval(() => undefined, 1 << 30);
      const timer =
        timeoutMs === undefined
          ? undefined
          : setTimeout(() => {
              end(() => reject(new StatsError('TIMEOUT', `VPP was not back on ${this.socket} after ${timeoutMs} ms`)));
            }, timeoutMs);
      const onConnected = () => end(resolve);
      const onAbort = () => end(() => reject(signal!.reason as Error));
      const onClosed = () =>
        end(() => reject(new StatsError('CLOSED', 'the stats were closed while they waited for VPP')));
      const end = (settle: () => void) => {
        clearInterval(keep);
        clearTimeout(timer);
        this.#link.off('connected', onConnected);
        signal?.removeEventListener('abort', onAbort);
        closed.removeEventListener('abort', onClosed);
        settle();
      };
      this.#link.on('connected', onConnected);
      signal?.addEventListener('abort', onAbort, { once: true });
      closed.addEventListener('abort', onClosed, { once: true });
    });
  }

  /**
   * Snapshots at a steady pace, each with deltas and rates since the one before. Goes on through restarts of VPP: the
   * first snapshot after one is `restarted` and has no deltas. Ends with `return`, when the signal aborts (it throws the
   * signal's reason), or when the stats are closed.
   *
   * @example
   * ```ts no-run
   * for await (const snapshot of stats.subscribe('/interfaces/.*\/rx$', { intervalMs: 1000 })) {
   *   for (const name of snapshot.names()) console.log(name, snapshot.reading(name)?.rate);
   * }
   * ```
   */
  async *subscribe(patterns?: Patterns, options: SubscribeOptions = {}): AsyncGenerator<Snapshot, void, undefined> {
    const { intervalMs = 1000, signal } = options;
    if (!(intervalMs >= 1)) throw new ArgumentRangeError(`intervalMs of stats is at least 1, not ${intervalMs}`);
    const list = patternList(patterns);
    const ended = signal === undefined ? this.#abort.signal : AbortSignal.any([signal, this.#abort.signal]);
    let previous: Snapshot | undefined;
    let reader: SegmentReader | undefined;
    let restarted = false;
    let due = performance.now();
    let missed = 0;
    const check = (): boolean => {
      signal?.throwIfAborted();
      return this.#closed;
    };
    while (!check()) {
      let snapshot: Snapshot | undefined;
      try {
        const now = this.reader();
        if (now !== reader && reader !== undefined) {
          restarted = true;
          previous = undefined;
        }
        reader = now;
        snapshot = this.take(list, previous, { restarted, missed });
      } catch (error) {
        const reason = error instanceof StatsError ? error.reason : undefined;
        if (reason === 'CLOSED') return;
        if (reason !== 'DISCONNECTED' && reason !== 'LOST' && reason !== 'BUSY') throw error;
        if (reason !== 'BUSY') {
          await this.ready({ signal: ended }).catch((problem: unknown) => {
            if (!check() && !this.#closed) throw problem;
          });
          continue;
        }
      }
      if (snapshot !== undefined) {
        missed = 0;
        yield snapshot;
        previous = snapshot;
        restarted = false;
      } else missed++;
      due += intervalMs;
      const late = performance.now() - due;
      if (late >= intervalMs) {
        const intervals = Math.floor(late / intervalMs);
        missed += intervals;
        due += intervals * intervalMs;
      }
      await sleep(Math.max(0, due - performance.now()), ended).catch(() => undefined);
    }
  }

  /** Unmaps the segment. Views of it become empty; subscriptions end. */
  close(): Promise<void> {
    if (!this.#closed) {
      this.#closed = true;
      this.#link.close();
      this.#abort.abort();
      this.events.emit('close');
    }
    return Promise.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** Bytes of a segment from elsewhere: a file, a core dump. */
export class StatsImage extends StatsSource {
  readonly #reader: SegmentReader;

  /** @internal */
  constructor(reader: SegmentReader) {
    super();
    this.#reader = reader;
  }

  /** @internal */
  override reader(): SegmentReader {
    return this.#reader;
  }
}

/**
 * Reads a segment from bytes.
 *
 * @throws {StatsError} `ERR_STATS_VERSION`, `ERR_STATS_CORRUPT`
 */
export function openStatsImage(bytes: Uint8Array | ArrayBuffer, options: AccessOptions = {}): StatsImage {
  // A view may begin anywhere; words have to be aligned.
  const buffer = bytes instanceof ArrayBuffer ? bytes : new Uint8Array(bytes).buffer;
  return new StatsImage(new Reader(buffer, options));
}

function sleep(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) {
      reject(signal.reason as Error);
      return;
    }
    const onAbort = () => {
      clearTimeout(timer);
      reject(signal!.reason as Error);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    }, ms);
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}
