// Packet memory that several client interfaces can share.
//
// One sealed region, cut into buffers of equal size. Each client takes as many as its rings have slots when it connects
// and gives as many back when it goes down; a buffer can change from one interface to the other by a swap of
// descriptors (`TxQueue.forward`), without a copy. Every peer of every interface on it can read and write all of it:
// share it only among peers that trust each other.

import { ArgumentRangeError, MemifError } from '../errors.js';
import { native, type NativeMemory } from '../native.js';

/** Buffers for packets, to give to client interfaces as `memory`. */
export class PacketMemory {
  /** Bytes of each buffer. */
  readonly bufferSize: number;
  /** How many buffers there are. */
  readonly buffers: number;
  /** @internal */
  readonly native: NativeMemory;
  #users = 0;

  /**
   * @param options.buffers at least the sum of all rings of the interfaces that shall use it
   * @param options.bufferSize 64 to 65535, default 2048
   */
  constructor(options: { buffers: number; bufferSize?: number }) {
    const { buffers, bufferSize = 2048 } = options;
    if (!Number.isInteger(bufferSize) || bufferSize < 64 || bufferSize > 65535) {
      throw new ArgumentRangeError(`packet memory: buffer size ${bufferSize} is not a whole number from 64 to 65535`);
    }
    if (!Number.isInteger(buffers) || buffers < 1 || buffers * Math.ceil(bufferSize / 64) * 64 > 2 ** 32) {
      throw new ArgumentRangeError(`packet memory: ${buffers} buffers of ${bufferSize} bytes; together at most 4 GiB`);
    }
    this.bufferSize = bufferSize;
    this.buffers = buffers;
    try {
      this.native = new (native().MemifMemory)(bufferSize, buffers);
    } catch (cause) {
      throw new MemifError('MEMORY', `allocating packet memory: ${(cause as Error).message}`, { cause });
    }
  }

  /** Buffers that no interface holds at the moment. */
  get available(): number {
    return this.native.available;
  }

  /** All of the memory. Detached by `close`. */
  get bytes(): Uint8Array {
    return new Uint8Array(this.native.buffer);
  }

  /** @internal */
  acquire(): void {
    this.#users++;
  }

  /** @internal */
  release(): void {
    this.#users--;
  }

  /** Frees the memory; the interfaces that use it must be closed before. */
  close(): void {
    if (this.#users > 0) {
      throw new MemifError(
        'MEMORY',
        `closing packet memory that ${this.#users} interfaces still use: close them first`,
      );
    }
    this.native.close();
  }
}
