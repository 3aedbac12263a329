// TAP interfaces: a kernel interface whose other end is ours.

import { NO_INTERFACE, type TapInterface } from './forwarding/control.js';
import { refusing } from './failures.js';
import type { MemifError, SystemError } from '../errors.js';
import { OK, type Asked, type Row } from './handlers.js';
import type { Interface } from './interfaces.js';
import { Pool } from './pool.js';
import { Refused, type RetvalName } from './retvals.js';
import type { State } from './state.js';

const ANY = 0xffffffff;
const MOST = 1024;
/** VPP's `tap_flags`. */
const GSO = 1;
const PERSIST = 4;
const ATTACH = 8;
const TUN = 16;
const NONE = { retval: 0, sw_if_index: NO_INTERFACE };

type Create = Omit<Asked<'tap_create_v3'>, 'num_tx_queues'> & { num_tx_queues?: number };

interface Tap {
  readonly shown: Interface;
  readonly id: number;
  readonly asked: Create;
}

/** Which of VPP's numbers a failed system call has. */
function failureName(error: MemifError | SystemError): RetvalName {
  switch (error.syscall) {
    case 'setns':
      return 'SYSCALL_ERROR_3';
    case 'open':
      return 'SYSCALL_ERROR_2';
    case 'ioctl':
      return 'SYSCALL_ERROR_1';
    case 'netlink':
    case 'sendmsg':
    case 'recvmsg':
      return 'NETLINK_ERROR';
    default:
      return 'SYSCALL_ERROR_1';
  }
}

/** All TAPs. */
export class Taps {
  readonly #state: State;
  readonly #taps = new Pool<Tap>();

  constructor(state: State) {
    this.#state = state;
    const { handlers } = state;
    handlers.on('tap_create_v2', (asked) => ({ retval: 0, sw_if_index: this.#create(asked) }), NONE);
    handlers.on('tap_create_v3', (asked) => ({ retval: 0, sw_if_index: this.#create(asked) }), NONE);
    handlers.on('tap_delete_v2', ({ sw_if_index }) => {
      for (let index = 0, left = this.#taps.size; left > 0; index++) {
        const tap = this.#taps.get(index);
        if (tap === undefined) continue;
        left -= 1;
        if (tap.shown.swIfIndex !== sw_if_index) continue;
        this.#taps.remove(index);
        state.interfaces.remove(tap.shown);
        return OK;
      }
      throw new Refused('INVALID_SW_IF_INDEX');
    });
    handlers.rows('sw_interface_tap_v2_dump', ({ sw_if_index }) => this.#details(sw_if_index));
  }

  /** In the order of their numbers. */
  values(): Generator<Tap> {
    return this.#taps.values();
  }

  #create(asked: Create): number {
    const used = new Set([...this.#taps.values()].map(({ id }) => id));
    let { id } = asked;
    if (id !== ANY && used.has(id)) throw new Refused('INVALID_INTERFACE');
    if (id === ANY) for (id = 0; used.has(id);) id += 1;
    if (id > MOST) throw new Refused('UNSPECIFIED');
    const flags = asked.tap_flags;
    if ((flags & ATTACH) !== 0 && !asked.host_if_name_set) throw new Refused('NO_MATCHING_INTERFACE');
    // Bare IP from the kernel is not forwarded here.
    if ((flags & TUN) !== 0) throw new Refused('UNSUPPORTED');
    const name = `tap${id}`;
    const spec: Omit<TapInterface, 'swIfIndex'> = {
      kind: 'tap',
      name,
      mac: asked.use_random_mac ? randomMac() : asked.mac_address,
      ...(asked.host_if_name_set && { hostName: asked.host_if_name }),
      ...(asked.host_namespace_set && { hostNamespace: asked.host_namespace }),
      ...(asked.host_mac_addr_set && { hostMac: asked.host_mac_addr }),
      ...(asked.host_mtu_set && { hostMtu: asked.host_mtu_size }),
      ...(asked.host_ip4_prefix_set && { hostIp4: asked.host_ip4_prefix }),
      ...(asked.host_ip6_prefix_set && { hostIp6: asked.host_ip6_prefix }),
      ...(asked.host_ip4_gw_set && { hostIp4Gateway: asked.host_ip4_gw }),
      ...(asked.host_ip6_gw_set && { hostIp6Gateway: asked.host_ip6_gw }),
      ...(asked.host_bridge_set && { hostBridge: asked.host_bridge }),
      persist: (flags & PERSIST) !== 0,
      gso: (flags & GSO) !== 0,
      rxMode: this.#state.interfaces.portRxMode,
    };
    const shown = refusing(
      () => this.#state.interfaces.add({ kind: 'tap', devType: 'tap', name, mac: spec.mac as string, queues: 1 }, spec),
      failureName,
    );
    shown.tag = asked.tag;
    this.#taps.put({ shown, id, asked });
    return shown.swIfIndex;
  }

  *#details(wanted: number): Generator<Row<'sw_interface_tap_v2_dump'>> {
    if (wanted !== NO_INTERFACE) this.#state.interfaces.must(wanted);
    for (const { shown, id, asked } of this.#taps.values()) {
      if (wanted !== NO_INTERFACE && shown.swIfIndex !== wanted) continue;
      const { hostName, hostMac } = this.#state.forwarder.status(shown.swIfIndex);
      yield {
        sw_if_index: shown.swIfIndex,
        id,
        tx_ring_sz: asked.tx_ring_sz || 256,
        rx_ring_sz: asked.rx_ring_sz || 256,
        host_mtu_size: asked.host_mtu_set ? asked.host_mtu_size : 0,
        host_mac_addr: hostMac ?? asked.host_mac_addr,
        host_ip4_prefix: asked.host_ip4_prefix_set ? asked.host_ip4_prefix : '0.0.0.0/0',
        host_ip6_prefix: asked.host_ip6_prefix_set ? asked.host_ip6_prefix : '::/0',
        tap_flags: asked.tap_flags,
        dev_name: shown.name,
        host_if_name: hostName ?? asked.host_if_name,
        host_namespace: asked.host_namespace_set ? asked.host_namespace : '',
        host_bridge: asked.host_bridge_set ? asked.host_bridge : '',
      };
    }
  }
}

/** A MAC address of our own making, as VPP makes one for what is not told its own: `02:fe:…`. */
export function randomMac(): string {
  const tail = Array.from({ length: 4 }, () =>
    Math.floor(Math.random() * 256)
      .toString(16)
      .padStart(2, '0'),
  );
  return `02:fe:${tail.join(':')}`;
}
