// `node-vpp/stats`: VPP's stats segment, read in place. What writes one is `node-vpp/stats/writer`.

export { connectStats, openStatsImage, Stats, StatsImage } from './stats.js';
export type { StatsEvents, StatsOptions, SubscribeOptions } from './stats.js';
export { StatsSource } from './source.js';
export type { FromSnapshot } from './source.js';
export type { AccessOptions } from './access.js';
export type { StatsEntry } from './directory.js';
export { EntryType } from './layout.js';
export type { CombinedInterfaceCounter, EntryTypeName, NodeCounter, SimpleInterfaceCounter } from './layout.js';
export { LiveCounter, LiveInterface, LiveVector } from './live.js';
export type { InterfaceCounterValues } from './live.js';
export { CopiedVector, Snapshot } from './snapshot.js';
export type { CombinedReading, PacketsBytes, Reading, SimpleReading } from './snapshot.js';
export { InterfaceStats, InterfaceTable, interfacesOf } from './interfaces.js';
export type { InterfaceOptions } from './interfaces.js';
export { nodeErrorsOf, nodesOf } from './nodes.js';
export type { NodeErrorCount, NodeStats } from './nodes.js';
export { bufferPoolsOf, memoryHeapsOf, systemOf } from './system.js';
export type { BufferPool, MemoryHeap, SystemStats } from './system.js';
export { metrics, metricsContentType, metricsFormat } from './metrics.js';
export type { MetricsOptions } from './metrics.js';
export { escapePattern } from './patterns.js';
export type { Pattern, Patterns } from './patterns.js';
export type {
  CombinedColumnValue,
  CombinedValue,
  CorruptValue,
  HistogramValue,
  NamesValue,
  RingBufferValue,
  RingThread,
  ScalarValue,
  SimpleColumnValue,
  SimpleValue,
  StatsNumber,
  StatsValue,
} from './values.js';
