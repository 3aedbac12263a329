// Chapter 41: the connection to VPP's binary API.
import t from 'tap';
import { connect, loadBundled } from 'node-vpp/api';
import { ApiServer } from 'node-vpp/dataplane';
import { noVpp, Vpp } from './support/vpp.js';

void t.test('smoke', async (t) => {
  const server = new ApiServer({ path: `${t.testdir()}/api.sock`, schema: loadBundled('26.06') });
  server.handle('show_version', () => ({ program: 'vpe', version: '26.06', build_date: '', build_directory: '' }));
  server.handle('sw_interface_dump', function* () {
    for (let i = 0; i < 5; i++) yield { sw_if_index: i, interface_name: `if${i}` };
  });
  await server.listen();
  const vpp = await connect({ socket: server.path });
  console.log(await vpp.request('show_version'));
  console.log(await vpp.dump('sw_interface_dump').toArray());
  await vpp.close();
  await server.close();
});
void t.test('real', { skip: noVpp }, async () => {
  const v = await Vpp.start();
  try {
    const vpp = await connect({ socket: v.apiSocket });
    console.log(await vpp.request('show_version'), await v.idleLoad());
    console.log(await vpp.dump('sw_interface_dump', { sw_if_index: 0xffffffff }).toArray());
    await vpp.close();
    console.log(await v.idleLoad());
  } finally { await v.stop(); }
});
