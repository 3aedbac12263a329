// Chapter 61: the forwarding plane. First what a real VPP did with the same frames, then node by node with literal bytes,
// then properties, then those who mean harm.

import t from 'tap';
import fc from 'fast-check';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import {
  INTERFACE_COUNTERS,
  InterfaceCounter,
  NO_INTERFACE,
  type AclRule,
  type Forwarder,
  type Neighbour,
  TagRewriteOp,
  openForwarder,
} from 'node-vpp/dataplane';
import { type Memif, copyPackets, openMemif } from 'node-vpp/memif';
import {
  PcapngReader,
  checksum,
  icmpEchoFrame,
  neighborSolicitationFrame,
  parseIp,
  tcpFrame,
  transportChecksum,
  udpFrame,
} from 'node-vpp/net';
import type * as fibModule from '../lib/dataplane/forwarding/fib.js';
import type * as macModule from '../lib/dataplane/forwarding/mac-table.js';
import type * as offloadModule from '../lib/dataplane/forwarding/offload.js';
import type * as pathsModule from '../lib/dataplane/forwarding/paths.js';
import type * as planeModule from '../lib/dataplane/forwarding/plane.js';
import type * as sessionsModule from '../lib/dataplane/forwarding/acl-sessions.js';
import { Bed, applySetup, hex, recordedPackets, turn, unhex } from './support/dataplane.js';
import { descriptors, freshSocket, root, temporaryFolder } from './support/memif.js';

const load = <T>(name: string): Promise<T> =>
  import(pathToFileURL(join(root, 'dist/dataplane/forwarding', `${name}.js`)).href) as Promise<T>;
const { Entries, FibTable } = await load<typeof fibModule>('fib');
const { MacTable } = await load<typeof macModule>('mac-table');
const { segment } = await load<typeof offloadModule>('offload');
const { spread } = await load<typeof pathsModule>('paths');
const { Plane } = await load<typeof planeModule>('plane');
const { AclSessions, sessionTail } = await load<typeof sessionsModule>('acl-sessions');

void t.test('what a VPP 26.06 sends for 52 frames is what comes out here, byte for byte', async (t) => {
  for (const recorded of recordedPackets()) {
    await t.test(recorded.scenario, async (t) => {
      const bed = await Bed.open(t, recorded.ports.length);
      applySetup(bed.forwarder, recorded.setup);
      bed.received();
      for (const step of recorded.steps) {
        const out = await bed.send(step.send.port, unhex(step.send.frame));
        // The recording is sorted: what comes out of one port in one go has no order there.
        const got = out.flatMap((frames, port) => frames.map((frame) => ({ port, frame }))).sort(byPortAndBytes);
        const wanted = step.expect.map(({ port, frame, any = [] }) => ({ port, frame: unhex(frame), any }));
        for (const [i, { any }] of wanted.entries()) {
          for (const at of any) {
            wanted[i]!.frame[at] = 0;
            if (got[i] !== undefined) got[i].frame[at] = 0;
          }
        }
        wanted.sort(byPortAndBytes);
        got.sort(byPortAndBytes);
        t.same(
          got.map(({ port, frame }) => `${port} ${hex(frame)}`),
          wanted.map(({ port, frame }) => `${port} ${hex(frame)}`),
          step.what,
        );
      }
    });
  }
});

const all = { learn: true, forward: true, flood: true, uuFlood: true, arpTerm: false, arpUnicastForward: false };
const port = (type: 'normal' | 'bvi' = 'normal', shg = 0): { type: 'normal' | 'bvi'; shg: number } => ({ type, shg });

/** Counts of errors and notes that are not 0, by `node/name`. */
function errors(forwarder: Forwarder): Record<string, number> {
  const found: Record<string, number> = {};
  for (const node of forwarder.nodeCounters()) {
    for (const error of node.errors) if (error.count > 0) found[`${node.name}/${error.name}`] = error.count;
  }
  return found;
}

const hosts = { sourceMac: '0a:00:00:00:00:01', destinationMac: '02:fe:00:00:ee:00' };
const udp = (
  source: string,
  destination: string,
  more: { sourcePort?: number; payload?: Uint8Array } = {},
): Uint8Array => udpFrame({ ...hosts, source, destination, sourcePort: 1000, destinationPort: 2000, ...more });

/** Two routed ports, 10.0.0.1/24 and 10.1.0.1/24, and what they are told on the wire. */
async function router(t: Parameters<typeof Bed.open>[0], options: Parameters<typeof Bed.open>[2] = {}): Promise<Bed> {
  const bed = await Bed.open(t, 2, options);
  bed.forwarder.addAddress(1, '10.0.0.1/24');
  bed.forwarder.addAddress(2, '10.1.0.1/24');
  return bed;
}

void t.test('frames find their interface', async (t) => {
  await t.test('by their tags', async (t) => {
    const bed = await Bed.open(t, 2);
    const { forwarder } = bed;
    forwarder.addInterface({ kind: 'sub', swIfIndex: 10, name: 'a.7', parent: 1, tags: [{ vlanId: 7 }], exact: true });
    forwarder.addInterface({
      kind: 'sub',
      swIfIndex: 11,
      name: 'a.7.8',
      parent: 1,
      tags: [{ vlanId: 7, dot1ad: true }, { vlanId: 8 }],
      exact: true,
    });
    for (const index of [10, 11]) forwarder.setAdmin(index, true);
    forwarder.addAddress(10, '10.7.0.1/24');
    forwarder.addAddress(11, '10.8.0.1/24');
    const ask = (tags: string, sender: string, target: string): Uint8Array =>
      unhex(
        `ffffffffffff 0a0000000001 ${tags} 0806 0001 0800 06 04 0001 0a0000000001 ${sender} 000000000000 ${target}`,
      );
    const [one] = await bed.send(0, ask('8100 0007', '0a070002', '0a070001'));
    t.same(
      one!.map(hex),
      ['0a000000000102fe0000ee00810000070806' + '000108000604000202fe0000ee000a0700010a00000000010a070002'],
      'the answer carries the tag',
    );
    const [two] = await bed.send(0, ask('88a8 0007 8100 0008', '0a080002', '0a080001'));
    t.match(hex(two![0]!), /^0a000000000102fe0000ee0088a800078100000808060001/, 'and both');
    await bed.send(0, ask('8100 0009', '0a070002', '0a070001'), ask('8100 0007 8100 0001', '0a070002', '0a070001'));
    t.equal(errors(forwarder)['ethernet-input/unknown_vlan'], 2, 'a tag nobody has is dropped');
    const rx = (index: number): number =>
      forwarder.interfaceCounters[index * INTERFACE_COUNTERS + InterfaceCounter.rxPackets]!;
    t.same([rx(1), rx(10), rx(11)], [4, 1, 1], 'a sub-interface counts its own, the port all');
    forwarder.setAdmin(1, false);
    t.equal(forwarder.status(10).admin, true);
    t.throws(() => forwarder.removeInterface(1), /has sub-interfaces/);
  });

  await t.test('or are dropped for a reason that is counted', async (t) => {
    const bed = await router(t);
    await bed.send(
      0,
      unhex('0a'),
      unhex('02fe0000ee00 0a0000000001 88b5 00'),
      unhex('02fe0000ee00 0a0000000001 0026 4242'),
      unhex('0a9999999999 0a0000000001 0800 45'),
      unhex('02fe0000ee00 0a0000000001 0800 45'),
      unhex('02fe0000ee00 0a0000000001 86dd 60'),
    );
    t.same(errors(bed.forwarder), {
      'ethernet-input/too_short': 1,
      'ethernet-input/unknown_type': 1,
      'ethernet-input/llc': 1,
      'ethernet-input/l3_mac_mismatch': 1,
      'ip4-input/too_short': 1,
      'ip6-input/too_short': 1,
    });
    const drops = bed.forwarder.interfaceCounters[INTERFACE_COUNTERS + InterfaceCounter.drops];
    t.equal(drops, 6);
  });
});

void t.test('a bridge domain', async (t) => {
  const frame = (to: number, from: number, rest = '0800 1234'): Uint8Array =>
    unhex(`0a00000000${to.toString(16).padStart(2, '0')} 0a00000000${from.toString(16).padStart(2, '0')} ${rest}`);
  const counts = (out: Uint8Array[][]): number[] => out.map((frames) => frames.length);

  await t.test('keeps split horizon groups apart', async (t) => {
    const bed = await Bed.open(t, 4);
    bed.forwarder.addBridgeDomain(5, all, 0);
    for (const [index, shg] of [1, 1, 0, 2].entries()) bed.forwarder.setBridged(index + 1, 5, port('normal', shg));
    t.same(counts(await bed.send(0, frame(0xff, 1))), [0, 0, 1, 1], 'not to the same group');
    t.same(counts(await bed.send(1, frame(1, 2))), [0, 0, 0, 0], 'nor when the address is known');
    t.same(counts(await bed.send(2, frame(1, 3))), [1, 0, 0, 0], 'from no group to any');
    t.equal(errors(bed.forwarder)['l2-output/shg_drop'], 1);
  });

  await t.test('does what its flags say', async (t) => {
    const bed = await Bed.open(t, 3);
    const { forwarder } = bed;
    forwarder.addBridgeDomain(5, { ...all, learn: false }, 0);
    for (const index of [1, 2, 3]) forwarder.setBridged(index, 5, port());
    await bed.send(0, frame(2, 1));
    t.same([...forwarder.l2Fib(5)], [], 'nothing is learnt');
    forwarder.setBridgeDomainFlags(5, { learn: true, uuFlood: false });
    t.same(counts(await bed.send(0, frame(2, 1))), [0, 0, 0], 'unknown addresses are not flooded');
    t.same(counts(await bed.send(1, frame(1, 2))), [1, 0, 0]);
    t.same(counts(await bed.send(1, unhex('ffffffffffff 0a0000000002 0800'))), [1, 0, 1]);
    forwarder.setBridgeDomainFlags(5, { flood: false });
    t.same(counts(await bed.send(1, unhex('ffffffffffff 0a0000000002 0800'))), [0, 0, 0]);
    forwarder.setBridgeDomainFlags(5, { forward: false, uuFlood: true, flood: true });
    t.same(counts(await bed.send(1, frame(1, 2))), [1, 0, 1], 'without forwarding all is flooded');
  });

  await t.test('does with a member what both allow', async (t) => {
    const bed = await Bed.open(t, 3);
    const { forwarder } = bed;
    forwarder.addBridgeDomain(5, all, 0);
    for (const index of [1, 2, 3]) forwarder.setBridged(index, 5, port());
    forwarder.setMemberFlags(1, { learn: false, uuFlood: false });
    t.same(counts(await bed.send(0, frame(2, 1))), [0, 0, 0], 'what the first does not know it does not flood');
    t.same([...forwarder.l2Fib(5)], [], 'nor does it learn');
    t.same(counts(await bed.send(1, frame(1, 2))), [1, 0, 1], 'the others do');
    t.same(counts(await bed.send(0, frame(2, 1))), [0, 1, 0], 'what is known is forwarded');
    t.same(counts(await bed.send(0, unhex('ffffffffffff 0a0000000001 0800'))), [0, 1, 1], 'and broadcast flooded');
    forwarder.setMemberFlags(1, { flood: false, forward: false });
    t.same(counts(await bed.send(0, unhex('ffffffffffff 0a0000000001 0800'), frame(2, 1))), [0, 0, 0]);
    forwarder.setBridged(1, 5, port());
    t.same(counts(await bed.send(0, unhex('ffffffffffff 0a0000000001 0800'))), [0, 1, 1], 'a new member may all');
  });

  await t.test('floods a frame as it came, also when its router sends the same one on', async (t) => {
    const bed = await Bed.open(t, 4);
    const { forwarder } = bed;
    forwarder.addBridgeDomain(5, all, 0);
    forwarder.addInterface({ kind: 'loopback', swIfIndex: 20, name: 'loop0', mac: '02:fe:00:00:00:20' });
    forwarder.setAdmin(20, true);
    forwarder.setBridged(20, 5, port('bvi'));
    for (const index of [1, 2, 3]) forwarder.setBridged(index, 5, port());
    forwarder.addAddress(20, '10.0.0.1/24');
    forwarder.addAddress(4, '10.1.0.1/24');
    forwarder.setNeighbour({ swIfIndex: 4, ip: '10.1.0.2', mac: '0a:00:00:00:01:02' });
    bed.received();
    const sent = udpFrame({
      sourceMac: '0a:00:00:00:00:01',
      destinationMac: 'ff:ff:ff:ff:ff:ff',
      source: '10.0.0.2',
      destination: '10.1.0.2',
      sourcePort: 1000,
      destinationPort: 2000,
    });
    const [none, second, third, routed] = await bed.send(0, sent);
    t.same(none, []);
    t.same(second!.map(hex), [hex(sent)], 'a copy of it');
    t.same(third!.map(hex), [hex(sent)], 'another');
    t.equal(routed!.length, 1);
    t.equal(hex(routed![0]!.subarray(0, 14)), '0a0000000102' + '02fe0000ee03' + '0800');
    t.equal(routed![0]![22], sent[22]! - 1, 'with its TTL counted down');
    t.equal(checksum(routed![0]!.subarray(14, 34)), 0);
    t.equal(hex(routed![0]!.subarray(26)), hex(sent.subarray(26)));
  });

  await t.test('learns as many addresses as it may', async (t) => {
    const bed = await Bed.open(t, 2);
    const { forwarder } = bed;
    forwarder.addBridgeDomain(5, all, 0);
    for (const index of [1, 2]) forwarder.setBridged(index, 5, port());
    forwarder.setLearnLimit(5, 2);
    await bed.send(0, frame(9, 1), frame(9, 2), frame(9, 3), frame(9, 1));
    const learnt = (): string[] => [...forwarder.l2Fib(5)].map(({ mac }) => mac.slice(-2)).sort();
    t.same(learnt(), ['01', '02']);
    t.equal(errors(forwarder)['l2-learn/limit'], 1);
    t.same(counts(await bed.send(1, frame(3, 2))), [1, 0], 'what is not learnt is flooded; what is may move');
    t.same(learnt(), ['01', '02']);
    forwarder.flushL2Fib({ swIfIndex: 1 });
    await bed.send(0, frame(9, 3), frame(9, 4));
    t.same(learnt(), ['02', '03'], 'what is forgotten makes room');
  });

  await t.test('has static entries and filters', async (t) => {
    const bed = await Bed.open(t, 2);
    const { forwarder } = bed;
    forwarder.addBridgeDomain(5, all, 0);
    for (const index of [1, 2]) forwarder.setBridged(index, 5, port());
    forwarder.setL2FibEntry({ bdId: 5, mac: '0a:00:00:00:00:09', swIfIndex: 2, static: true });
    forwarder.setL2FibEntry({ bdId: 5, mac: '0a:00:00:00:00:66', swIfIndex: 0, filter: true });
    t.same(counts(await bed.send(0, frame(9, 1))), [0, 1]);
    t.same(counts(await bed.send(0, frame(1, 9))), [0, 0], 'a static address does not move');
    t.same(counts(await bed.send(0, frame(0x66, 1), frame(1, 0x66))), [0, 0], 'neither to nor from a filtered one');
    t.same(
      [...forwarder.l2Fib(5)]
        .map(({ mac, swIfIndex, static: fixed, filter }) => [mac, swIfIndex, fixed, filter])
        .sort(),
      [
        ['0a:00:00:00:00:01', 1, false, false],
        ['0a:00:00:00:00:09', 2, true, false],
        ['0a:00:00:00:00:66', NO_INTERFACE, true, true],
      ],
    );
    t.equal(forwarder.flushL2Fib({ swIfIndex: 1 }), 1);
    t.equal(forwarder.removeL2FibEntry(5, '0a:00:00:00:00:09'), true);
    t.equal(forwarder.removeL2FibEntry(5, '0a:00:00:00:00:09'), false);
  });

  await t.test('forgets after its time, and when a port goes down', async (t) => {
    let now = 1_000_000;
    const told: string[] = [];
    const bed = await Bed.open(t, 2, { now: () => now, ageingMs: 5 });
    const { forwarder } = bed;
    forwarder.setEvents({ macEvent: (kind, bdId, mac, index) => told.push(`${kind} ${bdId} ${mac} ${index}`) });
    forwarder.addBridgeDomain(5, all, 1);
    for (const index of [1, 2]) forwarder.setBridged(index, 5, port());
    await bed.send(0, frame(2, 1));
    now += 59_000;
    await bed.send(1, frame(1, 2));
    now += 3000;
    while (told.length < 3) await turn();
    t.same(told, ['add 5 0a:00:00:00:00:01 1', 'add 5 0a:00:00:00:00:02 2', 'delete 5 0a:00:00:00:00:01 1']);
    await bed.send(0, frame(2, 2));
    t.equal(told[3], 'move 5 0a:00:00:00:00:02 1');
    forwarder.setAdmin(1, false);
    t.same([...forwarder.l2Fib(5)], []);
  });

  await t.test('answers ARP and neighbour solicitations for its hosts', async (t) => {
    const bed = await Bed.open(t, 2);
    const { forwarder } = bed;
    forwarder.addBridgeDomain(5, { ...all, arpTerm: true }, 0);
    for (const index of [1, 2]) forwarder.setBridged(index, 5, port());
    forwarder.setBridgeArpEntry(5, '10.0.0.9', '0a:00:00:00:00:99');
    forwarder.setBridgeArpEntry(5, '2001:db8::9', '0a:00:00:00:00:99');
    const ask = (target: string): Uint8Array =>
      unhex(`ffffffffffff 0a0000000001 0806 0001 0800 06 04 0001 0a0000000001 0a000001 000000000000 ${target}`);
    const [back, on] = await bed.send(0, ask('0a000009'));
    t.same(back!.map(hex), [
      '0a0000000001' +
        '0a0000000099' +
        '0806' +
        '0001080006040002' +
        '0a0000000099' +
        '0a000009' +
        '0a0000000001' +
        '0a000001',
    ]);
    t.same(on, [], 'and does not flood it');
    t.same(counts(await bed.send(0, ask('0a000008'))), [0, 1], 'the others it does not know');
    const solicitation = neighborSolicitationFrame({
      sourceMac: '0a:00:00:00:00:01',
      source: '2001:db8::1',
      target: '2001:db8::9',
    });
    const [advertisement] = await bed.send(0, solicitation);
    t.equal(advertisement!.length, 1);
    t.match(hex(advertisement![0]!), /^0a0000000001 ?0a0000000099/);
    t.equal(transportChecksum(advertisement![0]!, 14, 58, 54, 32), 0, 'its checksum is right');
    t.same(forwarder.bridgeArpEntries(5), [
      { ip: '10.0.0.9', mac: '0a:00:00:00:00:99' },
      { ip: '2001:db8::9', mac: '0a:00:00:00:00:99' },
    ]);
    forwarder.clearBridgeArpEntries(5);
    t.same(forwarder.bridgeArpEntries(5), []);
  });

  await t.test('rewrites tags', async (t) => {
    const bed = await Bed.open(t, 2);
    const { forwarder } = bed;
    forwarder.addInterface({ kind: 'sub', swIfIndex: 10, name: 'a.7', parent: 1, tags: [{ vlanId: 7 }], exact: true });
    forwarder.setAdmin(10, true);
    forwarder.addBridgeDomain(5, all, 0);
    forwarder.setBridged(10, 5, port());
    forwarder.setBridged(2, 5, port());
    const macs = '0a0000000002' + '0a0000000001';
    const rest = '0800' + '4242424242';
    const through = async (op: number, from: number, tags: string, tag1 = 0, tag2 = 0): Promise<string> => {
      forwarder.setTagRewrite(10, { op: op as 0, pushDot1q: true, tag1, tag2 });
      const out = await bed.send(from, unhex(macs + tags + rest));
      const [to] = out[1 - from]!;
      return to === undefined ? 'dropped' : hex(to).slice(24, -rest.length);
    };
    t.equal(await through(TagRewriteOp.disabled, 0, '81000007'), '81000007', 'untouched');
    t.equal(await through(TagRewriteOp.pop1, 0, '81000007'), '', 'pop');
    t.equal(await through(TagRewriteOp.pop1, 1, ''), '81000007', 'and back');
    t.equal(await through(TagRewriteOp.push1, 0, '81000007', 100), '8100006481000007', 'push');
    t.equal(await through(TagRewriteOp.push2, 0, '81000007', 100, 200), '81000064810000c881000007', 'push two');
    t.equal(await through(TagRewriteOp.translate1to1, 0, '81000007', 100), '81000064', 'translate');
    t.equal(await through(TagRewriteOp.translate1to1, 1, '81000064', 100), '81000007', 'and back');
    t.equal(await through(TagRewriteOp.translate1to2, 0, '81000007', 100, 200), '81000064810000c8', 'one to two');
    t.equal(await through(TagRewriteOp.pop2, 0, '81000007'), 'dropped', 'what is not there cannot be popped');
  });
});

void t.test('a cross-connect', async (t) => {
  const numbered = (number: number, length: number): Uint8Array =>
    Uint8Array.from({ length }, (_, i) => (i < 12 ? 10 : number * 31 + i));
  const counter = (bed: Bed, index: number, name: InterfaceCounter): number =>
    bed.forwarder.interfaceCounters[index * INTERFACE_COUNTERS + InterfaceCounter[name]]!;

  await t.test('moves what comes, long or short, and counts it', async (t) => {
    const bed = await Bed.open(t, 2);
    bed.forwarder.setCrossConnect(1, 2);
    bed.forwarder.setCrossConnect(2, 1);
    const frames = [64, 1500, 9000, 14, 5000, 60, 2048, 2049].map((length, i) => numbered(i, length));
    const [none, out] = await bed.send(0, ...frames);
    t.same(none, []);
    t.same(out!.map(hex), frames.map(hex));
    const bytes = frames.reduce((sum, { length }) => sum + length, 0);
    t.same([counter(bed, 1, 'rxPackets'), counter(bed, 1, 'rxBytes')], [8, bytes]);
    t.same([counter(bed, 2, 'txPackets'), counter(bed, 2, 'txBytes')], [8, bytes]);
    const visited = bed.forwarder.nodeCounters().filter(({ vectors }) => vectors === 8);
    t.same(
      visited.map(({ name }) => name),
      ['ethernet-input', 'l2-input', 'l2-output', 'interface-output'],
      'the nodes that are passed by are counted',
    );
    t.same((await bed.send(1, frames[1]!))[0]!.map(hex), [hex(frames[1]!)], 'and the other way');
  });

  await t.test('drops what is no frame, and nothing else', async (t) => {
    const bed = await Bed.open(t, 2);
    bed.forwarder.setCrossConnect(1, 2);
    const frames = [64, 13, 64, 0, 1, 64].map((length, i) => numbered(i, length));
    const [, out] = await bed.send(0, ...frames);
    t.same(out!.map(hex), frames.filter(({ length }) => length === 64).map(hex));
    t.equal(errors(bed.forwarder)['ethernet-input/too_short'], 3);
    t.equal(counter(bed, 1, 'drops'), 3);
  });

  await t.test('loses what finds the other ring full, and says so', async (t) => {
    const bed = await Bed.open(t, 2, {}, { ringSize: 64 });
    bed.forwarder.setCrossConnect(1, 2);
    const frames = Array.from({ length: 200 }, (_, i) => numbered(i, 64));
    const before = bed.forwarder.load().packets;
    for (let at = 0; at < frames.length; at += 20) {
      bed.peers[0]!.send(frames.slice(at, at + 20));
      while (bed.forwarder.load().packets < before + at + 20) await turn();
    }
    const out = bed.received()[1]!;
    t.same(out.map(hex), frames.slice(0, 64).map(hex), 'the first ones went');
    t.equal(counter(bed, 2, 'txError'), 136);
    t.equal(errors(bed.forwarder)['interface-output/no_free_slots'], 136);
  });
});

void t.test('neighbours', async (t) => {
  const reply = (ip: string): Uint8Array =>
    unhex(`02fe0000ee01 0a00000000aa 0806 0001 0800 06 04 0002 0a00000000aa ${ip} 02fe0000ee01 0a010001`);

  await t.test('are asked for; packets wait for the answer, in order and within limits', async (t) => {
    const bed = await router(t, { pendingPerNeighbour: 3, ageingMs: 100_000 });
    const frames = [1, 2, 3, 4, 5].map((n) => udp('10.0.0.2', '10.1.0.9', { sourcePort: n }));
    const [, asked] = await bed.send(0, ...frames);
    t.same(asked!.map(hex), [
      'ffffffffffff02fe0000ee010806' + '000108000604000102fe0000ee010a010001' + '000000000000' + '0a010009',
    ]);
    const [, went] = await bed.send(1, reply('0a010009'));
    t.same(
      went!.map((frame) => [hex(frame.subarray(0, 12)), frame[22], (frame[34]! << 8) | frame[35]!]),
      [1, 2, 3].map((n) => ['0a00000000aa02fe0000ee01', 63, n]),
    );
    t.equal(errors(bed.forwarder)['ip4-arp/queue_full'], 2);
    t.same(
      [...bed.forwarder.neighbours(false)].map(({ ip, mac, swIfIndex, static: fixed }) => [ip, mac, swIfIndex, fixed]),
      [['10.1.0.9', '0a:00:00:00:00:aa', 2, false]],
    );
    t.equal(bed.forwarder.route(0, '10.1.0.9/32')?.prefix, '10.1.0.9/32', 'and there is a route to it');
  });

  await t.test('that nobody answers for are given up, and their packets with them', async (t) => {
    let now = 0;
    const bed = await router(t, { now: () => now, ageingMs: 5 });
    await bed.send(0, udp('10.0.0.2', '10.1.0.9'));
    now += 5000;
    while (errors(bed.forwarder)['ip4-arp/no_answer'] !== 1) await turn();
    const [, went] = await bed.send(1, reply('0a010009'));
    t.same(went, []);
  });

  await t.test('age: they are asked three times, and forgotten', async (t) => {
    let now = 0;
    const told: [string, Neighbour][] = [];
    const bed = await router(t, { now: () => now, ageingMs: 5 });
    bed.forwarder.setEvents({ neighbourEvent: (kind, neighbour) => told.push([kind, neighbour]) });
    bed.forwarder.setNeighbourLimits(false, { ageS: 10 });
    await bed.send(
      1,
      unhex('ffffffffffff 0a00000000aa 0806 0001 0800 06 04 0001 0a00000000aa 0a010009 000000000000 0a010001'),
    );
    t.equal(told[0]?.[0], 'add');
    now += 11_000;
    while (told.length < 2) await turn();
    t.same([told[1]?.[0], told[1]?.[1].ip], ['delete', '10.1.0.9']);
    const probes = bed.received()[1]!.filter((frame) => hex(frame).startsWith('0a00000000aa02fe0000ee0108060001'));
    t.equal(probes.length, 3, 'asked where they were');
  });

  await t.test('are no more than they may be', async (t) => {
    const bed = await router(t);
    const ask = (last: number): Uint8Array =>
      unhex(
        `ffffffffffff 0a00000000aa 0806 0001 0800 06 04 0001 0a00000000aa 0a0000${last.toString(16).padStart(2, '0')} 000000000000 0a000001`,
      );
    bed.forwarder.setNeighbourLimits(false, { max: 5 });
    await bed.send(0, ...Array.from({ length: 20 }, (_, i) => ask(10 + i)));
    t.equal([...bed.forwarder.neighbours(false)].length, 5);
    bed.forwarder.setNeighbourLimits(false, { recycle: true });
    await bed.send(0, ask(99));
    const ips = [...bed.forwarder.neighbours(false)].map(({ ip }) => ip);
    t.equal(ips.length, 5);
    t.ok(ips.includes('10.0.0.99'));
  });
});

void t.test('routes', async (t) => {
  await t.test('may drop, refuse, go through another table, or through another route', async (t) => {
    const bed = await router(t);
    const { forwarder } = bed;
    forwarder.setNeighbour({ swIfIndex: 2, ip: '10.1.0.9', mac: '0a:00:00:00:00:09', static: true });
    forwarder.setNeighbour({ swIfIndex: 1, ip: '10.0.0.2', mac: '0a:00:00:00:00:01', static: true });
    forwarder.addTable(7, false);
    forwarder.setRoute(0, '20.1.0.0/16', [{ kind: 'drop' }]);
    forwarder.setRoute(0, '20.2.0.0/16', [{ kind: 'unreach' }]);
    forwarder.setRoute(0, '20.3.0.0/16', [{ kind: 'prohibit' }]);
    forwarder.setRoute(0, '20.4.0.0/16', [{ kind: 'table', tableId: 7 }]);
    forwarder.setRoute(7, '20.4.0.0/24', [{ kind: 'via', swIfIndex: 2, nextHop: '10.1.0.9' }]);
    forwarder.setRoute(0, '20.5.0.0/16', [{ kind: 'recursive', nextHop: '20.4.0.1' }]);
    forwarder.setRoute(0, '20.6.0.0/16', [{ kind: 'recursive', nextHop: '30.0.0.1' }]);
    forwarder.setRoute(0, '30.0.0.0/8', [{ kind: 'via', swIfIndex: 2, nextHop: '10.1.0.9' }]);
    forwarder.setRoute(0, '20.7.0.0/16', [{ kind: 'table', tableId: 0 }]);
    const to = async (destination: string): Promise<string> => {
      const out = await bed.send(0, udp('10.0.0.2', destination));
      const [back, on] = out;
      if (on!.length > 0) return 'on';
      return back!.length === 0 ? 'dropped' : `ICMP ${back![0]![34]!}/${back![0]![35]!}`;
    };
    t.same(await to('20.1.0.1'), 'dropped');
    t.same(await to('20.2.0.1'), 'ICMP 3/1');
    t.same(await to('20.3.0.1'), 'ICMP 3/13');
    t.same(await to('20.4.0.1'), 'on');
    t.same(await to('20.4.1.1'), 'dropped', 'the other table does not know it');
    t.same(await to('20.5.0.1'), 'dropped', 'nor does it know what goes there because its next hop does');
    t.same(await to('20.6.0.1'), 'on', 'recursive');
    t.same(await to('20.7.0.1'), 'dropped', 'a table that leads to itself ends');
    forwarder.removeRoute(0, '30.0.0.0/8');
    t.same(await to('20.6.0.1'), 'dropped', 'when the covering route goes, so does what rests on it');
    forwarder.setAdmin(2, false);
    t.same(await to('20.4.0.1'), 'dropped', 'nothing goes to an interface that is down');
    t.throws(() => forwarder.setRoute(9, '1.0.0.0/8', []), /no IPv4 table 9/);
    t.throws(() => forwarder.removeTable(0, false), /that of interface 0/);
  });

  await t.test('are said by several; the best decides, and the next when it goes', async (t) => {
    const bed = await router(t);
    const { forwarder } = bed;
    t.equal(forwarder.route(0, '10.0.0.0/24', true)?.source, 4);
    forwarder.setRoute(0, '10.0.0.0/24', [{ kind: 'drop' }]);
    t.equal(forwarder.route(0, '10.0.0.0/24', true)?.paths[0]?.kind, 'glean', 'the interface is asked first');
    forwarder.removeAddress(1, '10.0.0.1/24');
    t.equal(forwarder.route(0, '10.0.0.0/24', true)?.paths[0]?.kind, 'drop');
    t.equal(forwarder.route(0, '10.0.0.1/32', true), undefined);
    t.equal(forwarder.removeRoute(0, '10.0.0.0/24'), true);
    t.equal(forwarder.removeRoute(0, '10.0.0.0/24'), false);
    t.same(
      [...forwarder.routes(0, false)].map(({ prefix, source }) => `${prefix} ${source}`).sort(),
      [
        '0.0.0.0/0 20',
        '0.0.0.0/32 20',
        '10.1.0.0/24 4',
        '10.1.0.0/32 4',
        '10.1.0.1/32 4',
        '10.1.0.255/32 4',
        '224.0.0.0/4 1',
        '240.0.0.0/4 1',
        '255.255.255.255/32 20',
      ],
      'the table is as VPP has it',
    );
  });

  await t.test('share flows among weighted paths', async (t) => {
    const bed = await Bed.open(t, 3);
    const { forwarder } = bed;
    for (const index of [1, 2, 3]) {
      forwarder.addAddress(index, `10.${index}.0.1/24`);
      forwarder.setNeighbour({
        swIfIndex: index,
        ip: `10.${index}.0.2`,
        mac: `0a:00:00:00:00:0${index}`,
        static: true,
      });
    }
    forwarder.setRoute(0, '20.0.0.0/8', [
      { kind: 'via', swIfIndex: 2, nextHop: '10.2.0.2', weight: 1 },
      { kind: 'via', swIfIndex: 3, nextHop: '10.3.0.2', weight: 3 },
    ]);
    const flows = Array.from({ length: 800 }, (_, i) =>
      udp('10.1.0.2', `20.0.${i >> 8}.${i & 255}`, { sourcePort: 5000 + i }),
    );
    const shares = [0, 0];
    for (let i = 0; i < flows.length; i += 200) {
      const out = await bed.send(0, ...flows.slice(i, i + 200));
      shares[0]! += out[1]!.length;
      shares[1]! += out[2]!.length;
    }
    t.equal(shares[0]! + shares[1]!, 800);
    t.ok(shares[0]! > 130 && shares[0]! < 270, `a quarter of 800 flows: ${shares[0]}`);
    const same = await bed.send(0, ...Array.from({ length: 50 }, () => flows[3]!));
    t.ok(same[1]!.length === 50 || same[2]!.length === 50, 'one flow keeps to one path');
    forwarder.setAdmin(3, false);
    const left = await bed.send(0, ...flows.slice(0, 100));
    t.equal(left[1]!.length, 100, 'when one goes, the other takes all');
  });
});

void t.test('IPv4 and IPv6 that end here', async (t) => {
  const bed = await router(t);
  const { forwarder } = bed;
  forwarder.setNeighbour({ swIfIndex: 1, ip: '10.0.0.2', mac: hosts.sourceMac, static: true });
  forwarder.addAddress(1, '2001:db8:1::1/64');
  forwarder.setNeighbour({ swIfIndex: 1, ip: '2001:db8:1::2', mac: hosts.sourceMac, static: true });

  await t.test('fragments of a ping are put together, in any order', async (t) => {
    const whole = icmpEchoFrame({
      ...hosts,
      source: '10.0.0.2',
      destination: '10.0.0.1',
      identifier: 7,
      sequence: 8,
      payload: new Uint8Array(1000).fill(5),
    });
    const piece = (from: number, to: number, more: boolean): Uint8Array => {
      const frame = new Uint8Array(34 + to - from);
      frame.set(whole.subarray(0, 34));
      frame.set(whole.subarray(34 + from, 34 + to), 34);
      const view = new DataView(frame.buffer);
      view.setUint16(16, frame.length - 14);
      view.setUint16(18, 77);
      view.setUint16(20, (from >> 3) | (more ? 0x2000 : 0));
      view.setUint16(24, 0);
      view.setUint16(24, checksum(frame, 14, 20));
      return frame;
    };
    const [back] = await bed.send(0, piece(400, 1008, false), piece(0, 400, true));
    t.equal(back!.length, 1);
    t.equal(back![0]![34], 0, 'an echo reply');
    t.equal(checksum(back![0]!, 34, 1008), 0, 'whole and right');
    await bed.send(0, piece(0, 400, true), piece(200, 600, true));
    t.equal(
      errors(forwarder)['ip4-local-full-reassembly/reass_fragments_overlap'],
      1,
      'pieces that overlap are dropped',
    );
  });

  await t.test('what nobody listens to is answered, or dropped, as VPP does', async (t) => {
    const [six] = await bed.send(
      0,
      udpFrame({ ...hosts, source: '2001:db8:1::2', destination: '2001:db8:1::1', sourcePort: 1, destinationPort: 2 }),
    );
    t.match(hex(six![0]!.subarray(54, 56)), '0104', 'ICMPv6 port unreachable');
    const tcp = { ...hosts, sourcePort: 1, destinationPort: 2, sequence: 1, flags: 2 };
    t.same((await bed.send(0, tcpFrame({ ...tcp, source: '10.0.0.2', destination: '10.0.0.1' })))[0], []);
    t.same((await bed.send(0, udp('10.0.0.1', '10.0.0.1')))[0], [], 'not from our own address');
    t.same((await bed.send(0, udp('99.0.0.1', '10.0.0.1')))[0], [], 'nor from where no route leads');
    const found = errors(forwarder);
    t.same([found['ip4-local/spoofed_local_packets'], found['ip4-local/src_lookup_miss']], [1, 1]);
  });

  await t.test('link-local addresses are those of the link', async (t) => {
    t.equal(forwarder.linkLocal(1), 'fe80::fe:ff:fe00:ee00');
    const ping = icmpEchoFrame({
      ...hosts,
      source: 'fe80::2',
      destination: 'fe80::fe:ff:fe00:ee00',
      identifier: 1,
      sequence: 1,
    });
    const [asked] = await bed.send(0, ping);
    t.match(hex(asked![0]!), /^3333ff00000202fe0000ee0086dd/, 'who fe80::2 is, is asked first');
  });

  await t.test('an IPv6 packet that is too long is sent back', async (t) => {
    forwarder.addAddress(2, '2001:db8:2::1/64');
    forwarder.setNeighbour({ swIfIndex: 2, ip: '2001:db8:2::2', mac: '0a:00:00:00:00:09', static: true });
    forwarder.setMtu(2, { l3: 1280 });
    const [back, on] = await bed.send(
      0,
      udpFrame({
        ...hosts,
        source: '2001:db8:1::2',
        destination: '2001:db8:2::2',
        sourcePort: 1,
        destinationPort: 2,
        payload: new Uint8Array(1300),
      }),
    );
    t.same(on, []);
    t.equal(hex(back![0]!.subarray(54, 56)), '0200');
    t.equal(new DataView(back![0]!.buffer, back![0]!.byteOffset).getUint32(58), 1280, 'with the MTU');
    t.equal(back![0]!.length, 14 + 1280);
    t.equal(transportChecksum(back![0]!, 14, 58, 54, 1240), 0);
  });
});

const anyRule: AclRule = {
  action: 1,
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

void t.test('access lists', async (t) => {
  /** A router with known neighbours on both sides. */
  const guarded = async (
    test: Parameters<typeof Bed.open>[0],
    options: Parameters<typeof Bed.open>[2] = {},
  ): Promise<Bed> => {
    const bed = await router(test, options);
    bed.forwarder.setNeighbour({ swIfIndex: 1, ip: '10.0.0.2', mac: hosts.sourceMac, static: true });
    bed.forwarder.setNeighbour({ swIfIndex: 2, ip: '10.1.0.2', mac: '0a:00:00:00:00:09', static: true });
    return bed;
  };
  const there = { ...hosts, source: '10.0.0.2', destination: '10.1.0.2' };
  const back = {
    sourceMac: '0a:00:00:00:00:09',
    destinationMac: '02:fe:00:00:ee:01',
    source: '10.1.0.2',
    destination: '10.0.0.2',
  };
  const tcp = (flags: number, ports = [1000, 80]): Uint8Array =>
    tcpFrame({ ...there, sourcePort: ports[0]!, destinationPort: ports[1]!, sequence: 1, flags });

  await t.test('let through what the first rule that fits permits, and nothing else', async (t) => {
    const bed = await guarded(t);
    const { forwarder } = bed;
    forwarder.setAcl(3, [
      { ...anyRule, action: 0, protocol: 6, tcpFlagsMask: 0x12, tcpFlagsValue: 0x02 },
      { ...anyRule, action: 1, protocol: 6, destinationFirst: 80, destinationLast: 90 },
    ]);
    forwarder.setAcl(4, [{ ...anyRule, action: 1, protocol: 1, sourceFirst: 8, sourceLast: 8 }]);
    forwarder.setAclLists(1, [3, 4], []);
    const passes = async (frame: Uint8Array): Promise<boolean> => (await bed.send(0, frame))[1]!.length === 1;
    t.equal(await passes(tcp(0x02)), false, 'SYN alone');
    t.equal(await passes(tcp(0x10)), true, 'ACK to port 80');
    t.equal(await passes(tcp(0x10, [1000, 91])), false, 'to 91');
    t.equal(
      await passes(icmpEchoFrame({ ...there, identifier: 1, sequence: 1 })),
      true,
      'echo request, by the second list',
    );
    t.equal(await passes(icmpEchoFrame({ ...there, identifier: 1, sequence: 1, reply: true })), false, 'echo reply');
    t.equal(await passes(udpFrame({ ...there, sourcePort: 1, destinationPort: 80 })), false, 'UDP');
    t.same([...forwarder.aclCounters(3)], [1, 40, 1, 40], 'and are counted, packets and bytes');
    forwarder.removeAcl(4);
    t.equal(await passes(icmpEchoFrame({ ...there, identifier: 1, sequence: 1 })), false, 'a list that is gone blocks');
    forwarder.setAclLists(1, [], []);
    t.equal(await passes(udpFrame({ ...there, sourcePort: 1, destinationPort: 80 })), true, 'no list, no check');
  });

  await t.test('let answers through where a rule reflects', async (t) => {
    let now = 0;
    const bed = await guarded(t, { now: () => now, ageingMs: 5 });
    const { forwarder } = bed;
    forwarder.setAcl(1, [{ ...anyRule, action: 2 }]);
    forwarder.setAcl(2, [{ ...anyRule, action: 0 }]);
    forwarder.setAclLists(1, [1], [2]);
    const answer = (destinationPort: number): Uint8Array => udpFrame({ ...back, sourcePort: 53, destinationPort });
    const returns = async (frame: Uint8Array): Promise<boolean> => (await bed.send(1, frame))[0]!.length === 1;
    t.equal(await returns(answer(1000)), false, 'nobody has asked');
    await bed.send(0, udpFrame({ ...there, sourcePort: 1000, destinationPort: 53 }));
    t.equal(await returns(answer(1000)), true, 'the answer');
    t.equal(await returns(answer(1001)), false, 'to another port');
    await bed.send(0, icmpEchoFrame({ ...there, identifier: 1, sequence: 1 }));
    t.equal(await returns(icmpEchoFrame({ ...back, identifier: 1, sequence: 1, reply: true })), true, 'an echo reply');
    t.equal(await returns(icmpEchoFrame({ ...back, identifier: 1, sequence: 1 })), false, 'but no request');
    t.match(forwarder.aclSessions(), { active: 2, added: 2, deleted: 0 });
    forwarder.setAclSessionLimits({ udpIdleS: 30 });
    now += 31_000;
    while (forwarder.aclSessions().active > 0) await turn();
    t.equal(await returns(answer(1000)), false, 'forgotten when idle');
    forwarder.setAclSessionLimits({ max: 2 });
    const out = await bed.send(
      0,
      ...[1, 2, 3].map((sourcePort) => udpFrame({ ...there, sourcePort, destinationPort: 53 })),
    );
    t.equal(out[1]!.length, 2, 'no more sessions than there may be');
    forwarder.clearAclSessions();
    t.equal(forwarder.aclSessions().active, 0);
  });

  await t.test('decide as one rule after the other would (property)', async (t) => {
    const bed = await guarded(t);
    const range = fc
      .tuple(fc.integer({ min: 0, max: 15 }), fc.integer({ min: 0, max: 15 }))
      .map(([a, b]) => (a < b ? [a, b] : [b, a]));
    const prefix = fc.tuple(fc.integer({ min: 0, max: 3 }), fc.constantFrom(0, 24, 31, 32));
    const rule = fc.record({
      permit: fc.boolean(),
      source: prefix,
      protocol: fc.constantFrom(0, 6, 17),
      from: range,
      to: range,
    });
    const rules = fc.array(rule, { maxLength: 6 });
    const packet = fc.record({
      source: fc.integer({ min: 0, max: 3 }),
      tcp: fc.boolean(),
      sport: fc.integer({ min: 0, max: 15 }),
      dport: fc.integer({ min: 0, max: 15 }),
    });
    await fc.assert(
      fc.asyncProperty(rules, fc.array(packet, { minLength: 1, maxLength: 12 }), async (list, packets) => {
        const cover = (length: number, host: number): number =>
          length === 0 ? 0 : length === 24 ? 0 : host & (length === 31 ? ~1 : ~0);
        bed.forwarder.setAcl(
          9,
          list.map((each) => ({
            ...anyRule,
            action: each.permit ? 1 : 0,
            source:
              each.source[1] === 0 ? '0.0.0.0/0' : `10.0.0.${cover(each.source[1], each.source[0])}/${each.source[1]}`,
            protocol: each.protocol,
            sourceFirst: each.from[0]!,
            sourceLast: each.from[1]!,
            destinationFirst: each.to[0]!,
            destinationLast: each.to[1]!,
          })),
        );
        bed.forwarder.setAclLists(1, [9], []);
        const expected = packets.filter((each) => {
          const hit = list.find(
            (rule) =>
              (rule.source[1] === 0 ||
                rule.source[1] === 24 ||
                cover(rule.source[1], each.source) === cover(rule.source[1], rule.source[0])) &&
              (rule.protocol === 0 ||
                (rule.protocol === (each.tcp ? 6 : 17) &&
                  each.sport >= rule.from[0]! &&
                  each.sport <= rule.from[1]! &&
                  each.dport >= rule.to[0]! &&
                  each.dport <= rule.to[1]!)),
          );
          return hit?.permit === true;
        }).length;
        const frames = packets.map((each) => {
          const common = {
            ...there,
            source: `10.0.0.${each.source}`,
            sourcePort: each.sport,
            destinationPort: each.dport,
          };
          return each.tcp ? tcpFrame({ ...common, sequence: 1, flags: 0x10 }) : udpFrame(common);
        });
        t.equal((await bed.send(0, ...frames))[1]!.length, expected);
      }),
      { numRuns: 60 },
    );
  });
});

void t.test('a segment of 64 KiB becomes the frames that TCP would have sent', (t) => {
  fc.assert(
    fc.property(
      fc.boolean(),
      fc.integer({ min: 1, max: 20_000 }),
      fc.integer({ min: 100, max: 1460 }),
      (six, size, mss) => {
        const payload = Uint8Array.from({ length: size }, (_, i) => (i * 7) & 255);
        const frame = tcpFrame({
          sourceMac: '0a:00:00:00:00:01',
          destinationMac: '0a:00:00:00:00:02',
          source: six ? '2001:db8::1' : '10.0.0.1',
          destination: six ? '2001:db8::2' : '10.0.0.2',
          sourcePort: 1,
          destinationPort: 2,
          sequence: 0xffff_f000,
          flags: 0x19,
          payload,
        });
        const plane = new Plane();
        const p = plane.make(frame.length, 0);
        const { vector } = plane;
        vector.bytes.set(frame, vector.offset[p]);
        vector.l3[p] = vector.offset[p]! + 14;
        vector.flags[p] = 4;
        vector.gsoType[p] = six ? 4 : 1;
        vector.gsoSize[p] = mss;
        vector.csumStart[p] = six ? 54 : 34;
        vector.csumOffset[p] = 16;
        const pieces: Uint8Array[] = [];
        segment(plane, p, (q) => {
          pieces.push(vector.bytes.slice(vector.offset[q], vector.offset[q]! + vector.length[q]!));
        });
        if (pieces.length !== Math.ceil(size / mss)) return false;
        const headers = (six ? 54 : 34) + 20;
        const joined = Buffer.concat(pieces.map((piece) => piece.subarray(headers)));
        if (Buffer.compare(joined, payload) !== 0) return false;
        return pieces.every((piece, i) => {
          const view = new DataView(piece.buffer, piece.byteOffset);
          const l4 = headers - 20;
          const last = i === pieces.length - 1;
          return (
            transportChecksum(piece, 14, 6, l4, piece.length - l4) === 0 &&
            (six || checksum(piece, 14, 20) === 0) &&
            view.getUint32(l4 + 4) === (0xffff_f000 + i * mss) >>> 0 &&
            piece[l4 + 13] === (last ? 0x19 : 0x10) &&
            (six ? view.getUint16(18) === piece.length - 54 : view.getUint16(16) === piece.length - 14)
          );
        });
      },
    ),
    { numRuns: 100 },
  );
  t.end();
});

void t.test('the tables do what a list would', async (t) => {
  await t.test('longest prefix of IPv4 and IPv6, through additions and removals', (t) => {
    const step = fc.record({
      add: fc.boolean(),
      // Few distinct bits, so that prefixes nest and collide.
      words: fc.tuple(
        fc.constantFrom(0x0a000000, 0x0a010000, 0x0a0101ff, 0x0aff0000),
        fc.constantFrom(0, 0x80000000, 7),
      ),
      length: fc.constantFrom(0, 1, 8, 12, 15, 16, 17, 20, 23, 24, 25, 28, 30, 31, 32),
      more: fc.integer({ min: 0, max: 96 }),
    });
    const probe = fc.tuple(
      fc.constantFrom(0x0a000000, 0x0a010000, 0x0a0101ff, 0x0a010180, 0x0aff0000, 0x0b000000),
      fc.constantFrom(0, 0x80000000, 7, 6),
    );
    fc.assert(
      fc.property(
        fc.boolean(),
        fc.array(step, { maxLength: 60 }),
        fc.array(probe, { minLength: 5, maxLength: 20 }),
        (six, steps, probes) => {
          const table = new FibTable(0, 0, six, new Entries());
          const zero = six ? [0, 0, 0, 0] : [0];
          const fallback = table.add(zero, 0);
          const model = new Map<string, { words: number[]; length: number; entry: number }>();
          const bits = (words: readonly number[], length: number): string =>
            words
              .map((word) => (word >>> 0).toString(2).padStart(32, '0'))
              .join('')
              .slice(0, length);
          for (const { add, words, length: short, more } of steps) {
            const length = six ? Math.min(128, short + more) : short;
            if (length === 0) continue;
            const full = six ? [words[0], words[1], words[0], words[1]] : [words[0]];
            const masked = full.map((word, i) => {
              const left = Math.min(32, Math.max(0, length - i * 32));
              return left === 0 ? 0 : (word & (-1 << (32 - left))) >>> 0;
            });
            const key = `${bits(masked, length)}/${length}`;
            const known = model.get(key);
            if (add && known === undefined) model.set(key, { words: masked, length, entry: table.add(masked, length) });
            else if (!add && known !== undefined) {
              table.remove(known.entry);
              model.delete(key);
            }
          }
          return probes.every(([a, b]) => {
            const address = six ? [a, b, a, b] : [a];
            let best = { length: -1, entry: fallback };
            for (const route of model.values()) {
              if (route.length > best.length && bits(address, route.length) === bits(route.words, route.length))
                best = route;
            }
            const found = table.lookup(address);
            return found === best.entry && (!six || table.lookup6(a >>> 0, b >>> 0, a >>> 0, b >>> 0) === best.entry);
          });
        },
      ),
      { numRuns: 400 },
    );
    t.end();
  });

  await t.test('MAC addresses', (t) => {
    const step = fc.record({
      op: fc.constantFrom('set', 'set', 'remove'),
      low: fc.integer({ min: 0, max: 300 }),
      to: fc.nat(5),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 2000 }), (steps) => {
        const table = new MacTable();
        const model = new Map<number, number>();
        for (const { op, low, to } of steps) {
          if (op === 'set') {
            table.set(7, low * 65_536, to, 0, 0);
            model.set(low, to);
          } else if (table.remove(7, low * 65_536) !== model.delete(low)) return false;
        }
        if (table.size !== model.size || table.learnt !== model.size) return false;
        for (let low = 0; low <= 300; low++) {
          const slot = table.find(7, low * 65_536);
          if ((slot < 0 ? undefined : table.interfaceAt(slot)) !== model.get(low)) return false;
        }
        return table.find(8, 0) === -1;
      }),
      { numRuns: 50 },
    );
    t.end();
  });

  await t.test('sessions, by both of their directions', (t) => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(40), fc.nat(40), fc.nat(3)), { maxLength: 300 }), (flows) => {
        const sessions = new AclSessions();
        const key = (a: number, b: number, ports: number, isInput: boolean) => {
          const words = new Uint32Array(10);
          words[0] = a;
          words[4] = b;
          words[8] = ports;
          words[9] = sessionTail(17, isInput, 3);
          return { words, tcpFlags: 0 };
        };
        const seen = new Set<string>();
        for (const [a, b, port] of flows) {
          const name = `${a}/${b}/${port}`;
          if (sessions.find(key(a, b, (port << 16) | 53, true), 0) !== seen.has(name)) return false;
          if (!seen.has(name)) sessions.add(key(a, b, (port << 16) | 53, true), -1, 0);
          seen.add(name);
          if (!sessions.find(key(b, a, (53 << 16) | port, false), 0)) return false;
        }
        if (sessions.active !== seen.size) return false;
        sessions.tick(601_000);
        return sessions.active === 0 && !sessions.find(key(1, 2, 53, true), 601_000);
      }),
      { numRuns: 60 },
    );
    t.end();
  });

  await t.test('weights, to within a hundredth', (t) => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 255 }), { minLength: 2, maxLength: 8 }), (weights) => {
        const buckets = spread(weights.map((weight, value) => ({ value, weight })));
        const sum = weights.reduce((a, b) => a + b, 0);
        const error = weights.reduce((total, weight, value) => {
          const share = buckets.filter((each) => each === value).length;
          return total + Math.abs(share - (weight / sum) * buckets.length);
        }, 0);
        return (
          Number.isInteger(Math.log2(buckets.length)) && (error <= 0.03 * buckets.length || buckets.length >= 4096)
        );
      }),
    );
    t.end();
  });
});

void t.test('packets can be watched', async (t) => {
  const bed = await router(t);
  const { forwarder } = bed;
  forwarder.setNeighbour({ swIfIndex: 2, ip: '10.1.0.2', mac: '0a:00:00:00:00:09', static: true });
  const path = join(temporaryFolder(t), 'x.pcapng');
  const captured = forwarder.startCapture({ path, directions: ['rx', 'tx', 'drop'] });
  forwarder.addTrace('memif-input', 2);
  await bed.send(0, udp('10.0.0.2', '10.1.0.2'), udp('10.0.0.2', '99.0.0.1'), udp('10.0.0.2', '10.1.0.2'));
  t.same(
    forwarder.traces().map((trace) => trace.steps.map(({ node }) => node)),
    [
      ['memif-input', 'ethernet-input', 'ip4-input', 'ip4-lookup', 'ip4-rewrite', 'interface-output'],
      ['memif-input', 'ethernet-input', 'ip4-input', 'ip4-lookup', 'error-drop'],
    ],
    'node by node, and no more than was asked for',
  );
  t.match(forwarder.traces()[1]?.steps.at(-1)?.text, 'ip4-drop: blackholed packets');
  forwarder.clearTraces();
  t.same(forwarder.traces(), []);
  forwarder.stopCapture();
  t.equal(await captured, 6);
  const records = [...new PcapngReader().push(readFileSync(path))].flatMap((record) =>
    record.type === 'packet' ? [record] : [],
  );
  t.same(
    records.map((record) => record.direction),
    ['inbound', 'inbound', 'inbound', 'outbound', 'outbound', 'inbound'].sort((a, b) => 0 * a.localeCompare(b)),
  );
  const nodes = new Map(forwarder.nodeCounters().map((node) => [node.name, node.vectors]));
  t.same([nodes.get('ip4-lookup'), nodes.get('ip4-rewrite'), nodes.get('error-drop')], [3, 2, 1]);
  forwarder.clearNodeCounters();
  t.equal(
    forwarder.nodeCounters().reduce((sum, node) => sum + node.vectors, 0),
    0,
  );
  await t.rejects(forwarder.startCapture({ path: '/nowhere/at/all.pcapng' }), { code: 'ENOENT' });
});

void t.test('clients that share packet memory are cross-connected without a copy', async (t) => {
  const forwarder = openForwarder();
  const socket = freshSocket();
  const peers = [0, 1].map((id) => openMemif({ socket, role: 'server', id }));
  t.teardown(async () => {
    await forwarder.close();
    await Promise.all(peers.map((peer) => peer.destroy()));
  });
  for (const id of [0, 1]) {
    forwarder.addInterface({
      kind: 'memif',
      swIfIndex: id + 1,
      name: `memif0/${id}`,
      mac: `02:fe:00:00:00:0${id}`,
      role: 'client',
      socket,
      id,
      zeroCopy: true,
    });
    forwarder.setAdmin(id + 1, true);
  }
  forwarder.setCrossConnect(1, 2);
  forwarder.setCrossConnect(2, 1);
  await Promise.all(peers.map((peer) => peer.up({ timeoutMs: 10_000 })));
  const [one, two] = peers as [Memif, Memif];
  const sent = Array.from({ length: 5000 }, (_, i) => {
    const frame = new Uint8Array(60 + (i % 1400)).fill(i & 255);
    frame[6] = i >> 8;
    return frame;
  });
  const received: Uint8Array[] = [];
  for (let i = 0; i < sent.length; i += 250) {
    one.send(sent.slice(i, i + 250));
    while (received.length < Math.min(sent.length, i + 250)) {
      received.push(...copyPackets(two.rx[0]!, 1024));
      await turn();
    }
  }
  t.equal(
    received.findIndex((frame, i) => Buffer.compare(frame, sent[i]!) !== 0),
    -1,
    'each as it was, in order',
  );
  const sends = forwarder.interfaceCounters[2 * INTERFACE_COUNTERS + InterfaceCounter.txPackets];
  t.equal(sends, 5000);
  // The other does not take: its ring fills, and what is too much is lost and counted.
  for (let i = 0; i < 3000; i += 250) one.send(sent.slice(i, i + 250));
  while (forwarder.load().packets < 8000) await turn();
  const lost = errors(forwarder)['interface-output/no_free_slots'];
  t.equal(lost, 3000 - two.rx[0]!.size, 'no more than the ring holds');
  const rest = copyPackets(two.rx[0]!, 4096);
  t.equal(rest.length, two.rx[0]!.size);
  two.send(new Uint8Array(99).fill(1));
  while (one.rx[0]!.pending === 0) await turn();
  t.equal(copyPackets(one.rx[0]!, 10)[0]?.length, 99, 'and the buffers are all there still');
});

void t.test('those who mean harm', async (t) => {
  await t.test('random, cut and spoilt frames are dealt with', async (t) => {
    const bed = await Bed.open(t, 4);
    const { forwarder } = bed;
    for (const index of [1, 2]) {
      forwarder.addAddress(index, `10.${index}.0.1/24`);
      forwarder.addAddress(index, `2001:db8:${index}::1/64`);
    }
    forwarder.addBridgeDomain(5, { ...all, arpTerm: true }, 0);
    for (const index of [3, 4]) forwarder.setBridged(index, 5, port());
    forwarder.setAcl(1, [
      { ...anyRule, action: 2 },
      { ...anyRule, source: '::/0', destination: '::/0', action: 2 },
    ]);
    for (const index of [1, 3]) forwarder.setAclLists(index, [1], [1]);
    const known = recordedPackets().flatMap(({ steps }) => steps.map(({ send }) => unhex(send.frame)));
    const frames = fc.array(
      fc.oneof(
        fc.uint8Array({ minLength: 1, maxLength: 200 }),
        fc
          .tuple(fc.constantFrom(...known), fc.nat(2000), fc.array(fc.tuple(fc.nat(80), fc.nat(255)), { maxLength: 4 }))
          .map(([frame, cut, spoils]) => {
            const copy = frame.slice(0, Math.max(1, cut % (frame.length + 1)));
            for (const [at, value] of spoils) if (at < copy.length) copy[at] = value;
            return copy;
          }),
      ),
      { minLength: 1, maxLength: 40 },
    );
    await fc.assert(
      fc.asyncProperty(fc.nat(3), frames, async (at, list) => {
        await bed.send(at, ...list);
      }),
      { numRuns: 300 },
    );
    t.ok(forwarder.load().packets > 1000);
    t.same(
      bed.peers.map((peer) => peer.isUp),
      [true, true, true, true],
      'and nobody lost its connection',
    );
  });

  await t.test('a tower of tags ends', async (t) => {
    const bed = await Bed.open(t, 2);
    bed.forwarder.addInterface({
      kind: 'sub',
      swIfIndex: 10,
      name: 'a.1',
      parent: 1,
      tags: [{ vlanId: 1 }],
      exact: false,
    });
    bed.forwarder.setAdmin(10, true);
    bed.forwarder.addBridgeDomain(5, all, 0);
    for (const index of [10, 2]) bed.forwarder.setBridged(index, 5, port());
    bed.forwarder.setTagRewrite(10, { op: TagRewriteOp.pop1, pushDot1q: true, tag1: 0, tag2: 0 });
    const out = await bed.send(0, unhex('0a0000000002 0a0000000001' + '81000001'.repeat(400)));
    t.equal(out[1]!.length, 1);
    t.equal(out[1]![0]!.length, 12 + 4 * 399, 'less the one that is popped');
  });

  await t.test('a storm of ARP fills tables, and no more', async (t) => {
    const bed = await router(t, { pendingPackets: 50 });
    bed.forwarder.setNeighbourLimits(false, { max: 100 });
    bed.forwarder.addAddress(1, '10.0.0.1/8');
    for (let round = 0; round < 40; round++) {
      const requests = Array.from({ length: 200 }, (_, i) => {
        const n = (round * 200 + i).toString(16).padStart(4, '0');
        return unhex(`ffffffffffff 0a000000${n} 0806 0001 0800 06 04 0001 0a000000${n} 0a05${n} 000000000000 0a000001`);
      });
      const scans = Array.from({ length: 50 }, (_, i) => udp('10.0.0.2', `10.77.${round}.${i + 1}`));
      await bed.send(0, ...requests, ...scans);
    }
    t.equal([...bed.forwarder.neighbours(false)].length, 100);
    t.ok(
      (errors(bed.forwarder)['ip4-arp/queue_full'] ?? 0) > 1000,
      'packets for hosts that are not there do not pile up',
    );
  });

  await t.test('peers that die with packets under way take nothing with them', async (t) => {
    const bed = await Bed.open(t, 2);
    bed.forwarder.setCrossConnect(1, 2);
    bed.forwarder.setCrossConnect(2, 1);
    const frame = new Uint8Array(1000).fill(7);
    for (let round = 0; round < 10; round++) {
      bed.peers[0]!.send(Array.from({ length: 200 }, () => frame));
      await turn();
      const victim = round & 1;
      await bed.peers[victim]!.destroy();
      await bed.addPeer(victim);
    }
    bed.received();
    const out = await bed.send(0, frame);
    t.equal(out[1]!.length, 1, 'and all goes on');
  });

  await t.test('an interface may go in the middle of it all', async (t) => {
    const bed = await router(t);
    bed.forwarder.setNeighbour({ swIfIndex: 2, ip: '10.1.0.2', mac: '0a:00:00:00:00:09', static: true });
    await bed.send(0, udp('10.0.0.2', '10.1.0.2'));
    bed.forwarder.removeInterface(2);
    await bed.send(0, udp('10.0.0.2', '10.1.0.2'));
    t.throws(() => bed.forwarder.status(2), /there is no interface 2/);
    t.equal(bed.forwarder.route(0, '10.1.0.0/24', true), undefined);
    t.same([...bed.forwarder.neighbours(false)], []);
  });

  await t.test('and nothing is left behind', async (t) => {
    const cycle = async (): Promise<void> => {
      const bed = new Bed();
      for (const each of [0, 1]) await bed.addPort(each);
      bed.forwarder.setCrossConnect(1, 2);
      await bed.send(0, new Uint8Array(64));
      await bed.close();
    };
    await cycle();
    const before = descriptors().length;
    for (let i = 0; i < 10; i++) await cycle();
    t.equal(descriptors().length, before, 'no descriptor');
  });
});

void t.test('what cannot be is a mistake of the program', (t) => {
  const bed = new Bed();
  t.teardown(() => bed.close());
  const { forwarder } = bed;
  const loop = { kind: 'loopback', name: 'l', mac: '02:00:00:00:00:01' } as const;
  forwarder.addInterface({ ...loop, swIfIndex: 1 });
  t.throws(() => forwarder.addInterface({ ...loop, swIfIndex: 1 }), /interface 1 is there already/);
  t.throws(() => forwarder.addInterface({ ...loop, swIfIndex: -1 }), /not a whole number/);
  t.throws(() => forwarder.setAdmin(5, true), { code: 'ERR_VPP_ARGUMENT_RANGE' });
  t.throws(() => forwarder.addAddress(1, '10.0.0.1'), /no prefix/);
  t.throws(() => forwarder.addAddress(1, '10.0.0.1/33'), /33 is no length/);
  t.throws(() => forwarder.addAddress(1, { address: new Uint8Array(5), length: 3 }), { code: 'ERR_VPP_ARGUMENT_TYPE' });
  t.throws(() => forwarder.setBridged(1, 9, { type: 'normal', shg: 0 }), /no bridge domain 9/);
  t.throws(() => forwarder.removeInterface(0), /local0/);
  forwarder.addBridgeDomain(9, all, 0);
  forwarder.setBridged(1, 9, { type: 'bvi', shg: 0 });
  t.throws(() => forwarder.removeBridgeDomain(9), /has members/);
  t.throws(() => forwarder.addBridgeDomain(9, all, 0), /there already/);
  forwarder.setRouted(1);
  forwarder.removeBridgeDomain(9);
  forwarder.addAddress(1, '10.0.0.1/24');
  t.throws(() => forwarder.setTable(1, false, 0), /has addresses/);
  t.equal(parseIp('10.0.0.1').length, 4);
  t.throws(
    () =>
      forwarder.addInterface({
        kind: 'memif',
        swIfIndex: 3,
        name: 'm',
        mac: '02:00:00:00:00:03',
        role: 'server',
        socket: '/nowhere/at/all.sock',
        id: 0,
      }),
    { code: 'ERR_MEMIF_SYSTEM' },
  );
  t.throws(() => forwarder.status(3), /no interface 3/, 'and what could not be opened is not there');
  t.end();
});

function byPortAndBytes(a: { port: number; frame: Uint8Array }, b: { port: number; frame: Uint8Array }): number {
  return a.port - b.port || Buffer.compare(a.frame, b.frame);
}
