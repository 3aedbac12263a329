// ARP and ping over a memif interface, by lib/net: what tells that the other end is an IP stack that works.

import type { Memif } from 'node-vpp/memif';
import { ArpOperation, ArpView, IcmpType, IcmpView, IpProtocol, Ipv4View, Layers } from 'node-vpp/net';
import { arpReplyFrame, arpRequestFrame, formatMac, icmpEchoFrame } from 'node-vpp/net';
import { copyPackets } from 'node-vpp/memif';
import { until } from './memif.js';

export const ourMac = '02:fe:00:00:00:09';

/** What a ping asks from whom. In ip mode packets begin with the IP header, and there is no ARP. */
export interface PingTarget {
  readonly from: string;
  readonly to: string;
  /** Bytes of payload of each request. */
  readonly sizes: readonly number[];
  readonly queue?: number;
}

/** Finds out a neighbour's MAC address; asks again every 200 ms. */
export async function resolveMac(memif: Memif, from: string, to: string): Promise<string> {
  const request = arpRequestFrame({ senderMac: ourMac, senderIp: from, targetIp: to });
  const arp = new ArpView();
  const layers = new Layers();
  let found = '';
  let asked = 0;
  await until(
    `${to} answers ARP`,
    () => {
      if (performance.now() - asked > 200) {
        asked = performance.now();
        memif.send(request);
      }
      for (const frame of memif.rx.flatMap((queue) => copyPackets(queue, 64))) {
        if (!layers.at(frame, 0, frame.length) || !arp.at(frame, layers.networkOffset)) continue;
        if (arp.operation === ArpOperation.REPLY && arp.senderIp === to) found = arp.senderMac;
      }
      return found !== '';
    },
    8000,
  );
  return found;
}

/** Pings; resolves with the payloads' sizes for which the right answer came, in the order of the answers. */
export async function ping(memif: Memif, target: PingTarget): Promise<number[]> {
  const { from, to, sizes, queue = 0 } = target;
  const ip = memif.mode === 'ip';
  const mac = ip ? '02:00:00:00:00:00' : await resolveMac(memif, from, to);
  const head = ip ? 14 : 0;
  const payload = (size: number): Uint8Array => Uint8Array.from({ length: size }, (_, i) => (size + i * 3) & 255);
  for (const [sequence, size] of sizes.entries()) {
    const frame = icmpEchoFrame({
      sourceMac: ourMac,
      destinationMac: mac,
      source: from,
      destination: to,
      identifier: 77,
      sequence,
      payload: payload(size),
    });
    memif.send(frame.subarray(head), { queue });
  }
  const answered: number[] = [];
  const arp = new ArpView();
  const layers = new Layers();
  const ipv4 = new Ipv4View();
  const icmp = new IcmpView();
  const look = (bytes: Uint8Array): void => {
    // In ip mode: an Ethernet header in front, so that one reader does for both.
    let frame = bytes;
    if (ip) {
      frame = new Uint8Array(14 + bytes.length);
      frame.set([8, 0], 12);
      frame.set(bytes, 14);
    }
    if (!layers.at(frame, 0, frame.length)) return;
    if (!ip && arp.at(frame, layers.networkOffset) && arp.operation === ArpOperation.REQUEST && arp.targetIp === from) {
      const back = { targetMac: formatMac(frame, 6), targetIp: arp.senderIp };
      memif.send(arpReplyFrame({ senderMac: ourMac, senderIp: from, ...back }));
      return;
    }
    if (layers.protocol !== IpProtocol.ICMP || !layers.hasTransport) return;
    if (!ipv4.at(frame, layers.networkOffset) || ipv4.destination !== from || ipv4.source !== to) return;
    if (!icmp.at(frame, layers.transportOffset, layers.transportLength)) return;
    if (icmp.type !== IcmpType.ECHO_REPLY || icmp.identifier !== 77 || !icmp.checksumOk) return;
    const got = frame.subarray(icmp.payloadOffset, icmp.payloadOffset + icmp.payloadLength);
    const size = sizes[icmp.sequence];
    if (size !== undefined && Buffer.compare(got, payload(size)) === 0) answered.push(size);
  };
  await until(
    `${to} answers ${sizes.length} pings`,
    () => {
      for (const each of memif.rx.flatMap((rx) => copyPackets(rx, 256))) look(each);
      return answered.length >= sizes.length;
    },
    30_000,
  ).catch((error: unknown) => {
    throw new Error(`${(error as Error).message}: ${answered.join(' ')}`, { cause: error });
  });
  return answered;
}
