// Two interfaces of this process joined by their own memif: what a test of packet code needs.

import { randomUUID } from 'node:crypto';
import { type Memif, type MemifOptions, openMemif } from '../memif/index.js';

/** A connected pair. */
export interface Loopback extends AsyncDisposable {
  readonly server: Memif;
  readonly client: Memif;
  /** Closes both. */
  close(): Promise<void>;
}

/**
 * Opens a server and a client on a socket of their own (abstract, of a random name) and resolves when both are up.
 *
 * @example
 * ```ts
 * import { loopback } from 'node-vpp/testing';
 * const pair = await loopback({ ringSize: 64 });
 * pair.client.send(new Uint8Array(60));
 * await pair.server.readable();
 * await pair.close();
 * ```
 */
export async function loopback(
  options: Partial<MemifOptions> & { server?: Partial<MemifOptions>; client?: Partial<MemifOptions> } = {},
): Promise<Loopback> {
  const { server: ofServer, client: ofClient, ...both } = options;
  const socket = both.socket ?? `@node-vpp-loopback-${randomUUID()}`;
  const server = openMemif({ ...both, ...ofServer, socket, role: 'server' });
  const client = openMemif({ ...both, ...ofClient, socket, role: 'client' });
  const close = async (): Promise<void> => {
    await Promise.all([client.close(), server.close()]);
  };
  try {
    await Promise.all([server.up({ timeoutMs: 5000 }), client.up({ timeoutMs: 5000 })]);
  } catch (error) {
    await close();
    throw error;
  }
  return { server, client, close, [Symbol.asyncDispose]: close };
}
