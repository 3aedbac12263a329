// Bridge domains, their members and cross-connects: the L2 mode of interfaces.
//
//   routed (default) ─┬─ bridged in a domain: normal │ bvi │ uu-fwd, with a split-horizon group
//                     └─ cross-connected to another interface
//
// Members in the order of VPP's flood vector: the BVI, those flooded to, those not flooded to (loopbacks).

import { NO_INTERFACE, type BridgeDomainFlags, type BridgePortType } from './forwarding/control.js';
import { OK, type Row } from './handlers.js';
import type { Interface } from './interfaces.js';
import { isAddress } from './neighbours.js';
import { IdFinder } from './pool.js';
import { Refused } from './retvals.js';
import type { State } from './state.js';

const ANY = 0xffffffff;
const MOST_ID = 0xffffff;

/** VPP's L2 input features, those that are configured. */
const Feature = {
  drop: 1 << 0,
  crossConnect: 1 << 1,
  flood: 1 << 2,
  arpUfwd: 1 << 3,
  arpTerm: 1 << 4,
  uuFlood: 1 << 5,
  uuFwd: 1 << 6,
  forward: 1 << 7,
  learn: 1 << 9,
} as const;
const OUTPUT_FEATURE = 1 << 0;
const NEW_DOMAIN = ~(Feature.arpTerm | Feature.uuFwd | Feature.arpUfwd);
const NEW_MEMBER =
  Feature.forward | Feature.uuFlood | Feature.uuFwd | Feature.flood | Feature.learn | Feature.arpUfwd | Feature.arpTerm;

/** `bd_flags` of the API and what they mean here. */
const FLAGS: readonly (readonly [bit: number, feature: number, name: keyof BridgeDomainFlags])[] = [
  [1, Feature.learn, 'learn'],
  [2, Feature.forward, 'forward'],
  [4, Feature.flood, 'flood'],
  [8, Feature.uuFlood, 'uuFlood'],
  [16, Feature.arpTerm, 'arpTerm'],
  [32, Feature.arpUfwd, 'arpUnicastForward'],
];
const PORT_TYPES: Readonly<Record<number, BridgePortType>> = { 0: 'normal', 1: 'bvi', 2: 'uu-fwd' };

/** A bridge domain. */
export interface BridgeDomain {
  readonly id: number;
  /** VPP's index of it: the lowest one free. */
  readonly index: number;
  features: number;
  macAge: number;
  tag: string;
  learnLimit: number;
  bvi: Interface | undefined;
  uuFwd: Interface | undefined;
  members: Interface[];
}

/** The L2 mode of an interface that is not routed. */
export type L2Mode = { features: number; outputFeatures: number } & (
  { domain: BridgeDomain; port: BridgePortType; shg: number; to?: undefined } | { to: Interface; domain?: undefined }
);

/** All bridge domains and L2 modes. */
export class Bridges {
  readonly #state: State;
  /** By index; number 0 is VPP's own, which drops. */
  readonly #domains: (BridgeDomain | undefined)[] = [undefined];
  readonly #byId = new Map<number, BridgeDomain>();
  readonly #ids = new IdFinder(MOST_ID, 0);
  readonly #modes = new Map<Interface, L2Mode>();
  #learnLimit = 16 * 1024 * 1024;

  constructor(state: State) {
    this.#state = state;
    const { handlers, interfaces } = state;
    handlers.on('bridge_domain_add_del', (asked) => {
      this.addDel(asked, asked.bd_id);
      return OK;
    });
    handlers.on('bridge_domain_add_del_v2', (asked) => {
      let id = asked.bd_id;
      if (id === ANY && asked.is_add) id = this.#ids.find((used) => this.#byId.has(used)) ?? ANY;
      try {
        this.addDel(asked, id);
      } catch (error) {
        if (error instanceof Refused) return { retval: error.retval, bd_id: id };
        throw error;
      }
      return { retval: 0, bd_id: id };
    });
    handlers.rows('bridge_domain_dump', ({ bd_id, sw_if_index }) => this.#details(bd_id, sw_if_index));
    handlers.on('bridge_flags', ({ bd_id, is_set, flags }) => {
      const domain = this.#modifiable(bd_id);
      this.#setFlags(domain, flags, is_set);
      return { retval: 0, resulting_feature_bitmap: domain.features >>> 0 };
    });
    handlers.on('bridge_domain_set_mac_age', ({ bd_id, mac_age }) => {
      const domain = this.#modifiable(bd_id);
      domain.macAge = mac_age;
      state.forwarder.setMacAge(bd_id, mac_age);
      return OK;
    });
    handlers.on('bridge_domain_set_learn_limit', ({ bd_id, learn_limit }) => {
      this.#modifiable(bd_id).learnLimit = learn_limit;
      state.forwarder.setLearnLimit(bd_id, learn_limit);
      return OK;
    });
    handlers.on('bridge_domain_set_default_learn_limit', ({ learn_limit }) => {
      this.#learnLimit = learn_limit;
      return OK;
    });
    handlers.on('sw_interface_set_l2_bridge', ({ rx_sw_if_index, bd_id, port_type, shg, enable }) => {
      const one = interfaces.must(rx_sw_if_index);
      const port = PORT_TYPES[port_type];
      if (port === undefined) throw new Refused('INVALID_VALUE');
      if (!enable) this.setRouted(one);
      else {
        if (bd_id > MOST_ID) throw new Refused('BD_ID_EXCEED_MAX');
        this.setBridged(one, bd_id, port, shg);
      }
      return OK;
    });
    handlers.on('sw_interface_set_l2_xconnect', ({ rx_sw_if_index, tx_sw_if_index, enable }) => {
      const one = interfaces.must(rx_sw_if_index);
      if (enable) this.#setCrossConnect(one, interfaces.must(tx_sw_if_index));
      else this.setRouted(one);
      return OK;
    });
    handlers.rows('l2_xconnect_dump', function* (this: void) {
      for (const one of interfaces.values()) {
        const mode = modes.get(one);
        if (mode?.to !== undefined) yield { rx_sw_if_index: one.swIfIndex, tx_sw_if_index: mode.to.swIfIndex };
      }
    });
    const modes = this.#modes;
    this.#registerMemberFlags();
    this.#registerArpEntries();
  }

  /** In the order of their indices. */
  *domains(): Generator<BridgeDomain> {
    for (const domain of this.#domains) if (domain !== undefined) yield domain;
  }

  domain(id: number): BridgeDomain | undefined {
    return this.#byId.get(id);
  }

  /** Undefined: routed. */
  modeOf(one: Interface): L2Mode | undefined {
    return this.#modes.get(one);
  }

  /** Adds or deletes a domain, as bd_add_del of VPP. */
  addDel(
    asked: {
      is_add: boolean;
      flood: boolean;
      uu_flood: boolean;
      forward: boolean;
      learn: boolean;
      arp_term: boolean;
      arp_ufwd: boolean;
      mac_age: number;
      bd_tag: string;
    },
    id: number,
  ): void {
    const found = this.#byId.get(id);
    if (asked.is_add) {
      if (found !== undefined || id === 0) throw new Refused('BD_ALREADY_EXISTS');
      if (id > MOST_ID) throw new Refused('BD_ID_EXCEED_MAX');
      const { learn, forward, flood, uu_flood, arp_term, arp_ufwd } = asked;
      const on = [learn, forward, flood, uu_flood, arp_term, arp_ufwd];
      let features = NEW_DOMAIN;
      for (const [at, [, feature]] of FLAGS.entries()) features = on[at] ? features | feature : features & ~feature;
      this.#add(id, features, asked.mac_age, asked.bd_tag);
      return;
    }
    if (id === 0) throw new Refused('BD_NOT_MODIFIABLE');
    if (found === undefined) throw new Refused('NO_SUCH_ENTRY');
    if (found.members.length > 0) throw new Refused('BD_IN_USE');
    if (found.uuFwd !== undefined) this.setRouted(found.uuFwd);
    this.#byId.delete(id);
    this.#domains[found.index] = undefined;
    this.#state.l2Fib.domainGone(found);
    this.#state.forwarder.removeBridgeDomain(id);
  }

  #add(id: number, features: number, macAge: number, tag: string): BridgeDomain {
    let index = 1;
    while (this.#domains[index] !== undefined) index += 1;
    const none = { bvi: undefined, uuFwd: undefined, members: [] };
    const domain = { id, index, features, macAge, tag, learnLimit: this.#learnLimit, ...none };
    this.#domains[index] = domain;
    this.#byId.set(id, domain);
    this.#state.forwarder.addBridgeDomain(id, flagsOf(features), macAge);
    this.#state.forwarder.setLearnLimit(id, this.#learnLimit);
    return domain;
  }

  #modifiable(id: number): BridgeDomain {
    if (id === 0) throw new Refused('BD_NOT_MODIFIABLE');
    const domain = this.#byId.get(id);
    if (domain === undefined) throw new Refused('NO_SUCH_ENTRY');
    return domain;
  }

  #setFlags(domain: BridgeDomain, flags: number, on: boolean): void {
    const changed: Partial<BridgeDomainFlags> = {};
    for (const [bit, feature, name] of FLAGS) {
      if ((flags & bit) === 0) continue;
      domain.features = on ? domain.features | feature : domain.features & ~feature;
      changed[name] = on;
    }
    this.#state.forwarder.setBridgeDomainFlags(domain.id, changed);
  }

  /** Puts an interface in a domain, which is made if it is not there. */
  setBridged(one: Interface, id: number, port: BridgePortType, shg: number): void {
    if (one.kind === 'local' || id === 0) throw new Refused('BD_NOT_MODIFIABLE');
    const domain = this.#byId.get(id) ?? this.#add(id, NEW_DOMAIN, 0, '');
    if (port === 'bvi' && domain.bvi !== undefined && domain.bvi !== one) throw new Refused('BD_ALREADY_HAS_BVI');
    let features = (this.#leave(one) & ~Feature.crossConnect) | NEW_MEMBER | Feature.drop;
    this.#state.forwarder.setBridged(one.swIfIndex, id, { type: port, shg });
    if (port === 'bvi') features &= ~Feature.learn;
    this.#state.forwarder.setMemberFlags(one.swIfIndex, flagsOf(features));
    this.#modes.set(one, { domain, port, shg, features, outputFeatures: OUTPUT_FEATURE });
    if (port === 'uu-fwd') {
      domain.uuFwd = one;
      domain.features |= Feature.uuFwd;
      return;
    }
    if (port === 'bvi') {
      domain.bvi = one;
      domain.members.unshift(one);
      this.#state.l2Fib.setBvi(domain, one);
    } else if (isFlooded(one)) {
      const first = domain.members.findIndex((other) => other !== domain.bvi && !isFlooded(other));
      domain.members.splice(first < 0 ? domain.members.length : first, 0, one);
    } else domain.members.push(one);
  }

  #setCrossConnect(one: Interface, to: Interface): void {
    if (one.kind === 'local' || to.kind === 'local') throw new Refused('INVALID_SW_IF_INDEX');
    const left = this.#leave(one) & ~(Feature.learn | Feature.forward | Feature.flood);
    this.#state.forwarder.setCrossConnect(one.swIfIndex, to.swIfIndex);
    const features = left | Feature.drop | Feature.crossConnect;
    this.#modes.set(one, { to, features, outputFeatures: OUTPUT_FEATURE });
  }

  /** Takes an interface out of its domain or cross-connect. */
  setRouted(one: Interface): void {
    if (!this.#modes.has(one)) return;
    this.#leave(one);
    this.#state.forwarder.setRouted(one.swIfIndex);
  }

  /** Ends what L2 mode there is; its features, which the next one begins with. */
  #leave(one: Interface): number {
    const mode = this.#modes.get(one);
    if (mode === undefined) return 0;
    this.#modes.delete(one);
    if (mode.domain !== undefined) {
      const { domain } = mode;
      domain.members = domain.members.filter((member) => member !== one);
      if (domain.bvi === one) {
        domain.bvi = undefined;
        this.#state.l2Fib.removeBvi(domain, one, one.mac);
      }
      if (domain.uuFwd === one) {
        domain.uuFwd = undefined;
        domain.features &= ~Feature.uuFwd;
      }
      this.#state.forwarder.flushL2Fib({ bdId: domain.id, swIfIndex: one.swIfIndex });
    }
    return mode.features;
  }

  /** A BVI's entry in the L2 FIB follows its MAC. */
  macChanged(one: Interface, old: string): void {
    const mode = this.#modes.get(one);
    if (mode?.domain?.bvi !== one) return;
    this.#state.l2Fib.removeBvi(mode.domain, one, old);
    this.#state.l2Fib.setBvi(mode.domain, one);
  }

  /** As in VPP: what was cross-connected with it, either way, is routed again. */
  interfaceGone(gone: Interface): void {
    const { to } = this.#modes.get(gone) ?? {};
    if (to !== undefined) this.setRouted(to);
    for (const [one, mode] of [...this.#modes]) if (mode.to === gone) this.setRouted(one);
    this.setRouted(gone);
  }

  *#details(id: number, swIfIndex: number): Generator<Row<'bridge_domain_dump'>> {
    if (swIfIndex !== NO_INTERFACE || id === 0) return;
    for (const domain of this.domains()) {
      if (id !== ANY && domain.id !== id) continue;
      const { learn, forward, flood, uuFlood, arpTerm, arpUnicastForward } = flagsOf(domain.features);
      yield {
        bd_id: domain.id,
        flood,
        uu_flood: uuFlood,
        forward,
        learn,
        arp_term: arpTerm,
        arp_ufwd: arpUnicastForward,
        mac_age: domain.macAge,
        bd_tag: domain.tag,
        bvi_sw_if_index: domain.bvi?.swIfIndex ?? NO_INTERFACE,
        uu_fwd_sw_if_index: domain.uuFwd?.swIfIndex ?? NO_INTERFACE,
        sw_if_details: domain.members.map((member) => ({
          sw_if_index: member.swIfIndex,
          shg: (this.#modes.get(member) as { shg: number }).shg,
        })),
      };
    }
  }

  #registerMemberFlags(): void {
    const { handlers, interfaces, forwarder } = this.#state;
    const layer2 = (swIfIndex: number, bridgedOnly = false): L2Mode => {
      const mode = this.#modes.get(interfaces.must(swIfIndex));
      if (mode === undefined || (bridgedOnly && mode.domain === undefined)) throw new Refused('INVALID_SW_IF_INDEX');
      return mode;
    };
    const apply = (swIfIndex: number, mode: L2Mode, features: number, on: boolean) => {
      mode.features = on ? mode.features | features : mode.features & ~features;
      forwarder.setMemberFlags(swIfIndex, flagsOf(mode.features));
    };
    const toFeatures = (flags: number) =>
      FLAGS.reduce((features, [bit, feature]) => ((flags & bit) === 0 ? features : features | feature), 0);

    handlers.on('l2_flags', ({ sw_if_index, is_set, feature_bitmap }) => {
      const mode = this.#modes.get(interfaces.must(sw_if_index));
      const wanted = toFeatures(feature_bitmap & 31);
      if (mode === undefined) return { retval: 0, resulting_feature_bitmap: is_set ? wanted : 0 };
      apply(sw_if_index, mode, wanted, is_set);
      return { retval: 0, resulting_feature_bitmap: mode.features >>> 0 };
    });
    handlers.on('l2_flags_get', ({ sw_if_index }) => {
      const { features, outputFeatures } = layer2(sw_if_index);
      return { retval: 0, input_feature_bitmap: features >>> 0, output_feature_bitmap: outputFeatures >>> 0 };
    });
    handlers.on('l2_flags_set', ({ sw_if_index, is_set, input_feature_bitmap, output_feature_bitmap }) => {
      const mode = layer2(sw_if_index);
      apply(sw_if_index, mode, input_feature_bitmap, is_set);
      const { outputFeatures } = mode;
      mode.outputFeatures = is_set ? outputFeatures | output_feature_bitmap : outputFeatures & ~output_feature_bitmap;
      return OK;
    });
    handlers.on('l2_interface_feat_flags_get', ({ sw_if_index }) => {
      const { features } = layer2(sw_if_index, true);
      return {
        retval: 0,
        flags: FLAGS.reduce((sum, [bit, feature]) => ((features & feature) === 0 ? sum : sum | bit), 0),
      };
    });
    handlers.on('l2_interface_feat_flags_set', ({ sw_if_index, is_set, flags }) => {
      apply(sw_if_index, layer2(sw_if_index, true), toFeatures(flags), is_set);
      return OK;
    });
  }

  #registerArpEntries(): void {
    const { handlers, forwarder } = this.#state;
    handlers.on('bd_ip_mac_add_del', ({ is_add, entry: { bd_id, ip, mac } }) => {
      this.#modifiable(bd_id);
      if (!isAddress(ip)) throw new Refused('INVALID_ADDRESS_FAMILY');
      const known = forwarder.bridgeArpEntries(bd_id).find((other) => other.ip === ip);
      if (!is_add && known?.mac !== mac) throw new Refused('UNSPECIFIED');
      forwarder.setBridgeArpEntry(bd_id, ip, is_add ? mac : undefined);
      return OK;
    });
    handlers.on('bd_ip_mac_flush', ({ bd_id }) => {
      this.#modifiable(bd_id);
      forwarder.clearBridgeArpEntries(bd_id);
      return OK;
    });
    handlers.rows('bd_ip_mac_dump', ({ bd_id }) =>
      [...this.domains()]
        .filter(({ id }) => bd_id === ANY || id === bd_id)
        .flatMap(({ id }) => forwarder.bridgeArpEntries(id).map((entry) => ({ entry: { bd_id: id, ...entry } }))),
    );
  }
}

function isFlooded({ kind }: Interface): boolean {
  return kind !== 'loopback' && kind !== 'bvi';
}

/** The flags among the features. */
export function flagsOf(features: number): BridgeDomainFlags {
  return Object.fromEntries(
    FLAGS.map(([, feature, name]) => [name, (features & feature) !== 0]),
  ) as unknown as BridgeDomainFlags;
}
