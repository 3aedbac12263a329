// Programs a full routing table with a progress bar, through shared memory where that is possible, and takes it out again.
//
//   node examples/full-table.js [--socket /run/vpp/api.sock] [--prefix API_SEGMENT_PREFIX] [--routes 1000000]
//
// requestMany takes routes from the generator only as VPP answers, so that the table is never in memory as a whole. Stopped
// with Ctrl-C it says where to go on: run it again with --from that number.

import { parseArgs } from 'node:util';
import { connect, refusedWith } from 'node-vpp/api';

const { values } = parseArgs({
  options: {
    socket: { type: 'string', default: '/run/vpp/api.sock' },
    prefix: { type: 'string', default: '' },
    routes: { type: 'string', default: '1000000' },
    from: { type: 'string', default: '0' },
    keep: { type: 'boolean', default: false },
  },
});
const count = Number(values.routes);
const path = { sw_if_index: 0, table_id: 0, rpf_id: 0, weight: 1, preference: 0, type: 1, flags: 0, proto: 0 };

/** Host routes in 10.0.0.0/8 and what follows, one after the other. */
function* table(is_add: boolean) {
  for (let n = 0; n < count; n++) {
    const address = `${10 + (n >> 24)}.${(n >> 16) & 255}.${(n >> 8) & 255}.${n & 255}`;
    yield { is_add, route: { table_id: 0, prefix: `${address}/32`, paths: [path] } };
  }
}

function bar(completed: number, elapsedMs: number): void {
  const width = 40;
  const filled = Math.round((completed / count) * width);
  const rate = Math.round(completed / Math.max(elapsedMs, 1));
  const line = `[${'#'.repeat(filled)}${'.'.repeat(width - filled)}] ${completed} of ${count}, ${rate} k/s`;
  if (process.stderr.isTTY) process.stderr.write(`\r${line}`);
}

const abort = new AbortController();
process.once('SIGINT', () => abort.abort(new Error('interrupted')));

const vpp = await connect({
  socket: values.socket,
  transport: 'auto',
  apiSegmentPrefix: values.prefix,
  timeoutMs: 10_000,
});
console.log(`by ${vpp.transport!.kind}: ${vpp.transport!.reason}`);

for (const is_add of values.keep ? [true] : [true, false]) {
  const report = await vpp.requestMany('ip_route_add_del_v2', table(is_add), {
    signal: abort.signal,
    startIndex: is_add ? Number(values.from) : 0,
    onProgress: ({ completed, elapsedMs }) => bar(completed, elapsedMs),
  });
  if (process.stderr.isTTY) process.stderr.write('\n');
  // A route that is not there any more is what was wanted.
  const failures = report.failures.filter((one) => is_add || !refusedWith(one, -6));
  for (const { index, error } of failures.slice(0, 3)) console.log(`route ${index}: ${error.message}`);
  console.log(
    `${report.succeeded} routes ${is_add ? 'added' : 'deleted'} in ${(report.elapsedMs / 1000).toFixed(2)} s, ` +
      `${report.failed} refused`,
  );
  if (report.stopped !== undefined) {
    console.log(`stopped: ${(report.stopped as Error).message}; go on with --from ${report.resumeIndex}`);
    break;
  }
}
await vpp.close();
