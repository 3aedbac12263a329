// VPP's shared memory, by way of its own client library (see native/vppapi). Replies are read where the library's thread
// has put them, in a ring of our memory; nothing is copied or called per message on the way in.
//
//   commit ──batch──> native.send ──> VPP's queue ──> … ──> ring: | size | message | … ──> sink, all that is there
//
// While replies are about to come, the event loop turns without sleeping and takes them from our queue itself (poll); only
// then no thread has to be woken. When none has come for `spinUs`, the loop sleeps, and the library's thread wakes it:
//
//   flush ──> turn (poll, deliver), turn, … ──nothing for spinUs──> rest ──wake-up──> deliver, turn, …
//
// Invariants: committed - delivered never exceeds `limit`, which is less than VPP's queue and ours hold, so that neither can
// ever be full because of us, stopped or killed included; the ring has room for all of them.

import { VppConnectionError, VppProtocolError } from '../../errors.js';
import { native, type NativeVppApi, type NativeVppApiFailure } from '../../native.js';
import { readU16, readU32 } from '../frame.js';
import { PING_BYTES, ids, writePing } from '../table.js';
import { nested } from './nested.js';
import type { Transport, TransportSink } from './transport.js';

/** Length of our queue in VPP's segment; VPP's own has the same, and serves all clients. */
export const QUEUE_LENGTH = 1024;
/** Left free in both: for VPP's own messages, and for what a control_ping may need at any time. */
const RESERVE = 64;
/** Requests in flight at most. */
export const SHM_LIMIT = QUEUE_LENGTH - RESERVE;
/** The largest message carried; larger ones VPP and its library would allocate from the segment's small heap. */
export const SHM_MESSAGE_BYTES = 1000;
const RING_BYTES = 8 * 1024 * 1024;
const BUFFER_BYTES = 64 * 1024;
/** So many are handed over at once, so that VPP works while the next are encoded. */
const BATCH = 64;
const SKIP = 0xffffffff;
/** After so much silence with requests open, a ping tells whether VPP has dropped some of them. */
const SETTLE_MS = 1000;
/** A generation that exchanges reach only after 65533 others, and a slot they never do. */
const SETTLE_CONTEXT = 0xfffefffe;
const CLOSE_MS = 5000;
/** A poll waits for so many replies when twice as many are on their way … */
const STRIDE = 64;
/** … but not longer than this, µs: others have the event loop too. */
const POLL_US = 20;

/** How shared memory is opened. */
export interface ShmOptions {
  /** Of a library that is loaded. */
  libraryPath: string;
  /** As VPP lists the client. */
  name: string;
  /** VPP's `api-segment { prefix }`; empty: none. */
  prefix: string;
  /** The API socket, for the doorbell. */
  socket: string;
  connectMs: number;
  /** How long to wait awake for a reply, µs; 0: never. */
  spinUs: number;
  signal: AbortSignal;
}

const codes: Readonly<Record<string, string>> = {
  LIBRARY: 'ERR_VPP_SHM_LIBRARY',
  SEGMENT: 'ERR_VPP_SHM_SEGMENT',
  PERMISSION: 'ERR_VPP_SHM_PERMISSION',
  ADDRESS: 'ERR_VPP_SHM_ADDRESS',
  IN_USE: 'ERR_VPP_SHM_IN_USE',
};
const advice: Readonly<Record<string, string>> = {
  SEGMENT: "apiSegmentPrefix has to be the prefix in the api-segment section of VPP's start-up configuration",
  PERMISSION: "run as a member of the group in VPP's api-segment section (gid), or as root",
  ADDRESS: 'use the socket transport in this process',
  IN_USE: 'use that connection, from worker threads by shareConnection, or the socket transport',
};

/** The error for what the native side saw. */
export function shmError({ reason, text }: NativeVppApiFailure): VppConnectionError {
  const what = advice[reason];
  return new VppConnectionError(
    codes[reason] ?? 'ERR_VPP_SHM_CONNECT',
    `connecting to VPP through shared memory: ${text}${what === undefined ? '' : `; ${what}`}`,
  );
}

/** A connection through shared memory. */
export class ShmTransport implements Transport {
  readonly kind = 'shm';
  readonly description: string;
  readonly buffer = new Uint8Array(BUFFER_BYTES);
  bytesRead = 0;
  bytesWritten = 0;
  readonly #sink: TransportSink;
  readonly #api: NativeVppApi;
  readonly #words: Int32Array;
  readonly #sizes: Uint32Array;
  readonly #ring: Uint8Array;
  readonly #mask: number;
  readonly #data: number;
  readonly #headAt: number;
  readonly #tailAt: number;
  readonly #armedAt: number;
  readonly #outgoing = new Uint32Array(BATCH);
  readonly #settling: NodeJS.Timeout;
  readonly #flushTick = () => {
    if (this.#flushPlanned) this.flush();
  };
  readonly #turn = () => {
    this.#immediate = undefined;
    if (!this.#ended()) this.#poll();
  };
  readonly #spinMs: number;
  #immediate: NodeJS.Immediate | undefined;
  #end = 0;
  #count = 0;
  #flushPlanned = false;
  /** Where the next message is. */
  #next = 0;
  #delivering = false;
  #committed = 0;
  #delivered = 0;
  #quiet = 0;
  /** Until when to stay awake. */
  #awakeUntil = 0;
  #settledUpTo: number | undefined;
  #over = false;
  #closing: Promise<void> | undefined;
  #onClosed: (() => void) | undefined;

  private constructor(api: NativeVppApi, sink: TransportSink, options: ShmOptions) {
    const layout = native().replyRingLayout;
    const memory = api.memory();
    this.#api = api;
    this.#sink = sink;
    this.#words = new Int32Array(memory, 0, layout.data / 4);
    this.#sizes = new Uint32Array(memory);
    this.#ring = new Uint8Array(memory);
    this.#mask = memory.byteLength - layout.data - 1;
    this.#data = layout.data;
    this.#headAt = layout.head / 4;
    this.#tailAt = layout.tail / 4;
    this.#armedAt = layout.armed / 4;
    this.#spinMs = options.spinUs / 1000;
    this.description = options.prefix === '' ? 'vpe-api' : `${options.prefix}-vpe-api`;
    this.#settling = setInterval(() => this.#settle(), SETTLE_MS);
    this.#settling.unref();
    Atomics.store(this.#words, this.#armedAt, 1);
  }

  /**
   * Connects, waiting while a connection before this one is still leaving.
   *
   * @throws VppConnectionError ERR_VPP_SHM_SEGMENT, _PERMISSION, _ADDRESS, _IN_USE, _CONNECT
   */
  static async open(options: ShmOptions, sink: TransportSink): Promise<ShmTransport> {
    const { libraryPath, name, prefix, socket, connectMs, signal } = options;
    const settings = { name, prefix, socket, queueLength: QUEUE_LENGTH, ringBytes: RING_BYTES, connectMs };
    let transport: ShmTransport | undefined;
    let woken: (() => void) | undefined;
    const onWake = () => {
      if (transport === undefined) woken?.();
      else transport.#wake();
    };
    const { VppApi } = native();
    for (;;) {
      signal.throwIfAborted();
      const api = new VppApi(libraryPath, settings, onWake);
      const failure = api.failure();
      if (failure?.reason === 'CLOSING') {
        await new Promise((resolve) => setTimeout(resolve, 20));
        continue;
      }
      if (failure !== undefined) {
        // It may also have begun, and failed by now.
        api.close();
        api.release();
        throw shmError(failure);
      }
      // The library may take long; whoever gives up leaves it to a thread that ends by itself.
      const abort = () => woken?.();
      signal.addEventListener('abort', abort, { once: true });
      while (api.phase() === 'connecting' && !signal.aborted) {
        await new Promise<void>((resolve) => (woken = resolve));
      }
      signal.removeEventListener('abort', abort);
      if (api.phase() === 'open') {
        transport = new ShmTransport(api, sink, options);
        return transport;
      }
      api.close();
      api.release();
      if (signal.aborted) {
        throw shmError({ reason: 'CONNECT', text: `vac_connect has not returned within the time for the handshake` });
      }
      throw shmError(api.failure() ?? { reason: 'CONNECT', text: 'closed at once' });
    }
  }

  /** Everything committed and not handed to VPP yet, in bytes. */
  get backlogBytes(): number {
    return this.#end;
  }

  get room(): number {
    return SHM_LIMIT - (this.#committed - this.#delivered);
  }

  /** Our queue can be polled: the loop need not sleep to get replies. */
  get direct(): boolean {
    return this.#api.counters().direct;
  }

  /** Rings of the doorbell so far. */
  get rings(): number {
    return this.#api.counters().rings;
  }

  /** The number VPP has for `name_crc` behind this transport; -1: none. */
  indexOf(nameCrc: string): number {
    return this.#api.indexOf(nameCrc);
  }

  /** How many messages VPP has behind this transport. */
  get messages(): number {
    return this.#api.counters().messages;
  }

  reserve(sizeBytes: number): number {
    if (sizeBytes > SHM_MESSAGE_BYTES) {
      throw new VppProtocolError('ERR_VPP_OVERFLOW', `${sizeBytes} bytes are too many for shared memory`);
    }
    if (this.#end + sizeBytes > BUFFER_BYTES) this.#handOver();
    return this.#end;
  }

  commit(sizeBytes: number): void {
    this.#outgoing[this.#count++] = sizeBytes;
    this.#end += sizeBytes;
    this.#committed += 1;
    if (this.#count === BATCH) this.#handOver();
    if (this.#flushPlanned) return;
    this.#flushPlanned = true;
    process.nextTick(this.#flushTick);
  }

  flush(): void {
    this.#flushPlanned = false;
    if (this.#count > 0) this.#handOver();
    this.#sink.onFlushed();
    this.#stayAwake();
  }

  pump(timeoutMs: number, spinUs: number): boolean {
    if (this.#over) return false;
    if (this.#delivering) throw nested();
    this.flush();
    // Nobody has to wake a reader that does not sleep.
    Atomics.store(this.#words, this.#armedAt, 0);
    const more = this.#head() !== this.#next || this.#api.wait(this.#next, spinUs, timeoutMs);
    if (more) this.#deliver();
    else this.#look();
    // Not asleep yet: the next request may come at once.
    if (!this.#ended()) this.#immediate ??= setImmediate(this.#turn);
    return more;
  }

  ref(): void {
    this.#api.setRef(true);
  }

  unref(): void {
    this.#api.setRef(false);
  }

  destroy(error?: Error): void {
    void this.close();
    this.#finish(error);
  }

  /** Leaves VPP; resolves when it has let go, or when that takes too long. Nothing is delivered any more. */
  close(): Promise<void> {
    this.#closing ??= new Promise<void>((resolve) => {
      clearInterval(this.#settling);
      if (this.#immediate !== undefined) clearImmediate(this.#immediate);
      const patience = setTimeout(() => this.#onClosed?.(), CLOSE_MS);
      this.#onClosed = () => {
        this.#onClosed = undefined;
        clearTimeout(patience);
        this.#api.release();
        resolve();
      };
      this.#api.close();
      if (this.#api.phase() === 'closed') this.#onClosed();
    });
    return this.#closing;
  }

  closeSync(_message: Uint8Array, waitMs: number): boolean {
    return this.#api.closeSync(waitMs);
  }

  #handOver(): void {
    const count = this.#count;
    const end = this.#end;
    this.#count = this.#end = 0;
    if (this.#over) return;
    this.bytesWritten += end;
    if (this.#api.send(this.buffer, this.#outgoing, count) < count) this.#look();
  }

  #head(): number {
    return Atomics.load(this.#words, this.#headAt) >>> 0;
  }

  #ended(): boolean {
    return this.#over || this.#closing !== undefined;
  }

  #wake(): void {
    if (this.#closing !== undefined) {
      if (this.#api.phase() === 'closed') this.#onClosed?.();
      return;
    }
    if (this.#immediate === undefined && !this.#ended()) this.#poll();
  }

  /** Replies are on their way: the event loop turns until they are there. */
  #stayAwake(): void {
    if (this.#spinMs === 0 || this.#ended() || this.#committed === this.#delivered) return;
    this.#awakeUntil = performance.now() + this.#spinMs;
    if (this.#immediate !== undefined) return;
    Atomics.store(this.#words, this.#armedAt, 0);
    this.#immediate = setImmediate(this.#turn);
  }

  #poll(): void {
    const open = this.#committed - this.#delivered;
    // Also when there is something already: who polls tells the library's thread to leave the queue alone.
    const spinUs = this.#spinMs > 0 && this.#head() === this.#next ? POLL_US : 0;
    if (open > 0) this.#api.poll(Math.min(STRIDE, (open + 1) >> 1), spinUs);
    const count = this.#deliver();
    if (this.#ended()) return;
    if (count > 0) this.#awakeUntil = performance.now() + this.#spinMs;
    // One more turn at least after a delivery: who waited for it may ask for more.
    if (count > 0 || (this.#committed > this.#delivered && performance.now() < this.#awakeUntil)) {
      this.#immediate ??= setImmediate(this.#turn);
    } else if (this.#immediate === undefined) this.#sleep();
  }

  /** Asks to be woken, or goes on at once when there is something by now. */
  #sleep(): void {
    this.#look();
    if (this.#ended()) return;
    Atomics.store(this.#words, this.#armedAt, 1);
    this.#api.rest();
    if (this.#head() === this.#next) return;
    Atomics.store(this.#words, this.#armedAt, 0);
    this.#immediate ??= setImmediate(this.#turn);
  }

  /** Hands out what is there; how many messages that was. */
  #deliver(): number {
    const head = this.#head();
    const mask = this.#mask;
    const data = this.#data;
    const sizes = this.#sizes;
    const ring = this.#ring;
    const sink = this.#sink;
    const before = this.#delivered;
    this.#delivering = true;
    while (this.#next !== head && !this.#ended()) {
      const at = this.#next;
      const offset = data + (at & mask);
      const size = sizes[offset >>> 2]!;
      if (size === SKIP) {
        this.#next = ((at | mask) + 1) >>> 0;
        continue;
      }
      this.#next = (at + ((size + 11) & ~7)) >>> 0;
      this.#delivered += 1;
      this.bytesRead += size;
      const start = offset + 4;
      if (this.#settledUpTo === undefined || !this.#isSettled(ring, start, size)) {
        sink.onMessage(ring, start, start + size);
      }
    }
    this.#delivering = false;
    if (!this.#ended()) sink.onBatchEnd();
    Atomics.store(this.#words, this.#tailAt, this.#next | 0);
    return this.#delivered - before;
  }

  /** Requests that VPP drops without a word would take room for ever: a ping of our own finds them out. */
  #settle(): void {
    if (this.#delivered !== this.#quiet || this.#committed === this.#delivered || this.#settledUpTo !== undefined) {
      this.#quiet = this.#delivered;
      return;
    }
    const at = this.reserve(PING_BYTES);
    writePing(this.buffer, at, 0, SETTLE_CONTEXT);
    this.commit(PING_BYTES);
    this.#settledUpTo = this.#committed;
    this.flush();
  }

  #isSettled(bytes: Uint8Array, start: number, size: number): boolean {
    if (size < 6 || readU16(bytes, start) !== ids.controlPingReply || readU32(bytes, start + 2) !== SETTLE_CONTEXT) {
      return false;
    }
    const dropped = this.#settledUpTo! - this.#delivered;
    this.#settledUpTo = undefined;
    if (dropped > 0) {
      this.#delivered += dropped;
      this.#api.forget(dropped);
    }
    return true;
  }

  /** Has something happened to the connection itself? */
  #look(): void {
    const failure = this.#api.failure();
    if (failure === undefined && this.#api.phase() === 'open') return;
    const text = failure?.text ?? 'the connection was closed';
    const error =
      failure?.reason === 'OVERFLOW'
        ? new VppProtocolError('ERR_VPP_OVERFLOW', `shared memory: ${text}`)
        : new Error(`shared memory: ${text}`);
    void this.close();
    this.#finish(error);
  }

  #finish(error: Error | undefined): void {
    if (this.#over) return;
    this.#over = true;
    this.#sink.onEnd(error);
  }
}
