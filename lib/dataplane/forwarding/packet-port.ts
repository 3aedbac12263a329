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
import { Flag, HEADROOM, SLOTS, type Vector } from './vector.js';

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
const EMIT_WORDS = 5;
/** Frames start here, behind a multiple of 32: the network header then lies at one. */
const ALIGNMENT = 32;

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
  /** Five words a packet for `emit`: what is copied from where to where. */
  readonly #table = new Uint32Array(SLOTS * EMIT_WORDS);
  #block = 0;
  /** Packets of the block taken already, and where the next one is. */
  #taken = 0;
  #next = 0;
  /** Packets of a burst whose tag is beside them, and the words that say so. */
  readonly #tagged: number[] = [];
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
    vector.reset();
    const table = this.#table;
    const packets = words[start + BLOCK_PACKETS]!;
    if (this.#taken === 0) this.#next = start * 4 + words[start + BLOCK_FIRST]!;
    let at = this.#next;
    let n = this.#taken;
    let to = HEADROOM;
    let tagged = 0;
    while (n < packets && vector.count < max) {
      const word = at >>> 2;
      const length = words[word + 3]!;
      if (to + length > vector.input.length) break;
      const mac = at + (words[word + 6]! & 0xffff);
      const p = vector.add(to, length, this.swIfIndex);
      const row = p * EMIT_WORDS;
      table[row] = table[row + 1] = 0;
      table[row + 2] = mac;
      table[row + 3] = length;
      table[row + 4] = to;
      to = (((to + length + ALIGNMENT - 1) & ~(ALIGNMENT - 1)) >>> 0) + HEADROOM;
      const header = mac - VIRTIO;
      const flags = bytes[header]!;
      if (flags !== 0) {
        const get16 = (from: number): number => bytes[from]! | (bytes[from + 1]! << 8);
        setOffload(vector, p, flags, bytes[header + 1]!, get16(header + 4), get16(header + 6), get16(header + 8));
      }
      if ((words[word + HEADER_STATUS]! & STATUS_VLAN) !== 0) {
        this.#tagged[tagged++] = p;
        this.#tagged[tagged++] = word;
      }
      at += words[word]!;
      n++;
    }
    vector.free = to;
    native().emit(vector.bytes, bytes, vector.bytes, table, vector.count);
    for (let i = 0; i < tagged; i += 2) this.#putTag(vector, this.#tagged[i]!, this.#tagged[i + 1]!);
    this.#next = at;
    this.#taken = n;
    if (n === packets) this.#giveBack();
    return vector.count;
  }

  /** The kernel takes the outer tag out of the frame; here it comes back. */
  #putTag(vector: Vector, p: number, word: number): void {
    const words = this.#words;
    const type = (words[word + HEADER_STATUS]! & STATUS_VLAN_TPID) !== 0 ? words[word + 9]! & 0xffff : 0x8100;
    const { bytes, view } = vector;
    const at = vector.offset[p]! - 4;
    bytes.copyWithin(at, at + 4, at + 16);
    view.setUint16(at + 12, type);
    view.setUint16(at + 14, words[word + 8]!);
    vector.offset[p] = at;
    vector.l3[p] = at;
    vector.length[p] = vector.length[p]! + 4;
    if ((vector.flags[p]! & Flag.offload) !== 0) vector.csumStart[p] = vector.csumStart[p]! + 4;
  }

  #giveBack(): void {
    this.#taken = 0;
    Atomics.store(this.#signed, this.#block * this.#blockWords + BLOCK_STATUS, 0);
    this.#block = (this.#block + 1) % this.#blocks;
  }

  send(vector: Vector, slots: Uint16Array, count: number): number {
    if (this.#closed || !this.linkUp) return 0;
    for (let i = 0; i < count;) {
      let next = this.#put(vector, slots, i, count);
      if (next === i) {
        // Full: what is there goes first.
        this.#kick();
        next = this.#put(vector, slots, i, count);
        if (next === i) return i;
      }
      i = next;
    }
    return count;
  }

  /** Fills frames of the ring as long as there are some. Returns the first packet for which there was none. */
  #put(vector: Vector, slots: Uint16Array, first: number, count: number): number {
    const bytes = this.#bytes;
    const words = this.#words;
    const table = this.#table;
    const room = this.#frameWords * 4 - this.#frameData - VIRTIO;
    let frames = 0;
    let i = first;
    for (; i < count && frames < this.#frames; i++) {
      const p = slots[i]!;
      const frame = (this.#frame + frames) % this.#frames;
      const word = this.#txWord + frame * this.#frameWords;
      if (Atomics.load(this.#signed, word + HEADER_STATUS) !== TX_AVAILABLE) break;
      const head = vector.headLength[p]!;
      const rest = vector.length[p]! - vector.skip[p]!;
      if (head + rest > room) continue;
      const header = word * 4 + this.#frameData;
      bytes.fill(0, header, header + VIRTIO);
      if ((vector.flags[p]! & Flag.offload) !== 0) this.#putOffload(vector, p, header);
      const row = frames * EMIT_WORDS;
      table[row] = vector.headAt[p]!;
      table[row + 1] = head;
      table[row + 2] = vector.offset[p]! + vector.skip[p]!;
      table[row + 3] = rest;
      table[row + 4] = header + VIRTIO;
      words[word] = 0;
      words[word + 3] = VIRTIO + head + rest;
      words[word + 4] = VIRTIO + head + rest;
      frames++;
    }
    native().emit(vector.bytes, vector.bytes, bytes, table, frames);
    for (let f = 0; f < frames; f++) {
      Atomics.store(this.#signed, this.#txWord + this.#frame * this.#frameWords + HEADER_STATUS, TX_SEND_REQUEST);
      this.#frame = (this.#frame + 1) % this.#frames;
    }
    if (frames > 0) this.#waiting = true;
    return i;
  }

  #putOffload(vector: Vector, p: number, header: number): void {
    const bytes = this.#bytes;
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
    this.#bytes = new Uint8Array(0);
    this.#words = new Uint32Array(0);
    this.#signed = new Int32Array(0);
    this.#native.close();
    return new Promise((resolve) => setImmediate(resolve));
  }
}
