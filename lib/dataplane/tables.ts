// IP tables (VRFs) and which of them an interface is looked up in.
//
// A table lives while somebody holds it: a client (once, however often it adds it) or an interface that is bound to it.

import { NO_INTERFACE, type FlowHashConfig } from './forwarding/control.js';
import { OK } from './handlers.js';
import type { Interface } from './interfaces.js';
import { IdFinder, Pool } from './pool.js';
import { Refused } from './retvals.js';
import type { State } from './state.js';

const ANY = 0xffffffff;

/** A table of one family. */
export interface Table {
  readonly id: number;
  readonly isIp6: boolean;
  readonly name: string;
  /** A client holds it. */
  held: boolean;
  readonly bound: Set<Interface>;
}

/** All tables. */
export class Tables {
  readonly #state: State;
  readonly #pools = [new Pool<Table>(), new Pool<Table>()] as const;
  readonly #byId = [new Map<number, Table>(), new Map<number, Table>()] as const;
  readonly #ids = [new IdFinder(0xffffffff, ANY), new IdFinder(0xffffffff, ANY)] as const;

  constructor(state: State) {
    this.#state = state;
    this.#put(0, false, '');
    this.#put(0, true, '');
    const { handlers, interfaces } = state;
    const addDel = ({
      is_add,
      table,
    }: {
      is_add: boolean;
      table: { table_id: number; is_ip6: boolean; name: string };
    }) => {
      if (is_add) this.add(table.table_id, table.is_ip6, table.name);
      else this.#release(table.table_id, table.is_ip6);
      return OK;
    };
    handlers.on('ip_table_add_del', addDel);
    handlers.on('ip_table_add_del_v2', addDel);
    handlers.on('ip_table_allocate', ({ table }) => {
      const family = table.is_ip6 ? 1 : 0;
      let id = table.table_id;
      if (id === ANY) id = this.#ids[family].find((used) => this.#byId[family].has(used)) ?? ANY;
      this.add(id, table.is_ip6, table.name);
      return { retval: 0, table: { ...table, table_id: id } };
    });
    handlers.rows('ip_table_dump', function* (this: void) {
      for (const pool of pools) {
        for (const { id, isIp6, name } of pool.values()) yield { table: { table_id: id, is_ip6: isIp6, name } };
      }
    });
    const pools = this.#pools;
    handlers.on('ip_table_flush', ({ table }) => {
      const found = this.must(table.table_id, table.is_ip6);
      // As in VPP, which takes the interfaces of the table down first.
      for (const one of interfaces.values()) {
        if (one.tables[found.isIp6 ? 1 : 0] === found.id) interfaces.setAdmin(one, false);
      }
      state.routes.flush(found);
      return OK;
    });
    handlers.on('sw_interface_set_table', ({ sw_if_index, is_ipv6, vrf_id }) => {
      const one = interfaces.must(sw_if_index);
      const table = this.must(vrf_id, is_ipv6);
      if (state.addresses.has(one, is_ipv6)) throw new Refused('ADDRESS_FOUND_FOR_INTERFACE');
      this.#bind(one, table);
      return OK;
    });
    handlers.on(
      'sw_interface_get_table',
      ({ sw_if_index, is_ipv6 }) => ({ retval: 0, vrf_id: interfaces.must(sw_if_index).tables[is_ipv6 ? 1 : 0] }),
      { retval: 0, vrf_id: NO_INTERFACE },
    );
    this.#registerFlowHash();
  }

  get(id: number, isIp6: boolean): Table | undefined {
    return this.#byId[isIp6 ? 1 : 0].get(id);
  }

  /** The table a request names. */
  must(id: number, isIp6: boolean): Table {
    const found = this.get(id, isIp6);
    if (found === undefined) throw new Refused('NO_SUCH_FIB');
    return found;
  }

  /** In the order of ip_table_dump, of one family. */
  values(isIp6: boolean): Generator<Table> {
    return this.#pools[isIp6 ? 1 : 0].values();
  }

  add(id: number, isIp6: boolean, name: string): void {
    if (id === 0) return;
    const found = this.get(id, isIp6);
    if (found !== undefined) found.held = true;
    else {
      this.#put(id, isIp6, name);
      this.#state.forwarder.addTable(id, isIp6);
    }
  }

  #put(id: number, isIp6: boolean, name: string): void {
    const table = { id, isIp6, name: name || `ipv${isIp6 ? 6 : 4}-VRF:${id}`, held: true, bound: new Set<Interface>() };
    this.#pools[isIp6 ? 1 : 0].put(table);
    this.#byId[isIp6 ? 1 : 0].set(id, table);
  }

  #release(id: number, isIp6: boolean): void {
    const table = this.get(id, isIp6);
    if (id === 0 || table === undefined) return;
    table.held = false;
    this.#dropIfUnused(table);
  }

  #dropIfUnused(table: Table): void {
    if (table.id === 0 || table.held || table.bound.size > 0) return;
    const family = table.isIp6 ? 1 : 0;
    this.#state.routes.flush(table);
    this.#state.forwarder.removeTable(table.id, table.isIp6);
    this.#byId[family].delete(table.id);
    for (let index = 0; ; index++) {
      if (this.#pools[family].get(index) !== table) continue;
      this.#pools[family].remove(index);
      return;
    }
  }

  #bind(one: Interface, table: Table): void {
    const family = table.isIp6 ? 1 : 0;
    const old = this.must(one.tables[family], table.isIp6);
    if (old === table) return;
    one.tables[family] = table.id;
    table.bound.add(one);
    this.#state.forwarder.setTable(one.swIfIndex, table.isIp6, table.id);
    old.bound.delete(one);
    this.#dropIfUnused(old);
  }

  interfaceGone(gone: Interface): void {
    this.#bind(gone, this.must(0, false));
    this.#bind(gone, this.must(0, true));
    for (const isIp6 of [false, true]) this.must(0, isIp6).bound.delete(gone);
  }

  #registerFlowHash(): void {
    const { handlers, forwarder } = this.#state;
    const set = ({
      table_id,
      af,
      flow_hash_config: bits,
    }: {
      table_id: number;
      af: number;
      flow_hash_config: number;
    }) => {
      this.must(table_id, af === 1);
      forwarder.setFlowHash(table_id, af === 1, flowHash(bits));
      return OK;
    };
    handlers.on('set_ip_flow_hash_v2', set);
    handlers.on('set_ip_flow_hash_v3', set);
    handlers.on('set_ip_flow_hash', ({ vrf_id, is_ipv6, src, dst, sport, dport, proto, reverse, symmetric }) => {
      this.must(vrf_id, is_ipv6);
      forwarder.setFlowHash(vrf_id, is_ipv6, {
        sourceIp: src,
        destinationIp: dst,
        sourcePort: sport,
        destinationPort: dport,
        protocol: proto,
        reverse,
        symmetric,
      });
      return OK;
    });
  }
}

/** VPP's `ip_flow_hash_config` bits. */
function flowHash(bits: number): FlowHashConfig {
  return {
    sourceIp: (bits & 1) !== 0,
    destinationIp: (bits & 2) !== 0,
    sourcePort: (bits & 4) !== 0,
    destinationPort: (bits & 8) !== 0,
    protocol: (bits & 16) !== 0,
    reverse: (bits & 32) !== 0,
    symmetric: (bits & 64) !== 0,
  };
}
