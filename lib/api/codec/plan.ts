// The plan of a message: its definition with every user type resolved, every size known and every union's tag found.
// Both compilers (generate.ts and closures.ts) work from it and decide nothing themselves.
//
//   struct ─ part, part, …      each part: a node, its distance from the start of the struct (-1 behind a part of
//                               variable size), its default, and its role: value, count of an array, header
//
// Invariant: `size` of a node is its fixed size; `variable` nodes take more than that, and say so themselves.

import { VppSchemaError } from '../../errors.js';
import { isHeaderField } from '../schema/model.js';
import type { DefaultValue, EnumDef, FieldDef, IntegerType, MessageDef, TypeScope } from '../schema/model.js';
import { armCases, hintFor } from './hints.js';

export interface NumberNode {
  readonly kind: 'number';
  readonly type: IntegerType;
  readonly size: number;
  readonly variable: false;
}

/** bool, u64, i64 and f64. */
export interface PlainNode {
  readonly kind: 'bool' | 'u64' | 'i64' | 'f64';
  readonly size: number;
  readonly variable: false;
}

export interface EnumNode {
  readonly kind: 'enum';
  readonly type: IntegerType;
  readonly size: number;
  readonly variable: false;
  readonly def: EnumDef;
  /** True when its values are masks: enumflags, and enums that call themselves flags. */
  readonly mask: boolean;
  readonly values: ReadonlyMap<string, number>;
}

/** Text in a fixed number of bytes, padded with NUL. */
export interface StringNode {
  readonly kind: 'string';
  readonly size: number;
  readonly variable: false;
}

/** Text behind its u32 length. */
export interface TextNode {
  readonly kind: 'text';
  readonly size: 4;
  readonly variable: true;
}

/** A fixed number of bytes; `text` when they have a form as text. */
export interface BytesNode {
  readonly kind: 'bytes';
  readonly size: number;
  readonly variable: false;
  readonly text: 'ip4' | 'ip6' | 'mac' | undefined;
}

export interface ArrayNode {
  readonly kind: 'array';
  readonly element: Node;
  readonly count: number;
  readonly size: number;
  readonly variable: boolean;
}

/** Elements counted by an earlier field of the same struct. */
export interface ListNode {
  readonly kind: 'list';
  readonly element: Node;
  readonly bytes: boolean;
  readonly counter: Part;
  readonly size: 0;
  readonly variable: true;
}

export interface UnionNode {
  readonly kind: 'union';
  readonly name: string;
  readonly arms: readonly Part[];
  readonly size: number;
  readonly variable: false;
  /** Set when the arms are the two address families and nothing else. */
  readonly text: 'ip' | undefined;
}

export interface StructNode {
  readonly kind: 'struct';
  readonly name: string;
  readonly parts: readonly Part[];
  readonly size: number;
  readonly variable: boolean;
  /** Set when the whole struct has a form as text. */
  readonly text: 'address' | 'prefix' | 'ip4prefix' | 'ip6prefix' | undefined;
  /** True when a part takes the tag that is handed in from outside. */
  readonly wantsTag: boolean;
}

export type Node =
  NumberNode | PlainNode | EnumNode | StringNode | TextNode | BytesNode | ArrayNode | ListNode | UnionNode | StructNode;

/** What chooses the arm of a union: a sibling part, or what the enclosing struct hands in (`outer`). */
export interface Tag {
  readonly from: Part | 'outer';
  /** The arm (index) of each value; the tag is only passed on when there are none. */
  readonly cases: ReadonlyMap<number, number> | undefined;
}

export interface Part {
  readonly name: string;
  readonly node: Node;
  /** Bytes from the start of the struct, -1 when a variable part is in front. */
  readonly offset: number;
  readonly role: 'value' | 'count' | 'header';
  /** What an omitted field is; undefined for zero. */
  readonly default: DefaultValue | undefined;
  readonly tag: Tag | undefined;
}

/** The plan of a message: a struct, and where its header fields are (-1 when it has no such field). */
export interface MessagePlan {
  readonly def: MessageDef;
  readonly struct: StructNode;
  readonly clientIndexOffset: number;
  readonly contextOffset: number;
  readonly retvalOffset: number;
  readonly retvalSigned: boolean;
}

const sizes: Readonly<Record<string, number>> = {
  u8: 1,
  i8: 1,
  u16: 2,
  i16: 2,
  u32: 4,
  i32: 4,
  u64: 8,
  i64: 8,
  f64: 8,
  bool: 1,
};

/** The values that an integer type can hold. */
export const ranges: Readonly<Record<IntegerType, readonly [min: number, max: number]>> = {
  u8: [0, 0xff],
  i8: [-0x80, 0x7f],
  u16: [0, 0xffff],
  i16: [-0x8000, 0x7fff],
  u32: [0, 0xffffffff],
  i32: [-0x80000000, 0x7fffffff],
};

/** Largest fixed size of a message or struct: guards against schemas that multiply arrays. */
const maxFixedSize = 1 << 24;

class Planner {
  readonly #scope: TypeScope;
  readonly #known = new Map<string, Node>();
  readonly #open = new Set<string>();
  readonly #owner: string;

  constructor(owner: string, scope: TypeScope) {
    this.#owner = owner;
    this.#scope = scope;
  }

  fail(what: string): never {
    throw new VppSchemaError(`cannot compile ${this.#owner}: ${what}`);
  }

  typeNode(name: string): Node {
    const size = sizes[name];
    if (size !== undefined) {
      if (name === 'bool' || name === 'u64' || name === 'i64' || name === 'f64')
        return { kind: name, size, variable: false };
      return { kind: 'number', type: name as IntegerType, size, variable: false };
    }
    const known = this.#known.get(name);
    if (known !== undefined) return known;
    if (this.#open.has(name)) this.fail(`the type ${name} contains itself`);
    this.#open.add(name);
    const node = this.#userNode(name);
    this.#open.delete(name);
    this.#known.set(name, node);
    return node;
  }

  #userNode(name: string): Node {
    const def = this.#scope(name);
    if (def === undefined)
      this.fail(name === 'string' ? 'a string without a length' : `the type ${name} is not defined`);
    switch (def.kind) {
      case 'alias': {
        const { type, length } = def;
        if (type === 'u8' && length !== undefined && length > 0) {
          return { kind: 'bytes', size: length, variable: false, text: textOfAlias(name, length) };
        }
        return this.#shaped({ name, type, ...(length === undefined ? {} : { length }) });
      }
      case 'enum':
      case 'flags':
        return {
          kind: 'enum',
          type: def.base,
          size: sizes[def.base]!,
          variable: false,
          def,
          mask: def.kind === 'flags' || /flags?$/.test(name),
          values: new Map(def.members),
        };
      case 'union': {
        const arms = def.arms.map((arm) => this.#part(arm, 0, this.#shaped(arm), undefined, 'value'));
        if (arms.some((arm) => arm.node.variable)) this.fail(`an arm of the union ${name} has no fixed size`);
        const [first, second] = arms;
        const text =
          arms.length === 2 && isText(first?.node, 'ip4') && isText(second?.node, 'ip6') ? ('ip' as const) : undefined;
        return { kind: 'union', name, arms, size: Math.max(0, ...arms.map((a) => a.node.size)), variable: false, text };
      }
      case 'struct':
        return this.struct(name, def.fields, false);
    }
  }

  /** A field's type in the field's shape: one, an array, or text. Lists need their struct: see struct(). */
  #shaped(field: FieldDef): Node {
    const { type, length, lengthField } = field;
    if (type === 'string') {
      if (length === undefined) this.fail(`${field.name} is a string without a length`);
      if (lengthField !== undefined) this.fail(`${field.name} is a string counted by a field`);
      return length === 0
        ? { kind: 'text', size: 4, variable: true }
        : { kind: 'string', size: length, variable: false };
    }
    const element = this.typeNode(type);
    if (length === undefined) return element;
    if (lengthField !== undefined || length === 0) this.fail(`${field.name} is a variable array without its count`);
    if (type === 'u8') return { kind: 'bytes', size: length, variable: false, text: undefined };
    this.#checkElement(field.name, element);
    const size = element.size * length;
    if (size > maxFixedSize) this.fail(`${field.name} takes ${size} bytes`);
    return { kind: 'array', element, count: length, size, variable: element.variable };
  }

  #checkElement(field: string, element: Node): void {
    if (element.variable && element.kind !== 'struct') this.fail(`${field} is an array of arrays of variable size`);
  }

  #part(field: FieldDef, offset: number, node: Node, tag: Tag | undefined, role: Part['role']): Part {
    return { name: field.name, node, offset, role, default: this.#default(field, node), tag };
  }

  /** The default as the value that the field holds; zero is none, nor is what does not fit the type. */
  #default(field: FieldDef, node: Node): DefaultValue | undefined {
    const value = field.default;
    if (value === undefined || value === 0 || value === 0n || value === false || value === '') return undefined;
    const fits =
      node.kind === 'bool'
        ? value === true
        : node.kind === 'number'
          ? typeof value === 'number' && inRange(value, node.type)
          : node.kind === 'enum'
            ? typeof value === 'number'
              ? inRange(value, node.type)
              : typeof value === 'string' && node.values.has(value)
            : node.kind === 'u64' || node.kind === 'i64'
              ? typeof value === 'bigint'
              : node.kind === 'f64'
                ? typeof value === 'number'
                : node.kind === 'string' || node.kind === 'text'
                  ? typeof value === 'string'
                  : false;
    if (!fits) return undefined;
    return node.kind === 'enum' && typeof value === 'string' ? node.values.get(value)! : value;
  }

  struct(name: string, fields: readonly FieldDef[], isMessage: boolean): StructNode {
    const counters = new Set(fields.map((field) => field.lengthField));
    const parts: Part[] = [];
    let offset = 0;
    let size = 0;
    let variable = false;
    let wantsTag = false;
    for (const field of fields) {
      const { lengthField } = field;
      let node: Node;
      if (lengthField !== undefined && field.type !== 'string') {
        const counter = parts.find((part) => part.name === lengthField);
        if (counter?.role !== 'count') {
          this.fail(`${name}.${field.name} is counted by ${lengthField}, which is no earlier unsigned number`);
        }
        const element = this.typeNode(field.type);
        if (counter.offset < 0) this.fail(`the count of ${name}.${field.name} is behind a part of variable size`);
        this.#checkElement(field.name, element);
        if (element.size === 0) this.fail(`${name}.${field.name} is an array of nothing`);
        node = { kind: 'list', element, bytes: field.type === 'u8', counter, size: 0, variable: true };
      } else {
        node = this.#shaped(field);
      }
      const tag = this.#tag(name, field, node, parts);
      wantsTag ||= tag?.from === 'outer';
      const counts = counters.has(field.name) && node.kind === 'number' && node.type.startsWith('u');
      const role = counts ? 'count' : isMessage && isHeaderField(field) ? 'header' : 'value';
      parts.push(this.#part(field, variable ? -1 : offset, node, tag, role));
      offset += node.size;
      size += node.size;
      variable ||= node.variable;
      if (size > maxFixedSize) this.fail(`${name} takes more than ${maxFixedSize} bytes`);
    }
    return { kind: 'struct', name, parts, size, variable, text: textOfStruct(name, parts), wantsTag };
  }

  #tag(owner: string, field: FieldDef, node: Node, parts: readonly Part[]): Tag | undefined {
    const hint = hintFor(owner, field.name);
    const from = field.discriminator ?? hint?.from;
    if (from === undefined) return undefined;
    if (node.kind === 'struct') {
      const sibling = parts.find((part) => part.name === from);
      return node.wantsTag && sibling !== undefined ? { from: sibling, cases: undefined } : undefined;
    }
    if (node.kind !== 'union') return undefined;
    const sibling = from === '^' ? 'outer' : parts.find((part) => part.name === from);
    if (sibling === undefined) return undefined;
    const cases = new Map<number, number>();
    const values = sibling !== 'outer' && sibling.node.kind === 'enum' ? sibling.node.values : undefined;
    const def = this.#scope(node.name);
    node.arms.forEach((arm, index) => {
      const declared = def?.kind === 'union' ? def.arms[index]?.case : undefined;
      for (const member of [declared, ...armCases(owner, field.name, arm.name)]) {
        const value = typeof member === 'number' ? member : member === undefined ? undefined : values?.get(member);
        if (value !== undefined) {
          cases.set(value, index);
          return;
        }
      }
    });
    return cases.size === 0 ? undefined : { from: sibling, cases };
  }
}

function inRange(value: number, type: IntegerType): boolean {
  const [min, max] = ranges[type];
  return Number.isInteger(value) && value >= min && value <= max;
}

function isText(node: Node | undefined, text: BytesNode['text']): boolean {
  return node?.kind === 'bytes' && node.text === text;
}

function textOfAlias(name: string, length: number): BytesNode['text'] {
  if (name === 'ip4_address' && length === 4) return 'ip4';
  if (name === 'ip6_address' && length === 16) return 'ip6';
  return name === 'mac_address' && length === 6 ? 'mac' : undefined;
}

/** The structs of ip_types.api that have a form as text, recognised by name and shape. */
function textOfStruct(name: string, parts: readonly Part[]): StructNode['text'] {
  const [first, second] = parts;
  if (first === undefined || second === undefined || parts.length !== 2) return undefined;
  const isLength = second.node.kind === 'number' && second.node.type === 'u8';
  switch (name) {
    case 'address':
      return first.node.kind === 'enum' &&
        first.node.type === 'u8' &&
        second.node.kind === 'union' &&
        second.node.text === 'ip' &&
        second.tag !== undefined
        ? 'address'
        : undefined;
    case 'prefix':
      return first.node.kind === 'struct' && first.node.text === 'address' && isLength ? 'prefix' : undefined;
    case 'ip4_prefix':
      return isText(first.node, 'ip4') && isLength ? 'ip4prefix' : undefined;
    case 'ip6_prefix':
      return isText(first.node, 'ip6') && isLength ? 'ip6prefix' : undefined;
    default:
      return undefined;
  }
}

/**
 * Plans a message.
 * @throws {VppSchemaError} when its definition is impossible
 */
export function planMessage(def: MessageDef): MessagePlan {
  const struct = new Planner(def.name, def.scope).struct(def.name, def.fields, true);
  const at = (name: string): number =>
    struct.parts.find((part) => part.name === name && part.role === 'header')?.offset ?? -1;
  const retval = struct.parts.find(
    (part) => part.name === 'retval' && part.node.kind === 'number' && part.node.size === 4,
  );
  return {
    def,
    struct,
    clientIndexOffset: at('client_index'),
    contextOffset: at('context'),
    retvalOffset: retval?.offset ?? -1,
    retvalSigned: retval?.node.kind === 'number' && retval.node.type === 'i32',
  };
}

/** Plans a user type as it is inside messages; undefined when there is none of that name. */
export function planType(name: string, scope: TypeScope): Node | undefined {
  return scope(name) === undefined ? undefined : new Planner(name, scope).typeNode(name);
}
