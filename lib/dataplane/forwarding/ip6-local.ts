// IPv6 that ends or begins here: ip6-local, ICMPv6 with neighbour discovery, ICMP errors, fragments.

import { transportChecksum } from '../../net/index.js';
import { REWRITE, writeEthernet } from './adjacency.js';
import { macOf } from './arp.js';
import { NO_INTERFACE } from './control.js';
import { Node } from './graph.js';
import type { BridgeDomain } from './l2.js';
import type { Neighbours } from './neighbours.js';
import { Dpo, wordsOf } from './paths.js';
import type { Plane } from './plane.js';
import type { Reassembly } from './reassembly.js';
import type { Routing } from './routing.js';
import { Throttle } from './throttle.js';
import { isLinkLocal, sameBytes } from './values.js';
import { Flag } from './vector.js';

const HEADER = 40;
const ICMP6 = 58;
/** The least MTU of IPv6: no ICMP error is longer. */
const ERROR_LENGTH = 1280;
const LONGEST_FRAGMENT = 2048;
/** Solicitation or advertisement: header, target, one option. */
const ND = 24;
const ND_OPTION = 8;

const get16 = (bytes: Uint8Array, at: number): number => (bytes[at]! << 8) | bytes[at + 1]!;
const put16 = (bytes: Uint8Array, at: number, value: number): void => {
  bytes[at] = value >>> 8;
  bytes[at + 1] = value;
};
const isUnset = (address: Uint8Array): boolean => address.every((byte) => byte === 0);
const isExtension = (protocol: number): boolean => protocol === 0 || protocol === 43 || protocol === 60;

/** Writes the checksum of the ICMPv6 message behind a fixed header. */
function putIcmpChecksum(bytes: Uint8Array, ip: number, at: number, length: number): void {
  put16(bytes, at + 2, 0);
  put16(bytes, at + 2, transportChecksum(bytes, ip, ICMP6, at, length));
}

export function defineIp6Local(plane: Plane, routing: Routing, neighbours: Neighbours, reassembly: Reassembly): void {
  const { vector, graph, interfaces } = plane;
  const node = 'ip6-local';
  const errors = {
    unknown: graph.error(node, 'unknown_protocol', 'unknown ip protocol'),
    checksum: graph.error(node, 'udp_checksum', 'bad udp, tcp or icmp checksum'),
    length: graph.error(node, 'udp_length', 'inconsistent udp/ip lengths'),
    miss: graph.error(node, 'src_lookup_miss', 'ip6 source lookup miss'),
    noPort: graph.error('ip6-udp-lookup', 'no_listener', 'no listener for dst port'),
    type: graph.error('ip6-icmp-input', 'unknown_type', 'unknown type'),
    short: graph.error('ip6-icmp-input', 'length_too_small_for_type', 'payload length too small for type'),
    hopLimit: graph.error('ip6-icmp-input', 'invalid_hop_limit_for_type', 'hop_limit != 255'),
    echo: graph.error('ip6-icmp-echo-request', 'echo_replies_sent', 'echo replies sent', 'info'),
    onLink: graph.error(
      'icmp6-neighbor-solicitation',
      'neighbor_solicitation_source_not_on_link',
      'source not on link',
    ),
    target: graph.error('icmp6-neighbor-solicitation', 'neighbor_solicitation_source_unknown', 'target is unknown'),
    advertised: graph.error(
      'icmp6-neighbor-solicitation',
      'neighbor_advertisements_tx',
      'neighbor advertisements sent',
      'info',
    ),
    learned: graph.error(
      'icmp6-neighbor-advertisement',
      'neighbor_advertisements_rx',
      'neighbor advertisements received',
      'info',
    ),
    throttled: graph.error('ip6-icmp-error', 'drop', 'error message dropped'),
    sent: graph.error('ip6-icmp-error', 'errors_sent', 'errors sent', 'info'),
    fragments: graph.error('ip6-frag', 'fragment_sent', 'number of sent fragments', 'info'),
    malformed: graph.error('ip6-frag', 'malformed', 'malformed packet'),
  };
  let fragmentId = 0;
  const throttle = new Throttle(1);

  const local = (queue: Uint16Array, count: number): void => {
    for (let i = 0; i < count; i++) {
      const p = queue[i]!;
      const at = vector.l3[p]!;
      const bytes = vector.bytes;
      const end = at + HEADER + get16(bytes, at + 4);
      let protocol = bytes[at + 6]!;
      let l4 = at + HEADER;
      // Options in front of what is meant for us are passed over, a few of them.
      for (let n = 0; n < 8 && isExtension(protocol) && l4 + 8 <= end; n++) {
        protocol = bytes[l4]!;
        l4 += (bytes[l4 + 1]! + 1) * 8;
      }
      if (end > vector.offset[p]! + vector.length[p]! || l4 > end) {
        graph.drop(p, errors.length);
        continue;
      }
      if (protocol === 44) {
        reassembly.take6(p, l4);
        continue;
      }
      const size = end - l4;
      if (protocol === 6 || protocol === 17 || protocol === ICMP6) {
        if (size < 8 || (protocol === 17 && get16(bytes, l4 + 4) > size)) {
          graph.drop(p, errors.length);
          continue;
        }
        const trusted = (vector.flags[p]! & Flag.offload) !== 0 || (protocol === 17 && get16(bytes, l4 + 6) === 0);
        if (!trusted && transportChecksum(bytes, at, protocol, l4, size) !== 0) {
          graph.drop(p, errors.checksum);
          continue;
        }
      }
      if (protocol !== ICMP6 && !isLinkLocal(bytes.subarray(at + 8, at + 24))) {
        const table = routing.tables[vector.domain[p]!];
        if (table === undefined || routing.firstOf(table, wordsOf(bytes.subarray(at + 8, at + 24))).kind === Dpo.drop) {
          graph.drop(p, errors.miss);
          continue;
        }
      }
      if (protocol === ICMP6 && l4 === at + HEADER) graph.enqueue(Node.ip6IcmpInput, p);
      else if (protocol === 17 && bytes[at + 24] !== 0xff) {
        graph.errorCounts[errors.noPort]!++;
        vector.icmp[p] = (1 << 8) | 4;
        vector.icmpData[p] = 0;
        graph.enqueue(Node.ip6IcmpError, p);
      } else {
        graph.errorCounts[errors.unknown]!++;
        graph.enqueue(Node.punt, p);
      }
    }
  };

  const icmpInput = (queue: Uint16Array, count: number): void => {
    for (let i = 0; i < count; i++) {
      const p = queue[i]!;
      const at = vector.l3[p]!;
      // Looked at once: the sender may go on writing.
      const packet = vector.bytes.slice(
        at,
        Math.min(vector.offset[p]! + vector.length[p]!, at + HEADER + get16(vector.bytes, at + 4)),
      );
      const type = packet[HEADER]!;
      if (type === 128) echo(p, packet);
      else if (type === 135 || type === 136) {
        if (packet.length < HEADER + ND) graph.drop(p, errors.short);
        else if (packet[7] !== 255) graph.drop(p, errors.hopLimit);
        else if (type === 135) solicited(p, packet);
        else advertised(p, packet);
      } else {
        graph.errorCounts[errors.type]!++;
        graph.enqueue(Node.punt, p);
      }
    }
  };

  const echo = (p: number, packet: Uint8Array): void => {
    const q = plane.make(packet.length, vector.rx[p]!);
    if (q < 0) {
      plane.noBuffer(p);
      return;
    }
    const { bytes } = vector;
    const to = vector.offset[q]!;
    bytes.set(packet, to);
    bytes.set(packet.subarray(8, 24), to + 24);
    // A request to a group is answered by one of us.
    const group = packet[24] === 0xff;
    const source = group ? routing.sourceAddress(vector.rx[p]!, packet.slice(8, 24)) : packet.subarray(24, 40);
    if (source === undefined) {
      graph.drop(p, errors.target);
      return;
    }
    bytes.set(source, to + 8);
    put16(bytes, to + 4, packet.length - HEADER);
    bytes[to + 7] = 64;
    bytes[to + HEADER] = 129;
    putIcmpChecksum(bytes, to, to + HEADER, packet.length - HEADER);
    vector.l3[q] = to;
    vector.flags[q] = Flag.local;
    vector.domain[q] = vector.domain[p]!;
    vector.hops[q] = vector.hops[p]!;
    graph.errorCounts[errors.echo]!++;
    graph.enqueue(Node.ip6Lookup, q);
  };

  /** The link-layer address in the one option that a packet may have. */
  const optionOf = (packet: Uint8Array, type: number): Uint8Array | undefined => {
    const at = HEADER + ND;
    if (packet.length !== at + ND_OPTION || packet[at] !== type || packet[at + 1] !== 1) return undefined;
    return packet.slice(at + 2, at + 8);
  };

  const isOnLink = (swIfIndex: number, address: Uint8Array): boolean =>
    isLinkLocal(address) || routing.isConnected(routing.tableOf(swIfIndex, true), address, swIfIndex);

  const solicited = (p: number, packet: Uint8Array): void => {
    const rx = vector.rx[p]!;
    const source = packet.slice(8, 24);
    const target = packet.slice(48, 64);
    const unset = isUnset(source);
    if (!unset && !isOnLink(rx, source)) {
      graph.drop(p, errors.onLink);
      return;
    }
    const mac = optionOf(packet, 1);
    const state = interfaces.get(rx);
    if (mac !== undefined && !unset) neighbours.learn(rx, source, mac);
    const ours = isLinkLocal(target)
      ? state.linkLocal !== undefined && sameBytes(state.linkLocal, target)
      : routing.ownerOf(routing.tableOf(rx, true), wordsOf(target)) !== NO_INTERFACE;
    if (!ours) {
      graph.drop(p, errors.target);
      return;
    }
    const frame = vector.offset[p]!;
    const sender = vector.bytes.slice(frame + 6, frame + 12);
    const allNodes = new Uint8Array(16);
    allNodes.set([0xff, 0x02]);
    allNodes[15] = 1;
    graph.errorCounts[errors.advertised]!++;
    // Solicited and override; the option only when the question had one, as VPP does.
    sendNd(rx, sender, target, unset ? allNodes : source, 136, 0x60, target, mac === undefined ? undefined : 2);
  };

  const advertised = (p: number, packet: Uint8Array): void => {
    const target = packet.slice(48, 64);
    const rx = vector.rx[p]!;
    const mac = optionOf(packet, 2);
    if (!isUnset(packet.subarray(8, 24)) && !isOnLink(rx, packet.slice(8, 24))) graph.drop(p, errors.onLink);
    else {
      if (mac !== undefined && isOnLink(rx, target)) neighbours.learn(rx, target, mac);
      graph.drop(p, errors.learned);
    }
  };

  const sendNd = (
    swIfIndex: number,
    mac: Uint8Array,
    source: Uint8Array,
    destination: Uint8Array,
    type: number,
    flags: number,
    target: Uint8Array,
    option: number | undefined,
  ): boolean => {
    const size = ND + (option === undefined ? 0 : ND_OPTION);
    const p = plane.make(REWRITE + HEADER + size, swIfIndex);
    if (p < 0) return false;
    const { bytes } = vector;
    const at = vector.offset[p]!;
    const ip = at + writeEthernet(interfaces, swIfIndex, mac, 0x86dd, bytes, at);
    const icmp = ip + HEADER;
    bytes.fill(0, ip, icmp + size);
    bytes[ip] = 0x60;
    put16(bytes, ip + 4, size);
    bytes[ip + 6] = ICMP6;
    bytes[ip + 7] = 255;
    bytes.set(source, ip + 8);
    bytes.set(destination, ip + 24);
    bytes[icmp] = type;
    bytes[icmp + 4] = flags;
    bytes.set(target, icmp + 8);
    if (option !== undefined) {
      bytes[icmp + ND] = option;
      bytes[icmp + ND + 1] = 1;
      bytes.set(macOf(plane, swIfIndex), icmp + ND + 2);
    }
    putIcmpChecksum(bytes, ip, icmp, size);
    vector.length[p] = icmp + size - at;
    vector.l3[p] = ip;
    vector.etherType[p] = 0x86dd;
    plane.sendFrame(p, swIfIndex);
    return true;
  };

  neighbours.probe6 = (swIfIndex, address, mac) => {
    const source = routing.sourceAddress(swIfIndex, address);
    if (source === undefined || interfaces.up[swIfIndex] !== 1) return false;
    const group = new Uint8Array(16);
    group.set([0xff, 0x02]);
    group.set([1, 0xff, address[13]!, address[14]!, address[15]!], 11);
    const groupMac = Uint8Array.of(0x33, 0x33, 0xff, address[13]!, address[14]!, address[15]!);
    return sendNd(swIfIndex, mac ?? groupMac, source, mac === undefined ? group : address, 135, 0, address, 1);
  };

  const icmpError = (queue: Uint16Array, count: number): void => {
    for (let i = 0; i < count; i++) {
      const p = queue[i]!;
      const at = vector.l3[p]!;
      const size = vector.offset[p]! + vector.length[p]! - at;
      const bytes = vector.bytes;
      const rx = vector.rx[p]!;
      let kind = 0;
      for (let k = 8; k < HEADER; k += 4) {
        kind = Math.imul(
          kind ^ ((bytes[at + k]! << 24) | (bytes[at + k + 1]! << 16) | get16(bytes, at + k + 2)),
          0x9e3779b1,
        );
      }
      const to = bytes.slice(at + 8, at + 24);
      const source =
        throttle.check(kind, plane.now()) || !interfaces.has(rx) || to[0] === 0xff || isUnset(to)
          ? undefined
          : routing.sourceAddress(rx, to);
      const kept = Math.min(size, ERROR_LENGTH - HEADER - 8);
      const q = source === undefined ? -1 : plane.make(HEADER + 8 + kept, rx);
      if (q < 0) {
        graph.drop(p, errors.throttled);
        continue;
      }
      const out = vector.offset[q]!;
      const icmp = out + HEADER;
      bytes.fill(0, out, icmp + 8);
      bytes[out] = 0x60;
      put16(bytes, out + 4, 8 + kept);
      bytes[out + 6] = ICMP6;
      bytes[out + 7] = 255;
      bytes.set(source!, out + 8);
      bytes.set(to, out + 24);
      bytes[icmp] = vector.icmp[p]! >>> 8;
      bytes[icmp + 1] = vector.icmp[p]!;
      put16(bytes, icmp + 4, vector.icmpData[p]! >>> 16);
      put16(bytes, icmp + 6, vector.icmpData[p]! & 0xffff);
      bytes.set(bytes.subarray(at, at + kept), icmp + 8);
      putIcmpChecksum(bytes, out, icmp, 8 + kept);
      vector.l3[q] = out;
      vector.flags[q] = Flag.local;
      vector.domain[q] = interfaces.fib6[rx]!;
      vector.hops[q] = vector.hops[p]!;
      graph.errorCounts[errors.sent]!++;
      graph.enqueue(Node.ip6Lookup, q);
      interfaces.count(rx, 'drops');
    }
  };

  const fragment = (queue: Uint16Array, count: number): void => {
    for (let i = 0; i < count; i++) {
      const p = queue[i]!;
      const at = vector.l3[p]!;
      const bytes = vector.bytes;
      const payload = get16(bytes, at + 4);
      const room = (Math.min(vector.icmpData[p]!, LONGEST_FRAGMENT) - HEADER - 8) & ~7;
      if (at + HEADER + payload > vector.offset[p]! + vector.length[p]! || room < 8 || bytes[at + 6] === 44) {
        graph.drop(p, errors.malformed);
        continue;
      }
      const id = fragmentId++;
      for (let from = 0; from < payload; from += room) {
        const part = Math.min(room, payload - from);
        const q = plane.make(HEADER + 8 + part, vector.rx[p]!);
        if (q < 0) {
          plane.noBuffer(p);
          break;
        }
        const { bytes } = vector;
        const out = vector.offset[q]!;
        for (let k = 0; k < HEADER; k++) bytes[out + k] = bytes[at + k]!;
        put16(bytes, out + 4, 8 + part);
        bytes[out + 6] = 44;
        bytes[out + 40] = bytes[at + 6]!;
        bytes[out + 41] = 0;
        put16(bytes, out + 42, from | (from + part < payload ? 1 : 0));
        put16(bytes, out + 44, id >>> 16);
        put16(bytes, out + 46, id & 0xffff);
        bytes.set(bytes.subarray(at + HEADER + from, at + HEADER + from + part), out + HEADER + 8);
        vector.l3[q] = out;
        vector.adjacency[q] = vector.adjacency[p]!;
        vector.flags[q] = vector.flags[p]! & Flag.local;
        vector.hops[q] = vector.hops[p]!;
        graph.errorCounts[errors.fragments]!++;
        graph.enqueue(Node.ip6Rewrite, q);
      }
    }
  };

  graph.define(Node.ip6Local, local, (p) => `fib ${vector.domain[p]!}`);
  graph.define(Node.ip6IcmpInput, icmpInput, () => 'ICMP6');
  graph.define(
    Node.ip6IcmpError,
    icmpError,
    (p) => `ICMP6 type ${vector.icmp[p]! >>> 8} code ${vector.icmp[p]! & 255}`,
  );
  graph.define(Node.ip6Frag, fragment, (p) => `mtu ${vector.icmpData[p]!}`);
}

/** Answers a neighbour solicitation in place of a bridge's host; true when it did. */
export function terminateNd(plane: Plane, p: number, domain: BridgeDomain): boolean {
  const { vector, graph } = plane;
  const at = vector.l3[p]!;
  const frame = vector.offset[p]!;
  const size = vector.length[p]! - (at - frame);
  if (vector.etherType[p] !== 0x86dd || size < HEADER + ND) return false;
  const packet = vector.bytes.slice(at, at + HEADER + ND);
  if (packet[6] !== ICMP6 || packet[7] !== 255 || packet[HEADER] !== 135) return false;
  const source = packet.slice(8, 24);
  const mac = domain.arp.get(String.fromCharCode(...packet.subarray(48, 64)));
  if (mac === undefined || isUnset(source)) return false;
  const header = at - frame;
  const q = plane.make(header + HEADER + ND + ND_OPTION, vector.rx[p]!);
  if (q < 0) return false;
  const { bytes } = vector;
  const to = vector.offset[q]!;
  const before = vector.bytes.slice(frame, at);
  bytes.set(before, to);
  bytes.set(before.subarray(6, 12), to);
  bytes.set(mac, to + 6);
  const ip = to + header;
  const icmp = ip + HEADER;
  bytes.set(packet, ip);
  put16(bytes, ip + 4, ND + ND_OPTION);
  bytes.set(packet.subarray(48, 64), ip + 8);
  bytes.set(source, ip + 24);
  bytes[icmp] = 136;
  bytes[icmp + 1] = 0;
  bytes[icmp + 4] = 0x60;
  bytes[icmp + ND] = 2;
  bytes[icmp + ND + 1] = 1;
  bytes.set(mac, icmp + ND + 2);
  putIcmpChecksum(bytes, ip, icmp, ND + ND_OPTION);
  vector.l3[q] = ip;
  vector.etherType[q] = 0x86dd;
  vector.tx[q] = vector.rx[p]!;
  graph.enqueue(Node.l2Output, q);
  return true;
}
