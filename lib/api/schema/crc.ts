// The checksum of a message, recomputed from its definition: CRC-32 of the field list without _vl_msg_id, printed as
// Python prints a list, and folded over the user types the fields name, depth first.
//
//   [['u32', 'client_index'], ['u32', 'context'], ['vl_api_mac_address_t', 'mac'], ['u8', 'data', 0, 'len']]
//     then for each user type: struct and union their field lists, enum its members, alias []
//
// Not covered, so that two messages with one checksum may differ in it: options, defaults, the width of an enum, what
// an alias stands for. Not reproducible: messages that reach an enum with members marked backwards_compatible, which
// VPP leaves out of the checksum without saying so in the schema (28 of 2,093 messages in 26.06).

import { baseTypes, type FieldDef, type MessageDef, type TypeScope } from './model.js';

const base: ReadonlySet<string> = new Set(baseTypes);
let table: Uint32Array | undefined;

function crc32(text: string, start: number): number {
  table ??= Uint32Array.from({ length: 256 }, (_, index) => {
    let value = index;
    for (let bit = 0; bit < 8; bit++) value = (value >>> 1) ^ (value & 1 ? 0xedb88320 : 0);
    return value >>> 0;
  });
  let crc = ~start;
  for (let at = 0; at < text.length; at++) crc = (crc >>> 8) ^ table[(crc ^ text.charCodeAt(at)) & 0xff]!;
  return ~crc >>> 0;
}

function wireType(type: string): string {
  return base.has(type) ? type : `vl_api_${type}_t`;
}

function fieldText(field: FieldDef): string {
  const start = `['${wireType(field.type)}', '${field.name}'`;
  if (field.length === undefined) return `${start}]`;
  return `${start}, ${field.length}, ${field.lengthField === undefined ? 'None' : `'${field.lengthField}'`}]`;
}

const listText = (items: readonly string[]): string => `[${items.join(', ')}]`;

function fold(fields: readonly FieldDef[], scope: TypeScope, start: number, depth: number): number {
  let crc = start;
  for (const field of fields) {
    const type = base.has(field.type) || depth > 32 ? undefined : scope(field.type);
    if (type === undefined) continue;
    if (type.kind === 'alias') {
      crc = crc32('[]', crc);
    } else if ('members' in type) {
      crc = crc32(listText(type.members.map(([name, value]) => `['${name}', ${value}]`)), crc);
    } else {
      const inner = type.kind === 'union' ? type.arms : type.fields;
      crc = fold(inner, scope, crc32(listText(inner.map(fieldText)), crc), depth + 1);
    }
  }
  return crc;
}

/**
 * The checksum of a message as VPP's build would give it, e.g. `0x51077d14`. It differs from `def.crc` for the few
 * messages that reach an enum with backwards-compatible members.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { computeCrc, loadBundled } from 'node-vpp/api/schema';
 * assert.equal(computeCrc(loadBundled('26.06').message('control_ping')!), '0x51077d14');
 * ```
 */
export function computeCrc(def: MessageDef): string {
  const fields = def.fields.filter((field) => field.name !== '_vl_msg_id');
  const crc = fold(fields, def.scope, crc32(listText(fields.map(fieldText)), 0), 0);
  return `0x${crc.toString(16).padStart(8, '0')}`;
}
