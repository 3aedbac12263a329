// A look at the southbound: what is there now, asked of the descriptors. Nothing is learnt, planned or written down.

import { ask } from './ask.js';
import type { Core } from './core.js';
import { operationError } from './engine.js';
import { Bit } from './graph.js';
import { CallHandle } from './limits.js';
import type { Part } from './options.js';
import { redact } from './redact.js';
import type { SchedulerError } from '../errors.js';
import { scopes } from './truth.js';

/** One value as the southbound shows it. */
export interface SouthboundValue {
  readonly key: string;
  /** Secrets redacted unless asked for. */
  readonly value: unknown;
  readonly metadata: unknown;
  readonly descriptor: string;
  /** Whether we made it, as far as its descriptor or we can tell. */
  readonly origin: 'ours' | 'foreign';
  /** How it compares with what the scheduler believes to be there. */
  readonly believed: 'same' | 'different' | 'absent';
}

/** What a look found. */
export interface SouthboundDump {
  readonly values: readonly SouthboundValue[];
  /** Keys in the part looked at that are believed to be there and were not found. */
  readonly missing: readonly string[];
  /** Key spaces that could not be read. */
  readonly failures: readonly { readonly descriptor: string; readonly error: SchedulerError }[];
}

/** Looks at a part of the southbound. */
export async function look(core: Core, part: Part, secrets: boolean): Promise<SouthboundDump> {
  const { graph, limits } = core.engine;
  const { signal } = new AbortController();
  const handle = (): CallHandle =>
    new CallHandle(
      () => signal,
      (key) => graph.get(key)?.metadata,
    );
  const values: SouthboundValue[] = [];
  const missing: string[] = [];
  const failures: { descriptor: string; error: SchedulerError }[] = [];
  for (const [entry, scope] of scopes(core.spaces, part)) {
    const found = new Set<string>();
    const descriptor = entry.name;
    try {
      await ask(entry, scope, { graph, limits, handle }, ({ key, value, metadata, origin }) => {
        if (core.spaces.find(key) !== entry) return;
        found.add(key);
        const node = graph.get(key);
        const bits = node?.bits ?? 0;
        const ours = node !== undefined && (node.desired !== undefined || (bits & Bit.owned) !== 0);
        const same = (bits & Bit.exists) !== 0 && entry.equal(key, node!.applied, value);
        values.push({
          key,
          value: secrets ? value : redact(entry.descriptor.schema, value),
          metadata,
          descriptor,
          origin: ours ? 'ours' : (origin ?? 'foreign'),
          believed: (bits & Bit.exists) === 0 ? 'absent' : same ? 'same' : 'different',
        });
      });
    } catch (error) {
      failures.push({ descriptor, error: operationError(entry, 'retrieve', 'its key space', [], error) });
      continue;
    }
    const expected = (key: string): void => {
      const node = graph.get(key);
      if (node?.entry === entry && (node.bits & Bit.exists) !== 0 && !found.has(key)) missing.push(key);
    };
    if (scope.keys !== undefined) for (const key of scope.keys) expected(key);
    else for (const node of graph.withPrefix(scope.prefix ?? '')) expected(node.key);
  }
  return { values, missing, failures };
}
