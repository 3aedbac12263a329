// Writes a schema as VPP writes it, in the form of get_api_json: a list with one `.api.json` document per api file.
// Readers of that form, VPP's own clients among them, can use what was bundled or learnt at run time.
//
// Invariant: reading it back gives the same definitions; each file repeats the types that its messages use.

import { baseTypes, type DefaultValue, type FieldDef, type MessageDef, type TypeDef } from './model.js';
import type { Schema } from './schema.js';

const base: ReadonlySet<string> = new Set(baseTypes);

function wireType(type: string): string {
  return base.has(type) ? type : `vl_api_${type}_t`;
}

/** JSON knows no bigint: a default of 64 bits that is no safe integer loses its last digits, as in VPP's own files. */
function defaultJson(value: DefaultValue): number | boolean | string {
  return typeof value === 'bigint' ? Number(value) : value;
}

function fieldJson(field: FieldDef): unknown[] {
  const options = {
    ...(field.default === undefined ? {} : { default: defaultJson(field.default) }),
    ...(field.discriminator === undefined ? {} : { discriminator: field.discriminator }),
    ...(field.case === undefined ? {} : { case: field.case }),
  };
  return [
    wireType(field.type),
    field.name,
    ...(field.length === undefined ? [] : [field.length]),
    ...(field.lengthField === undefined ? [] : [field.lengthField]),
    ...(Object.keys(options).length === 0 ? [] : [options]),
  ];
}

/** The types that fields reach, each after those it is made of. */
function reachable(fields: readonly FieldDef[], def: MessageDef, found: Map<string, TypeDef>): void {
  for (const { type } of fields) {
    const inner = base.has(type) || found.has(type) ? undefined : def.scope(type);
    if (inner === undefined) continue;
    if (inner.kind === 'struct') reachable(inner.fields, def, found);
    else if (inner.kind === 'union') reachable(inner.arms, def, found);
    else if (inner.kind === 'alias') reachable([{ name: '', type: inner.type }], def, found);
    found.set(type, inner);
  }
}

/**
 * Writes a schema in the form of get_api_json.
 * @param modules - the api files to write, by name; all when omitted
 */
export function writeApiJson(schema: Schema, modules?: readonly string[]): string {
  const messages = [...schema.messageNames()].map((name) => schema.message(name)!);
  const documents = [...schema.modules()]
    .filter((module) => modules === undefined || modules.includes(module.name))
    .map((module) => {
      const own = messages.filter((message) => message.module === module.name);
      const types = new Map<string, TypeDef>();
      for (const message of own) reachable(message.fields, message, types);
      const ofKind = <K extends TypeDef['kind']>(kind: K): (TypeDef & { kind: K })[] =>
        [...types.values()].filter((type): type is TypeDef & { kind: K } => type.kind === kind);
      const enums = (kind: 'enum' | 'flags'): unknown[] =>
        ofKind(kind).map((type) => [type.name, ...type.members, { enumtype: type.base }]);
      const services = own.flatMap((message) => {
        const service = schema.service(message.name);
        if (service === undefined) return [];
        const { reply, stream, streamMessage, events } = service;
        return [
          [
            message.name,
            {
              reply: reply ?? 'null',
              ...(stream ? { stream: true } : {}),
              ...(streamMessage === undefined ? {} : { stream_msg: streamMessage }),
              ...(events.length === 0 ? {} : { events }),
            },
          ] as const,
        ];
      });
      return {
        module: module.name,
        types: ofKind('struct').map((type) => [type.name, ...type.fields.map(fieldJson)]),
        messages: own.map((message) => [
          message.name,
          ...message.fields.map(fieldJson),
          { crc: message.crc, options: message.options },
        ]),
        unions: ofKind('union').map((type) => [type.name, ...type.arms.map(fieldJson)]),
        enums: enums('enum'),
        enumflags: enums('flags'),
        services: Object.fromEntries(services),
        options: module.version === '' ? {} : { version: module.version },
        aliases: Object.fromEntries(
          ofKind('alias').map((type) => [
            type.name,
            { type: wireType(type.type), ...(type.length === undefined ? {} : { length: type.length }) },
          ]),
        ),
        ...(module.crc === '' ? {} : { vl_api_version: module.crc }),
      };
    });
  return JSON.stringify(documents);
}
