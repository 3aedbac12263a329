// What happened on a connection, counted.

/** What happened on a connection, in numbers that only grow. */
export interface Counters {
  /** Requests and dumps sent. */
  requests: number;
  /** Messages received. */
  received: number;
  /** Time-outs. */
  timeouts: number;
  /** Replies that arrived after their request had timed out or was aborted; dropped. */
  lateReplies: number;
  /** Messages with a context nobody is waiting for; ignored. */
  unknownContexts: number;
  /** Messages with a number that is not in the table, or that no schema fits; ignored. */
  unknownMessages: number;
  /** Messages too short for what they claim to be. */
  malformed: number;
  /** Events nobody listens to. */
  unheardEvents: number;
}

/** Fresh counters. */
export function newCounters(): Counters {
  return {
    requests: 0,
    received: 0,
    timeouts: 0,
    lateReplies: 0,
    unknownContexts: 0,
    unknownMessages: 0,
    malformed: 0,
    unheardEvents: 0,
  };
}
