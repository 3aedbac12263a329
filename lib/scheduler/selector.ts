// What a dependency points at. Identity is the canonical text, so a dependency is named by what it means:
//
//   'interface/tap0'                           interface/tap0            that key
//   { prefix: 'interface/' }                   interface/*               any key with the prefix
//   { prefix: 'if/', where, text: 'is up' }    if/* (is up)              any of them for which where(key) holds
//   { anyOf: [a, b] }                          any of (a | b)
//   { allOf: [a, b] }                          all of (a & b)
//
// Invariant: a predicate is a pure function of the key, and two predicates with the same prefix and text are the same.

import { DescriptorError } from '../errors.js';

/** Any existing key with a prefix, and if `where` is given, for which it holds. */
export interface PrefixSelector {
  readonly prefix: string;
  /** Pure function of the key. */
  readonly where?: (key: string) => boolean;
  /** Names the predicate; required with `where`, because functions have no identity of their own. */
  readonly text?: string;
}

/** What a dependency points at: a key, or a description of keys. */
export type Selector =
  string | PrefixSelector | { readonly anyOf: readonly Selector[] } | { readonly allOf: readonly Selector[] };

/** The canonical text of a selector: its identity, and what people are shown. */
export function selectorText(selector: Selector): string {
  if (typeof selector === 'string') return selector;
  if ('anyOf' in selector) return `any of (${selector.anyOf.map(selectorText).join(' | ')})`;
  if ('allOf' in selector) return `all of (${selector.allOf.map(selectorText).join(' & ')})`;
  if (selector.where === undefined) return `${selector.prefix}*`;
  if (selector.text === undefined || selector.text === '') {
    throw new DescriptorError(
      'ERR_SCHEDULER_DESCRIPTOR',
      `naming a dependency: the selector on ${selector.prefix}* has a predicate but no text; give it one, it is its identity`,
    );
  }
  return `${selector.prefix}* (${selector.text})`;
}

/** Whether a key is one the selector speaks of (for `allOf`: one of its parts does). */
export function selects(selector: Selector, key: string): boolean {
  if (typeof selector === 'string') return selector === key;
  if ('anyOf' in selector) return selector.anyOf.some((part) => selects(part, key));
  if ('allOf' in selector) return selector.allOf.some((part) => selects(part, key));
  return key.startsWith(selector.prefix) && (selector.where?.(key) ?? true);
}

/** Whether a selector is satisfied when exactly the keys for which `exists` holds are there; `keys` enumerates them. */
export function satisfied(selector: Selector, keys: () => Iterable<string>): boolean {
  if (typeof selector !== 'string') {
    if ('anyOf' in selector) return selector.anyOf.some((part) => satisfied(part, keys));
    if ('allOf' in selector) return selector.allOf.every((part) => satisfied(part, keys));
  }
  for (const key of keys()) if (selects(selector, key)) return true;
  return false;
}
