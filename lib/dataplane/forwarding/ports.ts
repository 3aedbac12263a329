// Interfaces: how they come, go and change, and all that goes with them.

import { ArgumentRangeError } from '../../errors.js';
import { formatIp, formatMac } from '../../net/index.js';
import { PacketMemory } from '../../memif/index.js';
import { macOf } from './arp.js';
import type {
  Address,
  ForwarderEvents,
  ForwarderOptions,
  InterfaceSpec,
  InterfaceStatus,
  Mac,
  PortRxMode,
  PrefixLike,
} from './control.js';
import { NO_INTERFACE } from './control.js';
import { Feature, type InterfaceState, Mode } from './interfaces.js';
import { MemifPort } from './memif-port.js';
import { KernelPort } from './kernel-port.js';
import { PacketPort } from './packet-port.js';
import { TapPort } from './tap-port.js';
import { Plane } from './plane.js';
import type { Port, PortEvents } from './port.js';
import { Reassembly } from './reassembly.js';
import { Routing } from './routing.js';
import { Neighbours } from './neighbours.js';
import { L2 } from './l2.js';
import { Acls } from './acl.js';
import { Tracer } from './trace.js';
import { defineEthernet } from './ethernet.js';
import { defineArp, terminateArp } from './arp.js';
import { defineIp4 } from './ip4.js';
import { defineIp4Local } from './ip4-local.js';
import { defineIp6 } from './ip6.js';
import { defineIp6Local, terminateNd } from './ip6-local.js';
import { addressBytes, isLinkLocal, linkLocalOf, macBytes, macWords, prefixParts, sameBytes } from './values.js';
import { wordsOf } from './paths.js';
import { ownTagsOf } from './tags.js';

/** Everything of the forwarding plane, with the interfaces' part of its contract; `forwarder.ts` adds the rest. */
export class Ports {
  readonly plane: Plane;
  readonly routing: Routing;
  readonly neighbourTable: Neighbours;
  readonly l2: L2;
  readonly acls: Acls;
  readonly tracer: Tracer;
  readonly reassembly: Reassembly;
  wakeups = 0;
  readonly #options: ForwarderOptions;
  #memory: PacketMemory | undefined;
  #timer: NodeJS.Timeout | undefined;
  #ref = true;
  #closed: Promise<void> | undefined;
  readonly #closing = new Set<Promise<void>>();
  readonly #events: PortEvents;

  constructor(options: ForwarderOptions) {
    this.#options = options;
    const plane = new Plane(options);
    this.plane = plane;
    this.routing = new Routing(plane.interfaces);
    this.neighbourTable = new Neighbours(plane, this.routing, options);
    this.l2 = new L2(plane);
    this.acls = new Acls(plane);
    this.tracer = new Tracer(plane);
    this.reassembly = new Reassembly(plane);
    const acl = {
      check: (p: number, swIfIndex: number, isInput: boolean, isIp6: boolean) =>
        this.acls.check(p, swIfIndex, isInput, isIp6),
    };
    this.l2.acl = acl.check;
    this.l2.terminate = (p, domain) => terminateArp(plane, p, domain) || terminateNd(plane, p, domain);
    defineEthernet(plane);
    defineArp(plane, this.routing, this.neighbourTable);
    defineIp4(plane, this.routing, acl);
    defineIp4Local(plane, this.routing, this.reassembly);
    defineIp6(plane, this.routing, this.neighbourTable, acl);
    defineIp6Local(plane, this.routing, this.neighbourTable, this.reassembly);
    plane.tracing = () => this.tracer.wanted;
    plane.traced = (port) => {
      if (this.tracer.wanted) this.tracer.begin(port.inputNode, this.#nameOf(port.swIfIndex));
    };
    plane.untraced = () => this.tracer.end();
    this.#events = {
      received: (port) => {
        this.wakeups++;
        return plane.dispatch(port);
      },
      link: (port, up) => this.#linkChanged(port.swIfIndex, up),
      failed: (port, error) => plane.later(() => plane.events.problem?.(error, port.swIfIndex)),
    };
    plane.interfaces.add(
      0,
      this.#newState({ kind: 'loopback', swIfIndex: 0, name: 'local0', mac: new Uint8Array(6) }),
      {
        high: 0,
        low: 0,
      },
    );
    this.#timer = setInterval(() => this.tick(), options.ageingMs ?? 1000);
    this.#timer.unref();
  }

  #nameOf(swIfIndex: number): string {
    return this.plane.interfaces.state[swIfIndex]?.spec.name ?? `${swIfIndex}`;
  }

  /** Looks after everything that has an age. */
  tick(): void {
    this.neighbourTable.tick();
    this.reassembly.tick();
    this.acls.sessions.tick(this.plane.now());
    this.l2.age(Math.floor(this.plane.now() / 1000));
  }

  setEvents(events: ForwarderEvents): void {
    this.plane.events = events;
  }

  #newState(spec: InterfaceSpec): InterfaceState {
    return {
      spec,
      port: undefined,
      addresses4: [],
      addresses6: [],
      linkLocal: undefined,
      tagIn: undefined,
      tagOut: undefined,
      ownTags: spec.kind === 'sub' ? ownTagsOf(spec) : new Uint8Array(0),
      aclIn: [],
      aclOut: [],
    };
  }

  addInterface(spec: InterfaceSpec): InterfaceStatus {
    const { interfaces } = this.plane;
    const { swIfIndex } = spec;
    let mac: Uint8Array;
    if (spec.kind === 'sub') {
      const parent = interfaces.get(spec.parent);
      if (parent.spec.kind === 'sub')
        throw new ArgumentRangeError(`forwarder: ${spec.parent} is a sub-interface itself`);
      mac = macOf(this.plane, spec.parent);
    } else mac = macBytes(spec.mac);
    const state = this.#newState(spec);
    interfaces.add(swIfIndex, state, macWords(mac));
    try {
      if (spec.kind === 'sub') interfaces.addSub(swIfIndex, spec);
      else state.port = this.#openPort(spec);
    } catch (error) {
      interfaces.remove(swIfIndex);
      throw error;
    }
    state.port?.setRef(this.#ref);
    interfaces.setFeature(swIfIndex, Feature.ip, state.port?.ip === true);
    if (spec.kind === 'tap' || spec.kind === 'af_packet')
      interfaces.portMtu[swIfIndex] = (state.port as KernelPort).mtu;
    interfaces.updateMtu(swIfIndex);
    interfaces.link[swIfIndex] = state.port?.linkUp === false ? 0 : 1;
    this.#updateUp(swIfIndex);
    return this.status(swIfIndex);
  }

  #openPort(spec: Exclude<InterfaceSpec, { kind: 'sub' }>): Port | undefined {
    switch (spec.kind) {
      case 'memif':
        if (spec.zeroCopy === true && spec.role === 'client') {
          this.#memory ??= new PacketMemory({
            buffers: this.#options.memoryBuffers ?? 16_384,
            bufferSize: spec.bufferSize ?? 2048,
          });
        }
        return new MemifPort(spec, this.#memory, this.#events);
      case 'tap':
        return new TapPort(spec, this.#events);
      case 'af_packet':
        return new PacketPort(spec, this.#events);
      case 'loopback':
        return undefined;
    }
  }

  removeInterface(swIfIndex: number): void {
    const { interfaces } = this.plane;
    const state = interfaces.get(swIfIndex);
    if (swIfIndex === 0) throw new ArgumentRangeError('forwarder: local0 cannot be removed');
    if (interfaces.subsOf(swIfIndex).length > 0) {
      throw new ArgumentRangeError(`forwarder: interface ${swIfIndex} has sub-interfaces`);
    }
    this.setAdmin(swIfIndex, false);
    this.neighbourTable.forget(swIfIndex);
    for (const { address, length } of [...state.addresses4])
      this.removeAddress(swIfIndex, { address: wordBytes(address), length });
    for (const { address, length } of [...state.addresses6]) this.removeAddress(swIfIndex, { address, length });
    for (let other = 0; other < interfaces.state.length; other++) {
      if (interfaces.state[other] === undefined) continue;
      if (interfaces.unnumbered[other] === swIfIndex) this.setUnnumbered(other, undefined);
      if (interfaces.mode[other] === Mode.crossConnect && interfaces.crossTo[other] === swIfIndex)
        this.setRouted(other);
    }
    this.setRouted(swIfIndex);
    this.acls.setLists(swIfIndex, [], []);
    if (state.spec.kind === 'sub') interfaces.removeSub(state.spec);
    interfaces.remove(swIfIndex);
    if (state.port !== undefined) {
      const closing = state.port.close();
      this.#closing.add(closing);
      void closing.finally(() => this.#closing.delete(closing));
    }
  }

  status(swIfIndex: number): InterfaceStatus {
    const { interfaces } = this.plane;
    const { port } = interfaces.get(swIfIndex);
    return {
      admin: interfaces.admin[swIfIndex] === 1,
      link: this.#link(swIfIndex) === 1,
      mac: formatMac(macOf(this.plane, swIfIndex)),
      mtu: interfaces.portMtu[interfaces.hardware[swIfIndex]!]!,
      ...(port instanceof MemifPort || port instanceof KernelPort ? port.status : {}),
    };
  }

  #link(swIfIndex: number): number {
    const { interfaces } = this.plane;
    const hardware = interfaces.hardware[swIfIndex]!;
    // Link of a memif, as VPP has it, needs the interface to be up; the kernel's carrier and a loopback's do not.
    return interfaces.link[hardware]!;
  }

  #updateUp(swIfIndex: number): void {
    const { interfaces } = this.plane;
    const parent = interfaces.hardware[swIfIndex]!;
    const before = interfaces.up[swIfIndex];
    const up =
      interfaces.admin[swIfIndex] === 1 && interfaces.admin[parent] === 1 && interfaces.link[parent] === 1 ? 1 : 0;
    interfaces.up[swIfIndex] = up;
    if (before !== up) {
      this.routing.paths.resolveInterface(swIfIndex);
      if (up === 0 && interfaces.mode[swIfIndex] === Mode.bridged) this.l2.flushInterface(swIfIndex);
    }
    for (const sub of interfaces.subsOf(swIfIndex)) this.#updateUp(sub);
  }

  #linkChanged(swIfIndex: number, up: boolean): void {
    const { interfaces } = this.plane;
    if (!interfaces.has(swIfIndex)) return;
    interfaces.link[swIfIndex] = up ? 1 : 0;
    this.plane.later(() => {
      if (!interfaces.has(swIfIndex)) return;
      this.#updateUp(swIfIndex);
      this.plane.events.linkChanged?.(swIfIndex, up);
    });
  }

  setAdmin(swIfIndex: number, up: boolean): void {
    const { interfaces } = this.plane;
    const { port } = interfaces.get(swIfIndex);
    if ((interfaces.admin[swIfIndex] === 1) === up) return;
    interfaces.admin[swIfIndex] = up ? 1 : 0;
    if (up) port?.start();
    else port?.stop();
    if (port !== undefined) interfaces.link[swIfIndex] = port.linkUp ? 1 : 0;
    this.#updateUp(swIfIndex);
  }

  setMac(swIfIndex: number, mac: Mac): void {
    const { interfaces } = this.plane;
    interfaces.get(swIfIndex);
    const { high, low } = macWords(macBytes(mac));
    const set = (index: number): void => {
      this.l2.macChanged(index, high, low);
      interfaces.macHigh[index] = high;
      interfaces.macLow[index] = low;
      this.routing.adjacencies.rewriteAll(index);
    };
    set(swIfIndex);
    for (const sub of interfaces.subsOf(swIfIndex)) set(sub);
  }

  setMtu(swIfIndex: number, mtu: { l3?: number; ip4?: number; ip6?: number; port?: number }): void {
    const { interfaces } = this.plane;
    const { port } = interfaces.get(swIfIndex);
    if (mtu.l3 !== undefined) interfaces.l3Mtu[swIfIndex] = mtu.l3;
    if (mtu.ip4 !== undefined) interfaces.ip4Mtu[swIfIndex] = mtu.ip4;
    if (mtu.ip6 !== undefined) interfaces.ip6Mtu[swIfIndex] = mtu.ip6;
    if (mtu.port !== undefined && mtu.port > 0) {
      interfaces.portMtu[swIfIndex] = mtu.port;
      port?.setMtu?.(mtu.port);
    }
    interfaces.updateMtu(swIfIndex);
    for (const sub of interfaces.subsOf(swIfIndex)) interfaces.updateMtu(sub);
  }

  setRxMode(swIfIndex: number, mode: PortRxMode): void {
    this.plane.interfaces.get(swIfIndex).port?.setRxMode(mode);
  }

  setPromiscuous(swIfIndex: number, on: boolean): void {
    const { interfaces } = this.plane;
    interfaces.get(swIfIndex).port?.setPromiscuous?.(on);
    interfaces.promiscuous[swIfIndex] = on ? 1 : 0;
  }

  addAddress(swIfIndex: number, prefix: PrefixLike): void {
    const { interfaces } = this.plane;
    const state = interfaces.get(swIfIndex);
    const { bytes, length } = prefixParts(prefix);
    if (isLinkLocal(bytes)) {
      this.setIp6Enabled(swIfIndex, true, bytes);
      return;
    }
    if (bytes.length === 4) {
      const address = wordsOf(bytes)[0]!;
      if (state.addresses4.some((each) => each.address === address && each.length === length)) return;
      state.addresses4.push({ address, length });
      interfaces.ip4Enabled[swIfIndex] = 1;
    } else {
      if (state.addresses6.some((each) => sameBytes(each.address, bytes) && each.length === length)) return;
      state.addresses6.push({ address: bytes, length });
      this.setIp6Enabled(swIfIndex, true);
    }
    this.routing.address(swIfIndex, bytes, length, true);
    this.#reconnect(swIfIndex);
  }

  removeAddress(swIfIndex: number, prefix: PrefixLike): void {
    const { interfaces } = this.plane;
    const state = interfaces.get(swIfIndex);
    const { bytes, length } = prefixParts(prefix);
    if (bytes.length === 4) {
      const address = wordsOf(bytes)[0]!;
      state.addresses4 = state.addresses4.filter((each) => each.address !== address || each.length !== length);
      if (state.addresses4.length === 0 && interfaces.unnumbered[swIfIndex] === NO_INTERFACE)
        interfaces.ip4Enabled[swIfIndex] = 0;
    } else
      state.addresses6 = state.addresses6.filter((each) => !sameBytes(each.address, bytes) || each.length !== length);
    this.routing.address(swIfIndex, bytes, length, false);
    // Another address may say the same of the prefix.
    for (const each of state.addresses4) this.routing.address(swIfIndex, wordBytes(each.address), each.length, true);
    for (const each of state.addresses6) this.routing.address(swIfIndex, each.address, each.length, true);
    this.#reconnect(swIfIndex);
  }

  /** Routes of neighbours depend on what is connected. */
  #reconnect(swIfIndex: number): void {
    for (const entries of [this.neighbourTable.entries4, this.neighbourTable.entries6]) {
      for (const entry of entries.values()) {
        if (entry.swIfIndex !== swIfIndex || entry.noFibEntry) continue;
        this.routing.neighbour(swIfIndex, entry.address, false);
        this.routing.neighbour(swIfIndex, entry.address, true);
      }
    }
  }

  addresses(swIfIndex: number): readonly string[] {
    const state = this.plane.interfaces.get(swIfIndex);
    return [
      ...state.addresses4.map((each) => `${formatIp(wordBytes(each.address))}/${each.length}`),
      ...state.addresses6.map((each) => `${formatIp(each.address)}/${each.length}`),
    ];
  }

  setTable(swIfIndex: number, isIp6: boolean, tableId: number): void {
    const { interfaces } = this.plane;
    const state = interfaces.get(swIfIndex);
    if ((isIp6 ? state.addresses6 : state.addresses4).length > 0) {
      throw new ArgumentRangeError(`forwarder: interface ${swIfIndex} has addresses; its table cannot change`);
    }
    this.neighbourTable.flush(isIp6, swIfIndex);
    (isIp6 ? interfaces.fib6 : interfaces.fib4)[swIfIndex] = this.routing.table(tableId, isIp6).index;
  }

  setUnnumbered(swIfIndex: number, of: number | undefined): void {
    const { interfaces } = this.plane;
    const state = interfaces.get(swIfIndex);
    if (of !== undefined) interfaces.get(of);
    interfaces.unnumbered[swIfIndex] = of ?? NO_INTERFACE;
    interfaces.ip4Enabled[swIfIndex] = of !== undefined || state.addresses4.length > 0 ? 1 : 0;
    this.#reconnect(swIfIndex);
  }

  setIp6Enabled(swIfIndex: number, on: boolean, linkLocal?: Address): void {
    const { interfaces } = this.plane;
    const state = interfaces.get(swIfIndex);
    interfaces.ip6Enabled[swIfIndex] = on ? 1 : 0;
    if (!on) state.linkLocal = undefined;
    else if (linkLocal !== undefined) state.linkLocal = addressBytes(linkLocal);
    else state.linkLocal ??= linkLocalOf(macOf(this.plane, swIfIndex));
  }

  linkLocal(swIfIndex: number): string | undefined {
    const { linkLocal } = this.plane.interfaces.get(swIfIndex);
    return linkLocal === undefined ? undefined : formatIp(linkLocal);
  }

  setRouted(swIfIndex: number): void {
    this.plane.interfaces.get(swIfIndex);
    this.l2.leave(swIfIndex);
    this.#stripTags(swIfIndex);
  }

  #stripTags(swIfIndex: number): void {
    const state = this.plane.interfaces.get(swIfIndex);
    state.tagIn = state.tagOut = undefined;
    this.plane.interfaces.setFeature(swIfIndex, 3, false);
  }

  ref(): void {
    this.#setRef(true);
  }

  unref(): void {
    this.#setRef(false);
  }

  #setRef(ref: boolean): void {
    this.#ref = ref;
    for (const state of this.plane.interfaces.state) state?.port?.setRef(ref);
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    clearInterval(this.#timer);
    this.plane.events = {};
    const ports = this.plane.interfaces.state.flatMap((state) => (state?.port === undefined ? [] : [state.port]));
    for (const state of this.plane.interfaces.state) if (state !== undefined) state.port = undefined;
    await Promise.all([...ports.map((port) => port.close()), ...this.#closing]);
    this.#memory?.close();
  }
}

function wordBytes(word: number): Uint8Array {
  return Uint8Array.of(word >>> 24, word >>> 16, word >>> 8, word);
}
