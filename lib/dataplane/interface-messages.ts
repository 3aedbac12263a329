// The messages of VPP's interface module: dump, flags, MAC, MTU, tags, receive modes and placement, statistics.

import { OK, type Row } from './handlers.js';
import { NO_INTERFACE, type PortRxMode } from './forwarding/control.js';
import { statusFlags, type Interface } from './interfaces.js';
import { Refused } from './retvals.js';
import type { State } from './state.js';

const NO_MAC = '00:00:00:00:00:00';

/** VPP's `rx_mode`. */
const RX_MODES: Readonly<Record<number, PortRxMode>> = { 1: 'polling', 2: 'interrupt', 3: 'adaptive' };
/** The number of a receive mode. */
export const rxModeNumber = { polling: 1, interrupt: 2, adaptive: 3 } as const;

function isVirtual({ kind }: Interface): boolean {
  return kind === 'loopback' || kind === 'bvi' || kind === 'local';
}

function details(one: Interface): Row<'sw_interface_dump'> {
  const { parent, sub, rewrite } = one;
  const tagCount = sub === undefined ? 0 : (sub.flags & 2) / 2 + ((sub.flags & 4) / 4) * 2;
  return {
    sw_if_index: one.swIfIndex,
    sup_sw_if_index: parent.swIfIndex,
    l2_address: sub === undefined && one.ethernet && one.mac !== '' ? one.mac : NO_MAC,
    flags: statusFlags(one),
    type: sub === undefined ? 0 : 1,
    link_duplex: 0,
    link_speed: parent.linkSpeed,
    link_mtu: parent.linkMtu,
    mtu: one.mtu,
    sub_id: sub?.id ?? 0,
    sub_number_of_tags: tagCount,
    sub_outer_vlan_id: sub?.outer ?? 0,
    sub_inner_vlan_id: sub?.inner ?? 0,
    sub_if_flags: sub?.flags ?? 0,
    vtr_op: rewrite.op,
    vtr_push_dot1q: rewrite.pushDot1q ? 1 : 0,
    vtr_tag1: rewrite.tag1,
    vtr_tag2: rewrite.tag2,
    interface_name: one.name,
    interface_dev_type: one.devType,
    tag: one.tag,
  };
}

/** Registers them. */
export function registerInterfaceMessages(state: State): void {
  const { handlers, interfaces, forwarder } = state;
  const hardware = (swIfIndex: number): Interface => {
    const one = interfaces.must(swIfIndex);
    if (one.sub !== undefined) throw new Refused('INVALID_VALUE');
    return one;
  };

  handlers.rows('sw_interface_dump', function* ({ sw_if_index, name_filter_valid, name_filter }) {
    if (!name_filter_valid && sw_if_index !== NO_INTERFACE && sw_if_index !== 0) {
      const one = interfaces.get(sw_if_index);
      if (one !== undefined) yield details(one);
      return;
    }
    const wanted = name_filter.toLowerCase();
    for (const one of interfaces.values()) {
      if (!name_filter_valid || one.name.toLowerCase().includes(wanted)) yield details(one);
    }
  });

  handlers.on('sw_interface_set_flags', ({ sw_if_index, flags }) => {
    interfaces.setAdmin(interfaces.must(sw_if_index), (flags & 1) !== 0);
    return OK;
  });

  handlers.on('sw_interface_set_promisc', ({ sw_if_index, promisc_on }) => {
    const one = interfaces.must(sw_if_index);
    // A port without hardware has no such mode.
    if (!one.ethernet || isVirtual(one.parent)) throw new Refused('UNSPECIFIED');
    one.parent.promiscuous = promisc_on;
    forwarder.setPromiscuous(one.parent.swIfIndex, promisc_on);
    return OK;
  });

  handlers.on('sw_interface_tag_add_del', ({ sw_if_index, is_add, tag }) => {
    const one = interfaces.must(sw_if_index);
    if (is_add && tag === '') throw new Refused('INVALID_VALUE');
    one.tag = is_add ? tag : '';
    return OK;
  });

  handlers.on('sw_interface_get_mac_address', ({ sw_if_index }) => {
    const { parent } = interfaces.must(sw_if_index);
    return { retval: 0, mac_address: parent.mac === '' ? NO_MAC : parent.mac };
  });

  handlers.on('sw_interface_set_mac_address', ({ sw_if_index, mac_address }) => {
    const { parent } = interfaces.must(sw_if_index);
    if (!parent.ethernet) throw new Refused('UNIMPLEMENTED');
    forwarder.setMac(parent.swIfIndex, mac_address);
    const old = parent.mac;
    parent.mac = mac_address;
    state.bridges.macChanged(parent, old);
    return OK;
  });

  handlers.on('sw_interface_set_interface_name', ({ sw_if_index, name }) => {
    const { parent } = interfaces.must(sw_if_index);
    if (name === '') throw new Refused('INVALID_VALUE');
    interfaces.rename(parent, name);
    return OK;
  });

  handlers.on('sw_interface_set_mtu', ({ sw_if_index, mtu }) => {
    const one = interfaces.must(sw_if_index);
    one.mtu = [...mtu];
    const [l3 = 0, ip4 = 0, ip6 = 0] = mtu;
    forwarder.setMtu(sw_if_index, { l3, ip4, ip6 });
    return OK;
  });

  handlers.on('hw_interface_set_mtu', ({ sw_if_index, mtu }) => {
    const one = hardware(sw_if_index);
    if (!one.ethernet) throw new Refused('FEATURE_DISABLED');
    if (isVirtual(one)) throw new Refused('UNSUPPORTED');
    if (mtu < 64 || mtu > 65521) throw new Refused('INVALID_VALUE');
    one.linkMtu = mtu;
    one.mtu = [mtu, one.mtu[1]!, one.mtu[2]!, one.mtu[3]!];
    forwarder.setMtu(sw_if_index, { port: mtu, l3: mtu, ip4: one.mtu[1]!, ip6: one.mtu[2]! });
    return OK;
  });

  registerQueueMessages(state, hardware);
  registerStatisticsMessages(state);
}

function registerQueueMessages(state: State, hardware: (swIfIndex: number) => Interface): void {
  const { handlers, interfaces, forwarder } = state;

  handlers.on('sw_interface_set_rx_mode', ({ sw_if_index, mode }) => {
    const one = hardware(sw_if_index);
    // As in VPP, whose loop over the queues does nothing when there are none.
    if (isVirtual(one)) return OK;
    const wanted = RX_MODES[mode];
    if (wanted === undefined) throw new Refused('UNIMPLEMENTED');
    one.rxMode = wanted;
    forwarder.setRxMode(sw_if_index, wanted);
    return OK;
  });

  handlers.on('sw_interface_set_default_rx_mode', ({ mode }) => {
    const wanted = RX_MODES[mode];
    if (wanted === undefined) throw new Refused('INVALID_VALUE');
    interfaces.defaultRxMode = wanted;
    return OK;
  });
  handlers.on('sw_interface_get_default_rx_mode', () => ({ mode: rxModeNumber[interfaces.defaultRxMode] }));

  handlers.rows('sw_interface_rx_placement_dump', function* ({ sw_if_index }) {
    const chosen = sw_if_index === NO_INTERFACE ? interfaces.values() : [hardware(sw_if_index)];
    for (const one of chosen) {
      for (let queue_id = 0; queue_id < interfaces.queuesOf(one).rx; queue_id++) {
        yield { sw_if_index: one.swIfIndex, queue_id, worker_id: 0, mode: rxModeNumber[one.rxMode] };
      }
    }
  });

  handlers.on('sw_interface_set_rx_placement', ({ sw_if_index, queue_id, is_main }) => {
    // All packets are moved by the one thread there is, VPP's main thread.
    if (queue_id >= interfaces.queuesOf(hardware(sw_if_index)).rx || !is_main) throw new Refused('UNIMPLEMENTED');
    return OK;
  });

  state.server.handle('sw_interface_tx_placement_get', ({ sw_if_index }) => {
    const wanted = sw_if_index as number;
    if (![...interfaces.values()].some((one) => interfaces.queuesOf(one).tx > 0)) return { retval: -6 };
    let chosen = [...interfaces.values()];
    if (wanted !== NO_INTERFACE) {
      const one = interfaces.get(wanted);
      if (one === undefined) return { retval: -2 };
      if (one.sub !== undefined) return { retval: -71 };
      chosen = [one];
    }
    return chosen.flatMap((one) =>
      Array.from({ length: interfaces.queuesOf(one).tx }, (_, queue_id) => ({
        sw_if_index: one.swIfIndex,
        queue_id,
        shared: 0,
        threads: [0],
      })),
    );
  });
}

function registerStatisticsMessages(state: State): void {
  const { handlers, interfaces, forwarder } = state;
  handlers.on('sw_interface_clear_stats', ({ sw_if_index }) => {
    if (sw_if_index === NO_INTERFACE) forwarder.clearInterfaceCounters();
    else forwarder.clearInterfaceCounters(interfaces.must(sw_if_index).swIfIndex);
    return OK;
  });
}
