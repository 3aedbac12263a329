// Writes pcapng block by block: every method gives the bytes of one block, for any stream or file.
//
//   writer.section(…)  writer.interface(…) → id 0, 1, …   writer.packet(…) …   writer.statistics(…)
//
// Times are nanoseconds (if_tsresol 9). A new section starts the numbering of interfaces again.

import { ArgumentRangeError } from '../errors.js';
import { parseMac } from './mac.js';
import {
  BYTE_ORDER_MAGIC,
  BlockType,
  type Direction,
  type InterfaceCounters,
  type InterfaceInfo,
  OptionCode,
  type SectionInfo,
} from './pcapng.js';

const encoder = new TextEncoder();
const NANOSECONDS = Uint8Array.of(9);

type Option = readonly [code: number, value: Uint8Array];

/** A packet to be written. */
export interface PacketToWrite {
  /** What `interfaceId` was after the description of its interface. */
  interfaceId: number;
  /** Nanoseconds since 1970. */
  timestampNs: bigint;
  /** The array the packet lies in. */
  bytes: Uint8Array;
  /** Where it starts; default 0. */
  offset?: number;
  /** How many bytes of it are there; default the rest of the array. Cut to the interface's snap length. */
  length?: number;
  /** Length on the wire; default `length`. */
  originalLength?: number;
  direction?: Direction;
  dropCount?: bigint;
  comment?: string;
}

/**
 * Makes the blocks of a pcapng file.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { LinkType, PcapngReader, PcapngWriter, arpRequestFrame } from 'node-vpp/net';
 *
 * const frame = arpRequestFrame({ senderMac: '02:fe:00:00:00:01', senderIp: '10.0.0.1', targetIp: '10.0.0.2' });
 * const writer = new PcapngWriter();
 * const file = Buffer.concat([
 *   writer.section({ application: 'node-vpp' }),
 *   writer.interface({ name: 'memif0/0', linkType: LinkType.ETHERNET }),
 *   writer.packet({ interfaceId: 0, timestampNs: 1_700_000_000_123_456_789n, bytes: frame, direction: 'outbound' }),
 * ]);
 *
 * const [, , packet] = new PcapngReader().push(file);
 * assert.ok(packet?.type === 'packet');
 * assert.deepEqual([packet.timestampNs, packet.direction], [1_700_000_000_123_456_789n, 'outbound']);
 * ```
 */
export class PcapngWriter {
  readonly #little: boolean;
  #snapLengths: number[] = [];
  #inSection = false;

  /** @param options - `byteOrder`: default `little` */
  constructor(options: { byteOrder?: 'little' | 'big' } = {}) {
    this.#little = options.byteOrder !== 'big';
  }

  /** Number of interfaces described in this section: the id the next one will have. */
  get interfaceCount(): number {
    return this.#snapLengths.length;
  }

  /** A section header; the first block of a file, or the begin of another section. Its length is left open. */
  section(info: SectionInfo = {}): Uint8Array {
    this.#snapLengths = [];
    this.#inSection = true;
    const options = [
      ...textOption(OptionCode.COMMENT, info.comment),
      ...textOption(OptionCode.SHB_HARDWARE, info.hardware),
      ...textOption(OptionCode.SHB_OS, info.os),
      ...textOption(OptionCode.SHB_APPLICATION, info.application),
    ];
    const { view, block } = this.#block(BlockType.SECTION, 16, options);
    view.setUint32(8, BYTE_ORDER_MAGIC, this.#little);
    view.setUint16(12, 1, this.#little);
    view.setBigInt64(16, -1n, this.#little);
    return block;
  }

  /** An interface description; interfaces are numbered 0, 1, … within a section. */
  interface(info: InterfaceInfo): Uint8Array {
    this.#mustBeInSection('an interface');
    const { snapLength = 0, linkType } = info;
    const options: Option[] = [
      ...textOption(OptionCode.COMMENT, info.comment),
      ...textOption(OptionCode.IF_NAME, info.name),
      ...textOption(OptionCode.IF_DESCRIPTION, info.description),
      [OptionCode.IF_TSRESOL, NANOSECONDS],
    ];
    if (info.mac !== undefined) options.push([OptionCode.IF_MAC, parseMac(info.mac)]);
    if (info.speed !== undefined) options.push([OptionCode.IF_SPEED, this.#u64(info.speed)]);
    const { view, block } = this.#block(BlockType.INTERFACE, 8, options);
    view.setUint16(8, linkType, this.#little);
    view.setUint32(12, snapLength, this.#little);
    this.#snapLengths.push(snapLength);
    return block;
  }

  /** An enhanced packet block. */
  packet(packet: PacketToWrite): Uint8Array {
    const { interfaceId, timestampNs, bytes, offset = 0, direction, dropCount, comment } = packet;
    const snapLength = this.#snapLengthOf(interfaceId);
    const length = packet.length ?? bytes.length - offset;
    mustLieIn(bytes, offset, length);
    mustBeU64('a timestamp', timestampNs);
    const kept = snapLength > 0 ? Math.min(length, snapLength) : length;
    const options = [...textOption(OptionCode.COMMENT, comment)];
    if (direction !== undefined) {
      const flags = new DataView(new ArrayBuffer(4));
      flags.setUint32(0, direction === 'inbound' ? 1 : 2, this.#little);
      options.push([OptionCode.EPB_FLAGS, new Uint8Array(flags.buffer)]);
    }
    if (dropCount !== undefined) options.push([OptionCode.EPB_DROPCOUNT, this.#u64(dropCount)]);
    const { view, block } = this.#block(BlockType.ENHANCED_PACKET, 20 + padded(kept), options);
    view.setUint32(8, interfaceId, this.#little);
    view.setUint32(12, Number(timestampNs >> 32n), this.#little);
    view.setUint32(16, Number(timestampNs & 0xffff_ffffn), this.#little);
    view.setUint32(20, kept, this.#little);
    view.setUint32(24, packet.originalLength ?? length, this.#little);
    block.set(bytes.subarray(offset, offset + kept), 28);
    return block;
  }

  /** A simple packet block: of interface 0, without time and options. */
  simplePacket(bytes: Uint8Array, originalLength = bytes.length): Uint8Array {
    const snapLength = this.#snapLengthOf(0);
    // A reader takes the smaller of the original and the snap length as what was kept.
    const kept = Math.min(bytes.length, originalLength, snapLength > 0 ? snapLength : Infinity);
    if (kept !== Math.min(originalLength, snapLength > 0 ? snapLength : Infinity)) {
      throw new ArgumentRangeError(
        `writing a simple packet: ${bytes.length} of ${originalLength} bytes with snap length ${snapLength} cannot be ` +
          'told apart in this block; write an enhanced packet',
      );
    }
    const { view, block } = this.#block(BlockType.SIMPLE_PACKET, 4 + padded(kept), []);
    view.setUint32(8, originalLength, this.#little);
    block.set(bytes.subarray(0, kept), 12);
    return block;
  }

  /** An interface statistics block. */
  statistics(interfaceId: number, counters: InterfaceCounters): Uint8Array {
    this.#snapLengthOf(interfaceId);
    mustBeU64('a timestamp', counters.timestampNs);
    const options: Option[] = [...textOption(OptionCode.COMMENT, counters.comment)];
    const numbers: [number, bigint | undefined][] = [
      [OptionCode.ISB_IFRECV, counters.received],
      [OptionCode.ISB_IFDROP, counters.dropped],
      [OptionCode.ISB_FILTERACCEPT, counters.accepted],
      [OptionCode.ISB_OSDROP, counters.droppedByOs],
      [OptionCode.ISB_USRDELIV, counters.delivered],
    ];
    const times: [number, bigint | undefined][] = [
      [OptionCode.ISB_STARTTIME, counters.startTimeNs],
      [OptionCode.ISB_ENDTIME, counters.endTimeNs],
    ];
    for (const [code, value] of times) if (value !== undefined) options.push([code, this.#time(value)]);
    for (const [code, value] of numbers) if (value !== undefined) options.push([code, this.#u64(value)]);
    const { view, block } = this.#block(BlockType.INTERFACE_STATISTICS, 12, options);
    view.setUint32(8, interfaceId, this.#little);
    block.set(this.#time(counters.timestampNs), 12);
    return block;
  }

  #mustBeInSection(what: string): void {
    if (this.#inSection) return;
    throw new ArgumentRangeError(`writing ${what}: no section has begun; call section() first`);
  }

  #snapLengthOf(interfaceId: number): number {
    this.#mustBeInSection('a packet');
    const snapLength = this.#snapLengths[interfaceId];
    if (snapLength !== undefined) return snapLength;
    throw new ArgumentRangeError(
      `writing for interface ${interfaceId}: this section describes ${this.interfaceCount}; call interface() first`,
    );
  }

  #u64(value: bigint): Uint8Array {
    mustBeU64('a counter', value);
    const view = new DataView(new ArrayBuffer(8));
    view.setBigUint64(0, value, this.#little);
    return new Uint8Array(view.buffer);
  }

  /** A time: high half, then low half, each in the byte order of the section. */
  #time(value: bigint): Uint8Array {
    mustBeU64('a timestamp', value);
    const view = new DataView(new ArrayBuffer(8));
    view.setUint32(0, Number(value >> 32n), this.#little);
    view.setUint32(4, Number(value & 0xffff_ffffn), this.#little);
    return new Uint8Array(view.buffer);
  }

  /** A block of zeros with its type, lengths and options; the body is the caller's. */
  #block(type: number, bodyLength: number, options: readonly Option[]): { view: DataView; block: Uint8Array } {
    let optionsLength = options.length > 0 ? 4 : 0;
    for (const [, value] of options) optionsLength += 4 + padded(value.length);
    const total = 12 + bodyLength + optionsLength;
    const block = new Uint8Array(total);
    const view = new DataView(block.buffer);
    view.setUint32(0, type, this.#little);
    view.setUint32(4, total, this.#little);
    view.setUint32(total - 4, total, this.#little);
    let at = 8 + bodyLength;
    for (const [code, value] of options) {
      view.setUint16(at, code, this.#little);
      view.setUint16(at + 2, value.length, this.#little);
      block.set(value, at + 4);
      at += 4 + padded(value.length);
    }
    return { view, block };
  }
}

function padded(length: number): number {
  return (length + 3) & ~3;
}

function textOption(code: number, text: string | undefined): Option[] {
  if (text === undefined) return [];
  const value = encoder.encode(text);
  if (value.length > 0xffff) {
    throw new ArgumentRangeError(`writing an option of ${value.length} bytes of text: 65535 is the most; shorten it`);
  }
  return [[code, value]];
}

function mustBeU64(what: string, value: bigint): void {
  if (value >= 0n && value < 1n << 64n) return;
  throw new ArgumentRangeError(`writing ${what}: ${value.toString()} does not fit into 64 bits without sign`);
}

function mustLieIn(bytes: Uint8Array, offset: number, length: number): void {
  if (offset >= 0 && length >= 0 && offset + length <= bytes.length) return;
  throw new ArgumentRangeError(
    `writing a packet: ${length} bytes at offset ${offset} are not in ${bytes.length} bytes`,
  );
}
