// Serves VPP's stats to Prometheus at http://localhost:PORT/metrics.
//
//   node build/js/examples/stats-exporter.js [SOCKET] [PORT]

import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { connectStats, metrics, metricsContentType, metricsFormat } from 'node-vpp/stats';

const [socket = '/run/vpp/stats.sock', port = '9482'] = process.argv.slice(2);
// Waits for a VPP that is started later; one that restarts is found again, and is `vpp_up 0` meanwhile.
const stats = await connectStats({ socket, waitMs: 3_600_000 });

const server = createServer((request, response) => {
  if (request.url !== '/metrics') {
    response.writeHead(404).end('see /metrics\n');
    return;
  }
  const format = metricsFormat(request.headers.accept);
  try {
    response.setHeader('Content-Type', metricsContentType[format]).end(metrics(stats, { format }));
  } catch (error) {
    response.writeHead(500).end(`${(error as Error).message}\n`);
  }
});
server.listen(Number(port), () => {
  console.log(`http://localhost:${(server.address() as AddressInfo).port}/metrics`);
});
process.once('SIGINT', () => {
  server.close();
  server.closeAllConnections();
  void stats.close();
});
