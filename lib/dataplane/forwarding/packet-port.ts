// AF_PACKET with mapped rings (TPACKET_V3).
//
//   receive   block | block | …      the kernel fills one, sets its status to USER, and goes on to the next;
//                                    packets lie one behind the other in it: tpacket3_hdr, virtio_net_hdr, frame
//   send      frame | frame | …      tpacket3_hdr, virtio_net_hdr, frame; status SEND_REQUEST, then a kick
//
// Layouts: linux/if_packet.h, linux/virtio_net.h. Both ends are ours and the kernel's: nothing here is hostile.

import { formatMac } from '../../net/index.js';
import { type NativePacketPort, native } from '../../native.js';
import type { InterfaceStatus, PacketInterface } from './control.js';
import { KernelPort, NEEDS_CSUM, VIRTIO, headerLength, setOffload, systemError } from './kernel-port.js';
import type { PortEvents } from './port.js';
import { Flag, type Vector } from './vector.js';

// tpacket_block_desc and tpacket3_hdr, as words of 32 bits.
const BLOCK_STATUS = 2;
const BLOCK_PACKETS = 3;
const BLOCK_FIRST = 4;
const STATUS_USER = 1;
const STATUS_VLAN = 1 << 4;
const STATUS_VLAN_TPID = 1 << 6;
const TX_AVAILABLE = 0;
const TX_SEND_REQUEST = 1;
const HEADER_STATUS = 5;

export class PacketPort extends KernelPort {
  readonly inputNode = 'af-packet-input';
  readonly offload = true;
  readonly #native: NativePacketPort;
  readonly #hostName: string;
  readonly #blockWords: number;
  readonly #blocks: number;
  readonly #txWord: number;
  readonly #frameWords: number;
  readonly #frames: number;
  readonly #frameData: number;
  #bytes: Uint8Array;
  #words: Uint32Array;
  #signed: Int32Array;
  #regions: Uint8Array[] = [];
  #block = 0;
  /** Packets of the block taken already, and where the next one is. */
  #taken = 0;
  #next = 0;
  #finished = false;
  #frame = 0;
  #waiting = false;
  #closed = false;

  constructor(spec: PacketInterface, events: PortEvents) {
    super(spec.swIfIndex, spec.rxMode, events);
    this.#hostName = spec.hostName;
    try {
      this.#native = new (native().PacketPort)(
        { name: spec.hostName, ...(spec.hostNamespace === undefined ? {} : { namespace: spec.hostNamespace }) },
        () => {
          // A device that went down leaves an error that would wake us for ever.
          if (!this.linkUp) this.#native.takeError();
          this.onReadable();
        },
        this.onLink,
      );
    } catch (error) {
      throw systemError(error);
    }
    this.linkUp = this.#native.running;
    const { layout, memory } = this.#native;
    this.#bytes = new Uint8Array(memory);
    this.#words = new Uint32Array(memory);
    this.#signed = new Int32Array(memory);
    this.#blockWords = layout.blockSize / 4;
    this.#blocks = layout.blocks;
    this.#txWord = layout.txOffset / 4;
    this.#frameWords = layout.frameSize / 4;
    this.#frames = layout.frames;
    this.#frameData = layout.frameData;
  }

  get mtu(): number {
    return this.#native.mtu;
  }

  get status(): Partial<InterfaceStatus> {
    return { hostName: this.#hostName, hostMac: formatMac(this.#native.mac), gso: true };
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

  setPromiscuous(on: boolean): void {
    this.#native.setPromiscuous(on);
  }

  take(vector: Vector, max: number): number {
    if (this.#closed) return 0;
    if (this.#waiting) this.#kick();
    const words = this.#words;
    const bytes = this.#bytes;
    const start = this.#block * this.#blockWords;
    if ((Atomics.load(this.#signed, start + BLOCK_STATUS) & STATUS_USER) === 0) {
      this.#native.takeError();
      return 0;
    }
    if (this.#regions[0] !== vector.scratch) this.#regions = [vector.scratch, bytes];
    vector.reset(this.#regions);
    const packets = words[start + BLOCK_PACKETS]!;
    if (this.#taken === 0) this.#next = start * 4 + words[start + BLOCK_FIRST]!;
    let at = this.#next;
    let n = this.#taken;
    while (n < packets && vector.count < max) {
      const word = at >>> 2;
      const length = words[word + 3]!;
      const status = words[word + HEADER_STATUS]!;
      const mac = at + (words[word + 6]! & 0xffff);
      const p = vector.add(1, mac, length, this.swIfIndex);
      const header = mac - VIRTIO;
      const flags = bytes[header]!;
      if (flags !== 0) {
        const get16 = (from: number): number => bytes[from]! | (bytes[from + 1]! << 8);
        setOffload(vector, p, flags, bytes[header + 1]!, get16(header + 4), get16(header + 6), get16(header + 8));
      }
      if ((status & STATUS_VLAN) !== 0) this.#putTag(vector, p, words[word + 8]!, status, words[word + 9]!);
      at += words[word]!;
      n++;
    }
    this.#next = at;
    this.#taken = n;
    this.#finished = n === packets;
    if (packets === 0) this.done();
    return vector.count;
  }

  /** The kernel takes the outer tag out of the frame; here it comes back. */
  #putTag(vector: Vector, p: number, tci: number, status: number, tpid: number): void {
    const type = (status & STATUS_VLAN_TPID) !== 0 ? tpid & 0xffff : 0x8100;
    const room = vector.allocate(16);
    if (room < 0) return;
    const { scratch } = vector;
    const at = vector.offset[p]!;
    for (let i = 0; i < 12; i++) scratch[room + i] = this.#bytes[at + i]!;
    scratch[room + 12] = type >>> 8;
    scratch[room + 13] = type;
    scratch[room + 14] = tci >>> 8;
    scratch[room + 15] = tci;
    vector.headAt[p] = room;
    vector.headLength[p] = 16;
    vector.skip[p] = 12;
    vector.flatten(p);
  }

  done(): void {
    if (!this.#finished || this.#closed) return;
    this.#finished = false;
    this.#taken = 0;
    Atomics.store(this.#signed, this.#block * this.#blockWords + BLOCK_STATUS, 0);
    this.#block = (this.#block + 1) % this.#blocks;
  }

  send(vector: Vector, slots: Uint16Array, count: number): number {
    if (this.#closed || !this.linkUp) return 0;
    const bytes = this.#bytes;
    const words = this.#words;
    const room = this.#frameWords * 4 - this.#frameData - VIRTIO;
    for (let i = 0; i < count; i++) {
      const p = slots[i]!;
      const word = this.#txWord + this.#frame * this.#frameWords;
      if (Atomics.load(this.#signed, word + HEADER_STATUS) !== TX_AVAILABLE) {
        // Full: what is there goes first.
        this.#kick();
        if (Atomics.load(this.#signed, word + HEADER_STATUS) !== TX_AVAILABLE) return i;
      }
      const head = vector.headLength[p]!;
      const from = vector.offset[p]! + vector.skip[p]!;
      const rest = vector.length[p]! - vector.skip[p]!;
      if (head + rest > room) continue;
      const header = word * 4 + this.#frameData;
      bytes.fill(0, header, header + VIRTIO);
      if ((vector.flags[p]! & Flag.offload) !== 0) {
        const put16 = (at: number, value: number): void => {
          bytes[at] = value;
          bytes[at + 1] = value >>> 8;
        };
        bytes[header] = NEEDS_CSUM;
        bytes[header + 1] = vector.gsoType[p]!;
        put16(header + 2, headerLength(vector, p));
        put16(header + 4, vector.gsoSize[p]!);
        put16(header + 6, vector.csumStart[p]!);
        put16(header + 8, vector.csumOffset[p]!);
      }
      let to = header + VIRTIO;
      if (head > 0) {
        bytes.set(vector.scratch.subarray(vector.headAt[p], vector.headAt[p]! + head), to);
        to += head;
      }
      bytes.set(vector.memory[vector.region[p]!]!.subarray(from, from + rest), to);
      words[word] = 0;
      words[word + 3] = VIRTIO + head + rest;
      words[word + 4] = VIRTIO + head + rest;
      Atomics.store(this.#signed, word + HEADER_STATUS, TX_SEND_REQUEST);
      this.#frame = (this.#frame + 1) % this.#frames;
      this.#waiting = true;
    }
    return count;
  }

  #kick(): void {
    this.#waiting = !this.#native.kick();
  }

  flush(): void {
    if (this.#waiting && !this.#closed) this.#kick();
  }

  close(): Promise<void> {
    if (this.#closed) return Promise.resolve();
    this.stop();
    this.#closed = true;
    this.#regions = [];
    this.#bytes = new Uint8Array(0);
    this.#words = new Uint32Array(0);
    this.#signed = new Int32Array(0);
    this.#native.close();
    return new Promise((resolve) => setImmediate(resolve));
  }
}
