// MAC addresses: six bytes, written `02:fe:00:00:00:01`.
//
//   first byte   x x x x x x L G     G = 1: group (multicast) address;  L = 1: locally administered
//
// Text in: six groups of exactly two hexadecimal digits, all joined by `:` or all by `-`. Text out: lower case, `:`.

import { ArgumentRangeError } from '../errors.js';
import { compareBytes, put48, u48 } from './bytes.js';
import { HEX2, hexDigit, mustBeText, refuse } from './text.js';

/** Length of a MAC address in bytes. */
export const MAC_LENGTH = 6;
/** The address every station listens to. */
export const BROADCAST_MAC = 'ff:ff:ff:ff:ff:ff';
/** The address of nobody. */
export const ZERO_MAC = '00:00:00:00:00:00';

const WHAT = 'MAC address';
const INSTEAD = 'write six groups of two hexadecimal digits, such as 02:fe:00:00:00:01';

function scanMac(text: string, bytes: Uint8Array, offset: number): string {
  if (text.length !== 17) return `it has ${text.length} characters instead of 17`;
  const separator = text.charCodeAt(2);
  if (separator !== 58 && separator !== 45) return 'its groups are not joined by ":" or "-"';
  for (let group = 0, at = 0; group < MAC_LENGTH; group += 1, at += 3) {
    const high = hexDigit(text.charCodeAt(at));
    const low = hexDigit(text.charCodeAt(at + 1));
    if (high < 0 || low < 0) return `group ${group + 1} is not two hexadecimal digits`;
    if (group < 5 && text.charCodeAt(at + 2) !== separator)
      return `group ${group + 1} is not followed by the same mark`;
    bytes[offset + group] = (high << 4) | low;
  }
  return '';
}

const scratch = new Uint8Array(MAC_LENGTH);
const scratch2 = new Uint8Array(MAC_LENGTH);

/**
 * Writes a MAC address given as text into bytes.
 *
 * @throws NetError `ERR_NET_MAC` when the text is not a MAC address.
 */
export function putMac(bytes: Uint8Array, offset: number, text: string): void {
  mustBeText(WHAT, text);
  const reason = scanMac(text, bytes, offset);
  if (reason !== '') refuse('ERR_NET_MAC', WHAT, text, reason, INSTEAD);
}

/**
 * The six bytes of a MAC address.
 *
 * @throws NetError `ERR_NET_MAC` when the text is not a MAC address.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { parseMac } from 'node-vpp/net';
 *
 * assert.deepEqual(parseMac('02-FE-00-00-00-01'), Uint8Array.of(2, 0xfe, 0, 0, 0, 1));
 * assert.throws(() => parseMac('2:fe:0:0:0:1'), { code: 'ERR_NET_MAC' });
 * ```
 */
export function parseMac(text: string): Uint8Array {
  const bytes = new Uint8Array(MAC_LENGTH);
  putMac(bytes, 0, text);
  return bytes;
}

/**
 * Six bytes as text, lower case with colons.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { formatMac } from 'node-vpp/net';
 *
 * assert.equal(formatMac(Uint8Array.of(2, 0xfe, 0, 0, 0, 1)), '02:fe:00:00:00:01');
 * ```
 */
export function formatMac(bytes: Uint8Array, offset = 0): string {
  if (offset < 0 || offset + MAC_LENGTH > bytes.length) {
    throw new ArgumentRangeError(`formatting a MAC address: no six bytes at ${offset} of ${bytes.length}`);
  }
  return macText(bytes, offset);
}

/** {@link formatMac} without the check, for views that have done theirs. */
export function macText(bytes: Uint8Array, offset: number): string {
  return (
    `${HEX2[bytes[offset]!]!}:${HEX2[bytes[offset + 1]!]!}:${HEX2[bytes[offset + 2]!]!}:` +
    `${HEX2[bytes[offset + 3]!]!}:${HEX2[bytes[offset + 4]!]!}:${HEX2[bytes[offset + 5]!]!}`
  );
}

/** Whether a value is the text of a MAC address. */
export function isMac(value: unknown): boolean {
  return typeof value === 'string' && scanMac(value, scratch, 0) === '';
}

/** The canonical text (lower case, colons) of a MAC address. */
export function normalizeMac(text: string): string {
  putMac(scratch, 0, text);
  return macText(scratch, 0);
}

/**
 * A MAC address as a number below 2^48: exact, and good as a `Map` key.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { macFromNumber, macToNumber } from 'node-vpp/net';
 *
 * assert.equal(macToNumber('00:00:00:00:01:02'), 0x102);
 * assert.equal(macFromNumber(0x102), '00:00:00:00:01:02');
 * ```
 */
export function macToNumber(text: string): number {
  putMac(scratch, 0, text);
  return u48(scratch, 0);
}

/** The text of a MAC address given as a number below 2^48. */
export function macFromNumber(value: number): string {
  if (!Number.isInteger(value) || value < 0 || value >= 2 ** 48) {
    throw new ArgumentRangeError(`making a MAC address of a number: ${value} is not an integer from 0 to 2^48 - 1`);
  }
  put48(scratch, 0, value);
  return macText(scratch, 0);
}

/** -1, 0 or 1: order of two MAC addresses as numbers. */
export function compareMac(a: string, b: string): number {
  putMac(scratch, 0, a);
  putMac(scratch2, 0, b);
  return compareBytes(scratch, 0, scratch2, 0, MAC_LENGTH);
}

/** Whether the address names a group of stations (also true for broadcast). */
export function isMulticastMac(text: string): boolean {
  putMac(scratch, 0, text);
  return (scratch[0]! & 1) === 1;
}

/** Whether the address is `ff:ff:ff:ff:ff:ff`. */
export function isBroadcastMac(text: string): boolean {
  return macToNumber(text) === 0xffff_ffff_ffff;
}

/** Whether the address was chosen locally instead of bought from the IEEE. */
export function isLocalMac(text: string): boolean {
  putMac(scratch, 0, text);
  return (scratch[0]! & 2) === 2;
}
