// What the main thread of the demo and its hosts (worker threads) share: orders in, counters out.
//
//   main thread                          host: one worker per interface
//   control channels, table   <-- counters, histogram (shared memory) --   rings, traffic
//                             <-- up --
//                             -- stop -->
//                             <-- done --

import type { MessagePort } from 'node:worker_threads';
import { newHistogram } from '../latency.js';

/** Indices of a host's counters. */
export const Count = {
  /** UDP or replayed packets. */
  flowSent: 0,
  flowReceived: 1,
  /** Numbers that did not come in their turn: packets lost. */
  lost: 2,
  /** Packets whose checksum or number was wrong. */
  damaged: 3,
  pingSent: 4,
  pingAnswered: 5,
  /** Pings of the other host that were answered here. */
  pingServed: 6,
  /** 1 when the other host's MAC address is known, 2 when it had to be assumed. */
  resolved: 7,
  /** That address, as a number. */
  neighborMac: 8,
  /** Microseconds it took to find it out. */
  resolvedUs: 9,
  length: 10,
} as const;

/** A host of the demo. */
export interface HostAddress {
  readonly mac: string;
  readonly address: string;
}

/** A host that is not on the other one's subnet: its address on its own, and the router there. */
export interface HostVia {
  readonly address: string;
  readonly router: string;
}

/** What a worker is told at its start. */
export interface HostOrders {
  readonly port: MessagePort;
  readonly counters: Float64Array;
  readonly histogram: Float64Array;
  readonly self: HostAddress;
  readonly other: HostAddress;
  /** Absent: the other host is on the same subnet. */
  readonly via?: HostVia;
  /** Packets a second; Infinity is as many as go. */
  readonly rate: number;
  readonly flows: number;
  readonly size: number;
  /** Frames to replay instead of generated flows. */
  readonly replay: readonly Uint8Array[] | undefined;
  /** The peer sends back whatever comes, unchanged but for the MAC addresses: it answers no ARP. */
  readonly mirrored: boolean;
}

/** The memory of one host. */
export function newHostMemory(): { counters: Float64Array; histogram: Float64Array } {
  return {
    counters: new Float64Array(new SharedArrayBuffer(Count.length * Float64Array.BYTES_PER_ELEMENT)),
    histogram: newHistogram(),
  };
}
