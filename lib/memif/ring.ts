// One ring of a live connection: typed arrays over the shared memory, and what this side knows of it privately.

import type { NativeRing, NativeSession } from '../native.js';
import { descriptorIndex, headIndex, ringBytes, tailIndex } from './layout.js';

/** Everything a queue needs to work on a ring; made when an interface comes up, dropped when it goes down. */
export interface RingBinding {
  /** True when this side is the memif server: tail is ours, head the client's. */
  readonly server: boolean;
  readonly size: number;
  /** Over the whole ring. */
  readonly u16: Uint16Array;
  readonly u32: Uint32Array;
  /** Index of head and tail in `u16`, and of the first descriptor word in `u32`. */
  readonly head: number;
  readonly tail: number;
  readonly descriptors: number;
  /** Bytes and size of every region. */
  readonly memory: readonly Uint8Array[];
  /** Client: where the buffer of each slot is in region 1. Private, so that a hostile server cannot move it. */
  readonly buffers: Uint32Array | undefined;
  /** Client: capacity of each buffer. */
  readonly bufferSize: number;
  /** The eventfd of this ring. */
  readonly event: number;
}

export function bindRing(
  ring: NativeRing,
  regions: readonly ArrayBuffer[],
  memory: readonly Uint8Array[],
  side: { server: boolean; cacheLine: number; buffers?: Uint32Array | undefined; bufferSize?: number | undefined },
): RingBinding {
  const size = 2 ** ring.log2Size;
  const bytes = ringBytes(size, side.cacheLine);
  const region = regions[ring.region]!;
  return {
    server: side.server,
    size,
    u16: new Uint16Array(region, ring.offset, bytes / 2),
    u32: new Uint32Array(region, ring.offset, bytes / 4),
    head: headIndex,
    tail: tailIndex(side.cacheLine),
    descriptors: descriptorIndex(side.cacheLine),
    memory,
    buffers: side.buffers,
    bufferSize: side.bufferSize ?? 0,
    event: ring.event,
  };
}

/** The bindings of a whole session: what this side receives from, and what it sends to. */
export function bindSession(
  session: NativeSession,
  side: { server: boolean; cacheLine: number },
): { rx: RingBinding[]; tx: RingBinding[] } {
  const memory = session.regions.map((region) => new Uint8Array(region));
  const rx: RingBinding[] = [];
  const tx: RingBinding[] = [];
  let slot = 0;
  for (const ring of session.rings) {
    const size = 2 ** ring.log2Size;
    const binding = bindRing(ring, session.regions, memory, {
      ...side,
      buffers: session.buffers?.subarray(slot, slot + size),
      bufferSize: session.bufferSize,
    });
    slot += size;
    (ring.s2m === side.server ? rx : tx).push(binding);
  }
  return { rx, tx };
}
