// The forwarding plane. Until it is joined here, a dataplane needs a forwarder of its caller's.
import type { Forwarder, ForwarderOptions } from './control.js';
export function openForwarder(_options: ForwarderOptions): Promise<Forwarder> {
  return Promise.reject(new Error('not yet'));
}
