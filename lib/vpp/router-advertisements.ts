// IPv6 neighbour discovery: router advertisements of an interface, and solicitations.
//
//   vppctl: ip6 nd tap0 ra-interval 60 40               vpp.routerAdvertisements.set('tap0', { maxIntervalSeconds: 60, … })
//           ip6 nd tap0 prefix 2001:db8::/64 …          vpp.routerAdvertisements.setPrefix('tap0', { prefix: '2001:db8::/64' })
//           show ip6 interface tap0                     vpp.routerAdvertisements.get('tap0')

import { networkPrefix } from '../net/index.js';
import { NO_INDEX, type Core } from './core.js';
import type { InterfaceRef, Interfaces } from './interfaces.js';

/** What is advertised. */
export interface RouterAdvertisement {
  /** Send none; default false. */
  suppress?: boolean;
  /** Hosts ask DHCPv6 for addresses; for other things. */
  managed?: boolean;
  other?: boolean;
  /** With the link-layer address; default true in VPP. */
  linkLayerOption?: boolean;
  /** Answer solicitations by unicast. */
  unicast?: boolean;
  /** Stop, and say so. */
  cease?: boolean;
  maxIntervalSeconds?: number;
  minIntervalSeconds?: number;
  /** For so long this is a default router; 0: it is none. */
  lifetimeSeconds?: number;
  initialCount?: number;
  initialIntervalSeconds?: number;
}

/** A prefix that is advertised. */
export interface AdvertisedPrefix {
  readonly prefix: string;
  /** Hosts make addresses of it; default true. */
  readonly autoconfigure?: boolean;
  /** It is on this link; default true. */
  readonly onLink?: boolean;
  readonly validSeconds?: number;
  readonly preferredSeconds?: number;
}

/** What an interface advertises. */
export interface AdvertisementInfo {
  readonly interfaceIndex: number;
  readonly sends: boolean;
  readonly managed: boolean;
  readonly other: boolean;
  readonly linkLayerOption: boolean;
  readonly unicast: boolean;
  readonly maxIntervalSeconds: number;
  readonly minIntervalSeconds: number;
  readonly lifetimeSeconds: number;
  readonly advertised: number;
  readonly solicited: number;
  readonly prefixes: readonly Required<AdvertisedPrefix>[];
}

/**
 * `vpp.routerAdvertisements`
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { openVpp } from 'node-vpp/vpp';
 *
 * const vpp = await openVpp({ socket: process.env.VPP_SOCKET ?? '/run/vpp/api.sock' });
 * const lan = await vpp.loopbacks.create({ addresses: ['2001:db8:13::1/64'], up: true });
 * await vpp.routerAdvertisements.set(lan, { managed: true, maxIntervalSeconds: 60, minIntervalSeconds: 40 });
 * await vpp.routerAdvertisements.setPrefix(lan, { prefix: '2001:db8:13::/64', validSeconds: 3600, preferredSeconds: 1800 });
 * const told = await vpp.routerAdvertisements.get(lan);
 * assert.equal(told?.maxIntervalSeconds, 60);
 * assert.equal(told.prefixes[0]?.validSeconds, 3600);
 * assert.ok((await vpp.routerAdvertisements.list()).some(({ interfaceIndex }) => interfaceIndex === lan.index));
 * await vpp.routerAdvertisements.deletePrefix(lan, '2001:db8:13::/64');
 * await lan.delete();
 * await vpp.close();
 * ```
 */
export class RouterAdvertisements {
  readonly #core: Core;
  readonly #interfaces: Interfaces;

  constructor(core: Core, interfaces: Interfaces) {
    this.#core = core;
    this.#interfaces = interfaces;
  }

  /** Every interface with IPv6. */
  async list(): Promise<AdvertisementInfo[]> {
    return this.#list(NO_INDEX);
  }

  /** Undefined when IPv6 is off there. */
  async get(itf: InterfaceRef): Promise<AdvertisementInfo | undefined> {
    const on = await this.#interfaces.get(itf);
    return (await this.#list(on.index)).find(({ interfaceIndex }) => interfaceIndex === on.index);
  }

  async #list(index: number): Promise<AdvertisementInfo[]> {
    this.#core.newest('sw_interface_ip6nd_ra_dump');
    const rows = await this.#core.rows('sw_interface_ip6nd_ra_dump', { sw_if_index: index }, 'router advertisements');
    return rows.map((row) => ({
      interfaceIndex: row.sw_if_index,
      sends: row.send_radv,
      managed: row.adv_managed_flag,
      other: row.adv_other_flag,
      linkLayerOption: row.adv_link_layer_address,
      unicast: row.send_unicast,
      maxIntervalSeconds: row.max_radv_interval,
      minIntervalSeconds: row.min_radv_interval,
      lifetimeSeconds: row.adv_router_lifetime,
      advertised: row.n_advertisements_sent,
      solicited: row.n_solicitations_rcvd,
      prefixes: row.prefixes.map((one) => ({
        prefix: networkPrefix(one.prefix),
        autoconfigure: one.autonomous_flag,
        onLink: one.onlink_flag,
        validSeconds: one.val_lifetime,
        preferredSeconds: one.pref_lifetime,
      })),
    }));
  }

  /** Changes what is named; what is left out stays. */
  async set(itf: InterfaceRef, options: RouterAdvertisement): Promise<void> {
    const on = await this.#interfaces.get(itf);
    const now = await this.get(on);
    const { maxIntervalSeconds, minIntervalSeconds, lifetimeSeconds, initialCount, initialIntervalSeconds } = options;
    const { managed, other, linkLayerOption, unicast, cease } = options;
    const suppress = options.suppress ?? now?.sends === false;
    const fields = (isNo: boolean) => ({
      suppress: suppress && !isNo ? 1 : 0,
      managed: managed === !isNo ? 1 : 0,
      other: other === !isNo ? 1 : 0,
      // The flag of the message is to leave the option out.
      ll_option: linkLayerOption === isNo ? 1 : 0,
      send_unicast: unicast === !isNo ? 1 : 0,
      cease: cease === !isNo ? 1 : 0,
      is_no: isNo,
      default_router: lifetimeSeconds !== undefined && !isNo ? 1 : 0,
      max_interval: isNo ? 0 : (maxIntervalSeconds ?? 0),
      min_interval: isNo ? 0 : (minIntervalSeconds ?? 0),
      lifetime: isNo ? 0 : (lifetimeSeconds ?? 0),
      initial_count: isNo ? 0 : (initialCount ?? 0),
      initial_interval: isNo ? 0 : (initialIntervalSeconds ?? 0),
    });
    // VPP's message turns on what is 1, or with is_no off what is 1, and each of them also starts to advertise: so what
    // is to be off goes first, and whether to advertise at all goes last.
    const off = fields(true);
    if (off.managed + off.other + off.ll_option + off.send_unicast + off.cease > 0) {
      await on.request('sw_interface_ip6nd_ra_config', off, 'change its router advertisements');
    }
    await on.request('sw_interface_ip6nd_ra_config', fields(false), 'change its router advertisements');
  }

  /**
   * Advertises a prefix, with lifetimes in seconds; default those of VPP, 30 and 7 days.
   *
   * @throws VppObjectError ERR_VPP_OBJECT_REFUSED when IPv6 is off there; ERR_VPP_OBJECT_MISSING when there is no such interface
   */
  async setPrefix(itf: InterfaceRef, options: AdvertisedPrefix): Promise<void> {
    const on = await this.#interfaces.get(itf);
    const { prefix, autoconfigure = true, onLink = true, validSeconds, preferredSeconds } = options;
    const lifetimes = validSeconds !== undefined || preferredSeconds !== undefined;
    const fields = {
      prefix,
      // With it VPP looks at nothing else when the prefix is new.
      use_default: !lifetimes && autoconfigure && onLink,
      no_advertise: false,
      off_link: false,
      no_autoconfig: !autoconfigure,
      no_onlink: !onLink,
      is_no: false,
      val_lifetime: validSeconds ?? 2_592_000,
      pref_lifetime: preferredSeconds ?? Math.min(validSeconds ?? 604_800, 604_800),
    };
    await on.request('sw_interface_ip6nd_ra_prefix', fields, `advertise ${prefix}`);
  }

  /**
   * Stops advertising a prefix.
   *
   * @throws VppObjectError ERR_VPP_OBJECT_REFUSED with what VPP said; ERR_VPP_OBJECT_MISSING when an interface is not there
   */
  async deletePrefix(itf: InterfaceRef, prefix: string): Promise<void> {
    const on = await this.#interfaces.get(itf);
    const fields = {
      prefix,
      use_default: false,
      no_advertise: false,
      off_link: false,
      no_autoconfig: false,
      no_onlink: false,
      is_no: true,
      val_lifetime: 0,
      pref_lifetime: 0,
    };
    await on.request('sw_interface_ip6nd_ra_prefix', fields, `stop advertising ${prefix}`);
  }
}
