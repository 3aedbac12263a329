// Codecs made of closures: one function per node of the plan, calling those of its parts. They are what runs where
// code generation is not allowed, and what finds the field to name when generated code has met a problem.
//
//   write  (value, target, offset, tag) → end        read   (bytes, offset, end, tag) → value, `position` moves on
//   size   (value) → bytes beyond the fixed size     skip   (bytes, offset, end) → end of the node, bounds checked
//
// Invariant: a reader checks every bound before it reads; a Problem carries the way to the field.

import { ipv4Text, ipv6Text } from '../../net/ip.js';
import { macText } from '../../net/mac.js';
import type { CodecMode } from './codec.js';
import { ranges, type ArrayNode, type ListNode, type Node, type Part, type StructNode } from './plan.js';
import { bytesOf, endOf, Row, startOf, tagOf } from './row.js';
import * as rt from './runtime.js';
import { Problem } from './runtime.js';
import { unionReader, unionWriter } from './union.js';

export type Writer = (value: unknown, target: Uint8Array, offset: number, tag: number) => number;
export type Sizer = (value: unknown) => number;
export type Skipper = (bytes: Uint8Array, offset: number, end: number) => number;
/** Reads a value; `cursor.at` is its end afterwards. */
export type Reader = (bytes: Uint8Array, offset: number, end: number, tag: number, cursor: Cursor) => unknown;
export type RowMaker = new (bytes: Uint8Array, start: number, end: number, tag: number) => Row;

export interface Cursor {
  at: number;
}

type Getter = (bytes: Uint8Array, offset: number) => unknown;
type Fields = Readonly<Record<string, unknown>>;

const emptyFields: Fields = Object.freeze({});

export function readNumber(type: string, bytes: Uint8Array, at: number): number {
  switch (type) {
    case 'u8':
      return bytes[at]!;
    case 'i8':
      return (bytes[at]! << 24) >> 24;
    case 'u16':
      return (bytes[at]! << 8) | bytes[at + 1]!;
    case 'i16':
      return ((bytes[at]! << 24) >> 16) | bytes[at + 1]!;
    default: {
      const value = (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
      return type === 'i32' ? value : value >>> 0;
    }
  }
}

export function writeNumber(value: number, size: number, target: Uint8Array, at: number): void {
  for (let left = size - 1; left >= 0; left--) target[at++] = value >>> (8 * left);
}

/** Compiles the nodes of one message; a struct that occurs twice is compiled once. */
export class Closures {
  readonly #mode: CodecMode;
  readonly #writers = new Map<Node, Writer>();
  readonly #readers = new Map<Node, Reader>();
  readonly #sizers = new Map<Node, Sizer>();
  readonly #skippers = new Map<Node, Skipper>();
  readonly #rows = new Map<StructNode, RowMaker>();

  constructor(mode: CodecMode) {
    this.#mode = mode;
  }

  // ---- writing ---------------------------------------------------------------------------------------------------------

  writer(node: Node): Writer {
    return cached(this.#writers, node, () => this.#makeWriter(node));
  }

  #makeWriter(node: Node): Writer {
    const { size } = node;
    const fixed =
      (write: (value: unknown, target: Uint8Array, offset: number) => void): Writer =>
      (value, target, offset) => {
        write(value, target, offset);
        return offset + size;
      };
    switch (node.kind) {
      case 'number': {
        const { type } = node;
        const [min, max] = ranges[type];
        return fixed((value, target, offset) => {
          if (typeof value !== 'number' || !Number.isInteger(value) || value < min || value > max)
            rt.badNumber(value, type);
          writeNumber(value, size, target, offset);
        });
      }
      case 'enum':
        return fixed((value, target, offset) => writeNumber(rt.enumValue(value, node), size, target, offset));
      case 'bool':
        return fixed((value, target, offset) => {
          if (value !== true && value !== false && value !== 0 && value !== 1) rt.badBool(value);
          target[offset] = Number(value);
        });
      case 'u64':
        return fixed(rt.writeU64);
      case 'i64':
        return fixed(rt.writeI64);
      case 'f64': {
        const { little } = this.#mode;
        return fixed((value, target, offset) => rt.writeF64(value, target, offset, little));
      }
      case 'string':
        return fixed((value, target, offset) => rt.writeString(value, target, offset, size));
      case 'text':
        return rt.writeText;
      case 'bytes':
        if (node.text === 'ip4') return fixed(rt.writeIp4Value);
        if (node.text === 'ip6') return fixed(rt.writeIp6Value);
        if (node.text === 'mac') return fixed(rt.writeMacValue);
        return fixed((value, target, offset) => rt.writeBytes(value, target, offset, size));
      case 'array':
        return this.#arrayWriter(node);
      case 'list':
        return this.#listWriter(node);
      case 'union':
        return this.#unionWriter(node, undefined);
      case 'struct':
        return this.#structWriter(node);
    }
  }

  #arrayWriter(node: ArrayNode): Writer {
    const write = this.writer(node.element);
    // A struct with defaults is not all zero when it is omitted.
    const all = hasDefaults(node.element);
    return (value, target, offset, tag) => {
      const given = rt.checkArray(value, node.count);
      const count = all || node.variable ? node.count : given;
      let at = offset;
      for (let index = 0; index < count; index++) {
        const element = index < given ? (value as ArrayLike<unknown>)[index] : omitted(node.element);
        at = inside(index, () => write(element, target, at, tag));
      }
      return node.variable ? at : offset + node.size;
    };
  }

  #listWriter(node: ListNode): Writer {
    const { element } = node;
    if (node.bytes) {
      return (value, target, offset) => {
        const length = rt.listLength(value, true);
        rt.writeBytes(value, target, offset, length);
        return offset + length;
      };
    }
    const write = this.writer(element);
    return (value, target, offset) => {
      const list = (value ?? []) as ArrayLike<unknown>;
      let at = offset;
      for (let index = 0; index < list.length; index++) {
        at = inside(index, () => write(list[index], target, at, -1));
      }
      return at;
    };
  }

  #unionWriter(node: Node & { kind: 'union' }, part: Part | undefined): Writer {
    const writers = node.arms.map((arm) => this.writer(arm.node));
    const write = unionWriter(
      node,
      part?.tag?.cases,
      writers.map((arm) => (value, target, offset) => arm(value, target, offset, -1)),
      this.#mode.exact,
    );
    return (value, target, offset, tag) => {
      write(value, target, offset, tag);
      return offset + node.size;
    };
  }

  #structWriter(node: StructNode): Writer {
    const parts = node.parts.filter((part) => part.role !== 'header');
    const known = parts.map((part) => part.name);
    const knownSet = new Set(known);
    const steps = parts.map((part) => {
      const write = part.node.kind === 'union' ? this.#unionWriter(part.node, part) : this.writer(part.node);
      return { part, write };
    });
    const writeParts: Writer = (value, target, offset, tag) => {
      const fields = value as Fields;
      for (const name in fields) {
        if (!knownSet.has(name) && rt.fieldOf(fields, name) !== undefined) rt.unknownField(name, known);
      }
      let moved = 0;
      for (const { part, write } of steps) {
        if (part.role === 'count') continue;
        const at = offset + (part.offset >= 0 ? part.offset : runningOffset(node, part)) + moved;
        const given = rt.fieldOf(fields, part.name);
        const { node: inner } = part;
        inside(part.name, () => {
          if (inner.kind === 'list') {
            const { counter } = inner;
            const type = counter.node.kind === 'number' ? counter.node.type : 'u32';
            const length = rt.countList(given, rt.fieldOf(fields, counter.name), counter.name, type, inner.bytes);
            const counterAt = offset + counter.offset;
            const before = readNumber(type, target, counterAt);
            if (before !== 0 && before !== length)
              throw new Problem(
                `it has ${length} elements, another array with the count ${counter.name} has ${before}`,
              );
            writeNumber(length, counter.node.size, target, counterAt);
          }
          const used = given === undefined ? (part.default ?? omitted(inner)) : given;
          if (used === undefined) return;
          const end = write(used, target, at, this.#tagValue(part, fields, tag));
          moved += end - at - inner.size;
        });
      }
      return offset + node.size + moved;
    };
    switch (node.text) {
      case 'address':
        return textOr(node, rt.writeAddress, writeParts);
      case 'prefix':
        return textOr(node, rt.writePrefix, writeParts);
      case 'ip4prefix':
        return textOr(node, rt.writeIp4Prefix, writeParts);
      case 'ip6prefix':
        return textOr(node, rt.writeIp6Prefix, writeParts);
      case undefined:
        return textOr(node, undefined, writeParts);
    }
  }

  #tagValue(part: Part, fields: Fields, outer: number): number {
    const from = part.tag?.from;
    if (from === undefined) return -1;
    if (from === 'outer') return outer;
    const value = rt.fieldOf(fields, from.name) ?? from.default ?? 0;
    if (from.node.kind === 'enum') return rt.enumValue(value, from.node);
    return typeof value === 'number' ? value : -1;
  }

  // ---- measuring what is to be written ------------------------------------------------------------------------------------

  sizer(node: Node): Sizer {
    return cached(this.#sizers, node, () => this.#makeSizer(node));
  }

  #makeSizer(node: Node): Sizer {
    if (!node.variable) return () => 0;
    switch (node.kind) {
      case 'text':
        return rt.byteLength;
      case 'list': {
        const { element, bytes } = node;
        const inner = this.sizer(element);
        return (value) => {
          const length = Math.max(0, rt.listLength(value, bytes));
          let size = length * element.size;
          if (element.variable) for (let at = 0; at < length; at++) size += inner((value as ArrayLike<unknown>)[at]);
          return size;
        };
      }
      case 'array': {
        const inner = this.sizer(node.element);
        return (value) => {
          const length = Math.max(0, rt.listLength(value, false));
          let size = 0;
          for (let at = 0; at < length; at++) size += inner((value as ArrayLike<unknown>)[at]);
          return size;
        };
      }
      default: {
        const parts = node.parts.filter((part) => part.node.variable);
        const steps = parts.map((part) => ({ name: part.name, value: part.default, size: this.sizer(part.node) }));
        return (value) => {
          if (typeof value !== 'object' || value === null) return 0;
          let size = 0;
          for (const step of steps) size += step.size(rt.fieldOf(value as Fields, step.name) ?? step.value);
          return size;
        };
      }
    }
  }

  // ---- reading ---------------------------------------------------------------------------------------------------------

  reader(node: Node): Reader {
    return cached(this.#readers, node, () => this.#makeReader(node, undefined));
  }

  #partReader(part: Part): Reader {
    return part.node.kind === 'union' ? this.#makeReader(part.node, part) : this.reader(part.node);
  }

  #makeReader(node: Node, part: Part | undefined): Reader {
    if (node.kind === 'struct' && (node.text === undefined || this.#mode.exact)) return this.#structReader(node);
    if (node.kind === 'list') throw new Error('a list is read by its struct');
    if (node.kind === 'array') {
      const read = this.reader(node.element);
      return (bytes, offset, end, tag, cursor) => {
        const values: unknown[] = [];
        cursor.at = offset;
        for (let index = 0; index < node.count; index++) {
          inside(index, () => values.push(read(bytes, cursor.at, end, tag, cursor)));
        }
        return values;
      };
    }
    if (node.kind === 'text') {
      return (bytes, offset, end, _tag, cursor) => {
        if (end - offset < 4) rt.truncated(4, end - offset);
        const length = readNumber('u32', bytes, offset);
        if (length > end - offset - 4) rt.truncated(length, end - offset - 4);
        cursor.at = offset + 4 + length;
        return rt.readText(bytes, offset + 4, length);
      };
    }
    const { size } = node;
    if (node.kind === 'union') {
      const readers = node.arms.map((arm) => this.reader(arm.node));
      const inner: Cursor = { at: 0 };
      const read = unionReader(
        node,
        part?.tag?.cases,
        readers.map((arm, index) => {
          const armSize = node.arms[index]!.node.size;
          return (bytes: Uint8Array, offset: number) => arm(bytes, offset, offset + armSize, -1, inner);
        }),
        this.#mode.exact,
      );
      return (bytes, offset, end, tag, cursor) => {
        if (end - offset < size) rt.truncated(size, end - offset);
        const value = read(bytes, offset, tag);
        cursor.at = offset + size;
        return value;
      };
    }
    const get = this.#getter(node);
    return (bytes, offset, end, _tag, cursor) => {
      if (end - offset < size) rt.truncated(size, end - offset);
      cursor.at = offset + size;
      return get(bytes, offset);
    };
  }

  /** Reads a node of fixed size and no parts. */
  #getter(node: Node): Getter {
    const { size } = node;
    const { exact, little } = this.#mode;
    switch (node.kind) {
      case 'number':
      case 'enum': {
        const { type } = node;
        return (bytes, offset) => readNumber(type, bytes, offset);
      }
      case 'bool':
        return (bytes, offset) => bytes[offset] !== 0;
      case 'u64':
        return rt.readU64;
      case 'i64':
        return rt.readI64;
      case 'f64':
        return (bytes, offset) => rt.readF64(bytes, offset, little);
      case 'string':
        return (bytes, offset) => rt.readString(bytes, offset, size);
      case 'bytes':
        if (!exact && node.text === 'ip4') return ipv4Text;
        if (!exact && node.text === 'ip6') return ipv6Text;
        if (!exact && node.text === 'mac') return macText;
        return (bytes, offset) => rt.readBytes(bytes, offset, size);
      case 'struct':
        if (node.text === 'address') return rt.readAddress;
        if (node.text === 'prefix') return rt.readPrefix;
        return node.text === 'ip4prefix' ? rt.readIp4Prefix : rt.readIp6Prefix;
      default:
        throw new Error(`${node.kind} has parts`);
    }
  }

  #structReader(node: StructNode): Reader {
    const steps = node.parts.map((part) => ({
      part,
      read: part.node.kind === 'list' ? this.#listReader(part.node) : this.#partReader(part),
    }));
    return (bytes, offset, end, tag, cursor) => {
      if (end - offset < node.size) rt.truncated(node.size, end - offset);
      const value: Record<string, unknown> = {};
      let at = offset;
      for (const { part, read } of steps) {
        if (part.role === 'header') {
          at += part.node.size;
          continue;
        }
        const start = at;
        const inner = partTag(part, bytes, offset, tag);
        inside(part.name, () => (value[part.name] = read(bytes, start, end, inner, cursor)));
        at = cursor.at;
      }
      cursor.at = at;
      return value;
    };

    function partTag(part: Part, bytes: Uint8Array, offset: number, outer: number): number {
      const { node: inner } = part;
      // For a list the tag is its count.
      const from = inner.kind === 'list' ? inner.counter : part.tag?.from;
      if (from === undefined) return -1;
      if (from === 'outer') return outer;
      return from.node.kind === 'number' || from.node.kind === 'enum'
        ? readNumber(from.node.type, bytes, offset + from.offset)
        : -1;
    }
  }

  #listReader(node: ListNode): Reader {
    const { element } = node;
    const read = node.bytes ? undefined : this.reader(element);
    return (bytes, offset, end, count, cursor) => {
      if (count * element.size > end - offset) rt.truncated(count * element.size, end - offset);
      if (read === undefined) {
        cursor.at = offset + count;
        return rt.readBytes(bytes, offset, count);
      }
      const values: unknown[] = [];
      cursor.at = offset;
      for (let index = 0; index < count; index++) {
        inside(index, () => values.push(read(bytes, cursor.at, end, -1, cursor)));
      }
      return values;
    };
  }

  // ---- rows ------------------------------------------------------------------------------------------------------------

  /** Finds the end of a node, with every bound checked. */
  skipper(node: StructNode): Skipper {
    return cached(this.#skippers, node, () => {
      const read = this.reader(node);
      const cursor: Cursor = { at: 0 };
      if (!node.variable) {
        return (_bytes, offset, end) => {
          if (end - offset < node.size) rt.truncated(node.size, end - offset);
          return offset + node.size;
        };
      }
      return (bytes, offset, end) => {
        read(bytes, offset, end, -1, cursor);
        return cursor.at;
      };
    });
  }

  row(node: StructNode): RowMaker {
    return cached(this.#rows, node, () => {
      const read = this.reader(node);
      class StructRow extends Row {
        override toObject(): Record<string, unknown> {
          return read(this[bytesOf], this[startOf], this[endOf], this[tagOf], { at: 0 }) as Record<string, unknown>;
        }
      }
      for (const part of node.parts) {
        if (part.role === 'header') continue;
        Object.defineProperty(StructRow.prototype, part.name, {
          get: this.#rowGetter(node, part),
          enumerable: true,
          configurable: true,
        });
      }
      return StructRow;
    });
  }

  #rowGetter(node: StructNode, part: Part): (this: Row) => unknown {
    const inner = part.node;
    const rowOf =
      inner.kind === 'struct' && (inner.text === undefined || this.#mode.exact) ? this.row(inner) : undefined;
    if (part.offset < 0 || part.node.kind === 'list' || rowOf === undefined) {
      const whole = this.reader(node);
      if (part.offset < 0 || part.node.kind === 'list') {
        return function (this: Row) {
          const all = whole(this[bytesOf], this[startOf], this[endOf], this[tagOf], { at: 0 });
          return (all as Record<string, unknown>)[part.name];
        };
      }
      const read = this.#partReader(part);
      return function (this: Row) {
        return read(this[bytesOf], this[startOf] + part.offset, this[endOf], tagFrom(part, this), { at: 0 });
      };
    }
    return function (this: Row) {
      return new rowOf(this[bytesOf], this[startOf] + part.offset, this[endOf], tagFrom(part, this));
    };
  }
}

function tagFrom(part: Part, row: Row): number {
  const from = part.tag?.from;
  if (from === undefined) return -1;
  if (from === 'outer') return row[tagOf];
  if (from.node.kind !== 'number' && from.node.kind !== 'enum') return -1;
  return readNumber(from.node.type, row[bytesOf], row[startOf] + from.offset);
}

function cached<K, V>(cache: Map<K, V>, key: K, make: () => V): V {
  const known = cache.get(key);
  if (known !== undefined) return known;
  const value = make();
  cache.set(key, value);
  return value;
}

/** Runs a step and says in its Problem where that was. */
function inside<T>(step: string | number, run: () => T): T {
  try {
    return run();
  } catch (error) {
    throw error instanceof Problem ? error.inside(step) : error;
  }
}

/** Whether an omitted value of this node is anything but zero. */
export function hasDefaults(node: Node): boolean {
  if (node.kind === 'struct') return node.parts.some((part) => part.default !== undefined || hasDefaults(part.node));
  return node.kind === 'array' && hasDefaults(node.element);
}

/** What to write for an omitted value: undefined when zeros, which are there already, will do. */
function omitted(node: Node): Fields | [] | undefined {
  if (!node.variable && !hasDefaults(node)) return undefined;
  return node.kind === 'struct' ? emptyFields : node.kind === 'array' ? [] : undefined;
}

function runningOffset(node: StructNode, part: Part): number {
  let offset = 0;
  for (const other of node.parts) {
    if (other === part) break;
    offset += other.node.size;
  }
  return offset;
}

/** A struct's writer: its text form when the value is text, else its fields. */
function textOr(
  node: StructNode,
  asText: ((value: unknown, target: Uint8Array, offset: number) => boolean) | undefined,
  asFields: Writer,
): Writer {
  return (value, target, offset, tag) => {
    if (asText?.(value, target, offset) === true) return offset + node.size;
    if (typeof value !== 'object' || value === null) rt.badStruct(value, node.name);
    return asFields(value, target, offset, tag);
  };
}
