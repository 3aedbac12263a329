// An API server and a connection to it for one test, both gone when the test ends.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, loadBundled, type ConnectOptions, type Connection } from 'node-vpp/api';
import { ApiServer, type ApiServerOptions } from 'node-vpp/dataplane';

/** What of a tap test is used here. */
export interface TestEnd {
  teardown(fn: () => unknown): void;
}

/** A folder of its own; short, for a socket's path has 107 bytes at most. */
export function folder(t: TestEnd): string {
  const path = mkdtempSync(join(tmpdir(), 'nv-'));
  t.teardown(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** A listening server of VPP 26.06 (or as told) that knows show_version and three interfaces. */
export async function serve(t: TestEnd, options: Partial<ApiServerOptions> = {}): Promise<ApiServer> {
  const server = new ApiServer({ path: join(folder(t), 'api.sock'), schema: loadBundled('26.06'), ...options });
  server.handle('show_version', () => ({ program: 'vpe', version: '26.06-release' }));
  server.handle('sw_interface_dump', function* () {
    for (const [sw_if_index, interface_name] of ['local0', 'memif0/0', 'tap1'].entries()) {
      yield { sw_if_index, interface_name };
    }
  });
  await server.listen();
  t.teardown(() => server.close());
  return server;
}

/** A connection to it. */
export async function client(t: TestEnd, server: ApiServer, options: ConnectOptions = {}): Promise<Connection> {
  const vpp = await connect({ socket: server.path, ...options });
  t.teardown(() => vpp.destroy());
  return vpp;
}

/** Resolves at the next occurrence of an event. */
export function next(vpp: Connection, name: 'connected' | 'disconnected' | 'reconnected' | 'close'): Promise<unknown> {
  return new Promise((resolve) => vpp.once(name, ((info: unknown) => resolve(info)) as never));
}

/** Waits until a condition holds; fails with what was waited for. */
export async function until(what: string, condition: () => boolean, ms = 10_000): Promise<void> {
  const deadline = performance.now() + ms;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`waited ${ms} ms for: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

/** The error a promise rejects with. */
export async function failure(promise: Promise<unknown>): Promise<Error & Record<string, unknown>> {
  try {
    await promise;
  } catch (error) {
    return error as Error & Record<string, unknown>;
  }
  throw new Error('expected a failure, and it succeeded');
}
