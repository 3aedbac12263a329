/* eslint-disable @typescript-eslint/no-explicit-any, @typescript-eslint/no-unsafe-return, @typescript-eslint/restrict-plus-operands, @typescript-eslint/prefer-nullish-coalescing */
// A stand-in for VPP in tests without one: an ApiServer with enough memory to be configured and asked, and a log of every
// message it was sent. It does not forward packets, and it knows only what the object layer asks for. What it answers was
// checked against VPP 26.06: the same scenarios run against both (test/65).

import { join } from 'node:path';
import { loadBundled, type BundledRelease } from 'node-vpp/api';
import { ApiServer } from 'node-vpp/dataplane';
import { networkPrefix, parsePrefix } from 'node-vpp/net';
import { folder, type TestEnd } from './api.js';

type Fields = Record<string, any>;
const NONE = 0xffffffff;
const ok = { retval: 0 };
const no = (retval: number): Fields => ({ retval });
export const NO_SUCH_ENTRY = -6;
export const INVALID_SW_IF_INDEX = -2;
const NO_SUCH_FIB = -3;
const VALUE_EXIST = -81;

const overlap = (one: string, other: string): boolean => {
  const [a, b] = [one, other].map((prefix) => prefix.split('/') as [string, string]);
  const length = Math.min(Number(a![1]), Number(b![1]));
  return networkPrefix(`${a![0]}/${length}`) === networkPrefix(`${b![0]}/${length}`);
};

interface Itf extends Fields {
  sw_if_index: number;
  addresses: string[];
  tables: { ip4: number; ip6: number };
}

/** See above. */
export class StandIn {
  readonly server: ApiServer;
  /** Keeps no log. */
  quiet = false;
  readonly log: { name: string; fields: Fields }[] = [];
  readonly interfaces = new Map<number, Itf>();
  readonly sockets = new Map<number, string>([[0, '/run/vpp/memif.sock']]);
  readonly tables = new Map<string, string>();
  readonly routes = new Map<string, { src: number; prefix: string; paths: Fields[]; table: number }>();
  readonly neighbors = new Map<string, Fields>();
  readonly bridges = new Map<number, Fields>();
  readonly macs = new Map<string, Fields>();
  readonly arps = new Map<string, Fields>();
  readonly xconnects = new Map<number, number>();
  readonly spans = new Map<string, Fields>();
  readonly acls = new Map<number, Fields>();
  readonly aclsOn = new Map<number, Fields>();
  readonly macips = new Map<number, Fields>();
  readonly macipOn = new Map<number, number>();
  readonly policies = new Map<number, Fields>();
  readonly attached: Fields[] = [];
  readonly l3xc = new Map<string, Fields>();
  readonly urpf = new Map<string, Fields>();
  readonly ranges: Fields[] = [];
  readonly proxyArp = new Set<number>();
  readonly nds: Fields[] = [];
  readonly ra = new Map<number, Fields>();
  readonly redirects = new Map<string, Fields>();
  readonly puntSockets = new Map<string, Fields>();
  readonly members = new Map<number, Fields>();
  readonly unnumbered = new Map<number, number>();
  readonly nat = {
    sessions: 0,
    forwarding: false,
    timeouts: { udp: 300, tcp_established: 7440, tcp_transitory: 240, icmp: 60 },
    sides: new Map<number, number>(),
    outputs: new Set<number>(),
    addresses: [] as Fields[],
    interfaceAddresses: [] as Fields[],
    mappings: [] as Fields[],
    identities: [] as Fields[],
    balancers: [] as Fields[],
    users: [] as Fields[],
    rows: [] as Fields[],
  };
  traces: string[] = [];
  #nextInterface = 1;
  #random = 1;

  constructor(path: string, release: BundledRelease) {
    this.server = new ApiServer({ path, schema: loadBundled(release) });
    this.#add({ interface_name: 'local0', interface_dev_type: 'local' }, 0);
    this.tables.set('0 false', 'ipv4-VRF:0').set('0 true', 'ipv6-VRF:0');
    this.server.on('request', (name, fields) => {
      if (this.quiet) return;
      if (!/^(control_ping|get_api_json|get_f64|want_)/.test(name))
        this.log.push({ name, fields: structuredClone(fields) });
    });
    this.#handlers();
    this.#l3();
    this.#l2();
    this.#policy();
    this.#nat();
  }

  /** The messages since the last call, dumps left out. */
  sent(all = false): { name: string; fields: Fields }[] {
    const messages = this.log.splice(0);
    return all ? messages : messages.filter(({ name }) => !/dump|_get$|_get_|lookup|show_/.test(name));
  }

  #on(name: string, handler: (fields: any) => any): void {
    const { schema } = this.server;
    const service = schema.service(name);
    if (service === undefined) return;
    // What is kept beside the fields of the message stays here.
    const known = new Set(schema.message(service.streamMessage ?? service.reply!)!.fields.map((field) => field.name));
    const sent = (row: Fields): Fields => Object.fromEntries(Object.entries(row).filter(([key]) => known.has(key)));
    this.server.handle(name, (fields) => {
      const answer = handler(fields) as Fields | Iterable<Fields>;
      return Symbol.iterator in answer ? [...answer].map(sent) : sent(answer);
    });
  }

  #add(row: Fields, index = this.#nextInterface++): number {
    this.interfaces.set(index, {
      sw_if_index: index,
      sup_sw_if_index: index,
      l2_address:
        index === 0 ? '00:00:00:00:00:00' : `02:fe:00:00:00:${(this.#random++ & 255).toString(16).padStart(2, '0')}`,
      flags: 0,
      type: 0,
      link_mtu: 9000,
      mtu: [9000, 0, 0, 0],
      tag: '',
      addresses: [],
      tables: { ip4: 0, ip6: 0 },
      ...row,
    });
    return index;
  }

  /** An interface that was there before us. */
  plug(row: Fields): number {
    return this.#add(row);
  }

  #free(prefix: string, from = 0): number {
    const names = new Set([...this.interfaces.values()].map((itf) => itf.interface_name));
    let n = from;
    while (names.has(`${prefix}${n}`)) n += 1;
    return n;
  }

  /** Deletes an interface, as another client would. */
  unplug(index: number): void {
    this.interfaces.delete(index);
    for (const [from, to] of this.unnumbered) if (from === index || to === index) this.unnumbered.delete(from);
    this.aclsOn.delete(index);
    this.macipOn.delete(index);
    for (const bridge of this.bridges.values()) {
      bridge.sw_if_details = bridge.sw_if_details.filter((one: Fields) => one.sw_if_index !== index);
    }
    this.server.event('sw_interface_event', { sw_if_index: index, flags: 0, deleted: true });
  }

  #with(fields: Fields, act: (itf: Itf) => Fields | undefined | number): Fields {
    const itf = this.interfaces.get(fields.sw_if_index as number);
    if (itf === undefined) return no(INVALID_SW_IF_INDEX);
    const result = act(itf);
    return typeof result === 'number' ? no(result) : (result ?? ok);
  }

  #del(fields: Fields): Fields {
    return this.#with(fields, (itf) => {
      this.unplug(itf.sw_if_index);
      return ok;
    });
  }

  /** An interface has an address once, in one length; and no other of its table has one of the same network. */
  #isTaken(itf: Itf, prefix: string): boolean {
    const family = prefix.includes(':') ? 'ip6' : 'ip4';
    const address = (text: string): string => text.split('/')[0]!;
    return [...this.interfaces.values()].some(
      (other) =>
        other.tables[family] === itf.tables[family] &&
        other.addresses.some(
          (held) =>
            address(held) === address(prefix) ||
            (other !== itf && held.includes(':') === prefix.includes(':') && overlap(held, prefix)),
        ),
    );
  }

  #created(row: Fields): Fields {
    return { retval: 0, sw_if_index: this.#add(row) };
  }

  #rows(type: string): Itf[] {
    return [...this.interfaces.values()].filter((itf) => itf.interface_dev_type === type && itf.type === 0);
  }

  #handlers(): void {
    this.#on('show_version', () => ({ program: 'vpe', version: `${this.server.schema.release}-release` }));
    this.#on('cli_inband', ({ cmd }) => ({
      reply: cmd === 'pcap trace status' ? 'pcap dispatch capture enabled: 0 of 10 pkts...\n' : `${cmd as string}\n`,
    }));
    this.#on('sw_interface_dump', ({ sw_if_index: index, name_filter_valid: filtered, name_filter: filter }) => {
      const all = [...this.interfaces.values()];
      if (filtered) {
        const text = (filter as string).toLowerCase();
        return all.filter((itf) => (itf.interface_name as string).toLowerCase().includes(text));
      }
      return index === NONE || index === 0 ? all : all.filter((itf) => itf.sw_if_index === index);
    });
    this.#on('sw_interface_set_flags', (f) =>
      this.#with(f, (itf) => {
        if (itf.type === 1 && f.flags !== 0 && this.interfaces.get(itf.sup_sw_if_index as number)?.flags === 0)
          return no(-1);
        itf.flags = f.flags === 0 ? 0 : 3;
        this.server.event('sw_interface_event', { sw_if_index: itf.sw_if_index, flags: itf.flags, deleted: false });
        return ok;
      }),
    );
    this.#on('sw_interface_tag_add_del', (f) =>
      this.#with(f, (itf) => {
        itf.tag = f.is_add ? f.tag : '';
        return ok;
      }),
    );
    this.#on('sw_interface_set_mac_address', (f) => this.#with(f, (itf) => ((itf.l2_address = f.mac_address), ok)));
    this.#on('sw_interface_set_mtu', (f) => this.#with(f, (itf) => ((itf.mtu = f.mtu), ok)));
    this.#on('hw_interface_set_mtu', (f) =>
      this.#with(f, (itf) =>
        ['Loopback', 'bond'].includes(itf.interface_dev_type) ? -126 : ((itf.link_mtu = f.mtu), ok),
      ),
    );
    this.#on('sw_interface_set_interface_name', (f) => this.#with(f, (itf) => ((itf.interface_name = f.name), ok)));
    for (const name of [
      'sw_interface_set_promisc',
      'sw_interface_set_rx_mode',
      'sw_interface_set_rx_placement',
      'sw_interface_ip6_enable_disable',
      'sw_interface_ip4_enable_disable',
      'sw_interface_clear_stats',
      'sw_interface_set_vxlan_bypass',
      'sw_interface_set_bond_weight',
    ]) {
      this.#on(name, (f) => this.#with(f, () => ok));
    }
    this.#on('sw_interface_add_del_address', (f) =>
      this.#with(f, (itf) => {
        const at = itf.addresses.indexOf(f.prefix as string);
        if (!f.is_add) return at < 0 ? -60 : (itf.addresses.splice(at, 1), ok);
        if (this.#isTaken(itf, f.prefix as string)) return (f.prefix as string).includes(':') ? -127 : -105;
        itf.addresses.push(f.prefix as string);
        return ok;
      }),
    );
    this.#on('ip_address_dump', ({ sw_if_index: index, is_ipv6: six }) =>
      (this.interfaces.get(index as number)?.addresses ?? [])
        .filter((prefix) => prefix.includes(':') === six)
        .map((prefix) => ({ sw_if_index: index, prefix })),
    );
    this.#on('sw_interface_set_table', (f) =>
      this.#with(f, (itf) => {
        if (!this.tables.has(`${f.vrf_id} ${f.is_ipv6}`)) return no(NO_SUCH_FIB);
        if (itf.addresses.some((prefix) => prefix.includes(':') === f.is_ipv6)) return no(-114);
        if (!f.is_ipv6 && this.unnumbered.has(itf.sw_if_index)) return no(-114);
        itf.tables[f.is_ipv6 ? 'ip6' : 'ip4'] = f.vrf_id as number;
        return ok;
      }),
    );
    this.#on('sw_interface_get_table', (f) =>
      this.#with(f, (itf) => ({ retval: 0, vrf_id: itf.tables[f.is_ipv6 ? 'ip6' : 'ip4'] })),
    );
    this.#on('sw_interface_set_unnumbered', (f) => {
      const [from, to] = [f.unnumbered_sw_if_index, f.sw_if_index].map((at) => this.interfaces.get(at as number));
      if (from === undefined || to === undefined) return no(INVALID_SW_IF_INDEX);
      if (f.is_add && from.tables.ip4 !== to.tables.ip4) return no(-74);
      if (f.is_add) this.unnumbered.set(f.unnumbered_sw_if_index as number, f.sw_if_index as number);
      else this.unnumbered.delete(f.unnumbered_sw_if_index as number);
      return ok;
    });
    this.#on('ip_unnumbered_dump', ({ sw_if_index: index }) =>
      [...this.unnumbered]
        .filter(([from]) => index === NONE || from === index)
        .map(([from, to]) => ({ sw_if_index: from, ip_sw_if_index: to })),
    );
    this.#on('sw_interface_rx_placement_dump', ({ sw_if_index: index }) => [
      { sw_if_index: index, queue_id: 0, worker_id: 0, mode: 3 },
    ]);
    this.#on('create_loopback_instance', (f) => {
      const n = f.is_specified ? (f.user_instance as number) : this.#free('loop');
      if (this.#rows('Loopback').some((itf) => itf.instance === n)) return { retval: -31, sw_if_index: NONE };
      const mac = f.mac_address === '00:00:00:00:00:00' ? {} : { l2_address: f.mac_address };
      return this.#created({ interface_name: `loop${n}`, interface_dev_type: 'Loopback', instance: n, ...mac });
    });
    this.#on('delete_loopback', (f) => this.#del(f));
    this.#on('bvi_create', ({ user_instance: asked, mac }) => {
      const n = asked === NONE ? this.#free('bvi') : (asked as number);
      const own = mac === '00:00:00:00:00:00' ? {} : { l2_address: mac };
      return this.#created({ interface_name: `bvi${n}`, interface_dev_type: 'BVI', ...own });
    });
    this.#on('bvi_delete', (f) => this.#del(f));
    this.#memif();
    this.#links();
    this.#tunnels();
  }

  #memif(): void {
    this.#on('memif_socket_filename_add_del_v2', (f) => {
      if (!f.is_add) {
        const inUse = this.#rows('memif').some(({ memif }) => memif.socket_id === f.socket_id);
        return inUse ? no(-74) : this.sockets.delete(f.socket_id as number) ? ok : no(-73);
      }
      let id = f.socket_id as number;
      if (id === NONE) for (id = 1; this.sockets.has(id);) id += 1;
      this.sockets.set(id, f.socket_filename as string);
      return { retval: 0, socket_id: id };
    });
    this.#on('memif_socket_filename_dump', () =>
      [...this.sockets].map(([socket_id, socket_filename]) => ({ socket_id, socket_filename })),
    );
    this.#on('memif_create_v2', (f) => {
      if (!this.sockets.has(f.socket_id as number)) return { retval: -73, sw_if_index: NONE };
      const name = `memif${f.socket_id}/${f.id}`;
      if (this.#rows('memif').some((itf) => itf.interface_name === name)) return { retval: -68, sw_if_index: 0 };
      return this.#created({ interface_name: name, interface_dev_type: 'memif', memif: f });
    });
    this.#on('memif_delete', (f) => this.#del(f));
    this.#on('memif_dump', () =>
      this.#rows('memif').map(({ memif, ...itf }) => ({
        ...memif,
        sw_if_index: itf.sw_if_index,
        zero_copy: !memif.no_zero_copy,
        ...{ ring_size: 1, buffer_size: 0 },
        flags: itf.flags & 1,
        if_name: itf.interface_name,
      })),
    );
  }

  #links(): void {
    const tap = (f: Fields): Fields => {
      const id = f.id === NONE ? this.#free('tap') : (f.id as number);
      const name = f.host_if_name_set ? f.host_if_name : `tap${id}`;
      const row = { ...f, id, host_if_name: name, dev_name: `tap${id}` };
      return this.#created({ interface_name: `tap${id}`, interface_dev_type: 'tap', tag: f.tag, tap: row });
    };
    this.#on('tap_create_v3', tap);
    this.#on('tap_create_v2', tap);
    this.#on('tap_delete_v2', (f) => this.#del(f));
    this.#on('sw_interface_tap_v2_dump', () =>
      this.#rows('tap').map((itf) => {
        const { host_bridge, host_namespace, host_mac_addr, host_ip4_prefix, host_ip6_prefix, id, tap_flags } = itf.tap;
        const { host_if_name, host_mtu_size, rx_ring_sz, tx_ring_sz } = itf.tap;
        const names = { host_bridge, host_namespace, host_mac_addr, host_ip4_prefix, host_ip6_prefix, host_if_name };
        return { sw_if_index: itf.sw_if_index, id, tap_flags, host_mtu_size, rx_ring_sz, tx_ring_sz, ...names };
      }),
    );
    const packet = (f: Fields): Fields =>
      this.#created({
        interface_name: `host-${f.host_if_name}`,
        interface_dev_type: 'af-packet',
        host: f.host_if_name,
      });
    this.#on('af_packet_create_v3', packet);
    this.#on('af_packet_create_v2', packet);
    this.#on('af_packet_delete', (f) => {
      const found = this.#rows('af-packet').find(({ host }) => host === f.host_if_name);
      if (found === undefined) return no(INVALID_SW_IF_INDEX);
      this.unplug(found.sw_if_index);
      return ok;
    });
    this.#on('af_packet_dump', () =>
      this.#rows('af-packet').map((itf) => ({ sw_if_index: itf.sw_if_index, host_if_name: itf.host })),
    );
    this.#on('create_subif', (f) =>
      this.#with(f, (parent) => {
        const name = `${parent.interface_name}.${f.sub_id}`;
        if ([...this.interfaces.values()].some((itf) => itf.interface_name === name))
          return { retval: -56, sw_if_index: NONE };
        const flags = f.sub_if_flags as number;
        const isTaken = [...this.interfaces.values()].some(
          (itf) =>
            itf.type === 1 &&
            itf.sup_sw_if_index === parent.sw_if_index &&
            itf.sub_if_flags === flags &&
            itf.sub_outer_vlan_id === f.outer_vlan_id &&
            itf.sub_inner_vlan_id === f.inner_vlan_id,
        );
        if (isTaken) return { retval: -1, sw_if_index: NONE };
        return this.#created({
          ...{ interface_name: name, interface_dev_type: parent.interface_dev_type, type: 1 },
          ...{
            sup_sw_if_index: parent.sw_if_index,
            l2_address: parent.l2_address,
            sub_id: f.sub_id,
            sub_if_flags: flags,
          },
          sub_number_of_tags: flags & 4 ? 2 : flags & 2 ? 1 : 0,
          ...{ sub_outer_vlan_id: f.outer_vlan_id, sub_inner_vlan_id: f.inner_vlan_id },
        });
      }),
    );
    this.#on('delete_subif', (f) => this.#del(f));
    this.#on('l2_interface_vlan_tag_rewrite', (f) =>
      this.#with(f, (itf) => {
        Object.assign(itf, { vtr_op: f.vtr_op, vtr_push_dot1q: f.push_dot1q, vtr_tag1: f.tag1, vtr_tag2: f.tag2 });
        return ok;
      }),
    );
    const bond = (f: Fields): Fields => {
      if ((f.lb as number) > 2) return no(-73);
      const id = f.id === NONE ? this.#free('BondEthernet') : (f.id as number);
      // Round robin, active-backup and broadcast balance in a way of their own.
      const lb = { 1: 3, 2: 5, 4: 4 }[f.mode as number] ?? f.lb;
      return this.#created({ interface_name: `BondEthernet${id}`, interface_dev_type: 'bond', bond: { ...f, id, lb } });
    };
    this.#on('bond_create2', bond);
    this.#on('bond_create', bond);
    this.#on('bond_delete', (f) => this.#del(f));
    this.#on('bond_add_member', (f) =>
      this.members.has(f.sw_if_index as number) ? no(VALUE_EXIST) : (this.members.set(f.sw_if_index as number, f), ok),
    );
    this.#on('bond_detach_member', (f) => (this.members.delete(f.sw_if_index as number) ? ok : no(-71)));
    const ofBond = (index: number): Fields[] =>
      [...this.members.values()].filter((member) => member.bond_sw_if_index === index);
    this.#on('sw_interface_lacp_dump', () =>
      this.#rows('bond')
        .filter(({ bond: { mode } }) => mode === 5)
        .flatMap((bond) =>
          ofBond(bond.sw_if_index).map(({ sw_if_index }) => ({
            ...{ sw_if_index, interface_name: this.interfaces.get(sw_if_index as number)?.interface_name ?? '' },
            bond_interface_name: bond.interface_name,
          })),
        ),
    );
    this.#on('sw_bond_interface_dump', () =>
      this.#rows('bond').map((itf) => ({
        ...{ sw_if_index: itf.sw_if_index, id: itf.bond.id, mode: itf.bond.mode, lb: itf.bond.lb },
        ...{ numa_only: itf.bond.numa_only, members: ofBond(itf.sw_if_index).length },
      })),
    );
    this.#on('sw_member_interface_dump', ({ sw_if_index: index }) =>
      ofBond(index as number).map(({ sw_if_index, is_passive, is_long_timeout }) => ({
        ...{ sw_if_index, is_passive, is_long_timeout },
      })),
    );
  }

  #tunnels(): void {
    const tunnel = (type: string, name: string, same: (a: Fields, b: Fields) => boolean) => (f: Fields) => {
      const found = this.#rows(type).find((itf) => same(itf.tunnel as Fields, f));
      if (!f.is_add) {
        if (found === undefined) return no(NO_SUCH_ENTRY);
        this.unplug(found.sw_if_index);
        return { retval: 0, sw_if_index: found.sw_if_index };
      }
      if (found !== undefined) return { retval: /VXLAN|GENEVE/.test(type) ? -75 : -79, sw_if_index: NONE };
      const instance = f.instance === NONE || f.instance === undefined ? this.#free(name) : f.instance;
      return this.#created({
        interface_name: `${name}${instance}`,
        interface_dev_type: type,
        tunnel: { ...f, instance },
      });
    };
    const same =
      (...keys: string[]) =>
      (a: Fields, b: Fields) =>
        keys.every((key) => a[key] === b[key]);
    const vxlan = tunnel('VXLAN', 'vxlan_tunnel', same('src_address', 'dst_address', 'vni', 'encap_vrf_id'));
    this.#on('vxlan_add_del_tunnel_v3', vxlan);
    const rows = (type: string) => (): Fields[] =>
      this.#rows(type).map((itf) => {
        const { is_add: _, is_l3: _l, l3_mode: _m, local_address, remote_address, ...row } = itf.tunnel as Fields;
        if (local_address === undefined) return { ...row, sw_if_index: itf.sw_if_index };
        const { instance: _i, ...rest } = row;
        return { ...rest, src_address: local_address, dst_address: remote_address, sw_if_index: itf.sw_if_index };
      });
    this.#on('vxlan_tunnel_v2_dump', rows('VXLAN'));
    this.#on(
      'geneve_add_del_tunnel2',
      tunnel('GENEVE', 'geneve_tunnel', same('local_address', 'remote_address', 'vni')),
    );
    this.#on('geneve_tunnel_dump', rows('GENEVE'));
    const gre = tunnel('GRE tunnel device', 'gre', same('src', 'dst', 'type', 'key', 'outer_table_id'));
    const asGre = (f: Fields): Fields => gre({ ...f.tunnel, is_add: f.is_add });
    this.#on('gre_tunnel_add_del_v2', asGre);
    this.#on('gre_tunnel_add_del', asGre);
    const greRows = (): Fields[] => rows('GRE tunnel device')().map((row) => ({ tunnel: row }));
    for (const name of ['gre_tunnel_v2_dump', 'gre_tunnel_dump_v2']) this.#on(name, greRows);
    this.#on('gre_tunnel_dump', () => greRows().map(({ tunnel: { key: _, ...row } }) => ({ tunnel: row })));
    this.#on('ipip_add_tunnel', (f) =>
      tunnel('IPIP tunnel device', 'ipip', same('src', 'dst', 'table_id'))({ ...f.tunnel, is_add: true }),
    );
    this.#on('ipip_del_tunnel', (f) => this.#del(f));
    this.#on('ipip_tunnel_dump', () => rows('IPIP tunnel device')().map((row) => ({ tunnel: row })));
  }

  #l3(): void {
    this.#on('ip_table_dump', () =>
      [...this.tables]
        .map(([key, name]) => ({ table: { table_id: Number(key.split(' ')[0]), is_ip6: key.endsWith('true'), name } }))
        .sort((a, b) => Number(a.table.is_ip6) - Number(b.table.is_ip6)),
    );
    this.#on('ip_table_add_del_v2', ({ is_add: add, table }) => {
      const key = `${table.table_id} ${table.is_ip6}`;
      if (add) this.tables.set(key, table.name || `ipv${table.is_ip6 ? 6 : 4}-VRF:${table.table_id}`);
      else if (!this.tables.delete(key)) return no(NO_SUCH_FIB);
      return ok;
    });
    this.#on('ip_table_allocate', ({ table }) => {
      let id = 1;
      while (this.tables.has(`${id} ${table.is_ip6}`)) id += 1;
      this.tables.set(`${id} ${table.is_ip6}`, table.name);
      return { retval: 0, table: { ...table, table_id: id } };
    });
    this.#on('ip_table_flush', ({ table }) => {
      for (const [key, route] of this.routes) {
        if (route.table === table.table_id && route.prefix.includes(':') === table.is_ip6) this.routes.delete(key);
      }
      return ok;
    });
    for (const name of ['set_ip_flow_hash_v3', 'set_ip_flow_hash_v2']) {
      this.#on(name, (f) => (this.tables.has(`${f.table_id} ${f.af === 1}`) ? ok : no(NO_SUCH_FIB)));
    }
    this.#on('fib_source_dump', () =>
      ['invalid', 'special', 'classify', 'proxy', 'interface', 'SR', 'CLI', 'LISP', 'API', 'IPv6-proxy-nd'].map(
        (name, id) => ({
          src: { priority: id, id, name },
        }),
      ),
    );
    this.#on('ip_route_add_del_v2', ({ is_add: add, is_multipath: multi, route }) => this.#route(add, multi, route));
    this.#on('ip_route_v2_dump', ({ src, table }) => this.#routeRows(src, table));
    this.#on('ip_route_lookup_v2', ({ table_id: table, exact, prefix }) => {
      const wanted = parsePrefix(prefix as string);
      const found = [...this.routes.values()]
        .filter((route) => route.table === table)
        .filter((route) => (exact ? route.prefix === prefix : parsePrefix(route.prefix).containsPrefix(wanted)))
        .sort((a, b) => parsePrefix(b.prefix).length - parsePrefix(a.prefix).length)[0];
      if (found === undefined) return no(NO_SUCH_ENTRY);
      return {
        retval: 0,
        route: { table_id: table, stats_index: 1, prefix: found.prefix, src: found.src, paths: found.paths },
      };
    });
    this.#on('ip_neighbor_add_del', ({ is_add: add, neighbor }) => {
      const key = `${neighbor.sw_if_index} ${neighbor.ip_address}`;
      if (add) this.neighbors.set(key, neighbor as Fields);
      else if (!this.neighbors.delete(key)) return no(NO_SUCH_ENTRY);
      return { retval: 0, stats_index: 0 };
    });
    this.#on('ip_neighbor_dump', ({ sw_if_index: index, af }) =>
      [...this.neighbors.values()]
        .filter((one) => (index === NONE || one.sw_if_index === index) && one.ip_address.includes(':') === (af === 1))
        .map((neighbor) => ({ age: 0.5, neighbor })),
    );
    this.#on('ip_neighbor_flush', () => ok);
    this.#on('ip_neighbor_config_get', ({ af }) => ({ retval: 0, af, max_number: 50_000, max_age: 0, recycle: false }));
    this.#on('ip_neighbor_config', () => ok);
  }

  #route(add: boolean, multi: boolean, route: Fields): Fields {
    const six = route.prefix.includes(':');
    if (!this.tables.has(`${route.table_id} ${six}`)) return { retval: NO_SUCH_FIB, stats_index: NONE };
    const paths = (route.paths as Fields[]).map((path) => {
      const normal = path.type === 0 || path.type === 1;
      return {
        ...path,
        sw_if_index: normal ? path.sw_if_index : NONE,
        nh: { ...path.nh, via_label: 0 },
        table_id: normal && path.sw_if_index === NONE ? path.table_id : 0,
      };
    });
    for (const path of paths) {
      if (path.sw_if_index !== NONE && !this.interfaces.has(path.sw_if_index as number))
        return { retval: -54, stats_index: NONE };
    }
    const key = `${route.table_id} ${route.prefix}`;
    const held = this.routes.get(key);
    const same = (a: Fields, b: Fields): boolean => a.sw_if_index === b.sw_if_index && a.nh.address === b.nh.address;
    if (!add && !multi) this.routes.delete(key);
    else if (!add && held !== undefined) {
      held.paths = held.paths.filter((path) => !paths.some((one) => same(one, path)));
      if (held.paths.length === 0) this.routes.delete(key);
    } else if (add) {
      const all =
        multi && held !== undefined ? [...held.paths.filter((a) => !paths.some((b) => same(a, b))), ...paths] : paths;
      this.routes.set(key, { src: 8, prefix: route.prefix as string, paths: all, table: route.table_id as number });
    }
    return { retval: 0, stats_index: 1 };
  }

  *#routeRows(src: number, table: Fields): Generator<Fields> {
    for (const route of this.routes.values()) {
      if (route.table !== table.table_id || route.prefix.includes(':') !== table.is_ip6) continue;
      if (src !== 0 && src !== route.src) continue;
      const { prefix, paths } = route;
      yield { route: { table_id: route.table, stats_index: 1, prefix, src: route.src, paths } };
    }
  }

  #l2(): void {
    this.#on('bridge_domain_add_del_v2', (f) => {
      let id = f.bd_id as number;
      if (!f.is_add) {
        const held = this.bridges.get(id);
        if (held === undefined) return { retval: NO_SUCH_ENTRY, bd_id: id };
        if (held.sw_if_details.length > 0) return { retval: -120, bd_id: id };
        this.bridges.delete(id);
        return { retval: 0, bd_id: id };
      }
      if (id === NONE) for (id = 1; this.bridges.has(id);) id += 1;
      if (this.bridges.has(id)) return { retval: -119, bd_id: id };
      const { is_add: _, ...row } = f;
      this.bridges.set(id, { ...row, bd_id: id, sw_if_details: [], bvi_sw_if_index: NONE, uu_fwd_sw_if_index: NONE });
      return { retval: 0, bd_id: id };
    });
    this.#on('bridge_domain_dump', ({ bd_id: id }) =>
      [...this.bridges.values()].filter((bridge) => id === NONE || bridge.bd_id === id),
    );
    this.#on('bridge_flags', (f) => {
      const bridge = this.bridges.get(f.bd_id as number);
      if (bridge === undefined) return no(NO_SUCH_ENTRY);
      const names = ['learn', 'forward', 'flood', 'uu_flood', 'arp_term', 'arp_ufwd'];
      for (const [bit, name] of names.entries()) if (((f.flags as number) >> bit) & 1) bridge[name] = f.is_set;
      return { retval: 0, resulting_feature_bitmap: 0 };
    });
    this.#on('bridge_domain_set_mac_age', (f) => ((this.bridges.get(f.bd_id as number)!.mac_age = f.mac_age), ok));
    this.#on('bridge_domain_set_learn_limit', () => ok);
    this.#on('sw_interface_set_l2_bridge', (f) => {
      const index = f.rx_sw_if_index as number;
      if (!this.interfaces.has(index)) return no(INVALID_SW_IF_INDEX);
      const bridge = this.bridges.get(f.bd_id as number);
      if (bridge === undefined) return no(NO_SUCH_ENTRY);
      for (const one of this.bridges.values()) {
        one.sw_if_details = one.sw_if_details.filter((member: Fields) => member.sw_if_index !== index);
        if (one.bvi_sw_if_index === index) one.bvi_sw_if_index = NONE;
      }
      if (!f.enable) return ok;
      bridge.sw_if_details.push({ sw_if_index: index, shg: f.shg });
      if (f.port_type === 1) bridge.bvi_sw_if_index = index;
      if (f.port_type === 2) bridge.uu_fwd_sw_if_index = index;
      return ok;
    });
    this.#on('l2fib_add_del', (f) => {
      const { is_add: add, ...row } = f;
      const key = `${f.bd_id} ${f.mac}`;
      const members = (this.bridges.get(f.bd_id as number)?.sw_if_details ?? []) as Fields[];
      if (add && !f.filter_mac && !members.some((one) => one.sw_if_index === f.sw_if_index)) return no(-2);
      if (add) this.macs.set(key, row as Fields);
      else if (!this.macs.delete(key)) return no(NO_SUCH_ENTRY);
      return ok;
    });
    this.#on('l2_fib_table_dump', ({ bd_id: id }) =>
      [...this.macs.values()].filter((row) => id === NONE || row.bd_id === id),
    );
    this.#on('l2fib_flush_all', () => (this.macs.clear(), ok));
    this.#on('l2fib_flush_bd', () => ok);
    this.#on('bd_ip_mac_add_del', ({ is_add: add, entry }) => {
      const key = `${entry.bd_id} ${entry.ip}`;
      if (add) this.arps.set(key, entry as Fields);
      else this.arps.delete(key);
      return ok;
    });
    this.#on('bd_ip_mac_dump', ({ bd_id: id }) =>
      [...this.arps.values()].filter((entry) => entry.bd_id === id).map((entry) => ({ entry })),
    );
    this.#on('sw_interface_set_l2_xconnect', (f) => {
      if (f.enable) this.xconnects.set(f.rx_sw_if_index as number, f.tx_sw_if_index as number);
      else this.xconnects.delete(f.rx_sw_if_index as number);
      return ok;
    });
    this.#on('l2_xconnect_dump', () =>
      [...this.xconnects].map(([rx, tx]) => ({ rx_sw_if_index: rx, tx_sw_if_index: tx })),
    );
    this.#on('sw_interface_span_enable_disable', (f) => {
      const key = `${f.sw_if_index_from} ${f.sw_if_index_to} ${f.is_l2}`;
      if (f.state === 0) this.spans.delete(key);
      else this.spans.set(key, f as Fields);
      return ok;
    });
    this.#on('sw_interface_span_dump', ({ is_l2: l2 }) => [...this.spans.values()].filter((span) => span.is_l2 === l2));
  }

  #policy(): void {
    const put = (lists: Map<number, Fields>) => (f: Fields) => {
      let index = f.acl_index as number;
      if (index === NONE) for (index = 0; lists.has(index);) index += 1;
      else if (!lists.has(index)) return { retval: NO_SUCH_ENTRY, acl_index: NONE };
      lists.set(index, { acl_index: index, tag: f.tag, r: f.r });
      return { retval: 0, acl_index: index };
    };
    const dump =
      (lists: Map<number, Fields>) =>
      ({ acl_index: index }: Fields): Fields[] =>
        [...lists.values()].filter((acl) => index === NONE || acl.acl_index === index);
    this.#on('acl_add_replace', put(this.acls));
    this.#on('acl_dump', dump(this.acls));
    this.#on('acl_del', ({ acl_index: index }) => {
      if ([...this.aclsOn.values()].some(({ acls }) => acls.includes(index))) return no(-142);
      return this.acls.delete(index as number) ? ok : no(NO_SUCH_ENTRY);
    });
    this.#on('acl_interface_set_acl_list', (f) =>
      this.#with(f, (itf) => {
        if (f.acls.some((index: number) => !this.acls.has(index))) return no(NO_SUCH_ENTRY);
        this.aclsOn.set(itf.sw_if_index, f as Fields);
        return ok;
      }),
    );
    this.#on('acl_interface_list_dump', ({ sw_if_index: index }) =>
      [...this.aclsOn.values()].filter((one) => index === NONE || one.sw_if_index === index),
    );
    this.#on('macip_acl_add_replace', put(this.macips));
    this.#on('macip_acl_dump', dump(this.macips));
    this.#on('macip_acl_del', ({ acl_index: index }) => (this.macips.delete(index as number) ? ok : no(NO_SUCH_ENTRY)));
    this.#on('macip_acl_interface_add_del', (f) =>
      this.#with(f, (itf) => {
        if (f.is_add) this.macipOn.set(itf.sw_if_index, f.acl_index as number);
        else this.macipOn.delete(itf.sw_if_index);
        return ok;
      }),
    );
    this.#on('macip_acl_interface_list_dump', () =>
      [...this.macipOn].map(([sw_if_index, acl]) => ({ sw_if_index, acls: [acl] })),
    );
    this.#on('abf_policy_add_del', ({ is_add: add, policy }) => {
      if (add) this.policies.set(policy.policy_id as number, policy as Fields);
      else if (!this.policies.delete(policy.policy_id as number)) return no(NO_SUCH_ENTRY);
      return ok;
    });
    this.#on('abf_policy_dump', () => [...this.policies.values()].map((policy) => ({ policy })));
    this.#on('abf_itf_attach_add_del', ({ is_add: add, attach }) => {
      const at = this.attached.findIndex(
        (one) => one.policy_id === attach.policy_id && one.sw_if_index === attach.sw_if_index,
      );
      if (add) this.attached.push(attach as Fields);
      else this.attached.splice(at, 1);
      return ok;
    });
    this.#on('abf_itf_attach_dump', () => this.attached.map((attach) => ({ attach })));
    this.#on('l3xc_update', ({ l3xc }) => {
      this.l3xc.set(`${l3xc.sw_if_index} ${l3xc.is_ip6}`, l3xc as Fields);
      return { retval: 0, stats_index: 1 };
    });
    this.#on('l3xc_del', (f) => (this.l3xc.delete(`${f.sw_if_index} ${f.is_ip6}`) ? ok : no(NO_SUCH_ENTRY)));
    this.#on('l3xc_dump', () => [...this.l3xc.values()].map((l3xc) => ({ l3xc })));
    this.#on('urpf_update_v2', (f) => {
      const key = `${f.sw_if_index} ${f.af} ${f.is_input}`;
      if (f.mode === 0) this.urpf.delete(key);
      else this.urpf.set(key, { ...f, table_id: f.table_id === NONE ? 0 : f.table_id });
      return ok;
    });
    this.#on('urpf_interface_dump', () => [...this.urpf.values()]);
    this.#on('proxy_arp_add_del', ({ is_add: add, proxy }) => {
      const at = this.ranges.findIndex((one) => one.low === proxy.low && one.hi === proxy.hi);
      if (add) this.ranges.push(proxy as Fields);
      else if (at < 0) return no(NO_SUCH_ENTRY);
      else this.ranges.splice(at, 1);
      return ok;
    });
    this.#on('proxy_arp_dump', () => this.ranges.map((proxy) => ({ proxy })));
    this.#on('proxy_arp_intfc_enable_disable', (f) => {
      if (f.enable) this.proxyArp.add(f.sw_if_index as number);
      else this.proxyArp.delete(f.sw_if_index as number);
      return ok;
    });
    this.#on('proxy_arp_intfc_dump', () => [...this.proxyArp].map((sw_if_index) => ({ sw_if_index })));
    this.#on('ip6nd_proxy_add_del', ({ is_add: add, ...row }) => {
      const at = this.nds.findIndex((one) => one.ip === row.ip);
      if (add) this.nds.push(row as Fields);
      else this.nds.splice(at, 1);
      const path = { sw_if_index: row.sw_if_index, weight: 1, proto: 1, nh: { address: '::' } };
      const route = { src: 9, prefix: `${row.ip as string}/128`, paths: [path], table: 0 };
      if (add) this.routes.set(`0 ${row.ip as string}/128`, route);
      else this.routes.delete(`0 ${row.ip as string}/128`);
      return ok;
    });
    // As VPP is set when nobody has said anything.
    const times = { max_radv_interval: 600, min_radv_interval: 200, adv_router_lifetime: 1800 };
    const quiet: Fields = { ...times, adv_link_layer_address: true };
    this.#on('sw_interface_ip6nd_ra_config', (f) => {
      const now = this.ra.get(f.sw_if_index as number) ?? quiet;
      this.ra.set(f.sw_if_index as number, {
        ...now,
        ...(f.ll_option ? { adv_link_layer_address: f.is_no } : {}),
        ...(f.send_unicast ? { send_unicast: !f.is_no } : {}),
        ...(f.managed ? { adv_managed_flag: !f.is_no } : {}),
        ...(f.other ? { adv_other_flag: !f.is_no } : {}),
        ...(f.max_interval > 0 ? { max_radv_interval: f.max_interval, min_radv_interval: f.min_interval } : {}),
        ...(f.default_router ? { adv_router_lifetime: f.lifetime } : {}),
        send_radv: f.suppress === 0,
      });
      return ok;
    });
    this.#on('sw_interface_ip6nd_ra_prefix', (f) => {
      const now = this.ra.get(f.sw_if_index as number) ?? quiet;
      const others = ((now.prefixes ?? []) as Fields[]).filter((one) => one.prefix !== f.prefix);
      const isNew = others.length === (now.prefixes?.length ?? 0);
      const flag = (no: boolean): boolean => (isNew && (f.use_default as boolean)) || !no;
      const flags = { onlink_flag: flag(f.no_onlink as boolean), autonomous_flag: flag(f.no_autoconfig as boolean) };
      const added = { prefix: f.prefix, ...flags };
      const times = { val_lifetime: f.val_lifetime, pref_lifetime: f.pref_lifetime };
      this.ra.set(f.sw_if_index as number, {
        ...now,
        prefixes: f.is_no ? others : [...others, { ...added, ...times }],
      });
      return ok;
    });
    this.#on('sw_interface_ip6nd_ra_dump', ({ sw_if_index: index }) =>
      [...this.ra]
        .filter(([on]) => index === NONE || on === index)
        .map(([sw_if_index, row]) => ({ sw_if_index, ...row })),
    );
    this.#on('set_punt', ({ punt }) => (punt.punt.l4.protocol === 17 || punt.punt.l4.port === 65_535 ? ok : no(-1)));
    this.#on('punt_reason_dump', () =>
      ['ipsec4-spi-o-udp-0', 'ip4-icmp-error'].map((name, id) => ({ reason: { id, name } })),
    );
    // Of the ports, VPP takes those of UDP; nothing is said about what was not registered.
    this.#on('punt_socket_register', ({ punt, pathname }) => {
      if (punt.type === 0 && punt.punt.l4.protocol !== 17) return { retval: -1, pathname: '/run/vpp/punt.sock' };
      this.puntSockets.set(JSON.stringify(punt), { punt, pathname });
      return { retval: 0, pathname: '/run/vpp/punt.sock' };
    });
    this.#on('punt_socket_deregister', ({ punt }) => (this.puntSockets.delete(JSON.stringify(punt)), ok));
    this.#on('punt_socket_dump', ({ type }) => [...this.puntSockets.values()].filter(({ punt }) => punt.type === type));
    this.#on('add_del_ip_punt_redirect_v2', ({ is_add: add, punt }) => {
      const key = `${punt.rx_sw_if_index} ${punt.af}`;
      if (add) this.redirects.set(key, punt as Fields);
      else this.redirects.delete(key);
      return ok;
    });
    this.#on('ip_punt_redirect_v2_dump', ({ af }) =>
      [...this.redirects.values()].filter((punt) => punt.af === af).map((punt) => ({ punt })),
    );
    this.#on('get_node_index', ({ node_name: name }) =>
      name === 'pg-input' ? { retval: 0, node_index: 77 } : { retval: -87, node_index: NONE },
    );
    this.#on('trace_capture_packets', () => ok);
    // Nothing is ever captured: VPP then says so when the capture is ended, and writes no file.
    this.#on('pcap_trace_on', () => ok);
    this.#on('pcap_trace_off', () => no(NO_SUCH_ENTRY));
    this.#on('trace_clear_capture', () => ((this.traces = []), ok));
    this.#on('trace_clear_cache', () => ok);
    this.#on('trace_v2_dump', ({ position, max }) =>
      this.traces.slice(position as number, position + max).map((trace_data, n) => ({
        ...{ thread_id: 0, position: position + n, trace_data, more: position + n < this.traces.length - 1 },
      })),
    );
  }

  #nat(): void {
    const { nat } = this;
    const remove = (list: Fields[], f: Fields, ...keys: string[]): Fields => {
      const at = list.findIndex((one) => keys.every((key) => one[key] === f[key]));
      if (at < 0) return no(NO_SUCH_ENTRY);
      list.splice(at, 1);
      return ok;
    };
    this.#on('nat44_ed_plugin_enable_disable', (f) => {
      if (f.enable && nat.sessions > 0) return no(-170);
      if (!f.enable && nat.sessions === 0) return no(-169);
      nat.sessions = f.enable ? f.sessions || 64_512 : 0;
      return ok;
    });
    this.#on('nat44_show_running_config', () => ({
      ...{ retval: 0, sessions: nat.sessions, forwarding_enabled: nat.forwarding, timeouts: nat.timeouts },
    }));
    this.#on('nat44_forwarding_enable_disable', (f) => ((nat.forwarding = f.enable as boolean), ok));
    this.#on('nat_set_timeouts', (f) => ((nat.timeouts = f as typeof nat.timeouts), ok));
    this.#on('nat44_interface_add_del_feature', (f) => {
      if (f.is_add && nat.outputs.has(f.sw_if_index as number)) return no(VALUE_EXIST);
      const now = nat.sides.get(f.sw_if_index as number) ?? 0;
      const next = f.is_add ? now | f.flags : now & ~f.flags;
      if (next === 0) nat.sides.delete(f.sw_if_index as number);
      else nat.sides.set(f.sw_if_index as number, next);
      return ok;
    });
    this.#on('nat44_interface_dump', () => [...nat.sides].map(([sw_if_index, flags]) => ({ sw_if_index, flags })));
    this.#on('nat44_ed_add_del_output_interface', (f) => {
      if (f.is_add && nat.sides.has(f.sw_if_index as number)) return no(VALUE_EXIST);
      if (f.is_add) nat.outputs.add(f.sw_if_index as number);
      else nat.outputs.delete(f.sw_if_index as number);
      return ok;
    });
    this.#on('nat44_ed_output_interface_get', () => [...nat.outputs].map((sw_if_index) => ({ sw_if_index })));
    this.#on('nat44_add_del_address_range', (f) => {
      const number = (text: string): number => text.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
      const first = number(f.first_ip_address as string);
      for (let at = first; at <= number(f.last_ip_address as string); at += 1) {
        const ip_address = [24, 16, 8, 0].map((bits) => Math.floor(at / 2 ** bits) & 255).join('.');
        const row = { ip_address, flags: f.flags, vrf_id: f.vrf_id };
        const isThere = nat.addresses.some((one) => one.ip_address === ip_address && one.flags === f.flags);
        if (f.is_add && isThere) return no(VALUE_EXIST);
        if (f.is_add) nat.addresses.push(row);
        else remove(nat.addresses, row, 'ip_address', 'flags');
      }
      return ok;
    });
    this.#on('nat44_address_dump', () => nat.addresses);
    this.#on('nat44_add_del_interface_addr', ({ is_add: add, ...row }) =>
      add
        ? (nat.interfaceAddresses.push(row as Fields), ok)
        : remove(nat.interfaceAddresses, row as Fields, 'sw_if_index'),
    );
    this.#on('nat44_interface_addr_dump', () => nat.interfaceAddresses);
    // An outside end leads to one inside; an inside end of a static mapping to one outside.
    const endOf = (f: Fields): string => {
      const over = (f.external_sw_if_index ?? f.sw_if_index ?? NONE) as number;
      const address = over === NONE ? (f.external_ip_address ?? f.external_addr ?? f.ip_address) : over;
      return `${address} ${f.external_port ?? f.port} ${f.protocol} ${f.flags & 8}`;
    };
    const localOf = (f: Fields): string => `${f.local_ip_address} ${f.local_port} ${f.protocol} ${f.vrf_id}`;
    const isTaken = (f: Fields): boolean =>
      [...nat.mappings, ...nat.balancers].some((one) => endOf(one) === endOf(f)) ||
      nat.identities.some((one) => endOf(one) === endOf(f) && (f.ip_address === undefined || one.vrf_id === f.vrf_id));
    const mapping = (f: Fields): Fields => {
      const { is_add: add, match_pool: _, pool_ip_address: _p, ...row } = f;
      if (add && (isTaken(row) || nat.mappings.some((one) => localOf(one) === localOf(row)))) return no(VALUE_EXIST);
      return add
        ? (nat.mappings.push(row), ok)
        : remove(nat.mappings, row, 'local_ip_address', 'external_ip_address', 'external_port', 'protocol');
    };
    this.#on('nat44_add_del_static_mapping_v2', mapping);
    this.#on('nat44_static_mapping_dump', () => nat.mappings);
    this.#on('nat44_add_del_identity_mapping', ({ is_add: add, ...row }) =>
      add && isTaken(row as Fields)
        ? no(VALUE_EXIST)
        : add
          ? (nat.identities.push(row as Fields), ok)
          : remove(nat.identities, row as Fields, 'ip_address', 'port'),
    );
    this.#on('nat44_identity_mapping_dump', () => nat.identities);
    this.#on('nat44_add_del_lb_static_mapping', ({ is_add: add, local_num: _, ...row }) =>
      add && isTaken(row as Fields)
        ? no(VALUE_EXIST)
        : add
          ? (nat.balancers.push(row as Fields), ok)
          : remove(nat.balancers, row as Fields, 'external_addr', 'external_port'),
    );
    this.#on('nat44_lb_static_mapping_add_del_local', (f) => {
      const found = nat.balancers.find((one) => one.external_addr === f.external_addr);
      if (found === undefined) return no(NO_SUCH_ENTRY);
      const isThere = found.locals.some((one: Fields) => one.addr === f.local.addr && one.port === f.local.port);
      if (f.is_add && isThere) return no(VALUE_EXIST);
      if (!f.is_add && found.locals.length < 3) return no(-1);
      if (f.is_add) found.locals.push(f.local);
      else found.locals = found.locals.filter((one: Fields) => one.addr !== f.local.addr);
      return ok;
    });
    this.#on('nat44_lb_static_mapping_dump', () => nat.balancers);
    this.#on('nat44_user_dump', () => nat.users);
    this.#on('nat44_user_session_v3_dump', () => nat.rows);
    this.#on('nat44_del_session', () => ok);
  }
}

/** A stand-in that listens. */
export async function standIn(t: TestEnd, release: BundledRelease = '26.06'): Promise<StandIn> {
  const vpp = new StandIn(join(folder(t), 'api.sock'), release);
  await vpp.server.listen();
  t.teardown(() => vpp.server.close());
  return vpp;
}
