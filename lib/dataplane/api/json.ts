// What a VPP answers to get_api_json: its modules as `.api.json` texts in one list, each with all user types its
// messages need. As in VPP, the client module (memclnt) is left out, and every client has to know it by itself.

import type { FieldDef, MessageDef, Schema, ServiceDef, TypeDef } from '../../api/schema/index.js';

type JsonField = (string | number | Record<string, unknown>)[];

interface JsonModule {
  module: string;
  types: unknown[];
  messages: unknown[];
  unions: unknown[];
  enums: unknown[];
  enumflags: unknown[];
  services: Record<string, unknown>;
  options: Record<string, string>;
  aliases: Record<string, unknown>;
  vl_api_version: string;
  imports: string[];
  counters: unknown[];
  paths: unknown[];
}

const BASE = new Set(['u8', 'i8', 'u16', 'i16', 'u32', 'i32', 'u64', 'i64', 'f64', 'bool', 'string']);

/** The name of a type where it is used. */
function wireType(type: string): string {
  return BASE.has(type) ? type : `vl_api_${type}_t`;
}

function jsonField(field: FieldDef): JsonField {
  const json: JsonField = [wireType(field.type), field.name];
  if (field.length !== undefined) json.push(field.length);
  if (field.lengthField !== undefined) json.push(field.lengthField);
  const options: Record<string, unknown> = {};
  if (field.default !== undefined) {
    // VPP's own writer turns true, and only true, into a string.
    if (field.default === true) options['default'] = 'true';
    else options['default'] = typeof field.default === 'bigint' ? Number(field.default) : field.default;
  }
  if (field.discriminator !== undefined) options['discriminator'] = field.discriminator;
  if (field.case !== undefined) options['case'] = field.case;
  if (Object.keys(options).length > 0) json.push(options);
  return json;
}

function jsonService({ reply, stream, streamMessage, events }: ServiceDef): Record<string, unknown> {
  return {
    reply: reply ?? 'null',
    ...(stream ? { stream: true } : {}),
    ...(streamMessage === undefined ? {} : { stream_msg: streamMessage }),
    ...(events.length > 0 ? { events } : {}),
  };
}

/** Adds a type after the types it uses. */
function addType(json: JsonModule, def: MessageDef, name: string, seen: Set<string>): void {
  if (BASE.has(name) || seen.has(name)) return;
  seen.add(name);
  const type = def.scope(name);
  if (type === undefined) return;
  for (const inner of usedBy(type)) addType(json, def, inner, seen);
  switch (type.kind) {
    case 'struct':
      json.types.push([name, ...type.fields.map(jsonField)]);
      break;
    case 'union':
      json.unions.push([name, ...type.arms.map(jsonField)]);
      break;
    case 'enum':
      json.enums.push([name, ...type.members.map((member) => [...member]), { enumtype: type.base }]);
      break;
    case 'flags':
      json.enumflags.push([name, ...type.members.map((member) => [...member]), { enumtype: type.base }]);
      break;
    case 'alias':
      json.aliases[name] = { type: wireType(type.type), ...(type.length === undefined ? {} : { length: type.length }) };
  }
}

function usedBy(type: TypeDef): string[] {
  if (type.kind === 'struct') return type.fields.map((field) => field.type);
  if (type.kind === 'union') return type.arms.map((arm) => arm.type);
  return type.kind === 'alias' ? [type.type] : [];
}

/** A schema as VPP tells it. */
export function apiJson(schema: Schema): string {
  const modules = new Map<string, { json: JsonModule; seen: Set<string> }>();
  for (const { name, version, crc } of schema.modules()) {
    const options: Record<string, string> = version === '' ? {} : { version };
    const json: JsonModule = {
      module: name,
      types: [],
      messages: [],
      unions: [],
      enums: [],
      enumflags: [],
      services: {},
      options,
      aliases: {},
      vl_api_version: crc,
      imports: [],
      counters: [],
      paths: [],
    };
    modules.set(name, { json, seen: new Set() });
  }
  for (const name of schema.messageNames()) {
    const def = schema.message(name)!;
    const module = modules.get(def.module);
    if (module === undefined || def.module === 'memclnt') continue;
    const { json, seen } = module;
    for (const { type } of def.fields) addType(json, def, type, seen);
    json.messages.push([name, ...def.fields.map(jsonField), { crc: def.crc, options: def.options }]);
    const service = schema.service(name);
    if (service !== undefined) json.services[name] = jsonService(service);
  }
  return JSON.stringify([...modules.values()].map(({ json }) => json).filter(({ messages }) => messages.length > 0));
}
