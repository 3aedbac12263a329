// node-vpp/memif: shared-memory packet interfaces.

export { bridge, MemifBridge } from './bridge.js';
export type { BridgeStatistics } from './bridge.js';
export { Burst } from './burst.js';
export { CopyBuffer, copyPackets } from './copy.js';
export type { RxCounters, TxCounters } from './counters.js';
export { duplex } from './duplex.js';
export { Memif, openMemif } from './memif.js';
export type { MemifEvents, MemifPeer, MemifStatistics } from './events.js';
export type { MemifMode, MemifOptions, MemifRole } from './options.js';
export { PacketMemory } from './packet-memory.js';
export type { RxMode } from './receiver.js';
export { RxQueue } from './rx-queue.js';
export { TxQueue } from './tx-queue.js';
export { openShared, share, SharedQueues } from './share.js';
export type { SharedQueueList, SharedQueuesEvents } from './share.js';
