// Why a transport does not block while it delivers.

import { VppConnectionError } from '../../errors.js';

/** The error for blocking inside a delivery. */
export function nested(): VppConnectionError {
  return new VppConnectionError(
    'ERR_VPP_SYNC',
    'requestSync inside a listener: messages are being delivered, and the reply could not be; use request() there',
  );
}
