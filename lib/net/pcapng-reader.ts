// Reads pcapng piece by piece: push chunks of any size, get the records that are complete.
//
//   push(chunk) ──▶ [ rest of a block | chunk ] ──▶ whole blocks are decoded, the begun one is kept
//
// Memory is bounded: one block of at most `maxBlockBytes`, one chunk, and at most `maxInterfaces` descriptions. Both
// byte orders, several sections; blocks of unknown types are stepped over and counted. What breaks the format is a
// NetError `ERR_NET_PCAPNG` with the offset in the stream and what was seen there; the reader is then done.

import { NetError } from '../errors.js';
import { NOTHING } from './bytes.js';
import { formatMac } from './mac.js';
import {
  BYTE_ORDER_MAGIC,
  BlockType,
  type InterfaceRecord,
  OptionCode,
  type PacketRecord,
  type PcapngRecord,
  type SectionRecord,
  type StatisticsRecord,
} from './pcapng.js';

/** Bounds of a reader. */
export interface PcapngReaderOptions {
  /** Largest block accepted; default 16 MiB. */
  maxBlockBytes?: number;
  /** Most interfaces in a section; default 65536. */
  maxInterfaces?: number;
}

type Options = Map<number, { at: number; length: number }>;

const decoder = new TextDecoder();

/**
 * Reads pcapng from chunks of bytes.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { PcapngReader, PcapngWriter } from 'node-vpp/net';
 *
 * const reader = new PcapngReader();
 * const header = new PcapngWriter().section({ os: 'Linux' });
 * assert.deepEqual(reader.push(header.subarray(0, 10)), []);
 * const [section] = reader.push(header.subarray(10));
 * assert.ok(section?.type === 'section');
 * assert.equal(section.os, 'Linux');
 * reader.end();
 * assert.throws(() => new PcapngReader().push(Uint8Array.from({ length: 28 }, () => 7)), { code: 'ERR_NET_PCAPNG' });
 * ```
 */
export class PcapngReader {
  /** Blocks of types that are not understood, stepped over so far. */
  skippedBlocks = 0;
  readonly #maxBlockBytes: number;
  readonly #maxInterfaces: number;
  /** Bytes of the begun block: #pending.subarray(0, #held). */
  #pending: Uint8Array = NOTHING;
  #held = 0;
  /** Offset in the stream of the first byte not decoded yet. */
  #position = 0;
  #little = true;
  #inSection = false;
  #failed = false;
  #interfaces: InterfaceRecord[] = [];
  #timeOffsets: bigint[] = [];

  constructor(options: PcapngReaderOptions = {}) {
    this.#maxBlockBytes = options.maxBlockBytes ?? 16 * 1024 * 1024;
    this.#maxInterfaces = options.maxInterfaces ?? 65_536;
  }

  /**
   * Takes the next bytes of the stream and gives the records they complete. The chunk may be reused afterwards.
   *
   * @throws NetError `ERR_NET_PCAPNG` when the bytes break the format. Records completed earlier in the same chunk are
   *   then lost; push smaller chunks to keep more.
   */
  push(chunk: Uint8Array): PcapngRecord[] {
    if (this.#failed) this.#refuse('the stream was already refused; make a new reader');
    const records: PcapngRecord[] = [];
    let at = 0;
    // First complete the begun block, by as many bytes as it needs and no more.
    while (this.#held > 0 && at < chunk.length) {
      const need = this.#held < 12 ? 12 : this.#blockLength(this.#pending, 0);
      const take = Math.min(need - this.#held, chunk.length - at);
      this.#keep(chunk, at, take, need);
      at += take;
      if (this.#held < 12) break;
      const length = this.#blockLength(this.#pending, 0);
      if (this.#held < length) continue;
      this.#held = 0;
      this.#decode(this.#pending, 0, length, records);
    }
    // Then whole blocks straight from the chunk.
    while (chunk.length - at >= 12) {
      const length = this.#blockLength(chunk, at);
      if (chunk.length - at < length) break;
      this.#decode(chunk, at, length, records);
      at += length;
    }
    if (at < chunk.length) this.#keep(chunk, at, chunk.length - at, chunk.length - at);
    return records;
  }

  /**
   * Says that the stream has ended.
   *
   * @throws NetError `ERR_NET_PCAPNG` when it ends within a block, or before a section began.
   */
  end(): void {
    if (this.#failed) return;
    if (this.#held > 0) this.#refuse(`the stream ends after ${this.#held} bytes of a block`);
    if (!this.#inSection) this.#refuse('the stream is empty');
  }

  /** Appends bytes to the begun block; room grows by doubling, never past what the block needs. */
  #keep(chunk: Uint8Array, at: number, length: number, need: number): void {
    const wanted = this.#held + length;
    if (wanted > this.#pending.length) {
      const grown = new Uint8Array(Math.max(wanted, Math.min(need, this.#pending.length * 2), 64));
      grown.set(this.#pending.subarray(0, this.#held));
      this.#pending = grown;
    }
    this.#pending.set(chunk.subarray(at, at + length), this.#held);
    this.#held = wanted;
  }

  #refuse(seen: string, at = this.#position): never {
    this.#failed = true;
    this.#pending = NOTHING;
    throw new NetError('ERR_NET_PCAPNG', `reading pcapng at offset ${at}: ${seen}`);
  }

  /** Total length of the block at a place of which 12 bytes are there; sets the byte order at a section header. */
  #blockLength(bytes: Uint8Array, at: number): number {
    const view = new DataView(bytes.buffer, bytes.byteOffset + at, 12);
    const type = view.getUint32(0, this.#little);
    if (type === BlockType.SECTION) {
      if (view.getUint32(8, true) === BYTE_ORDER_MAGIC) this.#little = true;
      else if (view.getUint32(8, false) === BYTE_ORDER_MAGIC) this.#little = false;
      else this.#refuse(`byte-order magic ${hex(view.getUint32(8))} instead of 0x1a2b3c4d`, this.#position + 8);
    } else if (!this.#inSection) {
      this.#refuse(`block type ${hex(type)} where a section header (0x0a0d0d0a) must be; is this pcapng?`);
    }
    const length = view.getUint32(4, this.#little);
    if (length < 12 || length % 4 !== 0) this.#refuse(`block length ${length}, which is not a multiple of 4 from 12`);
    if (length > this.#maxBlockBytes)
      this.#refuse(`block length ${length}, more than the ${this.#maxBlockBytes} allowed`);
    return length;
  }

  #decode(bytes: Uint8Array, at: number, length: number, records: PcapngRecord[]): void {
    const block = bytes.subarray(at, at + length);
    const view = new DataView(block.buffer, block.byteOffset, length);
    const again = view.getUint32(length - 4, this.#little);
    if (again !== length) {
      this.#refuse(`block length ${length} in front, ${again} behind`, this.#position + length - 4);
    }
    const type = view.getUint32(0, this.#little);
    if (type === BlockType.SECTION) records.push(this.#section(block, view));
    else if (type === BlockType.INTERFACE) records.push(this.#interface(block, view));
    else if (type === BlockType.ENHANCED_PACKET)
      records.push(this.#packet(block, view, 20, view.getUint32(this.#need(block, 28, 8), this.#little)));
    else if (type === BlockType.PACKET)
      records.push(this.#packet(block, view, 20, view.getUint16(this.#need(block, 28, 8), this.#little)));
    else if (type === BlockType.SIMPLE_PACKET) records.push(this.#simple(block, view));
    else if (type === BlockType.INTERFACE_STATISTICS) records.push(this.#statistics(block, view));
    else this.skippedBlocks += 1;
    this.#position += length;
  }

  /** Checks that the body reaches to an offset, and gives another offset back. */
  #need(block: Uint8Array, reach: number, offset: number): number {
    if (block.length - 4 >= reach) return offset;
    return this.#refuse(`a block of type ${block[0]! | block[3]!} with ${block.length} bytes, ${reach + 4} are needed`);
  }

  #options(block: Uint8Array, view: DataView, start: number): Options {
    const options: Options = new Map();
    const end = block.length - 4;
    for (let at = start; at + 4 <= end;) {
      const code = view.getUint16(at, this.#little);
      const length = view.getUint16(at + 2, this.#little);
      if (code === OptionCode.END) break;
      if (at + 4 + length > end) {
        this.#refuse(`option ${code} of ${length} bytes, ${end - at - 4} are left in the block`, this.#position + at);
      }
      if (!options.has(code)) options.set(code, { at: at + 4, length });
      at += 4 + ((length + 3) & ~3);
    }
    return options;
  }

  #fixed(options: Options, code: number, length: number): number {
    const option = options.get(code);
    if (option === undefined) return -1;
    if (option.length !== length) {
      this.#refuse(`option ${code} of ${option.length} bytes instead of ${length}`, this.#position + option.at);
    }
    return option.at;
  }

  #section(block: Uint8Array, view: DataView): SectionRecord {
    this.#need(block, 24, 0);
    const major = view.getUint16(12, this.#little);
    const minor = view.getUint16(14, this.#little);
    if (major !== 1) this.#refuse(`version ${major}.${minor}; only 1.x is understood`, this.#position + 12);
    this.#inSection = true;
    this.#interfaces = [];
    this.#timeOffsets = [];
    const options = this.#options(block, view, 24);
    const byteOrder = this.#little ? 'little' : 'big';
    const record: SectionRecord = { type: 'section', byteOrder, version: [major, minor] };
    setText(record, 'comment', block, options, OptionCode.COMMENT);
    setText(record, 'hardware', block, options, OptionCode.SHB_HARDWARE);
    setText(record, 'os', block, options, OptionCode.SHB_OS);
    setText(record, 'application', block, options, OptionCode.SHB_APPLICATION);
    return record;
  }

  #interface(block: Uint8Array, view: DataView): InterfaceRecord {
    this.#need(block, 16, 0);
    if (this.#interfaces.length >= this.#maxInterfaces) {
      this.#refuse(`more than the ${this.#maxInterfaces} interfaces allowed in a section`);
    }
    const options = this.#options(block, view, 16);
    const resolutionAt = this.#fixed(options, OptionCode.IF_TSRESOL, 1);
    const record: InterfaceRecord = {
      type: 'interface',
      id: this.#interfaces.length,
      linkType: view.getUint16(8, this.#little),
      snapLength: view.getUint32(12, this.#little),
      nanosecondsPerTick: nanosecondsPerTick(resolutionAt < 0 ? 6 : block[resolutionAt]!),
    };
    setText(record, 'comment', block, options, OptionCode.COMMENT);
    setText(record, 'name', block, options, OptionCode.IF_NAME);
    setText(record, 'description', block, options, OptionCode.IF_DESCRIPTION);
    const macAt = this.#fixed(options, OptionCode.IF_MAC, 6);
    if (macAt >= 0) record.mac = formatMac(block, macAt);
    const speedAt = this.#fixed(options, OptionCode.IF_SPEED, 8);
    if (speedAt >= 0) record.speed = view.getBigUint64(speedAt, this.#little);
    const offsetAt = this.#fixed(options, OptionCode.IF_TSOFFSET, 8);
    this.#timeOffsets.push(offsetAt < 0 ? 0n : view.getBigInt64(offsetAt, this.#little) * 1_000_000_000n);
    this.#interfaces.push(record);
    return record;
  }

  #interfaceOf(id: number): InterfaceRecord {
    const found = this.#interfaces[id];
    if (found !== undefined) return found;
    return this.#refuse(`interface ${id}, of ${this.#interfaces.length} described in this section`, this.#position + 8);
  }

  #time(view: DataView, at: number, iface: InterfaceRecord): bigint {
    const ticks = (BigInt(view.getUint32(at, this.#little)) << 32n) | BigInt(view.getUint32(at + 4, this.#little));
    const [numerator, denominator] = iface.nanosecondsPerTick;
    return (ticks * numerator) / denominator + this.#timeOffsets[iface.id]!;
  }

  /** An enhanced packet block, or the obsolete packet block: they differ in how the interface is written. */
  #packet(block: Uint8Array, view: DataView, lengthsAt: number, interfaceId: number): PacketRecord {
    const iface = this.#interfaceOf(interfaceId);
    const kept = view.getUint32(lengthsAt, this.#little);
    if (kept > block.length - 32) {
      this.#refuse(`${kept} bytes of packet in a block of ${block.length}`, this.#position + lengthsAt);
    }
    const options = this.#options(block, view, 28 + ((kept + 3) & ~3));
    const record: PacketRecord = {
      type: 'packet',
      interfaceId,
      linkType: iface.linkType,
      timestampNs: this.#time(view, 12, iface),
      bytes: Uint8Array.from(block.subarray(28, 28 + kept)),
      originalLength: view.getUint32(lengthsAt + 4, this.#little),
    };
    setText(record, 'comment', block, options, OptionCode.COMMENT);
    const flagsAt = this.#fixed(options, OptionCode.EPB_FLAGS, 4);
    const way = flagsAt < 0 ? 0 : view.getUint32(flagsAt, this.#little) & 3;
    if (way === 1) record.direction = 'inbound';
    else if (way === 2) record.direction = 'outbound';
    const enhanced = view.getUint32(0, this.#little) === BlockType.ENHANCED_PACKET;
    if (!enhanced) {
      const drops = view.getUint16(10, this.#little);
      if (drops !== 0xffff) record.dropCount = BigInt(drops);
      return record;
    }
    const dropsAt = this.#fixed(options, OptionCode.EPB_DROPCOUNT, 8);
    if (dropsAt >= 0) record.dropCount = view.getBigUint64(dropsAt, this.#little);
    return record;
  }

  #simple(block: Uint8Array, view: DataView): PacketRecord {
    this.#need(block, 12, 0);
    const { linkType, snapLength } = this.#interfaceOf(0);
    const originalLength = view.getUint32(8, this.#little);
    const kept = Math.min(originalLength, snapLength === 0 ? originalLength : snapLength);
    if (kept > block.length - 16) {
      this.#refuse(`${kept} bytes of packet in a block of ${block.length}`, this.#position + 8);
    }
    const bytes = Uint8Array.from(block.subarray(12, 12 + kept));
    return { type: 'packet', interfaceId: 0, linkType, bytes, originalLength };
  }

  #statistics(block: Uint8Array, view: DataView): StatisticsRecord {
    const interfaceId = view.getUint32(this.#need(block, 20, 8), this.#little);
    const iface = this.#interfaceOf(interfaceId);
    const options = this.#options(block, view, 20);
    const record: StatisticsRecord = { type: 'statistics', interfaceId, timestampNs: this.#time(view, 12, iface) };
    setText(record, 'comment', block, options, OptionCode.COMMENT);
    for (const [name, code] of times) {
      const at = this.#fixed(options, code, 8);
      if (at >= 0) record[name] = this.#time(view, at, iface);
    }
    for (const [name, code] of counters) {
      const at = this.#fixed(options, code, 8);
      if (at >= 0) record[name] = view.getBigUint64(at, this.#little);
    }
    return record;
  }
}

const times = [
  ['startTimeNs', OptionCode.ISB_STARTTIME],
  ['endTimeNs', OptionCode.ISB_ENDTIME],
] as const;

const counters = [
  ['received', OptionCode.ISB_IFRECV],
  ['dropped', OptionCode.ISB_IFDROP],
  ['accepted', OptionCode.ISB_FILTERACCEPT],
  ['droppedByOs', OptionCode.ISB_OSDROP],
  ['delivered', OptionCode.ISB_USRDELIV],
] as const;

function hex(value: number): string {
  return `0x${value.toString(16).padStart(8, '0')}`;
}

/** if_tsresol: 10^-n seconds, or with the top bit 2^-n seconds. */
function nanosecondsPerTick(resolution: number): [bigint, bigint] {
  const exponent = BigInt(resolution & 127);
  return [1_000_000_000n, (resolution & 128) !== 0 ? 1n << exponent : 10n ** exponent];
}

function setText<Name extends string>(
  record: Partial<Record<Name, string>>,
  name: Name,
  block: Uint8Array,
  options: Options,
  code: number,
): void {
  const option = options.get(code);
  // A file made by C may carry the final zero.
  if (option !== undefined)
    record[name] = decoder.decode(block.subarray(option.at, option.at + option.length)).replace(/\0+$/, '');
}

/**
 * Reads all of a stream, such as `fs.createReadStream(path)`.
 *
 * @throws NetError `ERR_NET_PCAPNG` when the stream breaks the format or ends within a block.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { LinkType, PcapngWriter, describeFrame, readPcapng } from 'node-vpp/net';
 *
 * const writer = new PcapngWriter();
 * const chunks = [
 *   writer.section(),
 *   writer.interface({ linkType: LinkType.RAW }),
 *   writer.packet({ interfaceId: 0, timestampNs: 0n, bytes: Uint8Array.of(0x45) }),
 * ];
 * const lines: string[] = [];
 * for await (const record of readPcapng(chunks)) {
 *   if (record.type === 'packet') lines.push(describeFrame(record.bytes, { linkType: record.linkType }));
 * }
 * assert.deepEqual(lines, ['truncated or unknown IP packet, 1 bytes']);
 * ```
 */
export async function* readPcapng(
  source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  options: PcapngReaderOptions = {},
): AsyncGenerator<PcapngRecord, void, undefined> {
  const reader = new PcapngReader(options);
  for await (const chunk of source) yield* reader.push(chunk);
  reader.end();
}
