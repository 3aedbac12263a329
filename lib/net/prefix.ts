// Prefixes: an address and how many of its first bits count, `10.0.0.0/8`.
//
//        10.  1.  2.  3 / 8
//        ^^^  network  ^ host bits: may be set, for `10.1.2.3/8` is also how an interface's address is written;
//                        `network` clears them, `isNetwork` tells whether they are clear.
//
// The length is decimal without leading zero, 0 … 32 or 0 … 128. Text is the value of record; `Prefix` is the parsed
// form, for those who match many addresses against it.

import { ArgumentRangeError } from '../errors.js';
import { compareBytes } from './bytes.js';
import { type IpVersion, formatIp, ipv4Text, ipv6Text, mustScan, scanIpv4, scanIpv6 } from './ip.js';
import { mustBeText, refuse } from './text.js';

const WHAT = 'prefix';
const INSTEAD = 'write an address, "/" and its number of leading bits, such as 10.0.0.0/8 or 2001:db8::/32';
const scratch = new Uint8Array(16);

/** Scans an address and a length; returns the length in bits, or the reason of the refusal. */
function scanPrefix(text: string, bytes: Uint8Array): number | string {
  const slash = text.indexOf('/');
  if (slash < 0) return 'it has no "/"';
  const six = text.lastIndexOf(':', slash) >= 0;
  const reason = six ? scanIpv6(text, 0, slash, bytes, 0) : scanIpv4(text, 0, slash, bytes, 0);
  if (reason !== '') return `in its address, ${reason}`;
  let length = 0;
  const first = slash + 1;
  if (first === text.length) return 'nothing follows the "/"';
  for (let at = first; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code < 48 || code > 57) return 'its length is not decimal';
    if (at === first && code === 48 && text.length > first + 1) return 'its length has a leading zero';
    length = length * 10 + code - 48;
    if (length > (six ? 128 : 32)) return `its length is larger than ${six ? 128 : 32}`;
  }
  return length;
}

/**
 * A parsed prefix. Immutable; make it with {@link parsePrefix}.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { parsePrefix } from 'node-vpp/net';
 *
 * const prefix = parsePrefix('10.1.2.3/8');
 * assert.equal(prefix.contains('10.255.0.1'), true);
 * assert.equal(prefix.containsBytes(Uint8Array.of(11, 0, 0, 1), 0), false);
 * assert.deepEqual([prefix.address, prefix.network, prefix.last], ['10.1.2.3', '10.0.0.0', '10.255.255.255']);
 * ```
 */
export class Prefix {
  /** 4 or 6. */
  readonly version: IpVersion;
  /** How many leading bits count. */
  readonly length: number;
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array, length: number) {
    if (bytes.length !== 4 && bytes.length !== 16) {
      throw new ArgumentRangeError(`making a prefix: an address has 4 or 16 bytes, not ${bytes.length}`);
    }
    if (!Number.isInteger(length) || length < 0 || length > bytes.length * 8) {
      throw new ArgumentRangeError(`making a prefix: its length is 0 … ${bytes.length * 8}, not ${length}`);
    }
    this.version = bytes.length === 4 ? 4 : 6;
    this.length = length;
    this.#bytes = bytes.slice();
  }

  /** The address as it was written, host bits included. */
  get address(): string {
    return formatIp(this.#bytes);
  }

  /** The first address: host bits cleared. */
  get network(): string {
    return formatIp(this.networkBytes());
  }

  /** The last address: host bits set. In IPv4 up to /30 that is the broadcast address. */
  get last(): string {
    return formatIp(filled(this.#bytes, this.length, 255));
  }

  /** Whether no host bit is set. */
  get isNetwork(): boolean {
    return compareBytes(this.#bytes, 0, this.networkBytes(), 0, this.#bytes.length) === 0;
  }

  /** The bytes of the address, host bits included; a copy. */
  addressBytes(): Uint8Array {
    return this.#bytes.slice();
  }

  /** The bytes of the first address; a copy. */
  networkBytes(): Uint8Array {
    return filled(this.#bytes, this.length, 0);
  }

  /** Whether an address given as text lies inside; an address of the other family never does. */
  contains(address: string): boolean {
    return mustScan(address, scratch) === this.#bytes.length && this.containsBytes(scratch, 0);
  }

  /** Whether the address at an offset of some bytes lies inside; it is read in this prefix's family. No allocation. */
  containsBytes(bytes: Uint8Array, offset: number): boolean {
    const mine = this.#bytes;
    const whole = this.length >> 3;
    for (let i = 0; i < whole; i += 1) if (mine[i] !== bytes[offset + i]) return false;
    const rest = this.length & 7;
    return rest === 0 || (mine[whole]! ^ bytes[offset + whole]!) >> (8 - rest) === 0;
  }

  /** Whether all of another prefix lies inside this one. */
  containsPrefix(other: Prefix): boolean {
    return this.version === other.version && this.length <= other.length && this.containsBytes(other.#bytes, 0);
  }

  /** `address/length`, host bits included. */
  toString(): string {
    return `${this.address}/${this.length}`;
  }

  toJSON(): string {
    return this.toString();
  }
}

/** A copy in which every bit after the first `length` is that of `fill` (0 or 255). */
function filled(bytes: Uint8Array, length: number, fill: 0 | 255): Uint8Array {
  const result = bytes.slice();
  const whole = length >> 3;
  if (whole < bytes.length) {
    const host = 0xff >> (length & 7);
    result[whole] = fill === 0 ? result[whole]! & ~host : result[whole]! | host;
    result.fill(fill, whole + 1);
  }
  return result;
}

/**
 * Parses `address/length`; host bits may be set.
 *
 * @throws NetError `ERR_NET_PREFIX`, saying what is wrong with the text.
 */
export function parsePrefix(text: string): Prefix {
  mustBeText(WHAT, text);
  const length = scanPrefix(text, scratch);
  if (typeof length === 'string') refuse('ERR_NET_PREFIX', WHAT, text, length, INSTEAD);
  return new Prefix(scratch.subarray(0, text.includes(':') ? 16 : 4), length);
}

/** Bytes of an address and a length in bits as text. */
export function formatPrefix(bytes: Uint8Array, length: number): string {
  return new Prefix(bytes, length).toString();
}

/** Whether a value is the text of a prefix (host bits may be set). */
export function isPrefix(value: unknown): boolean {
  return typeof value === 'string' && typeof scanPrefix(value, scratch) === 'number';
}

/**
 * The canonical text of the network: host bits cleared. What to use as the key of a route.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { networkPrefix } from 'node-vpp/net';
 *
 * assert.equal(networkPrefix('10.1.2.3/8'), '10.0.0.0/8');
 * assert.equal(networkPrefix('2001:DB8:0:0::1/64'), '2001:db8::/64');
 * ```
 */
export function networkPrefix(text: string): string {
  const prefix = parsePrefix(text);
  return `${prefix.network}/${prefix.length}`;
}

/** The canonical text of a prefix, host bits kept: what to use for the address of an interface. */
export function normalizePrefix(text: string): string {
  return parsePrefix(text).toString();
}

/** The first address of a prefix. */
export function networkAddress(text: string): string {
  return parsePrefix(text).network;
}

/**
 * The IPv4 broadcast address of a prefix; `undefined` where there is none: IPv6, /31 (RFC 3021) and /32.
 */
export function broadcastAddress(text: string): string | undefined {
  const prefix = parsePrefix(text);
  return prefix.version === 4 && prefix.length < 31 ? prefix.last : undefined;
}

/**
 * Whether an address or a whole prefix lies inside a prefix.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { prefixContains } from 'node-vpp/net';
 *
 * assert.equal(prefixContains('10.0.0.0/8', '10.1.2.3'), true);
 * assert.equal(prefixContains('10.0.0.0/8', '10.1.0.0/16'), true);
 * assert.equal(prefixContains('10.0.0.0/8', '2001:db8::1'), false);
 * ```
 */
export function prefixContains(prefix: string, inner: string): boolean {
  const outer = parsePrefix(prefix);
  mustBeText('address or prefix', inner);
  return inner.includes('/') ? outer.containsPrefix(parsePrefix(inner)) : outer.contains(inner);
}

/** Whether two prefixes share an address: one of them contains the other. */
export function prefixesOverlap(a: string, b: string): boolean {
  const left = parsePrefix(a);
  const right = parsePrefix(b);
  return left.containsPrefix(right) || right.containsPrefix(left);
}

/** -1, 0 or 1: IPv4 before IPv6, then by network, then the shorter first, then by host bits. */
export function comparePrefix(a: string, b: string): number {
  const left = parsePrefix(a);
  const right = parsePrefix(b);
  if (left.version !== right.version) return left.version < right.version ? -1 : 1;
  const size = left.version === 4 ? 4 : 16;
  const networks = compareBytes(left.networkBytes(), 0, right.networkBytes(), 0, size);
  if (networks !== 0) return networks;
  if (left.length !== right.length) return left.length < right.length ? -1 : 1;
  return compareBytes(left.addressBytes(), 0, right.addressBytes(), 0, size);
}

/** The mask of a prefix length as text: `prefixMask(20, 4)` is `255.255.240.0`. */
export function prefixMask(length: number, version: IpVersion): string {
  const size = version === 4 ? 4 : 16;
  const mask = new Prefix(new Uint8Array(size).fill(255), length).networkBytes();
  return version === 4 ? ipv4Text(mask, 0) : ipv6Text(mask, 0);
}

/**
 * The prefix length of a mask.
 *
 * @throws NetError `ERR_NET_PREFIX` when a set bit follows a clear one.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { maskLength, prefixMask } from 'node-vpp/net';
 *
 * assert.equal(prefixMask(20, 4), '255.255.240.0');
 * assert.equal(maskLength('255.255.240.0'), 20);
 * assert.throws(() => maskLength('255.0.255.0'), { code: 'ERR_NET_PREFIX' });
 * ```
 */
export function maskLength(mask: string): number {
  const size = mustScan(mask, scratch);
  let length = 0;
  while (length < size * 8 && ((scratch[length >> 3]! >> (7 - (length & 7))) & 1) === 1) length += 1;
  for (let bit = length; bit < size * 8; bit += 1) {
    if (((scratch[bit >> 3]! >> (7 - (bit & 7))) & 1) === 0) continue;
    refuse(
      'ERR_NET_PREFIX',
      'mask',
      mask,
      `bit ${bit} is set after bit ${length} is clear`,
      'use a mask such as 255.255.255.0',
    );
  }
  return length;
}
