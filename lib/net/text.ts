// What the parsers of addresses share: digits, ready-made text for every byte, and how a refusal is worded.
//
// A scanner (`scanMac`, `scanIpv4`, …) writes into bytes the caller owns and returns '' or the reason of its refusal:
// one pass, no exception, no allocation. The throwing functions wrap them.

import { ArgumentTypeError, NetError } from '../errors.js';

/** Decimal text of 0 … 255. */
export const DECIMAL: readonly string[] = Array.from({ length: 256 }, (_, value) => String(value));
/** Hexadecimal text of 0 … 255 without leading zero. */
export const HEX: readonly string[] = Array.from({ length: 256 }, (_, value) => value.toString(16));
/** Two hexadecimal digits for 0 … 255. */
export const HEX2: readonly string[] = HEX.map((text) => text.padStart(2, '0'));

const DIGITS = new Int8Array(128).fill(-1);
for (let value = 0; value < 16; value += 1) {
  DIGITS[value.toString(16).charCodeAt(0)] = value;
  DIGITS[value.toString(16).toUpperCase().charCodeAt(0)] = value;
}

/** The value of a hexadecimal digit given by its character code; -1 for anything else. */
export function hexDigit(code: number): number {
  return code < 128 ? DIGITS[code]! : -1;
}

/** Text as it goes into an error: quoted, control characters escaped, cut when long. */
export function quote(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text);
}

/** Programs without types can pass anything: the scanners want text. */
export function mustBeText(what: string, value: unknown): asserts value is string {
  if (typeof value === 'string') return;
  throw new ArgumentTypeError(`parsing ${what}: a string is needed, not ${value === null ? 'null' : typeof value}`);
}

/** Throws the refusal of a scanner. */
export function refuse(code: string, what: string, text: string, reason: string, instead: string): never {
  throw new NetError(code, `parsing ${what} ${quote(text)}: ${reason}; ${instead}`);
}
