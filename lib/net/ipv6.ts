// IPv6 (RFC 8200) and the walk over its extension headers.
//
//   0                   4                6             7           8        24            40
//   | v:4 class:8 flow:20 | payload length | next header | hop limit | source | destination | extension headers, payload
//
// Each extension header names the next one. The walk stops at the first number that is none of them (the upper layer),
// at ESP (nothing readable follows), at a header that is not all there, and after eight headers whatever they say.

import { ArgumentRangeError } from '../errors.js';
import { put16, put32, u16, u32, u8 } from './bytes.js';
import { ipv6Text, putIpv6 } from './ip.js';
import { IpProtocol } from './numbers.js';
import { HeaderView, fits, mustHold, pointed } from './view.js';

/** Length of an IPv6 header without extension headers. */
export const IPV6_LENGTH = 40;
/** How many extension headers are looked at. */
export const IPV6_MAX_EXTENSIONS = 8;

/** The fields of an IPv6 header. */
export interface Ipv6Fields {
  source: string;
  destination: string;
  /** One of `IpProtocol`, or another number. */
  nextHeader: number;
  /** Bytes that follow the header. */
  payloadLength: number;
  /** Default 64. */
  hopLimit?: number;
  /** DSCP and ECN, eight bits; default 0. */
  trafficClass?: number;
  /** Twenty bits, default 0. */
  flowLabel?: number;
}

/**
 * An IPv6 header in bytes.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { IpProtocol, Ipv6View, emitIpv6 } from 'node-vpp/net';
 *
 * const bytes = new Uint8Array(48);
 * emitIpv6(bytes, 0, { source: '2001:db8::1', destination: '2001:db8::2', nextHeader: IpProtocol.UDP, payloadLength: 8 });
 *
 * const view = Ipv6View.of(bytes);
 * assert.equal(view.walk(), true);
 * assert.deepEqual([view.upperProtocol, view.upperOffset, view.upperLength], [IpProtocol.UDP, 40, 8]);
 * ```
 */
export class Ipv6View extends HeaderView {
  /** After `walk`: the protocol at which the walk stopped. */
  upperProtocol = 0;
  /** After `walk`: where that protocol's header starts. */
  upperOffset = 0;
  /** After `walk`: bytes from there to the end of the packet, as far as they are there. */
  upperLength = 0;
  /** After `walk`: whether there is a fragment header. */
  isFragment = false;
  /** After `walk`: offset of the fragment in bytes; when it is not 0, what is at `upperOffset` is no header. */
  fragmentOffset = 0;
  /** After `walk`: whether more fragments follow. */
  moreFragments = false;

  /** A view pointed at a header; throws NetError `ERR_NET_FRAME` when it is not a whole IPv6 header. */
  static of(bytes: Uint8Array, offset?: number, length?: number): Ipv6View {
    return pointed(new Ipv6View(), 'an IPv6 header', bytes, offset, length);
  }

  at(bytes: Uint8Array, offset = 0, length = bytes.length - offset): boolean {
    if (!fits(bytes, offset, length, IPV6_LENGTH) || bytes[offset]! >> 4 !== 6) return this.nowhere();
    this.bytes = bytes;
    this.offset = offset;
    this.length = length;
    return true;
  }

  get trafficClass(): number {
    return (u16(this.bytes, this.offset) >> 4) & 0xff;
  }
  set trafficClass(value: number) {
    put16(this.bytes, this.offset, (u16(this.bytes, this.offset) & 0xf00f) | ((value & 0xff) << 4));
  }

  get flowLabel(): number {
    return u32(this.bytes, this.offset) & 0xf_ffff;
  }
  set flowLabel(value: number) {
    put32(this.bytes, this.offset, (u32(this.bytes, this.offset) & 0xfff0_0000) | (value & 0xf_ffff));
  }

  /** Length of what follows the header as the packet states it. */
  get statedLength(): number {
    return u16(this.bytes, this.offset + 4);
  }
  set statedLength(value: number) {
    put16(this.bytes, this.offset + 4, value);
  }

  get nextHeader(): number {
    return u8(this.bytes, this.offset + 6);
  }
  set nextHeader(value: number) {
    this.bytes[this.offset + 6] = value;
  }

  get hopLimit(): number {
    return u8(this.bytes, this.offset + 7);
  }
  set hopLimit(value: number) {
    this.bytes[this.offset + 7] = value;
  }

  /** Source as text (RFC 5952). */
  get source(): string {
    return this.length === 0 ? '' : ipv6Text(this.bytes, this.offset + 8);
  }
  set source(address: string) {
    putIpv6(this.bytes, this.offset + 8, address);
  }

  /** Destination as text (RFC 5952). */
  get destination(): string {
    return this.length === 0 ? '' : ipv6Text(this.bytes, this.offset + 24);
  }
  set destination(address: string) {
    putIpv6(this.bytes, this.offset + 24, address);
  }

  /** Where the sixteen bytes of the source are: no text, no copy. */
  get sourceOffset(): number {
    return this.offset + 8;
  }
  /** Where the sixteen bytes of the destination are: no text, no copy. */
  get destinationOffset(): number {
    return this.offset + 24;
  }

  get payloadOffset(): number {
    return this.offset + IPV6_LENGTH;
  }
  /** Bytes that follow the header: what the packet states, clamped to what may be read. */
  get payloadLength(): number {
    return Math.max(0, Math.min(this.statedLength, this.length - IPV6_LENGTH));
  }
  /** Whether all that the packet states is there. */
  get isWhole(): boolean {
    return this.length > 0 && this.statedLength <= this.length - IPV6_LENGTH;
  }

  /**
   * Walks the extension headers and sets `upperProtocol`, `upperOffset`, `upperLength` and the fragment fields.
   *
   * @returns false when the walk stopped at a header that is cut off or at the bound; the fields tell where
   */
  walk(): boolean {
    const { bytes } = this;
    const end = this.payloadOffset + this.payloadLength;
    let protocol = this.nextHeader;
    let at = this.payloadOffset;
    let understood = this.length > 0;
    this.isFragment = false;
    this.fragmentOffset = 0;
    this.moreFragments = false;
    for (let count = 0; isExtensionHeader(protocol); count += 1) {
      const next = extensionEnd(bytes, protocol, at, end);
      if (count === IPV6_MAX_EXTENSIONS || next === 0) {
        understood = false;
        break;
      }
      if (protocol === IpProtocol.FRAGMENT) {
        this.isFragment = true;
        this.fragmentOffset = u16(bytes, at + 2) & 0xfff8;
        this.moreFragments = (bytes[at + 3]! & 1) === 1;
      }
      protocol = bytes[at]!;
      at = next;
      // What follows in a later fragment is the middle of something.
      if (this.fragmentOffset !== 0) break;
    }
    this.upperProtocol = protocol;
    this.upperOffset = at;
    this.upperLength = end - at;
    return understood;
  }

  fields(): Required<Ipv6Fields> {
    const { source, destination, nextHeader, payloadLength, hopLimit, trafficClass, flowLabel } = this;
    return { source, destination, nextHeader, payloadLength, hopLimit, trafficClass, flowLabel };
  }
}

/** Whether a Next Header number is an extension header the walk can step over. */
export function isExtensionHeader(protocol: number): boolean {
  switch (protocol) {
    case IpProtocol.HOP_BY_HOP:
    case IpProtocol.ROUTING:
    case IpProtocol.FRAGMENT:
    case IpProtocol.AH:
    case IpProtocol.DESTINATION_OPTIONS:
    case IpProtocol.MOBILITY:
    case IpProtocol.HIP:
    case IpProtocol.SHIM6:
      return true;
    default:
      return false;
  }
}

/** Where the extension header at a place ends; 0 when it is not all there. */
export function extensionEnd(bytes: Uint8Array, protocol: number, at: number, end: number): number {
  if (at + 8 > end) return 0;
  let length = 8;
  if (protocol === IpProtocol.AH) length = (bytes[at + 1]! + 2) * 4;
  else if (protocol !== IpProtocol.FRAGMENT) length = (bytes[at + 1]! + 1) * 8;
  return at + length > end ? 0 : at + length;
}

/** Writes an IPv6 header; returns its length, 40. */
export function emitIpv6(bytes: Uint8Array, offset: number, fields: Ipv6Fields): number {
  mustHold('an IPv6 header', bytes, offset, IPV6_LENGTH);
  const { payloadLength, trafficClass = 0, flowLabel = 0 } = fields;
  if (payloadLength > 0xffff) {
    throw new ArgumentRangeError(
      `writing an IPv6 header: ${payloadLength} bytes of payload are more than a packet holds`,
    );
  }
  put32(bytes, offset, 0x6000_0000 | ((trafficClass & 0xff) << 20) | (flowLabel & 0xf_ffff));
  put16(bytes, offset + 4, payloadLength);
  bytes[offset + 6] = fields.nextHeader;
  bytes[offset + 7] = fields.hopLimit ?? 64;
  putIpv6(bytes, offset + 8, fields.source);
  putIpv6(bytes, offset + 24, fields.destination);
  return IPV6_LENGTH;
}
