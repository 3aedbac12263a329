// Ring buffers as a reader sees them: records that a writer overwrites while they are read.
//
//   sequence (records ever written) ─▶ copy of all records ─▶ sequence again
//
// Record s is in slot s mod ringSize. What was overwritten meanwhile is left out, and so is the oldest record of a full
// ring: its slot is the one that the writer may be at.

import type { Directory } from './directory.js';
import type { SegmentLayout } from './header.js';
import { MAX_THREADS, RING, RING_METADATA, RING_METADATA_BYTES } from './layout.js';
import { type Budget, type SegmentMemory, corrupt } from './memory.js';
import type { RingThread } from './values.js';

/** A ring buffer, copied. */
export interface RingCopy {
  readonly entrySize: number;
  readonly ringSize: number;
  readonly threads: readonly RingThread[];
}

/** Copies a ring buffer. @throws {StatsError} `ERR_STATS_CORRUPT` */
export function readRing(
  memory: SegmentMemory,
  layout: SegmentLayout,
  directory: Directory,
  index: number,
  budget: Budget,
): RingCopy {
  const what = directory.names[index]!;
  const pointer = memory.word(directory.offset + index * layout.entryBytes + layout.entryPointer);
  if (pointer === 0) return { entrySize: 0, ringSize: 0, threads: [] };
  const start = pointer - layout.base;
  if (!(start >= 0 && start + 28 <= memory.size) || start % 8 !== 0) {
    throw corrupt(`the ring buffer of ${what} would begin at ${start} of ${memory.size} bytes`);
  }
  const field = (offset: number) => memory.u32[(start + offset) / 4]!;
  const entrySize = field(RING.entrySize);
  const ringSize = field(RING.ringSize);
  const threads = field(RING.threads);
  const metadata = start + field(RING.metadataOffset);
  const data = start + field(RING.dataOffset);
  const room = memory.size;
  if (
    threads > MAX_THREADS ||
    entrySize === 0 ||
    metadata % 8 !== 0 ||
    metadata + threads * RING_METADATA_BYTES > room ||
    data + threads * ringSize * entrySize > room
  ) {
    throw corrupt(`the ring buffer of ${what} would have ${threads} × ${ringSize} records of ${entrySize} bytes`);
  }
  budget.take(threads * (ringSize * entrySize + RING_METADATA_BYTES));
  const result: RingThread[] = [];
  for (let thread = 0; thread < threads; thread++) {
    const at = metadata + thread * RING_METADATA_BYTES;
    const schemaOffset = start + memory.u32[(at + RING_METADATA.schemaOffset) / 4]!;
    const schemaSize = memory.u32[(at + RING_METADATA.schemaSize) / 4]!;
    if (schemaOffset + schemaSize > room) throw corrupt(`the schema of ${what} would have ${schemaSize} bytes`);
    budget.take(schemaSize);
    const sequence = Atomics.load(memory.u64, (at + RING_METADATA.sequence) / 8);
    const from = data + thread * ringSize * entrySize;
    const bytes = new Uint8Array(memory.bytes.subarray(from, from + ringSize * entrySize));
    const after = Atomics.load(memory.u64, (at + RING_METADATA.sequence) / 8);
    const size = BigInt(ringSize);
    // Of what was there before, all that is not in a slot written since, nor in the one being written.
    let first = ringSize === 0 ? sequence : after + 1n > size ? after + 1n - size : 0n;
    if (first > sequence) first = sequence;
    const records: Uint8Array[] = [];
    for (let number = first; number < sequence; number++) {
      const slot = Number(number % size) * entrySize;
      records.push(bytes.subarray(slot, slot + entrySize));
    }
    result.push({
      sequence,
      first,
      records,
      schemaVersion: memory.u32[(at + RING_METADATA.schemaVersion) / 4]!,
      schema:
        schemaSize === 0 ? undefined : new Uint8Array(memory.bytes.subarray(schemaOffset, schemaOffset + schemaSize)),
    });
  }
  return { entrySize, ringSize, threads: result };
}
