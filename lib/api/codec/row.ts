// Rows: a struct seen through its bytes. A field is decoded when it is read; nested structs are rows again.
//
//   bytes ──────────┬────────┬──────┬────────┐
//                 start    +offset of a field  end         row.prefix → decoded now
//
// Invariant: the bounds have been checked when the row was made, so reading a field never fails. A row keeps its bytes
// alive and shows what they hold now: it is for looking at a message while it is at hand; toObject() is for keeping.

export const bytesOf: unique symbol = Symbol('bytes');
export const startOf: unique symbol = Symbol('start');
export const endOf: unique symbol = Symbol('end');
export const tagOf: unique symbol = Symbol('tag');

/** A lazily decoded struct. Its fields are getters of the class made for that struct. */
export abstract class Row {
  [bytesOf]: Uint8Array;
  [startOf]: number;
  [endOf]: number;
  [tagOf]: number;

  constructor(bytes: Uint8Array, start: number, end: number, tag: number) {
    this[bytesOf] = bytes;
    this[startOf] = start;
    this[endOf] = end;
    this[tagOf] = tag;
  }

  /** Every field decoded, as decode() gives it. */
  abstract toObject(): Record<string, unknown>;

  toJSON(): Record<string, unknown> {
    return this.toObject();
  }

  [Symbol.for('nodejs.util.inspect.custom')](): Record<string, unknown> {
    return this.toObject();
  }
}
