// Chapter 90: the programs in examples/ and the examples in the pages and in TSDoc, each one run.
//
// To add a program, add a line to `programs`: it is started with arguments, something is done with it, and it must end
// with the given code.

import t, { type Test } from 'tap';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openMemif } from 'node-vpp/memif';
import { PcapngReader, arpRequestFrame, describeFrame, icmpEchoFrame, udpFrame } from 'node-vpp/net';
import { InterfaceCounters, createStatsSegment } from 'node-vpp/stats/writer';
import { sourcesBelow, testDocExamples } from './support/doc-examples.js';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'node-vpp-examples-'));
t.teardown(() => rmSync(folder, { recursive: true, force: true }));

/** A program of examples/ while it runs. */
interface Running {
  readonly child: ChildProcess;
  /** What it has printed so far. */
  readonly output: () => string;
  /** Resolves when it has printed something that matches. */
  readonly printed: (pattern: RegExp) => Promise<void>;
}

interface Program {
  readonly name: string;
  readonly args: readonly string[];
  /** Uses it, and makes it end. */
  readonly use: (t: Test, program: Running) => Promise<void>;
  readonly code?: number;
}

const us = { sourceMac: '02:fe:00:00:00:01', destinationMac: '02:fe:00:00:00:02' };
const link = { ...us, source: '192.168.1.1', destination: '192.168.1.2' };
const udp = udpFrame({ ...link, sourcePort: 5000, destinationPort: 53, payload: new Uint8Array(18) });
const arp = arpRequestFrame({ senderMac: us.sourceMac, senderIp: link.source, targetIp: link.destination });
const ping = icmpEchoFrame({ ...link, identifier: 7, sequence: 1, payload: Buffer.from('hello') });
const socket = (name: string): string => join(folder, name);

/** A segment with one interface, on a socket that the example is given. Made before the example has started. */
function serveStats(name: string): { interfaces: InterfaceCounters } {
  const segment = createStatsSegment({ sizeBytes: 1 << 20, updateIntervalMs: 0 });
  t.teardown(() => segment.close());
  const interfaces = new InterfaceCounters(segment);
  interfaces.add(1, 'memif0/0');
  segment.listen(socket(name));
  return { interfaces };
}

const programs: readonly Program[] = [
  {
    name: 'icmp-responder',
    args: [socket('ping.sock')],
    use: async (t, { child, printed }) => {
      const vpp = openMemif({ socket: socket('ping.sock'), role: 'server' });
      await vpp.up({ timeoutMs: 30_000 });
      vpp.send([arp, ping, udp]);
      const answers: string[] = [];
      for await (const packets of vpp) {
        answers.push(...packets.map((packet) => describeFrame(packet, { showLink: false })));
        if (answers.length >= 2) break;
      }
      t.strictSame(answers, [
        'ARP, reply 192.168.1.2 is-at 02:fe:00:00:00:02, length 28',
        'IPv4 192.168.1.2 > 192.168.1.1: ICMP echo reply, id 7, seq 1, length 13',
      ]);
      await vpp.close();
      await printed(/down: /);
      child.kill('SIGINT');
    },
  },
  {
    name: 'packet-counter',
    args: [socket('counter.sock')],
    use: async (t, { child, printed, output }) => {
      const client = openMemif({ socket: socket('counter.sock'), role: 'client', retryMaxMs: 200 });
      await client.up({ timeoutMs: 30_000 });
      client.send([udp, udp, udp, arp, ping]);
      await printed(/"udp":3/);
      child.kill('SIGINT');
      await once(client, 'down');
      await client.close();
      t.strictSame(JSON.parse(output().trim().split('\n').at(-1)!), {
        ...{ udp: 3, tcp: 0, icmp: 1 },
        ...{ otherIp: 0, arp: 1, other: 0 },
      });
    },
  },
  {
    name: 'two-port-bridge',
    args: [socket('left.sock'), socket('right.sock')],
    use: async (t, { child, printed, output }) => {
      const [left, right] = ['left.sock', 'right.sock'].map((name) =>
        openMemif({ socket: socket(name), role: 'client', retryMaxMs: 200 }),
      ) as [ReturnType<typeof openMemif>, ReturnType<typeof openMemif>];
      await Promise.all([left.up({ timeoutMs: 30_000 }), right.up({ timeoutMs: 30_000 })]);
      left.send([udp, udp]);
      right.send(arp);
      for await (const packets of left) {
        t.same(packets, [arp], 'from right to left');
        break;
      }
      let seen = 0;
      for await (const packets of right) if ((seen += packets.length) === 2) break;
      child.kill('SIGINT');
      await printed(/right.sock: 2 packets, back: 1\n/);
      t.match(output(), /left\.sock: up, node-vpp/);
      await Promise.all([left.close(), right.close()]);
    },
  },
  {
    name: 'router',
    args: [socket('router.sock')],
    use: async (t, { child, printed }) => {
      const [one, two] = [0, 1].map((id) =>
        openMemif({ socket: socket('router.sock'), role: 'client', id, retryMaxMs: 200 }),
      ) as [ReturnType<typeof openMemif>, ReturnType<typeof openMemif>];
      await Promise.all([one.up({ timeoutMs: 10_000 }), two.up({ timeoutMs: 10_000 })]);
      await Promise.all([printed(/port 1: up/), printed(/port 2: up/)]);
      const host = { senderMac: '0a:00:00:00:00:01', senderIp: '10.0.0.2' };
      one.send(arpRequestFrame({ ...host, targetIp: '10.0.0.1' }));
      await printed(/neighbour 10\.0\.0\.2: 0a:00:00:00:00:01/);
      const toHost = { sourceMac: host.senderMac, destinationMac: '02:fe:00:00:00:01', source: host.senderIp };
      one.send(udpFrame({ ...toHost, destination: '10.0.1.2', sourcePort: 1, destinationPort: 2 }));
      for await (const packets of two) {
        t.equal(
          describeFrame(packets[0]!, { showLink: false }),
          'ARP, request who-has 10.0.1.2 tell 10.0.1.1, length 28',
          'who the other host is, is asked first',
        );
        break;
      }
      child.kill('SIGINT');
      await printed(/port 1: 2 received, 1 sent/);
      await Promise.all([one.close(), two.close()]);
    },
  },
  {
    name: 'interface-rates',
    args: [socket('rates.sock'), '0.1'],
    use: async (t, { child, printed }) => {
      const { interfaces } = serveStats('rates.sock');
      const traffic = setInterval(() => interfaces.combined.rx.thread(0).add(1, 10, 640), 10);
      await printed(/^memif0\/0: rx \d+ pkt\/s [\d.]+ Mbit\/s, tx 0 pkt\/s 0\.00 Mbit\/s, drops 0\/s$/m);
      clearInterval(traffic);
      child.kill('SIGINT');
      t.pass('it prints rates');
    },
  },
  {
    name: 'stats-exporter',
    args: [socket('exporter.sock'), '0'],
    use: async (t, { child, printed, output }) => {
      serveStats('exporter.sock').interfaces.combined.rx.thread(0).add(1, 10, 640);
      await printed(/^http:.*\n/);
      const answer = await fetch(output().trim());
      t.match(answer.headers.get('content-type'), /^text\/plain; version=0\.0\.4/);
      t.match(await answer.text(), /^vpp_interface_rx_packets_total\{interface="memif0\/0",sw_if_index="1"\} 10$/m);
      t.equal((await fetch(output().trim().replace('/metrics', '/'))).status, 404);
      child.kill('SIGINT');
    },
  },
  {
    name: 'capture-pcapng',
    args: [socket('capture.sock'), socket('capture.pcapng'), '3'],
    use: async (t, { printed }) => {
      const client = openMemif({ socket: socket('capture.sock'), role: 'client', retryMaxMs: 200 });
      await client.up({ timeoutMs: 30_000 });
      client.send([udp, arp, ping]);
      await printed(/^3 packets in /);
      await client.close();
      const records = new PcapngReader().push(readFileSync(socket('capture.pcapng')));
      t.same(
        records.flatMap((record) => (record.type === 'packet' ? [[record.direction, record.bytes]] : [])),
        [udp, arp, ping].map((packet) => ['inbound', packet]),
      );
      const last = records.at(-1);
      t.ok(last?.type === 'statistics' && last.received === 3n);
    },
  },
  {
    name: 'embedded-router',
    args: [],
    use: async (_t, { printed }) => {
      await printed(/received 02:fe:00:00:00:01 > 02:fe:00:00:01:01, IPv4 10\.0\.0\.2\.1000 > 10\.1\.0\.2\.2000: UDP/);
    },
  },
];

void t.test('every program in examples/ runs', async (t) => {
  const written = readdirSync(join(root, 'examples')).filter((name) => name.endsWith('.ts'));
  const chapters = readdirSync(join(root, 'test'))
    .filter((name) => /^\d\d\..*\.ts$/.test(name) && !name.startsWith('90.'))
    .map((name) => readFileSync(join(root, 'test', name), 'utf8'));
  const listed = programs.map(({ name }) => name);
  const unknown = written
    .map((name) => name.replace(/\.ts$/, ''))
    .filter((name) => !listed.includes(name) && !chapters.some((text) => new RegExp(`\\b${name}\\b`).test(text)));
  t.strictSame(unknown, [], 'every program is in the list of this chapter, or run by another one');
  for (const { name, args, use, code = 0 } of programs) {
    await t.test(name, { timeout: 60_000 }, async (t) => {
      const child = spawn(process.execPath, [join(root, 'build/js/examples', `${name}.js`), ...args], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      t.teardown(() => child.kill('SIGKILL'));
      const ended = once(child, 'exit');
      let text = '';
      const waiting = new Set<() => void>();
      child.stdout.setEncoding('utf8').on('data', (piece: string) => {
        text += piece;
        for (const look of waiting) look();
      });
      await use(t, {
        child,
        output: () => text,
        printed: (pattern) =>
          new Promise((resolve) => {
            const look = (): void => {
              if (!pattern.test(text)) return;
              waiting.delete(look);
              resolve();
            };
            waiting.add(look);
            look();
          }),
      });
      t.strictSame(await ended, [code, null], 'and ends as it should');
    });
  }
});

void t.test('the examples of the pages and of the public members run', async (t) => {
  const pages = ['README.md', 'docs/getting-started.md', 'docs/memif.md', 'docs/threads.md'];
  await testDocExamples(t, [...pages, ...sourcesBelow('lib/memif'), ...sourcesBelow('lib/testing')]);
});
