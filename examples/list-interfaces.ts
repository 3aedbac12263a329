// The interfaces of a VPP, their state and address. Usage: list-interfaces [SOCKET]

import { connect } from 'node-vpp/api';

const vpp = await connect({ socket: process.argv[2] ?? '/run/vpp/api.sock', timeoutMs: 5000 });
for await (const { sw_if_index, interface_name, flags, l2_address } of vpp.dump('sw_interface_dump')) {
  const state = (flags & 1) === 1 ? 'up' : 'down';
  console.log(`${String(sw_if_index).padStart(4)}  ${interface_name.padEnd(32)} ${state.padEnd(5)} ${l2_address}`);
}
await vpp.close();
