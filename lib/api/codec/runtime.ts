// What compiled codecs call: one function per shape of value that is more than a few bytes of arithmetic. Writers check
// and write, or throw a Problem; readers are told where to read by code that has checked the bounds.
//
// Invariant: the target has been zeroed and is large enough, so a writer writes only what is not zero.

import type { IntegerType } from '../schema/model.js';
import { ranges, type EnumNode } from './plan.js';
import { isHex, writeHex } from './text.js';

/** A value that does not fit, with the way to it from the outermost struct. Becomes a VppEncodeError or VppDecodeError. */
export class Problem extends Error {
  path = '';

  /** Says that the problem is inside a field, or an element. */
  inside(step: string | number): this {
    const name = typeof step === 'number' ? `[${step}]` : step;
    this.path = this.path === '' || this.path.startsWith('[') ? name + this.path : `${name}.${this.path}`;
    return this;
  }
}

/** Says what a value is, for an error text: numbers and short texts as they are, the rest by kind. */
export function describe(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return value.length > 64 ? `a text of ${value.length} characters` : JSON.stringify(value);
    case 'number':
    case 'boolean':
    case 'undefined':
      return String(value);
    case 'bigint':
      return `${value}n`;
    case 'object':
      if (value === null) return 'null';
      if (ArrayBuffer.isView(value)) return `${value.byteLength} bytes`;
      return Array.isArray(value) ? `an array of ${value.length}` : 'an object';
    default:
      return `a ${typeof value}`;
  }
}

/** As describe(), for values that may be secret (keys, passwords): texts and numbers only by kind. */
function describeKind(value: unknown): string {
  if (typeof value === 'string') return `a text of ${value.length} characters`;
  return typeof value === 'number' || typeof value === 'bigint' ? `a ${typeof value}` : describe(value);
}

/** A field as it is given: what every object inherits (`constructor`, `toString`) is not. */
export function fieldOf(fields: Readonly<Record<string, unknown>>, name: string): unknown {
  const value = fields[name];
  return typeof value === 'function' && value === (Object.prototype as unknown as Record<string, unknown>)[name]
    ? undefined
    : value;
}

/** The fill of typed arrays: that of a Buffer looks at its arguments for longer than it fills. */
// eslint-disable-next-line @typescript-eslint/unbound-method -- called with a typed array as `this`
const { fill } = Uint8Array.prototype;

export function zero(target: Uint8Array, from: number, to: number): void {
  if (to - from > 48) fill.call(target, 0, from, to);
  else for (let at = from; at < to; at++) target[at] = 0;
}

/** Throws: a number that its type cannot hold. */
export function badNumber(value: unknown, type: IntegerType): never {
  const [min, max] = ranges[type];
  throw new Problem(`${describe(value)} is no ${type}: an integer from ${min} to ${max} is needed`);
}

export function badBool(value: unknown): never {
  throw new Problem(`${describe(value)} is no bool: true or false is needed`);
}

/** The object that a struct is encoded from. */
export function badStruct(value: unknown, name: string): never {
  throw new Problem(`${describeKind(value)} is no ${name}: an object with its fields is needed`);
}

export function unknownField(name: string, known: readonly string[]): never {
  if (name === 'context' || name === 'client_index' || name === '_vl_msg_id') {
    throw new Problem('the connection fills in this field; leave it out').inside(name);
  }
  throw new Problem(
    known.length === 0 ? 'there are no fields' : `there is no such field; there are ${known.join(', ')}`,
  ).inside(name);
}

/** The number of an enum value that is given by name, or (for masks) as a list of names. */
export function enumValue(value: unknown, node: EnumNode): number {
  if (typeof value === 'number') {
    const range = ranges[node.type];
    if (Number.isInteger(value) && value >= range[0] && value <= range[1]) return value;
    // `A | B` is negative when the top bit is set.
    if (node.mask && node.type === 'u32' && (value | 0) === value) return value >>> 0;
    badNumber(value, node.type);
  }
  if (typeof value === 'string') {
    const number = node.values.get(value);
    if (number !== undefined) return number;
    throw new Problem(
      `${describe(value)} is no member of ${node.def.name}; there are ${[...node.values.keys()].join(', ')}`,
    );
  }
  if (node.mask && Array.isArray(value)) {
    let mask = 0;
    for (const name of value as unknown[]) mask |= enumValue(name, node);
    return mask >>> 0;
  }
  throw new Problem(`${describe(value)} is no value of ${node.def.name}: a member's name or a number is needed`);
}

// ---- 64 bits, in network order, and f64 in host order -----------------------------------------------------------------

const scratch = new DataView(new ArrayBuffer(8));
const scratchBytes = new Uint8Array(scratch.buffer);

function put(target: Uint8Array, offset: number): void {
  for (let at = 0; at < 8; at++) target[offset + at] = scratchBytes[at]!;
}

function take(bytes: Uint8Array, offset: number): void {
  for (let at = 0; at < 8; at++) scratchBytes[at] = bytes[offset + at]!;
}

function writeBig(value: unknown, target: Uint8Array, offset: number, type: 'u64' | 'i64'): void {
  const number = typeof value === 'number' && Number.isSafeInteger(value) ? BigInt(value) : value;
  if (
    typeof number !== 'bigint' ||
    (type === 'u64' ? BigInt.asUintN(64, number) : BigInt.asIntN(64, number)) !== number
  ) {
    throw new Problem(`${describe(value)} is no ${type}: a bigint of 64 bits (or a safe integer) is needed`);
  }
  scratch.setBigUint64(0, BigInt.asUintN(64, number));
  put(target, offset);
}

export function writeU64(value: unknown, target: Uint8Array, offset: number): void {
  writeBig(value, target, offset, 'u64');
}

export function writeI64(value: unknown, target: Uint8Array, offset: number): void {
  writeBig(value, target, offset, 'i64');
}

export function readU64(bytes: Uint8Array, offset: number): bigint {
  take(bytes, offset);
  return scratch.getBigUint64(0);
}

export function readI64(bytes: Uint8Array, offset: number): bigint {
  take(bytes, offset);
  return scratch.getBigInt64(0);
}

export function writeF64(value: unknown, target: Uint8Array, offset: number, little: boolean): void {
  if (typeof value !== 'number') throw new Problem(`${describe(value)} is no f64: a number is needed`);
  scratch.setFloat64(0, value, little);
  put(target, offset);
}

export function readF64(bytes: Uint8Array, offset: number, little: boolean): number {
  take(bytes, offset);
  return scratch.getFloat64(0, little);
}

// ---- text ------------------------------------------------------------------------------------------------------------

/** UTF-8 bytes of a text; what is no text counts 0, for its writer will complain. */
export function byteLength(text: unknown): number {
  if (typeof text !== 'string') return 0;
  let length = text.length;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    // Each half of a surrogate pair counts 2 of the pair's 4.
    if (code > 0x7f) length += code > 0x7ff && (code < 0xd800 || code > 0xdfff) ? 2 : 1;
  }
  return length;
}

/** Writes UTF-8 from `offset`; the space has been measured with byteLength(). Returns the end. */
function writeUtf8(text: string, target: Uint8Array, offset: number): number {
  for (let at = 0; at < text.length; at++) {
    let code = text.charCodeAt(at);
    if (code < 0x80) {
      target[offset++] = code;
      continue;
    }
    if (code < 0x800) {
      target[offset++] = 0xc0 | (code >> 6);
      target[offset++] = 0x80 | (code & 0x3f);
      continue;
    }
    if (code >= 0xd800 && code <= 0xdfff) {
      const low = text.charCodeAt(++at);
      if (code > 0xdbff || !(low >= 0xdc00 && low <= 0xdfff))
        throw new Problem('the text has half a surrogate pair, which no UTF-8 can express');
      code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
      target[offset++] = 0xf0 | (code >> 18);
      target[offset++] = 0x80 | ((code >> 12) & 0x3f);
    } else {
      target[offset++] = 0xe0 | (code >> 12);
    }
    target[offset++] = 0x80 | ((code >> 6) & 0x3f);
    target[offset++] = 0x80 | (code & 0x3f);
  }
  return offset;
}

/** Writes text into its fixed `size` bytes. */
export function writeString(value: unknown, target: Uint8Array, offset: number, size: number): void {
  if (typeof value !== 'string') throw new Problem(`${describeKind(value)} is no text`);
  const length = byteLength(value);
  if (length > size) throw new Problem(`the text takes ${length} bytes, the field has ${size}`);
  if (value.includes('\0')) throw new Problem('the text has a NUL inside, which would end it');
  writeUtf8(value, target, offset);
}

/** Writes text behind its u32 length; returns the end. */
export function writeText(value: unknown, target: Uint8Array, offset: number): number {
  if (typeof value !== 'string') throw new Problem(`${describeKind(value)} is no text`);
  const end = writeUtf8(value, target, offset + 4);
  const length = end - offset - 4;
  target[offset] = length >>> 24;
  target[offset + 1] = length >>> 16;
  target[offset + 2] = length >>> 8;
  target[offset + 3] = length;
  return end;
}

const utf8 = new TextDecoder('utf-8', { ignoreBOM: true });
const latin1Slice = (
  Buffer.prototype as unknown as { latin1Slice: (this: Uint8Array, from: number, to: number) => string }
).latin1Slice;

/** The text in bytes[from, to), bytes that are no UTF-8 replaced by U+FFFD. */
function slice(bytes: Uint8Array, from: number, to: number): string {
  for (let at = from; at < to; at++) {
    if (bytes[at]! > 0x7f) return utf8.decode(bytes.subarray(from, to));
  }
  return latin1Slice.call(bytes, from, to);
}

/** The text in a fixed number of bytes: up to the first NUL, or all of them. */
export function readString(bytes: Uint8Array, offset: number, size: number): string {
  const limit = offset + size;
  let end = offset;
  let high = 0;
  while (end < limit) {
    const byte = bytes[end]!;
    if (byte === 0) break;
    high |= byte;
    end++;
  }
  if (end === offset) return '';
  return high > 0x7f ? utf8.decode(bytes.subarray(offset, end)) : latin1Slice.call(bytes, offset, end);
}

export function readText(bytes: Uint8Array, offset: number, length: number): string {
  return length === 0 ? '' : slice(bytes, offset, offset + length);
}

// ---- bytes and lists ---------------------------------------------------------------------------------------------------

type Listed = ArrayLike<unknown>;

/** The number of elements a value has as a list; -1 when it is none. Text in hex is a list of bytes. */
export function listLength(value: unknown, bytes: boolean): number {
  if (value === undefined) return 0;
  if (Array.isArray(value)) return value.length;
  if (ArrayBuffer.isView(value) && !(value instanceof DataView)) return (value as unknown as Listed).length;
  return bytes && typeof value === 'string' && isHex(value) ? value.length / 2 - 1 : -1;
}

/** The length of a list for its count field, after checking it: returns the number of elements. */
export function countList(value: unknown, given: unknown, counter: string, type: IntegerType, bytes: boolean): number {
  const length = listLength(value, bytes);
  if (length < 0)
    throw new Problem(
      `${describeKind(value)} is no ${bytes ? 'list of bytes: a Uint8Array, an array or 0x… is needed' : 'array'}`,
    );
  const max = ranges[type][1];
  if (length > max)
    throw new Problem(`${length} elements are more than its count ${counter} (${type}) can say: at most ${max}`);
  if (given !== undefined && given !== length) {
    throw new Problem(
      `it has ${length} elements, but its count ${counter} is given as ${describe(given)}; leave the count out`,
    );
  }
  return length;
}

/** The elements of a fixed array: at most `count`, the rest stays zero. */
export function checkArray(value: unknown, count: number): number {
  const length = listLength(value, false);
  if (length < 0) throw new Problem(`${describe(value)} is no array`);
  if (length > count) throw new Problem(`it has ${length} elements, the field has room for ${count}`);
  return length;
}

/** Writes bytes given as Uint8Array, array of numbers or hex text. */
export function writeBytes(value: unknown, target: Uint8Array, offset: number, size: number): void {
  const length = listLength(value, true);
  if (length < 0)
    throw new Problem(`${describeKind(value)} is no bytes: a Uint8Array, an array of numbers or 0x… is needed`);
  if (length > size) throw new Problem(`it has ${length} bytes, the field has room for ${size}`);
  if (value instanceof Uint8Array) {
    if (length > 32) target.set(value, offset);
    else for (let at = 0; at < length; at++) target[offset + at] = value[at]!;
  } else if (typeof value === 'string') {
    writeHex(value, target, offset);
  } else if (value !== undefined) {
    for (let at = 0; at < length; at++) {
      const byte = (value as Listed)[at];
      if (((byte as number) & 0xff) !== byte) throw new Problem('an integer from 0 to 255 is needed').inside(at);
      target[offset + at] = byte;
    }
  }
}

/** A copy, so that what is decoded does not keep a receive buffer alive; never a Buffer, whatever `bytes` is. */
export function readBytes(bytes: Uint8Array, offset: number, size: number): Uint8Array {
  const copy = new Uint8Array(size);
  if (size > 64) copy.set(bytes.subarray(offset, offset + size));
  else for (let at = 0; at < size; at++) copy[at] = bytes[offset + at]!;
  return copy;
}

/** Throws: the bytes end before the message does. */
export function truncated(needed: number, left: number): never {
  throw new Problem(`${needed} bytes are needed, ${Math.max(0, left)} are left`);
}
