// A stats segment that this process writes, as VPP writes its own (layout version 2 of 26.06), served on a stats socket:
// VPP's C, Python and Go clients read it, and so does `connectStats`.
//
//   const stats = createStatsSegment();            header and the entries that every segment has
//   const rx = stats.addCombined('/if/rx', …);     structure: inside the epoch protocol
//   rx.thread(0).add(1, packets, bytes);           counting: a typed array, no lock
//   stats.listen('/run/vpp/stats.sock');

import { ArgumentRangeError, StatsError } from '../../errors.js';
import { native, type NativeStatsMemory } from '../../native.js';
import { failureToError } from '../failure.js';
import { EntryType, FIXED_ENTRIES } from '../layout.js';
import { CombinedCounters, type CounterOptions, Histogram, type HistogramOptions, SimpleCounters } from './counters.js';
import { Names, Scalar, Symlink, type WriterEntry } from './entries.js';
import { RingBuffer, type RingBufferOptions } from './ring-buffer.js';
import { SegmentBytes } from './segment.js';

/** What a segment is made with. */
export interface StatsSegmentOptions {
  /** Bytes of shared memory, 64 KiB to 4 GiB; default 32 MiB, as in VPP. Pages that are not used take no memory. */
  sizeBytes?: number;
  /** Threads of entries that do not say otherwise, the main thread included; default 1. */
  threads?: number;
  /** How often the heartbeat goes on and collectors run, ms; default 10000, as in VPP; 0: only by `update()`. */
  updateIntervalMs?: number;
  /** `/sys/boottime`, seconds since 1970; default now. */
  bootTime?: number;
}

/** How the socket is made. */
export interface StatsListenOptions {
  /** Permission bits of the socket file, e.g. 0o660; default: what the umask leaves. */
  fileMode?: number;
  uid?: number;
  gid?: number;
}

/**
 * Makes a stats segment.
 *
 * @throws {StatsError} `ERR_STATS_SYSTEM` when there is no memory for it
 *
 * @example
 * ```ts
 * import { createStatsSegment } from 'node-vpp/stats/writer';
 * import { connectStats } from 'node-vpp/stats';
 * import assert from 'node:assert/strict';
 *
 * const segment = createStatsSegment({ sizeBytes: 1 << 20 });
 * const rx = segment.addCombined('/if/rx', { length: 2 });
 * segment.addSymlink('/interfaces/eth0/rx', rx, 1);
 * segment.listen('@doc-writer');
 * rx.thread(0).add(1, 10, 640);
 *
 * const stats = await connectStats({ socket: '@doc-writer' });
 * const eth0 = stats.get('/interfaces/eth0/rx');
 * assert.ok(eth0?.type === 'combinedColumn');
 * assert.deepEqual([eth0.packets, eth0.bytes], [[10n], [640n]]);
 * await stats.close();
 * segment.close();
 * ```
 */
export function createStatsSegment(options: StatsSegmentOptions = {}): StatsSegmentWriter {
  return new StatsSegmentWriter(options);
}

/** A stats segment that is written here; made by `createStatsSegment`. */
export class StatsSegmentWriter implements Disposable {
  /** Threads of entries that do not say otherwise. */
  readonly threads: number;
  readonly sizeBytes: number;
  /** Entries that every segment has. */
  readonly heartbeat: Scalar;
  readonly lastStatsClear: Scalar;
  readonly bootTime: Scalar;
  readonly #memory: NativeStatsMemory;
  readonly #segment: SegmentBytes;
  readonly #collectors = new Set<() => void>();
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  /** @internal */
  constructor(options: StatsSegmentOptions) {
    const {
      sizeBytes = 32 << 20,
      threads = 1,
      updateIntervalMs = 10_000,
      bootTime = Math.floor(Date.now() / 1000),
    } = options;
    if (!Number.isInteger(sizeBytes) || sizeBytes < 65_536 || sizeBytes > 2 ** 32) {
      throw new ArgumentRangeError(`a stats segment has 64 KiB to 4 GiB, not ${sizeBytes} bytes`);
    }
    this.sizeBytes = Math.ceil(sizeBytes / 4096) * 4096;
    this.threads = threads;
    this.#memory = new (native().StatsMemory)(this.sizeBytes);
    if (this.#memory.failure !== undefined) {
      throw failureToError(`creating a stats segment of ${this.sizeBytes} bytes`, this.#memory.failure);
    }
    this.#segment = new SegmentBytes(this.#memory.buffer);
    const [heartbeat, lastStatsClear, boot] = this.change(() =>
      FIXED_ENTRIES.map((name) => new Scalar(this.#segment, name, EntryType.scalar)),
    );
    this.heartbeat = heartbeat!;
    this.lastStatsClear = lastStatsClear!;
    this.bootTime = boot!;
    this.bootTime.value = bootTime;
    this.#addMemoryCounters();
    if (updateIntervalMs > 0) this.#timer = setInterval(() => this.update(), updateIntervalMs).unref();
  }

  /** Structural changes so far: readers notice by it. */
  get epoch(): bigint {
    this.#assertOpen();
    return this.#segment.epoch;
  }
  /** Clients that were handed the segment. */
  get served(): number {
    return this.#memory.served;
  }
  /** Bytes of the segment that are given out, and those that there are. */
  get memory(): { usedBytes: number; totalBytes: number } {
    return { usedBytes: this.#segment.heap.usedBytes, totalBytes: this.#segment.heap.totalBytes };
  }

  /** Adds a number that is set: a timestamp in seconds, say. @throws {StatsError} see `addSimple` */
  addScalar(name: string, value: bigint | number = 0): Scalar {
    return this.#add(() => new Scalar(this.#segment, name, EntryType.scalar, BigInt(value)));
  }

  /** Adds a number that goes up and down. @throws {StatsError} see `addSimple` */
  addGauge(name: string, value: bigint | number = 0): Scalar {
    return this.#add(() => new Scalar(this.#segment, name, EntryType.gauge, BigInt(value)));
  }

  /**
   * Adds counters by thread and index.
   *
   * @throws {StatsError} `ERR_STATS_NAME` when the name is taken, empty or over 127 bytes, `ERR_STATS_SPACE` when the
   *   segment is full (it is as it was then), `ERR_STATS_CLOSED`
   */
  addSimple(name: string, options: CounterOptions = {}): SimpleCounters {
    return this.#add(() => new SimpleCounters(this.#segment, name, { threads: this.threads, ...options }));
  }

  /** Adds counters of packets and bytes by thread and index. @throws {StatsError} see `addSimple` */
  addCombined(name: string, options: CounterOptions = {}): CombinedCounters {
    return this.#add(() => new CombinedCounters(this.#segment, name, { threads: this.threads, ...options }));
  }

  /** Adds a vector of names by index. @throws {StatsError} see `addSimple` */
  addNames(name: string, names: readonly (string | undefined)[] = []): Names {
    return this.#add(() => {
      const entry = new Names(this.#segment, name);
      names.forEach((text, index) => {
        if (text !== undefined) entry.set(index, text);
      });
      return entry;
    });
  }

  /**
   * Gives column `column` of an entry a name of its own.
   *
   * @throws {ArgumentRangeError} when the target has no such column; call `ensure` first
   */
  addSymlink(name: string, target: SimpleCounters | CombinedCounters, column: number): Symlink {
    if (!Number.isInteger(column) || column < 0 || column >= target.length) {
      throw new ArgumentRangeError(
        `${name}: ${target.name} has ${target.length} columns, so there is no column ${column}`,
      );
    }
    const value = BigInt(target.index) | (BigInt(column) << 32n);
    return this.#add(() => new Symlink(this.#segment, name, EntryType.symlink, value));
  }

  /** Adds a log2 histogram (26.02 and later). @throws {StatsError} see `addSimple` */
  addHistogram(name: string, options: HistogramOptions = {}): Histogram {
    return this.#add(() => new Histogram(this.#segment, name, { threads: this.threads, ...options }));
  }

  /** Adds rings of records (26.02 and later). @throws {StatsError} see `addSimple` */
  addRingBuffer(name: string, options: RingBufferOptions): RingBuffer {
    return this.#add(() => new RingBuffer(this.#segment, name, { threads: this.threads, ...options }));
  }

  /** Whether there is an entry of that name. */
  has(name: string): boolean {
    return this.#segment.indexOf(name) !== undefined;
  }

  /** Removes entries as one change. */
  remove(...entries: readonly WriterEntry[]): void {
    this.change(() => {
      for (const entry of entries) entry.remove();
    });
  }

  /**
   * Does several changes as one: readers see all of them or none, and the epoch goes up once. Keep it short, readers wait
   * for its end.
   */
  change<T>(work: () => T): T {
    this.#assertOpen();
    return this.#segment.change(work);
  }

  /** Runs a function at every update: for what is cheaper to collect than to count. Returns how to stop it. */
  onUpdate(collect: () => void): () => void {
    this.#collectors.add(collect);
    return () => this.#collectors.delete(collect);
  }

  /** Runs the collectors and lets the heartbeat go on. */
  update(): void {
    this.#assertOpen();
    for (const collect of this.#collectors) collect();
    this.heartbeat.value += 1n;
  }

  /**
   * Hands the segment to whoever connects to a socket: a path, or an abstract name as `@name`. A stale socket file is
   * replaced, a live one is not.
   *
   * @throws {StatsError} `ERR_STATS_SYSTEM` (in use, no permission), `ERR_STATS_ADDRESS`
   */
  listen(socket: string, options: StatsListenOptions = {}): void {
    this.#assertOpen();
    const { fileMode, uid, gid } = options;
    const failure = this.#memory.listen(socket, {
      ...(fileMode === undefined ? {} : { mode: fileMode }),
      ...(uid === undefined ? {} : { uid }),
      ...(gid === undefined ? {} : { gid }),
    });
    if (failure !== undefined) throw failureToError(`listening on ${socket}`, failure, socket);
  }

  /** Lets the process end although the socket listens. */
  unref(): this {
    this.#memory.setRef(false);
    return this;
  }
  ref(): this {
    this.#memory.setRef(true);
    return this;
  }

  /** A copy of its bytes, as `openStatsImage` reads them. */
  image(): Uint8Array {
    this.#assertOpen();
    return this.#segment.bytes.slice();
  }

  /** Stops listening and gives the memory back; clients that have it mapped keep what was in it. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#timer);
    this.#memory.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** `/mem/stat segment`, as VPP tells about its heaps. */
  #addMemoryCounters(): void {
    const heap = this.addSimple('/mem/stat segment', { threads: 1, length: 7 });
    this.addSymlink('/mem/stat segment/used', heap, 1);
    this.addSymlink('/mem/stat segment/total', heap, 0);
    this.addSymlink('/mem/stat segment/free', heap, 2);
    const collect = () => {
      const { usedBytes, totalBytes } = this.memory;
      const thread = heap.thread(0);
      thread.set(0, totalBytes);
      thread.set(1, usedBytes);
      thread.set(2, totalBytes - usedBytes);
    };
    collect();
    this.onUpdate(collect);
  }

  #add<T>(make: () => T): T {
    return this.change(make);
  }

  #assertOpen(): void {
    if (this.#closed) throw new StatsError('CLOSED', 'using a stats segment that was closed by this program');
  }
}
