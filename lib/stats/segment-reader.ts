// One mapping of one segment: its memory, its layout, how it is read, and the directory as last seen.

import { Access, type AccessOptions } from './access.js';
import { type Capture, capture, planOf } from './capture.js';
import { Directory, type Selection } from './directory.js';
import { type SegmentLayout, readLayout } from './header.js';
import { SegmentMemory } from './memory.js';
import type { Pattern } from './patterns.js';

/** Reads one segment. @internal */
export class SegmentReader {
  readonly memory: SegmentMemory;
  readonly layout: SegmentLayout;
  readonly access: Access;
  #directory: Directory | undefined;

  /** @throws {StatsError} `ERR_STATS_VERSION`, `ERR_STATS_CORRUPT` */
  constructor(buffer: ArrayBuffer, options: AccessOptions = {}) {
    this.memory = new SegmentMemory(buffer);
    this.layout = readLayout(this.memory);
    this.access = new Access(this.memory, this.layout, options);
  }

  /** The directory now, within `access.read`. */
  directory(): Directory {
    const { memory, layout, access } = this;
    const known = this.#directory;
    if (known?.current(memory, layout, access.current) === true) return known;
    const made = new Directory(memory, layout, access.current, known);
    // What was read while the structure changed is thrown away with the reading; it must not be kept here either.
    if (access.stable(access.current)) this.#directory = made;
    return made;
  }

  /** Selected entries of the directory. */
  select(patterns: readonly Pattern[]): { directory: Directory; selection: Selection } {
    return this.access.read(() => {
      const directory = this.directory();
      return { directory, selection: directory.select(patterns) };
    });
  }

  /** Copies what the patterns select. */
  capture(patterns: readonly Pattern[]): Capture {
    return this.access.read(() => {
      const directory = this.directory();
      return capture(this.memory, this.layout, directory, planOf(directory, directory.select(patterns)));
    });
  }

  /** Copies one entry; undefined when there is none of that name. */
  captureOne(name: string): { capture: Capture; index: number } | undefined {
    return this.access.read(() => {
      const directory = this.directory();
      const index = directory.indexOf(name);
      if (index === undefined) return undefined;
      const plan = planOf(directory, { indices: [index] });
      return { capture: capture(this.memory, this.layout, directory, plan), index };
    });
  }
}
