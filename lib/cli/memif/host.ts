// A host with a few addresses: recognizes what is meant for it, and writes the answer to ARP, neighbor discovery and ping.
//
//   look(packet)   'request'   an answer is due: answer() writes it
//                  'neighbor'  somebody said where an address is: neighborIp, neighborMac
//                  'reply'     an answer to a ping of ours: identifier, sequence
//                  'none'      anything else, also what is damaged or for somebody else
//
// Pings are looked at without making objects; the rare messages (ARP, neighbor discovery) are built as frames.

import type { MemifMode } from '../../memif/index.js';
import {
  ArpOperation,
  ArpView,
  EtherType,
  EthernetView,
  IcmpType,
  IcmpView,
  Icmpv6Type,
  Icmpv6View,
  IpProtocol,
  Ipv4View,
  Ipv6View,
  Layers,
  NeighborView,
  arpReplyFrame,
  checksumUpdate16,
  isIpv4,
  isUnspecified,
  linkLocalFromMac,
  macToNumber,
  multicastMac,
  neighborFrame,
  parseIp,
} from '../../net/index.js';

/** What `look` found. */
export type Verdict = 'none' | 'request' | 'neighbor' | 'reply';

/** The kinds of questions that are answered. */
export type Question = 'arp' | 'neighbor' | 'echo' | 'echo6';

const allNodes = 'ff02::1';

export class Host {
  readonly mac: string;
  /** All addresses, the link-local one included when there is an IPv6 address. */
  readonly addresses: readonly string[];
  readonly mode: MemifMode;
  /** After `request`: what was asked. */
  question: Question = 'arp';
  /** After `request`: bytes that the answer needs at most. */
  room = 0;
  /** After `neighbor`: who is where. */
  neighborIp = '';
  neighborMac = '';
  /** After `reply`. */
  identifier = 0;
  sequence = 0;
  /** After `reply`: where what we sent along is. */
  payloadOffset = 0;
  payloadLength = 0;

  readonly #macNumber: number;
  readonly #four: ReadonlySet<number>;
  readonly #six: readonly Uint8Array[];
  readonly #layers = new Layers();
  readonly #ethernet = new EthernetView();
  readonly #arp = new ArpView();
  readonly #ipv4 = new Ipv4View();
  readonly #ipv6 = new Ipv6View();
  readonly #icmp = new IcmpView();
  readonly #icmp6 = new Icmpv6View();
  readonly #neighbor = new NeighborView();
  #bytes: Uint8Array = new Uint8Array(0);
  #offset = 0;
  #length = 0;
  /** Whether the frame went to a group of hosts: a ping then gets no answer. */
  #toGroup = false;
  #built: Uint8Array | undefined;

  constructor(options: { mac: string; addresses: readonly string[]; mode?: MemifMode }) {
    this.mac = options.mac;
    this.mode = options.mode ?? 'ethernet';
    const six = options.addresses.filter((address) => !isIpv4(address));
    const own = linkLocalFromMac(options.mac);
    if (six.length > 0 && !six.includes(own)) six.push(own);
    const four = options.addresses.filter((address) => isIpv4(address));
    this.addresses = [...four, ...six];
    this.#macNumber = macToNumber(options.mac);
    this.#four = new Set(four.map((address) => Buffer.from(parseIp(address)).readUInt32BE()));
    this.#six = six.map((address) => parseIp(address));
  }

  /** Looks at a packet; what it found stays valid until the next look, as long as the packet's bytes do. */
  look(bytes: Uint8Array, offset: number, length: number): Verdict {
    const layers = this.#layers;
    this.#bytes = bytes;
    this.#offset = offset;
    this.#length = length;
    this.#built = undefined;
    if (this.mode === 'ip') {
      if (!layers.atIp(bytes, offset, length)) return 'none';
    } else {
      if (!layers.at(bytes, offset, length)) return 'none';
      this.#ethernet.at(bytes, offset, length);
      this.#toGroup = this.#ethernet.isMulticast;
      if (!this.#toGroup && this.#ethernet.destinationNumber !== this.#macNumber) return 'none';
      if (layers.etherType === EtherType.ARP) return this.#lookArp();
    }
    if (!layers.hasTransport || layers.isFragment) return 'none';
    if (layers.version === 4 && layers.protocol === IpProtocol.ICMP) return this.#lookIcmp();
    if (layers.version === 6 && layers.protocol === IpProtocol.ICMPV6) return this.#lookIcmp6();
    return 'none';
  }

  #lookArp(): Verdict {
    const { networkOffset, networkLength, vlanId } = this.#layers;
    const arp = this.#arp;
    if (!arp.at(this.#bytes, networkOffset, networkLength)) return 'none';
    if (arp.operation === ArpOperation.REPLY) {
      this.neighborIp = arp.senderIp;
      this.neighborMac = arp.senderMac;
      return 'neighbor';
    }
    if (arp.operation !== ArpOperation.REQUEST || !this.#four.has(arp.targetIpNumber)) return 'none';
    this.question = 'arp';
    this.#built = arpReplyFrame({
      senderMac: this.mac,
      senderIp: arp.targetIp,
      targetMac: arp.senderMac,
      targetIp: arp.senderIp,
      ...(vlanId < 0 ? {} : { vlanId }),
    });
    this.room = this.#built.length;
    return 'request';
  }

  #lookIcmp(): Verdict {
    const { networkOffset, networkLength, transportOffset, transportLength } = this.#layers;
    const ipv4 = this.#ipv4;
    const icmp = this.#icmp;
    if (!ipv4.at(this.#bytes, networkOffset, networkLength) || !this.#four.has(ipv4.destinationNumber)) return 'none';
    if (!icmp.at(this.#bytes, transportOffset, transportLength) || !icmp.checksumOk || !ipv4.isWhole) return 'none';
    if (icmp.type === IcmpType.ECHO_REPLY) return this.#replied(icmp);
    if (icmp.type !== IcmpType.ECHO_REQUEST || this.#toGroup) return 'none';
    this.question = 'echo';
    this.room = this.#length;
    return 'request';
  }

  #lookIcmp6(): Verdict {
    const { networkOffset, networkLength, transportOffset, transportLength } = this.#layers;
    const ipv6 = this.#ipv6;
    const icmp6 = this.#icmp6;
    if (!ipv6.at(this.#bytes, networkOffset, networkLength)) return 'none';
    if (!icmp6.at(this.#bytes, transportOffset, transportLength) || !icmp6.checksumOk(networkOffset)) return 'none';
    if (icmp6.type === Icmpv6Type.NEIGHBOR_SOLICITATION) return this.#lookSolicitation();
    if (icmp6.type === Icmpv6Type.NEIGHBOR_ADVERTISEMENT) return this.#lookAdvertisement();
    if (!this.#isOwnSix(ipv6.destinationOffset)) return 'none';
    if (icmp6.type === Icmpv6Type.ECHO_REPLY) return this.#replied(icmp6);
    if (icmp6.type !== Icmpv6Type.ECHO_REQUEST || this.#toGroup) return 'none';
    this.question = 'echo6';
    this.room = this.#length;
    return 'request';
  }

  #replied(message: IcmpView | Icmpv6View): Verdict {
    this.identifier = message.identifier;
    this.sequence = message.sequence;
    this.payloadOffset = message.payloadOffset;
    this.payloadLength = message.payloadLength;
    return 'reply';
  }

  /** RFC 4861 §7.1: a hop limit below 255 means that a router let it through, and it is not believed. */
  #lookSolicitation(): Verdict {
    const { transportOffset, transportLength, vlanId } = this.#layers;
    const message = this.#neighbor;
    if (this.mode === 'ip' || this.#ipv6.hopLimit !== 255) return 'none';
    if (!message.at(this.#bytes, transportOffset, transportLength) || !this.#isOwnSix(message.targetOffset)) {
      return 'none';
    }
    // Somebody who has no address yet and asks whether this one is free is told so together with everybody.
    const { source } = this.#ipv6;
    const probe = isUnspecified(source);
    const destination = probe ? allNodes : source;
    this.question = 'neighbor';
    this.#built = neighborFrame(
      {
        sourceMac: this.mac,
        destinationMac: probe ? multicastMac(allNodes) : this.#ethernet.source,
        source: message.target,
        destination,
        ...(vlanId < 0 ? {} : { vlanId }),
      },
      {
        type: Icmpv6Type.NEIGHBOR_ADVERTISEMENT,
        target: message.target,
        router: false,
        solicited: !probe,
        override: true,
        options: [{ type: 'targetLinkLayer', mac: this.mac }],
      },
    );
    this.room = this.#built.length;
    return 'request';
  }

  #lookAdvertisement(): Verdict {
    const { transportOffset, transportLength } = this.#layers;
    const message = this.#neighbor;
    if (this.#ipv6.hopLimit !== 255 || !message.at(this.#bytes, transportOffset, transportLength)) return 'none';
    const option = message.options().find((each) => each.type === 'targetLinkLayer');
    if (option?.type !== 'targetLinkLayer') return 'none';
    this.neighborIp = message.target;
    this.neighborMac = option.mac;
    return 'neighbor';
  }

  #isOwnSix(at: number): boolean {
    const bytes = this.#bytes;
    return this.#six.some((own) => own.every((byte, i) => bytes[at + i] === byte));
  }

  /** Writes the answer to what `look` called a request; returns its length, `room` at most. */
  answer(into: Uint8Array, at: number): number {
    if (this.#built !== undefined) {
      into.set(this.#built, at);
      return this.#built.length;
    }
    const { networkOffset, networkLength, transportOffset, transportLength } = this.#layers;
    const shift = at - this.#offset;
    into.set(this.#bytes.subarray(this.#offset, this.#offset + this.#length), at);
    if (this.mode === 'ethernet') {
      this.#ethernet.at(into, at, this.#length);
      this.#ethernet.swapAddresses();
    }
    if (this.question === 'echo') {
      const ipv4 = this.#ipv4;
      const icmp = this.#icmp;
      ipv4.at(into, networkOffset + shift, networkLength);
      const source = ipv4.sourceNumber;
      ipv4.sourceNumber = ipv4.destinationNumber;
      ipv4.destinationNumber = source;
      ipv4.timeToLive = 64;
      ipv4.fillChecksum();
      icmp.at(into, transportOffset + shift, transportLength);
      icmp.checksum = checksumUpdate16(icmp.checksum, IcmpType.ECHO_REQUEST << 8, IcmpType.ECHO_REPLY << 8);
      icmp.type = IcmpType.ECHO_REPLY;
    } else {
      const ipv6 = this.#ipv6;
      const icmp6 = this.#icmp6;
      ipv6.at(into, networkOffset + shift, networkLength);
      const { sourceOffset, destinationOffset } = ipv6;
      for (let i = 0; i < 16; i++) {
        const byte = into[sourceOffset + i]!;
        into[sourceOffset + i] = into[destinationOffset + i]!;
        into[destinationOffset + i] = byte;
      }
      ipv6.hopLimit = 64;
      icmp6.at(into, transportOffset + shift, transportLength);
      icmp6.checksum = checksumUpdate16(icmp6.checksum, Icmpv6Type.ECHO_REQUEST << 8, Icmpv6Type.ECHO_REPLY << 8);
      icmp6.type = Icmpv6Type.ECHO_REPLY;
    }
    return this.#length;
  }
}
