// A schema: definitions by name, made from their source when first asked for and kept after that.
//
//   source (compact text, .api.json, …) ──► Schema.message(name) ──► Schema.codec(name)
//             nothing parsed yet             one definition parsed    one codec compiled
//
// Invariant: the cost of a schema is that of the messages which are used, not of those it knows.

import { VppSchemaError } from '../../errors.js';
import { createCodec, type CodecOptions, type MessageCodec } from '../codec/codec.js';
import type { MessageDef, ModuleDef, ServiceDef, TypeDef } from './model.js';

/** What a schema is made from. Each member may do its work when called; the schema keeps the results. */
export interface SchemaSource {
  readonly release: string;
  messageNames(): Iterable<string>;
  typeNames(): Iterable<string>;
  modules(): Iterable<ModuleDef>;
  crc(message: string): string | undefined;
  message(name: string): MessageDef | undefined;
  type(name: string): TypeDef | undefined;
  service(request: string): ServiceDef | undefined;
}

/**
 * The messages of one VPP release, of one running VPP, or of several put together.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { loadBundled } from 'node-vpp/api';
 * const schema = loadBundled('26.06');
 * assert.equal(schema.service('show_version')?.reply, 'show_version_reply');
 * ```
 */
export interface Schema {
  /** `26.06`; `running` for one learnt from VPP; else the path it was read from. */
  readonly release: string;
  /** Every message, in the order of the source. Parses nothing. */
  messageNames(): Iterable<string>;
  /** Every user type by bare name. Parses nothing. */
  typeNames(): Iterable<string>;
  /** Every api file. */
  modules(): Iterable<ModuleDef>;
  has(message: string): boolean;
  /** The checksum of a message (`0x51077d14`) without parsing its definition. */
  crc(message: string): string | undefined;
  message(name: string): MessageDef | undefined;
  /** A user type by bare name, e.g. `fib_path`. */
  type(name: string): TypeDef | undefined;
  /** What answers a request; undefined for messages which are not requests. */
  service(request: string): ServiceDef | undefined;
  /**
   * The codec of a message, compiled at the first call and kept.
   * @throws {VppSchemaError} when the definition is impossible
   */
  codec(name: string, options?: CodecOptions): MessageCodec | undefined;
}

class SourcedSchema implements Schema {
  readonly release: string;
  readonly #source: SchemaSource;
  readonly #messages = new Map<string, MessageDef | undefined>();
  readonly #types = new Map<string, TypeDef | undefined>();
  readonly #services = new Map<string, ServiceDef | undefined>();
  readonly #codecs = new Map<string, MessageCodec>();

  constructor(source: SchemaSource) {
    this.release = source.release;
    this.#source = source;
  }

  messageNames(): Iterable<string> {
    return this.#source.messageNames();
  }

  typeNames(): Iterable<string> {
    return this.#source.typeNames();
  }

  modules(): Iterable<ModuleDef> {
    return this.#source.modules();
  }

  has(message: string): boolean {
    return this.#source.crc(message) !== undefined;
  }

  crc(message: string): string | undefined {
    return this.#source.crc(message);
  }

  message(name: string): MessageDef | undefined {
    return remember(this.#messages, name, () => this.#source.message(name));
  }

  type(name: string): TypeDef | undefined {
    return remember(this.#types, name, () => this.#source.type(name));
  }

  service(request: string): ServiceDef | undefined {
    return remember(this.#services, request, () => asSent(this.#source.service(request)));
  }

  codec(name: string, options?: CodecOptions): MessageCodec | undefined {
    const key =
      options === undefined
        ? name
        : `${name} ${options.values ?? 'text'} ${options.f64 ?? ''} ${options.backend ?? ''}`;
    const known = this.#codecs.get(key);
    if (known !== undefined) return known;
    const def = this.message(name);
    if (def === undefined) return undefined;
    const codec = createCodec(def, options);
    this.#codecs.set(key, codec);
    return codec;
  }
}

/**
 * The service as VPP keeps to it. VPP 25.10 and 26.06 describe dumps of GRE tunnels as requests with a reply, which is
 * never sent, and events, which come with the context of the request: they are dumps like all others.
 */
function asSent(service: ServiceDef | undefined): ServiceDef | undefined {
  if (service === undefined || service.stream || !/_dump(_v\d+)?$/.test(service.request)) return service;
  const [details, ...more] = service.events;
  if (details === undefined || more.length > 0 || !/_details(_v\d+)?$/.test(details)) return service;
  return { request: service.request, reply: details, stream: true, events: [] };
}

function remember<V>(cache: Map<string, V>, key: string, make: () => V): V {
  const known = cache.get(key);
  if (known !== undefined || cache.has(key)) return known as V;
  const value = make();
  cache.set(key, value);
  return value;
}

/** Makes a schema of a source. */
export function createSchema(source: SchemaSource): Schema {
  return new SourcedSchema(source);
}

/**
 * Puts schemas together, message by message: each message, with the types it uses, comes from the first schema that
 * has it. So a running VPP's own schema can be completed by the bundled `memclnt`, which it does not tell.
 *
 * @throws {VppSchemaError} when called without a schema
 */
export function mergeSchemas(release: string, ...schemas: readonly Schema[]): Schema {
  if (schemas.length === 0) throw new VppSchemaError('cannot merge schemas: none was given');
  const first = <T>(look: (schema: Schema) => T | undefined): T | undefined => {
    for (const schema of schemas) {
      const found = look(schema);
      if (found !== undefined) return found;
    }
    return undefined;
  };
  return createSchema({
    release,
    messageNames: () => new Set(schemas.flatMap((schema) => [...schema.messageNames()])),
    typeNames: () => new Set(schemas.flatMap((schema) => [...schema.typeNames()])),
    modules: () => new Map(schemas.toReversed().flatMap((s) => [...s.modules()].map((m) => [m.name, m]))).values(),
    crc: (message) => first((schema) => schema.crc(message)),
    message: (name) => first((schema) => schema.message(name)),
    type: (name) => first((schema) => schema.type(name)),
    // A service belongs to the schema that defines the request.
    service: (request) => schemas.find((schema) => schema.has(request))?.service(request),
  });
}
