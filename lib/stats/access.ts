// How to read what somebody else changes: the epoch protocol.
//
//   wait until nothing is in progress ─▶ note the epoch ─▶ read ─▶ the same epoch, nothing in progress? take it
//            ▲                                                          │ no
//            └──────────────────────────────────────────────────────────┘      at most `attempts` times, `busyMs` long
//
// The epoch counts changes of structure: entries and memory that come, go or move. Counters change all the time and
// without it. Waiting is short (VPP changes its structure in microseconds) and bounded: a VPP that was stopped or killed in
// the middle of a change leaves `in_progress` set for ever.
//
// Ordering. The loads of epoch and in_progress are sequentially consistent. That keeps later loads behind the first pair;
// before the last pair a store to memory of our own keeps earlier loads in front of it (on arm64 an acquiring load alone
// would not: it may not pass that store, and the store may not pass the loads before it).

import { StatsError } from '../errors.js';
import type { SegmentLayout } from './header.js';
import { isCorrupt, type SegmentMemory } from './memory.js';

/** How long a reader tries. */
export interface AccessOptions {
  /** Readings that may be made in vain because the structure changed meanwhile; default 1000. */
  attempts?: number;
  /** How long to wait for the end of changes, ms; default 50. It is waited in place: the event loop stands still. */
  busyMs?: number;
  /** A clock, ms. */
  now?: () => number;
}

const spins = 200;

/** Reads a segment under its epoch protocol. */
export class Access {
  readonly #i32: Int32Array;
  readonly #epoch: number;
  readonly #inProgress: number;
  readonly #version: number;
  readonly #attempts: number;
  readonly #busyMs: number;
  readonly #now: () => number;
  readonly #fence = new Int32Array(new SharedArrayBuffer(4));
  #depth = 0;
  #current = 0;

  constructor(memory: SegmentMemory, layout: SegmentLayout, options: AccessOptions = {}) {
    this.#i32 = memory.i32;
    this.#epoch = layout.epoch / 4;
    this.#inProgress = layout.inProgress / 4;
    this.#version = layout.version;
    this.#attempts = options.attempts ?? 1000;
    this.#busyMs = options.busyMs ?? 50;
    this.#now = options.now ?? (() => performance.now());
  }

  /** The epoch now. A number: structural edits do not come to 2^53. */
  epoch(): number {
    const low = Atomics.load(this.#i32, this.#epoch) >>> 0;
    return (this.#i32[this.#epoch + 1]! >>> 0) * 0x1_0000_0000 + low;
  }

  /** The epoch of the reading that is under way. */
  get current(): number {
    return this.#current;
  }

  /** Whether what was read since the epoch was `epoch` can be taken. */
  stable(epoch: number): boolean {
    Atomics.store(this.#fence, 0, 0);
    return this.epoch() === epoch && Atomics.load(this.#i32, this.#inProgress) === 0;
  }

  /** Whether the header is still that of the segment: a mapping that was truncated reads as zeros. */
  intact(): boolean {
    return Atomics.load(this.#i32, 0) === this.#version;
  }

  /** Waits until nothing is in progress; returns the epoch. @throws {StatsError} `ERR_STATS_BUSY`, `ERR_STATS_LOST` */
  begin(): number {
    let waited = 0;
    let since = 0;
    for (;;) {
      const epoch = this.epoch();
      if (Atomics.load(this.#i32, this.#inProgress) === 0 && this.epoch() === epoch) {
        if (!this.intact()) throw lost();
        return epoch;
      }
      if (++waited < spins) continue;
      if (waited === spins) since = this.#now();
      else if (this.#now() - since >= this.#busyMs) {
        if (!this.intact()) throw lost();
        throw new StatsError(
          'BUSY',
          `the stats segment has been changing for ${this.#busyMs} ms: its writer is stopped, or ended in the middle of a ` +
            'change; try again, or raise busyMs',
        );
      }
      Atomics.wait(this.#fence, 0, 0, 0.2);
    }
  }

  /**
   * Reads: runs `work` until it has run without a change of structure. It may run several times and must not keep what it
   * read before. Nested calls belong to the outermost one.
   *
   * @throws {StatsError} `ERR_STATS_BUSY`; `ERR_STATS_CORRUPT` and others of `work` when nothing had changed
   */
  read<T>(work: () => T): T {
    if (this.#depth > 0) return work();
    let since: number | undefined;
    for (let attempt = 0; attempt < this.#attempts; attempt++) {
      const epoch = this.begin();
      this.#current = epoch;
      this.#depth++;
      try {
        const result = work();
        if (this.stable(epoch)) return result;
      } catch (error) {
        // What is being changed may look like nonsense; only what holds still is.
        if (this.stable(epoch)) {
          if (isCorrupt(error) && !this.intact()) throw lost();
          throw error;
        }
        if (!isCorrupt(error)) throw error;
      } finally {
        this.#depth--;
      }
      if (attempt % 16 === 15) {
        since ??= this.#now();
        if (this.#now() - since > this.#busyMs) break;
      }
    }
    throw new StatsError(
      'BUSY',
      `the structure of the stats segment changed during each of up to ${this.#attempts} readings; try again, read less ` +
        'at once, or raise busyMs',
    );
  }
}

function lost(): StatsError {
  return new StatsError(
    'LOST',
    'the stats segment is gone: its file was truncated, or its header overwritten; it is opened again when there is a new one',
  );
}
