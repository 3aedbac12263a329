// Everything in flight on one connection: slots, contexts, the window, the queue behind it, and the quarantine.
//
//   start ──room──> encode into the transport's buffer ──> slots[i]
//     └──no room──> encode into memory of our own ──> parked, sent in order as slots come free
//
// Invariants: at most `window` exchanges that count are open; order of sending = order of asking; a message that its
// codec refuses is not sent, not even in part; settled, timed-out and aborted exchanges never hold room in the window.

import { VppConnectionError, VppProtocolError } from '../errors.js';
import type { Counters } from './counters.js';
import type { Deadlines } from './deadlines.js';
import { RequestExchange, type Exchange, type ExchangeHost, type Fields } from './exchange.js';
import { readU16, readU32, writeU16, writeU32 } from './frame.js';
import type { Outgoing, Resolver } from './resolve.js';
import { PING_BYTES, ids, pidOfPingReply, writePing } from './table.js';
import type { Transport } from './transport/transport.js';

const MAX_SLOTS = 0x10000;
/** Contexts kept out of use at most; beyond it the oldest goes back (its generation differs by then). */
const MAX_QUARANTINE = 0x4000;
const PARK_BYTES = 64 * 1024;

/** What the table of exchanges tells the link. */
export interface InFlightOptions {
  transport: Transport;
  resolver: Resolver;
  deadlines: Deadlines;
  counters: Counters;
  window: number;
  maxQueued: number;
  /** Sees every message that leaves; undefined costs nothing. */
  onSent: ((bytes: Uint8Array, start: number, end: number) => void) | undefined;
  /** A message without a context. */
  onEvent(bytes: Uint8Array, start: number, end: number, id: number): void;
}

interface Ping {
  readonly context: number;
  readonly sentAt: number;
  readonly listeners: ((pid: number | undefined) => void)[];
}

/** Told at the end of a batch of messages. */
export interface BatchEnd {
  settleBatch(): void;
}

/** All exchanges of one connection. */
export class InFlight implements ExchangeHost {
  readonly #slots: (Exchange | undefined)[] = [];
  readonly #free: number[] = [];
  readonly #generations = new Uint16Array(MAX_SLOTS);
  #quarantine: Exchange[] = [];
  #quarantined = 0;
  readonly #waiting: Exchange[] = [];
  #nextWaiting = 0;
  #unsent = 0;
  #open = 0;
  #sent = 0;
  #park = new Uint8Array(0);
  #parkEnd = 0;
  #pings: Ping[] = [];
  #pingContext = 0;
  /** Exchanges whose deadline has passed and whose verdict is still open. */
  readonly #judged = new Set<Exchange>();
  #over: Error | undefined;
  #idle: (() => void)[] | undefined;
  /** Dumps that got rows in the batch of messages being read. */
  readonly touched: BatchEnd[] = [];
  readonly #options: InFlightOptions;
  readonly #counters: Counters;
  readonly #transport: Transport;
  readonly #resolver: Resolver;
  readonly #clientIndex: number;

  constructor(options: InFlightOptions) {
    this.#options = options;
    this.#counters = options.counters;
    this.#transport = options.transport;
    this.#resolver = options.resolver;
    this.#clientIndex = options.resolver.table.clientIndex;
  }

  /** Open exchanges that take room in the window. */
  get inFlight(): number {
    return this.#open;
  }

  /** Exchanges that wait for room. */
  get queued(): number {
    return this.#unsent;
  }

  /** Contexts out of use because their reply may still come. */
  get quarantined(): number {
    return this.#quarantined;
  }

  get window(): number {
    return this.#options.window;
  }

  set onSent(tap: InFlightOptions['onSent']) {
    this.#options.onSent = tap;
  }

  /** Sends a request, or parks it while the window is full. */
  request(outgoing: Outgoing, fields: Fields, timeoutMs: number): RequestExchange {
    const exchange = new RequestExchange(this, outgoing, fields, timeoutMs);
    this.start(exchange, fields);
    return exchange;
  }

  /** Starts an exchange of any kind; what is wrong with the fields fails it, and nothing is sent. */
  start(exchange: Exchange, fields: Fields): void {
    const { outgoing, timeoutMs } = exchange;
    if (this.#over !== undefined) {
      exchange.phase = 'done';
      exchange.fail(this.#over);
      return;
    }
    exchange.counted = true;
    try {
      if (this.#open < this.#options.window && this.#unsent === 0) this.#send(exchange, outgoing!, fields);
      else this.#parkMessage(exchange, outgoing!, fields);
    } catch (error) {
      exchange.phase = 'done';
      exchange.fail(error);
      return;
    }
    if (timeoutMs > 0 && exchange.phase !== 'done') this.#options.deadlines.add(exchange, timeoutMs);
  }

  /** Sends the exchange's request once more, with other fields and the same context (next page of a cursor). */
  again(exchange: Exchange, fields: Fields): void {
    this.#write(exchange, exchange.outgoing!, fields);
    if (exchange.timeoutMs > 0) this.#options.deadlines.add(exchange, exchange.timeoutMs);
  }

  /** Restarts the clock of an exchange that is still getting messages. */
  refresh(exchange: Exchange): void {
    if (exchange.queue === undefined) return;
    exchange.queue.remove(exchange);
    this.#options.deadlines.add(exchange, exchange.timeoutMs);
  }

  /** No deadline any more. */
  relax(exchange: Exchange): void {
    exchange.queue?.remove(exchange);
  }

  /** Sends a control_ping; resolves with VPP's pid, or undefined when the connection ends first. */
  ping(): Promise<number | undefined> {
    if (this.#over !== undefined) return Promise.resolve(undefined);
    return new Promise((answered) => {
      // Pings are answered in order and have contexts of their own: bit 31 of a generation that slots never reach.
      this.#pingContext = (this.#pingContext + 1) & 0x7fff;
      const context = (0xffff0000 | this.#pingContext) >>> 0;
      this.#pings.push({ context, sentAt: ++this.#sent, listeners: [answered] });
      this.#writePing(context);
    });
  }

  /** One message from VPP. */
  receive(bytes: Uint8Array, start: number, end: number): void {
    const counters = this.#counters;
    counters.received += 1;
    const size = end - start;
    if (size < 2) {
      counters.malformed += 1;
      return;
    }
    const id = readU16(bytes, start);
    const incoming = this.#resolver.incoming(id);
    if (incoming === undefined) {
      if (id === ids.controlPingReply) this.#pong(bytes, start, end);
      else if (this.#resolver.table.messageAt(id) === undefined) counters.unknownMessages += 1;
      else this.#options.onEvent(bytes, start, end, id);
      return;
    }
    const { contextOffset } = incoming;
    if (contextOffset < 0) {
      this.#options.onEvent(bytes, start, end, id);
      return;
    }
    if (size < contextOffset + 4) {
      counters.malformed += 1;
      return;
    }
    const context = readU32(bytes, start + contextOffset);
    const exchange = this.#slots[context & 0xffff];
    if (exchange?.context === context) exchange.receive(bytes, start, end, incoming);
    else if (id !== ids.controlPingReply || !this.#pong(bytes, start, end)) counters.unknownContexts += 1;
  }

  /** Resolves when nothing is in flight or waiting for room. */
  whenIdle(): Promise<void> {
    return new Promise((resolve) => {
      (this.#idle ??= []).push(resolve);
      this.#tellIdle();
    });
  }

  /** All messages that arrived together have been received. */
  endBatch(): void {
    if (this.touched.length === 0) return;
    for (const dump of this.touched.splice(0)) dump.settleBatch();
  }

  /** The caller gave up (abort, end of iteration): the exchange is settled by now, only its slot is left. */
  abandon(exchange: Exchange): void {
    if (exchange.phase === 'parked') this.#unpark(exchange);
    else if (exchange.phase === 'open') this.quarantine(exchange);
  }

  /** Fails everything, now and from now on. */
  end(error: Error): void {
    if (this.#over !== undefined) return;
    this.#over = error;
    const exchanges = [...this.#slots, ...this.#waiting.slice(this.#nextWaiting), ...this.#judged];
    this.#waiting.length = this.#nextWaiting = this.#unsent = 0;
    for (const exchange of exchanges) {
      if (exchange === undefined) continue;
      exchange.queue?.remove(exchange);
      exchange.phase = 'done';
      exchange.fail(error);
    }
    this.#slots.length = this.#free.length = 0;
    this.#judged.clear();
    this.#open = this.#quarantined = 0;
    if (this.#idle !== undefined) this.#tellIdle();
    this.#answer(this.#pings.splice(0), undefined);
  }

  release(exchange: Exchange): void {
    if (exchange.phase === 'done') return;
    const wasLate = exchange.phase === 'late';
    exchange.phase = 'done';
    exchange.queue?.remove(exchange);
    const index = exchange.context & 0xffff;
    this.#slots[index] = undefined;
    this.#free.push(index);
    if (!wasLate) {
      this.#leaveWindow(exchange);
      return;
    }
    this.#quarantined -= 1;
    if (this.#quarantine.length > 2 * this.#quarantined + 64) {
      this.#quarantine = this.#quarantine.filter(({ phase }) => phase === 'late');
    }
  }

  quarantine(exchange: Exchange): void {
    exchange.phase = 'late';
    exchange.queue?.remove(exchange);
    this.#quarantined += 1;
    this.#quarantine.push(exchange);
    if (this.#quarantine.length > MAX_QUARANTINE) {
      const oldest = this.#quarantine.shift()!;
      if (oldest.phase === 'late') this.release(oldest);
    }
    this.#leaveWindow(exchange);
  }

  expired(exchange: Exchange): void {
    this.#counters.timeouts += 1;
    if (exchange.phase === 'parked') {
      this.#unpark(exchange);
      exchange.fail(exchange.timeoutError('unsent'));
      return;
    }
    this.quarantine(exchange);
    this.#judge(exchange);
  }

  countMalformed(): void {
    this.#counters.malformed += 1;
  }

  countLate(): void {
    this.#counters.lateReplies += 1;
  }

  /** After a time-out: has VPP dropped the request, or is it slow? A control_ping sent now tells. */
  #judge(exchange: Exchange): void {
    this.#judged.add(exchange);
    const verdict = (reason: 'ignored' | 'slow') => {
      clearTimeout(patience);
      if (this.#judged.delete(exchange)) exchange.fail(exchange.timeoutError(reason));
    };
    const patience = setTimeout(verdict, Math.min(Math.max(exchange.timeoutMs / 4, 50), 500), 'slow');
    patience.unref();
    const answered = (pid: number | undefined) => {
      // VPP takes messages of a connection in order: still unanswered after a later ping means dropped.
      if (pid !== undefined) verdict(exchange.phase === 'late' ? 'ignored' : 'slow');
    };
    const underWay = this.#pings.find((ping) => ping.sentAt > exchange.sentAt);
    if (underWay === undefined) void this.ping().then(answered);
    else underWay.listeners.push(answered);
  }

  #send(exchange: Exchange, outgoing: Outgoing, fields: Fields): void {
    const silent = outgoing.kind === 'silent';
    if (!silent) this.#takeSlot(exchange);
    try {
      this.#write(exchange, outgoing, fields);
    } catch (error) {
      if (!silent) this.#giveBack(exchange);
      throw error;
    }
    this.#counters.requests += 1;
    exchange.sentAt = ++this.#sent;
    if (silent) {
      exchange.phase = 'done';
      exchange.sent();
      return;
    }
    exchange.phase = 'open';
    this.#open += 1;
  }

  #write(exchange: Exchange, outgoing: Outgoing, fields: Fields): void {
    const { codec } = outgoing;
    const transport = this.#transport;
    const at = transport.reserve(codec.size(fields));
    const bytes = transport.buffer;
    const end = codec.encode(fields, bytes, at);
    this.#address(bytes, at, outgoing, exchange.context);
    transport.commit(end - at);
    if (this.#options.onSent !== undefined) this.#options.onSent(bytes, at, end);
    if (outgoing.kind === 'dump') this.#writePing(exchange.context);
  }

  #address(bytes: Uint8Array, at: number, outgoing: Outgoing, context: number): void {
    const { clientIndexOffset, contextOffset } = outgoing.codec;
    writeU16(bytes, at, outgoing.id);
    if (clientIndexOffset >= 0) writeU32(bytes, at + clientIndexOffset, this.#clientIndex);
    if (contextOffset >= 0) writeU32(bytes, at + contextOffset, context);
  }

  #writePing(context: number): void {
    const transport = this.#transport;
    const at = transport.reserve(PING_BYTES);
    writePing(transport.buffer, at, this.#clientIndex, context);
    transport.commit(PING_BYTES);
    if (this.#options.onSent !== undefined) this.#options.onSent(transport.buffer, at, at + PING_BYTES);
  }

  #takeSlot(exchange: Exchange): void {
    let index = this.#free.pop();
    if (index === undefined) {
      index = this.#slots.length;
      if (index >= MAX_SLOTS) {
        throw new VppProtocolError('ERR_VPP_OVERFLOW', `all ${MAX_SLOTS} contexts of the connection are in use`);
      }
    }
    // Generation 0xffff is left to pings, and 0 to nobody: a context of zeros is never ours.
    const generation = (this.#generations[index]! % 0xfffe) + 1;
    this.#generations[index] = generation;
    exchange.context = ((generation << 16) | index) >>> 0;
    this.#slots[index] = exchange;
  }

  #giveBack(exchange: Exchange): void {
    const index = exchange.context & 0xffff;
    this.#slots[index] = undefined;
    this.#free.push(index);
  }

  #leaveWindow(exchange: Exchange): void {
    if (!exchange.counted) return;
    exchange.counted = false;
    this.#open -= 1;
    if (this.#unsent > 0) this.#fillWindow();
    if (this.#idle !== undefined) this.#tellIdle();
  }

  #tellIdle(): void {
    if (this.#open > 0 || this.#unsent > 0) return;
    const told = this.#idle!;
    this.#idle = undefined;
    for (const tell of told) tell();
  }

  #parkMessage(exchange: Exchange, outgoing: Outgoing, fields: Fields): void {
    if (this.#unsent >= this.#options.maxQueued) {
      throw new VppConnectionError(
        'ERR_VPP_QUEUE_FULL',
        `${outgoing.name}: ${this.#unsent} requests are waiting for room in the window already; wait for some of them, ` +
          'or raise maxQueued',
      );
    }
    const size = outgoing.codec.size(fields);
    if (this.#parkEnd + size > this.#park.length) {
      this.#park = new Uint8Array(Math.max(PARK_BYTES, size));
      this.#parkEnd = 0;
    }
    const at = this.#parkEnd;
    const end = outgoing.codec.encode(fields, this.#park, at);
    exchange.parked = this.#park.subarray(at, end);
    this.#parkEnd = end;
    exchange.phase = 'parked';
    this.#waiting.push(exchange);
    this.#unsent += 1;
  }

  #unpark(exchange: Exchange): void {
    exchange.phase = 'done';
    exchange.parked = undefined;
    exchange.queue?.remove(exchange);
    this.#unsent -= 1;
    if (this.#idle !== undefined) this.#tellIdle();
  }

  #fillWindow(): void {
    while (this.#open < this.#options.window && this.#nextWaiting < this.#waiting.length) {
      const exchange = this.#waiting[this.#nextWaiting++]!;
      if (exchange.phase === 'parked') this.#sendParked(exchange);
      if (this.#nextWaiting > 1024 && this.#nextWaiting * 2 > this.#waiting.length) {
        this.#waiting.splice(0, this.#nextWaiting);
        this.#nextWaiting = 0;
      }
    }
  }

  #sendParked(exchange: Exchange): void {
    const outgoing = exchange.outgoing!;
    const message = exchange.parked!;
    exchange.parked = undefined;
    this.#unsent -= 1;
    const silent = outgoing.kind === 'silent';
    if (!silent) this.#takeSlot(exchange);
    const transport = this.#transport;
    const at = transport.reserve(message.length);
    const bytes = transport.buffer;
    bytes.set(message, at);
    this.#address(bytes, at, outgoing, exchange.context);
    transport.commit(message.length);
    if (this.#options.onSent !== undefined) this.#options.onSent(bytes, at, at + message.length);
    if (outgoing.kind === 'dump') this.#writePing(exchange.context);
    this.#counters.requests += 1;
    exchange.sentAt = ++this.#sent;
    if (silent) {
      exchange.phase = 'done';
      exchange.queue?.remove(exchange);
      exchange.sent();
      return;
    }
    exchange.phase = 'open';
    this.#open += 1;
  }

  /** A control_ping_reply; false when no ping of ours has its context. */
  #pong(bytes: Uint8Array, start: number, end: number): boolean {
    if (end - start < 6) {
      this.#counters.malformed += 1;
      return true;
    }
    const context = readU32(bytes, start + 2);
    const at = this.#pings.findIndex((ping) => ping.context === context);
    if (at < 0) return false;
    // VPP answers pings in order: those before this one will not be answered any more.
    const pid = pidOfPingReply(bytes, start, end);
    this.#answer(this.#pings.splice(0, at + 1), pid);
    return true;
  }

  #answer(pings: Ping[], pid: number | undefined): void {
    for (const { listeners } of pings) for (const listener of listeners) listener(pid);
  }
}
