// Packets copied out of a ring: what may be kept as long as one likes.

import { ArgumentRangeError } from '../errors.js';
import { native } from '../native.js';
import type { RxQueue } from './rx-queue.js';

/**
 * Takes up to `max` segments' worth of packets off a queue, as copies. They lie one behind the other in one allocation
 * per call: keeping one keeps its neighbours.
 */
export function copyPackets(queue: RxQueue, max: number): Uint8Array[] {
  const burst = queue.peek(max);
  const { count, offsets, lengths, more } = burst;
  const packets: Uint8Array[] = [];
  if (count === 0) return packets;
  let total = 0;
  for (let i = 0; i < count; i++) total += lengths[i]!;
  const target = new Uint8Array(total);
  if (burst.bytes !== undefined) {
    native().gather(burst.bytes, offsets, lengths, 0, count, target, 0);
  } else {
    for (let i = 0, at = 0; i < count; i++) {
      target.set(burst.segment(i), at);
      at += lengths[i]!;
    }
  }
  let start = 0;
  let at = 0;
  for (let i = 0; i < count; i++) {
    at += lengths[i]!;
    if (more[i] === 0) {
      packets.push(target.subarray(start, at));
      start = at;
    }
  }
  queue.release(count);
  return packets;
}

/** Packets copied into memory that is used again: the allocation-free form of `copyPackets`. */
export class CopyBuffer {
  /** The packets, one behind the other. */
  readonly bytes: Uint8Array;
  /** Where each packet ends; packet i starts where packet i-1 ends. */
  readonly ends: Uint32Array;
  /** Packets in the buffer. */
  count = 0;

  constructor(options: { bytes?: number; packets?: number } = {}) {
    this.bytes = new Uint8Array(options.bytes ?? 1 << 20);
    this.ends = new Uint32Array(options.packets ?? 1024);
  }

  /** Replaces the contents by what is waiting on a queue, as much as fits; returns the number of packets. */
  take(queue: RxQueue, max = 256): number {
    const burst = queue.peek(Math.min(max, this.ends.length));
    const { offsets, lengths, more } = burst;
    const { ends, bytes } = this;
    this.count = 0;
    let end = 0;
    let whole = 0;
    let packets = 0;
    for (let i = 0; i < burst.count; i++) {
      end += lengths[i]!;
      if (more[i] === 1) continue;
      if (end > bytes.length || packets === ends.length) break;
      ends[packets++] = end;
      whole = i + 1;
    }
    if (whole === 0) {
      if (burst.count === 0) return 0;
      throw new ArgumentRangeError(
        `copying packets: the next one has ${end} bytes or more, the buffer ${bytes.length}`,
      );
    }
    if (burst.bytes !== undefined) {
      native().gather(burst.bytes, offsets, lengths, 0, whole, bytes, 0);
    } else {
      for (let i = 0, at = 0; i < whole; i++) {
        bytes.set(burst.segment(i), at);
        at += lengths[i]!;
      }
    }
    queue.release(whole);
    this.count = packets;
    return packets;
  }
}
