// What `ensure…` needs: does an object that is there already agree with what is asked for, in what cannot be changed?

import { VppObjectError } from '../errors.js';

const show = (value: unknown): string => (typeof value === 'string' ? `"${value}"` : JSON.stringify(value));

/**
 * Compares what is held with what is wanted; what is `undefined` in `wanted` is left to VPP and not compared.
 *
 * @throws VppObjectError ERR_VPP_OBJECT_DIFFERS, naming each difference
 */
export function mustAgree(object: string, held: object, wanted: object): void {
  const has = held as Record<string, unknown>;
  const differences = Object.entries(wanted)
    .filter(([key, value]) => value !== undefined && JSON.stringify(has[key]) !== JSON.stringify(value))
    .map(([key, value]) => `${key} is ${show(has[key])}, not ${show(value)}`);
  if (differences.length === 0) return;
  const problem = `it exists and is another: ${differences.join('; ')}; that cannot be changed, delete it first`;
  throw new VppObjectError('ERR_VPP_OBJECT_DIFFERS', object, problem);
}

/** The key of a name in a table of numbers. */
export function nameOf<K extends string>(table: Readonly<Record<K, number>>, value: number): K | number {
  return (Object.keys(table) as K[]).find((key) => table[key] === value) ?? value;
}

/** Calls one after the other, whoever makes them: for steps that must not be mixed. */
export class InTurn {
  #last: Promise<unknown> = Promise.resolve();

  run<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work, work);
    this.#last = turn.catch(() => undefined);
    return turn;
  }
}
