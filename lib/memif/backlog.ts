// Packets that wait in JavaScript because the transmit ring is full.
//
// A full ring has no doorbell: nobody tells us when the peer has taken something. While packets wait we look again at
// the end of each turn of the event loop, and after some turns without progress once a millisecond.

import { MemifError } from '../errors.js';
import { txTooLong } from './counters.js';
import type { TxQueue } from './tx-queue.js';

const eagerTurns = 50;
const lazyMs = 1;

/** Copies whole packets into a ring, as many as fit; returns how many. Packets too long for the ring throw. */
export function writePackets(tx: TxQueue, packets: readonly Uint8Array[], from: number): number {
  let at = from;
  while (at < packets.length) {
    // A run of packets that fit in the longest one's buffers.
    const length = packets[at]!.length;
    const burst = tx.reserve(packets.length - at, length);
    if (burst.count === 0) {
      if (tx.size > 0 && tx.free === tx.size) {
        // The peer may have emptied the ring since the reserve: only now it is known to have all of it.
        if (tx.reserve(1, length).count > 0) continue;
        tx.shared[txTooLong]!++;
        throw new MemifError(
          'PACKET_TOO_LONG',
          `sending a packet of ${length} bytes: the whole ring of ${tx.size} buffers cannot hold it; ` +
            'use larger buffers or a larger ring',
        );
      }
      break;
    }
    let s = 0;
    while (at < packets.length && s < burst.count) {
      const packet = packets[at]!;
      // The burst is laid out for packets of `length`; a longer one needs a layout of its own.
      if (packet.length > length) break;
      let copied = 0;
      for (;;) {
        const room = burst.lengths[s]!;
        const part = packet.length - copied < room ? packet.length - copied : room;
        const memory = burst.memory[burst.regions[s]!]!;
        memory.set(
          copied === 0 && part === packet.length ? packet : packet.subarray(copied, copied + part),
          burst.offsets[s],
        );
        burst.lengths[s] = part;
        copied += part;
        const more = burst.more[s]!;
        if (more === 0) {
          s++;
          break;
        }
        if (copied === packet.length) {
          // Shorter than the layout: the chain ends here, and the rest of its buffers must be laid out anew.
          burst.more[s] = 0;
          s++;
          at++;
          tx.commit(s);
          s = -1;
          break;
        }
        s++;
      }
      if (s < 0) break;
      at++;
    }
    if (s > 0) tx.commit(s);
  }
  return at - from;
}

/** One transmit queue's waiting packets. */
export class Backlog {
  readonly #tx: TxQueue;
  readonly #onEmpty: () => void;
  readonly #onError: (error: Error) => void;
  readonly #limit: number;
  #packets: Uint8Array[] = [];
  #first = 0;
  #turns = 0;
  #immediate: NodeJS.Immediate | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(tx: TxQueue, limit: number, onEmpty: () => void, onError: (error: Error) => void) {
    this.#tx = tx;
    this.#limit = limit;
    this.#onEmpty = onEmpty;
    this.#onError = onError;
  }

  get length(): number {
    return this.#packets.length - this.#first;
  }

  /** Sends at once what fits and keeps the rest. True when nothing waits. */
  push(packets: readonly Uint8Array[]): boolean {
    const sent = this.length === 0 ? writePackets(this.#tx, packets, 0) : 0;
    const left = packets.length - sent;
    if (left === 0) return true;
    if (this.length + left > this.#limit) {
      throw new MemifError(
        'BACKLOG',
        `sending ${packets.length} packets: ${this.length} wait already and at most ${this.#limit} may; ` +
          `${sent} of these were sent. Wait for 'drain' when send() returns false`,
      );
    }
    for (let i = sent; i < packets.length; i++) this.#packets.push(packets[i]!);
    this.pump();
    return false;
  }

  /** Looks for room, now and later, until nothing waits. Does nothing while the interface is down. */
  pump(): void {
    if (this.length === 0 || this.#immediate !== undefined || this.#timer !== undefined || this.#tx.size === 0) return;
    const look = (): void => {
      this.#immediate = undefined;
      this.#timer = undefined;
      if (this.#tx.size === 0) return;
      let sent = 0;
      try {
        sent = writePackets(this.#tx, this.#packets, this.#first);
      } catch (error) {
        this.#first++; // the packet that can never go
        this.#onError(error as Error);
      }
      this.#first += sent;
      this.#turns = sent > 0 ? 0 : this.#turns + 1;
      if (this.#first === this.#packets.length) {
        this.#packets = [];
        this.#first = 0;
        this.#onEmpty();
        return;
      }
      if (this.#first > 4096) {
        this.#packets = this.#packets.slice(this.#first);
        this.#first = 0;
      }
      this.pump();
    };
    if (this.#turns < eagerTurns) this.#immediate = setImmediate(look);
    else this.#timer = setTimeout(look, lazyMs);
  }

  /** Forgets what waits. Returns how many packets that were. */
  clear(): number {
    const lost = this.length;
    this.#packets = [];
    this.#first = 0;
    this.pause();
    return lost;
  }

  pause(): void {
    clearImmediate(this.#immediate);
    clearTimeout(this.#timer);
    this.#immediate = undefined;
    this.#timer = undefined;
  }
}
