// A toy southbound in a hundred lines: a patch panel. Switches have a name; a cable needs both switches it connects; a
// lamp is derived from every switch that has power. Plan, failure, retry and rollback are shown.
//
//   node build/js/examples/scheduler-toy.js

import { ManualClock, Scheduler, type Descriptor } from 'node-vpp/scheduler';

// The southbound: what is plugged in where. Its handles are numbers it gives out itself.

const panel = new Map<string, { handle: number; value: unknown }>();
let handles = 0;
let flaky = '';

function plug(key: string, value: unknown): number {
  if (key === flaky) {
    flaky = '';
    throw new Error('the plug does not hold');
  }
  const handle = panel.get(key)?.handle ?? (handles += 1);
  panel.set(key, { handle, value });
  return handle;
}

/** What all three kinds of things have in common. */
function kind<V>(name: string, keys: string): Descriptor<V, number> {
  return {
    name,
    keys,
    create: ({ key, value }) => plug(key, value),
    update: ({ key, value }) => plug(key, value),
    remove: ({ key }) => void panel.delete(key),
    *retrieve() {
      for (const [key, { handle, value }] of panel) {
        if (key.startsWith(keys)) yield { key, value: value as V, metadata: handle };
      }
    },
  };
}

interface Switch {
  readonly ports: number;
  readonly powered: boolean;
}

const switches: Descriptor<Switch, number> = {
  ...kind<Switch>('switch', 'switch/'),
  schema: {
    type: 'object',
    required: ['ports', 'powered'],
    properties: { ports: { type: 'integer', minimum: 1, maximum: 48 }, powered: { type: 'boolean' } },
  },
  derive: (key, { powered }) => (powered ? [{ key: `lamp/${key.slice(7)}`, value: { colour: 'green' } }] : []),
  indexes: { handle: (handle) => handle },
};

const cables: Descriptor<{ ends: [string, string] }, number> = {
  ...kind<{ ends: [string, string] }>('cable', 'cable/'),
  dependencies: (_key, { ends }) => ends.map((end) => `switch/${end}`),
};

const lamps = kind<{ colour: string }>('lamp', 'lamp/');

// Time stands still until the example says otherwise.

const clock = new ManualClock(Date.UTC(2026, 0, 1));
const scheduler = await Scheduler.open({
  descriptors: [switches, cables, lamps],
  clock,
  retry: { count: 3, delayMs: 1000 },
});

console.log('1. A plan is data. The cable is named first and comes last.\n');
const wish = {
  set: {
    'cable/1': { ends: ['left', 'right'] },
    'switch/left': { ports: 8, powered: true },
    'switch/right': { ports: 8, powered: false },
  },
};
const plan = await scheduler.plan(wish);
console.log(plan.toString());

console.log('2. A failure stops only what depends on it, and is tried again.\n');
flaky = 'switch/right';
const first = await scheduler.apply(plan);
console.log(`transaction ${first.seq}: ${first.status}`);
for (const { key, state } of scheduler.statuses()) console.log(`  ${key.padEnd(13)} ${state}`);
console.log(`\n${scheduler.explain('cable/1')}`);
clock.advance(1000);
await scheduler.idle();
console.log(`a second later: cable/1 is ${scheduler.status('cable/1').state}\n`);

console.log('3. All or nothing.\n');
flaky = 'switch/third';
const change = { set: { 'switch/left': { ports: 16, powered: false }, 'switch/third': { ports: 4, powered: true } } };
const atomic = await scheduler.commit(change, { atomic: true });
console.log(
  `transaction ${atomic.seq}: ${atomic.status}; left has ${(panel.get('switch/left')!.value as Switch).ports} ports`,
);

console.log('\n4. Confirm, or it is taken back.\n');
const trial = await scheduler.commitConfirm({ delete: ['switch/left'] }, { timeoutMs: 60_000 });
console.log(`without left: cable/1 is ${scheduler.status('cable/1').state}`);
clock.advance(60_000);
console.log(`nobody confirmed: ${await trial.settled}, cable/1 is ${scheduler.status('cable/1').state}`);
await scheduler.close();
