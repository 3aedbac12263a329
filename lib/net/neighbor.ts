// Neighbor Discovery (RFC 4861): the five ICMPv6 messages and their options.
//
//   type  133 solicitation of routers       8 header                                              options from 8
//         134 advertisement of a router     4 hop limit, flags, lifetime; 8 reachable, retransmit options from 16
//         135 solicitation of a neighbor    8 target                                              options from 24
//         136 advertisement of a neighbor   4 flags R S O; 8 target                               options from 24
//         137 redirect                      8 target; 24 destination                              options from 40
//
// `at` asks for one of these types and the fixed part of it. Hop limit 255 is the receiver's to check, in IPv6.

import { put16, put32, u16, u32, u8 } from './bytes.js';
import { ipv6Text, putIpv6 } from './ip.js';
import { formatMac, putMac } from './mac.js';
import { Icmpv6Type } from './numbers.js';
import { OptionWalk } from './options.js';
import { HeaderView, fits, mustHold, pointed } from './view.js';

/** One option. A known kind of the wrong length is kept as `unknown`. */
export type NeighborOption =
  | { type: 'sourceLinkLayer'; mac: string }
  | { type: 'targetLinkLayer'; mac: string }
  | {
      type: 'prefix';
      prefix: string;
      length: number;
      onLink: boolean;
      autonomous: boolean;
      /** Seconds; 0xffffffff is for ever. */
      validLifetime: number;
      /** Seconds; 0xffffffff is for ever. */
      preferredLifetime: number;
    }
  | { type: 'mtu'; mtu: number }
  /** Recursive DNS servers (RFC 8106); lifetime in seconds. */
  | { type: 'dnsServers'; lifetime: number; servers: readonly string[] }
  /** Any other; its data have 8 n - 2 bytes. */
  | { type: 'unknown'; kind: number; data: Uint8Array };

/** The fields of a message; which ones count follows from the type, the others are absent. */
export type NeighborFields =
  | { type: typeof Icmpv6Type.ROUTER_SOLICITATION; options: readonly NeighborOption[] }
  | {
      type: typeof Icmpv6Type.ROUTER_ADVERTISEMENT;
      hopLimit: number;
      managed: boolean;
      otherConfig: boolean;
      /** Seconds. */
      routerLifetime: number;
      reachableTimeMs: number;
      retransmitTimerMs: number;
      options: readonly NeighborOption[];
    }
  | { type: typeof Icmpv6Type.NEIGHBOR_SOLICITATION; target: string; options: readonly NeighborOption[] }
  | {
      type: typeof Icmpv6Type.NEIGHBOR_ADVERTISEMENT;
      target: string;
      router: boolean;
      solicited: boolean;
      override: boolean;
      options: readonly NeighborOption[];
    }
  | { type: typeof Icmpv6Type.REDIRECT; target: string; destination: string; options: readonly NeighborOption[] };

/** Length of the fixed part of each message; 0 for what is none of them. */
function fixedLength(type: number): number {
  switch (type) {
    case Icmpv6Type.ROUTER_SOLICITATION:
      return 8;
    case Icmpv6Type.ROUTER_ADVERTISEMENT:
      return 16;
    case Icmpv6Type.NEIGHBOR_SOLICITATION:
    case Icmpv6Type.NEIGHBOR_ADVERTISEMENT:
      return 24;
    case Icmpv6Type.REDIRECT:
      return 40;
    default:
      return 0;
  }
}

const walk = new OptionWalk();

/**
 * A neighbor discovery message in bytes, from its ICMPv6 type on.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { Layers, NeighborView, neighborSolicitationFrame } from 'node-vpp/net';
 *
 * const frame = neighborSolicitationFrame({
 *   sourceMac: '02:fe:00:00:00:01', source: 'fe80::1', target: 'fe80::2',
 * });
 * const layers = new Layers();
 * layers.at(frame, 0, frame.length);
 * const message = NeighborView.of(frame, layers.transportOffset, layers.transportLength);
 * assert.equal(message.target, 'fe80::2');
 * assert.deepEqual(message.options(), [{ type: 'sourceLinkLayer', mac: '02:fe:00:00:00:01' }]);
 * ```
 */
export class NeighborView extends HeaderView {
  /** A view pointed at a message; throws NetError `ERR_NET_FRAME` when it is none or its fixed part not all there. */
  static of(bytes: Uint8Array, offset?: number, length?: number): NeighborView {
    return pointed(new NeighborView(), 'a neighbor discovery message', bytes, offset, length);
  }

  at(bytes: Uint8Array, offset = 0, length = bytes.length - offset): boolean {
    if (!fits(bytes, offset, length, 8)) return this.nowhere();
    const fixed = fixedLength(bytes[offset]!);
    if (fixed === 0 || fixed > length) return this.nowhere();
    this.bytes = bytes;
    this.offset = offset;
    this.length = length;
    return true;
  }

  get type(): number {
    return u8(this.bytes, this.offset);
  }

  /** Target of types 135, 136 and 137. */
  get target(): string {
    return this.length < 24 ? '' : ipv6Text(this.bytes, this.offset + 8);
  }
  /** Where the sixteen bytes of the target are: no text, no copy. */
  get targetOffset(): number {
    return this.offset + 8;
  }
  /** Destination of a redirect. */
  get destination(): string {
    return this.length < 40 ? '' : ipv6Text(this.bytes, this.offset + 24);
  }

  /** Flags of a neighbor advertisement. */
  get router(): boolean {
    return (this.bytes[this.offset + 4]! & 0x80) !== 0;
  }
  get solicited(): boolean {
    return (this.bytes[this.offset + 4]! & 0x40) !== 0;
  }
  get override(): boolean {
    return (this.bytes[this.offset + 4]! & 0x20) !== 0;
  }

  get optionsOffset(): number {
    return this.offset + fixedLength(this.type);
  }

  /** The options up to the first malformed one; data are copies. */
  options(): NeighborOption[] {
    const { bytes } = this;
    const list: NeighborOption[] = [];
    walk.at(bytes, this.optionsOffset, this.offset + this.length - this.optionsOffset, 8);
    while (walk.next()) list.push(readOption(bytes, walk.type, walk.offset, walk.length));
    return list;
  }

  /** Where the six bytes of a link-layer address option (kind 1 or 2) are; -1 when there is none. No allocation. */
  linkLayerOffset(kind: 1 | 2): number {
    walk.at(this.bytes, this.optionsOffset, this.offset + this.length - this.optionsOffset, 8);
    while (walk.next()) if (walk.type === kind && walk.length === 8) return walk.offset + 2;
    return -1;
  }

  /** The message as an object; `undefined` while the view points at nothing. */
  fields(): NeighborFields | undefined {
    const { bytes, offset, type, target, destination } = this;
    const options = this.options();
    switch (type) {
      case Icmpv6Type.ROUTER_SOLICITATION:
        return { type, options };
      case Icmpv6Type.ROUTER_ADVERTISEMENT:
        return {
          type,
          hopLimit: bytes[offset + 4]!,
          managed: (bytes[offset + 5]! & 0x80) !== 0,
          otherConfig: (bytes[offset + 5]! & 0x40) !== 0,
          routerLifetime: u16(bytes, offset + 6),
          reachableTimeMs: u32(bytes, offset + 8),
          retransmitTimerMs: u32(bytes, offset + 12),
          options,
        };
      case Icmpv6Type.NEIGHBOR_SOLICITATION:
        return { type, target, options };
      case Icmpv6Type.NEIGHBOR_ADVERTISEMENT: {
        const { router, solicited, override } = this;
        return { type, target, router, solicited, override, options };
      }
      case Icmpv6Type.REDIRECT:
        return { type, target, destination, options };
      default:
        return undefined;
    }
  }
}

function readOption(bytes: Uint8Array, kind: number, at: number, length: number): NeighborOption {
  if ((kind === 1 || kind === 2) && length === 8) {
    return { type: kind === 1 ? 'sourceLinkLayer' : 'targetLinkLayer', mac: formatMac(bytes, at + 2) };
  }
  if (kind === 3 && length === 32) {
    return {
      type: 'prefix',
      prefix: ipv6Text(bytes, at + 16),
      length: bytes[at + 2]!,
      onLink: (bytes[at + 3]! & 0x80) !== 0,
      autonomous: (bytes[at + 3]! & 0x40) !== 0,
      validLifetime: u32(bytes, at + 4),
      preferredLifetime: u32(bytes, at + 8),
    };
  }
  if (kind === 5 && length === 8) return { type: 'mtu', mtu: u32(bytes, at + 4) };
  if (kind === 25 && length >= 24 && length % 16 === 8) {
    const servers: string[] = [];
    for (let i = at + 8; i < at + length; i += 16) servers.push(ipv6Text(bytes, i));
    return { type: 'dnsServers', lifetime: u32(bytes, at + 4), servers };
  }
  return { type: 'unknown', kind, data: bytes.slice(at + 2, at + length) };
}

function optionLength(option: NeighborOption): number {
  if (option.type === 'prefix') return 32;
  if (option.type === 'dnsServers') return 8 + 16 * option.servers.length;
  if (option.type === 'unknown') return (option.data.length + 2 + 7) & ~7;
  return 8;
}

function writeOption(bytes: Uint8Array, at: number, option: NeighborOption): void {
  const length = optionLength(option);
  bytes.fill(0, at, at + length);
  bytes[at + 1] = length / 8;
  switch (option.type) {
    case 'sourceLinkLayer':
    case 'targetLinkLayer':
      bytes[at] = option.type === 'sourceLinkLayer' ? 1 : 2;
      putMac(bytes, at + 2, option.mac);
      break;
    case 'prefix':
      bytes[at] = 3;
      bytes[at + 2] = option.length;
      bytes[at + 3] = (option.onLink ? 0x80 : 0) | (option.autonomous ? 0x40 : 0);
      put32(bytes, at + 4, option.validLifetime);
      put32(bytes, at + 8, option.preferredLifetime);
      putIpv6(bytes, at + 16, option.prefix);
      break;
    case 'mtu':
      bytes[at] = 5;
      put32(bytes, at + 4, option.mtu);
      break;
    case 'dnsServers':
      bytes[at] = 25;
      put32(bytes, at + 4, option.lifetime);
      option.servers.forEach((server, index) => putIpv6(bytes, at + 8 + 16 * index, server));
      break;
    case 'unknown':
      bytes[at] = option.kind;
      bytes.set(option.data, at + 2);
      break;
  }
}

/** Length of what `emitNeighbor` would write. */
export function neighborLength(fields: NeighborFields): number {
  let length = fixedLength(fields.type);
  for (const option of fields.options) length += optionLength(option);
  return length;
}

/** Writes a message from its ICMPv6 type on, with checksum 0; returns its length. `Icmpv6View.fillChecksum` follows. */
export function emitNeighbor(bytes: Uint8Array, offset: number, fields: NeighborFields): number {
  const length = neighborLength(fields);
  mustHold('a neighbor discovery message', bytes, offset, length);
  let at = offset + fixedLength(fields.type);
  bytes.fill(0, offset, at);
  bytes[offset] = fields.type;
  if (fields.type === Icmpv6Type.ROUTER_ADVERTISEMENT) {
    bytes[offset + 4] = fields.hopLimit;
    bytes[offset + 5] = (fields.managed ? 0x80 : 0) | (fields.otherConfig ? 0x40 : 0);
    put16(bytes, offset + 6, fields.routerLifetime);
    put32(bytes, offset + 8, fields.reachableTimeMs);
    put32(bytes, offset + 12, fields.retransmitTimerMs);
  } else if (fields.type !== Icmpv6Type.ROUTER_SOLICITATION) {
    putIpv6(bytes, offset + 8, fields.target);
    if (fields.type === Icmpv6Type.REDIRECT) putIpv6(bytes, offset + 24, fields.destination);
    else if (fields.type === Icmpv6Type.NEIGHBOR_ADVERTISEMENT) {
      bytes[offset + 4] = (fields.router ? 0x80 : 0) | (fields.solicited ? 0x40 : 0) | (fields.override ? 0x20 : 0);
    }
  }
  for (const option of fields.options) {
    writeOption(bytes, at, option);
    at += optionLength(option);
  }
  return length;
}
