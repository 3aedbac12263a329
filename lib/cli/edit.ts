// `node-vpp set`, `add` and `del`: the everyday changes. For everything at once there is `node-vpp config`.

import type { Command } from 'commander';
import { ArgumentTypeError } from '../errors.js';
import type { BridgeRef, InterfaceSettings, RoutePath, TableRoute, Vpp } from '../vpp/index.js';
import { wholeNumber } from './arguments.js';
import { withCommon, withVpp } from './vpp/session.js';

type Act = (vpp: Vpp, args: string[], options: Record<string, string | boolean | string[] | number>) => Promise<string>;

interface Edit {
  readonly usage: string;
  readonly description: string;
  readonly options?: readonly (readonly [flags: string, description: string])[];
  readonly act: Act;
}

const settingFlags = [
  ['--tag <name>', 'our name for it'],
  ['--address <prefix...>', 'exactly these addresses'],
  ['--mtu <bytes>', 'longest packet at layer 3'],
  ['--mac <mac>', 'MAC address'],
  ['--vrf <table>', 'VRF table'],
  ['--up', 'admin state up'],
  ['--down', 'admin state down'],
] as const;

function settings(options: Readonly<Record<string, unknown>>): InterfaceSettings {
  const number = wholeNumber(0, 0xffffffff);
  const { tag, address, mtu, mac, vrf, up, down } = options as Record<string, string>;
  return {
    ...(tag === undefined ? {} : { tag }),
    ...(address === undefined ? {} : { addresses: address as unknown as string[] }),
    ...(mtu === undefined ? {} : { mtu: number(mtu) }),
    ...(mac === undefined ? {} : { mac }),
    ...(vrf === undefined ? {} : { table: number(vrf) }),
    ...(up === undefined ? {} : { up: true }),
    ...(down === undefined ? {} : { up: false }),
  };
}

const bridgeRef = (text: string): BridgeRef => (/^\d+$/.test(text) ? Number(text) : text);

/** `10.0.0.1 tap0`, `drop`, `lookup 7`, `10.0.0.1 weight 3`: words of a path. */
export function pathOf(words: readonly string[]): RoutePath {
  const path: Record<string, unknown> = {};
  for (let at = 0; at < words.length; at += 1) {
    const word = words[at]!;
    const number = (): number => wholeNumber(0, 0xffffffff)(words[++at] ?? '');
    if (/^(drop|local|punt|receive|unreachable|prohibit)$/.test(word)) path['type'] = word;
    else if (/^(weight|preference|lookup|table)$/.test(word)) path[word] = number();
    else if (word === 'via') continue;
    else if (/^[\d.]+$|:/.test(word) && path['via'] === undefined) path['via'] = word;
    else path['interface'] = word;
  }
  return path;
}

const done = (itf: { toString(): string }): string => itf.toString();

const adds: Readonly<Record<string, Edit>> = {
  loopback: {
    usage: '',
    description: 'a loopback',
    options: [['--instance <n>', 'number in its name'], ...settingFlags],
    act: async (vpp, _, options) => {
      const instance = options['instance'];
      return done(
        await vpp.loopbacks.create({
          ...settings(options),
          ...(instance === undefined ? {} : { instance: Number(instance) }),
        }),
      );
    },
  },
  tap: {
    usage: '<hostName>',
    description: "a TAP, with the kernel's name for its other end",
    options: [['--host-address <prefix>', "address of the kernel's end"], ...settingFlags],
    act: async (vpp, [hostName], options) => {
      const hostIp4 = options['hostAddress'] as string | undefined;
      return done(
        await vpp.taps.ensure({
          hostName: hostName!,
          ...settings(options),
          ...(hostIp4 === undefined ? {} : { hostIp4 }),
        }),
      );
    },
  },
  memif: {
    usage: '<socket>',
    description: 'a memif interface',
    options: [['--id <n>', 'id on the socket'], ['--server', 'VPP listens'], ...settingFlags],
    act: async (vpp, [socket], options) =>
      done(
        await vpp.memif.ensure({
          ...settings(options),
          socket: socket!,
          id: Number(options['id'] ?? 0),
          role: options['server'] === true ? 'server' : 'client',
        }),
      ),
  },
  vlan: {
    usage: '<parent> <vlan>',
    description: 'a VLAN sub-interface',
    options: settingFlags,
    act: async (vpp, [parent, vlan], options) =>
      done(await vpp.subInterfaces.ensure(parent!, { vlan: wholeNumber(1, 4094)(vlan!), ...settings(options) })),
  },
  vxlan: {
    usage: '<source> <destination> <vni>',
    description: 'a VXLAN tunnel',
    options: settingFlags,
    act: async (vpp, [source, destination, vni], options) =>
      done(
        await vpp.vxlan.ensure({ source: source!, destination: destination!, vni: Number(vni), ...settings(options) }),
      ),
  },
  route: {
    usage: '<prefix> <path...>',
    description: 'a route: via ADDRESS [INTERFACE], INTERFACE, drop, lookup TABLE; with weight N, preference N',
    options: [['-t, --in-table <id>', 'VRF table the route is in']],
    act: async (vpp, [prefix, ...words], options) => {
      const path = pathOf(words);
      const route: TableRoute = { prefix: prefix!, paths: [path], table: Number(options['inTable'] ?? 0) };
      return (await vpp.routes.ensure(route)) ? `route ${prefix!} added` : `route ${prefix!} is there`;
    },
  },
  table: {
    usage: '<id> [name]',
    description: 'a VRF table, of both families',
    act: async (vpp, [id, name]) => {
      await vpp.tables.ensure({ id: Number(id), ...(name === undefined ? {} : { name }) });
      return `table ${id!}`;
    },
  },
  bridge: {
    usage: '<idOrTag> [members...]',
    description: 'a bridge domain, and members of it',
    act: async (vpp, [ref, ...members]) => {
      const given = bridgeRef(ref!);
      const id = await vpp.bridges.ensure(typeof given === 'number' ? { id: given } : { tag: given });
      for (const member of members) await vpp.bridges.ensureMember(id, member);
      return `bridge domain ${id}`;
    },
  },
  neighbor: {
    usage: '<interface> <ip> <mac>',
    description: 'a static neighbour',
    act: async (vpp, [itf, ip, mac]) => {
      await vpp.neighbors.ensure({ interface: itf!, ip: ip!, mac: mac! });
      return `neighbor ${ip!}`;
    },
  },
  acl: {
    usage: '<tag> <rules...>',
    description: "an ACL: rules as 'permit tcp 10.0.0.0/8 -> any port 80-443'",
    act: async (vpp, [tag, ...rules]) => `ACL ${await vpp.acls.ensure({ tag: tag!, rules })}`,
  },
};

const dels: Readonly<Record<string, Edit>> = {
  interface: {
    usage: '<name>',
    description: 'an interface, by name, tag or #index',
    act: async (vpp, [name]) => {
      const itf = await vpp.interfaces.get(/^#\d+$/.test(name!) ? Number(name!.slice(1)) : name!);
      await itf.delete();
      return `${itf.toString()} deleted`;
    },
  },
  route: {
    usage: '<prefix>',
    description: 'a route',
    options: [['-t, --in-table <id>', 'VRF table the route is in']],
    act: async (vpp, [prefix], options) => {
      await vpp.routes.delete(prefix!, { table: Number(options['inTable'] ?? 0) });
      return `route ${prefix!} deleted`;
    },
  },
  table: {
    usage: '<id>',
    description: 'a VRF table',
    act: async (vpp, [id]) => (await vpp.tables.delete(Number(id)), `table ${id!} deleted`),
  },
  bridge: {
    usage: '<idOrTag>',
    description: 'a bridge domain',
    act: async (vpp, [ref]) => (await vpp.bridges.delete(bridgeRef(ref!)), `bridge domain ${ref!} deleted`),
  },
  neighbor: {
    usage: '<interface> <ip>',
    description: 'a neighbour',
    act: async (vpp, [itf, ip]) => (await vpp.neighbors.delete(itf!, ip!), `neighbor ${ip!} deleted`),
  },
  acl: {
    usage: '<tag>',
    description: 'an ACL, wherever it is applied',
    act: async (vpp, [tag]) => (await vpp.acls.delete(tag!, { detach: true }), `ACL ${tag!} deleted`),
  },
};

const sets: Readonly<Record<string, Edit>> = {
  interface: {
    usage: '<name>',
    description: 'settings of an interface, by name, tag or #index',
    options: [
      ...settingFlags,
      ['--name <name>', "VPP's name for it"],
      ['--acl-in <tags...>', 'ACLs on input'],
      ['--acl-out <tags...>', 'ACLs on output'],
    ],
    act: async (vpp, [name], options) => {
      const itf = await vpp.interfaces.get(/^#\d+$/.test(name!) ? Number(name!.slice(1)) : name!);
      const rename = options['name'] as string | undefined;
      await vpp.interfaces.adopt(itf, { ...settings(options), ...(rename === undefined ? {} : { name: rename }) });
      const { aclIn, aclOut } = options as unknown as Record<string, string[] | undefined>;
      if (aclIn !== undefined || aclOut !== undefined) {
        const now = await vpp.acls.of(itf);
        await vpp.acls.apply(itf, { input: aclIn ?? now.input, output: aclOut ?? now.output });
      }
      return done(itf);
    },
  },
  mac: {
    usage: '<bridge> <mac> <interface>',
    description: 'a static MAC address of a bridge domain',
    act: async (vpp, [bridge, mac, itf]) => {
      await vpp.bridges.ensureMac(bridgeRef(bridge!), { mac: mac!, interface: itf! });
      return `${mac!} leads to ${itf!}`;
    },
  },
  nat: {
    usage: '<interface> <side>',
    description: 'NAT44 of an interface: inside, outside or off; the addresses of an outside one are the pool',
    act: async (vpp, [itf, side]) => {
      if (!['inside', 'outside', 'off'].includes(side!))
        throw new ArgumentTypeError('a side is inside, outside or off');
      await vpp.nat44.ensureEnabled();
      await vpp.nat44.setInside(itf!, side === 'inside');
      await vpp.nat44.setOutside(itf!, side === 'outside');
      if (side === 'outside') await vpp.nat44.addInterfacePool(itf!);
      return `${itf!} is ${side!}`;
    },
  },
};

function registerAll(program: Command, verb: string, description: string, edits: Readonly<Record<string, Edit>>): void {
  const parent = program.command(verb).description(description);
  for (const [name, { usage, description: what, options = [], act }] of Object.entries(edits)) {
    const command = withCommon(parent.command(`${name} ${usage}`.trim()).description(what));
    for (const [flags, help] of options) command.option(flags, help);
    command.action(async (...given: unknown[]) => {
      const self = given.at(-1) as Command;
      await withVpp(self, async (vpp) => {
        const args = self.args;
        console.log(await act(vpp, args, self.opts()));
      });
    });
  }
}

/** Adds `node-vpp add`, `del` and `set`. */
export function register(program: Command): void {
  registerAll(program, 'add', 'make something in a VPP', adds);
  registerAll(program, 'del', 'delete something in a VPP', dels);
  registerAll(program, 'set', 'change something in a VPP', sets);
}
