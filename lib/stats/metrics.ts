// Stats as text for Prometheus: OpenMetrics 1.0, or the older text format 0.0.4, which Prometheus' own checker reads.
//
//   vpp_up                                        1 while there is a segment to read
//   vpp_interface_<counter>_{packets,bytes}_total interface, sw_if_index (, vpp_name) (, thread)
//   vpp_interface_<counter>_total                 drops, punt, rx-miss, …
//   vpp_node_{clocks,vectors,calls,suspends}_total  node (, thread)
//   vpp_node_errors_total                         node, reason (, thread)
//   vpp_buffer_pool_buffers                       pool, state
//   vpp_memory_{size,used,free}_bytes             heap
//   vpp_…                                         heartbeat, times, threads; single values and histograms under their name
//
// What is a counter is a counter. Series are made from what is in the segment at the moment: those of an interface that is
// gone are gone with it. Their number is bounded; what does not fit is left out and said in vpp_metrics_dropped_series.

import { ArgumentRangeError, StatsError } from '../errors.js';
import { isTimestamp } from './gauges.js';
import { type InterfaceOptions, interfacesOf } from './interfaces.js';
import { COMBINED_INTERFACE_COUNTERS, NODE_COUNTERS, SIMPLE_INTERFACE_COUNTERS } from './layout.js';
import { errorNameParts, nodesOf } from './nodes.js';
import { type Patterns, patternList } from './patterns.js';
import type { CopiedVector } from './snapshot.js';
import { Snapshot } from './snapshot.js';
import type { StatsSource } from './source.js';
import { bufferPoolsOf, memoryHeapsOf, systemOf } from './system.js';

/** How metrics are written. */
export interface MetricsOptions extends InterfaceOptions {
  /** Default `prometheus`, text format 0.0.4; `openmetrics` when the scraper asks for it, see `metricsFormat`. */
  readonly format?: 'prometheus' | 'openmetrics';
  /** A series per thread (label `thread`, 0 is the main thread) instead of one over all. Default false. */
  readonly perThread?: boolean;
  /** Also errors that have not been counted and nodes that have not run. Default false. */
  readonly zeros?: boolean;
  /** Vectors of counters that have no metrics of their own (`/net/route/to`), with the label `index`. */
  readonly extra?: Patterns;
  /** Labels that every series gets. */
  readonly labels?: Readonly<Record<string, string>>;
  /** No more series than this; default 200000. */
  readonly maxSeries?: number;
}

/** The value of the header Content-Type for a format. */
export const metricsContentType: Readonly<Record<'prometheus' | 'openmetrics', string>> = {
  prometheus: 'text/plain; version=0.0.4; charset=utf-8',
  openmetrics: 'application/openmetrics-text; version=1.0.0; charset=utf-8',
};

/** The format that a scraper asks for in its header Accept. */
export const metricsFormat = (accept: string | undefined): 'prometheus' | 'openmetrics' =>
  accept?.includes('application/openmetrics-text') === true ? 'openmetrics' : 'prometheus';

/**
 * Writes the stats as metrics. A VPP that is away is `vpp_up 0`, not an error.
 *
 * @throws {StatsError} `ERR_STATS_CLOSED`, `ERR_STATS_CORRUPT`, `ERR_STATS_PATTERN`
 *
 * @example
 * ```ts
 * import { metrics, connectStats } from 'node-vpp/stats';
 * import { createStatsSegment, InterfaceCounters } from 'node-vpp/stats/writer';
 * import assert from 'node:assert/strict';
 *
 * const vpp = createStatsSegment({ sizeBytes: 1 << 20 });
 * const interfaces = new InterfaceCounters(vpp);
 * interfaces.add(1, 'memif0/0');
 * interfaces.combined.rx.thread(0).add(1, 3, 180);
 * vpp.listen('@doc-metrics');
 * const stats = await connectStats({ socket: '@doc-metrics' });
 * const text = metrics(stats, { tags: () => 'uplink' });
 * assert.match(text, /^vpp_interface_rx_packets_total\{interface="uplink",sw_if_index="1",vpp_name="memif0\/0"\} 3$/m);
 * await stats.close();
 * vpp.close();
 * ```
 */
export function metrics(source: StatsSource | Snapshot, options: MetricsOptions = {}): string {
  const text = new MetricsText(options);
  let snapshot: Snapshot;
  try {
    snapshot = source instanceof Snapshot ? source : source.snapshot();
  } catch (error) {
    const reason = error instanceof StatsError ? error.reason : undefined;
    if (reason !== 'DISCONNECTED' && reason !== 'LOST' && reason !== 'BUSY') throw error;
    text.family('vpp_up', 'gauge', 'Whether there is a stats segment to read.').add('', 0);
    return text.end();
  }
  text.family('vpp_up', 'gauge', 'Whether there is a stats segment to read.').add('', 1);
  writeSystem(text, snapshot);
  writeInterfaces(text, snapshot, options);
  writeNodes(text, snapshot, options);
  writeErrors(text, snapshot, options);
  writeOthers(text, snapshot, options);
  return text.end();
}

type FamilyType = 'counter' | 'gauge' | 'histogram';

/** Collects lines; counts series. One long text: joining a list of many lines would cost as much as making them. */
class MetricsText {
  #text = '';
  readonly #openMetrics: boolean;
  readonly #common: string;
  readonly #maxSeries: number;
  readonly #families = new Set<string>();
  #series = 0;
  #dropped = 0;

  constructor(options: MetricsOptions) {
    const { format = 'prometheus', labels = {}, maxSeries = 200_000 } = options;
    if (!(maxSeries >= 1)) throw new ArgumentRangeError(`maxSeries of metrics is at least 1, not ${maxSeries}`);
    for (const name of Object.keys(labels)) {
      if (!/^[a-zA-Z_]\w*$/.test(name)) throw new ArgumentRangeError(`${JSON.stringify(name)} is no name of a label`);
    }
    this.#openMetrics = format === 'openmetrics';
    this.#common = Object.entries(labels)
      .map(([name, value]) => label(name, value))
      .join(',');
    this.#maxSeries = maxSeries;
  }

  /** Begins a family: `add` writes one series. Counters are given without `_total`. */
  family(
    name: string,
    type: FamilyType,
    help: string,
  ): { add: (labels: string, value: number, suffix?: string) => void } {
    const sample = type === 'counter' ? `${name}_total` : name;
    const said = this.#openMetrics ? name : sample;
    const open = this.#common === '' ? `${sample}{` : `${sample}{${this.#common},`;
    let begun = false;
    return {
      add: (labels, value, suffix = '') => {
        if (this.#series >= this.#maxSeries) {
          this.#dropped++;
          return;
        }
        this.#series++;
        if (!begun) {
          begun = true;
          this.#families.add(name);
          this.#text += `# HELP ${said} ${help}\n# TYPE ${said} ${type}\n`;
          if (this.#openMetrics) {
            const unit = /_(bytes|seconds)$/.exec(name)?.[1];
            if (unit !== undefined) this.#text += `# UNIT ${said} ${unit}\n`;
          }
        }
        // Short pieces first: a text of two long ones is an object, which has to be put together later.
        if (labels !== '' && suffix === '') {
          const tail = `} ${value}\n`;
          this.#text += `${open}${labels}${tail}`;
          return;
        }
        const both = labels === '' ? this.#common : this.#common === '' ? labels : `${this.#common},${labels}`;
        this.#text += both === '' ? `${sample}${suffix} ${value}\n` : `${sample}${suffix}{${both}} ${value}\n`;
      },
    };
  }

  has(name: string): boolean {
    return this.#families.has(name);
  }

  end(): string {
    if (this.#dropped > 0) {
      const dropped = this.#dropped;
      this.#series = -1;
      this.family('vpp_metrics_dropped_series', 'gauge', 'Series that were left out because of maxSeries.').add(
        '',
        dropped,
      );
    }
    if (this.#openMetrics) this.#text += '# EOF\n';
    return this.#text;
  }
}

const label = (name: string, value: string): string =>
  `${name}="${value.replace(/[\\"\n]/g, (char) => (char === '\n' ? '\\n' : `\\${char}`))}"`;

/** One counter of a vector: over all threads, or a series per thread. */
function addColumn(
  family: { add: (labels: string, value: number) => void },
  labels: string,
  vector: CopiedVector,
  column: number,
  part: 0 | 1,
  perThread: boolean,
): void {
  if (!perThread) family.add(labels, vector.sum(column, part));
  else {
    for (let thread = 0; thread < vector.threads; thread++) {
      family.add(`${labels},thread="${thread}"`, vector.number(thread, column, part));
    }
  }
}

function writeSystem(text: MetricsText, snapshot: Snapshot): void {
  const system = systemOf(snapshot);
  const one = (name: string, type: FamilyType, help: string, value: number | undefined) => {
    if (value !== undefined) text.family(name, type, help).add('', value);
  };
  one('vpp_heartbeats', 'counter', 'Updates of the collectors of VPP.', system.heartbeat);
  one('vpp_boot_time_seconds', 'gauge', 'When VPP was started.', system.bootTime);
  one(
    'vpp_last_stats_clear_time_seconds',
    'gauge',
    'When counters were last cleared; 0: never.',
    system.lastStatsClear,
  );
  one('vpp_worker_threads', 'gauge', 'Worker threads, without the main thread.', system.workers);
  one('vpp_vector_rate', 'gauge', 'Packets of a call of a node, on average over the workers.', system.vectorRate);
  const perThread = (name: string, help: string, values: readonly number[]) => {
    const family = text.family(name, 'gauge', help);
    values.forEach((value, thread) => family.add(`thread="${thread}"`, value));
  };
  perThread('vpp_thread_vector_rate', 'Packets of a call of a node, on average.', system.vectorRatePerThread);
  perThread('vpp_thread_loops_per_second', 'Turns of the main loop.', system.loopsPerThread);
  const buffers = text.family('vpp_buffer_pool_buffers', 'gauge', 'Packet buffers.');
  for (const { name, cached, used, available } of bufferPoolsOf(snapshot)) {
    const pool = label('pool', name);
    buffers.add(`${pool},state="cached"`, cached);
    buffers.add(`${pool},state="used"`, used);
    buffers.add(`${pool},state="available"`, available);
  }
  const heaps = memoryHeapsOf(snapshot);
  const memory = (name: string, help: string, of: (heap: (typeof heaps)[number]) => number) => {
    const family = text.family(name, 'gauge', help);
    for (const heap of heaps) family.add(label('heap', heap.name), of(heap));
  };
  memory('vpp_memory_size_bytes', 'Size of a heap.', (heap) => heap.total);
  memory('vpp_memory_used_bytes', 'Used memory of a heap.', (heap) => heap.used);
  memory('vpp_memory_free_bytes', 'Free memory of a heap.', (heap) => heap.free);
}

const metricName = (text: string): string => text.replace(/[^a-zA-Z0-9_]+/g, '_').replace(/^_+|_+$/g, '');

function writeInterfaces(text: MetricsText, snapshot: Snapshot, options: MetricsOptions): void {
  const { perThread = false, tags } = options;
  const labelled = [...interfacesOf(snapshot, { tags })].map(({ swIfIndex, name, tag }) => ({
    swIfIndex,
    labels:
      `${label('interface', tag ?? name)},sw_if_index="${swIfIndex}"` +
      (tags === undefined ? '' : `,${label('vpp_name', name)}`),
  }));
  for (const counter of COMBINED_INTERFACE_COUNTERS) {
    const vector = snapshot.vector(`/if/${counter}`);
    if (vector === undefined) continue;
    for (const [part, unit] of [
      [0, 'packets'],
      [1, 'bytes'],
    ] as const) {
      const name = `vpp_interface_${metricName(counter)}_${unit}`;
      const family = text.family(name, 'counter', `Counter ${counter} of the interface, ${unit}.`);
      for (const { swIfIndex, labels } of labelled) addColumn(family, labels, vector, swIfIndex, part, perThread);
    }
  }
  for (const counter of SIMPLE_INTERFACE_COUNTERS) {
    const vector = snapshot.vector(`/if/${counter}`);
    if (vector === undefined) continue;
    const family = text.family(
      `vpp_interface_${metricName(counter)}`,
      'counter',
      `Counter ${counter} of the interface, packets.`,
    );
    for (const { swIfIndex, labels } of labelled) addColumn(family, labels, vector, swIfIndex, 0, perThread);
  }
}

function writeNodes(text: MetricsText, snapshot: Snapshot, options: MetricsOptions): void {
  const { perThread = false, zeros = false } = options;
  const nodes = nodesOf(snapshot).filter(({ calls, vectors, suspends }) => zeros || calls + vectors + suspends > 0);
  if (nodes.length === 0) return;
  for (const counter of NODE_COUNTERS) {
    const vector = snapshot.vector(`/sys/node/${counter}`);
    if (vector === undefined) continue;
    const family = text.family(`vpp_node_${counter}`, 'counter', `Counter ${counter} of the graph node.`);
    for (const { name, index } of nodes) addColumn(family, label('node', name), vector, index, 0, perThread);
  }
}

function writeErrors(text: MetricsText, snapshot: Snapshot, options: MetricsOptions): void {
  const { perThread = false, zeros = false } = options;
  const family = text.family('vpp_node_errors', 'counter', 'Errors of the graph node, by reason.');
  const { directory, plan } = snapshot.capture;
  const vector = snapshot.vector('/node/errors');
  for (const index of plan.entries) {
    const name = directory.names[index]!;
    if (!name.startsWith('/err/')) continue;
    const parts = errorNameParts(name);
    if (parts === undefined) continue;
    const labels = `${label('node', parts.node)},${label('reason', parts.reason)}`;
    const column = directory.columns[index]!;
    if (vector !== undefined && directory.names[directory.targets[index]!] === '/node/errors') {
      if (zeros || vector.sum(column) > 0) addColumn(family, labels, vector, column, 0, perThread);
      continue;
    }
    // VPP up to 22.02: an error index, without a vector of its own in the directory.
    const value = snapshot.getNumbers(name);
    if (value?.type !== 'simpleColumn') continue;
    const count = value.value.reduce((sum, each) => sum + each, 0);
    if (!zeros && count === 0) continue;
    if (!perThread) family.add(labels, count);
    else value.value.forEach((each, thread) => family.add(`${labels},thread="${thread}"`, each));
  }
}

/** What has metrics of its own. */
const known =
  /^\/(if|interfaces|err|nodes|node|mem|buffer-pools)\/|^\/sys\/(node\/|heartbeat$|last_stats_clear$|boottime$|num_worker_threads$|vector_rate|loops_per_worker$)/;

function writeOthers(text: MetricsText, snapshot: Snapshot, options: MetricsOptions): void {
  const { perThread = false, extra } = options;
  const wanted =
    extra === undefined ? undefined : new Set(snapshot.capture.directory.select(patternList(extra)).indices);
  const { directory, plan } = snapshot.capture;
  for (const index of plan.entries) {
    const entry = directory.names[index]!;
    if (known.test(entry)) continue;
    const name = `vpp_${metricName(entry)}`;
    // Two entries whose names differ only in what a metric name cannot hold.
    if (text.has(name)) continue;
    const type = directory.entry(index).type;
    if (type === 'scalar' || type === 'gauge') {
      const value = snapshot.getNumbers(entry);
      if (value?.type !== 'scalar' && value?.type !== 'gauge') continue;
      const gauge = isTimestamp(entry) ? `${name}_seconds` : name.replace(/_(total|count|sum|bucket)$/, '_$1s');
      text.family(gauge, 'gauge', `${helpText(entry)} of VPP's stats segment.`).add('', value.value);
    } else if (type === 'histogram') writeHistogram(text, snapshot, entry, name, perThread);
    else if ((type === 'simple' || type === 'combined') && wanted?.has(index) === true) {
      const vector = snapshot.vector(entry);
      if (vector === undefined) continue;
      const parts = vector.type === 'combined' ? (['packets', 'bytes'] as const) : ([undefined] as const);
      parts.forEach((unit, part) => {
        const family = text.family(
          unit === undefined ? name.replace(/_total$/, '') : `${name}_${unit}`,
          'counter',
          `${helpText(entry)} of VPP's stats segment.`,
        );
        for (let column = 0; column < vector.length; column++) {
          addColumn(family, `index="${column}"`, vector, column, part as 0 | 1, perThread);
        }
      });
    }
  }
}

const helpText = (entry: string): string => `Entry ${entry.replace(/\\/g, '\\\\').replace(/\n/g, '\\n')}`;

/** Bins of powers of two as cumulative buckets. The sum is not known: it is that of the middle of each bin. */
function writeHistogram(text: MetricsText, snapshot: Snapshot, entry: string, name: string, perThread: boolean): void {
  const value = snapshot.getNumbers(entry);
  if (value?.type !== 'histogram' || value.bins.length === 0) return;
  const family = text.family(name, 'histogram', `${helpText(entry)} of VPP's stats segment.`);
  const one = (bins: readonly number[], labels: string) => {
    const separator = labels === '' ? '' : ',';
    let count = 0;
    let sum = 0;
    bins.forEach((bin, i) => {
      count += bin;
      const from = 2 ** (value.leastExponent + i);
      sum += bin * from * 1.5;
      // Whole numbers below the next power of two; the last bin has no end.
      if (i < bins.length - 1) family.add(`${labels}${separator}le="${from * 2 - 1}"`, count, '_bucket');
    });
    family.add(`${labels}${separator}le="+Inf"`, count, '_bucket');
    family.add(labels, sum, '_sum');
    family.add(labels, count, '_count');
  };
  if (perThread) value.bins.forEach((bins, thread) => one(bins, `thread="${thread}"`));
  else {
    const length = Math.max(...value.bins.map((bins) => bins.length));
    one(
      Array.from({ length }, (_, i) => value.bins.reduce((sum, bins) => sum + (bins[i] ?? 0), 0)),
      '',
    );
  }
}
