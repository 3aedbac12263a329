// Chapter 71: the scheduler against a brute-force model, on random graphs with random failures.
//
// The model knows nothing of plans: it is the definition. What should exist is the greatest set of desired values that
// support each other; every call the southbound sees is checked at the instant it takes effect.
//
//   SCHEDULER_CASES=100000 SCHEDULER_SEED=1 node build/js/test/71.scheduler-properties.js      the long run
//   SCHEDULER_SEED=1 SCHEDULER_PATH=287:5:6 node …                                             a failure again

import t from 'tap';
import fc from 'fast-check';
import { ManualClock, Scheduler, mockSouthbound, satisfied, selects } from 'node-vpp/scheduler';
import type { MockCall, MockSouthbound, Plan, Selector } from 'node-vpp/scheduler';

const cases = Number(process.env.SCHEDULER_CASES ?? 2000);
const seed = Number(process.env.SCHEDULER_SEED ?? Date.now() & 0x7fffffff);

// The long run takes its time.
t.setTimeout(Math.max(600_000, cases * 100));

/** Plays until something is wrong, and says what: seed, place and cause. */
async function assertAsync<T>(property: fc.IAsyncProperty<T>, numRuns: number): Promise<void> {
  const path = process.env.SCHEDULER_PATH;
  const run = await fc.check(property, { numRuns, seed, ...(path === undefined ? {} : { path }) });
  if (!run.failed) return;
  const error = run.errorInstance instanceof Error ? run.errorInstance.message : String(run.errorInstance);
  throw new Error(`seed ${run.seed}, path ${run.counterexamplePath}: ${error}\n${fc.stringify(run.counterexample)}`);
}

// Values of a small world: what they need, what follows from them, a number to tell versions apart.
interface Thing {
  readonly version: number;
  readonly needs: readonly Need[];
  readonly makes: readonly { readonly name: string; readonly needs: readonly Need[]; readonly version: number }[];
  readonly recreate: boolean;
}
type Need =
  | { readonly kind: 'key'; readonly key: string }
  | { readonly kind: 'prefix'; readonly prefix: string }
  | { readonly kind: 'odd'; readonly prefix: string }
  | { readonly kind: 'any' | 'all'; readonly parts: readonly Need[] };

function selectorOf(need: Need): Selector {
  switch (need.kind) {
    case 'key':
      return need.key;
    case 'prefix':
      return { prefix: need.prefix };
    case 'odd':
      return { prefix: need.prefix, where: (key) => key.charCodeAt(key.length - 1) % 2 === 1, text: 'odd' };
    case 'any':
      return { anyOf: need.parts.map(selectorOf) };
    case 'all':
      return { allOf: need.parts.map(selectorOf) };
  }
}

const names = ['0', '1', '2', '3', '4'];
/** Key spaces: `a` and `b` change in place, `c` is always recreated, `d` cannot be retrieved, `x` is derived. */
const spaces = ['a/', 'b/', 'c/', 'd/'];
const keys = spaces.flatMap((space) => names.map((name) => `${space}${name}`));

/** What derived values depend on is found in the value itself. */
const derivedKey = (parent: string, name: string): string => `x/${parent.replace('/', '')}-${name}`;

function parentOf(key: string): string | undefined {
  const parts = /^x\/(\w)(\w)-/.exec(key);
  return parts === null ? undefined : `${parts[1]!}/${parts[2]!}`;
}

function needsOf(value: unknown): Selector[] {
  return (value as { needs: readonly Need[] }).needs.map(selectorOf);
}

function childrenOf(key: string, value: unknown): { key: string; value: unknown }[] {
  const makes = (value as Partial<Thing>).makes ?? [];
  return makes.map(({ name, ...rest }) => ({ key: derivedKey(key, name), value: rest }));
}

// The model.

interface Item {
  readonly key: string;
  readonly value: unknown;
  readonly parent: string | undefined;
}

/** All desired values, derived ones included. */
function expand(desired: ReadonlyMap<string, Thing>): Map<string, Item> {
  const items = new Map<string, Item>();
  for (const [key, value] of desired) {
    items.set(key, { key, value, parent: undefined });
    for (const child of childrenOf(key, value)) items.set(child.key, { ...child, parent: key });
  }
  return items;
}

/** The greatest set of the items in which everybody's needs are met by somebody else. */
function supported(items: ReadonlyMap<string, Item>): Set<string> {
  const left = new Set(items.keys());
  for (let before = -1; before !== left.size;) {
    before = left.size;
    for (const key of [...left]) {
      const { value, parent } = items.get(key)!;
      const others = (): string[] => [...left].filter((other) => other !== key && items.get(other)!.parent !== key);
      const met = needsOf(value).every((need) => satisfied(need, others));
      if (!met || (parent !== undefined && !left.has(parent))) left.delete(key);
    }
  }
  return left;
}

/** For every key, the keys it is in a circle with: those it can reach over needs and that can reach it. */
function circles(items: readonly Item[]): (a: string, b: string) => boolean {
  const reach = new Map<string, Set<string>>();
  const next = (item: Item): Item[] =>
    items.filter((other) => other.key === item.parent || needsOf(item.value).some((need) => selects(need, other.key)));
  for (const item of items) {
    const seen = new Set<string>();
    const queue = [item];
    for (let at = queue.pop(); at !== undefined; at = queue.pop()) {
      for (const target of next(at)) {
        if (seen.has(target.key)) continue;
        seen.add(target.key);
        queue.push(...items.filter((other) => other.key === target.key));
      }
    }
    const all = reach.get(item.key) ?? new Set<string>();
    for (const key of seen) all.add(key);
    reach.set(item.key, all);
  }
  return (a, b) => reach.get(a)?.has(b) === true && reach.get(b)?.has(a) === true;
}

// Commands.

type Command =
  | {
      readonly do: 'commit';
      readonly change: readonly (readonly [string, Thing | undefined])[];
      readonly atomic: boolean;
    }
  | {
      readonly do: 'fault';
      readonly key: string;
      readonly kind: MockCall['kind'];
      readonly times: number;
      readonly effect: 'before' | 'after';
    }
  | { readonly do: 'hang'; readonly key: string; readonly kind: 'create' | 'update' | 'delete' }
  | { readonly do: 'heal' }
  | { readonly do: 'wait'; readonly ms: number }
  | { readonly do: 'steal'; readonly key: string }
  | { readonly do: 'resync' }
  | { readonly do: 'drift' }
  | { readonly do: 'restart' };

const key = fc.constantFrom(...keys);
/** Nobody could find out about the others. */
const visible = fc.constantFrom(...keys.filter((known) => !known.startsWith('d/')));
const leaf: fc.Arbitrary<Need> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('key' as const),
      key: fc.oneof(key, fc.constantFrom('x/a0-p', 'x/b1-p', 'x/c2-q')),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('prefix' as const), prefix: fc.constantFrom('a/', 'b/', 'x/') }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('odd' as const), prefix: fc.constantFrom('a/', 'c/') }) },
);
const need: fc.Arbitrary<Need> = fc.oneof(
  { weight: 5, arbitrary: leaf },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constantFrom('any' as const, 'all' as const),
      parts: fc.array(leaf, { minLength: 1, maxLength: 2 }),
    }),
  },
);
const needs = fc.array(need, { maxLength: 2 });
const thing: fc.Arbitrary<Thing> = fc.record({
  version: fc.integer({ min: 0, max: 3 }),
  needs,
  makes: fc.uniqueArray(
    fc.record({ name: fc.constantFrom('p', 'q'), needs, version: fc.integer({ min: 0, max: 1 }) }),
    {
      selector: ({ name }) => name,
      maxLength: 2,
    },
  ),
  recreate: fc.boolean(),
});
const faultKeys = fc.oneof(key, fc.constantFrom('x/a0-p', 'x/a1-q', 'x/b1-p', 'x/c2-q'));
const faults = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('fault' as const),
      key: faultKeys,
      kind: fc.constantFrom('create' as const, 'update' as const, 'delete' as const),
      times: fc.integer({ min: 1, max: 3 }),
      effect: fc.constantFrom('before' as const, 'after' as const),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('fault' as const),
      key: fc.constantFrom('a', 'b', 'c', 'x'),
      kind: fc.constant('retrieve' as const),
      times: fc.integer({ min: 1, max: 2 }),
      effect: fc.constant('before' as const),
    }),
  },
);
const commit = fc.record({
  do: fc.constant('commit' as const),
  change: fc.array(fc.tuple(key, fc.option(thing, { nil: undefined, freq: 3 })), { minLength: 1, maxLength: 6 }),
  atomic: fc.boolean(),
});
const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 8, arbitrary: commit },
  { weight: 3, arbitrary: faults },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('hang' as const),
      key,
      kind: fc.constantFrom('create' as const, 'update' as const, 'delete' as const),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('heal' as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.constantFrom(1000, 10_000) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('steal' as const), key: visible }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('resync' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('drift' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('restart' as const) }) },
);

function descriptorsOf(world: MockSouthbound, concurrency: number): ReturnType<MockSouthbound['descriptor']>[] {
  const base = { dependencies: (_key: string, value: unknown) => needsOf(value), concurrency };
  const derive = childrenOf;
  const recreate = (_key: string, _before: unknown, value: unknown): boolean => (value as Thing).recreate;
  return [
    world.descriptor({ ...base, name: 'a', keys: 'a/', derive, recreate }),
    world.descriptor({ ...base, name: 'b', keys: 'b/', derive, batches: true }),
    world.descriptor({ ...base, name: 'c', keys: 'c/', derive, updates: false }),
    world.descriptor({ ...base, name: 'd', keys: 'd/', derive, retrieves: false }),
    world.descriptor({ ...base, name: 'x', keys: 'x/', retrieveAfter: ['a', 'b', 'c'] }),
  ];
}

/** What can be built up one by one on what stays, each on what is there by then. */
function buildable(items: readonly Item[], stays: ReadonlySet<string>): Set<string> {
  const built = new Set(stays);
  for (let before = -1; before !== built.size;) {
    before = built.size;
    for (const item of items) {
      if (built.has(item.key) || (item.parent !== undefined && !built.has(item.parent))) continue;
      if (needsOf(item.value).every((need) => satisfied(need, () => supportersOf(item.key, built))))
        built.add(item.key);
    }
  }
  return built;
}

/** Nothing is supported by itself, nor by what is derived from it. */
function supportersOf(key: string, there: Iterable<string>): string[] {
  return [...there].filter((other) => other !== key && parentOf(other) !== key);
}

/** Somebody who was there without support, in a circle with what was missing: right only if there was no other way. */
interface Excuse {
  readonly key: string;
  readonly text: string;
  /** What was there then, or had been since the transaction began. */
  readonly items: readonly Item[];
}

/**
 * Watches every call at the instant of its effect. A value that is there without what it needs is excused if it is in a
 * circle with it, and the circle is a true one: where everything that was removed could be built up again one by one on
 * what stayed, it could have been removed in the opposite order, with nobody without support at any time.
 */
class Referee {
  readonly #world: MockSouthbound;
  readonly problems: string[] = [];
  /** Whether somebody has been meddling, so that what is there need not be consistent. */
  meddled = false;
  /** What was and what is to be desired; a key may be there twice. */
  #desired: readonly Item[] = [];
  /** What has been removed since: it may have been a leftover that nobody desired, and still in a circle with others. */
  #removed: Item[] = [];
  readonly #created = new Set<string>();
  #excuses: Excuse[] = [];
  #failed = false;
  /** The value each key last had, to know the needs of what is being removed. */
  readonly #before = new Map<string, unknown>();

  constructor(world: MockSouthbound) {
    this.#world = world;
    world.onCall = (call) => this.see(call);
  }

  set desired(items: readonly Item[]) {
    this.#desired = items;
    this.#removed = [];
    this.#created.clear();
    this.#excuses = [];
    this.#failed = false;
  }

  /** Judges the excuses, once it is known what stayed. Where a call failed there was more than one plan, and no judging. */
  settle(): void {
    if (this.#failed || this.meddled) return;
    for (const { key, text, items } of this.#excuses) {
      // What is created is created when everything that must go is gone.
      const moved = new Set([...this.#removed.map((item) => item.key), ...this.#created]);
      const stays = new Set([...this.#world.values.keys()].filter((there) => !moved.has(there)));
      if (buildable(items, stays).has(key)) this.problems.push(`${text}, without need`);
    }
  }

  see(call: MockCall): void {
    this.#failed ||= call.failed;
    if (call.kind === 'create') this.#created.add(call.key);
    this.#removed.push(...this.#gone(call));
    if (call.kind === 'retrieve' || !call.effect || this.meddled) return;
    const there: Item[] = [...this.#world.values].map(([key, { value }]) => ({
      key,
      value,
      parent: parentOf(key),
    }));
    let known: ((a: string, b: string) => boolean) | undefined;
    const inCircle = (a: string, b: string): boolean =>
      (known ??= circles([...there, ...this.#desired, ...this.#removed]))(a, b);
    for (const item of there) this.#before.set(item.key, item.value);
    if (call.kind === 'delete') {
      for (const item of there) this.#supported(item, there, inCircle, call);
    } else {
      const item = there.find(({ key }) => key === call.key)!;
      this.#supported(item, there, inCircle, call);
    }
  }

  #gone(call: MockCall): Item[] {
    return call.kind === 'delete' && call.previous !== undefined
      ? [{ key: call.key, value: call.previous, parent: parentOf(call.key) }]
      : [];
  }

  #supported(item: Item, there: readonly Item[], inCircle: (a: string, b: string) => boolean, call: MockCall): void {
    const others = (): string[] => there.map(({ key }) => key).filter((key) => key !== item.key);
    const excused = (selector: Selector): boolean =>
      [...this.#desired.map(({ key }) => key), ...this.#before.keys()].some(
        (key) => selects(selector, key) && inCircle(item.key, key),
      );
    for (const selector of needsOf(item.value)) {
      if (satisfied(selector, others)) continue;
      const text = `${call.kind} ${call.key}: ${item.key} is there without ${JSON.stringify(selector)}`;
      if (!excused(selector)) this.problems.push(text);
      else if (call.kind === 'delete') this.#excuses.push({ key: item.key, text, items: [...there, ...this.#removed] });
    }
    if (
      item.parent !== undefined &&
      !there.some(({ key }) => key === item.parent) &&
      !inCircle(item.key, item.parent)
    ) {
      this.problems.push(`${call.kind} ${call.key}: ${item.key} is there without its parent ${item.parent}`);
    }
  }
}

/** Calls that are not answered in time: each is answered when it is released, with its effect. */
class Hangs {
  readonly #clock: ManualClock;
  readonly #wanted = new Set<string>();
  #waiting: (() => void)[] = [];

  constructor(clock: ManualClock) {
    this.#clock = clock;
  }

  get waiting(): boolean {
    return this.#waiting.length > 0;
  }

  add(kind: string, key: string): void {
    this.#wanted.add(`${kind} ${key}`);
  }

  clear(): void {
    this.#wanted.clear();
  }

  delay(kind: string, key: string): Promise<void> | undefined {
    if (!this.#wanted.delete(`${kind} ${key}`)) return undefined;
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Lets everybody go who waits; says whether there was anybody. */
  release(): boolean {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
    return waiting.length > 0;
  }

  /** Waits for something, letting time pass while a call hangs. */
  async until<T>(what: Promise<T>): Promise<T> {
    let open = true as boolean;
    const end = (): void => void (open = false);
    what.then(end, end);
    for (let turns = 0; open; turns += 1) {
      await new Promise((resolve) => void setImmediate(resolve));
      if (turns > 2 && this.#waiting.length > 0) this.#clock.advance(50);
    }
    return what;
  }
}

/** Idle, after whatever has just been answered has been taken in. */
async function idleAgain(scheduler: Scheduler): Promise<void> {
  for (let turns = 0; turns < 3; turns += 1) {
    await new Promise((resolve) => void setImmediate(resolve));
    await scheduler.idle();
  }
}

function comparePlan(where: string, plan: Plan, calls: readonly MockCall[]): void {
  const done = calls.filter(({ kind }) => kind !== 'retrieve');
  const planned = plan.operations.filter(({ kind, property }) => kind !== 'gate' && !property);
  const asText = (list: readonly { kind: string; key: string }[]): string =>
    list
      .map(({ kind, key }) => `${kind} ${key}`)
      .sort()
      .join(', ');
  if (asText(done) !== asText(planned)) throw new Error(`${where}: planned ${asText(planned)} but did ${asText(done)}`);
}

interface Ending {
  readonly values: Record<string, unknown>;
  readonly states: Record<string, string>;
}

/** Runs commands, checks everything on the way, and gives what it came to. */
async function play(commands: readonly Command[], options: { serial: boolean; check: boolean }): Promise<Ending> {
  const world = mockSouthbound();
  const clock = new ManualClock(0);
  const referee = options.check ? new Referee(world) : undefined;
  const hangs = new Hangs(clock);
  if (!options.serial) {
    // Answers come in an order that has nothing to do with that of the questions.
    let n = 0;
    world.latency = async (_kind, key) => {
      n = (n * 31 + key.charCodeAt(key.length - 1) + 7) % 5;
      for (let i = 0; i < n; i += 1) await Promise.resolve();
    };
  }
  const latency = world.latency;
  world.latency = (kind, key) => hangs.delay(kind, key) ?? latency?.(kind, key);
  const scheduler = await Scheduler.open({
    clock,
    callTimeoutMs: 50,
    descriptors: descriptorsOf(world, options.serial ? 1 : 4),
    southbounds: { default: { identity: world.identity } },
    concurrency: options.serial ? 1 : 16,
    retry: { count: 2, delayMs: 100 },
  });
  let desired = new Map<string, Thing>();
  let faulty = false;
  const judge = (where: string): void => {
    const items = expand(desired);
    const stuck = new Set<string>();
    let uncertain = false;
    for (const { key, state, reasons } of scheduler.statuses()) {
      const unknown = reasons.some(({ kind }) => kind === 'uncertain');
      uncertain ||= unknown;
      if (state === 'failed' || state === 'retrying' || unknown) stuck.add(key);
    }
    if (stuck.size > 0 && !faulty) throw new Error(`${where}: ${[...stuck].join(' ')} failed without a fault`);
    if (referee?.meddled === true || uncertain) return;
    // A value that failed is taken as it is; what rests on it or follows from it is judged by that.
    for (const key of stuck) {
      items.delete(key);
      for (const child of [...items.values()]) if (child.parent === key) items.delete(child.key);
    }
    const fixed = new Set(
      [...world.values.keys()].filter((key) => !items.has(key) && (stuck.has(key) || stuck.has(parentOf(key) ?? ''))),
    );
    for (const key of fixed) items.set(key, { key, value: { needs: [] }, parent: undefined });
    const should = supported(items);
    for (const key of fixed) {
      items.delete(key);
      should.delete(key);
    }
    const wrong: string[] = [];
    for (const key of should) {
      const there = world.values.get(key);
      if (JSON.stringify(there?.value) !== JSON.stringify(items.get(key)!.value)) {
        wrong.push(`${key} should be ${JSON.stringify(items.get(key)!.value)}, is ${JSON.stringify(there?.value)}`);
      }
      if (scheduler.status(key).state !== 'configured')
        wrong.push(`${key} is said to be ${scheduler.status(key).state}`);
    }
    for (const key of world.values.keys())
      if (!should.has(key) && !fixed.has(key)) wrong.push(`${key} should not be there`);
    for (const key of items.keys()) {
      if (!should.has(key) && scheduler.status(key).state !== 'pending')
        wrong.push(`${key} is ${scheduler.status(key).state}`);
    }
    if (wrong.length > 0) throw new Error(`${where}: ${wrong.join('; ')}`);
  };
  const put = (change: readonly (readonly [string, Thing | undefined])[]): Map<string, Thing> => {
    const after = new Map(desired);
    for (const [key, value] of change) {
      if (value === undefined) after.delete(key);
      else after.set(key, value);
    }
    return after;
  };
  for (const [i, step] of commands.entries()) {
    const where = `step ${i} (${step.do})`;
    switch (step.do) {
      case 'commit': {
        const after = put(step.change);
        if (referee !== undefined) referee.desired = [...expand(desired).values(), ...expand(after).values()];
        const plan =
          referee === undefined ? undefined : await scheduler.plan({ set: step.change as [string, unknown][] });
        const callsBefore = world.calls.length;
        const result = await hangs.until(
          scheduler.commit(
            { set: step.change as [string, unknown][] },
            { atomic: step.atomic, serial: options.serial },
          ),
        );
        if (result.status !== 'reverted') desired = after;
        else if (!faulty && stuckFree(scheduler)) throw new Error(`${where}: reverted without a fault`);
        if (!hangs.waiting) referee?.settle();
        if (plan !== undefined && !faulty && !referee!.meddled) {
          comparePlan(where, plan, world.calls.slice(callsBefore));
        }
        break;
      }
      case 'fault':
        faulty = true;
        world.fail(step.key, step.kind, { times: step.times, effect: step.effect });
        break;
      case 'hang':
        faulty = true;
        hangs.add(step.kind, step.key);
        break;
      case 'heal':
        world.heal();
        break;
      case 'wait':
        clock.advance(step.ms);
        await hangs.until(scheduler.idle());
        // Whoever has not been answered yet is answered now, too late.
        if (hangs.release() && referee !== undefined) referee.meddled = true;
        await hangs.until(idleAgain(scheduler));
        break;
      case 'steal':
        // Somebody removes a value behind our back: until the next resync nobody knows, and what rests on it hangs.
        if (referee !== undefined && world.values.has(step.key)) referee.meddled = true;
        world.drop(step.key);
        break;
      case 'restart':
        if (referee !== undefined) referee.meddled = true;
        world.restart();
        break;
      case 'drift':
        await hangs.until(scheduler.checkDrift());
        break;
      case 'resync': {
        // What a dry run of it says is what it does.
        const plan = options.check && !faulty ? await scheduler.plan({ resync: 'downstream' }) : undefined;
        const callsBefore = world.calls.length;
        await hangs.until(scheduler.resync('downstream'));
        if (plan !== undefined) comparePlan(where, plan, world.calls.slice(callsBefore));
        break;
      }
    }
    // Where time has passed for a hanging call, a retry may have begun meanwhile.
    await hangs.until(scheduler.idle());
    if (referee !== undefined && referee.problems.length > 0)
      throw new Error(`${where}: ${referee.problems.join('\n')}`);
    judge(where);
  }
  // Faults end: one look at the world, and everything is as it should be.
  world.heal();
  hangs.clear();
  if (hangs.release() && referee !== undefined) referee.meddled = true;
  await idleAgain(scheduler);
  faulty = false;
  if (referee !== undefined) referee.desired = [...expand(desired).values()];
  await scheduler.resync('downstream');
  if (referee !== undefined) referee.meddled = false;
  judge('in the end');
  const { values: states } = scheduler.metrics();
  const counted: Record<string, number> = {};
  for (const { state } of scheduler.statuses()) counted[state] = (counted[state] ?? 0) + 1;
  for (const [state, count] of Object.entries(states)) {
    if (count !== (counted[state] ?? 0))
      throw new Error(`metrics count ${count} ${state}, there are ${counted[state] ?? 0}`);
  }
  const present = [...scheduler.statuses()].map(({ key, state }) => `${key} ${state}`);
  const past = [...scheduler.at({ seq: scheduler.seq - 1 }).statuses()].map(({ key, state }) => `${key} ${state}`);
  if (present.join() !== past.join()) throw new Error(`history says ${past.join()}, the graph ${present.join()}`);
  const ending = {
    values: Object.fromEntries(
      [...world.values].map(([key, { value }]) => [key, value] as const).sort(([a], [b]) => (a < b ? -1 : 1)),
    ),
    states: Object.fromEntries([...scheduler.statuses()].map(({ key, state }) => [key, state])),
  };
  await scheduler.resync('full', {});
  const left = [...world.values.keys()];
  if (left.length > 0) throw new Error(`after everything was removed there is still ${left.join(' ')}`);
  await scheduler.close();
  return ending;
}

function stuckFree(scheduler: Scheduler): boolean {
  for (const { state } of scheduler.statuses()) if (state === 'failed' || state === 'retrying') return false;
  return true;
}

void t.test(`what is applied is what should be, at every instant (${cases} cases, seed ${seed})`, async (t) => {
  let played = 0;
  await assertAsync(
    fc.asyncProperty(fc.array(command, { minLength: 1, maxLength: 12 }), fc.boolean(), async (commands, serial) => {
      played += 1;
      await play(commands, { serial, check: true });
    }),
    cases,
  );
  t.ok(played >= cases, `${played} cases`);
});

void t.test('serial and concurrent execution come to the same end', async (t) => {
  const runs = Math.max(100, Math.floor(cases / 10));
  let compared = 0;
  await assertAsync(
    fc.asyncProperty(
      fc.array(fc.oneof({ weight: 3, arbitrary: commit }, faults), { minLength: 1, maxLength: 10 }),
      async (commands) => {
        const serial = await play(commands, { serial: true, check: false });
        const concurrent = await play(commands, { serial: false, check: false });
        compared += 1;
        if (JSON.stringify(concurrent) !== JSON.stringify(serial)) throw new Error('they differ');
      },
    ),
    runs,
  );
  t.ok(compared >= runs);
});
