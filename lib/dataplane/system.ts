// What the dataplane says of itself: version, threads, time, and the command line in a message.

import { runCommand } from './cli/index.js';
import type { State } from './state.js';

/** Registers show_version, show_threads, show_vpe_system_time, get_node_index and cli_inband. */
export function registerSystemMessages(state: State): void {
  const { handlers, identity } = state;
  handlers.on('show_version', () => ({
    retval: 0,
    program: 'vpe',
    version: identity.version,
    build_date: '',
    build_directory: '',
  }));
  handlers.on('show_vpe_system_time', () => ({ retval: 0, vpe_system_time: Date.now() / 1000 }));
  handlers.on('show_threads', () => ({
    retval: 0,
    thread_data: [{ id: 0, name: 'vpp_main', type: '', pid: identity.pid, cpu_id: 0, core: 0, cpu_socket: 0 }],
  }));
  handlers.on('cli_inband', ({ cmd }) => {
    const { text, done } = runCommand(state, cmd);
    return { retval: done ? 0 : -1, reply: text };
  });
}
