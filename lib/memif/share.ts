// Queues in worker threads. The thread that opened an interface keeps its control channel; a worker gets queues of it
// over a MessagePort, maps the regions itself and works on the rings without anybody in between.
//
//   owner                                   worker
//   port = share(memif, {rx:[0], tx:[0]})   queues = openShared(port)
//   up        ------- up {handle} ------->  rx, tx have entries
//   down      ------- down {reason} ----->  memory detached, no entries
//   (peer loses its connection) <-- accuse -- a descriptor was wrong
//   given back on port close    <-- close --
//
// Shared queues belong to the worker for good: the owner sees nothing on them. Counters are in shared memory.

import { EventEmitter } from 'node:events';
import { MessageChannel, MessagePort } from 'node:worker_threads';
import { ArgumentRangeError, ArgumentTypeError, MemifError } from '../errors.js';
import { native, type NativeQueueExport, type NativeSharedQueues } from '../native.js';
import type { Memif } from './memif.js';
import { Receiver, type RxMode } from './receiver.js';
import { bindRing } from './ring.js';
import { RxQueue } from './rx-queue.js';
import { TxQueue } from './tx-queue.js';

interface Greeting {
  readonly type: 'greeting';
  readonly rx: readonly { index: number; counters: Float64Array }[];
  readonly tx: readonly { index: number; counters: Float64Array }[];
  readonly rxMode: RxMode;
  readonly spinUs: number;
}
interface Up {
  readonly type: 'up';
  readonly handle: NativeQueueExport;
  readonly server: boolean;
  readonly cacheLine: number;
  readonly buffers: readonly (Uint32Array | undefined)[];
  readonly bufferSize: number;
  readonly next: readonly number[];
}
interface Down {
  readonly type: 'down';
  readonly reason: string;
  readonly message: string;
}
type ToWorker = Greeting | Up | Down | { readonly type: 'closed' };
interface ToOwner {
  readonly type: 'accuse';
  readonly reason: string;
  readonly text: string;
}

/** Which queues a worker gets, by their numbers. */
export interface SharedQueueList {
  readonly rx?: readonly number[];
  readonly tx?: readonly number[];
}

/**
 * Lends queues of an interface to a worker thread: send the port there (in the transfer list) and call `openShared`.
 * Closing the port on either side ends it.
 */
export function share(memif: Memif, queues: SharedQueueList): MessagePort {
  const wantedRx = queues.rx ?? [];
  const wantedTx = queues.tx ?? [];
  const check = (name: string, numbers: readonly number[], limit: number): void => {
    for (const number of numbers) {
      if (!Number.isInteger(number) || number < 0 || number >= limit) {
        throw new ArgumentRangeError(`sharing memif ${memif.id}: ${name} queue ${number} is not one of the ${limit}`);
      }
    }
  };
  check('rx', wantedRx, memif.options.rxQueues);
  check('tx', wantedTx, memif.options.txQueues);
  const rx = wantedRx.map((index) => memif.rxQueue(index));
  const tx = wantedTx.map((index) => memif.txQueue(index));
  for (const queue of [...rx, ...tx]) {
    if (queue.lent) {
      throw new MemifError(
        'IN_USE',
        `sharing memif ${memif.id} on ${memif.socket}: queue ${queue.index} is used already`,
      );
    }
  }
  const { port1, port2 } = new MessageChannel();
  const send = (message: ToWorker): void => port1.postMessage(message);
  // The rx queues of a server are S2M rings, its tx queues M2S rings; a client's the other way round.
  const server = memif.role === 'server';
  const ringsOf = () => [
    ...wantedRx.map((index) => ({ s2m: server, index })),
    ...wantedTx.map((index) => ({ s2m: !server, index })),
  ];

  const onUp = (): void => {
    const all = [...rx, ...tx];
    if (all.some((queue) => queue.size === 0)) return; // the peer brought fewer queues than were asked for
    const handle = memif.native.exportQueues(ringsOf());
    if (handle === undefined) return;
    const states = all.map((queue) => ({ ...queue.lend(), bufferSize: queue.binding?.bufferSize ?? 0 }));
    memif.lendingChanged();
    send({
      type: 'up',
      handle,
      server,
      cacheLine: memif.options.cacheLine,
      buffers: states.map((state) => state.buffers),
      bufferSize: states[0]?.bufferSize ?? 0,
      next: states.map((state) => state.next),
    });
  };
  const onDown = (reason: MemifError): void => send({ type: 'down', reason: reason.reason, message: reason.message });
  const onClose = (): void => {
    send({ type: 'closed' });
    port1.close();
  };
  memif.prependListener('up', onUp);
  memif.on('down', onDown);
  memif.on('close', onClose);
  port1.on('message', (message: ToOwner) => memif.accuse(message.reason, message.text));
  port1.once('close', () => {
    memif.off('up', onUp);
    memif.off('down', onDown);
    memif.off('close', onClose);
    // What the worker has done with the rings is not known here: the queues come back with the next connection.
    if (memif.isUp) memif.native.disconnect('CLOSED', 'the worker that used the queues has ended');
  });
  port1.unref();
  send({
    type: 'greeting',
    rx: rx.map((queue) => ({ index: queue.index, counters: queue.shared })),
    tx: tx.map((queue) => ({ index: queue.index, counters: queue.shared })),
    rxMode: memif.options.rxMode,
    spinUs: memif.options.spinUs,
  });
  if (memif.isUp) onUp();
  return port2;
}

/** Events of shared queues. */
export interface SharedQueuesEvents {
  up: [];
  down: [reason: MemifError];
  close: [];
}

const opened = new WeakSet<MessagePort>();

/** Opens, in a worker thread, the queues that `share` lent to it. */
export function openShared(port: MessagePort): SharedQueues {
  if (!(port instanceof MessagePort)) throw new ArgumentTypeError('openShared: the MessagePort that share() made');
  if (opened.has(port)) throw new MemifError('IN_USE', 'opening shared memif queues: this port was opened before');
  opened.add(port);
  return new SharedQueues(port);
}

/** Queues of an interface that another thread owns. */
export class SharedQueues extends EventEmitter<SharedQueuesEvents> implements Disposable {
  /** The lent receive queues, in the order of `share`. Known once the owner's greeting has arrived: see `ready`. */
  readonly rx: RxQueue[] = [];
  /** The lent transmit queues. */
  readonly tx: TxQueue[] = [];
  readonly #port: MessagePort;
  #native: NativeSharedQueues | undefined;
  #receivers: Receiver[] = [];
  #listener: ((queue: RxQueue) => void) | undefined;
  #rxMode: RxMode = 'interrupt';
  #spinUs = 0;
  #closed = false;

  /** @internal */
  constructor(port: MessagePort) {
    super();
    this.#port = port;
    port.on('message', (message: ToWorker) => this.#receive(message));
    port.once('close', () => this.close());
  }

  /** Whether the interface is up. */
  get isUp(): boolean {
    return this.#native !== undefined;
  }

  /** Resolves when the interface is up. Rejects when it is closed. */
  up(): Promise<void> {
    if (this.isUp) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const done = (): void => {
        this.off('close', closed);
        resolve();
      };
      const closed = (): void => {
        this.off('up', done);
        reject(new MemifError('CLOSED', 'waiting for shared memif queues to come up: they were closed'));
      };
      if (this.#closed) {
        closed();
        return;
      }
      this.once('up', done);
      this.once('close', closed);
    });
  }

  /** As `Memif.listen`. */
  listen(onPackets: ((queue: RxQueue) => void) | undefined): this {
    for (const receiver of this.#receivers) receiver.stop();
    this.#receivers = [];
    this.#listener = onPackets;
    this.#startReceivers();
    return this;
  }

  #startReceivers(): void {
    const listener = this.#listener;
    if (listener === undefined || !this.isUp) return;
    this.#receivers = this.rx.map((queue) => new Receiver(queue, this.#rxMode, this.#spinUs, listener));
    for (const receiver of this.#receivers) receiver.start();
  }

  #receive(message: ToWorker): void {
    switch (message.type) {
      case 'greeting': {
        const accuse = (reason: string, text: string): void => this.#port.postMessage({ type: 'accuse', reason, text });
        for (const { index, counters } of message.rx) this.rx.push(new RxQueue(index, accuse, counters));
        for (const { index, counters } of message.tx) this.tx.push(new TxQueue(index, accuse, counters));
        this.#rxMode = message.rxMode;
        this.#spinUs = message.spinUs;
        return;
      }
      case 'up':
        this.#bind(message);
        return;
      case 'down':
        this.#unbind();
        this.emit('down', new MemifError(message.reason as MemifError['reason'], message.message));
        return;
      case 'closed':
        this.close();
    }
  }

  #bind(message: Up): void {
    this.#unbind();
    try {
      this.#native = new (native().SharedQueues)(message.handle);
    } catch {
      return; // the connection went down meanwhile; the owner's message about that is on its way
    }
    const { regions, events } = this.#native;
    const memory = regions.map((region) => new Uint8Array(region));
    const all = [...this.rx, ...this.tx];
    message.handle.rings.forEach((ring, i) => {
      const queue = all[i]!;
      const binding = bindRing({ ...ring, event: events[i]! }, regions, memory, {
        server: message.server,
        cacheLine: message.cacheLine,
        buffers: message.buffers[i],
        bufferSize: message.bufferSize,
      });
      if (queue instanceof RxQueue) {
        queue.bind(binding, message.next[i], false);
        queue.maskInterrupts(true);
      } else queue.bind(binding, message.next[i]);
    });
    this.#startReceivers();
    this.emit('up');
  }

  #unbind(): void {
    for (const receiver of this.#receivers) receiver.stop();
    this.#receivers = [];
    for (const queue of this.rx) queue.unbind();
    for (const queue of this.tx) queue.unbind();
    this.#native?.close();
    this.#native = undefined;
  }

  /** Gives the queues up; the interface's connection ends with it. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#unbind();
    this.#port.close();
    this.emit('close');
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
