// Rows made of generated code: a class with one getter per field, and a measurer that checks the bounds; see generate.ts.

import type { RowMaker, Skipper } from './closures.js';
import type { CodecMode } from './codec.js';
import { at, key, numberAt } from './generate.js';
import { DecoderEmitter } from './generate-decoder.js';
import type { EnumNode, ListNode, MessagePlan, Node, Part, StructNode } from './plan.js';
import { bytesOf, endOf, Row, startOf, tagOf } from './row.js';
import * as rt from './runtime.js';

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
