// What the control plane may ask of the forwarding plane, and what it is told: the contract between them.
//
//   lib/dataplane/…  (API messages, state)  ──── Forwarder ────►  lib/dataplane/forwarding  (ports, graph, tables)
//                                           ◄── ForwarderEvents ──
//
// Who owns what:
//
//   control plane   names, tags, API indices (sw_if_index, bd_id, table_id, acl_index are numbers it hands out), the
//                   checks that end in a retval, the order of dumps, everything VPP shows but never forwards by
//   forwarder       ports and their sockets, the FIB with all its sources (connected, local and adjacency routes follow
//                   from addresses and neighbours by themselves), neighbours, learnt MACs, ACL sessions, all counters
//
// Every call is synchronous and whole when it returns: the next packet sees it. Nothing here throws for what VPP would
// answer with a retval that the control plane can foresee; what it cannot (a socket in use, a device that is not there,
// no permission) is thrown: MemifError, SystemError (errno, syscall). Unknown indices are programmer errors
// (ArgumentRangeError). Addresses are text or bytes; what comes back is text. sw_if_index 0 is local0 and always there.

import type { Address, InterfaceSpec, InterfaceStatus, Mac, PortRxMode, PrefixLike } from './interface-spec.js';

export * from './interface-spec.js';

/** What an L2 or L3 tag rewrite does; VPP's `l2_vtr_op` with its numbers. */
export const TagRewriteOp = {
  disabled: 0,
  push1: 1,
  push2: 2,
  pop1: 3,
  pop2: 4,
  translate1to1: 5,
  translate1to2: 6,
  translate2to1: 7,
  translate2to2: 8,
} as const;
export type TagRewriteOp = (typeof TagRewriteOp)[keyof typeof TagRewriteOp];

export interface TagRewrite {
  op: TagRewriteOp;
  /** Whether the outer tag pushed is 802.1Q (0x8100) and not 802.1ad (0x88a8). */
  pushDot1q: boolean;
  tag1: number;
  tag2: number;
}

export interface BridgeDomainFlags {
  learn: boolean;
  forward: boolean;
  flood: boolean;
  uuFlood: boolean;
  arpTerm: boolean;
  arpUnicastForward: boolean;
}

export type BridgePortType = 'normal' | 'bvi' | 'uu-fwd';

export interface L2FibEntry {
  bdId: number;
  mac: string;
  /** `NO_INTERFACE` for a filter. */
  swIfIndex: number;
  static: boolean;
  filter: boolean;
  bvi: boolean;
  /** Seconds since a packet came from it; 0 for static ones. */
  ageS: number;
}

/** Which packets an L2 FIB flush concerns; none: all learnt ones. */
export interface L2FibFlush {
  bdId?: number;
  swIfIndex?: number;
}

/** Where a path leads. */
export type Path = {
  /** Default 1. Shares traffic with the others of the entry. */
  weight?: number;
  /** Default 0; only the paths of the lowest preference that are usable carry traffic. */
  preference?: number;
} & (
  | { kind: 'drop' }
  /** To this host: the address must be one of ours. */
  | { kind: 'local'; swIfIndex?: number }
  /** ICMP unreachable, or ICMP prohibited. */
  | { kind: 'unreach' }
  | { kind: 'prohibit' }
  /** A neighbour on an interface; without next hop the destination itself is asked for (attached, point-to-point). */
  | { kind: 'via'; swIfIndex: number; nextHop?: Address }
  /** A next hop that is looked up itself, in `tableId` (default: the entry's own). */
  | { kind: 'recursive'; nextHop: Address; tableId?: number }
  /** The destination is looked up again in another table. */
  | { kind: 'table'; tableId: number }
);

/** Where an entry comes from: VPP's `fib_source` names and numbers, as `ip_route_v2` shows them in `src`. */
export const FibSource = {
  special: 1,
  interface: 4,
  api: 8,
  cli: 9,
  adjacency: 15,
  recursiveResolution: 18,
  defaultRoute: 20,
} as const;
export type FibSource = (typeof FibSource)[keyof typeof FibSource];

export interface RouteEntry {
  tableId: number;
  isIp6: boolean;
  /** `10.0.0.0/8`. */
  prefix: string;
  /** The best source; it decides the paths. */
  source: FibSource;
  paths: readonly RoutePath[];
  /** Index of its counters, as in `/net/route/to`. */
  statsIndex: number;
}

/** A path as it stands. */
export interface RoutePath {
  kind: 'drop' | 'local' | 'unreach' | 'prohibit' | 'via' | 'recursive' | 'table' | 'glean';
  weight: number;
  preference: number;
  swIfIndex: number;
  nextHop: string | undefined;
  tableId: number | undefined;
}

export interface Neighbour {
  swIfIndex: number;
  ip: string;
  mac: string;
  static: boolean;
  noFibEntry: boolean;
  /** Seconds since it was confirmed. */
  ageS: number;
}

export interface NeighbourLimits {
  /** Most neighbours of the family; default 50000. */
  max?: number;
  /** Seconds after which a learnt one is asked again, and forgotten when it does not answer. 0 (default): never. */
  ageS?: number;
  /** When full: replace the oldest instead of refusing the new one. Default false. */
  recycle?: boolean;
}

/** One rule; fields as in `acl_rule`. */
export interface AclRule {
  /** 0 deny, 1 permit, 2 permit and reflect. */
  action: 0 | 1 | 2;
  source: PrefixLike;
  destination: PrefixLike;
  /** 0: any, ports are not looked at. */
  protocol: number;
  /** Ports, or ICMP types; inclusive. */
  sourceFirst: number;
  sourceLast: number;
  /** Ports, or ICMP codes. */
  destinationFirst: number;
  destinationLast: number;
  tcpFlagsMask: number;
  tcpFlagsValue: number;
}

export interface AclSessionLimits {
  /** Most sessions; default 500000. */
  max?: number;
  /** Idle seconds: default 600 (UDP), 86400 (TCP established), 120 (TCP otherwise). */
  udpIdleS?: number;
  tcpIdleS?: number;
  tcpTransientS?: number;
}

/** Order of the columns in `CounterTable`: the simple counters of VPP's `/if/…` and then its combined ones. */
export const InterfaceCounter = {
  drops: 0,
  punt: 1,
  ip4: 2,
  ip6: 3,
  rxNoBuf: 4,
  rxMiss: 5,
  rxError: 6,
  txError: 7,
  mpls: 8,
  rxPackets: 9,
  rxBytes: 10,
  rxUnicastPackets: 11,
  rxUnicastBytes: 12,
  rxMulticastPackets: 13,
  rxMulticastBytes: 14,
  rxBroadcastPackets: 15,
  rxBroadcastBytes: 16,
  txPackets: 17,
  txBytes: 18,
  txUnicastPackets: 19,
  txUnicastBytes: 20,
  txMulticastPackets: 21,
  txMulticastBytes: 22,
  txBroadcastPackets: 23,
  txBroadcastBytes: 24,
} as const;
export type InterfaceCounter = keyof typeof InterfaceCounter;

/** Columns of a row: row `swIfIndex` starts at `swIfIndex * INTERFACE_COUNTERS`. */
export const INTERFACE_COUNTERS = 25;

export interface NodeCounter {
  name: string;
  calls: number;
  /** Packets. */
  vectors: number;
  /** Errors of this node, by VPP's names and texts: `/err/<node>/<name>`. */
  errors: readonly { name: string; text: string; severity: 'error' | 'info'; count: number }[];
}

/** One packet's way through the graph, as `show trace` prints it. */
export interface PacketTrace {
  /** Number from 1. */
  packet: number;
  /** Seconds since the forwarder started. */
  timeS: number;
  steps: readonly { node: string; text: string }[];
  /** The packet as it came in, up to 256 bytes; `length` is the real one. */
  bytes: Uint8Array;
  length: number;
}

export interface CaptureOptions {
  path: string;
  directions?: readonly ('rx' | 'tx' | 'drop')[];
  /** Only this interface. */
  swIfIndex?: number;
  /** Ends by itself after so many packets; default 1000. */
  maxPackets?: number;
  snapLength?: number;
}

/** What happens without being asked for. Called between bursts, never inside one. */
export interface ForwarderEvents {
  /** Link came or went (memif peer, carrier of the kernel's side). Admin changes are the control plane's own. */
  linkChanged?: (swIfIndex: number, link: boolean) => void;
  /** A MAC was learnt, has moved, or has aged. */
  macEvent?: (kind: 'add' | 'move' | 'delete', bdId: number, mac: string, swIfIndex: number) => void;
  /** A neighbour was learnt or changed, or aged; not told for what the control plane did itself. */
  neighbourEvent?: (kind: 'add' | 'delete', neighbour: Neighbour) => void;
  /** Something the operator should see: a port that failed, a session table that is full. */
  problem?: (error: Error, swIfIndex: number) => void;
}

/** The forwarding plane as the control plane sees it; made by `openForwarder`. */
export interface Forwarder {
  /** Replaces what was set before; no events are queued while none are set. */
  setEvents(events: ForwarderEvents): void;

  // Interfaces. New ones are admin down, in L3 mode, in table 0 of both families, without addresses.

  addInterface(spec: InterfaceSpec): InterfaceStatus;
  /** Takes with it addresses, neighbours, L2 membership, ACL lists, learnt MACs; sub-interfaces must go before. */
  removeInterface(swIfIndex: number): void;
  status(swIfIndex: number): InterfaceStatus;
  /** Admin state. Link of a memif, TAP or af_packet follows by `linkChanged`; loopback and sub-interfaces at once. */
  setAdmin(swIfIndex: number, up: boolean): void;
  setMac(swIfIndex: number, mac: Mac): void;
  /** Largest Ethernet payload of the port; 0 leaves it as it is. L3 MTUs: 0 means that of the port (`sw_interface_set_mtu`). */
  setMtu(swIfIndex: number, mtu: { l3?: number; ip4?: number; ip6?: number; port?: number }): void;
  setRxMode(swIfIndex: number, mode: PortRxMode): void;
  setPromiscuous(swIfIndex: number, on: boolean): void;

  // L3 of interfaces.

  addAddress(swIfIndex: number, prefix: PrefixLike): void;
  removeAddress(swIfIndex: number, prefix: PrefixLike): void;
  addresses(swIfIndex: number): readonly string[];
  /** The table that packets from this interface are looked up in. The interface has no addresses of the family. */
  setTable(swIfIndex: number, isIp6: boolean, tableId: number): void;
  /** Uses the addresses of another interface; undefined ends it. */
  setUnnumbered(swIfIndex: number, of: number | undefined): void;
  /** IPv6 on without a global address: a link-local address (EUI-64 unless given) is made. */
  setIp6Enabled(swIfIndex: number, on: boolean, linkLocal?: Address): void;
  linkLocal(swIfIndex: number): string | undefined;

  // L2 of interfaces. An interface has one mode; setting one ends the other.

  addBridgeDomain(bdId: number, flags: BridgeDomainFlags, macAgeMinutes: number): void;
  /** Must have no members. */
  removeBridgeDomain(bdId: number): void;
  setBridgeDomainFlags(bdId: number, flags: Partial<BridgeDomainFlags>): void;
  /** 0: never. */
  setMacAge(bdId: number, minutes: number): void;
  /** How many addresses a bridge domain learns; what comes after that is flooded. */
  setLearnLimit(bdId: number, limit: number): void;
  setBridged(swIfIndex: number, bdId: number, port: { type: BridgePortType; shg: number }): void;
  /** What a bridge domain does with packets from a member: both must allow it. A new member may all but learn on a BVI. */
  setMemberFlags(swIfIndex: number, flags: Partial<BridgeDomainFlags>): void;
  setCrossConnect(swIfIndex: number, to: number): void;
  setRouted(swIfIndex: number): void;
  setTagRewrite(swIfIndex: number, rewrite: TagRewrite): void;
  /** ARP termination: answers for `ip` with `mac`. */
  setBridgeArpEntry(bdId: number, ip: Address, mac: Mac | undefined): void;
  bridgeArpEntries(bdId: number): readonly { ip: string; mac: string }[];
  clearBridgeArpEntries(bdId: number): void;

  setL2FibEntry(entry: {
    bdId: number;
    mac: Mac;
    swIfIndex: number;
    static?: boolean;
    filter?: boolean;
    bvi?: boolean;
  }): void;
  removeL2FibEntry(bdId: number, mac: Mac): boolean;
  flushL2Fib(which?: L2FibFlush): number;
  l2Fib(bdId?: number): Iterable<L2FibEntry>;

  // FIB. Table 0 of both families is always there. Special entries (default drop, broadcast, multicast) come with a table.

  addTable(tableId: number, isIp6: boolean): void;
  removeTable(tableId: number, isIp6: boolean): void;
  /** Flow hash of ECMP: VPP's default is addresses, ports and protocol. `symmetric`: both directions alike. */
  setFlowHash(tableId: number, isIp6: boolean, config: FlowHashConfig): void;
  /** Sets the paths of the entry of a source (default api), replacing those it had. Returns the index of its counters. */
  setRoute(tableId: number, prefix: PrefixLike, paths: readonly Path[], source?: FibSource): number;
  /** Removes what a source said of a prefix; false when it said nothing. What another source says comes to light. */
  removeRoute(tableId: number, prefix: PrefixLike, source?: FibSource): boolean;
  /** Removes all entries of a source: `ip_table_flush`. */
  flushTable(tableId: number, isIp6: boolean, source?: FibSource): void;
  routes(tableId: number, isIp6: boolean): Iterable<RouteEntry>;
  routeCount(tableId: number, isIp6: boolean): number;
  /** Exact match, or the longest that covers it. */
  route(tableId: number, prefix: PrefixLike, exact?: boolean): RouteEntry | undefined;
  /** Packets and bytes of each entry: two columns, row `statsIndex`. Live; replaced when it grows. */
  readonly routeCounters: Float64Array;

  // Neighbours.

  setNeighbour(neighbour: { swIfIndex: number; ip: Address; mac: Mac; static?: boolean; noFibEntry?: boolean }): number;
  removeNeighbour(swIfIndex: number, ip: Address): boolean;
  flushNeighbours(isIp6: boolean, swIfIndex?: number): void;
  neighbours(isIp6: boolean, swIfIndex?: number): Iterable<Neighbour>;
  setNeighbourLimits(isIp6: boolean, limits: NeighbourLimits): void;
  neighbourLimits(isIp6: boolean): Required<NeighbourLimits>;
  /** Sends a request now. */
  probeNeighbour(swIfIndex: number, ip: Address): void;

  // ACL.

  setAcl(aclIndex: number, rules: readonly AclRule[]): void;
  removeAcl(aclIndex: number): void;
  /** Lists of ACLs, first match wins; an interface with a list denies what no rule matches. Empty: no check. */
  setAclLists(swIfIndex: number, input: readonly number[], output: readonly number[]): void;
  setAclSessionLimits(limits: AclSessionLimits): void;
  aclSessions(): { active: number; max: number; added: number; deleted: number };
  clearAclSessions(): void;
  /** Packets and bytes that each rule of an ACL matched, two numbers a rule. */
  aclCounters(aclIndex: number): Float64Array;

  // Counters and traces.

  /** All counters of all interfaces, `INTERFACE_COUNTERS` columns a row. Live; replaced when an index beyond it is added. */
  readonly interfaceCounters: Float64Array;
  clearInterfaceCounters(swIfIndex?: number): void;
  nodeCounters(): readonly NodeCounter[];
  clearNodeCounters(): void;
  /** Bursts taken, and packets per burst: `/sys/vector_rate`. */
  load(): { bursts: number; packets: number; wakeups: number; vectorRate: number };

  /** Traces the next `count` packets that enter at `node` (`memif-input`, `virtio-input`, `af-packet-input`). */
  addTrace(node: string, count: number): void;
  traces(): readonly PacketTrace[];
  clearTraces(): void;
  /** Writes packets to a pcapng file; one capture at a time. Resolves with their number when it has ended. */
  startCapture(options: CaptureOptions): Promise<number>;
  stopCapture(): void;

  /** Sends a frame as if a node of ours had made it: out of an interface, or into the graph as received on it. */
  inject(swIfIndex: number, frame: Uint8Array, direction?: 'tx' | 'rx'): void;

  /** Keeps the event loop alive while open (default), or not. */
  ref(): void;
  unref(): void;
  /** Closes all ports; no packet moves afterwards. Waits until the last descriptor is closed. */
  close(): Promise<void>;
}

/** What the hash of a flow is made of, `ip_set_flow_hash_v2`. */
export interface FlowHashConfig {
  sourceIp?: boolean;
  destinationIp?: boolean;
  sourcePort?: boolean;
  destinationPort?: boolean;
  protocol?: boolean;
  reverse?: boolean;
  symmetric?: boolean;
}

/** What a forwarder is opened with. */
export interface ForwarderOptions {
  /** Packets taken from a port in one go. Default 256, VPP's. */
  burst?: number;
  /** Milliseconds since any start: for tests that steer time. Default `performance.now`. */
  now?: () => number;
  /** How often ageing is looked after. Default 1000 ms; tests with short ages give less. */
  ageingMs?: number;
  /** Packets kept per unresolved neighbour, and in all. Default 16 and 1024. VPP keeps none: 0. */
  pendingPerNeighbour?: number;
  pendingPackets?: number;
  /** Client memifs with `zeroCopy`: buffers of the memory they share. Default 16384. */
  memoryBuffers?: number;
}
