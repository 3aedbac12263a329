// A router between two memifs, in this process, made over VPP's API; then one packet through it.

import { join } from 'node:path';
import { connect } from 'node-vpp/api';
import { startDataplane } from 'node-vpp/dataplane';
import { openMemif } from 'node-vpp/memif';
import { describeFrame, udpFrame } from 'node-vpp/net';

await using dataplane = await startDataplane();
const vpp = await connect({ socket: dataplane.apiSocket });

const ends = [];
for (const id of [0, 1]) {
  const hw_addr = `02:fe:00:00:00:0${id}`;
  const memif = { role: 0, mode: 0, rx_queues: 1, tx_queues: 1, id, socket_id: 0, ring_size: 256, buffer_size: 2048 };
  const { sw_if_index } = await vpp.request('memif_create_v2', { ...memif, hw_addr });
  await vpp.request('sw_interface_set_flags', { sw_if_index, flags: 'IF_STATUS_API_FLAG_ADMIN_UP' });
  await vpp.request('sw_interface_add_del_address', { sw_if_index, is_add: true, prefix: `10.${id}.0.1/24` });
  const neighbor = { sw_if_index, flags: 1, mac_address: `02:fe:00:00:01:0${id}`, ip_address: `10.${id}.0.2` };
  await vpp.request('ip_neighbor_add_del', { is_add: true, neighbor });
  const end = openMemif({ socket: join(dataplane.runDir, 'memif.sock'), role: 'client', id });
  await end.up();
  ends.push(end);
}
const [left, right] = ends;

const arrived = (async () => {
  for await (const packets of right!) return packets[0];
  return undefined;
})();
const frame = udpFrame({
  sourceMac: '02:fe:00:00:01:00',
  destinationMac: '02:fe:00:00:00:00',
  source: '10.0.0.2',
  destination: '10.1.0.2',
  sourcePort: 1000,
  destinationPort: 2000,
  payload: Buffer.from('hello'),
});
console.log('sent    ', describeFrame(frame));
left!.send(frame);
console.log('received', describeFrame((await arrived)!));
console.log(dataplane.command('show interface'));

for (const end of ends) await end.destroy();
await vpp.close();
