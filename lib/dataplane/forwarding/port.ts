// A port: where packets come from and go to. Memif, TAP and AF_PACKET have one each; a loopback has none.
//
//   received(port)   the port calls this when it has packets; it is answered by `take` until that gives nothing
//   take(vector)     copies up to `max` packets into the vector
//   send(slots)      puts packets of a vector on the wire: head, then the rest of the frame; returns how many went
//   flush()          the end of a burst: whoever sleeps at the other end is woken

import type { PortRxMode } from './control.js';
import type { Vector } from './vector.js';

/** What a port tells its owner. */
export interface PortEvents {
  /** There are packets: run the graph. Returns how many were taken. */
  received(port: Port): number;
  link(port: Port, up: boolean): void;
  failed(port: Port, error: Error): void;
}

export interface Port {
  readonly swIfIndex: number;
  /** The node of VPP that packets of such a port enter at: `memif-input`. */
  readonly inputNode: string;
  readonly linkUp: boolean;
  /** Whether segments of 64 KiB and unfinished checksums may be sent. */
  readonly offload: boolean;
  /** Whether the frames start with an IP header. */
  readonly ip: boolean;
  start(): void;
  stop(): void;
  setRxMode(mode: PortRxMode): void;
  setRef(ref: boolean): void;
  take(vector: Vector, max: number): number;
  send(vector: Vector, slots: Uint16Array, count: number): number;
  flush(): void;
  /**
   * Instead of `take` and `send`: moves up to `max` packets of at least `shortest` bytes straight to another port, where
   * that is of a kind that can; undefined where it is not. What finds no room is lost.
   */
  relay?(to: Port, max: number, shortest: number): { taken: number; bytes: number; sent: number } | undefined;
  setMtu?(mtu: number): void;
  setPromiscuous?(on: boolean): void;
  close(): Promise<void>;
}
