// The contract between the scheduler and what it steers: a descriptor teaches it one key space.
//
//   key space   which keys are mine                       'interface/'
//   schema      what a value may be, what is secret       invalid fields by path
//   create, update, remove, retrieve                      one value, or many in one call
//   derive      values that follow from a value           'interface/a' -> 'interface/a/address/10.0.0.1'
//   dependencies what must exist first                    by key or selector, never by label
//
// Invariant: `derive`, `dependencies`, `validate` and `equal` are pure functions of their arguments; only create, update,
// remove and retrieve touch the world. Values are handed over by reference and never changed afterwards by either side.

import type { Schema } from './schema.js';
import type { Selector } from './selector.js';

/** One field that is wrong, by its path in the value (`''` is the value itself, `'peers[0].key'` a field of it). */
export interface InvalidField {
  readonly path: string;
  readonly reason: string;
}

/** A key and its value. */
export interface KeyValue<V = unknown> {
  readonly key: string;
  readonly value: V;
}

/** What a call of a descriptor may use besides its arguments. */
export interface Call {
  /** Aborted when the call's time limit or the transaction's deadline passes, or when its caller gives up. */
  readonly signal: AbortSignal;
  /** The metadata of another value that exists now, e.g. the `sw_if_index` of the interface this route uses. */
  metadata(key: string): unknown;
}

/** A value to create. */
export interface CreateRequest<V> {
  readonly key: string;
  readonly value: V;
}

/** A value to change in place. */
export interface UpdateRequest<V, M> {
  readonly key: string;
  readonly previous: V;
  readonly value: V;
  readonly metadata: M;
}

/** A value to remove. `metadata` is undefined when creating it failed half way and nothing could be retrieved. */
export interface RemoveRequest<V, M> {
  readonly key: string;
  readonly value: V;
  readonly metadata: M;
}

/** What of the southbound is wanted. */
export interface RetrieveRequest<V> {
  /** Only these keys are needed; undefined: everything in the key space. Returning more than asked is allowed. */
  readonly keys: readonly string[] | undefined;
  /** Only keys with this prefix are needed. Returning more is allowed. */
  readonly prefix?: string;
  /** The value desired for a key, for what the southbound cannot tell (a secret it never shows, a logical name). */
  desired(key: string): V | undefined;
}

/** One value found in the southbound. */
export interface Retrieved<V, M> {
  readonly key: string;
  readonly value: V;
  readonly metadata?: M;
  /**
   * `'ours'`: it bears our mark; `'foreign'`: someone else made it; undefined: not known, then it is ours exactly if we
   * desire it or know that we created it.
   */
  readonly origin?: 'ours' | 'foreign';
}

/** The outcome of one value of a batch: its metadata, or the error that this value alone met. */
export type BatchOutcome<M> = { readonly metadata: M } | { readonly error: Error };

/**
 * What to do about a difference between what we last knew and what the southbound shows.
 *
 * | policy | a value of ours changed or vanished | a value that is not ours |
 * |---|---|---|
 * | `repair` | put back what is desired | remove it |
 * | `adopt` | desire what is there | desire it from now on |
 * | `report` | leave it, say so | leave it, show it as `obtained` |
 * | `ignore` | leave it, say nothing | do not even list it |
 */
export type DriftPolicy = 'adopt' | 'ignore' | 'repair' | 'report';

/** A maybe-asynchronous answer: descriptors that need not wait return the value itself, which costs no promise. */
export type Awaitable<T> = T | Promise<T>;

/**
 * Teaches the scheduler one key space.
 *
 * @typeParam V type of the values
 * @typeParam M type of the metadata that the southbound gives to a value when it is created (an index, a handle)
 *
 * @example
 * ```ts
 * import type { Descriptor } from 'node-vpp/scheduler';
 * const table = new Map<string, number>();
 * const routes: Descriptor<{ via: string }> = {
 *   name: 'route',
 *   keys: 'route/',
 *   dependencies: (_key, value) => [`interface/${value.via}`],
 *   create: ({ key }) => void table.set(key, 1),
 *   remove: ({ key }) => void table.delete(key),
 * };
 * console.log(routes.dependencies?.('route/10.0.0.0', { via: 'tap0' })); // [ 'interface/tap0' ]
 * ```
 */
export interface Descriptor<V = unknown, M = unknown> {
  /** Unique among the descriptors of a scheduler. */
  readonly name: string;
  /** The key space: a prefix, or a prefix and a test on the whole key. Two descriptors never share a key. */
  readonly keys: string | KeySpace;
  /** Structure of a value; also names its secrets. */
  readonly schema?: Schema;
  /** Which southbound it talks to, when a scheduler has several; default `'default'`. */
  readonly southbound?: string;
  /** Names of descriptors to be retrieved before this one. */
  readonly retrieveAfter?: readonly string[];
  /** How many calls may be under way at once; default 8. */
  readonly concurrency?: number;
  /**
   * How long a call may take, in milliseconds (`Infinity`: for ever); default that of the scheduler. Then its signal is
   * aborted, it counts as failed, and what it came to is looked up.
   */
  readonly callTimeoutMs?: number;
  /** How many values one `…Batch` call may carry; default 1,000. */
  readonly batchSize?: number;
  /** What to do about drift of our values (`ours`, default `repair`) and of others (`foreign`, default `report`). */
  readonly drift?: { readonly ours?: DriftPolicy; readonly foreign?: DriftPolicy; readonly everyMs?: number };
  /** Named functions of the metadata by which {@link Scheduler.lookup} finds keys. */
  readonly indexes?: Readonly<Record<string, MetadataIndex<M>>>;
  /** Typical values, for the static check of a descriptor set ({@link checkDescriptors}). */
  readonly examples?: readonly KeyValue<V>[];

  /** Says what is wrong with a value that has the right structure. An empty answer is a valid value. */
  validate?(key: string, value: V): Iterable<InvalidField>;
  /** Are both the same configuration? Default: deep equality. */
  equal?(key: string, a: V, b: V): boolean;
  /** Values that follow from this one; each lives in a key space of its own, or is a bare property without descriptor. */
  derive?(key: string, value: V): Iterable<KeyValue>;
  /** What must exist for this value to exist; all of them. */
  dependencies?(key: string, value: V): Iterable<Selector>;
  /** Whether trying again could help after this error; default yes. */
  retriable?(error: Error): boolean;

  /** Makes the value exist. Returns its metadata. */
  create?(request: CreateRequest<V>, call: Call): Awaitable<M>;
  /** As `create`, many at once: one outcome per request, in their order. Preferred when both are there. */
  createBatch?(requests: readonly CreateRequest<V>[], call: Call): Awaitable<readonly BatchOutcome<M>[]>;
  /** Changes it in place. Returns its metadata. Without it a change is a removal and a creation. */
  update?(request: UpdateRequest<V, M>, call: Call): Awaitable<M>;
  updateBatch?(requests: readonly UpdateRequest<V, M>[], call: Call): Awaitable<readonly BatchOutcome<M>[]>;
  /** This particular change cannot be done in place. */
  recreate?(key: string, previous: V, value: V): boolean;
  /**
   * Makes the value not exist. Where there is no `retrieve` it must succeed when there is nothing to remove: it is how the
   * scheduler gets back to a known state after a failure.
   */
  remove?(request: RemoveRequest<V, M>, call: Call): Awaitable<void>;
  removeBatch?(requests: readonly RemoveRequest<V, M>[], call: Call): Awaitable<readonly BatchOutcome<void>[]>;
  /**
   * What the southbound holds of this key space. Derived values whose descriptor has no `retrieve` are taken from the value
   * retrieved for their parent.
   */
  retrieve?(
    request: RetrieveRequest<V>,
    call: Call,
  ): Awaitable<Iterable<Retrieved<V, M>> | AsyncIterable<Retrieved<V, M>>>;
}

/** A prefix and, where that is not enough, a test. */
export interface KeySpace {
  readonly prefix: string;
  /** A pure function of the key; default: every key with the prefix. */
  match?(key: string): boolean;
}

/** Gives the term under which a value's metadata is found, or undefined for none. */
export type MetadataIndex<M> = {
  // A method, so that descriptors with metadata of their own go where descriptors of any are wanted.
  term(metadata: M, key: string): string | number | undefined;
}['term'];

/** The prefix of a descriptor's key space. */
export function prefixOf(keys: string | KeySpace): string {
  return typeof keys === 'string' ? keys : keys.prefix;
}

/** Whether a key lies in a key space. */
export function inKeySpace(keys: string | KeySpace, key: string): boolean {
  if (typeof keys === 'string') return key.startsWith(keys);
  return key.startsWith(keys.prefix) && (keys.match?.(key) ?? true);
}
