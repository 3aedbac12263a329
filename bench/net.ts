// How fast packets are read, checked and described, and addresses read and written: one table.
//
//   node build/js/bench/net.js           every case, each in its own process
//   node build/js/bench/net.js parse     the cases whose name contains "parse"
//   … --seconds 5                        longer measurements of each case (default 1)
//
// The rate is Benchmark.js's, p50 and p99 are mitata's, of the same function in the same process. A case does BATCH
// operations per call, so that the call itself does not count, and its results are summed and shown to mitata's
// do_not_optimize. "ratio" compares with a peer that does the same work, in the row above.

import Benchmark from 'benchmark';
import { spawnSync } from 'node:child_process';
import net from 'node:net';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { do_not_optimize, measure } from 'mitata';
import {
  EthernetView,
  Ipv4View,
  Ipv6View,
  Layers,
  PcapngReader,
  PcapngWriter,
  UdpView,
  checksum,
  describeFrame,
  flowHash,
  formatIp,
  ipVersion,
  parseIp,
  parseMac,
  parsePrefix,
  prefixContains,
  udpFrame,
} from 'node-vpp/net';

const BATCH = 256;

interface Case {
  name: string;
  /** The case that is its peer, by name. */
  peer?: string;
  /** Makes the data and gives the function that does BATCH operations. */
  prepare: () => () => number;
}

/** A ring's worth of packets, 2048 bytes apart as in a memif region. */
function packets(payloadLength: number, six: boolean): { bytes: Uint8Array; length: number } {
  const bytes = new Uint8Array(new SharedArrayBuffer(BATCH * 2048));
  let length = 0;
  for (let i = 0; i < BATCH; i += 1) {
    const frame = udpFrame({
      sourceMac: '02:fe:00:00:00:01',
      destinationMac: '02:fe:00:00:00:02',
      source: six ? '2001:db8::1' : `10.0.${i}.1`,
      destination: six ? `2001:db8:${i.toString(16)}::2` : '10.1.0.1',
      sourcePort: 1000 + i,
      destinationPort: 53,
      payload: new Uint8Array(payloadLength).fill(i),
    });
    bytes.set(frame, i * 2048);
    length = frame.length;
  }
  return { bytes, length };
}

/** Texts of addresses, a different one each time. */
const texts6 = Array.from({ length: BATCH }, (_, i) => `2001:db8:${i.toString(16)}::${(i * 77).toString(16)}:1`);
const texts4 = Array.from({ length: BATCH }, (_, i) => `10.${i}.${255 - i}.1`);

/** The checksum as it is usually written: a DataView, sixteen bits at a time. */
function checksumByDataView(bytes: Uint8Array, offset: number, length: number): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset + offset, length);
  let sum = 0;
  let i = 0;
  for (; i + 1 < length; i += 2) sum += view.getUint16(i);
  if (i < length) sum += view.getUint8(i) << 8;
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

const checksumCase = (length: number, of: (bytes: Uint8Array, offset: number, length: number) => number) => () => {
  const bytes = new Uint8Array(new SharedArrayBuffer(BATCH * 2048)).map((_, i) => i * 31);
  return () => {
    let sum = 0;
    for (let i = 0; i < BATCH; i += 1) sum += of(bytes, i * 2048, length);
    return sum;
  };
};

const overTexts = (texts: readonly string[], of: (text: string) => number) => () => () => {
  let sum = 0;
  for (let i = 0; i < BATCH; i += 1) sum += of(texts[i]!);
  return sum;
};

const cases: readonly Case[] = [
  {
    name: 'parse Ethernet, IPv4, UDP (views)',
    prepare: () => {
      const { bytes, length } = packets(18, false);
      const ethernet = new EthernetView();
      const ipv4 = new Ipv4View();
      const udp = new UdpView();
      return () => {
        let sum = 0;
        for (let i = 0; i < BATCH; i += 1) {
          if (!ethernet.at(bytes, i * 2048, length) || ethernet.etherType !== 0x0800) continue;
          if (!ipv4.at(bytes, ethernet.payloadOffset, ethernet.payloadLength) || ipv4.protocol !== 17) continue;
          if (!udp.at(bytes, ipv4.payloadOffset, ipv4.payloadLength)) continue;
          sum = (sum + udp.destinationPort + (ipv4.destinationNumber & 255)) | 0;
        }
        return sum;
      };
    },
  },
  ...([4, 6] as const).map((version) => ({
    name: `parse layers, IPv${version}`,
    prepare: () => {
      const { bytes, length } = packets(18, version === 6);
      const layers = new Layers();
      return () => {
        let sum = 0;
        for (let i = 0; i < BATCH; i += 1) if (layers.at(bytes, i * 2048, length)) sum += layers.transportOffset;
        return sum;
      };
    },
  })),
  {
    name: 'forward IPv4: check, TTL - 1, checksum',
    prepare: () => {
      const { bytes, length } = packets(18, false);
      const ipv4 = new Ipv4View();
      return () => {
        let sum = 0;
        for (let i = 0; i < BATCH; i += 1) {
          if (!ipv4.at(bytes, i * 2048 + 14, length - 14) || !ipv4.checksumOk) continue;
          if (ipv4.timeToLive < 2) ipv4.timeToLive = 255;
          ipv4.decrementTimeToLive();
          ipv4.fillChecksum();
          sum += ipv4.timeToLive;
        }
        return sum;
      };
    },
  },
  ...([4, 6] as const).map((version) => ({
    name: `flow hash, IPv${version}`,
    prepare: () => {
      const { bytes, length } = packets(18, version === 6);
      return () => {
        let sum = 0;
        for (let i = 0; i < BATCH; i += 1) sum = (sum + flowHash(bytes, i * 2048, length, true)) | 0;
        return sum;
      };
    },
  })),
  ...[64, 1500].flatMap((length): Case[] => [
    { name: `checksum ${length} B, by DataView`, prepare: checksumCase(length, checksumByDataView) },
    {
      name: `checksum ${length} B`,
      peer: `checksum ${length} B, by DataView`,
      prepare: checksumCase(length, checksum),
    },
  ]),
  { name: 'is it IPv6, node:net isIPv6', prepare: overTexts(texts6, (text) => (net.isIPv6(text) ? 1 : 0)) },
  { name: 'is it IPv6', peer: 'is it IPv6, node:net isIPv6', prepare: overTexts(texts6, (text) => ipVersion(text)) },
  { name: 'is it IPv4, node:net isIPv4', prepare: overTexts(texts4, (text) => (net.isIPv4(text) ? 1 : 0)) },
  { name: 'is it IPv4', peer: 'is it IPv4, node:net isIPv4', prepare: overTexts(texts4, (text) => ipVersion(text)) },
  { name: 'parse IPv6 to bytes', prepare: overTexts(texts6, (text) => parseIp(text)[15]!) },
  { name: 'parse IPv4 to bytes', prepare: overTexts(texts4, (text) => parseIp(text)[3]!) },
  {
    name: 'parse MAC to bytes',
    prepare: overTexts(
      ['02:fe:00:00:00:01'].concat(
        ...Array.from({ length: BATCH }, (_, i) => `02:fe:00:00:00:${(i & 255).toString(16).padStart(2, '0')}`),
      ),
      (text) => parseMac(text)[5]!,
    ),
  },
  {
    name: 'format IPv6, URL',
    prepare: overTexts(texts6, (text) => new URL(`http://[${text}]/`).hostname.length),
  },
  {
    name: 'format IPv6',
    peer: 'format IPv6, URL',
    prepare: () => {
      const addresses = texts6.map(parseIp);
      return () => {
        let sum = 0;
        for (let i = 0; i < BATCH; i += 1) sum += formatIp(addresses[i]!).length;
        return sum;
      };
    },
  },
  {
    name: 'prefix contains text, node:net BlockList',
    prepare: () => {
      const list = new net.BlockList();
      list.addSubnet('10.128.0.0', 9, 'ipv4');
      return overTexts(texts4, (text) => (list.check(text, 'ipv4') ? 1 : 0))();
    },
  },
  {
    name: 'prefix contains text',
    peer: 'prefix contains text, node:net BlockList',
    prepare: () => {
      const prefix = parsePrefix('10.128.0.0/9');
      return overTexts(texts4, (text) => (prefix.contains(text) ? 1 : 0))();
    },
  },
  {
    name: 'prefix contains, both text',
    prepare: overTexts(texts4, (text) => (prefixContains('10.128.0.0/9', text) ? 1 : 0)),
  },
  {
    name: 'prefix contains bytes',
    prepare: () => {
      const { bytes } = packets(18, true);
      const view = new Ipv6View();
      const prefix = parsePrefix('2001:db8:80::/41');
      return () => {
        let sum = 0;
        for (let i = 0; i < BATCH; i += 1) {
          view.at(bytes, i * 2048 + 14, 66);
          if (prefix.containsBytes(bytes, view.destinationOffset)) sum += 1;
        }
        return sum;
      };
    },
  },
  {
    name: 'describe a frame',
    prepare: () => {
      const { bytes, length } = packets(18, false);
      const frames = Array.from({ length: BATCH }, (_, i) => bytes.subarray(i * 2048, i * 2048 + length));
      return () => {
        let sum = 0;
        for (const frame of frames) sum += describeFrame(frame).length;
        return sum;
      };
    },
  },
  {
    name: 'pcapng write a packet of 60 B',
    prepare: () => {
      const { bytes, length } = packets(18, false);
      const writer = new PcapngWriter();
      writer.section();
      writer.interface({ linkType: 1 });
      return () => {
        let sum = 0;
        for (let i = 0; i < BATCH; i += 1) {
          sum += writer.packet({ interfaceId: 0, timestampNs: 5n, bytes, offset: i * 2048, length }).length;
        }
        return sum;
      };
    },
  },
  {
    name: 'pcapng read a packet of 60 B',
    prepare: () => {
      const { bytes, length } = packets(18, false);
      const writer = new PcapngWriter();
      const begin = Buffer.concat([writer.section(), writer.interface({ linkType: 1 })]);
      const file = Buffer.concat(
        Array.from({ length: BATCH }, (_, i) =>
          writer.packet({ interfaceId: 0, timestampNs: 5n, bytes, offset: i * 2048, length }),
        ),
      );
      const reader = new PcapngReader();
      reader.push(begin);
      return () => reader.push(file).length;
    },
  },
];

interface Figures {
  /** Operations per second. */
  rate: number;
  /** Relative margin of error of the rate in percent. */
  margin: number;
  p50Ns: number;
  p99Ns: number;
}

/** What the child does: one case. */
async function measureCase(wanted: Case, seconds: number): Promise<Figures> {
  const run = wanted.prepare();
  let sink = 0;
  const consumed = (): void => {
    sink += run();
    do_not_optimize(sink);
  };
  const spread = await measure(consumed, { min_cpu_time: 200e6 });
  const bench = new Benchmark(wanted.name, consumed, { maxTime: seconds });
  bench.run();
  if (sink === 0) throw new Error(`${wanted.name}: nothing was computed`);
  return { rate: bench.hz * BATCH, margin: bench.stats.rme, p50Ns: spread.p50 / BATCH, p99Ns: spread.p99 / BATCH };
}

const { values, positionals } = parseArgs({
  options: { case: { type: 'string' }, seconds: { type: 'string', default: '1' } },
  allowPositionals: true,
});
if (values.case !== undefined) {
  process.stdout.write(JSON.stringify(await measureCase(cases[Number(values.case)]!, Number(values.seconds))));
} else {
  const chosen = cases.filter(
    ({ name }) => positionals.length === 0 || positionals.some((word) => name.includes(word)),
  );
  const rates = new Map<string, number>();
  console.log(`node ${process.version}, ${process.arch}; operations of lib/net`);
  console.log(
    `${'case'.padEnd(42)} ${'rate'.padStart(12)} ${'±'.padStart(6)} ${'p50'.padStart(10)} ${'p99'.padStart(10)}  ratio to peer`,
  );
  for (const each of chosen) {
    const child = spawnSync(
      process.execPath,
      [fileURLToPath(import.meta.url), '--case', String(cases.indexOf(each)), '--seconds', values.seconds],
      {
        encoding: 'utf8',
      },
    );
    if (child.status !== 0) throw new Error(`the case "${each.name}" ended with ${child.status}: ${child.stderr}`);
    const { rate, margin, p50Ns, p99Ns } = JSON.parse(child.stdout) as Figures;
    rates.set(each.name, rate);
    const peer = each.peer === undefined ? undefined : rates.get(each.peer);
    const ratio = peer === undefined ? '' : `${(rate / peer).toFixed(1)}x`;
    const mega = `${(rate / 1e6).toFixed(rate < 1e7 ? 2 : 1)} M/s`;
    console.log(
      `${each.name.padEnd(42)} ${mega.padStart(12)} ${`${margin.toFixed(0)} %`.padStart(6)} ${`${p50Ns.toFixed(1)} ns`.padStart(10)} ${`${p99Ns.toFixed(1)} ns`.padStart(10)}  ${ratio}`,
    );
  }
}
