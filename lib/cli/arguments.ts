// What the options of the command may say: text in, value out, or one line that names what is wrong.

import { InvalidArgumentError } from 'commander';
import { isIpv4, isIpv6, isMac, normalizeIp, normalizeMac } from '../net/index.js';

/** A whole number within bounds. */
export function wholeNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = /^\d+$/.test(text) ? Number(text) : NaN;
    if (value >= min && value <= max) return value;
    throw new InvalidArgumentError(`A whole number from ${min} to ${max} is needed.`);
  };
}

/** A time in seconds, fractions allowed. */
export function seconds(text: string): number {
  const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : NaN;
  if (value > 0 && value <= 1e9) return value;
  throw new InvalidArgumentError('A number of seconds is needed, such as 10 or 0.5.');
}

/** Packets a second: `5000`, `200k`, `1.5M`, or `max` for as many as go (Infinity). */
export function packetRate(text: string): number {
  if (text === 'max') return Infinity;
  const [, number, unit = ''] = /^(\d+(?:\.\d+)?)([kKmM]?)$/.exec(text) ?? [];
  const value = number === undefined ? NaN : Number(number) * (unit === '' ? 1 : /k/i.test(unit) ? 1e3 : 1e6);
  if (value > 0) return value;
  throw new InvalidArgumentError('Packets a second are needed, such as 500, 200k, 1.5M or max.');
}

export function macAddress(text: string): string {
  if (isMac(text)) return normalizeMac(text);
  throw new InvalidArgumentError('A MAC address is needed, such as 02:fe:00:00:00:01.');
}

export function ipAddress(text: string): string {
  if (isIpv4(text) || isIpv6(text)) return normalizeIp(text);
  throw new InvalidArgumentError('An IPv4 or IPv6 address is needed, such as 10.0.0.1 or fd00::1.');
}

/** As `ipAddress`, for an option that may be given several times. */
export function ipAddresses(text: string, before: readonly string[] | undefined): string[] {
  return [...(before ?? []), ipAddress(text)];
}

/** One packet in hexadecimal; blanks, colons and a leading 0x are allowed. */
export function hexPackets(text: string, before: readonly Uint8Array[] | undefined): Uint8Array[] {
  const digits = text.replace(/^0x/i, '').replace(/[\s:]/g, '');
  if (digits.length === 0 || digits.length % 2 !== 0 || /[^0-9a-f]/i.test(digits)) {
    throw new InvalidArgumentError('A packet as pairs of hexadecimal digits is needed.');
  }
  return [...(before ?? []), Uint8Array.from(Buffer.from(digits, 'hex'))];
}
