// Chapter 70: the scheduler, one behaviour at a time, against a southbound that does what a script says.

import t from 'tap';
import ts from 'typescript';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFile, readdir, rm, stat, writeFile, cp, truncate } from 'node:fs/promises';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  Scheduler,
  checkDescriptors,
  checkSchema,
  deepEqual,
  listJournal,
  mockSouthbound,
  redact,
  selectorText,
  selects,
  type Descriptor,
  type Selector,
} from 'node-vpp/scheduler';
import { directory, held, network, stage, until } from './support/scheduler.js';

const root = fileURLToPath(new URL('../../..', import.meta.url));
t.setTimeout(600_000);

void t.test('values, selectors and schemas', async (t) => {
  t.equal(selectorText('interface/tap0'), 'interface/tap0');
  t.equal(selectorText({ prefix: 'interface/' }), 'interface/*');
  t.equal(
    selectorText({ anyOf: ['a', { allOf: ['b', { prefix: 'c/', where: () => true, text: 'up' }] }] }),
    'any of (a | all of (b & c/* (up)))',
  );
  t.throws(() => selectorText({ prefix: 'a/', where: () => true }), { code: 'ERR_SCHEDULER_DESCRIPTOR' });
  t.ok(selects({ prefix: 'a/' }, 'a/1'));
  t.notOk(selects({ prefix: 'a/', where: (key) => key.endsWith('2'), text: 'two' }, 'a/1'));
  t.ok(deepEqual({ a: 1n, b: new Uint8Array([1, 2]), c: undefined }, { b: new Uint8Array([1, 2]), a: 1n }));
  t.notOk(deepEqual({ a: [1, 2] }, { a: [1, 2, 3] }));
  t.notOk(deepEqual({ a: 1 }, { b: 1 }));

  const schema = {
    type: 'object',
    required: ['name'],
    properties: {
      name: { type: 'string', pattern: '^[a-z]+$' },
      mtu: { type: 'integer', minimum: 64, maximum: 9000 },
      peers: { type: 'array', items: { type: 'object', properties: { key: { type: 'string', secret: true } } } },
    },
  } as const;
  t.strictSame(checkSchema(schema, { name: 'tap', mtu: 1500, peers: [] }), []);
  t.strictSame(checkSchema(schema, { mtu: 12, peers: [{ key: 5 }], colour: 'red' }), [
    { path: 'name', reason: 'is missing' },
    { path: 'mtu', reason: 'must be at least 64' },
    { path: 'peers[0].key', reason: 'is integer, must be string' },
    { path: 'colour', reason: 'is not a known field' },
  ]);
  t.strictSame(redact(schema, { name: 'a', peers: [{ key: 'hunter2' }] }), {
    name: 'a',
    peers: [{ key: '[redacted]' }],
  });
});

void t.test('the static check of descriptors finds', async (t) => {
  const kinds = (descriptors: Descriptor[]): string[] =>
    checkDescriptors(descriptors).map(({ severity, kind }) => `${severity} ${kind}`);
  const whole = mockSouthbound().descriptor({ name: 'a', keys: 'a/' });
  t.strictSame(kinds([whole]), [], 'nothing in a good one');
  t.strictSame(kinds([whole, { ...whole, name: 'b' }]), ['error key-collision'], 'two that share a key space');
  t.strictSame(
    kinds([
      { ...whole, keys: { prefix: 'a/', match: (key: string) => !key.startsWith('a/b') } },
      { ...whole, name: 'b', keys: 'a/b' },
    ]),
    [],
    'not two that a match keeps apart',
  );
  t.strictSame(kinds([{ name: 'a', keys: 'a/' }]), [
    'warning missing-retrieve',
    'warning missing-operation',
    'warning missing-operation',
  ]);
  const example = { ...whole, examples: [{ key: 'a/1', value: {} }] };
  t.strictSame(kinds([{ ...example, dependencies: () => ['b/1'] }]), ['error dangling-dependency']);
  t.strictSame(kinds([{ ...example, dependencies: () => ['a/2', 'a/2'] }]), ['error duplicate-dependency']);
  t.strictSame(
    kinds([{ ...example, dependencies: () => ['a/1'] }]),
    ['error uncreatable-cycle'],
    'a value that needs itself',
  );
  const childish = { ...example, derive: () => [{ key: 'c/1', value: {} }], dependencies: () => ['c/1'] };
  t.match(kinds([childish]), ['error uncreatable-cycle'], 'a value that needs its own child');
  t.strictSame(kinds([{ ...whole, retrieveAfter: ['a'] }]), ['error retrieve-order']);
  const pair = {
    ...whole,
    examples: [
      { key: 'a/1', value: 'a/2' },
      { key: 'a/2', value: 'a/1' },
    ],
    dependencies: (_key: string, value: unknown) => [value as string],
  };
  t.strictSame(kinds([pair]), ['warning cycle'], 'a pair, which is created as one');
  t.strictSame(kinds([{ ...whole, dependencies: () => [] }]), ['warning example']);
  t.match(checkDescriptors([{ ...example, schema: { type: 'string' } }]), [{ kind: 'example', message: /not valid/ }]);
});

void t.test('a change is applied in the order its dependencies give', async (t) => {
  const { scheduler, done, state } = await stage();
  const result = await scheduler.commit({
    set: {
      'route/a': { via: 'tap' },
      'interface/tap': { ips: ['10.0.0.1'], enabled: true },
      'route/b': { via: 'gone' },
    },
  });
  t.ok(result.ok);
  t.strictSame(done(), ['create interface/tap', 'create route/a', 'create address/tap/10.0.0.1']);
  t.strictSame(
    [...result.values()].map(({ key, state: s }) => `${key} ${s}`),
    ['route/a configured', 'interface/tap configured', 'route/b pending'],
  );
  t.strictSame(scheduler.status('route/b').reasons, [{ kind: 'unmet', dependencies: ['interface/gone'] }]);
  t.equal(state('link-up/tap'), 'configured', 'a property follows its parent');
  t.equal(state('nobody/knows'), 'nonexistent');

  await scheduler.commit({ set: { 'interface/tap': { ips: ['10.0.0.2'], enabled: true } } });
  t.strictSame(
    done(),
    ['delete address/tap/10.0.0.1', 'update interface/tap', 'create address/tap/10.0.0.2'],
    'derived values are diffed',
  );
  await scheduler.commit({ set: { 'interface/tap': { ips: ['10.0.0.2'], enabled: true } } });
  t.strictSame(done(), [], 'an equal value is nothing to do');
  await scheduler.commit({ set: { 'interface/tap': { ips: ['10.0.0.2'], fixed: 1 } } });
  t.strictSame(
    done(),
    [
      'delete route/a',
      'delete address/tap/10.0.0.2',
      'delete interface/tap',
      'create interface/tap',
      'create route/a',
      'create address/tap/10.0.0.2',
    ],
    'what cannot be changed in place is recreated, with what rests on it',
  );
  await scheduler.commit({ delete: ['interface/tap'] });
  t.strictSame(done(), ['delete address/tap/10.0.0.2', 'delete route/a', 'delete interface/tap']);
  t.equal(state('route/a'), 'pending');
  t.equal(state('interface/tap'), 'nonexistent');
});

void t.test('dependencies by selector: prefix, predicate, any of, all of', async (t) => {
  const { scheduler, done, state } = await stage();
  const up: Selector = { prefix: 'link-up/', where: (key: string) => key.endsWith('1'), text: 'first' };
  await scheduler.commit({
    set: {
      'route/any': { via: 'a0', needs: [{ anyOf: ['interface/x', { prefix: 'veth/' }] }] },
      'route/up': { via: 'a0', needs: [up] },
      'route/all': { via: 'a0', needs: [{ allOf: ['interface/a1', { prefix: 'link-up/' }] }] },
      'interface/a0': {},
    },
  });
  t.strictSame(done(), ['create interface/a0']);
  await scheduler.commit({ set: { 'interface/a1': { enabled: true } } });
  t.strictSame(done(), ['create interface/a1', 'create route/all', 'create route/up']);
  await scheduler.commit({ set: { 'interface/x': {} } });
  t.strictSame(done(), ['create interface/x', 'create route/any']);
  await scheduler.commit({ set: { 'veth/1': { peer: '2' }, 'veth/2': { peer: '1' } } });
  t.equal(done().length, 2);
  await scheduler.commit({ delete: ['interface/x'] });
  t.strictSame(done(), ['delete interface/x'], 'the other alternative carries it');
  await scheduler.commit({ delete: ['veth/1'] });
  t.strictSame(done().slice(0, 1), ['delete route/any'], 'and when that goes, it goes first');
  await scheduler.commit({ set: { 'interface/a1': { enabled: false } } });
  t.strictSame([state('route/up'), state('route/all'), state('route/any')], ['pending', 'pending', 'pending']);
});

void t.test('two dependencies of one kind are two dependencies', async (t) => {
  const { scheduler, state } = await stage();
  await scheduler.commit({
    set: { 'interface/a': {}, 'route/r': { via: 'a', needs: ['interface/b', 'interface/c'] } },
  });
  await scheduler.commit({ set: { 'interface/b': {} } });
  t.equal(state('route/r'), 'pending');
  await scheduler.commit({ set: { 'interface/c': {} } });
  t.equal(state('route/r'), 'configured');
  await scheduler.commit({ delete: ['interface/c'] });
  t.equal(state('route/r'), 'pending');
});

void t.test('values that need each other come and go as one', async (t) => {
  const { scheduler, done, state, world } = await stage();
  await scheduler.commit({ set: { 'veth/a': { peer: 'b' } } });
  t.equal(state('veth/a'), 'pending');
  const plan = await scheduler.plan({ set: { 'veth/b': { peer: 'a' } } });
  t.strictSame(
    plan.operations.map(({ group }) => group),
    [1, 1],
  );
  await scheduler.commit({ set: { 'veth/b': { peer: 'a' } } });
  t.equal(done().length, 2);
  t.equal(state('veth/a'), 'configured');
  await scheduler.commit({ delete: ['veth/a'] });
  t.equal(done().length, 2);
  t.equal(state('veth/b'), 'pending');
  world.fail('veth/a', 'create');
  await scheduler.commit({ set: { 'veth/a': { peer: 'b' } } }, { retry: false });
  t.equal(world.values.size, 0, 'when one half fails, the other is taken back');
  t.equal(state('veth/a'), 'failed');
  t.equal(state('veth/b'), 'pending');
  await scheduler.commit({ set: { 'veth/a': { peer: 'b' } } });
  t.strictSame([...world.values.keys()].sort(), ['veth/a', 'veth/b']);
});

void t.test('a circle that a selector need not close is none', async (t) => {
  const { scheduler, done } = await stage();
  // Either of p and the other would do for the first: taken down in the right order, nobody hangs in the air.
  const first = { via: 'p', needs: [{ anyOf: ['interface/p', 'route/2'] }] };
  const second = { via: 'p', needs: ['route/1'] };
  for (const routes of [
    { 'route/1': first, 'route/2': second },
    { 'route/2': second, 'route/1': first },
  ]) {
    await scheduler.commit({ set: { 'interface/p': {}, ...routes } });
    t.strictSame(done(), ['create interface/p', 'create route/1', 'create route/2']);
    const plan = await scheduler.plan({ delete: ['interface/p', ...Object.keys(routes)] });
    t.strictSame(
      plan.operations.map(({ key }) => key),
      ['route/2', 'route/1', 'interface/p'],
    );
    await scheduler.apply(plan);
    t.strictSame(done(), ['delete route/2', 'delete route/1', 'delete interface/p']);
  }

  // Around a true circle: what rests on it goes before, what it rests on after.
  const pair = { 'veth/a': { peer: 'b' }, 'veth/b': { peer: 'a' } };
  const around = { 'route/3': { via: 'p', needs: ['veth/a', { anyOf: ['interface/p', 'route/4'] }] } };
  const beyond = { 'route/4': { via: 'p', needs: ['route/3'] } };
  await scheduler.commit({ set: { 'interface/p': {}, ...pair, ...around, ...beyond } });
  done();
  await scheduler.resync('full', {});
  const gone = done();
  t.equal(gone.length, 5);
  t.ok(gone.indexOf('delete route/4') < gone.indexOf('delete route/3'));
  t.ok(gone.indexOf('delete route/3') < gone.indexOf('delete veth/a'));
  t.ok(gone.indexOf('delete route/3') < gone.indexOf('delete interface/p'));
});

void t.test('a value whose update lets something go keeps its place', async (t) => {
  const { scheduler, done } = await stage();
  await scheduler.commit({ set: { 'interface/old': {}, 'route/r': { via: 'old' } } });
  done();
  await scheduler.commit({ set: { 'interface/new': {}, 'route/r': { via: 'new' } }, delete: ['interface/old'] });
  t.strictSame(done(), ['create interface/new', 'update route/r', 'delete interface/old'], 'no gap in between');
});

void t.test('invalid values are named by field and never reach the southbound', async (t) => {
  const { scheduler, done, state } = await stage();
  const result = await scheduler.commit({ set: { 'interface/a': { mtu: 9999 }, 'interface/b': {} } });
  t.equal(result.status, 'failed');
  t.strictSame(done(), ['create interface/b']);
  t.equal(state('interface/a'), 'invalid');
  t.strictSame(scheduler.status('interface/a').reasons, [
    { kind: 'invalid', fields: [{ path: 'mtu', reason: 'is above 9000' }] },
  ]);
  t.equal(result.get('interface/a').error, 'mtu is above 9000');
  const atomic = await scheduler.commit(
    { set: { 'interface/c': {}, 'interface/d': { mtu: 10_000 } } },
    { atomic: true },
  );
  t.equal(atomic.status, 'reverted');
  t.match(atomic.get('interface/d'), { state: 'invalid', error: 'mtu is above 9000' });
  t.strictSame(done(), [], 'an atomic change with an invalid value does nothing');
  t.equal(scheduler.desired('interface/c'), undefined);
  t.throws(() => atomic.throwIfFailed(), { code: 'ERR_SCHEDULER_TRANSACTION' });
  await scheduler.commit({ set: { 'interface/b': { mtu: 9999 } } });
  t.strictSame(done(), [], 'what was there before stays');
  await scheduler.commit({ set: { 'interface/e': { ips: ['1'] } } });
  await t.rejects(scheduler.commit({ set: { 'address/e/1': {} } }), { code: 'ERR_SCHEDULER_KEY_DERIVED' });
});

void t.test('a failure is contained, learnt about, and tried again', async (t) => {
  const { scheduler, done, state, world, clock } = await stage();
  world.fail('interface/a', 'create', { times: 2 });
  const result = await scheduler.commit(
    { set: { 'interface/a': { ips: ['1'] }, 'route/a': { via: 'a' }, 'interface/b': {} } },
    { retry: { count: 3, delayMs: 100, factor: 2 } },
  );
  t.equal(result.status, 'failed');
  t.match(result.failures, [{ key: 'interface/a', retrying: true, error: { code: 'ERR_SCHEDULER_OPERATION' } }]);
  t.strictSame(done(), ['create interface/a!', 'create interface/b']);
  t.strictSame([state('interface/a'), state('route/a'), state('interface/b')], ['retrying', 'pending', 'configured']);
  t.match(scheduler.status('interface/a').reasons, [{ kind: 'error', attempts: 1, nextTryMs: 1_000_100 }]);
  clock.advance(100);
  await scheduler.idle();
  t.strictSame(done(), ['create interface/a!']);
  t.match(
    scheduler.status('interface/a').reasons,
    [{ kind: 'error', attempts: 2, nextTryMs: 1_000_300 }],
    'the second delay is twice the first',
  );
  clock.advance(200);
  await scheduler.idle();
  t.strictSame(done(), ['create interface/a', 'create route/a', 'create address/a/1']);
  t.equal(clock.waiting, 0);

  world.fail('interface/c', 'create', { times: 9 });
  await scheduler.commit({ set: { 'interface/c': {} } }, { retry: { count: 1, delayMs: 10 } });
  clock.advance(10);
  await scheduler.idle();
  t.equal(state('interface/c'), 'failed', 'after the last try it is failed');
  world.heal();
  await scheduler.commit({ set: { 'interface/c': {} } });
  t.equal(state('interface/c'), 'configured', 'until somebody asks again');

  world.fail('interface/d', 'create', { effect: 'after' });
  const half = await scheduler.commit({ set: { 'interface/d': {}, 'route/d': { via: 'd' } } });
  t.ok(half.ok, 'a call that failed after the deed is found to have done it');
  t.strictSame([state('interface/d'), state('route/d')], ['configured', 'configured']);
});

void t.test('a retry leaves alone what a newer transaction has touched', async (t) => {
  const { scheduler, done, world, clock } = await stage();
  world.fail('interface/a', 'create');
  await scheduler.commit({ set: { 'interface/a': {} } }, { retry: { delayMs: 100 } });
  await scheduler.commit({ delete: ['interface/a'] });
  done();
  clock.advance(1000);
  await scheduler.idle();
  t.strictSame(done(), []);
  t.notOk([...scheduler.history()].some(({ kind }) => kind === 'retry'));
});

void t.test('failed deletes and failed recreations of derived values', async (t) => {
  const { scheduler, done, state, world, clock } = await stage({ retry: { delayMs: 100 } });
  await scheduler.commit({ set: { 'interface/a': { ips: ['1', '2'] } } });
  done();
  world.fail('address/a/1', 'delete');
  const result = await scheduler.commit({ set: { 'interface/a': { ips: ['2'] } } });
  t.equal(result.status, 'failed', 'a derived value belongs to its transaction');
  t.strictSame(done(), ['delete address/a/1!', 'update interface/a'], 'its parent, which it does not carry, goes on');
  t.equal(state('address/a/1'), 'retrying');
  clock.advance(100);
  await scheduler.idle();
  t.strictSame(done(), ['delete address/a/1']);
  world.fail('address/a/2', 'create');
  await scheduler.commit({ set: { 'interface/a': { ips: ['2'], fixed: 1 } } });
  t.strictSame(done(), ['delete address/a/2', 'delete interface/a', 'create interface/a', 'create address/a/2!']);
  clock.advance(100);
  await scheduler.idle();
  t.strictSame(done(), ['create address/a/2']);
  world.fail('address/a/2', 'delete');
  await scheduler.commit({ delete: ['interface/a'] });
  t.strictSame(done(), ['delete address/a/2!']);
  t.ok(world.values.has('interface/a'), 'what carries a value that could not be removed stays');
  clock.advance(100);
  await scheduler.idle();
  t.equal(world.values.size, 0);
});

void t.test('an atomic transaction is all or nothing', async (t) => {
  const { scheduler, done, state, world } = await stage();
  await scheduler.commit({ set: { 'interface/a': { mtu: 1 }, 'interface/b': {} } });
  done();
  world.fail('interface/d', 'create');
  const result = await scheduler.commit(
    {
      set: { 'interface/a': { mtu: 2 }, 'interface/c': {}, 'interface/d': {}, 'interface/e': {} },
      delete: ['interface/b'],
    },
    { atomic: true },
  );
  t.equal(result.status, 'reverted');
  t.notOk(result.ok);
  t.strictSame([...world.values].map(([key, { value }]) => [key, value]).sort(), [
    ['interface/a', { mtu: 1 }],
    ['interface/b', {}],
  ]);
  t.strictSame(scheduler.desired('interface/a'), { mtu: 1 });
  t.equal(state('interface/d'), 'nonexistent');
  const [record] = scheduler.history({ seq: result.seq });
  t.ok(
    record!.operations.some(({ revert, operation, key }) => revert && operation === 'delete' && key === 'interface/c'),
  );
  world.fail('route/r', 'create');
  await scheduler.commit({ set: { 'route/r': { via: 'z' } } });
  const fine = await scheduler.commit({ set: { 'interface/z': {} } }, { atomic: true, retry: false });
  t.equal(fine.status, 'done', 'a dependant that fails is not of the transaction');
  t.equal(state('route/r'), 'failed');
});

void t.test('notifications from the southbound', async (t) => {
  const { scheduler, done, state, world, clock } = await stage();
  await scheduler.commit({ set: { 'route/r': { via: 'eth0' } } });
  world.put('interface/eth0', { ips: ['9'] });
  await scheduler.notify([{ key: 'interface/eth0', value: { ips: ['9'], enabled: true } }]);
  t.equal(state('interface/eth0'), 'obtained');
  t.equal(state('link-up/eth0'), 'obtained', 'values derived from it are there too');
  t.strictSame(done(), ['create route/r']);
  await scheduler.notify([{ key: 'interface/eth0', value: undefined }]);
  t.strictSame(done(), ['delete route/r']);
  t.equal(state('interface/eth0'), 'nonexistent');
  world.fail('route/r', 'create');
  await scheduler.notify([{ key: 'interface/eth0', value: {} }]);
  t.equal(state('route/r'), 'retrying', 'what follows from a notification is retried like anything else');
  clock.advance(1000);
  await scheduler.idle();
  t.equal(state('route/r'), 'configured');
  done();
  const burst: Promise<unknown>[] = [];
  for (let i = 0; i < 5000; i += 1) burst.push(scheduler.notify([{ key: `interface/n${i % 10}`, value: { mtu: i } }]));
  await Promise.all(burst);
  t.strictSame(
    scheduler.applied('interface/n3'),
    { mtu: 4993 },
    'of a burst the last report of each key counts, none is dropped',
  );
  await scheduler.commit({ set: { 'interface/mine': {} } });
  done();
  world.drop('interface/mine');
  await scheduler.notify([{ key: 'interface/mine', value: undefined }]);
  t.strictSame(done(), ['create interface/mine'], 'what is ours is put back');
});

void t.test('resyncs: empty, non-empty, of several descriptors, with foreign values, with failures', async (t) => {
  const world = mockSouthbound();
  world.put('interface/loop', {}, 'foreign');
  world.put('interface/tagged', {}, 'ours');
  const { scheduler, done, state, clock } = await stage({}, world);
  t.equal(state('interface/loop'), 'obtained');
  t.equal(state('interface/tagged'), 'discovered');
  await scheduler.resync('downstream');
  t.strictSame(done(), [], 'nothing of that is touched');
  await scheduler.resync('full', { 'interface/a': { ips: ['1'] }, 'route/r': { via: 'loop' } });
  t.strictSame(done().sort(), [
    'create address/a/1',
    'create interface/a',
    'create route/r',
    'delete interface/tagged',
  ]);
  t.ok(world.values.has('interface/loop'), 'what is not ours is never removed');
  world.drop('address/a/1');
  world.put('interface/a', { ips: ['1'], mtu: 7 });
  await scheduler.resync('downstream');
  t.strictSame(done().sort(), ['create address/a/1', 'update interface/a']);
  await scheduler.resync('upstream', { 'interface/b': {} });
  t.strictSame(done().sort(), ['create interface/b', 'delete address/a/1', 'delete interface/a', 'delete route/r']);
  world.fail('interface', 'retrieve');
  world.drop('interface/b');
  const failed = await scheduler.resync('downstream', undefined, { retry: { delayMs: 50 } });
  t.equal(failed.status, 'failed');
  t.strictSame(done(), [], 'what cannot be read is left alone');
  clock.advance(50);
  await scheduler.idle();
  t.strictSame(done(), ['create interface/b'], 'and looked at again');
  world.fail('interface/c', 'create');
  await scheduler.resync('full', { 'interface/c': {} }, { retry: { delayMs: 50 } });
  t.equal(state('interface/c'), 'retrying');
  clock.advance(50);
  await scheduler.idle();
  t.equal(state('interface/c'), 'configured');
  t.throws(() => scheduler.resync('downstream', { a: 1 }), { code: 'ERR_SCHEDULER_ARGUMENT' });
  t.throws(() => scheduler.resync('full', {}, { atomic: true }), { code: 'ERR_SCHEDULER_ARGUMENT' });
});

void t.test('a restart of the southbound is noticed, also for what cannot be retrieved', async (t) => {
  const world = mockSouthbound();
  const descriptors = [world.descriptor({ name: 'blind', keys: 'blind/', retrieves: false }), ...network(world)];
  const { scheduler, done } = await stage({ descriptors }, world);
  await scheduler.commit({ set: { 'blind/a': { n: 1 }, 'interface/a': {} } });
  done();
  await scheduler.resync('downstream');
  t.strictSame(done(), [], 'the same instance still has it');
  world.restart();
  await scheduler.resync('downstream');
  t.strictSame(done().sort(), ['create blind/a', 'create interface/a']);
  world.fail('blind/a', 'update');
  await scheduler.commit({ set: { 'blind/a': { n: 2 } } }, { retry: false });
  t.ok(scheduler.status('blind/a').reasons.some(({ kind }) => kind === 'uncertain'));
  done();
  await scheduler.commit({ set: { 'blind/a': { n: 3 } } });
  t.strictSame(done(), ['delete blind/a', 'create blind/a'], 'from the unknown back to a known state');
});

void t.test('what nobody can retrieve: nothing new is built on what may not be there', async (t) => {
  const world = mockSouthbound();
  const base = { keys: 'blind/', retrieves: false, derive: (key: string) => [{ key: `part/${key}`, value: {} }] };
  const descriptors = [
    world.descriptor<{ over?: string }>({
      ...base,
      name: 'blind',
      dependencies: (_key, { over }) => (over === undefined ? [] : [over]),
    }),
    world.descriptor({ name: 'part', keys: 'part/' }),
    world.descriptor({ name: 'base', keys: 'base/', updates: false }),
  ];
  const { scheduler, done, state, clock } = await stage({ descriptors, retry: { delayMs: 100 } }, world);
  await scheduler.commit({ set: { 'blind/a': {} } });
  done();
  world.fail('blind/a', 'delete', { times: 2 });
  await scheduler.commit({ delete: ['blind/a'] }, { atomic: true });
  t.strictSame(done(), ['delete part/blind/a', 'delete blind/a!', 'delete blind/a!']);
  t.equal(state('part/blind/a'), 'pending', 'its part waits until it is known to be there');
  clock.advance(100);
  await scheduler.idle();
  t.strictSame(done(), ['delete blind/a', 'create blind/a', 'create part/blind/a']);
  world.fail('blind/b', 'create');
  await scheduler.commit({ set: { 'blind/b': { over: 'base/1' }, 'base/1': { n: 1 } } });
  await scheduler.commit({ set: { 'base/1': { n: 2 } } });
  t.strictSame(
    done().slice(2),
    ['delete blind/b', 'delete base/1', 'create base/1', 'create blind/b', 'create part/blind/b'],
    'a failed value that made way is tried again with what it made way for',
  );
});

void t.test('drift is repaired, adopted, reported or ignored, as policy says', async (t) => {
  const world = mockSouthbound();
  const policies = ['repair', 'adopt', 'report', 'ignore'] as const;
  const descriptors = policies.map((policy) =>
    world.descriptor({ name: policy, keys: `${policy}/`, drift: { ours: policy, foreign: policy } }),
  );
  const { scheduler, done, state } = await stage({ descriptors }, world);
  for (const policy of policies)
    await scheduler.commit({ set: { [`${policy}/a`]: { n: 1 }, [`${policy}/b`]: { n: 1 } } });
  done();
  for (const policy of policies) {
    world.put(`${policy}/a`, { n: 2 });
    world.drop(`${policy}/b`);
    world.put(`${policy}/c`, { n: 3 });
  }
  const { drifts } = await scheduler.checkDrift();
  t.strictSame(drifts.map(({ key, difference }) => `${key} ${difference}`).sort(), [
    'adopt/a changed',
    'adopt/b missing',
    'adopt/c foreign',
    'repair/a changed',
    'repair/b missing',
    'repair/c foreign',
    'report/a changed',
    'report/b missing',
    'report/c foreign',
  ]);
  t.strictSame(done().sort(), ['create repair/b', 'delete repair/c', 'update repair/a']);
  t.strictSame(
    [scheduler.desired('adopt/a'), scheduler.desired('adopt/b'), scheduler.desired('adopt/c')],
    [{ n: 2 }, undefined, { n: 3 }],
  );
  t.strictSame([state('adopt/c'), state('report/c'), state('ignore/c')], ['configured', 'obtained', 'nonexistent']);
  t.strictSame(scheduler.status('report/a').reasons, [{ kind: 'drift', difference: 'changed' }]);
  t.equal(state('report/b'), 'missing');
  await scheduler.commit({ set: { 'report/a': { n: 5 } } });
  t.strictSame(done(), ['update report/a'], 'a new wish ends the truce');
  const again = await scheduler.checkDrift({ descriptors: ['report'], policy: 'repair' });
  t.ok(again.result.ok);
  t.equal(scheduler.metrics().driftFound >= 9, true);
});

void t.test('drift is looked for periodically', async (t) => {
  const world = mockSouthbound();
  const { scheduler, done, clock } = await stage(
    { descriptors: [world.descriptor({ name: 'a', keys: 'a/', drift: { everyMs: 5000 } })] },
    world,
  );
  await scheduler.commit({ set: { 'a/1': {} } });
  done();
  for (let round = 0; round < 3; round += 1) {
    world.drop('a/1');
    clock.advance(5000);
    await scheduler.idle();
    await new Promise((resolve) => void setImmediate(resolve));
    t.strictSame(done(), ['create a/1']);
  }
});

void t.test('a plan is data, and is executed exactly or not at all', async (t) => {
  const { scheduler, done, world } = await stage();
  await scheduler.commit({ set: { 'interface/a': { mtu: 1 }, 'route/r': { via: 'a' } } });
  done();
  const change = {
    set: { 'interface/a': { mtu: 2 }, 'interface/b': { ips: ['1'] }, 'route/s': { via: 'none' } },
    delete: ['route/r'],
  };
  const plan = await scheduler.plan(change);
  t.strictSame(done(), [], 'planning does nothing');
  t.strictSame(scheduler.desired('interface/a'), { mtu: 1 });
  t.equal(scheduler.status('interface/b').state, 'nonexistent');
  t.equal(plan.size, 4);
  t.equal(
    plan.toString(),
    '   0 - delete route/r\n   1 ~ update interface/a\n   2 + create interface/b\n   3 + create address/b/1  (from interface/b, after 2)\n    ? route/s  pending: needs interface/none\n',
  );
  t.match(JSON.parse(JSON.stringify(plan)), {
    operations: [
      { kind: 'delete', key: 'route/r', phase: 1 },
      { kind: 'update', key: 'interface/a', previous: { mtu: 1 }, value: { mtu: 2 } },
      {},
      { derivedFrom: 'interface/b', after: [2] },
    ],
    waiting: [{ key: 'route/s' }],
  });
  const result = await scheduler.apply(plan);
  t.ok(result.ok);
  t.strictSame(done(), ['delete route/r', 'update interface/a', 'create interface/b', 'create address/b/1']);
  await t.rejects(scheduler.apply(plan), { code: 'ERR_SCHEDULER_PLAN', message: /no longer holds/ });
  t.strictSame(done(), []);
  t.strictSame(plan.diff(await scheduler.plan({ set: { 'interface/c': {} } })).slice(-1), ['+ create interface/c']);
  const stale = await scheduler.plan({ delete: ['interface/b'] });
  world.drop('address/b/1');
  await scheduler.checkDrift({ policy: 'report' });
  await t.rejects(scheduler.apply(stale), { code: 'ERR_SCHEDULER_PLAN' });
  t.ok(scheduler.desired('interface/b'), 'a plan that does not hold changes nothing');
  await t.rejects(scheduler.apply(JSON.parse(JSON.stringify(stale)) as typeof stale), {
    code: 'ERR_SCHEDULER_ARGUMENT',
  });
});

void t.test('priority, deadline, abort', async (t) => {
  const { scheduler, done, world, clock, state } = await stage();
  let release: () => void = () => undefined;
  world.latency = (kind, key) =>
    kind === 'create' && key === 'interface/slow' ? new Promise<void>((resolve) => (release = resolve)) : undefined;
  const slow = scheduler.commit({ set: { 'interface/slow': {} } });
  await new Promise((resolve) => void setImmediate(resolve));
  const low = scheduler.commit({ set: { 'interface/low': {} } }, { priority: -1 });
  const high = scheduler.commit({ set: { 'interface/high': {} } }, { priority: 1 });
  const late = t.rejects(scheduler.commit({ set: { 'interface/late': {} } }, { timeoutMs: 500 }), {
    code: 'ERR_SCHEDULER_DEADLINE',
  });
  const controller = new AbortController();
  const aborted = t.rejects(scheduler.commit({ set: { 'interface/never': {} } }, { signal: controller.signal }), {
    code: 'ERR_SCHEDULER_ABORTED',
  });
  t.ok(scheduler.metrics().queueLength >= 4);
  clock.advance(500);
  controller.abort();
  release();
  await Promise.all([slow, low, high, late, aborted]);
  t.strictSame(done(), ['create interface/slow', 'create interface/high', 'create interface/low']);
  t.equal(scheduler.desired('interface/never'), undefined);

  const stop = new AbortController();
  world.latency = (_kind, key) => {
    if (key === 'interface/x') stop.abort();
    return Promise.resolve();
  };
  const half = await scheduler.commit(
    { set: { 'interface/x': {}, 'route/x': { via: 'x' } } },
    { signal: stop.signal, retry: false },
  );
  t.equal(half.status, 'aborted', 'what is under way is finished, what is not is not begun');
  t.strictSame([state('interface/x'), state('route/x')], ['configured', 'failed']);
  t.match(scheduler.status('route/x').reasons, [{ kind: 'error', code: 'ERR_SCHEDULER_ABORTED' }]);
  world.latency = undefined;
  await scheduler.resync('downstream');
  t.equal(state('route/x'), 'configured');
});

void t.test('independent operations run at once, within limits; batches go together', async (t) => {
  const world = mockSouthbound();
  const descriptors = [
    world.descriptor({ name: 'three', keys: 'three/', concurrency: 3 }),
    world.descriptor({ name: 'batch', keys: 'batch/', batches: true, batchSize: 40 }),
  ];
  const { scheduler } = await stage({ descriptors }, world);
  world.latency = () => new Promise<void>((resolve) => void setImmediate(resolve));
  await scheduler.commit({ set: Array.from({ length: 20 }, (_none, i) => [`three/${i}`, {}] as const) });
  t.equal(world.mostUnderWay, 3);
  world.mostUnderWay = 0;
  await scheduler.commit(
    { set: Array.from({ length: 20 }, (_none, i) => [`three/s${i}`, {}] as const) },
    { serial: true },
  );
  t.equal(world.mostUnderWay, 1);
  world.fail('batch/7', 'create');
  const result = await scheduler.commit(
    { set: Array.from({ length: 100 }, (_none, i) => [`batch/${i}`, {}] as const) },
    { retry: false },
  );
  t.match(result.failures, [{ key: 'batch/7' }], 'one value of a batch can fail alone');
  t.equal(scheduler.metrics().calls.batch!.create!.calls, 3);
  t.equal(scheduler.metrics().calls.batch!.create!.values, 100);
  t.equal([...world.values.keys()].filter((key) => key.startsWith('batch/')).length, 99);
});

void t.test('commit, then confirm or be taken back', async (t) => {
  const { scheduler, clock, world } = await stage();
  await scheduler.commit({ set: { 'interface/a': { mtu: 1 } } });
  const kept = await scheduler.commitConfirm({ set: { 'interface/a': { mtu: 2 } } }, { timeoutMs: 1000 });
  t.ok(kept.result.ok);
  await kept.confirm();
  t.equal(await kept.settled, 'confirmed');
  clock.advance(2000);
  await scheduler.idle();
  t.strictSame(world.values.get('interface/a')?.value, { mtu: 2 });
  await t.rejects(kept.confirm(), { code: 'ERR_SCHEDULER_CONFIRM' });
  const lost = await scheduler.commitConfirm(
    { set: { 'interface/a': { mtu: 3 }, 'interface/b': {}, 'interface/c': {} } },
    { timeoutMs: 1000 },
  );
  await scheduler.commit({ set: { 'interface/c': { mtu: 5 } } });
  clock.advance(1000);
  t.equal(await lost.settled, 'rolled back');
  t.strictSame(world.values.get('interface/a')?.value, { mtu: 2 });
  t.notOk(world.values.has('interface/b'));
  t.strictSame(world.values.get('interface/c')?.value, { mtu: 5 }, 'what somebody has changed since stays');
  await t.rejects(lost.rollback(), { code: 'ERR_SCHEDULER_CONFIRM' });
});

void t.test('checkpoints', async (t) => {
  const { scheduler, world } = await stage();
  await scheduler.commit({ set: { 'interface/a': { mtu: 1 } } });
  await scheduler.checkpoint('first');
  await scheduler.commit({ set: { 'interface/a': { mtu: 2 }, 'interface/b': {} } });
  await scheduler.checkpoint('second');
  await scheduler.commit({ delete: ['interface/a', 'interface/b'] });
  t.strictSame(scheduler.checkpoints(), ['first', 'second']);
  await scheduler.rollback('second');
  t.strictSame([...world.values.keys()].sort(), ['interface/a', 'interface/b']);
  await scheduler.rollback('first');
  t.strictSame(
    [...world.values].map(([key, { value }]) => [key, value]),
    [['interface/a', { mtu: 1 }]],
  );
  await scheduler.rollback('second');
  t.strictSame([...world.values.keys()].sort(), ['interface/a', 'interface/b'], 'also forward again');
  await scheduler.dropCheckpoint('first');
  await t.rejects(scheduler.rollback('first'), { code: 'ERR_SCHEDULER_CHECKPOINT' });
});

void t.test('values without a descriptor wait for one', async (t) => {
  const world = mockSouthbound();
  const { scheduler, done, state } = await stage({ descriptors: network(world) }, world);
  await scheduler.commit({ set: { 'acl/1': { via: 'x' } } });
  t.equal(state('acl/1'), 'unimplemented');
  t.equal(scheduler.desired('acl/1'), '[no descriptor]', 'nobody knows what in it is secret');
  await scheduler.register(world.descriptor({ name: 'acl', keys: 'acl/', dependencies: () => ['interface/a'] }));
  t.equal(state('acl/1'), 'pending');
  await scheduler.commit({ set: { 'interface/a': {} } });
  t.strictSame(done(), ['create interface/a', 'create acl/1']);
  await t.rejects(scheduler.register(world.descriptor({ name: 'acl', keys: 'acl2/' })), {
    code: 'ERR_SCHEDULER_DESCRIPTOR_NAME',
  });
  await t.rejects(scheduler.register(world.descriptor({ name: 'acl2', keys: 'acl/' })), {
    code: 'ERR_SCHEDULER_DESCRIPTOR_KEYS',
  });
});

void t.test('metadata can be looked up by its indexes', async (t) => {
  const { scheduler, world } = await stage();
  await scheduler.commit({ set: { 'interface/a': {}, 'interface/b': {} } });
  const handle = scheduler.metadata('interface/b') as number;
  t.equal(handle, world.values.get('interface/b')!.metadata);
  t.strictSame(scheduler.lookup('interface', 'handle', handle), ['interface/b']);
  await scheduler.commit({ delete: ['interface/b'] });
  t.strictSame(scheduler.lookup('interface', 'handle', handle), []);
  t.throws(() => scheduler.lookup('interface', 'colour', 1), { code: 'ERR_SCHEDULER_ARGUMENT' });
});

void t.test('history by key, transaction and time; watching with tokens', async (t) => {
  const { scheduler, clock } = await stage();
  const events = scheduler.watch({ prefix: 'interface/' });
  const first = await scheduler.commit({ set: { 'interface/a': { mtu: 1 } } }, { description: 'one' });
  clock.advance(1000);
  await scheduler.commit({ set: { 'interface/a': { mtu: 2 }, 'route/r': { via: 'x' } } }, { description: 'two' });
  t.match(
    [...scheduler.history({ key: 'interface/a' })].map(({ description, operations }) => [
      description,
      operations[0]?.operation,
    ]),
    [
      ['one', 'create'],
      ['two', 'update'],
    ],
  );
  t.equal([...scheduler.history({ seq: first.seq })].length, 1);
  t.strictSame(
    [...scheduler.history({ sinceMs: 1_001_000 })].map(({ description }) => description),
    ['two'],
  );
  t.strictSame(
    [...scheduler.history({ untilMs: 1_000_500, key: 'interface/a' })].map(({ description }) => description),
    ['one'],
  );
  const a = await events.next();
  const b = await events.next();
  t.match(
    [a.value, b.value],
    [
      { key: 'interface/a', operation: 'create', state: 'configured' },
      { operation: 'update', previous: { mtu: 1 }, value: { mtu: 2 } },
    ],
  );
  const resumed = scheduler.watch({ after: (a.value as { token: string }).token });
  t.match((await resumed.next()).value, { key: 'interface/a', operation: 'update' });
  t.match((await resumed.next()).value, { key: 'route/r', operation: 'none', state: 'pending' });
  // A watcher that is waiting can be told to stop.
  const waiting = resumed.next();
  await resumed.return();
  t.equal((await waiting).done, true);
  t.throws(() => scheduler.watch({ after: 'yesterday' }), { code: 'ERR_SCHEDULER_TOKEN' });
  const seen: number[] = [];
  const transactions = scheduler.watchTransactions({ after: 'start' });
  for await (const { seq } of transactions) {
    seen.push(seq);
    if (seen.length === 3) break;
  }
  t.strictSame(seen, [0, 1, 2]);
});

void t.test('a slow watcher loses nothing, even when history does', async (t) => {
  const { scheduler } = await stage({ history: { rows: 10 } });
  const slow = scheduler.watch();
  for (let i = 0; i < 100; i += 1) await scheduler.commit({ set: { 'interface/a': { mtu: i } } });
  for (let i = 0; i < 100; i += 1) t.match((await slow.next()).value, { value: { mtu: i } });
  t.ok([...scheduler.history()].length <= 11);
  t.throws(() => scheduler.watch({ after: '2.0' }), { code: 'ERR_SCHEDULER_TOKEN' });
  await slow.return();
});

void t.test('explanations and drawings', async (t) => {
  const { scheduler, world } = await stage();
  world.fail('interface/a', 'create');
  await scheduler.commit(
    { set: { 'interface/a': {}, 'route/r': { via: 'a' }, 'interface/up': {}, 'route/s': { via: 'up' } } },
    { retry: false, description: 'the change' },
  );
  t.match(
    scheduler.explain('route/r'),
    /route\/r is pending \(route\)\n {2}needs interface\/a\n.*\n {2}interface\/a is failed \(interface\)\n {4}create of interface\/a by interface: scripted fault/s,
  );
  t.match(scheduler.explain('interface/up'), /carries route\/s/);
  t.match(scheduler.explain('route/s'), /rests on interface\/up/);
  t.match(scheduler.explain('no/where'), /nobody desires it/);
  t.match(scheduler.export('dot'), /digraph scheduler \{[\s\S]*interface\/a\\nfailed[\s\S]*->/);
  t.match(
    scheduler.export('mermaid', { prefix: 'route/' }),
    /^flowchart LR\n {2}n0\["route\/r<br\/>pending"\]:::pending/,
  );
  const drawing = JSON.parse(scheduler.export('json')) as { nodes: { key: string }[]; edges: { relation: string }[] };
  t.strictSame(
    drawing.nodes.map(({ key }) => key),
    ['interface/a', 'interface/up', 'route/r', 'route/s'],
  );
  t.equal(drawing.edges.length, 2);
  const { values, transactions } = scheduler.metrics();
  t.match(values, { failed: 1, pending: 1, configured: 2 });
  t.match(transactions, { change: 1 });
});

void t.test('secrets are seen by their descriptor and by nobody else', async (t) => {
  const secret = 'correct-horse';
  const path = await directory();
  const world = mockSouthbound();
  const descriptor: Descriptor = {
    ...world.descriptor({ name: 'tunnel', keys: 'tunnel/', derive: (key) => [{ key: `peer/${key}`, value: {} }] }),
    schema: {
      type: 'object',
      properties: { psk: { type: 'string', secret: true, minLength: 5 }, name: { type: 'string' } },
    },
  };
  world.fail('tunnel/a', 'update', { error: new Error(`bad key ${secret}!`) });
  const { scheduler } = await stage({ descriptors: [descriptor], journal: path, retry: false }, world);
  await scheduler.commit({ set: { 'tunnel/a': { psk: secret, name: 'n' } } });
  t.strictSame(world.values.get('tunnel/a')?.value, { psk: secret, name: 'n' }, 'the southbound gets it');
  const plan = await scheduler.plan({ set: { 'tunnel/a': { psk: `${secret}2` } } });
  const failed = await scheduler.commit({ set: { 'tunnel/a': { psk: secret, name: 'm' } } });
  const invalid = await scheduler.commit({ set: { 'tunnel/b': { psk: 'tiny' } } });
  const events = scheduler.watch({ after: 'start' });
  const everything = [
    JSON.stringify(plan),
    plan.toString(),
    String(Object.entries(plan)),
    JSON.stringify([...scheduler.history()]),
    JSON.stringify([...scheduler.statuses()]),
    JSON.stringify([...scheduler.dump('desired')]),
    JSON.stringify([...scheduler.dump('applied')]),
    JSON.stringify(scheduler.desired('tunnel/a')),
    scheduler.explain('tunnel/a'),
    scheduler.explain('tunnel/b'),
    scheduler.export('json'),
    scheduler.export('dot'),
    scheduler.export('mermaid'),
    JSON.stringify((await events.next()).value),
    JSON.stringify(failed.failures),
    failed.failures[0]!.error.message,
    String(failed.failures[0]!.error.cause),
    failed.failures[0]!.error.stack ?? '',
    JSON.stringify([...invalid.values()]),
    JSON.stringify(scheduler.metrics()),
  ].join('\n');
  await events.return();
  t.notMatch(everything, secret);
  t.notMatch(everything, 'tiny');
  t.match(everything, /\[redacted\]/);
  t.match(failed.failures[0]!.error.message, 'bad key [redacted]!');
  t.strictSame(scheduler.desired('tunnel/a', { secrets: true }), { psk: secret, name: 'm' }, 'unless asked for');
  await scheduler.close();
  let listing = '';
  for await (const line of listJournal(path, [descriptor])) listing += `${line}\n`;
  t.match(listing, /intent change/);
  t.notMatch(listing, secret);
  for await (const line of listJournal(path, [])) t.notMatch(line, secret);
  for (const name of await readdir(path))
    t.equal((await stat(join(path, name))).mode & 0o077, 0, `${name} is its owner's alone`);
});

void t.test('a journal: desired state, history, checkpoints and numbers go on', async (t) => {
  const path = await directory();
  const world = mockSouthbound();
  const descriptors = [...network(world), world.descriptor({ name: 'blind', keys: 'blind/', retrieves: false })];
  const first = await stage({ descriptors, journal: path }, world);
  const odd = { big: 12345678901234567890n, bytes: new Uint8Array([1, 2, 255]), at: new Date(5), $: 'mine', minus: -0 };
  await first.scheduler.commit({ set: { 'interface/a': { mtu: 1 }, 'blind/odd': odd } });
  await first.scheduler.checkpoint('before');
  const last = await first.scheduler.commit(
    { set: { 'interface/a': { mtu: 2 }, 'route/r': { via: 'a' } } },
    { description: 'last' },
  );
  await t.rejects(Scheduler.open({ journal: path }), { code: 'ERR_SCHEDULER_JOURNAL_LOCKED' });
  await first.scheduler.close();
  await t.rejects(first.scheduler.commit({}), { code: 'ERR_SCHEDULER_CLOSED' });

  const second = await stage({ descriptors, journal: { path, snapshotBytes: 1 } }, world);
  t.match(second.scheduler.recovered, { values: 3, undone: [], cutBytes: 0 });
  t.strictSame(
    second.done(),
    [],
    'everything is there still; what cannot be retrieved is believed, the instance is the same',
  );
  t.strictSame(second.scheduler.desired('blind/odd'), odd);
  const next = await second.scheduler.commit({ set: { 'interface/b': {} } });
  t.ok(next.seq > last.seq, 'numbers go on');
  t.match(
    [...second.scheduler.history({ seq: last.seq })],
    [
      {
        description: 'last',
        status: 'done',
        operations: [{ key: 'interface/a', operation: 'update' }, { key: 'route/r' }],
      },
    ],
  );
  await second.scheduler.commit({ delete: ['interface/b'] });
  t.ok(second.scheduler.metrics().journal!.snapshots > 0, 'a snapshot has been taken');
  await second.scheduler.close();

  const third = await stage({ descriptors, journal: path }, world);
  t.strictSame(
    [...third.scheduler.dump('desired')].map(({ key }) => key),
    ['blind/odd', 'interface/a', 'route/r'],
  );
  t.strictSame(third.scheduler.checkpoints(), ['before']);
  await third.scheduler.rollback('before');
  t.strictSame(world.values.get('interface/a')?.value, { mtu: 1 });
  await third.scheduler.close();

  world.restart();
  const fourth = await stage({ descriptors, journal: path }, world);
  t.strictSame([...world.values.keys()].sort(), ['blind/odd', 'interface/a'], 'another instance is given everything');
  await t.rejects(fourth.scheduler.commit({ set: { 'interface/f': { mtu: () => 1 } } }), {
    code: 'ERR_SCHEDULER_JOURNAL_VALUE',
  });
  const after = (await fourth.scheduler.commit({ set: { 'interface/z': {} } })).seq;
  const token = fourth.scheduler.token;
  await fourth.scheduler.close();
  const fifth = await stage({ descriptors, journal: path }, world);
  const resumed = fifth.scheduler.watch({ after: token });
  const event = (await resumed.next()).value as { seq: number };
  t.ok(event.seq > after, 'a token holds over a restart');
  await resumed.return();
});

void t.test('what was being deleted when the process died is deleted by the next', async (t) => {
  const path = await directory();
  const world = mockSouthbound();
  const first = await stage({ journal: path }, world);
  await first.scheduler.commit({ set: { 'interface/a': { ips: ['1', '2'] }, 'interface/b': { ips: ['3'] } } });
  const never = held();
  let started = 0;
  world.latency = (kind) => {
    if (kind === 'retrieve') return undefined;
    started += 1;
    return never;
  };
  void first.scheduler.commit({ delete: ['interface/a'], set: { 'interface/b': {} } });
  await until(() => started > 0);
  // The first never comes back; a copy of its files is what a kill -9 would have left.
  const copy = await directory();
  await cp(path, copy, { recursive: true });
  await rm(join(copy, 'lock'));
  world.latency = undefined;
  world.calls.length = 0;
  const second = await stage({ journal: copy }, world);
  t.strictSame([...world.values.keys()], ['interface/b']);
  await second.scheduler.close();
});

void t.test('unconfirmed and unfinished atomic transactions are undone by a restart', async (t) => {
  const path = await directory();
  const world = mockSouthbound();
  const first = await stage({ journal: path }, world);
  await first.scheduler.commit({ set: { 'interface/a': { mtu: 1 } } });
  await first.scheduler.commitConfirm({ set: { 'interface/a': { mtu: 2 }, 'interface/b': {} } }, { timeoutMs: 60_000 });
  await first.scheduler.destroy();
  t.ok(world.values.has('interface/b'));
  const second = await stage({ journal: path }, world);
  t.equal(second.scheduler.recovered?.undone.length, 1);
  t.strictSame(
    [...world.values].map(([key, { value }]) => [key, value]),
    [['interface/a', { mtu: 1 }]],
  );
  const never = held();
  world.latency = (kind, key) => (kind === 'create' && key === 'interface/d' ? never : undefined);
  void second.scheduler.commit({ set: { 'interface/c': {}, 'interface/d': {} } }, { atomic: true });
  await until(() => world.values.has('interface/c'));
  const copy = await directory();
  await cp(path, copy, { recursive: true });
  await rm(join(copy, 'lock'));
  world.latency = undefined;
  const third = await stage({ journal: copy }, world);
  t.strictSame([...world.values.keys()], ['interface/a']);
  await third.scheduler.close();
});

void t.test('a journal cut at any byte gives a state that was', { timeout: 180_000 }, async (t) => {
  const path = await directory();
  const world = mockSouthbound();
  const descriptors = network(world);
  const { scheduler } = await stage({ descriptors, journal: path }, world);
  const states: string[] = ['{}'];
  const sizes: number[] = [];
  const desired = (of: Scheduler): string =>
    JSON.stringify(Object.fromEntries([...of.dump('desired')].map(({ key, value }) => [key, value])));
  const log = join(path, 'log-00000001');
  for (let i = 0; i < 7; i += 1) {
    const change =
      i % 4 === 3
        ? { delete: [`interface/${i - 2}`] }
        : { set: { [`interface/${i}`]: { mtu: i }, [`route/${i % 2}`]: { via: String(i) } } };
    await scheduler.commit(change, { atomic: i % 5 === 2 });
    sizes.push((await stat(log)).size);
    states.push(desired(scheduler));
  }
  await scheduler.close();
  const whole = await readFile(log);
  const copy = await directory();
  let cuts = 0;
  for (let length = 0; length <= whole.length; length += 1) {
    await writeFile(join(copy, 'log-00000001'), whole.subarray(0, length));
    const recovered = await Scheduler.open({ descriptors, journal: { path: copy, sync: false }, startup: 'none' });
    const got = desired(recovered);
    const { seq } = recovered;
    await recovered.destroy();
    const answered = sizes.filter((size) => size <= length).length;
    const at = states.indexOf(got);
    if (at < answered)
      throw new Error(
        `cut at ${length}: ${answered} transactions had been answered, the state is that after ${at}: ${got}`,
      );
    if (at > 0 && seq <= at - 1) throw new Error(`cut at ${length}: number ${seq} would be used twice`);
    cuts += 1;
  }
  t.equal(cuts, whole.length + 1, `${cuts} cuts`);

  // Damage in the middle of what had been synced is no cut: it is not passed over in silence.
  const damaged = Buffer.from(whole);
  damaged[30]! ^= 1;
  await writeFile(join(copy, 'log-00000001'), damaged);
  await t.rejects(Scheduler.open({ descriptors, journal: copy }), { code: 'ERR_SCHEDULER_JOURNAL_CORRUPT' });
  const repaired = await Scheduler.open({ descriptors, journal: { path: copy, repair: true }, startup: 'none' });
  t.ok(repaired.recovered!.cutBytes > 0);
  await repaired.destroy();
});

void t.test('a process killed at any moment leaves a journal that opens', { timeout: 120_000 }, async (t) => {
  const path = await directory();
  const program = `
    import { Scheduler, mockSouthbound } from 'node-vpp/scheduler';
    const world = mockSouthbound();
    const scheduler = await Scheduler.open({ descriptors: [world.descriptor({ name: 'a', keys: 'a/' })], journal: { path: ${JSON.stringify(path)}, snapshotBytes: 4000 } });
    process.stdout.write('n ' + scheduler.recovered.values + '\\n');
    for (let i = scheduler.recovered.values; ; i += 1) {
      await scheduler.commit({ set: { ['a/' + i]: { n: i, text: 'x'.repeat(i % 50) } } });
      process.stdout.write('c ' + (i + 1) + '\\n');
    }`;
  const file = join(root, 'build/js/test/.killed.mjs');
  await writeFile(file, program);
  t.teardown(() => rm(file, { force: true }));
  let answered = 0;
  for (let round = 0; round < 6; round += 1) {
    const child = spawn(process.execPath, [file], { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
    const wanted = 7 + round * 11;
    let out = '';
    let problem = '';
    child.stderr.on('data', (chunk: Buffer) => (problem += chunk.toString()));
    child.stdout.on('data', (chunk: Buffer) => {
      out += chunk.toString();
      if (out.split('\n').length > wanted) child.kill('SIGKILL');
    });
    await once(child, 'close');
    t.equal(problem, '', `round ${round}`);
    const start = Number(/^n (\d+)$/m.exec(out)?.[1]);
    t.ok(start >= answered, `round ${round}: ${answered} answered, ${start} recovered`);
    answered = Number(/c (\d+)\n[^\n]*$/.exec(out)![1]);
  }
  t.ok(answered > 0, `${answered} transactions`);
});

void t.test('the toy of the examples plans, fails, retries and rolls back', async (t) => {
  const program = join(root, 'build/js/examples/scheduler-toy.js');
  const { stdout, stderr, status } = spawnSync(process.execPath, [program], { encoding: 'utf8', cwd: root });
  t.equal(stderr, '');
  t.equal(status, 0);
  for (const text of ['+ create cable/', 'retrying', 'configured', 'reverted', 'rolled back']) t.match(stdout, text);
  const lines = readFileSync(join(root, 'examples/scheduler-toy.ts'), 'utf8').split('\n').length;
  t.ok(lines <= 110, `${lines} lines`);
});

void t.test('the examples in the documentation run', async (t) => {
  const page = readFileSync(join(root, 'docs/scheduler.md'), 'utf8');
  const blocks = [...page.matchAll(/```js\n([\s\S]*?)```\n(?:\n?```text\n([\s\S]*?)```)?/g)];
  t.ok(blocks.length >= 4, `${blocks.length} blocks`);
  const file = join(root, 'build/js/test/.documented.mjs');
  t.teardown(() => rm(file, { force: true }));
  for (const [index, [, code, output]] of blocks.entries()) {
    await writeFile(file, code!);
    const run = spawnSync(process.execPath, [file], { encoding: 'utf8', cwd: root });
    t.equal(run.stderr, '', `block ${index}`);
    if (output !== undefined) t.equal(run.stdout, output, `block ${index}`);
  }
  const sources = ['scheduler', 'descriptor', 'clock', 'check', 'testing/mock-southbound'];
  for (const name of sources) {
    const text = readFileSync(join(root, `lib/scheduler/${name}.ts`), 'utf8');
    const example = /@example\n \* ```ts\n([\s\S]*?)```/.exec(text)?.[1]?.replace(/^ \* ?/gm, '');
    const compilerOptions = { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 };
    await writeFile(file, ts.transpileModule(example!, { compilerOptions }).outputText);
    t.equal(spawnSync(process.execPath, [file], { encoding: 'utf8', cwd: root }).stderr, '', `the example of ${name}`);
  }
  await truncate(file, 0);
});
