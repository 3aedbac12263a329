// A NAT gateway: hosts behind one interface share the address of another, and one of their services is seen outside.
// Usage: nat-gateway [SOCKET [INSIDE OUTSIDE]]       (interfaces that VPP has; without them loopbacks stand in)

import { openVpp } from 'node-vpp/vpp';

const [, , socket = '/run/vpp/api.sock', insideName, outsideName] = process.argv;
const vpp = await openVpp({ socket, timeoutMs: 5000 });

const end = (name: string | undefined, tag: string, address: string) =>
  name === undefined
    ? vpp.loopbacks.ensure({ tag, addresses: [address], up: true })
    : vpp.interfaces.adopt(name, { up: true });
const inside = await end(insideName, 'nat-inside', '192.168.100.1/24');
const outside = await end(outsideName, 'nat-outside', '203.0.113.10/24');

await vpp.nat44.ensureEnabled();
await vpp.nat44.setInside(inside);
await vpp.nat44.setOutside(outside);
await vpp.nat44.addInterfacePool(outside);
await vpp.nat44.ensureMapping({
  ...{ tag: 'web', protocol: 'tcp', local: '192.168.100.80', localPort: 8080 },
  ...{ externalInterface: outside, externalPort: 80 },
});
await vpp.routes.ensure({ prefix: '0.0.0.0/0', via: '203.0.113.1', interface: outside });
const { sessions } = await vpp.nat44.config();
console.log(`${inside.name} is translated to ${outside.name}, up to ${sessions} sessions`);
for (const { tag, local, localPort, externalPort } of await vpp.nat44.mappings()) {
  console.log(`mapping ${tag ?? ''}: port ${externalPort ?? ''} -> ${local}:${localPort ?? ''}`);
}
await vpp.close();
