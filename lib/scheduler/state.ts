// The states of a value, and why it is in one.
//
//   desired, but not there:   pending (a dependency is unmet) · invalid (a field is wrong) · unimplemented (no descriptor)
//                             failed / retrying (the last operation failed) · missing (it was there, the southbound lost it)
//   there:                    configured (as desired) · discovered (bears our mark, not desired) · obtained (not ours)
//   neither:                  removed (told once to watchers) · nonexistent
//
// Invariant: only configured, discovered and obtained values, and values whose last change failed but which retrieve still
// finds, count for those that depend on them.

import type { InvalidField } from './descriptor.js';

/** In the order of their internal numbers. */
export const valueStates = [
  'nonexistent',
  'missing',
  'unimplemented',
  'removed',
  'configured',
  'obtained',
  'discovered',
  'pending',
  'invalid',
  'failed',
  'retrying',
] as const;

/** Where a value is. */
export type ValueState = (typeof valueStates)[number];

/** The number of a state in `valueStates`. */
export const State = {
  nonexistent: 0,
  missing: 1,
  unimplemented: 2,
  removed: 3,
  configured: 4,
  obtained: 5,
  discovered: 6,
  pending: 7,
  invalid: 8,
  failed: 9,
  retrying: 10,
} as const;

/** What the scheduler last did, or tried, with a value. */
export type OperationKind = 'create' | 'update' | 'delete' | 'validate' | 'retrieve' | 'none';

/** Why a value is not (or not quite) as desired. */
export type Reason =
  | { readonly kind: 'unmet'; readonly dependencies: readonly string[] }
  | { readonly kind: 'parent'; readonly parent: string }
  | { readonly kind: 'invalid'; readonly fields: readonly InvalidField[] }
  | { readonly kind: 'no-descriptor' }
  | {
      readonly kind: 'error';
      readonly operation: OperationKind;
      readonly code: string | undefined;
      readonly message: string;
      /** How many times it was tried. */
      readonly attempts: number;
      /** When it is tried again, in milliseconds since 1970; undefined: not by itself. */
      readonly nextTryMs: number | undefined;
    }
  | { readonly kind: 'held'; readonly by: readonly string[] }
  | { readonly kind: 'uncertain' }
  | { readonly kind: 'drift'; readonly difference: 'changed' | 'missing' };

/** Where one value is, and why. */
export interface ValueStatus {
  readonly key: string;
  readonly state: ValueState;
  readonly descriptor: string | undefined;
  /** The key it is derived from. */
  readonly derivedFrom: string | undefined;
  /** The transaction that last changed its state. */
  readonly seq: number;
  readonly reasons: readonly Reason[];
}
