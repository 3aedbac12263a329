// The schema: what messages there are. See model.ts.

export * from './model.js';
export { createSchema, mergeSchemas, type Schema, type SchemaSource } from './schema.js';
export { readCompact, writeCompact } from './compact.js';
export { readApiJson, schemaFromJson } from './read-json.js';
export { bundledReleases, loadBundled, newestRelease, type BundledRelease } from './bundled.js';
export { retvalName, retvals, type RetvalInfo } from './retval.js';
export { writeTypes, type WriteTypesOptions } from './write-types.js';
export type * from './api-types.js';
export type { Api as NewestApi } from '../generated/26.06.js';
export { computeCrc } from './crc.js';
export {
  differenceKinds,
  differenceText,
  diffSchemas,
  explainDifference,
  type Difference,
  type DifferenceKind,
  type SchemaDifference,
} from './diff.js';
export { writeApiJson } from './write-json.js';
