// A layer 2 network over IP: a bridge domain with a VXLAN tunnel to each other site, a local port, and a routed side.
// Members of one split horizon group do not pass packets on to each other, so that full meshes have no loops.
// Usage: vxlan-overlay [SOCKET [LOCAL-ADDRESS/LENGTH [PEER...]]]

import { openVpp } from 'node-vpp/vpp';

const [, , socket = '/run/vpp/api.sock', local = '10.255.0.1/24', ...given] = process.argv;
const peers = given.length > 0 ? given : ['10.255.0.2', '10.255.0.3'];
const vni = 4001;

const vpp = await openVpp({ socket, timeoutMs: 5000 });
await vpp.loopbacks.ensure({ tag: 'underlay', addresses: [local], up: true });
const routed = await vpp.loopbacks.ensure({ tag: 'overlay-gateway', addresses: ['172.16.0.1/24'], up: true });
await vpp.bridges.ensure({ tag: 'overlay' });
await vpp.bridges.ensureMember('overlay', routed, { bvi: true });
for (const destination of peers) {
  const tunnel = await vpp.vxlan.ensure({
    ...{ source: local.split('/')[0]!, destination, vni },
    ...{ tag: `to-${destination}`, up: true },
  });
  await vpp.bridges.ensureMember('overlay', tunnel, { splitHorizonGroup: 1 });
  console.log(`${tunnel.toString()} to ${destination}`);
}
const { id, members } = await vpp.bridges.get('overlay');
console.log(`bridge domain ${id} with ${members.length} members`);
await vpp.close();
