// The dataplane's counters in a stats segment of VPP's layout, for VPP's own readers and ours.
//
//   forwarder's typed arrays ──(every 100 ms, what has changed)──► /if/…, /interfaces/…, /net/route/to
//                    nodes, load ─────────────────────────────────► /sys/node/…, /nodes/…, /err/…, /sys/…
//
// The forwarder counts in doubles of its own, so that nothing on its path waits for a reader; here they are copied.
// Invariant: what a reader sees of an interface is that interface's, also when a number is used again.

import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { StatsError } from '../errors.js';
import {
  createStatsSegment,
  ErrorCounters,
  InterfaceCounters,
  NodeCounters,
  type CombinedCounters,
  type CombinedThread,
  type Scalar,
  type SimpleThread,
  type StatsSegmentWriter,
} from '../stats/writer/index.js';
import { InterfaceCounter, INTERFACE_COUNTERS, type NodeCounter } from './forwarding/control.js';
import type { Interface } from './interfaces.js';
import type { State } from './state.js';

const SEGMENT_BYTES = 128 << 20;
const PUBLISH_MS = 100;
/** Routes are many: every so many rounds. */
const ROUNDS_OF_ROUTES = 10;

/** Published from a column of the forwarder. */
type Column =
  { readonly at: number; readonly simple: SimpleThread } | { readonly at: number; readonly combined: CombinedThread };

/** See above. */
export class DataplaneStats {
  readonly socket: string;
  readonly #state: State;
  readonly #segment: StatsSegmentWriter;
  readonly #interfaces: InterfaceCounters;
  readonly #nodes: NodeCounters;
  readonly #errors: ErrorCounters;
  readonly #routes: CombinedCounters;
  readonly #columns: readonly Column[];
  readonly #vectorRate: Scalar;
  readonly #inputRate: Scalar;
  readonly #nodeIndex = new Map<string, number>();
  readonly #errorIndex = new Map<string, number>();
  readonly #timer: NodeJS.Timeout;
  /** What was published, so that only what has changed is written. */
  #seenInterfaces = new Float64Array(0);
  #seenRoutes = new Float64Array(0);
  #round = 0;
  #packets = 0;
  #publishedAt: number;
  #routesFull = false;

  constructor(state: State, socket: string) {
    this.socket = socket;
    this.#state = state;
    this.#publishedAt = state.identity.now();
    mkdirSync(dirname(socket), { recursive: true });
    const segment = createStatsSegment({ sizeBytes: SEGMENT_BYTES });
    this.#segment = segment;
    try {
      segment.addScalar('/sys/num_worker_threads', 0);
      this.#vectorRate = segment.addScalar('/sys/vector_rate', 0);
      this.#inputRate = segment.addScalar('/sys/input_rate', 0);
      this.#interfaces = new InterfaceCounters(segment);
      this.#nodes = new NodeCounters(segment);
      this.#errors = new ErrorCounters(segment);
      this.#routes = segment.addCombined('/net/route/to');
      this.#columns = this.#makeColumns();
      for (const one of state.interfaces.values()) this.added(one);
      segment.listen(socket);
    } catch (error) {
      segment.close();
      throw error;
    }
    this.#timer = setInterval(() => this.publish(), PUBLISH_MS).unref();
  }

  #makeColumns(): Column[] {
    const { simple, combined } = this.#interfaces;
    const counter = InterfaceCounter;
    return [
      { at: counter.drops, simple: simple.drops.thread(0) },
      { at: counter.punt, simple: simple.punt.thread(0) },
      { at: counter.ip4, simple: simple.ip4.thread(0) },
      { at: counter.ip6, simple: simple.ip6.thread(0) },
      { at: counter.rxNoBuf, simple: simple['rx-no-buf'].thread(0) },
      { at: counter.rxMiss, simple: simple['rx-miss'].thread(0) },
      { at: counter.rxError, simple: simple['rx-error'].thread(0) },
      { at: counter.txError, simple: simple['tx-error'].thread(0) },
      { at: counter.mpls, simple: simple.mpls.thread(0) },
      { at: counter.rxPackets, combined: combined.rx.thread(0) },
      { at: counter.rxUnicastPackets, combined: combined['rx-unicast'].thread(0) },
      { at: counter.rxMulticastPackets, combined: combined['rx-multicast'].thread(0) },
      { at: counter.rxBroadcastPackets, combined: combined['rx-broadcast'].thread(0) },
      { at: counter.txPackets, combined: combined.tx.thread(0) },
      { at: counter.txUnicastPackets, combined: combined['tx-unicast'].thread(0) },
      { at: counter.txMulticastPackets, combined: combined['tx-multicast'].thread(0) },
      { at: counter.txBroadcastPackets, combined: combined['tx-broadcast'].thread(0) },
    ];
  }

  /** There is an interface, from 0 on. */
  added(one: Interface): void {
    this.#interfaces.add(one.swIfIndex, one.name);
    this.#seenInterfaces.fill(0, one.swIfIndex * INTERFACE_COUNTERS, (one.swIfIndex + 1) * INTERFACE_COUNTERS);
  }

  removed(one: Interface): void {
    this.#interfaces.remove(one.swIfIndex);
  }

  /** Copies what has changed. */
  publish(): void {
    this.#round += 1;
    this.#publishInterfaces();
    this.#publishLoad();
    if (this.#round % ROUNDS_OF_ROUTES === 0) this.#publishRoutes();
  }

  #publishInterfaces(): void {
    const { interfaceCounters: now } = this.#state.forwarder;
    if (this.#seenInterfaces.length < now.length) this.#seenInterfaces = grown(this.#seenInterfaces, now.length);
    const seen = this.#seenInterfaces;
    for (const { swIfIndex } of this.#state.interfaces.values()) {
      const row = swIfIndex * INTERFACE_COUNTERS;
      if (row + INTERFACE_COUNTERS > now.length) continue;
      for (const column of this.#columns) {
        const at = row + column.at;
        if ('simple' in column) {
          if (now[at] !== seen[at]) column.simple.set(swIfIndex, now[at]!);
        } else if (now[at] !== seen[at] || now[at + 1] !== seen[at + 1]) {
          column.combined.set(swIfIndex, now[at]!, now[at + 1]!);
        }
      }
      for (let at = row; at < row + INTERFACE_COUNTERS; at++) seen[at] = now[at]!;
    }
  }

  #publishLoad(): void {
    const { forwarder, identity } = this.#state;
    const { packets, vectorRate } = forwarder.load();
    const now = identity.now();
    const seconds = (now - this.#publishedAt) / 1000;
    if (seconds > 0) this.#inputRate.value = Math.round((packets - this.#packets) / seconds);
    this.#vectorRate.value = Math.round(vectorRate);
    this.#publishedAt = now;
    if (packets === this.#packets && this.#round % 10 !== 0) return;
    this.#packets = packets;
    for (const node of forwarder.nodeCounters()) this.#publishNode(node);
  }

  #publishNode({ name, calls, vectors, errors }: NodeCounter): void {
    let index = this.#nodeIndex.get(name);
    if (index === undefined) this.#nodeIndex.set(name, (index = this.#nodes.add(name)));
    this.#nodes.counters.calls.thread(0).set(index, calls);
    this.#nodes.counters.vectors.thread(0).set(index, vectors);
    for (const error of errors) {
      const key = `${name}/${error.name}`;
      let at = this.#errorIndex.get(key);
      if (at === undefined) this.#errorIndex.set(key, (at = this.#errors.add(name, error.name)));
      this.#errors.counters.thread(0).set(at, error.count);
    }
  }

  #publishRoutes(): void {
    if (this.#routesFull) return;
    const { routeCounters: now } = this.#state.forwarder;
    if (this.#seenRoutes.length < now.length) {
      try {
        this.#routes.ensure(now.length / 2);
      } catch (error) {
        if (!(error instanceof StatsError)) throw error;
        this.#routesFull = true;
        this.#state.onProblem(error, '');
        return;
      }
      this.#seenRoutes = grown(this.#seenRoutes, now.length);
    }
    const seen = this.#seenRoutes;
    const thread = this.#routes.thread(0);
    for (let at = 0; at < now.length; at += 2) {
      if (now[at] === seen[at] && now[at + 1] === seen[at + 1]) continue;
      thread.set(at / 2, now[at]!, now[at + 1]!);
      seen[at] = now[at]!;
      seen[at + 1] = now[at + 1]!;
    }
  }

  close(): void {
    clearInterval(this.#timer);
    this.#segment.close();
  }
}

function grown(old: Float64Array, length: number): Float64Array<ArrayBuffer> {
  const larger = new Float64Array(length);
  larger.set(old);
  return larger;
}
