// VPP's binary API. What every program needs; reading, comparing and writing schemas is node-vpp/api/schema, so that
// a connection does not load it.

export * from './schema/model.js';
export { createSchema, mergeSchemas, type Schema, type SchemaSource } from './schema/schema.js';
export { bundledReleases, loadBundled, newestRelease, type BundledRelease } from './schema/bundled.js';
export { retvalName, retvals, type RetvalInfo } from './schema/retval.js';
export type * from './schema/api-types.js';
export type { Api as NewestApi } from './generated/26.06.js';
export * from './codec/index.js';
