// Codecs made of closures: one function per node of the plan, calling those of its parts. They are what runs where
// code generation is not allowed, and what finds the field to name when generated code has met a problem. This file is
// what writers and readers share.
//
//   write  (value, target, offset, tag) → end        read   (bytes, offset, end, tag) → value, `cursor` moves on
//   size   (value) → bytes beyond the fixed size     skip   (bytes, offset, end) → end of the node, bounds checked

import type { Node } from './plan.js';
import type { Row } from './row.js';
import { Problem } from './runtime.js';

export type Writer = (value: unknown, target: Uint8Array, offset: number, tag: number) => number;
export type Sizer = (value: unknown) => number;
export type Skipper = (bytes: Uint8Array, offset: number, end: number) => number;
/** Reads a value; `cursor.at` is its end afterwards. */
export type Reader = (bytes: Uint8Array, offset: number, end: number, tag: number, cursor: Cursor) => unknown;
export type RowMaker = new (bytes: Uint8Array, start: number, end: number, tag: number) => Row;

export interface Cursor {
  at: number;
}

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
/** What is made once per key. */
export function cached<K, V>(cache: Map<K, V>, key: K, make: () => V): V {
  const known = cache.get(key);
  if (known !== undefined) return known;
  const value = make();
  cache.set(key, value);
  return value;
}

/** Runs a step and says in its Problem where that was. */
export function inside<T>(step: string | number, run: () => T): T {
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
