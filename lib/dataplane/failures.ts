// What a port could not do, as the retval that VPP would give for it.

import { MemifError, SystemError } from '../errors.js';
import { Refused, type RetvalName } from './retvals.js';

/** Runs what opens a port; what it throws becomes a refusal, and is kept as its cause. */
export function refusing<T>(act: () => T, name: (error: MemifError | SystemError) => RetvalName): T {
  try {
    return act();
  } catch (error) {
    if (error instanceof MemifError || error instanceof SystemError) throw new Refused(name(error), { cause: error });
    throw error;
  }
}
