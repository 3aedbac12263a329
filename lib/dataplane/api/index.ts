// The API server. See server.ts.

export { ApiServer, type ApiServerOptions, type Handler, type RestartOptions } from './server.js';
export { ServerClient, type Answer } from './client.js';
export type { Fault, FaultAction } from './faults.js';
export { ServerTable, type TableOptions } from './table.js';
