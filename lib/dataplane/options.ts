// What a dataplane is started with, and the checks on it.

import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import type { BundledRelease, Schema } from '../api/index.js';
import { ArgumentRangeError, ArgumentTypeError } from '../errors.js';
import type { Forwarder, ForwarderOptions } from './forwarding/control.js';

/** See the fields. */
export interface DataplaneOptions extends ForwarderOptions {
  /** Path of the API socket. Default: a new folder in the temporary directory, removed at the end. */
  apiSocket?: string;
  /** Path of the socket that gives out the stats segment; absent: no stats segment. */
  statsSocket?: string;
  /** Folder of sockets given by name only, memif socket 0 first: VPP's runtime-dir. Default: that of the API socket. */
  runDir?: string;
  /** The release whose API it speaks, `'26.06'` by default, or a schema. */
  release?: BundledRelease | Schema;
  /** What show_version answers; default `<release>-release`. */
  version?: string;
  /** Permissions of the API socket, default 0o660. */
  mode?: number;
  /** What moves packets; default ours. Tests of an API client may give one that moves none. */
  forwarder?: Forwarder;
}

/** Options with everything filled in. */
export interface Settled {
  readonly apiSocket: string;
  readonly statsSocket: string | undefined;
  readonly runDir: string;
  /** To be made, and removed at the end. */
  readonly ownFolder: string | undefined;
}

/** A Unix socket's path has so many bytes at most. */
const MOST_PATH_BYTES = 107;

function socketPath(what: string, path: unknown): string {
  if (typeof path !== 'string' || path === '') {
    throw new ArgumentTypeError(`starting a dataplane: ${what} is the path of a socket, not ${String(path)}`);
  }
  const whole = resolve(path);
  if (Buffer.byteLength(whole) > MOST_PATH_BYTES) {
    throw new ArgumentRangeError(
      `starting a dataplane: ${what} ${whole} has more than ${MOST_PATH_BYTES} bytes, which the kernel does not take; choose a shorter folder`,
    );
  }
  return whole;
}

let made = 0;

/** Fills in what was left out. */
export function settle(options: DataplaneOptions): Settled {
  let ownFolder: string | undefined;
  let { apiSocket } = options;
  if (apiSocket === undefined) {
    ownFolder = join(tmpdir(), `node-vpp-${process.pid}-${++made}`);
    apiSocket = join(ownFolder, 'api.sock');
  } else apiSocket = socketPath('apiSocket', apiSocket);
  return {
    apiSocket,
    statsSocket: options.statsSocket === undefined ? undefined : socketPath('statsSocket', options.statsSocket),
    runDir: options.runDir === undefined ? dirname(apiSocket) : resolve(options.runDir),
    ownFolder,
  };
}
