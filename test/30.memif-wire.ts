// Chapter 30, continued: memif byte by byte, against a peer that does exactly what it is told (support/raw-peer.py).
// First what stands in messages and rings, then every way in which a peer can break the rules.

import t, { type Test } from 'tap';
import { once } from 'node:events';
import { type Memif, type MemifOptions, bridge } from 'node-vpp/memif';
import { loopback } from 'node-vpp/testing';
import { descriptors, freshSocket, holdings, idleCost, lost, open, packet, sleep } from './support/memif.js';
import { take, until } from './support/memif.js';
import { type ClientSteps, type Offered, Place, RawPeer, Type, clientHandshake } from './support/raw-peer.js';
import { descriptor, message, noRawPeer, serverHandshake, textAt, u16, u32 } from './support/raw-peer.js';

const options = noRawPeer === false ? {} : { skip: noRawPeer };
if (noRawPeer === false) await new RawPeer().end(); // the first child makes Node.js open a pipe for its signals

function rawPeer(t: Test): RawPeer {
  const peer = new RawPeer();
  t.teardown(() => peer.end());
  return peer;
}

/** A server of ours and a raw client that is connected to it; place says where things are in its memory. */
async function rawClient(
  t: Test,
  ofServer: Partial<MemifOptions> = {},
  steps: ClientSteps = {},
  peer = rawPeer(t),
): Promise<{ server: Memif; peer: RawPeer; place: Place }> {
  const socket = freshSocket();
  const server = open(t, { socket, role: 'server', ...ofServer });
  await peer.do('connect', { socket: 's', address: socket });
  const place = await clientHandshake(peer, steps);
  if (place === undefined) throw new Error('the handshake failed');
  await server.up({ timeoutMs: 30_000 });
  return { server, peer, place };
}

/** A client of ours and a raw server that it is connected to. */
async function rawServer(
  t: Test,
  ofClient: Partial<MemifOptions> = {},
  peer = rawPeer(t),
): Promise<{ client: Memif; peer: RawPeer; offered: Offered; place: Place }> {
  const socket = freshSocket();
  await peer.do('listen', { socket: 'l', address: socket });
  const client = open(t, { socket, role: 'client', ringSize: 16, retryMinMs: 50, ...ofClient });
  await peer.do('accept', { socket: 's', from: 'l' });
  const offered = await serverHandshake(peer);
  await client.up({ timeoutMs: 30_000 });
  return { client, peer, offered, place: new Place(ofClient.ringSize ?? 16) };
}

/** What was held before, and no more: pipes to peers close in their own time. */
async function nothingLeft(before: ReturnType<typeof holdings>): Promise<void> {
  const listed = descriptors();
  await until('no descriptor and no mapping is left', () => {
    const now = holdings();
    return now.fds <= before.fds && now.maps <= before.maps;
  }).catch((error: unknown) => {
    throw new Error(`${JSON.stringify([before, holdings()])} ${listed.join(' ')}`, { cause: error });
  });
}

const hex = (bytes: Buffer): string => bytes.toString('hex').replace(/(00)+$/, '');

void t.test('what a client of ours says, message by message', options, async (t) => {
  const socket = freshSocket();
  const peer = rawPeer(t);
  await peer.do('listen', { socket: 'l', address: socket });
  const secret = 'abc';
  const common = { ringSize: 8, bufferSize: 128, name: 'eth7', appName: 'prog', secret };
  const client = open(t, { socket, role: 'client', id: 0x01020304, ...common });
  await peer.do('accept', { socket: 's', from: 'l' });
  const hello = message(Type.hello, [34, 2, 0x0200], [36, 2, 0x0200], [38, 2, 1], [40, 2, 0], [42, 2, 0], [44, 1, 14]);
  await peer.send(hello);
  const said: { message: Buffer; fds: readonly string[] }[] = [];
  for (let i = 0; i < 6; i++) {
    said.push(await peer.receiveWith());
    t.equal(said[i]!.message.length, 128);
    await peer.send(i < 5 ? message(Type.ack) : message(Type.connected, [2, 'their0']));
  }
  await client.up({ timeoutMs: 30_000 });
  t.equal(client.peer!.interfaceName, 'their0');
  // Ring bytes: 128 + 16 * 8 = 256. Buffers: 2 rings * 8 slots * 128.
  t.same(
    said.map((each) => [hex(each.message), each.fds.length]),
    [
      [`03000002040302010061626300${'00'.repeat(20)}70726f67`, 0], // INIT: version, id, mode 0, secret[24], name
      ['0400000000020000'.slice(0, 12), 1].map((x) => (typeof x === 'string' ? '040000000002' : x)) as [string, number],
      ['040001000008', 1],
      ['050001000000000000000000' + '03', 1], // S2M: flags 1, index 0, region 0, offset 0, log2 3
      ['0500000000000000' + '00010000' + '03', 1], // M2S behind it at 256
      [`0600${Buffer.from('eth7').toString('hex')}`, 0],
    ],
  );
});

void t.test('what a server of ours says', options, async (t) => {
  const socket = freshSocket();
  const server = open(t, { socket, role: 'server', appName: 'prog', name: 'eth9', queues: { rx: 3, tx: 5 } });
  const peer = rawPeer(t);
  await peer.do('connect', { socket: 's', address: socket });
  const hello = (await peer.receive())!;
  t.equal(hello.length, 128);
  // name[32], min and max version, highest region 255, highest M2S ring (our tx), highest S2M ring (our rx), log2 14
  t.equal(hex(hello), `020070726f67${'00'.repeat(28)}00020002ff00040002000e`);
  await peer.do('close', { socket: 's' });
  await sleep(10);
  await peer.do('connect', { socket: 's', address: socket });
  const place = await clientHandshake(peer);
  t.ok(place);
  t.same([server.peer!.name, server.peer!.interfaceName], ['raw', 'raw0']);
  t.equal(server.peer!.pid, peer.pid);
  await server.close();
  const farewell = (await peer.receive())!;
  t.equal(farewell.readUInt16LE(0), Type.disconnect);
  t.equal(textAt(farewell, 6, 96), 'interface deleted');
});

void t.test("a client's rings: head is ours, tail the server's, and what stands in the slots", options, async (t) => {
  const { client, peer, offered, place } = await rawServer(t, { ringSize: 4, bufferSize: 2048, rxMode: 'polling' });
  const rings = offered.regions[0]!.fd;
  const packets = offered.regions[1]!.fd;
  t.equal(offered.regions[0]!.size, 2 * (128 + 16 * 4));
  t.equal(offered.regions[1]!.size, 2 * 4 * 2048);
  const word = async (at: number): Promise<number> => (await peer.read(rings, at, 2)).readUInt16LE(0);
  t.equal((await peer.read(rings, place.ring(true), 4)).toString('hex'), '201fe303', 'cookie of S2M');
  t.equal((await peer.read(rings, place.ring(false), 4)).toString('hex'), '201fe303', 'cookie of M2S');
  t.equal(await word(place.head(true)), 0, 'nothing sent');
  t.equal(await word(place.head(false)), 4, 'all buffers posted');
  t.equal(await word(place.ring(false) + 4), 1, 'nobody listens: the server need not ring');
  const slot = (s2m: boolean, index: number) => peer.read(rings, place.slot(s2m, index), 16);
  // Region 1, 2048 bytes, the M2S buffers behind the four S2M ones.
  for (let i = 0; i < 4; i++) {
    t.same(await slot(false, i), descriptor(1, (4 + i) * 2048, 2048), `M2S slot ${i} is posted`);
  }

  // Sent: one packet of 60 bytes, then one of 5000 in three pieces.
  client.send([packet(1, 60), packet(2, 5000)]);
  t.equal(await word(place.head(true)), 4);
  t.same(await slot(true, 0), descriptor(1, 0, 60));
  t.same(await slot(true, 1), descriptor(1, 2048, 2048, 1));
  t.same(await slot(true, 2), descriptor(1, 4096, 2048, 1));
  t.same(await slot(true, 3), descriptor(1, 6144, 904, 0));
  t.same(await peer.read(packets, 0, 60), Buffer.from(packet(1, 60)));
  t.same(await peer.read(packets, 2048, 5000 - 904), Buffer.from(packet(2, 5000).subarray(0, 4096)));
  t.same(await peer.read(packets, 6144, 904), Buffer.from(packet(2, 5000).subarray(4096)));
  t.equal((await peer.do('wait', { fd: offered.rings[0]!.fd })).count, 2, 'a kick for each layout of buffers');
  t.equal(client.tx[0]!.free, 0);
  await peer.write(rings, place.tail(true), u16(4));
  t.equal(client.tx[0]!.free, 4);

  // Received: the server fills slots 0 and 1 as a chain; its word about region and offset does not count.
  const mine = Buffer.concat([u32(1 | (9 << 16), 2048, 0xfffffff0), u32(77)]);
  await peer.write(packets, 4 * 2048, packet(3, 2048));
  await peer.write(packets, 5 * 2048, packet(3, 2100).subarray(2048));
  await peer.write(rings, place.slot(false, 0), mine);
  await peer.write(rings, place.slot(false, 1) + 4, u32(52));
  await peer.write(rings, place.tail(false), u16(2));
  const burst = client.rx[0]!.peek();
  t.same([burst.count, burst.packets], [2, 1]);
  t.same(Buffer.from(burst.copy(0)), Buffer.from(packet(3, 2100)));
  t.equal(await word(place.head(false)), 4, 'peek moves nothing');
  client.rx[0]!.release(2);
  t.equal(await word(place.head(false)), 6, 'both buffers posted again');
  t.same(
    (await slot(false, 0)).subarray(0, 12),
    descriptor(1, 4 * 2048, 2048).subarray(0, 12),
    'all of it is ours again',
  );

  // Interrupts: unmasked while somebody listens.
  const waiting = client.readable({ timeoutMs: 30_000 }).catch(() => undefined);
  t.equal(await word(place.ring(false) + 4), 1, 'polling: masked all the time');
  await client.close();
  await waiting;
});

void t.test("a server's rings: tail is ours, head the client's, and what stands in the slots", options, async (t) => {
  const { server, peer, place } = await rawClient(t, {}, { size: 4 });
  const word = async (at: number): Promise<number> => (await peer.read('memory', at, 2)).readUInt16LE(0);
  t.equal(await word(place.ring(true) + 4), 1, 'nobody listens: masked');
  let seen = 0;
  server.listen((queue) => {
    const burst = queue.peek();
    seen += burst.packets;
    queue.release(burst.count);
  });
  t.equal(await word(place.ring(true) + 4), 0, 'somebody listens: unmasked');
  await peer.write('memory', place.slot(true, 0), descriptor(0, place.buffer(true, 0), 60));
  await peer.write('memory', place.head(true), u16(1));
  await peer.do('kick', { fd: 'e0' });
  await until('the packet is seen', () => seen === 1);
  t.equal(await word(place.tail(true)), 1);
  t.equal(server.statistics.rx[0]!.wakeups, 1);
  server.listen(undefined);
  t.equal(await word(place.ring(true) + 4), 1);

  // Nothing posted: the server cannot send. Then two buffers, of 100 bytes with 14 of headroom and of 2048.
  t.equal(server.tx[0]!.free, 0);
  const drained = once(server, 'drain');
  t.equal(server.send(packet(4, 130)), false);
  await peer.write('memory', place.slot(false, 0), descriptor(0, place.buffer(false, 0) + 14, 100, 1));
  await peer.write('memory', place.slot(false, 1), descriptor(0, place.buffer(false, 1), 2048, 1));
  await peer.write('memory', place.head(false), u16(2));
  await drained;
  t.equal(await word(place.tail(false)), 2);
  const slots = await peer.read('memory', place.slot(false, 0), 32);
  t.same(slots.subarray(0, 12), descriptor(0, place.buffer(false, 0) + 14, 100, 1).subarray(0, 12));
  t.same(slots.subarray(16, 28), descriptor(0, place.buffer(false, 1), 30, 0).subarray(0, 12), 'NEXT is cleared');
  t.same(await peer.read('memory', place.buffer(false, 0) + 14, 100), Buffer.from(packet(4, 130).subarray(0, 100)));
  t.same(await peer.read('memory', place.buffer(false, 1), 30), Buffer.from(packet(4, 130).subarray(100)));
  t.equal((await peer.do('wait', { fd: 'e1' })).count, 1, 'the client did not mask: it was woken');
  await peer.write('memory', place.ring(false) + 4, u16(1));
  await peer.write('memory', place.slot(false, 2), descriptor(0, place.buffer(false, 2), 2048));
  await peer.write('memory', place.head(false), u16(3));
  t.ok(server.send(packet(5, 60)));
  t.equal((await peer.do('wait', { fd: 'e1', ms: 30 })).count, 0, 'the client masked: it was not');
});

void t.test('a client that breaks the handshake is turned away, and others go on', options, async (t) => {
  const socket = freshSocket();
  const server = open(t, { socket, role: 'server', handshakeTimeoutMs: 2000, maxRegionBytes: 2 ** 30 });
  const bystander = open(t, { socket, role: 'server', id: 9 });
  const friend = open(t, { socket, role: 'client', id: 9 });
  await Promise.all([bystander.up(), friend.up()]);
  const raw = message;
  const region = (index: number, size: number) => raw(Type.addRegion, [2, 2, index], [4, 8, size]);
  const place = new Place(16);
  const ring =
    (fields: Partial<{ index: number; region: number; offset: number; log2: number; header: number }>) =>
    (s2m: boolean) =>
      raw(
        Type.addRing,
        [2, 2, s2m ? 1 : 0],
        [4, 2, fields.index ?? 0],
        [6, 2, fields.region ?? 0],
        [8, 4, fields.offset ?? place.ring(s2m)],
        [12, 1, fields.log2 ?? 4],
        [13, 2, fields.header ?? 0],
      );
  const steps: [string, ClientSteps, string, RegExp][] = [
    ['another version', { version: 0x0300 }, '', /incompatible version/],
    ['an id that is not there (row 19 and elsewhere)', { id: 4711 }, '', /unmatched interface id/],
    ['mode ip (20)', { mode: 1 }, 'MODE', /mode mismatch/],
    ['region 200 first (3)', { region: region(200, place.regionBytes) }, 'REGION', /next index is 0/],
    ['no descriptor with a region', { regionFds: [] }, 'PROTOCOL', /without a descriptor/],
    ['a region larger than its file (7)', { region: region(0, 2 ** 30) }, 'REGION', /the file has \d+ bytes of/],
    ['a region of no bytes', { region: region(0, 0) }, 'REGION', /size 0/],
    ['a region above the limit', { region: region(0, 2 ** 31) }, 'REGION', /size 2147483648/],
    ['a region that can shrink (8)', { seal: false }, 'REGION', /not sealed/],
    ['a pipe as a region', { regionFds: ['null'] }, 'REGION', /not shared memory/],
    [
      '21 descriptors with a region (17)',
      { regionFds: Array(21).fill('null') as string[] },
      'PROTOCOL',
      /21 descriptors/,
    ],
    ['a region that was never added (4)', { ring: ring({ region: 77 }) }, 'RING', /region 77 was not added/],
    ['a ring outside its region (5)', { ring: ring({ offset: 0xfffff000 }) }, 'RING', /does not fit/],
    ['a ring at an odd place', { ring: ring({ offset: 8 }) }, 'RING', /multiple of 16/],
    ['ring 3 first (14)', { ring: ring({ index: 3 }) }, 'RING', /next index is 0/],
    ['the same ring again (14)', { ring: () => ring({})(true) }, 'RING', /next index is 1/],
    ['2^31 entries (15)', { ring: ring({ log2: 31 }) }, 'RING', /2\^31/],
    ['one entry', { ring: ring({ log2: 0 }) }, 'RING', /2\^0/],
    ['a private header', { ring: ring({ header: 4 }) }, 'RING', /private header/],
    ['a file as an eventfd', { ringFds: () => ['null'] }, 'RING', /not an eventfd/],
    ['no eventfd', { ringFds: () => [] }, 'PROTOCOL', /without a descriptor/],
    ['overlapping rings', { ring: ring({ offset: 0 }) }, 'RING', /overlaps/],
    ['a wrong cookie (6)', { cookie: 0x03e31f21 }, 'RING', /wrong cookie/],
  ];
  const peer = rawPeer(t);
  await peer.do('null', { fd: 'null' });
  const before = holdings();
  const receive = peer.receive.bind(peer);
  for (const [what, step, reason, text] of steps) {
    const hears = reason === '' ? undefined : lost(server);
    await peer.do('connect', { socket: 's', address: socket });
    // Read what is left of the dialogue: the handshake may have met the DISCONNECT already.
    const words: string[] = [];
    peer.receive = async (name) => {
      const got = await receive(name);
      if (got?.readUInt16LE(0) === Type.disconnect) words.push(textAt(got, 6, 96));
      return got;
    };
    t.equal(await clientHandshake(peer, step), undefined, what);
    if (words.length === 0) await peer.farewell();
    t.match(words.join(), text, 'the client is told');
    if (hears !== undefined) t.match(await hears, { reason, message: text }, 'the server says so');
  }
  peer.receive = receive;

  const first: [string, Buffer, RegExp][] = [
    ['ADD_REGION first (1)', region(0, 4096), /not expected now/],
    ['HELLO first (1)', raw(Type.hello), /not expected now/],
    ['CONNECT first', raw(Type.connect), /not expected now/],
    ['message type 99', raw(99), /not expected now/],
    ['a message of 64 bytes (2)', Buffer.alloc(64), /64 bytes instead of 128/],
    ['a message of 129 bytes', Buffer.alloc(129), /129 bytes instead of 128/],
    ['a message of 4000 bytes', Buffer.alloc(4000), /instead of 128/],
  ];
  for (const [what, bytes, text] of first) {
    await peer.do('connect', { socket: 's', address: socket });
    await peer.receive();
    await peer.send(bytes);
    t.match(await peer.farewell(), text, what);
  }
  await peer.do('connect', { socket: 's', address: socket });
  await peer.send(raw(Type.disconnect));
  t.equal(await peer.farewell(), undefined, 'DISCONNECT first (1)');
  await peer.do('connect', { socket: 's', address: socket });
  for (let i = 0; i < 200; i++) await peer.send(raw(Type.ack), ['null']);
  t.match(await peer.farewell(), /1 descriptors came with ACK/, '200 ACKs with a descriptor each (16)');

  await peer.do('connect', { socket: 's', address: socket });
  await peer.receive();
  await peer.send(raw(Type.init, [2, 2, 0x0200]));
  const other = open(t, { socket, role: 'client' });
  await other.up({ timeoutMs: 30_000 });
  t.pass('a client that fell silent after INIT does not block the id (19)');
  t.match(await peer.farewell(), /within 2000 ms/);
  await other.destroy();
  await until('down', () => !server.isUp);

  for (let i = 0; i < 300; i++) await peer.do('connect', { socket: `idle${i}`, address: socket });
  await sleep(20);
  t.ok(holdings().fds < before.fds + 150, '300 idle connections hold a bounded number of descriptors (18)');
  const patient = open(t, { socket, role: 'client', retryMinMs: 20, retryMaxMs: 20 });
  await patient.up({ timeoutMs: 30_000 });
  t.pass('and a good client gets in');
  await patient.destroy();
  await until('down', () => !server.isUp);
  await nothingLeft(before);

  t.ok(bystander.isUp && friend.isUp);
  friend.send(packet(1, 60));
  t.same(await take(bystander, 1), [packet(1, 60)], 'the interface beside it carries packets');
});

void t.test('a server that breaks the handshake is left, and tried again', options, async (t) => {
  const socket = freshSocket();
  const peer = rawPeer(t);
  await peer.do('null', { fd: 'null' });
  await peer.do('listen', { socket: 'l', address: socket });
  const client = open(t, { socket, role: 'client', retryMinMs: 10, retryMaxMs: 10, handshakeTimeoutMs: 1500 });
  const hello = (fields: Record<number, number>): Buffer => {
    const all = { 34: 0x0200, 36: 0x0200, 38: 255, 40: 254, 42: 254, ...fields };
    const list = Object.entries(all).map(([at, value]): [number, 2, number] => [Number(at), 2, value]);
    return message(Type.hello, ...list.filter(([at]) => at !== 44), [44, 1, fields[44] ?? 14]);
  };
  const before = holdings();
  const attempt = async (what: string, reason: string, text: RegExp, act: () => Promise<unknown>): Promise<void> => {
    await peer.do('accept', { socket: 's', from: 'l' });
    const [why] = await Promise.all([lost(client), act()]);
    t.match(why, { reason, message: text }, what);
    await peer.do('close', { socket: 's' });
  };
  await attempt('another version', 'VERSION', /we speak 2.0/, () => peer.send(hello({ 34: 0x0300, 36: 0x0300 })));
  await attempt('an ACK instead of HELLO', 'PROTOCOL', /ACK is not expected/, () => peer.send(message(Type.ack)));
  await attempt('rings of one entry', 'RING', /one entry/, () => peer.send(hello({ 44: 0 })));
  await attempt('one region only', 'REGION', /two are needed/, () => peer.send(hello({ 38: 0 })));
  await attempt('64 bytes', 'PROTOCOL', /64 bytes/, () => peer.send(Buffer.alloc(64)));
  await attempt('a descriptor with HELLO', 'PROTOCOL', /1 descriptors/, () => peer.send(hello({}), ['null']));
  await attempt('silence', 'TIMEOUT', /within 1500 ms/, async () => undefined);
  await attempt('two ACKs for one', 'PROTOCOL', /HELLO is not expected/, async () => {
    await peer.send(hello({}));
    await peer.receive();
    await peer.send(hello({}));
  });
  await attempt('CONNECTED too early', 'PROTOCOL', /CONNECTED is not expected/, async () => {
    await serverHandshake(peer, { until: Type.addRing });
    await peer.send(message(Type.connected));
  });
  await attempt('no', 'PEER_REFUSED', /go away/, async () => {
    await serverHandshake(peer, { until: Type.init });
    await peer.send(message(Type.disconnect, [6, 'go away']));
  });
  await attempt('gone in the middle', 'PEER_CLOSED', /during the handshake/, async () => {
    await serverHandshake(peer, { until: Type.connect });
    await peer.do('close', { socket: 's' });
    await peer.do('listen', { socket: 's', address: freshSocket() });
  });
  await peer.do('accept', { socket: 's', from: 'l' });
  await serverHandshake(peer);
  await client.up({ timeoutMs: 30_000 });
  const down = lost(client);
  await peer.send(message(Type.ack));
  t.match(await down, { reason: 'PROTOCOL' }, 'a message after CONNECTED');
  await client.close();
  await peer.end();
  await nothingLeft(before);
});

void t.test(
  'rows 8 to 13: a client that breaks the rules in shared memory loses its connection',
  options,
  async (t) => {
    const beside = await loopback();
    t.teardown(() => beside.close());
    const publish = async (peer: RawPeer, place: Place, index: number): Promise<void> => {
      await peer.write('memory', place.head(true), u16(index));
      await peer.do('kick', { fd: 'e0' });
    };
    type Attack = (peer: RawPeer, place: Place) => Promise<unknown>;
    const attacks: [string, string, RegExp, Attack][] = [
      [
        'an offset outside the region (9)',
        'DESCRIPTOR',
        /60 bytes at 4294967280 of region 0/,
        async (peer, place) => {
          await peer.write('memory', place.slot(true, 0), descriptor(0, 0xfffffff0, 60));
          await publish(peer, place, 1);
        },
      ],
      [
        'a region that is not there (10)',
        'DESCRIPTOR',
        /region 5000; there are 1/,
        async (peer, place) => {
          await peer.write('memory', place.slot(true, 0), descriptor(5000, 0, 60));
          await publish(peer, place, 1);
        },
      ],
      [
        'a length beyond the end of the region (11)',
        'DESCRIPTOR',
        /60000 bytes at/,
        async (peer, place) => {
          await peer.write('memory', place.slot(true, 0), descriptor(0, place.regionBytes - 2048, 60000));
          await publish(peer, place, 1);
        },
      ],
      [
        'a length of 4 GiB (11)',
        'DESCRIPTOR',
        /4294967295 bytes/,
        async (peer, place) => {
          await peer.write('memory', place.slot(true, 0), descriptor(0, 0, 0xffffffff));
          await publish(peer, place, 1);
        },
      ],
      ['head 30000 ahead (12)', 'INDEX', /jumped to 30000/, (peer, place) => publish(peer, place, 30000)],
      ['head one too far (12)', 'INDEX', /17 ahead in a ring of 16/, (peer, place) => publish(peer, place, 17)],
      ['head backwards (12)', 'INDEX', /65535 ahead/, (peer, place) => publish(peer, place, 0xffff)],
      [
        'a chain without an end (13)',
        'DESCRIPTOR',
        /without an end/,
        async (peer, place) => {
          for (let i = 0; i < 16; i++) await peer.write('memory', place.slot(true, i), descriptor(0, 0, 60, 1));
          await publish(peer, place, 16);
        },
      ],
      [
        'a good packet, then a bad one',
        'DESCRIPTOR',
        /region 9/,
        async (peer, place) => {
          await peer.write('memory', place.slot(true, 0), descriptor(0, 4096, 60));
          await peer.write('memory', place.slot(true, 1), descriptor(9, 4096, 60));
          await publish(peer, place, 2);
        },
      ],
      [
        'more buffers posted than the ring has',
        'INDEX',
        /tx queue 0.*jumped to 300/,
        (peer, place) => peer.write('memory', place.head(false), u16(300)),
      ],
      [
        'a posted buffer outside the region (mirror of 9)',
        'DESCRIPTOR',
        /tx queue 0: a buffer was posted of 2048 bytes at 4294967280/,
        async (peer, place) => {
          await peer.write('memory', place.slot(false, 0), descriptor(0, 0xfffffff0, 2048));
          await peer.write('memory', place.head(false), u16(1));
        },
      ],
      [
        'a posted buffer in region 5000 (mirror of 10)',
        'DESCRIPTOR',
        /region 5000; there are 1/,
        async (peer, place) => {
          await peer.write('memory', place.slot(false, 0), descriptor(5000, 0, 2048));
          await peer.write('memory', place.head(false), u16(1));
        },
      ],
      [
        'a posted buffer of 4 GiB (mirror of 11)',
        'DESCRIPTOR',
        /4294967295 bytes/,
        async (peer, place) => {
          await peer.write('memory', place.slot(false, 0), descriptor(0, 0, 0xffffffff));
          await peer.write('memory', place.head(false), u16(1));
        },
      ],
      ['DISCONNECT', 'PEER_REFUSED', /bye/, (peer) => peer.send(message(Type.disconnect, [6, 'bye']))],
      [
        'ADD_REGION after CONNECT',
        'PROTOCOL',
        /not expected now/,
        (peer) => peer.send(message(Type.addRegion), ['e0']),
      ],
      ['end of file', 'PEER_CLOSED', /closed the connection/, (peer) => peer.do('close', { socket: 's' })],
      ['SIGKILL', 'PEER_CLOSED', /closed the connection/, (peer) => peer.end('SIGKILL')],
    ];
    const before = holdings();
    for (const rxMode of ['interrupt', 'adaptive'] as const) {
      for (const [what, reason, text, attack] of attacks) {
        const { server, peer, place } = await rawClient(t, { rxMode });
        server.listen((queue) => queue.release(queue.peek().count));
        server.send(packet(0, 60)); // waits for a posted buffer
        const down = lost(server);
        await attack(peer, place);
        const why = await down;
        t.match(why, { code: `ERR_MEMIF_${reason}`, message: text }, `${rxMode}: ${what}`);
        t.notOk(server.isUp);
        t.equal(server.rx[0]!.size, 0);
        if (!['PEER_CLOSED', 'PEER_REFUSED'].includes(reason)) {
          t.match(await peer.farewell(), text, 'and is told so, as far as the text fits');
        }
        await Promise.all([server.destroy(), peer.end()]);
      }
    }
    await nothingLeft(before);
    beside.client.send(packet(7, 61));
    t.same(await take(beside.server, 1), [packet(7, 61)], 'another interface did not notice');
  },
);

void t.test('row 8: memory that is truncated ends the connection, not the process', options, async (t) => {
  for (const traffic of [true, false]) {
    const { server, peer, place } = await rawClient(t, { allowUnsealed: true }, { seal: false });
    const down = lost(server);
    server.listen((queue) => queue.release(queue.peek().count));
    await peer.write('memory', place.slot(true, 0), descriptor(0, 4096, 60));
    if (traffic) {
      await peer.write('memory', place.head(true), u16(1));
      await peer.do('kick', { fd: 'e0' });
      await until('a packet', () => server.statistics.rx[0]!.packets === 1);
    }
    await peer.do('truncate', { fd: 'memory', size: 0 });
    await peer.do('kick', { fd: 'e0' });
    t.match(await down, { code: 'ERR_MEMIF_REGION', message: /truncated/ }, traffic ? 'after a packet' : 'before any');
    await Promise.all([server.destroy(), peer.end()]);
  }
});

void t.test(
  'half a chain waits without keeping anybody busy, and is a packet once its end is there',
  options,
  async (t) => {
    for (const rxMode of ['interrupt', 'adaptive'] as const) {
      const { server, peer, place } = await rawClient(t, { rxMode });
      const coming = take(server, 1);
      for (let i = 0; i < 3; i++) {
        await peer.write('memory', place.slot(true, i), descriptor(0, place.buffer(true, i), 100, i < 2 ? 1 : 0));
        await peer.write('memory', place.buffer(true, i), packet(5, 300).subarray(i * 100, i * 100 + 100));
      }
      await peer.write('memory', place.head(true), u16(2));
      await peer.do('kick', { fd: 'e0' });
      const ms = await idleCost();
      t.ok(ms < 80, `${ms} ms of 200`);
      t.equal(server.rx[0]!.peek().count, 0);
      t.equal(server.rx[0]!.pending, 2);
      await peer.write('memory', place.head(true), u16(3));
      await peer.do('kick', { fd: 'e0' });
      t.same(await coming, [packet(5, 300)]);
      await Promise.all([server.destroy(), peer.end()]);
    }
  },
);

void t.test('a server that breaks the rules in shared memory loses its client', options, async (t) => {
  type Attack = (peer: RawPeer, offered: Offered, place: Place) => Promise<unknown>;
  const rings = (offered: Offered): string => offered.regions[0]!.fd;
  const publish = async (peer: RawPeer, offered: Offered, place: Place, index: number): Promise<void> => {
    await peer.write(rings(offered), place.tail(false), u16(index));
    await peer.do('kick', { fd: offered.rings[1]!.fd });
  };
  const attacks: [string, string, RegExp, Attack][] = [
    [
      'more bytes than the buffer has (mirror of 11)',
      'DESCRIPTOR',
      /2049 bytes were put in a buffer of 2048/,
      async (peer, offered, place) => {
        await peer.write(rings(offered), place.slot(false, 0) + 4, u32(2049));
        await publish(peer, offered, place, 1);
      },
    ],
    [
      'a length of 4 GiB (mirror of 11)',
      'DESCRIPTOR',
      /4294967295 bytes/,
      async (peer, offered, place) => {
        await peer.write(rings(offered), place.slot(false, 0) + 4, u32(0xffffffff));
        await publish(peer, offered, place, 1);
      },
    ],
    ['tail 17 ahead (mirror of 12)', 'INDEX', /17 ahead/, (...args) => publish(...args, 17)],
    ['tail backwards (mirror of 12)', 'INDEX', /65535 ahead/, (...args) => publish(...args, 0xffff)],
    [
      'a chain without an end (mirror of 13)',
      'DESCRIPTOR',
      /without an end/,
      async (peer, offered, place) => {
        for (let i = 0; i < 16; i++) await peer.write(rings(offered), place.slot(false, i), descriptor(1, 0, 60, 1));
        await publish(peer, offered, place, 16);
      },
    ],
    [
      'more slots given back than were sent',
      'INDEX',
      /tx queue 0/,
      (peer, offered, place) => peer.write(rings(offered), place.tail(true), u16(500)),
    ],
    ['SIGKILL', 'PEER_CLOSED', /closed the connection/, (peer) => peer.end('SIGKILL')],
  ];
  const before = holdings();
  const one = rawPeer(t);
  for (const [what, reason, text, attack] of attacks) {
    const { client, peer, offered, place } = await rawServer(t, {}, one);
    client.listen((queue) => queue.release(queue.peek().count));
    const down = lost(client);
    await attack(peer, offered, place);
    if (client.isUp) client.send(packet(0, 60));
    t.match(await down, { code: `ERR_MEMIF_${reason}`, message: text }, what);
    await client.destroy();
  }
  // Region and offset of a descriptor are the client's own knowledge: what the server writes there does not count.
  const { client, peer, offered, place } = await rawServer(t);
  await peer.write(offered.regions[1]!.fd, 16 * 2048, packet(3, 60));
  await peer.write(rings(offered), place.slot(false, 0), descriptor(5000, 0xfffffff0, 60));
  await publish(peer, offered, place, 1);
  t.same(await take(client, 1), [packet(3, 60)], 'mirror of 9 and 10: ignored');
  await Promise.all([client.destroy(), peer.end()]);
  await nothingLeft(before);
});

void t.test('a server that ends every connection does not keep its client busy', options, async (t) => {
  const socket = freshSocket();
  const server = open(t, { socket, role: 'server' });
  server.on('up', () => server.accuse('INDEX', 'a test'));
  const client = open(t, { socket, role: 'client', retryMinMs: 40, retryMaxMs: 80 });
  const began = performance.now();
  await until('it has come back three times', () => client.statistics.ups >= 4);
  const took = performance.now() - began;
  t.ok(took > 40 + 80 + 80 - 10, `three pauses of 40, 80 and 80 ms took ${took.toFixed(1)} ms`);
});

void t.test(
  'a bridge notices a peer that breaks the rules: that one is sent away, the other stays',
  options,
  async (t) => {
    const beside = await loopback();
    t.teardown(() => beside.close());
    const attacks: [string, (peer: RawPeer, place: Place) => Promise<unknown>][] = [
      ['INDEX', (peer, place) => peer.write('memory', place.head(true), u16(30000))],
      [
        'DESCRIPTOR',
        async (peer, place) => {
          await peer.write('memory', place.slot(true, 0), descriptor(7, 0, 60));
          await peer.write('memory', place.head(true), u16(1));
        },
      ],
      [
        'DESCRIPTOR',
        async (peer, place) => {
          for (let i = 0; i < 16; i++) await peer.write('memory', place.slot(true, i), descriptor(0, 0, 60, 1));
          await peer.write('memory', place.head(true), u16(16));
        },
      ],
    ];
    for (const [reason, attack] of attacks) {
      const { server, peer, place } = await rawClient(t);
      const wire = bridge(server, beside.server);
      t.ok(wire.running);
      const down = lost(server);
      await attack(peer, place);
      await peer.do('kick', { fd: 'e0' });
      t.match(await down, { reason });
      t.notOk(wire.running);
      t.ok(beside.server.isUp);
      wire.close();
      beside.client.send(packet(1, 60));
      t.same(await take(beside.server, 1), [packet(1, 60)], 'the other side has its queues back');
      await Promise.all([server.destroy(), peer.end()]);
    }
  },
);
