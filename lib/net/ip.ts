// IPv4 and IPv6 addresses as text, bytes and numbers.
//
//   text     '10.0.0.1'               '2001:db8::1'
//   bytes    4, network order          16, network order
//   number   0 … 2^32 - 1              bigint 0n … 2^128 - 1n
//
// Text in is strict: four decimal numbers without leading zeros; IPv6 by RFC 4291 section 2.2, an IPv4 tail allowed,
// a zone (`%eth0`) refused, for an interface is not part of an address here. Text out is RFC 5952: lower case, longest
// run of two or more zero groups (the first of equals) as `::`, an IPv4-mapped address with its IPv4 tail.

import { ArgumentRangeError } from '../errors.js';
import { compareBytes, put32, u32 } from './bytes.js';
import { DECIMAL, HEX, HEX2, hexDigit, mustBeText, refuse } from './text.js';

/** The two address families. */
export type IpVersion = 4 | 6;

const INSTEAD4 = 'write four numbers from 0 to 255 without leading zeros, such as 192.0.2.1';
const INSTEAD6 = 'write it as in RFC 4291, such as 2001:db8::1';
const COLON = 58;
const DOT = 46;
const PERCENT = 37;

const scratch = new Uint8Array(16);
const scratch2 = new Uint8Array(16);

/** Scans text[start, end) as IPv4 into four bytes; '' or the reason of the refusal. */
export function scanIpv4(text: string, start: number, end: number, bytes: Uint8Array, offset: number): string {
  let at = start;
  for (let part = 0; part < 4; part += 1) {
    const first = at;
    let value = 0;
    let code = at < end ? text.charCodeAt(at) : -1;
    while (code >= 48 && code <= 57) {
      value = value * 10 + code - 48;
      if (value > 255) return `number ${part + 1} is larger than 255`;
      at += 1;
      code = at < end ? text.charCodeAt(at) : -1;
      if (at - first === 1 && value === 0 && code >= 48 && code <= 57) return `number ${part + 1} has a leading zero`;
    }
    if (at === first) return at === end ? `it ends before number ${part + 1}` : `number ${part + 1} is not decimal`;
    bytes[offset + part] = value;
    if (part === 3) break;
    if (code !== DOT) return code < 0 ? `it has ${part + 1} of four numbers` : `number ${part + 1} is not decimal`;
    at += 1;
  }
  return at === end ? '' : 'something follows the fourth number';
}

/** Scans text[start, end) as IPv6 into sixteen bytes; '' or the reason of the refusal. */
export function scanIpv6(text: string, start: number, end: number, bytes: Uint8Array, offset: number): string {
  let at = start;
  let groups = 0;
  let gap = -1;
  if (at < end && text.charCodeAt(at) === COLON) {
    if (at + 1 >= end || text.charCodeAt(at + 1) !== COLON) return 'it starts with a single colon';
    gap = 0;
    at += 2;
  } else if (at === end) return 'it is empty';
  while (at < end) {
    const first = at;
    let value = 0;
    let digit = hexDigit(text.charCodeAt(at));
    while (digit >= 0) {
      value = (value << 4) | digit;
      at += 1;
      if (at - first > 4) return 'a group has more than four digits';
      digit = at < end ? hexDigit(text.charCodeAt(at)) : -1;
    }
    const code = at < end ? text.charCodeAt(at) : -1;
    if (code === DOT) {
      if (groups > 6 || (gap < 0 && groups !== 6)) return 'an IPv4 address is not in the last 32 bits';
      const reason = scanIpv4(text, first, end, bytes, offset + groups * 2);
      if (reason !== '') return `in its IPv4 part, ${reason}`;
      groups += 2;
      break;
    }
    if (code === PERCENT) return 'it has a zone, which belongs to an interface and not to the address';
    if (at === first) return code === COLON ? 'it has an empty group' : 'a group is not hexadecimal';
    if (groups === 8) return 'it has more than eight groups';
    bytes[offset + groups * 2] = value >>> 8;
    bytes[offset + groups * 2 + 1] = value;
    groups += 1;
    if (code < 0) break;
    if (code !== COLON) return 'a group is not hexadecimal';
    at += 1;
    if (at === end) return 'it ends with a single colon';
    if (text.charCodeAt(at) === COLON) {
      if (gap >= 0) return '"::" appears twice';
      gap = groups;
      at += 1;
    }
  }
  if (gap < 0) return groups === 8 ? '' : `it has ${groups} of eight groups and no "::"`;
  if (groups > 7) return '"::" stands for no group at all';
  // Move what came after the gap to the end, zeros into the gap.
  const tail = (groups - gap) * 2;
  bytes.copyWithin(offset + 16 - tail, offset + gap * 2, offset + groups * 2);
  bytes.fill(0, offset + gap * 2, offset + 16 - tail);
  return '';
}

/** Scans an address of either family; returns its version, or 0. The first group of IPv6 has at most four digits. */
function scanEither(text: string, bytes: Uint8Array): IpVersion | 0 {
  for (let at = 0; at < 5; at += 1) {
    const code = text.charCodeAt(at);
    if (code === DOT) return scanIpv4(text, 0, text.length, bytes, 0) === '' ? 4 : 0;
    if (code === COLON) return scanIpv6(text, 0, text.length, bytes, 0) === '' ? 6 : 0;
  }
  return 0;
}

/** Scans an address of either family into scratch bytes; returns its length in bytes, or throws. */
export function mustScan(text: string, bytes: Uint8Array): 4 | 16 {
  mustBeText('IP address', text);
  if (text.includes(':')) {
    putIpv6(bytes, 0, text);
    return 16;
  }
  putIpv4(bytes, 0, text);
  return 4;
}

/** Writes an IPv4 address given as text into four bytes. */
export function putIpv4(bytes: Uint8Array, offset: number, text: string): void {
  mustBeText('IPv4 address', text);
  const reason = scanIpv4(text, 0, text.length, bytes, offset);
  if (reason !== '') refuse('ERR_NET_ADDRESS', 'IPv4 address', text, reason, INSTEAD4);
}

/** Writes an IPv6 address given as text into sixteen bytes. */
export function putIpv6(bytes: Uint8Array, offset: number, text: string): void {
  mustBeText('IPv6 address', text);
  const reason = scanIpv6(text, 0, text.length, bytes, offset);
  if (reason !== '') refuse('ERR_NET_ADDRESS', 'IPv6 address', text, reason, INSTEAD6);
}

/**
 * The four bytes of an IPv4 address.
 *
 * @throws NetError `ERR_NET_ADDRESS`, saying what is wrong with the text.
 */
export function parseIpv4(text: string): Uint8Array {
  const bytes = new Uint8Array(4);
  putIpv4(bytes, 0, text);
  return bytes;
}

/**
 * The sixteen bytes of an IPv6 address (RFC 4291 section 2.2).
 *
 * @throws NetError `ERR_NET_ADDRESS`, saying what is wrong with the text.
 */
export function parseIpv6(text: string): Uint8Array {
  const bytes = new Uint8Array(16);
  putIpv6(bytes, 0, text);
  return bytes;
}

/**
 * The bytes of an address of either family: 4 or 16 of them.
 *
 * @throws NetError `ERR_NET_ADDRESS`, saying what is wrong with the text.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { parseIp } from 'node-vpp/net';
 *
 * assert.deepEqual(parseIp('10.0.0.1'), Uint8Array.of(10, 0, 0, 1));
 * assert.equal(parseIp('2001:db8::1').length, 16);
 * assert.throws(() => parseIp('010.0.0.1'), { code: 'ERR_NET_ADDRESS' });
 * ```
 */
export function parseIp(text: string): Uint8Array {
  const length = mustScan(text, scratch);
  return scratch.slice(0, length);
}

/** Four bytes as dotted text. */
export function formatIpv4(bytes: Uint8Array, offset = 0): string {
  mustFit(bytes, offset, 4);
  return ipv4Text(bytes, offset);
}

/** Sixteen bytes as text by RFC 5952. */
export function formatIpv6(bytes: Uint8Array, offset = 0): string {
  mustFit(bytes, offset, 16);
  return ipv6Text(bytes, offset);
}

/**
 * Bytes as text: 4 bytes are IPv4, 16 are IPv6 by RFC 5952.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { formatIp, parseIp } from 'node-vpp/net';
 *
 * assert.equal(formatIp(parseIp('2001:0DB8:0:0:1:0:0:1')), '2001:db8::1:0:0:1');
 * ```
 */
export function formatIp(bytes: Uint8Array): string {
  if (bytes.length === 4) return ipv4Text(bytes, 0);
  if (bytes.length === 16) return ipv6Text(bytes, 0);
  throw new ArgumentRangeError(`formatting an IP address: 4 or 16 bytes are needed, not ${bytes.length}`);
}

function mustFit(bytes: Uint8Array, offset: number, length: number): void {
  if (offset >= 0 && offset + length <= bytes.length) return;
  throw new ArgumentRangeError(`formatting an IP address: no ${length} bytes at ${offset} of ${bytes.length}`);
}

/** {@link formatIpv4} without the check, for views that have done theirs. */
export function ipv4Text(bytes: Uint8Array, offset: number): string {
  return (
    `${DECIMAL[bytes[offset]!]!}.${DECIMAL[bytes[offset + 1]!]!}.` +
    `${DECIMAL[bytes[offset + 2]!]!}.${DECIMAL[bytes[offset + 3]!]!}`
  );
}

/** {@link formatIpv6} without the check, for views that have done theirs. */
export function ipv6Text(bytes: Uint8Array, offset: number): string {
  let bestStart = -1;
  let bestLength = 1;
  for (let group = 0; group < 8;) {
    const first = group;
    while (group < 8 && bytes[offset + group * 2] === 0 && bytes[offset + group * 2 + 1] === 0) group += 1;
    if (group - first > bestLength) {
      bestStart = first;
      bestLength = group - first;
    }
    if (group === first) group += 1;
  }
  if (bestStart === 0 && bestLength === 5 && bytes[offset + 10] === 255 && bytes[offset + 11] === 255) {
    return `::ffff:${ipv4Text(bytes, offset + 12)}`;
  }
  let text = '';
  for (let group = 0; group < 8; group += 1) {
    if (group === bestStart) {
      text += '::';
      group += bestLength - 1;
      continue;
    }
    if (group > 0 && group !== bestStart + bestLength) text += ':';
    const high = bytes[offset + group * 2]!;
    const low = bytes[offset + group * 2 + 1]!;
    text += high === 0 ? HEX[low]! : HEX[high]! + HEX2[low]!;
  }
  return text;
}

/**
 * 4, 6, or 0 when the value is not the text of an address; never throws.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { ipVersion } from 'node-vpp/net';
 *
 * assert.equal(ipVersion('10.0.0.1'), 4);
 * assert.equal(ipVersion('::'), 6);
 * assert.equal(ipVersion('fe80::1%eth0'), 0);
 * ```
 */
export function ipVersion(value: unknown): IpVersion | 0 {
  if (typeof value !== 'string') return 0;
  return scanEither(value, scratch);
}

/** Whether a value is the text of an IPv4 address. */
export function isIpv4(value: unknown): boolean {
  return typeof value === 'string' && scanIpv4(value, 0, value.length, scratch, 0) === '';
}

/** Whether a value is the text of an IPv6 address. */
export function isIpv6(value: unknown): boolean {
  return typeof value === 'string' && scanIpv6(value, 0, value.length, scratch, 0) === '';
}

/** The canonical text of an address: what to compare, and what to use as a key. */
export function normalizeIp(text: string): string {
  return mustScan(text, scratch) === 4 ? ipv4Text(scratch, 0) : ipv6Text(scratch, 0);
}

/** -1, 0 or 1: IPv4 before IPv6, then as numbers. */
export function compareIp(a: string, b: string): number {
  const length = mustScan(a, scratch);
  const other = mustScan(b, scratch2);
  if (length !== other) return length < other ? -1 : 1;
  return compareBytes(scratch, 0, scratch2, 0, length);
}

/** An IPv4 address as a number below 2^32. */
export function ipv4ToNumber(text: string): number {
  putIpv4(scratch, 0, text);
  return u32(scratch, 0);
}

/** The text of an IPv4 address given as a number below 2^32. */
export function ipv4FromNumber(value: number): string {
  if (!Number.isInteger(value) || value < 0 || value > 0xffff_ffff) {
    throw new ArgumentRangeError(`making an IPv4 address of a number: ${value} is not an integer from 0 to 2^32 - 1`);
  }
  put32(scratch, 0, value);
  return ipv4Text(scratch, 0);
}

/**
 * An address of either family as a bigint.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { ipFromBigint, ipToBigint } from 'node-vpp/net';
 *
 * assert.equal(ipToBigint('::1:0'), 0x1_0000n);
 * assert.equal(ipFromBigint(ipToBigint('2001:db8::ffff') + 1n, 6), '2001:db8::1:0');
 * ```
 */
export function ipToBigint(text: string): bigint {
  const length = mustScan(text, scratch);
  let value = 0n;
  for (let i = 0; i < length; i += 4) value = (value << 32n) | BigInt(u32(scratch, i));
  return value;
}

/** The text of an address given as a bigint. */
export function ipFromBigint(value: bigint, version: IpVersion): string {
  const bits = version === 4 ? 32n : 128n;
  if (value < 0n || value >= 1n << bits) {
    throw new ArgumentRangeError(
      `making an IPv${version} address of ${value.toString()}: it is not in 0 … 2^${bits.toString()} - 1`,
    );
  }
  const length = version === 4 ? 4 : 16;
  for (let i = length - 4, rest = value; i >= 0; i -= 4, rest >>= 32n) put32(scratch, i, Number(rest & 0xffff_ffffn));
  return version === 4 ? ipv4Text(scratch, 0) : ipv6Text(scratch, 0);
}
