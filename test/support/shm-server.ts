// An API server in a process of its own, as a VPP is: what the stand-in library and the doorbell connect to.
//
//   node shm-server.js PATH PID        prints `listening`; asked over IPC for `clients`, told to send an `event`

import { loadBundled } from 'node-vpp/api';
import { ApiServer } from 'node-vpp/dataplane';

const server = new ApiServer({ path: process.argv[2]!, schema: loadBundled('26.06'), pid: Number(process.argv[3]) });
const routes = new Set<string>();
server.handle('show_version', () => ({ program: 'vpe', version: '26.06-release' }));
server.handle('ip_route_add_del_v2', ({ is_add, route }) => {
  const { prefix, table_id } = route as { prefix: string; table_id: number };
  if (table_id !== 0) return { retval: -3 };
  if (is_add === true) routes.add(prefix);
  else routes.delete(prefix);
  return { retval: 0, stats_index: routes.size };
});
server.handle('ip_route_v2_dump', function* () {
  for (const prefix of routes) yield { route: { prefix, table_id: 0, paths: [] } };
});
server.handle('cli_inband', ({ cmd }) => ({ reply: cmd === 'count routes' ? String(routes.size) : 'x'.repeat(9000) }));
process.on('message', (question: string) => {
  if (question === 'clients') process.send!(server.clients.map(({ name }) => name));
  else if (question === 'event') process.send!(server.event('sw_interface_event', { sw_if_index: 1, flags: 3 }));
});
process.on('disconnect', () => process.exit());
await server.listen();
process.send!('listening');
