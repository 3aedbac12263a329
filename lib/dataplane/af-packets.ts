// Interfaces on devices of the kernel (`host-<device>`), by AF_PACKET: most often our end of a veth pair.

import { NO_INTERFACE } from './forwarding/control.js';
import { refusing } from './failures.js';
import { OK } from './handlers.js';
import type { Interface } from './interfaces.js';
import { Refused } from './retvals.js';
import type { State } from './state.js';
import { randomMac } from './taps.js';

const ENODEV = 19;
const ETHERNET = 1;
const NONE = { retval: 0, sw_if_index: NO_INTERFACE };

interface Create {
  readonly host_if_name: string;
  readonly hw_addr: string;
  readonly use_random_hw_addr: boolean;
}

/** All of them, by device. */
export class AfPackets {
  readonly #state: State;
  readonly #byDevice = new Map<string, Interface>();

  constructor(state: State) {
    this.#state = state;
    const { handlers } = state;
    const create = (asked: Create) => {
      const found = this.#byDevice.get(asked.host_if_name);
      if (found !== undefined) return { retval: new Refused('IF_ALREADY_EXISTS').retval, sw_if_index: found.swIfIndex };
      return { retval: 0, sw_if_index: this.#create(asked).swIfIndex };
    };
    handlers.on('af_packet_create', create, NONE);
    handlers.on('af_packet_create_v2', create, NONE);
    handlers.on(
      'af_packet_create_v3',
      (asked) => {
        if (asked.mode !== ETHERNET) throw new Refused(asked.mode === 2 ? 'UNSUPPORTED' : 'INVALID_VALUE');
        return create(asked);
      },
      NONE,
    );
    handlers.on('af_packet_delete', ({ host_if_name }) => {
      const found = this.#byDevice.get(host_if_name);
      if (found === undefined) throw new Refused('SYSCALL_ERROR_1');
      this.#byDevice.delete(host_if_name);
      state.interfaces.remove(found);
      return OK;
    });
    handlers.rows('af_packet_dump', () =>
      [...this.#byDevice].map(([host_if_name, { swIfIndex }]) => ({ sw_if_index: swIfIndex, host_if_name })),
    );
    handlers.on('af_packet_set_l4_cksum_offload', ({ sw_if_index }) => {
      if (state.interfaces.must(sw_if_index).kind !== 'af_packet') throw new Refused('INVALID_INTERFACE');
      return OK;
    });
  }

  #create({ host_if_name, hw_addr, use_random_hw_addr }: Create): Interface {
    const name = `host-${host_if_name}`;
    const mac = use_random_hw_addr ? randomMac() : hw_addr;
    const { interfaces } = this.#state;
    const made = refusing(
      () =>
        interfaces.add(
          { kind: 'af_packet', devType: 'af-packet', name, mac, queues: 1 },
          { kind: 'af_packet', name, mac, hostName: host_if_name, rxMode: interfaces.portRxMode },
        ),
      (error) => (error.errno === ENODEV ? 'INVALID_INTERFACE' : 'SYSCALL_ERROR_1'),
    );
    this.#byDevice.set(host_if_name, made);
    return made;
  }
}
