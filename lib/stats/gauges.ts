// Which entries go up and down. The type says so since 26.02 only, and not for vectors: what VPP and its plugins keep in
// simple counters although it is no counter is listed here, by the name of the vector.

const gaugeVectors = [
  /^\/mem\//,
  /^\/sys\/(vector_rate|loops)_per_worker$/,
  /^\/buffer-pools\//,
  /sessions?$/,
  /^\/nat\d*.*\/(total|max)-/,
  /^\/net\/ip[46]-nd\/neighbors$/,
];

/** Numbers of 25.10 and older that had the type of a timestamp, or that never go back. */
const constants = /^\/sys\/(last_stats_clear|boottime|last_update|heartbeat)$/;

/**
 * Whether an entry is a gauge.
 *
 * @param name of the vector or scalar itself, not of a symlink to it
 * @param single whether it is one value (`scalar`, `gauge`) rather than a vector of counters
 */
export function isGauge(name: string, single: boolean): boolean {
  if (single) return name !== '/sys/heartbeat';
  return gaugeVectors.some((pattern) => pattern.test(name));
}

/** Whether an entry is a time, not a quantity. */
export const isTimestamp = (name: string): boolean => constants.test(name) && name !== '/sys/heartbeat';
