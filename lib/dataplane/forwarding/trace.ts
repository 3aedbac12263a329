// Traces: the way of single packets through the graph, node by node, as `show trace` has it.

import type { PacketTrace } from './control.js';
import type { Graph, Node } from './graph.js';
import type { Plane } from './plane.js';
import { Flag } from './vector.js';

/** Traces kept; the oldest go. */
const MAX_TRACES = 1000;
const MAX_BYTES = 256;

interface Trace {
  packet: number;
  timeS: number;
  steps: { node: string; text: string }[];
  bytes: Uint8Array;
  length: number;
}

export class Tracer {
  readonly #plane: Plane;
  readonly #wanted = new Map<string, number>();
  readonly #startMs: number;
  #traces: Trace[] = [];
  #number = 0;
  /** Traces of the slots of this burst. */
  readonly #bySlot = new Map<number, Trace>();
  #here: number[] = [];

  constructor(plane: Plane) {
    this.#plane = plane;
    this.#startMs = plane.now();
  }

  get wanted(): boolean {
    return this.#wanted.size > 0;
  }

  add(node: string, count: number): void {
    this.#wanted.set(node, (this.#wanted.get(node) ?? 0) + count);
  }

  clear(): void {
    this.#wanted.clear();
    this.#traces = [];
  }

  get traces(): readonly PacketTrace[] {
    return this.#traces;
  }

  /** Marks the packets of a burst that shall be traced, before the graph runs. */
  begin(node: string, name: string): void {
    const { vector, graph } = this.#plane;
    let left = this.#wanted.get(node) ?? 0;
    if (left === 0) return;
    this.#bySlot.clear();
    for (let p = 0; p < vector.count && left > 0; p++, left--) {
      const at = vector.offset[p]!;
      const length = vector.length[p]!;
      const trace: Trace = {
        packet: ++this.#number,
        timeS: (this.#plane.now() - this.#startMs) / 1000,
        steps: [{ node, text: `${name}: ${length} bytes` }],
        bytes: vector.bytes.slice(at, at + Math.min(length, MAX_BYTES)),
        length,
      };
      vector.flags[p] = vector.flags[p]! | Flag.traced;
      this.#bySlot.set(p, trace);
      this.#traces.push(trace);
    }
    if (this.#traces.length > MAX_TRACES) this.#traces = this.#traces.slice(-MAX_TRACES);
    if (left === 0) this.#wanted.delete(node);
    else this.#wanted.set(node, left);
    graph.tracer = {
      before: (_node, queue, count) => {
        this.#here = [];
        for (let i = 0; i < count; i++) if (this.#bySlot.has(queue[i]!)) this.#here.push(queue[i]!);
      },
      after: (at) => this.#after(graph, at),
    };
  }

  #after(graph: Graph, node: Node): void {
    const { vector } = this.#plane;
    for (const p of this.#here) {
      const describe = graph.describe[node];
      const error = vector.error[p]!;
      const dropped = graph.errors[error];
      const text =
        describe !== undefined
          ? describe(p)
          : graph.names[node] === 'error-drop' && dropped !== undefined
            ? `${dropped.node}: ${dropped.text}`
            : (this.#plane.interfaces.state[vector.tx[p]!]?.spec.name ?? '');
      this.#bySlot.get(p)!.steps.push({ node: graph.names[node]!, text });
    }
  }

  /** The burst is over. */
  end(): void {
    this.#bySlot.clear();
    this.#plane.graph.tracer = undefined;
  }
}
