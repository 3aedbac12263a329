// What the dataplane chapters share: a forwarder whose ports are memifs with the other end in this process, and the
// recorded setups of a VPP, applied to it.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import type { Test } from 'tap';
import { type Forwarder, type ForwarderOptions, openForwarder } from 'node-vpp/dataplane';
import { type Memif, type MemifOptions, copyPackets, openMemif } from 'node-vpp/memif';
import { formatIp, formatMac } from 'node-vpp/net';
import { freshSocket, root } from './memif.js';

export const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
export const unhex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text.replaceAll(/\s/g, ''), 'hex'));

/** A forwarder with `macs.length` memif ports, sw_if_index 1, 2, …, all up; the peers are ours. */
export class Bed {
  readonly forwarder: Forwarder;
  readonly peers: Memif[] = [];
  readonly socket = freshSocket();

  constructor(options: ForwarderOptions = {}) {
    this.forwarder = openForwarder(options);
  }

  static async open(
    t: Test,
    ports: number,
    options: ForwarderOptions = {},
    more: Partial<MemifOptions> = {},
  ): Promise<Bed> {
    const bed = new Bed(options);
    t.teardown(() => bed.close());
    for (let port = 0; port < ports; port++) await bed.addPort(port, more);
    return bed;
  }

  /** Another port; its MAC ends in its number. */
  async addPort(port: number, more: Partial<MemifOptions> = {}): Promise<void> {
    const swIfIndex = port + 1;
    this.forwarder.addInterface({
      kind: 'memif',
      swIfIndex,
      name: `memif0/${port}`,
      mac: `02:fe:00:00:ee:0${port}`,
      role: 'server',
      socket: this.socket,
      id: port,
    });
    this.forwarder.setAdmin(swIfIndex, true);
    await this.addPeer(port, more);
  }

  /** The other end of a port, anew. */
  async addPeer(port: number, more: Partial<MemifOptions> = {}): Promise<void> {
    const peer = openMemif({ socket: this.socket, role: 'client', id: port, retryMinMs: 5, ...more });
    this.peers[port] = peer;
    await peer.up({ timeoutMs: 10_000 });
    while (!this.forwarder.status(port + 1).link) await turn();
  }

  /** Sends frames into a port, waits until they have been dealt with, and gives what came out, by port. */
  async send(port: number, ...frames: Uint8Array[]): Promise<Uint8Array[][]> {
    const before = this.forwarder.load().packets;
    this.peers[port]!.send(frames);
    const end = Date.now() + 20_000;
    while (this.forwarder.load().packets < before + frames.length) {
      if (Date.now() > end) throw new Error(`${this.forwarder.load().packets - before} of ${frames.length} were taken`);
      await turn();
    }
    return this.received();
  }

  /** What waits at the peers, by port. */
  received(): Uint8Array[][] {
    return this.peers.map((peer) => {
      const packets: Uint8Array[] = [];
      for (const rx of peer.rx) {
        for (let more = copyPackets(rx, 4096); more.length > 0; more = copyPackets(rx, 4096)) packets.push(...more);
      }
      return packets;
    });
  }

  async close(): Promise<void> {
    await this.forwarder.close();
    await Promise.all(this.peers.map((peer) => peer.destroy()));
  }
}

export const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

// ---------------------------------------------------------------- recorded packets

export interface Recorded {
  scenario: string;
  ports: { name: string; mac: string }[];
  setup: { request: string; fields: Record<string, unknown>; save?: Record<string, string> }[];
  steps: {
    what: string;
    send: { port: number; frame: string };
    expect: { port: number; frame: string; any?: number[] }[];
  }[];
}

export function recordedPackets(): Recorded[] {
  const file = gunzipSync(readFileSync(join(root, 'test/fixtures/packets/vpp-26.06.json.gz')));
  return (JSON.parse(file.toString()) as { scenarios: Recorded[] }).scenarios;
}

interface WirePrefix {
  address: WireAddress;
  len: number;
}

/** The fields of the requests that the recording has; one that is not there fails the test. */
interface RecordedFields {
  sw_if_index: unknown;
  rx_sw_if_index: unknown;
  tx_sw_if_index: unknown;
  prefix: WirePrefix;
  neighbor: { sw_if_index: unknown; mac_address: string; ip_address: WireAddress };
  route: {
    table_id: number;
    prefix: WirePrefix;
    paths: { sw_if_index: unknown; weight: number; nh: { address: WireAddress['un'] } }[];
  };
  mtu: number[];
  flags: number;
  mac_address: string;
  bd_id: number;
  flood: boolean;
  uu_flood: boolean;
  forward: boolean;
  learn: boolean;
  arp_term: boolean;
  arp_ufwd: boolean;
  mac_age: number;
  port_type: number;
  shg: number;
  r: {
    is_permit: 0 | 1 | 2;
    src_prefix: WirePrefix;
    dst_prefix: WirePrefix;
    proto: number;
    srcport_or_icmptype_first: number;
    srcport_or_icmptype_last: number;
    dstport_or_icmpcode_first: number;
    dstport_or_icmpcode_last: number;
    tcp_flags_mask: number;
    tcp_flags_value: number;
  }[];
  acls: unknown[];
  n_input: number;
}

interface WireAddress {
  un: { ip4?: string; ip6?: string };
}

const bytesOf = (text: string): Uint8Array => unhex(text.slice(2));
const addressOf = ({ un }: WireAddress): string => formatIp(bytesOf(un.ip4 ?? un.ip6!));
const prefixOf = (prefix: WirePrefix): string => `${addressOf(prefix.address)}/${prefix.len}`;

/** Does what the recorded requests of a setup say, straight at the forwarder. */
export function applySetup(forwarder: Forwarder, setup: Recorded['setup']): void {
  const saved = new Map<string, number>();
  let nextIndex = 20;
  let nextAcl = 0;
  const index = (value: unknown): number => {
    if (typeof value === 'number') return value;
    const name = String(value).slice(1);
    return saved.get(name) ?? Number(name.slice(1)) + 1;
  };
  for (const { request, fields, save } of setup) {
    const f = fields as unknown as RecordedFields;
    switch (request) {
      case 'sw_interface_add_del_address':
        forwarder.addAddress(index(f.sw_if_index), prefixOf(f.prefix));
        break;
      case 'ip_neighbor_add_del': {
        const n = f.neighbor;
        forwarder.setNeighbour({
          swIfIndex: index(n.sw_if_index),
          ip: addressOf(n.ip_address),
          mac: formatMac(bytesOf(n.mac_address)),
          static: true,
        });
        break;
      }
      case 'ip_route_add_del_v2': {
        const { route } = f;
        forwarder.setRoute(
          route.table_id,
          prefixOf(route.prefix),
          route.paths.map((path) => ({
            kind: 'via',
            swIfIndex: index(path.sw_if_index),
            nextHop: addressOf({ un: path.nh.address }),
            weight: path.weight,
          })),
        );
        break;
      }
      case 'sw_interface_set_mtu':
        forwarder.setMtu(index(f.sw_if_index), { l3: f.mtu[0]! });
        break;
      case 'sw_interface_set_flags':
        forwarder.setAdmin(index(f.sw_if_index), f.flags === 1);
        break;
      case 'create_loopback':
        saved.set(Object.keys(save!)[0]!, nextIndex);
        forwarder.addInterface({
          kind: 'loopback',
          swIfIndex: nextIndex,
          name: `loop${nextIndex}`,
          mac: bytesOf(f.mac_address),
        });
        nextIndex++;
        break;
      case 'bridge_domain_add_del_v2':
        forwarder.addBridgeDomain(
          f.bd_id,
          {
            learn: f.learn,
            forward: f.forward,
            flood: f.flood,
            uuFlood: f.uu_flood,
            arpTerm: f.arp_term,
            arpUnicastForward: f.arp_ufwd,
          },
          f.mac_age,
        );
        break;
      case 'sw_interface_set_l2_bridge':
        forwarder.setBridged(index(f.rx_sw_if_index), f.bd_id, {
          type: f.port_type === 1 ? 'bvi' : 'normal',
          shg: f.shg,
        });
        break;
      case 'sw_interface_set_l2_xconnect':
        forwarder.setCrossConnect(index(f.rx_sw_if_index), index(f.tx_sw_if_index));
        break;
      case 'acl_add_replace': {
        saved.set(Object.keys(save!)[0]!, nextAcl);
        const rules = f.r;
        forwarder.setAcl(
          nextAcl++,
          rules.map((rule) => ({
            action: rule.is_permit,
            source: prefixOf(rule.src_prefix),
            destination: prefixOf(rule.dst_prefix),
            protocol: rule.proto,
            sourceFirst: rule.srcport_or_icmptype_first,
            sourceLast: rule.srcport_or_icmptype_last,
            destinationFirst: rule.dstport_or_icmpcode_first,
            destinationLast: rule.dstport_or_icmpcode_last,
            tcpFlagsMask: rule.tcp_flags_mask,
            tcpFlagsValue: rule.tcp_flags_value,
          })),
        );
        break;
      }
      case 'acl_interface_set_acl_list': {
        const acls = f.acls.map((each) => index(each));
        forwarder.setAclLists(index(f.sw_if_index), acls.slice(0, f.n_input), acls.slice(f.n_input));
        break;
      }
      default:
        throw new Error(`the recorded setup has ${request}, which nothing here knows`);
    }
  }
}
