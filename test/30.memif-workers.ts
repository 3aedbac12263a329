// Chapter 30, continued: memif across threads and processes. Queues in workers, sudden ends, and what is left of them.

import t, { type Test } from 'tap';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { type MessagePort, Worker } from 'node:worker_threads';
import { type Memif, openShared, share } from 'node-vpp/memif';
import { loopback } from 'node-vpp/testing';
import { descriptors, freshSocket, holdings, lost, open, packet, pair, root, runModule } from './support/memif.js';
import { sleep, take, until, within } from './support/memif.js';

const script = new URL('./support/memif-worker.js', import.meta.url);

/** A worker with a task; messages it sends can be waited for one by one. */
class Hand {
  readonly worker: Worker;
  readonly gone: Promise<unknown>;
  readonly #messages: unknown[] = [];
  #wake: () => void = () => undefined;

  constructor(t: Test, task: string, orders: { port?: MessagePort; socket?: string } = {}) {
    const transferList = orders.port === undefined ? [] : [orders.port];
    this.worker = new Worker(script, { workerData: { task, ...orders }, transferList });
    this.worker.on('message', (message: unknown) => {
      this.#messages.push(message);
      this.#wake();
    });
    this.gone = new Promise((resolve) => this.worker.once('exit', resolve));
    this.worker.on('error', (error) => t.fail(`worker: ${error.stack ?? ''}`));
    t.teardown(() => this.worker.terminate());
  }

  async hear(): Promise<unknown> {
    const heard = new Promise<void>((resolve) => {
      this.#wake = resolve;
      if (this.#messages.length > 0) resolve();
    });
    await within(heard, 30_000, () => 'the worker says nothing');
    return this.#messages.shift();
  }
}

const inverted = (bytes: Uint8Array): Uint8Array => bytes.map((byte) => byte ^ 255);

/** Sends through a worker that echoes, on one queue, and takes what comes back. */
async function throughEcho(memif: Memif, queue: number, count: number): Promise<void> {
  const sent = Array.from({ length: count }, (_, i) => packet(queue * 1000 + i, (i * 53) % 5000));
  const got: Uint8Array[] = [];
  memif.send(sent, { queue });
  const rx = memif.rx[queue]!;
  await until(
    `queue ${queue}`,
    () => {
      const burst = rx.peek();
      for (let s = 0; s < burst.count; s++) if (s === 0 || burst.more[s - 1] === 0) got.push(burst.copy(s));
      rx.release(burst.count);
      return got.length >= count;
    },
    30_000,
  );
  for (const [i, each] of got.entries()) {
    if (Buffer.compare(each, inverted(sent[i]!)) !== 0) throw new Error(`queue ${queue}, packet ${i} differs`);
  }
}

void t.test('one queue per worker: each works on its own ring, in every mode and both roles', async (t) => {
  for (const [role, rxMode] of [
    ['server', 'interrupt'],
    ['client', 'adaptive'],
    ['server', 'polling'],
  ] as const) {
    const both = await pair(t, { queues: { rx: 3, tx: 3 }, ringSize: 64, rxMode });
    const [mine, theirs] = role === 'server' ? [both.server, both.client] : [both.client, both.server];
    const hands = [0, 1].map((i) => new Hand(t, 'echo', { port: share(mine, { rx: [i], tx: [i] }) }));
    for (const hand of hands) t.same(await hand.hear(), { up: 64 });
    t.throws(() => share(mine, { rx: [0] }), { code: 'ERR_MEMIF_IN_USE' });
    t.throws(() => share(mine, { tx: [1] }), { code: 'ERR_MEMIF_IN_USE' });
    t.throws(() => mine.send(packet(0, 60), { queue: 1 }), { code: 'ERR_MEMIF_IN_USE' });
    t.throws(() => share(mine, { rx: [255] }), { code: 'ERR_VPP_ARGUMENT_RANGE' });
    t.throws(() => share(mine, { tx: [-1] }), { code: 'ERR_VPP_ARGUMENT_RANGE' });
    await Promise.all([throughEcho(theirs, 0, 300), throughEcho(theirs, 1, 300)]);
    // The third queue stays with the owner.
    theirs.send(packet(1, 60), { queue: 2 });
    t.same(await take(mine, 1), [packet(1, 60)]);
    const { rx, tx } = mine.statistics;
    t.same(
      rx.map((each) => each.packets),
      [300, 300, 1],
      'the owner sees what its workers count',
    );
    t.same(
      tx.map((each) => each.packets),
      [300, 300, 0],
    );
    for (const hand of hands) hand.worker.postMessage('close');
    await Promise.all(hands.map((hand) => hand.gone));
    await Promise.all([mine.destroy(), theirs.destroy()]);
  }
});

void t.test('workers lose their queues with the connection, and get the next one', async (t) => {
  const socket = freshSocket();
  const server = open(t, { socket, role: 'server' });
  const hand = new Hand(t, 'echo', { port: share(server, { rx: [0], tx: [0] }) });
  for (let round = 0; round < 3; round++) {
    const client = open(t, { socket, role: 'client', ringSize: 32 });
    t.same(await hand.hear(), { up: 32 });
    await client.up();
    await throughEcho(client, 0, 50);
    await client.destroy();
    t.same(await hand.hear(), { down: 'PEER_REFUSED', sizes: [0, 0], size: 0 }, 'views in the worker are detached');
  }
  await server.close();
  t.same(await hand.hear(), { closed: true });
  await hand.gone;
});

void t.test('openShared takes a port once; after close there is nothing to wait for', async (t) => {
  const { server } = await pair(t);
  const hand = new Hand(t, 'misuse', { port: share(server, { rx: [0] }) });
  t.same(await hand.hear(), ['ERR_MEMIF_IN_USE', 'ERR_VPP_ARGUMENT_TYPE']);
  t.equal(await hand.hear(), 'ERR_MEMIF_CLOSED');
  t.match(await lost(server), { reason: 'CLOSED', message: /the worker that used the queues has ended/ });
});

void t.test('a peer that breaks the rules on a shared queue loses its connection; the owner says why', async (t) => {
  // Sharing works within one thread too.
  const both = await pair(t, { ringSize: 16 });
  const queues = openShared(share(both.server, { rx: [0] }));
  await queues.up();
  const down = lost(both.server);
  // A client of ours does nothing wrong by itself: its memory is written to directly.
  const memory = both.client.rx[0]!.peek().memory;
  new Uint16Array(memory[0]!.buffer)[3] = 30000; // head of the S2M ring
  queues.rx[0]!.peek();
  t.match(await down, { reason: 'INDEX', message: /jumped to 30000/ });
  await once(queues, 'down');
  queues.close();
});

void t.test('worker.terminate() in the middle of traffic ends the connection and nothing else', async (t) => {
  const before = holdings();
  for (let round = 0; round < 10; round++) {
    const { server, client } = await pair(t, { ringSize: 64, queues: { rx: 2, tx: 2 } }, {}, { retryMaxMs: 10 });
    const hand = new Hand(t, 'count', { port: share(server, { rx: [0] }) });
    await hand.hear();
    let on = true;
    const turn = (): void => {
      if (!on) return;
      if (client.isUp && client.statistics.waiting === 0) client.send(Array(50).fill(packet(1, 60)) as Uint8Array[]);
      setImmediate(turn);
    };
    turn();
    await sleep(round);
    const down = lost(server);
    await hand.worker.terminate();
    t.match(await down, { reason: 'CLOSED' });
    await server.up({ timeoutMs: 30_000 });
    await until('the queue is with the owner again', () => server.rx[0]!.peek().count > 0);
    on = false;
    await Promise.all([client.destroy(), server.destroy()]);
  }
  // Interfaces of the worker's own, and workers that have just begun.
  for (let round = 0; round < 10; round++) {
    const hand = new Hand(t, 'traffic');
    if (round % 2 === 0) await hand.hear();
    await sleep(round * 3);
    await hand.worker.terminate();
  }
  const { server } = await pair(t);
  for (let round = 0; round < 10; round++) {
    const hand = new Hand(t, 'count', { port: share(server, { rx: [0] }) });
    await sleep(round * 4);
    await hand.worker.terminate();
    await until('up again', () => server.isUp && !server.rx[0]!.lent);
  }
  share(server, { rx: [0] }).close(); // a port that nobody opened
  await until('up again', () => server.isUp && !server.rx[0]!.lent);
  await server.destroy();
  await until('all is given back', () => holdings().maps <= before.maps && holdings().fds <= before.fds + 6).catch(() =>
    t.fail(`${JSON.stringify([before, holdings()])} ${descriptors().join(' ')}`),
  );
});

void t.test('a client in a worker thread talks to a server in the main thread', async (t) => {
  const socket = freshSocket();
  const server = open(t, { socket, role: 'server' });
  const hand = new Hand(t, 'open', { socket });
  await server.up({ timeoutMs: 30_000 });
  const sent = Array.from({ length: 100 }, (_, i) => packet(i, 100));
  server.send(sent);
  t.same(await take(server, 100), sent);
  await hand.worker.terminate();
  await until('the peer has gone', () => !server.isUp);
});

void t.test('process.exit(), an exception and an end by itself are survived in the middle of traffic', async (t) => {
  const traffic = `
    import { Worker } from 'node:worker_threads';
    import { bridge, share } from 'node-vpp/memif';
    import { loopback } from 'node-vpp/testing';
    const one = await loopback({ ringSize: 64, queues: { rx: 2, tx: 2 } });
    const two = await loopback({ ringSize: 64 });
    bridge(one.server, two.client);
    const three = await loopback({ ringSize: 64, rxMode: 'adaptive' });
    const port = share(three.server, { rx: [0] });
    new Worker(${JSON.stringify(script.pathname)}, { workerData: { task: 'count', port }, transferList: [port], execArgv: [] });
    new Worker(${JSON.stringify(script.pathname)}, { workerData: { task: 'traffic' }, execArgv: [] });
    const packets = Array.from({ length: 64 }, () => new Uint8Array(60));
    two.server.listen((queue) => queue.release(queue.peek().count));
    let turns = 0;
    const turn = () => {
      for (const each of [one.client, three.client]) if (each.statistics.waiting === 0) each.send(packets);
      if (++turns < 300 || three.server.statistics.rx[0].packets === 0) setImmediate(turn);
      else end();
    };
    turn();`;
  for (const [end, code, stderr] of [
    ['process.exit(7)', 7, /^$/],
    ["throw new Error('on purpose')", 1, /on purpose/],
    ['process.reallyExit(5)', 5, /^$/],
  ] as const) {
    const ended = await runModule(`const end = () => { ${end} };${traffic}`);
    t.match(ended, { code, signal: null, stderr }, end);
  }
});

void t.test('kill -9 of the peer process under traffic: down, no harm, and the next one is welcome', async (t) => {
  const socket = freshSocket();
  const server = open(t, { socket, role: 'server', ringSize: 256 });
  let received = 0;
  server.listen((queue) => {
    const burst = queue.peek();
    received += burst.packets;
    queue.release(burst.count);
  });
  const source = `import { openMemif } from 'node-vpp/memif';
    const client = openMemif({ socket: '${socket}', role: 'client', ringSize: 256 });
    client.listen((queue) => queue.release(queue.peek().count));
    const packets = Array.from({ length: 100 }, (_, i) => new Uint8Array(60 + i * 30));
    const turn = () => { if (client.statistics.waiting === 0) client.send(packets); setImmediate(turn); };
    turn();`;
  await runModule('0');
  const before = holdings();
  for (let round = 0; round < 4; round++) {
    const peer = spawn(process.execPath, ['--input-type=module', '-e', source], { cwd: root, stdio: 'ignore' });
    await server.up({ timeoutMs: 30_000 });
    t.equal(server.peer!.pid, peer.pid);
    const target = received + 5000;
    await until(
      'traffic',
      () => {
        if (server.statistics.waiting === 0) server.send(Array(50).fill(packet(1, 500)) as Uint8Array[]);
        return received > target;
      },
      30_000,
    );
    const down = lost(server);
    const closed = once(peer, 'close');
    peer.kill('SIGKILL');
    t.match(await down, { reason: 'PEER_CLOSED' });
    await until('its memory is unmapped', () => holdings().maps <= before.maps);
    await closed;
  }
  t.equal(server.statistics.ups, 4);
  await until('nothing is left', () => holdings().fds <= before.fds);
});

void t.test('under garbage collection: memory lives while views of it do, and nothing is kept for ever', async (t) => {
  const ended = await runModule(
    `import { loopback } from 'node-vpp/testing';
    import { PacketMemory, bridge, openMemif, openShared, share } from 'node-vpp/memif';
    import { readFileSync, readdirSync } from 'node:fs';
    const gc = () => new Promise((resolve) => setImmediate(() => { globalThis.gc(); setImmediate(resolve); }));
    // Only the view is kept: the interface, its peer and the queues are nobody's.
    let kept = await (async () => {
      const { server, client } = await loopback({ ringSize: 16 });
      client.send(new Uint8Array(60).fill(9));
      return server.rx[0].peek().segment(0);
    })();
    for (let i = 0; i < 5; i++) await gc();
    if (kept.length !== 60 || kept.some((byte) => byte !== 9)) throw new Error('the view has changed');
    const memory = new PacketMemory({ buffers: 8 });
    let bytes = memory.bytes;
    bytes.fill(3);
    for (let i = 0; i < 5; i++) await gc();
    if (bytes[100] !== 3) throw new Error('packet memory has changed');

    const look = () => ({ fds: readdirSync('/proc/self/fd').length,
      maps: readFileSync('/proc/self/maps', 'utf8').split('memfd:node-vpp').length });
    const cycle = async (i) => {
      const one = await loopback({ ringSize: 16, queues: { rx: 2, tx: 2 } });
      const two = await loopback({ ringSize: 16 });
      const wire = bridge(one.server, two.server);
      one.client.send(new Uint8Array(60));
      two.client.listen((queue) => queue.release(queue.peek().count));
      const queues = openShared(share(two.client, { tx: [0] }));
      await queues.up();
      if (i % 3 === 0) wire.close();
      if (i % 2 === 0) queues.close();
      await Promise.all([one.close(), two.close()]);
      new PacketMemory({ buffers: 16 }).close();
    };
    // What the process takes once, in Node 24 as late as this, is no growth.
    for (let i = 0; i < 150; i++) { await cycle(i); if (i % 50 === 0) await gc(); }
    for (let i = 0; i < 3; i++) await gc();
    const before = look();
    const heap = process.memoryUsage();
    for (let i = 0; i < 300; i++) { await cycle(i); if (i % 50 === 0) await gc(); }
    for (let i = 0; i < 5; i++) await gc();
    const after = look();
    const now = process.memoryUsage();
    console.log(JSON.stringify({ before, after, rss: (now.rss - heap.rss) >> 20, used: (now.heapUsed - heap.heapUsed) >> 20,
      external: (now.arrayBuffers - heap.arrayBuffers) >> 20 }));
    process.exit();`,
    { args: ['--expose-gc'], timeoutMs: 180_000 },
  );
  t.equal(ended.code, 0, ended.stderr);
  const seen = JSON.parse(ended.stdout) as {
    before: object;
    after: object;
    rss: number;
    used: number;
    external: number;
  };
  t.same(seen.after, seen.before, 'descriptors and mappings');
  t.ok(seen.rss < 60 && seen.used < 10 && seen.external < 10, `MiB grown: ${ended.stdout}`);
});

void t.test('children of a process inherit none of its descriptors', async (t) => {
  // What this process was itself started with is inherited, whatever that is.
  const inherited = async (): Promise<string[]> => {
    const child = spawn('ls', ['-l', '/proc/self/fd'], { stdio: ['ignore', 'pipe', 'ignore'] });
    let listed = '';
    child.stdout.on('data', (chunk: Buffer) => (listed += chunk.toString()));
    await once(child, 'close');
    const numbers = [...listed.matchAll(/ (\d+) -> /g)].map((match) => match[1]!);
    return numbers.sort();
  };
  const before = await inherited();
  t.ok(
    ['0', '1', '2'].every((each) => before.includes(each)),
    before.join(' '),
  );
  const both = await loopback();
  t.teardown(() => both.close());
  const queues = openShared(share(both.server, { rx: [0] }));
  await queues.up();
  t.ok(
    descriptors().some((target) => target.includes('memfd:')) &&
      descriptors().some((target) => target.includes('eventfd')),
  );
  t.same(await inherited(), before);
  queues.close();
});
