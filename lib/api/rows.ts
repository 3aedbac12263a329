// Rows of a dump that wait to be taken, as the bytes they came in.
//
//   buffer of the reader  [hdr|row|hdr|row|hdr|ro        note: remember where the rows are
//   block of 256 KiB      … |row|hdr|row|                settle: one copy for all rows that came together
//   spans                 … start,end,start,end          take: decode from the block, a view may stay in it
//
// Invariant: bytes of a block that a row lies in never change, so that views stay true.

const BLOCK_BYTES = 256 * 1024;

/** Rows waiting to be taken. */
export class RowStore {
  #blocks: { bytes: Uint8Array; spans: number[] }[] = [];
  #block: { bytes: Uint8Array; spans: number[] } | undefined;
  #end = 0;
  #read = 0;
  #batch: Uint8Array | undefined;
  #batchStart = 0;
  #batchEnd = 0;
  #batchSpans: number[] = [];
  rows = 0;
  bytes = 0;

  /** Notes a row in the buffer of the reader; `settle` copies all that were noted, together. */
  note(bytes: Uint8Array, start: number, end: number): void {
    if (this.#batch === undefined) {
      this.#batch = bytes;
      this.#batchStart = start;
    }
    this.#batchEnd = end;
    this.#batchSpans.push(start, end);
  }

  settle(): void {
    const source = this.#batch;
    if (source === undefined) return;
    const from = this.#batchStart;
    const size = this.#batchEnd - from;
    let block = this.#block;
    if (block === undefined || this.#end + size > block.bytes.length) {
      // All rows of the old one may have been taken already; then it is the first, and nothing is left in it.
      if (block?.spans.length === 0) this.#blocks.shift();
      block = this.#block = { bytes: new Uint8Array(Math.max(BLOCK_BYTES, size)), spans: [] };
      this.#blocks.push(block);
      this.#end = 0;
    }
    block.bytes.set(source.subarray(from, this.#batchEnd), this.#end);
    const shift = this.#end - from;
    const { spans } = block;
    for (const at of this.#batchSpans) spans.push(at + shift);
    this.rows += this.#batchSpans.length / 2;
    this.bytes += size;
    this.#end += size;
    this.#batch = undefined;
    this.#batchSpans = [];
  }

  /** Takes up to `limit` rows. */
  take<T>(limit: number, read: (bytes: Uint8Array, start: number, end: number) => T, into: T[]): void {
    while (limit > 0 && this.rows > 0) {
      const { bytes, spans } = this.#blocks[0]!;
      const last = Math.min(spans.length, this.#read + limit * 2);
      for (let at = this.#read; at < last; at += 2) into.push(read(bytes, spans[at]!, spans[at + 1]!));
      const count = (last - this.#read) / 2;
      limit -= count;
      this.#advance(count);
    }
  }

  one<T>(read: (bytes: Uint8Array, start: number, end: number) => T): T {
    const { bytes, spans } = this.#blocks[0]!;
    const start = spans[this.#read]!;
    const end = spans[this.#read + 1]!;
    this.#advance(1);
    return read(bytes, start, end);
  }

  clear(): void {
    this.#blocks = [];
    this.#block = this.#batch = undefined;
    this.#batchSpans = [];
    this.rows = this.bytes = this.#read = 0;
  }

  #advance(count: number): void {
    this.rows -= count;
    this.#read += count * 2;
    const first = this.#blocks[0]!;
    if (this.#read < first.spans.length) return;
    // The block being filled stays: its free end serves the rows to come, and views of the taken ones stay valid.
    if (first === this.#block) {
      this.bytes = 0;
      first.spans.length = 0;
    } else {
      this.#blocks.shift();
      this.bytes -= first.spans[first.spans.length - 1]! - first.spans[0]!;
    }
    this.#read = 0;
  }
}
