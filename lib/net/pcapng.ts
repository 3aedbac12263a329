// The numbers of pcapng (draft-ietf-opsawg-pcapng), shared by writer and reader, and what its blocks mean as objects.
//
//   block   | type | total length | body, padded to 4 | total length |
//   file    section header, interface descriptions, packets …, interface statistics …; more sections may follow
//
// A section's byte order is that of its writer, told by the magic 1a2b3c4d. Interfaces are numbered per section.

/** Types of the blocks that are understood. */
export const BlockType = {
  INTERFACE: 1,
  /** Obsolete, read only. */
  PACKET: 2,
  SIMPLE_PACKET: 3,
  INTERFACE_STATISTICS: 5,
  ENHANCED_PACKET: 6,
  SECTION: 0x0a0d0d0a,
} as const;

/** What the packets of an interface begin with; other numbers pass through. */
export const LinkType = {
  ETHERNET: 1,
  /** A bare IPv4 or IPv6 packet. */
  RAW: 101,
} as const;

/** Codes of the options that are understood. */
export const OptionCode = {
  END: 0,
  COMMENT: 1,
  SHB_HARDWARE: 2,
  SHB_OS: 3,
  SHB_APPLICATION: 4,
  IF_NAME: 2,
  IF_DESCRIPTION: 3,
  IF_MAC: 6,
  IF_SPEED: 8,
  IF_TSRESOL: 9,
  IF_TSOFFSET: 14,
  EPB_FLAGS: 2,
  EPB_DROPCOUNT: 4,
  ISB_STARTTIME: 2,
  ISB_ENDTIME: 3,
  ISB_IFRECV: 4,
  ISB_IFDROP: 5,
  ISB_FILTERACCEPT: 6,
  ISB_OSDROP: 7,
  ISB_USRDELIV: 8,
} as const;

/** The byte-order magic of a section header. */
export const BYTE_ORDER_MAGIC = 0x1a2b3c4d;

/** Which way a packet went, seen from the interface. */
export type Direction = 'inbound' | 'outbound';

/** What a section header tells. */
export interface SectionInfo {
  hardware?: string;
  os?: string;
  /** The program that wrote the file. */
  application?: string;
  comment?: string;
}

/** What an interface description tells. */
export interface InterfaceInfo {
  /** One of `LinkType`, or another number. */
  linkType: number;
  /** Most bytes kept of a packet; 0 is no limit. */
  snapLength?: number;
  name?: string;
  description?: string;
  mac?: string;
  /** Bits per second. */
  speed?: bigint;
  comment?: string;
}

/** Counters of an interface at a time. All but the time may be absent. */
export interface InterfaceCounters {
  /** Nanoseconds since 1970. */
  timestampNs: bigint;
  startTimeNs?: bigint;
  endTimeNs?: bigint;
  received?: bigint;
  dropped?: bigint;
  accepted?: bigint;
  droppedByOs?: bigint;
  delivered?: bigint;
  comment?: string;
}

/** A section header that was read: everything after it belongs to it. */
export interface SectionRecord extends SectionInfo {
  type: 'section';
  byteOrder: 'little' | 'big';
  version: [major: number, minor: number];
}

/** An interface description that was read. */
export interface InterfaceRecord extends InterfaceInfo {
  type: 'interface';
  /** Number within its section. */
  id: number;
  snapLength: number;
  /** Nanoseconds per unit of time as a fraction: numerator and denominator. */
  nanosecondsPerTick: [numerator: bigint, denominator: bigint];
}

/** A packet that was read. */
export interface PacketRecord {
  type: 'packet';
  interfaceId: number;
  linkType: number;
  /** Nanoseconds since 1970; absent in a simple packet block. */
  timestampNs?: bigint;
  /** The bytes that were kept; a copy. */
  bytes: Uint8Array;
  /** Length the packet had on the wire. */
  originalLength: number;
  direction?: Direction;
  /** Packets lost between this and the one before. */
  dropCount?: bigint;
  comment?: string;
}

/** Interface statistics that were read. */
export interface StatisticsRecord extends InterfaceCounters {
  type: 'statistics';
  interfaceId: number;
}

/** Anything the reader gives out. */
export type PcapngRecord = SectionRecord | InterfaceRecord | PacketRecord | StatisticsRecord;
