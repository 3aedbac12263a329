// Second step of ordering: deletes, each after those of its dependants. They are ordered by counting dependants down to
// zero; what remains when that moves on no more becomes a group, whose members go one after the other.

import { components } from './circles.js';
import { Bit, Choice, Node, eachLeaf, type Graph } from './graph.js';
import { scratchOf, step, unique, type Scratch, type Steps } from './scratch.js';
import type { Takedown } from './takedown.js';
import { lift, sink, unbuild } from './unbuild.js';

/** Orders deletes. */
export class Deletes {
  readonly #graph: Graph;
  readonly #takedown: Takedown;
  readonly #steps: Steps;
  readonly #choices = new Set<Choice>();

  constructor(graph: Graph, takedown: Takedown, steps: Steps) {
    this.#graph = graph;
    this.#takedown = takedown;
    this.#steps = steps;
  }

  /** Appends those of an order that belong to a phase. */
  push(order: readonly (Node | Choice)[], phase: 1 | 3): void {
    for (const down of order) if (isLate(down) === (phase === 3)) this.#push(down, phase);
  }

  order(): (Node | Choice)[] {
    const gone = this.#takedown.gone;
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
    // Only those that go have notes here.
    const release = (node: Node): void => {
      const scratch = node.scratch as Scratch | undefined;
      if (scratch === undefined) return;
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
        } else if (leaf !== node) release(leaf);
      });
      if (node.parent !== undefined) release(node.parent);
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
      // What is not ordered yet counts as there: a group may rest on it until the group is gone.
      let sunk = order.length;
      for (const node of left) lift(this.#graph, node);
      for (const circle of circles) {
        for (; sunk < order.length; sunk += 1) {
          const done = order[sunk]!;
          if (done instanceof Node) sink(this.#graph, done);
        }
        const members = circle.filter((vertex) => vertex instanceof Node).filter((node) => !ordered.has(node));
        for (const node of members) sink(this.#graph, node);
        const nodes = members.length > 1 ? unbuild(this.#graph, members) : members;
        if (nodes.length > 1) this.#group(nodes);
        for (const node of nodes) emit(node);
        for (const vertex of circle) if (vertex instanceof Choice) emitChoice(vertex);
        drain();
      }
      for (const node of left) sink(this.#graph, node);
    }
    return order;
  }

  readonly #groupOf = new Map<Node, { id: number; members: readonly Node[] }>();

  #group(nodes: readonly Node[]): void {
    this.#steps.groups += 1;
    const group = { id: this.#steps.groups, members: nodes };
    for (const node of nodes) this.#groupOf.set(node, group);
  }

  #push(down: Node | Choice, phase: 1 | 3): void {
    const after: number[] = [];
    const index = this.#steps.list.length;
    if (down instanceof Choice) {
      for (const node of down.dependants) if (node.down >= 0) after.push(node.down);
      down.gate = [index];
      this.#steps.list.push(step(undefined, 'gate', down.text, phase, undefined, undefined, false, 0, after));
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
    const group = this.#steps.groups === 0 ? undefined : this.#groupOf.get(down);
    if (group !== undefined) {
      const at = group.members.indexOf(down);
      if (at > 0) after.push(group.members[at - 1]!.down);
    }
    if (phase === 3) {
      for (const leaver of this.#takedown.leavers) {
        this.#takedown.eachLeft(leaver, (left) => {
          if (left === down) after.push(leaver.up);
        });
      }
    }
    down.down = index;
    const recreate = (down.bits & Bit.recreate) !== 0;
    const id = group?.id ?? 0;
    this.#steps.list.push(step(down, 'delete', down.key, phase, undefined, down.applied, recreate, id, unique(after)));
  }
}

function isLate(down: Node | Choice): boolean {
  if (down instanceof Node) return (down.bits & Bit.late) !== 0;
  for (const node of down.dependants) if ((node.bits & Bit.late) !== 0) return true;
  return down.providers?.some((node) => (node.bits & Bit.late) !== 0) ?? false;
}

function precede(node: Node, before: Node | Choice): void {
  const scratch = scratchOf(node);
  scratch.wait += 1;
  (scratch.before ??= []).push(before);
}
