// Third step of ordering: creates and updates, each after those it depends on, by watching for the first dependency not yet
// met; what waits for each other in a circle is raised as a group.

import { components } from './circles.js';
import { allMet, met, Picture, there, type Existence } from './existence.js';
import { Bit, Choice, Group, Node, eachLeaf, type Dependency, type Graph } from './graph.js';
import { depth, scratchOf, step, unique, type Scratch, type Steps } from './scratch.js';

/** Orders creates and updates. */
export class Raising {
  readonly #graph: Graph;
  readonly #existence: Existence;
  readonly #steps: Steps;

  constructor(graph: Graph, existence: Existence, steps: Steps) {
    this.#graph = graph;
    this.#existence = existence;
    this.#steps = steps;
  }

  run(): void {
    const up: Node[] = [];
    for (const node of this.#existence.touched) {
      const bits = node.bits;
      const comes = (bits & (Bit.will | Bit.exists)) === Bit.will && (bits & (Bit.uncertain | Bit.gone)) === 0;
      if (!comes && (bits & (Bit.update | Bit.recreate)) === 0) continue;
      node.bits |= Bit.inUp;
      up.push(node);
    }
    const queue: Node[] = [];
    const recheck = (node: Node): void => {
      if ((node.bits & (Bit.inUp | Bit.raised)) === Bit.inUp && this.#ready(node)) this.#raiseOne(node, queue);
    };
    const drain = (): void => {
      for (let node = queue.pop(); node !== undefined; node = queue.pop()) this.#wake(node, recheck);
    };
    for (const node of up) {
      recheck(node);
      drain();
    }
    const left = up.filter((node) => (node.bits & Bit.raised) === 0);
    if (left.length === 0) return;
    for (const circle of this.#circlesUp(left)) {
      const members = circle.filter((node) => (node.bits & Bit.raised) === 0);
      this.#raiseCircle(members, queue);
      drain();
    }
  }

  #ready(node: Node): boolean {
    const parent = node.parent;
    if (!parentReady(node)) {
      scratchOf(node).watch = parent;
      return false;
    }
    const deps = node.deps;
    if (deps.length === 0) return true;
    let position = (node.scratch as Scratch | undefined)?.position ?? 0;
    for (; position < deps.length; position += 1) {
      const dep = deps[position]!;
      if (met(dep, node, Picture.up)) continue;
      const scratch = scratchOf(node);
      scratch.position = position;
      scratch.watch = dep;
      if (!(dep instanceof Node)) {
        eachLeaf([dep], (leaf) => {
          if (leaf instanceof Choice) (leaf.waiters ??= []).push(node);
        });
      }
      return false;
    }
    return true;
  }

  /** Looks again at those who were watching for this one. */
  #wake(node: Node, recheck: (node: Node) => void): void {
    const visit = (dependant: Node): void => {
      if ((dependant.bits & (Bit.inUp | Bit.raised)) !== Bit.inUp) return;
      const watch = (dependant.scratch as Scratch | undefined)?.watch;
      if (watch === node || watch instanceof Group) recheck(dependant);
    };
    const named = node.dependants;
    if (named instanceof Set) for (const dependant of named) visit(dependant);
    else if (named !== undefined) visit(named);
    if (node.children !== undefined) for (const child of node.children) visit(child);
    if (!this.#graph.hasChoices) return;
    for (const choice of this.#graph.choicesOf(node.key)) {
      const waiters = choice.waiters;
      if (waiters === undefined) continue;
      choice.waiters = undefined;
      for (const waiter of waiters) recheck(waiter);
    }
  }

  #raiseOne(node: Node, queue: Node[]): void {
    const after = this.#afterOf(node);
    const index = this.#steps.list.length;
    node.up = index;
    this.#pushUp(node, after, 0);
    this.#markRaised(node, index);
    queue.push(node);
  }

  #markRaised(node: Node, index: number): void {
    const back = (node.bits & Bit.exists) === 0 || (node.bits & Bit.gone) !== 0;
    node.bits |= Bit.raised;
    if (!back || !this.#graph.hasChoices) return;
    for (const choice of this.#graph.choicesOf(node.key)) {
      choice.raised += 1;
      if (choice.firstUp < 0) choice.firstUp = index;
    }
  }

  #pushUp(node: Node, after: number[] | undefined, group: number): void {
    const update = (node.bits & Bit.update) !== 0;
    const recreate = (node.bits & Bit.recreate) !== 0;
    const previous = update ? node.applied : undefined;
    this.#steps.list.push(
      step(node, update ? 'update' : 'create', node.key, 2, node.desired, previous, recreate, group, after),
    );
  }

  #afterOf(node: Node): number[] | undefined {
    if (node.deps.length === 0 && node.parent === undefined && node.down < 0 && node.children === undefined) {
      return undefined;
    }
    const after: number[] = [];
    if (node.down >= 0) after.push(node.down);
    if (node.parent !== undefined && node.parent.up >= 0) after.push(node.parent.up);
    if ((node.bits & Bit.update) !== 0 && node.children !== undefined) {
      for (const child of node.children) if (child.down >= 0) after.push(child.down);
    }
    for (const dep of node.deps) this.#supportOf(dep, node, after);
    return unique(after);
  }

  /** The steps that make a dependency true, none if it is true all along. */
  #supportOf(dep: Dependency, self: Node, after: number[]): void {
    if (dep instanceof Node) {
      const created = (dep.bits & Bit.exists) === 0 || (dep.bits & Bit.gone) !== 0;
      if (created && dep.up >= 0) after.push(dep.up);
    } else if (met(dep, self, Picture.stay)) {
      return;
    } else if (dep instanceof Choice) {
      if (dep.firstUp >= 0) after.push(dep.firstUp);
    } else if (dep.all) {
      for (const part of dep.parts) this.#supportOf(part, self, after);
    } else {
      const chosen = dep.parts.find((part) => met(part, self, Picture.up));
      if (chosen !== undefined) this.#supportOf(chosen, self, after);
    }
  }

  #circlesUp(left: readonly Node[]): Node[][] {
    const open = (node: Node): boolean => (node.bits & (Bit.inUp | Bit.raised)) === Bit.inUp;
    const byChoice = new Map<Choice, Node[]>();
    for (const node of left) {
      for (const choice of this.#graph.choicesOf(node.key)) {
        const nodes = byChoice.get(choice);
        if (nodes === undefined) byChoice.set(choice, [node]);
        else nodes.push(node);
      }
    }
    const next = (vertex: Node | Choice): (Node | Choice)[] => {
      if (vertex instanceof Choice) return byChoice.get(vertex) ?? [];
      const edges: (Node | Choice)[] = [];
      if (vertex.parent !== undefined && open(vertex.parent)) edges.push(vertex.parent);
      for (const dep of vertex.deps) {
        if (met(dep, vertex, Picture.up)) continue;
        eachLeaf([dep], (leaf) => {
          if (leaf instanceof Choice ? byChoice.has(leaf) : open(leaf)) edges.push(leaf);
        });
      }
      return edges;
    };
    return components<Node | Choice>(left, next)
      .map((circle) => circle.filter((vertex) => vertex instanceof Node))
      .filter((circle) => circle.length > 0);
  }

  /** Raises values that wait for each other as one; those that wait for something else as well are left down. */
  #raiseCircle(circle: readonly Node[], queue: Node[]): void {
    let members = [...circle];
    if (members.length === 0) return;
    for (;;) {
      for (const node of members) this.#markRaised(node, -1);
      const fit = members.filter((node) => allMet(node.deps, node, Picture.up) && parentReady(node));
      if (fit.length === members.length) break;
      for (const node of members) this.#unmarkRaised(node);
      for (const node of members) if (!fit.includes(node)) node.bits &= ~(Bit.inUp | Bit.will);
      members = fit;
      if (members.length === 0) return;
    }
    members.sort((a, b) => depth(a) - depth(b));
    if (members.length > 1) this.#steps.groups += 1;
    const group = members.length > 1 ? this.#steps.groups : 0;
    const afters = members.map((node) => this.#afterOf(node) ?? []);
    const first = this.#steps.list.length;
    const last = first + members.length - 1;
    members.forEach((node, i) => {
      this.#pushUp(node, i === 0 ? unique(afters.flat()) : [first + i - 1], group);
      node.up = last;
      if (this.#graph.hasChoices) {
        for (const choice of this.#graph.choicesOf(node.key)) if (choice.firstUp < 0) choice.firstUp = last;
      }
      queue.push(node);
    });
  }

  #unmarkRaised(node: Node): void {
    const back = (node.bits & Bit.exists) === 0 || (node.bits & Bit.gone) !== 0;
    node.bits &= ~Bit.raised;
    if (!back || !this.#graph.hasChoices) return;
    for (const choice of this.#graph.choicesOf(node.key)) choice.raised -= 1;
  }
}

/** Whether the value it is derived from is there, and as it should be. */
function parentReady(node: Node): boolean {
  const { parent } = node;
  if (parent === undefined) return true;
  return there(parent, Picture.up) && (parent.bits & (Bit.inUp | Bit.raised)) !== Bit.inUp;
}
