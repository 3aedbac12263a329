// The shape of a release's generated types, and the types that clients and servers derive from it.
//
//   Api ─┬─ encoded    message → the fields to give          (lenient: names of enums, omitted defaults, numbers for u64)
//        ├─ decoded    message → the fields received         (exact: every field is there)
//        ├─ requests   request → its reply                   one answer
//        ├─ dumps      request → its details                 a sequence
//        ├─ cursors    request → the reply that ends it      a sequence with a cursor (these are in dumps, too)
//        └─ events     event → the request that switches it on
//
// Generated files (26.06.ts, …, and what `node-vpp schema types` writes) export one interface `Api` of this shape.

/** What a file of generated types says about a VPP. A client is `connect<Api>(…)`. */
export interface ApiTypes {
  release: string;
  encoded: object;
  decoded: object;
  requests: object;
  dumps: object;
  cursors: object;
  events: object;
}

/** A number beside known ones: it does not swallow their names in completion. */
type UnknownNumber = number & Record<never, never>;

declare const other: unique symbol;
/**
 * A discriminator that this release has no name for. It is a number; `Number(value)` says so to the compiler, which
 * cannot tell any number from the known ones, and then would not narrow the union by them.
 */
export interface OtherNumber {
  readonly [other]: true;
  valueOf(): number;
  toString(): string;
}

/** Bytes that are to be sent: shorter than the field is filled up with zeros. */
export type BytesIn = Uint8Array | readonly number[] | `0x${string}`;
/** A 64-bit integer that is to be sent. */
export type BigIn = bigint | number;

/** The value of an enum: one of its members, or a number that this release does not know. */
export type EnumOut<Members> = Members[keyof Members] | UnknownNumber;
/** The value of an enum that is to be sent: a member's name, or its number. */
export type EnumIn<Members> = keyof Members | Members[keyof Members] | UnknownNumber;
/** A mask that is to be sent: a number, a member's name, or several names. */
export type FlagsIn<Members> = number | keyof Members | readonly (keyof Members)[];

/** Names of the messages of a release. */
export type MessageName<A extends ApiTypes> = keyof A['decoded'] & keyof A['encoded'] & string;
/** Names of the requests with one reply. */
export type RequestName<A extends ApiTypes> = keyof A['requests'] & keyof A['encoded'] & string;
/** Names of the requests answered by a sequence. */
export type DumpName<A extends ApiTypes> = keyof A['dumps'] & keyof A['encoded'] & string;
/** Names of the events. */
export type EventName<A extends ApiTypes> = keyof A['events'] & keyof A['decoded'] & string;

/** The fields to give for a message. */
export type FieldsOf<A extends ApiTypes, N extends keyof A['encoded']> = A['encoded'][N];
/** A received message. */
export type MessageOf<A extends ApiTypes, N extends keyof A['decoded']> = A['decoded'][N];
/** The reply to a request. */
export type ReplyOf<A extends ApiTypes, N extends keyof A['requests']> = A['requests'][N] extends keyof A['decoded']
  ? A['decoded'][A['requests'][N]]
  : never;
/** One message of the sequence that answers a request. */
export type DetailsOf<A extends ApiTypes, N extends keyof A['dumps']> = A['dumps'][N] extends keyof A['decoded']
  ? A['decoded'][A['dumps'][N]]
  : never;
/** The reply that ends a sequence with a cursor; undefined for one that control_ping ends. */
export type CursorOf<A extends ApiTypes, N> = N extends keyof A['cursors']
  ? A['cursors'][N] extends keyof A['decoded']
    ? A['decoded'][A['cursors'][N]]
    : undefined
  : undefined;
/** The fields argument: optional when every field is. */
export type FieldsArgument<A extends ApiTypes, N extends keyof A['encoded']> =
  Partial<A['encoded'][N]> extends A['encoded'][N] ? [fields?: A['encoded'][N]] : [fields: A['encoded'][N]];
