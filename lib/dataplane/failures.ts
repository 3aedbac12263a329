// What a port could not do, as the retval that VPP would give for it.

import { ArgumentRangeError, MemifError, SystemError } from '../errors.js';
import { Refused, type RetvalName } from './retvals.js';

/** Runs what the forwarder may find out of its range; then the request is refused with `name`. */
export function within<T>(name: RetvalName, act: () => T): T {
  try {
    return act();
  } catch (error) {
    if (error instanceof ArgumentRangeError) throw new Refused(name, { cause: error });
    throw error;
  }
}

/** Runs what opens a port; what it throws becomes a refusal, and is kept as its cause. */
export function refusing<T>(act: () => T, name: (error: MemifError | SystemError) => RetvalName): T {
  try {
    return act();
  } catch (error) {
    if (error instanceof MemifError || error instanceof SystemError) throw new Refused(name(error), { cause: error });
    throw error;
  }
}
