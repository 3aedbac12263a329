// Whole bursts moved by one call into C++: between a ring and memory of the caller's, or from ring to ring. A queue says
// in a few words where it is and what is wanted, and finds the answer behind them. The same numbers are in
// native/addon/memif_transfer.cc.

import type { RingBinding } from './ring.js';

/** What each word is. */
export const Word = {
  server: 0,
  log2Size: 1,
  cacheLine: 2,
  next: 3,
  bufferSize: 4,
  /** Receiving: packets wanted. Sending: packets that there are. */
  max: 5,
  /** Receiving: first free byte of the memory. From ring to ring: length of the shortest packet that is taken. */
  at: 6,
  /** Receiving: free bytes in front of each packet. */
  headroom: 7,
  /** The answer: slots of the ring that were used up, packets, their bytes. */
  segments: 8,
  packets: 9,
  bytes: 10,
  /** Received, and longer than 64 KiB. */
  lost: 11,
  /** First byte behind what was received. */
  end: 12,
  flags: 13,
} as const;
const WORDS = 16;

/** Bits of the last word. */
export const Outcome = { full: 1, broken: 2, kick: 4 } as const;

/** The words of a ring. */
export function transferWords(binding: RingBinding): Uint32Array {
  const words = new Uint32Array(WORDS);
  words[Word.server] = binding.server ? 1 : 0;
  words[Word.log2Size] = Math.log2(binding.size);
  words[Word.cacheLine] = binding.tail * 2;
  words[Word.bufferSize] = binding.bufferSize;
  return words;
}
