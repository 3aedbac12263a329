// First step of ordering: what must be deleted, for good or to be recreated, and what goes with it.
//
//   gone     what must be deleted; whatever rests on it and cannot wait goes too
//   leavers  values whose update makes them let go of something that is deleted: that delete is then late (phase 3)

import { allMet, eachProvider, forward, met, Picture, pinned, there, type Existence } from './existence.js';
import { Bit, eachDependant, type Graph, type Node } from './graph.js';

/** Whether a change of this value can be made in place. */
function changesInPlace(node: Node): boolean {
  const descriptor = node.entry?.descriptor;
  if (descriptor === undefined) return true;
  if ((node.bits & Bit.uncertain) !== 0) return false;
  if (descriptor.update === undefined && descriptor.updateBatch === undefined) return false;
  return !(descriptor.recreate?.(node.key, node.applied, node.desired) ?? false);
}

function isSame(node: Node): boolean {
  if (node.entry === undefined) return false;
  return node.entry.equal(node.key, node.applied, node.desired);
}

/** Works out what goes. */
export class Takedown {
  readonly #graph: Graph;
  readonly #existence: Existence;
  readonly gone: Node[] = [];
  /** Values that already are as desired. */
  readonly same: Node[] = [];
  readonly heldBack: Node[] = [];
  leavers: Node[] = [];

  constructor(graph: Graph, existence: Existence) {
    this.#graph = graph;
    this.#existence = existence;
  }

  run(): void {
    this.#classify();
    this.#cascade();
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
        if (isSame(node)) this.same.push(node);
        else if (changesInPlace(node)) this.#markUpdate(node);
        else this.#markGone(node);
      }
    }
  }

  #classifyHeld(node: Node): void {
    if (node.desired === node.applied) {
      if (!allMet(node.deps, node, Picture.will)) this.heldBack.push(node);
    } else if (forward(node) && allMet(node.deps, node, Picture.will)) {
      if (isSame(node)) this.same.push(node);
      else if (changesInPlace(node)) this.#markUpdate(node);
      else this.heldBack.push(node);
    } else if ((node.bits & Bit.owned) !== 0 && (node.bits & Bit.stuck) === 0) {
      this.heldBack.push(node);
    }
  }

  #markUpdate(node: Node): void {
    node.bits |= Bit.update;
  }

  #markGone(node: Node): void {
    const back = there(node, Picture.will) && forward(node);
    node.bits = (node.bits & ~Bit.update) | Bit.gone | (back ? Bit.recreate : 0);
    this.gone.push(node);
    if (this.#graph.hasChoices && (node.bits & Bit.exists) !== 0) {
      for (const choice of this.#graph.choicesOf(node.key)) choice.gone += 1;
    }
  }

  /** Takes down with a value whatever rests on it and cannot stay. */
  #cascade(): void {
    const barred = new Set<Node>();
    let from = 0;
    for (;;) {
      for (; from < this.gone.length; from += 1) {
        eachDependant(
          this.#graph,
          this.gone[from]!,
          (choice) => {
            // Once is enough: what it no longer supports does not get it back.
            if (choice.closed || choice.count - choice.gone > 0) return false;
            choice.closed = true;
            return true;
          },
          (dependant) => this.#visitCascade(dependant, barred),
        );
      }
      const bad = this.leavers.filter((leaver) => (leaver.bits & Bit.update) !== 0 && !this.#mayLeave(leaver));
      this.leavers = this.leavers.filter((leaver) => !bad.includes(leaver));
      if (bad.length === 0) break;
      for (const leaver of bad) {
        barred.add(leaver);
        this.#markGone(leaver);
      }
    }
    this.leavers = this.leavers.filter((leaver) => (leaver.bits & Bit.update) !== 0);
    for (const leaver of this.leavers) {
      this.eachLeft(leaver, (left) => this.#markLate(left));
    }
  }

  #visitCascade(node: Node, barred: ReadonlySet<Node>): void {
    if ((node.bits & (Bit.exists | Bit.uncertain)) === 0 || (node.bits & Bit.gone) !== 0 || pinned(node)) return;
    const parentGone = node.parent !== undefined && (node.parent.bits & Bit.gone) !== 0;
    if (!parentGone && allMet(node.appliedDeps, node, Picture.stay)) return;
    this.#existence.touch(node);
    if (!parentGone && (node.bits & Bit.update) !== 0 && !barred.has(node)) {
      if (!this.leavers.includes(node)) this.leavers.push(node);
      return;
    }
    this.#markGone(node);
  }

  /** Everything gone that this value's old self rests on and that must therefore wait for its update. */
  eachLeft(leaver: Node, visit: (left: Node) => void): void {
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
    this.eachLeft(leaver, visit);
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
}
