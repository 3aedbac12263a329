// A router on a stick: one trunk, a VLAN sub-interface with an address for each network, routed between. Run again, it
// changes nothing. Usage: router-on-a-stick [SOCKET [TRUNK [VLAN=ADDRESS/LENGTH...]]]
//
// TRUNK is an interface that VPP has (a NIC, or its tag); without one a loopback stands in.

import { openVpp } from 'node-vpp/vpp';

const [, , socket = '/run/vpp/api.sock', name, ...given] = process.argv;
const networks = given.length > 0 ? given : ['10=192.168.10.1/24', '20=192.168.20.1/24', '30=2001:db8:30::1/64'];

const vpp = await openVpp({ socket, timeoutMs: 5000 });
const trunk =
  name === undefined
    ? await vpp.loopbacks.ensure({ tag: 'trunk', up: true })
    : await vpp.interfaces.adopt(name, { up: true });
for (const network of networks) {
  const [vlan, address] = network.split('=') as [string, string];
  const itf = await vpp.subInterfaces.ensure(trunk, {
    ...{ vlan: Number(vlan), tag: `vlan${vlan}` },
    ...{ addresses: [address], up: true },
  });
  console.log(`${itf.toString()}: VLAN ${vlan}, ${address}`);
}
await vpp.close();
