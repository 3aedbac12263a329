// Closures that read, skip and show as rows; see closures.ts.
//
// Invariant: a reader checks every bound before it reads; a Problem carries the way to the field.

import { ipv4Text, ipv6Text } from '../../net/ip.js';
import { macText } from '../../net/mac.js';
import * as address from './address.js';
import type { CodecMode } from './codec.js';
import { cached, inside, readNumber, type Cursor, type Reader, type RowMaker, type Skipper } from './closures.js';
import type { ListNode, Node, Part, StructNode } from './plan.js';
import { bytesOf, endOf, Row, startOf, tagOf } from './row.js';
import * as rt from './runtime.js';
import { unionReader } from './union.js';

type Getter = (bytes: Uint8Array, offset: number) => unknown;

/** Compiles the nodes of one message; a struct that occurs twice is compiled once. */
export class ClosureReaders {
  readonly #mode: CodecMode;
  readonly #readers = new Map<Node, Reader>();
  readonly #skippers = new Map<Node, Skipper>();
  readonly #rows = new Map<StructNode, RowMaker>();

  constructor(mode: CodecMode) {
    this.#mode = mode;
  }

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
        if (node.text === 'address') return address.readAddress;
        if (node.text === 'prefix') return address.readPrefix;
        return node.text === 'ip4prefix' ? address.readIp4Prefix : address.readIp6Prefix;
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
