// What all nodes share: the packets, the graph, the interfaces, and the way out.
//
//   dispatch(port)     takes a burst, runs the graph, hands every port what is to be sent
//   generate(make)     the same without a burst: for packets that time or the control plane makes
//
// Packets to be sent gather in a queue per port, and go when the graph has come to rest: one copy and one wake-up per
// port and burst.

import type { ForwarderEvents, ForwarderOptions } from './control.js';
import { INTERFACE_COUNTERS, InterfaceCounter } from './control.js';
import { Graph, Node } from './graph.js';
import { Feature, Interfaces, Mode } from './interfaces.js';
import type { Port } from './port.js';
import { segment } from './offload.js';
import { Flag, SLOTS, Vector } from './vector.js';

/** A frame that has an Ethernet header. */
const SHORTEST = 14;

/** Times that a packet may be looked up, or pass a BVI or loopback. */
const MAX_HOPS = 16;

const passedBy = [Node.ethernetInput, Node.l2Input, Node.l2Output, Node.interfaceOutput];

/** The numbers of all slots. */
const everySlot = Uint16Array.from({ length: SLOTS }, (_, p) => p);

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
  /** Whether traces are wanted; called before and after the graph runs over a burst, for them. */
  tracing: () => boolean = () => false;
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
    const { vector, graph } = this;
    if (this.#running) return 0;
    const relayed = this.#relay(port);
    if (relayed > 0) return relayed;
    const count = port.take(vector, this.burst);
    if (count === 0) return 0;
    this.#running = true;
    try {
      const index = port.swIfIndex;
      const { length } = vector;
      let total = 0;
      for (let p = 0; p < count; p++) total += length[p]!;
      this.#countReceived(index, count, total);
      this.traced(port);
      graph.queues[Node.ethernetInput]!.set(count === SLOTS ? everySlot : everySlot.subarray(0, count));
      graph.counts[Node.ethernetInput] = count;
      if (this.tap !== undefined) for (let p = 0; p < count; p++) this.tap('rx', index, vector, p);
      graph.run();
      this.#send();
    } finally {
      if (graph.tracer !== undefined) this.untraced();
      this.#running = false;
    }
    this.#afterwards();
    return count;
  }

  #countReceived(index: number, packets: number, bytes: number): void {
    const { counters } = this.interfaces;
    const row = index * INTERFACE_COUNTERS;
    this.bursts++;
    this.packets += packets;
    counters[row + InterfaceCounter.rxPackets]! += packets;
    counters[row + InterfaceCounter.rxBytes]! += bytes;
  }

  /**
   * A burst of a port that is cross-connected, with nothing to be looked at on the way, goes straight from port to port, as
   * VPP's ethernet-input does with a burst of one kind. The nodes that it passes by are counted.
   */
  #relay(port: Port): number {
    const { graph, interfaces } = this;
    const index = port.swIfIndex;
    if (interfaces.mode[index] !== Mode.crossConnect || port.relay === undefined) return 0;
    if (graph.tracer !== undefined || this.tap !== undefined || this.tracing()) return 0;
    const to = interfaces.crossTo[index]!;
    const looked = Feature.tagIn | Feature.aclIn | Feature.hasSubs | Feature.ip;
    if ((interfaces.features[index]! & looked) !== 0 || interfaces.up[index] === 0 || interfaces.up[to] === 0) return 0;
    if ((interfaces.features[to]! & (Feature.tagOut | Feature.aclOut)) !== 0) return 0;
    const other = interfaces.state[to]?.port;
    if (other === undefined) return 0;
    const moved = port.relay(other, this.burst, SHORTEST);
    if (moved === undefined || moved.taken === 0) return 0;
    const { taken, bytes, sent } = moved;
    this.#countReceived(index, taken, bytes);
    const row = to * INTERFACE_COUNTERS;
    interfaces.counters[row + InterfaceCounter.txPackets]! += taken;
    interfaces.counters[row + InterfaceCounter.txBytes]! += bytes;
    if (sent < taken) {
      interfaces.count(to, 'txError', taken - sent);
      graph.errorCounts[this.#errors.full]! += taken - sent;
    }
    for (const node of passedBy) {
      graph.calls[node]!++;
      graph.vectors[node]! += taken;
    }
    return taken;
  }

  /** Runs the graph over what `make` puts into it. Inside a burst it becomes part of that. */
  generate(make: () => void): void {
    if (this.#running) {
      make();
      return;
    }
    this.#running = true;
    try {
      this.vector.reset();
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

  /** A new packet of `length` bytes in bytes, written by the caller; -1 when there is no room. */
  make(length: number, rx: number): number {
    const { vector } = this;
    const at = vector.allocate(length + 64);
    const p = at < 0 ? -1 : vector.add(at + 32, length, rx);
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

  /** Makes a packet's frame its own, so that it can be written into; false when there was no room, and it is dropped. */
  own(p: number): boolean {
    if (this.vector.flatten(p)) return true;
    this.noBuffer(p);
    return false;
  }

  noBuffer(p: number): void {
    this.graph.drop(p, this.#errors.noBuffer);
  }

  #output(queue: Uint16Array, count: number): void {
    const { tx } = this.vector;
    // Packets of one interface come in a row.
    for (let from = 0; from < count;) {
      const index = tx[queue[from]!]!;
      let to = from + 1;
      while (to < count && tx[queue[to]!] === index) to++;
      this.#outputOf(index, queue, from, to);
      from = to;
    }
  }

  #outputOf(index: number, queue: Uint16Array, from: number, to: number): void {
    const { vector, interfaces, graph } = this;
    const { counters, hardware } = interfaces;
    const known = interfaces.state[index] !== undefined;
    if (!known || interfaces.up[index] !== 1) {
      if (known) interfaces.count(index, 'txError', to - from);
      for (let i = from; i < to; i++) graph.drop(queue[i]!, known ? this.#errors.down : this.#errors.noPort);
      return;
    }
    const { length, headLength, skip, flags } = vector;
    let bytes = 0;
    let special = this.tap === undefined ? 0 : Flag.offload;
    for (let i = from; i < to; i++) {
      const p = queue[i]!;
      bytes += headLength[p]! + length[p]! - skip[p]!;
      special |= flags[p]!;
    }
    const parent = hardware[index]!;
    counters[index * INTERFACE_COUNTERS + InterfaceCounter.txPackets]! += to - from;
    counters[index * INTERFACE_COUNTERS + InterfaceCounter.txBytes]! += bytes;
    // What a sub-interface sends its parent sends too.
    if (parent !== index) {
      counters[parent * INTERFACE_COUNTERS + InterfaceCounter.txPackets]! += to - from;
      counters[parent * INTERFACE_COUNTERS + InterfaceCounter.txBytes]! += bytes;
    }
    const port = interfaces.state[parent]?.port;
    if (this.tap !== undefined) for (let i = from; i < to; i++) this.tap('tx', index, vector, queue[i]!);
    if (port === undefined) {
      for (let i = from; i < to; i++) this.#loop(queue[i]!, index);
      return;
    }
    const output = this.#queueOf(parent);
    if ((special & Flag.offload) === 0 || port.offload) {
      const room = Math.min(to - from, SLOTS - output.count);
      output.slots.set(queue.subarray(from, from + room), output.count);
      output.count += room;
      if (room < to - from) interfaces.count(index, 'txError', to - from - room);
      return;
    }
    for (let i = from; i < to; i++) {
      const p = queue[i]!;
      if ((flags[p]! & Flag.offload) !== 0) segment(this, p, (piece) => this.#append(output, piece));
      else this.#append(output, p);
    }
  }

  #append(output: OutputQueue, p: number): void {
    if (output.count < SLOTS) output.slots[output.count++] = p;
  }

  #queueOf(hardware: number): OutputQueue {
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
      const at = vector.offset[p]!;
      vector.etherType[p] = vector.view.getUint16(at + 12);
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
