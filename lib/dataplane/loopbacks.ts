// Loopbacks and BVIs: interfaces without a port. A loopback becomes the BVI of a bridge domain when it is bridged so.

import { NO_INTERFACE } from './forwarding/control.js';
import { OK } from './handlers.js';
import type { Interface } from './interfaces.js';
import { Refused } from './retvals.js';
import type { State } from './state.js';

const MOST = 16 * 1024;
const NO_MAC = '00:00:00:00:00:00';
const NONE = { sw_if_index: NO_INTERFACE };

/** Numbers in names, given out lowest first. */
class Instances {
  readonly #used = new Set<number>();

  take(wanted: number | undefined): number {
    let instance = wanted ?? 0;
    if (wanted === undefined) while (this.#used.has(instance)) instance += 1;
    if (instance >= MOST || this.#used.has(instance)) throw new Refused('INVALID_REGISTRATION');
    this.#used.add(instance);
    return instance;
  }

  free(instance: number): void {
    this.#used.delete(instance);
  }
}

const hex2 = (value: number) => (value & 255).toString(16).padStart(2, '0');

/** All loopbacks and BVIs. */
export class Loopbacks {
  readonly #state: State;
  readonly #instances = { loopback: new Instances(), bvi: new Instances() };
  readonly #instanceOf = new Map<Interface, number>();

  constructor(state: State) {
    this.#state = state;
    const { handlers } = state;
    handlers.on('create_loopback', ({ mac_address }) => this.#made('loopback', mac_address, undefined), NONE);
    handlers.on(
      'create_loopback_instance',
      ({ mac_address, is_specified, user_instance }) =>
        this.#made('loopback', mac_address, is_specified ? user_instance : undefined),
      NONE,
    );
    handlers.on('delete_loopback', ({ sw_if_index }) => this.#delete('loopback', sw_if_index));
    handlers.on(
      'bvi_create',
      ({ mac, user_instance }) => this.#made('bvi', mac, user_instance === NO_INTERFACE ? undefined : user_instance),
      NONE,
    );
    handlers.on('bvi_delete', ({ sw_if_index }) => this.#delete('bvi', sw_if_index));
  }

  #made(kind: 'loopback' | 'bvi', mac: string, instance: number | undefined): { retval: number; sw_if_index: number } {
    return { retval: 0, sw_if_index: this.create(kind, mac, instance).swIfIndex };
  }

  /** Makes one; a MAC of zeros stands for the one that VPP makes up from the instance. */
  create(kind: 'loopback' | 'bvi', mac: string, wanted: number | undefined): Interface {
    const instance = this.#instances[kind].take(wanted);
    const name = kind === 'bvi' ? `bvi${instance}` : `loop${instance}`;
    const own = kind === 'bvi' ? `b0:b0:00:00:00:${hex2(instance)}` : `de:ad:00:00:00:${hex2(instance)}`;
    const chosen = mac === NO_MAC ? own : mac;
    const made = this.#state.interfaces.add(
      { kind, devType: kind === 'bvi' ? 'BVI' : 'Loopback', name, mac: chosen },
      { kind: 'loopback', name, mac: chosen },
    );
    this.#instanceOf.set(made, instance);
    return made;
  }

  #delete(kind: 'loopback' | 'bvi', swIfIndex: number): typeof OK {
    const one = this.#state.interfaces.must(swIfIndex);
    if (one.kind !== kind) throw new Refused('INVALID_SW_IF_INDEX');
    this.#instances[kind].free(this.#instanceOf.get(one)!);
    this.#instanceOf.delete(one);
    this.#state.interfaces.remove(one);
    return OK;
  }
}
