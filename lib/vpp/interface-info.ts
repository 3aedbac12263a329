// What VPP says about an interface (sw_interface_details), in the words of the object layer.

import type { RowOf } from './core.js';

/** What a packet must carry to belong to a sub-interface. */
export interface SubInterfaceInfo {
  /** The number in its name: 100 in `tap0.100`. */
  readonly id: number;
  /** sw_if_index of the interface it is on. */
  readonly parentIndex: number;
  /** VLAN ids, outer first; `any` where the tag may have any id. Empty: untagged. */
  readonly vlans: readonly (number | 'any')[];
  /** The outer tag is 802.1ad (0x88a8), not 802.1Q. */
  readonly dot1ad: boolean;
  /** Only packets with exactly these tags, as routing needs it. */
  readonly exactMatch: boolean;
  /** Takes what no other sub-interface takes. */
  readonly isDefault: boolean;
}

/** Names of the operations of `l2_interface_vlan_tag_rewrite`, by their number (l2_vtr_op_t). */
export const tagRewriteOps = [
  'disabled',
  'push-1',
  'push-2',
  'pop-1',
  'pop-2',
  'translate-1-1',
  'translate-1-2',
  'translate-2-1',
  'translate-2-2',
] as const;

/** What is done with the VLAN tags of packets of a bridged interface, in; the opposite is done out. */
export interface TagRewrite {
  readonly op: (typeof tagRewriteOps)[number];
  /** The tags pushed are 802.1Q (default) or 802.1ad. */
  readonly dot1q?: boolean;
  readonly tag1?: number;
  readonly tag2?: number;
}

/** How a queue is served. */
export type RxMode = 'polling' | 'interrupt' | 'adaptive' | 'default';
export const rxModes = ['unknown', 'polling', 'interrupt', 'adaptive', 'default'] as const;

/** Which thread serves a queue. */
export interface QueuePlacement {
  readonly queue: number;
  /** Worker, from 0; `main` for the main thread. */
  readonly worker: number | 'main';
  readonly mode: RxMode | 'unknown';
}

/** Longest packets, bytes; 0 for a protocol means: as `l3`. */
export interface Mtu {
  l3?: number;
  ip4?: number;
  ip6?: number;
  mpls?: number;
}

/** An interface as it was when VPP was last asked. */
export interface InterfaceInfo {
  /** sw_if_index. */
  readonly index: number;
  /** VPP's name, `memif0/0`; may be changed. */
  readonly name: string;
  /** The logical name that was given, or empty. */
  readonly tag: string;
  /** The driver: `Loopback`, `memif`, `virtio`, `dpdk`, `VXLAN`, … */
  readonly deviceType: string;
  /** What kind of thing VPP counts it among. */
  readonly kind: 'hardware' | 'sub-interface' | 'p2p' | 'pipe' | number;
  readonly mac: string;
  readonly adminUp: boolean;
  readonly linkUp: boolean;
  /** kbit/s; 0: unknown. */
  readonly linkSpeedKbps: number;
  readonly duplex: 'unknown' | 'half' | 'full';
  /** Longest packet of the hardware, bytes, layer 2 header excluded. */
  readonly linkMtu: number;
  /** Longest packet by protocol; 0: that of `l3`. */
  readonly mtu: { readonly l3: number; readonly ip4: number; readonly ip6: number; readonly mpls: number };
  readonly sub: SubInterfaceInfo | undefined;
  readonly tagRewrite: TagRewrite | undefined;
}

const kinds = ['hardware', 'sub-interface', 'p2p', 'pipe'] as const;
const duplexes = ['unknown', 'half', 'full'] as const;

/** Bits of sub_if_flags. */
export const SubFlag = {
  noTags: 1,
  oneTag: 2,
  twoTags: 4,
  dot1ad: 8,
  exactMatch: 16,
  isDefault: 32,
  outerAny: 64,
  innerAny: 128,
} as const;

type Row = RowOf<'sw_interface_dump'>;

function subOf(row: Row): SubInterfaceInfo {
  const flags: number = row.sub_if_flags;
  const vlans: (number | 'any')[] = [];
  if (row.sub_number_of_tags > 0) vlans.push((flags & SubFlag.outerAny) !== 0 ? 'any' : row.sub_outer_vlan_id);
  if (row.sub_number_of_tags > 1) vlans.push((flags & SubFlag.innerAny) !== 0 ? 'any' : row.sub_inner_vlan_id);
  return {
    id: row.sub_id,
    parentIndex: row.sup_sw_if_index,
    vlans,
    dot1ad: (flags & SubFlag.dot1ad) !== 0,
    exactMatch: (flags & SubFlag.exactMatch) !== 0,
    isDefault: (flags & SubFlag.isDefault) !== 0,
  };
}

/** A row of sw_interface_dump as an interface. */
export function interfaceInfo(row: Row): InterfaceInfo {
  const [l3 = 0, ip4 = 0, ip6 = 0, mpls = 0] = row.mtu;
  const flags: number = row.flags;
  return {
    index: row.sw_if_index,
    name: row.interface_name,
    tag: row.tag,
    deviceType: row.interface_dev_type,
    kind: kinds[row.type] ?? row.type,
    mac: row.l2_address,
    adminUp: (flags & 1) !== 0,
    linkUp: (flags & 2) !== 0,
    linkSpeedKbps: row.link_speed,
    duplex: duplexes[row.link_duplex] ?? 'unknown',
    linkMtu: row.link_mtu,
    mtu: { l3, ip4, ip6, mpls },
    sub: row.type === 1 ? subOf(row) : undefined,
    tagRewrite:
      row.vtr_op === 0
        ? undefined
        : {
            op: tagRewriteOps[row.vtr_op] ?? 'disabled',
            dot1q: row.vtr_push_dot1q !== 0,
            tag1: row.vtr_tag1,
            tag2: row.vtr_tag2,
          },
  };
}
