// ICMP (RFC 792) and the common header of ICMPv6 (RFC 4443): type, code, checksum, four bytes whose meaning follows
// from the type, and a body.
//
//   0      1      2          4                              8
//   | type | code | checksum | identifier | sequence        | data                  echo
//   |      |      |          | unused     | next hop's MTU  | the packet at fault   unreachable, time exceeded
//   |      |      |          | pointer / MTU (ICMPv6)       | the packet at fault   parameter problem, too big
//
// The two differ in the checksum: ICMPv6 adds the pseudo header, so that its view needs to know where IPv6 starts.

import { put16, put32, u16, u32, u8 } from './bytes.js';
import { checksum, transportChecksum } from './checksum.js';
import { Icmpv6Type, IcmpType, IpProtocol } from './numbers.js';
import { HeaderView, fits, mustHold, pointed } from './view.js';

/** Length of an ICMP or ICMPv6 header. */
export const ICMP_LENGTH = 8;

/** The fields of an ICMP or ICMPv6 header; the checksum is filled in when the body is in place. */
export interface IcmpFields {
  /** One of `IcmpType` or `Icmpv6Type`, or another number. */
  type: number;
  code: number;
  /** The four bytes after the checksum as a number; for echo use `echoRest`. Default 0. */
  rest?: number;
}

/** The `rest` of an echo message: identifier and sequence number. */
export function echoRest(identifier: number, sequence: number): number {
  return (((identifier & 0xffff) << 16) | (sequence & 0xffff)) >>> 0;
}

/** What ICMP and ICMPv6 share. */
abstract class IcmpCommonView extends HeaderView {
  get type(): number {
    return u8(this.bytes, this.offset);
  }
  set type(value: number) {
    this.bytes[this.offset] = value;
  }

  get code(): number {
    return u8(this.bytes, this.offset + 1);
  }
  set code(value: number) {
    this.bytes[this.offset + 1] = value;
  }

  get checksum(): number {
    return u16(this.bytes, this.offset + 2);
  }
  set checksum(value: number) {
    put16(this.bytes, this.offset + 2, value);
  }

  /** The four bytes after the checksum. */
  get rest(): number {
    return u32(this.bytes, this.offset + 4);
  }
  set rest(value: number) {
    put32(this.bytes, this.offset + 4, value);
  }

  /** Identifier of an echo. */
  get identifier(): number {
    return u16(this.bytes, this.offset + 4);
  }
  set identifier(value: number) {
    put16(this.bytes, this.offset + 4, value);
  }

  /** Sequence number of an echo. */
  get sequence(): number {
    return u16(this.bytes, this.offset + 6);
  }
  set sequence(value: number) {
    put16(this.bytes, this.offset + 6, value);
  }

  /** Where the body starts: the data of an echo, the packet at fault of an error. */
  get payloadOffset(): number {
    return this.offset + ICMP_LENGTH;
  }
  get payloadLength(): number {
    return this.length - ICMP_LENGTH;
  }

  fields(): Required<IcmpFields> {
    return { type: this.type, code: this.code, rest: this.rest };
  }
}

/** An ICMP message in bytes; point it with the length of the message, for padding would count in the checksum. */
export class IcmpView extends IcmpCommonView {
  /** A view pointed at a message; throws NetError `ERR_NET_FRAME` when its header is not all there. */
  static of(bytes: Uint8Array, offset?: number, length?: number): IcmpView {
    return pointed(new IcmpView(), 'an ICMP header', bytes, offset, length);
  }

  at(bytes: Uint8Array, offset = 0, length = bytes.length - offset): boolean {
    if (!fits(bytes, offset, length, ICMP_LENGTH)) return this.nowhere();
    this.bytes = bytes;
    this.offset = offset;
    this.length = length;
    return true;
  }

  /** Whether the message quotes the packet it is about. */
  get isError(): boolean {
    const { type } = this;
    return (
      type === IcmpType.DESTINATION_UNREACHABLE ||
      type === IcmpType.REDIRECT ||
      type === IcmpType.TIME_EXCEEDED ||
      type === IcmpType.PARAMETER_PROBLEM
    );
  }

  /** MTU of the next hop in "fragmentation needed" (type 3, code 4; RFC 1191). */
  get nextHopMtu(): number {
    return u16(this.bytes, this.offset + 6);
  }

  get checksumOk(): boolean {
    return checksum(this.bytes, this.offset, this.length) === 0;
  }

  /** Computes and stores the checksum over `length`, the whole message. */
  fillChecksum(): void {
    this.checksum = 0;
    this.checksum = checksum(this.bytes, this.offset, this.length);
  }
}

/** An ICMPv6 message in bytes; neighbor discovery has a view of its own on top, `NeighborView`. */
export class Icmpv6View extends IcmpCommonView {
  /** A view pointed at a message; throws NetError `ERR_NET_FRAME` when its header is not all there. */
  static of(bytes: Uint8Array, offset?: number, length?: number): Icmpv6View {
    return pointed(new Icmpv6View(), 'an ICMPv6 header', bytes, offset, length);
  }

  at(bytes: Uint8Array, offset = 0, length = bytes.length - offset): boolean {
    if (!fits(bytes, offset, length, ICMP_LENGTH)) return this.nowhere();
    this.bytes = bytes;
    this.offset = offset;
    this.length = length;
    return true;
  }

  /** Whether the message is an error, which quotes the packet it is about (types below 128). */
  get isError(): boolean {
    return this.length > 0 && this.type < Icmpv6Type.ECHO_REQUEST;
  }

  /** MTU in "packet too big". */
  get mtu(): number {
    return this.rest;
  }

  /** Whether the checksum is right; `networkOffset` is where the IPv6 header starts. */
  checksumOk(networkOffset: number): boolean {
    return transportChecksum(this.bytes, networkOffset, IpProtocol.ICMPV6, this.offset, this.length) === 0;
  }

  /** Computes and stores the checksum over `length`, the whole message. */
  fillChecksum(networkOffset: number): void {
    this.checksum = 0;
    this.checksum = transportChecksum(this.bytes, networkOffset, IpProtocol.ICMPV6, this.offset, this.length);
  }
}

/** Writes an ICMP or ICMPv6 header with checksum 0; returns its length, 8. `fillChecksum` does the rest. */
export function emitIcmp(bytes: Uint8Array, offset: number, fields: IcmpFields): number {
  mustHold('an ICMP header', bytes, offset, ICMP_LENGTH);
  bytes[offset] = fields.type;
  bytes[offset + 1] = fields.code;
  put16(bytes, offset + 2, 0);
  put32(bytes, offset + 4, fields.rest ?? 0);
  return ICMP_LENGTH;
}
