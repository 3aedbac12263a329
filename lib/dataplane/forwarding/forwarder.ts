// The forwarding plane behind its contract (control.ts).

import { ArgumentRangeError } from '../../errors.js';
import { formatIp, formatMac } from '../../net/index.js';
import type {
  AclRule,
  AclSessionLimits,
  Address,
  BridgeDomainFlags,
  BridgePortType,
  CaptureOptions,
  FlowHashConfig,
  Forwarder,
  ForwarderOptions,
  L2FibEntry,
  L2FibFlush,
  Mac,
  Neighbour,
  NeighbourLimits,
  NodeCounter,
  PacketTrace,
  Path,
  PrefixLike,
  RouteEntry,
  TagRewrite,
} from './control.js';
import { FibSource, INTERFACE_COUNTERS, NO_INTERFACE } from './control.js';
import { Capture } from './capture.js';
import { hashBits } from './flow-hash.js';
import { Node } from './graph.js';
import { Feature, Mode } from './interfaces.js';
import { type BridgeDomain, macText, withFlags } from './l2.js';
import { MacFlag, NOWHERE } from './mac-table.js';
import { Ports } from './ports.js';
import { editsOf } from './tags.js';
import { addressBytes, macBytes, macWords, prefixParts } from './values.js';
import { wordsOf } from './paths.js';

/**
 * Opens a forwarding plane without interfaces.
 *
 * @example
 * ```ts
 * import { openForwarder } from 'node-vpp/dataplane';
 *
 * const forwarder = openForwarder();
 * forwarder.addInterface({ kind: 'loopback', swIfIndex: 1, name: 'loop0', mac: '02:fe:00:00:00:01' });
 * forwarder.setAdmin(1, true);
 * forwarder.addAddress(1, '10.0.0.1/24');
 * console.log(forwarder.route(0, '10.0.0.77/32')?.prefix); // 10.0.0.0/24
 * await forwarder.close();
 * ```
 */
export function openForwarder(options: ForwarderOptions = {}): Forwarder {
  return new DataplaneForwarder(options);
}

class DataplaneForwarder extends Ports implements Forwarder {
  #capture: Capture | undefined;

  // L2

  addBridgeDomain(bdId: number, flags: BridgeDomainFlags, macAgeMinutes: number): void {
    if (this.l2.domains.has(bdId)) throw new ArgumentRangeError(`forwarder: bridge domain ${bdId} is there already`);
    this.l2.add(bdId, flags, macAgeMinutes);
  }

  removeBridgeDomain(bdId: number): void {
    const domain = this.#domain(bdId);
    if (domain.members.length > 0 || domain.uuForward !== NO_INTERFACE) {
      throw new ArgumentRangeError(`forwarder: bridge domain ${bdId} has members`);
    }
    this.l2.remove(domain);
  }

  #domain(bdId: number): BridgeDomain {
    const found = this.l2.domains.get(bdId);
    if (found === undefined) throw new ArgumentRangeError(`forwarder: there is no bridge domain ${bdId}`);
    return found;
  }

  setBridgeDomainFlags(bdId: number, flags: Partial<BridgeDomainFlags>): void {
    this.l2.setFlags(this.#domain(bdId), flags);
  }

  setMacAge(bdId: number, minutes: number): void {
    this.#domain(bdId).ageMinutes = minutes;
  }

  setLearnLimit(bdId: number, limit: number): void {
    this.#domain(bdId).learnLimit = limit;
  }

  setMemberFlags(swIfIndex: number, flags: Partial<BridgeDomainFlags>): void {
    const { interfaces } = this.plane;
    interfaces.get(swIfIndex);
    interfaces.memberFlags[swIfIndex] = withFlags(interfaces.memberFlags[swIfIndex]!, flags);
  }

  setBridged(swIfIndex: number, bdId: number, port: { type: BridgePortType; shg: number }): void {
    const domain = this.#domain(bdId);
    const { spec } = this.plane.interfaces.get(swIfIndex);
    if (port.type === 'bvi' && (spec.kind !== 'loopback' || domain.bvi !== NO_INTERFACE)) {
      throw new ArgumentRangeError(`forwarder: the BVI of bridge domain ${bdId} must be a loopback, and the only one`);
    }
    this.l2.leave(swIfIndex);
    this.l2.join(swIfIndex, domain, port.type, port.shg);
  }

  setCrossConnect(swIfIndex: number, to: number): void {
    const { interfaces } = this.plane;
    interfaces.get(swIfIndex);
    interfaces.get(to);
    this.l2.leave(swIfIndex);
    interfaces.mode[swIfIndex] = Mode.crossConnect;
    interfaces.crossTo[swIfIndex] = to;
  }

  setTagRewrite(swIfIndex: number, rewrite: TagRewrite): void {
    const { interfaces } = this.plane;
    const state = interfaces.get(swIfIndex);
    const edits = editsOf(rewrite, state.ownTags);
    state.tagIn = edits?.in;
    state.tagOut = edits?.out;
    interfaces.setFeature(swIfIndex, Feature.tagIn, edits !== undefined);
    interfaces.setFeature(swIfIndex, Feature.tagOut, edits !== undefined);
  }

  setBridgeArpEntry(bdId: number, ip: Address, mac: Mac | undefined): void {
    const { arp } = this.#domain(bdId);
    const key = String.fromCharCode(...addressBytes(ip));
    if (mac === undefined) arp.delete(key);
    else arp.set(key, macBytes(mac));
  }

  bridgeArpEntries(bdId: number): readonly { ip: string; mac: string }[] {
    return [...this.#domain(bdId).arp].map(([key, mac]) => ({
      ip: formatIp(Uint8Array.from(key, (character) => character.charCodeAt(0))),
      mac: formatMac(mac),
    }));
  }

  clearBridgeArpEntries(bdId: number): void {
    this.#domain(bdId).arp.clear();
  }

  setL2FibEntry(entry: {
    bdId: number;
    mac: Mac;
    swIfIndex: number;
    static?: boolean;
    filter?: boolean;
    bvi?: boolean;
  }): void {
    const { high, low } = macWords(macBytes(entry.mac));
    let flags: number = MacFlag.ageNot;
    if (entry.static === true || entry.filter === true) flags |= MacFlag.static;
    if (entry.filter === true) flags |= MacFlag.filter;
    if (entry.bvi === true) flags |= MacFlag.bvi | MacFlag.static;
    const to = entry.filter === true ? NO_INTERFACE : entry.swIfIndex;
    this.l2.table.set(((this.#domain(entry.bdId).index << 16) | high) >>> 0, low, to, flags, 0);
  }

  removeL2FibEntry(bdId: number, mac: Mac): boolean {
    const { high, low } = macWords(macBytes(mac));
    return this.l2.table.remove(((this.#domain(bdId).index << 16) | high) >>> 0, low);
  }

  flushL2Fib(which: L2FibFlush = {}): number {
    const { table } = this.l2;
    const index = which.bdId === undefined ? undefined : this.#domain(which.bdId).index;
    return table.removeWhere(
      (domain, swIfIndex, flags) =>
        (flags & MacFlag.ageNot) === 0 &&
        (index === undefined || domain === index) &&
        (which.swIfIndex === undefined || swIfIndex === which.swIfIndex),
    );
  }

  *l2Fib(bdId?: number): Generator<L2FibEntry, void, void> {
    const { table } = this.l2;
    const only = bdId === undefined ? undefined : this.#domain(bdId).index;
    const nowS = Math.floor(this.plane.now() / 1000);
    for (const at of table.all()) {
      const [high, low, , seen] = table.words.subarray(at, at + 4) as unknown as [number, number, number, number];
      const flags = table.flagsAt(at);
      const index = high >>> 16;
      if (only !== undefined && index !== only) continue;
      const swIfIndex = table.interfaceAt(at);
      const fixed = (flags & MacFlag.ageNot) !== 0;
      yield {
        bdId: this.l2.byIndex[index]?.bdId ?? 0,
        mac: macText(high & 0xffff, low),
        swIfIndex: swIfIndex === NOWHERE ? NO_INTERFACE : swIfIndex,
        static: (flags & MacFlag.static) !== 0,
        filter: (flags & MacFlag.filter) !== 0,
        bvi: (flags & MacFlag.bvi) !== 0,
        ageS: fixed ? 0 : nowS - seen,
      };
    }
  }

  // FIB

  addTable(tableId: number, isIp6: boolean): void {
    this.routing.addTable(tableId, isIp6);
  }

  removeTable(tableId: number, isIp6: boolean): void {
    const table = this.routing.table(tableId, isIp6);
    const { interfaces } = this.plane;
    const used = isIp6 ? interfaces.fib6 : interfaces.fib4;
    for (let index = 0; index < interfaces.state.length; index++) {
      if (interfaces.has(index) && used[index] === table.index) {
        throw new ArgumentRangeError(`FIB: table ${tableId} is that of interface ${index}`);
      }
    }
    this.routing.removeTable(table);
  }

  setFlowHash(tableId: number, isIp6: boolean, config: FlowHashConfig): void {
    this.routing.table(tableId, isIp6).hashConfig = hashBits(config);
  }

  setRoute(tableId: number, prefix: PrefixLike, paths: readonly Path[], source: FibSource = FibSource.api): number {
    const parts = prefixParts(prefix);
    return this.routing.set(this.routing.table(tableId, parts.bytes.length === 16), parts, paths, source);
  }

  removeRoute(tableId: number, prefix: PrefixLike, source: FibSource = FibSource.api): boolean {
    const parts = prefixParts(prefix);
    return this.routing.unset(this.routing.table(tableId, parts.bytes.length === 16), parts, source);
  }

  flushTable(tableId: number, isIp6: boolean, source: FibSource = FibSource.api): void {
    this.routing.flush(this.routing.table(tableId, isIp6), source);
  }

  routes(tableId: number, isIp6: boolean): Iterable<RouteEntry> {
    return this.routing.routes(this.routing.table(tableId, isIp6));
  }

  routeCount(tableId: number, isIp6: boolean): number {
    return this.routing.table(tableId, isIp6).size;
  }

  route(tableId: number, prefix: PrefixLike, exact = false): RouteEntry | undefined {
    const { bytes, length } = prefixParts(prefix);
    const table = this.routing.table(tableId, bytes.length === 16);
    const words = wordsOf(bytes);
    const entry = exact ? table.find(words, length) : table.cover(words, length + 1);
    return entry < 0 ? undefined : this.routing.show(table, entry);
  }

  get routeCounters(): Float64Array {
    return this.routing.entries.counters;
  }

  // Neighbours

  setNeighbour(neighbour: {
    swIfIndex: number;
    ip: Address;
    mac: Mac;
    static?: boolean;
    noFibEntry?: boolean;
  }): number {
    this.plane.interfaces.get(neighbour.swIfIndex);
    const entry = this.neighbourTable.set(neighbour.swIfIndex, addressBytes(neighbour.ip), macBytes(neighbour.mac), {
      static: neighbour.static ?? false,
      noFibEntry: neighbour.noFibEntry ?? false,
    });
    if (entry === undefined) throw new ArgumentRangeError('forwarder: there are as many neighbours as there may be');
    return entry.adjacency;
  }

  removeNeighbour(swIfIndex: number, ip: Address): boolean {
    return this.neighbourTable.remove(swIfIndex, addressBytes(ip));
  }

  flushNeighbours(isIp6: boolean, swIfIndex?: number): void {
    this.neighbourTable.flush(isIp6, swIfIndex);
  }

  *neighbours(isIp6: boolean, swIfIndex?: number): Generator<Neighbour, void, void> {
    for (const entry of (isIp6 ? this.neighbourTable.entries6 : this.neighbourTable.entries4).values()) {
      if (swIfIndex === undefined || entry.swIfIndex === swIfIndex) yield this.neighbourTable.show(entry);
    }
  }

  setNeighbourLimits(isIp6: boolean, limits: NeighbourLimits): void {
    Object.assign(this.neighbourTable.limits(isIp6), limits);
  }

  neighbourLimits(isIp6: boolean): Required<NeighbourLimits> {
    return { ...this.neighbourTable.limits(isIp6) };
  }

  probeNeighbour(swIfIndex: number, ip: Address): void {
    const address = addressBytes(ip);
    this.plane.generate(() =>
      (address.length === 16 ? this.neighbourTable.probe6 : this.neighbourTable.probe4)(swIfIndex, address, undefined),
    );
  }

  // ACL

  setAcl(aclIndex: number, rules: readonly AclRule[]): void {
    this.acls.set(aclIndex, rules);
  }

  removeAcl(aclIndex: number): void {
    this.acls.remove(aclIndex);
  }

  setAclLists(swIfIndex: number, input: readonly number[], output: readonly number[]): void {
    this.acls.setLists(swIfIndex, input, output);
  }

  setAclSessionLimits(limits: AclSessionLimits): void {
    Object.assign(this.acls.sessions.limits, limits);
  }

  aclSessions(): { active: number; max: number; added: number; deleted: number } {
    const { active, added, deleted, limits } = this.acls.sessions;
    return { active, max: limits.max, added, deleted };
  }

  clearAclSessions(): void {
    this.acls.sessions.clear();
  }

  aclCounters(aclIndex: number): Float64Array {
    return this.acls.counters(aclIndex);
  }

  // Counters and traces

  get interfaceCounters(): Float64Array {
    return this.plane.interfaces.counters;
  }

  clearInterfaceCounters(swIfIndex?: number): void {
    const { counters } = this.plane.interfaces;
    if (swIfIndex === undefined) counters.fill(0);
    else counters.fill(0, swIfIndex * INTERFACE_COUNTERS, (swIfIndex + 1) * INTERFACE_COUNTERS);
  }

  nodeCounters(): readonly NodeCounter[] {
    const { graph } = this.plane;
    const nodes = new Map<
      string,
      { name: string; calls: number; vectors: number; errors: NodeCounter['errors'][number][] }
    >();
    graph.names.forEach((name, node) => {
      nodes.set(name, { name, calls: graph.calls[node]!, vectors: graph.vectors[node]!, errors: [] });
    });
    graph.errors.forEach(({ node, name, text, severity }, index) => {
      if (index === 0) return;
      let counter = nodes.get(node);
      if (counter === undefined) nodes.set(node, (counter = { name: node, calls: 0, vectors: 0, errors: [] }));
      counter.errors.push({ name, text, severity, count: graph.errorCounts[index]! });
    });
    return [...nodes.values()];
  }

  clearNodeCounters(): void {
    const { graph } = this.plane;
    graph.calls.fill(0);
    graph.vectors.fill(0);
    graph.errorCounts.fill(0);
  }

  load(): { bursts: number; packets: number; wakeups: number; vectorRate: number } {
    const { bursts, packets } = this.plane;
    return { bursts, packets, wakeups: this.wakeups, vectorRate: bursts === 0 ? 0 : packets / bursts };
  }

  addTrace(node: string, count: number): void {
    this.tracer.add(node, count);
  }

  traces(): readonly PacketTrace[] {
    return this.tracer.traces;
  }

  clearTraces(): void {
    this.tracer.clear();
  }

  startCapture(options: CaptureOptions): Promise<number> {
    this.#capture?.stop();
    this.#capture = new Capture(this.plane, options);
    return this.#capture.result;
  }

  stopCapture(): void {
    this.#capture?.stop();
    this.#capture = undefined;
  }

  inject(swIfIndex: number, frame: Uint8Array, direction: 'tx' | 'rx' = 'tx'): void {
    const { plane } = this;
    plane.interfaces.get(swIfIndex);
    plane.generate(() => {
      const p = plane.make(frame.length, swIfIndex);
      if (p < 0) return;
      plane.vector.bytes.set(frame, plane.vector.offset[p]);
      plane.vector.l3[p] = plane.vector.offset[p]! + 14;
      if (direction === 'tx') plane.sendFrame(p, swIfIndex);
      else plane.graph.enqueue(Node.ethernetInput, p);
    });
  }

  override async close(): Promise<void> {
    this.stopCapture();
    await super.close();
  }
}
