// A port that is watched: every packet both ways as a line of text, as pcapng, or as both.
//
//   user --send--> [ trace ] --send--> port            out   after the port has taken the packet
//   user <-------- [ trace ] <-------- port            in    before the user sees it
//                      |
//                      +--> write(line)    12:00:00.000000001 in  02:fe:… > 02:fe:…, IPv4 …
//                      +--> pcapng.write(block)   with direction and nanoseconds
//
// The packets themselves pass unchanged: what is watched is never copied, held back or reordered.

import { type Direction, LinkType, PcapngWriter, describeFrame } from '../net/index.js';
import type { PacketPort } from './port.js';

/** Takes the bytes of a pcapng file, block by block; any writable stream is one. */
export interface PcapngSink {
  /** When this returns a promise, the next packets are received only after it has settled. */
  write(block: Uint8Array): unknown;
}

/** Where a trace goes. At least one of `write` and `pcapng` makes sense. */
export interface TraceOptions {
  /**
   * Takes one line per packet, without a line feed. When it returns a promise, the next packets are received only after
   * that has settled.
   */
  write?: (line: string) => unknown;
  /** Takes a pcapng section: a header at once, then one block per packet, with its direction. */
  pcapng?: PcapngSink;
  /** Name of the interface in the pcapng section. */
  name?: string;
  /** Most bytes of a packet that are kept in the pcapng section. Default 0: all. */
  snapLength?: number;
  /** What a packet begins with: `LinkType.ETHERNET` (default), or `LinkType.RAW` for a port in mode `ip`. */
  linkType?: number;
  /** The time in nanoseconds since 1970. Default: the system's clock. */
  nowNs?: () => bigint;
}

/** Packets and bytes seen, by direction. */
export interface TraceCounters {
  sent: number;
  sentBytes: number;
  received: number;
  receivedBytes: number;
}

/** The system's time, as fine as the monotonic clock: two packets get two times. */
function systemClock(): () => bigint {
  const offset = BigInt(Date.now()) * 1_000_000n - process.hrtime.bigint();
  return () => offset + process.hrtime.bigint();
}

/** `12:00:00.000000001`, in UTC. */
function timeOfDay(ns: bigint): string {
  const second = new Date(Number(ns / 1_000_000n)).toISOString().slice(11, 19);
  return `${second}.${(ns % 1_000_000_000n).toString().padStart(9, '0')}`;
}

/**
 * Wraps a port so that every packet through it is written down.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { arpRequestFrame } from 'node-vpp/net';
 * import { loopback, trace } from 'node-vpp/testing';
 *
 * const pair = await loopback();
 * const lines: string[] = [];
 * const watched = trace(pair.client, { write: (line) => lines.push(line), nowNs: () => 1n });
 * watched.send(arpRequestFrame({ senderMac: '02:fe:00:00:00:01', senderIp: '10.0.0.1', targetIp: '10.0.0.2' }));
 * assert.deepEqual(lines, [
 *   '00:00:00.000000001 out 02:fe:00:00:00:01 > ff:ff:ff:ff:ff:ff, ' +
 *     'ARP, request who-has 10.0.0.2 tell 10.0.0.1, length 28',
 * ]);
 * await pair.close();
 * ```
 */
export function trace(port: PacketPort, options: TraceOptions): TracedPort {
  return new TracedPort(port, options);
}

/** A port that is watched; made by `trace`. */
export class TracedPort implements PacketPort {
  readonly counters: TraceCounters = { sent: 0, sentBytes: 0, received: 0, receivedBytes: 0 };
  readonly #port: PacketPort;
  readonly #write: ((line: string) => unknown) | undefined;
  readonly #sink: PcapngSink | undefined;
  readonly #writer = new PcapngWriter();
  readonly #linkType: number;
  readonly #nowNs: () => bigint;
  readonly #startNs: bigint;

  /** @internal */
  constructor(port: PacketPort, options: TraceOptions) {
    this.#port = port;
    this.#write = options.write;
    this.#sink = options.pcapng;
    this.#linkType = options.linkType ?? LinkType.ETHERNET;
    this.#nowNs = options.nowNs ?? systemClock();
    this.#startNs = this.#nowNs();
    if (this.#sink === undefined) return;
    this.#sink.write(this.#writer.section({ application: 'node-vpp' }));
    this.#sink.write(
      this.#writer.interface({
        linkType: this.#linkType,
        snapLength: options.snapLength ?? 0,
        ...(options.name === undefined ? {} : { name: options.name }),
      }),
    );
  }

  /** As the port's; what it refuses by throwing is not written down. */
  send(packets: Uint8Array | readonly Uint8Array[]): boolean {
    const list = packets instanceof Uint8Array ? [packets] : packets;
    const free = this.#port.send(list);
    for (const packet of list) {
      this.counters.sent++;
      this.counters.sentBytes += packet.length;
      void this.#record(packet, 'outbound');
    }
    return free;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array[], void, void> {
    for await (const packets of this.#port) {
      const pending: unknown[] = [];
      for (const packet of packets) {
        this.counters.received++;
        this.counters.receivedBytes += packet.length;
        pending.push(...this.#record(packet, 'inbound'));
      }
      if (pending.length > 0) await Promise.all(pending);
      yield packets;
    }
  }

  /** Writes down the counters as a pcapng statistics block; call it last. */
  finish(): void {
    if (this.#sink === undefined) return;
    this.#sink.write(
      this.#writer.statistics(0, {
        timestampNs: this.#nowNs(),
        startTimeNs: this.#startNs,
        endTimeNs: this.#nowNs(),
        received: BigInt(this.counters.received),
      }),
    );
  }

  /** Closes the port; the sink stays open. */
  close(): Promise<void> {
    return this.#port.close();
  }

  /** Gives the promises of those that want to be waited for. */
  #record(bytes: Uint8Array, direction: Direction): unknown[] {
    const timestampNs = this.#nowNs();
    const pending: unknown[] = [];
    if (this.#write !== undefined) {
      const way = direction === 'inbound' ? 'in ' : 'out';
      const text = describeFrame(bytes, { linkType: this.#linkType });
      const written = this.#write(`${timeOfDay(timestampNs)} ${way} ${text}`);
      if (written instanceof Promise) pending.push(written);
    }
    if (this.#sink !== undefined) {
      const written = this.#sink.write(this.#writer.packet({ interfaceId: 0, timestampNs, bytes, direction }));
      if (written instanceof Promise) pending.push(written);
    }
    return pending;
  }
}
