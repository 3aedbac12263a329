// The message table a VPP hands out when a client connects: which number each message has in this VPP, today.
// Plugins shift the numbers, so that nothing but the first 28 (of VPP's own client module) is fixed.
//
//   sockclnt_create        u16 15 | u32 context | name[64]                                    (no client_index)
//   sockclnt_create_reply  u16 16 | u32 client_index | u32 context | i32 response | u32 index | u16 count
//                          then count times: u16 id | name_crc[64]
//
// Invariant: a name may be listed with several CRCs only if VPP itself lists it so; `idOf` takes both.

import { VppProtocolError } from '../errors.js';
import { readU16, readU32, writeU16, writeU32 } from './frame.js';

/** Numbers that are the same in every VPP. */
export const ids = {
  sockclntCreate: 15,
  sockclntCreateReply: 16,
  sockclntDelete: 17,
  sockclntDeleteReply: 18,
  controlPing: 23,
  controlPingReply: 24,
  getApiJson: 27,
  getApiJsonReply: 28,
} as const;

const CREATE_BYTES = 70;
const REPLY_HEAD_BYTES = 20;
const NAME_BYTES = 64;
const ENTRY_BYTES = 2 + NAME_BYTES;

/** `sockclnt_create` for a client of this name (at most 63 bytes are kept). */
export function encodeCreate(name: string, context: number): Uint8Array {
  const message = new Uint8Array(CREATE_BYTES);
  writeU16(message, 0, ids.sockclntCreate);
  writeU32(message, 2, context);
  new TextEncoder().encodeInto(name, message.subarray(6, CREATE_BYTES - 1));
  return message;
}

/** `sockclnt_delete`: VPP answers it with response 1 and closes. */
export function encodeDelete(clientIndex: number, context: number): Uint8Array {
  const message = new Uint8Array(14);
  writeU16(message, 0, ids.sockclntDelete);
  writeU32(message, 2, clientIndex);
  writeU32(message, 6, context);
  writeU32(message, 10, clientIndex);
  return message;
}

/** Writes a `control_ping` (10 bytes). */
export function writePing(bytes: Uint8Array, at: number, clientIndex: number, context: number): void {
  writeU16(bytes, at, ids.controlPing);
  writeU32(bytes, at + 2, clientIndex);
  writeU32(bytes, at + 6, context);
}

/** Bytes of a `control_ping`. */
export const PING_BYTES = 10;

/** Pid of VPP in a `control_ping_reply`: u16 id, u32 context, i32 retval, u32 client_index, u32 vpe_pid. */
export function pidOfPingReply(bytes: Uint8Array, start: number, end: number): number | undefined {
  return end - start >= 18 ? readU32(bytes, start + 14) : undefined;
}

/** The table of one connection. */
export class MessageTable {
  /** What goes in every request, as VPP gave it (top bit set). */
  readonly clientIndex: number;
  /** The entries as VPP sent them: other ones when any message is added, removed, renumbered or has another CRC. */
  readonly entries: string;
  readonly #ids = new Map<string, number>();
  readonly #crcs = new Map<string, string>();
  readonly #keys: (string | undefined)[] = [];

  /**
   * Reads a `sockclnt_create_reply`.
   *
   * @throws VppProtocolError ERR_VPP_HANDSHAKE
   */
  constructor(bytes: Uint8Array, start: number, end: number) {
    const size = end - start;
    const refuse = (what: string) =>
      new VppProtocolError('ERR_VPP_HANDSHAKE', `connecting to VPP: ${what}; is this the API socket of a VPP?`);
    if (size < REPLY_HEAD_BYTES || readU16(bytes, start) !== ids.sockclntCreateReply) {
      throw refuse(`${size} bytes that are no sockclnt_create_reply`);
    }
    const response = readU32(bytes, start + 10) | 0;
    if (response !== 0) throw refuse(`sockclnt_create was refused with response ${response}`);
    const count = readU16(bytes, start + 18);
    if (size < REPLY_HEAD_BYTES + count * ENTRY_BYTES) {
      throw refuse(`a table of ${count} messages in ${size} bytes, ${REPLY_HEAD_BYTES + count * ENTRY_BYTES} needed`);
    }
    this.clientIndex = readU32(bytes, start + 14);
    // One string of it all, and slices of that: no loop over its bytes, which a new process would run unoptimised.
    const text = Buffer.from(bytes.buffer, bytes.byteOffset + start, size).toString('latin1');
    for (let entry = 0, at = REPLY_HEAD_BYTES; entry < count; entry++, at += ENTRY_BYTES) {
      const end = text.indexOf('\0', at + 2);
      const key = text.slice(at + 2, end < 0 || end > at + ENTRY_BYTES ? at + ENTRY_BYTES : end);
      const id = readU16(bytes, start + at);
      this.#keys[id] = key;
      this.#ids.set(key, id);
      const cut = key.lastIndexOf('_');
      if (cut > 0) this.#crcs.set(key.slice(0, cut), key.slice(cut + 1));
    }
    this.entries = text.slice(REPLY_HEAD_BYTES, REPLY_HEAD_BYTES + count * ENTRY_BYTES);
  }

  /** How many messages this VPP has. */
  get size(): number {
    return this.#ids.size;
  }

  /** Names of all messages of this VPP. */
  names(): IterableIterator<string> {
    return this.#crcs.keys();
  }

  /** The number of a message, `crc` as in the schema (`0x51077d14`). */
  idOf(name: string, crc: string): number | undefined {
    return this.#ids.get(`${name}_${crc.slice(2)}`);
  }

  /** The CRC this VPP has for a message (`0x51077d14`). */
  crcOf(name: string): string | undefined {
    const crc = this.#crcs.get(name);
    return crc === undefined ? undefined : `0x${crc}`;
  }

  /** Name and CRC of the message with a number. */
  messageAt(id: number): { name: string; crc: string } | undefined {
    const key = this.#keys[id];
    if (key === undefined) return undefined;
    const cut = key.lastIndexOf('_');
    return { name: key.slice(0, cut), crc: `0x${key.slice(cut + 1)}` };
  }
}
