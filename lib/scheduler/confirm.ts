// Commit, then confirm or be taken back: by the clock, by a call, or by a restart.

import { SchedulerError } from '../errors.js';
import type { Core } from './core.js';
import { changeMap, type Change, type ConfirmOptions } from './options.js';
import type { TransactionResult } from './result.js';
import type { Worker } from './worker.js';

/** A committed change that is taken back unless it is confirmed. */
export interface Unconfirmed {
  readonly result: TransactionResult;
  /** Keeps it. Throws ERR_SCHEDULER_CONFIRM when it is too late. */
  confirm(): Promise<void>;
  /** Takes it back now. */
  rollback(): Promise<TransactionResult>;
  /** Resolves when it is confirmed or taken back. */
  readonly settled: Promise<'confirmed' | 'rolled back'>;
}

/** Commits on probation. */
export class Confirmations {
  readonly #core: Core;
  readonly #worker: Worker;

  constructor(core: Core, worker: Worker) {
    this.#core = core;
    this.#worker = worker;
  }

  /** Commits a change that is taken back after `timeoutMs` unless it is confirmed; also by a restart before that. */
  async commit(change: Change, options: ConfirmOptions): Promise<Unconfirmed> {
    const { timeoutMs, deadlineMs, ...rest } = options;
    const result = await this.#worker.transact({
      kind: 'change',
      options: deadlineMs === undefined ? rest : { ...rest, timeoutMs: deadlineMs },
      change: changeMap(change),
      confirm: true,
    });
    const seq = result.seq;
    let settle!: (how: 'confirmed' | 'rolled back') => void;
    const settled = new Promise<'confirmed' | 'rolled back'>((resolve) => (settle = resolve));
    let open = true;
    const late = (): SchedulerError =>
      new SchedulerError(
        'ERR_SCHEDULER_CONFIRM',
        `confirming transaction ${seq}: it has been confirmed or taken back already`,
      );
    const undo = this.#core.checkpoints.unconfirmed.get(seq) ?? new Map<string, unknown>();
    const rollback = async (): Promise<TransactionResult> => {
      if (!open) throw late();
      open = false;
      cancel();
      const options = { description: `rollback of transaction ${seq}`, priority: 10 };
      const back = await this.#worker.transact({ kind: 'rollback', options, change: undo });
      await this.#settleHeld(seq);
      settle('rolled back');
      return back;
    };
    const cancel = this.#core.timer(
      timeoutMs,
      () => void rollback().catch((error: unknown) => this.#core.fault(error)),
    );
    if (result.status === 'reverted' || undo.size === 0) {
      open = false;
      cancel();
      await this.#settleHeld(seq);
      settle('rolled back');
    }
    return {
      result,
      settled,
      rollback,
      confirm: async () => {
        if (!open) throw late();
        open = false;
        cancel();
        await this.#settleHeld(seq);
        settle('confirmed');
      },
    };
  }

  async #settleHeld(seq: number): Promise<void> {
    this.#core.checkpoints.unconfirmed.delete(seq);
    if (this.#core.journal === undefined) return;
    await this.#worker.alone(() => this.#core.journal!.settle(seq));
    await this.#core.journal.commit();
  }
}
