// Interfaces as VPP shows them: numbers, names, states. What moves packets is the forwarder's; both change together here.
//
//   kind        name              device type   made by
//   local       local0            local         always there, number 0
//   loopback    loop<n>           Loopback      create_loopback
//   bvi         bvi<n>            BVI           bvi_create
//   memif       memif<s>/<id>     memif         memif_create
//   tap         tap<n>, tun<n>    virtio        tap_create
//   af_packet   host-<device>     af-packet     af_packet_create
//   sub         <parent>.<id>     the parent's  create_vlan_subif
//
// Invariant: an interface is in the pool exactly while the forwarder has one of its number.

import {
  NO_INTERFACE,
  type InterfaceSpec,
  type PortRxMode,
  type SubInterface,
  type TagRewrite,
} from './forwarding/control.js';
import { Pool } from './pool.js';
import { Refused } from './retvals.js';
import type { State } from './state.js';

/** What an interface is. */
export type InterfaceKind = 'local' | 'loopback' | 'bvi' | 'memif' | 'tap' | 'af_packet' | 'sub';

/** What packets of a sub-interface carry; `flags` are VPP's `sub_if_flags`. */
export interface SubTags {
  readonly id: number;
  readonly flags: number;
  readonly outer: number;
  readonly inner: number;
}

/** An interface. */
export interface Interface {
  readonly swIfIndex: number;
  readonly kind: InterfaceKind;
  /** VPP's device class. */
  readonly devType: string;
  /** Carries Ethernet, and not bare IP. */
  readonly ethernet: boolean;
  name: string;
  /** Itself, but for a sub-interface. */
  readonly parent: Interface;
  readonly sub: SubTags | undefined;
  tag: string;
  adminUp: boolean;
  /** Of the port; a sub-interface has its parent's. */
  linkUp: boolean;
  /** `''` where there is none. */
  mac: string;
  linkMtu: number;
  /** L3, IP4, IP6, MPLS. */
  mtu: number[];
  linkSpeed: number;
  rewrite: TagRewrite;
  rxMode: PortRxMode;
  /** Queues of the port; of a memif, those the peer agreed to (see `queuesOf`). */
  readonly queues: number;
  promiscuous: boolean;
  /** Tables of IPv4 and IPv6. */
  readonly tables: [number, number];
  /** The interface whose addresses it uses. */
  unnumbered: Interface | undefined;
  /** sw_interface_ip6_enable_disable, counted as VPP counts it. */
  ip6Locks: number;
}

/** What is said of a new interface; the rest has VPP's defaults. */
export type NewInterface = Pick<Interface, 'kind' | 'devType' | 'name'> &
  Partial<Omit<Interface, 'swIfIndex' | 'parent'>> & { parent?: Interface };

/** What the forwarder is told of a new interface, but for its number. */
export type PortSpec = InterfaceSpec extends infer Spec
  ? Spec extends unknown
    ? Omit<Spec, 'swIfIndex'>
    : never
  : never;

const EVENT_ADMIN_UP = 1;
const EVENT_LINK_UP = 2;

/** All interfaces. */
export class Interfaces {
  readonly #state: State;
  readonly #pool = new Pool<Interface>();
  readonly #byName = new Map<string, Interface>();
  /** Waiting for their event: what has become of each interface since the last one. */
  readonly #events = new Map<number, { flags: number; deleted: boolean }>();
  #defaultRxMode: PortRxMode | undefined;

  /** As VPP has it: new interfaces poll, as far as anybody is told. */
  get defaultRxMode(): PortRxMode {
    return this.#defaultRxMode ?? 'polling';
  }

  set defaultRxMode(mode: PortRxMode) {
    this.#defaultRxMode = mode;
  }

  /** What new ports really do: nobody has asked for a processor that never sleeps until he says so. */
  get portRxMode(): PortRxMode {
    return this.#defaultRxMode ?? 'adaptive';
  }

  constructor(state: State) {
    this.#state = state;
    this.#put({ kind: 'local', devType: 'local', name: 'local0', linkMtu: 0, mtu: [0, 0, 0, 0], ethernet: false });
  }

  /** In the order of their numbers. */
  values(): Generator<Interface> {
    return this.#pool.values();
  }

  get size(): number {
    return this.#pool.size;
  }

  /** The number of the next one. */
  get next(): number {
    return this.#pool.next;
  }

  get(swIfIndex: number): Interface | undefined {
    return this.#pool.get(swIfIndex);
  }

  /** The interface a request names. */
  must(swIfIndex: number): Interface {
    const found = this.#pool.get(swIfIndex);
    if (found === undefined) throw new Refused('INVALID_SW_IF_INDEX');
    return found;
  }

  named(name: string): Interface | undefined {
    return this.#byName.get(name);
  }

  /** Opens the port, where there is one, and shows the interface. What the port refuses is thrown. */
  add(what: NewInterface, port: PortSpec): Interface {
    const swIfIndex = this.#pool.next;
    const status = this.#state.forwarder.addInterface({ ...port, swIfIndex });
    const made = this.#put({ ...what, mac: what.mac ?? (what.kind === 'sub' ? '' : status.mac) });
    if (made.kind !== 'loopback' && made.kind !== 'bvi' && made.kind !== 'sub') made.linkUp = status.link;
    this.#state.stats?.added(made);
    this.#note(made.swIfIndex, 0);
    return made;
  }

  #put(what: NewInterface): Interface {
    const { next } = this.#pool;
    const made = {
      swIfIndex: next,
      ethernet: true,
      sub: undefined,
      tag: '',
      adminUp: false,
      linkUp: false,
      mac: '',
      linkMtu: 9000,
      mtu: [9000, 0, 0, 0],
      linkSpeed: 0,
      rewrite: { op: 0 as const, pushDot1q: false, tag1: 0, tag2: 0 },
      rxMode: this.defaultRxMode,
      queues: 0,
      promiscuous: false,
      tables: [0, 0] as [number, number],
      unnumbered: undefined,
      ip6Locks: 0,
      ...what,
    } as Omit<Interface, 'parent'> & { parent: Interface };
    made.parent = what.parent ?? made;
    this.#pool.put(made);
    this.#byName.set(made.name, made);
    return made;
  }

  /** Takes an interface away with its sub-interfaces and everything that rests on them. */
  remove(gone: Interface): void {
    if (gone.sub === undefined) for (const sub of this.subsOf(gone)) this.remove(sub);
    if (gone.adminUp) this.setAdmin(gone, false);
    this.#state.interfaceGone(gone);
    this.#state.forwarder.removeInterface(gone.swIfIndex);
    this.#pool.remove(gone.swIfIndex);
    this.#byName.delete(gone.name);
    this.#state.stats?.removed(gone);
    this.#note(gone.swIfIndex, 0, true);
  }

  subsOf(parent: Interface): Interface[] {
    return [...this.values()].filter((other) => other.sub !== undefined && other.parent === parent);
  }

  /** Receive and transmit queues there are now. */
  queuesOf(one: Interface): { rx: number; tx: number } {
    if (one.kind !== 'memif') return { rx: one.queues, tx: one.queues };
    const { rings } = this.#state.forwarder.status(one.swIfIndex);
    return { rx: rings?.rx ?? 0, tx: rings?.tx ?? 0 };
  }

  rename(one: Interface, name: string): void {
    const subs = this.subsOf(one);
    for (const [renamed, to] of [[one, name] as const, ...subs.map((s) => [s, `${name}.${s.sub!.id}`] as const)]) {
      this.#byName.delete(renamed.name);
      this.#state.stats?.removed(renamed);
      renamed.name = to;
      this.#byName.set(to, renamed);
      this.#state.stats?.added(renamed);
    }
  }

  setAdmin(one: Interface, up: boolean): void {
    // As in VPP: a sub-interface cannot go up before its parent.
    if (one.sub !== undefined && up && !one.parent.adminUp) throw new Refused('UNSPECIFIED');
    if (one.adminUp === up) return;
    one.adminUp = up;
    this.#state.forwarder.setAdmin(one.swIfIndex, up);
    this.#state.addresses.adminChanged(one);
    this.#note(one.swIfIndex, up ? EVENT_ADMIN_UP : 0);
    if (one.kind === 'loopback' || one.kind === 'bvi') this.setLink(one, up);
    else if (one.sub === undefined && one.kind !== 'local') {
      this.setLink(one, this.#state.forwarder.status(one.swIfIndex).link);
    }
  }

  /** Link came or went. */
  setLink(one: Interface, up: boolean): void {
    if (one.linkUp === up) return;
    one.linkUp = up;
    this.#note(one.swIfIndex, up ? EVENT_LINK_UP : 0);
  }

  /** As VPP's process does it: one event for all that has happened to an interface at one time. */
  #note(swIfIndex: number, flags: number, deleted = false): void {
    if (this.#events.size === 0) setImmediate(() => this.#tell());
    const event = this.#events.get(swIfIndex);
    if (event === undefined) this.#events.set(swIfIndex, { flags, deleted });
    else {
      event.flags |= flags;
      event.deleted ||= deleted;
    }
  }

  #tell(): void {
    const events = [...this.#events].sort(([a], [b]) => a - b);
    this.#events.clear();
    for (const [swIfIndex, { flags, deleted }] of events) {
      this.#state.event('sw_interface_event', { sw_if_index: swIfIndex, flags, deleted });
    }
  }
}

/** VPP's link and admin flags. */
export function statusFlags(one: Interface): number {
  return (one.adminUp ? 1 : 0) | (one.parent.linkUp ? 2 : 0);
}

/** The tags of a sub-interface, for the forwarder. */
export function tagsFor(sub: SubTags): Pick<SubInterface, 'tags' | 'exact' | 'isDefault'> {
  const { flags } = sub;
  const dot1ad = (flags & 8) !== 0;
  const tags: { vlanId: number | 'any'; dot1ad?: boolean }[] = [];
  if ((flags & 6) !== 0) tags.push({ vlanId: (flags & 64) !== 0 ? 'any' : sub.outer, dot1ad });
  if ((flags & 4) !== 0) tags.push({ vlanId: (flags & 128) !== 0 ? 'any' : sub.inner });
  return { tags, exact: (flags & 16) !== 0, isDefault: (flags & 32) !== 0 };
}

/** `NO_INTERFACE` or the number. */
export function indexOf(one: Interface | undefined): number {
  return one?.swIfIndex ?? NO_INTERFACE;
}
