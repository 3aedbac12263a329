// A memif as a Node.js stream: one packet (a Uint8Array copy) per chunk, back-pressure both ways.

import { Duplex } from 'node:stream';
import { MemifError } from '../errors.js';
import type { Memif } from './memif.js';

/**
 * An object-mode Duplex over an interface. Reading stops taking packets from the ring while the stream is full; a
 * write is finished when its packet is in the ring. Destroying the stream closes the interface, and the other way round.
 *
 * @example
 * ```ts
 * import { duplex } from 'node-vpp/memif';
 * import { loopback } from 'node-vpp/testing';
 * const { client, server } = await loopback();
 * const echo = duplex(server);
 * echo.pipe(echo);
 * client.send(new Uint8Array(64).fill(7));
 * for await (const packets of client) {
 *   console.log(packets[0]![0]);
 *   break;
 * }
 * await Promise.all([client.close(), server.close()]);
 * ```
 */
export function duplex(memif: Memif): Duplex {
  let packets: AsyncIterator<Uint8Array[]> | undefined;
  let left: Uint8Array[] = [];
  // The stream asks for more at any time, also from inside push(): what counts is whether it has asked since the last one.
  let wanted = false;
  let delivering = false;

  const deliver = async (stream: Duplex): Promise<void> => {
    packets ??= memif[Symbol.asyncIterator]();
    while (wanted) {
      const packet = left.shift();
      if (packet !== undefined) {
        wanted = false;
        if (stream.push(packet)) wanted = true;
        continue;
      }
      const next = await packets.next();
      if (next.done === true) {
        stream.push(null);
        return;
      }
      left = next.value;
    }
    delivering = false;
  };

  const sent = (callback: (error?: Error | null) => void): void => {
    const finish = (error?: Error): void => {
      memif.off('drain', drained);
      memif.off('close', closed);
      callback(error);
    };
    const drained = (): void => finish();
    const closed = (): void =>
      finish(
        new MemifError('CLOSED', 'writing to a memif stream: its interface was closed before the packet was sent'),
      );
    memif.on('drain', drained);
    memif.on('close', closed);
  };

  const stream = new Duplex({
    objectMode: true,
    read() {
      wanted = true;
      if (delivering) return;
      delivering = true;
      deliver(this).catch((error: unknown) => this.destroy(error as Error));
    },
    write(packet: Uint8Array, _encoding, callback) {
      try {
        if (memif.send(packet)) callback();
        else sent(callback);
      } catch (error) {
        callback(error as Error);
      }
    },
    writev(chunks, callback) {
      try {
        if (memif.send(chunks.map(({ chunk }) => chunk as Uint8Array))) callback();
        else sent(callback);
      } catch (error) {
        callback(error as Error);
      }
    },
    destroy(error, callback) {
      memif.destroy().then(() => callback(error), callback);
    },
  });
  // The reading side ends by itself, behind the packets that were already taken.
  memif.once('close', () => {
    if (!stream.destroyed) stream.end();
  });
  memif.on('error', (error) => stream.destroy(error));
  return stream;
}
