import { connect } from 'node-vpp/api';
import { Vpp } from './build/js/test/support/vpp.js';
const vppd = await Vpp.start({ heap:'1G' });
console.log('vpp', vppd.pid, vppd.prefix, vppd.apiSocket);
try {
console.log('idle', await vppd.idleLoad(500));
const vpp = await connect({ socket: vppd.apiSocket, transport: 'shm', apiSegmentPrefix: vppd.prefix, libraryPath: process.env.LIB, requestTimeoutMs: 20000 });
console.log(vpp.transport, vpp.description);
console.log((await vpp.request('show_version')).version);
for (let r=0;r<3;r++){ const N=200000; const t0=performance.now();
 const rep = await vpp.requestMany('control_ping', function*(){for(let i=0;i<N;i++) yield {};}());
 console.log('many', rep.succeeded, (N/(performance.now()-t0)).toFixed(0),'k/s'); }
for (let r=0;r<3;r++){ const N=200000; const t0=performance.now(); let next=0; const w=async()=>{while(next<N){next++; await vpp.request('control_ping');}};
 await Promise.all(Array.from({length:960},w)); console.log('promise', (N/(performance.now()-t0)).toFixed(0),'k/s'); }
const took=[]; for(let i=0;i<20000;i++){const a=performance.now(); vpp.requestSync('control_ping'); took.push((performance.now()-a)*1000);} took.sort((a,b)=>a-b); console.log('sync p50',took[10000].toFixed(1),'p99',took[19800].toFixed(1), 'max', took.at(-1));
const tp=[]; for(let i=0;i<20000;i++){const a=performance.now(); await vpp.request('control_ping'); tp.push((performance.now()-a)*1000);} tp.sort((a,b)=>a-b); console.log('promise p50',tp[10000].toFixed(1),'p99',tp[19800].toFixed(1));
console.log((await vpp.request('cli_inband',{cmd:'show api clients'})).reply);
console.log(vpp.stats());
const s = await connect({ socket: vppd.apiSocket});
const ts=[]; for(let i=0;i<20000;i++){const a=performance.now(); await s.request('control_ping'); ts.push((performance.now()-a)*1000);} ts.sort((a,b)=>a-b); console.log('socket promise p50',ts[10000].toFixed(1),'p99',ts[19800].toFixed(1));
const ty=[]; for(let i=0;i<20000;i++){const a=performance.now(); s.requestSync('control_ping'); ty.push((performance.now()-a)*1000);} ty.sort((a,b)=>a-b); console.log('socket sync p50',ty[10000].toFixed(1),'p99',ty[19800].toFixed(1));
for (let r=0;r<2;r++){ const N=200000; const t0=performance.now();
 const rep = await s.requestMany('control_ping', function*(){for(let i=0;i<N;i++) yield {};}());
 console.log('socket many', rep.succeeded, (N/(performance.now()-t0)).toFixed(0),'k/s'); }
await s.close();
await vpp.close();
console.log('idle after', await vppd.idleLoad(500));
const c = await connect({ socket: vppd.apiSocket});
console.log((await c.request('cli_inband',{cmd:'show api clients'})).reply);
await c.close();
} finally { await vppd.stop(); }
