// `node-vpp/stats/writer`: a stats segment that VPP's clients can read, written here.

export { createStatsSegment, StatsSegmentWriter } from './writer.js';
export type { StatsListenOptions, StatsSegmentOptions } from './writer.js';
export { ErrorCounters, InterfaceCounters, NodeCounters } from './vpp-counters.js';
export { Names, Scalar, Symlink, WriterEntry } from './entries.js';
export {
  CombinedCounters,
  CombinedThread,
  Histogram,
  HistogramThread,
  SimpleCounters,
  SimpleThread,
} from './counters.js';
export type { CounterOptions, HistogramOptions } from './counters.js';
export { RingBuffer } from './ring-buffer.js';
export type { RingBufferOptions } from './ring-buffer.js';
