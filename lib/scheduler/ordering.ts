// Second half of planning: given what will exist, which operations, in which order.
//
//   gone     what must be deleted, for good or to be recreated; whatever rests on it and cannot wait goes too
//   leavers  values whose update makes them let go of something that is deleted: that delete is then late (phase 3)
//   up       what is created or updated
//
// Deletes are ordered by counting dependants down to zero, creates by watching for the first dependency not yet met; what
// remains when neither moves on is circular and becomes a group. Invariant: no step comes before one it is `after`.

import { components } from './circles.js';
import { allMet, eachProvider, forward, met, Picture, pinned, there, type Existence } from './existence.js';
import { Bit, Choice, Group, Node, eachDependant, eachLeaf, planBits, type Dependency, type Graph } from './graph.js';
import type { Step } from './plan.js';

class Scratch {
  /** Deletes that must come before this one. */
  wait = 0;
  before: (Node | Choice)[] | undefined = undefined;
  /** Creating: the first dependency not met yet, and where to go on looking. */
  watch: Dependency | undefined = undefined;
  position = 0;
}

/** What planning one round comes to. */
export interface Draft {
  readonly steps: Step[];
  /** Values that already are as desired: only the books change. */
  readonly same: Node[];
  /** Values that must stay because something that could not be removed rests on them. */
  readonly heldBack: Node[];
  readonly touched: readonly Node[];
}

/** Whether a change of this value can be made in place. */
function changesInPlace(node: Node): boolean {
  const descriptor = node.entry?.descriptor;
  if (descriptor === undefined) return true;
  if ((node.bits & Bit.uncertain) !== 0) return false;
  if (descriptor.update === undefined && descriptor.updateBatch === undefined) return false;
  return !(descriptor.recreate?.(node.key, node.applied, node.desired) ?? false);
}

/** Orders what an {@link Existence} has worked out. */
export class Ordering {
  readonly #graph: Graph;
  readonly #existence: Existence;
  readonly #gone: Node[] = [];
  readonly #updates: Node[] = [];
  readonly #same: Node[] = [];
  readonly #heldBack: Node[] = [];
  readonly #steps: Step[] = [];
  readonly #choices = new Set<Choice>();
  #leavers: Node[] = [];
  #groups = 0;

  constructor(graph: Graph, existence: Existence) {
    this.#graph = graph;
    this.#existence = existence;
  }

  run(): Draft {
    this.#classify();
    this.#cascade();
    const downs = this.#downOrder();
    for (const down of downs) if (!isLate(down)) this.#pushDown(down, 1);
    this.#raise();
    for (const down of downs) if (isLate(down)) this.#pushDown(down, 3);
    return { steps: this.#steps, same: this.#same, heldBack: this.#heldBack, touched: this.#existence.touched };
  }

  /** Leaves the graph as it was found. */
  cleanUp(): void {
    for (const node of this.#existence.touched) {
      node.bits &= ~planBits;
      node.up = -1;
      node.down = -1;
      node.scratch = undefined;
    }
    if (!this.#graph.hasChoices) return;
    for (const choice of this.#graph.choices()) {
      choice.will = choice.gone = choice.raised = choice.pending = 0;
      choice.closed = false;
      choice.firstUp = -1;
      choice.providers = choice.waiters = undefined;
      choice.gate = undefined;
    }
  }

  #classify(): void {
    for (const node of this.#existence.touched) {
      const bits = node.bits;
      if (pinned(node)) continue;
      const uncertain = (bits & Bit.uncertain) !== 0;
      if ((bits & Bit.exists) === 0 && !uncertain) continue;
      if ((bits & Bit.held) !== 0) {
        this.#classifyHeld(node);
      } else if (uncertain || (bits & Bit.will) === 0) {
        this.#markGone(node);
      } else if (node.desired !== undefined && node.applied !== node.desired && forward(node)) {
        if (isSame(node)) this.#same.push(node);
        else if (changesInPlace(node)) this.#markUpdate(node);
        else this.#markGone(node);
      }
    }
  }

  #classifyHeld(node: Node): void {
    if (node.desired === node.applied) {
      if (!allMet(node.deps, node, Picture.will)) this.#heldBack.push(node);
    } else if (forward(node) && allMet(node.deps, node, Picture.will)) {
      if (isSame(node)) this.#same.push(node);
      else if (changesInPlace(node)) this.#markUpdate(node);
      else this.#heldBack.push(node);
    } else if ((node.bits & Bit.owned) !== 0 && (node.bits & Bit.stuck) === 0) {
      this.#heldBack.push(node);
    }
  }

  #markUpdate(node: Node): void {
    node.bits |= Bit.update;
    this.#updates.push(node);
  }

  #markGone(node: Node): void {
    const back = there(node, Picture.will) && forward(node);
    node.bits = (node.bits & ~Bit.update) | Bit.gone | (back ? Bit.recreate : 0);
    this.#gone.push(node);
    if (this.#graph.hasChoices && (node.bits & Bit.exists) !== 0) {
      for (const choice of this.#graph.choicesOf(node.key)) choice.gone += 1;
    }
  }

  /** Takes down with a value whatever rests on it and cannot stay. */
  #cascade(): void {
    const barred = new Set<Node>();
    let from = 0;
    for (;;) {
      for (; from < this.#gone.length; from += 1) {
        eachDependant(
          this.#graph,
          this.#gone[from]!,
          (choice) => {
            // Once is enough: what it no longer supports does not get it back.
            if (choice.closed || choice.count - choice.gone > 0) return false;
            choice.closed = true;
            return true;
          },
          (dependant) => this.#visitCascade(dependant, barred),
        );
      }
      const bad = this.#leavers.filter((leaver) => (leaver.bits & Bit.update) !== 0 && !this.#mayLeave(leaver));
      this.#leavers = this.#leavers.filter((leaver) => !bad.includes(leaver));
      if (bad.length === 0) break;
      for (const leaver of bad) {
        barred.add(leaver);
        this.#markGone(leaver);
      }
    }
    this.#leavers = this.#leavers.filter((leaver) => (leaver.bits & Bit.update) !== 0);
    for (const leaver of this.#leavers) {
      this.#eachLeft(leaver, (left) => this.#markLate(left));
    }
  }

  #visitCascade(node: Node, barred: ReadonlySet<Node>): void {
    if ((node.bits & (Bit.exists | Bit.uncertain)) === 0 || (node.bits & Bit.gone) !== 0 || pinned(node)) return;
    const parentGone = node.parent !== undefined && (node.parent.bits & Bit.gone) !== 0;
    if (!parentGone && allMet(node.appliedDeps, node, Picture.stay)) return;
    this.#existence.touch(node);
    if (!parentGone && (node.bits & Bit.update) !== 0 && !barred.has(node)) {
      if (!this.#leavers.includes(node)) this.#leavers.push(node);
      return;
    }
    this.#markGone(node);
  }

  /** Everything gone that this value's old self rests on and that must therefore wait for its update. */
  #eachLeft(leaver: Node, visit: (left: Node) => void): void {
    const unmet = leaver.appliedDeps.filter((dep) => !met(dep, leaver, Picture.stay));
    eachProvider(this.#graph, unmet, (provider) => {
      if ((provider.bits & Bit.gone) !== 0 && (provider.bits & Bit.exists) !== 0) visit(provider);
    });
  }

  /** An update can precede a delete unless that delete is itself needed before something of phase 2. */
  #mayLeave(leaver: Node): boolean {
    const seen = new Set<Node>();
    const stack: Node[] = [];
    const visit = (node: Node): void => {
      if ((node.bits & Bit.gone) === 0 || seen.has(node)) return;
      seen.add(node);
      stack.push(node);
    };
    this.#eachLeft(leaver, visit);
    for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
      if ((node.bits & Bit.recreate) !== 0) return false;
      if (node.parent !== undefined) {
        if ((node.parent.bits & Bit.gone) === 0) return false;
        visit(node.parent);
      }
      eachProvider(this.#graph, node.appliedDeps, visit);
    }
    return true;
  }

  #markLate(node: Node): void {
    const stack: Node[] = [node];
    for (let at = stack.pop(); at !== undefined; at = stack.pop()) {
      if ((at.bits & (Bit.gone | Bit.late)) !== Bit.gone) continue;
      at.bits |= Bit.late;
      if (at.parent !== undefined) stack.push(at.parent);
      eachProvider(this.#graph, at.appliedDeps, (provider) => void stack.push(provider));
    }
  }

  // Deletes.

  #downOrder(): (Node | Choice)[] {
    const gone = this.#gone;
    for (const node of gone) {
      eachLeaf(node.appliedDeps, (leaf) => {
        if (leaf instanceof Choice) {
          leaf.pending += 1;
          this.#choices.add(leaf);
        } else if ((leaf.bits & Bit.gone) !== 0 && leaf !== node) precede(leaf, node);
      });
      if (node.parent !== undefined && (node.parent.bits & Bit.gone) !== 0) precede(node.parent, node);
    }
    if (this.#choices.size > 0) {
      for (const node of gone) {
        for (const choice of this.#graph.choicesOf(node.key)) {
          if (choice.pending === 0) continue;
          precede(node, choice);
          (choice.providers ??= []).push(node);
        }
      }
    }
    const order: (Node | Choice)[] = [];
    const ordered = new Set<Node | Choice>();
    const ready: Node[] = gone.filter((node) => (node.scratch as Scratch | undefined)?.wait === undefined);
    const tracked = ready.length < gone.length;
    const release = (node: Node): void => {
      const scratch = scratchOf(node);
      scratch.wait -= 1;
      if (scratch.wait === 0 && !ordered.has(node)) ready.push(node);
    };
    const emitChoice = (choice: Choice): void => {
      if (choice.providers === undefined || ordered.has(choice)) return;
      ordered.add(choice);
      order.push(choice);
      for (const provider of choice.providers) release(provider);
    };
    const emit = (node: Node): void => {
      order.push(node);
      if (!tracked) return;
      ordered.add(node);
      eachLeaf(node.appliedDeps, (leaf) => {
        if (leaf instanceof Choice) {
          leaf.pending -= 1;
          if (leaf.pending === 0) emitChoice(leaf);
        } else if ((leaf.bits & Bit.gone) !== 0 && leaf !== node) release(leaf);
      });
      if (node.parent !== undefined && (node.parent.bits & Bit.gone) !== 0) release(node.parent);
    };
    const drain = (): void => {
      // Nodes of a group are emitted outside of the queue and may turn up in it again.
      for (let node = ready.pop(); node !== undefined; node = ready.pop()) if (!ordered.has(node)) emit(node);
    };
    ready.reverse();
    drain();
    if (order.length < gone.length || (tracked && gone.some((node) => !ordered.has(node)))) {
      const left = gone.filter((node) => !ordered.has(node));
      const circles = components<Node | Choice>(left, (vertex) =>
        vertex instanceof Choice
          ? [...vertex.dependants].filter((node) => (node.bits & Bit.gone) !== 0 && !ordered.has(node))
          : (scratchOf(vertex).before ?? []).filter((other) => !ordered.has(other)),
      );
      for (const circle of circles) {
        const nodes = circle.filter((vertex) => vertex instanceof Node).filter((node) => !ordered.has(node));
        nodes.sort((a, b) => depth(b) - depth(a));
        if (nodes.length > 1) this.#group(nodes);
        for (const node of nodes) emit(node);
        for (const vertex of circle) if (vertex instanceof Choice) emitChoice(vertex);
        drain();
      }
    }
    return order;
  }

  readonly #groupOf = new Map<Node, { id: number; members: readonly Node[] }>();

  #group(nodes: readonly Node[]): void {
    this.#groups += 1;
    const group = { id: this.#groups, members: nodes };
    for (const node of nodes) this.#groupOf.set(node, group);
  }

  #pushDown(down: Node | Choice, phase: 1 | 3): void {
    const after: number[] = [];
    const index = this.#steps.length;
    if (down instanceof Choice) {
      for (const node of down.dependants) if (node.down >= 0) after.push(node.down);
      down.gate = [index];
      this.#steps.push(step(undefined, 'gate', down.text, phase, undefined, undefined, false, 0, after));
      return;
    }
    const scratch = down.scratch as Scratch | undefined;
    for (const other of scratch?.before ?? []) {
      if (other instanceof Choice) {
        if (other.gate !== undefined) after.push(other.gate[0]!);
        // In a circle with the selector itself: its gate comes later, those who have gone before are waited for.
        else for (const dependant of other.dependants) if (dependant.down >= 0) after.push(dependant.down);
      } else if (other.down >= 0) after.push(other.down);
    }
    const group = this.#groups === 0 ? undefined : this.#groupOf.get(down);
    if (group !== undefined) {
      const at = group.members.indexOf(down);
      if (at > 0) after.push(group.members[at - 1]!.down);
    }
    if (phase === 3) {
      for (const leaver of this.#leavers) {
        this.#eachLeft(leaver, (left) => {
          if (left === down) after.push(leaver.up);
        });
      }
    }
    down.down = index;
    const recreate = (down.bits & Bit.recreate) !== 0;
    const id = group?.id ?? 0;
    this.#steps.push(step(down, 'delete', down.key, phase, undefined, down.applied, recreate, id, unique(after)));
  }

  // Creates and updates.

  #raise(): void {
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
    node.up = this.#steps.length;
    this.#pushUp(node, after, 0);
    this.#markRaised(node);
    queue.push(node);
  }

  #markRaised(node: Node): void {
    const back = (node.bits & Bit.exists) === 0 || (node.bits & Bit.gone) !== 0;
    node.bits |= Bit.raised;
    if (!back || !this.#graph.hasChoices) return;
    for (const choice of this.#graph.choicesOf(node.key)) {
      choice.raised += 1;
      if (choice.firstUp < 0) choice.firstUp = node.up;
    }
  }

  #pushUp(node: Node, after: number[] | undefined, group: number): void {
    const update = (node.bits & Bit.update) !== 0;
    const recreate = (node.bits & Bit.recreate) !== 0;
    const previous = update ? node.applied : undefined;
    this.#steps.push(
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
      for (const node of members) this.#markRaised(node);
      const fit = members.filter((node) => allMet(node.deps, node, Picture.up) && parentReady(node));
      if (fit.length === members.length) break;
      for (const node of members) this.#unmarkRaised(node);
      for (const node of members) if (!fit.includes(node)) node.bits &= ~(Bit.inUp | Bit.will);
      members = fit;
      if (members.length === 0) return;
    }
    members.sort((a, b) => depth(a) - depth(b));
    if (members.length > 1) this.#groups += 1;
    const group = members.length > 1 ? this.#groups : 0;
    const afters = members.map((node) => this.#afterOf(node) ?? []);
    const first = this.#steps.length;
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

function isSame(node: Node): boolean {
  if (node.entry === undefined) return false;
  return node.entry.equal(node.key, node.applied, node.desired);
}

function isLate(down: Node | Choice): boolean {
  if (down instanceof Node) return (down.bits & Bit.late) !== 0;
  for (const node of down.dependants) if ((node.bits & Bit.late) !== 0) return true;
  return down.providers?.some((node) => (node.bits & Bit.late) !== 0) ?? false;
}

function scratchOf(node: Node): Scratch {
  if (node.scratch === undefined) node.scratch = new Scratch();
  return node.scratch as Scratch;
}

function precede(node: Node, before: Node | Choice): void {
  const scratch = scratchOf(node);
  scratch.wait += 1;
  (scratch.before ??= []).push(before);
}

/** Whether the value it is derived from is there, and as it should be. */
function parentReady(node: Node): boolean {
  const { parent } = node;
  if (parent === undefined) return true;
  return there(parent, Picture.up) && (parent.bits & (Bit.inUp | Bit.raised)) !== Bit.inUp;
}

function depth(node: Node): number {
  let levels = 0;
  for (let at = node.parent; at !== undefined; at = at.parent) levels += 1;
  return levels;
}

function unique(list: number[]): number[] | undefined {
  if (list.length === 0) return undefined;
  return list.length === 1 ? list : [...new Set(list)];
}

function step(
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
