// `npm start`: sets the checkout up and runs the demo. Arguments go to the demo: `npm start -- --seconds 5`.

import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { root, setUp } from './setup.mjs';

try {
  setUp();
} catch (error) {
  console.error(`node-vpp: set-up failed: ${error.message}`);
  process.exit(1);
}
const child = spawn(process.execPath, [join(root, 'dist/cli/main.js'), 'demo', ...process.argv.slice(2)], {
  stdio: 'inherit',
});
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));
child.once('exit', (code, signal) => {
  process.exitCode = code ?? (signal === null ? 1 : 130);
});
