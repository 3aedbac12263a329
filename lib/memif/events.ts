// What an interface tells: who its peer is, what it has counted, and the events it emits.

import type { MemifError } from '../errors.js';
import type { RxCounters, TxCounters } from './counters.js';

/** Who is at the other end, as it says, and as the kernel knows it. */
export interface MemifPeer {
  /** Application name from the handshake. */
  readonly name: string;
  /** Interface name from the handshake. */
  readonly interfaceName: string;
  /** Process, user and group of the peer, from the kernel. */
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

/** Counters of an interface, one entry per queue; they go on through reconnects. */
export interface MemifStatistics {
  readonly rx: readonly RxCounters[];
  readonly tx: readonly TxCounters[];
  /** Times the interface came up. */
  readonly ups: number;
  /** Attempts that failed, or clients that were turned away. */
  readonly refusals: number;
  /** Packets waiting in JavaScript for room in the rings. */
  readonly waiting: number;
}

/** Events of an interface and what listeners are given. */
export interface MemifEvents {
  /** A peer is connected; the queues have entries. */
  up: [peer: MemifPeer];
  /** The peer is gone, or was sent away because it broke a rule; the reason says which. */
  down: [reason: MemifError];
  /** An attempt to connect failed, or a client was turned away. A client goes on trying. */
  refused: [reason: MemifError];
  /** All packets that `send` had to keep have gone. */
  drain: [];
  /** The connection is about to go: the queues are still bound, for whoever runs them outside JavaScript. @internal */
  leaving: [];
  /** Something that `send` had kept cannot be sent, or the error given to `destroy`. */
  error: [error: Error];
  /** Closed for good. */
  close: [];
}
