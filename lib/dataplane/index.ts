// The embedded dataplane: what stands in for VPP where none is installed.

export * from './api/index.js';
export { Dataplane, startDataplane } from './dataplane.js';
export type { DataplaneOptions } from './options.js';
export * from './forwarding/index.js';
