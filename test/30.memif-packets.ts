// Chapter 30, continued: packets. Bursts against a model, what misuse answers, back-pressure, streams, copies, buffers
// that change hands, bridges, fault injection.

import t from 'tap';
import fc from 'fast-check';
import { once } from 'node:events';
import { PassThrough, Transform, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { CopyBuffer, type Memif, type MemifOptions, PacketMemory, type RxQueue, bridge } from 'node-vpp/memif';
import { copyPackets, duplex } from 'node-vpp/memif';
import { injectFaults, loopback } from 'node-vpp/testing';
import { freshSocket, lost, open, packet, pair, sleep, take, until } from './support/memif.js';

const equal = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

/** Writes one packet through reserve and commit; false when the ring has no room for it. */
function transmit(memif: Memif, bytes: Uint8Array): boolean {
  const tx = memif.tx[0]!;
  const burst = tx.reserve(1, bytes.length);
  if (burst.count === 0) return false;
  let at = 0;
  for (let s = 0; s < burst.count; s++) {
    burst.segment(s).set(bytes.subarray(at, at + burst.lengths[s]!));
    at += burst.lengths[s]!;
  }
  tx.commit();
  return true;
}

void t.test('a pair behaves like two arrays of packets, whatever is sent, peeked at and released', async (t) => {
  type Step = { kind: 'send'; lengths: number[] } | { kind: 'take'; max: number; release: number } | { kind: 'send()' };
  const step: fc.Arbitrary<Step> = fc.oneof(
    fc.record({ kind: fc.constant('send' as const), lengths: fc.array(fc.nat(700), { maxLength: 12 }) }),
    fc.record({ kind: fc.constant('take' as const), max: fc.integer({ min: 1, max: 40 }), release: fc.nat(40) }),
    fc.record({ kind: fc.constant('send()' as const) }),
  );
  const layout = fc.record({
    ringSize: fc.constantFrom(2, 4, 16, 64),
    bufferSize: fc.constantFrom(64, 100, 256, 2048),
    fromClient: fc.boolean(),
    steps: fc.array(step, { maxLength: 60 }),
  });
  let number = 0;
  let packets = 0;
  const property = fc.asyncProperty(layout, async ({ ringSize, bufferSize, fromClient, steps }) => {
    const both = await loopback({ ringSize, bufferSize });
    try {
      const [from, to] = fromClient ? [both.client, both.server] : [both.server, both.client];
      const model: Uint8Array[] = [];
      const slots = (length: number): number => Math.max(1, Math.ceil(length / bufferSize));
      const used = (): number => model.reduce((sum, each) => sum + slots(each.length), 0);
      const rx = to.rx[0]!;
      const tx = from.tx[0]!;
      for (const each of steps) {
        if (each.kind === 'take') {
          const burst = rx.peek(each.max);
          // Whole packets, as many as fit in `max` segments, and at least one.
          let segments = 0;
          let whole = 0;
          while (whole < model.length && (whole === 0 || segments + slots(model[whole]!.length) <= each.max)) {
            segments += slots(model[whole++]!.length);
          }
          if (burst.packets !== whole || burst.count !== segments) {
            throw new Error(`${burst.packets} packets in ${burst.count}, not ${whole} in ${segments}`);
          }
          const ends: number[] = [];
          for (let s = 0, p = 0; s < burst.count; s++) {
            if (s === 0 || burst.more[s - 1] === 0) {
              if (!equal(burst.copy(s), model[p]!)) throw new Error(`packet ${p} differs`);
              p++;
            }
            if (burst.more[s] === 0) ends.push(s + 1);
          }
          const some = Math.min(each.release, ends.length);
          rx.release(some === 0 ? 0 : ends[some - 1]!);
          model.splice(0, some);
          packets += some;
        } else {
          const lengths = each.kind === 'send' ? each.lengths : [];
          for (const length of lengths) {
            const bytes = packet(number++, length);
            const fits = used() + slots(length) <= ringSize;
            if (transmit(from, bytes) !== fits) throw new Error(`${length} bytes: ${fits ? 'refused' : 'taken'}`);
            if (fits) model.push(bytes);
          }
          if (tx.free !== ringSize - used()) throw new Error(`${tx.free} free, not ${ringSize - used()}`);
        }
        if (rx.pending !== used()) throw new Error(`${rx.pending} pending, not ${used()}`);
      }
    } finally {
      await both.close();
    }
  });
  await fc.assert(property, { numRuns: 200, seed: Number(process.env.SEED ?? Date.now() & 0x7fffffff) });
  t.ok(packets > 100, `${packets} packets compared`);
});

void t.test('indices wrap: 200,000 packets of random sizes through small rings, every byte checked', async (t) => {
  for (const [bufferSize, ringSize, longest] of [
    [64, 32, 300],
    [2048, 256, 100],
  ] as const) {
    const { server, client } = await pair(t, { bufferSize, ringSize });
    for (const [from, to] of [
      [client, server],
      [server, client],
    ] as const) {
      let sent = 0;
      let received = 0;
      let wrong = 0;
      const rx = to.rx[0]!;
      const length = (n: number): number => (n * 7919) % longest;
      while (received < 50_000) {
        while (sent < 50_000 && transmit(from, packet(sent, length(sent)))) sent++;
        const burst = rx.peek(1 + (received % 37));
        for (let s = 0; s < burst.count; s++) {
          if (s > 0 && burst.more[s - 1] === 1) continue;
          if (!equal(burst.copy(s), packet(received, length(received)))) wrong++;
          received++;
        }
        rx.release(burst.count);
      }
      t.equal(wrong, 0, `${from.role} to ${to.role}, buffers of ${bufferSize}`);
      t.equal(to.statistics.rx[0]!.packets, 50_000);
      t.equal(to.statistics.rx[0]!.bytes, from.statistics.tx[0]!.bytes);
    }
  }
});

void t.test('what may not be done is refused, and nothing has moved then', async (t) => {
  const code = 'ERR_VPP_ARGUMENT_RANGE';
  for (const [from, to] of await pairBothWays(t, { bufferSize: 64, ringSize: 16 })) {
    const tx = from.tx[0]!;
    const rx = to.rx[0]!;
    for (const [packets, length] of [
      [-1, 60],
      [1, -1],
      [NaN, 60],
      [1.5, 60],
      [1, NaN],
    ] as const) {
      t.throws(() => tx.reserve(packets, length), { code });
    }
    t.equal(tx.reserve(0, 60).count, 0);
    tx.commit(); // of nothing
    const burst = tx.reserve(2, 130); // two chains of three
    t.same([burst.count, burst.packets], [6, 2]);
    t.same([...burst.more.subarray(0, 6)], [1, 1, 0, 1, 1, 0]);
    t.same([...burst.lengths.subarray(0, 6)], [64, 64, 2, 64, 64, 2]);
    for (const count of [7, -1, 1, 2, 4, 1.5, NaN]) t.throws(() => tx.commit(count), { code, message: /committing/ });
    burst.lengths[2] = 65;
    t.throws(() => tx.commit(3), { code, message: /65 bytes in a buffer of 64 \(segment 2\)/ });
    t.equal(rx.pending, 0, 'nothing was published');
    burst.lengths[2] = 1;
    tx.commit(3);
    t.throws(() => tx.commit(3), { code }, 'the burst is void after a commit');
    t.equal(rx.pending, 3);
    t.throws(() => rx.release(3), { code, message: /releasing 3 of the 0/ }, 'not peeked at');
    const seen = rx.peek();
    t.same([seen.count, seen.packets, seen.copy(0).length], [3, 1, 129]);
    for (const count of [4, -1, 1, 2, 0.5, NaN]) t.throws(() => rx.release(count), { code, message: /releasing/ });
    t.equal(rx.peek().count, 3, 'peek shows the same again');
    rx.release(3);
    t.throws(() => rx.release(3), { code }, 'released already');
    t.equal(rx.peek().count, 0);
    t.equal(tx.reserve(1, 1025 * 65535).count, 0, 'longer than any chain');
    t.equal(tx.counters.full > 0 || tx.free === 16, true);
    t.throws(() => from.send('text' as never), { code: 'ERR_VPP_ARGUMENT_TYPE' });
    t.throws(() => from.send(new Uint8Array(1), { queue: 1 }), { code });
    t.throws(() => from.send(new Uint8Array(1), { queue: -1 }), { code });
    t.throws(() => from.listen(7 as never), { code: 'ERR_VPP_ARGUMENT_TYPE' });
  }
});

async function pairBothWays(t: Parameters<typeof pair>[0], options: Partial<MemifOptions>) {
  const one = await pair(t, options);
  const two = await pair(t, options);
  return [
    [one.client, one.server],
    [two.server, two.client],
  ] as const;
}

void t.test('a burst is void and its views have no bytes once the interface is down', async (t) => {
  for (const [from, to] of await pairBothWays(t, { ringSize: 16 })) {
    from.send(packet(1, 60));
    const burst = to.rx[0]!.peek();
    const region = burst.bytes!;
    const view = burst.segment(0);
    t.same(view, packet(1, 60));
    const offered = from.tx[0]!.reserve(1, 60);
    const target = offered.segment(0);
    const down = lost(to);
    await from.destroy();
    await down;
    await new Promise(setImmediate); // once everybody has heard of it
    t.same([view.length, region.length, target.length], [0, 0, 0], 'views are detached');
    t.same([burst.count, burst.packets, burst.memory.length, burst.bytes], [0, 0, 0, undefined]);
    to.rx[0]!.release(1); // nobody is there to get it: no error
    from.tx[0]!.commit(1);
    t.same([to.rx[0]!.size, to.rx[0]!.pending, to.rx[0]!.peek().count, to.tx[0]!.free], [0, 0, 0, 0]);
    t.equal(to.tx[0]!.reserve(1, 60).count, 0);
  }
});

void t.test('copies: copyPackets and CopyBuffer join chains and release what they took', async (t) => {
  for (const [from, to] of await pairBothWays(t, { bufferSize: 64, ringSize: 64 })) {
    const rx = to.rx[0]!;
    const lengths = [0, 60, 64, 65, 200, 1];
    const sent = lengths.map((length, i) => packet(i, length));
    from.send(sent);
    t.same(copyPackets(rx, 4), sent.slice(0, 3), 'four segments hold three packets, the fourth being a chain');
    t.same(copyPackets(rx, 1), [sent[3]], 'one packet, even if it has more segments');
    t.same(copyPackets(rx, 64), sent.slice(4));
    t.same(copyPackets(rx, 64), []);

    from.send(sent);
    const buffer = new CopyBuffer({ bytes: 330, packets: 8 });
    t.equal(buffer.take(rx), 4, 'as much as fits');
    t.same([...buffer.ends.subarray(0, 4)], [0, 60, 124, 189]);
    for (let i = 0; i < 4; i++)
      t.same(buffer.bytes.subarray(i === 0 ? 0 : buffer.ends[i - 1], buffer.ends[i]), sent[i]);
    t.equal(buffer.take(rx), 2);
    t.same([buffer.take(rx), buffer.count], [0, 0]);
    from.send(packet(9, 400));
    t.throws(() => buffer.take(rx), { code: 'ERR_VPP_ARGUMENT_RANGE', message: /400 bytes/ });
    t.same(copyPackets(rx, 1), [packet(9, 400)], 'it is still there');
    const few = new CopyBuffer({ packets: 2 });
    from.send(sent);
    t.same([few.take(rx), few.take(rx), few.take(rx), few.take(rx), few.take(rx)], [2, 1, 1, 1, 1]);
  }
});

void t.test('send() keeps the order and loses nothing: false, then drain', async (t) => {
  for (const [from, to] of await pairBothWays(t, { ringSize: 8, highWaterMark: 16, bufferSize: 64 })) {
    const sent = Array.from({ length: 700 }, (_, i) => packet(i, (i * 37) % 190));
    t.equal(from.send(sent.slice(0, 3)), true, 'there was room');
    t.equal(from.send(sent.slice(3, 300)), false);
    t.equal(from.send(sent[300]!), false);
    let drains = 0;
    from.on('drain', () => drains++);
    const coming = take(to, 700);
    t.equal(from.send(sent.slice(301)), false);
    t.same(await coming, sent);
    await until('drain', () => drains === 1);
    t.equal(from.statistics.waiting, 0);
    t.equal(from.send(packet(0, 10)), true);
    t.equal(from.send([]), true);
  }
});

void t.test('send() before the interface is up, and while its peer is away, waits', async (t) => {
  const socket = freshSocket();
  const client = open(t, { socket, role: 'client', retryMinMs: 5, retryMaxMs: 10, ringSize: 8 });
  const sent = Array.from({ length: 100 }, (_, i) => packet(i, 100));
  t.equal(client.send(sent.slice(0, 50)), false);
  t.equal(client.statistics.waiting, 50);
  const one = open(t, { socket, role: 'server' });
  await one.up({ timeoutMs: 30_000 });
  const first = await take(one, 20);
  t.same(first, sent.slice(0, first.length));
  // What stood in the ring when the server died is lost with it; what was still waiting in JavaScript is not.
  await until('the ring is full again', () => client.tx[0]!.free === 0);
  const inRing = one.rx[0]!.counters.packets + one.rx[0]!.pending;
  await one.destroy();
  t.equal(client.statistics.waiting, 50 - inRing);
  client.send(sent.slice(50));
  const two = open(t, { socket, role: 'server' });
  t.same(await take(two, 100 - inRing), sent.slice(inRing));
});

void t.test('send() says so when false was ignored, and when a packet can never go', async (t) => {
  for (const [from, to] of await pairBothWays(t, { ringSize: 4, bufferSize: 64, highWaterMark: 2 })) {
    t.throws(() => from.send(packet(0, 257)), {
      code: 'ERR_MEMIF_PACKET_TOO_LONG',
      message: /257 bytes: the whole ring/,
    });
    t.equal(from.statistics.tx[0]!.tooLong, 1);
    const many = Array.from({ length: 4 + 128 }, (_, i) => packet(i, 60));
    t.equal(from.send(many), false, '64 times the high-water mark may wait');
    t.throws(() => from.send(packet(0, 60)), { code: 'ERR_MEMIF_BACKLOG', message: /128 wait already.*drain/ });
    t.same(await take(to, 132), many, 'what was accepted is not lost');

    // A packet that turns out to be too long only when its turn comes is an `error` event; the others go.
    from.send([packet(1, 60), packet(2, 60), packet(3, 60), packet(4, 60), packet(5, 60)]);
    from.send(packet(6, 300));
    from.send(packet(7, 60));
    const [[error], packets] = await Promise.all([once(from, 'error'), take(to, 6)]);
    t.match(error, { code: 'ERR_MEMIF_PACKET_TOO_LONG' });
    t.same(
      packets,
      [1, 2, 3, 4, 5, 7].map((n) => packet(n, 60)),
    );
  }
});

void t.test('for await: break and close end it, nothing is taken while nobody asks', async (t) => {
  const { server, client } = await pair(t, { ringSize: 64 });
  client.send([packet(1, 60), packet(2, 60)]);
  for await (const packets of server) {
    t.same(packets, [packet(1, 60), packet(2, 60)]);
    break;
  }
  client.send(packet(3, 60));
  await sleep(10);
  t.equal(server.rx[0]!.pending, 1, 'still in the ring');
  t.same(await take(server, 1), [packet(3, 60)]);
  const ended = (async () => {
    let count = 0;
    for await (const packets of server) count += packets.length;
    return count;
  })();
  client.send(packet(4, 60));
  await until('taken', () => server.rx[0]!.counters.packets === 4);
  await server.close();
  t.equal(await ended, 1);
  for await (const _ of server) t.fail('closed');

  const queues = await pair(t, { queues: { rx: 3, tx: 3 }, ringSize: 16 });
  for (let queue = 0; queue < 3; queue++) queues.client.send(packet(queue, 60), { queue });
  const all = await take(queues.server, 3);
  t.same(
    all,
    [0, 1, 2].map((n) => packet(n, 60)),
    'all queues are read',
  );
});

void t.test(
  'readable() and listen() work side by side; a listener is called as long as packets are left',
  async (t) => {
    for (const rxMode of ['interrupt', 'adaptive', 'polling'] as const) {
      const { server, client } = await pair(t, { rxMode, ringSize: 64 });
      let calls = 0;
      const one = (queue: RxQueue): void => {
        calls++;
        const burst = queue.peek(1);
        queue.release(burst.count);
      };
      server.listen(one);
      const readable = server.readable({ timeoutMs: 30_000 });
      client.send(Array.from({ length: 10 }, (_, i) => packet(i, 60)));
      await readable.catch((error: unknown) => t.fail(String(error)));
      await until('all taken', () => server.rx[0]!.counters.packets === 10);
      t.equal(calls, 10, 'one packet per call');
      server.listen(undefined);
      client.send(packet(0, 60));
      await sleep(5);
      t.equal(calls, 10, 'not called any more');
      await server.readable({ timeoutMs: 30_000 });
      await server.readable({ timeoutMs: 30_000 });
      t.equal(server.rx[0]!.pending, 1, 'readable takes nothing');
    }
  },
);

void t.test('duplex(): pipeline, back-pressure both ways, and who ends whom', async (t) => {
  const { server, client } = await pair(t, { ringSize: 16 });
  const echo = duplex(server);
  const invert = new Transform({
    objectMode: true,
    transform: (bytes: Uint8Array, _encoding, done) =>
      done(
        null,
        bytes.map((byte) => byte ^ 255),
      ),
  });
  const running = pipeline(echo, invert, echo);
  const sent = Array.from({ length: 300 }, (_, i) => packet(i, 100));
  client.send(sent);
  t.same(
    await take(client, 300),
    sent.map((each) => each.map((byte) => byte ^ 255)),
  );
  await client.close();
  await server.close();
  await running.catch((error: unknown) => t.match(error, { code: 'ERR_STREAM_PREMATURE_CLOSE' }));
  t.ok(echo.destroyed || echo.writableEnded);

  const slow = await pair(t, { ringSize: 16 });
  const stream = duplex(slow.server);
  const got: Uint8Array[] = [];
  stream.pipe(
    new Writable({
      objectMode: true,
      highWaterMark: 1,
      write: (bytes: Uint8Array, _encoding, done) => {
        got.push(bytes);
        setImmediate(done);
      },
    }),
  );
  slow.client.send(sent.slice(0, 200));
  await sleep(1);
  t.ok(got.length + slow.server.rx[0]!.counters.packets < 400);
  await until('all', () => got.length === 200);
  t.same(got, sent.slice(0, 200));

  // A stream that is destroyed closes its interface; an interface that is closed ends its stream.
  stream.destroy();
  await until('closed', () => slow.server.isClosed);
  const third = await pair(t, { ringSize: 64 });
  const reader = duplex(third.server);
  third.client.send(sent.slice(0, 40));
  await until('readable', () => reader.readableLength > 0 || reader.read(0) !== null);
  const rest: Uint8Array[] = [];
  await third.server.close();
  reader.on('data', (bytes: Uint8Array) => rest.push(bytes));
  await once(reader, 'end');
  t.same(rest, sent.slice(0, rest.length), 'what was taken out of the ring is delivered before the end');
  t.ok(rest.length >= 16);

  const fourth = await pair(t, { ringSize: 2, bufferSize: 64 });
  const writer = duplex(fourth.client);
  writer.resume();
  const failed = once(writer, 'error').then(
    ([error]) => error as Error,
    (error: unknown) => error as Error,
  );
  writer.write(packet(0, 1000));
  t.match(await failed, { code: 'ERR_MEMIF_PACKET_TOO_LONG' });
  const plain = new PassThrough({ objectMode: true });
  t.ok(plain.writable);
});

void t.test('two clients on one packet memory: received buffers go out by a swap of descriptors', async (t) => {
  const memory = new PacketMemory({ buffers: 64, bufferSize: 256 });
  const options = { memory, ringSize: 16, retryMinMs: 1, retryMaxMs: 5 };
  const socket = freshSocket();
  const open2 = async (id: number) => {
    const server = open(t, { socket, role: 'server', id });
    const client = open(t, { socket, role: 'client', id, ...options });
    await Promise.all([server.up({ timeoutMs: 30_000 }), client.up({ timeoutMs: 30_000 })]);
    return { server, client };
  };
  const left = await open2(1);
  const right = await open2(2);
  t.equal(memory.available, 0);
  const where = new Set<number>();
  for (let round = 0; round < 5000; round++) {
    const sent = Array.from({ length: 1 + (round % 5) }, (_, i) => packet(round + i, 20 + ((round * 13 + i) % 600)));
    for (const each of sent) transmit(left.server, each);
    const rx = left.client.rx[0]!;
    const burst = rx.peek();
    const first = burst.offsets[0]!;
    const moved = right.client.tx[0]!.forward(rx, burst, burst.count);
    if (moved === 0) throw new Error('nothing was forwarded');
    const out = right.server.rx[0]!.peek();
    if (out.offsets[0] !== first) throw new Error('it was copied');
    where.add(first);
    const got = copyPackets(right.server.rx[0]!, 64);
    for (const [i, each] of got.entries()) if (!equal(each, sent[i]!)) throw new Error(`round ${round}, packet ${i}`);
    rx.release(rx.peek().count);
  }
  t.equal(where.size, 32, 'buffers of both rings wander through both interfaces');
  t.equal(right.client.tx[0]!.counters.packets, right.server.rx[0]!.counters.packets);

  const code = 'ERR_VPP_ARGUMENT_RANGE';
  transmit(left.server, packet(1, 600));
  const rx = left.client.rx[0]!;
  const burst = rx.peek();
  const tx = right.client.tx[0]!;
  t.equal(burst.count, 3);
  for (const count of [4, -1, 0.5, NaN]) t.throws(() => tx.forward(rx, burst, count), { code, message: /forwarding/ });
  t.throws(() => tx.forward(rx, right.client.rx[0]!.peek(), 1), { code }, "another queue's burst");
  t.equal(tx.forward(rx, burst, 2), 0, 'the middle of a chain: no whole packet');
  const alien = await pair(t, { bufferSize: 256 });
  t.throws(() => alien.client.tx[0]!.forward(rx, burst, 3), { code, message: /same `memory`/ });
  t.throws(() => alien.server.tx[0]!.forward(rx, burst, 3), { code, message: /same `memory`/ });
  t.equal(tx.forward(rx, burst, 3), 3);
  t.same(copyPackets(right.server.rx[0]!, 16), [packet(1, 600)]);
  let filled = 0;
  for (let i = 0; i < 20; i++) {
    if (!transmit(left.server, packet(i, 60))) break;
    const one = rx.peek();
    filled += tx.forward(rx, one, one.count);
  }
  t.equal(filled, 16, 'a full ring takes no more; the rest stays where it is');
  t.ok(rx.peek().count > 0);

  t.throws(() => memory.close(), { code: 'ERR_MEMIF_MEMORY', message: /2 interfaces still use/ });
  const third = open(t, { socket, role: 'client', id: 3, ...options });
  open(t, { socket, role: 'server', id: 3 });
  t.match(await lost(third), { reason: 'REGION', message: /0 free buffers; 32 are needed/ });
  await third.destroy();
  for (let round = 0; round < 20; round++) {
    const down = lost(left.client);
    left.client.accuse('INDEX', 'a test');
    await down;
    await left.client.up({ timeoutMs: 30_000 });
    await until('up', () => left.server.isUp);
  }
  t.equal(memory.available, 0, 'every connection gives its buffers back');
  await Promise.all([left.client.destroy(), right.client.destroy()]);
  t.equal(memory.available, 64, 'all are back');
  t.equal(memory.bytes.length, 64 * 256);
  const view = memory.bytes;
  memory.close();
  t.equal(view.length, 0, 'detached');
});

void t.test('bridge(): packets go through it both ways, between different buffers and rings', async (t) => {
  for (const rxMode of ['adaptive', 'interrupt', 'polling'] as const) {
    for (const [left, right] of [
      [2048, 64],
      [100, 1500],
      [64, 65535],
    ] as const) {
      const one = await pair(t, { bufferSize: left, ringSize: 2048 });
      const two = await pair(t, { bufferSize: right, ringSize: right === 65535 ? 16 : 2048 });
      // One bridged side is a server, the other a client.
      const wire = bridge(one.server, two.client, { rxMode });
      t.ok(wire.running);
      const sent = Array.from({ length: 300 }, (_, i) => packet(i, [0, 60, 64, 65, 1514, 9000, 31][i % 7]!));
      sent.push(packet(300, 65000));
      for (const [from, to] of [
        [one.client, two.server],
        [two.server, one.client],
      ] as const) {
        const coming = take(to, sent.length, 20_000);
        from.send(sent);
        const got = await coming;
        t.ok(
          got.every((each, i) => equal(each, sent[i]!)),
          `${rxMode}: ${left} to ${right}`,
        );
      }
      const bytes = sent.reduce((sum, each) => sum + each.length, 0);
      // The thread counts what it has sent after it has sent it.
      await until('counted', () => wire.statistics.fromA.packets === 301 && wire.statistics.fromB.packets === 301);
      t.match(wire.statistics, {
        fromA: { packets: 301, bytes, tooLong: 0 },
        fromB: { packets: 301, bytes, tooLong: 0 },
      });
      wire.close();
      wire.close();
      t.notOk(wire.running);
      t.match(wire.statistics, { fromA: { packets: 301 } }, 'the counts stay');
      await Promise.all([one, two].flatMap((each) => [each.server.destroy(), each.client.destroy()]));
    }
  }
});

void t.test('bridge(): queues are its own while it runs, and come back as they are', async (t) => {
  const one = await pair(t, { ringSize: 16 });
  const two = await pair(t, { ringSize: 16 });
  const three = await pair(t, { ringSize: 16 });
  for (let round = 0; round < 20; round++) {
    const wire = bridge(one.server, two.client);
    t.throws(() => bridge(one.server, three.server), { code: 'ERR_MEMIF_IN_USE' });
    t.throws(() => bridge(three.server, two.client), { code: 'ERR_MEMIF_IN_USE' });
    t.throws(() => bridge(three.server, three.server), { code: 'ERR_VPP_ARGUMENT_TYPE' });
    t.throws(() => one.server.send(packet(0, 60)), { code: 'ERR_MEMIF_IN_USE' });
    t.same([one.server.rx[0]!.peek().count, one.server.tx[0]!.free, one.server.tx[0]!.reserve(1, 60).count], [0, 0, 0]);
    const sent = Array.from({ length: 37 }, (_, i) => packet(round * 100 + i, 60 + i));
    const coming = Promise.all([take(two.server, 37), take(one.client, 37)]);
    one.client.send(sent);
    two.server.send(sent);
    t.same(await coming, [sent, sent]);
    wire.close();
    // And without it: each pair by itself.
    const direct = Promise.all([take(one.server, 5), take(one.client, 5), take(two.client, 5), take(two.server, 5)]);
    for (const each of [one.client, one.server, two.server, two.client]) each.send(sent.slice(0, 5));
    t.same(await direct, Array(4).fill(sent.slice(0, 5)));
  }
});

void t.test('bridge(): goes on when a peer comes back, ends with an interface, never drops', async (t) => {
  const socket = freshSocket();
  const a = open(t, { socket, role: 'server', id: 1 });
  const b = open(t, { socket, role: 'server', id: 2 });
  const wire = bridge(a, b);
  t.notOk(wire.running, 'not yet');
  const right = open(t, { socket, role: 'client', id: 2, ringSize: 8 });
  for (let round = 0; round < 5; round++) {
    const left = open(t, { socket, role: 'client', id: 1 });
    await Promise.all([left.up({ timeoutMs: 30_000 }), right.up({ timeoutMs: 30_000 })]);
    await until('running', () => wire.running);
    const sent = Array.from({ length: 200 }, (_, i) => packet(round * 1000 + i, 100));
    left.send(sent);
    await sleep(5);
    t.ok(right.rx[0]!.pending <= 8, 'the small ring is full, the rest waits in front of the bridge');
    t.same(await take(right, 200), sent);
    await left.destroy();
    await until('waiting', () => !wire.running);
    t.ok(b.isUp, 'the other side stays up');
  }
  t.equal(wire.statistics.fromA.packets, 1000);
  let closed = false;
  wire.on('close', () => (closed = true));
  await a.close();
  t.ok(closed, 'closing an interface closes the bridge');
  t.throws(() => bridge(a, b), { code: 'ERR_MEMIF_CLOSED' });

  // A packet that can never fit in the other ring is dropped, counted, and holds nobody up.
  const big = await pair(t, { bufferSize: 2048, ringSize: 64 });
  const small = await pair(t, { bufferSize: 64, ringSize: 8 });
  const narrow = bridge(big.server, small.server);
  big.client.send([packet(1, 60), packet(2, 513), packet(3, 512), packet(4, 60)]);
  t.same(await take(small.client, 3), [packet(1, 60), packet(3, 512), packet(4, 60)]);
  t.equal(narrow.statistics.fromA.tooLong, 1);
  narrow.close();
});

void t.test('bridge(): queue i feeds queue i modulo the number on the other side', async (t) => {
  const one = await pair(t, { queues: { rx: 3, tx: 3 }, ringSize: 64 });
  const two = await pair(t, { queues: { rx: 2, tx: 2 }, ringSize: 64 });
  const wire = bridge(one.server, two.server);
  for (let queue = 0; queue < 3; queue++) one.client.send(packet(queue, 60), { queue });
  await until('moved', () => wire.statistics.fromA.packets === 3);
  const [first, second] = two.client.rx.map((queue) => copyPackets(queue, 16));
  t.same(first!.map((each) => each[0]).sort(), [packet(0, 1)[0], packet(2, 1)[0]].sort());
  t.same(second, [packet(1, 60)]);
  wire.close();
});

void t.test('injectFaults: the same seed makes the same faults, each kind as often as it says', async (t) => {
  const run = async (seed: number) => {
    const both = await loopback({ ringSize: 256 });
    const bad = injectFaults(both.client, {
      drop: 0.1,
      duplicate: 0.1,
      corrupt: 0.1,
      truncate: 0.1,
      reorder: 0.1,
      direction: 'send',
      seed,
    });
    const sent = Array.from({ length: 200 }, (_, i) => packet(i, 60));
    bad.send(sent);
    const { dropped, duplicated } = bad.counters;
    const got = await take(both.server, 200 - dropped + duplicated);
    await both.close();
    return { got, counters: { ...bad.counters } };
  };
  const [first, again, other] = [await run(7), await run(7), await run(8)];
  t.same(first, again);
  t.notSame(first.counters, other.counters);
  for (const [kind, count] of Object.entries(first.counters)) t.ok(count > 5 && count < 45, `${kind}: ${count} of 200`);

  const both = await loopback();
  const deaf = injectFaults(both.server, { drop: 1, direction: 'receive' });
  both.client.send(packet(1, 60));
  deaf.send(packet(2, 60));
  t.same(await take(both.client, 1), [packet(2, 60)], 'sending is untouched');
  const heard = (async () => {
    for await (const packets of deaf) return packets;
    return 'nothing';
  })();
  await until('dropped', () => deaf.counters.dropped === 1);
  await both.close();
  await deaf.close();
  t.equal(await heard, 'nothing');
});
