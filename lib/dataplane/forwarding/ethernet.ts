// ethernet-input: which interface a frame belongs to, and what shall be done with it.

import { NO_INTERFACE } from './control.js';
import { Node } from './graph.js';
import { Feature, Mode } from './interfaces.js';
import type { Plane } from './plane.js';
import { Flag } from './vector.js';

const isVlan = (type: number): boolean => type === 0x8100 || type === 0x88a8;

/** Defines ethernet-input. */
export function defineEthernet(plane: Plane): void {
  const { vector, graph, interfaces } = plane;
  const node = 'ethernet-input';
  const errors = {
    short: graph.error(node, 'too_short', 'truncated frame'),
    unknownVlan: graph.error(node, 'unknown_vlan', 'unknown vlan'),
    mac: graph.error(node, 'l3_mac_mismatch', 'l3 mac mismatch'),
    type: graph.error(node, 'unknown_type', 'unknown ethernet type'),
    down: graph.error(node, 'down', 'interface down'),
    length: graph.error(node, 'llc', 'LLC frame'),
  };

  // Here, and not in the function: the compiler takes them for constants.
  const { bytes, view, offset, length, l3, etherType, rx } = vector;
  const { counts } = graph;
  const l2Queue = graph.queues[Node.l2Input]!;
  const ip4Queue = graph.queues[Node.ip4Input]!;
  const { mode, features, up, macHigh, macLow, promiscuous } = interfaces;

  const input = (queue: Uint16Array, count: number): void => {
    let l2Count = counts[Node.l2Input]!;
    let ip4Count = counts[Node.ip4Input]!;
    for (let i = 0; i < count; i++) {
      const p = queue[i]!;
      const at = offset[p]!;
      const size = length[p]!;
      let index = rx[p]!;
      const feature = features[index]!;
      if ((feature & Feature.ip) !== 0) {
        counts[Node.ip4Input] = ip4Count;
        ipInput(p, at, size);
        ip4Count = counts[Node.ip4Input]!;
        continue;
      }
      if (size < 14) {
        graph.drop(p, errors.short);
        continue;
      }
      let type = view.getUint16(at + 12);
      let network = at + 14;
      if (type === 0x8100 || type === 0x88a8 || (feature & Feature.hasSubs) !== 0) {
        const outerType = type;
        let tags = 0;
        let outer = 0;
        let inner = 0;
        const end = at + size;
        while (tags < 3 && isVlan(type) && network + 4 <= end) {
          const id = ((bytes[network]! << 8) | bytes[network + 1]!) & 0xfff;
          if (tags === 0) outer = id;
          else if (tags === 1) inner = id;
          type = (bytes[network + 2]! << 8) | bytes[network + 3]!;
          // The third is only counted: what is behind two is payload.
          tags++;
          network += 4;
        }
        const sub = interfaces.findSub(index, tags, outerType, outer, inner);
        if (sub !== NO_INTERFACE) {
          index = sub;
          rx[p] = sub;
          interfaces.count(sub, 'rxPackets');
          interfaces.count(sub, 'rxBytes', size);
        } else if (tags > 0 && mode[index] === Mode.routed) {
          graph.drop(p, errors.unknownVlan);
          continue;
        }
      }
      l3[p] = network;
      etherType[p] = type;
      if (up[index] === 0) {
        graph.drop(p, errors.down);
        continue;
      }
      if (mode[index] !== Mode.routed) {
        l2Queue[l2Count++] = p;
        continue;
      }
      const high = view.getUint16(at);
      if ((high & 0x100) === 0) {
        if ((high !== macHigh[index] || view.getUint32(at + 2) !== macLow[index]) && promiscuous[index] !== 2) {
          graph.drop(p, errors.mac);
          continue;
        }
      }
      if (type === 0x0800) ip4Queue[ip4Count++] = p;
      else if (type === 0x86dd) graph.enqueue(Node.ip6Input, p);
      else if (type === 0x0806) graph.enqueue(Node.arpInput, p);
      else graph.drop(p, type < 0x600 ? errors.length : errors.type);
    }
    counts[Node.l2Input] = l2Count;
    counts[Node.ip4Input] = ip4Count;
  };

  const ipInput = (p: number, at: number, size: number): void => {
    l3[p] = at;
    const version = size > 0 ? bytes[at]! >> 4 : 0;
    etherType[p] = version === 4 ? 0x0800 : 0x86dd;
    if (interfaces.up[rx[p]!] === 0) graph.drop(p, errors.down);
    else if (version === 4) graph.enqueue(Node.ip4Input, p);
    else if (version === 6) graph.enqueue(Node.ip6Input, p);
    else graph.drop(p, errors.type);
  };

  graph.define(Node.ethernetInput, input, (p) => {
    const type = vector.etherType[p]!.toString(16).padStart(4, '0');
    return `type 0x${type}, sw_if_index ${vector.rx[p]!}${(vector.flags[p]! & Flag.local) === 0 ? '' : ', local'}`;
  });
}
