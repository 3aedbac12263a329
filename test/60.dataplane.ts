// Chapter 60: the embedded dataplane as a client of VPP's API sees it. First the recorded exchanges of a real VPP, then
// what they leave out, other people's clients, the command line, and what happens when something goes wrong.

import t from 'tap';
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { SystemError } from 'node-vpp';
import { connect, loadBundled, type Connection } from 'node-vpp/api';
import { startDataplane, type Dataplane, type DataplaneOptions } from 'node-vpp/dataplane';
import { openMemif, type Memif } from 'node-vpp/memif';
import { formatMac, udpFrame } from 'node-vpp/net';
import { connectStats } from 'node-vpp/stats';
import { failure, folder, until, type TestEnd } from './support/api.js';
import { govpp, papi, runClient } from './support/clients.js';
import { asks } from './support/asks.js';
import { replayScenarios } from './support/conformance.js';
import { differences } from './support/differential.js';
import { testDocExamples } from './support/doc-examples.js';
import { askAtRandom } from './support/random-requests.js';
import { stillForwarder } from './support/still-forwarder.js';
import { Vpp, noVpp } from './support/vpp.js';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const ALL = 0xffffffff;

async function start(t: TestEnd, options: DataplaneOptions = {}): Promise<{ dataplane: Dataplane; vpp: Connection }> {
  const dataplane = await startDataplane({ apiSocket: join(folder(t), 'api.sock'), ...options });
  t.teardown(() => dataplane.close());
  const vpp = await connect({ socket: dataplane.apiSocket });
  t.teardown(() => vpp.destroy());
  return { dataplane, vpp };
}

const loopback = (vpp: Connection, last: number) =>
  vpp
    .request('create_loopback', { mac_address: `02:fe:00:00:00:${last.toString(16).padStart(2, '0')}` })
    .then(({ sw_if_index }) => sw_if_index);

void t.test('159 exchanges recorded from VPP 26.06 are answered the same, field by field', async (t) => {
  const { dataplane, vpp } = await start(t);
  const { steps, errors, differences } = await replayScenarios(vpp, dataplane.runDir);
  t.equal(steps, 159);
  t.equal(errors, 32, 'refused requests among them');
  for (const { step, scenario, request, wanted, found } of differences) {
    t.strictSame(found, wanted, `step ${step}, ${scenario}: ${request}`);
  }
});

void t.test('a real VPP answers the recorded exchanges so', { skip: noVpp, timeout: 120_000 }, async (t) => {
  const real = await Vpp.start({ plugins: ['memif_plugin.so', 'acl_plugin.so'] });
  t.teardown(() => real.stop());
  const vpp = await connect({ socket: real.apiSocket });
  t.teardown(() => vpp.destroy());
  const { steps, differences } = await replayScenarios(vpp, join(real.folder, 'run'));
  t.equal(steps, 159);
  for (const { step, scenario, request, wanted, found } of differences) {
    t.strictSame(found, wanted, `step ${step}, ${scenario}: ${request}`);
  }
});

void t.test(
  'what the recording leaves out is answered as by a real VPP',
  { skip: noVpp, timeout: 300_000 },
  async (t) => {
    for (const [subject, list] of Object.entries(asks)) {
      await t.test(subject, async (t) => {
        const real = await Vpp.start({ plugins: ['memif_plugin.so', 'acl_plugin.so'] });
        t.teardown(() => real.stop());
        const theirs = await connect({ socket: real.apiSocket, requestTimeoutMs: 60_000 });
        t.teardown(() => theirs.destroy());
        const { vpp: ours } = await start(t);
        const found = await differences(ours, theirs, list);
        for (const { ask, ours, theirs } of found) t.strictSame(ours, theirs, JSON.stringify(ask));
        t.pass(`${list.length - found.length} of ${list.length} answers are equal`);
      });
    }
  },
);

void t.test('interfaces', async (t) => {
  const { vpp } = await start(t);
  const events = vpp.on('sw_interface_event');
  await events.ready;
  const index = await loopback(vpp, 1);

  await t.test('an event tells what has happened to an interface, once for what happened together', async (t) => {
    t.match((await events.next()).value, { sw_if_index: index, flags: 0, deleted: false }, 'made');
    await vpp.request('sw_interface_set_flags', { sw_if_index: index, flags: 1 });
    t.match((await events.next()).value, { sw_if_index: index, flags: 3, deleted: false, pid: process.pid }, 'up');
    await vpp.request('sw_interface_set_flags', { sw_if_index: index, flags: 0 });
    t.match((await events.next()).value, { sw_if_index: index, flags: 0, deleted: false }, 'down');
  });

  await t.test('a dump is filtered by name', async (t) => {
    const names = async (name_filter: string) =>
      (await vpp.dump('sw_interface_dump', { sw_if_index: ALL, name_filter_valid: true, name_filter }).toArray()).map(
        ({ interface_name }) => interface_name,
      );
    t.strictSame(await names('LOOP'), ['loop0']);
    t.strictSame(await names('lo'), ['local0', 'loop0']);
  });

  await t.test('a sub-interface: its tags, its parent, and that it cannot be up before it', async (t) => {
    const { sw_if_index: sub } = await vpp.request('create_subif', {
      sw_if_index: index,
      sub_id: 12,
      sub_if_flags: 4 | 8 | 16,
      outer_vlan_id: 100,
      inner_vlan_id: 7,
    });
    t.match(await failure(vpp.request('sw_interface_set_flags', { sw_if_index: sub, flags: 1 })), { retval: -1 });
    await vpp.request('sw_interface_set_flags', { sw_if_index: index, flags: 1 });
    await vpp.request('sw_interface_set_flags', { sw_if_index: sub, flags: 1 });
    const [row] = await vpp.dump('sw_interface_dump', { sw_if_index: sub }).toArray();
    t.match(row, {
      interface_name: 'loop0.12',
      sup_sw_if_index: index,
      type: 1,
      flags: 3,
      sub_number_of_tags: 2,
      sub_outer_vlan_id: 100,
      sub_inner_vlan_id: 7,
      sub_if_flags: 28,
    });
    const rewrite = { sw_if_index: sub, push_dot1q: 1, tag1: 300, tag2: 0 };
    await vpp.request('l2_interface_vlan_tag_rewrite', { ...rewrite, vtr_op: 7 });
    const [rewritten] = await vpp.dump('sw_interface_dump', { sw_if_index: sub }).toArray();
    t.match(rewritten, { vtr_op: 7, vtr_push_dot1q: 1, vtr_tag1: 300 });
    const tooMany = { ...rewrite, sw_if_index: index, vtr_op: 4 };
    t.match(await failure(vpp.request('l2_interface_vlan_tag_rewrite', tooMany)), {
      errorName: 'INVALID_VLAN_TAG_COUNT',
    });
    t.match(await failure(vpp.request('delete_subif', { sw_if_index: index })), {
      errorName: 'INVALID_SUB_SW_IF_INDEX',
    });
    await vpp.request('delete_loopback', { sw_if_index: index });
    t.match(
      await failure(vpp.request('delete_subif', { sw_if_index: sub })),
      { retval: -2 },
      'it went with its parent',
    );
  });

  await t.test('unnumbered: another interface lends its addresses', async (t) => {
    const [lender, borrower] = [await loopback(vpp, 2), await loopback(vpp, 3)];
    await vpp.request('sw_interface_add_del_address', { sw_if_index: lender, is_add: true, prefix: '10.9.0.1/24' });
    const fields = { sw_if_index: lender, unnumbered_sw_if_index: borrower, is_add: true };
    await vpp.request('sw_interface_set_unnumbered', fields);
    t.match(await vpp.dump('ip_unnumbered_dump', { sw_if_index: ALL }).toArray(), [
      { sw_if_index: borrower, ip_sw_if_index: lender },
    ]);
    t.strictSame(await vpp.dump('ip_address_dump', { sw_if_index: borrower, is_ipv6: false }).toArray(), []);
    await vpp.request('sw_interface_set_unnumbered', { ...fields, is_add: false });
    t.strictSame(await vpp.dump('ip_unnumbered_dump', { sw_if_index: ALL }).toArray(), []);
    for (const sw_if_index of [lender, borrower]) await vpp.request('delete_loopback', { sw_if_index });
  });

  await t.test('IPv6: on, a link-local address by the MAC, off', async (t) => {
    const sw_if_index = await loopback(vpp, 0xaa);
    const ask = { sw_if_index };
    t.match(await failure(vpp.request('sw_interface_ip6_get_link_local_address', ask)), {
      errorName: 'IP6_NOT_ENABLED',
    });
    await vpp.request('sw_interface_ip6_enable_disable', { sw_if_index, enable: true });
    t.equal((await vpp.request('sw_interface_ip6_get_link_local_address', ask)).ip, 'fe80::fe:ff:fe00:aa');
    const again = vpp.request('sw_interface_ip6_enable_disable', { sw_if_index, enable: true });
    t.match(await failure(again), { errorName: 'VALUE_EXIST' });
    const linkLocal = { sw_if_index, is_add: true, prefix: 'fe80::1/64' };
    t.match(await failure(vpp.request('sw_interface_add_del_address', linkLocal)), {
      errorName: 'ADDRESS_LENGTH_MISMATCH',
    });
    await vpp.request('delete_loopback', { sw_if_index });
  });
  await events.return();
});

void t.test('routes of every kind come back as they went in', async (t) => {
  const { vpp } = await start(t);
  const sw_if_index = await loopback(vpp, 1);
  await vpp.request('sw_interface_set_flags', { sw_if_index, flags: 1 });
  await vpp.request('sw_interface_add_del_address', { sw_if_index, is_add: true, prefix: '10.0.0.1/24' });
  await vpp.request('ip_table_add_del_v2', { table: { table_id: 5, name: 'five' } });
  const base = { table_id: 0, rpf_id: 0, weight: 1, preference: 0, flags: 0, proto: 0 };
  const kinds: [prefix: string, path: Record<string, unknown>][] = [
    ['198.51.100.0/24', { sw_if_index, type: 0, nh: { address: '10.0.0.2' } }],
    ['198.51.101.0/24', { sw_if_index, type: 0 }],
    ['198.51.102.0/24', { sw_if_index: ALL, type: 0, nh: { address: '10.0.0.3' } }],
    ['198.51.103.0/24', { sw_if_index: ALL, type: 0, table_id: 5 }],
    ['198.51.104.0/24', { sw_if_index: ALL, type: 2 }],
    ['198.51.105.0/24', { sw_if_index: ALL, type: 5 }],
    ['198.51.106.0/24', { sw_if_index: ALL, type: 6 }],
    ['198.51.107.1/32', { sw_if_index: ALL, type: 1 }],
  ];
  for (const [prefix, path] of kinds) {
    const route = { table_id: 0, prefix, paths: [{ ...base, ...path }] };
    await vpp.request('ip_route_add_del_v2', { is_add: true, route } as never);
  }
  for (const [prefix, path] of kinds) {
    const { route } = await vpp.request('ip_route_lookup_v2', { table_id: 0, exact: 1, prefix });
    t.match(route, { prefix, src: 8, n_paths: 1, paths: [path] }, JSON.stringify(path));
  }
  const table = { table_id: 0, is_ip6: false };
  const ofApi = await vpp.dump('ip_route_v2_dump', { src: 8, table }).toArray();
  t.equal(ofApi.length, kinds.length, 'a dump of one source');
  const path = { ...base, sw_if_index, type: 0 };
  const unsupported = { table_id: 0, prefix: '198.51.108.0/24', paths: [{ ...path, type: 3 }] };
  const refused = await failure(vpp.request('ip_route_add_del_v2', { is_add: true, route: unsupported } as never));
  t.match(refused, { errorName: 'UNIMPLEMENTED' });
  const none = { is_add: true, route: { table_id: 0, prefix: '198.51.108.0/24', paths: [] } };
  t.match(await failure(vpp.request('ip_route_add_del_v2', none as never)), { errorName: 'NO_PATHS_IN_ROUTE' });
  await vpp.request('ip_table_flush', { table: { table_id: 0 } });
  t.equal((await vpp.dump('ip_route_v2_dump', { src: 8, table }).toArray()).length, 0, 'flushed');
});

void t.test('what a port cannot do is a retval, and leaves nothing', async (t) => {
  const forwarder = stillForwarder();
  const { vpp } = await start(t, { forwarder });
  const tap = { id: ALL, use_random_mac: true, host_if_name_set: true, host_if_name: 'tapX', host_namespace_set: true };
  forwarder.failNext = new SystemError('no such namespace', { errno: 2, syscall: 'setns' });
  const refusedTap = vpp.request('tap_create_v3', { ...tap, host_namespace: 'nowhere' } as never);
  t.match(await failure(refusedTap), { errorName: 'SYSCALL_ERROR_3' });
  forwarder.failNext = new SystemError('no such device', { errno: 19, syscall: 'ioctl', path: 'eth99' });
  const packet = { host_if_name: 'eth99', use_random_hw_addr: true, hw_addr: '00:00:00:00:00:00' };
  t.match(await failure(vpp.request('af_packet_create_v2', packet as never)), { errorName: 'INVALID_INTERFACE' });
  const names = (await vpp.dump('sw_interface_dump', { sw_if_index: ALL }).toArray()).map((row) => row.interface_name);
  t.strictSame(names, ['local0']);
  forwarder.failNext = new Error('a mistake of ours');
  const problem = new Promise((resolve) => process.once('warning', resolve));
  t.match(await failure(vpp.request('create_loopback', { mac_address: '02:fe:00:00:00:01' })), { retval: -1 });
  t.match(await problem, { message: 'a mistake of ours' }, 'and is told to whoever runs the dataplane');
});

void t.test("route sources have VPP's numbers", async (t) => {
  const { vpp } = await start(t);
  const sources = (await vpp.dump('fib_source_dump').toArray()).map(({ src }) => src);
  const numbers = Object.fromEntries(sources.map(({ name, id }) => [name, id]));
  t.match(numbers, { special: 1, interface: 4, API: 8, CLI: 9, adjacency: 15, 'default-route': 20 });
  for (const { name, id } of sources) {
    const rows = await vpp.dump('ip_route_v2_dump', { src: id, table: { table_id: 0 } }).toArray();
    if (id !== 0)
      t.ok(
        rows.every(({ route }) => route.src === id),
        name,
      );
  }
});

void t.test('features there are not', async (t) => {
  const { vpp } = await start(t);
  const schema = loadBundled('26.06');
  // Every request that has no meaning here, with fields of zeros: none may go without an answer.
  const asked = [
    'nat44_ed_plugin_enable_disable',
    'vxlan_add_del_tunnel_v3',
    'bond_create2',
    'ipsec_sa_dump',
    'mpls_route_add_del',
  ];
  for (const name of asked) {
    const service = schema.service(name)!;
    if (service.stream) t.strictSame(await vpp.dump(name as never, {} as never).toArray(), [], `${name}: no rows`);
    else t.match(await failure(vpp.request(name as never, zeros(name) as never)), { errorName: 'UNIMPLEMENTED' }, name);
  }
  const { json } = await vpp.request('get_api_json');
  t.ok(JSON.stringify(json).includes('sw_interface_dump'), 'get_api_json describes the messages');
  t.equal((await vpp.request('control_ping')).vpe_pid, process.pid);

  function zeros(name: string): Record<string, unknown> {
    const codec = schema.codec(name)!;
    const bytes = new Uint8Array(codec.fixedSize);
    return codec.decode(bytes, 0, bytes.length);
  }
});

const steps = (lines: Record<string, unknown>[]): Record<string, unknown> =>
  Object.fromEntries(lines.map((line) => [String(line.step), line]));

const python = papi();
void t.test("VPP's own Python client configures it", { skip: 'missing' in python && python.missing }, async (t) => {
  if ('missing' in python) return;
  const { dataplane } = await start(t);
  const { code, lines, errors } = await runClient(python.command, [dataplane.apiSocket, 'configure']);
  t.equal(code, 0, errors);
  t.match(steps(lines), {
    addresses: { prefixes: ['10.0.0.1/24', '10.1.0.1/24'] },
    route: {
      retval: 0,
      prefix: '192.0.2.0/24',
      paths: [
        [1, 1, '10.0.0.9'],
        [2, 2, '10.1.0.9'],
      ],
    },
    bridge: { bvi: 3, members: [3] },
    acl: { lists: [0], permit: 2 },
    refused: { retvals: [-142, -2, -9] },
    cli: { text: /loop0 +1 +up/ },
    events: { up: [1, 2] },
    disconnected: {},
  });
});

const go = govpp();
void t.test('GoVPP configures it', { skip: 'missing' in go && go.missing }, async (t) => {
  if ('missing' in go) return;
  const { dataplane } = await start(t);
  const { code, lines, errors } = await runClient(go.command, [dataplane.apiSocket, 'configure']);
  t.equal(code, 0, errors);
  t.match(steps(lines), {
    memif: { sw_if_index: 1, names: ['memif5/3'] },
    vrf: { table: 9 },
    error: { text: /Invalid sw_if_index/ },
    deleted: { left: 1 },
    disconnected: {},
  });
  const { prefixes } = steps(lines).vrf as { prefixes: string[] };
  t.ok(prefixes.includes('172.16.5.1/24') && prefixes.includes('172.16.5.1/32'), prefixes.join(' '));
});

void t.test('the command line', async (t) => {
  const { dataplane, vpp } = await start(t);
  const sw_if_index = await loopback(vpp, 1);
  await vpp.request('sw_interface_add_del_address', { sw_if_index, is_add: true, prefix: '10.0.0.1/24' });
  const cli = async (cmd: string) => (await vpp.request('cli_inband', { cmd })).reply;
  const refused = async (cmd: string) => {
    t.match(await failure(vpp.request('cli_inband', { cmd })), { retval: -1 }, cmd);
    return dataplane.command(cmd);
  };
  t.match(await cli('show version'), /^vpp v26\.06-release built by /);
  t.equal(
    await cli('show interface'),
    '              Name               Idx    State  MTU (L3/IP4/IP6/MPLS)     Counter          Count     \n' +
      'local0                            0     down          0/0/0/0       \n' +
      'loop0                             1     down         9000/0/0/0     \n',
  );
  t.equal(await cli('sh int addr'), 'local0 (dn):\nloop0 (dn):\n  L3 10.0.0.1/24\n', 'words may be cut off');
  t.equal(await cli('set interface state loop0 up'), '');
  t.match(await cli('show ip fib 10.0.0.77'), /10\.0\.0\.0\/24\n {2}unicast-ip4-chain\n.*ipv4-glean/s);
  t.equal(await cli('show bridge-domain'), 'no bridge-domains in use\n');
  t.equal(await refused('show bridge-domain 5'), 'show bridge-domain: No such bridge domain 5\n');
  t.match(await cli('show memif'), /0 {3}no {10}.*memif\.sock/);
  t.match(await cli('help'), /show ip fib/);
  t.equal(await refused('nonsense'), "unknown input `nonsense'\n");
  t.equal(dataplane.command('show mode'), 'l3 local0  \nl3 loop0  \n', 'and without a client');
});

void t.test('clients that misbehave', async (t) => {
  const { dataplane, vpp } = await start(t);
  await t.test('one that dies in the middle of a dump harms nobody, and its rows are not kept', async (t) => {
    const route = (n: number) => ({
      table_id: 0,
      prefix: `100.${n >> 16}.${(n >> 8) & 255}.${n & 255}/32`,
      paths: [{ sw_if_index: ALL, type: 2, weight: 1, table_id: 0, rpf_id: 0, preference: 0, flags: 0, proto: 0 }],
    });
    await Promise.all(
      Array.from({ length: 20_000 }, (_, n) => vpp.request('ip_route_add_del_v2', { route: route(n) } as never)),
    );
    const before = dataplane.server.clients.length;
    for (let round = 0; round < 5; round++) {
      const other = await connect({ socket: dataplane.apiSocket });
      const rows = other.dump('ip_route_v2_dump', { src: 0, table: { table_id: 0, is_ip6: false } });
      await rows.next();
      await other.destroy();
    }
    await until('they are gone', () => dataplane.server.clients.length === before);
    t.equal((await vpp.request('show_version')).retval, 0);
  });

  await t.test('one that sends noise is dropped', async (t) => {
    const socket = createConnection(dataplane.apiSocket);
    const gone = new Promise((resolve) => socket.once('close', resolve));
    socket.on('error', () => undefined);
    socket.write(Buffer.alloc(4096, 0xff));
    await gone;
    t.equal((await vpp.request('show_version')).retval, 0);
  });
});

void t.test('random requests of every kind are answered, and nothing goes wrong inside', async (t) => {
  const seed = Number(process.env.SEED ?? Date.now() % 1e6);
  const { dataplane, vpp } = await start(t);
  const problems: Error[] = [];
  dataplane.on('problem', (error) => problems.push(error));
  for (let n = 1; n < 7; n++) await loopback(vpp, n);
  const { done, refused } = await askAtRandom(vpp, dataplane.server, 10_000, seed);
  t.ok(done > 1000 && refused > 1000, `${done} carried out, ${refused} refused`);
  t.strictSame(problems.map(String), [], `seed ${seed}`);
});

void t.test('it ends without a trace', async (t) => {
  const descriptors = () => readdirSync('/proc/self/fd').length;
  const once = async () => {
    await using dataplane = await startDataplane();
    const vpp = await connect({ socket: dataplane.apiSocket });
    const memif = {
      role: 0,
      mode: 0,
      id: 1,
      socket_id: 0,
      ring_size: 256,
      buffer_size: 2048,
      hw_addr: '02:fe:00:00:00:01',
    };
    await vpp.request('memif_create_v2', { ...memif, secret: '' } as never);
    t.ok(existsSync(join(dataplane.runDir, 'memif.sock')), 'the socket of a memif server is there');
    await vpp.close();
    return dataplane.runDir;
  };
  const runDir = await once();
  t.notOk(existsSync(runDir), 'nor is the folder that was made for it left');
  const before = descriptors();
  for (let round = 0; round < 10; round++) await once();
  await until('no descriptor is left', () => descriptors() <= before);
});

void t.test('node-vpp dataplane', async (t) => {
  const run = mkdtempSync(join(tmpdir(), 'nv-'));
  t.teardown(() => rmSync(run, { recursive: true, force: true }));
  const apiSocket = join(run, 'api.sock');
  const child = spawn(process.execPath, ['dist/cli/main.js', 'dataplane', '--api-socket', apiSocket, '--json'], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  t.teardown(() => child.kill('SIGKILL'));
  let out = '';
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  await until('it serves', () => out.includes('serving'), 30_000);
  const vpp = await connect({ socket: apiSocket });
  t.match(await vpp.request('show_version'), { program: 'vpe', version: '26.06-release' });
  t.equal(vpp.pid, child.pid);
  await vpp.close();
  child.kill('SIGINT');
  t.equal(await ended, 0, 'Ctrl-C ends it in order');
  t.notOk(existsSync(apiSocket));
});

void t.test('packets through interfaces that were made over the API', { timeout: 60_000 }, async (t) => {
  const run = folder(t);
  const { dataplane, vpp } = await start(t, { statsSocket: join(run, 'stats.sock') });
  const stats = await connectStats({ socket: dataplane.statsSocket! });
  t.teardown(() => stats.close());
  const ends: Memif[] = [];
  const macs = ['02:fe:00:00:01:02', '02:fe:00:00:02:02'] as const;
  const addresses = ['10.1.0.2', '10.2.0.2'] as const;
  for (const id of [0, 1]) {
    const memif = {
      role: 0,
      mode: 0,
      id,
      socket_id: 0,
      ring_size: 256,
      buffer_size: 2048,
      hw_addr: `02:fe:00:00:0${id}:01`,
    };
    const { sw_if_index } = await vpp.request('memif_create_v2', memif as never);
    await vpp.request('sw_interface_set_flags', { sw_if_index, flags: 1 });
    await vpp.request('sw_interface_add_del_address', { sw_if_index, is_add: true, prefix: `10.${id + 1}.0.1/24` });
    const end = openMemif({ socket: join(dataplane.runDir, 'memif.sock'), role: 'client', id, retryMaxMs: 100 });
    t.teardown(() => end.destroy());
    await end.up();
    ends.push(end);
    const neighbor = { sw_if_index, flags: 1, mac_address: macs[id]!, ip_address: addresses[id]! };
    await vpp.request('ip_neighbor_add_del', { is_add: true, neighbor });
  }
  const flags = async () => (await vpp.dump('memif_dump').toArray()).map((row) => row.flags);
  for (const deadline = Date.now() + 10_000; (await flags()).some((each) => each !== 3);) {
    if (Date.now() > deadline) throw new Error('link did not come up');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  t.match(await vpp.dump('memif_dump').toArray(), [
    { if_name: 'memif0/0', ring_size: 1024, buffer_size: 2048, flags: 3 },
    { if_name: 'memif0/1', flags: 3 },
  ]);

  const frame = udpFrame({
    sourceMac: macs[0],
    destinationMac: '02:fe:00:00:00:01',
    source: addresses[0],
    destination: addresses[1],
    sourcePort: 1111,
    destinationPort: 2222,
    hopLimit: 64,
    payload: Buffer.from('over the router'),
  });
  const received: Uint8Array[] = [];
  ends[1]!.listen((queue) => {
    const { count, offsets, lengths, regions, memory } = queue.peek(32);
    for (let i = 0; i < count; i++) {
      received.push(Uint8Array.from(memory[regions[i]!]!.subarray(offsets[i], offsets[i]! + lengths[i]!)));
    }
    queue.release(count);
  });
  ends[0]!.send(frame);
  await until('the packet is on the other side', () => received.length > 0);
  const [packet] = received;
  t.equal(formatMac(packet!, 0), macs[1], 'to the neighbour');
  t.equal(formatMac(packet!, 6), '02:fe:00:00:01:01', 'from the interface');
  t.equal(packet![22], 63, 'one hop less');
  t.equal(Buffer.from(packet!.subarray(42, 57)).toString(), 'over the router');

  await until('the counters are published', () => {
    const rx = stats.get('/interfaces/memif0_0/rx');
    return rx?.type === 'combinedColumn' && rx.packets[0] === 1n && rx.bytes[0] === BigInt(frame.length);
  });
  t.match(
    dataplane.command('show interface memif0/0'),
    /memif0\/0 +1 +up +9000\/0\/0\/0 +rx packets +1\n +rx bytes +57/,
  );
  await vpp.request('sw_interface_clear_stats', { sw_if_index: ALL });
  t.notMatch(dataplane.command('show interface memif0/0'), /rx packets/);

  await vpp.request('ip_route_add_del_v2', {
    is_add: true,
    route: {
      table_id: 0,
      prefix: '10.2.0.2/32',
      paths: [{ sw_if_index: ALL, type: 2, weight: 1, table_id: 0, rpf_id: 0, preference: 0, flags: 0, proto: 0 }],
    },
  } as never);
  ends[0]!.send(frame);
  await until('a route of ours drops it', () => /drops +1/.test(dataplane.command('show interface memif0/0')));
  t.equal(received.length, 1);

  const events = vpp.on('sw_interface_event');
  await events.ready;
  await ends[1]!.destroy();
  t.match((await events.next()).value, { sw_if_index: 2, flags: 0, deleted: false }, 'the peer has gone: link down');
  await events.return();
});

interface DemoEvent {
  event: string;
  flows: { from: string; received: number }[];
  interfaces: { name: string }[];
  routes: { prefix: string }[];
  ping?: { answered: number };
  withoutNamespaces?: string;
}

void t.test('the demo', { timeout: 90_000 }, async (t) => {
  const { code, out } = await new Promise<{ code: number | null; out: string }>((resolve) => {
    const child = spawn(process.execPath, ['dist/cli/main.js', 'demo', '--seconds', '2', '--rate', '2k', '--json'], {
      cwd: root,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let out = '';
    child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
    child.once('close', (code) => resolve({ code, out }));
  });
  t.equal(code, 0, out);
  const events = out
    .trim()
    .split('\n')
    .map((text) => JSON.parse(text) as DemoEvent);
  const summary = events.find(({ event }) => event === 'summary')!;
  for (const { from, received } of summary.flows) t.ok(received > 0, `packets of ${from} arrived`);
  const second = events.filter(({ event }) => event === 'second').at(-1)!;
  const names = second.interfaces.map(({ name }) => name).sort();
  const routes = second.routes.map(({ prefix }) => prefix);
  t.strictSame(routes.sort(), ['198.19.1.0/24', '198.19.2.0/24'], 'routes, as the API tells them');
  if (second.withoutNamespaces === undefined) {
    t.strictSame(names, ['memif0/0', 'memif0/1', 'tap0', 'tap1']);
    t.ok(second.ping!.answered > 0, 'the kernel of one namespace pings that of the other');
  } else t.strictSame(names, ['memif0/0', 'memif0/1']);
});

void t.test('what it cannot be started with is said', async (t) => {
  const long = join(tmpdir(), 'x'.repeat(120));
  t.match(await failure(startDataplane({ apiSocket: long })), { code: 'ERR_VPP_ARGUMENT_RANGE', message: /107 bytes/ });
  t.match(await failure(startDataplane({ apiSocket: 7 as never })), { code: 'ERR_VPP_ARGUMENT_TYPE' });
});

void t.test('the examples in its documentation run', (t) =>
  testDocExamples(t, ['docs/dataplane.md', 'lib/dataplane/dataplane.ts']),
);
