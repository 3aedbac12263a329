// A dependency graph that configures things: declare what should be, and it works out the order.

export * from './check.js';
export * from './clock.js';
export type { Unconfirmed } from './confirm.js';
export * from './descriptor.js';
export { deepEqual } from './equal.js';
export type {
  HistoryQuery,
  RecordedOperation,
  RecordedTransaction,
  TransactionKind,
  TransactionStatus,
} from './history.js';
export { listJournal } from './journal-list.js';
export type { SouthboundDump, SouthboundValue } from './look.js';
export type { CallMetrics, SchedulerMetrics } from './metrics.js';
export { durationBucketsMs } from './metrics.js';
export type * from './options.js';
export { Plan, type PlannedKind, type PlannedOperation, type Waiting } from './plan.js';
export { Past, type Moment, type Revision } from './past.js';
export type { ResyncRequest } from './planning.js';
export { redact, redacted } from './redact.js';
export { TransactionResult, type Failure, type ValueResult } from './result.js';
export type { RetryPolicy } from './retry.js';
export type { SchedulerEvents } from './reader.js';
export type { ResyncKind } from './resync.js';
export { Scheduler } from './scheduler.js';
export { checkSchema, type Schema } from './schema.js';
export { satisfied, selectorText, selects, type PrefixSelector, type Selector } from './selector.js';
export { valueStates, type OperationKind, type Reason, type ValueState, type ValueStatus } from './state.js';
export * from './testing/mock-southbound.js';
export type { Mismatch } from './verify.js';
export type { WatchOptions } from './watch.js';
