// What a kernel leaves to be done by whoever sends last: checksums that are only begun, and segments of up to 64 KiB.
//
// As in virtio_net_hdr: `csumStart` is where the L4 header starts, `csumOffset` where in it the checksum goes, and the
// field holds the sum of the pseudo header. A segment is cut into pieces of `gsoSize` payload bytes; each gets the
// headers, its own length, IP identification, sequence number, flags and checksums.

import { checksumAdd, checksumFinish } from '../../net/index.js';
import type { Plane } from './plane.js';
import { Flag } from './vector.js';

export const Gso = { none: 0, tcp4: 1, udp: 3, tcp6: 4, udpL4: 5 } as const;
const GSO_ECN = 0x80;

const get16 = (bytes: Uint8Array, at: number): number => (bytes[at]! << 8) | bytes[at + 1]!;
const put16 = (bytes: Uint8Array, at: number, value: number): void => {
  bytes[at] = value >>> 8;
  bytes[at + 1] = value;
};

/** Finishes the checksum of a frame in bytes. */
function finishChecksum(bytes: Uint8Array, start: number, offset: number, end: number): void {
  const field = start + offset;
  if (field + 2 > end || start >= end) return;
  const sum = checksumFinish(checksumAdd(bytes, start, end - start, 0));
  // 0 means none in UDP.
  put16(bytes, field, sum === 0 && offset === 6 ? 0xffff : sum);
}

/** Where the IP packet in a frame ends: Ethernet padding is not summed. */
function packetEnd(bytes: Uint8Array, l3: number, end: number): number {
  const version = bytes[l3]! >> 4;
  const length = version === 4 ? get16(bytes, l3 + 2) : version === 6 ? 40 + get16(bytes, l3 + 4) : end - l3;
  return length > 0 && l3 + length <= end ? l3 + length : end;
}

/**
 * Makes of a packet that needs its last hand the frames that anybody understands, in bytes, and gives each to `emit`.
 * Returns how many there were; 0 when it makes no sense, and it is dropped.
 */
export function segment(plane: Plane, p: number, emit: (p: number) => void): number {
  const { vector } = plane;
  if (!vector.flatten(p)) {
    plane.noBuffer(p);
    return 0;
  }
  const { bytes } = vector;
  const offset = vector.offset[p]!;
  const end = offset + vector.length[p]!;
  const l3 = vector.l3[p]!;
  const l4 = offset + vector.csumStart[p]!;
  const type = vector.gsoType[p]! & ~GSO_ECN;
  const size = vector.gsoSize[p]!;
  vector.flags[p] = vector.flags[p]! & ~Flag.offload;
  if (type === Gso.none || size === 0) {
    finishChecksum(bytes, l4, vector.csumOffset[p]!, packetEnd(bytes, l3, end));
    emit(p);
    return 1;
  }
  const tcp = type === Gso.tcp4 || type === Gso.tcp6;
  const headers = l4 - offset + (tcp ? (bytes[l4 + 12]! >> 4) * 4 : 8);
  if (l4 <= l3 || l4 + (tcp ? 20 : 8) > end || offset + headers > end || (tcp && headers < l4 - offset + 20)) {
    plane.noBuffer(p);
    return 0;
  }
  const four = bytes[l3]! >> 4 === 4;
  const payload = end - offset - headers;
  const pieces = Math.max(1, Math.ceil(payload / size));
  const identification = four ? get16(bytes, l3 + 4) : 0;
  const sequence = ((bytes[l4 + 4]! << 24) | (bytes[l4 + 5]! << 16) | get16(bytes, l4 + 6)) >>> 0;
  const flags = bytes[l4 + 13]!;
  const l3At = l3 - offset;
  const l4At = l4 - offset;
  for (let i = 0; i < pieces; i++) {
    const from = i * size;
    const part = Math.min(size, payload - from);
    const q = plane.make(headers + part, vector.rx[p]!);
    if (q < 0) return i;
    const at = vector.offset[q]!;
    bytes.copyWithin(at, offset, offset + headers);
    bytes.copyWithin(at + headers, offset + headers + from, offset + headers + from + part);
    const stop = at + headers + part;
    vector.tx[q] = vector.tx[p]!;
    vector.l3[q] = at + l3At;
    const ip = at + l3At;
    const transport = at + l4At;
    if (four) {
      put16(bytes, ip + 2, stop - ip);
      put16(bytes, ip + 4, identification + i);
      put16(bytes, ip + 10, 0);
      put16(bytes, ip + 10, checksumFinish(checksumAdd(bytes, ip, transport - ip, 0)));
    } else put16(bytes, ip + 4, stop - ip - 40);
    if (tcp) {
      const s = (sequence + from) >>> 0;
      put16(bytes, transport + 4, s >>> 16);
      put16(bytes, transport + 6, s & 0xffff);
      // FIN and PSH only on the last, CWR only on the first.
      let f = flags;
      if (i < pieces - 1) f &= ~0x09;
      if (i > 0) f &= ~0x80;
      bytes[transport + 13] = f;
    } else put16(bytes, transport + 4, stop - transport);
    const field = transport + (tcp ? 16 : 6);
    // The pseudo header anew: its length is another.
    put16(bytes, field, 0);
    let sum = (tcp ? 6 : 17) + (stop - transport);
    sum = checksumAdd(bytes, four ? ip + 12 : ip + 8, four ? 8 : 32, (sum & 0xffff) + (sum >>> 16));
    const value = checksumFinish(checksumAdd(bytes, transport, stop - transport, sum));
    put16(bytes, field, value === 0 && !tcp ? 0xffff : value);
    emit(q);
  }
  return pieces;
}
