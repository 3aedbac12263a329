// Addresses, prefixes and MACs of messages: from text or bytes to bytes, and back to text.
//
//   address  u8 family | 16 bytes (IPv4 in the first four)        prefix  address | u8 length
//
// Invariant: what reads never fails and loses nothing: a family that is not known is shown with its bytes, and such a
// text is taken back.

import { NetError } from '../../errors.js';
import { ipv4Text, ipv6Text, scanIpv4, scanIpv6 } from '../../net/ip.js';
import { putMac } from '../../net/mac.js';
import { describe, listLength, Problem, writeBytes } from './runtime.js';
import { looksLikeHex, readHex, writeHex } from './text.js';

function writeExactly(value: unknown, target: Uint8Array, offset: number, size: number): void {
  const length = listLength(value, true);
  if (length !== size) {
    throw new Problem(
      length < 0
        ? `${describe(value)} is neither text nor ${size} bytes`
        : `it has ${length} bytes, ${size} are needed`,
    );
  }
  writeBytes(value, target, offset, size);
}

function textual(value: unknown): value is string {
  return typeof value === 'string' && !looksLikeHex(value);
}

/** Throws: a text that is no address, and why. */
function badText(value: string, what: string, reason: string): never {
  throw new Problem(`${describe(value)} is no ${what}: ${reason}`);
}

export function writeIp4Value(value: unknown, target: Uint8Array, offset: number): void {
  if (!textual(value)) {
    writeExactly(value, target, offset, 4);
    return;
  }
  const reason = scanIpv4(value, 0, value.length, target, offset);
  if (reason !== '') badText(value, 'IPv4 address', reason);
}

export function writeIp6Value(value: unknown, target: Uint8Array, offset: number): void {
  if (!textual(value)) {
    writeExactly(value, target, offset, 16);
    return;
  }
  const reason = scanIpv6(value, 0, value.length, target, offset);
  if (reason !== '') badText(value, 'IPv6 address', reason);
}

export function writeMacValue(value: unknown, target: Uint8Array, offset: number): void {
  if (!textual(value)) {
    writeExactly(value, target, offset, 6);
    return;
  }
  try {
    putMac(target, offset, value);
  } catch (error) {
    throw error instanceof NetError ? new Problem(error.message) : error;
  }
}

/** Family (ADDRESS_IP4 0, ADDRESS_IP6 1) and address, 17 bytes, from text or 4 or 16 bytes. False: the value is neither. */
export function writeAddress(value: unknown, target: Uint8Array, offset: number): boolean {
  if (typeof value === 'string') {
    const reason = scanAddress(value, value.length, target, offset);
    if (reason !== '') badText(value, 'IP address', reason);
    return true;
  }
  if (!(value instanceof Uint8Array)) return false;
  if (value.length !== 4 && value.length !== 16)
    throw new Problem(`it has ${value.length} bytes, an address has 4 or 16`);
  target[offset] = value.length === 4 ? 0 : 1;
  writeBytes(value, target, offset + 1, 16);
  return true;
}

/** Writes the address text[0, end) with its family in front; '' or the reason of the refusal. */
function scanAddress(text: string, end: number, target: Uint8Array, offset: number): string {
  if (isIp6(text)) {
    if (text.startsWith('af') && writeUnknownFamily(text.slice(0, end), target, offset)) return '';
    target[offset] = 1;
    return scanIpv6(text, 0, end, target, offset + 1);
  }
  target[offset] = 0;
  return scanIpv4(text, 0, end, target, offset + 1);
}

/** Whether an address's text is of the family with colons: one is among its first six characters (`af100:0x…`). */
export function isIp6(text: string): boolean {
  for (let at = 0; at < 6; at++) if (text.charCodeAt(at) === 58) return true;
  return false;
}

/** `af7:0x…`: what readAddress() makes of a family it does not know. */
function writeUnknownFamily(text: string, target: Uint8Array, offset: number): boolean {
  const parts = /^af(\d{1,3}):(0x[0-9a-fA-F]{32})$/.exec(text);
  const family = Number(parts?.[1]);
  if (parts === null || family < 2 || family > 255) return false;
  target[offset] = family;
  writeHex(parts[2]!, target, offset + 1);
  return true;
}

export function readAddress(bytes: Uint8Array, offset: number): string {
  const family = bytes[offset]!;
  if (family === 0) return ipv4Text(bytes, offset + 1);
  return family === 1 ? ipv6Text(bytes, offset + 1) : `af${family}:${readHex(bytes, offset + 1, 16)}`;
}

const SLASH = 47;

/** The number behind the last `/`, at most `max`; -1 when there is none. */
function prefixLength(text: string, slash: number, max: number): number {
  const digits = text.length - slash - 1;
  if (slash < 0 || digits < 1 || digits > 3 || (digits > 1 && text.charCodeAt(slash + 1) === 48)) return -1;
  let value = 0;
  for (let at = slash + 1; at < text.length; at++) {
    const digit = text.charCodeAt(at) - 48;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return value <= max ? value : -1;
}

function needSlash(value: string, what: string): number {
  // By hand, from the end: it is among the last four characters, and lastIndexOf costs a call out of JavaScript.
  for (let at = value.length - 1; at > 0; at--) if (value.charCodeAt(at) === SLASH) return at;
  return badText(value, what, 'an address, / and the number of bits are needed');
}

function needLength(value: string, slash: number, max: number, what: string): number {
  const length = prefixLength(value, slash, max);
  return length >= 0 ? length : badText(value, what, `a number of bits from 0 to ${max} is needed behind the /`);
}

/** `10.0.0.0/8` or `2001:db8::/32` as address and length, 18 bytes. False: the value is no text. */
export function writePrefix(value: unknown, target: Uint8Array, offset: number): boolean {
  if (typeof value !== 'string') return false;
  const slash = needSlash(value, 'prefix');
  const reason = scanAddress(value, slash, target, offset);
  if (reason !== '') badText(value, 'prefix', reason);
  const family = target[offset]!;
  target[offset + 17] = needLength(value, slash, family === 0 ? 32 : family === 1 ? 128 : 255, 'prefix');
  return true;
}

export function writeIp4Prefix(value: unknown, target: Uint8Array, offset: number): boolean {
  if (typeof value !== 'string') return false;
  const slash = needSlash(value, 'IPv4 prefix');
  const reason = scanIpv4(value, 0, slash, target, offset);
  if (reason !== '') badText(value, 'IPv4 prefix', reason);
  target[offset + 4] = needLength(value, slash, 32, 'IPv4 prefix');
  return true;
}

export function writeIp6Prefix(value: unknown, target: Uint8Array, offset: number): boolean {
  if (typeof value !== 'string') return false;
  const slash = needSlash(value, 'IPv6 prefix');
  const reason = scanIpv6(value, 0, slash, target, offset);
  if (reason !== '') badText(value, 'IPv6 prefix', reason);
  target[offset + 16] = needLength(value, slash, 128, 'IPv6 prefix');
  return true;
}

export function readPrefix(bytes: Uint8Array, offset: number): string {
  return `${readAddress(bytes, offset)}/${bytes[offset + 17]!}`;
}

export function readIp4Prefix(bytes: Uint8Array, offset: number): string {
  return `${ipv4Text(bytes, offset)}/${bytes[offset + 4]!}`;
}

export function readIp6Prefix(bytes: Uint8Array, offset: number): string {
  return `${ipv6Text(bytes, offset)}/${bytes[offset + 16]!}`;
}
