// Changes of interfaces as an async iterator. Changes wait until they are taken: few and small, so without a bound.

import type { Interface } from './interface.js';

/** What has happened to an interface, or to all of them. */
export type InterfaceChange =
  { readonly type: 'added' | 'changed' | 'deleted'; readonly interface: Interface } | { readonly type: 'restarted' };

/**
 * See above; from `vpp.interfaces.watch()`.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { openVpp } from 'node-vpp/vpp';
 *
 * const vpp = await openVpp({ socket: process.env.VPP_SOCKET ?? '/run/vpp/api.sock' });
 * const watch = vpp.interfaces.watch();
 * const lan = await vpp.loopbacks.create({ tag: 'doc-next' });
 * const first = await watch.next();
 * assert.equal(first.done === true ? undefined : first.value.type, 'added');
 * await lan.delete();
 * watch.end();
 * const types: string[] = [];
 * for await (const change of watch) types.push(change.type);
 * assert.equal(types.at(-1), 'deleted', 'what has come before the end can still be taken');
 * assert.equal((await watch.return()).done, true);
 * await vpp.close();
 * ```
 */
export class InterfaceWatch implements AsyncIterableIterator<InterfaceChange> {
  readonly #changes: InterfaceChange[] = [];
  readonly #onEnd: () => void;
  readonly #signal: AbortSignal | undefined;
  readonly #aborted = (): void => this.end();
  #waiting: ((result: IteratorResult<InterfaceChange>) => void)[] = [];
  #ended = false;

  constructor(onEnd: () => void, signal: AbortSignal | undefined) {
    this.#onEnd = onEnd;
    this.#signal = signal;
    if (signal?.aborted === true) this.#ended = true;
    else signal?.addEventListener('abort', this.#aborted, { once: true });
  }

  /** True when no more changes come: after `end()`, the abort of its signal, or `vpp.close()`. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Itself. */
  [Symbol.asyncIterator](): this {
    return this;
  }

  /** The next change, waited for; `done` when it has ended. */
  next(): Promise<IteratorResult<InterfaceChange>> {
    const change = this.#changes.shift();
    if (change !== undefined) return Promise.resolve({ value: change, done: false });
    if (this.#ended) return Promise.resolve({ value: undefined, done: true });
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Ends it and drops what waits; leaving a `for await` calls this. */
  return(): Promise<IteratorResult<InterfaceChange>> {
    this.#changes.length = 0;
    this.end();
    return Promise.resolve({ value: undefined, done: true });
  }

  /** For `Interfaces`. */
  push(change: InterfaceChange): void {
    const waiting = this.#waiting.shift();
    if (waiting === undefined) this.#changes.push(change);
    else waiting({ value: change, done: false });
  }

  /** No more changes: those that wait can still be taken. */
  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#signal?.removeEventListener('abort', this.#aborted);
    for (const resolve of this.#waiting) resolve({ value: undefined, done: true });
    this.#waiting = [];
    this.#onEnd();
  }
}
