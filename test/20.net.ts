// Chapter 20: what is said about packets without sending any. Addresses, prefixes, header views, checksums, frames.

import t from 'tap';
import fc from 'fast-check';
import net from 'node:net';
import { inspect, isDeepStrictEqual } from 'node:util';
import {
  ArpView,
  EtherType,
  EthernetView,
  Icmpv6View,
  IcmpView,
  IpProtocol,
  Ipv4View,
  Ipv6View,
  Layers,
  LinkType,
  NeighborView,
  type NeighborOption,
  OptionWalk,
  TcpFlag,
  type TcpOption,
  TcpView,
  UdpView,
  VlanView,
  arpReplyFrame,
  arpRequestFrame,
  broadcastAddress,
  checksum,
  checksumAdd,
  checksumFinish,
  checksumUpdate16,
  checksumUpdate32,
  compareIp,
  compareMac,
  comparePrefix,
  describeFrame,
  emitArp,
  emitEthernet,
  emitIcmp,
  emitIpv4,
  emitIpv6,
  emitNeighbor,
  emitTcp,
  emitUdp,
  emitVlan,
  flowHash,
  formatIp,
  formatMac,
  formatPrefix,
  icmpEchoFrame,
  ipFromBigint,
  ipToBigint,
  ipVersion,
  ipv4FromNumber,
  ipv4ToNumber,
  isBroadcast,
  isBroadcastMac,
  isIpv4,
  isIpv4Mapped,
  isIpv6,
  isLinkLocal,
  isLocalMac,
  isLoopback,
  isMac,
  isMulticast,
  isMulticastMac,
  isPrefix,
  isPrivate,
  isUnspecified,
  linkLocalFromMac,
  macFromNumber,
  macToNumber,
  maskLength,
  multicastMac,
  neighborAdvertisementFrame,
  neighborFrame,
  neighborSolicitationFrame,
  networkAddress,
  networkPrefix,
  normalizeIp,
  normalizeMac,
  normalizePrefix,
  parseIp,
  parseMac,
  parsePrefix,
  popVlan,
  prefixContains,
  prefixMask,
  prefixesOverlap,
  pushVlan,
  solicitedNode,
  tcpFrame,
  udpFrame,
} from 'node-vpp/net';
import { sourcesBelow, testDocExamples } from './support/doc-examples.js';

// Without this, fast-check rarely makes an array of more than ten elements, whatever its maxLength.
fc.configureGlobal({ baseSize: 'large' });

/** Bytes from hexadecimal text with blanks. */
const bytesOf = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex.replace(/\s+/g, ''), 'hex'));
const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

const ipv4Bytes = fc.uint8Array({ minLength: 4, maxLength: 4 });
/** Addresses with runs of zeros, which is where the text forms differ. */
const ipv6Bytes = fc
  .array(fc.oneof(fc.constant(0), fc.constant(0), fc.constant(0xffff), fc.nat(0xffff)), { minLength: 8, maxLength: 8 })
  .map((groups) => Uint8Array.from(groups.flatMap((group) => [group >> 8, group & 255])));
const macBytes = fc.uint8Array({ minLength: 6, maxLength: 6 });
const ipv4Text = ipv4Bytes.map(formatIp);
const ipv6Text = ipv6Bytes.map(formatIp);
const macText = macBytes.map((bytes) => formatMac(bytes));
const port = fc.nat(0xffff);
const u32 = fc.nat(0xffff_ffff);
/** Plain objects, as views make them. */
const record = <Shape extends object>(shape: {
  [name in keyof Shape]: fc.Arbitrary<Shape[name]>;
}): fc.Arbitrary<Shape> => fc.record(shape, { noNullPrototype: true }) as fc.Arbitrary<Shape>;

// What the chapter's frames have in common.
const one = { mac: '02:fe:00:00:00:01', four: '10.0.0.1', six: '2001:db8::1' };
const two = { mac: '02:fe:00:00:00:02', four: '10.0.0.2', six: '2001:db8::2' };
const link = { sourceMac: one.mac, destinationMac: two.mac };
const overFour = { ...link, source: one.four, destination: two.four };
const overSix = { ...link, source: one.six, destination: two.six };

void t.test('a MAC address is six groups of two hexadecimal digits', async (t) => {
  t.strictSame(parseMac('02:fe:00:0a:bc:Ff'), bytesOf('02fe000abcff'));
  t.strictSame(parseMac('02-FE-00-0A-BC-FF'), bytesOf('02fe000abcff'));
  t.equal(formatMac(bytesOf('00 02fe000abcff'), 1), '02:fe:00:0a:bc:ff');
  t.equal(normalizeMac('02-FE-00-0A-BC-FF'), '02:fe:00:0a:bc:ff');
  t.equal(macToNumber('ff:ff:ff:ff:ff:ff'), 2 ** 48 - 1);
  t.equal(macFromNumber(0x02fe_0000_0001), '02:fe:00:00:00:01');

  for (const text of [
    '',
    '2:fe:0:0:0:1',
    '02:fe:00:00:00',
    '02:fe:00:00:00:01:02',
    '02:fe-00:00:00:01',
    '02fe.0000.0001',
    '02:fe:00:00:00:0g',
    ' 2:fe:00:00:00:01',
    '02:fe:00:00:00:01 ',
  ]) {
    t.throws(() => parseMac(text), { code: 'ERR_NET_MAC', name: 'NetError' }, `${JSON.stringify(text)} is refused`);
    t.equal(isMac(text), false);
  }
  t.throws(() => parseMac('02:fe:00:00:00:zz'), /parsing MAC address "02:fe:00:00:00:zz": group 6 is not .*; write/);
  t.throws(() => parseMac(5 as unknown as string), { code: 'ERR_VPP_ARGUMENT_TYPE' });
  t.throws(() => macFromNumber(-1), { code: 'ERR_VPP_ARGUMENT_RANGE' });
  t.throws(() => formatMac(new Uint8Array(5)), { code: 'ERR_VPP_ARGUMENT_RANGE' });

  t.strictSame([isMulticastMac('01:00:5e:00:00:01'), isMulticastMac(one.mac)], [true, false]);
  t.strictSame([isBroadcastMac('ff:ff:ff:ff:ff:ff'), isBroadcastMac(one.mac)], [true, false]);
  t.strictSame([isLocalMac(one.mac), isLocalMac('00:1b:21:00:00:01')], [true, false]);
  t.strictSame([compareMac('00:00:00:00:00:01', '00:00:00:00:00:02'), compareMac(one.mac, one.mac)], [-1, 0]);

  fc.assert(
    fc.property(macBytes, (bytes) => {
      const text = formatMac(bytes);
      return (
        hexOf(parseMac(text)) === hexOf(bytes) &&
        text === Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(':') &&
        macFromNumber(macToNumber(text)) === text
      );
    }),
    { numRuns: 500 },
  );
  t.pass('text, bytes and numbers come back');
});

void t.test('an IPv4 address is four decimal numbers without leading zeros', async (t) => {
  t.strictSame(parseIp('192.0.2.255'), bytesOf('c00002ff'));
  t.equal(formatIp(bytesOf('0a000001')), '10.0.0.1');
  t.strictSame([ipv4ToNumber('255.255.255.255'), ipv4FromNumber(0xc0000201)], [0xffff_ffff, '192.0.2.1']);
  for (const [text, reason] of [
    ['', /it ends before number 1/],
    ['1.2.3', /it has 3 of four numbers/],
    ['1.2.3.', /it ends before number 4/],
    ['1.2.3.4.5', /something follows the fourth number/],
    ['1.2.3.256', /number 4 is larger than 255/],
    ['01.2.3.4', /number 1 has a leading zero/],
    ['1.2.00.4', /number 3 has a leading zero/],
    ['1.2.3.4 ', /something follows/],
    ['1,2.3.4', /number 1 is not decimal/],
    ['0x1.2.3.4', /number 1 is not decimal/],
    ['1..3.4', /number 2 is not decimal/],
    ['-1.2.3.4', /number 1 is not decimal/],
    ['٣.2.3.4', /number 1 is not decimal/],
  ] as const) {
    t.throws(() => parseIp(text), { code: 'ERR_NET_ADDRESS', message: reason }, `${JSON.stringify(text)} is refused`);
  }
  t.throws(() => ipv4FromNumber(2 ** 32), { code: 'ERR_VPP_ARGUMENT_RANGE' });
});

void t.test('an IPv6 address is read by RFC 4291 and written by RFC 5952', async (t) => {
  t.strictSame(parseIp('2001:db8::1'), bytesOf('20010db8 00000000 00000000 00000001'));
  t.strictSame(parseIp('::ffff:192.0.2.1'), bytesOf('00000000 00000000 0000ffff c0000201'));
  t.strictSame(parseIp('64:ff9b::192.0.2.1'), bytesOf('0064ff9b 00000000 00000000 c0000201'));
  // The examples of RFC 5952: leading zeros, the longest run, the first of equal runs, one group is no run, case.
  for (const [text, canonical] of [
    ['2001:0db8:0000:0000:0001:0000:0000:0001', '2001:db8::1:0:0:1'],
    ['2001:db8:0:0:0:0:2:1', '2001:db8::2:1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['2001:0:0:1:0:0:0:1', '2001:0:0:1::1'],
    ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['2001:DB8::AAAA', '2001:db8::aaaa'],
    ['0:0:0:0:0:0:0:0', '::'],
    ['0:0:0:0:0:0:0:1', '::1'],
    ['1:0:0:0:0:0:0:0', '1::'],
    ['::ffff:c000:201', '::ffff:192.0.2.1'],
    ['1:2:3:4:5:6:7::', '1:2:3:4:5:6:7:0'],
  ] as const) {
    t.equal(normalizeIp(text), canonical, `${text} is written ${canonical}`);
  }
  for (const [text, reason] of [
    [':', /starts with a single colon/],
    [':1::', /starts with a single colon/],
    ['1:', /ends with a single colon/],
    ['1::2::3', /"::" appears twice/],
    [':::', /an empty group/],
    ['1:2:3:4:5:6:7', /7 of eight groups/],
    ['1:2:3:4:5:6:7:8:9', /more than eight groups/],
    ['1:2:3:4::5:6:7:8', /"::" stands for no group/],
    ['12345::', /more than four digits/],
    ['::g', /not hexadecimal/],
    ['fe80::1%eth0', /it has a zone/],
    ['::1.2.3.256', /in its IPv4 part, number 4 is larger/],
    ['1.2.3.4::', /IPv4 address is not in the last 32 bits/],
    ['1:2:3:4:5:6:7:1.2.3.4', /IPv4 address is not in the last 32 bits/],
    ['[::1]', /not hexadecimal/],
  ] as const) {
    t.throws(() => parseIp(text), { code: 'ERR_NET_ADDRESS', message: reason }, `${text} is refused`);
  }
  t.strictSame([ipVersion('10.0.0.1'), ipVersion('::1'), ipVersion('host'), ipVersion(undefined)], [4, 6, 0, 0]);
  t.equal(ipToBigint('::1:0:0'), 0x1_0000_0000n);
  t.throws(() => ipFromBigint(1n << 32n, 4), { code: 'ERR_VPP_ARGUMENT_RANGE' });
  t.throws(() => formatIp(new Uint8Array(5)), { code: 'ERR_VPP_ARGUMENT_RANGE' });
  t.strictSame(
    ['::1', '10.0.0.10', '10.0.0.9', 'fe80::', '::'].sort(compareIp),
    ['10.0.0.9', '10.0.0.10', '::', '::1', 'fe80::'],
    'addresses have an order: IPv4 first, then by number',
  );
});

void t.test('text and bytes of addresses agree with other programs', async (t) => {
  const canonicalOfUrl = (text: string): string => {
    const shown = new URL(`http://[${text}]/`).hostname.slice(1, -1);
    const mapped = /^::ffff:([0-9a-f]+):([0-9a-f]+)$/.exec(shown);
    if (mapped === null) return shown;
    const value = parseInt(mapped[1]!, 16) * 65536 + parseInt(mapped[2]!, 16);
    return `::ffff:${[24, 16, 8, 0].map((shift) => (value >>> shift) & 255).join('.')}`;
  };
  fc.assert(
    fc.property(ipv6Bytes, (bytes) => {
      const long = hexOf(bytes).match(/..../g)!.join(':');
      const text = formatIp(bytes);
      return (
        text === canonicalOfUrl(long) && hexOf(parseIp(text)) === hexOf(bytes) && hexOf(parseIp(long)) === hexOf(bytes)
      );
    }),
    { numRuns: 2000 },
  );
  t.pass('IPv6 text is that of the URL standard, and its bytes come back');
  fc.assert(
    fc.property(
      ipv4Bytes,
      (bytes) => formatIp(bytes) === bytes.join('.') && hexOf(parseIp(bytes.join('.'))) === hexOf(bytes),
    ),
  );
  t.pass('IPv4 text and bytes come back');
  fc.assert(fc.property(fc.bigInt(0n, (1n << 128n) - 1n), (value) => ipToBigint(ipFromBigint(value, 6)) === value));
  t.pass('numbers come back');

  // Valid text, and text one or two edits away from it.
  const nearly = fc
    .tuple(
      fc.oneof(
        ipv4Text,
        ipv6Text,
        fc.ipV6(),
        fc.tuple(ipv6Text, ipv4Text).map(([six, four]) => `${six}:${four}`),
      ),
      fc.array(fc.tuple(fc.nat(45), fc.constantFrom('', ':', '::', '.', '0', '1', 'f', 'g', '25', '/', ' ')), {
        maxLength: 2,
      }),
      fc.nat(2),
    )
    .map(([text, edits, cut]) =>
      edits.reduce(
        (so, [at, piece]) => so.slice(0, at % (so.length + 1)) + piece + so.slice((at % (so.length + 1)) + cut),
        text,
      ),
    );
  fc.assert(
    fc.property(
      fc.oneof(nearly, fc.string({ unit: fc.constantFrom('0', '1', ':', '.', 'a', 'f'), maxLength: 20 })),
      (text) => {
        return isIpv4(text) === net.isIPv4(text) && isIpv6(text) === net.isIPv6(text);
      },
    ),
    { numRuns: 5000 },
  );
  t.pass('what is an address is what node:net says it is');
});

void t.test('kinds of addresses, and addresses that follow from others', async (t) => {
  const kinds = { isUnspecified, isLoopback, isLinkLocal, isPrivate, isMulticast, isBroadcast, isIpv4Mapped };
  const kindsOf = (text: string): string[] =>
    Object.entries(kinds)
      .filter(([, is]) => is(text))
      .map(([name]) => name);
  for (const [text, expected] of [
    ['0.0.0.0', ['isUnspecified']],
    ['127.1.2.3', ['isLoopback']],
    ['169.254.0.1', ['isLinkLocal']],
    ['10.255.0.1', ['isPrivate']],
    ['172.15.255.255', []],
    ['172.16.0.0', ['isPrivate']],
    ['172.31.255.255', ['isPrivate']],
    ['172.32.0.0', []],
    ['192.168.1.1', ['isPrivate']],
    ['223.255.255.255', []],
    ['224.0.0.1', ['isMulticast']],
    ['239.255.255.255', ['isMulticast']],
    ['255.255.255.255', ['isBroadcast']],
    ['255.255.255.127', []],
    ['::', ['isUnspecified']],
    ['::1', ['isLoopback']],
    ['::2', []],
    ['fe80::1', ['isLinkLocal']],
    ['febf::1', ['isLinkLocal']],
    ['fec0::1', []],
    ['fd00::1', ['isPrivate']],
    ['ff02::1', ['isMulticast']],
    ['::ffff:10.0.0.1', ['isIpv4Mapped']],
    ['2001:db8::1', []],
  ] as const) {
    t.strictSame(kindsOf(text), expected, `${text} is ${expected.join(' and ') || 'nothing special'}`);
  }
  t.equal(solicitedNode('2001:db8::12:3456'), 'ff02::1:ff12:3456');
  t.equal(multicastMac('ff02::1:ff12:3456'), '33:33:ff:12:34:56');
  t.equal(multicastMac('224.128.1.2'), '01:00:5e:00:01:02', 'one bit of IPv4 is lost');
  t.throws(() => multicastMac('10.0.0.1'), { code: 'ERR_NET_ADDRESS' });
  t.equal(linkLocalFromMac('34:56:78:9a:bc:de'), 'fe80::3656:78ff:fe9a:bcde', 'the example of RFC 4291, appendix A');
});

void t.test('a prefix is an address and a number of leading bits', async (t) => {
  const prefix = parsePrefix('10.1.2.3/8');
  t.strictSame(
    [prefix.version, prefix.length, prefix.address, prefix.network, prefix.last, prefix.isNetwork],
    [4, 8, '10.1.2.3', '10.0.0.0', '10.255.255.255', false],
  );
  t.strictSame([hexOf(prefix.addressBytes()), hexOf(prefix.networkBytes())], ['0a010203', '0a000000']);
  t.equal(JSON.stringify({ prefix }), '{"prefix":"10.1.2.3/8"}');
  t.equal(formatPrefix(bytesOf('0a010203'), 30), '10.1.2.3/30');
  t.equal(networkPrefix('2001:DB8:0:f::1/60'), '2001:db8::/60');
  t.equal(networkAddress('10.1.2.3/15'), '10.0.0.0');
  t.equal(normalizePrefix('2001:DB8:0:0::1/64'), '2001:db8::1/64');
  t.strictSame(
    ['10.1.2.3/24', '10.1.2.3/0', '10.1.2.3/30', '10.1.2.2/31', '10.1.2.3/32', '2001:db8::/64'].map(broadcastAddress),
    ['10.1.2.255', '255.255.255.255', '10.1.2.3', undefined, undefined, undefined],
  );
  t.strictSame(
    [prefixMask(0, 4), prefixMask(20, 4), prefixMask(32, 4), prefixMask(33, 6)],
    ['0.0.0.0', '255.255.240.0', '255.255.255.255', 'ffff:ffff:8000::'],
  );
  t.strictSame([maskLength('0.0.0.0'), maskLength('255.255.255.255'), maskLength('ffff::')], [0, 32, 16]);
  t.throws(() => maskLength('255.0.255.0'), { code: 'ERR_NET_PREFIX', message: /bit 16 is set after bit 8 is clear/ });
  for (const [text, reason] of [
    ['10.0.0.0', /it has no "\/"/],
    ['10.0.0.0/', /nothing follows/],
    ['10.0.0.0/33', /larger than 32/],
    ['::/129', /larger than 128/],
    ['10.0.0.0/08', /leading zero/],
    ['10.0.0.0/-1', /not decimal/],
    ['10.0.0.0/8 ', /not decimal/],
    ['10.0.0.0/8/8', /not decimal/],
    ['10.0.0/8', /in its address, it has 3 of four numbers/],
    ['fe80::1%eth0/64', /in its address, it has a zone/],
    ['/8', /in its address/],
  ] as const) {
    t.throws(() => parsePrefix(text), { code: 'ERR_NET_PREFIX', message: reason }, `${text} is refused`);
    t.equal(isPrefix(text), false);
  }
  t.throws(() => formatPrefix(new Uint8Array(4), 33), { code: 'ERR_VPP_ARGUMENT_RANGE' });
  t.throws(() => formatPrefix(new Uint8Array(5), 3), { code: 'ERR_VPP_ARGUMENT_RANGE' });
  t.strictSame([prefixContains('10.0.0.0/8', '10.0.0.0/8'), prefixContains('10.0.0.0/9', '10.0.0.0/8')], [true, false]);
  t.strictSame(
    [
      prefixesOverlap('10.0.0.0/8', '10.2.0.0/16'),
      prefixesOverlap('10.0.0.0/16', '10.1.0.0/16'),
      prefixesOverlap('0.0.0.0/0', '::/0'),
    ],
    [true, false, false],
  );
  t.strictSame(['::/0', '10.0.0.0/16', '10.0.0.0/8', '9.0.0.0/8', '10.0.0.1/8'].sort(comparePrefix), [
    '9.0.0.0/8',
    '10.0.0.0/8',
    '10.0.0.1/8',
    '10.0.0.0/16',
    '::/0',
  ]);

  for (const [family, bytes] of [
    ['ipv4', ipv4Bytes],
    ['ipv6', ipv6Bytes],
  ] as const) {
    const near = fc.tuple(bytes, fc.nat(128)).chain(([address, length]) => {
      // An address that leaves the prefix at a chosen bit, or not at all.
      return fc.nat(address.length * 8).map((bit) => {
        const other = address.slice();
        if (bit < other.length * 8) other[bit >> 3]! ^= 128 >> (bit & 7);
        return { address, length: length % (address.length * 8 + 1), other };
      });
    });
    fc.assert(
      fc.property(near, ({ address, length, other }) => {
        const list = new net.BlockList();
        list.addSubnet(formatIp(address), length, family);
        const text = formatPrefix(address, length);
        return (
          prefixContains(text, formatIp(other)) === list.check(formatIp(other), family) &&
          parsePrefix(text).toString() === text
        );
      }),
      { numRuns: 1000 },
    );
    t.pass(`${family}: what is inside is what node:net's BlockList says`);
  }
  fc.assert(
    fc.property(
      fc.nat(32),
      fc.nat(128),
      (four, six) => maskLength(prefixMask(four, 4)) === four && maskLength(prefixMask(six, 6)) === six,
    ),
  );
  t.pass('masks and lengths come back');
});

void t.test('the Internet checksum', async (t) => {
  const naive = (bytes: Uint8Array): number => {
    let sum = 0n;
    for (let i = 0; i < bytes.length; i += 2) sum += BigInt(bytes[i]! * 256 + (bytes[i + 1] ?? 0));
    while (sum > 0xffffn) sum = (sum & 0xffffn) + (sum >> 16n);
    return Number(sum) ^ 0xffff;
  };
  t.equal(checksum(bytesOf('4500 0073 0000 4000 4011 0000 c0a8 0001 c0a8 00c7')), 0xb861, 'a header known from books');
  t.equal(checksum(bytesOf('4500 0073 0000 4000 4011 b861 c0a8 0001 c0a8 00c7')), 0, 'with its checksum it is 0');
  t.equal(checksum(new Uint8Array(0)), 0xffff);
  t.equal(checksum(new Uint8Array(70_000).fill(255)), naive(new Uint8Array(70_000).fill(255)), 'no overflow');
  t.equal(checksum(new Uint8Array(300_001).fill(254)), naive(new Uint8Array(300_001).fill(254)));
  const window = new Uint8Array(new ArrayBuffer(1000)).fill(9).subarray(100, 400);
  t.equal(checksum(window, 0, 900), naive(window), 'a length past the end does not reach into the rest of the buffer');
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 700 }), fc.nat(7), fc.nat(200), (bytes, shift, cut) => {
      // The same bytes at every alignment, as a view into a larger buffer, and in two parts.
      const room = new Uint8Array(bytes.length + 16).fill(0xee);
      room.set(bytes, shift);
      const even = Math.min(cut * 2, bytes.length & ~1);
      const parts = checksumAdd(room, shift + even, bytes.length - even, checksumAdd(room, shift, even));
      const expected = naive(bytes);
      return (
        checksum(room, shift, bytes.length) === expected &&
        checksum(room.subarray(shift, shift + bytes.length)) === expected &&
        checksumFinish(parts) === expected
      );
    }),
    { numRuns: 2000 },
  );
  t.pass('it is the naive sum at every length and alignment');
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 8, maxLength: 40 }), u32, fc.nat(1), (bytes, value, word) => {
      const even = bytes.subarray(0, bytes.length & ~1);
      even[0] = 1; // A sum of 0 does not occur in packets.
      const view = new DataView(even.buffer);
      const at = 2 + word * 2;
      const before = checksum(even);
      const old = view.getUint32(at);
      const updated16 = checksumUpdate16(before, view.getUint16(at), value & 0xffff);
      const updated32 = checksumUpdate32(before, old, value);
      view.setUint16(at, value & 0xffff);
      if (checksum(even) !== updated16) return false;
      view.setUint32(at, value);
      return checksum(even) === updated32;
    }),
    { numRuns: 2000 },
  );
  t.pass('an update gives what computing it again gives');
});

void t.test('header views over literal bytes', async (t) => {
  // A ping as the Linux kernel sends it, in a frame tagged twice.
  const frame = bytesOf(`
    02fe00000002 02fe00000001 88a8 6064 8100 1007 0800
    45b8 0054 1c46 4000 4001 098a 0a000001 0a000002
    0800 0000 1234 0001 ${'00'.repeat(56)}`);
  const ethernet = EthernetView.of(frame);
  t.strictSame(ethernet.fields(), { destination: two.mac, source: one.mac, etherType: EtherType.QINQ });
  t.equal(ethernet.sourceNumber, 0x02fe_0000_0001);
  t.equal(ethernet.isMulticast, false);
  const outer = VlanView.of(frame, ethernet.payloadOffset);
  t.strictSame(outer.fields(), { vlanId: 100, priority: 3, dropEligible: false, etherType: EtherType.VLAN });
  const inner = VlanView.of(frame, outer.payloadOffset);
  t.strictSame(inner.fields(), { vlanId: 7, priority: 0, dropEligible: true, etherType: EtherType.IPV4 });
  const ipv4 = Ipv4View.of(frame, inner.payloadOffset);
  t.strictSame(ipv4.fields(), {
    source: one.four,
    destination: two.four,
    protocol: IpProtocol.ICMP,
    payloadLength: 64,
    timeToLive: 64,
    dscp: 46,
    ecn: 0,
    identification: 0x1c46,
    dontFragment: true,
    moreFragments: false,
    fragmentOffset: 0,
    options: [],
  });
  t.equal(ipv4.isWhole, true);
  const icmp = IcmpView.of(frame, ipv4.payloadOffset, ipv4.payloadLength);
  icmp.fillChecksum();
  t.strictSame(
    [icmp.type, icmp.identifier, icmp.sequence, icmp.checksum, icmp.checksumOk],
    [8, 0x1234, 1, 0xe5ca, true],
  );
  const layers = new Layers();
  t.equal(layers.at(frame, 0, frame.length), true);
  t.strictSame(
    [layers.tags, layers.vlanId, layers.networkOffset, layers.transportOffset, layers.transportLength],
    [2, 100, 22, 42, 64],
  );

  const arp = bytesOf('0001 0800 0604 0002 02fe00000001 0a000001 02fe00000002 0a000002');
  t.strictSame(ArpView.of(arp).fields(), {
    operation: 2,
    senderMac: one.mac,
    senderIp: one.four,
    targetMac: two.mac,
    targetIp: two.four,
  });
  t.strictSame([ArpView.of(arp).senderIpNumber, ArpView.of(arp).targetIpNumber], [0x0a000001, 0x0a000002]);
  t.throws(() => ArpView.of(bytesOf('0006 0800 0604 0002 02fe00000001 0a000001 02fe00000002 0a000002')), {
    code: 'ERR_NET_FRAME',
  });

  // IPv6 with hop-by-hop options, a destination header, then UDP.
  const six = bytesOf(`
    6abcdef1 0018 00 40 20010db8000000000000000000000001 20010db8000000000000000000000002
    3c00 050200000100  1100 010400000000  1388 0035 0008 0000`);
  const ipv6 = Ipv6View.of(six);
  t.strictSame([ipv6.trafficClass, ipv6.flowLabel, ipv6.hopLimit, ipv6.nextHeader], [0xab, 0xcdef1, 64, 0]);
  t.equal(ipv6.walk(), true);
  t.strictSame(
    [ipv6.upperProtocol, ipv6.upperOffset, ipv6.upperLength, ipv6.isFragment],
    [IpProtocol.UDP, 56, 8, false],
  );
  t.equal(UdpView.of(six, ipv6.upperOffset).destinationPort, 53);

  // The SYN of a Linux client.
  const syn = bytesOf('9c40 01bb 00000007 00000000 a002 ffff 0000 0000 020405b4 0402 080a 00000001 00000000 01 030307');
  t.strictSame(TcpView.of(syn).fields(), {
    sourcePort: 40000,
    destinationPort: 443,
    sequence: 7,
    acknowledgment: 0,
    flags: TcpFlag.SYN,
    window: 65535,
    urgent: 0,
    options: [
      { type: 'mss', bytes: 1460 },
      { type: 'sackPermitted' },
      { type: 'timestamps', value: 1, echo: 0 },
      { type: 'nop' },
      { type: 'windowScale', shift: 7 },
    ],
  });
  t.strictSame(
    [TcpView.of(syn).syn, TcpView.of(syn).ack, TcpView.of(syn).rst, TcpView.of(syn).fin],
    [true, false, false, false],
  );

  // A router's advertisement: prefix, MTU, link-layer address.
  const advertisement = bytesOf(`
    8600 0000 40c0 0708 00000000 00000000
    0304 40c0 00278d00 00093a80 00000000 20010db8000000000000000000000000
    0501 0000 000005dc  0101 02fe00000001`);
  t.strictSame(NeighborView.of(advertisement).fields(), {
    type: 134,
    hopLimit: 64,
    managed: true,
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
        validLifetime: 2592000,
        preferredLifetime: 604800,
      },
      { type: 'mtu', mtu: 1500 },
      { type: 'sourceLinkLayer', mac: one.mac },
    ],
  });
  t.equal(NeighborView.of(advertisement).linkLayerOffset(1), advertisement.length - 6);
  t.equal(NeighborView.of(advertisement).linkLayerOffset(2), -1);
});

void t.test('a view refuses what does not fit, and then points at nothing', async (t) => {
  const frame = udpFrame({ ...overFour, sourcePort: 1, destinationPort: 2, payload: new Uint8Array(10) });
  const view = new Ipv4View();
  t.equal(view.at(frame, 14), true);
  t.equal(view.at(frame, 14, 19), false, 'too short');
  t.strictSame([view.length, view.source, view.totalLength, view.protocol], [0, '', 0, 0]);
  t.equal(view.at(frame, 14, frame.length), false, 'the length leads past the array');
  t.equal(view.at(frame, -1, 30), false);
  t.equal(view.at(frame, 0), false, 'version 0');
  t.throws(() => Ipv4View.of(frame, 0), {
    code: 'ERR_NET_FRAME',
    message: /reading an IPv4 header at offset 0 of 52 bytes/,
  });
  const cut = frame.slice(0, 40);
  t.equal(view.at(cut, 14), true, 'a capture that was cut short can still be read');
  t.strictSame([view.isWhole, view.totalLength, view.payloadLength], [false, 38, 6]);
  t.equal(TcpView.of(bytesOf('0000 0000 00000000 00000000 5002 0000 0000 0000')).headerLength, 20);
  t.equal(new TcpView().at(bytesOf('0000 0000 00000000 00000000 4002 0000 0000 0000')), false, 'data offset below 5');
  t.equal(new TcpView().at(bytesOf('0000 0000 00000000 00000000 6002 0000 0000 0000')), false, 'options cut off');
  t.throws(() => emitEthernet(new Uint8Array(13), 0, EthernetView.of(frame).fields()), {
    code: 'ERR_VPP_ARGUMENT_RANGE',
  });
  t.throws(
    () => emitIpv4(new Uint8Array(99), 0, { source: '::1', destination: '::1', protocol: 6, payloadLength: 0 }),
    { code: 'ERR_NET_ADDRESS' },
  );
  t.throws(
    () =>
      emitIpv4(new Uint8Array(99), 0, { source: one.four, destination: two.four, protocol: 6, payloadLength: 65516 }),
    { code: 'ERR_VPP_ARGUMENT_RANGE' },
  );
  t.throws(
    () =>
      emitIpv6(new Uint8Array(99), 0, { source: one.six, destination: two.six, nextHeader: 6, payloadLength: 65536 }),
    { code: 'ERR_VPP_ARGUMENT_RANGE' },
  );
});

void t.test('packets are changed in place', async (t) => {
  const frame = udpFrame({ ...overFour, sourcePort: 1000, destinationPort: 53, payload: bytesOf('010203') });
  const ethernet = EthernetView.of(frame);
  ethernet.swapAddresses();
  t.strictSame([ethernet.source, ethernet.destination], [two.mac, one.mac]);
  ethernet.destinationNumber = 0xffff_ffff_ffff;
  t.equal(ethernet.destination, 'ff:ff:ff:ff:ff:ff');

  const ipv4 = Ipv4View.of(frame, 14);
  ipv4.decrementTimeToLive();
  ipv4.rewriteSource(ipv4ToNumber('192.0.2.1'));
  ipv4.rewriteDestination(ipv4ToNumber('198.51.100.1'));
  t.strictSame(
    [ipv4.timeToLive, ipv4.source, ipv4.destination, ipv4.checksumOk],
    [63, '192.0.2.1', '198.51.100.1', true],
  );
  const udp = UdpView.of(frame, 34);
  t.equal(udp.checksumOk(14), false, 'the pseudo header has changed');
  udp.fillChecksum(14);
  t.equal(udp.checksumOk(14), true);
  udp.checksum = 0;
  t.equal(udp.checksumOk(14), true, 'no checksum is allowed over IPv4');

  const room = new Uint8Array(frame.length + 4);
  room.set(frame, 4);
  pushVlan(room, 4, 42);
  t.equal(describeFrame(room, { showLink: false }).startsWith('vlan 42, IPv4 192.0.2.1.1000'), true);
  popVlan(room, 0);
  t.equal(hexOf(room.subarray(4)), hexOf(frame), 'a tag that was pushed and popped leaves nothing behind');

  // The datagram whose checksum computes to 0 is sent with 0xffff.
  const zero = udpFrame({ ...overSix, sourcePort: 1, destinationPort: 2, payload: new Uint8Array(2) });
  const view = UdpView.of(zero, 54);
  zero.set([view.checksum >> 8, view.checksum & 255], 62);
  view.fillChecksum(14);
  t.strictSame([view.checksum, view.checksumOk(14)], [0xffff, true]);
  view.checksum = 0;
  t.equal(view.checksumOk(14), false, 'no checksum is not allowed over IPv6');
});

void t.test('the walk over IPv6 extension headers is bounded', async (t) => {
  const packet = (next: number, body: string): Ipv6View => {
    const bytes = new Uint8Array(40 + body.replace(/\s+/g, '').length / 2);
    emitIpv6(bytes, 0, { source: one.six, destination: two.six, nextHeader: next, payloadLength: bytes.length - 40 });
    bytes.set(bytesOf(body), 40);
    return Ipv6View.of(bytes);
  };
  const eight = packet(60, `${'3c00010400000000'.repeat(7)} 1100010400000000 ${'00'.repeat(8)}`);
  t.strictSame([eight.walk(), eight.upperProtocol, eight.upperOffset], [true, IpProtocol.UDP, 104]);
  const nine = packet(60, `${'3c00010400000000'.repeat(8)} 1100010400000000 ${'00'.repeat(8)}`);
  t.strictSame(
    [nine.walk(), nine.upperProtocol],
    [false, IpProtocol.DESTINATION_OPTIONS],
    'more than eight are not followed',
  );
  const cut = packet(0, '11ff 010400000000');
  t.strictSame([cut.walk(), cut.upperOffset], [false, 40], 'a header that leads past the end');
  const first = packet(44, '1100 0001 00000007 0001000200080000');
  t.strictSame(
    [first.walk(), first.isFragment, first.moreFragments, first.fragmentOffset, first.upperProtocol],
    [true, true, true, 0, 17],
  );
  const later = packet(44, '3c00 0008 00000007 ffffffffffffffff');
  t.strictSame(
    [later.walk(), later.fragmentOffset, later.upperProtocol, later.upperOffset],
    [true, 8, 60, 48],
    'a later fragment has no headers',
  );
  const authenticated = packet(51, `0604 0000 ${'00'.repeat(20)} ${'00'.repeat(20)}`);
  t.strictSame(
    [authenticated.walk(), authenticated.upperProtocol, authenticated.upperOffset],
    [true, IpProtocol.TCP, 64],
    'AH counts in words',
  );
  const encrypted = packet(50, '00'.repeat(16));
  t.strictSame([encrypted.walk(), encrypted.upperProtocol], [true, IpProtocol.ESP]);
});

void t.test('emitting what was parsed gives the same', async (t) => {
  const room = 200;
  const same = (
    name: string,
    arbitrary: fc.Arbitrary<object>,
    emit: (bytes: Uint8Array, at: number, fields: never) => number,
    parse: (bytes: Uint8Array, at: number, length: number) => unknown,
  ): void => {
    fc.assert(
      fc.property(arbitrary, fc.nat(40), (fields, at) => {
        const bytes = new Uint8Array(room + at).fill(0xa5);
        const length = emit(bytes, at, fields as never);
        const parsed = parse(bytes, at, bytes.length - at);
        if (!isDeepStrictEqual(parsed, fields)) {
          throw new Error(`emitted ${inspect(fields)}\nparsed ${inspect(parsed)}`);
        }
        const again = new Uint8Array(room + at).fill(0xa5);
        return emit(again, at, parsed as never) === length && hexOf(again) === hexOf(bytes);
      }),
      { numRuns: 300 },
    );
    t.pass(name);
  };
  const payloadLength = fc.nat(100);
  const bit = fc.boolean();
  same('Ethernet', record({ destination: macText, source: macText, etherType: port }), emitEthernet, (b, at, l) =>
    EthernetView.of(b, at, l).fields(),
  );
  same(
    'VLAN',
    record({ vlanId: fc.nat(4095), priority: fc.nat(7), dropEligible: bit, etherType: port }),
    emitVlan,
    (b, at, l) => VlanView.of(b, at, l).fields(),
  );
  same(
    'ARP',
    record({ operation: port, senderMac: macText, senderIp: ipv4Text, targetMac: macText, targetIp: ipv4Text }),
    emitArp,
    (b, at, l) => ArpView.of(b, at, l).fields(),
  );
  same(
    'IPv4',
    record({
      source: ipv4Text,
      destination: ipv4Text,
      protocol: fc.nat(255),
      payloadLength,
      timeToLive: fc.nat(255),
      dscp: fc.nat(63),
      ecn: fc.nat(3),
      identification: port,
      dontFragment: bit,
      moreFragments: bit,
      fragmentOffset: fc.nat(8191).map((units) => units * 8),
      options: fc.array(
        fc.oneof(
          fc.constant({ type: 1, data: new Uint8Array(0) }),
          record({ type: fc.integer({ min: 2, max: 255 }), data: fc.uint8Array({ maxLength: 8 }) }),
        ),
        { maxLength: 4 },
      ),
    }),
    emitIpv4,
    (b, at, l) => {
      const view = Ipv4View.of(b, at, l);
      return view.checksumOk ? view.fields() : 'checksum';
    },
  );
  same(
    'IPv6',
    record({
      source: ipv6Text,
      destination: ipv6Text,
      nextHeader: fc.nat(255),
      payloadLength,
      hopLimit: fc.nat(255),
      trafficClass: fc.nat(255),
      flowLabel: fc.nat(0xf_ffff),
    }),
    emitIpv6,
    (b, at, l) => Ipv6View.of(b, at, l).fields(),
  );
  same('UDP', record({ sourcePort: port, destinationPort: port, payloadLength }), emitUdp, (b, at, l) =>
    UdpView.of(b, at, l).fields(),
  );
  same('ICMP', record({ type: fc.nat(255), code: fc.nat(255), rest: u32 }), emitIcmp, (b, at, l) =>
    IcmpView.of(b, at, l).fields(),
  );
  const tcpOption: fc.Arbitrary<TcpOption> = fc.oneof(
    fc.constant<TcpOption>({ type: 'nop' }),
    fc.constant<TcpOption>({ type: 'sackPermitted' }),
    port.map((bytes): TcpOption => ({ type: 'mss', bytes })),
    fc.nat(255).map((shift): TcpOption => ({ type: 'windowScale', shift })),
    fc.array(fc.tuple(u32, u32), { minLength: 1, maxLength: 2 }).map((blocks): TcpOption => ({ type: 'sack', blocks })),
    fc.tuple(u32, u32).map(([value, echo]): TcpOption => ({ type: 'timestamps', value, echo })),
    fc
      .tuple(fc.integer({ min: 9, max: 255 }), fc.uint8Array({ maxLength: 5 }))
      .map(([kind, data]): TcpOption => ({ type: 'unknown', kind, data })),
    // A known kind of the wrong length is kept as it is.
    fc.uint8Array({ minLength: 3, maxLength: 3 }).map((data): TcpOption => ({ type: 'unknown', kind: 2, data })),
  );
  same(
    'TCP',
    record({
      sourcePort: port,
      destinationPort: port,
      sequence: u32,
      acknowledgment: u32,
      flags: fc.nat(255),
      window: port,
      urgent: port,
      options: fc.array(tcpOption, { maxLength: 2 }),
    }),
    emitTcp,
    (b, at, l) => TcpView.of(b, at, l).fields(),
  );
  const neighborOption: fc.Arbitrary<NeighborOption> = fc.oneof(
    macText.map((mac): NeighborOption => ({ type: 'sourceLinkLayer', mac })),
    macText.map((mac): NeighborOption => ({ type: 'targetLinkLayer', mac })),
    record({
      type: fc.constant('prefix' as const),
      prefix: ipv6Text,
      length: fc.nat(128),
      onLink: bit,
      autonomous: bit,
      validLifetime: u32,
      preferredLifetime: u32,
    }),
    u32.map((mtu): NeighborOption => ({ type: 'mtu', mtu })),
    fc
      .tuple(u32, fc.array(ipv6Text, { minLength: 1, maxLength: 2 }))
      .map(([lifetime, servers]): NeighborOption => ({ type: 'dnsServers', lifetime, servers })),
    fc
      .tuple(fc.integer({ min: 26, max: 255 }), fc.nat(1))
      .chain(([kind, units]) =>
        fc
          .uint8Array({ minLength: 6 + 8 * units, maxLength: 6 + 8 * units })
          .map((data): NeighborOption => ({ type: 'unknown', kind, data })),
      ),
  );
  const options = fc.array(neighborOption, { maxLength: 3 });
  same(
    'neighbor discovery',
    fc.oneof(
      record({ type: fc.constant(133 as const), options }),
      record({
        type: fc.constant(134 as const),
        hopLimit: fc.nat(255),
        managed: bit,
        otherConfig: bit,
        routerLifetime: port,
        reachableTimeMs: u32,
        retransmitTimerMs: u32,
        options,
      }),
      record({ type: fc.constant(135 as const), target: ipv6Text, options }),
      record({
        type: fc.constant(136 as const),
        target: ipv6Text,
        router: bit,
        solicited: bit,
        override: bit,
        options,
      }),
      record({ type: fc.constant(137 as const), target: ipv6Text, destination: ipv6Text, options }),
    ),
    emitNeighbor,
    // The filler behind the message (0xa5) reads as an option too long to fit, so that the list ends there.
    (b, at, l) => NeighborView.of(b, at, l).fields(),
  );
});

void t.test('built frames have right lengths and checksums', async (t) => {
  const payload = Uint8Array.from({ length: 333 }, (_, i) => i);
  const layers = new Layers();
  for (const [name, addresses] of [
    ['IPv4', overFour],
    ['IPv6', overSix],
    ['IPv4 in a VLAN', { ...overFour, vlanId: 9 }],
  ] as const) {
    const udp = udpFrame({ ...addresses, sourcePort: 5, destinationPort: 6, payload });
    layers.at(udp, 0, udp.length);
    const udpView = UdpView.of(udp, layers.transportOffset, layers.transportLength);
    t.strictSame(
      [udpView.checksumOk(layers.networkOffset), udpView.payloadLength, layers.vlanId],
      [true, 333, 'vlanId' in addresses ? 9 : -1],
      `UDP over ${name}`,
    );
    udp[udp.length - 1]! ^= 1;
    t.equal(udpView.checksumOk(layers.networkOffset), false, 'and a changed byte is noticed');

    const tcp = tcpFrame({
      ...addresses,
      sourcePort: 5,
      destinationPort: 6,
      sequence: 1,
      flags: TcpFlag.ACK,
      options: [{ type: 'timestamps', value: 1, echo: 2 }],
      payload,
    });
    layers.at(tcp, 0, tcp.length);
    const tcpView = TcpView.of(tcp, layers.transportOffset, layers.transportLength);
    t.strictSame([tcpView.checksumOk(layers.networkOffset), tcpView.payloadLength], [true, 333], `TCP over ${name}`);

    const echo = icmpEchoFrame({ ...addresses, identifier: 7, sequence: 8, payload, reply: true, hopLimit: 3 });
    layers.at(echo, 0, echo.length);
    if (layers.version === 4) {
      const view = IcmpView.of(echo, layers.transportOffset, layers.transportLength);
      t.strictSame(
        [view.checksumOk, view.type, view.isError, Ipv4View.of(echo, layers.networkOffset).timeToLive],
        [true, 0, false, 3],
      );
    } else {
      const view = Icmpv6View.of(echo, layers.transportOffset, layers.transportLength);
      t.strictSame([view.checksumOk(layers.networkOffset), view.type, view.isError], [true, 129, false]);
    }
  }
  const padded = new Uint8Array(60);
  padded.set(udpFrame({ ...overFour, sourcePort: 5, destinationPort: 6 }));
  layers.at(padded, 0, 60);
  t.equal(layers.transportLength, 8, 'padding is not payload');
  t.throws(() => udpFrame({ ...overFour, destination: two.six, sourcePort: 1, destinationPort: 2 }), {
    code: 'ERR_NET_ADDRESS',
    message: /different families/,
  });
});

void t.test('a frame in one line', async (t) => {
  const lineOf = (frame: Uint8Array): string => describeFrame(frame, { showLink: false });
  const ping = icmpEchoFrame({ ...overFour, identifier: 1, sequence: 2, payload: new Uint8Array(56) });
  const unreachable = (body: Uint8Array): Uint8Array => {
    const bytes = new Uint8Array(14 + 20 + 8 + body.length);
    emitEthernet(bytes, 0, { destination: two.mac, source: one.mac, etherType: EtherType.IPV4 });
    emitIpv4(bytes, 14, { source: one.four, destination: two.four, protocol: 1, payloadLength: 8 + body.length });
    emitIcmp(bytes, 34, { type: 3, code: 4, rest: 1400 });
    bytes.set(body, 42);
    return bytes;
  };
  t.equal(
    describeFrame(ping),
    '02:fe:00:00:00:01 > 02:fe:00:00:00:02, IPv4 10.0.0.1 > 10.0.0.2: ICMP echo request, id 1, seq 2, length 64',
  );
  t.equal(describeFrame(ping.subarray(14), { linkType: LinkType.RAW }), lineOf(ping));
  for (const [frame, line] of [
    [
      arpRequestFrame({ senderMac: one.mac, senderIp: one.four, targetIp: two.four }),
      'ARP, request who-has 10.0.0.2 tell 10.0.0.1, length 28',
    ],
    [
      arpReplyFrame({ senderMac: two.mac, senderIp: two.four, targetMac: one.mac, targetIp: one.four, vlanId: 5 }),
      'vlan 5, ARP, reply 10.0.0.2 is-at 02:fe:00:00:00:02, length 28',
    ],
    [
      udpFrame({ ...overSix, sourcePort: 546, destinationPort: 547, payload: new Uint8Array(9) }),
      'IPv6 2001:db8::1.546 > 2001:db8::2.547: UDP, length 9',
    ],
    [
      tcpFrame({
        ...overFour,
        sourcePort: 1,
        destinationPort: 2,
        sequence: 10,
        acknowledgment: 20,
        flags: TcpFlag.PSH | TcpFlag.ACK,
        payload: new Uint8Array(5),
      }),
      'IPv4 10.0.0.1.1 > 10.0.0.2.2: TCP [P.], seq 10:15, ack 20, win 65535, length 5',
    ],
    [
      neighborSolicitationFrame({ sourceMac: one.mac, source: 'fe80::1', target: 'fe80::2' }),
      'IPv6 fe80::1 > ff02::1:ff00:2: ICMPv6 neighbor solicitation, who has fe80::2, length 32',
    ],
    [
      neighborAdvertisementFrame({ ...link, source: 'fe80::1', destination: 'fe80::2', router: true }),
      'IPv6 fe80::1 > fe80::2: ICMPv6 neighbor advertisement, fe80::1 is at 02:fe:00:00:00:01 [router solicited override], length 32',
    ],
    [
      neighborFrame(overSix, { type: 133, options: [] }),
      'IPv6 2001:db8::1 > 2001:db8::2: ICMPv6 router solicitation, length 8',
    ],
    [
      unreachable(ping.subarray(14)),
      'IPv4 10.0.0.1 > 10.0.0.2: ICMP fragmentation needed, mtu 1400, length 92 [IPv4 10.0.0.1 > 10.0.0.2: ICMP echo request, id 1, seq 2, length 64]',
    ],
    [ping.subarray(0, 38), 'IPv4 10.0.0.1 > 10.0.0.2: ICMP, truncated header, length 4'],
    [ping.subarray(0, 20), 'IPv4, truncated or malformed header, length 6'],
    [bytesOf('ffffffffffff 02fe00000001 9999 0102'), 'ethertype 0x9999, length 2'],
    [bytesOf('ffffffffffff 02fe00000001 0003 424203'), '802.3, length 3'],
  ] as const) {
    t.equal(lineOf(frame), line);
  }
  let nested: Uint8Array = ping.subarray(14);
  for (let i = 0; i < 20; i += 1) nested = unreachable(nested).subarray(14);
  t.equal(
    describeFrame(nested, { linkType: LinkType.RAW }).split('[').length,
    3,
    'errors that quote errors are followed twice',
  );
});

void t.test('the flow hash', async (t) => {
  const flow = { ...overFour, sourcePort: 1000, destinationPort: 53 };
  const back = {
    sourceMac: two.mac,
    destinationMac: one.mac,
    source: two.four,
    destination: one.four,
    sourcePort: 53,
    destinationPort: 1000,
  };
  const hash = (frame: Uint8Array, symmetric = false): number => flowHash(frame, 0, frame.length, symmetric);
  t.equal(
    hash(udpFrame(flow)),
    hash(udpFrame({ ...flow, hopLimit: 9, payload: new Uint8Array(99) })),
    'one number per flow',
  );
  t.equal(hash(udpFrame(flow)), hash(udpFrame({ ...flow, vlanId: 5 })), 'tags do not count');
  t.not(hash(udpFrame(flow)), hash(udpFrame({ ...flow, sourcePort: 1001 })));
  t.not(hash(udpFrame(flow)), hash(tcpFrame({ ...flow, sequence: 0, flags: 2 })));
  t.equal(hash(udpFrame(flow), true), hash(udpFrame(back), true));
  const first = udpFrame(flow);
  const middle = udpFrame({ ...flow, sourcePort: 7, destinationPort: 8 });
  first[20]! |= 0x20;
  middle[21] = 5;
  t.equal(hash(first), hash(middle), 'all fragments of a packet have the same');
  const layers = new Layers();
  layers.at(first, 0, first.length);
  t.strictSame([layers.isFragment, layers.hasTransport], [true, true], 'the first fragment has the ports');
  layers.at(middle, 0, middle.length);
  t.strictSame([layers.isFragment, layers.hasTransport], [true, false], 'a later one has none');
  t.equal(
    describeFrame(first, { showLink: false }),
    'IPv4 10.0.0.1.1000 > 10.0.0.2.53: UDP (first fragment), length 0',
  );
  t.equal(describeFrame(middle, { showLink: false }), 'IPv4 10.0.0.1 > 10.0.0.2: fragment of UDP, length 8');
  t.equal(flowHash(new Uint8Array(13)), 0);
  const seen = new Array<number>(16).fill(0);
  for (let i = 0; i < 16_000; i += 1)
    seen[hash(udpFrame({ ...flow, sourcePort: 1000 + (i % 4000), source: `10.0.${i >> 12}.1` }), true) & 15]! += 1;
  t.ok(Math.min(...seen) > 850 && Math.max(...seen) < 1150, `16000 flows over 16 workers: ${seen.join(' ')}`);
  fc.assert(
    fc.property(
      fc.oneof(
        ipv6Text.map((a) => [a, two.six] as const),
        ipv4Text.map((a) => [a, two.four] as const),
      ),
      port,
      port,
      ([a, b], p, q) => {
        const there = udpFrame({ ...link, source: a, destination: b, sourcePort: p, destinationPort: q });
        const again = udpFrame({ ...link, source: b, destination: a, sourcePort: q, destinationPort: p });
        return hash(there, true) === hash(again, true);
      },
    ),
  );
  t.pass('symmetric for all addresses and ports');
});

void t.test('no bytes make a view, the layers, the hash or the description throw', async (t) => {
  const views = [
    new EthernetView(),
    new VlanView(),
    new ArpView(),
    new Ipv4View(),
    new Ipv6View(),
    new IcmpView(),
    new Icmpv6View(),
    new NeighborView(),
    new UdpView(),
    new TcpView(),
  ];
  const layers = new Layers();
  /** Calls every getter and every reading method of a view. */
  const readAll = (view: object): void => {
    for (
      let proto: object | null = Object.getPrototypeOf(view);
      proto !== null && proto !== Object.prototype;
      proto = Object.getPrototypeOf(proto)
    ) {
      for (const [name, property] of Object.entries(Object.getOwnPropertyDescriptors(proto))) {
        if (property.get !== undefined) {
          const value: unknown = property.get.call(view);
          if (value === undefined || Number.isNaN(value))
            throw new Error(`${view.constructor.name}.${name} is ${String(value)}`);
        } else if (['fields', 'options', 'walk'].includes(name)) (property.value as () => unknown).call(view);
        else if (name === 'checksumOk') (property.value as (at: number) => unknown).call(view, 0);
      }
    }
  };
  const samples = [
    udpFrame({ ...overFour, sourcePort: 1, destinationPort: 2, payload: new Uint8Array(20) }),
    tcpFrame({
      ...overSix,
      vlanId: 5,
      sourcePort: 1,
      destinationPort: 2,
      sequence: 1,
      flags: 2,
      options: [
        { type: 'mss', bytes: 1 },
        { type: 'sack', blocks: [[1, 2]] },
      ],
    }),
    neighborSolicitationFrame({ sourceMac: one.mac, source: 'fe80::1', target: 'fe80::2' }),
    icmpEchoFrame({
      ...overFour,
      identifier: 1,
      sequence: 2,
      payload: udpFrame({ ...overFour, sourcePort: 1, destinationPort: 2 }).subarray(14),
    }),
    arpRequestFrame({ senderMac: one.mac, senderIp: one.four, targetIp: two.four }),
  ];
  const broken = fc
    .tuple(fc.constantFrom(...samples), fc.nat(120), fc.array(fc.tuple(fc.nat(120), fc.nat(255)), { maxLength: 6 }))
    .map(([sample, cut, edits]) => {
      const bytes = sample.slice(0, Math.max(0, sample.length - (cut > 60 ? 0 : cut)));
      for (const [at, value] of edits) if (at < bytes.length) bytes[at] = value;
      return bytes;
    });
  fc.assert(
    fc.property(
      fc.oneof(fc.uint8Array({ maxLength: 130 }), broken, broken),
      fc.integer({ min: -3, max: 60 }),
      fc.integer({ min: -3, max: 140 }),
      (bytes, offset, length) => {
        for (const view of views) {
          view.at(bytes, offset, length);
          readAll(view);
          if (view.at(bytes, Math.max(0, offset))) readAll(view);
        }
        layers.at(bytes, offset, length);
        layers.atIp(bytes, offset, length);
        const line = describeFrame(bytes) + describeFrame(bytes, { linkType: LinkType.RAW });
        return (
          !/undefined|NaN/.test(line) &&
          Number.isInteger(flowHash(bytes, offset, length)) &&
          Number.isInteger(flowHash(bytes))
        );
      },
    ),
    { numRuns: 3000 },
  );
  t.pass('3000 random and broken frames');
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), fc.constantFrom(1 as const, 8 as const), (bytes, unit) => {
      const walk = new OptionWalk().at(bytes, 0, bytes.length + 5, unit);
      let end = 0;
      while (walk.next()) {
        if (walk.offset < end || walk.length < 1 || walk.offset + walk.length > bytes.length) return false;
        end = walk.offset + walk.length;
      }
      return !walk.next();
    }),
  );
  t.pass('a walk over options moves on, stays inside and ends');
});

void t.test('reading headers makes no garbage', async (t) => {
  const frame = tcpFrame({
    ...overSix,
    sourcePort: 1,
    destinationPort: 2,
    sequence: 1,
    flags: 2,
    payload: new Uint8Array(64),
  });
  const four = udpFrame({ ...overFour, sourcePort: 1, destinationPort: 2, payload: new Uint8Array(400) });
  const layers = new Layers();
  const ethernet = new EthernetView();
  const ipv4 = new Ipv4View();
  const udp = new UdpView();
  const tcp = new TcpView();
  let sum = 0;
  const burst = (count: number): void => {
    for (let i = 0; i < count; i += 1) {
      ethernet.at(four, 0, four.length);
      sum = (sum + ethernet.etherType) | 0;
      ipv4.at(four, 14, four.length - 14);
      ipv4.decrementTimeToLive();
      ipv4.timeToLive = 64;
      ipv4.fillChecksum();
      udp.at(four, 34, four.length - 34);
      sum = (sum + udp.destinationPort + (udp.checksumOk(14) ? 1 : 0)) | 0;
      layers.at(frame, 0, frame.length);
      tcp.at(frame, layers.transportOffset, layers.transportLength);
      sum = (sum + tcp.flags + (tcp.checksumOk(14) ? 1 : 0)) | 0;
      sum = (sum + (flowHash(frame, 0, frame.length, true) & 1)) | 0;
    }
  };
  burst(100_000);
  let least = Infinity;
  for (let attempt = 0; attempt < 5; attempt += 1) {
    const before = process.memoryUsage().heapUsed;
    burst(100_000);
    const grown = process.memoryUsage().heapUsed - before;
    if (grown >= 0) least = Math.min(least, grown);
  }
  t.ok(sum !== 0 && least < 800_000, `100000 packets left ${least} bytes: less than one object of 12 bytes each`);
});

void t.test('the examples in the source and on the page run', async (t) => {
  await testDocExamples(t, [...sourcesBelow('lib/net'), 'docs/net.md']);
});
