// A list that grows in pieces: what is in it stays where it is, so that a list of a million is never copied into a bigger
// one, and while it grows the garbage collector looks at the newest piece and not at all of it.
//
//   full   [ 0 … 4095 ]  [ 4096 … 8191 ]     last   [ 8192 … ]
//
// Most lists are short and have the last piece alone. Invariant: every full piece has exactly `piece` items.

const bits = 12;
const piece = 1 << bits;

/** A list of things, appended to and read by index. */
export class Column<T> {
  #length = 0;
  #last: T[] = [];
  #full: T[][] | undefined = undefined;

  get length(): number {
    return this.#length;
  }

  push(item: T): void {
    const at = this.#length & (piece - 1);
    if (at === 0 && this.#length > 0) this.#begin();
    this.#last[at] = item;
    this.#length += 1;
  }

  #begin(): void {
    (this.#full ??= []).push(this.#last);
    this.#last = new Array<T>(piece);
  }

  /** What is at an index below the length. */
  at(index: number): T {
    return this.#pieceOf(index)[index & (piece - 1)]!;
  }

  /** Replaces what is at an index below the length. */
  set(index: number, item: T): void {
    this.#pieceOf(index)[index & (piece - 1)] = item;
  }

  #pieceOf(index: number): T[] {
    const full = this.#full;
    if (full === undefined) return this.#last;
    const at = index >>> bits;
    return at === full.length ? this.#last : full[at]!;
  }
}
