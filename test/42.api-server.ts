// Chapter 42: the API server, as others see it: byte by byte, VPP's own Python client, GoVPP; then the command and the
// examples against it, and last our own client against a real VPP.

import t from 'tap';
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { FrameParser, connect, loadBundled } from 'node-vpp/api';
import { writeApiJson } from 'node-vpp/api/schema';
import type { ApiServer } from 'node-vpp/dataplane';
import { failure, folder, next, serve, until, type TestEnd } from './support/api.js';
import { testDocExamples } from './support/doc-examples.js';
import { govpp, papi, runClient } from './support/clients.js';
import { Vpp, noVpp } from './support/vpp.js';

const root = fileURLToPath(new URL('../../..', import.meta.url));

/** A server that answers what the third-party clients ask. */
async function serveClients(t: TestEnd): Promise<ApiServer> {
  const server = await serve(t, { pageRows: 10 });
  server.handle('sw_interface_tx_placement_get', function* () {
    for (let n = 0; n < 25; n++) yield { sw_if_index: n };
  });
  server.handle('sw_interface_set_flags', () => ({ retval: -2 }));
  return server;
}

void t.test('byte by byte', async (t) => {
  const server = await serve(t, { pid: 0x1234 });
  const socket = createConnection(server.path);
  const seen: Buffer[] = [];
  const parser = new FrameParser((bytes, start, end) => seen.push(Buffer.from(bytes.subarray(start, end))));
  socket.on('data', (chunk) => parser.push(chunk));
  let ended = false;
  socket.on('end', () => (ended = true));
  const say = (hex: string) => {
    const frame = Buffer.alloc(16 + hex.length / 2);
    frame.writeUInt32BE(hex.length / 2, 8);
    frame.write(hex, 16, 'hex');
    socket.write(frame);
  };
  say('0017' + '00000000' + '00000001');
  say('000f' + 'cafe0001' + Buffer.from('raw').toString('hex').padEnd(128, '0'));
  await until('sockclnt_create_reply', () => seen.length === 1);
  const reply = seen[0]!;
  t.equal(reply.readUInt16BE(0), 16, 'a request before sockclnt_create is ignored; the reply to this is the first');
  t.equal(reply.readUInt32BE(6), 0xcafe0001, 'context');
  t.equal(reply.readInt32BE(10), 0, 'response');
  const index = reply.readUInt32BE(14);
  t.ok(index >= 0x80000000, 'the index has its top bit set');
  const count = reply.readUInt16BE(18);
  t.equal(reply.length, 20 + count * 66, `${count} entries of 66 bytes`);
  const ping = reply.indexOf('control_ping_51077d14', 0, 'latin1');
  t.equal(reply.readUInt16BE(ping - 2), 23, 'control_ping has its fixed number');

  const client = index.toString(16);
  say(`0017${client}00000007`);
  await until('pong', () => seen.length === 2);
  t.equal(seen[1]!.toString('hex'), '0018' + '00000007' + '00000000' + '00000000' + '00001234');

  say(`0017${(index ^ 1).toString(16)}00000008`);
  say(`fff0${client}00000009`);
  say(`0017${client}`);
  say(`0017${client}0000000a`);
  await until('the next answer', () => seen.length === 3);
  t.equal(seen[2]!.readUInt32BE(2), 10, 'wrong index, unknown number and too short are ignored in silence');

  say(`0011${client}0000000b${client}`);
  await until('the end', () => ended);
  t.equal(seen[3]!.toString('hex'), '0012' + '0000000b' + '00000001', 'sockclnt_delete: response 1, then the end');
});

void t.test('a message without a handler is answered UNIMPLEMENTED, a dump without one has no rows', async (t) => {
  const server = await serve(t);
  const vpp = await connect({ socket: server.path });
  t.match(await failure(vpp.request('create_loopback', { mac_address: '02:00:00:00:00:01' })), { retval: -9 });
  t.strictSame(await vpp.dump('ip_table_dump').toArray(), []);
  t.throws(() => server.handle('nonsense', () => ({})), { code: 'ERR_VPP_ARGUMENT_TYPE' });
  const failures: unknown[] = [];
  server.on('failure', (error) => failures.push(error));
  server.handle('create_loopback', () => {
    throw new Error('a mistake in the handler');
  });
  t.match(await failure(vpp.request('create_loopback', { mac_address: '02:00:00:00:00:01' })), { retval: -1 });
  t.match(failures, [{ message: 'a mistake in the handler' }]);
  await vpp.close();
});

const steps = (lines: Record<string, unknown>[]): Record<string, unknown> =>
  Object.fromEntries(lines.map((line) => [String(line.step), line]));
const names = ['local0', 'memif0/0', 'tap1'];

const python = papi();
void t.test("VPP's own Python client", { skip: 'missing' in python && python.missing }, async (t) => {
  if ('missing' in python) return;
  for (const source of ['files', 'get_api_json']) {
    await t.test(`with its schema from ${source}`, async (t) => {
      const server = await serveClients(t);
      const args = [server.path, 'check'];
      if (source === 'files') {
        const files = join(folder(t), 'api');
        mkdirSync(files);
        for (const document of JSON.parse(writeApiJson(loadBundled('26.06'))) as { module: string }[]) {
          writeFileSync(join(files, `${document.module}.api.json`), JSON.stringify(document));
        }
        args.push(files);
      }
      const { code, lines, errors } = await runClient(python.command, args, ({ step }) => {
        if (step === 'wanted') server.event('sw_interface_event', { sw_if_index: 5, flags: 3 });
      });
      t.equal(code, 0, errors);
      t.match(steps(lines), {
        sync: { version: '26.06-release', retval: 0 },
        dump: { names },
        cursor: { rows: 25 },
        error: { retval: -2 },
        event: { name: 'sw_interface_event', sw_if_index: 5, pid_is_mine: true },
        disconnected: {},
      });
    });
  }
});

const go = govpp();
void t.test('GoVPP', { skip: 'missing' in go && go.missing }, async (t) => {
  if ('missing' in go) return;
  const server = await serveClients(t);
  const { code, lines, errors } = await runClient(go.command, [server.path, 'check'], ({ step }) => {
    if (step === 'wanted') server.event('sw_interface_event', { sw_if_index: 6, flags: 1 });
  });
  t.equal(code, 0, errors);
  t.match(steps(lines), {
    sync: { version: '26.06-release' },
    dump: { names },
    stream: { replies: 3 },
    'rpc dump': { rows: 3 },
    error: { text: /Invalid sw_if_index/i },
    event: { sw_if_index: 6, pid_is_mine: true },
    disconnected: {},
  });
});

/** Runs a program of this checkout against a socket; the exit code and what it printed. */
function program(
  args: string[],
  input = '',
  onOutput?: (all: string) => void,
): Promise<{ code: number | null; out: string; err: string }> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, args, { cwd: root, stdio: ['pipe', 'pipe', 'pipe'] });
    let out = '';
    let err = '';
    child.stdout.on('data', (chunk: Buffer) => {
      out += chunk.toString();
      onOutput?.(out);
    });
    child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()));
    child.stdin.end(input);
    child.once('close', (code) => resolve({ code, out, err }));
  });
}

void t.test('node-vpp api', async (t) => {
  const server = await serveClients(t);
  server.handle('cli_inband', ({ cmd }) => ({ reply: `you said ${String(cmd)}\n` }));
  const cli = (...args: string[]) => program(['dist/cli/main.js', 'api', '--socket', server.path, ...args]);

  await t.test('call, dump, cli', async (t) => {
    const call = await cli('call', 'show_version');
    t.equal(call.code, 0, call.err);
    t.match(JSON.parse(call.out), { version: '26.06-release' });
    const dump = await cli('dump', 'sw_interface_dump', '{"sw_if_index": 4294967295}');
    t.strictSame(
      dump.out
        .trim()
        .split('\n')
        .map((line) => (JSON.parse(line) as { interface_name: string }).interface_name),
      names,
      'one row per line',
    );
    t.equal((await cli('cli', 'show', 'int')).out, 'you said show int\n');
  });

  await t.test('errors are one line and exit code 1', async (t) => {
    for (const [args, text] of [
      [['call', 'sw_interface_set_flags', '{"sw_if_index":1,"flags":0}'], /INVALID_SW_IF_INDEX/],
      [['call', 'show_version', '{nonsense'], /JSON/],
      [['call', 'no_such'], /no_such/],
    ] as const) {
      const { code, err } = await cli(...args);
      t.equal(code, 1);
      t.match(err, text);
      t.equal(err.trim().split('\n').length, 1, err);
    }
  });

  await t.test('watch prints events as they come', async (t) => {
    const watching = cli('watch', 'sw_interface_event', '--count', '2');
    await until('the watcher', () => server.clients.some(({ wants }) => wants.length > 0));
    server.event('sw_interface_event', { sw_if_index: 1 });
    server.event('sw_interface_event', { sw_if_index: 2 });
    const { code, out } = await watching;
    t.equal(code, 0);
    t.strictSame(
      out
        .trim()
        .split('\n')
        .map((line) => (JSON.parse(line) as { sw_if_index: number }).sw_if_index),
      [1, 2],
    );
  });

  await t.test('trace records what a script of calls does, and shows and replays it', async (t) => {
    const file = join(folder(t), 'trace');
    const vpp = await connect({ socket: server.path });
    const trace = vpp.trace();
    await vpp.request('show_version');
    trace.save(file);
    await vpp.close();
    const shown = await cli('trace', 'show', file);
    t.match(shown.out, /show_version.*26\.06-release/s);
    const replayed = await cli('trace', 'replay', file);
    t.equal(replayed.code, 0, replayed.err);
    t.match(replayed.out, /same.*show_version/);
    server.handle('show_version', () => ({ version: 'another' }));
    const other = await cli('trace', 'replay', file);
    t.equal(other.code, 1, 'different answers are a failure');
    t.match(other.out, /differs.*show_version/);
    server.handle('show_version', () => ({ version: '26.06-release', program: 'vpe' }));
  });

  await t.test('repl: requests, dumps, completion', async (t) => {
    const { code, out, err } = await program(
      ['dist/cli/main.js', 'api', '--socket', server.path, 'repl'],
      'show_version\nsw_interface_dump {"sw_if_index":4294967295}\ncli show int\ncall nonsense\n.complete show_ver\nexit\n',
    );
    t.equal(code, 0, err);
    t.match(out, /26\.06-release.*memif0\/0.*you said show int.*nonsense.*show_version/s);
  });
});

void t.test('the examples in the guide run', (t) =>
  testDocExamples(t, ['docs/api.md', 'lib/api/frame.ts', 'lib/api/connection.ts']),
);

void t.test('the examples', async (t) => {
  const server = await serveClients(t);
  const run = (name: string, ...args: string[]) => program([`build/js/examples/${name}.js`, server.path, ...args]);

  await t.test('show-version', async (t) => t.match((await run('show-version')).out, /26\.06-release/));
  await t.test('list-interfaces', async (t) => t.match((await run('list-interfaces')).out, /local0.*memif0\/0.*tap1/s));
  await t.test('add-routes', async (t) => {
    let added = 0;
    server.handle('ip_route_add_del_v2', () => ({ stats_index: ++added }));
    const { code, out, err } = await run('add-routes', '5000');
    t.equal(code, 0, err);
    t.match(out, /5000/);
    t.equal(added, 5000);
  });
  await t.test('watch-interface-events, across a restart of VPP', async (t) => {
    let shown = '';
    const args = ['build/js/examples/watch-interface-events.js', server.path, '2'];
    const watching = program(args, '', (all) => (shown = all));
    await until('the watcher', () => server.clients.some(({ wants }) => wants.length > 0));
    server.event('sw_interface_event', { sw_if_index: 1, flags: 3 });
    await until('the first event', () => shown.includes('interface 1'));
    await server.restart({ firstId: 200, downMs: 50 });
    await until('the watcher is back', () => shown.includes('restarted'));
    server.event('sw_interface_event', { sw_if_index: 2, flags: 0 });
    const { code, out, err } = await watching;
    t.equal(code, 0, err);
    t.match(out, /interface 1.*restarted.*interface 2/s);
  });
});

void t.test('a real VPP', { skip: noVpp, timeout: 300_000 }, async (t) => {
  const real = await Vpp.start({ pollSleepUsec: 0 });
  t.teardown(() => real.stop());
  const vpp = await connect({ socket: real.apiSocket, retry: { minMs: 20, maxMs: 200 }, requestTimeoutMs: 120_000 });
  t.teardown(() => vpp.destroy());

  await t.test('version, dumps, a cursor over nothing, an error', async (t) => {
    const { version } = await vpp.request('show_version');
    t.match(version, /\d\d\.\d\d/);
    t.equal(vpp.pid, real.pid);
    const rows = await vpp.dump('sw_interface_dump').toArray();
    t.equal(rows[0]!.interface_name, 'local0');
    t.strictSame(await vpp.dump('sw_interface_tx_placement_get', { sw_if_index: 0xffffffff }).toArray(), []);
    t.match(await failure(vpp.request('sw_interface_set_flags', { sw_if_index: 4242, flags: 0 })), {
      code: 'ERR_VPP_API',
      retval: -2,
    });
    t.match((await vpp.request('cli_inband', { cmd: 'show version' })).reply, /vpp v/);
  });

  await t.test('200,000 routes in and out, and every one of them in a dump', async (t) => {
    const count = 200_000;
    const routes = (is_add: boolean) =>
      Promise.all(
        Array.from({ length: count }, (_, n) =>
          vpp.request('ip_route_add_del_v2', {
            is_add,
            route: {
              prefix: `10.${n >> 16}.${(n >> 8) & 255}.${n & 255}/32`,
              paths: [
                { sw_if_index: 0, weight: 1, type: 1, table_id: 0, rpf_id: 0, preference: 0, flags: 0, proto: 0 },
              ],
            },
          } as never),
        ),
      );
    await routes(true);
    const seen = new Set<string>();
    for await (const row of vpp.dump(
      'ip_route_v2_dump',
      { src: 0, table: { table_id: 0, is_ip6: false } },
      { as: 'view' },
    )) {
      seen.add(row.route.prefix);
    }
    t.ok(seen.size >= count && seen.has('10.3.13.63/32'), `${seen.size} routes`);
    await routes(false);
    t.ok(
      (await vpp.dump('ip_route_v2_dump', { src: 0, table: { table_id: 0, is_ip6: false } }).toArray()).length < 100,
    );
  });

  await t.test('closing after a burst leaves VPP at rest', async (t) => {
    for (let round = 0; round < 3; round++) {
      const other = await connect({ socket: real.apiSocket, window: 30_000 });
      await Promise.all(Array.from({ length: 40_000 }, () => other.request('control_ping')));
      await other.close();
    }
    const load = await real.idleLoad(1000);
    t.ok(load < 0.5, `main thread at ${Math.round(load * 100)} % after closing`);
  });

  await t.test('events go on over kill -9 and a restart', async (t) => {
    const { sw_if_index } = await vpp.request('create_loopback', { mac_address: '02:fe:00:00:00:01' });
    const events = vpp.on('sw_interface_event');
    await events.ready;
    await vpp.request('sw_interface_set_flags', { sw_if_index, flags: 1 });
    t.match((await events.next()).value, { sw_if_index });
    const back = next(vpp, 'reconnected');
    await real.kill('SIGKILL');
    await real.start();
    t.match(await back, { newInstance: true, pid: real.pid });
    const again = await vpp.request('create_loopback', { mac_address: '02:fe:00:00:00:02' });
    await vpp.request('sw_interface_set_flags', { sw_if_index: again.sw_if_index, flags: 1 });
    t.match((await events.next()).value, { sw_if_index: again.sw_if_index });
    await events.return();
  });

  await t.test('it learns what no bundled schema has', async (t) => {
    const learnt = await connect({ socket: real.apiSocket, schema: 'auto' });
    t.match(await learnt.request('show_version'), { retval: 0 });
    await learnt.close();
    const older = await connect({ socket: real.apiSocket, schema: '24.10' });
    t.match(await older.request('show_version'), { retval: 0 });
    await older.close();
    t.ok(existsSync(real.apiSocket));
  });
});
