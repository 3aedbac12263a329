// TCP (RFC 9293) and its options.
//
//   0          2               4          8          12        13      14       16         18        20
//   | src port | dst port      | sequence | ack      | off:4 0 | flags | window | checksum | urgent  | options …
//
// `at` asks for the whole header with its options (data offset 5 … 15 words).

import { ArgumentRangeError } from '../errors.js';
import { put16, put32, u16, u32, u8 } from './bytes.js';
import { transportChecksum } from './checksum.js';
import { IpProtocol, TcpFlag } from './numbers.js';
import { OptionWalk } from './options.js';
import { HeaderView, fits, mustHold, pointed } from './view.js';

/** Length of a TCP header without options. */
export const TCP_LENGTH = 20;

/** One option. A known kind of the wrong length is kept as `unknown`. */
export type TcpOption =
  | { type: 'nop' }
  | { type: 'mss'; bytes: number }
  | { type: 'windowScale'; shift: number }
  | { type: 'sackPermitted' }
  | { type: 'sack'; blocks: readonly (readonly [left: number, right: number])[] }
  | { type: 'timestamps'; value: number; echo: number }
  | { type: 'unknown'; kind: number; data: Uint8Array };

/** The fields of a TCP header; the checksum is filled in when the payload is in place. */
export interface TcpFields {
  sourcePort: number;
  destinationPort: number;
  sequence: number;
  /** Default 0. */
  acknowledgment?: number;
  /** Bits of `TcpFlag`. */
  flags: number;
  /** Default 65535. */
  window?: number;
  /** Default 0. */
  urgent?: number;
  /** Default none. */
  options?: readonly TcpOption[];
}

const walk = new OptionWalk();

/** A TCP header in bytes. */
export class TcpView extends HeaderView {
  /** A view pointed at a header; throws NetError `ERR_NET_FRAME` when it is not a whole TCP header. */
  static of(bytes: Uint8Array, offset?: number, length?: number): TcpView {
    return pointed(new TcpView(), 'a TCP header', bytes, offset, length);
  }

  at(bytes: Uint8Array, offset = 0, length = bytes.length - offset): boolean {
    if (!fits(bytes, offset, length, TCP_LENGTH)) return this.nowhere();
    const headerLength = (bytes[offset + 12]! >> 4) * 4;
    if (headerLength < TCP_LENGTH || headerLength > length) return this.nowhere();
    this.bytes = bytes;
    this.offset = offset;
    this.length = length;
    return true;
  }

  get sourcePort(): number {
    return u16(this.bytes, this.offset);
  }
  set sourcePort(port: number) {
    put16(this.bytes, this.offset, port);
  }

  get destinationPort(): number {
    return u16(this.bytes, this.offset + 2);
  }
  set destinationPort(port: number) {
    put16(this.bytes, this.offset + 2, port);
  }

  get sequence(): number {
    return u32(this.bytes, this.offset + 4);
  }
  set sequence(value: number) {
    put32(this.bytes, this.offset + 4, value);
  }

  get acknowledgment(): number {
    return u32(this.bytes, this.offset + 8);
  }
  set acknowledgment(value: number) {
    put32(this.bytes, this.offset + 8, value);
  }

  /** Length of the header with its options, 20 … 60. */
  get headerLength(): number {
    return (this.bytes[this.offset + 12]! >> 4) * 4;
  }

  /** Bits of `TcpFlag`. */
  get flags(): number {
    return u8(this.bytes, this.offset + 13);
  }
  set flags(value: number) {
    this.bytes[this.offset + 13] = value;
  }

  get syn(): boolean {
    return (this.flags & TcpFlag.SYN) !== 0;
  }
  get ack(): boolean {
    return (this.flags & TcpFlag.ACK) !== 0;
  }
  get fin(): boolean {
    return (this.flags & TcpFlag.FIN) !== 0;
  }
  get rst(): boolean {
    return (this.flags & TcpFlag.RST) !== 0;
  }

  get window(): number {
    return u16(this.bytes, this.offset + 14);
  }
  set window(value: number) {
    put16(this.bytes, this.offset + 14, value);
  }

  get checksum(): number {
    return u16(this.bytes, this.offset + 16);
  }
  set checksum(value: number) {
    put16(this.bytes, this.offset + 16, value);
  }

  get urgent(): number {
    return u16(this.bytes, this.offset + 18);
  }

  get payloadOffset(): number {
    return this.offset + this.headerLength;
  }
  get payloadLength(): number {
    return this.length - this.headerLength;
  }

  /**
   * Whether the checksum is right; `networkOffset` is where the IP header starts. The view must have been pointed with
   * the length of the segment: padding behind it would count.
   */
  checksumOk(networkOffset: number): boolean {
    return transportChecksum(this.bytes, networkOffset, IpProtocol.TCP, this.offset, this.length) === 0;
  }

  /** Computes and stores the checksum over `length`, the whole segment. */
  fillChecksum(networkOffset: number): void {
    this.checksum = 0;
    this.checksum = transportChecksum(this.bytes, networkOffset, IpProtocol.TCP, this.offset, this.length);
  }

  /** The options up to the end of the list or the first malformed one; data are copies. */
  options(): TcpOption[] {
    const list: TcpOption[] = [];
    walk.at(this.bytes, this.offset + TCP_LENGTH, this.headerLength - TCP_LENGTH);
    while (walk.next()) list.push(readOption(this.bytes, walk.type, walk.offset, walk.length));
    return list;
  }

  fields(): Required<TcpFields> {
    const { sourcePort, destinationPort, sequence, acknowledgment, flags, window, urgent } = this;
    return { sourcePort, destinationPort, sequence, acknowledgment, flags, window, urgent, options: this.options() };
  }
}

function readOption(bytes: Uint8Array, kind: number, at: number, length: number): TcpOption {
  if (kind === 1) return { type: 'nop' };
  if (kind === 2 && length === 4) return { type: 'mss', bytes: u16(bytes, at + 2) };
  if (kind === 3 && length === 3) return { type: 'windowScale', shift: bytes[at + 2]! };
  if (kind === 4 && length === 2) return { type: 'sackPermitted' };
  if (kind === 5 && length > 2 && length % 8 === 2) {
    const blocks: [number, number][] = [];
    for (let i = at + 2; i < at + length; i += 8) blocks.push([u32(bytes, i), u32(bytes, i + 4)]);
    return { type: 'sack', blocks };
  }
  if (kind === 8 && length === 10) return { type: 'timestamps', value: u32(bytes, at + 2), echo: u32(bytes, at + 6) };
  return { type: 'unknown', kind, data: bytes.slice(at + 2, at + length) };
}

function optionLength(option: TcpOption): number {
  switch (option.type) {
    case 'nop':
      return 1;
    case 'sackPermitted':
      return 2;
    case 'windowScale':
      return 3;
    case 'mss':
      return 4;
    case 'timestamps':
      return 10;
    case 'sack':
      return 2 + 8 * option.blocks.length;
    case 'unknown':
      return 2 + option.data.length;
  }
}

const KINDS = { nop: 1, mss: 2, windowScale: 3, sackPermitted: 4, sack: 5, timestamps: 8 } as const;

function writeOption(bytes: Uint8Array, at: number, option: TcpOption): void {
  bytes[at] = option.type === 'unknown' ? option.kind : KINDS[option.type];
  if (option.type === 'nop') return;
  bytes[at + 1] = optionLength(option);
  if (option.type === 'mss') put16(bytes, at + 2, option.bytes);
  else if (option.type === 'windowScale') bytes[at + 2] = option.shift;
  else if (option.type === 'unknown') bytes.set(option.data, at + 2);
  else if (option.type === 'timestamps') {
    put32(bytes, at + 2, option.value);
    put32(bytes, at + 6, option.echo);
  } else if (option.type === 'sack') {
    option.blocks.forEach(([left, right], index) => {
      put32(bytes, at + 2 + index * 8, left);
      put32(bytes, at + 6 + index * 8, right);
    });
  }
}

/** Length of the header `emitTcp` would write: 20 and its options, padded to four bytes. */
export function tcpHeaderLength(options: readonly TcpOption[] = []): number {
  let length = TCP_LENGTH;
  for (const option of options) length += optionLength(option);
  return (length + 3) & ~3;
}

/** Writes a TCP header with checksum 0; returns its length. `TcpView.fillChecksum` does the rest. */
export function emitTcp(bytes: Uint8Array, offset: number, fields: TcpFields): number {
  const { options = [] } = fields;
  const headerLength = tcpHeaderLength(options);
  if (headerLength > 60)
    throw new ArgumentRangeError(`writing a TCP header: options make it ${headerLength} bytes, 60 is the most`);
  mustHold('a TCP header', bytes, offset, headerLength);
  put16(bytes, offset, fields.sourcePort);
  put16(bytes, offset + 2, fields.destinationPort);
  put32(bytes, offset + 4, fields.sequence);
  put32(bytes, offset + 8, fields.acknowledgment ?? 0);
  bytes[offset + 12] = (headerLength / 4) << 4;
  bytes[offset + 13] = fields.flags;
  put16(bytes, offset + 14, fields.window ?? 0xffff);
  put16(bytes, offset + 16, 0);
  put16(bytes, offset + 18, fields.urgent ?? 0);
  let at = offset + TCP_LENGTH;
  for (const option of options) {
    writeOption(bytes, at, option);
    at += optionLength(option);
  }
  bytes.fill(0, at, offset + headerLength);
  return headerLength;
}
