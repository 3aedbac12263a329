// The mappings of NAT44: static ones, load-balanced ones, and those that keep an address as it is.
//
//   vppctl: nat44 add static mapping tcp local 10.0.0.9 8080 external 198.51.100.1 80     vpp.nat44.addMapping({ … })
//           nat44 add load-balancing static mapping …                                    vpp.nat44.addBalancer({ … })
//           nat44 add identity mapping …                                                 vpp.nat44.addIdentity({ … })

import { ArgumentTypeError, VppObjectError } from '../errors.js';
import { NO_INDEX, type Core } from './core.js';
import type { InterfaceRef, Interfaces } from './interfaces.js';
import { Flag, NAT } from './nat44-flags.js';

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

/** An outside end. */
interface End {
  readonly external?: string | undefined;
  readonly port?: number | undefined;
  readonly protocol?: NatProtocol | undefined;
}

const VALUE_EXIST = -81;
const protocols: Readonly<Record<string, number>> = { tcp: 6, udp: 17, icmp: 1 };
const ANY = '0.0.0.0';

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

/**
 * What `vpp.nat44` can do with mappings.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { openVpp } from 'node-vpp/vpp';
 *
 * const vpp = await openVpp({ socket: process.env.VPP_SOCKET ?? '/run/vpp/api.sock' });
 * await vpp.nat44.ensureEnabled();
 * await vpp.nat44.addPool({ first: '203.0.113.1', last: '203.0.113.2' });
 * const web = { local: '10.0.0.9', localPort: 8080, external: '203.0.113.1', externalPort: 80, protocol: 'tcp' } as const;
 * await vpp.nat44.addMapping(web);
 * assert.equal(await vpp.nat44.ensureMapping(web), false);
 * assert.equal((await vpp.nat44.mappings())[0]?.local, '10.0.0.9');
 * await vpp.nat44.deleteMapping(web);
 * const same = { address: '203.0.113.1', protocol: 'udp', port: 4500 } as const;
 * await vpp.nat44.addIdentity(same);
 * assert.equal((await vpp.nat44.identities())[0]?.port, 4500);
 * assert.equal(await vpp.nat44.ensureIdentity(same), false);
 * await vpp.nat44.deleteIdentity(same);
 * const backends = ['10.0.0.1', '10.0.0.2'].map((address) => ({ address, port: 443, weight: 50 }));
 * const balancer = { external: '203.0.113.2', port: 443, protocol: 'tcp', backends } as const;
 * await vpp.nat44.addBalancer(balancer);
 * await vpp.nat44.setBackend(balancer, { address: '10.0.0.3', port: 443, weight: 10 });
 * const [held] = await vpp.nat44.balancers();
 * assert.equal(held?.backends.length, 3);
 * assert.equal(await vpp.nat44.ensureBalancer(balancer), true);
 * await vpp.nat44.deleteBalancer(balancer);
 * await vpp.nat44.disable();
 * await vpp.close();
 * ```
 */
export class Nat44Mappings {
  readonly #core: Core;
  readonly #interfaces: Interfaces;

  constructor(core: Core, interfaces: Interfaces) {
    this.#core = core;
    this.#interfaces = interfaces;
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

  /**
   * Adds a static mapping.
   *
   * @throws ArgumentTypeError when it has both external and externalInterface, or neither
   * @throws VppObjectError ERR_VPP_OBJECT_REFUSED when the outside end is taken
   */
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

  /**
   * Deletes a static mapping: as it was added, or as `mappings` gives it.
   *
   * @throws VppObjectError ERR_VPP_OBJECT_REFUSED when there is none
   */
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
    try {
      if (
        this.#core.newest('nat44_add_del_static_mapping_v2', 'nat44_add_del_static_mapping') ===
        'nat44_add_del_static_mapping_v2'
      ) {
        const v2 = { ...fields, match_pool: poolAddress !== undefined, pool_ip_address: poolAddress ?? ANY };
        await this.#core.request('nat44_add_del_static_mapping_v2', v2, object, doing);
      } else await this.#core.request('nat44_add_del_static_mapping', fields, object, doing);
    } catch (error) {
      throw await this.#whoHasIt(error, { external, port: externalPort, protocol }, mapping);
    }
  }

  /** VPP leads an outside end to one inside, and an inside end to one outside, and says only that there is something. */
  async #whoHasIt(error: unknown, end: End, local?: Nat44Mapping): Promise<unknown> {
    if (!(error instanceof VppObjectError) || error.retval !== VALUE_EXIST) return error;
    const isEnd = (one: End): boolean =>
      one.external === end.external && (one.port ?? 0) === (end.port ?? 0) && one.protocol === end.protocol;
    const [mappings, balancers, identities] = [await this.mappings(), await this.balancers(), await this.identities()];
    const found: string[] = [];
    for (const one of mappings) {
      const at = `${one.external ?? `interface ${String(one.externalInterface)}`}:${one.externalPort ?? 0}`;
      const to = `${one.local}:${one.localPort ?? 0}`;
      const sameLocal =
        one.local === local?.local &&
        (one.localPort ?? 0) === (local.localPort ?? 0) &&
        one.protocol === local.protocol &&
        one.table === (local.table ?? 0);
      if (sameLocal || isEnd({ ...one, port: one.externalPort })) found.push(`the mapping ${at} -> ${to}`);
    }
    if (balancers.some(isEnd)) found.push(`the load-balanced mapping of ${end.external}:${end.port ?? 0}`);
    if (identities.some((one) => isEnd({ ...one, external: one.address }))) {
      found.push(`the identity of ${end.external}:${end.port ?? 0}`);
    }
    if (found.length === 0) return error;
    const problem = `${error.message.slice(error.object.length + 2)}; in its way: ${found.join(', ')}; delete that first`;
    return new VppObjectError('ERR_VPP_OBJECT_REFUSED', error.object, problem, { cause: error.cause });
  }

  /** Addresses and ports that are not translated. */
  async identities(): Promise<(Nat44Identity & { readonly table: number })[]> {
    const rows = await this.#core.rows('nat44_identity_mapping_dump', {}, NAT);
    return rows.map((row) => ({
      ...(row.tag === '' ? {} : { tag: row.tag }),
      ...(row.sw_if_index === NO_INDEX ? { address: row.ip_address } : { interface: row.sw_if_index }),
      ...((row.flags & Flag.addressOnly) !== 0 ? {} : { protocol: protocolName(row.protocol), port: row.port }),
      table: row.vrf_id,
    }));
  }

  /**
   * Leaves an address, or one port of it, untranslated.
   *
   * @throws VppObjectError ERR_VPP_OBJECT_REFUSED with what VPP said; ERR_VPP_OBJECT_MISSING when an interface is not there
   */
  async addIdentity(identity: Nat44Identity): Promise<void> {
    await this.#identity(identity, true);
  }

  /** Leaves it untranslated unless it is so already; true when something was to do. */
  async ensureIdentity(identity: Nat44Identity): Promise<boolean> {
    const { address, protocol, port = 0, table = 0, tag = '' } = identity;
    const on = identity.interface === undefined ? undefined : (await this.#interfaces.get(identity.interface)).index;
    const held = (await this.identities()).find(
      (one) =>
        one.address === (on === undefined ? address : undefined) &&
        one.interface === on &&
        one.protocol === protocol &&
        (one.port ?? 0) === port &&
        one.table === table,
    );
    if (held !== undefined && (held.tag ?? '') === tag) return false;
    if (held !== undefined) await this.#identity(held, false);
    await this.#identity(identity, true);
    return true;
  }

  /**
   * Translates it again.
   *
   * @throws VppObjectError ERR_VPP_OBJECT_REFUSED when there is none
   */
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
    try {
      await this.#core.request('nat44_add_del_identity_mapping', fields, object, isAdd ? 'add it' : 'delete it');
    } catch (error) {
      throw await this.#whoHasIt(error, { external: address, port, protocol });
    }
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

  /**
   * Adds a mapping to several hosts inside, chosen by weight.
   *
   * @throws ArgumentTypeError for less than two backends
   * @throws VppObjectError ERR_VPP_OBJECT_REFUSED when the outside end is taken
   */
  async addBalancer(balancer: Nat44Balancer): Promise<void> {
    await this.#balancer(balancer, true);
  }

  /**
   * The load-balanced mapping of this outside end has these backends; true when something was to do. Where backends only
   * come and go, the others keep their sessions; with another weight or option it is made anew.
   */
  async ensureBalancer(balancer: Nat44Balancer): Promise<boolean> {
    const { external, port, protocol } = balancer;
    const held = (await this.balancers()).find(
      (one) => one.external === external && one.port === port && one.protocol === protocol,
    );
    if (held === undefined) {
      await this.addBalancer(balancer);
      return true;
    }
    const rest = ({ tag = '', twice, outToInOnly = false, affinitySeconds = 0 }: Nat44Balancer): string =>
      JSON.stringify([tag, twice, outToInOnly, affinitySeconds]);
    const text = (backend: Nat44Backend): string => JSON.stringify(wireBackend(backend));
    const [now, then] = [new Set(held.backends.map(text)), new Set(balancer.backends.map(text))];
    const gone = held.backends.filter((one) => !then.has(text(one)));
    const added = balancer.backends.filter((one) => !now.has(text(one)));
    const end = ({ address, port: at, table = 0 }: Nat44Backend): string => `${address}:${at} ${table}`;
    const ends = new Set(gone.map(end));
    if (rest(held) !== rest(balancer) || added.some((one) => ends.has(end(one)))) {
      await this.deleteBalancer(held);
      await this.addBalancer(balancer);
      return true;
    }
    // Added before others are taken away: VPP keeps two at least.
    for (const one of added) await this.setBackend(balancer, one);
    for (const one of gone) await this.setBackend(balancer, one, false);
    return gone.length > 0 || added.length > 0;
  }

  /**
   * Deletes a load-balanced mapping: as it was added, or as `balancers` gives it.
   *
   * @throws VppObjectError ERR_VPP_OBJECT_REFUSED when there is none
   */
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
    try {
      await this.#core.request('nat44_add_del_lb_static_mapping', fields, object, isAdd ? 'add it' : 'delete it');
    } catch (error) {
      throw await this.#whoHasIt(error, { external, port, protocol });
    }
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
}

function wireBackend(backend: Nat44Backend): { addr: string; port: number; probability: number; vrf_id: number } {
  const { address, port, weight = 1, table = 0 } = backend;
  return { addr: address, port, probability: weight, vrf_id: table };
}
