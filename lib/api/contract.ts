import type { MessageDef } from './schema/model.js';
export { retvalName } from './schema/retval.js';
export * from './schema/index.js';
export type { MessageCodec } from './codec/codec.js';
export function explainDifference(a: MessageDef, b: MessageDef): string[] {
  const text = (def: MessageDef) => def.fields.map((f) => `${f.type} ${f.name}${f.length === undefined ? '' : `[${f.length}]`}`);
  const [x, y] = [text(a), text(b)];
  return [...x.filter((f) => !y.includes(f)).map((f) => `only in ours: ${f}`), ...y.filter((f) => !x.includes(f)).map((f) => `only in VPP: ${f}`)];
}
