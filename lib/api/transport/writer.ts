// Messages of a tick gathered in one preallocated buffer, and one write for all of them.
//
//   reserve, commit, reserve, commit … -> [header|message|header|message …] -> write -> the buffer is free again
//
// Invariant: a buffer that the socket has not taken at once belongs to the socket, and a new one is used.

import type { Socket } from 'node:net';
import { FRAME_HEADER_BYTES, writeFrameHeader } from '../frame.js';

const BUFFER_BYTES = 64 * 1024;

/** Writes frames to a socket. */
export class FrameWriter {
  /** Where `reserve` gives offsets into. */
  buffer: Buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES);
  readonly #socket: Socket;
  readonly #onFlushed: (() => void) | undefined;
  readonly #flushTick = () => {
    if (this.#flushPlanned) this.flush();
  };
  #end = 0;
  #reserved = 0;
  #flushPlanned = false;

  constructor(socket: Socket, onFlushed?: () => void) {
    this.#socket = socket;
    this.#onFlushed = onFlushed;
  }

  /** Bytes committed and not written yet. */
  get pendingBytes(): number {
    return this.#end;
  }

  /** Room for a message; its offset. */
  reserve(sizeBytes: number): number {
    const needed = FRAME_HEADER_BYTES + sizeBytes;
    if (this.#end + needed > this.buffer.length) {
      if (this.#end > 0) this.#write();
      if (needed > this.buffer.length) this.buffer = Buffer.allocUnsafeSlow(needed);
    }
    this.#reserved = this.#end + FRAME_HEADER_BYTES;
    return this.#reserved;
  }

  /** The message written there is complete; it leaves at the end of this tick. */
  commit(sizeBytes: number): void {
    writeFrameHeader(this.buffer, this.#end, sizeBytes);
    this.#end = this.#reserved + sizeBytes;
    if (this.#flushPlanned) return;
    this.#flushPlanned = true;
    process.nextTick(this.#flushTick);
  }

  /** Writes what there is now. */
  flush(): void {
    this.#flushPlanned = false;
    if (this.#end > 0) this.#write();
    this.#onFlushed?.();
  }

  #write(): void {
    const { buffer } = this;
    const end = this.#end;
    this.#end = 0;
    if (!this.#socket.writable) return;
    this.#socket.write(end === buffer.length ? buffer : buffer.subarray(0, end));
    // The kernel normally takes it all during the call, and the same buffer serves again.
    if (this.#socket.writableLength > 0 || buffer.length !== BUFFER_BYTES) {
      this.buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES);
    }
  }
}
