// Which layout a segment has: the version word tells 1 from 2, and for version 2 the word behind the header tells what
// the entry types are numbered like.
//
//   VPP             version   pointers           word 40          types
//   19.08 – 20.05   1         offsets            (stats)          4 error index, 5 names, 6 empty
//   20.09 – 22.02   2         minus base         error vector     4 error index, 5 names, 6 empty, 7 symlink (21.06)
//   22.06 – 25.10   2         minus base         nothing          4 names, 5 empty, 6 symlink
//   26.02 –         2         minus base         nothing          the same and 7 histogram, 8 ring buffer, 9 gauge
//
// The last two need no telling apart: the numbers 7 to 9 were not used before.

import { StatsError } from '../errors.js';
import { ENTRY, ENTRY_BYTES, ENTRY_BYTES_V1, ENTRY_V1, HEADER, HEADER_V1, type EntryTypeName } from './layout.js';
import type { SegmentMemory } from './memory.js';

/** Where the parts of a segment are. */
export interface SegmentLayout {
  readonly version: 1 | 2;
  /** Releases of VPP that write it. */
  readonly releases: string;
  /** What pointers count from. */
  readonly base: number;
  readonly epoch: number;
  readonly inProgress: number;
  readonly directory: number;
  /** Where the pointer to the error vectors is, in layouts that have them. */
  readonly errors: number | undefined;
  readonly entryBytes: number;
  readonly entryName: number;
  /** Where in an entry the pointer to counters is. */
  readonly entryPointer: number;
  readonly types: readonly EntryTypeName[];
}

const oldTypes = ['illegal', 'scalar', 'simple', 'combined', 'errorIndex', 'names', 'empty', 'symlink'] as const;
const newTypes = [
  ...(['illegal', 'scalar', 'simple', 'combined', 'names', 'empty', 'symlink'] as const),
  ...(['histogram', 'ringBuffer', 'gauge'] as const),
] as const;

/**
 * Reads the header.
 *
 * @throws {StatsError} `ERR_STATS_VERSION` when the layout is none that is known
 */
export function readLayout(memory: SegmentMemory): SegmentLayout {
  const version = memory.word(HEADER.version);
  if (version === 1) {
    return {
      version: 1,
      releases: '19.08 to 20.05',
      base: 0,
      epoch: HEADER_V1.epoch,
      inProgress: HEADER_V1.inProgress,
      directory: HEADER_V1.directory,
      errors: HEADER_V1.errors,
      entryBytes: ENTRY_BYTES_V1,
      entryName: ENTRY_V1.name,
      entryPointer: ENTRY_V1.offsets,
      types: oldTypes,
    };
  }
  if (version !== 2) {
    throw new StatsError(
      'VERSION',
      `the stats segment has layout version ${version}; 1 and 2 are known` +
        (version === 0 ? ' (0: it is empty, or being set up)' : ': is it one of VPP?'),
    );
  }
  const base = memory.word(HEADER.base);
  const errors = memory.word(HEADER.errors) - base;
  const old = errors > 0 && errors < memory.size;
  return {
    version: 2,
    releases: old ? '20.09 to 22.02' : '22.06 or later',
    base,
    epoch: HEADER.epoch,
    inProgress: HEADER.inProgress,
    directory: HEADER.directory,
    errors: old ? HEADER.errors : undefined,
    entryBytes: ENTRY_BYTES,
    entryName: ENTRY.name,
    entryPointer: ENTRY.value,
    types: old ? oldTypes : newTypes,
  };
}
