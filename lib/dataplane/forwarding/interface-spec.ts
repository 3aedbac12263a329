// What an interface of the forwarding plane is made from, one kind each, and what is known of it afterwards.

/** `0xffffffff`: VPP's `~0`, no interface. */
export const NO_INTERFACE = 0xffffffff;

/** An IPv4 or IPv6 address: text, or 4 or 16 bytes. */
export type Address = string | Uint8Array;
/** A MAC address: text, or 6 bytes. */
export type Mac = string | Uint8Array;
/** `10.0.0.0/8`, or address and length. Host bits of interface addresses are kept, those of routes cleared. */
export type PrefixLike = string | { address: Address; length: number };

/** How the ports of an interface wait for packets; `adaptive` looks for a while before it sleeps. */
export type PortRxMode = 'polling' | 'interrupt' | 'adaptive';

interface InterfaceBase {
  /** Given by the control plane; not in use. */
  swIfIndex: number;
  /** As shown in traces and errors: `memif0/0`, `tap0`, `loop0`, `memif0/0.10`. */
  name: string;
}

/** memif. The socket is opened when the interface is added; link follows the peer once admin is up, as in VPP. */
export interface MemifInterface extends InterfaceBase {
  kind: 'memif';
  mac: Mac;
  role: 'server' | 'client';
  /** Path, or `@abstract`. */
  socket: string;
  id: number;
  mode?: 'ethernet' | 'ip';
  secret?: string | Uint8Array;
  ringSize?: number;
  bufferSize?: number;
  /** As seen from here. */
  rxQueues?: number;
  txQueues?: number;
  rxMode?: PortRxMode;
  /** Client: take part in the packet memory that the dataplane's client interfaces share (no copies between them). */
  zeroCopy?: boolean;
}

/** TAP: a kernel interface whose other end is ours. The host side is made, and set up, when the interface is added. */
export interface TapInterface extends InterfaceBase {
  kind: 'tap';
  mac: Mac;
  /** Name of the kernel's side; the kernel chooses when absent (see `hostName`). */
  hostName?: string;
  /** Network namespace of the kernel's side: a name under /run/netns, or a path. */
  hostNamespace?: string;
  hostMac?: Mac;
  hostMtu?: number;
  /** With prefix length. */
  hostIp4?: PrefixLike;
  hostIp6?: PrefixLike;
  hostIp4Gateway?: Address;
  hostIp6Gateway?: Address;
  /** Bridge of the kernel that the host side joins. */
  hostBridge?: string;
  /** Keep the kernel's interface when ours goes away. */
  persist?: boolean;
  /** Offer the kernel segments of up to 64 KiB and unfinished checksums, both ways. Default false, as in VPP. */
  gso?: boolean;
  rxMode?: PortRxMode;
}

/** AF_PACKET on an interface of the kernel (`host-<name>` in VPP), with mapped TPACKET_V3 rings. */
export interface PacketInterface extends InterfaceBase {
  kind: 'af_packet';
  mac: Mac;
  hostName: string;
  hostNamespace?: string;
  rxMode?: PortRxMode;
}

/** Loopback; a bridge domain's BVI when set so. Always has link. */
export interface LoopbackInterface extends InterfaceBase {
  kind: 'loopback';
  mac: Mac;
}

/** VLAN sub-interface: shares port and MAC of its parent. */
export interface SubInterface extends InterfaceBase {
  kind: 'sub';
  parent: number;
  /** What packets must carry. `any` matches every tag value; 0 tags is the untagged sub-interface. */
  tags: readonly { vlanId: number | 'any'; dot1ad?: boolean }[];
  /** No further tags allowed. Needed for routing; a not-exact one only bridges. */
  exact: boolean;
  /** Takes what no other sub-interface does. */
  isDefault?: boolean;
}

export type InterfaceSpec = MemifInterface | TapInterface | PacketInterface | LoopbackInterface | SubInterface;

/** What is known of an interface that the control plane did not say itself. */
export interface InterfaceStatus {
  admin: boolean;
  link: boolean;
  mac: string;
  /** Largest payload of Ethernet. */
  mtu: number;
  /** TAP: the name the kernel gave; af_packet: the device. */
  hostName?: string;
  hostMac?: string;
  /** memif, while the peer is there. */
  peer?: { name: string; interfaceName: string; pid: number };
  /** memif: rings each way, as agreed with the peer. */
  rings?: { rx: number; tx: number; ringSize: number; bufferSize: number };
  /** TAP: whether the kernel accepted segments. */
  gso?: boolean;
}
