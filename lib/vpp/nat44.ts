// NAT44, endpoint dependent (VPP's nat44-ed).
//
//   vppctl: nat44 plugin enable sessions 65536                   vpp.nat44.enable({ sessions: 65536 })
//           set interface nat44 in tap0 out eth0                 vpp.nat44.setInside('tap0'); vpp.nat44.setOutside('eth0')
//           nat44 add interface address eth0                     vpp.nat44.addInterfacePool('eth0')
//           nat44 add address 198.51.100.1 - 198.51.100.9        vpp.nat44.addPool({ first: '198.51.100.1', last: '198.51.100.9' })
//           nat44 add static mapping tcp local … external …      vpp.nat44.addMapping({ … })
//           show nat44 sessions                                  vpp.nat44.sessions()

import { ipv4FromNumber, ipv4ToNumber } from '../net/index.js';
import { ArgumentTypeError, VppObjectError } from '../errors.js';
import { NO_INDEX, type Core } from './core.js';
import type { InterfaceRef, Interfaces } from './interfaces.js';

/** How NAT44 is switched on. */
export interface Nat44Options {
  /** Sessions a worker can have; default VPP's (63 × 1024). */
  sessions?: number;
  /** VRF tables, default 0. */
  insideTable?: number;
  outsideTable?: number;
}

/** Seconds of silence after which a session ends. */
export interface Nat44Timeouts {
  udp: number;
  tcpEstablished: number;
  tcpTransitory: number;
  icmp: number;
}

/** What NAT44 is set to. */
export interface Nat44Config {
  readonly enabled: boolean;
  readonly sessions: number;
  readonly insideTable: number;
  readonly outsideTable: number;
  /** What no session and no mapping fits is forwarded, not dropped. */
  readonly forwarding: boolean;
  readonly timeouts: Readonly<Nat44Timeouts>;
}

/** Addresses that sessions are given. */
export interface Nat44Pool {
  readonly first: string;
  readonly last?: string;
  /** VRF table; default all. */
  readonly table?: number;
  /** For the other end of twice NAT. */
  readonly twice?: boolean;
}

/** `tcp`, `udp`, `icmp`, or a number. */
export type NatProtocol = 'tcp' | 'udp' | 'icmp' | number;

/** A static mapping: outside address and port to an inside one. */
export interface Nat44Mapping {
  /** Our name for it. */
  readonly tag?: string;
  readonly local: string;
  /** The outside address; or `externalInterface`, whose first address is taken. */
  readonly external?: string;
  readonly externalInterface?: InterfaceRef;
  /** Left out, with the ports: all of the address (one to one). */
  readonly protocol?: NatProtocol;
  readonly localPort?: number;
  readonly externalPort?: number;
  /** VRF table of the inside, default 0. */
  readonly table?: number;
  /** The other end's address is changed too: always, or for a host that talks to itself. */
  readonly twice?: 'always' | 'self';
  /** Only sessions that begin outside. */
  readonly outToInOnly?: boolean;
  /** With `twice`: the pool's address to take. */
  readonly poolAddress?: string;
}

/** One of several inside ends. */
export interface Nat44Backend {
  readonly address: string;
  readonly port: number;
  /** Its share of the sessions, 1 … 255; default 1. */
  readonly weight?: number;
  readonly table?: number;
}

/** A load-balanced mapping. */
export interface Nat44Balancer {
  readonly tag?: string;
  readonly external: string;
  readonly port: number;
  readonly protocol: NatProtocol;
  readonly backends: readonly Nat44Backend[];
  readonly twice?: 'always' | 'self';
  readonly outToInOnly?: boolean;
  /** Seconds for which a client goes to the backend it had. */
  readonly affinitySeconds?: number;
}

/** A mapping to itself: it is not translated. */
export interface Nat44Identity {
  readonly tag?: string;
  readonly address?: string;
  readonly interface?: InterfaceRef;
  readonly protocol?: NatProtocol;
  readonly port?: number;
  readonly table?: number;
}

/** A session. */
export interface Nat44Session {
  readonly inside: { readonly address: string; readonly port: number };
  readonly outside: { readonly address: string; readonly port: number };
  /** The other end, and what it is seen as from inside when it is translated too. */
  readonly peer: { readonly address: string; readonly port: number };
  readonly peerTranslated: { readonly address: string; readonly port: number };
  readonly protocol: number;
  readonly isStatic: boolean;
  readonly twice: boolean;
  readonly bytes: bigint;
  readonly packets: number;
  readonly timedOut: boolean;
}

/** An inside host with sessions. */
export interface Nat44User {
  readonly address: string;
  readonly table: number;
  readonly sessions: number;
  readonly staticSessions: number;
}

/** On which side an interface is. */
export interface Nat44Interface {
  readonly interfaceIndex: number;
  readonly inside: boolean;
  readonly outside: boolean;
  /** Translated after routing (`output-feature`). */
  readonly output: boolean;
}

const Flag = {
  twice: 1,
  selfTwice: 2,
  outToInOnly: 4,
  addressOnly: 8,
  outside: 16,
  inside: 32,
  isStatic: 64,
  peer: 128,
};
const protocols: Readonly<Record<string, number>> = { tcp: 6, udp: 17, icmp: 1 };
const ANY = '0.0.0.0';
const FEATURE_ALREADY_ENABLED = -170;
const FEATURE_ALREADY_DISABLED = -169;
const NAT = 'nat44';

function protocolNumber(protocol: NatProtocol): number {
  const number = typeof protocol === 'number' ? protocol : protocols[protocol];
  if (number === undefined) throw new ArgumentTypeError(`nat44: ${String(protocol)} is no protocol (tcp, udp, icmp)`);
  return number;
}

function protocolName(number: number): NatProtocol {
  return (Object.keys(protocols).find((name) => protocols[name] === number) as 'tcp' | undefined) ?? number;
}

const twiceFlags = (twice: 'always' | 'self' | undefined): number =>
  twice === 'always' ? Flag.twice : twice === 'self' ? Flag.selfTwice : 0;

const twiceOf = (flags: number): { twice?: 'always' | 'self' } =>
  (flags & Flag.twice) !== 0 ? { twice: 'always' } : (flags & Flag.selfTwice) !== 0 ? { twice: 'self' } : {};

/** `vpp.nat44` */
export class Nat44 {
  readonly #core: Core;
  readonly #interfaces: Interfaces;

  constructor(core: Core, interfaces: Interfaces) {
    this.#core = core;
    this.#interfaces = interfaces;
  }

  /** Switches NAT44 on. */
  async enable(options: Nat44Options = {}): Promise<void> {
    const { sessions = 0, insideTable = 0, outsideTable = 0 } = options;
    const fields = {
      inside_vrf: insideTable,
      outside_vrf: outsideTable,
      sessions,
      session_memory: 0,
      enable: true,
      flags: 0,
    };
    await this.#core.request('nat44_ed_plugin_enable_disable', fields, NAT, 'enable it');
  }

  /** Switches NAT44 on unless it is; true when something was to do. */
  async ensureEnabled(options: Nat44Options = {}): Promise<boolean> {
    const now = await this.config();
    if (!now.enabled) {
      try {
        await this.enable(options);
        return true;
      } catch (error) {
        if (!(error instanceof VppObjectError && error.retval === FEATURE_ALREADY_ENABLED)) throw error;
      }
    }
    const wanted: [keyof Nat44Options, number | undefined][] = [
      ['sessions', options.sessions],
      ['insideTable', options.insideTable],
      ['outsideTable', options.outsideTable],
    ];
    const differing = wanted.find(([name, value]) => value !== undefined && now[name] !== value);
    if (differing === undefined) return false;
    const [name, value] = differing;
    const problem = `it is enabled with ${name} ${now[name]}, not ${value!}; disable it first (sessions end then)`;
    throw new VppObjectError('ERR_VPP_OBJECT_DIFFERS', NAT, problem);
  }

  /** Switches NAT44 off, and forgets everything. */
  async disable(): Promise<void> {
    const fields = { inside_vrf: 0, outside_vrf: 0, sessions: 0, session_memory: 0, enable: false, flags: 0 };
    try {
      await this.#core.request('nat44_ed_plugin_enable_disable', fields, NAT, 'disable it');
    } catch (error) {
      if (!(error instanceof VppObjectError && error.retval === FEATURE_ALREADY_DISABLED)) throw error;
    }
  }

  async config(): Promise<Nat44Config> {
    const reply = await this.#core.request('nat44_show_running_config', {}, NAT, 'get its settings');
    const { timeouts } = reply;
    return {
      enabled: reply.sessions > 0,
      sessions: reply.sessions,
      insideTable: reply.inside_vrf,
      outsideTable: reply.outside_vrf,
      forwarding: reply.forwarding_enabled,
      timeouts: {
        udp: timeouts.udp,
        tcpEstablished: timeouts.tcp_established,
        tcpTransitory: timeouts.tcp_transitory,
        icmp: timeouts.icmp,
      },
    };
  }

  async setForwarding(enable: boolean): Promise<void> {
    await this.#core.request('nat44_forwarding_enable_disable', { enable }, NAT, 'change forwarding');
  }

  async setTimeouts(timeouts: Partial<Nat44Timeouts>): Promise<void> {
    const { udp, tcpEstablished, tcpTransitory, icmp } = { ...(await this.config()).timeouts, ...timeouts };
    const fields = { udp, tcp_established: tcpEstablished, tcp_transitory: tcpTransitory, icmp };
    await this.#core.request('nat_set_timeouts', fields, NAT, 'set its timeouts');
  }

  /** Every interface that is translated. */
  async interfaces(): Promise<Nat44Interface[]> {
    const rows = await this.#core.rows('nat44_interface_dump', {}, NAT);
    const outputs = this.#core.has('nat44_ed_output_interface_get')
      ? await this.#core.rows('nat44_ed_output_interface_get', {}, NAT)
      : [];
    const all = new Map<number, Nat44Interface>();
    for (const { sw_if_index: index, flags } of rows) {
      const inside = (flags & Flag.inside) !== 0;
      const outside = (flags & Flag.outside) !== 0;
      all.set(index, { interfaceIndex: index, inside, outside, output: false });
    }
    for (const { sw_if_index: index } of outputs) {
      const held = all.get(index) ?? { interfaceIndex: index, inside: false, outside: false };
      all.set(index, { ...held, output: true });
    }
    return [...all.values()];
  }

  /** Hosts behind this interface are translated. */
  async setInside(itf: InterfaceRef, on = true): Promise<boolean> {
    return this.#side(itf, 'inside', on);
  }

  /** To the world. */
  async setOutside(itf: InterfaceRef, on = true): Promise<boolean> {
    return this.#side(itf, 'outside', on);
  }

  async #side(itf: InterfaceRef, side: 'inside' | 'outside', on: boolean): Promise<boolean> {
    const handle = await this.#interfaces.get(itf);
    const held = (await this.interfaces()).find(({ interfaceIndex }) => interfaceIndex === handle.index);
    if ((held?.[side] ?? false) === on) return false;
    const fields = { is_add: on, flags: side === 'inside' ? Flag.inside : Flag.outside };
    await handle.request(
      'nat44_interface_add_del_feature',
      fields,
      `${on ? 'make' : 'unmake'} it the ${side} of NAT44`,
    );
    return true;
  }

  /** Translates what leaves an interface after routing (`output-feature`). */
  async setOutput(itf: InterfaceRef, on = true): Promise<boolean> {
    const handle = await this.#interfaces.get(itf);
    const held = (await this.interfaces()).find(({ interfaceIndex }) => interfaceIndex === handle.index);
    if ((held?.output ?? false) === on) return false;
    await handle.request('nat44_ed_add_del_output_interface', { is_add: on }, 'change NAT44 on its output');
    return true;
  }

  /** Single addresses; neighbouring ones are one pool. */
  async pools(): Promise<Required<Nat44Pool>[]> {
    const rows = await this.#core.rows('nat44_address_dump', {}, NAT);
    const pools: { first: string; last: string; table: number; twice: boolean }[] = [];
    const sorted = rows
      .map((row) => ({ ...row, twice: (row.flags & Flag.twice) !== 0, at: ipv4ToNumber(row.ip_address) }))
      .sort((a, b) => Number(a.twice) - Number(b.twice) || a.vrf_id - b.vrf_id || a.at - b.at);
    for (const { ip_address: address, at, vrf_id: table, twice } of sorted) {
      const last = pools.at(-1);
      if (last?.table === table && last.twice === twice && ipv4ToNumber(last.last) + 1 === at) last.last = address;
      else pools.push({ first: address, last: address, table, twice });
    }
    return pools;
  }

  async addPool(pool: Nat44Pool): Promise<void> {
    await this.#pool(pool, true);
  }

  /** Adds the addresses of a pool that are not in it yet; true when there were any. */
  async ensurePool(pool: Nat44Pool): Promise<boolean> {
    const rows = await this.#core.rows('nat44_address_dump', {}, NAT);
    const { first, last = first, table = NO_INDEX, twice = false } = pool;
    const held = new Set(
      rows
        .filter(({ flags, vrf_id: id }) => ((flags & Flag.twice) !== 0) === twice && id === table)
        .map(({ ip_address: address }) => address),
    );
    let added = false;
    for (let at = ipv4ToNumber(first); at <= ipv4ToNumber(last); at += 1) {
      const address = ipv4FromNumber(at);
      if (held.has(address)) continue;
      await this.#pool({ first: address, table, twice }, true);
      added = true;
    }
    return added;
  }

  async deletePool(pool: Nat44Pool): Promise<void> {
    await this.#pool(pool, false);
  }

  async #pool(pool: Nat44Pool, isAdd: boolean): Promise<void> {
    const { first, last = first, table = NO_INDEX, twice = false } = pool;
    const fields = {
      first_ip_address: first,
      last_ip_address: last,
      vrf_id: table,
      is_add: isAdd,
      flags: twice ? Flag.twice : 0,
    };
    const object = `nat44 pool ${first}${last === first ? '' : `-${last}`}`;
    await this.#core.request('nat44_add_del_address_range', fields, object, isAdd ? 'add it' : 'delete it');
  }

  /** The addresses of an interface are a pool, also those it gets later. */
  async addInterfacePool(itf: InterfaceRef, options: { twice?: boolean } = {}): Promise<boolean> {
    const handle = await this.#interfaces.get(itf);
    const held = await this.interfacePools();
    const twice = options.twice ?? false;
    if (held.some((pool) => pool.interfaceIndex === handle.index && pool.twice === twice)) return false;
    const fields = { is_add: true, flags: twice ? Flag.twice : 0 };
    await handle.request('nat44_add_del_interface_addr', fields, 'make its addresses a NAT44 pool');
    return true;
  }

  async deleteInterfacePool(itf: InterfaceRef, options: { twice?: boolean } = {}): Promise<void> {
    const handle = await this.#interfaces.get(itf);
    const fields = { is_add: false, flags: options.twice === true ? Flag.twice : 0 };
    await handle.request('nat44_add_del_interface_addr', fields, 'stop taking its addresses for NAT44');
  }

  async interfacePools(): Promise<{ interfaceIndex: number; twice: boolean }[]> {
    const rows = await this.#core.rows('nat44_interface_addr_dump', {}, NAT);
    return rows.map(({ sw_if_index: index, flags }) => ({
      interfaceIndex: index,
      twice: (flags & Flag.twice) !== 0,
    }));
  }

  /** Static mappings; not the load-balanced ones. */
  async mappings(): Promise<(Nat44Mapping & { readonly table: number })[]> {
    const rows = await this.#core.rows('nat44_static_mapping_dump', {}, NAT);
    return rows.map((row) => {
      const flags: number = row.flags;
      const whole = (flags & Flag.addressOnly) !== 0;
      return {
        ...(row.tag === '' ? {} : { tag: row.tag }),
        local: row.local_ip_address,
        ...(row.external_sw_if_index === NO_INDEX
          ? { external: row.external_ip_address }
          : { externalInterface: row.external_sw_if_index }),
        ...(whole
          ? {}
          : { protocol: protocolName(row.protocol), localPort: row.local_port, externalPort: row.external_port }),
        table: row.vrf_id,
        ...twiceOf(flags),
        ...((flags & Flag.outToInOnly) !== 0 ? { outToInOnly: true } : {}),
      };
    });
  }

  async addMapping(mapping: Nat44Mapping): Promise<void> {
    await this.#mapping(mapping, true);
  }

  /** The mapping of this outside end leads there; true when something was to do. */
  async ensureMapping(mapping: Nat44Mapping): Promise<boolean> {
    const over =
      mapping.externalInterface === undefined
        ? undefined
        : (await this.#interfaces.get(mapping.externalInterface)).index;
    const held = (await this.mappings()).find(
      (one) =>
        one.external === (over === undefined ? mapping.external : undefined) &&
        one.externalInterface === over &&
        one.externalPort === mapping.externalPort &&
        (one.protocol ?? 'all') === (mapping.protocol ?? 'all'),
    );
    const same =
      held?.local === mapping.local &&
      held.localPort === mapping.localPort &&
      held.table === (mapping.table ?? 0) &&
      held.twice === mapping.twice &&
      (held.outToInOnly ?? false) === (mapping.outToInOnly ?? false) &&
      (held.tag ?? '') === (mapping.tag ?? '');
    if (same) return false;
    if (held !== undefined) await this.#mapping(held, false);
    await this.#mapping(mapping, true);
    return true;
  }

  async deleteMapping(mapping: Nat44Mapping): Promise<void> {
    await this.#mapping(mapping, false);
  }

  async #mapping(mapping: Nat44Mapping, isAdd: boolean): Promise<void> {
    const { tag = '', local, external = ANY, externalInterface, protocol, localPort = 0, externalPort = 0 } = mapping;
    const { table = 0, twice, outToInOnly = false, poolAddress } = mapping;
    if ((mapping.external === undefined) === (externalInterface === undefined)) {
      throw new ArgumentTypeError('a NAT44 mapping has either external or externalInterface');
    }
    const over = externalInterface === undefined ? undefined : await this.#interfaces.get(externalInterface);
    const flags =
      twiceFlags(twice) | (outToInOnly ? Flag.outToInOnly : 0) | (protocol === undefined ? Flag.addressOnly : 0);
    const fields = {
      is_add: isAdd,
      flags,
      local_ip_address: local,
      external_ip_address: external,
      protocol: protocol === undefined ? 0 : protocolNumber(protocol),
      local_port: localPort,
      external_port: externalPort,
      external_sw_if_index: over?.index ?? NO_INDEX,
      vrf_id: table,
      tag,
    };
    const object = `nat44 mapping ${tag || `${over?.name ?? external}${externalPort === 0 ? '' : `:${externalPort}`}`}`;
    const doing = isAdd ? 'add it' : 'delete it';
    if (
      this.#core.newest('nat44_add_del_static_mapping_v2', 'nat44_add_del_static_mapping') ===
      'nat44_add_del_static_mapping_v2'
    ) {
      const v2 = { ...fields, match_pool: poolAddress !== undefined, pool_ip_address: poolAddress ?? ANY };
      await this.#core.request('nat44_add_del_static_mapping_v2', v2, object, doing);
    } else await this.#core.request('nat44_add_del_static_mapping', fields, object, doing);
  }

  async identities(): Promise<(Nat44Identity & { readonly table: number })[]> {
    const rows = await this.#core.rows('nat44_identity_mapping_dump', {}, NAT);
    return rows.map((row) => ({
      ...(row.tag === '' ? {} : { tag: row.tag }),
      ...(row.sw_if_index === NO_INDEX ? { address: row.ip_address } : { interface: row.sw_if_index }),
      ...((row.flags & Flag.addressOnly) !== 0 ? {} : { protocol: protocolName(row.protocol), port: row.port }),
      table: row.vrf_id,
    }));
  }

  async addIdentity(identity: Nat44Identity): Promise<void> {
    await this.#identity(identity, true);
  }

  async deleteIdentity(identity: Nat44Identity): Promise<void> {
    await this.#identity(identity, false);
  }

  async #identity(identity: Nat44Identity, isAdd: boolean): Promise<void> {
    const { tag = '', address, protocol, port = 0, table = 0 } = identity;
    const on = identity.interface === undefined ? undefined : await this.#interfaces.get(identity.interface);
    const fields = {
      is_add: isAdd,
      flags: protocol === undefined ? Flag.addressOnly : 0,
      ip_address: address ?? ANY,
      protocol: protocol === undefined ? 0 : protocolNumber(protocol),
      port,
      sw_if_index: on?.index ?? NO_INDEX,
      vrf_id: table,
      tag,
    };
    const object = `nat44 identity ${tag || (address ?? on?.name ?? '')}`;
    await this.#core.request('nat44_add_del_identity_mapping', fields, object, isAdd ? 'add it' : 'delete it');
  }

  /** Load-balanced mappings. */
  async balancers(): Promise<Nat44Balancer[]> {
    const rows = await this.#core.rows('nat44_lb_static_mapping_dump', {}, NAT);
    return rows.map((row) => ({
      ...(row.tag === '' ? {} : { tag: row.tag }),
      external: row.external_addr,
      port: row.external_port,
      protocol: protocolName(row.protocol),
      backends: row.locals.map((local) => ({
        address: local.addr,
        port: local.port,
        weight: local.probability,
        table: local.vrf_id,
      })),
      ...twiceOf(row.flags),
      ...((row.flags & Flag.outToInOnly) !== 0 ? { outToInOnly: true } : {}),
      ...(row.affinity === 0 ? {} : { affinitySeconds: row.affinity }),
    }));
  }

  async addBalancer(balancer: Nat44Balancer): Promise<void> {
    await this.#balancer(balancer, true);
  }

  async deleteBalancer(balancer: Nat44Balancer): Promise<void> {
    await this.#balancer(balancer, false);
  }

  async #balancer(balancer: Nat44Balancer, isAdd: boolean): Promise<void> {
    const { tag = '', external, port, protocol, backends, twice, outToInOnly = false, affinitySeconds = 0 } = balancer;
    if (backends.length < 2) throw new ArgumentTypeError('a load-balanced NAT44 mapping has two backends at least');
    const fields = {
      is_add: isAdd,
      flags: twiceFlags(twice) | (outToInOnly ? Flag.outToInOnly : 0),
      external_addr: external,
      external_port: port,
      protocol: protocolNumber(protocol),
      affinity: affinitySeconds,
      tag,
      locals: backends.map((backend) => wireBackend(backend)),
    };
    const object = `nat44 mapping ${tag || `${external}:${port}`}`;
    await this.#core.request('nat44_add_del_lb_static_mapping', fields, object, isAdd ? 'add it' : 'delete it');
  }

  /** Adds or takes away one backend of a load-balanced mapping, whose sessions stay. */
  async setBackend(
    balancer: Pick<Nat44Balancer, 'external' | 'port' | 'protocol'>,
    backend: Nat44Backend,
    isAdd = true,
  ): Promise<void> {
    const { external, port, protocol } = balancer;
    const fields = {
      is_add: isAdd,
      external_addr: external,
      external_port: port,
      protocol: protocolNumber(protocol),
      local: wireBackend(backend),
    };
    const doing = `${isAdd ? 'add' : 'take away'} the backend ${backend.address}:${backend.port}`;
    await this.#core.request(
      'nat44_lb_static_mapping_add_del_local',
      fields,
      `nat44 mapping ${external}:${port}`,
      doing,
    );
  }

  async users(): Promise<Nat44User[]> {
    const rows = await this.#core.rows('nat44_user_dump', {}, NAT);
    return rows.map((row) => ({
      address: row.ip_address,
      table: row.vrf_id,
      sessions: row.nsessions,
      staticSessions: row.nstaticsessions,
    }));
  }

  /** Sessions, of one inside host or all. */
  async sessions(user?: { address: string; table?: number }): Promise<Nat44Session[]> {
    const users = user === undefined ? await this.users() : [{ table: 0, ...user }];
    const all: Nat44Session[] = [];
    const message = this.#core.newest('nat44_user_session_v3_dump', 'nat44_user_session_v2_dump');
    for (const { address, table } of users) {
      for (const row of await this.#core.rows(message, { ip_address: address, vrf_id: table }, NAT)) {
        const flags: number = row.flags;
        all.push({
          inside: { address: row.inside_ip_address, port: row.inside_port },
          outside: { address: row.outside_ip_address, port: row.outside_port },
          peer: { address: row.ext_host_address, port: row.ext_host_port },
          peerTranslated: { address: row.ext_host_nat_address, port: row.ext_host_nat_port },
          protocol: row.protocol,
          isStatic: (flags & Flag.isStatic) !== 0,
          twice: (flags & Flag.twice) !== 0,
          bytes: row.total_bytes,
          packets: row.total_pkts,
          timedOut: row.is_timed_out,
        });
      }
    }
    return all;
  }

  /** Ends a session, found by its inside end. */
  async deleteSession(session: Pick<Nat44Session, 'inside' | 'peer' | 'protocol'>, table = 0): Promise<void> {
    const { inside, peer, protocol } = session;
    const fields = {
      address: inside.address,
      protocol,
      port: inside.port,
      vrf_id: table,
      flags: Flag.inside | Flag.peer,
      ext_host_address: peer.address,
      ext_host_port: peer.port,
    };
    await this.#core.request('nat44_del_session', fields, `nat44 session ${inside.address}:${inside.port}`, 'end it');
  }
}

function wireBackend(backend: Nat44Backend): { addr: string; port: number; probability: number; vrf_id: number } {
  const { address, port, weight = 1, table = 0 } = backend;
  return { addr: address, port, probability: weight, vrf_id: table };
}
