// The L2 FIB: where each MAC of a bridge domain is. The forwarder has it; here is who may change it and how it is shown.

import { NO_INTERFACE, type L2FibEntry } from './forwarding/control.js';
import type { BridgeDomain } from './bridges.js';
import { OK } from './handlers.js';
import type { Interface } from './interfaces.js';
import { parseMac } from '../net/index.js';
import { hashMac, inHashOrder } from './order.js';
import { Refused } from './retvals.js';
import type { State } from './state.js';

const ANY = 0xffffffff;
/** Buckets of VPP's table. */
const BUCKETS = 256 * 1024;
/** MACs of one l2_macs_event. */
const MACS_OF_EVENT = 100;
const ACTIONS = { add: 0, delete: 1, move: 2 } as const;

/** See above. */
export class L2Fib {
  readonly #state: State;
  /** MACs that a client has set, by domain. */
  readonly #provisioned = new Map<BridgeDomain, Map<string, number>>();
  readonly #news: { sw_if_index: number; mac_addr: string; action: 0 | 1 | 2 }[] = [];

  constructor(state: State) {
    this.#state = state;
    const { handlers, forwarder, interfaces, bridges } = state;
    handlers.rows('l2_fib_table_dump', ({ bd_id }) =>
      this.entries(bd_id).map(({ bdId, mac, swIfIndex, static: isStatic, filter, bvi }) => ({
        bd_id: bdId,
        mac,
        sw_if_index: swIfIndex,
        static_mac: isStatic,
        filter_mac: filter,
        bvi_mac: bvi,
      })),
    );
    handlers.on('l2fib_add_del', (asked) => {
      const domain = bridges.domain(asked.bd_id);
      if (domain === undefined) throw new Refused('NO_SUCH_ENTRY');
      if (!asked.is_add) this.#remove(domain, asked.mac, asked.sw_if_index);
      else if (asked.filter_mac) this.#set(domain, asked.mac, NO_INTERFACE, { static: true, filter: true, bvi: false });
      else {
        const one = interfaces.must(asked.sw_if_index);
        if (bridges.modeOf(one)?.domain === undefined) throw new Refused('INVALID_SW_IF_INDEX');
        this.#set(domain, asked.mac, one.swIfIndex, { static: asked.static_mac, filter: false, bvi: asked.bvi_mac });
      }
      return OK;
    });
    handlers.on('l2fib_flush_all', () => {
      forwarder.flushL2Fib();
      return OK;
    });
    handlers.on('l2fib_flush_bd', ({ bd_id }) => {
      if (bridges.domain(bd_id) === undefined) throw new Refused('NO_SUCH_ENTRY');
      forwarder.flushL2Fib({ bdId: bd_id });
      return OK;
    });
    handlers.on('l2fib_flush_int', ({ sw_if_index }) => {
      forwarder.flushL2Fib({ swIfIndex: interfaces.must(sw_if_index).swIfIndex });
      return OK;
    });
    handlers.on('l2_fib_clear_table', () => {
      // As in VPP: all of them, those of BVIs too.
      for (const { bdId, mac } of [...forwarder.l2Fib()]) forwarder.removeL2FibEntry(bdId, mac);
      this.#provisioned.clear();
      return OK;
    });
    handlers.on('l2fib_set_scan_delay', ({ scan_delay }) => {
      if (scan_delay === 0) throw new Refused('INVALID_VALUE');
      forwarder.flushL2Fib();
      return OK;
    });
  }

  /** In VPP's order. */
  entries(bdId: number): L2FibEntry[] {
    const { forwarder, bridges } = this.#state;
    if (bdId !== ANY && bridges.domain(bdId) === undefined) return [];
    const all = [...(bdId === ANY ? forwarder.l2Fib() : forwarder.l2Fib(bdId))];
    return inHashOrder(all, (entry) => hashMac(parseMac(entry.mac), bridges.domain(entry.bdId)?.index ?? 0), BUCKETS);
  }

  #set(
    domain: BridgeDomain,
    mac: string,
    swIfIndex: number,
    flags: { static: boolean; filter: boolean; bvi: boolean },
  ): void {
    let macs = this.#provisioned.get(domain);
    if (macs === undefined) this.#provisioned.set(domain, (macs = new Map<string, number>()));
    macs.set(mac, swIfIndex);
    this.#state.forwarder.setL2FibEntry({ bdId: domain.id, mac, swIfIndex, ...flags });
  }

  #remove(domain: BridgeDomain, mac: string, swIfIndex: number): void {
    const { forwarder } = this.#state;
    const at = this.#provisioned.get(domain)?.get(mac) ?? find(forwarder.l2Fib(domain.id), mac)?.swIfIndex;
    // As in VPP, 0 stands for any interface.
    if (at === undefined || (swIfIndex !== 0 && swIfIndex !== at)) throw new Refused('NO_SUCH_ENTRY');
    this.#provisioned.get(domain)?.delete(mac);
    if (!forwarder.removeL2FibEntry(domain.id, mac)) throw new Refused('NO_SUCH_ENTRY');
  }

  /** A domain's BVI has its MAC in the table, for good. */
  setBvi(domain: BridgeDomain, bvi: Interface): void {
    this.#set(domain, bvi.mac, bvi.swIfIndex, { static: true, filter: false, bvi: true });
  }

  removeBvi(domain: BridgeDomain, _bvi: Interface, mac: string): void {
    this.#provisioned.get(domain)?.delete(mac);
    this.#state.forwarder.removeL2FibEntry(domain.id, mac);
  }

  domainGone(domain: BridgeDomain): void {
    this.#provisioned.delete(domain);
  }

  /** Gathers what the forwarder learnt into events of many MACs. */
  macEvent(kind: 'add' | 'move' | 'delete', _bdId: number, mac: string, swIfIndex: number): void {
    const { clients } = this.#state.server;
    if (!clients.some(({ wants }) => wants.some((want) => want.startsWith('want_l2_macs_events')))) return;
    if (this.#news.length === 0) setImmediate(() => this.#tell());
    this.#news.push({ sw_if_index: swIfIndex, mac_addr: mac, action: ACTIONS[kind] });
  }

  #tell(): void {
    const news = this.#news.splice(0);
    for (let at = 0; at < news.length; at += MACS_OF_EVENT) {
      this.#state.event('l2_macs_event', { mac: news.slice(at, at + MACS_OF_EVENT) });
    }
  }
}

function find(entries: Iterable<L2FibEntry>, mac: string): L2FibEntry | undefined {
  for (const entry of entries) if (entry.mac === mac) return entry;
  return undefined;
}
