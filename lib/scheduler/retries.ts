// Retries: what failed and may be tried again gets a transaction of its own after a delay. Whoever has been touched by
// another transaction meanwhile is left to that one.

import type { Core } from './core.js';
import type { Run } from './engine.js';
import { Bit, type Node } from './graph.js';
import { addAll } from './lists.js';
import type { TransactionResult } from './result.js';
import { retryDelay } from './retry.js';
import type { Body } from './runner.js';
import type { Work } from './transaction.js';
import type { Asked } from './worker.js';

/** Whether a transaction that fails will be followed by another try. */
export function mayRetry(work: Work): boolean {
  return work.retry !== undefined && work.attempt < work.retry.count;
}

/** Plans retries. */
export class Retries {
  readonly #core: Core;
  /** Queues a transaction; set by who owns the queue. */
  transact!: (asked: Asked, body: Body) => Promise<TransactionResult>;

  constructor(core: Core) {
    this.#core = core;
  }

  /** Sees to it that what failed in a run is tried again. */
  plan(run: Run, work: Work): void {
    const again = run.failed.filter(({ node, retriable }) => retriable && (node.bits & Bit.stuck) !== 0);
    if ((again.length === 0 && run.unread.length === 0) || !mayRetry(work) || this.#core.closing !== 'open') return;
    const delay = retryDelay(work.retry!, work.attempt + 1, this.#core.random)!;
    const at = this.#core.clock.now() + delay;
    const due = again.map(({ node }) => ({ node, seq: node.seq }));
    for (const { node } of due) if (node.trouble !== undefined) node.trouble.nextTryMs = at;
    this.#core.metrics.retriesScheduled += due.length;
    const unread = run.unread.length > 0;
    this.#core.timer(delay, () => void this.#now(due, unread, work).catch((error: unknown) => this.#core.fault(error)));
  }

  async #now(due: readonly { node: Node; seq: number }[], unread: boolean, work: Work): Promise<void> {
    if (this.#core.closing !== 'open') return;
    // Whoever has been touched since is somebody else's business.
    const still = (): Node[] =>
      due.filter(({ node, seq }) => node.seq === seq && (node.bits & Bit.stuck) !== 0).map(({ node }) => node);
    if (still().length === 0 && !unread) return;
    const { description, serial } = work.options;
    const options = {
      priority: -10,
      ...(description === undefined ? {} : { description }),
      ...(serial === undefined ? {} : { serial }),
    };
    const attempt = work.attempt + 1;
    await this.transact(
      { kind: 'retry', options, attempt, ...(work.retry === undefined ? {} : { retry: work.retry }) },
      async (run, seeds) => {
        if (unread) {
          addAll(seeds, await this.#core.truth.refreshAll(run));
          addAll(seeds, this.#core.truth.outOfStep());
        }
        for (const node of still()) {
          node.bits &= ~Bit.stuck;
          seeds.push(node);
        }
      },
    );
  }
}
