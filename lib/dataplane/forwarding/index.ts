export * from './control.js';
export { openForwarder } from './forwarder.js';
