// What VPP hands out of its graph: to its own host stack, to a socket, or by another way.
//
//   vppctl: set punt ipv4 udp 4500                          vpp.punt.setL4({ protocol: 'udp', port: 4500 })
//           ip punt redirect add rx tap0 via 10.0.0.9 tap1  vpp.punt.redirect({ rx: 'tap0', via: '10.0.0.9', interface: 'tap1' })
//           set punt socket …                               vpp.punt.registerSocket({ … })

import { ArgumentTypeError, VppObjectError } from '../errors.js';
import { explained, NO_INDEX, type Core } from './core.js';
import type { InterfaceRef, Interfaces } from './interfaces.js';
import { PathSets } from './path-sets.js';
import { heldPath, wirePaths, type HeldPath, type ReceivedPath, type RoutePath } from './path.js';

const UNSPECIFIED = -1;
const protocols = { tcp: 6, udp: 17, sctp: 132 } as const;

/** Packets to a port. */
export interface PuntL4 {
  readonly protocol: keyof typeof protocols | number;
  /** 65535: all. */
  readonly port: number;
  /** Default `ip4`. */
  readonly family?: 'ip4' | 'ip6';
}

/** Packets of an IP protocol. */
export interface PuntIpProtocol {
  readonly ipProtocol: number;
  /** Default `ip4`. */
  readonly family?: 'ip4' | 'ip6';
}

/** Packets that VPP punts for a reason. */
export interface PuntReason {
  /** By its name, or its number in this VPP: see `reasons`. */
  readonly reason: string | number;
}

/** What is handed to a socket. */
export type PuntWhat = PuntL4 | PuntIpProtocol | PuntReason;

/** What is handed to a socket, and to which. */
export type PuntSocket = PuntWhat & { readonly path: string };

/** What is punted takes this way. */
export interface PuntRedirect extends RoutePath {
  /** Only what this interface received; default all. */
  readonly rx?: InterfaceRef;
  readonly paths?: readonly RoutePath[];
  /** Default `ip4`. */
  readonly family?: 'ip4' | 'ip6';
}

interface WirePunt {
  readonly type: number;
  readonly punt: Record<string, Record<string, number>>;
}

function wirePunt(what: PuntL4 | PuntIpProtocol): WirePunt {
  const af = what.family === 'ip6' ? 1 : 0;
  if ('ipProtocol' in what) return { type: 1, punt: { ip_proto: { af, protocol: what.ipProtocol } } };
  const protocol = typeof what.protocol === 'number' ? what.protocol : protocols[what.protocol];
  if ((protocol as number | undefined) === undefined) {
    throw new ArgumentTypeError(`${describe(what)}: a protocol is tcp, udp, sctp or a number`);
  }
  return { type: 0, punt: { l4: { af, protocol, port: what.port } } };
}

/** What VPP says is punted, in our words; a reason by its name. */
function heldPunt({ type, punt }: WirePunt, reasonNames: ReadonlyMap<number, string>): PuntWhat {
  const { exception, ip_proto: ip, l4 } = punt;
  if (type === 2) return { reason: reasonNames.get(exception!['id']!) ?? exception!['id']! };
  const family = (ip ?? l4)!['af'] === 1 ? 'ip6' : 'ip4';
  if (type === 1) return { ipProtocol: ip!['protocol']!, family };
  const number = l4!['protocol']!;
  const name = Object.entries(protocols).find(([, protocol]) => protocol === number)?.[0] as 'udp' | undefined;
  return { protocol: name ?? number, port: l4!['port']!, family };
}

const describe = (what: PuntWhat): string =>
  'reason' in what
    ? `punt of reason ${what.reason}`
    : 'ipProtocol' in what
      ? `punt of IP protocol ${what.ipProtocol}`
      : `punt of ${what.protocol} port ${what.port}`;

/**
 * `vpp.punt`
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { openVpp } from 'node-vpp/vpp';
 *
 * const vpp = await openVpp({ socket: process.env.VPP_SOCKET ?? '/run/vpp/api.sock' });
 * assert.ok((await vpp.punt.reasons()).size > 0);
 * await vpp.punt.setL4({ protocol: 'udp', port: 4500 });
 * const [lan, wan] = [await vpp.loopbacks.create(), await vpp.loopbacks.create({ addresses: ['10.12.0.1/24'], up: true })];
 * await vpp.punt.redirect({ rx: lan, via: '10.12.0.9', interface: wan });
 * assert.equal((await vpp.punt.redirects())[0]?.rxIndex, lan.index);
 * assert.equal(await vpp.punt.ensureRedirect({ rx: lan, via: '10.12.0.9', interface: wan }), false);
 * await vpp.punt.deleteRedirect({ rx: lan });
 * for (const itf of [lan, wan]) await itf.delete();
 * await vpp.close();
 * ```
 */
export class Punt {
  readonly #core: Core;
  readonly #interfaces: Interfaces;

  constructor(core: Core, interfaces: Interfaces) {
    this.#core = core;
    this.#interfaces = interfaces;
  }

  /**
   * Hands packets to a port of this host to the host's stack: those to a port of UDP, or to all that VPP does not listen
   * on itself (`port: 65535`) of UDP or TCP.
   *
   * @throws VppObjectError ERR_VPP_OBJECT_REFUSED for other protocols
   */
  async setL4(what: PuntL4, on = true): Promise<void> {
    const fields = { is_add: on, punt: wirePunt(what) as never };
    try {
      await this.#core.request('set_punt', fields, describe(what), on ? 'set it' : 'take it back');
    } catch (error) {
      throw explained(error, UNSPECIFIED, 'which takes ports of UDP, and of TCP all (65535) or none');
    }
  }

  /** Why VPP punts: names and numbers. */
  async reasons(): Promise<Map<string, number>> {
    const rows = await this.#core.rows('punt_reason_dump', { reason: { id: 0, name: '' } }, 'punt reasons');
    return new Map(rows.map(({ reason }) => [reason.name, reason.id]));
  }

  /**
   * Hands packets to a datagram socket that a program has bound at `path`. Resolves with the path of VPP's own socket,
   * to which the program sends. VPP must be started with `punt { socket … }`. Of the ports it takes those of UDP.
   *
   * @throws VppObjectError ERR_VPP_OBJECT_REFUSED when it was not, or for another protocol's port;
   *   ERR_VPP_OBJECT_MISSING for a reason that it does not have
   *
   * @example
   * ```ts
   * import assert from 'node:assert/strict';
   * import { openVpp } from 'node-vpp/vpp';
   *
   * const vpp = await openVpp({ socket: process.env.VPP_SOCKET ?? '/run/vpp/api.sock' });
   * const ike = { protocol: 'udp', port: 500 } as const;
   * assert.match(await vpp.punt.registerSocket(ike, '/tmp/doc-ike.sock'), /^\//);
   * assert.equal(await vpp.punt.ensureSocket(ike, '/tmp/doc-ike.sock'), false);
   * assert.deepEqual(await vpp.punt.sockets(), [{ ...ike, family: 'ip4', path: '/tmp/doc-ike.sock' }]);
   * await vpp.punt.deregisterSocket(ike);
   * await vpp.close();
   * ```
   */
  async registerSocket(what: PuntWhat, path: string): Promise<string> {
    const fields = { header_version: 1, punt: (await this.#wire(what)) as never, pathname: path };
    try {
      return (await this.#core.request('punt_socket_register', fields, describe(what), `hand it to ${path}`)).pathname;
    } catch (error) {
      throw explained(
        error,
        UNSPECIFIED,
        'which needs punt { socket <path> } in its start-up configuration, and takes ports of UDP',
      );
    }
  }

  /** As `registerSocket`; false when these packets are handed to this socket already. */
  async ensureSocket(what: PuntWhat, path: string): Promise<boolean> {
    const wanted = JSON.stringify(await this.#wire(what));
    for (const held of await this.sockets()) {
      if (held.path === path && JSON.stringify(await this.#wire(held)) === wanted) return false;
    }
    await this.registerSocket(what, path);
    return true;
  }

  /** What is handed to sockets. */
  async sockets(): Promise<PuntSocket[]> {
    const names = new Map([...(await this.reasons())].map(([name, id]) => [id, name]));
    const sockets: PuntSocket[] = [];
    for (const type of [0, 1, 2]) {
      const rows = await this.#core.rows('punt_socket_dump', { type }, 'punt sockets');
      for (const { punt, pathname } of rows) {
        sockets.push({ ...heldPunt(punt as unknown as WirePunt, names), path: pathname });
      }
    }
    return sockets;
  }

  /** Stops handing these packets to a socket. VPP does not say whether it did. */
  async deregisterSocket(what: PuntWhat): Promise<void> {
    const fields = { punt: (await this.#wire(what)) as never };
    await this.#core.request('punt_socket_deregister', fields, describe(what), 'take it back');
  }

  /** What is punted, of all interfaces or one, takes these paths. */
  async redirect(redirect: PuntRedirect): Promise<void> {
    await this.#redirect(redirect, true);
  }

  /** As `redirect`; false when it is so already. */
  async ensureRedirect(redirect: PuntRedirect): Promise<boolean> {
    const { wire, rxIndex, af } = await this.#wireRedirect(redirect);
    const sets = new PathSets();
    for (const { punt } of await this.#redirects(af)) {
      const from = punt.rx_sw_if_index === 0 ? NO_INDEX : punt.rx_sw_if_index;
      const paths = punt.paths as unknown as ReceivedPath[];
      if (from === rxIndex && sets.ofReceived(wire) === sets.ofReceived(paths)) return false;
    }
    await this.redirect(redirect);
    return true;
  }

  /** Ends the redirection of one interface (`rx`), or that of all; nothing when there is none. */
  async deleteRedirect(redirect: Pick<PuntRedirect, 'rx' | 'family'>): Promise<void> {
    await this.#redirect({ ...redirect, paths: [] }, false);
  }

  /** All redirections of a family, default `ip4`; `rxIndex` undefined: of all interfaces. */
  async redirects(family: 'ip4' | 'ip6' = 'ip4'): Promise<{ rxIndex: number | undefined; paths: HeldPath[] }[]> {
    const rows = await this.#redirects(family === 'ip6' ? 1 : 0);
    return rows.map(({ punt }) => ({
      rxIndex: punt.rx_sw_if_index === NO_INDEX || punt.rx_sw_if_index === 0 ? undefined : punt.rx_sw_if_index,
      paths: (punt.paths as unknown as ReceivedPath[]).map(heldPath),
    }));
  }

  #redirects(af: 0 | 1) {
    return this.#core.rows('ip_punt_redirect_v2_dump', { sw_if_index: NO_INDEX, af }, 'punt redirects');
  }

  async #wireRedirect(redirect: PuntRedirect) {
    const { rx, paths, family = 'ip4', ...inline } = redirect;
    const from = rx === undefined ? undefined : await this.#interfaces.get(rx);
    const object = `punt redirect of ${from?.toString() ?? 'all interfaces'}`;
    const [version, af] = family === 'ip6' ? ([6, 1] as const) : ([4, 0] as const);
    const wire = await wirePaths(this.#interfaces, paths ?? [inline], version, object);
    return { wire, rxIndex: from?.index ?? NO_INDEX, af, object };
  }

  async #redirect(redirect: PuntRedirect, isAdd: boolean): Promise<void> {
    const { wire: paths, rxIndex, af, object } = await this.#wireRedirect(redirect);
    const punt = { rx_sw_if_index: rxIndex, af, n_paths: paths.length, paths };
    const fields = { is_add: isAdd, punt: punt as never };
    await this.#core.request('add_del_ip_punt_redirect_v2', fields, object, isAdd ? 'set it' : 'delete it');
  }

  /** VPP is silent about a reason that it does not have: it is looked for before. */
  async #wire(what: PuntWhat): Promise<WirePunt> {
    if (!('reason' in what)) return wirePunt(what);
    const { reason } = what;
    const reasons = await this.reasons();
    const id = typeof reason === 'string' ? reasons.get(reason) : [...reasons.values()].find((one) => one === reason);
    if (id !== undefined) return { type: 2, punt: { exception: { id } } };
    const problem = `VPP has no such reason; it has ${[...reasons.keys()].join(', ') || 'none'}`;
    throw new VppObjectError('ERR_VPP_OBJECT_MISSING', describe(what), problem);
  }
}
