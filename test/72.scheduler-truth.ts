// Chapter 72: the scheduler and what is really there: dry runs of resyncs, time limits, verification, looks at the
// southbound and at the past, drift of a part, and as many values as there may be.

import t from 'tap';
import { spawn, spawnSync } from 'node:child_process';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { readdir, readFile, readlink, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { ManualClock, Scheduler, mockSouthbound } from 'node-vpp/scheduler';
import type { Descriptor } from 'node-vpp/scheduler';
import type * as keyMapModule from '../lib/scheduler/key-map.js';
import type * as limitsModule from '../lib/scheduler/limits.js';
import type * as lockModule from '../lib/scheduler/lock.js';
import { directory, network, stage, until } from './support/scheduler.js';

t.setTimeout(300_000);
const root = fileURLToPath(new URL('../../..', import.meta.url));

const inside = new URL('../../../dist/scheduler/', import.meta.url);
const { KeyMap } = (await import(new URL('key-map.js', inside).href)) as typeof keyMapModule;
const { lock } = (await import(new URL('lock.js', inside).href)) as typeof lockModule;
const { Limits } = (await import(new URL('limits.js', inside).href)) as typeof limitsModule;

const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

/** A promise and what keeps it. */
function gate<T = undefined>(): { promise: Promise<T>; open: (value: T) => void; break: (error: Error) => void } {
  let open!: (value: T) => void;
  let fail!: (error: Error) => void;
  const promise = new Promise<T>((resolve, reject) => {
    open = resolve;
    fail = reject;
  });
  return { promise, open, break: fail };
}

const texts = (plan: { operations: readonly { kind: string; key: string }[] }): string[] =>
  plan.operations.map(({ kind, key }) => `${kind} ${key}`);

void t.test('a resync can be planned, and is then executed exactly or not at all', async (t) => {
  const { scheduler, done, state, world } = await stage();
  await scheduler.commit({
    set: { 'interface/a': { mtu: 1, ips: ['1'] }, 'interface/b': {}, 'route/r': { via: 'a' } },
  });
  done();
  world.put('interface/a', { mtu: 9, ips: ['1'] });
  world.drop('interface/b');
  world.put('interface/x', {}, 'foreign');
  world.put('interface/old', {}, 'ours');
  const before = JSON.stringify([
    [...scheduler.statuses()],
    [...scheduler.dump('applied')],
    scheduler.metrics().values,
  ]);
  const rows = [...scheduler.history()].length;
  const plan = await scheduler.plan({ resync: 'downstream' });
  t.strictSame(done(), [], 'only retrieve is called');
  t.strictSame(texts(plan), ['update interface/a', 'create interface/b']);
  t.match(plan.operations[0], { previous: { mtu: 9 }, value: { mtu: 1 } }, 'what is really there is seen');
  const after = JSON.stringify([[...scheduler.statuses()], [...scheduler.dump('applied')], scheduler.metrics().values]);
  t.equal(after, before, 'and nothing is kept');
  t.equal([...scheduler.history()].length, rows);
  t.equal(plan.resync, 'downstream');

  const full = await scheduler.plan({ resync: 'full', set: { 'interface/b': { mtu: 5 }, 'route/q': { via: 'none' } } });
  t.strictSame(texts(full).sort(), [
    'create interface/b',
    'delete address/a/1',
    'delete interface/a',
    'delete interface/old',
    'delete route/r',
  ]);
  t.match(full.waiting, [{ key: 'route/q', reasons: ['needs interface/none'] }]);
  const upstream = await scheduler.plan({ resync: 'upstream', set: { 'interface/b': {} } });
  t.strictSame(
    texts(upstream).sort(),
    ['delete address/a/1', 'delete interface/a', 'delete route/r'],
    'upstream does not look',
  );
  t.equal(scheduler.desired('route/q'), undefined);

  world.put('interface/b', { mtu: 4 });
  await t.rejects(scheduler.apply(full), { code: 'ERR_SCHEDULER_PLAN', message: /update interface\/b/ });
  t.strictSame(done(), [], 'a plan that no longer holds changes nothing');
  t.strictSame(scheduler.desired('interface/a'), { mtu: 1, ips: ['1'] });
  t.equal(scheduler.desired('route/q'), undefined);
  t.equal(state('interface/old'), 'discovered', 'though what was seen is true');
  t.equal(scheduler.metrics().values.discovered, 1);

  const again = await scheduler.plan({ resync: 'full', set: { 'interface/b': { mtu: 5 } } });
  const result = await scheduler.apply(again);
  t.ok(result.ok);
  t.strictSame(done(), texts(again));
  t.strictSame([...world.values.keys()].sort(), ['interface/b', 'interface/x']);
  t.match([...scheduler.history({ seq: result.seq })], [{ kind: 'full-resync', status: 'done' }]);

  world.fail('interface', 'retrieve');
  await t.rejects(scheduler.plan({ resync: 'downstream' }), { code: 'ERR_SCHEDULER_OPERATION' });
  const stale = await scheduler.plan({ resync: 'downstream' });
  await t.rejects(scheduler.apply(stale, { atomic: true }), { code: 'ERR_SCHEDULER_ARGUMENT' });
  t.throws(() => scheduler.plan({ resync: 'downstream', set: {} }), { code: 'ERR_SCHEDULER_ARGUMENT' });
});

void t.test('the plan of a resync: selectors, pairs, adopted values, the blind, a journal', async (t) => {
  const path = await directory();
  const world = mockSouthbound();
  const descriptors = [
    ...network(world),
    world.descriptor({ name: 'blind', keys: 'blind/', retrieves: false }),
    world.descriptor({ name: 'adopted', keys: 'adopted/', drift: { foreign: 'adopt' } }),
  ];
  const { scheduler, done } = await stage({ descriptors, journal: path }, world);
  await scheduler.commit({
    set: {
      'veth/a': { peer: 'b' },
      'veth/b': { peer: 'a' },
      'interface/a': { enabled: true },
      'route/r': { via: 'a', needs: [{ anyOf: [{ prefix: 'veth/' }, 'interface/z'] }] },
      'blind/1': {},
    },
  });
  done();
  world.restart();
  world.put('adopted/1', { n: 1 });
  const plan = await scheduler.plan({ resync: 'downstream' });
  t.strictSame(texts(plan).sort(), [
    'create blind/1',
    'create interface/a',
    'create link-up/a',
    'create route/r',
    'create veth/a',
    'create veth/b',
    'delete blind/1',
  ]);
  t.equal(scheduler.desired('adopted/1'), undefined);
  t.ok((await scheduler.apply(plan)).ok);
  t.equal(done().length, 6, 'a property has no call');
  t.strictSame(scheduler.desired('adopted/1'), { n: 1 });
  await scheduler.close();
  const second = await stage({ descriptors, journal: path }, world);
  t.strictSame(second.done(), []);
  t.strictSame(second.scheduler.desired('adopted/1'), { n: 1 }, 'what was adopted is in the journal');
  await second.scheduler.close();
});

void t.test('a call that is not answered in time is told to stop, counts as failed, and is looked up', async (t) => {
  const { scheduler, done, state, world, clock } = await stage({ callTimeoutMs: 1000, retry: false });
  const never = gate();
  world.latency = (kind, key) => (kind === 'create' && key === 'interface/hung' ? never.promise : undefined);
  const stuck = scheduler.commit({ set: { 'interface/hung': {}, 'route/h': { via: 'hung' }, 'interface/b': {} } });
  const next = scheduler.commit({ set: { 'interface/c': {} } });
  await turn();
  clock.advance(1000);
  const result = await stuck;
  t.ok((await next).ok, 'the queue goes on');
  t.match(result.failures, [
    { key: 'interface/hung', error: { code: 'ERR_SCHEDULER_TIMEOUT', key: 'interface/hung' } },
  ]);
  t.strictSame([state('interface/hung'), state('route/h'), state('interface/b')], ['failed', 'pending', 'configured']);
  t.match(scheduler.status('interface/hung').reasons, [{ kind: 'error', code: 'ERR_SCHEDULER_TIMEOUT' }]);
  t.strictSame(done(), ['create interface/b', 'create interface/c']);
  t.equal(clock.waiting, 0, 'no timer is left');

  // It is answered after all: recorded, looked up, and what follows from it is done once.
  never.open(undefined);
  await turn();
  await scheduler.idle();
  t.strictSame(done(), ['create interface/hung', 'create route/h']);
  t.strictSame([state('interface/hung'), state('route/h')], ['configured', 'configured']);
  const late = [...scheduler.history()].filter(({ kind }) => kind === 'late');
  t.match(late, [{ description: /late answer: create of interface\/hung by transaction/ }]);
  t.match(late[0]!.operations[0], { key: 'interface/hung', operation: 'create', late: true, error: /it was done/ });
  t.equal(scheduler.metrics().lateAnswers, 1);
});

void t.test('late answers are applied to nothing that has changed since', async (t) => {
  const { scheduler, done, state, world, clock } = await stage({ callTimeoutMs: 1000, retry: { delayMs: 10 } });
  const slow = gate();
  let held = true as boolean;
  world.latency = (kind, key) => (held && kind === 'create' && key === 'interface/a' ? slow.promise : undefined);
  const first = scheduler.commit({ set: { 'interface/a': { mtu: 1 } } });
  await turn();
  clock.advance(1000);
  t.equal((await first).status, 'failed');
  held = false;
  clock.advance(10);
  await scheduler.idle();
  t.strictSame(done(), ['create interface/a'], 'the retry has made it');
  await scheduler.commit({ set: { 'interface/a': { mtu: 2 } } });
  done();
  slow.open(undefined);
  await turn();
  await scheduler.idle();
  t.strictSame(done(), ['create interface/a', 'update interface/a'], 'what the late call did is seen, and put right');
  t.strictSame(world.values.get('interface/a')?.value, { mtu: 2 });
  t.strictSame(scheduler.applied('interface/a'), { mtu: 2 });

  // Its key may be gone altogether.
  const gone = gate();
  world.latency = (kind, key) => (kind === 'create' && key === 'interface/g' ? gone.promise : undefined);
  const second = scheduler.commit({ set: { 'interface/g': {} } }, { retry: false });
  await turn();
  clock.advance(1000);
  await second;
  await scheduler.commit({ delete: ['interface/g'] });
  t.equal(state('interface/g'), 'nonexistent');
  gone.open(undefined);
  await turn();
  await scheduler.idle();
  t.notOk(world.values.has('interface/g'), 'what it has made too late is removed');
  t.equal(state('interface/g'), 'nonexistent');

  // A late error changes nothing.
  const failing = gate();
  world.latency = (kind, key) => (kind === 'update' && key === 'interface/a' ? failing.promise : undefined);
  const third = scheduler.commit({ set: { 'interface/a': { mtu: 3 } } }, { retry: false });
  await turn();
  clock.advance(1000);
  await third;
  failing.break(new Error('too late'));
  await turn();
  await scheduler.idle();
  const last = [...scheduler.history()].at(-1)!;
  t.match(last, { kind: 'late', operations: [{ error: 'answered late: too late' }] });
  t.equal(state('interface/a'), 'failed');
});

void t.test('the signal of a call is aborted when its time is over; limits per descriptor; batches', async (t) => {
  const seen: AbortSignal[] = [];
  const clock = new ManualClock(0);
  const hang: Descriptor = {
    name: 'hang',
    keys: 'hang/',
    callTimeoutMs: 50,
    create: (_request, { signal }) => {
      seen.push(signal);
      return new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason as Error));
      });
    },
    remove: () => undefined,
  };
  const batch: Descriptor = {
    name: 'batch',
    keys: 'batch/',
    callTimeoutMs: 80,
    createBatch: () => new Promise(() => undefined),
    remove: () => undefined,
  };
  const scheduler = await Scheduler.open({ clock, descriptors: [hang, batch], retry: false });
  t.teardown(() => scheduler.destroy());
  const one = scheduler.commit({ set: { 'hang/1': {}, 'batch/1': {}, 'batch/2': {} } });
  await turn();
  t.notOk(seen[0]!.aborted);
  clock.advance(50);
  t.ok(seen[0]!.aborted);
  t.match(seen[0]!.reason, { code: 'ERR_SCHEDULER_TIMEOUT' });
  clock.advance(30);
  const { failures } = await one;
  t.strictSame(failures.map(({ key }) => key).sort(), ['batch/1', 'batch/2', 'hang/1']);
  t.match(scheduler.status('batch/1').reasons, [{ code: 'ERR_SCHEDULER_TIMEOUT' }, { kind: 'uncertain' }]);
  // The caller's own signal goes to the same place.
  const caller = new AbortController();
  const two = scheduler.commit({ set: { 'hang/2': {} } }, { signal: caller.signal });
  await turn();
  caller.abort();
  t.ok(seen[1]!.aborted);
  t.equal((await two).status, 'aborted');
  // And destroy() tells what is under way to stop, without waiting for its time.
  const three = scheduler.commit({ set: { 'hang/3': {} } });
  await turn();
  await scheduler.destroy();
  t.ok(seen[2]!.aborted);
  await three;
  for (const bad of [0, -1, Number.NaN]) {
    await t.rejects(Scheduler.open({ callTimeoutMs: bad }), { code: 'ERR_SCHEDULER_ARGUMENT' });
    await t.rejects(Scheduler.open({ descriptors: [{ name: 'a', keys: 'a/', callTimeoutMs: bad }] }), {
      code: 'ERR_SCHEDULER_DESCRIPTOR',
    });
  }
});

void t.test('close() ends although calls, retrieves and identities hang', async (t) => {
  const clock = new ManualClock(0);
  let hanging = false;
  const descriptors: Descriptor[] = [
    {
      name: 'a',
      keys: 'a/',
      create: () => (hanging ? new Promise(() => undefined) : undefined),
      remove: () => undefined,
      retrieve: () => (hanging ? new Promise(() => undefined) : []),
    },
    {
      name: 'slow',
      keys: 'slow/',
      create: () => undefined,
      remove: () => undefined,
      async *retrieve() {
        yield { key: 'slow/1', value: {} };
        if (hanging) await new Promise(() => undefined);
        yield { key: 'slow/2', value: {} };
      },
    },
  ];
  const identity = (): Promise<string> => (hanging ? new Promise(() => undefined) : Promise.resolve('one'));
  const scheduler = await Scheduler.open({
    clock,
    descriptors,
    southbounds: { default: { identity } },
    callTimeoutMs: 10,
  });
  t.equal(scheduler.status('slow/2').state, 'obtained');
  hanging = true;
  const commit = scheduler.commit({ set: { 'a/1': {} } }, { retry: false });
  const resync = scheduler.resync('downstream', undefined, { retry: false });
  const look = scheduler.retrieve();
  const closing = scheduler.close();
  let open = true as boolean;
  void closing.then(() => (open = false));
  for (let i = 0; open && i < 1000; i += 1) {
    await turn();
    clock.advance(10);
  }
  await closing;
  t.equal((await commit).status, 'failed');
  t.equal((await resync).status, 'failed');
  t.match(await look, { failures: [{ descriptor: 'a' }, { descriptor: 'slow' }], values: [{ key: 'slow/1' }] });
  t.equal(clock.waiting, 0);
  t.equal(scheduler.status('slow/2').state, 'obtained', 'what could not be read to its end is left as it was');
});

void t.test('an answer of the blind that comes late is the best there is to know', async (t) => {
  const world = mockSouthbound();
  const descriptors = [world.descriptor({ name: 'blind', keys: 'blind/', retrieves: false })];
  const { scheduler, state, clock } = await stage({ descriptors, callTimeoutMs: 100, retry: false }, world);
  const slow = gate();
  world.latency = () => slow.promise;
  const commit = scheduler.commit({ set: { 'blind/a': { n: 1 } } });
  await turn();
  clock.advance(100);
  await commit;
  t.equal(state('blind/a'), 'failed');
  slow.open(undefined);
  await turn();
  await scheduler.idle();
  t.equal(state('blind/a'), 'configured');
  t.equal(scheduler.metadata('blind/a'), world.values.get('blind/a')!.metadata);
  t.strictSame(scheduler.status('blind/a').reasons, []);
});

void t.test('deadlines of many calls: one timer, in order, none left', (t) => {
  const clock = new ManualClock(0);
  const limits = new Limits(clock);
  const expired: string[] = [];
  const start = (name: string, ms: number): ReturnType<limitsModule.Limits['start']> =>
    limits.start(ms, () => {
      expired.push(`${name}@${clock.now()}`);
      // Whoever expires may start another.
      if (name === 'b') start('b2', 100);
    });
  t.equal(
    limits.start(Infinity, () => t.fail()),
    undefined,
  );
  const a = start('a', 100);
  clock.advance(40);
  start('b', 100);
  start('c', 10);
  t.equal(clock.waiting, 2);
  limits.end(a);
  limits.end(a);
  clock.advance(1000);
  t.strictSame(expired, ['c@50', 'b@140', 'b2@240']);
  t.equal(clock.waiting, 0);
  const many = Array.from({ length: 5000 }, (_none, i) => start(`m${i}`, 7));
  for (const ticket of many) limits.end(ticket);
  t.equal(clock.waiting, 0);
  t.end();
});

void t.test('verification finds descriptors that do not do what they say', async (t) => {
  const { scheduler, state, world, done } = await stage({ verify: true });
  t.ok((await scheduler.commit({ set: { 'interface/a': { ips: ['1'] }, 'route/r': { via: 'a' } } })).ok);
  t.equal(world.calls.filter(({ kind }) => kind === 'retrieve').length, 3, 'each descriptor is asked once');
  const meddle = (how: () => void): void => {
    world.onCall = (call) => {
      if (call.kind === 'retrieve') return;
      world.onCall = undefined;
      how();
    };
  };
  done();
  meddle(() => world.put('interface/b', { mtu: 1 }));
  const different = await scheduler.commit({ set: { 'interface/b': { mtu: 2 } } });
  t.equal(different.status, 'failed');
  t.match(different.failures, [{ key: 'interface/b', retrying: false, error: { code: 'ERR_SCHEDULER_VERIFY' } }]);
  t.match(scheduler.status('interface/b').reasons, [
    { kind: 'error', code: 'ERR_SCHEDULER_VERIFY' },
    { kind: 'drift', difference: 'changed' },
  ]);
  t.strictSame(scheduler.applied('interface/b'), { mtu: 1 }, 'the truth is known');

  meddle(() => world.drop('interface/c'));
  const missing = await scheduler.commit({ set: { 'interface/c': {}, 'route/c': { via: 'c' } } });
  t.match(missing.failures, [{ key: 'interface/c', error: { message: /does not find it/ } }]);
  t.strictSame([state('interface/c'), state('route/c')], ['missing', 'pending'], 'and what rests on it makes way');

  meddle(() => world.put('interface/a', {}));
  const unexpected = await scheduler.commit({ delete: ['interface/a', 'route/r'] });
  t.equal(unexpected.status, 'done', 'the first call was another');
  meddle(() => world.put('interface/b', {}));
  const still = await scheduler.commit({ delete: ['interface/b'] });
  t.match(still.failures, [{ key: 'interface/b', error: { message: /still finds it/ } }]);
  done();
  await scheduler.resync('downstream');
  t.strictSame(
    [state('interface/a'), state('interface/b'), state('interface/c'), state('route/c')],
    ['nonexistent', 'nonexistent', 'configured', 'configured'],
  );

  meddle(() => world.drop('interface/d'));
  const atomic = await scheduler.commit({ set: { 'interface/d': {}, 'interface/e': {} } }, { atomic: true });
  t.equal(atomic.status, 'reverted', 'an atomic transaction is taken back');
  t.notOk(world.values.has('interface/e'));
  meddle(() => world.drop('interface/f'));
  t.ok((await scheduler.commit({ set: { 'interface/f': {} } }, { verify: false })).ok, 'unless it is told not to look');
  world.fail('interface', 'retrieve');
  const unread = await scheduler.commit({ set: { 'interface/g': {} } }, { retry: false });
  t.equal(unread.status, 'failed', 'what cannot be verified is not said to be right');
});

void t.test('a look at the southbound changes nothing', async (t) => {
  const world = mockSouthbound();
  const secret: Descriptor = {
    ...world.descriptor({ name: 'tunnel', keys: 'tunnel/' }),
    schema: { type: 'object', properties: { psk: { type: 'string', secret: true } } },
  };
  const { scheduler, done } = await stage({ descriptors: [...network(world), secret] }, world);
  await scheduler.commit({ set: { 'interface/a': { mtu: 1 }, 'interface/b': {}, 'tunnel/t': { psk: 'hunter2' } } });
  world.put('interface/a', { mtu: 2 });
  world.drop('interface/b');
  world.put('interface/x', { mtu: 3 });
  done();
  const rows = scheduler.metrics().historyRows;
  const { values, missing, failures } = await scheduler.retrieve({ prefix: 'interface/' });
  t.match(values, [
    { key: 'interface/a', value: { mtu: 2 }, origin: 'ours', believed: 'different', descriptor: 'interface' },
    { key: 'interface/x', value: { mtu: 3 }, origin: 'foreign', believed: 'absent' },
  ]);
  t.strictSame([missing, failures], [['interface/b'], []]);
  t.strictSame(scheduler.applied('interface/a'), { mtu: 1 });
  t.equal(scheduler.status('interface/x').state, 'nonexistent');
  t.equal(scheduler.metrics().historyRows, rows);
  t.match((await scheduler.retrieve({ keys: ['interface/x', 'interface/none'] })).values, [{ key: 'interface/x' }]);
  const tunnels = await scheduler.retrieve({ descriptors: ['tunnel'] });
  t.match(tunnels.values, [{ value: { psk: '[redacted]' }, believed: 'same' }]);
  const bare = await scheduler.retrieve({ descriptors: ['tunnel'], secrets: true });
  t.match(bare.values, [{ value: { psk: 'hunter2' } }]);
  world.fail('interface', 'retrieve');
  t.match((await scheduler.retrieve()).failures, [
    { descriptor: 'interface', error: { code: 'ERR_SCHEDULER_OPERATION' } },
  ]);
});

void t.test('what a taken-back change has brought about goes on', async (t) => {
  // a stands on b, and what is derived from a on nothing else; b fails in a transaction that is taken back, and is then made.
  const world = mockSouthbound();
  const descriptors = [
    world.descriptor<{ on?: string; part?: boolean }>({
      name: 'thing',
      keys: 'thing/',
      dependencies: (_key, { on }) => (on === undefined ? [] : [on]),
      derive: (key, { part }) => (part === true ? [{ key: `part/${key}`, value: {} }] : []),
    }),
    world.descriptor({ name: 'part', keys: 'part/' }),
  ];
  const { scheduler, state, clock } = await stage({ descriptors, retry: { delayMs: 100 } }, world);
  world.fail('thing/b', 'create', { times: 2 });
  await scheduler.commit({ set: { 'thing/b': {}, 'thing/a': { on: 'thing/b', part: true } } });
  const result = await scheduler.commit({ set: { 'thing/b': { part: false } } }, { atomic: true });
  t.equal(result.status, 'reverted');
  clock.advance(1000);
  await scheduler.idle();
  t.strictSame([state('thing/b'), state('thing/a'), state('part/thing/a')], ['configured', 'configured', 'configured']);
});

void t.test('drift of a part: by prefix, by keys', async (t) => {
  const asked: unknown[] = [];
  const world = mockSouthbound();
  const made = world.descriptor({ name: 'interface', keys: 'interface/' });
  const spy: Descriptor = {
    ...(made as Descriptor),
    retrieve: (request, call) => {
      asked.push([request.prefix, request.keys]);
      return (made as Descriptor).retrieve!(request, call);
    },
  };
  const { scheduler, done } = await stage(
    { descriptors: [spy, world.descriptor({ name: 'o', keys: 'other/' })] },
    world,
  );
  const all = ['interface/a1', 'interface/a2', 'interface/b1', 'other/1'];
  await scheduler.commit({ set: all.map((key) => [key, {}] as const) });
  for (const key of all) world.drop(key);
  world.put('interface/a9', {});
  world.put('interface/b9', {});
  done();
  asked.length = 0;
  world.calls.length = 0;
  const byKey = await scheduler.checkDrift({ keys: ['interface/a1', 'interface/b9'] });
  t.strictSame(byKey.drifts.map(({ key, difference }) => `${key} ${difference}`).sort(), [
    'interface/a1 missing',
    'interface/b9 foreign',
  ]);
  t.strictSame(world.calls.filter(({ kind }) => kind === 'retrieve').length, 1, 'nobody else is asked');
  t.strictSame(done(), ['create interface/a1']);
  const byPrefix = await scheduler.checkDrift({ prefix: 'interface/a' });
  t.strictSame(byPrefix.drifts.map(({ key, difference }) => `${key} ${difference}`).sort(), [
    'interface/a2 missing',
    'interface/a9 foreign',
  ]);
  t.strictSame(done(), ['create interface/a2']);
  t.strictSame(asked, [
    [undefined, ['interface/a1', 'interface/b9']],
    ['interface/a', undefined],
  ]);
  t.equal(scheduler.status('interface/b1').state, 'configured', 'what was not looked at is believed as before');
  const rest = await scheduler.checkDrift({ descriptors: ['interface', 'o'] });
  t.strictSame(rest.drifts.map(({ key }) => key).sort(), ['interface/b1', 'other/1']);
});

void t.test('the graph at a past time, and the life of a value', async (t) => {
  const { scheduler, clock, world } = await stage();
  const first = await scheduler.commit({ set: { 'interface/a': { mtu: 1, ips: ['7'] }, 'route/r': { via: 'b' } } });
  clock.advance(1000);
  world.fail('interface/b', 'create');
  const second = await scheduler.commit({ set: { 'interface/b': {}, 'interface/a': { mtu: 2 } } }, { retry: false });
  clock.advance(1000);
  const third = await scheduler.commit({ set: { 'interface/b': {} }, delete: ['interface/a'] });

  const states = (moment: Parameters<Scheduler['at']>[0]): string[] =>
    [...scheduler.at(moment).statuses()].map(({ key, state }) => `${key} ${state}`);
  t.strictSame(states({ seq: first.seq }), ['address/a/7 configured', 'interface/a configured', 'route/r pending']);
  t.strictSame(states({ seq: second.seq }), ['interface/a configured', 'interface/b failed', 'route/r pending']);
  t.strictSame(states({ seq: third.seq }), ['interface/b configured', 'route/r configured']);
  t.strictSame(states({ timeMs: 1_000_500 }), states({ seq: first.seq }));
  t.strictSame(states({ timeMs: 1_001_000 }), states({ seq: second.seq }));
  t.strictSame(states({ timeMs: 0 }), [], 'before everything there was nothing');
  t.strictSame(
    states({ seq: third.seq }),
    [...scheduler.statuses()].map(({ key, state }) => `${key} ${state}`),
    'now is now',
  );
  const then = scheduler.at({ seq: first.seq });
  t.strictSame(then.status('route/r').reasons, [{ kind: 'unmet', dependencies: ['interface/b'] }]);
  t.strictSame(then.status('address/a/7').derivedFrom, 'interface/a');
  t.match([...then.dump('applied')], [{ key: 'address/a/7' }, { key: 'interface/a', value: { mtu: 1 } }]);
  t.match(then.export('dot'), /interface\/a\\nconfigured/);
  t.match(then.export('mermaid'), /-\.->/);
  const drawn = JSON.parse(then.export('json')) as { edges: { relation: string }[] };
  t.strictSame(drawn.edges.map(({ relation }) => relation).sort(), ['depends on', 'derived from']);

  t.match(
    [...scheduler.timeline('interface/a')],
    [
      { state: 'configured', value: { mtu: 1 }, sinceMs: 1_000_000, untilMs: 1_001_000 },
      { state: 'configured', operation: 'update', value: { mtu: 2 }, untilMs: 1_002_000 },
      { operation: 'delete', state: 'removed', untilMs: undefined },
    ],
  );
  t.strictSame([...scheduler.timeline('no/where')], []);
});

void t.test('the past where the history has been forgotten', async (t) => {
  const { scheduler } = await stage({ history: { rows: 4 } });
  await scheduler.commit({ set: { 'interface/old': { mtu: 1 }, 'interface/a': { mtu: 0 } } });
  let seq = 0;
  for (let i = 1; i < 10; i += 1) seq = (await scheduler.commit({ set: { 'interface/a': { mtu: i } } })).seq;
  const kept = [...scheduler.history()][0]!.seq;
  t.ok(kept > 1);
  const before = scheduler.at({ seq: kept - 1 });
  t.strictSame(
    [...before.dump('applied')].map(({ key, value }) => [key, value]),
    [
      ['interface/a', { mtu: 9 - (seq - kept) - 1 }],
      ['interface/old', { mtu: 1 }],
    ],
    'right before the oldest record everything is still known',
  );
  t.throws(() => scheduler.at({ seq: kept - 2 }), { code: 'ERR_SCHEDULER_HISTORY' });
  t.throws(() => scheduler.at({ timeMs: 0 }), { code: 'ERR_SCHEDULER_HISTORY' });
  const none = await stage({ history: false });
  t.throws(() => none.scheduler.at({ timeMs: Date.now() }), { code: 'ERR_SCHEDULER_HISTORY', message: /no history/ });
});

void t.test('very many solitary values go in portions, and nobody can tell', async (t) => {
  const count = 30_000;
  const world = mockSouthbound();
  const { scheduler, state } = await stage({ descriptors: network(world), retry: false }, world);
  await scheduler.commit({ set: { 'interface/gone': {}, 'route/gone': { via: 'gone' } } });
  const failing = [5, 9000, 20_000];
  for (const i of failing) world.fail(`interface/p${i}`, 'create');
  const set: [string, unknown][] = Array.from({ length: count }, (_none, i) => [
    `interface/p${i}`,
    { mtu: 1 + (i % 9) },
  ]);
  set.push(['route/r', { via: 'p1' }], ['route/f', { via: 'p5' }], ['interface/bad', { mtu: 99_999 }]);
  world.calls.length = 0;
  // Others get a turn after every 4096 calls, however the portions fall.
  let turns = 0;
  const others = new AbortController();
  const running = (async (): Promise<void> => {
    for (; !others.signal.aborted; turns += 1) await turn();
  })();
  const result = await scheduler.commit({ set, delete: ['interface/gone'] });
  others.abort();
  await running;
  t.ok(turns >= Math.floor(count / 4096), `${turns} turns`);
  t.equal(result.status, 'failed');
  t.strictSame(result.failures.map(({ key }) => key).sort(), failing.map((i) => `interface/p${i}`).sort());
  t.equal(world.values.size, count - failing.length + 1);
  t.strictSame([state('route/r'), state('route/f'), state('interface/bad')], ['configured', 'pending', 'invalid']);
  const order = world.calls.filter(({ kind }) => kind !== 'retrieve').map(({ kind, key }) => `${kind} ${key}`);
  t.strictSame(order.slice(0, 2), ['delete route/gone', 'delete interface/gone'], 'deletes still come first');
  t.equal(new Set(order).size, order.length, 'nothing is done twice');
  t.strictSame(Object.fromEntries(Object.entries(scheduler.metrics().values).filter(([, n]) => n > 0)), {
    configured: count - failing.length + 1,
    failed: 3,
    pending: 2,
    invalid: 1,
  });
  const plan = await scheduler.plan({ delete: set.map(([key]) => key) });
  t.equal(plan.size, count - failing.length + 1);
  t.ok((await scheduler.apply(plan)).ok);
  world.fail('interface/p17000', 'create');
  const atomic = await scheduler.commit({ set: set.slice(0, count) }, { atomic: true });
  t.equal(atomic.status, 'reverted');
  t.equal(world.values.size, 0, 'all or nothing holds over portions');
  t.strictSame(
    [...scheduler.dump('desired')].map(({ key }) => key),
    ['route/gone'],
  );
  const stop = new AbortController();
  world.onCall = ({ key }) => {
    if (key === 'interface/p12000') stop.abort();
  };
  const aborted = await scheduler.commit({ set: set.slice(0, count) }, { signal: stop.signal });
  t.equal(aborted.status, 'aborted');
  t.equal(world.values.size, 12_001, 'what is not begun by then is not begun');
  t.equal(scheduler.metrics().values.failed, count - 12_001);
  world.onCall = undefined;
  t.ok((await scheduler.resync('downstream')).ok);
  t.equal(world.values.size, count);
});

void t.test('answers that break the contract are errors of their values', async (t) => {
  const bad: unknown[] = [undefined, [], [undefined, undefined], ['x', 'y'], [{ metadata: 1 }, null], 'text'];
  for (const answer of [...bad, ...bad.map((value) => Promise.resolve(value))]) {
    const descriptor: Descriptor = {
      name: 'b',
      keys: 'b/',
      createBatch: () => answer as never,
      remove: () => undefined,
    };
    const scheduler = await Scheduler.open({ descriptors: [descriptor], retry: false });
    const { failures } = await scheduler.commit({ set: { 'b/1': {}, 'b/2': {} } });
    t.match(failures, [{ error: { message: /one \{ metadata \} or \{ error \} per value is due/ } }, {}]);
    await scheduler.close();
  }
  for (const answer of [undefined, null, 5, [null], [{ key: 5 }], Promise.resolve(undefined)]) {
    const descriptor: Descriptor = { name: 'r', keys: 'r/', create: () => 1, retrieve: () => answer as never };
    const scheduler = await Scheduler.open({ descriptors: [descriptor], retry: false, startup: 'none' });
    t.equal((await scheduler.resync('downstream')).status, 'failed', 'a retrieve that gives no list of values');
    await scheduler.close();
  }
});

void t.test('errors that no further try can help; events; the diagnostics channel', async (t) => {
  const world = mockSouthbound();
  const descriptor = world.descriptor({
    name: 'a',
    keys: 'a/',
    retriable: ({ message }) => !message.includes('for good'),
  });
  const { scheduler, state, clock } = await stage({ descriptors: [descriptor] }, world);
  const transactions: number[] = [];
  const published: unknown[] = [];
  const take = (message: unknown): void => void published.push(message);
  scheduler.on('transaction', ({ seq }) => transactions.push(seq));
  subscribe('node-vpp:scheduler:transaction', take);
  t.teardown(() => unsubscribe('node-vpp:scheduler:transaction', take));
  world.fail('a/1', 'create', { error: new Error('broken for good') });
  world.fail('a/2', 'create', { error: new Error('busy') });
  const { seq, failures } = await scheduler.commit({ set: { 'a/1': {}, 'a/2': {} } }, { retry: { delayMs: 10 } });
  t.match(failures, [
    { key: 'a/1', retrying: false },
    { key: 'a/2', retrying: true },
  ]);
  t.strictSame([state('a/1'), state('a/2')], ['failed', 'retrying']);
  clock.advance(10);
  await scheduler.idle();
  t.strictSame([state('a/1'), state('a/2')], ['failed', 'configured']);
  t.strictSame(transactions, [seq, seq + 1]);
  t.match(published, [
    { seq, kind: 'change', status: 'failed' },
    { kind: 'retry', status: 'done' },
  ]);
});

void t.test('a closed scheduler leaves nothing behind', async (t) => {
  const path = await directory();
  const program = `
    import { Scheduler, mockSouthbound } from 'node-vpp/scheduler';
    const refs = [];
    async function once(i) {
      const world = mockSouthbound();
      const a = world.descriptor({ name: 'a', keys: 'a/', drift: { everyMs: 1000 } });
      const scheduler = await Scheduler.open({ descriptors: [a], journal: ${JSON.stringify(path)} });
      world.fail('a/1', 'create', { times: 9 });
      world.latency = () => Promise.resolve();
      await scheduler.commit({ set: { 'a/1': {}, 'a/2': {} } });
      void scheduler.watch().next();
      await (i % 2 === 0 ? scheduler.close() : scheduler.destroy());
      refs.push(new WeakRef(scheduler));
    }
    for (let i = 0; i < 5; i += 1) await once(i);
    await once(0);
    refs.pop();
    for (let i = 0; i < 20 && refs.some((ref) => ref.deref() !== undefined); i += 1) {
      await new Promise((resolve) => setTimeout(resolve, 20));
      globalThis.gc();
    }
    const alive = refs.filter((ref) => ref.deref() !== undefined).length;
    console.log('alive', alive, 'resources', process.getActiveResourcesInfo().filter((name) => name !== 'PipeWrap').join());`;
  const file = join(root, 'build/js/test/.left.mjs');
  await writeFile(file, program);
  t.teardown(() => rm(file, { force: true }));
  const run = spawnSync(process.execPath, ['--expose-gc', file], { encoding: 'utf8', cwd: root });
  t.equal(run.stderr, '');
  t.match(run.stdout, /^alive 0 resources\s*$/);
  t.strictSame((await readdir(path)).includes('lock'), false);
});

void t.test('a terminated thread leaves its journal to others, and no file open', async (t) => {
  const path = await directory();
  const program = `
    import { parentPort } from 'node:worker_threads';
    import { Scheduler, mockSouthbound } from 'node-vpp/scheduler';
    const a = mockSouthbound().descriptor({ name: 'a', keys: 'a/' });
    const scheduler = await Scheduler.open({ descriptors: [a], journal: ${JSON.stringify(path)} });
    for (let i = 0; ; i += 1) {
      await scheduler.commit({ set: { ['a/' + i]: {} } });
      parentPort.postMessage(i);
    }`;
  const file = join(root, 'build/js/test/.terminated.mjs');
  await writeFile(file, program);
  t.teardown(() => rm(file, { force: true }));
  const openHere = async (): Promise<string[]> => {
    const names = await Promise.all(
      (await readdir('/proc/self/fd')).map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => '')),
    );
    return names.filter((name) => name.startsWith(path));
  };
  for (let round = 0; round < 3; round += 1) {
    const worker = new Worker(file);
    let told = -1;
    worker.on('message', (i: number) => (told = i));
    let failure: unknown;
    worker.on('error', (error) => (failure = error));
    await until(() => told >= 5 || failure !== undefined);
    t.equal(failure, undefined);
    await t.rejects(Scheduler.open({ journal: path }), { code: 'ERR_SCHEDULER_JOURNAL_LOCKED' });
    await worker.terminate();
    t.strictSame(await openHere(), []);
    const next = await Scheduler.open({ journal: path, startup: 'none' });
    t.ok(next.recovered!.values > told, 'everything that had been answered is there');
    await next.close();
    t.strictSame(await openHere(), []);
    t.notOk((await readdir(path)).includes('lock'));
  }
});

void t.test('hundreds of thousands of values: lost, resynced, planned for, deleted', async (t) => {
  const count = 200_000;
  const values = new Map<string, unknown>();
  const descriptor: Descriptor = {
    name: 'port',
    keys: 'port/',
    create: ({ key, value }) => void values.set(key, value),
    remove: ({ key }) => void values.delete(key),
    *retrieve() {
      for (const [key, value] of values) yield { key, value };
    },
  };
  const scheduler = await Scheduler.open({ descriptors: [descriptor] });
  t.teardown(() => scheduler.destroy());
  const set: [string, unknown][] = Array.from({ length: count }, (_none, i) => [`port/${i}`, { i }]);
  t.ok((await scheduler.commit({ set })).ok);
  values.clear();
  const plan = await scheduler.plan({ resync: 'downstream' });
  t.equal(plan.size, count);
  t.ok((await scheduler.resync('downstream')).ok);
  t.equal(values.size, count);
  values.clear();
  const { drifts } = await scheduler.checkDrift();
  t.equal(drifts.length, count);
  t.equal(values.size, count);
  t.ok((await scheduler.resync('full', {})).ok);
  t.equal(values.size, 0);
});

void t.test('the map of keys does what a Map does', (t) => {
  const map = new KeyMap<number>();
  const model = new Map<string, number>();
  let random = 12345;
  const next = (below: number): number => {
    random = (Math.imul(random, 1103515245) + 12345) & 0x7fffffff;
    return random % below;
  };
  const keys = ['', 'a', 'b', 'ab', ...Array.from({ length: 400 }, (_none, i) => `key/${i % 7}/${i}`)];
  for (let i = 0; i < 40_000; i += 1) {
    const key = keys[next(keys.length)]!;
    if (next(3) === 0) {
      if (map.delete(key) !== model.delete(key)) t.fail(`delete ${key}`);
    } else {
      map.set(key, i);
      model.set(key, i);
    }
    if (map.size !== model.size || map.get(key) !== model.get(key) || map.has(key) !== model.has(key)) t.fail(key);
    if (i % 1000 === 0) t.strictSame([...map].sort(), [...model].sort());
  }
  t.strictSame([...map.keys()].sort(), [...model.keys()].sort());
  t.strictSame([...map.values()].sort(), [...model.values()].sort());
  for (let i = 0; i < 30_000; i += 1) {
    map.set(`many/${i}`, i);
    model.set(`many/${i}`, i);
  }
  for (let i = 0; i < 30_000; i += 7) if (map.delete(`many/${i}`) !== model.delete(`many/${i}`)) t.fail(`many/${i}`);
  t.strictSame([...map].sort(), [...model].sort(), 'also where there are many');
  const each: [string, number][] = [];
  map.forEach((value, key) => each.push([key, value]));
  t.strictSame(each, [...map]);
  // An iteration goes on while entries come and go.
  let seen = 0;
  for (const key of map.keys()) {
    seen += 1;
    map.delete(key);
    if (seen < 100) map.set(`new/${seen}`, seen);
  }
  t.ok(seen >= model.size);
  t.end();
});

void t.test('a copy of the graph is a copy', async (t) => {
  // Every plan of a resync that finds nothing wrong is empty, whatever the graph looks like.
  const { scheduler, done, world } = await stage();
  await scheduler.commit({
    set: {
      'interface/a': { ips: ['1', '2'], enabled: true },
      'veth/a': { peer: 'b' },
      'veth/b': { peer: 'a' },
      'route/p': {
        via: 'a',
        needs: [{ prefix: 'link-up/' }, { allOf: ['veth/a', { anyOf: ['interface/q', 'veth/b'] }] }],
      },
      'route/w': { via: 'nothing' },
      'interface/bad': { mtu: 99_999 },
    },
  });
  world.put('interface/foreign', { ips: ['5'] });
  await scheduler.checkDrift();
  done();
  const plan = await scheduler.plan({ resync: 'downstream' });
  t.equal(plan.size, 0, String(plan));
  const handle = scheduler.metadata('interface/a') as number;
  t.strictSame(
    scheduler.lookup('interface', 'handle', handle),
    ['interface/a'],
    'indexes show the graph, not its copy',
  );
});

/** Takes a lock again and again, writes down when it has it, and is killed while it has it. */
const contender = `
import { appendFileSync } from 'node:fs';
import { lock } from ${JSON.stringify(new URL('lock.js', inside).href)};
const [path, holds] = process.argv.slice(1);
const note = (what) => appendFileSync(path + '/log', what + ' ' + process.pid + '\\n');
for (let left = Number(holds); left > 0;) {
  let unlock;
  try {
    unlock = await lock(path + '/lock', path);
  } catch (error) {
    if (error.code !== 'ERR_SCHEDULER_JOURNAL_LOCKED') throw error;
    await new Promise((resolve) => setImmediate(resolve));
    continue;
  }
  note('in');
  for (let i = 0; i < 3; i += 1) await new Promise((resolve) => setImmediate(resolve));
  left -= 1;
  note(left === 0 ? 'killed' : 'out');
  if (left === 0) process.kill(process.pid, 'SIGKILL');
  await unlock();
}
`;

function readOrNothing(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return 'nothing';
  }
}

void t.test('of several processes one has the lock, also when its holders are killed', async (t) => {
  const path = await directory();
  const race = async (): Promise<void> => {
    for (let round = 0; round < 4; round += 1) {
      const child = spawn(process.execPath, ['--input-type=module', '-e', contender, path, '12'], {
        stdio: ['ignore', 'ignore', 'pipe'],
      });
      let text = '';
      child.stderr.setEncoding('utf8').on('data', (part: string) => (text += part));
      const [, signal] = (await once(child, 'close')) as [number | null, string | null];
      if (signal !== 'SIGKILL') t.fail(`a contender ended otherwise: ${text}`);
    }
  };
  // Whoever looks sees who has it, or that nobody has: never a lock that does not say whose it is.
  let running = true;
  const seen = new Set<string>();
  const look = async (): Promise<void> => {
    while (running) {
      for (let i = 0; i < 200; i += 1) seen.add(readOrNothing(join(path, 'lock')));
      await turn();
    }
  };
  const looking = look();
  await Promise.all([race(), race(), race(), race()]);
  running = false;
  await looking;
  for (const said of seen) if (!/^(\d+ \d+|nothing)$/.test(said)) t.fail(`a lock said ${JSON.stringify(said)}`);
  t.ok(seen.size > 2);
  let holder: string | undefined;
  let held = 0;
  for (const line of (await readFile(join(path, 'log'), 'utf8')).trim().split('\n')) {
    const [what, pid] = line.split(' ');
    if (what === 'in') {
      t.equal(holder, undefined, 'nobody else has it');
      holder = pid;
      held += 1;
    } else {
      t.equal(pid, holder);
      holder = undefined;
    }
  }
  t.equal(held, 4 * 4 * 12);
  // What the last one has left is nobody's, and nothing else is left.
  const unlock = await lock(join(path, 'lock'), path);
  t.strictSame((await readdir(path)).sort(), ['lock', 'log']);
  await unlock();
  t.strictSame(await readdir(path), ['log']);
});

void t.test('a lock says who has it from its first moment; what nobody can have written is nobody’s', async (t) => {
  const path = await directory();
  const file = join(path, 'lock');
  for (const left of ['', 'garbage', '999999999 1', `${process.ppid} 1`, '-1 5']) {
    await writeFile(file, left);
    await writeFile(`${file}.999999999-0-1.new`, left);
    const unlock = await lock(file, path);
    t.equal((await readFile(file, 'utf8')).split(' ')[0], String(process.pid), JSON.stringify(left));
    await t.rejects(lock(file, path), { code: 'ERR_SCHEDULER_JOURNAL_LOCKED' });
    t.strictSame(await readdir(path), ['lock'], 'nothing else is left');
    await unlock();
  }
  // Somebody else's, who is there.
  const stat = await readFile(`/proc/${process.ppid}/stat`, 'utf8');
  const start = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]!;
  await writeFile(file, `${process.ppid} ${start}`);
  await t.rejects(lock(file, path), { code: 'ERR_SCHEDULER_JOURNAL_LOCKED', message: new RegExp(`${process.ppid}`) });
  t.strictSame(await readdir(path), ['lock']);
});
