// `node-vpp/net`: addresses, prefixes, header views, checksums, frames and pcapng. No I/O.

export * from './arp.js';
export * from './checksum.js';
export * from './describe.js';
export * from './ethernet.js';
export * from './flow.js';
export * from './frame.js';
export * from './icmp.js';
export {
  type IpVersion,
  compareIp,
  formatIp,
  formatIpv4,
  formatIpv6,
  ipFromBigint,
  ipToBigint,
  ipVersion,
  ipv4FromNumber,
  ipv4ToNumber,
  isIpv4,
  isIpv6,
  normalizeIp,
  parseIp,
  parseIpv4,
  parseIpv6,
  putIpv4,
  putIpv6,
} from './ip.js';
export * from './ip-kind.js';
export { type Ipv4Fields, type Ipv4Option, IPV4_LENGTH, Ipv4View, emitIpv4, ipv4HeaderLength } from './ipv4.js';
export { type Ipv6Fields, IPV6_LENGTH, IPV6_MAX_EXTENSIONS, Ipv6View, emitIpv6, isExtensionHeader } from './ipv6.js';
export * from './layers.js';
export {
  BROADCAST_MAC,
  MAC_LENGTH,
  ZERO_MAC,
  compareMac,
  formatMac,
  isBroadcastMac,
  isLocalMac,
  isMac,
  isMulticastMac,
  macFromNumber,
  macToNumber,
  normalizeMac,
  parseMac,
  putMac,
} from './mac.js';
export * from './neighbor.js';
export * from './numbers.js';
export * from './options.js';
export {
  type Direction,
  type InterfaceCounters,
  type InterfaceInfo,
  type InterfaceRecord,
  LinkType,
  type PacketRecord,
  type PcapngRecord,
  type SectionInfo,
  type SectionRecord,
  type StatisticsRecord,
} from './pcapng.js';
export * from './pcapng-reader.js';
export * from './pcapng-writer.js';
export * from './prefix.js';
export * from './tcp.js';
export * from './udp.js';
export { HeaderView } from './view.js';
