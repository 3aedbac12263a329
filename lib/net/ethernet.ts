// Ethernet II and the VLAN tag (IEEE 802.3, 802.1Q, 802.1ad).
//
//   0            6       12     14                     tag, at offset 14 when the type is 0x8100 or 0x88a8
//   +------------+-------+------+---------             0      2      4
//   | destination| source| type | payload              | TCI  | type | payload      TCI = priority:3 DEI:1 VLAN id:12
//   +------------+-------+------+---------             +------+------+--------
//
// A tag's view starts after the type that announced it, so that tag after tag is read the same way.

import { copyBytes, put16, put48, u16, u48 } from './bytes.js';
import { macText, putMac } from './mac.js';
import { EtherType } from './numbers.js';
import { HeaderView, fits, mustHold, pointed } from './view.js';

/** Length of an Ethernet header without tags. */
export const ETHERNET_LENGTH = 14;
/** Length of one VLAN tag. */
export const VLAN_LENGTH = 4;

/** The fields of an Ethernet header. */
export interface EthernetFields {
  destination: string;
  source: string;
  etherType: number;
}

/**
 * An Ethernet header in bytes.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { EtherType, EthernetView, emitEthernet } from 'node-vpp/net';
 *
 * const bytes = new Uint8Array(60);
 * const fields = { destination: 'ff:ff:ff:ff:ff:ff', source: '02:fe:00:00:00:01', etherType: EtherType.ARP };
 * emitEthernet(bytes, 0, fields);
 *
 * const view = new EthernetView();
 * assert.equal(view.at(bytes, 0, bytes.length), true);
 * assert.deepEqual(view.fields(), fields);
 * assert.equal(view.at(bytes, 0, 13), false);
 * ```
 */
export class EthernetView extends HeaderView {
  /** A view pointed at a header; throws NetError `ERR_NET_FRAME` when it is not all there. */
  static of(bytes: Uint8Array, offset?: number, length?: number): EthernetView {
    return pointed(new EthernetView(), 'an Ethernet header', bytes, offset, length);
  }

  at(bytes: Uint8Array, offset = 0, length = bytes.length - offset): boolean {
    if (!fits(bytes, offset, length, ETHERNET_LENGTH)) return this.nowhere();
    this.bytes = bytes;
    this.offset = offset;
    this.length = length;
    return true;
  }

  /** Destination as text. */
  get destination(): string {
    return this.length === 0 ? '' : macText(this.bytes, this.offset);
  }
  set destination(mac: string) {
    putMac(this.bytes, this.offset, mac);
  }

  /** Source as text. */
  get source(): string {
    return this.length === 0 ? '' : macText(this.bytes, this.offset + 6);
  }
  set source(mac: string) {
    putMac(this.bytes, this.offset + 6, mac);
  }

  /** Destination as a number below 2^48: no text is made. */
  get destinationNumber(): number {
    return u48(this.bytes, this.offset);
  }
  set destinationNumber(value: number) {
    put48(this.bytes, this.offset, value);
  }

  /** Source as a number below 2^48: no text is made. */
  get sourceNumber(): number {
    return u48(this.bytes, this.offset + 6);
  }
  set sourceNumber(value: number) {
    put48(this.bytes, this.offset + 6, value);
  }

  /** Whether the destination is a group of stations, broadcast included. */
  get isMulticast(): boolean {
    return (this.bytes[this.offset]! & 1) === 1;
  }

  /** Type of the payload, one of `EtherType` or another number; below 1536 it is a length (802.3). */
  get etherType(): number {
    return u16(this.bytes, this.offset + 12);
  }
  set etherType(value: number) {
    put16(this.bytes, this.offset + 12, value);
  }

  get payloadOffset(): number {
    return this.offset + ETHERNET_LENGTH;
  }
  get payloadLength(): number {
    return this.length - ETHERNET_LENGTH;
  }

  /** Swaps destination and source in place: the first step of every answer. */
  swapAddresses(): void {
    const { bytes, offset } = this;
    for (let i = offset; i < offset + 6; i += 1) {
      const byte = bytes[i]!;
      bytes[i] = bytes[i + 6]!;
      bytes[i + 6] = byte;
    }
  }

  fields(): EthernetFields {
    return { destination: this.destination, source: this.source, etherType: this.etherType };
  }
}

/** Writes an Ethernet header; returns its length, 14. */
export function emitEthernet(bytes: Uint8Array, offset: number, fields: EthernetFields): number {
  mustHold('an Ethernet header', bytes, offset, ETHERNET_LENGTH);
  putMac(bytes, offset, fields.destination);
  putMac(bytes, offset + 6, fields.source);
  put16(bytes, offset + 12, fields.etherType);
  return ETHERNET_LENGTH;
}

/** The fields of a VLAN tag. */
export interface VlanFields {
  /** 0 … 4095. */
  vlanId: number;
  /** 0 … 7. */
  priority: number;
  dropEligible: boolean;
  /** Type of what follows the tag. */
  etherType: number;
}

/** Whether a type announces a VLAN tag. */
export function isVlanType(etherType: number): boolean {
  return etherType === EtherType.VLAN || etherType === EtherType.QINQ;
}

/** A VLAN tag in bytes: points at the TCI, right after the 0x8100 or 0x88a8. */
export class VlanView extends HeaderView {
  /** A view pointed at a tag; throws NetError `ERR_NET_FRAME` when it is not all there. */
  static of(bytes: Uint8Array, offset?: number, length?: number): VlanView {
    return pointed(new VlanView(), 'a VLAN tag', bytes, offset, length);
  }

  at(bytes: Uint8Array, offset = 0, length = bytes.length - offset): boolean {
    if (!fits(bytes, offset, length, VLAN_LENGTH)) return this.nowhere();
    this.bytes = bytes;
    this.offset = offset;
    this.length = length;
    return true;
  }

  get vlanId(): number {
    return u16(this.bytes, this.offset) & 0xfff;
  }
  set vlanId(value: number) {
    put16(this.bytes, this.offset, (u16(this.bytes, this.offset) & 0xf000) | (value & 0xfff));
  }

  get priority(): number {
    return this.bytes[this.offset]! >> 5;
  }
  set priority(value: number) {
    this.bytes[this.offset] = (this.bytes[this.offset]! & 0x1f) | (value << 5);
  }

  get dropEligible(): boolean {
    return (this.bytes[this.offset]! & 0x10) !== 0;
  }
  set dropEligible(value: boolean) {
    this.bytes[this.offset] = (this.bytes[this.offset]! & 0xef) | (value ? 0x10 : 0);
  }

  /** Type of what follows the tag. */
  get etherType(): number {
    return u16(this.bytes, this.offset + 2);
  }
  set etherType(value: number) {
    put16(this.bytes, this.offset + 2, value);
  }

  get payloadOffset(): number {
    return this.offset + VLAN_LENGTH;
  }
  get payloadLength(): number {
    return this.length - VLAN_LENGTH;
  }

  fields(): VlanFields {
    const { vlanId, priority, dropEligible, etherType } = this;
    return { vlanId, priority, dropEligible, etherType };
  }
}

/** Writes a VLAN tag (TCI and type); returns its length, 4. */
export function emitVlan(bytes: Uint8Array, offset: number, fields: VlanFields): number {
  mustHold('a VLAN tag', bytes, offset, VLAN_LENGTH);
  const { vlanId, priority, dropEligible, etherType } = fields;
  put16(bytes, offset, ((priority & 7) << 13) | (dropEligible ? 0x1000 : 0) | (vlanId & 0xfff));
  put16(bytes, offset + 2, etherType);
  return VLAN_LENGTH;
}

/**
 * Moves the addresses of a frame four bytes down and writes a tag behind them: the tagged frame starts at
 * `offset - 4`, which must lie in the same array (the headroom of a packet buffer).
 */
export function pushVlan(bytes: Uint8Array, offset: number, vlanId: number, type: number = EtherType.VLAN): void {
  mustHold('a VLAN tag in front of a frame', bytes, offset - VLAN_LENGTH, VLAN_LENGTH + ETHERNET_LENGTH);
  copyBytes(bytes, offset, bytes, offset - VLAN_LENGTH, 12);
  put16(bytes, offset + 8, type);
  put16(bytes, offset + 10, vlanId & 0xfff);
}

/** Removes the outermost tag of a frame: the addresses move four bytes up, the frame then starts at `offset + 4`. */
export function popVlan(bytes: Uint8Array, offset: number): void {
  mustHold('a frame without its VLAN tag', bytes, offset, VLAN_LENGTH + ETHERNET_LENGTH);
  bytes.copyWithin(offset + VLAN_LENGTH, offset, offset + 12);
}
