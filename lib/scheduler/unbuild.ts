// The order in which values that seem to wait for each other are deleted. A selector can be satisfied by many, and not all
// of them have to be there until the end: most such circles are none. What counts is found backwards: the values are built
// up again, one by one, on what will be left; deleting them in the opposite order leaves nobody without support.
//
//   left: p     a needs any of (p, b), b needs a      built: a (on p), b (on a)      deleted: b, a
//
// Those that cannot be built one by one depend on each other truly. One of them is taken for granted, and the rest built on
// it: it alone is without support for the moment between the first of their deletes and its own, the last.

import { components } from './circles.js';
import { allMet, met, Picture, there } from './existence.js';
import { Bit, Choice, Node, eachLeaf, type Graph } from './graph.js';
import { depth } from './scratch.js';

/** Lets a value that is to go count as there. */
export function lift(graph: Graph, node: Node): void {
  if ((node.bits & Bit.gone) === 0) return;
  node.bits &= ~Bit.gone;
  if (!graph.hasChoices || (node.bits & Bit.exists) === 0) return;
  for (const choice of graph.choicesOf(node.key)) choice.gone -= 1;
}

/** Ends that. */
export function sink(graph: Graph, node: Node): void {
  if ((node.bits & Bit.gone) !== 0) return;
  node.bits |= Bit.gone;
  if (!graph.hasChoices || (node.bits & Bit.exists) === 0) return;
  for (const choice of graph.choicesOf(node.key)) choice.gone += 1;
}

/** Gives some values in the order of their deletes. What is left when they are gone must be lifted; they are sunk. */
export function unbuild(graph: Graph, members: readonly Node[]): Node[] {
  const building = new Building(graph, members);
  building.build(members);
  for (const node of members) sink(graph, node);
  return building.built.reverse();
}

class Building {
  readonly built: Node[] = [];
  readonly #graph: Graph;
  readonly #rest: Set<Node>;
  /** Who is looked at again when a value is built, or one that a selector matches. */
  readonly #waiters = new Map<Node | Choice, Node[]>();

  constructor(graph: Graph, members: readonly Node[]) {
    this.#graph = graph;
    this.#rest = new Set(members);
  }

  build(members: readonly Node[]): void {
    this.#try(members);
    const left = members.filter((node) => this.#rest.has(node));
    if (left.length === 0) return;
    for (const circle of this.#circles(left)) {
      const nodes = circle.filter((vertex) => vertex instanceof Node).filter((node) => this.#rest.has(node));
      if (nodes.length === 0) continue;
      // Parents before what is derived from them.
      const first = nodes.reduce((a, b) => (depth(b) < depth(a) ? b : a));
      lift(this.#graph, first);
      this.#try(this.#add(first));
      this.build(nodes.filter((node) => this.#rest.has(node)));
    }
  }

  #try(nodes: readonly Node[]): void {
    const queue = [...nodes];
    for (let node = queue.pop(); node !== undefined; node = queue.pop()) {
      if (!this.#rest.has(node)) continue;
      // While it is asked it counts as there, so that it asks for what keeps it, not for what a new one needs.
      lift(this.#graph, node);
      if (parentThere(node) && allMet(node.appliedDeps, node, Picture.stay)) {
        queue.push(...this.#add(node));
        continue;
      }
      const lacking = this.#lacking(node);
      sink(this.#graph, node);
      for (const leaf of lacking) {
        const waiters = this.#waiters.get(leaf);
        if (waiters === undefined) this.#waiters.set(leaf, [node]);
        else waiters.push(node);
      }
    }
  }

  /** What one of which must come before a value can be built. */
  #lacking(node: Node): (Node | Choice)[] {
    if (!parentThere(node)) return [node.parent!];
    const lacking: (Node | Choice)[] = [];
    const unmet = node.appliedDeps.find((dep) => !met(dep, node, Picture.stay));
    if (unmet !== undefined) eachLeaf([unmet], (leaf) => void lacking.push(leaf));
    return lacking;
  }

  /** Gives those who have been waiting for it. */
  #add(node: Node): Node[] {
    this.#rest.delete(node);
    this.built.push(node);
    const awake: Node[] = [];
    const wake = (leaf: Node | Choice): void => {
      for (const waiter of this.#waiters.get(leaf) ?? []) awake.push(waiter);
      this.#waiters.delete(leaf);
    };
    wake(node);
    if (this.#graph.hasChoices) for (const choice of this.#graph.choicesOf(node.key)) wake(choice);
    return awake;
  }

  /** The circles among some values, those first that need none of the others. */
  #circles(left: readonly Node[]): (Node | Choice)[][] {
    const matches = new Map<Choice, Node[]>();
    for (const node of left) {
      for (const choice of this.#graph.choicesOf(node.key)) {
        const nodes = matches.get(choice);
        if (nodes === undefined) matches.set(choice, [node]);
        else nodes.push(node);
      }
    }
    return components<Node | Choice>(left, (vertex) => {
      if (vertex instanceof Choice) return matches.get(vertex) ?? [];
      const edges: (Node | Choice)[] = [];
      if (vertex.parent !== undefined && this.#rest.has(vertex.parent)) edges.push(vertex.parent);
      for (const dep of vertex.appliedDeps) {
        if (met(dep, vertex, Picture.stay)) continue;
        eachLeaf([dep], (leaf) => {
          if (leaf instanceof Choice ? matches.has(leaf) : this.#rest.has(leaf)) edges.push(leaf);
        });
      }
      return edges;
    });
  }
}

/** A parent that is not certain to be there is taken to be, as long as it does not go. */
function parentThere(node: Node): boolean {
  const { parent } = node;
  return parent === undefined || there(parent, Picture.stay) || (parent.bits & (Bit.gone | Bit.exists)) === 0;
}
