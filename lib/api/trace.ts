// A flight recorder: the last N exchanges of a connection, as the bytes that went by, decoded when somebody looks.
//
//   memory   a ring: the oldest exchange makes room for the newest
//   file     one JSON object per line, one line per message; after N exchanges the file moves to `<file>.1`
//            { "t": 1700000000000.1, "d": "s" | "r", "m": "show_version_51077d14", "b": "<base64 of the message>" }
//
// Secrets (see redact.ts) are zeroed before a message is kept, unless asked otherwise. Invariant: recording copies and
// never decodes, except for messages that can hold a secret.

import { appendFileSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { VppProtocolError } from '../errors.js';
import type { MessageCodec } from './codec/codec.js';
import type { MessageDef } from './schema/model.js';
import type { Schema } from './schema/schema.js';
import type { Fields } from './exchange.js';
import { copyOf, readU16, readU32 } from './frame.js';
import type { Link } from './link.js';
import { blank, mayBeSecret } from './redact.js';
import type { Resolver } from './resolve.js';
import { ids } from './table.js';

/** What to record. */
export interface TraceOptions {
  /** Exchanges kept, default 1000. */
  capacity?: number;
  /** Messages kept of one exchange, default 1000: a dump of a large table does not push everything else out. */
  maxMessages?: number;
  /** Also append to this file. */
  file?: string;
  /** Which messages, by name of the request or event; default all but control_ping. */
  filter?: (name: string) => boolean;
  /** Keep secrets as they are. */
  secrets?: boolean;
}

/** A recorded message. */
export interface TraceMessage {
  /** Name and CRC. */
  readonly name: string;
  readonly crc: string;
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly sent: boolean;
  /** From the message id on. */
  readonly bytes: Uint8Array;
}

/** A request with its answers; an event alone. */
export interface TraceExchange {
  /** The request; undefined for an event. */
  readonly request: TraceMessage | undefined;
  /** Replies, rows, or the event. */
  readonly received: readonly TraceMessage[];
  /** Messages of it that were not kept. */
  readonly skipped: number;
}

/** A decoded exchange. */
export interface DecodedExchange {
  readonly name: string;
  readonly fields: Record<string, unknown>;
  readonly at: number;
  /** From the request to its last message, ms; undefined while there is none. */
  readonly durationMs: number | undefined;
  readonly received: readonly { name: string; fields: Record<string, unknown> }[];
}

interface Entry {
  request: TraceMessage | undefined;
  received: TraceMessage[];
  skipped: number;
  context: string;
}

/** Records a connection; made by `connection.trace()`. */
export class Trace {
  readonly #options: TraceOptions;
  readonly #capacity: number;
  readonly #maxMessages: number;
  readonly #onStop: () => void;
  readonly #ring: Entry[] = [];
  readonly #byContext = new Map<string, Entry>();
  readonly #secretive = new WeakMap<MessageDef, boolean>();
  #oldest = 0;
  #links = 0;
  #total = 0;
  readonly #flushLines = () => this.#flush();
  #file: string | undefined;
  #fileError: unknown;
  #lines: string[] = [];
  #inFile = 0;
  #resolver: Resolver | undefined;

  constructor(options: TraceOptions, onStop: () => void) {
    this.#options = options;
    this.#capacity = options.capacity ?? 1000;
    this.#maxMessages = options.maxMessages ?? 1000;
    this.#onStop = onStop;
    this.#file = options.file;
  }

  /** Exchanges seen since the start. */
  get total(): number {
    return this.#total;
  }

  /** Records this link too. */
  attach(link: Link): void {
    const number = ++this.#links;
    const { resolver } = link;
    this.#resolver = resolver;
    link.tap = (sent, bytes, start, end) => this.#record(number, resolver, sent, bytes, start, end);
  }

  /** The exchanges kept, oldest first, as bytes. */
  exchanges(): TraceExchange[] {
    return [...this.#ring.slice(this.#oldest), ...this.#ring.slice(0, this.#oldest)].map(
      ({ request, received, skipped }) => ({ request, received: [...received], skipped }),
    );
  }

  /** The exchanges kept, decoded. */
  decoded(): DecodedExchange[] {
    return this.exchanges().map((exchange) => decodeExchange(exchange, this.#resolver!.sources.all()));
  }

  /** Writes what is kept to a file that `readTrace` reads. */
  save(path: string): void {
    const lines = this.exchanges().flatMap(({ request, received }) =>
      [...(request === undefined ? [] : [request]), ...received].map(lineOf),
    );
    writeFileSync(path, lines.join(''));
  }

  clear(): void {
    this.#ring.length = this.#oldest = 0;
    this.#byContext.clear();
  }

  /**
   * Records nothing any more; what was recorded stays readable.
   *
   * @throws what kept the file from being written
   */
  stop(): void {
    this.#onStop();
    this.#flush();
    this.#file = undefined;
    const error = this.#fileError;
    this.#fileError = undefined;
    if (error !== undefined) throw error as Error;
  }

  #record(link: number, resolver: Resolver, sent: boolean, bytes: Uint8Array, start: number, end: number): void {
    if (end - start < 2) return;
    const id = readU16(bytes, start);
    const named = resolver.table.messageAt(id);
    if (named === undefined) return;
    const incoming = resolver.incoming(id);
    const contextAt = incoming?.contextOffset ?? -1;
    const context =
      contextAt < 0 || end - start < contextAt + 4 ? undefined : `${link}:${readU32(bytes, start + contextAt)}`;
    let entry = context === undefined ? undefined : this.#byContext.get(context);
    if (id === ids.controlPing || id === ids.controlPingReply) {
      // The end mark of a dump says nothing that the exchange does not, and health pings would fill the ring.
      if (entry !== undefined || this.#options.filter?.(named.name) !== true) return;
    }
    const isEvent = context === undefined;
    if (sent || isEvent) {
      if (this.#options.filter?.(named.name) === false) return;
      if (entry === undefined || !sent) entry = this.#push(context ?? '');
    }
    if (entry === undefined) return;
    if (entry.received.length >= this.#maxMessages) {
      entry.skipped += 1;
      return;
    }
    const at = performance.timeOrigin + performance.now();
    const message = { ...named, at, sent, bytes: this.#copy(incoming?.codec, bytes, start, end) };
    if (sent) entry.request ??= message;
    else entry.received.push(message);
    this.#append(message);
  }

  #push(context: string): Entry {
    const entry: Entry = { request: undefined, received: [], skipped: 0, context };
    const replaced = this.#ring[this.#oldest];
    if (this.#ring.length < this.#capacity) this.#ring.push(entry);
    else {
      if (replaced !== undefined && this.#byContext.get(replaced.context) === replaced) {
        this.#byContext.delete(replaced.context);
      }
      this.#ring[this.#oldest] = entry;
      this.#oldest = (this.#oldest + 1) % this.#capacity;
    }
    if (context !== '') this.#byContext.set(context, entry);
    this.#total += 1;
    this.#inFile += 1;
    return entry;
  }

  #copy(codec: MessageCodec | undefined, bytes: Uint8Array, start: number, end: number): Uint8Array {
    const copy = copyOf(bytes, start, end);
    if (codec === undefined || this.#options.secrets === true || !this.#mayHoldSecret(codec.def)) return copy;
    try {
      const { fields, found } = blank(codec.decode(copy, 0, copy.length));
      if (!found) return copy;
      const clean = new Uint8Array(codec.size(fields));
      codec.encode(fields, clean, 0);
      for (const at of [0, codec.clientIndexOffset, codec.contextOffset]) {
        if (at >= 0) clean.set(copy.subarray(at, at + (at === 0 ? 2 : 4)), at);
      }
      return clean;
    } catch {
      // What cannot be read cannot be cleaned: of such a message only the beginning is kept.
      return copy.slice(0, 2);
    }
  }

  #mayHoldSecret(def: MessageDef): boolean {
    const known = this.#secretive.get(def);
    if (known !== undefined) return known;
    const seen = new Set<string>();
    const visit = (fields: readonly { name: string; type: string }[]): boolean =>
      fields.some(({ name, type }) => {
        if (mayBeSecret(name)) return true;
        if (seen.has(type)) return false;
        seen.add(type);
        const inner = def.scope(type);
        if (inner === undefined) return false;
        if (inner.kind === 'struct') return visit(inner.fields);
        return inner.kind === 'union' && visit(inner.arms);
      });
    const may = visit(def.fields);
    this.#secretive.set(def, may);
    return may;
  }

  #append(message: TraceMessage): void {
    if (this.#file === undefined) return;
    if (this.#inFile > this.#capacity) {
      this.#flush();
      this.#inFile = 1;
      this.#write((file) => renameSync(file, `${file}.1`));
    }
    if (this.#lines.length === 0) setImmediate(this.#flushLines);
    this.#lines.push(lineOf(message));
  }

  #flush(): void {
    if (this.#lines.length === 0) return;
    const text = this.#lines.join('');
    this.#lines = [];
    this.#write((file) => appendFileSync(file, text));
  }

  /** A file that cannot be written ends the writing, and is told by `stop`; the recording in memory goes on. */
  #write(how: (file: string) => void): void {
    if (this.#file === undefined) return;
    try {
      how(this.#file);
    } catch (error) {
      this.#fileError = error;
      this.#file = undefined;
    }
  }
}

function lineOf({ name, crc, at, sent, bytes }: TraceMessage): string {
  const b = Buffer.from(bytes).toString('base64');
  return `${JSON.stringify({ t: Math.round(at * 1000) / 1000, d: sent ? 's' : 'r', m: `${name}_${crc.slice(2)}`, b })}\n`;
}

/**
 * Reads a file that a trace has written.
 *
 * @throws VppProtocolError ERR_VPP_TRACE_FORMAT
 */
export function readTrace(path: string, schemas: Iterable<Schema>): TraceExchange[] {
  const sources = [...schemas];
  const exchanges: { request: TraceMessage | undefined; received: TraceMessage[]; skipped: number }[] = [];
  const open = new Map<number, (typeof exchanges)[number]>();
  for (const [index, line] of readFileSync(path, 'utf8').split('\n').entries()) {
    if (line === '') continue;
    const message = parseLine(line, `${path}:${index + 1}`);
    const contextAt = codecFor(message, sources)?.contextOffset ?? -1;
    const context = contextAt < 0 || message.bytes.length < contextAt + 4 ? -1 : readU32(message.bytes, contextAt);
    const known = open.get(context);
    if (!message.sent && known !== undefined && context >= 0) known.received.push(message);
    else {
      const exchange = message.sent
        ? { request: message, received: [], skipped: 0 }
        : { request: undefined, received: [message], skipped: 0 };
      exchanges.push(exchange);
      if (context >= 0) open.set(context, exchange);
    }
  }
  return exchanges;
}

function parseLine(line: string, where: string): TraceMessage {
  try {
    const { t, d, m, b } = JSON.parse(line) as { t: number; d: string; m: string; b: string };
    const cut = m.lastIndexOf('_');
    if (cut < 1 || (d !== 's' && d !== 'r')) throw new Error('not a message');
    return {
      name: m.slice(0, cut),
      crc: `0x${m.slice(cut + 1)}`,
      at: t,
      sent: d === 's',
      bytes: new Uint8Array(Buffer.from(b, 'base64')),
    };
  } catch (cause) {
    throw new VppProtocolError('ERR_VPP_TRACE_FORMAT', `reading the trace ${where}: this is no line of a trace`, {
      cause,
    });
  }
}

function codecFor(message: TraceMessage, schemas: Iterable<Schema>): MessageCodec | undefined {
  for (const schema of schemas) if (schema.crc(message.name) === message.crc) return schema.codec(message.name);
  return undefined;
}

/** Decodes an exchange with the first schema that has each message. */
export function decodeExchange(exchange: TraceExchange, schemas: Iterable<Schema>): DecodedExchange {
  const sources = [...schemas];
  const decode = (message: TraceMessage): Record<string, unknown> => {
    const codec = codecFor(message, sources);
    if (codec === undefined) return { bytes: message.bytes };
    try {
      return codec.decode(message.bytes, 0, message.bytes.length);
    } catch (error) {
      return { bytes: message.bytes, error: (error as Error).message };
    }
  };
  const first = exchange.request ?? exchange.received[0]!;
  const last = exchange.received.at(-1);
  return {
    name: first.name,
    fields: decode(first),
    at: first.at,
    durationMs: exchange.request === undefined || last === undefined ? undefined : last.at - first.at,
    received: exchange.received.map((message) => ({ name: message.name, fields: decode(message) })),
  };
}

/** What replaying needs of a connection. */
export interface ReplayTarget {
  request(name: string, fields: Fields): Promise<unknown>;
  dump(name: string, fields: Fields): { toArray(): Promise<unknown[]> };
}

/** One exchange done again. */
export interface Replayed {
  readonly name: string;
  readonly fields: Record<string, unknown>;
  readonly before: readonly Record<string, unknown>[];
  /** The reply or the rows; undefined when it failed. */
  readonly now: readonly unknown[] | undefined;
  readonly error: unknown;
  /** The answers are equal, by retval or field by field. */
  readonly same: boolean;
}

/** Sends recorded requests again, one after the other, and compares the answers. Events are left out. */
export async function* replay(
  target: ReplayTarget,
  exchanges: Iterable<TraceExchange>,
  schemas: Iterable<Schema>,
): AsyncGenerator<Replayed, void, undefined> {
  const sources = [...schemas];
  for (const exchange of exchanges) {
    if (exchange.request === undefined) continue;
    const { name, fields, received } = decodeExchange(exchange, sources);
    const service = sources.map((schema) => schema.service(name)).find((found) => found !== undefined);
    if (service === undefined) continue;
    const before = received.map((message) => message.fields);
    try {
      const now = service.stream ? await target.dump(name, fields).toArray() : [await target.request(name, fields)];
      const rows = service.stream
        ? received.filter((m) => m.name === (service.streamMessage ?? service.reply))
        : received;
      const same = text(now) === text(rows.map((m) => m.fields));
      yield { name, fields, before, now, error: undefined, same };
    } catch (error) {
      const retval: unknown = Reflect.get(error as object, 'retval');
      yield {
        name,
        fields,
        before,
        now: undefined,
        error,
        same: retval !== undefined && before[0]?.['retval'] === retval,
      };
    }
  }
}

function text(value: unknown): string {
  return JSON.stringify(value, (_, inner: unknown) =>
    typeof inner === 'bigint' ? `${inner}n` : inner instanceof Uint8Array ? Buffer.from(inner).toString('hex') : inner,
  );
}
