// Chapter 62: the kernel's own stacks talk through the dataplane. Network namespaces, each with a TAP or a veth of ours;
// ping and iperf3 in them, tshark on what we captured. Needs root; says so where it is not.

import t from 'tap';
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type Forwarder, type Neighbour, TagRewriteOp, openForwarder } from 'node-vpp/dataplane';
import { descriptors, temporaryFolder, until } from './support/memif.js';

const all = { learn: true, forward: true, flood: true, uuFlood: true, arpTerm: false, arpUnicastForward: false };

/** Why the kernel cannot take part; undefined when it can. */
function reason(): string | undefined {
  if (process.getuid?.() !== 0) return 'needs root: network namespaces, TAP and AF_PACKET';
  if (spawnSync('ip', ['-V']).error !== undefined) return 'iproute2 is not installed';
  if (!existsSync('/dev/net/tun')) return 'there is no /dev/net/tun';
  const probe = `nvp${process.pid}`;
  if (spawnSync('ip', ['netns', 'add', probe]).status !== 0) return 'network namespaces cannot be made here';
  spawnSync('ip', ['netns', 'del', probe]);
  return spawnSync('ping', ['-V']).error === undefined ? undefined : 'ping (iputils-ping) is not installed';
}
const why = reason();
const skip = why ?? false;
const noIperf = why ?? (spawnSync('iperf3', ['-v']).error === undefined ? false : 'iperf3 is not installed');
const noTshark = why ?? (spawnSync('tshark', ['-v']).error === undefined ? false : 'tshark is not installed');

const sh = (command: string): string =>
  execFileSync('sh', ['-c', command], { stdio: ['ignore', 'pipe', 'pipe'] }).toString();

let made = 0;

/** A forwarder and its namespaces, all gone at the end of the test. */
class Hosts {
  readonly forwarder: Forwarder;
  readonly names: string[] = [];
  readonly #children: ChildProcess[] = [];

  constructor(
    t: { teardown: (end: () => Promise<void>) => unknown },
    options: Parameters<typeof openForwarder>[0] = {},
  ) {
    this.forwarder = openForwarder(options);
    t.teardown(() => this.close());
  }

  /** A namespace with lo up. */
  namespace(): string {
    const name = `nv${process.pid}n${made++}`;
    sh(`ip netns add ${name} && ip -n ${name} link set lo up`);
    this.names.push(name);
    return name;
  }

  /** A namespace with a TAP of ours, 10.<index>.0.2/24 and 2001:db8:<index>::2/64 on it, default routes to us. */
  tap(index: number, more: { ip4?: string; gateway?: boolean; gso?: boolean } = {}): string {
    const name = this.namespace();
    const { ip4 = `10.${index}.0.2/24`, gateway = true, gso = true } = more;
    this.forwarder.addInterface({
      kind: 'tap',
      swIfIndex: index,
      name: `tap${index}`,
      mac: `02:fe:00:00:00:0${index}`,
      hostName: 'eth0',
      hostNamespace: name,
      hostMac: `0a:00:00:00:00:0${index}`,
      hostIp4: ip4,
      hostIp6: `2001:db8:${index}::2/64`,
      ...(gateway ? { hostIp4Gateway: `10.${index}.0.1`, hostIp6Gateway: `2001:db8:${index}::1` } : {}),
      gso,
    });
    this.forwarder.setAdmin(index, true);
    return name;
  }

  /** The same by a veth whose near end is an AF_PACKET port. */
  veth(index: number, ip4 = `10.${index}.0.2/24`, gateway = `10.${index}.0.1`): string {
    const name = this.namespace();
    const near = `nv${process.pid % 100_000}v${made}`;
    sh(
      `ip link add ${near} type veth peer name eth0 netns ${name} && ip link set ${near} up && ` +
        `ip -n ${name} addr add ${ip4} dev eth0 && ip -n ${name} link set eth0 up && ip -n ${name} route add default via ${gateway}`,
    );
    this.forwarder.addInterface({
      kind: 'af_packet',
      swIfIndex: index,
      name: `host-${near}`,
      mac: `02:fe:00:00:00:0${index}`,
      hostName: near,
    });
    this.forwarder.setAdmin(index, true);
    return name;
  }

  /** Our addresses on an interface. */
  route(index: number): void {
    this.forwarder.addAddress(index, `10.${index}.0.1/24`);
    this.forwarder.addAddress(index, `2001:db8:${index}::1/64`);
  }

  /** Runs a program in a namespace; its output and exit code. */
  run(name: string, command: string): Promise<{ code: number | null; output: string }> {
    const child = spawn('ip', ['netns', 'exec', name, 'sh', '-c', command], { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#children.push(child);
    let output = '';
    const take = (chunk: Buffer): void => {
      output += chunk.toString();
    };
    child.stdout.on('data', take);
    child.stderr.on('data', take);
    return new Promise((resolve) => child.once('close', (code) => resolve({ code, output })));
  }

  /** Whether a ping is answered, asked until it is. */
  async pings(name: string, to: string, options = ''): Promise<boolean> {
    for (let attempt = 0; attempt < 10; attempt++) {
      const { code } = await this.run(name, `ping -n -c 1 -W 2 ${options} ${to}`);
      if (code === 0) return true;
    }
    return false;
  }

  /** An iperf3 server, listening. */
  async serve(name: string): Promise<void> {
    void this.run(name, 'exec iperf3 -s -1');
    const end = Date.now() + 20_000;
    while ((await this.run(name, 'ss -ltnH | grep -q :5201')).code !== 0) {
      if (Date.now() > end) throw new Error('iperf3 does not listen');
    }
  }

  /** Megabits a second that arrived, and the share that was lost. */
  async iperf(from: string, to: string, address: string, options = ''): Promise<{ mbps: number; lost: number }> {
    await this.serve(to);
    const { output } = await this.run(from, `iperf3 -J -t 1 -c ${address} ${options}`);
    const result = JSON.parse(output) as {
      error?: string;
      end: { sum_received?: { bits_per_second: number }; sum?: { bits_per_second: number; lost_percent: number } };
    };
    if (result.error !== undefined) throw new Error(result.error);
    const { sum_received: received, sum } = result.end;
    return { mbps: (received?.bits_per_second ?? sum?.bits_per_second ?? 0) / 1e6, lost: sum?.lost_percent ?? 0 };
  }

  async close(): Promise<void> {
    for (const child of this.#children) if (child.exitCode === null) child.kill('SIGKILL');
    await this.forwarder.close();
    for (const name of this.names) spawnSync('ip', ['netns', 'del', name]);
  }
}

void t.test('two subnets, routed: TAP to TAP and TAP to veth', { skip }, async (t) => {
  const hosts = new Hosts(t);
  const { forwarder } = hosts;
  const [one, two, three] = [hosts.tap(1), hosts.tap(2), hosts.veth(3)];
  for (const index of [1, 2, 3]) hosts.route(index);
  t.match(forwarder.status(1), { link: true, hostName: 'eth0', hostMac: '0a:00:00:00:00:01', gso: true, mtu: 1500 });

  await t.test('ping, to us and through us, IPv4 and IPv6', async (t) => {
    t.ok(await hosts.pings(one, '10.1.0.1'), 'us');
    t.ok(await hosts.pings(one, '10.2.0.2'), 'TAP');
    t.ok(await hosts.pings(one, '10.3.0.2'), 'veth');
    t.ok(await hosts.pings(one, '2001:db8:1::1'), 'us, IPv6');
    t.ok(await hosts.pings(one, '2001:db8:2::2'), 'TAP, IPv6');
    t.ok(await hosts.pings(one, '10.1.0.1', '-s 4000'), 'us, in fragments');
    t.ok(await hosts.pings(one, '10.2.0.2', '-s 4000'), 'through us, in fragments');
    const { output } = await hosts.run(one, 'ping -n -c 1 -t 1 -W 2 10.2.0.2');
    t.match(output, /From 10\.1\.0\.1.*Time to live exceeded/, 'traceroute sees us');
    t.equal((await hosts.run(one, 'ping -n -c 1 -W 1 99.9.9.9')).code, 1, 'where no route leads');
  });

  await t.test('a smaller MTU on the way is told, and obeyed', async (t) => {
    forwarder.setMtu(2, { l3: 1000 });
    const { output } = await hosts.run(one, 'ping -n -c 1 -W 2 -M do -s 1200 10.2.0.2');
    t.match(output, /[Ff]rag.*needed.*1000|message too long.*mtu.?=?.?1000/s, 'fragmentation needed');
    t.ok(await hosts.pings(one, '10.2.0.2', '-M dont -s 1200'), 'or it is cut');
    forwarder.setMtu(2, { l3: 0 });
    await hosts.run(one, 'ip route flush cache');
  });

  await t.test('TCP and UDP at a rate', { skip: noIperf }, async (t) => {
    const tcp = await hosts.iperf(one, two, '10.2.0.2');
    t.ok(tcp.mbps > 50, `TCP between TAPs: ${tcp.mbps.toFixed(0)} Mb/s`);
    const veth = await hosts.iperf(one, three, '10.3.0.2');
    t.ok(veth.mbps > 50, `TCP to a veth: ${veth.mbps.toFixed(0)} Mb/s`);
    const back = await hosts.iperf(one, three, '10.3.0.2', '-R');
    t.ok(back.mbps > 50, `and back: ${back.mbps.toFixed(0)} Mb/s`);
    const udp = await hosts.iperf(one, two, '10.2.0.2', '-u -b 50M -l 1200');
    t.ok(udp.mbps > 20, `UDP: ${udp.mbps.toFixed(0)} Mb/s, ${udp.lost.toFixed(1)} % lost`);
    const six = await hosts.iperf(one, two, '2001:db8:2::2', '-6');
    t.ok(six.mbps > 50, `TCP over IPv6: ${six.mbps.toFixed(0)} Mb/s`);
  });

  await t.test('an interface goes down, and up', async (t) => {
    const told: string[] = [];
    forwarder.setEvents({ linkChanged: (index, up) => told.push(`${index} ${up ? 'up' : 'down'}`) });
    forwarder.setAdmin(2, false);
    t.equal((await hosts.run(one, 'ping -n -c 1 -W 1 10.2.0.2')).code, 1);
    forwarder.setAdmin(2, true);
    t.ok(await hosts.pings(one, '10.2.0.2'));
    sh(`ip -n ${two} link set eth0 down`);
    await until('the link of the TAP is down', () => told.includes('2 down'));
    sh(`ip -n ${two} link set eth0 up && ip -n ${two} route replace default via 10.2.0.1`);
    await until('and up', () => told.includes('2 up'));
    sh(`ip -n ${three} link set eth0 down`);
    await until('the carrier of the veth is gone', () => told.includes('3 down'));
    sh(`ip -n ${three} link set eth0 up && ip -n ${three} route replace default via 10.3.0.1`);
    await until('and back', () => told.includes('3 up'));
    t.ok(await hosts.pings(one, '10.3.0.2'));
  });

  await t.test('what passed is what tshark reads', { skip: noTshark }, async (t) => {
    const path = join(temporaryFolder(t), 'routed.pcapng');
    const captured = forwarder.startCapture({ path });
    t.ok(await hosts.pings(one, '10.2.0.2'));
    forwarder.stopCapture();
    t.ok((await captured) >= 4);
    const fields = sh(
      `tshark -r ${path} -o ip.check_checksum:TRUE -Y icmp -T fields -e ip.ttl -e icmp.type -e ip.checksum.status 2>/dev/null`,
    );
    const rows = fields.trim().split('\n');
    t.ok(rows.includes('64\t8\t1') && rows.includes('63\t8\t1'), 'the request, before and after, checksums right');
    t.ok(rows.includes('63\t0\t1'), 'and the reply');
  });
});

void t.test('a bridge of TAPs and a veth', { skip }, async (t) => {
  const hosts = new Hosts(t);
  const { forwarder } = hosts;
  const one = hosts.tap(1, { ip4: '10.9.0.1/24', gateway: false });
  const two = hosts.tap(2, { ip4: '10.9.0.2/24', gateway: false, gso: false });
  const three = hosts.veth(3, '10.9.0.3/24', '10.9.0.254');
  forwarder.addBridgeDomain(1, all, 0);
  for (const index of [1, 2, 3]) forwarder.setBridged(index, 1, { type: 'normal', shg: 0 });
  t.ok(await hosts.pings(one, '10.9.0.2'));
  t.ok(await hosts.pings(one, '10.9.0.3'));
  t.ok(
    [...forwarder.l2Fib(1)].some(({ mac, swIfIndex }) => mac === '0a:00:00:00:00:01' && swIfIndex === 1),
    'the host was learnt where it is',
  );
  forwarder.addInterface({ kind: 'loopback', swIfIndex: 9, name: 'loop9', mac: '02:fe:00:00:00:09' });
  forwarder.setAdmin(9, true);
  forwarder.setBridged(9, 1, { type: 'bvi', shg: 0 });
  forwarder.addAddress(9, '10.9.0.254/24');
  t.ok(await hosts.pings(three, '10.9.0.254'), 'the BVI answers');

  await t.test('TCP across it, with and without segments at the other end', { skip: noIperf }, async (t) => {
    const cut = await hosts.iperf(one, two, '10.9.0.2');
    t.ok(cut.mbps > 20, `to a TAP without offload, cut by us: ${cut.mbps.toFixed(0)} Mb/s`);
    const whole = await hosts.iperf(one, three, '10.9.0.3');
    t.ok(whole.mbps > 50, `to a veth: ${whole.mbps.toFixed(0)} Mb/s`);
    const udp = await hosts.iperf(three, one, '10.9.0.1', '-u -b 20M');
    t.ok(udp.mbps > 5, `UDP: ${udp.mbps.toFixed(0)} Mb/s`);
  });
});

void t.test('a trunk between two dataplanes: two VLANs on one veth, routed and bridged', { skip }, async (t) => {
  const hosts = new Hosts(t);
  const far = new Hosts(t);
  const [near, other] = [`nv${process.pid % 100_000}ta`, `nv${process.pid % 100_000}tb`];
  sh(`ip link add ${near} type veth peer name ${other} && ip link set ${near} up && ip link set ${other} up`);
  t.teardown(() => void spawnSync('ip', ['link', 'del', near]));
  for (const [forwarder, hostName] of [
    [hosts.forwarder, near],
    [far.forwarder, other],
  ] as const) {
    forwarder.addInterface({ kind: 'af_packet', swIfIndex: 9, name: 'trunk', mac: '02:fe:00:00:00:09', hostName });
    forwarder.setAdmin(9, true);
    for (const id of [10, 20]) {
      forwarder.addInterface({
        kind: 'sub',
        swIfIndex: id,
        name: `trunk.${id}`,
        parent: 9,
        tags: [{ vlanId: id }],
        exact: true,
      });
      forwarder.setAdmin(id, true);
    }
    forwarder.addBridgeDomain(20, all, 0);
    forwarder.setBridged(20, 20, { type: 'normal', shg: 0 });
    forwarder.setTagRewrite(20, { op: TagRewriteOp.pop1, pushDot1q: true, tag1: 0, tag2: 0 });
  }
  far.forwarder.setMac(9, '02:fe:00:00:00:08');
  // VLAN 10 is a routed link between the two, VLAN 20 one bridge across both.
  const [one, two] = [hosts.tap(1), far.tap(2)];
  hosts.route(1);
  far.route(2);
  hosts.forwarder.addAddress(10, '10.10.0.1/24');
  far.forwarder.addAddress(10, '10.10.0.2/24');
  hosts.forwarder.setRoute(0, '10.2.0.0/24', [{ kind: 'via', swIfIndex: 10, nextHop: '10.10.0.2' }]);
  far.forwarder.setRoute(0, '10.1.0.0/24', [{ kind: 'via', swIfIndex: 10, nextHop: '10.10.0.1' }]);
  const [three, four] = [
    hosts.tap(3, { ip4: '10.20.0.3/24', gateway: false }),
    far.tap(4, { ip4: '10.20.0.4/24', gateway: false }),
  ];
  hosts.forwarder.setBridged(3, 20, { type: 'normal', shg: 0 });
  far.forwarder.setBridged(4, 20, { type: 'normal', shg: 0 });
  t.ok(await hosts.pings(one, '10.2.0.2'), 'routed over VLAN 10');
  t.ok(await far.pings(two, '10.1.0.2'), 'and back');
  t.ok(await hosts.pings(three, '10.20.0.4'), 'bridged over VLAN 20');
  t.ok(await far.pings(four, '10.20.0.3', '-s 3000'), 'and back, in fragments');
  t.equal((await hosts.run(three, 'ping -n -c 1 -W 1 10.2.0.2')).code === 0, false, 'one VLAN is not the other');
  if (noIperf === false) {
    await far.serve(two);
    const { output } = await hosts.run(one, 'iperf3 -J -t 1 -c 10.2.0.2');
    const { end } = JSON.parse(output) as { end: { sum_received: { bits_per_second: number } } };
    t.ok(end.sum_received.bits_per_second > 20e6, `TCP: ${(end.sum_received.bits_per_second / 1e6).toFixed(0)} Mb/s`);
  }
  const path = join(temporaryFolder(t), 'trunk.pcapng');
  if (noTshark === false) {
    const captured = hosts.forwarder.startCapture({ path, swIfIndex: 10, directions: ['tx'] });
    t.ok(await hosts.pings(one, '10.2.0.2'));
    hosts.forwarder.stopCapture();
    await captured;
    t.match(
      sh(`tshark -r ${path} -Y 'icmp && vlan.id == 10' -T fields -e vlan.id 2>/dev/null`),
      /^10/,
      'tagged on the wire',
    );
  }
});

/** Whether this kernel makes VLAN interfaces. */
const vlans = (): boolean => {
  const name = `nv${process.pid % 100_000}vl`;
  sh(`ip link add ${name} type veth peer name ${name}p`);
  const { status } = spawnSync('ip', ['link', 'add', 'link', name, 'name', `${name}.1`, 'type', 'vlan', 'id', '1']);
  spawnSync('ip', ['link', 'del', name]);
  return status === 0;
};
const noVlans = why ?? (vlans() ? false : 'this kernel makes no VLAN interfaces');

void t.test("a trunk to the kernel's own VLAN interfaces", { skip: noVlans }, async (t) => {
  const hosts = new Hosts(t);
  const { forwarder } = hosts;
  const trunk = hosts.veth(3);
  const access = hosts.tap(2, { ip4: '10.20.0.3/24', gateway: false });
  for (const id of [10, 20]) {
    sh(
      `ip -n ${trunk} link add link eth0 name eth0.${id} type vlan id ${id} && ip -n ${trunk} addr add 10.${id}.0.2/24 dev eth0.${id} && ` +
        `ip -n ${trunk} link set eth0.${id} up`,
    );
    forwarder.addInterface({
      kind: 'sub',
      swIfIndex: id,
      name: `trunk.${id}`,
      parent: 3,
      tags: [{ vlanId: id }],
      exact: true,
    });
    forwarder.setAdmin(id, true);
  }
  forwarder.addAddress(10, '10.10.0.1/24');
  forwarder.addBridgeDomain(1, all, 0);
  forwarder.setBridged(20, 1, { type: 'normal', shg: 0 });
  forwarder.setBridged(2, 1, { type: 'normal', shg: 0 });
  forwarder.setTagRewrite(20, { op: TagRewriteOp.pop1, pushDot1q: true, tag1: 0, tag2: 0 });
  t.ok(await hosts.pings(trunk, '10.10.0.1'), 'VLAN 10 ends at our router');
  t.ok(await hosts.pings(trunk, '10.20.0.3'), 'VLAN 20 is bridged to an untagged port');
  t.ok(await hosts.pings(access, '10.20.0.2'), 'and back');
});

void t.test('access lists between hosts', { skip }, async (t) => {
  const hosts = new Hosts(t);
  const { forwarder } = hosts;
  const [one, two] = [hosts.tap(1), hosts.tap(2)];
  for (const index of [1, 2]) hosts.route(index);
  t.ok(await hosts.pings(one, '10.2.0.2'));
  const rule = {
    source: '0.0.0.0/0',
    destination: '0.0.0.0/0',
    protocol: 0,
    sourceFirst: 0,
    sourceLast: 65_535,
    destinationFirst: 0,
    destinationLast: 65_535,
    tcpFlagsMask: 0,
    tcpFlagsValue: 0,
  };
  const once = async (from: string, to: string): Promise<boolean> =>
    (await hosts.run(from, `ping -n -c 1 -W 1 ${to}`)).code === 0;
  forwarder.setAcl(1, [{ ...rule, action: 0 }]);
  forwarder.setAclLists(1, [1], []);
  t.equal(await once(one, '10.2.0.2'), false, 'deny');
  forwarder.setAcl(1, [{ ...rule, action: 1 }]);
  t.ok(await hosts.pings(one, '10.2.0.2'), 'permit');
  forwarder.setAcl(1, [{ ...rule, action: 2 }]);
  forwarder.setAcl(2, [{ ...rule, action: 0 }]);
  forwarder.setAclLists(1, [1], [2]);
  t.ok(await hosts.pings(one, '10.2.0.2'), 'reflect: who is asked may answer');
  t.equal(await once(two, '10.1.0.2'), false, 'and not ask');
  t.ok(forwarder.aclSessions().active > 0);
  if (noIperf === false) {
    const { mbps } = await hosts.iperf(one, two, '10.2.0.2');
    t.ok(mbps > 50, `TCP by a session: ${mbps.toFixed(0)} Mb/s`);
  }
});

void t.test('flows spread over two ways; neighbours are forgotten', { skip }, async (t) => {
  const told: [string, Neighbour][] = [];
  const hosts = new Hosts(t, { ageingMs: 100 });
  const { forwarder } = hosts;
  forwarder.setEvents({ neighbourEvent: (kind, neighbour) => told.push([kind, neighbour]) });
  const one = hosts.tap(1);
  const [two, three] = [hosts.tap(2), hosts.tap(3)];
  for (const index of [1, 2, 3]) hosts.route(index);
  for (const name of [two, three]) sh(`ip -n ${name} addr add 10.77.0.1/32 dev lo`);
  forwarder.setRoute(0, '10.77.0.1/32', [
    { kind: 'via', swIfIndex: 2, nextHop: '10.2.0.2' },
    { kind: 'via', swIfIndex: 3, nextHop: '10.3.0.2' },
  ]);
  t.ok(await hosts.pings(one, '10.2.0.2'));
  t.ok(await hosts.pings(one, '10.3.0.2'));
  const listen = `import socket,sys
s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM); s.bind(('10.77.0.1',7)); s.settimeout(20)
print('ready',flush=True); n=0
try:
  while True:
    d=s.recv(9)
    if d==b'end': break
    n+=1
except Exception: pass
print('got',n)`;
  const counts = [two, three].map((name) => hosts.run(name, `python3 -c "${listen}"`));
  const bound = async (name: string): Promise<void> => {
    while ((await hosts.run(name, 'ss -lunH | grep -q 10.77.0.1:7')).code !== 0);
  };
  await Promise.all([bound(two), bound(three)]);
  await hosts.run(
    one,
    `python3 -c "import socket,time
for i in range(200):
  s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM); s.sendto(b'x',('10.77.0.1',7)); s.close(); time.sleep(0.001)
time.sleep(0.3)
for i in range(60):
  s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM); s.sendto(b'end',('10.77.0.1',7)); s.close()"`,
  );
  const got = (await Promise.all(counts)).map(({ output }) => Number(/got (\d+)/.exec(output)?.[1]));
  t.ok(got[0]! > 40 && got[1]! > 40 && got[0]! + got[1]! >= 190, `200 flows: ${got.join(' and ')}`);

  sh(`ip -n ${three} link set eth0 arp off && ip -n ${three} neigh flush dev eth0`);
  forwarder.setNeighbourLimits(false, { ageS: 1 });
  await until(
    'a neighbour that does not answer is forgotten',
    () => told.some(([kind, { ip }]) => kind === 'delete' && ip === '10.3.0.2'),
    30_000,
  );
  t.ok(
    [...forwarder.neighbours(false)].some(({ ip }) => ip === '10.2.0.2'),
    'one that does stays',
  );
});

void t.test('what cannot be had says why, and leaves nothing', { skip }, async (t) => {
  const hosts = new Hosts(t);
  const { forwarder } = hosts;
  const common = { swIfIndex: 1, name: 'x', mac: '02:fe:00:00:00:01' };
  const before = descriptors().length;
  t.throws(() => forwarder.addInterface({ ...common, kind: 'af_packet', hostName: 'nowhere0' }), {
    code: 'ERR_VPP_SYSTEM',
    syscall: 'SIOCGIFINDEX',
    message: /looking for the interface nowhere0.*ENODEV/,
  });
  t.throws(() => forwarder.addInterface({ ...common, kind: 'tap', hostNamespace: 'nowhere' }), {
    code: 'ERR_VPP_SYSTEM',
    message: /namespace \/run\/netns\/nowhere/,
  });
  t.throws(() => forwarder.addInterface({ ...common, kind: 'tap', hostBridge: 'nowhere0' }), {
    code: 'ERR_VPP_SYSTEM',
  });
  t.equal(descriptors().length, before);
  const name = hosts.tap(1);
  hosts.route(1);
  t.ok(await hosts.pings(name, '10.1.0.1'));
  const told: string[] = [];
  forwarder.setEvents({ linkChanged: (index, up) => told.push(`${index} ${up ? 'up' : 'down'}`) });
  sh(`ip -n ${name} link del eth0`);
  await until('a TAP whose kernel side was deleted has no link', () => told.includes('1 down'));
  const used = process.cpuUsage();
  await new Promise((resolve) => setTimeout(resolve, 300));
  t.ok(process.cpuUsage(used).user < 200_000, 'and does not spin');
  forwarder.removeInterface(1);
  await until('its descriptors are closed', () => descriptors().length <= before);
});
