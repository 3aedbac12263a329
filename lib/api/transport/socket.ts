// VPP's API socket. Messages of a tick are gathered in one preallocated buffer and leave in one write; reads go into
// the frame parser's own buffer, so that a byte is neither copied nor joined between the kernel and the decoder.
//
//   writer (one write per tick) ──> kernel ──> free end of the parser's buffer ──> sink, message by message
//
// Invariant: after `onEnd` the sink hears nothing more.

import { closeSync, readSync, writeSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { VppConnectionError } from '../../errors.js';
import { FRAME_HEADER_BYTES, FrameParser, writeFrameHeader } from '../frame.js';
import { nested } from './nested.js';
import type { Transport, TransportSink } from './transport.js';
import { FrameWriter } from './writer.js';

/** Between two looks at a socket that has nothing, once spinning is over. */
const NAP_MS = 0.05;
const SCRATCH_BYTES = 64 * 1024;
const received = Symbol('received');

/** How a socket is opened. */
export interface SocketOptions {
  /** Path of the socket; a leading NUL means the abstract namespace. */
  path: string;
  /** The largest message accepted, default 64 MiB. */
  maxFrameBytes?: number;
  signal?: AbortSignal;
}

/** The descriptor behind a socket, which Node keeps to itself; needed only where no event loop runs any more. */
function descriptorOf(socket: Socket): number | undefined {
  const handle: unknown = Reflect.get(socket, '_handle');
  if (typeof handle !== 'object' || handle === null) return undefined;
  const fd: unknown = Reflect.get(handle, 'fd');
  return typeof fd === 'number' && fd >= 0 ? fd : undefined;
}

/** A connected API socket. */
export class SocketTransport implements Transport {
  readonly kind = 'socket';
  readonly description: string;
  readonly #sink: TransportSink;
  readonly #socket: Socket;
  readonly #parser: FrameParser;
  readonly #writer: FrameWriter;
  readonly #sleeper = new Int32Array(new SharedArrayBuffer(4));
  #delivering = false;
  #ended = false;

  private constructor(socket: Socket, parser: FrameParser, sink: TransportSink, path: string) {
    this.#socket = socket;
    this.#parser = parser;
    this.#sink = sink;
    this.description = path;
    this.#writer = new FrameWriter(socket, () => sink.onFlushed());
  }

  /**
   * Connects.
   *
   * @throws VppConnectionError ERR_VPP_CONNECT, with the system's error as its cause.
   */
  static open(options: SocketOptions, sink: TransportSink): Promise<SocketTransport> {
    return new Promise((resolve, reject) => {
      const { path, signal } = options;
      const parserOptions = {
        onBatch: () => sink.onBatchEnd(),
        ...(options.maxFrameBytes === undefined ? {} : { maxFrameBytes: options.maxFrameBytes }),
      };
      const parser = new FrameParser((bytes, start, end) => sink.onMessage(bytes, start, end), parserOptions);
      let transport: SocketTransport | undefined;
      const socket = connect({
        path,
        onread: {
          // Asked again after every read: the free end of the parser's buffer.
          buffer: () => parser.target(),
          callback: (count: number) => {
            transport?.[received](count);
            return true;
          },
        },
      });
      const failed = (error: Error) => {
        signal?.removeEventListener('abort', aborted);
        socket.destroy();
        reject(
          new VppConnectionError('ERR_VPP_CONNECT', `connecting to the API socket ${path}: ${error.message}`, {
            cause: error,
          }),
        );
      };
      const aborted = () => failed(signal?.reason instanceof Error ? signal.reason : new Error('aborted'));
      if (signal?.aborted === true) {
        aborted();
        return;
      }
      signal?.addEventListener('abort', aborted, { once: true });
      socket.once('error', failed);
      socket.once('connect', () => {
        socket.off('error', failed);
        signal?.removeEventListener('abort', aborted);
        transport = new SocketTransport(socket, parser, sink, path);
        transport.#listen();
        resolve(transport);
      });
    });
  }

  get buffer(): Uint8Array {
    return this.#writer.buffer;
  }

  get backlogBytes(): number {
    return this.#writer.pendingBytes + this.#socket.writableLength;
  }

  get bytesRead(): number {
    return this.#socket.bytesRead;
  }

  get bytesWritten(): number {
    return this.#socket.bytesWritten;
  }

  reserve(sizeBytes: number): number {
    return this.#writer.reserve(sizeBytes);
  }

  commit(sizeBytes: number): void {
    this.#writer.commit(sizeBytes);
  }

  flush(): void {
    this.#writer.flush();
  }

  pump(timeoutMs: number, spinUs: number): boolean {
    if (this.#delivering) throw nested();
    const fd = descriptorOf(this.#socket);
    if (fd === undefined || this.#ended) return false;
    this.flush();
    const began = performance.now();
    for (;;) {
      const target = this.#parser.target();
      try {
        // At the end of the file too: the event loop finds it again and does what has to be done then.
        const count = readSync(fd, target, 0, target.length, null);
        if (count > 0) this[received](count);
        return count > 0;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') {
          this.destroy(error as Error);
          return false;
        }
      }
      const waitedMs = performance.now() - began;
      if (waitedMs >= timeoutMs) return false;
      if (waitedMs * 1000 >= spinUs) Atomics.wait(this.#sleeper, 0, 0, NAP_MS);
    }
  }

  ref(): void {
    this.#socket.ref();
  }

  unref(): void {
    this.#socket.unref();
  }

  destroy(error?: Error): void {
    this.#parser.stop();
    this.#socket.destroy();
    this.#finish(error);
  }

  closeSync(message: Uint8Array, waitMs: number): boolean {
    const fd = descriptorOf(this.#socket);
    if (fd === undefined || this.#ended) return false;
    const frame = new Uint8Array(FRAME_HEADER_BYTES + message.length);
    writeFrameHeader(frame, 0, message.length);
    frame.set(message, FRAME_HEADER_BYTES);
    const scratch = new Uint8Array(SCRATCH_BYTES);
    const sleeper = new Int32Array(new SharedArrayBuffer(4));
    const deadline = Date.now() + waitMs;
    const untilTold = (attempt: () => boolean): boolean => {
      for (;;) {
        try {
          if (attempt()) return true;
        } catch (error) {
          // The socket does not block: EAGAIN asks for patience, anything else means that nobody is there.
          if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') return true;
          if (Date.now() >= deadline) return false;
          Atomics.wait(sleeper, 0, 0, 1);
        }
      }
    };
    let sent = 0;
    const told = untilTold(() => {
      sent += writeSync(fd, frame, sent);
      return sent === frame.length;
    });
    const closed = told && untilTold(() => readSync(fd, scratch) === 0);
    closeSync(fd);
    return closed;
  }

  /** `count` bytes were read into the parser's buffer. */
  [received](count: number): void {
    this.#delivering = true;
    try {
      this.#parser.advance(count);
    } catch (error) {
      this.destroy(error as Error);
    } finally {
      this.#delivering = false;
    }
  }

  #listen(): void {
    let failure: Error | undefined;
    this.#socket.on('error', (error) => (failure = error));
    this.#socket.on('end', () => this.#finish(undefined));
    this.#socket.on('close', () => this.#finish(failure));
  }

  #finish(error: Error | undefined): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#sink.onEnd(error);
  }
}
