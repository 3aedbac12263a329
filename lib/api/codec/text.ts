// Bytes as text in hexadecimal, for the values that have no better form. Addresses are read and written by lib/net,
// straight from and to the message.

import { HEX2, hexDigit } from '../../net/text.js';

/** `0x` and two digits per byte. */
export function readHex(bytes: Uint8Array, offset: number, size: number): string {
  let text = '0x';
  for (let at = offset; at < offset + size; at++) text += HEX2[bytes[at]!]!;
  return text;
}

/** Whether a text begins with `0x`, as no address does. */
export function looksLikeHex(text: string): boolean {
  return text.charCodeAt(0) === 48 && text.charCodeAt(1) === 120;
}

/** Whether a text is `0x` and an even number of hex digits. */
export function isHex(text: string): boolean {
  return text.length % 2 === 0 && /^0x[0-9a-fA-F]*$/.test(text);
}

/** Writes hex text that isHex() has accepted. */
export function writeHex(text: string, target: Uint8Array, offset: number): void {
  for (let at = 2; at < text.length; at += 2) {
    target[offset++] = hexDigit(text.charCodeAt(at)) * 16 + hexDigit(text.charCodeAt(at + 1));
  }
}
