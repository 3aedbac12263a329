// VPP's binary API. What every program needs; reading, comparing and writing schemas is node-vpp/api/schema, so that
// a connection does not load it.

export * from './schema/model.js';
export { createSchema, mergeSchemas, type Schema, type SchemaSource } from './schema/schema.js';
export { bundledReleases, loadBundled, newestRelease, type BundledRelease } from './schema/bundled.js';
export { retvalName, retvals, type RetvalInfo } from './schema/retval.js';
export type * from './schema/api-types.js';
export type { Api as NewestApi } from './generated/26.06.js';
export * from './codec/index.js';
export { Connection, connect } from './connection.js';
export type { ConnectOptions, ConnectionState, ConnectionStats, LifeEvents, Reconnected } from './options.js';
export type { RequestOptions, VppClient } from './client.js';
export type { Carrier } from './fast.js';
export { refusedWith, type ManyFailure, type ManyOptions, type ManyProgress, type ManyReport } from './many.js';
export { SharedClient, openShared, shareConnection } from './share.js';
export type { SyncOptions } from './sync.js';
export { Pool, createPool, type PoolOptions } from './pool.js';
export { DumpStream, type DumpOptions } from './dump.js';
export { EventStream, type EventOptions } from './events.js';
export type { HealthOptions } from './health.js';
export type { RetryOptions } from './reconnect.js';
export {
  Trace,
  decodeExchange,
  readTrace,
  replay,
  type DecodedExchange,
  type ReplayTarget,
  type Replayed,
  type TraceExchange,
  type TraceMessage,
  type TraceOptions,
} from './trace.js';
export { channels, type RequestContext } from './diagnostics.js';
export { DEFAULT_MAX_FRAME_BYTES, FRAME_HEADER_BYTES, FrameParser, type MessageSink } from './frame.js';
export type { Transport, TransportSink } from './transport/transport.js';
