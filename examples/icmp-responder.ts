// A host of one address: answers ARP and ping, so that `ping 192.168.1.2` in VPP gets its replies from JavaScript.
//
//   node build/js/examples/icmp-responder.js [SOCKET]        default /run/vpp/memif.sock, as its client
//
// The comfortable interface: packets come as copies, answers go with send(). Each is one small array.

import { openMemif } from 'node-vpp/memif';
import { ArpOperation, ArpView, IcmpType, IcmpView, IpProtocol, Ipv4View, Layers } from 'node-vpp/net';
import { arpReplyFrame, icmpEchoFrame, formatMac } from 'node-vpp/net';

const mac = '02:fe:00:00:00:02';
const address = '192.168.1.2';

const memif = openMemif({ socket: process.argv[2] ?? '/run/vpp/memif.sock', role: 'client' });
memif.on('up', (peer) => console.log(`up: ${peer.name}`));
memif.on('down', (reason) => console.log(`down: ${reason.message}`));
process.once('SIGINT', () => void memif.close());

const layers = new Layers();
const arp = new ArpView();
const ipv4 = new Ipv4View();
const icmp = new IcmpView();

/** The answer to a frame, if it asks for one. */
function answer(frame: Uint8Array): Uint8Array | undefined {
  if (!layers.at(frame, 0, frame.length)) return undefined;
  if (arp.at(frame, layers.networkOffset) && arp.operation === ArpOperation.REQUEST && arp.targetIp === address) {
    const { senderMac: targetMac, senderIp: targetIp } = arp;
    return arpReplyFrame({ senderMac: mac, senderIp: address, targetMac, targetIp });
  }
  if (layers.protocol !== IpProtocol.ICMP || !layers.hasTransport) return undefined;
  if (!ipv4.at(frame, layers.networkOffset) || ipv4.destination !== address) return undefined;
  if (!icmp.at(frame, layers.transportOffset, layers.transportLength)) return undefined;
  if (icmp.type !== IcmpType.ECHO_REQUEST || !icmp.checksumOk) return undefined;
  return icmpEchoFrame({
    sourceMac: mac,
    destinationMac: formatMac(frame, 6),
    source: address,
    destination: ipv4.source,
    identifier: icmp.identifier,
    sequence: icmp.sequence,
    payload: frame.subarray(icmp.payloadOffset, icmp.payloadOffset + icmp.payloadLength),
    reply: true,
  });
}

for await (const packets of memif) {
  memif.send(packets.map(answer).filter((reply) => reply !== undefined));
}
