// Which VPP is this? Usage: show-version [SOCKET]

import { connect } from 'node-vpp/api';

const vpp = await connect({ socket: process.argv[2] ?? '/run/vpp/api.sock', timeoutMs: 5000 });
const { program, version, build_date } = await vpp.request('show_version');
console.log(`${program} ${version}, built ${build_date}, pid ${vpp.pid}`);
await vpp.close();
