// What a `node-vpp memif` command says while it runs: lines for people, or with --json one object per line.
//
//   up       14:03:11.512 up: peer "testpmd" interface "net_memif0", pid 1234, uid 0; rx 1 x 1024, tx 1 x 1024
//   down     14:03:12.001 down: ERR_MEMIF_PEER_CLOSED …
//   refused  14:03:12.101 not connected: ERR_MEMIF_SYSTEM …       (a repetition is said once)

import type { Memif } from '../../memif/index.js';
import { printable } from '../format.js';

export interface ReporterOptions {
  json?: boolean | undefined;
  /** Default standard output. */
  stream?: NodeJS.WritableStream;
}

/** Says things, one way or the other. */
export class Reporter {
  readonly json: boolean;
  readonly #stream: NodeJS.WritableStream;

  constructor(options: ReporterOptions = {}) {
    this.json = options.json ?? false;
    this.#stream = options.stream ?? process.stdout;
  }

  /** `text` is for people; undefined when only machines want to know. */
  say(event: string, text: string | undefined, fields: Readonly<Record<string, unknown>> = {}): void {
    if (this.json) {
      this.#stream.write(`${JSON.stringify({ event, time: new Date().toISOString(), ...fields })}\n`);
    } else if (text !== undefined) this.#stream.write(`${text}\n`);
  }

  /** As `say`, with the time of day in front. */
  sayNow(event: string, text: string, fields: Readonly<Record<string, unknown>> = {}): void {
    const now = new Date();
    const two = (n: number): string => String(n).padStart(2, '0');
    const time = `${two(now.getHours())}:${two(now.getMinutes())}:${two(now.getSeconds())}`;
    this.say(event, `${time}.${String(now.getMilliseconds()).padStart(3, '0')} ${text}`, fields);
  }
}

/** `1 x 1024`: the queues of one direction. */
function queues(list: Memif['rx'] | Memif['tx']): string {
  const live = list.filter((queue) => queue.size > 0);
  return `${live.length} x ${live[0]?.size ?? 0}`;
}

/** Says every change of an interface's state from now on. */
export function reportState(memif: Memif, reporter: Reporter): void {
  let lastRefusal = '';
  memif.on('up', (peer) => {
    lastRefusal = '';
    reporter.sayNow(
      'up',
      `up: peer "${printable(peer.name)}" interface "${printable(peer.interfaceName)}", pid ${peer.pid}, ` +
        `uid ${peer.uid}; rx ${queues(memif.rx)}, tx ${queues(memif.tx)}`,
      {
        peer,
        rxQueues: memif.rx.filter((queue) => queue.size > 0).length,
        txQueues: memif.tx.filter((queue) => queue.size > 0).length,
      },
    );
  });
  memif.on('down', ({ code, message }) => {
    reporter.sayNow('down', `down: ${code} ${printable(message)}`, { code, message });
  });
  memif.on('refused', ({ code, message }) => {
    if (message === lastRefusal) return;
    lastRefusal = message;
    const what = memif.role === 'client' ? 'not connected yet' : 'turned away';
    reporter.sayNow('refused', `${what}: ${code} ${printable(message)}`, { code, message });
  });
}
