// NAT44, endpoint dependent (VPP's nat44-ed).
//
//   vppctl: nat44 plugin enable sessions 65536                   vpp.nat44.enable({ sessions: 65536 })
//           set interface nat44 in tap0 out eth0                 vpp.nat44.setInside('tap0'); vpp.nat44.setOutside('eth0')
//           nat44 add interface address eth0                     vpp.nat44.addInterfacePool('eth0')
//           nat44 add address 198.51.100.1 - 198.51.100.9        vpp.nat44.addPool({ first: '198.51.100.1', last: '198.51.100.9' })
//           nat44 add static mapping tcp local … external …      vpp.nat44.addMapping({ … })
//           show nat44 sessions                                  vpp.nat44.sessions()

import { ipv4FromNumber, ipv4ToNumber } from '../net/index.js';
import { VppObjectError } from '../errors.js';
import { NO_INDEX, type Core } from './core.js';
import type { InterfaceRef, Interfaces } from './interfaces.js';
import { Flag, NAT } from './nat44-flags.js';
import { Nat44Mappings } from './nat44-mappings.js';

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

const eitherOr = (other: string): string =>
  `an interface is translated before routing or after it: ${other}(…, false) first`;

const FEATURE_ALREADY_ENABLED = -170;
const FEATURE_ALREADY_DISABLED = -169;

/**
 * `vpp.nat44`
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { openVpp } from 'node-vpp/vpp';
 *
 * const vpp = await openVpp({ socket: process.env.VPP_SOCKET ?? '/run/vpp/api.sock' });
 * await vpp.nat44.ensureEnabled();
 * await vpp.nat44.ensurePool({ first: '203.0.113.1' });
 * assert.equal((await vpp.nat44.pools())[0]?.first, '203.0.113.1');
 * await vpp.nat44.setTimeouts({ udp: 100 });
 * await vpp.nat44.setForwarding(true);
 * const { forwarding, timeouts } = await vpp.nat44.config();
 * assert.deepEqual([forwarding, timeouts.udp], [true, 100]);
 * const [lan, wan] = [await vpp.loopbacks.create(), await vpp.loopbacks.create()];
 * assert.equal(await vpp.nat44.setInside(lan), true);
 * assert.equal(await vpp.nat44.setOutside(wan), true);
 * assert.equal((await vpp.nat44.interfaces()).length, 2);
 * await vpp.nat44.addInterfacePool(wan);
 * assert.equal((await vpp.nat44.interfacePools())[0]?.interfaceIndex, wan.index);
 * await vpp.nat44.deleteInterfacePool(wan);
 * for (const user of await vpp.nat44.users()) {
 *   for (const session of await vpp.nat44.sessions(user)) await vpp.nat44.deleteSession(session, user.table);
 * }
 * await vpp.nat44.setInside(lan, false);
 * await vpp.nat44.setOutside(wan, false);
 * await vpp.nat44.setOutput(wan);
 * await vpp.nat44.setOutput(wan, false);
 * await vpp.nat44.setTimeouts({ udp: 300 });
 * await vpp.nat44.setForwarding(false);
 * await vpp.nat44.deletePool({ first: '203.0.113.1' });
 * for (const itf of [lan, wan]) await itf.delete();
 * await vpp.nat44.disable();
 * await vpp.nat44.enable({ sessions: 1024 });
 * await vpp.nat44.disable();
 * await vpp.close();
 * ```
 */
export class Nat44 extends Nat44Mappings {
  readonly #core: Core;
  readonly #interfaces: Interfaces;

  constructor(core: Core, interfaces: Interfaces) {
    super(core, interfaces);
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

  /** Whether it is on, and its settings; timeouts in seconds. `sessions` is 0 when it is off. */
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

  /**
   * Whether packets without a session or mapping pass untranslated, instead of being dropped.
   *
   * @throws VppObjectError ERR_VPP_OBJECT_REFUSED with what VPP said
   */
  async setForwarding(enable: boolean): Promise<void> {
    await this.#core.request('nat44_forwarding_enable_disable', { enable }, NAT, 'change forwarding');
  }

  /**
   * Timeouts of sessions in seconds; what is not named stays.
   *
   * @throws VppObjectError ERR_VPP_OBJECT_REFUSED with what VPP said
   */
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

  /**
   * Hosts behind this interface are translated; false when they are.
   *
   * @throws VppObjectError ERR_VPP_OBJECT_DIFFERS when it is translated after routing (`setOutput`)
   */
  async setInside(itf: InterfaceRef, on = true): Promise<boolean> {
    return this.#side(itf, 'inside', on);
  }

  /**
   * To the world; false when it is that side.
   *
   * @throws VppObjectError ERR_VPP_OBJECT_DIFFERS when it is translated after routing (`setOutput`)
   */
  async setOutside(itf: InterfaceRef, on = true): Promise<boolean> {
    return this.#side(itf, 'outside', on);
  }

  async #side(itf: InterfaceRef, side: 'inside' | 'outside', on: boolean): Promise<boolean> {
    const handle = await this.#interfaces.get(itf);
    const held = (await this.interfaces()).find(({ interfaceIndex }) => interfaceIndex === handle.index);
    if ((held?.[side] ?? false) === on) return false;
    if (on && held?.output === true) {
      throw new VppObjectError('ERR_VPP_OBJECT_DIFFERS', handle.toString(), eitherOr('setOutput'));
    }
    const fields = { is_add: on, flags: side === 'inside' ? Flag.inside : Flag.outside };
    await handle.request(
      'nat44_interface_add_del_feature',
      fields,
      `${on ? 'make' : 'unmake'} it the ${side} of NAT44`,
    );
    return true;
  }

  /**
   * Translates what leaves an interface after routing (`output-feature`); false when it does.
   *
   * @throws VppObjectError ERR_VPP_OBJECT_DIFFERS when it is the inside or the outside
   */
  async setOutput(itf: InterfaceRef, on = true): Promise<boolean> {
    const handle = await this.#interfaces.get(itf);
    const held = (await this.interfaces()).find(({ interfaceIndex }) => interfaceIndex === handle.index);
    if ((held?.output ?? false) === on) return false;
    if (on && held !== undefined) {
      const other = held.inside ? 'setInside' : 'setOutside';
      throw new VppObjectError('ERR_VPP_OBJECT_DIFFERS', handle.toString(), eitherOr(other));
    }
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

  /**
   * Adds the addresses from `first` to `last`, both included; `ensurePool` adds those that are missing.
   *
   * @throws VppObjectError ERR_VPP_OBJECT_REFUSED when one is in a pool, or NAT44 is off
   */
  async addPool(pool: Nat44Pool): Promise<void> {
    await this.#pool(pool, true);
  }

  /**
   * Adds the addresses of a pool that are not in it yet; true when there were any.
   *
   * @throws VppObjectError ERR_VPP_OBJECT_DIFFERS when one is in a pool of another table; nothing is added then
   */
  async ensurePool(pool: Nat44Pool): Promise<boolean> {
    const rows = await this.#core.rows('nat44_address_dump', {}, NAT);
    const { first, last = first, table = NO_INDEX, twice = false } = pool;
    const [from, to] = [ipv4ToNumber(first), ipv4ToNumber(last)];
    const held = new Set<string>();
    for (const { ip_address: address, vrf_id: id, flags } of rows) {
      const at = ipv4ToNumber(address);
      if (((flags & Flag.twice) !== 0) !== twice || at < from || at > to) continue;
      held.add(address);
      if (id === table) continue;
      const words = (one: number): string => (one === NO_INDEX ? 'all tables' : `table ${one}`);
      const problem = `it is of ${words(id)}, not of ${words(table)}; delete it from that pool first`;
      throw new VppObjectError('ERR_VPP_OBJECT_DIFFERS', `nat44 pool address ${address}`, problem);
    }
    let added = false;
    for (let at = from; at <= to; at += 1) {
      const address = ipv4FromNumber(at);
      if (held.has(address)) continue;
      await this.#pool({ first: address, table, twice }, true);
      added = true;
    }
    return added;
  }

  /**
   * Takes addresses out; static mappings with them stay.
   *
   * @throws VppObjectError ERR_VPP_OBJECT_REFUSED when one is in no pool
   */
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

  /**
   * Takes the addresses of an interface out.
   *
   * @throws VppObjectError ERR_VPP_OBJECT_REFUSED with what VPP said; ERR_VPP_OBJECT_MISSING when an interface is not there
   */
  async deleteInterfacePool(itf: InterfaceRef, options: { twice?: boolean } = {}): Promise<void> {
    const handle = await this.#interfaces.get(itf);
    const fields = { is_add: false, flags: options.twice === true ? Flag.twice : 0 };
    await handle.request('nat44_add_del_interface_addr', fields, 'stop taking its addresses for NAT44');
  }

  /** The interfaces whose addresses are a pool. */
  async interfacePools(): Promise<{ interfaceIndex: number; twice: boolean }[]> {
    const rows = await this.#core.rows('nat44_interface_addr_dump', {}, NAT);
    return rows.map(({ sw_if_index: index, flags }) => ({
      interfaceIndex: index,
      twice: (flags & Flag.twice) !== 0,
    }));
  }

  /** Hosts inside that have sessions, and how many. */
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
