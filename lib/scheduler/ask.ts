// Asks a descriptor what is there, within its time limit: of the whole key space, of what has a prefix, or of some keys.
// What it answers beyond that is passed over.

import type { Retrieved } from './descriptor.js';
import type { Graph } from './graph.js';
import type { Entry } from './key-space.js';
import { within, type CallHandle, type Limits } from './limits.js';

/** Which part of the southbound: everything, what has a prefix, or some keys. */
export interface Scope {
  readonly prefix?: string | undefined;
  readonly keys?: ReadonlySet<string> | undefined;
}

/** Whether a key is in a scope. */
export function inScope(scope: Scope, key: string): boolean {
  return (scope.prefix === undefined || key.startsWith(scope.prefix)) && (scope.keys?.has(key) ?? true);
}

/** What asking needs from its caller. */
export interface AskEnvironment {
  readonly graph: Graph;
  readonly handle: () => CallHandle;
  readonly limits: Limits;
}

/** Hands every value found in the scope to `take`. */
export async function ask(
  entry: Entry,
  scope: Scope,
  environment: AskEnvironment,
  take: (item: Retrieved<unknown, unknown>) => void,
): Promise<void> {
  const { graph, limits } = environment;
  const handle = environment.handle();
  const what = `retrieve of ${entry.name}`;
  const { prefix, keys } = scope;
  const request = {
    keys: keys === undefined ? undefined : [...keys],
    ...(prefix === undefined ? {} : { prefix }),
    desired: (key: string) => graph.get(key)?.desired,
  };
  const wait = <T>(answer: T | PromiseLike<T>): Promise<T> =>
    within(limits, entry.limitMs, Promise.resolve(answer), what, handle);
  const asked = entry.descriptor.retrieve!(request, handle);
  const answer = Symbol.iterator in asked || Symbol.asyncIterator in asked ? asked : await wait(asked);
  if (Symbol.iterator in answer) {
    for (const item of answer) if (inScope(scope, item.key)) take(item);
    return;
  }
  const items = answer[Symbol.asyncIterator]();
  let whole = false;
  try {
    for (;;) {
      const next = await wait(items.next());
      if (next.done === true) break;
      if (inScope(scope, next.value.key)) take(next.value);
    }
    whole = true;
  } finally {
    // One that does not answer need not be waited for to be told to stop.
    if (!whole) void Promise.resolve(items.return?.()).catch(() => undefined);
  }
}
