// `node-vpp show THING`: what a VPP has, as tables for people or one JSON object a line.

import type { Command } from 'commander';
import type { HeldPath, Vpp } from '../vpp/index.js';
import { printRows, withCommon, withVpp, type Row } from './vpp/session.js';

/** Names of interfaces by index. */
async function namesOf(vpp: Vpp): Promise<(index: number | undefined) => string> {
  const names = new Map((await vpp.interfaces.list()).map((itf) => [itf.index, itf.tag || itf.name]));
  return (index) => (index === undefined ? '' : (names.get(index) ?? `#${index}`));
}

function pathText(path: HeldPath, name: (index: number | undefined) => string): string {
  const parts = [path.type ?? '', path.lookup === undefined ? '' : `lookup in ${path.lookup}`, path.via ?? ''];
  if (path.interface !== undefined) parts.push(name(path.interface));
  if (path.table !== undefined) parts.push(`table ${path.table}`);
  if (path.weight !== undefined) parts.push(`weight ${path.weight}`);
  if (path.preference !== undefined) parts.push(`preference ${path.preference}`);
  return parts.filter((part) => part !== '').join(' ');
}

interface ShowOptions {
  table?: string;
  family?: 'ip4' | 'ip6';
}

type Show = (vpp: Vpp, options: ShowOptions) => Promise<Row[]>;

const things: Readonly<Record<string, readonly [description: string, show: Show]>> = {
  interfaces: [
    'interfaces, their state and addresses',
    async (vpp) => {
      const rows: Row[] = [];
      for (const itf of await vpp.interfaces.list()) {
        const { index, name, tag, deviceType, adminUp, linkUp, mac, mtu } = itf.info;
        const addresses = await itf.addresses();
        rows.push({
          index,
          name,
          tag,
          type: deviceType,
          admin: adminUp ? 'up' : 'down',
          link: linkUp ? 'up' : 'down',
          mac,
          mtu: mtu.l3,
          addresses,
        });
      }
      return rows;
    },
  ],
  routes: [
    'routes of a table',
    async (vpp, { table = '0', family }) => {
      const name = await namesOf(vpp);
      const sources = new Map([...(await vpp.routes.sources())].map(([source, number]) => [number, source]));
      const rows: Row[] = [];
      for await (const route of vpp.routes.list({
        table: Number(table),
        ...(family === undefined ? {} : { family }),
      })) {
        const paths = route.paths.map((path) => pathText(path, name));
        rows.push({ prefix: route.prefix, paths, source: sources.get(route.source) ?? route.source });
      }
      return rows;
    },
  ],
  tables: ['VRF tables', async (vpp) => (await vpp.tables.list()).map((table) => ({ ...table }))],
  bridges: [
    'bridge domains and their members',
    async (vpp) => {
      const name = await namesOf(vpp);
      return (await vpp.bridges.list()).map(({ members, ...bridge }) => ({
        ...bridge,
        members: members.map((one) => `${name(one.interfaceIndex)}${one.bvi ? ' (bvi)' : ''}`),
      }));
    },
  ],
  macs: [
    'MAC addresses of bridge domains',
    async (vpp) => {
      const name = await namesOf(vpp);
      return (await vpp.bridges.macs()).map(({ interfaceIndex, ...row }) => ({
        ...row,
        interface: name(interfaceIndex),
      }));
    },
  ],
  acl: [
    'ACLs, their rules, and where they are applied',
    async (vpp) => {
      const name = await namesOf(vpp);
      const applied = [...(await vpp.acls.applied())];
      return (await vpp.acls.list()).map(({ index, tag, text: rules }) => ({
        index,
        tag,
        rules,
        input: applied.filter(([, { input }]) => input.includes(index)).map(([on]) => name(on)),
        output: applied.filter(([, { output }]) => output.includes(index)).map(([on]) => name(on)),
      }));
    },
  ],
  macip: [
    'MACIP ACLs',
    async (vpp) => (await vpp.macip.list()).map(({ index, tag, text: rules }) => ({ index, tag, rules })),
  ],
  nat: [
    'NAT44: interfaces, pools and mappings',
    async (vpp) => {
      const name = await namesOf(vpp);
      const { enabled, sessions, forwarding } = await vpp.nat44.config();
      const rows: Row[] = [
        { what: 'nat44', value: enabled ? 'enabled' : 'disabled', detail: { sessions, forwarding } },
      ];
      for (const { interfaceIndex, inside, outside, output } of await vpp.nat44.interfaces()) {
        const sides = [inside ? 'inside' : '', outside ? 'outside' : '', output ? 'output' : ''].filter(
          (side) => side !== '',
        );
        rows.push({ what: 'interface', value: name(interfaceIndex), detail: sides });
      }
      for (const { first, last, twice } of await vpp.nat44.pools()) {
        rows.push({ what: 'pool', value: first === last ? first : `${first}-${last}`, detail: twice ? 'twice' : '' });
      }
      for (const {
        external,
        externalInterface,
        externalPort,
        local,
        localPort,
        protocol,
        tag,
      } of await vpp.nat44.mappings()) {
        const outside = external ?? name(externalInterface as number);
        const port = (number: number | undefined) => (number === undefined ? '' : `:${number}`);
        const detail = `${outside}${port(externalPort)} -> ${local}${port(localPort)} ${protocol ?? ''}`.trim();
        rows.push({ what: 'mapping', value: tag ?? '', detail });
      }
      return rows;
    },
  ],
  sessions: ['sessions of NAT44', async (vpp) => (await vpp.nat44.sessions()).map((session) => ({ ...session }))],
  neighbors: [
    'neighbours (ARP, ND)',
    async (vpp, { family }) => {
      const name = await namesOf(vpp);
      const all = await vpp.neighbors.list(family === undefined ? {} : { family });
      return all.map(({ interfaceIndex, ip, mac, isStatic, ageSeconds }) => ({
        interface: name(interfaceIndex),
        ip,
        mac,
        static: isStatic,
        age: Number(ageSeconds.toFixed(1)),
      }));
    },
  ],
  memif: [
    'memif interfaces and their sockets',
    async (vpp) =>
      (await vpp.memif.list()).map(({ interface: itf, ...row }) => ({ name: itf.name, tag: itf.tag, ...row })),
  ],
  taps: [
    'TAP interfaces',
    async (vpp) => (await vpp.taps.list()).map(({ interface: itf, ...row }) => ({ name: itf.name, ...row })),
  ],
  tunnels: [
    'VXLAN, GENEVE, GRE and IPIP tunnels',
    async (vpp) => {
      const rows: Row[] = [];
      for (const [type, list] of [
        ['vxlan', vpp.vxlan],
        ['geneve', vpp.geneve],
        ['gre', vpp.gre],
        ['ipip', vpp.ipip],
      ] as const) {
        const found = await list.list().catch((error: unknown) => {
          // A kind whose plugin is not loaded has no tunnels.
          if ((error as { code?: string }).code === 'ERR_VPP_FEATURE_MISSING') return [];
          throw error;
        });
        for (const one of found) {
          const { interface: itf, source, destination } = one;
          rows.push({ name: itf.name, tag: itf.tag, type, source, destination, vni: 'vni' in one ? one.vni : '' });
        }
      }
      return rows;
    },
  ],
  bonds: [
    'bonds',
    async (vpp) => (await vpp.bonds.list()).map(({ interface: itf, ...row }) => ({ name: itf.name, ...row })),
  ],
};

/** Adds `node-vpp show`. */
export function register(program: Command): void {
  const show = program.command('show').description('what a VPP has: interfaces, routes, bridges, acl, nat, …');
  for (const [name, [description, rows]] of Object.entries(things)) {
    const command = withCommon(show.command(name).description(description));
    if (name === 'routes') command.option('-t, --table <id>', 'VRF table', '0');
    if (name === 'routes' || name === 'neighbors') command.option('-f, --family <ip4|ip6>', 'only this family');
    command.action(async (options: ShowOptions, self: Command) => {
      await withVpp(self, async (vpp, { json }) => printRows(await rows(vpp, options), json));
    });
  }
}
