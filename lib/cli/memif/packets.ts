// The packets that `node-vpp memif send` and the demo send: given in hexadecimal, read from a capture, or generated.

import { createReadStream } from 'node:fs';
import { ArgumentRangeError } from '../../errors.js';
import type { MemifMode } from '../../memif/index.js';
import {
  ETHERNET_LENGTH,
  EtherType,
  type FrameAddresses,
  LinkType,
  emitEthernet,
  icmpEchoFrame,
  readPcapng,
  udpFrame,
} from '../../net/index.js';

/** Most packets and bytes of a capture that are kept in memory. */
const maxPackets = 1_000_000;
const maxBytes = 256 * 2 ** 20;

/** What a capture held. */
export interface Replay {
  readonly packets: readonly Uint8Array[];
  /** Packets left out: cut off, of another link type, too long, or more than are kept. */
  readonly skipped: number;
}

/**
 * Reads the packets of a pcapng file, as frames for the given mode: bare IP packets get an Ethernet header where one is
 * needed, and lose it where none is wanted.
 */
export async function readReplay(
  path: string,
  mode: MemifMode,
  link: { sourceMac: string; destinationMac: string },
  maxLength = 65535,
): Promise<Replay> {
  const packets: Uint8Array[] = [];
  let skipped = 0;
  let kept = 0;
  for await (const record of readPcapng(createReadStream(path))) {
    if (record.type !== 'packet') continue;
    const packet = fit(record.bytes, record.linkType, mode, link);
    if (
      packet === undefined ||
      packet.length === 0 ||
      packet.length > maxLength ||
      record.originalLength > record.bytes.length ||
      packets.length === maxPackets ||
      kept + packet.length > maxBytes
    ) {
      skipped++;
    } else {
      packets.push(packet);
      kept += packet.length;
    }
  }
  if (packets.length === 0) {
    throw new ArgumentRangeError(
      `replaying ${path}: no packet in it can be sent in mode ${mode} (${skipped} are cut off, too long, or of another ` +
        'link type); give a capture with whole packets',
    );
  }
  return { packets, skipped };
}

function fit(
  bytes: Uint8Array,
  linkType: number,
  mode: MemifMode,
  link: { sourceMac: string; destinationMac: string },
): Uint8Array | undefined {
  if (linkType === LinkType.ETHERNET) {
    if (mode === 'ethernet') return bytes;
    const etherType = bytes.length < ETHERNET_LENGTH ? 0 : (bytes[12]! << 8) | bytes[13]!;
    return etherType === EtherType.IPV4 || etherType === EtherType.IPV6 ? bytes.subarray(ETHERNET_LENGTH) : undefined;
  }
  if (linkType !== LinkType.RAW) return undefined;
  if (mode === 'ip') return bytes;
  const frame = new Uint8Array(ETHERNET_LENGTH + bytes.length);
  emitEthernet(frame, 0, {
    destination: link.destinationMac,
    source: link.sourceMac,
    etherType: bytes[0]! >> 4 === 6 ? EtherType.IPV6 : EtherType.IPV4,
  });
  frame.set(bytes, ETHERNET_LENGTH);
  return frame;
}

/** A generated packet's shape. */
export interface Shape extends FrameAddresses {
  /** Bytes of the whole frame, Ethernet header included; at least what the headers need. */
  size: number;
  /** Whether the payload begins with a number, 0 at first; see `putNumber`. */
  numbered?: boolean;
}

/** Bytes in front of the payload of UDP and of a ping. */
const headerLength = (source: string): number => ETHERNET_LENGTH + (source.includes(':') ? 40 : 20) + 8;

/** Letters, so that a payload is recognized in any dump. */
function payload({ size, source, numbered = false }: Shape): Uint8Array {
  const bytes = Uint8Array.from({ length: Math.max(0, size - headerLength(source)) }, (_, i) => 0x61 + (i % 26));
  if (numbered) putNumber(bytes, 0, 0);
  return bytes;
}

/** Bytes of the shortest numbered frame from an address. */
export const shortestNumbered = (source: string): number => headerLength(source) + 8;

/** Where the number of a numbered frame is, in the given mode. */
export const numberAt = (source: string, mode: MemifMode): number =>
  headerLength(source) - (mode === 'ip' ? ETHERNET_LENGTH : 0);

/** Writes a number of 32 bits and its complement: whatever it is, every checksum over both stays the same. */
export function putNumber(bytes: Uint8Array, at: number, value: number): void {
  const complement = ~value;
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
  bytes[at + 4] = complement >>> 24;
  bytes[at + 5] = complement >>> 16;
  bytes[at + 6] = complement >>> 8;
  bytes[at + 7] = complement;
}

/** The number at a place; -1 when its complement does not stand beside it. */
export function readNumber(bytes: Uint8Array, at: number): number {
  const value = (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
  const other = (bytes[at + 4]! << 24) | (bytes[at + 5]! << 16) | (bytes[at + 6]! << 8) | bytes[at + 7]!;
  return value === ~other ? value >>> 0 : -1;
}

/** UDP datagrams of several flows, told apart by their source port; one per flow. */
export function udpFlows(shape: Shape, flows: number, sourcePort: number, destinationPort: number): Uint8Array[] {
  const data = payload(shape);
  return Array.from({ length: flows }, (_, i) =>
    udpFrame({ ...shape, sourcePort: (sourcePort + i) & 0xffff, destinationPort, payload: data }),
  );
}

/** One ping. */
export function ping(shape: Shape, identifier: number, sequence: number): Uint8Array {
  return icmpEchoFrame({ ...shape, identifier, sequence, payload: payload(shape) });
}

/** A frame as the interface's mode wants it: without its Ethernet header in mode `ip`. */
export const forMode = (frame: Uint8Array, mode: MemifMode): Uint8Array =>
  mode === 'ip' ? frame.subarray(ETHERNET_LENGTH) : frame;
