// Neighbours of both families: learnt and given, asked for, aged; and the packets that wait for one.
//
//            packet for it                answer                    silent for ageS
//   unknown ──────────────► asked ──────────────────► known ─────────────────────────► probed (3 times) ──► gone
//                           keeps up to 16 packets     packets go     answer: known
//
// VPP drops the packet that makes it ask; here it waits, within two limits. Requests for one address go out at most
// once a millisecond, as VPP's throttle has it.

import { formatIp, formatMac } from '../../net/index.js';
import { neighbourKey } from './adjacency.js';
import type { ForwarderOptions, Neighbour, NeighbourLimits } from './control.js';
import { Node } from './graph.js';
import { segment } from './offload.js';
import type { Plane } from './plane.js';
import type { Routing } from './routing.js';
import { Flag } from './vector.js';

const THROTTLE_MS = 1;
const PROBES = 3;
/** An address that does not answer is forgotten after this, and its packets with it. */
const PENDING_MS = 3000;
const MAX_PENDING_ADDRESSES = 4096;

export interface NeighbourEntry {
  readonly swIfIndex: number;
  readonly address: Uint8Array;
  mac: Uint8Array;
  static: boolean;
  noFibEntry: boolean;
  adjacency: number;
  confirmedMs: number;
  probes: number;
}

interface Waiting {
  readonly swIfIndex: number;
  readonly address: Uint8Array;
  readonly packets: { bytes: Uint8Array; flags: number }[];
  sinceMs: number;
  askedMs: number;
}

/** Sends a request for an address: ARP or a neighbour solicitation; to one MAC when it is known. */
export type Probe = (swIfIndex: number, address: Uint8Array, mac: Uint8Array | undefined) => boolean;

export class Neighbours {
  readonly entries4 = new Map<string, NeighbourEntry>();
  readonly entries6 = new Map<string, NeighbourEntry>();
  readonly limits4: Required<NeighbourLimits> = { max: 50_000, ageS: 0, recycle: false };
  readonly limits6: Required<NeighbourLimits> = { max: 50_000, ageS: 0, recycle: false };
  probe4: Probe = () => false;
  probe6: Probe = () => false;
  readonly #plane: Plane;
  readonly #routing: Routing;
  readonly #waiting = new Map<string, Waiting>();
  readonly #perNeighbour: number;
  readonly #inAll: number;
  #held = 0;
  readonly #errors: {
    throttled4: number;
    throttled6: number;
    sent4: number;
    sent6: number;
    full: number;
    gone: number;
  };

  constructor(plane: Plane, routing: Routing, options: ForwarderOptions) {
    this.#plane = plane;
    this.#routing = routing;
    this.#perNeighbour = options.pendingPerNeighbour ?? 16;
    this.#inAll = options.pendingPackets ?? 1024;
    const { graph } = plane;
    this.#errors = {
      throttled4: graph.error('ip4-arp', 'throttled', 'ARP requests throttled'),
      sent4: graph.error('ip4-arp', 'request_sent', 'ARP requests sent', 'info'),
      throttled6: graph.error('ip6-discover-neighbor', 'throttled', 'ND requests throttled'),
      sent6: graph.error('ip6-discover-neighbor', 'request_sent', 'ND requests sent', 'info'),
      full: graph.error('ip4-arp', 'queue_full', 'no room to keep the packet'),
      gone: graph.error('ip4-arp', 'no_answer', 'neighbour did not answer'),
    };
  }

  get waiting(): { addresses: number; packets: number } {
    return { addresses: this.#waiting.size, packets: this.#held };
  }

  #of(address: Uint8Array): Map<string, NeighbourEntry> {
    return address.length === 4 ? this.entries4 : this.entries6;
  }

  limits(isIp6: boolean): Required<NeighbourLimits> {
    return isIp6 ? this.limits6 : this.limits4;
  }

  /** Sets a neighbour, from the control plane or from the wire. Returns the entry; undefined when there is no room. */
  set(
    swIfIndex: number,
    address: Uint8Array,
    mac: Uint8Array,
    flags: { static: boolean; noFibEntry: boolean },
  ): NeighbourEntry | undefined {
    const entries = this.#of(address);
    const key = neighbourKey(swIfIndex, address);
    let entry = entries.get(key);
    if (entry === undefined) {
      const limits = this.limits(address.length === 16);
      if (!flags.static && entries.size >= limits.max && !this.#makeRoom(entries, limits)) return undefined;
      entry = {
        swIfIndex,
        address,
        mac,
        static: flags.static,
        noFibEntry: flags.noFibEntry,
        adjacency: this.#routing.adjacencies.acquire(swIfIndex, address),
        confirmedMs: this.#plane.now(),
        probes: 0,
      };
      entries.set(key, entry);
      this.#routing.adjacencies.setMac(entry.adjacency, mac);
      if (!flags.noFibEntry) this.#routing.neighbour(swIfIndex, address, true);
    } else {
      entry.mac = mac;
      entry.static = flags.static;
      entry.confirmedMs = this.#plane.now();
      entry.probes = 0;
      this.#routing.adjacencies.setMac(entry.adjacency, mac);
    }
    this.#release(key, entry);
    return entry;
  }

  #makeRoom(entries: Map<string, NeighbourEntry>, limits: Required<NeighbourLimits>): boolean {
    if (!limits.recycle) return false;
    let oldest: NeighbourEntry | undefined;
    for (const entry of entries.values()) {
      if (!entry.static && (oldest === undefined || entry.confirmedMs < oldest.confirmedMs)) oldest = entry;
    }
    return oldest !== undefined && this.remove(oldest.swIfIndex, oldest.address);
  }

  /** What the wire says: an ARP packet, a solicitation or an advertisement. */
  learn(swIfIndex: number, address: Uint8Array, mac: Uint8Array): void {
    const known = this.#of(address).get(neighbourKey(swIfIndex, address));
    if (known !== undefined) {
      if (known.static) return;
      let same = true;
      for (let i = 0; i < 6; i++) if (known.mac[i] !== mac[i]) same = false;
      if (same) {
        known.confirmedMs = this.#plane.now();
        known.probes = 0;
        return;
      }
    }
    const entry = this.set(swIfIndex, address, mac, { static: false, noFibEntry: false });
    if (entry !== undefined) this.#tell('add', entry);
  }

  #tell(kind: 'add' | 'delete', entry: NeighbourEntry): void {
    const plane = this.#plane;
    const { neighbourEvent } = plane.events;
    if (neighbourEvent === undefined) return;
    const shown = this.show(entry);
    plane.later(() => neighbourEvent(kind, shown));
  }

  remove(swIfIndex: number, address: Uint8Array): boolean {
    const entries = this.#of(address);
    const key = neighbourKey(swIfIndex, address);
    const entry = entries.get(key);
    if (entry === undefined) return false;
    entries.delete(key);
    if (!entry.noFibEntry) this.#routing.neighbour(swIfIndex, address, false);
    this.#routing.adjacencies.setMac(entry.adjacency, undefined);
    this.#routing.adjacencies.release(entry.adjacency);
    return true;
  }

  flush(isIp6: boolean, swIfIndex?: number): void {
    for (const entry of [...(isIp6 ? this.entries6 : this.entries4).values()]) {
      if (swIfIndex === undefined || entry.swIfIndex === swIfIndex) this.remove(entry.swIfIndex, entry.address);
    }
  }

  show(entry: NeighbourEntry): Neighbour {
    return {
      swIfIndex: entry.swIfIndex,
      ip: formatIp(entry.address),
      mac: formatMac(entry.mac),
      static: entry.static,
      noFibEntry: entry.noFibEntry,
      ageS: (this.#plane.now() - entry.confirmedMs) / 1000,
    };
  }

  /** Keeps a packet for a neighbour that is not known, and asks for it. */
  resolve(p: number, swIfIndex: number, address: Uint8Array): void {
    const { graph, vector } = this.#plane;
    const isIp6 = address.length === 16;
    const key = neighbourKey(swIfIndex, address);
    const now = this.#plane.now();
    let waiting = this.#waiting.get(key);
    if (waiting === undefined) {
      if (this.#waiting.size >= MAX_PENDING_ADDRESSES) {
        graph.drop(p, this.#errors.full);
        return;
      }
      waiting = { swIfIndex, address, packets: [], sinceMs: now, askedMs: -Infinity };
      this.#waiting.set(key, waiting);
    }
    if (now - waiting.askedMs >= THROTTLE_MS) {
      waiting.askedMs = now;
      graph.errorCounts[isIp6 ? this.#errors.sent6 : this.#errors.sent4]!++;
      (isIp6 ? this.probe6 : this.probe4)(swIfIndex, address, undefined);
    } else graph.errorCounts[isIp6 ? this.#errors.throttled6 : this.#errors.throttled4]!++;
    if (
      waiting.packets.length >= this.#perNeighbour ||
      this.#held >= this.#inAll ||
      ((vector.flags[p]! & Flag.offload) !== 0 && vector.gsoType[p] !== 0)
    ) {
      graph.drop(p, this.#errors.full);
      return;
    }
    // A checksum that is only begun is finished now: what is kept stands alone.
    if ((vector.flags[p]! & Flag.offload) !== 0 && segment(this.#plane, p, () => undefined) === 0) return;
    const from = vector.l3[p]!;
    const end = vector.offset[p]! + vector.length[p]!;
    waiting.packets.push({
      bytes: vector.bytes.slice(from, end),
      flags: vector.flags[p]! & Flag.local,
    });
    this.#held++;
  }

  /** Sends what waited for a neighbour. */
  #release(key: string, entry: NeighbourEntry): void {
    const waiting = this.#waiting.get(key);
    if (waiting === undefined) return;
    this.#waiting.delete(key);
    this.#held -= waiting.packets.length;
    const plane = this.#plane;
    if (waiting.packets.length === 0) return;
    plane.generate(() => {
      const { vector, graph } = plane;
      for (const { bytes, flags } of waiting.packets) {
        const p = plane.make(bytes.length, 0);
        if (p < 0) return;
        vector.bytes.set(bytes, vector.offset[p]);
        vector.flags[p] = flags;
        vector.l3[p] = vector.offset[p]!;
        vector.adjacency[p] = entry.adjacency;
        graph.enqueue(entry.address.length === 16 ? Node.ip6Rewrite : Node.ip4Rewrite, p);
      }
    });
  }

  /** Looks after ages; every second or so. */
  tick(): void {
    const now = this.#plane.now();
    for (const [key, waiting] of this.#waiting) {
      if (now - waiting.sinceMs > PENDING_MS) {
        this.#waiting.delete(key);
        this.#held -= waiting.packets.length;
        this.#plane.graph.errorCounts[this.#errors.gone]! += waiting.packets.length;
        if (this.#plane.interfaces.has(waiting.swIfIndex)) {
          this.#plane.interfaces.count(waiting.swIfIndex, 'drops', waiting.packets.length);
        }
      } else if (now - waiting.askedMs > 900) {
        waiting.askedMs = now;
        this.#plane.generate(() =>
          (waiting.address.length === 16 ? this.probe6 : this.probe4)(waiting.swIfIndex, waiting.address, undefined),
        );
      }
    }
    for (const isIp6 of [false, true]) {
      const { ageS } = this.limits(isIp6);
      if (ageS === 0) continue;
      for (const entry of [...(isIp6 ? this.entries6 : this.entries4).values()]) {
        if (entry.static || now - entry.confirmedMs < ageS * 1000) continue;
        if (entry.probes >= PROBES) {
          this.remove(entry.swIfIndex, entry.address);
          this.#tell('delete', entry);
        } else {
          entry.probes++;
          this.#plane.generate(() => (isIp6 ? this.probe6 : this.probe4)(entry.swIfIndex, entry.address, entry.mac));
        }
      }
    }
  }

  /** Everything that has to do with an interface goes. */
  forget(swIfIndex: number): void {
    this.flush(false, swIfIndex);
    this.flush(true, swIfIndex);
    for (const [key, waiting] of this.#waiting) {
      if (waiting.swIfIndex !== swIfIndex) continue;
      this.#waiting.delete(key);
      this.#held -= waiting.packets.length;
    }
  }
}
