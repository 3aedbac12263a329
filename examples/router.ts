// A router with two memif ports, in this process: 10.0.0.1/24 on the first, 10.0.1.1/24 on the second. Whoever connects
// to them (VPP, testpmd, another Node program) is routed, pinged back and asked for by ARP.
//
//   node build/js/examples/router.js [SOCKET]        default /tmp/router.sock, ids 0 and 1

import { INTERFACE_COUNTERS, InterfaceCounter, openForwarder } from 'node-vpp/dataplane';

const [socket = '/tmp/router.sock'] = process.argv.slice(2);
const forwarder = openForwarder();
forwarder.setEvents({
  linkChanged: (swIfIndex, up) => console.log(`port ${swIfIndex}: ${up ? 'up' : 'down'}`),
  neighbourEvent: (kind, { ip, mac }) => console.log(`neighbour ${ip}: ${kind === 'add' ? mac : 'gone'}`),
});
for (const id of [0, 1]) {
  const swIfIndex = id + 1;
  forwarder.addInterface({
    kind: 'memif',
    swIfIndex,
    name: `memif0/${id}`,
    mac: `02:fe:00:00:00:0${swIfIndex}`,
    role: 'server',
    socket,
    id,
  });
  forwarder.setAdmin(swIfIndex, true);
  forwarder.addAddress(swIfIndex, `10.0.${id}.1/24`);
}

process.once('SIGINT', () => {
  for (const swIfIndex of [1, 2]) {
    const row = swIfIndex * INTERFACE_COUNTERS;
    const received = forwarder.interfaceCounters[row + InterfaceCounter.rxPackets]!;
    const sent = forwarder.interfaceCounters[row + InterfaceCounter.txPackets]!;
    console.log(`port ${swIfIndex}: ${received} received, ${sent} sent`);
  }
  void forwarder.close();
});
