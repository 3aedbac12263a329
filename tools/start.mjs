// `npm start`: sets the checkout up and runs the demo. Arguments go to the demo: `npm start -- --seconds 5`.

import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { root, setUp } from './setup.mjs';

try {
  await setUp();
} catch (error) {
  console.error(`node-vpp: set-up failed: ${error.message}`);
  process.exit(1);
}
const child = spawn(process.execPath, [join(root, 'dist/cli/main.js'), 'demo', ...process.argv.slice(2)], {
  stdio: 'inherit',
});
process.on('SIGTERM', () => child.kill('SIGTERM'));
// A terminal gives Ctrl-C to every process in front, the demo included; a second one would make it stop at once.
process.on('SIGINT', () => {
  if (!process.stdin.isTTY) child.kill('SIGINT');
});
child.once('exit', (code, signal) => {
  process.exitCode = code ?? (signal === null ? 1 : 130);
});
