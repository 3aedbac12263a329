// What the stats commands read from: a running VPP, or a saved image.

import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { SystemError } from '../../errors.js';
import { type Stats, type StatsImage, connectStats, openStatsImage } from '../../stats/index.js';

/** Options that all of them have. */
export interface SourceFlags {
  socket: string;
  file?: string;
  timeout: number;
  json?: boolean;
}

/** Opens the source, uses it, closes it. */
export async function withStats<T>(
  flags: SourceFlags,
  work: (stats: Stats | StatsImage) => T | Promise<T>,
): Promise<T> {
  if (flags.file !== undefined) return work(openFile(flags.file));
  const stats = await connectStats({ socket: flags.socket, timeoutMs: flags.timeout * 1000 });
  try {
    return await work(stats);
  } finally {
    await stats.close();
  }
}

function openFile(path: string): StatsImage {
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(path);
    if (bytes[0] === 0x1f && bytes[1] === 0x8b) bytes = gunzipSync(bytes);
  } catch (error) {
    const { message, errno, syscall } = error as NodeJS.ErrnoException;
    throw new SystemError(`reading ${path}: ${message}`, {
      errno: Math.abs(errno ?? 0),
      syscall: syscall ?? 'read',
      path,
    });
  }
  return openStatsImage(bytes);
}

/** JSON of a value: 64-bit integers as decimal text, which is exact; bytes as 0x and hex. */
export function jsonOf(value: unknown): string {
  return JSON.stringify(value, (_, inner: unknown) => {
    if (typeof inner === 'bigint') return inner.toString();
    // Called after toJSON: what was a Buffer is an object by now; ours are plain Uint8Arrays.
    return inner instanceof Uint8Array ? `0x${Buffer.from(inner).toString('hex')}` : inner;
  });
}
