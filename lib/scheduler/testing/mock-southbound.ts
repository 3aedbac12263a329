// A southbound that does what a script says: keeps values in memory, records every call, fails when told to, before or
// after the deed, answers late, loses everything in a restart. For tests of descriptors and of whatever drives a scheduler.
//
//   world.fail('route/a', 'create', { times: 2, effect: 'after' })     fails twice, although the value is made
//   world.put('route/b', {…})   world.drop('route/a')                   somebody else was here
//
// Invariant: `values` is the truth that retrieve shows, and `calls` is in the order in which calls took effect.

import type { Awaitable, Call, Descriptor, KeySpace, Retrieved, RetrieveRequest } from '../descriptor.js';

/** What a mock was asked to do. */
export interface MockCall {
  readonly kind: 'create' | 'update' | 'delete' | 'retrieve';
  /** The key; for a retrieve the name of the descriptor. */
  readonly key: string;
  readonly value?: unknown;
  readonly previous?: unknown;
  /** Whether it answered with an error. */
  readonly failed: boolean;
  /** Whether the value was made, changed or removed. */
  readonly effect: boolean;
}

/** How a call is to fail. */
export interface Fault {
  /** How many calls fail before one succeeds; default 1. */
  readonly times?: number;
  /** Whether the deed is done before (`'after'`) or not (`'before'`, default). */
  readonly effect?: 'before' | 'after';
  readonly error?: Error;
}

/** A value in the mock. */
export interface MockValue {
  readonly value: unknown;
  readonly metadata: number;
  readonly origin: 'ours' | 'foreign' | undefined;
}

/** A descriptor to be made: what the mock adds is create, update, remove and retrieve. */
export type MockDescriptor<V> = Omit<
  Descriptor<V, number>,
  'create' | 'update' | 'remove' | 'retrieve' | 'createBatch' | 'updateBatch' | 'removeBatch'
> & {
  readonly keys: string | KeySpace;
  /** Whether changes are made in place; default yes. */
  readonly updates?: boolean;
  /** Whether it can tell what is there; default yes. */
  readonly retrieves?: boolean;
  /** Whether it takes many values in one call; default no. */
  readonly batches?: boolean;
};

/** A scripted southbound. Make one with {@link mockSouthbound}. */
export class MockSouthbound {
  /** What is there. */
  readonly values = new Map<string, MockValue>();
  /** Every call, in the order in which they took effect. */
  readonly calls: MockCall[] = [];
  /** Delays the answer of a call, if it gives a promise. */
  latency: ((kind: MockCall['kind'], key: string) => Awaitable<void>) | undefined;
  /** Sees every call right after its effect. */
  onCall: ((call: MockCall) => void) | undefined;
  /** Whether calls are recorded; default yes. */
  recording = true;
  /** How many calls are under way, and how many there have been at once at most. */
  underWay = 0;
  mostUnderWay = 0;
  readonly #faults = new Map<string, { left: number; effect: 'before' | 'after'; error: Error | undefined }>();
  #instance = 1;
  #nextMetadata = 1;

  /** The present instance; changes with {@link restart}. */
  readonly identity = (): string => `mock ${this.#instance}`;

  /** Lets the next calls for a key fail. For `'retrieve'` the key is a descriptor's name. */
  fail(key: string, kind: MockCall['kind'], fault: Fault = {}): void {
    const { times = 1, effect = 'before', error } = fault;
    this.#faults.set(`${kind} ${key}`, { left: times, effect, error });
  }

  /** Ends all scripted faults. */
  heal(): void {
    this.#faults.clear();
  }

  /** Somebody else makes or changes a value. */
  put(key: string, value: unknown, origin?: 'ours' | 'foreign'): void {
    const known = this.values.get(key);
    this.values.set(key, { value, metadata: known?.metadata ?? this.#nextMetadata++, origin });
  }

  /** Somebody else removes a value. */
  drop(key: string): void {
    this.values.delete(key);
  }

  /** It dies and comes back with nothing. */
  restart(): void {
    this.#instance += 1;
    this.values.clear();
  }

  /** A descriptor that acts on this mock. */
  descriptor<V>(spec: MockDescriptor<V>): Descriptor<V, number> {
    const { updates = true, retrieves = true, batches = false, ...rest } = spec;
    const create = ({ key, value }: { key: string; value: V }): Awaitable<number> =>
      this.#act('create', key, value, undefined);
    const update = ({ key, value, previous }: { key: string; value: V; previous: V }): Awaitable<number> =>
      this.#act('update', key, value, previous);
    const remove = ({ key, value }: { key: string; value: V }): Awaitable<number> =>
      this.#act('delete', key, undefined, value);
    const each =
      <R>(one: (request: R) => Awaitable<number>) =>
      async (requests: readonly R[]): Promise<({ metadata: number } | { error: Error })[]> =>
        Promise.all(
          requests.map(async (request) => {
            try {
              return { metadata: await one(request) };
            } catch (error) {
              return { error: error as Error };
            }
          }),
        );
    const noMetadata = (
      outcome: { metadata: number } | { error: Error },
    ): { metadata: undefined } | { error: Error } => ('error' in outcome ? outcome : { metadata: undefined });
    return {
      ...rest,
      ...(batches ? { createBatch: each(create) } : { create }),
      ...(batches
        ? { removeBatch: async (requests) => (await each(remove)(requests)).map(noMetadata) }
        : {
            remove: (request) => {
              const answer = remove(request);
              return typeof answer === 'number' ? undefined : answer.then(() => undefined);
            },
          }),
      ...(updates ? (batches ? { updateBatch: each(update) } : { update }) : {}),
      ...(retrieves
        ? {
            retrieve: (request: RetrieveRequest<V>, call: Call) =>
              this.#retrieve<V>(rest.name, rest.keys, request, call),
          }
        : {}),
    };
  }

  #act(kind: 'create' | 'update' | 'delete', key: string, value: unknown, previous: unknown): Awaitable<number> {
    const wait = this.latency?.(kind, key);
    if (wait === undefined) return this.#deed(kind, key, value, previous);
    this.underWay += 1;
    this.mostUnderWay = Math.max(this.mostUnderWay, this.underWay);
    return wait.then(() => {
      this.underWay -= 1;
      return this.#deed(kind, key, value, previous);
    });
  }

  #deed(kind: 'create' | 'update' | 'delete', key: string, value: unknown, previous: unknown): number {
    const fault = this.#fault(kind, key);
    const effect = fault === undefined || fault.effect === 'after';
    let metadata = this.values.get(key)?.metadata ?? 0;
    if (effect) {
      if (kind === 'delete') this.values.delete(key);
      else {
        if (metadata === 0) metadata = this.#nextMetadata++;
        this.values.set(key, { value, metadata, origin: undefined });
      }
    }
    this.#record({ kind, key, value, previous, failed: fault !== undefined, effect });
    if (fault !== undefined) throw fault.error ?? new Error(`scripted fault: ${kind} ${key}`);
    return metadata;
  }

  async #retrieve<V>(
    name: string,
    keys: string | KeySpace,
    request: RetrieveRequest<V>,
    _call: Call,
  ): Promise<Iterable<Retrieved<V, number>>> {
    await this.latency?.('retrieve', name);
    const fault = this.#fault('retrieve', name);
    this.#record({ kind: 'retrieve', key: name, failed: fault !== undefined, effect: true });
    if (fault !== undefined) throw fault.error ?? new Error(`scripted fault: retrieve ${name}`);
    const found: Retrieved<V, number>[] = [];
    const take = (key: string, { value, metadata, origin }: MockValue): void => {
      found.push({ key, value: value as V, metadata, ...(origin === undefined ? {} : { origin }) });
    };
    if (request.keys !== undefined) {
      for (const key of request.keys) {
        const known = this.values.get(key);
        if (known !== undefined) take(key, known);
      }
      return found;
    }
    const prefix = typeof keys === 'string' ? keys : keys.prefix;
    for (const [key, known] of this.values) {
      if (key.startsWith(prefix) && (typeof keys === 'string' || (keys.match?.(key) ?? true))) take(key, known);
    }
    return found;
  }

  #fault(kind: MockCall['kind'], key: string): { effect: 'before' | 'after'; error: Error | undefined } | undefined {
    const fault = this.#faults.get(`${kind} ${key}`);
    if (fault === undefined) return undefined;
    fault.left -= 1;
    if (fault.left <= 0) this.#faults.delete(`${kind} ${key}`);
    return fault;
  }

  #record(call: MockCall): void {
    if (this.recording) this.calls.push(call);
    this.onCall?.(call);
  }
}

/**
 * A southbound for tests and trials.
 *
 * @example
 * ```ts
 * import { mockSouthbound } from 'node-vpp/scheduler';
 * const world = mockSouthbound();
 * const descriptor = world.descriptor({ name: 'vrf', keys: 'vrf/' });
 * world.fail('vrf/1', 'create');
 * world.put('vrf/7', { label: 'somebody else' });
 * console.log(descriptor.name, world.values.size); // vrf 1
 * ```
 */
export function mockSouthbound(): MockSouthbound {
  return new MockSouthbound();
}
