// What ports on the kernel have in common: waiting for frames in one of three ways, and virtio_net_hdr.

import { SystemError } from '../../errors.js';
import type { InterfaceStatus, PortRxMode } from './control.js';
import type { Port, PortEvents } from './port.js';
import { Flag, type Vector } from './vector.js';

/** virtio_net_hdr: its length, and the flag for a checksum that is only begun. */
export const VIRTIO = 10;
export const NEEDS_CSUM = 1;
/** How long `adaptive` looks before it sleeps. */
const SPIN_MS = 0.05;

/** What both have. */
export abstract class KernelPort implements Port {
  readonly swIfIndex: number;
  abstract readonly inputNode: string;
  abstract readonly offload: boolean;
  abstract readonly mtu: number;
  abstract readonly status: Partial<InterfaceStatus>;
  readonly ip = false;
  linkUp = false;
  protected readonly events: PortEvents;
  #started = false;
  #mode: PortRxMode;
  #immediate: NodeJS.Immediate | undefined;
  #ref = true;

  protected constructor(swIfIndex: number, mode: PortRxMode | undefined, events: PortEvents) {
    this.swIfIndex = swIfIndex;
    this.events = events;
    this.#mode = mode ?? 'interrupt';
  }

  protected abstract watch(on: boolean): void;
  protected abstract refNative(ref: boolean): void;
  abstract take(vector: Vector, max: number): number;
  abstract send(vector: Vector, slots: Uint16Array, count: number): number;
  abstract flush(): void;
  abstract close(): Promise<void>;

  protected readonly onLink = (up: boolean): void => {
    this.linkUp = up;
    this.events.link(this, up);
  };

  protected readonly onReadable = (): void => {
    if (!this.#started) return;
    this.#drain();
    if (this.#mode === 'adaptive') this.#spin();
  };

  /** Takes what is there, within reason: others want a turn too. */
  #drain(): number {
    let taken = 0;
    for (let burst = 0; burst < 8; burst++) {
      const count = this.events.received(this);
      taken += count;
      if (count === 0) break;
    }
    return taken;
  }

  #spin(): void {
    let since = performance.now();
    const started = since;
    while (this.#started && performance.now() - since < SPIN_MS && performance.now() - started < 0.5) {
      if (this.#drain() > 0) since = performance.now();
    }
  }

  start(): void {
    this.#started = true;
    this.#wait();
  }

  stop(): void {
    this.#started = false;
    clearImmediate(this.#immediate);
    this.#immediate = undefined;
    this.watch(false);
  }

  setRxMode(mode: PortRxMode): void {
    this.#mode = mode;
    if (this.#started) this.#wait();
  }

  #wait(): void {
    clearImmediate(this.#immediate);
    this.#immediate = undefined;
    this.watch(this.#mode !== 'polling');
    if (this.#mode === 'polling') this.#poll();
  }

  #poll(): void {
    this.#immediate = setImmediate(() => {
      if (!this.#started || this.#mode !== 'polling') return;
      this.#drain();
      this.#poll();
    });
    if (!this.#ref) this.#immediate.unref();
  }

  setRef(ref: boolean): void {
    this.#ref = ref;
    this.refNative(ref);
  }
}

/** What went wrong in C++, as the error that everybody knows. */
export function systemError(error: unknown): unknown {
  const { message, errno, syscall, errnoName, errnoText } = error as Error & {
    errno?: number;
    syscall?: string;
    errnoName?: string;
    errnoText?: string;
  };
  if (errno === undefined || syscall === undefined) return error;
  const hint = errno === 1 || errno === 13 ? '; CAP_NET_ADMIN and CAP_NET_RAW are needed' : '';
  return new SystemError(`${message}: ${syscall}: ${errnoText ?? ''} (${errnoName ?? errno})${hint}`, {
    errno,
    syscall,
  });
}

/** Puts what virtio_net_hdr says of a received packet into its slot. */
export function setOffload(
  vector: Vector,
  p: number,
  flags: number,
  type: number,
  size: number,
  start: number,
  offset: number,
): void {
  if ((flags & NEEDS_CSUM) === 0) return;
  vector.flags[p] = vector.flags[p]! | Flag.offload;
  vector.gsoType[p] = type;
  vector.gsoSize[p] = size;
  vector.csumStart[p] = start;
  vector.csumOffset[p] = offset;
}

/** Headers of a segment: to the end of L4's. */
export function headerLength(vector: Vector, p: number): number {
  const start = vector.csumStart[p]!;
  if (vector.csumOffset[p] !== 16) return start + 8;
  // In the head, or in the frame: the byte with TCP's data offset.
  const at = start + 12;
  const head = vector.headLength[p]!;
  const byte = vector.bytes[at < head ? vector.headAt[p]! + at : vector.offset[p]! + vector.skip[p]! + at - head]!;
  return start + (byte >> 4) * 4;
}
