// A TAP: frames come and go one system call each, many in one call into C++; segments of up to 64 KiB where the kernel
// may send them.

import { formatMac } from '../../net/index.js';
import { type NativeTapOptions, type NativeTapPort, native } from '../../native.js';
import type { InterfaceStatus, TapInterface } from './control.js';
import { KernelPort, NEEDS_CSUM, headerLength, setOffload, systemError } from './kernel-port.js';
import type { PortEvents } from './port.js';
import { macBytes, prefixParts } from './values.js';
import { Flag, HEADROOM, SLOTS, type Vector } from './vector.js';

/** Words of a packet in the tables that C++ fills and reads: native/port/tap.h. */
const RECEIVED_WORDS = 8;
const SENT_WORDS = 8;

export class TapPort extends KernelPort {
  readonly inputNode = 'virtio-input';
  readonly offload: boolean;
  readonly #native: NativeTapPort;
  readonly #received = new Uint32Array(256 * RECEIVED_WORDS);
  readonly #sent = new Uint32Array(SLOTS * SENT_WORDS);
  #closed = false;

  constructor(spec: TapInterface, events: PortEvents) {
    super(spec.swIfIndex, spec.rxMode, events);
    const options: { -readonly [K in keyof NativeTapOptions]: NativeTapOptions[K] } = {};
    if (spec.hostName !== undefined) options.name = spec.hostName;
    if (spec.hostNamespace !== undefined) options.namespace = spec.hostNamespace;
    if (spec.hostMac !== undefined) options.mac = macBytes(spec.hostMac);
    if (spec.hostMtu !== undefined) options.mtu = spec.hostMtu;
    if (spec.hostIp4 !== undefined) options.ip4 = prefixParts(spec.hostIp4);
    if (spec.hostIp6 !== undefined) options.ip6 = prefixParts(spec.hostIp6);
    if (spec.hostIp4Gateway !== undefined) options.gateway4 = prefixParts({ address: spec.hostIp4Gateway, length: 32 });
    if (spec.hostIp6Gateway !== undefined)
      options.gateway6 = prefixParts({ address: spec.hostIp6Gateway, length: 128 });
    if (spec.hostBridge !== undefined) options.bridge = spec.hostBridge;
    if (spec.persist !== undefined) options.persist = spec.persist;
    if (spec.gso !== undefined) options.gso = spec.gso;
    try {
      this.#native = new (native().TapPort)(options, this.onReadable, this.onLink);
    } catch (error) {
      throw systemError(error);
    }
    this.offload = this.#native.gso;
    this.linkUp = this.#native.running;
  }

  get mtu(): number {
    return this.#native.mtu;
  }

  get status(): Partial<InterfaceStatus> {
    return { hostName: this.#native.name, hostMac: formatMac(this.#native.mac), gso: this.#native.gso };
  }

  protected watch(on: boolean): void {
    if (!this.#closed) this.#native.watch(on);
  }

  protected refNative(ref: boolean): void {
    if (!this.#closed) this.#native.setRef(ref);
  }

  setMtu(mtu: number): void {
    try {
      this.#native.setMtu(mtu);
    } catch (error) {
      throw systemError(error);
    }
  }

  take(vector: Vector, max: number): number {
    if (this.#closed) return 0;
    const table = this.#received;
    const count = this.#native.receive(vector.input, HEADROOM, table, max);
    if (count <= 0) {
      if (count < 0) {
        // The kernel's side was deleted; it will never be readable again, and always be ready.
        this.stop();
        this.onLink(false);
      }
      return 0;
    }
    vector.reset();
    for (let i = 0, w = 0; i < count; i++, w += RECEIVED_WORDS) {
      const p = vector.add(table[w]!, table[w + 1]!, this.swIfIndex);
      const flags = table[w + 2]!;
      setOffload(vector, p, flags & 255, flags >>> 8, table[w + 3]!, table[w + 4]!, table[w + 5]!);
    }
    const last = (count - 1) * RECEIVED_WORDS;
    vector.free = table[last]! + table[last + 1]!;
    return count;
  }

  send(vector: Vector, slots: Uint16Array, count: number): number {
    if (this.#closed || !this.linkUp) return 0;
    const table = this.#sent;
    const { headAt, headLength: heads, skip, offset, length, flags } = vector;
    for (let i = 0, w = 0; i < count; i++, w += SENT_WORDS) {
      const p = slots[i]!;
      table[w] = headAt[p]!;
      table[w + 1] = heads[p]!;
      table[w + 2] = offset[p]! + skip[p]!;
      table[w + 3] = length[p]! - skip[p]!;
      if ((flags[p]! & Flag.offload) !== 0) {
        table[w + 4] = NEEDS_CSUM | (vector.gsoType[p]! << 8);
        table[w + 5] = vector.gsoSize[p]! | (headerLength(vector, p) << 16);
        table[w + 6] = vector.csumStart[p]! | (vector.csumOffset[p]! << 16);
      } else table[w + 4] = table[w + 5] = table[w + 6] = 0;
    }
    return this.#native.send(vector.bytes, table, count);
  }

  flush(): void {
    // Every write has woken the kernel.
  }

  close(): Promise<void> {
    if (this.#closed) return Promise.resolve();
    this.stop();
    this.#closed = true;
    this.#native.close();
    return new Promise((resolve) => setImmediate(resolve));
  }
}
