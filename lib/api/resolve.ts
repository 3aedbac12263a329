// From a message name to its number in this VPP and the codec that fits: by name and CRC, from the first schema that
// has exactly the message this VPP has.
//
//   'auto'      bundled releases, newest first (the one that fits this VPP best is moved to the front),
//               then what the VPP itself says about its messages (`learned`)
//   otherwise   the one schema that was asked for
//
// Invariant: a codec is only ever used for a message whose CRC in the table equals the codec's.

import { VppMessageError } from '../errors.js';
import type { MessageCodec } from './codec/codec.js';
import { bundledReleases, loadBundled, type BundledRelease } from './schema/bundled.js';
import type { ServiceDef } from './schema/model.js';
import type { Schema } from './schema/schema.js';
import type { MessageTable } from './table.js';

/** A message as it may arrive. */
export interface Incoming {
  readonly id: number;
  readonly name: string;
  readonly codec: MessageCodec;
  /** -1: an event. */
  readonly contextOffset: number;
  /** -1: the message has no retval. */
  readonly retvalOffset: number;
  /** Shortest possible message. */
  readonly minBytes: number;
}

/** A request that this VPP has. */
export interface Outgoing {
  readonly name: string;
  readonly id: number;
  readonly codec: MessageCodec;
  readonly service: ServiceDef;
  /** Undefined: VPP sends no reply to it. */
  readonly reply: Incoming | undefined;
  /** Rows of a dump. */
  readonly details: Incoming | undefined;
  /** How the request ends: one reply, rows until our own control_ping, or rows until a reply with a cursor. */
  readonly kind: 'request' | 'dump' | 'cursor' | 'silent';
}

/** The schemas a connection may use. */
export class SchemaSources {
  /** Null: exactly one schema was chosen. */
  readonly #bundled: readonly BundledRelease[] | null;
  readonly #loaded: Schema[] = [];
  #next = 0;
  learned: Schema | undefined;

  constructor(choice: 'auto' | Schema) {
    this.#bundled = choice === 'auto' ? [...bundledReleases].reverse() : null;
    if (choice !== 'auto') this.#loaded.push(choice);
  }

  /** True when the running VPP may be asked for what no other source has. */
  get mayLearn(): boolean {
    return this.#bundled !== null;
  }

  /** Sources in order of preference; a bundled one is loaded when everything before it did not have the message. */
  *all(): Generator<Schema> {
    for (let at = 0; ; at++) {
      const schema = this.#loaded[at] ?? this.#loadNext();
      if (schema === undefined) break;
      yield schema;
    }
    if (this.learned !== undefined) yield this.learned;
  }

  /** The schema preferred for this connection. */
  get first(): Schema {
    return (this.#loaded[0] ?? this.#loadNext())!;
  }

  /** Puts the bundled release first that has the most messages exactly as this VPP has them. */
  rank(table: MessageTable): void {
    if (this.#bundled === null) return;
    const score = (schema: Schema) => {
      let equal = 0;
      let different = 0;
      for (const name of table.names()) {
        const crc = schema.crc(name);
        if (crc === undefined) continue;
        if (crc === table.crcOf(name)) equal += 1;
        else different += 1;
      }
      return { schema, equal, different };
    };
    const first = score(this.first);
    if (first.different === 0) return;
    const scores = [first, ...[...this.all()].filter((schema) => schema !== first.schema).map(score)];
    scores.sort((a, b) => b.equal - a.equal);
    this.#loaded.splice(0, this.#loaded.length, ...scores.map(({ schema }) => schema));
  }

  #loadNext(): Schema | undefined {
    const release = this.#bundled?.[this.#next];
    if (release === undefined) return undefined;
    this.#next += 1;
    const schema = loadBundled(release);
    this.#loaded.push(schema);
    return schema;
  }
}

/** Messages of one connection to one VPP. */
export class Resolver {
  readonly table: MessageTable;
  readonly sources: SchemaSources;
  readonly #outgoing = new Map<string, Outgoing>();
  readonly #incoming: (Incoming | null | undefined)[] = [];
  #codecOptions: { f64: 'little' | 'big' } | undefined;

  constructor(table: MessageTable, sources: SchemaSources) {
    this.table = table;
    this.sources = sources;
  }

  /** The request with this name, if a schema at hand fits; asks nothing of VPP. */
  outgoing(name: string): Outgoing | undefined {
    return this.#outgoing.get(name) ?? this.#makeOutgoing(name);
  }

  /** The message with this number, if a schema at hand fits. */
  incoming(id: number): Incoming | undefined {
    const known = this.#incoming[id];
    if (known !== undefined) return known ?? undefined;
    const message = this.table.messageAt(id);
    const codec = message === undefined ? undefined : this.#codec(message.name);
    // Remembered even when nothing fits, so that a flood of unknown numbers costs a look-up each and no memory.
    if (message === undefined) return undefined;
    const made =
      codec === undefined
        ? null
        : {
            id,
            name: message.name,
            codec,
            contextOffset: codec.contextOffset,
            retvalOffset: codec.retvalOffset,
            minBytes: codec.fixedSize,
          };
    this.#incoming[id] = made;
    return made ?? undefined;
  }

  /** Doubles are in this byte order in this VPP, not in ours. */
  useF64(order: 'little' | 'big'): void {
    this.#codecOptions = { f64: order };
    this.#outgoing.clear();
    this.#incoming.length = 0;
  }

  /** Adds what the running VPP says about itself. */
  learn(schema: Schema): void {
    this.sources.learned = schema;
    this.#incoming.forEach((entry, id) => {
      if (entry === null) this.#incoming[id] = undefined;
    });
  }

  /** Why `name` cannot be used: by field, and with the releases that have it as this VPP does. */
  async explain(name: string, ofVpp: Schema | undefined): Promise<VppMessageError> {
    const { table, sources } = this;
    const crc = table.crcOf(name);
    const ours = [...sources.all()].map((schema) => schema.message(name)).find((def) => def !== undefined);
    const releases = bundledReleases.filter((release) => loadBundled(release).crc(name) === crc);
    if (crc === undefined) {
      const having = bundledReleases.filter((release) => loadBundled(release).has(name));
      const where = having.length > 0 ? `VPP ${having.join(', ')} have it` : 'no release known here has it';
      return new VppMessageError(
        'ERR_VPP_MESSAGE_MISSING',
        `${name}: this VPP does not have the message; ${where}; perhaps its plugin is not loaded`,
        { messageName: name, releases: having },
      );
    }
    const own = ofVpp?.message(name);
    const { differenceText, explainDifference } = await import('./schema/diff.js');
    const differences = ours !== undefined && own !== undefined ? explainDifference(ours, own).map(differenceText) : [];
    const what =
      ours === undefined
        ? `the schema in use does not have it, this VPP does (CRC ${crc})`
        : `the schema in use has CRC ${ours.crc}, this VPP ${crc}`;
    const detail = differences.length > 0 ? `: ${differences.join('; ')}` : '';
    const where =
      releases.length > 0
        ? `schema ${releases.join(' or ')} has it as this VPP does`
        : "no bundled release has it as this VPP does; connect with schema 'auto' to use the VPP's own";
    return new VppMessageError('ERR_VPP_MESSAGE_DIFFERS', `${name}: ${what}${detail}; ${where}`, {
      messageName: name,
      differences,
      releases,
    });
  }

  /** The service of a request, from the first schema that knows it. */
  service(name: string): ServiceDef | undefined {
    for (const schema of this.sources.all()) {
      const service = schema.service(name);
      if (service !== undefined) return service;
    }
    return undefined;
  }

  #codec(name: string): MessageCodec | undefined {
    const crc = this.table.crcOf(name);
    if (crc === undefined) return undefined;
    for (const schema of this.sources.all()) {
      if (schema.crc(name) === crc) return schema.codec(name, this.#codecOptions);
    }
    return undefined;
  }

  #incomingNamed(name: string): Incoming | undefined {
    const crc = this.table.crcOf(name);
    const id = crc === undefined ? undefined : this.table.idOf(name, crc);
    return id === undefined ? undefined : this.incoming(id);
  }

  #makeOutgoing(name: string): Outgoing | undefined {
    const { table } = this;
    const codec = this.#codec(name);
    const service = codec === undefined ? undefined : this.service(name);
    if (codec === undefined || service === undefined) return undefined;
    const id = table.idOf(name, codec.crc)!;
    let made: Outgoing;
    if (service.reply === null) {
      made = { name, id, codec, service, reply: undefined, details: undefined, kind: 'silent' };
    } else if (!service.stream) {
      const reply = this.#incomingNamed(service.reply);
      if (reply === undefined) return undefined;
      made = { name, id, codec, service, reply, details: undefined, kind: 'request' };
    } else if (service.streamMessage === undefined) {
      const details = this.#incomingNamed(service.reply);
      if (details === undefined) return undefined;
      made = { name, id, codec, service, reply: undefined, details, kind: 'dump' };
    } else {
      const reply = this.#incomingNamed(service.reply);
      const details = this.#incomingNamed(service.streamMessage);
      if (reply === undefined || details === undefined) return undefined;
      made = { name, id, codec, service, reply, details, kind: 'cursor' };
    }
    this.#outgoing.set(name, made);
    return made;
  }
}
