// Type-length-value options as IPv4, TCP and Neighbor Discovery have them.
//
//   IPv4, TCP   | type | length | data … |      length counts all, in bytes; type 0 ends the list, type 1 is alone
//   ND          | type | length | data … |      length counts all, in units of 8 bytes
//
// The walk is bounded by the bytes it was given: each step moves on by at least one byte, a length that is 0 or leads
// past the end stops it and sets `malformed`.

import { NOTHING } from './bytes.js';

/** Walks options without allocating: `at`, then `next` until it is false. */
export class OptionWalk {
  bytes: Uint8Array = NOTHING;
  /** Type of the current option. */
  type = 0;
  /** Where the current option starts (its type byte). */
  offset = 0;
  /** Length of the current option with its type and length bytes. */
  length = 0;
  /** Whether the walk stopped because an option does not fit. */
  malformed = false;
  #at = 0;
  #end = 0;
  #unit = 1;

  /** Points the walk at a list of options; `unit` is 1 for IPv4 and TCP, 8 for Neighbor Discovery. */
  at(bytes: Uint8Array, offset: number, length: number, unit: 1 | 8 = 1): this {
    this.bytes = bytes;
    this.#at = Math.max(offset, 0);
    this.#end = Math.min(offset + length, bytes.length);
    this.#unit = unit;
    this.type = 0;
    this.offset = this.#at;
    this.length = 0;
    this.malformed = false;
    return this;
  }

  /** Moves to the next option; false at the end of the list. */
  next(): boolean {
    const at = this.#at;
    const left = this.#end - at;
    if (left <= 0) return false;
    const type = this.bytes[at]!;
    let length = 1;
    if (this.#unit === 8 || type > 1) {
      length = left < 2 ? 0 : this.bytes[at + 1]! * this.#unit;
      if (length < 2 || length > left) {
        this.malformed = true;
        this.#at = this.#end;
        return false;
      }
    } else if (type === 0) {
      this.#at = this.#end;
      return false;
    }
    this.type = type;
    this.offset = at;
    this.length = length;
    this.#at = at + length;
    return true;
  }
}
