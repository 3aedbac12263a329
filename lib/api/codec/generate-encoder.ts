// Encoders made of generated code; see generate.ts.

import * as address from './address.js';
import { hasDefaults } from './closures.js';
import { ClosureWriters } from './closure-writers.js';
import type { CodecMode, Encoder } from './codec.js';
import { at, Emitter, key, numberAt } from './generate.js';
import type { ListNode, MessagePlan, Node, Part, StructNode, UnionNode } from './plan.js';
import * as rt from './runtime.js';
import { unionWriter } from './union.js';

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
        const helper = { ip4: address.writeIp4Value, ip6: address.writeIp6Value, mac: address.writeMacValue };
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
    const closures = new ClosureWriters(this.mode);
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
        address: address.writeAddress,
        prefix: address.writePrefix,
        ip4prefix: address.writeIp4Prefix,
        ip6prefix: address.writeIp6Prefix,
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
