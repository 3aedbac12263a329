// Chapter 35: `node-vpp memif` and `node-vpp demo`: real processes against each other, and against tshark and testpmd
// when they are installed. First the port that traces packets, which `dump` is made of.

import t, { type Test } from 'tap';
import fc from 'fast-check';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  LinkType,
  PcapngReader,
  PcapngWriter,
  arpRequestFrame,
  describeFrame,
  icmpEchoFrame,
  neighborSolicitationFrame,
  udpFrame,
} from 'node-vpp/net';
import { openMemif } from 'node-vpp/memif';
import { type PacketPort, loopback, trace } from 'node-vpp/testing';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const main = join(root, 'dist/cli/main.js');
const folder = mkdtempSync(join(tmpdir(), 'node-vpp-cli-memif-'));
t.teardown(() => rmSync(folder, { recursive: true, force: true }));
const path = (name: string): string => join(folder, name);
const have = (program: string): boolean => spawnSync(program, ['--version'], { stdio: 'ignore' }).error === undefined;

const us = { sourceMac: '02:fe:00:00:00:01', destinationMac: '02:fe:00:00:00:02' };
const link = { ...us, source: '10.0.0.1', destination: '10.0.0.2' };
const arp = arpRequestFrame({ senderMac: us.sourceMac, senderIp: link.source, targetIp: link.destination });
const udp = udpFrame({ ...link, sourcePort: 5000, destinationPort: 53, payload: new Uint8Array(18) });
const ping6 = icmpEchoFrame({ ...us, source: 'fd00::1', destination: 'fd00::2', identifier: 7, sequence: 1 });
const frames = [arp, udp, ping6];

/** A capture of packets, one a microsecond. */
function capture(packets: readonly Uint8Array[], linkType: number = LinkType.ETHERNET): Uint8Array {
  const writer = new PcapngWriter();
  return Buffer.concat([
    writer.section(),
    writer.interface({ linkType }),
    ...packets.map((bytes, i) => writer.packet({ interfaceId: 0, timestampNs: BigInt(i) * 1000n, bytes })),
  ]);
}

/** The packets of a capture. */
const packetsOf = (file: Uint8Array) =>
  new PcapngReader().push(file).flatMap((record) => (record.type === 'packet' ? [record] : []));

/** The command while it runs. */
class Command {
  readonly child: ChildProcess;
  readonly #ended: Promise<unknown[]>;
  readonly #chunks: Buffer[] = [];
  errors = '';
  #wake = (): void => undefined;

  constructor(t: Test, args: readonly string[], env: NodeJS.ProcessEnv = {}) {
    this.child = spawn(process.execPath, [main, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
    });
    this.#ended = once(this.child, 'close');
    t.teardown(() => this.child.kill('SIGKILL'));
    this.child.stdout!.on('data', (chunk: Buffer) => {
      this.#chunks.push(chunk);
      this.#wake();
    });
    this.child.stderr!.on('data', (chunk: Buffer) => {
      this.errors += chunk.toString();
      this.#wake();
    });
  }

  get bytes(): Buffer {
    return Buffer.concat(this.#chunks);
  }
  get output(): string {
    return this.bytes.toString();
  }

  /** Resolves when it has printed something that matches, on either stream. */
  async printed(pattern: RegExp): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#wake = () => {
        if (pattern.test(this.output) || pattern.test(this.errors)) resolve();
      };
      this.#wake();
    });
  }

  /** The objects that it has printed with --json, of one event. */
  events(name: string): Json[] {
    const lines = this.output.trim().split('\n');
    return lines.map((line): Json => JSON.parse(line)).filter(({ event }: Json) => event === name);
  }

  async ended(): Promise<number | null> {
    return (await this.#ended)[0] as number | null;
  }

  interrupt(): Promise<number | null> {
    this.child.kill('SIGINT');
    return this.ended();
  }
}

/** What a line of --json holds: the tests look at it as they like. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- JSON of another process
type Json = any;

const nodeVpp = (t: Test, ...args: string[]): Command => new Command(t, args);
const memif = (t: Test, ...args: string[]): Command => new Command(t, ['memif', ...args]);

void t.test('a traced port writes every packet down, both ways', async (t) => {
  await t.test('as text: the time to the nanosecond, the direction, the packet', async (t) => {
    const pair = await loopback();
    let now = 1_700_000_000_123_456_788n;
    const lines: string[] = [];
    const watched = trace(pair.client, { write: (line) => lines.push(line), nowNs: () => ++now });
    t.equal(watched.send([arp, udp]), true);
    pair.server.send(ping6);
    for await (const packets of watched) {
      t.same(packets, [ping6], 'the packets pass unchanged');
      break;
    }
    t.strictSame(lines, [
      `22:13:20.123456790 out ${describeFrame(arp)}`,
      `22:13:20.123456791 out ${describeFrame(udp)}`,
      `22:13:20.123456792 in  ${describeFrame(ping6)}`,
    ]);
    t.strictSame(watched.counters, {
      ...{ sent: 2, sentBytes: arp.length + udp.length },
      ...{ received: 1, receivedBytes: ping6.length },
    });
    await watched.close();
    t.equal(pair.client.isClosed, true);
    await pair.close();
  });

  await t.test('as pcapng, which tshark reads with directions and nanoseconds', async (t) => {
    const pair = await loopback();
    const blocks: Uint8Array[] = [];
    const start = BigInt(Date.now()) * 1_000_000n;
    const watched = trace(pair.client, { name: 'memif7', snapLength: 60, pcapng: { write: (b) => blocks.push(b) } });
    watched.send(arp);
    pair.server.send(udp);
    const seen = watched[Symbol.asyncIterator]();
    await seen.next();
    watched.finish();
    await pair.close();
    const file = Buffer.concat(blocks);
    const [, description, ...records] = new PcapngReader().push(file);
    t.ok(description?.type === 'interface' && description.name === 'memif7' && description.snapLength === 60);
    t.match(records, [
      { direction: 'outbound', bytes: arp, originalLength: 42 },
      { direction: 'inbound', bytes: udp, originalLength: 60 },
      { type: 'statistics', received: 1n },
    ]);
    const times = packetsOf(file).map(({ timestampNs }) => timestampNs!);
    t.ok(times[0]! >= start && times[1]! > times[0]!, 'the times are of now, and go up');
    if (!have('tshark')) {
      t.pass('read by tshark', { skip: 'tshark is not installed' });
      return;
    }
    writeFileSync(path('trace.pcapng'), file);
    const fields = ['frame.p2p_dir', 'frame.packet_flags_direction', '_ws.col.Protocol'].flatMap((f) => ['-e', f]);
    const { stdout } = spawnSync('tshark', ['-r', path('trace.pcapng'), '-T', 'fields', ...fields], {
      encoding: 'utf8',
    });
    const said = stdout.trim().split('\n');
    t.match(said[0], /ARP$/);
    t.match(said[0], /(0x0*2|2)\b/, 'outbound');
    t.match(said[1], /(0x0*1|1)\b/, 'inbound');
  });

  await t.test('what comes out of the file is what went through, whatever it was', async (t) => {
    const packet = fc.uint8Array({ minLength: 1, maxLength: 200 });
    const property = fc.asyncProperty(fc.array(packet, { maxLength: 20 }), async (packets) => {
      const blocks: Uint8Array[] = [];
      const port: PacketPort = {
        send: () => true,
        close: async () => undefined,
        async *[Symbol.asyncIterator]() {
          yield packets;
        },
      };
      const watched = trace(port, { pcapng: { write: (block) => blocks.push(block) }, write: () => undefined });
      watched.send(packets);
      for await (const seen of watched) if (seen !== packets) return false;
      const expected = [...packets, ...packets].map((each) => Buffer.from(each).toString('hex'));
      const read = packetsOf(Buffer.concat(blocks)).map(({ bytes }) => Buffer.from(bytes).toString('hex'));
      return expected.join() === read.join();
    });
    const result = await fc.check(property, { numRuns: 100 });
    t.equal(result.failed, false, result.failed ? `seed ${result.seed} ${String(result.counterexamplePath)}` : '');
  });

  await t.test('a sink that asks to wait is waited for', async (t) => {
    let release = (): void => undefined;
    const gate = new Promise<void>((resolve) => (release = resolve));
    const port: PacketPort = {
      send: () => true,
      close: async () => undefined,
      async *[Symbol.asyncIterator]() {
        yield [udp];
      },
    };
    let given = false;
    const watched = trace(port, { write: () => gate })[Symbol.asyncIterator]();
    const next = watched.next().then(() => (given = true));
    for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
    t.equal(given, false);
    release();
    await next;
    t.equal(given, true);
  });

  await t.test('a packet that the port refuses is not written down', async (t) => {
    const pair = await loopback();
    const lines: string[] = [];
    const watched = trace(pair.client, { write: (line) => lines.push(line) });
    await pair.close();
    t.throws(() => watched.send(udp), { code: 'ERR_MEMIF_CLOSED' });
    t.strictSame(lines, []);
  });
});

void t.test('memif listen counts what comes and says what happens', { timeout: 60_000 }, async (t) => {
  const socket = path('listen.sock');
  const listen = memif(t, 'listen', socket, '--json', '--name', 'left');
  await listen.printed(/"event":"listening"/);
  const send = memif(
    t,
    'send',
    socket,
    '--udp',
    '--flows',
    '3',
    '--count',
    '5000',
    '--destination-mac',
    us.destinationMac,
  );
  t.equal(await send.ended(), 0);
  t.match(send.output, /up: peer "node-vpp" interface "left", pid \d+, uid \d+; rx 1 x 1024, tx 1 x 1024\n/);
  t.match(send.output, /^5,000 packets in \d+\.\d\d s$/m);
  t.equal(send.errors, '');
  await listen.printed(/"event":"down"/);
  t.equal(await listen.interrupt(), 0, 'Ctrl-C is a good end');
  t.match(listen.events('up'), [{ peer: { name: 'node-vpp', interfaceName: 'memif0', pid: send.child.pid } }]);
  t.match(listen.events('down'), [{ code: 'ERR_MEMIF_PEER_REFUSED' }]);
  t.match(listen.events('closed'), [{ ups: 1, totals: { rxPackets: 5000, rxBytes: 5000 * 64, txPackets: 0 } }]);
  t.equal(existsSync(socket), false, 'its socket file is gone with it');
});

void t.test('memif connect waits for its server, and comes back', { timeout: 60_000 }, async (t) => {
  const socket = path('connect.sock');
  const connect = memif(t, 'connect', socket, '--ring-size', '64', '--rx-mode', 'adaptive');
  await connect.printed(/not connected yet: ERR_MEMIF_SYSTEM .*ENOENT/);
  for (const turn of [1, 2]) {
    const server = openMemif({ socket, role: 'server' });
    await server.up({ timeoutMs: 30_000 });
    t.equal(server.rx[0]!.size, 64);
    server.send([udp, udp]);
    await connect.printed(new RegExp(`(up: [^]*? rx +[1-9][^\\n]*pkt/s[^]*?){${turn}}`));
    await server.close();
    await connect.printed(new RegExp(`(down: ERR_MEMIF_PEER_[^]*){${turn}}`));
  }
  t.equal(await connect.interrupt(), 0);
  t.match(connect.output, /closed: 4 packets, 240 bytes received; up 2 times\n$/);
});

void t.test('a secret comes from a file or the environment, and is never shown', { timeout: 60_000 }, async (t) => {
  const socket = path('secret.sock');
  writeFileSync(path('secret'), 'open-sesame\nanother line\n');
  chmodSync(path('secret'), 0o600);
  const listen = memif(t, 'listen', socket, '--secret-file', path('secret'));
  await listen.printed(/listening/);
  const args = ['send', socket, '--hex', '00'.repeat(60), '--wait', '1'];
  const wrong = new Command(t, ['memif', ...args], { NODE_VPP_MEMIF_SECRET: 'wrong-word' });
  t.equal(await wrong.ended(), 1);
  t.match(wrong.errors, /^node-vpp: waiting for memif 0 on .* to come up: not within 1000 ms; last: .*\n$/);
  const right = new Command(t, ['memif', ...args], { NODE_VPP_MEMIF_SECRET: 'open-sesame' });
  t.equal(await right.ended(), 0);
  await listen.printed(/down: /);
  t.equal(await listen.interrupt(), 0);
  t.match(listen.output, /turned away: ERR_MEMIF_SECRET/);
  for (const { output, errors } of [listen, wrong, right]) t.notMatch(output + errors, /sesame|wrong-word/);

  chmodSync(path('secret'), 0o644);
  const open = memif(t, 'listen', socket, '--secret-file', path('secret'), '--seconds', '0.1');
  t.equal(await open.ended(), 0);
  t.match(open.errors, /^node-vpp: every user can read the secret in .*; run: chmod 600 /);
});

void t.test('memif dump', { timeout: 60_000 }, async (t) => {
  writeFileSync(path('in.pcapng'), capture(frames));

  await t.test('shows packets as text', async (t) => {
    const dump = memif(t, 'dump', path('dump.sock'), '--role', 'server', '--count', '3');
    const send = memif(t, 'send', path('dump.sock'), '--pcap', path('in.pcapng'));
    t.equal(await send.ended(), 0);
    t.equal(await dump.ended(), 0);
    const lines = dump.output.trim().split('\n');
    t.strictSame(
      lines.map((line) => line.replace(/^\d\d:\d\d:\d\d\.\d{9} /, '')),
      frames.map((frame) => `in  ${describeFrame(frame)}`),
    );
    t.match(dump.errors, /up: peer "node-vpp"[^]*3 packets, 164 bytes\n$/, 'and what happens on standard error');
  });

  await t.test('writes pcapng that capinfos and tshark read; the packets are those sent', async (t) => {
    const dump = memif(t, 'dump', path('dump.sock'), '--role', 'server', '--write', path('out.pcapng'));
    const send = memif(t, 'send', path('dump.sock'), '--pcap', path('in.pcapng'), '--count', '300');
    t.equal(await send.ended(), 0);
    await dump.printed(/down: /);
    t.equal(await dump.interrupt(), 0);
    const packets = packetsOf(readFileSync(path('out.pcapng')));
    t.equal(packets.length, 300);
    t.ok(
      packets.every(
        ({ bytes, direction }, i) => direction === 'inbound' && frames[i % 3]!.every((b, k) => b === bytes[k]),
      ),
    );
    if (!have('capinfos') || !have('tshark')) {
      t.pass('read by tshark', { skip: 'tshark is not installed' });
      return;
    }
    const info = spawnSync('capinfos', ['-M', '-c', '-E', path('out.pcapng')], { encoding: 'utf8' }).stdout;
    t.match(info, /Number of packets: +300/);
    t.match(info, /encapsulation: +ether/);
    const shark = spawnSync('tshark', ['-r', path('out.pcapng'), '-T', 'fields', '-e', 'frame.protocols'], {
      encoding: 'utf8',
    });
    t.equal(shark.stderr.replace(/^Running as user.*\n/, ''), '');
    t.strictSame(shark.stdout.trim().split('\n').slice(0, 2), ['eth:ethertype:arp', 'eth:ethertype:ip:udp:dns']);
  });

  await t.test('writes pcapng to a pipe; mode ip has bare packets', async (t) => {
    const dump = memif(
      t,
      'dump',
      path('dump.sock'),
      '--role',
      'server',
      '--mode',
      'ip',
      '--write',
      '-',
      '--count',
      '2',
    );
    const send = memif(t, 'send', path('dump.sock'), '--pcap', path('in.pcapng'), '--mode', 'ip');
    t.equal(await send.ended(), 0);
    t.match(send.output, /^2 packets in .*, 1 left out$/m, 'ARP cannot travel without Ethernet');
    t.equal(await dump.ended(), 0);
    const records = new PcapngReader().push(dump.bytes);
    t.match(
      records.map((record) => (record.type === 'interface' ? record.linkType : record.type)),
      ['section', LinkType.RAW, 'packet', 'packet', 'statistics'],
    );
    t.same(packetsOf(dump.bytes)[0]!.bytes, udp.subarray(14));
  });

  await t.test('ends quietly when its reader has gone', async (t) => {
    const script = '{ "$0" "$1" memif dump "$2" --role server; echo "ended with $?" >&2; } | head -n 1';
    const shell = spawn('sh', ['-c', script, process.execPath, main, path('dump.sock')]);
    t.teardown(() => shell.kill('SIGKILL'));
    let [output, errors] = ['', ''];
    shell.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
    shell.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()));
    const client = openMemif({ socket: path('dump.sock'), role: 'client', retryMaxMs: 100 });
    await client.up({ timeoutMs: 30_000 });
    const timer = setInterval(() => client.send(udp), 10);
    await once(shell, 'close');
    clearInterval(timer);
    await client.close();
    t.match(output, /^[^\n]*UDP, length 18\n$/);
    t.match(errors, /ended with 0\n$/);
    t.notMatch(errors, /EPIPE/);
  });

  await t.test('says in one line that a file cannot be written', async (t) => {
    const dump = memif(t, 'dump', path('dump.sock'), '--role', 'server', '--write', path('no/such/folder'));
    t.equal(await dump.ended(), 1);
    t.match(dump.errors, /^node-vpp: ENOENT: [^\n]*\n$/);
  });
});

void t.test('memif echo answers ARP, neighbor discovery and ping', { timeout: 60_000 }, async (t) => {
  const socket = path('echo.sock');
  const echo = memif(t, 'echo', socket, '--role', 'server', '--address', '10.0.0.2', '--address', 'fd00::2', '--json');
  await echo.printed(/"event":"answering"/);
  const common = ['send', socket, '--icmp', '--json', '--rate', '200'];
  const four = memif(t, ...common, '--count', '20', '--size', '1400');
  t.equal(await four.ended(), 0);
  t.match(four.events('sent'), [{ packets: 20, replies: 20 }]);
  const [{ p50us, p99us }] = four.events('sent') as [{ p50us: number; p99us: number }];
  t.ok(p50us > 1 && p99us >= p50us, 'with their times');
  const six = memif(t, ...common, '--count', '5', '--source', 'fd00::1', '--destination', 'fd00::2');
  t.equal(await six.ended(), 0);
  t.match(six.events('sent'), [{ packets: 5, replies: 5 }]);

  const nobody = memif(t, ...common, '--destination', '10.0.0.77');
  t.equal(await nobody.ended(), 1);
  t.match(nobody.errors, /^node-vpp: sending to 10\.0\.0\.77: nobody answered ARP [^\n]*--destination-mac\n$/);

  // What a careful host answers, and what it does not.
  const client = openMemif({ socket, role: 'client', retryMaxMs: 200, bufferSize: 64 });
  await client.up({ timeoutMs: 30_000 });
  const ask = { ...link, identifier: 1, sequence: 1, payload: new Uint8Array(100).fill(7) };
  const bad = icmpEchoFrame(ask);
  bad[50]! ^= 1;
  client.send([
    bad, // a wrong checksum
    icmpEchoFrame({ ...ask, destinationMac: 'ff:ff:ff:ff:ff:ff' }), // a ping to everybody
    icmpEchoFrame({ ...ask, destinationMac: '02:fe:00:00:00:99' }), // for another MAC address
    icmpEchoFrame({ ...ask, destination: '10.0.0.3' }), // for another IP address
    arpRequestFrame({ senderMac: us.sourceMac, senderIp: '10.0.0.1', targetIp: '10.0.0.3' }),
    arpRequestFrame({ senderMac: us.sourceMac, senderIp: '10.0.0.1', targetIp: '10.0.0.2', vlanId: 7 }),
    neighborSolicitationFrame({ sourceMac: us.sourceMac, source: '::', target: 'fd00::2' }),
    icmpEchoFrame({ ...ask, vlanId: 7 }), // three buffers of 64 bytes, both ways
  ]);
  const answers: string[] = [];
  for await (const packets of client) {
    answers.push(...packets.map((packet) => describeFrame(packet)));
    if (answers.length >= 3) break;
  }
  await client.close();
  const to = '02:fe:00:00:00:02 > 02:fe:00:00:00:01';
  t.strictSame(answers.sort(), [
    `${to}, vlan 7, ARP, reply 10.0.0.2 is-at 02:fe:00:00:00:02, length 28`,
    `${to}, vlan 7, IPv4 10.0.0.2 > 10.0.0.1: ICMP echo reply, id 1, seq 1, length 108`,
    '02:fe:00:00:00:02 > 33:33:00:00:00:01, IPv6 fd00::2 > ff02::1: ICMPv6 neighbor advertisement, ' +
      'fd00::2 is at 02:fe:00:00:00:02 [override], length 32',
  ]);
  t.equal(await echo.interrupt(), 0);
  const [end] = echo.events('closed');
  t.match(end, { answered: { echo: 21, echo6: 5, arp: 2, neighbor: 2 }, unanswered: 0 });
});

void t.test('memif echo in mode ip answers pings without Ethernet', { timeout: 60_000 }, async (t) => {
  const socket = path('ip.sock');
  const echo = memif(t, 'echo', socket, '--role', 'server', '--mode', 'ip');
  const send = memif(t, 'send', socket, '--mode', 'ip', '--icmp', '--count', '3', '--rate', '100', '--json');
  t.equal(await send.ended(), 0);
  t.match(send.events('sent'), [{ packets: 3, replies: 3 }]);
  t.equal(await echo.interrupt(), 0);
  t.match(echo.output, /answered pings 3, ARP 0, neighbor 0; other packets 0\n$/);
});

void t.test('memif send', { timeout: 60_000 }, async (t) => {
  const socket = path('send.sock');

  await t.test('keeps a rate', async (t) => {
    const listen = memif(t, 'listen', socket);
    const send = memif(
      t,
      'send',
      socket,
      '--udp',
      '--destination-mac',
      us.destinationMac,
      '--rate',
      '2k',
      '--count',
      '2000',
      '--json',
    );
    t.equal(await send.ended(), 0);
    const [sent] = send.events('sent');
    t.ok(sent!.seconds > 0.98, `2,000 packets at 2,000 a second take a second, not ${String(sent!.seconds)}`);
    t.equal(await listen.interrupt(), 0);
  });

  await t.test('wants to know what to send, and reads it strictly', async (t) => {
    const none = memif(t, 'send', socket);
    t.equal(await none.ended(), 1);
    t.equal(none.errors, 'node-vpp: sending packets: say which, with one of --hex, --pcap, --udp and --icmp\n');
    for (const [args, said] of [
      [['--hex', '0x1g'], /^node-vpp: option '--hex <digits>' argument '0x1g' is invalid\. A packet as pairs/],
      [
        ['--udp', '--rate', 'fast'],
        /^node-vpp: option '--rate <packets>' argument 'fast' is invalid\. Packets a second/,
      ],
      [
        ['--udp', '--source', '10.0.0.256'],
        /^node-vpp: option '--source <address>' argument .* An IPv4 or IPv6 address/,
      ],
      [
        ['--udp', '--ring-size', '1000', '--wait', '1'],
        /^node-vpp: memif option ringSize: 1000 is not a power of two\n$/,
      ],
      [['--pcap', path('none.pcapng')], /^node-vpp: ENOENT: [^\n]*\n$/],
      [['--pcap', main], /^node-vpp: reading pcapng at offset 0: [^\n]*\n$/],
    ] as const) {
      const command = memif(t, 'send', socket, ...args);
      t.equal(await command.ended(), 1, args.join(' '));
      t.match(command.errors, said);
    }
  });

  await t.test('is stopped by Ctrl-C while it waits for a peer, with the code of that', async (t) => {
    const send = memif(t, 'send', socket, '--udp');
    await send.printed(/not connected yet/);
    t.equal(await send.interrupt(), 130);
    t.equal(send.errors, '');
  });
});

void t.test('memif bench', { timeout: 120_000 }, async (t) => {
  const socket = path('bench.sock');
  const run = async (peer: string[], args: string[]): Promise<Json> => {
    const other = memif(t, ...peer);
    const bench = memif(t, 'bench', socket, '--seconds', '1', '--json', ...args);
    t.equal(await bench.ended(), 0, bench.errors + other.errors + other.output);
    other.child.kill('SIGINT');
    await other.ended();
    return bench.events('result')[0]!;
  };
  const echo = ['echo', socket, '--role', 'server'];
  const trips = await run(echo, ['--window', '8']);
  t.ok(trips.rxPacketsPerSecond > 100 && trips.p50us > 1 && trips.p99us >= trips.p50us, 'round trips');
  const six = await run([...echo, '--address', 'fd00::2'], ['--source', 'fd00::1', '--destination', 'fd00::2']);
  t.ok(six.rxPacketsPerSecond > 100, 'round trips over IPv6');
  const sent = await run(['listen', socket], ['--case', 'send']);
  t.ok(sent.txPacketsPerSecond > 10_000 && sent.txBitsPerSecond === sent.txPacketsPerSecond * 512, 'sending');
  const source = ['send', socket, '--role', 'server', '--udp', '--destination-mac', us.destinationMac];
  const received = await run([...source, '--count', '100000000'], ['--case', 'receive']);
  t.ok(received.rxPacketsPerSecond > 10_000, 'receiving');

  const lonely = memif(t, 'bench', socket, '--wait', '0.3');
  t.equal(await lonely.ended(), 1);
  t.match(lonely.errors, /^node-vpp: waiting for memif 0 on [^\n]*: not within 300 ms; last: [^\n]*\n$/);
});

void t.test('the demo', { timeout: 120_000 }, async (t) => {
  await t.test('two hosts find each other by ARP, ping, and lose nothing', async (t) => {
    const demo = nodeVpp(t, 'demo', '--memif', '--seconds', '2', '--rate', '20k', '--json');
    t.equal(await demo.ended(), 0, demo.output + demo.errors);
    t.equal(demo.errors, '');
    t.equal(demo.events('second').length, 2);
    t.match(demo.events('second')[1]!.hosts, [
      { role: 'client', neighbor: '02:fe:00:00:00:02, by ARP', lost: 0, damaged: 0 },
      { role: 'server', neighbor: '02:fe:00:00:00:01, by ARP', lost: 0, damaged: 0 },
    ]);
    const [summary] = demo.events('summary');
    for (const flow of summary!.flows) {
      t.equal(flow.received, flow.sent, `everything from ${String(flow.from)} has arrived`);
      t.ok(flow.sent > 1000);
    }
    for (const ping of summary!.pings) {
      t.ok(ping.answered > 20 && ping.answered === ping.sent, `${String(ping.answered)} of ${String(ping.sent)} pings`);
      t.ok(ping.p50us > 1 && ping.p99us >= ping.p50us);
    }
  });

  for (const mode of ['interrupt', 'polling']) {
    await t.test(`in mode ${mode}, as fast as it goes, one line a second for people`, async (t) => {
      const demo = nodeVpp(t, 'demo', '--memif', '--seconds', '1', '--rate', 'max', '--mode', mode, '--size', '200');
      t.equal(await demo.ended(), 0, demo.output + demo.errors);
      const lines = demo.output.trim().split('\n');
      t.match(lines[0], new RegExp(`^node-vpp demo: two worker threads, one memif, 200-byte frames, ${mode}$`));
      t.match(lines[1], /^ {2}1 s {2}client rx .*pkt\/s .* lost 0 {2}ping /);
      t.match(lines[2], /^client to server +[\d,]+ packets, .*; 0 lost, 0 damaged$/);
      t.ok(
        lines.slice(2).every((line) => line.length <= 80),
        'the summary fits in 80 columns',
      );
    });
  }

  await t.test('replays a capture', async (t) => {
    const jumbo = udpFrame({ ...link, sourcePort: 1, destinationPort: 2, payload: new Uint8Array(8000) });
    writeFileSync(path('replay.pcapng'), capture([...frames, jumbo]));
    const demo = nodeVpp(t, 'demo', '--seconds', '1', '--rate', '8k', '--json', '--pcap', path('replay.pcapng'));
    t.equal(await demo.ended(), 0, demo.output + demo.errors);
    const [summary] = demo.events('summary');
    for (const flow of summary!.flows) t.ok(flow.sent > 100 && flow.received === flow.sent && flow.lost === 0);
  });

  await t.test('ends cleanly at Ctrl-C, with a summary', async (t) => {
    const demo = nodeVpp(t, 'demo', '--memif', '--rate', '1k');
    await demo.printed(/1 s {2}client/);
    t.equal(await demo.interrupt(), 0);
    t.match(demo.output, /pings of server .*\nstopped after \d+\.\d s\n$/);
    t.equal(demo.errors, '');
  });

  await t.test('says what to install for --peer testpmd', async (t) => {
    const demo = new Command(t, ['demo', '--peer', 'testpmd'], { PATH: '/nowhere' });
    t.equal(await demo.ended(), 1);
    t.match(demo.errors, /^node-vpp: the demo with --peer testpmd needs dpdk-testpmd, [^\n]*apt-get install [^\n]*\n$/);
  });

  const testpmd = have('dpdk-testpmd') && process.getuid!() === 0;
  await t.test(
    'with dpdk-testpmd as the other end',
    { skip: testpmd ? false : 'dpdk-testpmd is not installed' },
    async (t) => {
      for (const forward of ['icmpecho', 'macswap']) {
        const demo = nodeVpp(
          t,
          'demo',
          '--peer',
          'testpmd',
          '--forward',
          forward,
          '--seconds',
          '3',
          '--rate',
          '20k',
          '--json',
        );
        t.equal(await demo.ended(), 0, demo.errors);
        const [summary] = demo.events('summary');
        const [ping] = summary!.pings;
        t.ok(
          ping.answered > 50 && ping.answered >= ping.sent * 0.95,
          `${forward}: ${ping.answered} of ${ping.sent} pings`,
        );
        const [flow] = summary!.flows;
        t.ok(flow.sent > 1000);
        if (forward === 'macswap') {
          // testpmd drops what finds our ring full, on a machine with more to do than processors.
          t.ok(flow.received > flow.sent / 2 && flow.damaged === 0, `${flow.received} of ${flow.sent} come back`);
        } else t.match(demo.events('second').at(-1)!.hosts[0].neighbor, /, by ARP$/);
      }
    },
  );
});
