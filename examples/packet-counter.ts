// Counts packets by what they are, on the fast path: bursts are looked at in place, nothing is copied or allocated.
//
//   node build/js/examples/packet-counter.js [SOCKET]        default /tmp/counter.sock, as its server

import { openMemif } from 'node-vpp/memif';
import { EtherType, IpProtocol, Layers } from 'node-vpp/net';

const memif = openMemif({ socket: process.argv[2] ?? '/tmp/counter.sock', role: 'server', rxMode: 'adaptive' });
const counts = { udp: 0, tcp: 0, icmp: 0, otherIp: 0, arp: 0, other: 0 };
const layers = new Layers();

// Called when a queue has packets, as long as it has some.
memif.listen((rx) => {
  const burst = rx.peek(256);
  const { count, offsets, lengths, regions, more, memory } = burst;
  for (let i = 0; i < count; i++) {
    layers.at(memory[regions[i]!]!, offsets[i]!, lengths[i]!);
    if (layers.protocol === IpProtocol.UDP) counts.udp++;
    else if (layers.protocol === IpProtocol.TCP) counts.tcp++;
    else if (layers.protocol === IpProtocol.ICMP || layers.protocol === IpProtocol.ICMPV6) counts.icmp++;
    else if (layers.version !== 0) counts.otherIp++;
    else if (layers.etherType === EtherType.ARP) counts.arp++;
    else counts.other++;
    // A long packet is a chain of buffers; its headers are in the first one.
    while (more[i] === 1) i++;
  }
  // From here on the peer may write into these buffers again.
  rx.release(count);
});

const timer = setInterval(() => console.log(JSON.stringify(counts)), 1000);
process.once('SIGINT', () => {
  clearInterval(timer);
  console.log(JSON.stringify(counts));
  void memif.close();
});
