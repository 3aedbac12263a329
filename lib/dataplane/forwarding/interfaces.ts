// What the nodes know of each interface, as flat arrays by sw_if_index, and the sub-interfaces that VLAN tags lead to.
//
// The arrays are as long as they ever get (the kernel gives memory for what is used): so they stay the same, and the nodes'
// compiled code has their addresses in it.

import { ArgumentRangeError } from '../../errors.js';
import type { InterfaceSpec, SubInterface } from './control.js';
import { INTERFACE_COUNTERS, InterfaceCounter, NO_INTERFACE } from './control.js';
import type { Port } from './port.js';

/** How an interface handles what it receives. */
export const Mode = { routed: 0, bridged: 1, crossConnect: 2 } as const;
export type Mode = (typeof Mode)[keyof typeof Mode];

/** Most interfaces: indices are dense, and fit into 16 bits of an L2 FIB entry, where 0xffff is none. */
const MAX_INTERFACES = 65_534;
const CAPACITY = MAX_INTERFACES + 1;

/** What a tag rewrite does to a frame: `pop` bytes behind the MAC addresses go, `push` (0, 4 or 8 bytes) come. */
export interface TagEdit {
  pop: number;
  push: Uint8Array;
}

/** The parts of an interface that are no numbers. */
export interface InterfaceState {
  spec: InterfaceSpec;
  /** Own port; of a sub-interface undefined. */
  port: Port | undefined;
  /** Addresses with their prefix lengths, in the order they were added. */
  addresses4: { address: number; length: number }[];
  addresses6: { address: Uint8Array; length: number }[];
  linkLocal: Uint8Array | undefined;
  /** What an L2 sub-interface, or a tag rewrite, does to frames that come in and that go out. */
  tagIn: TagEdit | undefined;
  tagOut: TagEdit | undefined;
  /** Sub-interface: the tags it puts in front of what it sends. */
  ownTags: Uint8Array;
  /** Index of the bridge port type. */
  aclIn: readonly number[];
  aclOut: readonly number[];
}

const words = (): Uint32Array => new Uint32Array(CAPACITY);
const bytes = (): Uint8Array => new Uint8Array(CAPACITY);

/** All interfaces. */
export class Interfaces {
  readonly state: (InterfaceState | undefined)[] = [];
  readonly admin = bytes();
  readonly link = bytes();
  /** Both, of the interface and of its parent: packets may go out. */
  readonly up = bytes();
  readonly mode = bytes();
  /** The port's interface: itself, or the parent. */
  readonly hardware = words();
  readonly macHigh = words();
  readonly macLow = words();
  readonly promiscuous = bytes();
  /** FIB index of each family. */
  readonly fib4 = words();
  readonly fib6 = words();
  /** Those of table 0. */
  defaultFib4 = 0;
  defaultFib6 = 0;
  readonly ip4Enabled = bytes();
  readonly ip6Enabled = bytes();
  /** Interface whose addresses are used. */
  readonly unnumbered = words();
  /** Largest L3 packet sent. */
  readonly mtu4 = words();
  readonly mtu6 = words();
  readonly portMtu = words();
  readonly l3Mtu = words();
  readonly ip4Mtu = words();
  readonly ip6Mtu = words();
  readonly bridge = words();
  readonly shg = bytes();
  /** What a bridge domain may do with packets from here: `BridgeFlag`. */
  readonly memberFlags = bytes();
  readonly isBvi = bytes();
  readonly crossTo = words();
  /** Bits: 1 tag rewrite in, 2 tag rewrite out, 4 ACL in, 8 ACL out, 16 sub-interfaces, 32 is a sub-interface,
   * 64 frames start with an IP header. */
  readonly features = bytes();
  counters = new Float64Array(0);
  /** Sub-interfaces of a port: tags to sw_if_index. */
  readonly #subs = new Map<number, Map<number, number>>();

  has(index: number): boolean {
    return this.state[index] !== undefined;
  }

  /** The state of an interface that must be there. */
  get(index: number): InterfaceState {
    const found = this.state[index];
    if (found === undefined) throw new ArgumentRangeError(`forwarder: there is no interface ${index}`);
    return found;
  }

  add(index: number, state: InterfaceState, mac: { high: number; low: number }): void {
    if (!Number.isInteger(index) || index < 0 || index > MAX_INTERFACES) {
      throw new ArgumentRangeError(`forwarder: interface ${index} is not a whole number from 0 to ${MAX_INTERFACES}`);
    }
    if (this.has(index)) throw new ArgumentRangeError(`forwarder: interface ${index} is there already`);
    this.#reserve(index + 1);
    this.state[index] = state;
    this.admin[index] = 0;
    this.link[index] = 0;
    this.up[index] = 0;
    this.mode[index] = Mode.routed;
    this.hardware[index] = state.spec.kind === 'sub' ? state.spec.parent : index;
    this.macHigh[index] = mac.high;
    this.macLow[index] = mac.low;
    this.promiscuous[index] = 0;
    this.fib4[index] = this.defaultFib4;
    this.fib6[index] = this.defaultFib6;
    this.ip4Enabled[index] = 0;
    this.ip6Enabled[index] = 0;
    this.unnumbered[index] = NO_INTERFACE;
    this.portMtu[index] = 9000;
    this.l3Mtu[index] = 0;
    this.ip4Mtu[index] = 0;
    this.ip6Mtu[index] = 0;
    this.bridge[index] = NO_INTERFACE;
    this.shg[index] = 0;
    this.memberFlags[index] = 0;
    this.isBvi[index] = 0;
    this.crossTo[index] = NO_INTERFACE;
    this.features[index] = state.spec.kind === 'sub' ? Feature.isSub : 0;
    this.counters.fill(0, index * INTERFACE_COUNTERS, (index + 1) * INTERFACE_COUNTERS);
    this.updateMtu(index);
  }

  remove(index: number): void {
    this.state[index] = undefined;
    this.up[index] = 0;
    this.#subs.delete(index);
  }

  /** The counters of an interface have room. */
  #reserve(size: number): void {
    if (size * INTERFACE_COUNTERS <= this.counters.length) return;
    const counters = new Float64Array(Math.max(16, 2 ** Math.ceil(Math.log2(size))) * INTERFACE_COUNTERS);
    counters.set(this.counters);
    this.counters = counters;
  }

  /** What the two MTUs of sending are: those of the protocol, else that of L3, else the port's. */
  updateMtu(index: number): void {
    const parent = this.hardware[index]!;
    const l3 = this.l3Mtu[index]! || this.l3Mtu[parent]! || this.portMtu[parent]!;
    this.mtu4[index] = this.ip4Mtu[index]! || l3;
    this.mtu6[index] = this.ip6Mtu[index]! || l3;
  }

  setFeature(index: number, bit: number, on: boolean): void {
    this.features[index] = on ? this.features[index]! | bit : this.features[index]! & ~bit;
  }

  count(index: number, counter: InterfaceCounter, packets = 1): void {
    this.counters[index * INTERFACE_COUNTERS + InterfaceCounter[counter]]! += packets;
  }

  addSub(index: number, spec: SubInterface): void {
    let subs = this.#subs.get(spec.parent);
    if (subs === undefined) this.#subs.set(spec.parent, (subs = new Map<number, number>()));
    const key = subKey(spec);
    if (subs.has(key))
      throw new ArgumentRangeError(`forwarder: interface ${spec.parent} has a sub-interface for these tags`);
    subs.set(key, index);
    this.setFeature(spec.parent, Feature.hasSubs, true);
  }

  removeSub(spec: SubInterface): void {
    const subs = this.#subs.get(spec.parent);
    subs?.delete(subKey(spec));
    if (subs?.size === 0) {
      this.#subs.delete(spec.parent);
      this.setFeature(spec.parent, Feature.hasSubs, false);
    }
  }

  subsOf(parent: number): readonly number[] {
    return [...(this.#subs.get(parent)?.values() ?? [])];
  }

  /**
   * The sub-interface that a frame with these tags belongs to; `NO_INTERFACE` when there is none. More tags than asked
   * for fit only one that is not exact; `any` comes after a number; the default one comes last.
   */
  findSub(parent: number, tags: number, outerType: number, outer: number, inner: number): number {
    const subs = this.#subs.get(parent);
    if (subs === undefined) return NO_INTERFACE;
    const dot1ad = outerType === 0x88a8 ? 1 : 0;
    let found: number | undefined;
    if (tags === 0) found = subs.get(key(0, 0, 0, 0, true));
    else {
      if (tags >= 2) {
        found =
          (tags === 2 ? subs.get(key(2, dot1ad, outer, inner, true)) : undefined) ??
          subs.get(key(2, dot1ad, outer, inner, false)) ??
          (tags === 2 ? subs.get(key(2, dot1ad, outer, ANY, true)) : undefined) ??
          subs.get(key(2, dot1ad, outer, ANY, false));
      } else found = subs.get(key(1, dot1ad, outer, 0, true));
      found ??= subs.get(key(1, dot1ad, outer, 0, false));
    }
    return found ?? subs.get(DEFAULT_KEY) ?? NO_INTERFACE;
  }
}

/** Bits of `Interfaces.features`. */
export const Feature = { tagIn: 1, tagOut: 2, aclIn: 4, aclOut: 8, hasSubs: 16, isSub: 32, ip: 64 } as const;

const ANY = 4096;
const DEFAULT_KEY = -1;
const key = (tags: number, dot1ad: number, outer: number, inner: number, exact: boolean): number =>
  ((((tags * 2 + dot1ad) * 8192 + outer) * 8192 + inner) << 1) + (exact ? 1 : 0);

function subKey(spec: SubInterface): number {
  if (spec.isDefault === true) return DEFAULT_KEY;
  const [outer, inner] = spec.tags;
  const id = (tag: typeof outer): number => (tag === undefined ? 0 : tag.vlanId === 'any' ? ANY : tag.vlanId);
  return key(
    spec.tags.length,
    outer?.dot1ad === true ? 1 : 0,
    id(outer),
    id(inner),
    spec.exact || spec.tags.length === 0,
  );
}
