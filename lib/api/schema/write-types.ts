// Writes the TypeScript types of a schema: what the build makes of the bundled releases, and `node-vpp schema types` of
// anyone's own VPP. Types follow the plan, as the codecs do, so both agree on what is text and what is a number.
//
//   export const if_type = { … } as const            enum members             (a .d.ts has their types only)
//   export interface fib_path { … }                  as decoded: all fields
//   export namespace In { interface fib_path { … } } as encoded: lenient
//   export interface Api { encoded; decoded; … }     see api-types.ts
//
// Invariant: a type in Api has VPP's name for every message, field and member.

import {
  planMessage,
  planType,
  type MessagePlan,
  type Node,
  type Part,
  type StructNode,
  type UnionNode,
} from '../codec/plan.js';
import type { DefaultValue, MessageDef } from './model.js';
import type { Schema } from './schema.js';

/** How to write types. */
export interface WriteTypesOptions {
  /** The first line: who made this of what. */
  readonly header: string;
  /** Where the helper types are imported from. */
  readonly from: string;
  /** Whether the enums are written as values as well (a `.ts` file), or as types only (`.d.ts`). */
  readonly values: boolean;
}

/** Words that no type of ours can be called. */
const taken = new Set(
  'any as async await boolean bigint never null number object string symbol undefined unknown void var In Api'
    .split(' ')
    .concat(
      'break case catch class const continue debugger default delete do else enum export extends false finally for function'.split(
        ' ',
      ),
      'if implements import in instanceof interface let new package private protected public return static super switch'.split(
        ' ',
      ),
      'this throw true try type typeof while with yield'.split(' '),
    ),
);

const typeName = (name: string): string => (taken.has(name) ? `${name}_` : name);

type Side = 'in' | 'out';
type Defaults = ReadonlyMap<string, DefaultValue | undefined>;

const literal = (value: DefaultValue): string => (typeof value === 'bigint' ? `${value}n` : JSON.stringify(value));

/** The type of a node of the plan. */
function typeOf(node: Node, side: Side, part?: Part): string {
  switch (node.kind) {
    case 'number':
    case 'f64':
      return 'number';
    case 'bool':
      return 'boolean';
    case 'u64':
    case 'i64':
      return side === 'in' ? 'BigIn' : 'bigint';
    case 'string':
    case 'text':
      return 'string';
    case 'enum':
      return typeName(node.def.name);
    case 'bytes':
      if (node.text !== undefined) return side === 'in' ? 'string | BytesIn' : 'string';
      return side === 'in' ? 'BytesIn' : 'Uint8Array';
    case 'array':
    case 'list': {
      if (node.kind === 'list' && node.bytes) return side === 'in' ? 'BytesIn' : 'Uint8Array';
      const element = typeOf(node.element, side);
      const one = element.includes(' ') ? `(${element})` : element;
      return side === 'in' ? `readonly ${one}[]` : `${one}[]`;
    }
    case 'struct':
      if (node.text === undefined) return typeName(node.name);
      if (side === 'out') return 'string';
      return node.text === 'address'
        ? `string | Uint8Array | ${typeName(node.name)}`
        : `string | ${typeName(node.name)}`;
    case 'union':
      return unionType(node, side, part?.tag?.cases !== undefined);
  }
}

function unionType(node: UnionNode, side: Side, tagged: boolean): string {
  if (node.text === 'ip' && tagged && side === 'out') return 'string';
  const arm = ({ name, node: inner }: Part): string => `${name}: ${typeOf(inner, side)}`;
  const bytes = side === 'in' ? '{ bytes: BytesIn }' : '{ bytes: Uint8Array }';
  const arms = node.arms.map((one) => `{ ${arm(one)} }`);
  if (tagged || side === 'in')
    return [...(node.text === 'ip' ? ['string', 'Uint8Array'] : []), ...arms, bytes].join(' | ');
  return `{ ${node.arms.map(arm).join('; ')} }`;
}

/** Whether a field of a message may be left out because its zero is what is mostly meant. */
function mayBeOmitted(part: Part): boolean {
  const { kind } = part.node;
  return (
    part.default !== undefined ||
    kind === 'bool' ||
    kind === 'string' ||
    kind === 'text' ||
    kind === 'list' ||
    part.role === 'count'
  );
}

/** The unions of a struct whose arm is chosen by an enum of the same struct, by that enum. */
function taggedUnions(struct: StructNode): Map<Part, Part[]> {
  const found = new Map<Part, Part[]>();
  for (const part of struct.parts) {
    const { node, tag } = part;
    if (node.kind !== 'union' || node.text === 'ip' || tag?.cases === undefined || tag.from === 'outer') continue;
    if (tag.from.node.kind === 'enum') found.set(tag.from, [...(found.get(tag.from) ?? []), part]);
  }
  return found;
}

/** One alternative per value of the discriminator, each with the arm it means; the last one for all other numbers. */
function alternatives(from: Part, unions: readonly Part[]): string {
  const values = (from.node as Node & { kind: 'enum' }).def.members.map(([, value]) => value);
  const armOf = ({ node, tag }: Part, value: number): string => {
    const arm = (node as UnionNode).arms[tag!.cases!.get(value) ?? -1];
    return arm === undefined ? '{ bytes: Uint8Array }' : `{ ${arm.name}: ${typeOf(arm.node, 'out')} }`;
  };
  const without = values.filter((value) => unions.every(({ tag }) => !tag!.cases!.has(value)));
  const rest = [...without, 'OtherNumber'].join(' | ');
  const one = (values: string, arm: (union: Part) => string): string =>
    `{ ${from.name}: ${values}; ${unions.map((union) => `${union.name}: ${arm(union)}`).join('; ')} }`;
  return [
    ...values
      .filter((value) => !without.includes(value))
      .map((value) => one(String(value), (union) => armOf(union, value))),
    one(rest, () => '{ bytes: Uint8Array }'),
  ].join(' | ');
}

function fieldsOf(struct: StructNode, side: Side, defaults: Defaults, isMessage: boolean): string {
  const lines: string[] = [];
  const unions = side === 'out' ? taggedUnions(struct) : new Map<Part, Part[]>();
  const apart = new Set([...unions].flatMap(([from, parts]) => [from, ...parts]));
  for (const part of struct.parts) {
    if (part.role === 'header' || apart.has(part)) continue;
    const given = defaults.get(part.name);
    const optional = side === 'in' && (!isMessage || given !== undefined || mayBeOmitted(part));
    const note = side === 'in' && given !== undefined ? `/** default ${literal(given)} */ ` : '';
    lines.push(`${note}${part.name}${optional ? '?' : ''}: ${typeOf(part.node, side, part)}`);
  }
  const tagged = [...unions].map(([from, parts]) => `(${alternatives(from, parts)})`);
  const plain = lines.length === 0 && tagged.length > 0 ? [] : [`{ ${lines.join('; ')} }`];
  return [...plain, ...tagged].join(' & ');
}

function deprecation(def: MessageDef): string {
  if (!('deprecated' in def.options)) return '';
  const since = def.options['deprecated'];
  const instead = def.options['replaced_by'];
  return `/** @deprecated${since ? ` since ${since}` : ''}${instead ? ` use ${instead}` : ''} */ `;
}

function writeUserTypes(schema: Schema, values: boolean): string[] {
  const out: string[] = [];
  const input: string[] = [];
  for (const name of [...schema.typeNames()].sort()) {
    const def = schema.type(name)!;
    const id = typeName(name);
    if (def.kind === 'enum' || def.kind === 'flags') {
      const node = planType(name, (type) => schema.type(type)) as Node & { kind: 'enum' };
      const members = def.members.map(([member, value]) => `${member}: ${value}`);
      out.push(
        values
          ? `export const ${id} = { ${members.join(', ')} } as const;`
          : `declare const ${id}: { ${members.map((member) => `readonly ${member}`).join('; ')} };`,
        `export type ${id} = ${node.mask ? 'number' : `EnumOut<typeof ${id}>`};`,
      );
      input.push(`  export type ${id} = ${node.mask ? 'FlagsIn' : 'EnumIn'}<typeof ${id}>;`);
    } else if (def.kind === 'struct') {
      const node = planType(name, (type) => schema.type(type)) as StructNode;
      const defaults = new Map(def.fields.map((field) => [field.name, field.default]));
      const fields = fieldsOf(node, 'out', defaults, false);
      out.push(
        fields.startsWith('(') || fields.includes(' & ')
          ? `export type ${id} = ${fields};`
          : `export interface ${id} ${fields}`,
      );
      input.push(`  export interface ${id} ${fieldsOf(node, 'in', defaults, false)}`);
    }
  }
  return [...out, 'export namespace In {', ...input, '}'];
}

/** Writes the types of a schema as one TypeScript file. */
export function writeTypes(schema: Schema, options: WriteTypesOptions): string {
  const plans: MessagePlan[] = [...schema.messageNames()].map((name) => planMessage(schema.message(name)!));
  const inputs: string[] = [];
  const outputs: string[] = [];
  const requests: string[] = [];
  const dumps: string[] = [];
  const cursors: string[] = [];
  const events = new Map<string, string>();
  for (const { def, struct } of plans) {
    const { name } = def;
    const note = deprecation(def);
    const defaults = new Map(def.fields.map((field) => [field.name, field.default]));
    outputs.push(`  ${note}${name}: ${fieldsOf(struct, 'out', defaults, true)};`);
    inputs.push(`    ${note}${name}: ${fieldsOf(struct, 'in', defaults, true)};`);
    const service = schema.service(name);
    if (service === undefined) continue;
    const line = (target: string): string => `  ${note}${name}: '${target}';`;
    if (service.reply !== null) {
      if (!service.stream) requests.push(line(service.reply));
      else dumps.push(line(service.streamMessage ?? service.reply));
      if (service.streamMessage !== undefined) cursors.push(line(service.reply));
    }
    for (const event of service.events) if (schema.has(event)) events.set(event, name);
  }
  const map = (name: string, lines: readonly string[]): string[] => [`export interface ${name} {`, ...lines, '}'];
  return [
    `// ${options.header}`,
    `import type { BigIn, BytesIn, EnumIn, EnumOut, FlagsIn, OtherNumber } from '${options.from}';`,
    // Without this a declaration file exports what is only declared.
    ...(options.values ? [] : ['export {};']),
    ...writeUserTypes(schema, options.values),
    ...map('Decoded', outputs),
    'export namespace In {',
    ...map('Messages', inputs).map((line) => `  ${line}`),
    '}',
    ...map('Requests', requests),
    ...map('Dumps', dumps),
    ...map('Cursors', cursors),
    ...map(
      'Events',
      [...events].map(([event, request]) => `  ${event}: '${request}';`),
    ),
    '/** Every message of this VPP: the type parameter of a connection. */',
    `export interface Api { release: '${schema.release}'; encoded: In.Messages; decoded: Decoded; requests: Requests; dumps: Dumps; cursors: Cursors; events: Events }`,
    '',
  ].join('\n');
}
