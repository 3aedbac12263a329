// Chapter 41: the connection to VPP's binary API. First bytes, then requests, dumps, events, the life of a connection,
// and at the end what happens when the other side misbehaves.

import t from 'tap';
import fc from 'fast-check';
import { spawn } from 'node:child_process';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { readFileSync, readdirSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import {
  FrameParser,
  connect,
  createPool,
  loadBundled,
  mergeSchemas,
  readTrace,
  replay,
  type Reconnected,
  type Transport,
  type TransportSink,
} from 'node-vpp/api';
import { schemaFromJson } from 'node-vpp/api/schema';
import { ApiServer, type Fault } from 'node-vpp/dataplane';
import { client, failure, folder, next, serve, until } from './support/api.js';

const bundled = loadBundled('26.06');
const everyRoute = { src: 0, table: { table_id: 0, is_ip6: false } };
const mtu = [0, 0, 0, 0];
const memif = {
  role: 0,
  mode: 0,
  rx_queues: 1,
  tx_queues: 1,
  id: 1,
  socket_id: 0,
  ring_size: 0,
  buffer_size: 0,
  hw_addr: '00:00:00:00:00:00',
};
const route = (index: number) => ({
  route: {
    prefix: `10.${index >> 16}.${(index >> 8) & 255}.${index & 255}/32`,
    paths: [{ sw_if_index: 1, weight: 1 }],
  },
});

/** Runs a program in a process of its own, while this one goes on serving. */
async function run(script: string): Promise<{ code: number | null; output: string }> {
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { code, output };
}

void t.test('a frame is 16 bytes, the length in the middle, and the message', (t) => {
  const seen: string[] = [];
  const parser = new FrameParser((bytes, start, end) =>
    seen.push(Buffer.from(bytes.subarray(start, end)).toString('hex')),
  );
  parser.push(Buffer.from('00000000000000000000000a00000000' + '00170000000100000002', 'hex'));
  t.strictSame(seen, ['00170000000100000002'], 'a control_ping');
  parser.push(Buffer.from('aabbccddeeff00110000000400000000' + '00010203', 'hex'));
  t.equal(seen[1], '00010203', 'the pointer that VPP leaks in front is ignored');
  parser.push(Buffer.from('00000000000000000000000000000000', 'hex'));
  t.equal(seen[2], '', 'an empty message is a message');
  t.end();
});

void t.test('frames are found however the stream is cut', (t) => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ maxLength: 700 }), { maxLength: 30 }),
      fc.array(fc.integer({ min: 1, max: 900 }), { minLength: 1, maxLength: 40 }),
      fc.integer({ min: 16, max: 256 }),
      (messages, cuts, bufferBytes) => {
        const stream = Buffer.concat(
          messages.map((message) => {
            const frame = Buffer.alloc(16 + message.length);
            frame.writeUInt32BE(message.length, 8);
            frame.set(message, 16);
            return frame;
          }),
        );
        const seen: string[] = [];
        const parser = new FrameParser(
          (bytes, start, end) => seen.push(Buffer.from(bytes.subarray(start, end)).toString('hex')),
          { bufferBytes },
        );
        for (let at = 0, cut = 0; at < stream.length; cut++) {
          const size = cuts[cut % cuts.length]!;
          parser.push(stream.subarray(at, at + size));
          at += size;
        }
        return (
          parser.pendingBytes === 0 &&
          seen.length === messages.length &&
          messages.every((message, index) => Buffer.from(message).toString('hex') === seen[index])
        );
      },
    ),
    { numRuns: 500 },
  );
  t.end();
});

void t.test('memory of the parser follows the bytes that arrive, not the length that is announced', (t) => {
  let got = 0;
  const parser = new FrameParser((_bytes, start, end) => (got = end - start));
  const header = Buffer.alloc(16);
  header.writeUInt32BE(60 * 1024 * 1024, 8);
  parser.push(header);
  parser.push(Buffer.alloc(1000));
  t.ok(parser.capacityBytes <= 256 * 1024, `${parser.capacityBytes} bytes held for 60 MiB announced`);
  const big = new FrameParser((_bytes, start, end) => (got = end - start));
  header.writeUInt32BE(1_224_050, 8);
  big.push(header);
  for (let at = 0; at < 1_224_050; at += 4096) big.push(Buffer.alloc(Math.min(4096, 1_224_050 - at)));
  t.equal(got, 1_224_050, 'a message of the size of get_api_json arrives whole');
  big.push(Buffer.alloc(20));
  t.ok(big.capacityBytes <= 128 * 1024, 'and its memory is given back');
  t.throws(
    () => {
      header.writeUInt32BE(64 * 1024 * 1024 + 1, 8);
      new FrameParser(() => undefined).push(header);
    },
    { code: 'ERR_VPP_FRAME_TOO_LARGE' },
  );
  t.end();
});

void t.test('random inputs never break the parser, nor make it grow', (t) => {
  const seed = Number(process.env.NODE_VPP_SEED ?? Date.now() % 0x7fffffff);
  let state = seed;
  const random = () => (state = (Math.imul(state, 1103515245) + 12345) >>> 0);
  const inputs = Number(process.env.NODE_VPP_FUZZ ?? 100_000);
  let delivered = 0;
  let refused = 0;
  let most = 0;
  let parser = new FrameParser(() => (delivered += 1), { maxFrameBytes: 4096, bufferBytes: 512 });
  for (let input = 0; input < inputs; input++) {
    const chunk = new Uint8Array(random() % 96);
    for (let at = 0; at < chunk.length; at++) chunk[at] = random() >>> 24;
    // Most headers are made plausible, for random lengths are nearly always refused at once.
    if (chunk.length >= 16 && random() % 4 > 0) chunk.set([0, 0, random() % 2, random() >>> 24], 8);
    try {
      parser.push(chunk);
    } catch (error) {
      if ((error as { code?: string }).code !== 'ERR_VPP_FRAME_TOO_LARGE') throw error;
      refused += 1;
      parser = new FrameParser(() => (delivered += 1), { maxFrameBytes: 4096, bufferBytes: 512 });
    }
    most = Math.max(most, parser.capacityBytes);
  }
  t.ok(delivered > 100 && refused > 100, `seed ${seed}: ${inputs} inputs, ${delivered} messages, ${refused} refused`);
  t.ok(most <= 2 * (4096 + 16), `never more than ${most} bytes`);
  t.end();
});

void t.test('requests', async (t) => {
  const server = await serve(t);
  const vpp = await client(t, server, { requestTimeoutMs: 2000 });

  await t.test('a request resolves with the fields of its reply', async (t) => {
    const reply = await vpp.request('show_version');
    t.match(reply, { retval: 0, program: 'vpe', version: '26.06-release' });
    t.equal(vpp.pid, process.pid, 'the pid of VPP comes with the connection');
    t.equal(vpp.description, `socket ${server.path}`);
  });

  await t.test('a negative retval rejects with its name, the message and the fields without secrets', async (t) => {
    server.script({ on: 'memif_create_v2', do: { retval: -68 } });
    server.handle('memif_create_v2', () => ({ retval: 0 }));
    const error = await failure(vpp.request('memif_create_v2', { ...memif, id: 7, secret: 'hush' }));
    t.match(error, { code: 'ERR_VPP_API', retval: -68, messageName: 'memif_create_v2', name: 'VppApiError' });
    t.match(error.fields, { id: 7, secret: '(secret)' });
    t.notMatch(JSON.stringify(error) + error.message, /hush/);
  });

  await t.test('fields that do not fit are refused, and nothing is sent', async (t) => {
    const before = vpp.stats();
    t.match(await failure(vpp.request('sw_interface_set_flags', { sw_if_index: -1, flags: 0 })), {
      code: 'ERR_VPP_ENCODE',
    });
    t.match(await failure(vpp.request('show_version', { nonsense: 1 } as never)), { code: 'ERR_VPP_ENCODE' });
    t.equal(vpp.stats().requests, before.requests);
    t.equal(vpp.stats().inFlight, 0);
  });

  await t.test('what is no request, or has rows, is a TypeError that says so', async (t) => {
    t.match(await failure(vpp.request('sw_interface_dump')), { code: 'ERR_VPP_ARGUMENT_TYPE', message: /use dump/ });
    t.match(await failure(vpp.dump('show_version').toArray()), {
      code: 'ERR_VPP_ARGUMENT_TYPE',
      message: /use request/,
    });
    t.match(await failure(vpp.request('show_version_reply')), { code: 'ERR_VPP_ARGUMENT_TYPE' });
    t.match(await failure(vpp.request('no_such_message')), { code: 'ERR_VPP_MESSAGE_MISSING' });
  });

  await t.test('a request without a reply resolves when it is sent', async (t) => {
    t.equal(await vpp.request('memclnt_read_timeout' as string, { dummy: 0 }), undefined);
  });

  await t.test('the reply comes to the one who asked, whatever the order', async (t) => {
    server.handle('sw_interface_set_mtu', ({ sw_if_index }) => ({ retval: -(sw_if_index as number) }));
    server.handle('create_loopback', async () => {
      await new Promise((resolve) => setTimeout(resolve, 20));
      return { sw_if_index: 99 };
    });
    const slow = vpp.request('create_loopback', { mac_address: '02:00:00:00:00:01' });
    const errors = await Promise.all(
      [1, 2, 3].map((n) => failure(vpp.request('sw_interface_set_mtu', { sw_if_index: n, mtu }))),
    );
    t.strictSame(
      errors.map((error) => error.retval),
      [-1, -2, -3],
    );
    t.match(await slow, { sw_if_index: 99 });
  });

  await t.test('requests of a tick leave in one write', async (t) => {
    const writes: number[] = [];
    const counted = await connect({
      socket: server.path,
      transport: async (sink, signal) => {
        const { SocketTransport } = (await import(
          new URL('../../../dist/api/transport/socket.js', import.meta.url).href
        )) as { SocketTransport: { open: (o: object, s: TransportSink) => Promise<Transport> } };
        let committed = 0;
        const spy: TransportSink = {
          onMessage: (bytes, start, end) => sink.onMessage(bytes, start, end),
          onBatchEnd: () => sink.onBatchEnd(),
          onEnd: (error) => sink.onEnd(error),
          onFlushed: () => {
            if (committed > 0) writes.push(committed);
            committed = 0;
            sink.onFlushed();
          },
        };
        const inner = await SocketTransport.open({ path: server.path, signal }, spy);
        const commit = inner.commit.bind(inner);
        inner.commit = (size) => {
          committed += 1;
          commit(size);
        };
        return inner;
      },
    });
    t.teardown(() => counted.close());
    writes.length = 0;
    await Promise.all(Array.from({ length: 100 }, () => counted.request('show_version')));
    t.strictSame(writes, [100]);
  });
});

void t.test('a lone request is waited for awake, for as long as was asked and no longer', async (t) => {
  const server = await serve(t);
  const real = globalThis.setImmediate;
  t.teardown(() => (globalThis.setImmediate = real));
  let turns = 0;
  globalThis.setImmediate = ((run: () => void) => {
    turns += 1;
    return real(run);
  }) as typeof setImmediate;
  const turnsOf = async (spinUs: number, requests: number): Promise<number> => {
    const vpp = await client(t, server, { spinUs, health: false });
    await vpp.request('show_version');
    server.script({ on: 'show_version', times: requests, do: { delayMs: 100 } });
    turns = 0;
    await Promise.all(Array.from({ length: requests }, () => vpp.request('show_version')));
    const seen = turns;
    await vpp.close();
    return seen;
  };
  const [never, awhile, many] = [await turnsOf(0, 1), await turnsOf(20_000, 1), await turnsOf(20_000, 50)];
  t.ok(awhile > never + 20, `${awhile} turns of the loop, ${never} without`);
  t.ok(many < awhile / 2, `${many} turns with many in flight, who keep the loop awake themselves`);
  turns = 0;
  await new Promise((resolve) => setTimeout(resolve, 50));
  t.equal(turns, 0, 'and none when nothing is in flight');
});

void t.test('the window bounds what is in flight, and reports it', async (t) => {
  const server = await serve(t);
  const vpp = await client(t, server, { window: 8, maxQueued: 50 });
  let open = 0;
  let most = 0;
  const order: number[] = [];
  server.handle('sw_interface_set_mtu', async ({ sw_if_index }) => {
    order.push(sw_if_index as number);
    most = Math.max(most, (open += 1));
    await new Promise((resolve) => setTimeout(resolve, 1));
    open -= 1;
    return {};
  });
  const all = Array.from({ length: 58 }, (_, n) => vpp.request('sw_interface_set_mtu', { sw_if_index: n, mtu }));
  t.match(vpp.stats(), { inFlight: 8, queued: 50, window: 8 });
  t.match(await failure(vpp.request('show_version')), { code: 'ERR_VPP_QUEUE_FULL' });
  const controller = new AbortController();
  const [aborted, kept] = [all[57]!, all.slice(0, 57)];
  controller.abort();
  await Promise.all(kept);
  await aborted;
  t.equal(most, 8, 'never more than the window');
  t.strictSame(
    order,
    Array.from({ length: 58 }, (_, n) => n),
    'in the order of asking',
  );
  t.match(vpp.stats(), { inFlight: 0, queued: 0 });
});

void t.test('time-outs', async (t) => {
  const server = await serve(t);
  const vpp = await client(t, server, { window: 4 });

  await t.test('a request that VPP ignores is told from one that is slow', async (t) => {
    server.script({ on: 'show_version', do: 'ignore' });
    t.match(await failure(vpp.request('show_version', {}, { timeoutMs: 40 })), {
      code: 'ERR_VPP_TIMEOUT',
      reason: 'ignored',
      timeoutMs: 40,
      messageName: 'show_version',
    });
    server.stall();
    t.match(await failure(vpp.request('show_version', {}, { timeoutMs: 40 })), {
      code: 'ERR_VPP_TIMEOUT',
      reason: 'slow',
    });
    server.resume();
    t.match(await vpp.request('show_version'), { retval: 0 });
  });

  await t.test('a request that VPP has not seen says so', async (t) => {
    server.stall();
    const open = Array.from({ length: 4 }, () => failure(vpp.request('show_version', {}, { timeoutMs: 400 })));
    t.match(await failure(vpp.request('show_version', {}, { timeoutMs: 30 })), { reason: 'unsent' });
    server.resume();
    server.stall();
    server.resume();
    await Promise.allSettled(open.map((error) => error.catch(() => undefined)));
  });

  await t.test('a late reply is dropped and counted, and its context is not used meanwhile', async (t) => {
    await until('quarantine is empty', () => vpp.stats().quarantined <= 1);
    const before = vpp.stats();
    server.script({ on: 'show_version', do: { delayMs: 120 } });
    const error = failure(vpp.request('show_version', {}, { timeoutMs: 30 }));
    t.match(await error, { code: 'ERR_VPP_TIMEOUT' });
    t.equal(vpp.stats().quarantined, before.quarantined + 1);
    const answers = await Promise.all(
      Array.from({ length: 200 }, (_, n) => {
        server.handle('sw_interface_set_mtu', ({ sw_if_index }) => ({ retval: -1 - (sw_if_index as number) }));
        return failure(vpp.request('sw_interface_set_mtu', { sw_if_index: n, mtu }));
      }),
    );
    t.ok(
      answers.every((answer, n) => answer.retval === -1 - n),
      'nobody else got it',
    );
    await until('the late reply', () => vpp.stats().lateReplies > before.lateReplies);
    t.equal(vpp.stats().quarantined, before.quarantined, 'then the context is free again');
  });

  await t.test('a signal rejects with its reason', async (t) => {
    const controller = new AbortController();
    server.script({ on: 'show_version', do: { delayMs: 30 } });
    const asked = failure(vpp.request('show_version', {}, { signal: controller.signal }));
    controller.abort(new Error('no longer needed'));
    t.equal((await asked).message, 'no longer needed');
    t.equal(
      (await failure(vpp.request('show_version', {}, { signal: controller.signal }))).message,
      'no longer needed',
    );
    t.match(await vpp.request('show_version'), { retval: 0 });
  });
});

void t.test('dumps', async (t) => {
  const server = await serve(t);
  const vpp = await client(t, server);

  await t.test('rows until our own control_ping', async (t) => {
    const names: string[] = [];
    for await (const row of vpp.dump('sw_interface_dump')) names.push(row.interface_name);
    t.strictSame(names, ['local0', 'memif0/0', 'tap1']);
    t.strictSame(await vpp.dump('ip_table_dump').toArray(), [], 'no rows is no error');
  });

  await t.test('as views, and in batches', async (t) => {
    const views = await vpp.dump('sw_interface_dump', {}, { as: 'view' }).toArray();
    t.strictSame(
      views.map((view) => view.sw_if_index),
      [0, 1, 2],
    );
    let rows = 0;
    for await (const batch of vpp.dump('sw_interface_dump').batches(2)) {
      t.ok(batch.length <= 2);
      rows += batch.length;
    }
    t.equal(rows, 3);
  });

  await t.test('a cursor is followed over all pages, and only with -165', async (t) => {
    server.pageRows = 10;
    server.handle('sw_interface_tx_placement_get', function* () {
      for (let n = 0; n < 95; n++) yield { sw_if_index: n, queue_id: n % 4 };
    });
    let asked = 0;
    server.on('request', (name) => (asked += name === 'sw_interface_tx_placement_get' ? 1 : 0));
    const rows = await vpp.dump('sw_interface_tx_placement_get', { sw_if_index: 0xffffffff }).toArray();
    t.strictSame(
      rows.map((row) => row.sw_if_index),
      Array.from({ length: 95 }, (_, n) => n),
    );
    t.equal(asked, 10);
    server.script({ on: 'sw_interface_tx_placement_get', do: { change: (message) => message } });
    server.handle('sw_interface_tx_placement_get', () => ({ retval: -7, cursor: 0xffffffff }));
    t.strictSame(
      await vpp.dump('sw_interface_tx_placement_get', { sw_if_index: 0xffffffff }).toArray(),
      [],
      'an empty vector is no error',
    );
    server.handle('sw_interface_tx_placement_get', () => ({ retval: 0, cursor: 12345 }));
    t.strictSame(
      await vpp.dump('sw_interface_tx_placement_get', { sw_if_index: 0xffffffff }).toArray(),
      [],
      'a cursor without -165 is not followed',
    );
    server.handle('sw_interface_tx_placement_get', () => ({ retval: -6, cursor: 1 }));
    t.strictSame(await vpp.dump('sw_interface_tx_placement_get', { sw_if_index: 0xffffffff }).toArray(), []);
    server.handle('sw_interface_tx_placement_get', () => ({ retval: -2, cursor: 1 }));
    t.match(await failure(vpp.dump('sw_interface_tx_placement_get', { sw_if_index: 0xffffffff }).toArray()), {
      code: 'ERR_VPP_API',
      retval: -2,
    });
  });

  await t.test('leaving the loop stops it: rows still under way are dropped, requests go on', async (t) => {
    server.handle('ip_route_v2_dump', function* () {
      for (let n = 0; n < 50_000; n++) yield route(n);
    });
    let seen = 0;
    for await (const row of vpp.dump('ip_route_v2_dump', everyRoute)) {
      t.ok(row.route.prefix.startsWith('10.'));
      if (++seen === 10) break;
    }
    t.match(await vpp.request('show_version'), { retval: 0 });
    await until('the rest has gone by', () => vpp.stats().quarantined === 0 && vpp.stats().inFlight === 0);
  });

  await t.test('every row once and in order, as object and as view, however it is taken', async (t) => {
    for (const as of ['object', 'view'] as const) {
      let expected = 0;
      for await (const row of vpp.dump('ip_route_v2_dump', everyRoute, { as })) {
        if (row.route.prefix !== route(expected).route.prefix) break;
        if (++expected % 1777 === 0) await new Promise((resolve) => setImmediate(resolve));
      }
      t.equal(expected, 50_000, as);
      expected = 0;
      for await (const batch of vpp.dump('ip_route_v2_dump', everyRoute, { as }).batches(1 + (expected % 7))) {
        for (const row of batch) if (row.route.prefix === route(expected).route.prefix) expected += 1;
      }
      t.equal(expected, 50_000, `${as}, in batches`);
    }
  });

  await t.test('a slow consumer holds up neither VPP nor other requests', async (t) => {
    const stream = vpp.dump('ip_route_v2_dump', everyRoute);
    await stream.next();
    t.match(await vpp.request('show_version'), { retval: 0 }, 'a request made after the dump is answered');
    t.equal(stream.received, 50_000, 'all rows were taken from VPP');
    t.equal(stream.buffered, 49_999, 'as bytes that wait here');
    const last = (await stream.toArray()).at(-1)!;
    t.equal(last.route.prefix, '10.0.195.79/32');
  });

  await t.test('a cursor asks for the next page only when few rows are left', async (t) => {
    server.pageRows = 2000;
    let pages = 0;
    server.on('request', (name) => (pages += name === 'sw_interface_tx_placement_get' ? 1 : 0));
    server.handle('sw_interface_tx_placement_get', function* () {
      for (let n = 0; n < 6000; n++) yield { sw_if_index: n };
    });
    const stream = vpp.dump('sw_interface_tx_placement_get', { sw_if_index: 0xffffffff });
    await stream.next();
    await vpp.request('show_version');
    t.equal(pages, 1, 'the second page waits for the consumer');
    t.equal((await stream.toArray()).length, 5999);
    t.equal(pages, 3);
  });

  await t.test('memory for rows is bounded', async (t) => {
    const stream = vpp.dump('ip_route_v2_dump', everyRoute, { maxBufferedBytes: 1_000_000 });
    await vpp.request('show_version');
    t.match(await failure(stream.toArray()), { code: 'ERR_VPP_OVERFLOW' });
    t.match(await vpp.request('show_version'), { retval: 0 });
  });

  await t.test('silence ends a dump with a time-out, and a signal at once', async (t) => {
    server.script({ on: 'ip_table_dump', do: 'stall' });
    t.match(await failure(vpp.dump('ip_table_dump', {}, { timeoutMs: 30 }).toArray()), { code: 'ERR_VPP_TIMEOUT' });
    server.resume();
    const controller = new AbortController();
    const stream = vpp.dump('ip_route_v2_dump', everyRoute, { signal: controller.signal });
    controller.abort(new Error('enough'));
    t.equal((await failure(stream.toArray())).message, 'enough');
    t.match(await vpp.request('show_version'), { retval: 0 });
  });
});

void t.test('events', async (t) => {
  const server = await serve(t);
  const wants: unknown[] = [];
  server.on('request', (name, fields) => {
    if (name.startsWith('want_')) wants.push([name, fields.enable_disable]);
  });
  const vpp = await client(t, server);

  await t.test('the first listener switches them on, the last one off', async (t) => {
    const first = vpp.on('sw_interface_event');
    const second = vpp.on('sw_interface_event');
    await Promise.all([first.ready, second.ready]);
    t.strictSame(wants, [['want_interface_events', 1]]);
    t.equal(server.event('sw_interface_event', { sw_if_index: 3, flags: 1 }), 1);
    t.match((await first.next()).value, { sw_if_index: 3, flags: 1, pid: process.pid });
    t.match((await second.next()).value, { sw_if_index: 3 });
    await first.return();
    server.event('sw_interface_event', { sw_if_index: 4 });
    t.match((await second.next()).value, { sw_if_index: 4 });
    t.equal(wants.length, 1);
    await second.return();
    await until('want_interface_events 0', () => wants.length === 2);
    t.strictSame(wants[1], ['want_interface_events', 0]);
    t.equal(server.event('sw_interface_event', {}), 0);
  });

  await t.test('a listener instead of a loop', async (t) => {
    const seen: number[] = [];
    const listener = (event: { sw_if_index: number }) => void seen.push(event.sw_if_index);
    vpp.on('sw_interface_event', listener);
    await until('registered', () => server.clients[0]!.wants.length === 1);
    server.event('sw_interface_event', { sw_if_index: 8 });
    await until('the event', () => seen.length === 1);
    vpp.off('sw_interface_event', listener);
    await until('not registered', () => server.clients[0]!.wants.length === 0);
    t.strictSame(seen, [8]);
  });

  await t.test('already registered (-31) is as good as registered; another refusal is an error', async (t) => {
    server.script({ on: 'want_interface_events', do: { retval: -31 } });
    const stream = vpp.on('sw_interface_event');
    await stream.ready;
    await stream.return();
    await until('taken back', () => vpp.stats().inFlight === 0);
    server.script({ on: 'want_interface_events', do: { retval: -3 } });
    const refused = vpp.on('sw_interface_event');
    t.match(await failure(refused.ready), { retval: -3 });
    t.match(await failure(refused.next()), { retval: -3 });
  });

  await t.test('events are not dropped in silence: who does not keep up is told', async (t) => {
    await until('idle', () => vpp.stats().inFlight === 0);
    const stream = vpp.on('sw_interface_event', { maxQueued: 10 });
    await stream.ready;
    for (let n = 0; n < 11; n++) server.event('sw_interface_event', { sw_if_index: n });
    await vpp.request('show_version');
    for (let n = 0; n < 10; n++) t.match((await stream.next()).value, { sw_if_index: n });
    t.match(await failure(stream.next()), { code: 'ERR_VPP_OVERFLOW' });
  });

  await t.test('after a restart of VPP they come again, without anybody asking', async (t) => {
    const stream = vpp.on('sw_interface_event');
    await stream.ready;
    const back = next(vpp, 'reconnected');
    await server.restart({ pid: 4711, firstId: 300 });
    t.match(await back, { newInstance: true, pid: 4711 });
    server.event('sw_interface_event', { sw_if_index: 77 });
    t.match((await stream.next()).value, { sw_if_index: 77 });
    await stream.return();
  });
});

void t.test('life', async (t) => {
  await t.test('connecting is tried until it works, or the signal or the time says otherwise', async (t) => {
    const path = join(folder(t), 'api.sock');
    t.match(await failure(connect({ socket: path, retry: false })), { code: 'ERR_VPP_CONNECT', message: /ENOENT/ });
    t.match(await failure(connect({ socket: path, timeoutMs: 600 })), {
      code: 'ERR_VPP_CONNECT',
      message: /600 ms.*ENOENT/s,
    });
    const controller = new AbortController();
    const attempt = failure(connect({ socket: path, signal: controller.signal }));
    setTimeout(() => controller.abort(), 20);
    t.match(await attempt, { code: 'ERR_VPP_CONNECT', message: /aborted/ });
    const waiting = connect({ socket: path, retry: { minMs: 5, maxMs: 20 } });
    const server = new ApiServer({ path, schema: bundled });
    setTimeout(() => void server.listen(), 50);
    const vpp = await waiting;
    t.equal(vpp.state, 'connected');
    await vpp.close();
    await server.close();
  });

  await t.test('a restart: in-flight requests reject once, ids are renewed, and it is a new instance', async (t) => {
    const server = await serve(t, { pid: 100 });
    const vpp = await client(t, server, { retry: { minMs: 5, maxMs: 20 } });
    const states: string[] = [];
    vpp.on('state', (to) => states.push(to));
    const before = vpp.idOf('show_version')!;
    server.stall();
    const inFlight = failure(vpp.request('show_version'));
    const back = next(vpp, 'reconnected') as Promise<Reconnected>;
    await server.restart({ pid: 100, firstId: 500, downMs: 30 });
    t.match(await inFlight, { code: 'ERR_VPP_DISCONNECTED' });
    t.match(await back, { newInstance: true, pid: 100 }, 'the same pid, as in a container, with another table');
    t.not(vpp.idOf('show_version'), before);
    t.match(await vpp.request('show_version'), { retval: 0 });
    t.strictSame(states, ['reconnecting', 'connected']);
    t.equal(vpp.stats().reconnects, 1);
  });

  await t.test('a lost connection to the same VPP is not a new instance', async (t) => {
    const server = await serve(t, { pid: 100 });
    const vpp = await client(t, server, { retry: { minMs: 5, maxMs: 20 } });
    const back = next(vpp, 'reconnected');
    server.clients[0]!.kill();
    t.match(await back, { newInstance: false });
  });

  await t.test('while there is no connection requests reject at once', async (t) => {
    const server = await serve(t);
    const vpp = await client(t, server, { retry: { minMs: 5, maxMs: 20 } });
    const lost = next(vpp, 'disconnected');
    await server.kill();
    await lost;
    t.match(await failure(vpp.request('show_version')), { code: 'ERR_VPP_NOT_CONNECTED' });
    t.match(await failure(vpp.dump('sw_interface_dump').toArray()), { code: 'ERR_VPP_NOT_CONNECTED' });
    const ready = vpp.ready();
    await server.listen();
    await ready;
    t.match(await vpp.request('show_version'), { retval: 0 });
  });

  await t.test('half-open: a VPP that stops answering is found out and given up', async (t) => {
    const server = await serve(t);
    const vpp = await client(t, server, {
      health: { intervalMs: 20, dropAfterMs: 150 },
      retry: { minMs: 5, maxMs: 20 },
      handshakeMs: 100,
    });
    const states: string[] = [];
    vpp.on('state', (to) => states.push(to));
    server.stall();
    const asked = failure(vpp.request('show_version', {}, { timeoutMs: 0 }));
    t.match(await asked, { code: 'ERR_VPP_UNRESPONSIVE' });
    const back = next(vpp, 'reconnected');
    server.resume();
    await back;
    t.strictSame(states, ['unresponsive', 'reconnecting', 'connected']);
    server.stall();
    await until('unresponsive', () => vpp.state === 'unresponsive');
    server.resume();
    await until('connected again', () => vpp.state === 'connected');
    t.equal(vpp.stats().reconnects, 1, 'a pause is no reason to reconnect');
  });

  await t.test('the file of the socket replaced by another VPP: the connection follows', async (t) => {
    const server = await serve(t, { pid: 1 });
    const vpp = await client(t, server, { health: { intervalMs: 20 }, retry: { minMs: 5, maxMs: 20 } });
    const reason = next(vpp, 'disconnected');
    const back = next(vpp, 'reconnected');
    const other = new ApiServer({ path: server.path, schema: bundled, pid: 2 });
    await other.listen();
    t.teardown(() => other.close());
    t.match(await reason, { code: 'ERR_VPP_SOCKET_REPLACED' });
    t.match(await back, { newInstance: true, pid: 2 });
  });

  await t.test('close lets requests finish, then says sockclnt_delete and waits for the end', async (t) => {
    const server = await serve(t);
    const requests: string[] = [];
    server.on('request', (name) => requests.push(name));
    const vpp = await connect({ socket: server.path });
    server.script({ on: 'show_version', do: { delayMs: 40 } });
    const last = vpp.request('show_version');
    const closed = vpp.close();
    t.match(await failure(vpp.request('show_version')), { code: 'ERR_VPP_CLOSED' });
    await closed;
    t.match(await last, { retval: 0 });
    t.equal(requests.at(-1), 'sockclnt_delete');
    t.equal(vpp.state, 'closed');
    t.equal(server.clients.length, 0);
    await vpp.close();
  });

  await t.test('destroy fails everything now, and still leaves in good order', async (t) => {
    const server = await serve(t);
    const requests: string[] = [];
    server.on('request', (name) => requests.push(name));
    const vpp = await connect({ socket: server.path, window: 1 });
    server.script({ on: 'show_version', do: 'lose' });
    const [open, parked] = [failure(vpp.request('show_version')), failure(vpp.request('show_version'))];
    const stream = vpp.on('sw_interface_event', { want: false });
    await vpp.destroy(new Error('the end'));
    t.equal((await open).message, 'the end');
    t.equal((await parked).message, 'the end');
    t.match(await failure(stream.next()), { message: 'the end' });
    t.equal(requests.at(-1), 'sockclnt_delete');
  });

  await t.test('a process that exits leaves in good order too', async (t) => {
    const server = await serve(t);
    const requests: string[] = [];
    server.on('request', (name) => requests.push(name));
    const script = `import { connect } from 'node-vpp/api';
      const vpp = await connect({ socket: ${JSON.stringify(server.path)} });
      await vpp.request('show_version');
      process.exit(3);`;
    const { code } = await run(script);
    t.equal(code, 3);
    await until('gone', () => server.clients.length === 0);
    t.equal(requests.at(-1), 'sockclnt_delete');
  });

  await t.test('an unreferenced connection does not keep the process alive', async (t) => {
    const server = await serve(t);
    const script = `import { connect } from 'node-vpp/api';
      const vpp = await connect({ socket: ${JSON.stringify(server.path)} });
      vpp.unref();
      console.log(vpp.state);`;
    const { code, output } = await run(script);
    t.equal(output, 'connected\n');
    t.equal(code, 0);
    await until('gone', () => server.clients.length === 0);
  });
});

void t.test('schemas', async (t) => {
  const plugin = JSON.stringify([
    {
      module: 'acme',
      types: [],
      messages: [
        [
          'acme_paint',
          ['u16', '_vl_msg_id'],
          ['u32', 'client_index'],
          ['u32', 'context'],
          ['u32', 'colour'],
          { crc: '0x0badcafe', options: {} },
        ],
        [
          'acme_paint_reply',
          ['u16', '_vl_msg_id'],
          ['u32', 'context'],
          ['i32', 'retval'],
          ['u32', 'coats'],
          { crc: '0x0badcaff', options: {} },
        ],
        [
          'want_acme_events',
          ['u16', '_vl_msg_id'],
          ['u32', 'client_index'],
          ['u32', 'context'],
          ['bool', 'enable'],
          ['u32', 'pid'],
          { crc: '0x0badcb00', options: {} },
        ],
        [
          'want_acme_events_reply',
          ['u16', '_vl_msg_id'],
          ['u32', 'context'],
          ['i32', 'retval'],
          { crc: '0x0badcb01', options: {} },
        ],
        [
          'acme_event',
          ['u16', '_vl_msg_id'],
          ['u32', 'client_index'],
          ['u32', 'pid'],
          ['u32', 'drops'],
          { crc: '0x0badcb02', options: {} },
        ],
      ],
      unions: [],
      enums: [],
      enumflags: [],
      services: {
        acme_paint: { reply: 'acme_paint_reply' },
        want_acme_events: { reply: 'want_acme_events_reply', events: ['acme_event'] },
      },
      options: { version: '1.0.0' },
      aliases: {},
      vl_api_version: '0x11111111',
      imports: [],
      counters: [],
      paths: [],
    },
  ]);

  await t.test('an older VPP is spoken to in its own words', async (t) => {
    for (const release of ['24.10', '25.10'] as const) {
      const schema = loadBundled(release);
      const server = new ApiServer({ path: join(folder(t), 'api.sock'), schema });
      server.handle('show_version', () => ({ version: release }));
      await server.listen();
      const vpp = await connect({ socket: server.path });
      t.equal(vpp.schema.release, release);
      t.match(await vpp.request('show_version'), { version: release });
      await vpp.close();
      await server.close();
    }
  });

  await t.test('a plugin never seen before is learnt from the running VPP', async (t) => {
    const schema = mergeSchemas('with acme', bundled, schemaFromJson(plugin));
    const server = new ApiServer({ path: join(folder(t), 'api.sock'), schema });
    server.handle('acme_paint', ({ colour }) => ({ coats: (colour as number) + 1 }));
    let asked = 0;
    server.on('request', (name) => (asked += name === 'get_api_json' ? 1 : 0));
    await server.listen();
    t.teardown(() => server.close());
    const vpp = await connect({ socket: server.path });
    t.teardown(() => vpp.close());
    await vpp.request('show_version').catch(() => undefined);
    t.equal(asked, 0, 'what is bundled is not asked for');
    const both = await Promise.all([
      vpp.request('acme_paint', { colour: 6 }),
      vpp.request('acme_paint', { colour: 7 }),
    ]);
    t.match(both, [{ retval: 0, coats: 7 }, { coats: 8 }]);
    t.equal(asked, 1, 'asked once');
    const events = vpp.on('acme_event');
    await events.ready;
    server.event('acme_event', { drops: 5 });
    t.match((await events.next()).value, { drops: 5 });
    const back = next(vpp, 'reconnected');
    await server.restart({ firstId: 200 });
    await back;
    server.event('acme_event', { drops: 6 });
    t.match((await events.next()).value, { drops: 6 }, 'also after a restart');
    t.match(await vpp.request('acme_paint', { colour: 1 }), { coats: 2 });
  });

  await t.test(
    'with a schema chosen, a message that differs is explained by field, and the right release named',
    async (t) => {
      const server = await serve(t);
      const older = loadBundled('24.10');
      const differing = [...older.messageNames()].filter(
        (name) => bundled.has(name) && bundled.crc(name) !== older.crc(name) && older.service(name)?.stream === false,
      );
      t.ok(differing.length > 0);
      const vpp = await client(t, server, { schema: '24.10' });
      for (const name of differing.slice(0, 5)) {
        const error = await failure(vpp.request(name, {}));
        t.match(error, { code: 'ERR_VPP_MESSAGE_DIFFERS', messageName: name, message: /26\.06/ });
        t.ok((error.releases as string[]).includes('26.06'));
        t.ok((error.differences as string[]).length > 0, error.message);
      }
      const gone = [...older.messageNames()].find(
        (name) => !bundled.has(name) && older.service(name)?.stream === false,
      )!;
      t.match(await failure(vpp.request(gone, {})), { code: 'ERR_VPP_MESSAGE_MISSING', message: /24\.10/ });
    },
  );

  await t.test('a VPP too old to tell its schema is used as far as it is known', async (t) => {
    const server = await serve(t, {
      schema: loadBundled('24.10'),
      without: (name) => name.startsWith('get_api_json'),
      crcs: { ip_table_add_del: '0x01020304' },
    });
    const vpp = await client(t, server);
    t.match(await vpp.request('show_version'), { retval: 0 });
    t.match(await failure(vpp.request('ip_table_add_del', { table: everyRoute.table } as never)), {
      code: 'ERR_VPP_MESSAGE_DIFFERS',
    });
  });
});

void t.test('a pool spreads requests, keeps dumps apart, and orders what a session asks', async (t) => {
  const server = await serve(t);
  const seen: { name: string; client: string; index: unknown }[] = [];
  server.on('request', (name, fields, from) => seen.push({ name, client: from.name, index: fields.sw_if_index }));
  server.handle('sw_interface_set_mtu', async () => {
    await new Promise((resolve) => setTimeout(resolve, 5));
    return {};
  });
  const pool = await createPool({ socket: server.path, size: 3, name: 'p' });
  t.equal(server.clients.length, 3);
  await Promise.all(
    Array.from({ length: 10 }, (_, n) => pool.request('sw_interface_set_mtu', { sw_if_index: n, mtu })),
  );
  const used = seen.filter(({ name }) => name === 'sw_interface_set_mtu').map((entry) => entry.client);
  t.strictSame([used.filter((name) => name === 'p-0').length, used.filter((name) => name === 'p-1').length], [5, 5]);
  await pool.dump('sw_interface_dump').toArray();
  t.equal(seen.find(({ name }) => name === 'sw_interface_dump')!.client, 'p-2');
  const events = pool.on('sw_interface_event');
  await events.ready;
  t.equal(seen.find(({ name }) => name === 'want_interface_events')!.client, 'p-0');
  seen.length = 0;
  const session = pool.session();
  await Promise.all(
    Array.from({ length: 10 }, (_, n) => session.request('sw_interface_set_mtu', { sw_if_index: n, mtu })),
  );
  t.equal(new Set(seen.map((entry) => entry.client)).size, 1, 'one connection');
  t.strictSame(
    seen.map(({ index }) => index),
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
  );
  seen.length = 0;
  const waiting = pool.request('sw_interface_set_mtu', { sw_if_index: 99, mtu });
  const items = Array.from({ length: 100 }, (_, n) => ({ sw_if_index: n, mtu }));
  const report = await pool.requestMany('sw_interface_set_mtu', items, { window: 7 });
  await waiting;
  t.match(report, { succeeded: 100, failed: 0, resumeIndex: 100 });
  t.strictSame(
    seen.map(({ client, index }) => `${client} ${String(index)}`),
    ['p-0 99', ...items.map((_, n) => `p-1 ${n}`)],
    'in order, over the connection that had nothing to do',
  );
  t.match(await failure(pool.requestMany('sw_interface_dump' as 'control_ping', [])), { message: /use dump/ });
  await pool.close();
  t.equal(server.clients.length, 0);
});

void t.test('trace', async (t) => {
  const server = await serve(t);
  const vpp = await client(t, server);
  const file = join(folder(t), 'trace.jsonl');

  await t.test('keeps the last exchanges, decodes them when asked, and no secrets', async (t) => {
    const trace = vpp.trace({ capacity: 3, file });
    server.handle('memif_create_v2', () => ({ sw_if_index: 5 }));
    for (let n = 0; n < 4; n++)
      await vpp.request('sw_interface_set_mtu', { sw_if_index: n, mtu }).catch(() => undefined);
    await vpp.request('memif_create_v2', { ...memif, secret: 'do-not-tell' });
    await vpp.dump('sw_interface_dump').toArray();
    t.equal(trace.total, 6);
    const [first, second, dump] = trace.decoded();
    t.match(first, {
      name: 'sw_interface_set_mtu',
      fields: { sw_if_index: 3 },
      received: [{ fields: { retval: -9 } }],
    });
    t.match(second, {
      name: 'memif_create_v2',
      fields: { id: 1, secret: '' },
      received: [{ fields: { sw_if_index: 5 } }],
    });
    t.equal(dump!.received.length, 3, 'a dump with its rows is one exchange');
    t.ok(dump!.durationMs! >= 0);
    trace.stop();
    t.notMatch(
      readFileSync(file, 'latin1') + readFileSync(`${file}.1`, 'latin1'),
      Buffer.from('do-not-tell').toString('base64').slice(4, 12),
    );
    await vpp.request('show_version');
    t.equal(trace.total, 6, 'stopped');
    trace.save(file);
  });

  await t.test('can be replayed, and tells what is different now', async (t) => {
    const exchanges = readTrace(file, [bundled]);
    t.equal(exchanges.length, 3);
    server.handle('memif_create_v2', () => ({ sw_if_index: 6 }));
    const results = [];
    for await (const result of replay(vpp, exchanges, [bundled])) results.push([result.name, result.same]);
    t.strictSame(results, [
      ['sw_interface_set_mtu', true],
      ['memif_create_v2', false],
      ['sw_interface_dump', true],
    ]);
  });
});

void t.test('diagnostics channels tell everything, without secrets', async (t) => {
  const server = await serve(t);
  const vpp = await client(t, server, { name: 'watched' });
  const seen: [string, Record<string, unknown>][] = [];
  const names = [
    'node-vpp:api:request',
    'node-vpp:api:reply',
    'tracing:node-vpp:api:request:asyncEnd',
    'node-vpp:api:event',
  ];
  const listener = (message: unknown, name: string | symbol) =>
    void seen.push([String(name), message as Record<string, unknown>]);
  for (const name of names) subscribe(name, listener);
  await vpp.request('memif_create_v2', { ...memif, secret: 'hush' }).catch(() => undefined);
  const events = vpp.on('sw_interface_event');
  await events.ready;
  server.event('sw_interface_event', { sw_if_index: 1 });
  await events.next();
  for (const name of names) unsubscribe(name, listener);
  t.match(seen[0], [
    'node-vpp:api:request',
    { connection: 'watched', name: 'memif_create_v2', fields: { secret: '(secret)' } },
  ]);
  t.match(seen[1], ['node-vpp:api:reply', { name: 'memif_create_v2', error: { retval: -9 } }]);
  t.type(seen[1]![1].durationMs, 'number');
  t.ok(seen.some(([name]) => name === 'tracing:node-vpp:api:request:asyncEnd'));
  t.ok(seen.some(([name, { name: event }]) => name === 'node-vpp:api:event' && event === 'sw_interface_event'));
  t.notMatch(JSON.stringify(seen), /hush/);
});

void t.test('a server that does wrong', async (t) => {
  const server = await serve(t);
  const vpp = await client(t, server, { requestTimeoutMs: 150, retry: { minMs: 2, maxMs: 10 } });
  const fault = (action: Fault['do'], on = 'show_version') => server.script({ on, do: action });
  const ask = () => failure(vpp.request('show_version'));
  const works = async () => {
    await vpp.ready();
    t.match(await vpp.request('show_version'), { retval: 0 }, 'and goes on');
  };

  await t.test('replies that are wrong in themselves fail their request only', async (t) => {
    fault({ shortenBy: 100 });
    t.match(await ask(), { code: 'ERR_VPP_REPLY_MALFORMED' });
    fault('wrong-message');
    t.match(await ask(), { code: 'ERR_VPP_REPLY_UNEXPECTED' });
    t.equal(vpp.stats().malformed, 2);
    await works();
    t.equal(vpp.stats().reconnects, 0);
  });

  await t.test('replies to nobody are counted and ignored', async (t) => {
    fault('wrong-context');
    t.match(await ask(), { code: 'ERR_VPP_TIMEOUT', reason: 'ignored' });
    fault('wrong-id');
    t.match(await ask(), { code: 'ERR_VPP_TIMEOUT', reason: 'ignored' });
    fault('duplicate');
    await vpp.request('show_version');
    await works();
    t.match(vpp.stats(), { unknownMessages: 1, unknownContexts: 2, reconnects: 0 });
  });

  await t.test('an array longer than its message, and text without an end', async (t) => {
    server.handle('cli_inband', () => ({ reply: 'x'.repeat(100) }));
    fault({ change: (message) => (message.set([0xff, 0xff, 0xff, 0xff], 10), message) }, 'cli_inband');
    t.match(await failure(vpp.request('cli_inband', { cmd: 'show int' })), { code: 'ERR_VPP_REPLY_MALFORMED' });
    fault({ change: (message) => (message.fill(0x41, 10), message) });
    t.match(await vpp.request('show_version'), { program: 'A'.repeat(32) }, 'a string may fill its field');
    server.handle('ip_route_v2_dump', () => [route(1)]);
    fault({ change: (message) => (message.fill(0xff, 6, 40), message) }, 'ip_route_v2_dump');
    const error = await failure(vpp.dump('ip_route_v2_dump', everyRoute).toArray());
    t.equal(error.code, 'ERR_VPP_REPLY_MALFORMED');
    await works();
  });

  await t.test('a frame too large, half a frame and noise end the connection, and it is made anew', async (t) => {
    const before = vpp.stats().reconnects;
    fault('huge-frame');
    t.match(await ask(), { code: 'ERR_VPP_FRAME_TOO_LARGE' });
    await works();
    fault('half-frame');
    t.match(await ask(), { code: 'ERR_VPP_DISCONNECTED' });
    await works();
    fault({ raw: new Uint8Array(64).fill(0xa5) });
    t.match(await ask(), { code: 'ERR_VPP_FRAME_TOO_LARGE' });
    await works();
    fault('reset');
    t.match(await ask(), { code: 'ERR_VPP_DISCONNECTED' });
    await works();
    t.equal(vpp.stats().reconnects, before + 4);
  });

  await t.test('what is no VPP at all is refused in the handshake', async (t) => {
    const path = join(folder(t), 'other.sock');
    const answers = [
      Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'),
      Buffer.from('00000000000000000000001400000000' + '0010000000010000ffff0000' + '0000000000000000', 'hex'),
      Buffer.alloc(0),
    ];
    for (const answer of answers) {
      const open = new Set<Socket>();
      const stranger = createServer((socket) => {
        open.add(socket);
        socket.once('data', () => socket.write(answer));
        socket.on('error', () => undefined);
      });
      await new Promise<void>((resolve) => stranger.listen(path, resolve));
      const error = await failure(connect({ socket: path, retry: false, handshakeMs: 100 }));
      t.match(error, { message: /handshake|announces|sockclnt_create|table/ }, error.message);
      for (const socket of open) socket.destroy();
      await new Promise((resolve) => stranger.close(resolve));
    }
  });

  await t.test('random messages of every kind are survived', async (t) => {
    const seed = Number(process.env.NODE_VPP_SEED ?? Date.now() % 0x7fffffff);
    let state = seed;
    const random = () => (state = (Math.imul(state, 1103515245) + 12345) >>> 0);
    let settled = 0;
    for (let round = 0; round < 300; round++) {
      fault({
        change: (message) => {
          for (let n = random() % 8; n >= 0; n--) message[2 + (random() % (message.length - 2))] = random() >>> 24;
          return message.subarray(0, 2 + (random() % (message.length - 1)));
        },
      });
      await vpp.request('show_version', {}, { timeoutMs: 15 }).then(
        () => (settled += 1),
        () => (settled += 1),
      );
    }
    t.equal(settled, 300, `seed ${seed}`);
    await works();
  });
});

void t.test('chaos: killed, stalled, restarted at random under 10 k concurrent requests', async (t) => {
  const seed = Number(process.env.NODE_VPP_SEED ?? Date.now() % 0x7fffffff);
  let state = seed;
  const random = (below: number) => ((state = (Math.imul(state, 1103515245) + 12345) >>> 0) >>> 12) % below;
  const server = await serve(t, { pid: 1 });
  const openFiles = () => readdirSync('/proc/self/fd').length;
  const before = openFiles();
  const vpp = await client(t, server, {
    retry: { minMs: 1, maxMs: 10 },
    window: 512,
    requestTimeoutMs: 4000,
    handshakeMs: 300,
    health: { intervalMs: 50, dropAfterMs: 300 },
  });
  server.handle('ip_route_v2_dump', function* () {
    for (let n = 0; n < 200; n++) yield route(n);
  });
  const settlements = new Map<number, number>();
  const codes = new Map<string, number>();
  const count = (code: string) => codes.set(code, (codes.get(code) ?? 0) + 1);
  let asked = 0;
  let running = true;
  const settle = (id: number, code: string) => {
    settlements.set(id, (settlements.get(id) ?? 0) + 1);
    count(code);
  };
  const worker = async () => {
    while (running) {
      const id = asked++;
      const promise: Promise<unknown> =
        id % 50 === 0 ? vpp.dump('ip_route_v2_dump', everyRoute).toArray() : vpp.request('show_version');
      await promise.then(
        () => settle(id, 'ok'),
        (error: unknown) => settle(id, (error as { code?: string }).code ?? (error as Error).message),
      );
      await vpp.ready();
    }
  };
  const workers = Array.from({ length: 10_000 }, () => worker());
  for (let round = 0; round < 12; round++) {
    const goal = (codes.get('ok') ?? 0) + 500;
    await until('some requests to succeed', () => (codes.get('ok') ?? 0) >= goal, 60_000);
    await new Promise((resolve) => setTimeout(resolve, random(60)));
    switch (random(4)) {
      case 0:
        await server.restart({ firstId: 101 + random(500), downMs: random(40) });
        break;
      case 1:
        server.stall();
        await new Promise((resolve) => setTimeout(resolve, random(500)));
        server.resume();
        break;
      case 2:
        for (const one of server.clients) one.kill();
        break;
      default:
        server.script(
          { on: 'show_version', times: 50, do: 'lose' },
          { on: 'show_version', times: 20, do: 'duplicate' },
        );
    }
  }
  running = false;
  server.resume();
  await Promise.all(workers);
  const wrong = [...settlements.values()].filter((times) => times !== 1);
  t.equal(settlements.size, asked, `seed ${seed}: ${asked} asked; ${JSON.stringify(Object.fromEntries(codes))}`);
  t.strictSame(wrong, [], 'every promise settled exactly once');
  const known = /^(ok|ERR_VPP_(DISCONNECTED|NOT_CONNECTED|TIMEOUT|UNRESPONSIVE|SOCKET_REPLACED))$/;
  t.strictSame(
    [...codes.keys()].filter((code) => !known.test(code)),
    [],
    'for reasons that exist',
  );
  await vpp.ready();
  t.match(await vpp.request('show_version'), { retval: 0 });
  t.match(vpp.stats(), { inFlight: 0, queued: 0 }, 'nothing is left');
  await vpp.close();
  await until('both ends of every socket to be closed', () => openFiles() <= before, 10_000);
});
