// One line of text for any frame, in the manner of tcpdump:
//
//   02:fe:00:00:00:01 > 02:fe:00:00:00:02, IPv4 10.0.0.1.5000 > 10.0.0.2.53: UDP, length 3
//
// It takes whatever the bytes are: what is cut off is called truncated, what is unknown is named by its number.

import { ArpView } from './arp.js';
import { u16, u32 } from './bytes.js';
import { EthernetView } from './ethernet.js';
import { Icmpv6View, IcmpView } from './icmp.js';
import { ipv4Text, ipv6Text } from './ip.js';
import { Layers } from './layers.js';
import { NeighborView } from './neighbor.js';
import { ArpOperation, EtherType, IcmpType, Icmpv6Type, IpProtocol } from './numbers.js';
import { LinkType } from './pcapng.js';
import { type TcpOption, TcpView } from './tcp.js';
import { UdpView } from './udp.js';

/** How deep errors quote packets that quote packets. */
const MAX_DEPTH = 2;

const layers = new Layers();
const ethernet = new EthernetView();
const arp = new ArpView();
const icmp = new IcmpView();
const icmp6 = new Icmpv6View();
const neighbor = new NeighborView();
const udp = new UdpView();
const tcp = new TcpView();

/** Names of numbers, made from the tables: 'echo request' from ECHO_REQUEST. */
function namesOf(table: Readonly<Record<string, number>>, upper = false): ReadonlyMap<number, string> {
  return new Map(
    Object.entries(table).map(([name, value]) => [value, upper ? name : name.toLowerCase().replaceAll('_', ' ')]),
  );
}

const icmpNames = namesOf(IcmpType);
const icmp6Names = namesOf(Icmpv6Type);
const protocolNames = namesOf(IpProtocol, true);

/** Destination unreachable, codes of RFC 792 and 1122. */
const unreachable4 = [
  'net unreachable',
  'host unreachable',
  'protocol unreachable',
  'port unreachable',
  'fragmentation needed',
  'source route failed',
];
/** Destination unreachable, codes of RFC 4443. */
const unreachable6 = [
  'no route',
  'administratively prohibited',
  'beyond scope of source',
  'address unreachable',
  'port unreachable',
  'source address failed policy',
  'reject route',
];

/** Options of `describeFrame`. */
export interface DescribeOptions {
  /** `LinkType.ETHERNET` (default) or `LinkType.RAW` for a bare IP packet. */
  linkType?: number;
  /** Whether to begin with the MAC addresses; default true. */
  showLink?: boolean;
}

/**
 * One line of text for a frame; never throws.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { TcpFlag, describeFrame, tcpFrame } from 'node-vpp/net';
 *
 * const frame = tcpFrame({
 *   sourceMac: '02:fe:00:00:00:01', destinationMac: '02:fe:00:00:00:02',
 *   source: '2001:db8::1', destination: '2001:db8::2', sourcePort: 40000, destinationPort: 443,
 *   sequence: 7, flags: TcpFlag.SYN, options: [{ type: 'mss', bytes: 1440 }],
 * });
 * assert.equal(
 *   describeFrame(frame, { showLink: false }),
 *   'IPv6 2001:db8::1.40000 > 2001:db8::2.443: TCP [S], seq 7, win 65535, options [mss 1440], length 0',
 * );
 * assert.equal(describeFrame(frame.subarray(0, 5)), 'truncated Ethernet header, 5 bytes');
 * ```
 */
export function describeFrame(bytes: Uint8Array, options: DescribeOptions = {}): string {
  if (options.linkType === LinkType.RAW) {
    if (layers.atIp(bytes, 0, bytes.length)) return describeIp(0);
    return `truncated or unknown IP packet, ${bytes.length} bytes`;
  }
  if (!layers.at(bytes, 0, bytes.length)) return `truncated Ethernet header, ${bytes.length} bytes`;
  let text = '';
  if (options.showLink !== false) {
    ethernet.at(bytes, 0, bytes.length);
    text = `${ethernet.source} > ${ethernet.destination}, `;
  }
  for (let tag = 0; tag < layers.tags; tag += 1) text += `vlan ${u16(bytes, 14 + tag * 4) & 0xfff}, `;
  return text + describeNetwork();
}

function describeNetwork(): string {
  const { bytes, etherType, networkOffset, networkLength, version } = layers;
  if (version !== 0) return describeIp(0);
  if (etherType === EtherType.IPV4) return `IPv4, truncated or malformed header, length ${networkLength}`;
  if (etherType === EtherType.IPV6) return `IPv6, truncated or malformed header, length ${networkLength}`;
  if (etherType === EtherType.ARP) return describeArp(bytes, networkOffset, networkLength);
  if (etherType < 1536) return `802.3, length ${etherType}`;
  return `ethertype ${hex(etherType)}, length ${networkLength}`;
}

function hex(value: number): string {
  return `0x${value.toString(16).padStart(4, '0')}`;
}

function describeArp(bytes: Uint8Array, offset: number, length: number): string {
  if (!arp.at(bytes, offset, length)) return `ARP, truncated or of other hardware, length ${length}`;
  const { operation, senderIp, senderMac, targetIp } = arp;
  if (operation === ArpOperation.REQUEST) return `ARP, request who-has ${targetIp} tell ${senderIp}, length ${length}`;
  if (operation === ArpOperation.REPLY) return `ARP, reply ${senderIp} is-at ${senderMac}, length ${length}`;
  return `ARP, operation ${operation} from ${senderIp} to ${targetIp}, length ${length}`;
}

/** The IP packet the layers point at; `depth` counts packets quoted in errors. */
function describeIp(depth: number): string {
  const { bytes, version, protocol, networkOffset, transportOffset, transportLength } = layers;
  const source = version === 4 ? ipv4Text(bytes, networkOffset + 12) : ipv6Text(bytes, networkOffset + 8);
  const destination = version === 4 ? ipv4Text(bytes, networkOffset + 16) : ipv6Text(bytes, networkOffset + 24);
  const head = `IPv${version} `;
  if (!layers.hasTransport) {
    const what = layers.isFragment ? 'fragment' : 'truncated';
    return `${head}${source} > ${destination}: ${what} of ${protocolName(protocol)}, length ${transportLength}`;
  }
  const fragment = layers.isFragment ? ' (first fragment)' : '';
  if (protocol === IpProtocol.UDP && udp.at(bytes, transportOffset, transportLength)) {
    const length = Math.max(0, udp.datagramLength - 8);
    const ends = `${source}.${udp.sourcePort} > ${destination}.${udp.destinationPort}`;
    return `${head}${ends}: UDP${fragment}, length ${length}`;
  }
  if (protocol === IpProtocol.TCP && tcp.at(bytes, transportOffset, transportLength)) {
    return `${head}${source}.${tcp.sourcePort} > ${destination}.${tcp.destinationPort}: ${describeTcp()}${fragment}`;
  }
  let body = `${protocolName(protocol)}, length ${transportLength}`;
  if (protocol === IpProtocol.ICMP && version === 4)
    body = describeIcmp(bytes, transportOffset, transportLength, depth);
  else if (protocol === IpProtocol.ICMPV6 && version === 6) {
    body = describeIcmp6(bytes, transportOffset, transportLength, depth);
  } else if (protocol === IpProtocol.UDP || protocol === IpProtocol.TCP) {
    body = `${protocolName(protocol)}, truncated or malformed header, length ${transportLength}`;
  }
  return `${head}${source} > ${destination}: ${body}${fragment}`;
}

function protocolName(protocol: number): string {
  return protocolNames.get(protocol) ?? `protocol ${protocol}`;
}

/** The packet an error quotes, in brackets. */
function quoted(bytes: Uint8Array, offset: number, length: number, depth: number): string {
  if (depth >= MAX_DEPTH || !layers.atIp(bytes, offset, length)) return '';
  return ` [${describeIp(depth + 1)}]`;
}

function describeIcmp(bytes: Uint8Array, offset: number, length: number, depth: number): string {
  if (!icmp.at(bytes, offset, length)) return `ICMP, truncated header, length ${length}`;
  const { type, code, identifier, sequence, nextHopMtu } = icmp;
  const tail = `, length ${length}`;
  if (type === IcmpType.ECHO_REQUEST || type === IcmpType.ECHO_REPLY) {
    return `ICMP ${icmpNames.get(type)!}, id ${identifier}, seq ${sequence}${tail}`;
  }
  let name = icmpNames.get(type) ?? `type ${type}`;
  if (type === IcmpType.DESTINATION_UNREACHABLE && code < unreachable4.length) name = unreachable4[code]!;
  else if (code !== 0) name += `, code ${code}`;
  if (type === IcmpType.DESTINATION_UNREACHABLE && code === 4) name += `, mtu ${nextHopMtu}`;
  if (!icmp.isError) return `ICMP ${name}${tail}`;
  return `ICMP ${name}${tail}${quoted(bytes, icmp.payloadOffset, icmp.payloadLength, depth)}`;
}

function describeIcmp6(bytes: Uint8Array, offset: number, length: number, depth: number): string {
  if (!icmp6.at(bytes, offset, length)) return `ICMPv6, truncated header, length ${length}`;
  const { type, code, identifier, sequence, mtu } = icmp6;
  const tail = `, length ${length}`;
  if (type === Icmpv6Type.ECHO_REQUEST || type === Icmpv6Type.ECHO_REPLY) {
    return `ICMPv6 ${icmp6Names.get(type)!}, id ${identifier}, seq ${sequence}${tail}`;
  }
  if (neighbor.at(bytes, offset, length)) return `ICMPv6 ${describeNeighbor(type)}${tail}`;
  let name = icmp6Names.get(type) ?? `type ${type}`;
  if (type === Icmpv6Type.DESTINATION_UNREACHABLE && code < unreachable6.length) name = unreachable6[code]!;
  else if (code !== 0) name += `, code ${code}`;
  if (type === Icmpv6Type.PACKET_TOO_BIG) name += `, mtu ${mtu}`;
  if (!icmp6.isError) return `ICMPv6 ${name}${tail}`;
  return `ICMPv6 ${name}${tail}${quoted(bytes, icmp6.payloadOffset, icmp6.payloadLength, depth)}`;
}

function describeNeighbor(type: number): string {
  const name = icmp6Names.get(type)!;
  if (type === Icmpv6Type.NEIGHBOR_SOLICITATION) return `${name}, who has ${neighbor.target}`;
  if (type === Icmpv6Type.NEIGHBOR_ADVERTISEMENT) {
    const at = neighbor.linkLayerOffset(2);
    const flags = [
      neighbor.router ? 'router' : '',
      neighbor.solicited ? 'solicited' : '',
      neighbor.override ? 'override' : '',
    ].filter((flag) => flag !== '');
    const option = at < 0 ? undefined : neighbor.options().find((each) => each.type === 'targetLinkLayer');
    const where = option === undefined ? '' : ` is at ${option.mac}`;
    return `${name}, ${neighbor.target}${where}${flags.length > 0 ? ` [${flags.join(' ')}]` : ''}`;
  }
  if (type === Icmpv6Type.REDIRECT) return `${name}, ${neighbor.destination} to ${neighbor.target}`;
  return name;
}

const flagLetters = ['F', 'S', 'R', 'P', '.', 'U', 'E', 'W'];

function describeTcp(): string {
  const { flags, sequence, acknowledgment, window, payloadLength } = tcp;
  const letters = flagLetters.filter((_, bit) => (flags & (1 << bit)) !== 0).join('');
  const sequences = payloadLength > 0 ? `${sequence}:${(sequence + payloadLength) >>> 0}` : String(sequence);
  let text = `TCP [${letters === '' ? 'none' : letters}], seq ${sequences}`;
  if (tcp.ack) text += `, ack ${acknowledgment}`;
  text += `, win ${window}`;
  const options = tcp.options();
  if (options.length > 0) text += `, options [${options.map(describeOption).join(',')}]`;
  return `${text}, length ${payloadLength}`;
}

function describeOption(option: TcpOption): string {
  switch (option.type) {
    case 'nop':
      return 'nop';
    case 'mss':
      return `mss ${option.bytes}`;
    case 'windowScale':
      return `wscale ${option.shift}`;
    case 'sackPermitted':
      return 'sackOK';
    case 'sack':
      return `sack ${option.blocks.map(([left, right]) => `{${left}:${right}}`).join('')}`;
    case 'timestamps':
      return `TS val ${option.value} ecr ${option.echo}`;
    case 'unknown':
      return `unknown-${option.kind} ${option.data.length >= 4 ? hex(u32(option.data, 0)) : ''}`.trimEnd();
  }
}
