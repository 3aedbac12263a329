// Addresses and prefixes as the control plane gives them, as the bytes and words that the tables are made of.

import { ArgumentRangeError, ArgumentTypeError } from '../../errors.js';
import { formatIp, parseIp, parseMac } from '../../net/index.js';
import type { Address, Mac, PrefixLike } from './control.js';

export function addressBytes(address: Address): Uint8Array {
  if (typeof address === 'string') return parseIp(address);
  if (!(address instanceof Uint8Array) || (address.length !== 4 && address.length !== 16)) {
    throw new ArgumentTypeError('forwarder: an address is text, or 4 or 16 bytes');
  }
  return address.slice();
}

export function macBytes(mac: Mac): Uint8Array {
  if (typeof mac === 'string') return parseMac(mac);
  if (!(mac instanceof Uint8Array) || mac.length !== 6) {
    throw new ArgumentTypeError('forwarder: a MAC address is text, or 6 bytes');
  }
  return mac.slice();
}

export function macWords(mac: Uint8Array): { high: number; low: number } {
  return {
    high: (mac[0]! << 8) | mac[1]!,
    low: ((mac[2]! << 24) | (mac[3]! << 16) | (mac[4]! << 8) | mac[5]!) >>> 0,
  };
}

/** Address bytes, host bits and all, and the length. */
export function prefixParts(prefix: PrefixLike): { bytes: Uint8Array; length: number } {
  let address: Address;
  let length: number;
  if (typeof prefix === 'string') {
    const slash = prefix.lastIndexOf('/');
    if (slash < 0) throw new ArgumentRangeError(`forwarder: '${prefix}' is no prefix: an address, / and a length`);
    address = prefix.slice(0, slash);
    length = /^\d{1,3}$/.test(prefix.slice(slash + 1)) ? Number(prefix.slice(slash + 1)) : -1;
  } else ({ address, length } = prefix);
  const bytes = addressBytes(address);
  if (!Number.isInteger(length) || length < 0 || length > bytes.length * 8) {
    throw new ArgumentRangeError(`forwarder: ${length} is no length of a prefix of ${formatIp(bytes)}`);
  }
  return { bytes, length };
}

export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** Whether the first `length` bits are the same. */
export function covers(prefix: Uint8Array, length: number, address: Uint8Array): boolean {
  if (prefix.length !== address.length) return false;
  const whole = length >> 3;
  for (let i = 0; i < whole; i++) if (prefix[i] !== address[i]) return false;
  const bits = length & 7;
  return bits === 0 || ((prefix[whole]! ^ address[whole]!) & (0xff << (8 - bits)) & 0xff) === 0;
}

export const isLinkLocal = (address: Uint8Array): boolean =>
  address.length === 16 && address[0] === 0xfe && (address[1]! & 0xc0) === 0x80;

/** The link-local address of a MAC: EUI-64. */
export function linkLocalOf(mac: Uint8Array): Uint8Array {
  const address = new Uint8Array(16);
  address.set([0xfe, 0x80]);
  address.set([mac[0]! ^ 2, mac[1]!, mac[2]!, 0xff, 0xfe, mac[3]!, mac[4]!, mac[5]!], 8);
  return address;
}
