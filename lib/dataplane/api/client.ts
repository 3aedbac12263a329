// One client of the server: its frames, its place in the table of clients, and its messages in order.
//
//   bytes -> frames -> message -> handler -> reply, or rows and then the reply -> frames -> one write per batch
//
// As in VPP: a wrong client index, an unknown number or a message that is too short is dropped without a word; a dump
// is finished before the next message is looked at. Invariant: replies leave in the order of requests, except those a
// fault or a promise holds back.

import type { Socket } from 'node:net';
import { FrameParser, copyOf, readU16, readU32, writeU16, writeU32 } from '../../api/frame.js';
import { ids } from '../../api/table.js';
import { FrameWriter } from '../../api/transport/writer.js';
import type { MessageCodec } from '../../api/codec/index.js';
import type { FaultAction } from './faults.js';
import type { ApiServer } from './server.js';
import { wantFlag } from './wants.js';

/** Field values of a message. */
export type Fields = Record<string, unknown>;
/** What a handler may answer: fields of a reply, or rows. */
export type Answer = Fields | Iterable<Fields> | AsyncIterable<Fields> | undefined;

/** Bytes the kernel has not taken, at which a dump pauses. */
const HIGH_WATER = 1 << 20;
const EAGAIN = -165;
const UNIMPLEMENTED = -9;
const ALREADY_REGISTERED = -31;

interface Request {
  readonly id: number;
  readonly name: string;
  readonly context: number;
  readonly fields: Fields;
}

/** See above. */
export class ServerClient {
  readonly #server: ApiServer;
  readonly #socket: Socket;
  readonly #writer: FrameWriter;
  readonly #parser: FrameParser;
  readonly #index: number;
  /** want_* requests in force, with the pid the client gave. */
  readonly #wants = new Map<string, number>();
  readonly #later: Uint8Array[] = [];
  #name = '';
  #created = false;
  #busy = false;
  #gone = false;

  constructor(server: ApiServer, socket: Socket, index: number) {
    this.#server = server;
    this.#socket = socket;
    this.#index = index;
    this.#writer = new FrameWriter(socket);
    this.#parser = new FrameParser((bytes, start, end) => this.#take(bytes, start, end));
    socket.on('data', (chunk) => this.#read(chunk));
    socket.on('error', () => this.#leave());
    socket.on('close', () => this.#leave());
  }

  /** The name it gave in sockclnt_create; `''` before. */
  get name(): string {
    return this.#name;
  }

  get index(): number {
    return this.#index;
  }

  /** want_* requests in force. */
  get wants(): readonly string[] {
    return [...this.#wants.keys()];
  }

  /** Ends it as a killed VPP would: without a word. */
  kill(): void {
    this.#parser.stop();
    this.#socket.destroy();
    this.#leave();
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
    this.#writer.flush();
  }

  /** Sends an event if the client asked for it. */
  event(codec: MessageCodec, id: number, requests: readonly string[], fields: Fields): boolean {
    const request = requests.find((name) => this.#wants.has(name));
    if (request === undefined || this.#gone) return false;
    const withPid = codec.def.fields.some(({ name }) => name === 'pid')
      ? { pid: this.#wants.get(request), ...fields }
      : fields;
    const { bytes, at, size } = this.#encode(codec, id, withPid);
    if (codec.clientIndexOffset >= 0) writeU32(bytes, at + codec.clientIndexOffset, this.#index);
    this.#writer.commit(size);
    return true;
  }

  #read(chunk: Uint8Array): void {
    try {
      this.#parser.push(chunk);
    } catch {
      // Framing lost: nothing of what follows can be understood.
      this.kill();
      return;
    }
    if (!this.#server.stalled) this.#writer.flush();
  }

  #leave(): void {
    if (this.#gone) return;
    this.#gone = true;
    this.#server.left(this);
  }

  #take(bytes: Uint8Array, start: number, end: number): void {
    if (this.#busy || this.#server.stalled) this.#later.push(copyOf(bytes, start, end));
    else this.#handle(bytes, start, end);
  }

  /** Handles what had to wait. */
  continue(): void {
    this.#busy = false;
    while (!this.#isHeld() && this.#later.length > 0) {
      const message = this.#later.shift()!;
      this.#handle(message, 0, message.length);
    }
    if (!this.#server.stalled && !this.#gone) this.#writer.flush();
  }

  #isHeld(): boolean {
    return this.#busy || this.#server.stalled || this.#gone;
  }

  #handle(bytes: Uint8Array, start: number, end: number): void {
    if (end - start < 10) return;
    const id = readU16(bytes, start);
    if (id === ids.controlPing && readU32(bytes, start + 2) === this.#index && !this.#server.scripted) {
      this.#pong(readU32(bytes, start + 6));
      return;
    }
    const codec = this.#server.table.codecAt(id);
    if (codec === undefined || end - start < codec.fixedSize) return;
    if (codec.name === 'sockclnt_create') {
      this.#create(bytes, start, readU32(bytes, start + 2));
      return;
    }
    const { clientIndexOffset, contextOffset } = codec;
    if (!this.#created || clientIndexOffset < 0 || contextOffset < 0) return;
    if (readU32(bytes, start + clientIndexOffset) !== this.#index) return;
    let fields: Fields;
    try {
      fields = codec.decode(bytes, start, end);
    } catch {
      return;
    }
    this.#serve({ id, name: codec.name, context: readU32(bytes, start + contextOffset), fields });
  }

  #create(bytes: Uint8Array, start: number, context: number): void {
    const name = Buffer.from(bytes.buffer, bytes.byteOffset + start + 6, 64).toString('latin1');
    this.#name = name.slice(0, name.includes('\0') ? name.indexOf('\0') : 64);
    this.#created = true;
    const fault = this.#server.fault('sockclnt_create');
    this.#deliver(this.#server.table.createReply(this.#index, context), fault, 'sockclnt_create');
    this.#server.entered(this);
  }

  #pong(context: number): void {
    const at = this.#writer.reserve(18);
    const { buffer } = this.#writer;
    writeU16(buffer, at, ids.controlPingReply);
    writeU32(buffer, at + 2, context);
    writeU32(buffer, at + 6, 0);
    writeU32(buffer, at + 10, 0);
    writeU32(buffer, at + 14, this.#server.pid);
    this.#writer.commit(18);
  }

  #serve(request: Request): void {
    const { name } = request;
    const server = this.#server;
    server.saw(name, request.fields, this);
    const fault = server.fault(name);
    if (fault === 'ignore') return;
    if (fault === 'reset') {
      this.kill();
      return;
    }
    if (fault === 'stall') {
      server.stall();
      return;
    }
    if (name === 'sockclnt_delete') {
      this.#delete(request);
      return;
    }
    const service = server.schema.service(name);
    if (service === undefined) return;
    let answer: Answer | Promise<Answer>;
    try {
      answer = this.#answer(name, request.fields);
    } catch (error) {
      server.failed(error);
      answer = { retval: -1 };
    }
    if (answer instanceof Promise) {
      // Rows keep their place among the replies; a single reply comes when it is ready.
      if (service.stream) this.#busy = true;
      answer.then(
        (ready) => {
          if (service.stream) this.#busy = false;
          this.#respond(request, ready, fault);
          if (!this.#isHeld()) this.continue();
        },
        (error: unknown) => {
          server.failed(error);
          this.#respond(request, { retval: -1 }, fault);
          if (!service.stream) return;
          this.continue();
        },
      );
      return;
    }
    this.#respond(request, answer, fault);
  }

  #answer(name: string, fields: Fields): Answer | Promise<Answer> {
    const handler = this.#server.handler(name);
    if (handler !== undefined) return handler(fields, this);
    const flag = wantFlag(this.#server.schema, name);
    if (flag === undefined) return { retval: UNIMPLEMENTED };
    const on = fields[flag] !== false && fields[flag] !== 0;
    if (on === this.#wants.has(name)) return { retval: ALREADY_REGISTERED };
    if (on) this.#wants.set(name, typeof fields['pid'] === 'number' ? fields['pid'] : 0);
    else this.#wants.delete(name);
    return { retval: 0 };
  }

  #respond(request: Request, answer: Answer, fault: FaultAction | undefined): void {
    const service = this.#server.schema.service(request.name)!;
    if (service.reply === null || this.#gone) return;
    if (!service.stream) {
      this.#reply(request, service.reply, (answer ?? {}) as Fields, fault);
      return;
    }
    const rows = isRows(answer) ? answer : [];
    const paged = service.streamMessage !== undefined;
    const details = service.streamMessage ?? service.reply;
    const finish = (more: number | undefined) => {
      if (!paged) return;
      const given = isRows(answer) ? {} : { ...answer };
      const reply = more === undefined ? { cursor: 0, retval: 0, ...given } : { cursor: more, retval: EAGAIN };
      this.#reply(request, service.reply!, reply, fault);
    };
    const from = paged && typeof request.fields['cursor'] === 'number' ? request.fields['cursor'] : 0;
    const until = paged ? from + this.#server.pageRows : Infinity;
    if (Symbol.asyncIterator in rows) void this.#streamAsync(request, details, rows, from, until, finish, fault);
    else this.#stream(request, details, rows[Symbol.iterator](), 0, from, until, finish, fault);
  }

  /** Sends rows until the end of the page, or until the kernel has enough, then goes on when it has not. */
  #stream(
    request: Request,
    details: string,
    rows: Iterator<Fields>,
    at: number,
    from: number,
    until: number,
    finish: (more: number | undefined) => void,
    fault: FaultAction | undefined,
  ): void {
    for (;;) {
      let next: IteratorResult<Fields>;
      try {
        next = rows.next();
      } catch (error) {
        // The rows end here; what went wrong is for whoever runs the server.
        this.#server.failed(error);
        next = { done: true, value: undefined };
      }
      if (next.done === true) {
        finish(undefined);
        break;
      }
      if (at >= until) {
        rows.return?.();
        finish(until);
        break;
      }
      if (at >= from) this.#reply(request, details, next.value, fault);
      at += 1;
      if (this.#gone) return;
      if (this.#socket.writableLength > HIGH_WATER) {
        this.#busy = true;
        this.#socket.once('drain', () => {
          this.#busy = false;
          this.#stream(request, details, rows, at, from, until, finish, fault);
          if (!this.#isHeld()) this.continue();
        });
        return;
      }
    }
  }

  async #streamAsync(
    request: Request,
    details: string,
    rows: AsyncIterable<Fields>,
    from: number,
    until: number,
    finish: (more: number | undefined) => void,
    fault: FaultAction | undefined,
  ): Promise<void> {
    this.#busy = true;
    let at = 0;
    let more: number | undefined;
    try {
      for await (const row of rows) {
        if (at >= until) {
          more = until;
          break;
        }
        if (at >= from) this.#reply(request, details, row, fault);
        at += 1;
        if (this.#gone) return;
        if (this.#socket.writableLength > HIGH_WATER) {
          await new Promise((resolve) => this.#socket.once('drain', resolve).once('close', resolve));
        }
      }
      finish(more);
    } catch (error) {
      this.#server.failed(error);
    }
    this.continue();
  }

  #delete(request: Request): void {
    this.#reply(request, 'sockclnt_delete_reply', { response: 1 }, undefined);
    this.#writer.flush();
    this.#parser.stop();
    this.#socket.end();
    this.#leave();
  }

  #encode(codec: MessageCodec, id: number, fields: Fields): { bytes: Uint8Array; at: number; size: number } {
    const at = this.#writer.reserve(codec.size(fields));
    const bytes = this.#writer.buffer;
    const size = codec.encode(fields, bytes, at) - at;
    writeU16(bytes, at, id);
    return { bytes, at, size };
  }

  #reply(request: Request, name: string, fields: Fields, fault: FaultAction | undefined): void {
    const { table } = this.#server;
    const id = table.idOf(name);
    const codec = id === undefined ? undefined : table.codecAt(id);
    if (codec === undefined || id === undefined || this.#gone) return;
    try {
      const { bytes, at, size } = this.#encode(codec, id, fields);
      writeU32(bytes, at + codec.contextOffset, request.context);
      if (codec.clientIndexOffset >= 0) writeU32(bytes, at + codec.clientIndexOffset, this.#index);
      if (fault === undefined) this.#writer.commit(size);
      else this.#deliver(copyOf(bytes, at, at + size), fault, request.name, codec);
    } catch (error) {
      this.#server.failed(error);
      // A reply that cannot be encoded is a mistake of the handler's; the client gets an answer nevertheless.
      const bare = Object.keys(fields).length === 1 && fields['retval'] === -1;
      if (!bare && codec.retvalOffset >= 0) this.#reply(request, name, { retval: -1 }, fault);
    }
  }

  #deliver(message: Uint8Array, fault: FaultAction | undefined, request: string, codec?: MessageCodec): void {
    if (fault === undefined) {
      this.#send(message);
      return;
    }
    if (fault === 'reset') {
      this.kill();
      return;
    }
    if (fault === 'stall' || fault === 'lose' || fault === 'ignore') {
      if (fault === 'stall') this.#server.stall();
      return;
    }
    const contextAt = codec?.contextOffset ?? 6;
    if (typeof fault === 'object') {
      if ('delayMs' in fault) {
        const timer = setTimeout(() => {
          if (!this.#gone) this.#send(message);
        }, fault.delayMs);
        this.#socket.once('close', () => clearTimeout(timer));
      } else if ('retval' in fault) {
        if (codec !== undefined && codec.retvalOffset >= 0) writeU32(message, codec.retvalOffset, fault.retval >>> 0);
        this.#send(message);
      } else if ('shortenBy' in fault) this.#send(message.subarray(0, Math.max(0, message.length - fault.shortenBy)));
      else if ('change' in fault) this.#send(fault.change(message));
      else this.#socket.write(fault.raw);
      return;
    }
    switch (fault) {
      case 'duplicate':
        this.#send(message);
        this.#send(message);
        break;
      case 'wrong-context':
        writeU32(message, contextAt, (readU32(message, contextAt) ^ 0x5a5a5a5a) >>> 0);
        this.#send(message);
        break;
      case 'wrong-id':
        writeU16(message, 0, 0xfffe);
        this.#send(message);
        break;
      case 'wrong-message':
        writeU16(message, 0, request === 'control_ping' ? ids.getApiJsonReply : ids.controlPingReply);
        this.#send(message);
        break;
      case 'huge-frame': {
        const frame = new Uint8Array(16 + message.length);
        writeU32(frame, 8, 0xffffffff);
        frame.set(message, 16);
        this.#socket.write(frame);
        break;
      }
      case 'half-frame': {
        const frame = new Uint8Array(16 + (message.length >> 1));
        writeU32(frame, 8, message.length);
        frame.set(message.subarray(0, message.length >> 1), 16);
        this.#socket.write(frame, () => this.kill());
        break;
      }
    }
  }

  #send(message: Uint8Array): void {
    const at = this.#writer.reserve(message.length);
    this.#writer.buffer.set(message, at);
    this.#writer.commit(message.length);
  }
}

function isRows(answer: Answer): answer is Iterable<Fields> | AsyncIterable<Fields> {
  return typeof answer === 'object' && (Symbol.iterator in answer || Symbol.asyncIterator in answer);
}
