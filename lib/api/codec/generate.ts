// Codecs made of generated code: the plan of a message written out as JavaScript, with offsets and sizes as literals.
//
//   t[o+10] = x >>> 24 …                    one function per struct   e3(v,t,o,d) writes   d3(b,o,e,d) reads   s3(v) measures
//   { weight: b[o+12], … }
//
// This file is the notebook that encoder, decoder and rows write into. Invariant: names from a schema reach the source
// only as JSON string literals or after the check that they are plain identifiers; everything longer than some
// arithmetic is a call into runtime.ts. A problem is thrown without the way to the field: the closures, run again, tell
// that.

import type { CodecMode } from './codec.js';
import type { Node } from './plan.js';

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

/** A name as a literal. */
export const key = (name: string): string => JSON.stringify(name);
/** An offset from `o`. */
export const at = (offset: number): string => (offset === 0 ? 'o' : `o+${offset}`);

/** Source text of the functions of one message, and the values they refer to. */
export class Emitter {
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

/** An expression for a number at an offset. */
export function numberAt(type: string, from: string, offset: number | string): string {
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
