// VPP's binary API.

export * from './schema/index.js';
export * from './codec/index.js';
