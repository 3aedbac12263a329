// What the client of the binary API costs by itself: a transport in this process answers every message at once, so that
// neither sockets nor VPP are in the figure. For profiles, and where a machine is too busy for the figures of api.ts.
//
//   node build/js/bench/api-client.js                   every row, each in a process of its own
//   node --cpu-prof build/js/bench/api-client.js add    one row, here

import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { connect, loadBundled, type Connection, type Transport, type TransportSink } from 'node-vpp/api';

const schema = loadBundled('26.06');
const ROWS = 200_000;
const REQUESTS = 300_000;
const WINDOW = 256;
const BUFFER = 1 << 20;

/** The messages this VPP has; the first ones with their fixed numbers. */
const numbers = new Map([
  ['sockclnt_create', 15],
  ['sockclnt_create_reply', 16],
  ['sockclnt_delete', 17],
  ['sockclnt_delete_reply', 18],
  ['control_ping', 23],
  ['control_ping_reply', 24],
  ['ip_route_add_del_v2', 100],
  ['ip_route_add_del_v2_reply', 101],
  ['ip_route_v2_dump', 102],
  ['ip_route_v2_details', 103],
]);
const path = { sw_if_index: 0, table_id: 0, rpf_id: 0, weight: 1, preference: 0, type: 1, flags: 0, proto: 0 };
const routeOf = (n: number) => ({
  is_add: true,
  route: { table_id: 0, prefix: `10.${(n >> 16) & 255}.${(n >> 8) & 255}.${n & 255}/32`, paths: [path] },
});

function createReply(context: Uint8Array): Buffer {
  const reply = Buffer.alloc(20 + numbers.size * 66);
  reply.writeUInt16BE(16, 0);
  reply.set(context, 6);
  reply.writeUInt32BE(0x80000001, 14);
  reply.writeUInt16BE(numbers.size, 18);
  let at = 20;
  for (const [name, id] of numbers) {
    reply.writeUInt16BE(id, at);
    reply.write(`${name}_${schema.crc(name)!.slice(2)}`, at + 2);
    at += 66;
  }
  return reply;
}

/** Answers what was committed in a tick, in the next turn of the event loop. */
class Loop implements Transport {
  readonly kind = 'loop';
  readonly description = 'in this process';
  readonly backlogBytes = 0;
  readonly bytesRead = 0;
  readonly bytesWritten = 0;
  buffer: Buffer = Buffer.allocUnsafeSlow(BUFFER);
  readonly #sink: TransportSink;
  readonly #answers = new Uint8Array(BUFFER);
  readonly #turn = () => this.#answer();
  #spare: Buffer = Buffer.allocUnsafeSlow(BUFFER);
  #starts: number[] = [];
  #end = 0;
  #dumping = false;

  constructor(sink: TransportSink) {
    this.#sink = sink;
  }

  reserve(): number {
    return this.#end;
  }

  commit(sizeBytes: number): void {
    if (this.#starts.length === 0) setImmediate(this.#turn);
    this.#starts.push(this.#end);
    this.#end += sizeBytes;
  }

  #answer(): void {
    const [sent, starts] = [this.buffer, this.#starts];
    this.buffer = this.#spare;
    this.#spare = sent;
    this.#starts = [];
    this.#end = 0;
    let at = 0;
    for (const start of starts) {
      const id = (sent[start]! << 8) | sent[start + 1]!;
      const context = sent.subarray(start + 6, start + 10);
      if (id === 15) {
        const reply = createReply(sent.subarray(start + 2, start + 6));
        this.#sink.onMessage(reply, 0, reply.length);
      } else if (id === 17) this.#sink.onEnd(undefined);
      else if (id === 102) this.#dumping = true;
      else if (id === 23 && this.#dumping) this.#rows(Uint8Array.from(context));
      else at = this.#reply(id, sent, start, at);
    }
    this.#sink.onBatchEnd();
  }

  #reply(id: number, sent: Uint8Array, start: number, at: number): number {
    const answers = this.#answers;
    const end = at + (id === 23 ? 18 : 14);
    answers.fill(0, at, end);
    answers[at + 1] = id + 1;
    for (let byte = 0; byte < 4; byte++) answers[at + 2 + byte] = sent[start + 6 + byte]!;
    this.#sink.onMessage(answers, at, end);
    return end;
  }

  /** Rows in pieces of 64 KiB, as they come from a socket, then the reply to the ping. */
  #rows(context: Uint8Array): void {
    this.#dumping = false;
    const codec = schema.codec('ip_route_v2_details')!;
    const fields = { route: { table_id: 0, stats_index: 1, prefix: '10.1.2.3/32', src: 0, paths: [path] } };
    const size = codec.size(fields);
    const perPiece = Math.floor(65536 / (size + 16));
    const piece = new Uint8Array(perPiece * (size + 16));
    for (let at = 16; at < piece.length; at += size + 16) {
      codec.encode(fields, piece, at);
      piece[at + 1] = 103;
      piece.set(context, at + 2);
    }
    let left = ROWS;
    const next = () => {
      for (let n = 0; n < perPiece && left > 0; n++, left--) {
        const at = n * (size + 16) + 16;
        this.#sink.onMessage(piece, at, at + size);
      }
      if (left === 0) {
        const end = new Uint8Array(18);
        end[1] = 24;
        end.set(context, 2);
        this.#sink.onMessage(end, 0, 18);
      } else setImmediate(next);
      this.#sink.onBatchEnd();
    };
    next();
  }

  flush(): void {
    // Everything is answered in the next turn anyway.
  }

  ref(): void {
    // There is nothing that keeps the process alive.
  }

  unref(): void {
    // As above.
  }

  destroy(): void {
    this.#sink.onEnd(undefined);
  }

  closeSync(): boolean {
    return true;
  }
}

async function pipelined(one: (n: number) => Promise<unknown>): Promise<number> {
  let next = 0;
  const worker = async () => {
    while (next < REQUESTS) await one(next++);
  };
  await Promise.all(Array.from({ length: WINDOW }, worker));
  return REQUESTS;
}

async function dump(vpp: Connection, as: 'view' | 'object'): Promise<number> {
  let [rows, sum] = [0, 0];
  const everything = { src: 0, table: { table_id: 0, is_ip6: false } };
  for await (const batch of vpp.dump('ip_route_v2_dump', everything, { as }).batches()) {
    for (const row of batch) sum += row.route.table_id;
    rows += batch.length;
  }
  if (rows !== ROWS || sum !== 0) throw new Error(`${rows} rows`);
  return rows;
}

const rows: Record<string, { what: string; run: (vpp: Connection) => Promise<number> }> = {
  ping: { what: 'control_ping', run: (vpp) => pipelined(() => vpp.request('control_ping')) },
  add: {
    what: 'ip_route_add_del_v2, its fields made anew',
    run: (vpp) => pipelined((n) => vpp.request('ip_route_add_del_v2', routeOf(n))),
  },
  views: { what: 'a row of ip_route_v2_dump as a view', run: (vpp) => dump(vpp, 'view') },
  objects: { what: 'a row of ip_route_v2_dump as an object', run: (vpp) => dump(vpp, 'object') },
};

const wanted = rows[process.argv[2] ?? ''];
if (wanted === undefined) {
  for (const row of Object.keys(rows)) {
    const { status } = spawnSync(process.execPath, [fileURLToPath(import.meta.url), row], { stdio: 'inherit' });
    if (status !== 0) process.exitCode = 1;
  }
} else {
  const vpp = await connect({ socket: '@loop', transport: (sink) => Promise.resolve(new Loop(sink)), health: false });
  const figures: number[] = [];
  for (let round = 0; round < 9; round++) {
    const before = process.cpuUsage();
    const count = await wanted.run(vpp);
    const { user, system } = process.cpuUsage(before);
    figures.push(((user + system) * 1000) / count);
  }
  figures.sort((a, b) => a - b);
  console.log(
    `${wanted.what.padEnd(42)} ${figures[0]!.toFixed(0).padStart(4)} ns at best, median ${figures[4]!.toFixed(0)} ns`,
  );
  await vpp.destroy();
}
