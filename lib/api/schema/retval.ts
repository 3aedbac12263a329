// The numbers that VPP answers in `retval`, by name: data/errors.txt, taken from the newest bundled release.

import { readData } from './bundled.js';

/** A `retval` of VPP. */
export interface RetvalInfo {
  readonly retval: number;
  /** VPP's own name without `VNET_API_ERROR_`, e.g. `NO_SUCH_ENTRY`. */
  readonly name: string;
  /** The name as words, e.g. `no such entry`. */
  readonly text: string;
}

let table: ReadonlyMap<number, RetvalInfo> | undefined;

/** All known numbers, from -1 downward. */
export function retvals(): ReadonlyMap<number, RetvalInfo> {
  table ??= new Map(
    readData('errors.txt')
      .split('\n')
      .slice(1)
      .filter((line) => line !== '')
      .map((line) => {
        const [number = '', name = ''] = line.split(' ');
        const text = name.toLowerCase().replaceAll('_', ' ').replaceAll('sw if index', 'sw_if_index');
        return [Number(number), { retval: Number(number), name, text }];
      }),
  );
  return table;
}

/**
 * What a `retval` means; undefined for 0, positive numbers and those that the bundled table does not know.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { retvalName } from 'node-vpp/api';
 * assert.equal(retvalName(-6)?.name, 'NO_SUCH_ENTRY');
 * ```
 */
export function retvalName(retval: number): RetvalInfo | undefined {
  return retvals().get(retval);
}
