// VRF tables: one per family and number. Table 0 is there always.
//
//   vppctl: ip table add 7           vpp.tables.create({ id: 7, family: 'ip4', name: 'red' })
//           show ip table            vpp.tables.list()

import { ArgumentTypeError, VppObjectError } from '../errors.js';
import type { Core } from './core.js';

/** A table. */
export interface TableInfo {
  readonly id: number;
  readonly family: 'ip4' | 'ip6';
  /** The name that was given; VPP makes one (`ipv4-VRF:7`) when none was. */
  readonly name: string;
}

/** A table to make. */
export interface TableOptions {
  id: number;
  /** Default both. */
  family?: 'ip4' | 'ip6';
  /** Up to 63 bytes. */
  name?: string;
  /** With a multicast table, default true (VPP 24.10 and later). */
  multicast?: boolean;
}

/** What of a packet chooses among paths of equal cost. */
export interface FlowHash {
  source?: boolean;
  destination?: boolean;
  sourcePort?: boolean;
  destinationPort?: boolean;
  protocol?: boolean;
  /** Source and destination exchanged. */
  reverse?: boolean;
  /** Both directions of a flow alike. */
  symmetric?: boolean;
  /** IPv6. */
  flowLabel?: boolean;
  /** Of GTP-U packets (VPP with set_ip_flow_hash_v3). */
  gtpTeid?: boolean;
}

const hashBits: Readonly<Record<keyof FlowHash, number>> = {
  source: 1,
  destination: 2,
  sourcePort: 4,
  destinationPort: 8,
  protocol: 16,
  reverse: 32,
  symmetric: 64,
  flowLabel: 128,
  gtpTeid: 256,
};

const describe = (family: string, id: number): string => `${family} table ${id}`;

/**
 * `vpp.tables`
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { openVpp } from 'node-vpp/vpp';
 *
 * const vpp = await openVpp({ socket: process.env.VPP_SOCKET ?? '/run/vpp/api.sock' });
 * assert.equal(await vpp.tables.ensure({ id: 901, name: 'doc-red' }), true);
 * assert.equal(await vpp.tables.ensure({ id: 901, name: 'doc-red' }), false);
 * await vpp.tables.setFlowHash(901, 'ip4', { source: true, destination: true, symmetric: true });
 * await vpp.tables.flush(901, 'ip4');
 * const fresh = await vpp.tables.allocate('ip4', 'doc-fresh');
 * await vpp.tables.delete(fresh.id, { family: 'ip4' });
 * await vpp.tables.delete(901);
 * await vpp.close();
 * ```
 */
export class Tables {
  readonly #core: Core;

  constructor(core: Core) {
    this.#core = core;
  }

  /** All tables, IPv4 first. */
  async list(): Promise<TableInfo[]> {
    const rows = await this.#core.rows('ip_table_dump', {}, 'tables');
    return rows.map(({ table }) => ({
      id: table.table_id,
      family: table.is_ip6 ? ('ip6' as const) : ('ip4' as const),
      name: table.name,
    }));
  }

  /** Makes a table, of one family or both. VPP takes it as one more use of the table when there is one already. */
  async create(options: TableOptions): Promise<void> {
    for (const family of familiesOf(options.family)) await this.#add(options, family);
  }

  /** Makes a table where there is none; true when it made one. */
  async ensure(options: TableOptions): Promise<boolean> {
    const held = await this.list();
    let made = false;
    for (const family of familiesOf(options.family)) {
      const found = held.find((table) => table.id === options.id && table.family === family);
      if (found === undefined) {
        await this.#add(options, family);
        made = true;
      } else if (options.name !== undefined && options.name !== found.name && options.id !== 0) {
        const problem = `it exists and is called "${found.name}", not "${options.name}"; delete it first`;
        throw new VppObjectError('ERR_VPP_OBJECT_DIFFERS', describe(family, options.id), problem);
      }
    }
    return made;
  }

  async #add({ id, name = '', multicast = true }: TableOptions, family: 'ip4' | 'ip6'): Promise<void> {
    const table = { table_id: id, is_ip6: family === 'ip6', name };
    const object = describe(family, id);
    if (this.#core.newest('ip_table_add_del_v2', 'ip_table_add_del') === 'ip_table_add_del_v2') {
      const fields = { table, create_mfib: multicast, is_add: true };
      await this.#core.request('ip_table_add_del_v2', fields, object, 'create it');
    } else await this.#core.request('ip_table_add_del', { table, is_add: true }, object, 'create it');
  }

  /** A table of a number that nobody uses. */
  async allocate(family: 'ip4' | 'ip6', name = ''): Promise<TableInfo> {
    const table = { table_id: 0xffffffff, is_ip6: family === 'ip6', name };
    const reply = await this.#core.request('ip_table_allocate', { table }, `${family} table`, 'allocate it');
    return { id: reply.table.table_id, family, name: reply.table.name };
  }

  /** Deletes a table; its routes go with the last interface that is in it. */
  async delete(id: number, options: { family?: 'ip4' | 'ip6' } = {}): Promise<void> {
    for (const family of familiesOf(options.family)) {
      const table = { table_id: id, is_ip6: family === 'ip6', name: '' };
      const message = this.#core.newest('ip_table_add_del_v2', 'ip_table_add_del');
      const fields = { table, is_add: false };
      await this.#core.request(message as 'ip_table_add_del', fields, describe(family, id), 'delete it');
    }
  }

  /** Deletes the routes that the API has made in a table. */
  async flush(id: number, family: 'ip4' | 'ip6'): Promise<void> {
    const table = { table_id: id, is_ip6: family === 'ip6', name: '' };
    await this.#core.request('ip_table_flush', { table }, describe(family, id), 'flush it');
  }

  /**
   * What chooses among equal paths (`set ip flow-hash table 7 src dst sport dport proto`). What is not named is not used.
   * VPP does not tell what is set.
   */
  async setFlowHash(id: number, family: 'ip4' | 'ip6', hash: FlowHash): Promise<void> {
    let bits = 0;
    for (const [name, on] of Object.entries(hash) as [keyof FlowHash, boolean | undefined][]) {
      if (!(name in hashBits)) throw new ArgumentTypeError(`a flow hash has no part "${name}"`);
      if (on === true) bits |= hashBits[name];
    }
    const message = this.#core.newest('set_ip_flow_hash_v3', 'set_ip_flow_hash_v2');
    if (message === 'set_ip_flow_hash_v2' && bits > 255) {
      throw new ArgumentTypeError('this VPP does not hash over the TEID of GTP-U');
    }
    const fields = { table_id: id, af: family === 'ip6' ? 1 : 0, flow_hash_config: bits };
    await this.#core.request(message, fields, describe(family, id), 'set its flow hash');
  }
}

function familiesOf(family: 'ip4' | 'ip6' | undefined): readonly ('ip4' | 'ip6')[] {
  return family === undefined ? ['ip4', 'ip6'] : [family];
}
