import { connect } from 'node-vpp/api';
import { Vpp } from './build/js/test/support/vpp.js';
import { execFile } from 'node:child_process'; import { promisify } from 'node:util';
const run = promisify(execFile);
const vppd = await Vpp.start({ heap:'1G' });
const ping = '0017000000000000'+'0000'; const hex='00170000000000000000';
const c = async (w,n)=> (await run('/tmp/vppapi-shm',[process.env.LIB,vppd.prefix,vppd.apiSocket,'send',hex,String(w),String(n),'-1'])).stdout.trim();
const cs = async (w,n)=> (await run('/tmp/vppapi-sock',[vppd.apiSocket,'send',hex,String(w),String(n),'-1'])).stdout.trim();
const q=(t,p)=>t[Math.floor(t.length*p)].toFixed(1);
try {
console.log('idle', (await vppd.idleLoad(300)).toFixed(2));
const vpp = await connect({ socket: vppd.apiSocket, transport: 'shm', apiSegmentPrefix: vppd.prefix, libraryPath: process.env.LIB, requestTimeoutMs: 20000, health:false });
const s = await connect({ socket: vppd.apiSocket, health:false});
const many=async(v,N)=>{const t0=performance.now(); await v.requestMany('control_ping', function*(){for(let i=0;i<N;i++) yield {};}()); return (N/(performance.now()-t0)).toFixed(0)};
const prom=async(v,N)=>{const t0=performance.now(); let next=0; const w=async()=>{while(next<N){next++; await v.request('control_ping');}};
 await Promise.all(Array.from({length:960},w)); return (N/(performance.now()-t0)).toFixed(0)};
for (let r=0;r<3;r++){ const a=await c(960,500000); console.log('C shm pipelined', (500/parseFloat(a)).toFixed(0),'k/s;  many', await many(vpp,300000), ' promise', await prom(vpp,300000), ' socket many', await many(s,100000),'promise',await prom(s,100000),'C sock',(100/parseFloat(await cs(256,100000))).toFixed(0)); }
for (let r=0;r<2;r++){
const took=[]; for(let i=0;i<20000;i++){const a=performance.now(); vpp.requestSync('control_ping'); took.push((performance.now()-a)*1000);} took.sort((a,b)=>a-b);
const tp=[]; for(let i=0;i<20000;i++){const a=performance.now(); await vpp.request('control_ping'); tp.push((performance.now()-a)*1000);} tp.sort((a,b)=>a-b); 
const ts=[]; for(let i=0;i<20000;i++){const a=performance.now(); await s.request('control_ping'); ts.push((performance.now()-a)*1000);} ts.sort((a,b)=>a-b);
const ty=[]; for(let i=0;i<20000;i++){const a=performance.now(); s.requestSync('control_ping'); ty.push((performance.now()-a)*1000);} ty.sort((a,b)=>a-b);
console.log('C 1:', await c(1,20000),' C sock 1:', await cs(1,20000),' sync', q(took,.5), q(took,.99),' promise', q(tp,.5), q(tp,.99), ' socket promise', q(ts,.5), q(ts,.99),' socket sync', q(ty,.5), q(ty,.99)); }
await s.close(); await vpp.close();
console.log('idle after', (await vppd.idleLoad(300)).toFixed(2));
} finally { await vppd.stop(); }
