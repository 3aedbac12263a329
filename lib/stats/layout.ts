// The layout of a stats segment: offsets, sizes and the numbers of the entry types.
//
//   header (v2)   0 version u64 · 8 base · 16 epoch u64 · 24 in_progress u64 · 32 directory · [40 errors, to 22.02]
//   header (v1)   0 version u64 · 8 epoch · 16 in_progress · 24 directory · 32 errors · 40 stats     (as offsets)
//   vector        8 bytes before the data: u32 length, then what only its owner needs
//   entry (v2)    0 type u32 · 8 union u64 (value, pointer, or index1 u32 and index2 u32) · 16 name[128]
//   entry (v1)    0 type u32 · 8 union u64 · 16 offset vector · 24 name[128]
//
// A pointer is an address in the writer's process: its offset in the segment is pointer - base. Everything is
// little-endian. Source of the facts: VPP's vlib/stats/shared.h, and the segments of the releases named.

import { endianness } from 'node:os';
import { NativeError } from '../errors.js';

/** The version word of VPP 20.09 and later. */
export const SEGMENT_VERSION = 2;

/** Offsets of the header, version 2. */
export const HEADER = { version: 0, base: 8, epoch: 16, inProgress: 24, directory: 32, errors: 40 } as const;
/** Bytes of the header, version 2, of 22.06 and later. */
export const HEADER_BYTES = 40;

/** Offsets of the header, version 1. What are pointers in version 2 are offsets from its start here. */
export const HEADER_V1 = { version: 0, epoch: 8, inProgress: 16, directory: 24, errors: 32, stats: 40 } as const;

/** Offsets in a directory entry. */
export const ENTRY = { type: 0, value: 8, index1: 8, index2: 12, name: 16 } as const;
/** Bytes of a directory entry, version 2. */
export const ENTRY_BYTES = 144;
/** Bytes of the name in an entry, with its NUL. */
export const NAME_BYTES = 128;

/** Offsets in a directory entry, version 1. */
export const ENTRY_V1 = { type: 0, value: 8, offsets: 16, name: 24 } as const;
/** Bytes of a directory entry, version 1. */
export const ENTRY_BYTES_V1 = 152;

/** Bytes between the header of a vector and its data. */
export const VECTOR_HEADER_BYTES = 8;

/** A counter pair: u64 packets, u64 bytes. */
export const COMBINED_BYTES = 16;

/** Offsets in the header of a ring buffer (packed, so the words are not aligned to more than 4). */
export const RING = {
  entrySize: 0,
  ringSize: 4,
  threads: 8,
  schemaSize: 12,
  schemaVersion: 16,
  metadataOffset: 20,
  dataOffset: 24,
} as const;
/** Bytes of that header: where the data begins. */
export const RING_BYTES = 28;

/** Offsets in the metadata of one thread's ring. */
export const RING_METADATA = { head: 0, schemaVersion: 4, sequence: 8, schemaOffset: 16, schemaSize: 20 } as const;
/** Bytes of the metadata of one thread: a cache line of its own. */
export const RING_METADATA_BYTES = 64;

/** What an entry is. Numbers of 22.06 and later; 7 to 9 since 26.02. */
export const EntryType = {
  illegal: 0,
  scalar: 1,
  simple: 2,
  combined: 3,
  names: 4,
  empty: 5,
  symlink: 6,
  histogram: 7,
  ringBuffer: 8,
  gauge: 9,
} as const;
/** The name of an entry type, as in `EntryType`; `unknown` for a number that is not in it. */
export type EntryTypeName = keyof typeof EntryType | 'errorIndex' | 'unknown';

/** Entries that are always there, by index: VPP 23.02 and later. */
export const FIXED_ENTRIES = ['/sys/heartbeat', '/sys/last_stats_clear', '/sys/boottime'] as const;

/** More threads than any VPP has: an outer vector that is longer is no vector of threads. */
export const MAX_THREADS = 4096;

/** Simple counters of an interface, in VPP's order: `/if/<name>`, `/interfaces/<interface>/<name>`. */
export const SIMPLE_INTERFACE_COUNTERS = [
  ...(['drops', 'punt', 'ip4', 'ip6', 'rx-no-buf', 'rx-miss', 'rx-error', 'tx-error', 'mpls'] as const),
] as const;
/** Combined counters of an interface, in VPP's order. */
export const COMBINED_INTERFACE_COUNTERS = [
  ...(['rx', 'rx-unicast', 'rx-multicast', 'rx-broadcast'] as const),
  ...(['tx', 'tx-unicast', 'tx-multicast', 'tx-broadcast'] as const),
] as const;
export type SimpleInterfaceCounter = (typeof SIMPLE_INTERFACE_COUNTERS)[number];
export type CombinedInterfaceCounter = (typeof COMBINED_INTERFACE_COUNTERS)[number];

/** Counters of a graph node, in VPP's order: `/sys/node/<name>`, `/nodes/<node>/<name>`. */
export const NODE_COUNTERS = ['clocks', 'vectors', 'calls', 'suspends'] as const;
export type NodeCounter = (typeof NODE_COUNTERS)[number];

/** How VPP writes the name of an interface or node inside the name of an entry: `/` would begin a new part. */
export const entryNamePart = (name: string): string => name.replaceAll('/', '_');

/** Typed arrays read in the machine's order. */
export function requireLittleEndian(): void {
  if (endianness() !== 'LE') {
    throw new NativeError('ERR_VPP_NATIVE_INCOMPATIBLE', 'the stats segment needs a little-endian machine');
  }
}
