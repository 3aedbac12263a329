// Listening sockets, one per address and thread, shared by the server interfaces on it. The last one to leave closes
// the socket and removes its file; so does the end of the process.

import { resolve } from 'node:path';
import { MemifError } from '../errors.js';
import { native, type NativeListener } from '../native.js';
import { failureToError } from './failure.js';
import type { ResolvedOptions } from './options.js';

interface SharedListener {
  readonly native: NativeListener;
  readonly ids: Set<number>;
  /** Interfaces that must not keep the event loop alive; the socket does while there is another. */
  readonly unrefed: Set<number>;
}

const listeners = new Map<string, SharedListener>();

function closeAll(): void {
  for (const listener of listeners.values()) listener.native.close();
  listeners.clear();
}

/** The same address has the same key, however it is written. */
function keyOf(socket: string): string {
  if (socket.startsWith('@')) return socket;
  if (socket.startsWith('abstract:')) return `@${socket.slice('abstract:'.length)}`;
  return resolve(socket);
}

/** The listening socket for an interface; opened when this is the first one there. */
export function acquireListener(options: ResolvedOptions): NativeListener {
  const { socket, id } = options;
  const key = keyOf(socket);
  let shared = listeners.get(key);
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
    shared = { native: listener, ids: new Set(), unrefed: new Set() };
    if (listeners.size === 0) process.on('exit', closeAll);
    listeners.set(key, shared);
  }
  shared.ids.add(id);
  keepAlive(shared);
  return shared.native;
}

/** Whether the socket keeps the event loop alive on behalf of this interface. */
export function refListener(socket: string, id: number, ref: boolean): void {
  const shared = listeners.get(keyOf(socket));
  if (shared === undefined) return;
  if (ref) shared.unrefed.delete(id);
  else shared.unrefed.add(id);
  keepAlive(shared);
}

function keepAlive(shared: SharedListener): void {
  shared.native.setRef(shared.unrefed.size < shared.ids.size);
}

export function releaseListener(socket: string, id: number): void {
  const key = keyOf(socket);
  const shared = listeners.get(key);
  if (shared === undefined) return;
  shared.ids.delete(id);
  shared.unrefed.delete(id);
  if (shared.ids.size > 0) {
    keepAlive(shared);
    return;
  }
  shared.native.close();
  listeners.delete(key);
  if (listeners.size === 0) process.off('exit', closeAll);
}
