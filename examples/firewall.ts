// A stateful firewall on an interface: from inside everything may begin and is answered, from outside only what the rules
// name. Changed rules take effect at once. Usage: firewall [SOCKET [INTERFACE [RULE...]]]

import { openVpp } from 'node-vpp/vpp';

const [, , socket = '/run/vpp/api.sock', name, ...given] = process.argv;
const open = given.length > 0 ? given : ['permit tcp any -> any port 22', 'permit icmp any -> any type 8'];

const vpp = await openVpp({ socket, timeoutMs: 5000 });
const itf = name === undefined ? await vpp.loopbacks.ensure({ tag: 'outside' }) : await vpp.interfaces.get(name);
await vpp.acls.ensure({ tag: 'from-outside', rules: [...open, 'deny any any -> any'] });
await vpp.acls.ensure({ tag: 'to-outside', rules: ['reflect any any -> any'] });
await vpp.acls.apply(itf, { input: ['from-outside'], output: ['to-outside'] });
for (const { tag, text } of await vpp.acls.list()) console.log(`${tag}\n  ${text.join('\n  ')}`);
await vpp.close();
