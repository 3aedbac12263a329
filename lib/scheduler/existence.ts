// First half of planning: which values will exist when the plan is done.
//
// The answer is the greatest set of desired values that support each other: start from all that could exist, take away
// whatever has an unmet dependency, until nothing changes. Values that depend on each other in a circle thus exist together
// or not at all, and nothing else needs to be known about circles.
//
//   seeds --grow--> everything that might now come   --shrink--> minus what lacks something
//
// Only what the seeds can reach is looked at. Invariant: outside `touched`, a value will exist exactly if it exists.

import { Bit, Choice, Group, Node, eachDependant, within, type Dependency, type Graph } from './graph.js';

/** Which picture of the world a dependency is asked about. */
export const Picture = {
  /** When the plan is done. */
  will: 0,
  /** While everything that must go for a while is gone. */
  stay: 1,
  /** That, plus what has been raised so far. */
  up: 2,
} as const;

/** Whether a node counts as there in a picture. */
export function there(node: Node, picture: number): boolean {
  const bits = node.bits;
  if (picture === Picture.will) return (bits & Bit.touched) !== 0 ? (bits & Bit.will) !== 0 : (bits & Bit.exists) !== 0;
  if ((bits & Bit.exists) !== 0 && (bits & Bit.gone) === 0) return true;
  return picture === Picture.up && (bits & Bit.raised) !== 0;
}

/** Whether one dependency of `self` is met in a picture. Nothing can be supported by itself or what is derived from it. */
export function met(dep: Dependency, self: Node, picture: number): boolean {
  // What is merely believed to be there carries what already rests on it, but nothing new.
  const fresh = (self.bits & Bit.exists) === 0 || (self.bits & Bit.gone) !== 0;
  if (dep instanceof Node) {
    if (!there(dep, picture)) return false;
    if (fresh && (dep.bits & (Bit.uncertain | Bit.raised)) === Bit.uncertain && !replaceable(dep, picture))
      return false;
    return dep !== self && (dep.parent === undefined || !within(dep, self));
  }
  if (dep instanceof Choice) {
    let count = dep.count;
    if (picture === Picture.will) count += dep.will;
    else {
      count -= dep.gone;
      if (picture === Picture.up) count += dep.raised;
    }
    if (fresh && dep.uncertain > 0) count -= dep.uncertain;
    if (count <= 0) return false;
    return self.children === undefined && !dep.matches(self.key) ? true : count > own(dep, self, picture);
  }
  if (dep.all) {
    for (const part of dep.parts) if (!met(part, self, picture)) return false;
    return true;
  }
  for (const part of dep.parts) if (met(part, self, picture)) return true;
  return false;
}

/** An uncertain value that this plan is to remove and create anew counts in the end. */
function replaceable(node: Node, picture: number): boolean {
  return picture === Picture.will && !pinned(node) && (node.bits & Bit.touched) !== 0 && wants(node);
}

function own(choice: Choice, node: Node, picture: number): number {
  let count = choice.matches(node.key) && there(node, picture) ? 1 : 0;
  if (node.children !== undefined) for (const child of node.children) count += own(choice, child, picture);
  return count;
}

/** Whether all are met. */
export function allMet(deps: readonly Dependency[], self: Node, picture: number): boolean {
  for (const dep of deps) if (!met(dep, self, picture)) return false;
  return true;
}

/** Whether the southbound may be told to create or change this value now, its dependencies aside. */
export function wants(node: Node): boolean {
  const bits = node.bits;
  if (node.desired === undefined) return false;
  if ((bits & (Bit.invalid | Bit.blocked | Bit.frozen | Bit.stuck)) !== 0) return false;
  if (node.entry === undefined) return (bits & Bit.derived) !== 0;
  // Where we cannot tell what is there we must look first; where nobody can look, it is removed first.
  return (bits & Bit.uncertain) === 0 || !node.entry.retrievable;
}

/** Whether a value's children may be created or changed: it is, or is about to be, what they were derived from. */
function settled(parent: Node): boolean {
  return parent.applied === parent.desired || wants(parent);
}

/** Whether this node is to become what is desired of it (and not merely stay what it is). */
export function forward(node: Node): boolean {
  return wants(node) && (node.parent === undefined || (settled(node.parent) && forwardParent(node.parent)));
}

function forwardParent(parent: Node): boolean {
  return parent.parent === undefined || (settled(parent.parent) && forwardParent(parent.parent));
}

/** Nodes that must be left exactly as they are in this plan. */
export function pinned(node: Node): boolean {
  if ((node.bits & Bit.blocked) !== 0) return true;
  return (node.bits & Bit.uncertain) !== 0 && node.entry?.retrievable === true;
}

const never = (): boolean => false;

/** Works out what will exist. */
export class Existence {
  readonly graph: Graph;
  /** Every node looked at, in the order met. */
  readonly touched: Node[] = [];
  readonly #opened: Choice[] = [];

  constructor(graph: Graph) {
    this.graph = graph;
  }

  touch(node: Node): void {
    if ((node.bits & Bit.touched) !== 0) return;
    node.bits |= (node.bits & Bit.exists) !== 0 ? Bit.touched | Bit.will : Bit.touched;
    this.touched.push(node);
  }

  run(seeds: readonly Node[], blocked: readonly Node[]): void {
    for (const node of blocked) if ((node.bits & Bit.blocked) !== 0) this.#hold(node);
    for (const node of this.graph.uncertain) if (pinned(node)) this.#hold(node);
    for (const node of seeds) this.touch(node);
    this.#grow(seeds);
    this.#shrink();
  }

  #setWill(node: Node, will: boolean): void {
    this.touch(node);
    node.bits ^= Bit.will;
    if (!this.graph.hasChoices) return;
    for (const choice of this.graph.choicesOf(node.key)) {
      choice.will += will ? 1 : -1;
      const count = choice.count + choice.will;
      if (will && (count === 1 || count - choice.uncertain === 1)) this.#opened.push(choice);
    }
  }

  /** What a pinned value rests on cannot be taken away. */
  #hold(node: Node): void {
    if ((node.bits & (Bit.exists | Bit.uncertain)) === 0) return;
    const stack: Node[] = [node];
    const visit = (provider: Node): void => {
      if ((provider.bits & (Bit.exists | Bit.held)) !== Bit.exists) return;
      this.touch(provider);
      provider.bits |= Bit.held;
      stack.push(provider);
    };
    for (let at = stack.pop(); at !== undefined; at = stack.pop()) {
      if (at.parent !== undefined) visit(at.parent);
      eachProvider(this.graph, at.appliedDeps, visit);
    }
  }

  #grow(seeds: readonly Node[]): void {
    const queue: Node[] = [];
    for (const node of seeds) {
      if (!there(node, Picture.will) && wants(node)) {
        this.#setWill(node, true);
        queue.push(node);
      }
    }
    const visit = (dependant: Node): void => {
      if (there(dependant, Picture.will) || !wants(dependant)) return;
      this.#setWill(dependant, true);
      queue.push(dependant);
    };
    for (const node of seeds) {
      // What was uncertain and is to be made anew carries new values again.
      const renewed = (node.bits & Bit.uncertain) !== 0 && !pinned(node);
      if (((node.bits & Bit.news) !== 0 || renewed) && there(node, Picture.will))
        eachDependant(this.graph, node, () => true, visit);
    }
    // The queue grows while it is walked. A selector's dependants are told once, when it has its first match.
    for (const node of queue) {
      eachDependant(this.graph, node, never, visit);
      for (let choice = this.#opened.pop(); choice !== undefined; choice = this.#opened.pop()) {
        for (const dependant of choice.dependants) visit(dependant);
      }
    }
  }

  #shrink(): void {
    const queue = this.touched.slice();
    const visit = (dependant: Node): void => {
      if (there(dependant, Picture.will)) queue.push(dependant);
    };
    for (const node of this.touched) {
      if ((node.bits & Bit.news) !== 0 && !there(node, Picture.will))
        eachDependant(this.graph, node, () => true, visit);
    }
    // As above.
    for (const node of queue) {
      if (!there(node, Picture.will) || this.#supported(node)) continue;
      this.#setWill(node, false);
      eachDependant(this.graph, node, justClosed, visit);
    }
  }

  #supported(node: Node): boolean {
    const bits = node.bits;
    if ((bits & Bit.held) !== 0) return true;
    if (pinned(node)) return (bits & Bit.exists) !== 0;
    if (node.parent !== undefined && !carries(node.parent, node)) return false;
    if (forward(node)) return allMet(node.deps, node, Picture.will);
    if ((bits & Bit.exists) === 0) return false;
    if (node.desired !== undefined) return allMet(node.appliedDeps, node, Picture.will);
    // Not desired: what is not ours stays; what is ours stays only if the policy says so.
    if (node.parent !== undefined) return followsParent(node.parent);
    return (bits & Bit.owned) === 0 || (bits & Bit.frozen) !== 0;
  }
}

/** Whether a selector has just lost its last match (or its last certain one). */
function justClosed(choice: Choice): boolean {
  const count = choice.count + choice.will;
  return count === 0 || count === choice.uncertain;
}

/** Whether a parent will be there for its child; one that is merely believed to be there gets no new children. */
function carries(parent: Node, child: Node): boolean {
  if (!there(parent, Picture.will)) return false;
  if ((child.bits & Bit.exists) !== 0 || (parent.bits & Bit.uncertain) === 0) return true;
  return replaceable(parent, Picture.will);
}

/** Whether derived values nobody desires stay: with a parent that is not ours to change, or cannot be changed now. */
function followsParent(parent: Node): boolean {
  if (parent.desired === undefined) return (parent.bits & Bit.owned) === 0 || (parent.bits & Bit.frozen) !== 0;
  return parent.applied !== parent.desired && !forward(parent);
}

/** Visits every existing value that could satisfy one of these dependencies. */
export function eachProvider(graph: Graph, deps: readonly Dependency[], visit: (provider: Node) => void): void {
  for (const dep of deps) {
    if (dep instanceof Node) visit(dep);
    else if (dep instanceof Group) eachProvider(graph, dep.parts, visit);
    else if (dep.count > 0) {
      for (const node of graph.withPrefix(dep.prefix)) if (dep.matches(node.key)) visit(node);
    }
  }
}
