// Closures that write and measure; see closures.ts.
//
// Invariant: the target holds zeros where a writer is called, so that what is omitted is not written.

import * as address from './address.js';
import type { CodecMode } from './codec.js';
import { cached, hasDefaults, inside, readNumber, writeNumber, type Sizer, type Writer } from './closures.js';
import { ranges, type ArrayNode, type ListNode, type Node, type Part, type StructNode } from './plan.js';
import * as rt from './runtime.js';
import { Problem } from './runtime.js';
import { unionWriter } from './union.js';

type Fields = Readonly<Record<string, unknown>>;

const emptyFields: Fields = Object.freeze({});

/** Compiles the nodes of one message; a struct that occurs twice is compiled once. */
export class ClosureWriters {
  readonly #mode: CodecMode;
  readonly #writers = new Map<Node, Writer>();
  readonly #sizers = new Map<Node, Sizer>();

  constructor(mode: CodecMode) {
    this.#mode = mode;
  }

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
        if (node.text === 'ip4') return fixed(address.writeIp4Value);
        if (node.text === 'ip6') return fixed(address.writeIp6Value);
        if (node.text === 'mac') return fixed(address.writeMacValue);
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
        return textOr(node, address.writeAddress, writeParts);
      case 'prefix':
        return textOr(node, address.writePrefix, writeParts);
      case 'ip4prefix':
        return textOr(node, address.writeIp4Prefix, writeParts);
      case 'ip6prefix':
        return textOr(node, address.writeIp6Prefix, writeParts);
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
