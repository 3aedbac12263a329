// The graph: one small node per key, what is desired of it and what is there, and who waits for whom.
//
//   Node 'route/a'  --deps-->  Node 'interface/t'          an exact key; the target may be a ghost: named, never seen
//                   --deps-->  Choice 'vrf/*'              a selector, shared by all who use it, counting its matches
//                   --parent-> Node 'table/x'              derived from it
//
// `deps` belong to the desired value, `appliedDeps` to the one that is there. Reverse edges (`dependants`) cover both.
// Invariant: a Choice's `count` is the number of its matches whose EXISTS bit is set.

import { KeyIndex } from './key-index.js';
import { KeyMap } from './key-map.js';
import type { Entry } from './key-space.js';
import { Bit, Node, none } from './node.js';
import { selectorText, type Selector } from './selector.js';
import { State } from './state.js';

export { Bit, Node, planBits, type Trouble } from './node.js';

/** Several dependencies as one: any of them, or all. */
export class Group {
  readonly all: boolean;
  readonly parts: readonly Dependency[];
  constructor(all: boolean, parts: readonly Dependency[]) {
    this.all = all;
    this.parts = parts;
  }
}

/** A compiled dependency. */
export type Dependency = Node | Choice | Group;

/** A prefix selector in use: who depends on it, and how many of its matches exist. */
export class Choice {
  readonly text: string;
  readonly prefix: string;
  readonly where: ((key: string) => boolean) | undefined;
  readonly dependants = new Set<Node>();
  /** Some dependant may be among its own matches, so counts alone do not decide for it. */
  selfish = false;
  count = 0;
  /** How many of the counted are uncertain. */
  uncertain = 0;
  /** Changes to `count` while planning: by what will come and go, by what is gone for now, by what was raised again. */
  will = 0;
  gone = 0;
  raised = 0;
  pending = 0;
  closed = false;
  firstUp = -1;
  providers: Node[] | undefined = undefined;
  waiters: Node[] | undefined = undefined;
  gate: number[] | undefined = undefined;

  constructor(text: string, prefix: string, where: ((key: string) => boolean) | undefined) {
    this.text = text;
    this.prefix = prefix;
    this.where = where;
  }

  matches(key: string): boolean {
    return key.startsWith(this.prefix) && (this.where === undefined || this.where(key));
  }
}

/** Nodes and choices by key. */
export class Graph {
  readonly nodes = new KeyMap<Node>();
  /** Nodes that are uncertain now. */
  readonly uncertain = new Set<Node>();
  readonly #choices = new Map<string, Choice>();
  readonly #byPrefix = new Map<string, Choice[]>();
  #lengths: number[] = [];
  #index: KeyIndex | undefined;
  readonly #entryOf: (key: string) => Entry | undefined;

  /** Whether it is the graph whose metadata the descriptors' indexes show; a copy is not. */
  readonly #indexed: boolean;

  constructor(entryOf: (key: string) => Entry | undefined, indexed = true) {
    this.#entryOf = entryOf;
    this.#indexed = indexed;
  }

  /** A copy on which something can be tried; what happens to it is not seen here. Not while a plan is being made. */
  fork(): Graph {
    const copy = new Graph(this.#entryOf, false);
    for (const node of this.nodes.values()) {
      const twin = copy.node(node.key);
      twin.entry = node.entry;
      twin.desired = node.desired;
      twin.applied = node.applied;
      twin.metadata = node.metadata;
      twin.bits = node.bits;
      twin.state = node.state;
      twin.seq = node.seq;
      if (node.trouble !== undefined) twin.trouble = { ...node.trouble };
      if ((node.bits & Bit.uncertain) !== 0) copy.uncertain.add(twin);
    }
    const twinOf = (dep: Dependency): Dependency => {
      if (dep instanceof Node) return copy.node(dep.key);
      if (dep instanceof Group) return new Group(dep.all, dep.parts.map(twinOf));
      return copy.#choice(dep.text, dep.prefix, dep.where);
    };
    for (const node of this.nodes.values()) {
      const twin = copy.node(node.key);
      if (node.parent !== undefined) copy.adopt(copy.node(node.parent.key), twin);
      if (node.deps.length > 0) copy.setDeps(twin, node.deps.map(twinOf));
      if (node.appliedDeps === node.deps) copy.setAppliedDeps(twin, twin.deps);
      else if (node.appliedDeps.length > 0) copy.setAppliedDeps(twin, node.appliedDeps.map(twinOf));
    }
    return copy;
  }

  get(key: string): Node | undefined {
    return this.nodes.get(key);
  }

  /** The node of a key, made if need be. */
  node(key: string): Node {
    return this.nodes.ensure(key, this.#make);
  }

  readonly #make = (key: string): Node => {
    this.#index?.add(key);
    return new Node(key, this.#entryOf(key));
  };

  /** Keys with a prefix, sorted. */
  *withPrefix(prefix: string): Generator<Node> {
    this.#index ??= new KeyIndex((key) => this.nodes.has(key), this.nodes.keys());
    for (const key of this.#index.withPrefix(prefix)) yield this.nodes.get(key)!;
  }

  get hasChoices(): boolean {
    return this.#choices.size > 0;
  }

  /** All selectors in use. */
  choices(): Iterable<Choice> {
    return this.#choices.values();
  }

  /** The choices a key matches. */
  choicesOf(key: string): Choice[] {
    const found: Choice[] = [];
    for (const length of this.#lengths) {
      if (length > key.length) continue;
      const choices = this.#byPrefix.get(key.slice(0, length));
      if (choices !== undefined) for (const choice of choices) if (choice.matches(key)) found.push(choice);
    }
    return found;
  }

  /** Turns selectors into edges. */
  compile(selectors: Iterable<Selector> | undefined): readonly Dependency[] {
    if (selectors === undefined || isEmpty(selectors)) return none;
    let compiled: Dependency[] | undefined;
    for (const selector of selectors) (compiled ??= []).push(this.#compileOne(selector));
    return compiled ?? none;
  }

  #compileOne(selector: Selector): Dependency {
    if (typeof selector === 'string') return this.node(selector);
    if ('anyOf' in selector)
      return new Group(
        false,
        selector.anyOf.map((part) => this.#compileOne(part)),
      );
    if ('allOf' in selector)
      return new Group(
        true,
        selector.allOf.map((part) => this.#compileOne(part)),
      );
    return this.#choice(selectorText(selector), selector.prefix, selector.where);
  }

  #choice(text: string, prefix: string, where: ((key: string) => boolean) | undefined): Choice {
    let choice = this.#choices.get(text);
    if (choice === undefined) {
      choice = new Choice(text, prefix, where);
      this.#choices.set(text, choice);
      const same = this.#byPrefix.get(choice.prefix);
      if (same === undefined) this.#byPrefix.set(choice.prefix, [choice]);
      else same.push(choice);
      this.#lengths = [...new Set([...this.#byPrefix.keys()].map((prefix) => prefix.length))];
      for (const node of this.withPrefix(choice.prefix)) {
        if ((node.bits & Bit.exists) === 0 || !choice.matches(node.key)) continue;
        choice.count += 1;
        if ((node.bits & Bit.uncertain) !== 0) choice.uncertain += 1;
      }
    }
    return choice;
  }

  /** Replaces the edges of the desired value. */
  setDeps(node: Node, deps: readonly Dependency[]): void {
    const old = node.deps;
    if (old === deps) return;
    node.deps = deps;
    this.#relink(node, old, deps);
  }

  /** Replaces the edges of the applied value. */
  setAppliedDeps(node: Node, deps: readonly Dependency[]): void {
    const old = node.appliedDeps;
    if (old === deps) return;
    node.appliedDeps = deps;
    this.#relink(node, old, deps);
  }

  #relink(node: Node, old: readonly Dependency[], deps: readonly Dependency[]): void {
    if (deps.length > 0) eachLeaf(deps, (leaf) => link(leaf, node));
    if (old.length === 0) return;
    const kept = new Set<Dependency>();
    eachLeaf(node.deps, (leaf) => void kept.add(leaf));
    eachLeaf(node.appliedDeps, (leaf) => void kept.add(leaf));
    eachLeaf(old, (leaf) => {
      if (kept.has(leaf)) return;
      unlink(leaf, node);
      if (leaf instanceof Node) this.dropIfGhost(leaf);
      else if (leaf.dependants.size === 0) this.#dropChoice(leaf);
    });
  }

  #dropChoice(choice: Choice): void {
    if (!this.#choices.delete(choice.text)) return;
    const same = this.#byPrefix.get(choice.prefix)!.filter((other) => other !== choice);
    if (same.length > 0) this.#byPrefix.set(choice.prefix, same);
    else this.#byPrefix.delete(choice.prefix);
    this.#lengths = [...new Set([...this.#byPrefix.keys()].map((prefix) => prefix.length))];
  }

  /** Says that a value is there, or is not. */
  setExists(node: Node, exists: boolean): void {
    if (((node.bits & Bit.exists) !== 0) === exists) return;
    node.bits ^= Bit.exists;
    if (this.#choices.size === 0) return;
    const uncertain = (node.bits & Bit.uncertain) === 0 ? 0 : 1;
    for (const choice of this.choicesOf(node.key)) {
      choice.count += exists ? 1 : -1;
      choice.uncertain += exists ? uncertain : -uncertain;
    }
  }

  setUncertain(node: Node, uncertain: boolean): void {
    if (((node.bits & Bit.uncertain) !== 0) === uncertain) return;
    node.bits ^= Bit.uncertain;
    if (uncertain) this.uncertain.add(node);
    else this.uncertain.delete(node);
    if ((node.bits & Bit.exists) === 0 || this.#choices.size === 0) return;
    for (const choice of this.choicesOf(node.key)) choice.uncertain += uncertain ? 1 : -1;
  }

  /** Records what is there (a value and its metadata), or that nothing is. */
  setApplied(node: Node, value: unknown, metadata: unknown, deps: readonly Dependency[]): void {
    node.applied = value;
    this.setMetadata(node, metadata);
    this.setAppliedDeps(node, deps);
    this.setExists(node, value !== undefined);
    if ((node.bits & Bit.uncertain) !== 0) this.setUncertain(node, false);
    node.bits &= ~(Bit.lost | Bit.believed);
    if (value === undefined) node.bits &= ~(Bit.owned | Bit.foreign);
  }

  /** Records what the southbound gave to a value. */
  setMetadata(node: Node, metadata: unknown): void {
    const { entry } = node;
    if (this.#indexed && entry !== undefined && entry.indexes.size > 0)
      entry.reindex(node.key, node.metadata, metadata);
    node.metadata = metadata;
  }

  /** Records that we do not know: this may be there. What it rests on must stay until we do. */
  setUnknown(node: Node, value: unknown, deps: readonly Dependency[]): void {
    node.applied = value;
    this.setAppliedDeps(node, deps);
    this.setUncertain(node, true);
  }

  /** Forgets a node that nobody speaks of any more. */
  dropIfGhost(node: Node): void {
    if (
      node.desired !== undefined ||
      node.applied !== undefined ||
      node.state !== State.nonexistent ||
      node.dependants !== undefined ||
      (node.bits & (Bit.uncertain | Bit.exists | Bit.owned)) !== 0 ||
      node.children !== undefined
    ) {
      return;
    }
    if (this.nodes.get(node.key) !== node) return;
    this.setDeps(node, none);
    this.setAppliedDeps(node, none);
    this.nodes.delete(node.key);
    const parent = node.parent;
    if (parent !== undefined) this.disown(parent, node);
  }

  /** Makes a node the child of another. */
  adopt(parent: Node, child: Node): void {
    child.parent = parent;
    child.bits |= Bit.derived;
    (parent.children ??= new Set()).add(child);
  }

  /** Ends that. */
  disown(parent: Node, child: Node): void {
    const children = parent.children;
    if (children?.delete(child) !== true) return;
    if (children.size === 0) parent.children = undefined;
    child.parent = undefined;
    child.bits &= ~Bit.derived;
    this.dropIfGhost(parent);
  }
}

function link(leaf: Node | Choice, node: Node): void {
  if (leaf instanceof Choice) {
    leaf.dependants.add(node);
    leaf.selfish ||= node.entry?.descriptor.derive !== undefined || leaf.matches(node.key);
  } else if (leaf.dependants === undefined) leaf.dependants = node;
  else if (leaf.dependants instanceof Set) leaf.dependants.add(node);
  else if (leaf.dependants !== node) leaf.dependants = new Set([leaf.dependants, node]);
}

function unlink(leaf: Node | Choice, node: Node): void {
  if (leaf instanceof Choice) leaf.dependants.delete(node);
  else if (leaf.dependants === node) leaf.dependants = undefined;
  else if (leaf.dependants instanceof Set) {
    leaf.dependants.delete(node);
    if (leaf.dependants.size === 0) leaf.dependants = undefined;
  }
}

/** Whether nothing is there to be iterated over; most values need nothing, and an iterator is an object. */
function isEmpty(list: Iterable<unknown>): boolean {
  return Array.isArray(list) && list.length === 0;
}

/** Visits every node and choice a list of dependencies names. */
export function eachLeaf(deps: readonly Dependency[], visit: (leaf: Node | Choice) => void): void {
  for (const dep of deps) {
    if (dep instanceof Group) eachLeaf(dep.parts, visit);
    else visit(dep);
  }
}

/**
 * Visits every node that may care when this one comes or goes: those that name it, select it, or are derived from it.
 * `decides` says whether a selector's answer can have changed; those for whom it cannot are spared.
 */
export function eachDependant(
  graph: Graph,
  node: Node,
  decides: (choice: Choice) => boolean,
  visit: (dependant: Node) => void,
): void {
  const named = node.dependants;
  if (named instanceof Set) for (const dependant of named) visit(dependant);
  else if (named !== undefined) visit(named);
  if (graph.hasChoices) {
    for (const choice of graph.choicesOf(node.key)) {
      if (choice.selfish || decides(choice)) for (const dependant of choice.dependants) visit(dependant);
    }
  }
  if (node.children !== undefined) for (const child of node.children) visit(child);
}

/** The text of a compiled dependency: that of the selector it came from. */
export function dependencyText(dep: Dependency): string {
  if (dep instanceof Node) return dep.key;
  if (dep instanceof Choice) return dep.text;
  return `${dep.all ? 'all' : 'any'} of (${dep.parts.map(dependencyText).join(dep.all ? ' & ' : ' | ')})`;
}

/** Whether `node` is `ancestor` or derived from it: such a value cannot satisfy its ancestor's dependencies. */
export function within(node: Node, ancestor: Node): boolean {
  for (let at: Node | undefined = node; at !== undefined; at = at.parent) if (at === ancestor) return true;
  return false;
}
