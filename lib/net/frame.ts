// Whole Ethernet frames from a few fields, checksums included: for tests, demos and answers to ARP and ping.
//
//   | Ethernet | VLAN tag? | IPv4 or IPv6, by the addresses | UDP / TCP / ICMP | payload |
//
// Each function makes a new array. A frame is as long as what it carries; the padding to 60 bytes is the wire's matter.

import { NetError } from '../errors.js';
import { ARP_LENGTH, emitArp } from './arp.js';
import { NOTHING } from './bytes.js';
import { ETHERNET_LENGTH, VLAN_LENGTH, emitEthernet, emitVlan } from './ethernet.js';
import { ICMP_LENGTH, Icmpv6View, IcmpView, echoRest, emitIcmp } from './icmp.js';
import { multicastMac, solicitedNode } from './ip-kind.js';
import { IPV4_LENGTH, emitIpv4 } from './ipv4.js';
import { IPV6_LENGTH, emitIpv6 } from './ipv6.js';
import { BROADCAST_MAC, ZERO_MAC } from './mac.js';
import { type NeighborFields, emitNeighbor, neighborLength } from './neighbor.js';
import { ArpOperation, EtherType, IcmpType, Icmpv6Type, IpProtocol } from './numbers.js';
import { type TcpOption, TcpView, emitTcp, tcpHeaderLength } from './tcp.js';
import { UDP_LENGTH, UdpView, emitUdp } from './udp.js';

/** Where a frame goes: what all builders for IP take. */
export interface FrameAddresses {
  sourceMac: string;
  destinationMac: string;
  /** IPv4 or IPv6; must be the family of `destination`. */
  source: string;
  destination: string;
  /** Tags the frame (0x8100). */
  vlanId?: number;
  /** Time to live or hop limit, default 64. */
  hopLimit?: number;
}

interface Begun {
  bytes: Uint8Array;
  /** Where the IP header starts. */
  network: number;
  /** Where the message above IP starts. */
  transport: number;
}

function linkHeader(
  destination: string,
  source: string,
  etherType: number,
  vlanId: number | undefined,
  payloadLength: number,
): { bytes: Uint8Array; at: number } {
  const tagLength = vlanId === undefined ? 0 : VLAN_LENGTH;
  const bytes = new Uint8Array(ETHERNET_LENGTH + tagLength + payloadLength);
  const outer = vlanId === undefined ? etherType : EtherType.VLAN;
  emitEthernet(bytes, 0, { destination, source, etherType: outer });
  if (vlanId !== undefined) {
    emitVlan(bytes, ETHERNET_LENGTH, { vlanId, priority: 0, dropEligible: false, etherType });
  }
  return { bytes, at: ETHERNET_LENGTH + tagLength };
}

/** Whether the two addresses are IPv6; throws when they differ in family. */
function isSix(to: FrameAddresses): boolean {
  const six = to.source.includes(':');
  if (six === to.destination.includes(':')) return six;
  throw new NetError(
    'ERR_NET_ADDRESS',
    `building a frame from ${to.source} to ${to.destination}: the two are of different families; use two of the same`,
  );
}

function begin(to: FrameAddresses, protocol: number, length: number): Begun {
  const six = isSix(to);
  const { source, destination, hopLimit = 64 } = to;
  const headerLength = six ? IPV6_LENGTH : IPV4_LENGTH;
  const etherType = six ? EtherType.IPV6 : EtherType.IPV4;
  const { bytes, at } = linkHeader(to.destinationMac, to.sourceMac, etherType, to.vlanId, headerLength + length);
  if (six) emitIpv6(bytes, at, { source, destination, nextHeader: protocol, payloadLength: length, hopLimit });
  else emitIpv4(bytes, at, { source, destination, protocol, payloadLength: length, timeToLive: hopLimit });
  return { bytes, network: at, transport: at + headerLength };
}

/**
 * "Who has `targetIp`? Tell `senderIp`", to everybody.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { arpRequestFrame, describeFrame } from 'node-vpp/net';
 *
 * const frame = arpRequestFrame({ senderMac: '02:fe:00:00:00:01', senderIp: '10.0.0.1', targetIp: '10.0.0.2' });
 * assert.match(describeFrame(frame), /ARP, request who-has 10\.0\.0\.2 tell 10\.0\.0\.1/);
 * ```
 */
export function arpRequestFrame(fields: {
  senderMac: string;
  senderIp: string;
  targetIp: string;
  vlanId?: number;
}): Uint8Array {
  const { senderMac, senderIp, targetIp, vlanId } = fields;
  const { bytes, at } = linkHeader(BROADCAST_MAC, senderMac, EtherType.ARP, vlanId, ARP_LENGTH);
  emitArp(bytes, at, { operation: ArpOperation.REQUEST, senderMac, senderIp, targetMac: ZERO_MAC, targetIp });
  return bytes;
}

/** "`senderIp` is at `senderMac`", to `targetMac`. */
export function arpReplyFrame(fields: {
  senderMac: string;
  senderIp: string;
  targetMac: string;
  targetIp: string;
  vlanId?: number;
}): Uint8Array {
  const { senderMac, senderIp, targetMac, targetIp, vlanId } = fields;
  const { bytes, at } = linkHeader(targetMac, senderMac, EtherType.ARP, vlanId, ARP_LENGTH);
  emitArp(bytes, at, { operation: ArpOperation.REPLY, senderMac, senderIp, targetMac, targetIp });
  return bytes;
}

/** An echo ("ping") request, or with `reply` the answer to one; ICMP or ICMPv6 by the addresses. */
export function icmpEchoFrame(
  fields: FrameAddresses & { identifier: number; sequence: number; payload?: Uint8Array; reply?: boolean },
): Uint8Array {
  const { identifier, sequence, payload = NOTHING, reply = false } = fields;
  const six = isSix(fields);
  const length = ICMP_LENGTH + payload.length;
  const { bytes, network, transport } = begin(fields, six ? IpProtocol.ICMPV6 : IpProtocol.ICMP, length);
  const rest = echoRest(identifier, sequence);
  bytes.set(payload, transport + ICMP_LENGTH);
  if (six) {
    emitIcmp(bytes, transport, { type: reply ? Icmpv6Type.ECHO_REPLY : Icmpv6Type.ECHO_REQUEST, code: 0, rest });
    Icmpv6View.of(bytes, transport, length).fillChecksum(network);
  } else {
    emitIcmp(bytes, transport, { type: reply ? IcmpType.ECHO_REPLY : IcmpType.ECHO_REQUEST, code: 0, rest });
    IcmpView.of(bytes, transport, length).fillChecksum();
  }
  return bytes;
}

/** A UDP datagram over IPv4 or IPv6. */
export function udpFrame(
  fields: FrameAddresses & { sourcePort: number; destinationPort: number; payload?: Uint8Array },
): Uint8Array {
  const { sourcePort, destinationPort, payload = NOTHING } = fields;
  const length = UDP_LENGTH + payload.length;
  const { bytes, network, transport } = begin(fields, IpProtocol.UDP, length);
  emitUdp(bytes, transport, { sourcePort, destinationPort, payloadLength: payload.length });
  bytes.set(payload, transport + UDP_LENGTH);
  UdpView.of(bytes, transport, length).fillChecksum(network);
  return bytes;
}

/** A TCP segment over IPv4 or IPv6. */
export function tcpFrame(
  fields: FrameAddresses & {
    sourcePort: number;
    destinationPort: number;
    sequence: number;
    acknowledgment?: number;
    /** Bits of `TcpFlag`. */
    flags: number;
    window?: number;
    options?: readonly TcpOption[];
    payload?: Uint8Array;
  },
): Uint8Array {
  const { payload = NOTHING } = fields;
  const headerLength = tcpHeaderLength(fields.options);
  const length = headerLength + payload.length;
  const { bytes, network, transport } = begin(fields, IpProtocol.TCP, length);
  emitTcp(bytes, transport, fields);
  bytes.set(payload, transport + headerLength);
  TcpView.of(bytes, transport, length).fillChecksum(network);
  return bytes;
}

/** A neighbor discovery message with hop limit 255, as RFC 4861 wants it. */
export function neighborFrame(addresses: Omit<FrameAddresses, 'hopLimit'>, message: NeighborFields): Uint8Array {
  const length = neighborLength(message);
  const { bytes, network, transport } = begin({ ...addresses, hopLimit: 255 }, IpProtocol.ICMPV6, length);
  emitNeighbor(bytes, transport, message);
  Icmpv6View.of(bytes, transport, length).fillChecksum(network);
  return bytes;
}

/** "Who has `target`?", to its solicited-node group. */
export function neighborSolicitationFrame(fields: {
  sourceMac: string;
  source: string;
  target: string;
  vlanId?: number;
}): Uint8Array {
  const { target, ...from } = fields;
  const destination = solicitedNode(target);
  return neighborFrame(
    { ...from, destination, destinationMac: multicastMac(destination) },
    {
      type: Icmpv6Type.NEIGHBOR_SOLICITATION,
      target,
      options: [{ type: 'sourceLinkLayer', mac: fields.sourceMac }],
    },
  );
}

/** "`source` is at `sourceMac`", the solicited answer to `destination`. */
export function neighborAdvertisementFrame(
  fields: Omit<FrameAddresses, 'hopLimit'> & { target?: string; router?: boolean },
): Uint8Array {
  return neighborFrame(fields, {
    type: Icmpv6Type.NEIGHBOR_ADVERTISEMENT,
    target: fields.target ?? fields.source,
    router: fields.router ?? false,
    solicited: true,
    override: true,
    options: [{ type: 'targetLinkLayer', mac: fields.sourceMac }],
  });
}
