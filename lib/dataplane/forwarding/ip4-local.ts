// IPv4 that ends or begins here: ip4-local, echo replies, ICMP errors, fragments.

import { checksumAdd, checksumFinish, transportChecksum } from '../../net/index.js';
import { Node } from './graph.js';
import { Dpo } from './paths.js';
import type { Plane } from './plane.js';
import type { Reassembly } from './reassembly.js';
import type { Routing } from './routing.js';
import { Throttle } from './throttle.js';
import { Flag } from './vector.js';

const HEADER = 20;
/** RFC 1812 4.3.2.3, and VPP: no ICMP error is longer. */
const ERROR_LENGTH = 576;
/** VPP cuts fragments to its buffers' size. */
const LONGEST_FRAGMENT = 2048;

const get16 = (bytes: Uint8Array, at: number): number => (bytes[at]! << 8) | bytes[at + 1]!;
const put16 = (bytes: Uint8Array, at: number, value: number): void => {
  bytes[at] = value >>> 8;
  bytes[at + 1] = value;
};
const word = (bytes: Uint8Array, at: number): number =>
  ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;

/** Of a header whose checksum field counts as 0. */
function putHeaderChecksum(bytes: Uint8Array, at: number): void {
  put16(bytes, at + 10, 0);
  put16(bytes, at + 10, checksumFinish(checksumAdd(bytes, at, HEADER, 0)));
}

export function defineIp4Local(plane: Plane, routing: Routing, reassembly: Reassembly): void {
  const { vector, graph, interfaces } = plane;
  const node = 'ip4-local';
  const errors = {
    unknown: graph.error(node, 'unknown_protocol', 'unknown ip protocol'),
    spoofed: graph.error(node, 'spoofed_local_packets', 'ip4 spoofed local-address packet drops'),
    miss: graph.error(node, 'src_lookup_miss', 'ip4 source lookup miss'),
    checksum: graph.error(node, 'tcp_checksum', 'bad tcp or udp checksum'),
    udpLength: graph.error(node, 'udp_length', 'inconsistent udp/ip lengths'),
    noPort: graph.error('ip4-udp-lookup', 'no_listener', 'no listener for dst port'),
    icmpUnknown: graph.error('ip4-icmp-input', 'unknown_type', 'unknown type'),
    echo: graph.error('ip4-icmp-echo-request', 'echo_replies_sent', 'echo replies sent', 'info'),
    throttled: graph.error('ip4-icmp-error', 'drop', 'error message dropped'),
    unreachable: graph.error('ip4-icmp-error', 'dest_unreach_sent', 'destination unreachable response sent', 'info'),
    expired: graph.error('ip4-icmp-error', 'ttl_expire_sent', 'hop limit exceeded response sent', 'info'),
    fragments: graph.error('ip4-frag', 'fragment_sent', 'number of sent fragments', 'info'),
    malformed: graph.error('ip4-frag', 'malformed', 'malformed packet'),
    small: graph.error('ip4-frag', 'cant_fragment_header', "can't fragment header"),
  };
  let fragmentId = 0;
  let echoId = Math.floor(Math.random() * 65_536);

  const local = (queue: Uint16Array, count: number): void => {
    for (let i = 0; i < count; i++) {
      const p = queue[i]!;
      const bytes = vector.bytes;
      const at = vector.l3[p]!;
      const fragment = get16(bytes, at + 6) & 0x3fff;
      if (fragment !== 0) {
        // The last fragment brings back the whole packet, which comes here again.
        reassembly.take4(p);
        continue;
      }
      const protocol = bytes[at + 9]!;
      const header = (bytes[at]! & 15) * 4;
      const total = get16(bytes, at + 2);
      const l4 = at + header;
      if (at + total > vector.offset[p]! + vector.length[p]! || total < header) {
        graph.drop(p, errors.udpLength);
        continue;
      }
      if (protocol === 6 || protocol === 17) {
        if (l4 + 8 > at + total) {
          graph.drop(p, errors.udpLength);
          continue;
        }
        const unsummed = protocol === 17 && get16(bytes, l4 + 6) === 0;
        if (protocol === 17 && get16(bytes, l4 + 4) > total - header) {
          graph.drop(p, errors.udpLength);
          continue;
        }
        if (
          (vector.flags[p]! & Flag.offload) === 0 &&
          !unsummed &&
          transportChecksum(bytes, at, protocol, l4, total - header) !== 0
        ) {
          graph.drop(p, errors.checksum);
          continue;
        }
      }
      const table = routing.tables[vector.domain[p]!];
      const first = table === undefined ? { kind: Dpo.drop, index: 0 } : routing.firstOf(table, [word(bytes, at + 12)]);
      if (first.kind === Dpo.local) {
        graph.drop(p, errors.spoofed);
        continue;
      }
      if (first.kind === Dpo.drop && word(bytes, at + 16) !== 0xffffffff) {
        graph.drop(p, errors.miss);
        continue;
      }
      if (protocol === 1) graph.enqueue(Node.ip4IcmpInput, p);
      else if (protocol === 17) {
        graph.errorCounts[errors.noPort]!++;
        vector.icmp[p] = (3 << 8) | 3;
        vector.icmpData[p] = 0;
        graph.enqueue(Node.ip4IcmpError, p);
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
      const bytes = vector.bytes;
      const total = get16(bytes, at + 2);
      const header = (bytes[at]! & 15) * 4;
      if (total < header + 8 || bytes[at + header] !== 8) {
        graph.errorCounts[errors.icmpUnknown]!++;
        graph.enqueue(Node.punt, p);
        continue;
      }
      echo(p, at, total, header);
    }
  };

  /** The request, turned round. Its checksum is updated, not made: a wrong one stays wrong, as in VPP. */
  const echo = (p: number, at: number, total: number, header: number): void => {
    const q = plane.make(total, vector.rx[p]!);
    if (q < 0) {
      plane.noBuffer(p);
      return;
    }
    const { bytes } = vector;
    const to = vector.offset[q]!;
    bytes.set(vector.bytes.subarray(at, at + total), to);
    bytes.copyWithin(to + 12, to + 16, to + 20);
    const source = vector.bytes;
    for (let k = 0; k < 4; k++) bytes[to + 16 + k] = source[at + 12 + k]!;
    bytes[to + 8] = 64;
    echoId = (Math.imul(echoId, 25_173) + 13_849) & 0xffff;
    put16(bytes, to + 4, echoId);
    put16(bytes, to + 6, 0);
    put16(bytes, to + 2, total);
    put16(bytes, to + 10, 0);
    put16(bytes, to + 10, checksumFinish(checksumAdd(bytes, to, header, 0)));
    bytes[to + header] = 0;
    let sum = get16(bytes, to + header + 2) + 0x0800;
    sum = (sum & 0xffff) + (sum >>> 16);
    put16(bytes, to + header + 2, sum);
    vector.l3[q] = to;
    vector.flags[q] = Flag.local;
    vector.domain[q] = vector.domain[p]!;
    vector.hops[q] = vector.hops[p]!;
    graph.errorCounts[errors.echo]!++;
    graph.enqueue(Node.ip4Lookup, q);
  };

  const throttle = new Throttle(0.01);
  const icmpError = (queue: Uint16Array, count: number): void => {
    for (let i = 0; i < count; i++) {
      const p = queue[i]!;
      const at = vector.l3[p]!;
      const size = vector.offset[p]! + vector.length[p]! - at;
      const bytes = vector.bytes;
      if (throttle.check(word(bytes, at + 12) ^ Math.imul(word(bytes, at + 16), 0x9e3779b1), plane.now())) {
        graph.drop(p, errors.throttled);
        continue;
      }
      const type = vector.icmp[p]!;
      const rx = vector.rx[p]!;
      const to = bytes.slice(at + 12, at + 16);
      const source = interfaces.has(rx) ? routing.sourceAddress(rx, to) : undefined;
      const kept = Math.min(size, ERROR_LENGTH - HEADER - 8);
      const q = source === undefined || size < HEADER ? -1 : plane.make(HEADER + 8 + kept, rx);
      if (q < 0) {
        graph.drop(p, errors.throttled);
        continue;
      }
      const out = vector.offset[q]!;
      bytes.fill(0, out, out + HEADER + 8);
      bytes[out] = 0x45;
      put16(bytes, out + 2, HEADER + 8 + kept);
      bytes[out + 8] = 255;
      bytes[out + 9] = 1;
      bytes.set(source!, out + 12);
      bytes.set(to, out + 16);
      putHeaderChecksum(bytes, out);
      const icmp = out + HEADER;
      bytes[icmp] = type >>> 8;
      bytes[icmp + 1] = type;
      const data = vector.icmpData[p]!;
      put16(bytes, icmp + 4, data >>> 16);
      put16(bytes, icmp + 6, data & 0xffff);
      bytes.set(bytes.subarray(at, at + kept), icmp + 8);
      put16(bytes, icmp + 2, checksumFinish(checksumAdd(bytes, icmp, 8 + kept, 0)));
      vector.l3[q] = out;
      vector.flags[q] = Flag.local;
      vector.domain[q] = interfaces.fib4[rx]!;
      vector.hops[q] = vector.hops[p]!;
      graph.errorCounts[type >>> 8 === 11 ? errors.expired : errors.unreachable]!++;
      graph.enqueue(Node.ip4Lookup, q);
      // The packet itself has been answered, and is counted as dropped.
      interfaces.count(rx, 'drops');
    }
  };

  const fragment = (queue: Uint16Array, count: number): void => {
    for (let i = 0; i < count; i++) {
      const p = queue[i]!;
      const at = vector.l3[p]!;
      const bytes = vector.bytes;
      const size = vector.offset[p]! + vector.length[p]! - at;
      const total = get16(bytes, at + 2);
      const header = (bytes[at]! & 15) * 4;
      const room = (Math.min(vector.icmpData[p]!, LONGEST_FRAGMENT) - HEADER) & ~7;
      if (total > size || total <= header || header !== HEADER) {
        graph.drop(p, errors.malformed);
        continue;
      }
      if (room < 8) {
        graph.drop(p, errors.small);
        continue;
      }
      const field = get16(bytes, at + 6);
      const isFragment = (field & 0x3fff) !== 0;
      const id = isFragment ? get16(bytes, at + 4) : fragmentId++ & 0xffff;
      const offset = field & 0x1fff;
      const moreAfter = (field & 0x2000) !== 0;
      const payload = total - HEADER;
      for (let from = 0; from < payload; from += room) {
        const part = Math.min(room, payload - from);
        const q = plane.make(HEADER + part, vector.rx[p]!);
        if (q < 0) {
          plane.noBuffer(p);
          break;
        }
        const out = vector.offset[q]!;
        const { bytes } = vector;
        for (let k = 0; k < HEADER; k++) bytes[out + k] = bytes[at + k]!;
        bytes.set(bytes.subarray(at + HEADER + from, at + HEADER + from + part), out + HEADER);
        put16(bytes, out + 2, HEADER + part);
        put16(bytes, out + 4, id);
        const more = moreAfter || from + part < payload;
        put16(bytes, out + 6, (offset + (from >> 3)) | (more ? 0x2000 : 0));
        putHeaderChecksum(bytes, out);
        vector.l3[q] = out;
        vector.adjacency[q] = vector.adjacency[p]!;
        vector.flags[q] = vector.flags[p]! & Flag.local;
        vector.hops[q] = vector.hops[p]!;
        graph.errorCounts[errors.fragments]!++;
        graph.enqueue(Node.ip4Rewrite, q);
      }
    }
  };

  graph.define(Node.ip4Local, local, (p) => `fib ${vector.domain[p]!}`);
  graph.define(Node.ip4IcmpInput, icmpInput, () => 'ICMP');
  graph.define(Node.ip4IcmpError, icmpError, (p) => `ICMP type ${vector.icmp[p]! >>> 8} code ${vector.icmp[p]! & 255}`);
  graph.define(Node.ip4Frag, fragment, (p) => `mtu ${vector.icmpData[p]!}`);
}
