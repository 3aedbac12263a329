// What the demo shows: a table that is drawn again every second, or one line per second where nobody can redraw.
// Everything is a function of a snapshot, so that it can be read without running anything.

import { bitsPerSecond, clock, grouped, micros, packetsPerSecond } from '../format.js';
import type { Percentiles } from '../latency.js';

/** One host in one second. */
export interface HostSecond {
  /** `client` or `server`. */
  readonly role: string;
  readonly address: string;
  /** The other host's MAC address; empty while unknown. */
  readonly neighbor: string;
  readonly txPackets: number;
  readonly txBits: number;
  readonly rxPackets: number;
  readonly rxBits: number;
  /** Packets received since the start. */
  readonly received: number;
  readonly lost: number;
  readonly damaged: number;
  /** Per second: times the ring had no room. */
  readonly full: number;
  readonly kicks: number;
  readonly wakeups: number;
  readonly pingSent: number;
  readonly pingAnswered: number;
  readonly latency: Percentiles;
}

/** The demo in one second. */
export interface Second {
  readonly elapsed: number;
  readonly hosts: readonly HostSecond[];
  /** Processor time of this process, in percent of one processor. */
  readonly processor: number;
}

const labelWidth = 20;
const columnWidth = 29;

/** Bars of the last values, the highest one full. */
export function bars(values: readonly number[], width: number): string {
  const shown = values.slice(-width);
  const top = Math.max(...shown, 1);
  return shown.map((value) => '▁▂▃▄▅▆▇█'[Math.min(7, Math.floor((value / top) * 7.999))]!).join('');
}

/** The lines of the table, 80 columns at most. `bold` and `dim` paint. */
export function table(
  title: string,
  second: Second,
  history: readonly number[],
  paint: { bold: (text: string) => string; dim: (text: string) => string },
): string[] {
  const { hosts } = second;
  const row = (label: string, cell: (host: HostSecond) => string): string =>
    paint.dim(label.padEnd(labelWidth)) +
    hosts
      .map((host) => cell(host).padEnd(columnWidth))
      .join('')
      .trimEnd();
  const rate = (packets: number, bits: number): string =>
    `${packetsPerSecond(packets).padStart(10)} ${bitsPerSecond(bits).padStart(11)}`;
  return [
    `${paint.bold('node-vpp demo')}  ${clock(second.elapsed)}  ${title}`,
    '',
    ' '.repeat(labelWidth) +
      hosts
        .map((host) => paint.bold(`${host.role} ${host.address}`.padEnd(columnWidth)))
        .join('')
        .trimEnd(),
    row('neighbor', (host) => (host.neighbor === '' ? 'asking by ARP' : host.neighbor)),
    row('sends', (host) => rate(host.txPackets, host.txBits)),
    row('receives', (host) => rate(host.rxPackets, host.rxBits)),
    row('received so far', (host) => `${grouped(host.received)} packets`),
    row('lost, damaged', (host) => `${grouped(host.lost)}, ${grouped(host.damaged)}`),
    row('ping p50, p99', (host) => `${micros(host.latency.p50)}, ${micros(host.latency.p99)} µs`),
    row('pings answered', (host) => `${grouped(host.pingAnswered)} of ${grouped(host.pingSent)}`),
    row('kicks, wake-ups', (host) => `${grouped(host.kicks)}, ${grouped(host.wakeups)} /s`),
    row('ring full', (host) => `${grouped(host.full)} /s`),
    '',
    paint.dim('receives, by second '.padEnd(labelWidth)) + bars(history, 58),
    paint.dim('processor time      ') + `${Math.round(second.processor)} % of one processor`,
  ];
}

/** The same in one line. */
export function line(second: Second): string {
  const seconds = `${Math.round(second.elapsed)} s`.padStart(5);
  const parts = second.hosts.map(
    (host) => `${host.role} rx ${packetsPerSecond(host.rxPackets)} ${bitsPerSecond(host.rxBits)}`,
  );
  const lost = second.hosts.reduce((sum, host) => sum + host.lost + host.damaged, 0);
  const { p50, p99 } = second.hosts[0]!.latency;
  return `${seconds}  ${parts.join('  ')}  lost ${grouped(lost)}  ping ${micros(p50)}/${micros(p99)} µs`;
}

/** A terminal that the table is drawn on again and again. */
export class Screen {
  readonly #stream: NodeJS.WriteStream;
  #drawn = 0;

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream;
    stream.write('\x1b[?25l');
  }

  /** Whether a terminal is there that a table of so many lines fits on. */
  static fits(stream: NodeJS.WriteStream, lines: number): boolean {
    // A stream that is no terminal has neither.
    const { isTTY, columns, rows } = stream as Partial<NodeJS.WriteStream>;
    return isTTY === true && process.env['TERM'] !== 'dumb' && (columns ?? 0) >= 80 && (rows ?? 0) > lines;
  }

  draw(lines: readonly string[]): void {
    const back = this.#drawn === 0 ? '' : `\x1b[${this.#drawn}A`;
    this.#stream.write(`${back}${lines.map((each) => `\x1b[2K${each}\n`).join('')}`);
    this.#drawn = lines.length;
  }

  /** Leaves the last table standing. */
  end(): void {
    this.#stream.write('\x1b[?25h');
  }
}
