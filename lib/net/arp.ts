// ARP for IPv4 over Ethernet (RFC 826).
//
//   0      2      4    5    6     8            14        18           24        28
//   | hw=1 | 0800 | 6  | 4  | op  | sender MAC | sender  | target MAC | target  |
//
// `at` refuses other hardware or protocol types: their addresses have other lengths.

import { put16, u16, u32 } from './bytes.js';
import { ipv4Text, putIpv4 } from './ip.js';
import { macText, putMac } from './mac.js';
import { EtherType } from './numbers.js';
import { HeaderView, fits, mustHold, pointed } from './view.js';

/** Length of an ARP packet for IPv4 over Ethernet. */
export const ARP_LENGTH = 28;

/** The fields of an ARP packet. */
export interface ArpFields {
  /** One of `ArpOperation`, or another number. */
  operation: number;
  senderMac: string;
  senderIp: string;
  targetMac: string;
  targetIp: string;
}

/** An ARP packet in bytes. */
export class ArpView extends HeaderView {
  /** A view pointed at an ARP packet; throws NetError `ERR_NET_FRAME` when it is not one for IPv4 over Ethernet. */
  static of(bytes: Uint8Array, offset?: number, length?: number): ArpView {
    return pointed(new ArpView(), 'an ARP packet', bytes, offset, length);
  }

  at(bytes: Uint8Array, offset = 0, length = bytes.length - offset): boolean {
    if (!fits(bytes, offset, length, ARP_LENGTH)) return this.nowhere();
    if (u32(bytes, offset) !== 0x0001_0800 || u16(bytes, offset + 4) !== 0x0604) return this.nowhere();
    this.bytes = bytes;
    this.offset = offset;
    this.length = length;
    return true;
  }

  get operation(): number {
    return u16(this.bytes, this.offset + 6);
  }
  set operation(value: number) {
    put16(this.bytes, this.offset + 6, value);
  }

  get senderMac(): string {
    return this.length === 0 ? '' : macText(this.bytes, this.offset + 8);
  }
  set senderMac(mac: string) {
    putMac(this.bytes, this.offset + 8, mac);
  }

  get senderIp(): string {
    return this.length === 0 ? '' : ipv4Text(this.bytes, this.offset + 14);
  }
  set senderIp(address: string) {
    putIpv4(this.bytes, this.offset + 14, address);
  }

  get targetMac(): string {
    return this.length === 0 ? '' : macText(this.bytes, this.offset + 18);
  }
  set targetMac(mac: string) {
    putMac(this.bytes, this.offset + 18, mac);
  }

  get targetIp(): string {
    return this.length === 0 ? '' : ipv4Text(this.bytes, this.offset + 24);
  }
  set targetIp(address: string) {
    putIpv4(this.bytes, this.offset + 24, address);
  }

  /** Sender's address as a number: no text is made. */
  get senderIpNumber(): number {
    return u32(this.bytes, this.offset + 14);
  }

  /** Target's address as a number: no text is made. */
  get targetIpNumber(): number {
    return u32(this.bytes, this.offset + 24);
  }

  fields(): ArpFields {
    const { operation, senderMac, senderIp, targetMac, targetIp } = this;
    return { operation, senderMac, senderIp, targetMac, targetIp };
  }
}

/** Writes an ARP packet; returns its length, 28. */
export function emitArp(bytes: Uint8Array, offset: number, fields: ArpFields): number {
  mustHold('an ARP packet', bytes, offset, ARP_LENGTH);
  put16(bytes, offset, 1);
  put16(bytes, offset + 2, EtherType.IPV4);
  put16(bytes, offset + 4, 0x0604);
  put16(bytes, offset + 6, fields.operation);
  putMac(bytes, offset + 8, fields.senderMac);
  putIpv4(bytes, offset + 14, fields.senderIp);
  putMac(bytes, offset + 18, fields.targetMac);
  putIpv4(bytes, offset + 24, fields.targetIp);
  return ARP_LENGTH;
}
