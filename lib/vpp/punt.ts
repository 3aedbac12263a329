// What VPP hands out of its graph: to its own host stack, to a socket, or by another way.
//
//   vppctl: set punt ipv4 udp 4500                          vpp.punt.setL4({ protocol: 'udp', port: 4500 })
//           ip punt redirect add rx tap0 via 10.0.0.9 tap1  vpp.punt.redirect({ rx: 'tap0', via: '10.0.0.9', interface: 'tap1' })
//           set punt socket …                               vpp.punt.registerSocket({ … })

import { NO_INDEX, type Core } from './core.js';
import type { InterfaceRef, Interfaces } from './interfaces.js';
import { heldPath, wirePaths, type HeldPath, type ReceivedPath, type RoutePath } from './path.js';

const protocols = { tcp: 6, udp: 17, sctp: 132 } as const;

/** Packets to a port. */
export interface PuntL4 {
  readonly protocol: keyof typeof protocols | number;
  /** 65535: all. */
  readonly port: number;
  /** Default `ip4`. */
  readonly family?: 'ip4' | 'ip6';
}

/** What is handed to a socket. */
export type PuntWhat =
  | PuntL4
  /** Packets of an IP protocol. */
  | { readonly ipProtocol: number; readonly family?: 'ip4' | 'ip6' }
  /** Packets that VPP punts for a reason, by its number: see `reasons`. */
  | { readonly reason: number };

/** What is punted takes this way. */
export interface PuntRedirect extends RoutePath {
  /** Only what this interface received; default all. */
  readonly rx?: InterfaceRef;
  readonly paths?: readonly RoutePath[];
  /** Default `ip4`. */
  readonly family?: 'ip4' | 'ip6';
}

function wirePunt(what: PuntWhat): { type: number; punt: Record<string, unknown> } {
  if ('reason' in what) return { type: 2, punt: { exception: { id: what.reason } } };
  const af = what.family === 'ip6' ? 1 : 0;
  if ('ipProtocol' in what) return { type: 1, punt: { ip_proto: { af, protocol: what.ipProtocol } } };
  const protocol = typeof what.protocol === 'number' ? what.protocol : protocols[what.protocol];
  return { type: 0, punt: { l4: { af, protocol, port: what.port } } };
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

  /** Hands packets to a port of this host to the host's stack. */
  async setL4(what: PuntL4, on = true): Promise<void> {
    const fields = { is_add: on, punt: wirePunt(what) as never };
    await this.#core.request('set_punt', fields, describe(what), on ? 'set it' : 'take it back');
  }

  /** Why VPP punts: names and numbers. */
  async reasons(): Promise<Map<string, number>> {
    const rows = await this.#core.rows('punt_reason_dump', { reason: { id: 0, name: '' } }, 'punt reasons');
    return new Map(rows.map(({ reason }) => [reason.name, reason.id]));
  }

  /**
   * Hands packets to a datagram socket that a program has bound at `path`. Resolves with the path of VPP's own socket,
   * to which the program sends. VPP must be started with `punt { socket … }`.
   *
   * @throws VppObjectError ERR_VPP_OBJECT_REFUSED when it was not
   *
   * @example
   * ```ts
   * import assert from 'node:assert/strict';
   * import { openVpp } from 'node-vpp/vpp';
   *
   * const vpp = await openVpp({ socket: process.env.VPP_SOCKET ?? '/run/vpp/api.sock' });
   * const ike = { protocol: 'udp', port: 500 } as const;
   * assert.match(await vpp.punt.registerSocket(ike, '/tmp/doc-ike.sock'), /^\//);
   * await vpp.punt.deregisterSocket(ike);
   * await vpp.close();
   * ```
   */
  async registerSocket(what: PuntWhat, path: string): Promise<string> {
    const fields = { header_version: 1, punt: wirePunt(what) as never, pathname: path };
    return (await this.#core.request('punt_socket_register', fields, describe(what), `hand it to ${path}`)).pathname;
  }

  /**
   * Stops handing these packets to a socket.
   *
   * @throws VppObjectError ERR_VPP_OBJECT_REFUSED when they are not handed to one
   */
  async deregisterSocket(what: PuntWhat): Promise<void> {
    const fields = { punt: wirePunt(what) as never };
    await this.#core.request('punt_socket_deregister', fields, describe(what), 'take it back');
  }

  /** What is punted, of all interfaces or one, takes these paths. */
  async redirect(redirect: PuntRedirect): Promise<void> {
    await this.#redirect(redirect, true);
  }

  /** Ends the redirection of one interface (`rx`), or that of all; nothing when there is none. */
  async deleteRedirect(redirect: Pick<PuntRedirect, 'rx' | 'family'>): Promise<void> {
    await this.#redirect({ ...redirect, paths: [] }, false);
  }

  /** All redirections of a family, default `ip4`; `rxIndex` undefined: of all interfaces. */
  async redirects(family: 'ip4' | 'ip6' = 'ip4'): Promise<{ rxIndex: number | undefined; paths: HeldPath[] }[]> {
    const fields = { sw_if_index: NO_INDEX, af: family === 'ip6' ? 1 : 0 };
    const rows = await this.#core.rows('ip_punt_redirect_v2_dump', fields, 'punt redirects');
    return rows.map(({ punt }) => ({
      rxIndex: punt.rx_sw_if_index === NO_INDEX || punt.rx_sw_if_index === 0 ? undefined : punt.rx_sw_if_index,
      paths: (punt.paths as unknown as ReceivedPath[]).map(heldPath),
    }));
  }

  async #redirect(redirect: PuntRedirect, isAdd: boolean): Promise<void> {
    const { rx, paths, family = 'ip4', ...inline } = redirect;
    const from = rx === undefined ? undefined : await this.#interfaces.get(rx);
    const version = family === 'ip6' ? 6 : 4;
    const object = `punt redirect of ${from?.toString() ?? 'all interfaces'}`;
    const wire = await wirePaths(this.#interfaces, paths ?? [inline], version, object);
    const punt = {
      rx_sw_if_index: from?.index ?? NO_INDEX,
      af: version === 6 ? 1 : 0,
      n_paths: wire.length,
      paths: wire,
    };
    const fields = { is_add: isAdd, punt: punt as never };
    await this.#core.request('add_del_ip_punt_redirect_v2', fields, object, isAdd ? 'set it' : 'delete it');
  }
}
