// Codecs made of generated code: the plan of a message written out as JavaScript, with offsets and sizes as literals.
//
//   t[o+10] = x >>> 24 …                    one function per struct   e3(v,t,o,d) writes   d3(b,o,e,d) reads   s3(v) measures
//   { weight: b[o+12], … }
//
// Invariant: names from a schema reach the source only as JSON string literals or after the check that they are plain
// identifiers; everything longer than some arithmetic is a call into runtime.ts. A problem is thrown without the way to
// the field: the closures, run again, tell that.

import { ipv4Text, ipv6Text } from '../../net/ip.js';
import { macText } from '../../net/mac.js';
import { Closures, hasDefaults, type RowMaker, type Skipper } from './closures.js';
import type { CodecMode, Decoder, Encoder } from './codec.js';
import type { EnumNode, ListNode, MessagePlan, Node, Part, StructNode, UnionNode } from './plan.js';
import { bytesOf, endOf, Row, startOf, tagOf } from './row.js';
import * as rt from './runtime.js';
import { unionReader, unionWriter } from './union.js';

let allowed: boolean | undefined;

/** Whether this process may make functions of text (not under --disallow-code-generation-from-strings). */
export function codeGenerationAllowed(): boolean {
  if (allowed === undefined) {
    try {
      // eslint-disable-next-line @typescript-eslint/no-implied-eval -- asking is the only way to know
      new Function('');
      allowed = true;
    } catch {
      allowed = false;
    }
  }
  return allowed;
}

const key = (name: string): string => JSON.stringify(name);
const at = (offset: number): string => (offset === 0 ? 'o' : `o+${offset}`);

/** Source text of the functions of one message, and the values they refer to. */
class Emitter {
  readonly mode: CodecMode;
  readonly lines: string[] = [];
  readonly #constants: unknown[] = [];
  readonly #constantIndex = new Map<unknown, number>();
  readonly #functions = new Map<string, string>();
  readonly #nodes = new Map<Node, number>();

  constructor(mode: CodecMode) {
    this.mode = mode;
  }

  /** The name of a value from outside the source. */
  constant(value: unknown): string {
    let index = this.#constantIndex.get(value);
    if (index === undefined) {
      index = this.#constants.push(value) - 1;
      this.#constantIndex.set(value, index);
    }
    return `C${index}`;
  }

  call(helper: (...values: never[]) => unknown, ...args: readonly string[]): string {
    return `${this.constant(helper)}(${args.join(',')})`;
  }

  /** The name of a struct's function; `make` writes its body the first time. */
  function(prefix: string, node: Node, make: (name: string) => void): string {
    let number = this.#nodes.get(node);
    if (number === undefined) {
      number = this.#nodes.size;
      this.#nodes.set(node, number);
    }
    const id = `${prefix}${number}`;
    if (!this.#functions.has(id)) {
      this.#functions.set(id, id);
      make(id);
    }
    return id;
  }

  compile(result: string): unknown {
    const source = `'use strict';let p=0;\n${this.lines.join('\n')}\nreturn ${result};`;
    // eslint-disable-next-line @typescript-eslint/no-implied-eval -- this is the compiler; see the invariant above
    const make = new Function(...this.#constants.map((_, index) => `C${index}`), source);
    return (make as (...values: unknown[]) => unknown)(...this.#constants);
  }

  /** Whether a struct is read as text. */
  isText(node: Node): boolean {
    return node.kind === 'struct' && node.text !== undefined && !this.mode.exact;
  }
}

// ---- encoding --------------------------------------------------------------------------------------------------------

function putNumber(size: number, value: string, offset: string): string {
  switch (size) {
    case 1:
      return `t[${offset}]=${value};`;
    case 2:
      return `t[${offset}]=${value}>>>8;t[${offset}+1]=${value};`;
    default:
      return `t[${offset}]=${value}>>>24;t[${offset}+1]=${value}>>>16;t[${offset}+2]=${value}>>>8;t[${offset}+3]=${value};`;
  }
}

const fitting: Readonly<Record<string, string>> = {
  u8: '(x&255)===x',
  i8: '(x<<24>>24)===x',
  u16: '(x&65535)===x',
  i16: '(x<<16>>16)===x',
  u32: '(x>>>0)===x',
  i32: '(x|0)===x',
};

class EncoderEmitter extends Emitter {
  /** The source of a field of `v`. */
  #field(name: string): string {
    return name in Object.prototype ? this.call(rt.fieldOf, 'v', key(name)) : `v[${key(name)}]`;
  }

  /** Statements that write the value `x`, of fixed size, at an offset. */
  write(node: Node, offset: string, tag: string, part: Part | undefined): string {
    switch (node.kind) {
      case 'number':
        return `if(!(${fitting[node.type]!}))${this.call(rt.badNumber, 'x', key(node.type))};${putNumber(node.size, 'x', offset)}`;
      case 'enum':
        return `if(!(${fitting[node.type]!}))x=${this.call(rt.enumValue, 'x', this.constant(node))};${putNumber(node.size, 'x', offset)}`;
      case 'bool':
        return `if(x===true||x===1)t[${offset}]=1;else if(x!==false&&x!==0)${this.call(rt.badBool, 'x')};`;
      case 'u64':
        return `${this.call(rt.writeU64, 'x', 't', offset)};`;
      case 'i64':
        return `${this.call(rt.writeI64, 'x', 't', offset)};`;
      case 'f64':
        return `${this.call(rt.writeF64, 'x', 't', offset, String(this.mode.little))};`;
      case 'string':
        return `${this.call(rt.writeString, 'x', 't', offset, String(node.size))};`;
      case 'bytes': {
        const helper = { ip4: rt.writeIp4Value, ip6: rt.writeIp6Value, mac: rt.writeMacValue };
        if (node.text !== undefined) return `${this.call(helper[node.text], 'x', 't', offset)};`;
        return `${this.call(rt.writeBytes, 'x', 't', offset, String(node.size))};`;
      }
      case 'union':
        return `${this.constant(this.#union(node, part))}(x,t,${offset},${tag});`;
      case 'struct':
        return `${this.struct(node)}(x,t,${offset},${tag});`;
      case 'array': {
        const { element, count } = node;
        const name = this.function('a', node, (id) => {
          const all = hasDefaults(element);
          this.lines.push(
            `function ${id}(v,t,o,d){const n=${this.call(rt.checkArray, 'v', String(count))};let x;` +
              `for(let i=0;i<n;i++,o+=${element.size}){x=v[i];${this.write(element, 'o', 'd', undefined)}}` +
              (all
                ? `for(let i=n;i<${count};i++,o+=${element.size}){x=${this.#omitted(element)};${this.write(element, 'o', 'd', undefined)}}`
                : '') +
              '}',
          );
        });
        return `${name}(x,t,${offset},${tag});`;
      }
      default:
        throw new Error(`${node.kind} has no fixed size`);
    }
  }

  /** Statements that write the value `x` of variable size at `q` and move q to its end. */
  #writeVariable(node: Node, tag: string): string {
    switch (node.kind) {
      case 'text':
        return `q=${this.call(rt.writeText, 'x', 't', 'q')};`;
      case 'struct':
        return `q=${this.struct(node)}(x,t,q,${tag});`;
      case 'array': {
        const name = this.function('a', node, (id) => {
          this.lines.push(
            `function ${id}(v,t,o,d){const n=${this.call(rt.checkArray, 'v', String(node.count))};let q=o,x;` +
              `for(let i=0;i<${node.count};i++){x=i<n?v[i]:${this.#omitted(node.element)};${this.#writeVariable(node.element, 'd')}}return q;}`,
          );
        });
        return `q=${name}(x,t,q,${tag});`;
      }
      default:
        throw new Error(`${node.kind} has a fixed size`);
    }
  }

  #omitted(node: Node): string {
    return node.kind === 'array' ? '[]' : node.kind === 'text' ? '""' : this.constant(emptyFields);
  }

  #union(node: UnionNode, part: Part | undefined): unknown {
    const closures = new Closures(this.mode);
    const writers = node.arms.map((arm) => closures.writer(arm.node));
    return unionWriter(
      node,
      part?.tag?.cases,
      writers.map((write) => (value, target, offset) => write(value, target, offset, -1)),
      this.mode.exact,
    );
  }

  #list(node: ListNode): string {
    const { counter, element } = node;
    const type = (counter.node as { type: string }).type;
    const offset = at(counter.offset);
    let code =
      `n=${this.call(rt.countList, 'x', this.#field(counter.name), key(counter.name), key(type), String(node.bytes))};` +
      `if(${numberAt(type, 't', counter.offset)}!==0&&${numberAt(type, 't', counter.offset)}!==n)${this.call(rt.badStruct, 'x', '"list"')};` +
      putNumber(counter.node.size, 'n', offset);
    if (node.bytes) return `${code}${this.call(rt.writeBytes, 'x', 't', 'q', 'n')};q+=n;`;
    const name = this.function('l', node, (id) => {
      const body = element.variable
        ? this.#writeVariable(element, '-1')
        : `${this.write(element, 'q', '-1', undefined)}q+=${element.size};`;
      this.lines.push(`function ${id}(v,t,q,n){let x;for(let i=0;i<n;i++){x=v[i];${body}}return q;}`);
    });
    code += `if(n>0)q=${name}(x,t,q,n);`;
    return code;
  }

  struct(node: StructNode): string {
    return this.function('e', node, (id) => {
      const parts = node.parts.filter((part) => part.role !== 'header');
      const known = this.constant(parts.map((part) => part.name));
      const asText = {
        address: rt.writeAddress,
        prefix: rt.writePrefix,
        ip4prefix: rt.writeIp4Prefix,
        ip6prefix: rt.writeIp6Prefix,
      };
      const body: string[] = [];
      if (node.text !== undefined)
        body.push(`if(${this.call(asText[node.text], 'v', 't', 'o')})return o+${node.size};`);
      body.push(`if(typeof v!=="object"||v===null)${this.call(rt.badStruct, 'v', key(node.name))};`);
      const cases = parts.map((part) => `case ${key(part.name)}:`).join('');
      body.push(
        `for(const k in v)switch(k){${cases === '' ? '' : `${cases}break;`}default:if(v[k]!==undefined)${this.call(rt.unknownField, 'k', known)};}`,
      );
      body.push('let x,n;');
      let moving = false;
      for (const part of node.parts) {
        const inner = part.node;
        if (!moving && inner.variable) {
          body.push(`let q=${at(part.offset)};`);
          moving = true;
        }
        if (part.role === 'header' || part.role === 'count') {
          if (moving) body.push(`q+=${inner.size};`);
          continue;
        }
        body.push(`x=${this.#field(part.name)};`);
        if (inner.kind === 'list') {
          body.push(this.#list(inner));
          continue;
        }
        const preset = this.#preset(part);
        if (preset !== undefined) body.push(`if(x===undefined)x=${preset};`);
        const tag = this.#tag(part);
        if (inner.variable) {
          body.push(`if(x===undefined)q+=${inner.size};else{${this.#writeVariable(inner, tag)}}`);
        } else {
          const write = this.write(inner, moving ? 'q' : at(part.offset), tag, part);
          body.push(preset === undefined ? `if(x!==undefined){${write}}` : write);
          if (moving) body.push(`q+=${inner.size};`);
        }
      }
      body.push(`return ${moving ? 'q' : `o+${node.size}`};`);
      this.lines.push(`function ${id}(v,t,o,d){${body.join('\n')}}`);
    });
  }

  /** The source of what an omitted part is; undefined for zero. */
  #preset(part: Part): string | undefined {
    if (part.default !== undefined) return literal(part.default);
    return hasDefaults(part.node) ? this.#omitted(part.node) : undefined;
  }

  #tag(part: Part): string {
    const from = part.tag?.from;
    if (from === undefined) return '-1';
    if (from === 'outer') return 'd';
    const value = `${this.#field(from.name)}??${from.default === undefined ? '0' : literal(from.default)}`;
    if (from.node.kind === 'enum') return this.call(rt.enumValue, value, this.constant(from.node));
    return this.call(tagNumber, value);
  }

  size(node: Node): string {
    return this.function('s', node, (id) => {
      switch (node.kind) {
        case 'list':
        case 'array': {
          const bytes = node.kind === 'list' && node.bytes;
          const { element } = node;
          const each = element.variable ? `for(let i=0;i<n;i++)s+=${this.size(element)}(v[i]);` : '';
          const unit = node.kind === 'list' ? `n*${element.size}` : '0';
          this.lines.push(
            `function ${id}(v){if(v===undefined)return 0;const n=Math.max(0,${this.call(rt.listLength, 'v', String(bytes))});let s=${unit};${each}return s;}`,
          );
          return;
        }
        case 'struct': {
          const parts = node.parts.filter((part) => part.node.variable);
          const terms = parts.map((part) => {
            const value =
              part.default === undefined
                ? this.#field(part.name)
                : `(${this.#field(part.name)}??${literal(part.default)})`;
            return part.node.kind === 'text' ? this.call(rt.byteLength, value) : `${this.size(part.node)}(${value})`;
          });
          this.lines.push(
            `function ${id}(v){return typeof v!=="object"||v===null?0:${terms.length === 0 ? '0' : terms.join('+')};}`,
          );
          return;
        }
        case 'text':
          this.lines.push(`function ${id}(v){return ${this.call(rt.byteLength, 'v')};}`);
          return;
        default:
          this.lines.push(`function ${id}(){return 0;}`);
      }
    });
  }
}

const emptyFields = Object.freeze({});

function literal(value: unknown): string {
  return typeof value === 'bigint' ? `${value}n` : JSON.stringify(value);
}

function tagNumber(value: unknown): number {
  return typeof value === 'number' ? value : -1;
}

/** Generates the encoder of a message. */
export function generateEncoder(plan: MessagePlan, mode: CodecMode): Encoder {
  const emitter = new EncoderEmitter(mode);
  const write = emitter.struct(plan.struct);
  const extra = emitter.size(plan.struct);
  return emitter.compile(`{extra:${extra},write:(v,t,o)=>${write}(v,t,o,-1)}`) as Encoder;
}

// ---- decoding --------------------------------------------------------------------------------------------------------

function numberAt(type: string, from: string, offset: number | string): string {
  const byte = (index: number): string =>
    typeof offset === 'number'
      ? `${from}[${at(offset + index)}]`
      : `${from}[${offset}${index === 0 ? '' : `+${index}`}]`;
  switch (type) {
    case 'u8':
      return byte(0);
    case 'i8':
      return `(${byte(0)}<<24>>24)`;
    case 'u16':
      return `(${byte(0)}<<8|${byte(1)})`;
    case 'i16':
      return `(${byte(0)}<<24>>16|${byte(1)})`;
    default: {
      const value = `${byte(0)}<<24|${byte(1)}<<16|${byte(2)}<<8|${byte(3)}`;
      return type === 'i32' ? `(${value})` : `((${value})>>>0)`;
    }
  }
}

class DecoderEmitter extends Emitter {
  /** An expression for a node of fixed size at an offset. */
  read(node: Node, offset: string, tag: string, part: Part | undefined): string {
    const { exact, little } = this.mode;
    switch (node.kind) {
      case 'number':
      case 'enum':
        return numberAt(node.type, 'b', offset);
      case 'bool':
        return `b[${offset}]!==0`;
      case 'u64':
        return this.call(rt.readU64, 'b', offset);
      case 'i64':
        return this.call(rt.readI64, 'b', offset);
      case 'f64':
        return this.call(rt.readF64, 'b', offset, String(little));
      case 'string':
        return this.call(rt.readString, 'b', offset, String(node.size));
      case 'bytes': {
        const helper = { ip4: ipv4Text, ip6: ipv6Text, mac: macText };
        if (node.text !== undefined && !exact) return this.call(helper[node.text], 'b', offset);
        return this.call(rt.readBytes, 'b', offset, String(node.size));
      }
      case 'union':
        return `${this.constant(this.#union(node, part))}(b,${offset},${tag})`;
      case 'struct': {
        const asText = {
          address: rt.readAddress,
          prefix: rt.readPrefix,
          ip4prefix: rt.readIp4Prefix,
          ip6prefix: rt.readIp6Prefix,
        };
        if (node.text !== undefined && !exact) return this.call(asText[node.text], 'b', offset);
        return `${this.struct(node)}(b,${offset},${tag})`;
      }
      case 'array': {
        const name = this.function('a', node, (id) => {
          this.lines.push(
            `function ${id}(b,o,d){const r=[];for(let i=0;i<${node.count};i++,o+=${node.element.size})r.push(${this.read(node.element, 'o', 'd', undefined)});return r;}`,
          );
        });
        return `${name}(b,${offset},${tag})`;
      }
      default:
        throw new Error(`${node.kind} has no fixed size`);
    }
  }

  #union(node: UnionNode, part: Part | undefined): unknown {
    const closures = new Closures(this.mode);
    const readers = node.arms.map((arm) => closures.reader(arm.node));
    const cursor = { at: 0 };
    return unionReader(
      node,
      part?.tag?.cases,
      readers.map((read, index) => {
        const size = node.arms[index]!.node.size;
        return (bytes, offset) => read(bytes, offset, offset + size, -1, cursor);
      }),
      this.mode.exact,
    );
  }

  tag(part: Part, from: string): string {
    const source = part.tag?.from;
    if (source === undefined) return '-1';
    if (source === 'outer') return 'd';
    if (source.node.kind !== 'number' && source.node.kind !== 'enum') return '-1';
    return numberAt(source.node.type, 'b', from === 'o' ? source.offset : `${from}+${source.offset}`);
  }

  /** The reader of a struct of fixed size: (b, o, d) → object. */
  struct(node: StructNode): string {
    return this.function('d', node, (id) => {
      const fields = node.parts
        .filter((part) => part.role !== 'header')
        .map((part) => `${key(part.name)}:${this.read(part.node, at(part.offset), this.tag(part, 'o'), part)}`);
      this.lines.push(`function ${id}(b,o,d){return{${fields.join(',\n')}};}`);
    });
  }

  /** The reader of a struct of variable size: (b, o, e, d) → object, with `p` at its end. Checks the bounds. */
  variableStruct(node: StructNode): string {
    return this.function('d', node, (id) => {
      const body = [`if(e-o<${node.size})${this.call(rt.truncated, String(node.size), 'e-o')};`];
      const fields: string[] = [];
      let moving = false;
      for (const [index, part] of node.parts.entries()) {
        const inner = part.node;
        if (!moving && inner.variable) {
          body.push(`let q=${at(part.offset)};`);
          moving = true;
        }
        if (part.role === 'header') {
          if (moving) body.push(`q+=${inner.size};`);
          continue;
        }
        if (!moving) {
          fields.push(`${key(part.name)}:${this.read(inner, at(part.offset), this.tag(part, 'o'), part)}`);
          continue;
        }
        fields.push(`${key(part.name)}:f${index}`);
        body.push(this.#readMoving(part, `f${index}`));
      }
      this.lines.push(
        `function ${id}(b,o,e,d){${body.join('\n')}\n${moving ? 'p=q;' : `p=o+${node.size};`}return{${fields.join(',\n')}};}`,
      );
    });
  }

  /** Statements that read a part at `q` into a new constant and move q behind it. */
  #readMoving(part: Part, name: string): string {
    const { node } = part;
    const tag = this.tag(part, 'o');
    if (!node.variable) {
      return `if(e-q<${node.size})${this.call(rt.truncated, String(node.size), 'e-q')};const ${name}=${this.read(node, 'q', tag, part)};q+=${node.size};`;
    }
    switch (node.kind) {
      case 'text':
        return (
          `if(e-q<4)${this.call(rt.truncated, '4', 'e-q')};const n${name}=${numberAt('u32', 'b', 'q')};q+=4;` +
          `if(n${name}>e-q)${this.call(rt.truncated, `n${name}`, 'e-q')};const ${name}=${this.call(rt.readText, 'b', 'q', `n${name}`)};q+=n${name};`
        );
      case 'list': {
        const { counter, element } = node;
        const count = numberAt((counter.node as EnumNode).type, 'b', counter.offset);
        const check = `const n${name}=${count};if(n${name}*${element.size}>e-q)${this.call(rt.truncated, `n${name}*${element.size}`, 'e-q')};`;
        if (node.bytes) return `${check}const ${name}=${this.call(rt.readBytes, 'b', 'q', `n${name}`)};q+=n${name};`;
        const loop = element.variable
          ? this.#elements(element, '-1', name)
          : `${name}.push(${this.read(element, 'q', '-1', undefined)});q+=${element.size};`;
        return `${check}const ${name}=[];for(let i=0;i<n${name};i++){${loop}}`;
      }
      case 'array':
        return `const ${name}=[];for(let i=0;i<${node.count};i++){${this.#elements(node.element, tag, name)}}`;
      case 'struct':
        return `const ${name}=${this.variableStruct(node)}(b,q,e,${tag});q=p;`;
    }
  }

  #elements(element: Node, tag: string, name: string): string {
    if (element.kind !== 'struct') throw new Error('only structs are elements of variable size');
    return `${name}.push(${this.variableStruct(element)}(b,q,e,${tag}));q=p;`;
  }
}

/** Generates the decoder of a message. */
export function generateDecoder(plan: MessagePlan, mode: CodecMode): Decoder {
  const emitter = new DecoderEmitter(mode);
  const { struct } = plan;
  if (struct.variable) return emitter.compile(`(b,o,e)=>${emitter.variableStruct(struct)}(b,o,e,-1)`) as Decoder;
  const read = emitter.struct(struct);
  const short = emitter.call(rt.truncated, String(struct.size), 'e-o');
  return emitter.compile(`(b,o,e)=>{if(e-o<${struct.size})${short};return ${read}(b,o,-1);}`) as Decoder;
}

// ---- rows --------------------------------------------------------------------------------------------------------------

class RowEmitter extends DecoderEmitter {
  row(node: StructNode): string {
    return this.function('R', node, (id) => {
      const [bytes, start, end, tag] = [bytesOf, startOf, endOf, tagOf].map(
        (symbol) => `this[${this.constant(symbol)}]`,
      );
      const getters: string[] = [];
      for (const [index, part] of node.parts.entries()) {
        if (part.role === 'header') continue;
        getters.push(
          `get [${key(part.name)}](){const b=${bytes!},o=${start!},e=${end!},d=${tag!};${this.#getter(node, part, index)}}`,
        );
      }
      const whole = node.variable
        ? `${this.variableStruct(node)}(b,o,${end!},${tag!})`
        : `${this.struct(node)}(b,o,${tag!})`;
      this.lines.push(
        `class ${id} extends ${this.constant(Row)}{${getters.join('\n')}\ntoObject(){const b=${bytes!},o=${start!};return ${whole};}}`,
      );
    });
  }

  /** Statements that return a part; its bounds were checked when the row was made. */
  #getter(node: StructNode, part: Part, index: number): string {
    const inner = part.node;
    const tag = this.tag(part, 'o');
    const offset = part.offset < 0 ? 'q' : at(part.offset);
    const find = part.offset < 0 ? `const q=${this.skip(node)}(b,o,e,${index});` : '';
    if (inner.kind === 'list') return `${find}${this.#list(inner, offset)}`;
    if (inner.kind === 'struct' && !this.isText(inner))
      return `${find}return new ${this.row(inner)}(b,${offset},e,${tag});`;
    if (!inner.variable) return `${find}return ${this.read(inner, offset, tag, part)};`;
    if (inner.kind === 'text') {
      return `${find}return ${this.call(rt.readText, 'b', `${offset}+4`, numberAt('u32', 'b', offset))};`;
    }
    return `return ${this.variableStruct(node)}(b,o,e,d)[${key(part.name)}];`;
  }

  #list(node: ListNode, offset: string): string {
    const { counter, element } = node;
    const count = numberAt((counter.node as EnumNode).type, 'b', counter.offset);
    if (node.bytes) return `return ${this.call(rt.readBytes, 'b', offset, count)};`;
    const isRow = element.kind === 'struct' && !this.isText(element);
    let one = '';
    if (!isRow) one = `r.push(${this.read(element, 'z', '-1', undefined)});z+=${element.size};`;
    else if (!element.variable) one = `r.push(new ${this.row(element)}(b,z,z+=${element.size},-1));`;
    else one = `r.push(new ${this.row(element)}(b,z,e,-1));z=${this.skip(element)}(b,z,e,-1);`;
    return `const n=${count},r=[];let z=${offset};for(let i=0;i<n;i++){${one}}return r;`;
  }

  /** The measurer of a struct: (b, o, e, k) → where part k starts, or (k = -1) the end, with every bound checked. */
  skip(node: StructNode): string {
    return this.function('m', node, (id) => {
      const body = [`if(e-o<${node.size})${this.call(rt.truncated, String(node.size), 'e-o')};`];
      let moving = false;
      for (const [index, part] of node.parts.entries()) {
        const inner = part.node;
        if (!moving && inner.variable) {
          body.push(`let q=${at(part.offset)};`);
          moving = true;
        }
        if (moving) body.push(`if(k===${index})return q;`, this.#skipPart(inner));
      }
      this.lines.push(`function ${id}(b,o,e,k){${body.join('\n')}\nreturn ${moving ? 'q' : `o+${node.size}`};}`);
    });
  }

  /** Statements that move q behind a part. */
  #skipPart(node: Node): string {
    if (!node.variable)
      return `if(e-q<${node.size})${this.call(rt.truncated, String(node.size), 'e-q')};q+=${node.size};`;
    switch (node.kind) {
      case 'text':
        return (
          `if(e-q<4)${this.call(rt.truncated, '4', 'e-q')};{const n=${numberAt('u32', 'b', 'q')};q+=4;` +
          `if(n>e-q)${this.call(rt.truncated, 'n', 'e-q')};q+=n;}`
        );
      case 'list': {
        const { counter, element } = node;
        const count = numberAt((counter.node as EnumNode).type, 'b', counter.offset);
        const step = element.variable ? `for(let i=0;i<n;i++){${this.#skipPart(element)}}` : `q+=n*${element.size};`;
        return `{const n=${count};if(n*${element.size}>e-q)${this.call(rt.truncated, `n*${element.size}`, 'e-q')};${step}}`;
      }
      case 'array':
        return `for(let i=0;i<${node.count};i++){${this.#skipPart(node.element)}}`;
      case 'struct':
        return `q=${this.skip(node)}(b,q,e,-1);`;
    }
  }
}

/** Generates the rows of a message: how to measure them, and their class. */
export function generateRow(plan: MessagePlan, mode: CodecMode): { skip: Skipper; row: RowMaker } {
  const emitter = new RowEmitter(mode);
  const row = emitter.row(plan.struct);
  const skip = emitter.skip(plan.struct);
  return emitter.compile(`{row:${row},skip:(b,o,e)=>${skip}(b,o,e,-1)}`) as { skip: Skipper; row: RowMaker };
}
