// Random values for every message of the binary API, in the very form in which decode() gives them, so that
// decode(encode(value)) has to be the same value. Made from the schema model, not from the codecs' plan: what is text,
// which field chooses the arm of a union and what is counted by what is said here a second time.

import fc, { type Arbitrary } from 'fast-check';
import type { EnumDef, FieldDef, MessageDef, TypeScope } from 'node-vpp/api';
import { formatIp, formatMac } from 'node-vpp/net';

type Fields = Record<string, unknown>;

const integers: Record<string, [number, number]> = {
  u8: [0, 0xff],
  i8: [-0x80, 0x7f],
  u16: [0, 0xffff],
  i16: [-0x8000, 0x7fff],
  u32: [0, 0xffffffff],
  i32: [-0x80000000, 0x7fffffff],
};

const bytes = (length: number): Arbitrary<Uint8Array> => fc.uint8Array({ minLength: length, maxLength: length });
const integer = ([min, max]: [number, number]): Arbitrary<number> => fc.integer({ min, max });
const ip4 = bytes(4).map((value) => formatIp(value));
const ip6 = bytes(16).map((value) => formatIp(value));
const hex = (value: Uint8Array): string => `0x${Buffer.from(value).toString('hex')}`;
const otherFamily = fc.tuple(fc.integer({ min: 2, max: 255 }), bytes(16)).map(([af, value]) => `af${af}:${hex(value)}`);
const prefix = (address: Arbitrary<string>, max: number): Arbitrary<string> =>
  fc.tuple(address, fc.integer({ min: 0, max })).map(([text, length]) => `${text}/${length}`);

/** Text without NUL of at most `size` bytes of UTF-8. */
function text(size: number): Arbitrary<string> {
  return fc.string({ unit: 'binary', maxLength: Math.min(size, 40) }).map((value) => {
    let kept = Buffer.from(value.replaceAll('\0', '')).toString();
    while (Buffer.byteLength(kept) > size) kept = kept.replace(/.$/su, '');
    return kept;
  });
}

/** The user types that are text. */
const textual: Record<string, Arbitrary<string>> = {
  ip4_address: ip4,
  ip6_address: ip6,
  mac_address: bytes(6).map((value) => formatMac(value)),
  address: fc.oneof(ip4, ip6, otherFamily),
  prefix: fc.oneof(prefix(ip4, 32), prefix(ip6, 128), prefix(otherFamily, 255)),
  ip4_prefix: prefix(ip4, 32),
  ip6_prefix: prefix(ip6, 128),
};

/** Which field chooses the arm, and the enum member of each arm, where only the C code of VPP says so. */
const tags: Record<string, [field: string, member: (arm: string) => string]> = {
  'flow_rule.flow': ['type', (arm) => `FLOW_TYPE_${arm.toUpperCase()}`],
  'flow_rule_v2.flow': ['type', (arm) => `FLOW_TYPE_${arm.toUpperCase()}_V2`],
  'eid.address': ['type', (arm) => `EID_TYPE_API_${arm.toUpperCase()}`],
  'punt.punt': ['type', (arm) => `PUNT_API_TYPE_${arm.toUpperCase()}`],
};

function one(type: string, scope: TypeScope): Arbitrary<unknown> {
  const range = integers[type];
  if (range !== undefined) return integer(range);
  if (type === 'bool') return fc.boolean();
  if (type === 'u64') return fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
  if (type === 'i64') return fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
  if (type === 'f64') return fc.double();
  const known = textual[type];
  if (known !== undefined) return known;
  const def = scope(type)!;
  switch (def.kind) {
    case 'enum':
    case 'flags':
      // Members, and values that this release does not know.
      return fc.oneof(fc.constantFrom(...def.members.map(([, value]) => value)), integer(integers[def.base]!));
    case 'alias':
      return shaped({ name: '', type: def.type, ...(def.length === undefined ? {} : { length: def.length }) }, scope);
    case 'struct':
      return struct(type, def.fields, scope);
    case 'union':
      // Read each way: the bytes decide, so the value is made of bytes by the caller.
      throw new Error(`the union ${type} needs its field`);
  }
}

function shaped(field: FieldDef, scope: TypeScope): Arbitrary<unknown> {
  const { type, length, lengthField } = field;
  if (type === 'string') return text(length === 0 ? 60 : length!);
  if (length === undefined) return one(type, scope);
  if (lengthField !== undefined)
    return type === 'u8' ? fc.uint8Array({ maxLength: 9 }) : fc.array(one(type, scope), { maxLength: 3 });
  return type === 'u8' ? bytes(length) : fc.array(one(type, scope), { minLength: length, maxLength: length });
}

/** The fields of a struct or message: first each for itself, then those that others decide. */
function struct(owner: string, fields: readonly FieldDef[], scope: TypeScope): Arbitrary<Fields> {
  const unions = fields.filter((field) => scope(field.type)?.kind === 'union');
  const plain = fields.filter((field) => !unions.includes(field));
  const base = fc
    .record(Object.fromEntries(plain.map((field) => [field.name, shaped(field, scope)])))
    .map((value: Fields) => {
      for (const { name, lengthField } of fields) {
        if (lengthField !== undefined) value[lengthField] = (value[name] as ArrayLike<unknown>).length;
      }
      return value;
    });
  const withUnions = unions.reduce<Arbitrary<Fields>>(
    (so, field) => so.chain((value) => union(owner, field, value, scope)),
    base,
  );
  return withUnions
    .chain((value) => (owner === 'fib_path' ? nextHop(value) : fc.constant(value)))
    .map((value) => inOrder(value, fields));
}

function inOrder(value: Fields, fields: readonly FieldDef[]): Fields {
  return Object.fromEntries(fields.map((field) => [field.name, value[field.name]]));
}

/** Adds a union to the fields made so far, by the field that chooses its arm. */
function union(owner: string, field: FieldDef, value: Fields, scope: TypeScope): Arbitrary<Fields> {
  const def = scope(field.type)!;
  if (def.kind !== 'union') throw new Error(`${field.type} is no union`);
  const add = (arm: Arbitrary<unknown>): Arbitrary<Fields> => arm.map((chosen) => ({ ...value, [field.name]: chosen }));
  if (owner === 'mprefix') return add(value.af === 0 ? ip4 : value.af === 1 ? ip6 : bytes(16).map(hex));
  // Set by nextHop(), which knows the protocol.
  if (owner === 'fib_path_nh') return add(fc.constant('::'));
  const tag = tags[`${owner}.${field.name}`];
  const from = field.discriminator ?? tag?.[0];
  if (from === undefined) {
    // No tag: every arm shows the same bytes. Only one such union exists, of three arms, and zeros are all alike.
    return add(
      fc.constant({ address: '0.0.0.0', prefix: '0.0.0.0/0', tuple: { address: '0.0.0.0', l4_proto: 0, port: 0 } }),
    );
  }
  const enumOf = scope(siblingType(owner, from, scope)) as EnumDef;
  const members = new Map(enumOf.members);
  const arm = def.arms.find((each) => members.get(each.case ?? tag![1](each.name)) === value[from]);
  if (arm === undefined) return add(bytes(unionSize(field.type, scope)).map((raw) => ({ bytes: raw })));
  return add(shaped(arm, scope).map((chosen) => ({ [arm.name]: chosen })));
}

function siblingType(owner: string, name: string, scope: TypeScope): string {
  const def = scope(owner);
  if (def?.kind !== 'struct') throw new Error(`${owner} is no struct`);
  return def.fields.find((field) => field.name === name)!.type;
}

/** The address of a path's next hop, as its protocol says. */
function nextHop(path: Fields): Arbitrary<Fields> {
  const address = path.proto === 0 ? ip4 : path.proto === 1 ? ip6 : bytes(16).map(hex);
  return address.map((chosen) => ({ ...path, nh: { ...(path.nh as Fields), address: chosen } }));
}

/** Bytes of a type of fixed size. */
function sizeOf(field: { type: string; length?: number }, scope: TypeScope): number {
  const each =
    { u8: 1, i8: 1, bool: 1, string: 1, u16: 2, i16: 2, u32: 4, i32: 4 }[field.type] ??
    (field.type.endsWith('64') ? 8 : userSize(field.type, scope));
  return each * (field.length ?? 1);
}

function userSize(type: string, scope: TypeScope): number {
  const def = scope(type)!;
  switch (def.kind) {
    case 'enum':
    case 'flags':
      return sizeOf({ type: def.base }, scope);
    case 'alias':
      return sizeOf(def, scope);
    case 'struct':
      return def.fields.reduce((sum, field) => sum + sizeOf(field, scope), 0);
    case 'union':
      return unionSize(type, scope);
  }
}

function unionSize(type: string, scope: TypeScope): number {
  const def = scope(type)!;
  return def.kind === 'union' ? Math.max(...def.arms.map((arm) => sizeOf(arm, scope))) : 0;
}

/** Random fields of a message, without its header. */
export function messageValues(def: MessageDef): Arbitrary<Fields> {
  const header = new Set(['_vl_msg_id', 'client_index', 'context']);
  return struct(
    def.name,
    def.fields.filter((field) => !header.has(field.name)),
    def.scope,
  );
}
