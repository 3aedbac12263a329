// What differs between two definitions of a message, field by field and down into the types they use; and between two
// schemas. This is what an error about an unknown checksum is made of, and `node-vpp schema diff`.
//
//   kind                    on the wire?          kind                    on the wire?
//   field-added             yes                   enum-member-added       no
//   field-removed           yes                   enum-member-removed     no
//   field-renamed           no                    enum-value-changed      yes
//   field-moved             yes                   enum-width-changed      yes (not in the checksum)
//   type-changed            yes                   union-changed           yes
//   length-changed          yes                   options-changed         no  (not in the checksum)
//   default-changed         no  (not in the checksum)      service-changed    no  (not in the checksum)
//   crc                     unknown: the checksums differ and nothing else does
//
// Invariant: an empty list means that either definition encodes and decodes the other's messages.

import type { EnumDef, FieldDef, MessageDef, ServiceDef, StructDef, TypeDef, UnionDef } from './model.js';
import type { Schema } from './schema.js';

/** The kinds of difference between two definitions of one message. */
export const differenceKinds = [
  'field-added',
  'field-removed',
  'field-renamed',
  'field-moved',
  'type-changed',
  'length-changed',
  'default-changed',
  'enum-member-added',
  'enum-member-removed',
  'enum-value-changed',
  'enum-width-changed',
  'union-changed',
  'options-changed',
  'service-changed',
  'crc',
] as const;

export type DifferenceKind = (typeof differenceKinds)[number];

/** One difference. */
export interface Difference {
  readonly kind: DifferenceKind;
  /** Where: a field (`route.paths.weight`), a member of its enum behind it (`flags:IF_STATUS_API_FLAG_LINK_UP`), or ''. */
  readonly path: string;
  /** What the first definition says, as text; '' when it says nothing. */
  readonly before: string;
  readonly after: string;
  /** Whether bytes written by one are misread by the other. */
  readonly wire: boolean;
}

const silent: ReadonlySet<DifferenceKind> = new Set([
  'field-renamed',
  'default-changed',
  'enum-member-added',
  'enum-member-removed',
  'options-changed',
  'service-changed',
]);

function shapeText(field: FieldDef): string {
  if (field.length === undefined) return 'one';
  if (field.lengthField !== undefined) return `[${field.lengthField}]`;
  return field.length === 0 ? '[]' : `[${field.length}]`;
}

function fieldText(field: FieldDef): string {
  return `${field.type} ${field.name}${field.length === undefined ? '' : shapeText(field)}`;
}

class Comparison {
  readonly found: Difference[] = [];
  readonly #a: MessageDef;
  readonly #b: MessageDef;

  constructor(a: MessageDef, b: MessageDef) {
    this.#a = a;
    this.#b = b;
  }

  add(kind: DifferenceKind, path: string, before: unknown, after: unknown): void {
    const text = (value: unknown): string =>
      value === undefined
        ? ''
        : typeof value === 'string'
          ? value
          : typeof value === 'bigint'
            ? String(value)
            : JSON.stringify(value);
    this.found.push({ kind, path, before: text(before), after: text(after), wire: !silent.has(kind) });
  }

  /** Compares two lists of fields: those with one name with each other, then what is left by position and type. */
  fields(a: readonly FieldDef[], b: readonly FieldDef[], path: string, open: readonly string[]): void {
    const inside = (name: string): string => (path === '' ? name : `${path}.${name}`);
    const bByName = new Map(b.map((field) => [field.name, field]));
    const aByName = new Map(a.map((field) => [field.name, field]));
    const gone = new Set(a.filter((field) => !bByName.has(field.name)));
    const come = new Set(b.filter((field) => !aByName.has(field.name)));
    for (const field of gone) {
      const place = a.indexOf(field);
      const other = b[place];
      if (other === undefined || !come.has(other) || other.type !== field.type || shapeText(other) !== shapeText(field))
        continue;
      this.add('field-renamed', inside(field.name), field.name, other.name);
      gone.delete(field);
      come.delete(other);
      this.#field(field, other, inside(field.name), open);
    }
    for (const field of gone) this.add('field-removed', inside(field.name), fieldText(field), undefined);
    for (const field of come) this.add('field-added', inside(field.name), undefined, fieldText(field));
    const order = (list: readonly FieldDef[], other: ReadonlyMap<string, FieldDef>): string[] =>
      list.filter((field) => other.has(field.name)).map((field) => field.name);
    const orderA = order(a, bByName);
    const orderB = order(b, aByName);
    for (const [place, name] of orderA.entries()) {
      if (orderB[place] !== name)
        this.add('field-moved', inside(name), `place ${place}`, `place ${orderB.indexOf(name)}`);
    }
    for (const field of a) {
      const other = bByName.get(field.name);
      if (other !== undefined) this.#field(field, other, inside(field.name), open);
    }
  }

  #field(a: FieldDef, b: FieldDef, path: string, open: readonly string[]): void {
    if (shapeText(a) !== shapeText(b)) this.add('length-changed', path, shapeText(a), shapeText(b));
    if (a.default !== b.default) this.add('default-changed', path, a.default, b.default);
    if (a.discriminator !== b.discriminator && a.discriminator !== undefined && b.discriminator !== undefined) {
      this.add('union-changed', path, `chosen by ${a.discriminator}`, `chosen by ${b.discriminator}`);
    }
    this.#types(a.type, b.type, path, open);
  }

  #types(a: string, b: string, path: string, open: readonly string[]): void {
    if (open.includes(a)) return;
    const before = this.#a.scope(a);
    const after = this.#b.scope(b);
    if (before === undefined || before.kind !== after?.kind) {
      if (a !== b || before?.kind !== after?.kind)
        this.add('type-changed', path, typeText(a, before), typeText(b, after));
      return;
    }
    if (a !== b && before.kind !== 'alias') this.add('type-changed', path, a, b);
    const now = [...open, a];
    switch (before.kind) {
      case 'struct':
        this.fields(before.fields, (after as StructDef).fields, path, now);
        return;
      case 'union':
        this.#union(before, after as UnionDef, path, now);
        return;
      case 'alias': {
        const [one, two] = [typeText(a, before), typeText(b, after)];
        if (one !== two) this.add('type-changed', path, one, two);
        else this.#types(before.type, before.type, path, now);
        return;
      }
      case 'enum':
      case 'flags':
        this.#enum(before, after as EnumDef, path);
    }
  }

  #union(a: UnionDef, b: UnionDef, path: string, open: readonly string[]): void {
    const armText = (arms: readonly FieldDef[]): string => arms.map(fieldText).join(', ');
    if (armText(a.arms) !== armText(b.arms)) {
      this.add('union-changed', path, armText(a.arms), armText(b.arms));
      return;
    }
    for (const [index, arm] of a.arms.entries()) {
      const other = b.arms[index]!;
      // 26.06 began to say which member means which arm; a schema that says nothing means the same.
      if (arm.case !== other.case && arm.case !== undefined && other.case !== undefined) {
        this.add('union-changed', `${path}.${arm.name}`, `for ${arm.case}`, `for ${other.case}`);
      }
      this.#types(arm.type, other.type, `${path}.${arm.name}`, open);
    }
  }

  #enum(a: EnumDef, b: EnumDef, path: string): void {
    if (a.base !== b.base) this.add('enum-width-changed', path, a.base, b.base);
    const before = new Map(a.members);
    const after = new Map(b.members);
    for (const [name, value] of before) {
      const now = after.get(name);
      if (now === undefined) this.add('enum-member-removed', `${path}:${name}`, value, undefined);
      else if (now !== value) this.add('enum-value-changed', `${path}:${name}`, value, now);
    }
    for (const [name, value] of after) {
      if (!before.has(name)) this.add('enum-member-added', `${path}:${name}`, undefined, value);
    }
  }
}

function typeText(name: string, def: TypeDef | undefined): string {
  if (def?.kind !== 'alias') return name;
  return `${name} (${def.type}${def.length === undefined ? '' : `[${def.length}]`})`;
}

function serviceText(service: ServiceDef | undefined): string {
  if (service === undefined) return 'no request';
  const { reply, stream, streamMessage, events } = service;
  const kind = streamMessage !== undefined ? `${streamMessage}s, then ` : stream ? 'a stream of ' : '';
  return `${kind}${reply ?? 'nothing'}${events.length === 0 ? '' : `, events ${events.join(', ')}`}`;
}

/**
 * Says in what two definitions of a message differ, and which of it changes the bytes.
 *
 * @param services - what answers the request on either side, to be compared as well
 * @returns the differences, none when either definition serves for both
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { explainDifference, loadBundled } from 'node-vpp/api/schema';
 * const before = loadBundled('25.10').message('ikev2_profile_details')!;
 * const after = loadBundled('26.06').message('ikev2_profile_details')!;
 * const [first] = explainDifference(before, after);
 * assert.equal(first?.kind, 'field-added');
 * assert.equal(first?.path, 'profile.ike_ts.prf_alg');
 * ```
 */
export function explainDifference(
  a: MessageDef,
  b: MessageDef,
  services?: readonly [a: ServiceDef | undefined, b: ServiceDef | undefined],
): Difference[] {
  const comparison = new Comparison(a, b);
  comparison.fields(a.fields, b.fields, '', []);
  const optionNames = new Set([...Object.keys(a.options), ...Object.keys(b.options)]);
  for (const name of optionNames) {
    // A help text is no fact about the message.
    if (name === 'vat_help' || a.options[name] === b.options[name]) continue;
    comparison.add('options-changed', name, optionText(a, name), optionText(b, name));
  }
  if (services !== undefined && serviceText(services[0]) !== serviceText(services[1])) {
    comparison.add('service-changed', '', serviceText(services[0]), serviceText(services[1]));
  }
  const explained = comparison.found.some(({ kind }) => !uncovered.has(kind));
  if (a.crc !== b.crc && !explained) comparison.add('crc', '', a.crc, b.crc);
  return comparison.found;
}

/** Kinds that leave the checksum as it is. */
const uncovered: ReadonlySet<DifferenceKind> = new Set([
  'default-changed',
  'options-changed',
  'service-changed',
  'enum-width-changed',
]);

function optionText(def: MessageDef, name: string): string | undefined {
  return Object.hasOwn(def.options, name) ? (def.options[name] ?? 'set') : undefined;
}

/** What differs between two schemas. */
export interface SchemaDifference {
  readonly removed: readonly string[];
  readonly added: readonly string[];
  readonly changed: readonly { readonly message: string; readonly differences: readonly Difference[] }[];
}

/** Compares every message of two schemas. */
export function diffSchemas(a: Schema, b: Schema): SchemaDifference {
  const changed: { message: string; differences: Difference[] }[] = [];
  const removed: string[] = [];
  for (const name of a.messageNames()) {
    const before = a.message(name);
    const after = b.message(name);
    if (before === undefined) continue;
    if (after === undefined) {
      removed.push(name);
      continue;
    }
    const differences = explainDifference(before, after, [a.service(name), b.service(name)]);
    if (differences.length > 0) changed.push({ message: name, differences });
  }
  return { removed, added: [...b.messageNames()].filter((name) => !a.has(name)), changed };
}

/** A difference as one line for people. */
export function differenceText({ kind, path, before, after, wire }: Difference): string {
  const change = before === '' ? `now ${after}` : after === '' ? `was ${before}` : `${before} → ${after}`;
  return `${kind}${path === '' ? '' : ` ${path}`}: ${change}${wire ? '' : ' (same bytes)'}`;
}
