// The directory of a segment, read once per change of structure and kept: names, types, targets of symlinks.
//
// It is kept by epoch. One hazard remains, because VPP adds a symlink without lock and without a new epoch: it may appear
// behind the last entry, in an empty one, or move the directory. So `current` also compares place and length, and looks at
// the entries that were empty or new, which are few.

import type { EntryTypeName } from './layout.js';
import { EntryType } from './layout.js';
import type { SegmentLayout } from './header.js';
import { type SegmentMemory, corrupt } from './memory.js';
import { type Pattern, matcher, patternKey } from './patterns.js';

/** An entry, as `ls` gives it. */
export interface StatsEntry {
  readonly name: string;
  /** Its place in the directory; it may belong to another entry after the next change of structure. */
  readonly index: number;
  readonly type: EntryTypeName;
  /** Symlinks: the entry it is a column of, and which one. */
  readonly link?: { readonly name: string; readonly column: number };
}

/** Entries whose name matches some patterns. */
export interface Selection {
  readonly indices: readonly number[];
  /** What readers of this selection keep with it. */
  plan?: unknown;
}

/** No more selections than this are kept with a directory: patterns may be made up as they go. */
const maxSelections = 64;

/** One state of the directory. Does not change. */
export class Directory {
  readonly epoch: number;
  /** Where the entries begin. */
  readonly offset: number;
  readonly length: number;
  /** By index; empty entries have the name ''. */
  readonly names: readonly string[];
  /** By index: numbers of `EntryType`, whatever the layout's are; 255 is unknown, 254 an error index of old releases. */
  readonly types: Uint8Array;
  /** By index, symlinks only: target and column. */
  readonly targets: Uint32Array;
  readonly columns: Uint32Array;
  /** Entries that may change without a new epoch. */
  readonly unsettled: readonly number[];
  /** By index, those that `link` has made. */
  readonly links: ({ readonly name: string; readonly column: number } | undefined)[];
  #byName: Map<string, number> | undefined;
  readonly #selections = new Map<string, Selection>();

  /** Reads it, within `Access.read`. `before` lends the names that are still the same. */
  constructor(memory: SegmentMemory, layout: SegmentLayout, epoch: number, before: Directory | undefined) {
    const { offset, length } = placeOf(memory, layout);
    this.epoch = epoch;
    this.offset = offset;
    this.length = length;
    this.types = new Uint8Array(length);
    this.targets = new Uint32Array(length);
    this.columns = new Uint32Array(length);
    const names = new Array<string>(length).fill('');
    const unsettled: number[] = [];
    const codes = codesOf(layout);
    const { u32, bytes } = memory;
    const nameBytes = layout.entryBytes - layout.entryName;
    for (let index = 0; index < length; index++) {
      const at = offset + index * layout.entryBytes;
      const number = u32[at / 4]!;
      const code = number < codes.length ? codes[number]! : unknownType;
      this.types[index] = code;
      if (code === EntryType.empty || code === EntryType.illegal) {
        unsettled.push(index);
        continue;
      }
      if (before === undefined || index >= before.length) unsettled.push(index);
      const nameAt = at + layout.entryName;
      const known = before?.names[index];
      names[index] =
        known !== undefined && known !== '' && isText(bytes, nameAt, known) ? known : memory.text(nameAt, nameBytes);
      if (code === EntryType.symlink) {
        this.targets[index] = u32[at / 4 + 2]!;
        this.columns[index] = u32[at / 4 + 3]!;
      } else if (code === errorIndexType) this.columns[index] = u32[at / 4 + 2]!;
    }
    this.names = names;
    this.links = new Array<undefined>(length);
    // All of them are new to the first reader; only the last ones can still be under way.
    this.unsettled =
      before === undefined ? unsettled.filter((index) => names[index] === '' || index >= length - 64) : unsettled;
  }

  /** Whether the segment still has this directory. */
  current(memory: SegmentMemory, layout: SegmentLayout, epoch: number): boolean {
    if (epoch !== this.epoch) return false;
    const { offset, length } = placeOf(memory, layout);
    if (offset !== this.offset || length !== this.length) return false;
    const codes = codesOf(layout);
    for (const index of this.unsettled) {
      const at = offset + index * layout.entryBytes;
      const number = memory.u32[at / 4]!;
      const code = number < codes.length ? codes[number]! : unknownType;
      if (code !== this.types[index]) return false;
      const name = this.names[index]!;
      if (name === '') continue;
      const nameAt = at + layout.entryName;
      if (!isText(memory.bytes, nameAt, name) && memory.text(nameAt, layout.entryBytes - layout.entryName) !== name)
        return false;
      if (code !== EntryType.symlink) continue;
      if (memory.u32[at / 4 + 2] !== this.targets[index] || memory.u32[at / 4 + 3] !== this.columns[index])
        return false;
    }
    return true;
  }

  /** The index of an entry, by name. */
  indexOf(name: string): number | undefined {
    if (this.#byName === undefined) {
      this.#byName = new Map();
      for (let index = 0; index < this.length; index++) {
        // A writer that gives two entries one name: the first counts.
        const each = this.names[index]!;
        if (each !== '' && !this.#byName.has(each)) this.#byName.set(each, index);
      }
    }
    return this.#byName.get(name);
  }

  /** What `ls` says about an entry. */
  entry(index: number): StatsEntry {
    const code = this.types[index]!;
    const type = typeName(code);
    const name = this.names[index]!;
    if (code !== EntryType.symlink) return { name, index, type };
    return { name, index, type, link: this.link(index) };
  }

  /** The target of a symlink, made once. */
  link(index: number): { readonly name: string; readonly column: number } {
    return (this.links[index] ??= Object.freeze({
      name: this.names[this.targets[index]!] ?? '',
      column: this.columns[index]!,
    }));
  }

  /** The entries that match any of the patterns; all entries when there are none. */
  select(patterns: readonly Pattern[]): Selection {
    const key = patternKey(patterns);
    const known = this.#selections.get(key);
    if (known !== undefined) return known;
    const matches = matcher(patterns);
    const indices: number[] = [];
    for (let index = 0; index < this.length; index++) {
      const name = this.names[index]!;
      if (name !== '' && matches(name)) indices.push(index);
    }
    const selection: Selection = { indices };
    if (this.#selections.size >= maxSelections) {
      const [oldest] = this.#selections.keys();
      this.#selections.delete(oldest!);
    }
    this.#selections.set(key, selection);
    return selection;
  }
}

/** Code of a type whose number is not known. */
export const unknownType = 255;
/** Code of an error index, which VPP up to 22.02 had. */
export const errorIndexType = 254;

function typeName(code: number): EntryTypeName {
  if (code === unknownType) return 'unknown';
  if (code === errorIndexType) return 'errorIndex';
  return namesOfTypes[code]!;
}

const namesOfTypes = Object.keys(EntryType) as (keyof typeof EntryType)[];
const codesByLayout = new WeakMap<SegmentLayout, Uint8Array>();

/** Code by number. */
function codesOf(layout: SegmentLayout): Uint8Array {
  let codes = codesByLayout.get(layout);
  if (codes === undefined) {
    codes = Uint8Array.from(layout.types, (name) =>
      name === 'errorIndex' ? errorIndexType : name === 'unknown' ? unknownType : EntryType[name],
    );
    codesByLayout.set(layout, codes);
  }
  return codes;
}

function placeOf(memory: SegmentMemory, layout: SegmentLayout): { offset: number; length: number } {
  const pointer = memory.word(layout.directory);
  if (pointer === 0) throw corrupt('it has no directory');
  const offset = pointer - layout.base;
  return { offset, length: memory.vectorLength(offset, layout.entryBytes, 'the directory') };
}

/** Whether the bytes at an offset are this text and a NUL. ASCII; another text is read again. */
function isText(bytes: Uint8Array, offset: number, text: string): boolean {
  const { length } = text;
  for (let i = 0; i < length; i++) if (bytes[offset + i] !== text.charCodeAt(i)) return false;
  return bytes[offset + length] === 0;
}
