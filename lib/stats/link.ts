// The way to the segment of a VPP that may go and come back.
//
//             open               connected                 gone: socket file removed or replaced, process ended,
//   (new) ───────────▶ connecting ───────▶ up ───────┐     segment truncated, header overwritten
//                          ▲    │ failed             │
//                          │    ▼                    ▼
//                         waiting ◀────────────── down ──▶ closed (any time)
//
// The socket says nothing after it has handed out the segment, and a segment whose VPP has died stays as it was. So the
// link looks, when somebody reads and at most every `checkMs`: is the socket file the same, does the process live, does
// the heartbeat go on? A heartbeat that stands still for `staleMs` is asked after by connecting once more: the same
// segment means that VPP is merely stuck.

import { statSync } from 'node:fs';
import { EventEmitter } from 'node:events';
import { StatsError } from '../errors.js';
import { native, type NativeFailure, type NativeStatsClient, type NativeStatsSegment } from '../native.js';
import type { AccessOptions } from './access.js';
import { failureToError } from './failure.js';
import { EntryType } from './layout.js';
import { SegmentReader } from './segment-reader.js';

/** How the segment is got and followed. */
export interface LinkOptions extends AccessOptions {
  readonly socket: string;
  /** How long one attempt to get the segment may take, ms. */
  readonly timeoutMs: number;
  /** Pauses between attempts after the segment was lost, ms: the first one, and the longest. */
  readonly retryMinMs: number;
  readonly retryMaxMs: number;
  /** How often it is looked whether the segment is still that of the socket, ms. */
  readonly checkMs: number;
  /** Heartbeats that stand still for so long are asked after, ms. */
  readonly staleMs: number;
}

/** What a link tells. */
export interface LinkEvents {
  connected: [info: { readonly restarted: boolean; readonly pid: number }];
  disconnected: [reason: StatsError];
}

interface Segment {
  readonly native: NativeStatsSegment;
  readonly reader: SegmentReader;
  /** Of the socket file: inode and time of change; undefined for abstract names. */
  readonly file: string | undefined;
}

/** Follows one stats socket. @internal */
export class Link extends EventEmitter<LinkEvents> {
  readonly options: LinkOptions;
  #segment: Segment | undefined;
  #lastIdentity: string | undefined;
  #client: NativeStatsClient | undefined;
  #timers = new Set<NodeJS.Timeout>();
  #state: 'open' | 'closed' = 'open';
  #down: StatsError | undefined;
  #retryMs: number;
  #checkedAt: number;
  #heartbeat: bigint | undefined;
  #heartbeatAt: number;
  #probing = false;
  #suspectedAt = -Infinity;
  readonly #now: () => number;

  constructor(options: LinkOptions) {
    super();
    // One per waiting reader; there may be many.
    this.setMaxListeners(0);
    this.options = options;
    this.#retryMs = options.retryMinMs;
    this.#now = options.now ?? (() => performance.now());
    this.#checkedAt = this.#heartbeatAt = this.#now();
  }

  /** The segment, looked after. @throws {StatsError} `ERR_STATS_DISCONNECTED`, `ERR_STATS_CLOSED` */
  reader(): SegmentReader {
    const segment = this.#segment;
    if (segment !== undefined) {
      const now = this.#now();
      if (now - this.#checkedAt < this.options.checkMs) return segment.reader;
      this.#checkedAt = now;
      this.#check(segment, now);
      if (this.#segment !== undefined) return this.#segment.reader;
    }
    if (this.#state === 'closed') throw new StatsError('CLOSED', 'reading stats that were closed by this program');
    throw new StatsError(
      'DISCONNECTED',
      `reading stats of ${this.options.socket}: there is no VPP at the moment (${this.#down?.message ?? 'connecting'}); ` +
        'await ready()',
      { path: this.options.socket, cause: this.#down },
    );
  }

  get connected(): boolean {
    return this.#segment !== undefined;
  }
  get pid(): number {
    return this.#segment?.native.pid ?? 0;
  }
  get sealed(): boolean {
    return this.#segment?.native.sealed ?? false;
  }

  /** One attempt. @throws {StatsError} why there is no segment */
  async open(): Promise<void> {
    const segment = await this.#fetch();
    // Whoever closes while this is under way gets what it asked for.
    if ((this.#state as string) === 'closed') {
      segment.native.close();
      throw new StatsError('CLOSED', 'the stats were closed while they were being connected');
    }
    this.#take(segment);
  }

  /** Tries again and again from now on. */
  retry(): void {
    if (this.#state === 'closed' || this.#segment !== undefined) return;
    this.#later(this.#retryMs, () => {
      if (this.#segment !== undefined || this.#client !== undefined) return;
      this.open().catch((error: unknown) => {
        this.#down = error as StatsError;
        this.#retryMs = Math.min(this.#retryMs * 2, this.options.retryMaxMs);
        this.retry();
      });
    });
  }

  /** Gives the segment up: it is known to be no good. */
  lose(reason: StatsError): void {
    const segment = this.#segment;
    if (segment === undefined) return;
    this.#segment = undefined;
    this.#down = reason;
    segment.native.close();
    this.#retryMs = this.options.retryMinMs;
    this.emit('disconnected', reason);
    this.retry();
  }

  /** Somebody found the segment garbled: looks, at most once a second, whether there is another one by now. */
  suspect(): void {
    const segment = this.#segment;
    const now = this.#now();
    if (segment === undefined || this.#probing || now - this.#suspectedAt < this.options.retryMaxMs) return;
    this.#suspectedAt = now;
    this.#startProbe(segment);
  }

  close(): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
    this.#client?.close();
    this.#client = undefined;
    this.#segment?.native.close();
    this.#segment = undefined;
  }

  #later(ms: number, work: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      work();
    }, ms);
    // Waiting for VPP alone does not keep a program alive; whoever waits for `ready()` does.
    timer.unref();
    this.#timers.add(timer);
  }

  #take(segment: Segment): void {
    const { identity } = segment.native;
    const restarted = this.#lastIdentity !== undefined && this.#lastIdentity !== identity;
    this.#segment?.native.close();
    this.#segment = segment;
    this.#lastIdentity = identity;
    this.#down = undefined;
    this.#retryMs = this.options.retryMinMs;
    this.#checkedAt = this.#heartbeatAt = this.#now();
    this.#heartbeat = undefined;
    this.emit('connected', { restarted, pid: segment.native.pid });
  }

  /** Asks the socket for its segment. */
  #fetch(): Promise<Segment> {
    const { socket, timeoutMs } = this.options;
    const doing = `getting the stats segment of ${socket}`;
    const file = fileOf(socket);
    return new Promise((resolve, reject) => {
      const fail = (failure: NativeFailure | StatsError) => {
        clearTimeout(timer);
        this.#client = undefined;
        reject(failure instanceof Error ? failure : failureToError(doing, failure, socket));
      };
      const timer = setTimeout(() => {
        this.#client?.close();
        fail(
          new StatsError(
            'TIMEOUT',
            `${doing}: nothing came in ${timeoutMs} ms; VPP is stuck, or this is not its stats socket`,
            {
              path: socket,
            },
          ),
        );
      }, timeoutMs);
      const client = new (native().StatsClient)(socket, (segment, failure) => {
        if (segment === undefined) {
          fail(failure ?? {});
          return;
        }
        clearTimeout(timer);
        this.#client = undefined;
        try {
          resolve({ native: segment, reader: new SegmentReader(segment.buffer, this.options), file });
        } catch (error) {
          segment.close();
          fail(error as StatsError);
        }
      });
      if (client.failure !== undefined) fail(client.failure);
      else this.#client = client;
    });
  }

  /** Looks whether the segment is still that of the socket. */
  #check(segment: Segment, now: number): void {
    const { socket, staleMs } = this.options;
    const gone = (why: string) => {
      this.lose(new StatsError('DISCONNECTED', `the VPP of ${socket} is gone: ${why}`, { path: socket }));
    };
    if (!segment.reader.access.intact() || (!segment.native.sealed && segment.native.lost())) {
      this.lose(
        new StatsError('LOST', `the stats segment of ${socket} is gone: it was truncated, or its header overwritten`),
      );
      return;
    }
    if (segment.file !== undefined) {
      const file = fileOf(socket);
      if (file === undefined) {
        gone('its socket file was removed');
        return;
      }
      if (file !== segment.file) {
        gone('another one listens on its socket');
        return;
      }
    }
    const { pid } = segment.native;
    if (pid > 0 && pid !== process.pid && !isAlive(pid)) {
      gone(`process ${pid} has ended`);
      return;
    }
    const heartbeat = heartbeatOf(segment.reader);
    if (heartbeat !== this.#heartbeat) {
      this.#heartbeat = heartbeat;
      this.#heartbeatAt = now;
    } else if (now - this.#heartbeatAt >= staleMs && !this.#probing) {
      this.#heartbeatAt = now;
      this.#startProbe(segment);
    }
  }

  #startProbe(segment: Segment): void {
    this.#probing = true;
    void this.#probe(segment).finally(() => (this.#probing = false));
  }

  /** Connects once more: another segment, or nobody who hands one out, means that ours is dead. */
  async #probe(segment: Segment): Promise<void> {
    let found: Segment;
    try {
      found = await this.#fetch();
    } catch (error) {
      const { reason, errnoName, message } = error as StatsError;
      // A VPP that is stuck lets connections wait, and a full queue refuses them: it may go on.
      if (reason === 'TIMEOUT' || errnoName === 'EAGAIN' || errnoName === 'EMFILE') return;
      if (this.#segment === segment) this.lose(new StatsError('DISCONNECTED', message, { cause: error }));
      return;
    }
    if (this.#segment === segment && this.#state === 'open' && found.native.identity !== segment.native.identity) {
      this.emit('disconnected', new StatsError('DISCONNECTED', `another VPP listens on ${this.options.socket}`));
      this.#take(found);
    } else found.native.close();
  }
}

/** What tells one socket file from another; undefined for abstract names and files that are not there. */
function fileOf(socket: string): string | undefined {
  if (socket.startsWith('@') || socket.startsWith('abstract:')) return undefined;
  const stat = statSync(socket, { bigint: true, throwIfNoEntry: false });
  return stat === undefined ? undefined : `${stat.dev}:${stat.ino}:${stat.ctimeNs}`;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}

function heartbeatOf(reader: SegmentReader): bigint | undefined {
  try {
    return reader.access.read(() => {
      const directory = reader.directory();
      const index = directory.indexOf('/sys/heartbeat');
      if (index === undefined || directory.types[index] !== EntryType.scalar) return undefined;
      return reader.memory.u64[(directory.offset + index * reader.layout.entryBytes + 8) / 8]!;
    });
  } catch {
    // Busy or garbled: whoever reads is told; here it is only no sign of life.
    return undefined;
  }
}
