// Keeps secrets out of everything people see: history, plans, dumps, exports, journal listings, errors.
//
//   redact(schema, { name: 'a', key: 'hunter2' })       { name: 'a', key: '[redacted]' }
//   scrub(schema, value, 'bad key hunter2')             'bad key [redacted]'
//
// Invariant: a value leaves the scheduler redacted, unless it goes to its own descriptor, to the journal (a file only its
// owner may read), or to a caller who asked for secrets by name.

import { hasSecrets, type Schema } from './schema.js';

/** What is shown in place of a secret. */
export const redacted = '[redacted]';

/** A copy of a value in which every secret field reads `[redacted]`; the value itself where there is none. */
export function redact(schema: Schema | undefined, value: unknown): unknown {
  if (schema === undefined || value === undefined || value === null || !hasSecrets(schema)) return value;
  return copy(schema, value);
}

function copy(schema: Schema, value: unknown): unknown {
  if (schema.secret === true) return redacted;
  const options = schema.anyOf?.filter(hasSecrets);
  let shown = value;
  for (const option of options ?? []) shown = copy(option, shown);
  if (Array.isArray(shown)) {
    const items = schema.items;
    return items === undefined ? shown : shown.map((item) => copy(items, item));
  }
  if (typeof shown !== 'object' || shown === null || shown instanceof Uint8Array) return shown;
  const result: Record<string, unknown> = {};
  for (const [name, field] of Object.entries(shown)) {
    const property = fieldSchema(schema, name);
    result[name] = property === undefined || field === undefined ? field : copy(property, field);
  }
  return result;
}

function fieldSchema(schema: Schema, name: string): Schema | undefined {
  if (schema.properties !== undefined && Object.hasOwn(schema.properties, name)) return schema.properties[name];
  return typeof schema.additionalProperties === 'object' ? schema.additionalProperties : undefined;
}

/** The texts under which the secrets of a value could turn up in a message. */
export function secretTexts(schema: Schema | undefined, value: unknown, found: string[] = []): string[] {
  if (schema === undefined || value === undefined || value === null) return found;
  if (schema.secret === true) {
    leaves(value, found);
    return found;
  }
  for (const option of schema.anyOf ?? []) secretTexts(option, value, found);
  if (Array.isArray(value)) {
    for (const item of value) secretTexts(schema.items, item, found);
  } else if (typeof value === 'object' && !(value instanceof Uint8Array)) {
    for (const [name, field] of Object.entries(value)) secretTexts(fieldSchema(schema, name), field, found);
  }
  return found;
}

function leaves(value: unknown, found: string[]): void {
  if (value instanceof Uint8Array) {
    const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
    found.push(bytes.toString('hex'), bytes.toString('base64'), bytes.toString('latin1'), [...bytes].join(','));
  } else if (typeof value === 'object' && value !== null) {
    for (const part of Object.values(value)) leaves(part, found);
  } else if (typeof value === 'string' || typeof value === 'number' || typeof value === 'bigint') {
    const text = String(value);
    found.push(text, JSON.stringify(text).slice(1, -1));
  }
}

/** A text with every secret of the given values blotted out. */
export function scrub(schema: Schema | undefined, values: readonly unknown[], text: string): string {
  if (!hasSecrets(schema)) return text;
  const secrets = new Set<string>();
  for (const value of values) for (const secret of secretTexts(schema, value)) if (secret !== '') secrets.add(secret);
  let shown = text;
  for (const secret of [...secrets].sort((a, b) => b.length - a.length)) shown = shown.replaceAll(secret, redacted);
  return shown;
}
