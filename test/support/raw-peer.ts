// The raw peer of raw-peer.py, as promises; and memif messages as bytes, written down here once more from the protocol
// so that a mistake in the library is not repeated in its test.

import { type ChildProcessWithoutNullStreams, spawn, spawnSync } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { within } from './memif.js';

/** Why tests with a raw peer are skipped here; false when they can run. */
export const noRawPeer: string | false =
  spawnSync('python3', ['-c', 'import os; os.eventfd, os.memfd_create']).status === 0
    ? false
    : 'python3 (3.10 or newer) is not installed';

interface Answer {
  readonly hex?: string;
  readonly fds?: readonly string[];
  readonly end?: boolean;
  readonly nothing?: boolean;
  readonly count?: number;
  readonly error?: string;
}

const script = fileURLToPath(new URL('../../../../test/support/raw-peer.py', import.meta.url));

/** A process that sends and writes what it is told. */
export class RawPeer implements AsyncDisposable {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #waiting: ((answer: Answer) => void)[] = [];
  #errors = '';
  #ended = false;

  constructor() {
    this.#child = spawn('python3', [script]);
    this.#child.stderr.on('data', (chunk: Buffer) => (this.#errors += chunk.toString()));
    createInterface(this.#child.stdout).on('line', (line) => this.#waiting.shift()?.(JSON.parse(line) as Answer));
    this.#child.on('close', () => {
      this.#ended = true;
      for (const settle of this.#waiting.splice(0)) settle({ error: `the raw peer has ended: ${this.#errors}` });
    });
  }

  get pid(): number {
    return this.#child.pid!;
  }

  async do(op: string, fields: Record<string, unknown> = {}): Promise<Answer> {
    if (this.#ended) throw new Error(`raw peer, ${op}: it has ended ${this.#errors}`);
    const answer = await within(
      new Promise<Answer>((resolve) => {
        this.#waiting.push(resolve);
        this.#child.stdin.write(`${JSON.stringify({ op, ...fields })}\n`);
      }),
      30_000,
      () => `raw peer, ${op}: no answer`,
    );
    if (answer.error !== undefined) throw new Error(`raw peer, ${op}: ${answer.error}`);
    return answer;
  }

  /** Sends one message; `name` is the socket's. */
  async send(message: Uint8Array, fds: readonly string[] = [], name = 's'): Promise<void> {
    await this.do('send', { socket: name, hex: Buffer.from(message).toString('hex'), fds });
  }

  /** The next message, or undefined at the end of the connection. */
  async receive(name = 's'): Promise<Buffer | undefined> {
    const answer = await this.do('receive', { socket: name });
    if (answer.nothing === true) throw new Error('raw peer: nothing was received for 5 s');
    return answer.hex === undefined ? undefined : Buffer.from(answer.hex, 'hex');
  }

  /** As `receive`, with the names of the descriptors that came along. */
  async receiveWith(name = 's'): Promise<{ message: Buffer; fds: readonly string[] }> {
    const answer = await this.do('receive', { socket: name });
    if (answer.hex === undefined) throw new Error('raw peer: no message');
    return { message: Buffer.from(answer.hex, 'hex'), fds: answer.fds ?? [] };
  }

  /** Reads messages until the end; the text of the DISCONNECT among them, if there was one. */
  async farewell(name = 's'): Promise<string | undefined> {
    let text: string | undefined;
    for (;;) {
      const message = await this.receive(name);
      if (message === undefined) return text;
      if (message.readUInt16LE(0) === Type.disconnect) text = textAt(message, 6, 96);
    }
  }

  write(fd: string, at: number, bytes: Uint8Array): Promise<Answer> {
    return this.do('write', { fd, at, hex: Buffer.from(bytes).toString('hex') });
  }

  async read(fd: string, at: number, size: number): Promise<Buffer> {
    return Buffer.from((await this.do('read', { fd, at, size })).hex!, 'hex');
  }

  async end(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    if (this.#ended) return;
    const gone = new Promise<unknown>((resolve) => this.#child.once('close', resolve));
    this.#child.kill(signal);
    await within(gone, 30_000, () => `raw peer ${this.pid}: not gone`);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.end();
  }
}

/** Message types. */
export const Type = {
  ack: 1,
  hello: 2,
  init: 3,
  addRegion: 4,
  addRing: 5,
  connect: 6,
  connected: 7,
  disconnect: 8,
} as const;

/** A message of 128 bytes: its type, then fields as `[offset, bytes of the number, value]` or `[offset, text]`. */
export function message(type: number, ...fields: ([number, 1 | 2 | 4 | 8, number] | [number, string])[]): Buffer {
  const bytes = Buffer.alloc(128);
  bytes.writeUInt16LE(type);
  for (const field of fields) {
    if (field.length === 2) bytes.write(field[1], field[0]);
    else if (field[1] === 8) bytes.writeBigUInt64LE(BigInt(field[2]), field[0]);
    else bytes.writeUIntLE(field[2], field[0], field[1]);
  }
  return bytes;
}

export const textAt = (bytes: Buffer, at: number, size: number): string =>
  bytes.toString('latin1', at, at + size).replace(/\0.*$/s, '');

export const u16 = (value: number): Buffer => Buffer.from([value & 0xff, (value >> 8) & 0xff]);
export const u32 = (...values: number[]): Buffer => {
  const bytes = Buffer.alloc(4 * values.length);
  for (const [i, value] of values.entries()) bytes.writeUInt32LE(value >>> 0, i * 4);
  return bytes;
};

/** A descriptor: flags and region, length, offset, metadata. */
export const descriptor = (region: number, offset: number, length: number, flags = 0): Buffer =>
  u32(flags | (region << 16), length, offset, 0);

/** Where things are in the one region that `handshake` makes: two rings of `size`, then the buffers. */
export class Place {
  readonly size: number;
  constructor(size: number) {
    this.size = size;
  }
  get ringBytes(): number {
    return 128 + 16 * this.size;
  }
  /** S2M ring at 0, M2S ring behind it. */
  ring(s2m: boolean): number {
    return s2m ? 0 : this.ringBytes;
  }
  head(s2m: boolean): number {
    return this.ring(s2m) + 6;
  }
  tail(s2m: boolean): number {
    return this.ring(s2m) + 64;
  }
  slot(s2m: boolean, index: number): number {
    return this.ring(s2m) + 128 + 16 * (index % this.size);
  }
  /** Buffers of 2048 bytes: those of the S2M ring, then those of the M2S ring. */
  buffer(s2m: boolean, index: number): number {
    return 2 * this.ringBytes + 2048 * ((s2m ? 0 : this.size) + (index % this.size));
  }
  get regionBytes(): number {
    return 2 * this.ringBytes + 2 * this.size * 2048;
  }
}

/** What a step of the client's dialogue sends, to be changed by a test. */
export interface ClientSteps {
  size?: number;
  id?: number;
  mode?: number;
  version?: number;
  secret?: string;
  seal?: boolean;
  regionBytes?: number;
  region?: Buffer;
  regionFds?: readonly string[];
  ring?: (s2m: boolean) => Buffer;
  ringFds?: (s2m: boolean) => readonly string[];
  cookie?: number;
}

/**
 * The client's side of a handshake with one ring each way, on a socket that is connected. Resolves with the place of
 * things when it succeeded, with undefined when the server ended it.
 */
export async function clientHandshake(peer: RawPeer, steps: ClientSteps = {}): Promise<Place | undefined> {
  const place = new Place(steps.size ?? 16);
  const log2 = Math.log2(place.size);
  const hello = await peer.receive();
  if (hello?.readUInt16LE(0) !== Type.hello) return undefined;
  await peer.do('memory', { fd: 'memory', size: steps.regionBytes ?? place.regionBytes, seal: steps.seal ?? true });
  await peer.do('eventfd', { fd: 'e0' });
  await peer.do('eventfd', { fd: 'e1' });
  if ((steps.regionBytes ?? place.regionBytes) >= place.regionBytes) {
    for (const s2m of [true, false]) await peer.write('memory', place.ring(s2m), u32(steps.cookie ?? 0x03e31f20));
  }
  const acked = async (bytes: Buffer, fds: readonly string[] = []): Promise<boolean> => {
    await peer.send(bytes, fds);
    const answer = await peer.receive();
    return answer?.readUInt16LE(0) === Type.ack;
  };
  const init = message(
    Type.init,
    [2, 2, steps.version ?? 0x0200],
    [4, 4, steps.id ?? 0],
    [8, 1, steps.mode ?? 0],
    [9, steps.secret ?? ''],
    [33, 'raw'],
  );
  if (!(await acked(init))) return undefined;
  const region = steps.region ?? message(Type.addRegion, [2, 2, 0], [4, 8, place.regionBytes]);
  if (!(await acked(region, steps.regionFds ?? ['memory']))) return undefined;
  for (const s2m of [true, false]) {
    const ring =
      steps.ring?.(s2m) ??
      message(Type.addRing, [2, 2, s2m ? 1 : 0], [4, 2, 0], [6, 2, 0], [8, 4, place.ring(s2m)], [12, 1, log2]);
    if (!(await acked(ring, steps.ringFds?.(s2m) ?? [s2m ? 'e0' : 'e1']))) return undefined;
  }
  await peer.send(message(Type.connect, [2, 'raw0']));
  const connected = await peer.receive();
  return connected?.readUInt16LE(0) === Type.connected ? place : undefined;
}

/** What a client of ours has told in its handshake, and the names of its descriptors. */
export interface Offered {
  readonly init: Buffer;
  readonly regions: { readonly size: number; readonly fd: string }[];
  readonly rings: { readonly s2m: boolean; readonly offset: number; readonly log2: number; readonly fd: string }[];
}

/** The server's side of a handshake, on a socket that was accepted. `until` ends it before that message is answered. */
export async function serverHandshake(
  peer: RawPeer,
  options: { hello?: Buffer; until?: number } = {},
): Promise<Offered> {
  const hello = message(
    Type.hello,
    [2, 'raw'],
    [34, 2, 0x0200],
    [36, 2, 0x0200],
    [38, 2, 255],
    [40, 2, 254],
    [42, 2, 254],
    [44, 1, 14],
  );
  await peer.send(options.hello ?? hello);
  let init = Buffer.alloc(0);
  const regions: Offered['regions'] = [];
  const rings: Offered['rings'] = [];
  for (;;) {
    const { message: got, fds } = await peer.receiveWith();
    const type = got.readUInt16LE(0);
    if (type === Type.init) init = Buffer.from(got);
    else if (type === Type.addRegion) regions.push({ size: Number(got.readBigUInt64LE(4)), fd: fds[0]! });
    else if (type === Type.addRing) {
      rings.push({
        s2m: (got.readUInt16LE(2) & 1) === 1,
        offset: got.readUInt32LE(8),
        log2: got.readUInt8(12),
        fd: fds[0]!,
      });
    }
    if (type === options.until) break;
    if (type === Type.connect) {
      await peer.send(message(Type.connected, [2, 'raw0']));
      break;
    }
    await peer.send(message(Type.ack));
  }
  return { init, regions, rings };
}
