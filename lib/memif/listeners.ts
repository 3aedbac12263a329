// Listening sockets, one per address and thread, shared by the server interfaces on it. The last one to leave closes
// the socket and removes its file; so does the end of the process.

import { MemifError } from '../errors.js';
import { native, type NativeListener } from '../native.js';
import { failureToError } from './failure.js';
import type { ResolvedOptions } from './options.js';

interface SharedListener {
  readonly native: NativeListener;
  readonly ids: Set<number>;
}

const listeners = new Map<string, SharedListener>();

function closeAll(): void {
  for (const listener of listeners.values()) listener.native.close();
  listeners.clear();
}

/** The listening socket for an interface; opened when this is the first one there. */
export function acquireListener(options: ResolvedOptions): NativeListener {
  const { socket, id } = options;
  let shared = listeners.get(socket);
  if (shared?.ids.has(id)) {
    throw new MemifError('ID', `opening memif ${id} on ${socket}: this thread already has a server with that id there`);
  }
  if (shared === undefined) {
    const listener = new (native().MemifListener)({
      appName: options.appName,
      handshakeTimeoutMs: options.handshakeTimeoutMs,
      maxPending: 64,
    });
    const failure = listener.listen(socket, {
      ...(options.fileMode === undefined ? {} : { mode: options.fileMode }),
      ...(options.uid === undefined ? {} : { uid: options.uid }),
      ...(options.gid === undefined ? {} : { gid: options.gid }),
    });
    if (failure !== undefined) throw failureToError(`listening on ${socket}`, failure, socket);
    shared = { native: listener, ids: new Set() };
    if (listeners.size === 0) process.on('exit', closeAll);
    listeners.set(socket, shared);
  }
  shared.ids.add(id);
  return shared.native;
}

export function releaseListener(socket: string, id: number): void {
  const shared = listeners.get(socket);
  if (shared === undefined) return;
  shared.ids.delete(id);
  if (shared.ids.size > 0) return;
  shared.native.close();
  listeners.delete(socket);
  if (listeners.size === 0) process.off('exit', closeAll);
}
