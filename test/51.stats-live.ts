// Chapter 51: a segment that lives: got from a socket, changed under the reader, truncated, restarted; deltas and rates;
// nothing left behind.

import t, { type Test } from 'tap';
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { type Snapshot, type Stats, connectStats } from 'node-vpp/stats';
import { createStatsSegment } from 'node-vpp/stats/writer';
import {
  RawStatsServer,
  mappings,
  noPython,
  openFiles,
  recordedImage,
  socketFolder,
  until,
  vppLike,
} from './support/stats.js';

t.setTimeout(300_000);
const root = fileURLToPath(new URL('../../..', import.meta.url));

async function connected(t: Test, socket: string, options: Parameters<typeof connectStats>[0] = {}): Promise<Stats> {
  const stats = await connectStats({ socket, checkMs: 0, retryMinMs: 5, retryMaxMs: 50, ...options });
  t.teardown(() => stats.close());
  return stats;
}

void t.test('connecting', async (t) => {
  const folder = socketFolder(t);
  const path = (name: string) => join(folder, name);
  await t.test('nobody there: the system call, and what to do', async (t) => {
    await t.rejects(connectStats({ socket: path('none.sock') }), {
      name: 'StatsError',
      code: 'ERR_STATS_SYSTEM',
      errnoName: 'ENOENT',
      syscall: 'connect',
      path: path('none.sock'),
      message: /getting the stats segment of .*none\.sock: connect ENOENT .*is VPP running/,
    });
    await t.rejects(connectStats({ socket: 'x'.repeat(200) }), { code: 'ERR_STATS_ADDRESS', message: /107/ });
    await t.rejects(connectStats({ socket: path('x'), busyMs: -1 }), { code: 'ERR_VPP_ARGUMENT_RANGE' });
  });
  await t.test('waiting for a VPP that starts later, or giving up by signal', async (t) => {
    const socket = path('later.sock');
    const waiting = connectStats({ socket, waitMs: 20_000, retryMinMs: 5 });
    const { segment } = vppLike();
    t.teardown(() => segment.close());
    await new Promise((resolve) => setTimeout(resolve, 30));
    segment.listen(socket, { fileMode: 0o600 });
    const stats = await waiting;
    t.equal(stats.get('/interfaces/bench1/rx')?.type, 'combinedColumn');
    t.equal(stats.sealed, true);
    t.equal(stats.pid, process.pid);
    t.equal(segment.served, 1);
    t.throws(() => vppLike().segment.listen(socket), { code: 'ERR_STATS_SYSTEM', errnoName: 'EADDRINUSE' });
    await stats.close();
    t.throws(() => stats.ls(), { code: 'ERR_STATS_CLOSED' });
    await t.rejects(connectStats({ socket: path('never'), waitMs: 60_000, signal: AbortSignal.timeout(20) }), {
      name: 'TimeoutError',
    });
  });
  await t.test('servers that are none', { skip: noPython }, async (t) => {
    await using server = new RawStatsServer(t);
    await server.do('memory', { size: 8192 });
    const attempt = async (manner: string) => {
      await server.do('listen', { socket: path(`${manner}.sock`), manner });
      return connectStats({ socket: path(`${manner}.sock`), timeoutMs: 150 });
    };
    await t.rejects(attempt('silent'), { code: 'ERR_STATS_TIMEOUT', message: /nothing came in 150 ms/ });
    await t.rejects(attempt('nothing'), { code: 'ERR_STATS_PROTOCOL', message: /without handing out a descriptor/ });
    await t.rejects(attempt('empty'), { code: 'ERR_STATS_PROTOCOL', message: /without a descriptor/ });
    await t.rejects(attempt('pipe'), { code: 'ERR_STATS_SEGMENT', message: /not shared memory/ });
    await t.rejects(attempt('serve'), { code: 'ERR_STATS_VERSION' });
    await server.do('memory', { size: 100 });
    await t.rejects(connectStats({ socket: path('serve.sock') }), { code: 'ERR_STATS_SEGMENT', message: /100 bytes/ });
  });
});

void t.test('a change in progress', async (t) => {
  const socket = join(socketFolder(t), 's');
  const { segment } = vppLike();
  t.teardown(() => segment.close());
  segment.listen(socket);
  const stats = await connected(t, socket, { busyMs: 30 });
  await t.test('that does not end is an error after the bound, not a spin', async (t) => {
    const began = performance.now();
    segment.change(() => {
      t.throws(() => stats.ls(), { code: 'ERR_STATS_BUSY', message: /changing for 30 ms/ });
      t.throws(() => stats.counter('/interfaces/bench1/rx').value(), { code: 'ERR_STATS_BUSY' });
    });
    t.ok(performance.now() - began >= 60);
    t.equal(stats.get('/interfaces/bench1/drops')?.type, 'simpleColumn', 'and then it can be read again');
  });
  await t.test('readers see all of a change or nothing of it', async (t) => {
    const seen = new Set<string>();
    const counter = stats.counter('/interfaces/bench1/rx');
    t.equal(counter.value(), 2001);
    segment.change(() => {
      segment.addGauge('/a');
      segment.addGauge('/b');
    });
    seen.add(
      stats
        .ls(['/a$', '/b$'])
        .map(({ name }) => name)
        .join(),
    );
    t.strictSame([...seen], ['/a,/b']);
    t.equal(counter.value(), 2001, 'a live counter follows');
    const before = stats.epoch;
    segment.addGauge('/c').value = 3;
    t.equal(stats.epoch, before + 1);
    t.match(stats.get('/c'), { value: 3n });
  });
});

void t.test(
  'structure and counters changed by another thread while they are read: no torn value, no wrong name',
  async (t) => {
    const socket = join(socketFolder(t), 's');
    // Both halves of the counter are always the same number; a value seen by halves would differ.
    const worker = new Worker(
      `const { createStatsSegment, InterfaceCounters } = require('node-vpp/stats/writer');
     const { parentPort } = require('node:worker_threads');
     const segment = createStatsSegment({ sizeBytes: 4 << 20, updateIntervalMs: 0 });
     const counters = new InterfaceCounters(segment);
     counters.add(0, 'first');
     segment.listen(${JSON.stringify(socket)});
     parentPort.postMessage('ready');
     const u64 = counters.combined.rx.thread(0);
     let n = 0n, i = 1, going = true;
     parentPort.on('message', () => { going = false; segment.close(); process.exit(0); });
     (function turn() {
       for (let k = 0; k < 2000; k++) { n = (n + 0x1234_5678n) & 0xffff_ffffn; u64.set(0, (n << 32n) | n, (n << 32n) | n); }
       if (i % 3 === 0) for (let j = i - 2; j <= i; j++) counters.remove(j); else counters.add(i, 'if' + i);
       i = i % 60 + 1;
       if (going) setImmediate(turn);
     })();`,
      { eval: true },
    );
    await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
    const stats = await connected(t, socket, { busyMs: 2000, attempts: 100_000 });
    const rx = stats.counter('/interfaces/first/rx');
    let readings = 0;
    const torn: bigint[] = [];
    const strangers: string[] = [];
    const epochs = new Set<number>();
    const halves = (value: bigint) => value >> 32n === (value & 0xffff_ffffn);
    const deadline = performance.now() + 4000;
    while (performance.now() < deadline && (readings < 3000 || epochs.size < 20)) {
      const snapshot = stats.snapshot(['/if/', '/interfaces/']);
      epochs.add(snapshot.epoch);
      const value = snapshot.get('/interfaces/first/rx');
      const numbers = [rx.exact()!, ...(value?.type === 'combinedColumn' ? [...value.packets, ...value.bytes] : [])];
      torn.push(...numbers.filter((each) => !halves(each)));
      for (const { name, swIfIndex } of stats.interfaces({ snapshot })) {
        if (name !== (swIfIndex === 0 ? 'first' : `if${swIfIndex}`)) strangers.push(name);
      }
      readings++;
      if (readings % 50 === 0) await new Promise(setImmediate);
    }
    worker.postMessage('end');
    t.strictSame(torn, [], `${readings} readings`);
    t.strictSame(strangers, []);
    t.ok(epochs.size > 1, `${epochs.size} epochs seen`);
  },
);

void t.test('deltas and rates', async (t) => {
  const socket = join(socketFolder(t), 's');
  const { segment, interfaces, errors, checksum, other } = vppLike();
  t.teardown(() => segment.close());
  segment.listen(socket);
  const gauge = segment.addGauge('/gauge', 10);
  const stats = await connected(t, socket);
  const first = stats.snapshot();
  t.equal(first.intervalMs, undefined);
  t.match(first.reading('/interfaces/bench1/rx'), { total: { packets: 2001n }, delta: undefined, rate: undefined });
  interfaces.combined.rx.thread(0).add(1, 300, 3000);
  interfaces.combined.rx.thread(1).add(1, 100, 1000);
  interfaces.simple.drops.thread(0).set(1, 0);
  errors.counters.thread(0).add(other, 4);
  gauge.value = 7;
  await new Promise((resolve) => setTimeout(resolve, 20));
  const second = stats.snapshot(undefined, { since: first });
  const seconds = second.intervalMs! / 1000;
  t.ok(seconds >= 0.015);
  const rx = second.reading('/interfaces/bench1/rx');
  t.strictSame(rx, {
    type: 'combined',
    total: { packets: 2401n, bytes: 132_000n },
    perThread: [
      { packets: 1300n, bytes: 67_000n },
      { packets: 1101n, bytes: 65_000n },
    ],
    delta: { packets: 400n, bytes: 4000n },
    deltaPerThread: [
      { packets: 300n, bytes: 3000n },
      { packets: 100n, bytes: 1000n },
    ],
    rate: { packets: 400 / seconds, bytes: 4000 / seconds },
    ratePerThread: [
      { packets: 300 / seconds, bytes: 3000 / seconds },
      { packets: 100 / seconds, bytes: 1000 / seconds },
    ],
    cleared: false,
  });
  t.strictSame(second.reading('/if/rx', 1), rx, 'by vector and column the same');
  t.match(second.reading('/interfaces/bench1/drops'), { total: 1n, delta: 0n, cleared: true });
  t.match(second.reading('/gauge'), { total: 7n, delta: -3n, rate: undefined, cleared: false });
  t.match(second.reading('/sys/heartbeat'), { delta: 0n, rate: 0 });
  t.equal(second.reading('/if/rx'), undefined, 'a vector without a column is no counter');
  t.equal(second.reading('/if/names', 0), undefined);
  const counted = stats.errors({ snapshot: second });
  t.strictSame(
    counted.map(({ node, reason, count }) => [node, reason, count]),
    [
      ['ip4-input', 'bad ip4 checksum', 7],
      ['ip6-input', 'bad ip4 checksum', 4],
    ],
    'the same reason of two nodes is two errors',
  );
  t.equal(counted[1]!.reading()?.delta, 4n);
  t.equal(checksum, 0);
  t.match(stats.nodes({ snapshot: second }), [
    { name: 'ip4-input', vectorsPerCall: 256, clocksPerVector: 100_000 / 2560 },
  ]);
  t.equal(stats.interfaces({ snapshot: second }).byName('bench1')?.reading('rx')?.delta?.packets, 400n);

  interfaces.remove(1);
  interfaces.add(5, 'bench1');
  interfaces.combined.rx.thread(0).add(5, 9, 9);
  const third = stats.snapshot(undefined, { since: second });
  t.match(
    third.reading('/interfaces/bench1/rx'),
    { total: { packets: 9n }, delta: undefined },
    'made anew: another series',
  );
});

void t.test('subscribing', async (t) => {
  const socket = join(socketFolder(t), 's');
  const { segment, interfaces } = vppLike();
  let next: ReturnType<typeof vppLike> | undefined;
  t.teardown(() => next?.segment.close());
  segment.listen(socket);
  const stats = await connected(t, socket);
  const snapshots: Snapshot[] = [];
  for await (const snapshot of stats.subscribe('/interfaces/.*/rx$', { intervalMs: 10 })) {
    snapshots.push(snapshot);
    interfaces.combined.rx.thread(0).add(1, 5, 50);
    if (snapshots.length === 4) break;
  }
  t.strictSame(
    snapshots.map((each) => (each.reading('/interfaces/bench1/rx') as { delta?: { packets: bigint } }).delta?.packets),
    [undefined, 5n, 5n, 5n],
  );
  t.strictSame([...snapshots[0]!.names()], ['/interfaces/local0/rx', '/interfaces/bench1/rx', '/interfaces/bench2/rx']);
  t.equal(snapshots[0]!.get('/if/rx'), undefined, 'what was not selected is not in it');

  await t.test('goes on through a restart, and says so', async (t) => {
    const seen: string[] = [];
    const events: string[] = [];
    stats.events.on('disconnected', ({ code }) => events.push(code));
    stats.events.on('connected', ({ restarted }) => events.push(`connected ${restarted}`));
    for await (const snapshot of stats.subscribe('/interfaces/', { intervalMs: 5 })) {
      seen.push(`${snapshot.restarted} ${snapshot.intervalMs !== undefined}`);
      if (seen.length === 2) {
        segment.close();
        setTimeout(() => {
          next = vppLike();
          next.segment.listen(socket);
        }, 50);
      }
      if (seen.length === 4) break;
    }
    t.strictSame(seen, ['false false', 'false true', 'true false', 'false true']);
    t.strictSame(events, ['ERR_STATS_DISCONNECTED', 'connected true']);
  });
  await t.test('ends by signal, and when the stats are closed', async (t) => {
    const controller = new AbortController();
    await t.rejects(
      (async () => {
        for await (const _ of stats.subscribe([], { intervalMs: 5, signal: controller.signal }))
          controller.abort(new Error('enough'));
      })(),
      { message: 'enough' },
    );
    let count = 0;
    for await (const _ of stats.subscribe([], { intervalMs: 5 })) if (++count === 2) await stats.close();
    t.equal(count, 2);
    await t.rejects(stats.subscribe([], { intervalMs: 0 }).next(), { code: 'ERR_VPP_ARGUMENT_RANGE' });
  });
});

void t.test('restarts', async (t) => {
  const socket = join(socketFolder(t), 's');
  let current = vppLike();
  current.segment.listen(socket);
  const stats = await connected(t, socket);
  const counter = stats.counter('/interfaces/bench1/rx');
  t.equal(counter.value(), 2001);
  current.segment.close();
  t.throws(() => stats.ls(), { code: 'ERR_STATS_DISCONNECTED', message: /socket file was removed/ });
  t.equal(stats.connected, false);
  t.throws(() => counter.value(), { code: 'ERR_STATS_DISCONNECTED' });
  await t.rejects(stats.ready({ timeoutMs: 20 }), { code: 'ERR_STATS_TIMEOUT' });
  await t.rejects(stats.ready({ signal: AbortSignal.timeout(20) }), { name: 'TimeoutError' });
  for (let round = 0; round < 5; round++) {
    current = vppLike({ interfaces: 4 + round });
    current.segment.listen(socket);
    await stats.ready({ timeoutMs: 20_000 });
    t.equal(counter.value(), 2001, 'a live counter finds its way');
    t.equal(stats.interfaces().size, 4 + round);
    current.segment.close();
    t.throws(() => stats.ls(), { code: 'ERR_STATS_DISCONNECTED' });
  }
  const closing = t.rejects(stats.ready(), { code: 'ERR_STATS_CLOSED' });
  await stats.close();
  await closing;

  await t.test('of a process that is killed', { skip: noPython }, async (t) => {
    const file = join(socketFolder(t), 'image');
    writeFileSync(file, recordedImage().subarray(0, 4 << 20));
    const first = new RawStatsServer(t);
    await first.do('memory', { size: 32 << 20, file });
    await first.do('listen', { socket, manner: 'serve' });
    const watched = await connected(t, socket);
    t.equal(watched.ls().length, 3842);
    t.equal(watched.sealed, false);
    t.equal(watched.pid, first.child.pid);
    await first.kill();
    t.throws(() => watched.ls(), { code: 'ERR_STATS_DISCONNECTED', message: /process \d+ has ended/ });
    const second = new RawStatsServer(t);
    await second.do('memory', { size: 32 << 20, file });
    await second.do('listen', { socket, manner: 'serve' });
    await watched.ready({ timeoutMs: 20_000 });
    t.equal(watched.interfaces().size, 5);
    await second.kill();
  });
  await t.test('where only the heartbeat tells: an abstract name', async (t) => {
    const name = `@node-vpp-stats-${process.pid}`;
    const one = createStatsSegment({ sizeBytes: 65_536, updateIntervalMs: 0 });
    one.addGauge('/which', 1);
    one.listen(name);
    const watched = await connected(t, name, { staleMs: 30 });
    let served = 0;
    const look = (which: bigint) => () => {
      const value = watched.connected ? watched.get('/which') : undefined;
      served = Math.max(served, one.served);
      return value?.type === 'gauge' && value.value === which;
    };
    t.ok(look(1n)());
    await until(() => look(1n)() && served >= 3);
    t.pass('a heartbeat that stands still is asked after, and the same segment is kept');
    one.close();
    const two = createStatsSegment({ sizeBytes: 65_536, updateIntervalMs: 0 });
    t.teardown(() => two.close());
    two.addGauge('/which', 2);
    two.listen(name);
    await until(look(2n));
    t.pass('another one is taken');
  });
});

void t.test('a segment that is truncated under the reader', { skip: noPython }, async (t) => {
  const folder = socketFolder(t);
  const file = join(folder, 'image');
  writeFileSync(file, recordedImage().subarray(0, 4 << 20));
  for (const size of [0, 4096, 65_536, 500_000]) {
    await t.test(`to ${size} bytes: an error, and the process lives`, async (t) => {
      const socket = join(folder, `s${size}`);
      await using server = new RawStatsServer(t);
      await server.do('memory', { size: 32 << 20, file });
      await server.do('listen', { socket, manner: 'serve' });
      const stats = await connected(t, socket, { checkMs: 60_000 });
      const counter = stats.counter('/interfaces/loop0/rx');
      t.equal(counter.value(), 5000);
      await server.do('truncate', { size });
      t.throws(
        () => {
          stats.dump();
          // Where nothing was read that is gone, what is left is whole: the vectors lie in front.
          counter.value();
          stats.ls();
          throw Object.assign(new Error(), { code: 'ERR_STATS_LOST' });
        },
        { code: /^ERR_STATS_(LOST|DISCONNECTED)$/ },
      );
      await server.do('memory', { size: 32 << 20, file });
      await stats.ready({ timeoutMs: 20_000 });
      await until(() => {
        try {
          return counter.value() === 5000 && stats.dump().length === 3842;
        } catch {
          return false;
        }
      });
      t.pass('and the next segment is taken');
    });
  }
  await t.test('a header that is overwritten', async (t) => {
    const socket = join(folder, 'h');
    await using server = new RawStatsServer(t);
    await server.do('memory', { size: 32 << 20, file });
    await server.do('listen', { socket, manner: 'serve' });
    const stats = await connected(t, socket, { checkMs: 60_000 });
    await server.do('write', { offset: 0, hex: '0900000000000000' });
    t.throws(() => stats.ls(), { code: 'ERR_STATS_LOST' });
  });
});

void t.test('nothing is left behind', async (t) => {
  const folder = socketFolder(t);
  await t.test('by connections that come and go, nor by many readings', async (t) => {
    const { segment } = vppLike({ interfaces: 50 });
    segment.listen(join(folder, 'a'));
    const round = async () => {
      const stats = await connectStats({ socket: join(folder, 'a') });
      stats.dump();
      const vector = stats.vector('/if/rx');
      t.equal(
        vector.read((threads) => threads.length),
        2,
      );
      const kept = vector.read((threads) => threads[0]!);
      await stats.close();
      t.equal(kept!.length, 0, 'arrays of a mapping that is gone are empty');
    };
    await round();
    const [files, maps] = [openFiles(), mappings()];
    for (let i = 0; i < 20; i++) await round();
    await until(() => openFiles() <= files && mappings() <= maps);
    segment.close();
    // Node gives memory of a detached ArrayBuffer back a turn of the event loop later.
    await until(() => openFiles() < files && mappings() < maps);
  });
  await t.test('10,000 polls, with the collector run: no growth', async (t) => {
    const program = `
      import { connectStats } from 'node-vpp/stats';
      import { createStatsSegment, InterfaceCounters } from 'node-vpp/stats/writer';
      const segment = createStatsSegment({ sizeBytes: 1 << 20, updateIntervalMs: 0 });
      const counters = new InterfaceCounters(segment);
      for (let i = 0; i < 20; i++) counters.add(i, 'if' + i);
      segment.listen('@poll-' + process.pid);
      const stats = await connectStats({ socket: '@poll-' + process.pid });
      let before;
      const poll = (n) => { for (let i = 0; i < n; i++) { before = stats.snapshot('/interfaces/', { since: before }); before.reading('/interfaces/if3/rx'); } };
      const used = async () => { for (let i = 0; i < 4; i++) { gc(); await new Promise(setImmediate); } const m = process.memoryUsage(); return m.heapUsed + m.external + m.arrayBuffers; };
      poll(2000); const first = await used(); poll(10000); const last = await used();
      console.log(JSON.stringify({ first, last }));
      await stats.close(); segment.close();`;
    const { stdout, stderr, status } = spawnSync(
      process.execPath,
      ['--expose-gc', '--input-type=module', '-e', program],
      {
        cwd: root,
        encoding: 'utf8',
      },
    );
    t.equal(status, 0, stderr);
    const { first, last } = JSON.parse(stdout) as { first: number; last: number };
    t.ok(last - first < 1 << 20, `${first} bytes, then ${last}`);
  });
  await t.test('by a worker that is terminated', async (t) => {
    const { segment } = vppLike();
    t.teardown(() => segment.close());
    segment.listen(join(folder, 'w'));
    const round = async () => {
      const worker = new Worker(
        `const { connectStats } = require('node-vpp/stats');
         const { createStatsSegment } = require('node-vpp/stats/writer');
         const own = createStatsSegment({ sizeBytes: 65536 });
         own.listen('@node-vpp-worker-' + process.pid);
         connectStats({ socket: ${JSON.stringify(join(folder, 'w'))} }).then((stats) => {
           require('node:worker_threads').parentPort.postMessage(stats.interfaces().size);
           for (;;) stats.dump();
         });`,
        { eval: true },
      );
      t.equal(await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject)), 3);
      await worker.terminate();
    };
    await round();
    const maps = mappings();
    for (let i = 0; i < 3; i++) await round();
    await until(() => mappings() <= maps);
    t.pass('mappings are gone');
  });
  await t.test('a program that has connected ends by itself', async (t) => {
    const program = `
      import { connectStats } from 'node-vpp/stats';
      const stats = await connectStats({ socket: ${JSON.stringify(join(folder, 'e'))} });
      console.log(stats.interfaces().size);`;
    const { segment } = vppLike();
    segment.listen(join(folder, 'e'));
    const { spawn } = await import('node:child_process');
    const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
      cwd: root,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let said = '';
    child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
    t.equal(await new Promise((resolve) => child.once('close', resolve)), 0);
    t.equal(said, '3\n');
    segment.close();
  });
});
