// Chapter 30: memif interfaces. What they are told, how two of them find each other, how they part, and come back.

import t, { type Test } from 'tap';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, existsSync, lstatSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { inspect } from 'node:util';
import type { MemifError } from 'node-vpp';
import { type Memif, type MemifOptions, PacketMemory, openMemif } from 'node-vpp/memif';
import { descriptors, freshSocket, holdings, open, packet, pair, root, runModule } from './support/memif.js';
import { delaysOfTimers, sleep, take, temporaryFolder, until } from './support/memif.js';

const internal = async <T>(path: string): Promise<T> => (await import(join(root, 'dist', path))) as T;

/** The next event of a kind, with its first argument. */
async function next<T>(memif: Memif, event: 'refused' | 'down' | 'up' | 'close'): Promise<T> {
  const [value] = (await once(memif, event, { signal: AbortSignal.timeout(30_000) })) as [T];
  return value;
}

void t.test('the numbers that the addon was compiled with are those of lib/memif/layout.ts', async (t) => {
  const { native } = await internal<{ native: () => { memifLayout: Record<string, number> } }>('native.js');
  const layout = await internal<Record<string, unknown>>('memif/layout.js');
  const compiled = native().memifLayout;
  t.same(Object.keys(compiled).sort(), [
    'cookie',
    'descriptorNext',
    'descriptorSize',
    'maskInterrupt',
    'maxLog2RingSize',
    'maxRegions',
    'maxRings',
    'messageSize',
    'version',
  ]);
  for (const [name, value] of Object.entries(compiled)) t.equal(layout[name], value, name);
});

void t.test('every option that cannot be is refused with a typed error that names it', async (t) => {
  const wrong: [string, unknown, 'TYPE' | 'RANGE'][] = [
    ['role', 'slave', 'TYPE'],
    ['role', undefined, 'TYPE'],
    ['socket', 7, 'TYPE'],
    ['socket', undefined, 'TYPE'],
    ['socket', 'x'.repeat(201), 'RANGE'],
    ['id', -1, 'RANGE'],
    ['id', 2 ** 32, 'RANGE'],
    ['id', '0', 'TYPE'],
    ['id', 1.5, 'RANGE'],
    ['mode', 'punt', 'TYPE'],
    ['secret', '', 'RANGE'],
    ['secret', 'x'.repeat(24), 'RANGE'],
    ['secret', 'a\0b', 'RANGE'],
    ['secret', 42, 'TYPE'],
    ['name', 'x'.repeat(32), 'RANGE'],
    ['name', 'é'.repeat(16), 'RANGE'],
    ['appName', 5, 'TYPE'],
    ['queues', 4, 'TYPE'],
    ['queues.rx', { rx: 0 }, 'RANGE'],
    ['queues.tx', { tx: 256 }, 'RANGE'],
    ['ringSize', 1, 'RANGE'],
    ['ringSize', 1000, 'RANGE'],
    ['ringSize', 32768, 'RANGE'],
    ['bufferSize', 63, 'RANGE'],
    ['bufferSize', 65536, 'RANGE'],
    ['bufferSize', NaN, 'RANGE'],
    ['memory', {}, 'TYPE'],
    ['rxMode', 'busy', 'TYPE'],
    ['spinUs', -1, 'RANGE'],
    ['cacheLine', 96, 'RANGE'],
    ['allowUnsealed', 'no', 'TYPE'],
    ['maxRegionBytes', 0, 'RANGE'],
    ['handshakeTimeoutMs', 0, 'RANGE'],
    ['retryMinMs', 0, 'RANGE'],
    ['retryMaxMs', 50, 'RANGE'],
    ['fileMode', 0o10000, 'RANGE'],
    ['uid', -1, 'RANGE'],
    ['gid', 'staff', 'TYPE'],
    ['highWaterMark', 0, 'RANGE'],
    ['signal', {}, 'TYPE'],
  ];
  for (const [name, value, kind] of wrong) {
    const key = name.startsWith('queues') ? 'queues' : name;
    const options = { socket: freshSocket(), role: 'client', [key]: value } as unknown as MemifOptions;
    const expected = { code: `ERR_VPP_ARGUMENT_${kind}`, message: new RegExp(`memif option ${name}:`) };
    t.throws(() => openMemif(options), expected, `${name}: ${inspect(value)}`);
  }
  t.throws(() => openMemif(undefined as never), { code: 'ERR_VPP_ARGUMENT_TYPE' }, 'no options');
  t.throws(
    () => openMemif({ socket: '@x', role: 'client', queues: { rx: 255, tx: 255 }, ringSize: 16384 }),
    { code: 'ERR_VPP_ARGUMENT_RANGE', message: /reaches 4 GiB/ },
    'more memory than the protocol can name',
  );
  const memory = new PacketMemory({ buffers: 8, bufferSize: 256 });
  t.throws(() => openMemif({ socket: '@x', role: 'server', memory }), { message: /only a client/ });
  t.throws(() => openMemif({ socket: '@x', role: 'client', memory, bufferSize: 512 }), { message: /bufferSize/ });
  memory.close();
  t.throws(() => new PacketMemory({ buffers: 0 }), { code: 'ERR_VPP_ARGUMENT_RANGE' });
  t.throws(() => new PacketMemory({ buffers: 1, bufferSize: 63 }), { code: 'ERR_VPP_ARGUMENT_RANGE' });
  t.throws(() => new PacketMemory({ buffers: 2 ** 22 }), { message: /4 GiB/ });

  for (const role of ['server', 'client'] as const) {
    for (const [socket, why] of [
      ['', /empty/],
      ['@', /empty/],
      ['abstract:', /empty/],
      ['/tmp/a\0b', /NUL/],
      [`/${'x'.repeat(107)}`, /holds 107/],
      [`@${'x'.repeat(108)}`, /holds 107/],
    ] as const) {
      t.throws(() => openMemif({ socket, role }), { code: 'ERR_MEMIF_ADDRESS', message: why }, `${role}: ${socket}`);
    }
  }
});

void t.test('both addresses of 107 bytes that a unix socket holds work', async (t) => {
  await pair(t, { socket: `@${String(process.pid).padEnd(107, 'x')}` });
  const folder = temporaryFolder(t);
  await pair(t, { socket: `${folder}/`.padEnd(107, 'x') });
});

void t.test('the secret is in no error, no event and no inspection', async (t) => {
  const secret = 'correct-horse-7';
  const other = 'battery-staple-9';
  const socket = freshSocket();
  const seen: unknown[] = [];
  const server = open(t, { socket, role: 'server', secret });
  const client = open(t, { socket, role: 'client', secret: Buffer.from(other), retryMinMs: 10, retryMaxMs: 10 });
  for (const memif of [server, client])
    for (const event of ['refused', 'down', 'up'] as const) {
      memif.on(event, (detail: unknown) => seen.push(detail));
    }
  const refused = await next<MemifError>(server, 'refused');
  t.match(refused, { code: 'ERR_MEMIF_SECRET', reason: 'SECRET' });
  await until('the client hears it', () => client.lastError?.reason === 'PEER_REFUSED');
  t.match(client.lastError!.message, /incorrect secret/);
  await client.up({ timeoutMs: 30 }).catch((error: unknown) => seen.push(error));
  seen.push(server, client, server.statistics, client.statistics, server.lastError, client.lastError);
  for (const bad of ['x'.repeat(3) + other + 'y'.repeat(20), `${other}\0`]) {
    try {
      openMemif({ socket, role: 'client', secret: bad });
    } catch (error) {
      seen.push(error);
    }
  }
  const shown = seen
    .map((each) => `${inspect(each, { depth: 10, showHidden: true })} ${each instanceof Error ? each.stack! : ''}`)
    .join('\n');
  t.ok(seen.length >= 9, 'errors of both sides and the refused options were looked at');
  for (const each of [secret, other]) {
    t.notOk(shown.includes(each), 'not as text');
    t.notOk(shown.includes([...Buffer.from(each)].slice(0, 6).join(', ')), 'not as bytes');
  }
  const good = open(t, { socket, role: 'client', secret });
  await good.up({ timeoutMs: 30_000 });
  t.ok(server.isUp, 'the right one opens the door');
});

void t.test('a server without a secret takes any client', async (t) => {
  const { client } = await pair(t, {}, {}, { secret: 'whatever' });
  t.ok(client.isUp);
});

void t.test('each side sees the names that the other was given, and who runs it', async (t) => {
  const { server, client } = await pair(
    t,
    { id: 0xffffffff },
    { name: 'left', appName: 'one program' },
    { name: 'r'.repeat(31), appName: 'x'.repeat(31) },
  );
  const me = { pid: process.pid, uid: process.getuid!(), gid: process.getgid!() };
  t.same(server.peer, { name: 'x'.repeat(31), interfaceName: 'r'.repeat(31), ...me });
  t.same(client.peer, { name: 'one program', interfaceName: 'left', ...me });
  const plain = await pair(t, { id: 3 });
  t.same([plain.client.peer!.name, plain.client.peer!.interfaceName], ['node-vpp', 'memif3']);
});

void t.test("'@x' and 'abstract:x' are one address", async (t) => {
  const name = freshSocket().slice(1);
  const one = open(t, { socket: `@${name}`, role: 'server', id: 1 });
  const two = open(t, { socket: `abstract:${name}`, role: 'server', id: 2 });
  const clients = [
    open(t, { socket: `abstract:${name}`, role: 'client', id: 1 }),
    open(t, { socket: `@${name}`, role: 'client', id: 2 }),
  ];
  await Promise.all([one, two, ...clients].map((each) => each.up({ timeoutMs: 30_000 })));
  t.throws(() => openMemif({ socket: `abstract:${name}`, role: 'server', id: 1 }), { code: 'ERR_MEMIF_ID' });
  const folder = temporaryFolder(t);
  open(t, { socket: `${folder}/a`, role: 'server', id: 1 });
  open(t, { socket: `${folder}/../${folder.split('/').at(-1)!}/./a`, role: 'server', id: 2 });
});

void t.test('one socket carries many interfaces, in both roles in one process', async (t) => {
  for (const socket of [freshSocket(), join(temporaryFolder(t), 'many.sock')]) {
    const ids = [0, 1, 7, 1000, 0xfffffffe];
    const servers = ids.map((id) => open(t, { socket, role: 'server', id, ringSize: 8 }));
    const clients = ids.map((id) => open(t, { socket, role: 'client', id, ringSize: 8 }));
    await Promise.all([...servers, ...clients].map((each) => each.up({ timeoutMs: 30_000 })));
    for (const [i, client] of clients.entries()) {
      client.send(packet(i, 60 + i));
      servers[i]!.send(packet(100 + i, 80 + i));
    }
    for (const [i, client] of clients.entries()) {
      t.same(await take(servers[i]!, 1), [packet(i, 60 + i)]);
      t.same(await take(client, 1), [packet(100 + i, 80 + i)]);
    }
    await servers[0]!.close();
    t.ok(
      servers.slice(1).every((each) => each.isUp),
      'closing one leaves the others',
    );
  }
});

void t.test('a client that is not wanted hears why, and so does the server it went to', async (t) => {
  const socket = freshSocket();
  const server = open(t, { socket, role: 'server', id: 1, mode: 'ethernet', secret: 's3' });
  const cases: [Partial<MemifOptions>, string, RegExp][] = [
    [{ id: 1, mode: 'ip', secret: 's3' }, 'MODE', /mode mismatch/],
    [{ id: 1, secret: 'no' }, 'SECRET', /incorrect secret/],
    [{ id: 1 }, 'SECRET', /incorrect secret/],
  ];
  for (const [options, reason, text] of cases) {
    const client = open(t, { socket, role: 'client', ...options });
    const [there, here] = await Promise.all([next<MemifError>(server, 'refused'), next<MemifError>(client, 'refused')]);
    t.match(there, { code: `ERR_MEMIF_${reason}`, reason, message: text });
    t.match(here, { code: 'ERR_MEMIF_PEER_REFUSED', message: text });
    t.match(here.message, /^memif 1 on @/, 'the text says which interface');
    t.equal(client.lastError, here);
    await t.rejects(client.up({ timeoutMs: 20 }), { code: 'ERR_MEMIF_TIMEOUT', cause: here, message: text });
    t.ok(client.statistics.refusals > 0 && server.statistics.refusals > 0);
    await client.destroy();
  }
  const stranger = open(t, { socket, role: 'client', id: 2, secret: 's3' });
  const unknown = await next<MemifError>(stranger, 'refused');
  t.match(unknown, { reason: 'PEER_REFUSED', message: /unmatched interface id/ });
  t.notOk(stranger.isUp);

  const first = open(t, { socket, role: 'client', id: 1, secret: 's3' });
  await first.up({ timeoutMs: 30_000 });
  const second = open(t, { socket, role: 'client', id: 1, secret: 's3', retryMinMs: 5, retryMaxMs: 5 });
  const [there, here] = await Promise.all([next<MemifError>(server, 'refused'), next<MemifError>(second, 'refused')]);
  t.match(there, { reason: 'BUSY' });
  t.match(here, { reason: 'PEER_REFUSED', message: /already connected/ });
  t.ok(first.isUp && server.isUp, 'the one that was there stays');
  await first.close();
  await second.up({ timeoutMs: 30_000 });
  t.ok(server.isUp, 'the one that waited takes its place');
});

void t.test('ip mode carries packets without an Ethernet header between two that agree on it', async (t) => {
  const { server, client } = await pair(t, { mode: 'ip' });
  const ip = Uint8Array.of(0x45, 0, 0, 20, 0, 0, 0, 0, 64, 1, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2);
  client.send(ip);
  t.same(await take(server, 1), [ip]);
  t.equal(server.mode, 'ip');
});

void t.test('255 queues each way work, and a server takes as many as it was told', async (t) => {
  const { server, client } = await pair(t, { ringSize: 2, bufferSize: 64, queues: { rx: 255, tx: 255 } });
  t.same([server.rx.length, server.tx.length, client.rx.length, client.tx.length], [255, 255, 255, 255]);
  for (let queue = 0; queue < 255; queue++) {
    client.send(packet(queue, 64), { queue });
    server.send(packet(queue + 1, 50), { queue });
  }
  for (const [i, queue] of server.rx.entries()) {
    const burst = queue.peek();
    if (burst.count !== 1 || Buffer.compare(burst.copy(0), packet(i, 64)) !== 0) t.fail(`server queue ${i}`);
    queue.release(1);
  }
  for (const [i, queue] of client.rx.entries()) {
    const burst = queue.peek();
    if (burst.count !== 1 || Buffer.compare(burst.copy(0), packet(i + 1, 50)) !== 0) t.fail(`client queue ${i}`);
    queue.release(1);
  }
  t.equal(
    server.statistics.rx.reduce((sum, each) => sum + each.packets, 0),
    255,
  );

  const few = await pair(t, { ringSize: 2 }, { queues: { rx: 3, tx: 2 } }, { queues: { rx: 9, tx: 9 } });
  t.same([few.client.tx.length, few.client.rx.length], [3, 2], 'the client makes no more than the server takes');
  t.same([few.server.rx.length, few.server.tx.length], [3, 2]);
  t.throws(() => few.client.send(packet(0, 60), { queue: 3 }), { code: 'ERR_VPP_ARGUMENT_RANGE' });
});

void t.test('every ring size carries as many packets as it has entries, both ways', async (t) => {
  for (let log2 = 1; log2 <= 14; log2++) {
    const ringSize = 2 ** log2;
    const { server, client } = await pair(t, { ringSize, bufferSize: 64 });
    t.same([server.rx[0]!.size, server.tx[0]!.size, client.rx[0]!.size, client.tx[0]!.size], Array(4).fill(ringSize));
    for (const [from, to] of [
      [client, server],
      [server, client],
    ] as const) {
      const tx = from.tx[0]!;
      t.equal(tx.free, ringSize);
      const offered = tx.reserve(ringSize + 5, 3);
      t.equal(offered.count, ringSize, `${ringSize} of ${ringSize + 5} are offered`);
      for (let i = 0; i < offered.count; i++) offered.segment(i).set([i & 255, i >> 8, 77]);
      tx.commit();
      t.equal(tx.free, 0);
      t.equal(tx.reserve(1, 3).count, 0, 'full');
      const burst = to.rx[0]!.peek();
      t.equal(burst.packets, ringSize);
      let right = 0;
      for (let i = 0; i < burst.count; i++) {
        const [low, high, mark] = burst.segment(i);
        if (low! + high! * 256 === i && mark === 77) right++;
      }
      t.equal(right, ringSize);
      to.rx[0]!.release(burst.count);
      t.equal(tx.free, ringSize);
    }
    await Promise.all([server.destroy(), client.destroy()]);
  }
});

void t.test('packets of any length up to what a ring can hold arrive, in chains where buffers are small', async (t) => {
  for (const [bufferSize, ringSize, longest] of [
    [64, 2048, 65536],
    [65, 1024, 65 * 1024],
    [2048, 64, 100_000],
    [65535, 4, 2 * 65535],
    [1500, 2, 3000],
  ] as const) {
    const { server, client } = await pair(t, { bufferSize, ringSize });
    const lengths = [0, 1, 60, bufferSize - 1, bufferSize, bufferSize + 1, 2 * bufferSize, 9000, 65535, 65536, longest]
      .filter((length) => length <= longest)
      .sort((a, b) => a - b);
    for (const [from, to] of [
      [client, server],
      [server, client],
    ] as const) {
      const sent = lengths.map((length, i) => packet(i, length));
      const coming = take(to, sent.length);
      from.send(sent);
      const got = await coming;
      t.same(
        got.map((each) => each.length),
        lengths,
        `${from.role} with buffers of ${bufferSize}`,
      );
      t.ok(got.every((each, i) => Buffer.compare(each, sent[i]!) === 0));
    }
    await Promise.all([server.destroy(), client.destroy()]);
  }
});

void t.test('socket files: replaced when stale, respected when alive, gone with us', async (t) => {
  const folder = temporaryFolder(t);
  const socket = join(folder, 'memif.sock');
  const one = open(t, { socket, role: 'server' });
  t.ok(lstatSync(socket).isSocket());
  await one.close();
  t.notOk(existsSync(socket), 'gone after close');

  // A process that dies by SIGKILL leaves its file; one that exits does not.
  const listen = `import { openMemif } from 'node-vpp/memif'; openMemif({ socket: ${JSON.stringify(socket)}, role: 'server' });`;
  const exited = await runModule(`${listen} process.exit(3)`);
  t.equal(exited.code, 3, exited.stderr);
  t.notOk(existsSync(socket), 'gone after process.exit()');
  const thrown = await runModule(`${listen} setImmediate(() => { throw new Error('by mistake') })`);
  t.equal(thrown.code, 1);
  t.notOk(existsSync(socket), 'gone after an uncaught exception');
  const child = spawn(process.execPath, ['--input-type=module', '-e', `${listen} console.log('there')`], { cwd: root });
  await once(child.stdout, 'data');
  t.throws(
    () => openMemif({ socket, role: 'server' }),
    { code: 'ERR_MEMIF_SYSTEM', errnoName: 'EADDRINUSE', syscall: 'bind', path: socket, message: /another program/ },
    'a live listener is left alone',
  );
  child.kill('SIGKILL');
  await once(child, 'close');
  t.ok(lstatSync(socket).isSocket(), 'SIGKILL leaves the file');
  const two = open(t, { socket, role: 'server' });
  const client = open(t, { socket, role: 'client' });
  await client.up({ timeoutMs: 30_000 });
  t.ok(two.isUp, 'a stale file is replaced');
  await two.close();
  t.notOk(existsSync(socket));

  const code = 'ERR_MEMIF_SYSTEM';
  writeFileSync(socket, 'precious');
  t.throws(
    () => openMemif({ socket, role: 'server' }),
    { code: 'ERR_MEMIF_SYSTEM', errnoName: 'EEXIST', message: /not a socket/ },
    'a file of another kind is in the way',
  );
  t.equal(readFileSync(socket, 'utf8'), 'precious');
  t.throws(() => openMemif({ socket: join(folder, 'no/such/x.sock'), role: 'server' }), { code, errnoName: 'ENOENT' });

  const stream = join(folder, 'stream.sock');
  const listener = createServer().listen(stream);
  await once(listener, 'listening');
  t.throws(
    () => openMemif({ socket: stream, role: 'server' }),
    { code, errnoName: 'EADDRINUSE' },
    "a stream server's socket",
  );
  const lost = open(t, { socket: stream, role: 'client' });
  t.match(await next(lost, 'refused'), { errnoName: 'EPROTOTYPE', message: /another type/ });
  listener.close();
});

void t.test('the mode and owner of the socket file are as asked, from the first moment', async (t) => {
  const folder = temporaryFolder(t);
  for (const fileMode of [0o600, 0o660, 0o777]) {
    const socket = join(folder, `mode-${fileMode.toString(8)}`);
    open(t, { socket, role: 'server', fileMode });
    t.equal(lstatSync(socket).mode & 0o7777, fileMode);
  }
  if (process.getuid!() === 0) {
    const socket = join(folder, 'owned');
    open(t, { socket, role: 'server', uid: 12345, gid: 23456 });
    t.match(lstatSync(socket), { uid: 12345, gid: 23456 });
    const group = join(folder, 'group');
    open(t, { socket: group, role: 'server', gid: 23456 });
    t.match(lstatSync(group), { uid: 0, gid: 23456 });
    chownSync(socket, 0, 0);
  } else {
    const socket = join(folder, 'owned');
    t.throws(() => openMemif({ socket, role: 'server', uid: 0 }), { code: 'ERR_MEMIF_SYSTEM', errnoName: 'EPERM' });
    t.notOk(existsSync(socket), 'no file is left behind');
  }
});

void t.test('a client tries at once, then with pauses that double up to a limit', async (t) => {
  const delays = delaysOfTimers(t);
  const began = performance.now();
  const client = open(t, { socket: freshSocket(), role: 'client', retryMinMs: 20, retryMaxMs: 100 });
  t.equal(client.statistics.refusals, 1, 'the first is made at once');
  const times: number[] = [];
  client.on('refused', (reason) => {
    t.match(reason, {
      code: 'ERR_MEMIF_SYSTEM',
      errnoName: 'ECONNREFUSED',
      syscall: 'connect',
      message: /nobody listens/,
    });
    times.push(performance.now() - began);
  });
  await until('six attempts', () => times.length >= 6);
  const pauses = times.slice(1).map((time, i) => time - times[i]!);
  const expected = [20, 40, 80, 100, 100];
  t.same(delays.filter((ms) => ms >= 20).slice(0, 5), expected);
  for (const [i, pause] of pauses.slice(0, 5).entries()) {
    t.ok(pause > expected[i]! - 3, `pause ${i + 1}: ${pause.toFixed(1)} ms of ${expected[i]!}`);
  }
  t.equal(client.statistics.refusals, times.length);
  const missing = open(t, { socket: join(temporaryFolder(t), 'x'), role: 'client' });
  t.match(await next(missing, 'refused'), { errnoName: 'ENOENT' });
});

void t.test(
  'a client comes back by itself when its server dies and returns, and a server takes the next',
  async (t) => {
    const socket = join(temporaryFolder(t), 's');
    const client = open(t, { socket, role: 'client', retryMinMs: 10, retryMaxMs: 20 });
    const history: string[] = [];
    client.on('up', () => history.push('up'));
    client.on('down', (reason) => history.push(reason.reason));
    for (let round = 0; round < 3; round++) {
      const server = open(t, { socket, role: 'server' });
      await Promise.all([client.up({ timeoutMs: 30_000 }), server.up({ timeoutMs: 30_000 })]);
      await sleep(15);
      client.send(packet(round, 99));
      t.same(await take(server, 1), [packet(round, 99)]);
      const down = next<MemifError>(client, 'down');
      await (round === 1 ? server.close() : server.destroy());
      t.match(await down, { reason: 'PEER_REFUSED', message: /interface deleted/ });
      t.equal(client.rx[0]!.size, 0, 'down: no entries');
      t.equal(client.peer, undefined);
    }
    t.same(history, ['up', 'PEER_REFUSED', 'up', 'PEER_REFUSED', 'up', 'PEER_REFUSED']);
    t.equal(client.statistics.ups, 3);
    t.equal(client.statistics.tx[0]!.packets, 3, 'counters go on');

    const server = open(t, { socket, role: 'server' });
    await client.up({ timeoutMs: 30_000 });
    await client.close();
    await until('the server is down', () => !server.isUp);
    for (let round = 0; round < 3; round++) {
      const another = open(t, { socket, role: 'client' });
      await another.up({ timeoutMs: 30_000 });
      await server.up({ timeoutMs: 30_000 });
      await another.destroy();
      await until('the server is down', () => !server.isUp);
    }
    t.equal(server.statistics.ups, 4);
  },
);

void t.test('up() can be waited for with a limit and a signal, and readable() too', async (t) => {
  const client = open(t, { socket: freshSocket(), role: 'client' });
  await t.rejects(client.up({ timeoutMs: 30 }), {
    code: 'ERR_MEMIF_TIMEOUT',
    message: /not within 30 ms; last: .*ECONNREFUSED/,
  });
  const reason = new Error('enough');
  const controller = new AbortController();
  const waiting: Promise<unknown>[] = [
    client.up({ signal: controller.signal }),
    client.readable({ signal: controller.signal }),
  ];
  controller.abort(reason);
  for (const each of waiting) await t.rejects(() => each, reason);
  await t.rejects(client.up({ signal: AbortSignal.abort(reason) }), reason, 'aborted before');
  await t.rejects(client.readable({ timeoutMs: 10 }), { code: 'ERR_MEMIF_TIMEOUT' });
  const closing = [client.up(), client.readable()].map((each: Promise<unknown>) =>
    t.rejects(() => each, { code: 'ERR_MEMIF_CLOSED' }),
  );
  await client.close();
  await Promise.all(closing);
  await t.rejects(client.up(), { code: 'ERR_MEMIF_CLOSED' }, 'closed before');
  t.equal(client.listenerCount('up') + client.listenerCount('close'), 0, 'no listener is left');
  const { server } = await pair(t);
  t.equal((await server.up()).pid, process.pid, 'at once when it is up');
});

void t.test('the signal given to openMemif destroys the interface', async (t) => {
  const controller = new AbortController();
  const { server, client } = await pair(t, {}, {}, { signal: controller.signal });
  const errors: Error[] = [];
  client.on('error', (error) => errors.push(error));
  const closed = new Promise<void>((resolve) => client.once('close', resolve));
  const reason = new Error('stop it');
  controller.abort(reason);
  await closed;
  t.same(errors, [reason]);
  t.ok(client.isClosed);
  await until('the server hears it', () => !server.isUp);
  t.throws(() => openMemif({ socket: freshSocket(), role: 'server', signal: AbortSignal.abort(reason) }), reason);
  const quiet = new AbortController();
  const other = open(t, { socket: freshSocket(), role: 'server', signal: quiet.signal });
  await other.close();
  quiet.abort(); // after the end: nothing happens
});

void t.test('close() sends what waits, destroy() drops it, and both can be called again', async (t) => {
  const { server, client } = await pair(t, { ringSize: 4 });
  const packets = Array.from({ length: 500 }, (_, i) => packet(i, 60));
  t.equal(client.send(packets), false);
  t.equal(client.statistics.waiting, 496);
  const coming = take(server, 500);
  const closing = client.close();
  t.ok(client.isClosed);
  t.throws(() => client.send(packet(0, 60)), { code: 'ERR_MEMIF_CLOSED' });
  t.equal(client.close(), closing, 'the same promise');
  t.same(await coming, packets);
  await closing;
  await client.destroy();

  const second = await pair(t, { ringSize: 4 });
  second.client.send(packets);
  await second.client.destroy(new Error('dropped, and nobody listens to the error'));
  await until('down', () => !second.server.isUp);
  t.equal(second.client.statistics.waiting, 0);

  const third = await pair(t, { ringSize: 4 });
  third.client.send(packets);
  const delays = delaysOfTimers(t);
  await third.client.close({ timeoutMs: 50 });
  t.ok(delays.includes(50), 'a peer that takes nothing holds close() up for its limit only');

  const fourth = await pair(t, { ringSize: 4 });
  fourth.client.send(packets);
  const patient = fourth.client.close({ timeoutMs: 60_000 });
  await fourth.client.destroy();
  await patient;

  const fifth = await pair(t);
  await fifth.client[Symbol.asyncDispose]();
  t.ok(fifth.client.isClosed);
});

void t.test('an interface may be closed and destroyed in its own events', async (t) => {
  for (const role of ['server', 'client'] as const) {
    for (const event of ['up', 'down', 'refused'] as const) {
      for (const action of ['close', 'destroy'] as const) {
        const socket = freshSocket();
        const server = open(t, { socket, role: 'server', secret: 'a' });
        const client = open(t, { socket, role: 'client', secret: event === 'refused' ? 'b' : 'a', retryMinMs: 5 });
        const one = role === 'server' ? server : client;
        const other = role === 'server' ? client : server;
        const closed = next(one, 'close');
        one.once(event, () => void one[action]());
        if (event === 'down') {
          await Promise.all([one.up(), other.up()]);
          void other.destroy();
        }
        await closed;
        await other.destroy();
      }
    }
  }
  t.pass('alive');
});

void t.test('ref and unref: only an interface that counts keeps the process alive', async (t) => {
  const open = (role: string, socket: string, rest = '') =>
    `openMemif({ socket: '${socket}', role: '${role}', retryMinMs: 5 ${rest} })`;
  const begin = `import { openMemif } from 'node-vpp/memif';
    const [a, b] = [${open('server', `@ref-${process.pid}`)}, ${open('client', `@ref-${process.pid}`)}];
    const alone = ${open('client', `@nobody-${process.pid}`)};
    const idle = ${open('server', `@idle-${process.pid}`)};
    await Promise.all([a.up(), b.up()]);`;
  for (const mode of ['interrupt', 'adaptive', 'polling']) {
    const free = await runModule(
      `${begin.replaceAll('retryMinMs: 5', `retryMinMs: 5, rxMode: '${mode}'`)}
      a.listen(() => {}); b.listen(() => {});
      for (const each of [a, b, alone, idle]) each.unref();
      console.log('free');`,
      { timeoutMs: 30_000 },
    );
    t.match(free, { code: 0, signal: null, stdout: 'free\n' }, `all unref'ed, ${mode}`);
  }
  for (const name of ['a', 'b', 'alone', 'idle']) {
    const kept = await runModule(
      `${begin} for (const each of [a, b, alone, idle]) each.unref();
      ${name}.ref(); process.on('exit', (code) => console.log('exit', code));
      setTimeout(() => { console.log('still here'); for (const each of [a, b, alone, idle]) each.destroy(); }, 150).unref();`,
      { timeoutMs: 30_000 },
    );
    t.match(kept, { code: 0, stdout: 'still here\nexit 0\n' }, `${name} counts`);
  }
});

void t.test('1,000 connections leave no descriptor, no mapping and no memory behind', async (t) => {
  const socket = freshSocket();
  const server = open(t, { socket, role: 'server' });
  const turn = async (): Promise<void> => {
    const client = openMemif({ socket, role: 'client', ringSize: 16, bufferSize: 256 });
    await Promise.all([client.up({ timeoutMs: 30_000 }), server.up({ timeoutMs: 30_000 })]);
    client.send(packet(1, 60));
    server.send(packet(2, 60));
    await Promise.all([take(server, 1), take(client, 1)]);
    await client.close();
    await until('down', () => !server.isUp);
  };
  for (let i = 0; i < 50; i++) await turn();
  const before = holdings();
  const rss = process.memoryUsage().rss;
  for (let i = 0; i < 1000; i++) await turn();
  t.same(holdings(), before, `of ${JSON.stringify(descriptors().length)} descriptors`);
  const grown = (process.memoryUsage().rss - rss) / 2 ** 20;
  t.ok(grown < 40, `grown by ${grown.toFixed(1)} MiB`);
  t.equal(server.statistics.ups, 1050);
});

const modes = ['polling', 'interrupt', 'adaptive'] as const;

void t.test('in every mode a single packet arrives at any time, without another one', async (t: Test) => {
  for (const rxMode of modes) {
    const { server, client } = await pair(t, { rxMode, spinUs: 30 });
    for (const [from, to] of [
      [client, server],
      [server, client],
    ] as const) {
      let arrived = 0;
      to.listen((queue) => {
        const { packets, count } = queue.peek();
        queue.release(count);
        arrived += packets;
      });
      for (let i = 1; i <= 400; i++) {
        const began = performance.now();
        from.send(packet(i, 60));
        // A wake-up that is lost is lost until the next packet, which does not come before this one has.
        while (arrived < i && performance.now() - began < 30_000) await new Promise(setImmediate);
        if (arrived < i) break;
        if (i % 4 === 0) await sleep(Math.floor((i % 16) / 8));
        else if (i % 4 === 1) await new Promise(setImmediate);
      }
      to.listen(undefined);
      t.equal(arrived, 400, `${rxMode}, to the ${to.role}`);
    }
  }
});

void t.test('an idle interface costs no processor time in interrupt and adaptive mode', async (t) => {
  for (const rxMode of ['interrupt', 'adaptive'] as const) {
    const idle = await runModule(
      `import { loopback } from 'node-vpp/testing';
      const { server, client } = await loopback({ rxMode: '${rxMode}' });
      for (const each of [server, client]) each.listen((queue) => queue.release(queue.peek().count));
      for (let i = 0; i < 100; i++) { client.send(new Uint8Array(60)); server.send(new Uint8Array(60)); }
      // The least of some seconds: the compiler and the garbage collector have work of their own after the start.
      let least = Infinity;
      for (let i = 0; i < 8 && least > 10; i++) {
        const before = process.cpuUsage();
        await new Promise((resolve) => setTimeout(resolve, 1000));
        const used = process.cpuUsage(before);
        least = Math.min(least, (used.user + used.system) / 1000);
      }
      console.log(least);
      process.exit();`,
    );
    const ms = Number(idle.stdout);
    t.ok(idle.stdout !== '' && ms < 20, `${rxMode}: ${ms} ms of one second ${idle.stderr}`);
  }
});
