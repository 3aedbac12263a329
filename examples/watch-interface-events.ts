// Interfaces going up and down, for as long as VPP lives, and after: the subscription is renewed when VPP comes back.
// Usage: watch-interface-events [SOCKET [COUNT]]

import { connect } from 'node-vpp/api';

const [, , socket = '/run/vpp/api.sock', count = 'Infinity'] = process.argv;
const vpp = await connect({ socket });
vpp.on('disconnected', (reason) => console.log(`connection lost: ${reason.message}`));
vpp.on('reconnected', ({ newInstance }) => console.log(newInstance ? 'VPP was restarted' : 'connected again'));

let left = Number(count);
for await (const { sw_if_index, flags, deleted } of vpp.on('sw_interface_event')) {
  const state = deleted ? 'deleted' : (flags & 2) === 2 ? 'link up' : 'link down';
  console.log(`interface ${sw_if_index}: ${state}`);
  if (--left <= 0) break;
}
await vpp.close();
