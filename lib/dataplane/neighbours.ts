// Neighbours: who has which MAC behind an interface. The forwarder has them; here are VPP's rules on who may change what.

import { NO_INTERFACE, type Neighbour } from './forwarding/control.js';
import { within } from './failures.js';
import { OK, type Row } from './handlers.js';
import type { Interface } from './interfaces.js';
import { Refused } from './retvals.js';
import type { State } from './state.js';

const STATIC = 1;
const NO_FIB_ENTRY = 2;
const NO_STATS = 0xffffffff;
/** A dynamic entry may not replace a static one of another MAC; VPP answers a bare -2. */
const STATIC_STAYS = -2;

/** See above. */
export class Neighbours {
  readonly #state: State;
  /** By interface and address: static ones, which a client has to remove. */
  readonly #statics = new Map<string, string>();

  constructor(state: State) {
    this.#state = state;
    const { handlers, interfaces, forwarder } = state;
    handlers.on(
      'ip_neighbor_add_del',
      ({ is_add, neighbor: { sw_if_index, flags, mac_address: mac, ip_address: ip } }) => {
        interfaces.must(sw_if_index);
        if (!isAddress(ip)) throw new Refused('INVALID_ADDRESS_FAMILY');
        const key = `${sw_if_index} ${ip}`;
        if (!is_add) {
          this.#statics.delete(key);
          if (!forwarder.removeNeighbour(sw_if_index, ip)) throw new Refused('NO_SUCH_ENTRY');
          return { retval: 0, stats_index: NO_STATS };
        }
        const isStatic = (flags & STATIC) !== 0;
        const known = this.#statics.get(key);
        if (known !== undefined && !isStatic) {
          if (known !== mac) throw new Refused(STATIC_STAYS);
          return { retval: 0, stats_index: 0 };
        }
        if (isStatic) this.#statics.set(key, mac);
        const noFibEntry = (flags & NO_FIB_ENTRY) !== 0;
        const stats_index = within('LIMIT_EXCEEDED', () =>
          forwarder.setNeighbour({ swIfIndex: sw_if_index, ip, mac, static: isStatic, noFibEntry }),
        );
        return { retval: 0, stats_index };
      },
      { retval: 0, stats_index: NO_STATS },
    );
    handlers.rows('ip_neighbor_dump', function* (this: void, { sw_if_index, af }) {
      if (af > 1) return;
      const of = sw_if_index === NO_INTERFACE ? undefined : sw_if_index;
      const found = [...forwarder.neighbours(af === 1, of)].sort((a, b) => a.swIfIndex - b.swIfIndex);
      for (const neighbour of found) yield { age: neighbour.ageS, neighbor: shown(neighbour) };
    });
    handlers.on('ip_neighbor_flush', ({ af, sw_if_index }) => {
      if (af > 1) throw new Refused('INVALID_ADDRESS_FAMILY');
      if (sw_if_index !== NO_INTERFACE) interfaces.must(sw_if_index);
      forwarder.flushNeighbours(af === 1, sw_if_index === NO_INTERFACE ? undefined : sw_if_index);
      this.#forget(sw_if_index, af === 1);
      return OK;
    });
    handlers.on('ip_neighbor_config', ({ af, max_number, max_age, recycle }) => {
      if (af > 1) throw new Refused('INVALID_ADDRESS_FAMILY');
      forwarder.setNeighbourLimits(af === 1, { max: max_number, ageS: max_age, recycle });
      return OK;
    });
    handlers.on('ip_neighbor_config_get', ({ af }) => {
      if (af > 1) throw new Refused('INVALID_ADDRESS_FAMILY');
      const { max, ageS, recycle } = forwarder.neighbourLimits(af === 1);
      return { retval: 0, af, max_number: max, max_age: ageS, recycle };
    });
  }

  #forget(swIfIndex: number, isIp6?: boolean): void {
    for (const key of this.#statics.keys()) {
      const [index, ip = ''] = key.split(' ');
      if (swIfIndex !== NO_INTERFACE && Number(index) !== swIfIndex) continue;
      if (isIp6 === undefined || ip.includes(':') === isIp6) this.#statics.delete(key);
    }
  }

  interfaceGone(gone: Interface): void {
    this.#forget(gone.swIfIndex);
  }

  /** The forwarder learnt one, or one has aged. */
  learnt(kind: 'add' | 'delete', neighbour: Neighbour): void {
    if (kind === 'add') this.#state.event('ip_neighbor_event', { neighbor: shown(neighbour) });
    const flags = kind === 'add' ? 1 : 2;
    this.#state.event('ip_neighbor_event_v2', { flags, neighbor: shown(neighbour) });
  }
}

function shown(neighbour: Neighbour): NonNullable<Row<'ip_neighbor_dump'>['neighbor']> {
  return {
    sw_if_index: neighbour.swIfIndex,
    flags: (neighbour.static ? STATIC : 0) | (neighbour.noFibEntry ? NO_FIB_ENTRY : 0),
    mac_address: neighbour.mac,
    ip_address: neighbour.ip,
  };
}

/** An address of neither family arrives as bytes in text. */
export function isAddress(ip: string): boolean {
  return !ip.startsWith('af');
}
