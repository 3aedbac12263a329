// The want_* requests: which field of one switches the events on.

import type { Schema } from '../../api/schema/index.js';

/** The enabling field of a request that has events; undefined for any other request. */
export function wantFlag(schema: Schema, request: string): string | undefined {
  if (!request.startsWith('want_') || (schema.service(request)?.events.length ?? 0) === 0) return undefined;
  return schema.message(request)?.fields.find(({ name }) => name === 'enable_disable' || name === 'enable')?.name;
}

/** The want_* requests that switch an event on. */
export function wantsOf(schema: Schema, event: string): string[] {
  return [...schema.messageNames()].filter(
    (name) => name.startsWith('want_') && schema.service(name)?.events.includes(event) === true,
  );
}
