// Bridging: l2-input, l2-learn, l2-fwd, l2-flood and l2-output, with cross-connects, tag rewrites, split horizon groups,
// BVIs and ARP termination. Behaves as the nodes of these names in VPP.

import type { BridgeDomainFlags, BridgePortType } from './control.js';
import { NO_INTERFACE } from './control.js';
import { Node } from './graph.js';
import type { TagEdit } from './interfaces.js';
import { Feature, Mode } from './interfaces.js';
import { MAX_LEARNT, MacFlag, MacTable } from './mac-table.js';
import type { Plane } from './plane.js';
import { Flag } from './vector.js';

/** Bits of `BridgeDomain.flags`. */
export const BridgeFlag = { learn: 1, forward: 2, flood: 4, uuFlood: 8, arpTerm: 16, arpUnicastForward: 32 } as const;
const ALL_FLAGS = 63;

export interface BridgeDomain {
  readonly bdId: number;
  readonly index: number;
  flags: number;
  ageMinutes: number;
  learnLimit: number;
  members: { swIfIndex: number; shg: number; bvi: boolean }[];
  bvi: number;
  uuForward: number;
  /** ARP termination: address as text (4 or 16 bytes joined) to MAC. */
  readonly arp: Map<string, Uint8Array>;
}

/** What answers ARP and neighbour solicitations in place of a bridge's hosts; true when it has. */
export type Terminate = (p: number, domain: BridgeDomain) => boolean;

/** ACLs at the edges of the graph; false when the packet was dropped. */
export type AclCheck = (p: number, swIfIndex: number, isInput: boolean, isIp6: boolean) => boolean;

export class L2 {
  readonly table = new MacTable();
  readonly domains = new Map<number, BridgeDomain>();
  readonly byIndex: (BridgeDomain | undefined)[] = [];
  readonly #plane: Plane;
  terminate: Terminate = () => false;
  acl: AclCheck = () => true;

  constructor(plane: Plane) {
    this.#plane = plane;
    this.#define();
  }

  add(bdId: number, flags: BridgeDomainFlags, ageMinutes: number): void {
    let index = this.byIndex.findIndex((each) => each === undefined);
    if (index < 0) index = this.byIndex.length;
    const domain: BridgeDomain = {
      bdId,
      index,
      flags: withFlags(0, flags),
      ageMinutes,
      learnLimit: MAX_LEARNT,
      members: [],
      bvi: NO_INTERFACE,
      uuForward: NO_INTERFACE,
      arp: new Map(),
    };
    this.byIndex[index] = domain;
    this.domains.set(bdId, domain);
  }

  remove(domain: BridgeDomain): void {
    this.table.removeWhere((index) => index === domain.index);
    this.byIndex[domain.index] = undefined;
    this.domains.delete(domain.bdId);
  }

  setFlags(domain: BridgeDomain, flags: Partial<BridgeDomainFlags>): void {
    domain.flags = withFlags(domain.flags, flags);
  }

  join(swIfIndex: number, domain: BridgeDomain, type: BridgePortType, shg: number): void {
    const { interfaces } = this.#plane;
    interfaces.mode[swIfIndex] = Mode.bridged;
    interfaces.bridge[swIfIndex] = domain.index;
    interfaces.shg[swIfIndex] = shg;
    // What a BVI sends comes from the router, whose address is known.
    interfaces.memberFlags[swIfIndex] = type === 'bvi' ? ALL_FLAGS & ~BridgeFlag.learn : ALL_FLAGS;
    if (type === 'uu-fwd') {
      domain.uuForward = swIfIndex;
      return;
    }
    const bvi = type === 'bvi';
    interfaces.isBvi[swIfIndex] = bvi ? 1 : 0;
    const member = { swIfIndex, shg, bvi };
    if (bvi) {
      // The flood goes through the members backwards: the BVI comes last.
      domain.bvi = swIfIndex;
      domain.members.unshift(member);
      const high = ((domain.index << 16) | interfaces.macHigh[swIfIndex]!) >>> 0;
      this.table.set(high, interfaces.macLow[swIfIndex]!, swIfIndex, MacFlag.static | MacFlag.bvi | MacFlag.ageNot, 0);
    } else domain.members.push(member);
  }

  /** Back to routing. */
  leave(swIfIndex: number): void {
    const { interfaces } = this.#plane;
    const domain = this.byIndex[interfaces.bridge[swIfIndex]!];
    if (domain !== undefined) {
      domain.members = domain.members.filter((member) => member.swIfIndex !== swIfIndex);
      if (domain.bvi === swIfIndex) domain.bvi = NO_INTERFACE;
      if (domain.uuForward === swIfIndex) domain.uuForward = NO_INTERFACE;
      this.table.removeWhere((_, index) => index === swIfIndex);
    }
    interfaces.mode[swIfIndex] = Mode.routed;
    interfaces.bridge[swIfIndex] = NO_INTERFACE;
    interfaces.isBvi[swIfIndex] = 0;
    interfaces.shg[swIfIndex] = 0;
    interfaces.memberFlags[swIfIndex] = 0;
    interfaces.crossTo[swIfIndex] = NO_INTERFACE;
  }

  /** Forgets what was learnt on an interface, as VPP does when it goes down. */
  flushInterface(swIfIndex: number): void {
    this.table.removeWhere((_, index, flags) => index === swIfIndex && (flags & MacFlag.ageNot) === 0);
  }

  /** A BVI has got another MAC address: its entry moves. Called before it is set. */
  macChanged(swIfIndex: number, high: number, low: number): void {
    const { interfaces } = this.#plane;
    if (interfaces.isBvi[swIfIndex] !== 1) return;
    const domain = interfaces.bridge[swIfIndex]! << 16;
    this.table.remove((domain | interfaces.macHigh[swIfIndex]!) >>> 0, interfaces.macLow[swIfIndex]!);
    this.table.set((domain | high) >>> 0, low, swIfIndex, MacFlag.static | MacFlag.bvi | MacFlag.ageNot, 0);
  }

  /** Forgets learnt addresses that have been silent for longer than their bridge domain allows. */
  age(nowS: number): void {
    let any = false;
    for (const domain of this.domains.values()) if (domain.ageMinutes > 0) any = true;
    if (!any) return;
    this.table.removeWhere(
      (index, _, flags, seen) => {
        const domain = this.byIndex[index];
        if (domain === undefined || domain.ageMinutes === 0 || (flags & MacFlag.ageNot) !== 0) return false;
        return nowS - seen > domain.ageMinutes * 60;
      },
      (high, low, swIfIndex) => this.#tell('delete', high, low, swIfIndex),
    );
  }

  #tell(kind: 'add' | 'move' | 'delete', high: number, low: number, swIfIndex: number): void {
    const plane = this.#plane;
    const { macEvent } = plane.events;
    const domain = this.byIndex[high >>> 16];
    if (macEvent === undefined || domain === undefined) return;
    plane.later(() => macEvent(kind, domain.bdId, macText(high, low), swIfIndex));
  }

  #define(): void {
    const plane = this.#plane;
    const { vector, graph, interfaces } = plane;
    const { table } = this;
    const errors = {
      l2Drop: graph.error('l2-input', 'drop', 'L2 input drops'),
      filter: graph.error('l2-learn', 'filter_drop', 'Filter Mac Drop'),
      violation: graph.error('l2-learn', 'mac_move_violate', 'L2 mac move violations'),
      limit: graph.error('l2-learn', 'limit', 'L2 not learned due to limit', 'info'),
      miss: graph.error('l2-learn', 'miss', 'L2 learn misses', 'info'),
      move: graph.error('l2-learn', 'mac_move', 'L2 mac moves', 'info'),
      flood: graph.error('l2-fwd', 'flood', 'L2 forward misses'),
      reflect: graph.error('l2-fwd', 'reflect_drop', 'Reflection Drop'),
      filterFwd: graph.error('l2-fwd', 'filter_drop', 'Filter Mac Drop'),
      bviMac: graph.error('l2-fwd', 'bvi_bad_mac', 'BVI L3 MAC mismatch'),
      bviType: graph.error('l2-fwd', 'bvi_ethertype', 'BVI packet with unhandled ethertype'),
      noMembers: graph.error('l2-flood', 'no_members', 'L2 replication complete'),
      shg: graph.error('l2-output', 'shg_drop', 'L2 split horizon drops'),
      tags: graph.error('l2-output', 'vtr_drop', 'L2 output tag rewrite drops'),
      tagsIn: graph.error('l2-input-vtr', 'drop', 'L2 input tag rewrite drops'),
    };

    /** What comes after learning; `may` is what domain and member allow. */
    const forward = (p: number, may: number, group: boolean): void => {
      if (group) {
        if ((may & BridgeFlag.flood) !== 0) graph.enqueue(Node.l2Flood, p);
        else graph.drop(p, errors.l2Drop);
      } else if ((may & BridgeFlag.forward) !== 0) graph.enqueue(Node.l2Fwd, p);
      else if ((may & BridgeFlag.uuFlood) !== 0) graph.enqueue(Node.l2Flood, p);
      else graph.drop(p, errors.l2Drop);
    };

    // Here, and not in the nodes: the compiler takes them for constants.
    const { view, bytes, offset, rx, tx, domain, shg, flags } = vector;
    const { counts } = graph;
    const learnQueue = graph.queues[Node.l2Learn]!;
    const fwdQueue = graph.queues[Node.l2Fwd]!;
    const outputQueue = graph.queues[Node.l2Output]!;
    const sendQueue = graph.queues[Node.interfaceOutput]!;
    const { mode, features, crossTo, bridge, memberFlags } = interfaces;
    const groups = interfaces.shg;

    const input = (queue: Uint16Array, count: number): void => {
      let learns = counts[Node.l2Learn]!;
      // Packets of one interface come in a row.
      let last = NO_INTERFACE;
      let bd: BridgeDomain | undefined;
      for (let i = 0; i < count; i++) {
        const p = queue[i]!;
        const index = rx[p]!;
        const feature = features[index]!;
        if ((feature & (Feature.tagIn | Feature.aclIn)) !== 0) {
          if ((feature & Feature.tagIn) !== 0 && !editTags(p, interfaces.get(index).tagIn!)) {
            graph.drop(p, errors.tagsIn);
            continue;
          }
          if ((feature & Feature.aclIn) !== 0 && !this.#acl(p, index, true)) continue;
        }
        if (mode[index] === Mode.crossConnect) {
          tx[p] = crossTo[index]!;
          shg[p] = 0;
          graph.enqueue(Node.l2Output, p);
          continue;
        }
        if (index !== last) {
          bd = this.byIndex[bridge[index]!];
          last = index;
        }
        if (bd === undefined) {
          graph.drop(p, errors.l2Drop);
          continue;
        }
        domain[p] = bd.index;
        const group = (bytes[offset[p]!]! & 1) !== 0;
        shg[p] = (flags[p]! & Flag.fromBvi) !== 0 ? 0 : groups[index]!;
        const may = bd.flags & memberFlags[index]!;
        if (group && (may & BridgeFlag.arpTerm) !== 0 && this.terminate(p, bd)) continue;
        if ((may & BridgeFlag.learn) !== 0) learnQueue[learns++] = p;
        else forward(p, may, group);
      }
      counts[Node.l2Learn] = learns;
    };

    const learn = (queue: Uint16Array, count: number): void => {
      const nowS = Math.floor(plane.now() / 1000) >>> 0;
      let { words } = table;
      let forwards = counts[Node.l2Fwd]!;
      let last = NO_INTERFACE;
      let bd: BridgeDomain | undefined;
      for (let i = 0; i < count; i++) {
        const p = queue[i]!;
        const at = offset[p]!;
        const index = domain[p]!;
        const high = ((index << 16) | view.getUint16(at + 6)) >>> 0;
        const low = view.getUint32(at + 8);
        const entry = table.find(high, low);
        if (entry >= 0 && (words[entry + 2]! & 0xffff) === rx[p]) words[entry + 3] = nowS;
        else {
          if (!relearn(p, entry, high, low, nowS)) continue;
          ({ words } = table);
        }
        if (index !== last) {
          bd = this.byIndex[index]!;
          last = index;
        }
        const group = (bytes[at]! & 1) !== 0;
        const may = bd!.flags & memberFlags[rx[p]!]!;
        if (!group && (may & BridgeFlag.forward) !== 0) fwdQueue[forwards++] = p;
        else forward(p, may, group);
      }
      counts[Node.l2Fwd] = forwards;
    };

    /** An address that is new, or has moved; false when the packet was dropped for it. */
    const relearn = (p: number, entry: number, high: number, low: number, nowS: number): boolean => {
      const index = rx[p]!;
      if (entry < 0) {
        graph.errorCounts[errors.miss]!++;
        const domainIndex = high >>> 16;
        const { learnLimit } = this.byIndex[domainIndex]!;
        if (table.learnt >= MAX_LEARNT || table.learntIn[domainIndex]! >= learnLimit)
          graph.errorCounts[errors.limit]!++;
        else if ((high & 0xffff) !== 0 || low !== 0) {
          table.set(high, low, index, 0, nowS);
          this.#tell('add', high, low, index);
        }
        return true;
      }
      const known = table.flagsAt(entry);
      if ((known & (MacFlag.filter | MacFlag.static)) !== 0) {
        graph.drop(p, (known & MacFlag.filter) !== 0 ? errors.filter : errors.violation);
        return false;
      }
      graph.errorCounts[errors.move]!++;
      table.set(high, low, index, 0, nowS);
      this.#tell('move', high, low, index);
      return true;
    };

    const fwd = (queue: Uint16Array, count: number): void => {
      const { words } = table;
      let outputs = counts[Node.l2Output]!;
      for (let i = 0; i < count; i++) {
        const p = queue[i]!;
        const at = offset[p]!;
        const high = ((domain[p]! << 16) | view.getUint16(at)) >>> 0;
        const entry = table.find(high, view.getUint32(at + 2));
        if (entry < 0) {
          const bd = this.byIndex[domain[p]!]!;
          if (bd.uuForward !== NO_INTERFACE && bd.uuForward !== rx[p]) {
            tx[p] = bd.uuForward;
            outputQueue[outputs++] = p;
          } else if ((bd.flags & memberFlags[rx[p]!]! & BridgeFlag.uuFlood) !== 0) graph.enqueue(Node.l2Flood, p);
          else graph.drop(p, errors.flood);
          continue;
        }
        const known = words[entry + 2]!;
        const to = known & 0xffff;
        if (to === rx[p]) graph.drop(p, errors.reflect);
        else if ((known & (MacFlag.filter << 16)) !== 0) graph.drop(p, errors.filterFwd);
        else if ((known & (MacFlag.bvi << 16)) !== 0) toBvi(p, to);
        else {
          tx[p] = to;
          outputQueue[outputs++] = p;
        }
      }
      counts[Node.l2Output] = outputs;
    };

    const flood = (queue: Uint16Array, count: number): void => {
      for (let i = 0; i < count; i++) {
        const p = queue[i]!;
        const bd = this.byIndex[vector.domain[p]!]!;
        const from = vector.rx[p]!;
        const group = vector.shg[p]!;
        let last: BridgeDomain['members'][number] | undefined;
        for (let m = bd.members.length - 1; m >= 0; m--) {
          const member = bd.members[m]!;
          if (member.swIfIndex === from || (group !== 0 && member.shg === group)) continue;
          // One behind: the last gets the packet itself.
          if (last !== undefined) {
            const q = vector.clone(p);
            if (q < 0) {
              plane.noBuffer(p);
              break;
            }
            vector.tx[q] = last.swIfIndex;
            graph.enqueue(Node.l2Output, q);
          }
          last = member;
        }
        if (last === undefined) graph.drop(p, errors.noMembers);
        else if (last.bvi) toBvi(p, last.swIfIndex);
        else {
          vector.tx[p] = last.swIfIndex;
          graph.enqueue(Node.l2Output, p);
        }
      }
    };

    /** Leaves the bridge domain for the router. */
    const toBvi = (p: number, bvi: number): void => {
      const at = offset[p]!;
      const high = view.getUint16(at);
      if ((high & 0x100) === 0) {
        if (high !== interfaces.macHigh[bvi] || view.getUint32(at + 2) !== interfaces.macLow[bvi]) {
          graph.drop(p, errors.bviMac);
          return;
        }
      }
      if (!plane.hop(p)) return;
      vector.rx[p] = bvi;
      vector.flags[p] = vector.flags[p]! & ~Flag.fromBvi;
      interfaces.count(bvi, 'rxPackets');
      interfaces.count(bvi, 'rxBytes', vector.length[p]! - (vector.l3[p]! - at));
      const type = vector.etherType[p]!;
      if (interfaces.up[bvi] === 0) graph.drop(p, errors.l2Drop);
      else if (type === 0x0800) graph.enqueue(Node.ip4Input, p);
      else if (type === 0x86dd) graph.enqueue(Node.ip6Input, p);
      else if (type === 0x0806) graph.enqueue(Node.arpInput, p);
      else graph.drop(p, errors.bviType);
    };

    const output = (queue: Uint16Array, count: number): void => {
      let sends = counts[Node.interfaceOutput]!;
      for (let i = 0; i < count; i++) {
        const p = queue[i]!;
        const index = tx[p]!;
        const group = groups[index]!;
        if (group !== 0 && group === shg[p]) {
          graph.drop(p, errors.shg);
          continue;
        }
        const feature = features[index]!;
        if ((feature & (Feature.tagOut | Feature.aclOut)) !== 0) {
          if ((feature & Feature.aclOut) !== 0 && !this.#acl(p, index, false)) continue;
          if ((feature & Feature.tagOut) !== 0 && !headTags(p, interfaces.get(index).tagOut!)) {
            graph.drop(p, errors.tags);
            continue;
          }
        }
        sendQueue[sends++] = p;
      }
      counts[Node.interfaceOutput] = sends;
    };

    /** Writes the edited tags as the packet's head. */
    const headTags = (p: number, edit: TagEdit): boolean => {
      if (vector.headLength[p]! > 0 && !vector.flatten(p)) return false;
      const at = vector.offset[p]!;
      if (vector.l3[p]! - at - 14 < edit.pop) return false;
      const { push } = edit;
      const room = vector.allocate(12 + push.length);
      if (room < 0) return false;
      for (let i = 0; i < 12; i++) bytes[room + i] = bytes[at + i]!;
      for (let i = 0; i < push.length; i++) bytes[room + 12 + i] = push[i]!;
      vector.headAt[p] = room;
      vector.headLength[p] = 12 + push.length;
      vector.skip[p] = 12 + edit.pop;
      return true;
    };

    /** The same, and the packet is a plain frame again: later nodes read it. */
    const editTags = (p: number, edit: TagEdit): boolean => headTags(p, edit) && vector.flatten(p);

    graph.define(Node.l2Input, input, (p) => `l2-input: sw_if_index ${vector.rx[p]!} ${macsOf(p)}`);
    graph.define(
      Node.l2Learn,
      learn,
      (p) => `l2-learn: sw_if_index ${vector.rx[p]!} ${macsOf(p)} bd_index ${vector.domain[p]!}`,
    );
    graph.define(
      Node.l2Fwd,
      fwd,
      (p) => `l2-fwd: sw_if_index ${vector.rx[p]!} ${macsOf(p)} bd_index ${vector.domain[p]!}`,
    );
    graph.define(
      Node.l2Flood,
      flood,
      (p) => `l2-flood: sw_if_index ${vector.rx[p]!} ${macsOf(p)} bd_index ${vector.domain[p]!}`,
    );
    graph.define(Node.l2Output, output, (p) => `l2-output: sw_if_index ${vector.tx[p]!} ${macsOf(p)}`);

    const macsOf = (p: number): string => {
      const at = vector.offset[p]!;
      const text = (from: number): string =>
        Array.from(bytes.subarray(from, from + 6), (byte) => byte.toString(16).padStart(2, '0')).join(':');
      return `dst ${text(at)} src ${text(at + 6)}`;
    };
  }

  /** ACLs look at IP only; VPP lets other types pass a list of theirs that has no rule for them. */
  #acl(p: number, index: number, isInput: boolean): boolean {
    const type = this.#plane.vector.etherType[p]!;
    if (type === 0x0800) return this.acl(p, index, isInput, false);
    if (type === 0x86dd) return this.acl(p, index, isInput, true);
    return true;
  }
}

/** Bits with those changed that are named. */
export function withFlags(bits: number, flags: Partial<BridgeDomainFlags>): number {
  for (const [name, bit] of Object.entries(BridgeFlag)) {
    const wanted = flags[name as keyof BridgeDomainFlags];
    if (wanted !== undefined) bits = wanted ? bits | bit : bits & ~bit;
  }
  return bits;
}

/** Text of a MAC from the two words of a table key. */
export function macText(high: number, low: number): string {
  const value = [high >>> 8, high, low >>> 24, low >>> 16, low >>> 8, low];
  return value.map((byte) => (byte & 255).toString(16).padStart(2, '0')).join(':');
}
