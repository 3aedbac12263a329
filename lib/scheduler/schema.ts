// The structure of a value, as the part of JSON Schema that configuration needs, plus `secret: true`.
//
//   { type: 'object', required: ['name'], properties: {
//       name: { type: 'string', pattern: '^[a-z]' },
//       key:  { type: 'string', secret: true } } }
//
// Invariant: `checkSchema` names every wrong field by its path and never repeats the value of a secret one.

import type { InvalidField } from './descriptor.js';

/** A JSON Schema of the supported keywords. An object with `properties` accepts no others unless it says so. */
export interface Schema {
  readonly type?: 'object' | 'array' | 'string' | 'number' | 'integer' | 'bigint' | 'boolean' | 'bytes' | 'null';
  readonly title?: string;
  readonly description?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  /** Whether (or as what) properties that are not listed are accepted; default: only where none is listed. */
  readonly additionalProperties?: boolean | Schema;
  readonly items?: Schema;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly enum?: readonly unknown[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  /** A regular expression the text must match somewhere. */
  readonly pattern?: string;
  /** At least one of these must fit. */
  readonly anyOf?: readonly Schema[];
  /** Never shown: in history, dumps, plans, errors, exports it reads `[redacted]`. */
  readonly secret?: boolean;
  readonly default?: unknown;
}

const patterns = new Map<string, RegExp>();

function patternOf(text: string): RegExp {
  let found = patterns.get(text);
  if (found === undefined) {
    found = new RegExp(text, 'u');
    patterns.set(text, found);
  }
  return found;
}

function typeOf(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  if (value instanceof Uint8Array) return 'bytes';
  if (Number.isInteger(value)) return 'integer';
  return typeof value;
}

function typeFits(wanted: string, value: unknown): boolean {
  const actual = typeOf(value);
  return actual === wanted || (wanted === 'number' && actual === 'integer');
}

/** Every field of a value that is not as its schema says, by path. */
export function checkSchema(schema: Schema, value: unknown): InvalidField[] {
  const wrong: InvalidField[] = [];
  check(schema, value, '', wrong);
  return wrong;
}

function check(schema: Schema, value: unknown, path: string, wrong: InvalidField[]): void {
  const say = (reason: string): void => void wrong.push({ path, reason });
  if (schema.type !== undefined && !typeFits(schema.type, value)) {
    say(`is ${typeOf(value)}, must be ${schema.type}`);
    return;
  }
  if (schema.enum !== undefined && !schema.enum.includes(value)) {
    say(`must be one of ${schema.secret ? 'the allowed values' : schema.enum.map(String).join(', ')}`);
  }
  if (schema.anyOf !== undefined && !schema.anyOf.some((option) => checkSchema(option, value).length === 0)) {
    say('fits none of the allowed forms');
  }
  if (typeof value === 'number' || typeof value === 'bigint') {
    if (schema.minimum !== undefined && value < schema.minimum) say(`must be at least ${schema.minimum}`);
    if (schema.maximum !== undefined && value > schema.maximum) say(`must be at most ${schema.maximum}`);
  } else if (typeof value === 'string' || value instanceof Uint8Array) {
    if (schema.minLength !== undefined && value.length < schema.minLength) say(`is shorter than ${schema.minLength}`);
    if (schema.maxLength !== undefined && value.length > schema.maxLength) say(`is longer than ${schema.maxLength}`);
    if (schema.pattern !== undefined && typeof value === 'string' && !patternOf(schema.pattern).test(value)) {
      say(`does not match ${schema.pattern}`);
    }
  } else if (Array.isArray(value)) {
    checkItems(schema, value, path, wrong);
  } else if (typeof value === 'object' && value !== null) {
    checkProperties(schema, value as Record<string, unknown>, path, wrong);
  }
}

function checkItems(schema: Schema, value: readonly unknown[], path: string, wrong: InvalidField[]): void {
  if (schema.minItems !== undefined && value.length < schema.minItems) {
    wrong.push({ path, reason: `has fewer than ${schema.minItems} items` });
  }
  if (schema.maxItems !== undefined && value.length > schema.maxItems) {
    wrong.push({ path, reason: `has more than ${schema.maxItems} items` });
  }
  if (schema.items === undefined) return;
  for (let i = 0; i < value.length; i += 1) check(schema.items, value[i], `${path}[${i}]`, wrong);
}

function checkProperties(schema: Schema, value: Record<string, unknown>, path: string, wrong: InvalidField[]): void {
  const below = (name: string): string => (path === '' ? name : `${path}.${name}`);
  for (const name of schema.required ?? []) {
    if (value[name] === undefined) wrong.push({ path: below(name), reason: 'is missing' });
  }
  const known = schema.properties;
  const others = schema.additionalProperties ?? known === undefined;
  for (const name of Object.keys(value)) {
    const field = value[name];
    if (field === undefined) continue;
    const property = known !== undefined && Object.hasOwn(known, name) ? known[name] : undefined;
    if (property !== undefined) check(property, field, below(name), wrong);
    else if (typeof others === 'object') check(others, field, below(name), wrong);
    else if (!others) wrong.push({ path: below(name), reason: 'is not a known field' });
  }
}

/** Whether anything under a schema is secret: lets the redaction of most values cost nothing. */
export function hasSecrets(schema: Schema | undefined): boolean {
  if (schema === undefined) return false;
  if (schema.secret === true) return true;
  if (schema.items !== undefined && hasSecrets(schema.items)) return true;
  if (typeof schema.additionalProperties === 'object' && hasSecrets(schema.additionalProperties)) return true;
  if (schema.anyOf?.some(hasSecrets) === true) return true;
  return Object.values(schema.properties ?? {}).some(hasSecrets);
}
