// Access lists: rules, and the lists of them on interfaces, as VPP's ACL plugin has them.

import { NO_INTERFACE, type AclRule } from './forwarding/control.js';
import { OK, type Asked } from './handlers.js';
import type { Interface } from './interfaces.js';
import { isPrefix, parsePrefix } from '../net/index.js';
import { Pool } from './pool.js';
import { Refused } from './retvals.js';
import type { State } from './state.js';

const ANY = 0xffffffff;
const TAG_BYTES = 64;

type ApiRule = Asked<'acl_add_replace'>['r'][number];

/** An access list. */
export interface Acl {
  readonly index: number;
  tag: string;
  rules: readonly ApiRule[];
}

interface Lists {
  input: readonly number[];
  output: readonly number[];
}

/** All access lists. */
export class Acls {
  readonly #state: State;
  readonly #acls = new Pool<Acl>();
  readonly #lists = new Map<Interface, Lists>();

  constructor(state: State) {
    this.#state = state;
    const { handlers, interfaces } = state;
    handlers.on('acl_plugin_get_version', () => ({ major: 1, minor: 4 }));
    handlers.on('acl_plugin_control_ping', () => ({ retval: 0, vpe_pid: state.identity.pid }));
    handlers.on('acl_plugin_get_conn_table_max_entries', () => ({
      conn_table_max_entries: BigInt(state.forwarder.aclSessions().max),
    }));
    handlers.on('acl_plugin_use_hash_lookup_get', () => ({ enable: true }));
    handlers.on('acl_plugin_use_hash_lookup_set', () => OK);
    handlers.on('acl_stats_intf_counters_enable', () => OK);
    state.server.handle('acl_add_replace', (fields) => {
      const asked = fields as unknown as Asked<'acl_add_replace'>;
      try {
        return { retval: 0, acl_index: this.#set(asked) };
      } catch (error) {
        if (error instanceof Refused) return { retval: error.retval, acl_index: asked.acl_index };
        throw error;
      }
    });
    handlers.on('acl_del', ({ acl_index }) => {
      this.#delete(acl_index);
      return OK;
    });
    handlers.on('acl_interface_add_del', ({ is_add, is_input, sw_if_index, acl_index }) => {
      this.#addDel(interfaces.must(sw_if_index), acl_index, is_input, is_add);
      return OK;
    });
    handlers.on('acl_interface_set_acl_list', ({ sw_if_index, n_input, acls }) => {
      const one = interfaces.must(sw_if_index);
      if (acls.some((index) => this.#acls.get(index) === undefined)) throw new Refused('NO_SUCH_ENTRY');
      this.#apply(one, { input: acls.slice(0, n_input), output: acls.slice(n_input) });
      return OK;
    });
    handlers.rows('acl_dump', ({ acl_index }) => {
      const one = this.#acls.get(acl_index);
      const chosen = acl_index === ANY ? this.values() : one === undefined ? [] : [one];
      return [...chosen].map(({ index, tag, rules }) => ({ acl_index: index, tag, r: rules }));
    });
    handlers.rows('acl_interface_list_dump', ({ sw_if_index }) => {
      const chosen = sw_if_index === NO_INTERFACE ? [...interfaces.values()] : [interfaces.must(sw_if_index)];
      return chosen.map((one) => {
        const { input, output } = this.listsOf(one);
        return { sw_if_index: one.swIfIndex, n_input: input.length, acls: [...input, ...output] };
      });
    });
  }

  /** In the order of their numbers. */
  values(): Generator<Acl> {
    return this.#acls.values();
  }

  listsOf(one: Interface): Lists {
    return this.#lists.get(one) ?? { input: [], output: [] };
  }

  interfaceGone(gone: Interface): void {
    if (this.#lists.has(gone)) this.#apply(gone, { input: [], output: [] });
  }

  #set({ acl_index, tag, r }: Asked<'acl_add_replace'>): number {
    if (Buffer.byteLength(tag) >= TAG_BYTES) throw new Refused('INVALID_VALUE');
    for (const rule of r) mustBeSound(rule);
    let acl = this.#acls.get(acl_index);
    if (acl === undefined) {
      if (acl_index !== ANY) throw new Refused('NO_SUCH_ENTRY');
      acl = { index: this.#acls.next, tag, rules: r };
      this.#acls.put(acl);
    } else {
      acl.tag = tag;
      acl.rules = r;
    }
    this.#state.forwarder.setAcl(acl.index, r.map(forForwarder));
    return acl.index;
  }

  #delete(index: number): void {
    if (this.#acls.get(index) === undefined) throw new Refused('NO_SUCH_ENTRY');
    const lists = [...this.#lists.values()];
    if (lists.some(({ input }) => input.includes(index))) throw new Refused('ACL_IN_USE_INBOUND');
    if (lists.some(({ output }) => output.includes(index))) throw new Refused('ACL_IN_USE_OUTBOUND');
    this.#acls.remove(index);
    this.#state.forwarder.removeAcl(index);
  }

  #addDel(one: Interface, index: number, isInput: boolean, isAdd: boolean): void {
    const lists = this.listsOf(one);
    const side = isInput ? 'input' : 'output';
    const has = lists[side].includes(index);
    if (isAdd) {
      if (has) throw new Refused(isInput ? 'ACL_IN_USE_INBOUND' : 'ACL_IN_USE_OUTBOUND');
      if (this.#acls.get(index) === undefined) throw new Refused('NO_SUCH_ENTRY');
      this.#apply(one, { ...lists, [side]: [...lists[side], index] });
      return;
    }
    if (!has) throw new Refused('NO_SUCH_ENTRY');
    this.#apply(one, { ...lists, [side]: lists[side].filter((other) => other !== index) });
  }

  #apply(one: Interface, lists: Lists): void {
    for (const list of [lists.output, lists.input]) {
      // VPP's handler answers a list that names one twice with the truth value of an error: 1.
      if (new Set(list).size !== list.length) throw new Refused(1);
    }
    if (lists.input.length + lists.output.length === 0) this.#lists.delete(one);
    else this.#lists.set(one, lists);
    this.#state.forwarder.setAclLists(one.swIfIndex, lists.input, lists.output);
  }
}

/** A prefix without host bits. */
function isNetwork(text: string): boolean {
  return isPrefix(text) && parsePrefix(text).isNetwork;
}

function mustBeSound(rule: ApiRule): void {
  if (!isNetwork(rule.src_prefix)) throw new Refused('INVALID_SRC_ADDRESS');
  if (!isNetwork(rule.dst_prefix)) throw new Refused('INVALID_DST_ADDRESS');
  if (rule.src_prefix.includes(':') !== rule.dst_prefix.includes(':')) throw new Refused('INVALID_SRC_ADDRESS');
  if (rule.srcport_or_icmptype_first > rule.srcport_or_icmptype_last) throw new Refused('INVALID_VALUE_2');
  if (rule.dstport_or_icmpcode_first > rule.dstport_or_icmpcode_last) throw new Refused('INVALID_VALUE_2');
}

function forForwarder(rule: ApiRule): AclRule {
  return {
    action: Math.min(rule.is_permit, 2) as 0 | 1 | 2,
    source: rule.src_prefix,
    destination: rule.dst_prefix,
    protocol: rule.proto,
    sourceFirst: rule.srcport_or_icmptype_first,
    sourceLast: rule.srcport_or_icmptype_last,
    destinationFirst: rule.dstport_or_icmpcode_first,
    destinationLast: rule.dstport_or_icmpcode_last,
    tcpFlagsMask: rule.tcp_flags_mask,
    tcpFlagsValue: rule.tcp_flags_value,
  };
}
