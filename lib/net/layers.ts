// Where the headers of a frame are, found in one pass without making anything.
//
//   frame   | Ethernet | tag … | IPv4 / IPv6 + extensions | TCP / UDP / … | payload | padding
//           ^ offset           ^ networkOffset            ^ transportOffset
//                              |<---- networkLength ------------------------------->|
//                                                         |<-- transportLength ---->|
//
// Lengths end where IP says the packet ends, clamped to what is there, so that Ethernet padding is never payload.

import { NOTHING, u16 } from './bytes.js';
import { isVlanType } from './ethernet.js';
import { Ipv6View } from './ipv6.js';
import { EtherType } from './numbers.js';

/** How many VLAN tags are looked at. */
const MAX_TAGS = 4;

/**
 * The layers of a frame; pointed at frame after frame.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { IpProtocol, Layers, icmpEchoFrame } from 'node-vpp/net';
 *
 * const frame = icmpEchoFrame({
 *   sourceMac: '02:fe:00:00:00:01', destinationMac: '02:fe:00:00:00:02', vlanId: 7,
 *   source: '10.0.0.1', destination: '10.0.0.2', identifier: 1, sequence: 1,
 * });
 * const layers = new Layers();
 * assert.equal(layers.at(frame, 0, frame.length), true);
 * assert.deepEqual([layers.vlanId, layers.version, layers.protocol], [7, 4, IpProtocol.ICMP]);
 * assert.deepEqual([layers.networkOffset, layers.transportOffset], [18, 38]);
 * ```
 */
export class Layers {
  bytes: Uint8Array = NOTHING;
  offset = 0;
  length = 0;
  /** Number of VLAN tags, up to 4. */
  tags = 0;
  /** VLAN id of the outermost tag; -1 without tags. */
  vlanId = -1;
  /** Type of the payload behind the tags; for raw IP the type it would have. */
  etherType = 0;
  /** Where the payload of Ethernet starts. */
  networkOffset = 0;
  /** Bytes of it: to the end of the IP packet when it is IP, else to the end of the frame. */
  networkLength = 0;
  /** 4 or 6 when the network layer is IP with a whole header, else 0. */
  version: 0 | 4 | 6 = 0;
  /** Protocol above IP; -1 when it is not IP. */
  protocol = -1;
  /** Where the header above IP starts; meaningful when `hasTransport`. */
  transportOffset = 0;
  /** Bytes from there to the end of the packet. */
  transportLength = 0;
  /** Whether the packet is a fragment, the first included. */
  isFragment = false;
  /** Whether a header of `protocol` starts at `transportOffset`: it is IP, and no later fragment. */
  hasTransport = false;

  readonly #six = new Ipv6View();

  /** Finds the layers of an Ethernet frame; false when the Ethernet header is not all there. */
  at(bytes: Uint8Array, offset: number, length: number): boolean {
    this.#reset(bytes, offset, length);
    if (length < 14 || offset < 0 || offset + length > bytes.length) return false;
    const end = offset + length;
    let at = offset + 14;
    let type = u16(bytes, offset + 12);
    while (isVlanType(type) && this.tags < MAX_TAGS && at + 4 <= end) {
      if (this.tags === 0) this.vlanId = u16(bytes, at) & 0xfff;
      this.tags += 1;
      type = u16(bytes, at + 2);
      at += 4;
    }
    this.etherType = type;
    this.networkOffset = at;
    this.networkLength = end - at;
    if (type === EtherType.IPV4) this.#four(bytes, at, end);
    else if (type === EtherType.IPV6) this.#walkSix(bytes, at, end);
    return true;
  }

  /** Finds the layers of a bare IP packet; false when it is neither IPv4 nor IPv6 with a whole header. */
  atIp(bytes: Uint8Array, offset: number, length: number): boolean {
    this.#reset(bytes, offset, length);
    if (length < 1 || offset < 0 || offset + length > bytes.length) return false;
    this.networkOffset = offset;
    this.networkLength = length;
    if (bytes[offset]! >> 4 === 4) {
      this.etherType = EtherType.IPV4;
      this.#four(bytes, offset, offset + length);
    } else if (bytes[offset]! >> 4 === 6) {
      this.etherType = EtherType.IPV6;
      this.#walkSix(bytes, offset, offset + length);
    }
    return this.version !== 0;
  }

  #reset(bytes: Uint8Array, offset: number, length: number): void {
    this.bytes = bytes;
    this.offset = offset;
    this.length = length;
    this.tags = 0;
    this.vlanId = -1;
    this.etherType = 0;
    this.networkOffset = offset;
    this.networkLength = 0;
    this.version = 0;
    this.protocol = -1;
    this.transportOffset = offset;
    this.transportLength = 0;
    this.isFragment = false;
    this.hasTransport = false;
  }

  #four(bytes: Uint8Array, at: number, end: number): void {
    if (at + 20 > end) return;
    const first = bytes[at]!;
    const headerLength = (first & 15) * 4;
    if (first >> 4 !== 4 || headerLength < 20 || at + headerLength > end) return;
    const totalLength = Math.max(headerLength, Math.min(u16(bytes, at + 2), end - at));
    const fragment = u16(bytes, at + 6) & 0x3fff;
    this.version = 4;
    this.networkLength = totalLength;
    this.protocol = bytes[at + 9]!;
    this.transportOffset = at + headerLength;
    this.transportLength = totalLength - headerLength;
    this.isFragment = fragment !== 0;
    this.hasTransport = (fragment & 0x1fff) === 0;
  }

  #walkSix(bytes: Uint8Array, at: number, end: number): void {
    const six = this.#six;
    if (!six.at(bytes, at, end - at)) return;
    const understood = six.walk();
    this.version = 6;
    this.networkLength = 40 + six.payloadLength;
    this.protocol = six.upperProtocol;
    this.transportOffset = six.upperOffset;
    this.transportLength = six.upperLength;
    this.isFragment = six.isFragment;
    this.hasTransport = understood && six.fragmentOffset === 0;
  }
}
