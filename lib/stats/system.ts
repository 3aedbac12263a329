// VPP as a whole: heartbeat and times, threads and their load, buffers, heaps.

import type { CopiedVector, Snapshot } from './snapshot.js';

/** VPP as a whole. What this VPP does not tell is undefined. */
export interface SystemStats {
  /** Updates of the collectors so far. */
  readonly heartbeat: number | undefined;
  /** When VPP was started, seconds since 1970; 23.02 and later. */
  readonly bootTime: number | undefined;
  /** When counters were last cleared, seconds. */
  readonly lastStatsClear: number | undefined;
  /** Worker threads, without the main thread. */
  readonly workers: number | undefined;
  /** Packets of a call of a node, on average over the workers. */
  readonly vectorRate: number | undefined;
  /** The same by thread, the main thread first. */
  readonly vectorRatePerThread: readonly number[];
  /** Turns of the main loop in a second by thread; 22.10 and later. */
  readonly loopsPerThread: readonly number[];
}

/** The system values of a snapshot. */
export function systemOf(snapshot: Snapshot): SystemStats {
  const scalar = (name: string) => {
    const value = snapshot.getNumbers(name);
    return value?.type === 'scalar' || value?.type === 'gauge' ? value.value : undefined;
  };
  const threads = (name: string) => {
    const vector = snapshot.vector(name);
    return vector === undefined ? [] : Array.from({ length: vector.length }, (_, thread) => vector.sum(thread));
  };
  return {
    heartbeat: scalar('/sys/heartbeat'),
    bootTime: scalar('/sys/boottime'),
    lastStatsClear: scalar('/sys/last_stats_clear'),
    workers: scalar('/sys/num_worker_threads'),
    vectorRate: scalar('/sys/vector_rate'),
    vectorRatePerThread: threads('/sys/vector_rate_per_worker'),
    loopsPerThread: threads('/sys/loops_per_worker'),
  };
}

/** A pool of packet buffers. */
export interface BufferPool {
  readonly name: string;
  /** Buffers in threads' caches, in use, and free in the pool. */
  readonly cached: number;
  readonly used: number;
  readonly available: number;
}

/** The buffer pools of a snapshot. */
export function bufferPoolsOf(snapshot: Snapshot): BufferPool[] {
  const pools = new Map<string, { cached: number; used: number; available: number }>();
  for (const entry of snapshot.names()) {
    if (!entry.startsWith('/buffer-pools/')) continue;
    const [, name, what] = /^\/buffer-pools\/(.*)\/(cached|used|available)$/.exec(entry) ?? [];
    if (name === undefined) continue;
    const value = snapshot.getNumbers(entry);
    if (value?.type !== 'gauge' && value?.type !== 'scalar') continue;
    const pool = pools.get(name) ?? { cached: 0, used: 0, available: 0 };
    pool[what as keyof typeof pool] = value.value;
    pools.set(name, pool);
  }
  return [...pools].map(([name, counts]) => ({ name, ...counts }));
}

/** One of VPP's heaps, in bytes. */
export interface MemoryHeap {
  readonly name: string;
  readonly total: number;
  readonly used: number;
  readonly free: number;
  readonly usedMmap: number;
  readonly totalAlloc: number;
  readonly freeChunks: number;
  readonly releasable: number;
}

/** The heaps of a snapshot. VPP before 22.10 had `total` and `used` in each other's place: that is put right. */
export function memoryHeapsOf(snapshot: Snapshot): MemoryHeap[] {
  const heaps: MemoryHeap[] = [];
  for (const entry of snapshot.names()) {
    if (!entry.startsWith('/mem/')) continue;
    const [, name] = /^\/mem\/([^/]+)$/.exec(entry) ?? [];
    const vector: CopiedVector | undefined = name === undefined ? undefined : snapshot.vector(entry);
    if (name === undefined || vector === undefined) continue;
    const at = (column: number) => vector.sum(column);
    const [first, second] = [at(0), at(1)];
    heaps.push({
      name,
      // No heap uses more than it has.
      total: Math.max(first, second),
      used: Math.min(first, second),
      free: at(2),
      usedMmap: at(3),
      totalAlloc: at(4),
      freeChunks: at(5),
      releasable: at(6),
    });
  }
  return heaps;
}
