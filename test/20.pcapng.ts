// Chapter 20, captures: pcapng written and read, block by block, and what Wireshark's programs say about it.

import t from 'tap';
import fc from 'fast-check';
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import {
  type InterfaceCounters,
  LinkType,
  type PacketRecord,
  PcapngReader,
  type PcapngReaderOptions,
  type PcapngRecord,
  PcapngWriter,
  TcpFlag,
  arpRequestFrame,
  icmpEchoFrame,
  neighborAdvertisementFrame,
  neighborFrame,
  neighborSolicitationFrame,
  readPcapng,
  tcpFrame,
  udpFrame,
} from 'node-vpp/net';

// Without this, fast-check rarely makes an array of more than ten elements, whatever its maxLength.
fc.configureGlobal({ baseSize: 'large' });

const bytesOf = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex.replace(/\s+/g, ''), 'hex'));
const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const join4 = (hex: string): string => hex.replace(/\s+/g, '');

/** All records of a file that is there at once. */
function recordsOf(file: Uint8Array, options?: PcapngReaderOptions): PcapngRecord[] {
  const reader = new PcapngReader(options);
  const records = reader.push(file);
  reader.end();
  return records;
}

const link = { sourceMac: '02:fe:00:00:00:01', destinationMac: '02:fe:00:00:00:02' };
const overFour = { ...link, source: '10.0.0.1', destination: '10.0.0.2' };
const overSix = { ...link, source: '2001:db8::1', destination: '2001:db8::2' };
const time = 1_700_000_000_123_456_789n;

void t.test('the writer gives the bytes of one block per call', async (t) => {
  const little = new PcapngWriter();
  t.equal(
    hexOf(little.section()),
    join4('0a0d0d0a 1c000000 4d3c2b1a 0100 0000 ffffffffffffffff 1c000000'),
    'a section header of unknown length',
  );
  t.equal(
    hexOf(little.interface({ linkType: LinkType.RAW, snapLength: 4, name: 'a' })),
    join4('01000000 28000000 6500 0000 04000000  0200 0100 61000000  0900 0100 09000000  0000 0000 28000000'),
    'an interface: name, nanoseconds, end of options',
  );
  t.equal(
    hexOf(
      little.packet({
        interfaceId: 0,
        timestampNs: 0x1_0000_0002n,
        bytes: bytesOf('ff4501020304'),
        offset: 1,
        length: 5,
        originalLength: 9,
      }),
    ),
    join4('06000000 24000000 00000000 01000000 02000000 04000000 09000000 45010203 24000000'),
    'a packet, cut to the snap length',
  );
  t.equal(hexOf(little.simplePacket(bytesOf('45010203'))), join4('03000000 14000000 04000000 45010203 14000000'));
  const big = new PcapngWriter({ byteOrder: 'big' });
  t.equal(
    hexOf(big.section({ os: 'L' })),
    join4('0a0d0d0a 00000028 1a2b3c4d 0001 0000 ffffffffffffffff 0003 0001 4c000000 00000000 00000028'),
  );
  t.equal(big.interfaceCount, 0);
  big.interface({ linkType: LinkType.ETHERNET });
  t.equal(big.interfaceCount, 1);
  t.equal(
    hexOf(big.packet({ interfaceId: 0, timestampNs: 3n, bytes: bytesOf('01'), direction: 'outbound', dropCount: 5n })),
    join4(
      '00000006 0000003c 00000000 00000000 00000003 00000001 00000001 01000000 0002 0004 00000002 0004 0008 0000000000000005 00000000 0000003c',
    ),
  );
});

void t.test('the writer refuses what has no place in a file', async (t) => {
  const writer = new PcapngWriter();
  const range = { code: 'ERR_VPP_ARGUMENT_RANGE' };
  t.throws(() => writer.interface({ linkType: 1 }), { ...range, message: /no section has begun; call section\(\)/ });
  writer.section();
  const packet = { interfaceId: 0, timestampNs: 0n, bytes: new Uint8Array(4) };
  t.throws(() => writer.packet(packet), { ...range, message: /this section describes 0/ });
  writer.interface({ linkType: 1, snapLength: 2 });
  t.throws(() => writer.packet({ ...packet, timestampNs: -1n }), range);
  t.throws(() => writer.packet({ ...packet, offset: 2, length: 3 }), range);
  t.throws(() => writer.packet({ ...packet, dropCount: 1n << 64n }), range);
  t.throws(() => writer.packet({ ...packet, comment: 'x'.repeat(65_536) }), range);
  t.throws(() => writer.simplePacket(new Uint8Array(1), 9), { ...range, message: /write an enhanced packet/ });
  t.throws(() => writer.statistics(1, { timestampNs: 0n }), range);
  t.throws(() => writer.interface({ linkType: 1, mac: 'x' }), { code: 'ERR_NET_MAC' });
});

void t.test('the reader gives back what was written', async (t) => {
  for (const byteOrder of ['little', 'big'] as const) {
    const writer = new PcapngWriter({ byteOrder });
    const counters: InterfaceCounters = {
      timestampNs: time,
      startTimeNs: 1n,
      endTimeNs: time,
      received: 3n,
      dropped: 1n,
      accepted: 2n,
      droppedByOs: 4n,
      delivered: (1n << 64n) - 1n,
      comment: 'at the end',
    };
    const section = { hardware: 'a box', os: 'Linux', application: 'node-vpp', comment: 'größe' };
    const device = {
      linkType: LinkType.ETHERNET,
      snapLength: 9000,
      name: 'memif0/0',
      description: 'to the router',
      mac: '02:fe:00:00:00:01',
      speed: 10_000_000_000n,
      comment: 'c',
    };
    const packet = {
      interfaceId: 0,
      timestampNs: time,
      bytes: bytesOf('0102030405'),
      originalLength: 70,
      direction: 'inbound',
      dropCount: 7n,
      comment: 'look here',
    } as const;
    const file = Buffer.concat([
      writer.section(section),
      writer.interface(device),
      writer.packet(packet),
      writer.simplePacket(bytesOf('090807')),
      writer.statistics(0, counters),
      writer.section(),
      writer.interface({ linkType: LinkType.RAW }),
      writer.packet({ interfaceId: 0, timestampNs: 0n, bytes: bytesOf('45') }),
    ]);
    const bare = { type: 'interface', id: 0, nanosecondsPerTick: [1_000_000_000n, 1_000_000_000n] } as const;
    t.strictSame(
      recordsOf(file),
      [
        { type: 'section', byteOrder, version: [1, 0], ...section },
        { ...bare, ...device },
        { type: 'packet', linkType: LinkType.ETHERNET, ...packet },
        { type: 'packet', interfaceId: 0, linkType: LinkType.ETHERNET, bytes: bytesOf('090807'), originalLength: 3 },
        { type: 'statistics', interfaceId: 0, ...counters },
        { type: 'section', byteOrder, version: [1, 0] },
        { ...bare, linkType: LinkType.RAW, snapLength: 0 },
        {
          type: 'packet',
          interfaceId: 0,
          linkType: LinkType.RAW,
          timestampNs: 0n,
          bytes: bytesOf('45'),
          originalLength: 1,
        },
      ],
      `${byteOrder} endian, two sections`,
    );
  }
});

void t.test('the reader understands what other writers do', async (t) => {
  const begin = '0a0d0d0a 1c000000 4d3c2b1a 0100 0200 ffffffffffffffff 1c000000';
  const packetAt = (file: string): PacketRecord => recordsOf(bytesOf(file)).find((record) => record.type === 'packet')!;
  const packet = '06000000 24000000 00000000 00000000 0a000000 01000000 01000000 45000000 24000000';
  t.equal(
    packetAt(`${begin} 01000000 14000000 0100 0000 00000000 14000000 ${packet}`).timestampNs,
    10_000n,
    'microseconds when nothing is said',
  );
  const withOption = (option: string): string =>
    `${begin} 01000000 1c000000 0100 0000 00000000 ${option} 1c000000 ${packet}`;
  t.equal(packetAt(withOption('0900 0100 00000000')).timestampNs, 10_000_000_000n, 'seconds');
  t.equal(packetAt(withOption('0900 0100 8a000000')).timestampNs, 9_765_625n, '1024ths of a second');
  t.equal(packetAt(withOption('0900 0100 0c000000')).timestampNs, 0n, 'picoseconds are rounded down');
  const shifted = `${begin} 01000000 20000000 0100 0000 00000000 0e00 0800 ffffffffffffffff 20000000 ${packet}`;
  t.equal(packetAt(shifted).timestampNs, -999_990_000n, 'an offset of -1 second');
  const old = '02000000 24000000 0000 0300 00000000 0a000000 01000000 01000000 45000000 24000000';
  t.match(
    packetAt(`${begin} 01000000 14000000 0100 0000 00000000 14000000 ${old}`),
    { dropCount: 3n, timestampNs: 10_000n, interfaceId: 0 },
    'the obsolete packet block',
  );
  const unknown = '0b000000 10000000 deadbeef 10000000';
  const reader = new PcapngReader();
  t.equal(
    reader.push(bytesOf(`${begin} ${unknown} ad0b0000 0c000000 0c000000`)).length,
    1,
    'unknown blocks are stepped over',
  );
  t.equal(reader.skippedBlocks, 2);
  const mixed = `${begin} 0a0d0d0a 0000001c 1a2b3c4d 0001 0000 ffffffffffffffff 0000001c ${begin}`;
  t.strictSame(
    recordsOf(bytesOf(mixed)).map((record) => record.type === 'section' && record.byteOrder),
    ['little', 'big', 'little'],
    'each section has its own byte order',
  );
});

void t.test('what breaks the format is refused with the offset and what was seen', async (t) => {
  const begin = '0a0d0d0a 1c000000 4d3c2b1a 0100 0000 ffffffffffffffff 1c000000';
  const device = '01000000 14000000 0100 0000 00000000 14000000';
  for (const [name, file, message] of [
    [
      'a pcap file',
      'd4c3b2a1 02000400 00000000 00000000',
      /at offset 0: block type 0xa1b2c3d4 where a section header .* is this pcapng\?/,
    ],
    [
      'a strange magic',
      '0a0d0d0a 1c000000 11223344 0100 0000 ffffffffffffffff 1c000000',
      /at offset 8: byte-order magic 0x11223344/,
    ],
    ['version 2', '0a0d0d0a 1c000000 4d3c2b1a 0200 0000 ffffffffffffffff 1c000000', /at offset 12: version 2\.0/],
    ['a length of 0', `${begin} 01000000 00000000 00000000`, /at offset 28: block length 0/],
    ['a length of 13', `${begin} 01000000 0d000000 00000000`, /at offset 28: block length 13/],
    [
      'a length of 2 GB',
      `${begin} 01000000 00000080 00000000`,
      /at offset 28: block length 2147483648, more than the 16777216 allowed/,
    ],
    [
      'two lengths',
      `${begin} 01000000 14000000 0100 0000 00000000 18000000`,
      /at offset 44: block length 20 in front, 24 behind/,
    ],
    [
      'a short interface',
      `${begin} 01000000 10000000 0100 0000 10000000`,
      /at offset 28: a block of type 1 with 16 bytes, 20 are needed/,
    ],
    [
      'a short packet',
      `${begin} ${device} 06000000 10000000 00000000 10000000`,
      /at offset 48: a block of type 6 with 16 bytes, 32 are needed/,
    ],
    [
      'an unknown interface',
      `${begin} ${device} 06000000 20000000 01000000 00000000 00000000 00000000 00000000 20000000`,
      /interface 1, of 1 described/,
    ],
    [
      'too large a packet',
      `${begin} ${device} 06000000 20000000 00000000 00000000 00000000 01000000 01000000 20000000`,
      /at offset 68: 1 bytes of packet in a block of 32/,
    ],
    [
      'too large a simple packet',
      `${begin} ${device} 03000000 10000000 01000000 10000000`,
      /at offset 56: 1 bytes of packet in a block of 16/,
    ],
    [
      'a simple packet without interface',
      `${begin} 03000000 10000000 00000000 10000000`,
      /interface 0, of 0 described/,
    ],
    [
      'too long an option',
      `${begin} 01000000 18000000 0100 0000 00000000 0200 0100 18000000`,
      /at offset 44: option 2 of 1 bytes, 0 are left/,
    ],
    [
      'an option of wrong length',
      `${begin} 01000000 1c000000 0100 0000 00000000 0900 0200 09000000 1c000000`,
      /option 9 of 2 bytes instead of 1/,
    ],
    ['half a block', `${begin} 01000000 14000000`, /at offset 28: the stream ends after 8 bytes of a block/],
    ['nothing', '', /at offset 0: the stream is empty/],
  ] as const) {
    t.throws(() => recordsOf(bytesOf(file)), { code: 'ERR_NET_PCAPNG', name: 'NetError', message }, name);
  }
  const reader = new PcapngReader();
  t.throws(() => reader.push(new Uint8Array(12)), { code: 'ERR_NET_PCAPNG' });
  t.throws(() => reader.push(bytesOf(begin)), { message: /already refused/ }, 'after that the reader is done');
  t.throws(() => recordsOf(bytesOf(begin + device), { maxInterfaces: 0 }), { message: /more than the 0 interfaces/ });
  t.throws(() => recordsOf(bytesOf(begin), { maxBlockBytes: 24 }), { message: /more than the 24 allowed/ });
  await t.rejects(
    async () => {
      for await (const _ of readPcapng([bytesOf(begin), bytesOf('01')]));
    },
    { message: /ends after 1 bytes/ },
  );
});

void t.test('chunks of any size give the same records, and only NetErrors come out', async (t) => {
  const record = <Shape extends object>(shape: {
    [name in keyof Shape]: fc.Arbitrary<Shape[name]>;
  }): fc.Arbitrary<Shape> => fc.record(shape, { noNullPrototype: true }) as fc.Arbitrary<Shape>;
  const packets = fc.array(
    record({
      interfaceId: fc.nat(1),
      timestampNs: fc.bigInt(0n, (1n << 64n) - 1n),
      bytes: fc.uint8Array({ maxLength: 300 }),
      originalLength: fc.nat(0xffff_ffff),
      direction: fc.constantFrom('inbound' as const, 'outbound' as const),
      dropCount: fc.bigInt(0n, (1n << 64n) - 1n),
      // A final zero is C's, not text.
      comment: fc.string({ unit: 'grapheme', maxLength: 20 }).filter((text) => !text.includes('\0')),
    }),
    { maxLength: 12 },
  );
  const fileOf = (byteOrder: 'little' | 'big', list: readonly Parameters<PcapngWriter['packet']>[0][]): Uint8Array => {
    const writer = new PcapngWriter({ byteOrder });
    return Buffer.concat([
      writer.section({ os: 'Linux' }),
      writer.interface({ linkType: LinkType.ETHERNET }),
      writer.interface({ linkType: LinkType.RAW }),
      ...list.map((packet) => writer.packet(packet)),
    ]);
  };
  const order = fc.constantFrom('little' as const, 'big' as const);
  await fc.assert(
    fc.asyncProperty(
      packets,
      order,
      fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1, maxLength: 30 }),
      async (list, byteOrder, cuts) => {
        const file = fileOf(byteOrder, list);
        const seen: PcapngRecord[] = [];
        const chunk = new Uint8Array(200);
        async function* chunks(): AsyncGenerator<Uint8Array> {
          for (let at = 0, i = 0; at < file.length; i += 1) {
            const length = Math.min(cuts[i % cuts.length]!, file.length - at);
            // One buffer, used again and again: the reader must not keep it.
            chunk.fill(0).set(file.subarray(at, at + length));
            yield chunk.subarray(0, length);
            at += length;
          }
        }
        for await (const each of readPcapng(chunks())) seen.push(each);
        const expected = list.map((packet) => ({
          type: 'packet',
          linkType: packet.interfaceId === 0 ? 1 : 101,
          ...packet,
        }));
        return isDeepStrictEqual(seen.slice(3), expected) && isDeepStrictEqual(seen, recordsOf(file));
      },
    ),
    { numRuns: 200 },
  );
  t.pass('200 files cut at random');

  const refusedProperly = (file: Uint8Array, cut: number): boolean => {
    const reader = new PcapngReader({ maxBlockBytes: 100_000 });
    try {
      reader.push(file.subarray(0, cut));
      reader.push(file.subarray(cut));
      reader.end();
    } catch (error) {
      return error instanceof Error && 'code' in error && error.code === 'ERR_NET_PCAPNG';
    }
    return true;
  };
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(200), refusedProperly));
  fc.assert(
    fc.property(
      packets,
      order,
      fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 8 }),
      fc.nat(),
      (list, byteOrder, edits, cut) => {
        const file = fileOf(byteOrder, list);
        for (const [at, value] of edits) file[at % file.length] = value;
        return refusedProperly(file, cut % file.length);
      },
    ),
    { numRuns: 1000 },
  );
  t.pass('1000 broken files');
});

void t.test('memory stays bounded by a block and a chunk', async (t) => {
  const writer = new PcapngWriter();
  const reader = new PcapngReader();
  reader.push(writer.section());
  reader.push(writer.interface({ linkType: 1 }));
  const block = writer.packet({ interfaceId: 0, timestampNs: 0n, bytes: new Uint8Array(1500) });
  let packets = 0;
  const before = process.memoryUsage().arrayBuffers;
  let most = 0;
  for (let i = 0; i < 40_000; i += 1) {
    packets += reader.push(block.subarray(0, 700)).length + reader.push(block.subarray(700)).length;
    if (i % 1000 === 0) most = Math.max(most, process.memoryUsage().arrayBuffers - before);
  }
  t.equal(packets, 40_000);
  t.ok(most < 48e6, `60 MB were read with at most ${most} bytes of buffers, garbage included`);
});

/** Runs a program of Wireshark's; `undefined` when it is not installed. */
function run(program: string, args: readonly string[]): string | undefined {
  const result = spawnSync(program, args, { encoding: 'utf8', env: { ...process.env, LC_ALL: 'C', TZ: 'UTC' } });
  if (result.error !== undefined) return undefined;
  if (result.status !== 0)
    throw new Error(`${program} ${args.join(' ')} ended with ${result.status}: ${result.stderr}`);
  return result.stdout;
}
const has = (program: string): boolean => run(program, ['--version']) !== undefined;

/** A file with one of each kind of frame; gives the number of packets. */
function writeSample(path: string, byteOrder: 'little' | 'big'): number {
  const writer = new PcapngWriter({ byteOrder });
  const frames = [
    arpRequestFrame({ senderMac: link.sourceMac, senderIp: '10.0.0.1', targetIp: '10.0.0.2' }),
    icmpEchoFrame({ ...overFour, identifier: 1, sequence: 2, payload: new Uint8Array(56).fill(7) }),
    icmpEchoFrame({ ...overSix, identifier: 3, sequence: 4, payload: new Uint8Array(33).fill(7), vlanId: 100 }),
    udpFrame({ ...overFour, sourcePort: 5000, destinationPort: 5001, payload: new Uint8Array(1001).fill(9) }),
    udpFrame({ ...overSix, sourcePort: 5000, destinationPort: 5001, payload: new Uint8Array(8).fill(9) }),
    tcpFrame({
      ...overFour,
      sourcePort: 40000,
      destinationPort: 4430,
      sequence: 1,
      flags: TcpFlag.SYN,
      options: [
        { type: 'mss', bytes: 1460 },
        { type: 'windowScale', shift: 7 },
      ],
    }),
    tcpFrame({
      ...overSix,
      sourcePort: 40000,
      destinationPort: 4430,
      sequence: 1,
      acknowledgment: 2,
      flags: TcpFlag.ACK,
      payload: new Uint8Array(77),
    }),
    neighborSolicitationFrame({ sourceMac: link.sourceMac, source: 'fe80::1', target: 'fe80::2' }),
    neighborAdvertisementFrame({ ...link, source: 'fe80::2', destination: 'fe80::1' }),
    neighborFrame(
      { ...link, source: 'fe80::1', destination: 'ff02::1' },
      {
        type: 134,
        hopLimit: 64,
        managed: false,
        otherConfig: true,
        routerLifetime: 1800,
        reachableTimeMs: 0,
        retransmitTimerMs: 0,
        options: [
          {
            type: 'prefix',
            prefix: '2001:db8::',
            length: 64,
            onLink: true,
            autonomous: true,
            validLifetime: 100,
            preferredLifetime: 50,
          },
          { type: 'mtu', mtu: 1400 },
          { type: 'dnsServers', lifetime: 60, servers: ['2001:db8::53'] },
        ],
      },
    ),
  ];
  writeFileSync(
    path,
    Buffer.concat([
      writer.section({ hardware: 'a box', os: 'Linux', application: 'node-vpp', comment: 'sample' }),
      writer.interface({ name: 'memif0/0', linkType: LinkType.ETHERNET, snapLength: 2000 }),
      writer.interface({ name: 'tun0', linkType: LinkType.RAW, snapLength: 2000 }),
      ...frames.map((bytes, i) =>
        writer.packet({
          interfaceId: 0,
          timestampNs: time + BigInt(i),
          bytes,
          direction: i % 2 === 0 ? 'inbound' : 'outbound',
          dropCount: 2n,
          ...(i === 0 ? { comment: 'the first' } : {}),
        }),
      ),
      writer.packet({ interfaceId: 1, timestampNs: time + 100n, bytes: frames[1]!.subarray(14) }),
      writer.statistics(0, { timestampNs: time + 200n, received: 10n, dropped: 3n }),
    ]),
  );
  return frames.length + 1;
}

void t.test(
  'tshark reads the file as it was meant',
  { skip: has('tshark') ? false : 'tshark is not installed' },
  async (t) => {
    for (const byteOrder of ['little', 'big'] as const) {
      const path = join(t.testdir(), `${byteOrder}.pcapng`);
      const count = writeSample(path, byteOrder);
      const checks = ['ip.check_checksum', 'udp.check_checksum', 'tcp.check_checksum'].flatMap((name) => [
        '-o',
        `${name}:TRUE`,
      ]);
      const fields = [
        'frame.time_epoch',
        'frame.interface_name',
        'frame.packet_flags_direction',
        'frame.len',
        '_ws.col.Protocol',
        '_ws.expert.message',
      ];
      const lines = run('tshark', [
        '-n',
        '-r',
        path,
        ...checks,
        '-T',
        'fields',
        ...fields.flatMap((field) => ['-e', field]),
      ])!
        .trimEnd()
        .split('\n')
        .map((line) => line.split('\t'));
      t.equal(lines.length, count);
      t.strictSame(
        lines[0]!.slice(0, 4),
        ['1700000000.123456789', 'memif0/0', '0x00000001', '42'],
        'nanoseconds, interface, direction',
      );
      t.strictSame(
        lines.map((line) => line[4]),
        ['ARP', 'ICMP', 'ICMPv6', 'UDP', 'UDP', 'TCP', 'TCP', 'ICMPv6', 'ICMPv6', 'ICMPv6', 'ICMP'],
      );
      t.equal(lines.at(-1)![1], 'tun0');
      t.strictSame(
        lines.filter((line) => /malformed|incorrect|bad|truncated/i.test(line[5] ?? '')),
        [],
        'nothing is malformed',
      );
      const status = ['ip', 'icmp', 'icmpv6', 'udp', 'tcp'].map((name) => `${name}.checksum.status`);
      const sums = run('tshark', [
        '-n',
        '-r',
        path,
        ...checks,
        '-T',
        'fields',
        ...status.flatMap((field) => ['-e', field]),
      ])!
        .trimEnd()
        .split('\n');
      t.equal(sums.length, count);
      const all = sums
        .join('\t')
        .split('\t')
        .filter((value) => value !== '');
      t.strictSame([all.length, new Set(all)], [14, new Set(['1'])], 'every checksum is good');
      const verbose = run('tshark', ['-n', '-r', path, '-V', '-c', '10'])!;
      t.match(verbose, /the first/, 'the comment');
      t.match(verbose, /Maximum segment size: 1460 bytes/, 'the TCP options');
      t.match(verbose, /Prefix: 2001:db8::/, 'the options of the router advertisement');
      t.match(verbose, /Recursive DNS Servers: 2001:db8::53/);
    }
  },
);

void t.test(
  'capinfos counts what was written',
  { skip: has('capinfos') ? false : 'capinfos is not installed' },
  async (t) => {
    const path = join(t.testdir(), 'sample.pcapng');
    const count = writeSample(path, 'little');
    const text = run('capinfos', ['-M', path])!;
    for (const line of [
      /File type: .*pcapng/,
      new RegExp(`Number of packets: +${count}\\b`),
      /Capture hardware: +a box/,
      /Capture oper-sys: +Linux/,
      /Capture application: +node-vpp/,
      /Capture comment: +sample/,
      /Number of interfaces in file: 2/,
      /Name = memif0\/0/,
      /Time precision = nanoseconds \(9\)/,
      /Capture length = 2000/,
      /Number of stat entries = 1/,
    ]) {
      t.match(text, line);
    }
  },
);

void t.test('what editcap writes is read', { skip: has('editcap') ? false : 'editcap is not installed' }, async (t) => {
  const folder = t.testdir();
  const mine = join(folder, 'mine.pcapng');
  const theirs = join(folder, 'theirs.pcapng');
  writeSample(mine, 'big');
  run('editcap', ['-F', 'pcapng', mine, theirs]);
  const packetsOf = (path: string): unknown[] =>
    recordsOf(readFileSync(path)).filter((record) => record.type === 'packet');
  t.equal(packetsOf(theirs).length, 11);
  t.strictSame(packetsOf(theirs), packetsOf(mine), 'the packets, their times, directions, drop counts and comments');
});
