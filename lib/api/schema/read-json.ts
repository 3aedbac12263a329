// Reads VPP's own schema files, `.api.json`, and the one document that get_api_json returns, into the model.
//
//   ["u32", "sw_if_index"]                 scalar            ["string", "name", 64]             64 bytes of text
//   ["u32", "mtu", 4]                      4 of them         ["string", "json", 0]              text with a u32 length
//   ["vl_api_x_t", "xs", 0, "count"]       `count` of them   a trailing { … }                   options of that field
//
// Facts about the form: types that a file imports are repeated in it; the default of a bool may be the text "true";
// a get_api_json document is a list of such files in one array (with a NUL at its end) and leaves out memclnt.

import { readFileSync, readdirSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';

import { VppSchemaError } from '../../errors.js';
import { baseTypes } from './model.js';
import type { DefaultValue, FieldDef, IntegerType, MessageDef, ModuleDef, ServiceDef, TypeDef } from './model.js';
import { createSchema, type Schema } from './schema.js';

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
type JsonObject = Record<string, Json>;

const integerTypes: ReadonlySet<string> = new Set(['u8', 'i8', 'u16', 'i16', 'u32', 'i32']);
const baseTypeNames: ReadonlySet<string> = new Set(baseTypes);
const reserved = new Set(['__proto__']);

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function listOf(value: Json | undefined, what: string): Json[] {
  if (value === undefined) return [];
  if (!Array.isArray(value)) throw new VppSchemaError(`${what} is not a list`);
  return value;
}

function nameOf(value: Json | undefined, what: string): string {
  if (typeof value !== 'string' || !/^[A-Za-z_][A-Za-z0-9_]*$/.test(value) || reserved.has(value)) {
    throw new VppSchemaError(`${what} has the name ${JSON.stringify(value)}; a name is letters, digits and _`);
  }
  return value;
}

/** `vl_api_fib_path_t` → `fib_path`; base types and bare names stay. */
export function bareName(type: string): string {
  return type.startsWith('vl_api_') && type.endsWith('_t') ? type.slice(7, -2) : type;
}

function typeName(value: Json | undefined, what: string): string {
  return bareName(nameOf(value, what));
}

function lengthOf(value: Json, what: string): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 0 || value > 0x7fffffff) {
    throw new VppSchemaError(`${what} has the length ${JSON.stringify(value)}`);
  }
  return value;
}

/**
 * A default in the type of its field: the parser of VPP's own tools leaves `true` as text, and one bool of VPP has a
 * number. What fits in no way is no default.
 */
function readDefault(value: Json, type: string): DefaultValue | undefined {
  const plain = value === 'true' ? true : value === 'false' ? false : value;
  if (type === 'string') return typeof value === 'string' ? value : undefined;
  if (type === 'bool') return typeof plain === 'boolean' || typeof plain === 'number' ? Boolean(plain) : undefined;
  if (type === 'u64' || type === 'i64') return Number.isInteger(plain) ? BigInt(plain as number) : undefined;
  if (typeof plain === 'boolean') return Number(plain);
  return typeof plain === 'number' || (typeof plain === 'string' && !baseTypeNames.has(type)) ? plain : undefined;
}

function readField(json: Json, owner: string): FieldDef {
  const parts = listOf(json, `a field of ${owner}`);
  const last = parts.at(-1);
  const options = isObject(last) ? last : undefined;
  const [typeJson, nameJson, length, lengthField] = options === undefined ? parts : parts.slice(0, -1);
  const name = nameOf(nameJson, `a field of ${owner}`);
  const what = `${owner}.${name}`;
  const type = typeName(typeJson, `the type of ${what}`);
  const preset = options?.['default'] === undefined ? undefined : readDefault(options['default'], type);
  return {
    name,
    type,
    ...(length === undefined ? {} : { length: lengthOf(length, what) }),
    ...(lengthField === undefined || lengthField === null ? {} : { lengthField: nameOf(lengthField, what) }),
    ...(preset === undefined ? {} : { default: preset }),
    ...(options?.['discriminator'] === undefined ? {} : { discriminator: nameOf(options['discriminator'], what) }),
    ...(options?.['case'] === undefined ? {} : { case: nameOf(options['case'], what) }),
  };
}

function readFields(json: readonly Json[], owner: string): FieldDef[] {
  const fields = json.filter((part) => Array.isArray(part)).map((part) => readField(part, owner));
  const names = new Set(fields.map((field) => field.name));
  if (names.size !== fields.length) throw new VppSchemaError(`${owner} has two fields of one name`);
  return fields;
}

function readMessage(json: Json[], module: string, scope: (name: string) => TypeDef | undefined): MessageDef {
  const name = nameOf(json[0], `a message of ${module}`);
  const options = isObject(json.at(-1)) ? (json.at(-1) as JsonObject)['options'] : undefined;
  return {
    name,
    crc: crcOf(json, name),
    module,
    fields: readFields(json, name),
    options: Object.fromEntries(
      Object.entries(isObject(options) ? options : {}).map(([key, value]) => [
        key,
        value === null ? null : typeof value === 'string' ? value : JSON.stringify(value),
      ]),
    ),
    scope,
  };
}

function crcOf(json: Json[], name: string): string {
  const tail = json.at(-1);
  const crc = isObject(tail) ? tail['crc'] : undefined;
  if (typeof crc !== 'string' || !/^0x[0-9a-fA-F]{1,8}$/.test(crc)) throw new VppSchemaError(`${name} has no crc`);
  return `0x${crc.slice(2).toLowerCase().padStart(8, '0')}`;
}

function readEnum(json: Json[], kind: 'enum' | 'flags', name: string): TypeDef {
  const tail = json.at(-1);
  const base = isObject(tail) ? tail['enumtype'] : undefined;
  if (typeof base !== 'string' || !integerTypes.has(base)) {
    throw new VppSchemaError(`the enum ${name} has the type ${JSON.stringify(base)}, which is no integer type`);
  }
  const members = json
    .slice(1)
    .filter((part) => Array.isArray(part))
    .map(([member, value]) => {
      if (typeof value !== 'number' || !Number.isInteger(value)) {
        throw new VppSchemaError(`a member of the enum ${name} has the value ${JSON.stringify(value)}`);
      }
      return [nameOf(member, `a member of the enum ${name}`), value] as const;
    });
  return { kind, name, base: base as IntegerType, members };
}

function readService(request: string, json: Json): ServiceDef {
  const { reply, stream, stream_msg: streamMessage, events } = isObject(json) ? json : {};
  return {
    request,
    reply: reply === undefined || reply === null || reply === 'null' ? null : nameOf(reply, `the reply of ${request}`),
    stream: stream === true,
    ...(streamMessage === undefined ? {} : { streamMessage: nameOf(streamMessage, `the stream of ${request}`) }),
    events: listOf(events, `the events of ${request}`).map((event) => nameOf(event, `an event of ${request}`)),
  };
}

/** The files of one schema, indexed by name; each definition is converted when it is asked for. */
class JsonSource {
  readonly release: string;
  readonly #modules: ModuleDef[] = [];
  readonly #messages = new Map<string, readonly [json: Json[], module: string]>();
  readonly #types = new Map<string, () => TypeDef>();
  readonly #services = new Map<string, Json>();

  readonly schema: Schema;

  constructor(release: string) {
    this.release = release;
    this.schema = createSchema(this);
  }

  add(file: Json, fallbackName: string): void {
    if (!isObject(file)) throw new VppSchemaError(`${fallbackName} is no api file: it holds no JSON object`);
    const module = typeof file['module'] === 'string' ? file['module'] : fallbackName;
    const version = isObject(file['options']) ? file['options']['version'] : undefined;
    this.#modules.push({
      name: module,
      version: typeof version === 'string' ? version : '',
      crc: typeof file['vl_api_version'] === 'string' ? file['vl_api_version'] : '',
    });
    for (const [json, name] of named(file['messages'], `messages of ${module}`)) {
      this.#messages.set(name, [json, module]);
    }
    const add = (json: Json[], name: string, make: () => TypeDef): void => {
      // The same type comes with every file that imports it.
      if (!this.#types.has(name)) this.#types.set(name, make);
    };
    for (const [json, name] of named(file['types'], `types of ${module}`)) {
      add(json, name, () => ({ kind: 'struct', name, fields: readFields(json.slice(1), name) }));
    }
    for (const [json, name] of named(file['unions'], `unions of ${module}`)) {
      add(json, name, () => ({ kind: 'union', name, arms: readFields(json.slice(1), name) }));
    }
    for (const [json, name] of named(file['enums'], `enums of ${module}`)) {
      add(json, name, () => readEnum(json, 'enum', name));
    }
    for (const [json, name] of named(file['enumflags'], `enumflags of ${module}`)) {
      add(json, name, () => readEnum(json, 'flags', name));
    }
    for (const [key, alias] of Object.entries(isObject(file['aliases']) ? file['aliases'] : {})) {
      const name = bareName(nameOf(key, `an alias of ${module}`));
      if (!isObject(alias)) throw new VppSchemaError(`the alias ${name} is no object`);
      const type = typeName(alias['type'], `the alias ${name}`);
      const length = alias['length'];
      add([], name, () => ({
        kind: 'alias',
        name,
        type,
        ...(length === undefined || length === null ? {} : { length: lengthOf(length, `the alias ${name}`) }),
      }));
    }
    for (const [request, service] of Object.entries(isObject(file['services']) ? file['services'] : {})) {
      this.#services.set(request, service);
    }
  }

  messageNames(): Iterable<string> {
    return this.#messages.keys();
  }

  typeNames(): Iterable<string> {
    return this.#types.keys();
  }

  modules(): Iterable<ModuleDef> {
    return this.#modules;
  }

  crc(message: string): string | undefined {
    const found = this.#messages.get(message);
    return found === undefined ? undefined : crcOf(found[0], message);
  }

  message(name: string): MessageDef | undefined {
    const found = this.#messages.get(name);
    return found === undefined ? undefined : readMessage(found[0], found[1], this.#scope);
  }

  type(name: string): TypeDef | undefined {
    return this.#types.get(name)?.();
  }

  service(request: string): ServiceDef | undefined {
    const found = this.#services.get(request);
    return found === undefined ? undefined : readService(request, found);
  }

  /** Types are looked up in the schema, which keeps what it has converted. */
  #scope = (name: string): TypeDef | undefined => this.schema.type(name);
}

function* named(value: Json | undefined, what: string): Iterable<[json: Json[], name: string]> {
  for (const json of listOf(value, what)) {
    const list = listOf(json, `one of the ${what}`);
    yield [list, nameOf(list[0], `one of the ${what}`)];
  }
}

function parse(text: string, what: string): Json {
  try {
    // get_api_json puts a NUL behind its document.
    return JSON.parse(text.endsWith('\0') ? text.replace(/\0+$/, '') : text) as Json;
  } catch (error) {
    throw new VppSchemaError(`cannot read the api schema ${what}: ${(error as Error).message}`, { cause: error });
  }
}

/**
 * Makes a schema of JSON text: one api file, or a list of them as get_api_json answers.
 *
 * @param text - the JSON, with or without the NUL that VPP puts behind it
 * @param release - what the schema calls itself
 * @throws {VppSchemaError} when it is no JSON, or no api file
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { schemaFromJson } from 'node-vpp/api/schema';
 * const schema = schemaFromJson('{"messages":[["ping",["u16","_vl_msg_id"],{"crc":"0x01020304"}]]}');
 * assert.equal(schema.crc('ping'), '0x01020304');
 * ```
 */
export function schemaFromJson(text: string, release = 'running'): Schema {
  const source = new JsonSource(release);
  const document = parse(text, release);
  for (const file of Array.isArray(document) ? document : [document]) source.add(file, release);
  return source.schema;
}

/**
 * Reads a folder of `.api.json` files (with its sub-folders), or one file.
 *
 * @throws {VppSchemaError} when the path cannot be read or holds no api file
 */
export function readApiJson(path: string, release = path): Schema {
  const source = new JsonSource(release);
  let files: string[];
  try {
    files = statSync(path).isDirectory()
      ? readdirSync(path, { recursive: true, withFileTypes: true })
          .filter((entry) => entry.isFile() && entry.name.endsWith('.api.json'))
          .map((entry) => join(entry.parentPath, entry.name))
          .sort()
      : [path];
  } catch (error) {
    throw new VppSchemaError(`cannot read the api schema ${path}: ${(error as Error).message}`, { cause: error });
  }
  if (files.length === 0) {
    throw new VppSchemaError(
      `no api schema in ${path}: the folder holds no .api.json file (VPP installs its own below /usr/share/vpp/api)`,
    );
  }
  for (const file of files) {
    const document = parse(readFileSync(file, 'utf8'), file);
    for (const part of Array.isArray(document) ? document : [document]) source.add(part, basename(file, '.api.json'));
  }
  return source.schema;
}
