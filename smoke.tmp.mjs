import { connect, loadBundled } from 'node-vpp/api';
import { ApiServer } from 'node-vpp/dataplane';
import fs from 'node:fs';
const path = '/tmp/smoke-api.sock';
const prefix = 'smoke'+process.pid;
fs.writeFileSync(`/dev/shm/${prefix}-global_vm`,'x'); fs.writeFileSync(`/dev/shm/${prefix}-vpe-api`,`socket ${path}\n`);
const server = new ApiServer({ path, schema: loadBundled('26.06') });
server.handle('show_version', () => ({ program: 'vpe', version: '26.06-release' }));
server.handle('cli_inband', ({cmd}) => ({ reply: 'x'.repeat(5000) }));
server.handle('sw_interface_dump', () => [{ sw_if_index: 0, interface_name: 'local0' }]);
await server.listen();
try {
const vpp = await connect({ socket: path, transport: 'shm', apiSegmentPrefix: prefix, libraryPath: '/tmp/libvppapiclient.so.26.06' });
console.log(vpp.transport, vpp.description);
console.log(await vpp.request('show_version'));
const t0=performance.now();
const all = await Promise.all(Array.from({length:20000},()=>vpp.request('control_ping')));
console.log(all.length, performance.now()-t0);
console.log((await vpp.request('cli_inband',{cmd:'x'})).reply.length);
console.log(await vpp.dump('sw_interface_dump').toArray());
const ev = vpp.on('sw_interface_event'); await ev.ready; server.event('sw_interface_event',{sw_if_index:3,flags:3}); console.log(await ev.next());
console.log(vpp.stats());
await vpp.close();
console.log('closed');
const vpp2 = await connect({ socket: path, transport: 'auto', apiSegmentPrefix: 'nope', libraryPath: '/tmp/libvppapiclient.so.26.06' });
console.log(vpp2.transport); await vpp2.close();
for (const o of [{apiSegmentPrefix:'nope'},{libraryPath:'/nowhere.so'}]) await connect({ socket: path, transport: 'shm', apiSegmentPrefix: prefix, libraryPath: '/tmp/libvppapiclient.so.26.06',...o }).catch(e=>console.log(e.code,e.message));
} finally { await server.close(); fs.unlinkSync(`/dev/shm/${prefix}-global_vm`); fs.unlinkSync(`/dev/shm/${prefix}-vpe-api`);}
