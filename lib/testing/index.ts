// node-vpp/testing: test doubles that are products: a connected pair, a port with faults, a port that is watched.

export { FaultyPort, injectFaults } from './faults.js';
export type { FaultCounters, FaultOptions } from './faults.js';
export { loopback } from './loopback.js';
export type { Loopback } from './loopback.js';
export type { PacketPort } from './port.js';
export { TracedPort, trace } from './trace.js';
export type { PcapngSink, TraceCounters, TraceOptions } from './trace.js';
