// A client of shared memory in a process of its own: node shm-client.js ACTION JSON. Says what it sees as lines of JSON.

import { Worker, isMainThread, workerData, type MessagePort } from 'node:worker_threads';
import { fileURLToPath } from 'node:url';
import { connect, openShared, shareConnection, type ConnectOptions, type Connection } from 'node-vpp/api';

interface Options {
  socket: string;
  prefix: string;
  library?: string;
  transport?: 'shm' | 'auto' | 'socket';
  busyMs?: number;
  uid?: number;
}

const say = (what: object) => process.stdout.write(`${JSON.stringify(what)}\n`);
const block = (ms: number) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
const errorOf = (error: unknown) => ({ code: (error as { code?: string }).code, message: (error as Error).message });
const path = { sw_if_index: 0, table_id: 0, rpf_id: 0, weight: 1, preference: 0, type: 1, flags: 0, proto: 0 };
const routeOf = (n: number, is_add = true, table_id = 0) => ({
  is_add,
  route: { table_id, prefix: `10.${(n >> 16) & 255}.${(n >> 8) & 255}.${n & 255}/32`, paths: [path] },
});

const [, , action, json] = process.argv;
const options = JSON.parse(isMainThread ? json! : '{}') as Options;

function open(more: ConnectOptions = {}): Promise<Connection> {
  const { socket, prefix, library, transport = 'shm' } = options;
  return connect({
    socket,
    transport,
    apiSegmentPrefix: prefix,
    ...(library === undefined ? {} : { libraryPath: library }),
    requestTimeoutMs: 60_000,
    timeoutMs: 60_000,
    handshakeMs: 20_000,
    ...more,
  });
}

const actions: Record<string, () => Promise<void>> = {
  /** Connects and says by what, or why not. */
  async connect() {
    if (options.uid !== undefined) {
      process.setgroups!([]);
      process.setgid!(options.uid);
      process.setuid!(options.uid);
    }
    try {
      const vpp = await open();
      say({ transport: vpp.transport, description: vpp.description });
      await vpp.close();
    } catch (error) {
      say(errorOf(error));
    }
  },

  /** Everything once, and a second connection after the first. */
  async all() {
    const vpp = await open();
    const second = await open().then(
      () => ({ code: 'none' }),
      (error: unknown) => errorOf(error),
    );
    say({ transport: vpp.transport, second });
    const pings = await Promise.all(Array.from({ length: 20_000 }, () => vpp.request('control_ping')));
    say({ pings: pings.length, pid: pings.every(({ vpe_pid }) => vpe_pid === vpp.pid) });
    let sync = 0;
    for (let n = 0; n < 500; n++) sync += vpp.requestSync('control_ping').vpe_pid === vpp.pid ? 1 : 0;
    for (let n = 0; n < 20; n++)
      sync += vpp.requestSync('control_ping', {}, { timeoutMs: 900 }).vpe_pid === vpp.pid ? 1 : 0;
    say({ sync, version: vpp.requestSync('show_version').version });
    // Between requests that fit: one whose reply does not, one that is too large itself, and a dump.
    const adding = [];
    for (let n = 0; n < 300; n++) adding.push(vpp.request('ip_route_add_del_v2', routeOf(n)));
    const dumped = vpp.dump('ip_route_v2_dump', { src: 0, table: { table_id: 0, is_ip6: false } }).toArray();
    const said = vpp.request('cli_inband', { cmd: 'show version' });
    const wide = routeOf(1_000_000);
    const large = vpp.request('ip_route_add_del_v2', {
      ...wide,
      route: { ...wide.route, paths: Array.from({ length: 9 }, () => path) },
    });
    const gone = vpp.request('ip_route_add_del_v2', { ...wide, is_add: false });
    await Promise.all([...adding, large, gone]);
    const rows = (await dumped).filter(({ route }) => route.prefix.startsWith('10.0.'));
    const left = (
      await vpp.dump('ip_route_v2_dump', { src: 0, table: { table_id: 0, is_ip6: false } }).toArray()
    ).filter(({ route }) => route.prefix.startsWith('10.'));
    say({ rows: rows.length, left: left.length, reply: (await said).reply.length > 0 });
    const events = vpp.on('sw_interface_event');
    await events.ready;
    say({ listening: true });
    const { value } = await events.next();
    await new Promise((resolve) => setTimeout(resolve, 50));
    say({ event: value?.flags !== undefined, more: events.queued });
    await events.return();
    const report = await vpp.requestMany(
      'ip_route_add_del_v2',
      (function* () {
        for (let n = 0; n < 5000; n++) yield routeOf(n, true, n % 1000 === 999 ? 77 : 0);
      })(),
    );
    say({ succeeded: report.succeeded, failed: report.failures.map(({ index, error }) => [index, error.code]) });
    // A worker uses the connection of this thread, and ends in the middle of something.
    const port = shareConnection(vpp as never);
    const worker = new Worker(fileURLToPath(import.meta.url), { workerData: port, transferList: [port] });
    say({ worker: await new Promise((resolve) => worker.once('message', resolve)) });
    await worker.terminate();
    const stats = vpp.stats();
    say({ lost: stats.unknownContexts + stats.malformed + stats.lateReplies, inFlight: stats.inFlight });
    await vpp.close();
    const again = await open();
    say({ again: again.transport?.kind, version: (await again.request('show_version')).version });
    await again.close();
  },

  /** Asks, and then does something else for a long time. */
  async busy() {
    const vpp = await open({ health: false });
    const asked = Array.from({ length: 5000 }, () => vpp.request('control_ping', {}, { timeoutMs: 0 }));
    await new Promise((resolve) => setImmediate(resolve));
    say({ busy: vpp.stats().inFlight });
    block(options.busyMs!);
    say({ idle: true });
    const answers = await Promise.all(asked);
    say({ answered: answers.length, pid: answers.every(({ vpe_pid }) => vpe_pid === vpp.pid) });
    await vpp.close();
  },

  /** Load without end; says how it goes every now and then. */
  async load() {
    const vpp = await open({ health: { intervalMs: 200, dropAfterMs: 2000 } });
    vpp.on('reconnected', ({ newInstance }) => say({ reconnected: newInstance, transport: vpp.transport?.kind }));
    let answered = 0;
    const failed: Record<string, number> = {};
    const ask = async () => {
      while (vpp.state !== 'closing' && vpp.state !== 'closed') {
        try {
          await vpp.ready();
          await vpp.request('control_ping');
          answered += 1;
        } catch (error) {
          const { code = 'none' } = error as { code?: string };
          failed[code] = (failed[code] ?? 0) + 1;
        }
      }
    };
    for (let n = 0; n < 2000; n++) void ask();
    setInterval(() => say({ answered, failed, transport: vpp.transport?.kind }), 100);
    process.on('SIGTERM', () => void vpp.close().then(() => process.exit()));
    await new Promise(() => undefined);
  },

  /** Leaves under load, in one of several ways. */
  async leave() {
    const how = (options as { how?: string }).how;
    if (how === 'terminate') {
      const worker = new Worker(fileURLToPath(import.meta.url), { workerData: options });
      await new Promise((resolve) => worker.once('message', resolve));
      await worker.terminate();
      say({ left: how });
      return;
    }
    const vpp = await open();
    for (let n = 0; n < 500; n++) vpp.request('control_ping').catch(() => undefined);
    await vpp.request('show_version');
    for (let n = 0; n < 500; n++) vpp.request('control_ping').catch(() => undefined);
    say({ left: how });
    if (how === 'exit') process.exit(0);
    else if (how === 'throw')
      setImmediate(() => { throw new Error('as told'); }); // prettier-ignore
    else if (how === 'SIGTERM') process.once('SIGTERM', () => void vpp.close().then(() => process.exit(0)));
    else if (how === 'end') vpp.unref();
    else await vpp.close();
    if (how === 'SIGTERM') process.kill(process.pid, 'SIGTERM');
  },

  /** A blocking request to a VPP that has been stopped. */
  async stuck() {
    const vpp = await open({ health: false });
    vpp.requestSync('control_ping');
    say({ ready: true });
    await new Promise((resolve) => process.stdin.once('data', resolve));
    const began = performance.now();
    const failures = [300, 1000].map((timeoutMs) => {
      try {
        vpp.requestSync('control_ping', {}, { timeoutMs });
        return 'none';
      } catch (error) {
        return (error as { code?: string }).code;
      }
    });
    say({ failures, tookMs: performance.now() - began });
    await new Promise((resolve) => process.stdin.once('data', resolve));
    say({ answered: vpp.requestSync('control_ping').vpe_pid === vpp.pid, late: vpp.stats().lateReplies });
    await vpp.close();
    process.exit();
  },
};

if (isMainThread) await actions[action!]!();
else if ('postMessage' in (workerData as object)) {
  const { parentPort } = await import('node:worker_threads');
  const vpp = openShared(workerData as MessagePort);
  const { version } = await vpp.request('show_version');
  let rows = 0;
  for await (const row of vpp.dump('ip_route_v2_dump', { src: 0, table: { table_id: 0, is_ip6: false } })) {
    rows += row.route.prefix === '' ? 0 : 1;
  }
  const failure = await vpp.request('ip_route_add_del_v2', routeOf(1, true, 77)).catch((error: unknown) => error);
  parentPort!.postMessage({ version, rows: rows > 300, failure: (failure as { code?: string }).code });
} else {
  const { parentPort } = await import('node:worker_threads');
  Object.assign(options, workerData);
  const vpp = await open();
  for (let n = 0; n < 500; n++) vpp.request('control_ping').catch(() => undefined);
  await vpp.request('show_version');
  vpp.request('control_ping').catch(() => undefined);
  parentPort!.postMessage('connected');
}
