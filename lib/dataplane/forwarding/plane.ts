// What all nodes share: the packets, the graph, the interfaces, and the way out.
//
//   dispatch(port)     takes a burst, runs the graph, hands every port what is to be sent, gives the burst back
//   generate(make)     the same without a burst: for packets that time or the control plane makes
//
// Packets to be sent gather in a queue per port, and go when the graph has come to rest: one copy and one wake-up per
// port and burst.

import type { ForwarderEvents, ForwarderOptions } from './control.js';
import { INTERFACE_COUNTERS, InterfaceCounter, NO_INTERFACE } from './control.js';
import { Graph, Node } from './graph.js';
import { Feature, Interfaces, Mode } from './interfaces.js';
import type { Port } from './port.js';
import { segment } from './offload.js';
import { Flag, SLOTS, Vector } from './vector.js';

/** Times that a packet may be looked up, or pass a BVI or loopback. */
const MAX_HOPS = 16;

const passedBy = [Node.ethernetInput, Node.l2Input, Node.l2Output];

interface OutputQueue {
  readonly slots: Uint16Array;
  count: number;
}

/** Sees packets on their way in, out, or into the bin: a capture. */
export type Tap = (direction: 'rx' | 'tx' | 'drop', swIfIndex: number, vector: Vector, p: number) => void;

export class Plane {
  readonly vector = new Vector();
  readonly graph = new Graph(this.vector);
  readonly interfaces = new Interfaces();
  readonly burst: number;
  readonly now: () => number;
  events: ForwarderEvents = {};
  tap: Tap | undefined;
  /** Called before and after the graph runs over a burst, for traces. */
  traced: (port: Port) => void = () => undefined;
  untraced: () => void = () => undefined;
  bursts = 0;
  packets = 0;
  /** Told after a burst of what must not be done inside one. */
  readonly #after: (() => void)[] = [];
  readonly #outputs = new Map<number, OutputQueue>();
  readonly #dirty: number[] = [];
  #running = false;
  readonly #errors: {
    down: number;
    noPort: number;
    full: number;
    noBuffer: number;
    loop: number;
  };

  constructor(options: ForwarderOptions = {}) {
    this.burst = options.burst ?? 256;
    this.now = options.now ?? ((): number => performance.now());
    const { graph } = this;
    this.#errors = {
      down: graph.error('interface-output', 'down', 'interface is down'),
      noPort: graph.error('interface-output', 'deleted', 'interface is deleted'),
      full: graph.error('interface-output', 'no_free_slots', 'no free tx slots'),
      noBuffer: graph.error('error-drop', 'no_buffer', 'no buffer to make the packet in'),
      loop: graph.error('ip4-lookup', 'loop', 'looked up too often'),
    };
    graph.define(Node.interfaceOutput, (queue, count) => this.#output(queue, count));
    graph.define(Node.drop, (queue, count) => this.#drop(queue, count));
    graph.define(Node.punt, (queue, count) => this.#punt(queue, count));
  }

  /** Takes packets from a port and sees them through the graph. Returns how many. */
  dispatch(port: Port): number {
    const { vector, graph, interfaces } = this;
    if (this.#running) return 0;
    const count = port.take(vector, this.burst);
    if (count === 0) {
      port.done();
      return 0;
    }
    this.#running = true;
    try {
      this.bursts++;
      this.packets += count;
      const index = port.swIfIndex;
      const row = index * INTERFACE_COUNTERS;
      const { length } = vector;
      let total = 0;
      for (let p = 0; p < count; p++) total += length[p]!;
      interfaces.counters[row + InterfaceCounter.rxPackets]! += count;
      interfaces.counters[row + InterfaceCounter.rxBytes]! += total;
      this.traced(port);
      if (!this.#crossConnect(port, count, total)) {
        const queue = graph.queues[Node.ethernetInput]!;
        for (let p = 0; p < count; p++) queue[p] = p;
        graph.counts[Node.ethernetInput] = count;
      }
      if (this.tap !== undefined) for (let p = 0; p < count; p++) this.tap('rx', index, vector, p);
      graph.run();
      this.#send();
    } finally {
      if (graph.tracer !== undefined) this.untraced();
      port.done();
      this.#running = false;
    }
    this.#afterwards();
    return count;
  }

  /**
   * A burst of a port that is cross-connected, with nothing to be looked at on the way, goes straight to the output, as
   * VPP's ethernet-input does with a burst of one kind. The nodes that it passes by are counted.
   */
  #crossConnect(port: Port, count: number, bytes: number): boolean {
    const { vector, graph, interfaces } = this;
    const index = port.swIfIndex;
    if (interfaces.mode[index] !== Mode.crossConnect || graph.tracer !== undefined) return false;
    const to = interfaces.crossTo[index]!;
    const looked = Feature.tagIn | Feature.aclIn | Feature.hasSubs | Feature.ip;
    if ((interfaces.features[index]! & looked) !== 0 || interfaces.up[index] === 0) return false;
    if ((interfaces.features[to]! & (Feature.tagOut | Feature.aclOut)) !== 0) return false;
    const { length } = vector;
    const queue = graph.queues[Node.interfaceOutput]!;
    let short = 0;
    for (let p = 0; p < count; p++) {
      if (length[p]! < 14) short++;
      queue[p] = p;
    }
    // They are dropped, and counted, where all are.
    if (short > 0) return false;
    const other = interfaces.state[to]?.port;
    const whole = interfaces.up[to] === 1 && this.tap === undefined && vector.scratchAt === 0;
    const exchanged = whole && other !== undefined ? port.exchange?.(other) : undefined;
    if (exchanged === undefined) {
      vector.tx.fill(to, 0, count);
      graph.counts[Node.interfaceOutput] = count;
    } else {
      const row = to * INTERFACE_COUNTERS;
      interfaces.counters[row + InterfaceCounter.txPackets]! += count;
      interfaces.counters[row + InterfaceCounter.txBytes]! += bytes;
      if (exchanged < count) {
        interfaces.count(to, 'txError', count - exchanged);
        graph.errorCounts[this.#errors.full]! += count - exchanged;
      }
      graph.calls[Node.interfaceOutput]!++;
      graph.vectors[Node.interfaceOutput]! += count;
    }
    for (const node of passedBy) {
      graph.calls[node]!++;
      graph.vectors[node]! += count;
    }
    return true;
  }

  /** Runs the graph over what `make` puts into it. Inside a burst it becomes part of that. */
  generate(make: () => void): void {
    if (this.#running) {
      make();
      return;
    }
    this.#running = true;
    try {
      this.vector.reset([this.vector.scratch]);
      make();
      this.graph.run();
      this.#send();
    } finally {
      this.#running = false;
    }
    this.#afterwards();
  }

  /** Does something when the burst is over; at once when there is none. */
  later(task: () => void): void {
    if (!this.#running) task();
    else this.#after.push(task);
  }

  #afterwards(): void {
    while (this.#after.length > 0) this.#after.shift()!();
  }

  /** A new packet of `length` bytes in scratch, written by the caller; -1 when there is no room. */
  make(length: number, rx: number): number {
    const { vector } = this;
    const at = vector.allocate(length + 64);
    const p = at < 0 ? -1 : vector.add(0, at + 32, length, rx);
    if (p < 0) this.graph.errorCounts[this.#errors.noBuffer]!++;
    return p;
  }

  /** Sends a whole frame, made here, out of an interface. */
  sendFrame(p: number, swIfIndex: number): void {
    const { vector } = this;
    vector.tx[p] = swIfIndex;
    vector.flags[p] = vector.flags[p]! | Flag.local;
    this.graph.enqueue(Node.interfaceOutput, p);
  }

  /** Counts a visit to a node that can be come back to; false when it was one too many, and the packet is dropped. */
  hop(p: number): boolean {
    const { hops } = this.vector;
    if (hops[p]! >= MAX_HOPS) {
      this.graph.drop(p, this.#errors.loop);
      return false;
    }
    hops[p]!++;
    return true;
  }

  noBuffer(p: number): void {
    this.graph.drop(p, this.#errors.noBuffer);
  }

  #output(queue: Uint16Array, count: number): void {
    const { vector, interfaces, graph } = this;
    const { tx, length, headLength, skip, flags } = vector;
    const { counters, up, hardware, state } = interfaces;
    let last = NO_INTERFACE;
    let output: OutputQueue | undefined;
    let port: Port | undefined;
    let row = 0;
    let packets = 0;
    let bytes = 0;
    const settle = (): void => {
      if (packets === 0) return;
      counters[row + InterfaceCounter.txPackets]! += packets;
      counters[row + InterfaceCounter.txBytes]! += bytes;
      // What a sub-interface sends its parent sends too.
      const parent = hardware[last]!;
      if (parent !== last) {
        counters[parent * INTERFACE_COUNTERS + InterfaceCounter.txPackets]! += packets;
        counters[parent * INTERFACE_COUNTERS + InterfaceCounter.txBytes]! += bytes;
      }
      packets = bytes = 0;
    };
    let isUp = false;
    let offload = false;
    for (let i = 0; i < count; i++) {
      const p = queue[i]!;
      const index = tx[p]!;
      if (index !== last) {
        settle();
        last = index;
        row = index * INTERFACE_COUNTERS;
        const known = state[index] !== undefined;
        isUp = known && up[index] === 1;
        port = known ? state[hardware[index]!]?.port : undefined;
        offload = port?.offload === true;
        output = port === undefined ? undefined : this.#outputOf(hardware[index]!);
      }
      if (!isUp) {
        if (state[index] !== undefined) interfaces.count(index, 'txError');
        graph.drop(p, state[index] === undefined ? this.#errors.noPort : this.#errors.down);
        continue;
      }
      packets++;
      bytes += headLength[p]! + length[p]! - skip[p]!;
      if (this.tap !== undefined) this.tap('tx', index, vector, p);
      if (output === undefined) {
        this.#loop(p, index);
        continue;
      }
      if ((flags[p]! & Flag.offload) !== 0 && !offload) {
        segment(this, p, (piece) => this.#append(output!, piece));
        continue;
      }
      if (output.count === SLOTS) {
        interfaces.count(index, 'txError');
        continue;
      }
      output.slots[output.count++] = p;
    }
    settle();
  }

  #append(output: OutputQueue, p: number): void {
    if (output.count < SLOTS) output.slots[output.count++] = p;
  }

  #outputOf(hardware: number): OutputQueue {
    let output = this.#outputs.get(hardware);
    if (output === undefined) this.#outputs.set(hardware, (output = { slots: new Uint16Array(SLOTS), count: 0 }));
    if (output.count === 0 && !this.#dirty.includes(hardware)) this.#dirty.push(hardware);
    return output;
  }

  /** What a loopback sends comes back: to its bridge domain when it is a BVI, else to itself. */
  #loop(p: number, index: number): void {
    const { vector, interfaces, graph } = this;
    if (!this.hop(p)) return;
    if (!vector.flatten(p, 32)) {
      this.noBuffer(p);
      return;
    }
    vector.rx[p] = index;
    vector.flags[p] = vector.flags[p]! & ~Flag.local;
    interfaces.count(index, 'rxPackets');
    interfaces.count(index, 'rxBytes', vector.length[p]);
    if (interfaces.mode[index] === Mode.bridged) {
      vector.flags[p] = vector.flags[p] | Flag.fromBvi;
      const { scratch } = vector;
      const at = vector.offset[p]!;
      vector.etherType[p] = (scratch[at + 12]! << 8) | scratch[at + 13]!;
      vector.l3[p] = at + 14;
      graph.enqueue(Node.l2Input, p);
    } else graph.enqueue(Node.ethernetInput, p);
  }

  #send(): void {
    const { vector, interfaces } = this;
    while (this.#dirty.length > 0) {
      const hardware = this.#dirty.pop()!;
      const output = this.#outputs.get(hardware)!;
      const { count } = output;
      output.count = 0;
      const port = interfaces.state[hardware]?.port;
      if (port === undefined || count === 0) continue;
      const sent = port.send(vector, output.slots, count);
      if (sent < count) {
        interfaces.count(hardware, 'txError', count - sent);
        this.graph.errorCounts[this.#errors.full]! += count - sent;
      }
      port.flush();
    }
  }

  #drop(queue: Uint16Array, count: number): void {
    const { vector, interfaces } = this;
    for (let i = 0; i < count; i++) {
      const p = queue[i]!;
      const rx = vector.rx[p]!;
      if (interfaces.has(rx)) {
        interfaces.count(rx, 'drops');
        if (this.tap !== undefined) this.tap('drop', rx, vector, p);
      }
    }
  }

  /** Nobody takes punted packets: they are counted, and dropped. */
  #punt(queue: Uint16Array, count: number): void {
    for (let i = 0; i < count; i++) {
      const rx = this.vector.rx[queue[i]!]!;
      if (this.interfaces.has(rx)) this.interfaces.count(rx, 'punt');
    }
    this.#drop(queue, count);
  }
}
