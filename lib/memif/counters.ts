// Counters of a queue: doubles in memory that all threads of the process share, so that the owner of an interface can
// read what a worker counts. One writer each; a reader may be one burst behind.

/** What a receive queue has seen since it was made. */
export interface RxCounters {
  /** Packets released. */
  packets: number;
  /** Bytes of these packets. */
  bytes: number;
  /** Wake-ups by the eventfd. */
  wakeups: number;
  /** Descriptors that were refused; each cost the peer its connection. */
  badDescriptors: number;
}

/** What a transmit queue has done since it was made. */
export interface TxCounters {
  /** Packets committed. */
  packets: number;
  /** Bytes of these packets. */
  bytes: number;
  /** Eventfd writes to wake the peer. */
  kicks: number;
  /** Times that fewer buffers were free than asked for. Nothing is lost by it. */
  full: number;
  /** Packets refused because they can never fit in the ring. */
  tooLong: number;
  /** Descriptors posted by a client that were refused; each cost the peer its connection. */
  badDescriptors: number;
}

export const rxPackets = 0;
export const rxBytes = 1;
export const rxWakeups = 2;
export const rxBad = 3;
export const txPackets = 0;
export const txBytes = 1;
export const txKicks = 2;
export const txFull = 3;
export const txTooLong = 4;
export const txBad = 5;
const slots = 8;

/** Zeroed counters that another thread can be given. */
export function newCounters(): Float64Array {
  return new Float64Array(new SharedArrayBuffer(slots * Float64Array.BYTES_PER_ELEMENT));
}

export function rxSnapshot(c: Float64Array): RxCounters {
  return { packets: c[rxPackets]!, bytes: c[rxBytes]!, wakeups: c[rxWakeups]!, badDescriptors: c[rxBad]! };
}

export function txSnapshot(c: Float64Array): TxCounters {
  return {
    packets: c[txPackets]!,
    bytes: c[txBytes]!,
    kicks: c[txKicks]!,
    full: c[txFull]!,
    tooLong: c[txTooLong]!,
    badDescriptors: c[txBad]!,
  };
}
