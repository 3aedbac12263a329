// A small network against a scripted southbound, for the chapters about the scheduler.

import t from 'tap';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ManualClock, Scheduler, mockSouthbound } from 'node-vpp/scheduler';
import type { Descriptor, MockSouthbound, SchedulerOptions, Selector } from 'node-vpp/scheduler';

interface Interface {
  readonly ips?: readonly string[];
  readonly mtu?: number;
  readonly enabled?: boolean;
  readonly fixed?: number;
}

/** Interfaces with addresses derived from them, routes over them, bridge domains of any two, and veth pairs. */
export function network(world: MockSouthbound): Descriptor[] {
  return [
    world.descriptor<Interface>({
      name: 'interface',
      keys: 'interface/',
      indexes: { handle: (metadata) => metadata },
      recreate: (_key, before, after) => before.fixed !== after.fixed,
      validate: (_key, { mtu = 1500 }) => (mtu > 9000 ? [{ path: 'mtu', reason: 'is above 9000' }] : []),
      derive: (key, { ips = [], enabled }) => [
        ...ips.map((ip) => ({ key: `address/${key.slice(10)}/${ip}`, value: { ip } })),
        ...(enabled === true ? [{ key: `link-up/${key.slice(10)}`, value: {} }] : []),
      ],
    }),
    world.descriptor({ name: 'address', keys: 'address/', retrieveAfter: ['interface'] }),
    world.descriptor<{ via: string; needs?: readonly Selector[] }>({
      name: 'route',
      keys: 'route/',
      dependencies: (_key, { via, needs = [] }) => [`interface/${via}`, ...needs],
    }),
    world.descriptor<{ peer: string }>({
      name: 'veth',
      keys: 'veth/',
      dependencies: (_key, { peer }) => [`veth/${peer}`],
    }),
  ];
}

/** What a test works with. */
export interface Stage {
  readonly world: MockSouthbound;
  readonly clock: ManualClock;
  readonly scheduler: Scheduler;
  /** The calls since it was last asked, as text; failed ones with a `!`. */
  readonly done: () => string[];
  readonly state: (key: string) => string;
}

/** Opens a scheduler on it, with a clock that stands still. */
export async function stage(options: SchedulerOptions = {}, world = mockSouthbound()): Promise<Stage> {
  const clock = new ManualClock(1_000_000);
  const scheduler = await Scheduler.open({
    clock,
    descriptors: network(world),
    southbounds: { default: { identity: world.identity } },
    ...options,
  });
  t.teardown(() => scheduler.destroy());
  world.calls.length = 0;
  return {
    world,
    clock,
    scheduler,
    done: () =>
      world.calls
        .splice(0)
        .filter(({ kind }) => kind !== 'retrieve')
        .map(({ kind, key, failed }) => `${kind} ${key}${failed ? '!' : ''}`),
    state: (key) => scheduler.status(key).state,
  };
}

/** A promise that is kept only when the tests are over. */
export function held(): Promise<void> {
  let release: () => void = () => undefined;
  const promise = new Promise<void>((resolve) => (release = resolve));
  t.teardown(() => release());
  return promise;
}

/** A directory of its own, removed in the end. */
export async function directory(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'node-vpp-test-'));
  t.teardown(() => rm(path, { recursive: true, force: true, maxRetries: 10 }));
  return path;
}

/** Waits for a condition; the chapter's time limit ends it if it never comes. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => void setTimeout(resolve, 2));
}
