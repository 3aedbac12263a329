// One case of the memif benchmark, in a process of its own (bench/memif.ts starts it, pinned to one processor).
//
//   node build/js/bench/memif-case.js CASE SOCKET [SECONDS]     prints one line of JSON

import { parentPort, Worker, workerData } from 'node:worker_threads';
import type { MessagePort } from 'node:worker_threads';
import { type Memif, CopyBuffer, bridge, openMemif, openShared, share } from 'node-vpp/memif';
import type { RxQueue, TxQueue } from 'node-vpp/memif';

/**
 * Packets per turn. A sixteenth of the ring: with a quarter or more at once two busy sides fall into step, each waiting
 * for the other to give back a whole lot.
 */
const BURST = 64;

const frame64 = new Uint8Array(64);
frame64.set([0x02, 0, 0, 0, 0, 1, 0x02, 0, 0, 0, 0, 2, 0x08, 0x00, 0x45]);
const frame1514 = new Uint8Array(1514);
frame1514.set(frame64);

/** Looks at the EtherType and the first byte of each packet; returns a sum that the caller uses. */
function inspect(rx: RxQueue): number {
  const burst = rx.peek(BURST);
  const count = burst.count;
  if (count === 0) return 0;
  const bytes = burst.bytes!;
  const offsets = burst.offsets;
  let sum = 0;
  for (let i = 0; i < count; i++) {
    const at = offsets[i]!;
    sum += ((bytes[at + 12]! << 8) | bytes[at + 13]!) + bytes[at + 14]!;
  }
  checksum += sum;
  rx.release(count);
  return count;
}

/** Writes each packet: the frame, and a number of its own in it. */
function fill(tx: TxQueue, frame: Uint8Array): number {
  const burst = tx.reserve(BURST, frame.length);
  const count = burst.count;
  if (count === 0) return 0;
  const bytes = burst.bytes!;
  const offsets = burst.offsets;
  for (let i = 0; i < count; i++) {
    const at = offsets[i]!;
    bytes.set(frame, at);
    sequence = (sequence + 1) | 0;
    bytes[at + 40] = sequence;
    bytes[at + 41] = sequence >>> 8;
  }
  tx.commit(count);
  return count;
}

let checksum = 0;
let sequence = 0;

const until = async (ready: () => boolean): Promise<void> => {
  const end = Date.now() + 20_000;
  while (!ready()) {
    if (Date.now() > end) throw new Error('the peer sends nothing');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
};

interface Rate {
  seconds: number[];
  empty: number;
  polls: number;
}

/** Runs `turn` without pause, one sample a second; the event loop gets a turn now and then. */
async function sample(memif: { isUp: boolean }, seconds: number, turn: () => number): Promise<Rate> {
  const result: Rate = { seconds: [], empty: 0, polls: 0 };
  for (let s = 0; s < seconds + 1 && memif.isUp; s++) {
    const start = performance.now();
    let packets = 0;
    let now = start;
    while (now - start < 1000) {
      for (let k = 0; k < 500; k++) {
        const n = turn();
        packets += n;
        result.polls++;
        if (n === 0) result.empty++;
      }
      now = performance.now();
    }
    result.seconds.push((packets / (now - start)) * 1000);
    await new Promise((resolve) => setImmediate(resolve));
  }
  result.seconds.shift(); // the first is warm-up
  return result;
}

async function roundTrips(memif: Memif, seconds: number): Promise<{ samples: number; p50: number; p99: number }> {
  const tx = memif.tx[0]!;
  const times = new Float64Array(2_000_000);
  let n = 0;
  let sentAt = 0;
  let trip = 0;
  const sendOne = (): void => {
    const burst = tx.reserve(1, 64);
    if (burst.count === 0) return;
    const at = burst.offsets[0]!;
    burst.bytes!.set(frame64, at);
    // Only the answer to the latest packet counts: there is never more than one under way that does.
    trip = (trip + 1) & 0xffff;
    burst.bytes![at + 40] = trip;
    burst.bytes![at + 41] = trip >>> 8;
    sentAt = performance.now();
    tx.commit(1);
  };
  await new Promise<void>((resolve) => {
    const end = performance.now() + seconds * 1000;
    // The peer may not be forwarding yet: ask again until the first answer.
    const starter = setInterval(() => {
      if (n === 0) sendOne();
      else clearInterval(starter);
    }, 100);
    memif.listen((rx) => {
      const burst = rx.peek(BURST);
      if (burst.count === 0) return;
      const now = performance.now();
      const at = burst.offsets[burst.count - 1]!;
      const answered = burst.bytes![at + 40]! | (burst.bytes![at + 41]! << 8);
      rx.release(burst.count);
      if (answered !== trip) return;
      if (n < times.length) times[n++] = now - sentAt;
      if (now > end) {
        memif.listen(undefined);
        clearInterval(starter);
        resolve();
        return;
      }
      sendOne();
    });
  });
  const sorted = times.slice(Math.min(1000, n >> 1), n).sort();
  return {
    samples: sorted.length,
    p50: sorted[sorted.length >> 1]! * 1000,
    p99: sorted[Math.floor(sorted.length * 0.99)]! * 1000,
  };
}

/** A worker of the two-worker case: receives and sends without pause. */
async function worker(port: MessagePort, seconds: number): Promise<void> {
  const queues = openShared(port);
  await queues.up();
  const rx = queues.rx[0]!;
  const tx = queues.tx[0]!;
  let sent = 0;
  const rate = await sample(queues, seconds, () => {
    sent += fill(tx, frame64);
    return inspect(rx);
  });
  parentPort!.postMessage({ seconds: rate.seconds, sent, checksum });
}

async function main(name: string, socket: string, seconds: number): Promise<unknown> {
  const server = (id = 0, rxMode: 'polling' | 'interrupt' | 'adaptive' = 'polling'): Memif =>
    openMemif({ socket, role: 'server', id, rxMode });
  switch (name) {
    case 'rx-inspect': {
      const memif = server();
      await memif.up({ timeoutMs: 20_000 });
      const rx = memif.rx[0]!;
      await until(() => rx.pending > 0);
      const rate = await sample(memif, seconds, () => inspect(rx));
      await memif.close();
      return { ...rate, checksum };
    }
    case 'rx-copy': {
      const memif = server();
      await memif.up({ timeoutMs: 20_000 });
      const rx = memif.rx[0]!;
      const copies = new CopyBuffer();
      await until(() => rx.pending > 0);
      const rate = await sample(memif, seconds, () => {
        const n = copies.take(rx, BURST);
        if (n > 0) checksum += copies.bytes[copies.ends[n - 1]! - 1]!;
        return n;
      });
      await memif.close();
      return { ...rate, checksum };
    }
    case 'tx-write':
    case 'tx-write-1514': {
      const memif = openMemif({ socket, role: 'client', retryMinMs: 20, retryMaxMs: 50 });
      await memif.up({ timeoutMs: 20_000 });
      const tx = memif.tx[0]!;
      const frame = name === 'tx-write' ? frame64 : frame1514;
      await until(() => fill(tx, frame) > 0 && tx.free > 0); // the peer takes packets
      const rate = await sample(memif, seconds, () => fill(tx, frame));
      await memif.close();
      return rate;
    }
    case 'two-workers': {
      const a = openMemif({ socket, role: 'server' });
      const b = openMemif({ socket, role: 'client' });
      await Promise.all([a.up(), b.up()]);
      const results = await Promise.all(
        [a, b].map((memif) => {
          const port = share(memif, { rx: [0], tx: [0] });
          return new Promise<{ seconds: number[] }>((resolve, reject) => {
            const thread = new Worker(new URL(import.meta.url), {
              workerData: { port, seconds },
              transferList: [port],
            });
            thread.once('message', resolve);
            thread.once('error', reject);
          });
        }),
      );
      await Promise.all([a.destroy(), b.destroy()]);
      return { seconds: results[0]!.seconds.map((rate, i) => rate + (results[1]!.seconds[i] ?? 0)) };
    }
    case 'bridge': {
      const a = server(0);
      const b = server(1);
      const wire = bridge(a, b, { rxMode: 'polling' });
      await Promise.all([a.up({ timeoutMs: 20_000 }), b.up({ timeoutMs: 20_000 })]);
      await until(() => wire.statistics.fromA.packets > 0);
      const rates: number[] = [];
      let last = 0;
      for (let s = 0; s < seconds + 1; s++) {
        const start = performance.now();
        await new Promise((resolve) => setTimeout(resolve, 1000));
        const { fromA, fromB } = wire.statistics;
        const packets = fromA.packets + fromB.packets;
        rates.push(((packets - last) / (performance.now() - start)) * 1000);
        last = packets;
      }
      wire.close();
      await Promise.all([a.close(), b.close()]);
      return { seconds: rates.slice(1) };
    }
    case 'rtt-interrupt':
    case 'rtt-adaptive': {
      const memif = openMemif({
        socket,
        role: 'client',
        rxMode: name === 'rtt-adaptive' ? 'adaptive' : 'interrupt',
        retryMinMs: 20,
        retryMaxMs: 50,
      });
      await memif.up({ timeoutMs: 20_000 });
      const result = await roundTrips(memif, seconds);
      await memif.close();
      return result;
    }
    case 'idle': {
      const memif = server(0, 'interrupt');
      await memif.up({ timeoutMs: 20_000 });
      memif.listen((rx) => rx.release(rx.peek().count));
      await new Promise((resolve) => setTimeout(resolve, 2000));
      const before = process.cpuUsage();
      const start = performance.now();
      await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
      const used = process.cpuUsage(before);
      const percent = (used.user + used.system) / 10 / (performance.now() - start);
      await memif.close();
      return { percent };
    }
    default:
      throw new Error(`there is no case ${name}`);
  }
}

if (parentPort !== null) {
  const { port, seconds } = workerData as { port: MessagePort; seconds: number };
  await worker(port, seconds);
} else {
  const [name = '', socket = '', seconds = '4'] = process.argv.slice(2);
  console.log(JSON.stringify(await main(name, socket, Number(seconds))));
}
