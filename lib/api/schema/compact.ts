// The compact form of a schema: one line of text per definition, so that a release is loaded by finding its lines
// and a definition costs nothing until its line is asked for. Only facts: no comments, no help texts.
//
//   node-vpp-api 1 26.06
//   F interface 3.2.3 0x4e8b5c3a                          an api file; the messages below it are its own
//   m sw_interface_set_flags f5aec1b8 > interface_index:sw_if_index if_status_flags:flags ;
//   t fib_path u32:sw_if_index … mpls_label:label_stack[16]       struct        u name …   union
//   e if_type u32 IF_API_TYPE_HARDWARE IF_API_TYPE_SUB …          enum          f name …   flags
//   a mac_address u8 6                                            alias
//
//   field    type:name  then  [16] array, [count] counted by `count`, [] text with its length;  =default
//            ?sibling discriminator  @MEMBER case of an arm
//   header   >  _vl_msg_id client_index context     <  _vl_msg_id context     !  the same and i32:retval
//   service  ;  name_reply    ;name  that reply     ;*name  a stream   ;*  x_dump answered by x_details
//            ;-  no reply      ~name  messages before a reply with a cursor       +name  event
//   members  NAME counts on from the one before, NAME=5 starts anew
//   options  {deprecated,status=in_progress} between checksum and fields

import { VppSchemaError } from '../../errors.js';
import type {
  DefaultValue,
  EnumDef,
  FieldDef,
  IntegerType,
  MessageDef,
  ModuleDef,
  ServiceDef,
  TypeDef,
} from './model.js';
import { createSchema, type Schema } from './schema.js';

const magic = 'node-vpp-api 1 ';

const id: FieldDef = { name: '_vl_msg_id', type: 'u16' };
const clientIndex: FieldDef = { name: 'client_index', type: 'u32' };
const context: FieldDef = { name: 'context', type: 'u32' };
const retval: FieldDef = { name: 'retval', type: 'i32' };
const headers: readonly (readonly [sign: string, fields: readonly FieldDef[]])[] = [
  ['>', [id, clientIndex, context]],
  ['!', [id, context, retval]],
  ['<', [id, context]],
];

// ---- writing -------------------------------------------------------------------------------------------------------

function writeField(field: FieldDef): string {
  let text = `${field.type}:${field.name}`;
  if (field.lengthField !== undefined) text += `[${field.lengthField}]`;
  else if (field.length !== undefined) text += field.length === 0 ? '[]' : `[${field.length}]`;
  if (field.default !== undefined)
    text += `=${typeof field.default === 'bigint' ? `${field.default}n` : JSON.stringify(field.default)}`;
  if (field.discriminator !== undefined) text += `?${field.discriminator}`;
  if (field.case !== undefined) text += `@${field.case}`;
  if (/\s/.test(text)) throw new VppSchemaError(`the field ${field.name} cannot be written in compact form: ${text}`);
  return text;
}

function sameField(a: FieldDef, b: FieldDef | undefined): boolean {
  return b !== undefined && writeField(a) === writeField(b);
}

function writeService(service: ServiceDef | undefined): string {
  if (service === undefined) return '';
  const { request, reply, stream, streamMessage, events } = service;
  let text = stream ? ' ;*' : ' ;';
  if (reply === null) text += '-';
  else if (reply !== usualReply(request, stream)) text += reply;
  if (streamMessage !== undefined) text += ` ~${streamMessage}`;
  return text + events.map((event) => ` +${event}`).join('');
}

function usualReply(request: string, stream: boolean): string {
  return stream ? `${request.replace(/_dump$/, '')}_details` : `${request}_reply`;
}

function writeMessage(message: MessageDef, service: ServiceDef | undefined): string {
  const options = Object.entries(message.options).map(([key, value]) => (value === null ? key : `${key}=${value}`));
  const header = headers.find(([, fields]) => fields.every((field, at) => sameField(field, message.fields[at])));
  const rest = message.fields.slice(header?.[1].length ?? 0).map((field) => ` ${writeField(field)}`);
  return (
    `m ${message.name} ${message.crc.slice(2)}` +
    (options.length === 0 ? '' : ` {${options.join(',')}}`) +
    (header === undefined ? '' : ` ${header[0]}`) +
    rest.join('') +
    writeService(service)
  );
}

function writeType(type: TypeDef): string {
  switch (type.kind) {
    case 'struct':
      return `t ${type.name} ${type.fields.map(writeField).join(' ')}`;
    case 'union':
      return `u ${type.name} ${type.arms.map(writeField).join(' ')}`;
    case 'alias':
      return `a ${type.name} ${type.type}${type.length === undefined ? '' : ` ${type.length}`}`;
    case 'enum':
    case 'flags': {
      let next = 0;
      const members = type.members.map(([name, value]) => {
        const text = value === next ? name : `${name}=${value}`;
        next = value + 1;
        return text;
      });
      return `${type.kind === 'flags' ? 'f' : 'e'} ${type.name} ${type.base} ${members.join(' ')}`;
    }
  }
}

/** Writes a schema in compact form, without the options named in `leaveOut`. */
export function writeCompact(schema: Schema, leaveOut: ReadonlySet<string> = new Set(['vat_help'])): string {
  const lines = [magic + schema.release];
  for (const name of [...schema.typeNames()].sort()) lines.push(writeType(schema.type(name)!));
  const messages = [...schema.messageNames()].map((name) => schema.message(name)!);
  for (const module of schema.modules()) {
    lines.push(`F ${module.name} ${module.version || '-'} ${module.crc || '-'}`);
    for (const message of messages) {
      if (message.module !== module.name) continue;
      const options = Object.entries(message.options).filter(([key]) => !leaveOut.has(key));
      lines.push(writeMessage({ ...message, options: Object.fromEntries(options) }, schema.service(message.name)));
    }
  }
  return lines.join('\n') + '\n';
}

// ---- reading -------------------------------------------------------------------------------------------------------

function readDefault(text: string): DefaultValue {
  return /^-?\d+n$/.test(text) ? BigInt(text.slice(0, -1)) : (JSON.parse(text) as DefaultValue);
}

const fieldForm = /^(\w+):(\w+)(?:\[(\w*)\])?(?:=([^?@]+|"[^"]*"))?(?:\?(\w+))?(?:@(\w+))?$/;

function readField(text: string): FieldDef {
  const parts = fieldForm.exec(text);
  if (parts === null) throw new VppSchemaError(`cannot read the compact schema: the field "${text}" has no such form`);
  const [, type, name, array, value, discriminator, member] = parts;
  const counted = array !== undefined && /^[A-Za-z_]/.test(array);
  return {
    name: name!,
    type: type!,
    ...(array === undefined ? {} : { length: counted ? 0 : Number(array) }),
    ...(counted ? { lengthField: array } : {}),
    ...(value === undefined ? {} : { default: readDefault(value) }),
    ...(discriminator === undefined ? {} : { discriminator }),
    ...(member === undefined ? {} : { case: member }),
  };
}

function readMembers(words: readonly string[]): EnumDef['members'] {
  let next = 0;
  return words.map((word) => {
    const [name = '', value] = word.split('=');
    const number = value === undefined ? next : Number(value);
    next = number + 1;
    return [name, number] as const;
  });
}

function readOptions(word: string): Record<string, string | null> {
  const entries = word.slice(1, -1).split(',');
  return Object.fromEntries(
    entries.map((entry) => {
      const equals = entry.indexOf('=');
      return equals < 0 ? [entry, null] : [entry.slice(0, equals), entry.slice(equals + 1)];
    }),
  );
}

function readType(line: string): TypeDef {
  const [kind, name = '', ...words] = line.split(' ').filter((word) => word !== '');
  switch (kind) {
    case 't':
      return { kind: 'struct', name, fields: words.map(readField) };
    case 'u':
      return { kind: 'union', name, arms: words.map(readField) };
    case 'a':
      return { kind: 'alias', name, type: words[0]!, ...(words[1] === undefined ? {} : { length: Number(words[1]) }) };
    default:
      return {
        kind: kind === 'f' ? 'flags' : 'enum',
        name,
        base: words[0] as IntegerType,
        members: readMembers(words.slice(1)),
      };
  }
}

/** Where the lines of a compact schema are. */
class CompactSource {
  readonly release: string;
  readonly #lines: readonly string[];
  readonly #messages = new Map<string, number>();
  readonly #types = new Map<string, number>();
  /** Line numbers of the api files, ascending. */
  readonly #files: number[] = [];
  readonly schema: Schema;

  constructor(text: string) {
    if (!text.startsWith(magic))
      throw new VppSchemaError(`cannot read the compact schema: it does not begin with "${magic}"`);
    const lines = text.split('\n');
    this.release = lines[0]!.slice(magic.length);
    this.#lines = lines;
    for (let at = 1; at < lines.length; at++) {
      const line = lines[at]!;
      if (line === '') continue;
      if (line.startsWith('F')) {
        this.#files.push(at);
        continue;
      }
      const name = line.slice(2, line.indexOf(' ', 2));
      (line.startsWith('m') ? this.#messages : this.#types).set(name, at);
    }
    this.schema = createSchema(this);
  }

  messageNames(): Iterable<string> {
    return this.#messages.keys();
  }

  typeNames(): Iterable<string> {
    return this.#types.keys();
  }

  modules(): Iterable<ModuleDef> {
    return this.#files.map((at) => this.#module(at));
  }

  #module(at: number): ModuleDef {
    const [, name = '', version = '-', crc = '-'] = this.#lines[at]!.split(' ');
    return { name, version: version === '-' ? '' : version, crc: crc === '-' ? '' : crc };
  }

  crc(message: string): string | undefined {
    const at = this.#messages.get(message);
    if (at === undefined) return undefined;
    const start = message.length + 3;
    return `0x${this.#lines[at]!.slice(start, start + 8)}`;
  }

  message(name: string): MessageDef | undefined {
    const at = this.#messages.get(name);
    if (at === undefined) return undefined;
    const [definition = ''] = this.#lines[at]!.split(' ;');
    const [, , crc = '', ...words] = definition.split(' ');
    const options = words[0]?.startsWith('{') === true ? readOptions(words.shift()!) : {};
    const header = headers.find(([sign]) => sign === words[0])?.[1];
    if (header !== undefined) words.shift();
    return {
      name,
      crc: `0x${crc}`,
      module: this.#module(this.#files.findLast((file) => file < at)!).name,
      fields: [...(header ?? []), ...words.map(readField)],
      options,
      scope: this.#scope,
    };
  }

  type(name: string): TypeDef | undefined {
    const at = this.#types.get(name);
    return at === undefined ? undefined : readType(this.#lines[at]!);
  }

  service(request: string): ServiceDef | undefined {
    const at = this.#messages.get(request);
    const text = at === undefined ? undefined : this.#lines[at]!.split(' ;')[1];
    if (text === undefined) return undefined;
    const [answer = '', ...words] = text.split(' ');
    const stream = answer.startsWith('*');
    const reply = stream ? answer.slice(1) : answer;
    const streamMessage = words.find((word) => word.startsWith('~'));
    return {
      request,
      reply: reply === '-' ? null : reply === '' ? usualReply(request, stream) : reply,
      stream,
      ...(streamMessage === undefined ? {} : { streamMessage: streamMessage.slice(1) }),
      events: words.filter((word) => word.startsWith('+')).map((word) => word.slice(1)),
    };
  }

  #scope = (name: string): TypeDef | undefined => this.schema.type(name);
}

/** Reads a schema in compact form. */
export function readCompact(text: string): Schema {
  return new CompactSource(text).schema;
}
