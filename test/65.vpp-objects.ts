// Chapter 65: VPP as objects. First the same scenarios against every target (test/support/vpp-targets.ts), which check
// what can be seen afterwards; then the exact messages that are sent, errors, handles, and the large tables.

import t, { type Test } from 'tap';
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { connect } from 'node-vpp/api';
import { startDataplane } from 'node-vpp/dataplane';
import { PcapngReader, describeFrame } from 'node-vpp/net';
import { connectStats } from 'node-vpp/stats';
import {
  formatAclRules,
  openVpp,
  parseAclRule,
  parseAclRules,
  parseMacipRule,
  parseTrace,
  type AclRule,
  type Interface,
  type Route,
  type SyncProgress,
  type Vpp,
} from 'node-vpp/vpp';
import ts from 'typescript';
import { failure, folder, until } from './support/api.js';
import { docExamples, sourcesBelow, testDocExamples } from './support/doc-examples.js';
import { standIn, type StandIn } from './support/vpp-stand-in.js';
import { Vpp as RealVpp } from './support/vpp.js';
import { plugins, realVpp, stopRealVpp, targets, type Target } from './support/vpp-targets.js';
import type * as routeSetModule from '../lib/vpp/route-set.js';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const inside = pathToFileURL(join(root, 'dist/vpp/route-set.js')).href;
const { FamilyRoutes, scanPrefixInto } = (await import(inside)) as typeof routeSetModule;

const docPages = ['', '-interfaces', '-routes', '-bridges', '-acl', '-nat', '-trace'].map(
  (name) => `docs/vpp${name}.md`,
);

t.setTimeout(600_000);
t.teardown(stopRealVpp);

/** Runs the same against every target; what is of VPP alone not against the dataplane. */
function scenario(
  title: string,
  run: (t: Test, vpp: Vpp, target: Target, fake: StandIn | undefined) => Promise<void>,
  of: 'router' | 'VPP' = 'router',
) {
  void t.test(title, async (t) => {
    for (const target of targets) {
      const skip = target.partial && of === 'VPP' ? 'the embedded dataplane does not have this' : target.skip;
      await t.test(target.name, { skip }, async (t) => {
        const { vpp, fake } = await target.open(t);
        await run(t, vpp, target, fake);
      });
    }
  });
}

/** As `scenario`, of what the embedded dataplane does not have. */
const vppScenario: typeof scenario = (title, run) => scenario(title, run, 'VPP');

const gone = async (t: Test, ...all: { delete(): Promise<void>; gone: boolean }[]): Promise<void> => {
  for (const itf of all) {
    await itf.delete();
    t.ok(itf.gone);
  }
};

scenario('a loopback is made, changed, found in every way, and deleted', async (t, vpp) => {
  t.match(await vpp.version(), /^\d\d\.\d\d/);
  const loop = await vpp.loopbacks.create({
    ...{ instance: 41, tag: 'lan', up: true, mac: '02:fe:00:00:41:01', mtu: 1500 },
    addresses: ['192.168.41.1/24', '2001:db8:41::1/64'],
  });
  t.equal(loop.name, 'loop41');
  t.match(await loop.refresh(), { tag: 'lan', adminUp: true, mac: '02:fe:00:00:41:01', mtu: { l3: 1500 } });
  t.strictSame(await loop.addresses(), ['192.168.41.1/24', '2001:db8:41::1/64']);
  for (const ref of ['loop41', 'lan', loop.index, loop]) t.equal(await vpp.interfaces.get(ref), loop);
  t.ok((await vpp.interfaces.list()).includes(loop), 'one handle per interface');
  t.equal(await vpp.loopbacks.ensure({ instance: 41, tag: 'lan', addresses: ['192.168.41.2/24'], up: false }), loop);
  t.strictSame(await loop.addresses(), ['192.168.41.2/24']);
  t.equal((await loop.refresh()).adminUp, false);
  await loop.rename('inside');
  t.equal(loop.name, 'inside', 'the handle outlives the name');
  t.equal(await vpp.interfaces.get('inside'), loop);
  await loop.setTag('');
  t.equal(await vpp.interfaces.find('lan'), undefined);
  t.match(await failure(vpp.loopbacks.create({ instance: 41 })), {
    code: 'ERR_VPP_OBJECT_REFUSED',
    object: 'loopback 41',
  });
  await gone(t, loop);
  t.match(await failure(loop.setUp()), { code: 'ERR_VPP_OBJECT_GONE', message: /inside.*gone/ });
  t.match(await failure(vpp.interfaces.get('inside')), { code: 'ERR_VPP_OBJECT_MISSING' });
  const bvi = await vpp.loopbacks.createBvi();
  await gone(t, bvi);
});

scenario('tables, and interfaces in them', async (t, vpp) => {
  t.equal(await vpp.tables.ensure({ id: 71, name: 'red' }), true);
  t.equal(await vpp.tables.ensure({ id: 71, name: 'red' }), false);
  t.match(await failure(vpp.tables.ensure({ id: 71, name: 'blue' })), { code: 'ERR_VPP_OBJECT_DIFFERS' });
  const held = (await vpp.tables.list()).filter(({ id }) => id === 71);
  t.strictSame(held, [
    { id: 71, family: 'ip4', name: 'red' },
    { id: 71, family: 'ip6', name: 'red' },
  ]);
  const loop = await vpp.loopbacks.create({ table: 71, addresses: ['10.71.0.1/24'], up: true });
  t.match(await loop.table(), { ip4: 71, ip6: 0 }, 'only the family it has addresses of');
  const other = await vpp.loopbacks.create({ up: true });
  await other.setTable(71, 'ip4');
  await other.setUnnumbered(loop);
  t.equal(await other.unnumbered(), loop);
  await other.setUnnumbered(undefined);
  t.equal(await other.unnumbered(), undefined);
  await vpp.tables.setFlowHash(71, 'ip4', { source: true, destination: true, symmetric: true });
  t.match(await failure(vpp.tables.setFlowHash(999, 'ip4', { source: true })), { code: 'ERR_VPP_OBJECT_REFUSED' });
  const fresh = await vpp.tables.allocate('ip4', 'fresh');
  t.ok(fresh.id > 0);
  await vpp.tables.delete(fresh.id, { family: 'ip4' });
  await gone(t, loop, other);
  await vpp.tables.delete(71);
});

scenario('memif interfaces and their sockets', async (t, vpp) => {
  const socket = `/tmp/nv-objects-${process.pid}-${Math.floor(Math.random() * 1e6)}.sock`;
  const memif = await vpp.memif.create({
    socket,
    id: 3,
    role: 'server',
    secret: 'hush',
    ringSize: 512,
    tag: 'link',
    up: true,
  });
  const info = (await vpp.memif.list()).find((one) => one.interface === memif);
  t.match(info, { socket, id: 3, role: 'server', mode: 'ethernet', connected: false });
  const second = await vpp.memif.create({ socket, id: 4, role: 'server' });
  t.equal([...(await vpp.memif.sockets()).values()].filter((path) => path === socket).length, 1, 'one socket for both');
  t.equal(await vpp.memif.ensure({ socket, id: 3, role: 'server' }), memif);
  t.match(await failure(vpp.memif.ensure({ socket, id: 3, role: 'client' })), { code: 'ERR_VPP_OBJECT_DIFFERS' });
  const unsafe = vpp.memif.create({ socket, id: 5, mode: 'punt-inject' as 'ip' });
  t.match(await failure(unsafe), { code: 'ERR_VPP_OBJECT_UNSAFE', message: /crashes/ });
  const failed = await failure(vpp.memif.create({ socket, id: 3, role: 'server', secret: 'hush' }));
  t.match(failed, { code: 'ERR_VPP_OBJECT_REFUSED' });
  t.notMatch(JSON.stringify(failed) + failed.message, /hush/, 'no secret in the error');
  await gone(t, memif);
  t.ok([...(await vpp.memif.sockets()).values()].includes(socket), 'the socket stays while it is used');
  await gone(t, second);
  t.notOk([...(await vpp.memif.sockets()).values()].includes(socket), 'and goes with the last');
});

scenario('VLAN and QinQ sub-interfaces, and tag rewriting', async (t, vpp) => {
  const loop = await vpp.loopbacks.create();
  const early = await failure(vpp.subInterfaces.create(loop, { vlan: 99, up: true }));
  t.match(early, { code: 'ERR_VPP_OBJECT_REFUSED', message: /interface it is on is down/ });
  t.equal((await vpp.subInterfaces.list(loop)).length, 0, 'and taken back');
  await loop.setUp();
  const vlan = await vpp.subInterfaces.create(loop, { vlan: 100, addresses: ['10.100.0.1/24'], up: true });
  t.equal(vlan.name, `${loop.name}.100`);
  t.match(vlan.info, {
    kind: 'sub-interface',
    sub: { id: 100, parentIndex: loop.index, vlans: [100], exactMatch: true },
  });
  const qinq = await vpp.subInterfaces.create(loop, { id: 7, dot1ad: true, vlan: 10, innerVlan: 'any' });
  t.match(qinq.info.sub, { vlans: [10, 'any'], dot1ad: true, exactMatch: false });
  t.equal(await vpp.subInterfaces.ensure(loop, { vlan: 100 }), vlan);
  t.match(await failure(vpp.subInterfaces.ensure(loop, { id: 100, vlan: 200 })), { code: 'ERR_VPP_OBJECT_DIFFERS' });
  t.match(await failure(vpp.subInterfaces.create(loop, { vlan: 100 })), { code: 'ERR_VPP_OBJECT_REFUSED' });
  t.match(await failure(vpp.subInterfaces.create(loop, { vlan: 4095 })), { code: 'ERR_VPP_ARGUMENT_RANGE' });
  await vlan.setTagRewrite({ op: 'translate-1-1', tag1: 200 });
  t.match(await vlan.refresh(), { tagRewrite: { op: 'translate-1-1', dot1q: true, tag1: 200 } });
  await vlan.setTagRewrite({ op: 'disabled' });
  t.equal((await vlan.refresh()).tagRewrite, undefined);
  t.match(await failure(vlan.rename('other')), { code: 'ERR_VPP_OBJECT_REFUSED' }, 'VPP would rename the parent');
  t.equal((await vpp.subInterfaces.list(loop)).length, 2);
  await gone(t, vlan, qinq, loop);
});

scenario('routes: one, several paths, all kinds, lookup', async (t, vpp) => {
  const lan = await vpp.loopbacks.create({ addresses: ['10.60.1.1/24', '2001:db8:60::1/64'], up: true, tag: 'r-lan' });
  const wan = await vpp.loopbacks.create({ addresses: ['10.60.2.1/24'], up: true });
  await vpp.tables.ensure({ id: 60 });
  const kinds: Route[] = [
    { prefix: '10.61.0.0/16', via: '10.60.1.2', interface: lan },
    { prefix: '10.62.0.0/16', via: '10.60.1.2' },
    { prefix: '10.63.0.0/16', type: 'drop' },
    { prefix: '10.64.0.0/16', lookup: 60 },
    { prefix: '10.65.0.0/16', interface: wan },
    { prefix: '10.66.0.0/16', type: 'unreachable' },
    { prefix: '10.67.0.0/16', type: 'prohibit' },
    { prefix: '10.68.1.1/32', type: 'local' },
    { prefix: '10.70.0.0/16', via: '10.60.1.2', resolveVia: 'attached' },
    { prefix: '2001:db8:61::/48', via: '2001:db8:60::2', interface: 'r-lan' },
    {
      prefix: '10.69.0.0/16',
      paths: [
        { via: '10.60.1.2', interface: lan },
        { via: '10.60.2.2', interface: wan, weight: 3 },
      ],
    },
  ];
  for (const route of kinds) {
    const { table: _, ...rest } = route;
    t.equal(await vpp.routes.ensure(rest), true, `${route.prefix} is made`);
    t.equal(await vpp.routes.ensure(rest), false, `${route.prefix} is there`);
  }
  const found = await vpp.routes.lookup('10.69.3.4');
  t.match(found, { prefix: '10.69.0.0/16', table: 0 });
  t.strictSame(
    [...found!.paths].sort((a, b) => (a.weight ?? 1) - (b.weight ?? 1)),
    [
      { via: '10.60.1.2', interface: lan.index },
      { via: '10.60.2.2', interface: wan.index, weight: 3 },
    ],
  );
  t.match(await vpp.routes.get('10.64.0.0/16'), { paths: [{ lookup: 60 }] });
  t.match(await vpp.routes.get('10.63.0.0/16'), { paths: [{ type: 'drop' }] });
  await vpp.routes.addPaths({ prefix: '10.61.0.0/16', via: '10.60.2.2', interface: wan });
  t.equal((await vpp.routes.get('10.61.0.0/16'))!.paths.length, 2);
  await vpp.routes.deletePaths({ prefix: '10.61.0.0/16', via: '10.60.1.2', interface: lan });
  t.match(await vpp.routes.get('10.61.0.0/16'), { paths: [{ via: '10.60.2.2' }] });
  t.equal(await vpp.routes.get('10.61.1.0/24'), undefined);
  const listed = [];
  for await (const route of vpp.routes.list({ source: 'API' })) listed.push(route.prefix);
  t.strictSame(listed.sort(), kinds.map(({ prefix }) => prefix).sort());
  t.match(await failure(vpp.routes.add({ prefix: '10.1.0.0/16', table: 99, type: 'drop' })), {
    code: 'ERR_VPP_OBJECT_REFUSED',
    object: 'route 10.1.0.0/16 in table 99',
    errorName: 'NO_SUCH_FIB',
  });
  t.match(await failure(vpp.routes.add({ prefix: '10.1.0.0/16', interface: 54_321 })), { retval: -54 });
  t.match(await failure(vpp.routes.add({ prefix: '10.1.0.0/16' })), { code: 'ERR_VPP_ARGUMENT_TYPE' });
  t.match(await failure(vpp.routes.add({ prefix: '10.1.0.0/16', type: 'bier' as 'drop' })), {
    code: 'ERR_VPP_OBJECT_UNSAFE',
  });
  await vpp.routes.deleteMany(kinds.map(({ prefix }) => prefix));
  for await (const route of vpp.routes.list({ source: 'API' })) t.fail(route.prefix);
  await gone(t, lan, wan);
  await vpp.tables.delete(60);
});

scenario('a table is made what it should be, and nothing else is touched', async (t, vpp) => {
  const lan = await vpp.loopbacks.create({ addresses: ['10.50.0.1/24'], up: true, tag: 's-lan' });
  await vpp.tables.ensure({ id: 50 });
  const before = (await collect(vpp, 0)).length;
  const paths = [{ via: '10.50.0.9', interface: 's-lan' }];
  const prefixes = Array.from({ length: 3000 }, (_, n) => `20.${n >> 8}.${n & 255}.0/24`);
  const steps: SyncProgress[] = [];
  const first = await vpp.routes.sync(
    0,
    prefixes.map((prefix) => ({ prefix, paths })),
    { onProgress: (p) => steps.push(p) },
  );
  t.match(first, { added: 3000, replaced: 0, deleted: 0, unchanged: 0, failed: 0 });
  t.strictSame(steps.at(-1), { phase: 'sending', done: 3000, total: 3000 });
  t.match(
    await vpp.routes.sync(
      0,
      prefixes.map((prefix) => ({ prefix, paths })),
    ),
    { added: 0, unchanged: 3000 },
  );
  const changed: Route[] = prefixes
    .slice(10)
    .map((prefix, n) => (n < 5 ? { prefix, type: 'drop' } : { prefix, paths }));
  changed.push({ prefix: '2001:db8:50::/48', type: 'drop' });
  t.match(await vpp.routes.sync(0, changed, { dryRun: true }), { added: 1, replaced: 5, deleted: 10, unchanged: 2985 });
  async function* slowly(): AsyncGenerator<Route> {
    for (const route of changed) yield await Promise.resolve(route);
  }
  t.match(await vpp.routes.sync(0, slowly()), { added: 1, replaced: 5, deleted: 10, unchanged: 2985 });
  t.match(await vpp.routes.sync(0, [], { family: 'ip4', keep: (prefix) => prefix === '20.0.20.0/24' }), {
    deleted: 2989,
  });
  t.match(await vpp.routes.get('20.0.20.0/24'), { paths: [{ via: '10.50.0.9', interface: lan.index }] });
  t.match(await vpp.routes.sync(0, []), { deleted: 2 });
  t.equal((await collect(vpp, 0)).length, before, 'what VPP made itself is still there');
  const bad = [
    { prefix: '20.1.0.0/16', interface: 54_321 },
    { prefix: '20.2.0.0/16', type: 'drop' as const },
  ];
  t.match(await failure(vpp.routes.sync(50, bad)), {
    code: 'ERR_VPP_OBJECT_REFUSED',
    result: { added: 1, failed: 1, failures: [{ prefix: '20.1.0.0/16' }] },
  });
  t.match(await vpp.routes.get('20.2.0.0/16', { table: 50 }), { paths: [{ type: 'drop' }] });
  t.match(await failure(vpp.routes.sync(5050, [{ prefix: '20.2.0.0/16', type: 'drop' }])), {
    code: 'ERR_VPP_OBJECT_MISSING',
    message: 'table 5050: VPP has no ip4 table 5050; vpp.tables.ensure({ id: 5050 }) makes it',
  });
  const stop = new AbortController();
  const aborted = vpp.routes.sync(
    50,
    prefixes.map((prefix) => ({ prefix, type: 'drop' as const })),
    {
      signal: stop.signal,
      onProgress: ({ phase }) => phase === 'comparing' && stop.abort(new Error('enough')),
    },
  );
  t.match(await failure(aborted), { message: 'enough' });
  await vpp.routes.sync(50, []);
  await gone(t, lan);
  await vpp.tables.delete(50);
});

async function collect(vpp: Vpp, table: number): Promise<string[]> {
  const prefixes: string[] = [];
  for await (const route of vpp.routes.list({ table })) prefixes.push(route.prefix);
  return prefixes;
}

scenario('neighbours', async (t, vpp) => {
  const lan = await vpp.loopbacks.create({ addresses: ['10.40.0.1/24', '2001:db8:40::1/64'], up: true });
  const neighbor = { interface: lan, ip: '10.40.0.2', mac: '02:fe:00:00:40:02' };
  t.equal(await vpp.neighbors.ensure(neighbor), true);
  t.equal(await vpp.neighbors.ensure(neighbor), false);
  await vpp.neighbors.add({ interface: lan, ip: '2001:db8:40::2', mac: '02:fe:00:00:40:03' });
  t.match(await vpp.neighbors.list({ interface: lan, family: 'ip6' }), [{ ip: '2001:db8:40::2', isStatic: true }]);
  t.match(await vpp.neighbors.list({ interface: lan, family: 'ip4' }), [{ ip: '10.40.0.2', mac: '02:fe:00:00:40:02' }]);
  await vpp.neighbors.delete(lan, '10.40.0.2');
  await vpp.neighbors.delete(lan, '2001:db8:40::2');
  t.strictSame(await vpp.neighbors.list({ interface: lan }), []);
  const config = await vpp.neighbors.config('ip4');
  await vpp.neighbors.setConfig('ip4', config);
  await vpp.neighbors.flush('ip4', lan);
  await gone(t, lan);
});

vppScenario('proxy ARP and ND, router advertisements', async (t, vpp) => {
  const lan = await vpp.loopbacks.create({ addresses: ['10.40.0.1/24', '2001:db8:40::1/64'], up: true });
  const range = { low: '10.40.0.100', high: '10.40.0.110' };
  t.equal(await vpp.proxyArp.ensureRange(range), true);
  t.equal(await vpp.proxyArp.ensureRange(range), false);
  await vpp.proxyArp.setInterface(lan, true);
  t.ok((await vpp.proxyArp.interfaces()).includes(lan.index));
  await vpp.proxyArp.setInterface(lan, false);
  await vpp.proxyArp.deleteRange(range);
  t.strictSame(await vpp.proxyArp.ranges(), []);
  t.equal(await vpp.proxyArp.ensureNd(lan, '2001:db8:40::99'), true);
  t.equal(await vpp.proxyArp.ensureNd(lan, '2001:db8:40::99'), false);
  await vpp.proxyArp.deleteNd(lan, '2001:db8:40::99');
  t.strictSame(await vpp.proxyArp.nd(), []);
  await vpp.routerAdvertisements.set(lan, {
    managed: true,
    maxIntervalSeconds: 60,
    minIntervalSeconds: 40,
    lifetimeSeconds: 300,
  });
  await vpp.routerAdvertisements.setPrefix(lan, {
    prefix: '2001:db8:40::/64',
    validSeconds: 3600,
    preferredSeconds: 1800,
  });
  t.match(await vpp.routerAdvertisements.get(lan), {
    ...{ managed: true, other: false, maxIntervalSeconds: 60, lifetimeSeconds: 300 },
    prefixes: [{ prefix: '2001:db8:40::/64', validSeconds: 3600, autoconfigure: true }],
  });
  await vpp.routerAdvertisements.set(lan, { managed: false, suppress: true });
  t.match(await vpp.routerAdvertisements.get(lan), { managed: false, sends: false });
  await vpp.routerAdvertisements.deletePrefix(lan, '2001:db8:40::/64');
  await gone(t, lan);
});

scenario('bridge domains, members, MAC tables and cross-connects', async (t, vpp) => {
  const [a, b, c] = [await vpp.loopbacks.create(), await vpp.loopbacks.create(), await vpp.loopbacks.create()];
  const id = await vpp.bridges.create({ tag: 'office', macAgeMinutes: 5 });
  t.equal(await vpp.bridges.ensure({ tag: 'office', arpTermination: true, learn: false }), id);
  await vpp.bridges.addMember('office', a, { splitHorizonGroup: 1 });
  t.equal(await vpp.bridges.ensureMember('office', a, { splitHorizonGroup: 1 }), false);
  t.equal(await vpp.bridges.ensureMember('office', b, { bvi: true }), true);
  const bridge = await vpp.bridges.get('office');
  t.match(bridge, { id, tag: 'office', arpTermination: true, learn: false, flood: true, macAgeMinutes: 5 });
  const member = ({ index }: { index: number }) =>
    bridge.members.find(({ interfaceIndex }) => interfaceIndex === index);
  t.match(member(a), { splitHorizonGroup: 1, bvi: false });
  t.match(member(b), { splitHorizonGroup: 0, bvi: true });
  const mac = '02:fe:00:00:09:01';
  t.equal(await vpp.bridges.ensureMac(id, { mac, interface: a }), true);
  t.equal(await vpp.bridges.ensureMac(id, { mac, interface: a }), false);
  t.match(
    (await vpp.bridges.macs(id)).find((one) => one.mac === mac),
    { isStatic: true, interfaceIndex: a.index },
  );
  await vpp.bridges.deleteMac(id, mac);
  await vpp.bridges.addMac(id, { mac, drop: true });
  t.match(
    (await vpp.bridges.macs(id)).find((one) => one.mac === mac),
    { drop: true },
  );
  await vpp.bridges.deleteMac(id, mac);
  await vpp.bridges.ensureArpEntries(id, [
    { ip: '10.9.0.1', mac },
    { ip: '10.9.0.2', mac },
  ]);
  await vpp.bridges.ensureArpEntries(id, [{ ip: '10.9.0.2', mac }]);
  t.strictSame(await vpp.bridges.arpEntries(id), [{ ip: '10.9.0.2', mac }]);
  await vpp.bridges.deleteArpEntry(id, '10.9.0.2', mac);
  await vpp.bridges.flushMacs(id);
  await vpp.bridges.setLearnLimit(id, 100);
  t.match(await failure(vpp.bridges.create({ id })), { code: 'ERR_VPP_OBJECT_REFUSED', object: `bridge domain ${id}` });
  t.match(await failure(vpp.bridges.get('nowhere')), { code: 'ERR_VPP_OBJECT_MISSING' });
  await vpp.bridges.removeMember(id, b);
  await vpp.bridges.delete('office');
  t.equal(await vpp.bridges.find(id), undefined, 'deleted with the member it still had');
  t.equal(await vpp.crossConnects.ensure(a, c), true);
  t.equal(await vpp.crossConnects.ensure(a, c), false);
  t.match(
    (await vpp.crossConnects.list()).find(({ rxIndex }) => rxIndex === a.index),
    { txIndex: c.index },
  );
  t.equal((await vpp.crossConnects.list()).length, 2);
  await vpp.crossConnects.disconnect(a, c);
  t.strictSame(await vpp.crossConnects.list(), []);
  await gone(t, a, b, c);
});

vppScenario('mirrors', async (t, vpp) => {
  const [a, b] = [await vpp.loopbacks.create(), await vpp.loopbacks.create()];
  t.equal(await vpp.spans.ensure(a, b, 'rx'), true);
  t.equal(await vpp.spans.ensure(a, b, 'rx'), false);
  t.match(await vpp.spans.list(), [{ fromIndex: a.index, toIndex: b.index, direction: 'rx', l2: false }]);
  await vpp.spans.set(a, b, 'off');
  t.strictSame(await vpp.spans.list(), []);
  await gone(t, a, b);
});

scenario('ACLs by name', async (t, vpp) => {
  const lan = await vpp.loopbacks.create();
  const rules = [
    'permit tcp 10.0.0.0/8 -> any port 80-443',
    'reflect udp any -> 10.9.9.9 port 53',
    'deny any any -> any',
  ];
  const index = await vpp.acls.create({ tag: 'web', rules });
  t.match(await vpp.acls.get('web'), { index, tag: 'web', text: rules });
  t.equal(await vpp.acls.ensure({ tag: 'web', rules }), index);
  const other = await vpp.acls.ensure({
    tag: 'icmp',
    rules: ['permit icmp any -> any type 8', 'permit icmp6 any -> any'],
  });
  t.equal(await vpp.acls.apply(lan, { input: ['web', 'icmp'], output: ['icmp'] }), true);
  t.equal(await vpp.acls.apply(lan, { input: ['web', 'icmp'], output: ['icmp'] }), false);
  t.strictSame(await vpp.acls.of(lan), { input: [index, other], output: [other] });
  t.match(await failure(vpp.acls.delete('web')), { code: 'ERR_VPP_OBJECT_REFUSED', message: /in use/ });
  t.match(await failure(vpp.acls.apply(lan, { input: ['none'] })), { code: 'ERR_VPP_OBJECT_MISSING' });
  t.match(await failure(Promise.resolve().then(() => vpp.acls.create({ tag: 'x', rules: ['permit'] }))), {
    code: 'ERR_VPP_RULE',
  });
  await vpp.acls.replace('web', ['deny tcp any4 -> any4 flags syn,!ack']);
  t.strictSame((await vpp.acls.get('web')).text, ['deny tcp any4 -> any4 flags syn,!ack']);
  await vpp.acls.delete('web', { detach: true });
  t.strictSame(await vpp.acls.of(lan), { input: [other], output: [other] });
  await vpp.acls.apply(lan, {});
  await vpp.acls.delete('icmp');
  await gone(t, lan);
});

vppScenario('MACIP ACLs by name', async (t, vpp) => {
  const lan = await vpp.loopbacks.create();
  const macip = {
    tag: 'hosts',
    rules: ['permit 02:fe:00:00:00:01 10.0.0.1', 'permit 02:fe:00:00:00:00/ff:ff:ff:00:00:00 10.1.0.0/16'],
  };
  const one = await vpp.macip.create(macip);
  t.match(await vpp.macip.get('hosts'), { text: macip.rules });
  t.equal(await vpp.macip.ensure(macip), one);
  t.equal(await vpp.macip.apply(lan, 'hosts'), true);
  t.equal(await vpp.macip.apply(lan, 'hosts'), false);
  t.equal(await vpp.macip.of(lan), one);
  await vpp.macip.apply(lan, undefined);
  await vpp.macip.delete('hosts');
  t.strictSame(await vpp.macip.list(), []);
  await gone(t, lan);
});

vppScenario('NAT44', async (t, vpp) => {
  t.equal(await vpp.nat44.ensureEnabled({ sessions: 1024 }), true);
  t.equal(await vpp.nat44.ensureEnabled({ sessions: 1024 }), false);
  t.match(await failure(vpp.nat44.ensureEnabled({ sessions: 2048 })), { code: 'ERR_VPP_OBJECT_DIFFERS' });
  const [lan, wan] = [
    await vpp.loopbacks.create(),
    await vpp.loopbacks.create({ addresses: ['198.51.100.1/24'], up: true }),
  ];
  t.equal(await vpp.nat44.setInside(lan), true);
  t.equal(await vpp.nat44.setInside(lan), false);
  await vpp.nat44.setOutside(wan);
  const sides = await vpp.nat44.interfaces();
  t.match(
    sides.find(({ interfaceIndex }) => interfaceIndex === lan.index),
    { inside: true, outside: false },
  );
  t.match(
    sides.find(({ interfaceIndex }) => interfaceIndex === wan.index),
    { inside: false, outside: true },
  );
  await vpp.nat44.addPool({ first: '203.0.113.1', last: '203.0.113.3' });
  t.equal(await vpp.nat44.ensurePool({ first: '203.0.113.1', last: '203.0.113.4' }), true);
  t.equal(await vpp.nat44.ensurePool({ first: '203.0.113.1', last: '203.0.113.4' }), false);
  t.match(
    (await vpp.nat44.pools()).filter(({ twice }) => !twice),
    [{ first: '203.0.113.1', last: '203.0.113.4' }],
  );
  await vpp.nat44.addInterfacePool(wan);
  t.match(await vpp.nat44.interfacePools(), [{ interfaceIndex: wan.index, twice: false }]);
  await vpp.nat44.deleteInterfacePool(wan);
  const web = {
    tag: 'web',
    local: '10.0.0.9',
    localPort: 8080,
    external: '203.0.113.1',
    externalPort: 80,
    protocol: 'tcp' as const,
  };
  t.equal(await vpp.nat44.ensureMapping(web), true);
  t.equal(await vpp.nat44.ensureMapping(web), false);
  t.equal(await vpp.nat44.ensureMapping({ ...web, local: '10.0.0.10' }), true);
  t.match(await vpp.nat44.mappings(), [{ ...web, local: '10.0.0.10', table: 0 }]);
  for (const taken of [
    { ...web, tag: 'x' },
    { ...web, tag: 'x', local: '10.0.0.10', externalPort: 81 },
  ]) {
    t.match(await failure(vpp.nat44.addMapping(taken)), {
      code: 'ERR_VPP_OBJECT_REFUSED',
      object: 'nat44 mapping x',
      message: /VALUE_EXIST.*; in its way: the mapping 203\.0\.113\.1:80 -> 10\.0\.0\.10:8080; delete that first$/,
    });
  }
  const self = { address: '203.0.113.1', protocol: 'tcp' as const, port: 80 };
  t.match(await failure(vpp.nat44.addIdentity(self)), { message: /in its way: the mapping 203\.0\.113\.1:80/ });
  await vpp.nat44.deleteMapping({ ...web, local: '10.0.0.10' });
  const balancer = {
    ...{ external: '203.0.113.2', port: 443, protocol: 'tcp' as const, tag: 'lb' },
    backends: [
      { address: '10.0.0.1', port: 443, weight: 50 },
      { address: '10.0.0.2', port: 443, weight: 50 },
    ],
  };
  await vpp.nat44.addBalancer(balancer);
  await vpp.nat44.setBackend(balancer, { address: '10.0.0.3', port: 443, weight: 10 });
  const [held] = await vpp.nat44.balancers();
  t.match(held, { external: '203.0.113.2', port: 443, protocol: 'tcp' });
  t.equal(held!.backends.length, 3);
  t.match(await failure(vpp.nat44.addMapping({ ...web, external: '203.0.113.2', externalPort: 443 })), {
    message: /in its way: the load-balanced mapping of 203\.0\.113\.2:443/,
  });
  const ports = async (): Promise<unknown[]> => {
    const [one] = await vpp.nat44.balancers();
    return one!.backends.map(({ address, weight }) => [address, weight]).sort();
  };
  t.equal(await vpp.nat44.ensureBalancer(balancer), true);
  t.equal(await vpp.nat44.ensureBalancer(balancer), false);
  t.strictSame(await ports(), [
    ['10.0.0.1', 50],
    ['10.0.0.2', 50],
  ]);
  const [first] = balancer.backends;
  const others = { ...balancer, backends: [first!, { address: '10.0.0.4', port: 443, weight: 7 }] };
  t.equal(await vpp.nat44.ensureBalancer(others), true);
  t.equal(
    await vpp.nat44.ensureBalancer({ ...others, backends: others.backends.map((one) => ({ ...one, weight: 9 })) }),
    true,
  );
  t.strictSame(await ports(), [
    ['10.0.0.1', 9],
    ['10.0.0.4', 9],
  ]);
  t.equal(await vpp.nat44.ensureBalancer({ ...others, tag: 'other' }), true);
  const [renamed] = await vpp.nat44.balancers();
  t.equal(renamed!.tag, 'other');
  await vpp.nat44.deleteBalancer(renamed!);
  const identity = { address: '203.0.113.3', protocol: 'udp' as const, port: 4500 };
  await vpp.nat44.addIdentity(identity);
  t.match(await vpp.nat44.identities(), [identity]);
  t.equal(await vpp.nat44.ensureIdentity(identity), false);
  t.equal(await vpp.nat44.ensureIdentity({ ...identity, tag: 'named' }), true);
  await vpp.nat44.deleteIdentity({ ...identity, tag: 'named' });
  t.strictSame(await vpp.nat44.identities(), []);
  t.match(await failure(vpp.nat44.ensurePool({ first: '203.0.113.3', last: '203.0.113.9', table: 7 })), {
    code: 'ERR_VPP_OBJECT_DIFFERS',
    message: 'nat44 pool address 203.0.113.3: it is of all tables, not of table 7; delete it from that pool first',
  });
  t.match(await failure(vpp.nat44.setOutput(wan)), {
    code: 'ERR_VPP_OBJECT_DIFFERS',
    message: /translated before routing or after it: setOutside\(…, false\) first/,
  });
  await vpp.nat44.setTimeouts({ udp: 100 });
  await vpp.nat44.setForwarding(true);
  t.match(await vpp.nat44.config(), {
    enabled: true,
    sessions: 1024,
    forwarding: true,
    timeouts: { udp: 100, icmp: 60 },
  });
  t.strictSame(await vpp.nat44.sessions(), []);
  await vpp.nat44.setInside(lan, false);
  await vpp.nat44.setOutside(wan, false);
  t.equal(await vpp.nat44.setOutput(wan), true);
  t.match(await vpp.nat44.interfaces(), [{ interfaceIndex: wan.index, output: true }]);
  t.match(await failure(vpp.nat44.setInside(wan)), { message: /setOutput\(…, false\) first/ });
  await vpp.nat44.setOutput(wan, false);
  await vpp.nat44.disable();
  await vpp.nat44.disable();
  t.match(await vpp.nat44.config(), { enabled: false });
  await gone(t, lan, wan);
});

vppScenario('tunnels and bonds', async (t, vpp, { release }) => {
  const lan = await vpp.loopbacks.create({ addresses: ['10.30.0.1/24'], up: true });
  const ends = { source: '10.30.0.1', destination: '10.30.0.2' };
  const vxlan = await vpp.vxlan.create({ ...ends, vni: 13, tag: 'overlay', up: true });
  t.match(
    (await vpp.vxlan.list()).map(({ interface: _, ...row }) => row),
    [{ ...ends, vni: 13, destinationPort: 4789 }],
  );
  t.equal(await vpp.vxlan.ensure({ ...ends, vni: 13 }), vxlan);
  t.match(await failure(vpp.vxlan.create({ ...ends, vni: 13 })), {
    ...{ code: 'ERR_VPP_OBJECT_REFUSED', object: 'vxlan tunnel 10.30.0.1 -> 10.30.0.2 vni 13' },
  });
  await vpp.vxlan.setBypass(lan);
  await vpp.vxlan.setBypass(lan, false);
  const geneve = await vpp.geneve.create({ ...ends, vni: 14 });
  t.equal(await vpp.geneve.ensure({ ...ends, vni: 14 }), geneve);
  const gre = await vpp.gre.create({ ...ends, type: 'teb' });
  t.equal(await vpp.gre.ensure({ ...ends, type: 'teb' }), gre);
  t.match(
    (await vpp.gre.list()).map(({ interface: _, ...row }) => row),
    [{ ...ends, type: 'teb', mode: 'point-to-point' }],
  );
  if (release === '24.10') {
    t.match(await failure(vpp.gre.create({ ...ends, key: 5 })), {
      code: 'ERR_VPP_FEATURE_MISSING',
      plugin: 'gre_plugin.so',
    });
  } else await gone(t, await vpp.gre.create({ ...ends, key: 5 }));
  const ipip = await vpp.ipip.create({ ...ends, dscp: 10 });
  t.equal(await vpp.ipip.ensure({ ...ends }), ipip);
  t.match(await failure(vpp.ipip.ensure({ ...ends, dscp: 11 })), { code: 'ERR_VPP_OBJECT_DIFFERS' });
  await gone(t, vxlan, geneve, gre, ipip);
  const bond = await vpp.bonds.create({ mode: 'lacp', loadBalance: 'l34', tag: 'uplink' });
  t.equal(await vpp.bonds.ensure({ tag: 'uplink', mode: 'lacp' }), bond);
  t.match(await failure(vpp.bonds.ensure({ tag: 'uplink', mode: 'xor' })), { code: 'ERR_VPP_OBJECT_DIFFERS' });
  t.match(
    (await vpp.bonds.list()).map(({ interface: _, ...row }) => row),
    [{ mode: 'lacp', loadBalance: 'l34', members: 0 }],
  );
  await gone(t, bond, lan);
});

vppScenario('ABF, l3 cross-connects, uRPF, punt', async (t, vpp) => {
  const [lan, wan] = [
    await vpp.loopbacks.create({ addresses: ['10.20.0.1/24'], up: true }),
    await vpp.loopbacks.create(),
  ];
  await vpp.acls.create({ tag: 'abf', rules: ['permit tcp any4 -> any4 port 80'] });
  const policy = { id: 9, acl: 'abf', via: '10.20.0.9', interface: lan };
  t.equal(await vpp.abf.ensure(policy), true);
  t.equal(await vpp.abf.ensure(policy), false);
  t.equal(await vpp.abf.ensureAttached(9, wan, { priority: 10 }), true);
  t.equal(await vpp.abf.ensureAttached(9, wan, { priority: 10 }), false);
  t.match(await vpp.abf.list(), [{ id: 9, paths: [{ via: '10.20.0.9', interface: lan.index }] }]);
  t.match(await failure(vpp.abf.delete(9)), { code: 'ERR_VPP_OBJECT_REFUSED', object: 'ABF policy 9' });
  t.match(await failure(vpp.abf.attach(99, wan)), { code: 'ERR_VPP_OBJECT_MISSING', object: 'ABF policy 99' });
  await vpp.abf.detach(9, wan, { priority: 10 });
  t.strictSame(await vpp.abf.attachments(), []);
  await vpp.abf.delete(9);
  t.strictSame(await vpp.abf.list(), []);
  await vpp.acls.delete('abf');
  t.equal(await vpp.l3xc.ensure(wan, { via: '10.20.0.9', interface: lan }), true);
  t.equal(await vpp.l3xc.ensure(wan, { via: '10.20.0.9', interface: lan }), false);
  t.match(await vpp.l3xc.list(), [{ interfaceIndex: wan.index, family: 'ip4', paths: [{ via: '10.20.0.9' }] }]);
  await vpp.l3xc.delete(wan);
  t.strictSame(await vpp.l3xc.list(), []);
  t.equal(await vpp.urpf.ensure(lan, 'strict'), true);
  t.equal(await vpp.urpf.ensure(lan, 'strict'), false);
  t.match(await vpp.urpf.list(), [{ interfaceIndex: lan.index, mode: 'strict', family: 'ip4', direction: 'rx' }]);
  await vpp.urpf.set(lan, 'off');
  t.ok((await vpp.punt.reasons()).size > 0);
  await vpp.punt.setL4({ protocol: 'udp', port: 4500 });
  await vpp.punt.setL4({ protocol: 'udp', port: 4500 }, false);
  const redirect = { rx: wan, via: '10.20.0.9', interface: lan };
  t.equal(await vpp.punt.ensureRedirect(redirect), true);
  t.equal(await vpp.punt.ensureRedirect(redirect), false);
  t.equal(await vpp.punt.ensureRedirect({ ...redirect, via: '10.20.0.8' }), true);
  t.match(await vpp.punt.redirects(), [{ rxIndex: wan.index, paths: [{ via: '10.20.0.8', interface: lan.index }] }]);
  t.equal(await vpp.punt.ensureRedirect({ via: '10.20.0.9', interface: lan }), true);
  t.same((await vpp.punt.redirects()).map(({ rxIndex }) => rxIndex).sort(), [wan.index, undefined]);
  await vpp.punt.deleteRedirect({});
  await vpp.punt.deleteRedirect({ rx: wan });
  t.strictSame(await vpp.punt.redirects(), []);
  await gone(t, lan, wan);
});

vppScenario('punt sockets', async (t, vpp) => {
  const [reason] = [...(await vpp.punt.reasons()).keys()];
  const wanted = [
    { protocol: 'udp' as const, port: 500, family: 'ip4' as const },
    { protocol: 'udp' as const, port: 500, family: 'ip6' as const },
    { ipProtocol: 89, family: 'ip4' as const },
    { reason: reason! },
  ];
  for (const [n, what] of wanted.entries()) {
    t.equal(await vpp.punt.ensureSocket(what, `/tmp/punt-${n}.sock`), true);
    t.equal(await vpp.punt.ensureSocket(what, `/tmp/punt-${n}.sock`), false);
  }
  const held = await vpp.punt.sockets();
  t.strictSame(
    held.sort((a, b) => a.path.localeCompare(b.path)),
    wanted.map((what, n) => ({ ...what, path: `/tmp/punt-${n}.sock` })),
  );
  t.equal(await vpp.punt.ensureSocket(wanted[0]!, '/tmp/punt-other.sock'), true);
  t.equal((await vpp.punt.sockets()).length, 4, 'one socket for each');
  t.match(await failure(vpp.punt.registerSocket({ reason: 'nothing' }, '/tmp/punt.sock')), {
    code: 'ERR_VPP_OBJECT_MISSING',
    message: new RegExp(`^punt of reason nothing: VPP has no such reason; it has .*${reason!}`),
  });
  t.match(await failure(vpp.punt.registerSocket({ reason: 9999 }, '/tmp/punt.sock')), {
    code: 'ERR_VPP_OBJECT_MISSING',
  });
  const tcp = { protocol: 'tcp', port: 500 } as const;
  t.match(await failure(vpp.punt.registerSocket(tcp, '/tmp/punt.sock')), {
    message: /^punt of tcp port 500: cannot hand it to .*UNSPECIFIED \(-1.*takes ports of UDP$/,
  });
  t.match(await failure(vpp.punt.setL4(tcp)), { message: /cannot set it: .*takes ports of UDP, and of TCP all/ });
  t.match(await failure(vpp.punt.setL4({ protocol: 'upd' as 'udp', port: 1 })), { code: 'ERR_VPP_ARGUMENT_TYPE' });
  for (const what of wanted) await vpp.punt.deregisterSocket(what);
  t.strictSame(await vpp.punt.sockets(), []);
  await vpp.punt.deregisterSocket(wanted[0]!);
});

vppScenario('what VPP refuses is said of the object', async (t, vpp) => {
  const [lan, wan] = [await vpp.loopbacks.create({ tag: 'lan' }), await vpp.loopbacks.create({ tag: 'wan' })];
  await lan.ensureAddresses(['10.21.0.1/24', '2001:db8:21::1/64']);
  for (const [itf, prefix, errorName] of [
    [lan, '10.21.0.1/24', 'ADDRESS_IN_USE'],
    [lan, '10.21.0.1/16', 'ADDRESS_IN_USE'],
    [wan, '10.21.0.2/24', 'ADDRESS_IN_USE'],
    [lan, '2001:db8:21::1/64', 'DUPLICATE_IF_ADDRESS'],
    [wan, '2001:db8:21::2/64', 'DUPLICATE_IF_ADDRESS'],
  ] as const) {
    t.match(await failure(itf.addAddress(prefix)), {
      code: 'ERR_VPP_OBJECT_REFUSED',
      errorName,
      message: `${itf.toString()}: cannot add the address ${prefix}: VPP says ${errorName}`,
    });
  }
  await lan.addAddress('10.21.0.9/24');
  t.strictSame(await lan.ensureAddresses(['10.21.0.1/24', '10.21.0.9/24', '2001:db8:21::1/64']), {
    added: [],
    deleted: [],
  });
  t.match(await failure(lan.setLinkMtu(1500)), { errorName: 'UNSUPPORTED', object: lan.toString() });
  t.equal((await lan.refresh()).linkMtu, 9000);
  t.match(await failure(vpp.bonds.removeMember(lan)), { errorName: 'INVALID_INTERFACE', object: lan.toString() });
  t.match(await failure(vpp.loopbacks.create({ instance: Number(lan.name.slice(4)) })), {
    message: /INVALID_REGISTRATION \(-31.*, as it does when there is one of this instance$/,
  });
  await lan.setUp();
  const vlan = await vpp.subInterfaces.create(lan, { vlan: 10 });
  t.match(await failure(vpp.subInterfaces.ensure(lan, { vlan: 10, id: 11 })), {
    object: `sub-interface ${lan.name}.11`,
    message: /UNSPECIFIED \(-1.*, as it does when another sub-interface takes these tags$/,
  });
  await vlan.delete();
  const id = await vpp.bridges.create();
  t.match(await failure(vpp.bridges.addMac(id, { mac: '02:00:00:00:00:01', interface: lan })), {
    message: `MAC address 02:00:00:00:00:01 in bridge domain ${id}: cannot add it: VPP says INVALID_SW_IF_INDEX (-2`,
  });
  await vpp.bridges.delete(id);
  t.match(await failure(vpp.crossConnects.connect(lan, lan)), { code: 'ERR_VPP_ARGUMENT_TYPE' });
  t.match(await failure(vpp.acls.create({ tag: 'x', rules: ['permit tpc any -> any'] })), { code: 'ERR_VPP_RULE' });
  await vpp.tables.ensure({ id: 21 });
  const guest = await vpp.loopbacks.create({ unnumbered: lan });
  t.match(await failure(vpp.interfaces.adopt(guest, { table: 21 })), {
    message: `${guest.toString()}: cannot move it to table 21: it borrows the address of ${lan.toString()}, whose table`,
  });
  await wan.setTable(21);
  t.match(await failure(guest.setUnnumbered(wan)), { message: /they are in different tables$/ });
  await vpp.interfaces.adopt(guest, { table: 21, unnumbered: wan });
  t.same([await guest.table(), await guest.unnumbered()], [{ ip4: 21, ip6: 21 }, wan]);
  await guest.delete();
  await wan.setTable(0);
  await vpp.tables.delete(21);
  const [one, two] = [await vpp.bonds.create({ mode: 'xor' }), await vpp.bonds.create({ mode: 'xor' })];
  await vpp.bonds.addMember(one, wan);
  t.match(await failure(vpp.bonds.ensureMember(two, wan)), {
    code: 'ERR_VPP_OBJECT_REFUSED',
    message: `${wan.toString()}: cannot make it a member of ${two.toString()}: VPP says VALUE_EXIST`,
  });
  await vpp.bonds.removeMember(wan);
  await gone(t, one, two, lan, wan);
});

scenario('TAP interfaces', async (t, vpp, { real, partial }) => {
  const hostName = `nv${process.pid % 100_000}`;
  const made = await failureOr(
    vpp.taps.create({
      ...{ id: 77, hostName, tag: 'tap', up: true },
      ...{ hostIp4: '10.77.0.2/24', addresses: ['10.77.0.1/24'] },
    }),
  );
  if (made instanceof Error) {
    // VPP's taps need a kernel with vhost-net, those of the dataplane /dev/net/tun and the right to use it.
    const able = process.getuid?.() === 0 && existsSync(real ? '/dev/vhost-net' : '/dev/net/tun');
    if (able || !(real || partial)) throw made;
    t.match(made, { code: 'ERR_VPP_OBJECT_REFUSED', object: 'tap tap' });
    t.comment(`no taps here: ${made.message}`);
    return;
  }
  t.equal(made.name, 'tap77');
  t.match(
    (await vpp.taps.list()).find(({ interface: itf }) => itf === made),
    { id: 77, hostName, hostIp4: '10.77.0.2/24' },
  );
  t.equal(await vpp.taps.ensure({ hostName }), made);
  t.equal((await made.rxPlacement())[0]?.worker, 'main');
  await made.setRxMode('interrupt');
  await made.setPromiscuous(true);
  await gone(t, made);
  t.strictSame(await vpp.taps.list(), []);
});

scenario('changes are told as they come', async (t, vpp, { real }) => {
  const seen: string[] = [];
  const watch = vpp.interfaces.watch();
  const ended = (async () => {
    for await (const change of watch) {
      seen.push(change.type === 'restarted' ? change.type : `${change.type} ${change.interface.tag}`);
      if (seen.at(-1) === 'deleted watched') break;
    }
  })();
  const loop = await vpp.loopbacks.create({ tag: 'watched' });
  await loop.setUp();
  await until('the change', () => seen.some((line) => line === 'changed watched'));
  if (real) await vpp.api.request('delete_loopback', { sw_if_index: loop.index });
  else await loop.delete();
  await ended;
  t.equal(loop.gone, true);
  t.equal(watch.ended, true);
});

void t.test(
  'on real VPP: af_packet, tap, bond members, trace and capture',
  { skip: targets.at(-1)!.skip },
  async (t) => {
    const { vpp } = await targets.at(-1)!.open(t);
    const tap = await failureOr(vpp.taps.create({ hostName: 'nv77' }));
    if (tap instanceof Error) t.comment(`no taps here: ${tap.message}`);
    else await gone(t, tap);
    const member = await vpp.loopbacks.create();
    for (const mode of ['round-robin', 'broadcast', 'active-backup'] as const) {
      const bond = await vpp.bonds.create({ mode });
      // Only the one that has to choose weighs its members.
      const weight = mode === 'active-backup' ? { weight: 7 } : {};
      await vpp.bonds.ensureMember(bond, member, weight);
      await vpp.bonds.ensureMember(bond, member, weight);
      t.match(await vpp.bonds.list(), [{ mode, members: 1 }]);
      t.match(await vpp.bonds.members(bond), [{ interface: { index: member.index }, ...weight }]);
      await vpp.bonds.removeMember(member);
      t.strictSame(await vpp.bonds.members(bond), []);
      await bond.delete();
    }
    await member.delete();
    const lan = await vpp.loopbacks.create({ addresses: ['10.78.0.1/24'], up: true });
    const packet =
      'IP4: 02:fe:00:00:00:99 -> ff:ff:ff:ff:ff:ff UDP: 10.78.0.9 -> 10.78.0.1 UDP: 5000 -> 9 incrementing 30';
    const stream = `name nv limit 5 node ethernet-input interface ${lan.name} size 72-72 data { ${packet} }`;
    t.equal(await vpp.cli(`packet-generator new { ${stream} }`), '', 'a packet generator is set up');
    const trace = await vpp.trace({ node: 'pg-input', count: 5 });
    const start = () => void vpp.cli('packet-generator enable-stream nv');
    const { packets, pcapng } = await vpp.capture({
      interface: lan,
      directions: ['rx'],
      count: 5,
      durationMs: 20_000,
      onStarted: start,
    });
    t.equal(packets.length, 5);
    t.strictSame(new PcapngReader().push(pcapng).filter(({ type }) => type === 'packet').length, 5);
    t.match(describeFrame(packets[0]!.bytes, { showLink: false }), /10\.78\.0\.9\.5000 > 10\.78\.0\.1\.9/);
    const traced = await trace.wait();
    t.equal(traced.length, 5);
    t.match(traced[0]!.steps.slice(0, 2), [{ node: 'pg-input' }, { node: 'ethernet-input', detail: /IP4: 02:fe/ }]);
    await trace.clear();
    t.strictSame(await trace.packets(), []);
    await vpp.cli('packet-generator delete nv');
    await gone(t, lan);
    t.match(await failure(vpp.afPackets.create({ host: 'nowhere0' })), {
      code: 'ERR_VPP_OBJECT_REFUSED',
      object: 'af_packet nowhere0',
    });
    t.match(await failure(vpp.trace({ node: 'no-such-node' })), {
      code: 'ERR_VPP_OBJECT_REFUSED',
      object: 'trace of no-such-node',
    });
    const quiet = await vpp.capture({ durationMs: 50 });
    t.strictSame(quiet.packets, []);
  },
);

async function failureOr<T>(promise: Promise<T>): Promise<T | Error> {
  return promise.catch((error: unknown) => error as Error);
}

void t.test('what a VPP cannot do is said with the plugin, and nothing else happens', async (t) => {
  const fake = await standIn(t);
  // A VPP whose table lacks the messages of some plugins.
  const missing = /^(nat44|nat_|acl_|abf_|tap_|sw_interface_tap|trace_|memif_)/;
  await fake.server.restart({ without: (name) => missing.test(name) });
  const vpp = await openVpp({ socket: fake.server.path });
  t.teardown(() => vpp.close());
  const cases: [() => Promise<unknown>, string][] = [
    [() => vpp.nat44.enable(), 'nat_plugin.so'],
    [() => vpp.acls.list(), 'acl_plugin.so'],
    [() => vpp.abf.list(), 'abf_plugin.so'],
    [() => vpp.taps.create(), 'tap_plugin.so'],
    [() => vpp.trace({ node: 'pg-input' }), 'tracedump_plugin.so'],
    [() => vpp.memif.create({ socket: '/tmp/x.sock' }), 'memif_plugin.so'],
  ];
  for (const [ask, plugin] of cases) {
    const error = await failure(Promise.resolve().then(ask));
    t.match(error, { code: 'ERR_VPP_FEATURE_MISSING', plugin });
    t.match(error.message, plugin);
  }
});

void t.test('the messages that are sent, by release', async (t) => {
  const expected = {
    '24.10': ['gre_tunnel_add_del', 'tap_create_v3', 'vxlan_add_del_tunnel_v3', 'set_ip_flow_hash_v3'],
    '25.10': ['gre_tunnel_add_del_v2', 'tap_create_v3', 'vxlan_add_del_tunnel_v3', 'set_ip_flow_hash_v3'],
    '26.06': ['gre_tunnel_add_del_v2', 'tap_create_v3', 'vxlan_add_del_tunnel_v3', 'set_ip_flow_hash_v3'],
  } as const;
  for (const [release, names] of Object.entries(expected)) {
    const fake = await standIn(t, release as '26.06');
    const vpp = await openVpp({ socket: fake.server.path });
    t.teardown(() => vpp.close());
    await vpp.gre.create({ source: '10.0.0.1', destination: '10.0.0.2' });
    await vpp.taps.create({ hostName: 'x' });
    await vpp.vxlan.create({ source: '10.0.0.1', destination: '10.0.0.2', vni: 7 });
    await vpp.tables.setFlowHash(0, 'ip4', { source: true, protocol: true });
    t.strictSame(
      fake.sent().map(({ name }) => name),
      [...names],
      release,
    );
  }
  const fake = await standIn(t);
  const vpp = await openVpp({ socket: fake.server.path });
  t.teardown(() => vpp.close());
  const index = fake.plug({ interface_name: 'eth0', interface_dev_type: 'dpdk' });
  const eth = await vpp.interfaces.adopt('eth0', { tag: 'uplink', up: true, mtu: 9000, addresses: ['192.0.2.1/24'] });
  t.strictSame(fake.sent(), [
    { name: 'sw_interface_tag_add_del', fields: { is_add: true, sw_if_index: index, tag: 'uplink' } },
    {
      name: 'sw_interface_add_del_address',
      fields: { sw_if_index: index, is_add: true, del_all: false, prefix: '192.0.2.1/24' },
    },
    { name: 'sw_interface_set_flags', fields: { sw_if_index: index, flags: 1 } },
  ]);
  await vpp.interfaces.adopt('uplink', { tag: 'uplink', up: true, addresses: ['192.0.2.1/24'] });
  t.strictSame(fake.sent(), [], 'what is so already is not sent');
  t.match(await failure(eth.delete()), { code: 'ERR_VPP_OBJECT_REFUSED', message: /belongs to its driver/ });
  await vpp.routes.add({ prefix: '10.1.2.3/8', via: '192.0.2.9', interface: 'uplink', weight: 2, preference: 1 });
  t.match(fake.sent(), [
    {
      name: 'ip_route_add_del_v2',
      fields: {
        ...{ is_add: true, is_multipath: false },
        route: {
          ...{ table_id: 0, prefix: '10.0.0.0/8', n_paths: 1, src: 0 },
          paths: [{ sw_if_index: index, weight: 2, preference: 1, type: 0, proto: 0, nh: { address: '192.0.2.9' } }],
        },
      },
    },
  ]);
  await vpp.acls.create({ tag: 'a', rules: ['permit tcp 10.0.0.0/8 -> any port 80-443'] });
  t.match(fake.sent()[0]!.fields, {
    ...{ acl_index: 0xffffffff, tag: 'a' },
    r: [
      {
        is_permit: 1,
        src_prefix: '10.0.0.0/8',
        proto: 6,
        dstport_or_icmpcode_first: 80,
        dstport_or_icmpcode_last: 443,
      },
    ],
  });
});

void t.test('a handle knows when its interface is gone', async (t) => {
  const fake = await standIn(t);
  const connection = await connect({ socket: fake.server.path });
  const vpp = await openVpp(connection);
  t.teardown(() => connection.close());
  const loop = await vpp.loopbacks.create({ instance: 5 });
  await connection.request('show_version');
  fake.unplug(loop.index);
  await until('the event', () => loop.gone);
  t.match(await failure(loop.setUp()), { code: 'ERR_VPP_OBJECT_GONE', message: /loop5.*it was deleted/ });
  t.match(await failure(vpp.routes.add({ prefix: '10.0.0.0/8', interface: loop })), { code: 'ERR_VPP_OBJECT_GONE' });
  const second = await vpp.loopbacks.create({ tag: 'x' });
  fake.interfaces.delete(second.index);
  t.match(await failure(second.setUp()), { code: 'ERR_VPP_OBJECT_GONE', message: /no longer knows its index/ });
  const third = await vpp.loopbacks.create();
  fake.interfaces.get(third.index)!.interface_dev_type = 'memif';
  const other = await vpp.interfaces.get(third.index);
  t.equal(third.gone, true, 'its index belongs to another interface now');
  t.not(other, third);
  const before = [...(await vpp.interfaces.list())];
  const watch = vpp.interfaces.watch();
  await fake.server.restart();
  const told = [];
  for await (const change of watch) {
    told.push(change.type);
    if (change.type === 'restarted') break;
  }
  t.ok(
    before.every((itf) => itf.gone),
    'after a restart of VPP all handles are gone',
  );
  await vpp.close();
  t.equal(connection.state, 'connected', 'a connection that was handed in stays open');
  const early = vpp.interfaces.watch({ signal: AbortSignal.abort() });
  t.equal((await early.next()).done, true);
});

void t.test('what is made and then refused its settings is taken back', async (t) => {
  const fake = await standIn(t);
  const vpp = await openVpp({ socket: fake.server.path });
  t.teardown(() => vpp.close());
  const made = vpp.loopbacks.create({ tag: 'half', table: 99, addresses: ['10.0.0.1/24'] });
  t.match(await failure(made), { code: 'ERR_VPP_OBJECT_REFUSED', errorName: 'NO_SUCH_FIB', message: /half \(loop0\)/ });
  t.equal(fake.interfaces.size, 1, 'only local0 is left');
  fake.plug({ interface_name: 'a', interface_dev_type: 'dpdk', tag: 'twin' });
  fake.plug({ interface_name: 'b', interface_dev_type: 'dpdk', tag: 'twin' });
  t.match(await failure(vpp.interfaces.get('twin')), { code: 'ERR_VPP_OBJECT_AMBIGUOUS', message: /a, b/ });
});

void t.test('counters, from the stats segment', async (t) => {
  const count = async (t: Test, vpp: Vpp, receive: (loop: Interface) => Promise<void>): Promise<void> => {
    const loop = await vpp.loopbacks.create({ addresses: ['10.79.0.1/24'], up: true, tag: 'counted' });
    t.match(await loop.counters(), { rx: { packets: 0, bytes: 0 }, drops: 0 }, 'one that is new has none');
    await receive(loop);
    for (let n = 0; n < 500 && (await loop.counters()).rx.packets < 5; n += 1) await sleep(20);
    t.match(await loop.counters(), { rx: { packets: 5, bytes: 360 }, 'rx-no-buf': 0 });
    const all = await vpp.interfaces.listWithCounters();
    t.match(
      all.find((one) => one.interface === loop),
      { counters: { rx: { packets: 5, bytes: 360 }, tx: { bytes: Number } } },
    );
    t.equal(all.length, (await vpp.interfaces.list()).length);
    await gone(t, loop);
    t.match(await failure(loop.counters()), { code: 'ERR_VPP_OBJECT_GONE' });
  };
  await t.test('dataplane', async (t) => {
    const at = folder(t);
    await using dataplane = await startDataplane({ apiSocket: join(at, 'api'), statsSocket: join(at, 'stats') });
    const [socket, statsSocket] = [dataplane.apiSocket, dataplane.statsSocket];
    const vpp = await openVpp({ socket, statsSocket });
    await count(t, vpp, async (loop) => {
      const frame = new Uint8Array(72).fill(0xff, 0, 6);
      // What leaves by a loopback is received on it.
      for (let n = 0; n < 5; n += 1) dataplane.forwarder.inject(loop.index, frame);
      return Promise.resolve();
    });
    await vpp.close();
    const stats = await connectStats({ socket: statsSocket! });
    const other = await openVpp({ socket, stats });
    t.match(await (await other.interfaces.get('local0')).counters(), { drops: 0 });
    await other.close();
    t.equal(stats.connected, true, 'a reader that was handed in stays open');
    await stats.close();
    const none = await openVpp({ socket });
    const hint = { code: 'ERR_VPP_OBJECT_REFUSED', message: /openVpp\(\{ statsSocket/ };
    t.match(await failure((await none.interfaces.get('local0')).counters()), hint);
    t.match(await failure(none.interfaces.listWithCounters()), hint);
    await none.close();
    const nowhere = await openVpp({ socket, statsSocket: join(at, 'nowhere') });
    for (let n = 0; n < 2; n += 1) {
      t.match(await failure((await nowhere.interfaces.get('local0')).counters()), { code: 'ERR_STATS_SYSTEM' });
    }
    await nowhere.close();
  });
  await t.test('VPP 26.06', { skip: targets.at(-1)!.skip }, async (t) => {
    const { vpp } = await targets.at(-1)!.open(t);
    await count(t, vpp, async (loop) => {
      const packet =
        'IP4: 02:fe:00:00:00:99 -> ff:ff:ff:ff:ff:ff UDP: 10.79.0.9 -> 10.79.0.1 UDP: 5000 -> 9 incrementing 30';
      await vpp.cli(
        `packet-generator new { name nc limit 5 node ethernet-input interface ${loop.name} size 72-72 data { ${packet} } }`,
      );
      await vpp.cli('packet-generator enable-stream nc');
    });
    await vpp.cli('packet-generator delete nc');
  });
});

const any4 = fc.constant('0.0.0.0/0');
const port = fc.tuple(fc.nat(65_535), fc.nat(65_535)).map(([a, b]) => [Math.min(a, b), Math.max(a, b)] as const);
const prefix4 = fc.oneof(
  any4,
  fc.tuple(fc.nat(255), fc.integer({ min: 1, max: 8 })).map(([n, l]) => `${n & (0xff << (8 - l))}.0.0.0/${l}`),
);
const ruleOf: fc.Arbitrary<AclRule> = fc
  .record({
    action: fc.constantFrom('permit', 'deny', 'reflect'),
    protocol: fc.constantFrom(0, 1, 6, 17, 47, 99),
    source: prefix4,
    destination: prefix4,
    a: fc.option(port),
    b: fc.option(port),
  })
  .map(({ a, b, ...rule }) => {
    const ports = rule.protocol === 6 || rule.protocol === 17;
    const limited = (range: readonly [number, number] | null) => range !== null && (range[0] > 0 || range[1] < 65_535);
    return {
      ...rule,
      ...(ports && limited(a) ? { sourcePorts: a! } : {}),
      ...(ports && limited(b) ? { destinationPorts: b! } : {}),
    };
  });

void t.test('ACL rules in text and back', async (t) => {
  fc.assert(
    fc.property(fc.array(ruleOf, { maxLength: 8 }), (rules) => {
      t.strictSame(parseAclRules(formatAclRules(rules)), rules);
    }),
    { numRuns: 100 },
  );
  t.strictSame(formatAclRules(parseAclRules(['permit any any -> any', 'deny tcp any6 -> any6'])), [
    'permit any any -> any',
    'deny tcp any6 -> any6',
  ]);
  for (const [text, why] of [
    ['allow tcp any -> any', /no action/],
    ['permit tcp any any', /"->" is missing/],
    ['permit tcp 10.0.0.0/8 -> 2001:db8::/32', /mixes/],
    ['permit icmp any -> any port 80', /no ports|not understood/],
    ['permit tcp any -> any port 80-70', /before it starts/],
    ['permit tcp any -> any port 70000', /0-65535/],
    ['permit tcp any -> any flags syn,foo', /no TCP flag/],
    ['permit tcp', /source is missing/],
    ['permit 256 any -> any', /no protocol/],
  ] as const) {
    t.match(
      await failure(Promise.resolve().then(() => parseAclRule(text))),
      { code: 'ERR_VPP_RULE', message: why },
      text,
    );
  }
  t.match(await failure(Promise.resolve().then(() => parseMacipRule('permit 02:fe any'))), { code: 'ERR_VPP_RULE' });
});

void t.test('a trace in text becomes steps', async (t) => {
  const text =
    '00:00:12:345678: pg-input\n  stream 0, 64 bytes\n    sw_if_index 1\n00:00:12:345690: ethernet-input\n  IP4: a -> b\n';
  t.strictSame(parseTrace(text), [
    { time: 12.345678, node: 'pg-input', detail: 'stream 0, 64 bytes\n  sw_if_index 1' },
    { time: 12.34569, node: 'ethernet-input', detail: 'IP4: a -> b' },
  ]);
  const fake = await standIn(t);
  const vpp = await openVpp({ socket: fake.server.path });
  t.teardown(() => vpp.close());
  const trace = await vpp.trace({ node: 'pg-input', count: 150 });
  fake.traces = Array.from({ length: 150 }, () => text);
  t.equal((await trace.wait()).length, 150, 'over several pages');
});

void t.test('a set of routes behaves as a map', async () => {
  const prefixes = fc.oneof(
    fc.tuple(fc.nat(3), fc.nat(3), fc.constantFrom(8, 16, 24, 32)).map(([a, b, l]) => `10.${a}.${b}.1/${l}`),
    fc.tuple(fc.nat(3), fc.constantFrom(32, 48, 64, 128)).map(([a, l]) => `2001:db8:${a}::1/${l}`),
  );
  const steps = fc.array(fc.tuple(fc.constantFrom('set', 'delete', 'find'), prefixes, fc.nat(9)), { maxLength: 200 });
  const bytes = new Uint8Array(16);
  fc.assert(
    fc.property(steps, (list) => {
      const sets = { 4: new FamilyRoutes(4, 1), 6: new FamilyRoutes(6, 1) };
      const model = new Map<string, number>();
      for (const [what, prefix, value] of list) {
        const scanned = scanPrefixInto(prefix, bytes);
        const set = sets[(scanned >> 8) as 4 | 6];
        const at = set.find(bytes, 0, scanned & 0xff);
        const key = at < 0 ? '' : set.prefix(at);
        if (what === 'set') {
          const where = set.set(bytes, 0, scanned & 0xff, value);
          model.set(set.prefix(where), value);
        } else if (what === 'delete') {
          if (set.delete(at) !== model.delete(key)) return false;
        } else if ((at < 0 ? -1 : set.pathSet(at)) !== (model.get(key) ?? -1)) return false;
      }
      return sets[4].size + sets[6].size === model.size;
    }),
  );
});

void t.test('many routes take some tens of bytes each', async (t) => {
  const fake = await standIn(t);
  const vpp = await openVpp({ socket: fake.server.path, requestTimeoutMs: 120_000 });
  t.teardown(() => vpp.close());
  fake.quiet = true;
  const paths = [{ type: 'drop' as const }];
  const routes = function* (): Generator<Route> {
    for (let n = 0; n < 20_000; n += 1) yield { prefix: `30.${n >> 14}.${(n >> 6) & 255}.${(n & 63) << 2}/30`, paths };
  };
  const { added, bytesHeld } = await vpp.routes.sync(0, routes());
  t.equal(added, 20_000);
  t.ok(bytesHeld / added <= 250, `${bytesHeld / added} bytes a route`);
  t.match(await vpp.routes.sync(0, routes()), { added: 0, replaced: 0, deleted: 0, unchanged: 20_000 });
});

void t.test('the examples of the public members and pages run', async (t) => {
  // Examples open the VPP that VPP_SOCKET names.
  process.env.VPP_SOCKET = (await standIn(t)).server.path;
  await testDocExamples(t, [...sourcesBelow('lib/vpp'), ...docPages]);
  if (targets.at(-1)!.skip !== false) return;
  process.env.VPP_SOCKET = (await realVpp()).apiSocket;
  await testDocExamples(t, docPages);
});

/** Runs a program of examples/; what it prints. */
function example(name: string, ...args: string[]): Promise<{ code: number | null; out: string }> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [join(root, 'build/js/examples', `${name}.js`), ...args]);
    let out = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        out += text;
      });
    }
    child.on('close', (code) => resolve({ code, out }));
  });
}

void t.test('every public function is in an example that runs, and says what it is', (t) => {
  const files = [...sourcesBelow('lib/vpp'), ...docPages];
  const code = files.flatMap((file) => docExamples(file)).map((example) => example.code);
  const examples = code.join('\n');
  const index = readFileSync(join(root, 'lib/vpp/index.ts'), 'utf8');
  let members = 0;
  for (const file of sourcesBelow('lib/vpp')) {
    const source = ts.createSourceFile(file, readFileSync(join(root, file), 'utf8'), ts.ScriptTarget.ES2022, true);
    const all = index.includes(`export * from './${file.slice('lib/vpp/'.length, -3)}.js'`);
    const check = (node: ts.Node, name: string): void => {
      const [doc = ''] = ts.getJSDocCommentsAndTags(node).map((comment) => comment.getText());
      if (/^\/\*\*\s+(\* )?For `?[A-Za-z]+/.test(doc)) return; // for other features
      members += 1;
      t.ok(new RegExp(`\\b${name}\\b`).test(examples), `${file}: no example has ${name}`);
      if (!ts.isPropertyDeclaration(node)) t.not(doc, '', `${file}: ${name} says what it is`);
    };
    for (const node of source.statements) {
      const isExported = ts.canHaveModifiers(node) && ts.getModifiers(node)?.[0]?.kind === ts.SyntaxKind.ExportKeyword;
      if (!isExported || !(ts.isClassDeclaration(node) || ts.isFunctionDeclaration(node))) continue;
      const name = node.name!.text;
      if (!all && !new RegExp(`\\b${name}\\b`).test(index)) continue;
      if (ts.isFunctionDeclaration(node)) check(node, name);
      else {
        for (const member of node.members) {
          if (member.name !== undefined && ts.isIdentifier(member.name)) check(member, member.name.text);
        }
      }
    }
  }
  t.ok(members > 150, `${members} of them`);
  t.end();
});

void t.test('the programs of examples/ that configure VPP', async (t) => {
  const file = join(folder(t), 'table.txt');
  const lines = Array.from(
    { length: 2000 },
    (_, n) => `20.${n >> 8}.${n & 255}.0/24 ${n % 2 === 0 ? 'drop' : '10.255.0.9'}`,
  );
  writeFileSync(file, `# a table\n${lines.join('\n')}\n`);
  const programs: [name: string, args: (socket: string) => string[], first: RegExp][] = [
    ['router-on-a-stick', (socket) => [socket], /vlan10 .*192\.168\.10\.1\/24[^]*vlan30/],
    ['vxlan-overlay', (socket) => [socket], /to-10\.255\.0\.2[^]*bridge domain \d+ with 3 members/],
    ['nat-gateway', (socket) => [socket], /up to \d+ sessions\nmapping web: port 80 -> 192\.168\.100\.80:8080/],
    [
      'firewall',
      (socket) => [socket],
      /from-outside\n {2}permit tcp any -> any port 22[^]*to-outside\n {2}reflect any any -> any/,
    ],
    ['sync-table', (socket) => [file, socket], /added 200[0-9], replaced 0/],
  ];
  const sockets: [string, string][] = [['stand-in', (await standIn(t)).server.path]];
  if (targets.at(-1)!.skip === false) {
    const own = await RealVpp.start({ plugins });
    t.teardown(() => own.stop());
    sockets.push(['VPP 26.06', own.apiSocket]);
  }
  for (const [target, socket] of sockets) {
    for (const [name, args, first] of programs) {
      const once = await example(name, ...args(socket));
      t.equal(once.code, 0, `${name} on the ${target}: ${once.out}`);
      t.match(once.out, first);
      t.equal((await example(name, ...args(socket))).code, 0, 'and again');
    }
  }
});
