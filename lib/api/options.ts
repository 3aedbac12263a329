// What a connection is told, and what it tells: options, states, numbers, events of its life.

import type { Counters } from './counters.js';
import type { HealthOptions } from './health.js';
import type { OpenTransport } from './link.js';
import type { RetryOptions } from './reconnect.js';
import type { Schema } from './schema/schema.js';

/** Where a connection is in its life. */
export type ConnectionState = 'connecting' | 'connected' | 'unresponsive' | 'reconnecting' | 'closing' | 'closed';

/** How to connect. */
export interface ConnectOptions {
  /** Path of VPP's API socket, default `/run/vpp/api.sock`; a leading `@` means the abstract namespace. */
  socket?: string;
  /** The name VPP lists the client under (`show api clients`), default `node-vpp`. */
  name?: string;
  /**
   * Where messages are defined. `auto` (default): the bundled releases, and what the VPP itself says about messages
   * that none of them fits. A release (`25.10`), a file or folder of `.api.json`, or a schema: that one only.
   */
  schema?: string | Schema;
  /** Ends everything: the wait for a first connection, and the connection. */
  signal?: AbortSignal;
  /** Give the first connection up after so long, ms; default: try until `signal`. */
  timeoutMs?: number;
  /** For each attempt to connect and shake hands, ms; default 5000. */
  handshakeMs?: number;
  /** For each request, and for the silence in a dump, ms; default 10000; 0: for ever. */
  requestTimeoutMs?: number;
  /** Requests in flight at most, default 1024; more wait in the order of asking. */
  window?: number;
  /** Requests that may wait for room in the window, default 1000000. */
  maxQueued?: number;
  /** The largest message accepted, default 64 MiB. */
  maxFrameBytes?: number;
  /** Pauses between attempts; false: one attempt, and a lost connection stays lost. */
  retry?: RetryOptions | false;
  /** How to find out that VPP is gone or stuck; false: only by the end of the socket. */
  health?: HealthOptions | false;
  /**
   * After a lone request the event loop stays awake for so long, µs, because being woken takes longer than VPP takes for
   * most replies; default 100, and 0 (never) on a machine with one processor.
   */
  spinUs?: number;
  /** Another carrier than a socket. */
  transport?: OpenTransport;
}

/** Tells about the VPP on the other side after a reconnect. */
export interface Reconnected {
  /** True: VPP was restarted (another pid, message table or socket file), and has forgotten all configuration. */
  readonly newInstance: boolean;
  readonly pid: number;
}

/** Numbers about a connection. */
export interface ConnectionStats extends Readonly<Counters> {
  readonly state: ConnectionState;
  readonly inFlight: number;
  readonly queued: number;
  readonly window: number;
  /** Contexts kept out of use until their late reply has come. */
  readonly quarantined: number;
  readonly bytesRead: number;
  readonly bytesWritten: number;
  /** Connections made after the first. */
  readonly reconnects: number;
}

/** What a connection says about itself, besides the events of VPP. */
export interface LifeEvents {
  state: [to: ConnectionState, from: ConnectionState, reason: Error | undefined];
  connected: [];
  disconnected: [reason: Error];
  reconnected: [info: Reconnected];
  /** An attempt failed; the next follows after `pauseMs`. */
  retry: [reason: Error, pauseMs: number];
  /** A want_* could not be renewed after a reconnect, or not be taken back. */
  subscriptionFailed: [reason: unknown];
  close: [];
}
