// The graph: nodes that each work on all packets they were given before the next one runs, as VPP's do.
//
//   ethernet-input ─┬─ l2-input ─ l2-learn ─ l2-fwd ─┬─ l2-flood ─┐
//                   ├─ arp-input                     └────────────┴─ l2-output ─┐
//                   ├─ ip4-input ─ ip4-lookup ─┬─ ip4-rewrite ──────────────────┴─ interface-output ─► ports
//                   └─ ip6-input ─ ip6-lookup ─┴─ ip4-local, ip4-arp, ip4-icmp-error, ip4-frag, …
//
// A node has a queue of slot numbers. `run` goes through the nodes in the order of their numbers and again as long as
// any queue has something: what a later node gives to an earlier one (an answer that is looked up, a packet that leaves
// the bridge for a router) is done in the next round. A slot is counted at each lookup; after 16 it is dropped.

import type { Vector } from './vector.js';
import { SLOTS } from './vector.js';

/** The nodes, in the order they run. */
export const Node = {
  ethernetInput: 0,
  l2Input: 1,
  l2Learn: 2,
  l2Fwd: 3,
  l2Flood: 4,
  arpInput: 5,
  ip4Input: 6,
  ip6Input: 7,
  ip4Lookup: 8,
  ip6Lookup: 9,
  ip4Local: 10,
  ip6Local: 11,
  ip4IcmpInput: 12,
  ip6IcmpInput: 13,
  ip4Rewrite: 14,
  ip6Rewrite: 15,
  ip4Arp: 16,
  ip6Neighbour: 17,
  ip4Frag: 18,
  ip6Frag: 19,
  ip4IcmpError: 20,
  ip6IcmpError: 21,
  l2Output: 22,
  interfaceOutput: 23,
  drop: 24,
  punt: 25,
} as const;
export type Node = (typeof Node)[keyof typeof Node];

const names: readonly string[] = [
  'ethernet-input',
  'l2-input',
  'l2-learn',
  'l2-fwd',
  'l2-flood',
  'arp-input',
  'ip4-input',
  'ip6-input',
  'ip4-lookup',
  'ip6-lookup',
  'ip4-local',
  'ip6-local',
  'ip4-icmp-input',
  'ip6-icmp-input',
  'ip4-rewrite',
  'ip6-rewrite',
  'ip4-arp',
  'ip6-discover-neighbor',
  'ip4-frag',
  'ip6-frag',
  'ip4-icmp-error',
  'ip6-icmp-error',
  'l2-output',
  'interface-output',
  'error-drop',
  'error-punt',
];

/** What a node does with the slots `queue[0 .. count]`. */
export type Process = (queue: Uint16Array, count: number) => void;
/** What a trace says of a slot at a node, asked after the node has run. */
export type Describe = (p: number) => string;

/** An error counter: a reason why packets are dropped at a node, or a thing worth counting there. */
export interface ErrorCounter {
  readonly node: string;
  readonly name: string;
  readonly text: string;
  readonly severity: 'error' | 'info';
}

const nothing: Process = () => undefined;

/** Nodes, queues and their counters. */
export class Graph {
  readonly vector: Vector;
  readonly names = names;
  readonly queues: readonly Uint16Array[];
  readonly counts = new Uint32Array(names.length);
  readonly calls = new Float64Array(names.length);
  readonly vectors = new Float64Array(names.length);
  readonly errors: ErrorCounter[] = [];
  errorCounts = new Float64Array(256);
  /** Called before and after a node while packets are traced. */
  tracer: { before(node: Node, queue: Uint16Array, count: number): void; after(node: Node): void } | undefined;
  readonly describe: (Describe | undefined)[] = [];
  readonly #process: Process[] = names.map(() => nothing);
  readonly #spare = new Uint16Array(SLOTS);

  constructor(vector: Vector) {
    this.vector = vector;
    this.queues = names.map(() => new Uint16Array(SLOTS));
    this.error('none', 'none', 'no error');
  }

  /** Says what a node does. */
  define(node: Node, process: Process, describe?: Describe): void {
    this.#process[node] = process;
    this.describe[node] = describe;
  }

  /** Makes an error counter; returns its number, never 0. */
  error(node: string, name: string, text: string, severity: 'error' | 'info' = 'error'): number {
    const known = this.errors.findIndex((each) => each.node === node && each.name === name);
    if (known >= 0) return known;
    this.errors.push({ node, name, text, severity });
    if (this.errors.length > this.errorCounts.length) {
      const more = new Float64Array(this.errorCounts.length * 2);
      more.set(this.errorCounts);
      this.errorCounts = more;
    }
    return this.errors.length - 1;
  }

  enqueue(node: Node, p: number): void {
    const n = this.counts[node]!;
    if (n >= SLOTS) return;
    this.queues[node]![n] = p;
    this.counts[node] = n + 1;
  }

  /** Drops a packet for a reason, which is counted. */
  drop(p: number, error: number): void {
    this.vector.error[p] = error;
    this.errorCounts[error]!++;
    this.enqueue(Node.drop, p);
  }

  /** Runs until all queues are empty. */
  run(): void {
    const { counts, queues } = this;
    for (let more = true; more;) {
      more = false;
      for (let node = 0; node < names.length; node++) {
        const count = counts[node]!;
        if (count === 0) continue;
        more = true;
        counts[node] = 0;
        this.calls[node]!++;
        this.vectors[node]! += count;
        let queue = queues[node]!;
        if (queue.length !== 0 && mayFeedItself(node)) {
          // It may add to its own queue while it reads it.
          this.#spare.set(count === SLOTS ? queue : queue.subarray(0, count));
          queue = this.#spare;
        }
        const { tracer } = this;
        if (tracer === undefined) this.#process[node]!(queue, count);
        else {
          tracer.before(node as Node, queue, count);
          this.#process[node]!(queue, count);
          tracer.after(node as Node);
        }
      }
    }
  }
}

const mayFeedItself = (node: number): boolean => node === Node.ip4Lookup || node === Node.ip6Lookup;
