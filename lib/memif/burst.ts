// A burst: what `peek` found or `reserve` offers, as flat typed arrays that are used again for the next one.
//
//   segment i      bytes  memory[regions[i]][offsets[i] .. offsets[i] + lengths[i]]
//   packet         one segment, or several in a row: more[i] is 1 on all but its last
//
// Nothing is allocated per packet. A burst belongs to its queue and is valid until the next peek, reserve, release or
// commit on it, or until the interface goes down; what is to live longer must be copied.

/** Packets of one receive or transmit ring, in place. */
export class Burst {
  /** Segments in this burst: valid entries of the arrays below. */
  count = 0;
  /** Packets in this burst: `count`, unless some are chains. */
  packets = 0;
  /** First byte of each segment in its region. */
  readonly offsets: Uint32Array;
  /** Bytes of each segment. Transmitting: set to what was really written (at most what was offered). */
  readonly lengths: Uint32Array;
  /** Region of each segment. */
  readonly regions: Uint16Array;
  /** 1 when the packet goes on in the next segment. */
  readonly more: Uint8Array;
  /** The regions' bytes. */
  memory: readonly Uint8Array[] = [];
  /** The one region that all segments lie in; undefined when there are several. */
  bytes: Uint8Array | undefined = undefined;

  constructor(capacity: number) {
    this.offsets = new Uint32Array(capacity);
    this.lengths = new Uint32Array(capacity);
    this.regions = new Uint16Array(capacity);
    this.more = new Uint8Array(capacity);
  }

  /** A view of segment `i`: convenient, but an object per call. */
  segment(i: number): Uint8Array {
    const offset = this.offsets[i]!;
    return this.memory[this.regions[i]!]!.subarray(offset, offset + this.lengths[i]!);
  }

  /** A copy of the packet that starts at segment `i`, its chain joined. */
  copy(i: number): Uint8Array {
    let end = i;
    let length = this.lengths[i]!;
    while (this.more[end] === 1) length += this.lengths[++end]!;
    const packet = new Uint8Array(length);
    let at = 0;
    for (let s = i; s <= end; s++) {
      packet.set(this.segment(s), at);
      at += this.lengths[s]!;
    }
    return packet;
  }
}
