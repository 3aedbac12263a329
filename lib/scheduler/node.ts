// One key of the graph: what is desired of it and what is there, and the facts about it.
//
// There may be millions, so what most of them never have is in an object of its own.

import type { Dependency } from './graph.js';
import type { Entry } from './key-space.js';
import type { InvalidField } from './descriptor.js';

/** Facts about a node, as bits. The upper ones belong to the planner and are clear between plans. */
export const Bit = {
  /** There is a value in the southbound, as far as we know for certain. */
  exists: 1 << 0,
  /** Something failed and nothing could be retrieved: it may or may not be there. */
  uncertain: 1 << 1,
  /** What is there was made by someone else. */
  foreign: 1 << 2,
  /** It was our doing, though it may no longer be desired; it may be removed. */
  owned: 1 << 3,
  /** Derived from a parent. */
  derived: 1 << 4,
  /** The last operation failed; not tried again unless asked for. */
  stuck: 1 << 5,
  /** The desired value is not valid. */
  invalid: 1 << 6,
  /** Drift policy says to leave it as it is. */
  frozen: 1 << 7,
  /** It was there, and the southbound lost it. */
  lost: 1 << 8,
  /** Recovered from the journal: was applied when the journal was written. */
  believed: 1 << 9,
  /** Failed in this transaction: not touched again in it. */
  blocked: 1 << 10,
  /** Found to be there, or not, otherwise than by a plan: those who care must be told. */
  news: 1 << 11,
  touched: 1 << 12,
  will: 1 << 13,
  gone: 1 << 14,
  recreate: 1 << 15,
  update: 1 << 16,
  held: 1 << 17,
  late: 1 << 18,
  raised: 1 << 19,
  inUp: 1 << 20,
  /** A mark of the walk under way. */
  walked: 1 << 21,
} as const;

/** Bits that live no longer than one plan. */
export const planBits =
  Bit.news |
  Bit.touched |
  Bit.will |
  Bit.gone |
  Bit.recreate |
  Bit.update |
  Bit.held |
  Bit.late |
  Bit.raised |
  Bit.inUp;

/** No dependencies. */
export const none: readonly Dependency[] = [];

/** What went wrong with a node, kept only for nodes in trouble. */
export interface Trouble {
  fields?: readonly InvalidField[];
  operation?: 'create' | 'update' | 'delete' | 'retrieve' | 'none';
  error?: Error;
  attempts: number;
  nextTryMs?: number | undefined;
  held?: boolean;
  drift?: 'changed' | 'missing';
  /** It will be tried again. */
  retriable?: boolean;
}

// A node's facts, its state and one thing more are in one number.
const stateAt = 24;
const factBits = (1 << 23) - 1;
/** The edges of the applied value are those of the desired one. */
const sameDeps = 1 << 23;

/** One key. */
export class Node {
  readonly key: string;
  entry: Entry | undefined;
  desired: unknown = undefined;
  applied: unknown = undefined;
  metadata: unknown = undefined;
  /** The transaction that last changed what is desired of it, or its state. */
  seq = 0;
  #facts = 0;
  #deps: readonly Dependency[] = none;
  #more: More | undefined = undefined;

  constructor(key: string, entry: Entry | undefined) {
    this.key = key;
    this.entry = entry;
  }

  get bits(): number {
    return this.#facts & factBits;
  }

  set bits(bits: number) {
    this.#facts = (this.#facts & ~factBits) | bits;
  }

  /** One of `State`. */
  get state(): number {
    return this.#facts >> stateAt;
  }

  set state(state: number) {
    this.#facts = (this.#facts & (factBits | sameDeps)) | (state << stateAt);
  }

  /** What the desired value needs. */
  get deps(): readonly Dependency[] {
    return this.#deps;
  }

  set deps(deps: readonly Dependency[]) {
    const { appliedDeps } = this;
    this.#deps = deps;
    this.appliedDeps = appliedDeps;
  }

  /** What the applied value needed; most often the same. */
  get appliedDeps(): readonly Dependency[] {
    return (this.#facts & sameDeps) !== 0 ? this.#deps : (this.#more?.appliedDeps ?? none);
  }

  set appliedDeps(deps: readonly Dependency[]) {
    const same = deps === this.#deps;
    this.#facts = same ? this.#facts | sameDeps : this.#facts & ~sameDeps;
    const kept = same || deps.length === 0 ? none : deps;
    if (this.#more !== undefined || kept !== none) this.#with().appliedDeps = kept;
  }

  /** Who needs it. */
  get dependants(): Node | Set<Node> | undefined {
    return this.#more?.dependants;
  }

  set dependants(dependants: Node | Set<Node> | undefined) {
    if (this.#more !== undefined || dependants !== undefined) this.#with().dependants = dependants;
  }

  get parent(): Node | undefined {
    return this.#more?.parent;
  }

  set parent(parent: Node | undefined) {
    if (this.#more !== undefined || parent !== undefined) this.#with().parent = parent;
  }

  get children(): Set<Node> | undefined {
    return this.#more?.children;
  }

  set children(children: Set<Node> | undefined) {
    if (this.#more !== undefined || children !== undefined) this.#with().children = children;
  }

  get trouble(): Trouble | undefined {
    return this.#more?.trouble;
  }

  set trouble(trouble: Trouble | undefined) {
    if (this.#more !== undefined || trouble !== undefined) this.#with().trouble = trouble;
  }

  /** Index of its creating or changing operation in the plan under way, or -1. Not kept for values without relations. */
  get up(): number {
    return this.#more?.up ?? -1;
  }

  set up(up: number) {
    if (this.#more !== undefined || (up >= 0 && !this.#isAlone())) this.#with().up = up;
  }

  /** The same of its deleting operation. */
  get down(): number {
    return this.#more?.down ?? -1;
  }

  set down(down: number) {
    const asked = (this.bits & Bit.recreate) !== 0 || !this.#isAlone();
    if (this.#more !== undefined || (down >= 0 && asked)) this.#with().down = down;
  }

  /** What the planner needs while ordering; undefined for values without relations. */
  get scratch(): unknown {
    return this.#more?.scratch;
  }

  set scratch(scratch: unknown) {
    if (this.#more !== undefined || scratch !== undefined) this.#with().scratch = scratch;
  }

  /** Forgets what belongs to a plan. */
  planned(): void {
    const more = this.#more;
    if (more === undefined) return;
    more.up = -1;
    more.down = -1;
    more.scratch = undefined;
    const { parent, children, trouble, dependants, appliedDeps } = more;
    if (parent !== undefined || children !== undefined || trouble !== undefined) return;
    if (dependants === undefined && appliedDeps.length === 0) this.#more = undefined;
  }

  #with(): More {
    return (this.#more ??= new More());
  }

  #isAlone(): boolean {
    return this.#deps.length === 0 && this.appliedDeps.length === 0 && this.dependants === undefined;
  }
}

/** What most nodes never have. */
class More {
  parent: Node | undefined = undefined;
  children: Set<Node> | undefined = undefined;
  trouble: Trouble | undefined = undefined;
  dependants: Node | Set<Node> | undefined = undefined;
  appliedDeps: readonly Dependency[] = none;
  up = -1;
  down = -1;
  scratch: unknown = undefined;
}
