// Fragments that end here are put together, within limits; what is only forwarded stays in pieces.
//
// A packet has as many pieces, and so much time, as VPP's reassembly gives it; pieces that overlap drop the packet
// (RFC 5722, and VPP for both families).

import { checksumAdd, checksumFinish } from '../../net/index.js';
import { Node } from './graph.js';
import type { Plane } from './plane.js';

const MAX_PACKETS = 1024;
const MAX_PIECES = 64;
const TIME_MS = 200;

interface Partial {
  readonly head: Uint8Array;
  pieces: { from: number; bytes: Uint8Array }[];
  total: number;
  have: number;
  readonly sinceMs: number;
}

export class Reassembly {
  readonly #plane: Plane;
  readonly #partials = new Map<string, Partial>();
  readonly #errors: { overlap: number; full: number; timeout: number };

  constructor(plane: Plane) {
    this.#plane = plane;
    const { graph } = plane;
    const node = 'ip4-local-full-reassembly';
    this.#errors = {
      overlap: graph.error(node, 'reass_fragments_overlap', 'overlapping or bad fragments'),
      full: graph.error(node, 'reass_limit_reached', 'drops due to concurrent reassemblies limit'),
      timeout: graph.error(node, 'reass_timeout', 'fragments dropped due to reassembly timeout'),
    };
  }

  get size(): number {
    return this.#partials.size;
  }

  take4(p: number): void {
    const { vector, graph } = this.#plane;
    const at = vector.l3[p]!;
    const end = vector.offset[p]! + vector.length[p]!;
    const packet = vector.bytes.slice(at, end);
    const header = (packet[0]! & 15) * 4;
    const total = (packet[2]! << 8) | packet[3]!;
    if (header < 20 || total <= header || total > packet.length) {
      graph.drop(p, this.#errors.overlap);
      return;
    }
    const field = (packet[6]! << 8) | packet[7]!;
    const key = `4${vector.domain[p]!}/${String.fromCharCode(...packet.subarray(12, 20), packet[4]!, packet[5]!, packet[9]!)}`;
    const whole = this.#add(
      p,
      key,
      packet.slice(0, header),
      (field & 0x1fff) * 8,
      packet.slice(header, total),
      (field & 0x2000) !== 0,
    );
    if (whole === undefined) return;
    const { bytes } = vector;
    const to = vector.offset[whole]!;
    const length = vector.length[whole]!;
    bytes[to + 2] = length >>> 8;
    bytes[to + 3] = length;
    bytes[to + 6] = 0;
    bytes[to + 7] = 0;
    bytes[to + 10] = 0;
    bytes[to + 11] = 0;
    const sum = checksumFinish(checksumAdd(bytes, to, (bytes[to]! & 15) * 4, 0));
    bytes[to + 10] = sum >>> 8;
    bytes[to + 11] = sum;
    graph.enqueue(Node.ip4Local, whole);
  }

  /** `at` is where the fragment header is; what is before it stays in front. */
  take6(p: number, at: number): void {
    const { vector, graph } = this.#plane;
    const start = vector.l3[p]!;
    const bytes = vector.bytes;
    const end = Math.min(
      vector.offset[p]! + vector.length[p]!,
      start + 40 + ((bytes[start + 4]! << 8) | bytes[start + 5]!),
    );
    // Only directly behind the fixed header: that is where every stack puts it.
    if (at !== start + 40 || at + 8 >= end) {
      graph.drop(p, this.#errors.overlap);
      return;
    }
    const head = bytes.slice(start, start + 40);
    const fragment = bytes.slice(at, at + 8);
    const field = (fragment[2]! << 8) | fragment[3]!;
    head[6] = fragment[0]!;
    const key = `6${vector.domain[p]!}/${String.fromCharCode(...head.subarray(8, 40), ...fragment.subarray(4, 8))}`;
    const whole = this.#add(p, key, head, field & 0xfff8, bytes.slice(at + 8, end), (field & 1) !== 0);
    if (whole === undefined) return;
    const to = vector.offset[whole]!;
    const length = vector.length[whole]! - 40;
    vector.bytes[to + 4] = length >>> 8;
    vector.bytes[to + 5] = length;
    graph.enqueue(Node.ip6Local, whole);
  }

  #add(p: number, key: string, head: Uint8Array, from: number, bytes: Uint8Array, more: boolean): number | undefined {
    const { vector, graph } = this.#plane;
    let partial = this.#partials.get(key);
    if (partial === undefined) {
      if (this.#partials.size >= MAX_PACKETS) this.tick();
      if (this.#partials.size >= MAX_PACKETS) {
        graph.drop(p, this.#errors.full);
        return undefined;
      }
      partial = { head, pieces: [], total: -1, have: 0, sinceMs: this.#plane.now() };
      this.#partials.set(key, partial);
    }
    const end = from + bytes.length;
    const bad =
      end + head.length > 65_535 ||
      (more && (bytes.length & 7) !== 0) ||
      partial.pieces.length >= MAX_PIECES ||
      (partial.total >= 0 && end > partial.total) ||
      partial.pieces.some((piece) => from < piece.from + piece.bytes.length && piece.from < end);
    if (bad) {
      this.#partials.delete(key);
      graph.drop(p, this.#errors.overlap);
      return undefined;
    }
    partial.pieces.push({ from, bytes });
    partial.have += bytes.length;
    if (!more) partial.total = end;
    if (partial.have !== partial.total) return undefined;
    this.#partials.delete(key);
    const first = partial.pieces.find((piece) => piece.from === 0);
    const front = first === partial.pieces.at(-1) ? head : partial.head;
    const q = this.#plane.make(front.length + partial.total, vector.rx[p]!);
    if (q < 0) {
      this.#plane.noBuffer(p);
      return undefined;
    }
    const to = vector.offset[q]!;
    vector.bytes.set(front, to);
    for (const piece of partial.pieces) vector.bytes.set(piece.bytes, to + front.length + piece.from);
    vector.l3[q] = to;
    vector.domain[q] = vector.domain[p]!;
    vector.hops[q] = vector.hops[p]!;
    return q;
  }

  /** Forgets what has waited too long. */
  tick(): void {
    const now = this.#plane.now();
    for (const [key, partial] of this.#partials) {
      if (now - partial.sinceMs <= TIME_MS) continue;
      this.#partials.delete(key);
      this.#plane.graph.errorCounts[this.#errors.timeout]! += partial.pieces.length;
    }
  }
}
