// `node-vpp memif send`: packets given in hexadecimal, from a capture, or generated; UDP flows or pings with their times.

import { setTimeout as sleep } from 'node:timers/promises';
import { ArgumentTypeError, MemifError } from '../../errors.js';
import { BROADCAST_MAC } from '../../net/index.js';
import { grouped, micros } from '../format.js';
import { count as countTime, newHistogram, percentiles } from '../latency.js';
import { stopSignal } from '../stop.js';
import { Endpoint } from './endpoint.js';
import { Host } from './host.js';
import { type InterfaceFlags, openFrom } from './open.js';
import { sendPaced, settle } from './pace.js';
import { type Shape, forMode, ping, readReplay, udpFlows } from './packets.js';
import { Reporter, reportState } from './report.js';

/** Where generated packets come from and go to. */
export interface AddressFlags {
  source: string;
  destination: string;
  sourceMac: string;
  destinationMac?: string;
}

export interface SendFlags extends InterfaceFlags, AddressFlags {
  hex?: Uint8Array[];
  pcap?: string;
  udp?: boolean;
  icmp?: boolean;
  sourcePort: number;
  destinationPort: number;
  flows: number;
  size: number;
  count?: number;
  rate?: number;
  wait: number;
}

/** Pings are told from those of others by this. */
const identifier = process.pid & 0xffff;

/** The MAC address of the destination: as given, or found out by ARP or neighbor discovery. */
export async function destinationMacOf(
  endpoint: Endpoint,
  flags: AddressFlags,
  signal: AbortSignal,
): Promise<string | undefined> {
  if (flags.destinationMac !== undefined) return flags.destinationMac;
  if (endpoint.memif.mode === 'ip') return '00:00:00:00:00:00';
  return endpoint.resolve(flags.destination, { signal });
}

export async function send(socket: string, flags: SendFlags): Promise<void> {
  const kinds = [flags.hex, flags.pcap, flags.udp, flags.icmp].filter((kind) => kind !== undefined);
  if (kinds.length !== 1) {
    throw new ArgumentTypeError('sending packets: say which, with one of --hex, --pcap, --udp and --icmp');
  }
  const stop = stopSignal();
  const reporter = new Reporter(flags);
  const replay =
    flags.pcap === undefined
      ? undefined
      : await readReplay(flags.pcap, flags.mode, { destinationMac: BROADCAST_MAC, ...flags });
  const memif = openFrom(socket, flags);
  try {
    reportState(memif, reporter);
    await memif.up({ signal: stop, timeoutMs: flags.wait * 1000 });
    const endpoint = new Endpoint(
      memif,
      new Host({ mac: flags.sourceMac, addresses: [flags.source], mode: flags.mode }),
    );
    const times = newHistogram();
    const sentAt = new Float64Array(0x10000);
    let replies = 0;
    endpoint.onReply = (host) => {
      const at = sentAt[host.sequence]!;
      if (host.identifier !== identifier || at === 0) return;
      sentAt[host.sequence] = 0;
      replies++;
      const us = (performance.now() - at) * 1000;
      countTime(times, us * 1000);
      if (flags.rate === undefined) {
        const text = `${host.payloadLength + 8} bytes from ${flags.destination}: seq ${host.sequence} time ${micros(us)} µs`;
        reporter.say('reply', text, { sequence: host.sequence, us });
      }
    };

    let next: (index: number) => Uint8Array;
    let total = flags.count;
    if (flags.udp === true || flags.icmp === true) {
      const destinationMac = await destinationMacOf(endpoint, flags, stop);
      if (destinationMac === undefined) {
        throw new MemifError(
          'TIMEOUT',
          `sending to ${flags.destination}: nobody answered ARP or neighbor discovery for it; give --destination-mac`,
        );
      }
      const shape: Shape = { ...flags, destinationMac };
      const packets = udpFlows(shape, flags.flows, flags.sourcePort, flags.destinationPort);
      const pings = (index: number): Uint8Array => {
        const sequence = index & 0xffff;
        const frame = ping(shape, identifier, sequence);
        sentAt[sequence] = performance.now();
        return forMode(frame, flags.mode);
      };
      next = flags.icmp === true ? pings : (index) => forMode(packets[index % packets.length]!, flags.mode);
      total ??= flags.icmp === true ? 4 : packets.length;
    } else {
      const packets = replay?.packets ?? flags.hex!;
      next = (index) => packets[index % packets.length]!;
      total ??= packets.length;
    }

    const started = performance.now();
    const rate = flags.rate ?? (flags.icmp === true ? 1 : Infinity);
    const failed = new Promise<never>((_, reject) => memif.once('error', reject));
    const sent = await Promise.race([sendPaced(memif, next, { total, rate, signal: stop }), failed]);
    const seconds = (performance.now() - started) / 1000;
    const left = await settle(memif);
    for (let i = 0; i < 100 && flags.icmp === true && replies < sent && !stop.aborted; i++) await sleep(10);

    const skipped = replay === undefined || replay.skipped === 0 ? '' : `, ${grouped(replay.skipped)} left out`;
    const notTaken = left === 0 ? '' : `, ${grouped(left)} not taken by the peer`;
    const { samples, p50, p99 } = percentiles(times);
    const answers =
      flags.icmp === true
        ? `; ${grouped(replies)} answered${samples === 0 ? '' : `, p50 ${micros(p50)} µs, p99 ${micros(p99)} µs`}`
        : '';
    reporter.say('sent', `${grouped(sent)} packets in ${seconds.toFixed(2)} s${skipped}${notTaken}${answers}`, {
      packets: sent,
      seconds,
      leftOut: replay?.skipped ?? 0,
      notTaken: left,
      ...(flags.icmp === true ? { replies, p50us: samples === 0 ? null : p50, p99us: samples === 0 ? null : p99 } : {}),
    });
    if (sent < total) stop.throwIfAborted();
    if (left > 0 || (flags.icmp === true && replies === 0)) process.exitCode = 1;
  } finally {
    await memif.close();
  }
}
