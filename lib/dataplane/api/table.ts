// The message table of a server: which number each message has. The client module comes first with the fixed numbers
// 1 to 28, in the order of its file; the other modules follow from `firstId`, as VPP numbers plugins in the order of
// loading. A restart with another `firstId` moves every number, as a VPP with one more plugin would.

import type { MessageCodec } from '../../api/codec/index.js';
import type { Schema } from '../../api/schema/index.js';
import { ids } from '../../api/table.js';

const NAME_BYTES = 64;
const FIXED = 28;

/** What a table is made of. */
export interface TableOptions {
  /** The number of the first message after the client module, default 101. */
  firstId?: number;
  /** Messages this server does not have. */
  without?: (name: string) => boolean;
  /** Messages it has with another CRC than the schema's (`0x12345678`), to play a VPP of another release. */
  crcs?: Readonly<Record<string, string>>;
}

/** Numbers, names and CRCs of a server. */
export class ServerTable {
  readonly schema: Schema;
  readonly #names: (string | undefined)[] = [];
  readonly #ids = new Map<string, number>();
  readonly #crcs: Readonly<Record<string, string>>;
  readonly #codecs: (MessageCodec | undefined)[] = [];

  constructor(schema: Schema, options: TableOptions) {
    this.schema = schema;
    this.#crcs = options.crcs ?? {};
    let fixed = 1;
    let next = options.firstId ?? 101;
    for (const name of schema.messageNames()) {
      if (schema.message(name)!.module !== 'memclnt') continue;
      if (fixed <= FIXED) this.#set(name, fixed++);
    }
    for (const name of schema.messageNames()) {
      if (this.#ids.has(name) || options.without?.(name) === true) continue;
      this.#set(name, next++);
    }
  }

  idOf(name: string): number | undefined {
    return this.#ids.get(name);
  }

  nameAt(id: number): string | undefined {
    return this.#names[id];
  }

  /** The codec of the message with a number. */
  codecAt(id: number): MessageCodec | undefined {
    const name = this.#names[id];
    return name === undefined ? undefined : (this.#codecs[id] ??= this.schema.codec(name));
  }

  codec(name: string): MessageCodec | undefined {
    const id = this.#ids.get(name);
    return id === undefined ? undefined : this.codecAt(id);
  }

  /** The reply to sockclnt_create, which no codec is needed for. */
  createReply(clientIndex: number, context: number): Uint8Array {
    const entries = [...this.#ids];
    const message = Buffer.alloc(20 + entries.length * (2 + NAME_BYTES));
    message.writeUInt16BE(ids.sockclntCreateReply, 0);
    message.writeUInt32BE(clientIndex, 2);
    message.writeUInt32BE(context, 6);
    message.writeInt32BE(0, 10);
    message.writeUInt32BE(clientIndex, 14);
    message.writeUInt16BE(entries.length, 18);
    let at = 20;
    for (const [name, id] of entries) {
      message.writeUInt16BE(id, at);
      message.write(
        `${name}_${(this.#crcs[name] ?? this.schema.crc(name)!).slice(2)}`,
        at + 2,
        NAME_BYTES - 1,
        'latin1',
      );
      at += 2 + NAME_BYTES;
    }
    return message;
  }

  #set(name: string, id: number): void {
    this.#names[id] = name;
    this.#ids.set(name, id);
  }
}
