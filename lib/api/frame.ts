// Frames of the API socket, and the parser that finds them in a byte stream without joining chunks.
//
//   0        8        12       16
//   | pointer | length | mark   | message (length bytes): u16 id, …
//
// VPP leaks an address of its own in `pointer`; clients send 0 and ignore it. The reader owns one buffer: the socket
// reads into its free end (`target`), `advance` delivers every whole message in place, and only an unfinished frame at
// the end is moved to the front. Invariant: bytes given to the sink stay as they are until `onBatch` has returned.

import { VppProtocolError } from '../errors.js';

/** Bytes before each message. */
export const FRAME_HEADER_BYTES = 16;

/** The largest message accepted unless told otherwise: 64 MiB. */
export const DEFAULT_MAX_FRAME_BYTES = 64 * 1024 * 1024;

const FIRST_BUFFER_BYTES = 128 * 1024;

/** Receives each message; `start` to `end` of `bytes` is the message without the frame header. */
export type MessageSink = (bytes: Uint8Array, start: number, end: number) => void;

/** u32, big endian. */
export function readU32(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
}

/** u16, big endian. */
export function readU16(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 8) | bytes[at + 1]!;
}

/** Writes a u32, big endian. */
export function writeU32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
}

/** Writes a u16, big endian. */
export function writeU16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 8;
  bytes[at + 1] = value;
}

/** A copy of some bytes; `slice` of a Buffer is none. */
export function copyOf(bytes: Uint8Array, start: number, end: number): Uint8Array {
  return Uint8Array.prototype.slice.call(bytes, start, end);
}

/** Writes the 16 bytes before a message of `length` bytes. */
export function writeFrameHeader(bytes: Uint8Array, at: number, length: number): void {
  writeU32(bytes, at, 0);
  writeU32(bytes, at + 4, 0);
  writeU32(bytes, at + 8, length);
  writeU32(bytes, at + 12, 0);
}

/**
 * Finds messages in a stream of bytes.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { FrameParser } from 'node-vpp/api';
 * const seen: number[] = [];
 * const parser = new FrameParser((_bytes, start, end) => seen.push(end - start));
 * parser.push(Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 23));
 * assert.deepEqual(seen, [2]);
 * ```
 */
export class FrameParser {
  readonly #sink: MessageSink;
  readonly #onBatch: (() => void) | undefined;
  readonly #maxFrameBytes: number;
  readonly #firstBuffer: Uint8Array;
  #buffer: Uint8Array;
  #end = 0;
  #stopped = false;

  constructor(
    sink: MessageSink,
    options: { maxFrameBytes?: number; bufferBytes?: number; onBatch?: (() => void) | undefined } = {},
  ) {
    this.#sink = sink;
    this.#onBatch = options.onBatch;
    this.#maxFrameBytes = options.maxFrameBytes ?? DEFAULT_MAX_FRAME_BYTES;
    this.#firstBuffer = new Uint8Array(options.bufferBytes ?? FIRST_BUFFER_BYTES);
    this.#buffer = this.#firstBuffer;
  }

  /** Bytes held for a frame that is not complete yet. */
  get pendingBytes(): number {
    return this.#end;
  }

  /** Bytes of memory held now; at most twice the largest frame. */
  get capacityBytes(): number {
    return this.#buffer.length;
  }

  /** Where the next bytes of the stream go; never empty. */
  target(): Uint8Array {
    return this.#end === 0 ? this.#buffer : this.#buffer.subarray(this.#end);
  }

  /** No message is delivered after this, not even the rest of those already read. */
  stop(): void {
    this.#stopped = true;
  }

  /**
   * `count` bytes were read into `target()`.
   *
   * @throws VppProtocolError ERR_VPP_FRAME_TOO_LARGE: the stream cannot be followed any more.
   */
  advance(count: number): void {
    const bytes = this.#buffer;
    const end = this.#end + count;
    let at = 0;
    let needed = FRAME_HEADER_BYTES;
    while (end - at >= FRAME_HEADER_BYTES) {
      const length = readU32(bytes, at + 8);
      if (length > this.#maxFrameBytes) {
        this.#stopped = true;
        this.#onBatch?.();
        throw new VppProtocolError(
          'ERR_VPP_FRAME_TOO_LARGE',
          `reading from the API socket: a frame announces ${length} bytes, more than the ${this.#maxFrameBytes} allowed; ` +
            'this is not the API socket of a VPP, or maxFrameBytes has to be raised',
        );
      }
      needed = FRAME_HEADER_BYTES + length;
      if (end - at < needed) break;
      this.#sink(bytes, at + FRAME_HEADER_BYTES, at + needed);
      if (this.#stopped) return;
      at += needed;
      needed = FRAME_HEADER_BYTES;
    }
    this.#onBatch?.();
    this.#keep(at, end, needed);
  }

  /** Parses bytes that were read elsewhere, by copying them. */
  push(chunk: Uint8Array): void {
    let at = 0;
    while (at < chunk.length && !this.#stopped) {
      const target = this.target();
      const count = Math.min(target.length, chunk.length - at);
      target.set(chunk.subarray(at, at + count));
      at += count;
      this.advance(count);
    }
  }

  /** Moves the unfinished frame to the front; memory grows with the bytes that arrive, not with what is announced. */
  #keep(from: number, end: number, needed: number): void {
    const rest = end - from;
    let buffer = this.#buffer;
    if (rest === 0) {
      this.#buffer = this.#firstBuffer;
    } else if (rest === buffer.length) {
      const grown = new Uint8Array(Math.max(Math.min(buffer.length * 2, needed), buffer.length + FRAME_HEADER_BYTES));
      grown.set(buffer);
      buffer = this.#buffer = grown;
    } else if (buffer !== this.#firstBuffer && Math.max(needed, rest) < this.#firstBuffer.length) {
      this.#firstBuffer.set(buffer.subarray(from, end));
      this.#buffer = this.#firstBuffer;
    } else if (from > 0) {
      buffer.copyWithin(0, from, end);
    }
    this.#end = rest;
  }
}
