// Chapter 67: VPP as objects over what a VPP 26.06 was recorded to answer. The stand-in of chapter 65 is ours, and could be
// wrong in the same way as the objects are; what is read, compared and refused here is what a VPP has really said.

import t, { type Test } from 'tap';
import { openVpp, type HeldRoute, type Vpp } from 'node-vpp/vpp';
import { failure } from './support/api.js';
import { recordedVpp, type RecordedVpp } from './support/recorded-vpp.js';

/** A test, at whose end all that was asked must have been in the recording. */
function recording(title: string, run: (t: Test, vpp: Vpp, recorded: RecordedVpp) => Promise<void>): void {
  void t.test(title, async (t) => {
    const { vpp, recorded } = await open(t);
    await run(t, vpp, recorded);
    t.strictSame(recorded.unexpected, [], 'all that was asked is in the recording');
  });
}

async function open(t: Test): Promise<{ vpp: Vpp; recorded: RecordedVpp }> {
  const recorded = await recordedVpp(t);
  const vpp = await openVpp({ socket: recorded.server.path });
  t.teardown(() => vpp.close());
  return { vpp, recorded };
}

async function routes(vpp: Vpp, filter: Parameters<Vpp['routes']['list']>[0]): Promise<HeldRoute[]> {
  const all: HeldRoute[] = [];
  for await (const route of vpp.routes.list(filter)) all.push(route);
  return all;
}

recording('a VPP that nobody has configured', async (t, vpp, recorded) => {
  recorded.go('interfaces: initial state', 7);
  const [local0] = await vpp.interfaces.list();
  t.match(local0, { index: 0, name: 'local0', info: { deviceType: 'local', adminUp: false, mtu: { l3: 0 } } });
  t.same((await vpp.tables.list()).map(({ id, family }) => `${family} ${id}`).sort(), ['ip4 0', 'ip6 0']);
  t.same(await vpp.bridges.list(), []);
  t.same(await vpp.memif.list(), []);
  t.equal((await vpp.memif.sockets()).size, 1);
  t.same(
    (await routes(vpp, { family: 'ip4' })).map(({ prefix, paths }) => [prefix, paths]),
    ['0.0.0.0/0', '240.0.0.0/4', '224.0.0.0/4', '0.0.0.0/32', '255.255.255.255/32'].map((prefix) => [
      prefix,
      [{ type: 'drop' }],
    ]),
  );
  t.same((await routes(vpp, { family: 'ip6' })).map(({ prefix }) => prefix).sort(), ['::/0', 'fe80::/10']);
  t.same(await routes(vpp, { family: 'ip4', source: 'API' }), [], 'none of them is ours');
});

recording('a loopback, its addresses, and what is refused', async (t, vpp, recorded) => {
  const { loop0 } = recorded.go('interfaces: loopback lifecycle', 2);
  const lan = await vpp.interfaces.get(loop0!);
  t.match(lan.info, { name: 'loop0', mac: '02:fe:00:00:00:01', adminUp: false, linkMtu: 9000, kind: 'hardware' });
  await lan.setUp();
  recorded.go('interfaces: loopback lifecycle', 4);
  t.match(await lan.refresh(), { adminUp: true, linkUp: true });
  await lan.setTag('edge');
  recorded.go('interfaces: loopback lifecycle', 6);
  t.equal((await lan.refresh()).tag, 'edge');
  t.equal(await vpp.interfaces.byTag('edge'), lan);
  await lan.setMac('02:fe:00:00:00:aa');
  await lan.addAddress('10.1.0.1/24');
  await lan.addAddress('2001:db8::1/64');
  recorded.go('interfaces: loopback lifecycle', 13);
  t.same(await lan.addresses(), ['10.1.0.1/24', '2001:db8::1/64']);
  for (const prefix of ['10.1.0.1/24', '10.1.0.9/25']) {
    t.match(await failure(lan.addAddress(prefix)), {
      code: 'ERR_VPP_OBJECT_REFUSED',
      retval: -105,
      message: `interface edge (loop0): cannot add the address ${prefix}: VPP says ADDRESS_IN_USE (-105`,
    });
  }
  recorded.go('interfaces: loopback lifecycle', 16);
  const connected = (await routes(vpp, { family: 'ip4' })).filter(({ prefix }) => prefix.startsWith('10.1.0.'));
  t.same(
    Object.fromEntries(connected.map(({ prefix, paths }) => [prefix, paths])),
    {
      '10.1.0.0/24': [{ interface: loop0 }],
      '10.1.0.0/32': [{ type: 'drop' }],
      '10.1.0.1/32': [{ interface: loop0, type: 'receive' }],
      '10.1.0.255/32': [{ type: 'drop' }],
    },
    'what VPP makes of an address',
  );
  t.match(await failure(lan.deleteAddress('10.9.9.9/24')), { retval: -60, object: 'interface edge (loop0)' });
  await lan.setMtu(1500);
  recorded.go('interfaces: loopback lifecycle', 21);
  t.match((await lan.refresh()).mtu, { l3: 1500, ip4: 0 });
  recorded.go('interfaces: loopback lifecycle', 23);
  t.match(await failure(lan.setUp()), {
    code: 'ERR_VPP_OBJECT_GONE',
    message: 'interface edge (loop0): cannot set it up: the interface is gone (VPP no longer knows its index)',
  });
  t.equal(lan.gone, true);
  recorded.go('interfaces: loopback lifecycle', 27);
  t.match(await failure(vpp.loopbacks.create({ instance: 7 })), { object: 'loopback 7', retval: -31 });
});

recording('memif', async (t, vpp, recorded) => {
  const { sid } = recorded.go('memif: sockets and interfaces', 13);
  t.match(await vpp.memif.list(), [
    { interface: { index: 1 }, socket: '/run/vpp/memif-conf-b.sock', id: 1, role: 'server', mode: 'ethernet' },
    { interface: { index: 2 }, socket: '/run/vpp/memif-conf-a.sock', socketId: sid, id: 5, role: 'server', mode: 'ip' },
  ]);
  t.match(await vpp.memif.list(), [
    { connected: false, zeroCopy: false, ringSize: undefined, bufferSize: undefined },
    {},
  ]);
  const socket = '/run/vpp/memif-conf-b.sock';
  const taken = { socket, role: 'server', zeroCopy: false, mac: '02:fe:22:22:22:22' } as const;
  recorded.go('memif: sockets and interfaces', 4);
  t.match(await failure(vpp.memif.create({ ...taken, id: 2, role: 'client' })), {
    object: `memif ${socket} id 2`,
    retval: -68,
  });
  t.match(await failure(vpp.memif.create({ ...taken, id: 1 })), { object: `memif ${socket} id 1`, retval: -68 });
  t.match(await failure(vpp.memif.create({ ...taken, id: 3, ringSize: 1000 })), { retval: -73 });
});

recording('bridge domains and cross-connects', async (t, vpp, recorded) => {
  const { la, lb } = recorded.go('l2: bridge domains', 2);
  const lan = { id: 10, tag: 'lan' };
  t.equal(await vpp.bridges.create(lan), 10);
  t.match(await failure(vpp.bridges.create(lan)), { object: 'bridge domain lan', retval: -119 });
  recorded.go('l2: bridge domains', 9);
  t.match(await vpp.bridges.get(10), {
    ...{ id: 10, tag: 'lan', flood: true, learn: true, arpTermination: false, macAgeMinutes: 0 },
    members: [
      { interfaceIndex: lb, bvi: true },
      { interfaceIndex: la, bvi: false },
    ],
  });
  recorded.go('l2: bridge domains', 10);
  const all = await vpp.bridges.list();
  t.same(all.map(({ id }) => id).length, 2);
  t.match(
    all.find(({ id }) => id !== 10),
    { tag: '', unknownUnicastFlood: false, learn: false, arpTermination: true, macAgeMinutes: 5 },
  );
  recorded.go('l2: bridge domains', 14);
  t.same(
    (await vpp.bridges.macs(10)).map(({ mac, interfaceIndex, drop }) => [mac, interfaceIndex, drop]),
    [
      ['02:fe:00:00:01:02', lb, false],
      ['aa:bb:cc:00:00:02', undefined, true],
      ['aa:bb:cc:00:00:01', la, false],
    ],
  );
  const { xa, xb } = recorded.go('l2: cross-connect', 5);
  t.same(
    (await vpp.crossConnects.list()).map(({ rxIndex, txIndex }) => [rxIndex, txIndex]).sort(),
    [
      [xa, xb],
      [xb, xa],
    ].sort(),
  );
});

recording('tables, routes and neighbours', async (t, vpp, recorded) => {
  const name = 'ip: tables, routes, neighbours';
  const { ra, rb } = recorded.go(name, 9);
  t.same(
    (await vpp.tables.list()).filter(({ id }) => id === 7).map(({ family, name: label }) => [family, label]),
    [
      ['ip4', 'red'],
      ['ip6', 'red6'],
    ],
  );
  recorded.go(name, 20);
  const held = await routes(vpp, { family: 'ip4', source: 'API' });
  t.same(
    Object.fromEntries(held.map(({ prefix, paths }) => [prefix, paths])),
    {
      '0.0.0.0/0': [{ via: '192.168.1.254', interface: ra }],
      '10.20.0.0/16': [{ via: '192.168.1.9' }],
      '10.30.0.0/16': [{ type: 'drop' }],
      '10.10.0.0/16': [
        { via: '192.168.1.2', interface: ra },
        { via: '192.168.2.2', interface: rb, weight: 3 },
      ],
    },
    'what was asked for is what is read',
  );
  // What people write and what VPP gives back for it are the same: nothing is sent, by `sync` or by `ensure`.
  const wanted = held.map(({ prefix, paths }) => ({ prefix, paths }));
  t.match(await vpp.routes.sync(0, wanted, { family: 'ip4' }), { unchanged: 4, added: 0, replaced: 0, deleted: 0 });
  const others = wanted.map((route) => ({ ...route, paths: [...route.paths].reverse() }));
  t.match(await vpp.routes.sync(0, others, { family: 'ip4', dryRun: true }), { unchanged: 4 }, 'in any order');
  const one = [{ prefix: '10.10.0.0/16', paths: [{ via: '192.168.1.2', interface: ra! }] }];
  t.match(await vpp.routes.sync(0, one, { family: 'ip4', dryRun: true }), { replaced: 1, deleted: 3, unchanged: 0 });
  recorded.go(name, 17);
  t.match(await vpp.routes.lookup('10.10.3.4'), { prefix: '10.10.0.0/16', table: 0, source: 8 });
  t.equal(await vpp.routes.get('10.10.3.4/32'), undefined, 'no route of exactly this prefix');
  for (const at of [15, 16]) {
    recorded.go(name, at);
    const { fields, reply } = recorded.next;
    const { route } = fields as { route: { table_id: number; paths: { sw_if_index: unknown; nh: unknown }[] } };
    const [path] = route.paths;
    const prefix = at === 15 ? '10.40.0.0/16' : '10.50.0.0/16';
    const itf = path!.sw_if_index === '$ra' ? ra! : (path!.sw_if_index as number);
    t.match(await failure(vpp.routes.add({ prefix, table: route.table_id, via: viaOf(path!.nh), interface: itf })), {
      object: `route ${prefix} in table ${route.table_id}`,
      retval: reply!.retval,
    });
  }
  recorded.go(name, 22);
  t.match(await vpp.neighbors.list({ family: 'ip4' }), [
    { interfaceIndex: ra, ip: '192.168.1.2', mac: 'aa:aa:aa:00:00:02', isStatic: true },
  ]);
  const { ta } = recorded.go('ip: interface in a table', 3);
  recorded.go('ip: interface in a table', 8);
  t.match(
    (await routes(vpp, { family: 'ip4', table: 12 })).map(({ prefix }) => prefix).sort(),
    ['0.0.0.0/0', '0.0.0.0/32', '224.0.0.0/4', '240.0.0.0/4', '255.255.255.255/32'].sort(),
  );
  t.type(ta, 'number');
});

/** The next hop of a recorded path. */
function viaOf(nh: unknown): string | undefined {
  const { ip4 } = (nh as { address: { ip4?: string } }).address;
  if (!ip4?.startsWith('0x')) return ip4;
  const text = [...Buffer.from(ip4.slice(2), 'hex')].join('.');
  return text === '0.0.0.0' ? undefined : text;
}

recording('ACLs and sub-interfaces', async (t, vpp, recorded) => {
  const { aa } = recorded.go('acl: rules and interfaces', 5);
  t.match(await vpp.acls.list(), [
    { index: 0, tag: 'web', text: ['permit tcp 10.0.0.0/8 -> any port 80-443', 'deny any any4 -> any4'] },
  ]);
  t.same(await vpp.acls.applied(), new Map([[aa, { input: [0], output: [] }]]));
  recorded.go('acl: rules and interfaces', 6);
  t.match(await failure(vpp.acls.delete(0)), { code: 'ERR_VPP_OBJECT_REFUSED', retval: -142 });
  const { va, v100 } = recorded.go('vlan: sub-interfaces', 6);
  const vlan = await vpp.interfaces.get(v100!);
  t.match(vlan.info, { name: 'loop0.100', kind: 'sub-interface', sub: { id: 100, parentIndex: va, vlans: [100] } });
  t.match(vlan.info.sub, { exactMatch: true, dot1ad: false, isDefault: false });
  await vlan.setTagRewrite({ op: 'pop-1' });
  await vlan.delete();
  t.equal(vlan.gone, true);
});
