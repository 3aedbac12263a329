// IPv4 (RFC 791).
//
//   0     1     2           4            6               8     9       10        12      16           20
//   | v:4 | DSCP| total     | identifi-  | flags:3       | TTL | proto | checksum| source| destination| options …
//   | l:4 | ECN | length    | cation     | frag offset:13|     |       |         |       |            | to IHL * 4
//
// `at` asks for version 4 and the whole header with its options. The total length may be larger than what is there (a
// capture cut short): `payloadLength` is clamped, `isWhole` tells.

import { ArgumentRangeError } from '../errors.js';
import { checksum, checksumUpdate16, checksumUpdate32 } from './checksum.js';
import { put16, put32, u16, u32, u8 } from './bytes.js';
import { ipv4Text, putIpv4 } from './ip.js';
import { OptionWalk } from './options.js';
import { HeaderView, fits, mustHold, pointed } from './view.js';

/** Length of an IPv4 header without options. */
export const IPV4_LENGTH = 20;

/** One option; the data are without type and length. Type 1 (no operation) has none. */
export interface Ipv4Option {
  type: number;
  data: Uint8Array;
}

/** The fields of an IPv4 header. The checksum is computed, the version is 4. */
export interface Ipv4Fields {
  source: string;
  destination: string;
  /** One of `IpProtocol`, or another number. */
  protocol: number;
  /** Bytes that follow the header. */
  payloadLength: number;
  /** Default 64. */
  timeToLive?: number;
  /** Six bits, default 0. */
  dscp?: number;
  /** Two bits, default 0. */
  ecn?: number;
  /** Default 0. */
  identification?: number;
  /** Default false. */
  dontFragment?: boolean;
  /** Default false. */
  moreFragments?: boolean;
  /** In bytes, a multiple of 8; default 0. */
  fragmentOffset?: number;
  /** Default none. */
  options?: readonly Ipv4Option[];
}

const walk = new OptionWalk();

/**
 * An IPv4 header in bytes.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { IpProtocol, Ipv4View, emitIpv4 } from 'node-vpp/net';
 *
 * const bytes = new Uint8Array(28);
 * emitIpv4(bytes, 0, { source: '10.0.0.1', destination: '10.0.0.2', protocol: IpProtocol.UDP, payloadLength: 8 });
 *
 * const view = Ipv4View.of(bytes);
 * assert.equal(view.checksumOk, true);
 * view.decrementTimeToLive();
 * assert.deepEqual([view.timeToLive, view.checksumOk], [63, true]);
 * ```
 */
export class Ipv4View extends HeaderView {
  /** A view pointed at a header; throws NetError `ERR_NET_FRAME` when it is not a whole IPv4 header. */
  static of(bytes: Uint8Array, offset?: number, length?: number): Ipv4View {
    return pointed(new Ipv4View(), 'an IPv4 header', bytes, offset, length);
  }

  at(bytes: Uint8Array, offset = 0, length = bytes.length - offset): boolean {
    if (!fits(bytes, offset, length, IPV4_LENGTH)) return this.nowhere();
    const first = bytes[offset]!;
    const headerLength = (first & 15) * 4;
    if (first >> 4 !== 4 || headerLength < IPV4_LENGTH || headerLength > length) return this.nowhere();
    this.bytes = bytes;
    this.offset = offset;
    this.length = length;
    return true;
  }

  /** Length of the header with its options, 20 … 60. */
  get headerLength(): number {
    return (this.bytes[this.offset]! & 15) * 4;
  }

  get dscp(): number {
    return this.bytes[this.offset + 1]! >> 2;
  }
  set dscp(value: number) {
    this.bytes[this.offset + 1] = (this.bytes[this.offset + 1]! & 3) | (value << 2);
  }

  get ecn(): number {
    return this.bytes[this.offset + 1]! & 3;
  }

  /** Length of header and payload as the packet states it. */
  get totalLength(): number {
    return u16(this.bytes, this.offset + 2);
  }
  set totalLength(value: number) {
    put16(this.bytes, this.offset + 2, value);
  }

  get identification(): number {
    return u16(this.bytes, this.offset + 4);
  }

  get dontFragment(): boolean {
    return (this.bytes[this.offset + 6]! & 0x40) !== 0;
  }
  get moreFragments(): boolean {
    return (this.bytes[this.offset + 6]! & 0x20) !== 0;
  }
  /** In bytes. */
  get fragmentOffset(): number {
    return (u16(this.bytes, this.offset + 6) & 0x1fff) * 8;
  }
  /** Whether the packet is a fragment, the first included. */
  get isFragment(): boolean {
    return (u16(this.bytes, this.offset + 6) & 0x3fff) !== 0;
  }

  get timeToLive(): number {
    return u8(this.bytes, this.offset + 8);
  }
  set timeToLive(value: number) {
    this.bytes[this.offset + 8] = value;
  }

  get protocol(): number {
    return u8(this.bytes, this.offset + 9);
  }
  set protocol(value: number) {
    this.bytes[this.offset + 9] = value;
  }

  get checksum(): number {
    return u16(this.bytes, this.offset + 10);
  }
  set checksum(value: number) {
    put16(this.bytes, this.offset + 10, value);
  }

  /** Source as text. */
  get source(): string {
    return this.length === 0 ? '' : ipv4Text(this.bytes, this.offset + 12);
  }
  set source(address: string) {
    putIpv4(this.bytes, this.offset + 12, address);
  }

  /** Destination as text. */
  get destination(): string {
    return this.length === 0 ? '' : ipv4Text(this.bytes, this.offset + 16);
  }
  set destination(address: string) {
    putIpv4(this.bytes, this.offset + 16, address);
  }

  /** Source as a number below 2^32: no text is made. */
  get sourceNumber(): number {
    return u32(this.bytes, this.offset + 12);
  }
  set sourceNumber(value: number) {
    put32(this.bytes, this.offset + 12, value);
  }

  /** Destination as a number below 2^32: no text is made. */
  get destinationNumber(): number {
    return u32(this.bytes, this.offset + 16);
  }
  set destinationNumber(value: number) {
    put32(this.bytes, this.offset + 16, value);
  }

  get payloadOffset(): number {
    return this.offset + this.headerLength;
  }

  /** Bytes of payload that are there: the total length without the header, clamped to what may be read. */
  get payloadLength(): number {
    return Math.max(0, Math.min(this.totalLength, this.length) - this.headerLength);
  }

  /** Whether the total length is possible and all of it is there. */
  get isWhole(): boolean {
    return this.totalLength >= this.headerLength && this.totalLength <= this.length;
  }

  /** Whether the header checksum is right. */
  get checksumOk(): boolean {
    return checksum(this.bytes, this.offset, this.headerLength) === 0;
  }

  /** Computes and stores the header checksum. */
  fillChecksum(): void {
    this.checksum = 0;
    this.checksum = checksum(this.bytes, this.offset, this.headerLength);
  }

  /** Takes one from the time to live and corrects the checksum, as a router does. */
  decrementTimeToLive(): void {
    const before = u16(this.bytes, this.offset + 8);
    this.timeToLive = (before >> 8) - 1;
    this.checksum = checksumUpdate16(this.checksum, before, u16(this.bytes, this.offset + 8));
  }

  /** Replaces the source and corrects the header checksum (not the one of TCP or UDP), as address translation does. */
  rewriteSource(address: number): void {
    this.checksum = checksumUpdate32(this.checksum, this.sourceNumber, address);
    this.sourceNumber = address;
  }

  /** Replaces the destination and corrects the header checksum (not the one of TCP or UDP). */
  rewriteDestination(address: number): void {
    this.checksum = checksumUpdate32(this.checksum, this.destinationNumber, address);
    this.destinationNumber = address;
  }

  /** The options up to the end of the list or the first malformed one; data are copies. */
  options(): Ipv4Option[] {
    const list: Ipv4Option[] = [];
    walk.at(this.bytes, this.offset + IPV4_LENGTH, this.headerLength - IPV4_LENGTH);
    while (walk.next()) {
      list.push({ type: walk.type, data: this.bytes.slice(walk.offset + 2, walk.offset + walk.length) });
    }
    return list;
  }

  fields(): Required<Ipv4Fields> {
    return {
      source: this.source,
      destination: this.destination,
      protocol: this.protocol,
      payloadLength: this.payloadLength,
      timeToLive: this.timeToLive,
      dscp: this.dscp,
      ecn: this.ecn,
      identification: this.identification,
      dontFragment: this.dontFragment,
      moreFragments: this.moreFragments,
      fragmentOffset: this.fragmentOffset,
      options: this.options(),
    };
  }
}

/** Length of the header `emitIpv4` would write: 20 and its options, padded to four bytes. */
export function ipv4HeaderLength(options: readonly Ipv4Option[] = []): number {
  let length = IPV4_LENGTH;
  for (const option of options) length += option.type <= 1 ? 1 : 2 + option.data.length;
  return (length + 3) & ~3;
}

/** Writes an IPv4 header with its checksum; returns its length. */
export function emitIpv4(bytes: Uint8Array, offset: number, fields: Ipv4Fields): number {
  const { options = [], fragmentOffset = 0, payloadLength } = fields;
  const headerLength = ipv4HeaderLength(options);
  if (headerLength > 60)
    throw new ArgumentRangeError(`writing an IPv4 header: options make it ${headerLength} bytes, 60 is the most`);
  if (headerLength + payloadLength > 0xffff) {
    throw new ArgumentRangeError(
      `writing an IPv4 header: ${payloadLength} bytes of payload are more than a packet holds`,
    );
  }
  mustHold('an IPv4 header', bytes, offset, headerLength);
  bytes[offset] = 0x40 | (headerLength / 4);
  bytes[offset + 1] = ((fields.dscp ?? 0) << 2) | ((fields.ecn ?? 0) & 3);
  put16(bytes, offset + 2, headerLength + payloadLength);
  put16(bytes, offset + 4, fields.identification ?? 0);
  const flags = (fields.dontFragment === true ? 0x4000 : 0) | (fields.moreFragments === true ? 0x2000 : 0);
  put16(bytes, offset + 6, flags | ((fragmentOffset >> 3) & 0x1fff));
  bytes[offset + 8] = fields.timeToLive ?? 64;
  bytes[offset + 9] = fields.protocol;
  put16(bytes, offset + 10, 0);
  putIpv4(bytes, offset + 12, fields.source);
  putIpv4(bytes, offset + 16, fields.destination);
  let at = offset + IPV4_LENGTH;
  for (const { type, data } of options) {
    bytes[at] = type;
    at += 1;
    if (type <= 1) continue;
    bytes[at] = data.length + 2;
    bytes.set(data, at + 1);
    at += 1 + data.length;
  }
  bytes.fill(0, at, offset + headerLength);
  put16(bytes, offset + 10, checksum(bytes, offset, headerLength));
  return headerLength;
}
