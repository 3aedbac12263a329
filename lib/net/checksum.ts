// The Internet checksum (RFC 1071), its incremental update (RFC 1624), and the pseudo headers of TCP, UDP and ICMPv6.
//
//   checksumAdd …  running sum, 0 … 0xffff, one's complement; parts may be added in any order if each but the last is even
//   checksumFinish complement of the sum: what goes on the wire; over data that includes a right checksum it gives 0
//
// Short ranges are summed byte by byte (unrolled). Long ones are read as aligned 32-bit words in host order: the sum
// of RFC 1071 section 2(B) is the same up to a byte swap. The word views of the last two buffers are kept, because
// making one per packet would cost more than it saves; they keep at most those two buffers alive.

import { u16 } from './bytes.js';

const WORDS_FROM = 192;
const CHUNK = 0x1_0000;
const HOST_IS_LITTLE_ENDIAN = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

let words = new Uint32Array(0);
let otherWords = words;

function wordsOf(bytes: Uint8Array): Uint32Array {
  const buffer = bytes.buffer;
  const wanted = buffer.byteLength >>> 2;
  if (words.buffer === buffer && words.length === wanted) return words;
  const previous = words;
  words = otherWords;
  otherWords = previous;
  if (words.buffer !== buffer || words.length !== wanted) words = new Uint32Array(buffer as ArrayBuffer, 0, wanted);
  return words;
}

function fold(sum: number): number {
  const once = (sum & 0xffff) + (sum >>> 16);
  return (once & 0xffff) + (once >>> 16);
}

function swap(sum: number): number {
  return ((sum & 0xff) << 8) | (sum >>> 8);
}

/** Sum of at most CHUNK bytes, the first of which is a high byte; folded. */
function addBytes(bytes: Uint8Array, offset: number, length: number, sum: number): number {
  const end = (offset + length) | 0;
  const unrolled = (end - 7) | 0;
  let high = 0;
  let low = 0;
  let i = offset | 0;
  for (; i < unrolled; i = (i + 8) | 0) {
    high = (high + bytes[i]! + bytes[i + 2]! + bytes[i + 4]! + bytes[i + 6]!) | 0;
    low = (low + bytes[i + 1]! + bytes[i + 3]! + bytes[i + 5]! + bytes[i + 7]!) | 0;
  }
  for (; i + 1 < end; i = (i + 2) | 0) {
    high = (high + bytes[i]!) | 0;
    low = (low + bytes[i + 1]!) | 0;
  }
  if (i < end) high = (high + bytes[i]!) | 0;
  // high < 2^23, so that high << 8 is below 2^31.
  return fold(fold(high << 8) + fold(low) + sum);
}

/** The same for long ranges: bytes up to a word boundary, words, bytes that are left. */
function addWords(bytes: Uint8Array, offset: number, length: number, sum: number): number {
  const view = wordsOf(bytes);
  const position = bytes.byteOffset + offset;
  const head = (4 - (position & 3)) & 3;
  const first = (position + head) >>> 2;
  const last = (position + length) >>> 2;
  let inner = 0;
  let i = first;
  for (; i < last - 3; i += 4) {
    const a = view[i]!;
    const b = view[i + 1]!;
    const c = view[i + 2]!;
    const d = view[i + 3]!;
    inner +=
      (a & 0xffff) + (a >>> 16) + (b & 0xffff) + (b >>> 16) + (c & 0xffff) + (c >>> 16) + (d & 0xffff) + (d >>> 16);
  }
  for (; i < last; i += 1) inner += (view[i]! & 0xffff) + (view[i]! >>> 16);
  inner = fold(inner);
  if (HOST_IS_LITTLE_ENDIAN) inner = swap(inner);
  const done = head + (last - first) * 4;
  inner = addBytes(bytes, offset + done, length - done, inner);
  // After an odd head what was summed as high bytes are low ones.
  if ((head & 1) === 1) inner = swap(inner);
  return addBytes(bytes, offset, head, fold(inner + sum));
}

/**
 * Adds bytes to a running one's complement sum.
 *
 * @param sum - the running sum so far, 0 … 0xffff; what was added before must have had an even number of bytes
 * @returns the new running sum, 0 … 0xffff
 */
export function checksumAdd(bytes: Uint8Array, offset: number, length: number, sum = 0): number {
  if (length < WORDS_FROM) return addBytes(bytes, offset, length, sum);
  let total = sum;
  let at = offset;
  // The words belong to the whole buffer: never read past the bytes that were given.
  let left = Math.min(length, bytes.length - offset);
  for (; left > CHUNK; left -= CHUNK, at += CHUNK) total = addWords(bytes, at, CHUNK, total);
  return addWords(bytes, at, left, total);
}

/** The checksum of a running sum: its complement. */
export function checksumFinish(sum: number): number {
  return ~fold(sum) & 0xffff;
}

/**
 * The Internet checksum of a range of bytes; 0 when the range includes its own right checksum.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { checksum } from 'node-vpp/net';
 *
 * // The numerical example of RFC 1071, section 3.
 * assert.equal(checksum(Uint8Array.of(0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7)), 0x220d);
 * ```
 */
export function checksum(bytes: Uint8Array, offset = 0, length = bytes.length - offset): number {
  return ~checksumAdd(bytes, offset, length, 0) & 0xffff;
}

/**
 * The checksum after one 16-bit word of the data has changed, without looking at the rest (RFC 1624, equation 3).
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { checksumUpdate16 } from 'node-vpp/net';
 *
 * // The example of RFC 1624, section 4.
 * assert.equal(checksumUpdate16(0xdd2f, 0x5555, 0x3285), 0x0000);
 * ```
 */
export function checksumUpdate16(checksum: number, before: number, after: number): number {
  return ~fold((~checksum & 0xffff) + (~before & 0xffff) + after) & 0xffff;
}

/** The checksum after a 32-bit word, such as an IPv4 address, has changed. */
export function checksumUpdate32(checksum: number, before: number, after: number): number {
  const removed = (~(before >>> 16) & 0xffff) + (~before & 0xffff);
  return ~fold((~checksum & 0xffff) + removed + (after >>> 16) + (after & 0xffff)) & 0xffff;
}

/** Running sum of the IPv4 pseudo header (RFC 793): the addresses of the header at `networkOffset`. */
export function pseudoHeaderSum4(bytes: Uint8Array, networkOffset: number, protocol: number, length: number): number {
  const addresses =
    u16(bytes, networkOffset + 12) +
    u16(bytes, networkOffset + 14) +
    u16(bytes, networkOffset + 16) +
    u16(bytes, networkOffset + 18);
  return fold(addresses + protocol + (length >>> 16) + (length & 0xffff));
}

/** Running sum of the IPv6 pseudo header (RFC 8200 section 8.1): the addresses of the header at `networkOffset`. */
export function pseudoHeaderSum6(bytes: Uint8Array, networkOffset: number, protocol: number, length: number): number {
  return addBytes(bytes, networkOffset + 8, 32, fold(protocol + (length >>> 16) + (length & 0xffff)));
}

/**
 * The checksum of a TCP, UDP or ICMPv6 message: pseudo header and `length` bytes from `offset`. With the checksum
 * field set to 0 beforehand it is what belongs there; with a right checksum in place it is 0.
 *
 * @param networkOffset - where the IPv4 or IPv6 header starts; its version is read there
 */
export function transportChecksum(
  bytes: Uint8Array,
  networkOffset: number,
  protocol: number,
  offset: number,
  length: number,
): number {
  const pseudo =
    bytes[networkOffset]! >> 4 === 6
      ? pseudoHeaderSum6(bytes, networkOffset, protocol, length)
      : pseudoHeaderSum4(bytes, networkOffset, protocol, length);
  return ~checksumAdd(bytes, offset, length, pseudo) & 0xffff;
}
