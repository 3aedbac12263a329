// The embedded dataplane: what stands in for VPP where none is installed.

export * from './api/index.js';
export * from './forwarding/index.js';
