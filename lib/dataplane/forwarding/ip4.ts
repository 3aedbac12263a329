// IPv4 on its way through: ip4-input, ip4-lookup, ip4-rewrite.

import { putRewrite } from './adjacency.js';
import { GLEAN } from './arp.js';
import { INTERFACE_COUNTERS, InterfaceCounter } from './control.js';
import { hash4 } from './flow-hash.js';
import { Node } from './graph.js';
import { Feature } from './interfaces.js';
import type { AclCheck } from './l2.js';
import { Dpo } from './paths.js';
import type { Plane } from './plane.js';
import type { Routing } from './routing.js';
import { Flag, SLOTS } from './vector.js';

const HEADER = 20;

/** Whether the ten words of a header sum up to nothing. */
function headerIsSound(bytes: Uint8Array, at: number, length: number): boolean {
  let sum = 0;
  for (let i = at; i < at + length; i += 2) sum += (bytes[i]! << 8) | bytes[i + 1]!;
  sum = (sum & 0xffff) + (sum >>> 16);
  return (sum & 0xffff) + (sum >>> 16) === 0xffff;
}

export function defineIp4(plane: Plane, routing: Routing, acl: { check: AclCheck }): void {
  const { vector, graph, interfaces } = plane;
  const node = 'ip4-input';
  const errors = {
    tooShort: graph.error(node, 'too_short', 'ip4 length < 20 bytes'),
    badLength: graph.error(node, 'bad_length', 'ip4 length > l2 length'),
    checksum: graph.error(node, 'bad_checksum', 'bad ip4 checksum'),
    version: graph.error(node, 'version', 'ip4 version != 4'),
    headerShort: graph.error(node, 'hdr_too_short', 'ip4 IHL < 5'),
    options: graph.error(node, 'options', 'ip4 options present'),
    fragment: graph.error(node, 'fragment_offset_one', 'ip4 fragment offset == 1'),
    disabled: graph.error('ip4-not-enabled', 'disabled', 'ip4 not enabled'),
    multicast: graph.error('ip4-mfib-forward-lookup', 'no_entry', 'multicast, and nobody listens'),
    drop: graph.error('ip4-drop', 'drop', 'ip4 adjacency drop'),
    noRoute: graph.error('ip4-drop', 'null_adjacency', 'blackholed packets'),
    mtu: graph.error('ip4-rewrite', 'mtu_exceeded', 'ip4 MTU exceeded', 'info'),
    ttl: graph.error('ip4-rewrite', 'time_expired', 'ip4 ttl <= 1', 'info'),
  };

  // Here, and not in the nodes: the compiler takes them for constants.
  const { view, bytes, offset, length, l3, rx, tx, domain, adjacency, hops, flags, headLength } = vector;
  const { counts } = graph;
  const lookupQueue = graph.queues[Node.ip4Lookup]!;
  const rewriteQueue = graph.queues[Node.ip4Rewrite]!;
  const sendQueue = graph.queues[Node.interfaceOutput]!;
  const { fib4, ip4Enabled, features, mtu4 } = interfaces;

  const input = (queue: Uint16Array, count: number): void => {
    const { counters } = interfaces;
    let lookups = counts[Node.ip4Lookup]!;
    // Packets of one interface come in a row, and are counted together.
    let last = rx[queue[0]!]!;
    let run = 0;
    for (let i = 0; i < count; i++) {
      const p = queue[i]!;
      const at = l3[p]!;
      const size = offset[p]! + length[p]! - at;
      const index = rx[p]!;
      if (index !== last) {
        counters[last * INTERFACE_COUNTERS + InterfaceCounter.ip4]! += run;
        last = index;
        run = 0;
      }
      run++;
      if (size < HEADER) {
        graph.drop(p, errors.tooShort);
        continue;
      }
      const a = view.getInt32(at);
      const b = view.getInt32(at + 4);
      const c = view.getInt32(at + 8);
      const d = view.getInt32(at + 12);
      const e = view.getInt32(at + 16);
      const total = a & 0xffff;
      let sum = total + (a >>> 16) + (b & 0xffff) + (b >>> 16) + (c & 0xffff) + (c >>> 16);
      sum += (d & 0xffff) + (d >>> 16) + (e & 0xffff) + (e >>> 16);
      sum = (sum & 0xffff) + (sum >>> 16);
      // Right, and nothing special: version and length, checksum, total length, offset of a fragment, TTL, destination.
      if (
        a >>> 24 !== 0x45 ||
        (sum & 0xffff) + (sum >>> 16) !== 0xffff ||
        total < HEADER ||
        total > size ||
        (b & 0x1fff) === 1 ||
        c >>> 24 === 0 ||
        e >>> 28 === 14 ||
        ip4Enabled[index] === 0
      ) {
        if (!odd(p, at, size)) continue;
      }
      domain[p] = fib4[index]!;
      if ((features[index]! & Feature.aclIn) !== 0 && !acl.check(p, index, true, false)) continue;
      lookupQueue[lookups++] = p;
    }
    counters[last * INTERFACE_COUNTERS + InterfaceCounter.ip4]! += run;
    counts[Node.ip4Lookup] = lookups;
  };

  /** What is wrong with a packet is found out one thing after the other; true when nothing is. */
  const odd = (p: number, at: number, size: number): boolean => {
    const index = rx[p]!;
    const first = bytes[at]!;
    const headerLength = (first & 15) * 4;
    const total = view.getUint16(at + 2);
    let error = 0;
    if (first >> 4 !== 4) error = errors.version;
    else if (headerLength < HEADER) error = errors.headerShort;
    else if (headerLength > size || !headerIsSound(bytes, at, headerLength)) error = errors.checksum;
    else if (headerLength > HEADER) error = errors.options;
    if ((view.getUint16(at + 6) & 0x1fff) === 1) error = errors.fragment;
    if (total < HEADER) error = errors.tooShort;
    else if (total > size) error = errors.badLength;
    if (error === errors.options) {
      // ip4-options: a router alert for IGMP would stay here; nothing here listens to it.
      graph.errorCounts[error]!++;
      graph.enqueue(Node.punt, p);
    } else if (error !== 0) graph.drop(p, error);
    else if (bytes[at + 8] === 0) {
      domain[p] = fib4[index]!;
      vector.icmp[p] = 11 << 8;
      vector.icmpData[p] = 0;
      graph.enqueue(Node.ip4IcmpError, p);
    } else if (ip4Enabled[index] === 0) graph.drop(p, errors.disabled);
    else if (bytes[at + 16]! >> 4 === 14) graph.drop(p, errors.multicast);
    else return true;
    return false;
  };

  // Longest match of a whole run of packets, one read of each in a row: what a read waits for (a table of a million routes
  // does not fit into a cache) the next packet's read waits for at the same time.
  const destinations = new Uint32Array(SLOTS);
  const found = new Uint32Array(SLOTS);
  const lists = new Uint32Array(SLOTS);

  const match = (queue: Uint16Array, from: number, to: number, slots: Uint32Array): void => {
    const { pathList, counters } = routing.entries;
    for (let i = from; i < to; i++) {
      const destination = view.getInt32(l3[queue[i]!]! + 16);
      destinations[i] = destination & 0xffff;
      found[i] = slots[destination >>> 16]!;
    }
    let deeper = 0;
    for (let i = from; i < to; i++) {
      const slot = found[i]!;
      if ((slot & 1) === 1) continue;
      const next = slots[65_536 + (slot >>> 1) * 256 + (destinations[i]! >>> 8)]!;
      found[i] = next;
      deeper |= ~next & 1;
    }
    if (deeper !== 0) {
      for (let i = from; i < to; i++) {
        const slot = found[i]!;
        if ((slot & 1) === 0) found[i] = slots[65_536 + (slot >>> 1) * 256 + (destinations[i]! & 255)]!;
      }
    }
    for (let i = from; i < to; i++) lists[i] = pathList[found[i]! >>> 1]!;
    for (let i = from; i < to; i++) {
      const p = queue[i]!;
      const counter = found[i]! & ~1;
      counters[counter]!++;
      counters[counter + 1]! += offset[p]! + length[p]! - l3[p]!;
    }
  };

  const lookup = (queue: Uint16Array, count: number): void => {
    for (let from = 0; from < count;) {
      const index = domain[queue[from]!]!;
      let to = from + 1;
      while (to < count && domain[queue[to]!] === index) to++;
      const table = routing.tables[index];
      if (table?.trie === undefined) {
        for (let i = from; i < to; i++) graph.drop(queue[i]!, errors.drop);
      } else {
        match(queue, from, to, table.trie.slots);
        act(queue, from, to, table.hashConfig);
      }
      from = to;
    }
  };

  /** What the buckets of the matches say. */
  const act = (queue: Uint16Array, from: number, to: number, config: number): void => {
    const { base, mask, buckets } = routing.paths;
    const { complete } = routing.adjacencies;
    let rewrites = counts[Node.ip4Rewrite]!;
    for (let i = from; i < to; i++) {
      const p = queue[i]!;
      if (hops[p] === 0) hops[p] = 1;
      else if (!plane.hop(p)) continue;
      const list = lists[i]!;
      const choices = mask[list]!;
      let bucket = base[list]!;
      if (choices !== 0) bucket += hash4(bytes, l3[p]!, config) & choices;
      const value = buckets[bucket]!;
      const index = value & 0xff_ffff;
      const kind = value >>> 24;
      if (kind === Dpo.adjacency) {
        adjacency[p] = index;
        if (complete[index] === 1) rewriteQueue[rewrites++] = p;
        else graph.enqueue(Node.ip4Arp, p);
      } else if (kind === Dpo.local) graph.enqueue(Node.ip4Local, p);
      else if (kind === Dpo.glean) {
        adjacency[p] = GLEAN + index;
        graph.enqueue(Node.ip4Arp, p);
      } else if (kind === Dpo.lookup) {
        domain[p] = index;
        graph.enqueue(Node.ip4Lookup, p);
      } else if (kind === Dpo.unreach || kind === Dpo.prohibit) {
        vector.icmp[p] = (3 << 8) | (kind === Dpo.unreach ? 1 : 13);
        vector.icmpData[p] = 0;
        graph.enqueue(Node.ip4IcmpError, p);
      } else graph.drop(p, found[i]! >>> 1 === 0 ? errors.noRoute : errors.drop);
    }
    counts[Node.ip4Rewrite] = rewrites;
  };

  const rewrite = (queue: Uint16Array, count: number): void => {
    const { adjacencies } = routing;
    const { complete } = adjacencies;
    const interfaceOf = adjacencies.interface;
    let sends = counts[Node.interfaceOutput]!;
    for (let i = 0; i < count; i++) {
      const p = queue[i]!;
      const index = adjacency[p]!;
      if (complete[index] !== 1) {
        graph.enqueue(Node.ip4Arp, p);
        continue;
      }
      let at = l3[p]!;
      const to = interfaceOf[index]!;
      const flag = flags[p]!;
      let ttl = bytes[at + 8]!;
      let checksum = view.getUint16(at + 10);
      if ((flag & Flag.local) === 0) {
        ttl--;
        checksum += 0x100;
        if (checksum >= 0xffff) checksum = (checksum + 1) & 0xffff;
      }
      const total = view.getUint16(at + 2);
      if (ttl <= 0) {
        graph.errorCounts[errors.ttl]!++;
        expire(p);
        continue;
      }
      if (total > mtu4[to]! && tooLong(p, mtu4[to]!)) continue;
      if ((features[to]! & Feature.aclOut) !== 0 && !acl.check(p, to, false, false)) continue;
      if ((flag & Flag.shared) !== 0 || headLength[p] !== 0) {
        if (!plane.own(p)) continue;
        at = l3[p]!;
      }
      bytes[at + 8] = ttl;
      view.setUint16(at + 10, checksum);
      putRewrite(vector, adjacencies, p, index);
      tx[p] = to;
      sendQueue[sends++] = p;
    }
    counts[Node.interfaceOutput] = sends;
  };

  /** Time exceeded: with the TTL counted down in the copy that goes back, as VPP has it. */
  const expire = (p: number): void => {
    const at = vector.l3[p]!;
    const end = vector.offset[p]! + vector.length[p]!;
    const q = plane.make(end - at, vector.rx[p]!);
    if (q < 0) {
      plane.noBuffer(p);
      return;
    }
    const to = offset[q]!;
    bytes.copyWithin(to, at, end);
    let checksum = ((bytes[to + 10]! << 8) | bytes[to + 11]!) + 0x100;
    if (checksum >= 0xffff) checksum = (checksum + 1) & 0xffff;
    bytes[to + 8] = 0;
    bytes[to + 10] = checksum >>> 8;
    bytes[to + 11] = checksum;
    vector.l3[q] = to;
    vector.domain[q] = vector.domain[p]!;
    vector.hops[q] = vector.hops[p]!;
    vector.icmp[q] = 11 << 8;
    vector.icmpData[q] = 0;
    graph.enqueue(Node.ip4IcmpError, q);
  };

  /** A packet longer than the MTU: cut, or sent back; false when it is a segment whose pieces fit. */
  const tooLong = (p: number, mtu: number): boolean => {
    const at = l3[p]!;
    if ((vector.flags[p]! & Flag.offload) !== 0 && vector.gsoType[p] !== 0) {
      const l4 = at + HEADER;
      const headers = HEADER + (bytes[at + 9] === 6 ? (bytes[l4 + 12]! >> 4) * 4 : 8);
      if (headers + vector.gsoSize[p]! <= mtu) return false;
    }
    graph.errorCounts[errors.mtu]!++;
    if ((bytes[at + 6]! & 0x40) !== 0) {
      vector.icmp[p] = (3 << 8) | 4;
      vector.icmpData[p] = mtu;
      graph.enqueue(Node.ip4IcmpError, p);
    } else {
      vector.icmpData[p] = mtu;
      graph.enqueue(Node.ip4Frag, p);
    }
    return true;
  };

  const describe = (p: number): string => {
    const at = l3[p]!;
    const ip = (from: number): string => Array.from(bytes.subarray(from, from + 4)).join('.');
    return `protocol ${bytes[at + 9]!}: ${ip(at + 12)} -> ${ip(at + 16)} ttl ${bytes[at + 8]!}, length ${(bytes[at + 2]! << 8) | bytes[at + 3]!}`;
  };
  graph.define(Node.ip4Input, input, describe);
  graph.define(
    Node.ip4Lookup,
    lookup,
    (p) => `fib ${vector.domain[p]!} dpo-idx ${vector.adjacency[p]!} : ${describe(p)}`,
  );
  graph.define(
    Node.ip4Rewrite,
    rewrite,
    (p) => `tx_sw_if_index ${vector.tx[p]!} adj-idx ${vector.adjacency[p]!} : ${describe(p)}`,
  );
}
