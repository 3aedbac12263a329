// A memif interface.
//
//            open            up                          close / destroy
//   (new) ---------> down <------> up ------------------------------------> closed
//                     |  down(reason)
//                     client: tries again, 100 ms doubling to 3 s; server: waits for the next client
//
// The queues stay the same objects through all of it; while the interface is down they have no entries.

import { EventEmitter } from 'node:events';
import { ArgumentRangeError, ArgumentTypeError, MemifError } from '../errors.js';
import { native, type NativeFailure, type NativeInterface, type NativeSession } from '../native.js';
import { Backlog } from './backlog.js';
import type { MemifEvents, MemifPeer, MemifStatistics } from './events.js';
import { failureToError } from './failure.js';
import { acquireListener, refListener, releaseListener } from './listeners.js';
import { type MemifMode, type MemifOptions, type MemifRole, type ResolvedOptions, resolveOptions } from './options.js';
import { Receiver, type RxMode, rxModes } from './receiver.js';
import { bindSession } from './ring.js';
import { Retry } from './retry.js';
import { RxQueue } from './rx-queue.js';
import { copyPackets } from './copy.js';
import { TxQueue } from './tx-queue.js';
import { waitUntil } from './wait.js';

/** The backlog holds this many times the high-water mark before `send` refuses. */
const backlogFactor = 64;

/** How often memory that can be taken away is looked at. */
const memoryWatchMs = 200;

/**
 * Opens a memif interface. A server listens when this returns; a client makes its first attempt in this turn of the
 * event loop and goes on by itself until it is closed.
 *
 * @throws {MemifError} `ERR_MEMIF_SYSTEM` when the socket cannot be opened (a live listener, no permission),
 *   `ERR_MEMIF_ADDRESS` when its name is not one
 *
 * @example
 * ```ts
 * import { openMemif } from 'node-vpp/memif';
 * const server = openMemif({ socket: '@doc-open', role: 'server' });
 * const client = openMemif({ socket: '@doc-open', role: 'client' });
 * await Promise.all([server.up(), client.up()]);
 * client.send(new Uint8Array(64));
 * for await (const packets of server) {
 *   console.log(packets.length, 'packet of', packets[0]!.length, 'bytes');
 *   break;
 * }
 * await Promise.all([client.close(), server.close()]);
 * ```
 */
export function openMemif(options: MemifOptions): Memif {
  return new Memif(resolveOptions(options));
}

/** A memif interface; made by `openMemif`. */
export class Memif extends EventEmitter<MemifEvents> implements AsyncIterable<Uint8Array[]>, AsyncDisposable {
  readonly role: MemifRole;
  readonly id: number;
  readonly mode: MemifMode;
  readonly socket: string;
  /** Receive queues. A server has as many as its client offered; never fewer than before. */
  readonly rx: RxQueue[] = [];
  /** Transmit queues. */
  readonly tx: TxQueue[] = [];
  /** Without the secret: whoever shows an interface does not show that. @internal */
  readonly options: Omit<ResolvedOptions, 'secret'>;
  /** @internal */
  readonly native: NativeInterface;

  readonly #receivers = new Map<RxQueue, Receiver>();
  #rxMode: RxMode;
  readonly #backlogs = new Map<TxQueue, Backlog>();
  #listener: ((queue: RxQueue) => void) | undefined;
  #readers: (() => void)[] = [];
  #peer: MemifPeer | undefined;
  #state: 'open' | 'closing' | 'closed' = 'open';
  readonly #retry: Retry;
  #ups = 0;
  #refusals = 0;
  #lastError: MemifError | undefined;
  #ref = true;
  #closed: Promise<void> | undefined;
  #settleClosed: () => void = () => undefined;
  #accusing: { reason: string; text: string } | undefined;
  #onAbort: (() => void) | undefined;
  #memoryWatch: NodeJS.Timeout | undefined;

  /** @internal */
  constructor(options: ResolvedOptions) {
    super();
    const { secret, ...open } = options;
    this.options = open;
    this.role = options.role;
    this.id = options.id;
    this.mode = options.mode;
    this.socket = options.socket;
    this.#rxMode = options.rxMode;
    options.signal?.throwIfAborted();
    this.#retry = new Retry(options.retryMinMs, options.retryMaxMs, () => this.#attempt());
    const server = options.role === 'server';
    const listener = server ? acquireListener(options) : undefined;
    this.native = new (native().MemifInterface)(
      {
        role: options.role,
        id: options.id,
        mode: options.mode,
        ...(secret === undefined ? {} : { secret }),
        appName: options.appName,
        interfaceName: options.name,
        s2mRings: server ? options.rxQueues : options.txQueues,
        m2sRings: server ? options.txQueues : options.rxQueues,
        log2RingSize: Math.log2(options.ringSize),
        bufferSize: options.bufferSize,
        cacheLine: options.cacheLine,
        allowUnsealed: options.allowUnsealed,
        maxRegionBytes: options.maxRegionBytes,
        handshakeTimeoutMs: options.handshakeTimeoutMs,
        ...(options.memory === undefined ? {} : { memory: options.memory.native }),
      },
      (event, detail, wasUp) => {
        if (event === 'up') this.#up(detail);
        else this.#down(detail, wasUp === true);
      },
    );
    options.memory?.acquire();
    if (listener !== undefined) this.native.attach(listener);
    else this.#attempt();
    if (options.signal !== undefined) {
      const { signal } = options;
      this.#onAbort = (): void => {
        void this.destroy(signal.reason as Error);
      };
      signal.addEventListener('abort', this.#onAbort, { once: true });
    }
  }

  /** The peer, while the interface is up. */
  get peer(): MemifPeer | undefined {
    return this.#peer;
  }

  /** Whether a peer is connected. */
  get isUp(): boolean {
    return this.#peer !== undefined;
  }

  /** Whether `close` or `destroy` has been called. */
  get isClosed(): boolean {
    return this.#state !== 'open';
  }

  /** Whether it is closed for good, and `close` emitted. @internal */
  get isDone(): boolean {
    return this.#state === 'closed';
  }

  /** Why the last attempt or connection failed. */
  get lastError(): MemifError | undefined {
    return this.#lastError;
  }

  /** A snapshot of all counters. */
  get statistics(): MemifStatistics {
    let waiting = 0;
    for (const backlog of this.#backlogs.values()) waiting += backlog.length;
    return {
      rx: this.rx.map((queue) => queue.counters),
      tx: this.tx.map((queue) => queue.counters),
      ups: this.#ups,
      refusals: this.#refusals,
      waiting,
    };
  }

  /** Resolves when the interface is up; at once when it is. Rejects when it is closed, or at the time limit. */
  up(options: { signal?: AbortSignal; timeoutMs?: number } = {}): Promise<MemifPeer> {
    return waitUntil(this, () => this.#peer, `waiting for memif ${this.id} on ${this.socket} to come up`, options);
  }

  /** Resolves when some receive queue has packets; at once when one has. */
  async readable(options: { signal?: AbortSignal; timeoutMs?: number } = {}): Promise<void> {
    const waker: { wake?: () => void } = {};
    const wake = (): void => {
      waker.wake?.();
    };
    this.#readers.push(wake);
    this.#listenAsNeeded();
    try {
      await waitUntil(
        this,
        () => (this.rx.some((queue) => queue.ready()) ? true : undefined),
        `waiting for packets on memif ${this.id} on ${this.socket}`,
        options,
        waker,
      );
    } finally {
      this.#readers = this.#readers.filter((each) => each !== wake);
      this.#listenAsNeeded();
    }
  }

  /**
   * Calls `onPackets` whenever a queue has packets, once per wake-up and as long as some are left; it should peek and
   * release. How packets are waited for is the option `rxMode`. One listener at a time; `undefined` ends it.
   */
  listen(onPackets: ((queue: RxQueue) => void) | undefined): this {
    if (onPackets !== undefined && typeof onPackets !== 'function') {
      throw new ArgumentTypeError('memif listen: a function or undefined is needed');
    }
    this.#listener = onPackets;
    this.#listenAsNeeded();
    return this;
  }

  /** Waits for packets in another way from now on. */
  setRxMode(mode: RxMode): this {
    if (!rxModes.includes(mode)) {
      throw new ArgumentTypeError(`memif rxMode: '${mode as string}' is not one of ${rxModes.join(', ')}`);
    }
    if (mode === this.#rxMode) return this;
    this.#rxMode = mode;
    for (const receiver of this.#receivers.values()) if (receiver.running) receiver.stop();
    this.#receivers.clear();
    if (this.#state === 'open') this.#listenAsNeeded();
    return this;
  }

  #listenAsNeeded(): void {
    const wanted = this.#listener !== undefined || this.#readers.length > 0;
    for (const queue of this.rx) {
      let receiver = this.#receivers.get(queue);
      if (wanted && queue.size > 0 && !queue.lent) {
        if (receiver === undefined) {
          receiver = new Receiver(queue, this.#rxMode, this.options.spinUs, (each) => this.#onPackets(each));
          receiver.setRef(this.#ref);
          this.#receivers.set(queue, receiver);
        }
        receiver.start();
      } else if (receiver?.running) {
        receiver.stop();
      }
    }
  }

  #onPackets(queue: RxQueue): void {
    this.#listener?.(queue);
    for (const wake of this.#readers) wake();
  }

  /**
   * Sends packets, copied into the ring before this returns when there is room. What does not fit waits in JavaScript,
   * in order, also while the interface is down: then the result is false, and `drain` tells when it has gone. Such
   * packets must not be changed meanwhile. Never drops.
   *
   * @throws {MemifError} `ERR_MEMIF_PACKET_TOO_LONG` when a packet cannot fit even in an empty ring,
   *   `ERR_MEMIF_BACKLOG` when false was ignored for too long, `ERR_MEMIF_CLOSED` after close
   */
  send(packets: Uint8Array | readonly Uint8Array[], options: { queue?: number } = {}): boolean {
    if (this.#state !== 'open')
      throw new MemifError('CLOSED', `sending on memif ${this.id} on ${this.socket}: it is closed`);
    const list = packets instanceof Uint8Array ? [packets] : packets;
    if (!Array.isArray(list)) throw new ArgumentTypeError('memif send: a Uint8Array or an array of them is needed');
    const index = options.queue ?? 0;
    const known = Math.max(1, this.tx.length);
    if (!Number.isInteger(index) || index < 0 || index >= known) {
      throw new ArgumentRangeError(`memif send: queue ${index} is not one of the ${known}`);
    }
    const tx = this.txQueue(index);
    if (tx.lent) {
      throw new MemifError(
        'IN_USE',
        `sending on memif ${this.id} on ${this.socket}: queue ${index} is used by a bridge or worker`,
      );
    }
    const backlog = this.#backlogs.get(tx)!;
    backlog.push(list as Uint8Array[]);
    return backlog.length === 0;
  }

  /** Packets (copies) as they come: one array per burst. Nothing is taken from the ring while nobody asks. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array[], void, void> {
    while (this.#state === 'open') {
      let any = false;
      for (const queue of this.rx) {
        if (queue.lent) continue;
        const packets = copyPackets(queue, 256);
        if (packets.length === 0) continue;
        any = true;
        yield packets;
      }
      if (any) continue;
      try {
        await this.readable();
      } catch (error) {
        if (error instanceof MemifError && error.reason === 'CLOSED') return;
        throw error;
      }
    }
  }

  /** Keeps the event loop alive while open (the default), or not. */
  ref(): this {
    return this.#setRef(true);
  }

  unref(): this {
    return this.#setRef(false);
  }

  #setRef(ref: boolean): this {
    this.#ref = ref;
    if (this.#state === 'closed') return this;
    this.native.setRef(ref);
    if (this.role === 'server') refListener(this.socket, this.id, ref);
    for (const receiver of this.#receivers.values()) receiver.setRef(ref);
    this.#retry.setRef(ref);
    return this;
  }

  /**
   * Sends what still waits (for at most `timeoutMs`, default 1000), then closes the connection and the socket.
   * Resolves when all is gone.
   */
  close(options: { timeoutMs?: number } = {}): Promise<void> {
    if (this.#closed !== undefined) return this.#closed;
    this.#state = 'closing';
    this.#closed = new Promise((resolve) => {
      this.#settleClosed = resolve;
    });
    const waiting = [...this.#backlogs.values()].some((backlog) => backlog.length > 0);
    if (waiting && this.#peer !== undefined) {
      const finish = (): void => {
        clearTimeout(timer);
        this.off('drain', finish);
        this.off('down', finish);
        this.off('close', finish);
        this.#finish(undefined);
      };
      const timer = setTimeout(finish, options.timeoutMs ?? 1000);
      this.on('drain', finish);
      this.on('down', finish);
      this.on('close', finish); // destroyed meanwhile
    } else {
      this.#finish(undefined);
    }
    return this.#closed;
  }

  /** Closes now; packets that wait are dropped. With an error, `error` is emitted when somebody listens to it. */
  destroy(error?: Error): Promise<void> {
    this.#closed ??= new Promise((resolve) => {
      this.#settleClosed = resolve;
    });
    if (this.#state !== 'closed') this.#finish(error);
    return this.#closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #finish(error: Error | undefined): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#retry.stop();
    if (this.#onAbort !== undefined) this.options.signal?.removeEventListener('abort', this.#onAbort);
    this.native.destroy();
    for (const backlog of this.#backlogs.values()) backlog.clear();
    if (this.role === 'server') releaseListener(this.socket, this.id);
    this.options.memory?.release();
    if (error !== undefined && this.listenerCount('error') > 0) this.emit('error', error);
    this.emit('close');
    this.#settleClosed();
  }

  #attempt(): void {
    const failure = this.native.connect(this.socket);
    if (failure === undefined) return;
    const error = failureToError(`connecting to ${this.socket}`, failure, this.socket);
    if (failure.errno === undefined) {
      // Not an address at all: trying again cannot help.
      this.native.destroy();
      this.options.memory?.release();
      throw error;
    }
    this.#refused(error);
  }

  #refused(error: MemifError): void {
    this.#refusals++;
    this.#lastError = error;
    if (this.role === 'client' && this.#state === 'open') this.#retry.refused();
    // Never in the turn in which openMemif was called: nobody can listen yet.
    queueMicrotask(() => {
      if (this.#state !== 'closed') this.emit('refused', error);
    });
  }

  /** @internal */
  rxQueue(index: number): RxQueue {
    for (let i = this.rx.length; i <= index; i++) {
      this.rx.push(new RxQueue(i, (reason, text) => this.#accuse(reason, text)));
    }
    return this.rx[index]!;
  }

  /** @internal */
  txQueue(index: number): TxQueue {
    for (let i = this.tx.length; i <= index; i++) this.#addTxQueue(i);
    return this.tx[index]!;
  }

  #addTxQueue(index: number): void {
    const queue = new TxQueue(index, (reason, text) => this.#accuse(reason, text));
    this.tx.push(queue);
    const drained = (): void => {
      for (const each of this.#backlogs.values()) if (each.length > 0) return;
      this.emit('drain');
    };
    const limit = this.options.highWaterMark * backlogFactor;
    this.#backlogs.set(queue, new Backlog(queue, limit, drained, (error) => this.emit('error', error)));
  }

  #up(session: NativeSession): void {
    const { rx, tx } = bindSession(session, { server: this.role === 'server', cacheLine: this.options.cacheLine });
    for (const [index, binding] of rx.entries()) {
      const queue = this.rxQueue(index);
      queue.bind(binding);
      // Until somebody listens the peer need not ring.
      queue.maskInterrupts(true);
    }
    for (const [index, binding] of tx.entries()) this.txQueue(index).bind(binding);
    this.#peer = {
      name: session.peerName,
      interfaceName: session.peerInterfaceName,
      pid: session.pid,
      uid: session.uid,
      gid: session.gid,
    };
    this.#ups++;
    this.#retry.up();
    // Memory that its owner can take away is looked at now and then: a lost buffer shows as zeros, not as an error.
    if (this.role === 'server' && this.options.allowUnsealed) {
      this.#memoryWatch = setInterval(() => {
        if (this.native.memoryLost()) this.#accuse('REGION', 'a region was truncated under us');
      }, memoryWatchMs).unref();
    }
    this.#listenAsNeeded();
    for (const backlog of this.#backlogs.values()) backlog.pump();
    this.emit('up', this.#peer);
  }

  #down(failure: NativeFailure, wasUp: boolean): void {
    const doing = `memif ${this.id} on ${this.socket}`;
    const error = failureToError(doing, failure, this.socket);
    if (!wasUp) {
      this.#refused(error);
      return;
    }
    this.#lastError = error;
    clearInterval(this.#memoryWatch);
    this.emit('leaving');
    this.#peer = undefined;
    for (const receiver of this.#receivers.values()) if (receiver.running) receiver.stop();
    this.#receivers.clear();
    for (const queue of [...this.rx, ...this.tx]) {
      // What is in the slots now goes back: after `forward` that is not what the connection began with.
      const buffers = queue.binding?.buffers;
      if (buffers !== undefined) this.options.memory?.native.give(buffers);
      queue.unbind();
    }
    for (const backlog of this.#backlogs.values()) backlog.pause();
    this.emit('down', error);
    if (this.role === 'client' && this.#state === 'open') this.#retry.down();
  }

  /** The peer broke a rule: it loses its connection, after the queue that noticed has finished what it was doing. */
  #accuse(reason: string, text: string): void {
    if (this.#accusing !== undefined || this.#peer === undefined) return;
    this.#accusing = { reason, text };
    queueMicrotask(() => {
      const accusation = this.#accusing;
      this.#accusing = undefined;
      if (accusation === undefined || this.#peer === undefined) return;
      const lost = this.native.memoryLost();
      this.native.disconnect(
        lost ? 'REGION' : accusation.reason,
        lost ? 'a region was truncated under us' : accusation.text,
      );
    });
  }

  /** For bridges and shares. @internal */
  accuse(reason: string, text: string): void {
    this.#accuse(reason, text);
  }

  /** Starts or stops receivers after queues were lent or given back. @internal */
  lendingChanged(): void {
    this.#listenAsNeeded();
  }
}
