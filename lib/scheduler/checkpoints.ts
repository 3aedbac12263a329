// Named points to go back to. A checkpoint costs nothing when it is made: it remembers, from then on, what each key that is
// changed was before. Going back is a change like any other.
//
//   checkpoint A ... a: 1 -> 2 ... a: 2 -> 3, b: none -> 9        A remembers { a: 1, b: none }

import { SchedulerError } from '../errors.js';

/** Checkpoints and commits that wait for their confirmation. */
export class Checkpoints {
  readonly named = new Map<string, Map<string, unknown>>();
  /** By transaction: what its values were before, as long as nobody has changed them since. */
  readonly unconfirmed = new Map<number, Map<string, unknown>>();

  /** Whether changes must be told. */
  get remembers(): boolean {
    return this.named.size > 0 || this.unconfirmed.size > 0;
  }

  create(name: string): void {
    this.named.delete(name);
    this.named.set(name, new Map());
  }

  names(): string[] {
    return [...this.named.keys()];
  }

  drop(name: string): boolean {
    return this.named.delete(name);
  }

  /** A transaction changes a key that was `before`. */
  changed(seq: number, key: string, before: unknown, confirm: boolean): void {
    for (const remembered of this.named.values()) if (!remembered.has(key)) remembered.set(key, before);
    for (const [other, remembered] of this.unconfirmed) if (other !== seq) remembered.delete(key);
    if (!confirm) return;
    let mine = this.unconfirmed.get(seq);
    if (mine === undefined) {
      mine = new Map();
      this.unconfirmed.set(seq, mine);
    }
    if (!mine.has(key)) mine.set(key, before);
  }

  /** The change that leads back. */
  changeBackTo(name: string): Map<string, unknown> {
    const remembered = this.named.get(name);
    if (remembered === undefined) {
      const known = this.names();
      throw new SchedulerError(
        'ERR_SCHEDULER_CHECKPOINT',
        `rolling back to ${JSON.stringify(name)}: there is no such checkpoint; ${known.length === 0 ? 'there is none' : `there are ${known.join(', ')}`}`,
      );
    }
    return new Map(remembered);
  }
}
