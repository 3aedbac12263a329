// `node-vpp schema`: looks at the messages of VPP without a VPP. A schema is a bundled release (`26.06`) or the path of
// `.api.json` files: a folder, one file, or what get_api_json answered.
//
//   ls [PATTERN]     names with checksum and kind        export    as JSON in the form of get_api_json
//   show MESSAGE     fields, types, defaults, reply      types     as TypeScript types
//   diff A B         what changed, field by field

import type { Command } from 'commander';
import { writeFileSync } from 'node:fs';
import {
  bundledReleases,
  diffSchemas,
  differenceText,
  loadBundled,
  newestRelease,
  readApiJson,
  writeApiJson,
  writeTypes,
  type BundledRelease,
  type FieldDef,
  type MessageDef,
  type Schema,
  type SchemaDifference,
  type TypeDef,
} from '../api/schema/index.js';
import { VppSchemaError } from '../errors.js';

/** A bundled release, or the path of `.api.json` files. */
export function openSchema(name: string): Schema {
  if ((bundledReleases as readonly string[]).includes(name)) return loadBundled(name as BundledRelease);
  return readApiJson(name);
}

/** What a message is for: `request`, `dump`, `event`, … */
function kindOf(schema: Schema, message: string, events: ReadonlySet<string>): string {
  const service = schema.service(message);
  if (events.has(message)) return 'event';
  if (service === undefined) return /_(reply|details)(_v\d+)?$/.test(message) ? 'answer' : 'message';
  if (service.reply === null) return 'no answer';
  return service.stream ? 'dump' : 'request';
}

/** One row of `schema ls`. */
export interface MessageRow {
  readonly name: string;
  readonly crc: string;
  readonly module: string;
  readonly kind: string;
  readonly deprecated: boolean;
}

/** The messages whose name contains the pattern. */
export function listMessages(schema: Schema, pattern = ''): MessageRow[] {
  const rows: MessageRow[] = [];
  const events = new Set([...schema.messageNames()].flatMap((name) => schema.service(name)?.events ?? []));
  for (const name of schema.messageNames()) {
    if (!name.includes(pattern)) continue;
    const { crc, module, options } = schema.message(name)!;
    rows.push({ name, crc, module, kind: kindOf(schema, name, events), deprecated: 'deprecated' in options });
  }
  return rows;
}

function fieldText(field: FieldDef): string {
  const { name, type, length, lengthField } = field;
  const shape = length === undefined ? '' : `[${lengthField ?? (length === 0 ? '' : String(length))}]`;
  const value = field.default === undefined ? '' : ` = ${String(field.default)}`;
  const tag = field.discriminator === undefined ? '' : ` (by ${field.discriminator})`;
  return `${type} ${name}${shape}${value}${tag}${field.case === undefined ? '' : ` (for ${field.case})`}`;
}

/** The user types that fields reach, in the order they are met. */
function typesOf(message: MessageDef): Map<string, TypeDef> {
  const found = new Map<string, TypeDef>();
  const visit = (type: string): void => {
    const def = found.has(type) ? undefined : message.scope(type);
    if (def === undefined) return;
    found.set(type, def);
    if (def.kind === 'struct') for (const field of def.fields) visit(field.type);
    else if (def.kind === 'union') for (const arm of def.arms) visit(arm.type);
    else if (def.kind === 'alias') visit(def.type);
  };
  for (const field of message.fields) visit(field.type);
  return found;
}

function typeText(def: TypeDef): string {
  switch (def.kind) {
    case 'alias':
      return `alias ${def.name} = ${def.type}${def.length === undefined ? '' : `[${def.length}]`}`;
    case 'struct':
      return `struct ${def.name}\n${def.fields.map((field) => `    ${fieldText(field)}`).join('\n')}`;
    case 'union':
      return `union ${def.name}\n${def.arms.map((arm) => `    ${fieldText(arm)}`).join('\n')}`;
    case 'enum':
    case 'flags':
      return `${def.kind} ${def.name}: ${def.base}\n${def.members.map(([name, value]) => `    ${name} = ${value}`).join('\n')}`;
  }
}

function mustHave(schema: Schema, name: string): MessageDef {
  const message = schema.message(name);
  if (message !== undefined) return message;
  const near = [...schema.messageNames()].filter((other) => other.includes(name)).slice(0, 8);
  const elsewhere = bundledReleases.filter((release) => release !== schema.release && loadBundled(release).has(name));
  throw new VppSchemaError(
    `there is no message ${name} in ${schema.release}` +
      (elsewhere.length === 0 ? '' : `; it is in ${elsewhere.join(' and ')}`) +
      (near.length === 0 ? '' : `; similar are ${near.join(', ')}`),
  );
}

/** A message, what answers it, and every type it uses, as text. */
export function showMessage(schema: Schema, name: string): string {
  const message = mustHave(schema, name);
  const service = schema.service(name);
  const codec = schema.codec(name)!;
  const lines = [`${name} ${message.crc}, module ${message.module}, ${schema.release}`];
  for (const [option, value] of Object.entries(message.options))
    lines.push(`  ${option}${value === null ? '' : `: ${value}`}`);
  lines.push(
    `  ${codec.fixedSize} bytes and what is variable`,
    ...message.fields.map((field) => `    ${fieldText(field)}`),
  );
  if (service !== undefined) {
    const { reply, stream, streamMessage, events } = service;
    if (streamMessage !== undefined)
      lines.push(`  answered by ${streamMessage} …, then ${reply ?? 'nothing'} with a cursor`);
    else lines.push(`  answered by ${reply ?? 'nothing'}${stream ? ' …' : ''}`);
    if (events.length > 0) lines.push(`  switches on ${events.join(', ')}`);
  }
  return [lines.join('\n'), ...[...typesOf(message).values()].map(typeText)].join('\n\n');
}

/** A message as data. */
export function messageJson(schema: Schema, name: string): object {
  const message = mustHave(schema, name);
  const { crc, module, fields, options } = message;
  return { name, crc, module, fields, options, service: schema.service(name), types: [...typesOf(message).values()] };
}

/** What changed, as text: messages gone and come, then each changed one with its differences. */
export function diffText(difference: SchemaDifference): string {
  const lines = [
    ...difference.removed.map((name) => `- ${name}`),
    ...difference.added.map((name) => `+ ${name}`),
    ...difference.changed.flatMap(({ message, differences }) => [
      `~ ${message}`,
      ...differences.map((one) => `    ${differenceText(one)}`),
    ]),
  ];
  return lines.length === 0 ? 'no difference' : lines.join('\n');
}

/** Only what changes bytes, or only one message. */
export function narrowDiff(
  difference: SchemaDifference,
  { wire = false, message }: { wire?: boolean; message?: string | undefined },
): SchemaDifference {
  const only = (names: readonly string[]): string[] =>
    names.filter((name) => message === undefined || name === message);
  return {
    removed: only(difference.removed),
    added: only(difference.added),
    changed: difference.changed
      .filter((one) => message === undefined || one.message === message)
      .map((one) => (wire ? { ...one, differences: one.differences.filter((each) => each.wire) } : one))
      .filter((one) => one.differences.length > 0),
  };
}

/** The TypeScript types of a schema: types only for a `.d.ts`, with the enums' values for a `.ts`. */
export function typesText(schema: Schema, out: string | undefined): string {
  return writeTypes(schema, {
    header: `Generated by "node-vpp schema types" from ${schema.release}. Do not edit.`,
    from: 'node-vpp/api',
    values: out !== undefined && /(?<!\.d)\.m?ts$/.test(out),
  });
}

function json(value: unknown): string {
  return JSON.stringify(value, (_, each: unknown) => (typeof each === 'bigint' ? String(each) : each), 2);
}

function emit(text: string, out: string | undefined): void {
  if (out === undefined) process.stdout.write(text.endsWith('\n') ? text : `${text}\n`);
  else writeFileSync(out, text);
}

/** Adds `schema` to the command. */
export function register(program: Command): void {
  const schema = program.command('schema').description('look at the messages of a VPP release, or of .api.json files');
  const of = ['-s, --schema <schema>', 'a bundled release, or the path of .api.json files'] as const;

  schema
    .command('ls')
    .description('list messages')
    .argument('[pattern]', 'part of the name')
    .option(...of, newestRelease)
    .option('--json', 'as JSON', false)
    .action((pattern: string | undefined, options: { schema: string; json: boolean }) => {
      const rows = listMessages(openSchema(options.schema), pattern);
      const text = rows.map(
        (row) => `${row.crc}  ${row.kind.padEnd(9)}  ${row.name}${row.deprecated ? '  (deprecated)' : ''}`,
      );
      emit(options.json ? json(rows) : text.join('\n'), undefined);
    });

  schema
    .command('show')
    .description('show a message with the types it uses')
    .argument('<message>')
    .option(...of, newestRelease)
    .option('--json', 'as JSON', false)
    .action((message: string, options: { schema: string; json: boolean }) => {
      const opened = openSchema(options.schema);
      emit(options.json ? json(messageJson(opened, message)) : showMessage(opened, message), undefined);
    });

  schema
    .command('diff')
    .description('say what changed from one schema to another, field by field')
    .argument('<before>', of[1])
    .argument('<after>', of[1])
    .option('-m, --message <name>', 'only this message')
    .option('--wire', 'only what changes the bytes', false)
    .option('--json', 'as JSON', false)
    .action((before: string, after: string, options: { message?: string; wire: boolean; json: boolean }) => {
      const difference = narrowDiff(diffSchemas(openSchema(before), openSchema(after)), options);
      emit(options.json ? json(difference) : diffText(difference), undefined);
    });

  schema
    .command('export')
    .description('write a schema as JSON, in the form of get_api_json')
    .option(...of, newestRelease)
    .option('-m, --module <name...>', 'only these api files')
    .option('-o, --out <file>', 'write to a file')
    .option('--json', 'it always is', true)
    .action((options: { schema: string; module?: string[]; out?: string }) => {
      emit(writeApiJson(openSchema(options.schema), options.module), options.out);
    });

  schema
    .command('types')
    .description('write the TypeScript types of a schema: a .d.ts, or a .ts with the values of the enums')
    .option(...of, newestRelease)
    .option('-o, --out <file>', 'write to a file')
    .option('--json', 'say what was written as JSON', false)
    .action((options: { schema: string; out?: string; json: boolean }) => {
      const opened = openSchema(options.schema);
      const text = typesText(opened, options.out);
      if (options.json)
        emit(json({ release: opened.release, bytes: text.length, out: options.out ?? null }), undefined);
      if (!options.json || options.out !== undefined) emit(text, options.out);
    });
}
