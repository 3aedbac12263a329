// `node-vpp memif dump`: every packet that comes, as text or as pcapng. What is dumped is taken off the ring: an
// interface has one user. When the disk or the reader is slower than the peer, the ring fills and the peer waits.

import { createWriteStream } from 'node:fs';
import { once } from 'node:events';
import { finished } from 'node:stream/promises';
import { LinkType } from '../../net/index.js';
import { type PacketPort, trace } from '../../testing/index.js';
import { grouped } from '../format.js';
import { stopSignal } from '../stop.js';
import { type InterfaceFlags, openFrom } from './open.js';
import { Reporter, reportState } from './report.js';

export interface DumpFlags extends InterfaceFlags {
  write?: string;
  count?: number;
  seconds?: number;
  snapLength: number;
}

/** Writes to a stream; a promise when it asks to wait. */
function into(
  stream: NodeJS.WritableStream,
  stop: AbortSignal,
): (data: string | Uint8Array) => Promise<unknown> | true {
  return (data) =>
    // A reader that has gone never drains; the signal ends the wait then.
    stream.write(data) || once(stream as NodeJS.EventEmitter, 'drain', { signal: stop }).catch(() => true);
}

/** The first packets of a port: more than these are never taken from it in vain. */
function first(port: PacketPort, count: number): PacketPort {
  return {
    send: (packets) => port.send(packets),
    close: () => port.close(),
    async *[Symbol.asyncIterator]() {
      let left = count;
      for await (const packets of port) {
        yield packets.slice(0, left);
        left -= packets.length;
        if (left <= 0) return;
      }
    },
  };
}

export async function dump(socket: string, flags: DumpFlags): Promise<void> {
  const stop = stopSignal();
  // Packets own standard output; what happens is said on standard error.
  const reporter = new Reporter({ json: flags.json, stream: process.stderr });
  const { write } = flags;
  const file = write === undefined || write === '-' ? undefined : createWriteStream(write);
  if (file !== undefined) await once(file, 'open');
  const memif = openFrom(socket, flags);
  reportState(memif, reporter);
  let failure: Error | undefined;
  const end = (): void => void memif.close();
  file?.once('error', (error) => {
    failure = error;
    end();
  });
  const linkType = memif.mode === 'ip' ? LinkType.RAW : LinkType.ETHERNET;
  const text = into(process.stdout, stop);
  const wire = trace(
    flags.count === undefined ? memif : first(memif, flags.count),
    write === undefined
      ? { linkType, write: (line) => text(`${line}\n`) }
      : {
          linkType,
          name: `memif${memif.id}`,
          snapLength: flags.snapLength,
          pcapng: { write: into(file ?? process.stdout, stop) },
        },
  );
  stop.addEventListener('abort', end);
  if (stop.aborted) end();
  const timer = flags.seconds === undefined ? undefined : setTimeout(end, flags.seconds * 1000);
  const seen = wire[Symbol.asyncIterator]();
  while ((await seen.next()).done !== true);
  clearTimeout(timer);
  if (failure === undefined) wire.finish();
  if (file !== undefined && failure === undefined) {
    file.end();
    await finished(file);
  }
  await memif.close();
  if (failure !== undefined) throw failure;
  const { received, receivedBytes } = wire.counters;
  reporter.sayNow('closed', `${grouped(received)} packets, ${grouped(receivedBytes)} bytes`, {
    received,
    receivedBytes,
  });
}
