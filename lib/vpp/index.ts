// `node-vpp/vpp`: interfaces, routes, bridge domains, ACLs, NAT, … of a VPP as objects.

export { openVpp, Vpp, type VppOptions } from './vpp.js';
export * from './abf.js';
export {
  formatAclRule,
  formatAclRules,
  parseAclRule,
  parseAclRules,
  type AclRule,
  type Range as PortRange,
} from './acl-rules.js';
export * from './acls.js';
export * from './af-packets.js';
export * from './bonds.js';
export * from './bridges.js';
export * from './cross-connects.js';
export * from './geneve.js';
export * from './gre.js';
export {
  type InterfaceInfo,
  type Mtu,
  type QueuePlacement,
  type RxMode,
  type SubInterfaceInfo,
  type TagRewrite,
} from './interface-info.js';
export { type InterfaceSettings } from './interface-settings.js';
export { InterfaceWatch, type InterfaceChange } from './interface-watch.js';
export { type CounterOptions, type InterfaceCounters } from './interface-counters.js';
export { Interface } from './interface.js';
export { Interfaces, type CountedInterface, type InterfaceRef } from './interfaces.js';
export * from './ipip.js';
export * from './l3xc.js';
export * from './loopbacks.js';
export * from './macip.js';
export * from './memif.js';
export * from './nat44-mappings.js';
export * from './nat44.js';
export * from './neighbors.js';
export { type Capture, type CaptureRequest, type CapturedPacket } from './packet-capture.js';
export { PacketTrace, parseTrace, type TraceRequest, type TraceStep, type TracedPacket } from './packet-trace.js';
export { type HeldPath, type PathLabel, type PathType, type RoutePath } from './path.js';
export * from './proxy-arp.js';
export * from './punt.js';
export * from './router-advertisements.js';
export { VppSyncError, type SyncOptions, type SyncProgress, type SyncResult } from './route-sync.js';
export { Routes, type BulkOptions, type HeldRoute, type Route, type RouteFilter, type TableRoute } from './routes.js';
export * from './sub-interfaces.js';
export * from './tables.js';
export * from './taps.js';
export * from './urpf.js';
export * from './vxlan.js';
