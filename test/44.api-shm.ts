// Chapter 44: VPP's shared memory as a transport, and what works over any transport. The tests of shared memory run against
// the stand-in library always, and against a real VPP when VPP_BIN names one.

import t, { type Test } from 'tap';
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, rmSync, chmodSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { connect, refusedWith, shareConnection, openShared } from 'node-vpp/api';
import { client, failure, serve, until } from './support/api.js';
import { ShmClient, shmTarget, standInLibrary, type ShmTarget } from './support/shm.js';
import { noVpp } from './support/vpp.js';

t.setTimeout(600_000);

const noCompiler = standInLibrary() === undefined ? 'there is no g++' : false;
const kinds = [
  ['stand-in', noCompiler],
  ['VPP', noVpp],
] as const;
const busyMs = { 'stand-in': 1500, VPP: 30_000 };

async function start(t: Test, kind: ShmTarget['kind'], words?: string): Promise<ShmTarget> {
  const target = await shmTarget(kind, words);
  t.teardown(() => target.stop());
  return target;
}

/** A client whose end is waited for. */
function run(
  t: Test,
  target: Pick<ShmTarget, 'socket' | 'prefix' | 'library'>,
  action: string,
  options = {},
): ShmClient {
  const made = new ShmClient(target, action, options);
  t.teardown(async () => {
    made.kill('SIGCONT');
    made.kill('SIGKILL');
    await made.ended;
  });
  return made;
}

/** Another client of the same VPP, that asks all the time: the longest it waited for an answer. */
async function onlooker(t: Test, target: ShmTarget): Promise<{ worstMs: () => number; asked: () => number }> {
  const vpp = await connect({ socket: target.socket, name: 'onlooker', requestTimeoutMs: 60_000, health: false });
  let worst = 0;
  let asked = 0;
  const over = new AbortController();
  const asking = (async () => {
    while (!over.signal.aborted) {
      const began = performance.now();
      await vpp.request('control_ping');
      worst = Math.max(worst, performance.now() - began);
      asked += 1;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  })();
  asking.catch(() => undefined);
  t.teardown(async () => {
    over.abort();
    await vpp.destroy();
  });
  return { worstMs: () => worst, asked: () => asked };
}

async function eventually(what: string, condition: () => Promise<boolean>, ms = 40_000): Promise<void> {
  const deadline = performance.now() + ms;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`waited ${ms} ms for: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const queues = [...kinds.map((kind) => [...kind, ''] as const), ['stand-in', noCompiler, 'hidden'] as const];
for (const [kind, skip, words] of queues) {
  void t.test(
    `${kind}: requests go through shared memory, the rest by the socket, and in order${words && ` (queues ${words})`}`,
    { skip },
    async (t) => {
      const target = await start(t, kind, words);
      const vpp = run(t, target, 'all');
      t.match(await vpp.says(), {
        transport: {
          kind: 'shm',
          reason: 'asked for',
          libraryPath: target.library,
          libraryVersion: '26.06',
          direct: words === '',
        },
        second: { code: 'ERR_VPP_SHM_IN_USE', message: /shareConnection/ },
      });
      t.same(await vpp.says(), { pings: 20_000, pid: true });
      t.match(await vpp.says(), { sync: 520, version: /^26\.06/ });
      t.same(await vpp.says(), { rows: 300, left: 300, reply: true }, 'a dump sees what was asked for before it');
      t.same(await vpp.says(), { listening: true });
      await target.event();
      t.same(await vpp.says(), { event: true, more: 0 }, 'an event arrives once');
      t.same(await vpp.says(), {
        succeeded: 4995,
        failed: [999, 1999, 2999, 3999, 4999].map((index) => [index, 'ERR_VPP_API']),
      });
      t.match(await vpp.says(), { worker: { version: /^26\.06/, rows: true, failure: 'ERR_VPP_API' } });
      t.same(await vpp.says(), { lost: 0, inFlight: 0 });
      t.match(await vpp.says(), { again: 'shm', version: /^26\.06/ }, 'the next connection of the same process');
      t.equal(await vpp.ended, 0, vpp.errors);
      await eventually('no client is left', async () => (await target.clients()).length === 0);
      const load = await target.idleLoad();
      if (load !== undefined) t.ok(load < 0.5, `VPP is idle: ${load}`);
    },
  );
}

for (const [kind, skip] of kinds) {
  void t.test(`${kind}: a busy JavaScript thread holds up neither VPP nor loses a reply`, { skip }, async (t) => {
    const target = await start(t, kind, 'keepalive_ms 100');
    const vpp = run(t, target, 'busy', { busyMs: busyMs[kind] });
    t.match(await vpp.says(), { busy: 960 }, 'less than a queue holds');
    const other = await onlooker(t, target);
    t.same(await vpp.says(), { idle: true });
    t.same(await vpp.says(), { answered: 5000, pid: true });
    t.ok(other.asked() > 50, `${other.asked()} answers meanwhile`);
    t.ok(other.worstMs() < 5000, `the longest took ${other.worstMs()} ms`);
    t.equal(await vpp.ended, 0, vpp.errors);
  });

  void t.test(`${kind}: a client stopped and killed under load does not hold up VPP`, { skip }, async (t) => {
    const target = await start(t, kind);
    const vpp = run(t, target, 'load');
    await until('load', () => vpp.errors === '');
    for (let answered = 0; answered < 5000;) ({ answered } = (await vpp.says()) as { answered: number });
    const other = await onlooker(t, target);
    // Stopped within the nanoseconds in which it holds the lock of a queue, it does hold VPP up (7 times in 1,500 stops under this
    // load); that is so for whoever uses this memory, and not what is looked for here.
    const served = async () => {
      const before = other.asked();
      await until('answers while it is stopped', () => other.asked() > before + 100, 8000);
    };
    for (let attempt = 1; ; attempt++) {
      vpp.kill('SIGSTOP');
      try {
        await served();
        break;
      } catch (error) {
        if (attempt === 3) throw error;
        vpp.kill('SIGCONT');
        await new Promise((resolve) => setTimeout(resolve, 300));
      }
    }
    vpp.kill('SIGKILL');
    const after = other.asked();
    await until('answers after it was killed', () => other.asked() > after + 100, 30_000);
    t.ok(other.worstMs() < 30_000, `the longest took ${other.worstMs()} ms`);
    t.equal(await vpp.ended, 'SIGKILL');
    const next = run(t, target, 'connect');
    t.match(await next.says(), { transport: { kind: 'shm' } }, 'the next client is served');
    await next.ended;
  });

  void t.test(
    `${kind}: VPP killed under load and started again is found again by the same process`,
    { skip },
    async (t) => {
      const target = await start(t, kind);
      const vpp = run(t, target, 'load');
      let last: Record<string, unknown> = {};
      const until = async (what: string, condition: () => boolean) => {
        while (!condition()) last = { ...last, ...(await vpp.says()) };
        t.pass(what);
      };
      for (let round = 1; round <= 2; round++) {
        const goal = Number(last.answered ?? 0) + 5000;
        await until(`round ${round}: load`, () => Number(last.answered) > goal && last.transport === 'shm');
        delete last.reconnected;
        await target.kill();
        await target.start();
        await until(`round ${round}: connected again`, () => last.reconnected !== undefined);
        t.match(last, { reconnected: true, transport: 'shm' });
      }
      const goal = Number(last.answered) + 5000;
      await until('load over shared memory again', () => Number(last.answered) > goal && last.transport === 'shm');
      const codes = Object.keys(last.failed as object);
      const honest = [
        'ERR_VPP_DISCONNECTED',
        'ERR_VPP_NOT_CONNECTED',
        'ERR_VPP_SOCKET_REPLACED',
        'ERR_VPP_UNRESPONSIVE',
      ];
      t.same(
        codes.filter((code) => !honest.includes(code)),
        [],
        'what was in flight has failed as lost',
      );
      t.ok(codes.length > 0);
      vpp.kill('SIGTERM');
      await vpp.ended;
      await eventually('no client is left', async () => (await target.clients()).length === 0);
    },
  );

  for (const how of ['close', 'end', 'exit', 'throw', 'SIGTERM', 'terminate']) {
    void t.test(`${kind}: a process that leaves by ${how} leaves nothing in VPP`, { skip }, async (t) => {
      const target = await start(t, kind);
      const vpp = run(t, target, 'leave', { how });
      t.same(await vpp.says(), { left: how });
      t.equal(await vpp.ended, how === 'throw' ? 1 : 0, vpp.errors);
      await eventually('no client is left', async () => (await target.clients()).length === 0, 5000);
      const load = await target.idleLoad();
      if (load !== undefined) t.ok(load < 0.5, `VPP is idle: ${load}`);
    });
  }

  void t.test(`${kind}: a blocking request ends in time when VPP does not answer`, { skip }, async (t) => {
    const target = await start(t, kind);
    const vpp = run(t, target, 'stuck');
    t.same(await vpp.says(), { ready: true });
    target.signal('SIGSTOP');
    vpp.child.stdin!.write('go\n');
    const { failures, tookMs } = await vpp.says();
    target.signal('SIGCONT');
    t.same(failures, ['ERR_VPP_TIMEOUT', 'ERR_VPP_TIMEOUT']);
    t.ok((tookMs as number) < 30_000, `${tookMs as number} ms`);
    vpp.child.stdin!.write('go\n');
    t.same(await vpp.says(), { answered: true, late: 2 });
    await vpp.ended;
  });

  void t.test(
    `${kind}: what is in the way of shared memory is told, and auto takes the socket then`,
    { skip },
    async (t) => {
      const target = await start(t, kind);
      const attempt = async (options: object) => {
        const vpp = run(
          t,
          { ...target, socket: target.socket, prefix: target.prefix, library: target.library },
          'connect',
          options,
        );
        const said = await vpp.says();
        await vpp.ended;
        return said;
      };
      t.match(await attempt({ transport: 'auto' }), { transport: { kind: 'shm', reason: /the library is there/ } });
      t.match(await attempt({ transport: 'socket' }), { transport: { kind: 'socket' } });
      const folder = mkdtempSync(join(tmpdir(), 'nv-'));
      t.teardown(() => rmSync(folder, { recursive: true }));
      const old = join(folder, 'libvppapiclient.so.25.10');
      copyFileSync(standInLibrary()!, old);
      const cases: [string, object, object][] = [
        [
          'no library',
          { library: '/nowhere/libvppapiclient.so' },
          { code: 'ERR_VPP_SHM_LIBRARY', message: /install VPP's packages/ },
        ],
        ['a file that is none', { library: process.execPath }, { code: 'ERR_VPP_SHM_LIBRARY' }],
        [
          'of another version',
          { library: old },
          { code: 'ERR_VPP_SHM_VERSION', message: /of VPP 25\.10, and the VPP that runs is 26\.06/ },
        ],
        [
          'no such segment',
          { prefix: 'nobody' },
          { code: 'ERR_VPP_SHM_SEGMENT', message: new RegExp(`/dev/shm: .*${target.prefix}`) },
        ],
      ];
      for (const [what, options, expected] of cases) {
        t.match(await attempt({ ...options, transport: 'shm' }), expected, what);
        const { message } = expected as { message?: RegExp };
        t.match(await attempt({ ...options, transport: 'auto' }), {
          transport: { kind: 'socket', ...(message && { reason: message }) },
        });
      }
      const other = await start(t, kind);
      t.match(await attempt({ prefix: other.prefix }), {
        code: 'ERR_VPP_SHM_SEGMENT',
        message: /belongs to the VPP with pid/,
      });
      await eventually('the other VPP has been left', async () => (await other.clients()).length === 0);
      if (process.getuid!() === 0) {
        for (const name of ['vpe-api', 'global_vm']) chmodSync(`/dev/shm/${target.prefix}-${name}`, 0o660);
        chmodSync(dirname(target.socket), 0o755);
        chmodSync(target.socket, 0o777);
        const expected = /vpe-api|global_vm: Permission denied \(mode 0660, uid \d+, gid \d+\)/;
        t.match(await attempt({ uid: 65534 }), { code: 'ERR_VPP_SHM_PERMISSION', message: expected });
        t.match(await attempt({ uid: 65534, transport: 'auto' }), { transport: { kind: 'socket', reason: expected } });
      }
    },
  );

  void t.test(`${kind}: the command takes the transport too`, { skip }, async (t) => {
    const target = await start(t, kind);
    const command = join(import.meta.dirname, '../../../dist/cli/main.js');
    const { socket, prefix, library } = target;
    const shm = ['--transport', 'shm', '--api-segment-prefix', prefix, '--library', library];
    const { stdout, status, stderr } = spawnSync(
      process.execPath,
      [command, 'api', '-s', socket, ...shm, 'call', 'show_version'],
      { encoding: 'utf8' },
    );
    t.equal(status, 0, stderr);
    t.match((JSON.parse(stdout) as { version: string }).version, /^26\.06/);
  });
}

void t.test(
  'the example programs a table by shared memory, and takes it out again',
  { skip: noCompiler },
  async (t) => {
    const target = await start(t, 'stand-in');
    const example = join(import.meta.dirname, '../examples/full-table.js');
    const env = { ...process.env, VPP_LIB_DIR: join(target.library, '..') };
    const args = [example, '--socket', target.socket, '--prefix', target.prefix, '--routes', '3000'];
    const { stdout, status, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8', env });
    t.equal(status, 0, stderr);
    t.match(stdout, /by shm: .*\n3000 routes added in .*, 0 refused\n3000 routes deleted in .*, 0 refused/);
  },
);

void t.test('a library that does not return is left to itself', { skip: noCompiler }, async (t) => {
  const target = await start(t, 'stand-in', 'connect_ms 3000');
  const vpp = run(t, target, 'connect', { transport: 'auto', handshakeMs: 300 });
  t.match(await vpp.says(), { transport: {} });
  await vpp.ended;
});

interface LibraryModule {
  readonly libraryCandidates: (
    version: string,
    path: string | undefined,
    environment: Record<string, string>,
  ) => string[];
  readonly releaseOf: (version: string) => string | undefined;
}

void t.test('the library is looked for where VPP is installed, first that of the running VPP', async (t) => {
  const module = new URL('../../../dist/api/transport/library.js', import.meta.url).href;
  const { libraryCandidates, releaseOf } = (await import(module)) as LibraryModule;
  t.same(libraryCandidates('26.06-rc0~12-gabc', undefined, {}), ['libvppapiclient.so.26.06', 'libvppapiclient.so']);
  t.same(libraryCandidates('25.10-release', undefined, { VPP_LIB_DIR: '/opt/vpp/lib' }), [
    '/opt/vpp/lib/libvppapiclient.so.25.10',
    '/opt/vpp/lib/libvppapiclient.so',
    'libvppapiclient.so.25.10',
    'libvppapiclient.so',
  ]);
  t.same(libraryCandidates('unknown', '/a/b.so', { VPP_LIB_DIR: '/c' }), ['/a/b.so']);
  t.equal(releaseOf('v24.10'), '24.10');
  t.equal(releaseOf('master'), undefined);
});

void t.test('requestMany keeps to its window, and reports what VPP refuses', async (t) => {
  const server = await serve(t);
  server.handle('sw_interface_set_mtu', ({ sw_if_index }) => ({ retval: (sw_if_index as number) % 10 === 7 ? -2 : 0 }));
  const vpp = await client(t, server);
  let taken = 0;
  let widest = 0;
  const progress: number[] = [];
  const items = function* () {
    for (let sw_if_index = 0; sw_if_index < 1000; sw_if_index++) {
      taken += 1;
      widest = Math.max(widest, taken - answered);
      yield { sw_if_index, mtu: [0, 0, 0, 0] };
    }
  };
  let answered = 0;
  const report = await vpp.requestMany('sw_interface_set_mtu', items(), {
    window: 16,
    progressMs: 0,
    onProgress: ({ completed }) => progress.push(completed),
    onReply: () => answered++,
  });
  t.match(report, { succeeded: 900, failed: 100, resumeIndex: 1000, unknown: 0, stopped: undefined });
  t.equal(report.failures[0]?.index, 7);
  t.ok(report.failures.every((one) => refusedWith(one, -2) && !refusedWith(one, -3)));
  t.equal(answered, 900);
  t.ok(widest <= 16 + 100, `${widest} items taken and not accepted`);
  t.equal(progress.at(-1), 1000);
});

void t.test('requestMany stops where it is told to, and goes on from there', async (t) => {
  const server = await serve(t);
  const seen: number[] = [];
  server.handle('sw_interface_set_mtu', ({ sw_if_index }) => {
    seen.push(sw_if_index as number);
    return { retval: sw_if_index === 300 ? -2 : 0 };
  });
  const vpp = await client(t, server);
  const items = async function* () {
    for (let sw_if_index = 0; sw_if_index < 500; sw_if_index++) {
      await Promise.resolve();
      yield { sw_if_index, mtu: [0, 0, 0, 0] };
    }
  };
  const abort = new AbortController();
  const first = await vpp.requestMany('sw_interface_set_mtu', items(), {
    window: 8,
    signal: abort.signal,
    onReply: (_, index) => index === 100 && abort.abort(new Error('enough')),
  });
  t.match(first, { stopped: { message: 'enough' }, unknown: 0, failed: 0 });
  t.equal(first.succeeded, first.resumeIndex, 'what was open has been waited for');
  const second = await vpp.requestMany('sw_interface_set_mtu', items(), {
    startIndex: first.resumeIndex,
    maxFailures: 1,
  });
  t.match(second, { failed: 1, failures: [{ index: 300 }], stopped: { code: 'ERR_VPP_API' } });
  const third = await vpp.requestMany('sw_interface_set_mtu', items(), { startIndex: second.resumeIndex });
  t.match(third, { resumeIndex: 500, stopped: undefined });
  t.same(seen, [...Array(500).keys()], 'every item once, and in order');
});

void t.test('requestMany says what is not known when the connection is lost', async (t) => {
  const server = await serve(t);
  let count = 0;
  server.handle('sw_interface_set_mtu', () => {
    if (++count === 200) setImmediate(() => void server.kill());
    return { retval: 0 };
  });
  const vpp = await client(t, server, { retry: false });
  const items = Array.from({ length: 10_000 }, (_, sw_if_index) => ({ sw_if_index, mtu: [0, 0, 0, 0] }));
  const report = await vpp.requestMany('sw_interface_set_mtu', items, { window: 50 });
  t.match(report, { failed: 0, stopped: { code: 'ERR_VPP_DISCONNECTED' } });
  t.equal(report.resumeIndex, report.succeeded);
  t.ok(report.resumeIndex + report.unknown >= 200);
});

void t.test("requestMany passes on what the caller's own code throws", async (t) => {
  const server = await serve(t);
  server.handle('sw_interface_set_mtu', () => ({ retval: 0 }));
  const vpp = await client(t, server);
  const items = function* () {
    yield { sw_if_index: 1, mtu: [0, 0, 0, 0] };
    throw new Error('no more');
  };
  t.match(await failure(vpp.requestMany('sw_interface_set_mtu', items())), { message: 'no more' });
  const thrown = vpp.requestMany('sw_interface_set_mtu', [{ sw_if_index: 1, mtu: [0, 0, 0, 0] }], {
    onReply: () => {
      throw new Error('not this one');
    },
  });
  t.match(await failure(thrown), { message: 'not this one' });
  t.match(await failure(vpp.requestMany('sw_interface_dump' as 'control_ping', [])), { message: /use dump/ });
  const wrong = await vpp.requestMany('sw_interface_set_mtu', [{ sw_if_index: -1, mtu: [0, 0, 0, 0] }]);
  t.match(wrong, { failed: 1, failures: [{ index: 0, error: { code: 'ERR_VPP_ENCODE' } }] });
  t.match(await vpp.requestMany('sw_interface_set_mtu', []), { succeeded: 0, resumeIndex: 0 });
});

void t.test('a connection is used from another thread, and its errors come across', async (t) => {
  const server = await serve(t);
  const vpp = await client(t, server);
  const shared = openShared(shareConnection(vpp as never));
  t.match(await shared.request('show_version'), { version: /26\.06/ });
  const names = [];
  for await (const row of shared.dump('sw_interface_dump')) names.push(row.interface_name);
  t.same(names, ['local0', 'memif0/0', 'tap1']);
  server.handle('create_loopback', () => ({ retval: -1 }));
  const refused = await failure(shared.request('create_loopback', { mac_address: '00:00:00:00:00:00' }));
  t.match(refused, { code: 'ERR_VPP_API', retval: -1 });
  t.equal(refused.constructor.name, 'VppApiError');
  const events = shared.on('sw_interface_event');
  const first = events.next();
  await until('somebody listens', () => server.event('sw_interface_event', { sw_if_index: 5, flags: 1 }) > 0);
  t.match(await first, { value: { sw_if_index: 5 } });
  await events.return(undefined);
  server.script({ on: 'show_version', do: 'lose' });
  const open = failure(shared.request('show_version'));
  shared.close();
  t.match(await open, { code: 'ERR_VPP_CLOSED' });
  t.match(await failure(shared.request('show_version')), { code: 'ERR_VPP_CLOSED' });
});

void t.test('requestSync works over the socket too, but not inside a listener', async (t) => {
  const target = noCompiler === false ? await shmTarget('stand-in') : undefined;
  if (target === undefined) return;
  t.teardown(() => target.stop());
  const vpp = await connect({ socket: target.socket });
  t.teardown(() => vpp.destroy());
  const asked = vpp.request('control_ping');
  t.match(vpp.requestSync('show_version'), { version: /26\.06/ });
  t.match(await asked, { retval: 0 }, 'what comes meanwhile is delivered');
  t.throws(() => vpp.requestSync('sw_interface_dump' as 'show_version'), { message: /use dump/ });
  const inside = new Promise((resolve) => {
    vpp.on('sw_interface_event', () => {
      try {
        vpp.requestSync('show_version');
      } catch (error) {
        resolve((error as { code?: string }).code);
      }
    });
  });
  await eventually('the event', async () => {
    await target.event();
    return Promise.race([inside.then(() => true), new Promise<boolean>((done) => setTimeout(done, 20, false))]);
  });
  t.equal(await inside, 'ERR_VPP_SYNC');
});
