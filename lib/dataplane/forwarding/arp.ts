// arp-input and arp-reply: answers for addresses of ours, learns from answers, asks for others; and the same answers in
// place of the hosts of a bridge domain (ARP termination).

import { REWRITE, writeEthernet } from './adjacency.js';
import { NO_INTERFACE } from './control.js';
import { FibSource } from './control.js';
import { Node } from './graph.js';
import type { BridgeDomain } from './l2.js';
import type { Neighbours } from './neighbours.js';
import { wordsOf } from './paths.js';
import type { Plane } from './plane.js';
import type { Routing } from './routing.js';

export const BROADCAST = new Uint8Array(6).fill(255);
const ARP = 28;

/** Reads 32 bits. */
const word = (bytes: Uint8Array, at: number): number =>
  ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;

/** Writes an ARP packet for Ethernet and IPv4. */
function writeArp(
  bytes: Uint8Array,
  at: number,
  operation: number,
  sender: Uint8Array,
  senderIp: Uint8Array,
  target: Uint8Array,
  targetIp: Uint8Array,
): void {
  bytes.set([0, 1, 8, 0, 6, 4, 0, operation], at);
  bytes.set(sender, at + 8);
  bytes.set(senderIp, at + 14);
  bytes.set(target, at + 18);
  bytes.set(targetIp, at + 24);
}

export function macOf(plane: Plane, swIfIndex: number): Uint8Array {
  const high = plane.interfaces.macHigh[swIfIndex]!;
  const low = plane.interfaces.macLow[swIfIndex]!;
  return Uint8Array.of(high >>> 8, high, low >>> 24, low >>> 16, low >>> 8, low);
}

export function defineArp(plane: Plane, routing: Routing, neighbours: Neighbours): void {
  const { vector, graph, interfaces } = plane;
  const input = 'arp-input';
  const reply = 'arp-reply';
  const errors = {
    short: graph.error(input, 'too_short', 'ARP packet too short'),
    type: graph.error(input, 'l2_type_not_ethernet', 'L2 type not ethernet'),
    protocol: graph.error(input, 'l3_type_not_ip4', 'L3 type not IP4'),
    unset: graph.error(input, 'l3_dst_address_unset', 'IP4 destination address is unset'),
    disabled: graph.error(input, 'disabled', 'ARP Disabled'),
    sourceLocal: graph.error(reply, 'l3_src_address_is_local', 'IP4 source address matches local interface'),
    sourceForeign: graph.error(reply, 'l3_src_address_not_local', 'IP4 source address not local to subnet'),
    target: graph.error(reply, 'l3_dst_address_not_local', 'IP4 destination address not local'),
    mismatch: graph.error(reply, 'l2_address_mismatch', 'ARP hw addr does not match L2 frame src addr'),
    unnumbered: graph.error(reply, 'unnumbered_mismatch', 'RX interface is unnumbered to different subnet'),
    learned: graph.error(reply, 'l3_src_address_learned', 'ARP request IP4 source address learned', 'info'),
    sent: graph.error(reply, 'replies_sent', 'ARP replies sent', 'info'),
  };

  const process = (queue: Uint16Array, count: number): void => {
    for (let i = 0; i < count; i++) answer(queue[i]!);
  };

  const answer = (p: number): void => {
    const at = vector.l3[p]!;
    const frame = vector.offset[p]!;
    if (at + ARP > frame + vector.length[p]!) {
      graph.drop(p, errors.short);
      return;
    }
    // Looked at once: the sender may go on writing.
    const arp = vector.bytes.slice(at, at + ARP);
    const sourceMac = vector.bytes.slice(frame + 6, frame + 12);
    const rx = vector.rx[p]!;
    const senderIp = word(arp, 14);
    const targetIp = word(arp, 24);
    if (arp[0] !== 0 || arp[1] !== 1) graph.drop(p, errors.type);
    else if (arp[2] !== 8 || arp[3] !== 0 || arp[4] !== 6 || arp[5] !== 4) graph.drop(p, errors.protocol);
    else if (senderIp === 0) graph.drop(p, errors.unset);
    else if (interfaces.ip4Enabled[rx] === 0) graph.drop(p, errors.disabled);
    else respond(p, rx, arp, sourceMac, senderIp, targetIp);
  };

  const respond = (
    p: number,
    rx: number,
    arp: Uint8Array,
    sourceMac: Uint8Array,
    senderIp: number,
    targetIp: number,
  ): void => {
    const table = routing.tableOf(rx, false);
    if (routing.ownerOf(table, [senderIp]) !== NO_INTERFACE) {
      graph.drop(p, errors.sourceLocal);
      return;
    }
    const owner = routing.ownerOf(table, [targetIp]);
    const sender = arp.slice(14, 18);
    const borrowed = interfaces.unnumbered[rx]!;
    const borrows = borrowed !== NO_INTERFACE && borrowed === owner;
    if (!attached(table, sender) && !borrows) {
      graph.drop(p, errors.sourceForeign);
      return;
    }
    const isReply = arp[7] === 2;
    const target = arp.slice(24, 28);
    // A gratuitous one renews what is known, and no more.
    if (senderIp === targetIp) {
      const known = neighbours.entries4.get(keyOf(rx, sender));
      if (known !== undefined && matches(sourceMac, arp)) {
        neighbours.learn(rx, sender, arp.slice(8, 14));
        graph.drop(p, errors.learned);
      } else graph.drop(p, errors.target);
      return;
    }
    if (owner === NO_INTERFACE && !routing.isConnected(table, target, rx)) {
      graph.drop(p, errors.target);
      return;
    }
    if (!matches(sourceMac, arp)) {
      graph.drop(p, errors.mismatch);
      return;
    }
    if (isReply) {
      if (owner === NO_INTERFACE) graph.drop(p, errors.target);
      else {
        neighbours.learn(rx, sender, arp.slice(8, 14));
        graph.drop(p, errors.learned);
      }
      return;
    }
    if (owner === NO_INTERFACE) {
      graph.drop(p, errors.target);
      return;
    }
    if (owner !== rx && !borrows) {
      graph.drop(p, errors.unnumbered);
      return;
    }
    if (!routing.isConnected(table, sender, rx) && !borrows) {
      graph.drop(p, errors.unnumbered);
      return;
    }
    neighbours.learn(rx, sender, arp.slice(8, 14));
    graph.errorCounts[errors.sent]!++;
    send(rx, arp.slice(8, 14), 2, target, arp.slice(8, 14), sender);
  };

  const keyOf = (swIfIndex: number, address: Uint8Array): string => `${swIfIndex}/${String.fromCharCode(...address)}`;
  const matches = (mac: Uint8Array, arp: Uint8Array): boolean => {
    for (let i = 0; i < 6; i++) if (mac[i] !== arp[8 + i]) return false;
    return true;
  };

  /** Whether some prefix that covers an address is connected, or it is a neighbour. */
  const attached = (table: ReturnType<Routing['tableOf']>, address: Uint8Array): boolean => {
    const words = wordsOf(address);
    for (let length = 33; ;) {
      const entry = table.cover(words, length);
      if (entry < 0) return false;
      length = routing.entries.length[entry]!;
      if (length === 0) return false;
      const { source } = routing.entries;
      if (source[entry] === FibSource.adjacency) return true;
      const said = routing.entries.says(entry, FibSource.interface);
      const kind = said === undefined ? undefined : routing.paths.lists[said]?.paths[0]?.kind;
      if (kind === 'glean') return true;
    }
  };

  const send = (
    swIfIndex: number,
    to: Uint8Array,
    operation: number,
    senderIp: Uint8Array,
    target: Uint8Array,
    targetIp: Uint8Array,
  ): boolean => {
    const p = plane.make(REWRITE + ARP, swIfIndex);
    if (p < 0) return false;
    const at = vector.offset[p]!;
    const header = writeEthernet(interfaces, swIfIndex, to, 0x0806, vector.bytes, at);
    writeArp(vector.bytes, at + header, operation, macOf(plane, swIfIndex), senderIp, target, targetIp);
    vector.length[p] = header + ARP;
    vector.l3[p] = at + header;
    vector.etherType[p] = 0x0806;
    plane.sendFrame(p, swIfIndex);
    return true;
  };

  neighbours.probe4 = (swIfIndex, address, mac) => {
    const source = routing.sourceAddress(swIfIndex, address);
    if (source === undefined || interfaces.up[swIfIndex] !== 1) return false;
    return send(swIfIndex, mac ?? BROADCAST, 1, source, new Uint8Array(6), address);
  };

  const resolve = (queue: Uint16Array, count: number): void => {
    for (let i = 0; i < count; i++) {
      const p = queue[i]!;
      const value = vector.adjacency[p]!;
      // The destination itself on an interface (glean), or the next hop of an adjacency.
      if (value >= GLEAN) {
        const at = vector.l3[p]! + 16;
        neighbours.resolve(p, value - GLEAN, vector.bytes.slice(at, at + 4));
        continue;
      }
      const { adjacencies } = routing;
      const address = adjacencies.address[value];
      if (address === undefined) plane.noBuffer(p);
      else if (adjacencies.complete[value] === 1) graph.enqueue(Node.ip4Rewrite, p);
      else neighbours.resolve(p, adjacencies.interface[value]!, address);
    }
  };

  graph.define(Node.arpInput, process, (p) => {
    const bytes = vector.bytes;
    const at = vector.l3[p]!;
    const ip = (from: number): string => Array.from(bytes.subarray(from, from + 4)).join('.');
    return `${bytes[at + 7] === 1 ? 'request' : 'reply'}, ${ip(at + 14)} -> ${ip(at + 24)}`;
  });
  graph.define(Node.ip4Arp, resolve, (p) => `adjacency ${vector.adjacency[p]!}`);
}

/** Marks an interface number in `Vector.adjacency`. */
export const GLEAN = 0x8000_0000;

/** Answers in place of a bridge's host; true when it did. */
export function terminateArp(plane: Plane, p: number, domain: BridgeDomain): boolean {
  const { vector, graph } = plane;
  const at = vector.l3[p]!;
  if (vector.etherType[p] !== 0x0806 || at + ARP > vector.offset[p]! + vector.length[p]!) return false;
  const arp = vector.bytes.slice(at, at + ARP);
  if (arp[1] !== 1 || arp[2] !== 8 || arp[3] !== 0 || arp[7] !== 1) return false;
  const mac = domain.arp.get(String.fromCharCode(...arp.subarray(24, 28)));
  if (mac === undefined) return false;
  const header = at - vector.offset[p]!;
  const q = plane.make(header + ARP, vector.rx[p]!);
  if (q < 0) return false;
  const to = vector.offset[q]!;
  const { bytes } = vector;
  // The tags stay as they were.
  bytes.set(vector.bytes.subarray(vector.offset[p], at), to);
  bytes.set(arp.subarray(8, 14), to);
  bytes.set(mac, to + 6);
  writeArp(bytes, to + header, 2, mac, arp.slice(24, 28), arp.slice(8, 14), arp.slice(14, 18));
  vector.length[q] = header + ARP;
  vector.l3[q] = to + header;
  vector.etherType[q] = 0x0806;
  vector.tx[q] = vector.rx[p]!;
  graph.enqueue(Node.l2Output, q);
  return true;
}
