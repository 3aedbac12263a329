// Is anybody there? VPP sends no keepalive on sockets, so a connection asks itself: when nothing has arrived for an
// interval, a control_ping; when that is not answered either, VPP is unresponsive; when that lasts, the connection is
// dropped and made anew. The socket's file is looked at too: another file there means another VPP.
//
//   quiet ──interval──> pinged ──interval──> unresponsive ──dropAfterMs──> dropped
//     ^                    any message                |
//     └───────────────────────────────────────────────┘
//
// Invariant: a busy connection sends no pings.

import { statSync } from 'node:fs';

/** How health is watched. */
export interface HealthOptions {
  /** Time without any message after which VPP is asked, ms; default 1000. */
  intervalMs?: number;
  /** Unanswered for so long: the connection is dropped, in-flight requests fail, and a new one is made; default 15000. */
  dropAfterMs?: number;
}

/** What the watch needs and reports to. */
export interface HealthPort {
  /** Grows with every message received. */
  received(): number;
  ping(): void;
  responsive(yes: boolean): void;
  drop(code: 'ERR_VPP_UNRESPONSIVE' | 'ERR_VPP_SOCKET_REPLACED', what: string): void;
}

/** Which file a path names now: another value after VPP was restarted. Undefined: none, or an abstract socket. */
export function socketIdentity(path: string): string | undefined {
  if (path.startsWith('\0')) return undefined;
  try {
    // A look at a local file takes microseconds; the asynchronous one costs a new process milliseconds of loading.
    const { dev, ino, birthtimeMs } = statSync(path);
    return `${dev}:${ino}:${birthtimeMs}`;
  } catch {
    // No file is an ordinary state of a stopped VPP, and what connecting to it gives is the error to report.
    return undefined;
  }
}

/** Watches one connection until `stop`. */
export class Health {
  readonly #port: HealthPort;
  readonly #path: string;
  readonly #identity: string | undefined;
  readonly #intervalMs: number;
  readonly #dropAfterMs: number;
  readonly #timer: NodeJS.Timeout;
  #seen = -1;
  #silentSince: number | undefined;
  #responsive = true;

  constructor(port: HealthPort, path: string, identity: string | undefined, options: HealthOptions) {
    this.#port = port;
    this.#path = path;
    this.#identity = identity;
    this.#intervalMs = options.intervalMs ?? 1000;
    this.#dropAfterMs = options.dropAfterMs ?? 15_000;
    this.#timer = setInterval(() => this.#look(), this.#intervalMs);
    this.#timer.unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    const received = this.#port.received();
    const now = performance.now();
    if (received !== this.#seen) {
      this.#seen = received;
      this.#silentSince = undefined;
      this.#report(true);
    } else if (this.#silentSince === undefined) {
      this.#silentSince = now;
      this.#port.ping();
    } else {
      this.#report(false);
      const silentMs = now - this.#silentSince;
      if (silentMs >= this.#dropAfterMs) {
        this.stop();
        this.#port.drop('ERR_VPP_UNRESPONSIVE', `no answer to a control_ping for ${Math.round(silentMs)} ms`);
        return;
      }
    }
    this.#lookAtFile();
  }

  #report(yes: boolean): void {
    if (this.#responsive === yes) return;
    this.#responsive = yes;
    this.#port.responsive(yes);
  }

  #lookAtFile(): void {
    if (this.#identity === undefined) return;
    const identity = socketIdentity(this.#path);
    if (identity === undefined || identity === this.#identity) return;
    this.stop();
    this.#port.drop('ERR_VPP_SOCKET_REPLACED', `another socket has taken the place of ${this.#path}`);
  }
}
