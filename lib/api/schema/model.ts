// The schema model: what a VPP release says about its messages, as plain data. One model serves all sources: the
// bundled releases, folders of `.api.json` files, and what a running VPP answers to get_api_json.
//
//   message ─ fields ─┬─ base type      u8 i8 u16 i16 u32 i32 u64 i64 f64 bool string
//                     └─ user type ──── struct | union | enum | flags | alias      (by bare name: `fib_path`)
//
// Invariant: names of types are bare (the wire name is `vl_api_<name>_t`), defaults have the type of their field,
// and a definition carries the scope in which its user types are looked up, for two releases may disagree on them.

/** The types that need no definition. `string` is always an array of characters, fixed or with a u32 length. */
export const baseTypes = ['u8', 'i8', 'u16', 'i16', 'u32', 'i32', 'u64', 'i64', 'f64', 'bool', 'string'] as const;

/** The name of a base type. */
export type BaseType = (typeof baseTypes)[number];

/** A value that a field has when it is omitted. */
export type DefaultValue = number | bigint | boolean | string;

/** One field of a message or struct, or one arm of a union. */
export interface FieldDef {
  readonly name: string;
  /** A base type, or the bare name of a user type. */
  readonly type: string;
  /**
   * Absent: one value. `N`: exactly N elements (for `string`: N bytes, padded with NUL).
   * `0`: a variable number, counted by `lengthField`; for `string`, by a u32 in front of the bytes.
   */
  readonly length?: number;
  /** The earlier field that counts the elements of a variable array. */
  readonly lengthField?: string;
  readonly default?: DefaultValue;
  /** For a field that is a union: the sibling whose value chooses the arm (26.06 and later say so). */
  readonly discriminator?: string;
  /** For an arm of a union: the enum member that chooses it. */
  readonly case?: string;
}

/** Looks up user types by bare name. */
export type TypeScope = (name: string) => TypeDef | undefined;

/** One message. */
export interface MessageDef {
  readonly name: string;
  /** The checksum in the form of VPP's message table with `0x` in front, e.g. `0x51077d14`. */
  readonly crc: string;
  /** The api file it is from, e.g. `interface`. */
  readonly module: string;
  readonly fields: readonly FieldDef[];
  /** `deprecated`, `in_progress`, `status`, `replaced_by`: a value, or null when the word alone stands there. */
  readonly options: Readonly<Record<string, string | null>>;
  /** Where its user types are defined. */
  readonly scope: TypeScope;
}

export interface StructDef {
  readonly kind: 'struct';
  readonly name: string;
  readonly fields: readonly FieldDef[];
}

export interface UnionDef {
  readonly kind: 'union';
  readonly name: string;
  readonly arms: readonly FieldDef[];
}

/** An enum, or (`flags`) an enum whose members are bits. */
export interface EnumDef {
  readonly kind: 'enum' | 'flags';
  readonly name: string;
  readonly base: IntegerType;
  readonly members: readonly (readonly [name: string, value: number])[];
}

export interface AliasDef {
  readonly kind: 'alias';
  readonly name: string;
  readonly type: string;
  readonly length?: number;
}

/** A user type. */
export type TypeDef = StructDef | UnionDef | EnumDef | AliasDef;

/** The integer types an enum can have. */
export type IntegerType = 'u8' | 'i8' | 'u16' | 'i16' | 'u32' | 'i32';

/** What answers a request. */
export interface ServiceDef {
  readonly request: string;
  /** The name of the reply (for a dump: of its details); null when VPP does not answer. */
  readonly reply: string | null;
  /** True when the answer is a sequence. */
  readonly stream: boolean;
  /** Set for a stream that `reply` (with a cursor) ends: the name of the messages before it. */
  readonly streamMessage?: string;
  /** The events that this request switches on. */
  readonly events: readonly string[];
}

/** One api file. */
export interface ModuleDef {
  readonly name: string;
  /** The version that its options give, `''` when they give none. */
  readonly version: string;
  /** The checksum of the file, e.g. `0xb197c551`. */
  readonly crc: string;
}

/** The names of the fields that make up the header of a message. */
export const headerFields: ReadonlySet<string> = new Set(['_vl_msg_id', 'client_index', 'context']);

/** Tells whether a field of a message belongs to its header, which the connection fills in and reads. */
export function isHeaderField(field: FieldDef): boolean {
  return (
    headerFields.has(field.name) && field.length === undefined && (field.type === 'u32' || field.name === '_vl_msg_id')
  );
}
