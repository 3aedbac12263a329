import { connect } from 'node-vpp/api';
import { Vpp } from './build/js/test/support/vpp.js';
const vppd = await Vpp.start({ heap:'1G' });
const q=(t,p)=>t[Math.floor(t.length*p)].toFixed(1);
try {
const vpp = await connect({ socket: vppd.apiSocket, transport: 'shm', apiSegmentPrefix: vppd.prefix, libraryPath: process.env.LIB, requestTimeoutMs: 20000, health:false });
for (let r=0;r<2;r++) for (const spinUs of [0,3,10,100,1000]) {
const took=[]; for(let i=0;i<20000;i++){const a=performance.now(); vpp.requestSync('control_ping',{}, {spinUs}); took.push((performance.now()-a)*1000);} took.sort((a,b)=>a-b);
console.log(spinUs, q(took,.1), q(took,.5), q(took,.99)); }
await vpp.close();
} finally { await vppd.stop(); }
