// Second half of planning: given what will exist, which operations, in which order.
//
//   takedown  what must be deleted, for good or to be recreated; whatever rests on it and cannot wait goes too
//   deletes   phase 1, and phase 3 for what an update lets go
//   raising   what is created or updated: phase 2
//
// Invariant: no step comes before one it is `after`.

import { Deletes } from './deletes.js';
import type { Existence } from './existence.js';
import { planBits, type Graph, type Node } from './graph.js';
import type { Step } from './plan.js';
import { Raising } from './raising.js';
import { Steps } from './scratch.js';
import { Takedown } from './takedown.js';

/** What planning one round comes to. */
export interface Draft {
  readonly steps: Step[];
  /** Values that already are as desired: only the books change. */
  readonly same: Node[];
  /** Values that must stay because something that could not be removed rests on them. */
  readonly heldBack: Node[];
  readonly touched: readonly Node[];
}

/** Orders what an {@link Existence} has worked out. */
export class Ordering {
  readonly #graph: Graph;
  readonly #existence: Existence;

  constructor(graph: Graph, existence: Existence) {
    this.#graph = graph;
    this.#existence = existence;
  }

  run(): Draft {
    const steps = new Steps();
    const takedown = new Takedown(this.#graph, this.#existence);
    takedown.run();
    const deletes = new Deletes(this.#graph, takedown, steps);
    const order = deletes.order();
    deletes.push(order, 1);
    new Raising(this.#graph, this.#existence, steps).run();
    deletes.push(order, 3);
    const { same, heldBack } = takedown;
    return { steps: steps.list, same, heldBack, touched: this.#existence.touched };
  }

  /** Leaves the graph as it was found. */
  cleanUp(): void {
    for (const node of this.#existence.touched) {
      node.bits &= ~planBits;
      node.planned();
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
}
