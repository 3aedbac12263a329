// Chapter 66: the command's `show`, `set`, `add`, `del` and `config`, against the stand-in and, with VPP_BIN, a real VPP.

import t, { type Test } from 'tap';
import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { folder } from './support/api.js';
import { plugins, realVpp, stopRealVpp, targets } from './support/vpp-targets.js';
import { Vpp } from './support/vpp.js';
import { standIn } from './support/vpp-stand-in.js';

const main = join(fileURLToPath(new URL('../../..', import.meta.url)), 'dist/cli/main.js');
t.setTimeout(300_000);
t.teardown(stopRealVpp);

interface Result {
  code: number | null;
  out: string;
  err: string;
}

function run(...args: string[]): Promise<Result> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [main, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    let [out, err] = ['', ''];
    child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text));
    child.on('close', (code) => resolve({ code, out, err }));
  });
}

async function sockets(t: Test): Promise<[name: string, socket: string][]> {
  const all: [string, string][] = [['stand-in', (await standIn(t)).server.path]];
  if (targets.at(-1)!.skip === false) all.push(['VPP', (await realVpp()).apiSocket]);
  return all;
}

void t.test('add, show, set and del', async (t) => {
  for (const [name, socket] of await sockets(t)) {
    await t.test(name, async (t) => {
      const at = ['-s', socket, '--timeout', '30'];
      const good = async (...args: string[]): Promise<string> => {
        const { code, out, err } = await run(...args, ...at);
        t.equal(code, 0, `${args.join(' ')} ${err}`);
        return out;
      };
      t.match(
        await good('add', 'loopback', '--instance', '9', '--tag', 'lan', '--address', '10.9.0.1/24', '--up'),
        /lan \(loop9\)/,
      );
      t.match(await good('add', 'vlan', 'lan', '100', '--tag', 'guests'), /guests \(loop9\.100\)/);
      await good('add', 'route', '10.10.0.0/16', 'via', '10.9.0.2', 'lan', 'weight', '2');
      await good('add', 'route', '10.11.0.0/16', 'drop');
      await good('add', 'neighbor', 'lan', '10.9.0.2', '02:fe:00:00:09:02');
      await good('add', 'acl', 'web', 'permit tcp 10.0.0.0/8 -> any port 80-443', 'deny any any -> any');
      await good('set', 'interface', 'lan', '--mtu', '1400', '--acl-in', 'web');
      await good('add', 'bridge', 'office');
      const interfaces = (await good('show', 'interfaces', '--json'))
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as Record<string, unknown>);
      t.match(
        interfaces.find(({ tag }) => tag === 'lan'),
        { name: 'loop9', admin: 'up', mtu: 1400, addresses: ['10.9.0.1/24'] },
      );
      t.match(await good('show', 'interfaces'), /^index +name +tag.*\n[^]*loop9 +lan +Loopback +up/);
      t.match(await good('show', 'routes', '-f', 'ip4'), /10\.10\.0\.0\/16 +10\.9\.0\.2 lan weight 2 +API/);
      t.match(await good('show', 'neighbors'), /lan +10\.9\.0\.2 +02:fe:00:00:09:02/);
      t.match(await good('show', 'acl'), /permit tcp 10\.0\.0\.0\/8 -> any port 80-443.*lan/);
      t.match(await good('show', 'bridges'), /office/);
      t.match(await good('show', 'nat'), /nat44 +disabled/);
      t.match(await good('show', 'memif'), /none/);
      t.match(await good('show', 'tunnels'), /none/);
      await good('del', 'neighbor', 'lan', '10.9.0.2');
      await good('del', 'route', '10.10.0.0/16');
      await good('del', 'route', '10.11.0.0/16');
      await good('del', 'acl', 'web');
      await good('del', 'bridge', 'office');
      await good('del', 'interface', 'guests');
      await good('del', 'interface', 'lan');
      const { code, err } = await run('del', 'interface', 'lan', ...at);
      t.equal(code, 1);
      t.match(err, /^node-vpp: interface lan: VPP has no interface of name or tag "lan"\n$/);
    });
  }
});

const file = `
tables:
  - { id: 5, family: ip4, name: red }
acls:
  - tag: web
    rules: ['permit tcp 10.0.0.0/8 -> any port 80', 'deny any any -> any']
interfaces:
  - { name: lan, kind: loopback, instance: 3, up: true, mtu: 1500, addresses: [10.3.0.1/24, '2001:db8:3::1/64'], acls: { input: [web] } }
  - { name: guests, kind: vlan, vlan: { parent: lan, vlan: 30 }, up: true, table: 5, addresses: [10.30.0.1/24] }
  - { name: port, kind: loopback, instance: 4, up: true }
  - { name: wan, kind: loopback, instance: 5, up: true, addresses: [198.51.100.1/24] }
  - { name: overlay, kind: vxlan, tunnel: { source: 10.3.0.1, destination: 10.3.0.2, vni: 7 }, up: true }
bridges:
  - { id: 7, tag: office, members: [{ interface: overlay, splitHorizonGroup: 1 }, { interface: port, bvi: true }] }
routes:
  - { prefix: 10.40.0.0/16, paths: [{ via: 10.3.0.9, interface: lan }] }
  - { prefix: 10.50.0.0/16, table: 5, paths: [{ type: drop }] }
neighbors:
  - { interface: lan, ip: 10.3.0.9, mac: '02:fe:00:00:03:09' }
macips:
  - { tag: hosts, rules: ['permit 02:fe:00:00:00:01 10.0.0.1'], interfaces: [port] }
spans:
  - { from: lan, to: port, direction: rx }
urpf:
  - { interface: lan, mode: strict }
  - { interface: guests, mode: loose, direction: tx, table: 0 }
proxyArpRanges:
  - { low: 10.3.0.100, high: 10.3.0.120 }
  - { low: 10.30.0.100, high: 10.30.0.120, table: 5 }
proxyArpInterfaces: [{ interface: lan }]
proxyNd: [{ interface: lan, ip: '2001:DB8:3:0::99' }]
routerAdvertisements:
  - interface: lan
    suppress: false
    managed: true
    unicast: true
    linkLayerOption: false
    maxIntervalSeconds: 60
    minIntervalSeconds: 40
    lifetimeSeconds: 900
    prefixes: [{ prefix: '2001:db8:3::/64', validSeconds: 7200, preferredSeconds: 3600 }, { prefix: '2001:db8:4::/64', autoconfigure: false }]
l3xc:
  - { interface: guests, paths: [{ via: 10.3.0.9, interface: lan }] }
abf:
  - id: 1
    acl: web
    paths: [{ via: 198.51.100.9, interface: wan, weight: 2 }, { via: 10.3.0.9, interface: lan }]
    attachments: [{ interface: lan, priority: 10 }, { interface: wan, priority: 5 }]
puntSockets:
  - { protocol: udp, port: 500, path: /tmp/ike.sock }
  - { ipProtocol: 89, family: ip6, path: /tmp/ospf.sock }
puntRedirects:
  - { paths: [{ via: 10.3.0.9, interface: lan }] }
  - { rx: wan, paths: [{ via: 10.3.0.9, interface: lan }] }
nat44:
  inside: [lan, guests]
  output: [wan]
  interfacePools: [wan]
  pools: [{ first: 203.0.113.1, last: 203.0.113.3 }]
  timeouts: { udp: 200 }
  forwarding: true
  mappings:
    - { tag: ssh, local: 10.3.0.9, localPort: 22, externalInterface: wan, externalPort: 22, protocol: tcp }
    - { tag: web, local: 10.3.0.9, localPort: 8080, external: 203.0.113.1, externalPort: 80, protocol: tcp }
  balancers:
    - external: 203.0.113.2
      port: 443
      protocol: tcp
      backends: [{ address: 10.3.0.10, port: 443, weight: 50 }, { address: 10.3.0.11, port: 443, weight: 50 }]
  identities: [{ address: 203.0.113.3, protocol: udp, port: 4500 }]
`;

void t.test('a file is applied, and then there is no difference', async (t) => {
  for (const [name, socket] of await sockets(t)) {
    await t.test(name, async (t) => {
      const path = join(folder(t), 'config.yaml');
      const at = ['-s', socket, '--timeout', '30'];
      writeFileSync(path, file);
      const first = await run('config', 'diff', path, ...at);
      t.equal(first.code, 1, first.err);
      t.match(first.out, /^\+ tables ip4 5\n/);
      const applied = await run('config', 'apply', path, ...at);
      t.equal(applied.code, 0, applied.err);
      t.match(applied.out, /27 changes/);
      const none = await run('config', 'diff', path, ...at);
      t.strictSame([none.code, none.out, none.err], [0, '', '']);
      const dump = join(folder(t), 'dump.yaml');
      t.equal((await run('config', 'dump', dump, ...at)).code, 0);
      t.match(readFileSync(dump, 'utf8'), /name: overlay[^]*vni: 7/);
      t.strictSame((await run('config', 'diff', dump, ...at)).out, '', 'what was dumped is what is there');
      writeFileSync(path, file.replace('mtu: 1500', 'mtu: 1400').replace(/ {2}- \{ prefix: 10\.40.*\n/, ''));
      const changed = await run('config', 'diff', path, ...at);
      t.match(changed.out, /~ interfaces lan: mtu\n/);
      t.match(changed.out, /- routes 10\.40\.0\.0\/16 in 0\n/);
      t.equal((await run('config', 'apply', path, '--prune', ...at)).code, 0);
      t.strictSame((await run('config', 'diff', path, ...at)).out, '');
      const names = ['tables', 'acls', 'interfaces', 'macips', 'bridges', 'spans', 'routes', 'neighbors', ...extras];
      const lists = ['inside', 'outside', 'output', 'interfacePools', 'pools', 'mappings', 'balancers', 'identities'];
      const nat = `nat44: { ${lists.map((list) => `${list}: []`).join(', ')}, timeouts: { udp: 300 }, forwarding: false }\n`;
      writeFileSync(path, `${names.map((section) => `${section}: []\n`).join('')}${nat}`);
      const pruned = await run('config', 'apply', path, '--prune', ...at);
      t.equal(pruned.code, 0, pruned.err);
      t.strictSame((await run('config', 'diff', path, ...at)).out, '', 'all of it is gone');
    });
  }
});

// `file` made another: what, by what.
const edits: readonly (readonly [from: string | RegExp, to: string])[] = [
  ['lan, mode: strict', 'lan, mode: loose'],
  [', direction: tx, table: 0', ', direction: tx, table: 5'],
  ['high: 10.3.0.120', 'high: 10.3.0.130'],
  ['3:0::99', '3:0::98'],
  ['managed: true', 'managed: false'],
  ['lifetimeSeconds: 900', 'lifetimeSeconds: 0'],
  ["prefix: '2001:db8:4::/64', autoconfigure: false", "prefix: '2001:db8:5::/64'"],
  ['guests, paths: [{ via: 10.3.0.9', 'guests, paths: [{ via: 10.3.0.8'],
  [', weight: 2 }', ', weight: 3 }'],
  ['{ interface: wan, priority: 5 }', '{ interface: port, priority: 7 }'],
  ['/tmp/ike.sock', '/tmp/ike2.sock'],
  ['ipProtocol: 89', 'ipProtocol: 88'],
  ['- { paths: [{ via: 10.3.0.9', '- { paths: [{ via: 10.3.0.8'],
  ['- { rx: wan,', '- { rx: port,'],
  ['last: 203.0.113.3', 'last: 203.0.113.2'],
  ['forwarding: true', 'forwarding: false'],
  ['udp: 200', 'icmp: 30'],
  // The same inside end from another outside; and another inside end of the same outside.
  ['externalPort: 22,', 'externalPort: 2222,'],
  ['localPort: 8080', 'localPort: 8081'],
  ['inside: [lan, guests]', 'inside: [guests]\n  outside: [lan]'],
  [/ {2}identities: .*/, ''],
];
const extras = [
  ...['urpf', 'proxyArpRanges', 'proxyArpInterfaces', 'proxyNd', 'routerAdvertisements', 'l3xc', 'abf'],
  ...['puntSockets', 'puntRedirects'],
];

void t.test('what differs is changed, and what only VPP has waits for --prune', async (t) => {
  for (const [name, socket] of await sockets(t)) {
    await t.test(name, async (t) => {
      const path = join(folder(t), 'config.yaml');
      const at = ['-s', socket, '--timeout', '30'];
      const good = async (...args: string[]): Promise<string> => {
        const { code, out, err } = await run('config', ...args, path, ...at);
        t.equal(code, 0, `${args.join(' ')} ${err}`);
        return out;
      };
      const diff = async (): Promise<string[]> =>
        (await run('config', 'diff', path, ...at)).out.split('\n').filter((line) => line !== '');
      writeFileSync(path, file);
      await good('apply');
      t.strictSame(await diff(), []);
      let text = file;
      for (const [from, to] of edits) {
        const next = text.replace(from, to);
        t.not(next, text, String(from));
        text = next;
      }
      writeFileSync(path, text);
      const beside = [
        '- proxyArpRanges 10.3.0.100-10.3.0.120 in 0',
        '- proxyNd 2001:db8:3::99 on lan',
        '- puntSockets protocol 89 ip6',
        '- puntRedirects wan ip4',
        '- nat44 nat44: pools 203.0.113.3, inside lan',
      ];
      t.strictSame(
        (await diff()).sort(),
        [
          '~ urpf lan ip4 rx: mode',
          '~ urpf guests ip4 tx: table',
          '+ proxyArpRanges 10.3.0.100-10.3.0.130 in 0',
          '+ proxyNd 2001:db8:3::98 on lan',
          '~ routerAdvertisements lan: managed, lifetimeSeconds, prefixes',
          '~ l3xc guests ip4: paths',
          '~ abf 1: paths, attachments',
          '~ puntSockets udp 500 ip4: path',
          '+ puntSockets protocol 88 ip6',
          '~ puntRedirects all ip4: paths',
          '+ puntRedirects port ip4',
          '~ nat44 nat44: mappings, outside, timeouts, forwarding',
          ...beside,
        ].sort(),
      );
      // Without --prune what is in the file is so, and what is beside it stays and is named.
      await good('apply');
      t.strictSame(await diff(), beside);
      await good('apply', '--prune');
      t.strictSame(await diff(), [], 'everything is as the file says');
      // And back, in one go: what is new comes before what is gone.
      writeFileSync(path, file);
      await good('apply', '--prune');
      t.strictSame(await diff(), []);
      // A section that is not in the file is left alone.
      const sections = file.split(/^(?=\w)/m).filter((section) => !extras.includes(section.split(':')[0]!));
      writeFileSync(path, sections.join(''));
      t.match(await good('apply', '--prune'), /^0 changes/m);
      writeFileSync(path, file);
      t.strictSame(await diff(), []);
      const nothing = ['tables', 'acls', 'interfaces', 'macips', 'bridges', 'spans', 'routes', 'neighbors', ...extras];
      const lists = ['inside', 'outside', 'output', 'interfacePools', 'pools', 'mappings', 'balancers', 'identities'];
      writeFileSync(
        path,
        `${nothing.map((one) => `${one}: []\n`).join('')}nat44: { ${lists.map((one) => `${one}: []`).join(', ')} }\n`,
      );
      await good('apply', '--prune');
      t.strictSame(await diff(), [], 'all of it is gone');
    });
  }
});

void t.test('what takes the place of something needs no --prune', async (t) => {
  for (const [name, socket] of await sockets(t)) {
    await t.test(name, async (t) => {
      const path = join(folder(t), 'config.yaml');
      const at = ['-s', socket, '--timeout', '30'];
      const apply = async (text: string, ...more: string[]): Promise<string[]> => {
        writeFileSync(path, text);
        const { code, out, err } = await run('config', 'apply', path, ...more, ...at);
        t.equal(code, 0, err);
        t.strictSame((await run('config', 'diff', path, ...at)).out, '', 'as the file says');
        return out.split('\n').filter((line) => line !== '');
      };
      const tcp = (port: number): string => `external: 203.0.113.1, externalPort: ${port}, protocol: tcp`;
      const backends = '[{ address: 10.0.0.1, port: 80, weight: 50 }, { address: 10.0.0.2, port: 80, weight: 50 }]';
      await apply(`
tables: [{ id: 6, family: ip4 }]
interfaces: [{ name: a, kind: loopback, instance: 21 }, { name: b, kind: loopback, instance: 22 }]
nat44:
  inside: [a]
  output: [b]
  pools: [{ first: 203.0.113.1, last: 203.0.113.4 }]
  mappings:
    - { local: 10.0.0.9, localPort: 80, ${tcp(80)} }
    - { local: 10.0.0.9, localPort: 81, ${tcp(81)} }
  balancers: [{ external: 203.0.113.2, port: 443, protocol: tcp, backends: ${backends} }]
  identities: [{ address: 203.0.113.3, protocol: udp, port: 4500 }]
`);
      const changed = await apply(`
nat44:
  inside: [b]
  output: [a]
  pools: [{ first: 203.0.113.1, last: 203.0.113.2, table: 6 }, { first: 203.0.113.3, last: 203.0.113.4 }]
  mappings:
    - { local: 10.0.0.9, localPort: 81, ${tcp(82)} }
    - { local: 10.0.0.9, localPort: 443, external: 203.0.113.2, externalPort: 443, protocol: tcp }
    - { local: 10.0.0.7, localPort: 4500, external: 203.0.113.3, externalPort: 4500, protocol: udp }
  balancers: [{ external: 203.0.113.1, port: 80, protocol: tcp, backends: ${backends} }]
  identities: []
`);
      t.strictSame(changed, ['~ nat44 nat44: mappings, balancers, pools, inside, output', '1 changes']);
      const lists = ['inside', 'output', 'pools', 'mappings', 'balancers', 'identities'];
      await apply(
        `tables: []\ninterfaces: []\nnat44: { ${lists.map((list) => `${list}: []`).join(', ')} }\n`,
        '--prune',
      );
    });
  }
});

// Beside `file`: every kind of interface, written in no order.
const more = `
  - { name: q, kind: vlan, vlan: { parent: bnd, vlan: 7, innerVlan: 8, dot1ad: true, exactMatch: true }, tagRewrite: { op: pop-2 } }
  - { name: bnd, kind: bond, bond: { id: 2, mode: lacp, loadBalance: l34 }, members: [{ interface: port2, longTimeout: true }, port1], up: true }
  - { name: un, kind: loopback, instance: 41, up: true, unnumbered: lan, mtu: { l3: 1500, ip6: 1400 } }
  - { name: port1, kind: loopback, instance: 43 }
  - { name: port2, kind: loopback, instance: 44, mac: '02:fe:00:00:00:44' }
  - { name: mixed, kind: loopback, instance: 42, addresses: [10.77.0.1/24], table: 5 }
  - { name: irb, kind: bvi, instance: 3, addresses: [10.78.0.1/24] }
  - { name: one, kind: loopback, instance: 45, table: { ip4: 5 } }
  - { name: m1, kind: memif, memif: { socket: /tmp/node-vpp-rt.sock, id: 3, role: client, mode: ip }, up: true, addresses: [10.99.0.1/30] }
  - { name: gr, kind: gre, tunnel: { source: 10.3.0.1, destination: 10.3.0.7, type: erspan, sessionId: 3 }, up: true }
  - { name: ge, kind: geneve, tunnel: { source: 10.3.0.1, destination: 10.3.0.8, vni: 9 } }
  - { name: ii, kind: ipip, tunnel: { source: 10.3.0.1, destination: 10.3.0.9, dscp: 10 } }
bridges:`;

void t.test('what was dumped makes another VPP the same', async (t) => {
  const pairs = [['stand-in', (await standIn(t)).server.path, (await standIn(t)).server.path]];
  if (targets.at(-1)!.skip === false) {
    const at = folder(t);
    const start = (name: string): Promise<Vpp> =>
      Vpp.start({ plugins, config: `punt { socket ${join(at, name)} }`, heap: '256M' });
    const [one, other] = [await start('one'), await start('other')];
    t.teardown(() => Promise.all([one.stop(), other.stop()]));
    pairs.push(['VPP', one.apiSocket, other.apiSocket]);
  }
  for (const [name, one, other] of pairs) {
    await t.test(name!, async (t) => {
      const path = join(folder(t), 'config.yaml');
      const good = async (socket: string, ...args: string[]): Promise<string> => {
        const { code, out, err } = await run('config', ...args, '-s', socket, '--timeout', '30');
        t.equal(code, 0, `${args.join(' ')} ${err}`);
        return out;
      };
      writeFileSync(path, file.replace('\nbridges:', more));
      t.match(await good(one!, 'apply', path), /39 changes/);
      t.equal(await good(one!, 'diff', path), '');
      const dump = await good(one!, 'dump');
      for (const part of [
        /name: q[^]*innerVlan: 8[^]*dot1ad: true/,
        /members:\n *- port1\n *- interface: port2\n *longTimeout: true/,
        /unnumbered: lan/,
        /ip6: 1400/,
        /name: one[^-]*table:\n *ip4: 5\n *ip6: 0/,
        /type: erspan\n *sessionId: 3/,
        /dscp: 10/,
      ])
        t.match(dump, part);
      writeFileSync(path, dump);
      await good(other!, 'apply', path);
      t.equal(await good(other!, 'diff', path), '');
      // VPP counts these down.
      const still = (text: string): string => text.replace(/((valid|preferred)Seconds): \d+/g, '$1');
      t.equal(still(await good(other!, 'dump')), still(dump));
      const memif = '{ socket: /tmp/node-vpp-rt.sock, id: 3, role: client, mode: ip, ringSize: 512, secret: hush }';
      writeFileSync(path, `interfaces: [{ name: m1, kind: memif, memif: ${memif} }]\n`);
      t.notMatch((await run('config', 'diff', path, '-s', other!)).out, /m1/, 'what VPP does not tell');
      writeFileSync(
        path,
        `interfaces: [{ name: m1, kind: memif, memif: ${memif.replace('id: 3', 'id: 4')} }, { name: x, kind: loopback }]\n`,
      );
      const refused = await run('config', 'apply', path, '-s', other!);
      t.equal(refused.code, 1);
      t.match(
        refused.err,
        /^node-vpp: interface m1: its memif cannot be changed; delete it \(node-vpp del interface m1\)/,
      );
      t.match((await run('config', 'diff', path, '-s', other!)).out, /\+ interfaces x/, 'and nothing was changed');
      writeFileSync(path, 'interfaces: [{ name: un, kind: loopback, unnumbered: "" }]\nbridges: []\n');
      t.match(await good(other!, 'apply', path), /~ interfaces un: unnumbered/);
      t.notMatch(await good(other!, 'dump'), /unnumbered/);
    });
  }
});

void t.test('NAT44 gets what is new before it loses what is gone, where both fit', async (t) => {
  const vpp = await standIn(t);
  const path = join(folder(t), 'config.yaml');
  const apply = async (text: string): Promise<string[]> => {
    writeFileSync(path, text);
    vpp.sent();
    const { code, err } = await run('config', 'apply', path, '--prune', '-s', vpp.server.path);
    t.equal(code, 0, err);
    const messages = vpp.sent().filter(({ name }) => name.startsWith('nat44_'));
    return messages.map(({ name, fields }) => {
      const { first_ip_address: first, external_ip_address: external, sw_if_index: itf, is_add: add } = fields;
      return `${add ? '+' : '-'} ${name.replace(/^nat44_(ed_)?add_del_|_v2$/g, '')} ${first ?? external ?? itf}`;
    });
  };
  const mapping = (end: string, local: string): string =>
    `{ local: ${local}, localPort: 80, external: ${end}, externalPort: 80, protocol: tcp }`;
  await apply(`
interfaces: [{ name: a, kind: loopback, instance: 1 }]
nat44:
  inside: [a]
  pools: [{ first: 203.0.113.1 }]
  mappings: [${mapping('203.0.113.1', '10.0.0.1')}]
`);
  const sent = await apply(`
nat44:
  inside: []
  output: [a]
  pools: [{ first: 203.0.113.2 }]
  mappings: [${mapping('203.0.113.2', '10.0.0.2')}]
`);
  t.strictSame(sent, [
    '- nat44_interface_add_del_feature 1',
    '+ output_interface 1',
    '+ address_range 203.0.113.2',
    '+ static_mapping 203.0.113.2',
    '- static_mapping 203.0.113.1',
    '- address_range 203.0.113.1',
  ]);
});

void t.test('a file that is none is refused in one line', async (t) => {
  const { server } = await standIn(t);
  const path = join(folder(t), 'bad.yaml');
  for (const [text, why] of [
    ['interface: []', /"interface" is no section/],
    ['routes: {}', /routes is a list/],
    ['nat44: []', /nat44 is an object/],
    ['nat44: { mapping: [] }', /"mapping" is nothing of nat44/],
    ['nat44: { pools: [{ first: 203.0.113.400 }] }', /nat44\.pools: .*203\.0\.113\.400/],
    ['urpf: [{ mode: strict }]', /lacks what names it/],
    ['l3xc: [{ interface: a, paths: [] }, { interface: a, family: ip4, paths: [] }]', /has a ip4 twice/],
    ['interfaces: [{ kind: loopback }]', /lacks what names it/],
    [
      'interfaces: [{ name: a, kind: loopback, adress: 1 }]',
      /"adress" is nothing of interfaces \(name, kind, .*addresses/,
    ],
    [
      'interfaces: [{ name: a, kind: memif, memif: { sokcet: b } }]',
      /"sokcet" is nothing of interfaces\.memif \(socket/,
    ],
    ['routes: [{ prefix: 10.0.0.0/8, paths: [{ gw: 10.0.0.1 }] }]', /"gw" is nothing of routes\.paths \(via/],
    ['routes: [{ prefix: 10.0.0.0/33, paths: [] }]', /routes: .*10\.0\.0\.0\/33/],
    ['routes: [{ prefix: 10.1.0.0/8, paths: [] }, { prefix: 10.2.0.0/8, paths: [] }]', /has 10\.0\.0\.0\/8 in 0 twice/],
    ['nat44: { mappings: [{ locale: a }] }', /"locale" is nothing of nat44\.mappings/],
    ['interfaces: [{ name: a, kind: loopback }, { name: a, kind: tap }]', /has a twice/],
    ['a: [', /flow|expected|end/i],
  ] as const) {
    writeFileSync(path, text);
    const { code, err } = await run('config', 'apply', path, '-s', server.path);
    t.equal(code, 1);
    t.match(err, why);
    t.equal(err.trim().split('\n').length, 1, err);
  }
});
