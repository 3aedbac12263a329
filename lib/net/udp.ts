// UDP (RFC 768).
//
//   0             2                  4                 6          8
//   | source port | destination port | datagram length | checksum | payload …
//
// A checksum of 0 means "none", which IPv4 allows; a computed 0 is sent as 0xffff.

import { put16, u16 } from './bytes.js';
import { transportChecksum } from './checksum.js';
import { IpProtocol } from './numbers.js';
import { HeaderView, fits, mustHold, pointed } from './view.js';

/** Length of a UDP header. */
export const UDP_LENGTH = 8;

/** The fields of a UDP header; the checksum is filled in when the payload is in place. */
export interface UdpFields {
  sourcePort: number;
  destinationPort: number;
  /** Bytes that follow the header. */
  payloadLength: number;
}

/**
 * A UDP header in bytes.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { Layers, UdpView, udpFrame } from 'node-vpp/net';
 *
 * const frame = udpFrame({
 *   sourceMac: '02:fe:00:00:00:01', destinationMac: '02:fe:00:00:00:02',
 *   source: '10.0.0.1', destination: '10.0.0.2', sourcePort: 5000, destinationPort: 53,
 *   payload: Uint8Array.of(1, 2, 3),
 * });
 * const layers = new Layers();
 * layers.at(frame, 0, frame.length);
 * const udp = UdpView.of(frame, layers.transportOffset, layers.transportLength);
 * assert.deepEqual(udp.fields(), { sourcePort: 5000, destinationPort: 53, payloadLength: 3 });
 * assert.equal(udp.checksumOk(layers.networkOffset), true);
 * ```
 */
export class UdpView extends HeaderView {
  /** A view pointed at a header; throws NetError `ERR_NET_FRAME` when it is not all there. */
  static of(bytes: Uint8Array, offset?: number, length?: number): UdpView {
    return pointed(new UdpView(), 'a UDP header', bytes, offset, length);
  }

  at(bytes: Uint8Array, offset = 0, length = bytes.length - offset): boolean {
    if (!fits(bytes, offset, length, UDP_LENGTH)) return this.nowhere();
    this.bytes = bytes;
    this.offset = offset;
    this.length = length;
    return true;
  }

  get sourcePort(): number {
    return u16(this.bytes, this.offset);
  }
  set sourcePort(port: number) {
    put16(this.bytes, this.offset, port);
  }

  get destinationPort(): number {
    return u16(this.bytes, this.offset + 2);
  }
  set destinationPort(port: number) {
    put16(this.bytes, this.offset + 2, port);
  }

  /** Length of header and payload as the packet states it. */
  get datagramLength(): number {
    return u16(this.bytes, this.offset + 4);
  }
  set datagramLength(value: number) {
    put16(this.bytes, this.offset + 4, value);
  }

  get checksum(): number {
    return u16(this.bytes, this.offset + 6);
  }
  set checksum(value: number) {
    put16(this.bytes, this.offset + 6, value);
  }

  get payloadOffset(): number {
    return this.offset + UDP_LENGTH;
  }
  /** Bytes of payload: what the packet states, clamped to what may be read. */
  get payloadLength(): number {
    return Math.max(0, Math.min(this.datagramLength, this.length) - UDP_LENGTH);
  }

  /** Whether the checksum is right (or absent, over IPv4); `networkOffset` is where the IP header starts. */
  checksumOk(networkOffset: number): boolean {
    if (this.checksum === 0) return this.bytes[networkOffset]! >> 4 === 4;
    const length = Math.min(this.datagramLength, this.length);
    return transportChecksum(this.bytes, networkOffset, IpProtocol.UDP, this.offset, length) === 0;
  }

  /** Computes and stores the checksum over the datagram length. */
  fillChecksum(networkOffset: number): void {
    this.checksum = 0;
    const length = Math.min(this.datagramLength, this.length);
    this.checksum = transportChecksum(this.bytes, networkOffset, IpProtocol.UDP, this.offset, length) || 0xffff;
  }

  fields(): UdpFields {
    return { sourcePort: this.sourcePort, destinationPort: this.destinationPort, payloadLength: this.payloadLength };
  }
}

/** Writes a UDP header with checksum 0; returns its length, 8. `UdpView.fillChecksum` does the rest. */
export function emitUdp(bytes: Uint8Array, offset: number, fields: UdpFields): number {
  mustHold('a UDP header', bytes, offset, UDP_LENGTH);
  put16(bytes, offset, fields.sourcePort);
  put16(bytes, offset + 2, fields.destinationPort);
  put16(bytes, offset + 4, UDP_LENGTH + fields.payloadLength);
  put16(bytes, offset + 6, 0);
  return UDP_LENGTH;
}
