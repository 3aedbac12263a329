// IPv6 on its way through: ip6-input, ip6-lookup, ip6-rewrite, and asking for neighbours.

import { putRewrite } from './adjacency.js';
import { GLEAN } from './arp.js';
import { INTERFACE_COUNTERS, InterfaceCounter } from './control.js';
import { hash6 } from './flow-hash.js';
import { Node } from './graph.js';
import { Feature } from './interfaces.js';
import type { AclCheck } from './l2.js';
import type { Neighbours } from './neighbours.js';
import { Dpo } from './paths.js';
import type { Plane } from './plane.js';
import type { Routing } from './routing.js';
import { Flag } from './vector.js';

const HEADER = 40;

export function defineIp6(plane: Plane, routing: Routing, neighbours: Neighbours, acl: { check: AclCheck }): void {
  const { vector, graph, interfaces } = plane;
  const node = 'ip6-input';
  const errors = {
    tooShort: graph.error(node, 'too_short', 'ip6 length < 40 bytes'),
    badLength: graph.error(node, 'bad_length', 'ip6 length > l2 length'),
    version: graph.error(node, 'version', 'ip6 version != 6'),
    expired: graph.error(node, 'time_expired', 'ip6 ttl <= 1', 'info'),
    source: graph.error(node, 'src_multicast', 'ip6 source address is multicast'),
    disabled: graph.error('ip6-not-enabled', 'disabled', 'ip6 not enabled'),
    multicast: graph.error('ip6-mfib-forward-lookup', 'no_entry', 'multicast, and nobody listens'),
    drop: graph.error('ip6-drop', 'drop', 'ip6 adjacency drop'),
    mtu: graph.error('ip6-rewrite', 'mtu_exceeded', 'ip6 MTU exceeded', 'info'),
    ttl: graph.error('ip6-rewrite', 'time_expired', 'ip6 ttl <= 1', 'info'),
  };

  // Here, and not in the nodes: the compiler takes them for constants.
  const { view, bytes, offset, length, l3, rx, tx, domain, adjacency, flags, headLength } = vector;
  const { fib6, ip6Enabled, features, mtu6 } = interfaces;

  const input = (queue: Uint16Array, count: number): void => {
    const { counters } = interfaces;
    for (let i = 0; i < count; i++) {
      const p = queue[i]!;
      const at = l3[p]!;
      const size = offset[p]! + length[p]! - at;
      const index = rx[p]!;
      counters[index * INTERFACE_COUNTERS + InterfaceCounter.ip6]!++;
      if (size < HEADER) graph.drop(p, errors.tooShort);
      else if (bytes[at]! >> 4 !== 6) graph.drop(p, errors.version);
      else if (HEADER + view.getUint16(at + 4) > size) graph.drop(p, errors.badLength);
      else if (bytes[at + 8] === 0xff) graph.drop(p, errors.source);
      else if (ip6Enabled[index] === 0) graph.drop(p, errors.disabled);
      else {
        domain[p] = fib6[index]!;
        if (bytes[at + 7] === 0) {
          graph.errorCounts[errors.expired]!++;
          vector.icmp[p] = 3 << 8;
          vector.icmpData[p] = 0;
          graph.enqueue(Node.ip6IcmpError, p);
          continue;
        }
        if ((features[index]! & Feature.aclIn) !== 0 && !acl.check(p, index, true, true)) continue;
        if (bytes[at + 24] === 0xff) {
          if (isForUs(index, at + 24)) graph.enqueue(Node.ip6Local, p);
          else graph.drop(p, errors.multicast);
        } else graph.enqueue(Node.ip6Lookup, p);
      }
    }
  };

  /** All nodes, all routers, and the solicited-node groups of our addresses. */
  const isForUs = (index: number, at: number): boolean => {
    if (view.getUint32(at) !== 0xff020000 || view.getUint32(at + 4) !== 0) return false;
    const third = view.getUint32(at + 8);
    const last = view.getUint32(at + 12);
    if (third === 0) return last === 1 || last === 2 || last === 0x16;
    if (third !== 1 || last >>> 24 !== 0xff) return false;
    const state = interfaces.get(index);
    const matches = (address: Uint8Array): boolean =>
      address[13] === bytes[at + 13] && address[14] === bytes[at + 14] && address[15] === bytes[at + 15];
    if (state.linkLocal !== undefined && matches(state.linkLocal)) return true;
    return state.addresses6.some((each) => matches(each.address));
  };

  const lookup = (queue: Uint16Array, count: number): void => {
    const { paths, entries, tables } = routing;
    for (let i = 0; i < count; i++) {
      const p = queue[i]!;
      if (!plane.hop(p)) continue;
      const at = l3[p]!;
      if (bytes[at + 24] === 0xfe && (bytes[at + 25]! & 0xc0) === 0x80) {
        linkLocal(p, bytes.slice(at + 24, at + HEADER));
        continue;
      }
      const table = tables[domain[p]!];
      if (table === undefined) {
        graph.drop(p, errors.drop);
        continue;
      }
      const entry = table.lookup6(
        view.getUint32(at + 24),
        view.getUint32(at + 28),
        view.getUint32(at + 32),
        view.getUint32(at + 36),
      );
      if (entry < 0) {
        graph.drop(p, errors.drop);
        continue;
      }
      entries.counters[entry * 2]!++;
      entries.counters[entry * 2 + 1]! += offset[p]! + length[p]! - at;
      const list = entries.pathList[entry]!;
      const choices = paths.mask[list]!;
      const bucket = choices === 0 ? 0 : hash6(bytes, at, table.hashConfig) & choices;
      const value = paths.buckets[paths.base[list]! + bucket]!;
      const index = value & 0xff_ffff;
      switch (value >>> 24) {
        case Dpo.adjacency:
          adjacency[p] = index;
          graph.enqueue(routing.adjacencies.complete[index] === 1 ? Node.ip6Rewrite : Node.ip6Neighbour, p);
          break;
        case Dpo.local:
          graph.enqueue(Node.ip6Local, p);
          break;
        case Dpo.glean:
          adjacency[p] = GLEAN + index;
          graph.enqueue(Node.ip6Neighbour, p);
          break;
        case Dpo.lookup:
          domain[p] = index;
          graph.enqueue(Node.ip6Lookup, p);
          break;
        case Dpo.unreach:
        case Dpo.prohibit:
          vector.icmp[p] = (1 << 8) | (value >>> 24 === Dpo.unreach ? 0 : 1);
          vector.icmpData[p] = 0;
          graph.enqueue(Node.ip6IcmpError, p);
          break;
        default:
          graph.drop(p, errors.drop);
      }
    }
  };

  /** A link-local destination means something on the link that the packet came from, or leaves by. */
  const linkLocal = (p: number, to: Uint8Array): void => {
    const index = vector.rx[p]!;
    const own = interfaces.state[index]?.linkLocal;
    if (own === undefined) {
      graph.drop(p, errors.drop);
      return;
    }
    if (own.every((byte, i) => byte === to[i])) {
      graph.enqueue(Node.ip6Local, p);
      return;
    }
    const known = routing.adjacencies.find(index, to);
    vector.adjacency[p] = known >= 0 ? known : GLEAN + index;
    graph.enqueue(known >= 0 && routing.adjacencies.complete[known] === 1 ? Node.ip6Rewrite : Node.ip6Neighbour, p);
  };

  const rewrite = (queue: Uint16Array, count: number): void => {
    const { adjacencies } = routing;
    for (let i = 0; i < count; i++) {
      const p = queue[i]!;
      const index = adjacency[p]!;
      if (adjacencies.complete[index] !== 1) {
        graph.enqueue(Node.ip6Neighbour, p);
        continue;
      }
      const at = l3[p]!;
      const to = adjacencies.interface[index]!;
      const flag = flags[p]!;
      let limit = bytes[at + 7]!;
      if ((flag & Flag.local) === 0) limit--;
      if (limit <= 0) {
        graph.errorCounts[errors.ttl]!++;
        expire(p);
        continue;
      }
      const total = HEADER + view.getUint16(at + 4);
      if (total > mtu6[to]! && tooLong(p, mtu6[to]!)) continue;
      if ((features[to]! & Feature.aclOut) !== 0 && !acl.check(p, to, false, true)) continue;
      if (((flag & Flag.shared) !== 0 || headLength[p] !== 0) && !plane.own(p)) continue;
      bytes[l3[p]! + 7] = limit;
      putRewrite(vector, adjacencies, p, index);
      tx[p] = to;
      graph.enqueue(Node.interfaceOutput, p);
    }
  };

  const expire = (p: number): void => {
    const at = vector.l3[p]!;
    const end = vector.offset[p]! + vector.length[p]!;
    const q = plane.make(end - at, vector.rx[p]!);
    if (q < 0) {
      plane.noBuffer(p);
      return;
    }
    const to = vector.offset[q]!;
    bytes.copyWithin(to, at, end);
    bytes[to + 7] = 0;
    vector.l3[q] = to;
    vector.domain[q] = vector.domain[p]!;
    vector.hops[q] = vector.hops[p]!;
    vector.icmp[q] = 3 << 8;
    vector.icmpData[q] = 0;
    graph.enqueue(Node.ip6IcmpError, q);
  };

  const tooLong = (p: number, mtu: number): boolean => {
    const at = vector.l3[p]!;
    if ((vector.flags[p]! & Flag.offload) !== 0 && vector.gsoType[p] !== 0) {
      const headers = HEADER + (bytes[at + 6] === 6 ? (bytes[at + HEADER + 12]! >> 4) * 4 : 8);
      if (headers + vector.gsoSize[p]! <= mtu) return false;
    }
    graph.errorCounts[errors.mtu]!++;
    vector.icmpData[p] = mtu;
    // Only who sends an IPv6 packet may cut it.
    if ((vector.flags[p]! & Flag.local) !== 0) graph.enqueue(Node.ip6Frag, p);
    else {
      vector.icmp[p] = 2 << 8;
      graph.enqueue(Node.ip6IcmpError, p);
    }
    return true;
  };

  const resolve = (queue: Uint16Array, count: number): void => {
    for (let i = 0; i < count; i++) {
      const p = queue[i]!;
      const value = vector.adjacency[p]!;
      if (value >= GLEAN) {
        const at = vector.l3[p]! + 24;
        neighbours.resolve(p, value - GLEAN, vector.bytes.slice(at, at + 16));
        continue;
      }
      const address = routing.adjacencies.address[value];
      if (address === undefined) plane.noBuffer(p);
      else if (routing.adjacencies.complete[value] === 1) graph.enqueue(Node.ip6Rewrite, p);
      else neighbours.resolve(p, routing.adjacencies.interface[value]!, address);
    }
  };

  const describe = (p: number): string => {
    const at = vector.l3[p]!;
    const ip = (from: number): string =>
      Array.from({ length: 8 }, (_, i) => view.getUint16(from + i * 2).toString(16)).join(':');
    return `protocol ${bytes[at + 6]!}: ${ip(at + 8)} -> ${ip(at + 24)} hop-limit ${bytes[at + 7]!}`;
  };
  graph.define(Node.ip6Input, input, describe);
  graph.define(Node.ip6Lookup, lookup, (p) => `fib ${vector.domain[p]!} : ${describe(p)}`);
  graph.define(
    Node.ip6Rewrite,
    rewrite,
    (p) => `tx_sw_if_index ${vector.tx[p]!} adj-idx ${vector.adjacency[p]!} : ${describe(p)}`,
  );
  graph.define(Node.ip6Neighbour, resolve, (p) => `adjacency ${vector.adjacency[p]!}`);
}
