// Ring buffers: records of fixed size, the newest overwriting the oldest, one ring per thread.
//
//   | header 28 | records of thread 0 | thread 1 | … pad | metadata 64 of thread 0 | … | schema |
//
// A reader keeps its own place: `sequence` counts the records ever written, `head` is where the next one goes. The schema
// is bytes that say what a record holds, in a form the writer and its readers agree on.

import { ArgumentRangeError } from '../../errors.js';
import { EntryType, MAX_THREADS, RING, RING_BYTES, RING_METADATA, RING_METADATA_BYTES } from '../layout.js';
import { WriterEntry } from './entries.js';
import type { SegmentBytes } from './segment.js';

/** The shape of a ring buffer. */
export interface RingBufferOptions {
  /** Bytes of a record. */
  entrySize: number;
  /** Records that each ring holds. */
  ringSize: number;
  threads?: number;
  /** What a record holds, for readers. */
  schema?: Uint8Array | string;
  schemaVersion?: number;
}

/** An entry of rings of records. */
export class RingBuffer extends WriterEntry {
  readonly entrySize: number;
  readonly ringSize: number;
  readonly threads: number;
  readonly #offset: number;
  readonly #metadata: number;

  /** @internal */
  constructor(segment: SegmentBytes, name: string, options: RingBufferOptions) {
    const { entrySize, ringSize, threads = 1, schemaVersion = 0 } = options;
    const schema = typeof options.schema === 'string' ? new TextEncoder().encode(options.schema) : options.schema;
    for (const [what, value, most] of [
      ['entrySize', entrySize, 2 ** 24],
      ['ringSize', ringSize, 2 ** 24],
      ['threads', threads, MAX_THREADS],
    ] as const) {
      if (!Number.isInteger(value) || value < 1 || value > most) {
        throw new ArgumentRangeError(`${name}: ${what} is a whole number from 1 to ${most}, not ${value}`);
      }
    }
    super(segment, name, EntryType.ringBuffer);
    this.entrySize = entrySize;
    this.ringSize = ringSize;
    this.threads = threads;
    this.#metadata = Math.ceil((RING_BYTES + threads * ringSize * entrySize) / 64) * 64;
    const schemaOffset = this.#metadata + threads * RING_METADATA_BYTES;
    try {
      this.#offset = segment.heap.allocate(schemaOffset + (schema?.length ?? 0));
    } catch (error) {
      segment.change(() => segment.remove(this.index));
      throw error;
    }
    segment.change(() => {
      const word = (offset: number) => (this.#offset + offset) / 4;
      const { u32 } = segment;
      u32[word(RING.entrySize)] = entrySize;
      u32[word(RING.ringSize)] = ringSize;
      u32[word(RING.threads)] = threads;
      u32[word(RING.schemaSize)] = schema?.length ?? 0;
      u32[word(RING.schemaVersion)] = schemaVersion;
      u32[word(RING.metadataOffset)] = this.#metadata;
      u32[word(RING.dataOffset)] = RING_BYTES;
      if (schema !== undefined) {
        segment.bytes.set(schema, this.#offset + schemaOffset);
        for (let thread = 0; thread < threads; thread++) {
          const at = this.#metadata + thread * RING_METADATA_BYTES;
          u32[word(at + RING_METADATA.schemaVersion)] = schemaVersion;
          u32[word(at + RING_METADATA.schemaOffset)] = schemaOffset;
          u32[word(at + RING_METADATA.schemaSize)] = schema.length;
        }
      }
      segment.u64[segment.valueWord(this.index)] = segment.pointer(this.#offset);
    });
  }

  /** Writes one record of at most `entrySize` bytes into a thread's ring; what it leaves is zeros. */
  produce(thread: number, record: Uint8Array): void {
    this.assertThere();
    if (!(thread >= 0 && thread < this.threads)) {
      throw new ArgumentRangeError(`${this.name} has ${this.threads} threads, so there is no thread ${thread}`);
    }
    if (record.length > this.entrySize) {
      throw new ArgumentRangeError(`${this.name}: a record has ${this.entrySize} bytes at most, not ${record.length}`);
    }
    const { bytes, u32, u64 } = this.segment;
    const at = this.#offset + this.#metadata + thread * RING_METADATA_BYTES;
    const head = u32[(at + RING_METADATA.head) / 4]!;
    const slot = this.#offset + RING_BYTES + (thread * this.ringSize + head) * this.entrySize;
    bytes.set(record, slot);
    bytes.fill(0, slot + record.length, slot + this.entrySize);
    u32[(at + RING_METADATA.head) / 4] = (head + 1) % this.ringSize;
    // Last, with release order: whoever sees the number sees the record.
    Atomics.add(u64, (at + RING_METADATA.sequence) / 8, 1n);
  }

  /** @internal */
  protected override free(): void {
    this.segment.heap.free(this.#offset);
  }
}
