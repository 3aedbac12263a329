// Chapter 52: the segment between us and others. VPP's Python client, GoVPP and VPP's own tools read what the writer
// makes; the reader reads what a real VPP makes; Prometheus reads the metrics.

import t, { type Test } from 'tap';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import { connect } from 'node-vpp/api';
import { connectStats, metrics, metricsContentType, metricsFormat, openStatsImage } from 'node-vpp/stats';

import { govppStats, papiStats, runClient } from './support/clients.js';
import { plain, recordedImage, socketFolder, until, vppLike } from './support/stats.js';
import { Vpp, noVpp } from './support/vpp.js';

t.setTimeout(600_000);
const have = (program: string): boolean => spawnSync(program, ['--version'], { stdio: 'ignore' }).error === undefined;
const tools = process.env.VPP_BIN === undefined ? '' : dirname(process.env.VPP_BIN);
const noTools: string | false =
  noVpp !== false
    ? noVpp
    : existsSync(join(tools, 'vpp_get_stats'))
      ? false
      : 'vpp_get_stats is not beside the vpp binary';

// Built before anything is served: that takes its time.
const python = papiStats();
const go = govppStats();

/** A VPP's tool on a stats socket. */
function vppTool(name: string, ...args: string[]): string {
  const env = { ...process.env, LD_LIBRARY_PATH: join(tools, '../lib/x86_64-linux-gnu') };
  return execFileSync(join(tools, name), args, { env, encoding: 'utf8', timeout: 60_000 });
}

/** What `vpp_get_stats machine dump` prints, as [type, index, thread, value…] by entry. */
function getStats(socket: string, pattern: string): Map<string, string[]> {
  const lines = vppTool('vpp_get_stats', 'socket-name', socket, 'machine', 'dump', pattern).split('\n');
  const found = new Map<string, string[]>();
  for (const line of lines) {
    const [head = '', name] = /^(.*?):(\/.*)$/.exec(line)?.slice(1) ?? [];
    if (name !== undefined) found.set(name, [...(found.get(name) ?? []), head]);
  }
  return found;
}

/** The same of a value of ours. */
function asGetStats(value: ReturnType<ReturnType<typeof openStatsImage>['get']>): string[] {
  switch (value?.type) {
    case 'scalar':
    case 'gauge':
      return [`${value.type === 'scalar' ? 1 : 9}:${value.value}.00`];
    case 'simple':
      return value.value.flatMap((row, thread) => row.map((n, i) => `2:${i}:${thread}:${n}`));
    case 'combined':
      return value.packets.flatMap((row, thread) =>
        row.map((n, i) => `3:${i}:${thread}:${n}:${value.bytes[thread]![i]}`),
      );
    case 'simpleColumn':
      return value.value.map((n, thread) => `2:0:${thread}:${n}`);
    case 'combinedColumn':
      return value.packets.map((n, thread) => `3:0:${thread}:${n}:${value.bytes[thread]}`);
    case 'names':
      return value.value.flatMap((name, i) => (name === undefined ? [] : [`4:${i}:${name}`]));
    default:
      return [];
  }
}

/** A segment with every type in it. */
function everything(sizeBytes = 4 << 20) {
  const made = vppLike({ interfaces: 5, sizeBytes });
  made.segment.addGauge('/level', 12345);
  const histogram = made.segment.addHistogram('/latency', { leastExponent: 3, bins: 8 });
  for (const value of [1, 20, 300, 4000]) histogram.thread(1).observe(value);
  made.segment.addRingBuffer('/ring', { entrySize: 8, ringSize: 4, schema: 'u64' }).produce(0, Uint8Array.of(1, 2, 3));
  made.segment.addNames('/names', ['a', undefined, 'c']);
  made.interfaces.remove(4);
  return made;
}

void t.test(
  "VPP's Python client reads what the writer makes",
  { skip: 'missing' in python && python.missing },
  async (t) => {
    if ('missing' in python) return;
    const socket = join(socketFolder(t), 's');
    const { segment } = everything();
    t.teardown(() => segment.close());
    segment.listen(socket);
    const { code, lines, errors } = await runClient(python.command, [socket, 'dump', '/']);
    t.equal(code, 0, errors);
    const ours = openStatsImage(segment.image());
    const got = new Map(lines.map(({ name, value }) => [name as string, value]));
    // A release of the client may not know what 26.02 brought; it reads the rest.
    const old = got.get('/latency') === null;
    const wrong = ours.dump().filter((value) => {
      if (value.type === 'ringBuffer' || (old && (value.type === 'histogram' || value.type === 'gauge'))) return false;
      return JSON.stringify(got.get(value.name)) !== JSON.stringify(plain(value));
    });
    t.strictSame(
      wrong.map(({ name }) => [name, got.get(name)]),
      [],
    );
    t.equal(got.size, ours.ls().length + (got.has('') ? 1 : 0), 'all of them');
  },
);

void t.test('GoVPP reads what the writer makes', { skip: 'missing' in go && go.missing }, async (t) => {
  if ('missing' in go) return;
  const socket = join(socketFolder(t), 's');
  const { segment } = everything();
  t.teardown(() => segment.close());
  segment.listen(socket);
  const { code, lines, errors } = await runClient(go.command, [socket, 'dump', '/']);
  t.equal(code, 0, errors);
  const ours = openStatsImage(segment.image());
  const got = new Map(lines.map(({ name, value }) => [name as string, value]));
  const wrong = ours.dump().filter((value) => {
    // Types of 26.02 are unknown to it; a symlink is a matrix of one column there.
    if (value.type === 'ringBuffer' || value.type === 'histogram' || value.type === 'gauge') return false;
    const mine = plain(value);
    const wanted =
      value.type === 'simpleColumn' || value.type === 'combinedColumn'
        ? (mine as unknown[]).map((each) => [each])
        : mine;
    const theirs = got.get(value.name);
    const read = value.type === 'names' ? (theirs as string[]).filter((name) => name !== '') : theirs;
    return JSON.stringify(read) !== JSON.stringify(wanted);
  });
  t.strictSame(
    wrong.map(({ name }) => [name, got.get(name)]),
    [],
  );
  t.ok(got.size > 80, `${got.size} entries`);
});

void t.test("VPP's C tools read what the writer makes", { skip: noTools }, async (t) => {
  const socket = join(socketFolder(t), 's');
  const { segment } = everything();
  t.teardown(() => segment.close());
  segment.listen(socket);
  // They run while this thread would have to answer them: another process serves.
  const served = await servedElsewhere(t, socket);
  const got = getStats(served.socket, '/');
  const stats = await connectStats({ socket: served.socket });
  t.teardown(() => stats.close());
  const wrong = stats.dump().filter((value) => {
    if (value.type === 'ringBuffer' || value.type === 'histogram') return false;
    return JSON.stringify(got.get(value.name) ?? []) !== JSON.stringify(asGetStats(value));
  });
  t.strictSame(
    wrong.map((value) => [value.name, got.get(value.name), asGetStats(value)]),
    [],
  );
  t.match(
    vppTool('vpp_get_stats', 'socket-name', served.socket, 'dump', '/latency'),
    /Histogram \/latency \(thread 1\)/,
  );
  t.equal(vppTool('vpp_get_stats', 'socket-name', served.socket, 'ls', '/if/').trim().split('\n').length, 18);

  const port = await freePort();
  const exporter = spawn(
    join(tools, 'vpp_prometheus_export'),
    ['socket-name', served.socket, 'port', String(port), 'v2', '/if', '/interfaces', '/level'],
    {
      env: { ...process.env, LD_LIBRARY_PATH: join(tools, '../lib/x86_64-linux-gnu') },
      stdio: 'ignore',
    },
  );
  t.teardown(() => exporter.kill('SIGKILL'));
  let text = '';
  for (let i = 0; i < 200 && text === ''; i++) {
    text = await fetch(`http://[::1]:${port}/metrics`)
      .then((answer) => answer.text())
      .catch(() => '');
    if (text === '') await new Promise((resolve) => setTimeout(resolve, 50));
  }
  t.match(text, /rx.*bench1.*2001|bench1.*rx/s, 'vpp_prometheus_export');
});

/** A process that serves `everything`. */
async function servedElsewhere(t: Test, near: string): Promise<{ socket: string }> {
  const socket = `${near}.other`;
  const program = `
    import { createStatsSegment, InterfaceCounters, NodeCounters, ErrorCounters } from 'node-vpp/stats/writer';
    const segment = createStatsSegment({ sizeBytes: 4 << 20, threads: 2, updateIntervalMs: 0 });
    const interfaces = new InterfaceCounters(segment);
    for (let i = 0; i < 5; i++) interfaces.add(i, i === 0 ? 'local0' : 'bench' + i);
    for (let i = 1; i < 5; i++) for (const thread of [0, 1]) interfaces.combined.rx.thread(thread).add(i, 1000 * i + thread, 64000 * i);
    interfaces.remove(4);
    new NodeCounters(segment).add('ip4-input');
    new ErrorCounters(segment).add('ip4-input', 'bad ip4 checksum');
    segment.addGauge('/level', 12345);
    segment.addNames('/names', ['a', undefined, 'c']);
    const histogram = segment.addHistogram('/latency', { leastExponent: 3, bins: 8 });
    for (const value of [1, 20, 300, 4000]) histogram.thread(1).observe(value);
    segment.addRingBuffer('/ring', { entrySize: 8, ringSize: 4, schema: 'u64' }).produce(0, Uint8Array.of(1, 2, 3));
    segment.listen(${JSON.stringify(socket)});
    console.log('ready');
    process.stdin.resume();`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: ['pipe', 'pipe', 'inherit'] });
  t.teardown(() => child.kill('SIGKILL'));
  await once(child.stdout, 'data');
  return { socket };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  return port;
}

void t.test('metrics', async (t) => {
  await t.test(
    'promtool has nothing to say against them',
    { skip: have('promtool') ? false : 'promtool is not installed' },
    async (t) => {
      const { segment } = everything();
      t.teardown(() => segment.close());
      for (const [title, stats] of [
        ['of a recorded VPP 26.06', openStatsImage(recordedImage())],
        ['of the writer', openStatsImage(segment.image())],
      ] as const) {
        for (const options of [
          {},
          { perThread: true, zeros: true, extra: '/', labels: { site: 'a"b' } },
          { tags: () => 'uplink\n"1"' },
        ]) {
          const { status, stdout, stderr } = spawnSync('promtool', ['check', 'metrics'], {
            input: metrics(stats, options),
            encoding: 'utf8',
          });
          t.equal(status, 0, `${title}, ${JSON.stringify(options)}: ${stdout}${stderr}`);
        }
      }
    },
  );
  await t.test('counters are counters, names are labels, gone interfaces are gone', async (t) => {
    const { segment, interfaces } = vppLike();
    t.teardown(() => segment.close());
    const text = (options = {}) => metrics(openStatsImage(segment.image()), options);
    t.match(
      text(),
      /^# TYPE vpp_interface_rx_packets_total counter\n(.*\n)*vpp_interface_rx_packets_total\{interface="bench2",sw_if_index="2"\} 4001$/m,
    );
    t.match(
      text({ format: 'openmetrics' }),
      /^# TYPE vpp_interface_rx_bytes counter\n# UNIT vpp_interface_rx_bytes bytes\nvpp_interface_rx_bytes_total\{/m,
    );
    t.match(text({ format: 'openmetrics' }), /# EOF\n$/);
    t.match(
      text({ perThread: true }),
      /^vpp_interface_drops_total\{interface="bench2",sw_if_index="2",thread="1"\} 2$/m,
    );
    t.match(
      text({ tags: new Map([[1, 'to "core"']]) }),
      /interface="to \\"core\\"",sw_if_index="1",vpp_name="bench1"\}/,
    );
    t.match(text(), /^vpp_node_errors_total\{node="ip4-input",reason="bad ip4 checksum"\} 7$/m);
    t.notMatch(text(), /ip6-input/);
    t.match(text({ zeros: true }), /node="ip6-input",reason="bad ip4 checksum"\} 0/);
    interfaces.remove(1);
    t.notMatch(text(), /bench1/);
    const bounded = text({ maxSeries: 50 });
    const series = bounded.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
    t.equal(series.length, 51);
    t.match(series.at(-1), /^vpp_metrics_dropped_series \d+$/);
    t.throws(() => text({ labels: { 'a-b': 'x' } }), { code: 'ERR_VPP_ARGUMENT_RANGE' });
    t.equal(metricsFormat('application/openmetrics-text;version=1.0.0,text/plain;q=0.5'), 'openmetrics');
    t.equal(metricsFormat(undefined), 'prometheus');
  });
  await t.test('of a VPP that is away: vpp_up 0', async (t) => {
    const socket = join(socketFolder(t), 's');
    const { segment } = vppLike();
    segment.listen(socket);
    const stats = await connectStats({ socket, checkMs: 0 });
    segment.close();
    t.match(metrics(stats), /vpp_up 0\n$/);
    await stats.close();
    t.throws(() => metrics(stats), { code: 'ERR_STATS_CLOSED' });
  });
  await t.test(
    'a real Prometheus scrapes them',
    { skip: have('prometheus') ? false : 'prometheus is not installed' },
    async (t) => {
      const folder = socketFolder(t);
      const { segment, interfaces } = everything();
      t.teardown(() => segment.close());
      segment.listen(join(folder, 's'));
      const stats = await connectStats({ socket: join(folder, 's') });
      t.teardown(() => stats.close());
      const accepted: (string | undefined)[] = [];
      const server = createServer((request, response) => {
        accepted.push(request.headers.accept);
        const format = metricsFormat(request.headers.accept);
        response.setHeader('Content-Type', metricsContentType[format]).end(metrics(stats, { format, extra: '/' }));
      }).listen(0, '127.0.0.1');
      t.teardown(() => server.close());
      await once(server, 'listening');
      const port = await freePort();
      writeFileSync(
        join(folder, 'prometheus.yml'),
        `global: { scrape_interval: 200ms }\nscrape_configs:\n  - job_name: vpp\n    static_configs:\n      - targets: ['127.0.0.1:${(server.address() as AddressInfo).port}']\n`,
      );
      const prometheus = spawn(
        'prometheus',
        [
          `--config.file=${join(folder, 'prometheus.yml')}`,
          `--storage.tsdb.path=${join(folder, 'data')}`,
          `--web.listen-address=127.0.0.1:${port}`,
          '--log.level=error',
        ],
        { stdio: ['ignore', 'ignore', 'inherit'] },
      );
      t.teardown(async () => {
        prometheus.kill('SIGKILL');
        await once(prometheus, 'exit');
      });
      const query = async (
        expression: string,
      ): Promise<{ metric: Record<string, string>; value: [number, string] }[]> => {
        const url = `http://127.0.0.1:${port}/api/v1/query?query=${encodeURIComponent(expression)}`;
        const answer = await fetch(url)
          .then((response) => response.json() as Promise<{ data?: { result?: [] } }>)
          .catch(() => undefined);
        return answer?.data?.result ?? [];
      };
      const becomes = async (expression: string, wanted: string | undefined) => {
        const deadline = performance.now() + 60_000;
        for (;;) {
          const value = (await query(expression))[0]?.value[1];
          if (value === wanted || performance.now() > deadline) return t.equal(value, wanted, expression);
          await new Promise((resolve) => setTimeout(resolve, 100));
        }
      };
      await becomes('vpp_interface_rx_packets_total{interface="bench1"}', '2001');
      t.match(accepted[0], /openmetrics/, 'it asked for OpenMetrics');
      await becomes('up{job="vpp"}', '1');
      await becomes('vpp_latency_count', '4');
      await becomes('vpp_node_errors_total{node="ip4-input"}', '7');
      interfaces.combined.rx.thread(0).add(1, 99, 99);
      await becomes('vpp_interface_rx_packets_total{interface="bench1"}', '2100');
      const { data } = (await (
        await fetch(`http://127.0.0.1:${port}/api/v1/metadata?metric=vpp_interface_rx_packets`)
      ).json()) as { data: object };
      t.match(JSON.stringify(data), /"type":"counter"/);
      interfaces.remove(1);
      await becomes('vpp_interface_rx_packets_total{interface="bench1"}', undefined);
    },
  );
});

void t.test('a real VPP', { skip: noVpp, timeout: 240_000 }, async (t) => {
  const vpp = await Vpp.start({});
  t.teardown(() => vpp.stop());
  const stats = await connectStats({ socket: vpp.statsSocket, waitMs: 20_000, checkMs: 0 });
  t.teardown(() => stats.close());
  t.equal(stats.pid, vpp.pid);
  await t.test('what holds still is what vpp_get_stats says', { skip: noTools }, async (t) => {
    const got = getStats(vpp.statsSocket, '/');
    const moving = /^\/(sys|mem)\//;
    const values = stats.dump();
    const wrong = values.filter(
      (value) =>
        !moving.test(value.name) && JSON.stringify(got.get(value.name) ?? []) !== JSON.stringify(asGetStats(value)),
    );
    t.strictSame(
      wrong.slice(0, 5).map((value) => [value.name, got.get(value.name), asGetStats(value)]),
      [],
    );
    t.ok(values.length > 500, `${values.length} entries`);
  });
  await t.test('interfaces created and deleted while they are read', async (t) => {
    const api = await connect({ socket: vpp.apiSocket });
    t.teardown(() => api.destroy());
    let polls = 0;
    let polling = true as boolean;
    const strange: string[] = [];
    const poll = (async () => {
      while (polling) {
        for (const { name } of stats.interfaces()) if (!/^(local0|loop\d+)$/.test(name)) strange.push(name);
        polls++;
        await new Promise(setImmediate);
      }
    })();
    const indices: number[] = [];
    for (let i = 0; i < 40; i++) {
      const { sw_if_index: index } = await api.request('create_loopback', { mac_address: '00:00:00:00:00:00' });
      indices.push(index);
      if (i % 3 === 2) await api.request('delete_loopback', { sw_if_index: indices.shift()! });
    }
    t.equal(stats.interfaces().size, 1 + indices.length);
    for (const index of indices) await api.request('delete_loopback', { sw_if_index: index });
    polling = false;
    await poll;
    t.strictSame(strange, []);
    t.strictSame(
      [...stats.interfaces()].map(({ name }) => name),
      ['local0'],
    );
    t.ok(polls > 20, `${polls} polls`);
  });
  await t.test('killed and started again', async (t) => {
    await vpp.kill('SIGKILL');
    t.throws(() => stats.ls(), { code: 'ERR_STATS_DISCONNECTED' });
    await vpp.start();
    await stats.ready({ timeoutMs: 30_000 });
    await until(() => stats.connected && [...stats.interfaces()].some(({ name }) => name === 'local0'));
    t.equal(stats.pid, vpp.pid);
  });
});
