// Decoders made of generated code; see generate.ts.
//
// Invariant: a function for a struct of fixed size reads without checks: whoever calls it has checked its bounds.

import { ipv4Text, ipv6Text } from '../../net/ip.js';
import { macText } from '../../net/mac.js';
import * as address from './address.js';
import { ClosureReaders } from './closure-readers.js';
import type { CodecMode, Decoder } from './codec.js';
import { at, Emitter, key, numberAt } from './generate.js';
import type { EnumNode, MessagePlan, Node, Part, StructNode, UnionNode } from './plan.js';
import * as rt from './runtime.js';
import { unionReader } from './union.js';

/** Writes the readers of nodes. */
export class DecoderEmitter extends Emitter {
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
          address: address.readAddress,
          prefix: address.readPrefix,
          ip4prefix: address.readIp4Prefix,
          ip6prefix: address.readIp6Prefix,
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
    const closures = new ClosureReaders(this.mode);
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
