// What ordering keeps beside a node while it works, and the small helpers its halves share.

import type { Choice, Dependency, Node } from './graph.js';
import type { Step } from './plan.js';

/** What is noted of a node that has relations. */
export class Scratch {
  /** Deletes that must come before this one. */
  wait = 0;
  before: (Node | Choice)[] | undefined = undefined;
  /** Creating: the first dependency not met yet, and where to go on looking. */
  watch: Dependency | undefined = undefined;
  position = 0;
}

/** The notes on a node, begun if need be. */
export function scratchOf(node: Node): Scratch {
  if (node.scratch === undefined) node.scratch = new Scratch();
  return node.scratch as Scratch;
}

/** How many parents it has above it. */
export function depth(node: Node): number {
  let levels = 0;
  for (let at = node.parent; at !== undefined; at = at.parent) levels += 1;
  return levels;
}

/** Each number once; undefined for none. */
export function unique(list: number[]): number[] | undefined {
  if (list.length === 0) return undefined;
  return list.length === 1 ? list : [...new Set(list)];
}

/** A step. */
export function step(
  node: Node | undefined,
  kind: Step['kind'],
  label: string,
  phase: 1 | 2 | 3,
  value: unknown,
  previous: unknown,
  recreate: boolean,
  group: number,
  after: number[] | undefined,
): Step {
  return { node, kind, label, value, previous, phase, recreate, group, parent: node?.parent?.key, after };
}

/** The steps of a plan as it grows, and how many groups there are. */
export class Steps {
  readonly list: Step[] = [];
  groups = 0;
}
