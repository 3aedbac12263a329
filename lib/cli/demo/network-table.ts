// What the network demo shows: interfaces, routes, hosts. Functions of a snapshot, as in table.ts.

import { bitsPerSecond, clock, grouped, micros, packetsPerSecond } from '../format.js';
import type { PingState } from './namespace.js';
import type { HostSecond } from './table.js';

/** One interface in one second, as the API and the stats segment tell it. */
export interface InterfaceSecond {
  readonly name: string;
  readonly tag: string;
  readonly state: string;
  readonly address: string;
  readonly rxPackets: number;
  readonly rxBits: number;
  readonly txPackets: number;
  readonly txBits: number;
  /** Since the start. */
  readonly drops: number;
}

/** The network in one second. */
export interface NetworkSecond {
  readonly elapsed: number;
  /** Processor time of this process, workers included, in percent of one processor. */
  readonly processor: number;
  readonly interfaces: readonly InterfaceSecond[];
  readonly routes: readonly { readonly prefix: string; readonly via: string }[];
  readonly hosts: readonly HostSecond[];
  readonly ping: PingState | undefined;
  readonly withoutNamespaces: string | undefined;
}

interface Paint {
  bold: (text: string) => string;
  dim: (text: string) => string;
}

/** The lines of the table, 80 columns at most. */
export function networkTable(title: string, second: NetworkSecond, { bold, dim }: Paint): string[] {
  const lines = [`${bold('node-vpp demo')}  ${clock(second.elapsed)}  ${title}`, ''];
  lines.push(
    bold(
      'interface'.padEnd(12) +
        'of'.padEnd(7) +
        'state'.padEnd(8) +
        'address'.padEnd(17) +
        'receives'.padStart(12) +
        'sends'.padStart(12) +
        'drops'.padStart(10),
    ),
  );
  for (const one of second.interfaces) {
    lines.push(
      one.name.padEnd(12) +
        one.tag.padEnd(7) +
        one.state.padEnd(8) +
        one.address.padEnd(17) +
        packetsPerSecond(one.rxPackets).padStart(12) +
        packetsPerSecond(one.txPackets).padStart(12) +
        grouped(one.drops).padStart(10),
    );
  }
  lines.push('', bold('route'.padEnd(20) + 'via'));
  for (const { prefix, via } of second.routes) lines.push(prefix.padEnd(20) + via);
  lines.push('', bold('host'.padEnd(8) + 'receives'.padStart(12) + 'lost'.padStart(10) + '   ping p50, p99'));
  for (const host of second.hosts) {
    lines.push(
      host.role.padEnd(8) +
        packetsPerSecond(host.rxPackets).padStart(12) +
        grouped(host.lost + host.damaged).padStart(10) +
        `   ${micros(host.latency.p50)}, ${micros(host.latency.p99)} µs`,
    );
  }
  lines.push(
    second.ping === undefined
      ? dim(`left, right: ${second.withoutNamespaces ?? ''}`)
      : `${'left'.padEnd(8)}${grouped(second.ping.answered).padStart(12)} pings answered by right, last ` +
          `${micros(second.ping.lastUs)} µs${second.ping.problem === undefined ? '' : `; ${second.ping.problem}`}`,
    '',
    dim('processor time      ') + `${Math.round(second.processor)} % of one processor`,
  );
  return lines;
}

/** The same in one line. */
export function networkLine(second: NetworkSecond): string {
  const rates = second.interfaces.map(
    ({ name, rxPackets, rxBits }) => `${name} rx ${packetsPerSecond(rxPackets)} ${bitsPerSecond(rxBits)}`,
  );
  const lost = second.hosts.reduce((sum, host) => sum + host.lost + host.damaged, 0);
  const ping = second.ping === undefined ? '' : `  left ${grouped(second.ping.answered)} pings`;
  return `${`${Math.round(second.elapsed)} s`.padStart(5)}  ${rates.join('  ')}  lost ${grouped(lost)}${ping}`;
}
