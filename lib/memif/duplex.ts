// A memif as a Node.js stream: one packet (a Uint8Array copy) per chunk, back-pressure both ways.

import { Duplex } from 'node:stream';
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
  let reading = false;

  const deliver = async (stream: Duplex): Promise<void> => {
    packets ??= memif[Symbol.asyncIterator]();
    for (;;) {
      while (left.length > 0) {
        if (!stream.push(left.shift())) return;
      }
      const next = await packets.next();
      if (next.done === true) {
        stream.push(null);
        return;
      }
      left = next.value;
    }
  };

  const sent = (callback: (error?: Error | null) => void): void => {
    const finish = (error?: Error): void => {
      memif.off('drain', drained);
      memif.off('close', closed);
      callback(error);
    };
    const drained = (): void => finish();
    const closed = (): void => finish(new Error('the interface was closed before the packet was sent'));
    memif.on('drain', drained);
    memif.on('close', closed);
  };

  const stream = new Duplex({
    objectMode: true,
    read() {
      if (reading) return;
      reading = true;
      deliver(this).then(
        () => {
          reading = false;
        },
        (error: unknown) => {
          reading = false;
          this.destroy(error as Error);
        },
      );
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
