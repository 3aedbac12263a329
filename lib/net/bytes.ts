// Big-endian reads and writes on plain byte arrays: what every header view is made of.
//
// Free functions over (bytes, offset), so that each call site stays monomorphic and is inlined. Nothing here checks a
// bound: a view's `at` has done that once. A read past the end gives zeros, a write past the end does nothing, and
// neither throws.

/** What a view points at while it points at nothing. */
export const NOTHING = new Uint8Array(0);

export function u8(bytes: Uint8Array, offset: number): number {
  return bytes[offset]! | 0;
}

export function u16(bytes: Uint8Array, offset: number): number {
  return (bytes[offset]! << 8) | bytes[offset + 1]!;
}

export function u32(bytes: Uint8Array, offset: number): number {
  return ((bytes[offset]! << 24) | (bytes[offset + 1]! << 16) | (bytes[offset + 2]! << 8) | bytes[offset + 3]!) >>> 0;
}

/** A MAC address as a number: 48 bits are exact in a double. */
export function u48(bytes: Uint8Array, offset: number): number {
  return u16(bytes, offset) * 0x1_0000_0000 + u32(bytes, offset + 2);
}

export function put16(bytes: Uint8Array, offset: number, value: number): void {
  bytes[offset] = value >>> 8;
  bytes[offset + 1] = value;
}

export function put32(bytes: Uint8Array, offset: number, value: number): void {
  bytes[offset] = value >>> 24;
  bytes[offset + 1] = value >>> 16;
  bytes[offset + 2] = value >>> 8;
  bytes[offset + 3] = value;
}

export function put48(bytes: Uint8Array, offset: number, value: number): void {
  put16(bytes, offset, Math.floor(value / 0x1_0000_0000));
  put32(bytes, offset + 2, (value % 0x1_0000_0000) | 0);
}

/** Copies bytes within one array or between two; a loop, because `set(subarray())` allocates. */
export function copyBytes(
  from: Uint8Array,
  fromOffset: number,
  to: Uint8Array,
  toOffset: number,
  length: number,
): void {
  for (let i = 0; i < length; i += 1) to[toOffset + i] = from[fromOffset + i]!;
}

/** -1, 0 or 1: two byte ranges of the same length compared as big-endian numbers. */
export function compareBytes(a: Uint8Array, aOffset: number, b: Uint8Array, bOffset: number, length: number): number {
  for (let i = 0; i < length; i += 1) {
    const difference = a[aOffset + i]! - b[bOffset + i]!;
    if (difference !== 0) return difference < 0 ? -1 : 1;
  }
  return 0;
}
